/*
 * Memory that is refused: the n-th frame, once and for good. A call that failed has changed
 * nothing; giving back never fails, and cuts do not with a frame for each.
 */
#include "address_arena_fixture.h"

#include <address_arena_private.h>

#include "unit_suites.h"

#define ASK(...) (&(struct ps_arena_request){__VA_ARGS__})

enum { STEPS_MAX = 16, PAGES = 1 << 24 };

/*
 * Let 0, 1, 2, ... frames of the call be given and refuse the next, until it no longer fails; it
 * is then carried out. How many different failures there were.
 */
static uint64_t fail_everywhere(struct test *test, struct arena_fixture *f,
                                ps_status (*call)(struct arena_fixture *f))
{
    for (uint64_t n = 0; n < STEPS_MAX; n++) {
        for (unsigned for_good = 0; for_good < 2; for_good++) {
            struct arena_state before = arena_state(f);
            ps_status status;

            ps_frame_pool_fail_after(&f->pool, n, for_good != 0);
            status = call(f);
            ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
            if (status == PS_OK)
                return n;
            EXPECT_STATUS(status, PS_NO_MEMORY);
            arena_expect_same(test, f, &before);
            if (test->failures != 0)
                return n;
        }
    }
    EXPECT_EQ(STEPS_MAX, 0); /* it never succeeds */
    return STEPS_MAX;
}

static ps_status get_one(struct arena_fixture *f)
{
    uint64_t first;

    return arena_ask(f, 3, &first);
}

ARENA_CASE(an_allocation_that_finds_no_frame_changes_nothing, 0, PAGES, 1)
{
    uint64_t failures = 0;

    for (unsigned i = 0; i < 1000; i++)
        failures += fail_everywhere(test, f, get_one);
    EXPECT(failures > 10);
    EXPECT(f->arena.counters.failed >= failures);
    EXPECT_EQ(f->arena.counters.allocs, 1000);
}

static ps_status take_place(struct arena_fixture *f)
{
    return ps_arena_alloc_at(&f->arena, ASK(.pages = 2), 8 * f->arena.counters.live, true);
}

ARENA_CASE(an_exact_place_that_finds_no_frame_changes_nothing, 0, PAGES, 3)
{
    uint64_t failures = 0;

    for (unsigned i = 0; i < 1000; i++)
        failures += fail_everywhere(test, f, take_place);
    EXPECT(failures > 10);
}

/* ---- cuts ---- */

static uint64_t promised(struct arena_fixture *f)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(&f->pool, &now);
    return now.promised;
}

ARENA_CASE(so_many_frames_are_promised_as_there_are_nodes_for, 0, PAGES, 1)
{
    struct ps_arena_snapshot now;

    EXPECT_EQ(promised(f), 0);
    for (unsigned i = 0; i < 81; i++)
        (void)arena_get(test, f, 3);
    EXPECT_EQ(f->arena.height, 1);
    EXPECT_EQ(promised(f), 3);
    (void)arena_get(test, f, 3);
    EXPECT_EQ(f->arena.height, 2);
    EXPECT_EQ(promised(f), 3 + 6);
    ps_arena_snapshot(&f->arena, &now);
    EXPECT_EQ(now.promised, 9);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 3);
    arena_empty(test, f);
    EXPECT_EQ(promised(f), 0);
}

/* Refused once, it is promised in the same call; for good, one is used and owed. */
ARENA_CASE(a_cut_that_finds_no_frame_uses_a_promised_one, 0, PAGES, 1)
{
    uint64_t whole = arena_get(test, f, 1000);

    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (unsigned i = 0; i < 80; i++)
        EXPECT_OK(ps_arena_free_part(&f->arena, whole + 1 + 2 * i, 1));
    EXPECT_EQ(f->arena.height, 1);
    EXPECT_EQ(promised(f), 3);
    EXPECT_OK(ps_arena_free_part(&f->arena, whole + 161, 1));
    EXPECT_EQ(f->arena.height, 2);
    EXPECT_EQ(promised(f), 1);
    EXPECT_EQ(f->arena.owed, 8);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_arena_free_part(&f->arena, whole + 163, 1));
    EXPECT_EQ(promised(f), 9);
    EXPECT_EQ(f->arena.owed, 0);
}

