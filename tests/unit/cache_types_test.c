#include <pagestage/cache_types.h>

#include <string.h>

#include "harness/test.h"
#include "machine/machine.h"
#include "unit_suites.h"

/*
 * Cache types by themselves: which frame has which type, and for how long. RAM lies at both ends
 * of what there can be, and in between; the pool's own is the largest stretch of it.
 */

enum { POOL_FIRST = 256, POOL_FRAMES = 512, SEVERAL = 600 };
#define TOP (((uint64_t)1 << 40) - 1) /* the last frame of 52 bits */
#define WB  PS_CACHE_WRITE_BACK
#define WT  PS_CACHE_WRITE_THROUGH
#define UC  PS_CACHE_UNCACHED
#define WC  PS_CACHE_WRITE_COMBINING

struct types_fixture {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_memory_map map;
    struct ps_cache_types types;
};

/* RAM: 0-9, 20-39 of two kinds, the pool, and the last ten frames. */
static struct ps_memory_range ranges[] = {
    {{0}, {10}, PS_MEMORY_USABLE},     {{12}, {3}, PS_MEMORY_RESERVED},
    {{20}, {10}, PS_MEMORY_USABLE},    {{30}, {10}, PS_MEMORY_ACPI_RECLAIM},
    {{40}, {5}, PS_MEMORY_ACPI_NVS},   {{POOL_FIRST}, {POOL_FRAMES}, PS_MEMORY_USABLE},
    {{TOP - 19}, {5}, PS_MEMORY_MMIO}, {{TOP - 9}, {10}, PS_MEMORY_LOADER},
};

static bool open_fixture(struct test *test, struct types_fixture *f)
{
    struct sim_range ram = SIM_RAM(POOL_FIRST, POOL_FRAMES);

    memset(f, 0, sizeof(*f));
    f->sim = sim_machine_create(&ram, 1, 0);
    f->map.ranges = ranges;
    f->map.count = f->map.capacity = PS_ARRAY_SIZE(ranges);
    return EXPECT(f->sim != NULL) &&
           EXPECT_OK(ps_frame_pool_init(&f->pool, &f->sim->machine, &f->sim->map)) &&
           EXPECT_OK(ps_cache_types_init(&f->types, &f->pool, &f->map));
}

/* Afterwards the types are valid, forgotten, and have given back all their memory. */
static void types_with(struct test *test, void (*body)(struct test *test, struct types_fixture *f))
{
    struct types_fixture f;

    if (open_fixture(test, &f)) {
        body(test, &f);
        EXPECT_OK(ps_cache_types_validate(&f.types, NULL));
        EXPECT_OK(ps_cache_types_destroy(&f.types));
        EXPECT_EQ(ps_frame_pool_in_use(&f.pool), 0);
    }
    sim_machine_destroy(f.sim);
}

