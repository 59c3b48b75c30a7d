#include "frame_pool_fixture.h"

#include <string.h>

/* Watermarks, requests that can wait, and failures on request. */

/*
 * 8 MiB in which single frames are handed out and taken back in quick calls: there are no low
 * frames beside them.
 */
#define QUICK SIM_RAM(0x1000, 0x800)
enum { USED = 0x1190, RUN = 0x1200, RUN_PAGES = 100, LENDABLE = 0x2000 };

static ps_status take(struct pool_fixture *f, enum ps_frame_size size, unsigned flags,
                      ps_frame_t *frame)
{
    return ps_frame_pool_alloc(&f->pool, size, PS_FRAME_USER, flags, frame);
}

/* One frame is used, and there are tag bytes: from now on a single frame is one frame. */
static uint64_t settle(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(USED), ps_pages(1), PS_FRAME_STACK));
    pool_free(test, f, pool_single(test, f), 1);
    return pool_now(f).free;
}

/* ---- being told ---- */

struct told {
    unsigned times;
    uint64_t free;                   /* the last time */
    struct pool_fixture *f;          /* for those who call the pool when they are told */
    struct ps_frame_watermarks next; /* and watch again */
};

static void note(void *context, uint64_t free_frames)
{
    struct told *told = context;

    told->times++;
    told->free = free_frames;
}

static void watch(struct test *test, struct pool_fixture *f, struct told *told, uint64_t low,
                  uint64_t high)
{
    const struct ps_frame_watermarks watermarks = {low, high, note, told};

    EXPECT_OK(ps_frame_pool_watch(&f->pool, &watermarks));
}

POOL_CASE(it_is_told_once_that_frames_are_fewer_than_low, QUICK)
{
    struct told told = {0};
    uint64_t free = settle(test, f);
    uint64_t taken[5];

    watch(test, f, &told, free - 2, UINT64_MAX);
    taken[0] = pool_single(test, f);
    taken[1] = pool_single(test, f);
    EXPECT_EQ(told.times, 0);
    taken[2] = pool_single(test, f);
    EXPECT_EQ(told.times, 1);
    EXPECT_EQ(told.free, free - 3);
    EXPECT(f->pool.watermarks.notify == NULL);
    taken[3] = pool_single(test, f);
    for (unsigned i = 0; i < 4; i++)
        pool_free(test, f, taken[i], 1);
    taken[4] = pool_run(test, f, 100, 0, UINT64_MAX);
    EXPECT_EQ(told.times, 1);
    EXPECT_EQ(told.free, free - 3);
}

POOL_CASE(it_is_told_once_that_frames_are_more_than_high, QUICK)
{
    struct told told = {0};
    uint64_t taken[4];
    uint64_t free;

    (void)settle(test, f);
    for (unsigned i = 0; i < 4; i++)
        taken[i] = pool_single(test, f);
    free = pool_now(f).free;
    watch(test, f, &told, 0, free + 2);
    pool_free(test, f, taken[0], 1);
    pool_free(test, f, taken[1], 1);
    EXPECT_EQ(told.times, 0);
    pool_free(test, f, taken[2], 1);
    EXPECT_EQ(told.times, 1);
    EXPECT_EQ(told.free, free + 3);
    EXPECT(f->pool.watermarks.notify == NULL);
    pool_free(test, f, taken[3], 1);
    EXPECT_EQ(told.times, 1);
}

POOL_CASE(who_is_outside_already_is_told_at_once, QUICK)
{
    struct told told = {0};
    uint64_t free = settle(test, f);

    watch(test, f, &told, free + 1, UINT64_MAX);
    EXPECT_EQ(told.times, 1);
    EXPECT_EQ(told.free, free);
    watch(test, f, &told, 0, free - 1);
    EXPECT_EQ(told.times, 2);
    watch(test, f, &told, free, free);
    EXPECT_EQ(told.times, 2);
    (void)pool_single(test, f);
    EXPECT_EQ(told.times, 3);
    EXPECT_EQ(told.free, free - 1);
}

POOL_CASE(nobody_is_told_any_more_after_watching_ended, QUICK)
{
    struct told told = {0};
    uint64_t free = settle(test, f);

    watch(test, f, &told, free, free);
    EXPECT(f->pool.metered);
    EXPECT_OK(ps_frame_pool_watch(&f->pool, NULL));
    EXPECT(!f->pool.metered);
    pool_free(test, f, pool_single(test, f), 1);
    (void)pool_run(test, f, 5, 0, UINT64_MAX);
    EXPECT_EQ(told.times, 0);
    watch(test, f, &told, 0, UINT64_MAX);
    (void)pool_run(test, f, 5, 0, UINT64_MAX);
    EXPECT_EQ(told.times, 0);
    watch(test, f, &told, pool_now(f).free, UINT64_MAX);
    (void)pool_single(test, f);
    EXPECT_EQ(told.times, 1);
}

