/* The strip picture: which column shows which type. */
#include <string.h>

#include "../../efi/memory_strip.h"
#include "harness/test.h"

enum { H = MEMORY_STRIP_HOLE };

static struct ps_memory_map map_of(struct ps_memory_range *ranges, size_t count)
{
    return (struct ps_memory_map){.ranges = ranges, .capacity = count, .count = count};
}

/* The columns as text: a letter a type. */
static const char *strip_of(const struct ps_memory_map *map, size_t count)
{
    static const char letters[] = "ULBlIASupcNdrFMR0X.";
    static uint8_t columns[MEMORY_STRIP_LIMIT + 1];
    static char text[MEMORY_STRIP_LIMIT + 1];

    _Static_assert(sizeof(letters) - 1 == MEMORY_STRIP_TYPES, "a letter a type");
    memset(columns, 0xee, sizeof(columns));
    memory_strip(map, columns, count);
    if (columns[count] != 0xee)
        return "wrote past the end";
    for (size_t i = 0; i < count; i++)
        text[i] = columns[i] < MEMORY_STRIP_TYPES ? letters[columns[i]] : '!';
    text[count] = '\0';
    return text;
}

static void ram_is_true_to_scale(struct test *test)
{
    struct ps_memory_range ranges[] = {{{0}, {100}, PS_MEMORY_USABLE},
                                       {{100}, {50}, PS_MEMORY_BOOT_SERVICES},
                                       {{150}, {50}, PS_MEMORY_LOADER}};
    struct ps_memory_map map = map_of(ranges, 3);

    EXPECT_TEXT(strip_of(&map, 4), "UUBl");
    EXPECT_TEXT(strip_of(&map, 8), "UUUUBBll");
}

static void column_shows_what_fills_most_of_it(struct test *test)
{
    struct ps_memory_range ranges[] = {{{0}, {60}, PS_MEMORY_USABLE},
                                       {{60}, {40}, PS_MEMORY_BOOT_SERVICES}};
    struct ps_memory_map map = map_of(ranges, 2);

    /* The fourth of five columns is pages 60 to 79, the second of two is 50 to 99. */
    EXPECT_TEXT(strip_of(&map, 5), "UUUBB");
    EXPECT_TEXT(strip_of(&map, 2), "UB");
    EXPECT_TEXT(strip_of(&map, 3), "UUB");
}

static void least_restrictive_type_wins_a_tie(struct test *test)
{
    struct ps_memory_range ranges[] = {{{0}, {50}, PS_MEMORY_LOADER},
                                       {{50}, {50}, PS_MEMORY_USABLE}};
    struct ps_memory_map map = map_of(ranges, 2);

    EXPECT_TEXT(strip_of(&map, 1), "U");
}

static void holes_and_devices_do_not_swallow_the_strip(struct test *test)
{
    /* 4 GiB of RAM, then a device at 8 TiB that is 64 GiB long. */
    struct ps_memory_range ranges[] = {{{0}, {0x100000}, PS_MEMORY_USABLE},
                                       {{0x80000000}, {0x1000000}, PS_MEMORY_MMIO}};
    struct ps_memory_map map = map_of(ranges, 2);

    EXPECT_TEXT(strip_of(&map, 26), "UUUUUUUUUUUUUUUUUUUUUUUU.M");
}

static void every_type_has_a_column(struct test *test)
{
    struct ps_memory_range ranges[] = {{{0}, {1}, PS_MEMORY_NULL},
                                       {{1}, {0x9f}, PS_MEMORY_LOW},
                                       {{0x100}, {1}, PS_MEMORY_ACPI_NVS},
                                       {{0x101}, {0xfffff}, PS_MEMORY_USABLE},
                                       {{0x100100}, {1}, PS_MEMORY_MMIO},
                                       {{0x100101}, {1}, PS_MEMORY_BAD},
                                       {{0x100102}, {1}, PS_MEMORY_RUNTIME_CODE}};
    struct ps_memory_map map = map_of(ranges, 7);
    const char *strip = strip_of(&map, 40);

    EXPECT(strncmp(strip, "0L", 2) == 0); /* in the order of their addresses */
    for (const char *letter = "0LNUMXr."; *letter != '\0'; letter++)
        if (!EXPECT(strchr(strip, *letter) != NULL))
            test_note(test, "no %c in %s", *letter, strip);
}