#define TYPES_CASE(name)                                               \
    static void name##_in(struct test *test, struct types_fixture *f); \
    static void name(struct test *test)                                \
    {                                                                  \
        types_with(test, name##_in);                                   \
    }                                                                  \
    static void name##_in(struct test *test, struct types_fixture *f)

/* What a page table does to map and to unmap. */
static ps_status map(struct types_fixture *f, uint64_t first, uint64_t pages, enum ps_cache cache)
{
    uint64_t inserts = 0;
    ps_status status;

    ps_cache_types_begin(&f->types);
    status = ps_cache_types_check(&f->types, ps_frame(first), ps_pages(pages), cache, &inserts);
    if (status == PS_OK)
        status = ps_cache_types_reserve(&f->types, inserts);
    if (status == PS_OK)
        ps_cache_types_add(&f->types, ps_frame(first), ps_pages(pages), cache);
    ps_cache_types_end(&f->types);
    return status;
}

static void unmap(struct types_fixture *f, uint64_t first, uint64_t pages)
{
    ps_cache_types_begin(&f->types);
    ps_cache_types_remove(&f->types, ps_frame(first), ps_pages(pages));
    ps_cache_types_end(&f->types);
}

static bool has(struct types_fixture *f, uint64_t first, uint64_t pages, enum ps_cache cache)
{
    return ps_cache_types_has(&f->types, ps_frame(first), ps_pages(pages), cache);
}

/* "10-14 UC 5, 16-19 WC 4": ranges, and how many pages of them are mapped. */
static bool print_range(void *context, const struct ps_range *range)
{
    struct ps_text_buffer *buffer = ((const struct ps_sink *)context)->context;
    struct ps_attr_text text = ps_attr_text(ps_attr(PS_READ, (enum ps_cache)(range->value & 7)));

    ps_print(context, "%s%" PS_PRIu "-%" PS_PRIu " %s %" PS_PRIu, buffer->length != 0 ? ", " : "",
             range->first, range->last, text.cache, range->value >> 3);
    return true;
}

static const char *text_of(struct types_fixture *f)
{
    static char text[512];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    (void)ps_range_tree_for_each(&f->types.ranges, 0, UINT64_MAX, print_range, &sink);
    return text;
}

#define EXPECT_TYPES(expected) EXPECT_TEXT(text_of(f), expected)

/* ---- what is mapped how ---- */

TYPES_CASE(ram_is_write_back_only)
{
    static const uint64_t ram[] = {0, 9, 20, 29, 30, 39, 256, 767, TOP - 9, TOP};

    for (size_t i = 0; i < PS_ARRAY_SIZE(ram); i++) {
        for (unsigned cache = 1; cache < PS_CACHE_COUNT; cache++)
            EXPECT_STATUS(map(f, ram[i], 1, (enum ps_cache)cache), PS_ACCESS_DENIED);
        EXPECT_OK(map(f, ram[i], 1, WB));
        EXPECT(has(f, ram[i], 1, WB) && !has(f, ram[i], 1, UC));
    }
    EXPECT_STATUS(map(f, 29, 2, UC), PS_ACCESS_DENIED);
    EXPECT_OK(map(f, 20, 20, WB));
    /* Nobody need know: it is not counted. */
    EXPECT_TYPES("");
    EXPECT_EQ(f->types.ranges.frames, 0);
}

TYPES_CASE(the_first_mapping_fixes_the_type)
{
    EXPECT_OK(map(f, 100, 10, UC));
    EXPECT_TYPES("100-109 UC 10");
    for (unsigned cache = 0; cache < PS_CACHE_COUNT; cache++)
        if (cache != UC)
            EXPECT_STATUS(map(f, 109, 1, (enum ps_cache)cache), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 50, 51, WC), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 109, 20, WB), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 50, 100, WT), PS_ACCESS_DENIED);
    EXPECT_TYPES("100-109 UC 10");
    EXPECT_OK(map(f, 99, 1, WC));
    EXPECT_OK(map(f, 110, 1, WB));
    EXPECT_TYPES("99-99 WC 1, 100-109 UC 10, 110-110 WB 1");
    unmap(f, 99, 1);
    unmap(f, 100, 10);
    unmap(f, 110, 1);
    EXPECT_TYPES("");
}

TYPES_CASE(the_same_type_counts)
{
    EXPECT_OK(map(f, 100, 10, WC));
    EXPECT_OK(map(f, 100, 10, WC));
    EXPECT_OK(map(f, 103, 1, WC));
    EXPECT_TYPES("100-109 WC 21");
    unmap(f, 103, 1);
    unmap(f, 100, 10);
    EXPECT_TYPES("100-109 WC 10");
    EXPECT_STATUS(map(f, 105, 1, UC), PS_ACCESS_DENIED);
    unmap(f, 100, 10);
    EXPECT_OK(map(f, 105, 1, UC));
    unmap(f, 105, 1);
}

