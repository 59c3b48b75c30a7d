/* What validate must notice: each damage alone, in an arena of several leaves. */
#include "address_arena_fixture.h"

#include <address_arena_private.h>

#include "unit_suites.h"

enum { COUNT = 300 };

/* Allocations of 3 pages; each fourth is freed, and before the last there is a large gap. */
static void fill(struct test *test, struct arena_fixture *f)
{
    for (uint64_t i = 0; i < COUNT; i++)
        (void)arena_get(test, f, 3);
    EXPECT_OK(ps_arena_alloc_at(&f->arena, &(struct ps_arena_request){.pages = 5}, 5000, false));
    for (uint64_t i = 3; i < COUNT; i += 4)
        arena_put(test, f, 1 + 4 * i);
    EXPECT_EQ(f->arena.height, 2);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
}

/* One after the other: damage a word, see it found, repair it. */
#define EXPECT_FOUND(place, value)                                     \
    do {                                                               \
        __typeof__(place) kept = (place);                              \
        (place) = (__typeof__(place))(value);                          \
        EXPECT_STATUS(ps_arena_validate(&f->arena, NULL), PS_CORRUPT); \
        (place) = kept;                                                \
        EXPECT_OK(ps_arena_validate(&f->arena, NULL));                 \
    } while (0)

ARENA_CASE(a_damaged_cell_is_found, 0, 1 << 20, 1)
{
    struct ps_arena_at at;

    fill(test, f);
    at = ps_arena_floor(&f->arena, 401);
    EXPECT_EQ(at.cell->first, 401);
    EXPECT_FOUND(at.cell->first, 402);
    EXPECT_FOUND(at.cell->pages, 0);
    EXPECT_FOUND(at.cell->pages, 4);
    EXPECT_FOUND(at.cell->pages, 5);
    EXPECT_FOUND(at.cell->after, 2);
    EXPECT_FOUND(at.cell->before, 2);
    EXPECT_FOUND(at.cell->next, NONE);
    EXPECT_FOUND(at.cell->previous, NONE);
    EXPECT_FOUND(at.cell->state, MARK);
    EXPECT_FOUND(at.cell->state, RETIRED);
}

ARENA_CASE(a_damaged_leaf_is_found, 0, 1 << 20, 1)
{
    struct ps_arena_at at;

    fill(test, f);
    at = ps_arena_floor(&f->arena, 401);
    EXPECT_FOUND(at.leaf->count, at.leaf->count - 1);
    EXPECT_FOUND(at.leaf->count, at.leaf->count + 1);
    EXPECT_FOUND(at.leaf->count, CELLS_LEAST - 1);
    EXPECT_FOUND(at.leaf->count, CELLS + 1);
    EXPECT_FOUND(at.leaf->count, 0);
    EXPECT_FOUND(at.leaf->cells[at.leaf->free].chain, at.leaf->free);
    EXPECT_FOUND(at.leaf->tail, at.leaf->head);
    EXPECT_FOUND(at.leaf->unused, at.leaf->unused + 1);
    EXPECT_FOUND(at.leaf->previous, at.frame);
    EXPECT_FOUND(at.leaf->next, at.frame);
    EXPECT_FOUND(at.leaf->buckets[ps_arena_bucket(401)], NONE);
}

ARENA_CASE(a_damaged_node_is_found, 0, 1 << 20, 1)
{
    struct ps_arena_inner *root;

    fill(test, f);
    root = ps_hw_pointer(f->arena.machine, ps_phys(f->arena.root));
    EXPECT_FOUND(root->keys[0], 1);
    EXPECT_FOUND(root->keys[1], root->keys[1] - 1);
    EXPECT_FOUND(root->children[1], root->children[0]);
    EXPECT_FOUND(root->children[1], root->children[1] + 8);
    EXPECT_FOUND(root->count, root->count - 1);
    EXPECT_FOUND(root->count, 1);
    EXPECT_FOUND(root->count, CHILDREN + 1);
    EXPECT_FOUND(root->children[1], 0);
    EXPECT_FOUND(f->arena.frames, f->arena.frames + 1);
    EXPECT_FOUND(f->arena.tag, PS_FRAME_TABLE);
    EXPECT_FOUND(f->arena.inner, 0);
    EXPECT_FOUND(f->arena.owed, 10);
    EXPECT_FOUND(f->pool.promised, 8);
}

