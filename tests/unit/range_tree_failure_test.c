/*
 * Memory that is refused: the n-th frame, once and for good, or all of it. A call that failed has
 * changed nothing; what was reserved cannot fail; giving back never fails.
 */
#include "range_tree_fixture.h"

#include "unit_suites.h"

enum { STEPS_MAX = 128 };

/*
 * Let 0, 1, 2, ... frames of the call be given and refuse the next, until it no longer fails; it
 * is then carried out. How many different failures there were.
 */
static uint64_t fail_everywhere(struct test *test, struct tree_fixture *f,
                                ps_status (*call)(struct tree_fixture *f), bool for_good)
{
    for (uint64_t n = 0; n < STEPS_MAX; n++) {
        struct tree_state before = tree_state(f);
        ps_status status;

        ps_frame_pool_fail_after(&f->pool, n, for_good);
        status = call(f);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        if (status == PS_OK)
            return n;
        EXPECT_STATUS(status, PS_NO_MEMORY);
        tree_expect_same(test, f, &before);
        if (test->failures != 0)
            return n;
    }
    EXPECT_EQ(STEPS_MAX, 0); /* it never succeeds */
    return STEPS_MAX;
}

static ps_status reserve_100(struct tree_fixture *f)
{
    return ps_range_tree_reserve(&f->tree, 100);
}

TREE_CASE(a_reservation_survives_the_failure_of_every_frame)
{
    uint64_t frames = f->tree.frames;

    EXPECT(fail_everywhere(test, f, reserve_100, false) == f->tree.frames - frames);
    EXPECT_EQ(f->tree.reserved, 100);
    frames = f->tree.frames;
    EXPECT(fail_everywhere(test, f, reserve_100, true) == f->tree.frames - frames);
    EXPECT_EQ(f->tree.reserved, 200);
    tree_fill(test, f, 1000);
    EXPECT(fail_everywhere(test, f, reserve_100, true) > 20);
}

static ps_status insert_one(struct tree_fixture *f)
{
    uint64_t first = f->tree.height != 0 ? f->tree.high + 5 : 0;

    return ps_range_tree_insert(&f->tree, &(struct ps_range){first, first + 3, 0});
}

TREE_CASE(an_insert_that_finds_no_frame_changes_nothing)
{
    uint64_t failures = 0;

    for (unsigned i = 0; i < 1000; i++)
        failures += fail_everywhere(test, f, insert_one, i % 2 == 0);
    EXPECT(failures > 2);
    EXPECT(failures <= f->tree.frames + f->tree.height);
}

static ps_status split_last(struct tree_fixture *f)
{
    return ps_range_tree_split(&f->tree, f->tree.high, 1);
}

TREE_CASE(a_split_that_finds_no_frame_changes_nothing)
{
    uint64_t failures = 0;

    tree_add(test, f, 0, 1000);
    for (unsigned i = 0; i < 500; i++) {
        failures += fail_everywhere(test, f, split_last, i % 2 == 0);
        EXPECT(ps_range_tree_erase(&f->tree, f->tree.high, NULL));
        tree_add(test, f, 2000 + 2 * i, 2001 + 2 * i);
        EXPECT(f->tree.high == 2001 + 2 * i);
    }
    EXPECT(failures > 2);
}

static ps_status clear_middle(struct tree_fixture *f)
{
    struct ps_range last;

    (void)ps_range_tree_previous(&f->tree, UINT64_MAX, &last);
    return ps_range_tree_clear(&f->tree, last.first + 2, last.first + 3);
}

TREE_CASE(a_hole_that_finds_no_frame_changes_nothing)
{
    uint64_t failures = 0;

    tree_add(test, f, 0, 5000);
    for (unsigned i = 0; i < 500; i++)
        failures += fail_everywhere(test, f, clear_middle, i % 2 == 0);
    EXPECT(failures > 2);
    EXPECT_EQ(f->tree.count, 501);
}

static ps_status replace_middle(struct tree_fixture *f)
{
    struct ps_range last;

    (void)ps_range_tree_previous(&f->tree, UINT64_MAX, &last);
    return ps_range_tree_replace(&f->tree, &(struct ps_range){last.first + 2, last.first + 3, 7});
}

