#include "space_driver.h"

#include <stdlib.h>

/*
 * Cache types, from first principles: every page of every space, mapped or waiting for its sweep,
 * whose frame is not RAM lies in a known range of its type, and each range counts exactly these.
 * What is refused follows from the ranges that have been checked so.
 */

static bool is_ram(const struct space_driver *driver, uint64_t frame)
{
    return ps_memory_map_is_ram(&driver->sim->map, ps_frame(frame), ps_pages(1));
}

/* ---- the ranges that the library knows ---- */

static bool keep(void *context, const struct ps_range *range)
{
    struct space_types *types = context;

    if (types->count == types->capacity) {
        types->capacity = 2 * types->capacity + 64;
        types->ranges = realloc(types->ranges, types->capacity * sizeof(*types->ranges));
        if (types->ranges == NULL)
            abort();
    }
    types->ranges[types->count++] = (struct space_type){.range = *range};
    return true;
}

static void read_ranges(struct space_driver *driver)
{
    driver->types.count = 0;
    (void)ps_range_tree_for_each(&driver->types.library->ranges, 0, UINT64_MAX, keep,
                                 &driver->types);
}

static struct space_type *type_at(const struct space_types *types, uint64_t frame)
{
    uint64_t low = 0;
    uint64_t high = types->count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (types->ranges[middle].range.last < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low < types->count && types->ranges[low].range.first <= frame ? &types->ranges[low]
                                                                         : NULL;
}

static enum ps_cache cache_of(const struct space_type *type)
{
    return (enum ps_cache)(type->range.value & 7);
}

/* ---- what stands against a call ---- */

static uint64_t frame_of(const struct space_map *map, uint64_t n)
{
    return map->frames != NULL ? map->frames[n].number : map->first + n;
}

uint64_t space_typed_frames(const struct space_driver *driver, const struct space_map *map)
{
    uint64_t count = 0;

    for (uint64_t n = 0; driver->types.library != NULL && n < map->range.count; n++)
        count += !is_ram(driver, frame_of(map, n));
    return count;
}

unsigned space_refuses_types(struct space_driver *driver, const struct space_map *map)
{
    unsigned may = 0;

    if (driver->types.library == NULL)
        return 0;
    read_ranges(driver);
    for (uint64_t n = 0; n < map->range.count; n++) {
        uint64_t frame = frame_of(map, n);
        const struct space_type *type = type_at(&driver->types, frame);
        enum ps_cache cache = type != NULL ? cache_of(type) : (enum ps_cache)map->attr.cache;

        if (is_ram(driver, frame))
            cache = PS_CACHE_WRITE_BACK;
        if (map->attr.cache != cache)
            may = SPACE_MAY(PS_ACCESS_DENIED);
    }
    return may;
}

unsigned space_refuses_protect_types(const struct space_driver *driver, struct space_range range,
                                     ps_attr_t attr)
{
    const struct space_oracle *oracle = &driver->oracles[driver->space];

    for (uint64_t n = 0; driver->types.library != NULL && n < range.count; n++) {
        const struct space_page *page = space_at(oracle, range.first + n);

        if (page->use == SPACE_MAPPED && page->attr.cache != attr.cache)
            return SPACE_MAY(PS_ACCESS_DENIED);
    }
    return 0;
}

/* ---- what must be known ---- */

static void count_page(struct space_driver *driver, const struct space_page *page)
{
    struct space_type *type = type_at(&driver->types, page->frame);

    if (page->use == SPACE_ABSENT || is_ram(driver, page->frame))
        return;
    if (type == NULL || cache_of(type) != page->attr.cache)
        space_fail(driver, "frame 0x%" PS_PRIx " is mapped with type %u, and known with %d",
                   page->frame, page->attr.cache, type == NULL ? -1 : (int)cache_of(type));
    else
        type->found++;
}

static void compare_counts(struct space_driver *driver)
{
    for (uint64_t i = 0; i < driver->types.count; i++) {
        const struct space_type *type = &driver->types.ranges[i];

        if (type->range.value >> 3 != type->found || type->found == 0)
            space_fail(driver,
                       "frames 0x%" PS_PRIx "-0x%" PS_PRIx ": %" PS_PRIu
                       " pages are mapped, %" PS_PRIu " known",
                       type->range.first, type->range.last, type->found, type->range.value >> 3);
    }
}

void space_compare_types(struct space_driver *driver)
{
    if (driver->types.library == NULL)
        return;
    read_ranges(driver);
    for (unsigned i = 0; i < SPACE_COUNT; i++)
        for (unsigned w = 0; w < driver->oracles[i].window_count; w++)
            for (uint64_t n = 0; n < driver->oracles[i].windows[w].count; n++)
                count_page(driver, &driver->oracles[i].windows[w].pages[n]);
    compare_counts(driver);
    if (ps_cache_types_validate(driver->types.library, NULL) != PS_OK)
        space_fail(driver, "the cache types are damaged");
    if (driver->types.library->ranges.reserved != 0)
        space_fail(driver, "a reservation of cache types is left");
}
