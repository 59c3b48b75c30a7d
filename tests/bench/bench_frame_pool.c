/*
 * B1 and B2: single frames on one processor and on two.
 *
 * Phases at a fill of 50 %: (a) get all, (b) put the last first, (c) 2M pairs of a get and its
 * put, (d) in shuffled order 2M times {put one, get one}, (e) put all, which is in random order
 * then. (d) also at 90 %. What a phase that was stopped leaves undone is made up for between
 * the phases.
 *
 * In B1 our pool knows that there is one processor, and takes no locks; the baselines do. In B2
 * it knows of two, also where only one of them is at work.
 */
#include "bench_suites.h"
#include "frame_bench.h"
#include "frame_loops.h"

enum { REPEATED = 2000000, TRANSFERS = 500000, CHURN = 3 };

static const struct {
    const char *name;
    double ratio; /* to the LIFO list */
    double value_small;
    double value_large; /* from 64 GiB on */
} phases[] = {
    {"get", 0.5, 5, 5},    {"put", 0.5, 5, 5},      {"pair", 0.5, 5, 5},
    {"churn", 0, 40, 110}, {"put random", 0, 0, 0},
};

/* One candidate, on `threads` processors. The handles of the runs are disjoint. */
struct player {
    const struct bench *bench;
    size_t candidate;
    struct frame_run *runs;
    unsigned threads;
};

static struct bench_batch play(const struct player *player, frame_loop *loop, uint64_t each,
                               const char *phase)
{
    struct bench_task tasks[2] = {{loop, &player->runs[0], each, NULL},
                                  {loop, &player->runs[1], each, NULL}};
    struct bench_batch batch;

    if (player->threads == 1)
        return frame_measure(player->bench, player->candidate, player->runs, loop, each, phase);
    for (unsigned i = 0; i < 2; i++)
        player->runs[i].failures = player->runs[i].checksum = 0;
    batch = bench_measure_two(player->bench, tasks);
    for (unsigned i = 0; i < 2; i++) {
        batch.failures += player->runs[i].failures;
        batch.checksum += player->runs[i].checksum;
    }
    return batch;
}

static void refill(const struct player *player, uint64_t each)
{
    for (unsigned i = 0; i < player->threads; i++)
        if (!frame_fill(player->candidate, &player->runs[i], each))
            fprintf(stderr, "bench: %s cannot be filled\n",
                    frame_candidates[player->candidate]->name);
}

static void shuffle(const struct player *player)
{
    for (unsigned i = 0; i < player->threads; i++)
        frame_shuffle(&player->runs[i]);
}

/* All phases, `each` frames and `repeated` repeated operations a processor. */
static void play_phases(const struct player *player, uint64_t each, uint64_t repeated,
                        struct bench_batch batches[PS_ARRAY_SIZE(phases)])
{
    const struct frame_loops *loops = &frame_candidates[player->candidate]->loops;

    batches[0] = play(player, loops->get, each, phases[0].name);
    refill(player, each);
    batches[1] = play(player, loops->put, player->runs[0].live, phases[1].name);
    refill(player, each);
    batches[2] = play(player, loops->pair, repeated, phases[2].name);
    shuffle(player);
    batches[3] = play(player, loops->churn, repeated, phases[3].name);
    batches[4] = play(player, loops->put, player->runs[0].live, phases[4].name);
}

/* ---- B1 ---- */

static struct bench_row *single_row(struct bench *bench, const struct frame_stage *stage,
                                    unsigned percent, size_t phase)
{
    struct bench_row *row = bench_row(bench, "B1", "ns", &frame_field, "%s %u%% %s",
                                      frame_size_text(stage->bytes), percent, phases[phase].name);

    row->target = (struct bench_target){
        .value = stage->bytes < 64 * PS_GIB ? phases[phase].value_small : phases[phase].value_large,
        .ratio = phases[phase].ratio,
        .against = phases[phase].ratio > 0 ? "lifo" : NULL,
    };
    return row;
}

static void single_round(struct bench *bench, struct frame_stage *stage)
{
    for (size_t i = 0; i < FRAME_CANDIDATES; i++) {
        struct bench_batch batches[PS_ARRAY_SIZE(phases)];
        struct player player = {bench, i, &stage->runs[i], 1};

        if (!frame_start(stage, i))
            continue;
        play_phases(&player, stage->span / 2, REPEATED, batches);
        for (size_t p = 0; p < PS_ARRAY_SIZE(phases); p++)
            bench_add(bench, single_row(bench, stage, 50, p), i, &batches[p]);
    }
}

