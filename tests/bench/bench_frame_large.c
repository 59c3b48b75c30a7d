/*
 * B3: large frames, requests that must fail, and what churn leaves of large frames.
 */
#include "frame_bench.h"

enum { CHURNS = 200000, PASSES = 20 };

/* ---- frames of 2 MiB and of 1 GiB ---- */

static const char *const large_phases[] = {"get", "put", "pair", "churn"};

static struct bench_row *large_row(struct bench *bench, const struct frame_stage *stage,
                                   enum frame_size size, const char *phase)
{
    struct bench_row *row =
        bench_row(bench, "B3", "ns", &frame_field, "%s: %s %s", frame_size_text(stage->bytes),
                  size == FRAME_2M ? "2 MiB" : "1 GiB", phase);

    if (phase == large_phases[0] && stage->bytes == 4 * PS_TIB)
        row->target.value = 15;
    return row;
}

/* As often all of them and back as makes a batch; what is too slow to get all gets some. */
static void measure_get_put(const struct bench *bench, size_t candidate, struct frame_run *run,
                            uint64_t count, struct bench_batch batches[2])
{
    const struct frame_loops *loops = &frame_candidates[candidate]->loops;

    batches[0] = batches[1] = (struct bench_batch){0};
    do {
        struct bench_batch batch = frame_measure(bench, candidate, run, loops->get, count, "get");

        bench_join(&batches[0], &batch);
        batch = frame_measure(bench, candidate, run, loops->put, run->live, "put");
        bench_join(&batches[1], &batch);
        frame_put_all(candidate, run);
    } while (batches[0].operations < BENCH_BATCH && batches[0].nanoseconds < bench->limit);
    batches[0].stopped |= batches[0].operations < BENCH_BATCH;
}

static void add_large(struct bench *bench, const struct frame_stage *stage, size_t candidate,
                      size_t phase, const struct bench_batch *batch)
{
    struct bench_row *row =
        large_row(bench, stage, stage->runs[candidate].size, large_phases[phase]);

    bench_add(bench, row, candidate, batch);
}

static void empty_round(struct bench *bench, struct frame_stage *stage, size_t candidate,
                        uint64_t count)
{
    struct bench_batch batches[2];

    measure_get_put(bench, candidate, &stage->runs[candidate], count, batches);
    add_large(bench, stage, candidate, 0, &batches[0]);
    add_large(bench, stage, candidate, 1, &batches[1]);
}

static void filled_round(struct bench *bench, struct frame_stage *stage, size_t candidate,
                         uint64_t count)
{
    const struct frame_loops *loops = &frame_candidates[candidate]->loops;
    struct frame_run *run = &stage->runs[candidate];
    struct bench_batch batch;

    /* One stays out, so that a pair finds a frame where all are taken. */
    (void)frame_fill(candidate, run, count - 1);
    batch = frame_measure(bench, candidate, run, loops->pair, CHURNS, "pair");
    add_large(bench, stage, candidate, 2, &batch);
    frame_shuffle(run);
    batch = frame_measure(bench, candidate, run, loops->churn, CHURNS, "churn");
    add_large(bench, stage, candidate, 3, &batch);
}

/* As many of `count` as every candidate can hand out. */
static uint64_t start_large(struct frame_stage *stage, enum frame_size size, uint64_t count)
{
    for (size_t c = 0; c < FRAME_CANDIDATES; c++) {
        if (stage->runs[c].self == NULL || !frame_start(stage, c))
            continue;
        stage->runs[c].size = size;
        (void)frame_fill(c, &stage->runs[c], count);
        count = ps_min(count, stage->runs[c].live);
        frame_put_all(c, &stage->runs[c]);
    }
    return count;
}

/* A share of all frames of that size, or as many as there are. */
static void large_at(struct bench *bench, uint64_t bytes, enum frame_size size, uint64_t count)
{
    static void (*const rounds[])(struct bench * bench, struct frame_stage * stage,
                                  size_t candidate, uint64_t count) = {empty_round, filled_round};
    struct frame_stage stage;

    frame_stage_open(bench, &stage, bytes, count, count);
    count = start_large(&stage, size, count);
    for (size_t r = 0; r < PS_ARRAY_SIZE(rounds); r++) {
        for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
            bench->warming = i == 0;
            for (size_t c = 0; c < FRAME_CANDIDATES; c++)
                if (stage.runs[c].self != NULL)
                    rounds[r](bench, &stage, c, count);
        }
    }
    frame_stage_close(&stage);
}

/* ---- requests that must fail ---- */

static void refused_rows(struct bench *bench, struct frame_stage *stage, unsigned percent,
                         enum frame_size size)
{
    struct bench_row *row =
        bench_row(bench, "B3", "ns", &frame_field, "%s: no %s, %u%% free",
                  frame_size_text(stage->bytes), size == FRAME_2M ? "2 MiB" : "1 GiB", percent);

    row->target.value = 20;
    for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
        bench->warming = i == 0;
        for (size_t c = 0; c < FRAME_FLOOR; c++) {
            struct frame_run *run = &stage->runs[c];
            struct bench_batch batch;

            if (run->self == NULL)
                continue;
            run->size = size;
            batch = frame_measure(bench, c, run, frame_candidates[c]->loops.refused, BENCH_BATCH,
                                  "refused");
            bench_add(bench, row, c, &batch);
        }
    }
}

