#include "frame_pool_private.h"

static struct ps_frame_tract *tract_of(const struct ps_frame_pool *pool,
                                       const struct ps_place *place)
{
    return ps_pool_tract(pool, place->region, place->tract);
}

static uint8_t chunk_bit(const struct ps_place *place)
{
    return (uint8_t)(1u << place->chunk);
}

static bool is_late(const struct ps_frame_tract *tract, const struct ps_place *place)
{
    return (tract->late >> place->chunk & 1) != 0;
}

/* ---- low frames ---- */

static bool is_lowest_tract(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    return place->region == 0 && place->tract == 0 && ps_pool_region_first(pool, 0) == 0;
}

uint64_t ps_low_part(const struct ps_frame_pool *pool, const struct ps_place *place,
                     uint64_t frames)
{
    if (place->chunk != 0 || place->bit >= PS_FRAMES_LOW || !is_lowest_tract(pool, place))
        return 0;
    return ps_min(PS_FRAMES_LOW - place->bit, frames);
}

/* ---- numbers of free frames ---- */

/* One of its free frames is kept back for tag bytes. */
static bool keeps_one(const struct ps_frame_tract *tract)
{
    return tract->tags == 0 && tract->free != 0;
}

static void set_free(struct ps_frame_pool *pool, struct ps_frame_tract *tract, uint64_t frames)
{
    bool kept = keeps_one(tract);

    tract->free = (uint16_t)frames;
    pool->totals.kept = pool->totals.kept + keeps_one(tract) - kept;
}

static void set_tags(struct ps_frame_pool *pool, struct ps_frame_tract *tract, unsigned tags)
{
    bool kept = keeps_one(tract);

    tract->tags = (uint16_t)tags;
    pool->totals.kept = pool->totals.kept + keeps_one(tract) - kept;
}

PS_COLD static void list_as(struct ps_frame_pool *pool, const struct ps_place *place, bool late)
{
    struct ps_frame_tract *tract = tract_of(pool, place);

    if ((tract->listed >> late & 1) != 0)
        return;
    tract->listed |= (uint8_t)(1u << late);
    ps_pool_entry(pool, place->region)->partial[late] |= (uint64_t)1 << place->tract;
    ps_set_put(pool, late ? PS_FRAME_PARTIAL_LATE : PS_FRAME_PARTIAL, place->region, true);
}

/*
 * Make the tract's partly used chunks findable: those of both classes, because what a tract
 * can give depends on all of it.
 */
static void list(struct ps_frame_pool *pool, const struct ps_place *place)
{
    const struct ps_frame_tract *tract = tract_of(pool, place);

    if ((tract->partial & (uint8_t)~tract->late) != 0)
        list_as(pool, place, false);
    if ((tract->partial & tract->late) != 0)
        list_as(pool, place, true);
}

/* ---- whole chunks ---- */

static void put_bit(uint64_t *word, unsigned bit, bool set)
{
    *word = set ? *word | (uint64_t)1 << bit : *word & ~((uint64_t)1 << bit);
}

/* The region's place in the sets, from its entry. */
static void sort_region(struct ps_frame_pool *pool, uint64_t region)
{
    const struct ps_frame_region *entry = ps_pool_entry(pool, region);
    bool gib = entry->whole_chunks == PS_REGION_CHUNKS && entry->whole[1] == 0;
    bool was_gib = ps_set_has(pool, PS_FRAME_GIB, region);

    if (gib != was_gib) {
        ps_set_put(pool, PS_FRAME_GIB, region, gib);
        pool->totals.whole_1g = pool->totals.whole_1g + gib - was_gib;
    }
    ps_set_put(pool, PS_FRAME_WHOLE, region, entry->whole[0] != 0 && !gib);
    ps_set_put(pool, PS_FRAME_WHOLE_LATE, region, entry->whole[1] != 0);
}

/* The chunk is whole now, or is not any more. Its count is not looked at. */
static void set_whole(struct ps_frame_pool *pool, const struct ps_place *place, bool whole)
{
    struct ps_frame_tract *tract = tract_of(pool, place);
    struct ps_frame_region *entry = ps_pool_entry(pool, place->region);
    bool late = is_late(tract, place);
    uint8_t class_mask = late ? tract->late : (uint8_t)~tract->late;
    uint64_t before = entry->whole[late];
    bool was_full = entry->whole_chunks == PS_REGION_CHUNKS;

    if (whole) {
        tract->whole |= chunk_bit(place);
        tract->solid |= chunk_bit(place);
        entry->whole_chunks++;
        pool->totals.whole_2m++;
    } else {
        tract->whole &= (uint8_t)~chunk_bit(place);
        entry->whole_chunks--;
        pool->totals.whole_2m--;
    }
    put_bit(&entry->whole[late], place->tract, (tract->whole & class_mask) != 0);
    if (was_full != (entry->whole_chunks == PS_REGION_CHUNKS) ||
        (before == 0) != (entry->whole[late] == 0))
        sort_region(pool, place->region);
}

