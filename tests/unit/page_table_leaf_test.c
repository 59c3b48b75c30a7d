#include "page_table_fixture.h"

/* What mapping and unmapping make of the tree, leaf by leaf and table by table. */

/* ---- the shape of the tree ---- */

TABLE_CASE(one_page_takes_one_table_a_level)
{
    ps_virt_t va = at(TABLE_HIGH, 0);

    table_map(test, f, va, 0x123, RW);
    table_expect_tree(test, f, 1, 0, 0, 4, 0);
    /* present, writable, user, accessed; one used entry: bit 9 */
    EXPECT_EQ(*table_entry(f, va, 4) & ~0x000ffffffffff000u, 0x227);
    EXPECT_EQ(*table_entry(f, va, 3) & ~0x000ffffffffff000u, 0x227);
    EXPECT_EQ(*table_entry(f, va, 2) & ~0x000ffffffffff000u, 0x227);
    /* no-execute, frame, writable, present */
    EXPECT_EQ(*table_entry(f, va, 1), 0x8000000000123003u);
    EXPECT_EQ(table_entry(f, va, 1)[1], 0);
}

TABLE_CASE(neighbours_share_tables)
{
    table_map(test, f, at(TABLE_LOW, 511), 1, RW);
    table_map(test, f, at(TABLE_LOW, 510), 2, RW);
    table_expect_tree(test, f, 2, 0, 0, 4, 0);
    table_map(test, f, at(TABLE_LOW, 512), 3, RW);
    table_expect_tree(test, f, 3, 0, 0, 5, 0);
    table_map(test, f, at(TABLE_LOW, TABLE_HUGE), 4, RW);
    table_expect_tree(test, f, 4, 0, 0, 7, 0);
    table_unmap(test, f, at(TABLE_LOW, 511), 1);
    table_expect_tree(test, f, 3, 0, 0, 7, 0);
    table_unmap(test, f, at(TABLE_LOW, 510), 1);
    table_expect_tree(test, f, 2, 0, 0, 6, 0);
}

TABLE_CASE(scattered_frames_appear_in_order)
{
    ps_frame_t frames[600];

    for (uint64_t i = 0; i < 600; i++)
        frames[i] = ps_frame(1 + i * 7919 % 1000);
    REQUIRE_OK(ps_page_table_map(&f->table, at(TABLE_HIGH, 300), frames, ps_pages(600), RX,
                                 PS_EXISTING_ERROR));
    for (uint64_t i = 0; i < 600; i++)
        table_expect(test, f, at(TABLE_HIGH, 300 + i), frames[i].number, RX, PS_LEAF_4K);
    table_expect_absent(test, f, at(TABLE_HIGH, 299));
    table_expect_absent(test, f, at(TABLE_HIGH, 900));
    table_expect_tree(test, f, 600, 0, 0, 5, 0);
}

TABLE_CASE(every_attribute_comes_back)
{
    static const unsigned access[] = {PS_READ, PS_READ | PS_WRITE, PS_READ | PS_EXECUTE};
    uint64_t page = 0;

    for (unsigned cache = 0; cache < PS_CACHE_COUNT; cache++)
        for (unsigned i = 0; i < 12; i++) {
            unsigned more = (i & 4 ? PS_USER : 0u) | (i & 8 ? PS_GLOBAL : 0u);
            ps_attr_t attr = ps_attr(access[i % 4 % 3] | more, (enum ps_cache)cache);

            table_map(test, f, at(TABLE_HIGH, page), 100 + page, attr);
            table_expect(test, f, at(TABLE_HIGH, page), 100 + page, attr, PS_LEAF_4K);
            table_map_run(test, f, at(TABLE_LOW, page * 512), TABLE_FAR, 512, attr, 0);
            table_expect(test, f, at(TABLE_LOW, page * 512 + 3), TABLE_FAR + 3, attr, PS_LEAF_2M);
            page++;
        }
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

TABLE_CASE(without_no_execute_the_meaning_is_kept, .flags = SIM_NO_EXECUTE_DISABLE)
{
    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    table_map(test, f, at(TABLE_LOW, 1), 2, RX);
    table_expect(test, f, at(TABLE_LOW, 0), 1, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1), 2, RX, PS_LEAF_4K);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 1) >> 63, 0);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

/* ---- large leaves ---- */

TABLE_CASE(a_run_takes_the_largest_leaves_that_fit)
{
    /* 3 pages, a 2 MiB leaf, 1 GiB leaf, a 2 MiB leaf, 5 pages */
    uint64_t start = TABLE_HUGE - 512 - 3;

    table_map_run(test, f, at(TABLE_LOW, start), TABLE_FAR + start, 3 + 512 + TABLE_HUGE + 512 + 5,
                  RW, 0);
    table_expect_tree(test, f, 8, 2, 1, 1 + 1 + 2 + 2, 513 + 2);
    table_expect(test, f, at(TABLE_LOW, start), TABLE_FAR + start, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, start + 3), TABLE_FAR + start + 3, RW, PS_LEAF_2M);
    table_expect(test, f, at(TABLE_LOW, TABLE_HUGE + 77), TABLE_FAR + TABLE_HUGE + 77, RW,
                 PS_LEAF_1G);
    table_expect(test, f, at(TABLE_LOW, 2 * TABLE_HUGE + 511), TABLE_FAR + 2 * TABLE_HUGE + 511, RW,
                 PS_LEAF_2M);
    table_expect(test, f, at(TABLE_LOW, 2 * TABLE_HUGE + 516), TABLE_FAR + 2 * TABLE_HUGE + 516, RW,
                 PS_LEAF_4K);
    table_expect_absent(test, f, at(TABLE_LOW, 2 * TABLE_HUGE + 517));
    EXPECT_EQ(table_read(&f->table).count, 5);
}

