/* What nodes know of those below them, and how that is kept right. */
#include "range_tree_private.h"

static struct ps_range_summary leaf_summary(const struct ps_range_node *leaf)
{
    const uint64_t *last = leaf->words + LEAF_LAST;
    const uint64_t *first = leaf->words + LEAF_FIRST;
    uint64_t gap = 0;

    for (uint64_t i = 1; i < leaf->count; i++)
        gap = ps_max(gap, first[i] - last[i - 1] - 1);
    return (struct ps_range_summary){last[leaf->count - 1], first[0], gap};
}

static struct ps_range_summary inner_summary(const struct ps_range_node *inner)
{
    const uint64_t *high = inner->words + INNER_HIGH;
    const uint64_t *low = inner->words + INNER_LOW;
    uint64_t gap = inner->words[INNER_GAP];

    for (uint64_t i = 1; i < inner->count; i++)
        gap = ps_max(gap, ps_max(inner->words[INNER_GAP + i], low[i] - high[i - 1] - 1));
    return (struct ps_range_summary){high[inner->count - 1], low[0], gap};
}

struct ps_range_summary ps_range_summary_of(const struct ps_range_node *node, unsigned level)
{
    return level == 0 ? leaf_summary(node) : inner_summary(node);
}

/* False: the parent knew that already. */
bool ps_range_write_summary(struct ps_range_node *parent, unsigned index,
                            const struct ps_range_summary *now)
{
    uint64_t *words = parent->words + index;
    bool changed = words[INNER_HIGH] != now->high || words[INNER_LOW] != now->low ||
                   words[INNER_GAP] != now->gap;

    words[INNER_HIGH] = now->high;
    words[INNER_LOW] = now->low;
    words[INNER_GAP] = now->gap;
    return changed;
}

void ps_range_refresh(struct ps_range_tree *tree, const struct ps_range_path *path, unsigned level)
{
    struct ps_range_summary now = ps_range_summary_of(path->node[level], level);

    for (level++; level < tree->height; level++) {
        struct ps_range_node *parent = path->node[level];

        if (!ps_range_write_summary(parent, path->index[level], &now))
            return;
        now = inner_summary(parent);
    }
    tree->high = now.high;
    tree->low = now.low;
    tree->gap = now.gap;
}

/* ---- when one gap has changed, and no bound ---- */

/* What is known above of the gaps of node `level` of the path. */
static uint64_t *known_gap(struct ps_range_tree *tree, const struct ps_range_path *path,
                           unsigned level)
{
    if (level + 1 == tree->height)
        return &tree->gap;
    return &path->node[level + 1]->words[INNER_GAP + path->index[level + 1]];
}

/* The largest gap of a leaf is now `gap`. */
static void tell_gap(struct ps_range_tree *tree, const struct ps_range_path *path, uint64_t gap)
{
    for (unsigned level = 0;; level++) {
        uint64_t *known = known_gap(tree, path, level);
        uint64_t old = *known;
        uint64_t above;

        if (old == gap)
            return;
        *known = gap;
        if (level + 1 == tree->height)
            return;
        above = *known_gap(tree, path, level + 1);
        /* A larger one is the largest there, too; a smaller one may have been it. */
        if (gap < above && old < above)
            return;
        if (gap < above)
            gap = inner_summary(path->node[level + 1]).gap;
    }
}

/* Entry `at` lies between two others of its leaf. */
static bool is_inside(const struct ps_range_node *leaf, unsigned at)
{
    return at > 0 && at + 1 < leaf->count;
}

void ps_range_refresh_put(struct ps_range_tree *tree, const struct ps_range_path *path)
{
    const struct ps_range_node *leaf = path->node[0];
    unsigned at = path->index[0];
    uint64_t gap;

    if (!is_inside(leaf, at)) {
        ps_range_refresh(tree, path, 0);
        return;
    }
    gap = leaf->words[LEAF_FIRST + at + 1] - leaf->words[LEAF_LAST + at - 1] - 1;
    /* It was not the largest gap that was cut in two. */
    if (gap < *known_gap(tree, path, 0))
        return;
    tell_gap(tree, path, leaf_summary(leaf).gap);
}

void ps_range_refresh_cut(struct ps_range_tree *tree, const struct ps_range_path *path)
{
    const struct ps_range_node *leaf = path->node[0];
    unsigned at = path->index[0]; /* of the entry behind it now */
    uint64_t gap;

    if (at == 0 || at >= leaf->count) {
        ps_range_refresh(tree, path, 0);
        return;
    }
    gap = leaf->words[LEAF_FIRST + at] - leaf->words[LEAF_LAST + at - 1] - 1;
    if (gap > *known_gap(tree, path, 0))
        tell_gap(tree, path, gap);
}
