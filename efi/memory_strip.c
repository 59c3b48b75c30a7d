#include "memory_strip.h"

/* A stretch of the address space: a range of the map, or the hole in front of it. */
struct stretch {
    uint64_t first;
    uint64_t pages;
    uint8_t type;
};

/* Stretches are numbered: twice the number of a range is the hole before it, plus 1 itself. */
static struct stretch stretch_at(const struct ps_memory_map *map, size_t number)
{
    const struct ps_memory_range *range = &map->ranges[number / 2];
    uint64_t behind = 0; /* the first frame after the range before */

    if (number % 2 == 1)
        return (struct stretch){range->first.number, range->pages.count, (uint8_t)range->type};
    if (number >= 2)
        behind = ps_memory_range_last(range - 1).number + 1;
    return (struct stretch){behind, range->first.number - behind, MEMORY_STRIP_HOLE};
}

static bool is_to_scale(uint8_t type)
{
    return type < PS_MEMORY_TYPE_COUNT && ps_memory_type_is_ram((enum ps_memory_type)type);
}

void memory_strip_totals(const struct ps_memory_map *map, uint64_t totals[MEMORY_STRIP_TYPES])
{
    for (size_t i = 0; i < MEMORY_STRIP_TYPES; i++)
        totals[i] = 0;
    for (size_t i = 0; i < 2 * map->count; i++)
        totals[stretch_at(map, i).type] += stretch_at(map, i).pages;
}

/* The most pages that a stretch which is not RAM counts for. */
static uint64_t cap_of(const struct ps_memory_map *map)
{
    uint64_t ram = 0;
    uint64_t others = 0;

    for (size_t i = 0; i < 2 * map->count; i++) {
        struct stretch stretch = stretch_at(map, i);

        if (is_to_scale(stretch.type))
            ram += stretch.pages;
        else
            others += stretch.pages != 0;
    }
    return ram / (8 * (others + 1)) + 1;
}

static uint64_t weight_of(const struct stretch *stretch, uint64_t cap)
{
    return is_to_scale(stretch->type) ? stretch->pages : ps_min(stretch->pages, cap);
}

static uint64_t total_weight(const struct ps_memory_map *map, uint64_t cap)
{
    uint64_t total = 0;

    for (size_t i = 0; i < 2 * map->count; i++) {
        struct stretch stretch = stretch_at(map, i);

        total += weight_of(&stretch, cap);
    }
    return total;
}

/* How much [a, a + a_size) and [b, b + b_size) share. */
static uint64_t shared(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    uint64_t first = ps_max(a, b);
    uint64_t end = ps_min(a + a_size, b + b_size);

    return first < end ? end - first : 0;
}

/*
 * Weights are multiplied by the number of columns, so that every column is exactly `total`
 * wide: below 2^53 pages and 2^10 columns nothing overflows.
 */
static void add_shares(const struct ps_memory_map *map, uint64_t cap, size_t count, uint64_t total,
                       size_t column, uint64_t shares[MEMORY_STRIP_TYPES])
{
    uint64_t at = 0;

    for (size_t i = 0; i < MEMORY_STRIP_TYPES; i++)
        shares[i] = 0;
    for (size_t i = 0; i < 2 * map->count; i++) {
        struct stretch stretch = stretch_at(map, i);
        uint64_t weight = weight_of(&stretch, cap) * count;

        shares[stretch.type] += shared(at, weight, column * total, total);
        at += weight;
    }
}

static uint8_t largest(const uint64_t shares[MEMORY_STRIP_TYPES])
{
    uint8_t best = 0;

    for (uint8_t type = 1; type < MEMORY_STRIP_TYPES; type++)
        if (shares[type] > shares[best])
            best = type;
    return best;
}

static size_t columns_of(const uint8_t *columns, size_t count, unsigned type)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += columns[i] == type;
    return found;
}

static uint64_t distance(size_t a, size_t b)
{
    return a < b ? b - a : a - b;
}

/* Give `type` the column nearest to `wanted` whose own type has another one left. */
static void give_column(uint8_t *columns, size_t count, uint8_t type, size_t wanted)
{
    size_t best = count;

    for (size_t i = 0; i < count; i++)
        if (columns_of(columns, count, columns[i]) > 1 &&
            (best == count || distance(i, wanted) < distance(best, wanted)))
            best = i;
    if (best != count)
        columns[best] = type;
}

/* The middle of the largest stretch of a type. */
static ps_frame_t middle_of(const struct ps_memory_map *map, unsigned type)
{
    struct stretch best = {.pages = 0};

    for (size_t i = 0; i < 2 * map->count; i++) {
        struct stretch stretch = stretch_at(map, i);

        if (stretch.type == type && stretch.pages > best.pages)
            best = stretch;
    }
    return ps_frame(best.first + best.pages / 2);
}

/* In the order of the addresses, so that neighbours stay neighbours. */
static void show_every_type(const struct ps_memory_map *map, uint8_t *columns, size_t count)
{
    for (size_t i = 0; i < 2 * map->count; i++) {
        struct stretch stretch = stretch_at(map, i);

        if (stretch.pages != 0 && columns_of(columns, count, stretch.type) == 0)
            give_column(columns, count, stretch.type,
                        memory_strip_column(map, count, middle_of(map, stretch.type)));
    }
}

void memory_strip(const struct ps_memory_map *map, uint8_t *columns, size_t count)
{
    uint64_t cap = cap_of(map);
    uint64_t total = total_weight(map, cap);

    for (size_t column = 0; column < count; column++) {
        uint64_t shares[MEMORY_STRIP_TYPES];

        add_shares(map, cap, count, total, column, shares);
        columns[column] = map->count == 0 ? MEMORY_STRIP_HOLE : largest(shares);
    }
    show_every_type(map, columns, count);
}

size_t memory_strip_column(const struct ps_memory_map *map, size_t count, ps_frame_t frame)
{
    uint64_t cap = cap_of(map);
    uint64_t total = total_weight(map, cap);
    uint64_t at = 0;

    for (size_t i = 0; i < 2 * map->count; i++) {
        struct stretch stretch = stretch_at(map, i);

        if (frame.number - stretch.first < stretch.pages) {
            uint64_t inside = frame.number - stretch.first;

            /* Inside a shortened stretch only its start is known. */
            at += is_to_scale(stretch.type) ? inside : 0;
            return (size_t)(at * count / total);
        }
        at += weight_of(&stretch, cap);
    }
    return count;
}
