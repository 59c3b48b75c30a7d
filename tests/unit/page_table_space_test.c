#include "page_table_fixture.h"

#include "hw.h"

/* A table as the address space of a processor: who runs on it, and tables that are handed on. */

/* The processor goes where no table of ours is. */
static void leave(struct table_fixture *f, struct ps_page_table *table)
{
    atomic_fetch_sub(&table->running, 1);
    ps_hw_set_root(&f->sim->machine, f->table.root);
}

static uint32_t running(struct ps_page_table *table)
{
    return atomic_load(&table->running);
}

static void open_other(struct test *test, struct table_fixture *f)
{
    EXPECT_OK(ps_page_table_create(&f->other, &f->sim->machine, &f->pool));
}

static void close_other(struct test *test, struct table_fixture *f)
{
    EXPECT_OK(ps_page_table_destroy(&f->other));
}

/* ---- switch ---- */

TABLE_CASE(a_switch_counts_the_processor_and_loads_the_root)
{
    const struct ps_machine *machine = &f->sim->machine;

    open_other(test, f);
    EXPECT_OK(ps_page_table_switch(NULL, &f->table));
    EXPECT_EQ(running(&f->table), 1);
    EXPECT_EQ(ps_hw_root(machine).number, f->table.root.number);
    EXPECT_OK(ps_page_table_switch(&f->table, &f->other));
    EXPECT_EQ(running(&f->table), 0);
    EXPECT_EQ(running(&f->other), 1);
    EXPECT_EQ(ps_hw_root(machine).number, f->other.root.number);
    EXPECT_OK(ps_page_table_switch(&f->other, &f->other));
    EXPECT_EQ(running(&f->other), 1);
    leave(f, &f->other);
    close_other(test, f);
}

TABLE_CASE(a_table_is_not_destroyed_under_a_processor)
{
    struct table_state before;

    open_other(test, f);
    EXPECT_OK(ps_page_table_switch(NULL, &f->table));
    before = table_state(f);
    EXPECT_STATUS(ps_page_table_destroy(&f->table), PS_BAD_STATE);
    table_expect_unchanged(test, f, &before);
    EXPECT_OK(ps_page_table_switch(&f->table, &f->other));
    EXPECT_STATUS(ps_page_table_destroy(&f->other), PS_BAD_STATE);
    leave(f, &f->other);
    close_other(test, f);
}

static void expect_no_switch(struct test *test, struct table_fixture *f, struct ps_page_table *from,
                             struct ps_page_table *to, ps_status status)
{
    uint32_t on_table = running(&f->table);
    uint32_t on_other = running(&f->other);
    ps_frame_t root = ps_hw_root(&f->sim->machine);

    EXPECT_STATUS(ps_page_table_switch(from, to), status);
    EXPECT_EQ(running(&f->table), on_table);
    EXPECT_EQ(running(&f->other), on_other);
    EXPECT_EQ(ps_hw_root(&f->sim->machine).number, root.number);
}

TABLE_CASE(a_switch_from_where_the_processor_does_not_run_is_refused)
{
    struct ps_page_table none = {0};

    open_other(test, f);
    expect_no_switch(test, f, NULL, NULL, PS_INVALID_ARGS);
    expect_no_switch(test, f, &f->table, NULL, PS_INVALID_ARGS);
    expect_no_switch(test, f, NULL, &none, PS_BAD_STATE);
    expect_no_switch(test, f, &none, &f->table, PS_BAD_STATE);
    /* Its root is loaded, but nobody has switched to it. */
    expect_no_switch(test, f, &f->table, &f->other, PS_BAD_STATE);
    EXPECT_OK(ps_page_table_switch(NULL, &f->other));
    EXPECT_OK(ps_page_table_switch(&f->other, &f->table));
    expect_no_switch(test, f, &f->other, &f->table, PS_BAD_STATE);
    /* Somebody runs on it, but another processor. */
    atomic_fetch_add(&f->other.running, 1);
    expect_no_switch(test, f, &f->other, &f->table, PS_BAD_STATE);
    leave(f, &f->other);
    leave(f, &f->table);
    close_other(test, f);
}

TABLE_CASE(a_switch_between_levels_is_refused)
{
    struct ps_machine five = f->sim->machine;

    five.levels = 5;
    EXPECT_OK(ps_page_table_create(&f->other, &five, &f->pool));
    EXPECT_OK(ps_page_table_switch(NULL, &f->table));
    expect_no_switch(test, f, &f->table, &f->other, PS_BAD_STATE);
    leave(f, &f->table);
    close_other(test, f);
}

