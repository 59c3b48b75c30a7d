#include "frame_pool_private.h"

static bool is_pooled(enum ps_memory_type type)
{
    return type == PS_MEMORY_USABLE || type == PS_MEMORY_LOW;
}

static uint64_t last_of(const struct ps_memory_range *range)
{
    return range->first.number + (range->pages.count - 1);
}

/* ---- planning: all of it is known before anything is written ---- */

/* The consecutive regions of the segment that begins with `range`; the next range behind them. */
static size_t take_segment(const struct ps_memory_map *map, size_t range,
                           struct ps_frame_segment *segment)
{
    uint64_t last = last_of(&map->ranges[range]) >> PS_REGION_BITS;

    segment->index += segment->count;
    segment->first = map->ranges[range].first.number >> PS_REGION_BITS;
    for (range++; range < map->count; range++) {
        const struct ps_memory_range *next = &map->ranges[range];

        if (!ps_memory_type_is_ram(next->type))
            continue;
        if (next->first.number >> PS_REGION_BITS > last + 1)
            break;
        last = last_of(next) >> PS_REGION_BITS;
    }
    segment->count = last + 1 - segment->first;
    return range;
}

static size_t next_ram(const struct ps_memory_map *map, size_t range)
{
    while (range < map->count && !ps_memory_type_is_ram(map->ranges[range].type))
        range++;
    return range;
}

/* Segments, regions and the span. With `pool` placed already, the segments are written, too. */
static void plan_segments(struct ps_frame_pool *pool, const struct ps_memory_map *map)
{
    struct ps_frame_segment segment = {0};
    size_t range = next_ram(map, 0);

    pool->segments = 0;
    while (range < map->count) {
        range = next_ram(map, take_segment(map, range, &segment));
        if (pool->books != 0)
            *(struct ps_frame_segment *)ps_books_at(
                pool, pool->segments_at + pool->segments * sizeof(segment)) = segment;
        if (segment.count > pool->home.count)
            pool->home = segment;
        pool->segments++;
    }
    pool->regions = segment.index + segment.count;
    for (size_t i = 0; i < map->count; i++)
        if (ps_memory_type_is_ram(map->ranges[i].type))
            pool->span = last_of(&map->ranges[i]) + 1;
}

static bool follows(const struct ps_memory_map *map, size_t range)
{
    return range > 0 && is_pooled(map->ranges[range - 1].type) &&
           last_of(&map->ranges[range - 1]) + 1 == map->ranges[range].first.number;
}

static uint64_t count_ranges(const struct ps_memory_map *map)
{
    uint64_t count = 0;

    for (size_t i = 0; i < map->count; i++)
        count += is_pooled(map->ranges[i].type) && !follows(map, i);
    return count;
}

/* The bits of the last region's last chunks have no frames when there is no RAM. */
static uint64_t bits_frames(const struct ps_frame_pool *pool)
{
    uint64_t chunks = ((pool->span - 1) % PS_REGION_FRAMES >> PS_CHUNK_BITS) + 1;
    uint64_t words = chunks * PS_CHUNK_WORDS;

    return (pool->regions - 1) * PS_BITS_FRAMES + (words + PS_FRAME_WORDS - 1) / PS_FRAME_WORDS;
}

/* What is where in the books, and their size; from address 0 on, as long as they have no place. */
static void plan_books(struct ps_frame_pool *pool)
{
    pool->set_words = ps_set_words(pool->regions);
    pool->processors_at = pool->books << PS_PAGE_SHIFT;
    pool->entries_at = pool->processors_at + pool->processors * sizeof(struct ps_frame_processor);
    pool->sets_at = pool->entries_at + pool->regions * sizeof(struct ps_frame_region);
    /* Segments are 32 bytes and ranges 16: neither straddles a frame. */
    pool->segments_at = pool->sets_at + PS_FRAME_SETS * pool->set_words * 8;
    (void)ps_align_up(pool->segments_at, 32, &pool->segments_at);
    pool->ranges_at = pool->segments_at + pool->segments * sizeof(struct ps_frame_segment);
    pool->lines_at = pool->ranges_at + pool->ranges * sizeof(struct ps_frame_extent);
    (void)ps_align_up(pool->lines_at, PS_PAGE_SIZE, &pool->lines_at);
    pool->bits_at = pool->lines_at + pool->regions * PS_PAGE_SIZE;
    pool->books_frames = (pool->bits_at >> PS_PAGE_SHIFT) - pool->books + bits_frames(pool);
}

