/* E820 in and out, UEFI out, validation and dump. */
#include "memory_map_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "unit_suites.h"

/* ---- E820 in ---- */

static void every_e820_type_has_its_meaning(struct test *test)
{
    static const struct ps_e820_entry entries[] = {{0x1000, 0x1000, 1, 0},
                                                   {0x200000, 0x1000, 1, 0},
                                                   {0x201000, 0x1000, 2, 0},
                                                   {0x202000, 0x1000, 3, 0},
                                                   {0x203000, 0x1000, 4, 0},
                                                   {0x204000, 0x1000, 5, 0},
                                                   {0x205000, 0x1000, 6, 0},
                                                   {0x206000, 0x1000, 7, 0},
                                                   {0x207000, 0x1000, 12, 0},
                                                   {0x208000, 0x1000, 0, 0},
                                                   {0x209000, 0x1000, 0xefffffff, 0},
                                                   {0x20a000, 0x1000, 13, 0},
                                                   {0x20b000, 0x1000, 0xf0000000, 0},
                                                   {0x20c000, 0x1000, UINT32_MAX, 0}};
    struct ps_memory_map map;

    REQUIRE(map_build_e820(test, &map, entries, PS_ARRAY_SIZE(entries), false));
    EXPECT_TEXT(map_text(&map),
                "0+1 null, 1+1 low, 512+1 usable, 513+1 reserved, 514+1 acpi-reclaim, "
                "515+1 acpi-nvs, 516+1 bad, 517+1 reserved, 518+2 persistent, 520+1 reserved, "
                "521+1 soft-reserved, 522+3 reserved");
    EXPECT_EQ(map.oddities.entries, 14);
    EXPECT_EQ(map.oddities.unknown_type, 3);
    EXPECT_EQ(map.oddities.oem_type, 2);
    map_free(&map);
}

static void e820_entries_switched_off_are_ignored_where_extended(struct test *test)
{
    static const struct ps_e820_entry entries[] = {
        {0x200000, 0x1000, 1, 1}, {0x201000, 0x1000, 1, 0xfffffffe}, {0x202000, 0x1000, 1, 3}};
    struct ps_memory_map map;

    REQUIRE(map_build_e820(test, &map, entries, 3, true));
    EXPECT_TEXT(map_text(&map), "0+1 null, 512+1 usable, 514+1 usable");
    EXPECT_EQ(map.oddities.entries, 3);
    map_free(&map);
    REQUIRE(map_build_e820(test, &map, entries, 3, false));
    EXPECT_TEXT(map_text(&map), "0+1 null, 512+3 usable");
    map_free(&map);
}

static void e820_bytes_are_rounded_to_pages(struct test *test)
{
    static const struct ps_e820_entry entries[] = {
        {0, 0x9fc00, 1, 0},      {0x9fc00, 0x400, 2, 0},  {0x100000, 0x7ef0123, 1, 0},
        {0x7ff0123, 0x10, 3, 0}, {0x8000fff, 1, 4, 0},    {0x8100001, 0xffe, 1, 0},
        {0x8200fff, 2, 2, 0},    {0x8300000, 0xfff, 1, 0}};
    struct ps_memory_map map;

    REQUIRE(map_build_e820(test, &map, entries, PS_ARRAY_SIZE(entries), false));
    EXPECT_TEXT(map_text(&map), "0+1 null, 1+158 low, 159+1 reserved, 256+32496 usable, "
                                "32752+1 acpi-reclaim, 32768+1 acpi-nvs, 33280+2 reserved");
    EXPECT_EQ(map.oddities.unaligned, 8);
    EXPECT_EQ(map.oddities.overlapping, 0);
    map_free(&map);
}

