#include "frame_pool_private.h"

/* ---- single frames ---- */

/* Where a single frame is looked for. */
struct zone {
    uint64_t first; /* regions */
    uint64_t end;
    bool late;
};

/* Above 4 GiB, then below; then the same again with the chunks that are used last. */
static struct zone zone_number(const struct ps_frame_pool *pool, unsigned i)
{
    bool below = (i & 1) != 0;

    return (struct zone){
        .first = below ? 0 : pool->border,
        .end = below ? pool->border : pool->regions,
        .late = (i & 2) != 0,
    };
}

enum { ZONES = 4 };

static uint8_t of_class(const struct ps_frame_tract *tract, uint8_t chunks, bool late)
{
    return chunks & (late ? tract->late : (uint8_t)~tract->late);
}

/* The last free frame is kept back while there are no tag bytes. */
static bool gives_singles(const struct ps_frame_tract *tract)
{
    return tract->tags != 0 || tract->free > 1;
}

static void unlist(struct ps_frame_pool *pool, uint64_t region, unsigned tract, bool late)
{
    struct ps_frame_region *entry = ps_pool_entry(pool, region);

    ps_pool_tract(pool, region, tract)->listed &= (uint8_t) ~(1u << late);
    entry->partial[late] &= ~((uint64_t)1 << tract);
    if (entry->partial[late] == 0)
        ps_set_put(pool, late ? PS_FRAME_PARTIAL_LATE : PS_FRAME_PARTIAL, region, false);
}

/*
 * Chunks that a processor among others should take from: where only a few frames are free,
 * another one is perhaps just giving frames back, and would be stopped for each of them.
 */
static uint8_t worth_while(const struct ps_frame_tract *tract, uint8_t chunks, uint32_t owner)
{
    if (owner == 0)
        return chunks;
    if (tract->owner != 0 && tract->owner != owner)
        return 0;
    for (unsigned i = 0; i < PS_TRACT_CHUNKS; i++)
        if (tract->counts[i] < PS_CHUNK_FRAMES / 16)
            chunks &= (uint8_t) ~(1u << i);
    return chunks;
}

/* A partly used chunk of the region. `owner`: a processor that has not to take what is left. */
static bool partial_in_region(struct ps_frame_pool *pool, uint64_t region, bool late,
                              uint32_t owner, struct ps_place *place)
{
    for (uint64_t tracts = ps_pool_entry(pool, region)->partial[late]; tracts != 0;
         tracts &= tracts - 1) {
        unsigned at = ps_lowest_bit(tracts);
        const struct ps_frame_tract *tract = ps_pool_tract(pool, region, at);
        uint8_t chunks = of_class(tract, tract->partial, late);

        if (chunks == 0 || !gives_singles(tract)) {
            unlist(pool, region, at, late);
            continue;
        }
        chunks = worth_while(tract, chunks, owner);
        if (chunks == 0)
            continue;
        *place = (struct ps_place){region, at, ps_lowest_bit(chunks), 0};
        return true;
    }
    return false;
}

static bool find_partial(struct ps_frame_pool *pool, const struct zone *zone, uint32_t owner,
                         struct ps_place *place)
{
    enum ps_frame_set set = zone->late ? PS_FRAME_PARTIAL_LATE : PS_FRAME_PARTIAL;

    for (uint64_t region = ps_set_next(pool, set, zone->first); region < zone->end;
         region = ps_set_next(pool, set, region + 1)) {
        ps_pool_open(pool, region);
        if (partial_in_region(pool, region, zone->late, owner, place))
            return true;
    }
    return false;
}

/* The first whole chunk of a region that nobody has opened, and that has one. */
static struct ps_place whole_in_ranges(const struct ps_frame_pool *pool, uint64_t region)
{
    uint64_t first = ps_pool_region_first(pool, region);
    uint64_t chunk = 0;

    /* defensive: its set says that there is one, or ps_frame_pool_validate() says so. */
    for (uint64_t i = ps_pool_range_from(pool, first); i < pool->ranges; i++) {
        struct ps_frame_extent range = ps_pool_range(pool, i);
        uint64_t from = ps_max(range.first, first) + (PS_CHUNK_FRAMES - 1);

        chunk = ps_align_down(from, PS_CHUNK_FRAMES);
        if (range.first + range.pages >= chunk + PS_CHUNK_FRAMES)
            break;
    }
    return ps_place_in(region, chunk);
}

