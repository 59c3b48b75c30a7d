#include "range_tree_private.h"

/* Nodes side by side below one parent, and how many entries each of them is to have. */
struct window {
    struct ps_range_node *node[WINDOW + 1];
    unsigned target[WINDOW + 1];
    unsigned first; /* the place of the first in the parent */
    unsigned nodes;
    unsigned total; /* entries of all */
};

static unsigned capacity_of(unsigned level)
{
    return level == 0 ? LEAF : INNER;
}

/* ---- moving entries between neighbours ---- */

static uint64_t *column(struct ps_range_node *node, unsigned level, unsigned number)
{
    unsigned capacity = capacity_of(level);

    return node->words + (number == 0 ? 0 : PS_RANGE_KEYS(capacity) + (number - 1) * capacity);
}

static void move_words(uint64_t *to, const uint64_t *from, uint64_t count)
{
    __builtin_memmove(to, from, count * sizeof(*to));
}

static unsigned columns_of(unsigned level)
{
    return level == 0 ? (unsigned)LEAF_COLUMNS : (unsigned)INNER_COLUMNS;
}

/* Entries [from, from + count) of one node become [to, to + count) of another or of itself. */
static void copy_entries(struct ps_range_node *target, unsigned to, struct ps_range_node *source,
                         unsigned from, unsigned count, unsigned level)
{
    for (unsigned c = 0; c < columns_of(level); c++)
        move_words(column(target, level, c) + to, column(source, level, c) + from, count);
}

static void set_count(struct ps_range_node *node, unsigned count)
{
    for (uint64_t i = count; i < node->count; i++)
        node->words[i] = UINT64_MAX;
    node->count = count;
}

/* The last `count` entries of `left` become the first ones of `right`. */
static void move_right(struct ps_range_node *left, struct ps_range_node *right, unsigned count,
                       unsigned level)
{
    copy_entries(right, count, right, 0, (unsigned)right->count, level);
    copy_entries(right, 0, left, (unsigned)left->count - count, count, level);
    set_count(right, (unsigned)right->count + count);
    set_count(left, (unsigned)left->count - count);
}

/* The first `count` entries of `right` become the last ones of `left`. */
static void move_left(struct ps_range_node *left, struct ps_range_node *right, unsigned count,
                      unsigned level)
{
    copy_entries(left, (unsigned)left->count, right, 0, count, level);
    copy_entries(right, 0, right, count, (unsigned)right->count - count, level);
    set_count(left, (unsigned)left->count + count);
    set_count(right, (unsigned)right->count - count);
}

/* How many entries the nodes up to `last` have too many; negative: too few. */
static int surplus_of(const struct window *window, unsigned last)
{
    int surplus = 0;

    for (unsigned i = 0; i <= last; i++)
        surplus += (int)window->node[i]->count - (int)window->target[i];
    return surplus;
}

/* Move what can be moved now of the surplus left of node i + 1. How many entries that were. */
static unsigned move_between(const struct window *window, unsigned i, int surplus, unsigned level)
{
    struct ps_range_node *left = window->node[i];
    struct ps_range_node *right = window->node[i + 1];
    uint64_t source = surplus > 0 ? left->count : right->count;
    uint64_t room = capacity_of(level) - (surplus > 0 ? right->count : left->count);
    uint64_t wanted = (uint64_t)(surplus > 0 ? surplus : -surplus);
    unsigned count = (unsigned)ps_min(wanted, ps_min(source, room));

    if (count == 0)
        return 0;
    if (surplus > 0)
        move_right(left, right, count, level);
    else
        move_left(left, right, count, level);
    return count;
}

/*
 * Give every node its target. Where a node cannot pass on all at once, because it has less or
 * its neighbour no room, another round does it: a node that is full or empty is itself due to
 * change, so in each round something moves until all is done.
 */
static void spread(const struct window *window, unsigned level)
{
    unsigned moved;

    do {
        moved = 0;
        for (unsigned i = 0; i + 1 < window->nodes; i++)
            moved += move_between(window, i, surplus_of(window, i), level);
    } while (moved != 0);
}

/* The same for all but for one more in the first ones. */
static void aim_evenly(struct window *window, unsigned nodes)
{
    for (unsigned i = 0; i < window->nodes; i++)
        window->target[i] =
            i < nodes ? window->total / nodes + (i < window->total % nodes ? 1 : 0) : 0;
}

static void open_window(const struct ps_range_tree *tree, struct ps_range_node *parent, unsigned at,
                        unsigned most, struct window *window)
{
    unsigned count = (unsigned)parent->count;
    unsigned nodes = count < most ? count : most;
    unsigned first = at > most / 2 ? at - most / 2 : 0;

    window->nodes = nodes;
    window->first = first < count - nodes ? first : count - nodes;
    window->total = 0;
    for (unsigned i = 0; i < nodes; i++) {
        window->node[i] = ps_range_node(tree, parent->words[INNER_CHILD + window->first + i]);
        window->total += (unsigned)window->node[i]->count;
    }
}

static void write_window(const struct window *window, struct ps_range_node *parent, unsigned level)
{
    for (unsigned i = 0; i < window->nodes; i++) {
        struct ps_range_summary now = ps_range_summary_of(window->node[i], level);

        (void)ps_range_write_summary(parent, window->first + i, &now);
    }
}

/* ---- making room ---- */

