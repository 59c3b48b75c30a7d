/* Gaps: the first or the last place that is large enough, and the largest. */
#include "range_tree_fixture.h"

#include "unit_suites.h"

#define NONE 0xdeadu

static uint64_t gap_at(struct tree_fixture *f, struct ps_gap_request request)
{
    uint64_t first = NONE;

    if (request.high == 0)
        request.high = UINT64_MAX;
    if (ps_range_tree_find_gap(&f->tree, &request, &first) == PS_NO_SPACE)
        return NONE;
    return first;
}

#define GAP(...) gap_at(f, (struct ps_gap_request){__VA_ARGS__})

/* . [10-19] 10 numbers [30-39][40-49] 50 numbers [100-109] . */
static void four(struct test *test, struct tree_fixture *f)
{
    tree_add(test, f, 10, 19);
    tree_add(test, f, 30, 39);
    tree_add(test, f, 40, 49);
    tree_add(test, f, 100, 109);
}

TREE_CASE(the_lowest_place_is_found)
{
    four(test, f);
    EXPECT_EQ(GAP(.size = 10), 0);
    EXPECT_EQ(GAP(.size = 11), 50);
    EXPECT_EQ(GAP(.size = 50), 50);
    EXPECT_EQ(GAP(.size = 51), 110);
    EXPECT_EQ(GAP(.size = 10, .low = 1), 20);
    EXPECT_EQ(GAP(.size = 10, .low = 21), 50);
    EXPECT_EQ(GAP(.size = 2, .low = 28), 28);
    EXPECT_EQ(GAP(.size = 3, .low = 28), 50);
    EXPECT_EQ(GAP(.size = UINT64_MAX - 109), 110);
    EXPECT_EQ(GAP(.size = UINT64_MAX - 108), NONE);
    EXPECT_EQ(GAP(.size = 11, .high = 59), NONE);
    EXPECT_EQ(GAP(.size = 10, .high = 28, .low = 5), NONE);
    EXPECT_EQ(GAP(.size = 10, .high = 29, .low = 5), 20);
}

TREE_CASE(the_highest_place_is_found)
{
    four(test, f);
    EXPECT_EQ(GAP(.size = 10, .highest = true), UINT64_MAX - 9);
    EXPECT_EQ(GAP(.size = 10, .highest = true, .high = 109), 90);
    EXPECT_EQ(GAP(.size = 10, .highest = true, .high = 119), 110);
    EXPECT_EQ(GAP(.size = 10, .highest = true, .high = 60), 51);
    EXPECT_EQ(GAP(.size = 10, .highest = true, .high = 58), 20);
    EXPECT_EQ(GAP(.size = 10, .highest = true, .high = 28), 0);
    EXPECT_EQ(GAP(.size = 11, .highest = true, .high = 28), NONE);
    EXPECT_EQ(GAP(.size = 10, .highest = true, .low = 21, .high = 58), NONE);
    EXPECT_EQ(GAP(.size = 1, .highest = true, .low = 40, .high = 49), NONE);
}

TREE_CASE(an_empty_tree_is_one_gap)
{
    EXPECT_EQ(GAP(.size = UINT64_MAX), 0);
    EXPECT_EQ(GAP(.size = UINT64_MAX, .highest = true), 1);
    EXPECT_EQ(GAP(.size = 1, .before = 100, .after = 100), 0);
    EXPECT_EQ(GAP(.size = 3, .low = 5, .high = 7), 5);
    EXPECT_EQ(GAP(.size = 4, .low = 5, .high = 7), NONE);
    EXPECT_EQ(GAP(.size = 1, .low = UINT64_MAX), UINT64_MAX);
}

TREE_CASE(a_full_tree_has_no_gap)
{
    tree_add(test, f, 0, 99);
    tree_add(test, f, 100, UINT64_MAX);
    EXPECT_EQ(GAP(.size = 1), NONE);
    EXPECT_EQ(GAP(.size = 1, .highest = true), NONE);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 0, UINT64_MAX), 0);
}