static void full_round(struct bench *bench, struct frame_stage *stage)
{
    for (size_t i = 0; i < FRAME_CANDIDATES; i++) {
        struct player player = {bench, i, &stage->runs[i], 1};
        struct bench_batch batch;

        if (!frame_start(stage, i))
            continue;
        refill(&player, stage->span * 90 / 100);
        shuffle(&player);
        batch = play(&player, frame_candidates[i]->loops.churn, REPEATED, phases[CHURN].name);
        bench_add(bench, single_row(bench, stage, 90, CHURN), i, &batch);
    }
}

static void singles_at(struct bench *bench, uint64_t bytes)
{
    struct frame_stage stage;

    frame_stage_open(bench, &stage, &(struct frame_plan){.bytes = bytes});
    for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
        bench->warming = i == 0;
        single_round(bench, &stage);
        full_round(bench, &stage);
    }
    frame_stage_close(&stage);
}

/* 4 TiB: half of it goes as 2 MiB frames first, then a million single ones. */
static void huge_round(struct bench *bench, struct frame_stage *stage)
{
    uint64_t half = stage->span / FRAMES_2M / 2;
    struct bench_row *large = bench_row(bench, "B1", "ns", &frame_field, "4 TiB 50%% get 2 MiB");
    struct bench_row *get = bench_row(bench, "B1", "ns", &frame_field, "4 TiB 50%% get");
    struct bench_row *churn = bench_row(bench, "B1", "ns", &frame_field, "4 TiB 50%% churn");

    get->target.value = 5;
    churn->target.value = 70;
    for (size_t i = 0; i < FRAME_CANDIDATES; i++) {
        const struct frame_loops *loops = &frame_candidates[i]->loops;
        struct frame_run *run = &stage->runs[i];
        struct frame_run singles;
        struct bench_batch batch;

        if (!frame_start(stage, i))
            continue;
        run->size = FRAME_2M;
        batch = frame_measure(bench, i, run, loops->get, half, "get 2 MiB");
        bench_add(bench, large, i, &batch);
        (void)frame_fill(i, run, half);
        singles = *run;
        singles.size = FRAME_4K;
        singles.handles += run->live;
        singles.live = 0;
        batch = frame_measure(bench, i, &singles, loops->get, REPEATED / 2, "get");
        bench_add(bench, get, i, &batch);
        (void)frame_fill(i, &singles, REPEATED / 2);
        frame_shuffle(&singles);
        batch = frame_measure(bench, i, &singles, loops->churn, REPEATED / 2, "churn");
        bench_add(bench, churn, i, &batch);
    }
}

static void singles_at_4_tib(struct bench *bench)
{
    uint64_t half = 4 * PS_TIB / (FRAMES_2M << PS_PAGE_SHIFT) / 2;
    struct frame_stage stage;

    frame_stage_open(bench, &stage,
                     &(struct frame_plan){.bytes = 4 * PS_TIB, .units = half + REPEATED / 2});
    for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
        bench->warming = i == 0;
        huge_round(bench, &stage);
    }
    frame_stage_close(&stage);
}

void bench_frames_single(struct bench *bench)
{
    singles_at(bench, 4 * PS_GIB);
    singles_at(bench, 64 * PS_GIB);
    singles_at_4_tib(bench);
}

/* ---- B2 ---- */

static struct bench_row *processor_row(struct bench *bench, uint64_t bytes, unsigned threads,
                                       const char *phase)
{
    return bench_row(bench, "B2", "ns", &frame_field, "%s %u CPU %s", frame_size_text(bytes),
                     threads, phase);
}

static void processor_round(struct bench *bench, struct frame_stage *stage, size_t candidate,
                            unsigned threads)
{
    uint64_t half = stage->span / 4;
    uint64_t each = stage->span / 2 / threads;
    struct frame_run runs[2] = {stage->runs[candidate], stage->runs[candidate]};
    struct player player = {bench, candidate, runs, threads};
    struct bench_batch batches[PS_ARRAY_SIZE(phases)];

    runs[0].live = runs[1].live = 0;
    runs[1].handles += half;
    (void)bench_random(&runs[1].random);
    play_phases(&player, each, REPEATED / threads, batches);
    for (size_t p = 0; p < PS_ARRAY_SIZE(phases); p++)
        bench_add(bench, processor_row(bench, stage->bytes, threads, phases[p].name), candidate,
                  &batches[p]);
}

struct consumer {
    struct frame_run *run;
    frame_put *put;
};

static void consume(void *context)
{
    struct consumer *consumer = context;

    frame_loop_consume(consumer->run, consumer->put);
}

