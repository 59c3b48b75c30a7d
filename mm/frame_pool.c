#include "frame_pool_private.h"

/* ---- arguments ---- */

/* The pool can be called at all. */
static ps_status check_pool(const struct ps_frame_pool *pool)
{
    if (pool == NULL)
        return PS_INVALID_ARGS;
    return pool->machine == NULL ? PS_BAD_STATE : PS_OK;
}

static ps_status check_request(const struct ps_frame_pool *pool, enum ps_frame_tag tag,
                               unsigned flags, unsigned known)
{
    ps_status status = check_pool(pool);

    if (status != PS_OK)
        return status;
    if ((unsigned)tag <= PS_FRAME_DAMAGED || (unsigned)tag >= PS_FRAME_TAG_COUNT)
        return PS_INVALID_ARGS;
    return (flags & ~known) == 0 ? PS_OK : PS_INVALID_ARGS;
}

/* ---- single frames ---- */

/* Frames that have been taken, in the order of the array, become free again. */
PS_COLD static void give_back(struct ps_frame_pool *pool, const ps_frame_t *frames, uint64_t count)
{
    struct ps_unit unit;

    for (; count != 0; count--)
        /* defensive: what has just been taken is a unit. */
        if (ps_pool_unit_of(pool, frames[count - 1].number, &unit)) {
            if (unit.loan != 0)
                ps_pool_return_loan(pool, &unit);
            else
                ps_pool_give(pool, &unit);
        }
}

/* Lent frames are not for this: they have no pattern. */
PS_COLD ps_status ps_pool_check_fill(struct ps_frame_pool *pool, const ps_frame_t *frames,
                                     uint64_t count)
{
    uint64_t damaged = 0;

    for (uint64_t i = 0; pool->fill_bytes != 0 && i < count; i++)
        damaged += ps_pool_damaged(pool, frames[i].number, 1) != PS_NONE;
    if (damaged == 0)
        return PS_OK;
    for (uint64_t i = 0; i < count; i++) {
        bool is_damaged = ps_pool_damaged(pool, frames[i].number, 1) != PS_NONE;

        give_back(pool, &frames[i], 1);
        if (is_damaged)
            ps_pool_withdraw(pool, frames[i].number);
    }
    return PS_CORRUPT;
}

/* Lent frames first, if they will do. */
static uint64_t borrow(struct ps_frame_pool *pool, uint64_t count, enum ps_frame_tag tag,
                       unsigned flags, ps_frame_t *frames)
{
    uint64_t done = 0;

    while (done < count && (flags & PS_FRAME_BORROW) != 0) {
        uint64_t frame = ps_pool_borrow(pool, tag);

        if (frame == PS_NONE)
            break;
        frames[done++] = ps_frame(frame);
    }
    return done;
}

static ps_status take_scattered(struct ps_frame_pool *pool, uint64_t count, enum ps_frame_tag tag,
                                unsigned flags, ps_frame_t *frames)
{
    uint32_t processor = ps_pool_this_processor(pool);
    uint64_t borrowed = borrow(pool, count, tag, flags, frames);
    ps_status status = ps_pool_may_take(pool, count - borrowed, flags);

    if (status == PS_OK &&
        (ps_pool_unpromised(pool) < count - borrowed || ps_pool_failure_is_due(pool)))
        status = PS_NO_MEMORY;
    if (status != PS_OK) {
        give_back(pool, frames, borrowed);
        return status;
    }
    if (count - borrowed == 1)
        frames[borrowed] = ps_frame(ps_pool_take_single(pool, processor, tag));
    else
        ps_pool_take_singles(pool, processor, tag, count - borrowed, frames + borrowed);
    status = ps_pool_check_fill(pool, frames + borrowed, count - borrowed);
    if (status != PS_OK)
        give_back(pool, frames, borrowed);
    return status;
}

ps_status ps_frame_pool_alloc_scattered(struct ps_frame_pool *pool, uint64_t count,
                                        enum ps_frame_tag tag, unsigned flags, ps_frame_t *frames)
{
    ps_status status =
        check_request(pool, tag, flags, PS_FRAME_ZERO | PS_FRAME_CAN_WAIT | PS_FRAME_BORROW);

