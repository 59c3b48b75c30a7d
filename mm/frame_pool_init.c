#include "frame_pool_private.h"

/* Where the frames for bookkeeping come from, one by one. */
struct source {
    struct ps_frame_pool *pool; /* from the pool itself ... */

    const struct ps_memory_map *map; /* ... or, before it is filled, from the top of a map */
    size_t range;                    /* ranges from here on are used up */
    uint64_t left;                   /* frames of ranges[range] that are not */
    uint64_t directory;              /* taken already: not to be given out ... */
    uint64_t directory_frames;       /* ... these frames */
};

/* What a pool over a map takes. All of it is known before anything is written. */
struct plan {
    uint64_t span;
    uint64_t blocks;
    uint64_t directory;
    uint64_t directory_frames;
    uint64_t others; /* bitmaps and tags */
};

static bool is_pooled(enum ps_memory_type type)
{
    return type == PS_MEMORY_USABLE || type == PS_MEMORY_LOW;
}

/* Highest usable frames first: low memory is scarce, and the top is nobody's favourite. */
static uint64_t carve(struct source *source)
{
    for (;;) {
        uint64_t frame;

        while (source->left == 0) {
            const struct ps_memory_range *range = &source->map->ranges[--source->range];

            source->left = range->type == PS_MEMORY_USABLE ? range->pages.count : 0;
        }
        source->left--;
        frame = source->map->ranges[source->range].first.number + source->left;
        if (frame < source->directory || frame - source->directory >= source->directory_frames)
            return frame;
    }
}

static uint64_t next_frame(struct source *source)
{
    ps_frame_t frame;

    if (source->map != NULL)
        return carve(source);
    ps_pool_take_singles(source->pool, 1, PS_FRAME_METADATA, &frame);
    return frame.number;
}

static struct source carve_from(const struct ps_memory_map *map, const struct plan *plan)
{
    return (struct source){
        .map = map,
        .range = map->count,
        .directory = plan->directory,
        .directory_frames = plan->directory_frames,
    };
}

/* ---- planning ---- */

/* How many units of `size` frames hold RAM of the pool: for bitmaps and for tags. */
static uint64_t count_units(const struct ps_memory_map *map, uint64_t size)
{
    uint64_t count = 0;
    uint64_t next = 0; /* units below are counted */

    for (size_t i = 0; i < map->count; i++) {
        const struct ps_memory_range *range = &map->ranges[i];
        uint64_t first = ps_max(range->first.number / size, next);
        uint64_t end = ps_memory_range_last(range).number / size + 1;

        if (!is_pooled(range->type) || first >= end)
            continue;
        count += end - first;
        next = end;
    }
    return count;
}

/* Frames up to the end of the last RAM: what ps_frame_pool_add() may bring lies before it. */
static uint64_t find_span(const struct ps_memory_map *map)
{
    for (size_t i = map->count; i > 0; i--)
        if (ps_memory_type_is_ram(map->ranges[i - 1].type))
            return ps_memory_range_last(&map->ranges[i - 1]).number + 1;
    return 0;
}

/* The end of the highest usable range that can hold the directory, which is contiguous. */
static bool place_directory(const struct ps_memory_map *map, struct plan *plan)
{
    for (size_t i = map->count; i > 0; i--) {
        const struct ps_memory_range *range = &map->ranges[i - 1];

        if (range->type == PS_MEMORY_USABLE && range->pages.count >= plan->directory_frames) {
            plan->directory = range->first.number + (range->pages.count - plan->directory_frames);
            return true;
        }
    }
    return false;
}

static bool make_plan(const struct ps_memory_map *map, struct plan *plan)
{
    uint64_t usable = ps_memory_map_total(map, PS_MEMORY_USABLE).count;

    plan->span = find_span(map);
    plan->blocks = plan->span / PS_BLOCK_FRAMES + (plan->span % PS_BLOCK_FRAMES != 0);
    plan->directory_frames = (plan->blocks + PS_BLOCKS_A_FRAME - 1) / PS_BLOCKS_A_FRAME;
    plan->others = count_units(map, PS_BLOCK_FRAMES) + count_units(map, PS_CHUNK_FRAMES);
    return usable >= plan->directory_frames && usable - plan->directory_frames >= plan->others &&
           place_directory(map, plan);
}

/* ---- bringing RAM in ---- */

static uint64_t new_bitmap(struct ps_frame_pool *pool, struct source *source)
{
    uint64_t frame = next_frame(source);

    ps_hw_zero_frame(ps_hw_frame(pool->machine, ps_frame(frame)));
    return frame;
}

/* Give the blocks and chunks of a range what they lack to hold RAM. */
static void equip(struct ps_frame_pool *pool, uint64_t first, uint64_t pages, bool late,
                  struct source *source)
{
    for (uint64_t done = 0; done < pages;) {
        struct ps_frame_piece piece = ps_pool_piece(pool, first + done, pages - done);

        if (piece.block->bitmap == 0)
            piece.block->bitmap = new_bitmap(pool, source);
        if (late && piece.block->late == 0)
            piece.block->late = new_bitmap(pool, source);
        if (piece.block->tags[piece.chunk] == 0)
            piece.block->tags[piece.chunk] = next_frame(source);
        done += piece.count;
    }
}

