#include "frame_pool_check_private.h"

/* ---- units ---- */

static void count_unit(struct ps_pool_check *check, const struct ps_pool_check_unit *unit)
{
    if (unit->pages == PS_REGION_FRAMES && ps_is_aligned(unit->first, PS_REGION_FRAMES))
        check->units_1g++;
    else if (unit->pages == PS_CHUNK_FRAMES && ps_is_aligned(unit->first, PS_CHUNK_FRAMES))
        check->units_2m++;
    else
        check->run_frames += unit->pages;
}

bool ps_check_unit_end(struct ps_pool_check *check)
{
    struct ps_pool_check_unit unit = check->unit;
    uint64_t told = UINT64_MAX;

    if (unit.pages == 0)
        return true;
    check->unit.pages = 0;
    if (unit.pages == 1)
        return ps_check_breach(check, unit.first, "begins a unit of several frames and is alone");
    if (unit.slots <= PS_DIGITS)
        told = ((uint64_t)1 << 6 * (unit.slots - 1)) - 1;
    if (unit.digits != (unit.pages & told))
        return ps_check_breach(check, unit.first, "begins a unit of another size than it tells");
    check->tagged[unit.tag] += unit.pages;
    count_unit(check, &unit);
    return true;
}

/* What a unit of several frames can be. */
static bool is_tag_of_run(unsigned tag)
{
    return tag == PS_FRAME_METADATA || (tag > PS_FRAME_DAMAGED && tag < PS_FRAME_TAG_COUNT);
}

/* What a single frame can be that is not lent. */
static bool is_tag_of_single(unsigned tag)
{
    return is_tag_of_run(tag) || tag == PS_FRAME_DAMAGED;
}

static bool is_tag_of_loan(unsigned tag)
{
    return tag == PS_FRAME_LOANED || (tag > PS_FRAME_DAMAGED && tag < PS_FRAME_TAG_COUNT);
}

static bool check_loan(struct ps_pool_check *check, uint64_t frame, uint8_t value)
{
    unsigned tag = value & PS_TAG;
    bool open = (value & PS_LOAN) == PS_LOAN_OPEN;

    if ((value & PS_LOAN) == PS_LOAN || !is_tag_of_loan(tag))
        return ps_check_breach(check, frame, "is lent in a way that there is not");
    check->tagged[tag]++;
    check->loans++;
    check->loans_out += tag != PS_FRAME_LOANED;
    check->loans_ended += !open;
    check->borrowable += open && tag == PS_FRAME_LOANED;
    return true;
}

static bool check_single(struct ps_pool_check *check, uint64_t frame, uint8_t value)
{
    if ((value & PS_LOAN) != 0)
        return check_loan(check, frame, value);
    if (!is_tag_of_single(value & PS_TAG))
        return ps_check_breach(check, frame, "has an unknown tag");
    check->tagged[value & PS_TAG]++;
    return true;
}

static bool begin_unit(struct ps_pool_check *check, uint64_t frame, uint64_t frames, uint8_t value)
{
    if ((value & PS_LOAN) != 0 || !is_tag_of_run(value & PS_TAG))
        return ps_check_breach(check, frame, "has an unknown tag");
    check->unit = (struct ps_pool_check_unit){frame, frames, 1, 0, value & PS_TAG};
    return true;
}

static bool continue_unit(struct ps_pool_check *check, uint64_t frame, uint64_t frames,
                          uint8_t value)
{
    struct ps_pool_check_unit *unit = &check->unit;

    if (unit->pages == 0)
        return ps_check_breach(check, frame, "continues a unit that does not reach it");
    if (unit->slots <= PS_DIGITS)
        unit->digits |= (uint64_t)(value & PS_DIGIT) << 6 * (unit->slots - 1);
    unit->slots++;
    unit->pages += frames;
    return true;
}

bool ps_check_slot(struct ps_pool_check *check, uint64_t frame, uint64_t frames, uint8_t value)
{
    unsigned kind = value & PS_KIND;

    if (kind == PS_MIDDLE)
        return continue_unit(check, frame, frames, value);
    if (!ps_check_unit_end(check))
        return false;
    if (kind == PS_HEAD)
        return begin_unit(check, frame, frames, value);
    if (kind == PS_SINGLE)
        return check_single(check, frame, value);
    return value == 0 || ps_check_breach(check, frame, "is in a state that there is not");
}

