/* Validate: what it finds, and what it does not mind. */
#include "virtual_fixture.h"

#include <hw.h>
#include <string.h>

#include "virtual_allocator_private.h"
#include "unit_suites.h"

enum { PAGE = 4096, L = VIRTUAL_2M };

/* What validate says of the allocator as it is now, without the address. */
static const char *breach(struct virtual_fixture *f)
{
    static char text[160];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    char *end;

    if (ps_virtual_validate(&f->arena, &sink) == PS_OK)
        return "";
    if (buffer.length >= sizeof(text) || strchr(text, '\n') != text + buffer.length - 1)
        return "not one line";
    end = strstr(text, " at 0x");
    if (end != NULL)
        *end = '\0';
    return text;
}

/* With one number changed it is corrupt in this way; with the old one it is sound again. */
#define EXPECT_BREACH(place, value, expected)                            \
    do {                                                                 \
        __typeof__(place) old_ = (place);                                \
        uint64_t failures_ = test->failures;                             \
        (place) = (__typeof__(place))(value);                            \
        EXPECT_TEXT(breach(f), "virtual allocator: " expected);          \
        EXPECT_STATUS(ps_virtual_validate(&f->arena, NULL), PS_CORRUPT); \
        (place) = old_;                                                  \
        EXPECT_TEXT(breach(f), "");                                      \
        if (test->failures != failures_)                                 \
            test_note(test, "in line %d", __LINE__);                     \
    } while (0)

static struct ps_arena_extent extent_of(struct virtual_fixture *f, uint64_t page)
{
    struct ps_arena_extent extent = {0};

    if (ps_arena_find(&f->arena.arena, virtual_page(f, page).addr / PAGE, &extent) != PS_OK)
        return (struct ps_arena_extent){0};
    return extent;
}

static struct ps_virtual_record *record_of(struct virtual_fixture *f, uint64_t page)
{
    return ps_virtual_record(&f->arena, extent_of(f, page).value);
}

static void expect_value_breach(struct test *test, struct virtual_fixture *f, uint64_t page,
                                uint64_t value, const char *expected)
{
    struct ps_arena_extent extent = extent_of(f, page);

    EXPECT(ps_arena_set_value(&f->arena.arena, extent.first, value));
    EXPECT_TEXT(breach(f), expected);
    EXPECT(ps_arena_set_value(&f->arena.arena, extent.first, extent.value));
    EXPECT_TEXT(breach(f), "");
}

/* ---- mappings ---- */

static ps_frame_t foreign_frame(struct test *test, struct virtual_fixture *f)
{
    ps_frame_t frame = ps_frame(0);

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    return frame;
}

VIRTUAL_CASE(validate_sees_foreign_and_missing_mappings, .guard = 1)
{
    uint64_t first = virtual_take(test, f, 4);
    struct ps_translation own = {0};
    ps_frame_t foreign = foreign_frame(test, f);
    ps_attr_t attr = ps_attr_ram(PS_READ);

    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, 100), &foreign, ps_pages(1), attr,
                                PS_EXISTING_ERROR));
    EXPECT_TEXT(breach(f), "virtual allocator: mapped, but not allocated");
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, 100), ps_pages(1), NULL));

    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, first + 1), &own));
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, first + 1), ps_pages(1), NULL));
    EXPECT_TEXT(breach(f), "virtual allocator: allocated, but not mapped");
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, first + 1), &foreign, ps_pages(1), attr,
                                PS_EXISTING_ERROR));
    EXPECT_TEXT(breach(f), "virtual allocator: mapped to a foreign frame");
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, first + 1), &own.frame, ps_pages(1),
                                attr, PS_EXISTING_UPGRADE));
    EXPECT_OK(ps_frame_pool_free(&f->pool, foreign, ps_pages(1)));
    EXPECT_TEXT(breach(f), "");
}

VIRTUAL_CASE(validate_sees_a_frame_that_is_free, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 1);
    struct ps_translation own = {0};

    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, page), &own));
    EXPECT_OK(ps_frame_pool_free(&f->pool, own.frame, ps_pages(1)));
    EXPECT_TEXT(breach(f), "virtual allocator: mapped to a foreign frame");
    EXPECT_OK(ps_frame_pool_claim(&f->pool, own.frame, ps_pages(1), PS_FRAME_VIRTUAL));
}

