#include "page_table_fixture.h"

#include <string.h>

#include "hw.h"

/* What happens rarely: large leaves in the way, tables of others, retired ones, no table at all. */

/* ---- spaces ---- */

TABLE_CASE(destroy_is_refused_while_a_large_leaf_is_mapped)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_LARGE, RW, 0);
    EXPECT_STATUS(ps_page_table_destroy(&f->table), PS_BAD_STATE);
    table_unmap(test, f, at(TABLE_LOW, 0), TABLE_LARGE);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
    EXPECT_STATUS(ps_page_table_destroy(&f->table), PS_BAD_STATE);
    table_expect_tree(test, f, 0, 0, 1, 2, 513);
}

TABLE_CASE(only_anchored_tables_are_shared)
{
    const uint64_t *root;

    REQUIRE_OK(ps_page_table_create(&f->other, &f->sim->machine, &f->pool));
    REQUIRE_OK(ps_page_table_anchor(&f->table, ps_virt(0xffff800000000000u), ps_pages(1)));
    table_map(test, f, at(TABLE_HIGH, 0), 1, RW);
    REQUIRE_OK(ps_page_table_share_upper(&f->other, &f->table));
    root = ps_hw_frame(&f->sim->machine, f->other.root);
    EXPECT(root[256] != 0);
    for (unsigned i = 257; i < 512; i++)
        EXPECT_EQ(root[i], 0);
    EXPECT_OK(ps_page_table_destroy(&f->other));
    table_unmap(test, f, at(TABLE_HIGH, 0), 1);
}

TABLE_CASE(questions_about_nothing_are_answered)
{
    struct ps_translation found = {.frame = {7}};
    struct table_ranges read = {.count = 0};

    EXPECT_STATUS(ps_page_table_query(NULL, at(TABLE_LOW, 0), &found), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_query(&f->table, ps_virt(0x800000000000u), &found),
                  PS_INVALID_ARGS);
    EXPECT_EQ(found.frame.number, 7);
    EXPECT_EQ(ps_page_table_counters(NULL).tables, 0);
    read = table_read(NULL);
    EXPECT_EQ(read.count, 0);
    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    ps_page_table_for_each(&f->table, NULL, &read);
    EXPECT_EQ(read.count, 0);
}

/* ---- one page, where its table exists ---- */

TABLE_CASE(a_single_page_is_refused_as_others_are)
{
    ps_frame_t beyond = ps_frame((uint64_t)1 << 34);
    ps_frame_t one = ps_frame(1);
    struct table_state before;

    table_map(test, f, ps_virt(0x1000), 7, RW);
    before = table_state(f);
    EXPECT_STATUS(
        ps_page_table_map(&f->table, ps_virt(0), &one, ps_pages(1), RW, PS_EXISTING_ERROR),
        PS_ACCESS_DENIED);
    EXPECT_STATUS(
        ps_page_table_map(&f->table, ps_virt(0x2000), &beyond, ps_pages(1), RW, PS_EXISTING_ERROR),
        PS_INVALID_ARGS);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(without_other_processors_a_single_page_is_invalidated_here)
{
    ps_frame_t frame = table_take_frame(test, f);

    f->sim->machine.shootdown = NULL;
    table_map(test, f, at(TABLE_LOW, 3), frame.number, RW);
    EXPECT(!mmu_load(f->mmu, 0, at(TABLE_LOW, 3)).faulted);
    EXPECT(!mmu_load(f->mmu, 1, at(TABLE_LOW, 3)).faulted);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 3), ps_pages(1), RO));
    EXPECT_EQ(ps_page_table_counters(&f->table).rounds, 1);
    EXPECT_EQ(f->sim->invalidation.count, 1);
    EXPECT_EQ(f->sim->invalidation.ranges[0].first.addr, at(TABLE_LOW, 3).addr);
    EXPECT(mmu_store(f->mmu, 0, at(TABLE_LOW, 3), 1).faulted);
    EXPECT_EQ(mmu_kept_translations(f->mmu, 1), 1);
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

