/*
 * Random lists and calls against an oracle that knows one thing of every page: its type.
 *
 * The oracle looks at two windows, the lowest and the highest 512 pages of the address space,
 * and at one page between them: all edges lie in the windows. It asks every entry about
 * every page, with 128-bit ends, and knows neither ranges nor an order.
 */
#include "memory_map_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "unit_suites.h"

enum { WINDOW = 512, PAGES = 2 * WINDOW + 1, HOLE = PS_MEMORY_TYPE_COUNT };
enum { ENTRIES_MAX = 48, SEEDS = 600, STEPS = 16, LOW_PAGES = 256 };

static uint64_t frame_of(size_t page)
{
    if (page == WINDOW)
        return (uint64_t)1 << 30;
    return page < WINDOW ? page : FRAMES_END - (PAGES - page);
}

/* ---- the oracle ---- */

typedef unsigned __int128 wide;

struct extent {
    wide base;
    wide end; /* may be past 2^64 */
    enum ps_memory_type type;
};

struct oracle {
    enum ps_memory_type pages[PAGES];
};

static enum ps_memory_type named_by_place(size_t page, enum ps_memory_type type)
{
    if (type != PS_MEMORY_USABLE && type != PS_MEMORY_LOW)
        return type;
    return page < LOW_PAGES ? PS_MEMORY_LOW : PS_MEMORY_USABLE;
}

static enum ps_memory_type type_of_page(size_t page, const struct extent *extents, size_t count)
{
    wide first = (wide)frame_of(page) << 12;
    wide end = first + 4096;
    int type = -1;

    if (page == 0)
        return PS_MEMORY_NULL;
    for (size_t i = 0; i < count; i++) {
        bool has = map_expected_whole(extents[i].type)
                       ? extents[i].base <= first && extents[i].end >= end
                       : extents[i].base < end && extents[i].end > first;

        if (has && extents[i].base < extents[i].end && (int)extents[i].type > type)
            type = (int)extents[i].type;
    }
    return type < 0 ? (enum ps_memory_type)HOLE : named_by_place(page, (enum ps_memory_type)type);
}

static void oracle_build(struct oracle *oracle, const struct extent *extents, size_t count)
{
    for (size_t page = 0; page < PAGES; page++)
        oracle->pages[page] = type_of_page(page, extents, count);
}

static void oracle_set(struct oracle *oracle, size_t first, size_t last, enum ps_memory_type type)
{
    for (size_t page = first; page <= last; page++)
        if (page != 0)
            oracle->pages[page] = named_by_place(page, type);
}

static void oracle_retype(struct oracle *oracle, enum ps_memory_type from, enum ps_memory_type to)
{
    for (size_t page = 1; page < PAGES; page++)
        if (oracle->pages[page] == from)
            oracle->pages[page] = named_by_place(page, to);
}

static size_t oracle_ranges(const struct oracle *oracle)
{
    size_t ranges = 0;

    for (size_t page = 0; page < PAGES; page++)
        ranges += oracle->pages[page] != (enum ps_memory_type)HOLE &&
                  (page == 0 || oracle->pages[page] != oracle->pages[page - 1]);
    return ranges;
}

/* The range over 1 MiB takes two. */
static size_t oracle_places(const struct oracle *oracle)
{
    enum ps_memory_type at = oracle->pages[LOW_PAGES];

    return oracle_ranges(oracle) +
           (at != (enum ps_memory_type)HOLE && at == oracle->pages[LOW_PAGES - 1]);
}

