#include "range_tree_private.h"

void ps_range_tree_snapshot(const struct ps_range_tree *tree,
                            struct ps_range_tree_snapshot *snapshot)
{
    if (tree == NULL || snapshot == NULL)
        return;
    *snapshot = (struct ps_range_tree_snapshot){
        .count = tree->count,
        .frames = tree->frames,
        .nodes = tree->frames * NODES - tree->spare,
        .spare = tree->spare,
        .reserved = tree->reserved,
        .largest = tree->height != 0 ? tree->gap : 0,
        .height = tree->height,
    };
}

/* ---- validate ---- */

/* Where the walk stands, and to whom the first breach is told. */
struct check {
    const struct ps_range_tree *tree;
    const struct ps_sink *sink;
    uint64_t ranges;
    uint64_t nodes;
    uint64_t free; /* nodes in lists */
    uint64_t used; /* nodes in frames of the list of partly used ones */
    uint64_t last; /* of the range before, when there is one */
};

/* What the node above should know of a node, as it was found. */
struct found {
    uint64_t low;
    uint64_t high;
    uint64_t gap;
};

static bool breach(const struct check *check, const char *what, uint64_t number)
{
    ps_print(check->sink, "range tree: %s at 0x%" PS_PRIx "\n", what, number);
    return false;
}

static bool is_ours(const struct check *check, uint64_t reference)
{
    struct ps_frame_info info = {0};
    ps_status status =
        ps_frame_pool_query(check->tree->pool, ps_frame_of_phys(ps_phys(reference)), &info);

    (void)status; /* OK, as there is a pool */
    return info.managed && info.tag == check->tree->tag;
}

static bool is_node(uint64_t reference)
{
    uint64_t offset = reference & PS_PAGE_MASK;

    return offset >= offsetof(struct ps_range_frame, nodes) &&
           (offset - offsetof(struct ps_range_frame, nodes)) % sizeof(struct ps_range_node) == 0 &&
           offset < sizeof(struct ps_range_frame);
}

static bool check_range(struct check *check, const struct ps_range *range, struct found *found)
{
    if (range->first > range->last)
        return breach(check, "a range ends before it begins", range->first);
    if (check->ranges != 0 && range->first <= check->last)
        return breach(check, "ranges overlap or are not in order", range->first);
    if (found->low > found->high) /* the first one here */
        found->low = range->first;
    else
        found->gap = ps_max(found->gap, range->first - check->last - 1);
    found->high = check->last = range->last;
    check->ranges++;
    return true;
}

static bool check_leaf(struct check *check, const struct ps_range_node *leaf, struct found *found)
{
    for (unsigned i = 0; i < leaf->count; i++) {
        struct ps_range range = ps_range_entry(leaf, i);

        if (!check_range(check, &range, found))
            return false;
    }
    return true;
}

static bool check_node(struct check *check, uint64_t reference, unsigned level,
                       struct found *found);

static bool check_inner(struct check *check, const struct ps_range_node *inner, unsigned level,
                        struct found *found)
{
    for (uint64_t i = 0; i < inner->count; i++) {
        const uint64_t *words = inner->words + i;
        uint64_t before = check->last;
        struct found child;

        if (!check_node(check, words[INNER_CHILD], level - 1, &child))
            return false;
        if (words[INNER_HIGH] != child.high || words[INNER_LOW] != child.low ||
            words[INNER_GAP] != child.gap)
            return breach(check, "a node knows its child wrongly", child.low);
        if (i == 0)
            found->low = child.low;
        else
            found->gap = ps_max(found->gap, child.low - before - 1);
        found->gap = ps_max(found->gap, child.gap);
        found->high = child.high;
    }
    return true;
}

static bool check_node(struct check *check, uint64_t reference, unsigned level, struct found *found)
{
    const struct ps_range_node *node;
    uint64_t capacity = level == 0 ? LEAF : INNER;
    uint64_t keys = level == 0 ? PS_RANGE_KEYS(LEAF) : PS_RANGE_KEYS(INNER);

    *found = (struct found){.low = UINT64_MAX};
    if (!is_node(reference) || !is_ours(check, reference))
        return breach(check, "a node in a foreign place", reference);
    node = ps_range_node(check->tree, reference);
    if (node->count < (level == 0 ? 1 : 2) || node->count > capacity)
        return breach(check, "a node too full or too empty", reference);
    for (uint64_t i = node->count; i < keys; i++)
        if (node->words[i] != UINT64_MAX)
            return breach(check, "an unused place that is not empty", reference);
    if (check->nodes++ == check->tree->frames * NODES)
        return breach(check, "more nodes than there is room for", reference);
    return level == 0 ? check_leaf(check, node, found) : check_inner(check, node, level, found);
}

static bool check_tree(struct check *check)
{
    const struct ps_range_tree *tree = check->tree;
    struct found found;

    if (tree->height > LEVELS)
        return breach(check, "more levels than there can be", tree->height);
    if (tree->height != 0) {
        if (!check_node(check, tree->root, tree->height - 1, &found))
            return false;
        if (tree->low != found.low || tree->high != found.high || tree->gap != found.gap)
            return breach(check, "the tree knows its root wrongly", found.low);
    }
    if (check->ranges != tree->count)
        return breach(check, "ranges counted wrongly", tree->count);
    return true;
}

/* A frame in one of the lists. */
static bool check_frame(struct check *check, uint64_t reference, bool empty)
{
    const struct ps_range_frame *frame = ps_range_pointer(check->tree, reference);
    uint64_t free = 0;

    for (uint64_t node = frame->free; node != 0 && free <= NODES; free++) {
        if ((node & ~PS_PAGE_MASK) != reference || !is_node(node))
            return breach(check, "a spare node in a foreign place", node);
        node = ps_range_node(check->tree, node)->words[0];
    }
    if (free == 0 || free != NODES - frame->used || (free == NODES) != empty)
        return breach(check, "nodes of a frame counted wrongly", reference);
    check->free += free;
    return true;
}

static bool check_list(struct check *check, uint64_t list, bool empty)
{
    uint64_t previous = 0;

    for (uint64_t reference = list; reference != 0;) {
        const struct ps_range_frame *frame = ps_range_pointer(check->tree, reference);

        if ((reference & PS_PAGE_MASK) != 0 || !is_ours(check, reference))
            return breach(check, "a foreign frame in a list", reference);
        if (frame->previous != previous)
            return breach(check, "a broken list", reference);
        if (!check_frame(check, reference, empty))
            return false;
        previous = reference;
        reference = frame->next;
    }
    return true;
}

static bool check_memory(struct check *check)
{
    const struct ps_range_tree *tree = check->tree;

    if (!check_list(check, tree->partial, false) || !check_list(check, tree->empty, true))
        return false;
    if (check->free != tree->spare || check->nodes + check->free != tree->frames * NODES)
        return breach(check, "nodes lost or counted wrongly", check->nodes);
    if (tree->spare < tree->reserved)
        return breach(check, "fewer nodes than are reserved", tree->reserved);
    return true;
}

ps_status ps_range_tree_validate(const struct ps_range_tree *tree, const struct ps_sink *sink)
{
    struct check check = {.tree = tree, .sink = sink};

    if (tree == NULL)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    return check_tree(&check) && check_memory(&check) ? PS_OK : PS_CORRUPT;
}
