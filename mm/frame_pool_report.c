#include "frame_pool_private.h"

const char *ps_frame_tag_name(enum ps_frame_tag tag)
{
    static const char names[][12] = {"free",    "metadata", "quarantined", "loaned",
                                     "damaged", "table",    "stack",       "virtual",
                                     "heap",    "object",   "lent",        "user"};

    _Static_assert(PS_ARRAY_SIZE(names) == PS_FRAME_TAG_COUNT, "a name a tag");
    return (unsigned)tag < PS_FRAME_TAG_COUNT ? names[tag] : "?";
}

/* ---- one frame ---- */

static void describe_unit(const struct ps_frame_pool *pool, const struct ps_unit *unit,
                          struct ps_frame_info *info)
{
    bool detained = ps_pool_is_detained(pool, unit->first);

    info->lent = unit->loan != 0;
    info->tag = detained ? PS_FRAME_QUARANTINED : (enum ps_frame_tag)unit->tag;
    info->unit = ps_frame(unit->first);
    info->unit_pages = ps_pages(unit->pages);
    info->holders = ps_pool_holders(pool, unit);
}

static void describe_books(const struct ps_frame_pool *pool, struct ps_frame_info *info)
{
    info->tag = PS_FRAME_METADATA;
    info->unit = ps_frame(pool->books);
    info->unit_pages = ps_pages(pool->books_frames);
    info->holders = 1;
}

static void describe(const struct ps_frame_pool *pool, uint64_t frame, struct ps_frame_info *info)
{
    struct ps_unit unit;

    *info = (struct ps_frame_info){.managed = true};
    if (ps_pool_is_books(pool, frame))
        describe_books(pool, info);
    else if (ps_pool_is_free(pool, frame))
        info->unit = ps_frame(frame);
    else if (ps_pool_unit_of(pool, frame, &unit))
        describe_unit(pool, &unit, info);
    else
        info->managed = false;
}

ps_status ps_frame_pool_query(struct ps_frame_pool *pool, ps_frame_t frame,
                              struct ps_frame_info *info)
{
    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    if (info == NULL)
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    describe(pool, frame.number, info);
    ps_pool_leave(pool);
    return PS_OK;
}

/* ---- snapshot ---- */

/* Frames of the ranges that init was given in [first, end). */
static uint64_t in_ranges(const struct ps_frame_pool *pool, uint64_t first, uint64_t end)
{
    struct ps_frame_extent part;
    uint64_t frames = 0;

    while (ps_pool_next_part(pool, &first, end - 1, &part))
        frames += part.pages;
    return frames;
}

/* Frames, low ones apart. */
struct zone {
    uint64_t managed;
    uint64_t free;
    uint64_t late; /* free ones in chunks that are used last */
};

/* What the tracts of an open region that is no unit count. */
static void count_open(const struct ps_frame_pool *pool, uint64_t region, struct zone *zone)
{
    for (unsigned t = 0; t < PS_REGION_TRACTS; t++) {
        const struct ps_frame_tract *line = ps_pool_tract(pool, region, t);

        zone->managed += line->frames;
        zone->free += line->free;
        for (uint8_t left = line->late; left != 0; left &= (uint8_t)(left - 1))
            zone->late += line->counts[ps_lowest_bit(left)];
    }
}

static void count_region(const struct ps_frame_pool *pool, uint64_t region, struct zone *zone)
{
    uint64_t first = ps_pool_region_first(pool, region);
    uint64_t frames;

    if (ps_set_has(pool, PS_FRAME_UNIT, region)) {
        zone->managed += PS_REGION_FRAMES;
    } else if (ps_set_has(pool, PS_FRAME_OPEN, region)) {
        count_open(pool, region, zone);
    } else {
        frames = in_ranges(pool, ps_max(first, PS_FRAMES_LOW), first + PS_REGION_FRAMES);
        zone->managed += frames;
        zone->free += frames;
    }
}

