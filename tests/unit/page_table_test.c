#include "page_table_fixture.h"

#include "hw.h"

/* Spaces, arguments that every call refuses, sharing, reading back. */

#define LAST_LOW   0x00007ffffffff000u
#define FIRST_HIGH 0xffff800000000000u
#define LAST_PAGE  0xfffffffffffff000u

/* ---- create and destroy ---- */

TABLE_CASE(a_new_space_is_one_empty_table)
{
    const uint64_t *root = ps_hw_frame(&f->sim->machine, f->table.root);

    table_expect_tree(test, f, 0, 0, 0, 1, 0);
    EXPECT_EQ(table_read(&f->table).count, 0);
    for (unsigned i = 0; i < 512; i++)
        EXPECT_EQ(root[i], 0);
}

TABLE_CASE(create_refuses_null_and_a_second_time)
{
    struct ps_page_table fresh = {0};
    const struct ps_machine *machine = &f->sim->machine;

    EXPECT_STATUS(ps_page_table_create(NULL, machine, &f->pool), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_create(&fresh, NULL, &f->pool), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_create(&fresh, machine, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_create(&f->table, machine, &f->pool), PS_BAD_STATE);
    EXPECT(fresh.machine == NULL);
}

TABLE_CASE(create_refuses_levels_that_no_processor_has)
{
    struct ps_machine machine = f->sim->machine;
    struct ps_page_table fresh = {0};

    machine.levels = 3;
    EXPECT_STATUS(ps_page_table_create(&fresh, &machine, &f->pool), PS_INVALID_ARGS);
    machine.levels = 6;
    EXPECT_STATUS(ps_page_table_create(&fresh, &machine, &f->pool), PS_INVALID_ARGS);
}

TABLE_CASE(create_without_a_frame_is_no_memory)
{
    struct ps_page_table fresh = {0};

    ps_frame_pool_fail_after(&f->pool, 0, false);
    EXPECT_STATUS(ps_page_table_create(&fresh, &f->sim->machine, &f->pool), PS_NO_MEMORY);
    EXPECT(fresh.machine == NULL);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(destroy_is_refused_while_a_leaf_is_mapped)
{
    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    EXPECT_STATUS(ps_page_table_destroy(&f->table), PS_BAD_STATE);
    table_expect(test, f, at(TABLE_LOW, 0), 1, RW, PS_LEAF_4K);
}

TABLE_CASE(destroy_is_refused_between_retire_and_sweep)
{
    struct ps_tlb_gather gather;

    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    REQUIRE_OK(ps_page_table_retire(&f->table, at(TABLE_LOW, 0), ps_pages(1), &gather));
    EXPECT_STATUS(ps_page_table_destroy(&f->table), PS_BAD_STATE);
    ps_tlb_gather_flush(&gather);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 0), ps_pages(1), NULL));
}

TABLE_CASE(destroy_gives_back_root_and_anchored_tables)
{
    struct ps_frame_pool_snapshot snapshot;

    REQUIRE_OK(ps_page_table_anchor(&f->table, ps_virt(FIRST_HIGH), ps_pages(PS_TIB / 4096)));
    table_expect_tree(test, f, 0, 0, 0, 3, 0);
    EXPECT_OK(ps_page_table_destroy(&f->table));
    ps_frame_pool_snapshot(&f->pool, &snapshot);
    EXPECT_EQ(snapshot.by_tag[PS_FRAME_TABLE], 0);
    EXPECT(f->table.machine == NULL && f->table.counters.tables == 0);
    EXPECT_STATUS(ps_page_table_destroy(&f->table), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_destroy(NULL), PS_INVALID_ARGS);
}

/* ---- arguments: the same for all calls ---- */

static void ignore_leaf(void *context, ps_virt_t va, ps_pages_t pages, bool dirty)
{
    (void)context;
    (void)va;
    (void)pages;
    (void)dirty;
}

enum { CALLS = 8 };
static const char *const call_names[CALLS] = {"map",   "map_run", "unmap",   "retire",
                                              "sweep", "protect", "harvest", "anchor"};

