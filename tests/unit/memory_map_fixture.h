/*
 * Memory maps for tests: built from a few entries, told as one line of text.
 *
 * Every array is its own allocation of exactly the size that the call was told, so that a
 * step past its end is a report of the address sanitizer.
 */
#ifndef TESTS_UNIT_MEMORY_MAP_FIXTURE_H
#define TESTS_UNIT_MEMORY_MAP_FIXTURE_H

#include <pagestage/memory_map.h>

#include "harness/test.h"

/* Attributes of UEFI descriptors: all cache types; the same without write-back. */
#define WB      0xfu
#define NO_WB   0x7u
#define NV      ((uint64_t)1 << 15)
#define SP      ((uint64_t)1 << 18)
#define RUNTIME ((uint64_t)1 << 63)

enum {
    LAST_PAGE_BITS = 52,
    STRIDE = 48,
};
#define FRAMES_END        ((uint64_t)1 << LAST_PAGE_BITS)
#define MAP_FRAME(number) ((uint64_t)(number) << 12)

/* A data line of a memory map. */
struct map_entry {
    uint32_t type;
    uint64_t start; /* bytes */
    uint64_t pages;
    uint64_t attribute;
};

/* The bytes a firmware would return; the caller frees them. What no field covers is junk. */
void *map_raw(const struct map_entry *entries, size_t count, size_t stride);

/* A map of entries, with room for `overlays` calls of ps_memory_map_set(); it is valid. */
bool map_build(struct test *test, struct ps_memory_map *map, const struct map_entry *entries,
               size_t count, size_t overlays);
bool map_build_e820(struct test *test, struct ps_memory_map *map,
                    const struct ps_e820_entry *entries, size_t count, bool extended);
/* Any map that must be valid. */
bool map_is_valid(struct test *test, const struct ps_memory_map *map);
void map_free(struct ps_memory_map *map);

/* "0+1 null, 1+255 low, 256+16 usable": first frame + pages, type. Cut where too long. */
const char *map_text(const struct ps_memory_map *map);

/* The maps have the same ranges. */
bool map_equal(const struct ps_memory_map *a, const struct ps_memory_map *b);

/* What a page of this entry is, by the rules of the header, told a second time in other words. */
enum ps_memory_type map_expected_type(const struct map_entry *entry);
/* Types 1 to 4 and 7. */
bool map_expected_ours(uint32_t type);
/* Pages of this type must be whole; of others, one byte takes the page. */
bool map_expected_whole(enum ps_memory_type type);

/* Build from entries, compare, free: for cases that say no more than that. */
void expect_map(struct test *test, const struct map_entry *entries, size_t count,
                const char *expected, const char *file, int line);

#define ENTRIES(...)           \
    (const struct map_entry[]) \
    {                          \
        __VA_ARGS__            \
    }
#define ENTRY_COUNT(...) (sizeof(ENTRIES(__VA_ARGS__)) / sizeof(struct map_entry))
#define EXPECT_MAP(expected, ...) \
    expect_map(test, ENTRIES(__VA_ARGS__), ENTRY_COUNT(__VA_ARGS__), (expected), __FILE__, __LINE__)

/* REQUIRE that `map` can be built of these entries. */
#define BUILD_MAP(map, overlays, ...) \
    REQUIRE(map_build(test, (map), ENTRIES(__VA_ARGS__), ENTRY_COUNT(__VA_ARGS__), (overlays)))

#endif
