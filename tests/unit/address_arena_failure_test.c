/*
 * Memory that is refused: the n-th frame, once and for good. A call that failed has changed
 * nothing; what was reserved cannot fail; giving back never fails.
 */
#include "address_arena_fixture.h"

#include "unit_suites.h"

#define ASK(...) (&(struct ps_arena_request){__VA_ARGS__})

enum { STEPS_MAX = 16, PAGES = 1 << 24 };

/*
 * Let 0, 1, 2, ... frames of the call be given and refuse the next, until it no longer fails; it
 * is then carried out. How many different failures there were.
 */
static uint64_t fail_everywhere(struct test *test, struct arena_fixture *f,
                                ps_status (*call)(struct arena_fixture *f))
{
    for (uint64_t n = 0; n < STEPS_MAX; n++) {
        for (unsigned for_good = 0; for_good < 2; for_good++) {
            struct arena_state before = arena_state(f);
            ps_status status;

            ps_frame_pool_fail_after(&f->pool, n, for_good != 0);
            status = call(f);
            ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
            if (status == PS_OK)
                return n;
            EXPECT_STATUS(status, PS_NO_MEMORY);
            arena_expect_same(test, f, &before);
            if (test->failures != 0)
                return n;
        }
    }
    EXPECT_EQ(STEPS_MAX, 0); /* it never succeeds */
    return STEPS_MAX;
}

static ps_status get_one(struct arena_fixture *f)
{
    uint64_t first;

    return arena_ask(f, 3, &first);
}

ARENA_CASE(an_allocation_that_finds_no_frame_changes_nothing, 0, PAGES, 1)
{
    uint64_t failures = 0;

    for (unsigned i = 0; i < 1000; i++)
        failures += fail_everywhere(test, f, get_one);
    EXPECT(failures > 10);
    EXPECT(f->arena.counters.failed >= failures);
    EXPECT_EQ(f->arena.counters.allocs, 1000);
}

static ps_status take_place(struct arena_fixture *f)
{
    return ps_arena_alloc_at(&f->arena, ASK(.pages = 2, .splits = 3), 8 * f->arena.counters.live,
                             true);
}

ARENA_CASE(an_exact_place_that_finds_no_frame_changes_nothing, 0, PAGES, 3)
{
    uint64_t failures = 0;

    for (unsigned i = 0; i < 500; i++)
        failures += fail_everywhere(test, f, take_place);
    EXPECT(failures > 10);
}

static ps_status free_middle(struct arena_fixture *f)
{
    struct ps_arena_extent last;

    return ps_arena_previous(&f->arena, PAGES, &last)
               ? ps_arena_free_part(&f->arena, last.first + 2, 2)
               : PS_NOT_FOUND;
}

ARENA_CASE(a_middle_that_finds_no_frame_is_not_freed, 0, PAGES, 1)
{
    uint64_t failures = 0;

    (void)arena_get(test, f, 100000);
    for (unsigned i = 0; i < 500; i++)
        failures += fail_everywhere(test, f, free_middle);
    EXPECT(failures > 3);
    EXPECT_EQ(f->arena.counters.live, 501);
}

static ps_status retire_middle(struct arena_fixture *f)
{
    struct ps_arena_extent last;

    return ps_arena_previous(&f->arena, PAGES, &last)
               ? ps_arena_retire(&f->arena, last.first + 2, 2)
               : PS_NOT_FOUND;
}

ARENA_CASE(a_middle_that_finds_no_frame_is_not_retired, 0, PAGES, 1)
{
    uint64_t failures = 0;

    (void)arena_get(test, f, 100000);
    for (unsigned i = 0; i < 300; i++)
        failures += fail_everywhere(test, f, retire_middle);
    EXPECT(failures > 3);
    EXPECT_EQ(f->arena.counters.live, 301);
    EXPECT_EQ(f->arena.counters.retired, 300);
}

static ps_status reserve_last(struct arena_fixture *f)
{
    struct ps_arena_extent last;

    return ps_arena_previous(&f->arena, PAGES, &last)
               ? ps_arena_reserve_splits(&f->arena, last.first, 15)
               : PS_NOT_FOUND;
}

ARENA_CASE(a_reserve_that_finds_no_frame_is_not_there, 0, PAGES, 1)
{
    uint64_t failures = 0;

    for (unsigned i = 0; i < 100; i++) {
        (void)arena_get(test, f, 40);
        failures += fail_everywhere(test, f, reserve_last);
    }
    EXPECT(failures > 10);
}

/* Fifteen middles of each, in whatever leaf, without a frame to be had. */
ARENA_CASE(what_was_reserved_cannot_fail, 0, PAGES, 1)
{
    enum { COUNT = 100 };
    uint64_t at[COUNT];

    for (unsigned i = 0; i < COUNT; i++)
        EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 100, .splits = 15), &at[i]));
    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (unsigned cut = 0; cut < 15; cut++)
        for (unsigned i = 0; i < COUNT; i++)
            EXPECT_OK(ps_arena_free_part(&f->arena, at[i] + 95 - 6 * cut, 2));
    EXPECT_EQ(f->arena.counters.live, COUNT * 16);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    for (unsigned i = 0; i < COUNT; i++)
        arena_put(test, f, at[i]);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
}

ARENA_CASE(retiring_uses_the_reserve_up_too, 0, PAGES, 1)
{
    struct ps_arena_extent extent;
    uint64_t first = 0;

    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 100, .splits = 6), &first));
    EXPECT_OK(ps_arena_retire(&f->arena, first + 50, 10));
    EXPECT_OK(ps_arena_find(&f->arena, first, &extent));
    EXPECT_EQ(extent.splits, 4);
    EXPECT_OK(ps_arena_retire(&f->arena, first + 40, 10));
    EXPECT_OK(ps_arena_find(&f->arena, first, &extent));
    EXPECT_EQ(extent.splits, 3);
    EXPECT_OK(ps_arena_find(&f->arena, first + 60, &extent));
    EXPECT_EQ(extent.splits, 0);
    EXPECT_OK(ps_arena_reserve_splits(&f->arena, first, 2));
    EXPECT_OK(ps_arena_find(&f->arena, first, &extent));
    EXPECT_EQ(extent.splits, 3);
    EXPECT_REFUSED(ps_arena_reserve_splits(&f->arena, first, 16), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_reserve_splits(&f->arena, first + 50, 1), PS_NOT_FOUND);
}

static const struct test_case cases[] = {
    TEST_CASE(an_allocation_that_finds_no_frame_changes_nothing),
    TEST_CASE(an_exact_place_that_finds_no_frame_changes_nothing),
    TEST_CASE(a_middle_that_finds_no_frame_is_not_freed),
    TEST_CASE(a_middle_that_finds_no_frame_is_not_retired),
    TEST_CASE(a_reserve_that_finds_no_frame_is_not_there),
    TEST_CASE(what_was_reserved_cannot_fail),
    TEST_CASE(retiring_uses_the_reserve_up_too),
};

const struct test_suite suite_address_arena_failure = TEST_SUITE("address_arena_failure", cases);