static ps_status call_number(unsigned number, struct ps_page_table *table, ps_virt_t va,
                             ps_pages_t pages)
{
    static const struct ps_machine none;
    static const ps_frame_t frames[4] = {{1}, {2}, {3}, {4}};
    struct ps_tlb_gather gather;

    ps_tlb_gather_init(&gather, &none);
    switch (number) {
    case 0:
        return ps_page_table_map(table, va, frames, pages, RW, PS_EXISTING_ERROR);
    case 1:
        return ps_page_table_map_run(table, va, frames[0], pages, RW, 0);
    case 2:
        return ps_page_table_unmap(table, va, pages, NULL);
    case 3:
        return ps_page_table_retire(table, va, pages, &gather);
    case 4:
        return ps_page_table_sweep(table, va, pages, NULL);
    case 5:
        return ps_page_table_protect(table, va, pages, RO);
    case 6:
        return ps_page_table_harvest(table, va, pages, &(struct ps_harvest){.visit = ignore_leaf});
    default:
        return ps_page_table_anchor(table, va, pages);
    }
}

static void expect_all_calls(struct test *test, struct ps_page_table *table, ps_virt_t va,
                             uint64_t pages, ps_status status)
{
    for (unsigned number = 0; number < CALLS; number++)
        if (!EXPECT_STATUS(call_number(number, table, va, ps_pages(pages)), status))
            test_note(test, "%s of %" PS_PRIu " pages at 0x%" PS_PRIx, call_names[number], pages,
                      va.addr);
}

