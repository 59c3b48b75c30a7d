/* Set, retype and the queries. */
#include "memory_map_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "unit_suites.h"

static void set(struct test *test, struct ps_memory_map *map, uint64_t first, uint64_t pages,
                enum ps_memory_type type)
{
    EXPECT_OK(ps_memory_map_set(map, ps_frame(first), ps_pages(pages), type));
    (void)map_is_valid(test, map);
}

/* One call on 300+10 usable, 310+10 reserved, a hole, 330+10 usable. */
static void expect_set(struct test *test, uint64_t first, uint64_t pages, enum ps_memory_type type,
                       const char *expected, int line)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 1, {7, MAP_FRAME(300), 10, WB}, {0, MAP_FRAME(310), 10, 0},
              {7, MAP_FRAME(330), 10, WB});
    set(test, &map, first, pages, type);
    (void)test_check_text(test, map_text(&map), expected, "the map after the call", __FILE__, line);
    map_free(&map);
}

#define EXPECT_SET(first, pages, type, expected) \
    expect_set(test, (first), (pages), (type), (expected), __LINE__)

/* ---- set ---- */

static void set_covers_any_part_of_a_range(struct test *test)
{
    EXPECT_SET(300, 10, PS_MEMORY_IMAGE, "0+1 null, 300+10 image, 310+10 reserved, 330+10 usable");
    EXPECT_SET(300, 3, PS_MEMORY_IMAGE,
               "0+1 null, 300+3 image, 303+7 usable, 310+10 reserved, 330+10 usable");
    EXPECT_SET(307, 3, PS_MEMORY_IMAGE,
               "0+1 null, 300+7 usable, 307+3 image, 310+10 reserved, 330+10 usable");
    EXPECT_SET(303, 3, PS_MEMORY_IMAGE,
               "0+1 null, 300+3 usable, 303+3 image, 306+4 usable, 310+10 reserved, 330+10 usable");
}

static void set_covers_several_ranges_and_holes(struct test *test)
{
    EXPECT_SET(305, 10, PS_MEMORY_IMAGE,
               "0+1 null, 300+5 usable, 305+10 image, 315+5 reserved, 330+10 usable");
    EXPECT_SET(305, 30, PS_MEMORY_IMAGE, "0+1 null, 300+5 usable, 305+30 image, 335+5 usable");
    EXPECT_SET(300, 40, PS_MEMORY_IMAGE, "0+1 null, 300+40 image");
    EXPECT_SET(290, 60, PS_MEMORY_IMAGE, "0+1 null, 290+60 image");
    EXPECT_SET(290, 15, PS_MEMORY_IMAGE,
               "0+1 null, 290+15 image, 305+5 usable, 310+10 reserved, 330+10 usable");
}

static void set_fills_holes(struct test *test)
{
    EXPECT_SET(322, 3, PS_MEMORY_IMAGE,
               "0+1 null, 300+10 usable, 310+10 reserved, 322+3 image, "
               "330+10 usable");
    EXPECT_SET(320, 10, PS_MEMORY_IMAGE,
               "0+1 null, 300+10 usable, 310+10 reserved, 320+10 image, "
               "330+10 usable");
    EXPECT_SET(280, 3, PS_MEMORY_IMAGE,
               "0+1 null, 280+3 image, 300+10 usable, 310+10 reserved, "
               "330+10 usable");
    EXPECT_SET(345, 3, PS_MEMORY_IMAGE,
               "0+1 null, 300+10 usable, 310+10 reserved, 330+10 usable, "
               "345+3 image");
    EXPECT_SET(FRAMES_END - 1, 1, PS_MEMORY_MMIO,
               "0+1 null, 300+10 usable, 310+10 reserved, 330+10 usable, "
               "4503599627370495+1 mmio");
}