/* The first tract with a whole chunk, rather not one of another processor. */
static unsigned whole_tract(const struct ps_frame_pool *pool, uint64_t region, uint64_t tracts,
                            uint32_t owner)
{
    for (uint64_t left = owner == 0 ? 0 : tracts; left != 0; left &= left - 1) {
        uint32_t theirs = ps_pool_tract(pool, region, ps_lowest_bit(left))->owner;

        if (theirs == 0 || theirs == owner)
            return ps_lowest_bit(left);
    }
    return ps_lowest_bit(tracts);
}

static struct ps_place whole_in_region(const struct ps_frame_pool *pool, uint64_t region, bool late,
                                       uint32_t owner)
{
    struct ps_place place = {.region = region};
    const struct ps_frame_tract *tract;

    if (!ps_set_has(pool, PS_FRAME_OPEN, region))
        return whole_in_ranges(pool, region);
    place.tract = whole_tract(pool, region, ps_pool_entry(pool, region)->whole[late], owner);
    tract = ps_pool_tract(pool, region, place.tract);
    place.chunk = ps_lowest_bit(of_class(tract, tract->whole, late));
    return place;
}

/* A whole chunk, rather not of a region that is whole itself. Opens nothing. */
static bool find_whole(const struct ps_frame_pool *pool, const struct zone *zone, uint32_t owner,
                       struct ps_place *place)
{
    enum ps_frame_set set = zone->late ? PS_FRAME_WHOLE_LATE : PS_FRAME_WHOLE;
    uint64_t region = ps_set_next(pool, set, zone->first);

    if (region >= zone->end && !zone->late)
        region = ps_set_next(pool, PS_FRAME_GIB, zone->first);
    if (region >= zone->end)
        return false;
    *place = whole_in_region(pool, region, zone->late, owner);
    return true;
}

/* The chunk that a processor takes its next single frames from. */
static bool find_chunk(struct ps_frame_pool *pool, uint32_t processor, struct ps_place *place)
{
    uint32_t owner = pool->shared ? processor + 1 : 0;

    /* defensive: frames are available, so one of the zones has them. */
    for (unsigned i = 0; i < ZONES; i++) {
        struct zone zone = zone_number(pool, i);

        /* Last what is left in tracts of other processors, but before the next zone. */
        if (find_partial(pool, &zone, owner, place) || find_whole(pool, &zone, owner, place) ||
            (owner != 0 && find_partial(pool, &zone, 0, place)))
            return true;
    }
    return false;
}

/* Bits of a word of the chunk that are free and not low. */
static uint64_t free_bits(const struct ps_frame_pool *pool, const struct ps_place *chunk,
                          unsigned word)
{
    uint64_t bits = ps_pool_bits(pool, chunk)[word];
    struct ps_place place = *chunk;

    place.bit = word * 64;
    if (chunk->chunk == 0) {
        uint64_t low = ps_low_part(pool, &place, PS_WORD_FRAMES);

        bits = low >= 64 ? 0 : bits & UINT64_MAX << low;
    }
    return bits;
}

/* The lowest free frames of the chunk that lie side by side: the first, and how many. */
static uint64_t free_stretch(const struct ps_frame_pool *pool, struct ps_place *place)
{
    uint64_t bits;
    unsigned word = 0;
    unsigned shift;

    if (ps_pool_tract(pool, place->region, place->tract)->cells[place->chunk] == PS_CELL_WHOLE) {
        place->bit = 0;
        return PS_CHUNK_FRAMES;
    }
    while ((bits = free_bits(pool, place, word)) == 0)
        word++;
    shift = ps_lowest_bit(bits);
    place->bit = word * 64 + shift;
    bits = ~(bits >> shift);
    return bits == 0 ? 64 : ps_lowest_bit(bits);
}

uint64_t ps_pool_take_single(struct ps_frame_pool *pool, uint32_t processor, enum ps_frame_tag tag)
{
    struct ps_frame_tract *tract;
    struct ps_place place;
    uint64_t frame;

    /* defensive: the caller knows that a frame is available. */
    if (!find_chunk(pool, processor, &place))
        return PS_NONE;
    ps_pool_open(pool, place.region);
    (void)free_stretch(pool, &place);
    frame = ps_place_frame(pool, &place);
    ps_pool_take(pool, frame, 1, tag);
    tract = ps_pool_tract(pool, place.region, place.tract);
    tract->owner = (uint16_t)ps_min(processor + 1, UINT16_MAX);
    ps_pool_aim(pool, processor, &place);
    return frame;
}

