#include <pagestage/cache_types.h>

#include "cold_private.h"

enum { TYPE_BITS = 3 };
_Static_assert(PS_CACHE_COUNT <= 1 << TYPE_BITS, "a type fits");

static enum ps_cache type_of(const struct ps_range *range)
{
    return (enum ps_cache)(range->value & ((1u << TYPE_BITS) - 1));
}

static uint64_t mapped_of(const struct ps_range *range)
{
    return range->value >> TYPE_BITS;
}

static uint64_t value_of(uint64_t mapped, enum ps_cache cache)
{
    return mapped << TYPE_BITS | (uint64_t)cache;
}

static bool is_ready(const struct ps_cache_types *types)
{
    return types->map != NULL;
}

/* ---- init and destroy ---- */

/* Ranges of different types of RAM that touch are one stretch. */
static void find_largest_stretch(struct ps_cache_types *types)
{
    uint64_t largest = 0;
    uint64_t first = 0;
    uint64_t end = 0;

    for (size_t i = 0; i < types->map->count; i++) {
        const struct ps_memory_range *range = &types->map->ranges[i];

        if (!ps_memory_type_is_ram(range->type))
            continue;
        if (range->first.number != end)
            first = range->first.number;
        end = range->first.number + range->pages.count;
        if (end - first > largest) {
            largest = end - first;
            types->ram_first = ps_frame(first);
            types->ram_last = ps_frame(end - 1);
        }
    }
    /* Without any RAM no frame is in it. */
    if (largest == 0)
        types->ram_first = ps_frame(1);
}

PS_COLD ps_status ps_cache_types_init(struct ps_cache_types *types, struct ps_frame_pool *pool,
                                      const struct ps_memory_map *map)
{
    ps_status status;

    if (types == NULL || pool == NULL || map == NULL)
        return PS_INVALID_ARGS;
    if (is_ready(types) || pool->machine == NULL)
        return PS_BAD_STATE;
    status = ps_range_tree_init(&types->ranges, pool->machine, pool, PS_FRAME_HEAP);
    if (status != PS_OK)
        return status;
    types->lock = (struct ps_lock)PS_LOCK_INIT;
    types->map = map;
    find_largest_stretch(types);
    return PS_OK;
}

PS_COLD ps_status ps_cache_types_destroy(struct ps_cache_types *types)
{
    ps_status status;

    if (types == NULL)
        return PS_INVALID_ARGS;
    if (!is_ready(types) || types->ranges.count != 0)
        return PS_BAD_STATE;
    status = ps_range_tree_destroy(&types->ranges);
    *types = (struct ps_cache_types){0};
    return status;
}

/* ---- what is not RAM ---- */

bool ps_cache_types_is_other_ram(const struct ps_cache_types *types, ps_frame_t first,
                                 ps_pages_t pages)
{
    return ps_memory_map_is_ram(types->map, first, pages);
}

/* Frames side by side, both ends inclusive. */
struct stretch {
    uint64_t first;
    uint64_t last;
};

/* RAM around a frame; false when the frame is none. */
static bool find_stretch(const struct ps_cache_types *types, ps_frame_t frame,
                         struct stretch *stretch)
{
    const struct ps_memory_range *range = ps_memory_map_find(types->map, frame);

    if (range == NULL || !ps_memory_type_is_ram(range->type))
        return false;
    *stretch = (struct stretch){range->first.number, ps_memory_range_last(range).number};
    return true;
}

/* Frames of a list mostly lie close together: the stretch that the last one was in is kept. */
bool ps_cache_types_are_ram(const struct ps_cache_types *types, const ps_frame_t *frames,
                            uint64_t count)
{
    struct stretch here = {types->ram_first.number, types->ram_last.number};

    for (uint64_t n = 0; n < count; n++)
        if ((frames[n].number < here.first || frames[n].number > here.last) &&
            !find_stretch(types, frames[n], &here))
            return false;
    return true;
}

/*
 * The first part of [*from, last] that is not RAM; *from then is what lies behind it. False when
 * there is none.
 */
PS_COLD static bool next_part(const struct ps_cache_types *types, uint64_t *from, uint64_t last,
                              struct ps_range *part)
{
    const struct ps_memory_map *map = types->map;
    const struct ps_memory_range *end = map->ranges + map->count;
    const struct ps_memory_range *range = ps_memory_map_next(map, ps_frame(*from));
    uint64_t first = *from;

