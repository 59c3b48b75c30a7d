/*
 * The range tree: disjoint ranges of numbers, each with a value.
 *
 *     0        10    14  15      19                                  2^64 - 1
 *     |         [  A  ]  [   B   ]          [ C ]                     |
 *          gap                      gap              gap
 *
 * A range is [first, last], both inclusive, and 64 bits of the caller's. Ranges do not overlap;
 * they may touch, and stay two ranges until ps_range_tree_merge(). What lies between two of them
 * is a gap. The tree does not know what it counts: pages, frames, anything. 0 and UINT64_MAX are
 * numbers like all others.
 *
 * It is a B+ tree of wide nodes: ranges are in the leaves only, and the node above a leaf knows
 * the leaf's lowest and highest number and its largest gap, and so on upwards. So are lookups and
 * searches for a gap O(log n). Full nodes share with their neighbours before a node is added, and
 * are filled to the end by ranges that come in order.
 *
 * Memory. Nodes are pieces of frames of the pool, with the tag that the caller gave. No call
 * allocates from anywhere else. A tree without ranges and reservations has none; one of many
 * ranges takes about 31 bytes a range when they came in any order, 28 when they came in order,
 * and, after many were erased, at most about twice that. Frames without a node in use go back to
 * the pool at once, but for as many as one insert may need.
 *
 * Reserving. ps_range_tree_insert() and ps_range_tree_split() may need memory. A caller who must
 * not fail halfway reserves first: then the next that many of them cannot fail.
 *
 * Locking: none. The caller lets one call in at a time; calls with a const tree may run side by
 * side. The structure may be moved in memory between calls, and so may machine->direct_map.
 * The pool's own lock is taken by calls that take frames or give them back.
 *
 * In all calls a NULL pointer is PS_INVALID_ARGS or false, and a tree that is not initialised is
 * PS_BAD_STATE or has no ranges. Results are written on success only. Costs: n is the number of
 * ranges.
 */
#ifndef PAGESTAGE_RANGE_TREE_H
#define PAGESTAGE_RANGE_TREE_H

#include <pagestage/frame_pool.h>

struct ps_range {
    uint64_t first;
    uint64_t last; /* inclusive */
    uint64_t value;
};

struct ps_range_tree {
    /* Constant after init. */
    const struct ps_machine *machine;
    struct ps_frame_pool *pool;
    enum ps_frame_tag tag;

    uint32_t height; /* levels of nodes; 0: no ranges */
    uint64_t root;   /* physical address, like every reference to a node or a frame of nodes */
    uint64_t count;  /* ranges */
    uint64_t low;    /* the lowest first, */
    uint64_t high;   /* the highest last, */
    uint64_t gap;    /* and the largest gap between two ranges, when there are any */

    uint64_t reserved; /* inserts that must not fail */
    uint64_t spare;    /* nodes not in use, in both lists of frames: */
    uint64_t partial;  /* in which some nodes are in use, */
    uint64_t empty;    /* or none */
    uint64_t frames;   /* in all */
};

/*
 * A tree without ranges.
 *
 * tree     zero-filled
 * machine  of the pool; both must outlive the tree
 * tag      of the frames that the tree will take
 * PS_BAD_STATE     already initialised; the pool is not
 * PS_INVALID_ARGS  NULL; a tag that is not to allocate with; not the pool's machine
 * Allocates nothing. Cost: O(1).
 */
PS_MUST_CHECK ps_status ps_range_tree_init(struct ps_range_tree *tree,
                                           const struct ps_machine *machine,
                                           struct ps_frame_pool *pool, enum ps_frame_tag tag);

/*
 * Give all frames back, whatever is in the tree; the structure is zero afterwards.
 * PS_BAD_STATE  not initialised
 * Cost: O(nodes).
 */
PS_MUST_CHECK ps_status ps_range_tree_destroy(struct ps_range_tree *tree);

/* ---- reserving ---- */

/*
 * The next `inserts` inserts or splits, however many of either, cannot fail for lack of memory,
 * whatever else is done with the tree meanwhile. Reservations add up; each successful insert and
 * split uses one up, needed or not, when there is one.
 * On failure nothing changed.
 * PS_NO_MEMORY     no frames for all of them
 * PS_INVALID_ARGS  more than the address space could hold
 * Cost: O(1), and O(frames taken): about (height + 1) nodes an insert.
 */
