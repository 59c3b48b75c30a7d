#include "frame_pool_private.h"

/* Eight bytes of the pattern. */
#define PATTERN ((uint64_t)PS_FRAME_FILL_BYTE * 0x0101010101010101u)

/* ---- frames ---- */

/* Stores that the compiler does not make a call of, as it does of a loop: there is no libc. */
static void fill_frame(const struct ps_frame_pool *pool, uint64_t frame)
{
    volatile uint64_t *words = ps_hw_frame(pool->machine, ps_frame(frame));

    for (uint64_t i = 0; i < pool->fill_bytes / 8; i++)
        words[i] = PATTERN;
}

void ps_pool_fill_frames(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    if (pool->fill_bytes == 0)
        return;
    for (uint64_t i = 0; i < pages; i++)
        fill_frame(pool, first + i);
}

static bool is_filled(const struct ps_frame_pool *pool, uint64_t frame)
{
    const uint64_t *words = ps_hw_frame(pool->machine, ps_frame(frame));

    for (uint64_t i = 0; i < pool->fill_bytes / 8; i++)
        if (words[i] != PATTERN)
            return false;
    return true;
}

uint64_t ps_pool_damaged(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    if (pool->fill_bytes == 0)
        return PS_NONE;
    for (uint64_t i = 0; i < pages; i++)
        if (!is_filled(pool, first + i))
            return first + i;
    return PS_NONE;
}

void ps_pool_withdraw(struct ps_frame_pool *pool, uint64_t frame)
{
    ps_pool_take(pool, frame, 1, PS_FRAME_DAMAGED);
    pool->damaged++;
    pool->last_damaged = frame;
}

/* ---- all frames that are free ---- */

static void fill_bits(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    uint64_t first = ps_place_frame(pool, place);
    const uint64_t *bits = ps_pool_bits(pool, place);

    for (unsigned bit = 0; bit < PS_CHUNK_FRAMES; bit++)
        if (ps_bit_is_set(bits, bit))
            ps_pool_fill_frames(pool, first + bit, 1);
}

static void fill_tract(const struct ps_frame_pool *pool, uint64_t region, unsigned tract)
{
    const struct ps_frame_tract *line = ps_pool_tract(pool, region, tract);

    for (unsigned chunk = 0; chunk < PS_TRACT_CHUNKS; chunk++) {
        struct ps_place place = {region, tract, chunk, 0};
        uint8_t cell = line->cells[chunk];

        if (cell == PS_CELL_WHOLE)
            ps_pool_fill_frames(pool, ps_place_frame(pool, &place), PS_CHUNK_FRAMES);
        else if (cell == PS_CELL_MIXED || (cell & PS_KIND) == PS_SINGLE)
            fill_bits(pool, &place);
    }
}

/* A region that nobody has opened is what the ranges say: all of its RAM is free. */
static void fill_ranges(const struct ps_frame_pool *pool, uint64_t region)
{
    uint64_t from = ps_pool_region_first(pool, region);
    uint64_t last = from + (PS_REGION_FRAMES - 1);
    struct ps_frame_extent part;

    while (ps_pool_next_part(pool, &from, last, &part))
        ps_pool_fill_frames(pool, part.first, part.pages);
}

static void fill_region(const struct ps_frame_pool *pool, uint64_t region)
{
    if (ps_set_has(pool, PS_FRAME_UNIT, region))
        return;
    if (!ps_set_has(pool, PS_FRAME_OPEN, region)) {
        fill_ranges(pool, region);
        return;
    }
    for (unsigned tract = 0; tract < PS_REGION_TRACTS; tract++)
        fill_tract(pool, region, tract);
}

ps_status ps_frame_pool_fill(struct ps_frame_pool *pool, uint64_t bytes)
{
    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    if (bytes % 8 != 0 || bytes > PS_PAGE_SIZE)
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    pool->fill_bytes = bytes;
    for (uint64_t region = 0; region < pool->regions && bytes != 0; region++)
        fill_region(pool, region);
    ps_pool_set_budgets(pool);
    ps_pool_leave(pool);
    return PS_OK;
}
