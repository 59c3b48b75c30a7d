/* Random calls, each compared with a sorted array. */
#include "range_tree_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "model/range_driver.h"
#include "unit_suites.h"

enum { SEEDS = 12, STEPS = 2500, COMPARE_EVERY = 32 };

/* What numbers a run is about, and which calls it likes. */
struct plan {
    uint64_t base;
    uint64_t span;
    uint64_t longest;
    bool fails;
};

static const struct plan plans[] = {
    {0, 250, 6, false},
    {0, 20000, 24, true},
    {UINT64_MAX - 5000, 5001, 12, false},
    {(uint64_t)1 << 63, 100000, 60, true},
};

/* Phases in which there are more and more ranges, and fewer and fewer. */
static enum range_call pick_call(struct test_random *random, bool growing)
{
    uint64_t choice = test_random_below(random, 24);

    if (choice < 8)
        return growing ? RANGE_INSERT : RANGE_ERASE;
    return (enum range_call)(choice < 8 + RANGE_CALLS ? choice - 8 : (uint64_t)RANGE_LOOK);
}

static uint64_t pick_number(struct test_random *random, const struct plan *plan)
{
    return plan->base + test_random_below(random, plan->span);
}

/* An end behind `first`, or, now and then, before it. */
static uint64_t pick_end(struct test_random *random, uint64_t first, uint64_t longest)
{
    uint64_t length =
        test_random_below(random, test_random_below(random, 16) == 0 ? longest * 16 : longest);

    if (first > 0 && test_random_below(random, 50) == 0)
        return first - 1;
    return first + ps_min(length, UINT64_MAX - first);
}

static struct ps_range_step pick_step(struct test_random *random, const struct plan *plan,
                                      const struct range_driver *driver, bool growing)
{
    struct ps_range_step step = {.call = (uint8_t)pick_call(random, growing),
                                 .flag = test_random_below(random, 2) == 0};

    step.a = pick_number(random, plan);
    step.b = pick_end(random, step.a, plan->longest);
    step.c = test_random_below(random, 256);
    if (step.call == RANGE_ERASE && driver->count != 0)
        step.a = driver->ranges[test_random_below(random, driver->count)].first;
    if (step.call == RANGE_RESIZE) {
        step.b = step.a - ps_min(step.a, test_random_below(random, plan->longest));
        step.c = pick_end(random, step.b, plan->longest);
    }
    if (step.call == RANGE_RESERVE || step.call == RANGE_RETURN)
        step.a = test_random_below(random, 6);
    if (step.call == RANGE_FIND_GAP)
        step.a = test_random_below(random, plan->longest);
    return step;
}

static void play(struct test *test, struct tree_fixture *f, struct range_driver *driver,
                 uint64_t seed)
{
    const struct plan *plan = &plans[seed % PS_ARRAY_SIZE(plans)];
    struct test_random random = test_random(seed);

    driver->fails = plan->fails;
    for (unsigned i = 0; i < STEPS; i++) {
        struct ps_range_step step =
            pick_step(&random, plan, driver, i / 400 % 3 != 2 && driver->count < 2000);

        if (plan->fails)
            ps_frame_pool_fail_after(&f->pool, test_random_below(&random, 3), false);
        if (!range_driver_step(driver, &step) ||
            ((i % COMPARE_EVERY == 0 || driver->count < 40) && !range_driver_compare(driver))) {
            EXPECT(false);
            test_note(test, "seed %" PS_PRIu ", step %u: %s", seed, i, driver->wrong);
            return;
        }
    }
    (void)EXPECT(range_driver_compare(driver));
}

TREE_CASE_OF(random_calls_do_what_they_do_to_a_sorted_array, 4096)
{
    struct range_driver *driver = malloc(sizeof(*driver));

    REQUIRE(driver != NULL);
    for (uint64_t seed = 1; seed <= SEEDS && test->failures == 0; seed++) {
        memset(driver, 0, sizeof(*driver));
        driver->tree = &f->tree;
        play(test, f, driver, seed);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        EXPECT_OK(ps_range_tree_clear(&f->tree, 0, UINT64_MAX));
        ps_range_tree_unreserve(&f->tree, UINT64_MAX);
        EXPECT_EQ(f->tree.frames, 0);
    }
    free(driver);
}

static const struct test_case cases[] = {
    TEST_CASE(random_calls_do_what_they_do_to_a_sorted_array),
};

const struct test_suite suite_range_tree_model = TEST_SUITE("range_tree_model", cases);