/* ---- between retire and sweep ---- */

static void retire(struct test *test, struct table_fixture *f, uint64_t page, uint64_t pages,
                   struct ps_tlb_gather *gather)
{
    EXPECT_OK(ps_page_table_retire(&f->table, at(TABLE_LOW, page), ps_pages(pages), gather));
}

static uint64_t sweep(struct test *test, struct table_fixture *f, uint64_t page, uint64_t pages)
{
    struct table_released released;

    table_released_init(&released);
    EXPECT_OK(
        ps_page_table_sweep(&f->table, at(TABLE_LOW, page), ps_pages(pages), &released.release));
    return released.pages;
}

TABLE_CASE(what_was_retired_in_one_piece_is_swept_in_any_pieces)
{
    struct ps_tlb_gather gather;

    table_map_run(test, f, at(TABLE_LOW, 0), 300, 1536, RW, PS_MAP_SMALL);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    retire(test, f, 0, 1024, &gather);
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_4K], 512);
    EXPECT_EQ(f->table.retired, 1024);
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_EQ(sweep(test, f, 0, 100), 100);
    EXPECT_EQ(f->table.retired, 924);
    EXPECT_EQ(sweep(test, f, 500, 20), 20);
    EXPECT_EQ(sweep(test, f, 0, 1536), 904);
    table_expect_tree(test, f, 512, 0, 0, 4, 0);
}

/* A sweep may follow the second operation's round: so that covers what the first one retired. */
TABLE_CASE(a_round_covers_tables_that_others_retired)
{
    struct ps_tlb_gather one;
    struct ps_tlb_gather two;

    table_map_run(test, f, at(TABLE_LOW, 0), 300, 1024, RW, PS_MAP_SMALL);
    ps_tlb_gather_init(&one, &f->sim->machine);
    ps_tlb_gather_init(&two, &f->sim->machine);
    retire(test, f, 0, 512, &one);
    retire(test, f, 0, 522, &two);
    EXPECT_EQ(two.leaves, 522);
    EXPECT(two.what.global);
    EXPECT_EQ(f->table.retired, 522);
    EXPECT_EQ(ps_tlb_gather_flush(&two), 1);
    EXPECT_EQ(sweep(test, f, 0, 1024), 522);
    EXPECT_EQ(ps_tlb_gather_flush(&one), 1);
    EXPECT_EQ(sweep(test, f, 0, 1024), 0);
    table_expect_tree(test, f, 502, 0, 0, 4, 0);
}

TABLE_CASE(a_table_in_which_nothing_is_to_do_stays_with_those_who_retired_it)
{
    struct ps_tlb_gather one;
    struct ps_tlb_gather two;

    table_map(test, f, at(TABLE_LOW, 0), 100, RW);
    table_map(test, f, at(TABLE_LOW, 1), 101, RW);
    table_map(test, f, at(TABLE_LOW, 512), 102, RW);
    ps_tlb_gather_init(&one, &f->sim->machine);
    ps_tlb_gather_init(&two, &f->sim->machine);
    retire(test, f, 0, 1, &one);
    /* Looks at the first table behind its pages, and empties the second one. */
    retire(test, f, 2, 511, &two);
    EXPECT_EQ(two.leaves, 1);
    table_expect(test, f, at(TABLE_LOW, 1), 101, RW, PS_LEAF_4K);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 512), 2) & 1, 0);
    EXPECT_EQ(ps_tlb_gather_flush(&one) + ps_tlb_gather_flush(&two), 2);
    EXPECT_EQ(sweep(test, f, 0, 1024), 2);
    table_expect_tree(test, f, 1, 0, 0, 4, 0);
}

