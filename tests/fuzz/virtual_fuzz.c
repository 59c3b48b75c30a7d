/*
 * Bytes as calls on a virtual allocator, each compared with the oracle of tests/model.
 *
 *     the first 6 bytes or so   machine and arena; see virtual_choose_setup()
 *     the rest                  choices: which call, then what its arguments are; see
 *                               tests/model/virtual_steps.c
 *
 * Arenas have leaves of five allocations, so that few calls make a tree of several levels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/virtual_driver.h"

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

static void stop_when_failed(const struct virtual_driver *driver)
{
    uint64_t first = driver->calls > VIRTUAL_LINES ? driver->calls - VIRTUAL_LINES : 0;

    if (!driver->failed)
        return;
    for (uint64_t i = first; i < driver->calls; i++)
        fprintf(stderr, "%s\n", driver->lines[i % VIRTUAL_LINES]);
    fprintf(stderr, "call %" PS_PRIu ": %s\n", driver->calls, driver->failure);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtual_driver driver;
    static struct virtual_machines machines; /* kept for the next input */
    struct input input = {.bytes = data, .size = size};
    struct virtual_setup setup;

    memset(&driver, 0, sizeof(driver));
    driver.pick = pick;
    driver.context = &input;
    virtual_choose_setup(&driver, &setup);
    setup.sim = virtual_machine(&machines, &setup);
    if (!virtual_driver_start(&driver, &setup))
        abort();
    for (unsigned step = 0; step < STEPS_MAX && input.next < input.size && !driver.failed; step++)
        virtual_step(&driver);
    if (!driver.failed)
        virtual_driver_finish(&driver);
    stop_when_failed(&driver);
    virtual_driver_end(&driver);
    return 0;
}