static void fewer_columns_than_types_are_filled_without_harm(struct test *test)
{
    struct ps_memory_range ranges[] = {
        {{0}, {1}, PS_MEMORY_NULL}, {{1}, {1}, PS_MEMORY_LOW}, {{2}, {98}, PS_MEMORY_USABLE}};
    struct ps_memory_map map = map_of(ranges, 3);

    EXPECT_TEXT(strip_of(&map, 1), "U");
    EXPECT_EQ(strlen(strip_of(&map, 2)), 2);
    EXPECT_TEXT(strip_of(&map, 0), "");
}

static void empty_map_is_one_hole(struct test *test)
{
    struct ps_memory_map map = {.count = 0};

    EXPECT_TEXT(strip_of(&map, 5), ".....");
    EXPECT_EQ(memory_strip_column(&map, 5, ps_frame(0)), 5);
}

static void map_without_ram_is_shown(struct test *test)
{
    struct ps_memory_range ranges[] = {{{0}, {1}, PS_MEMORY_NULL}, {{1}, {1000}, PS_MEMORY_MMIO}};
    struct ps_memory_map map = map_of(ranges, 2);

    EXPECT_TEXT(strip_of(&map, 4), "00MM");
}

static void largest_map_does_not_overflow(struct test *test)
{
    const uint64_t half = (uint64_t)1 << 39; /* 2^39 frames: 2^51 bytes */
    struct ps_memory_range ranges[] = {{{0}, {half}, PS_MEMORY_USABLE},
                                       {{half}, {half}, PS_MEMORY_PERSISTENT}};
    struct ps_memory_map map = map_of(ranges, 2);
    const char *strip = strip_of(&map, MEMORY_STRIP_LIMIT);

    EXPECT_EQ(strip[0], 'U');
    EXPECT_EQ(strip[MEMORY_STRIP_LIMIT - 1], 'p');
}

static void address_finds_its_column(struct test *test)
{
    struct ps_memory_range ranges[] = {{{0}, {80}, PS_MEMORY_USABLE},
                                       {{1000}, {70}, PS_MEMORY_USABLE}};
    struct ps_memory_map map = map_of(ranges, 2);

    /* The hole counts 150 / 16 + 1 pages: the whole strip is 160 wide. */
    EXPECT_EQ(memory_strip_column(&map, 16, ps_frame(0)), 0);
    EXPECT_EQ(memory_strip_column(&map, 16, ps_frame(79)), 7);
    EXPECT_EQ(memory_strip_column(&map, 16, ps_frame(80)), 8);
    EXPECT_EQ(memory_strip_column(&map, 16, ps_frame(999)), 8);
    EXPECT_EQ(memory_strip_column(&map, 16, ps_frame(1000)), 9);
    EXPECT_EQ(memory_strip_column(&map, 16, ps_frame(1069)), 15);
    EXPECT_EQ(memory_strip_column(&map, 16, ps_frame(1070)), 16);
    EXPECT_TEXT(strip_of(&map, 16), "UUUUUUUU.UUUUUUU");
}

static void totals_count_holes_between_ranges(struct test *test)
{
    struct ps_memory_range ranges[] = {
        {{10}, {20}, PS_MEMORY_USABLE}, {{40}, {5}, PS_MEMORY_MMIO}, {{45}, {7}, PS_MEMORY_USABLE}};
    struct ps_memory_map map = map_of(ranges, 3);
    uint64_t totals[MEMORY_STRIP_TYPES];
    uint64_t others = 0;

    memory_strip_totals(&map, totals);
    EXPECT_EQ(totals[PS_MEMORY_USABLE], 27);
    EXPECT_EQ(totals[PS_MEMORY_MMIO], 5);
    EXPECT_EQ(totals[H], 20);
    for (size_t i = 0; i < MEMORY_STRIP_TYPES; i++)
        others += totals[i];
    EXPECT_EQ(others, 52);
}

static const struct test_case cases[] = {
    TEST_CASE(ram_is_true_to_scale),
    TEST_CASE(column_shows_what_fills_most_of_it),
    TEST_CASE(least_restrictive_type_wins_a_tie),
    TEST_CASE(holes_and_devices_do_not_swallow_the_strip),
    TEST_CASE(every_type_has_a_column),
    TEST_CASE(fewer_columns_than_types_are_filled_without_harm),
    TEST_CASE(empty_map_is_one_hole),
    TEST_CASE(map_without_ram_is_shown),
    TEST_CASE(largest_map_does_not_overflow),
    TEST_CASE(address_finds_its_column),
    TEST_CASE(totals_count_holes_between_ranges),
};

const struct test_suite suite_memory_strip = TEST_SUITE("memory_strip", cases);
