#include "address_arena_private.h"

/* The mark comes once, and stays. */
static void hash_in(struct ps_arena_leaf *leaf, unsigned slot)
{
    uint8_t *bucket = &leaf->buckets[ps_arena_bucket(leaf->cells[slot].first)];

    if (leaf->cells[slot].state & MARK)
        return;
    leaf->cells[slot].chain = *bucket;
    *bucket = (uint8_t)slot;
}

static void hash_out(struct ps_arena_leaf *leaf, unsigned slot)
{
    uint8_t *place = &leaf->buckets[ps_arena_bucket(leaf->cells[slot].first)];

    while (*place != slot)
        place = &leaf->cells[*place].chain;
    *place = leaf->cells[slot].chain;
}

void ps_arena_leaf_clear(struct ps_arena_leaf *leaf)
{
    leaf->next = leaf->previous = 0;
    leaf->count = leaf->unused = 0;
    leaf->head = leaf->tail = leaf->free = NONE;
    for (unsigned i = 0; i < BUCKETS; i++)
        leaf->buckets[i] = NONE;
}

static unsigned take_slot(struct ps_arena_leaf *leaf)
{
    unsigned slot = leaf->free;

    if (slot == NONE)
        return leaf->unused++;
    leaf->free = leaf->cells[slot].chain;
    return slot;
}

unsigned ps_arena_leaf_add(struct ps_arena_leaf *leaf, unsigned behind,
                           const struct ps_arena_cell *like)
{
    unsigned slot = take_slot(leaf);
    struct ps_arena_cell *cell = &leaf->cells[slot];
    uint8_t *before = behind == NONE ? &leaf->head : &leaf->cells[behind].next;

    *cell = *like;
    cell->previous = (uint8_t)behind;
    cell->next = *before;
    *before = (uint8_t)slot;
    *(cell->next == NONE ? &leaf->tail : &leaf->cells[cell->next].previous) = (uint8_t)slot;
    leaf->count++;
    hash_in(leaf, slot);
    return slot;
}

void ps_arena_leaf_remove(const struct ps_arena_at *at)
{
    struct ps_arena_leaf *leaf = at->leaf;
    struct ps_arena_cell *cell = at->cell;
    uint8_t slot = ps_arena_slot_of(at);

    hash_out(leaf, slot);
    *(cell->previous == NONE ? &leaf->head : &leaf->cells[cell->previous].next) = cell->next;
    *(cell->next == NONE ? &leaf->tail : &leaf->cells[cell->next].previous) = cell->previous;
    leaf->count--;
    cell->chain = leaf->free;
    leaf->free = slot;
}

void ps_arena_leaf_rename(const struct ps_arena_at *at, uint64_t first)
{
    unsigned slot = ps_arena_slot_of(at);

    hash_out(at->leaf, slot);
    at->cell->first = first;
    hash_in(at->leaf, slot);
}

unsigned ps_arena_leaf_find(const struct ps_arena_leaf *leaf, uint64_t first)
{
    unsigned slot = leaf->buckets[ps_arena_bucket(first)];

    while (slot != NONE && leaf->cells[slot].first != first)
        slot = leaf->cells[slot].chain;
    return slot;
}

unsigned ps_arena_leaf_floor(const struct ps_arena_leaf *leaf, uint64_t page)
{
    unsigned slot = ps_arena_leaf_find(leaf, page);

    if (slot != NONE)
        return slot;
    slot = leaf->tail;
    while (leaf->cells[slot].first > page && leaf->cells[slot].previous != NONE)
        slot = leaf->cells[slot].previous;
    return slot;
}

/* ---- ways ---- */

/* The highest key that is not above `page`. The first one counts as lowest of all. */
static uint64_t rank(const struct ps_arena_inner *node, uint64_t page)
{
    uint64_t index = 0;

    for (uint64_t left = node->count; left > 1;) {
        uint64_t half = left / 2;

        index += node->keys[index + half] <= page ? half : 0;
        left -= half;
    }
    return index;
}

void ps_arena_descend(const struct ps_arena *arena, uint64_t page, struct ps_arena_path *path)
{
    uint64_t reference = arena->root;

    for (unsigned level = arena->height - 1; level > 0; level--) {
        struct ps_arena_inner *node = ps_arena_pointer(arena, reference);

        path->step[level].node = node;
        path->step[level].index = rank(node, page);
        reference = node->children[path->step[level].index];
    }
    path->leaf = reference;
}

bool ps_arena_locate(const struct ps_arena *arena, uint64_t first, struct ps_arena_path *path,
                     struct ps_arena_at *at)
{
    unsigned slot;

    if (arena->height == 0)
        return false;
    ps_arena_descend(arena, first, path);
    *at = ps_arena_slot(arena, path->leaf, 0);
    slot = ps_arena_leaf_find(at->leaf, first);
    if (slot == NONE)
        return false;
    at->cell += slot;
    return true;
}

struct ps_arena_at ps_arena_way(const struct ps_arena *arena, uint64_t page,
                                struct ps_arena_path *path)
{
    struct ps_arena_at at;

    ps_arena_descend(arena, page, path);
    at = ps_arena_slot(arena, path->leaf, 0);
    at.cell += ps_arena_leaf_floor(at.leaf, page);
    return at;
}

struct ps_arena_at ps_arena_floor(const struct ps_arena *arena, uint64_t page)
{
    struct ps_arena_path path;

    return ps_arena_way(arena, page, &path);
}

/* ---- gaps ---- */

static void list_in(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    uint64_t reference = ps_arena_reference(at);
    uint64_t next = arena->small[fit];

    at->cell->link[0] = next;
    at->cell->link[1] = 0;
    if (next != 0)
        *ps_arena_link(arena, next, 1) = reference;
    arena->small[fit] = reference;
    arena->small_map[fit / 64] |= (uint64_t)1 << fit % 64;
}

static void list_out(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    ps_arena_relink(arena, at->cell->link, fit, 0);
    if (arena->small[fit] == 0)
        arena->small_map[fit / 64] &= ~((uint64_t)1 << fit % 64);
}

void ps_arena_list(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    arena->gaps++;
    if (fit < PS_ARENA_SMALL)
        list_in(arena, at, fit);
    else
        ps_arena_tree_in(arena, at, fit);
}

void ps_arena_unlist(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    arena->gaps--;
    if (fit < PS_ARENA_SMALL)
        list_out(arena, at, fit);
    else
        ps_arena_tree_out(arena, at, fit);
}