/* Regions below 4 GiB are a few; what is in the others follows from the totals. */
static void count_zones(const struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    const struct ps_frame_totals *totals = &pool->totals;
    struct zone zone = {0};

    for (uint64_t region = 0; region < pool->border; region++)
        count_region(pool, region, &zone);
    snapshot->managed_in[PS_FRAME_ZONE_LOW] = totals->low;
    snapshot->managed_in[PS_FRAME_ZONE_4GIB] = zone.managed;
    snapshot->managed_in[PS_FRAME_ZONE_NORMAL] =
        totals->managed - pool->books_frames - totals->low - zone.managed;
    snapshot->free_in[PS_FRAME_ZONE_LOW] = totals->low_free;
    snapshot->free_in[PS_FRAME_ZONE_4GIB] = zone.free;
    snapshot->free_in[PS_FRAME_ZONE_NORMAL] = snapshot->free - totals->low_free - zone.free;
}

/* Memory that is used last is in open regions only, for it came later. */
static uint64_t count_late(const struct ps_frame_pool *pool)
{
    struct zone zone = {0};
    uint64_t low = 0;

    for (uint64_t region = ps_set_next(pool, PS_FRAME_OPEN, 0); region != PS_NONE;
         region = ps_set_next(pool, PS_FRAME_OPEN, region + 1)) {
        if (ps_set_has(pool, PS_FRAME_UNIT, region))
            continue;
        count_open(pool, region, &zone);
        if (ps_pool_region_first(pool, region) == 0 &&
            (ps_pool_tract(pool, region, 0)->late & 1u) != 0)
            low = pool->totals.low_free;
    }
    return zone.late + low;
}

static void count_tags(const struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    for (unsigned tag = PS_FRAME_METADATA; tag < PS_FRAME_TAG_COUNT; tag++)
        snapshot->by_tag[tag] = ps_pool_tagged(pool, (enum ps_frame_tag)tag);
    snapshot->by_tag[PS_FRAME_FREE] = snapshot->free;
    snapshot->metadata = snapshot->by_tag[PS_FRAME_METADATA];
}

/* What is allocated and in no larger unit is a single frame. */
static void count_units(const struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    snapshot->units_2m = pool->units_2m;
    snapshot->units_1g = pool->units_1g;
    snapshot->run_frames = pool->run_frames;
    snapshot->shared_units = pool->shared_units;
    snapshot->units_4k = snapshot->managed - snapshot->free - pool->books_frames -
                         pool->units_2m * PS_CHUNK_FRAMES - pool->units_1g * PS_REGION_FRAMES -
                         pool->run_frames;
}

static void fill_snapshot(const struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    snapshot->managed = pool->totals.managed;
    snapshot->free = ps_pool_free_frames(pool);
    snapshot->available = ps_pool_available(pool);
    snapshot->promised = pool->promised;
    count_tags(pool, snapshot);
    count_units(pool, snapshot);
    count_zones(pool, snapshot);
    snapshot->free_late = count_late(pool);
    snapshot->whole_2m = pool->totals.whole_2m;
    snapshot->whole_1g = pool->totals.whole_1g;
    snapshot->loans = pool->loans;
    snapshot->loans_out = pool->loans_out;
    snapshot->loans_cancelled = pool->loans_ended;
    snapshot->quarantined_units = pool->quarantine_used;
    snapshot->fill_bytes = pool->fill_bytes;
    snapshot->damaged = pool->damaged;
    snapshot->last_damaged = ps_frame(pool->last_damaged);
    snapshot->damaged_used = pool->damaged_used;
}

void ps_frame_pool_snapshot(struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    *snapshot = (struct ps_frame_pool_snapshot){0};
    if (pool == NULL || pool->machine == NULL)
        return;
    ps_pool_enter(pool);
    fill_snapshot(pool, snapshot);
    ps_pool_leave(pool);
}

/* ---- dump ---- */

enum { STATE_ABSENT = PS_FRAME_TAG_COUNT };

/* Frames that follow each other and are alike. */
struct stretch {
    uint64_t first;
    uint64_t end;
    unsigned state; /* a tag, or STATE_ABSENT */
    bool late;      /* free, and used last */
};

