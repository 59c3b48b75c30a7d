/* Validate and dump: what they find, and what they say. */
#include "virtual_fixture.h"

#include <hw.h>
#include <string.h>

#include "virtual_allocator_private.h"
#include "unit_suites.h"

/* ---- validate ---- */

static void expect_corrupt(struct test *test, struct virtual_fixture *f, const char *what)
{
    char text[160];
    char start[64];
    struct ps_text_buffer buffer;
    struct ps_text_buffer wanted;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    struct ps_sink start_sink = ps_text_buffer_sink(&wanted, start, sizeof(start));

    ps_print(&start_sink, "virtual allocator: %s at ", what);
    EXPECT_STATUS(ps_virtual_validate(&f->arena, &sink), PS_CORRUPT);
    EXPECT(buffer.length < sizeof(text) && strchr(text, '\n') == text + buffer.length - 1);
    text[ps_min(wanted.length, sizeof(text) - 1)] = '\0';
    EXPECT_TEXT(text, start);
}

VIRTUAL_CASE(validate_sees_foreign_and_missing_mappings, .guard = 1)
{
    uint64_t first = virtual_take(test, f, 4);
    struct ps_translation translation = {0};
    ps_frame_t foreign;

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &foreign));
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, 100), &foreign, ps_pages(1),
                                ps_attr_ram(PS_READ), PS_EXISTING_ERROR));
    expect_corrupt(test, f, "mapped, but not allocated");
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, 100), ps_pages(1), NULL));

    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, first + 1), &translation));
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, first + 1), ps_pages(1), NULL));
    expect_corrupt(test, f, "allocated, but not mapped");
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, first + 1), &foreign, ps_pages(1),
                                ps_attr_ram(PS_READ), PS_EXISTING_ERROR));
    expect_corrupt(test, f, "mapped to a foreign frame");
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, first + 1), &translation.frame,
                                ps_pages(1), ps_attr_ram(PS_READ), PS_EXISTING_UPGRADE));
    EXPECT_OK(ps_frame_pool_free(&f->pool, foreign, ps_pages(1)));
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(validate_does_not_mind_mappings_around_the_arena, .guard = 1)
{
    ps_frame_t foreign[2];
    ps_attr_t attr = ps_attr_ram(PS_READ);

    REQUIRE_OK(ps_frame_pool_alloc_scattered(&f->pool, 2, PS_FRAME_USER, 0, foreign));
    EXPECT_OK(ps_page_table_map(&f->table, ps_virt(VIRTUAL_BASE - PS_PAGE_SIZE), &foreign[0],
                                ps_pages(1), attr, PS_EXISTING_ERROR));
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, 256), &foreign[1], ps_pages(1), attr,
                                PS_EXISTING_ERROR));
    (void)virtual_take(test, f, 4);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    EXPECT_OK(
        ps_page_table_unmap(&f->table, ps_virt(VIRTUAL_BASE - PS_PAGE_SIZE), ps_pages(1), NULL));
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, 256), ps_pages(1), NULL));
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(ps_frame_pool_free(&f->pool, foreign[i], ps_pages(1)));
}

