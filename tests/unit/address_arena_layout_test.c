/* Where allocations go: what users of such allocators rely on. */
#include "address_arena_fixture.h"

#include <address_arena_private.h>

#include "unit_suites.h"

#define ASK(...) (&(struct ps_arena_request){__VA_ARGS__})

ARENA_CASE(two_allocations_differ_and_one_is_freed_in_halves, 0, 4096, 1)
{
    uint64_t first = arena_get(test, f, 8);
    uint64_t second = arena_get(test, f, 8);
    uint64_t none;

    EXPECT(first != second);
    EXPECT_REFUSED(arena_ask(f, (uint64_t)1 << 30, &none), PS_NO_SPACE);
    EXPECT_OK(ps_arena_free(&f->arena, first, 8));
    EXPECT_OK(ps_arena_free_part(&f->arena, second, 4));
    EXPECT_OK(ps_arena_free_part(&f->arena, second + 4, 4));
    EXPECT_ARENA("");
}

ARENA_CASE(one_page_fits_between_two_guards, 7, 33, 16)
{
    uint64_t first = arena_get(test, f, 1);

    EXPECT_EQ(first, 7 + 16);
    EXPECT_REFUSED(arena_ask(f, 1, &first), PS_NO_SPACE);
    arena_put(test, f, 7 + 16);
    EXPECT_REFUSED(arena_ask(f, 2, &first), PS_NO_SPACE);
    EXPECT_EQ(arena_get(test, f, 1), 7 + 16);
}

ARENA_CASE(two_pages_share_the_guard_between_them, 7, 50, 16)
{
    uint64_t first;

    EXPECT_EQ(arena_get(test, f, 1), 7 + 16);
    EXPECT_EQ(arena_get(test, f, 1), 7 + 33);
    EXPECT_REFUSED(arena_ask(f, 1, &first), PS_NO_SPACE);
}

ARENA_CASE(places_are_reused_and_not_crept_away_from, 0, 4096, 2)
{
    uint64_t at[8];

    for (unsigned i = 0; i < 8; i++)
        at[i] = arena_get(test, f, 3);
    for (unsigned i = 0; i < 200; i++) {
        arena_put(test, f, at[4]);
        EXPECT_EQ(arena_get(test, f, 3), at[4]);
    }
    arena_put(test, f, at[4]);
    arena_put(test, f, at[7]);
    EXPECT_EQ(arena_get(test, f, 3), at[4]);
    EXPECT_EQ(arena_get(test, f, 3), at[7]);
    for (unsigned i = 0; i < 8; i++)
        arena_put(test, f, at[i]);
    EXPECT_EQ(arena_get(test, f, 3), at[0]);
    EXPECT_EQ(at[0], 2);
}

ARENA_CASE(what_a_partial_free_leaves_is_used_when_it_fits, 0, 4096, 2)
{
    uint64_t at[8];
    uint64_t between;

    for (unsigned i = 0; i < 8; i++)
        at[i] = arena_get(test, f, 3);
    arena_put(test, f, at[4]);
    EXPECT_OK(ps_arena_free_part(&f->arena, at[3] + 1, 2));
    between = arena_get(test, f, 3);
    EXPECT(between > at[3] && between < at[4]);
    EXPECT_OK(ps_arena_free_part(&f->arena, at[3], 1));
    EXPECT(arena_get(test, f, 3) > at[7]);
}

ARENA_CASE(an_exact_fit_is_preferred_to_a_larger_gap, 0, 4096, 1)
{
    static const uint64_t sizes[] = {9, 5, 30, 5, 6, 5, 700, 5, 300, 5};
    uint64_t at[PS_ARRAY_SIZE(sizes)];

    for (unsigned i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        at[i] = arena_get(test, f, sizes[i]);
    for (unsigned i = 0; i < PS_ARRAY_SIZE(sizes); i += 2)
        arena_put(test, f, at[i]);
    EXPECT_EQ(arena_get(test, f, 6), at[4]);
    EXPECT_EQ(arena_get(test, f, 6), at[0]);
    EXPECT_EQ(arena_get(test, f, 299), at[8]);
    EXPECT_EQ(arena_get(test, f, 301), at[6]);
    EXPECT_EQ(arena_get(test, f, 30), at[2]);
}

/* In units of 512 pages, as an allocator does that prefers aligned places and takes any then. */
ARENA_CASE(an_aligned_place_is_found_where_there_is_just_one, 0, 4096, 1)
{
    enum { UNIT = 512 };
    uint64_t whole = arena_get(test, f, 4096 - 2 * UNIT);
    uint64_t first = 0;
    struct ps_arena_request aligned = {.pages = UNIT, .align = UNIT};

    while (arena_ask(f, 1, &first) == PS_OK)
        ;
    EXPECT_EQ(whole, 1);
    EXPECT_OK(ps_arena_free_part(&f->arena, whole + 2 * UNIT - 2, UNIT + 2));
    EXPECT_OK(ps_arena_alloc(&f->arena, &aligned, &first));
    EXPECT_EQ(first, 2 * UNIT);
    arena_put(test, f, first);
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), whole + 2 * UNIT - 2, true));
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, &aligned, &first), PS_NO_SPACE);
    EXPECT_REFUSED(arena_ask(f, UNIT, &first), PS_NO_SPACE);
    EXPECT_OK(ps_arena_free_part(&f->arena, 3 * UNIT + 1, 1));
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, &aligned, &first), PS_NO_SPACE);
    EXPECT_OK(arena_ask(f, UNIT, &first));
    EXPECT_EQ(first, 2 * UNIT + 1);
}

