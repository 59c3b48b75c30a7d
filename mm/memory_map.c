#include "memory_map_private.h"

/* ---- types ---- */

const char *ps_memory_type_name(enum ps_memory_type type)
{
    static const char *const names[] = {
        [PS_MEMORY_USABLE] = "usable",
        [PS_MEMORY_LOW] = "low",
        [PS_MEMORY_BOOT_SERVICES] = "boot-services",
        [PS_MEMORY_LOADER] = "loader",
        [PS_MEMORY_IMAGE] = "image",
        [PS_MEMORY_ACPI_RECLAIM] = "acpi-reclaim",
        [PS_MEMORY_SOFT_RESERVED] = "soft-reserved",
        [PS_MEMORY_UNACCEPTED] = "unaccepted",
        [PS_MEMORY_PERSISTENT] = "persistent",
        [PS_MEMORY_NOT_CACHEABLE] = "not-cacheable",
        [PS_MEMORY_ACPI_NVS] = "acpi-nvs",
        [PS_MEMORY_RUNTIME_DATA] = "runtime-data",
        [PS_MEMORY_RUNTIME_CODE] = "runtime-code",
        [PS_MEMORY_FRAMEBUFFER] = "framebuffer",
        [PS_MEMORY_MMIO] = "mmio",
        [PS_MEMORY_RESERVED] = "reserved",
        [PS_MEMORY_NULL] = "null",
        [PS_MEMORY_BAD] = "bad",
    };
    _Static_assert(PS_ARRAY_SIZE(names) == PS_MEMORY_TYPE_COUNT, "every type has a name");

    return (unsigned)type < PS_MEMORY_TYPE_COUNT ? names[type] : "?";
}

bool ps_memory_type_is_ram(enum ps_memory_type type)
{
    return (unsigned)type <= PS_MEMORY_ACPI_RECLAIM;
}
_Static_assert(PS_MEMORY_USABLE == 0 && PS_MEMORY_ACPI_RECLAIM == 5 &&
                   PS_MEMORY_SOFT_RESERVED == PS_MEMORY_ACPI_RECLAIM + 1,
               "the types of RAM that is ours to use or to read come first");

/* Page 0 is no other type's, and its type is no other page's. */
static bool type_can_be_given(enum ps_memory_type type)
{
    return (unsigned)type < PS_MEMORY_TYPE_COUNT && type != PS_MEMORY_NULL;
}

/* ---- ranges ---- */

static void append_whole(struct ps_memory_range *ranges, size_t *count, uint64_t first,
                         uint64_t end, enum ps_memory_type type)
{
    if (first >= end)
        return;
    if (*count > 0) {
        struct ps_memory_range *last = &ranges[*count - 1];

        if (last->type == type && memory_range_end(last) == first) {
            last->pages.count += end - first;
            return;
        }
    }
    ranges[*count] = (struct ps_memory_range){{first}, {end - first}, type};
    (*count)++;
}

void ps_memory_range_append(struct ps_memory_range *ranges, size_t *count, uint64_t first,
                            uint64_t end, enum ps_memory_type type)
{
    if (!memory_type_is_free(type)) {
        append_whole(ranges, count, first, end, type);
        return;
    }
    append_whole(ranges, count, first, ps_min(end, LOW_END), PS_MEMORY_LOW);
    append_whole(ranges, count, ps_max(first, LOW_END), end, PS_MEMORY_USABLE);
}

static bool crosses_low_end(const struct ps_memory_range *range)
{
    return range->first.number < LOW_END && memory_range_end(range) > LOW_END;
}

/* The first range that ends behind `frame`: the one that holds it, if any does. */
static size_t index_at(const struct ps_memory_map *map, uint64_t frame)
{
    size_t low = 0;
    size_t high = map->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memory_range_end(&map->ranges[middle]) > frame)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/*
 * The range that crosses 1 MiB takes two places in the array, because a retype to free RAM
 * has to cut it there and must not fail. There is at most one.
 */
static size_t places(const struct ps_memory_map *map)
{
    size_t at = index_at(map, LOW_END);

    return map->count + (at < map->count && crosses_low_end(&map->ranges[at]));
}

size_t ps_memory_map_capacity(size_t entries, size_t overlays)
{
    size_t cuts;

    /* n entries have at most 2n edges, with 2n - 1 stretches between them; 1 MiB is one more
     * edge and page 0 a range of its own: 2n + 1. An overlay brings two edges. */
    if (__builtin_add_overflow(entries, overlays, &cuts) || cuts > SIZE_MAX / 2)
        return SIZE_MAX;
    return 2 * cuts + 1;
}