VIRTUAL_CASE(validate_does_not_mind_mappings_around_the_arena, .guard = 1)
{
    ps_attr_t attr = ps_attr_ram(PS_READ);
    ps_virt_t around[] = {ps_virt(0x1000), ps_virt(VIRTUAL_BASE - PAGE), virtual_page(f, 256),
                          ps_virt(0xfffffffffffff000u)};
    ps_frame_t foreign = foreign_frame(test, f);

    (void)virtual_take(test, f, 4);
    for (size_t i = 0; i < PS_ARRAY_SIZE(around); i++)
        EXPECT_OK(ps_page_table_map(&f->table, around[i], &foreign, ps_pages(1), attr,
                                    PS_EXISTING_ERROR));
    EXPECT_TEXT(breach(f), "");
    for (size_t i = 0; i < PS_ARRAY_SIZE(around); i++)
        EXPECT_OK(ps_page_table_unmap(&f->table, around[i], ps_pages(1), NULL));
    EXPECT_OK(ps_frame_pool_free(&f->pool, foreign, ps_pages(1)));
}

/* It begins a page below the arena. */
VIRTUAL_CASE(validate_sees_a_large_leaf_that_reaches_into_the_arena, .base = VIRTUAL_BASE + PAGE,
             .pages = 1024, .frames = 2048)
{
    ps_virt_t va = ps_virt(VIRTUAL_BASE);
    ps_frame_t large;

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &large));
    REQUIRE_OK(ps_page_table_map_run(&f->table, va, large, ps_pages(L), ps_attr_ram(PS_READ), 0));
    EXPECT_TEXT(breach(f), "virtual allocator: mapped, but not allocated");
    EXPECT_OK(ps_page_table_unmap(&f->table, va, ps_pages(L), NULL));
    EXPECT_OK(ps_frame_pool_free(&f->pool, large, ps_pages(L)));
}

/* ---- records ---- */

VIRTUAL_CASE(validate_sees_records_that_do_not_fit, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 3);
    struct ps_virtual_record *record = record_of(f, page);

    EXPECT_BREACH(record->sequence, 2, "sequence from the future");
    EXPECT_BREACH(record->sequence, 0, "not live, and nobody works on it");
    EXPECT_BREACH(record->parts, 0, "record of another allocation");
    EXPECT_BREACH(record->parts, 2, "wrong number of parts");
    EXPECT_BREACH(record->bytes, 0, "record of another allocation");
    EXPECT_BREACH(record->bytes, 2 * PAGE, "record of another allocation");
    EXPECT_BREACH(record->bytes, UINT64_MAX, "record of another allocation");
    EXPECT_BREACH(record->bytes, 3 * PAGE - 1, "wrong number of pages or bytes");
    EXPECT_BREACH(record->offset, PAGE, "record of another allocation");
    EXPECT_BREACH(record->first, record->first + 1, "record of another allocation");
    EXPECT_BREACH(record->first, record->first - 1, "record of another allocation");
    EXPECT_BREACH(record->first, record->first - 100, "record of another allocation");
}

VIRTUAL_CASE(validate_sees_values_that_name_no_record, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 3);
    uint64_t other = virtual_take(test, f, 3);
    uint64_t value = extent_of(f, page).value;
    uint64_t frame = value & ~(uint64_t)PS_PAGE_MASK;
    uint64_t end = PS_CELL_HEAD + (PAGE - PS_CELL_HEAD) / sizeof(struct ps_virtual_record) *
                                      sizeof(struct ps_virtual_record);

    expect_value_breach(test, f, page, 0, "virtual allocator: no record");
    expect_value_breach(test, f, page, frame + 8, "virtual allocator: no record");
    expect_value_breach(test, f, page, value + 8, "virtual allocator: no record");
    expect_value_breach(test, f, page, frame + end, "virtual allocator: no record");
    expect_value_breach(test, f, page, f->table.root.number * PAGE + PS_CELL_HEAD,
                        "virtual allocator: no record");
    expect_value_breach(test, f, page, ((uint64_t)1 << 60) + PS_CELL_HEAD,
                        "virtual allocator: no record");
    expect_value_breach(test, f, page, extent_of(f, other).value,
                        "virtual allocator: record of another allocation");
    expect_value_breach(test, f, page, value | PS_VIRTUAL_BUSY,
                        "virtual allocator: busy, and nobody works on it");
}

