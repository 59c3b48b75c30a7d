#include "page_table_fixture.h"

/* What each call asks processors to invalidate: which leaves one by one, or everything. */

#define GLOBAL ps_attr_ram(PS_READ | PS_WRITE | PS_GLOBAL)

struct expected {
    uint64_t page; /* above TABLE_LOW */
    uint32_t count;
    uint32_t step_pages;
};

/* The one round since `rounds` was exactly this. */
static void expect_round(struct test *test, struct table_fixture *f,
                         const struct expected *expected, uint32_t count)
{
    const struct ps_invalidation *what = &f->sim->invalidation;

    EXPECT_EQ(f->sim->invalidations, 1);
    EXPECT_EQ(what->count, count);
    for (uint32_t i = 0; i < count && i < what->count; i++) {
        EXPECT_EQ(what->ranges[i].first.addr, at(TABLE_LOW, expected[i].page).addr);
        EXPECT_EQ(what->ranges[i].count, expected[i].count);
        EXPECT_EQ(what->ranges[i].step_pages, expected[i].step_pages);
    }
    f->sim->invalidations = 0;
}

#define EXPECT_ROUND(...)                                         \
    expect_round(test, f, (const struct expected[]){__VA_ARGS__}, \
                 sizeof((const struct expected[]){__VA_ARGS__}) / sizeof(struct expected))

static void expect_everything(struct test *test, struct table_fixture *f, bool global)
{
    expect_round(test, f, NULL, 0);
    EXPECT_EQ(f->sim->invalidation.global, global);
}

static void expect_no_round(struct test *test, struct table_fixture *f)
{
    EXPECT_EQ(f->sim->invalidations, 0);
}

/* ---- unmap ---- */

TABLE_CASE(unmap_invalidates_what_was_mapped)
{
    static const uint64_t pages[] = {0, 1, 2, 5, 7, 8};

    for (size_t i = 0; i < PS_ARRAY_SIZE(pages); i++)
        table_map(test, f, at(TABLE_LOW, pages[i]), 100 + i, RW);
    table_unmap(test, f, at(TABLE_LOW, 3), 2);
    table_unmap(test, f, at(TABLE_LOW, 6), 1);
    expect_no_round(test, f);
    table_unmap(test, f, at(TABLE_LOW, 5), 1);
    EXPECT_ROUND({5, 1, 1});
    table_unmap(test, f, at(TABLE_LOW, 1), 100);
    EXPECT_ROUND({1, 2, 1}, {7, 2, 1});
    table_unmap(test, f, at(TABLE_LOW, 0), 1);
    EXPECT_ROUND({0, 1, 1});
}

TABLE_CASE(unmap_invalidates_large_leaves_by_one_instruction_each)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, 0);
    table_map_run(test, f, at(TABLE_LOW, TABLE_HUGE), TABLE_FAR, TABLE_HUGE, RW, 0);
    table_map(test, f, at(TABLE_LOW, 1030), 7, RW);
    table_unmap(test, f, at(TABLE_LOW, 0), 2 * TABLE_HUGE);
    EXPECT_ROUND({0, 2, 512}, {1030, 1, 1}, {TABLE_HUGE, 1, TABLE_HUGE});
}

/* Other processors may keep it whole or in pieces: each address in it kills either. */
TABLE_CASE(unmap_of_a_part_of_a_large_leaf_invalidates_its_pages)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, 0);
    table_unmap(test, f, at(TABLE_LOW, 10), 3);
    EXPECT_ROUND({10, 3, 1});
    table_unmap(test, f, at(TABLE_LOW, 511), 2);
    EXPECT_ROUND({511, 2, 1});
}

TABLE_CASE(more_leaves_than_the_threshold_are_everything)
{
    uint32_t threshold = f->sim->machine.flush_threshold;

    table_map_run(test, f, at(TABLE_LOW, 0), 100, 2 * threshold + 1, RW, PS_MAP_SMALL);
    table_unmap(test, f, at(TABLE_LOW, 0), threshold);
    EXPECT_ROUND({0, threshold, 1});
    table_unmap(test, f, at(TABLE_LOW, 0), 2 * threshold + 1);
    expect_everything(test, f, false);
}

TABLE_CASE(one_global_leaf_makes_everything_global)
{
    table_map_run(test, f, at(TABLE_LOW, 0), 100, 100, RW, PS_MAP_SMALL);
    table_map(test, f, at(TABLE_LOW, 100), 7, GLOBAL);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(100), RO));
    expect_everything(test, f, false);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(101), RW));
    expect_everything(test, f, true);
    table_map(test, f, at(TABLE_LOW, 101), 7, GLOBAL);
    table_unmap(test, f, at(TABLE_LOW, 0), 102);
    expect_everything(test, f, true);
}

