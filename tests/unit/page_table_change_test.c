#include "page_table_fixture.h"

#include "page_table_private.h"

/* Protect and harvest: leaves that stay and change. */

/* ---- protect ---- */

TABLE_CASE(protect_changes_what_is_mapped_and_only_that)
{
    table_map(test, f, at(TABLE_LOW, 1), 1, RW);
    table_map(test, f, at(TABLE_LOW, 3), 3, RW);
    table_map(test, f, at(TABLE_LOW, 5), 5, RW);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 2), ps_pages(3), RX));
    table_expect(test, f, at(TABLE_LOW, 1), 1, RW, PS_LEAF_4K);
    table_expect_absent(test, f, at(TABLE_LOW, 2));
    table_expect(test, f, at(TABLE_LOW, 3), 3, RX, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 5), 5, RW, PS_LEAF_4K);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
}

TABLE_CASE(protect_keeps_accessed_dirty_and_permanent)
{
    struct ps_translation found = {0};

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1, RW, PS_MAP_PERMANENT);
    *table_entry(f, at(TABLE_LOW, 0), 1) |= 0x60;
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1), RO));
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 0), &found));
    EXPECT(found.accessed && found.dirty && found.permanent);
}

TABLE_CASE(protect_invalidates_once_and_only_when_something_changed)
{
    ps_attr_t uncached = ps_attr(PS_READ | PS_WRITE, PS_CACHE_UNCACHED);

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_SMALL);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1024), RW));
    EXPECT_EQ(f->sim->invalidations, 0);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 10), ps_pages(20), RO));
    EXPECT_EQ(f->sim->invalidations, 1);
    EXPECT_EQ(f->sim->invalidation.ranges[0].first.addr, at(TABLE_LOW, 10).addr);
    EXPECT_EQ(f->sim->invalidation.ranges[0].count, 20);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1024), RW));
    EXPECT_EQ(f->sim->invalidations, 2);
    EXPECT_EQ(f->sim->invalidation.ranges[0].first.addr, at(TABLE_LOW, 10).addr);
    EXPECT_EQ(f->sim->invalidation.ranges[0].count, 20);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1024), uncached));
    EXPECT_EQ(f->sim->invalidations, 3);
    EXPECT_EQ(f->sim->invalidation.count, 0);
    EXPECT_EQ(ps_page_table_counters(&f->table).rounds, 3);
}

TABLE_CASE(protect_of_a_part_cuts_and_of_the_same_does_not)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 7), ps_pages(1), RW));
    table_expect_tree(test, f, 0, 0, 1, 2, 513);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 512), ps_pages(512), RO));
    table_expect_tree(test, f, 0, 512, 0, 3, 512);
    table_expect(test, f, at(TABLE_LOW, 513), TABLE_FAR + 513, RO, PS_LEAF_2M);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 1023), ps_pages(2), RX));
    table_expect_tree(test, f, 1024, 510, 0, 5, 510);
    table_expect(test, f, at(TABLE_LOW, 1022), TABLE_FAR + 1022, RO, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1023), TABLE_FAR + 1023, RX, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1024), TABLE_FAR + 1024, RX, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1025), TABLE_FAR + 1025, RW, PS_LEAF_4K);
}

TABLE_CASE(change_and_unmap_need_no_frame_at_all)
{
    ps_frame_t taken;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    EXPECT(table_take_all(f, &taken) != 0);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 100), ps_pages(1000), RO));
    EXPECT_OK(ps_page_table_unmap(&f->table, at(TABLE_LOW, 5000), ps_pages(100000), NULL));
    table_expect(test, f, at(TABLE_LOW, 99), TABLE_FAR + 99, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1099), TABLE_FAR + 1099, RO, PS_LEAF_4K);
    table_expect_absent(test, f, at(TABLE_LOW, 5000));
    table_expect(test, f, at(TABLE_LOW, 105000), TABLE_FAR + 105000, RW, PS_LEAF_4K);
    EXPECT_OK(ps_page_table_unmap(&f->table, at(TABLE_LOW, 0), ps_pages(TABLE_HUGE), NULL));
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
    table_give_all(f, taken);
}

/* ---- the one write to a live entry ---- */