static void set_merges_with_both_neighbours(struct test *test)
{
    EXPECT_SET(310, 20, PS_MEMORY_USABLE, "0+1 null, 300+40 usable");
    EXPECT_SET(305, 30, PS_MEMORY_USABLE, "0+1 null, 300+40 usable");
    EXPECT_SET(310, 10, PS_MEMORY_USABLE, "0+1 null, 300+20 usable, 330+10 usable");
    EXPECT_SET(320, 10, PS_MEMORY_RESERVED,
               "0+1 null, 300+10 usable, 310+20 reserved, "
               "330+10 usable");
    EXPECT_SET(308, 2, PS_MEMORY_RESERVED,
               "0+1 null, 300+8 usable, 308+12 reserved, "
               "330+10 usable");
    EXPECT_SET(302, 3, PS_MEMORY_USABLE,
               "0+1 null, 300+10 usable, 310+10 reserved, "
               "330+10 usable");
    EXPECT_SET(340, 5, PS_MEMORY_USABLE,
               "0+1 null, 300+10 usable, 310+10 reserved, "
               "330+15 usable");
}

static void set_names_free_ram_by_its_place(struct test *test)
{
    EXPECT_SET(200, 100, PS_MEMORY_USABLE,
               "0+1 null, 200+56 low, 256+54 usable, 310+10 reserved, 330+10 usable");
    EXPECT_SET(200, 100, PS_MEMORY_LOW,
               "0+1 null, 200+56 low, 256+54 usable, 310+10 reserved, 330+10 usable");
    EXPECT_SET(200, 56, PS_MEMORY_USABLE,
               "0+1 null, 200+56 low, 300+10 usable, 310+10 reserved, 330+10 usable");
    EXPECT_SET(310, 1, PS_MEMORY_LOW, "0+1 null, 300+11 usable, 311+9 reserved, 330+10 usable");
    EXPECT_SET(256, 1, PS_MEMORY_LOW,
               "0+1 null, 256+1 usable, 300+10 usable, 310+10 reserved, 330+10 usable");
}

static void set_leaves_page_zero_null(struct test *test)
{
    EXPECT_SET(0, 1, PS_MEMORY_IMAGE, "0+1 null, 300+10 usable, 310+10 reserved, 330+10 usable");
    EXPECT_SET(0, 2, PS_MEMORY_IMAGE,
               "0+1 null, 1+1 image, 300+10 usable, 310+10 reserved, 330+10 usable");
    EXPECT_SET(0, 512, PS_MEMORY_USABLE, "0+1 null, 1+255 low, 256+256 usable");
    EXPECT_SET(0, FRAMES_END, PS_MEMORY_RESERVED, "0+1 null, 1+4503599627370495 reserved");
}

static void a_framebuffer_in_ram_is_taken_out(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 1, {7, MAP_FRAME(256), 0x1e600, WB});
    set(test, &map, 0x1e500, 0x100, PS_MEMORY_FRAMEBUFFER);
    EXPECT_TEXT(map_text(&map),
                "0+1 null, 256+123904 usable, 124160+256 framebuffer, 124416+256 usable");
    EXPECT(!ps_memory_map_is_ram(&map, ps_frame(0x1e4ff), ps_pages(2)));
    map_free(&map);
}

static void set_refuses_bad_arguments(struct test *test)
{
    struct ps_memory_map map;
    const char *before = "0+1 null, 300+10 usable";

    BUILD_MAP(&map, 4, {7, MAP_FRAME(300), 10, WB});
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(300), ps_pages(0), PS_MEMORY_IMAGE),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(FRAMES_END), ps_pages(1), PS_MEMORY_IMAGE),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(FRAMES_END - 1), ps_pages(2), PS_MEMORY_IMAGE),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(300), ps_pages(UINT64_MAX), PS_MEMORY_IMAGE),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(
        ps_memory_map_set(&map, ps_frame(UINT64_MAX), ps_pages(UINT64_MAX), PS_MEMORY_IMAGE),
        PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(300), ps_pages(1), PS_MEMORY_TYPE_COUNT),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(300), ps_pages(1), PS_MEMORY_NULL),
                  PS_INVALID_ARGS);
    EXPECT_TEXT(map_text(&map), before);
    map_free(&map);
}

