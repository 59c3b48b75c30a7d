/* Where allocations come to lie: guards, first fit, alignment, partial frees, the edges. */
#include "virtual_fixture.h"

#include <string.h>

#include "unit_suites.h"

/* ---- size ---- */

VIRTUAL_CASE(forty_nine_pages_hold_only_one_with_guards_of_sixteen, .pages = 49, .guard = 16)
{
    EXPECT_EQ(virtual_take(test, f, 1), 16);
    EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
}

VIRTUAL_CASE(sizes_around_a_batch_are_mapped_in_full, .pages = 2048, .guard = 2)
{
    static const uint64_t sizes[] = {63, 64, 65, 127, 128, 129, 250};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        uint64_t page = virtual_take(test, f, sizes[i]);

        virtual_expect_mapped(test, f, page, sizes[i]);
        virtual_stamp(f, page, sizes[i]);
        virtual_expect_stamped(test, f, page, sizes[i]);
        virtual_free(test, f, page);
        for (uint64_t k = 0; k < sizes[i]; k++)
            EXPECT(!virtual_is_mapped(f, page + k));
    }
}

VIRTUAL_CASE(first_and_last_page_of_the_arena_go_back_alone, .guard = 1)
{
    uint64_t first = virtual_take(test, f, 254);

    EXPECT_EQ(first, 1);
    EXPECT(!virtual_is_mapped(f, 0) && !virtual_is_mapped(f, 255));
    virtual_free_part(test, f, 1, 1);
    virtual_free_part(test, f, 254, 1);
    virtual_expect_mapped(test, f, 2, 252);
    virtual_free_part(test, f, 2, 1); /* now 1 is room for one page with guards */
    EXPECT_EQ(virtual_take(test, f, 1), 1);
    virtual_free_part(test, f, 253, 1);
    EXPECT_EQ(virtual_take(test, f, 1), 254);
}

/* ---- partial frees ---- */

VIRTUAL_CASE(start_end_and_middle_fault_and_the_rest_stays, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 12);

    virtual_stamp(f, page, 12);
    virtual_free_part(test, f, page, 2);
    virtual_expect_mapped(test, f, page + 2, 10);
    virtual_free_part(test, f, page + 10, 2);
    virtual_expect_mapped(test, f, page + 2, 8);
    virtual_free_part(test, f, page + 5, 1);
    virtual_expect_mapped(test, f, page + 2, 3);
    virtual_expect_mapped(test, f, page + 6, 4);
    virtual_expect_stamped(test, f, page + 2, 3);
    virtual_expect_stamped(test, f, page + 6, 4);
    EXPECT_EQ(f->arena.counters.live, 2);
    EXPECT_EQ(f->arena.counters.live_pages, 7);
}

VIRTUAL_CASE(parts_of_one_allocation_are_freed_by_their_own_first_page, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 5);

    virtual_free_part(test, f, page + 2, 1);
    EXPECT_STATUS(ps_virtual_free_part(&f->arena, virtual_page(f, page), ps_pages(3)),
                  PS_WRONG_SIZE);
    virtual_free(test, f, page + 3);
    virtual_expect_mapped(test, f, page, 2);
    virtual_free(test, f, page);
    EXPECT_EQ(f->arena.counters.live, 0);
}

VIRTUAL_CASE(all_of_an_allocation_can_be_freed_as_a_part, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 5);

    virtual_free_part(test, f, page, 5);
    EXPECT_EQ(f->arena.counters.live, 0);
    EXPECT_STATUS(ps_virtual_free(&f->arena, virtual_page(f, page)), PS_NOT_FOUND);
}

VIRTUAL_CASE(a_new_start_is_the_name_of_what_is_left, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 5);

    virtual_free_part(test, f, page, 2);
    EXPECT_STATUS(ps_virtual_free(&f->arena, virtual_page(f, page)), PS_NOT_FOUND);
    virtual_free(test, f, page + 2);
    EXPECT_EQ(f->arena.counters.live, 0);
}

VIRTUAL_CASE(pages_freed_inside_an_allocation_are_its_guard, .guard = 2)
{
    uint64_t page = virtual_take(test, f, 20);

    virtual_free_part(test, f, page + 5, 4); /* room for none between guards of two */
    EXPECT_EQ(virtual_take(test, f, 1), page + 22);
    virtual_free_part(test, f, page + 9, 1); /* five: exactly one page with its guards */
    EXPECT_EQ(virtual_take(test, f, 1), page + 7);
}

