/* Modes for finding mistakes: quarantine, allocations pushed to their guard, patterns. */
#include "virtual_fixture.h"

#include <string.h>

#include "unit_suites.h"

enum { PAGE = 4096, L = VIRTUAL_2M };

static ps_virt_t take_bytes(struct test *test, struct virtual_fixture *f, uint64_t bytes)
{
    struct ps_virtual_request request = {.bytes = bytes};
    ps_virt_t va = ps_virt(0);

    EXPECT_OK(ps_virtual_alloc(&f->arena, &request, &va));
    return va;
}

/* The byte at an address of the arena. */
static uint8_t *byte_at(struct virtual_fixture *f, uint64_t va)
{
    uint64_t at = va - f->arena.config.base.addr;

    return (uint8_t *)virtual_word(f, at / PAGE) + at % PAGE;
}

static uint64_t others(struct virtual_fixture *f, uint64_t va, uint64_t count, uint8_t byte)
{
    uint64_t other = 0;

    for (uint64_t i = 0; i < count; i++)
        other += *byte_at(f, va + i) != byte;
    return other;
}

static struct ps_virtual_info info_of(struct test *test, struct virtual_fixture *f, ps_virt_t va)
{
    struct ps_virtual_info info = {0};

    EXPECT_OK(ps_virtual_find(&f->arena, va, &info));
    return info;
}

/* ---- quarantine ---- */

VIRTUAL_CASE(quarantine_keeps_an_address_for_so_many_later_frees, .guard = 1, .quarantine = 3)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < 20; i++) {
        uint64_t page = virtual_take(test, f, 1);

        /* four places take turns: each waits for three frees of the others */
        EXPECT_EQ(page, i < 4 ? 1 + 2 * i : 1 + 2 * (i % 4));
        virtual_free(test, f, page);
        used = ps_max(used, page);
        EXPECT_EQ(f->arena.counters.quarantined, ps_min(i + 1, 3));
        EXPECT(!virtual_is_mapped(f, page));
    }
    EXPECT_EQ(used, 7);
}

VIRTUAL_CASE(what_is_in_quarantine_is_free_for_nobody, .guard = 1, .quarantine = 10)
{
    struct ps_virtual_request request = {.pages = ps_pages(4)};
    uint64_t page = virtual_take(test, f, 4);
    ps_virt_t va = virtual_page(f, page);
    struct ps_virtual_info info;
    bool live = true;

    virtual_free(test, f, page);
    virtual_expect_unmapped(test, f, page, 4);
    EXPECT_MISUSE(ps_virtual_free(&f->arena, va), PS_NOT_FOUND, FREE, va, 0);
    EXPECT_MISUSE(ps_virtual_free_part(&f->arena, va, ps_pages(1)), PS_NOT_FOUND, FREE, va, 0);
    EXPECT_STATUS(ps_virtual_find(&f->arena, va, &info), PS_NOT_FOUND);
    EXPECT_OK(ps_virtual_is_live(&f->arena, va, &live));
    EXPECT(!live);
    EXPECT_FAILED(ps_virtual_alloc_at(&f->arena, &request, va, true), PS_ALREADY_EXISTS, 4 * PAGE,
                  ((struct ps_attribution){0}));
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(0), NULL, 0), 0);
    EXPECT_EQ(f->arena.counters.live, 0);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(the_frames_of_what_is_in_quarantine_go_back_at_once, .guard = 1, .quarantine = 10)
{
    struct ps_frame_pool_snapshot now;

    virtual_free(test, f, virtual_take(test, f, 100));
    ps_frame_pool_snapshot(&f->pool, &now);
    EXPECT_EQ(now.by_tag[PS_FRAME_VIRTUAL], 0);
}

