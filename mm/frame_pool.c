#include "frame_pool_private.h"

/* ---- arguments ---- */

/* The pool can be called at all. */
static ps_status check_pool(const struct ps_frame_pool *pool)
{
    if (pool == NULL)
        return PS_INVALID_ARGS;
    return pool->machine == NULL ? PS_BAD_STATE : PS_OK;
}

static bool tag_is_valid(enum ps_frame_tag tag)
{
    return (unsigned)tag > PS_FRAME_METADATA && (unsigned)tag < PS_FRAME_TAG_COUNT;
}

static ps_status check_request(const struct ps_frame_pool *pool, enum ps_frame_tag tag,
                               unsigned flags)
{
    ps_status status = check_pool(pool);

    if (status != PS_OK)
        return status;
    return tag_is_valid(tag) && (flags & ~(unsigned)PS_FRAME_ZERO) == 0 ? PS_OK : PS_INVALID_ARGS;
}

/* The test instrument: called where nothing else can fail any more. */
static bool failure_is_due(struct ps_frame_pool *pool)
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

/* The frames are ours already: this takes time and needs no lock. */
static void zero_run(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        ps_hw_zero_frame(ps_hw_frame(pool->machine, ps_frame(first + i)));
}

/* ---- handing out ---- */

static ps_status take_singles(struct ps_frame_pool *pool, uint64_t count, enum ps_frame_tag tag,
                              ps_frame_t *frames)
{
    ps_status status = PS_OK;

    ps_lock_acquire(&pool->lock);
    if (ps_pool_singles(pool) < count || failure_is_due(pool))
        status = PS_NO_MEMORY;
    else
        ps_pool_take_singles(pool, count, tag, frames);
    ps_lock_release(&pool->lock);
    return status;
}

static ps_status take_run(struct ps_frame_pool *pool, const struct ps_frame_run *run,
                          uint64_t *first)
{
    ps_status status;

    ps_lock_acquire(&pool->lock);
    status = ps_pool_find_run(pool, run, first);
    if (status == PS_OK && failure_is_due(pool))
        status = PS_NO_MEMORY;
    if (status == PS_OK)
        ps_pool_take(pool, *first, run->pages.count, run->tag);
    ps_lock_release(&pool->lock);
    return status;
}

ps_status ps_frame_pool_alloc(struct ps_frame_pool *pool, enum ps_frame_size size,
                              enum ps_frame_tag tag, unsigned flags, ps_frame_t *frame)
{
    ps_status status = check_request(pool, tag, flags);
    struct ps_frame_run run = {.limit = PS_FRAME_ANY, .tag = tag, .flags = flags};

    if (status != PS_OK)
        return status;
    if (frame == NULL || (unsigned)size > PS_FRAME_1G)
        return PS_INVALID_ARGS;
    if (size == PS_FRAME_4K)
        return ps_frame_pool_alloc_scattered(pool, 1, tag, flags, frame);
    run.pages = ps_frame_size_pages(size);
    run.alignment = run.pages.count;
    return ps_frame_pool_alloc_run(pool, &run, frame);
}

ps_status ps_frame_pool_alloc_run(struct ps_frame_pool *pool, const struct ps_frame_run *run,
                                  ps_frame_t *frame)
{
    uint64_t first;
    ps_status status = check_pool(pool);

    if (status == PS_OK)
        status = run == NULL ? PS_INVALID_ARGS : check_request(pool, run->tag, run->flags);
    if (status != PS_OK)
        return status;
    if (frame == NULL || run->pages.count == 0 ||
        (run->alignment != 0 && !ps_is_power_of_two(run->alignment)))
        return PS_INVALID_ARGS;
    status = take_run(pool, run, &first);
    if (status != PS_OK)
        return status;
    if ((run->flags & PS_FRAME_ZERO) != 0)
        zero_run(pool, first, run->pages.count);
    *frame = ps_frame(first);
    return PS_OK;
}

ps_status ps_frame_pool_alloc_scattered(struct ps_frame_pool *pool, uint64_t count,
                                        enum ps_frame_tag tag, unsigned flags, ps_frame_t *frames)
{
    ps_status status = check_request(pool, tag, flags);

    if (status != PS_OK || count == 0)
        return status;
    if (frames == NULL)
        return PS_INVALID_ARGS;
    status = take_singles(pool, count, tag, frames);
    if (status != PS_OK)
        return status;
    for (uint64_t i = 0; i < count && (flags & PS_FRAME_ZERO) != 0; i++)
        zero_run(pool, frames[i].number, 1);
    return PS_OK;
}

/* An absent frame weighs more than an allocated one, wherever in the range the two are. */
static ps_status check_free(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    uint64_t last = first + (pages - 1);
    uint64_t busy = ps_pool_next(pool, first, last, false, false);
    ps_status status = PS_OK;

    while (busy != PS_FRAME_NONE) {
        if (ps_pool_tag(pool, busy) == 0)
            return PS_NOT_FOUND;
        status = PS_ALREADY_EXISTS;
        busy = ps_pool_next(pool, busy + 1, last, false, false);
    }
    return status;
}