/* ---- changing types ---- */

enum { PIECES_MAX = 4 };

/* What takes the place of ranges [from, to) of the array. */
struct replacement {
    size_t from;
    size_t to;
    size_t count;
    struct ps_memory_range pieces[PIECES_MAX]; /* left rest, low, usable, right rest */
};

/*
 * Ranges that only touch [first, end) are replaced as well: they may have to be merged with
 * it. first is never 0.
 */
static struct replacement plan_set(const struct ps_memory_map *map, uint64_t first, uint64_t end,
                                   enum ps_memory_type type)
{
    struct replacement plan = {.from = index_at(map, first - 1)};
    const struct ps_memory_range *range;

    plan.to = plan.from;
    if (plan.from < map->count) {
        range = &map->ranges[plan.from];
        ps_memory_range_append(plan.pieces, &plan.count, range->first.number,
                               ps_min(memory_range_end(range), first), range->type);
    }
    ps_memory_range_append(plan.pieces, &plan.count, first, end, type);
    while (plan.to < map->count && map->ranges[plan.to].first.number <= end)
        plan.to++;
    if (plan.to > plan.from) {
        range = &map->ranges[plan.to - 1];
        ps_memory_range_append(plan.pieces, &plan.count, ps_max(range->first.number, end),
                               memory_range_end(range), range->type);
    }
    return plan;
}

static void shift_tail(struct ps_memory_map *map, size_t from, size_t to)
{
    size_t moving = map->count - from;

    if (to > from)
        for (size_t i = moving; i > 0; i--)
            map->ranges[to + i - 1] = map->ranges[from + i - 1];
    else
        for (size_t i = 0; i < moving; i++)
            map->ranges[to + i] = map->ranges[from + i];
    map->count = to + moving;
}

/* places() of the map as it will be. */
static size_t places_after(const struct ps_memory_map *map, const struct replacement *plan)
{
    size_t count = map->count - (plan->to - plan->from) + plan->count;
    size_t at = index_at(map, LOW_END);
    bool crossed = false;

    for (size_t i = 0; i < plan->count; i++)
        crossed |= crosses_low_end(&plan->pieces[i]);
    if (at < plan->from || (at >= plan->to && at < map->count))
        crossed |= crosses_low_end(&map->ranges[at]);
    return count + crossed;
}

ps_status ps_memory_map_set(struct ps_memory_map *map, ps_frame_t first, ps_pages_t pages,
                            enum ps_memory_type type)
{
    struct replacement plan;
    uint64_t end;

    if (pages.count == 0 || first.number >= FRAME_END || pages.count > FRAME_END - first.number ||
        !type_can_be_given(type))
        return PS_INVALID_ARGS;
    end = first.number + pages.count;
    if (end == 1)
        return PS_OK;
    plan = plan_set(map, ps_max(first.number, 1), end, type);
    if (places_after(map, &plan) > map->capacity)
        return PS_BUFFER_TOO_SMALL;
    shift_tail(map, plan.to, plan.from + plan.count);
    for (size_t i = 0; i < plan.count; i++)
        map->ranges[plan.from + i] = plan.pieces[i];
    return PS_OK;
}

/* The range of this type that crosses 1 MiB becomes two. */
static void cut_at_low_end(struct ps_memory_map *map, enum ps_memory_type type)
{
    size_t at = index_at(map, LOW_END);
    struct ps_memory_range *range;

    if (at == map->count)
        return;
    range = &map->ranges[at];
    if (range->type != type || !crosses_low_end(range))
        return;
    shift_tail(map, at, at + 1);
    range[1].first = ps_frame(LOW_END);
    range[1].pages = ps_pages(memory_range_end(range) - LOW_END);
    range[0].pages = ps_pages(LOW_END - range->first.number);
}

void ps_memory_map_retype(struct ps_memory_map *map, enum ps_memory_type from,
                          enum ps_memory_type to)
{
    size_t count = 0;

    if (!type_can_be_given(from) || !type_can_be_given(to))
        return;
    if (memory_type_is_free(to))
        cut_at_low_end(map, from);
    /* Writes behind itself: no range makes two any more. */
    for (size_t i = 0; i < map->count; i++) {
        struct ps_memory_range range = map->ranges[i];

        ps_memory_range_append(map->ranges, &count, range.first.number, memory_range_end(&range),
                               range.type == from ? to : range.type);
    }
    map->count = count;
}

/* ---- queries ---- */

