/* What a firmware's list becomes: types, order, overlap, rounding, and what it looked like. */
#include "memory_map_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "unit_suites.h"

/* ---- types ---- */

static void every_uefi_type_has_its_meaning(struct test *test)
{
    EXPECT_MAP("0+1 null, 1+1 reserved, 2+2 loader, 4+2 boot-services, 6+1 runtime-code, "
               "7+1 runtime-data, 8+1 low, 9+1 bad, 10+1 acpi-reclaim, 11+1 acpi-nvs, 12+2 mmio, "
               "14+1 reserved, 15+1 persistent, 16+1 unaccepted",
               {0, MAP_FRAME(1), 1, WB}, {1, MAP_FRAME(2), 1, WB}, {2, MAP_FRAME(3), 1, WB},
               {3, MAP_FRAME(4), 1, WB}, {4, MAP_FRAME(5), 1, WB},
               {5, MAP_FRAME(6), 1, WB | RUNTIME}, {6, MAP_FRAME(7), 1, WB | RUNTIME},
               {7, MAP_FRAME(8), 1, WB}, {8, MAP_FRAME(9), 1, WB}, {9, MAP_FRAME(10), 1, WB},
               {10, MAP_FRAME(11), 1, WB}, {11, MAP_FRAME(12), 1, 1}, {12, MAP_FRAME(13), 1, 1},
               {13, MAP_FRAME(14), 1, WB}, {14, MAP_FRAME(15), 1, WB | NV},
               {15, MAP_FRAME(16), 1, WB});
}

static void unknown_and_oem_types_are_reserved(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {16, MAP_FRAME(300), 1, WB}, {0x6fffffff, MAP_FRAME(301), 1, WB},
              {0x70000000, MAP_FRAME(302), 1, WB}, {0x7fffffff, MAP_FRAME(303), 1, WB},
              {0x80000000, MAP_FRAME(304), 1, WB}, {0xffffffff, MAP_FRAME(305), 1, WB},
              {15, MAP_FRAME(306), 1, WB});
    EXPECT_TEXT(map_text(&map), "0+1 null, 300+6 reserved, 306+1 unaccepted");
    EXPECT_EQ(map.oddities.unknown_type, 2);
    EXPECT_EQ(map.oddities.oem_type, 4);
    map_free(&map);
}

static void ram_without_write_back_is_not_ram(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {1, MAP_FRAME(300), 1, NO_WB}, {2, MAP_FRAME(301), 1, 0},
              {3, MAP_FRAME(302), 1, NO_WB}, {4, MAP_FRAME(303), 1, NO_WB},
              {7, MAP_FRAME(304), 1, NO_WB | SP | NV}, {7, MAP_FRAME(305), 1, WB},
              {9, MAP_FRAME(306), 1, NO_WB}, {0, MAP_FRAME(307), 1, 0});
    EXPECT_TEXT(map_text(&map),
                "0+1 null, 300+5 not-cacheable, 305+1 usable, 306+1 acpi-reclaim, 307+1 reserved");
    EXPECT_EQ(map.oddities.not_write_back, 5);
    map_free(&map);
}

static void special_purpose_memory_is_set_apart(struct test *test)
{
    EXPECT_MAP("0+1 null, 300+2 soft-reserved, 302+1 loader, 303+1 reserved, 304+1 acpi-nvs",
               {7, MAP_FRAME(300), 1, WB | SP}, {4, MAP_FRAME(301), 1, WB | SP},
               {2, MAP_FRAME(302), 1, WB | SP}, {0, MAP_FRAME(303), 1, WB | SP},
               {10, MAP_FRAME(304), 1, WB | SP});
}

static void persistent_memory_is_known_by_type_or_attribute(struct test *test)
{
    EXPECT_MAP("0+1 null, 300+4 persistent, 304+1 loader", {14, MAP_FRAME(300), 1, WB},
               {7, MAP_FRAME(301), 1, WB | NV}, {3, MAP_FRAME(302), 1, WB | NV},
               {7, MAP_FRAME(303), 1, WB | NV | SP}, {1, MAP_FRAME(304), 1, WB | NV});
}

