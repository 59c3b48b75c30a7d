/*
 * Random calls on virtual allocators against a list of pieces and their pages. What is called and
 * what is compared stands in tests/model. Machine and arena vary with the seed.
 */
#include "model/virtual_driver.h"

#include <string.h>

#include "harness/test.h"
#include "unit_suites.h"

enum { STEPS = 150 };

static uint64_t pick(void *context, uint64_t bound)
{
    return test_random_below(context, bound);
}

static void tell_failure(struct test *test, const struct virtual_driver *driver, uint64_t seed)
{
    uint64_t first = driver->calls > VIRTUAL_LINES ? driver->calls - VIRTUAL_LINES : 0;

    EXPECT(!driver->failed);
    if (!driver->failed)
        return;
    test_note(test, "seed %" PS_PRIu ", call %" PS_PRIu ": %s", seed, driver->calls,
              driver->failure);
    for (uint64_t i = first; i < driver->calls; i++)
        test_note(test, "%s", driver->lines[i % VIRTUAL_LINES]);
}

static void run_seed(struct test *test, struct virtual_machines *machines, uint64_t seed)
{
    static struct virtual_driver driver;
    struct test_random random = test_random(2 * seed); /* the last bit does not count */
    struct virtual_setup setup;

    memset(&driver, 0, sizeof(driver));
    driver.pick = pick;
    driver.context = &random;
    virtual_choose_setup(&driver, &setup);
    setup.sim = virtual_machine(machines, &setup);
    REQUIRE(setup.sim != NULL);
    if (EXPECT(virtual_driver_start(&driver, &setup))) {
        for (unsigned step = 0; step < STEPS && !driver.failed; step++)
            virtual_step(&driver);
        if (!driver.failed)
            virtual_driver_finish(&driver);
        tell_failure(test, &driver, seed);
    }
    virtual_driver_end(&driver);
}

static void run(struct test *test, uint64_t first, uint64_t count)
{
    struct virtual_machines machines = {0};

    for (uint64_t seed = first; seed < first + count && test->failures == 0; seed++)
        run_seed(test, &machines, seed);
    virtual_machines_end(&machines);
}

static void random_calls_agree(struct test *test)
{
    run(test, 1, 150);
}

static const struct test_case cases[] = {
    TEST_CASE(random_calls_agree),
};

const struct test_suite suite_virtual_model = TEST_SUITE("virtual_model", cases);
