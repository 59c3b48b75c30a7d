#include "address_arena_fixture.h"

#include <string.h>

#include "unit_suites.h"

#define ASK(...) (&(struct ps_arena_request){__VA_ARGS__})

/* ---- init and destroy ---- */

ARENA_CASE(shapes_that_cannot_be_are_refused, 0, 10, 1)
{
    static const struct {
        uint64_t first;
        uint64_t pages;
        uint64_t guard;
        ps_status status;
    } shapes[] = {
        {0, 0, 0, PS_INVALID_ARGS},
        {0, 1, 0, PS_OK},
        {PS_ARENA_END - 1, 1, 0, PS_OK},
        {PS_ARENA_END - 1, 2, 0, PS_INVALID_ARGS},
        {PS_ARENA_END, 1, 0, PS_INVALID_ARGS},
        {UINT64_MAX, 2, 0, PS_INVALID_ARGS},
        {0, PS_ARENA_END, 0, PS_OK},
        {1, PS_ARENA_END, 0, PS_INVALID_ARGS},
        {0, UINT64_MAX, 0, PS_INVALID_ARGS},
        {0, 32, 16, PS_INVALID_ARGS},
        {0, 33, 16, PS_OK},
        {0, 1 << 20, PS_ARENA_GUARD_MAX, PS_OK},
        {0, 1 << 20, PS_ARENA_GUARD_MAX + 1, PS_INVALID_ARGS},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(shapes); i++) {
        struct ps_arena arena;

        memset(&arena, 0, sizeof(arena));
        EXPECT_STATUS(ps_arena_init(&arena, &f->sim->machine, &f->pool, PS_FRAME_HEAP,
                                    shapes[i].first, shapes[i].pages, shapes[i].guard),
                      shapes[i].status);
        if (shapes[i].status == PS_OK)
            EXPECT_OK(ps_arena_destroy(&arena));
        EXPECT(arena.machine == NULL);
    }
}

