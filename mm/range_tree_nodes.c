#include "range_tree_private.h"

static struct ps_range_frame *frame_at(const struct ps_range_tree *tree, uint64_t reference)
{
    return ps_range_pointer(tree, reference & ~PS_PAGE_MASK);
}

/* ---- the two lists of frames with free nodes ---- */

static void link_frame(const struct ps_range_tree *tree, uint64_t *list, uint64_t frame)
{
    struct ps_range_frame *head = frame_at(tree, frame);

    head->previous = 0;
    head->next = *list;
    if (*list != 0)
        frame_at(tree, *list)->previous = frame;
    *list = frame;
}

static void unlink_frame(const struct ps_range_tree *tree, uint64_t *list, uint64_t frame)
{
    const struct ps_range_frame *head = frame_at(tree, frame);

    if (head->next != 0)
        frame_at(tree, head->next)->previous = head->previous;
    if (head->previous != 0)
        frame_at(tree, head->previous)->next = head->next;
    else
        *list = head->next;
}

/* ---- frames ---- */

static ps_status take_frame(struct ps_range_tree *tree)
{
    struct ps_range_frame *head;
    ps_frame_t frame;
    uint64_t reference;
    ps_status status = ps_frame_pool_alloc(tree->pool, PS_FRAME_4K, tree->tag, 0, &frame);

    if (status != PS_OK)
        return status;
    reference = ps_phys_of_frame(frame).addr;
    head = frame_at(tree, reference);
    head->used = 0;
    head->free = 0;
    for (unsigned i = NODES; i > 0; i--) {
        head->nodes[i - 1].words[0] = head->free;
        head->free = reference + offsetof(struct ps_range_frame, nodes) +
                     (i - 1) * sizeof(struct ps_range_node);
    }
    link_frame(tree, &tree->empty, reference);
    tree->spare += NODES;
    tree->frames++;
    return PS_OK;
}

static void give_frame(struct ps_range_tree *tree)
{
    uint64_t reference = tree->empty;
    ps_status status;

    unlink_frame(tree, &tree->empty, reference);
    tree->spare -= NODES;
    tree->frames--;
    status = ps_frame_pool_free(tree->pool, ps_frame_of_phys(ps_phys(reference)), ps_pages(1));
    /* Refused only when somebody else gave our frame away; there is no better place for it. */
    (void)status;
}

ps_status ps_range_cover(struct ps_range_tree *tree, uint64_t inserts)
{
    uint64_t need = ps_range_need(tree, inserts);
    uint64_t taken = 0;

    /* Nobody is made to wait for a hopeless request. */
    if (need > tree->spare &&
        (need - tree->spare - 1) / NODES >= ps_frame_pool_whole(tree->pool, PS_FRAME_4K))
        return PS_NO_MEMORY;
    while (tree->spare < need) {
        ps_status status = take_frame(tree);

        if (status != PS_OK) {
            for (; taken > 0; taken--)
                give_frame(tree);
            return status;
        }
        taken++;
    }
    return PS_OK;
}

void ps_range_trim(struct ps_range_tree *tree)
{
    /* What the next insert may need stays: else every other insert took a frame. */
    uint64_t need = ps_range_need(tree, tree->reserved + (tree->count != 0 ? 1 : 0));

    while (tree->empty != 0 && tree->spare - NODES >= need)
        give_frame(tree);
}

/* ---- nodes ---- */

uint64_t ps_range_node_take(struct ps_range_tree *tree, unsigned level)
{
    uint64_t frame = tree->partial != 0 ? tree->partial : tree->empty;
    struct ps_range_frame *head = frame_at(tree, frame);
    uint64_t reference = head->free;
    struct ps_range_node *node = ps_range_node(tree, reference);

    head->free = node->words[0];
    if (head->used == 0) {
        unlink_frame(tree, &tree->empty, frame);
        link_frame(tree, &tree->partial, frame);
    }
    if (++head->used == NODES)
        unlink_frame(tree, &tree->partial, frame);
    tree->spare--;
    for (unsigned i = 0; i < (level == 0 ? PS_RANGE_KEYS(LEAF) : PS_RANGE_KEYS(INNER)); i++)
        node->words[i] = UINT64_MAX;
    node->count = 0;
    return reference;
}

void ps_range_node_give(struct ps_range_tree *tree, uint64_t reference)
{
    uint64_t frame = reference & ~PS_PAGE_MASK;
    struct ps_range_frame *head = frame_at(tree, frame);

    ps_range_node(tree, reference)->words[0] = head->free;
    head->free = reference;
    if (head->used == NODES)
        link_frame(tree, &tree->partial, frame);
    if (--head->used == 0) {
        unlink_frame(tree, &tree->partial, frame);
        link_frame(tree, &tree->empty, frame);
    }
    tree->spare++;
}

static void give_below(struct ps_range_tree *tree, uint64_t reference, unsigned level)
{
    const struct ps_range_node *node = ps_range_node(tree, reference);

    for (uint64_t i = 0; level > 0 && i < node->count; i++)
        give_below(tree, node->words[INNER_CHILD + i], level - 1);
    ps_range_node_give(tree, reference);
}

void ps_range_nodes_give(struct ps_range_tree *tree)
{
    if (tree->height != 0)
        give_below(tree, tree->root, tree->height - 1);
    tree->root = 0;
    tree->height = 0;
    tree->count = 0;
}
