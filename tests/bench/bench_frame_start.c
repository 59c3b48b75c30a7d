/*
 * B4: start-up over a map of 64 ranges, and bytes of metadata.
 *
 * "first" is the time until one frame has been handed out, "all" until the metadata of every
 * GiB exists, which ours writes when a frame of it is first used: one is taken and put back. That
 * leaves 64 bytes for each 2 MiB, written when these are first broken: "broken" is until
 * that has been done to all of them. Each on new memory, where the host's page faults count,
 * and on memory that has been written to before.
 */
#include "frame_bench.h"

enum { RANGES = 64, HOLE = 16 };

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

/*
 * A frame in each `step` frames. False, and counted as a failure, when one cannot be had that
 * must be free.
 */
static bool touch_each(const struct frame_stage *stage, size_t candidate, uint64_t step)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    bool good = true;

    if (one->touch == NULL)
        return true;
    for (size_t i = 0; i < stage->range_count; i++) {
        const struct frame_range *range = &stage->ranges[i];
        uint64_t at = range->first;

        for (; at < range->first + range->frames; at = ps_align_down(at, step) + step)
            good &= one->touch(stage->runs[candidate].self, at);
    }
    return good;
}

enum { FIRST, ALL, BROKEN, TIMES };

static bool start_once(struct frame_stage *stage, size_t candidate, struct bench_batch times[TIMES])
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
    times[FIRST] = (struct bench_batch){1, bench_now() - start, !good, frame, false};
    good = touch_each(stage, candidate, FRAMES_1G);
    times[ALL] = (struct bench_batch){1, bench_now() - start, !good, frame, false};
    good = touch_each(stage, candidate, FRAMES_2M);
    times[BROKEN] = (struct bench_batch){1, bench_now() - start, !good, frame, false};
    return true;
}

static struct bench_row *start_row(struct bench *bench, uint64_t bytes, bool fresh, unsigned time)
{
    static const char *const names[TIMES] = {"first frame", "all frames", "all broken"};

    return bench_row(bench, "B4", "ns", &frame_field, "%s %s: %s", frame_size_text(bytes),
                     fresh ? "new memory" : "warm", names[time]);
}

static void add_times(struct bench *bench, const struct frame_stage *stage, size_t candidate,
                      bool fresh, const struct bench_batch times[TIMES])
{
    static const double targets[TIMES] = {10000, 12000000, 0};

    for (unsigned t = 0; t < TIMES; t++) {
        struct bench_row *row = start_row(bench, stage->bytes, fresh, t);

        if (!fresh && stage->bytes == 4 * PS_TIB)
            row->target.value = targets[t];
        bench_add(bench, row, candidate, &times[t]);
    }
}

static struct bench_row *metadata_row(struct bench *bench, uint64_t bytes, const char *what,
                                      double target)
{
    struct bench_row *row =
        bench_row(bench, "B4", "B", &frame_field, "%s: a frame, %s", frame_size_text(bytes), what);

    row->property = true;
    row->target.value = target;
    return row;
}

static void add_metadata(struct bench *bench, const struct frame_stage *stage, size_t candidate)
{
    struct bench_row *row = metadata_row(bench, stage->bytes, "all free", 0.15);
    uint64_t bytes = frame_candidates[candidate]->metadata(stage->runs[candidate].self);

    bench_add_value(bench, row, candidate, (double)bytes / (double)stage->span);
}

static void start_round(struct bench *bench, struct frame_stage *stage, bool fresh, bool last)
{
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        struct bench_batch times[TIMES];

        if (!start_once(stage, c, times))
            continue;
        add_times(bench, stage, c, fresh, times);
        if (last)
            add_metadata(bench, stage, c);
    }
}

/* In small pages: of large ones the first touch would cost more than what is measured. */
static void open_stage(const struct bench *bench, struct frame_stage *stage, uint64_t bytes)
{
    struct frame_plan plan = {.bytes = bytes, .small_pages = true};

    frame_stage_open(bench, stage, &plan);
    cut_ranges(stage);
}

static void start_at(struct bench *bench, uint64_t bytes)
{
    struct frame_stage stage;

    bench->warming = false;
    for (unsigned i = 0; i < BENCH_REPETITIONS; i++) {
        open_stage(bench, &stage, bytes);
        start_round(bench, &stage, true, false);
        frame_stage_close(&stage);
    }
    open_stage(bench, &stage, bytes);
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
    bench_compare(bench, row, start_row(bench, 4 * PS_GIB, false, FIRST),
                  start_row(bench, 4 * PS_TIB, false, FIRST), 1);
}

/* Every frame handed out one by one, in turns to two owners. */
static void fill_mixed(size_t candidate, struct frame_run *run)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    uint64_t frame;

    for (;;) {
        bool other = one->get_other != NULL && run->live % 2 != 0;

        if (other ? !one->get_other(run->self, &frame) : !one->get(run->self, FRAME_4K, &frame))
            return;
        run->live++;
    }
}

static void metadata_when_full(struct bench *bench, uint64_t bytes, bool mixed)
{
    struct bench_row *row =
        metadata_row(bench, bytes, mixed ? "taken by two owners" : "all taken", 1.2);
    struct frame_stage stage;

    bench->warming = false;
    open_stage(bench, &stage, bytes);
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        struct frame_run *run = &stage.runs[c];

        if (!frame_start(&stage, c))
            continue;
        if (mixed)
            fill_mixed(c, run);
        else
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
    for (size_t i = 0; i < 2; i++) {
        metadata_when_full(bench, sizes[i], false);
        metadata_when_full(bench, sizes[i], true);
    }
}
