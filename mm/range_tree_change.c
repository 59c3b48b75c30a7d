#include "range_tree_private.h"

/* ---- one range ---- */

bool ps_range_tree_set_value(struct ps_range_tree *tree, uint64_t key, uint64_t value)
{
    struct ps_range_path path;

    if (tree == NULL || !ps_range_path_to(tree, key, &path))
        return false;
    path.node[0]->words[LEAF_VALUE + path.index[0]] = value;
    return true;
}

/* The way to the range that begins at `first`. */
static bool path_to_first(const struct ps_range_tree *tree, uint64_t first,
                          struct ps_range_path *path)
{
    return ps_range_path_to(tree, first, path) &&
           path->node[0]->words[LEAF_FIRST + path->index[0]] == first;
}

static bool reaches_neighbour(const struct ps_range_tree *tree, const struct ps_range *old,
                              uint64_t new_first, uint64_t new_last)
{
    struct ps_range other;

    if (new_first < old->first && ps_range_tree_previous(tree, old->first - 1, &other) &&
        new_first <= other.last)
        return true;
    return new_last > old->last && ps_range_tree_next(tree, old->last + 1, &other) &&
           new_last >= other.first;
}

ps_status ps_range_tree_resize(struct ps_range_tree *tree, uint64_t first, uint64_t new_first,
                               uint64_t new_last)
{
    struct ps_range_path path;
    struct ps_range old;

    if (tree == NULL || new_first > new_last)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    if (!path_to_first(tree, first, &path))
        return PS_NOT_FOUND;
    old = ps_range_entry(path.node[0], path.index[0]);
    if (reaches_neighbour(tree, &old, new_first, new_last))
        return PS_ALREADY_EXISTS;
    path.node[0]->words[LEAF_FIRST + path.index[0]] = new_first;
    path.node[0]->words[LEAF_LAST + path.index[0]] = new_last;
    ps_range_refresh(tree, &path, 0);
    return PS_OK;
}

bool ps_range_tree_merge(struct ps_range_tree *tree, uint64_t key)
{
    struct ps_range range;
    struct ps_range next;
    struct ps_range_path path;

    if (!ps_range_tree_find(tree, key, &range) || range.last == UINT64_MAX ||
        !ps_range_tree_find(tree, range.last + 1, &next))
        return false;
    (void)ps_range_tree_erase(tree, next.first, NULL);
    (void)ps_range_path_to(tree, key, &path);
    path.node[0]->words[LEAF_LAST + path.index[0]] = next.last;
    ps_range_refresh(tree, &path, 0);
    return true;
}

/* ---- everything between two numbers ---- */

/* What is to become of [first, last]: nothing, or a range with a value. */
struct order {
    uint64_t first;
    uint64_t last;
    const struct ps_range *range;
};

/* The entries of one leaf that an order concerns, and what takes their place. */
struct cut {
    unsigned from;
    unsigned to; /* exclusive */
    unsigned pieces;
    struct ps_range piece[3];
    bool solid; /* what was there had no gaps, and neither has what comes: bounds and gaps stay */
    bool more;  /* the next leaf is concerned as well: then there is a lower piece at most */
};

static void add_piece(struct cut *cut, uint64_t first, uint64_t last, uint64_t value)
{
    cut->piece[cut->pieces++] = (struct ps_range){first, last, value};
}

/* Behind the last concerned entry of this leaf: does the next leaf begin before the end? */
static bool goes_on(const struct ps_range_tree *tree, const struct ps_range_node *leaf,
                    const struct order *order)
{
    uint64_t last = leaf->words[LEAF_LAST + leaf->count - 1];
    struct ps_range next;

    return last < order->last && ps_range_tree_next(tree, last + 1, &next) &&
           next.first <= order->last;
}

/* The ranges that an order concerns touch, and it ends neither before nor after them. */
static bool is_solid(const struct ps_range_node *leaf, const struct cut *cut,
                     const struct order *order)
{
    const uint64_t *first = leaf->words + LEAF_FIRST;
    const uint64_t *last = leaf->words + LEAF_LAST;

    for (unsigned i = cut->from + 1; i < cut->to; i++)
        if (first[i] - last[i - 1] != 1)
            return false;
    return first[cut->from] <= order->first && last[cut->to - 1] >= order->last;
}

/* What is left of the ranges that reach in, and between that the new one, in order. */
static void plan_pieces(const struct ps_range_node *leaf, const struct order *order,
                        struct cut *cut)
{
    struct ps_range lowest = ps_range_entry(leaf, cut->from);
    struct ps_range highest = ps_range_entry(leaf, cut->to - 1);

    if (lowest.first < order->first)
        add_piece(cut, lowest.first, order->first - 1, lowest.value);
    if (cut->more)
        return;
    if (order->range != NULL)
        add_piece(cut, order->first, order->last, order->range->value);
    if (highest.last > order->last)
        add_piece(cut, order->last + 1, highest.last, highest.value);
    cut->solid = order->range != NULL && is_solid(leaf, cut, order);
}

static void plan_cut(const struct ps_range_tree *tree, const struct ps_range_path *path,
                     const struct order *order, struct cut *cut)
{
    const struct ps_range_node *leaf = path->node[0];

    *cut = (struct cut){.from = path->index[0], .to = path->index[0]};
    while (cut->to < leaf->count && leaf->words[LEAF_FIRST + cut->to] <= order->last)
        cut->to++;
    cut->more = cut->to == leaf->count && goes_on(tree, leaf, order);
    if (cut->to > cut->from)
        plan_pieces(leaf, order, cut);
    else if (order->range != NULL)
        add_piece(cut, order->first, order->last, order->range->value);
}

