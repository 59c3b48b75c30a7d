#include "frame_pool_private.h"

/*
 * A lent frame has a byte of its own, with PS_LOAN_OPEN or PS_LOAN_CANCELLED in it, and the
 * tag of who has it: PS_FRAME_LOANED while nobody does.
 *
 *     lend ---> open, LOANED <----> open, borrowed      (borrow, free)
 *                     |                  |
 *                   cancel             cancel
 *                     v                  v
 *          cancelled, LOANED <--- cancelled, borrowed   (free)
 *
 * Those that can be borrowed are linked through their own first two words.
 */

enum { NEXT, PREVIOUS };

static uint64_t *words_of(const struct ps_frame_pool *pool, uint64_t frame)
{
    return ps_hw_frame(pool->machine, ps_frame(frame));
}

/* The frame is, or will be, lent: its chunk has bytes. */
static void set_byte(struct ps_frame_pool *pool, uint64_t frame, unsigned loan, unsigned tag)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);
    const struct ps_frame_tract *tract = ps_pool_tract(pool, place.region, place.tract);
    uint8_t *bytes = ps_tract_tags(pool, place.region, place.tract, tract);

    bytes[frame % PS_TRACT_FRAMES] = (uint8_t)(PS_SINGLE | loan | tag);
}

/* A frame that is somebody's becomes somebody else's. */
static void retag(struct ps_frame_pool *pool, const struct ps_unit *unit, unsigned loan,
                  unsigned tag)
{
    set_byte(pool, unit->first, loan, tag);
    ps_pool_count_tag(pool, unit->tag, -1);
    ps_pool_count_tag(pool, tag, 1);
}

/* ---- the list ---- */

static void link(struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t *words = words_of(pool, frame);

    words[NEXT] = pool->loan_head;
    words[PREVIOUS] = 0;
    if (pool->loan_head != 0)
        words_of(pool, pool->loan_head)[PREVIOUS] = frame;
    pool->loan_head = frame;
}

static void unlink(struct ps_frame_pool *pool, uint64_t frame)
{
    const uint64_t *words = words_of(pool, frame);
    uint64_t next = words[NEXT];
    uint64_t previous = words[PREVIOUS];

    if (previous == 0)
        pool->loan_head = next;
    else
        words_of(pool, previous)[NEXT] = next;
    if (next != 0)
        words_of(pool, next)[PREVIOUS] = previous;
}

/* ---- borrowing ---- */

uint64_t ps_pool_borrow(struct ps_frame_pool *pool, enum ps_frame_tag tag)
{
    struct ps_unit unit = {pool->loan_head, 1, PS_FRAME_LOANED, PS_LOAN_OPEN};

    if (unit.first == 0)
        return PS_NONE;
    unlink(pool, unit.first);
    retag(pool, &unit, PS_LOAN_OPEN, tag);
    pool->loans_out++;
    return unit.first;
}

void ps_pool_return_loan(struct ps_frame_pool *pool, const struct ps_unit *unit)
{
    retag(pool, unit, unit->loan, PS_FRAME_LOANED);
    pool->loans_out--;
    if (unit->loan == PS_LOAN_OPEN)
        link(pool, unit->first);
}

/* ---- lending ---- */

static ps_status lend(struct ps_frame_pool *pool, uint64_t frame)
{
    struct ps_unit unit = {0};
    struct ps_place place;
    ps_status status = ps_pool_check_unit(pool, frame, 1, &unit);

    if (unit.loan != 0)
        return PS_ALREADY_EXISTS;
    if (status != PS_OK)
        return status;
    if (ps_pool_holders(pool, &unit) != 1)
        return PS_ACCESS_DENIED;
    place = ps_place_in(ps_pool_region(pool, frame), frame);
    if (!ps_tract_can_mix(pool, &place, 0) || ps_pool_failure_is_due(pool))
        return PS_NO_MEMORY;
    ps_chunk_mix(pool, &place);
    retag(pool, &unit, PS_LOAN_OPEN, PS_FRAME_LOANED);
    link(pool, frame);
    pool->loans++;
    return PS_OK;
}

ps_status ps_frame_pool_lend(struct ps_frame_pool *pool, ps_frame_t frame)
{
    ps_status status;

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    ps_pool_enter(pool);
    status = lend(pool, frame.number);
    ps_pool_leave(pool);
    return status;
}

/* ---- and no more ---- */

/* What else a frame is that is not lent, its lender does not ask. */
static ps_status find_loan(const struct ps_frame_pool *pool, uint64_t frame, struct ps_unit *unit)
{
    ps_status status;

    *unit = (struct ps_unit){0};
    status = ps_pool_check_unit(pool, frame, 1, unit);
    if (unit->loan != 0)
        return PS_OK;
    return status == PS_OUT_OF_RANGE ? PS_OUT_OF_RANGE : PS_NOT_FOUND;
}

static ps_status cancel(struct ps_frame_pool *pool, uint64_t frame)
{
    struct ps_unit unit;
    ps_status status = find_loan(pool, frame, &unit);

    if (status != PS_OK)
        return status;
    if (unit.loan != PS_LOAN_OPEN)
        return PS_NOT_FOUND;
    if (unit.tag == PS_FRAME_LOANED)
        unlink(pool, frame);
    set_byte(pool, frame, PS_LOAN_CANCELLED, unit.tag);
    pool->loans_ended++;
    return PS_OK;
}

ps_status ps_frame_pool_cancel_loan(struct ps_frame_pool *pool, ps_frame_t frame)
{
    ps_status status;

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    ps_pool_enter(pool);
    status = cancel(pool, frame.number);
    ps_pool_leave(pool);
    return status;
}

static ps_status end(struct ps_frame_pool *pool, uint64_t frame, enum ps_frame_tag tag)
{
    struct ps_unit unit;
    ps_status status = find_loan(pool, frame, &unit);

    if (status != PS_OK)
        return status;
    if (unit.tag != PS_FRAME_LOANED)
        return PS_ALREADY_EXISTS;
    if (unit.loan == PS_LOAN_OPEN)
        unlink(pool, frame);
    else
        pool->loans_ended--;
    pool->loans--;
    retag(pool, &unit, 0, tag);
    return PS_OK;
}

ps_status ps_frame_pool_end_loan(struct ps_frame_pool *pool, ps_frame_t frame,
                                 enum ps_frame_tag tag)
{
    ps_status status;

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    if ((unsigned)tag <= PS_FRAME_DAMAGED || (unsigned)tag >= PS_FRAME_TAG_COUNT)
        return PS_INVALID_ARGS;
    ps_pool_enter(pool);
    status = end(pool, frame.number, tag);
    ps_pool_leave(pool);
    return status;
}