/* Up to `count` frames of a stretch, whose chunk is ready for the tag. */
static uint64_t take_stretch(struct ps_frame_pool *pool, struct ps_place *place, uint8_t single,
                             uint64_t count, ps_frame_t *frames)
{
    const struct ps_frame_tract *tract = ps_pool_tract(pool, place->region, place->tract);
    uint64_t here = ps_min(free_stretch(pool, place), count);
    uint64_t first = ps_place_frame(pool, place);
    uint8_t *bytes = ps_tract_tags(pool, place->region, place->tract, tract);

    ps_chunk_take(pool, place, here);
    for (uint64_t i = 0; i < here; i++) {
        frames[i] = ps_frame(first + i);
        if (tract->cells[place->chunk] == PS_CELL_MIXED)
            bytes[place->chunk * PS_CHUNK_FRAMES + place->bit + i] = single;
    }
    return here;
}

/* The first frame makes the chunk ready; the others of it follow in long stretches. */
static uint64_t take_from_chunk(struct ps_frame_pool *pool, struct ps_place *place,
                                enum ps_frame_tag tag, uint64_t count, ps_frame_t *frames)
{
    const struct ps_frame_tract *tract = ps_pool_tract(pool, place->region, place->tract);
    uint64_t done = 1;

    ps_pool_open(pool, place->region);
    (void)free_stretch(pool, place);
    frames[0] = ps_frame(ps_place_frame(pool, place));
    ps_pool_take(pool, frames[0].number, 1, tag);
    while (done < count && (tract->partial >> place->chunk & 1) != 0 && gives_singles(tract)) {
        uint64_t most = tract->tags != 0 ? count - done : ps_min(count - done, tract->free - 1u);
        uint64_t here = take_stretch(pool, place, (uint8_t)(PS_SINGLE | tag), most, frames + done);

        ps_pool_count_tag(pool, tag, (int64_t)here);
        done += here;
    }
    return done;
}

void ps_pool_take_singles(struct ps_frame_pool *pool, uint32_t processor, enum ps_frame_tag tag,
                          uint64_t count, ps_frame_t *frames)
{
    struct ps_place place;

    /* defensive: the caller knows that as many frames are available. */
    for (uint64_t done = 0; done < count && find_chunk(pool, processor, &place);)
        done += take_from_chunk(pool, &place, tag, count - done, frames + done);
}

/* ---- walking over free frames in the order of their addresses ---- */

struct walk {
    uint64_t first; /* frames */
    uint64_t last;
    bool whole; /* with whole chunks, and regions that nobody opened */
    bool late;  /* with chunks that are used last */

    /* Told of `frames` free ones side by side, often in pieces; true: enough. */
    bool (*found)(struct walk *walk, uint64_t frame, uint64_t frames);

    const struct ps_frame_pool *pool;
    const struct ps_frame_run *run; /* that is looked for */
    uint64_t start;                 /* of the stretch so far, */
    uint64_t end;                   /* and the frame behind it */
    uint64_t result;
    uint64_t count;
};

static bool tell(struct walk *walk, uint64_t frame, uint64_t frames)
{
    uint64_t from = ps_max(frame, walk->first);
    uint64_t to = ps_min(frame + (frames - 1), walk->last);

    return from <= to && walk->found(walk, from, to - from + 1);
}

static bool walk_bits(struct walk *walk, const uint64_t *words, uint64_t first)
{
    for (unsigned word = 0; word < PS_CHUNK_WORDS; word++) {
        uint64_t bits = words[word];

        for (unsigned at = 0; bits != 0;) {
            unsigned gap = ps_lowest_bit(bits);
            uint64_t busy = ~(bits >> gap);
            unsigned length = busy == 0 ? 64 : ps_lowest_bit(busy);

            if (tell(walk, first + word * 64 + at + gap, length))
                return true;
            at += gap + length;
            bits = gap + length >= 64 ? 0 : bits >> gap >> length;
        }
    }
    return false;
}

static bool walk_tract(struct walk *walk, struct ps_place *place, uint64_t first)
{
    const struct ps_frame_tract *tract = ps_pool_tract(walk->pool, place->region, place->tract);

    for (place->chunk = 0; place->chunk < PS_TRACT_CHUNKS; place->chunk++) {
        uint64_t frame = first + place->chunk * PS_CHUNK_FRAMES;
        uint8_t cell = tract->cells[place->chunk];

        if (!walk->late && (tract->late >> place->chunk & 1) != 0)
            continue;
        if (cell == PS_CELL_WHOLE && walk->whole && tell(walk, frame, PS_CHUNK_FRAMES))
            return true;
        if (cell != PS_CELL_MIXED && (cell & PS_KIND) != PS_SINGLE)
            continue;
        if (walk_bits(walk, ps_pool_bits(walk->pool, place), frame))
            return true;
    }
    return false;
}

