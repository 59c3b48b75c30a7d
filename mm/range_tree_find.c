#include "range_tree_private.h"

/*
 * The same as ps_range_rank(), where it is known that not all keys are below `key`: in fewer
 * instructions, as lookups that do not wait for each other run side by side.
 */
static inline unsigned rank_within(const uint64_t *keys, unsigned capacity, uint64_t key)
{
    unsigned line = 0;
    unsigned rank;

    for (unsigned i = 7; i + 1 < PS_RANGE_KEYS(capacity); i += 8)
        line += keys[i] < key ? 8u : 0u;
    keys += line;
    rank = (keys[1] < key ? 2u : 0u) + (keys[3] < key ? 2u : 0u) + (keys[5] < key ? 2u : 0u);
    return line + rank + (keys[rank] < key ? 1u : 0u);
}

static inline unsigned leaf_rank(const struct ps_range_node *leaf, uint64_t key)
{
    return rank_within(leaf->words + LEAF_LAST, LEAF, key);
}

/* The leaf with the first range that ends at `key` or after it; there must be one. */
static inline const struct ps_range_node *leaf_of(const struct ps_range_tree *tree, uint64_t key)
{
    const struct ps_range_node *node = ps_range_node(tree, tree->root);

    for (unsigned level = tree->height - 1; level > 0; level--) {
        unsigned child = rank_within(node->words + INNER_HIGH, INNER, key);

        node = ps_range_node(tree, node->words[INNER_CHILD + child]);
    }
    return node;
}

/* ---- one range ---- */

static bool tell(const struct ps_range_node *leaf, unsigned index, struct ps_range *range)
{
    if (range != NULL)
        *range = ps_range_entry(leaf, index);
    return true;
}

bool ps_range_tree_find(const struct ps_range_tree *tree, uint64_t key, struct ps_range *range)
{
    const struct ps_range_node *leaf;
    unsigned index;

    if (tree == NULL || ps_range_is_above(tree, key))
        return false;
    leaf = leaf_of(tree, key);
    index = leaf_rank(leaf, key);
    if (leaf->words[LEAF_FIRST + index] > key)
        return false;
    return tell(leaf, index, range);
}

bool ps_range_tree_next(const struct ps_range_tree *tree, uint64_t key, struct ps_range *range)
{
    const struct ps_range_node *leaf;

    if (tree == NULL || ps_range_is_above(tree, key))
        return false;
    leaf = leaf_of(tree, key);
    return tell(leaf, leaf_rank(leaf, key), range);
}

/* How many of the sorted `count` keys are at most `key`. */
static unsigned rank_above(const uint64_t *keys, uint64_t count, uint64_t key)
{
    unsigned rank = 0;

    for (uint64_t i = 0; i < count; i++)
        rank += keys[i] <= key ? 1u : 0u;
    return rank;
}

PS_COLD bool ps_range_tree_previous(const struct ps_range_tree *tree, uint64_t key,
                                    struct ps_range *range)
{
    const struct ps_range_node *node;

    if (tree == NULL || tree->height == 0 || key < tree->low)
        return false;
    node = ps_range_node(tree, tree->root);
    for (unsigned level = tree->height - 1; level > 0; level--) {
        unsigned index = rank_above(node->words + INNER_LOW, node->count, key) - 1;

        node = ps_range_node(tree, node->words[INNER_CHILD + index]);
    }
    return tell(node, rank_above(node->words + LEAF_FIRST, node->count, key) - 1, range);
}

/* ---- one after the other ---- */

struct ps_range_cursor ps_range_tree_cursor(const struct ps_range_tree *tree, uint64_t key)
{
    return (struct ps_range_cursor){.tree = tree, .key = key, .done = tree == NULL};
}

/* To the leaf where the next range is. False: there is none. */
static bool enter_leaf(struct ps_range_cursor *cursor)
{
    const struct ps_range_tree *tree = cursor->tree;
    const struct ps_range_node *leaf;

    if (cursor->done || ps_range_is_above(tree, cursor->key))
        return false;
    leaf = leaf_of(tree, cursor->key);
    cursor->leaf = leaf;
    cursor->index = leaf_rank(leaf, cursor->key);
    cursor->count = (uint32_t)leaf->count;
    cursor->done = leaf->words[LEAF_LAST + leaf->count - 1] == tree->high;
    cursor->key = cursor->done ? 0 : leaf->words[LEAF_LAST + leaf->count - 1] + 1;
    return true;
}

bool ps_range_cursor_next(struct ps_range_cursor *cursor, struct ps_range *range)
{
    if (cursor == NULL || range == NULL)
        return false;
    if (cursor->index == cursor->count && !enter_leaf(cursor))
        return false;
    *range = ps_range_entry(cursor->leaf, cursor->index++);
    return true;
}

uint64_t ps_range_tree_for_each(const struct ps_range_tree *tree, uint64_t first, uint64_t last,
                                bool (*visit)(void *context, const struct ps_range *range),
                                void *context)
{
    struct ps_range_cursor cursor = ps_range_tree_cursor(tree, first);
    struct ps_range range;
    uint64_t visited = 0;

    if (visit == NULL)
        return 0;
    while (ps_range_cursor_next(&cursor, &range) && range.first <= last) {
        visited++;
        if (!visit(context, &range))
            break;
    }
    return visited;
}
