#include "memory_map_fixture.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    if (memory == NULL)
        abort();
    memset(memory, 0xa5, size);
    return memory;
}

void *map_raw(const struct map_entry *entries, size_t count, size_t stride)
{
    uint8_t *raw = allocate(count * stride + (count == 0));

    for (size_t i = 0; i < count; i++) {
        uint8_t *at = raw + i * stride;

        memcpy(at, &entries[i].type, 4);
        memcpy(at + 8, &entries[i].start, 8);
        memcpy(at + 24, &entries[i].pages, 8);
        memcpy(at + 32, &entries[i].attribute, 8);
    }
    return raw;
}

bool map_is_valid(struct test *test, const struct ps_memory_map *map)
{
    char text[160];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    return EXPECT_OK(ps_memory_map_validate(map, &sink)) && EXPECT_TEXT(text, "");
}

bool map_build(struct test *test, struct ps_memory_map *map, const struct map_entry *entries,
               size_t count, size_t overlays)
{
    size_t capacity = ps_memory_map_capacity(count, overlays);
    struct ps_memory_range *storage = allocate(capacity * sizeof(*storage));
    void *raw = map_raw(entries, count, STRIDE);
    ps_status status = ps_memory_map_from_uefi(map, raw, count * STRIDE, STRIDE, storage, capacity);

    free(raw);
    if (EXPECT_OK(status))
        return map_is_valid(test, map);
    free(storage);
    return false;
}

bool map_build_e820(struct test *test, struct ps_memory_map *map,
                    const struct ps_e820_entry *entries, size_t count, bool extended)
{
    size_t capacity = ps_memory_map_capacity(count, 0);
    struct ps_memory_range *storage = allocate(capacity * sizeof(*storage));
    ps_status status = ps_memory_map_from_e820(map, entries, count, extended, storage, capacity);

    if (EXPECT_OK(status))
        return map_is_valid(test, map);
    free(storage);
    return false;
}

void map_free(struct ps_memory_map *map)
{
    free(map->ranges);
    *map = (struct ps_memory_map){0};
}

const char *map_text(const struct ps_memory_map *map)
{
    static char text[2048];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    for (size_t i = 0; i < map->count; i++)
        ps_print(&sink, "%s%" PS_PRIu "+%" PS_PRIu " %s", i == 0 ? "" : ", ",
                 map->ranges[i].first.number, map->ranges[i].pages.count,
                 ps_memory_type_name(map->ranges[i].type));
    return text;
}

bool map_equal(const struct ps_memory_map *a, const struct ps_memory_map *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->ranges[i].first.number != b->ranges[i].first.number ||
            a->ranges[i].pages.count != b->ranges[i].pages.count ||
            a->ranges[i].type != b->ranges[i].type)
            return false;
    return true;
}

/* Types 1 to 4 and 7: RAM that is used by nobody who stays. */
static enum ps_memory_type expected_of_ours(const struct map_entry *entry)
{
    if ((entry->attribute & 8) == 0)
        return PS_MEMORY_NOT_CACHEABLE;
    if (entry->type <= 2)
        return PS_MEMORY_LOADER;
    if ((entry->attribute & NV) != 0)
        return PS_MEMORY_PERSISTENT;
    if ((entry->attribute & SP) != 0)
        return PS_MEMORY_SOFT_RESERVED;
    return entry->type == 7 ? PS_MEMORY_USABLE : PS_MEMORY_BOOT_SERVICES;
}

static enum ps_memory_type expected_of_others(uint32_t type)
{
    if (type == 9)
        return PS_MEMORY_ACPI_RECLAIM;
    if (type == 10)
        return PS_MEMORY_ACPI_NVS;
    if (type == 14)
        return PS_MEMORY_PERSISTENT;
    return type == 15 ? PS_MEMORY_UNACCEPTED : PS_MEMORY_RESERVED;
}

bool map_expected_ours(uint32_t type)
{
    return type == 7 || (type >= 1 && type <= 4);
}

enum ps_memory_type map_expected_type(const struct map_entry *entry)
{
    uint32_t type = entry->type;
    bool runtime = type == 5 || type == 6 || (entry->attribute & RUNTIME) != 0;
    bool code = type == 1 || type == 3 || type == 5;

    if (type == 8)
        return PS_MEMORY_BAD;
    if (type == 11 || type == 12)
        return PS_MEMORY_MMIO;
    if (runtime)
        return code ? PS_MEMORY_RUNTIME_CODE : PS_MEMORY_RUNTIME_DATA;
    if (map_expected_ours(type))
        return expected_of_ours(entry);
    return expected_of_others(type);
}

bool map_expected_whole(enum ps_memory_type type)
{
    return type == PS_MEMORY_USABLE || type == PS_MEMORY_LOW || type == PS_MEMORY_BOOT_SERVICES;
}

void expect_map(struct test *test, const struct map_entry *entries, size_t count,
                const char *expected, const char *file, int line)
{
    struct ps_memory_map map;

    if (!map_build(test, &map, entries, count, 0))
        return;
    (void)test_check_text(test, map_text(&map), expected, "the map", file, line);
    map_free(&map);
}
