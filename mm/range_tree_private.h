/*
 * The range tree inside: nodes, and the way from the root to a range.
 *
 * A node is an array of words, and has a column for each thing it knows of its entries:
 *
 *     leaf     | last ...  | first ... | value ... |               | count |
 *     inner    | high ...  | low ...   | gap ...   | child ...     | count |
 *
 * Entries are in ascending order. The first column is what searches go by: unused places in it
 * hold UINT64_MAX, and it ends with a whole line of 8. Bounds are exact: `low` and `high` are the
 * first and the last number of the first and the last range below, not just separators. Therefore
 * a search that starts inside the bounds of the tree never has to turn back, and the gap between
 * two children needs neither of them to be looked at.
 *
 * Nodes are referred to by physical addresses. Level 0 are the leaves.
 */
#ifndef PS_RANGE_TREE_PRIVATE_H
#define PS_RANGE_TREE_PRIVATE_H

#include <pagestage/range_tree.h>

#include "cold_private.h"
#include "hw.h"

/*
 * Geometry: entries of a leaf and of an inner node. With these, five nodes fill a frame, and three
 * levels hold 10 000 ranges. Larger nodes spare a level now and then and make each change slower.
 */
#ifndef PS_RANGE_TREE_LEAF
#define PS_RANGE_TREE_LEAF 32u
#endif
#ifndef PS_RANGE_TREE_INNER
#define PS_RANGE_TREE_INNER 24u
#endif
/* How many neighbours share before one is added. */
#ifndef PS_RANGE_TREE_WINDOW
#define PS_RANGE_TREE_WINDOW 4u
#endif

_Static_assert(PS_RANGE_TREE_INNER >= 4, "the halves of a node are nodes");
_Static_assert(PS_RANGE_TREE_WINDOW >= 2 && PS_RANGE_TREE_WINDOW < PS_RANGE_TREE_LEAF &&
                   PS_RANGE_TREE_WINDOW < PS_RANGE_TREE_INNER,
               "with one node more, each of the full ones gets a free place");

/* The length of the first column. */
#define PS_RANGE_KEYS(capacity) (((capacity) + 7u) / 8u * 8u)
#define PS_RANGE_WORDS(capacity, columns) \
    (PS_RANGE_KEYS(capacity) + ((columns)-1u) * (capacity) + 1u)

enum {
    LEAF = PS_RANGE_TREE_LEAF,
    INNER = PS_RANGE_TREE_INNER,
    WINDOW = PS_RANGE_TREE_WINDOW,

    LEAF_LAST = 0,
    LEAF_FIRST = PS_RANGE_KEYS(LEAF),
    LEAF_VALUE = LEAF_FIRST + LEAF,
    LEAF_COLUMNS = 3,

    INNER_HIGH = 0,
    INNER_LOW = PS_RANGE_KEYS(INNER),
    INNER_GAP = INNER_LOW + INNER,
    INNER_CHILD = INNER_GAP + INNER,
    INNER_COLUMNS = 4,

    LEAF_WORDS = PS_RANGE_WORDS(LEAF, LEAF_COLUMNS),
    INNER_WORDS = PS_RANGE_WORDS(INNER, INNER_COLUMNS),
    MOST_WORDS = LEAF_WORDS > INNER_WORDS ? LEAF_WORDS : INNER_WORDS,
    HEAD_WORDS = 8,
    FRAME_WORDS = 512,
    NODES = (FRAME_WORDS - HEAD_WORDS) / MOST_WORDS, /* in a frame; they share all of it */
    NODE_WORDS = (FRAME_WORDS - HEAD_WORDS) / NODES,

    /*
     * Of a tree whose nodes fill 2^52 bytes: inner nodes are at least half full, but for those at
     * the right and the left edge.
     */
    LEVELS = 32,
};

struct ps_range_node {
    uint64_t words[NODE_WORDS - 1];
    uint64_t count;
};