/* Entries that the leaf has more afterwards. */
static unsigned added_by(const struct cut *cut)
{
    unsigned removed = cut->to - cut->from;

    return cut->pieces > removed ? cut->pieces - removed : 0;
}

/* The leaf has the places. */
static void carry_out(struct ps_range_tree *tree, const struct ps_range_path *path,
                      const struct cut *cut)
{
    struct ps_range_node *leaf = path->node[0];
    unsigned removed = cut->to - cut->from;
    unsigned kept = removed < cut->pieces ? removed : cut->pieces;

    for (unsigned i = 0; i < kept; i++) {
        leaf->words[LEAF_FIRST + cut->from + i] = cut->piece[i].first;
        leaf->words[LEAF_LAST + cut->from + i] = cut->piece[i].last;
        leaf->words[LEAF_VALUE + cut->from + i] = cut->piece[i].value;
    }
    for (unsigned i = kept; i < cut->pieces; i++)
        ps_range_put(leaf, cut->from + i, &cut->piece[i]);
    for (unsigned i = kept; i < removed; i++)
        ps_range_cut(leaf, cut->from + kept);
    tree->count = tree->count + cut->pieces - removed;
    if (removed > cut->pieces && !ps_range_is_settled(path))
        ps_range_settle(tree, path);
    else if (!cut->solid)
        ps_range_refresh(tree, path, 0);
}

/*
 * Cut the range that the path leads to in two before `key`; the leaf has a place for one more.
 */
static void split_entry(struct ps_range_tree *tree, const struct ps_range_path *path, uint64_t key,
                        uint64_t upper_value)
{
    struct ps_range_node *leaf = path->node[0];
    unsigned at = path->index[0];
    struct ps_range upper = {key, leaf->words[LEAF_LAST + at], upper_value};

    leaf->words[LEAF_LAST + at] = key - 1;
    ps_range_put(leaf, at + 1, &upper);
    tree->count++;
    ps_range_refresh(tree, path, 0);
}

/* The way to where the order begins, and what is to be done there. How many entries are added. */
static unsigned plan(const struct ps_range_tree *tree, const struct order *order,
                     struct ps_range_path *path, struct cut *cut)
{
    ps_range_descend(tree, order->first, path);
    plan_cut(tree, path, order, cut);
    return added_by(cut);
}

/*
 * One step, after which the order is carried out, or what is left of it concerns less. How many
 * inserts it was. Nodes for all of the order are at hand.
 */
static unsigned step(struct ps_range_tree *tree, const struct order *order, bool *done)
{
    struct ps_range_path path;
    struct cut cut;
    unsigned added = plan(tree, order, &path, &cut);

    if (path.node[0]->count + added <= LEAF) {
        carry_out(tree, &path, &cut);
        *done = !cut.more;
        return added;
    }
    if (path.node[0]->count == LEAF) {
        ps_range_find_room(tree, order->first, &path);
        return 0;
    }
    /* Two more, and a place for one: the order is inside of one range. Its end comes off first. */
    split_entry(tree, &path, order->last + 1, cut.piece[2].value);
    return 1;
}

/* In several steps, for which memory is seen to first. */
static ps_status apply_slowly(struct ps_range_tree *tree, const struct order *order, bool needs)
{
    uint64_t inserts = !needs ? 0 : order->range != NULL ? 2 : 1;
    uint64_t reserved = tree->reserved;
    ps_status status = ps_range_provide(tree, inserts);
    uint64_t added = 0;
    bool done = false;

    if (status != PS_OK)
        return status;
    /* What becomes free on the way must not go back to the pool. */
    tree->reserved = ps_max(reserved, inserts);
    while (!done)
        added += step(tree, order, &done);
    tree->reserved = reserved - ps_min(reserved, added);
    ps_range_trim(tree);
    return PS_OK;
}

static ps_status apply(struct ps_range_tree *tree, const struct order *order)
{
    struct ps_range_path path;
    struct cut cut;
    unsigned added = plan(tree, order, &path, &cut);

    if (cut.more || path.node[0]->count + added > LEAF)
        return apply_slowly(tree, order, !cut.more || order->range != NULL);
    carry_out(tree, &path, &cut);
    ps_range_used(tree, added);
    return PS_OK;
}

ps_status ps_range_tree_clear(struct ps_range_tree *tree, uint64_t first, uint64_t last)
{
    const struct order order = {first, last, NULL};

    if (tree == NULL || first > last)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    return ps_range_is_above(tree, first) ? PS_OK : apply(tree, &order);
}

ps_status ps_range_tree_replace(struct ps_range_tree *tree, const struct ps_range *range)
{
    if (tree == NULL || range == NULL || range->first > range->last)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    if (ps_range_is_above(tree, range->first))
        return ps_range_tree_insert(tree, range);
    return apply(tree, &(struct order){range->first, range->last, range});
}

ps_status ps_range_tree_split(struct ps_range_tree *tree, uint64_t key, uint64_t upper_value)
{
    struct ps_range_path path;

    if (tree == NULL)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    if (!ps_range_path_to(tree, key, &path))
        return PS_NOT_FOUND;
    if (path.node[0]->words[LEAF_FIRST + path.index[0]] == key)
        return PS_INVALID_ARGS;
    if (path.node[0]->count == LEAF) {
        ps_status status = ps_range_provide(tree, 1);

        if (status != PS_OK)
            return status;
        ps_range_find_room(tree, key, &path);
    }
    split_entry(tree, &path, key, upper_value);
    ps_range_used(tree, 1);
    return PS_OK;
}