void ps_chunk_take_whole(struct ps_frame_pool *pool, const struct ps_place *place, uint8_t cell)
{
    struct ps_frame_tract *tract = tract_of(pool, place);

    set_whole(pool, place, false);
    set_free(pool, tract, tract->free - PS_CHUNK_FRAMES);
    tract->counts[place->chunk] = 0;
    tract->cells[place->chunk] = cell;
}

void ps_chunk_give_whole(struct ps_frame_pool *pool, const struct ps_place *place)
{
    struct ps_frame_tract *tract = tract_of(pool, place);

    set_whole(pool, place, true);
    set_free(pool, tract, tract->free + PS_CHUNK_FRAMES);
    tract->counts[place->chunk] = (uint16_t)PS_CHUNK_FRAMES;
    tract->cells[place->chunk] = PS_CELL_WHOLE;
    list(pool, place);
}

/* ---- parts of chunks ---- */

PS_COLD static void change_bits(uint64_t *bits, uint64_t first, uint64_t count, bool set)
{
    while (count != 0) {
        uint64_t shift = first % 64;
        uint64_t here = ps_min(64 - shift, count);
        uint64_t mask = UINT64_MAX >> (64 - here) << shift;

        bits[first / 64] = set ? bits[first / 64] | mask : bits[first / 64] & ~mask;
        first += here;
        count -= here;
    }
}

/* A whole chunk gets bits. Whose its frames will be is not known yet: bytes would say. */
static void break_whole(struct ps_frame_pool *pool, const struct ps_place *place)
{
    struct ps_frame_tract *tract = tract_of(pool, place);
    uint64_t *bits = ps_pool_bits(pool, place);

    set_whole(pool, place, false);
    for (unsigned i = 0; i < PS_CHUNK_WORDS; i++)
        bits[i] = PS_WORD_FULL;
    tract->cells[place->chunk] = PS_CELL_MIXED;
}

PS_COLD static void set_count(struct ps_frame_pool *pool, const struct ps_place *place,
                              uint64_t count)
{
    struct ps_frame_tract *tract = tract_of(pool, place);

    tract->counts[place->chunk] = (uint16_t)count;
    if (count == 0) {
        tract->partial &= (uint8_t)~chunk_bit(place);
        return;
    }
    tract->partial |= chunk_bit(place);
    list(pool, place);
}

PS_COLD void ps_chunk_take(struct ps_frame_pool *pool, const struct ps_place *place,
                           uint64_t frames)
{
    struct ps_frame_tract *tract = tract_of(pool, place);
    uint64_t low = ps_low_part(pool, place, frames);

    if (tract->cells[place->chunk] == PS_CELL_WHOLE)
        break_whole(pool, place);
    change_bits(ps_pool_bits(pool, place), place->bit, frames, false);
    pool->totals.low_free -= low;
    set_free(pool, tract, tract->free - (frames - low));
    set_count(pool, place, tract->counts[place->chunk] - (frames - low));
}

PS_COLD void ps_chunk_give(struct ps_frame_pool *pool, const struct ps_place *place,
                           uint64_t frames)
{
    struct ps_frame_tract *tract = tract_of(pool, place);
    uint64_t low = ps_low_part(pool, place, frames);
    uint64_t count = tract->counts[place->chunk] + (frames - low);

    pool->totals.low_free += low;
    if (count != PS_CHUNK_FRAMES) {
        change_bits(ps_pool_bits(pool, place), place->bit, frames, true);
        set_free(pool, tract, tract->free + (frames - low));
        set_count(pool, place, count);
        return;
    }
    tract->partial &= (uint8_t)~chunk_bit(place);
    set_whole(pool, place, true);
    set_free(pool, tract, tract->free + frames);
    tract->counts[place->chunk] = (uint16_t)count;
    tract->cells[place->chunk] = PS_CELL_WHOLE;
    list(pool, place);
}

/* ---- regions ---- */

PS_COLD void ps_region_take(struct ps_frame_pool *pool, uint64_t region, enum ps_frame_tag tag)
{
    struct ps_frame_region *entry = ps_pool_entry(pool, region);

    ps_set_put(pool, PS_FRAME_GIB, region, false);
    ps_set_put(pool, PS_FRAME_UNIT, region, true);
    entry->tag = (uint8_t)tag;
    entry->holders = 0;
    pool->totals.whole_1g--;
    pool->totals.whole_2m -= PS_REGION_CHUNKS;
    pool->totals.kept -= PS_REGION_TRACTS;
}

PS_COLD void ps_region_give(struct ps_frame_pool *pool, uint64_t region)
{
    ps_set_put(pool, PS_FRAME_UNIT, region, false);
    ps_set_put(pool, PS_FRAME_GIB, region, true);
    pool->totals.whole_1g++;
    pool->totals.whole_2m += PS_REGION_CHUNKS;
    pool->totals.kept += PS_REGION_TRACTS;
}