/* ---- what is RAM ---- */

static void skip_ranges(struct ps_pool_check *check, uint64_t frame)
{
    while (check->range < check->pool->ranges) {
        struct ps_frame_extent range = ps_pool_range(check->pool, check->range);

        if (range.first + (range.pages - 1) >= frame)
            return;
        check->range++;
    }
}

uint64_t ps_check_ram(struct ps_pool_check *check, uint64_t first, uint64_t frames)
{
    uint64_t last = first + (frames - 1);
    uint64_t count = 0;

    skip_ranges(check, first);
    for (uint64_t i = check->range; i < check->pool->ranges; i++) {
        struct ps_frame_extent range = ps_pool_range(check->pool, i);
        uint64_t from = ps_max(range.first, first);
        uint64_t to = ps_min(range.first + (range.pages - 1), last);

        if (range.first > last)
            break;
        count += to - from + 1;
    }
    return count;
}

/* Page 0, and what init set aside, are not handed out, whatever was added later. */
static bool is_foreign(const struct ps_frame_pool *pool, uint64_t first, uint64_t frames)
{
    return first == 0 ||
           (first < pool->books + pool->books_frames && pool->books <= first + (frames - 1));
}

/* The first frame from `first` on that is RAM by the ranges, or that is not. */
static uint64_t first_that(const struct ps_pool_check *check, uint64_t first, bool ram)
{
    struct ps_frame_extent range;

    if (check->range == check->pool->ranges)
        return first;
    range = ps_pool_range(check->pool, check->range);
    if (ram)
        return ps_max(range.first, first);
    return range.first > first ? first : range.first + range.pages;
}

/*
 * Frames that are all in the pool, or all absent: so they must be, by the ranges. Only in
 * chunks that are used last there may be more, which was added.
 */
static bool check_presence(struct ps_pool_check *check, uint64_t first, uint64_t frames,
                           bool present, bool late)
{
    uint64_t ram = ps_check_ram(check, first, frames);

    if (!present)
        return ram == 0 ||
               ps_check_breach(check, first_that(check, first, true), "is RAM, and absent");
    if (!late && ram != frames)
        return ps_check_breach(check, first_that(check, first, false),
                               "is in the pool, and no RAM of it");
    return !late || !is_foreign(check->pool, first, frames) ||
           ps_check_breach(check, first, "is in the pool, and not to be handed out");
}

bool ps_check_pattern(struct ps_pool_check *check, uint64_t first, uint64_t frames)
{
    uint64_t damaged = ps_pool_damaged(check->pool, first, frames);

    return damaged == PS_NONE || ps_check_breach(check, damaged, "is free, and was written to");
}

/* ---- kinds of chunks ---- */

/* A chunk, or a walk through its frames. */
struct chunk {
    const uint64_t *bits;
    const uint8_t *tags; /* of its first frame; NULL: the tract has none */
    uint64_t first;
    bool late;
    uint64_t frames; /* that are there, */
    uint64_t free;   /* of which these are free */
    uint64_t low;    /* the same of low ones only */
    uint64_t low_free;
};

static bool check_free_frame(struct ps_pool_check *check, struct chunk *chunk, uint64_t frame)
{
    chunk->free++;
    chunk->low_free += frame < PS_FRAMES_LOW;
    return ps_check_pattern(check, frame, 1);
}

static bool check_mixed_frame(struct ps_pool_check *check, struct chunk *chunk, unsigned bit)
{
    bool free = ps_bit_is_set(chunk->bits, bit);
    uint8_t value = chunk->tags == NULL ? 0 : chunk->tags[bit];
    bool present = free || value != 0;
    uint64_t frame = chunk->first + bit;

    if (free && value != 0)
        return ps_check_breach(check, frame, "is free and allocated");
    if (!ps_check_slot(check, frame, 1, value) ||
        !check_presence(check, frame, 1, present, chunk->late))
        return false;
    chunk->frames += present;
    chunk->low += present && frame < PS_FRAMES_LOW;
    return !free || check_free_frame(check, chunk, frame);
}

