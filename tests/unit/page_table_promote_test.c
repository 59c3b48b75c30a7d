#include "page_table_fixture.h"

#include "hw.h"

/* Small leaves become large ones again: what is put together, what is not, what it costs. */

static void promote(struct test *test, struct table_fixture *f, uint64_t page, uint64_t pages)
{
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, page), ps_pages(pages)));
}

static uint64_t rounds(struct table_fixture *f)
{
    return ps_page_table_counters(&f->table).rounds;
}

/* ---- what is put together ---- */

TABLE_CASE(a_full_table_becomes_a_2m_leaf)
{
    uint64_t before;

    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, PS_MAP_SMALL);
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
    before = rounds(f);
    promote(test, f, 512, 512);
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
    EXPECT_EQ(rounds(f), before + 1);
    table_expect(test, f, at(TABLE_LOW, 512), TABLE_FAR, RW, PS_LEAF_2M);
    table_expect(test, f, at(TABLE_LOW, 1023), TABLE_FAR + 511, RW, PS_LEAF_2M);
    EXPECT_EQ(ps_page_table_counters(&f->table).promotions[PS_LEAF_2M], 1);
    /* Again: there is nothing to do, and nobody to tell. */
    promote(test, f, 512, 512);
    EXPECT_EQ(rounds(f), before + 1);
    EXPECT_EQ(ps_page_table_counters(&f->table).promotions[PS_LEAF_2M], 1);
}

TABLE_CASE(all_tables_of_a_range_are_promoted_in_one_round)
{
    uint64_t before;

    table_map_run(test, f, at(TABLE_LOW, 100), TABLE_FAR + 100, 5 * 512, RW, PS_MAP_SMALL);
    table_expect_tree(test, f, 5 * 512, 0, 0, 9, 0);
    before = rounds(f);
    promote(test, f, 0, 3000);
    table_expect_tree(test, f, 512, 4, 0, 5, 4);
    EXPECT_EQ(rounds(f), before + 1);
    table_expect(test, f, at(TABLE_LOW, 511), TABLE_FAR + 511, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 512), TABLE_FAR + 512, RW, PS_LEAF_2M);
    table_expect(test, f, at(TABLE_LOW, 2560), TABLE_FAR + 2560, RW, PS_LEAF_4K);
}

TABLE_CASE(a_gib_of_small_leaves_becomes_one_leaf)
{
    const struct ps_page_table_counters *now = &f->table.counters;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, PS_MAP_SMALL);
    table_expect_tree(test, f, TABLE_HUGE, 0, 0, 514 + 1, 0);
    promote(test, f, 0, TABLE_HUGE);
    table_expect_tree(test, f, 0, 0, 1, 2, 513);
    EXPECT_EQ(now->promotions[PS_LEAF_2M], 512);
    EXPECT_EQ(now->promotions[PS_LEAF_1G], 1);
    EXPECT_EQ(now->rounds, 1);
    table_expect(test, f, at(TABLE_LOW, 12345), TABLE_FAR + 12345, RW, PS_LEAF_1G);
    table_unmap(test, f, at(TABLE_LOW, 1000), 1);
    table_expect_tree(test, f, 511, 511, 0, 4, 511);
}

TABLE_CASE(no_gib_leaf_where_the_processor_has_none, .flags = SIM_NO_GIB_LEAVES)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, PS_MAP_SMALL);
    promote(test, f, 0, TABLE_HUGE);
    table_expect_tree(test, f, 0, 512, 0, 3, 512);
}

TABLE_CASE(a_cut_is_undone)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, 0);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 7), ps_pages(1), RO));
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
    promote(test, f, 0, 512);
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 7), ps_pages(1), RW));
    promote(test, f, 0, 512);
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
}

