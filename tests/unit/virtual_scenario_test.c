/*
 * Twelve things that a page-range allocator with guards is known to have got wrong somewhere: what
 * fits, that it stays compact, alignment, exhaustion, backing by contiguous frames, the edges.
 */
#include "virtual_fixture.h"

#include "unit_suites.h"

enum { COUNT = 8, A = VIRTUAL_2M };

static ps_status init(struct virtual_fixture *f, uint64_t base, uint64_t pages, uint64_t guard,
                      uint64_t alignment)
{
    struct ps_virtual_config config = {.base = ps_virt(base),
                                       .pages = ps_pages(pages),
                                       .guard = ps_pages(guard),
                                       .alignment = ps_pages(alignment),
                                       .tag = PS_FRAME_VIRTUAL};

    return ps_virtual_init(&f->arena, &f->table, &f->pool, &config);
}

static void expect_frames_in_a_row(struct test *test, struct virtual_fixture *f, uint64_t page,
                                   uint64_t pages)
{
    struct ps_translation first = {0};

    REQUIRE_OK(ps_page_table_query(&f->table, virtual_page(f, page), &first));
    for (uint64_t i = 0; i < pages; i++) {
        struct ps_translation next = {0};

        EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, page + i), &next));
        EXPECT_EQ(next.frame.number, first.frame.number + i);
    }
}

/* 1 */
VIRTUAL_CASE(two_allocations_keep_apart_and_go_back_whole_or_in_parts, .pages = 4096, .guard = 1)
{
    uint64_t a = virtual_take(test, f, 8);
    uint64_t b = virtual_take(test, f, 8);

    EXPECT(a != b);
    virtual_stamp(f, a, 8);
    virtual_stamp(f, b, 8);
    virtual_expect_stamped(test, f, a, 8);
    EXPECT_STATUS(virtual_try(f, (uint64_t)1 << 30), PS_NO_SPACE);
    virtual_free(test, f, a);
    virtual_free_part(test, f, b, 4);
    virtual_expect_stamped(test, f, b + 4, 4);
    virtual_free_part(test, f, b + 4, 4);
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(0), NULL, 0), 0);
    virtual_expect_unmapped(test, f, 0, 4096);
}

/* 2 */
VIRTUAL_CASE(an_arena_holds_exactly_what_its_guards_leave_room_for, .not_initialised = true)
{
    static const uint64_t too_small[] = {1, 15, 16, 17, 32};

    for (size_t i = 0; i < PS_ARRAY_SIZE(too_small); i++)
        EXPECT_STATUS(init(f, VIRTUAL_BASE, too_small[i], 16, 0), PS_INVALID_ARGS);

    REQUIRE_OK(init(f, VIRTUAL_BASE, 33, 16, 0));
    EXPECT_EQ(virtual_take(test, f, 1), 16);
    virtual_expect_mapped(test, f, 16, 1);
    EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
    virtual_free(test, f, 16);
    EXPECT_STATUS(virtual_try(f, 2), PS_NO_SPACE);
    EXPECT_OK(virtual_try(f, 1));
    virtual_expect_unmapped(test, f, 0, 33);
    REQUIRE_OK(ps_virtual_destroy(&f->arena, NULL));

    REQUIRE_OK(init(f, VIRTUAL_BASE, 50, 16, 0)); /* they share the gap between them */
    EXPECT_EQ(virtual_take(test, f, 1), 16);
    EXPECT_EQ(virtual_take(test, f, 1), 33);
    EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
    virtual_free(test, f, 16);
    virtual_free(test, f, 33);
    virtual_expect_unmapped(test, f, 0, 50);
}

static void take_eight(struct test *test, struct virtual_fixture *f, uint64_t page[COUNT])
{
    for (unsigned i = 0; i < COUNT; i++) {
        page[i] = virtual_take(test, f, 3);
        EXPECT_EQ(page[i], 2 + 5 * (uint64_t)i);
        virtual_stamp(f, page[i], 3);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        virtual_expect_mapped(test, f, page[i], 3);
        virtual_expect_stamped(test, f, page[i], 3);
    }
}