/* ---- guards by request ---- */

VIRTUAL_CASE(a_requested_guard_is_kept_on_both_sides_and_from_later_neighbours, .guard = 1)
{
    struct ps_virtual_request wide = {
        .pages = ps_pages(2), .guard_before = ps_pages(8), .guard_after = ps_pages(8)};
    uint64_t a = virtual_take(test, f, 10);
    uint64_t b = virtual_take_as(test, f, &wide);
    uint64_t c;

    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 19); /* eight pages behind a */
    c = virtual_take(test, f, 1);
    EXPECT_EQ(c, 29); /* not into the eight before b, and eight behind it */
    virtual_free_part(test, f, a + 5, 5);
    EXPECT_EQ(virtual_take(test, f, 4), 7); /* one behind a, eight before b */
    virtual_free(test, f, b);
    EXPECT_EQ(virtual_take(test, f, 1), 12);
}

VIRTUAL_CASE(a_requested_guard_holds_at_the_edges_of_the_arena, .pages = 20)
{
    struct ps_virtual_request wide = {
        .pages = ps_pages(4), .guard_before = ps_pages(8), .guard_after = ps_pages(8)};
    struct ps_virtual_request wider = {
        .pages = ps_pages(4), .guard_before = ps_pages(9), .guard_after = ps_pages(9)};
    ps_virt_t va;

    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &wider, &va), PS_NO_SPACE);
    EXPECT_EQ(virtual_take_as(test, f, &wide), 8);
}

VIRTUAL_CASE(a_requested_guard_below_the_arenas_does_not_narrow_it, .guard = 4)
{
    struct ps_virtual_request narrow = {
        .pages = ps_pages(1), .guard_before = ps_pages(1), .guard_after = ps_pages(1)};

    EXPECT_EQ(virtual_take_as(test, f, &narrow), 4);
    EXPECT_EQ(virtual_take_as(test, f, &narrow), 9);
}

VIRTUAL_CASE(both_parts_of_a_guarded_allocation_keep_its_guard, .guard = 1)
{
    struct ps_virtual_request wide = {
        .pages = ps_pages(20), .guard_before = ps_pages(6), .guard_after = ps_pages(6)};
    uint64_t page = virtual_take_as(test, f, &wide);

    EXPECT_EQ(page, 6);
    virtual_free_part(test, f, page + 2, 13); /* twelve are guard: one page is left */
    EXPECT_EQ(virtual_take(test, f, 1), page + 8);
    EXPECT_EQ(virtual_take(test, f, 1), page + 26);
}

VIRTUAL_CASE(without_guards_allocations_touch, .pages = 8)
{
    EXPECT_EQ(virtual_take(test, f, 3), 0);
    EXPECT_EQ(virtual_take(test, f, 3), 3);
    EXPECT_EQ(virtual_take(test, f, 2), 6);
    EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
    virtual_free(test, f, 3);
    EXPECT(virtual_is_mapped(f, 2) && !virtual_is_mapped(f, 3));
    EXPECT(!virtual_is_mapped(f, 5) && virtual_is_mapped(f, 6));
    EXPECT_EQ(virtual_take(test, f, 3), 3);
}

/* ---- alignment ---- */

VIRTUAL_CASE(alignment_is_of_the_address_not_of_the_place_in_the_arena,
             .base = VIRTUAL_BASE + 3 * 0x1000, .pages = 2048, .guard = 1)
{
    for (uint64_t alignment = 1; alignment <= 512; alignment *= 2) {
        struct ps_virtual_request request = {.pages = ps_pages(3),
                                             .alignment = ps_pages(alignment)};
        uint64_t page = virtual_take_as(test, f, &request);

        EXPECT(ps_is_aligned(virtual_page(f, page).addr, alignment * PS_PAGE_SIZE));
    }
}

VIRTUAL_CASE(alignment_is_a_guarantee_and_never_given_up, .pages = 64, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(16), .alignment = ps_pages(16)};
    uint64_t all = virtual_take(test, f, 62);
    ps_virt_t va;

    virtual_free_part(test, f, all + 14, 18); /* [15, 33): 16 with a guard on each side */
    EXPECT_EQ(virtual_take_as(test, f, &request), 16);
    virtual_free(test, f, 16);
    EXPECT_EQ(virtual_take(test, f, 1), 16);
    virtual_free_part(test, f, 33, 1); /* 18 pages are still free behind it, unaligned */
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
    virtual_free_part(test, f, 34, 15); /* up to 48 */
    EXPECT_EQ(virtual_take_as(test, f, &request), 32);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
}

