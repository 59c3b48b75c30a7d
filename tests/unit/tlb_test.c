#include <pagestage/tlb.h>

#include "page_table_fixture.h"

/* What a gather makes of what it is told: ranges, leaf by leaf, or everything. */

struct told {
    struct ps_tlb_gather gather;
    const struct ps_invalidation *seen; /* by the processor, last */
};

static struct told begin(struct table_fixture *f)
{
    struct told told = {.seen = &f->sim->invalidation};

    ps_tlb_gather_init(&told.gather, &f->sim->machine);
    return told;
}

static void add(struct told *told, uint64_t base, uint64_t page, uint64_t pages)
{
    ps_tlb_gather_add(&told->gather, at(base, page), ps_pages(pages), ps_pages(1), false);
}

static void expect_range(struct test *test, const struct told *told, unsigned number,
                         ps_virt_t first, uint32_t count, uint32_t step_pages)
{
    const struct ps_flush_range *range = &told->seen->ranges[number];

    EXPECT(number < told->seen->count);
    EXPECT_EQ(range->first.addr, first.addr);
    EXPECT_EQ(range->count, count);
    EXPECT_EQ(range->step_pages, step_pages);
}

TABLE_CASE(a_flush_of_nothing_is_no_round)
{
    struct told told = begin(f);

    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 0);
    EXPECT_EQ(f->sim->invalidations, 0);
}

TABLE_CASE(ranges_are_kept_apart)
{
    struct told told = begin(f);

    add(&told, TABLE_LOW, 7, 2);
    add(&told, TABLE_LOW, 3, 1);
    add(&told, TABLE_HIGH, 5, 4);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(f->sim->invalidations, 1);
    EXPECT_EQ(told.seen->count, 3);
    expect_range(test, &told, 0, at(TABLE_LOW, 7), 2, 1);
    expect_range(test, &told, 1, at(TABLE_LOW, 3), 1, 1);
    expect_range(test, &told, 2, at(TABLE_HIGH, 5), 4, 1);
}

TABLE_CASE(a_flushed_gather_is_empty_and_can_be_used_again)
{
    struct told told = begin(f);

    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 0), ps_pages(1), ps_pages(1), true);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 0);
    add(&told, TABLE_HIGH, 0, 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 1);
    EXPECT(!told.seen->global);
    expect_range(test, &told, 0, at(TABLE_HIGH, 0), 1, 1);
}

TABLE_CASE(leaves_side_by_side_are_one_range)
{
    struct told told = begin(f);

    add(&told, TABLE_LOW, 3, 2);
    add(&told, TABLE_LOW, 5, 1);
    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 512), ps_pages(1024), ps_pages(512), false);
    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 1536), ps_pages(512), ps_pages(512), false);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 2);
    expect_range(test, &told, 0, at(TABLE_LOW, 3), 3, 1);
    expect_range(test, &told, 1, at(TABLE_LOW, 512), 3, 512);
}

TABLE_CASE(leaves_of_another_size_are_a_range_of_their_own)
{
    struct told told = begin(f);

    add(&told, TABLE_LOW, 511, 1);
    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 512), ps_pages(512), ps_pages(512), false);
    add(&told, TABLE_LOW, 1024, 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 3);
    expect_range(test, &told, 1, at(TABLE_LOW, 512), 1, 512);
}

/* A part of a large leaf counts as the leaf. */
TABLE_CASE(a_part_of_a_leaf_is_the_leaf)
{
    struct told told = begin(f);

    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 700), ps_pages(3), ps_pages(512), false);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    expect_range(test, &told, 0, at(TABLE_LOW, 512), 1, 512);
    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 700), ps_pages(1000), ps_pages(512), false);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    expect_range(test, &told, 0, at(TABLE_LOW, 512), 3, 512);
}

/* The last of them as well, although it is not reached in steps from the middle of the first. */
TABLE_CASE(parts_of_leaves_that_find_no_room_are_all_reached)
{
    struct told told = begin(f);

    for (uint64_t i = 0; i < PS_FLUSH_RANGES - 1; i++)
        add(&told, TABLE_LOW, i * 10, 1);
    ps_tlb_gather_add(&told.gather, at(TABLE_HIGH, 700), ps_pages(3), ps_pages(512), false);
    ps_tlb_gather_add(&told.gather, at(TABLE_HIGH, 1546), ps_pages(3), ps_pages(512), false);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    expect_range(test, &told, PS_FLUSH_RANGES - 1, at(TABLE_HIGH, 512), 3, 512);
}

TABLE_CASE(as_many_leaves_as_the_threshold_go_one_by_one_and_one_more_with_everything)
{
    struct told told = begin(f);
    uint32_t threshold = f->sim->machine.flush_threshold;

    add(&told, TABLE_LOW, 0, threshold);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    expect_range(test, &told, 0, at(TABLE_LOW, 0), threshold, 1);
    add(&told, TABLE_LOW, 0, threshold + 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 0);
    add(&told, TABLE_LOW, 0, threshold);
    add(&told, TABLE_HIGH, 0, 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 0);
}