TABLE_CASE(global_translations_outlive_a_switch_and_others_do_not)
{
    ps_frame_t frame = table_take_frame(test, f);

    open_other(test, f);
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 0), ps_pages(1)));
    REQUIRE_OK(ps_page_table_share_upper(&f->other, &f->table));
    table_map(test, f, at(TABLE_HIGH, 0), frame.number,
              ps_attr_ram(PS_READ | PS_WRITE | PS_GLOBAL));
    table_map(test, f, at(TABLE_LOW, 0), frame.number, RW);
    EXPECT_OK(ps_page_table_switch(NULL, &f->table));
    EXPECT(!mmu_store(f->mmu, 0, at(TABLE_HIGH, 0), 42).faulted);
    EXPECT_EQ(mmu_load(f->mmu, 0, at(TABLE_LOW, 0)).value, 42);
    EXPECT_EQ(mmu_kept_translations(f->mmu, 0), 2);
    EXPECT_OK(ps_page_table_switch(&f->table, &f->other));
    EXPECT_EQ(mmu_kept_translations(f->mmu, 0), 1);
    EXPECT_EQ(mmu_kept_steps(f->mmu, 0), 0);
    EXPECT(mmu_load(f->mmu, 0, at(TABLE_LOW, 0)).faulted);
    EXPECT_EQ(mmu_load(f->mmu, 0, at(TABLE_HIGH, 0)).value, 42);
    EXPECT_EQ(f->sim->invalidations, 0);
    leave(f, &f->other);
    close_other(test, f);
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

TABLE_CASE(a_table_was_used_when_a_processor_ran_on_it_since)
{
    struct ps_page_table none = {0};

    open_other(test, f);
    EXPECT(!ps_page_table_was_used(NULL, true));
    EXPECT(!ps_page_table_was_used(&none, true));
    EXPECT(!ps_page_table_was_used(&f->table, true));
    EXPECT_OK(ps_page_table_switch(NULL, &f->table));
    /* It still runs there: that is not to be forgotten. */
    EXPECT(ps_page_table_was_used(&f->table, true));
    EXPECT(ps_page_table_was_used(&f->table, true));
    EXPECT(!ps_page_table_was_used(&f->other, false));
    /* It went on running after the question. */
    EXPECT_OK(ps_page_table_switch(&f->table, &f->other));
    EXPECT(ps_page_table_was_used(&f->table, false));
    EXPECT(ps_page_table_was_used(&f->table, true));
    EXPECT(!ps_page_table_was_used(&f->table, true));
    EXPECT_OK(ps_page_table_switch(&f->other, &f->table));
    EXPECT_OK(ps_page_table_switch(&f->table, &f->other));
    EXPECT(ps_page_table_was_used(&f->table, true));
    EXPECT(!ps_page_table_was_used(&f->table, false));
    leave(f, &f->other);
    close_other(test, f);
}

/* ---- freeze ---- */

enum { CHANGES = 16 };

/* One of all calls that change something. */
static ps_status change(struct table_fixture *f, unsigned number)
{
    static const ps_frame_t frames[2] = {{1}, {2}};
    const struct ps_harvest harvest = {.flags = number == 0 ? PS_HARVEST_FREE_TABLES : 0};
    struct ps_page_table *table = &f->table;
    ps_virt_t absent = at(TABLE_LOW, 600);
    ps_virt_t large = at(TABLE_LOW, 0);
    ps_virt_t small = at(TABLE_LOW, 512);
    struct ps_tlb_gather gather;

    ps_tlb_gather_init(&gather, &f->sim->machine);
    switch (number) {
    case 0:
    case 1:
        return ps_page_table_harvest(table, large, ps_pages(2048), &harvest);
    case 2:
        return ps_page_table_map(table, absent, frames, ps_pages(1), RW, PS_EXISTING_ERROR);
    case 3:
        return ps_page_table_map(table, absent, frames, ps_pages(2), RW, PS_EXISTING_SKIP);
    case 4:
        return ps_page_table_map(table, small, frames, ps_pages(1), RW, PS_EXISTING_UPGRADE);
    case 5:
        return ps_page_table_map_run(table, absent, frames[0], ps_pages(1), RW, 0);
    case 6:
    case 7:
        return ps_page_table_unmap(table, small, ps_pages(number - 5), NULL);
    case 8:
    case 9:
        return ps_page_table_protect(table, small, ps_pages(number - 7), RO);
    case 10:
        return ps_page_table_retire(table, small, ps_pages(1), &gather);
    case 11:
        return ps_page_table_sweep(table, small, ps_pages(1), NULL);
    case 12:
        return ps_page_table_promote(table, at(TABLE_LOW, 1024), ps_pages(512));
    case 13:
        return ps_page_table_mark_accessed(table, large, ps_pages(1));
    case 14:
        return ps_page_table_anchor(table, at(TABLE_HIGH, 0), ps_pages(1));
    default:
        return ps_page_table_share_upper(table, &f->other);
    }
}

TABLE_CASE(nothing_changes_in_a_frozen_table)
{
    struct table_state before;

    open_other(test, f);
    REQUIRE_OK(ps_page_table_anchor(&f->other, at(TABLE_HIGH, 0), ps_pages(1)));
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, 0);
    table_map_run(test, f, at(TABLE_LOW, 512), 100, 4, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 1024), TABLE_FAR, 512, RW, PS_MAP_SMALL);
    *table_entry(f, at(TABLE_LOW, 512), 1) |= 0x60;
    EXPECT_OK(ps_page_table_freeze(&f->table, true));
    before = table_state(f);
    for (unsigned number = 0; number < CHANGES; number++) {
        if (!EXPECT_STATUS(change(f, number), PS_BAD_STATE))
            test_note(test, "change %u", number);
        table_expect_unchanged(test, f, &before);
    }
    EXPECT_EQ(f->sim->invalidations, 0);
    EXPECT_OK(ps_page_table_freeze(&f->table, false));
    EXPECT_OK(change(f, 8));
    table_expect(test, f, at(TABLE_LOW, 512), 100, RO, PS_LEAF_4K);
    close_other(test, f);
}