POOL_CASE(the_last_watermarks_count, QUICK)
{
    struct told first = {0};
    struct told second = {0};
    uint64_t free = settle(test, f);

    watch(test, f, &first, free, free);
    watch(test, f, &second, free, free);
    (void)pool_single(test, f);
    EXPECT_EQ(first.times, 0);
    EXPECT_EQ(second.times, 1);
}

POOL_CASE(watermarks_without_sense_are_refused, QUICK)
{
    struct told told = {0};
    struct ps_frame_pool empty = {0};
    const struct ps_frame_watermarks good = {1, 2, note, &told};
    const struct ps_frame_watermarks crossed = {2, 1, note, &told};
    const struct ps_frame_watermarks nobody = {1, 2, NULL, &told};

    EXPECT_STATUS(ps_frame_pool_watch(NULL, &good), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_watch(&empty, &good), PS_BAD_STATE);
    EXPECT_STATUS(ps_frame_pool_watch(&empty, NULL), PS_BAD_STATE);
    EXPECT_REFUSED(ps_frame_pool_watch(&f->pool, &crossed), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_watch(&f->pool, &nobody), PS_INVALID_ARGS);
    watch(test, f, &told, 0, UINT64_MAX);
    EXPECT_REFUSED(ps_frame_pool_watch(&f->pool, &crossed), PS_INVALID_ARGS);
    EXPECT_EQ(told.times, 0);
}

/* ---- every call that changes the number ---- */

static void fewer_by_scattered(struct test *test, struct pool_fixture *f)
{
    ps_frame_t frames[3];

    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 3, PS_FRAME_USER, 0, frames));
}

static void fewer_by_run(struct test *test, struct pool_fixture *f)
{
    (void)pool_run(test, f, 3, 0, UINT64_MAX);
}

static void fewer_by_2m(struct test *test, struct pool_fixture *f)
{
    ps_frame_t frame;

    EXPECT_OK(take(f, PS_FRAME_2M, 0, &frame));
}

static void fewer_by_claim(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(7), ps_pages(3), PS_FRAME_USER));
}

static void fewer_by_share(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(USED), ps_pages(1)));
}

static void fewer_by_lend(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(LENDABLE)));
}

static void fewer_by_quarantine(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 3));
}

static void more_by_free(struct test *test, struct pool_fixture *f)
{
    pool_free(test, f, USED, 1);
}

static void more_by_run(struct test *test, struct pool_fixture *f)
{
    pool_free(test, f, RUN, RUN_PAGES);
}

static void more_by_unshare(struct test *test, struct pool_fixture *f)
{
    pool_free(test, f, RUN, RUN_PAGES);
    pool_free(test, f, RUN, RUN_PAGES);
}

static void more_by_add(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(0x1900), ps_pages(1)));
}

static void more_by_end_of_quarantine(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 0));
}

/* The call makes it one frame more or fewer at least, and that is noticed. */
static void expect_told(struct test *test, struct pool_fixture *f,
                        void (*call)(struct test *test, struct pool_fixture *f), unsigned number)
{
    struct told told = {0};
    uint64_t free = pool_now(f).free;
    uint64_t failures = test->failures;

    watch(test, f, &told, free, free);
    call(test, f);
    EXPECT_EQ(told.times, 1);
    EXPECT(told.free != free);
    if (test->failures != failures)
        test_note(test, "call %u of the list", number);
}

POOL_CASE(every_call_that_takes_frames_tells, SIM_RAM(0, 256), QUICK, SIM_RAM(LENDABLE, 0x1000))
{
    void (*const calls[])(struct test * test, struct pool_fixture * f) = {
        fewer_by_scattered, fewer_by_run,   fewer_by_2m,         fewer_by_claim,
        fewer_by_lend,      fewer_by_share, fewer_by_quarantine,
    };

    (void)settle(test, f);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(LENDABLE), ps_pages(1), PS_FRAME_USER));
    for (unsigned i = 0; i < PS_ARRAY_SIZE(calls); i++)
        expect_told(test, f, calls[i], i);
}