/* The count must not come down again with what is added later. */
TABLE_CASE(everything_stays_everything)
{
    struct told told = begin(f);

    add(&told, TABLE_LOW, 0, 1000);
    add(&told, TABLE_HIGH, 0, 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 0);
}

TABLE_CASE(large_leaves_count_once_each)
{
    struct told told = begin(f);
    uint32_t threshold = f->sim->machine.flush_threshold;

    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 0), ps_pages((uint64_t)threshold * 512),
                      ps_pages(512), false);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    expect_range(test, &told, 0, at(TABLE_LOW, 0), threshold, 512);
}

TABLE_CASE(global_is_told_when_one_of_them_was)
{
    struct told told = begin(f);

    ps_tlb_gather_add(&told.gather, at(TABLE_LOW, 0), ps_pages(1000), ps_pages(1), true);
    add(&told, TABLE_LOW, 2000, 1000);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT(told.seen->global);
    add(&told, TABLE_LOW, 0, 1000);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT(!told.seen->global);
}

/* One range more than there is room for: the last one covers what lies between, in small steps. */
TABLE_CASE(the_last_range_takes_in_what_finds_no_room)
{
    struct told told = begin(f);

    for (uint64_t i = 0; i < PS_FLUSH_RANGES - 1; i++)
        add(&told, TABLE_LOW, i * 10, 1);
    ps_tlb_gather_add(&told.gather, at(TABLE_HIGH, 512), ps_pages(512), ps_pages(512), false);
    add(&told, TABLE_HIGH, 1030, 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 0);

    for (uint64_t i = 0; i < PS_FLUSH_RANGES; i++)
        add(&told, TABLE_LOW, i * 10, 1);
    add(&told, TABLE_LOW, 75, 1);
    add(&told, TABLE_LOW, 68, 1);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, PS_FLUSH_RANGES);
    expect_range(test, &told, PS_FLUSH_RANGES - 1, at(TABLE_LOW, 68), 8, 1);
}

TABLE_CASE(a_gather_reaches_the_last_page_of_the_space)
{
    struct told told = begin(f);

    ps_tlb_gather_add(&told.gather, ps_virt(0xffffffffffffe000u), ps_pages(2), ps_pages(1), false);
    ps_tlb_gather_add(&told.gather, ps_virt(0), ps_pages(1), ps_pages(1), false);
    EXPECT_EQ(ps_tlb_gather_flush(&told.gather), 1);
    EXPECT_EQ(told.seen->count, 2);
    expect_range(test, &told, 0, ps_virt(0xffffffffffffe000u), 2, 1);
    expect_range(test, &told, 1, ps_virt(0), 1, 1);
}

TABLE_CASE(this_processor_alone_is_flushed_here)
{
    const struct ps_invalidation everything = {.global = true};

    table_map(test, f, at(TABLE_LOW, 0), table_take_frame(test, f).number, RW);
    EXPECT(!mmu_load(f->mmu, 0, at(TABLE_LOW, 0)).faulted);
    EXPECT(!mmu_load(f->mmu, 1, at(TABLE_LOW, 0)).faulted);
    ps_tlb_invalidate_here(&f->sim->machine, &everything);
    EXPECT_EQ(mmu_kept_translations(f->mmu, 0), 0);
    EXPECT_EQ(mmu_kept_translations(f->mmu, 1), 1);
}

static void the_threshold_is_where_a_full_flush_becomes_cheaper(struct test *test)
{
    EXPECT_EQ(ps_tlb_threshold(100, 1000, 2300), 33);
    EXPECT_EQ(ps_tlb_threshold(100, 50, 0), 1);
    EXPECT_EQ(ps_tlb_threshold(0, 50, 0), 50);
    EXPECT_EQ(ps_tlb_threshold(1, 1000000, 5), 4096);
}

static const struct test_case cases[] = {
    TEST_CASE(a_flush_of_nothing_is_no_round),
    TEST_CASE(ranges_are_kept_apart),
    TEST_CASE(a_flushed_gather_is_empty_and_can_be_used_again),
    TEST_CASE(leaves_side_by_side_are_one_range),
    TEST_CASE(leaves_of_another_size_are_a_range_of_their_own),
    TEST_CASE(a_part_of_a_leaf_is_the_leaf),
    TEST_CASE(parts_of_leaves_that_find_no_room_are_all_reached),
    TEST_CASE(as_many_leaves_as_the_threshold_go_one_by_one_and_one_more_with_everything),
    TEST_CASE(everything_stays_everything),
    TEST_CASE(large_leaves_count_once_each),
    TEST_CASE(global_is_told_when_one_of_them_was),
    TEST_CASE(the_last_range_takes_in_what_finds_no_room),
    TEST_CASE(a_gather_reaches_the_last_page_of_the_space),
    TEST_CASE(this_processor_alone_is_flushed_here),
    TEST_CASE(the_threshold_is_where_a_full_flush_becomes_cheaper),
};

const struct test_suite suite_tlb = TEST_SUITE("tlb", cases);
