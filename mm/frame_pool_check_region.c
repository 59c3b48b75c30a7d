#include "frame_pool_check_private.h"

/* What the tracts of a region add up to. */
struct region {
    uint64_t number;
    uint64_t first; /* frame */
    uint64_t whole[2];
    uint64_t whole_chunks;
    uint64_t partial[2]; /* tracts that have to be in the region's list */
    uint64_t listed[2];  /* tracts that say that they are */
    uint64_t tracts;     /* tracts with RAM, while nobody has opened it */
};

/* What the chunks of a tract add up to. */
struct tract {
    uint64_t first; /* frame */
    uint64_t frames;
    uint64_t free;
    uint64_t partial; /* a bit a chunk */
    uint64_t whole;
    uint64_t absent;
    uint64_t solid;
};

/* ---- tag bytes ---- */

/* Before they are followed: the frame with a tract's tag bytes is one of its own, and RAM. */
static bool tags_are_inside(struct ps_pool_check *check, const struct ps_frame_tract *line,
                            struct ps_place *home, uint64_t first)
{
    uint64_t frame = first + (line->tags - 1u);
    uint64_t index = ps_pool_range_from(check->pool, frame);
    bool late;

    if (line->tags > PS_TRACT_FRAMES)
        return false;
    *home = ps_place_in(home->region, frame);
    late = (line->late >> home->chunk & 1) != 0;
    if (line->cells[home->chunk] != PS_CELL_MIXED || ps_pool_is_books(check->pool, frame))
        return false;
    return late ||
           (index < check->pool->ranges && ps_pool_range(check->pool, index).first <= frame);
}

static bool check_tags(struct ps_pool_check *check, const struct ps_place *place,
                       const struct ps_frame_tract *line, uint64_t first)
{
    struct ps_place home = *place;
    const uint8_t *tags;

    if (line->tags == 0)
        return true;
    if (!tags_are_inside(check, line, &home, first))
        return ps_check_breach(check, first, "begins 16 MiB with tag bytes outside");
    tags = ps_tract_tags(check->pool, place->region, place->tract, line);
    if (ps_bit_is_set(ps_pool_bits(check->pool, &home), home.bit) ||
        tags[line->tags - 1u] != (PS_SINGLE | PS_FRAME_METADATA))
        return ps_check_breach(check, first + (line->tags - 1u),
                               "holds tag bytes, and is not allocated for that");
    check->own++;
    return true;
}

/* ---- tracts ---- */

static bool check_chunks(struct ps_pool_check *check, struct ps_place *place,
                         const struct ps_frame_tract *line, struct tract *tract)
{
    for (place->chunk = 0; place->chunk < PS_TRACT_CHUNKS; place->chunk++) {
        uint64_t first = tract->first + place->chunk * PS_CHUNK_FRAMES;
        struct ps_pool_check_chunk chunk;
        bool whole;

        if (!ps_check_chunk(check, place, line, &chunk) ||
            !ps_check_same(check, first, chunk.free, line->counts[place->chunk],
                           "free frames of 2 MiB"))
            return false;
        whole = chunk.free == PS_CHUNK_FRAMES;
        tract->frames += chunk.frames;
        tract->free += chunk.free;
        tract->whole |= (uint64_t)whole << place->chunk;
        tract->partial |= (uint64_t)(chunk.free != 0 && !whole) << place->chunk;
        tract->absent |= (uint64_t)chunk.absent << place->chunk;
        tract->solid |= (uint64_t)chunk.solid << place->chunk;
    }
    return true;
}

/* A chunk that was filled by and by, and never was whole, may not be known to have no holes. */
static bool check_line(struct ps_pool_check *check, const struct ps_frame_tract *line,
                       const struct tract *tract)
{
    const uint64_t step = PS_CHUNK_FRAMES;
    uint64_t first = tract->first;

    return ps_check_same(check, first, tract->free, line->free, "free frames of 16 MiB") &&
           ps_check_same(check, first, tract->frames, line->frames, "frames of 16 MiB") &&
           ps_check_mask(check, first, step, tract->whole, line->whole, "whole 2 MiB") &&
           ps_check_mask(check, first, step, tract->partial, line->partial, "partly used 2 MiB") &&
           ps_check_mask(check, first, step, tract->solid & (line->solid | tract->whole),
                         line->solid, "2 MiB without holes") &&
           ps_check_mask(check, first, step, 0, line->late & tract->absent,
                         "used last, and absent 2 MiB") &&
           ps_check_same(check, first, 0, line->lock, "locks of 16 MiB") &&
           ps_check_same(check, first, 0, line->listed >> 2, "unknown lists of 16 MiB");
}