ps_status ps_frame_pool_claim(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages,
                              enum ps_frame_tag tag)
{
    ps_status status = check_request(pool, tag, 0);

    if (status != PS_OK)
        return status;
    if (pages.count == 0)
        return PS_INVALID_ARGS;
    if (first.number >= pool->span || pages.count > pool->span - first.number)
        return PS_NOT_FOUND;
    ps_lock_acquire(&pool->lock);
    status = check_free(pool, first.number, pages.count);
    if (status == PS_OK && failure_is_due(pool))
        status = PS_NO_MEMORY;
    if (status == PS_OK)
        ps_pool_take(pool, first.number, pages.count, tag);
    ps_lock_release(&pool->lock);
    return status;
}

/* ---- taking back ---- */

/* [first, first + pages) is exactly one unit, and not the pool's own. */
static ps_status check_unit(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    uint8_t tag = ps_pool_tag(pool, first);

    if (tag == 0)
        return ps_pool_is_free(pool, first) ? PS_NOT_FOUND : PS_OUT_OF_RANGE;
    if ((tag & PS_TAG_FIRST) == 0)
        return PS_NOT_FOUND;
    if ((tag & PS_TAG_MASK) == PS_FRAME_METADATA)
        return PS_ACCESS_DENIED;
    return ps_pool_unit_pages(pool, first) == pages ? PS_OK : PS_WRONG_SIZE;
}

/* Check that [first, first + pages) is a whole unit, and do something to it under the lock. */
static ps_status with_unit(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages,
                           void (*act)(struct ps_frame_pool *, uint64_t, uint64_t))
{
    ps_status status = check_pool(pool);

    if (status != PS_OK)
        return status;
    if (pages.count == 0)
        return PS_INVALID_ARGS;
    ps_lock_acquire(&pool->lock);
    status = check_unit(pool, first.number, pages.count);
    if (status == PS_OK)
        act(pool, first.number, pages.count);
    ps_lock_release(&pool->lock);
    return status;
}

ps_status ps_frame_pool_free(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages)
{
    return with_unit(pool, first, pages, ps_pool_give);
}

static void mark_all_first(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    for (uint64_t done = 0; done < pages;) {
        struct ps_frame_piece piece = ps_pool_piece(pool, first + done, pages - done);
        uint8_t *tags = ps_pool_tags(pool, piece.block, piece.chunk);

        for (uint64_t i = 0; i < piece.count; i++)
            tags[piece.bit % PS_CHUNK_FRAMES + i] |= PS_TAG_FIRST;
        done += piece.count;
    }
}

ps_status ps_frame_pool_split(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages)
{
    return with_unit(pool, first, pages, mark_all_first);
}

/* ---- asking ---- */

static void describe(const struct ps_frame_pool *pool, uint64_t frame, struct ps_frame_info *info)
{
    uint8_t tag = ps_pool_tag(pool, frame);

    *info = (struct ps_frame_info){.managed = tag != 0};
    if (tag == 0) {
        info->managed = ps_pool_is_free(pool, frame);
        info->unit = ps_frame(info->managed ? frame : 0);
        return;
    }
    while ((ps_pool_tag(pool, frame) & PS_TAG_FIRST) == 0)
        frame--;
    info->tag = (enum ps_frame_tag)(tag & PS_TAG_MASK);
    info->unit = ps_frame(frame);
    info->unit_pages = ps_pages(ps_pool_unit_pages(pool, frame));
}

ps_status ps_frame_pool_query(struct ps_frame_pool *pool, ps_frame_t frame,
                              struct ps_frame_info *info)
{
    ps_status status = check_pool(pool);

    if (status != PS_OK)
        return status;
    if (info == NULL)
        return PS_INVALID_ARGS;
    ps_lock_acquire(&pool->lock);
    describe(pool, frame.number, info);
    ps_lock_release(&pool->lock);
    return PS_OK;
}

uint64_t ps_frame_pool_in_use(struct ps_frame_pool *pool)
{
    uint64_t in_use;

    if (check_pool(pool) != PS_OK)
        return 0;
    ps_lock_acquire(&pool->lock);
    in_use = pool->managed_frames - pool->free_frames - pool->metadata_frames;
    ps_lock_release(&pool->lock);
    return in_use;
}

void ps_frame_pool_fail_after(struct ps_frame_pool *pool, uint64_t successes, bool for_good)
{
    if (check_pool(pool) != PS_OK)
        return;
    ps_lock_acquire(&pool->lock);
    pool->fail_countdown = successes;
    pool->fail_armed = successes != UINT64_MAX;
    pool->fail_for_good = for_good;
    ps_lock_release(&pool->lock);
}
