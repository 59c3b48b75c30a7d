#include "frame_oracle.h"

#include <limits.h>

/* Whether frames can be taken where they are, as far as bookkeeping goes. */
enum room { NO_ROOM, UNCLEAR, ROOM };

uint64_t oracle_lowest(const struct frame_oracle *oracle, uint64_t limit)
{
    return limit < oracle->geometry.low ? 0 : oracle->geometry.low;
}

/* ---- one unit ---- */

unsigned oracle_may_unit(const struct frame_oracle *oracle, uint64_t first, uint64_t pages)
{
    const struct oracle_frame *f = oracle_at(oracle, first);

    if (pages == 0)
        return ORACLE_MAY(PS_INVALID_ARGS);
    if (f == NULL || f->state == ORACLE_ABSENT)
        return ORACLE_MAY(PS_OUT_OF_RANGE);
    if (f->state == ORACLE_FREE)
        return ORACLE_MAY(PS_NOT_FOUND);
    if (f->state != ORACLE_UNIT)
        return ORACLE_MAY(PS_ACCESS_DENIED) | (f->back != 0 ? ORACLE_MAY(PS_NOT_FOUND) : 0);
    if (f->tag == PS_FRAME_QUARANTINED || f->tag == PS_FRAME_LOANED)
        return ORACLE_MAY(PS_NOT_FOUND);
    if (f->tag == PS_FRAME_DAMAGED)
        return ORACLE_MAY(PS_ACCESS_DENIED);
    if (f->back != 0)
        return ORACLE_MAY(PS_NOT_FOUND);
    return ORACLE_MAY(f->pages == pages ? PS_OK : PS_WRONG_SIZE);
}

unsigned oracle_may_share(const struct frame_oracle *oracle, uint64_t first, uint64_t pages)
{
    unsigned may = oracle_may_unit(oracle, first, pages);
    const struct oracle_frame *f = oracle_at(oracle, first);

    if (f != NULL && f->state == ORACLE_UNIT && f->loan != ORACLE_NO_LOAN && pages != 0)
        return may | ORACLE_MAY(PS_ACCESS_DENIED); /* not said */
    if (may != ORACLE_MAY(PS_OK))
        return may;
    /* At most three frames: of the holders, of their numbers, of the tags. */
    if (f->holders == 1 && oracle->sums.exact.available < oracle->promised + 3)
        may |= ORACLE_MAY(PS_NO_MEMORY);
    return may;
}

unsigned oracle_may_lend(const struct frame_oracle *oracle, uint64_t frame)
{
    unsigned may = oracle_may_unit(oracle, frame, 1);
    const struct oracle_frame *f = oracle_at(oracle, frame);
    const struct oracle_tract *tract;

    if (f != NULL && f->state == ORACLE_UNIT && f->loan != ORACLE_NO_LOAN)
        return ORACLE_MAY(PS_ALREADY_EXISTS);
    if (may != ORACLE_MAY(PS_OK))
        return may;
    if (f->holders > 1)
        return ORACLE_MAY(PS_ACCESS_DENIED);
    tract = &oracle->tracts[frame / oracle->geometry.tract];
    return tract->tags == 0 && tract->free == 0 ? may | ORACLE_MAY(PS_NO_MEMORY) : may;
}

unsigned oracle_may_cancel(const struct frame_oracle *oracle, uint64_t frame)
{
    const struct oracle_frame *f = oracle_at(oracle, frame);

    if (f == NULL || f->state == ORACLE_ABSENT)
        return ORACLE_MAY(PS_OUT_OF_RANGE);
    if (f->state != ORACLE_UNIT)
        return ORACLE_MAY(PS_NOT_FOUND);
    return ORACLE_MAY(f->loan == ORACLE_LENT ? PS_OK : PS_NOT_FOUND);
}

unsigned oracle_may_end(const struct frame_oracle *oracle, uint64_t frame)
{
    const struct oracle_frame *f = oracle_at(oracle, frame);

    if (f == NULL || f->state == ORACLE_ABSENT)
        return ORACLE_MAY(PS_OUT_OF_RANGE);
    if (f->state != ORACLE_UNIT || f->loan == ORACLE_NO_LOAN)
        return ORACLE_MAY(PS_NOT_FOUND);
    return ORACLE_MAY(f->tag == PS_FRAME_LOANED ? PS_OK : PS_ALREADY_EXISTS);
}

