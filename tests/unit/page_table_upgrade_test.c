#include "page_table_fixture.h"

#include "hw.h"

/* Mapping where something is mapped already: error, skip, upgrade. */

static ps_status map_one(struct table_fixture *f, ps_virt_t va, uint64_t frame, ps_attr_t attr,
                         enum ps_existing existing)
{
    ps_frame_t one = ps_frame(frame);

    return ps_page_table_map(&f->table, va, &one, ps_pages(1), attr, existing);
}

static ps_status upgrade(struct table_fixture *f, ps_virt_t va, uint64_t frame, ps_attr_t attr)
{
    return map_one(f, va, frame, attr, PS_EXISTING_UPGRADE);
}

TABLE_CASE(error_maps_nothing_at_all)
{
    ps_frame_t frames[700];
    struct table_state before;

    for (uint64_t i = 0; i < 700; i++)
        frames[i] = ps_frame(100 + i);
    table_map(test, f, at(TABLE_LOW, 699), 7, RO);
    before = table_state(f);
    EXPECT_STATUS(ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(700), RW,
                                    PS_EXISTING_ERROR),
                  PS_ALREADY_EXISTS);
    EXPECT_STATUS(
        ps_page_table_map_run(&f->table, at(TABLE_LOW, 0), ps_frame(512), ps_pages(1024), RW, 0),
        PS_ALREADY_EXISTS);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(a_run_meets_large_leaves_and_tables)
{
    struct table_state before;

    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, 0);
    table_map(test, f, at(TABLE_LOW, TABLE_HUGE), 1, RW);
    before = table_state(f);
    EXPECT_STATUS(
        ps_page_table_map_run(&f->table, at(TABLE_LOW, 1023), ps_frame(1), ps_pages(1), RW, 0),
        PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_page_table_map_run(&f->table, at(TABLE_LOW, TABLE_HUGE), ps_frame(TABLE_FAR),
                                        ps_pages(TABLE_HUGE), RW, 0),
                  PS_ALREADY_EXISTS);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(skip_keeps_whatever_is_there)
{
    ps_frame_t frames[4] = {{20}, {21}, {22}, {23}};

    table_map(test, f, at(TABLE_LOW, 1), 7, RX);
    REQUIRE_OK(
        ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(4), RW, PS_EXISTING_SKIP));
    table_expect(test, f, at(TABLE_LOW, 0), 20, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1), 7, RX, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 2), 22, RW, PS_LEAF_4K);
    table_expect_tree(test, f, 4, 0, 0, 4, 0);
    EXPECT_EQ(f->sim->invalidations, 0);
}

TABLE_CASE(skip_does_not_cut_a_large_leaf)
{
    ps_frame_t frames[3] = {{20}, {21}, {22}};

    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, 0);
    REQUIRE_OK(ps_page_table_map(&f->table, at(TABLE_LOW, 510), frames, ps_pages(3), RW,
                                 PS_EXISTING_SKIP));
    table_expect_tree(test, f, 2, 1, 0, 4, 1);
    table_expect(test, f, at(TABLE_LOW, 512), TABLE_FAR, RW, PS_LEAF_2M);
}

TABLE_CASE(upgrade_of_the_same_frame_adds_access)
{
    table_map(test, f, at(TABLE_LOW, 0), 7, RO);
    *table_entry(f, at(TABLE_LOW, 0), 1) |= 0x20;
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 0), 7, RW));
    table_expect(test, f, at(TABLE_LOW, 0), 7, RW, PS_LEAF_4K);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 1) & 0x60, 0x20);
    EXPECT_EQ(f->sim->invalidations, 1);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 0), 7, ps_attr_ram(PS_READ | PS_USER)));
    table_expect(test, f, at(TABLE_LOW, 0), 7, ps_attr_ram(PS_READ | PS_WRITE | PS_USER),
                 PS_LEAF_4K);
}

TABLE_CASE(upgrade_of_the_same_frame_takes_nothing_away)
{
    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 0), 7, RO));
    table_expect(test, f, at(TABLE_LOW, 0), 7, RW, PS_LEAF_4K);
    EXPECT_EQ(f->sim->invalidations, 0);
}