/* ---- room ---- */

/* The same ranges in an array with `free` places behind them. */
static void with_room(struct ps_memory_map *map, const struct ps_memory_map *of, size_t free_places)
{
    *map = *of;
    map->capacity = of->count + free_places;
    map->ranges = malloc(map->capacity * sizeof(*map->ranges));
    if (map->ranges == NULL)
        abort();
    memcpy(map->ranges, of->ranges, of->count * sizeof(*map->ranges));
}

struct room_row {
    uint64_t first;
    uint64_t pages;
    enum ps_memory_type type;
    size_t takes; /* places */
};

/* On 0+1 null, 300+10 usable, 310+10 reserved, 330+10 usable. */
static const struct room_row room_rows[] = {
    {303, 3, PS_MEMORY_IMAGE, 2},   {300, 3, PS_MEMORY_IMAGE, 1},   {307, 3, PS_MEMORY_IMAGE, 1},
    {300, 10, PS_MEMORY_IMAGE, 0},  {305, 10, PS_MEMORY_IMAGE, 1},  {322, 3, PS_MEMORY_IMAGE, 1},
    {240, 30, PS_MEMORY_IMAGE, 2},  {240, 30, PS_MEMORY_USABLE, 2}, {240, 60, PS_MEMORY_USABLE, 1},
    {310, 20, PS_MEMORY_USABLE, 0}, {303, 3, PS_MEMORY_USABLE, 0},  {240, 65, PS_MEMORY_IMAGE, 2},
};

static void too_little_room_changes_nothing(struct test *test)
{
    struct ps_memory_map base;

    BUILD_MAP(&base, 0, {7, MAP_FRAME(300), 10, WB}, {0, MAP_FRAME(310), 10, 0},
              {7, MAP_FRAME(330), 10, WB});
    for (size_t i = 0; i < PS_ARRAY_SIZE(room_rows); i++) {
        const struct room_row *row = &room_rows[i];

        for (size_t room = 0; room <= 2; room++) {
            struct ps_memory_map map;
            ps_status status;

            with_room(&map, &base, room);
            status = ps_memory_map_set(&map, ps_frame(row->first), ps_pages(row->pages), row->type);
            if (!EXPECT_STATUS(status, room < row->takes ? PS_BUFFER_TOO_SMALL : PS_OK))
                test_note(test, "row %zu, %zu free", i, room);
            if (status != PS_OK)
                EXPECT(map_equal(&map, &base));
            EXPECT_EQ(map.capacity, base.count + room);
            (void)map_is_valid(test, &map);
            map_free(&map);
        }
    }
    map_free(&base);
}

/* A range that crosses 1 MiB holds a place for its cut, and may lie outside of what is set. */
static void the_place_for_a_cut_is_not_given_away(struct test *test)
{
    struct ps_memory_map base;
    struct ps_memory_map map;

    BUILD_MAP(&base, 0, {4, MAP_FRAME(200), 100, WB}, {7, MAP_FRAME(400), 100, WB});
    with_room(&map, &base, 2);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(420), ps_pages(1), PS_MEMORY_IMAGE),
                  PS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(210), ps_pages(1), PS_MEMORY_IMAGE),
                  PS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(100), ps_pages(1), PS_MEMORY_IMAGE), PS_OK);
    EXPECT_STATUS(ps_memory_map_set(&map, ps_frame(102), ps_pages(1), PS_MEMORY_IMAGE),
                  PS_BUFFER_TOO_SMALL);
    ps_memory_map_retype(&map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE);
    EXPECT_EQ(map.count, map.capacity);
    EXPECT_TEXT(map_text(&map), "0+1 null, 100+1 image, 200+56 low, 256+44 usable, 400+100 usable");
    (void)map_is_valid(test, &map);
    map_free(&map);
    map_free(&base);
}