static ps_status replace_most(struct tree_fixture *f)
{
    return ps_range_tree_replace(&f->tree, &(struct ps_range){2, f->tree.high - 1, 7});
}

TREE_CASE(a_replacement_that_finds_no_frame_changes_nothing)
{
    uint64_t failures = 0;

    tree_add(test, f, 0, 5000);
    for (unsigned i = 0; i < 300; i++)
        failures += fail_everywhere(test, f, replace_middle, i % 2 == 0);
    EXPECT(failures > 2);
    EXPECT_EQ(f->tree.count, 601);
    (void)fail_everywhere(test, f, replace_most, true);
    EXPECT_EQ(f->tree.count, 3);
}

/* ---- what was reserved ---- */

/* So many inserts as were reserved, in different orders, while no frame is to be had. */
TREE_CASE(what_was_reserved_cannot_fail)
{
    static const uint64_t strides[] = {1, 7, 389, 996};
    enum { COUNT = 997 };

    for (unsigned s = 0; s < PS_ARRAY_SIZE(strides); s++) {
        for (uint64_t begun = 0; begun < COUNT; begun += 331) {
            for (uint64_t i = 0; i < begun; i++)
                tree_add(test, f, 8 * (i * strides[s] % COUNT), 8 * (i * strides[s] % COUNT) + 7);
            REQUIRE_OK(ps_range_tree_reserve(&f->tree, COUNT - begun));
            ps_frame_pool_fail_after(&f->pool, 0, true);
            for (uint64_t i = begun; i < COUNT; i++)
                tree_add(test, f, 8 * (i * strides[s] % COUNT), 8 * (i * strides[s] % COUNT) + 7);
            ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
            EXPECT_EQ(f->tree.reserved, 0);
            EXPECT_OK(ps_range_tree_validate(&f->tree, NULL));
            EXPECT_OK(ps_range_tree_clear(&f->tree, 0, UINT64_MAX));
            EXPECT_EQ(f->tree.frames, 0);
        }
    }
}

TREE_CASE(what_was_reserved_cannot_fail_whatever_is_erased_meanwhile)
{
    enum { COUNT = 600 };

    tree_fill(test, f, COUNT);
    REQUIRE_OK(ps_range_tree_reserve(&f->tree, COUNT));
    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (uint64_t i = 0; i < COUNT; i++) {
        if (i % 3 != 0)
            EXPECT(ps_range_tree_erase(&f->tree, 16 * i, NULL));
        else
            EXPECT_OK(ps_range_tree_clear(&f->tree, 16 * i, 16 * i + 17));
        if (i % 3 == 0 && i + 1 < COUNT)
            EXPECT_OK(ps_range_tree_resize(&f->tree, 16 * i + 18, 16 * i + 16, 16 * i + 27));
    }
    for (uint64_t i = 0; i < COUNT; i++)
        tree_add(test, f, 100000 + 8 * (i * 7 % COUNT), 100000 + 8 * (i * 7 % COUNT) + 3);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_EQ(f->tree.reserved, 0);
}

TREE_CASE(splits_and_replacements_use_reservations_up)
{
    tree_add(test, f, 0, 99);
    REQUIRE_OK(ps_range_tree_reserve(&f->tree, 10));
    EXPECT_OK(ps_range_tree_split(&f->tree, 50, 1));
    EXPECT_EQ(f->tree.reserved, 9);
    EXPECT_OK(ps_range_tree_replace(&f->tree, &(struct ps_range){10, 19, 2}));
    EXPECT_EQ(f->tree.reserved, 7);
    EXPECT_OK(ps_range_tree_replace(&f->tree, &(struct ps_range){0, 99, 2}));
    EXPECT_EQ(f->tree.reserved, 7);
    EXPECT_OK(ps_range_tree_clear(&f->tree, 50, 50));
    EXPECT_EQ(f->tree.reserved, 6);
    EXPECT_OK(ps_range_tree_clear(&f->tree, 0, 10));
    EXPECT_EQ(f->tree.reserved, 6);
    tree_add(test, f, 0, 10);
    EXPECT_EQ(f->tree.reserved, 5);
    EXPECT_STATUS(ps_range_tree_insert(&f->tree, &(struct ps_range){0, 1, 0}), PS_ALREADY_EXISTS);
    EXPECT_EQ(f->tree.reserved, 5);
    ps_range_tree_unreserve(&f->tree, 2);
    EXPECT_EQ(f->tree.reserved, 3);
    ps_range_tree_unreserve(&f->tree, 100);
    EXPECT_EQ(f->tree.reserved, 0);
}

