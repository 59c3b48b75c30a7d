#include "frame_pool_private.h"

/*
 * Units that have been given back and are not free yet, oldest first, in a ring:
 *
 *     . . [oldest] [...] [youngest] . .        quarantine_next    the oldest
 *                                              quarantine_used    how many
 *
 * Cells and bytes say of them what their owner had; only the counters know them as
 * PS_FRAME_QUARANTINED.
 */

#define EXTENTS_A_FRAME (PS_PAGE_SIZE / sizeof(struct ps_frame_extent))

/* The entry that is `back` places behind the oldest. */
static struct ps_frame_extent *entry_at(const struct ps_frame_pool *pool, uint64_t back)
{
    uint64_t index = (pool->quarantine_next + back) % pool->quarantine_size;
    struct ps_frame_extent *extents =
        ps_hw_frame(pool->machine, ps_frame(pool->quarantine_at + index / EXTENTS_A_FRAME));

    return &extents[index % EXTENTS_A_FRAME];
}

static void count_as(struct ps_frame_pool *pool, unsigned before, unsigned after, uint64_t pages)
{
    ps_pool_count_tag(pool, before, -(int64_t)pages);
    ps_pool_count_tag(pool, after, (int64_t)pages);
}

/* The oldest one becomes free. */
static void release_oldest(struct ps_frame_pool *pool)
{
    struct ps_unit unit;

    (void)ps_pool_unit_of(pool, entry_at(pool, 0)->first, &unit);
    pool->quarantine_next = (pool->quarantine_next + 1) % pool->quarantine_size;
    pool->quarantine_used--;
    count_as(pool, PS_FRAME_QUARANTINED, unit.tag, unit.pages);
    ps_pool_give(pool, &unit);
}

bool ps_pool_detain(struct ps_frame_pool *pool, const struct ps_unit *unit)
{
    if (pool->quarantine_size == 0)
        return false;
    if (pool->quarantine_used == pool->quarantine_size)
        release_oldest(pool);
    *entry_at(pool, pool->quarantine_used) = (struct ps_frame_extent){unit->first, unit->pages};
    pool->quarantine_used++;
    count_as(pool, unit->tag, PS_FRAME_QUARANTINED, unit->pages);
    return true;
}

bool ps_pool_is_detained(const struct ps_frame_pool *pool, uint64_t first)
{
    for (uint64_t i = 0; i < pool->quarantine_used; i++)
        if (entry_at(pool, i)->first == first)
            return true;
    return false;
}

/* ---- how long it is ---- */

static uint64_t ring_frames(uint64_t places)
{
    return places / EXTENTS_A_FRAME + (places % EXTENTS_A_FRAME != 0);
}

/* Where the ring for so many places can be. */
static ps_status find_ring(struct ps_frame_pool *pool, uint64_t places, uint64_t *first)
{
    struct ps_frame_run run = {
        .pages = ps_pages(ring_frames(places)), .limit = PS_FRAME_ANY, .tag = PS_FRAME_METADATA};
    ps_status status = ps_pool_find_run(pool, &run, first);

    if (status == PS_OK &&
        (!ps_pool_can_spare(pool, *first, run.pages.count) || ps_pool_failure_is_due(pool)))
        return PS_NO_MEMORY;
    return status;
}

/* Release everybody, and give the ring back. */
static void end_quarantine(struct ps_frame_pool *pool)
{
    struct ps_unit ring = {pool->quarantine_at, ring_frames(pool->quarantine_size),
                           PS_FRAME_METADATA, 0};

    while (pool->quarantine_used != 0)
        release_oldest(pool);
    if (pool->quarantine_size != 0)
        ps_pool_give(pool, &ring);
}

static ps_status set_places(struct ps_frame_pool *pool, uint64_t places)
{
    uint64_t first = 0;
    ps_status status = places == 0 ? PS_OK : find_ring(pool, places, &first);

    if (status != PS_OK)
        return status;
    if (places != 0)
        ps_pool_take(pool, first, ring_frames(places), PS_FRAME_METADATA);
    end_quarantine(pool);
    pool->quarantine_at = first;
    pool->quarantine_size = places;
    pool->quarantine_next = 0;
    ps_pool_set_budgets(pool);
    return PS_OK;
}

ps_status ps_frame_pool_quarantine(struct ps_frame_pool *pool, uint64_t frees)
{
    ps_status status;

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    ps_pool_enter(pool);
    status = set_places(pool, frees);
    ps_pool_leave(pool);
    return status;
}