/* Damage one number, look, and repair it. */
static void expect_damage_seen(struct test *test, struct virtual_fixture *f, uint64_t *number,
                               uint64_t damaged, const char *what)
{
    uint64_t healthy = *number;

    *number = damaged;
    expect_corrupt(test, f, what);
    *number = healthy;
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(validate_sees_damaged_extents_and_counters, .guard = 2)
{
    struct ps_extent *a;
    struct ps_virtual_counters *counters = &f->arena.counters;

    (void)virtual_take(test, f, 3);
    (void)virtual_take(test, f, 3);
    a = f->arena.extents->next;
    expect_damage_seen(test, f, &a->first, a->first + 1, "gap or overlap");
    expect_damage_seen(test, f, &a->pages, 2, "gap or overlap");
    expect_damage_seen(test, f, &a->pages, UINT64_MAX, "gap or overlap");
    expect_damage_seen(test, f, &a->free, UINT64_MAX, "gap or overlap");
    expect_damage_seen(test, f, &a->next->free, 4, "extents end early");
    expect_damage_seen(test, f, &a->next->free, 250, "gap or overlap");
    expect_damage_seen(test, f, &f->arena.extents->pages, 1,
                       "edge with pages, or allocation without");
    expect_damage_seen(test, f, &a->guard, 1, "guard not kept");
    expect_damage_seen(test, f, &a->guard, 3, "guard not kept");
    expect_damage_seen(test, f, &a->sequence, 3, "sequence from the future");
    expect_damage_seen(test, f, &counters->live, 3, "wrong counters");
    expect_damage_seen(test, f, &counters->live_pages, 5, "wrong counters");
    expect_damage_seen(test, f, &counters->peak_pages, 5, "wrong counters");
    expect_damage_seen(test, f, &counters->metadata_frames, 2, "cells lost or counted wrongly");
    expect_damage_seen(test, f, &counters->metadata_frames, 0, "more extents than cells");
    expect_damage_seen(test, f, &ps_extent_frame(&f->arena, f->arena.cells)->used, 4,
                       "cells lost or counted wrongly");
}

VIRTUAL_CASE(validate_sees_broken_lists)
{
    struct ps_extent *a;
    struct ps_extent *spare;

    (void)virtual_take(test, f, 3);
    a = f->arena.extents->next;
    a->previous = a;
    expect_corrupt(test, f, "broken list");
    a->previous = f->arena.extents;
    spare = f->arena.spare;
    f->arena.spare = spare->next;
    expect_corrupt(test, f, "cells lost or counted wrongly");
    f->arena.spare = spare;
    spare->next = spare; /* without end */
    expect_corrupt(test, f, "cells lost or counted wrongly");
    spare->next = spare + 1;
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(validate_sees_frames_of_bookkeeping_that_are_not)
{
    ps_frame_t cells = f->arena.cells;
    struct ps_extent_frame *frame = ps_extent_frame(&f->arena, cells);

    f->arena.cells = f->table.root;
    expect_corrupt(test, f, "cells in a foreign frame");
    f->arena.cells = ps_frame(UINT64_MAX);
    expect_corrupt(test, f, "cells in a foreign frame");
    f->arena.cells = cells;
    frame->next = cells; /* without end */
    expect_corrupt(test, f, "cells lost or counted wrongly");
    frame->next = ps_frame(0);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

VIRTUAL_CASE(validate_sees_a_page_that_is_part_of_a_run)
{
    uint64_t page = virtual_take(test, f, 1);
    struct ps_frame_run pair = {
        .pages = ps_pages(2), .limit = PS_FRAME_ANY, .tag = PS_FRAME_VIRTUAL};
    struct ps_translation own = {0};
    ps_frame_t run;

    REQUIRE_OK(ps_page_table_query(&f->table, virtual_page(f, page), &own));
    REQUIRE_OK(ps_frame_pool_alloc_run(&f->pool, &pair, &run));
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, page), &run, ps_pages(1), own.attr,
                                PS_EXISTING_UPGRADE));
    expect_corrupt(test, f, "mapped to a foreign frame");
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, page), &own.frame, ps_pages(1), own.attr,
                                PS_EXISTING_UPGRADE));
    EXPECT_OK(ps_frame_pool_free(&f->pool, run, ps_pages(2)));
}

/* It begins a page below the arena. */
VIRTUAL_CASE(validate_sees_a_large_leaf, .base = VIRTUAL_BASE + 0x1000, .pages = 1024,
             .frames = 2048)
{
    ps_virt_t va = ps_virt(VIRTUAL_BASE);
    ps_frame_t large;

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_VIRTUAL, 0, &large));
    REQUIRE_OK(ps_page_table_map_run(&f->table, va, large, ps_pages(512), ps_attr_ram(PS_READ), 0));
    expect_corrupt(test, f, "large leaf");
    EXPECT_OK(ps_page_table_unmap(&f->table, va, ps_pages(512), NULL));
    EXPECT_OK(ps_frame_pool_free(&f->pool, large, ps_pages(512)));
}

/* ---- dump ---- */

VIRTUAL_CASE(dump_has_a_line_for_each_allocation, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(3), .who = {77, "here.c", 12}};
    char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    (void)virtual_take(test, f, 1);
    (void)virtual_take_as(test, f, &request);
    ps_virtual_dump(&f->arena, &sink);
    EXPECT_TEXT(text, "virtual allocator 0xffffc00000000000, 256 pages, guard 1\n"
                      "  live 2 allocations of 4 pages, peak 4, 2 so far\n"
                      "  free 252 pages in 3 extents, largest 250\n"
                      "  failed 0, rejected 0, frames of bookkeeping 1\n"
                      "  0xffffc00000001000        1 pages  #1\n"
                      "  0xffffc00000003000        3 pages  #2  owner 77  here.c:12\n");
}

VIRTUAL_CASE(dump_before_init_says_so, .not_initialised = true)
{
    char text[80];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    ps_virtual_dump(&f->arena, &sink);
    EXPECT_TEXT(text, "virtual allocator: not initialised\n");
}

static const struct test_case cases[] = {
    TEST_CASE(validate_sees_foreign_and_missing_mappings),
    TEST_CASE(validate_does_not_mind_mappings_around_the_arena),
    TEST_CASE(validate_sees_damaged_extents_and_counters),
    TEST_CASE(validate_sees_broken_lists),
    TEST_CASE(validate_sees_frames_of_bookkeeping_that_are_not),
    TEST_CASE(validate_sees_a_page_that_is_part_of_a_run),
    TEST_CASE(validate_sees_a_large_leaf),
    TEST_CASE(dump_has_a_line_for_each_allocation),
    TEST_CASE(dump_before_init_says_so),
};

const struct test_suite suite_virtual_check = TEST_SUITE("virtual_check", cases);