/* The walk from one such piece to the next. */
struct walk {
    const struct ps_frame_pool *pool;
    unsigned tag; /* of the last unit of several frames that began */
};

static struct stretch absent_until(const struct ps_frame_pool *pool, uint64_t frame, uint64_t end)
{
    if (frame < pool->books)
        end = ps_min(end, pool->books);
    return (struct stretch){frame, end, STATE_ABSENT, false};
}

static struct stretch closed_piece(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t end = ps_align_down(frame, PS_REGION_FRAMES) + PS_REGION_FRAMES;
    uint64_t index = ps_pool_range_from(pool, frame);
    struct ps_frame_extent range;

    if (index >= pool->ranges)
        return absent_until(pool, frame, end);
    range = ps_pool_range(pool, index);
    if (range.first > frame)
        return absent_until(pool, frame, ps_min(end, range.first));
    end = ps_min(end, range.first + range.pages);
    return (struct stretch){frame, end, PS_FRAME_FREE, false};
}

/* How many bits from `bit` on, in the words of one chunk, are like that one. */
static uint64_t bits_alike(const uint64_t *bits, unsigned bit)
{
    bool set = ps_bit_is_set(bits, bit);
    unsigned end = bit;

    while (end < PS_CHUNK_FRAMES) {
        uint64_t word = bits[end / 64];
        uint64_t other = (set ? ~word & PS_WORD_FULL : word) >> (end % 64);

        if (other != 0) {
            end += ps_lowest_bit(other);
            break;
        }
        end += PS_WORD_FRAMES - end % 64;
    }
    return end - bit;
}

static unsigned tag_of(const struct walk *walk, uint64_t first, unsigned slot)
{
    return ps_pool_is_detained(walk->pool, first) ? (unsigned)PS_FRAME_QUARANTINED : slot & PS_TAG;
}

/* The state of a slot of a unit. One that continues is in the state of what began. */
static unsigned slot_state(struct walk *walk, uint64_t frame, unsigned slot)
{
    if ((slot & PS_KIND) == PS_SINGLE)
        return tag_of(walk, frame, slot);
    if ((slot & PS_KIND) == PS_HEAD)
        walk->tag = tag_of(walk, frame, slot);
    return (slot & PS_KIND) == 0 ? (unsigned)STATE_ABSENT : walk->tag;
}

/* A piece of a chunk that has bits, and bytes if it is mixed. */
static struct stretch bits_piece(struct walk *walk, const struct ps_place *place, uint64_t frame,
                                 const struct ps_frame_tract *line)
{
    const uint64_t *bits = ps_pool_bits(walk->pool, place);
    unsigned slot = line->cells[place->chunk];
    const uint8_t *tags;

    if (ps_bit_is_set(bits, place->bit))
        return (struct stretch){frame, frame + bits_alike(bits, place->bit), PS_FRAME_FREE,
                                (line->late >> place->chunk & 1u) != 0};
    if (slot != PS_CELL_MIXED && walk->pool->quarantine_used == 0)
        return (struct stretch){frame, frame + bits_alike(bits, place->bit), slot & PS_TAG, false};
    if (slot == PS_CELL_MIXED) {
        tags = ps_tract_tags(walk->pool, place->region, place->tract, line);
        slot = tags == NULL ? 0u : tags[frame % PS_TRACT_FRAMES];
    }
    return (struct stretch){frame, frame + 1, slot_state(walk, frame, slot), false};
}

static struct stretch open_piece(struct walk *walk, const struct ps_place *place, uint64_t frame)
{
    const struct ps_frame_pool *pool = walk->pool;
    const struct ps_frame_tract *line = ps_pool_tract(pool, place->region, place->tract);
    uint64_t end = ps_align_down(frame, PS_CHUNK_FRAMES) + PS_CHUNK_FRAMES;
    uint8_t cell = line->cells[place->chunk];

