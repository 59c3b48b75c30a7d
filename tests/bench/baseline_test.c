/*
 * The baselines hand out what they should: random gets and puts against an oracle that owns
 * one byte a frame. A baseline that is wrong would be a wrong measure. Also that the numbers
 * of the report are what they say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "frame_baseline.h"
#include "harness/test.h"
#include "page_test.h"

enum { SEEDS = 4, STEPS = 6000, HELD = 1 << 14 };

/* Two GiB and a bit: the end is no multiple of 1 GiB, but of a page of descriptors. */
#define SPAN (FRAMES_1G * 2 + FRAMES_2M * 3)

static const struct frame_range ranges[] = {
    {3, FRAMES_2M * 4},                   /* not aligned to anything */
    {FRAMES_2M * 6 + 1, 1},               /* a single frame */
    {FRAMES_2M * 8 - 1, FRAMES_2M + 2},   /* one whole 2 MiB, a frame on both sides */
    {FRAMES_2M * 12, FRAMES_2M - 1},      /* a frame less than 2 MiB */
    {FRAMES_1G - 7, FRAMES_1G + 7 + 700}, /* a whole 1 GiB, and more */
    {SPAN - FRAMES_2M, FRAMES_2M},        /* up to the very end */
};

enum owner { ABSENT, FREE, TAKEN };

struct unit {
    uint64_t first;
    enum frame_size size;
};

struct model {
    const struct frame_candidate *one;
    void *self;
    uint8_t *owners;   /* one byte a frame */
    uint64_t free;     /* frames */
    struct unit *held; /* [0, count) */
    size_t count;
};

static bool open_model(struct model *model, const struct frame_candidate *one)
{
    static const struct frame_setup setup = {SPAN, 1, false};

    *model = (struct model){.one = one, .self = one->reserve(&setup)};
    model->owners = calloc(SPAN, 1);
    model->held = calloc(HELD, sizeof(struct unit));
    if (model->self == NULL || model->owners == NULL || model->held == NULL)
        return false;
    for (size_t i = 0; i < PS_ARRAY_SIZE(ranges); i++) {
        memset(model->owners + ranges[i].first, FREE, ranges[i].frames);
        model->free += ranges[i].frames;
    }
    return one->start(model->self, ranges, PS_ARRAY_SIZE(ranges));
}

static void close_model(struct model *model)
{
    if (model->self != NULL)
        model->one->release(model->self);
    free(model->owners);
    free(model->held);
}

static bool all_are(const struct model *model, uint64_t first, uint64_t frames, enum owner owner)
{
    uint64_t i = 0;

    while (i < frames && model->owners[first + i] == owner)
        i++;
    return i == frames;
}

static bool any_place(const struct model *model, enum frame_size size)
{
    uint64_t frames = frame_count(size);

    for (uint64_t first = 0; first + frames <= SPAN; first += frames)
        if (all_are(model, first, frames, FREE))
            return true;
    return false;
}

static void set_owner(struct model *model, struct unit unit, enum owner owner)
{
    uint64_t frames = frame_count(unit.size);

    memset(model->owners + unit.first, (int)owner, frames);
    if (owner == FREE)
        model->free += frames;
    else
        model->free -= frames;
}

static void get_one(struct test *test, struct model *model, enum frame_size size)
{
    struct unit unit = {UINT64_MAX, size};
    uint64_t frames = frame_count(size);

    if (model->count == HELD)
        return;
    if (!model->one->get(model->self, size, &unit.first)) {
        EXPECT(!any_place(model, size));
        return;
    }
    REQUIRE(unit.first < SPAN && SPAN - unit.first >= frames);
    EXPECT_EQ(unit.first % frames, 0);
    EXPECT(all_are(model, unit.first, frames, FREE));
    set_owner(model, unit, TAKEN);
    model->held[model->count++] = unit;
}

static void put_one(struct test *test, struct model *model, size_t index)
{
    struct unit unit = model->held[index];

    EXPECT(model->one->put(model->self, unit.size, unit.first));
    set_owner(model, unit, FREE);
    model->held[index] = model->held[--model->count];
    /* The same again is a double free, and one past the end is nobody's. */
    EXPECT(!model->one->put(model->self, unit.size, unit.first));
    EXPECT(!model->one->put(model->self, FRAME_4K, SPAN));
    EXPECT(!model->one->put(model->self, FRAME_4K, UINT64_MAX));
}

/* Mostly single frames, some of 2 MiB, rarely one of 1 GiB. */
static enum frame_size random_size(struct test_random *random)
{
    uint64_t dice = test_random_below(random, 100);

    if (dice == 0)
        return FRAME_1G;
    return dice < 12 ? FRAME_2M : FRAME_4K;
}