TABLE_CASE(a_bit_that_the_processor_set_is_never_overwritten)
{
    uint64_t leaf = ps_entry_leaf(ps_frame(7), RW, 1, &f->sim->machine);
    uint64_t entry = leaf | PS_ENTRY_ACCESSED;

    EXPECT(!ps_entry_change(&entry, leaf, 0, false));
    EXPECT_EQ(entry, leaf | PS_ENTRY_ACCESSED);
    EXPECT(ps_entry_change(&entry, leaf | PS_ENTRY_ACCESSED, leaf, false));
    EXPECT_EQ(entry, leaf);
    /* With both bits set there is nothing left to lose. */
    entry = leaf | PS_ENTRY_ACCESSED | PS_ENTRY_DIRTY;
    EXPECT(ps_entry_change(&entry, entry, 5, false));
    EXPECT_EQ(entry, 5);
}

/* ---- remove write ---- */

TABLE_CASE(remove_write_takes_write_and_nothing_else_in_the_callers_round)
{
    struct ps_tlb_gather gather;

    table_map(test, f, at(TABLE_LOW, 1), 1, RW);
    table_map(test, f, at(TABLE_LOW, 2), 2, RX);
    table_map(test, f, at(TABLE_LOW, 4), 4, RW);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    EXPECT_OK(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 0), ps_pages(4), &gather));
    EXPECT_OK(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 0), ps_pages(2), &gather));
    table_expect(test, f, at(TABLE_LOW, 1), 1, RO, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 2), 2, RX, PS_LEAF_4K);
    table_expect_absent(test, f, at(TABLE_LOW, 3));
    table_expect(test, f, at(TABLE_LOW, 4), 4, RW, PS_LEAF_4K);
    EXPECT_EQ(f->sim->invalidations, 0);
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_EQ(f->sim->invalidations, 1);
    EXPECT_EQ(f->sim->invalidation.count, 1);
    EXPECT_EQ(f->sim->invalidation.ranges[0].first.addr, at(TABLE_LOW, 1).addr);
    EXPECT_EQ(f->sim->invalidation.ranges[0].count, 1);
}

TABLE_CASE(remove_write_cuts_a_large_leaf_only_where_it_was_writable)
{
    struct ps_tlb_gather gather;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    EXPECT_OK(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 512), ps_pages(1), &gather));
    table_expect(test, f, at(TABLE_LOW, 512), TABLE_FAR + 512, RO, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 513), TABLE_FAR + 513, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1024), TABLE_FAR + 1024, RW, PS_LEAF_2M);
    EXPECT_OK(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 1024), ps_pages(512), &gather));
    EXPECT_OK(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 1030), ps_pages(1), &gather));
    table_expect(test, f, at(TABLE_LOW, 1030), TABLE_FAR + 1030, RO, PS_LEAF_2M);
    (void)ps_tlb_gather_flush(&gather);
}

TABLE_CASE(remove_write_answers_as_unmap_does)
{
    struct ps_tlb_gather gather;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, PS_MAP_PERMANENT);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    EXPECT_STATUS(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 1), ps_pages(1), &gather),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 1), ps_pages(1), NULL),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_remove_write(NULL, at(TABLE_LOW, 1), ps_pages(1), &gather),
                  PS_INVALID_ARGS);
    EXPECT_OK(ps_page_table_freeze(&f->table, true));
    EXPECT(ps_page_table_is_frozen(&f->table));
    EXPECT_STATUS(ps_page_table_remove_write(&f->table, at(TABLE_LOW, 0), ps_pages(1), &gather),
                  PS_BAD_STATE);
    EXPECT_OK(ps_page_table_freeze(&f->table, false));
    EXPECT(!ps_page_table_is_frozen(&f->table));
    EXPECT(ps_page_table_is_frozen(&(struct ps_page_table){0}));
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 0);
}

/* ---- harvest ---- */

struct harvested {
    struct {
        ps_virt_t va;
        ps_pages_t pages;
        bool dirty;
    } leaves[8];
    unsigned count;
};

static void keep_leaf(void *context, ps_virt_t va, ps_pages_t pages, bool dirty)
{
    struct harvested *harvested = context;

    if (harvested->count < 8) {
        harvested->leaves[harvested->count].va = va;
        harvested->leaves[harvested->count].pages = pages;
        harvested->leaves[harvested->count].dirty = dirty;
    }
    harvested->count++;
}

