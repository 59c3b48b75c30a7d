/* Large leaves: where they are used, what happens without them, and that they can be cut. */
#include "virtual_fixture.h"

#include <string.h>

#include "unit_suites.h"

enum { L = VIRTUAL_2M, G = VIRTUAL_1G, PAGE = 4096 };

static const struct ps_attribution nobody;

static struct ps_frame_pool_snapshot pool_now(struct virtual_fixture *f)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(&f->pool, &now);
    return now;
}

static struct ps_page_table_counters tables_now(struct virtual_fixture *f)
{
    return ps_page_table_counters(&f->table);
}

VIRTUAL_CASE(whole_and_aligned_2_mib_are_backed_by_one_leaf, .pages = 8 * L, .frames = 6 * L)
{
    uint64_t page = virtual_take(test, f, 2 * L + 100);
    struct ps_page_table_counters tables = tables_now(f);

    EXPECT_EQ(page, 0);
    EXPECT_EQ(tables.leaves[PS_LEAF_2M], 2);
    EXPECT_EQ(tables.leaves[PS_LEAF_4K], 100);
    EXPECT_EQ(virtual_leaf(f, 0), PS_LEAF_2M);
    EXPECT_EQ(virtual_leaf(f, 2 * L - 1), PS_LEAF_2M);
    EXPECT_EQ(virtual_leaf(f, 2 * L), PS_LEAF_4K);
    virtual_expect_mapped(test, f, 0, 2 * L + 100);
    virtual_stamp(f, 0, 2 * L + 100);
    virtual_expect_stamped(test, f, 0, 2 * L + 100);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    virtual_free(test, f, 0);
    virtual_expect_unmapped(test, f, 0, 3 * L);
    EXPECT_EQ(tables_now(f).promised, 0);
}

VIRTUAL_CASE(only_the_aligned_part_in_the_middle_has_a_large_leaf, .pages = 8 * L, .guard = 3,
             .frames = 6 * L)
{
    uint64_t page = virtual_take(test, f, 3 * L);

    EXPECT_EQ(page, 3); /* nobody asked for alignment */
    EXPECT_EQ(virtual_leaf(f, L - 1), PS_LEAF_4K);
    EXPECT_EQ(virtual_leaf(f, L), PS_LEAF_2M);
    EXPECT_EQ(virtual_leaf(f, 2 * L), PS_LEAF_2M);
    EXPECT_EQ(virtual_leaf(f, 3 * L), PS_LEAF_4K);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_2M], 2);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_4K], L);
    virtual_expect_mapped(test, f, page, 3 * L);
}

VIRTUAL_CASE(small_leaves_only_when_asked_for_them, .pages = 8 * L, .frames = 6 * L)
{
    static const unsigned flags[] = {0, PS_VIRTUAL_CONTIGUOUS, PS_VIRTUAL_CLUSTERED};

    for (unsigned i = 0; i < PS_ARRAY_SIZE(flags); i++) {
        struct ps_virtual_request request = {.pages = ps_pages(L),
                                             .flags = flags[i] | PS_VIRTUAL_SMALL_LEAVES};

        EXPECT_EQ(virtual_take_as(test, f, &request), 0);
        EXPECT_EQ(tables_now(f).leaves[PS_LEAF_2M], 0);
        EXPECT_EQ(tables_now(f).leaves[PS_LEAF_4K], L);
        EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
        virtual_free(test, f, 0);
    }
}

VIRTUAL_CASE(contiguous_2_mib_get_large_leaves_and_a_contiguous_rest, .pages = 8 * L,
             .frames = 6 * L)
{
    struct ps_virtual_request request = {.pages = ps_pages(2 * L + 7),
                                         .flags = PS_VIRTUAL_CONTIGUOUS};
    struct ps_translation first = {0}, last = {0};

    EXPECT_EQ(virtual_take_as(test, f, &request), 0);
    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, 0), &first));
    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, 2 * L + 6), &last));
    EXPECT_EQ(last.frame.number, first.frame.number + 2 * L + 6);
    virtual_stamp(f, 0, 2 * L + 7);
    virtual_expect_stamped(test, f, 0, 2 * L + 7);
    virtual_free_part(test, f, 5, 2 * L);
    virtual_expect_stamped(test, f, 0, 5);
    virtual_expect_stamped(test, f, 2 * L + 5, 2);
}