/* 3 */
VIRTUAL_CASE(what_is_freed_is_what_is_handed_out_next, .guard = 2)
{
    uint64_t page[COUNT];

    take_eight(test, f, page);
    for (unsigned i = 0; i < 200; i++) {
        virtual_free(test, f, page[4]);
        EXPECT_EQ(virtual_take(test, f, 3), page[4]);
    }
    virtual_stamp(f, page[4], 3);
    for (unsigned i = 0; i < COUNT; i++)
        virtual_expect_stamped(test, f, page[i], 3);
    virtual_free(test, f, page[4]);
    virtual_free(test, f, page[7]);
    EXPECT_EQ(virtual_take(test, f, 3), page[4]);
    EXPECT_EQ(virtual_take(test, f, 3), page[7]);
    for (unsigned i = 0; i < COUNT; i++)
        virtual_free(test, f, page[i]);
    EXPECT_EQ(virtual_take(test, f, 3), page[0]);
}

/* 4 */
VIRTUAL_CASE(a_partial_free_makes_room_where_the_guards_allow_it, .guard = 2)
{
    uint64_t page[COUNT];
    uint64_t between;

    take_eight(test, f, page);
    virtual_free(test, f, page[4]);
    virtual_free_part(test, f, page[3] + 1, 2);
    between = virtual_take(test, f, 3);
    EXPECT_EQ(between, page[3] + 3); /* one page of 3, two of guard */
    EXPECT(between > page[3] && between < page[4]);
    virtual_stamp(f, between, 3);
    virtual_free_part(test, f, page[3], 1);
    EXPECT_EQ(virtual_take(test, f, 3), page[7] + 5); /* six free pages are too few */
    for (unsigned i = 0; i < COUNT; i++)
        if (i != 3 && i != 4)
            virtual_expect_stamped(test, f, page[i], 3);
    virtual_expect_stamped(test, f, between, 3);
}

/* 5 */
VIRTUAL_CASE(one_batch_and_two_are_mapped_touched_and_freed, .pages = 2048, .guard = 2)
{
    static const uint64_t sizes[] = {128, 250};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        uint64_t page = virtual_take(test, f, sizes[i]);

        EXPECT_EQ(page, 2);
        virtual_expect_mapped(test, f, page, sizes[i]);
        virtual_stamp(f, page, sizes[i]);
        virtual_expect_stamped(test, f, page, sizes[i]);
        virtual_free(test, f, page);
        virtual_expect_unmapped(test, f, page, sizes[i]);
    }
}

/* 6 */
VIRTUAL_CASE(a_foreign_page_in_the_way_refuses_the_allocation_and_stays, .pages = 1024, .guard = 2)
{
    struct ps_virtual_request request = {.pages = ps_pages(250)};
    uint64_t page = virtual_take(test, f, 250);
    ps_virt_t va = ps_virt(7);
    ps_frame_t foreign;

    virtual_free(test, f, page);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &foreign));
    REQUIRE_OK(ps_page_table_map(&f->table, virtual_page(f, page + 240), &foreign, ps_pages(1),
                                 ps_attr_ram(PS_READ), PS_EXISTING_ERROR));
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_ALREADY_EXISTS);
    EXPECT_EQ(va.addr, 7);
    virtual_expect_unmapped(test, f, page, 240);
    EXPECT(virtual_is_mapped(f, page + 240));
    virtual_expect_unmapped(test, f, page + 241, 9);
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, page + 240), ps_pages(1), NULL));
    EXPECT_OK(ps_frame_pool_free(&f->pool, foreign, ps_pages(1)));
    EXPECT_EQ(virtual_take(test, f, 250), page);
    virtual_stamp(f, page, 250);
    virtual_expect_stamped(test, f, page, 250);
}

