#include "frame_pool_private.h"

/* ---- slots ---- */

static uint8_t single_slot(const struct ps_frame_pool *pool, const struct ps_place *place,
                           const struct ps_frame_tract *tract)
{
    uint8_t cell = tract->cells[place->chunk];
    const uint8_t *bytes;

    if (cell == PS_CELL_ABSENT || cell == PS_CELL_WHOLE ||
        ps_bit_is_set(ps_pool_bits(pool, place), place->bit))
        return 0;
    if (cell != PS_CELL_MIXED)
        return cell;
    bytes = ps_tract_tags(pool, place->region, place->tract, tract);
    return bytes == NULL ? 0 : bytes[place->chunk * PS_CHUNK_FRAMES + place->bit];
}

struct ps_slot ps_pool_slot(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t region = frame < pool->span ? ps_pool_region(pool, frame) : PS_NONE;
    const struct ps_frame_tract *tract;
    struct ps_place place;
    uint8_t kind;

    if (region == PS_NONE)
        return (struct ps_slot){0, 1};
    if (ps_set_has(pool, PS_FRAME_UNIT, region))
        return (struct ps_slot){PS_HEAD | ps_pool_entry(pool, region)->tag, PS_REGION_FRAMES};
    if (!ps_set_has(pool, PS_FRAME_OPEN, region))
        return (struct ps_slot){0, 1};
    place = ps_place_in(region, frame);
    tract = ps_pool_tract(pool, region, place.tract);
    kind = tract->cells[place.chunk] & PS_KIND;
    if (kind == PS_HEAD || kind == PS_MIDDLE)
        return (struct ps_slot){tract->cells[place.chunk], PS_CHUNK_FRAMES};
    return (struct ps_slot){single_slot(pool, &place, tract), 1};
}

PS_COLD static bool in_range(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t index = ps_pool_range_from(pool, frame);

    return index < pool->ranges && ps_pool_range(pool, index).first <= frame;
}

PS_COLD bool ps_pool_is_free(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t region = frame < pool->span ? ps_pool_region(pool, frame) : PS_NONE;
    struct ps_place place;
    uint8_t cell;

    if (region == PS_NONE || ps_set_has(pool, PS_FRAME_UNIT, region))
        return false;
    if (!ps_set_has(pool, PS_FRAME_OPEN, region))
        return in_range(pool, frame);
    place = ps_place_in(region, frame);
    cell = ps_pool_tract(pool, region, place.tract)->cells[place.chunk];
    if (cell == PS_CELL_WHOLE)
        return true;
    if (cell != PS_CELL_MIXED && (cell & PS_KIND) != PS_SINGLE)
        return false;
    return ps_bit_is_set(ps_pool_bits(pool, &place), place.bit);
}

PS_COLD uint64_t ps_pool_free_ahead(const struct ps_frame_pool *pool, uint64_t frame)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);
    uint64_t bits;

    if (!ps_set_has(pool, PS_FRAME_OPEN, place.region)) {
        struct ps_frame_extent range = ps_pool_range(pool, ps_pool_range_from(pool, frame));

        return ps_min(range.first + (range.pages - 1), frame | (PS_REGION_FRAMES - 1)) - frame + 1;
    }
    if (ps_pool_tract(pool, place.region, place.tract)->cells[place.chunk] == PS_CELL_WHOLE)
        return PS_CHUNK_FRAMES - place.bit;
    bits = ~(ps_pool_bits(pool, &place)[place.bit / 64] >> (place.bit % 64));
    return bits == 0 ? 64 : ps_lowest_bit(bits);
}

/* ---- sizes ---- */

/* Pages of the unit whose head, at `first`, is `head`. */
static uint64_t unit_pages(const struct ps_frame_pool *pool, uint64_t first,
                           const struct ps_slot *head)
{
    uint64_t pages = head->frames;
    uint64_t digits = 0;

    if ((head->value & PS_KIND) == PS_SINGLE)
        return 1;
    for (unsigned i = 0; i < PS_DIGITS; i++) {
        struct ps_slot slot = ps_pool_slot(pool, first + pages);

        if ((slot.value & PS_KIND) != PS_MIDDLE)
            return pages;
        digits |= (uint64_t)(slot.value & PS_DIGIT) << (6 * i);
        pages += slot.frames;
    }
    return digits;
}

/* The first frame of the slot that `frame` is in. */
static uint64_t slot_first(const struct ps_frame_pool *pool, uint64_t frame)
{
    return ps_align_down(frame, ps_pool_slot(pool, frame).frames);
}