/* On 0+1 null, and a range over 1 MiB: how many places a call takes, cuts included. */
static void a_cut_that_is_made_gives_its_place_back(struct test *test)
{
    static const struct {
        uint64_t first;
        uint64_t end;
        struct room_row row;
    } rows[] = {
        {200, 300, {200, 56, PS_MEMORY_IMAGE, 0}},   {200, 300, {256, 44, PS_MEMORY_IMAGE, 0}},
        {200, 300, {210, 46, PS_MEMORY_IMAGE, 1}},   {200, 300, {256, 10, PS_MEMORY_IMAGE, 1}},
        {200, 300, {250, 20, PS_MEMORY_IMAGE, 2}},   {200, 300, {200, 100, PS_MEMORY_LOW, 0}},
        {255, 257, {100, 1, PS_MEMORY_IMAGE, 1}},    {255, 257, {400, 1, PS_MEMORY_IMAGE, 1}},
        {255, 257, {255, 1, PS_MEMORY_IMAGE, 0}},    {255, 257, {256, 1, PS_MEMORY_IMAGE, 0}},
        {255, 257, {254, 1, PS_MEMORY_USABLE, 1}},   {255, 257, {254, 4, PS_MEMORY_MMIO, 0}},
        {255, 256, {256, 1, PS_MEMORY_RESERVED, 1}}, {256, 257, {255, 1, PS_MEMORY_RESERVED, 1}},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
        const struct room_row *row = &rows[i].row;
        struct ps_memory_map base;
        bool crosses = rows[i].first < 256 && rows[i].end > 256;

        BUILD_MAP(&base, 0, {0, MAP_FRAME(rows[i].first), rows[i].end - rows[i].first, 0});
        for (size_t room = 0; room <= 2; room++) {
            struct ps_memory_map map;
            ps_status status;

            with_room(&map, &base, room + crosses);
            status = ps_memory_map_set(&map, ps_frame(row->first), ps_pages(row->pages), row->type);
            if (!EXPECT_STATUS(status, room < row->takes ? PS_BUFFER_TOO_SMALL : PS_OK))
                test_note(test, "row %zu, %zu free", i, room);
            if (status != PS_OK)
                EXPECT(map_equal(&map, &base));
            ps_memory_map_retype(&map, PS_MEMORY_RESERVED, PS_MEMORY_USABLE);
            (void)map_is_valid(test, &map);
            map_free(&map);
        }
        map_free(&base);
    }
}

/* What the capacity promises: every overlay of the worst map has its two places. */
static void capacity_holds_every_overlay(struct test *test)
{
    enum { OVERLAYS = 40 };
    struct ps_memory_map map;

    BUILD_MAP(&map, OVERLAYS, {3, MAP_FRAME(1), 500, WB});
    for (uint64_t i = 0; i < OVERLAYS; i++)
        set(test, &map, 2 + 2 * i, 1, PS_MEMORY_IMAGE);
    EXPECT_EQ(map.count, 2 + 2 * OVERLAYS);
    ps_memory_map_retype(&map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE);
    EXPECT_EQ(map.count, 3 + 2 * OVERLAYS);
    EXPECT_EQ(map.count, map.capacity);
    (void)map_is_valid(test, &map);
    map_free(&map);
}

/* ---- retype ---- */

static void reclaim_turns_boot_services_into_free_ram_and_merges(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {3, MAP_FRAME(1), 4, WB}, {7, MAP_FRAME(5), 4, WB},
              {4, MAP_FRAME(250), 100, WB}, {7, MAP_FRAME(350), 50, WB},
              {4, MAP_FRAME(400), 50, WB}, {6, MAP_FRAME(450), 50, WB | RUNTIME},
              {4, MAP_FRAME(500), 1, WB});
    ps_memory_map_retype(&map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE);
    EXPECT_TEXT(map_text(&map), "0+1 null, 1+8 low, 250+6 low, 256+194 usable, "
                                "450+50 runtime-data, 500+1 usable");
    (void)map_is_valid(test, &map);
    map_free(&map);
}

