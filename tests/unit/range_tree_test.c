/* Single ranges: what each call does and answers. */
#include "range_tree_fixture.h"

#include <string.h>

#include "unit_suites.h"

enum { MANY = 3000 };

#define INSERT(first, last) \
    ps_range_tree_insert(&f->tree, &(struct ps_range){(first), (last), tree_value(first)})

static const char *found(const struct ps_range_tree *tree, uint64_t key)
{
    struct ps_range range;

    return tree_range_text(ps_range_tree_find(tree, key, &range), &range);
}

static const char *next(const struct ps_range_tree *tree, uint64_t key)
{
    struct ps_range range;

    return tree_range_text(ps_range_tree_next(tree, key, &range), &range);
}

static const char *previous(const struct ps_range_tree *tree, uint64_t key)
{
    struct ps_range range;

    return tree_range_text(ps_range_tree_previous(tree, key, &range), &range);
}

/* ---- init and destroy ---- */

TREE_CASE(init_takes_no_memory)
{
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    EXPECT_RANGES("");
    EXPECT_STATUS(ps_range_tree_init(&f->tree, &f->sim->machine, &f->pool, PS_FRAME_HEAP),
                  PS_BAD_STATE);
}

TREE_CASE(init_refuses_what_it_cannot_use)
{
    struct ps_range_tree tree = {0};
    struct ps_range_tree zero = {0};
    struct ps_frame_pool none = {0};
    struct ps_machine other = f->sim->machine;
    const struct ps_machine *machine = &f->sim->machine;

    EXPECT_STATUS(ps_range_tree_init(NULL, machine, &f->pool, PS_FRAME_HEAP), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_init(&tree, NULL, &f->pool, PS_FRAME_HEAP), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_init(&tree, machine, NULL, PS_FRAME_HEAP), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_init(&tree, machine, &none, PS_FRAME_HEAP), PS_BAD_STATE);
    EXPECT_STATUS(ps_range_tree_init(&tree, &other, &f->pool, PS_FRAME_HEAP), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_init(&tree, machine, &f->pool, PS_FRAME_DAMAGED), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_init(&tree, machine, &f->pool, PS_FRAME_TAG_COUNT),
                  PS_INVALID_ARGS);
    EXPECT(memcmp(&tree, &zero, sizeof(tree)) == 0);
}

TREE_CASE(without_init_there_are_no_ranges_and_every_change_is_bad_state)
{
    struct ps_range_tree tree = {0};
    struct ps_range range = {0, 0, 0};
    struct ps_range_cursor cursor = ps_range_tree_cursor(&tree, 0);

    EXPECT_STATUS(ps_range_tree_destroy(&tree), PS_BAD_STATE);
    EXPECT_STATUS(ps_range_tree_reserve(&tree, 1), PS_BAD_STATE);
    EXPECT_STATUS(ps_range_tree_insert(&tree, &range), PS_BAD_STATE);
    EXPECT(!ps_range_tree_find(&tree, 0, &range));
    EXPECT(!ps_range_tree_next(&tree, 0, &range));
    EXPECT(!ps_range_tree_previous(&tree, 0, &range));
    EXPECT(!ps_range_tree_erase(&tree, 0, NULL));
    EXPECT(!ps_range_tree_set_value(&tree, 0, 1));
    EXPECT(!ps_range_cursor_next(&cursor, &range));
    ps_range_tree_unreserve(&tree, 1);
    EXPECT(f->tree.count == 0);
}