static void odd_e820_lengths_are_survived(struct test *test)
{
    static const struct ps_e820_entry entries[] = {
        {0x200000, 0, 5, 0},
        {UINT64_MAX, 1, 2, 0},
        {UINT64_MAX - 0xfff, UINT64_MAX, 1, 0},
        {0x100000, 0x100000, 1, 0},
    };
    struct ps_memory_map map;

    REQUIRE(map_build_e820(test, &map, entries, 4, false));
    EXPECT_TEXT(map_text(&map), "0+1 null, 256+256 usable, 4503599627370495+1 reserved");
    EXPECT_EQ(map.oddities.zero_length, 1);
    EXPECT_EQ(map.oddities.wrapping, 1);
    EXPECT_EQ(map.oddities.unsorted, 2);
    EXPECT_EQ(map.oddities.overlapping, 1);
    map_free(&map);
    REQUIRE(map_build_e820(test, &map, entries, 0, false));
    EXPECT_TEXT(map_text(&map), "0+1 null");
    map_free(&map);
}

/* ---- E820 out ---- */

static const char *e820_text(const struct ps_e820_entry *entries, size_t count)
{
    static char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    for (size_t i = 0; i < count; i++)
        ps_print(&sink, "%s%" PS_PRIx "+%" PS_PRIx " %u", i == 0 ? "" : ", ", entries[i].base,
                 entries[i].length, entries[i].type);
    return text;
}

/* A page of every type; types that may merge lie side by side. */
static bool build_every_type(struct test *test, struct ps_memory_map *map)
{
    static const struct map_entry base[] = {{7, MAP_FRAME(255), 2, WB}};

    if (!map_build(test, map, base, 1, PS_MEMORY_TYPE_COUNT))
        return false;
    for (unsigned type = PS_MEMORY_BOOT_SERVICES; type < PS_MEMORY_TYPE_COUNT; type++)
        if (type != PS_MEMORY_NULL)
            EXPECT_OK(ps_memory_map_set(map, ps_frame(255 + type), ps_pages(1),
                                        (enum ps_memory_type)type));
    return map_is_valid(test, map);
}

static void e820_shows_what_is_held_as_reserved(struct test *test)
{
    struct ps_e820_entry entries[16];
    struct ps_memory_map map;
    size_t needed;

    REQUIRE(build_every_type(test, &map));
    EXPECT_OK(ps_memory_map_to_e820(&map, false, entries, 16, &needed));
    EXPECT_TEXT(e820_text(entries, needed),
                "0+1000 2, ff000+2000 1, 101000+3000 2, 104000+1000 3, 105000+1000 4026531839, "
                "106000+1000 2, 107000+1000 7, 108000+1000 2, 109000+1000 4, 10a000+5000 2, "
                "110000+1000 5");
    for (size_t i = 0; i < needed; i++)
        EXPECT_EQ(entries[i].attributes, 1);
    map_free(&map);
}

static void e820_shows_what_is_held_as_usable_on_request(struct test *test)
{
    struct ps_e820_entry entries[16];
    struct ps_memory_map map;
    size_t needed;

    REQUIRE(build_every_type(test, &map));
    EXPECT_OK(ps_memory_map_to_e820(&map, true, entries, 16, &needed));
    EXPECT_TEXT(e820_text(entries, needed),
                "0+1000 2, ff000+5000 1, 104000+1000 3, 105000+1000 4026531839, "
                "106000+1000 2, 107000+1000 7, 108000+1000 2, 109000+1000 4, 10a000+5000 2, "
                "110000+1000 5");
    map_free(&map);
}

/* 2^64 bytes in one piece have no length that fits 64 bits. */
static void e820_of_the_whole_address_space_has_no_length_zero(struct test *test)
{
    struct ps_e820_entry entries[4];
    struct ps_memory_map map;
    size_t needed;

    BUILD_MAP(&map, 0, {0, 0, FRAMES_END, 0});
    EXPECT_OK(ps_memory_map_to_e820(&map, false, entries, 4, &needed));
    EXPECT_TEXT(e820_text(entries, needed), "0+1000 2, 1000+fffffffffffff000 2");
    map_free(&map);
}