/* 7 */
VIRTUAL_CASE(no_pages_at_all_is_no_request)
{
    struct ps_virtual_request none = {.pages = ps_pages(0)};
    ps_virt_t va = ps_virt(7);

    EXPECT_REJECTED(ps_virtual_alloc(&f->arena, &none, &va), PS_INVALID_ARGS);
    EXPECT_EQ(va.addr, 7);
}

/* 8; there is no size in bytes that could be unaligned, and alignment is in pages */
VIRTUAL_CASE(only_a_whole_arena_is_initialised_and_only_once, .not_initialised = true)
{
    const uint64_t base = VIRTUAL_BASE;
    struct ps_virtual_request request = {.pages = ps_pages(1)};
    struct ps_virtual_request none = {.pages = ps_pages(0)};
    ps_virt_t va;

    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &none, &va), PS_BAD_STATE);
    EXPECT_STATUS(init(f, base + 1, 4096, 1, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, base - 1, 4096, 1, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, base, 0, 1, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, base, 4096, 1, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, base, 4096, 1, UINT64_MAX), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_BAD_STATE);
    EXPECT_OK(init(f, base, 4096, 1, 1));
    EXPECT_STATUS(init(f, base, 4096, 1, 1), PS_BAD_STATE);
    EXPECT_EQ(virtual_take(test, f, 1), 1);
}

/* Single pages until there is no room for another. */
static void exhaust(struct test *test, struct virtual_fixture *f)
{
    struct ps_virtual_request one = {.pages = ps_pages(1)};
    ps_virt_t va;
    ps_status status;

    do
        status = ps_virtual_alloc(&f->arena, &one, &va);
    while (status == PS_OK);
    EXPECT_STATUS(status, PS_NO_SPACE);
}

/* 9 */
VIRTUAL_CASE(alignment_is_kept_where_it_can_be_and_given_up_where_it_cannot, .pages = 8 * A,
             .guard = 1, .alignment = A, .frames = 10 * A)
{
    struct ps_virtual_request one = {.pages = ps_pages(1)};
    uint64_t t = virtual_take(test, f, 6 * A);

    EXPECT(ps_is_aligned(virtual_page(f, t).addr, PS_MIB * 2));
    exhaust(test, f);
    virtual_free_part(test, f, t + 2 * A - 1, A + 2);
    EXPECT_EQ(virtual_take(test, f, A), t + 2 * A);
    expect_frames_in_a_row(test, f, t + 2 * A, A);
    virtual_free(test, f, t + 2 * A);

    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &one, virtual_page(f, t + 2 * A - 1), true));
    EXPECT_STATUS(virtual_try(f, A), PS_NO_SPACE);
    virtual_free_part(test, f, t + 3 * A + 1, 1);
    EXPECT_EQ(virtual_take(test, f, A), t + 2 * A + 1); /* anywhere is better than nowhere */
    virtual_free(test, f, t + 2 * A + 1);
    virtual_free(test, f, t + 2 * A - 1);

    virtual_free_part(test, f, t + A, A - 1);
    virtual_free_part(test, f, t + 3 * A + 2, A - 2);
    EXPECT_EQ(virtual_take(test, f, A), t + 2 * A); /* although that leaves no room for another */
    EXPECT_STATUS(virtual_try(f, A), PS_NO_SPACE);
    EXPECT_OK(ps_virtual_free_all(&f->arena));
    virtual_expect_unmapped(test, f, 0, 8 * A);
}

/* Every other single frame of some is held, so that those left are in no order. */
static void jumble(struct test *test, struct virtual_fixture *f, ps_frame_t frames[100])
{
    REQUIRE_OK(ps_frame_pool_alloc_scattered(&f->pool, 100, PS_FRAME_USER, 0, frames));
    for (unsigned i = 0; i < 100; i += 2)
        EXPECT_OK(ps_frame_pool_free(&f->pool, frames[(i * 37) % 100], ps_pages(1)));
}