/* What makes page 7 global. */
static void map_global(struct test *test, struct table_fixture *f)
{
    table_map(test, f, at(TABLE_LOW, 7), 7, GLOBAL);
}

static void map_global_run(struct test *test, struct table_fixture *f)
{
    table_map_run(test, f, at(TABLE_LOW, 7), 7, 2, GLOBAL, PS_MAP_SMALL);
}

static void protect_global(struct test *test, struct table_fixture *f)
{
    table_map(test, f, at(TABLE_LOW, 7), 7, RW);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 7), ps_pages(1), GLOBAL));
}

static void protect_global_run(struct test *test, struct table_fixture *f)
{
    table_map(test, f, at(TABLE_LOW, 7), 7, RW);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 7), ps_pages(2), GLOBAL));
}

/* Tables that go with all they hold: nobody looks at their leaves. */
static void unlink_global(struct test *test, struct table_fixture *f,
                          void (*make)(struct test *test, struct table_fixture *f))
{
    table_map_run(test, f, at(TABLE_LOW, 100), 100, 900, RW, PS_MAP_SMALL);
    if (make != NULL)
        make(test, f);
    f->sim->invalidations = 0;
    table_unmap(test, f, at(TABLE_LOW, 0), 1024);
    expect_everything(test, f, make != NULL);
}

TABLE_CASE(a_table_without_global_leaves_goes_without_them)
{
    unlink_global(test, f, NULL);
}

TABLE_CASE(a_global_page_goes_with_its_table)
{
    unlink_global(test, f, map_global);
}

TABLE_CASE(a_global_run_goes_with_its_table)
{
    unlink_global(test, f, map_global_run);
}

TABLE_CASE(a_page_that_became_global_goes_with_its_table)
{
    unlink_global(test, f, protect_global);
}

TABLE_CASE(a_run_that_became_global_goes_with_its_table)
{
    unlink_global(test, f, protect_global_run);
}

/* ---- retire ---- */

TABLE_CASE(all_that_was_retired_goes_in_one_round)
{
    struct ps_tlb_gather gather;

    table_map_run(test, f, at(TABLE_LOW, 0), 100, 20, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, 0);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    EXPECT_OK(ps_page_table_retire(&f->table, at(TABLE_LOW, 3), ps_pages(2), &gather));
    EXPECT_OK(ps_page_table_retire(&f->table, at(TABLE_LOW, 5), ps_pages(1), &gather));
    EXPECT_OK(ps_page_table_retire(&f->table, at(TABLE_LOW, 512), ps_pages(512), &gather));
    expect_no_round(test, f);
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_ROUND({3, 3, 1}, {512, 1, 512});
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 0);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 0), ps_pages(1024), NULL));
    expect_no_round(test, f);
}

/* ---- protect ---- */

TABLE_CASE(protect_invalidates_what_changed)
{
    table_map_run(test, f, at(TABLE_LOW, 0), 100, 4, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 4), 104, 4, RO, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, 0);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 2), ps_pages(1), RO));
    EXPECT_ROUND({2, 1, 1});
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 2), ps_pages(1), RO));
    expect_no_round(test, f);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1024), RO));
    EXPECT_ROUND({0, 2, 1}, {3, 1, 1}, {512, 1, 512});
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 600), ps_pages(3), RW));
    EXPECT_ROUND({600, 3, 1});
}

/* Nobody has to survive a fault that comes from rights of yesterday. */
TABLE_CASE(more_access_is_a_round_as_well)
{
    table_map(test, f, at(TABLE_LOW, 0), 100, RO);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1), RW));
    EXPECT_ROUND({0, 1, 1});
}

/* ---- map ---- */

TABLE_CASE(what_was_absent_needs_no_round)
{
    ps_frame_t frames[3] = {{1}, {2}, {3}};

    table_map(test, f, at(TABLE_LOW, 1), 7, RW);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 1024, RW, 0);
    EXPECT_OK(
        ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(3), RW, PS_EXISTING_SKIP));
    expect_no_round(test, f);
}

TABLE_CASE(an_upgrade_invalidates_what_it_replaced_or_changed)
{
    ps_frame_t frames[5] = {{1}, {2}, {3}, {4}, {5}};
    ps_frame_t same = ps_frame(TABLE_FAR + 100);

    table_map(test, f, at(TABLE_LOW, 0), 1, RW); /* as it is to be */
    table_map(test, f, at(TABLE_LOW, 1), 2, RO); /* the same frame */
    table_map(test, f, at(TABLE_LOW, 2), 9, RO); /* another one */
    table_map(test, f, at(TABLE_LOW, 4), 9, RW); /* another one, and somebody may write */
    EXPECT_OK(ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(5), RW,
                                PS_EXISTING_UPGRADE));
    EXPECT_ROUND({1, 2, 1}, {4, 1, 1});
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RO, 0);
    EXPECT_OK(ps_page_table_map(&f->table, at(TABLE_LOW, 612), &same, ps_pages(1), RW,
                                PS_EXISTING_UPGRADE));
    EXPECT_ROUND({612, 1, 1});
}