ARENA_CASE(an_aligned_place_is_taken_though_it_leaves_two_gaps, 0, 4096, 1)
{
    enum { UNIT = 512 };
    uint64_t whole = arena_get(test, f, 4094);
    uint64_t first = 0;
    struct ps_arena_request aligned = {.pages = UNIT, .align = UNIT};

    EXPECT_OK(ps_arena_free_part(&f->arena, whole + UNIT, 3 * UNIT - 2));
    EXPECT_OK(ps_arena_alloc(&f->arena, &aligned, &first));
    EXPECT_EQ(first, 2 * UNIT);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, &aligned, &first), PS_NO_SPACE);
}

ARENA_CASE(the_first_and_the_last_page_can_be_forced_and_freed, PS_ARENA_END - 4096, 4096, 1)
{
    uint64_t low = PS_ARENA_END - 4096;
    uint64_t high = PS_ARENA_END - 1;

    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), low, true));
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), high, true));
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    arena_put(test, f, low);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    EXPECT_EQ(arena_get(test, f, 1), low + 1);
    arena_put(test, f, high);
    EXPECT_EQ(arena_get(test, f, 4092), low + 3);
}

ARENA_CASE(all_pages_of_an_arena_without_guards_can_be_taken, 0, 300, 0)
{
    uint64_t first;

    for (unsigned i = 0; i < 300; i++)
        EXPECT_EQ(arena_get(test, f, 1), i);
    EXPECT_REFUSED(arena_ask(f, 1, &first), PS_NO_SPACE);
    for (unsigned i = 0; i < 300; i++)
        arena_put(test, f, i * 7 % 300);
    EXPECT_EQ(arena_get(test, f, 300), 0);
}

/* ---- large gaps ---- */

enum { GAPS = 100, STRIDE = 2048 };

/* The smallest gap that will do, and of such the lowest. Gap i begins at i * STRIDE. */
static uint64_t best_of(const uint64_t *sizes, uint64_t pages)
{
    uint64_t best = GAPS;

    for (uint64_t i = 0; i < GAPS; i++)
        if (sizes[i] >= pages && (best == GAPS || sizes[i] < sizes[best]))
            best = i;
    return best;
}

ARENA_CASE(large_gaps_are_used_by_size_and_then_by_place, 0, GAPS *STRIDE, 0)
{
    struct test_random random = test_random(1);
    struct ps_arena_snapshot now;
    uint64_t sizes[GAPS];
    uint64_t most = 0;

    EXPECT_EQ(arena_get(test, f, GAPS * STRIDE), 0);
    for (uint64_t i = 0; i < GAPS; i++) {
        sizes[i] = 256 + 16 * test_random_below(&random, 80);
        most = ps_max(most, sizes[i]);
        EXPECT_OK(ps_arena_free_part(&f->arena, i * STRIDE, sizes[i]));
    }
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    ps_arena_snapshot(&f->arena, &now);
    EXPECT_EQ(now.largest, most);
    EXPECT_EQ(now.free_extents, GAPS);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t pages = 200 + test_random_below(&random, 1400);
        uint64_t best = best_of(sizes, pages);
        uint64_t first = 0;

        EXPECT_STATUS(arena_ask(f, pages, &first), best == GAPS ? PS_NO_SPACE : PS_OK);
        if (best == GAPS)
            continue;
        EXPECT_EQ(first, best * STRIDE);
        arena_put(test, f, first);
    }
}

/*
 * Twenty gaps that are large enough and hold no aligned place, and so are tried in vain; then one
 * more that holds one; then one in which any place will do.
 */
