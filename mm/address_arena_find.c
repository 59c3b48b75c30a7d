#include "address_arena_private.h"

static struct ps_arena_extent extent_of(const struct ps_arena_cell *cell)
{
    return (struct ps_arena_extent){
        .first = cell->first,
        .pages = cell->pages,
        .value = cell->value,
        .guard_before = cell->before,
        .guard_after = cell->after,
        .kind = cell->state & RETIRED ? PS_ARENA_RETIRED : PS_ARENA_LIVE,
    };
}

static bool is_empty(const struct ps_arena *arena)
{
    return arena == NULL || arena->machine == NULL || arena->root == 0;
}

/* The allocation that contains the page. The arena is not empty. */
static bool containing(const struct ps_arena *arena, uint64_t page, struct ps_arena_at *at)
{
    *at = ps_arena_floor(arena, page);
    return page >= at->cell->first && page - at->cell->first < at->cell->pages;
}

ps_status ps_arena_find(const struct ps_arena *arena, uint64_t page, struct ps_arena_extent *extent)
{
    struct ps_arena_at at;

    if (arena == NULL)
        return PS_INVALID_ARGS;
    if (arena->machine == NULL)
        return PS_BAD_STATE;
    if (!ps_arena_contains(arena, page))
        return PS_OUT_OF_RANGE;
    if (arena->root == 0 || !containing(arena, page, &at))
        return PS_NOT_FOUND;
    if (extent != NULL)
        *extent = extent_of(at.cell);
    return PS_OK;
}

bool ps_arena_kind_of(const struct ps_arena *arena, uint64_t page, enum ps_arena_kind *kind)
{
    struct ps_arena_gap gap;
    struct ps_arena_at at;

    if (arena == NULL || kind == NULL || arena->machine == NULL || !ps_arena_contains(arena, page))
        return false;
    gap = (struct ps_arena_gap){.first = arena->first,
                                .end = arena->first + arena->pages,
                                .left = arena->guard,
                                .right = arena->guard};
    if (arena->root != 0 && containing(arena, page, &at)) {
        *kind = at.cell->state & RETIRED ? PS_ARENA_RETIRED : PS_ARENA_LIVE;
        return true;
    }
    if (arena->root != 0)
        gap = ps_arena_gap_at(arena, &at);
    *kind =
        page - gap.first < gap.left || gap.end - page <= gap.right ? PS_ARENA_GUARD : PS_ARENA_FREE;
    return true;
}

static bool next_at(const struct ps_arena *arena, uint64_t page, struct ps_arena_at *at)
{
    if (is_empty(arena))
        return false;
    *at = ps_arena_floor(arena, page);
    if (page < ps_arena_cell_end(at->cell) && (at->cell->state & MARK) == 0)
        return true;
    return ps_arena_after(arena, at, at);
}

bool ps_arena_next(const struct ps_arena *arena, uint64_t page, struct ps_arena_extent *extent)
{
    struct ps_arena_at at;

    if (extent == NULL || !next_at(arena, page, &at))
        return false;
    *extent = extent_of(at.cell);
    return true;
}

bool ps_arena_previous(const struct ps_arena *arena, uint64_t page, struct ps_arena_extent *extent)
{
    struct ps_arena_at at;

    if (extent == NULL || is_empty(arena) || page < arena->first)
        return false;
    at = ps_arena_floor(arena, page);
    if (at.cell->state & MARK)
        return false;
    *extent = extent_of(at.cell);
    return true;
}

bool ps_arena_set_value(struct ps_arena *arena, uint64_t page, uint64_t value)
{
    struct ps_arena_at at;

    if (is_empty(arena) || !containing(arena, page, &at))
        return false;
    at.cell->value = value;
    return true;
}

uint64_t ps_arena_for_each(const struct ps_arena *arena, uint64_t low, uint64_t high,
                           bool (*visit)(void *context, const struct ps_arena_extent *extent),
                           void *context)
{
    struct ps_arena_at at;
    uint64_t visited = 0;
    bool more = visit != NULL && next_at(arena, low, &at);

    while (more && at.cell->first <= high) {
        struct ps_arena_extent extent = extent_of(at.cell);

        visited++;
        more = visit(context, &extent) && ps_arena_after(arena, &at, &at);
    }
    return visited;
}

void ps_arena_snapshot(const struct ps_arena *arena, struct ps_arena_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    *snapshot = (struct ps_arena_snapshot){0};
    if (arena == NULL || arena->machine == NULL)
        return;
    *snapshot = (struct ps_arena_snapshot){
        .counters = arena->counters,
        .free_pages = arena->pages - arena->counters.live_pages - arena->counters.retired_pages,
        .free_extents = arena->root != 0 ? arena->gaps : 1,
        .largest = arena->root != 0 ? ps_arena_gap_largest(arena) : arena->pages - 2 * arena->guard,
        .frames = arena->frames,
        .promised = ps_arena_promised(arena),
        .height = arena->height,
    };
    if (snapshot->free_pages != 0)
        snapshot->fragmentation =
            (snapshot->free_pages - snapshot->largest) * 1000 / snapshot->free_pages;
}

static bool print_extent(void *context, const struct ps_arena_extent *extent)
{
    ps_print(context, "  %#" PS_PRIx " +%" PS_PRIu " value %#" PS_PRIx "%s\n", extent->first,
             extent->pages, extent->value, extent->kind == PS_ARENA_RETIRED ? " retired" : "");
    return true;
}

void ps_arena_dump(const struct ps_arena *arena, const struct ps_sink *sink)
{
    struct ps_arena_snapshot now;
    struct ps_sink copy;

    if (arena == NULL || sink == NULL)
        return;
    ps_arena_snapshot(arena, &now);
    ps_print(sink,
             "address arena %#" PS_PRIx " +%" PS_PRIu ": live %" PS_PRIu " (%" PS_PRIu
             " pages), retired %" PS_PRIu " (%" PS_PRIu "), failed %" PS_PRIu "\n",
             arena->first, arena->pages, now.counters.live, now.counters.live_pages,
             now.counters.retired, now.counters.retired_pages, now.counters.failed);
    ps_print(sink,
             "free %" PS_PRIu " pages, %" PS_PRIu " extents, largest %" PS_PRIu ", frames %" PS_PRIu
             " (%" PS_PRIu " promised)\n",
             now.free_pages, now.free_extents, now.largest, now.frames, now.promised);
    copy = *sink;
    (void)ps_arena_for_each(arena, 0, UINT64_MAX, print_extent, &copy);
}