static bool agrees(struct test *test, const struct ps_memory_map *map, const struct oracle *oracle)
{
    size_t wrong = 0;

    for (size_t page = 0; page < PAGES; page++) {
        const struct ps_memory_range *range = ps_memory_map_find(map, ps_frame(frame_of(page)));
        unsigned type = range == NULL ? (unsigned)HOLE : (unsigned)range->type;

        if (type != (unsigned)oracle->pages[page] && wrong++ == 0)
            test_note(test, "frame 0x%" PS_PRIx " is %s, expected %s", frame_of(page),
                      ps_memory_type_name((enum ps_memory_type)type),
                      ps_memory_type_name(oracle->pages[page]));
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(map->count, oracle_ranges(oracle));
    return map_is_valid(test, map) && wrong == 0 && map->count == oracle_ranges(oracle);
}

/* ---- what the list looked like, pair by pair ---- */

static void count_oddities(const struct extent *extents, size_t count,
                           struct ps_memory_map_oddities *oddities)
{
    const struct extent *previous = NULL;

    for (size_t i = 0; i < count; i++) {
        bool overlaps = false;

        if (extents[i].base == extents[i].end) {
            oddities->zero_length++;
            continue;
        }
        oddities->unsorted += previous != NULL && extents[i].base < previous->base;
        previous = &extents[i];
        oddities->wrapping += extents[i].end > (wide)1 << 64;
        oddities->unaligned += extents[i].base % 4096 != 0 || extents[i].end % 4096 != 0;
        for (size_t j = 0; j < count; j++)
            overlaps |= extents[j].base < extents[j].end && extents[j].end > extents[i].base &&
                        (extents[j].base < extents[i].base ||
                         (extents[j].base == extents[i].base && j < i));
        oddities->overlapping += overlaps;
    }
    oddities->entries = (uint32_t)count;
}

static void count_type_oddities(const struct map_entry *entry,
                                struct ps_memory_map_oddities *oddities)
{
    bool runtime = (entry->attribute & RUNTIME) != 0;
    bool by_type = entry->type == 5 || entry->type == 6;

    if (entry->pages == 0)
        return;
    oddities->unknown_type += entry->type > 15 && entry->type < 0x70000000;
    oddities->oem_type += entry->type >= 0x70000000;
    oddities->runtime_by_type += by_type && !runtime;
    oddities->runtime_by_attribute +=
        runtime && !by_type && entry->type != 8 && entry->type != 11 && entry->type != 12;
    oddities->not_write_back +=
        map_expected_ours(entry->type) && !runtime && (entry->attribute & 8) == 0;
}

/* ---- random lists ---- */

static bool chance(struct test_random *random, uint64_t one_in)
{
    return test_random_below(random, one_in) == 0;
}

static uint64_t random_offset(struct test_random *random, bool aligned)
{
    uint64_t page =
        chance(random, 4) ? 250 + test_random_below(random, 12) : test_random_below(random, WINDOW);

    return (page << 12) + (aligned ? 0 : test_random_below(random, 4096));
}

/* A base in a window, and a length in bytes that ends in a window or wraps. */
static void random_place(struct test_random *random, uint64_t *base, wide *length)
{
    bool aligned = !chance(random, 3);
    uint64_t offset = random_offset(random, aligned);
    uint64_t room = ((uint64_t)WINDOW << 12) - offset;
    bool top = chance(random, 3);
    wide rest;

    *base = top ? MAP_FRAME(FRAMES_END - WINDOW) + offset : offset;
    rest = ((wide)1 << 64) - *base;
    if (chance(random, 10))
        *length = 0;
    else if (chance(random, 12))
        *length = rest + random_offset(random, aligned);
    else if (chance(random, 12))
        *length = rest - test_random_below(random, top ? room : (uint64_t)WINDOW << 12);
    else
        *length = chance(random, 2) ? ps_min(room, test_random_below(random, 9) << 12)
                                    : test_random_below(random, room + 1);
}

static uint32_t random_uefi_type(struct test_random *random)
{
    static const uint32_t rare[] = {16, 0x6fffffff, 0x70000000, 0x80000001};

    if (chance(random, 3))
        return 7;
    if (chance(random, 12))
        return rare[test_random_below(random, PS_ARRAY_SIZE(rare))];
    return (uint32_t)test_random_below(random, 16);
}

static struct map_entry random_entry(struct test_random *random)
{
    struct map_entry entry = {random_uefi_type(random), 0, 0, WB};
    wide length;

    random_place(random, &entry.start, &length);
    entry.pages = chance(random, 40) ? UINT64_MAX : (uint64_t)(length >> 12);
    if (chance(random, 8))
        entry.attribute = NO_WB;
    entry.attribute |= chance(random, 8) ? SP : 0;
    entry.attribute |= chance(random, 12) ? NV : 0;
    entry.attribute |= chance(random, 10) ? RUNTIME : 0;
    return entry;
}

static struct extent extent_of(const struct map_entry *entry)
{
    wide base = entry->start;

    return (struct extent){base, base + ((wide)entry->pages << 12), map_expected_type(entry)};
}

static size_t random_list(struct test_random *random, struct map_entry *entries,
                          struct extent *extents, struct ps_memory_map_oddities *oddities)
{
    size_t count = (size_t)test_random_below(random, ENTRIES_MAX + 1);

    *oddities = (struct ps_memory_map_oddities){0};
    for (size_t i = 0; i < count; i++) {
        /* Duplicates and near-duplicates do not come by themselves. */
        entries[i] = i > 0 && chance(random, 8) ? entries[test_random_below(random, i)]
                                                : random_entry(random);
        extents[i] = extent_of(&entries[i]);
        count_type_oddities(&entries[i], oddities);
    }
    count_oddities(extents, count, oddities);
    return count;
}

/* ---- random calls ---- */

static void random_set(struct test *test, struct test_random *random, struct ps_memory_map *map,
                       struct oracle *oracle)
{
    size_t a = (size_t)test_random_below(random, PAGES);
    size_t b = chance(random, 3) ? (size_t)test_random_below(random, PAGES)
                                 : ps_min(PAGES - 1, a + test_random_below(random, 20));
    size_t first = ps_min(a - (a == WINDOW), b - (b == WINDOW));
    size_t last = ps_max(a + (a == WINDOW), b + (b == WINDOW));
    enum ps_memory_type type = (enum ps_memory_type)test_random_below(random, PS_MEMORY_TYPE_COUNT);
    struct oracle after = *oracle;
    ps_status expected = PS_OK;

    oracle_set(&after, first, last, type);
    if (type == PS_MEMORY_NULL)
        expected = PS_INVALID_ARGS;
    else if (oracle_places(&after) > map->capacity)
        expected = PS_BUFFER_TOO_SMALL;
    if (expected == PS_OK)
        *oracle = after;
    EXPECT_STATUS(ps_memory_map_set(map, ps_frame(frame_of(first)),
                                    ps_pages(frame_of(last) - frame_of(first) + 1), type),
                  expected);
}

static void random_retype(struct test_random *random, struct ps_memory_map *map,
                          struct oracle *oracle)
{
    enum ps_memory_type from = (enum ps_memory_type)test_random_below(random, PS_MEMORY_TYPE_COUNT);
    enum ps_memory_type to = chance(random, 2)
                                 ? PS_MEMORY_USABLE
                                 : (enum ps_memory_type)test_random_below(random, PS_MEMORY_NULL);

    ps_memory_map_retype(map, from, to);
    if (from != PS_MEMORY_NULL)
        oracle_retype(oracle, from, to);
}

static void check_is_ram(struct test *test, struct test_random *random,
                         const struct ps_memory_map *map, const struct oracle *oracle)
{
    size_t first = (size_t)test_random_below(random, WINDOW);
    size_t count = 1 + (size_t)test_random_below(random, 16);
    bool ram = true;

    for (size_t page = first; page < first + count; page++)
        ram &= page < WINDOW && oracle->pages[page] <= PS_MEMORY_ACPI_RECLAIM;
    if (first + count <= WINDOW)
        EXPECT_EQ(ps_memory_map_is_ram(map, ps_frame(first), ps_pages(count)), ram);
}

/* ---- round trips ---- */

static enum ps_memory_type back_from_uefi(enum ps_memory_type type)
{
    if (type == PS_MEMORY_IMAGE)
        return PS_MEMORY_LOADER;
    return type == PS_MEMORY_FRAMEBUFFER || type == PS_MEMORY_NOT_CACHEABLE ? PS_MEMORY_RESERVED
                                                                            : type;
}

static enum ps_memory_type back_from_e820(enum ps_memory_type type)
{
    switch ((unsigned)type) {
    case PS_MEMORY_USABLE:
    case PS_MEMORY_LOW:
    case PS_MEMORY_ACPI_RECLAIM:
    case PS_MEMORY_SOFT_RESERVED:
    case PS_MEMORY_PERSISTENT:
    case PS_MEMORY_ACPI_NVS:
    case PS_MEMORY_NULL:
    case PS_MEMORY_BAD:
    case HOLE:
        return type;
    default:
        return PS_MEMORY_RESERVED;
    }
}

static void check_uefi_round_trip(struct test *test, const struct ps_memory_map *map,
                                  const struct oracle *oracle)
{
    struct ps_uefi_descriptor *out = malloc(map->count * sizeof(*out));
    size_t capacity = ps_memory_map_capacity(map->count, 0);
    struct ps_memory_range *storage = malloc(capacity * sizeof(*storage));
    struct oracle expected = *oracle;
    struct ps_memory_map back;
    size_t needed = 0;

    for (size_t page = 0; page < PAGES; page++)
        expected.pages[page] = back_from_uefi(oracle->pages[page]);
    REQUIRE(out != NULL && storage != NULL);
    EXPECT_OK(ps_memory_map_to_uefi(map, out, map->count, &needed));
    EXPECT_OK(ps_memory_map_from_uefi(&back, out, needed * sizeof(*out), sizeof(*out), storage,
                                      capacity));
    (void)agrees(test, &back, &expected);
    free(storage);
    free(out);
}

static void check_e820_round_trip(struct test *test, const struct ps_memory_map *map,
                                  const struct oracle *oracle)
{
    struct ps_e820_entry *out = malloc(map->count * sizeof(*out));
    struct oracle expected = *oracle;
    struct ps_memory_map back;
    size_t needed = 0;

    for (size_t page = 0; page < PAGES; page++)
        expected.pages[page] = back_from_e820(oracle->pages[page]);
    REQUIRE(out != NULL);
    EXPECT_OK(ps_memory_map_to_e820(map, false, out, map->count, &needed));
    if (map_build_e820(test, &back, out, needed, true)) {
        (void)agrees(test, &back, &expected);
        map_free(&back);
    }
    free(out);
}

/* ---- cases ---- */

static void expect_oddities(struct test *test, const struct ps_memory_map_oddities *a,
                            const struct ps_memory_map_oddities *b)
{
    EXPECT_EQ(a->entries, b->entries);
    EXPECT_EQ(a->unsorted, b->unsorted);
    EXPECT_EQ(a->overlapping, b->overlapping);
    EXPECT_EQ(a->zero_length, b->zero_length);
    EXPECT_EQ(a->wrapping, b->wrapping);
    EXPECT_EQ(a->unaligned, b->unaligned);
    EXPECT_EQ(a->unknown_type, b->unknown_type);
    EXPECT_EQ(a->oem_type, b->oem_type);
    EXPECT_EQ(a->not_write_back, b->not_write_back);
    EXPECT_EQ(a->runtime_by_type, b->runtime_by_type);
    EXPECT_EQ(a->runtime_by_attribute, b->runtime_by_attribute);
}

static void run_uefi_seed(struct test *test, uint64_t seed)
{
    struct test_random random = test_random(seed);
    struct map_entry entries[ENTRIES_MAX];
    struct extent extents[ENTRIES_MAX];
    struct ps_memory_map_oddities oddities;
    size_t count = random_list(&random, entries, extents, &oddities);
    struct oracle oracle;
    struct ps_memory_map map;

    oracle_build(&oracle, extents, count);
    if (!map_build(test, &map, entries, count, (size_t)test_random_below(&random, 4)))
        return;
    expect_oddities(test, &map.oddities, &oddities);
    (void)agrees(test, &map, &oracle);
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
        if (chance(&random, 4))
            random_retype(&random, &map, &oracle);
        else
            random_set(test, &random, &map, &oracle);
        check_is_ram(test, &random, &map, &oracle);
        if (!agrees(test, &map, &oracle))
            test_note(test, "step %u", step);
    }
    check_uefi_round_trip(test, &map, &oracle);
    check_e820_round_trip(test, &map, &oracle);
    map_free(&map);
}

