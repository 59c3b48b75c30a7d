/* What the tree says of itself, and that it notices what is wrong with it. */
#include "range_tree_fixture.h"

#include <string.h>

#include "range_tree_private.h"
#include "unit_suites.h"

enum { MANY = 2000 };

/* What validate says of the tree as it is now. */
static const char *breach(struct tree_fixture *f)
{
    static char text[128];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    char *end;

    if (ps_range_tree_validate(&f->tree, &sink) == PS_OK)
        return "";
    end = strstr(text, " at 0x");
    if (end != NULL)
        *end = 0;
    return text;
}

/* With one word changed it is corrupt in this way; with the old value it is valid again. */
#define EXPECT_BREACH(place, value, expected)            \
    do {                                                 \
        uint64_t old = (uint64_t)(place);                \
        (place) = (value);                               \
        EXPECT_TEXT(breach(f), "range tree: " expected); \
        (place) = (__typeof__(place))old;                \
        EXPECT_TEXT(breach(f), "");                      \
    } while (0)

TREE_CASE(the_snapshot_counts_what_there_is)
{
    struct ps_range_tree_snapshot now = {.count = 7};

    ps_range_tree_snapshot(NULL, &now);
    ps_range_tree_snapshot(&f->tree, NULL);
    EXPECT_EQ(now.count, 7);
    ps_range_tree_snapshot(&(struct ps_range_tree){0}, &now);
    EXPECT_EQ(now.count + now.frames + now.nodes + now.spare + now.height + now.largest, 0);
    tree_fill(test, f, MANY);
    EXPECT(ps_range_tree_erase(&f->tree, 16 * 5, NULL));
    REQUIRE_OK(ps_range_tree_reserve(&f->tree, 9));
    ps_range_tree_snapshot(&f->tree, &now);
    EXPECT_EQ(now.count, MANY - 1);
    EXPECT_EQ(now.frames, ps_frame_pool_in_use(&f->pool));
    EXPECT_EQ(now.nodes + now.spare, now.frames * NODES);
    EXPECT(now.nodes >= MANY / LEAF);
    EXPECT_EQ(now.reserved, 9);
    EXPECT_EQ(now.largest, 20);
    EXPECT_EQ(now.height, 3);
}

