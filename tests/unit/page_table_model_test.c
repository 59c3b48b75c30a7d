#include "page_table_fixture.h"

#include <string.h>

#include "model/space_driver.h"

/*
 * Random calls on two address spaces against a list of pages, in tables of 512 entries. What is
 * called and what is compared stands in tests/model; tables of 2, 4 and 8 entries are searched by
 * the programs of tests/exhaustive.
 *
 * One window begins in the last MiBs of one 1 GiB block and reaches into the next, one ends at
 * the end of the lower half, one begins at page 0. Only the window of `with 1 GiB leaves` has room
 * for such leaves: its steps are dear, and so few.
 */

enum { STEPS = 200, HUGE_STEPS = 40 };

struct plan {
    unsigned flags;
    uint32_t processors;
    bool huge;
    bool typed; /* the machine keeps cache types */
    uint64_t first_seed;
    uint64_t seeds;
};

static uint64_t pick(void *context, uint64_t bound)
{
    return test_random_below(context, bound);
}

static uint32_t first_processor(void *context)
{
    (void)context;
    return 0;
}

static unsigned windows_of(const struct plan *plan, struct space_range *windows)
{
    uint64_t space = (uint64_t)1 << ((plan->flags & SIM_FIVE_LEVELS) != 0 ? 45 : 36);
    uint64_t high = space - space / 8;

    windows[0] = (struct space_range){0, 1024};
    windows[1] = (struct space_range){space / 2 - 1024, 1024};
    windows[2] = (struct space_range){high + TABLE_HUGE - 1024, 2048};
    if (plan->huge)
        windows[2] = (struct space_range){high - 512, TABLE_HUGE + 1024};
    return 3;
}

static void tell_failure(struct test *test, const struct space_driver *driver, uint64_t seed)
{
    uint64_t first = driver->calls > DRIVER_KEPT_LINES ? driver->calls - DRIVER_KEPT_LINES : 0;

    EXPECT(!driver->failed);
    if (!driver->failed)
        return;
    test_note(test, "seed %" PS_PRIu ", call %" PS_PRIu ": %s", seed, driver->calls,
              driver->failure);
    for (uint64_t i = first; i < driver->calls; i++)
        test_note(test, "%s", driver->lines[i % DRIVER_KEPT_LINES]);
}

static bool keep_types(struct test *test, struct sim_machine *sim, struct ps_cache_types *types,
                       struct ps_frame_pool *pool)
{
    *types = (struct ps_cache_types){0};
    sim->machine.cache_types = types;
    return EXPECT_OK(ps_cache_types_init(types, pool, &sim->map));
}

static void run_on(struct test *test, const struct plan *plan, struct sim_machine *sim,
                   uint64_t seed)
{
    static struct space_driver driver;
    static struct ps_frame_pool pool;
    static struct ps_cache_types types;
    struct test_random random = test_random(seed);
    struct mmu *mmu = mmu_create(sim);
    struct space_range windows[SPACE_WINDOWS];
    unsigned count = windows_of(plan, windows);
    unsigned steps = plan->huge ? HUGE_STEPS : STEPS;

    memset(&pool, 0, sizeof(pool));
    driver = (struct space_driver){.pick = pick, .context = &random};
    sim->machine.processors = plan->processors;
    sim->machine.processor = first_processor;
    sim->machine.flush_threshold = (uint32_t)1 << test_random_below(&random, 13);
    if (EXPECT_OK(ps_frame_pool_init(&pool, &sim->machine, &sim->map)) &&
        (!plan->typed || keep_types(test, sim, &types, &pool)) &&
        EXPECT(space_driver_start(&driver, sim, mmu, &pool, windows, count))) {
        for (unsigned step = 0; step < steps && !driver.failed; step++)
            space_step(&driver);
        if (!driver.failed)
            space_driver_finish(&driver);
        tell_failure(test, &driver, seed);
        EXPECT(!plan->typed || driver.failed || ps_cache_types_destroy(&types) == PS_OK);
    }
    space_driver_end(&driver);
    mmu_destroy(mmu);
}

static void run(struct test *test, const struct plan *plan)
{
    struct sim_range ram = SIM_RAM(TABLE_FIRST_FRAME, plan->huge ? 2048 : plan->typed ? 256 : 96);

    for (uint64_t seed = plan->first_seed;
         seed < plan->first_seed + plan->seeds && test->failures == 0; seed++) {
        struct sim_machine *sim = sim_machine_create(&ram, 1, plan->flags);

        REQUIRE(sim != NULL);
        run_on(test, plan, sim, seed);
        sim_machine_destroy(sim);
    }
}

#define MODEL_CASE(name, ...)                   \
    static void name(struct test *test)         \
    {                                           \
        run(test, &(struct plan){__VA_ARGS__}); \
    }

MODEL_CASE(random_calls_agree, .seeds = 10, .first_seed = 1)
MODEL_CASE(random_calls_of_several_processors_agree, .processors = 2, .first_seed = 100, .seeds = 3)
MODEL_CASE(random_calls_agree_in_five_levels, .flags = SIM_FIVE_LEVELS, .first_seed = 200,
           .seeds = 3)
MODEL_CASE(random_calls_agree_without_no_execute, .flags = SIM_NO_EXECUTE_DISABLE,
           .first_seed = 300, .seeds = 3)
MODEL_CASE(random_calls_agree_without_gib_leaves, .flags = SIM_NO_GIB_LEAVES | SIM_NO_GLOBAL_LEAVES,
           .first_seed = 400, .seeds = 3)
MODEL_CASE(random_calls_agree_with_gib_leaves, .huge = true, .first_seed = 500, .seeds = 3)
MODEL_CASE(random_calls_agree_with_gib_leaves_in_five_levels, .flags = SIM_FIVE_LEVELS,
           .huge = true, .processors = 2, .first_seed = 600, .seeds = 3)
MODEL_CASE(random_calls_agree_about_cache_types, .typed = true, .first_seed = 700, .seeds = 10)
MODEL_CASE(random_calls_of_several_processors_agree_about_cache_types, .typed = true,
           .processors = 2, .first_seed = 800, .seeds = 3)
MODEL_CASE(random_calls_agree_about_cache_types_with_gib_leaves, .typed = true, .huge = true,
           .first_seed = 900, .seeds = 1)

static const struct test_case cases[] = {
    TEST_CASE(random_calls_agree),
    TEST_CASE(random_calls_of_several_processors_agree),
    TEST_CASE(random_calls_agree_in_five_levels),
    TEST_CASE(random_calls_agree_without_no_execute),
    TEST_CASE(random_calls_agree_without_gib_leaves),
    TEST_CASE(random_calls_agree_with_gib_leaves),
    TEST_CASE(random_calls_agree_with_gib_leaves_in_five_levels),
    TEST_CASE(random_calls_agree_about_cache_types),
    TEST_CASE(random_calls_of_several_processors_agree_about_cache_types),
    TEST_CASE(random_calls_agree_about_cache_types_with_gib_leaves),
};

const struct test_suite suite_page_table_model = TEST_SUITE("page_table_model", cases);