PS_MUST_CHECK ps_status ps_range_tree_reserve(struct ps_range_tree *tree, uint64_t inserts);

/* Take back reservations that are not needed; at most all there are. O(frames given back). */
void ps_range_tree_unreserve(struct ps_range_tree *tree, uint64_t inserts);

/* ---- single ranges ---- */

/*
 * Add a range. It may touch others.
 * On failure nothing changed, reservations included.
 * PS_INVALID_ARGS    first > last
 * PS_ALREADY_EXISTS  overlaps a range of the tree
 * PS_NO_MEMORY       nothing was reserved and there is no frame
 * Cost: O(log n).
 */
PS_MUST_CHECK ps_status ps_range_tree_insert(struct ps_range_tree *tree,
                                             const struct ps_range *range);

/* The range that contains `key`; false when none does. `range` may be NULL. O(log n). */
bool ps_range_tree_find(const struct ps_range_tree *tree, uint64_t key, struct ps_range *range);

/* The lowest range that ends at `key` or after it: that contains it, or is the next. O(log n). */
bool ps_range_tree_next(const struct ps_range_tree *tree, uint64_t key, struct ps_range *range);

/* The highest range that begins at `key` or before it. O(log n). */
bool ps_range_tree_previous(const struct ps_range_tree *tree, uint64_t key, struct ps_range *range);

/*
 * Remove the range that begins at `first`, and tell what it was (`erased` may be NULL). False
 * when no range begins there. Never fails for lack of memory. O(log n).
 */
bool ps_range_tree_erase(struct ps_range_tree *tree, uint64_t first, struct ps_range *erased);

/* Give the range that contains `key` another value; false when none does. O(log n). */
bool ps_range_tree_set_value(struct ps_range_tree *tree, uint64_t key, uint64_t value);

/*
 * Give the range that begins at `first` other bounds, anywhere between its neighbours; it keeps
 * its value. Needs no memory. On failure nothing changed.
 * PS_INVALID_ARGS    new_first > new_last
 * PS_NOT_FOUND       no range begins at `first`
 * PS_ALREADY_EXISTS  it would overlap a neighbour, or reach beyond it
 * Cost: O(log n).
 */
PS_MUST_CHECK ps_status ps_range_tree_resize(struct ps_range_tree *tree, uint64_t first,
                                             uint64_t new_first, uint64_t new_last);

/*
 * Cut the range that contains `key` in two: [first, key - 1] keeps its value, [key, last] gets
 * `upper_value`. On failure nothing changed.
 * PS_NOT_FOUND     no range contains `key`
 * PS_INVALID_ARGS  `key` is the first number of its range
 * PS_NO_MEMORY     nothing was reserved and there is no frame
 * Cost: O(log n).
 */
PS_MUST_CHECK ps_status ps_range_tree_split(struct ps_range_tree *tree, uint64_t key,
                                            uint64_t upper_value);

/*
 * Make one of the range that contains `key` and of the one right behind it, with the value of the
 * first. Needs no memory; false when there are no such two. O(log n).
 */
bool ps_range_tree_merge(struct ps_range_tree *tree, uint64_t key);

/* ---- everything between two numbers ---- */

/*
 * Afterwards no range contains a number of [first, last]: ranges inside are erased, those that
 * reach in from outside are cut off and keep their values, as do both ends of a range that
 * reaches in from both sides: that makes two of it.
 * On failure nothing changed.
 * PS_INVALID_ARGS  first > last
 * PS_NO_MEMORY     only for a range that reaches in from both sides: it counts as an insert
 * Cost: O(log n + ranges inside).
 */
PS_MUST_CHECK ps_status ps_range_tree_clear(struct ps_range_tree *tree, uint64_t first,
                                            uint64_t last);

