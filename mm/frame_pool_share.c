#include "frame_pool_private.h"

/*
 * Where a unit begins that several hold, there is the number of its holders:
 *
 *     tract->shares ---> directory   counts of chunk 0, 1, ... 7    frame numbers; 0: none
 *                                    shared units in 0, 1, ... 7
 *
 *     counts of a chunk              a word a frame; 0 unless a shared unit begins there
 *
 * Each of these frames stays as long as there is a shared unit that needs it. The number for a
 * unit that is a whole region is in the region's entry.
 */

/* In the directory: the word for the first chunk. */
enum { SHARED_UNITS = 8 };
_Static_assert(PS_TRACT_CHUNKS <= SHARED_UNITS, "the directory has two words a chunk");
_Static_assert(PS_CHUNK_FRAMES <= PS_FRAME_WORDS, "the counts of a chunk are one frame");

static uint64_t *words_of(const struct ps_frame_pool *pool, uint64_t frame)
{
    return ps_hw_frame(pool->machine, ps_frame(frame));
}

static struct ps_place place_of(const struct ps_frame_pool *pool, uint64_t frame)
{
    return ps_place_in(ps_pool_region(pool, frame), frame);
}

static bool is_region(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    return ps_set_has(pool, PS_FRAME_UNIT, place->region);
}

/* NULL when no unit that begins in this tract is shared. */
static uint64_t *directory_of(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    uint64_t frame = ps_pool_tract(pool, place->region, place->tract)->shares;

    return frame == 0 ? NULL : words_of(pool, frame);
}

/* The number for the unit that begins there, less than 2 while it has one holder. Or NULL. */
static uint64_t *holders_at(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    const uint64_t *directory;

    if (is_region(pool, place))
        return &ps_pool_entry(pool, place->region)->holders;
    directory = directory_of(pool, place);
    if (directory == NULL || directory[place->chunk] == 0)
        return NULL;
    return &words_of(pool, directory[place->chunk])[place->bit];
}

uint64_t ps_pool_holders(const struct ps_frame_pool *pool, const struct ps_unit *unit)
{
    struct ps_place place = place_of(pool, unit->first);
    const uint64_t *holders = holders_at(pool, &place);

    return holders == NULL ? 1 : ps_max(*holders, 1);
}

/* ---- one more ---- */

/* How many frames it takes until there is a number for the unit. */
static uint64_t frames_needed(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    if (holders_at(pool, place) != NULL)
        return 0;
    return directory_of(pool, place) == NULL ? 2 : 1;
}

/* One is available. */
static uint64_t take_table(struct ps_frame_pool *pool)
{
    uint64_t frame = ps_pool_take_single(pool, ps_pool_this_processor(pool), PS_FRAME_METADATA);

    ps_hw_zero_frame(words_of(pool, frame));
    return frame;
}

/* As many frames as are needed are available. */
static uint64_t *make_holders(struct ps_frame_pool *pool, const struct ps_place *place)
{
    struct ps_frame_tract *tract = ps_pool_tract(pool, place->region, place->tract);
    uint64_t *counts = holders_at(pool, place);

    if (counts != NULL)
        return counts;
    if (tract->shares == 0)
        tract->shares = take_table(pool);
    directory_of(pool, place)[place->chunk] = take_table(pool);
    return holders_at(pool, place);
}

static void add_holder(struct ps_frame_pool *pool, const struct ps_place *place)
{
    uint64_t *holders = make_holders(pool, place);

    if (*holders < 2) {
        *holders = 1;
        pool->shared_units++;
        if (!is_region(pool, place))
            directory_of(pool, place)[SHARED_UNITS + place->chunk]++;
    }
    ++*holders;
}

/* Who lends or borrows a frame has it alone. */
static ps_status check_shareable(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    struct ps_unit unit = {0};
    ps_status status = ps_pool_check_unit(pool, first, pages, &unit);

    return unit.loan != 0 ? PS_ACCESS_DENIED : status;
}

static ps_status share(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    struct ps_place place;
    ps_status status = check_shareable(pool, first, pages);

    if (status != PS_OK)
        return status;
    place = place_of(pool, first);
    if (ps_pool_unpromised(pool) < frames_needed(pool, &place) || ps_pool_failure_is_due(pool))
        return PS_NO_MEMORY;
    add_holder(pool, &place);
    return PS_OK;
}

ps_status ps_frame_pool_share(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages)
{
    ps_status status;

    if (pool == NULL || pages.count == 0)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    ps_pool_enter(pool);
    status = share(pool, first.number, pages.count);
    ps_pool_leave(pool);
    return status;
}

/* ---- one less ---- */

static void give_table(struct ps_frame_pool *pool, uint64_t frame)
{
    ps_pool_give(pool, &(struct ps_unit){frame, 1, PS_FRAME_METADATA, 0});
}

static bool is_unused(const uint64_t *directory)
{
    for (unsigned chunk = 0; chunk < PS_TRACT_CHUNKS; chunk++)
        if (directory[chunk] != 0)
            return false;
    return true;
}

/* A unit that begins in the chunk is not shared any more: give back what only it needed. */
static void drop_tables(struct ps_frame_pool *pool, const struct ps_place *place)
{
    struct ps_frame_tract *tract = ps_pool_tract(pool, place->region, place->tract);
    uint64_t *directory = directory_of(pool, place);
    uint64_t frame = directory[place->chunk];

    if (--directory[SHARED_UNITS + place->chunk] != 0)
        return;
    directory[place->chunk] = 0;
    give_table(pool, frame);
    if (!is_unused(directory))
        return;
    frame = tract->shares;
    tract->shares = 0;
    give_table(pool, frame);
}

bool ps_pool_drop_holder(struct ps_frame_pool *pool, const struct ps_unit *unit)
{
    struct ps_place place = place_of(pool, unit->first);
    uint64_t *holders = holders_at(pool, &place);

    if (holders == NULL || *holders < 2)
        return false;
    if (--*holders > 1)
        return true;
    pool->shared_units--;
    if (!is_region(pool, &place)) {
        *holders = 0;
        drop_tables(pool, &place);
    }
    return true;
}