static void random_uefi_lists_and_calls_agree_with_the_oracle(struct test *test)
{
    for (uint64_t seed = 1; seed <= SEEDS && test->failures == 0; seed++) {
        run_uefi_seed(test, seed);
        if (test->failures != 0)
            test_note(test, "seed %" PS_PRIu, seed);
    }
}

static enum ps_memory_type e820_meaning(uint32_t type)
{
    static const enum ps_memory_type meanings[] = {
        PS_MEMORY_RESERVED, PS_MEMORY_USABLE,   PS_MEMORY_RESERVED, PS_MEMORY_ACPI_RECLAIM,
        PS_MEMORY_ACPI_NVS, PS_MEMORY_BAD,      PS_MEMORY_RESERVED, PS_MEMORY_PERSISTENT,
        PS_MEMORY_RESERVED, PS_MEMORY_RESERVED,
    };

    return meanings[type];
}

static void run_e820_seed(struct test *test, uint64_t seed)
{
    struct test_random random = test_random(seed);
    size_t count = (size_t)test_random_below(&random, ENTRIES_MAX + 1);
    struct ps_e820_entry entries[ENTRIES_MAX];
    struct extent extents[ENTRIES_MAX];
    struct ps_memory_map_oddities oddities = {0};
    struct oracle oracle;
    struct ps_memory_map map;

    for (size_t i = 0; i < count; i++) {
        wide length;

        entries[i] = (struct ps_e820_entry){.type = (uint32_t)test_random_below(&random, 10)};
        random_place(&random, &entries[i].base, &length);
        if (length >> 64 != 0)
            length = UINT64_MAX;
        entries[i].length = (uint64_t)length;
        extents[i] = (struct extent){entries[i].base, entries[i].base + length,
                                     e820_meaning(entries[i].type)};
        oddities.unknown_type += length != 0 && (entries[i].type % 8 == 0 || entries[i].type == 6 ||
                                                 entries[i].type == 9);
    }
    count_oddities(extents, count, &oddities);
    oracle_build(&oracle, extents, count);
    if (!map_build_e820(test, &map, entries, count, false))
        return;
    expect_oddities(test, &map.oddities, &oddities);
    (void)agrees(test, &map, &oracle);
    map_free(&map);
}

