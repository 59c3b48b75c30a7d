#include "address_arena_private.h"

/* ---- frames ---- */

static void give_frame(struct ps_arena *arena, uint64_t reference)
{
    ps_status status =
        ps_frame_pool_free(arena->pool, ps_frame_of_phys(ps_phys(reference)), ps_pages(1));

    /* Refused only when somebody else gave our frame away; there is no better place for it. */
    (void)status;
    arena->frames--;
}

static uint64_t next_frame(const struct ps_arena *arena, uint64_t *list)
{
    uint64_t reference = *list;

    *list = *(uint64_t *)ps_arena_pointer(arena, reference);
    return reference;
}

/* All or none. The first word of one that is not in use yet leads to the next. */
static ps_status take_frames(struct ps_arena *arena, unsigned count, uint64_t *list)
{
    *list = 0;
    for (; count > 0; count--) {
        ps_frame_t frame;
        ps_status status = ps_frame_pool_alloc(arena->pool, PS_FRAME_4K, arena->tag, 0, &frame);
        uint64_t reference;

        if (status != PS_OK) {
            while (*list != 0)
                give_frame(arena, next_frame(arena, list));
            return status;
        }
        reference = ps_phys_of_frame(frame).addr;
        *(uint64_t *)ps_arena_pointer(arena, reference) = *list;
        *list = reference;
        arena->frames++;
    }
    return PS_OK;
}

/* ---- the first leaf ---- */

ps_status ps_arena_plant(struct ps_arena *arena)
{
    struct ps_arena_cell mark = {
        .first = arena->first, .after = (uint16_t)arena->guard, .state = MARK};
    struct ps_arena_at at;
    uint64_t frame;
    ps_status status = take_frames(arena, 1, &frame);

    if (status != PS_OK)
        return status;
    at = ps_arena_slot(arena, frame, 0);
    ps_arena_leaf_clear(at.leaf);
    at.cell += ps_arena_leaf_add(at.leaf, NONE, &mark);
    arena->root = frame;
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
    arena->root = 0;
    arena->height = 0;
    arena->thin = false;
}

/* ---- cells from leaf to leaf ---- */

/* The last of `left` becomes the first of `right`, or the other way round. */
static void move_cell(struct ps_arena *arena, const struct ps_arena_at *from, uint64_t to,
                      unsigned behind)
{
    struct ps_arena_gap gap = ps_arena_gap_at(arena, from);
    uint64_t old = ps_arena_reference(from);
    struct ps_arena_at at = ps_arena_slot(arena, to, 0);
    struct ps_arena_cell cell = *from->cell;

    ps_arena_leaf_remove(from);
    at.cell += ps_arena_leaf_add(at.leaf, behind, &cell);
    ps_arena_gap_moved(arena, old, &at, &gap);
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

    while (a->weight > b->weight + ps_arena_weight(&a->cells[a->tail]))
        move_right(arena, left, right);
    while (b->weight > a->weight + ps_arena_weight(&b->cells[b->head]))
        move_left(arena, left, right);
}

static uint64_t lowest_of(const struct ps_arena *arena, uint64_t reference)
{
    const struct ps_arena_leaf *leaf = ps_arena_leaf(arena, reference);

    return leaf->cells[leaf->head].first;
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

    for (unsigned level = 1; level < arena->height; level++) {
        path->step[level].node->keys[path->step[level].index] = key;
        if (path->step[level].index != 0)
            return;
    }
}

/* Half of a full node's children go to a new one, whose reference is returned. */
static uint64_t halve(struct ps_arena *arena, struct ps_arena_inner *node, uint64_t *list)
{
    uint64_t reference = next_frame(arena, list);
    struct ps_arena_inner *right = ps_arena_pointer(arena, reference);

    right->count = 0;
    for (uint64_t i = CHILDREN / 2; i < CHILDREN; i++)
        put_child(right, right->count, node->keys[i], node->children[i]);
    node->count = CHILDREN / 2;
    return reference;
}