TABLE_CASE(upgrade_never_makes_a_page_writable_and_executable)
{
    struct table_state before;

    table_map(test, f, at(TABLE_LOW, 0), 7, RX);
    before = table_state(f);
    EXPECT_STATUS(upgrade(f, at(TABLE_LOW, 0), 7, RW), PS_ACCESS_DENIED);
    EXPECT_STATUS(upgrade(f, at(TABLE_LOW, 0), 8, RW), PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(another_frame_with_less_access_is_refused)
{
    struct table_state before;

    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    before = table_state(f);
    EXPECT_STATUS(upgrade(f, at(TABLE_LOW, 0), 8, RO), PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(a_refused_page_leaves_the_others_alone)
{
    ps_frame_t frames[3] = {{20}, {21}, {22}};
    struct table_state before;

    table_map(test, f, at(TABLE_LOW, 0), 7, RO);
    table_map(test, f, at(TABLE_LOW, 2), 9, RX);
    before = table_state(f);
    EXPECT_STATUS(ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(3), RW,
                                    PS_EXISTING_UPGRADE),
                  PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(another_frame_reaches_both_processors)
{
    ps_frame_t old = table_take_frame(test, f);
    ps_frame_t new = table_take_frame(test, f);

    for (int writable = 0; writable <= 1; writable++) {
        ps_virt_t va = at(TABLE_LOW, (uint64_t)writable);

        table_map(test, f, va, old.number, writable ? RW : RO);
        *(uint64_t *)ps_hw_frame(&f->sim->machine, new) = 0x22;
        EXPECT_EQ(mmu_load(f->mmu, 0, va).value, 0);
        EXPECT_EQ(mmu_load(f->mmu, 1, va).value, 0);
        EXPECT_OK(upgrade(f, va, new.number, RW));
        EXPECT_EQ(mmu_load(f->mmu, 0, va).value, 0x22);
        EXPECT_EQ(mmu_load(f->mmu, 1, va).value, 0x22);
        EXPECT(!mmu_store(f->mmu, 1, va, 0x22).faulted);
        table_expect(test, f, va, new.number, RW, PS_LEAF_4K);
    }
    EXPECT_OK(ps_frame_pool_free(&f->pool, old, ps_pages(1)));
    EXPECT_OK(ps_frame_pool_free(&f->pool, new, ps_pages(1)));
}

/* The machine's shootdown looks at the entry in the middle of the upgrade. */
struct spy {
    const uint64_t *entry;
    uint64_t seen;
};

static void look(void *context, const struct ps_invalidation *what)
{
    struct spy *spy = context;

    (void)what;
    spy->seen = *spy->entry;
}

static uint64_t entry_during_upgrade(struct test *test, struct table_fixture *f, ps_attr_t attr)
{
    struct spy spy = {.seen = 0};
    struct ps_machine *machine = &f->sim->machine;
    void (*shootdown)(void *, const struct ps_invalidation *) = machine->shootdown;
    void *context = machine->shootdown_context;

    table_map(test, f, at(TABLE_LOW, 0), 7, attr);
    spy.entry = table_entry(f, at(TABLE_LOW, 0), 1);
    machine->shootdown = look;
    machine->shootdown_context = &spy;
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 0), 8, RW));
    machine->shootdown = shootdown;
    machine->shootdown_context = context;
    table_expect(test, f, at(TABLE_LOW, 0), 8, RW, PS_LEAF_4K);
    table_unmap(test, f, at(TABLE_LOW, 0), 1);
    return spy.seen;
}

TABLE_CASE(a_writable_page_is_broken_before_it_is_made)
{
    EXPECT_EQ(entry_during_upgrade(test, f, RW) & 1, 0);
    EXPECT_EQ(entry_during_upgrade(test, f, RO) & 1, 1);
}

TABLE_CASE(one_round_for_any_number_of_replaced_pages)
{
    ps_frame_t frames[600];

    for (uint64_t i = 0; i < 600; i++)
        frames[i] = ps_frame(1000 + i);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 300, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 300), TABLE_FAR, 200, RO, PS_MAP_SMALL);
    EXPECT_OK(ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(600), RW,
                                PS_EXISTING_UPGRADE));
    EXPECT_EQ(f->sim->invalidations, 1);
    EXPECT_EQ(ps_page_table_counters(&f->table).rounds, 1);
    table_expect_tree(test, f, 600, 0, 0, 5, 0);
    EXPECT_EQ(table_read(&f->table).count, 1);
}

