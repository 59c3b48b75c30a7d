#include "page_table_fixture.h"

#include "hw.h"

/* Harvest that looks only, that gives back what nobody used, and its opposite. */

enum { ACCESSED = 0x20, USED = 0x60 };

struct seen {
    uint64_t leaves;
    uint64_t dirty;
    uint64_t pages;
};

static void count_leaf(void *context, ps_virt_t va, ps_pages_t pages, bool dirty)
{
    struct seen *seen = context;

    (void)va;
    seen->leaves++;
    seen->dirty += dirty;
    seen->pages += pages.count;
}

static struct seen harvest(struct test *test, struct table_fixture *f, uint64_t page,
                           uint64_t pages, unsigned flags, const struct ps_frame_release *release)
{
    struct seen seen = {0};
    const struct ps_harvest request = {
        .flags = flags, .visit = count_leaf, .context = &seen, .release = release};

    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, page), ps_pages(pages), &request));
    return seen;
}

static void touch(struct table_fixture *f, uint64_t page, unsigned level, unsigned bits)
{
    *table_entry(f, at(TABLE_LOW, page), level) |= bits;
}

static void map_small(struct test *test, struct table_fixture *f, uint64_t page, uint64_t frame,
                      uint64_t pages)
{
    table_map_run(test, f, at(TABLE_LOW, page), frame, pages, RW, PS_MAP_SMALL);
}

/* ---- looking ---- */

TABLE_CASE(keep_shows_all_and_changes_nothing)
{
    struct table_state before;
    struct seen seen;

    map_small(test, f, 0, 100, 10);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, 0);
    touch(f, 3, 1, ACCESSED);
    touch(f, 4, 1, USED);
    touch(f, 512, 2, USED);
    before = table_state(f);
    for (unsigned twice = 0; twice < 2; twice++) {
        seen = harvest(test, f, 0, 1024, PS_HARVEST_KEEP, NULL);
        EXPECT_EQ(seen.leaves, 3);
        EXPECT_EQ(seen.dirty, 2);
        EXPECT_EQ(seen.pages, 514);
        table_expect_unchanged(test, f, &before);
    }
    EXPECT_EQ(f->sim->invalidations, 0);
    EXPECT_EQ(harvest(test, f, 0, 1024, 0, NULL).leaves, 3);
    EXPECT_EQ(harvest(test, f, 0, 1024, PS_HARVEST_KEEP, NULL).leaves, 0);
}

TABLE_CASE(harvest_refuses_what_it_does_not_know)
{
    const struct ps_harvest unknown = {.flags = 4};
    struct table_state before;

    map_small(test, f, 0, 100, 10);
    touch(f, 3, 1, USED);
    before = table_state(f);
    EXPECT_STATUS(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(10), NULL),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(10), &unknown),
                  PS_INVALID_ARGS);
    table_expect_unchanged(test, f, &before);
}

/* ---- tables that nobody used ---- */

TABLE_CASE(only_whole_tables_that_nobody_used_are_freed)
{
    ps_attr_t global = ps_attr_ram(PS_READ | PS_GLOBAL);

    map_small(test, f, 100, 100, 3);   /* the range begins behind */
    map_small(test, f, 512, 200, 512); /* goes */
    map_small(test, f, 1024, 1000, 5); /* was read */
    map_small(test, f, 1536, 1100, 5); /* a global one */
    table_map(test, f, at(TABLE_LOW, 1600), 7, global);
    map_small(test, f, 2048, 1200, 5); /* a permanent one */
    table_map_run(test, f, at(TABLE_LOW, 2100), 8, 1, RW, PS_MAP_PERMANENT);
    map_small(test, f, 2560, 1300, 1);                                  /* goes */
    table_map_run(test, f, at(TABLE_LOW, 3072), TABLE_FAR, 512, RW, 0); /* is no table */
    map_small(test, f, 3584, 1400, 2);                                  /* the range ends in it */
    touch(f, 1028, 1, ACCESSED);
    table_expect_tree(test, f, 535, 1, 0, 10, 1);
    EXPECT_EQ(harvest(test, f, 1, 4094, PS_HARVEST_FREE_TABLES, NULL).leaves, 1);
    table_expect_tree(test, f, 22, 1, 0, 8, 1);
    EXPECT_EQ(table_read(&f->table).count, 8);
    table_expect_absent(test, f, at(TABLE_LOW, 512));
    table_expect_absent(test, f, at(TABLE_LOW, 2560));
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 512), 2), 0);
    EXPECT_EQ(f->sim->invalidations, 1);
}