TYPES_CASE(ranges_that_overlap_become_one)
{
    EXPECT_OK(map(f, 100, 10, UC));
    EXPECT_OK(map(f, 120, 10, UC));
    EXPECT_OK(map(f, 130, 10, UC));
    EXPECT_TYPES("100-109 UC 10, 120-129 UC 10, 130-139 UC 10");
    EXPECT_OK(map(f, 109, 12, UC));
    EXPECT_TYPES("100-129 UC 32, 130-139 UC 10");
    EXPECT_OK(map(f, 90, 60, UC));
    EXPECT_TYPES("90-149 UC 102");
    unmap(f, 90, 60);
    unmap(f, 130, 10);
    unmap(f, 120, 10);
    unmap(f, 100, 10);
    EXPECT_TYPES("90-149 UC 12");
    unmap(f, 109, 12);
}

/* A part keeps the type as long as anything of the range is mapped. */
TYPES_CASE(a_range_is_forgotten_with_its_last_page)
{
    EXPECT_OK(map(f, 100, 10, UC));
    for (uint64_t frame = 100; frame < 109; frame++) {
        unmap(f, frame, 1);
        EXPECT_STATUS(map(f, frame, 1, WC), PS_ACCESS_DENIED);
    }
    EXPECT_TYPES("100-109 UC 1");
    unmap(f, 109, 1);
    EXPECT_TYPES("");
    EXPECT_EQ(f->types.ranges.frames, 0);
    EXPECT_OK(map(f, 105, 10, WC));
    unmap(f, 105, 10);
}

/* As a large leaf that was made of small ones: each range gives up what it has of it. */
TYPES_CASE(one_call_takes_back_what_several_added)
{
    EXPECT_OK(map(f, 100, 10, UC));
    EXPECT_OK(map(f, 110, 10, UC));
    EXPECT_OK(map(f, 110, 10, UC));
    EXPECT_OK(map(f, 120, 10, UC));
    unmap(f, 105, 20);
    EXPECT_TYPES("100-109 UC 5, 110-119 UC 10, 120-129 UC 5");
    unmap(f, 100, 5);
    EXPECT_TYPES("110-119 UC 10, 120-129 UC 5");
    unmap(f, 110, 20);
    EXPECT_TYPES("");
}

/* What was never added is no reason to count below zero. */
TYPES_CASE(removing_more_than_there_is_ends_with_nothing)
{
    EXPECT_OK(map(f, 100, 10, UC));
    unmap(f, 110, 5);
    EXPECT_TYPES("100-109 UC 10");
    unmap(f, 100, 10);
    unmap(f, 100, 10);
    EXPECT_TYPES("");
}

/* ---- RAM in a run ---- */

TYPES_CASE(parts_that_are_ram_are_left_out)
{
    EXPECT_OK(map(f, 0, 60, WB));
    EXPECT_TYPES("10-19 WB 10, 40-59 WB 20");
    EXPECT_OK(map(f, 35, 10, WB));
    EXPECT_TYPES("10-19 WB 10, 40-59 WB 25");
    EXPECT_OK(map(f, 15, 10, WB));
    EXPECT_TYPES("10-19 WB 15, 40-59 WB 25");
    EXPECT(has(f, 0, 60, WB) && !has(f, 0, 61, WB) && has(f, 20, 20, WB));
    EXPECT_STATUS(map(f, 40, 1, UC), PS_ACCESS_DENIED);
    unmap(f, 15, 10);
    unmap(f, 35, 10);
    unmap(f, 0, 60);
    EXPECT_TYPES("");
}

TYPES_CASE(one_frame_of_ram_refuses_a_run)
{
    EXPECT_STATUS(map(f, 9, 5, UC), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 10, 11, UC), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 50, POOL_FIRST - 49, UC), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, TOP - 20, 12, UC), PS_ACCESS_DENIED);
    EXPECT_OK(map(f, 10, 10, UC));
    EXPECT_OK(map(f, 50, POOL_FIRST - 50, UC));
    EXPECT_OK(map(f, TOP - 20, 11, UC));
    EXPECT(has(f, 10, 10, UC) && !has(f, 10, 11, UC) && !has(f, 9, 11, UC) && !has(f, 10, 10, WC));
    /* In a write-back run the parts that are not RAM have a type as well. */
    EXPECT_STATUS(map(f, 0, 11, WB), PS_ACCESS_DENIED);
    unmap(f, 10, 10);
    unmap(f, 50, POOL_FIRST - 50);
    unmap(f, TOP - 20, 11);
}

