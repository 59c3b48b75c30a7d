#include "address_arena_private.h"

/* ---- parts ---- */

/* Two of one, the upper of which begins at `page`. There is room for it. */
static struct ps_arena_at cut(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t page)
{
    struct ps_arena_cell part = *at->cell;
    struct ps_arena_at upper = *at;

    ps_arena_gap_leave(arena, at);
    part.pages = ps_arena_cell_end(&part) - page;
    part.first = page;
    part.state &= SHORT;
    at->cell->pages -= part.pages;
    at->cell->state |= SHORT;
    upper.cell = &at->leaf->cells[ps_arena_leaf_add(at->leaf, ps_arena_slot_of(at), &part)];
    ps_arena_gap_enter(arena, at);
    ps_arena_gap_enter(arena, &upper);
    arena->counters.live++;
    return upper;
}

/* Its end moves, or its beginning. */
static void move_end(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t pages)
{
    ps_arena_gap_leave(arena, at);
    arena->counters.live_pages = arena->counters.live_pages - at->cell->pages + pages;
    at->cell->pages = pages;
    ps_arena_gap_enter(arena, at);
}

static void move_first(struct ps_arena *arena, const struct ps_arena_path *path,
                       const struct ps_arena_at *at, uint64_t first)
{
    struct ps_arena_at before = ps_arena_before(arena, at);
    uint64_t pages = first - at->cell->first;

    ps_arena_gap_leave(arena, &before);
    ps_arena_leaf_rename(at, first);
    at->cell->pages -= pages;
    arena->counters.live_pages -= pages;
    ps_arena_gap_enter(arena, &before);
    if (at->cell->previous == NONE)
        ps_arena_retell(arena, path);
}

/* A part of a live allocation, and which of its ends are the allocation's. */
struct part {
    struct ps_arena_path path;
    struct ps_arena_at at;
    bool at_start;
    bool at_end;
};

static ps_status find_part(const struct ps_arena *arena, uint64_t first, uint64_t pages,
                           struct part *part)
{
    const struct ps_arena_cell *cell;

    if (arena == NULL || pages == 0)
        return PS_INVALID_ARGS;
    if (arena->machine == NULL)
        return PS_BAD_STATE;
    if (!ps_arena_contains(arena, first))
        return PS_OUT_OF_RANGE;
    if (arena->root == 0)
        return PS_NOT_FOUND;
    part->at = ps_arena_way(arena, first, &part->path);
    cell = part->at.cell;
    if (!ps_arena_is_live(cell) || first >= ps_arena_cell_end(cell))
        return PS_NOT_FOUND;
    if (pages > ps_arena_cell_end(cell) - first)
        return PS_WRONG_SIZE;
    part->at_start = first == cell->first;
    part->at_end = pages == ps_arena_cell_end(cell) - first;
    return PS_OK;
}

/* Room for `cells` more beside it, which may move. */
static ps_status make_room(struct ps_arena *arena, struct part *part, uint64_t first,
                           unsigned cells)
{
    ps_status status;

    if (part->at.leaf->count + cells <= CELLS && arena->owed == 0)
        return PS_OK;
    status = ps_arena_make_room(arena, first, cells, true);
    if (status == PS_OK)
        part->at = ps_arena_way(arena, first, &part->path);
    return status;
}

ps_status ps_arena_free_part(struct ps_arena *arena, uint64_t first, uint64_t pages)
{
    struct part part;
    ps_status status = find_part(arena, first, pages, &part);

    if (status != PS_OK)
        return status;
    if (part.at_start && part.at_end) {
        ps_arena_drop_live(arena, &part.path, &part.at);
        return PS_OK;
    }
    if (part.at_start) {
        move_first(arena, &part.path, &part.at, first + pages);
        return PS_OK;
    }
    if (!part.at_end) {
        status = make_room(arena, &part, first, 1);
        if (status != PS_OK)
            return status;
        (void)cut(arena, &part.at, first + pages);
    }
    move_end(arena, &part.at, first - part.at.cell->first);
    return PS_OK;
}

ps_status ps_arena_retire(struct ps_arena *arena, uint64_t first, uint64_t pages)
{
    struct part part;
    ps_status status = find_part(arena, first, pages, &part);

    if (status != PS_OK)
        return status;
    if (!part.at_start || !part.at_end)
        status = make_room(arena, &part, first, !part.at_start + !part.at_end);
    if (status != PS_OK)
        return status;
    if (!part.at_end)
        (void)cut(arena, &part.at, first + pages);
    if (!part.at_start)
        part.at = cut(arena, &part.at, first);
    part.at.cell->state |= RETIRED;
    arena->counters.live--;
    arena->counters.live_pages -= pages;
    arena->counters.retired++;
    arena->counters.retired_pages += pages;
    return PS_OK;
}

ps_status ps_arena_resize(struct ps_arena *arena, uint64_t first, uint64_t pages)
{
    struct ps_arena_path path;
    struct ps_arena_at at;
    struct ps_arena_gap gap;
    ps_status status = ps_arena_locate_live(arena, first, &path, &at);

    if (status != PS_OK)
        return status;
    if (pages == 0)
        return PS_INVALID_ARGS;
    gap = ps_arena_gap_at(arena, &at);
    if (pages > at.cell->pages) {
        uint64_t guard = ps_max(gap.left, gap.right);

        if (gap.end - gap.first < guard || gap.end - gap.first - guard < pages - at.cell->pages)
            return PS_NO_SPACE;
    }
    move_end(arena, &at, pages);
    arena->counters.peak_pages = ps_max(arena->counters.peak_pages,
                                        arena->counters.live_pages + arena->counters.retired_pages);
    return PS_OK;
}
