/*
 * B4: start-up over a map of 64 ranges, and bytes of metadata.
 *
 * "first" is the time until one frame has been handed out, "all" until the metadata of every
 * frame exists: a frame in each 128 MiB is taken and put back, because a pool may build it
 * late. Each on new memory, where the host's page faults count, and on memory that has been
 * written to before.
 */
#include "frame_bench.h"

enum { RANGES = 64, HOLE = 16 };

#define TOUCH_STEP ((uint64_t)32768)

/* 64 equal ranges, each with a hole at its end, which is no multiple of anything large. */
static void cut_ranges(struct frame_stage *stage)
{
    uint64_t each = stage->span / RANGES;

    stage->range_count = RANGES;
    for (uint64_t i = 0; i < RANGES; i++)
        stage->ranges[i] = (struct frame_range){.first = i * each, .frames = each - HOLE};
    stage->ranges[0].first += FRAME_FIRST;
    stage->ranges[0].frames -= FRAME_FIRST;
}

/* False, and counted as a failure, when a frame cannot be had that must be free. */
static bool touch_all(const struct frame_stage *stage, size_t candidate)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    bool good = true;

    if (one->touch == NULL)
        return true;
    for (size_t i = 0; i < stage->range_count; i++) {
        const struct frame_range *range = &stage->ranges[i];

        for (uint64_t at = 0; at < range->frames; at += TOUCH_STEP)
            good &= one->touch(stage->runs[candidate].self, range->first + at);
    }
    return good;
}

struct times {
    struct bench_batch first;
    struct bench_batch all;
};

static bool start_once(struct frame_stage *stage, size_t candidate, struct times *times)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    uint64_t frame = 0;
    uint64_t start;
    bool good;

    if (!frame_prepare(stage, candidate))
        return false;
    start = bench_now();
    if (!frame_begin(stage, candidate))
        return false;
    good = one->get(stage->runs[candidate].self, FRAME_4K, &frame);
    times->first = (struct bench_batch){1, bench_now() - start, !good, frame, false};
    good = touch_all(stage, candidate);
    times->all = (struct bench_batch){1, bench_now() - start, !good, frame, false};
    return true;
}

static struct bench_row *start_row(struct bench *bench, uint64_t bytes, bool fresh,
                                   const char *phase)
{
    return bench_row(bench, "B4", "ns", &frame_field, "%s %s: %s frame%s", frame_size_text(bytes),
                     fresh ? "new memory" : "warm", phase, phase[0] == 'a' ? "s" : "");
}

static void add_times(struct bench *bench, const struct frame_stage *stage, size_t candidate,
                      bool fresh, const struct times *times)
{
    struct bench_row *first = start_row(bench, stage->bytes, fresh, "first");
    struct bench_row *all = start_row(bench, stage->bytes, fresh, "all");

    if (!fresh && stage->bytes == 4 * PS_TIB) {
        first->target.value = 10000;
        all->target.value = 12000000;
    }
    bench_add(bench, first, candidate, &times->first);
    bench_add(bench, all, candidate, &times->all);
}

static void add_metadata(struct bench *bench, const struct frame_stage *stage, size_t candidate)
{
    struct bench_row *row = bench_row(bench, "B4", "B", &frame_field, "%s metadata a free frame",
                                      frame_size_text(stage->bytes));

    row->target.value = 0.15;
    if (candidate != FRAME_FLOOR)
        bench_add_value(bench, row, candidate,
                        (double)frame_candidates[candidate]->metadata(stage->runs[candidate].self) /
                            (double)stage->span);
}

static void start_round(struct bench *bench, struct frame_stage *stage, bool fresh, bool last)
{
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        struct times times;

        if (!start_once(stage, c, &times))
            continue;
        add_times(bench, stage, c, fresh, &times);
        if (last)
            add_metadata(bench, stage, c);
    }
}

static void open_stage(const struct bench *bench, struct frame_stage *stage, uint64_t bytes,
                       uint64_t handles)
{
    frame_stage_open(bench, stage, bytes, UINT64_MAX / PS_PAGE_SIZE, handles);
    cut_ranges(stage);
}

static void start_at(struct bench *bench, uint64_t bytes)
{
    struct frame_stage stage;

    bench->warming = false;
    for (unsigned i = 0; i < BENCH_REPETITIONS; i++) {
        open_stage(bench, &stage, bytes, 1);
        start_round(bench, &stage, true, false);
        frame_stage_close(&stage);
    }
    open_stage(bench, &stage, bytes, 1);
    for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
        bench->warming = i == 0;
        start_round(bench, &stage, false, i == BENCH_REPETITIONS);
    }
    frame_stage_close(&stage);
}

static void growth(struct bench *bench)
{
    struct bench_row *row =
        bench_row(bench, "B4", "x", &frame_field, "warm, first: 4 TiB against 4 GiB");

    bench->warming = false;
    row->target.value = 2;
    bench_compare(bench, row, start_row(bench, 4 * PS_GIB, false, "first"),
                  start_row(bench, 4 * PS_TIB, false, "first"), 1);
}

/* With every frame handed out one by one. */
static void metadata_when_full(struct bench *bench, uint64_t bytes)
{
    struct bench_row *row = bench_row(bench, "B4", "B", &frame_field,
                                      "%s metadata an allocated frame", frame_size_text(bytes));
    struct frame_stage stage;

    bench->warming = false;
    row->target.value = 1.2;
    open_stage(bench, &stage, bytes, bytes >> PS_PAGE_SHIFT);
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        struct frame_run *run = &stage.runs[c];

        if (!frame_start(&stage, c))
            continue;
        (void)frame_fill(c, run, stage.span);
        bench_add_value(bench, row, c,
                        (double)frame_candidates[c]->metadata(run->self) / (double)run->live);
    }
    frame_stage_close(&stage);
}

void bench_frames_start(struct bench *bench)
{
    static const uint64_t sizes[] = {4 * PS_GIB, 64 * PS_GIB, PS_TIB, 4 * PS_TIB};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        start_at(bench, sizes[i]);
    growth(bench);
    metadata_when_full(bench, 4 * PS_GIB);
    metadata_when_full(bench, 64 * PS_GIB);
}