static void retype_merges_across_one_mebibyte_and_cuts_again(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(1), 500, WB});
    for (unsigned round = 0; round < 3; round++) {
        ps_memory_map_retype(&map, PS_MEMORY_USABLE, PS_MEMORY_LOADER);
        EXPECT_TEXT(map_text(&map), "0+1 null, 1+255 low, 256+245 loader");
        ps_memory_map_retype(&map, PS_MEMORY_LOW, PS_MEMORY_LOADER);
        EXPECT_TEXT(map_text(&map), "0+1 null, 1+500 loader");
        ps_memory_map_retype(&map, PS_MEMORY_LOADER, PS_MEMORY_LOW);
        EXPECT_TEXT(map_text(&map), "0+1 null, 1+255 low, 256+245 usable");
    }
    (void)map_is_valid(test, &map);
    map_free(&map);
}

static void retype_of_free_ram_to_free_ram_changes_nothing(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(1), 500, WB}, {4, MAP_FRAME(600), 1, WB});
    ps_memory_map_retype(&map, PS_MEMORY_USABLE, PS_MEMORY_LOW);
    ps_memory_map_retype(&map, PS_MEMORY_LOW, PS_MEMORY_USABLE);
    ps_memory_map_retype(&map, PS_MEMORY_USABLE, PS_MEMORY_USABLE);
    ps_memory_map_retype(&map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_BOOT_SERVICES);
    ps_memory_map_retype(&map, PS_MEMORY_BAD, PS_MEMORY_USABLE);
    EXPECT_TEXT(map_text(&map), "0+1 null, 1+255 low, 256+245 usable, 600+1 boot-services");
    map_free(&map);
}

static void retype_leaves_null_and_unknown_types_alone(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(1), 500, WB});
    ps_memory_map_retype(&map, PS_MEMORY_NULL, PS_MEMORY_USABLE);
    ps_memory_map_retype(&map, PS_MEMORY_USABLE, PS_MEMORY_NULL);
    ps_memory_map_retype(&map, PS_MEMORY_TYPE_COUNT, PS_MEMORY_USABLE);
    ps_memory_map_retype(&map, PS_MEMORY_USABLE, PS_MEMORY_TYPE_COUNT);
    EXPECT_TEXT(map_text(&map), "0+1 null, 1+255 low, 256+245 usable");
    map_free(&map);
}

/* ---- queries ---- */

static void find_tells_the_range_of_every_page_and_nothing_in_holes(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(5), 5, WB}, {4, MAP_FRAME(10), 1, WB},
              {7, MAP_FRAME(300), 10, WB}, {0, MAP_FRAME(FRAMES_END - 2), 2, 0});
    for (uint64_t frame = 0; frame < 320; frame++) {
        const struct ps_memory_range *range = ps_memory_map_find(&map, ps_frame(frame));
        size_t index = frame == 0 ? 0 : frame < 10 ? 1 : frame == 10 ? 2 : 3;
        bool hole = (frame > 0 && frame < 5) || (frame > 10 && frame < 300) || frame >= 310;

        EXPECT(range == (hole ? NULL : &map.ranges[index]));
    }
    EXPECT(ps_memory_map_find(&map, ps_frame(FRAMES_END - 3)) == NULL);
    EXPECT(ps_memory_map_find(&map, ps_frame(FRAMES_END - 2)) == &map.ranges[4]);
    EXPECT(ps_memory_map_find(&map, ps_frame(FRAMES_END - 1)) == &map.ranges[4]);
    EXPECT(ps_memory_map_find(&map, ps_frame(FRAMES_END)) == NULL);
    EXPECT(ps_memory_map_find(&map, ps_frame(UINT64_MAX)) == NULL);
    map_free(&map);
}