    for (; range != NULL && range < end && range->first.number <= last; range++) {
        if (!ps_memory_type_is_ram(range->type))
            continue;
        if (range->first.number > first)
            break;
        first = ps_memory_range_last(range).number + 1;
    }
    if (first > last)
        return false;
    *part = (struct ps_range){.first = first, .last = last};
    if (range != NULL && range < end && range->first.number <= last)
        part->last = range->first.number - 1;
    *from = part->last + 1;
    return true;
}

/* ---- around a change ---- */

static bool is_shared(const struct ps_cache_types *types)
{
    return types->ranges.machine->processors > 1;
}

PS_COLD void ps_cache_types_begin(struct ps_cache_types *types)
{
    if (is_shared(types))
        ps_lock_acquire_answering(&types->lock, types->ranges.machine);
}

void ps_cache_types_end(struct ps_cache_types *types)
{
    ps_range_tree_unreserve(&types->ranges, types->ranges.reserved);
    if (is_shared(types))
        ps_lock_release(&types->lock);
}

static bool agrees(const struct ps_cache_types *types, const struct ps_range *part,
                   enum ps_cache cache)
{
    struct ps_range_cursor cursor = ps_range_tree_cursor(&types->ranges, part->first);
    struct ps_range range;

    while (ps_range_cursor_next(&cursor, &range) && range.first <= part->last)
        if (type_of(&range) != cache)
            return false;
    return true;
}

PS_COLD ps_status ps_cache_types_check(const struct ps_cache_types *types, ps_frame_t first,
                                       ps_pages_t pages, enum ps_cache cache, uint64_t *inserts)
{
    uint64_t last = first.number + (pages.count - 1);
    uint64_t from = first.number;
    uint64_t foreign = 0; /* pages */
    struct ps_range part;

    while (next_part(types, &from, last, &part)) {
        if (!agrees(types, &part, cache))
            return PS_ACCESS_DENIED;
        foreign += part.last - part.first + 1;
        (*inserts)++;
    }
    return foreign == pages.count || cache == PS_CACHE_WRITE_BACK ? PS_OK : PS_ACCESS_DENIED;
}

ps_status ps_cache_types_reserve(struct ps_cache_types *types, uint64_t inserts)
{
    return ps_range_tree_reserve(&types->ranges, inserts);
}

/* One range of all that overlap the part, and of the part itself. */
static void add_part(struct ps_cache_types *types, const struct ps_range *part, enum ps_cache cache)
{
    struct ps_range all = *part;
    uint64_t mapped = part->last - part->first + 1;
    struct ps_range range;
    ps_status status;

    while (ps_range_tree_next(&types->ranges, all.first, &range) && range.first <= all.last) {
        mapped += mapped_of(&range);
        all.first = ps_min(all.first, range.first);
        all.last = ps_max(all.last, range.last);
        (void)ps_range_tree_erase(&types->ranges, range.first, NULL);
    }
    all.value = value_of(mapped, cache);
    status = ps_range_tree_insert(&types->ranges, &all);
    (void)status; /* Reserved, and nothing overlaps it any more. */
}

PS_COLD void ps_cache_types_add(struct ps_cache_types *types, ps_frame_t first, ps_pages_t pages,
                                enum ps_cache cache)
{
    uint64_t from = first.number;
    struct ps_range part;

    while (next_part(types, &from, first.number + (pages.count - 1), &part))
        add_part(types, &part, cache);
}

/* So many pages of the range are not mapped any more. */
static void take_from(struct ps_cache_types *types, const struct ps_range *range, uint64_t pages)
{
    if (mapped_of(range) <= pages)
        (void)ps_range_tree_erase(&types->ranges, range->first, NULL);
    else
        (void)ps_range_tree_set_value(&types->ranges, range->first,
                                      value_of(mapped_of(range) - pages, type_of(range)));
}

/* A leaf that was promoted may lie in several ranges: each gives up what it has of it. */
static void remove_part(struct ps_cache_types *types, const struct ps_range *part)
{
    uint64_t from = part->first;
    struct ps_range range;

    while (from <= part->last && ps_range_tree_find(&types->ranges, from, &range)) {
        uint64_t last = ps_min(range.last, part->last);

        take_from(types, &range, last - from + 1);
        from = last + 1;
    }
}

