#include "frame_pool_private.h"

/*
 * A promise takes nothing: it is a number that `available` never falls below. Which frames those
 * will be is decided when they are asked for. See frame_pool_private.h for who sees to it.
 */

static ps_status check_pool(const struct ps_frame_pool *pool)
{
    if (pool == NULL)
        return PS_INVALID_ARGS;
    return pool->machine == NULL ? PS_BAD_STATE : PS_OK;
}

/*
 * With the last promise goes what there is only because of promises: limits for quick calls, which
 * nobody looks after any more then, and tag bytes that stayed; see ps_tract_tidy().
 */
static void use_up(struct ps_frame_pool *pool, uint64_t frames)
{
    const struct ps_place lowest = {0};

    pool->promised -= frames;
    if (pool->promised != 0)
        return;
    ps_pool_set_budgets(pool);
    if (ps_set_has(pool, PS_FRAME_OPEN, lowest.region))
        ps_tract_tidy(pool, &lowest);
}

/*
 * Where quick calls are limited by promises alone, and one processor makes them, the gets that are
 * left are frames that nobody was promised. Then a promise is so many gets fewer, and nothing else
 * has to be known. What the totals do not know yet stays the difference of the two numbers.
 */
static bool promise_quickly(struct ps_frame_pool *pool, uint64_t frames)
{
    if (!pool->plain || pool->promised == 0 || frames > ps_min(pool->gets, pool->granted))
        return false;
    pool->gets -= frames;
    pool->granted -= frames;
    pool->promised += frames;
    return true;
}

static bool unpromise_quickly(struct ps_frame_pool *pool, uint64_t frames)
{
    if (!pool->plain || pool->promised <= frames)
        return false;
    pool->gets += frames;
    pool->granted += frames;
    pool->promised -= frames;
    return true;
}

ps_status ps_frame_pool_promise(struct ps_frame_pool *pool, ps_pages_t frames)
{
    ps_status status = check_pool(pool);

    if (status != PS_OK || promise_quickly(pool, frames.count))
        return status;
    ps_pool_enter(pool);
    if (ps_pool_unpromised(pool) < frames.count ||
        (frames.count != 0 && ps_pool_failure_is_due(pool)))
        status = PS_NO_MEMORY;
    else
        pool->promised += frames.count;
    ps_pool_leave(pool);
    return status;
}

ps_status ps_frame_pool_unpromise(struct ps_frame_pool *pool, ps_pages_t frames)
{
    ps_status status = check_pool(pool);

    if (status != PS_OK || unpromise_quickly(pool, frames.count))
        return status;
    ps_pool_enter(pool);
    if (pool->promised < frames.count)
        status = PS_INVALID_ARGS;
    else
        use_up(pool, frames.count);
    ps_pool_leave(pool);
    return status;
}

/*
 * A damaged frame is passed over while that costs a frame that nobody was promised. Then what
 * was promised weighs more.
 */
static uint64_t take_promised(struct ps_frame_pool *pool, enum ps_frame_tag tag)
{
    uint32_t processor = ps_pool_this_processor(pool);
    ps_frame_t frame;
    bool spare;

    do {
        spare = ps_pool_unpromised(pool) != 0;
        frame = ps_frame(ps_pool_take_single(pool, processor, tag));
    } while (spare && ps_pool_check_fill(pool, &frame, 1) != PS_OK);
    if (!spare && ps_pool_damaged(pool, frame.number, 1) != PS_NONE)
        pool->damaged_used++;
    use_up(pool, 1);
    return frame.number;
}

ps_status ps_frame_pool_alloc_promised(struct ps_frame_pool *pool, enum ps_frame_tag tag,
                                       unsigned flags, ps_frame_t *frame)
{
    ps_status status = check_pool(pool);
    uint64_t taken = 0;

    if (status != PS_OK)
        return status;
    if ((unsigned)tag <= PS_FRAME_DAMAGED || (unsigned)tag >= PS_FRAME_TAG_COUNT ||
        (flags & ~(unsigned)PS_FRAME_ZERO) != 0 || frame == NULL)
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    if (pool->promised == 0)
        status = PS_BAD_STATE;
    else
        taken = take_promised(pool, tag);
    ps_pool_leave(pool);
    if (status != PS_OK)
        return status;
    *frame = ps_frame(taken);
    if (flags != 0)
        ps_hw_zero_frame(ps_hw_frame(pool->machine, *frame));
    return PS_OK;
}

/* ---- what other calls leave ---- */

/*
 * By how much `available` falls when these free frames of one tract are taken. One of the tract's
 * frames is not available while it has no tag bytes; it is used where all of them are taken, or
 * holds the bytes that become necessary.
 */
static uint64_t cost_in_tract(const struct ps_frame_pool *pool, uint64_t first, uint64_t frames)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, first), first);
    uint64_t taken = frames - ps_low_part(pool, &place, frames);
    const struct ps_frame_tract *tract;
    uint64_t free_frames;

    if (ps_set_has(pool, PS_FRAME_OPEN, place.region)) {
        tract = ps_pool_tract(pool, place.region, place.tract);
        free_frames = tract->tags != 0 ? PS_NONE : tract->free;
    } else {
        free_frames =
            ps_pool_unopened_frames(pool, ps_align_down(first, PS_TRACT_FRAMES), PS_TRACT_FRAMES);
    }
    return taken != 0 && taken == free_frames ? taken - 1 : taken;
}

bool ps_pool_spares(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    uint64_t spare = ps_pool_unpromised(pool);

    for (uint64_t done = 0; spare < pages - done;) {
        uint64_t frame = first + done;
        uint64_t frames = ps_min(pages - done, PS_TRACT_FRAMES - frame % PS_TRACT_FRAMES);
        uint64_t cost = cost_in_tract(pool, frame, frames);

        if (cost > spare)
            return false;
        spare -= cost;
        done += frames;
    }
    return true;
}