static void runtime_memory_is_known_by_type_or_attribute(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {5, MAP_FRAME(300), 1, WB}, {6, MAP_FRAME(301), 1, WB},
              {5, MAP_FRAME(302), 1, WB | RUNTIME}, {6, MAP_FRAME(303), 1, WB | RUNTIME},
              {7, MAP_FRAME(304), 1, WB | RUNTIME}, {0, MAP_FRAME(305), 1, RUNTIME},
              {1, MAP_FRAME(306), 1, WB | RUNTIME}, {2, MAP_FRAME(307), 1, WB | RUNTIME},
              {3, MAP_FRAME(308), 1, WB | RUNTIME}, {4, MAP_FRAME(309), 1, WB | RUNTIME},
              {10, MAP_FRAME(310), 1, WB | RUNTIME}, {99, MAP_FRAME(311), 1, RUNTIME});
    EXPECT_TEXT(map_text(&map),
                "0+1 null, 300+1 runtime-code, 301+1 runtime-data, 302+1 runtime-code, "
                "303+3 runtime-data, 306+1 runtime-code, 307+1 runtime-data, 308+1 runtime-code, "
                "309+3 runtime-data");
    EXPECT_EQ(map.oddities.runtime_by_type, 2);
    EXPECT_EQ(map.oddities.runtime_by_attribute, 8);
    EXPECT_EQ(map.oddities.not_write_back, 0);
    EXPECT_EQ(map.oddities.unknown_type, 1);
    map_free(&map);
}

static void runtime_registers_stay_mmio_and_faulty_memory_bad(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {11, MAP_FRAME(300), 1, 1 | RUNTIME}, {12, MAP_FRAME(301), 1, 1 | RUNTIME},
              {8, MAP_FRAME(302), 1, WB | RUNTIME});
    EXPECT_TEXT(map_text(&map), "0+1 null, 300+2 mmio, 302+1 bad");
    EXPECT_EQ(map.oddities.runtime_by_attribute, 0);
    map_free(&map);
}

static void every_type_has_a_name_and_only_readable_ram_is_ram(struct test *test)
{
    static const char *const names[] = {
        "usable",       "low",           "boot-services", "loader",      "image",
        "acpi-reclaim", "soft-reserved", "unaccepted",    "persistent",  "not-cacheable",
        "acpi-nvs",     "runtime-data",  "runtime-code",  "framebuffer", "mmio",
        "reserved",     "null",          "bad",
    };

    for (unsigned type = 0; type < PS_MEMORY_TYPE_COUNT; type++) {
        EXPECT_TEXT(ps_memory_type_name((enum ps_memory_type)type), names[type]);
        EXPECT_EQ(ps_memory_type_is_ram((enum ps_memory_type)type), type <= 5);
    }
    EXPECT_TEXT(ps_memory_type_name(PS_MEMORY_TYPE_COUNT), "?");
    EXPECT(!ps_memory_type_is_ram(PS_MEMORY_TYPE_COUNT));
}

/* ---- order, overlap, merging ---- */

static void unsorted_entries_come_out_sorted(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {0, MAP_FRAME(900), 1, 0}, {7, MAP_FRAME(300), 10, WB},
              {9, MAP_FRAME(500), 5, WB}, {4, MAP_FRAME(310), 10, WB}, {7, MAP_FRAME(1), 4, WB});
    EXPECT_TEXT(map_text(&map), "0+1 null, 1+4 low, 300+10 usable, 310+10 boot-services, "
                                "500+5 acpi-reclaim, 900+1 reserved");
    EXPECT_EQ(map.oddities.entries, 5);
    EXPECT_EQ(map.oddities.unsorted, 3);
    EXPECT_EQ(map.oddities.overlapping, 0);
    map_free(&map);
}

static void equal_neighbours_are_merged(struct test *test)
{
    EXPECT_MAP("0+1 null, 300+30 usable, 331+1 usable, 332+2 loader", {7, MAP_FRAME(310), 10, WB},
               {7, MAP_FRAME(300), 10, WB}, {7, MAP_FRAME(320), 10, WB}, {7, MAP_FRAME(331), 1, WB},
               {1, MAP_FRAME(332), 1, WB}, {2, MAP_FRAME(333), 1, WB});
}

