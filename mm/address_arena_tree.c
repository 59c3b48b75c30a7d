#include "address_arena_private.h"

/*
 * What is promised.
 *
 * An allocation goes ahead only when DUE + DUE_INNER * inner frames are promised afterwards. A cut
 * that finds no other frames uses some of these, and owes them. By assumption one can be promised
 * again before the next cut. Then there is always enough for that, which is seen as follows.
 *
 * Look at all cuts since nothing was owed; at that time there were n inner nodes, each of which may
 * have been full, as may all leaves, 255 n or a single one. A cut needs two cells, for which half a
 * leaf has room: so it divides one leaf at most. The frame that comes back pays for the new leaf.
 * What is lost are the frames of I inner nodes that were divided and R roots that were added;
 * what is won is one frame for each cut but the L that divided a leaf.
 *
 * In each level, add up what its nodes hold beyond three quarters of what fits. Dividing a leaf
 * takes 20 cells or more away there, an inner node 64 children; evening out and joining nodes,
 * which others may do meanwhile, never make it more. So nodes are divided for what was there at
 * first, 21 cells or 64 children in each, and for what cuts have added, two cells each:
 *     L <= 268 n + 2 cuts / 20,
 *     I <= n + L / 64 + L / (64 * 64) + ... = n + L / 63,
 *     R <= 1 + I / 64, and so
 *     I + R - (cuts - L) <= 6 n + 1.
 * That, the frame that is to come back after the last cut, and one to spare are promised.
 */

/* ---- frames ---- */

static void give_frame(struct ps_arena *arena, uint64_t reference)
{
    ps_status status =
        ps_frame_pool_free(arena->pool, ps_frame_of_phys(ps_phys(reference)), ps_pages(1));

    /* Refused only when somebody else gave our frame away; there is no better place for it. */
    (void)status;
    arena->frames--;
}

static uint64_t take_frame(struct ps_arena *arena)
{
    ps_frame_t frame = ps_frame(0);
    ps_status status = ps_frame_pool_alloc_promised(arena->pool, arena->tag, 0, &frame);

    /* defensive: somebody else took back what was promised to us, and there is no way on. */
    if (status != PS_OK)
        __builtin_trap();
    arena->frames++;
    return ps_phys_of_frame(frame).addr;
}

static bool promise(struct ps_arena *arena, uint64_t frames)
{
    return ps_frame_pool_promise(arena->pool, ps_pages(frames)) == PS_OK;
}

static void unpromise(struct ps_arena *arena, uint64_t frames)
{
    ps_status status = ps_frame_pool_unpromise(arena->pool, ps_pages(frames));

    /* Refused only when somebody else took our promise back; validate tells of it. */
    (void)status;
}

void ps_arena_repay(struct ps_arena *arena)
{
    while (arena->owed != 0 && promise(arena, 1))
        arena->owed--;
}

/* So many frames may be taken, of which all but one are for inner nodes. */
static ps_status afford(struct ps_arena *arena, uint64_t frames, bool to_cut)
{
    uint64_t due = frames > 1 ? frames + DUE_INNER * (frames - 1) : frames;

    if (promise(arena, arena->owed + due)) {
        arena->owed = 0;
        return PS_OK;
    }
    if (!to_cut)
        return PS_NO_MEMORY;
    ps_arena_repay(arena);
    if (ps_arena_promised(arena) < frames)
        return PS_NO_MEMORY;
    arena->owed += due;
    return PS_OK;
}

static uint64_t take_inner(struct ps_arena *arena)
{
    arena->inner++;
    return take_frame(arena);
}

static void give_inner(struct ps_arena *arena, uint64_t reference)
{
    uint64_t owed = ps_min(arena->owed, DUE_INNER);

    give_frame(arena, reference);
    arena->inner--;
    arena->owed -= owed;
    unpromise(arena, DUE_INNER - owed);
}

/* ---- the first leaf ---- */

