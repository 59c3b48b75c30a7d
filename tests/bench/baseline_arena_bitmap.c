/* One bit a page of the arena, next fit; guards are bits that stay clear. */
#include "arena_baseline.h"
#include "frame_baseline.h"

enum { GUARD = 1 };

struct map {
    uint64_t pages;
    uint64_t hint;
    uint64_t *words;
};

static uint64_t bytes_of(uint64_t pages)
{
    return (pages + 63) / 64 * 8;
}

static void close(void *self)
{
    struct map *map = self;

    if (map->words != NULL)
        frame_release(map->words, bytes_of(map->pages));
    frame_release(map, sizeof(*map));
}

static void *open(uint64_t pages, uint64_t live)
{
    struct map *map = frame_reserve(sizeof(*map), false);

    (void)live;
    if (map == NULL)
        return NULL;
    map->pages = pages;
    map->words = frame_reserve(bytes_of(pages), true);
    if (map->words != NULL)
        return map;
    close(map);
    return NULL;
}

/* The first bit of [from, limit) that is `set`; limit when none is. */
static uint64_t next_bit(const struct map *map, uint64_t from, uint64_t limit, bool set)
{
    uint64_t flip = set ? 0 : UINT64_MAX;
    uint64_t i = from / 64;
    uint64_t word;

    if (from >= limit)
        return limit;
    word = (map->words[i] ^ flip) & UINT64_MAX << from % 64;
    while (word == 0) {
        if (++i * 64 >= limit)
            return limit;
        word = map->words[i] ^ flip;
    }
    return ps_min(i * 64 + (unsigned)__builtin_ctzll(word), limit);
}

static void change(struct map *map, uint64_t first, uint64_t pages, bool set)
{
    for (uint64_t end = first + pages; first < end;) {
        uint64_t count = ps_min(64 - first % 64, end - first);
        uint64_t mask = UINT64_MAX >> (64 - count) << first % 64;

        map->words[first / 64] =
            set ? map->words[first / 64] | mask : map->words[first / 64] & ~mask;
        first += count;
    }
}

/* A run of clear bits from [from, limit), the guard behind may lie outside: where it begins. */
static bool find(const struct map *map, uint64_t from, uint64_t limit, uint64_t pages,
                 uint64_t align, uint64_t *first)
{
    uint64_t need = pages + (uint64_t)2 * GUARD;

    while (from < limit) {
        uint64_t start = next_bit(map, from, limit, false);
        uint64_t end;

        start = (start + GUARD + align - 1) / align * align - GUARD;
        if (start + need > map->pages)
            return false;
        end = next_bit(map, start, start + need, true);
        if (end == start + need) {
            *first = start + GUARD;
            return true;
        }
        from = end;
    }
    return false;
}

static bool alloc(void *self, uint64_t pages, uint64_t align, uint64_t *first)
{
    struct map *map = self;

    if (!find(map, map->hint, map->pages, pages, align, first) &&
        !find(map, 0, map->pages, pages, align, first))
        return false;
    change(map, *first, pages, true);
    map->hint = *first + pages;
    return true;
}

static bool give(void *self, uint64_t first, uint64_t pages)
{
    struct map *map = self;

    change(map, first, pages, false);
    map->hint = ps_min(map->hint, first);
    for (unsigned i = 0; i < GUARD && map->hint > 0; i++)
        if ((map->words[(map->hint - 1) / 64] >> (map->hint - 1) % 64 & 1) == 0)
            map->hint--;
    return true;
}

static uint64_t bytes(void *self)
{
    const struct map *map = self;

    return bytes_of(map->pages);
}

const struct arena_candidate baseline_arena_bitmap = {
    .name = "bitmap",
    .open = open,
    .close = close,
    .alloc = alloc,
    .free = give,
    .bytes = bytes,
};