VIRTUAL_CASE(validate_sees_parts_that_are_too_few, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 9);

    virtual_free_part(test, f, page + 2, 2);
    virtual_free_part(test, f, page + 6, 1);
    EXPECT_EQ(record_of(f, page)->parts, 3);
    EXPECT_EQ(record_of(f, page + 8)->parts, 3);
    EXPECT_BREACH(record_of(f, page)->parts, 2, "wrong number of parts");
    EXPECT_BREACH(record_of(f, page)->parts, 4, "wrong number of parts");
    EXPECT_EQ(record_of(f, page)->seen, 0);
}

VIRTUAL_CASE(validate_sees_a_record_that_nobody_has, .guard = 1)
{
    uint64_t lost;

    (void)virtual_take(test, f, 3);
    lost = ps_cells_take(&f->arena.records);
    EXPECT_TEXT(breach(f), "virtual allocator: a record is lost");
    ps_cells_put(&f->arena.records, lost);
    EXPECT_TEXT(breach(f), "");
}

/* ---- totals ---- */

VIRTUAL_CASE(validate_sees_wrong_counters, .guard = 1)
{
    struct ps_virtual_counters *counters = &f->arena.counters;

    (void)virtual_take(test, f, 3);
    EXPECT_BREACH(counters->live, 2, "wrong counters");
    EXPECT_BREACH(counters->live, 0, "wrong counters");
    EXPECT_BREACH(counters->peak_pages, 2, "wrong counters");
    EXPECT_BREACH(counters->live_pages, 2, "wrong number of pages or bytes");
    EXPECT_BREACH(counters->live_bytes, 3 * PAGE + 1, "wrong number of pages or bytes");
    EXPECT_BREACH(counters->quarantined, 1, "quarantine in disorder");
}

VIRTUAL_CASE(validate_sees_a_quarantine_in_disorder, .guard = 1, .quarantine = 10)
{
    uint64_t pages[4];
    struct ps_virtual_allocator *a = &f->arena;

    for (unsigned i = 0; i < 4; i++)
        pages[i] = virtual_take(test, f, 2);
    for (unsigned i = 0; i < 3; i++)
        virtual_free(test, f, pages[i]);
    EXPECT_BREACH(a->oldest, 0, "quarantine in disorder");
    EXPECT_BREACH(a->oldest, a->oldest + 1, "quarantine in disorder");
    EXPECT_BREACH(a->oldest, a->youngest, "quarantine in disorder");
    EXPECT_BREACH(a->oldest, extent_of(f, pages[3]).first, "quarantine in disorder");
    EXPECT_BREACH(a->youngest, 0, "quarantine in disorder");
    EXPECT_BREACH(a->youngest, a->oldest, "quarantine in disorder");
    EXPECT_BREACH(a->counters.quarantined, 2, "quarantine in disorder");
    EXPECT_BREACH(a->counters.quarantined, 4, "quarantine in disorder");
    expect_value_breach(test, f, pages[0], a->oldest, "virtual allocator: quarantine in disorder");
    expect_value_breach(test, f, pages[2], a->oldest, "virtual allocator: quarantine in disorder");
}

VIRTUAL_CASE(validate_sees_what_is_retired_and_forgotten, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 2);
    struct ps_arena *arena = &f->arena.arena;
    uint64_t first = virtual_page(f, page + 10).addr / PAGE;
    struct ps_arena_request request = {.pages = 1};

    EXPECT_OK(ps_arena_alloc_at(arena, &request, first, false));
    EXPECT_OK(ps_arena_retire(arena, first, 1));
    EXPECT_TEXT(breach(f), "virtual allocator: retired, but not in quarantine");
    EXPECT_OK(ps_arena_release(arena, first));
    EXPECT_TEXT(breach(f), "");
}

VIRTUAL_CASE(validate_asks_the_arena_and_the_cells_themselves, .guard = 1)
{
    (void)virtual_take(test, f, 2);
    f->arena.arena.counters.live++;
    EXPECT(strncmp(breach(f), "address arena: ", 15) == 0);
    f->arena.arena.counters.live--;
    f->arena.records.spare++;
    EXPECT(strncmp(breach(f), "cells: ", 7) == 0);
    f->arena.records.spare--;
    EXPECT_TEXT(breach(f), "");
}

/* ---- while other calls are at work ---- */

struct middle {
    struct test *test;
    struct virtual_fixture *f;
    ps_virt_t va;
    uint64_t looks;
    uint64_t busy;
    uint64_t alone; /* nothing was live, and yet a call at work */
};