TABLE_CASE(what_is_unmapped_is_decided_before_bits_are_cleared)
{
    map_small(test, f, 0, 100, 3);
    touch(f, 1, 1, USED);
    EXPECT_EQ(harvest(test, f, 0, 512, PS_HARVEST_FREE_TABLES, NULL).dirty, 1);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
    EXPECT_EQ(harvest(test, f, 0, 512, PS_HARVEST_FREE_TABLES, NULL).leaves, 0);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

/* Ranges that lie in one table are looked at from that table on. */
TABLE_CASE(a_part_of_a_table_frees_nothing)
{
    map_small(test, f, 0, 100, 512);
    (void)harvest(test, f, 0, 511, PS_HARVEST_FREE_TABLES, NULL);
    (void)harvest(test, f, 1, 511, PS_HARVEST_FREE_TABLES, NULL);
    (void)harvest(test, f, 7, 1, PS_HARVEST_FREE_TABLES, NULL);
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
    (void)harvest(test, f, 0, 512, PS_HARVEST_FREE_TABLES, NULL);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(keep_and_free_tables_go_together)
{
    map_small(test, f, 0, 100, 3);
    map_small(test, f, 512, 200, 3);
    touch(f, 1, 1, USED);
    for (unsigned twice = 0; twice < 2; twice++)
        EXPECT_EQ(harvest(test, f, 0, 1024, PS_HARVEST_KEEP | PS_HARVEST_FREE_TABLES, NULL).leaves,
                  1);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
    EXPECT_EQ(f->sim->invalidations, 1);
}

TABLE_CASE(tables_of_tables_go_when_they_are_empty)
{
    map_small(test, f, 0, 100, 3);
    map_small(test, f, TABLE_HUGE, 200, 3);
    map_small(test, f, TABLE_HUGE + 512, 300, 3);
    touch(f, TABLE_HUGE, 1, ACCESSED);
    table_expect_tree(test, f, 9, 0, 0, 7, 0);
    (void)harvest(test, f, 0, 2 * TABLE_HUGE, PS_HARVEST_FREE_TABLES, NULL);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 3), 0);
    (void)harvest(test, f, 0, 2 * TABLE_HUGE, PS_HARVEST_FREE_TABLES, NULL);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(anchored_tables_outlive_it)
{
    map_small(test, f, 0, 100, 3);
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_LOW, 0), ps_pages(1)));
    (void)harvest(test, f, 0, TABLE_HUGE, PS_HARVEST_FREE_TABLES, NULL);
    table_expect_tree(test, f, 0, 0, 0, 2, 0);
}

struct late_release {
    struct test *test;
    struct table_fixture *f;
    uint64_t pages;
};

/* Frames come when the round is over: nobody reaches them any more. */
static void check_released(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct late_release *late = context;
    struct test *test = late->test;

    EXPECT_EQ(late->f->sim->invalidations, 1);
    EXPECT_EQ(first.number, 300 + late->pages);
    for (uint64_t page = 0; page < pages.count; page++)
        for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
            EXPECT(mmu_translate(late->f->mmu, cpu, at(TABLE_LOW, late->pages + page), MMU_READ)
                       .faulted);
    late->pages += pages.count;
}

TABLE_CASE(frames_are_released_after_the_round)
{
    struct late_release late = {.test = test, .f = f};
    const struct ps_frame_release release = {check_released, &late};

    map_small(test, f, 0, 300, 40);
    for (uint64_t page = 0; page < 40; page++)
        for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
            EXPECT(!mmu_translate(f->mmu, cpu, at(TABLE_LOW, page), MMU_READ).faulted);
    /* The processors remember the pages, the tables do not. */
    for (uint64_t page = 0; page < 40; page++)
        *table_entry(f, at(TABLE_LOW, page), 1) &= ~(uint64_t)USED;
    (void)harvest(test, f, 0, 512, PS_HARVEST_FREE_TABLES, &release);
    EXPECT_EQ(late.pages, 40);
}

TABLE_CASE(released_runs_are_as_long_as_frames_are_side_by_side)
{
    struct table_released released;

    table_released_init(&released);
    map_small(test, f, 0, 100, 3);
    map_small(test, f, 3, 200, 2);
    map_small(test, f, 512, 202, 4);
    map_small(test, f, 1024, 300, 4);
    touch(f, 1024, 1, ACCESSED);
    (void)harvest(test, f, 0, 2048, PS_HARVEST_FREE_TABLES, &released.release);
    REQUIRE(released.count == 2);
    EXPECT_EQ(released.runs[0].first.number, 100);
    EXPECT_EQ(released.runs[0].pages.count, 3);
    EXPECT_EQ(released.runs[1].first.number, 200);
    EXPECT_EQ(released.runs[1].pages.count, 6);
}

