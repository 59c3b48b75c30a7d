#include "frame_pool_private.h"

/* ---- numbers of regions ---- */

static const struct ps_frame_segment *segment_at(const struct ps_frame_pool *pool, uint64_t i)
{
    return ps_books_at(pool, pool->segments_at + i * sizeof(struct ps_frame_segment));
}

/* The last segment that begins at `region` or below: by its number, or by its index. */
PS_COLD static const struct ps_frame_segment *segment_below(const struct ps_frame_pool *pool,
                                                            uint64_t region, bool by_index)
{
    uint64_t low = 0;
    uint64_t high = pool->segments;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        const struct ps_frame_segment *segment = segment_at(pool, middle);

        if ((by_index ? segment->index : segment->first) <= region)
            low = middle;
        else
            high = middle;
    }
    return segment_at(pool, low);
}

PS_COLD uint64_t ps_pool_region_elsewhere(const struct ps_frame_pool *pool, uint64_t number)
{
    const struct ps_frame_segment *segment = segment_below(pool, number, false);

    if (number < segment->first || number - segment->first >= segment->count)
        return PS_NONE;
    return segment->index + (number - segment->first);
}

uint64_t ps_pool_region_first(const struct ps_frame_pool *pool, uint64_t region)
{
    const struct ps_frame_segment *segment = &pool->home;

    if (region < segment->index || region - segment->index >= segment->count)
        segment = segment_below(pool, region, true);
    return (segment->first + (region - segment->index)) << PS_REGION_BITS;
}

uint64_t ps_place_frame(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    return ps_pool_region_first(pool, place->region) + place->tract * PS_TRACT_FRAMES +
           place->chunk * PS_CHUNK_FRAMES + place->bit;
}

/* ---- ranges ---- */

PS_COLD struct ps_frame_extent ps_pool_range(const struct ps_frame_pool *pool, uint64_t index)
{
    const struct ps_frame_extent *extent =
        ps_books_at(pool, pool->ranges_at + index * sizeof(struct ps_frame_extent));

    return *extent;
}