VIRTUAL_CASE(attributes_and_zeros_reach_large_leaves, .pages = 4 * L, .frames = 4 * L)
{
    struct ps_virtual_request request = {
        .pages = ps_pages(L), .attr = ps_attr_ram(PS_READ), .flags = PS_FRAME_ZERO};
    struct ps_translation translation = {0};
    uint64_t set = 0;

    EXPECT_EQ(virtual_take(test, f, L), 0);
    virtual_stamp(f, 0, L);
    virtual_free(test, f, 0);
    EXPECT_EQ(virtual_take_as(test, f, &request), 0);
    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, 9), &translation));
    EXPECT(ps_attr_equal(translation.attr, ps_attr_ram(PS_READ)));
    EXPECT_EQ(translation.leaf, PS_LEAF_2M);
    for (uint64_t page = 0; page < L; page++)
        for (unsigned i = 0; i < PAGE / 8; i++)
            set |= virtual_word(f, page)[i];
    EXPECT_EQ(set, 0);
}

/* ---- without ---- */

/* Two chunks of which one frame each is held: a run of 2 MiB lies between these two. */
VIRTUAL_CASE(a_contiguous_run_need_not_be_aligned, .pages = 8 * L, .frames = 2 * L + 256)
{
    struct ps_virtual_request request = {.pages = ps_pages(L), .flags = PS_VIRTUAL_CONTIGUOUS};
    ps_frame_t held[] = {ps_frame(L + 10), ps_frame(2 * L + 200)};

    for (unsigned i = 0; i < 2; i++)
        REQUIRE_OK(ps_frame_pool_claim(&f->pool, held[i], ps_pages(1), PS_FRAME_USER));
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_2M), 0);
    EXPECT_EQ(virtual_take_as(test, f, &request), 0);
    EXPECT_EQ(virtual_leaf(f, 0), PS_LEAF_4K);
    virtual_expect_mapped(test, f, 0, L);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(ps_frame_pool_free(&f->pool, held[i], ps_pages(1)));
}

VIRTUAL_CASE(when_large_frames_run_out_single_ones_do, .pages = 8 * L, .frames = 6 * L)
{
    uint64_t have = ps_frame_pool_whole(&f->pool, PS_FRAME_2M);
    ps_frame_t held[8];

    REQUIRE(have >= 2 && have < 8);
    for (uint64_t i = 0; i + 1 < have; i++) { /* of all but one, one frame each */
        REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &held[i]));
        EXPECT_OK(ps_frame_pool_split(&f->pool, held[i], ps_pages(L)));
        for (uint64_t k = 1; k < L; k++)
            EXPECT_OK(ps_frame_pool_free(&f->pool, ps_frame_add(held[i], k), ps_pages(1)));
    }
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_2M), 1);
    EXPECT_EQ(virtual_take(test, f, 3 * L), 0);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_2M], 1);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_4K], 2 * L);
    virtual_stamp(f, 0, 3 * L);
    virtual_expect_stamped(test, f, 0, 3 * L);
    virtual_free(test, f, 0);
    for (uint64_t i = 0; i + 1 < have; i++)
        EXPECT_OK(ps_frame_pool_free(&f->pool, held[i], ps_pages(1)));
}

/* A large leaf needs a promise of one frame more: 2 MiB, and not one frame besides. */
VIRTUAL_CASE(where_the_pool_cannot_promise_single_leaves_do, .pages = 4 * L, .frames = 3 * L)
{
    ps_frame_t keep, held[8];
    struct virtual_hoard hoard;
    uint64_t count = 0, page;

    page = virtual_take(test, f, 1); /* tables and bookkeeping */
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &keep));
    while (count < 8 &&
           ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &held[count]) == PS_OK)
        count++;
    for (uint64_t left = 0; left < 4; left++) {
        struct ps_virtual_request request = {.pages = ps_pages(L), .alignment = ps_pages(L)};
        ps_virt_t va = ps_virt(0);

        hoard = virtual_hoard(test, f, left);
        EXPECT_OK(ps_frame_pool_free(&f->pool, keep, ps_pages(L)));
        if (ps_virtual_alloc(&f->arena, &request, &va) == PS_OK) {
            /* all of it can be given back in the worst order, whatever it was */
            EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
            for (uint64_t i = 1; i < L; i += 2)
                EXPECT_OK(
                    ps_virtual_free_part(&f->arena, ps_virt(va.addr + i * PAGE), ps_pages(1)));
            EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
            for (uint64_t i = 0; i < L; i += 2)
                EXPECT_OK(ps_virtual_free(&f->arena, ps_virt(va.addr + i * PAGE)));
        } else {
            EXPECT_STATUS(f->arena.failure.status, PS_NO_MEMORY);
        }
        REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &keep));
        virtual_give_back(test, f, &hoard);
    }
    virtual_free(test, f, page);
    EXPECT_OK(ps_frame_pool_free(&f->pool, keep, ps_pages(L)));
    for (; count > 0; count--)
        EXPECT_OK(ps_frame_pool_free(&f->pool, held[count - 1], ps_pages(L)));
}