ps_status ps_arena_plant(struct ps_arena *arena)
{
    struct ps_arena_cell mark = {
        .first = arena->first, .after = (uint16_t)arena->guard, .state = MARK};
    struct ps_arena_at at;

    if (!promise(arena, 1 + DUE))
        return PS_NO_MEMORY;
    arena->root = take_frame(arena);
    at = ps_arena_slot(arena, arena->root, 0);
    ps_arena_leaf_clear(at.leaf);
    at.cell += ps_arena_leaf_add(at.leaf, NONE, &mark);
    arena->height = 1;
    ps_arena_gap_enter(arena, &at);
    return PS_OK;
}

void ps_arena_uproot(struct ps_arena *arena)
{
    struct ps_arena_at at = ps_arena_slot(arena, arena->root, 0);

    at.cell += at.leaf->head;
    ps_arena_gap_leave(arena, &at);
    give_frame(arena, arena->root);
    unpromise(arena, ps_arena_promised(arena));
    arena->root = arena->owed = 0;
    arena->height = 0;
    arena->thin = false;
}

/* ---- cells from leaf to leaf ---- */

/* The last of `left` becomes the first of `right`, or the other way round. */
static void move_cell(struct ps_arena *arena, const struct ps_arena_at *from, uint64_t to,
                      unsigned behind)
{
    struct ps_arena_gap gap = ps_arena_gap_at(arena, from);
    uint64_t fit = ps_arena_fit(&gap);
    uint64_t old = ps_arena_reference(from);
    struct ps_arena_at at = ps_arena_slot(arena, to, 0);
    struct ps_arena_cell cell = *from->cell;

    ps_arena_leaf_remove(from);
    at.cell += ps_arena_leaf_add(at.leaf, behind, &cell);
    ps_arena_gap_moved(arena, old, &at, fit);
}

static void move_right(struct ps_arena *arena, uint64_t left, uint64_t right)
{
    struct ps_arena_at from = ps_arena_slot(arena, left, 0);

    from.cell += from.leaf->tail;
    move_cell(arena, &from, right, NONE);
}

static void move_left(struct ps_arena *arena, uint64_t left, uint64_t right)
{
    struct ps_arena_at from = ps_arena_slot(arena, right, 0);

    from.cell += from.leaf->head;
    move_cell(arena, &from, left, ps_arena_leaf(arena, left)->tail);
}

/* Neither has a cell more than the other that would make them more alike. */
static void even_leaves(struct ps_arena *arena, uint64_t left, uint64_t right)
{
    const struct ps_arena_leaf *a = ps_arena_leaf(arena, left);
    const struct ps_arena_leaf *b = ps_arena_leaf(arena, right);

    while (a->count > b->count + 1)
        move_right(arena, left, right);
    while (b->count > a->count + 1)
        move_left(arena, left, right);
}

static uint64_t lowest_of(const struct ps_arena *arena, uint64_t reference)
{
    const struct ps_arena_leaf *leaf = ps_arena_leaf(arena, reference);

    return leaf->cells[leaf->head].first;
}

/* Two neighbours below one node. */
static void even_children(struct ps_arena *arena, struct ps_arena_inner *parent, uint64_t left)
{
    even_leaves(arena, parent->children[left], parent->children[left + 1]);
    parent->keys[left + 1] = lowest_of(arena, parent->children[left + 1]);
}

/* ---- inner nodes ---- */

static void put_child(struct ps_arena_inner *node, uint64_t index, uint64_t key, uint64_t child)
{
    for (uint64_t i = node->count; i > index; i--) {
        node->keys[i] = node->keys[i - 1];
        node->children[i] = node->children[i - 1];
    }
    node->keys[index] = key;
    node->children[index] = child;
    node->count++;
}

static void cut_child(struct ps_arena_inner *node, uint64_t index)
{
    node->count--;
    for (uint64_t i = index; i < node->count; i++) {
        node->keys[i] = node->keys[i + 1];
        node->children[i] = node->children[i + 1];
    }
}

void ps_arena_retell(const struct ps_arena *arena, const struct ps_arena_path *path)
{
    uint64_t key = lowest_of(arena, path->leaf);
    const struct ps_arena_step *step = &path->step[1];

    /* The very lowest cell is the mark, which does not change: some node is not the first child. */
    for (; step->index == 0; step++)
        step->node->keys[0] = key;
    step->node->keys[step->index] = key;
}

