/* Changing ranges: bounds, cutting, joining, and everything between two numbers. */
#include "range_tree_fixture.h"

#include "unit_suites.h"

enum { MANY = 400 };

/* "10-19 30-39 40-49": two that touch, and one apart. */
static void three(struct test *test, struct tree_fixture *f)
{
    tree_add(test, f, 10, 19);
    tree_add(test, f, 30, 39);
    tree_add(test, f, 40, 49);
}

/* ---- resize ---- */

TREE_CASE(a_range_can_grow_and_shrink_between_its_neighbours)
{
    three(test, f);
    EXPECT_OK(ps_range_tree_resize(&f->tree, 30, 20, 39));
    EXPECT_OK(ps_range_tree_resize(&f->tree, 20, 25, 27));
    EXPECT_OK(ps_range_tree_resize(&f->tree, 10, 0, 24));
    EXPECT_OK(ps_range_tree_resize(&f->tree, 40, 28, UINT64_MAX));
    EXPECT_EQ(f->tree.low, 0);
    EXPECT_EQ(f->tree.high, UINT64_MAX);
    EXPECT_EQ(f->tree.gap, 0);
    EXPECT_OK(ps_range_tree_resize(&f->tree, 0, 3, 3));
    EXPECT_OK(ps_range_tree_resize(&f->tree, 28, 28, 28));
    EXPECT_EQ(f->tree.gap, 21);
}

TREE_CASE(a_range_cannot_grow_into_a_neighbour_or_beyond_it)
{
    three(test, f);
    EXPECT_REFUSED(ps_range_tree_resize(&f->tree, 30, 19, 39), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_range_tree_resize(&f->tree, 30, 5, 6), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_range_tree_resize(&f->tree, 30, 30, 40), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_range_tree_resize(&f->tree, 30, 60, 70), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_range_tree_resize(&f->tree, 31, 31, 32), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_range_tree_resize(&f->tree, 20, 21, 22), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_range_tree_resize(&f->tree, 30, 32, 31), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_resize(NULL, 30, 31, 32), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_resize(&(struct ps_range_tree){0}, 0, 0, 0), PS_BAD_STATE);
}

TREE_CASE(in_a_large_tree_the_neighbour_may_be_in_another_node)
{
    tree_fill(test, f, MANY);
    for (uint64_t i = 1; i + 1 < MANY; i++) {
        EXPECT_STATUS(ps_range_tree_resize(&f->tree, 16 * i, 16 * i - 5, 16 * i),
                      PS_ALREADY_EXISTS);
        EXPECT_STATUS(ps_range_tree_resize(&f->tree, 16 * i, 16 * i, 16 * i + 16),
                      PS_ALREADY_EXISTS);
        EXPECT_OK(ps_range_tree_resize(&f->tree, 16 * i, 16 * i, 16 * i + 15));
    }
    EXPECT_EQ(f->tree.gap, 4);
}

/* ---- split and merge ---- */

TREE_CASE(a_split_makes_two_of_one)
{
    three(test, f);
    EXPECT_OK(ps_range_tree_split(&f->tree, 15, 1));
    EXPECT_OK(ps_range_tree_split(&f->tree, 49, 2));
    EXPECT_OK(ps_range_tree_split(&f->tree, 41, 3));
    EXPECT_RANGES("10-14 15-19=1 30-39 40-40 41-48=3 49-49=2");
}

