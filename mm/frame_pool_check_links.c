#include "frame_pool_check_private.h"

/*
 * What the walk over the regions has found to be sound is used here: whoever refers to a frame
 * is believed only when that frame's unit is what it has to be.
 */

static bool is_unit(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                    struct ps_unit *unit)
{
    return ps_pool_unit_of(pool, first, unit) && unit->first == first && unit->pages == pages;
}

static bool check_own(struct ps_pool_check *check, uint64_t first, uint64_t pages, const char *what)
{
    struct ps_unit unit;

    if (!is_unit(check->pool, first, pages, &unit) || unit.tag != PS_FRAME_METADATA)
        return ps_check_breach(check, first, what);
    check->own += pages;
    return true;
}

static const uint64_t *words_of(const struct ps_pool_check *check, uint64_t frame)
{
    return ps_hw_frame(check->pool->machine, ps_frame(frame));
}

/* ---- holders: see frame_pool_share.c ---- */

enum { SHARED_UNITS = 8 }; /* in the directory: the word for the first chunk */

static bool check_count(struct ps_pool_check *check, uint64_t frame, uint64_t holders)
{
    struct ps_unit unit;

    if (holders == 0)
        return true;
    if (!ps_pool_unit_of(check->pool, frame, &unit) || unit.first != frame)
        return ps_check_breach(check, frame, "has holders, and begins no unit");
    if (holders == 1)
        return ps_check_breach(check, frame, "begins a shared unit with one holder");
    return true;
}

/* The numbers for the units that begin in one chunk. */
static bool check_counts(struct ps_pool_check *check, uint64_t first, uint64_t frame,
                         uint64_t units)
{
    const uint64_t *counts;
    uint64_t shared = 0;

    if (frame == 0)
        return ps_check_same(check, first, 0, units, "shared units of 2 MiB");
    if (!check_own(check, frame, 1, "holds numbers of holders, and is not allocated for that"))
        return false;
    counts = words_of(check, frame);
    for (uint64_t i = 0; i < PS_CHUNK_FRAMES; i++) {
        if (!check_count(check, first + i, counts[i]))
            return false;
        shared += counts[i] != 0;
    }
    check->shared_units += shared;
    if (shared == 0)
        return ps_check_breach(check, first, "begins 2 MiB with holders, and without shared units");
    return ps_check_same(check, first, shared, units, "shared units of 2 MiB");
}

static bool check_directory(struct ps_pool_check *check, uint64_t first, uint64_t frame)
{
    const uint64_t *directory;
    uint64_t frames = 0;

    if (frame == 0)
        return true;
    if (!check_own(check, frame, 1, "is a directory of holders, and is not allocated for that"))
        return false;
    directory = words_of(check, frame);
    for (unsigned chunk = 0; chunk < PS_TRACT_CHUNKS; chunk++) {
        if (!check_counts(check, first + chunk * PS_CHUNK_FRAMES, directory[chunk],
                          directory[SHARED_UNITS + chunk]))
            return false;
        frames += directory[chunk] != 0;
    }
    return frames != 0 ||
           ps_check_breach(check, first, "begins 16 MiB with holders, and without shared units");
}

static bool check_shares(struct ps_pool_check *check)
{
    const struct ps_frame_pool *pool = check->pool;

    for (uint64_t region = ps_set_next(pool, PS_FRAME_OPEN, 0); region != PS_NONE;
         region = ps_set_next(pool, PS_FRAME_OPEN, region + 1)) {
        uint64_t first = ps_pool_region_first(pool, region);

        for (unsigned tract = 0; tract < PS_REGION_TRACTS; tract++)
            if (!check_directory(check, first + tract * PS_TRACT_FRAMES,
                                 ps_pool_tract(pool, region, tract)->shares))
                return false;
    }
    return true;
}

/* ---- quarantine: see frame_pool_quarantine.c ---- */

#define EXTENTS_A_FRAME (PS_PAGE_SIZE / sizeof(struct ps_frame_extent))

static struct ps_frame_extent detained(const struct ps_frame_pool *pool, uint64_t place)
{
    const struct ps_frame_extent *extents =
        ps_hw_frame(pool->machine, ps_frame(pool->quarantine_at + place / EXTENTS_A_FRAME));

    return extents[place % EXTENTS_A_FRAME];
}