TABLE_CASE(bad_addresses_are_refused_by_every_call)
{
    struct table_state before = table_state(f);

    expect_all_calls(test, &f->table, ps_virt(TABLE_LOW + 1), 1, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(TABLE_LOW + 2048), 0, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(LAST_LOW + 0x1000), 1, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(FIRST_HIGH - 0x1000), 1, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(0x8000000000000000u), 1, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(0x7ffff00000000000u), 0, PS_INVALID_ARGS);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(ranges_that_leave_their_half_are_refused_by_every_call)
{
    struct table_state before = table_state(f);

    expect_all_calls(test, &f->table, ps_virt(LAST_LOW), 2, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(LAST_PAGE), 2, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(TABLE_LOW), UINT64_MAX, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(TABLE_HIGH), UINT64_MAX, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(0x1000), (uint64_t)1 << 52, PS_INVALID_ARGS);
    expect_all_calls(test, &f->table, ps_virt(TABLE_LOW), (uint64_t)1 << 36, PS_INVALID_ARGS);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(no_pages_is_ok_and_does_nothing)
{
    struct table_state before = table_state(f);

    expect_all_calls(test, &f->table, ps_virt(TABLE_LOW), 0, PS_OK);
    expect_all_calls(test, &f->table, ps_virt(0), 0, PS_OK);
    expect_all_calls(test, &f->table, ps_virt(LAST_PAGE), 0, PS_OK);
    EXPECT_OK(
        ps_page_table_map(&f->table, ps_virt(TABLE_LOW), NULL, ps_pages(0), RW, PS_EXISTING_ERROR));
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(a_space_that_was_not_created_refuses_everything)
{
    struct ps_page_table none = {0};
    struct ps_translation found;

    expect_all_calls(test, &none, ps_virt(TABLE_LOW), 1, PS_BAD_STATE);
    expect_all_calls(test, &none, ps_virt(TABLE_LOW), 0, PS_BAD_STATE);
    expect_all_calls(test, NULL, ps_virt(TABLE_LOW), 1, PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_query(&none, ps_virt(TABLE_LOW), &found), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_validate(&none, NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_validate(NULL, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_destroy(&none), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_share_upper(&none, &f->table), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_share_upper(&f->table, &none), PS_BAD_STATE);
    EXPECT_EQ(table_read(&none).count, 0);
    EXPECT_EQ(ps_page_table_counters(&none).tables, 0);
}

TABLE_CASE(missing_pointers_are_refused)
{
    struct ps_page_table *table = &f->table;

    EXPECT_STATUS(
        ps_page_table_map(table, at(TABLE_LOW, 0), NULL, ps_pages(1), RW, PS_EXISTING_ERROR),
        PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_retire(table, at(TABLE_LOW, 0), ps_pages(1), NULL),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_harvest(table, at(TABLE_LOW, 0), ps_pages(1), NULL),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_query(table, at(TABLE_LOW, 0), NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_share_upper(table, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_share_upper(NULL, table), PS_INVALID_ARGS);
}

TABLE_CASE(invalid_attributes_are_refused)
{
    static const ps_attr_t bad[] = {
        {PS_READ | PS_WRITE | PS_EXECUTE, 0},
        {PS_WRITE, 0},
        {0, 0},
        {PS_READ | 0x20, 0},
        {PS_READ, PS_CACHE_COUNT},
        {PS_EXECUTE, 0},
    };
    ps_frame_t one = ps_frame(1);
    ps_virt_t va = at(TABLE_LOW, 0);
    struct table_state before = table_state(f);

    for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
        EXPECT_STATUS(
            ps_page_table_map(&f->table, va, &one, ps_pages(1), bad[i], PS_EXISTING_ERROR),
            PS_INVALID_ARGS);
        EXPECT_STATUS(ps_page_table_map_run(&f->table, va, one, ps_pages(1), bad[i], 0),
                      PS_INVALID_ARGS);
        EXPECT_STATUS(ps_page_table_protect(&f->table, va, ps_pages(1), bad[i]), PS_INVALID_ARGS);
    }
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(unknown_flags_and_modes_are_refused)
{
    ps_frame_t one = ps_frame(1);

    EXPECT_STATUS(ps_page_table_map_run(&f->table, at(TABLE_LOW, 0), one, ps_pages(1), RW, 4),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(
        ps_page_table_map(&f->table, at(TABLE_LOW, 0), &one, ps_pages(1), RW, (enum ps_existing)3),
        PS_INVALID_ARGS);
}

/* The machine has 46 physical bits: frames 0 to 2^34 - 1. */
TABLE_CASE(frames_beyond_the_machine_are_refused)
{
    const uint64_t largest = ((uint64_t)1 << 34) - 1;
    ps_frame_t frames[3] = {{1}, {largest + 1}, {2}};
    struct table_state before = table_state(f);

    EXPECT_STATUS(
        ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(3), RW, PS_EXISTING_ERROR),
        PS_INVALID_ARGS);
    EXPECT_STATUS(
        ps_page_table_map_run(&f->table, at(TABLE_LOW, 0), ps_frame(largest), ps_pages(2), RW, 0),
        PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_map_run(&f->table, at(TABLE_LOW, 0), ps_frame(UINT64_MAX),
                                        ps_pages(1), RW, 0),
                  PS_INVALID_ARGS);
    table_expect_unchanged(test, f, &before);
    table_map_run(test, f, at(TABLE_LOW, 0), largest, 1, RW, 0);
    table_expect(test, f, at(TABLE_LOW, 0), largest, RW, PS_LEAF_4K);
}

TABLE_CASE(page_zero_is_never_mapped)
{
    ps_frame_t frames[2] = {{1}, {2}};
    struct table_state before = table_state(f);

    EXPECT_STATUS(
        ps_page_table_map(&f->table, ps_virt(0), frames, ps_pages(2), RW, PS_EXISTING_ERROR),
        PS_ACCESS_DENIED);
    EXPECT_STATUS(
        ps_page_table_map(&f->table, ps_virt(0), frames, ps_pages(1), RW, PS_EXISTING_SKIP),
        PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_map_run(&f->table, ps_virt(0), ps_frame(0), ps_pages(512), RW, 0),
                  PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
    EXPECT_OK(ps_page_table_protect(&f->table, ps_virt(0), ps_pages(2), RO));
    EXPECT_OK(ps_page_table_unmap(&f->table, ps_virt(0), ps_pages(2), NULL));
}

TABLE_CASE(the_edges_of_both_halves_can_be_used)
{
    static const uint64_t edges[] = {0x1000, LAST_LOW, FIRST_HIGH, LAST_PAGE};

    for (unsigned i = 0; i < 4; i++) {
        table_map(test, f, ps_virt(edges[i]), 10 + i, RW);
        table_expect(test, f, ps_virt(edges[i]), 10 + i, RW, PS_LEAF_4K);
        table_expect(test, f, ps_virt(edges[i] + 0xfff), 10 + i, RW, PS_LEAF_4K);
        EXPECT_EQ(table_read(&f->table).ranges[i].va.addr, edges[i]);
    }
    table_expect_tree(test, f, 4, 0, 0, 1 + 4 * 3, 0);
    for (unsigned i = 4; i > 0; i--)
        table_unmap(test, f, ps_virt(edges[i - 1]), 1);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(the_whole_upper_half_can_be_unmapped_at_once)
{
    table_map_run(test, f, ps_virt(LAST_PAGE - 0x1ff000), 0x1000, 512, RW, 0);
    table_map(test, f, ps_virt(FIRST_HIGH), 1, RW);
    table_unmap(test, f, ps_virt(FIRST_HIGH), (uint64_t)1 << 35);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(five_levels_take_one_table_more, .flags = SIM_FIVE_LEVELS)
{
    static const uint64_t edges[] = {0x1000, 0x00fffffffffff000, 0xff00000000000000,
                                     0xfffffffffffff000};

    for (unsigned i = 0; i < 4; i++)
        table_map(test, f, ps_virt(edges[i]), 10 + i, RW);
    table_expect_tree(test, f, 4, 0, 0, 1 + 4 * 4, 0);
    for (unsigned i = 0; i < 4; i++)
        table_expect(test, f, ps_virt(edges[i]), 10 + i, RW, PS_LEAF_4K);
    expect_all_calls(test, &f->table, ps_virt(0x0100000000000000), 1, PS_INVALID_ARGS);
    EXPECT_EQ(table_read(&f->table).ranges[2].va.addr, 0xff00000000000000);
}

/* ---- anchor and share ---- */

#define SLOT ((uint64_t)1 << 27) /* pages of 512 GiB: one entry of the root */

TABLE_CASE(anchored_tables_stay_when_they_are_empty)
{
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 5), ps_pages(SLOT)));
    table_expect_tree(test, f, 0, 0, 0, 3, 0);
    table_map(test, f, at(TABLE_HIGH, 0), 1, RW);
    table_expect_tree(test, f, 1, 0, 0, 5, 0);
    table_unmap(test, f, at(TABLE_HIGH, 0), 1);
    table_expect_tree(test, f, 0, 0, 0, 3, 0);
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 0), ps_pages(1)));
    table_expect_tree(test, f, 0, 0, 0, 3, 0);
}

TABLE_CASE(a_table_in_use_can_be_anchored)
{
    table_map(test, f, at(TABLE_HIGH, 0), 1, RW);
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 0), ps_pages(1)));
    table_expect_tree(test, f, 1, 0, 0, 4, 0);
    table_unmap(test, f, at(TABLE_HIGH, 0), 1);
    table_expect_tree(test, f, 0, 0, 0, 2, 0);
}

static void open_other(struct test *test, struct table_fixture *f)
{
    EXPECT_OK(ps_page_table_create(&f->other, &f->sim->machine, &f->pool));
}

/* The fixture's own table shares from `other`, which goes first at the end of the case. */
static void close_other(struct test *test, struct table_fixture *f)
{
    EXPECT_OK(ps_page_table_destroy(&f->other));
}

TABLE_CASE(shared_tables_show_what_is_mapped_later)
{
    ps_frame_t frame = table_take_frame(test, f);

    open_other(test, f);
    REQUIRE_OK(ps_page_table_anchor(&f->other, at(TABLE_HIGH, 0), ps_pages(SLOT)));
    REQUIRE_OK(ps_page_table_share_upper(&f->table, &f->other));
    REQUIRE_OK(ps_page_table_map(&f->other, at(TABLE_HIGH, 3), &frame, ps_pages(1), RW,
                                 PS_EXISTING_ERROR));
    EXPECT(!mmu_store(f->mmu, 0, at(TABLE_HIGH, 3), 42).faulted);
    EXPECT_EQ(mmu_load(f->mmu, 0, at(TABLE_HIGH, 3)).value, 42);
    EXPECT_EQ(table_read(&f->table).count, 0);
    EXPECT_EQ(table_read(&f->other).count, 1);
    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    EXPECT_EQ(ps_page_table_counters(&f->table).tables, 4);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    EXPECT_OK(ps_page_table_validate(&f->other, NULL));
    EXPECT_OK(ps_page_table_unmap(&f->other, at(TABLE_HIGH, 3), ps_pages(1), NULL));
    close_other(test, f);
    f->other.machine = &f->sim->machine; /* tells the fixture that the upper half is not ours */
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

TABLE_CASE(destroying_a_sharer_leaves_the_shared_tables)
{
    table_map(test, f, at(TABLE_HIGH, 0), 7, RW);
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 0), ps_pages(1)));
    open_other(test, f);
    REQUIRE_OK(ps_page_table_share_upper(&f->other, &f->table));
    /* The number of used entries is the owner's business: it would be wrong in the copy. */
    EXPECT_EQ(((const uint64_t *)ps_hw_frame(&f->sim->machine, f->other.root))[288] & 0xe00, 0);
    close_other(test, f);
    table_expect_tree(test, f, 1, 0, 0, 4, 0);
    table_expect(test, f, at(TABLE_HIGH, 0), 7, RW, PS_LEAF_4K);
}

