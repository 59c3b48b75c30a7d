/*
 * Bytes as calls on two address spaces with tables of four entries, each compared with the oracle
 * of tests/model.
 *
 *     byte 0     levels, 2 to 5, and what the processor has
 *     the rest   choices: which call, then what its arguments are; see tests/model/space_steps.c
 *
 * Each input gets a machine that never was, with 96 frames, and a software MMU that looks.
 */
#include <stdio.h>
#include <stdlib.h>

#include "model/space_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 60 };

struct input {
    const uint8_t *bytes;
    size_t size;
    size_t next;
};

/* Once there are no more bytes, every choice is the first one. */
static uint8_t next_byte(struct input *input)
{
    return input->next < input->size ? input->bytes[input->next++] : 0;
}

static uint64_t pick(void *context, uint64_t bound)
{
    struct input *input = context;
    uint64_t value = next_byte(input);

    if (bound > 256)
        value |= (uint64_t)next_byte(input) << 8;
    return value % bound;
}

static uint32_t first_processor(void *context)
{
    (void)context;
    return 0;
}

static void describe_machine(struct ps_machine *machine, unsigned traits)
{
    machine->levels = (uint8_t)(2 + traits % 4);
    machine->gib_leaves = (traits & 4) != 0;
    machine->no_execute = (traits & 8) != 0;
    machine->processors = (traits & 16) != 0 ? 2 : 1;
    machine->processor = first_processor;
    machine->flush_threshold = 1u << (traits >> 5);
}

static void stop_when_failed(const struct space_driver *driver)
{
    uint64_t first = driver->calls > DRIVER_KEPT_LINES ? driver->calls - DRIVER_KEPT_LINES : 0;

    if (!driver->failed)
        return;
    for (uint64_t i = first; i < driver->calls; i++)
        fprintf(stderr, "%s\n", driver->lines[i % DRIVER_KEPT_LINES]);
    fprintf(stderr, "call %" PS_PRIu ": %s\n", driver->calls, driver->failure);
    abort();
}

static void play(struct space_driver *driver, const struct input *input)
{
    for (unsigned step = 0; step < STEPS_MAX && input->next < input->size && !driver->failed;
         step++)
        space_step(driver);
    if (!driver->failed)
        space_driver_finish(driver);
    stop_when_failed(driver);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sim_range ram[] = {SIM_RAM(256, 96)};
    static struct space_driver driver;
    struct sim_machine *sim = sim_machine_create(ram, 1, 0);
    struct input input = {.bytes = data, .size = size};
    struct ps_frame_pool pool = {0};
    struct space_range window = {0, 0};
    struct mmu *mmu;

    if (sim == NULL)
        abort();
    describe_machine(&sim->machine, next_byte(&input));
    mmu = mmu_create(sim);
    window.count = (uint64_t)1 << PS_TABLE_INDEX_BITS * sim->machine.levels;
    driver = (struct space_driver){.pick = pick, .context = &input};
    if (ps_frame_pool_init(&pool, &sim->machine, &sim->map) != PS_OK ||
        !space_driver_start(&driver, sim, mmu, &pool, &window, 1))
        abort();
    play(&driver, &input);
    space_driver_end(&driver);
    mmu_destroy(mmu);
    sim_machine_destroy(sim);
    return 0;
}