static void e820_comes_back_as_it_was_shown(struct test *test)
{
    struct ps_e820_entry entries[16];
    struct ps_e820_entry again[16];
    struct ps_memory_map map;
    struct ps_memory_map back;
    size_t needed;
    size_t needed_again;

    REQUIRE(build_every_type(test, &map));
    REQUIRE_OK(ps_memory_map_to_e820(&map, false, entries, 16, &needed));
    REQUIRE(map_build_e820(test, &back, entries, needed, true));
    EXPECT_TEXT(map_text(&back),
                "0+1 null, 255+1 low, 256+1 usable, 257+3 reserved, 260+1 acpi-reclaim, "
                "261+1 soft-reserved, 262+1 reserved, 263+1 persistent, 264+1 reserved, "
                "265+1 acpi-nvs, 266+5 reserved, 272+1 bad");
    REQUIRE_OK(ps_memory_map_to_e820(&back, false, again, 16, &needed_again));
    EXPECT_EQ(needed_again, needed);
    EXPECT(memcmp(entries, again, needed * sizeof(*entries)) == 0);
    map_free(&back);
    map_free(&map);
}

/* ---- UEFI out ---- */

static const char *uefi_text(const struct ps_uefi_descriptor *descriptors, size_t count)
{
    static char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    for (size_t i = 0; i < count; i++)
        ps_print(&sink, "%s%u %" PS_PRIx "+%" PS_PRIx " %" PS_PRIx, i == 0 ? "" : ", ",
                 descriptors[i].type, descriptors[i].physical_start, descriptors[i].number_of_pages,
                 descriptors[i].attribute);
    return text;
}

static void uefi_shows_type_and_attribute_of_every_type(struct test *test)
{
    struct ps_uefi_descriptor out[20];
    struct ps_memory_map map;
    size_t needed;

    memset(out, 0xa5, sizeof(out));
    REQUIRE(build_every_type(test, &map));
    EXPECT_OK(ps_memory_map_to_uefi(&map, out, 20, &needed));
    EXPECT_TEXT(uefi_text(out, needed),
                "0 0+1 0, 7 ff000+2 f, 4 101000+1 f, 2 102000+1 f, 1 103000+1 f, 9 104000+1 f, "
                "7 105000+1 4000f, 15 106000+1 f, 14 107000+1 800f, 0 108000+1 1, 10 109000+1 f, "
                "6 10a000+1 800000000000000f, 5 10b000+1 800000000000000f, 0 10c000+1 3, "
                "11 10d000+1 1, 0 10e000+1 0, 8 110000+1 0");
    for (size_t i = 0; i < needed; i++) {
        EXPECT_EQ(out[i].reserved, 0);
        EXPECT_EQ(out[i].virtual_start, 0);
        EXPECT_EQ(out[i].padding, 0);
    }
    map_free(&map);
}

static void uefi_merges_page_zero_with_what_is_reserved_behind_it(struct test *test)
{
    struct ps_uefi_descriptor out[2];
    struct ps_memory_map map;
    size_t needed;

    BUILD_MAP(&map, 0, {0, 0, FRAMES_END, 0});
    EXPECT_OK(ps_memory_map_to_uefi(&map, out, 2, &needed));
    EXPECT_TEXT(uefi_text(out, needed), "0 0+10000000000000 0");
    map_free(&map);
    BUILD_MAP(&map, 0, {0, MAP_FRAME(2), 1, 0});
    EXPECT_OK(ps_memory_map_to_uefi(&map, out, 2, &needed));
    EXPECT_TEXT(uefi_text(out, needed), "0 0+1 0, 0 2000+1 0");
    map_free(&map);
}