/* A sweep of ours would finish what is theirs. */
TABLE_CASE(nothing_is_freed_while_others_have_retired)
{
    struct ps_tlb_gather gather;

    map_small(test, f, 0, 100, 3);
    map_small(test, f, 512, 200, 3);
    touch(f, 0, 1, ACCESSED);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    EXPECT_OK(ps_page_table_retire(&f->table, at(TABLE_LOW, 2), ps_pages(1), &gather));
    EXPECT_EQ(harvest(test, f, 0, 1024, PS_HARVEST_FREE_TABLES, NULL).leaves, 1);
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_4K], 5);
    EXPECT_EQ(ps_page_table_counters(&f->table).tables, 5);
    (void)ps_tlb_gather_flush(&gather);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 2), ps_pages(1), NULL));
    table_expect_tree(test, f, 5, 0, 0, 5, 0);
    (void)harvest(test, f, 0, 1024, PS_HARVEST_FREE_TABLES, NULL);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(it_needs_no_frame)
{
    ps_frame_t taken;

    map_small(test, f, 0, 100, 3);
    map_small(test, f, 512, 200, 3);
    touch(f, 0, 1, USED);
    EXPECT(table_take_all(f, &taken) != 0);
    EXPECT_EQ(harvest(test, f, 0, 1024, PS_HARVEST_FREE_TABLES, NULL).dirty, 1);
    table_give_all(f, taken);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
}

/* ---- the opposite ---- */

TABLE_CASE(marked_leaves_count_as_read)
{
    struct ps_translation found = {0};
    struct seen seen;

    map_small(test, f, 0, 100, 2);
    map_small(test, f, 3, 200, 2);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RO, 0);
    table_map_run(test, f, at(TABLE_LOW, TABLE_HUGE), TABLE_FAR, TABLE_HUGE, RW, PS_MAP_PERMANENT);
    EXPECT_OK(ps_page_table_mark_accessed(&f->table, at(TABLE_LOW, 1), ps_pages(TABLE_HUGE)));
    seen = harvest(test, f, 0, 2 * TABLE_HUGE, PS_HARVEST_KEEP, NULL);
    EXPECT_EQ(seen.leaves, 5);
    EXPECT_EQ(seen.dirty, 0);
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 0), &found));
    EXPECT(!found.accessed);
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 1), &found));
    EXPECT(found.accessed && !found.dirty);
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, TABLE_HUGE), &found));
    EXPECT(found.accessed && found.permanent);
    table_expect_tree(test, f, 4, 1, 1, 4, 1);
}

TABLE_CASE(marking_keeps_dirty_and_does_not_touch_others_retired_leaves)
{
    struct ps_tlb_gather gather;
    struct ps_translation found = {0};
    uint64_t retired;

    map_small(test, f, 0, 100, 3);
    touch(f, 0, 1, 0x40);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    EXPECT_OK(ps_page_table_retire(&f->table, at(TABLE_LOW, 1), ps_pages(1), &gather));
    retired = *table_entry(f, at(TABLE_LOW, 1), 1);
    EXPECT_OK(ps_page_table_mark_accessed(&f->table, at(TABLE_LOW, 0), ps_pages(3)));
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 1), 1), retired);
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 0), &found));
    EXPECT(found.accessed && found.dirty);
    (void)ps_tlb_gather_flush(&gather);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 0), ps_pages(3), NULL));
}

TABLE_CASE(marking_refuses_what_the_other_calls_refuse)
{
    struct ps_page_table none = {0};

    EXPECT_STATUS(ps_page_table_mark_accessed(NULL, at(TABLE_LOW, 0), ps_pages(1)),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_mark_accessed(&none, at(TABLE_LOW, 0), ps_pages(1)), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_mark_accessed(&f->table, ps_virt(TABLE_LOW + 8), ps_pages(1)),
                  PS_INVALID_ARGS);
    EXPECT_OK(ps_page_table_mark_accessed(&f->table, at(TABLE_LOW, 0), ps_pages(0)));
    REQUIRE_OK(ps_page_table_create(&f->other, &f->sim->machine, &f->pool));
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 0), ps_pages(1)));
    REQUIRE_OK(ps_page_table_share_upper(&f->other, &f->table));
    EXPECT_STATUS(ps_page_table_mark_accessed(&f->other, at(TABLE_HIGH, 0), ps_pages(1)),
                  PS_ACCESS_DENIED);
    EXPECT_OK(ps_page_table_destroy(&f->other));
}

static const struct test_case cases[] = {
    TEST_CASE(keep_shows_all_and_changes_nothing),
    TEST_CASE(harvest_refuses_what_it_does_not_know),
    TEST_CASE(only_whole_tables_that_nobody_used_are_freed),
    TEST_CASE(what_is_unmapped_is_decided_before_bits_are_cleared),
    TEST_CASE(a_part_of_a_table_frees_nothing),
    TEST_CASE(keep_and_free_tables_go_together),
    TEST_CASE(tables_of_tables_go_when_they_are_empty),
    TEST_CASE(anchored_tables_outlive_it),
    TEST_CASE(frames_are_released_after_the_round),
    TEST_CASE(released_runs_are_as_long_as_frames_are_side_by_side),
    TEST_CASE(nothing_is_freed_while_others_have_retired),
    TEST_CASE(it_needs_no_frame),
    TEST_CASE(marked_leaves_count_as_read),
    TEST_CASE(marking_keeps_dirty_and_does_not_touch_others_retired_leaves),
    TEST_CASE(marking_refuses_what_the_other_calls_refuse),
};

const struct test_suite suite_page_table_harvest = TEST_SUITE("page_table_harvest", cases);