/* Two leaves become one again: the root goes, and what is owed for it. */
ARENA_CASE(nothing_is_owed_for_nodes_that_are_gone, 0, PAGES, 1)
{
    uint64_t whole = arena_get(test, f, 1000);

    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (unsigned i = 0; i < 81; i++)
        EXPECT_OK(ps_arena_free_part(&f->arena, whole + 1 + 2 * i, 1));
    EXPECT_EQ(f->arena.owed, 8);
    for (unsigned i = 0; f->arena.height > 1; i++)
        arena_put(test, f, whole + 2 * i);
    EXPECT_EQ(f->arena.owed, 2);
    EXPECT_EQ(promised(f), 1);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    arena_put(test, f, whole + 160);
    EXPECT_EQ(f->arena.owed, 0);
    EXPECT_EQ(promised(f), 3);
}

ARENA_CASE(an_allocation_waits_for_what_is_owed, 0, PAGES, 1)
{
    uint64_t whole = arena_get(test, f, 1000);
    uint64_t first;

    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (unsigned i = 0; i < 81; i++)
        EXPECT_OK(ps_arena_free_part(&f->arena, whole + 1 + 2 * i, 1));
    EXPECT_REFUSED(arena_ask(f, 1, &first), PS_NO_MEMORY);
    EXPECT_EQ(f->arena.counters.failed, 1);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), 5000, false), PS_NO_MEMORY);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), 5000, false));
    EXPECT_EQ(f->arena.owed, 0);
    EXPECT_EQ(promised(f), 9);
}

/* Nothing comes back to the pool: at some time a cut is refused, and it can be made up for. */
ARENA_CASE(cuts_that_leave_nothing_to_the_pool_end_in_a_refusal, 0, PAGES, 1)
{
    uint64_t whole = arena_get(test, f, 10000);
    uint64_t cuts = 0;

    ps_frame_pool_fail_after(&f->pool, 0, true);
    while (ps_arena_retire(&f->arena, whole + 1 + 2 * cuts, 1) == PS_OK)
        cuts++;
    EXPECT(cuts > 40);
    EXPECT_EQ(promised(f), 0);
    EXPECT_REFUSED(ps_arena_retire(&f->arena, whole + 1 + 2 * cuts, 1), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_arena_free_part(&f->arena, whole + 1 + 2 * cuts, 1), PS_NO_MEMORY);
    EXPECT_OK(ps_arena_retire(&f->arena, whole, 1));
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_arena_retire(&f->arena, whole + 1 + 2 * cuts, 1));
    EXPECT_EQ(f->arena.owed, 0);
}

/* ---- no frame for anybody ---- */

enum { SPARSE = 1 << 26, EACH = 5, STEP = 1024, MACHINE = 6000 };

static struct hoard {
    ps_frame_t frames[MACHINE];
    uint64_t count;
    uint64_t least; /* that was promised */
} hoard;

static void take_rest(struct arena_fixture *f)
{
    while (ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0,
                               &hoard.frames[hoard.count]) == PS_OK)
        hoard.count++;
}

static void take_all(struct arena_fixture *f)
{
    hoard.count = 0;
    hoard.least = UINT64_MAX;
    take_rest(f);
}

static void give_frame(struct test *test, struct arena_fixture *f)
{
    hoard.count--;
    EXPECT_OK(ps_frame_pool_free(&f->pool, hoard.frames[hoard.count], ps_pages(1)));
}