VIRTUAL_CASE(small_requests_are_aligned_too, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(1), .alignment = ps_pages(64)};

    EXPECT_EQ(virtual_take_as(test, f, &request), 64);
    EXPECT_EQ(virtual_take_as(test, f, &request), 128);
    EXPECT_EQ(virtual_take(test, f, 62), 1); /* below both, up to the guard */
}

/* ---- the ends of the address space ---- */

VIRTUAL_CASE(page_zero_is_never_handed_out, .base_is_zero = true, .pages = 16)
{
    struct ps_virtual_info info = {0};

    EXPECT_EQ(virtual_take(test, f, 15), 1);
    EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
    EXPECT_STATUS(ps_virtual_find(&f->arena, ps_virt(0), &info), PS_OUT_OF_RANGE);
    EXPECT_STATUS(ps_virtual_free(&f->arena, ps_virt(0)), PS_OUT_OF_RANGE);
    EXPECT_OK(ps_virtual_find(&f->arena, ps_virt(PS_PAGE_SIZE), &info));
    EXPECT(!virtual_is_mapped(f, 0));
    virtual_free(test, f, 1);
    EXPECT_STATUS(virtual_try(f, 16), PS_NO_SPACE);
}

VIRTUAL_CASE(the_last_page_of_the_address_space_is_usable, .base = 0xffffffffffff0000u, .pages = 16)
{
    struct ps_virtual_request aligned = {.pages = ps_pages(8), .alignment = ps_pages(8)};
    struct ps_virtual_info info = {0};

    EXPECT_EQ(virtual_take(test, f, 16), 0);
    EXPECT(virtual_is_mapped(f, 15));
    EXPECT_OK(ps_virtual_find(&f->arena, ps_virt(UINT64_MAX), &info));
    EXPECT_EQ(info.va.addr, 0xffffffffffff0000u);
    virtual_free_part(test, f, 0, 15);
    EXPECT_STATUS(ps_virtual_free_part(&f->arena, virtual_page(f, 15), ps_pages(2)), PS_WRONG_SIZE);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    virtual_free(test, f, 15);
    EXPECT_EQ(virtual_take_as(test, f, &aligned), 0);
    EXPECT_EQ(virtual_take_as(test, f, &aligned), 8);
    EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
}

VIRTUAL_CASE(an_aligned_request_past_the_top_is_no_space, .base = 0xffffffffffff1000u, .pages = 15)
{
    struct ps_virtual_request request = {.pages = ps_pages(1), .alignment = ps_pages(16)};
    ps_virt_t va;

    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
    request.alignment = ps_pages((uint64_t)1 << 52);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
    request.alignment = ps_pages((uint64_t)1 << 63);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
}

static const struct test_case cases[] = {
    TEST_CASE(forty_nine_pages_hold_only_one_with_guards_of_sixteen),
    TEST_CASE(sizes_around_a_batch_are_mapped_in_full),
    TEST_CASE(first_and_last_page_of_the_arena_go_back_alone),
    TEST_CASE(start_end_and_middle_fault_and_the_rest_stays),
    TEST_CASE(parts_of_one_allocation_are_freed_by_their_own_first_page),
    TEST_CASE(all_of_an_allocation_can_be_freed_as_a_part),
    TEST_CASE(a_new_start_is_the_name_of_what_is_left),
    TEST_CASE(pages_freed_inside_an_allocation_are_its_guard),
    TEST_CASE(a_requested_guard_is_kept_on_both_sides_and_from_later_neighbours),
    TEST_CASE(a_requested_guard_holds_at_the_edges_of_the_arena),
    TEST_CASE(a_requested_guard_below_the_arenas_does_not_narrow_it),
    TEST_CASE(both_parts_of_a_guarded_allocation_keep_its_guard),
    TEST_CASE(without_guards_allocations_touch),
    TEST_CASE(alignment_is_of_the_address_not_of_the_place_in_the_arena),
    TEST_CASE(alignment_is_a_guarantee_and_never_given_up),
    TEST_CASE(small_requests_are_aligned_too),
    TEST_CASE(page_zero_is_never_handed_out),
    TEST_CASE(the_last_page_of_the_address_space_is_usable),
    TEST_CASE(an_aligned_request_past_the_top_is_no_space),
};

const struct test_suite suite_virtual_layout = TEST_SUITE("virtual_layout", cases);