/* Between any two accesses to an entry: whatever another processor may see. */
static void look_in_the_middle(void *context, bool stored)
{
    struct middle *middle = context;
    struct test *test = middle->test;
    struct ps_virtual_info info;

    if (!stored || !ps_lock_try(&middle->f->arena.lock))
        return;
    ps_lock_release(&middle->f->arena.lock);
    sim_between.step = NULL;
    middle->looks++;
    EXPECT_TEXT(breach(middle->f), "");
    if (ps_virtual_free(&middle->f->arena, middle->va) == PS_BAD_STATE) {
        middle->busy++;
        EXPECT_EQ(middle->f->arena.misuse.what, PS_MISUSE_BUSY);
        EXPECT_OK(ps_virtual_find(&middle->f->arena, middle->va, &info));
    }
    EXPECT_STATUS(ps_virtual_free_all(&middle->f->arena), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_destroy(&middle->f->arena, NULL), PS_BAD_STATE);
    middle->alone += middle->f->arena.counters.live == 0;
    sim_between = (struct sim_between){look_in_the_middle, middle};
}

static void watch(struct middle *middle, ps_virt_t va)
{
    middle->va = va;
    sim_between = (struct sim_between){look_in_the_middle, middle};
}

static ps_virt_t resize_watched(struct test *test, struct middle *middle, ps_virt_t va,
                                uint64_t bytes)
{
    ps_virt_t now = va;

    watch(middle, va);
    EXPECT_OK(ps_virtual_resize(&middle->f->arena, va, bytes, PS_VIRTUAL_MAY_MOVE, &now));
    sim_between.step = NULL;
    EXPECT(middle->busy > 0);
    middle->busy = 0;
    return now;
}

VIRTUAL_CASE(validate_does_not_mind_calls_at_work, .guard = 1, .quarantine = 1)
{
    struct middle middle = {.test = test, .f = f};
    struct ps_virtual_request request = {.pages = ps_pages(20)};
    ps_virt_t a = virtual_page(f, virtual_take(test, f, 20));
    ps_virt_t b = ps_virt(0);

    b = ps_virt_add_pages(a, ps_pages(21));
    EXPECT_EQ(virtual_take(test, f, 1), 22);
    EXPECT_EQ(resize_watched(test, &middle, b, 9 * PAGE).addr, b.addr); /* in place */
    virtual_free_part(test, f, 10, 3);
    virtual_free_part(test, f, 13, 1); /* and the three before it leave quarantine */
    EXPECT_EQ(resize_watched(test, &middle, a, 10 * PAGE).addr, a.addr);
    EXPECT(resize_watched(test, &middle, a, 30 * PAGE).addr != a.addr);
    watch(&middle, a);
    EXPECT_OK(ps_virtual_alloc(&f->arena, &request, &b));
    sim_between.step = NULL;
    watch(&middle, b);
    EXPECT_OK(ps_virtual_free_part(&f->arena, ps_virt_add(b, 2 * PAGE), ps_pages(3)));
    sim_between.step = NULL;
    EXPECT(middle.looks > 60);
}

VIRTUAL_CASE(an_allocator_with_a_first_call_at_work_is_not_destroyed)
{
    struct middle middle = {.test = test, .f = f};

    watch(&middle, virtual_page(f, 0));
    EXPECT_EQ(virtual_take(test, f, 3), 0);
    sim_between.step = NULL;
    EXPECT(middle.alone > 0);
}

static const struct test_case cases[] = {
    TEST_CASE(validate_sees_foreign_and_missing_mappings),
    TEST_CASE(validate_sees_a_frame_that_is_free),
    TEST_CASE(validate_does_not_mind_mappings_around_the_arena),
    TEST_CASE(validate_sees_a_large_leaf_that_reaches_into_the_arena),
    TEST_CASE(validate_sees_records_that_do_not_fit),
    TEST_CASE(validate_sees_values_that_name_no_record),
    TEST_CASE(validate_sees_parts_that_are_too_few),
    TEST_CASE(validate_sees_a_record_that_nobody_has),
    TEST_CASE(validate_sees_wrong_counters),
    TEST_CASE(validate_sees_a_quarantine_in_disorder),
    TEST_CASE(validate_sees_what_is_retired_and_forgotten),
    TEST_CASE(validate_asks_the_arena_and_the_cells_themselves),
    TEST_CASE(validate_does_not_mind_calls_at_work),
    TEST_CASE(an_allocator_with_a_first_call_at_work_is_not_destroyed),
};

const struct test_suite suite_virtual_check = TEST_SUITE("virtual_check", cases);