/* 10 */
VIRTUAL_CASE(a_large_allocation_is_contiguous_where_the_pool_has_such_frames, .pages = 8 * A,
             .guard = 1, .alignment = A, .frames = 6 * A)
{
    ps_frame_t frames[100];
    uint64_t page;

    jumble(test, f, frames);
    page = virtual_take(test, f, A);
    EXPECT(ps_is_aligned(virtual_page(f, page).addr, PS_MIB * 2));
    expect_frames_in_a_row(test, f, page, A);
    EXPECT_EQ(virtual_leaf(f, page), PS_LEAF_2M);
    virtual_stamp(f, page, A);
    virtual_expect_stamped(test, f, page, A);
    for (unsigned i = 1; i < 100; i += 2)
        EXPECT_OK(ps_frame_pool_free(&f->pool, frames[(i * 37) % 100], ps_pages(1)));
}

/* 11 */
VIRTUAL_CASE(a_large_allocation_is_made_of_single_frames_where_there_are_no_others, .pages = 8 * A,
             .guard = 1, .alignment = A, .frames = 6 * A)
{
    ps_frame_t held[6];
    unsigned count = 0;
    uint64_t page;

    for (uint64_t frame = A; frame < VIRTUAL_FIRST_FRAME + 6 * A; frame += A)
        if (ps_frame_pool_claim(&f->pool, ps_frame(frame + 7), ps_pages(1), PS_FRAME_USER) == PS_OK)
            held[count++] = ps_frame(frame + 7);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_2M), 0);
    page = virtual_take(test, f, A);
    EXPECT(ps_is_aligned(virtual_page(f, page).addr, PS_MIB * 2));
    EXPECT_EQ(virtual_leaf(f, page), PS_LEAF_4K);
    virtual_expect_mapped(test, f, page, A);
    virtual_stamp(f, page, A);
    virtual_expect_stamped(test, f, page, A);
    for (unsigned i = 0; i < count; i++)
        EXPECT_OK(ps_frame_pool_free(&f->pool, held[i], ps_pages(1)));
}

/* 12 */
VIRTUAL_CASE(the_first_and_the_last_page_of_the_arena_can_be_had_and_freed, .guard = 1)
{
    static const uint64_t edges[] = {0, 255};
    struct ps_virtual_request one = {.pages = ps_pages(1)};

    for (unsigned i = 0; i < 2; i++) {
        EXPECT_OK(ps_virtual_alloc_at(&f->arena, &one, virtual_page(f, edges[i]), true));
        virtual_expect_mapped(test, f, edges[i], 1);
        virtual_stamp(f, edges[i], 1);
        virtual_expect_stamped(test, f, edges[i], 1);
        virtual_free(test, f, edges[i]);
        EXPECT(!virtual_is_mapped(f, edges[i]));
        EXPECT_EQ(virtual_take(test, f, 1), 1);
        virtual_free(test, f, 1);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(two_allocations_keep_apart_and_go_back_whole_or_in_parts),
    TEST_CASE(an_arena_holds_exactly_what_its_guards_leave_room_for),
    TEST_CASE(what_is_freed_is_what_is_handed_out_next),
    TEST_CASE(a_partial_free_makes_room_where_the_guards_allow_it),
    TEST_CASE(one_batch_and_two_are_mapped_touched_and_freed),
    TEST_CASE(a_foreign_page_in_the_way_refuses_the_allocation_and_stays),
    TEST_CASE(no_pages_at_all_is_no_request),
    TEST_CASE(only_a_whole_arena_is_initialised_and_only_once),
    TEST_CASE(alignment_is_kept_where_it_can_be_and_given_up_where_it_cannot),
    TEST_CASE(a_large_allocation_is_contiguous_where_the_pool_has_such_frames),
    TEST_CASE(a_large_allocation_is_made_of_single_frames_where_there_are_no_others),
    TEST_CASE(the_first_and_the_last_page_of_the_arena_can_be_had_and_freed),
};

const struct test_suite suite_virtual_scenario = TEST_SUITE("virtual_scenario", cases);