/* Bytes and cells say what it was; it counts as something else. */
static bool check_detained(struct ps_pool_check *check, const struct ps_frame_extent *extent)
{
    struct ps_unit unit;

    if (!is_unit(check->pool, extent->first, extent->pages, &unit) ||
        unit.tag <= PS_FRAME_DAMAGED || unit.loan != 0)
        return ps_check_breach(check, extent->first, "is in quarantine, and no unit that can be");
    if (ps_pool_holders(check->pool, &unit) != 1)
        return ps_check_breach(check, extent->first, "is in quarantine, and shared");
    if (check->tagged[unit.tag] < unit.pages)
        return ps_check_breach(check, extent->first, "is in quarantine twice");
    check->tagged[unit.tag] -= unit.pages;
    check->tagged[PS_FRAME_QUARANTINED] += unit.pages;
    return true;
}

static bool check_quarantine(struct ps_pool_check *check)
{
    const struct ps_frame_pool *pool = check->pool;
    uint64_t size = pool->quarantine_size;
    uint64_t used = pool->quarantine_used;
    uint64_t place = pool->quarantine_next;

    if (!ps_check_same(check, PS_NONE, ps_min(used, size), used, "units in quarantine") ||
        !ps_check_same(check, PS_NONE, size == 0 ? 0 : place % size, place,
                       "first place of the quarantine"))
        return false;
    if (size != 0 && !check_own(check, pool->quarantine_at,
                                size / EXTENTS_A_FRAME + (size % EXTENTS_A_FRAME != 0),
                                "is the list of the quarantine, and is not allocated for that"))
        return false;
    for (uint64_t i = 0; i < used; i++) {
        struct ps_frame_extent extent = detained(pool, place);

        if (!check_detained(check, &extent))
            return false;
        place = place + 1 == size ? 0 : place + 1;
    }
    return true;
}

/* ---- loans: see frame_pool_loan.c ---- */

/* As many steps as there are frames that can be borrowed: a list that is a ring ends too. */
static bool check_loans(struct ps_pool_check *check)
{
    const struct ps_frame_pool *pool = check->pool;
    uint64_t frame = pool->loan_head;
    uint64_t before = 0;

    for (uint64_t i = 0; i < check->borrowable; i++) {
        const uint64_t *words;

        if (frame == 0)
            return ps_check_same(check, PS_NONE, check->borrowable, i, "frames to be borrowed");
        if (ps_pool_slot(pool, frame).value != (PS_SINGLE | PS_LOAN_OPEN | PS_FRAME_LOANED))
            return ps_check_breach(check, frame, "is listed, and not to be borrowed");
        words = words_of(check, frame);
        if (words[1] != before)
            return ps_check_breach(check, frame, "is to be borrowed, and badly linked");
        before = frame;
        frame = words[0];
    }
    return frame == 0 || ps_check_breach(check, frame, "is listed, and not to be borrowed");
}

/* ---- processors: see frame_pool_quick.c ---- */

/* The chunk at hand is used without another look at where it is, while the view is right. */
static bool check_hand(struct ps_pool_check *check, const struct ps_frame_processor *own)
{
    const struct ps_frame_pool *pool = check->pool;
    const struct ps_frame_hand *hand = &own->hand;
    uint64_t region = ps_pool_region(pool, hand->first);
    struct ps_place place;

    if (own->view != pool->machine->direct_map)
        return true;
    if (hand->first < PS_FRAMES_LOW || hand->first >= pool->span || region == PS_NONE ||
        !ps_set_has(pool, PS_FRAME_OPEN, region))
        return ps_check_breach(check, hand->first, "is at hand, and not to be handed out quickly");
    place = ps_place_in(region, hand->first);
    if (place.bit != 0 || place.chunk != hand->chunk || hand->word >= PS_CHUNK_WORDS ||
        hand->tract != ps_pool_tract(pool, region, place.tract) ||
        hand->bits != ps_pool_bits(pool, &place))
        return ps_check_breach(check, hand->first, "is at hand, and not where the books are");
    return true;
}

static bool check_processors(struct ps_pool_check *check)
{
    for (uint32_t i = 0; i < check->pool->processors; i++)
        if (!check_hand(check, ps_pool_processor(check->pool, i)))
            return false;
    return true;
}

bool ps_check_links(struct ps_pool_check *check)
{
    return check_shares(check) && check_quarantine(check) && check_loans(check) &&
           check_processors(check);
}