/* Half of a full node's children go to a new one, whose reference is returned. */
static uint64_t halve(struct ps_arena *arena, struct ps_arena_inner *node)
{
    uint64_t reference = take_inner(arena);
    struct ps_arena_inner *right = ps_arena_pointer(arena, reference);

    right->count = 0;
    for (uint64_t i = CHILDREN / 2; i < CHILDREN; i++)
        put_child(right, right->count, node->keys[i], node->children[i]);
    node->count = CHILDREN / 2;
    return reference;
}

static void add_root(struct ps_arena *arena, uint64_t key, uint64_t child)
{
    uint64_t reference = take_inner(arena);
    struct ps_arena_inner *node = ps_arena_pointer(arena, reference);

    node->count = 0;
    put_child(node, 0, arena->first, arena->root);
    put_child(node, 1, key, child);
    arena->root = reference;
    arena->height++;
}

/* The child goes right behind the leaf of the path; nodes are divided where they are full. */
static void insert_child(struct ps_arena *arena, const struct ps_arena_path *path, uint64_t key,
                         uint64_t child)
{
    unsigned height = arena->height;

    for (unsigned level = 1; level < height; level++) {
        struct ps_arena_inner *node = path->step[level].node;
        uint64_t index = path->step[level].index + 1;
        struct ps_arena_inner *right;
        uint64_t reference;

        if (node->count < CHILDREN) {
            put_child(node, index, key, child);
            return;
        }
        reference = halve(arena, node);
        right = ps_arena_pointer(arena, reference);
        if (index <= node->count)
            put_child(node, index, key, child);
        else
            put_child(right, index - node->count, key, child);
        key = right->keys[0];
        child = reference;
    }
    add_root(arena, key, child);
}

/* Frames for one leaf more there. */
static unsigned frames_to_divide(const struct ps_arena *arena, const struct ps_arena_path *path)
{
    unsigned level = 1;

    while (level < arena->height && path->step[level].node->count == CHILDREN)
        level++;
    return level < arena->height ? level : level + 1;
}

/* ---- room ---- */

static void divide_leaf(struct ps_arena *arena, const struct ps_arena_path *path)
{
    struct ps_arena_leaf *left = ps_arena_leaf(arena, path->leaf);
    uint64_t reference = take_frame(arena);
    struct ps_arena_leaf *right = ps_arena_leaf(arena, reference);

    ps_arena_leaf_clear(right);
    /* A leaf among others has a cell. */
    move_right(arena, path->leaf, reference);
    right->next = left->next;
    right->previous = path->leaf;
    if (left->next != 0)
        ps_arena_leaf(arena, left->next)->previous = reference;
    left->next = reference;
    even_leaves(arena, path->leaf, reference);
    insert_child(arena, path, lowest_of(arena, reference), reference);
}

/* Evened out, both children would have room for the cells, and not be too full either. */
static bool may_share(const struct ps_arena *arena, uint64_t full, uint64_t neighbour,
                      unsigned cells)
{
    unsigned count = ps_arena_leaf(arena, neighbour)->count;
    unsigned both = count + ps_arena_leaf(arena, full)->count;

    /* defensive: only in small geometries half of both is too much. */
    return count <= CELLS_JOIN && (both + 1) / 2 + cells <= CELLS;
}

/* Which child to even out with its right neighbour to make room; false: there is none. */
static bool find_pair(const struct ps_arena *arena, const struct ps_arena_path *path,
                      unsigned cells, uint64_t *left)
{
    const struct ps_arena_inner *parent = path->step[1].node;
    uint64_t index = path->step[1].index;

    if (arena->height == 1)
        return false;
    *left = index;
    if (index + 1 < parent->count &&
        may_share(arena, path->leaf, parent->children[index + 1], cells))
        return true;
    if (index == 0)
        return false;
    *left = index - 1;
    return may_share(arena, path->leaf, parent->children[index - 1], cells);
}