static void fill_in(const struct ps_frame_pool *pool, uint64_t first, const struct ps_slot *head,
                    struct ps_unit *unit)
{
    bool single = (head->value & PS_KIND) == PS_SINGLE;

    unit->first = first;
    unit->pages = unit_pages(pool, first, head);
    unit->tag = head->value & PS_TAG;
    unit->loan = single ? head->value & PS_LOAN : 0;
}

PS_COLD bool ps_pool_unit_of(const struct ps_frame_pool *pool, uint64_t frame, struct ps_unit *unit)
{
    uint64_t first = slot_first(pool, frame);
    struct ps_slot slot = ps_pool_slot(pool, first);

    while ((slot.value & PS_KIND) == PS_MIDDLE) {
        first = slot_first(pool, first - 1);
        slot = ps_pool_slot(pool, first);
    }
    if (slot.value == 0)
        return false;
    fill_in(pool, first, &slot, unit);
    return true;
}

/* Why nothing begins at a frame whose slot is empty. */
PS_COLD static ps_status why_nothing(const struct ps_frame_pool *pool, uint64_t frame)
{
    if (ps_pool_is_free(pool, frame))
        return PS_NOT_FOUND;
    return ps_pool_is_books(pool, frame) ? PS_ACCESS_DENIED : PS_OUT_OF_RANGE;
}

ps_status ps_pool_check_unit(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                             struct ps_unit *unit)
{
    struct ps_slot slot = ps_pool_slot(pool, first);

    if (slot.value == 0)
        return why_nothing(pool, first);
    if ((slot.value & PS_KIND) == PS_MIDDLE || !ps_is_aligned(first, slot.frames))
        return PS_NOT_FOUND;
    fill_in(pool, first, &slot, unit);
    if (unit->tag == PS_FRAME_METADATA || unit->tag == PS_FRAME_DAMAGED)
        return PS_ACCESS_DENIED;
    if (unit->tag == PS_FRAME_LOANED || ps_pool_is_detained(pool, first))
        return PS_NOT_FOUND;
    return unit->pages == pages ? PS_OK : PS_WRONG_SIZE;
}

/* ---- room for tag bytes ---- */

static bool is_region(uint64_t first, uint64_t pages)
{
    return pages == PS_REGION_FRAMES && ps_is_aligned(first, PS_REGION_FRAMES);
}

static bool is_chunk(uint64_t first, uint64_t pages)
{
    return pages == PS_CHUNK_FRAMES && ps_is_aligned(first, PS_CHUNK_FRAMES);
}

static bool is_whole_region(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    return is_region(first, pages) && ps_set_has(pool, PS_FRAME_GIB, ps_pool_region(pool, first));
}

PS_COLD uint64_t ps_pool_unopened_frames(const struct ps_frame_pool *pool, uint64_t first,
                                         uint64_t frames)
{
    uint64_t from = ps_max(first, PS_FRAMES_LOW);
    struct ps_frame_extent part;
    uint64_t count = 0;

    while (ps_pool_next_part(pool, &from, first + (frames - 1), &part))
        count += part.pages;
    return count;
}

/* As ps_tract_can_mix(), but without opening the region. */
PS_COLD static bool can_mix(const struct ps_frame_pool *pool, uint64_t first, uint64_t taken)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, first), first);
    uint64_t low = ps_low_part(pool, &place, taken);
    uint64_t tract = ps_align_down(first, PS_TRACT_FRAMES);

    if (ps_set_has(pool, PS_FRAME_OPEN, place.region))
        return ps_tract_can_mix(pool, &place, taken);
    if (ps_pool_unopened_frames(pool, tract, PS_TRACT_FRAMES) > taken - low)
        return true;
    return tract == 0 && pool->totals.low_free > low;
}

/*
 * Among single frames of the same tag it needs no tag bytes. But where patterns are looked for
 * it may turn out to be damaged, which is another tag.
 */
PS_COLD static bool can_take_one(const struct ps_frame_pool *pool, uint64_t frame,
                                 enum ps_frame_tag tag)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);
    uint64_t chunk = frame - place.bit;
    uint8_t cell;

    if (!ps_set_has(pool, PS_FRAME_OPEN, place.region))
        return ps_pool_unopened_frames(pool, chunk, PS_CHUNK_FRAMES) == PS_CHUNK_FRAMES ||
               can_mix(pool, frame, 1);
    cell = ps_pool_tract(pool, place.region, place.tract)->cells[place.chunk];
    if (cell == (PS_SINGLE | tag) && pool->fill_bytes == 0)
        return true;
    return cell == PS_CELL_WHOLE || can_mix(pool, frame, 1);
}