/* One page out of the middle, with a single frame to be had. What it left over others take. */
static void cut_at(struct test *test, struct arena_fixture *f, uint64_t page)
{
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_4K), 0);
    give_frame(test, f);
    EXPECT_OK(ps_arena_retire(&f->arena, page, 1));
    hoard.least = ps_min(hoard.least, promised(f));
    take_rest(f);
}

/* One allocation more in the leaf, in the middle of the largest gap there is behind a cell. */
static void fill_gap(struct test *test, struct arena_fixture *f, uint64_t leaf)
{
    struct ps_arena_at at = ps_arena_slot(&f->arena, leaf, 0);
    uint64_t first = 0;
    uint64_t largest = EACH;

    for (unsigned slot = at.leaf->head; slot != NONE; slot = at.cell->next) {
        struct ps_arena_gap gap;

        at.cell = &at.leaf->cells[slot];
        gap = ps_arena_gap_of(&f->arena, &at);
        if (ps_arena_fit(&gap) <= largest)
            continue;
        largest = ps_arena_fit(&gap);
        first = gap.first + (largest - EACH) / 2;
    }
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = EACH), first, false));
}

/* As many leaves below the node as there can be, and all of them full. */
static void fill_node(struct test *test, struct arena_fixture *f, const struct ps_arena_inner *node)
{
    bool full = false;

    for (uint64_t turn = 0; !full && test->failures == 0; turn += 2) {
        for (uint64_t i = 0; i < node->count; i++)
            while (ps_arena_leaf(&f->arena, node->children[i])->count < CELLS &&
                   test->failures == 0)
                fill_gap(test, f, node->children[i]);
        full = node->count == CHILDREN;
        if (!full)
            fill_gap(test, f, node->children[turn % node->count]);
    }
}

/* So many frames in ascending order; then all nodes but the root of three levels full. */
static void fill_tree(struct test *test, struct arena_fixture *f, uint64_t frames)
{
    const struct ps_arena_inner *root;

    for (uint64_t i = 0; f->arena.frames < frames && test->failures == 0; i++)
        EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = EACH), i * STEP, false));
    root = ps_arena_pointer(&f->arena, f->arena.root);
    if (f->arena.height == 2)
        fill_node(test, f, root);
    for (uint64_t i = 0; f->arena.height == 3 && i < root->count; i++)
        fill_node(test, f, ps_arena_pointer(&f->arena, root->children[i]));
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
}

/* Two cuts in each allocation, then all is freed and released; and never a frame too many. */
static void cut_everything(struct test *test, struct arena_fixture *f, uint64_t stride)
{
    static uint64_t at[MACHINE * 16];
    struct ps_arena_extent extent = {0};
    uint64_t count = 0;

    for (; ps_arena_next(&f->arena, extent.first + extent.pages, &extent); count++)
        at[count] = extent.first;
    take_all(f);
    for (unsigned part = 1; part < EACH; part += 2)
        for (uint64_t i = 0; i < count && test->failures == 0; i++)
            cut_at(test, f, at[i * stride % count] + part);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    EXPECT_EQ(f->arena.counters.retired, 2 * count);
    arena_empty(test, f);
    while (hoard.count != 0)
        give_frame(test, f);
}

ARENA_CASE_OF(all_is_cut_when_every_leaf_and_the_root_are_full, 0, SPARSE, 0, MACHINE)
{
    fill_tree(test, f, 200);
    EXPECT_EQ(f->arena.counters.live, 255 * 82 - 1);
    EXPECT_EQ(f->arena.inner, 1);
    cut_everything(test, f, 7919);
    /* The first cut takes a leaf, half of the root, and a new root. */
    EXPECT_EQ(hoard.least, 9 - 3);
}