TABLE_CASE(large_leaves_need_frames_aligned_like_the_address)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR + 1, 512, RW, 0);
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
    table_map_run(test, f, at(TABLE_LOW, TABLE_HUGE), TABLE_FAR + 512, TABLE_HUGE, RW, 0);
    table_expect_tree(test, f, 512, 512, 0, 5, 512);
}

TABLE_CASE(small_leaves_on_request)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_SMALL);
    table_expect_tree(test, f, 1024, 0, 0, 5, 0);
}

TABLE_CASE(no_huge_leaf_where_the_processor_has_none, .flags = SIM_NO_GIB_LEAVES)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    table_expect_tree(test, f, 0, 512, 0, 3, 512);
}

TABLE_CASE(nothing_is_promised_for_permanent_leaves)
{
    struct ps_translation found = {0};

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE + 512 + 1, RW, PS_MAP_PERMANENT);
    table_expect_tree(test, f, 1, 1, 1, 4, 0);
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 5), &found));
    EXPECT(found.permanent);
    EXPECT(table_read(&f->table).ranges[0].permanent);
}

TABLE_CASE(permanent_large_leaves_are_never_cut)
{
    ps_frame_t one = ps_frame(1);
    struct table_state before;

    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, PS_MAP_PERMANENT);
    table_map(test, f, at(TABLE_LOW, 511), 7, RW);
    table_map(test, f, at(TABLE_LOW, 1024), 8, RW);
    before = table_state(f);
    EXPECT_STATUS(ps_page_table_unmap(&f->table, at(TABLE_LOW, 511), ps_pages(2), NULL),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_unmap(&f->table, at(TABLE_LOW, 1023), ps_pages(2), NULL),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_unmap(&f->table, at(TABLE_LOW, 600), ps_pages(1), NULL),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_protect(&f->table, at(TABLE_LOW, 511), ps_pages(2), RO),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_map(&f->table, at(TABLE_LOW, 600), &one, ps_pages(1), RW,
                                    PS_EXISTING_UPGRADE),
                  PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(permanent_large_leaves_change_and_go_as_a_whole)
{
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, PS_MAP_PERMANENT);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 511), ps_pages(514), RO));
    table_expect(test, f, at(TABLE_LOW, 700), TABLE_FAR + 188, RO, PS_LEAF_2M);
    table_expect_tree(test, f, 0, 1, 0, 3, 0);
    table_unmap(test, f, at(TABLE_LOW, 512), 512);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

/* ---- unmap ---- */

TABLE_CASE(unmap_takes_holes_in_its_stride)
{
    table_unmap(test, f, at(TABLE_LOW, 0), 10000);
    EXPECT_EQ(ps_page_table_counters(&f->table).rounds, 0);
    table_map(test, f, at(TABLE_LOW, 3), 1, RW);
    table_map(test, f, at(TABLE_LOW, 5000), 2, RW);
    table_unmap(test, f, at(TABLE_LOW, 0), 10000);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
    EXPECT_EQ(ps_page_table_counters(&f->table).rounds, 1);
    EXPECT_EQ(f->sim->invalidations, 1);
}

TABLE_CASE(unmap_tells_of_released_frames_in_order)
{
    struct table_released released;
    ps_frame_t frames[5] = {{10}, {11}, {7}, {8}, {9}};

    table_released_init(&released);
    REQUIRE_OK(
        ps_page_table_map(&f->table, at(TABLE_LOW, 0), frames, ps_pages(5), RW, PS_EXISTING_ERROR));
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RW, 0);
    REQUIRE_OK(ps_page_table_unmap(&f->table, at(TABLE_LOW, 0), ps_pages(2048), &released.release));
    REQUIRE(released.count == 3);
    EXPECT_EQ(released.runs[0].first.number, 10);
    EXPECT_EQ(released.runs[0].pages.count, 2);
    EXPECT_EQ(released.runs[1].first.number, 7);
    EXPECT_EQ(released.runs[1].pages.count, 3);
    EXPECT_EQ(released.runs[2].first.number, TABLE_FAR);
    EXPECT_EQ(released.runs[2].pages.count, 512);
}