/* Processor 0 gets, processor 1 puts the same frames. */
static void transfer_round(struct bench *bench, struct frame_stage *stage, size_t candidate)
{
    static struct frame_ring ring;
    const struct frame_candidate *one = frame_candidates[candidate];
    struct frame_run runs[2] = {stage->runs[candidate], stage->runs[candidate]};
    struct consumer consumer = {&runs[1], one->put};
    struct bench_helper *helper;
    struct bench_batch batch;

    atomic_store(&ring.written, 0);
    atomic_store(&ring.read, 0);
    atomic_store(&ring.closed, false);
    runs[0].ring = runs[1].ring = &ring;
    runs[1].failures = 0;
    helper = bench_help(consume, &consumer);
    batch = frame_measure(bench, candidate, &runs[0], one->loops.produce, TRANSFERS, "transfer");
    atomic_store(&ring.closed, true);
    bench_help_done(helper);
    batch.failures += runs[1].failures;
    bench_add(bench,
              bench_row(bench, "B2", "ns", &frame_field, "%s 2 CPU get here, put there",
                        frame_size_text(stage->bytes)),
              candidate, &batch);
}

/* How much more two processors do together than one alone. */
static void scaling_rows(struct bench *bench, uint64_t bytes)
{
    static const double targets[] = {10, 10, 10, 60, 0};

    for (size_t p = 0; p < PS_ARRAY_SIZE(phases); p++) {
        struct bench_row *one = processor_row(bench, bytes, 1, phases[p].name);
        struct bench_row *two = processor_row(bench, bytes, 2, phases[p].name);
        struct bench_row *row = bench_row(bench, "B2", "x", &frame_field, "%s throughput %s",
                                          frame_size_text(bytes), phases[p].name);

        two->target.value = targets[p];
        row->more_is_better = true;
        row->target.value = 1.8;
        /* The other way round: the time of one by the time of two. */
        bench_compare(bench, row, two, one, 2);
    }
}

static void processors_at(struct bench *bench, uint64_t bytes)
{
    struct frame_stage stage;

    frame_stage_open(bench, &stage, &(struct frame_plan){.bytes = bytes, .processors = 2});
    for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
        bench->warming = i == 0;
        for (size_t c = 0; c < FRAME_CANDIDATES; c++) {
            for (unsigned threads = 1; threads <= 2; threads++)
                if (c != FRAME_FLOOR && frame_start(&stage, c))
                    processor_round(bench, &stage, c, threads);
            if (c != FRAME_FLOOR && frame_start(&stage, c))
                transfer_round(bench, &stage, c);
        }
    }
    bench->warming = false;
    scaling_rows(bench, bytes);
    frame_stage_close(&stage);
}

void bench_frames_processors(struct bench *bench)
{
    if (bench->processors < 2) {
        fprintf(stderr, "bench: B2 needs two processors\n");
        return;
    }
    processors_at(bench, 4 * PS_GIB);
    processors_at(bench, 64 * PS_GIB);
}

/* ---- for callgrind ---- */

static void count_singles(struct bench *bench, unsigned processors)
{
    struct bench_batch batches[PS_ARRAY_SIZE(phases)];
    struct frame_stage stage;

    frame_stage_open(bench, &stage,
                     &(struct frame_plan){.bytes = PS_GIB / 4, .processors = processors});
    /* Only ours makes a difference. */
    for (size_t i = 0; i < (processors == 1 ? FRAME_CANDIDATES : 1); i++) {
        struct player player = {bench, i, &stage.runs[i], 1};

        if (frame_start(&stage, i))
            play_phases(&player, stage.span / 2, BENCH_BATCH / 5, batches);
    }
    frame_stage_close(&stage);
}

static void count_large(struct bench *bench)
{
    struct frame_stage stage;

    frame_stage_open(bench, &stage,
                     &(struct frame_plan){.bytes = 4 * PS_GIB, .units = 4 * PS_GIB / (2 * PS_MIB)});
    for (size_t i = 0; i < FRAME_CANDIDATES; i++) {
        const struct frame_loops *loops = &frame_candidates[i]->loops;
        struct frame_run *run = &stage.runs[i];

        if (!frame_start(&stage, i))
            continue;
        run->size = FRAME_2M;
        (void)frame_measure(bench, i, run, loops->get, stage.span / FRAMES_2M / 2, "get 2 MiB");
        (void)frame_measure(bench, i, run, loops->pair, BENCH_BATCH / 5, "pair 2 MiB");
        (void)frame_measure(bench, i, run, loops->put, run->live, "put 2 MiB");
    }
    frame_stage_close(&stage);
}

void bench_frames_instructions(struct bench *bench)
{
    count_singles(bench, 1);
    bench->suffix = ", locks";
    count_singles(bench, 2);
    bench->suffix = NULL;
    count_large(bench);
}

/* ---- the suite ---- */

static const struct bench_benchmark benchmarks[] = {
    {"B1", bench_frames_single}, {"B2", bench_frames_processors}, {"B3", bench_frames_large},
    {"B4", bench_frames_start},  {"B9", bench_frames_zeroing},
};

const struct bench_suite bench_frame_pool = {
    "frame_pool",
    benchmarks,
    PS_ARRAY_SIZE(benchmarks),
    bench_frames_instructions,
};
