/*
 * Memory maps of real machines, from tests/data/memory_maps/: read, normalised, compared with
 * what a naive look at the same lines says, and with totals that were summed elsewhere.
 * Run from the root of the repository.
 */
#include "memory_map_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit_suites.h"

#ifndef MEMORY_MAP_FOLDER
#define MEMORY_MAP_FOLDER "tests/data/memory_maps"
#endif

enum { FILES_MIN = 10, FILES_WITH_TOTALS_MIN = 3, ENTRIES_MIN = 10, LINES_MAX = 512 };

/* What a file says; a total that it does not tell is UINT64_MAX. */
struct real_map {
    struct map_entry entries[LINES_MAX];
    size_t count;
    uint64_t conventional;
    uint64_t boot_services;
    uint64_t runtime;
    uint64_t listed_entries;
};

typedef void (*real_check)(struct test *test, const struct real_map *real,
                           struct ps_memory_map *map);

/* ---- reading ---- */

static void read_header(struct real_map *real, const char *line)
{
    unsigned long long value;

    if (sscanf(line, "# total conventional: %llu", &value) == 1)
        real->conventional = value;
    else if (sscanf(line, "# total boot_services: %llu", &value) == 1)
        real->boot_services = value;
    else if (sscanf(line, "# total runtime: %llu", &value) == 1)
        real->runtime = value;
    else if (sscanf(line, "# total entries: %llu", &value) == 1)
        real->listed_entries = value;
}

static bool read_entry(struct real_map *real, const char *line)
{
    unsigned type;
    unsigned long long start;
    unsigned long long pages;
    unsigned long long attribute;

    if (real->count == LINES_MAX ||
        sscanf(line, "%u %llx %llu %llx", &type, &start, &pages, &attribute) != 4)
        return false;
    real->entries[real->count++] = (struct map_entry){type, start, pages, attribute};
    return true;
}

static bool read_map(struct test *test, const char *path, struct real_map *real)
{
    FILE *file = fopen(path, "r");
    char line[1024];
    bool good = true;

    *real = (struct real_map){.conventional = UINT64_MAX,
                              .boot_services = UINT64_MAX,
                              .runtime = UINT64_MAX,
                              .listed_entries = UINT64_MAX};
    if (!EXPECT(file != NULL))
        return false;
    while (good && fgets(line, sizeof(line), file) != NULL) {
        if (line[0] == '#')
            read_header(real, line);
        else if (line[0] != '\n')
            good = read_entry(real, line);
    }
    (void)fclose(file);
    if (!EXPECT(good))
        test_note(test, "line: %s", line);
    return good && EXPECT(real->count >= ENTRIES_MIN);
}

/* Run `check` on the map of every file. */
static void for_every_map(struct test *test, real_check check)
{
    static struct real_map real;
    DIR *folder = opendir(MEMORY_MAP_FOLDER);
    const struct dirent *item;
    size_t files = 0;

    REQUIRE(folder != NULL);
    while ((item = readdir(folder)) != NULL) {
        const char *suffix = strrchr(item->d_name, '.');
        uint64_t failures = test->failures;
        struct ps_memory_map map;
        char path[512];

        if (suffix == NULL || strcmp(suffix, ".map") != 0)
            continue;
        files++;
        (void)snprintf(path, sizeof(path), "%s/%s", MEMORY_MAP_FOLDER, item->d_name);
        if (read_map(test, path, &real) && map_build(test, &map, real.entries, real.count, 1)) {
            check(test, &real, &map);
            map_free(&map);
        }
        if (test->failures != failures)
            test_note(test, "file %s", path);
    }
    (void)closedir(folder);
    EXPECT(files >= FILES_MIN);
}

/* ---- the naive look ---- */

/* The strongest type of all lines that list this page, PS_MEMORY_TYPE_COUNT for none. */
static enum ps_memory_type naive_type(const struct real_map *real, uint64_t frame)
{
    int type = -1;

    if (frame == 0)
        return PS_MEMORY_NULL;
    for (size_t i = 0; i < real->count; i++) {
        const struct map_entry *entry = &real->entries[i];
        uint64_t first = entry->start >> 12;

        if (frame >= first && frame - first < entry->pages)
            type = (int)ps_max((uint64_t)(type + 1), (uint64_t)map_expected_type(entry) + 1) - 1;
    }
    if (type == PS_MEMORY_USABLE && frame < 256)
        return PS_MEMORY_LOW;
    return type < 0 ? PS_MEMORY_TYPE_COUNT : (enum ps_memory_type)type;
}

static void expect_page(struct test *test, const struct real_map *real,
                        const struct ps_memory_map *map, uint64_t frame)
{
    const struct ps_memory_range *range = ps_memory_map_find(map, ps_frame(frame));
    enum ps_memory_type type = range == NULL ? PS_MEMORY_TYPE_COUNT : range->type;

    if (!EXPECT_EQ(type, naive_type(real, frame)))
        test_note(test, "frame 0x%" PS_PRIx, frame);
}

/* Types change at edges of entries only: the pages on both sides of every edge tell all. */
static void check_edges(struct test *test, const struct real_map *real, struct ps_memory_map *map)
{
    for (size_t i = 0; i < real->count; i++) {
        uint64_t first = real->entries[i].start >> 12;
        uint64_t end = first + real->entries[i].pages;

        EXPECT_EQ(real->entries[i].start % 4096, 0);
        expect_page(test, real, map, first - (first != 0));
        expect_page(test, real, map, first);
        expect_page(test, real, map, end - (end != 0));
        expect_page(test, real, map, end);
    }
    expect_page(test, real, map, 0);
    expect_page(test, real, map, 1);
    expect_page(test, real, map, 255);
    expect_page(test, real, map, 256);
}

