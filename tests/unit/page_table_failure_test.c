#include "page_table_fixture.h"

#include <string.h>

/*
 * Frames run out at every possible moment: the 1st, the 2nd, the 3rd request fails, once and
 * for good. A call that fails has changed nothing; one that cannot fail does not notice.
 */

/* A call on a prepared space; the same again succeeds once there are frames. */
struct attempt {
    const char *name;
    void (*prepare)(struct test *test, struct table_fixture *f);
    ps_status (*call)(struct table_fixture *f);
    bool takes_frames;
};

static void nothing(struct test *test, struct table_fixture *f)
{
    (void)test;
    (void)f;
}

static void some_leaves(struct test *test, struct table_fixture *f)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    table_map(test, f, at(TABLE_LOW, TABLE_HUGE + 600), 7, RO);
}

/* Over an absent, a partly filled and a full table, and into the next 512 GiB. */
static ps_status map_scattered(struct table_fixture *f)
{
    static ps_frame_t frames[2000];
    ps_virt_t va = ps_virt(TABLE_LOW + ((uint64_t)1 << 39) - 1000 * PS_PAGE_SIZE);

    for (uint64_t i = 0; i < 2000; i++)
        frames[i] = ps_frame(1 + i * 13 % 2000);
    return ps_page_table_map(&f->table, va, frames, ps_pages(2000), RW, PS_EXISTING_ERROR);
}

static ps_status map_run_of_all_sizes(struct table_fixture *f)
{
    return ps_page_table_map_run(&f->table, at(TABLE_LOW, 2 * TABLE_HUGE - 700),
                                 ps_frame(TABLE_FAR + TABLE_HUGE - 700),
                                 ps_pages(TABLE_HUGE + 1500), RX, 0);
}

static ps_status map_run_small(struct table_fixture *f)
{
    return ps_page_table_map_run(&f->table, at(TABLE_LOW, 2 * TABLE_HUGE - 700),
                                 ps_frame(TABLE_FAR), ps_pages(2000), RW, PS_MAP_SMALL);
}

/* More tables than are asked for at once. */
static ps_status map_run_of_many_tables(struct table_fixture *f)
{
    return ps_page_table_map_run(&f->table, at(TABLE_LOW, 2 * TABLE_HUGE), ps_frame(TABLE_FAR),
                                 ps_pages(70 * TABLE_LARGE), RW, PS_MAP_SMALL);
}

static ps_status map_run_permanent(struct table_fixture *f)
{
    return ps_page_table_map_run(&f->table, at(TABLE_LOW, 2 * TABLE_HUGE - 700),
                                 ps_frame(TABLE_FAR + TABLE_HUGE - 700),
                                 ps_pages(TABLE_HUGE + 1500), RW, PS_MAP_PERMANENT);
}

static ps_status upgrade_over_leaves(struct table_fixture *f)
{
    static ps_frame_t frames[1500];

    for (uint64_t i = 0; i < 1500; i++)
        frames[i] = ps_frame(1 + i);
    return ps_page_table_map(&f->table, at(TABLE_LOW, TABLE_HUGE - 100), frames, ps_pages(1500), RW,
                             PS_EXISTING_UPGRADE);
}

static ps_status skip_over_leaves(struct table_fixture *f)
{
    static ps_frame_t frames[1500];

    return ps_page_table_map(&f->table, at(TABLE_LOW, TABLE_HUGE - 100), frames, ps_pages(1500), RW,
                             PS_EXISTING_SKIP);
}

static ps_status anchor_four(struct table_fixture *f)
{
    return ps_page_table_anchor(&f->table, ps_virt(TABLE_HIGH), ps_pages((uint64_t)4 << 27));
}

static ps_status protect_parts(struct table_fixture *f)
{
    return ps_page_table_protect(&f->table, at(TABLE_LOW, 100), ps_pages(TABLE_HUGE + 550), RO);
}

static ps_status unmap_parts(struct table_fixture *f)
{
    return ps_page_table_unmap(&f->table, at(TABLE_LOW, 100), ps_pages(TABLE_HUGE - 1000), NULL);
}

static ps_status unmap_huge(struct table_fixture *f)
{
    return ps_page_table_unmap(&f->table, at(TABLE_LOW, 0), ps_pages(2 * TABLE_HUGE), NULL);
}

static const struct attempt attempts[] = {
    {"map scattered frames", nothing, map_scattered, true},
    {"map a run of all sizes", some_leaves, map_run_of_all_sizes, true},
    {"map a run of small leaves", some_leaves, map_run_small, true},
    {"map a run of many tables", some_leaves, map_run_of_many_tables, true},
    {"map a run of permanent leaves", some_leaves, map_run_permanent, true},
    {"upgrade", some_leaves, upgrade_over_leaves, true},
    {"skip", some_leaves, skip_over_leaves, true},
    {"anchor", nothing, anchor_four, true},
    {"protect parts of large leaves", some_leaves, protect_parts, false},
    {"unmap the middle of a large leaf", some_leaves, unmap_parts, false},
    {"unmap everything", some_leaves, unmap_huge, false},
};