/* All frames taken one by one, then `percent` of them at random given back. */
static void thin_out(struct frame_stage *stage, unsigned percent)
{
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        struct frame_run *run = &stage->runs[c];
        uint64_t keep = stage->span - stage->span * percent / 100;

        if (run->self == NULL)
            continue;
        run->size = FRAME_4K;
        if (run->live > keep)
            frame_candidates[c]->loops.put(run, run->live - keep);
    }
}

static void refused_at(struct bench *bench, uint64_t bytes)
{
    static const unsigned percents[] = {1, 10, 50};
    struct frame_stage stage;

    frame_stage_open(bench, &stage, bytes, UINT64_MAX / PS_PAGE_SIZE, bytes >> PS_PAGE_SHIFT);
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        if (!frame_start(&stage, c))
            continue;
        (void)frame_fill(c, &stage.runs[c], stage.span);
        frame_shuffle(&stage.runs[c]);
    }
    for (size_t p = 0; p < PS_ARRAY_SIZE(percents); p++) {
        thin_out(&stage, percents[p]);
        refused_rows(bench, &stage, percents[p], FRAME_2M);
        refused_rows(bench, &stage, percents[p], FRAME_1G);
    }
    frame_stage_close(&stage);
}

/* A failing request must not become slower with the memory. */
static void refused_growth(struct bench *bench)
{
    static const char *const sizes[] = {"2 MiB", "1 GiB"};

    bench->warming = false;
    for (size_t s = 0; s < PS_ARRAY_SIZE(sizes); s++) {
        struct bench_row *small =
            bench_row(bench, "B3", "ns", &frame_field, "4 GiB: no %s, 10%% free", sizes[s]);
        struct bench_row *large =
            bench_row(bench, "B3", "ns", &frame_field, "64 GiB: no %s, 10%% free", sizes[s]);
        struct bench_row *row =
            bench_row(bench, "B3", "x", &frame_field, "no %s: 64 GiB against 4 GiB", sizes[s]);

        row->target.value = 1.5;
        bench_compare(bench, row, small, large, 1);
    }
}

/* ---- what is left of large frames ---- */

/*
 * Aged memory has been full once and came back in random order: after that, a free list
 * hands out frames from everywhere.
 */
static void age(size_t candidate, struct frame_run *run, uint64_t span)
{
    (void)frame_fill(candidate, run, span);
    frame_shuffle(run);
    frame_put_all(candidate, run);
}

/* A pass: as many times {put one at random, get one} as frames are held. */
static bool churn_passes(const struct bench *bench, size_t candidate, struct frame_run *run)
{
    struct bench patient = {.limit = 12 * bench->limit};
    struct bench_batch batch;

    frame_shuffle(run);
    batch = frame_measure(&patient, candidate, run, frame_candidates[candidate]->loops.churn,
                          PASSES * run->live, "churn");
    return batch.stopped;
}

static uint64_t count_obtainable(size_t candidate, struct frame_run *run)
{
    uint64_t count = 0;
    uint64_t frame;

    while (frame_candidates[candidate]->get(run->self, FRAME_2M, &frame))
        count++;
    return count;
}

static void quality_row(struct bench *bench, struct frame_stage *stage, unsigned percent, bool aged)
{
    uint64_t target = stage->span * percent / 100;
    struct bench_row *row =
        bench_row(bench, "B3", "frames", &frame_field, "%s %u%% %s: 2 MiB left of %" PS_PRIu,
                  frame_size_text(stage->bytes), percent, aged ? "aged" : "new",
                  (stage->span - target) / FRAMES_2M);

    row->more_is_better = true;
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        struct frame_run *run = &stage->runs[c];

        if (!frame_start(stage, c))
            continue;
        run->size = FRAME_4K;
        if (aged)
            age(c, run, stage->span);
        (void)frame_fill(c, run, target);
        row->cells[c].stopped = churn_passes(bench, c, run);
        bench_add_value(bench, row, c, (double)count_obtainable(c, run));
    }
}

static void quality(struct bench *bench)
{
    static const unsigned percents[] = {50, 75, 90};
    struct frame_stage stage;

    bench->warming = false;
    frame_stage_open(bench, &stage, 4 * PS_GIB, UINT64_MAX / PS_PAGE_SIZE,
                     4 * PS_GIB >> PS_PAGE_SHIFT);
    for (size_t p = 0; p < PS_ARRAY_SIZE(percents); p++) {
        quality_row(bench, &stage, percents[p], false);
        quality_row(bench, &stage, percents[p], true);
    }
    frame_stage_close(&stage);
}

void bench_frames_large(struct bench *bench)
{
    static const uint64_t sizes[] = {64 * PS_GIB, PS_TIB, 4 * PS_TIB};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        large_at(bench, sizes[i], FRAME_2M, (sizes[i] >> PS_PAGE_SHIFT) / FRAMES_2M / 2);
    large_at(bench, 4 * PS_TIB, FRAME_1G, (4 * PS_TIB >> PS_PAGE_SHIFT) / FRAMES_1G);
    refused_at(bench, 4 * PS_GIB);
    refused_at(bench, 64 * PS_GIB);
    refused_growth(bench);
    quality(bench);
}