/* The end of the highest usable range that can hold the books: the top is nobody's favourite. */
static bool place_books(struct ps_frame_pool *pool, const struct ps_memory_map *map)
{
    for (size_t i = map->count; i > 0; i--) {
        const struct ps_memory_range *range = &map->ranges[i - 1];

        if (range->type == PS_MEMORY_USABLE && range->pages.count >= pool->books_frames) {
            pool->books = range->first.number + (range->pages.count - pool->books_frames);
            plan_books(pool);
            return true;
        }
    }
    return false;
}

/* ---- writing ---- */

/*
 * The pool's ranges: neighbours joined, without the books, and without those that are empty. What
 * another one follows is low, so the books are not in it.
 */
static void write_ranges(struct ps_frame_pool *pool, const struct ps_memory_map *map)
{
    struct ps_frame_extent extent = {0};
    uint64_t count = 0;

    for (size_t i = 0; i < map->count; i++) {
        const struct ps_memory_range *range = &map->ranges[i];
        uint64_t pages = range->pages.count;

        if (!is_pooled(range->type))
            continue;
        pool->totals.managed += pages;
        pool->totals.free += pages;
        if (ps_pool_is_books(pool, last_of(range)))
            pages -= pool->books_frames;
        if (!follows(map, i))
            extent = (struct ps_frame_extent){.first = range->first.number};
        else
            count--;
        extent.pages += pages;
        if (extent.pages != 0)
            *(struct ps_frame_extent *)ps_books_at(pool, pool->ranges_at +
                                                             count++ * sizeof(extent)) = extent;
    }
    pool->ranges = count;
}

/* Blocks of `frames` frames, aligned, that lie in [first, last]: the first one, and how many. */
static uint64_t blocks_in(uint64_t first, uint64_t last, uint64_t frames, uint64_t *from)
{
    uint64_t end = (last + 1) / frames;

    *from = first / frames + (first % frames != 0);
    return end > *from ? end - *from : 0;
}

static uint64_t region_of_block(const struct ps_frame_pool *pool, uint64_t block, uint64_t frames)
{
    return ps_pool_region(pool, block * frames);
}

static void add_regions(struct ps_frame_pool *pool, enum ps_frame_set set, uint64_t first,
                        uint64_t end)
{
    if (first < end)
        ps_set_add_all(pool, set, first, end - 1);
}

/* The sets, and the totals of large frames, as one range makes them. */
static void sort_range(struct ps_frame_pool *pool, uint64_t first, uint64_t last)
{
    uint64_t chunk;
    uint64_t gib;
    uint64_t chunks = blocks_in(first, last, PS_CHUNK_FRAMES, &chunk);
    uint64_t gibs = blocks_in(first, last, PS_REGION_FRAMES, &gib);
    uint64_t from;
    uint64_t end;

    if (first % PS_CHUNK_FRAMES != 0 || chunks == 0)
        ps_set_put(pool, PS_FRAME_PARTIAL, ps_pool_region(pool, first), true);
    if ((last + 1) % PS_CHUNK_FRAMES != 0)
        ps_set_put(pool, PS_FRAME_PARTIAL, ps_pool_region(pool, last), true);
    pool->totals.whole_2m += chunks;
    pool->totals.whole_1g += gibs;
    if (chunks == 0)
        return;
    from = region_of_block(pool, chunk, PS_CHUNK_FRAMES);
    end = region_of_block(pool, chunk + chunks - 1, PS_CHUNK_FRAMES) + 1;
    if (gibs == 0) {
        add_regions(pool, PS_FRAME_WHOLE, from, end);
        return;
    }
    gib = region_of_block(pool, gib, PS_REGION_FRAMES);
    add_regions(pool, PS_FRAME_WHOLE, from, gib);
    add_regions(pool, PS_FRAME_GIB, gib, gib + gibs);
    add_regions(pool, PS_FRAME_WHOLE, gib + gibs, end);
}

/* What all ranges together make of the sets and the totals. */
static void sort_ranges(struct ps_frame_pool *pool)
{
    uint64_t next = 0; /* tracts below have been counted */

    for (uint64_t i = 0; i < pool->ranges; i++) {
        struct ps_frame_extent range = ps_pool_range(pool, i);
        uint64_t last = range.first + (range.pages - 1);
        uint64_t low =
            range.first < PS_FRAMES_LOW ? ps_min(range.pages, PS_FRAMES_LOW - range.first) : 0;
        uint64_t first = ps_max((range.first + low) >> PS_TRACT_BITS, next);

        pool->totals.low += low;
        pool->totals.low_free += low;
        if (low < range.pages && first <= last >> PS_TRACT_BITS) {
            next = (last >> PS_TRACT_BITS) + 1;
            pool->totals.kept += next - first;
        }
        sort_range(pool, range.first, last);
    }
}