static void look_for_aligned(struct test *test, struct arena_fixture *f)
{
    struct ps_arena_request aligned = {.pages = 300, .align = 1024};
    uint64_t guards = 2 * f->arena.guard;
    uint64_t first = 0;

    EXPECT_OK(
        ps_arena_alloc(&f->arena,
                       ASK(.pages = f->arena.pages - guards, .guard_before = PS_ARENA_NO_GUARD,
                           .guard_after = PS_ARENA_NO_GUARD),
                       &first));
    for (uint64_t i = 0; i < 20; i++)
        EXPECT_OK(ps_arena_free_part(&f->arena, STRIDE * i + 10, 300 + guards + i));
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, &aligned, &first), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 300, .align = (uint64_t)1 << 63), &first),
                   PS_NO_SPACE);
    EXPECT_OK(ps_arena_free_part(&f->arena, STRIDE * 30 - 15, 340));
    EXPECT_OK(ps_arena_alloc(&f->arena, &aligned, &first));
    EXPECT_EQ(first, STRIDE * 30);
    arena_put(test, f, first);
    EXPECT_OK(ps_arena_free_part(&f->arena, STRIDE * 40 + 1, 300 + 1023 + guards));
    EXPECT_OK(ps_arena_alloc(&f->arena, &aligned, &first));
    EXPECT_EQ(first, STRIDE * 40 + 1024);
    EXPECT_OK(ps_arena_alloc(&f->arena, &aligned, &first));
    EXPECT_EQ(first, STRIDE * 30);
}

ARENA_CASE(an_aligned_place_is_found_after_many_gaps_without, 0, 50 * STRIDE, 0)
{
    look_for_aligned(test, f);
}

ARENA_CASE(the_guards_of_an_aligned_place_are_looked_for_too, 0, 50 * STRIDE, 2)
{
    look_for_aligned(test, f);
}

/* ---- many allocations ---- */

ARENA_CASE(the_lowest_of_a_leaf_may_lose_its_beginning, 0, 4096, 1)
{
    const struct ps_arena_inner *root;
    uint64_t first;

    for (uint64_t i = 0; i < 200; i++)
        EXPECT_EQ(arena_get(test, f, 3), 1 + 4 * i);
    root = ps_arena_pointer(&f->arena, f->arena.root);
    first = root->keys[1];
    EXPECT_OK(ps_arena_free_part(&f->arena, first, 1));
    EXPECT_EQ(root->keys[1], first + 1);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    EXPECT_OK(ps_arena_free(&f->arena, first + 1, 2));
}

/* Three levels of nodes, filled in order, thinned out, filled again, emptied in another order. */
ARENA_CASE_OF(sixty_thousand_allocations_come_and_go, 0, 1 << 20, 1, 2000)
{
    enum { COUNT = 60000 };

    for (uint64_t i = 0; i < COUNT; i++)
        EXPECT_EQ(arena_get(test, f, 3), 1 + 4 * i);
    EXPECT_EQ(f->arena.height, 3);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    EXPECT(f->arena.frames * PS_PAGE_SIZE <= COUNT * (uint64_t)64);
    for (uint64_t i = 0; i < COUNT; i++)
        if (i % 8 != 0)
            arena_put(test, f, 1 + 4 * i);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    EXPECT(f->arena.frames * PS_PAGE_SIZE <= COUNT / 8 * (uint64_t)180);
    for (uint64_t i = 0; i < COUNT / 8 * 7; i++)
        (void)arena_get(test, f, 3);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    for (uint64_t i = 0; i < COUNT; i++)
        arena_put(test, f, 1 + 4 * (i * 7919 % COUNT));
    EXPECT_EQ(f->arena.frames, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(two_allocations_differ_and_one_is_freed_in_halves),
    TEST_CASE(one_page_fits_between_two_guards),
    TEST_CASE(two_pages_share_the_guard_between_them),
    TEST_CASE(places_are_reused_and_not_crept_away_from),
    TEST_CASE(what_a_partial_free_leaves_is_used_when_it_fits),
    TEST_CASE(an_exact_fit_is_preferred_to_a_larger_gap),
    TEST_CASE(an_aligned_place_is_found_where_there_is_just_one),
    TEST_CASE(an_aligned_place_is_taken_though_it_leaves_two_gaps),
    TEST_CASE(the_first_and_the_last_page_can_be_forced_and_freed),
    TEST_CASE(all_pages_of_an_arena_without_guards_can_be_taken),
    TEST_CASE(large_gaps_are_used_by_size_and_then_by_place),
    TEST_CASE(an_aligned_place_is_found_after_many_gaps_without),
    TEST_CASE(the_guards_of_an_aligned_place_are_looked_for_too),
    TEST_CASE(the_lowest_of_a_leaf_may_lose_its_beginning),
    TEST_CASE(sixty_thousand_allocations_come_and_go),
};

const struct test_suite suite_address_arena_layout = TEST_SUITE("address_arena_layout", cases);