/* An empty node behind the last of the window; the parent has a place for it. */
static void widen(struct ps_range_tree *tree, struct ps_range_node *parent, struct window *window,
                  unsigned level)
{
    unsigned at = window->first + window->nodes;
    uint64_t child = ps_range_node_take(tree, level);

    copy_entries(parent, at + 1, parent, at, (unsigned)parent->count - at, level + 1);
    parent->words[INNER_CHILD + at] = child;
    parent->count++;
    window->node[window->nodes++] = ps_range_node(tree, child);
}

/* A root above the root. */
static void grow(struct ps_range_tree *tree)
{
    uint64_t reference = ps_range_node_take(tree, tree->height);
    struct ps_range_node *root = ps_range_node(tree, reference);

    root->words[INNER_HIGH] = tree->high;
    root->words[INNER_LOW] = tree->low;
    root->words[INNER_GAP] = tree->gap;
    root->words[INNER_CHILD] = tree->root;
    root->count = 1;
    tree->root = reference;
    tree->height++;
}

static bool is_beyond(const struct ps_range_tree *tree, uint64_t key)
{
    return key > tree->high || key < tree->low;
}

/*
 * Ranges that come in order fill nodes to the end: the outermost node keeps all but what a node
 * must have, when the range to be inserted lies beyond it.
 */
static bool aim_outwards(const struct ps_range_tree *tree, struct window *window, unsigned level,
                         uint64_t key)
{
    unsigned least = level == 0 ? 1 : 2;

    if (!is_beyond(tree, key))
        return false;
    window->target[0] = key > tree->high ? window->total - least : least;
    window->target[1] = window->total - window->target[0];
    return true;
}

/* Share with neighbours; add a node when they have no room. The parent has a place for one. */
static void relieve(struct ps_range_tree *tree, struct ps_range_node *parent, unsigned at,
                    unsigned level, uint64_t key)
{
    struct window window;

    open_window(tree, parent, at, is_beyond(tree, key) ? 1 : WINDOW, &window);
    widen(tree, parent, &window, level);
    if (!aim_outwards(tree, &window, level, key))
        aim_evenly(&window, window.nodes);
    spread(&window, level);
    write_window(&window, parent, level);
}

/* False: the neighbours have too little room for it to be worth the moving. */
static bool share(struct ps_range_tree *tree, struct ps_range_node *parent, unsigned at,
                  unsigned level, uint64_t key)
{
    unsigned capacity = capacity_of(level);
    struct window window;

    if (is_beyond(tree, key))
        return false;
    open_window(tree, parent, at, WINDOW, &window);
    if (window.total > window.nodes * capacity - window.nodes - capacity / 8)
        return false;
    aim_evenly(&window, window.nodes);
    spread(&window, level);
    write_window(&window, parent, level);
    return true;
}

void ps_range_make_room(struct ps_range_tree *tree, const struct ps_range_path *path, uint64_t key)
{
    for (unsigned level = 0;; level++) {
        struct ps_range_node *parent;

        if (level + 1 == tree->height) {
            grow(tree);
            relieve(tree, ps_range_node(tree, tree->root), 0, level, key);
            return;
        }
        parent = path->node[level + 1];
        if (share(tree, parent, path->index[level + 1], level, key))
            return;
        if (parent->count < INNER) {
            relieve(tree, parent, path->index[level + 1], level, key);
            return;
        }
    }
}

/* ---- joining ---- */

static unsigned least_of(unsigned level)
{
    return capacity_of(level) / 2;
}

/* One node less holds the entries of all, with some room left; or they are too few for all. */
static bool is_one_too_many(const struct window *window, unsigned level)
{
    unsigned room = (window->nodes - 1) * capacity_of(level);

    return window->total <= room - room / 8 || window->total < window->nodes * least_of(level);
}

/* The last of the window has become empty. */
static void narrow(struct ps_range_tree *tree, struct ps_range_node *parent, struct window *window,
                   unsigned level)
{
    unsigned at = window->first + --window->nodes;

    ps_range_node_give(tree, parent->words[INNER_CHILD + at]);
    copy_entries(parent, at, parent, at + 1, (unsigned)parent->count - at - 1, level + 1);
    set_count(parent, (unsigned)parent->count - 1);
}

static void join(struct ps_range_tree *tree, struct ps_range_node *parent, unsigned at,
                 unsigned level)
{
    struct window window;
    bool less;

    open_window(tree, parent, at, WINDOW, &window);
    less = is_one_too_many(&window, level);
    aim_evenly(&window, less ? window.nodes - 1 : window.nodes);
    spread(&window, level);
    if (less)
        narrow(tree, parent, &window, level);
    write_window(&window, parent, level);
}

/* A root with one child, or a leaf without ranges, is a level too many. */
static void lower(struct ps_range_tree *tree, const struct ps_range_path *path)
{
    struct ps_range_node *root = path->node[tree->height - 1];
    uint64_t reference = tree->root;

    if (root->count > (tree->height > 1 ? 1u : 0u))
        return;
    tree->root = tree->height > 1 ? root->words[INNER_CHILD] : 0;
    tree->height--;
    ps_range_node_give(tree, reference);
}

void ps_range_settle(struct ps_range_tree *tree, const struct ps_range_path *path)
{
    unsigned level = 0;

    while (level + 1 < tree->height && path->node[level]->count < least_of(level)) {
        join(tree, path->node[level + 1], path->index[level + 1], level);
        level++;
    }
    if (path->node[level]->count != 0)
        ps_range_refresh(tree, path, level);
    lower(tree, path);
    ps_range_trim(tree);
}