/* Free frames side by side in no open region; without whole chunks only what is around them. */
static bool tell_unopened(struct walk *walk, uint64_t from, uint64_t to)
{
    uint64_t whole = ps_align_down(from + (PS_CHUNK_FRAMES - 1), PS_CHUNK_FRAMES);
    uint64_t end = ps_align_down(to + 1, PS_CHUNK_FRAMES);

    if (walk->whole || whole >= end)
        return tell(walk, from, to - from + 1);
    return (whole > from && tell(walk, from, whole - from)) ||
           (end <= to && tell(walk, end, to - end + 1));
}

static bool walk_unopened(struct walk *walk, uint64_t first)
{
    uint64_t last = first + (PS_REGION_FRAMES - 1);
    struct ps_frame_extent part;

    while (ps_pool_next_part(walk->pool, &first, last, &part))
        if (tell_unopened(walk, part.first, part.first + (part.pages - 1)))
            return true;
    return false;
}

static bool walk_region(struct walk *walk, uint64_t region)
{
    const struct ps_frame_pool *pool = walk->pool;
    uint64_t first = ps_pool_region_first(pool, region);
    uint64_t tracts = UINT64_MAX;

    if (ps_set_has(pool, PS_FRAME_UNIT, region))
        return false;
    if (!ps_set_has(pool, PS_FRAME_OPEN, region))
        return walk_unopened(walk, first);
    if (!walk->whole)
        tracts = ps_pool_entry(pool, region)->partial[0] |
                 (walk->late ? ps_pool_entry(pool, region)->partial[1] : 0);
    for (struct ps_place place = {.region = region}; place.tract < PS_REGION_TRACTS;
         place.tract++) {
        const struct ps_frame_tract *tract = ps_pool_tract(pool, region, place.tract);

        if ((tracts >> place.tract & 1) == 0 || (tract->free == 0 && first + place.tract != 0))
            continue;
        if (walk_tract(walk, &place, first + place.tract * PS_TRACT_FRAMES))
            return true;
    }
    return false;
}

/* The next region that may have what the walk is about. */
static uint64_t next_region(const struct walk *walk, uint64_t region)
{
    uint64_t next;

    if (walk->whole)
        return region + 1;
    next = ps_set_next(walk->pool, PS_FRAME_PARTIAL, region + 1);
    if (walk->late)
        next = ps_min(next, ps_set_next(walk->pool, PS_FRAME_PARTIAL_LATE, region + 1));
    return next;
}

static bool walk_free(struct walk *walk)
{
    const struct ps_frame_pool *pool = walk->pool;
    uint64_t region = 0;

    /* Regions are in ascending order: skip those below by halves. */
    for (uint64_t step = pool->regions; step > 0; step /= 2)
        while (region + step < pool->regions &&
               ps_pool_region_first(pool, region + step) <= walk->first)
            region += step;
    while (region < pool->regions && ps_pool_region_first(pool, region) <= walk->last) {
        if (walk_region(walk, region))
            return true;
        region = next_region(walk, region);
    }
    return false;
}

static bool add_up(struct walk *walk, uint64_t frame, uint64_t frames)
{
    (void)frame;
    walk->count += frames;
    return false;
}

uint64_t ps_pool_count_free(struct ps_frame_pool *pool, uint64_t last)
{
    struct walk walk = {
        .pool = pool,
        .first = last < PS_FRAMES_LOW ? 0 : PS_FRAMES_LOW,
        .last = last,
        .whole = true,
        .late = true,
        .found = add_up,
    };

    /* The books are not low, and so the last RAM is not either. */
    if (last >= pool->span - 1)
        return ps_pool_free_frames(pool) - pool->totals.low_free;
    (void)walk_free(&walk);
    return walk.count;
}

/* ---- runs ---- */

/* The stretch grew: does the run fit now, with room left for its tag bytes? */
static bool fits(struct walk *walk, uint64_t frame, uint64_t frames)
{
    const struct ps_frame_run *run = walk->run;
    uint64_t from;

    if (frame != walk->end)
        walk->start = frame;
    walk->end = frame + frames;
    from = walk->start;
    /* defensive: no frame is so high that there is no aligned number above it. */
    while (ps_align_up(from, ps_max(run->alignment, 1), &from) && from < walk->end &&
           run->pages.count <= walk->end - from) {
        if (ps_pool_can_take(walk->pool, from, run->pages.count, run->tag)) {
            walk->result = from;
            return true;
        }
        from++;
        walk->start = from;
    }
    return false;
}

