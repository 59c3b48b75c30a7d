#include "address_arena_private.h"

/* Where the walk stands, and to whom the first breach is told. */
struct check {
    const struct ps_arena *arena;
    const struct ps_sink *sink;
    uint64_t frames;
    uint64_t inner;
    uint64_t gaps;
    uint64_t in_trees;
    uint64_t leaf; /* the one before, */
    uint64_t next; /* and what it thinks comes next */
    struct ps_arena_counters found;
    bool started;
};

static bool breach(const struct check *check, const char *what, uint64_t number)
{
    ps_print(check->sink, "address arena: %s at 0x%" PS_PRIx "\n", what, number);
    return false;
}

static bool is_ours(struct check *check, uint64_t reference)
{
    struct ps_frame_info info = {0};
    ps_status status =
        ps_frame_pool_query(check->arena->pool, ps_frame_of_phys(ps_phys(reference)), &info);

    (void)status; /* OK, as there is a pool */
    check->frames++;
    return (reference & PS_PAGE_MASK) == 0 && info.managed && info.tag == check->arena->tag;
}

/* ---- gaps ---- */

static bool is_listed(const struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    uint64_t self = ps_arena_reference(at);
    const uint64_t *link = at->cell->link;

    if (fit >= PS_ARENA_SMALL)
        return ps_arena_tree_has(arena, at, fit);
    if (link[0] != 0 && ps_arena_at(arena, link[0]).cell->link[1] != self)
        return false;
    if (link[1] != 0)
        return ps_arena_at(arena, link[1]).cell->link[0] == self;
    return arena->small[fit] == self;
}

/* The cell lies in the arena, and before the next one. */
static bool check_end(const struct check *check, const struct ps_arena_at *at)
{
    uint64_t end = check->arena->first + check->arena->pages;
    struct ps_arena_at next;

    if (ps_arena_after(check->arena, at, &next))
        end = ps_min(end, next.cell->first);
    if (at->cell->first > end || at->cell->pages > end - at->cell->first)
        return breach(check, "an overlap", at->cell->first);
    return true;
}

static bool check_gap(struct check *check, const struct ps_arena_at *at)
{
    struct ps_arena_gap gap = ps_arena_gap_at(check->arena, at);
    uint64_t fit = ps_arena_fit(&gap);

    if (gap.end - gap.first < ps_max(gap.left, gap.right) && (at->cell->state & SHORT) == 0)
        return breach(check, "a guard that is too small", gap.first);
    if (fit == 0)
        return true;
    check->gaps++;
    if (!is_listed(check->arena, at, fit))
        return breach(check, "a gap out of its list", gap.first);
    return true;
}

/* Gaps below a node of a tree; no more than one that there should not be. */
static void count_tree(struct check *check, uint64_t reference, unsigned depth)
{
    const uint64_t *link;

    if (reference == 0 || depth > DEPTH || check->in_trees > check->gaps)
        return;
    check->in_trees++;
    link = ps_arena_at(check->arena, reference).cell->link;
    count_tree(check, link[0], depth + 1);
    count_tree(check, link[1], depth + 1);
}

/* Gaps of a list that are of its size. */
static uint64_t count_list(const struct ps_arena *arena, uint64_t fit, uint64_t most)
{
    uint64_t reference = arena->small[fit];
    uint64_t count = 0;

    for (uint64_t i = 0; reference != 0 && i < most; i++) {
        struct ps_arena_at at = ps_arena_at(arena, reference);
        struct ps_arena_gap gap = ps_arena_gap_at(arena, &at);

        count += ps_arena_fit(&gap) == fit;
        reference = at.cell->link[0];
    }
    return count;
}

/* Each gap was found among its neighbours; is it in the right list, and nothing else? */
static bool check_lists(struct check *check)
{
    const struct ps_arena *arena = check->arena;
    uint64_t most = check->gaps + 1;
    uint64_t count = 0;

    for (unsigned i = 0; i < PS_ARENA_SMALL; i++) {
        if ((arena->small_map[i / 64] >> i % 64 & 1) != (arena->small[i] != 0))
            return breach(check, "a wrong bit for a list", i);
        count += count_list(arena, i, most);
    }
    for (unsigned i = 0; i < PS_ARENA_LARGE; i++) {
        if ((arena->large_map >> i & 1) != (arena->large[i] != 0))
            return breach(check, "a wrong bit for a tree", i);
        count_tree(check, arena->large[i], 0);
    }
    count += check->in_trees;
    if (count != check->gaps || count != arena->gaps)
        return breach(check, "gaps counted wrongly", count);
    return true;
}

/* ---- cells ---- */

static void count_cell(struct check *check, const struct ps_arena_cell *cell)
{
    if (cell->state & MARK)
        return;
    if (cell->state & RETIRED) {
        check->found.retired++;
        check->found.retired_pages += cell->pages;
    } else {
        check->found.live++;
        check->found.live_pages += cell->pages;
    }
}