ARENA_CASE(init_checks_what_it_is_given, 0, 10, 1)
{
    struct ps_arena arena;
    struct ps_machine other = f->sim->machine;
    struct ps_frame_pool no_pool;

    memset(&arena, 0, sizeof(arena));
    memset(&no_pool, 0, sizeof(no_pool));
    EXPECT_STATUS(ps_arena_init(NULL, &other, &f->pool, PS_FRAME_HEAP, 0, 10, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_init(&arena, NULL, &f->pool, PS_FRAME_HEAP, 0, 10, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_init(&arena, &other, NULL, PS_FRAME_HEAP, 0, 10, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_init(&arena, &other, &f->pool, PS_FRAME_HEAP, 0, 10, 0),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_init(&arena, &other, &no_pool, PS_FRAME_HEAP, 0, 10, 0), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_init(&arena, &f->sim->machine, &f->pool, PS_FRAME_METADATA, 0, 10, 0),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_init(&arena, &f->sim->machine, &f->pool, PS_FRAME_TAG_COUNT, 0, 10, 0),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_init(&f->arena, &f->sim->machine, &f->pool, PS_FRAME_HEAP, 0, 10, 0),
                  PS_BAD_STATE);
}

static void what_is_not_initialised_answers_bad_state(struct test *test)
{
    struct ps_arena arena;
    struct ps_arena_extent extent;
    struct ps_arena_snapshot snapshot;
    enum ps_arena_kind kind;
    uint64_t first;

    memset(&arena, 0, sizeof(arena));
    EXPECT_STATUS(ps_arena_alloc(&arena, ASK(.pages = 1), &first), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_alloc(&arena, ASK(.pages = 0), &first), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_alloc_at(&arena, ASK(.pages = 1), 0, false), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_free(&arena, 0, 0), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_free_part(&arena, 0, 1), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_retire(&arena, 0, 1), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_release(&arena, 0), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_resize(&arena, 0, 1), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_find(&arena, 0, NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_validate(&arena, NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_arena_destroy(&arena), PS_BAD_STATE);
    EXPECT(!ps_arena_kind_of(&arena, 0, &kind));
    EXPECT(!ps_arena_next(&arena, 0, &extent));
    EXPECT(!ps_arena_previous(&arena, 0, &extent));
    EXPECT(!ps_arena_set_value(&arena, 0, 0));
    EXPECT_EQ(ps_arena_for_each(&arena, 0, UINT64_MAX, NULL, NULL), 0);
    ps_arena_snapshot(&arena, &snapshot);
    EXPECT_EQ(snapshot.free_pages, 0);
}

ARENA_CASE(null_pointers_are_refused, 0, 10, 1)
{
    struct ps_arena_extent extent;
    struct ps_arena_snapshot snapshot;
    enum ps_arena_kind kind;
    uint64_t first;

    EXPECT_STATUS(ps_arena_destroy(NULL), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, NULL, &first), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1), NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_alloc(NULL, ASK(.pages = 1), &first), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, NULL, 1, false), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_alloc_at(NULL, ASK(.pages = 1), 1, false), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_free(NULL, 1, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_free_part(NULL, 1, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_retire(NULL, 1, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_release(NULL, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_resize(NULL, 1, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_find(NULL, 1, &extent), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_arena_validate(NULL, NULL), PS_INVALID_ARGS);
    EXPECT(!ps_arena_kind_of(NULL, 1, &kind));
    EXPECT(!ps_arena_kind_of(&f->arena, 1, NULL));
    EXPECT(!ps_arena_next(NULL, 1, &extent));
    EXPECT(!ps_arena_next(&f->arena, 1, NULL));
    EXPECT(!ps_arena_previous(NULL, 1, &extent));
    EXPECT(!ps_arena_previous(&f->arena, 1, NULL));
    EXPECT(!ps_arena_set_value(NULL, 1, 0));
    EXPECT_EQ(ps_arena_for_each(NULL, 0, UINT64_MAX, NULL, NULL), 0);
    ps_arena_snapshot(&f->arena, NULL);
    memset(&snapshot, 0xff, sizeof(snapshot));
    ps_arena_snapshot(NULL, &snapshot);
    EXPECT_EQ(snapshot.free_pages, 0);
    ps_arena_dump(NULL, &(struct ps_sink){0});
    ps_arena_dump(&f->arena, NULL);
}

/* An empty arena has no tree to look into. */
ARENA_CASE(nothing_is_found_in_an_empty_arena, 5, 10, 1)
{
    EXPECT_REFUSED(ps_arena_free(&f->arena, 7, 0), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_free_part(&f->arena, 7, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_retire(&f->arena, 7, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_release(&f->arena, 7), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_resize(&f->arena, 7, 1), PS_NOT_FOUND);
    EXPECT_STATUS(ps_arena_find(&f->arena, 7, NULL), PS_NOT_FOUND);
}

ARENA_CASE(destroy_refuses_while_something_is_there, 0, 10, 1)
{
    uint64_t first = arena_get(test, f, 2);

    EXPECT_REFUSED(ps_arena_destroy(&f->arena), PS_BAD_STATE);
    EXPECT_OK(ps_arena_retire(&f->arena, first, 2));
    EXPECT_REFUSED(ps_arena_destroy(&f->arena), PS_BAD_STATE);
    EXPECT_OK(ps_arena_release(&f->arena, first));
}

ARENA_CASE(nothing_is_taken_for_an_arena_without_allocations, 0, (uint64_t)1 << 35, 1)
{
    uint64_t first;

    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    first = arena_get(test, f, 2);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
    EXPECT_REFUSED(arena_ask(f, (uint64_t)1 << 35, &first), PS_NO_SPACE);
    arena_put(test, f, first);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    EXPECT_REFUSED(arena_ask(f, (uint64_t)1 << 35, &first), PS_NO_SPACE);
    EXPECT_EQ(f->arena.counters.failed, 2);
}

/* ---- alignment, limits, guards ---- */

ARENA_CASE(requests_that_make_no_sense_are_refused, 100, 50, 1)
{
    uint64_t first;

    EXPECT_REFUSED(arena_ask(f, 0, &first), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .align = 3), &first), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .low = 9, .high = 8), &first),
                   PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .low = PS_ARENA_END), &first),
                   PS_INVALID_ARGS);
    EXPECT_REFUSED(
        ps_arena_alloc(&f->arena, ASK(.pages = 1, .guard_before = PS_ARENA_GUARD_MAX + 1), &first),
        PS_INVALID_ARGS);
    EXPECT_REFUSED(
        ps_arena_alloc(&f->arena, ASK(.pages = 1, .guard_after = PS_ARENA_GUARD_MAX + 1), &first),
        PS_INVALID_ARGS);
    EXPECT_EQ(f->arena.counters.failed, 0);
    EXPECT_REFUSED(arena_ask(f, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .align = (uint64_t)1 << 63), &first),
                   PS_NO_SPACE);
    EXPECT_EQ(f->arena.counters.failed, 2);
}

ARENA_CASE(alignment_is_kept_or_the_call_fails, 5, 59, 1)
{
    uint64_t first = 0;

    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 10, .align = 32), &first));
    EXPECT_EQ(first, 32);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 10, .align = 32), &first), PS_NO_SPACE);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 10, .align = 16), &first));
    EXPECT_EQ(first, 48);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 2, .align = 16), &first));
    EXPECT_EQ(first, 16);
    EXPECT_ARENA("16+2 32+10 48+10");
}