/* Each large leaf needs a promise before its table is free. */
TABLE_CASE(promotion_goes_as_far_as_frames_can_be_promised)
{
    ps_frame_t list;
    ps_frame_t one;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_SMALL);
    (void)table_take_all(f, &list);
    promote(test, f, 0, 1024);
    table_expect_tree(test, f, 1024, 0, 0, 5, 0);
    one = list;
    list = ps_frame(*(const uint64_t *)ps_hw_frame(&f->sim->machine, one));
    EXPECT_OK(ps_frame_pool_free(&f->pool, one, ps_pages(1)));
    promote(test, f, 0, 1024);
    table_expect_tree(test, f, 512, 1, 0, 4, 1);
    promote(test, f, 0, 1024);
    table_expect_tree(test, f, 0, 2, 0, 3, 2);
    /* What was promised is good for a cut, with not one frame left for anybody else. */
    table_give_all(f, list);
    (void)table_take_all(f, &list);
    table_unmap(test, f, at(TABLE_LOW, 600), 1);
    table_expect_tree(test, f, 511, 1, 0, 4, 1);
    table_give_all(f, list);
}

/* ---- accessed and dirty ---- */

static void expect_history(struct test *test, struct table_fixture *f, bool accessed, bool dirty)
{
    struct ps_translation found = {0};

    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 300), &found));
    EXPECT_EQ(found.leaf, PS_LEAF_2M);
    EXPECT_EQ(found.accessed, accessed);
    EXPECT_EQ(found.dirty, dirty);
}

TABLE_CASE(a_large_leaf_has_the_history_of_all_small_ones)
{
    static const unsigned bits[] = {0, 0x20, 0x60};

    for (size_t i = 0; i < PS_ARRAY_SIZE(bits); i++) {
        table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
        *table_entry(f, at(TABLE_LOW, 511), 1) |= bits[i];
        promote(test, f, 0, 512);
        expect_history(test, f, (bits[i] & 0x20) != 0, (bits[i] & 0x40) != 0);
        table_unmap(test, f, at(TABLE_LOW, 0), 512);
    }
}

/* What others write until the round is over must not be lost. */
TABLE_CASE(among_processors_a_large_leaf_counts_as_touched)
{
    f->sim->machine.processors = 2;
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
    promote(test, f, 0, 512);
    expect_history(test, f, true, true);
    table_unmap(test, f, at(TABLE_LOW, 0), 512);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RO, PS_MAP_SMALL);
    promote(test, f, 0, 512);
    expect_history(test, f, true, false);
    f->sim->machine.processors = 0;
}

TABLE_CASE(among_processors_what_was_written_before_is_not_forgotten)
{
    f->sim->machine.processors = 2;
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
    *table_entry(f, at(TABLE_LOW, 5), 1) |= 0x60;
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(512), RO));
    promote(test, f, 0, 512);
    expect_history(test, f, true, true);
    f->sim->machine.processors = 0;
}

/* ---- what is left alone ---- */

static void expect_left_alone(struct test *test, struct table_fixture *f, uint64_t pages)
{
    struct ps_page_table_counters before = ps_page_table_counters(&f->table);
    struct ps_page_table_counters after;

    promote(test, f, 0, pages);
    after = ps_page_table_counters(&f->table);
    EXPECT_EQ(after.promotions[PS_LEAF_2M], before.promotions[PS_LEAF_2M]);
    EXPECT_EQ(after.leaves[PS_LEAF_4K], before.leaves[PS_LEAF_4K]);
    EXPECT_EQ(after.tables, before.tables);
    EXPECT_EQ(after.rounds, before.rounds);
    table_unmap(test, f, at(TABLE_LOW, 0), 512);
}

TABLE_CASE(a_table_with_a_hole_is_left_alone)
{
    static const uint64_t holes[] = {0, 1, 511};

    for (size_t i = 0; i < PS_ARRAY_SIZE(holes); i++) {
        table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
        table_unmap(test, f, at(TABLE_LOW, holes[i]), 1);
        expect_left_alone(test, f, 512);
    }
}