/* ---- single frames, 2 MiB and 1 GiB ---- */

static bool chunk_is_whole(const struct frame_oracle *oracle, uint64_t frame)
{
    uint64_t size = oracle->geometry.chunk;

    for (uint64_t i = 0; i < size; i++) {
        const struct oracle_frame *f = oracle_at(oracle, frame / size * size + i);

        if (f == NULL || f->state != ORACLE_FREE)
            return false;
    }
    return true;
}

/* The order without a look at the rest of the chunk. */
static unsigned class_of(const struct frame_oracle *oracle, uint64_t frame)
{
    bool late = oracle_is_late(oracle, frame);
    bool high = oracle_zone(oracle, frame) == PS_FRAME_ZONE_NORMAL;

    return (late ? 2u : 0u) + (high ? 0u : 1u);
}

unsigned oracle_rank(const struct frame_oracle *oracle, uint64_t frame)
{
    return class_of(oracle, frame) * 2 + chunk_is_whole(oracle, frame);
}

unsigned oracle_best_rank(const struct frame_oracle *oracle)
{
    unsigned best = UINT_MAX;
    uint64_t seen = UINT64_MAX; /* chunk that has been looked at */

    for (uint64_t i = 0; i < oracle->count && best != 0; i++) {
        uint64_t frame = oracle_number(oracle, i);
        const struct oracle_tract *tract = &oracle->tracts[frame / oracle->geometry.tract];

        if (oracle->frames[i].state != ORACLE_FREE || frame < oracle->geometry.low ||
            (tract->tags == 0 && tract->free == 1) || frame / oracle->geometry.chunk == seen ||
            class_of(oracle, frame) * 2 >= best)
            continue;
        seen = frame / oracle->geometry.chunk;
        best = (unsigned)ps_min(best, oracle_rank(oracle, frame));
    }
    return best;
}

/* What a request that can wait is answered, where others are answered `may`. */
static unsigned with_waiting(const struct frame_oracle *oracle, unsigned may, uint64_t pages,
                             unsigned flags)
{
    uint64_t free = oracle->sums.exact.free;

    if ((flags & PS_FRAME_CAN_WAIT) == 0)
        return may;
    if (free >= pages && free - pages >= oracle->wait_level)
        return may;
    return (may & ~ORACLE_MAY(PS_OK)) | ORACLE_MAY(PS_SHOULD_WAIT);
}

unsigned oracle_may_single(const struct frame_oracle *oracle, uint64_t available, uint64_t count,
                           unsigned flags)
{
    uint64_t borrowed = (flags & PS_FRAME_BORROW) != 0 ? ps_min(count, oracle->sums.borrowable) : 0;
    unsigned may =
        ORACLE_MAY(available >= oracle->promised + (count - borrowed) ? PS_OK : PS_NO_MEMORY);

    if (count == 0)
        return ORACLE_MAY(PS_OK);
    if (borrowed == 0)
        return with_waiting(oracle, may, count, flags);
    /* Not said: whether lent frames count against the wait level. */
    return may | (with_waiting(oracle, may, count, flags) & ORACLE_MAY(PS_SHOULD_WAIT));
}

unsigned oracle_may_large(const struct frame_oracle *oracle, uint64_t available, uint64_t pages,
                          unsigned flags)
{
    const struct ps_frame_pool_snapshot *sums = &oracle->sums.exact;
    uint64_t whole = pages == oracle->geometry.chunk ? sums->whole_2m : sums->whole_1g;
    uint64_t tract = oracle->geometry.tract;
    unsigned may = ORACLE_MAY(PS_OK);

    if (whole == 0 && available >= pages)
        may = ORACLE_MAY(PS_NO_SPACE);
    else if (whole == 0 && sums->free - sums->free_in[PS_FRAME_ZONE_LOW] < pages)
        may = ORACLE_MAY(PS_NO_MEMORY);
    else if (whole == 0)
        may = ORACLE_MAY(PS_NO_MEMORY) | ORACLE_MAY(PS_NO_SPACE);
    may = oracle_with_promises(oracle, may, available, pages - (pages + tract - 1) / tract, pages);
    return with_waiting(oracle, may, pages, flags);
}