ARENA_CASE(limits_are_kept_and_the_lowest_place_is_taken, 100, 100, 1)
{
    uint64_t first = 0;

    EXPECT_REFUSED(
        ps_arena_alloc(&f->arena, ASK(.pages = 1, .guard_after = PS_ARENA_GUARD_MAX), &first),
        PS_NO_SPACE);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 4, .low = 150, .high = 160), &first));
    EXPECT_EQ(first, 150);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 4, .low = 150, .high = 160), &first));
    EXPECT_EQ(first, 155);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .low = 150, .high = 159), &first),
                   PS_NO_SPACE);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 38, .low = 160), &first));
    EXPECT_EQ(first, 160);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 48, .high = 148), &first));
    EXPECT_EQ(first, 101);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .high = 99), &first), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 99, .high = UINT64_MAX), &first),
                   PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .low = 200), &first), PS_NO_SPACE);
}

ARENA_CASE(a_gap_is_as_large_as_the_larger_of_both_guards, 0, 100, 2)
{
    uint64_t first = 0;

    EXPECT_EQ(arena_get(test, f, 3), 2);
    EXPECT_OK(
        ps_arena_alloc(&f->arena, ASK(.pages = 3, .guard_before = 5, .guard_after = 1), &first));
    EXPECT_EQ(first, 10);
    EXPECT_EQ(arena_get(test, f, 3), 15);
    EXPECT_OK(ps_arena_alloc(
        &f->arena,
        ASK(.pages = 3, .guard_before = PS_ARENA_NO_GUARD, .guard_after = PS_ARENA_NO_GUARD),
        &first));
    EXPECT_EQ(first, 20); /* the neighbour's */
    EXPECT_OK(ps_arena_alloc(
        &f->arena,
        ASK(.pages = 3, .guard_before = PS_ARENA_NO_GUARD, .guard_after = PS_ARENA_NO_GUARD),
        &first));
    EXPECT_EQ(first, 23); /* nobody's */
    EXPECT_EQ(arena_get(test, f, 3), 28);
}

/* A smaller gap may serve a request without guards, and a larger one not serve one with many. */
ARENA_CASE(the_gap_that_will_do_is_found_whatever_the_guards, 0, 64, 1)
{
    uint64_t first = 0;

    for (unsigned i = 0; i < 10; i++)
        EXPECT_EQ(arena_get(test, f, 5), 1 + 6 * i);
    for (unsigned i = 0; i < 10; i += 2)
        arena_put(test, f, 1 + 6 * i);
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 2, .guard_before = 6), &first),
                   PS_NO_SPACE);
    EXPECT_OK(
        ps_arena_alloc(&f->arena, ASK(.pages = 2, .guard_before = 4, .guard_after = 1), &first));
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 3, .guard_before = 4), &first),
                   PS_NO_SPACE);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 5, .guard_after = PS_ARENA_NO_GUARD), &first));
}

ARENA_CASE(an_exact_place_is_taken_or_refused, 100, 100, 2)
{
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 10, .value = 5), 150, false));
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 10), 151, true), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 10), 145, true), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 10), 139, false), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 10), 161, false), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 10), 101, false), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 10), 191, true), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), 99, true), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = UINT64_MAX), 110, true),
                   PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 1, .align = 2), 111, true),
                   PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 2, .high = 111), 111, true),
                   PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 2, .high = 110), 111, true),
                   PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 2, .low = 112), 111, true),
                   PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_alloc_at(&f->arena, ASK(.pages = 0), 111, true), PS_INVALID_ARGS);
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 10), 162, false));
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 2), 160, true));
    EXPECT_ARENA("150+10=5 160+2 162+10");
}