TABLE_CASE(a_page_that_differs_keeps_its_table)
{
    static const uint64_t pages[] = {0, 1, 511};

    for (size_t i = 0; i < PS_ARRAY_SIZE(pages); i++) {
        table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
        EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, pages[i]), ps_pages(1), RO));
        expect_left_alone(test, f, 512);
        table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
        table_unmap(test, f, at(TABLE_LOW, pages[i]), 1);
        table_map(test, f, at(TABLE_LOW, pages[i]), TABLE_FAR + 512, RW);
        expect_left_alone(test, f, 512);
    }
}

TABLE_CASE(frames_that_are_not_aligned_are_left_alone)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR + 1, 512, RW, PS_MAP_SMALL);
    expect_left_alone(test, f, 512);
}

TABLE_CASE(a_table_that_reaches_out_of_the_range_is_left_alone)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
    expect_left_alone(test, f, 511);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 1), ps_pages(511)));
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
}

TABLE_CASE(executable_and_permanent_leaves_are_left_alone)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RX, PS_MAP_SMALL);
    expect_left_alone(test, f, 512);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL | PS_MAP_PERMANENT);
    expect_left_alone(test, f, 512);
}

TABLE_CASE(cache_types_and_global_survive)
{
    ps_attr_t attr = ps_attr(PS_READ | PS_WRITE | PS_GLOBAL, PS_CACHE_WRITE_COMBINING);

    table_map_run(test, f, at(TABLE_HIGH, 0), TABLE_FAR, 512, attr, PS_MAP_SMALL);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_HIGH, 0), ps_pages(512)));
    table_expect(test, f, at(TABLE_HIGH, 77), TABLE_FAR + 77, attr, PS_LEAF_2M);
}

/* ---- other processors ---- */

/* The table is used again at once: a processor that still walked through it would be seen. */
TABLE_CASE(nobody_walks_through_a_table_that_was_given_back)
{
    uint64_t ram = TABLE_FIRST_FRAME + 256;

    table_map_run(test, f, at(TABLE_LOW, 0), ram, 512, RW, PS_MAP_SMALL);
    EXPECT(!mmu_store(f->mmu, 1, at(TABLE_LOW, 5), 1).faulted);
    promote(test, f, 0, 512);
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
    EXPECT(!mmu_store(f->mmu, 1, at(TABLE_LOW, 5), 2).faulted);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 5), ps_pages(1), RO));
    EXPECT(mmu_store(f->mmu, 1, at(TABLE_LOW, 5), 3).faulted);
    EXPECT(!mmu_store(f->mmu, 1, at(TABLE_LOW, 6), 3).faulted);
}

/* ---- without being asked ---- */

TABLE_CASE(the_last_page_completes_a_large_leaf)
{
    ps_frame_t frames[512];

    for (uint64_t i = 0; i < 512; i++)
        frames[i] = ps_frame(TABLE_FAR + i);
    EXPECT_OK(ps_page_table_set_promotes(&f->table, true));
    REQUIRE_OK(ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(511), RW,
                                 PS_EXISTING_ERROR));
    table_expect_tree(test, f, 511, 0, 0, 4, 0);
    table_map(test, f, at(TABLE_LOW, 511), TABLE_FAR + 511, RW);
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 9), ps_pages(1), RO));
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 9), ps_pages(1), RW));
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
    EXPECT_OK(ps_page_table_set_promotes(&f->table, false));
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 9), ps_pages(1), RO));
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 9), ps_pages(1), RW));
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
}

TABLE_CASE(the_last_2m_completes_a_gib)
{
    EXPECT_OK(ps_page_table_set_promotes(&f->table, true));
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR + 512, TABLE_HUGE - 512, RW, 0);
    table_expect_tree(test, f, 0, 511, 0, 3, 511);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
    table_expect_tree(test, f, 512, 511, 0, 4, 511);
    table_unmap(test, f, at(TABLE_LOW, 3), 1);
    table_map(test, f, at(TABLE_LOW, 3), TABLE_FAR + 3, RW);
    table_expect_tree(test, f, 0, 0, 1, 2, 513);
}