/* ---- tag bytes ---- */

uint8_t *ps_tract_tags(const struct ps_frame_pool *pool, uint64_t region, unsigned tract,
                       const struct ps_frame_tract *line)
{
    uint64_t first;

    if (line->tags == 0)
        return NULL;
    first = ps_pool_region_first(pool, region) + tract * PS_TRACT_FRAMES;
    return ps_hw_frame(pool->machine, ps_frame(first + line->tags - 1u));
}

PS_COLD bool ps_tract_can_mix(const struct ps_frame_pool *pool, const struct ps_place *place,
                              uint64_t taken)
{
    const struct ps_frame_tract *tract = tract_of(pool, place);
    uint64_t low = ps_low_part(pool, place, taken);

    if (tract->tags != 0 || tract->free > taken - low)
        return true;
    return is_lowest_tract(pool, place) && pool->totals.low_free > low;
}

static unsigned lowest_free(const uint64_t *bits, unsigned from)
{
    unsigned word = from / 64;
    uint64_t here = bits[word] & UINT64_MAX << (from % 64);

    while (here == 0)
        here = bits[++word];
    return word * 64 + ps_lowest_bit(here);
}

/* Where the tag bytes will be: rather in a chunk that is partly used, rather not in a low frame. */
PS_COLD static struct ps_place place_for_tags(const struct ps_frame_pool *pool,
                                              const struct ps_place *place)
{
    const struct ps_frame_tract *tract = tract_of(pool, place);
    struct ps_place found = {.region = place->region, .tract = place->tract};
    unsigned from = 0;

    if (tract->partial == 0 && tract->whole != 0) {
        found.chunk = ps_lowest_bit(tract->whole);
        return found;
    }
    if (tract->partial != 0) {
        found.chunk = ps_lowest_bit(tract->partial);
        from = (unsigned)ps_low_part(pool, &found, PS_FRAMES_LOW);
    }
    found.bit = lowest_free(ps_pool_bits(pool, &found), from);
    return found;
}

/* Write down, frame by frame, that a chunk holds single frames of one tag. */
PS_COLD static void write_bytes(struct ps_frame_pool *pool, const struct ps_place *place)
{
    struct ps_frame_tract *tract = tract_of(pool, place);
    const uint64_t *bits = ps_pool_bits(pool, place);
    uint8_t *bytes =
        ps_tract_tags(pool, place->region, place->tract, tract) + place->chunk * PS_CHUNK_FRAMES;
    uint8_t cell = tract->cells[place->chunk];

    if ((cell & PS_KIND) != PS_SINGLE)
        return;
    for (unsigned i = 0; i < PS_CHUNK_FRAMES; i++)
        bytes[i] = ps_bit_is_set(bits, i) ? 0 : cell;
    tract->cells[place->chunk] = PS_CELL_MIXED;
}

PS_COLD static void make_tags(struct ps_frame_pool *pool, const struct ps_place *place)
{
    struct ps_frame_tract *tract = tract_of(pool, place);
    struct ps_place home = place_for_tags(pool, place);
    unsigned index = (unsigned)(home.chunk * PS_CHUNK_FRAMES) + home.bit;
    uint8_t *tags;

    ps_chunk_take(pool, &home, 1);
    set_tags(pool, tract, index + 1);
    list(pool, place);
    tags = ps_tract_tags(pool, place->region, place->tract, tract);
    ps_hw_zero_frame(tags);
    write_bytes(pool, &home);
    tags[index] = PS_SINGLE | PS_FRAME_METADATA;
    ps_pool_count_tag(pool, PS_FRAME_METADATA, 1);
}

PS_COLD void ps_chunk_mix(struct ps_frame_pool *pool, const struct ps_place *place)
{
    if (tract_of(pool, place)->tags == 0)
        make_tags(pool, place);
    write_bytes(pool, place);
}

void ps_tract_tidy(struct ps_frame_pool *pool, const struct ps_place *place)
{
    struct ps_frame_tract *tract = tract_of(pool, place);
    uint64_t low_used = is_lowest_tract(pool, place) ? pool->totals.low - pool->totals.low_free : 0;
    struct ps_place home;

    if (tract->tags == 0 || tract->frames - tract->free + low_used != 1)
        return;
    home = ps_place_in(place->region, place->tract * PS_TRACT_FRAMES + (tract->tags - 1u));
    /* A low one is not available, but in its place one that is would be kept back. */
    if (ps_low_part(pool, &home, 1) != 0 && tract->free != 0 && ps_pool_unpromised(pool) == 0)
        return;
    ps_tract_tags(pool, place->region, place->tract, tract)[tract->tags - 1u] = 0;
    set_tags(pool, tract, 0);
    ps_chunk_give(pool, &home, 1);
    ps_pool_count_tag(pool, PS_FRAME_METADATA, -1);
    ps_pool_fill_frames(pool, ps_place_frame(pool, &home), 1);
}