/* The guard of what was forced is short before as after its neighbour goes, and then no more. */
ARENA_CASE(what_was_forced_near_others_may_outlive_them, 0, 100, 1)
{
    uint64_t first = 0;

    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), 10, false));
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 1), 12, false));
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 1, .guard_before = 5), 14, true));
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    arena_put(test, f, 12);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
    EXPECT_REFUSED(ps_arena_alloc(&f->arena, ASK(.pages = 1, .low = 11, .high = 13), &first),
                   PS_NO_SPACE);
    arena_put(test, f, 10);
    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 8, .high = 13), &first));
    EXPECT_EQ(first, 1);
    EXPECT_ARENA("1+8 14+1");
}

/* ---- wrong frees ---- */

ARENA_CASE(wrong_frees_are_refused, 100, 100, 2)
{
    uint64_t first = arena_get(test, f, 10);
    uint64_t other = arena_get(test, f, 10);

    EXPECT_REFUSED(ps_arena_free(&f->arena, first + 1, 0), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_free(&f->arena, first - 1, 0), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_free(&f->arena, 100, 0), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_free(&f->arena, 99, 0), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_arena_free(&f->arena, 200, 0), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_arena_free(&f->arena, UINT64_MAX, 0), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_arena_free(&f->arena, first, 9), PS_WRONG_SIZE);
    EXPECT_REFUSED(ps_arena_free(&f->arena, first, 11), PS_WRONG_SIZE);
    EXPECT_REFUSED(ps_arena_free_part(&f->arena, first, 0), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_free_part(&f->arena, first, 11), PS_WRONG_SIZE);
    EXPECT_REFUSED(ps_arena_free_part(&f->arena, first + 5, UINT64_MAX), PS_WRONG_SIZE);
    EXPECT_REFUSED(ps_arena_free_part(&f->arena, first + 10, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_retire(&f->arena, first - 1, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_release(&f->arena, first), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_release(&f->arena, 99), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_arena_retire(&f->arena, 200, 1), PS_OUT_OF_RANGE);
    EXPECT_OK(ps_arena_retire(&f->arena, first, 10));
    EXPECT_REFUSED(ps_arena_free(&f->arena, first, 0), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_free_part(&f->arena, first, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_retire(&f->arena, first, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_resize(&f->arena, first, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_arena_release(&f->arena, first + 1), PS_NOT_FOUND);
    EXPECT_OK(ps_arena_release(&f->arena, first));
    EXPECT_REFUSED(ps_arena_release(&f->arena, first), PS_NOT_FOUND);
    EXPECT_OK(ps_arena_free(&f->arena, other, 10));
    EXPECT_REFUSED(ps_arena_free(&f->arena, other, 10), PS_NOT_FOUND);
}

/* ---- parts ---- */

ARENA_CASE(any_part_can_be_freed, 0, 100, 1)
{
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 20, .value = 7), 10, false));
    EXPECT_OK(ps_arena_free_part(&f->arena, 10, 3));
    EXPECT_ARENA("13+17=7");
    EXPECT_OK(ps_arena_free_part(&f->arena, 28, 2));
    EXPECT_ARENA("13+15=7");
    EXPECT_OK(ps_arena_free_part(&f->arena, 20, 2));
    EXPECT_ARENA("13+7=7 22+6=7");
    EXPECT_OK(ps_arena_free_part(&f->arena, 13, 7));
    EXPECT_ARENA("22+6=7");
    EXPECT_EQ(f->arena.counters.live, 1);
    EXPECT_EQ(f->arena.counters.live_pages, 6);
    EXPECT_EQ(f->arena.counters.peak_pages, 20);
    EXPECT_EQ(f->arena.counters.allocs, 1);
}

ARENA_CASE(what_was_freed_at_a_cut_is_the_guard_there, 0, 100, 4)
{
    uint64_t first = arena_get(test, f, 92);

    EXPECT_OK(ps_arena_free_part(&f->arena, 50, 1));
    EXPECT_REFUSED(arena_ask(f, 1, &first), PS_NO_SPACE);
    EXPECT_OK(ps_arena_free_part(&f->arena, 51, 7));
    EXPECT_REFUSED(arena_ask(f, 1, &first), PS_NO_SPACE);
    EXPECT_OK(ps_arena_free_part(&f->arena, 58, 1));
    EXPECT_EQ(arena_get(test, f, 1), 54);
}

ARENA_CASE(retired_pages_are_not_reused_before_they_are_released, 0, 40, 1)
{
    uint64_t first = arena_get(test, f, 38);

    EXPECT_OK(ps_arena_retire(&f->arena, 10, 5));
    EXPECT_ARENA("1+9 10+5R 15+24");
    EXPECT_REFUSED(arena_ask(f, 1, &first), PS_NO_SPACE);
    EXPECT_OK(ps_arena_retire(&f->arena, 1, 2));
    EXPECT_OK(ps_arena_retire(&f->arena, 37, 2));
    EXPECT_ARENA("1+2R 3+7 10+5R 15+22 37+2R");
    EXPECT_EQ(f->arena.counters.live, 2);
    EXPECT_EQ(f->arena.counters.live_pages, 29);
    EXPECT_EQ(f->arena.counters.retired, 3);
    EXPECT_EQ(f->arena.counters.retired_pages, 9);
    EXPECT_OK(ps_arena_release(&f->arena, 10));
    EXPECT_OK(ps_arena_release(&f->arena, 1));
    EXPECT_OK(ps_arena_release(&f->arena, 37));
    EXPECT_EQ(arena_get(test, f, 3), 11);
    EXPECT_EQ(arena_get(test, f, 1), 38);
    EXPECT_EQ(arena_get(test, f, 1), 1);
}

ARENA_CASE(an_allocation_changes_its_size_in_place, 0, 40, 2)
{
    uint64_t first = arena_get(test, f, 10);

    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 5, .guard_before = 3), 20, false));
    EXPECT_REFUSED(ps_arena_resize(&f->arena, first, 0), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_arena_resize(&f->arena, first, 16), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_resize(&f->arena, first, UINT64_MAX), PS_NO_SPACE);
    EXPECT_REFUSED(ps_arena_resize(&f->arena, first + 1, 2), PS_NOT_FOUND);
    EXPECT_OK(ps_arena_resize(&f->arena, first, 15));
    EXPECT_OK(ps_arena_resize(&f->arena, 20, 18));
    EXPECT_REFUSED(ps_arena_resize(&f->arena, 20, 19), PS_NO_SPACE);
    EXPECT_EQ(f->arena.counters.peak_pages, 33);
    EXPECT_OK(ps_arena_resize(&f->arena, first, 1));
    EXPECT_ARENA("2+1 20+18");
    EXPECT_EQ(f->arena.counters.live_pages, 19);
}