TREE_CASE(validate_needs_a_tree)
{
    EXPECT_STATUS(ps_range_tree_validate(NULL, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_range_tree_validate(&(struct ps_range_tree){0}, NULL), PS_BAD_STATE);
    EXPECT_OK(ps_range_tree_validate(&f->tree, NULL));
}

TREE_CASE(validate_notices_wrong_ranges)
{
    struct ps_range_node *leaf;

    tree_fill(test, f, 10);
    leaf = ps_range_node(&f->tree, f->tree.root);
    EXPECT_BREACH(leaf->words[LEAF_FIRST + 3], 60, "a range ends before it begins");
    EXPECT_BREACH(leaf->words[LEAF_FIRST + 3], 43, "ranges overlap or are not in order");
    EXPECT_BREACH(leaf->words[LEAF_LAST + 9], 200, "the tree knows its root wrongly");
    EXPECT_BREACH(leaf->count, 9, "an unused place that is not empty");
    EXPECT_BREACH(leaf->count, 0, "a node too full or too empty");
    EXPECT_BREACH(leaf->count, LEAF + 1, "a node too full or too empty");
    EXPECT_BREACH(leaf->words[LEAF_LAST + 10], 7, "an unused place that is not empty");
}

TREE_CASE(validate_notices_a_tree_that_knows_itself_wrongly)
{
    tree_fill(test, f, 10);
    EXPECT_BREACH(f->tree.count, 11, "ranges counted wrongly");
    EXPECT_BREACH(f->tree.low, 1, "the tree knows its root wrongly");
    EXPECT_BREACH(f->tree.high, 1, "the tree knows its root wrongly");
    EXPECT_BREACH(f->tree.gap, 5, "the tree knows its root wrongly");
    EXPECT_BREACH(f->tree.height, LEVELS + 1, "more levels than there can be");
    EXPECT_BREACH(f->tree.reserved, NODES, "fewer nodes than are reserved");
}

TREE_CASE(validate_notices_a_wrong_inner_node)
{
    struct ps_range_node *root;
    struct ps_range_node *child;

    tree_fill(test, f, MANY);
    root = ps_range_node(&f->tree, f->tree.root);
    child = ps_range_node(&f->tree, root->words[INNER_CHILD]);
    EXPECT_BREACH(child->words[INNER_LOW + 1], 1, "a node knows its child wrongly");
    EXPECT_BREACH(child->words[INNER_HIGH + 1], 1, "a node knows its child wrongly");
    EXPECT_BREACH(child->words[INNER_GAP + 1], 5, "a node knows its child wrongly");
    EXPECT_BREACH(child->count, 1, "a node too full or too empty");
    EXPECT_BREACH(child->words[INNER_CHILD + 1], child->words[INNER_CHILD + 1] + 8,
                  "a node in a foreign place");
    EXPECT_BREACH(child->words[INNER_CHILD + 1], child->words[INNER_CHILD + 1] & ~PS_PAGE_MASK,
                  "a node in a foreign place");
    EXPECT_BREACH(child->words[INNER_CHILD + 1],
                  (child->words[INNER_CHILD + 1] & ~PS_PAGE_MASK) + sizeof(struct ps_range_frame),
                  "a node in a foreign place");
    EXPECT_BREACH(child->words[INNER_CHILD + 1], 64, "a node in a foreign place");
    EXPECT_BREACH(child->words[INNER_CHILD + 1], child->words[INNER_CHILD],
                  "ranges overlap or are not in order");
}

TREE_CASE(validate_notices_more_nodes_than_there_is_room_for)
{
    tree_fill(test, f, MANY);
    EXPECT_BREACH(f->tree.frames, 1, "more nodes than there is room for");
    EXPECT_BREACH(f->tree.frames, f->tree.frames + 1, "nodes lost or counted wrongly");
}

TREE_CASE(validate_notices_wrong_spare_nodes)
{
    struct ps_range_frame *partial;
    struct ps_range_frame *empty;

    REQUIRE_OK(ps_range_tree_reserve(&f->tree, 12)); /* three frames, two of them empty */
    tree_add(test, f, 1, 2);
    partial = ps_range_pointer(&f->tree, f->tree.partial);
    empty = ps_range_pointer(&f->tree, f->tree.empty);
    EXPECT_BREACH(f->tree.spare, f->tree.spare - 1, "nodes lost or counted wrongly");
    EXPECT_BREACH(partial->used, 2, "nodes of a frame counted wrongly");
    EXPECT_BREACH(empty->used, 1, "nodes of a frame counted wrongly");
    EXPECT_BREACH(partial->free, 0, "nodes of a frame counted wrongly");
    EXPECT_BREACH(partial->free, empty->free, "a spare node in a foreign place");
    EXPECT_BREACH(partial->free, partial->free + 8, "a spare node in a foreign place");
    EXPECT_BREACH(ps_range_node(&f->tree, partial->free)->words[0], partial->free,
                  "nodes of a frame counted wrongly");
    EXPECT_BREACH(empty->previous, f->tree.partial, "a broken list");
    EXPECT_BREACH(empty->next, f->tree.empty, "a broken list");
    EXPECT_BREACH(f->tree.empty, f->tree.partial, "nodes of a frame counted wrongly");
    EXPECT_BREACH(f->tree.partial, f->tree.partial + 64, "a foreign frame in a list");
    EXPECT_BREACH(f->tree.partial, 0, "nodes lost or counted wrongly");
    EXPECT_BREACH(f->tree.empty, 5 * PS_PAGE_SIZE, "a foreign frame in a list");
}

TREE_CASE(validate_notices_a_frame_that_is_not_ours)
{
    tree_add(test, f, 1, 2);
    EXPECT_BREACH(f->tree.tag, PS_FRAME_USER, "a node in a foreign place");
}

static const struct test_case cases[] = {
    TEST_CASE(the_snapshot_counts_what_there_is),
    TEST_CASE(validate_needs_a_tree),
    TEST_CASE(validate_notices_wrong_ranges),
    TEST_CASE(validate_notices_a_tree_that_knows_itself_wrongly),
    TEST_CASE(validate_notices_a_wrong_inner_node),
    TEST_CASE(validate_notices_more_nodes_than_there_is_room_for),
    TEST_CASE(validate_notices_wrong_spare_nodes),
    TEST_CASE(validate_notices_a_frame_that_is_not_ours),
};

const struct test_suite suite_range_tree_check = TEST_SUITE("range_tree_check", cases);