    if (status != PS_OK || count == 0)
        return status;
    if (frames == NULL)
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    status = take_scattered(pool, count, tag, flags, frames);
    ps_pool_leave(pool);
    /* The frames are ours already: this takes time and needs no lock. */
    for (uint64_t i = 0; status == PS_OK && (flags & PS_FRAME_ZERO) != 0 && i < count; i++)
        ps_hw_zero_frame(ps_hw_frame(pool->machine, frames[i]));
    return status;
}

/* ---- runs ---- */

static ps_status take_run(struct ps_frame_pool *pool, const struct ps_frame_run *run,
                          uint64_t *first)
{
    ps_status status = ps_pool_may_take(pool, run->pages.count, run->flags);
    uint64_t damaged;

    if (status == PS_OK)
        status = ps_pool_find_run(pool, run, first);
    if (status == PS_OK &&
        (!ps_pool_can_spare(pool, *first, run->pages.count) || ps_pool_failure_is_due(pool)))
        status = PS_NO_MEMORY;
    if (status != PS_OK)
        return status;
    damaged = ps_pool_damaged(pool, *first, run->pages.count);
    if (damaged != PS_NONE) {
        ps_pool_withdraw(pool, damaged);
        return PS_CORRUPT;
    }
    ps_pool_take(pool, *first, run->pages.count, run->tag);
    return PS_OK;
}

ps_status ps_frame_pool_alloc_run(struct ps_frame_pool *pool, const struct ps_frame_run *run,
                                  ps_frame_t *frame)
{
    uint64_t first = 0;
    ps_status status = check_pool(pool);

    if (status == PS_OK)
        status = run == NULL
                     ? PS_INVALID_ARGS
                     : check_request(pool, run->tag, run->flags, PS_FRAME_ZERO | PS_FRAME_CAN_WAIT);
    if (status != PS_OK)
        return status;
    if (frame == NULL || run->pages.count == 0 ||
        (run->alignment != 0 && !ps_is_power_of_two(run->alignment)))
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    status = take_run(pool, run, &first);
    ps_pool_leave(pool);
    if (status != PS_OK)
        return status;
    if ((run->flags & PS_FRAME_ZERO) != 0)
        ps_hw_zero_frames(pool->machine, ps_frame(first), run->pages.count);
    *frame = ps_frame(first);
    return PS_OK;
}

ps_status ps_pool_alloc_slowly(struct ps_frame_pool *pool, enum ps_frame_size size,
                               enum ps_frame_tag tag, unsigned flags, ps_frame_t *frame)
{
    ps_status status =
        check_request(pool, tag, flags, PS_FRAME_ZERO | PS_FRAME_CAN_WAIT | PS_FRAME_BORROW);
    struct ps_frame_run run = {.limit = PS_FRAME_ANY, .tag = tag, .flags = flags};
    ps_frame_t single;

    if (status != PS_OK)
        return status;
    if (frame == NULL || (unsigned)size > PS_FRAME_1G)
        return PS_INVALID_ARGS;
    if (size == PS_FRAME_4K) {
        status = ps_frame_pool_alloc_scattered(pool, 1, tag, flags, &single);
        if (status == PS_OK)
            *frame = single;
        return status;
    }
    run.pages = ps_pages(size == PS_FRAME_2M ? PS_CHUNK_FRAMES : PS_REGION_FRAMES);
    run.alignment = run.pages.count;
    return ps_frame_pool_alloc_run(pool, &run, frame);
}

/* ---- claims ---- */

/* What [first, first + pages) is, as far as one look can tell, and how far that reaches. */
static ps_status look_at(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                         uint64_t *frames)
{
    struct ps_slot slot = ps_pool_slot(pool, first);

    *frames = ps_min(pages, slot.frames - first % slot.frames);
    if (slot.value != 0 || ps_pool_is_books(pool, first))
        return PS_ALREADY_EXISTS;
    if (!ps_pool_is_free(pool, first))
        return PS_NOT_FOUND;
    *frames = ps_min(pages, ps_pool_free_ahead(pool, first));
    return PS_OK;
}