static void every_page_has_the_type_that_a_naive_look_finds(struct test *test)
{
    for_every_map(test, check_edges);
}

/* ---- conservation ---- */

static uint64_t raw_total(const struct real_map *real, uint32_t low_type, uint32_t high_type)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < real->count; i++)
        if (real->entries[i].type >= low_type && real->entries[i].type <= high_type)
            pages += real->entries[i].pages;
    return pages;
}

static uint64_t total(const struct ps_memory_map *map, enum ps_memory_type type)
{
    return ps_memory_map_total(map, type).count;
}

static uint64_t total_free(const struct ps_memory_map *map)
{
    return total(map, PS_MEMORY_USABLE) + total(map, PS_MEMORY_LOW);
}

static uint64_t total_runtime(const struct ps_memory_map *map)
{
    return total(map, PS_MEMORY_RUNTIME_CODE) + total(map, PS_MEMORY_RUNTIME_DATA);
}

static void check_conservation(struct test *test, const struct real_map *real,
                               struct ps_memory_map *map)
{
    uint64_t all = 0;
    uint64_t free_before = total_free(map);
    uint64_t boot_services = total(map, PS_MEMORY_BOOT_SERVICES);
    uint64_t loader = total(map, PS_MEMORY_LOADER);

    for (unsigned type = 0; type < PS_MEMORY_TYPE_COUNT; type++)
        all += total(map, (enum ps_memory_type)type);
    EXPECT(free_before <= raw_total(real, 7, 7));
    EXPECT(free_before > 0);
    EXPECT(boot_services <= raw_total(real, 3, 4));
    EXPECT(loader <= raw_total(real, 1, 2));
    EXPECT(all <= raw_total(real, 0, UINT32_MAX) + 1);
    if (map->oddities.overlapping == 0)
        EXPECT(all >= raw_total(real, 0, UINT32_MAX));
    ps_memory_map_retype(map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE);
    (void)map_is_valid(test, map);
    EXPECT_EQ(total_free(map), free_before + boot_services);
    EXPECT_EQ(total(map, PS_MEMORY_BOOT_SERVICES), 0);
}

static void no_page_is_won_or_lost(struct test *test)
{
    for_every_map(test, check_conservation);
}

/* ---- round trips ---- */

static void check_round_trip(struct test *test, const struct real_map *real,
                             struct ps_memory_map *map)
{
    struct ps_uefi_descriptor *out = malloc(map->count * sizeof(*out));
    struct ps_e820_entry *e820 = malloc(map->count * sizeof(*e820));
    size_t capacity = ps_memory_map_capacity(map->count, 0);
    struct ps_memory_range *storage = malloc(capacity * sizeof(*storage));
    struct ps_memory_map back;
    size_t needed = 0;

    REQUIRE(out != NULL && e820 != NULL && storage != NULL);
    EXPECT_EQ(map->oddities.entries, real->count);
    EXPECT_OK(ps_memory_map_to_e820(map, false, e820, map->count, &needed));
    if (map_build_e820(test, &back, e820, needed, true)) {
        EXPECT_EQ(total_free(&back), total_free(map));
        map_free(&back);
    }
    EXPECT_OK(ps_memory_map_to_uefi(map, out, map->count, &needed));
    EXPECT_OK(ps_memory_map_from_uefi(&back, out, needed * sizeof(*out), sizeof(*out), storage,
                                      capacity));
    ps_memory_map_retype(map, PS_MEMORY_NOT_CACHEABLE, PS_MEMORY_RESERVED);
    EXPECT(map_equal(map, &back));
    EXPECT_EQ(back.oddities.unsorted, 0);
    EXPECT_EQ(back.oddities.overlapping, 0);
    free(storage);
    free(e820);
    free(out);
}

static void an_exported_map_normalises_to_itself(struct test *test)
{
    for_every_map(test, check_round_trip);
}

/* ---- totals ---- */

static size_t files_with_totals;

/* Page 0 is counted by the file and null in the map. */
static uint64_t page_zero(const struct real_map *real, uint32_t low_type, uint32_t high_type)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < real->count; i++)
        pages += real->entries[i].start == 0 && real->entries[i].pages != 0 &&
                 real->entries[i].type >= low_type && real->entries[i].type <= high_type;
    return pages;
}

static void check_totals(struct test *test, const struct real_map *real, struct ps_memory_map *map)
{
    if (real->listed_entries != UINT64_MAX)
        EXPECT_EQ(real->count, real->listed_entries);
    if (real->conventional == UINT64_MAX || map->oddities.overlapping != 0)
        return;
    files_with_totals++;
    EXPECT_EQ(total_free(map) + page_zero(real, 7, 7), real->conventional);
    EXPECT_EQ(total(map, PS_MEMORY_BOOT_SERVICES) + page_zero(real, 3, 4), real->boot_services);
    EXPECT_EQ(total_runtime(map) + page_zero(real, 5, 6), real->runtime);
}

static void totals_are_those_summed_by_hand(struct test *test)
{
    files_with_totals = 0;
    for_every_map(test, check_totals);
    EXPECT(files_with_totals >= FILES_WITH_TOTALS_MIN);
}

static const struct test_case cases[] = {
    TEST_CASE(every_page_has_the_type_that_a_naive_look_finds),
    TEST_CASE(no_page_is_won_or_lost),
    TEST_CASE(an_exported_map_normalises_to_itself),
    TEST_CASE(totals_are_those_summed_by_hand),
};

const struct test_suite suite_memory_map_real = TEST_SUITE("memory_map_real", cases);