VIRTUAL_CASE(parts_and_old_places_go_into_quarantine_too, .guard = 1, .quarantine = 10)
{
    uint64_t page = virtual_take(test, f, 8);
    ps_virt_t now = ps_virt(0);

    virtual_free_part(test, f, page + 3, 2);
    EXPECT_EQ(f->arena.counters.quarantined, 1);
    EXPECT_OK(
        ps_virtual_resize(&f->arena, virtual_page(f, page), 20 * PAGE, PS_VIRTUAL_MAY_MOVE, &now));
    EXPECT_EQ(f->arena.counters.quarantined, 2);
    EXPECT(now.addr != virtual_page(f, page).addr);
    virtual_free(test, f, page + 5);
    EXPECT_EQ(f->arena.counters.quarantined, 3);
    EXPECT(virtual_take(test, f, 3) >= page + 8); /* nowhere near any of them */
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(free_all_and_destroy_end_quarantine, .pages = 6, .guard = 1, .quarantine = 100)
{
    for (unsigned i = 0; i < 2; i++) {
        virtual_free(test, f, virtual_take(test, f, 1));
        virtual_free(test, f, virtual_take(test, f, 1));
        EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
        EXPECT_EQ(f->arena.counters.quarantined, 2);
        EXPECT_OK(ps_virtual_free_all(&f->arena));
        EXPECT_EQ(f->arena.counters.quarantined, 0);
        EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
    }
    virtual_free(test, f, virtual_take(test, f, 4));
    EXPECT_OK(ps_virtual_destroy(&f->arena, NULL));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

VIRTUAL_CASE(quarantine_lasts_while_frees_come_in_any_order, .guard = 1, .quarantine = 5,
             .pages = 1024)
{
    uint64_t page[40];

    for (unsigned i = 0; i < 40; i++)
        page[i] = virtual_take(test, f, 1 + i % 3);
    for (unsigned i = 0; i < 40; i++) {
        virtual_free(test, f, page[i * 7 % 40]);
        EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    }
    EXPECT_EQ(f->arena.counters.quarantined, 5);
}

/* ---- pushed to the guard behind ---- */

VIRTUAL_CASE(the_byte_behind_a_pushed_allocation_is_in_its_guard, .guard = 1,
             .flags = PS_VIRTUAL_PUSH)
{
    static const uint64_t sizes[] = {1,         15,        16,   17,       100,
                                     PAGE - 16, PAGE - 15, PAGE, PAGE + 1, 3 * PAGE - 1};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        uint64_t bytes = sizes[i];
        uint64_t rounded = (bytes + 15) / 16 * 16;
        ps_virt_t va = take_bytes(test, f, bytes);
        struct ps_virtual_info info = info_of(test, f, va);
        uint64_t end = info.first.addr + info.pages.count * PAGE;
        uint64_t usable = 0;
        bool live = false;

        EXPECT_EQ(va.addr % 16, 0);
        EXPECT_EQ(va.addr + rounded, end);
        EXPECT(!virtual_is_mapped(f, (end - VIRTUAL_BASE) / PAGE));
        EXPECT_EQ(info.va.addr, va.addr);
        EXPECT_EQ(info.pages.count, (bytes + PAGE - 1) / PAGE);
        EXPECT_EQ(info.bytes, bytes);
        EXPECT_OK(ps_virtual_usable(&f->arena, va, &usable));
        EXPECT_EQ(usable, rounded);
        EXPECT_OK(ps_virtual_is_live(&f->arena, va, &live));
        EXPECT(live);
        EXPECT_OK(ps_virtual_free_sized(&f->arena, va, bytes));
    }
}

VIRTUAL_CASE(a_pushed_allocation_is_named_by_its_pointer_only, .guard = 1, .flags = PS_VIRTUAL_PUSH)
{
    ps_virt_t va = take_bytes(test, f, 100);
    ps_virt_t first = virtual_page(f, 1);
    uint64_t usable = 7;
    bool live = true;

    EXPECT_EQ(va.addr, first.addr + PAGE - 112);
    EXPECT_MISUSE(ps_virtual_free(&f->arena, first), PS_INVALID_ARGS, INTERIOR, first, 1);
    EXPECT_OK(ps_virtual_is_live(&f->arena, first, &live));
    EXPECT(!live);
    EXPECT_STATUS(ps_virtual_usable(&f->arena, first, &usable), PS_NOT_FOUND);
    EXPECT_EQ(usable, 7);
    EXPECT_OK(ps_virtual_free(&f->arena, va));
}

VIRTUAL_CASE(requests_for_pages_and_for_alignment_are_not_pushed, .guard = 1,
             .flags = PS_VIRTUAL_PUSH)
{
    struct ps_virtual_request aligned = {.bytes = 100, .alignment = ps_pages(2)};
    ps_virt_t va = ps_virt(0);

    EXPECT_EQ(virtual_take(test, f, 1), 1);
    EXPECT_OK(ps_virtual_free(&f->arena, virtual_page(f, 1)));
    EXPECT_OK(ps_virtual_alloc(&f->arena, &aligned, &va));
    EXPECT_EQ(va.addr, virtual_page(f, 2).addr);
}

VIRTUAL_CASE(a_pushed_allocation_keeps_its_place_in_the_page, .guard = 1, .flags = PS_VIRTUAL_PUSH)
{
    ps_virt_t va = take_bytes(test, f, 100);
    ps_virt_t wall = take_bytes(test, f, PAGE);
    ps_virt_t now = ps_virt(0);

    *byte_at(f, va.addr) = 0x5c;
    EXPECT_OK(ps_virtual_resize(&f->arena, va, 112, PS_VIRTUAL_MAY_MOVE, &now));
    EXPECT_EQ(now.addr, va.addr);
    EXPECT_OK(ps_virtual_resize(&f->arena, va, 113, PS_VIRTUAL_MAY_MOVE, &now));
    EXPECT(now.addr > wall.addr);
    EXPECT_EQ(now.addr % PAGE, va.addr % PAGE);
    EXPECT_EQ(*byte_at(f, now.addr), 0x5c);
    EXPECT_EQ(info_of(test, f, now).pages.count, 2);
    EXPECT_STATUS(ps_virtual_resize(&f->arena, now, UINT64_MAX, 0, &va), PS_NO_SPACE);
    EXPECT_OK(ps_virtual_resize(&f->arena, now, 1, 0, &now));
    EXPECT_EQ(info_of(test, f, now).pages.count, 1);
    EXPECT_OK(ps_virtual_free_sized(&f->arena, now, 1));
}

VIRTUAL_CASE(what_is_left_of_a_pushed_allocation_begins_with_a_page, .guard = 1,
             .flags = PS_VIRTUAL_PUSH)
{
    ps_virt_t va = take_bytes(test, f, 4 * PAGE + 100);
    ps_virt_t first = virtual_page(f, 1);
    uint64_t usable = 0;

    EXPECT_OK(ps_virtual_free_part(&f->arena, ps_virt_add(first, 2 * PAGE), ps_pages(1)));
    EXPECT_EQ(info_of(test, f, first).va.addr, va.addr);
    EXPECT_EQ(info_of(test, f, first).bytes, PAGE + 112);
    EXPECT_OK(ps_virtual_usable(&f->arena, va, &usable));
    EXPECT_EQ(usable, PAGE + 112);
    EXPECT_EQ(info_of(test, f, virtual_page(f, 4)).va.addr, virtual_page(f, 4).addr);
    EXPECT_EQ(info_of(test, f, virtual_page(f, 4)).bytes, 2 * PAGE - 12);
    EXPECT_EQ(f->arena.counters.live_bytes, 3 * PAGE + 100);
    EXPECT_OK(ps_virtual_free_part(&f->arena, first, ps_pages(1)));
    EXPECT_EQ(info_of(test, f, virtual_page(f, 2)).va.addr, virtual_page(f, 2).addr);
    EXPECT_OK(ps_virtual_free(&f->arena, virtual_page(f, 2)));
}

/* ---- patterns ---- */

VIRTUAL_CASE(memory_that_nobody_asked_to_be_zero_has_a_pattern, .guard = 1,
             .flags = PS_VIRTUAL_FILL, .pages = 4 * L, .frames = 4 * L, .alignment = L)
{
    struct ps_virtual_request zero = {.bytes = PAGE + 10, .flags = PS_FRAME_ZERO};
    struct ps_virtual_request run = {.pages = ps_pages(3), .flags = PS_VIRTUAL_CONTIGUOUS};
    ps_virt_t va = ps_virt(0), now = ps_virt(0);

    EXPECT_EQ(others(f, take_bytes(test, f, 2 * PAGE + 1).addr, 3 * PAGE, PS_VIRTUAL_FILL_BYTE), 0);
    EXPECT_EQ(others(f, take_bytes(test, f, PAGE * L).addr, PAGE * L, PS_VIRTUAL_FILL_BYTE), 0);
    EXPECT_OK(ps_virtual_alloc(&f->arena, &run, &va));
    EXPECT_EQ(others(f, va.addr, 3 * PAGE, PS_VIRTUAL_FILL_BYTE), 0);
    EXPECT_OK(ps_virtual_alloc(&f->arena, &zero, &va));
    EXPECT_EQ(others(f, va.addr, PAGE + 10, 0), 0);
    EXPECT_EQ(others(f, va.addr + PAGE + 10, PAGE - 10, PS_VIRTUAL_FILL_BYTE), 0);
    EXPECT_OK(ps_virtual_resize(&f->arena, va, 4 * PAGE + 1, 0, &now));
    EXPECT_EQ(others(f, now.addr, PAGE + 10, 0), 0);
    EXPECT_EQ(others(f, now.addr + PAGE + 10, 4 * PAGE - 10, PS_VIRTUAL_FILL_BYTE), 0);
    EXPECT_OK(ps_virtual_resize(&f->arena, now, 5 * PAGE + 1, PS_FRAME_ZERO, &now));
    EXPECT_EQ(others(f, now.addr + 4 * PAGE + 1, PAGE, 0), 0);
    EXPECT_EQ(others(f, now.addr + 5 * PAGE + 1, PAGE - 1, PS_VIRTUAL_FILL_BYTE), 0);
}

VIRTUAL_CASE(a_byte_written_behind_is_found_when_it_is_freed, .guard = 1, .flags = PS_VIRTUAL_FILL)
{
    static const uint64_t behind[] = {100, 101, PAGE - 1};
    ps_virt_t va = take_bytes(test, f, 100);
    ps_virt_t now = ps_virt(7);

    memset(byte_at(f, va.addr), 0, 100);
    for (size_t i = 0; i < PS_ARRAY_SIZE(behind); i++) {
        uint8_t *byte = byte_at(f, va.addr + behind[i]);

        *byte ^= 1;
        EXPECT_MISUSE(ps_virtual_free(&f->arena, va), PS_CORRUPT, OVERRUN, va, 1);
        EXPECT_MISUSE(ps_virtual_free_sized(&f->arena, va, 100), PS_CORRUPT, OVERRUN, va, 1);
        EXPECT_MISUSE(ps_virtual_free_sized(&f->arena, va, 99), PS_WRONG_SIZE, SIZE, va, 1);
        EXPECT_MISUSE(ps_virtual_resize(&f->arena, va, 50, 0, &now), PS_CORRUPT, OVERRUN, va, 1);
        *byte ^= 1;
    }
    EXPECT_EQ(now.addr, 7);
    EXPECT_EQ(f->arena.misuse.counts[PS_MISUSE_OVERRUN], 9);
    EXPECT_OK(ps_virtual_free(&f->arena, va));
}

VIRTUAL_CASE(a_byte_written_before_a_pushed_allocation_is_found_too, .guard = 1,
             .flags = PS_VIRTUAL_FILL | PS_VIRTUAL_PUSH)
{
    ps_virt_t va = take_bytes(test, f, 100);
    static const int beside[] = {-1, -(PAGE - 112), 100, 111};

    for (size_t i = 0; i < PS_ARRAY_SIZE(beside); i++) {
        uint8_t *byte = byte_at(f, (uint64_t)((int64_t)va.addr + beside[i]));

        *byte = 0;
        EXPECT_MISUSE(ps_virtual_free(&f->arena, va), PS_CORRUPT, OVERRUN, va, 1);
        *byte = PS_VIRTUAL_FILL_BYTE;
    }
    EXPECT_OK(ps_virtual_free(&f->arena, va));
}

VIRTUAL_CASE(parts_and_free_all_go_without_looking, .guard = 1, .flags = PS_VIRTUAL_FILL)
{
    ps_virt_t a = take_bytes(test, f, 100);
    ps_virt_t b = take_bytes(test, f, PAGE + 100);

    *byte_at(f, a.addr + 100) = 1;
    *byte_at(f, b.addr + PAGE + 100) = 1;
    EXPECT_OK(ps_virtual_free_part(&f->arena, a, ps_pages(1)));
    EXPECT_STATUS(ps_virtual_free(&f->arena, b), PS_CORRUPT);
    EXPECT_OK(ps_virtual_free_part(&f->arena, b, ps_pages(1)));
    EXPECT_STATUS(ps_virtual_free(&f->arena, ps_virt_add(b, PAGE)), PS_CORRUPT);
    EXPECT_OK(ps_virtual_free_all(&f->arena));
    EXPECT_EQ(f->arena.counters.live, 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

VIRTUAL_CASE(after_a_resize_the_pattern_begins_behind_the_new_end, .guard = 1,
             .flags = PS_VIRTUAL_FILL)
{
    ps_virt_t va = take_bytes(test, f, 2 * PAGE + 100);
    ps_virt_t now = ps_virt(0);

    memset(byte_at(f, va.addr), 0, PAGE);
    memset(byte_at(f, va.addr + PAGE), 0, PAGE);
    EXPECT_OK(ps_virtual_resize(&f->arena, va, 50, 0, &now));
    EXPECT_EQ(others(f, va.addr, 50, 0), 0);
    EXPECT_EQ(others(f, va.addr + 50, PAGE - 50, PS_VIRTUAL_FILL_BYTE), 0);
    EXPECT_OK(ps_virtual_resize(&f->arena, va, 60, 0, &now));
    *byte_at(f, va.addr + 59) = 0;
    EXPECT_OK(ps_virtual_resize(&f->arena, va, 61, PS_FRAME_ZERO, &now));
    EXPECT_EQ(*byte_at(f, va.addr + 60), 0);
    EXPECT_EQ(*byte_at(f, va.addr + 61), PS_VIRTUAL_FILL_BYTE);
    EXPECT_OK(ps_virtual_free(&f->arena, va));
}

/* A part may use what it was resized to; that its other half was asked for differently is past. */
VIRTUAL_CASE(a_part_that_was_resized_may_use_all_its_bytes, .guard = 1, .flags = PS_VIRTUAL_FILL)
{
    ps_virt_t va = take_bytes(test, f, 3 * PAGE + 100);
    ps_virt_t part = ps_virt_add(va, 2 * PAGE);
    ps_virt_t now = ps_virt(0);

    EXPECT_OK(ps_virtual_free_part(&f->arena, ps_virt_add(va, PAGE), ps_pages(1)));
    EXPECT_OK(ps_virtual_resize(&f->arena, part, PAGE + 200, 0, &now));
    *byte_at(f, part.addr + PAGE + 199) = 0;
    EXPECT_OK(ps_virtual_free(&f->arena, part));
    EXPECT_OK(ps_virtual_free(&f->arena, va));
}

VIRTUAL_CASE(bytes_that_somebody_unmapped_are_not_looked_for, .guard = 1, .flags = PS_VIRTUAL_FILL)
{
    ps_virt_t va = take_bytes(test, f, PAGE + 100);
    struct ps_translation own = {0};

    EXPECT_OK(ps_page_table_query(&f->table, ps_virt_add(va, PAGE), &own));
    EXPECT_OK(ps_page_table_unmap(&f->table, ps_virt_add(va, PAGE), ps_pages(1), NULL));
    EXPECT_OK(ps_virtual_free(&f->arena, va));
    EXPECT_OK(ps_frame_pool_free(&f->pool, own.frame, ps_pages(1))); /* it is whose it was */
}

static const struct test_case cases[] = {
    TEST_CASE(quarantine_keeps_an_address_for_so_many_later_frees),
    TEST_CASE(what_is_in_quarantine_is_free_for_nobody),
    TEST_CASE(the_frames_of_what_is_in_quarantine_go_back_at_once),
    TEST_CASE(parts_and_old_places_go_into_quarantine_too),
    TEST_CASE(free_all_and_destroy_end_quarantine),
    TEST_CASE(quarantine_lasts_while_frees_come_in_any_order),
    TEST_CASE(the_byte_behind_a_pushed_allocation_is_in_its_guard),
    TEST_CASE(a_pushed_allocation_is_named_by_its_pointer_only),
    TEST_CASE(requests_for_pages_and_for_alignment_are_not_pushed),
    TEST_CASE(a_pushed_allocation_keeps_its_place_in_the_page),
    TEST_CASE(what_is_left_of_a_pushed_allocation_begins_with_a_page),
    TEST_CASE(memory_that_nobody_asked_to_be_zero_has_a_pattern),
    TEST_CASE(a_byte_written_behind_is_found_when_it_is_freed),
    TEST_CASE(a_byte_written_before_a_pushed_allocation_is_found_too),
    TEST_CASE(parts_and_free_all_go_without_looking),
    TEST_CASE(after_a_resize_the_pattern_begins_behind_the_new_end),
    TEST_CASE(a_part_that_was_resized_may_use_all_its_bytes),
    TEST_CASE(bytes_that_somebody_unmapped_are_not_looked_for),
};

const struct test_suite suite_virtual_debug = TEST_SUITE("virtual_debug", cases);
