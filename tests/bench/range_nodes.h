/*
 * A balanced binary tree (AVL) whose nodes hold up to SLOTS ranges each, in order: with 1 slot the
 * classical tree of ranges, with 16 that of nodes with slots. Included by the two baselines.
 *
 * A full node gives its upper half to a new one. Nodes come from an array, as fast as can be.
 */
#include <stdlib.h>

#include "range_baseline.h"

struct node {
    struct node *child[2];
    uint32_t height;
    uint32_t count;
    struct ps_range ranges[SLOTS];
};

struct store {
    struct node *root;
    struct node *spare;
    struct node *nodes;
    uint64_t capacity;
    uint64_t fresh; /* nodes of the array that were never used */
    uint64_t used;
};

/* ---- nodes ---- */

static struct node *take_node(struct store *store)
{
    struct node *node = store->spare;

    if (node != NULL)
        store->spare = node->child[0];
    else if (store->fresh < store->capacity)
        node = &store->nodes[store->fresh++];
    else
        return NULL;
    store->used++;
    node->child[0] = node->child[1] = NULL;
    node->height = 1;
    node->count = 0;
    return node;
}

static void give_node(struct store *store, struct node *node)
{
    node->child[0] = store->spare;
    store->spare = node;
    store->used--;
}

/* ---- balance ---- */

static uint32_t height_of(const struct node *node)
{
    return node != NULL ? node->height : 0;
}

static void measure(struct node *node)
{
    uint32_t left = height_of(node->child[0]);
    uint32_t right = height_of(node->child[1]);

    node->height = 1 + (left > right ? left : right);
}

/* The child on `side` comes up. */
static struct node *rotate(struct node *node, unsigned side)
{
    struct node *up = node->child[side];

    node->child[side] = up->child[!side];
    up->child[!side] = node;
    measure(node);
    measure(up);
    return up;
}

static struct node *balance(struct node *node)
{
    uint32_t left = height_of(node->child[0]);
    uint32_t right = height_of(node->child[1]);

    if (left > right + 1 || right > left + 1) {
        unsigned side = right > left;
        struct node *heavy = node->child[side];

        if (height_of(heavy->child[!side]) > height_of(heavy->child[side]))
            node->child[side] = rotate(heavy, !side);
        return rotate(node, side);
    }
    measure(node);
    return node;
}

static struct node *add(struct node *root, struct node *node)
{
    unsigned side;

    if (root == NULL)
        return node;
    side = node->ranges[0].first > root->ranges[0].first;
    root->child[side] = add(root->child[side], node);
    return balance(root);
}

static struct node *drop_first(struct node *root, struct node **first)
{
    if (root->child[0] == NULL) {
        *first = root;
        return root->child[1];
    }
    root->child[0] = drop_first(root->child[0], first);
    return balance(root);
}

/* Take the node with that first range out. */
static struct node *drop(struct node *root, const struct node *node, uint64_t first)
{
    struct node *heir;
    struct node *right;

    if (root != node) {
        unsigned side = first > root->ranges[0].first;

        root->child[side] = drop(root->child[side], node, first);
        return balance(root);
    }
    if (root->child[0] == NULL || root->child[1] == NULL)
        return root->child[root->child[0] == NULL];
    right = drop_first(root->child[1], &heir);
    heir->child[0] = root->child[0];
    heir->child[1] = right;
    return balance(heir);
}

/* ---- ranges ---- */

/* The node with the last range that begins at `key` or before it; else NULL. */
static struct node *floor_of(const struct store *store, uint64_t key)
{
    struct node *found = NULL;

    for (struct node *node = store->root; node != NULL;) {
        if (node->ranges[0].first <= key) {
            found = node;
            node = node->child[1];
        } else {
            node = node->child[0];
        }
    }
    return found;
}

/* Which range of the node is the last one that begins at `key` or before it. */
static uint32_t slot_of(const struct node *node, uint64_t key)
{
    uint32_t slot = 0;

    while (slot + 1 < node->count && node->ranges[slot + 1].first <= key)
        slot++;
    return slot;
}