TYPES_CASE(the_last_frames_of_52_bits_are_like_all_others)
{
    EXPECT_OK(map(f, TOP - 29, 30, WB));
    EXPECT_EQ(f->types.ranges.count, 1);
    EXPECT(has(f, TOP - 29, 30, WB));
    unmap(f, TOP - 29, 30);
    f->map.count--; /* nothing but a device up there */
    EXPECT_OK(map(f, TOP - 9, 10, UC));
    EXPECT_STATUS(map(f, TOP, 1, WC), PS_ACCESS_DENIED);
    EXPECT(has(f, TOP, 1, UC) && !has(f, TOP - 10, 11, UC));
    unmap(f, TOP - 9, 10);
    f->map.count++;
}

TYPES_CASE(everything_may_be_one_run)
{
    EXPECT_OK(map(f, 0, TOP + 1, WB));
    EXPECT_EQ(f->types.ranges.count, 3);
    EXPECT_STATUS(map(f, 0, TOP + 1, UC), PS_ACCESS_DENIED);
    EXPECT(has(f, 0, TOP + 1, WB));
    unmap(f, 0, TOP + 1);
}

static void nothing_is_ram_without_a_map(struct test *test)
{
    struct types_fixture fixture;
    struct types_fixture *f = &fixture;
    struct ps_memory_map none = {.ranges = ranges};

    if (open_fixture(test, f)) {
        EXPECT_OK(ps_cache_types_destroy(&f->types));
        EXPECT_OK(ps_cache_types_init(&f->types, &f->pool, &none));
        for (uint64_t frame = 0; frame < 3; frame++)
            EXPECT(!ps_cache_types_is_ram(&f->types, ps_frame(frame), ps_pages(1)));
        EXPECT(!ps_cache_types_is_ram(&f->types, ps_frame(0), ps_pages(3)));
        EXPECT_OK(map(f, 0, TOP + 1, UC));
        EXPECT_EQ(f->types.ranges.count, 1);
        EXPECT(has(f, 0, TOP + 1, UC));
        EXPECT_STATUS(map(f, 300, 1, WB), PS_ACCESS_DENIED);
        unmap(f, 0, TOP + 1);
        EXPECT_OK(ps_cache_types_destroy(&f->types));
    }
    sim_machine_destroy(f->sim);
}

TYPES_CASE(is_ram_knows_every_stretch)
{
    EXPECT_EQ(f->types.ram_first.number, POOL_FIRST);
    EXPECT_EQ(f->types.ram_last.number, POOL_FIRST + POOL_FRAMES - 1);
    EXPECT(ps_cache_types_is_ram(&f->types, ps_frame(256), ps_pages(512)));
    EXPECT(!ps_cache_types_is_ram(&f->types, ps_frame(256), ps_pages(513)));
    EXPECT(!ps_cache_types_is_ram(&f->types, ps_frame(255), ps_pages(2)));
    EXPECT(ps_cache_types_is_ram(&f->types, ps_frame(767), ps_pages(1)));
    EXPECT(!ps_cache_types_is_ram(&f->types, ps_frame(768), ps_pages(1)));
    EXPECT(ps_cache_types_is_ram(&f->types, ps_frame(0), ps_pages(10)));
    EXPECT(ps_cache_types_is_ram(&f->types, ps_frame(25), ps_pages(15)));
    EXPECT(!ps_cache_types_is_ram(&f->types, ps_frame(25), ps_pages(16)));
    EXPECT(ps_cache_types_is_ram(&f->types, ps_frame(TOP), ps_pages(1)));
}

/* ---- memory ---- */

static ps_status map_write_back_everywhere(struct types_fixture *f)
{
    return map(f, 0, TOP + 1, WB);
}