TREE_CASE(what_neighbours_are_to_be_apart_is_kept_free)
{
    four(test, f);
    EXPECT_EQ(GAP(.size = 8, .before = 2, .after = 2), 0); /* nothing is before it */
    EXPECT_EQ(GAP(.size = 8, .before = 1, .after = 1, .low = 5), 21);
    EXPECT_EQ(GAP(.size = 9, .before = 1, .after = 1), 0);
    EXPECT_EQ(GAP(.size = 9, .before = 1, .after = 1, .low = 1), 51);
    EXPECT_EQ(GAP(.size = 46, .before = 2, .after = 2), 52);
    EXPECT_EQ(GAP(.size = 47, .before = 2, .after = 2), 112);
    EXPECT_EQ(GAP(.size = 46, .before = 2, .after = 2, .highest = true, .high = 109), 52);
    EXPECT_EQ(GAP(.size = 8, .before = 2, .after = 2, .highest = true), UINT64_MAX - 7);
    EXPECT_EQ(GAP(.size = 1, .before = UINT64_MAX), 0);
    EXPECT_EQ(GAP(.size = 1, .before = UINT64_MAX, .low = 11), NONE);
    EXPECT_EQ(GAP(.size = 1, .after = UINT64_MAX), 110);
    EXPECT_EQ(GAP(.size = 2, .before = UINT64_MAX - 1, .after = 5), 0);
    EXPECT_EQ(GAP(.size = 1, .before = 5, .after = UINT64_MAX - 5), 115);
    /* What is kept free may lie outside. */
    EXPECT_EQ(GAP(.size = 2, .before = 3, .after = 3, .low = 23, .high = 24), 23);
    EXPECT_EQ(GAP(.size = 3, .before = 3, .after = 3, .low = 23, .high = 25), 23);
    EXPECT_EQ(GAP(.size = 5, .before = 3, .after = 3, .low = 23, .high = 27), NONE);
}

TREE_CASE(places_are_aligned)
{
    four(test, f);
    EXPECT_EQ(GAP(.size = 8, .align = 8), 0);
    EXPECT_EQ(GAP(.size = 4, .align = 8, .low = 1), 24);
    EXPECT_EQ(GAP(.size = 8, .align = 8, .low = 1), 56);
    EXPECT_EQ(GAP(.size = 16, .align = 64, .low = 1), 64);
    EXPECT_EQ(GAP(.size = 4, .align = 8, .highest = true, .high = 33), 24);
    EXPECT_EQ(GAP(.size = 8, .align = 16, .highest = true, .high = 99), 80);
    EXPECT_EQ(GAP(.size = 1, .align = (uint64_t)1 << 63, .low = 1), (uint64_t)1 << 63);
    EXPECT_EQ(GAP(.size = 1, .align = (uint64_t)1 << 63, .low = ((uint64_t)1 << 63) + 1), NONE);
    EXPECT_EQ(GAP(.size = 1, .align = 32, .low = 45, .high = 63), NONE);
    EXPECT_EQ(GAP(.size = 1, .align = 32, .low = 33, .high = 63, .highest = true), NONE);
}

/* [0-11] [16-27] ...: gaps of 4 from 12 on, none of which has a place aligned to 16. */
TREE_CASE(where_alignment_spoils_many_gaps_a_large_one_is_taken_at_once)
{
    tree_fill(test, f, 2000);
    tree_add(test, f, 16 * 2100, 16 * 2100);
    EXPECT_EQ(GAP(.size = 2, .align = 16), 16 * 2000);
    EXPECT_EQ(GAP(.size = 2, .align = 16, .highest = true, .high = 16 * 2000 - 1), NONE);
    EXPECT(ps_range_tree_erase(&f->tree, 16 * 1000, NULL));
    EXPECT_EQ(GAP(.size = 2, .align = 16), 16 * 1000);
    EXPECT_EQ(GAP(.size = 2, .align = 16, .highest = true, .high = 16 * 2000 - 1), 16 * 1000);
}

TREE_CASE(the_only_aligned_place_is_found_be_it_in_a_gap_that_is_just_large_enough)
{
    uint64_t whole = (uint64_t)2000 * 16;

    tree_fill(test, f, 2000);
    tree_add(test, f, whole, UINT64_MAX);
    EXPECT_EQ(GAP(.size = 2, .align = 16), NONE);
    EXPECT_OK(ps_range_tree_resize(&f->tree, 16 * 1500, 16 * 1500 + 2, 16 * 1500 + 11));
    EXPECT_EQ(GAP(.size = 2, .align = 16), 16 * 1500);
    EXPECT_EQ(GAP(.size = 2, .align = 16, .highest = true), 16 * 1500);
    EXPECT_EQ(GAP(.size = 3, .align = 16), NONE);
    EXPECT_EQ(GAP(.size = 1, .align = (uint64_t)1 << 63, .before = 3), NONE);
}