PS_COLD bool ps_pool_can_take(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                              enum ps_frame_tag tag)
{
    if (is_whole_region(pool, first, pages))
        return true;
    if (pages == 1)
        return can_take_one(pool, first, tag);
    for (uint64_t done = 0; done < pages;) {
        uint64_t frame = first + done;
        uint64_t frames = ps_min(pages - done, PS_TRACT_FRAMES - frame % PS_TRACT_FRAMES);

        if (!ps_is_aligned(frame | frames, PS_CHUNK_FRAMES) && !can_mix(pool, frame, frames))
            return false;
        done += frames;
    }
    return true;
}

/* ---- a frame, a chunk's part, all of a unit ---- */

PS_COLD static void put_byte(struct ps_frame_pool *pool, const struct ps_place *place, uint8_t byte)
{
    uint8_t *bytes = ps_tract_tags(pool, place->region, place->tract,
                                   ps_pool_tract(pool, place->region, place->tract));

    bytes[place->chunk * PS_CHUNK_FRAMES + place->bit] = byte;
}

PS_COLD static void take_one(struct ps_frame_pool *pool, uint64_t frame, enum ps_frame_tag tag)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);
    uint8_t *cell = &ps_pool_tract(pool, place.region, place.tract)->cells[place.chunk];
    uint8_t single = (uint8_t)(PS_SINGLE | tag);
    bool whole = *cell == PS_CELL_WHOLE;

    ps_chunk_take(pool, &place, 1);
    if (whole)
        *cell = single;
    if (*cell == single)
        return;
    ps_chunk_mix(pool, &place);
    put_byte(pool, &place, single);
}

/* The part of [first, first + pages) that lies in the chunk of its frame number `done`. */
PS_COLD static struct ps_place part_at(const struct ps_frame_pool *pool, uint64_t first,
                                       uint64_t pages, uint64_t done, uint64_t *frames)
{
    uint64_t frame = first + done;
    struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);

    *frames = ps_min(pages - done, PS_CHUNK_FRAMES - place.bit);
    return place;
}

/* All of it is taken before a frame is looked for that could hold tag bytes. */
PS_COLD static void take_parts(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    uint64_t frames;

    for (uint64_t done = 0; done < pages; done += frames) {
        struct ps_place place = part_at(pool, first, pages, done, &frames);

        if (frames == PS_CHUNK_FRAMES)
            ps_chunk_take_whole(pool, &place, PS_HEAD);
        else
            ps_chunk_take(pool, &place, frames);
    }
    for (uint64_t done = 0; done < pages; done += frames) {
        struct ps_place place = part_at(pool, first, pages, done, &frames);

        if (frames != PS_CHUNK_FRAMES)
            ps_chunk_mix(pool, &place);
    }
}

/* Write the slots of a unit: head, the digits of its size, the rest. */
PS_COLD static void write_slots(struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                                uint8_t tag)
{
    uint8_t value = PS_HEAD | tag;
    uint64_t digits = pages;

    for (uint64_t done = 0; done < pages;) {
        uint64_t frames;
        struct ps_place place = part_at(pool, first, pages, done, &frames);

        if (frames == PS_CHUNK_FRAMES)
            ps_pool_tract(pool, place.region, place.tract)->cells[place.chunk] = value;
        else
            put_byte(pool, &place, value);
        done += frames == PS_CHUNK_FRAMES ? frames : 1;
        value = (uint8_t)(PS_MIDDLE | (digits & PS_DIGIT));
        digits >>= 6;
    }
}

/* The counters of units by size. */
static void count_unit(struct ps_frame_pool *pool, uint64_t first, uint64_t pages, bool more)
{
    uint64_t *counter = &pool->run_frames;
    uint64_t amount = 1;

    if (is_region(first, pages))
        counter = &pool->units_1g;
    else if (is_chunk(first, pages))
        counter = &pool->units_2m;
    else
        amount = pages;
    *counter = more ? *counter + amount : *counter - amount;
}

/* A unit that is one chunk or one region needs no more than its cell or its entry. */
static bool take_large(struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                       enum ps_frame_tag tag)
{
    uint64_t region = ps_pool_region(pool, first);
    struct ps_place place;

    if (is_whole_region(pool, first, pages)) {
        ps_region_take(pool, region, tag);
        return true;
    }
    if (!is_chunk(first, pages))
        return false;
    ps_pool_open(pool, region);
    place = ps_place_in(region, first);
    ps_chunk_take_whole(pool, &place, (uint8_t)(PS_HEAD | tag));
    return true;
}