/* ---- what is refused ---- */

/* The same when it is mapped as one leaf, and no table of small ones was promoted before. */
TABLE_CASE(the_last_2m_leaf_completes_a_gib)
{
    EXPECT_OK(ps_page_table_set_promotes(&f->table, true));
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE - 512, RW, 0);
    table_map_run(test, f, at(TABLE_LOW, TABLE_HUGE - 512), TABLE_FAR + TABLE_HUGE - 512, 512, RW,
                  0);
    table_expect(test, f, at(TABLE_LOW, 5), TABLE_FAR + 5, RW, PS_LEAF_1G);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 512), ps_pages(512), RO));
    table_expect(test, f, at(TABLE_LOW, 5), TABLE_FAR + 5, RW, PS_LEAF_2M);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 512), ps_pages(512), RW));
    table_expect(test, f, at(TABLE_LOW, 5), TABLE_FAR + 5, RW, PS_LEAF_1G);
}

TABLE_CASE(promotion_refuses_what_the_other_calls_refuse)
{
    struct ps_page_table none = {0};

    EXPECT_STATUS(ps_page_table_set_promotes(NULL, true), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_set_promotes(&none, true), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_promote(NULL, at(TABLE_LOW, 0), ps_pages(1)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_promote(&none, at(TABLE_LOW, 0), ps_pages(1)), PS_BAD_STATE);
    EXPECT_STATUS(ps_page_table_promote(&f->table, ps_virt(TABLE_LOW + 1), ps_pages(1)),
                  PS_INVALID_ARGS);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(0)));
    REQUIRE_OK(ps_page_table_create(&f->other, &f->sim->machine, &f->pool));
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 0), ps_pages(1)));
    REQUIRE_OK(ps_page_table_share_upper(&f->other, &f->table));
    EXPECT_STATUS(ps_page_table_promote(&f->other, at(TABLE_HIGH, 0), ps_pages(512)),
                  PS_ACCESS_DENIED);
    EXPECT_OK(ps_page_table_destroy(&f->other));
}

static const struct test_case cases[] = {
    TEST_CASE(a_full_table_becomes_a_2m_leaf),
    TEST_CASE(all_tables_of_a_range_are_promoted_in_one_round),
    TEST_CASE(a_gib_of_small_leaves_becomes_one_leaf),
    TEST_CASE(no_gib_leaf_where_the_processor_has_none),
    TEST_CASE(a_cut_is_undone),
    TEST_CASE(promotion_goes_as_far_as_frames_can_be_promised),
    TEST_CASE(a_large_leaf_has_the_history_of_all_small_ones),
    TEST_CASE(among_processors_a_large_leaf_counts_as_touched),
    TEST_CASE(among_processors_what_was_written_before_is_not_forgotten),
    TEST_CASE(a_table_with_a_hole_is_left_alone),
    TEST_CASE(a_page_that_differs_keeps_its_table),
    TEST_CASE(frames_that_are_not_aligned_are_left_alone),
    TEST_CASE(a_table_that_reaches_out_of_the_range_is_left_alone),
    TEST_CASE(executable_and_permanent_leaves_are_left_alone),
    TEST_CASE(cache_types_and_global_survive),
    TEST_CASE(nobody_walks_through_a_table_that_was_given_back),
    TEST_CASE(the_last_page_completes_a_large_leaf),
    TEST_CASE(the_last_2m_completes_a_gib),
    TEST_CASE(the_last_2m_leaf_completes_a_gib),
    TEST_CASE(promotion_refuses_what_the_other_calls_refuse),
};

const struct test_suite suite_page_table_promote = TEST_SUITE("page_table_promotion", cases);