ARENA_CASE(a_gap_out_of_its_list_is_found, 0, 1 << 20, 1)
{
    struct ps_arena_gap gap;
    struct ps_arena_at last;
    struct ps_arena_at at;

    fill(test, f);
    at = ps_arena_floor(&f->arena, 412); /* 413 was freed */
    gap = ps_arena_gap_of(&f->arena, &at);
    EXPECT_EQ(ps_arena_fit(&gap), 3);
    EXPECT_FOUND(at.cell->link[0], 0);
    EXPECT_FOUND(at.cell->link[1], 0);
    last = ps_arena_floor(&f->arena, 12); /* of its list */
    EXPECT_EQ(last.cell->link[0], 0);
    EXPECT_FOUND(last.cell->link[0], ps_arena_reference(&at));
    EXPECT_FOUND(f->arena.small[3], 0);
    EXPECT_FOUND(f->arena.small[4], f->arena.small[3]);
    EXPECT_FOUND(f->arena.small_map[0], 0);
    EXPECT_FOUND(f->arena.large_map, 0);
    EXPECT_FOUND(f->arena.large[11], 0);
    EXPECT_FOUND(f->arena.gaps, 5);
}

/* More gaps than a way through the tree is long. */
ARENA_CASE(a_circle_in_a_tree_is_found, 0, 1 << 20, 0)
{
    struct ps_arena_at root;
    struct ps_arena_at end;
    struct ps_arena_cell sound;

    for (uint64_t i = 1; i < 2 * DEPTH; i++)
        EXPECT_OK(
            ps_arena_alloc_at(&f->arena, &(struct ps_arena_request){.pages = 1}, 1000 * i, false));
    root = end = ps_arena_at(&f->arena, f->arena.large[9]);
    while (end.cell->link[0] != 0 || end.cell->link[1] != 0)
        end =
            ps_arena_at(&f->arena, end.cell->link[0] != 0 ? end.cell->link[0] : end.cell->link[1]);
    EXPECT_FOUND(end.cell->link[0], ps_arena_reference(&end));
    EXPECT_FOUND(end.cell->link[1], ps_arena_reference(&root));
    sound = *root.cell;
    root.cell->link[0] = root.cell->link[1] = ps_arena_reference(&root);
    EXPECT_STATUS(ps_arena_validate(&f->arena, NULL), PS_CORRUPT);
    *root.cell = sound;
}

ARENA_CASE(a_damaged_mark_is_found, 0, 1 << 20, 1)
{
    struct ps_arena_at at;

    fill(test, f);
    at = ps_arena_floor(&f->arena, 0);
    EXPECT(at.cell->state & MARK);
    EXPECT_FOUND(at.cell->first, 1);
    EXPECT_FOUND(at.cell->pages, 1);
    EXPECT_FOUND(at.cell->after, 2);
    EXPECT_FOUND(at.cell->state, 0);
    EXPECT_FOUND(at.leaf->head, NONE);
}

ARENA_CASE(a_leaf_without_allocations_is_found, 0, 100, 1)
{
    EXPECT_OK(ps_arena_plant(&f->arena));
    EXPECT_STATUS(ps_arena_validate(&f->arena, NULL), PS_CORRUPT);
    ps_arena_uproot(&f->arena);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
}

ARENA_CASE(wrong_counters_are_found, 0, 1 << 20, 1)
{
    fill(test, f);
    EXPECT_FOUND(f->arena.counters.live, 1);
    EXPECT_FOUND(f->arena.counters.live_pages, 1);
    EXPECT_FOUND(f->arena.counters.retired, 1);
    EXPECT_FOUND(f->arena.counters.retired_pages, 1);
    EXPECT_FOUND(f->arena.counters.peak_pages, 1);
}

static const struct test_case cases[] = {
    TEST_CASE(a_damaged_cell_is_found),
    TEST_CASE(a_damaged_leaf_is_found),
    TEST_CASE(a_damaged_node_is_found),
    TEST_CASE(a_gap_out_of_its_list_is_found),
    TEST_CASE(a_circle_in_a_tree_is_found),
    TEST_CASE(a_damaged_mark_is_found),
    TEST_CASE(a_leaf_without_allocations_is_found),
    TEST_CASE(wrong_counters_are_found),
};

const struct test_suite suite_address_arena_check = TEST_SUITE("address_arena_check", cases);