/* A gap that was forced to be too small cannot be made smaller. */
ARENA_CASE(what_is_too_near_to_another_does_not_grow, 0, 40, 4)
{
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 5), 10, false));
    EXPECT_OK(ps_arena_alloc_at(&f->arena, ASK(.pages = 5), 17, true));
    EXPECT_REFUSED(ps_arena_resize(&f->arena, 10, 6), PS_NO_SPACE);
    EXPECT_OK(ps_arena_resize(&f->arena, 10, 4));
    EXPECT_ARENA("10+4 17+5");
}

/* ---- asking ---- */

ARENA_CASE(what_a_page_is_can_be_asked, 10, 30, 2)
{
    struct ps_arena_extent extent;
    enum ps_arena_kind kind = PS_ARENA_LIVE;

    EXPECT(ps_arena_kind_of(&f->arena, 10, &kind));
    EXPECT_EQ(kind, PS_ARENA_GUARD);
    EXPECT(ps_arena_kind_of(&f->arena, 12, &kind));
    EXPECT_EQ(kind, PS_ARENA_FREE);
    EXPECT_STATUS(ps_arena_find(&f->arena, 12, &extent), PS_NOT_FOUND);
    EXPECT_OK(
        ps_arena_alloc_at(&f->arena, ASK(.pages = 5, .value = 3, .guard_after = 4), 20, false));
    EXPECT_OK(ps_arena_find(&f->arena, 24, &extent));
    EXPECT_EQ(extent.first, 20);
    EXPECT_EQ(extent.value, 3);
    EXPECT_EQ(extent.guard_before, 2);
    EXPECT_EQ(extent.guard_after, 4);
    EXPECT_STATUS(ps_arena_find(&f->arena, 25, &extent), PS_NOT_FOUND);
    EXPECT_STATUS(ps_arena_find(&f->arena, 9, &extent), PS_OUT_OF_RANGE);
    EXPECT_STATUS(ps_arena_find(&f->arena, 40, &extent), PS_OUT_OF_RANGE);
    for (uint64_t page = 10; page < 40; page++) {
        EXPECT(ps_arena_kind_of(&f->arena, page, &kind));
        EXPECT_EQ(kind, page < 12 || page >= 38                  ? PS_ARENA_GUARD
                        : page < 18                              ? PS_ARENA_FREE
                        : page < 20 || (page >= 25 && page < 29) ? PS_ARENA_GUARD
                        : page < 25                              ? PS_ARENA_LIVE
                                                                 : PS_ARENA_FREE);
    }
    EXPECT(!ps_arena_kind_of(&f->arena, 40, &kind));
    EXPECT(ps_arena_set_value(&f->arena, 22, 9));
    EXPECT(!ps_arena_set_value(&f->arena, 19, 9));
    EXPECT(!ps_arena_set_value(&f->arena, 9, 9));
    EXPECT_ARENA("20+5=9");
    EXPECT_OK(ps_arena_find(&f->arena, 20, NULL));
    EXPECT_OK(ps_arena_retire(&f->arena, 22, 1));
    EXPECT(ps_arena_kind_of(&f->arena, 22, &kind));
    EXPECT_EQ(kind, PS_ARENA_RETIRED);
}