static void total_counts_the_pages_of_a_type(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(5), 5, WB}, {7, MAP_FRAME(300), 10, WB},
              {7, MAP_FRAME(400), 7, WB}, {0, MAP_FRAME(500), FRAMES_END - 500, 0});
    EXPECT_EQ(ps_memory_map_total(&map, PS_MEMORY_NULL).count, 1);
    EXPECT_EQ(ps_memory_map_total(&map, PS_MEMORY_LOW).count, 5);
    EXPECT_EQ(ps_memory_map_total(&map, PS_MEMORY_USABLE).count, 17);
    EXPECT_EQ(ps_memory_map_total(&map, PS_MEMORY_RESERVED).count, FRAMES_END - 500);
    EXPECT_EQ(ps_memory_map_total(&map, PS_MEMORY_BAD).count, 0);
    map_free(&map);
}

static bool is_ram(const struct ps_memory_map *map, uint64_t first, uint64_t pages)
{
    return ps_memory_map_is_ram(map, ps_frame(first), ps_pages(pages));
}

static void is_ram_wants_every_page_to_be_ram(struct test *test)
{
    struct ps_memory_map map;

    BUILD_MAP(&map, 0, {7, MAP_FRAME(200), 100, WB}, {4, MAP_FRAME(300), 10, WB},
              {9, MAP_FRAME(310), 10, WB}, {10, MAP_FRAME(320), 10, WB},
              {7, MAP_FRAME(330), 10, WB}, {7, MAP_FRAME(350), 10, WB},
              {7, MAP_FRAME(FRAMES_END - 2), 2, WB});
    EXPECT(is_ram(&map, 200, 1));
    EXPECT(is_ram(&map, 200, 120));
    EXPECT(is_ram(&map, 255, 2));
    EXPECT(is_ram(&map, 319, 1));
    EXPECT(is_ram(&map, 330, 10));
    EXPECT(is_ram(&map, 359, 1));
    EXPECT(is_ram(&map, FRAMES_END - 2, 2));
    EXPECT(!is_ram(&map, FRAMES_END - 2, 3));
    EXPECT(!is_ram(&map, 199, 1));
    EXPECT(!is_ram(&map, 199, 2));
    EXPECT(!is_ram(&map, 200, 121));
    EXPECT(!is_ram(&map, 319, 12));
    EXPECT(!is_ram(&map, 320, 1));
    EXPECT(!is_ram(&map, 330, 11));
    EXPECT(!is_ram(&map, 330, 25));
    EXPECT(!is_ram(&map, 359, 2));
    EXPECT(!is_ram(&map, 0, 1));
    EXPECT(!is_ram(&map, 200, 0));
    EXPECT(!is_ram(&map, 200, UINT64_MAX));
    EXPECT(!is_ram(&map, FRAMES_END, 1));
    EXPECT(!is_ram(&map, UINT64_MAX, UINT64_MAX));
    map_free(&map);
}

static const struct test_case cases[] = {
    TEST_CASE(set_covers_any_part_of_a_range),
    TEST_CASE(set_covers_several_ranges_and_holes),
    TEST_CASE(set_fills_holes),
    TEST_CASE(set_merges_with_both_neighbours),
    TEST_CASE(set_names_free_ram_by_its_place),
    TEST_CASE(set_leaves_page_zero_null),
    TEST_CASE(a_framebuffer_in_ram_is_taken_out),
    TEST_CASE(set_refuses_bad_arguments),
    TEST_CASE(too_little_room_changes_nothing),
    TEST_CASE(the_place_for_a_cut_is_not_given_away),
    TEST_CASE(a_cut_that_is_made_gives_its_place_back),
    TEST_CASE(capacity_holds_every_overlay),
    TEST_CASE(reclaim_turns_boot_services_into_free_ram_and_merges),
    TEST_CASE(retype_merges_across_one_mebibyte_and_cuts_again),
    TEST_CASE(retype_of_free_ram_to_free_ram_changes_nothing),
    TEST_CASE(retype_leaves_null_and_unknown_types_alone),
    TEST_CASE(find_tells_the_range_of_every_page_and_nothing_in_holes),
    TEST_CASE(total_counts_the_pages_of_a_type),
    TEST_CASE(is_ram_wants_every_page_to_be_ram),
};

const struct test_suite suite_memory_map_change = TEST_SUITE("memory_map_change", cases);