static void play_seed(struct test *test, struct model *model, uint64_t seed)
{
    struct test_random random = test_random(seed);
    uint64_t before = test->failures;

    for (unsigned step = 0; step < STEPS && test->failures == before; step++) {
        /* More gets for some time, then more puts. */
        uint64_t gets = step / 1500 % 2 == 0 ? 70 : 30;

        if (model->count == 0 || test_random_below(&random, 100) < gets)
            get_one(test, model, random_size(&random));
        else
            put_one(test, model, test_random_below(&random, model->count));
        if (test->failures != before)
            test_note(test, "seed %" PS_PRIu ", step %u", seed, step);
    }
}

/* Every free frame can be had, once, and then none. */
static void drain(struct test *test, struct model *model)
{
    uint64_t frame;

    while (model->one->get(model->self, FRAME_4K, &frame)) {
        REQUIRE(frame < SPAN && model->owners[frame] == FREE);
        set_owner(model, (struct unit){frame, FRAME_4K}, TAKEN);
    }
    EXPECT_EQ(model->free, 0);
    /* All are taken there, but not all of them are there. */
    EXPECT(!model->one->put(model->self, FRAME_1G, FRAMES_1G * 2));
    EXPECT(!model->one->put(model->self, FRAME_2M, SPAN - 1));
}

static void check_model(struct test *test, const struct frame_candidate *one)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct model model;

        if (EXPECT(open_model(&model, one))) {
            play_seed(test, &model, seed);
            drain(test, &model);
        }
        close_model(&model);
    }
}

/* After everything came back, the whole 1 GiB is there again; after wipe and start as well. */
static void check_return(struct test *test, const struct frame_candidate *one)
{
    struct model model;
    uint64_t frame;

    if (EXPECT(open_model(&model, one))) {
        while (model.count < HELD && one->get(model.self, FRAME_4K, &frame))
            model.held[model.count++] = (struct unit){frame, FRAME_4K};
        while (model.count != 0)
            EXPECT(one->put(model.self, FRAME_4K, model.held[--model.count].first));
        EXPECT(one->get(model.self, FRAME_1G, &frame));
        EXPECT_EQ(frame, FRAMES_1G);
        EXPECT(!one->get(model.self, FRAME_1G, &frame));
        if (one->wipe != NULL)
            one->wipe(model.self);
        EXPECT(one->start(model.self, ranges, PS_ARRAY_SIZE(ranges)));
        drain(test, &model);
    }
    close_model(&model);
}

static void lifo_agrees_with_the_oracle(struct test *test)
{
    check_model(test, &baseline_lifo);
}

static void buddy_agrees_with_the_oracle(struct test *test)
{
    check_model(test, &baseline_buddy);
}

static void bitmap_agrees_with_the_oracle(struct test *test)
{
    check_model(test, &baseline_bitmap);
}

static void all_frames_come_back_and_start_again(struct test *test)
{
    check_return(test, &baseline_lifo);
    check_return(test, &baseline_buddy);
    check_return(test, &baseline_bitmap);
}

static void lifo_hands_out_what_came_back_last(struct test *test)
{
    struct model model;
    uint64_t frames[3];
    uint64_t again;

    if (EXPECT(open_model(&model, &baseline_lifo))) {
        for (size_t i = 0; i < 3; i++)
            EXPECT(baseline_lifo.get(model.self, FRAME_4K, &frames[i]));
        EXPECT(baseline_lifo.put(model.self, FRAME_4K, frames[0]));
        EXPECT(baseline_lifo.put(model.self, FRAME_4K, frames[2]));
        EXPECT(baseline_lifo.get(model.self, FRAME_4K, &again));
        EXPECT_EQ(again, frames[2]);
        EXPECT(baseline_lifo.get(model.self, FRAME_4K, &again));
        EXPECT_EQ(again, frames[0]);
    }
    close_model(&model);
}

/* ---- the report ---- */

static const struct bench_field field = {
    .names = {"ours", "a", "b", "floor"}, .count = 4, .floor = 3};

static void lowest_and_median_are_those_of_the_samples(struct test *test)
{
    struct bench_cell odd = {.samples = {5, 1, 9, 3, 7}, .count = 5};
    struct bench_cell even = {.samples = {4, 1, 2, 3}, .count = 4};
    struct bench_cell none = {.count = 0};

    EXPECT_EQ(bench_minimum(&odd), 1);
    EXPECT_EQ(bench_median(&odd), 5);
    EXPECT_EQ(bench_minimum(&even), 1);
    EXPECT_EQ(bench_median(&even) * 2, 5);
    EXPECT_EQ(bench_median(&none), 0);
}