static void uefi_comes_back_as_it_was_but_for_three_types(struct test *test)
{
    struct ps_uefi_descriptor out[20];
    struct ps_memory_range storage[41];
    struct ps_memory_map map;
    struct ps_memory_map back;
    size_t needed;

    REQUIRE(build_every_type(test, &map));
    REQUIRE_OK(ps_memory_map_to_uefi(&map, out, 20, &needed));
    REQUIRE_OK(ps_memory_map_from_uefi(&back, out, needed * sizeof(*out), sizeof(*out), storage,
                                       PS_ARRAY_SIZE(storage)));
    ps_memory_map_retype(&map, PS_MEMORY_IMAGE, PS_MEMORY_LOADER);
    ps_memory_map_retype(&map, PS_MEMORY_FRAMEBUFFER, PS_MEMORY_RESERVED);
    ps_memory_map_retype(&map, PS_MEMORY_NOT_CACHEABLE, PS_MEMORY_RESERVED);
    EXPECT(map_equal(&map, &back));
    EXPECT_TEXT(map_text(&back), map_text(&map));
    EXPECT_EQ(back.oddities.unsorted, 0);
    EXPECT_EQ(back.oddities.overlapping, 0);
    EXPECT_EQ(back.oddities.unaligned, 0);
    EXPECT_EQ(back.oddities.not_write_back, 0);
    EXPECT_EQ(back.oddities.runtime_by_type, 0);
    EXPECT_EQ(back.oddities.runtime_by_attribute, 0);
    map_free(&map);
}

/* ---- room ---- */

static void exports_tell_what_they_need_and_write_what_fits(struct test *test)
{
    struct ps_memory_map map;

    REQUIRE(build_every_type(test, &map));
    for (size_t capacity = 0; capacity <= 18; capacity++) {
        struct ps_e820_entry *e820 = malloc(capacity * sizeof(*e820) + (capacity == 0));
        struct ps_uefi_descriptor *uefi = malloc(capacity * sizeof(*uefi) + (capacity == 0));
        size_t needed = 0;

        REQUIRE(e820 != NULL && uefi != NULL);
        EXPECT_STATUS(ps_memory_map_to_e820(&map, false, e820, capacity, &needed),
                      capacity < 11 ? PS_BUFFER_TOO_SMALL : PS_OK);
        EXPECT_EQ(needed, 11);
        if (capacity >= 2) /* page 0 and the merged free RAM, also when the rest is cut */
            EXPECT_TEXT(e820_text(e820, 2), "0+1000 2, ff000+2000 1");
        EXPECT_STATUS(ps_memory_map_to_uefi(&map, uefi, capacity, &needed),
                      capacity < 17 ? PS_BUFFER_TOO_SMALL : PS_OK);
        EXPECT_EQ(needed, 17);
        if (capacity >= 2)
            EXPECT_TEXT(uefi_text(uefi, 2), "0 0+1 0, 7 ff000+2 f");
        free(uefi);
        free(e820);
    }
    map_free(&map);
}