POOL_CASE(every_call_that_gives_frames_back_tells, QUICK,
          {{0x1900}, {1}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    void (*const calls[])(struct test * test, struct pool_fixture * f) = {
        more_by_free, more_by_run, more_by_add, more_by_unshare, more_by_end_of_quarantine,
    };

    for (unsigned i = 0; i < PS_ARRAY_SIZE(calls); i++) {
        (void)ps_frame_pool_claim(&f->pool, ps_frame(USED), ps_pages(1), PS_FRAME_USER);
        (void)ps_frame_pool_claim(&f->pool, ps_frame(RUN), ps_pages(RUN_PAGES), PS_FRAME_USER);
        if (calls[i] == more_by_unshare)
            EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(RUN), ps_pages(RUN_PAGES)));
        if (calls[i] == more_by_end_of_quarantine)
            EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 3));
        expect_told(test, f, calls[i], i);
    }
}

POOL_CASE(calls_that_are_refused_or_change_nothing_tell_nothing, QUICK)
{
    struct told told = {0};
    uint64_t free = settle(test, f);
    ps_frame_t frame = ps_frame(77);
    uint64_t first = 77;

    watch(test, f, &told, free, free);
    EXPECT_REFUSED(take(f, PS_FRAME_1G, 0, &frame), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 5000, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(USED + 1), ps_pages(1)), PS_NOT_FOUND);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    EXPECT_EQ(told.times, 0);
    EXPECT(f->pool.watermarks.notify == note);
}

/* ---- from within ---- */

static void note_and_take(void *context, uint64_t free_frames)
{
    struct told *told = context;
    ps_frame_t frame;

    note(told, free_frames);
    if (take(told->f, PS_FRAME_4K, 0, &frame) == PS_OK && told->times < 4)
        (void)!ps_frame_pool_watch(&told->f->pool, &told->next);
}

/* Of a pool with locks, a notification while one is held would never come back. */
static uint32_t processor_0(void *context)
{
    (void)context;
    return 0;
}

static void take_until_told(struct test *test, struct pool_fixture *f)
{
    struct told told = {.f = f};
    uint64_t free = settle(test, f);
    struct ps_frame_watermarks first = {free - 3, UINT64_MAX, note_and_take, &told};

    told.next = (struct ps_frame_watermarks){free - 10, UINT64_MAX, note_and_take, &told};
    EXPECT_OK(ps_frame_pool_watch(&f->pool, &first));
    for (unsigned i = 0; i < 4; i++)
        (void)pool_single(test, f);
    EXPECT_EQ(told.times, 1);
    EXPECT_EQ(told.free, free - 4);
    EXPECT_EQ(pool_now(f).free, free - 5);
    for (unsigned i = 0; i < 5; i++)
        (void)pool_single(test, f);
    EXPECT_EQ(told.times, 1);
    (void)pool_single(test, f);
    /* Each frame that is taken within, and each new watch, is outside again: until the fourth. */
    EXPECT_EQ(told.times, 4);
    EXPECT_EQ(told.free, free - 13);
    EXPECT_EQ(pool_now(f).free, free - 14);
}

POOL_CASE(who_is_told_may_call_the_pool_and_watch_again, QUICK)
{
    take_until_told(test, f);
}

static void who_is_told_may_call_a_pool_with_locks(struct test *test)
{
    static const struct sim_range range = QUICK;
    struct pool_fixture f = {.sim = sim_machine_create(&range, 1, 0)};

    REQUIRE(f.sim != NULL);
    f.sim->machine.processors = 2;
    f.sim->machine.processor = processor_0;
    if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map)))
        take_until_told(test, &f);
    sim_machine_destroy(f.sim);
}

/* ---- at random: told exactly when the number leaves the range ---- */

enum { TAKEN_MAX = 64, STEPS = 4000 };

struct walk {
    struct test_random random;
    struct told told;
    uint64_t taken[TAKEN_MAX];
    unsigned count;
    uint64_t low;
    uint64_t high;
};

static void take_or_give(struct test *test, struct pool_fixture *f, struct walk *walk)
{
    if (walk->count == 0 || (walk->count < TAKEN_MAX && test_random_below(&walk->random, 2) == 0))
        walk->taken[walk->count++] = pool_single(test, f);
    else
        pool_free(test, f, walk->taken[--walk->count], 1);
}

static void watch_around(struct test *test, struct pool_fixture *f, struct walk *walk,
                         uint64_t free)
{
    walk->low = free - test_random_below(&walk->random, 9);
    walk->high = free + test_random_below(&walk->random, 9);
    watch(test, f, &walk->told, walk->low, walk->high);
}