/*
 * The tracts that single frames are looked for in: those that have some, and not just the one
 * that is kept back for tag bytes.
 */
static void sum_up(struct region *region, const struct ps_frame_tract *line, unsigned number)
{
    bool usable = line->tags != 0 || line->free > 1;

    for (unsigned late = 0; late < 2; late++) {
        uint8_t chunks = late != 0 ? line->late : (uint8_t)~line->late;

        region->whole[late] |= (uint64_t)((line->whole & chunks) != 0) << number;
        region->partial[late] |= (uint64_t)(usable && (line->partial & chunks) != 0) << number;
        region->listed[late] |= (uint64_t)(line->listed >> late & 1u) << number;
    }
    region->whole_chunks += ps_bit_count(line->whole);
}

static bool check_tract(struct ps_pool_check *check, struct region *region, unsigned number)
{
    const struct ps_frame_tract *line = ps_pool_tract(check->pool, region->number, number);
    struct ps_place place = {.region = region->number, .tract = number};
    struct tract tract = {.first = region->first + number * PS_TRACT_FRAMES};

    if (!check_tags(check, &place, line, tract.first) ||
        !check_chunks(check, &place, line, &tract) || !check_line(check, line, &tract))
        return false;
    check->totals.kept += line->tags == 0 && tract.free != 0;
    sum_up(region, line, number);
    return true;
}

/* ---- regions ---- */

static bool check_set(struct ps_pool_check *check, const struct region *region,
                      enum ps_frame_set set, bool in)
{
    static const char names[][48] = {
        "regions with partly used 2 MiB", "regions with partly used 2 MiB for the last",
        "regions with whole 2 MiB", "regions with whole 2 MiB for the last",
        "regions that are whole"};

    _Static_assert(PS_ARRAY_SIZE(names) == PS_FRAME_GIB + 1, "a name a set");
    return ps_check_same(check, region->first, in, ps_set_has(check->pool, set, region->number),
                         names[set]);
}

static bool check_sets(struct ps_pool_check *check, const struct region *region, bool gib)
{
    return check_set(check, region, PS_FRAME_PARTIAL, region->listed[0] != 0) &&
           check_set(check, region, PS_FRAME_PARTIAL_LATE, region->listed[1] != 0) &&
           check_set(check, region, PS_FRAME_WHOLE, region->whole[0] != 0 && !gib) &&
           check_set(check, region, PS_FRAME_WHOLE_LATE, region->whole[1] != 0) &&
           check_set(check, region, PS_FRAME_GIB, gib);
}

static bool check_entry(struct ps_pool_check *check, const struct region *region)
{
    const struct ps_frame_region *entry = ps_pool_entry(check->pool, region->number);
    uint64_t first = region->first;

    for (unsigned late = 0; late < 2; late++)
        if (!ps_check_mask(check, first, PS_TRACT_FRAMES, region->whole[late], entry->whole[late],
                           "16 MiB with whole 2 MiB") ||
            !ps_check_mask(check, first, PS_TRACT_FRAMES, region->partial[late],
                           region->partial[late] & region->listed[late], "16 MiB to be listed") ||
            !ps_check_mask(check, first, PS_TRACT_FRAMES, region->listed[late],
                           entry->partial[late], "listed 16 MiB"))
            return false;
    return ps_check_same(check, first, region->whole_chunks, entry->whole_chunks,
                         "whole 2 MiB of 1 GiB");
}

static bool check_lines(struct ps_pool_check *check, struct region *region)
{
    for (unsigned number = 0; number < PS_REGION_TRACTS; number++)
        if (!check_tract(check, region, number))
            return false;
    return check_entry(check, region);
}

static bool check_open(struct ps_pool_check *check, struct region *region)
{
    bool gib;

    if (!check_lines(check, region))
        return false;
    gib = region->whole_chunks == PS_REGION_CHUNKS && region->whole[1] == 0;
    check->totals.whole_2m += region->whole_chunks;
    check->totals.whole_1g += gib;
    return check_sets(check, region, gib);
}