TABLE_CASE(upgrade_cuts_a_large_leaf_only_where_it_must)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RO, 0);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 5), TABLE_FAR + 5, RO));
    table_expect_tree(test, f, 0, 2, 0, 3, 2);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 5), TABLE_FAR + 5, RW));
    table_expect_tree(test, f, 512, 1, 0, 4, 1);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 600), 9, RX));
    table_expect_tree(test, f, 1024, 0, 0, 5, 0);
    table_expect(test, f, at(TABLE_LOW, 4), TABLE_FAR + 4, RO, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 5), TABLE_FAR + 5, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 600), 9, RX, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 601), TABLE_FAR + 601, RO, PS_LEAF_4K);
}

TABLE_CASE(upgrade_of_one_page_of_a_1g_leaf_needs_no_frame)
{
    ps_frame_t taken;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    (void)table_take_all(f, &taken);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 77777), 9, RW));
    table_expect(test, f, at(TABLE_LOW, 77777), 9, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 77778), TABLE_FAR + 77778, RW, PS_LEAF_4K);
    table_give_all(f, taken);
    table_expect_tree(test, f, 512, 511, 0, 4, 511);
}

TABLE_CASE(upgrade_changes_the_memory_type)
{
    ps_attr_t uncached = ps_attr(PS_READ, PS_CACHE_UNCACHED);

    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 0), 7, uncached));
    table_expect(test, f, at(TABLE_LOW, 0), 7, ps_attr(PS_READ | PS_WRITE, PS_CACHE_UNCACHED),
                 PS_LEAF_4K);
    EXPECT_EQ(f->sim->invalidations, 1);
}

TABLE_CASE(a_small_permanent_leaf_can_be_replaced)
{
    struct ps_translation found = {0};

    table_map_run(test, f, at(TABLE_LOW, 0), 7, 1, RO, PS_MAP_PERMANENT);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 0), 7, RW));
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 0), &found));
    EXPECT(found.permanent);
    EXPECT_OK(upgrade(f, at(TABLE_LOW, 0), 8, RW));
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 0), &found));
    EXPECT(!found.permanent && found.frame.number == 8);
}

static const struct test_case cases[] = {
    TEST_CASE(error_maps_nothing_at_all),
    TEST_CASE(a_run_meets_large_leaves_and_tables),
    TEST_CASE(skip_keeps_whatever_is_there),
    TEST_CASE(skip_does_not_cut_a_large_leaf),
    TEST_CASE(upgrade_of_the_same_frame_adds_access),
    TEST_CASE(upgrade_of_the_same_frame_takes_nothing_away),
    TEST_CASE(upgrade_never_makes_a_page_writable_and_executable),
    TEST_CASE(another_frame_with_less_access_is_refused),
    TEST_CASE(a_refused_page_leaves_the_others_alone),
    TEST_CASE(another_frame_reaches_both_processors),
    TEST_CASE(a_writable_page_is_broken_before_it_is_made),
    TEST_CASE(one_round_for_any_number_of_replaced_pages),
    TEST_CASE(upgrade_cuts_a_large_leaf_only_where_it_must),
    TEST_CASE(upgrade_of_one_page_of_a_1g_leaf_needs_no_frame),
    TEST_CASE(upgrade_changes_the_memory_type),
    TEST_CASE(a_small_permanent_leaf_can_be_replaced),
};

const struct test_suite suite_page_table_upgrade = TEST_SUITE("page_table_upgrade", cases);
