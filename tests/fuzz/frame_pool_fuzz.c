/*
 * Bytes as calls of the frame pool, each compared with the oracle of tests/model.
 *
 *     byte 0     processors: 1 to 3
 *     the rest   choices: which call, then what its arguments are; see tests/model/frame_steps.c
 *
 * The machine has low memory, one whole 2 MiB frame, 16 MiB with a few frames of RAM, memory
 * that comes late, and a few frames above 4 GiB. Each input gets a pool that never was, on
 * frames full of junk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw.h"
#include "model/frame_steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS_MAX = 120 };

static const struct sim_range ranges[] = {
    SIM_RAM(0, 262),  SIM_RAM(500, 560),     {{1060}, {8}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK},
    SIM_RAM(4094, 6), SIM_RAM(0x100000, 40), {{0x100028}, {4}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK},
};

struct input {
    const uint8_t *bytes;
    size_t size;
    size_t next;
    uint32_t processor;
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

static uint32_t this_processor(void *context)
{
    const struct input *input = context;

    return input->processor;
}

static void stop_when_failed(const struct frame_driver *driver)
{
    uint64_t first = driver->calls > DRIVER_LINES ? driver->calls - DRIVER_LINES : 0;

    if (!driver->failed)
        return;
    for (uint64_t i = first; i < driver->calls; i++)
        fprintf(stderr, "%s\n", driver->lines[i % DRIVER_LINES]);
    fprintf(stderr, "call %" PS_PRIu ": %s\n", driver->calls, driver->failure);
    abort();
}

static void play(struct frame_driver *driver, struct input *input, uint32_t processors)
{
    const struct frame_choices choices = {
        .pick = pick,
        .context = input,
        .instruments = true,
        .zero_most = 1024,
        .run_most = 600,
    };

    while (input->next < input->size && driver->calls < CALLS_MAX && !driver->failed) {
        if (processors > 1)
            input->processor = (uint32_t)pick(input, processors);
        frame_step(driver, &choices);
    }
    driver_finish(driver);
    stop_when_failed(driver);
}

static struct sim_machine *clean_machine(void)
{
    static struct sim_machine *sim;

    if (sim == NULL)
        sim = sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), 0);
    if (sim == NULL)
        abort();
    for (size_t r = 0; r < PS_ARRAY_SIZE(ranges); r++)
        for (uint64_t i = 0; i < ranges[r].pages.count; i++)
            sim_machine_fill_junk(sim, ps_frame(ranges[r].first.number + i));
    return sim;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame_oracle oracle;
    struct sim_machine *sim = clean_machine();
    struct input input = {.bytes = data, .size = size};
    uint32_t processors = 1 + next_byte(&input) % 3;
    struct ps_frame_pool pool = {0};
    struct frame_driver driver = {.stamps = true};

    sim->machine.processors = processors;
    sim->machine.processor = this_processor;
    sim->machine.processor_context = &input;
    if (!oracle_create(&oracle, &oracle_real_geometry, ranges, PS_ARRAY_SIZE(ranges)) ||
        ps_frame_pool_init(&pool, &sim->machine, &sim->map) != PS_OK)
        abort();
    driver_start(&driver, &pool, &oracle);
    stop_when_failed(&driver);
    play(&driver, &input, processors);
    oracle_destroy(&oracle);
    return 0;
}