/* ---- cut ---- */

VIRTUAL_CASE(a_page_of_a_large_leaf_goes_back_alone, .pages = 4 * L, .guard = 1, .alignment = L,
             .frames = 4 * L)
{
    uint64_t page = virtual_take(test, f, L);
    struct ps_frame_pool_snapshot before = pool_now(f);

    virtual_stamp(f, page, L);
    virtual_free_part(test, f, page + 100, 1);
    EXPECT_EQ(pool_now(f).by_tag[PS_FRAME_VIRTUAL], before.by_tag[PS_FRAME_VIRTUAL] - 1);
    EXPECT_EQ(virtual_leaf(f, page), PS_LEAF_4K);
    virtual_expect_mapped(test, f, page, 100);
    virtual_expect_mapped(test, f, page + 101, L - 101);
    virtual_expect_stamped(test, f, page, 100);
    virtual_expect_stamped(test, f, page + 101, L - 101);
    EXPECT_EQ(tables_now(f).demotions[PS_LEAF_2M], 1);
    virtual_free(test, f, page);
    virtual_free(test, f, page + 101);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
    EXPECT_EQ(pool_now(f).promised, 0);
}

VIRTUAL_CASE(parts_of_large_leaves_go_back_while_no_frame_is_left, .pages = 8 * L, .guard = 1,
             .alignment = L, .frames = 6 * L)
{
    uint64_t page = virtual_take(test, f, 3 * L);
    struct virtual_hoard hoard;

    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_2M], 3);
    virtual_stamp(f, page, 3 * L);
    hoard = virtual_hoard(test, f, 0);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    virtual_free_part(test, f, page + L - 1,
                      2); /* the last page of one and the first of the next */
    virtual_free_part(test, f, page + 2 * L + 5, 1);
    virtual_free_part(test, f, page + 2 * L + 8, 1);
    virtual_expect_stamped(test, f, page, L - 1);
    virtual_expect_stamped(test, f, page + L + 1, L + 4);
    virtual_expect_stamped(test, f, page + 2 * L + 6, 2);
    virtual_expect_stamped(test, f, page + 2 * L + 9, L - 9);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    virtual_free(test, f, page);
    virtual_free(test, f, page + L + 1);
    virtual_free(test, f, page + 2 * L + 6);
    virtual_free(test, f, page + 2 * L + 9);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    virtual_give_back(test, f, &hoard);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
    EXPECT_EQ(pool_now(f).promised, 0);
}

/* ---- 1 GiB ---- */

VIRTUAL_CASE(whole_and_aligned_1_gib_are_backed_by_one_leaf, .pages = 4 * (uint64_t)G, .gibs = 3,
             .frames = 3000)
{
    uint64_t in_use = ps_frame_pool_in_use(&f->pool);

    EXPECT_EQ(virtual_take(test, f, G + L + 3), 0);
    EXPECT_EQ(virtual_leaf(f, 0), PS_LEAF_1G);
    EXPECT_EQ(virtual_leaf(f, G - 1), PS_LEAF_1G);
    EXPECT_EQ(virtual_leaf(f, G), PS_LEAF_2M);
    EXPECT_EQ(virtual_leaf(f, G + L + 2), PS_LEAF_4K);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    virtual_free(test, f, 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), in_use);
    EXPECT_EQ(pool_now(f).promised, 0);
}