/* An absent frame weighs more than an allocated one, wherever in the range the two are. */
static ps_status check_free(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    ps_status status = PS_OK;
    uint64_t frames;

    for (uint64_t done = 0; done < pages; done += frames) {
        ps_status here = look_at(pool, first + done, pages - done, &frames);

        if (here == PS_NOT_FOUND)
            return here;
        if (here != PS_OK)
            status = here;
    }
    return status;
}

static ps_status claim(struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                       enum ps_frame_tag tag)
{
    ps_status status = check_free(pool, first, pages);
    uint64_t damaged;

    if (status != PS_OK)
        return status;
    if (!ps_pool_can_take(pool, first, pages, tag) || !ps_pool_can_spare(pool, first, pages) ||
        ps_pool_failure_is_due(pool))
        return PS_NO_MEMORY;
    damaged = ps_pool_damaged(pool, first, pages);
    if (damaged != PS_NONE) {
        ps_pool_withdraw(pool, damaged);
        return PS_CORRUPT;
    }
    ps_pool_take(pool, first, pages, tag);
    return PS_OK;
}

PS_COLD ps_status ps_frame_pool_claim(struct ps_frame_pool *pool, ps_frame_t first,
                                      ps_pages_t pages, enum ps_frame_tag tag)
{
    ps_status status = check_request(pool, tag, 0, 0);

    if (status != PS_OK)
        return status;
    if (pages.count == 0)
        return PS_INVALID_ARGS;
    if (first.number >= pool->span || pages.count > pool->span - first.number)
        return PS_NOT_FOUND;
    ps_pool_enter(pool);
    status = claim(pool, first.number, pages.count, tag);
    ps_pool_leave(pool);
    return status;
}

/* ---- taking back ---- */

static ps_status release(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    struct ps_unit unit;
    ps_status status = ps_pool_check_unit(pool, first, pages, &unit);

    if (status != PS_OK || ps_pool_drop_holder(pool, &unit))
        return status;
    if (unit.loan != 0) {
        ps_pool_return_loan(pool, &unit);
    } else if (!ps_pool_detain(pool, &unit)) {
        ps_pool_give(pool, &unit);
        if (pages == 1)
            ps_pool_offer(pool, ps_pool_this_processor(pool), first);
    }
    return PS_OK;
}

ps_status ps_pool_free_slowly(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    ps_status status;

    if (pages == 0)
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    status = release(pool, first, pages);
    ps_pool_leave(pool);
    return status;
}

static ps_status cut(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    struct ps_unit unit;
    ps_status status = ps_pool_check_unit(pool, first, pages, &unit);

    if (status != PS_OK)
        return status;
    if (ps_pool_holders(pool, &unit) > 1)
        return PS_ACCESS_DENIED;
    ps_pool_cut(pool, &unit);
    return PS_OK;
}

PS_COLD ps_status ps_frame_pool_split(struct ps_frame_pool *pool, ps_frame_t first,
                                      ps_pages_t pages)
{
    ps_status status = check_pool(pool);

    if (status != PS_OK)
        return status;
    if (pages.count == 0)
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    status = cut(pool, first.number, pages.count);
    ps_pool_leave(pool);
    return status;
}

/* ---- counting ---- */

PS_COLD uint64_t ps_frame_pool_in_use(struct ps_frame_pool *pool)
{
    uint64_t in_use;

    if (check_pool(pool) != PS_OK)
        return 0;
    ps_pool_enter(pool);
    in_use = ps_pool_tagged(pool, PS_FRAME_LOANED);
    for (unsigned tag = PS_FRAME_DAMAGED + 1; tag < PS_FRAME_TAG_COUNT; tag++)
        in_use += ps_pool_tagged(pool, (enum ps_frame_tag)tag);
    ps_pool_leave(pool);
    return in_use;
}

PS_COLD uint64_t ps_frame_pool_whole(struct ps_frame_pool *pool, enum ps_frame_size size)
{
    uint64_t whole;

    if (check_pool(pool) != PS_OK || (unsigned)size > PS_FRAME_1G)
        return 0;
    ps_pool_enter(pool);
    whole = size == PS_FRAME_4K   ? ps_pool_unpromised(pool)
            : size == PS_FRAME_2M ? pool->totals.whole_2m
                                  : pool->totals.whole_1g;
    ps_pool_leave(pool);
    return whole;
}