ARENA_CASE(neighbours_are_found, 10, 30, 2)
{
    struct ps_arena_extent extent = {0};

    EXPECT(!ps_arena_next(&f->arena, 0, &extent));
    EXPECT_EQ(arena_get(test, f, 3), 12);
    EXPECT_EQ(arena_get(test, f, 3), 17);
    EXPECT(ps_arena_next(&f->arena, 0, &extent) && extent.first == 12);
    EXPECT(ps_arena_next(&f->arena, 14, &extent) && extent.first == 12);
    EXPECT(ps_arena_next(&f->arena, 15, &extent) && extent.first == 17);
    EXPECT(!ps_arena_next(&f->arena, 20, &extent));
    EXPECT(!ps_arena_next(&f->arena, UINT64_MAX, &extent));
    EXPECT(ps_arena_previous(&f->arena, UINT64_MAX, &extent) && extent.first == 17);
    EXPECT(ps_arena_previous(&f->arena, 16, &extent) && extent.first == 12);
    EXPECT(!ps_arena_previous(&f->arena, 11, &extent));
    EXPECT(!ps_arena_previous(&f->arena, 0, &extent));
}

static bool count_down(void *context, const struct ps_arena_extent *extent)
{
    uint64_t *left = context;

    (void)extent;
    *left -= 1;
    return *left != 0;
}

ARENA_CASE(a_walk_ends_where_it_is_told_to, 10, 30, 2)
{
    uint64_t left = 9;

    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(arena_get(test, f, 3), 12 + 5 * i);
    EXPECT_EQ(ps_arena_for_each(&f->arena, 14, 22, count_down, &left), 3);
    EXPECT_EQ(ps_arena_for_each(&f->arena, 15, 21, count_down, &left), 1);
    EXPECT_EQ(ps_arena_for_each(&f->arena, 15, 16, count_down, &left), 0);
    EXPECT_EQ(ps_arena_for_each(&f->arena, 0, UINT64_MAX, count_down, &left), 4);
    EXPECT_EQ(left, 1);
    left = 2;
    EXPECT_EQ(ps_arena_for_each(&f->arena, 0, UINT64_MAX, count_down, &left), 2);
    EXPECT_EQ(ps_arena_for_each(&f->arena, 0, UINT64_MAX, NULL, NULL), 0);
}