TREE_CASE(in_a_large_tree_every_gap_is_found_from_both_sides)
{
    enum { COUNT = 700 };

    tree_fill(test, f, COUNT);
    for (uint64_t i = 1; i < COUNT; i++) {
        EXPECT_EQ(GAP(.size = 4, .low = 16 * i), 16 * i + 12);
        EXPECT_EQ(GAP(.size = 4, .high = 16 * i + 11, .highest = true), 16 * i - 4);
    }
    EXPECT(ps_range_tree_erase(&f->tree, 16 * 333, NULL));
    EXPECT_EQ(GAP(.size = 20), 16 * 333 - 4);
    EXPECT_EQ(GAP(.size = 20, .highest = true, .high = 16 * COUNT - 5), 16 * 333 - 4);
}

TREE_CASE(a_wrong_request_is_refused)
{
    uint64_t first = 7;
    struct ps_gap_request good = {.high = 9, .size = 1};
    struct ps_gap_request reversed = {.low = 10, .high = 9, .size = 1};
    struct ps_gap_request nothing = {.high = 9};
    struct ps_gap_request crooked = {.high = 9, .size = 1, .align = 3};

    EXPECT_STATUS(ps_range_tree_find_gap(NULL, &good, &first), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_find_gap(&f->tree, NULL, &first), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_find_gap(&f->tree, &good, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_find_gap(&f->tree, &reversed, &first), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_find_gap(&f->tree, &nothing, &first), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_find_gap(&f->tree, &crooked, &first), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_find_gap(&(struct ps_range_tree){0}, &good, &first), PS_BAD_STATE);
    EXPECT_EQ(first, 7);
}

TREE_CASE(the_largest_gap_is_that_inside_the_bounds)
{
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 0, UINT64_MAX), UINT64_MAX);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 1, UINT64_MAX), UINT64_MAX);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 5, 5), 1);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 5, 4), 0);
    EXPECT_EQ(ps_range_tree_largest_gap(NULL, 0, 9), 0);
    EXPECT_EQ(ps_range_tree_largest_gap(&(struct ps_range_tree){0}, 0, 9), 0);
    four(test, f);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 0, UINT64_MAX), UINT64_MAX - 109);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 0, 109), 50);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 0, 49), 10);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 25, 60), 11);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 12, 40), 10);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 30, 49), 0);
    EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 3, 12), 7);
}

TREE_CASE(the_largest_gap_of_a_large_tree_is_known_between_any_two_numbers)
{
    enum { COUNT = 900 };

    tree_fill(test, f, COUNT);
    EXPECT(ps_range_tree_erase(&f->tree, 16 * 500, NULL));
    for (uint64_t i = 0; i < COUNT; i++) {
        EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 16 * i, 16 * COUNT - 5), i <= 499   ? 20u
                                                                               : i == 500 ? 16u
                                                                               : i + 1 < COUNT
                                                                                   ? 4u
                                                                                   : 0u);
        EXPECT_EQ(ps_range_tree_largest_gap(&f->tree, 0, 16 * i + 11), i >= 501   ? 20u
                                                                       : i == 500 ? 16u
                                                                       : i > 0    ? 4u
                                                                                  : 0u);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(the_lowest_place_is_found),
    TEST_CASE(the_highest_place_is_found),
    TEST_CASE(an_empty_tree_is_one_gap),
    TEST_CASE(a_full_tree_has_no_gap),
    TEST_CASE(what_neighbours_are_to_be_apart_is_kept_free),
    TEST_CASE(places_are_aligned),
    TEST_CASE(where_alignment_spoils_many_gaps_a_large_one_is_taken_at_once),
    TEST_CASE(the_only_aligned_place_is_found_be_it_in_a_gap_that_is_just_large_enough),
    TEST_CASE(in_a_large_tree_every_gap_is_found_from_both_sides),
    TEST_CASE(a_wrong_request_is_refused),
    TEST_CASE(the_largest_gap_is_that_inside_the_bounds),
    TEST_CASE(the_largest_gap_of_a_large_tree_is_known_between_any_two_numbers),
};

const struct test_suite suite_range_tree_gap = TEST_SUITE("range_tree_gap", cases);
