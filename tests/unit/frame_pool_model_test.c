#include "frame_pool_fixture.h"

#include <string.h>

#include "model/frame_steps.h"

/*
 * Random calls on machines of several shapes, each compared with the oracle of tests/model:
 * it knows what must be answered; only where a frame is taken from is the pool's choice.
 */

struct shape {
    const char *name;
    const struct sim_range *ranges;
    size_t range_count;
    unsigned seeds;
    unsigned steps;
    unsigned between; /* steps between two looks at the whole pool */
    uint32_t processors;
    bool every_frame;
    bool instruments;
    uint64_t run_most;
};

struct play {
    struct test *test;
    const struct shape *shape;
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct frame_oracle oracle;
    struct frame_driver driver;
    struct test_random random;
    uint32_t processor; /* that calls */
};

static uint64_t pick(void *context, uint64_t bound)
{
    struct play *play = context;

    return test_random_below(&play->random, bound);
}

static uint32_t this_processor(void *context)
{
    const struct play *play = context;

    return play->processor;
}

static void note_failure(const struct play *play, uint64_t seed)
{
    const struct frame_driver *driver = &play->driver;
    uint64_t first = driver->calls > DRIVER_LINES ? driver->calls - DRIVER_LINES : 0;

    test_note(play->test, "%s, seed %" PS_PRIu ", call %" PS_PRIu ": %s", play->shape->name, seed,
              driver->calls, driver->failure);
    for (uint64_t i = first; i < driver->calls; i++)
        test_note(play->test, "  %s", driver->lines[i % DRIVER_LINES]);
}

static void play_steps(struct play *play)
{
    const struct shape *shape = play->shape;
    const struct frame_choices choices = {
        .pick = pick,
        .context = play,
        .instruments = shape->instruments,
        .zero_most = 1024,
        .run_most = shape->run_most,
    };

    for (unsigned i = 0; i < shape->steps && !play->driver.failed; i++) {
        if (shape->processors > 1)
            play->processor = (uint32_t)pick(play, shape->processors);
        frame_step(&play->driver, &choices);
        if (i % shape->between == shape->between - 1)
            driver_compare(&play->driver);
    }
    driver_finish(&play->driver);
}

/* A pool that never was, on a machine that holds what the last one left. */
static void play_once(struct play *play, uint64_t seed)
{
    struct test *test = play->test;

    memset(&play->pool, 0, sizeof(play->pool));
    play->driver = (struct frame_driver){.stamps = true, .every_frame = play->shape->every_frame};
    play->random = test_random(seed);
    play->processor = 0;
    REQUIRE(oracle_create(&play->oracle, &oracle_real_geometry, play->shape->ranges,
                          play->shape->range_count));
    if (EXPECT_OK(ps_frame_pool_init(&play->pool, &play->sim->machine, &play->sim->map))) {
        driver_start(&play->driver, &play->pool, &play->oracle);
        play_steps(play);
        if (!EXPECT(!play->driver.failed))
            note_failure(play, seed);
    }
    oracle_destroy(&play->oracle);
}

static void play_shape(struct test *test, const struct shape *shape)
{
    static struct play play;

    play = (struct play){.test = test, .shape = shape};
    play.sim = sim_machine_create(shape->ranges, shape->range_count, 0);
    REQUIRE(play.sim != NULL);
    play.sim->machine.processors = shape->processors;
    play.sim->machine.processor = this_processor;
    play.sim->machine.processor_context = &play;
    for (unsigned seed = 1; seed <= shape->seeds && test->failures == 0; seed++)
        play_once(&play, seed);
    sim_machine_destroy(play.sim);
}

#define LATE(first_frame, page_count)                                      \
    {                                                                      \
        {(first_frame)}, {(page_count)}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK \
    }
#define PLAIN(first_frame, page_count, type)             \
    {                                                    \
        {(first_frame)}, {(page_count)}, type, SIM_PLAIN \
    }
#define SHAPE(array) .ranges = array, .range_count = PS_ARRAY_SIZE(array)

static void small_machine_with_holes_agrees_with_the_oracle(struct test *test)
{
    static const struct sim_range ranges[] = {
        SIM_RAM(0, 300), LATE(300, 30), SIM_RAM(400, 720), SIM_RAM(1300, 900), LATE(2200, 200),
    };
    static const struct shape shape = {
        .name = "holes",
        SHAPE(ranges),
        .seeds = 8,
        .steps = 500,
        .between = 16,
        .every_frame = true,
        .instruments = true,
        .run_most = 1200,
    };

    play_shape(test, &shape);
}

static void eight_mib_agree_with_the_oracle(struct test *test)
{
    static const struct sim_range ranges[] = {SIM_RAM(0, 2048)};
    static const struct shape shape = {
        .name = "8 MiB",
        SHAPE(ranges),
        .seeds = 6,
        .steps = 500,
        .between = 16,
        .processors = 3,
        .instruments = true,
        .run_most = 1600,
    };

    play_shape(test, &shape);
}

/* 16 MiB with a few frames of RAM each: the last free one is kept for tags. */
static void crumbs_of_memory_agree_with_the_oracle(struct test *test)
{
    static const struct sim_range ranges[] = {
        SIM_RAM(0, 262),     SIM_RAM(4096, 1),      SIM_RAM(8190, 4),  SIM_RAM(12288, 40),
        LATE(12328, 5),      SIM_RAM(16381, 2),     LATE(20480, 3),    LATE(0x3fffe, 2),
        SIM_RAM(0x40000, 3), SIM_RAM(0x80200, 600), LATE(0x100000, 1), SIM_RAM(0x100ffe, 5),
    };
    static const struct shape shape = {
        .name = "crumbs",
        SHAPE(ranges),
        .seeds = 24,
        .steps = 500,
        .between = 16,
        .every_frame = true,
        .instruments = true,
        .run_most = 60,
    };

    play_shape(test, &shape);
}

static void both_sides_of_4_gib_agree_with_the_oracle(struct test *test)
{
    static const struct sim_range ranges[] = {
        SIM_RAM(0, 700),
        LATE(700, 100),
        SIM_RAM(0xffd00, 0x300 + 700),
        LATE(0x1002bc, 200),
    };
    static const struct shape shape = {
        .name = "4 GiB",
        SHAPE(ranges),
        .seeds = 6,
        .steps = 500,
        .between = 16,
        .processors = 2,
        .run_most = 900,
    };

    play_shape(test, &shape);
}

static void whole_gib_agree_with_the_oracle(struct test *test)
{
    static const struct sim_range ranges[] = {
        PLAIN(0, 2048, PS_MEMORY_USABLE),
        PLAIN(0x40000, 0x40000, PS_MEMORY_USABLE),
        PLAIN(0xffe00, 0x200 + 3000, PS_MEMORY_USABLE),
        PLAIN(0x100bb8, 600, PS_MEMORY_BOOT_SERVICES),
    };
    static const struct shape shape = {
        .name = "GiB",
        SHAPE(ranges),
        .seeds = 2,
        .steps = 80,
        .between = 40,
        .run_most = 300000,
    };

    play_shape(test, &shape);
}

static const struct test_case cases[] = {
    TEST_CASE(small_machine_with_holes_agrees_with_the_oracle),
    TEST_CASE(eight_mib_agree_with_the_oracle),
    TEST_CASE(crumbs_of_memory_agree_with_the_oracle),
    TEST_CASE(both_sides_of_4_gib_agree_with_the_oracle),
    TEST_CASE(whole_gib_agree_with_the_oracle),
};

const struct test_suite suite_frame_pool_model = TEST_SUITE("frame_pool_model", cases);