TABLE_CASE(harvest_shows_what_was_touched_once)
{
    struct harvested harvested = {.count = 0};
    const struct ps_harvest keep_leaves = {.visit = keep_leaf, .context = &harvested};
    ps_frame_t frame = table_take_frame(test, f);

    for (uint64_t page = 0; page < 4; page++)
        table_map(test, f, at(TABLE_LOW, page), frame.number, RW);
    (void)mmu_load(f->mmu, 0, at(TABLE_LOW, 1));
    (void)mmu_store(f->mmu, 1, at(TABLE_LOW, 3), 5);
    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(1000), &keep_leaves));
    REQUIRE(harvested.count == 2);
    EXPECT_EQ(harvested.leaves[0].va.addr, at(TABLE_LOW, 1).addr);
    EXPECT(!harvested.leaves[0].dirty && harvested.leaves[0].pages.count == 1);
    EXPECT_EQ(harvested.leaves[1].va.addr, at(TABLE_LOW, 3).addr);
    EXPECT(harvested.leaves[1].dirty);
    EXPECT_EQ(f->sim->invalidations, 1);

    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(1000), &keep_leaves));
    EXPECT_EQ(harvested.count, 2);
    EXPECT_EQ(f->sim->invalidations, 1);
    (void)mmu_store(f->mmu, 1, at(TABLE_LOW, 3), 6);
    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(1000), &keep_leaves));
    EXPECT_EQ(harvested.count, 3);
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

/* Tables of another hand may have it so. */
TABLE_CASE(harvest_shows_a_page_that_is_dirty_and_not_accessed)
{
    struct harvested harvested = {.count = 0};
    const struct ps_harvest keep_leaves = {.visit = keep_leaf, .context = &harvested};

    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    *table_entry(f, at(TABLE_LOW, 0), 1) |= PS_ENTRY_DIRTY;
    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(1), &keep_leaves));
    EXPECT_EQ(harvested.count, 1);
    EXPECT(harvested.leaves[0].dirty);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 1) & PS_ENTRY_DIRTY, 0);
}

TABLE_CASE(harvest_shows_a_large_leaf_whole)
{
    struct harvested harvested = {.count = 0};
    const struct ps_harvest keep_leaves = {.visit = keep_leaf, .context = &harvested};

    table_map_run(test, f, at(TABLE_HIGH, 512), 512, 512, RW, 0);
    (void)mmu_store(f->mmu, 0, at(TABLE_HIGH, 600), 1);
    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_HIGH, 700), ps_pages(1), &keep_leaves));
    REQUIRE(harvested.count == 1);
    EXPECT_EQ(harvested.leaves[0].va.addr, at(TABLE_HIGH, 512).addr);
    EXPECT_EQ(harvested.leaves[0].pages.count, 512);
    EXPECT_EQ(f->sim->invalidation.count, 1);
    EXPECT_EQ(f->sim->invalidation.ranges[0].count, 1);
    EXPECT_EQ(f->sim->invalidation.ranges[0].step_pages, 512);
    EXPECT(harvested.leaves[0].dirty);
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
}

static const struct test_case cases[] = {
    TEST_CASE(remove_write_takes_write_and_nothing_else_in_the_callers_round),
    TEST_CASE(remove_write_cuts_a_large_leaf_only_where_it_was_writable),
    TEST_CASE(remove_write_answers_as_unmap_does),
    TEST_CASE(protect_changes_what_is_mapped_and_only_that),
    TEST_CASE(protect_keeps_accessed_dirty_and_permanent),
    TEST_CASE(protect_invalidates_once_and_only_when_something_changed),
    TEST_CASE(protect_of_a_part_cuts_and_of_the_same_does_not),
    TEST_CASE(change_and_unmap_need_no_frame_at_all),
    TEST_CASE(a_bit_that_the_processor_set_is_never_overwritten),
    TEST_CASE(harvest_shows_what_was_touched_once),
    TEST_CASE(harvest_shows_a_page_that_is_dirty_and_not_accessed),
    TEST_CASE(harvest_shows_a_large_leaf_whole),
};

const struct test_suite suite_page_table_change = TEST_SUITE("page_table_changes", cases);