ps_status ps_arena_make_room(struct ps_arena *arena, uint64_t page, unsigned cells, bool to_cut)
{
    struct ps_arena_path path;
    uint64_t left = 0;
    bool divide;
    bool full;
    ps_status status;

    ps_arena_descend(arena, page, &path);
    full = ps_arena_leaf(arena, path.leaf)->count + cells > CELLS;
    divide = full && !find_pair(arena, &path, cells, &left);
    status = afford(arena, divide ? frames_to_divide(arena, &path) : 0, to_cut);
    if (status != PS_OK)
        return status;
    if (divide)
        divide_leaf(arena, &path);
    else if (full)
        even_children(arena, path.step[1].node, left);
    return PS_OK;
}

/* ---- what is left ---- */

static void join_leaves(struct ps_arena *arena, uint64_t left, uint64_t right)
{
    struct ps_arena_leaf *a = ps_arena_leaf(arena, left);
    const struct ps_arena_leaf *b = ps_arena_leaf(arena, right);

    while (b->count != 0)
        move_left(arena, left, right);
    a->next = b->next;
    if (b->next != 0)
        ps_arena_leaf(arena, b->next)->previous = left;
    give_frame(arena, right);
}

static void join_inner(struct ps_arena_inner *left, const struct ps_arena_inner *right)
{
    for (uint64_t i = 0; i < right->count; i++)
        put_child(left, left->count, right->keys[i], right->children[i]);
}

static void even_inner(struct ps_arena_inner *left, struct ps_arena_inner *right)
{
    while (left->count > right->count + 1) {
        left->count--;
        put_child(right, 0, left->keys[left->count], left->children[left->count]);
    }
    while (right->count > left->count + 1) {
        put_child(left, left->count, right->keys[0], right->children[0]);
        cut_child(right, 0);
    }
}

/* Nodes above that have too few children: the same, from below. */
static void settle_inner(struct ps_arena *arena, const struct ps_arena_path *path)
{
    for (unsigned level = 1; level + 1 < arena->height; level++) {
        struct ps_arena_inner *parent = path->step[level + 1].node;
        uint64_t at = path->step[level + 1].index;
        uint64_t left = at + 1 < parent->count ? at : at - 1;
        struct ps_arena_inner *a;
        struct ps_arena_inner *b;

        if (path->step[level].node->count >= CHILDREN_LEAST)
            return;
        a = ps_arena_pointer(arena, parent->children[left]);
        b = ps_arena_pointer(arena, parent->children[left + 1]);
        if (a->count + b->count > CHILDREN_JOIN) {
            even_inner(a, b);
            parent->keys[left + 1] = b->keys[0];
            return;
        }
        join_inner(a, b);
        give_inner(arena, parent->children[left + 1]);
        cut_child(parent, left + 1);
    }
}

static void lower_root(struct ps_arena *arena)
{
    while (arena->height > 1) {
        const struct ps_arena_inner *node = ps_arena_pointer(arena, arena->root);
        uint64_t child = node->children[0];

        if (node->count > 1)
            return;
        give_inner(arena, arena->root);
        arena->root = child;
        arena->height--;
    }
}

void ps_arena_settle(struct ps_arena *arena, struct ps_arena_path *path)
{
    const struct ps_arena_leaf *leaf = ps_arena_leaf(arena, path->leaf);
    struct ps_arena_inner *parent;
    uint64_t left;
    uint64_t *pair;

    if (arena->height == 1) {
        if (leaf->count == 1)
            ps_arena_uproot(arena);
        return;
    }
    parent = path->step[1].node;
    left = path->step[1].index + 1 < parent->count ? path->step[1].index : path->step[1].index - 1;
    pair = &parent->children[left];
    if (ps_arena_leaf(arena, pair[0])->count + ps_arena_leaf(arena, pair[1])->count > CELLS_JOIN) {
        even_children(arena, parent, left);
        return;
    }
    join_leaves(arena, pair[0], pair[1]);
    cut_child(parent, left + 1);
    settle_inner(arena, path);
    lower_root(arena);
}