/* How many frames equip() would take for a late range. */
static uint64_t count_equipment(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    uint64_t count = 0;

    for (uint64_t done = 0; done < pages;) {
        struct ps_frame_piece piece = ps_pool_piece(pool, first + done, pages - done);

        if (done == 0 || piece.chunk == 0)
            count += (uint64_t)(piece.block->bitmap == 0) + (piece.block->late == 0);
        count += piece.block->tags[piece.chunk] == 0;
        done += piece.count;
    }
    return count;
}

/* Absent frames become free ones, in a range that is equipped. */
static void fill(struct ps_frame_pool *pool, uint64_t first, uint64_t pages, bool late)
{
    for (uint64_t done = 0; done < pages;) {
        struct ps_frame_piece piece = ps_pool_piece(pool, first + done, pages - done);
        struct ps_frame_block *block = piece.block;

        ps_bitmap_change(ps_pool_bitmap(pool, block->bitmap), piece.bit, piece.count, true);
        if (late)
            ps_bitmap_change(ps_pool_bitmap(pool, block->late), piece.bit, piece.count, true);
        block->free += (uint32_t)piece.count;
        block->managed += (uint32_t)piece.count;
        done += piece.count;
    }
    pool->free_frames += pages;
    pool->managed_frames += pages;
}

/* The frames that were carved before there was a pool become its own. */
static void own_bookkeeping(struct ps_frame_pool *pool, const struct ps_memory_map *map,
                            const struct plan *plan)
{
    struct source again = carve_from(map, plan);

    for (uint64_t i = 0; i < plan->directory_frames; i++)
        ps_pool_take(pool, plan->directory + i, 1, PS_FRAME_METADATA);
    for (uint64_t i = 0; i < plan->others; i++)
        ps_pool_take(pool, carve(&again), 1, PS_FRAME_METADATA);
    pool->metadata_frames = pool->tagged[PS_FRAME_METADATA];
}

ps_status ps_frame_pool_init(struct ps_frame_pool *pool, const struct ps_machine *machine,
                             const struct ps_memory_map *map)
{
    struct plan plan = {0};
    struct source source;

    if (pool == NULL || machine == NULL || map == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine != NULL)
        return PS_BAD_STATE;
    if (ps_memory_map_validate(map, NULL) != PS_OK)
        return PS_INVALID_ARGS;
    if (!make_plan(map, &plan))
        return PS_NO_MEMORY;
    pool->machine = machine;
    pool->span = plan.span;
    pool->block_count = plan.blocks;
    pool->directory = ps_frame(plan.directory);
    for (uint64_t i = 0; i < plan.directory_frames; i++)
        ps_hw_zero_frame(ps_hw_frame(machine, ps_frame_add(pool->directory, i)));
    source = carve_from(map, &plan);
    for (size_t i = 0; i < map->count; i++) {
        const struct ps_memory_range *range = &map->ranges[i];

        if (!is_pooled(range->type))
            continue;
        equip(pool, range->first.number, range->pages.count, false, &source);
        fill(pool, range->first.number, range->pages.count, false);
    }
    own_bookkeeping(pool, map, &plan);
    return PS_OK;
}

/* ---- adding later ---- */

static bool any_tag(const uint8_t *tags, uint64_t count)
{
    while (count != 0 && tags[count - 1] == 0)
        count--;
    return count != 0;
}

/* A frame of the range is free or allocated. */
static bool any_managed(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    if (ps_pool_next(pool, first, first + (pages - 1), true, false) != PS_FRAME_NONE)
        return true;
    for (uint64_t done = 0; done < pages;) {
        struct ps_frame_piece piece = ps_pool_piece(pool, first + done, pages - done);
        const uint8_t *tags = ps_pool_tags(pool, piece.block, piece.chunk);

        if (tags != NULL && any_tag(tags + piece.bit % PS_CHUNK_FRAMES, piece.count))
            return true;
        done += piece.count;
    }
    return false;
}

static ps_status add_locked(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    struct source source = {.pool = pool};

    if (any_managed(pool, first, pages))
        return PS_ALREADY_EXISTS;
    if (count_equipment(pool, first, pages) > ps_pool_singles(pool))
        return PS_NO_MEMORY;
    equip(pool, first, pages, true, &source);
    fill(pool, first, pages, true);
    pool->metadata_frames = pool->tagged[PS_FRAME_METADATA];
    return PS_OK;
}

ps_status ps_frame_pool_add(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages)
{
    ps_status status;
    uint64_t span;

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    if (pages.count == 0)
        return PS_INVALID_ARGS;
    span = pool->span;
    if (first.number == 0 || first.number >= span || pages.count > span - first.number)
        return PS_OUT_OF_RANGE;
    ps_lock_acquire(&pool->lock);
    status = add_locked(pool, first.number, pages.count);
    ps_lock_release(&pool->lock);
    return status;
}