static void put(struct node *node, uint32_t slot, const struct ps_range *range)
{
    for (uint32_t i = node->count; i > slot; i--)
        node->ranges[i] = node->ranges[i - 1];
    node->ranges[slot] = *range;
    node->count++;
}

static bool new_node(struct store *store, const struct ps_range *ranges, uint32_t count)
{
    struct node *node = take_node(store);

    if (node == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        node->ranges[i] = ranges[i];
    node->count = count;
    store->root = add(store->root, node);
    return true;
}

static bool insert(void *self, const struct ps_range *range)
{
    struct store *store = self;
    struct node *node = floor_of(store, range->first);
    uint32_t slot;

    if (node == NULL || SLOTS == 1)
        return new_node(store, range, 1);
    slot = slot_of(node, range->first) + 1;
    if (node->count == SLOTS) {
        if (!new_node(store, node->ranges + SLOTS / 2, SLOTS - SLOTS / 2))
            return false;
        node->count = SLOTS / 2;
        if (slot > SLOTS / 2)
            return insert(self, range);
    }
    put(node, slot, range);
    return true;
}

static bool find(void *self, uint64_t key, struct ps_range *range)
{
    const struct node *node = floor_of(self, key);
    uint32_t slot;

    if (node == NULL)
        return false;
    slot = slot_of(node, key);
    if (node->ranges[slot].last < key)
        return false;
    *range = node->ranges[slot];
    return true;
}

static bool erase(void *self, uint64_t first, struct ps_range *erased)
{
    struct store *store = self;
    struct node *node = floor_of(store, first);
    uint32_t slot;

    if (node == NULL)
        return false;
    slot = slot_of(node, first);
    if (node->ranges[slot].first != first)
        return false;
    *erased = node->ranges[slot];
    if (node->count == 1) {
        store->root = drop(store->root, node, first);
        give_node(store, node);
        return true;
    }
    node->count--;
    for (uint32_t i = slot; i < node->count; i++)
        node->ranges[i] = node->ranges[i + 1];
    return true;
}

static bool cut(void *self, const struct ps_range *middle)
{
    struct node *node = floor_of(self, middle->first);
    struct ps_range *range;
    struct ps_range upper;

    if (node == NULL)
        return false;
    range = &node->ranges[slot_of(node, middle->first)];
    upper = (struct ps_range){middle->last + 1, range->last, range->value};
    range->last = middle->first - 1;
    return insert(self, middle) && insert(self, &upper);
}

/* What follows the first part goes, part by part, from the end. */
static bool join(void *self, const struct ps_range *whole)
{
    struct ps_range part;
    struct node *node;

    while (find(self, whole->last, &part) && part.first != whole->first) {
        struct ps_range before;

        if (!erase(self, part.first, &part) || !find(self, part.first - 1, &before))
            return false;
        node = floor_of(self, before.first);
        node->ranges[slot_of(node, before.first)].last = whole->last;
    }
    node = floor_of(self, whole->first);
    if (node == NULL)
        return false;
    node->ranges[slot_of(node, whole->first)] = *whole;
    return true;
}

static uint64_t sum_below(const struct node *node)
{
    uint64_t sum = 0;

    for (; node != NULL; node = node->child[1]) {
        sum += sum_below(node->child[0]);
        for (uint32_t i = 0; i < node->count; i++)
            sum += node->ranges[i].value;
    }
    return sum;
}

static uint64_t sum(void *self)
{
    const struct store *store = self;

    return sum_below(store->root);
}

static uint64_t bytes(void *self)
{
    const struct store *store = self;

    return store->used * sizeof(struct node);
}

static void empty(void *self)
{
    struct store *store = self;

    store->root = store->spare = NULL;
    store->fresh = store->used = 0;
}

static void close(void *self)
{
    struct store *store = self;

    free(store->nodes);
    free(store);
}

static void *open(uint64_t ranges)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return NULL;
    /* Nodes are at least half full at the moment that they are made; half of that may be erased. */
    store->capacity = SLOTS == 1 ? ranges + 4 : ranges / 2 + 4;
    store->nodes = malloc(store->capacity * sizeof(struct node));
    if (store->nodes != NULL)
        return store;
    free(store);
    return NULL;
}