TREE_CASE(a_null_pointer_is_invalid_or_false)
{
    struct ps_range range = {0, 0, 0};
    struct ps_range_cursor cursor = ps_range_tree_cursor(NULL, 0);

    EXPECT_STATUS(ps_range_tree_destroy(NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_reserve(NULL, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_insert(NULL, &range), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_insert(&f->tree, NULL), PS_INVALID_ARGS);
    EXPECT(!ps_range_tree_find(NULL, 0, &range));
    EXPECT(!ps_range_tree_next(NULL, 0, &range));
    EXPECT(!ps_range_tree_previous(NULL, 0, &range));
    EXPECT(!ps_range_tree_erase(NULL, 0, NULL));
    EXPECT(!ps_range_tree_set_value(NULL, 0, 0));
    EXPECT(!ps_range_cursor_next(&cursor, &range));
    EXPECT(!ps_range_cursor_next(NULL, &range));
    EXPECT_EQ(ps_range_tree_for_each(&f->tree, 0, 9, NULL, NULL), 0);
    ps_range_tree_unreserve(NULL, 1);
    cursor = ps_range_tree_cursor(&f->tree, 0);
    EXPECT(!ps_range_cursor_next(&cursor, NULL));
}

TREE_CASE(destroy_gives_all_frames_back_whatever_is_in_it)
{
    struct ps_range_tree zero = {0};

    tree_fill(test, f, MANY);
    REQUIRE_OK(ps_range_tree_reserve(&f->tree, 40));
    EXPECT(ps_frame_pool_in_use(&f->pool) > MANY * 24 / PS_PAGE_SIZE);
    EXPECT_OK(ps_range_tree_destroy(&f->tree));
    EXPECT(memcmp(&f->tree, &zero, sizeof(zero)) == 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    EXPECT_OK(ps_range_tree_init(&f->tree, &f->sim->machine, &f->pool, PS_FRAME_HEAP));
}

TREE_CASE(its_frames_have_the_tag_that_was_asked_for)
{
    struct ps_frame_pool_snapshot pool;

    EXPECT_OK(ps_range_tree_destroy(&f->tree));
    REQUIRE_OK(ps_range_tree_init(&f->tree, &f->sim->machine, &f->pool, PS_FRAME_USER));
    tree_fill(test, f, MANY);
    ps_frame_pool_snapshot(&f->pool, &pool);
    EXPECT_EQ(pool.by_tag[PS_FRAME_USER], f->tree.frames);
    EXPECT_EQ(pool.by_tag[PS_FRAME_HEAP], 0);
}

/* ---- inserting and finding ---- */

TREE_CASE(a_range_is_found_by_each_of_its_numbers_and_no_other)
{
    tree_add(test, f, 10, 14);
    EXPECT_TEXT(found(&f->tree, 9), "-");
    EXPECT_TEXT(found(&f->tree, 10), "10-14");
    EXPECT_TEXT(found(&f->tree, 12), "10-14");
    EXPECT_TEXT(found(&f->tree, 14), "10-14");
    EXPECT_TEXT(found(&f->tree, 15), "-");
    EXPECT(ps_range_tree_find(&f->tree, 12, NULL));
}

TREE_CASE(overlap_is_refused_on_every_side)
{
    tree_add(test, f, 10, 14);
    tree_add(test, f, 20, 20);
    EXPECT_REFUSED(INSERT(10, 14), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(INSERT(5, 10), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(INSERT(14, 15), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(INSERT(12, 12), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(INSERT(0, UINT64_MAX), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(INSERT(15, 20), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(INSERT(14, 13), PS_INVALID_ARGS);
    EXPECT_RANGES("10-14 20-20");
}

TREE_CASE(ranges_may_touch_and_stay_two)
{
    tree_add(test, f, 10, 14);
    tree_add(test, f, 15, 19);
    tree_add(test, f, 5, 9);
    EXPECT_RANGES("5-9 10-14 15-19");
    EXPECT_EQ(f->tree.gap, 0);
}

TREE_CASE(the_first_and_the_last_number_are_numbers_like_others)
{
    tree_add(test, f, 0, 0);
    tree_add(test, f, UINT64_MAX, UINT64_MAX);
    EXPECT(ps_range_tree_find(&f->tree, 0, NULL));
    EXPECT(ps_range_tree_find(&f->tree, UINT64_MAX, NULL));
    EXPECT(!ps_range_tree_find(&f->tree, 1, NULL));
    EXPECT(!ps_range_tree_find(&f->tree, UINT64_MAX - 1, NULL));
    EXPECT_EQ(f->tree.gap, UINT64_MAX - 1);
    tree_add(test, f, 1, UINT64_MAX - 1);
    EXPECT_EQ(f->tree.count, 3);
    EXPECT_STATUS(INSERT(UINT64_MAX, UINT64_MAX), PS_ALREADY_EXISTS);
}

TREE_CASE(one_range_may_be_everything)
{
    tree_add(test, f, 0, UINT64_MAX);
    EXPECT(ps_range_tree_find(&f->tree, UINT64_MAX / 2, NULL));
    EXPECT_REFUSED(INSERT(7, 7), PS_ALREADY_EXISTS);
    EXPECT(ps_range_tree_erase(&f->tree, 0, NULL));
    EXPECT_RANGES("");
}

TREE_CASE(next_is_the_range_there_or_the_following)
{
    EXPECT_TEXT(next(&f->tree, 0), "-");
    tree_add(test, f, 10, 14);
    tree_add(test, f, 20, 29);
    EXPECT_TEXT(next(&f->tree, 0), "10-14");
    EXPECT_TEXT(next(&f->tree, 14), "10-14");
    EXPECT_TEXT(next(&f->tree, 15), "20-29");
    EXPECT_TEXT(next(&f->tree, 29), "20-29");
    EXPECT_TEXT(next(&f->tree, 30), "-");
    EXPECT_TEXT(next(&f->tree, UINT64_MAX), "-");
    EXPECT(ps_range_tree_next(&f->tree, 0, NULL));
}

TREE_CASE(previous_is_the_range_there_or_the_one_before)
{
    EXPECT_TEXT(previous(&f->tree, UINT64_MAX), "-");
    tree_add(test, f, 10, 14);
    tree_add(test, f, 20, 29);
    EXPECT_TEXT(previous(&f->tree, 9), "-");
    EXPECT_TEXT(previous(&f->tree, 10), "10-14");
    EXPECT_TEXT(previous(&f->tree, 19), "10-14");
    EXPECT_TEXT(previous(&f->tree, 20), "20-29");
    EXPECT_TEXT(previous(&f->tree, UINT64_MAX), "20-29");
    EXPECT(ps_range_tree_previous(&f->tree, 20, NULL));
}

TREE_CASE(of_many_ranges_each_is_found_and_so_are_its_neighbours)
{
    tree_fill(test, f, MANY);
    for (uint64_t i = 1; i + 1 < MANY; i++) {
        struct ps_range range = {0};

        EXPECT(ps_range_tree_find(&f->tree, 16 * i + 11, &range));
        EXPECT_EQ(range.value, tree_value(16 * i));
        EXPECT(!ps_range_tree_find(&f->tree, 16 * i + 12, NULL));
        EXPECT(ps_range_tree_next(&f->tree, 16 * i + 12, &range));
        EXPECT_EQ(range.first, 16 * (i + 1));
        EXPECT(ps_range_tree_previous(&f->tree, 16 * i - 1, &range));
        EXPECT_EQ(range.first, 16 * (i - 1));
    }
}

TREE_CASE(a_changed_value_is_found)
{
    tree_add(test, f, 10, 14);
    EXPECT(ps_range_tree_set_value(&f->tree, 12, 5));
    EXPECT_RANGES("10-14=5");
    EXPECT(!ps_range_tree_set_value(&f->tree, 15, 6));
    EXPECT(!ps_range_tree_set_value(&f->tree, 9, 6));
    EXPECT_RANGES("10-14=5");
}

/* ---- erasing ---- */

TREE_CASE(only_the_range_that_begins_there_is_erased)
{
    struct ps_range erased = {7, 7, 7};

    tree_add(test, f, 10, 14);
    tree_add(test, f, 20, 29);
    EXPECT(!ps_range_tree_erase(&f->tree, 11, &erased));
    EXPECT(!ps_range_tree_erase(&f->tree, 9, &erased));
    EXPECT(!ps_range_tree_erase(&f->tree, 15, &erased));
    EXPECT(!ps_range_tree_erase(&f->tree, 30, &erased));
    EXPECT_EQ(erased.first, 7);
    EXPECT(ps_range_tree_erase(&f->tree, 10, &erased));
    EXPECT_EQ(erased.first, 10);
    EXPECT_EQ(erased.last, 14);
    EXPECT_EQ(erased.value, tree_value(10));
    EXPECT_RANGES("20-29");
    EXPECT(!ps_range_tree_erase(&f->tree, 10, NULL));
}

TREE_CASE(without_ranges_there_is_no_memory_whatever_the_order_they_went_in)
{
    for (unsigned order = 0; order < 3; order++) {
        tree_fill(test, f, MANY);
        for (uint64_t i = 0; i < MANY; i++) {
            uint64_t n = order == 0 ? i : order == 1 ? MANY - 1 - i : i * 7 % MANY;

            EXPECT(ps_range_tree_erase(&f->tree, 16 * n, NULL));
        }
        EXPECT_EQ(f->tree.count, 0);
        EXPECT_EQ(f->tree.height, 0);
        EXPECT_EQ(f->tree.frames, 0);
        EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    }
}

/* ---- how full nodes are ---- */

static uint64_t bytes_a_range(const struct tree_fixture *f)
{
    return f->tree.frames * PS_PAGE_SIZE / f->tree.count;
}

TREE_CASE(ranges_in_order_fill_nodes_to_the_end)
{
    tree_fill(test, f, 10000);
    EXPECT(bytes_a_range(f) <= 28);
    EXPECT_OK(ps_range_tree_clear(&f->tree, 0, UINT64_MAX));
    for (uint64_t i = 10000; i > 0; i--)
        tree_add(test, f, 16 * i, 16 * i + 11);
    EXPECT(bytes_a_range(f) <= 28);
}

TREE_CASE(ranges_in_any_order_take_32_bytes)
{
    struct test_random random = test_random(1);
    uint64_t n = 0;

    /* 7919 is a prime that does not divide 10007: each number once. */
    for (uint64_t i = 0; i < 10007; i++) {
        n = (n + 7919) % 10007;
        tree_add(test, f, 16 * n, 16 * n + 11);
    }
    EXPECT(bytes_a_range(f) <= 32);
    EXPECT_OK(ps_range_tree_clear(&f->tree, 0, UINT64_MAX));
    while (f->tree.count < 10000) {
        n = 16 * test_random_below(&random, 1000000);
        if (!ps_range_tree_find(&f->tree, n, NULL))
            tree_add(test, f, n, n + 11);
    }
    EXPECT(bytes_a_range(f) <= 32);
}

TREE_CASE(of_many_ranges_few_that_are_left_take_few_nodes)
{
    tree_fill(test, f, 10000);
    for (uint64_t i = 0; i < 10000; i++)
        if (i % 8 != 0)
            EXPECT(ps_range_tree_erase(&f->tree, 16 * i, NULL));
    EXPECT_EQ(f->tree.count, 1250);
    EXPECT(f->tree.height <= 3);
    EXPECT_OK(ps_range_tree_validate(&f->tree, NULL));
}

/* ---- all of them ---- */

static bool stop_at_third(void *context, const struct ps_range *range)
{
    unsigned *left = context;

    (void)range;
    return --*left != 0;
}

static bool count_range(void *context, const struct ps_range *range)
{
    uint64_t *sum = context;

    *sum += range->first;
    return true;
}

TREE_CASE(for_each_visits_what_reaches_into_it_in_order_until_told_to_stop)
{
    uint64_t sum = 0;
    unsigned left = 3;

    tree_fill(test, f, MANY);
    EXPECT_EQ(ps_range_tree_for_each(&f->tree, 27, 48, count_range, &sum), 3);
    EXPECT_EQ(sum, 16 + 32 + 48);
    EXPECT_EQ(ps_range_tree_for_each(&f->tree, 28, 31, count_range, &sum), 0);
    EXPECT_EQ(ps_range_tree_for_each(&f->tree, 0, UINT64_MAX, count_range, &sum), MANY);
    EXPECT_EQ(ps_range_tree_for_each(&f->tree, 0, UINT64_MAX, stop_at_third, &left), 3);
    EXPECT_EQ(ps_range_tree_for_each(NULL, 0, UINT64_MAX, count_range, &sum), 0);
}

TREE_CASE(a_cursor_goes_from_range_to_range)
{
    struct ps_range_cursor cursor;
    struct ps_range range;
    uint64_t expected = 16 * 5;

    tree_fill(test, f, MANY);
    tree_add(test, f, UINT64_MAX, UINT64_MAX);
    cursor = ps_range_tree_cursor(&f->tree, 16 * 5 + 3);
    while (ps_range_cursor_next(&cursor, &range) && range.first != UINT64_MAX) {
        EXPECT_EQ(range.first, expected);
        expected += 16;
    }
    EXPECT_EQ(expected, 16 * MANY);
    EXPECT_EQ(range.last, UINT64_MAX);
    EXPECT(!ps_range_cursor_next(&cursor, &range));
    EXPECT(!ps_range_cursor_next(&cursor, &range));
}

static const struct test_case cases[] = {
    TEST_CASE(init_takes_no_memory),
    TEST_CASE(init_refuses_what_it_cannot_use),
    TEST_CASE(without_init_there_are_no_ranges_and_every_change_is_bad_state),
    TEST_CASE(a_null_pointer_is_invalid_or_false),
    TEST_CASE(destroy_gives_all_frames_back_whatever_is_in_it),
    TEST_CASE(its_frames_have_the_tag_that_was_asked_for),
    TEST_CASE(a_range_is_found_by_each_of_its_numbers_and_no_other),
    TEST_CASE(overlap_is_refused_on_every_side),
    TEST_CASE(ranges_may_touch_and_stay_two),
    TEST_CASE(the_first_and_the_last_number_are_numbers_like_others),
    TEST_CASE(one_range_may_be_everything),
    TEST_CASE(next_is_the_range_there_or_the_following),
    TEST_CASE(previous_is_the_range_there_or_the_one_before),
    TEST_CASE(of_many_ranges_each_is_found_and_so_are_its_neighbours),
    TEST_CASE(a_changed_value_is_found),
    TEST_CASE(only_the_range_that_begins_there_is_erased),
    TEST_CASE(without_ranges_there_is_no_memory_whatever_the_order_they_went_in),
    TEST_CASE(ranges_in_order_fill_nodes_to_the_end),
    TEST_CASE(ranges_in_any_order_take_32_bytes),
    TEST_CASE(of_many_ranges_few_that_are_left_take_few_nodes),
    TEST_CASE(for_each_visits_what_reaches_into_it_in_order_until_told_to_stop),
    TEST_CASE(a_cursor_goes_from_range_to_range),
};

const struct test_suite suite_range_tree = TEST_SUITE("range_tree", cases);