TYPES_CASE(a_failed_reservation_changes_nothing)
{
    uint64_t failures = 0;

    for (uint64_t frame = 1000; frame < 1000 + 2 * SEVERAL; frame += 2)
        EXPECT_OK(map(f, frame, 1, WB));
    for (;; failures++) {
        struct ps_range_tree_snapshot before;
        struct ps_range_tree_snapshot after;
        uint64_t in_use = ps_frame_pool_in_use(&f->pool);
        uint64_t inserts = 0;
        ps_status status;

        ps_range_tree_snapshot(&f->types.ranges, &before);
        ps_frame_pool_fail_after(&f->pool, failures, true);
        ps_cache_types_begin(&f->types);
        EXPECT_OK(ps_cache_types_check(&f->types, ps_frame(0), ps_pages(1000), WB, &inserts));
        EXPECT_EQ(inserts, 3);
        status = ps_cache_types_reserve(&f->types, 100 * inserts);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        ps_cache_types_end(&f->types);
        ps_range_tree_snapshot(&f->types.ranges, &after);
        EXPECT_EQ(after.reserved, 0);
        EXPECT_EQ(after.count, SEVERAL);
        EXPECT_EQ(after.nodes, before.nodes);
        if (status == PS_OK || !EXPECT_STATUS(status, PS_NO_MEMORY))
            break;
        EXPECT_EQ(ps_frame_pool_in_use(&f->pool), in_use);
    }
    EXPECT(failures > 5);
    EXPECT_OK(map_write_back_everywhere(f));
    unmap(f, 0, TOP + 1);
    for (uint64_t frame = 1000; frame < 1000 + 2 * SEVERAL; frame += 2)
        unmap(f, frame, 1);
}

/* The promise of reserve: as many parts as check counted, though there is no frame left. */
TYPES_CASE(what_was_reserved_is_added_without_memory)
{
    for (uint64_t n = 0; n < SEVERAL; n++) {
        uint64_t inserts = 0;

        ps_cache_types_begin(&f->types);
        EXPECT_OK(
            ps_cache_types_check(&f->types, ps_frame(1000 + 2 * n), ps_pages(1), WC, &inserts));
        EXPECT_OK(ps_cache_types_reserve(&f->types, inserts));
        ps_frame_pool_fail_after(&f->pool, 0, true);
        ps_cache_types_add(&f->types, ps_frame(1000 + 2 * n), ps_pages(1), WC);
        ps_cache_types_end(&f->types);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        EXPECT(has(f, 1000 + 2 * n, 1, WC));
    }
    EXPECT_EQ(f->types.ranges.count, SEVERAL);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (uint64_t n = 0; n < SEVERAL; n++)
        unmap(f, 1000 + 2 * n, 1);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_TYPES("");
}

/* ---- locking ---- */

static void release_it(void *context)
{
    struct types_fixture *f = context;

    f->sim->machine.answer = NULL;
    ps_lock_release(&f->types.lock);
}

/* Its holder may be in the middle of a round, and wait for this very processor. */
TYPES_CASE(who_waits_for_the_lock_answers_rounds)
{
    f->sim->machine.processors = 2;
    f->sim->machine.answer = release_it;
    f->sim->machine.answer_context = f;
    ps_cache_types_begin(&f->types);
    ps_cache_types_begin(&f->types); /* as another processor: it would wait for ever */
    EXPECT(f->sim->machine.answer == NULL);
    ps_cache_types_end(&f->types);
    f->sim->machine.processors = 1;
}

/* ---- asking ---- */

TYPES_CASE(query_tells_of_the_range)
{
    struct ps_cache_range range = {.mapped = 99};

    EXPECT_OK(map(f, 100, 10, WT));
    EXPECT_OK(map(f, 105, 10, WT));
    EXPECT_STATUS(ps_cache_types_query(&f->types, ps_frame(99), &range), PS_NOT_FOUND);
    EXPECT_STATUS(ps_cache_types_query(&f->types, ps_frame(115), &range), PS_NOT_FOUND);
    EXPECT_STATUS(ps_cache_types_query(&f->types, ps_frame(300), &range), PS_NOT_FOUND);
    EXPECT_STATUS(ps_cache_types_query(NULL, ps_frame(100), &range), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cache_types_query(&f->types, ps_frame(100), NULL), PS_INVALID_ARGS);
    EXPECT_EQ(range.mapped, 99);
    EXPECT_OK(ps_cache_types_query(&f->types, ps_frame(114), &range));
    EXPECT_EQ(range.first.number, 100);
    EXPECT_EQ(range.last.number, 114);
    EXPECT_EQ(range.cache, WT);
    EXPECT_EQ(range.mapped, 20);
    unmap(f, 105, 10);
    unmap(f, 100, 10);
}