ARENA_CASE_OF(all_is_cut_when_two_nodes_and_their_leaves_are_full, 0, SPARSE, 0, MACHINE)
{
    fill_tree(test, f, 300);
    EXPECT_EQ(f->arena.height, 3);
    EXPECT_EQ(f->arena.inner, 3);
    cut_everything(test, f, 255 * 82 + 1);
    /* Two cuts take a leaf and half of a node each, and one frame came back in between. */
    EXPECT_EQ(hoard.least, 21 - 2 + 1 - 2);
}

/* Others free, release and allocate in between; what nodes are joined gives frames to anybody. */
ARENA_CASE_OF(cuts_go_on_whatever_is_done_between_them, 0, SPARSE, 1, MACHINE)
{
    enum { COUNT = 3000, PAGES_OF_ONE = 60, CALLS = 30000 };
    struct test_random random = test_random(7);
    struct ps_arena_extent extent;
    uint64_t refused = 0;
    uint64_t first;

    for (uint64_t i = 0; i < COUNT; i++)
        (void)arena_get(test, f, PAGES_OF_ONE);
    take_all(f);
    for (uint64_t i = 0; i < CALLS && test->failures == 0; i++) {
        uint64_t call = test_random_below(&random, i % 10000 < 5000 ? 5 : 12);

        if (!ps_arena_next(&f->arena, test_random_below(&random, COUNT * PAGES_OF_ONE), &extent))
            continue;
        if (extent.kind == PS_ARENA_RETIRED)
            EXPECT_OK(ps_arena_release(&f->arena, extent.first));
        else if (call < 4)
            cut_at(test, f, extent.first + test_random_below(&random, extent.pages));
        else if (call > 4)
            arena_put(test, f, extent.first);
        else
            refused += arena_ask(f, 1, &first) == PS_NO_MEMORY;
        take_rest(f);
        if (i % 500 == 0)
            EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    }
    EXPECT(refused > 10);
    EXPECT(hoard.least < 9);
    arena_empty(test, f);
    while (hoard.count != 0)
        give_frame(test, f);
}

/* The last node grows thin, and takes children from its full neighbour; later both are one. */
ARENA_CASE_OF(a_thin_node_shares_with_a_full_one, 0, SPARSE, 0, MACHINE)
{
    const struct ps_arena_inner *root;
    const struct ps_arena_inner *full;
    struct ps_arena_extent last;

    fill_tree(test, f, 300);
    root = ps_arena_pointer(&f->arena, f->arena.root);
    full = ps_arena_pointer(&f->arena, root->children[0]);
    EXPECT_EQ(full->count, CHILDREN);
    while (full->count == CHILDREN && ps_arena_previous(&f->arena, SPARSE, &last))
        arena_put(test, f, last.first);
    EXPECT_EQ(full->count, (CHILDREN + CHILDREN_LEAST) / 2);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    while (f->arena.height == 3 && ps_arena_previous(&f->arena, SPARSE, &last))
        arena_put(test, f, last.first);
    EXPECT_EQ(f->arena.inner, 1);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
}

static const struct test_case cases[] = {
    TEST_CASE(an_allocation_that_finds_no_frame_changes_nothing),
    TEST_CASE(an_exact_place_that_finds_no_frame_changes_nothing),
    TEST_CASE(so_many_frames_are_promised_as_there_are_nodes_for),
    TEST_CASE(a_cut_that_finds_no_frame_uses_a_promised_one),
    TEST_CASE(nothing_is_owed_for_nodes_that_are_gone),
    TEST_CASE(an_allocation_waits_for_what_is_owed),
    TEST_CASE(cuts_that_leave_nothing_to_the_pool_end_in_a_refusal),
    TEST_CASE(all_is_cut_when_every_leaf_and_the_root_are_full),
    TEST_CASE(all_is_cut_when_two_nodes_and_their_leaves_are_full),
    TEST_CASE(cuts_go_on_whatever_is_done_between_them),
    TEST_CASE(a_thin_node_shares_with_a_full_one),
};

const struct test_suite suite_address_arena_failure = TEST_SUITE("address_arena_failure", cases);