void ps_pool_take(struct ps_frame_pool *pool, uint64_t first, uint64_t pages, enum ps_frame_tag tag)
{
    ps_pool_count_tag(pool, tag, (int64_t)pages);
    if (pages != 1) {
        count_unit(pool, first, pages, true);
        if (take_large(pool, first, pages, tag))
            return;
    }
    for (uint64_t at = first >> PS_REGION_BITS; at <= (first + (pages - 1)) >> PS_REGION_BITS; at++)
        ps_pool_open(pool, ps_pool_region(pool, at << PS_REGION_BITS));
    if (pages == 1) {
        take_one(pool, first, tag);
        return;
    }
    take_parts(pool, first, pages);
    write_slots(pool, first, pages, (uint8_t)tag);
}

/* The frames of a part go back; so do the tag bytes' own when nothing else of them is left. */
PS_COLD static void give_part(struct ps_frame_pool *pool, const struct ps_place *place,
                              uint64_t frames)
{
    const struct ps_frame_tract *tract = ps_pool_tract(pool, place->region, place->tract);

    if (frames == PS_CHUNK_FRAMES) {
        ps_chunk_give_whole(pool, place);
    } else {
        uint8_t *bytes = ps_tract_tags(pool, place->region, place->tract, tract);

        if (tract->cells[place->chunk] == PS_CELL_MIXED)
            for (uint64_t i = 0; i < frames; i++)
                bytes[place->chunk * PS_CHUNK_FRAMES + place->bit + i] = 0;
        ps_chunk_give(pool, place, frames);
    }
    ps_tract_tidy(pool, place);
}

void ps_pool_give(struct ps_frame_pool *pool, const struct ps_unit *unit)
{
    uint64_t region = ps_pool_region(pool, unit->first);
    uint64_t frames;

    ps_pool_count_tag(pool, unit->tag, -(int64_t)unit->pages);
    ps_pool_fill_frames(pool, unit->first, unit->pages);
    if (unit->pages != 1)
        count_unit(pool, unit->first, unit->pages, false);
    if (ps_set_has(pool, PS_FRAME_UNIT, region)) {
        ps_region_give(pool, region);
        return;
    }
    for (uint64_t done = 0; done < unit->pages; done += frames) {
        struct ps_place place = part_at(pool, unit->first, unit->pages, done, &frames);

        give_part(pool, &place, frames);
    }
}

/* ---- cutting ---- */

/* A chunk that was one slot holds single frames now, none of them free. */
PS_COLD static void cut_chunk(struct ps_frame_pool *pool, const struct ps_place *place,
                              uint8_t single)
{
    uint64_t *bits = ps_pool_bits(pool, place);

    for (unsigned i = 0; i < PS_CHUNK_WORDS; i++)
        bits[i] = 0;
    ps_pool_tract(pool, place->region, place->tract)->cells[place->chunk] = single;
}

/* The 1 GiB frame becomes a unit of 512 chunks. */
PS_COLD static void break_region(struct ps_frame_pool *pool, uint64_t region, uint64_t first)
{
    uint64_t frames;

    ps_region_give(pool, region);
    ps_pool_open(pool, region);
    for (uint64_t done = 0; done < PS_REGION_FRAMES; done += frames) {
        struct ps_place place = part_at(pool, first, PS_REGION_FRAMES, done, &frames);

        ps_chunk_take_whole(pool, &place, PS_HEAD);
    }
}

PS_COLD void ps_pool_cut(struct ps_frame_pool *pool, const struct ps_unit *unit)
{
    uint64_t region = ps_pool_region(pool, unit->first);
    uint8_t single = PS_SINGLE | unit->tag;
    uint64_t frames;

    if (unit->pages == 1)
        return;
    count_unit(pool, unit->first, unit->pages, false);
    if (ps_set_has(pool, PS_FRAME_UNIT, region))
        break_region(pool, region, unit->first);
    for (uint64_t done = 0; done < unit->pages; done += frames) {
        struct ps_place place = part_at(pool, unit->first, unit->pages, done, &frames);
        uint64_t end = place.bit + frames;

        if (frames == PS_CHUNK_FRAMES) {
            cut_chunk(pool, &place, single);
            continue;
        }
        for (; place.bit < end; place.bit++)
            put_byte(pool, &place, single);
    }
}
