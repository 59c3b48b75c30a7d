#include "address_arena_private.h"

/* The allocation that begins there, live or retired. */
static ps_status locate(const struct ps_arena *arena, uint64_t first, struct ps_arena_path *path,
                        struct ps_arena_at *at)
{
    if (arena == NULL)
        return PS_INVALID_ARGS;
    if (arena->machine == NULL)
        return PS_BAD_STATE;
    if (!ps_arena_contains(arena, first))
        return PS_OUT_OF_RANGE;
    return ps_arena_locate(arena, first, path, at) ? PS_OK : PS_NOT_FOUND;
}

ps_status ps_arena_locate_live(const struct ps_arena *arena, uint64_t first,
                               struct ps_arena_path *path, struct ps_arena_at *at)
{
    ps_status status = locate(arena, first, path, at);

    return status == PS_OK && !ps_arena_is_live(at->cell) ? PS_NOT_FOUND : status;
}

/* ---- all of one ---- */

/* The gap before it grows by its pages and by the gap behind it. */
static void drop(struct ps_arena *arena, struct ps_arena_path *path, const struct ps_arena_at *at)
{
    struct ps_arena_at before = ps_arena_before(arena, at);
    const struct ps_arena_cell *cell = at->cell;
    struct ps_arena_gap upper = ps_arena_gap_of(arena, at);
    struct ps_arena_gap lower = {ps_arena_cell_end(before.cell), cell->first, before.cell->after,
                                 cell->before};
    struct ps_arena_gap all = {lower.first, upper.end, lower.left, upper.right};
    bool is_head = cell->previous == NONE;

    ps_arena_gap_out(arena, &before, ps_arena_fit(&lower));
    ps_arena_gap_out(arena, at, ps_arena_fit(&upper));
    before.cell->state |= cell->state & SHORT;
    ps_arena_leaf_remove(at);
    ps_arena_gap_in(arena, &before, ps_arena_fit(&all));
    if (is_head)
        ps_arena_retell(arena, path);
    if (at->leaf->count < CELLS_LEAST)
        ps_arena_settle(arena, path);
    if (arena->owed != 0)
        ps_arena_repay(arena);
}

void ps_arena_drop_live(struct ps_arena *arena, struct ps_arena_path *path,
                        const struct ps_arena_at *at)
{
    arena->counters.live--;
    arena->counters.live_pages -= at->cell->pages;
    drop(arena, path, at);
}

ps_status ps_arena_free(struct ps_arena *arena, uint64_t first, uint64_t pages)
{
    struct ps_arena_path path;
    struct ps_arena_at at;
    ps_status status = ps_arena_locate_live(arena, first, &path, &at);

    if (status != PS_OK)
        return status;
    if (pages != 0 && pages != at.cell->pages)
        return PS_WRONG_SIZE;
    ps_arena_drop_live(arena, &path, &at);
    return PS_OK;
}

ps_status ps_arena_release(struct ps_arena *arena, uint64_t first)
{
    struct ps_arena_path path;
    struct ps_arena_at at;
    ps_status status = locate(arena, first, &path, &at);

    if (status != PS_OK)
        return status;
    if ((at.cell->state & RETIRED) == 0)
        return PS_NOT_FOUND;
    arena->counters.retired--;
    arena->counters.retired_pages -= at.cell->pages;
    drop(arena, &path, &at);
    return PS_OK;
}