PS_COLD uint64_t ps_pool_range_from(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t low = 0;
    uint64_t high = pool->ranges;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct ps_frame_extent range = ps_pool_range(pool, middle);

        if (range.first + (range.pages - 1) < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

PS_COLD bool ps_pool_next_part(const struct ps_frame_pool *pool, uint64_t *from, uint64_t last,
                               struct ps_frame_extent *part)
{
    uint64_t index = *from <= last ? ps_pool_range_from(pool, *from) : pool->ranges;
    struct ps_frame_extent range;

    if (index == pool->ranges)
        return false;
    range = ps_pool_range(pool, index);
    if (range.first > last)
        return false;
    part->first = ps_max(range.first, *from);
    part->pages = ps_min(range.first + (range.pages - 1), last) - part->first + 1;
    *from = part->first + part->pages;
    return true;
}

/* ---- opening ---- */

/* Absent frames of one chunk become free. */
static void bring_to_chunk(struct ps_frame_pool *pool, const struct ps_place *place,
                           uint64_t frames, bool late)
{
    struct ps_frame_tract *tract = ps_pool_tract(pool, place->region, place->tract);
    uint64_t *bits = ps_pool_bits(pool, place);
    uint64_t low = ps_low_part(pool, place, frames);

    pool->totals.managed += frames;
    pool->totals.free += frames;
    pool->totals.low += low;
    tract->frames = (uint16_t)(tract->frames + (frames - low));
    if (late)
        tract->late |= (uint8_t)(1u << place->chunk);
    if (tract->cells[place->chunk] == PS_CELL_ABSENT) {
        tract->cells[place->chunk] = PS_CELL_MIXED;
        for (unsigned i = 0; i < PS_CHUNK_WORDS; i++)
            bits[i] = 0;
    }
    ps_chunk_give(pool, place, frames);
}

PS_COLD void ps_pool_bring(struct ps_frame_pool *pool, uint64_t first, uint64_t pages, bool late)
{
    for (uint64_t done = 0; done < pages;) {
        uint64_t frame = first + done;
        struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);
        uint64_t frames = ps_min(pages - done, PS_CHUNK_FRAMES - place.bit);

        bring_to_chunk(pool, &place, frames, late);
        done += frames;
    }
}

/* The line of a tract that is all RAM, and free: the usual kind. */
PS_COLD static struct ps_frame_tract full_line(void)
{
    struct ps_frame_tract line = {
        .whole = (uint8_t)((1u << PS_TRACT_CHUNKS) - 1),
        .solid = (uint8_t)((1u << PS_TRACT_CHUNKS) - 1),
        .free = (uint16_t)PS_TRACT_FRAMES,
        .frames = (uint16_t)PS_TRACT_FRAMES,
    };

    for (unsigned chunk = 0; chunk < PS_TRACT_CHUNKS; chunk++) {
        line.cells[chunk] = PS_CELL_WHOLE;
        line.counts[chunk] = (uint16_t)PS_CHUNK_FRAMES;
    }
    return line;
}

/* A region that one range covers is written as it will be. */
static void write_full(struct ps_frame_pool *pool, uint64_t region)
{
    struct ps_frame_tract line = full_line();

    for (unsigned tract = 0; tract < PS_REGION_TRACTS; tract++)
        *ps_pool_tract(pool, region, tract) = line;
    *ps_pool_entry(pool, region) = (struct ps_frame_region){
        .whole = {UINT64_MAX >> (64 - PS_REGION_TRACTS)},
        .whole_chunks = PS_REGION_CHUNKS,
    };
}

/*
 * A part of a tract of a region, or all of it, which then has no low frames: page 0 is no RAM. The
 * totals know of it already.
 */
static void write_part(struct ps_frame_pool *pool, uint64_t region, uint64_t first, uint64_t frames)
{
    struct ps_frame_region *entry = ps_pool_entry(pool, region);
    unsigned tract = ps_place_in(region, first).tract;

    if (frames != PS_TRACT_FRAMES) {
        ps_pool_bring(pool, first, frames, false);
        return;
    }
    *ps_pool_tract(pool, region, tract) = full_line();
    entry->whole[0] |= (uint64_t)1 << tract;
    entry->whole_chunks += PS_TRACT_CHUNKS;
    ps_set_put(pool, PS_FRAME_WHOLE, region, true);
}

static void write_ragged(struct ps_frame_pool *pool, uint64_t region)
{
    uint64_t from = ps_pool_region_first(pool, region);
    uint64_t last = from + (PS_REGION_FRAMES - 1);
    struct ps_frame_extent part;

    for (unsigned tract = 0; tract < PS_REGION_TRACTS; tract++)
        *ps_pool_tract(pool, region, tract) = (struct ps_frame_tract){0};
    *ps_pool_entry(pool, region) = (struct ps_frame_region){0};
    ps_set_put(pool, PS_FRAME_PARTIAL, region, false);
    ps_set_put(pool, PS_FRAME_WHOLE, region, false);
    while (ps_pool_next_part(pool, &from, last, &part)) {
        uint64_t frames;

        for (; part.pages != 0; part.pages -= frames, part.first += frames) {
            frames = ps_min(part.pages, PS_TRACT_FRAMES - part.first % PS_TRACT_FRAMES);
            write_part(pool, region, part.first, frames);
        }
    }
}

void ps_pool_open(struct ps_frame_pool *pool, uint64_t region)
{
    struct ps_frame_totals totals;

    if (ps_set_has(pool, PS_FRAME_OPEN, region))
        return;
    totals = pool->totals;
    if (ps_set_has(pool, PS_FRAME_GIB, region))
        write_full(pool, region);
    else
        write_ragged(pool, region);
    pool->totals = totals;
    ps_set_put(pool, PS_FRAME_OPEN, region, true);
}
