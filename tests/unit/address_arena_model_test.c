/*
 * Random calls, each compared with an array that knows for each page which allocation it is in; see
 * tests/model/arena_driver.h.
 */
#include "address_arena_fixture.h"

#include <string.h>

#include "model/arena_driver.h"
#include "unit_suites.h"

enum { SEEDS = 8, STEPS = 4000, COMPARE_EVERY = 64 };

/* The arena, and what is asked of it. */
struct plan {
    uint64_t first;
    uint64_t pages;
    uint64_t guard;
    uint64_t longest;
    bool fails; /* frames are refused now and then */
};

static const struct plan plans[] = {
    {0, 120, 1, 12, false},
    {5000, 600, 0, 6, true},
    {((uint64_t)1 << 52) - 3000, 3000, 1, 3, true},
    {((uint64_t)1 << 51) - 7, 2500, 2, 700, false},
};

static const struct plan *plan;
static struct arena_driver driver;
static uint64_t values;

static uint32_t pick_guard(struct test_random *random)
{
    uint64_t choice = test_random_below(random, 12);

    return choice == 0  ? PS_ARENA_NO_GUARD
           : choice < 3 ? (uint32_t)test_random_below(random, 6)
                        : 0;
}

static struct ps_arena_request pick_request(struct test_random *random)
{
    struct ps_arena_request request = {
        .pages = 1 + test_random_below(random, plan->longest),
        .value = ++values,
        .guard_before = pick_guard(random),
        .guard_after = pick_guard(random),
    };

    return request;
}

static struct ps_arena_request pick_limits(struct test_random *random)
{
    struct ps_arena_request request = pick_request(random);

    if (test_random_below(random, 4) == 0)
        request.align = (uint64_t)1 << test_random_below(random, 8);
    if (test_random_below(random, 8) == 0) {
        request.low = plan->first + test_random_below(random, plan->pages);
        request.high = request.low + test_random_below(random, plan->pages);
    }
    return request;
}

static enum arena_call pick_call(struct test_random *random, bool growing)
{
    uint64_t choice = test_random_below(random, 20);

    if (choice < 9)
        return growing ? ARENA_ALLOC : ARENA_FREE;
    return choice < 11   ? ARENA_ALLOC
           : choice < 12 ? ARENA_ALLOC_AT
           : choice < 14 ? ARENA_FREE
           : choice < 15 ? ARENA_RELEASE
           : choice < 16 ? ARENA_FREE_PART
           : choice < 17 ? ARENA_RETIRE
           : choice < 19 ? ARENA_RESIZE
                         : ARENA_SET;
}

/* A page anywhere, or the first of whatever is there. */
static struct arena_step pick_step(struct test_random *random, bool growing)
{
    struct arena_step step = {
        .call = (uint8_t)pick_call(random, growing),
        .page = test_random_below(random, plan->pages),
        .pages = 1 + test_random_below(random, plan->longest),
    };
    const struct arena_owner *owner = &driver.owners[driver.owner[step.page]];

    if (driver.owner[step.page] != 0 && step.call != ARENA_ALLOC_AT &&
        test_random_below(random, 4) != 0) {
        if (step.call != ARENA_FREE_PART && step.call != ARENA_RETIRE)
            step.page = owner->first;
        if (step.call == ARENA_FREE && owner->retired)
            step.call = ARENA_RELEASE;
        else if (step.call == ARENA_FREE)
            step.pages = owner->pages * test_random_below(random, 2);
        if (step.call == ARENA_FREE_PART || step.call == ARENA_RETIRE)
            step.pages = ps_min(step.pages, owner->first + owner->pages - step.page);
    }
    step.flag = test_random_below(random, 8) == 0;
    step.request = step.call == ARENA_ALLOC ? pick_limits(random) : pick_request(random);
    return step;
}

static void play(struct test *test, struct arena_fixture *f, uint64_t seed)
{
    struct test_random random = test_random(seed);

    for (unsigned i = 0; i < STEPS && test->failures == 0; i++) {
        struct arena_step step = pick_step(&random, i / 1000 % 2 == 0);

        if (plan->fails)
            ps_frame_pool_fail_after(&f->pool, test_random_below(&random, 3), false);
        if (!arena_driver_step(&driver, &step) ||
            (i % 4 == 0 && ps_arena_validate(&f->arena, NULL) != PS_OK) ||
            (i % COMPARE_EVERY == 0 && !arena_driver_compare(&driver))) {
            EXPECT_TEXT(driver.wrong, "");
            EXPECT_OK(ps_arena_validate(&f->arena, NULL));
            test_note(test, "seed %" PS_PRIu ", step %u, call %u", seed, i, step.call);
        }
    }
    EXPECT(arena_driver_compare(&driver));
}

static uint64_t seed_now;

static void play_in(struct test *test, struct arena_fixture *f)
{
    memset(&driver, 0, sizeof(driver));
    driver.arena = &f->arena;
    driver.fails = plan->fails;
    play(test, f, seed_now);
}

static void play_plan(struct test *test, const struct plan *what)
{
    plan = what;
    for (seed_now = 1; seed_now <= SEEDS && test->failures == 0; seed_now++)
        arena_with(test, &(struct arena_shape){plan->first, plan->pages, plan->guard, 256},
                   play_in);
}

static void a_small_arena_agrees_with_an_array(struct test *test)
{
    play_plan(test, &plans[0]);
}

static void an_arena_without_guards_agrees_with_an_array(struct test *test)
{
    play_plan(test, &plans[1]);
}

static void the_last_pages_of_all_agree_with_an_array(struct test *test)
{
    play_plan(test, &plans[2]);
}

static void long_allocations_agree_with_an_array(struct test *test)
{
    play_plan(test, &plans[3]);
}

static const struct test_case cases[] = {
    TEST_CASE(a_small_arena_agrees_with_an_array),
    TEST_CASE(an_arena_without_guards_agrees_with_an_array),
    TEST_CASE(the_last_pages_of_all_agree_with_an_array),
    TEST_CASE(long_allocations_agree_with_an_array),
};

const struct test_suite suite_address_arena_model = TEST_SUITE("address_arena_model", cases);
