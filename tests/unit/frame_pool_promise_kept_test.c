#include "frame_pool_promise_fixture.h"

#include <string.h>

#include "hw.h"
#include "unit_suites.h"

/*
 * Promises beside instruments and beside several processors, how quick calls keep them, and what
 * is said of them.
 */

/* ---- instruments ---- */

POOL_CASE(a_promised_frame_neither_fails_nor_waits, POOL_SMALL)
{
    uint64_t frame;

    EXPECT_OK(promise(f, 4));
    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, UINT64_MAX));
    ps_frame_pool_fail_after(&f->pool, 1, true);
    EXPECT(promised(test, f) != 0);
    EXPECT(promised(test, f) != 0);
    EXPECT_OK(single(f, 0, &frame));
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    EXPECT(promised(test, f) != 0);
    /* To promise is a call that can fail, and so is made to. */
    EXPECT_REFUSED(promise(f, 3), PS_NO_MEMORY);
    EXPECT_OK(promise(f, 0));
    EXPECT_OK(unpromise(f, 1));
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
}

static void note(void *context, uint64_t free_frames)
{
    *(uint64_t *)context = free_frames;
}

POOL_CASE(watermarks_count_promised_frames_as_free, POOL_SMALL)
{
    uint64_t told = 0;
    uint64_t free = pool_single(test, f) != 0 ? pool_now(f).free : 0;
    const struct ps_frame_watermarks marks = {free - 4, UINT64_MAX, note, &told};

    EXPECT_OK(ps_frame_pool_watch(&f->pool, &marks));
    EXPECT_OK(promise(f, 1000));
    EXPECT_EQ(told, 0);
    for (unsigned i = 0; i < 4; i++)
        (void)pool_single(test, f);
    EXPECT_EQ(told, 0);
    EXPECT(promised(test, f) != 0);
    EXPECT_EQ(told, free - 5);
}

/* The nearer of the two limits counts, whichever it is. */
POOL_CASE(promised_frames_stay_where_watermarks_are_far, POOL_SMALL)
{
    uint64_t told = 0;
    const struct ps_frame_watermarks marks = {1, UINT64_MAX, note, &told};
    uint64_t frame;

    EXPECT_OK(ps_frame_pool_watch(&f->pool, &marks));
    (void)promise_all_but(test, f, 5);
    for (unsigned i = 0; i < 5; i++)
        (void)pool_single(test, f);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    expect_promised(test, f, SMALL_SINGLES - 5, SMALL_SINGLES - 5);
    EXPECT_EQ(told, 0);
}

static void spoil(struct pool_fixture *f, uint64_t frame)
{
    *(uint8_t *)ps_hw_frame(&f->sim->machine, ps_frame(frame)) = 0;
}

POOL_CASE(damaged_frames_are_passed_over_while_there_are_others, POOL_SMALL)
{
    uint64_t first;
    uint64_t second;

    first = pool_single(test, f);
    second = pool_single(test, f);
    pool_free(test, f, second, 1);
    pool_free(test, f, first, 1);
    EXPECT_OK(ps_frame_pool_fill(&f->pool, 8));
    spoil(f, first);
    spoil(f, second);
    EXPECT_OK(promise(f, 1));
    EXPECT_EQ(promised(test, f), second + 1);
    EXPECT_EQ(pool_now(f).damaged, 2);
    EXPECT_EQ(pool_now(f).damaged_used, 0);
    pool_expect_unit(test, f, first, first, 1, PS_FRAME_DAMAGED);
    pool_expect_unit(test, f, second, second, 1, PS_FRAME_DAMAGED);
}

POOL_CASE(what_was_promised_weighs_more_than_damage, POOL_SMALL)
{
    uint64_t first;

    first = pool_single(test, f);
    pool_free(test, f, first, 1);
    EXPECT_OK(ps_frame_pool_fill(&f->pool, 8));
    spoil(f, first);
    spoil(f, first + 2); /* in between will be the tag bytes */
    (void)promise_all_but(test, f, 1);
    EXPECT_EQ(promised(test, f), first + 2);
    EXPECT_EQ(pool_now(f).damaged, 1);
    EXPECT_EQ(pool_now(f).damaged_used, 1);
    pool_expect_unit(test, f, first + 2, first + 2, 1, PS_FRAME_TABLE);
    EXPECT_EQ(promised(test, f), first + 3);
    EXPECT_EQ(pool_now(f).damaged_used, 1);
    EXPECT_EQ(pool_now(f).promised, SMALL_SINGLES - 3);
    EXPECT_EQ(pool_now(f).available, SMALL_SINGLES - 3);
}