POOL_CASE(single_frames_are_counted_exactly_while_somebody_watches, QUICK)
{
    const uint64_t seed = 0x77a7c4;
    struct walk walk = {.random = test_random(seed)};
    uint64_t start = settle(test, f);

    watch_around(test, f, &walk, start);
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
        uint64_t free;

        walk.told.times = 0;
        take_or_give(test, f, &walk);
        free = start - walk.count;
        EXPECT_EQ(walk.told.times, free < walk.low || free > walk.high);
        if (walk.told.times != 0) {
            EXPECT_EQ(walk.told.free, free);
            watch_around(test, f, &walk, free);
        }
        if (test->failures != 0)
            test_note(test, "seed 0x%" PS_PRIx ", step %u", seed, step);
    }
}

/* ---- requests that can wait ---- */

POOL_CASE(a_request_that_can_wait_leaves_the_wait_level, QUICK)
{
    uint64_t free = settle(test, f);
    ps_frame_t frames[4] = {{77}};

    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, free - 3));
    EXPECT_REFUSED(
        ps_frame_pool_alloc_scattered(&f->pool, 4, PS_FRAME_USER, PS_FRAME_CAN_WAIT, frames),
        PS_SHOULD_WAIT);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 3, PS_FRAME_USER, PS_FRAME_CAN_WAIT, frames));
    EXPECT_EQ(pool_now(f).free, free - 3);
    EXPECT_REFUSED(take(f, PS_FRAME_4K, PS_FRAME_CAN_WAIT, frames), PS_SHOULD_WAIT);
    EXPECT_REFUSED(take(f, PS_FRAME_4K, PS_FRAME_CAN_WAIT | PS_FRAME_ZERO, frames), PS_SHOULD_WAIT);
    EXPECT_REFUSED(take(f, PS_FRAME_2M, PS_FRAME_CAN_WAIT, frames), PS_SHOULD_WAIT);
    EXPECT_OK(take(f, PS_FRAME_4K, 0, frames));
    EXPECT_EQ(pool_now(f).free, free - 4);
}

POOL_CASE(a_run_that_can_wait_leaves_the_wait_level, QUICK)
{
    struct ps_frame_run run = {ps_pages(5), 0, PS_FRAME_ANY, PS_FRAME_USER, PS_FRAME_CAN_WAIT};
    uint64_t free = settle(test, f);
    ps_frame_t frame = ps_frame(77);

    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, free - 5));
    EXPECT_OK(ps_frame_pool_alloc_run(&f->pool, &run, &frame));
    EXPECT_EQ(pool_now(f).free, free - 5);
    run.pages = ps_pages(1);
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &run, &frame), PS_SHOULD_WAIT);
    run.flags = 0;
    EXPECT_OK(ps_frame_pool_alloc_run(&f->pool, &run, &frame));
}

/* Waiting does not help who asks for more than there is. */
POOL_CASE(too_few_frames_at_all_are_no_memory, QUICK)
{
    struct ps_frame_run run = {ps_pages(5000), 0, PS_FRAME_ANY, PS_FRAME_USER, PS_FRAME_CAN_WAIT};
    ps_frame_t frame = ps_frame(77);

    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, UINT64_MAX));
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &run, &frame), PS_NO_MEMORY);
    EXPECT_REFUSED(take(f, PS_FRAME_1G, PS_FRAME_CAN_WAIT, &frame), PS_NO_MEMORY);
    EXPECT_REFUSED(take(f, PS_FRAME_4K, PS_FRAME_CAN_WAIT, &frame), PS_SHOULD_WAIT);
    EXPECT_EQ(frame.number, 77);
}

POOL_CASE(at_first_nobody_has_to_wait, QUICK)
{
    struct ps_frame_pool empty = {0};
    ps_frame_t frame;

    EXPECT_EQ(f->pool.wait_level, 0);
    while (pool_now(f).available != 0)
        EXPECT_OK(take(f, PS_FRAME_4K, PS_FRAME_CAN_WAIT, &frame));
    EXPECT_REFUSED(take(f, PS_FRAME_4K, PS_FRAME_CAN_WAIT, &frame), PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, UINT64_MAX));
    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, 0));
    pool_free(test, f, frame.number, 1);
    EXPECT_OK(take(f, PS_FRAME_4K, PS_FRAME_CAN_WAIT, &frame));
    EXPECT_STATUS(ps_frame_pool_set_wait_level(NULL, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_set_wait_level(&empty, 1), PS_BAD_STATE);
}

/* ---- failures on request ---- */

