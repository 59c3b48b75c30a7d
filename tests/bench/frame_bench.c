#include <stdlib.h>

#include "frame_bench.h"

const struct frame_candidate *const frame_candidates[FRAME_CANDIDATES] = {
    &candidate_pool, &baseline_lifo, &baseline_buddy, &baseline_bitmap, &baseline_floor,
};

const struct bench_field frame_field = {
    .names = {"ours", "lifo", "buddy", "bitmap", "floor"},
    .count = FRAME_CANDIDATES,
    .floor = FRAME_FLOOR,
};

const char *frame_size_text(uint64_t bytes)
{
    static char text[32];

    if (bytes >= PS_TIB)
        (void)snprintf(text, sizeof(text), "%" PS_PRIu " TiB", bytes / PS_TIB);
    else
        (void)snprintf(text, sizeof(text), "%" PS_PRIu " GiB", bytes / PS_GIB);
    return text;
}

/* Bytes of metadata that a candidate writes to, at most. */
static uint64_t touched(const struct frame_candidate *candidate, uint64_t span, uint64_t units)
{
    uint64_t all = span * candidate->metadata_bytes;

    return candidate->lazy ? ps_min(all, units * PS_PAGE_SIZE) : all;
}

static void open_run(const struct bench *bench, struct frame_stage *stage, size_t candidate,
                     const struct frame_plan *plan)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    struct frame_run *run = &stage->runs[candidate];
    struct frame_setup setup = {stage->span, plan->processors != 0 ? plan->processors : 1,
                                !plan->small_pages};

    *run = (struct frame_run){.random = BENCH_SEED};
    if (touched(one, stage->span, stage->handles) > bench->memory_limit)
        return;
    run->self = one->reserve(&setup);
    if (run->self == NULL) {
        fprintf(stderr, "bench: no address space for %s with %s\n", one->name,
                frame_size_text(stage->bytes));
        return;
    }
    run->handles = frame_reserve(stage->handles * sizeof(uint32_t), true);
    if (run->handles == NULL)
        abort();
}

void frame_stage_open(const struct bench *bench, struct frame_stage *stage,
                      const struct frame_plan *plan)
{
    uint64_t span = plan->bytes >> PS_PAGE_SHIFT;

    *stage = (struct frame_stage){.bytes = plan->bytes,
                                  .span = span,
                                  .handles = (plan->units != 0 ? plan->units : span) + 1,
                                  .range_count = 1};
    stage->ranges[0] =
        (struct frame_range){.first = FRAME_FIRST, .frames = stage->span - FRAME_FIRST};
    for (size_t i = 0; i < FRAME_CANDIDATES; i++)
        open_run(bench, stage, i, plan);
}

static void close_run(struct frame_stage *stage, size_t candidate)
{
    struct frame_run *run = &stage->runs[candidate];

    if (run->self == NULL)
        return;
    frame_candidates[candidate]->release(run->self);
    frame_release(run->handles, stage->handles * sizeof(uint32_t));
    run->self = NULL;
}

void frame_stage_close(struct frame_stage *stage)
{
    for (size_t i = 0; i < FRAME_CANDIDATES; i++)
        close_run(stage, i);
}

bool frame_prepare(struct frame_stage *stage, size_t candidate)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    struct frame_run *run = &stage->runs[candidate];

    if (run->self == NULL)
        return false;
    run->live = 0;
    run->random = BENCH_SEED;
    /* New memory is zero, and wiping it would make it real. */
    if (one->wipe != NULL && stage->used[candidate])
        one->wipe(run->self);
    stage->used[candidate] = true;
    return true;
}

bool frame_start(struct frame_stage *stage, size_t candidate)
{
    return frame_prepare(stage, candidate) && frame_begin(stage, candidate);
}

bool frame_begin(struct frame_stage *stage, size_t candidate)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    struct frame_run *run = &stage->runs[candidate];

    if (one->start(run->self, stage->ranges, stage->range_count))
        return true;
    fprintf(stderr, "bench: %s does not start with %s\n", one->name, frame_size_text(stage->bytes));
    close_run(stage, candidate);
    return false;
}

bool frame_fill(size_t candidate, struct frame_run *run, uint64_t target)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    uint64_t frame;

    if (one->fill != NULL)
        one->fill(run, target);
    while (run->live < target && one->get(run->self, run->size, &frame))
        run->handles[run->live++] = (uint32_t)frame;
    return run->live == target;
}

void frame_put_all(size_t candidate, struct frame_run *run)
{
    if (run->live != 0)
        frame_candidates[candidate]->loops.put(run, run->live);
}

void frame_shuffle(struct frame_run *run)
{
    for (uint64_t i = run->live; i > 1; i--) {
        uint64_t other = bench_random_below(&run->random, i);
        uint32_t handle = run->handles[i - 1];

        run->handles[i - 1] = run->handles[other];
        run->handles[other] = handle;
    }
}

struct bench_batch frame_measure(const struct bench *bench, size_t candidate, struct frame_run *run,
                                 frame_loop *loop, uint64_t operations, const char *phase)
{
    char label[96];
    struct bench_task task = {loop, run, operations, label};
    struct bench_batch batch;

    (void)snprintf(label, sizeof(label), "%s%s|%s|%" PS_PRIu, phase,
                   bench->suffix != NULL ? bench->suffix : "", frame_candidates[candidate]->name,
                   operations);
    run->failures = 0;
    run->checksum = 0;
    batch = bench_measure(bench, &task);
    batch.failures = run->failures;
    batch.checksum = run->checksum;
    return batch;
}