static void duplicates_count_once_and_are_overlaps(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(300), 10, WB}, {7, MAP_FRAME(300), 10, WB},
              {7, MAP_FRAME(300), 10, WB}, {6, MAP_FRAME(400), 2, WB | RUNTIME});
    EXPECT_TEXT(map_text(&map), "0+1 null, 300+10 usable, 400+2 runtime-data");
    EXPECT_EQ(map.oddities.overlapping, 2);
    EXPECT_EQ(map.oddities.unsorted, 0);
    map_free(&map);
}

static void the_more_restrictive_type_wins_every_overlap(struct test *test)
{
    /* A head, a tail, a middle, exactly the same pages, and a hole in a hole. */
    EXPECT_MAP("0+1 null, 295+10 reserved, 305+5 usable, 310+2 acpi-nvs, 312+3 usable, "
               "315+10 loader, 400+5 bad, 405+5 reserved",
               {7, MAP_FRAME(300), 20, WB}, {0, MAP_FRAME(295), 10, 0}, {2, MAP_FRAME(315), 10, WB},
               {10, MAP_FRAME(310), 2, WB}, {7, MAP_FRAME(400), 10, WB}, {0, MAP_FRAME(400), 10, 0},
               {8, MAP_FRAME(400), 5, 0});
}

/* Each pair of types of which an overlap is possible, both ways round. */
static void restriction_is_the_order_of_the_types(struct test *test)
{
    static const struct map_entry by_rank[] = {
        {7, 0, 1, WB},  {4, 0, 1, WB},  {2, 0, 1, WB},    {9, 0, 1, WB},  {7, 0, 1, WB | SP},
        {15, 0, 1, WB}, {14, 0, 1, WB}, {7, 0, 1, NO_WB}, {10, 0, 1, WB}, {6, 0, 1, WB},
        {5, 0, 1, WB},  {11, 0, 1, 1},  {0, 0, 1, 0},     {8, 0, 1, 0},
    };

    for (size_t low = 0; low < PS_ARRAY_SIZE(by_rank); low++) {
        for (size_t high = low; high < PS_ARRAY_SIZE(by_rank); high++) {
            struct map_entry pair[2] = {by_rank[low], by_rank[high]};
            struct ps_memory_map one;
            struct ps_memory_map both;

            pair[0].start = pair[1].start = MAP_FRAME(300 + (low + high) % 2);
            REQUIRE(map_build(test, &one, pair + 1, 1, 0));
            REQUIRE(map_build(test, &both, pair, 2, 0));
            EXPECT(map_equal(&one, &both));
            map_free(&both);
            pair[1] = pair[0];
            pair[0] = by_rank[high];
            pair[0].start = pair[1].start;
            REQUIRE(map_build(test, &both, pair, 2, 0));
            EXPECT(map_equal(&one, &both));
            map_free(&both);
            map_free(&one);
        }
    }
}

static void an_entry_overlaps_when_it_shares_bytes_not_pages(struct test *test)
{
    const struct ps_e820_entry apart[] = {{0x200000, 0x800, 2, 0}, {0x200800, 0x800, 3, 0}};
    const struct ps_e820_entry shared[] = {{0x200000, 0x801, 2, 0}, {0x200800, 0x800, 3, 0}};
    struct ps_memory_map map;

    REQUIRE(map_build_e820(test, &map, apart, 2, false));
    EXPECT_EQ(map.oddities.overlapping, 0);
    EXPECT_TEXT(map_text(&map), "0+1 null, 512+1 reserved");
    map_free(&map);
    REQUIRE(map_build_e820(test, &map, shared, 2, false));
    EXPECT_EQ(map.oddities.overlapping, 1);
    EXPECT_TEXT(map_text(&map), "0+1 null, 512+1 reserved");
    map_free(&map);
}

/* The long first entry reaches over all others, though only one begins inside its neighbour. */
static void overlap_with_an_entry_far_before_is_seen(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(300), 100, WB}, {4, MAP_FRAME(310), 1, WB},
              {4, MAP_FRAME(320), 1, WB}, {4, MAP_FRAME(330), 1, WB}, {7, MAP_FRAME(400), 1, WB});
    EXPECT_EQ(map.oddities.overlapping, 3);
    EXPECT_EQ(map.count, 8);
    map_free(&map);
}

