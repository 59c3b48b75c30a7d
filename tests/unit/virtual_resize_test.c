/* Another size: shorter, longer, elsewhere; what is kept, what is added, what is refused. */
#include "virtual_fixture.h"

#include <string.h>

#include <hw.h>

#include "unit_suites.h"

enum { L = VIRTUAL_2M, PAGE = 4096 };

/* To so many bytes from the pointer at page `page` on; where it is now, by page. */
static uint64_t resize(struct test *test, struct virtual_fixture *f, uint64_t page, uint64_t bytes,
                       unsigned flags)
{
    ps_virt_t now = f->arena.config.base;

    EXPECT_OK(ps_virtual_resize(&f->arena, virtual_page(f, page), bytes, flags, &now));
    return (now.addr - f->arena.config.base.addr) / PAGE;
}

static ps_status try(struct virtual_fixture *f, uint64_t page, uint64_t bytes, unsigned flags)
{
    ps_virt_t now;

    return ps_virtual_resize(&f->arena, virtual_page(f, page), bytes, flags, &now);
}

static struct ps_virtual_info info_of(struct test *test, struct virtual_fixture *f, uint64_t page)
{
    struct ps_virtual_info info = {0};

    EXPECT_OK(ps_virtual_find(&f->arena, virtual_page(f, page), &info));
    return info;
}

static uint64_t frame_of(struct virtual_fixture *f, uint64_t page)
{
    struct ps_translation translation = {0};

    return ps_page_table_query(&f->table, virtual_page(f, page), &translation) == PS_OK
               ? translation.frame.number
               : 0;
}

/* All of the arena's bytes [first, first + count) are that. */
static void expect_bytes(struct test *test, struct virtual_fixture *f, uint64_t first,
                         uint64_t count, uint8_t byte)
{
    uint64_t other = 0;

    for (uint64_t at = first; at < first + count; at++)
        other += ((const uint8_t *)virtual_word(f, at / PAGE))[at % PAGE] != byte;
    EXPECT_EQ(other, 0);
}

/* ---- shorter ---- */

VIRTUAL_CASE(shorter_gives_back_whole_pages_and_keeps_the_rest, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 10 * PAGE + 5, .who = {{3}, "r.c", 4}};
    uint64_t page = virtual_take_as(test, f, &request);
    struct ps_virtual_info info;

    virtual_stamp(f, page, 11);
    EXPECT_EQ(resize(test, f, page, 3 * PAGE + 1, 0), page);
    virtual_expect_mapped(test, f, page, 4);
    virtual_expect_stamped(test, f, page, 4);
    info = info_of(test, f, page);
    EXPECT_EQ(info.bytes, 3 * PAGE + 1);
    EXPECT_EQ(info.pages.count, 4);
    EXPECT_EQ(info.sequence, 1);
    EXPECT_EQ(info.who.owner[0], 3);
    EXPECT_EQ(f->arena.counters.live, 1);
    EXPECT_EQ(f->arena.counters.live_pages, 4);
    EXPECT_EQ(f->arena.counters.live_bytes, 3 * PAGE + 1);
    EXPECT_EQ(f->arena.counters.allocs, 1);
    EXPECT_EQ(f->arena.counters.moves, 0);
    EXPECT_EQ(virtual_take(test, f, 1), page + 5); /* what was given back is free */
    EXPECT_OK(ps_virtual_free_sized(&f->arena, virtual_page(f, page), 3 * PAGE + 1));
}

VIRTUAL_CASE(as_many_pages_as_before_changes_the_bytes_only, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 100};
    uint64_t page = virtual_take_as(test, f, &request);

    EXPECT_EQ(resize(test, f, page, PAGE, 0), page);
    EXPECT_EQ(f->arena.counters.live_bytes, PAGE);
    EXPECT_EQ(resize(test, f, page, 1, PS_VIRTUAL_MAY_MOVE), page);
    EXPECT_EQ(f->arena.counters.live_bytes, 1);
    EXPECT_EQ(info_of(test, f, page).bytes, 1);
    EXPECT_EQ(f->arena.counters.live_pages, 1);
    EXPECT_STATUS(ps_virtual_free_sized(&f->arena, virtual_page(f, page), 100), PS_WRONG_SIZE);
    EXPECT_OK(ps_virtual_free_sized(&f->arena, virtual_page(f, page), 1));
}

