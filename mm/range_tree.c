#include "range_tree_private.h"

/* ---- init and destroy ---- */

static bool tag_is_valid(enum ps_frame_tag tag)
{
    return tag >= PS_FRAME_TABLE && tag < PS_FRAME_TAG_COUNT;
}

PS_COLD ps_status ps_range_tree_init(struct ps_range_tree *tree, const struct ps_machine *machine,
                                     struct ps_frame_pool *pool, enum ps_frame_tag tag)
{
    if (tree == NULL || machine == NULL || pool == NULL)
        return PS_INVALID_ARGS;
    if (tree->machine != NULL || pool->machine == NULL)
        return PS_BAD_STATE;
    if (machine != pool->machine || !tag_is_valid(tag))
        return PS_INVALID_ARGS;
    *tree = (struct ps_range_tree){.machine = machine, .pool = pool, .tag = tag};
    return PS_OK;
}

PS_COLD ps_status ps_range_tree_destroy(struct ps_range_tree *tree)
{
    if (tree == NULL)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    ps_range_nodes_give(tree);
    tree->reserved = 0;
    ps_range_trim(tree);
    *tree = (struct ps_range_tree){0};
    return PS_OK;
}

/* ---- the way to a range ---- */

void ps_range_descend(const struct ps_range_tree *tree, uint64_t key, struct ps_range_path *path)
{
    struct ps_range_node *node = ps_range_node(tree, tree->root);

    for (unsigned level = tree->height - 1; level > 0; level--) {
        unsigned index = ps_range_inner_rank(node, key);

        /* Above all: behind the last range of the last leaf. */
        if (index == node->count)
            index--;
        path->node[level] = node;
        path->index[level] = index;
        node = ps_range_node(tree, node->words[INNER_CHILD + index]);
    }
    path->node[0] = node;
    path->index[0] = ps_range_leaf_rank(node, key);
}

PS_COLD bool ps_range_path_to(const struct ps_range_tree *tree, uint64_t key,
                              struct ps_range_path *path)
{
    if (ps_range_is_above(tree, key))
        return false;
    ps_range_descend(tree, key, path);
    return path->node[0]->words[LEAF_FIRST + path->index[0]] <= key;
}

/* ---- inserting ---- */

/* What follows ends at range->first or after it: does it begin before the end of `range`? */
static bool overlaps(const struct ps_range_path *path, const struct ps_range *range)
{
    const struct ps_range_node *leaf = path->node[0];
    unsigned at = path->index[0];

    return at < leaf->count && leaf->words[LEAF_FIRST + at] <= range->last;
}

/* The first leaf, of a tree without one: the first range follows at once. */
static ps_status plant(struct ps_range_tree *tree)
{
    ps_status status = ps_range_provide(tree, 1);

    if (status == PS_OK) {
        tree->root = ps_range_node_take(tree, 0);
        tree->height = 1;
    }
    return status;
}

void ps_range_used(struct ps_range_tree *tree, uint64_t inserts)
{
    if (tree->reserved == 0)
        return;
    tree->reserved -= ps_min(tree->reserved, inserts);
    ps_range_trim(tree);
}

void ps_range_find_room(struct ps_range_tree *tree, uint64_t key, struct ps_range_path *path)
{
    while (path->node[0]->count == LEAF) {
        ps_range_make_room(tree, path, key);
        ps_range_descend(tree, key, path);
    }
}

ps_status ps_range_tree_insert(struct ps_range_tree *tree, const struct ps_range *range)
{
    struct ps_range_path path;

    if (tree == NULL || range == NULL || range->first > range->last)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    if (tree->height == 0) {
        ps_status status = plant(tree);

        if (status != PS_OK)
            return status;
    }
    ps_range_descend(tree, range->first, &path);
    if (overlaps(&path, range))
        return PS_ALREADY_EXISTS;
    if (path.node[0]->count == LEAF) {
        ps_status status = ps_range_provide(tree, 1);

        if (status != PS_OK)
            return status;
        ps_range_find_room(tree, range->first, &path);
    }
    ps_range_put(path.node[0], path.index[0], range);
    tree->count++;
    ps_range_refresh_put(tree, &path);
    ps_range_used(tree, 1);
    return PS_OK;
}

/* ---- erasing ---- */

bool ps_range_tree_erase(struct ps_range_tree *tree, uint64_t first, struct ps_range *erased)
{
    struct ps_range_path path;
    struct ps_range range;

    if (tree == NULL || !ps_range_path_to(tree, first, &path))
        return false;
    range = ps_range_entry(path.node[0], path.index[0]);
    if (range.first != first)
        return false;
    if (erased != NULL)
        *erased = range;
    ps_range_cut(path.node[0], path.index[0]);
    tree->count--;
    if (ps_range_is_settled(&path))
        ps_range_refresh_cut(tree, &path);
    else
        ps_range_settle(tree, &path);
    return true;
}

/* ---- reserving ---- */

PS_COLD ps_status ps_range_tree_reserve(struct ps_range_tree *tree, uint64_t inserts)
{
    ps_status status;

    if (tree == NULL)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    if (inserts > PS_RANGE_RESERVED_MAX - tree->reserved)
        return PS_NO_MEMORY;
    status = ps_range_cover(tree, tree->reserved + inserts);
    if (status == PS_OK)
        tree->reserved += inserts;
    return status;
}

void ps_range_tree_unreserve(struct ps_range_tree *tree, uint64_t inserts)
{
    if (tree == NULL)
        return;
    tree->reserved -= ps_min(tree->reserved, inserts);
    ps_range_trim(tree);
}