static bool check_mixed(struct ps_pool_check *check, struct chunk *chunk)
{
    for (unsigned bit = 0; bit < PS_CHUNK_FRAMES; bit++)
        if (!check_mixed_frame(check, chunk, bit))
            return false;
    if (chunk->frames == 0)
        return ps_check_breach(check, chunk->first, "begins 2 MiB with bits, and without RAM");
    /* The unit that the walk is in reaches the end of the chunk. */
    if (check->unit.pages >= PS_CHUNK_FRAMES)
        return ps_check_breach(check, chunk->first, "begins 2 MiB of a unit that have bytes");
    return true;
}

/* Words of bits are enough: no frame is absent, and all that are not free are alike. */
static bool check_singles(struct ps_pool_check *check, struct chunk *chunk, uint8_t value)
{
    if ((value & PS_LOAN) != 0 || !is_tag_of_single(value & PS_TAG))
        return ps_check_breach(check, chunk->first, "begins 2 MiB with an unknown tag");
    chunk->frames = PS_CHUNK_FRAMES;
    for (unsigned word = 0; word < PS_CHUNK_WORDS; word++)
        chunk->free += ps_bit_count(chunk->bits[word] & PS_WORD_FULL);
    check->tagged[value & PS_TAG] += PS_CHUNK_FRAMES - chunk->free;
    if (!ps_check_unit_end(check) ||
        !check_presence(check, chunk->first, PS_CHUNK_FRAMES, true, chunk->late))
        return false;
    for (unsigned bit = 0; bit < PS_CHUNK_FRAMES && check->pool->fill_bytes != 0; bit++)
        if (ps_bit_is_set(chunk->bits, bit) && !ps_check_pattern(check, chunk->first + bit, 1))
            return false;
    return true;
}

static bool check_bits(struct ps_pool_check *check, struct chunk *chunk, uint8_t cell)
{
    bool held =
        cell == PS_CELL_MIXED ? check_mixed(check, chunk) : check_singles(check, chunk, cell);

    return held && (chunk->free != PS_CHUNK_FRAMES ||
                    ps_check_breach(check, chunk->first, "begins 2 MiB that are free, with bits"));
}

/* All in one state: no RAM, free, or the slot of a unit. */
static bool check_uniform(struct ps_pool_check *check, struct chunk *chunk, uint8_t cell)
{
    bool absent = cell == PS_CELL_ABSENT;
    bool whole = cell == PS_CELL_WHOLE;

    chunk->frames = absent ? 0 : PS_CHUNK_FRAMES;
    chunk->free = whole ? PS_CHUNK_FRAMES : 0;
    return ps_check_slot(check, chunk->first, PS_CHUNK_FRAMES, whole ? 0 : cell) &&
           check_presence(check, chunk->first, PS_CHUNK_FRAMES, !absent, chunk->late) &&
           (!whole || ps_check_pattern(check, chunk->first, PS_CHUNK_FRAMES));
}

static struct chunk chunk_at(const struct ps_frame_pool *pool, const struct ps_place *place,
                             const struct ps_frame_tract *line)
{
    const uint8_t *tags = ps_tract_tags(pool, place->region, place->tract, line);

    return (struct chunk){
        .bits = ps_pool_bits(pool, place),
        .tags = tags == NULL ? NULL : tags + place->chunk * PS_CHUNK_FRAMES,
        .first = ps_place_frame(pool, place),
        .late = (line->late >> place->chunk & 1) != 0,
    };
}

bool ps_check_chunk(struct ps_pool_check *check, const struct ps_place *place,
                    const struct ps_frame_tract *line, struct ps_pool_check_chunk *counted)
{
    uint8_t cell = line->cells[place->chunk];
    struct chunk chunk = chunk_at(check->pool, place, line);
    bool has_bits = cell == PS_CELL_MIXED || (cell & PS_KIND) == PS_SINGLE;

    /* There are no bits behind the last RAM. */
    if (cell != PS_CELL_ABSENT && chunk.first >= check->pool->span)
        return ps_check_breach(check, chunk.first, "is in the pool, and past the end of RAM");
    if (has_bits ? !check_bits(check, &chunk, cell) : !check_uniform(check, &chunk, cell))
        return false;
    check->totals.managed += chunk.frames;
    check->totals.free += chunk.free;
    check->totals.low += chunk.low;
    check->totals.low_free += chunk.low_free;
    counted->absent = chunk.frames == 0;
    counted->solid = chunk.frames == PS_CHUNK_FRAMES;
    counted->frames = chunk.frames - chunk.low;
    counted->free = chunk.free - chunk.low_free;
    return true;
}