const struct ps_memory_range *ps_memory_map_next(const struct ps_memory_map *map, ps_frame_t frame)
{
    size_t at = index_at(map, frame.number);

    return at == map->count ? NULL : &map->ranges[at];
}

const struct ps_memory_range *ps_memory_map_find(const struct ps_memory_map *map, ps_frame_t frame)
{
    size_t at = index_at(map, frame.number);

    if (at == map->count || map->ranges[at].first.number > frame.number)
        return NULL;
    return &map->ranges[at];
}

ps_pages_t ps_memory_map_total(const struct ps_memory_map *map, enum ps_memory_type type)
{
    ps_pages_t total = {0};

    for (size_t i = 0; i < map->count; i++)
        if (map->ranges[i].type == type)
            total.count += map->ranges[i].pages.count;
    return total;
}

bool ps_memory_map_is_ram(const struct ps_memory_map *map, ps_frame_t first, ps_pages_t pages)
{
    uint64_t reached = first.number;

    if (pages.count == 0)
        return false;
    for (size_t i = index_at(map, reached); i < map->count; i++) {
        const struct ps_memory_range *range = &map->ranges[i];

        if (range->first.number > reached || !ps_memory_type_is_ram(range->type))
            return false;
        reached = memory_range_end(range);
        if (pages.count <= reached - first.number)
            return true;
    }
    return false;
}

/* ---- validation ---- */

static bool agrees_with_page_zero(const struct ps_memory_range *range)
{
    if (range->first.number == 0)
        return range->type == PS_MEMORY_NULL && range->pages.count == 1;
    return range->type != PS_MEMORY_NULL;
}

/* What is wrong with one range by itself, NULL when nothing is. */
static const char *breach_inside(const struct ps_memory_range *range)
{
    if ((unsigned)range->type >= PS_MEMORY_TYPE_COUNT)
        return "has an unknown type";
    if (range->pages.count == 0)
        return "is empty";
    if (range->first.number >= FRAME_END || range->pages.count > FRAME_END - range->first.number)
        return "ends past the last frame";
    if (!agrees_with_page_zero(range))
        return "breaks the rule that page 0, and nothing else, is null";
    if (range->type == PS_MEMORY_USABLE && range->first.number < LOW_END)
        return "is usable and begins below 1 MiB";
    if (range->type == PS_MEMORY_LOW && memory_range_end(range) > LOW_END)
        return "is low and ends above 1 MiB";
    return NULL;
}

/* Both ranges are good by themselves. */
static const char *breach_between(const struct ps_memory_range *left,
                                  const struct ps_memory_range *right)
{
    if (right->first.number < left->first.number)
        return "begins below its predecessor";
    if (right->first.number < memory_range_end(left))
        return "overlaps its predecessor";
    if (right->first.number == memory_range_end(left) && right->type == left->type)
        return "is not merged with its predecessor";
    return NULL;
}

static ps_status corrupt(const struct ps_sink *sink, const char *what)
{
    ps_print(sink, "memory map: %s\n", what);
    return PS_CORRUPT;
}

ps_status ps_memory_map_validate(const struct ps_memory_map *map, const struct ps_sink *sink)
{
    if (map->ranges == NULL && map->count != 0)
        return corrupt(sink, "no array");
    if (map->count > map->capacity)
        return corrupt(sink, "more ranges than the array holds");
    for (size_t i = 0; i < map->count; i++) {
        const char *breach = breach_inside(&map->ranges[i]);

        if (breach == NULL && i > 0)
            breach = breach_between(&map->ranges[i - 1], &map->ranges[i]);
        if (breach != NULL) {
            ps_print(sink, "memory map: range %zu %s\n", i, breach);
            return PS_CORRUPT;
        }
    }
    if (places(map) > map->capacity)
        return corrupt(sink, "no room to cut a range at 1 MiB");
    return PS_OK;
}

void ps_memory_map_dump(const struct ps_memory_map *map, const struct ps_sink *sink)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct ps_memory_range *range = &map->ranges[i];
        char text[24];
        struct ps_text_buffer buffer;
        struct ps_sink size = ps_text_buffer_sink(&buffer, text, sizeof(text));

        ps_print_size(&size, ps_bytes_of_pages(range->pages));
        ps_print(sink, "0x%016" PS_PRIx "-0x%016" PS_PRIx " %10s  %s\n",
                 ps_phys_of_frame(range->first).addr,
                 ps_phys_of_frame(ps_memory_range_last(range)).addr + PS_PAGE_MASK, text,
                 ps_memory_type_name(range->type));
    }
}