/* A frame of nodes. Free nodes are linked through their first word. */
struct ps_range_frame {
    uint64_t next;     /* in one of the two lists, when there is a free node */
    uint64_t previous; /* 0: none; page 0 is in no pool */
    uint64_t free;     /* the first free node */
    uint64_t used;     /* nodes */
    uint64_t unused[HEAD_WORDS - 4];
    struct ps_range_node nodes[NODES];
};

_Static_assert(sizeof(struct ps_range_frame) <= PS_PAGE_SIZE, "nodes do not straddle a frame");

/* The way from the root to an entry of a leaf, by levels: nodes, and which entry of each. */
struct ps_range_path {
    struct ps_range_node *node[LEVELS];
    unsigned index[LEVELS];
};

static inline void *ps_range_pointer(const struct ps_range_tree *tree, uint64_t reference)
{
    return ps_hw_pointer(tree->machine, ps_phys(reference));
}

static inline struct ps_range_node *ps_range_node(const struct ps_range_tree *tree,
                                                  uint64_t reference)
{
    return ps_range_pointer(tree, reference);
}

/*
 * How many of the keys are below `key`: which line of 8 keys, all lines being looked at at once,
 * and then which of the 8. Without a jump that could be predicted wrongly, and without a read that
 * waits for another but once; halving the 8 takes fewer instructions and more time. `capacity` is
 * a constant.
 */
static inline unsigned ps_range_rank(const uint64_t *keys, unsigned capacity, uint64_t key)
{
    unsigned rank = 0;

    for (unsigned i = 7; i + 1 < PS_RANGE_KEYS(capacity); i += 8)
        rank += keys[i] < key ? 8u : 0u;
    keys += rank;
    for (unsigned i = 0; i < 8; i++)
        rank += keys[i] < key ? 1u : 0u;
    return rank;
}

static inline struct ps_range ps_range_entry(const struct ps_range_node *leaf, unsigned index)
{
    return (struct ps_range){
        .first = leaf->words[LEAF_FIRST + index],
        .last = leaf->words[LEAF_LAST + index],
        .value = leaf->words[LEAF_VALUE + index],
    };
}

static inline unsigned ps_range_leaf_rank(const struct ps_range_node *leaf, uint64_t key)
{
    return ps_range_rank(leaf->words + LEAF_LAST, LEAF, key);
}

static inline unsigned ps_range_inner_rank(const struct ps_range_node *inner, uint64_t key)
{
    return ps_range_rank(inner->words + INNER_HIGH, INNER, key);
}

/* No range ends at `key` or after it. */
static inline bool ps_range_is_above(const struct ps_range_tree *tree, uint64_t key)
{
    return tree->height == 0 || key > tree->high;
}

/* Make a place for an entry, which the leaf must have; and close one. */
static inline void ps_range_put(struct ps_range_node *leaf, unsigned at,
                                const struct ps_range *range)
{
    uint64_t *words = leaf->words;

    for (unsigned i = (unsigned)leaf->count; i > at; i--) {
        words[LEAF_LAST + i] = words[LEAF_LAST + i - 1];
        words[LEAF_FIRST + i] = words[LEAF_FIRST + i - 1];
        words[LEAF_VALUE + i] = words[LEAF_VALUE + i - 1];
    }
    words[LEAF_LAST + at] = range->last;
    words[LEAF_FIRST + at] = range->first;
    words[LEAF_VALUE + at] = range->value;
    leaf->count++;
}

static inline void ps_range_cut(struct ps_range_node *leaf, unsigned at)
{
    uint64_t *words = leaf->words;

    leaf->count--;
    for (uint64_t i = at; i < leaf->count; i++) {
        words[LEAF_LAST + i] = words[LEAF_LAST + i + 1];
        words[LEAF_FIRST + i] = words[LEAF_FIRST + i + 1];
        words[LEAF_VALUE + i] = words[LEAF_VALUE + i + 1];
    }
    words[LEAF_LAST + leaf->count] = UINT64_MAX;
}

/* ---- nodes and frames: range_tree_nodes.c ---- */