/*
 * The same, and then `range` is inserted: whatever was there has the new value now. One search
 * where ps_range_tree_split(), set_value and merge would need one each.
 * On failure nothing changed.
 * PS_INVALID_ARGS  first > last
 * PS_NO_MEMORY     it may count as two inserts; of reservations it uses up no more than two, and
 *                  at least as many as there are more ranges afterwards
 * Cost: O(log n + ranges inside).
 */
PS_MUST_CHECK ps_status ps_range_tree_replace(struct ps_range_tree *tree,
                                              const struct ps_range *range);

/* ---- gaps ---- */

struct ps_gap_request {
    uint64_t low; /* what is found lies in [low, high] */
    uint64_t high;
    uint64_t size;   /* numbers; not 0 */
    uint64_t align;  /* of the first of them: a power of two; 0 means 1 */
    uint64_t before; /* numbers without a range right before it, */
    uint64_t after;  /* and right behind it; these may lie outside of [low, high], and where the
                        numbers end there are none to be kept */
    bool highest;    /* the last place there is, not the first */
};

/*
 * Find the first (lowest), or last (highest), place for `size` numbers that are in no range. The
 * tree is not changed. Neighbours may share what they keep free: who wants 2 numbers between any
 * two ranges asks for 2 before and 2 after.
 * PS_INVALID_ARGS  low > high, no size, an alignment that is not a power of two
 * PS_NO_SPACE      there is no such place
 * Cost: O(log n) without an alignment. With one: O(log n) for each gap that is large enough but
 * has no aligned place; of these 16 are tried, then the first (last) place in a gap that is
 * large enough for any alignment is taken, O(log n), and is not the very first (last) perhaps.
 * Only where there is no such gap either all others are tried: O(gaps of that size * log n).
 */
PS_MUST_CHECK ps_status ps_range_tree_find_gap(const struct ps_range_tree *tree,
                                               const struct ps_gap_request *request,
                                               uint64_t *first);

/*
 * The most consecutive numbers of [low, high] that are in no range; 0 when there are none, and
 * UINT64_MAX also when there is one more. O(log n).
 */
uint64_t ps_range_tree_largest_gap(const struct ps_range_tree *tree, uint64_t low, uint64_t high);

/* ---- all of them ---- */

/* A place between ranges. No longer valid once the tree was changed. */
struct ps_range_cursor {
    const struct ps_range_tree *tree;
    const void *leaf;
    uint32_t index; /* the next one there, */
    uint32_t count; /* of so many */
    uint64_t key;   /* where to search when these are done; */
    bool done;      /* unless there are no more */
};

/* Before the lowest range that ends at `key` or after it. Allocates nothing. O(1). */
struct ps_range_cursor ps_range_tree_cursor(const struct ps_range_tree *tree, uint64_t key);

/* The next range in ascending order; false behind the last one. O(1) on average. */
bool ps_range_cursor_next(struct ps_range_cursor *cursor, struct ps_range *range);

/*
 * Visit the ranges with a number in [first, last], uncut, in ascending order, until `visit`
 * returns false. It must not change the tree. How many were visited. O(log n + visited).
 */
uint64_t ps_range_tree_for_each(const struct ps_range_tree *tree, uint64_t first, uint64_t last,
                                bool (*visit)(void *context, const struct ps_range *range),
                                void *context);

/* ---- asking ---- */

struct ps_range_tree_snapshot {
    uint64_t count;    /* ranges */
    uint64_t frames;   /* of the pool: all the memory that there is */
    uint64_t nodes;    /* in use, */
    uint64_t spare;    /* and not */
    uint64_t reserved; /* inserts */
    uint64_t largest;  /* gap between two ranges */
    uint32_t height;
};

/* All zero when not initialised. O(1). */
void ps_range_tree_snapshot(const struct ps_range_tree *tree,
                            struct ps_range_tree_snapshot *snapshot);

/*
 * Ranges in order and disjoint, every bound and gap of every node right, nodes neither too full
 * nor too empty, all frames ours with our tag, every node of them in use or spare, and enough
 * spare ones for what is reserved.
 * PS_BAD_STATE; PS_CORRUPT with one line to `sink`. O(n).
 */
PS_MUST_CHECK ps_status ps_range_tree_validate(const struct ps_range_tree *tree,
                                               const struct ps_sink *sink);

#endif