POOL_CASE(a_damaged_frame_costs_no_promised_one, POOL_SMALL)
{
    uint64_t first;
    uint64_t frame;

    first = pool_single(test, f);
    pool_free(test, f, first, 1);
    EXPECT_OK(ps_frame_pool_fill(&f->pool, 8));
    (void)promise_all_but(test, f, 1);
    spoil(f, first);
    EXPECT_REFUSED(claim(f, first, 2), PS_NO_MEMORY);
    EXPECT_STATUS(single(f, 0, &frame), PS_CORRUPT);
    EXPECT_EQ(pool_now(f).damaged, 1);
    EXPECT_EQ(pool_now(f).promised, SMALL_SINGLES - 1);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    EXPECT_REFUSED(claim(f, 1500, 1), PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

/* ---- the quick way ---- */

POOL_CASE(quick_calls_stay_quick_beside_a_promise, PLAIN(TRACT, 2048), SIM_RAM(4 * TRACT, 3))
{
    uint64_t left = f->fresh.available - 1001;
    uint64_t frames[10];

    (void)pool_single(test, f);
    EXPECT_OK(promise(f, 1000));
    EXPECT(f->pool.plain);
    EXPECT_EQ(f->pool.gets, left);
    for (unsigned i = 0; i < 10; i++)
        frames[i] = pool_single(test, f);
    EXPECT_EQ(f->pool.totals.free, f->fresh.free - 1);
    EXPECT_EQ(f->pool.gets, left - 10);
    for (unsigned i = 0; i < 3; i++)
        pool_free(test, f, frames[i], 1);
    EXPECT_EQ(f->pool.totals.free, f->fresh.free - 1);
    EXPECT_EQ(f->pool.gets, left - 7);
    EXPECT_OK(unpromise(f, 1000));
    EXPECT_EQ(f->pool.gets, f->pool.granted);
    EXPECT(f->pool.gets > SMALL_FRAMES);
}

/* ---- several processors ---- */

static uint32_t current;

static uint32_t processor_of(void *context)
{
    (void)context;
    return current;
}

/* What is not promised is shared out among them, and what one leaves the other gets. */
static void leave_the_promised_ones(struct test *test, struct pool_fixture *f)
{
    uint64_t frame;
    uint64_t taken[2];

    for (current = 0; current < 2; current++)
        taken[current] = pool_single(test, f);
    (void)promise_all_but(test, f, 25);
    for (uint64_t i = 0; i < 25; i++) {
        current = i < 3;
        (void)pool_single(test, f);
    }
    for (current = 0; current < 2; current++)
        EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    for (current = 0; current < 2; current++)
        pool_free(test, f, taken[current], 1);
    current = 0;
    (void)pool_single(test, f);
    (void)pool_single(test, f);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    EXPECT(promised(test, f) != 0);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

static void several_processors_leave_the_promised_ones(struct test *test)
{
    static const struct sim_range ranges[] = {POOL_SMALL, SIM_RAM(2 * TRACT, TRACT)};
    struct pool_fixture f = {.sim = sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), 0)};

    REQUIRE(f.sim != NULL);
    f.sim->machine.processors = 2;
    f.sim->machine.processor = processor_of;
    current = 0;
    if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map)))
        leave_the_promised_ones(test, &f);
    sim_machine_destroy(f.sim);
}

/* ---- what is said of them ---- */

static void expect_breach(struct test *test, struct pool_fixture *f, const char *expected)
{
    char text[128];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, &sink), PS_CORRUPT);
    EXPECT_TEXT(text, expected);
}

/* More have come back, one by one, than the totals know of. */
POOL_CASE(what_came_back_quickly_can_be_promised, PLAIN(TRACT, 2048), SIM_RAM(4 * TRACT, 3))
{
    uint64_t all = pool_now(f).available;
    uint64_t frames[10];

    for (unsigned i = 0; i < 9; i++)
        EXPECT_OK(single(f, 0, &frames[i]));
    EXPECT_OK(promise(f, 1));
    EXPECT_OK(single(f, 0, &frames[9]));
    for (unsigned i = 0; i < 5; i++)
        EXPECT_OK(ps_frame_pool_free(&f->pool, ps_frame(frames[i]), ps_pages(1)));
    EXPECT_OK(promise(f, all - 5 - 1));
    EXPECT_REFUSED(promise(f, 1), PS_NO_MEMORY);
    expect_promised(test, f, all - 5, all - 5);
}

POOL_CASE(a_promise_that_cannot_be_kept_is_found, POOL_SMALL)
{
    EXPECT_OK(promise(f, 10));
    f->pool.promised = SMALL_SINGLES + 1;
    expect_breach(test, f,
                  "frame pool: promised frames that are available: 1788 counted, 1789 kept\n");
    f->pool.promised = 0;
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    f->pool.promised = 10;
    expect_breach(test, f,
                  "frame pool: frames that quick calls may take: 2047 counted, "
                  "4611686018427387904 kept\n");
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

POOL_CASE(a_dump_tells_how_many_are_promised, POOL_SMALL)
{
    char text[512];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(promise(f, 513));
    ps_frame_pool_dump(&f->pool, &sink);
    EXPECT(strstr(text, " 1788 available, 513 promised, ") != NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(a_promised_frame_neither_fails_nor_waits),
    TEST_CASE(watermarks_count_promised_frames_as_free),
    TEST_CASE(promised_frames_stay_where_watermarks_are_far),
    TEST_CASE(damaged_frames_are_passed_over_while_there_are_others),
    TEST_CASE(what_was_promised_weighs_more_than_damage),
    TEST_CASE(a_damaged_frame_costs_no_promised_one),
    TEST_CASE(quick_calls_stay_quick_beside_a_promise),
    TEST_CASE(several_processors_leave_the_promised_ones),
    TEST_CASE(what_came_back_quickly_can_be_promised),
    TEST_CASE(a_promise_that_cannot_be_kept_is_found),
    TEST_CASE(a_dump_tells_how_many_are_promised),
};

const struct test_suite suite_frame_pool_promise_kept =
    TEST_SUITE("frame_pool_promise_kept", cases);