/* Fail after `successes`; true when the call went through. */
static bool fail_once(struct test *test, struct table_fixture *f, const struct attempt *attempt,
                      uint64_t successes, bool for_good)
{
    struct table_state before = table_state(f);
    uint64_t failures = test->failures;
    ps_status status;

    ps_frame_pool_fail_after(&f->pool, successes, for_good);
    status = attempt->call(f);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    if (status == PS_OK)
        return true;
    EXPECT_STATUS(status, PS_NO_MEMORY);
    table_expect_unchanged(test, f, &before);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    if (test->failures != failures)
        test_note(test, "%s, %" PS_PRIu " requests served", attempt->name, successes);
    return false;
}

static void fail_everywhere(struct test *test, struct table_fixture *f,
                            const struct attempt *attempt, bool for_good)
{
    uint64_t successes = 0;

    while (!fail_once(test, f, attempt, successes, for_good)) {
        if (!EXPECT(successes < 1000) || test->failures != 0)
            return;
        successes++;
    }
    EXPECT_EQ(successes != 0, attempt->takes_frames);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

static void try_all(struct test *test, struct table_fixture *f, bool for_good)
{
    for (size_t i = 0; i < PS_ARRAY_SIZE(attempts); i++) {
        attempts[i].prepare(test, f);
        fail_everywhere(test, f, &attempts[i], for_good);
        if (test->failures != 0)
            test_note(test, "in \"%s\"", attempts[i].name);
        table_unmap(test, f, ps_virt(0), (uint64_t)1 << 35);
    }
}

TABLE_CASE(each_request_failing_once_changes_nothing)
{
    try_all(test, f, false);
}

TABLE_CASE(each_request_failing_once_changes_nothing_in_five_levels, .flags = SIM_FIVE_LEVELS)
{
    try_all(test, f, false);
}

TABLE_CASE(each_request_failing_for_good_changes_nothing_in_five_levels, .flags = SIM_FIVE_LEVELS)
{
    try_all(test, f, true);
}

TABLE_CASE(a_table_whose_root_is_refused_was_not_created)
{
    const struct ps_page_table none = {0};
    struct table_state before = table_state(f);

    for (unsigned for_good = 0; for_good < 2; for_good++) {
        ps_frame_pool_fail_after(&f->pool, 0, for_good != 0);
        EXPECT_STATUS(ps_page_table_create(&f->other, &f->sim->machine, &f->pool), PS_NO_MEMORY);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        EXPECT(memcmp(&f->other, &none, sizeof(none)) == 0);
        table_expect_unchanged(test, f, &before);
    }
    EXPECT_OK(ps_page_table_create(&f->other, &f->sim->machine, &f->pool));
    EXPECT_OK(ps_page_table_destroy(&f->other));
}

TABLE_CASE(each_request_failing_for_good_changes_nothing)
{
    try_all(test, f, true);
}

/* Not an injected failure: the machine really has no more frames than that. */
TABLE_CASE(every_number_of_free_frames_is_enough_or_changes_nothing)
{
    ps_frame_t list;
    uint64_t left;

    for (left = 0; left < 20; left++) {
        struct table_state before;
        ps_frame_t kept = ps_frame(0);
        ps_status status;

        (void)table_take_all(f, &list);
        for (uint64_t i = 0; i < left; i++) {
            kept = list;
            list = ps_frame(*(uint64_t *)(f->sim->machine.direct_map + kept.number * 8192));
            EXPECT_OK(ps_frame_pool_free(&f->pool, kept, ps_pages(1)));
        }
        before = table_state(f);
        status = map_scattered(f);
        if (status == PS_OK) {
            table_give_all(f, list);
            break;
        }
        EXPECT_STATUS(status, PS_NO_MEMORY);
        table_expect_unchanged(test, f, &before);
        table_give_all(f, list);
    }
    /* Levels 3, 2 and 1 on both sides of the border, and a second table of level 1 on each. */
    EXPECT_EQ(left, 8);
}

TABLE_CASE(giving_back_never_needs_a_frame)
{
    ps_frame_t list;

    some_leaves(test, f);
    table_map_run(test, f, at(TABLE_HIGH, 0), TABLE_FAR, 2 * TABLE_HUGE, RW, 0);
    (void)table_take_all(f, &list);
    for (uint64_t page = 1; page < 2 * TABLE_HUGE; page += TABLE_HUGE / 7 * 2) {
        EXPECT_OK(ps_page_table_unmap(&f->table, at(TABLE_HIGH, page), ps_pages(1), NULL));
        EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_HIGH, page + 600), ps_pages(1), RO));
        EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    }
    EXPECT_OK(ps_page_table_unmap(&f->table, at(TABLE_HIGH, 0), ps_pages(2 * TABLE_HUGE), NULL));
    table_give_all(f, list);
}

static const struct test_case cases[] = {
    TEST_CASE(each_request_failing_once_changes_nothing),
    TEST_CASE(each_request_failing_for_good_changes_nothing),
    TEST_CASE(each_request_failing_once_changes_nothing_in_five_levels),
    TEST_CASE(each_request_failing_for_good_changes_nothing_in_five_levels),
    TEST_CASE(a_table_whose_root_is_refused_was_not_created),
    TEST_CASE(every_number_of_free_frames_is_enough_or_changes_nothing),
    TEST_CASE(giving_back_never_needs_a_frame),
};

const struct test_suite suite_page_table_failure = TEST_SUITE("page_table_failure", cases);