static bool first_fit(struct walk *walk, uint64_t from, uint64_t last, uint64_t *first)
{
    walk->first = from;
    walk->last = last;
    walk->end = 0;
    if (from > last || !walk_free(walk))
        return false;
    *first = walk->result;
    return true;
}

/* The whole chunk that is broken first, without a look at any other. */
static bool find_any_chunk(struct ps_frame_pool *pool, uint64_t *first)
{
    struct ps_place place;

    /* defensive: see ps_pool_find_large(). */
    for (unsigned i = 0; i < ZONES; i++) {
        struct zone zone = zone_number(pool, i);

        if (find_whole(pool, &zone, 0, &place)) {
            *first = ps_place_frame(pool, &place);
            return true;
        }
    }
    return false;
}

static bool find_any_region(struct ps_frame_pool *pool, uint64_t *first)
{
    uint64_t region = ps_set_next(pool, PS_FRAME_GIB, pool->border);

    if (region == PS_NONE)
        region = ps_set_next(pool, PS_FRAME_GIB, 0);
    /* defensive: see ps_pool_find_large(). */
    if (region == PS_NONE)
        return false;
    *first = ps_pool_region_first(pool, region);
    return true;
}

/* The totals know of a refusal before anything is looked at. */
ps_status ps_pool_find_large(struct ps_frame_pool *pool, uint64_t pages, uint64_t *first)
{
    bool gib = pages == PS_REGION_FRAMES;

    if ((gib ? pool->totals.whole_1g : pool->totals.whole_2m) == 0)
        return ps_pool_free_frames(pool) - pool->totals.low_free < pages ? PS_NO_MEMORY
                                                                         : PS_NO_SPACE;
    /* defensive: the sets do not contradict the totals, or ps_frame_pool_validate() says so. */
    return (gib ? find_any_region(pool, first) : find_any_chunk(pool, first)) ? PS_OK : PS_CORRUPT;
}

/* A frame of 2 MiB or 1 GiB, which has only one kind of place. */
static bool is_large(const struct ps_frame_run *run)
{
    return (run->pages.count == PS_CHUNK_FRAMES || run->pages.count == PS_REGION_FRAMES) &&
           run->alignment == run->pages.count && run->limit.number == UINT64_MAX;
}

/* The beginning of any whole chunk will do for a smaller run. */
static bool find_in_chunk(const struct ps_frame_pool *pool, const struct ps_frame_run *run,
                          const struct zone *zone, uint64_t *first)
{
    struct ps_place place;

    if (run->pages.count >= PS_CHUNK_FRAMES || run->alignment > PS_CHUNK_FRAMES ||
        run->limit.number != UINT64_MAX || !find_whole(pool, zone, 0, &place))
        return false;
    *first = ps_place_frame(pool, &place);
    return true;
}

/* Zone by zone as single frames; but a run may lie across two of them. */
static ps_status find_anywhere(struct ps_frame_pool *pool, const struct ps_frame_run *run,
                               uint64_t *first)
{
    struct walk walk = {.pool = pool, .run = run, .found = fits};
    uint64_t last = ps_min(run->limit.number, pool->span - 1);
    uint64_t lowest = run->limit.number < PS_FRAMES_LOW ? 0 : PS_FRAMES_LOW;

    for (unsigned i = 0; i < ZONES; i++) {
        struct zone zone = zone_number(pool, i);
        uint64_t from = zone.first == 0 ? lowest : PS_FRAMES_4GIB;

        walk.late = zone.late;
        walk.whole = false;
        if (first_fit(&walk, from, last, first))
            return PS_OK;
        if (find_in_chunk(pool, run, &zone, first))
            return PS_OK;
        walk.whole = true;
        if (first_fit(&walk, from, last, first))
            return PS_OK;
    }
    return PS_NO_SPACE;
}

ps_status ps_pool_find_run(struct ps_frame_pool *pool, const struct ps_frame_run *run,
                           uint64_t *first)
{
    uint64_t last = ps_min(run->limit.number, pool->span - 1);

    if (is_large(run))
        return ps_pool_find_large(pool, run->pages.count, first);
    if (ps_pool_count_free(pool, last) < run->pages.count)
        return PS_NO_MEMORY;
    return find_anywhere(pool, run, first);
}