VIRTUAL_CASE(a_page_of_a_1_gib_leaf_goes_back_alone_while_no_frame_is_left,
             .pages = 4 * (uint64_t)G, .gibs = 2, .frames = 2000)
{
    uint64_t in_use = ps_frame_pool_in_use(&f->pool);

    EXPECT_EQ(virtual_take(test, f, G), 0);
    EXPECT_EQ(virtual_leaf(f, 0), PS_LEAF_1G);
    virtual_stamp(f, 0, 20);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    virtual_free_part(test, f, 7, 1);
    EXPECT_EQ(virtual_leaf(f, 8), PS_LEAF_4K);
    EXPECT_EQ(virtual_leaf(f, L), PS_LEAF_2M);
    virtual_expect_stamped(test, f, 0, 7);
    virtual_expect_stamped(test, f, 8, 12);
    virtual_free_part(test, f, L * 9 + 1, G - 20 * L);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    EXPECT_EQ(f->arena.counters.live, 3);
    virtual_free(test, f, 0);
    virtual_free(test, f, 8);
    virtual_free(test, f, L * 9 + 1 + G - 20 * L);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), in_use);
    EXPECT_EQ(pool_now(f).promised, 0);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

VIRTUAL_CASE(without_1_gib_frames_2_mib_do, .pages = 4 * (uint64_t)G, .gibs = 2, .frames = 2000)
{
    ps_frame_t held[2];
    unsigned count = 0;

    for (uint64_t i = 1; i <= 2; i++)
        if (ps_frame_pool_claim(&f->pool, ps_frame(i * G + 5), ps_pages(1), PS_FRAME_USER) == PS_OK)
            held[count++] = ps_frame(i * G + 5);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_1G), 0);
    EXPECT_EQ(virtual_take(test, f, G), 0);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_1G], 0);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_2M], 512);
    virtual_free(test, f, 0);
    for (; count > 0; count--)
        EXPECT_OK(ps_frame_pool_free(&f->pool, held[count - 1], ps_pages(1)));
}

VIRTUAL_CASE(a_processor_without_1_gib_leaves_gets_none, .pages = 4 * (uint64_t)G, .gibs = 2,
             .frames = 2000, .machine = SIM_NO_GIB_LEAVES)
{
    EXPECT_EQ(virtual_take(test, f, G), 0);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_1G], 0);
    EXPECT_EQ(tables_now(f).leaves[PS_LEAF_2M], 512);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    virtual_free_part(test, f, 7, 1);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(more_than_there_is_takes_no_large_frame_either, .pages = 4 * (uint64_t)G, .gibs = 2,
             .frames = 2000)
{
    struct ps_virtual_request request = {.pages = ps_pages(3 * (uint64_t)G)};
    ps_virt_t va;

    ps_frame_pool_fail_after(&f->pool, 0, false);
    EXPECT_FAILED(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_MEMORY, 3 * PS_GIB, nobody);
    EXPECT(f->pool.fail_armed); /* nobody asked for one */
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
}

static const struct test_case cases[] = {
    TEST_CASE(whole_and_aligned_2_mib_are_backed_by_one_leaf),
    TEST_CASE(only_the_aligned_part_in_the_middle_has_a_large_leaf),
    TEST_CASE(small_leaves_only_when_asked_for_them),
    TEST_CASE(contiguous_2_mib_get_large_leaves_and_a_contiguous_rest),
    TEST_CASE(attributes_and_zeros_reach_large_leaves),
    TEST_CASE(a_contiguous_run_need_not_be_aligned),
    TEST_CASE(when_large_frames_run_out_single_ones_do),
    TEST_CASE(where_the_pool_cannot_promise_single_leaves_do),
    TEST_CASE(a_page_of_a_large_leaf_goes_back_alone),
    TEST_CASE(parts_of_large_leaves_go_back_while_no_frame_is_left),
    TEST_CASE(whole_and_aligned_1_gib_are_backed_by_one_leaf),
    TEST_CASE(a_page_of_a_1_gib_leaf_goes_back_alone_while_no_frame_is_left),
    TEST_CASE(without_1_gib_frames_2_mib_do),
    TEST_CASE(a_processor_without_1_gib_leaves_gets_none),
    TEST_CASE(more_than_there_is_takes_no_large_frame_either),
};

const struct test_suite suite_virtual_large = TEST_SUITE("virtual_large", cases);