static ps_status call_alloc(struct pool_fixture *f)
{
    ps_frame_t frame;

    return take(f, PS_FRAME_4K, 0, &frame);
}

static ps_status call_run(struct pool_fixture *f)
{
    uint64_t first = 0;

    return pool_try_run(f, 3, 1, UINT64_MAX, &first);
}

static ps_status call_share(struct pool_fixture *f)
{
    return ps_frame_pool_share(&f->pool, ps_frame(USED), ps_pages(1));
}

POOL_CASE(as_many_calls_succeed_as_were_asked_for, QUICK)
{
    (void)settle(test, f);
    for (uint64_t successes = 1; successes < 6; successes++) {
        ps_frame_pool_fail_after(&f->pool, successes, true);
        for (uint64_t i = 0; i < successes; i++)
            EXPECT_OK(i % 2 == 0 ? call_alloc(f) : call_share(f));
        EXPECT_REFUSED(call_alloc(f), PS_NO_MEMORY);
        EXPECT_REFUSED(call_run(f), PS_NO_MEMORY);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, true);
        EXPECT(!f->pool.metered);
        EXPECT_OK(call_alloc(f));
    }
    EXPECT_OK(call_run(f));
}

POOL_CASE(one_failure_is_one, QUICK)
{
    (void)settle(test, f);
    ps_frame_pool_fail_after(&f->pool, 1, false);
    EXPECT_OK(call_alloc(f));
    EXPECT_STATUS(call_alloc(f), PS_NO_MEMORY);
    EXPECT(!f->pool.fail_armed);
    EXPECT_OK(call_alloc(f));
    EXPECT_OK(call_share(f));
}

/* What fails by itself is not counted, and neither is what takes frames back. */
POOL_CASE(only_calls_that_would_succeed_are_counted, QUICK)
{
    uint64_t first = 77;
    ps_frame_t frame;

    (void)settle(test, f);
    ps_frame_pool_fail_after(&f->pool, 1, true);
    EXPECT_REFUSED(pool_try_run(f, 5000, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(take(f, PS_FRAME_4K, 1u << 20, &frame), PS_INVALID_ARGS);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 0, PS_FRAME_USER, 0, NULL));
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 0));
    EXPECT_EQ(f->pool.fail_countdown, 1);
    EXPECT_OK(take(f, PS_FRAME_4K, 0, &frame));
    EXPECT_EQ(f->pool.fail_countdown, 0);
    pool_free(test, f, frame.number, 1);
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 0));
    EXPECT_REFUSED(call_alloc(f), PS_NO_MEMORY);
}

POOL_CASE(no_pool_has_no_failures, QUICK)
{
    struct ps_frame_pool empty = {0};
    const struct ps_frame_pool same = {0};

    ps_frame_pool_fail_after(NULL, 0, true);
    ps_frame_pool_fail_after(&empty, 0, true);
    EXPECT(memcmp(&empty, &same, sizeof(empty)) == 0);
    EXPECT(!f->pool.fail_armed);
}

static const struct test_case cases[] = {
    TEST_CASE(it_is_told_once_that_frames_are_fewer_than_low),
    TEST_CASE(it_is_told_once_that_frames_are_more_than_high),
    TEST_CASE(who_is_outside_already_is_told_at_once),
    TEST_CASE(nobody_is_told_any_more_after_watching_ended),
    TEST_CASE(the_last_watermarks_count),
    TEST_CASE(watermarks_without_sense_are_refused),
    TEST_CASE(every_call_that_takes_frames_tells),
    TEST_CASE(every_call_that_gives_frames_back_tells),
    TEST_CASE(calls_that_are_refused_or_change_nothing_tell_nothing),
    TEST_CASE(who_is_told_may_call_the_pool_and_watch_again),
    TEST_CASE(who_is_told_may_call_a_pool_with_locks),
    TEST_CASE(single_frames_are_counted_exactly_while_somebody_watches),
    TEST_CASE(a_request_that_can_wait_leaves_the_wait_level),
    TEST_CASE(a_run_that_can_wait_leaves_the_wait_level),
    TEST_CASE(too_few_frames_at_all_are_no_memory),
    TEST_CASE(at_first_nobody_has_to_wait),
    TEST_CASE(as_many_calls_succeed_as_were_asked_for),
    TEST_CASE(one_failure_is_one),
    TEST_CASE(only_calls_that_would_succeed_are_counted),
    TEST_CASE(no_pool_has_no_failures),
};

const struct test_suite suite_frame_pool_watch = TEST_SUITE("frame_pool_watch", cases);