VIRTUAL_CASE(a_large_leaf_can_be_made_shorter_with_no_frame_left, .pages = 4 * L, .guard = 1,
             .alignment = L, .frames = 4 * L)
{
    uint64_t page = virtual_take(test, f, L);
    struct virtual_hoard hoard = virtual_hoard(test, f, 0);

    EXPECT_EQ(virtual_leaf(f, page), PS_LEAF_2M);
    virtual_stamp(f, page, L);
    EXPECT_EQ(resize(test, f, page, 9 * PAGE, 0), page);
    virtual_expect_mapped(test, f, page, 9);
    virtual_expect_stamped(test, f, page, 9);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_4K) >= L - 9 - 1, true);
    virtual_give_back(test, f, &hoard);
}

/* ---- longer, in place ---- */

VIRTUAL_CASE(longer_takes_the_room_behind_it, .guard = 2)
{
    uint64_t page = virtual_take(test, f, 3);
    uint64_t first = frame_of(f, page);

    virtual_stamp(f, page, 3);
    EXPECT_EQ(resize(test, f, page, 100 * PAGE, 0), page);
    virtual_expect_mapped(test, f, page, 100);
    virtual_expect_stamped(test, f, page, 3);
    EXPECT_EQ(frame_of(f, page), first);
    EXPECT_EQ(f->arena.counters.live_pages, 100);
    EXPECT_EQ(f->arena.counters.peak_pages, 100);
    EXPECT_EQ(f->arena.counters.live, 1);
    EXPECT_EQ(f->arena.counters.moves, 0);
    EXPECT_EQ(info_of(test, f, page).sequence, 1);
    EXPECT_EQ(resize(test, f, page, 252 * PAGE, 0), page);
    EXPECT_FAILED(try(f, page, 252 * PAGE + 1, 0), PS_NO_SPACE, 252 * PAGE + 1,
                  ((struct ps_attribution){0}));
}

VIRTUAL_CASE(a_neighbour_and_its_guard_stop_it, .guard = 2)
{
    struct ps_attribution who = {{1, 2, 3}, "stop.c", 5};
    struct ps_virtual_request request = {.pages = ps_pages(4), .who = who};
    uint64_t a = virtual_take_as(test, f, &request);
    uint64_t b = virtual_take(test, f, 4);

    virtual_free(test, f, b);
    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, a + 10), false));
    EXPECT_FAILED(try(f, a, 9 * PAGE, 0), PS_NO_SPACE, 9 * PAGE, who);
    EXPECT_EQ(resize(test, f, a, 8 * PAGE, 0), a);
    EXPECT_FAILED(try(f, a, 8 * PAGE + 1, 0), PS_NO_SPACE, 8 * PAGE + 1, who);
}

VIRTUAL_CASE(what_is_added_behind_has_large_leaves_where_they_fit, .pages = 4 * L, .frames = 5 * L)
{
    EXPECT_EQ(virtual_take(test, f, 10), 0);
    EXPECT_EQ(resize(test, f, 0, 2 * PS_MIB * 2, 0), 0);
    EXPECT_EQ(virtual_leaf(f, 9), PS_LEAF_4K);
    EXPECT_EQ(virtual_leaf(f, L - 1), PS_LEAF_4K);
    EXPECT_EQ(virtual_leaf(f, L), PS_LEAF_2M);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(attributes_are_those_of_the_request, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(1), .attr = ps_attr_ram(PS_READ)};
    uint64_t page = virtual_take_as(test, f, &request);
    struct ps_translation translation = {0};

    EXPECT_EQ(resize(test, f, page, 5 * PAGE, 0), page);
    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, page + 4), &translation));
    EXPECT(ps_attr_equal(translation.attr, ps_attr_ram(PS_READ)));
}