TREE_CASE(reservations_that_are_taken_back_leave_no_frames)
{
    REQUIRE_OK(ps_range_tree_reserve(&f->tree, 200));
    EXPECT(f->tree.frames >= 200 / 5);
    ps_range_tree_unreserve(&f->tree, 100);
    EXPECT_EQ(f->tree.frames, 100 / 5);
    ps_range_tree_unreserve(&f->tree, 100);
    EXPECT_EQ(f->tree.frames, 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
}

TREE_CASE(more_than_there_can_be_is_refused_at_once)
{
    EXPECT_REFUSED(ps_range_tree_reserve(&f->tree, UINT64_MAX), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_range_tree_reserve(&f->tree, UINT64_MAX >> 9), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_range_tree_reserve(&f->tree, TREE_FRAMES * 5), PS_NO_MEMORY);
    REQUIRE_OK(ps_range_tree_reserve(&f->tree, 10));
    EXPECT_REFUSED(ps_range_tree_reserve(&f->tree, UINT64_MAX >> 8), PS_NO_MEMORY);
    EXPECT_OK(ps_range_tree_reserve(&f->tree, 0));
    EXPECT_EQ(f->tree.reserved, 10);
}

/* ---- giving back ---- */

TREE_CASE(everything_can_be_erased_while_the_pool_is_empty)
{
    tree_fill(test, f, 2000);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (uint64_t i = 0; i < 2000; i += 2)
        EXPECT(ps_range_tree_erase(&f->tree, 16 * i, NULL));
    EXPECT_OK(ps_range_tree_resize(&f->tree, 16, 0, 29));
    EXPECT(ps_range_tree_set_value(&f->tree, 3, 4));
    EXPECT_OK(ps_range_tree_resize(&f->tree, 0, 0, 47));
    EXPECT(ps_range_tree_merge(&f->tree, 0));
    EXPECT_OK(ps_range_tree_clear(&f->tree, 20, 16 * 1000 + 20));
    EXPECT_OK(ps_range_tree_clear(&f->tree, 0, UINT64_MAX));
    EXPECT_EQ(f->tree.frames, 0);
}

TREE_CASE(a_frame_that_somebody_else_gave_away_is_not_given_twice)
{
    tree_add(test, f, 1, 2);
    REQUIRE_OK(ps_frame_pool_free(&f->pool, ps_frame_of_phys(ps_phys(f->tree.root)), ps_pages(1)));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    EXPECT(ps_range_tree_erase(&f->tree, 1, NULL));
    EXPECT_EQ(f->tree.frames, 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_reservation_survives_the_failure_of_every_frame),
    TEST_CASE(an_insert_that_finds_no_frame_changes_nothing),
    TEST_CASE(a_split_that_finds_no_frame_changes_nothing),
    TEST_CASE(a_hole_that_finds_no_frame_changes_nothing),
    TEST_CASE(a_replacement_that_finds_no_frame_changes_nothing),
    TEST_CASE(what_was_reserved_cannot_fail),
    TEST_CASE(what_was_reserved_cannot_fail_whatever_is_erased_meanwhile),
    TEST_CASE(splits_and_replacements_use_reservations_up),
    TEST_CASE(reservations_that_are_taken_back_leave_no_frames),
    TEST_CASE(more_than_there_can_be_is_refused_at_once),
    TEST_CASE(everything_can_be_erased_while_the_pool_is_empty),
    TEST_CASE(a_frame_that_somebody_else_gave_away_is_not_given_twice),
};

const struct test_suite suite_range_tree_failure = TEST_SUITE("range_tree_failure", cases);
