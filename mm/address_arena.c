#include "address_arena_private.h"

/* Gaps that are large enough and do not fit: so many are looked at first. */
enum { CANDIDATES = 8 };

/* ---- init and destroy ---- */

/* One page with the guards at both ends, at least. */
static bool shape_is_valid(uint64_t first, uint64_t pages, uint64_t guard)
{
    return pages != 0 && first < PS_ARENA_END && pages <= PS_ARENA_END - first &&
           guard <= PS_ARENA_GUARD_MAX && pages > 2 * guard;
}

ps_status ps_arena_init(struct ps_arena *arena, const struct ps_machine *machine,
                        struct ps_frame_pool *pool, enum ps_frame_tag tag, uint64_t first,
                        uint64_t pages, uint64_t guard)
{
    if (arena == NULL || machine == NULL || pool == NULL)
        return PS_INVALID_ARGS;
    if (arena->machine != NULL || pool->machine == NULL)
        return PS_BAD_STATE;
    if (machine != pool->machine || tag < PS_FRAME_TABLE || tag >= PS_FRAME_TAG_COUNT ||
        !shape_is_valid(first, pages, guard))
        return PS_INVALID_ARGS;
    *arena = (struct ps_arena){
        .machine = machine,
        .pool = pool,
        .tag = tag,
        .first = first,
        .pages = pages,
        .guard = guard,
    };
    return PS_OK;
}

ps_status ps_arena_destroy(struct ps_arena *arena)
{
    if (arena == NULL)
        return PS_INVALID_ARGS;
    if (arena->machine == NULL || arena->root != 0)
        return PS_BAD_STATE;
    *arena = (struct ps_arena){0};
    return PS_OK;
}

/* ---- what is asked for ---- */

struct want {
    uint64_t pages;
    uint64_t align;
    uint64_t low;
    uint64_t end; /* one past the last page */
    uint64_t value;
    uint64_t before;
    uint64_t after;
    bool limited;
    bool force;
};

static bool read_guard(const struct ps_arena *arena, uint32_t asked, uint64_t *guard)
{
    *guard = asked == PS_ARENA_NO_GUARD ? 0 : ps_max(asked, arena->guard);
    return *guard <= PS_ARENA_GUARD_MAX;
}

static uint64_t beyond(uint64_t guard, uint64_t least)
{
    return guard > least ? guard - least : 0;
}

/*
 * A gap of this size fits wherever it is; 0: there is no such size. The guards of neighbours count
 * for the request's, down to the least that there may be.
 */
static uint64_t sure_size(const struct ps_arena *arena, const struct want *want)
{
    uint64_t least = arena->thin ? 0 : arena->guard;

    if (want->align > PS_ARENA_END)
        return 0;
    return want->pages + (want->align - 1) + beyond(want->before, least) +
           beyond(want->after, least);
}

static bool read_request(const struct ps_arena *arena, const struct ps_arena_request *request,
                         struct want *want)
{
    want->pages = request->pages;
    want->align = ps_max(request->align, 1);
    want->low = request->low;
    want->limited = (request->low | request->high) != 0;
    want->end = PS_ARENA_END;
    if (request->high != 0 && request->high < PS_ARENA_END)
        want->end = request->high + 1;
    want->value = request->value;
    want->force = false;
    return want->pages != 0 && ps_is_power_of_two(want->align) && want->low < want->end &&
           read_guard(arena, request->guard_before, &want->before) &&
           read_guard(arena, request->guard_after, &want->after);
}

/* ---- a gap for it ---- */

/* A place in the gap behind a cell. */
struct place {
    struct ps_arena_at at;
    struct ps_arena_gap gap;
    uint64_t first;
};

static bool fits(const struct ps_arena *arena, const struct want *want, struct place *place)
{
    const struct ps_arena_gap gap = ps_arena_gap_of(arena, &place->at);
    uint64_t low = ps_max(gap.first + ps_max(gap.left, want->before), want->low);
    uint64_t right = ps_max(gap.right, want->after);
    uint64_t end;

    if (gap.end <= right)
        return false;
    end = ps_min(gap.end - right, want->end);
    /* defensive: no page is so high that there is no aligned number above it. */
    if (!ps_align_up(low, want->align, &low))
        return false;
    if (low >= end || end - low < want->pages)
        return false;
    place->gap = gap;
    place->first = low;
    return true;
}

/* By address: the lowest place within the limits. */
static bool search_limits(const struct ps_arena *arena, const struct want *want,
                          struct place *place)
{
    struct ps_arena_at *at = &place->at;

    *at = ps_arena_floor(arena, ps_max(want->low, arena->first));
    do {
        if (fits(arena, want, place))
            return true;
    } while (ps_arena_cell_end(at->cell) < want->end && ps_arena_after(arena, at, at));
    return false;
}

/* By size, from a gap on, at most `tries` of them. What comes next is left in *reference. */
static bool search_from(const struct ps_arena *arena, const struct want *want, uint64_t *reference,
                        uint64_t tries, struct place *place)
{
    for (; *reference != 0 && tries > 0; tries--) {
        place->at = ps_arena_at(arena, *reference);
        if (fits(arena, want, place))
            return true;
        *reference = ps_arena_gap_next(arena, *reference);
    }
    return false;
}

static bool search(const struct ps_arena *arena, const struct want *want, struct place *place)
{
    uint64_t reference;
    uint64_t sure;

    if (want->pages > arena->pages)
        return false;
    if (want->limited)
        return search_limits(arena, want, place);
    reference = ps_arena_gap_best(arena, want->pages);
    if (search_from(arena, want, &reference, CANDIDATES, place))
        return true;
    if (reference == 0)
        return false;
    sure = sure_size(arena, want);
    if (sure != 0)
        sure = ps_arena_gap_best(arena, sure);
    return search_from(arena, want, &sure, 1, place) ||
           search_from(arena, want, &reference, UINT64_MAX, place);
}