/* ---- lengths and edges ---- */

static void entries_without_pages_are_ignored(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(300), 2, WB}, {8, MAP_FRAME(301), 0, WB},
              {99, MAP_FRAME(10) + 1, 0, WB}, {5, UINT64_MAX, 0, WB}, {7, MAP_FRAME(302), 1, WB});
    EXPECT_TEXT(map_text(&map), "0+1 null, 300+3 usable");
    EXPECT_EQ(map.oddities.entries, 5);
    EXPECT_EQ(map.oddities.zero_length, 3);
    EXPECT_EQ(map.oddities.unsorted, 0);
    EXPECT_EQ(map.oddities.overlapping, 0);
    EXPECT_EQ(map.oddities.unknown_type, 0);
    EXPECT_EQ(map.oddities.unaligned, 0);
    EXPECT_EQ(map.oddities.runtime_by_type, 0);
    map_free(&map);
}

static void a_wrapping_entry_is_cut_at_the_top(struct test *test)
{
    static const uint64_t pages[] = {11, FRAMES_END - 1, FRAMES_END, FRAMES_END + 1, UINT64_MAX};

    for (size_t i = 0; i < PS_ARRAY_SIZE(pages); i++) {
        struct ps_memory_map map;

        BUILD_MAP(&map, 0, {7, MAP_FRAME(FRAMES_END - 10), pages[i], WB});
        EXPECT_TEXT(map_text(&map), "0+1 null, 4503599627370486+10 usable");
        EXPECT_EQ(map.oddities.wrapping, 1);
        map_free(&map);
    }
}

static void an_entry_may_end_with_the_last_byte(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {0, MAP_FRAME(FRAMES_END - 10), 10, 0}, {7, MAP_FRAME(300), 1, WB});
    EXPECT_TEXT(map_text(&map), "0+1 null, 300+1 usable, 4503599627370486+10 reserved");
    EXPECT_EQ(map.oddities.wrapping, 0);
    map_free(&map);
    BUILD_MAP(&map, 0, {0, 0, FRAMES_END, 0});
    EXPECT_TEXT(map_text(&map), "0+1 null, 1+4503599627370495 reserved");
    EXPECT_EQ(map.oddities.wrapping, 0);
    map_free(&map);
    BUILD_MAP(&map, 0, {0, 0, FRAMES_END + 1, 0});
    EXPECT_TEXT(map_text(&map), "0+1 null, 1+4503599627370495 reserved");
    EXPECT_EQ(map.oddities.wrapping, 1);
    map_free(&map);
}

static void an_unaligned_last_page_wraps(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {0, UINT64_MAX - 0x7ff, 1, 0}, {7, UINT64_MAX - 0x17ff, 1, WB});
    EXPECT_TEXT(map_text(&map), "0+1 null, 4503599627370495+1 reserved");
    EXPECT_EQ(map.oddities.wrapping, 1);
    EXPECT_EQ(map.oddities.unaligned, 2);
    map_free(&map);
}

static void usable_memory_shrinks_and_the_rest_grows_to_pages(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(300) + 0x10, 3, WB}, {4, MAP_FRAME(400) + 0xff8, 3, WB},
              {2, MAP_FRAME(500) + 1, 3, WB}, {0, MAP_FRAME(600) + 0xfff, 3, WB},
              {7, MAP_FRAME(700) + 8, 1, WB});
    EXPECT_TEXT(map_text(&map), "0+1 null, 301+2 usable, 401+2 boot-services, 500+4 loader, "
                                "600+4 reserved");
    EXPECT_EQ(map.oddities.unaligned, 5);
    map_free(&map);
}

static void an_unaligned_neighbour_takes_the_shared_page(struct test *test)
{
    EXPECT_MAP("0+1 null, 300+2 usable, 302+3 acpi-nvs, 305+7 usable", {7, MAP_FRAME(300), 12, WB},
               {10, MAP_FRAME(302) + 0x800, 2, WB});
}

/* ---- page 0 and the low megabyte ---- */