TABLE_CASE(part_of_a_2m_leaf_is_cut_out)
{
    struct table_released released;
    ps_virt_t va = at(TABLE_LOW, 512);
    ps_attr_t attr = ps_attr(PS_READ | PS_EXECUTE | PS_GLOBAL, PS_CACHE_WRITE_COMBINING);

    table_released_init(&released);
    table_map_run(test, f, va, TABLE_FAR, 512, attr, 0);
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
    REQUIRE_OK(ps_page_table_unmap(&f->table, at(TABLE_LOW, 700), ps_pages(3), &released.release));
    table_expect_tree(test, f, 509, 0, 0, 4, 0);
    EXPECT_EQ(released.count, 1);
    EXPECT_EQ(released.runs[0].first.number, TABLE_FAR + 188);
    EXPECT_EQ(released.runs[0].pages.count, 3);
    for (uint64_t page = 512; page < 1024; page++)
        if (page < 700 || page > 702)
            table_expect(test, f, at(TABLE_LOW, page), TABLE_FAR + page - 512, attr, PS_LEAF_4K);
        else
            table_expect_absent(test, f, at(TABLE_LOW, page));
    EXPECT_EQ(ps_page_table_counters(&f->table).demotions[PS_LEAF_2M], 1);
}

TABLE_CASE(one_page_of_a_1g_leaf_is_cut_out)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    table_expect_tree(test, f, 0, 0, 1, 2, 513);
    table_unmap(test, f, at(TABLE_LOW, 1000), 1);
    table_expect_tree(test, f, 511, 511, 0, 4, 511);
    table_expect_absent(test, f, at(TABLE_LOW, 1000));
    table_expect(test, f, at(TABLE_LOW, 999), TABLE_FAR + 999, RW, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 1024), TABLE_FAR + 1024, RW, PS_LEAF_2M);
    table_expect(test, f, at(TABLE_LOW, TABLE_HUGE - 1), TABLE_FAR + TABLE_HUGE - 1, RW,
                 PS_LEAF_2M);
    table_unmap(test, f, at(TABLE_LOW, 0), TABLE_HUGE);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(a_range_over_the_ends_of_two_large_leaves_cuts_both)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1536, RW, 0);
    table_unmap(test, f, at(TABLE_LOW, 511), 514);
    table_expect_tree(test, f, 511 + 511, 0, 0, 5, 0);
    table_expect(test, f, at(TABLE_LOW, 510), TABLE_FAR + 510, RW, PS_LEAF_4K);
    table_expect_absent(test, f, at(TABLE_LOW, 511));
    table_expect_absent(test, f, at(TABLE_LOW, 1024));
    table_expect(test, f, at(TABLE_LOW, 1025), TABLE_FAR + 1025, RW, PS_LEAF_4K);
    EXPECT_EQ(ps_page_table_counters(&f->table).demotions[PS_LEAF_2M], 2);
}

TABLE_CASE(a_cut_hands_down_accessed_and_dirty)
{
    struct ps_translation found = {0};
    ps_frame_t frame = ps_frame(TABLE_FIRST_FRAME + 256); /* RAM, aligned to 2 MiB */

    table_map_run(test, f, at(TABLE_LOW, 0), frame.number, 512, RW, 0);
    EXPECT(!mmu_load(f->mmu, 0, at(TABLE_LOW, 5)).faulted);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1), RO));
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 511), &found));
    EXPECT(found.accessed && !found.dirty && found.leaf == PS_LEAF_4K);

    table_map_run(test, f, at(TABLE_LOW, 512), frame.number, 512, RW, 0);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 512), 2) & 0x60, 0);
    *table_entry(f, at(TABLE_LOW, 512), 2) |= 0x60;
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 512), ps_pages(1), RO));
    EXPECT_OK(ps_page_table_query(&f->table, at(TABLE_LOW, 1023), &found));
    EXPECT(found.accessed && found.dirty);
}

static const struct test_case cases[] = {
    TEST_CASE(one_page_takes_one_table_a_level),
    TEST_CASE(neighbours_share_tables),
    TEST_CASE(scattered_frames_appear_in_order),
    TEST_CASE(every_attribute_comes_back),
    TEST_CASE(without_no_execute_the_meaning_is_kept),
    TEST_CASE(a_run_takes_the_largest_leaves_that_fit),
    TEST_CASE(large_leaves_need_frames_aligned_like_the_address),
    TEST_CASE(small_leaves_on_request),
    TEST_CASE(no_huge_leaf_where_the_processor_has_none),
    TEST_CASE(nothing_is_promised_for_permanent_leaves),
    TEST_CASE(permanent_large_leaves_are_never_cut),
    TEST_CASE(permanent_large_leaves_change_and_go_as_a_whole),
    TEST_CASE(unmap_takes_holes_in_its_stride),
    TEST_CASE(unmap_tells_of_released_frames_in_order),
    TEST_CASE(part_of_a_2m_leaf_is_cut_out),
    TEST_CASE(one_page_of_a_1g_leaf_is_cut_out),
    TEST_CASE(a_range_over_the_ends_of_two_large_leaves_cuts_both),
    TEST_CASE(a_cut_hands_down_accessed_and_dirty),
};

const struct test_suite suite_page_table_leaf = TEST_SUITE("page_table_leaves", cases);