VIRTUAL_CASE(all_that_is_added_is_zero_when_asked_for, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 100};
    uint64_t page = virtual_take_as(test, f, &request);
    uint64_t first = page * PAGE;

    memset(virtual_word(f, page), 0xee, PAGE);
    EXPECT_EQ(resize(test, f, page, 200, PS_FRAME_ZERO), page); /* in the page that there is */
    expect_bytes(test, f, first, 100, 0xee);
    expect_bytes(test, f, first + 100, 100, 0);
    EXPECT_EQ(resize(test, f, page, 150, PS_FRAME_ZERO), page); /* nothing is added */
    expect_bytes(test, f, first, 100, 0xee);
    EXPECT_EQ(resize(test, f, page, 100, 0), page);
    EXPECT_EQ(resize(test, f, page, 3 * PAGE + 50, PS_FRAME_ZERO), page);
    expect_bytes(test, f, first, 100, 0xee);
    expect_bytes(test, f, first + 100, 3 * PAGE - 50, 0);
    EXPECT_EQ(resize(test, f, page, 4 * PAGE, PS_FRAME_ZERO), page);
    EXPECT_EQ(resize(test, f, page, 5 * PAGE, PS_FRAME_ZERO), page); /* from page to page */
    expect_bytes(test, f, first + 100, 5 * PAGE - 100, 0);
}

VIRTUAL_CASE(what_is_moved_is_not_cleared_and_what_is_added_is, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = PAGE + 100};
    uint64_t page = virtual_take_as(test, f, &request);
    uint64_t first;

    (void)virtual_take(test, f, 1);
    memset(virtual_word(f, page), 0xee, PAGE);
    memset(virtual_word(f, page + 1), 0xee, PAGE);
    first = resize(test, f, page, 4 * PAGE, PS_FRAME_ZERO | PS_VIRTUAL_MAY_MOVE) * PAGE;
    EXPECT(first != page * PAGE);
    expect_bytes(test, f, first, PAGE + 100, 0xee);
    expect_bytes(test, f, first + PAGE + 100, 3 * PAGE - 100, 0);
}

/* ---- elsewhere ---- */

VIRTUAL_CASE(moved_it_has_the_same_frames_and_the_old_place_faults, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(70), .who = {{8}, "m.c", 6}};
    uint64_t page = virtual_take_as(test, f, &request);
    uint64_t wall = virtual_take(test, f, 1);
    uint64_t frames[70];
    struct ps_virtual_info info;
    uint64_t rounds, now;

    for (uint64_t i = 0; i < 70; i++)
        frames[i] = frame_of(f, page + i);
    virtual_stamp(f, page, 70);
    EXPECT_STATUS(try(f, page, 75 * PAGE, 0), PS_NO_SPACE);
    rounds = f->sim->invalidations;
    now = resize(test, f, page, 75 * PAGE, PS_VIRTUAL_MAY_MOVE);
    EXPECT_EQ(now, wall + 2);
    EXPECT_EQ(f->sim->invalidations, rounds + 1);
    virtual_expect_stamped_as(test, f, now, 70, page);
    for (uint64_t i = 0; i < 70; i++)
        EXPECT_EQ(frame_of(f, now + i), frames[i]);
    virtual_expect_mapped(test, f, now, 75);
    virtual_expect_unmapped(test, f, page, 70);
    info = info_of(test, f, now);
    EXPECT_EQ(info.sequence, 1);
    EXPECT_EQ(info.who.owner[0], 8);
    EXPECT_EQ(info.bytes, 75 * PAGE);
    EXPECT_EQ(f->arena.counters.moves, 1);
    EXPECT_EQ(f->arena.counters.live, 2);
    EXPECT_EQ(f->arena.counters.live_pages, 76);
    EXPECT_STATUS(ps_virtual_free(&f->arena, virtual_page(f, page)), PS_NOT_FOUND);
    EXPECT_EQ(virtual_take(test, f, 70), page);
}

VIRTUAL_CASE(it_does_not_move_when_it_need_not, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 3);

    EXPECT_EQ(resize(test, f, page, 30 * PAGE, PS_VIRTUAL_MAY_MOVE), page);
    EXPECT_EQ(resize(test, f, page, 2 * PAGE, PS_VIRTUAL_MAY_MOVE), page);
    EXPECT_EQ(f->arena.counters.moves, 0);
}