static void exports_need_no_array_to_tell_the_size(struct test *test)
{
    struct ps_memory_map empty = {0};
    struct ps_e820_entry e820;
    struct ps_uefi_descriptor uefi;
    struct ps_memory_map map;
    size_t needed = 77;

    EXPECT_OK(ps_memory_map_to_e820(&empty, false, NULL, 0, &needed));
    EXPECT_EQ(needed, 0);
    needed = 77;
    EXPECT_OK(ps_memory_map_to_uefi(&empty, NULL, 0, &needed));
    EXPECT_EQ(needed, 0);
    BUILD_MAP(&map, 0, {7, MAP_FRAME(1), 1, WB});
    EXPECT_STATUS(ps_memory_map_to_e820(&map, true, NULL, 0, &needed), PS_BUFFER_TOO_SMALL);
    EXPECT_EQ(needed, 2);
    needed = 77;
    EXPECT_STATUS(ps_memory_map_to_uefi(&map, NULL, 0, &needed), PS_BUFFER_TOO_SMALL);
    EXPECT_EQ(needed, 2);
    needed = 77;
    EXPECT_STATUS(ps_memory_map_to_e820(&map, true, NULL, 1, &needed), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_to_e820(NULL, true, &e820, 1, &needed), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_to_e820(&map, true, &e820, 1, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_to_uefi(&map, NULL, 1, &needed), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_to_uefi(NULL, &uefi, 1, &needed), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_to_uefi(&map, &uefi, 1, NULL), PS_INVALID_ARGS);
    EXPECT_EQ(needed, 77);
    map_free(&map);
}

/* ---- validation ---- */

struct breach_row {
    size_t count;
    size_t capacity;
    struct ps_memory_range ranges[2];
    const char *line;
};

#define NULL_RULE " breaks the rule that page 0, and nothing else, is null\n"

static const struct breach_row breach_rows[] = {
    {3, 2, {{{300}, {1}, PS_MEMORY_USABLE}}, "memory map: more ranges than the array holds\n"},
    {1, 2, {{{300}, {0}, PS_MEMORY_USABLE}}, "memory map: range 0 is empty\n"},
    {1, 2, {{{300}, {1}, PS_MEMORY_TYPE_COUNT}}, "memory map: range 0 has an unknown type\n"},
    {1,
     2,
     {{{FRAMES_END - 1}, {2}, PS_MEMORY_BAD}},
     "memory map: range 0 ends past the last frame\n"},
    {1, 2, {{{FRAMES_END}, {1}, PS_MEMORY_BAD}}, "memory map: range 0 ends past the last frame\n"},
    {1, 2, {{{0}, {1}, PS_MEMORY_LOW}}, "memory map: range 0" NULL_RULE},
    {1, 2, {{{0}, {9}, PS_MEMORY_RESERVED}}, "memory map: range 0" NULL_RULE},
    {1, 2, {{{0}, {2}, PS_MEMORY_NULL}}, "memory map: range 0" NULL_RULE},
    {2,
     2,
     {{{0}, {1}, PS_MEMORY_NULL}, {{300}, {1}, PS_MEMORY_NULL}},
     "memory map: range 1" NULL_RULE},
    {1,
     2,
     {{{255}, {1}, PS_MEMORY_USABLE}},
     "memory map: range 0 is usable and begins below 1 MiB\n"},
    {1, 2, {{{255}, {2}, PS_MEMORY_LOW}}, "memory map: range 0 is low and ends above 1 MiB\n"},
    {2,
     2,
     {{{300}, {1}, PS_MEMORY_BAD}, {{290}, {1}, PS_MEMORY_BAD}},
     "memory map: range 1 begins below its predecessor\n"},
    {2,
     2,
     {{{300}, {2}, PS_MEMORY_BAD}, {{301}, {1}, PS_MEMORY_MMIO}},
     "memory map: range 1 overlaps its predecessor\n"},
    {2,
     2,
     {{{300}, {2}, PS_MEMORY_BAD}, {{300}, {1}, PS_MEMORY_MMIO}},
     "memory map: range 1 overlaps its predecessor\n"},
    {2,
     2,
     {{{300}, {2}, PS_MEMORY_BAD}, {{302}, {1}, PS_MEMORY_BAD}},
     "memory map: range 1 is not merged with its predecessor\n"},
    {1, 1, {{{200}, {100}, PS_MEMORY_MMIO}}, "memory map: no room to cut a range at 1 MiB\n"},
};

static void validation_names_the_first_breach(struct test *test)
{
    for (size_t i = 0; i < PS_ARRAY_SIZE(breach_rows); i++) {
        const struct breach_row *row = &breach_rows[i];
        struct ps_memory_range ranges[2] = {row->ranges[0], row->ranges[1]};
        struct ps_memory_map map = {
            .ranges = ranges, .capacity = row->capacity, .count = row->count};
        char text[160];
        struct ps_text_buffer buffer;
        struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

        EXPECT_STATUS(ps_memory_map_validate(&map, &sink), PS_CORRUPT);
        EXPECT_TEXT(text, row->line);
        EXPECT_STATUS(ps_memory_map_validate(&map, NULL), PS_CORRUPT);
    }
}

static void validation_accepts_every_shape_that_is_allowed(struct test *test)
{
    struct ps_memory_range good[] = {
        {{0}, {1}, PS_MEMORY_NULL},
        {{1}, {1}, PS_MEMORY_BAD},
        {{2}, {254}, PS_MEMORY_LOW},
        {{256}, {10}, PS_MEMORY_USABLE},
        {{270}, {10}, PS_MEMORY_USABLE},
        {{280}, {1}, PS_MEMORY_RESERVED},
        {{FRAMES_END - 1}, {1}, PS_MEMORY_MMIO},
    };
    struct ps_memory_range crossing[] = {{{200}, {100}, PS_MEMORY_MMIO}, {{0}, {0}, PS_MEMORY_BAD}};
    struct ps_memory_map map = {.ranges = good, .capacity = 7, .count = 7};
    struct ps_memory_map room = {.ranges = crossing, .capacity = 2, .count = 1};
    struct ps_memory_map empty = {0};
    struct ps_memory_map nowhere = {.capacity = 1, .count = 1};

    EXPECT(map_is_valid(test, &map));
    EXPECT(map_is_valid(test, &room));
    EXPECT(map_is_valid(test, &empty));
    EXPECT_STATUS(ps_memory_map_validate(&nowhere, NULL), PS_CORRUPT);
}

/* A map that somebody made by hand need not list page 0; then nothing does. */
static void a_map_without_page_zero_keeps_the_hole(struct test *test)
{
    struct ps_memory_range ranges[3] = {{{1}, {10}, PS_MEMORY_BOOT_SERVICES}};
    struct ps_memory_map map = {.ranges = ranges, .capacity = 3, .count = 1};
    struct ps_memory_map empty = {.ranges = ranges, .capacity = 2};

    EXPECT(map_is_valid(test, &map));
    EXPECT_OK(ps_memory_map_set(&map, ps_frame(0), ps_pages(5), PS_MEMORY_IMAGE));
    EXPECT_TEXT(map_text(&map), "1+4 image, 5+6 boot-services");
    ps_memory_map_retype(&map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE);
    EXPECT_TEXT(map_text(&map), "1+4 image, 5+6 low");
    ps_memory_map_retype(&empty, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE);
    EXPECT_OK(ps_memory_map_set(&empty, ps_frame(255), ps_pages(2), PS_MEMORY_USABLE));
    EXPECT_TEXT(map_text(&empty), "255+1 low, 256+1 usable");
}

static void dump_writes_one_line_a_range(struct test *test)
{
    char text[512];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, 0, 0x40000, WB}, {11, MAP_FRAME(FRAMES_END - 3), 3, 1});
    ps_memory_map_dump(&map, &sink);
    EXPECT_TEXT(text, "0x0000000000000000-0x0000000000000fff      4 KiB  null\n"
                      "0x0000000000001000-0x00000000000fffff   1020 KiB  low\n"
                      "0x0000000000100000-0x000000003fffffff   1023 MiB  usable\n"
                      "0xffffffffffffd000-0xffffffffffffffff     12 KiB  mmio\n");
    map_free(&map);
}