/* ---- runs ---- */

/* A single frame of that tag needs no tags where all that is allocated is the same. */
static bool may_go_without(const struct frame_oracle *oracle, uint64_t frame, enum ps_frame_tag tag)
{
    uint64_t chunk = oracle->geometry.chunk;

    for (uint64_t i = 0; i < chunk; i++) {
        const struct oracle_frame *f = oracle_at(oracle, frame / chunk * chunk + i);
        bool same = f != NULL && f->state == ORACLE_UNIT && f->tag == tag && f->back == 0 &&
                    f->pages == 1 && f->loan == ORACLE_NO_LOAN;

        if (!same && (f == NULL || f->state != ORACLE_FREE))
            return false;
    }
    return true;
}

/* The end of a run that lies in this tract covers a chunk in part: are there tags for it? */
static enum room room_in(const struct frame_oracle *oracle, uint64_t number, uint64_t first,
                         uint64_t pages)
{
    const struct oracle_tract *tract = &oracle->tracts[number];
    uint64_t size = oracle->geometry.tract;
    uint64_t from = ps_max(number * size, ps_max(first, oracle->geometry.low));
    uint64_t end = ps_min(number * size + size, first + pages);
    uint64_t taken = end > from ? end - from : 0;
    uint64_t low = first < oracle->geometry.low ? oracle->geometry.low - first : 0;

    if (tract->tags != 0 || tract->free > taken)
        return ROOM;
    /* Not said: whether tags may lie in a low frame. */
    if (tract->other != 0 || (number == 0 && tract->free_low > low))
        return UNCLEAR;
    return NO_ROOM;
}

static enum room room_for(const struct frame_oracle *oracle, uint64_t first, uint64_t pages,
                          enum ps_frame_tag tag)
{
    uint64_t chunk = oracle->geometry.chunk;
    uint64_t last = first + (pages - 1);
    bool head = first % chunk != 0 || (last / chunk == first / chunk && last % chunk != chunk - 1);
    bool tail = last % chunk != chunk - 1;
    enum room room = ROOM;

    if (head)
        room = room_in(oracle, first / oracle->geometry.tract, first, pages);
    if (tail) {
        enum room other = room_in(oracle, last / oracle->geometry.tract, first, pages);

        room = other < room ? other : room;
    }
    if (room == NO_ROOM && pages == 1 && may_go_without(oracle, first, tag))
        return UNCLEAR;
    return room;
}

/* The best place that there is; NO_ROOM also when there is none. */
static enum room best_place(const struct frame_oracle *oracle, const struct ps_frame_run *run)
{
    uint64_t lowest = oracle_lowest(oracle, run->limit.number);
    uint64_t alignment = ps_max(run->alignment, 1);
    uint64_t pages = run->pages.count;
    enum room best = NO_ROOM;
    uint64_t next = 0;
    uint64_t free = 0;

    for (uint64_t i = 0; i < oracle->count && best != ROOM; i++) {
        uint64_t frame = oracle_number(oracle, i);

        if (frame != next || frame < lowest || frame > run->limit.number)
            free = 0;
        next = frame + 1;
        if (oracle->frames[i].state != ORACLE_FREE || frame < lowest || frame > run->limit.number)
            free = 0;
        else if (++free >= pages && (frame + 1 - pages) % alignment == 0) {
            enum room room = room_for(oracle, frame + 1 - pages, pages, run->tag);

            best = room > best ? room : best;
        }
    }
    return best;
}

static uint64_t free_between(const struct frame_oracle *oracle, uint64_t lowest, uint64_t last)
{
    uint64_t free = 0;

    for (uint64_t i = 0; i < oracle->count; i++) {
        uint64_t frame = oracle_number(oracle, i);

        free += oracle->frames[i].state == ORACLE_FREE && frame >= lowest && frame <= last;
    }
    return free;
}