TYPES_CASE(the_dump_has_a_line_a_range)
{
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(map(f, 0xa0, 16, WC));
    EXPECT_OK(map(f, 0xfc, 4, WB));
    EXPECT_OK(map(f, 0xa0, 1, WC));
    ps_cache_types_dump(&f->types, &sink);
    EXPECT_TEXT(text, "frames 0xa0-0xaf WC, 17 pages mapped\n"
                      "frames 0xfc-0xff WB, 4 pages mapped\n");
    unmap(f, 0xa0, 16);
    unmap(f, 0xa0, 1);
    unmap(f, 0xfc, 4);
    buffer.length = 0;
    ps_cache_types_dump(&f->types, &sink);
    ps_cache_types_dump(NULL, &sink);
    ps_cache_types_dump(&(struct ps_cache_types){0}, &sink);
    EXPECT_EQ(buffer.length, 0);
}

static void expect_breach(struct test *test, struct types_fixture *f, const struct ps_range *range,
                          const char *line)
{
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(ps_range_tree_insert(&f->types.ranges, range));
    EXPECT_STATUS(ps_cache_types_validate(&f->types, &sink), PS_CORRUPT);
    EXPECT_TEXT(text, line);
    EXPECT(ps_range_tree_erase(&f->types.ranges, range->first, NULL));
    EXPECT_OK(ps_cache_types_validate(&f->types, NULL));
}

TYPES_CASE(validate_finds_what_cannot_be)
{
    EXPECT_OK(map(f, 100, 10, UC));
    expect_breach(test, f, &(struct ps_range){50, 59, UC},
                  "cache types: a range has no mapped pages: frame 0x32\n");
    expect_breach(test, f, &(struct ps_range){110, 111, 2 << 3 | PS_CACHE_COUNT},
                  "cache types: a range has no type that there is: frame 0x6e\n");
    expect_breach(test, f, &(struct ps_range){9, 12, 3 << 3},
                  "cache types: a range has RAM in it: frame 0x9\n");
    expect_breach(test, f, &(struct ps_range){15, 20, 3 << 3},
                  "cache types: a range has RAM in it: frame 0xf\n");
    expect_breach(test, f, &(struct ps_range){300, 301, 2 << 3},
                  "cache types: a range has RAM in it: frame 0x12c\n");
    unmap(f, 100, 10);
}

TYPES_CASE(validate_looks_at_the_tree)
{
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(map(f, 100, 10, UC));
    f->types.ranges.count++;
    EXPECT_STATUS(ps_cache_types_validate(&f->types, &sink), PS_CORRUPT);
    EXPECT(strncmp(text, "range tree: ", 12) == 0);
    f->types.ranges.count--;
    unmap(f, 100, 10);
}

/* ---- init and destroy ---- */