static void the_floor_is_no_baseline(struct test *test)
{
    struct bench_row row = {.field = &field};

    for (size_t i = 0; i < 4; i++)
        row.cells[i] = (struct bench_cell){.samples = {(double)(40 - 10 * i)}, .count = 1};
    EXPECT_EQ(bench_best(&row), 2);
    row.more_is_better = true;
    EXPECT_EQ(bench_best(&row), 1);
}

static void a_ratio_decides_before_a_time(struct test *test)
{
    struct bench_row row = {.field = &field, .target = {.value = 1, .ratio = 0.5, .against = "a"}};

    EXPECT_EQ(bench_verdict(&row), BENCH_NOT_ASKED);
    row.cells[0] = (struct bench_cell){.samples = {5}, .count = 1};
    row.cells[1] = (struct bench_cell){.samples = {10}, .count = 1};
    row.cells[2] = (struct bench_cell){.samples = {6}, .count = 1};
    EXPECT_EQ(bench_verdict(&row), BENCH_MET);
    row.target.against = NULL;
    EXPECT_EQ(bench_verdict(&row), BENCH_MISSED);
    row.target.ratio = 0;
    EXPECT_EQ(bench_verdict(&row), BENCH_MISSED);
    row.target.value = 5;
    EXPECT_EQ(bench_verdict(&row), BENCH_MET);
}

static void count_step(void *context, uint64_t n)
{
    *(uint64_t *)context += n;
}

static void slow_step(void *context, uint64_t n)
{
    uint64_t until = bench_now() + 1000 * n;

    count_step(context, n);
    while (bench_now() < until)
        ;
}

static void a_batch_carries_out_exactly_its_operations(struct test *test)
{
    struct bench bench = {.limit = UINT32_MAX};
    uint64_t count = 0;
    struct bench_task task = {count_step, &count, 123457, NULL};
    struct bench_batch batch = bench_measure(&bench, &task);

    EXPECT_EQ(count, 123457);
    EXPECT_EQ(batch.operations, 123457);
    EXPECT(!batch.stopped);
}

static void a_slow_batch_is_stopped_and_says_so(struct test *test)
{
    struct bench bench = {.limit = 2000000};
    uint64_t count = 0;
    struct bench_task task = {slow_step, &count, 1000000, NULL};
    struct bench_batch batch = bench_measure(&bench, &task);

    EXPECT(batch.stopped);
    EXPECT_EQ(batch.operations, count);
    EXPECT(count < 1000000);
    EXPECT(batch.nanoseconds >= bench.limit);
}

static void random_numbers_are_those_of_xorshift64(struct test *test)
{
    uint64_t state = BENCH_SEED;

    EXPECT_EQ(bench_random(&state), 8748534153485358512u);
    EXPECT_EQ(bench_random(&state), 3040900993826735515u);
    for (unsigned i = 0; i < 1000; i++)
        EXPECT(bench_random_below(&state, 7) < 7);
}

/* ---- */

static const struct test_case baseline_cases[] = {
    TEST_CASE(lifo_agrees_with_the_oracle),        TEST_CASE(buddy_agrees_with_the_oracle),
    TEST_CASE(bitmap_agrees_with_the_oracle),      TEST_CASE(all_frames_come_back_and_start_again),
    TEST_CASE(lifo_hands_out_what_came_back_last),
};

static const struct test_case report_cases[] = {
    TEST_CASE(lowest_and_median_are_those_of_the_samples),
    TEST_CASE(the_floor_is_no_baseline),
    TEST_CASE(a_ratio_decides_before_a_time),
    TEST_CASE(a_batch_carries_out_exactly_its_operations),
    TEST_CASE(a_slow_batch_is_stopped_and_says_so),
    TEST_CASE(random_numbers_are_those_of_xorshift64),
};

static void write_out(void *context, const char *text, size_t length)
{
    (void)fwrite(text, 1, length, context);
}

int main(void)
{
    static const struct test_suite baselines = TEST_SUITE("bench_baseline", baseline_cases);
    static const struct test_suite report = TEST_SUITE("bench_report", report_cases);
    static const struct test_suite *const suites[] = {&baselines,
                                                      &page_baseline_suite,
                                                      &range_baseline_suite,
                                                      &arena_baseline_suite,
                                                      &virtual_baseline_suite,
                                                      &report};
    struct test_runner runner = {.out = {write_out, stdout}};

    ps_print(&runner.out, "TAP version 13\n");
    (void)test_plan(&runner, suites, PS_ARRAY_SIZE(suites));
    test_run(&runner, suites, PS_ARRAY_SIZE(suites));
    return runner.failed == 0 ? 0 : 1;
}