static bool check_cell(struct check *check, const struct ps_arena_at *at)
{
    const struct ps_arena *arena = check->arena;
    const struct ps_arena_cell *cell = at->cell;
    bool is_mark = cell->state & MARK;

    if (is_mark == check->started)
        return breach(check, "a second mark, or none", cell->first);
    if (is_mark ? cell->pages != 0 || cell->after != arena->guard : cell->pages == 0)
        return breach(check, "a wrong size", cell->first);
    if (!is_mark && ps_arena_leaf_find(at->leaf, cell->first) != ps_arena_slot_of(at))
        return breach(check, "a cell out of its bucket", cell->first);
    check->started = true;
    if (!check_end(check, at))
        return false;
    count_cell(check, cell);
    return check_gap(check, at);
}

/* The cells of a leaf in order. */
static bool check_cells(struct check *check, uint64_t reference)
{
    struct ps_arena_at at = ps_arena_slot(check->arena, reference, 0);
    unsigned previous = NONE;
    unsigned count = 0;

    for (unsigned slot = at.leaf->head; slot != NONE; slot = at.cell->next) {
        at.cell = &at.leaf->cells[slot];
        if (++count > at.leaf->count || at.cell->previous != previous)
            return breach(check, "cells linked wrongly", reference);
        if (!check_cell(check, &at))
            return false;
        previous = slot;
    }
    if (count != at.leaf->count || previous != at.leaf->tail)
        return breach(check, "a leaf counted wrongly", reference);
    return true;
}

static bool check_free(const struct check *check, const struct ps_arena_leaf *leaf,
                       uint64_t reference)
{
    unsigned free = 0;

    for (unsigned slot = leaf->free; slot != NONE && free <= CELLS; free++)
        slot = leaf->cells[slot].chain;
    if (leaf->count + free != leaf->unused)
        return breach(check, "cells lost", reference);
    return true;
}

/* ---- nodes ---- */

static bool check_leaf(struct check *check, uint64_t reference, uint64_t low)
{
    const struct ps_arena_leaf *leaf;

    if (!is_ours(check, reference))
        return breach(check, "a leaf in a frame that is not ours", reference);
    leaf = ps_arena_leaf(check->arena, reference);
    /* defensive: where the next leaf is another one, so is the gap before it. */
    if (leaf->previous != check->leaf || (check->leaf != 0 && check->next != reference))
        return breach(check, "leaves linked wrongly", reference);
    if (leaf->count == 0 || leaf->count > CELLS || leaf->head == NONE ||
        leaf->cells[leaf->head].first != low)
        return breach(check, "a key that is not exact", low);
    if (check->arena->height > 1 && leaf->count < CELLS_LEAST)
        return breach(check, "too little in a leaf", reference);
    check->leaf = reference;
    check->next = leaf->next;
    return check_cells(check, reference) && check_free(check, leaf, reference);
}

static bool check_node(struct check *check, uint64_t reference, uint64_t low, unsigned level)
{
    const struct ps_arena_inner *node;
    uint64_t least = level + 1 == check->arena->height ? 2 : CHILDREN_LEAST;

    if (level == 0)
        return check_leaf(check, reference, low);
    if (!is_ours(check, reference))
        return breach(check, "a node in a frame that is not ours", reference);
    check->inner++;
    node = ps_arena_pointer(check->arena, reference);
    if (node->count < least || node->count > CHILDREN || node->keys[0] != low)
        return breach(check, "a node that is wrong", reference);
    for (uint64_t i = 0; i < node->count; i++)
        if (!check_node(check, node->children[i], node->keys[i], level - 1))
            return false;
    return true;
}

static bool check_counters(const struct check *check)
{
    const struct ps_arena *arena = check->arena;
    const struct ps_arena_counters *now = &arena->counters;
    const struct ps_arena_counters *found = &check->found;

    /* defensive: a leaf behind the last one lies before it. */
    if (check->next != 0)
        return breach(check, "leaves linked wrongly", check->next);
    if (check->frames != arena->frames)
        return breach(check, "frames counted wrongly", check->frames);
    if (now->live != found->live || now->live_pages != found->live_pages ||
        now->retired != found->retired || now->retired_pages != found->retired_pages ||
        now->peak_pages < found->live_pages + found->retired_pages)
        return breach(check, "allocations counted wrongly", found->live);
    if (arena->root != 0 && found->live + found->retired == 0)
        return breach(check, "a leaf for nothing", arena->root);
    return true;
}

/* As many frames are promised as there are nodes for, but for those that are owed. */
static bool check_promise(const struct check *check)
{
    const struct ps_arena *arena = check->arena;
    uint64_t due = arena->root != 0 ? DUE + DUE_INNER * check->inner : 0;
    struct ps_frame_pool_snapshot pool;

    ps_frame_pool_snapshot(arena->pool, &pool);
    if (check->inner != arena->inner || arena->owed > due || pool.promised < due - arena->owed)
        return breach(check, "a promise that is wrong", arena->owed);
    return true;
}

ps_status ps_arena_validate(const struct ps_arena *arena, const struct ps_sink *sink)
{
    struct check check = {.arena = arena, .sink = sink};

    if (arena == NULL)
        return PS_INVALID_ARGS;
    if (arena->machine == NULL)
        return PS_BAD_STATE;
    if (arena->root != 0 && !check_node(&check, arena->root, arena->first, arena->height - 1))
        return PS_CORRUPT;
    return check_lists(&check) && check_counters(&check) && check_promise(&check) ? PS_OK
                                                                                  : PS_CORRUPT;
}