TABLE_CASE(addresses_under_shared_entries_are_not_ours)
{
    struct ps_translation found;
    struct table_state before;

    open_other(test, f);
    REQUIRE_OK(ps_page_table_anchor(&f->other, at(TABLE_HIGH, 0), ps_pages(1)));
    REQUIRE_OK(ps_page_table_share_upper(&f->table, &f->other));
    before = table_state(f);
    expect_all_calls(test, &f->table, at(TABLE_HIGH, 0), 1, PS_ACCESS_DENIED);
    expect_all_calls(test, &f->table, ps_virt(TABLE_HIGH - 4096), 3, PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_query(&f->table, at(TABLE_HIGH, 0), &found), PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
    close_other(test, f);
    f->other.machine = &f->sim->machine;
}

TABLE_CASE(sharing_needs_an_empty_upper_half_and_equal_levels)
{
    struct ps_machine five = f->sim->machine;

    open_other(test, f);
    REQUIRE_OK(ps_page_table_anchor(&f->other, at(TABLE_HIGH, 0), ps_pages(1)));
    EXPECT_STATUS(ps_page_table_share_upper(&f->other, &f->table), PS_BAD_STATE);
    table_map(test, f, ps_virt(LAST_PAGE), 1, RW);
    EXPECT_STATUS(ps_page_table_share_upper(&f->table, &f->other), PS_BAD_STATE);
    table_unmap(test, f, ps_virt(LAST_PAGE), 1);
    close_other(test, f);
    five.levels = 5;
    EXPECT_OK(ps_page_table_create(&f->other, &five, &f->pool));
    EXPECT_STATUS(ps_page_table_share_upper(&f->table, &f->other), PS_BAD_STATE);
    close_other(test, f);
}

/* ---- reading back ---- */

static bool stop_at_second(void *context, const struct ps_mapped_range *range)
{
    unsigned *seen = context;

    (void)range;
    return ++*seen < 2;
}

TABLE_CASE(ranges_are_maximal_and_end_at_every_difference)
{
    struct table_ranges read;
    unsigned seen = 0;

    table_map_run(test, f, at(TABLE_LOW, 0), 100, 700, RW, PS_MAP_SMALL); /* crosses a table */
    table_map_run(test, f, at(TABLE_LOW, 700), 800, 10, RO, 0);           /* other access */
    table_map_run(test, f, at(TABLE_LOW, 710), 811, 10, RO, 0);           /* a frame left out */
    table_map_run(test, f, at(TABLE_LOW, 721), 821, 10, RO, 0);           /* a page left out */
    table_map_run(test, f, at(TABLE_LOW, 731), 831, 10, RO, PS_MAP_PERMANENT);
    read = table_read(&f->table);
    REQUIRE(read.count == 5);
    EXPECT_EQ(read.ranges[0].va.addr, TABLE_LOW);
    EXPECT_EQ(read.ranges[0].pages.count, 700);
    EXPECT_EQ(read.ranges[0].frame.number, 100);
    EXPECT(ps_attr_equal(read.ranges[0].attr, RW));
    EXPECT_EQ(read.ranges[1].frame.number, 800);
    EXPECT_EQ(read.ranges[2].frame.number, 811);
    EXPECT_EQ(read.ranges[3].va.addr, at(TABLE_LOW, 721).addr);
    EXPECT(!read.ranges[3].permanent && read.ranges[4].permanent);
    ps_page_table_for_each(&f->table, stop_at_second, &seen);
    EXPECT_EQ(seen, 2);
}

/* A lock whose holder waits for this processor until it has answered three times. */
struct held_lock {
    struct ps_lock *lock;
    unsigned answers;
};

static void answer_and_be_let_go(void *context)
{
    struct held_lock *held = context;

    held->answers++;
    if (held->answers == 3)
        ps_lock_release(held->lock);
}

TABLE_CASE(who_waits_for_the_table_answers_shootdowns)
{
    struct held_lock held = {.lock = &f->table.lock};

    f->sim->machine.answer_context = &held;
    f->sim->machine.answer = answer_and_be_let_go;
    f->sim->machine.processors = 2;
    ps_lock_acquire(&f->table.lock);
    EXPECT_EQ(ps_page_table_counters(&f->table).tables, 1);
    f->sim->machine.processors = 1;
    f->sim->machine.answer = NULL;
    EXPECT_EQ(held.answers, 3);
}

static const struct test_case cases[] = {
    TEST_CASE(a_new_space_is_one_empty_table),
    TEST_CASE(create_refuses_null_and_a_second_time),
    TEST_CASE(create_refuses_levels_that_no_processor_has),
    TEST_CASE(create_without_a_frame_is_no_memory),
    TEST_CASE(destroy_is_refused_while_a_leaf_is_mapped),
    TEST_CASE(destroy_is_refused_between_retire_and_sweep),
    TEST_CASE(destroy_gives_back_root_and_anchored_tables),
    TEST_CASE(bad_addresses_are_refused_by_every_call),
    TEST_CASE(ranges_that_leave_their_half_are_refused_by_every_call),
    TEST_CASE(no_pages_is_ok_and_does_nothing),
    TEST_CASE(a_space_that_was_not_created_refuses_everything),
    TEST_CASE(missing_pointers_are_refused),
    TEST_CASE(invalid_attributes_are_refused),
    TEST_CASE(unknown_flags_and_modes_are_refused),
    TEST_CASE(frames_beyond_the_machine_are_refused),
    TEST_CASE(page_zero_is_never_mapped),
    TEST_CASE(the_edges_of_both_halves_can_be_used),
    TEST_CASE(the_whole_upper_half_can_be_unmapped_at_once),
    TEST_CASE(five_levels_take_one_table_more),
    TEST_CASE(anchored_tables_stay_when_they_are_empty),
    TEST_CASE(a_table_in_use_can_be_anchored),
    TEST_CASE(shared_tables_show_what_is_mapped_later),
    TEST_CASE(destroying_a_sharer_leaves_the_shared_tables),
    TEST_CASE(addresses_under_shared_entries_are_not_ours),
    TEST_CASE(sharing_needs_an_empty_upper_half_and_equal_levels),
    TEST_CASE(ranges_are_maximal_and_end_at_every_difference),
    TEST_CASE(who_waits_for_the_table_answers_shootdowns),
};

const struct test_suite suite_page_table = TEST_SUITE("page_table_calls", cases);