static void add_root(struct ps_arena *arena, uint64_t key, uint64_t child, uint64_t *list)
{
    uint64_t reference = next_frame(arena, list);
    struct ps_arena_inner *node = ps_arena_pointer(arena, reference);

    node->count = 0;
    put_child(node, 0, arena->first, arena->root);
    put_child(node, 1, key, child);
    arena->root = reference;
    arena->height++;
}

/* The child goes right behind the leaf of the path; nodes are divided where they are full. */
static void insert_child(struct ps_arena *arena, const struct ps_arena_path *path, uint64_t key,
                         uint64_t child, uint64_t *list)
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
        reference = halve(arena, node, list);
        right = ps_arena_pointer(arena, reference);
        if (index <= node->count)
            put_child(node, index, key, child);
        else
            put_child(right, index - node->count, key, child);
        key = right->keys[0];
        child = reference;
    }
    add_root(arena, key, child, list);
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

static ps_status divide_leaf(struct ps_arena *arena, const struct ps_arena_path *path)
{
    struct ps_arena_leaf *left = ps_arena_leaf(arena, path->leaf);
    struct ps_arena_leaf *right;
    uint64_t list;
    uint64_t reference;
    ps_status status = take_frames(arena, frames_to_divide(arena, path), &list);

    if (status != PS_OK)
        return status;
    reference = next_frame(arena, &list);
    right = ps_arena_leaf(arena, reference);
    ps_arena_leaf_clear(right);
    /* A leaf among others has a cell. */
    move_right(arena, path->leaf, reference);
    right->next = left->next;
    right->previous = path->leaf;
    if (left->next != 0)
        ps_arena_leaf(arena, left->next)->previous = reference;
    left->next = reference;
    even_leaves(arena, path->leaf, reference);
    insert_child(arena, path, lowest_of(arena, reference), reference, &list);
    return PS_OK;
}

/* Even out with the neighbour on one side, if there is one, and not too full either. */
static bool share_with(struct ps_arena *arena, struct ps_arena_inner *parent, uint64_t left,
                       uint64_t neighbour)
{
    const uint64_t *pair = &parent->children[left];

    if (ps_arena_leaf(arena, parent->children[neighbour])->weight > CELLS_JOIN)
        return false;
    even_leaves(arena, pair[0], pair[1]);
    parent->keys[left + 1] = lowest_of(arena, pair[1]);
    return true;
}

static bool share(struct ps_arena *arena, const struct ps_arena_path *path)
{
    struct ps_arena_inner *parent = path->step[1].node;
    uint64_t index = path->step[1].index;

    return (index + 1 < parent->count && share_with(arena, parent, index, index + 1)) ||
           (index > 0 && share_with(arena, parent, index - 1, index - 1));
}

ps_status ps_arena_make_room(struct ps_arena *arena, uint64_t page, unsigned weight)
{
    for (bool shared = false;; shared = true) {
        struct ps_arena_path path;
        ps_status status;

        ps_arena_descend(arena, page, &path);
        if (ps_arena_leaf(arena, path.leaf)->weight + weight <= CELLS)
            return PS_OK;
        if (!shared && arena->height > 1 && share(arena, &path))
            continue;
        status = divide_leaf(arena, &path);
        if (status != PS_OK)
            return status;
    }
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
        give_frame(arena, parent->children[left + 1]);
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
        give_frame(arena, arena->root);
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
    if (leaf->weight >= CELLS_LEAST)
        return;
    parent = path->step[1].node;
    left = path->step[1].index + 1 < parent->count ? path->step[1].index : path->step[1].index - 1;
    pair = &parent->children[left];
    if (ps_arena_leaf(arena, pair[0])->weight + ps_arena_leaf(arena, pair[1])->weight >
        CELLS_JOIN) {
        even_leaves(arena, pair[0], pair[1]);
        parent->keys[left + 1] = lowest_of(arena, pair[1]);
        return;
    }
    join_leaves(arena, pair[0], pair[1]);
    cut_child(parent, left + 1);
    settle_inner(arena, path);
    lower_root(arena);
}