VIRTUAL_CASE(large_leaves_move_as_large_leaves, .pages = 10 * L, .alignment = L, .frames = 7 * L)
{
    uint64_t page = virtual_take(test, f, 2 * L + 5);
    uint64_t now, first = frame_of(f, page), third = frame_of(f, page + 2 * L + 2);

    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &(struct ps_virtual_request){.pages = ps_pages(1)},
                                  virtual_page(f, page + 2 * L + 5), true));
    virtual_stamp(f, page, 2 * L + 5);
    now = resize(test, f, page, (2 * L + 9) * PAGE, PS_VIRTUAL_MAY_MOVE);
    EXPECT_EQ(now % L, 0);
    EXPECT_EQ(virtual_leaf(f, now), PS_LEAF_2M);
    EXPECT_EQ(virtual_leaf(f, now + L), PS_LEAF_2M);
    EXPECT_EQ(frame_of(f, now), first);
    EXPECT_EQ(frame_of(f, now + 2 * L + 2), third);
    virtual_expect_stamped_as(test, f, now, 2 * L + 5, page);
    virtual_expect_unmapped(test, f, page, 2 * L + 5);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

/* Where no aligned place is left, what was a large leaf becomes small ones. */
VIRTUAL_CASE(large_leaves_move_to_places_that_are_not_aligned, .pages = 3 * L + 20, .alignment = L,
             .base = VIRTUAL_BASE + 5 * PAGE, .frames = 5 * L)
{
    uint64_t page = virtual_take(test, f, L);
    uint64_t now;

    EXPECT_EQ(page, L - 5);
    EXPECT_EQ(virtual_leaf(f, page), PS_LEAF_2M);
    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &(struct ps_virtual_request){.pages = ps_pages(1)},
                                  virtual_page(f, page + L), false));
    virtual_stamp(f, page, L);
    now = resize(test, f, page, (L + 10) * PAGE, PS_VIRTUAL_MAY_MOVE);
    EXPECT_EQ(now, page + L + 1);
    virtual_expect_stamped_as(test, f, now, L, page);
    virtual_free_part(test, f, now + 7, 1); /* of one 2 MiB frame */
    virtual_free(test, f, now);
    virtual_free(test, f, now + 8);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

VIRTUAL_CASE(alignment_and_guards_are_kept_on_the_way, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(2),
                                         .alignment = ps_pages(16),
                                         .guard_before = ps_pages(6),
                                         .guard_after = ps_pages(9)};
    uint64_t page = virtual_take_as(test, f, &request);
    uint64_t now;

    EXPECT_EQ(page, 16);
    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &(struct ps_virtual_request){.pages = ps_pages(1)},
                                  virtual_page(f, 27), false));
    now = resize(test, f, page, 3 * PAGE, PS_VIRTUAL_MAY_MOVE);
    EXPECT_EQ(now, 48);
    EXPECT_EQ(virtual_take(test, f, 30), 60); /* nine pages behind 51 */
    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &(struct ps_virtual_request){.pages = ps_pages(1)},
                                  virtual_page(f, 41), false));
    EXPECT_STATUS(ps_virtual_alloc_at(&f->arena, &(struct ps_virtual_request){.pages = ps_pages(1)},
                                      virtual_page(f, 43), false),
                  PS_NO_SPACE);
}

/* ---- limits, runs, parts ---- */

VIRTUAL_CASE(it_stays_within_its_limits, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(2),
                                         .low = VIRTUAL_BASE + 10 * PAGE,
                                         .high = VIRTUAL_BASE + 16 * PAGE - 1};
    uint64_t page = virtual_take_as(test, f, &request);

    EXPECT_EQ(page, 10);
    EXPECT_EQ(resize(test, f, page, 6 * PAGE, PS_VIRTUAL_MAY_MOVE), 10);
    EXPECT_FAILED(try(f, page, 6 * PAGE + 1, 0), PS_NO_SPACE, 6 * PAGE + 1,
                  ((struct ps_attribution){0}));
    EXPECT_FAILED(try(f, page, 7 * PAGE, PS_VIRTUAL_MAY_MOVE), PS_NO_SPACE, 7 * PAGE,
                  ((struct ps_attribution){0}));
}