/* A run is below the low limit, or has no low frames; it lies in any of so many tracts. */
static unsigned run_with_promises(const struct frame_oracle *oracle, unsigned may,
                                  uint64_t available, const struct ps_frame_run *run)
{
    uint64_t pages = run->pages.count;

    if (run->limit.number < oracle->geometry.low)
        return may;
    return oracle_with_promises(oracle, may, available,
                                pages - ps_min(pages, pages / oracle->geometry.tract + 2), pages);
}

unsigned oracle_may_run(const struct frame_oracle *oracle, uint64_t available,
                        const struct ps_frame_run *run)
{
    uint64_t limit = run->limit.number;
    unsigned may = ORACLE_MAY(PS_NO_MEMORY);

    if (free_between(oracle, oracle_lowest(oracle, limit), limit) >= run->pages.count) {
        enum room room = best_place(oracle, run);

        may = ORACLE_MAY(PS_OK);
        if (room == NO_ROOM)
            may = ORACLE_MAY(PS_NO_SPACE);
        else if (room == UNCLEAR)
            may |= ORACLE_MAY(PS_NO_SPACE);
        /* A run of one frame is a single frame too, of which none may be available. */
        if (room != ROOM && run->pages.count == 1)
            may |= ORACLE_MAY(PS_NO_MEMORY);
    }
    may = run_with_promises(oracle, may, available, run);
    return with_waiting(oracle, may, run->pages.count, run->flags);
}

unsigned oracle_may_claim(const struct frame_oracle *oracle, uint64_t available, uint64_t first,
                          uint64_t pages, enum ps_frame_tag tag)
{
    unsigned may = 0;
    enum room room;
    uint64_t least;
    uint64_t most;

    for (uint64_t i = 0; i < pages; i++) {
        const struct oracle_frame *f =
            first <= UINT64_MAX - i ? oracle_at(oracle, first + i) : NULL;

        if (f == NULL || f->state == ORACLE_ABSENT)
            may |= ORACLE_MAY(PS_NOT_FOUND);
        else if (f->state != ORACLE_FREE)
            may |= ORACLE_MAY(PS_ALREADY_EXISTS);
        if (f == NULL)
            break;
    }
    if (may != 0)
        return may;
    room = room_for(oracle, first, pages, tag);
    may = room == ROOM      ? ORACLE_MAY(PS_OK)
          : room == UNCLEAR ? ORACLE_MAY(PS_OK) | ORACLE_MAY(PS_NO_MEMORY)
                            : ORACLE_MAY(PS_NO_MEMORY);
    oracle_cost(oracle, first, pages, &least, &most);
    return oracle_with_promises(oracle, may, available, least, most);
}

/* ---- adding ---- */

/* RAM of any type lies in the region of this frame. */
static bool region_is_known(const struct frame_oracle *oracle, uint64_t frame)
{
    uint64_t size = oracle->geometry.region;
    uint64_t first = frame / size * size;

    for (size_t i = 0; i < oracle->range_count; i++)
        if (oracle->ranges[i].first <= first + (size - 1) &&
            oracle->ranges[i].first + (oracle->ranges[i].pages - 1) >= first)
            return true;
    return false;
}

unsigned oracle_may_add(const struct frame_oracle *oracle, uint64_t first, uint64_t pages)
{
    const struct oracle_range *top = &oracle->ranges[oracle->range_count - 1];
    uint64_t last = top->first + (top->pages - 1);
    unsigned may = 0;

    if (first == 0 || first > last || pages - 1 > last - first)
        may |= ORACLE_MAY(PS_OUT_OF_RANGE);
    for (uint64_t i = 0; i < pages && first <= last && i <= last - first; i++) {
        const struct oracle_frame *f = oracle_at(oracle, first + i);

        if (f != NULL && f->state != ORACLE_ABSENT)
            may |= ORACLE_MAY(PS_ALREADY_EXISTS);
        if (f == NULL && !region_is_known(oracle, first + i))
            may |= ORACLE_MAY(PS_OUT_OF_RANGE);
    }
    return may != 0 ? may : ORACLE_MAY(PS_OK);
}