static const struct test_case cases[] = {
    TEST_CASE(every_e820_type_has_its_meaning),
    TEST_CASE(e820_entries_switched_off_are_ignored_where_extended),
    TEST_CASE(e820_bytes_are_rounded_to_pages),
    TEST_CASE(odd_e820_lengths_are_survived),
    TEST_CASE(e820_shows_what_is_held_as_reserved),
    TEST_CASE(e820_shows_what_is_held_as_usable_on_request),
    TEST_CASE(e820_of_the_whole_address_space_has_no_length_zero),
    TEST_CASE(e820_comes_back_as_it_was_shown),
    TEST_CASE(uefi_shows_type_and_attribute_of_every_type),
    TEST_CASE(uefi_merges_page_zero_with_what_is_reserved_behind_it),
    TEST_CASE(uefi_comes_back_as_it_was_but_for_three_types),
    TEST_CASE(exports_tell_what_they_need_and_write_what_fits),
    TEST_CASE(exports_need_no_array_to_tell_the_size),
    TEST_CASE(validation_names_the_first_breach),
    TEST_CASE(validation_accepts_every_shape_that_is_allowed),
    TEST_CASE(a_map_without_page_zero_keeps_the_hole),
    TEST_CASE(dump_writes_one_line_a_range),
};

const struct test_suite suite_memory_map_export = TEST_SUITE("memory_map_export", cases);