TREE_CASE(a_split_is_refused_where_there_is_nothing_to_cut)
{
    three(test, f);
    EXPECT_REFUSED(ps_range_tree_split(&f->tree, 10, 1), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_range_tree_split(&f->tree, 20, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_range_tree_split(&f->tree, 50, 1), PS_NOT_FOUND);
    EXPECT_STATUS(ps_range_tree_split(NULL, 15, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_split(&(struct ps_range_tree){0}, 15, 1), PS_BAD_STATE);
}

TREE_CASE(a_merge_makes_one_of_two_that_touch)
{
    three(test, f);
    EXPECT(!ps_range_tree_merge(&f->tree, 10)); /* apart */
    EXPECT(!ps_range_tree_merge(&f->tree, 25)); /* nothing */
    EXPECT(!ps_range_tree_merge(&f->tree, 45)); /* the last */
    EXPECT(!ps_range_tree_merge(NULL, 35));
    EXPECT(ps_range_tree_merge(&f->tree, 35));
    EXPECT_RANGES("10-19 30-49");
    tree_add(test, f, 50, UINT64_MAX);
    EXPECT(!ps_range_tree_merge(&f->tree, UINT64_MAX));
    EXPECT(ps_range_tree_merge(&f->tree, 30));
    EXPECT_EQ(f->tree.count, 2);
}

TREE_CASE(one_range_is_cut_to_single_numbers_and_put_together_again)
{
    tree_add(test, f, 0, 999);
    for (uint64_t i = 1; i < 1000; i++)
        EXPECT_OK(ps_range_tree_split(&f->tree, i * 7 % 1000 == 0 ? 0 : i * 7 % 1000, i));
    EXPECT_EQ(f->tree.count, 1000);
    EXPECT_OK(ps_range_tree_validate(&f->tree, NULL));
    for (uint64_t i = 1; i < 1000; i++)
        EXPECT(ps_range_tree_merge(&f->tree, 0));
    EXPECT_RANGES("0-999");
}

/* ---- clear ---- */

TREE_CASE(clear_erases_what_is_inside_and_cuts_what_reaches_in)
{
    three(test, f);
    EXPECT_OK(ps_range_tree_clear(&f->tree, 20, 29));
    EXPECT_RANGES("10-19 30-39 40-49");
    EXPECT_OK(ps_range_tree_clear(&f->tree, 35, 44));
    EXPECT_EQ(f->tree.count, 3);
    EXPECT(ps_range_tree_set_value(&f->tree, 45, 1));
    EXPECT_RANGES("10-19 30-34 45-49=1");
    EXPECT_OK(ps_range_tree_clear(&f->tree, 0, 12));
    EXPECT(ps_range_tree_set_value(&f->tree, 13, 2));
    EXPECT_OK(ps_range_tree_clear(&f->tree, 19, 45));
    EXPECT(ps_range_tree_set_value(&f->tree, 46, 3));
    EXPECT_RANGES("13-18=2 46-49=3");
    EXPECT_OK(ps_range_tree_clear(&f->tree, 50, UINT64_MAX));
    EXPECT_OK(ps_range_tree_clear(&f->tree, 0, UINT64_MAX));
    EXPECT_OK(ps_range_tree_clear(&f->tree, 0, UINT64_MAX));
    EXPECT_RANGES("");
    EXPECT_EQ(f->tree.frames, 0);
}

TREE_CASE(clear_inside_of_a_range_leaves_both_ends_with_its_value)
{
    tree_add(test, f, 0, UINT64_MAX);
    EXPECT(ps_range_tree_set_value(&f->tree, 0, 9));
    EXPECT_OK(ps_range_tree_clear(&f->tree, 1, UINT64_MAX - 1));
    EXPECT_EQ(f->tree.count, 2);
    EXPECT_OK(ps_range_tree_clear(&f->tree, UINT64_MAX, UINT64_MAX));
    EXPECT_RANGES("0-0=9");
    EXPECT_REFUSED(ps_range_tree_clear(&f->tree, 1, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_clear(NULL, 0, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_clear(&(struct ps_range_tree){0}, 0, 0), PS_BAD_STATE);
}

TREE_CASE(clear_reaches_over_any_number_of_nodes)
{
    tree_fill(test, f, MANY);
    EXPECT_OK(ps_range_tree_clear(&f->tree, 16 * 3 + 5, 16 * (MANY - 2) + 5));
    EXPECT_EQ(f->tree.count, 6);
    EXPECT(ps_range_tree_set_value(&f->tree, 16 * (MANY - 2) + 6, 7));
    EXPECT_RANGES("0-11 16-27 32-43 48-52 6374-6379=7 6384-6395");
    EXPECT_EQ(f->tree.height, 1);
}

TREE_CASE(clear_may_end_in_the_gap_behind_the_last_range_of_a_node)
{
    tree_fill(test, f, MANY);
    for (uint64_t i = 0; i < MANY; i++)
        EXPECT_OK(ps_range_tree_clear(&f->tree, 16 * i + 5, 16 * i + 13));
    EXPECT_EQ(f->tree.count, MANY);
    EXPECT_EQ(f->tree.gap, 11);
}

/* ---- replace ---- */

static ps_status replace(struct tree_fixture *f, uint64_t first, uint64_t last, uint64_t value)
{
    return ps_range_tree_replace(&f->tree, &(struct ps_range){first, last, value});
}

TREE_CASE(replace_gives_what_is_there_a_new_value)
{
    EXPECT_OK(replace(f, 10, 49, 1));
    EXPECT_OK(replace(f, 20, 29, 2)); /* inside of one */
    EXPECT_OK(replace(f, 60, 69, 3)); /* where nothing is */
    EXPECT(ps_range_tree_set_value(&f->tree, 30, 4));
    EXPECT_RANGES("10-19=1 20-29=2 30-49=4 60-69=3");
    EXPECT_OK(replace(f, 25, 64, 5)); /* over several */
    EXPECT_RANGES("10-19=1 20-24=2 25-64=5 65-69=3");
    EXPECT_OK(replace(f, 10, 69, 6)); /* exactly */
    EXPECT_RANGES("10-69=6");
    EXPECT_OK(replace(f, 0, 9, 7));   /* before all */
    EXPECT_OK(replace(f, 10, 10, 8)); /* the beginning of one */
    EXPECT_OK(replace(f, 69, 80, 9)); /* the end, and beyond */
    EXPECT_RANGES("0-9=7 10-10=8 11-68=6 69-80=9");
    EXPECT_REFUSED(replace(f, 5, 4, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_replace(&f->tree, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_replace(NULL, &(struct ps_range){0}), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_replace(&(struct ps_range_tree){0}, &(struct ps_range){0}),
                  PS_BAD_STATE);
}

TREE_CASE(replace_reaches_over_any_number_of_nodes)
{
    tree_fill(test, f, MANY);
    EXPECT_OK(replace(f, 5, 16 * (MANY - 1) + 5, 1));
    EXPECT_EQ(f->tree.count, 3);
    EXPECT(ps_range_tree_set_value(&f->tree, 16 * (MANY - 1) + 6, 2));
    EXPECT_RANGES("0-4 5-6389=1 6390-6395=2");
}

TREE_CASE(the_middle_of_a_range_is_replaced_whatever_room_its_node_has)
{
    /* In a node of every count, so that one and two places are missing. */
    tree_fill(test, f, MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        EXPECT_OK(replace(f, 16 * i + 4, 16 * i + 7, i));
        EXPECT_EQ(f->tree.count, MANY + 2 * (i + 1));
        EXPECT_OK(ps_range_tree_validate(&f->tree, NULL));
    }
    for (uint64_t i = 0; i < MANY; i++)
        EXPECT_OK(replace(f, 16 * i, 16 * i + 11, tree_value(16 * i)));
    EXPECT_EQ(f->tree.count, MANY);
    EXPECT_OK(ps_range_tree_validate(&f->tree, NULL));
}

static const struct test_case cases[] = {
    TEST_CASE(a_range_can_grow_and_shrink_between_its_neighbours),
    TEST_CASE(a_range_cannot_grow_into_a_neighbour_or_beyond_it),
    TEST_CASE(in_a_large_tree_the_neighbour_may_be_in_another_node),
    TEST_CASE(a_split_makes_two_of_one),
    TEST_CASE(a_split_is_refused_where_there_is_nothing_to_cut),
    TEST_CASE(a_merge_makes_one_of_two_that_touch),
    TEST_CASE(one_range_is_cut_to_single_numbers_and_put_together_again),
    TEST_CASE(clear_erases_what_is_inside_and_cuts_what_reaches_in),
    TEST_CASE(clear_inside_of_a_range_leaves_both_ends_with_its_value),
    TEST_CASE(clear_reaches_over_any_number_of_nodes),
    TEST_CASE(clear_may_end_in_the_gap_behind_the_last_range_of_a_node),
    TEST_CASE(replace_gives_what_is_there_a_new_value),
    TEST_CASE(replace_reaches_over_any_number_of_nodes),
    TEST_CASE(the_middle_of_a_range_is_replaced_whatever_room_its_node_has),
};

const struct test_suite suite_range_tree_change = TEST_SUITE("range_tree_change", cases);