TABLE_CASE(the_walk_shows_what_is_retired)
{
    struct ps_tlb_gather gather;
    char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    table_map(test, f, at(TABLE_LOW, 0), 0x77, RW);
    table_map(test, f, at(TABLE_LOW, 1), 0x78, RW);
    *table_entry(f, at(TABLE_LOW, 1), 1) |= 0x60;
    ps_tlb_gather_init(&gather, &f->sim->machine);
    retire(test, f, 0, 1, &gather);
    ps_page_table_dump_walk(&f->table, at(TABLE_LOW, 0), &sink);
    EXPECT(strstr(text, "level 1 entry 0: 0xc00ffffffff88002 retired\n") != NULL);
    sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    ps_page_table_dump_walk(&f->table, at(TABLE_LOW, 1), &sink);
    EXPECT(strstr(text, "4K leaf, frame 0x78 rw--- WB accessed dirty\n") != NULL);
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_EQ(sweep(test, f, 0, 1), 1);
}

/* ---- promotion ---- */

TABLE_CASE(a_retired_table_is_not_promoted)
{
    struct ps_tlb_gather gather;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_SMALL);
    ps_tlb_gather_init(&gather, &f->sim->machine);
    retire(test, f, 0, 512, &gather);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(1024)));
    EXPECT_EQ(ps_page_table_counters(&f->table).promotions[PS_LEAF_2M], 1);
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_2M], 1);
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_EQ(sweep(test, f, 0, 512), 512);
    table_expect_tree(test, f, 0, 1, 0, 3, 1);
}

/* All 512 entries are used, and the first of them is a table. */
TABLE_CASE(a_gib_with_a_table_in_it_is_left_alone)
{
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR + 512, TABLE_HUGE - 512, RW, 0);
    table_map(test, f, at(TABLE_LOW, 3), 7, RW);
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(TABLE_HUGE)));
    table_expect_tree(test, f, 1, 511, 0, 4, 511);
}

struct writer {
    uint64_t *entry;
    uint64_t at; /* the point where another processor's write reaches the entry */
    uint64_t now;
};

static void write_once(void *context, bool stored)
{
    struct writer *writer = context;

    (void)stored;
    if (writer->now++ == writer->at)
        *writer->entry |= 0x60;
}

/* The leaves in front hold the list of tables that wait for the round. */
TABLE_CASE(no_table_is_lost_when_a_page_is_written_to_in_the_middle_of_a_promotion)
{
    bool more = true;

    f->sim->machine.processors = MMU_PROCESSORS;
    for (uint64_t point = 500; more && test->failures == 0; point++) {
        struct writer writer = {.at = point};

        table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_SMALL);
        writer.entry = table_entry(f, at(TABLE_LOW, 512 + 2), 1);
        sim_between = (struct sim_between){write_once, &writer};
        EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(1024)));
        sim_between = (struct sim_between){NULL, NULL};
        table_expect_tree(test, f, 0, 2, 0, 3, 2);
        table_unmap(test, f, at(TABLE_LOW, 0), 1024);
        more = writer.now > point;
    }
    f->sim->machine.processors = 0;
}

static const struct test_case cases[] = {
    TEST_CASE(destroy_is_refused_while_a_large_leaf_is_mapped),
    TEST_CASE(only_anchored_tables_are_shared),
    TEST_CASE(questions_about_nothing_are_answered),
    TEST_CASE(a_single_page_is_refused_as_others_are),
    TEST_CASE(without_other_processors_a_single_page_is_invalidated_here),
    TEST_CASE(what_was_retired_in_one_piece_is_swept_in_any_pieces),
    TEST_CASE(a_round_covers_tables_that_others_retired),
    TEST_CASE(a_table_in_which_nothing_is_to_do_stays_with_those_who_retired_it),
    TEST_CASE(the_walk_shows_what_is_retired),
    TEST_CASE(a_retired_table_is_not_promoted),
    TEST_CASE(a_gib_with_a_table_in_it_is_left_alone),
    TEST_CASE(no_table_is_lost_when_a_page_is_written_to_in_the_middle_of_a_promotion),
};

const struct test_suite suite_page_table_corner = TEST_SUITE("page_table_corner", cases);
