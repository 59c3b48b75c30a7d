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

    frame_stage_open(bench, &stage, &(struct frame_plan){.bytes = bytes, .units = count});
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

static struct bench_row *refused_row(struct bench *bench, uint64_t bytes, enum frame_size size,
                                     unsigned percent)
{
    return bench_row(bench, "B3", "ns", &frame_field, "%s: no %s, %u%% free",
                     frame_size_text(bytes), size == FRAME_2M ? "2 MiB" : "1 GiB", percent);
}

static void measure_refused(struct bench *bench, struct frame_stage *stage, enum frame_size size,
                            unsigned percent)
{
    struct bench_row *row = refused_row(bench, stage->bytes, size, percent);

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

static void refused_at(struct bench *bench, uint64_t bytes, const unsigned *percents, size_t count)
{
    struct frame_stage stage;

    frame_stage_open(bench, &stage, &(struct frame_plan){.bytes = bytes});
    for (size_t c = 0; c < FRAME_FLOOR; c++) {
        if (!frame_start(&stage, c))
            continue;
        (void)frame_fill(c, &stage.runs[c], stage.span);
        frame_shuffle(&stage.runs[c]);
    }
    for (size_t p = 0; p < count; p++) {
        thin_out(&stage, percents[p]);
        measure_refused(bench, &stage, FRAME_2M, percents[p]);
        measure_refused(bench, &stage, FRAME_1G, percents[p]);
    }
    frame_stage_close(&stage);
}

/*
 * The same where too many frames are to be taken one by one: all in 2 MiB, of which 2 % then go
 * in single frames, and every other of these comes back.
 */
static void scatter(size_t candidate, struct frame_run *run, uint64_t span)
{
    const struct frame_candidate *one = frame_candidates[candidate];
    uint64_t from;

    run->size = FRAME_2M;
    (void)frame_fill(candidate, run, span / FRAMES_2M);
    one->loops.put(run, run->live / 50);
    from = run->live;
    run->size = FRAME_4K;
    (void)frame_fill(candidate, run, from + span / 40);
    for (uint64_t i = from; i < run->live; i += 2)
        if (!one->put(run->self, FRAME_4K, run->handles[i]))
            fprintf(stderr, "bench: %s does not take a frame back\n", one->name);
}

static void refused_in(struct bench *bench, uint64_t bytes)
{
    uint64_t span = bytes >> PS_PAGE_SHIFT;
    struct frame_stage stage;

    frame_stage_open(bench, &stage,
                     &(struct frame_plan){.bytes = bytes, .units = span / FRAMES_2M + span / 40});
    for (size_t c = 0; c < FRAME_FLOOR; c++)
        if (frame_start(&stage, c))
            scatter(c, &stage.runs[c], span);
    measure_refused(bench, &stage, FRAME_2M, 1);
    measure_refused(bench, &stage, FRAME_1G, 1);
    frame_stage_close(&stage);
}

/* A failing request must not become slower with the memory. */
static void refused_growth(struct bench *bench)
{
    bench->warming = false;
    for (enum frame_size size = FRAME_2M; size <= FRAME_1G; size++) {
        struct bench_row *row =
            bench_row(bench, "B3", "x", &frame_field, "no %s: 4 TiB against 4 GiB",
                      size == FRAME_2M ? "2 MiB" : "1 GiB");

        row->target.value = 1.5;
        bench_compare(bench, row, refused_row(bench, 4 * PS_GIB, size, 1),
                      refused_row(bench, 4 * PS_TIB, size, 1), 1);
    }
}

static void refused(struct bench *bench)
{
    static const unsigned all[] = {1, 10, 50};
    static const unsigned ten[] = {10};
    static const uint64_t sizes[] = {64 * PS_GIB, PS_TIB, 4 * PS_TIB};

    refused_at(bench, 4 * PS_GIB, all, PS_ARRAY_SIZE(all));
    refused_at(bench, 64 * PS_GIB, ten, PS_ARRAY_SIZE(ten));
    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        refused_in(bench, sizes[i]);
    refused_growth(bench);
}

/* ---- what is left of large frames ---- */

/*
 * How many whole 2 MiB frames can be had after 20 passes of churn. Aged memory has been full
 * once before and came back in random order: after that, a free list hands out frames from
 * everywhere.
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
        bench_row(bench, "B3", "", &frame_field, "%s %u%% full, %s: 2 MiB frames",
                  frame_size_text(stage->bytes), percent, aged ? "aged" : "new");

    row->property = true;
    row->more_is_better = true;
    row->bound = (double)((stage->span - target) / FRAMES_2M);
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
    frame_stage_open(bench, &stage, &(struct frame_plan){.bytes = 4 * PS_GIB});
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
    large_at(bench, PS_TIB, FRAME_1G, (PS_TIB >> PS_PAGE_SHIFT) / FRAMES_1G);
    large_at(bench, 4 * PS_TIB, FRAME_1G, (4 * PS_TIB >> PS_PAGE_SHIFT) / FRAMES_1G);
    refused(bench);
    quality(bench);
}