/* ---- promote ---- */

TABLE_CASE(promotion_invalidates_every_small_page)
{
    f->sim->machine.flush_threshold = 1024;
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_SMALL);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(512)));
    EXPECT_ROUND({0, 512, 1});
    f->sim->machine.flush_threshold = 511;
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 512), ps_pages(512)));
    expect_everything(test, f, false);
    table_map_run(test, f, at(TABLE_LOW, 1024), TABLE_FAR, 512, GLOBAL, PS_MAP_SMALL);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(2048)));
    expect_everything(test, f, true);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(2048)));
    expect_no_round(test, f);
}

/* ---- harvest ---- */

static void harvest(struct test *test, struct table_fixture *f, uint64_t pages, unsigned flags)
{
    const struct ps_harvest request = {.flags = flags};

    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(pages), &request));
}

TABLE_CASE(harvest_invalidates_what_it_cleared)
{
    table_map_run(test, f, at(TABLE_LOW, 0), 100, 6, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, 0);
    harvest(test, f, 1024, 0);
    expect_no_round(test, f);
    *table_entry(f, at(TABLE_LOW, 1), 1) |= 0x20;
    *table_entry(f, at(TABLE_LOW, 2), 1) |= 0x60;
    *table_entry(f, at(TABLE_LOW, 5), 1) |= 0x20;
    *table_entry(f, at(TABLE_LOW, 512), 2) |= 0x60;
    harvest(test, f, 1024, PS_HARVEST_KEEP);
    expect_no_round(test, f);
    harvest(test, f, 1024, 0);
    EXPECT_ROUND({1, 2, 1}, {5, 1, 1}, {512, 1, 512});
    harvest(test, f, 1024, 0);
    expect_no_round(test, f);
}

TABLE_CASE(tables_that_nobody_used_go_in_the_same_round)
{
    table_map_run(test, f, at(TABLE_LOW, 0), 100, 6, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 520), 200, 2, RW, PS_MAP_SMALL);
    table_map(test, f, at(TABLE_LOW, 523), 300, RW);
    *table_entry(f, at(TABLE_LOW, 1), 1) |= 0x20;
    harvest(test, f, 1024, PS_HARVEST_FREE_TABLES);
    EXPECT_ROUND({520, 2, 1}, {523, 1, 1}, {1, 1, 1});
}

TABLE_CASE(marking_pages_as_accessed_needs_no_round)
{
    table_map_run(test, f, at(TABLE_LOW, 0), 100, 6, RW, PS_MAP_SMALL);
    EXPECT_OK(ps_page_table_mark_accessed(&f->table, at(TABLE_LOW, 0), ps_pages(512)));
    expect_no_round(test, f);
}

static const struct test_case cases[] = {
    TEST_CASE(unmap_invalidates_what_was_mapped),
    TEST_CASE(unmap_invalidates_large_leaves_by_one_instruction_each),
    TEST_CASE(unmap_of_a_part_of_a_large_leaf_invalidates_its_pages),
    TEST_CASE(more_leaves_than_the_threshold_are_everything),
    TEST_CASE(one_global_leaf_makes_everything_global),
    TEST_CASE(a_table_without_global_leaves_goes_without_them),
    TEST_CASE(a_global_page_goes_with_its_table),
    TEST_CASE(a_global_run_goes_with_its_table),
    TEST_CASE(a_page_that_became_global_goes_with_its_table),
    TEST_CASE(a_run_that_became_global_goes_with_its_table),
    TEST_CASE(all_that_was_retired_goes_in_one_round),
    TEST_CASE(protect_invalidates_what_changed),
    TEST_CASE(more_access_is_a_round_as_well),
    TEST_CASE(what_was_absent_needs_no_round),
    TEST_CASE(an_upgrade_invalidates_what_it_replaced_or_changed),
    TEST_CASE(promotion_invalidates_every_small_page),
    TEST_CASE(harvest_invalidates_what_it_cleared),
    TEST_CASE(tables_that_nobody_used_go_in_the_same_round),
    TEST_CASE(marking_pages_as_accessed_needs_no_round),
};

const struct test_suite suite_page_table_round = TEST_SUITE("page_table_round", cases);