static void random_e820_lists_agree_with_the_oracle(struct test *test)
{
    for (uint64_t seed = 1; seed <= SEEDS && test->failures == 0; seed++) {
        run_e820_seed(test, seed);
        if (test->failures != 0)
            test_note(test, "seed %" PS_PRIu, seed);
    }
}

static void shuffle(struct test_random *random, struct map_entry *entries, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)test_random_below(random, i);
        struct map_entry entry = entries[i - 1];

        entries[i - 1] = entries[other];
        entries[other] = entry;
    }
}

static void the_order_of_the_entries_makes_no_difference(struct test *test)
{
    for (uint64_t seed = 1; seed <= SEEDS && test->failures == 0; seed++) {
        struct test_random random = test_random(seed);
        struct map_entry entries[ENTRIES_MAX];
        struct extent extents[ENTRIES_MAX];
        struct ps_memory_map_oddities ignored;
        size_t count = random_list(&random, entries, extents, &ignored);
        struct ps_memory_map map;
        struct ps_memory_map other;

        REQUIRE(map_build(test, &map, entries, count, 0));
        shuffle(&random, entries, count);
        REQUIRE(map_build(test, &other, entries, count, 0));
        EXPECT(map_equal(&map, &other));
        other.oddities.unsorted = map.oddities.unsorted;
        expect_oddities(test, &map.oddities, &other.oddities);
        if (test->failures != 0)
            test_note(test, "seed %" PS_PRIu, seed);
        map_free(&other);
        map_free(&map);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(random_uefi_lists_and_calls_agree_with_the_oracle),
    TEST_CASE(random_e820_lists_agree_with_the_oracle),
    TEST_CASE(the_order_of_the_entries_makes_no_difference),
};

const struct test_suite suite_memory_map_random = TEST_SUITE("memory_map_random", cases);