static void page_zero_is_null_whatever_is_said(struct test *test)
{
    static const uint32_t types[] = {0, 3, 5, 7, 8, 11, 15, 0x80000000};

    for (size_t i = 0; i < PS_ARRAY_SIZE(types); i++) {
        struct ps_memory_map map;

        BUILD_MAP(&map, 0, {types[i], 0, 1, WB});
        EXPECT_TEXT(map_text(&map), "0+1 null");
        map_free(&map);
    }
    EXPECT_MAP("0+1 null, 1+1 bad", {8, 0, 2, 0});
    EXPECT_MAP("0+1 null, 2+1 low", {7, MAP_FRAME(2), 1, WB});
    EXPECT_MAP("0+1 null", {7, 0x10, 1, WB});
}

static void no_entries_make_a_map_of_page_zero(struct test *test)
{
    struct ps_memory_map map;
    struct ps_memory_range storage[1];
    uint64_t raw[5] = {7, MAP_FRAME(1), 0, 4, WB};

    REQUIRE_OK(ps_memory_map_from_uefi(&map, raw, 0, 48, storage, 1));
    EXPECT_TEXT(map_text(&map), "0+1 null");
    EXPECT_EQ(map.oddities.entries, 0);
    EXPECT_EQ(map.capacity, 1);
    EXPECT(map.ranges == storage);
    EXPECT(map_is_valid(test, &map));
}

static void free_ram_is_cut_at_one_mebibyte(struct test *test)
{
    EXPECT_MAP("0+1 null, 1+255 low, 256+256 usable", {7, 0, 512, WB});
    EXPECT_MAP("0+1 null, 1+255 low", {7, 0, 256, WB});
    EXPECT_MAP("0+1 null, 256+1 usable", {7, MAP_FRAME(256), 1, WB});
    EXPECT_MAP("0+1 null, 255+1 low, 256+1 usable", {7, MAP_FRAME(255), 2, WB});
    EXPECT_MAP("0+1 null, 255+2 boot-services", {4, MAP_FRAME(255), 2, WB});
}

/* The usual PC: low RAM, the hole of the VGA and the BIOS, RAM. */
static void the_legacy_hole_stays_unknown_unless_listed(struct test *test)
{
    EXPECT_MAP("0+1 null, 1+158 low, 159+1 reserved, 256+1000 usable", {7, 0, 159, WB},
               {0, MAP_FRAME(159), 1, 0}, {7, MAP_FRAME(256), 1000, WB});
}

/* ---- the raw bytes ---- */

static void any_stride_is_read(struct test *test)
{
    static const size_t strides[] = {40, 48, 56, 64, 4096};
    static const struct map_entry entries[] = {
        {7, MAP_FRAME(300), 10, WB}, {4, MAP_FRAME(310), 5, WB}, {5, MAP_FRAME(1000), 2, WB}};
    struct ps_memory_range storage[7];

    for (size_t i = 0; i < PS_ARRAY_SIZE(strides); i++) {
        size_t size = 3 * strides[i];
        void *raw = map_raw(entries, 3, strides[i]);
        void *copy = malloc(size);
        struct ps_memory_map map;

        REQUIRE(copy != NULL);
        memcpy(copy, raw, size);
        EXPECT_OK(ps_memory_map_from_uefi(&map, raw, size, strides[i], storage, 7));
        EXPECT_TEXT(map_text(&map),
                    "0+1 null, 300+10 usable, 310+5 boot-services, 1000+2 runtime-code");
        EXPECT_EQ(map.oddities.entries, 3);
        EXPECT(memcmp(raw, copy, size) == 0);
        free(copy);
        free(raw);
    }
}

static void a_cut_last_entry_is_ignored(struct test *test)
{
    static const struct map_entry entries[] = {{7, MAP_FRAME(300), 10, WB},
                                               {4, MAP_FRAME(310), 5, WB}};
    struct ps_memory_range storage[5];
    uint8_t *raw = map_raw(entries, 2, STRIDE);

    for (size_t size = STRIDE; size <= 2 * STRIDE; size++) {
        uint8_t *cut = malloc(size); /* not a byte more: a read past it is seen */
        struct ps_memory_map map;

        REQUIRE(cut != NULL);
        memcpy(cut, raw, size);
        EXPECT_OK(ps_memory_map_from_uefi(&map, cut, size, STRIDE, storage, 5));
        EXPECT_EQ(map.oddities.entries, size / STRIDE);
        EXPECT_EQ(map.count, 1 + size / STRIDE);
        free(cut);
    }
    free(raw);
}