PS_COLD void ps_cache_types_remove(struct ps_cache_types *types, ps_frame_t first, ps_pages_t pages)
{
    uint64_t from = first.number;
    struct ps_range part;

    while (next_part(types, &from, first.number + (pages.count - 1), &part))
        remove_part(types, &part);
}

static bool is_covered(const struct ps_cache_types *types, const struct ps_range *part,
                       enum ps_cache cache)
{
    uint64_t from = part->first;
    struct ps_range range;

    while (from <= part->last) {
        if (!ps_range_tree_find(&types->ranges, from, &range) || type_of(&range) != cache)
            return false;
        from = range.last + 1;
    }
    return true;
}

PS_COLD bool ps_cache_types_has(const struct ps_cache_types *types, ps_frame_t first,
                                ps_pages_t pages, enum ps_cache cache)
{
    uint64_t last = first.number + (pages.count - 1);
    uint64_t from = first.number;
    uint64_t foreign = 0; /* pages */
    struct ps_range part;

    for (; next_part(types, &from, last, &part); foreign += part.last - part.first + 1)
        if (!is_covered(types, &part, cache))
            return false;
    return foreign == pages.count || cache == PS_CACHE_WRITE_BACK;
}

/* ---- asking ---- */

static struct ps_cache_range cache_range(const struct ps_range *range)
{
    return (struct ps_cache_range){
        .first = ps_frame(range->first),
        .last = ps_frame(range->last),
        .cache = type_of(range),
        .mapped = mapped_of(range),
    };
}

PS_COLD ps_status ps_cache_types_query(struct ps_cache_types *types, ps_frame_t frame,
                                       struct ps_cache_range *range)
{
    struct ps_range found;
    bool mapped;

    if (types == NULL || range == NULL)
        return PS_INVALID_ARGS;
    if (!is_ready(types))
        return PS_BAD_STATE;
    ps_cache_types_begin(types);
    mapped = ps_range_tree_find(&types->ranges, frame.number, &found);
    ps_cache_types_end(types);
    if (!mapped)
        return PS_NOT_FOUND;
    *range = cache_range(&found);
    return PS_OK;
}

PS_COLD static bool dump_range(void *context, const struct ps_range *found)
{
    struct ps_cache_range range = cache_range(found);

    ps_print(context, "frames 0x%" PS_PRIx "-0x%" PS_PRIx " %s, %" PS_PRIu " pages mapped\n",
             range.first.number, range.last.number,
             ps_attr_text(ps_attr(PS_READ, range.cache)).cache, range.mapped);
    return true;
}

PS_COLD void ps_cache_types_dump(struct ps_cache_types *types, const struct ps_sink *sink)
{
    /* The visitor only hands it on. */
    void *context = (void *)(uintptr_t)sink;

    if (types == NULL || !is_ready(types))
        return;
    ps_cache_types_begin(types);
    (void)ps_range_tree_for_each(&types->ranges, 0, UINT64_MAX, dump_range, context);
    ps_cache_types_end(types);
}

static const char *fault_in_range(const struct ps_cache_types *types, const struct ps_range *range)
{
    uint64_t from = range->first;
    struct ps_range part;

    if (mapped_of(range) == 0)
        return "a range has no mapped pages";
    if ((unsigned)type_of(range) >= PS_CACHE_COUNT)
        return "a range has no type that there is";
    if (!next_part(types, &from, range->last, &part) || part.first != range->first ||
        part.last != range->last)
        return "a range has RAM in it";
    return NULL;
}

PS_COLD ps_status ps_cache_types_validate(struct ps_cache_types *types, const struct ps_sink *sink)
{
    struct ps_range_cursor cursor;
    struct ps_range range;
    const char *fault = NULL;
    ps_status status;

    if (types == NULL)
        return PS_INVALID_ARGS;
    if (!is_ready(types))
        return PS_BAD_STATE;
    ps_cache_types_begin(types);
    status = ps_range_tree_validate(&types->ranges, sink);
    cursor = ps_range_tree_cursor(&types->ranges, 0);
    while (status == PS_OK && fault == NULL && ps_range_cursor_next(&cursor, &range))
        fault = fault_in_range(types, &range);
    ps_cache_types_end(types);
    if (fault == NULL)
        return status;
    ps_print(sink, "cache types: %s: frame 0x%" PS_PRIx "\n", fault, range.first);
    return PS_CORRUPT;
}