    if (line->frames == 0)
        end = ps_align_down(frame, PS_TRACT_FRAMES) + PS_TRACT_FRAMES;
    if (line->frames == 0 || cell == PS_CELL_ABSENT)
        return absent_until(pool, frame, end);
    if (cell == PS_CELL_WHOLE)
        return (struct stretch){frame, end, PS_FRAME_FREE, (line->late >> place->chunk & 1u) != 0};
    if (cell == PS_CELL_MIXED || (cell & PS_KIND) == PS_SINGLE)
        return bits_piece(walk, place, frame, line);
    return (struct stretch){frame, end, slot_state(walk, frame, cell), false};
}

/* The first frame of the first region above a frame that is in none. The span ends in one. */
static uint64_t next_region(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t low = 0;
    uint64_t high = pool->regions - 1;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (ps_pool_region_first(pool, middle) < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return ps_pool_region_first(pool, low);
}

static struct stretch unit_piece(struct walk *walk, uint64_t region, uint64_t frame)
{
    unsigned tag = tag_of(walk, frame, ps_pool_entry(walk->pool, region)->tag);

    return (struct stretch){frame, frame + PS_REGION_FRAMES, tag, false};
}

/* The piece that begins at `frame`. */
static struct stretch piece_at(struct walk *walk, uint64_t frame)
{
    const struct ps_frame_pool *pool = walk->pool;
    uint64_t region = ps_pool_region(pool, frame);
    struct ps_place place;

    if (ps_pool_is_books(pool, frame))
        return (struct stretch){frame, pool->books + pool->books_frames, PS_FRAME_METADATA, false};
    if (region == PS_NONE)
        return absent_until(pool, frame, next_region(pool, frame));
    if (ps_set_has(pool, PS_FRAME_UNIT, region))
        return unit_piece(walk, region, frame);
    if (!ps_set_has(pool, PS_FRAME_OPEN, region))
        return closed_piece(pool, frame);
    place = ps_place_in(region, frame);
    return open_piece(walk, &place, frame);
}

static void print_stretch(const struct stretch *stretch, const struct ps_sink *sink)
{
    if (stretch->state == STATE_ABSENT)
        return;
    ps_print(sink, "  0x%012" PS_PRIx "-0x%012" PS_PRIx " %-11s ", stretch->first << PS_PAGE_SHIFT,
             (stretch->end << PS_PAGE_SHIFT) - 1,
             ps_frame_tag_name((enum ps_frame_tag)stretch->state));
    ps_print_size(sink, ps_bytes_of_pages(ps_pages(stretch->end - stretch->first)));
    ps_print(sink, stretch->late ? ", used last\n" : "\n");
}

static void print_totals(const struct ps_frame_pool *pool, const struct ps_sink *sink)
{
    ps_print(sink,
             "frame pool: %" PS_PRIu " frames, %" PS_PRIu " free, %" PS_PRIu " available, %" PS_PRIu
             " promised, %" PS_PRIu " bookkeeping; whole: %" PS_PRIu " of 2 MiB, %" PS_PRIu
             " of 1 GiB\n",
             pool->totals.managed, ps_pool_free_frames(pool), ps_pool_available(pool),
             pool->promised, ps_pool_tagged(pool, PS_FRAME_METADATA), pool->totals.whole_2m,
             pool->totals.whole_1g);
}

static void print_stretches(const struct ps_frame_pool *pool, const struct ps_sink *sink)
{
    struct walk walk = {.pool = pool};
    struct stretch stretch = {0, 0, STATE_ABSENT, false};

    while (stretch.end < pool->span) {
        struct stretch next = piece_at(&walk, stretch.end);

        if (next.state == stretch.state && next.late == stretch.late) {
            stretch.end = next.end;
            continue;
        }
        print_stretch(&stretch, sink);
        stretch = next;
    }
    print_stretch(&stretch, sink);
}

void ps_frame_pool_dump(struct ps_frame_pool *pool, const struct ps_sink *sink)
{
    if (pool == NULL || pool->machine == NULL) {
        ps_print(sink, "frame pool: not initialised\n");
        return;
    }
    ps_pool_enter(pool);
    print_totals(pool, sink);
    print_stretches(pool, sink);
    ps_pool_leave(pool);
}