ARENA_CASE(a_snapshot_tells_how_much_is_free, 0, 100, 1)
{
    struct ps_arena_snapshot now;

    ps_arena_snapshot(&f->arena, &now);
    EXPECT_EQ(now.largest, 98);
    EXPECT_EQ(now.free_extents, 1);
    EXPECT_EQ(now.fragmentation, 20);
    EXPECT_EQ(arena_get(test, f, 10), 1);
    EXPECT_EQ(arena_get(test, f, 10), 12);
    EXPECT_EQ(arena_get(test, f, 10), 23);
    arena_put(test, f, 12);
    ps_arena_snapshot(&f->arena, &now);
    EXPECT_EQ(now.counters.live, 2);
    EXPECT_EQ(now.free_pages, 80);
    EXPECT_EQ(now.free_extents, 2);
    EXPECT_EQ(now.largest, 65);
    EXPECT_EQ(now.fragmentation, 187);
    EXPECT_EQ(now.frames, 1);
    EXPECT_EQ(arena_get(test, f, 65), 34);
    ps_arena_snapshot(&f->arena, &now);
    EXPECT_EQ(now.largest, 10);
}

ARENA_CASE(a_snapshot_of_a_full_arena_has_nothing_free, 0, 100, 0)
{
    struct ps_arena_snapshot now;

    EXPECT_EQ(arena_get(test, f, 100), 0);
    ps_arena_snapshot(&f->arena, &now);
    EXPECT_EQ(now.free_pages, 0);
    EXPECT_EQ(now.free_extents, 0);
    EXPECT_EQ(now.largest, 0);
    EXPECT_EQ(now.fragmentation, 0);
}

ARENA_CASE(a_dump_tells_what_is_there, 16, 100, 1)
{
    static char text[512];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(ps_arena_alloc(&f->arena, ASK(.pages = 5, .value = 0xab), &(uint64_t){0}));
    EXPECT_OK(ps_arena_retire(&f->arena, 19, 3));
    ps_arena_dump(&f->arena, &sink);
    EXPECT_TEXT(text, "address arena 0x10 +100: live 1 (2 pages), retired 1 (3), failed 0\n"
                      "free 95 pages, 1 extents, largest 92, frames 1 (3 promised)\n"
                      "  0x11 +2 value 0xab\n"
                      "  0x13 +3 value 0xab retired\n");
}

static const struct test_case cases[] = {
    TEST_CASE(shapes_that_cannot_be_are_refused),
    TEST_CASE(init_checks_what_it_is_given),
    TEST_CASE(what_is_not_initialised_answers_bad_state),
    TEST_CASE(null_pointers_are_refused),
    TEST_CASE(nothing_is_found_in_an_empty_arena),
    TEST_CASE(destroy_refuses_while_something_is_there),
    TEST_CASE(nothing_is_taken_for_an_arena_without_allocations),
    TEST_CASE(requests_that_make_no_sense_are_refused),
    TEST_CASE(alignment_is_kept_or_the_call_fails),
    TEST_CASE(limits_are_kept_and_the_lowest_place_is_taken),
    TEST_CASE(a_gap_is_as_large_as_the_larger_of_both_guards),
    TEST_CASE(the_gap_that_will_do_is_found_whatever_the_guards),
    TEST_CASE(an_exact_place_is_taken_or_refused),
    TEST_CASE(what_was_forced_near_others_may_outlive_them),
    TEST_CASE(wrong_frees_are_refused),
    TEST_CASE(any_part_can_be_freed),
    TEST_CASE(what_was_freed_at_a_cut_is_the_guard_there),
    TEST_CASE(retired_pages_are_not_reused_before_they_are_released),
    TEST_CASE(an_allocation_changes_its_size_in_place),
    TEST_CASE(what_is_too_near_to_another_does_not_grow),
    TEST_CASE(what_a_page_is_can_be_asked),
    TEST_CASE(neighbours_are_found),
    TEST_CASE(a_walk_ends_where_it_is_told_to),
    TEST_CASE(a_snapshot_tells_how_much_is_free),
    TEST_CASE(a_snapshot_of_a_full_arena_has_nothing_free),
    TEST_CASE(a_dump_tells_what_is_there),
};

const struct test_suite suite_address_arena = TEST_SUITE("address_arena", cases);
