/* A range tree on a machine of its own, and all of its state for comparison. */
#ifndef TESTS_UNIT_RANGE_TREE_FIXTURE_H
#define TESTS_UNIT_RANGE_TREE_FIXTURE_H

#include <pagestage/range_tree.h>

#include "harness/test.h"
#include "machine/machine.h"

enum { TREE_FRAMES = 512 };

struct tree_fixture {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_range_tree tree;
    uint64_t frames; /* of the machine */
};

/*
 * Run `body` with an empty tree. Afterwards it must be valid, and give all its frames back when
 * it is destroyed.
 */
void tree_with(struct test *test, uint64_t frames,
               void (*body)(struct test *test, struct tree_fixture *f));

/* TREE_CASE(name) { ... uses test and f ... } */
#define TREE_CASE(name) TREE_CASE_OF(name, TREE_FRAMES)
#define TREE_CASE_OF(name, frames)                                    \
    static void name##_in(struct test *test, struct tree_fixture *f); \
    static void name(struct test *test)                               \
    {                                                                 \
        tree_with(test, (frames), name##_in);                         \
    }                                                                 \
    static void name##_in(struct test *test, struct tree_fixture *f)

/* Insert [first, last] with a value that follows from `first`; expects success. */
void tree_add(struct test *test, struct tree_fixture *f, uint64_t first, uint64_t last);
/* [0, 11], [16, 27], ... */
void tree_fill(struct test *test, struct tree_fixture *f, uint64_t count);
uint64_t tree_value(uint64_t first);

/* What is in the tree, as a text: "0-11 16-27=5": a value is told when it is not the usual. */
const char *tree_text(const struct ps_range_tree *tree);
#define EXPECT_RANGES(expected) EXPECT_TEXT(tree_text(&f->tree), expected)

/* The range there, as a text, or "-". */
const char *tree_range_text(bool found, const struct ps_range *range);

/* Everything that a failed call must leave alone. */
struct tree_state {
    struct ps_range_tree tree;
    uint64_t in_use; /* frames of the pool */
    uint64_t free;
    uint64_t contents; /* of all allocated frames, and their tags, as one number */
};

struct tree_state tree_state(struct tree_fixture *f);
/* The same, and valid. */
void tree_expect_same(struct test *test, struct tree_fixture *f, const struct tree_state *before);

/* The call answers `status` and nothing has changed. */
#define EXPECT_REFUSED(call, status)                    \
    do {                                                \
        struct tree_state state_before = tree_state(f); \
        EXPECT_STATUS(call, status);                    \
        tree_expect_same(test, f, &state_before);       \
    } while (0)

#endif