VIRTUAL_CASE(a_contiguous_allocation_gets_shorter_and_not_longer, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(9), .flags = PS_VIRTUAL_CONTIGUOUS};
    uint64_t page = virtual_take_as(test, f, &request);

    EXPECT_FAILED(try(f, page, 10 * PAGE, PS_VIRTUAL_MAY_MOVE), PS_NO_SPACE, 10 * PAGE,
                  ((struct ps_attribution){0}));
    EXPECT_EQ(resize(test, f, page, 8 * PAGE, 0), page);
    virtual_expect_mapped(test, f, page, 8);
}

VIRTUAL_CASE(parts_of_one_allocation_are_resized_each_for_itself, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 20 * PAGE - 10, .who = {{5}, "p.c", 7}};
    uint64_t page = virtual_take_as(test, f, &request);
    uint64_t now;

    virtual_stamp(f, page, 20);
    virtual_free_part(test, f, page + 5, 8);
    EXPECT_EQ(resize(test, f, page, 2 * PAGE, 0), page);
    virtual_expect_mapped(test, f, page, 2);
    EXPECT_EQ(resize(test, f, page, 6 * PAGE + 1, 0), page);
    virtual_expect_mapped(test, f, page, 7);
    virtual_expect_stamped(test, f, page, 2);
    EXPECT_EQ(info_of(test, f, page).bytes, 6 * PAGE + 1);
    EXPECT_EQ(info_of(test, f, page).sequence, 1);
    EXPECT_EQ(info_of(test, f, page + 13).bytes, 7 * PAGE - 10);
    EXPECT_EQ(f->arena.counters.live_bytes, 13 * PAGE - 9);
    now = resize(test, f, page, 30 * PAGE, PS_VIRTUAL_MAY_MOVE);
    EXPECT_EQ(now, page + 21);
    virtual_expect_stamped_as(test, f, now, 2, page);
    virtual_expect_stamped(test, f, page + 13, 7);
    EXPECT_EQ(info_of(test, f, now).who.owner[0], 5);
    EXPECT_EQ(resize(test, f, page + 13, PAGE, 0), page + 13);
    EXPECT_EQ(f->arena.counters.live_pages, 31);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(a_part_remembers_the_bytes_it_was_resized_to, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 3 * PAGE + 100};
    uint64_t page = virtual_take_as(test, f, &request);

    virtual_free_part(test, f, page + 1, 1);
    EXPECT_EQ(resize(test, f, page, PAGE, 0), page);               /* as it is */
    EXPECT_EQ(resize(test, f, page + 2, PAGE + 200, 0), page + 2); /* more, in the same pages */
    EXPECT_EQ(info_of(test, f, page + 2).bytes, PAGE + 200);
    EXPECT_EQ(f->arena.counters.live_bytes, 2 * PAGE + 200);
    virtual_free_part(test, f, page + 2, 1);
    EXPECT_EQ(info_of(test, f, page + 3).bytes, 200);
    EXPECT_EQ(resize(test, f, page, 7, 0), page);
    EXPECT_EQ(info_of(test, f, page).bytes, 7);
    EXPECT_EQ(resize(test, f, page, 7, 0), page);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    EXPECT_OK(ps_virtual_free_sized(&f->arena, virtual_page(f, page), 7));
    EXPECT_OK(ps_virtual_free_sized(&f->arena, virtual_page(f, page + 3), 200));
}

/* ---- refusals ---- */