/* All of the books but the entries and the regions, which are written when they are opened. */
static void clear_books(struct ps_frame_pool *pool)
{
    for (uint32_t i = 0; i < pool->processors; i++)
        *ps_pool_processor(pool, i) = (struct ps_frame_processor){0};
    for (uint64_t at = pool->sets_at; at < pool->segments_at; at += 8)
        *(uint64_t *)ps_books_at(pool, at) = 0;
}

static void fill_in(struct ps_frame_pool *pool, const struct ps_memory_map *map)
{
    clear_books(pool);
    plan_segments(pool, map);
    while (pool->border < pool->regions &&
           ps_pool_region_first(pool, pool->border) < PS_FRAMES_4GIB)
        pool->border++;
    write_ranges(pool, map);
    sort_ranges(pool);
    pool->reuse_floor = PS_FRAMES_LOW;
    if (ps_pool_range_from(pool, PS_FRAMES_4GIB) < pool->ranges)
        pool->reuse_floor = PS_FRAMES_4GIB;
    ps_pool_count_tag(pool, PS_FRAME_METADATA, (int64_t)pool->books_frames);
    ps_pool_set_budgets(pool);
}

ps_status ps_frame_pool_init(struct ps_frame_pool *pool, const struct ps_machine *machine,
                             const struct ps_memory_map *map)
{
    struct ps_frame_pool plan = {0};

    if (pool == NULL || machine == NULL || map == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine != NULL)
        return PS_BAD_STATE;
    if (ps_memory_map_validate(map, NULL) != PS_OK ||
        (machine->processors > 1 && machine->processor == NULL))
        return PS_INVALID_ARGS;
    plan.machine = machine;
    plan.shared = machine->processors > 1;
    plan.plain = !plan.shared;
    plan.processors = plan.shared ? machine->processors : 1;
    plan.ranges = count_ranges(map);
    plan_segments(&plan, map);
    if (plan.regions == 0)
        return PS_NO_MEMORY;
    plan_books(&plan);
    if (!place_books(&plan, map))
        return PS_NO_MEMORY;
    *pool = plan;
    fill_in(pool, map);
    return PS_OK;
}

/* ---- adding later ---- */

/* How many frames from an absent one on are absent, at least. */
static uint64_t absent_ahead(const struct ps_frame_pool *pool, uint64_t frame)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);
    uint64_t ahead = PS_REGION_FRAMES - frame % PS_REGION_FRAMES;
    uint64_t range;

    if (!ps_set_has(pool, PS_FRAME_OPEN, place.region)) {
        range = ps_pool_range_from(pool, frame);
        return range < pool->ranges ? ps_min(ps_pool_range(pool, range).first - frame, ahead)
                                    : ahead;
    }
    if (ps_pool_tract(pool, place.region, place.tract)->cells[place.chunk] == PS_CELL_ABSENT)
        return PS_CHUNK_FRAMES - place.bit;
    return 1;
}

/* No frame of the range is in the pool, and each has a place in the books. */
static ps_status check_absent(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    uint64_t last = first + (pages - 1);

    for (uint64_t at = first >> PS_REGION_BITS; at <= last >> PS_REGION_BITS; at++)
        if (ps_pool_region(pool, at << PS_REGION_BITS) == PS_NONE)
            return PS_OUT_OF_RANGE;
    if (first < pool->books + pool->books_frames && last >= pool->books)
        return PS_ALREADY_EXISTS;
    while (first <= last) {
        if (ps_pool_slot(pool, first).value != 0 || ps_pool_is_free(pool, first))
            return PS_ALREADY_EXISTS;
        first += absent_ahead(pool, first);
    }
    return PS_OK;
}

static void bring_late(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    uint64_t last = first + (pages - 1);

    for (uint64_t at = first >> PS_REGION_BITS; at <= last >> PS_REGION_BITS; at++)
        ps_pool_open(pool, ps_pool_region(pool, at << PS_REGION_BITS));
    ps_pool_fill_frames(pool, first, pages);
    ps_pool_bring(pool, first, pages, true);
}

ps_status ps_frame_pool_add(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages)
{
    ps_status status;

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    if (pages.count == 0)
        return PS_INVALID_ARGS;
    if (first.number == 0 || first.number >= pool->span || pages.count > pool->span - first.number)
        return PS_OUT_OF_RANGE;
    ps_pool_enter(pool);
    status = check_absent(pool, first.number, pages.count);
    if (status == PS_OK)
        bring_late(pool, first.number, pages.count);
    ps_pool_leave(pool);
    return status;
}