static void bad_arguments_are_refused_and_change_nothing(struct test *test)
{
    static const struct map_entry entry = {7, MAP_FRAME(300), 10, WB};
    struct ps_memory_range storage[3] = {{{1}, {2}, PS_MEMORY_BAD}};
    const struct ps_e820_entry e820 = {0, 0x1000, 1, 0};
    struct ps_memory_map map;
    struct ps_memory_map junk;
    uint8_t *raw = map_raw(&entry, 1, 64);

    memset(&map, 0x5a, sizeof(map));
    memset(&junk, 0x5a, sizeof(junk));
    EXPECT_STATUS(ps_memory_map_from_uefi(NULL, raw, 48, 48, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, NULL, 48, 48, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, NULL, 0, 48, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 48, 48, NULL, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 48, 0, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 48, 32, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 48, 44, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 48, 56, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 39, 40, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 0, 0, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw + 4, 48, 48, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 48, 48, storage, 2), PS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(ps_memory_map_from_uefi(&map, raw, 0, 48, storage, 0), PS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(ps_memory_map_from_e820(NULL, &e820, 1, false, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_e820(&map, NULL, 1, false, storage, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_e820(&map, &e820, 1, false, NULL, 3), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_from_e820(&map, &e820, 1, false, storage, 2), PS_BUFFER_TOO_SMALL);
    EXPECT(memcmp(&map, &junk, sizeof(map)) == 0);
    EXPECT_EQ(storage[0].first.number, 1);
    EXPECT_EQ(storage[0].pages.count, 2);
    EXPECT_EQ(storage[0].type, PS_MEMORY_BAD);
    EXPECT_OK(ps_memory_map_from_uefi(&map, raw, 48, 48, storage, 3));
    free(raw);
}

/* ---- size ---- */

static void capacity_is_two_an_entry_and_one_and_saturates(struct test *test)
{
    EXPECT_EQ(ps_memory_map_capacity(0, 0), 1);
    EXPECT_EQ(ps_memory_map_capacity(1, 0), 3);
    EXPECT_EQ(ps_memory_map_capacity(5000, 0), 10001);
    EXPECT_EQ(ps_memory_map_capacity(5000, 16), 10033);
    EXPECT_EQ(ps_memory_map_capacity(SIZE_MAX / 2 - 1, 0), SIZE_MAX - 2);
    EXPECT_EQ(ps_memory_map_capacity(SIZE_MAX / 2, 0), SIZE_MAX);
    EXPECT_EQ(ps_memory_map_capacity(SIZE_MAX / 2, 1), SIZE_MAX);
    EXPECT_EQ(ps_memory_map_capacity(SIZE_MAX, 0), SIZE_MAX);
    EXPECT_EQ(ps_memory_map_capacity(0, SIZE_MAX), SIZE_MAX);
    EXPECT_EQ(ps_memory_map_capacity(SIZE_MAX, SIZE_MAX), SIZE_MAX);
}

enum { MANY = 5000 };

/* One entry over 1 MiB and all others apart inside of it: each cuts it once more. */
static void many_nested(struct map_entry *entries, size_t count)
{
    entries[0] = (struct map_entry){7, 0, 2 * count + 256, WB};
    for (size_t i = 1; i < count; i++)
        entries[i] = (struct map_entry){4, MAP_FRAME(2 * i + (i < 100 ? 0 : 100)), 1, WB};
}

static void the_worst_input_needs_the_whole_capacity(struct test *test)
{
    static struct map_entry entries[MANY];
    static const size_t counts[] = {1, 2, 3, 17, 200, MANY};

    for (size_t i = 0; i < PS_ARRAY_SIZE(counts); i++) {
        struct ps_memory_map map;

        many_nested(entries, counts[i]);
        REQUIRE(map_build(test, &map, entries, counts[i], 0));
        EXPECT_EQ(map.count, ps_memory_map_capacity(counts[i], 0));
        EXPECT_EQ(map.count, map.capacity);
        map_free(&map);
    }
}

/* Thousands of entries in orders that are bad for some sorts: backwards, equal, organ pipe. */
static void thousands_of_entries_in_any_order_give_one_map(struct test *test)
{
    static struct map_entry entries[MANY];
    static struct map_entry turned[MANY];
    struct ps_memory_map map;
    struct ps_memory_map other;

    many_nested(entries, MANY);
    REQUIRE(map_build(test, &map, entries, MANY, 0));
    EXPECT_EQ(ps_memory_map_total(&map, PS_MEMORY_BOOT_SERVICES).count, MANY - 1);
    for (size_t i = 0; i < MANY; i++)
        turned[i] = entries[MANY - 1 - i];
    REQUIRE(map_build(test, &other, turned, MANY, 0));
    EXPECT(map_equal(&map, &other));
    EXPECT_EQ(other.oddities.unsorted, MANY - 1);
    map_free(&other);
    for (size_t i = 0; i < MANY; i++)
        turned[i % 2 == 0 ? i / 2 : MANY - 1 - i / 2] = entries[i];
    REQUIRE(map_build(test, &other, turned, MANY, 0));
    EXPECT(map_equal(&map, &other));
    map_free(&other);
    map_free(&map);
    for (size_t i = 0; i < MANY; i++)
        turned[i] = (struct map_entry){7, MAP_FRAME(300), 1, WB};
    REQUIRE(map_build(test, &map, turned, MANY, 0));
    EXPECT_TEXT(map_text(&map), "0+1 null, 300+1 usable");
    EXPECT_EQ(map.oddities.overlapping, MANY - 1);
    map_free(&map);
}

static const struct test_case cases[] = {
    TEST_CASE(every_uefi_type_has_its_meaning),
    TEST_CASE(unknown_and_oem_types_are_reserved),
    TEST_CASE(ram_without_write_back_is_not_ram),
    TEST_CASE(special_purpose_memory_is_set_apart),
    TEST_CASE(persistent_memory_is_known_by_type_or_attribute),
    TEST_CASE(runtime_memory_is_known_by_type_or_attribute),
    TEST_CASE(runtime_registers_stay_mmio_and_faulty_memory_bad),
    TEST_CASE(every_type_has_a_name_and_only_readable_ram_is_ram),
    TEST_CASE(unsorted_entries_come_out_sorted),
    TEST_CASE(equal_neighbours_are_merged),
    TEST_CASE(duplicates_count_once_and_are_overlaps),
    TEST_CASE(the_more_restrictive_type_wins_every_overlap),
    TEST_CASE(restriction_is_the_order_of_the_types),
    TEST_CASE(an_entry_overlaps_when_it_shares_bytes_not_pages),
    TEST_CASE(overlap_with_an_entry_far_before_is_seen),
    TEST_CASE(entries_without_pages_are_ignored),
    TEST_CASE(a_wrapping_entry_is_cut_at_the_top),
    TEST_CASE(an_entry_may_end_with_the_last_byte),
    TEST_CASE(an_unaligned_last_page_wraps),
    TEST_CASE(usable_memory_shrinks_and_the_rest_grows_to_pages),
    TEST_CASE(an_unaligned_neighbour_takes_the_shared_page),
    TEST_CASE(page_zero_is_null_whatever_is_said),
    TEST_CASE(no_entries_make_a_map_of_page_zero),
    TEST_CASE(free_ram_is_cut_at_one_mebibyte),
    TEST_CASE(the_legacy_hole_stays_unknown_unless_listed),
    TEST_CASE(any_stride_is_read),
    TEST_CASE(a_cut_last_entry_is_ignored),
    TEST_CASE(bad_arguments_are_refused_and_change_nothing),
    TEST_CASE(capacity_is_two_an_entry_and_one_and_saturates),
    TEST_CASE(the_worst_input_needs_the_whole_capacity),
    TEST_CASE(thousands_of_entries_in_any_order_give_one_map),
};

const struct test_suite suite_memory_map = TEST_SUITE("memory_map", cases);