/* ---- taking a place ---- */

static void count_taken(struct ps_arena *arena, uint64_t pages)
{
    struct ps_arena_counters *counters = &arena->counters;

    counters->live++;
    counters->allocs++;
    counters->live_pages += pages;
    counters->peak_pages =
        ps_max(counters->peak_pages, counters->live_pages + counters->retired_pages);
}

/* There is room in the leaf. */
static void put(struct ps_arena *arena, const struct place *place, const struct want *want)
{
    const struct ps_arena_at *at = &place->at;
    const struct ps_arena_gap *gap = &place->gap;
    struct ps_arena_gap lower = {gap->first, place->first, gap->left, want->before};
    struct ps_arena_gap upper = {place->first + want->pages, gap->end, want->after, gap->right};
    struct ps_arena_cell cell = {
        .first = place->first,
        .pages = want->pages,
        .value = want->value,
        .before = (uint16_t)want->before,
        .after = (uint16_t)want->after,
        .state = want->force ? SHORT : 0,
    };
    struct ps_arena_at next = *at;

    ps_arena_gap_out(arena, at, ps_arena_fit(gap));
    if (want->force)
        at->cell->state |= SHORT;
    next.cell = &at->leaf->cells[ps_arena_leaf_add(at->leaf, ps_arena_slot_of(at), &cell)];
    ps_arena_gap_in(arena, at, ps_arena_fit(&lower));
    ps_arena_gap_in(arena, &next, ps_arena_fit(&upper));
    arena->thin |= want->before < arena->guard || want->after < arena->guard;
    count_taken(arena, want->pages);
}

/* The same with room made first, and nothing owed to those who cut. */
static ps_status take(struct ps_arena *arena, struct place *place, const struct want *want)
{
    if (place->at.leaf->count == CELLS || arena->owed != 0) {
        uint64_t page = place->at.cell->first;
        ps_status status = ps_arena_make_room(arena, page, 1, false);

        if (status != PS_OK)
            return status;
        place->at = ps_arena_floor(arena, page);
    }
    put(arena, place, want);
    return PS_OK;
}

/* An arena in which nothing is gets its first leaf, and loses it again when nothing came of it. */
static ps_status settle_failure(struct ps_arena *arena, ps_status status)
{
    if (arena->height == 1 && ps_arena_leaf(arena, arena->root)->count == 1)
        ps_arena_uproot(arena);
    if (status == PS_NO_SPACE || status == PS_NO_MEMORY)
        arena->counters.failed++;
    return status;
}

static ps_status start(struct ps_arena *arena)
{
    ps_status status = arena->root == 0 ? ps_arena_plant(arena) : PS_OK;

    if (status != PS_OK)
        arena->counters.failed++;
    return status;
}

ps_status ps_arena_alloc(struct ps_arena *arena, const struct ps_arena_request *request,
                         uint64_t *first)
{
    struct want want;
    struct place place;
    ps_status status;

    if (arena == NULL || request == NULL || first == NULL)
        return PS_INVALID_ARGS;
    if (arena->machine == NULL)
        return PS_BAD_STATE;
    if (!read_request(arena, request, &want))
        return PS_INVALID_ARGS;
    status = start(arena);
    if (status != PS_OK)
        return status;
    if (!search(arena, &want, &place))
        return settle_failure(arena, PS_NO_SPACE);
    status = take(arena, &place, &want);
    if (status != PS_OK)
        return settle_failure(arena, status);
    *first = place.first;
    return PS_OK;
}

/* ---- an exact place ---- */

/* What the request alone tells. */
static ps_status check_range(const struct ps_arena *arena, const struct want *want, uint64_t first)
{
    if (!ps_is_aligned(first, want->align))
        return PS_INVALID_ARGS;
    if (!ps_arena_contains(arena, first) || want->pages > arena->first + arena->pages - first)
        return PS_OUT_OF_RANGE;
    if (first < want->low || first >= want->end || want->end - first < want->pages)
        return PS_INVALID_ARGS;
    return PS_OK;
}

static ps_status check_place(const struct place *place, const struct want *want)
{
    const struct ps_arena_gap *gap = &place->gap;
    uint64_t first = place->first;

    if (first < gap->first || gap->end - first < want->pages)
        return PS_ALREADY_EXISTS;
    if (!want->force && (first - gap->first < ps_max(gap->left, want->before) ||
                         gap->end - first - want->pages < ps_max(gap->right, want->after)))
        return PS_NO_SPACE;
    return PS_OK;
}

ps_status ps_arena_alloc_at(struct ps_arena *arena, const struct ps_arena_request *request,
                            uint64_t first, bool force)
{
    struct want want;
    struct place place = {.first = first};
    ps_status status;

    if (arena == NULL || request == NULL)
        return PS_INVALID_ARGS;
    if (arena->machine == NULL)
        return PS_BAD_STATE;
    if (!read_request(arena, request, &want))
        return PS_INVALID_ARGS;
    status = check_range(arena, &want, first);
    if (status == PS_OK)
        status = start(arena);
    if (status != PS_OK)
        return status;
    place.at = ps_arena_floor(arena, first);
    place.gap = ps_arena_gap_of(arena, &place.at);
    want.force = force;
    status = check_place(&place, &want);
    if (status == PS_OK)
        status = take(arena, &place, &want);
    return status == PS_OK ? PS_OK : settle_failure(arena, status);
}