VIRTUAL_CASE(resize_refuses_what_free_refuses, .guard = 1)
{
    uint64_t a = virtual_take(test, f, 4);
    uint64_t b = virtual_take(test, f, 4);
    ps_virt_t now = ps_virt(7);
    ps_virt_t va = virtual_page(f, a);

    virtual_free(test, f, b);
    EXPECT_REJECTED(ps_virtual_resize(&f->arena, va, 0, 0, &now), PS_INVALID_ARGS);
    EXPECT_REJECTED(ps_virtual_resize(&f->arena, va, 8, 0, NULL), PS_INVALID_ARGS);
    EXPECT_REJECTED(ps_virtual_resize(&f->arena, va, 8, PS_VIRTUAL_CONTIGUOUS, &now),
                    PS_INVALID_ARGS);
    EXPECT_REJECTED(ps_virtual_resize(&f->arena, va, 8, ~0u, &now), PS_INVALID_ARGS);
    EXPECT_MISUSE(try(f, a + 1, 8, 0), PS_INVALID_ARGS, INTERIOR, virtual_page(f, a + 1), 1);
    EXPECT_MISUSE(try(f, a + 4, 8, 0), PS_ACCESS_DENIED, GUARD, virtual_page(f, a + 4), 0);
    EXPECT_MISUSE(try(f, b + 1, 8, 0), PS_NOT_FOUND, FREE, virtual_page(f, b + 1), 0);
    EXPECT_MISUSE(try(f, 256, 8, 0), PS_OUT_OF_RANGE, FOREIGN, virtual_page(f, 256), 0);
    EXPECT_FAILED(try(f, a, UINT64_MAX, PS_VIRTUAL_MAY_MOVE), PS_NO_SPACE, UINT64_MAX,
                  ((struct ps_attribution){0}));
    EXPECT_STATUS(ps_virtual_resize(&f->arena, va, 256 * PAGE, PS_VIRTUAL_MAY_MOVE, &now),
                  PS_NO_SPACE);
    EXPECT_STATUS(ps_virtual_resize(NULL, va, 8, 0, &now), PS_INVALID_ARGS);
    EXPECT_EQ(now.addr, 7);
}

VIRTUAL_CASE(more_than_all_free_frames_is_no_memory_and_takes_none, .pages = 8192)
{
    uint64_t page = virtual_take(test, f, 1);
    uint64_t left = ps_frame_pool_whole(&f->pool, PS_FRAME_4K);

    ps_frame_pool_fail_after(&f->pool, 0, false);
    EXPECT_FAILED(try(f, page, (left + 2) * PAGE, 0), PS_NO_MEMORY, (left + 2) * PAGE,
                  ((struct ps_attribution){0}));
    EXPECT(f->pool.fail_armed);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
}

static const struct test_case cases[] = {
    TEST_CASE(shorter_gives_back_whole_pages_and_keeps_the_rest),
    TEST_CASE(as_many_pages_as_before_changes_the_bytes_only),
    TEST_CASE(a_large_leaf_can_be_made_shorter_with_no_frame_left),
    TEST_CASE(longer_takes_the_room_behind_it),
    TEST_CASE(a_neighbour_and_its_guard_stop_it),
    TEST_CASE(what_is_added_behind_has_large_leaves_where_they_fit),
    TEST_CASE(attributes_are_those_of_the_request),
    TEST_CASE(all_that_is_added_is_zero_when_asked_for),
    TEST_CASE(what_is_moved_is_not_cleared_and_what_is_added_is),
    TEST_CASE(moved_it_has_the_same_frames_and_the_old_place_faults),
    TEST_CASE(it_does_not_move_when_it_need_not),
    TEST_CASE(large_leaves_move_as_large_leaves),
    TEST_CASE(large_leaves_move_to_places_that_are_not_aligned),
    TEST_CASE(alignment_and_guards_are_kept_on_the_way),
    TEST_CASE(it_stays_within_its_limits),
    TEST_CASE(a_contiguous_allocation_gets_shorter_and_not_longer),
    TEST_CASE(parts_of_one_allocation_are_resized_each_for_itself),
    TEST_CASE(a_part_remembers_the_bytes_it_was_resized_to),
    TEST_CASE(resize_refuses_what_free_refuses),
    TEST_CASE(more_than_all_free_frames_is_no_memory_and_takes_none),
};

const struct test_suite suite_virtual_resize = TEST_SUITE("virtual_resize", cases);