TYPES_CASE(init_says_what_is_wrong)
{
    struct ps_cache_types types = {0};
    struct ps_frame_pool pool = {0};

    EXPECT_STATUS(ps_cache_types_init(NULL, &f->pool, &f->map), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cache_types_init(&types, NULL, &f->map), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cache_types_init(&types, &f->pool, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cache_types_init(&types, &pool, &f->map), PS_BAD_STATE);
    EXPECT_STATUS(ps_cache_types_init(&f->types, &f->pool, &f->map), PS_BAD_STATE);
    types.ranges = f->types.ranges; /* not zero-filled */
    EXPECT_STATUS(ps_cache_types_init(&types, &f->pool, &f->map), PS_BAD_STATE);
    EXPECT(types.map == NULL);
}

TYPES_CASE(destroy_waits_for_the_last_page)
{
    struct ps_cache_types zero = {0};
    struct ps_cache_types types = {0};

    EXPECT_STATUS(ps_cache_types_destroy(NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cache_types_destroy(&types), PS_BAD_STATE);
    EXPECT_STATUS(ps_cache_types_validate(NULL, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cache_types_validate(&types, NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_cache_types_query(&types, ps_frame(1), &(struct ps_cache_range){0}),
                  PS_BAD_STATE);
    EXPECT_OK(ps_cache_types_init(&types, &f->pool, &f->map));
    EXPECT_OK(map(f, 100, 1, UC));
    EXPECT_STATUS(ps_cache_types_destroy(&f->types), PS_BAD_STATE);
    EXPECT_TYPES("100-100 UC 1");
    unmap(f, 100, 1);
    EXPECT_OK(ps_cache_types_destroy(&types));
    EXPECT(memcmp(&types, &zero, sizeof(types)) == 0);
}

/* A list whose frames jump from one stretch to another, and one with a single stranger. */
TYPES_CASE(a_list_is_ram_when_each_of_its_frames_is)
{
    const uint64_t numbers[] = {POOL_FIRST, 5, POOL_FIRST + 1, 29, 30, 39, 20, TOP, 9, TOP - 9, 0};
    const uint64_t strangers[] = {10, 12, 19, 40, TOP - 10, TOP - 19, POOL_FIRST - 1};
    ps_frame_t frames[PS_ARRAY_SIZE(numbers)];

    for (size_t i = 0; i < PS_ARRAY_SIZE(numbers); i++)
        frames[i] = ps_frame(numbers[i]);
    EXPECT(ps_cache_types_are_ram(&f->types, frames, 0));
    EXPECT(ps_cache_types_are_ram(&f->types, frames, PS_ARRAY_SIZE(numbers)));
    for (size_t place = 0; place < PS_ARRAY_SIZE(numbers); place++)
        for (size_t i = 0; i < PS_ARRAY_SIZE(strangers); i++) {
            frames[place] = ps_frame(strangers[i]);
            EXPECT(!ps_cache_types_are_ram(&f->types, frames, PS_ARRAY_SIZE(numbers)));
            EXPECT(ps_cache_types_are_ram(&f->types, frames, place));
            frames[place] = ps_frame(numbers[place]);
        }
}

static const struct test_case cases[] = {
    TEST_CASE(ram_is_write_back_only),
    TEST_CASE(the_first_mapping_fixes_the_type),
    TEST_CASE(the_same_type_counts),
    TEST_CASE(ranges_that_overlap_become_one),
    TEST_CASE(a_range_is_forgotten_with_its_last_page),
    TEST_CASE(one_call_takes_back_what_several_added),
    TEST_CASE(removing_more_than_there_is_ends_with_nothing),
    TEST_CASE(parts_that_are_ram_are_left_out),
    TEST_CASE(one_frame_of_ram_refuses_a_run),
    TEST_CASE(the_last_frames_of_52_bits_are_like_all_others),
    TEST_CASE(everything_may_be_one_run),
    TEST_CASE(nothing_is_ram_without_a_map),
    TEST_CASE(is_ram_knows_every_stretch),
    TEST_CASE(a_failed_reservation_changes_nothing),
    TEST_CASE(what_was_reserved_is_added_without_memory),
    TEST_CASE(who_waits_for_the_lock_answers_rounds),
    TEST_CASE(query_tells_of_the_range),
    TEST_CASE(the_dump_has_a_line_a_range),
    TEST_CASE(validate_finds_what_cannot_be),
    TEST_CASE(validate_looks_at_the_tree),
    TEST_CASE(init_says_what_is_wrong),
    TEST_CASE(destroy_waits_for_the_last_page),
    TEST_CASE(a_list_is_ram_when_each_of_its_frames_is),
};

const struct test_suite suite_cache_types = TEST_SUITE("cache_types", cases);