/* Reservations that no machine has the memory for: what is below can be multiplied with levels. */
#define PS_RANGE_RESERVED_MAX (UINT64_MAX >> 8)

/*
 * Nodes that `inserts` inserts may need, whatever is erased between them. Each adds at most one
 * node a level, and erasing never adds one; that makes `inserts` for each level there is. New
 * levels: a node has at least two children, so the old root's level can get 1 + `inserts` nodes,
 * the next one half as many, and so on, which is less than `inserts` in all.
 */
static inline uint64_t ps_range_need(const struct ps_range_tree *tree, uint64_t inserts)
{
    return inserts * (tree->height + 1u);
}

/* Take frames until there are spare nodes for that many inserts: all or none. PS_NO_MEMORY. */
PS_MUST_CHECK ps_status ps_range_cover(struct ps_range_tree *tree, uint64_t inserts);

/*
 * Nodes for inserts that follow at once, be it those that were reserved. Once reserved, no more
 * is asked for: the tree may have become higher, but that was thought of.
 */
PS_MUST_CHECK static inline ps_status ps_range_provide(struct ps_range_tree *tree, uint64_t inserts)
{
    return tree->reserved >= inserts ? PS_OK : ps_range_cover(tree, inserts);
}

/* Give back the frames that are not needed for what is reserved and one insert more. */
void ps_range_trim(struct ps_range_tree *tree);

/* A node without entries, the keys filled; there must be a spare one. */
uint64_t ps_range_node_take(struct ps_range_tree *tree, unsigned level);
void ps_range_node_give(struct ps_range_tree *tree, uint64_t reference);

/* All nodes. */
void ps_range_nodes_give(struct ps_range_tree *tree);

/* ---- what nodes know: range_tree_summary.c ---- */

/* What a node should know of one below it. */
struct ps_range_summary {
    uint64_t high;
    uint64_t low;
    uint64_t gap;
};

struct ps_range_summary ps_range_summary_of(const struct ps_range_node *node, unsigned level);

/* False: the parent knew that already. */
bool ps_range_write_summary(struct ps_range_node *parent, unsigned index,
                            const struct ps_range_summary *now);

/*
 * Node `level` of the path has changed: correct what the nodes above know of it.
 */
void ps_range_refresh(struct ps_range_tree *tree, const struct ps_range_path *path, unsigned level);

/* An entry was put in the leaf of the path, or cut out of it: the same, mostly at once. */
void ps_range_refresh_put(struct ps_range_tree *tree, const struct ps_range_path *path);
void ps_range_refresh_cut(struct ps_range_tree *tree, const struct ps_range_path *path);

/* ---- keeping the shape: range_tree_balance.c ---- */

/*
 * The leaf of the path is full. One step towards room in it: the path is to be looked up again
 * afterwards. At most `height + 1` steps and nodes. `key` is what is to be inserted.
 */
void ps_range_make_room(struct ps_range_tree *tree, const struct ps_range_path *path, uint64_t key);

/* The leaf of the path has lost entries. True: it has enough, and only needs a refresh. */
static inline bool ps_range_is_settled(const struct ps_range_path *path)
{
    return path->node[0]->count >= LEAF / 2;
}

/* The leaf of the path has lost entries: join nodes, then refresh. */
void ps_range_settle(struct ps_range_tree *tree, const struct ps_range_path *path);

/* ---- ways: range_tree.c ---- */

/* The way to the first range that ends at `key` or after it, or behind the last one. */
void ps_range_descend(const struct ps_range_tree *tree, uint64_t key, struct ps_range_path *path);

/* The same; false when no range contains `key`. */
bool ps_range_path_to(const struct ps_range_tree *tree, uint64_t key, struct ps_range_path *path);

/* Where `key` leads is a place for one range more afterwards. Nodes must be at hand. */
void ps_range_find_room(struct ps_range_tree *tree, uint64_t key, struct ps_range_path *path);

/* So many ranges were added: of those that were reserved, if any were. */
void ps_range_used(struct ps_range_tree *tree, uint64_t inserts);

#endif