/* A region that is a unit. Its lines, if it is open, still say that it is whole. */
static bool check_unit(struct ps_pool_check *check, struct region *region)
{
    const struct ps_frame_region *entry = ps_pool_entry(check->pool, region->number);
    struct ps_frame_totals totals = check->totals;
    uint64_t ram = ps_check_ram(check, region->first, PS_REGION_FRAMES);

    check->in_unit = true;
    if (ps_set_has(check->pool, PS_FRAME_OPEN, region->number) &&
        (!check_lines(check, region) ||
         !ps_check_same(check, region->first, region->whole_chunks, PS_REGION_CHUNKS,
                        "whole 2 MiB of a unit of 1 GiB")))
        return false;
    check->in_unit = false;
    check->totals = totals;
    check->totals.managed += PS_REGION_FRAMES;
    check->shared_units += entry->holders > 1;
    region->whole[0] = 0;
    if (!ps_check_same(check, region->first, ram, PS_REGION_FRAMES, "frames of a unit of 1 GiB") ||
        !ps_check_slot(check, region->first, PS_REGION_FRAMES, PS_HEAD | entry->tag))
        return false;
    /* It ends here, and one slot tells no digits that could be wrong. */
    (void)ps_check_unit_end(check);
    return check_sets(check, region, false);
}

/* ---- regions that nobody has opened ---- */

/* A stretch of RAM in such a region, low frames apart: its tracts and whole chunks. */
static void count_stretch(struct region *region, uint64_t first, uint64_t end)
{
    uint64_t from = ps_align_down(first + (PS_CHUNK_FRAMES - 1), PS_CHUNK_FRAMES);
    uint64_t to = ps_align_down(end, PS_CHUNK_FRAMES);
    uint64_t chunks = from < to ? (to - from) >> PS_CHUNK_BITS : 0;

    for (uint64_t frame = first; frame < end;
         frame = ps_align_down(frame, PS_TRACT_FRAMES) + PS_TRACT_FRAMES)
        region->tracts |= (uint64_t)1 << (frame % PS_REGION_FRAMES >> PS_TRACT_BITS);
    region->whole_chunks += chunks;
    region->whole[0] |= chunks != 0;
}

/* All of it is free. */
static bool check_stretch(struct ps_pool_check *check, struct region *region, uint64_t first,
                          uint64_t end)
{
    uint64_t low = ps_min(ps_max(first, PS_FRAMES_LOW), end) - first;

    check->totals.managed += end - first;
    check->totals.free += end - first;
    check->totals.low += low;
    check->totals.low_free += low;
    region->listed[0] |= !ps_is_aligned(first | end, PS_CHUNK_FRAMES);
    count_stretch(region, first + low, end);
    return ps_check_pattern(check, first, end - first);
}

static bool check_closed(struct ps_pool_check *check, struct region *region)
{
    const struct ps_frame_pool *pool = check->pool;
    uint64_t end = region->first + PS_REGION_FRAMES;
    bool gib;

    for (uint64_t i = ps_pool_range_from(pool, region->first); i < pool->ranges; i++) {
        struct ps_frame_extent range = ps_pool_range(pool, i);

        if (range.first >= end)
            break;
        if (!check_stretch(check, region, ps_max(range.first, region->first),
                           ps_min(range.first + range.pages, end)))
            return false;
    }
    gib = region->whole_chunks == PS_REGION_CHUNKS;
    check->totals.kept += ps_bit_count(region->tracts);
    check->totals.whole_2m += region->whole_chunks;
    check->totals.whole_1g += gib;
    return check_sets(check, region, gib);
}

bool ps_check_region(struct ps_pool_check *check, uint64_t region)
{
    struct region this = {.number = region, .first = ps_pool_region_first(check->pool, region)};
    bool unit = ps_set_has(check->pool, PS_FRAME_UNIT, region);
    bool open = ps_set_has(check->pool, PS_FRAME_OPEN, region);

    /* A unit reaches from one region to the next where that is the next in memory, and open. */
    if ((unit || !open || check->unit.first + check->unit.pages != this.first) &&
        !ps_check_unit_end(check))
        return false;
    if (unit)
        return check_unit(check, &this);
    return open ? check_open(check, &this) : check_closed(check, &this);
}
