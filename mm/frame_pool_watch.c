#include "frame_pool_private.h"

/* ---- watermarks, and the wait level ---- */

ps_status ps_frame_pool_watch(struct ps_frame_pool *pool,
                              const struct ps_frame_watermarks *watermarks)
{
    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    if (watermarks != NULL && (watermarks->low > watermarks->high || watermarks->notify == NULL))
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    pool->watermarks = watermarks == NULL ? (struct ps_frame_watermarks){0} : *watermarks;
    ps_pool_set_budgets(pool);
    ps_pool_leave(pool);
    return PS_OK;
}

ps_status ps_frame_pool_set_wait_level(struct ps_frame_pool *pool, uint64_t frames)
{
    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    ps_pool_enter(pool);
    pool->wait_level = frames;
    ps_pool_leave(pool);
    return PS_OK;
}

/*
 * Who needs none, for lent ones will do, need not wait. Nor need who asks for more than there
 * are: waiting would not help.
 */
ps_status ps_pool_may_take(const struct ps_frame_pool *pool, uint64_t frames, unsigned flags)
{
    uint64_t free;

    if ((flags & PS_FRAME_CAN_WAIT) == 0 || frames == 0)
        return PS_OK;
    free = ps_pool_free_frames(pool);
    return free >= frames && free - frames < pool->wait_level ? PS_SHOULD_WAIT : PS_OK;
}

/* ---- failures on request ---- */

void ps_frame_pool_fail_after(struct ps_frame_pool *pool, uint64_t successes, bool for_good)
{
    if (pool == NULL || pool->machine == NULL)
        return;
    ps_pool_enter(pool);
    pool->fail_countdown = successes;
    pool->fail_armed = successes != UINT64_MAX;
    pool->fail_for_good = for_good;
    ps_pool_set_budgets(pool);
    ps_pool_leave(pool);
}

bool ps_pool_failure_is_due(struct ps_frame_pool *pool)
{
    if (!pool->fail_armed)
        return false;
    if (pool->fail_countdown != 0) {
        pool->fail_countdown--;
        return false;
    }
    pool->fail_armed = pool->fail_for_good;
    return true;
}