static void count_text(void *context, const char *text, size_t length)
{
    (void)text;
    *(size_t *)context += length;
}

static void count_visit(void *context, ps_virt_t va, ps_pages_t pages, bool dirty)
{
    (void)va;
    (void)pages;
    *(uint64_t *)context += dirty ? 1 : 100;
}

TABLE_CASE(harvest_looks_at_a_frozen_table)
{
    uint64_t dirty = 0;
    struct ps_harvest harvest = {.flags = PS_HARVEST_KEEP, .visit = count_visit, .context = &dirty};
    struct table_state before;

    table_map_run(test, f, at(TABLE_LOW, 0), 300, 3, RW, 0);
    *table_entry(f, at(TABLE_LOW, 1), 1) |= 0x60;
    EXPECT_OK(ps_page_table_freeze(&f->table, true));
    before = table_state(f);
    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(512), &harvest));
    EXPECT_EQ(dirty, 1);
    harvest.flags = PS_HARVEST_KEEP | PS_HARVEST_FREE_TABLES;
    EXPECT_STATUS(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(512), &harvest),
                  PS_BAD_STATE);
    EXPECT_EQ(dirty, 1);
    table_expect_unchanged(test, f, &before);
    EXPECT_OK(ps_page_table_freeze(&f->table, false));
}

TABLE_CASE(a_frozen_table_answers_questions)
{
    size_t written = 0;
    struct ps_sink sink = {count_text, &written};

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, 0);
    EXPECT_OK(ps_page_table_freeze(&f->table, true));
    table_expect(test, f, at(TABLE_LOW, 5), TABLE_FAR + 5, RW, PS_LEAF_2M);
    table_expect_absent(test, f, at(TABLE_LOW, 512));
    EXPECT_EQ(table_read(&f->table).count, 1);
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_2M], 1);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    ps_page_table_dump(&f->table, NULL, 0, &sink);
    EXPECT(written != 0);
    written = 0;
    ps_page_table_dump_walk(&f->table, at(TABLE_LOW, 0), &sink);
    EXPECT(written != 0);
    EXPECT_OK(ps_page_table_switch(NULL, &f->table));
    EXPECT(ps_page_table_was_used(&f->table, true));
    leave(f, &f->table);
    EXPECT_OK(ps_page_table_freeze(&f->table, false));
}

TABLE_CASE(freeze_refuses_a_table_that_is_none)
{
    struct ps_page_table none = {0};

    (void)f;
    EXPECT_STATUS(ps_page_table_freeze(NULL, true), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_freeze(&none, true), PS_BAD_STATE);
    EXPECT(!none.frozen);
}

/* ---- what one table of leaves spans ---- */

TABLE_CASE(a_table_ends_where_the_next_2m_begin)
{
    const uint64_t span = 512 * PS_PAGE_SIZE;

    (void)f;
    EXPECT_EQ(ps_virt_table_end(ps_virt(0)).addr, span);
    EXPECT_EQ(ps_virt_table_end(ps_virt(1)).addr, span);
    EXPECT_EQ(ps_virt_table_end(ps_virt(span - 1)).addr, span);
    EXPECT_EQ(ps_virt_table_end(ps_virt(span)).addr, 2 * span);
    EXPECT_EQ(ps_virt_table_end(at(TABLE_HIGH, 700)).addr, at(TABLE_HIGH, 1024).addr);
    EXPECT_EQ(ps_virt_table_end(ps_virt(UINT64_MAX - span)).addr, UINT64_MAX - span + 1);
    EXPECT_EQ(ps_virt_table_end(ps_virt(UINT64_MAX - span + 1)).addr, 0);
    EXPECT_EQ(ps_virt_table_end(ps_virt(UINT64_MAX)).addr, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_switch_counts_the_processor_and_loads_the_root),
    TEST_CASE(a_table_is_not_destroyed_under_a_processor),
    TEST_CASE(a_switch_from_where_the_processor_does_not_run_is_refused),
    TEST_CASE(a_switch_between_levels_is_refused),
    TEST_CASE(global_translations_outlive_a_switch_and_others_do_not),
    TEST_CASE(a_table_was_used_when_a_processor_ran_on_it_since),
    TEST_CASE(nothing_changes_in_a_frozen_table),
    TEST_CASE(harvest_looks_at_a_frozen_table),
    TEST_CASE(a_frozen_table_answers_questions),
    TEST_CASE(freeze_refuses_a_table_that_is_none),
    TEST_CASE(a_table_ends_where_the_next_2m_begin),
};

const struct test_suite suite_page_table_space = TEST_SUITE("page_table_space", cases);
