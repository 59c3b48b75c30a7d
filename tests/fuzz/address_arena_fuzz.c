/*
 * Bytes as calls on an address arena with nodes of a few cells, compared with an array that knows
 * the owner of each page.
 *
 *     byte 0     the arena: pages, guard, and whether it is the last of all
 *     the rest   calls: which, its page, how many pages, and what is special about it
 *
 * Each input gets a machine that never was, with 96 frames, which are refused now and then.
 */
#include <stdio.h>
#include <stdlib.h>

#include "hw.h"
#include "machine/machine.h"
#include "model/arena_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 120, FRAMES = 96 };

struct input {
    const uint8_t *bytes;
    size_t size;
    size_t next;
};

/* Once there are no more bytes, they are 0. */
static uint8_t next_byte(struct input *input)
{
    return input->next < input->size ? input->bytes[input->next++] : 0;
}

static uint32_t read_guard(unsigned bits)
{
    return bits == 3 ? PS_ARENA_NO_GUARD : bits;
}

static struct arena_step read_step(struct input *input, const struct ps_arena *arena)
{
    unsigned call = next_byte(input);
    struct arena_step step = {
        .call = (uint8_t)(call % ARENA_CALLS),
        .page = next_byte(input) % arena->pages,
        .pages = next_byte(input) % 16,
    };
    unsigned special = call / ARENA_CALLS % 8 == 0 ? next_byte(input) : 0;

    /* Of no pages nothing can be said but that they are refused: unit tests do that. */
    if (step.call != ARENA_FREE)
        step.pages = ps_max(step.pages, 1);
    step.flag = special >> 7;
    step.request.pages = ps_max(step.pages, 1);
    step.request.value = call;
    if (step.call == ARENA_ALLOC_AT || step.call == ARENA_ALLOC) {
        step.request.guard_before = read_guard(special & 3);
        step.request.guard_after = read_guard(special >> 2 & 3);
    }
    if (step.call == ARENA_ALLOC) {
        step.request.align = (uint64_t)1 << (special >> 4 & 3);
        if (special >> 6 & 1) {
            step.request.low = arena->first + step.page;
            step.request.high = step.request.low + next_byte(input);
        }
    }
    return step;
}

static void stop(const struct arena_driver *driver, unsigned step)
{
    fprintf(stderr, "step %u: %s\n", step, driver->wrong);
    abort();
}

static void play(struct arena_driver *driver, struct ps_frame_pool *pool, struct input *input)
{
    for (unsigned i = 0; i < STEPS_MAX && input->next < input->size; i++) {
        struct arena_step step = read_step(input, driver->arena);

        if (step.pages == 13)
            ps_frame_pool_fail_after(pool, 0, false);
        if (!arena_driver_step(driver, &step) || !arena_driver_compare(driver))
            stop(driver, i);
        ps_frame_pool_fail_after(pool, UINT64_MAX, false);
    }
}

/* All of it can be given back, and nothing is kept. */
static void finish(struct arena_driver *driver, struct ps_frame_pool *pool)
{
    struct ps_arena_extent extent;

    while (ps_arena_next(driver->arena, 0, &extent)) {
        struct arena_step step = {.call = extent.kind == PS_ARENA_LIVE ? ARENA_FREE : ARENA_RELEASE,
                                  .page = extent.first - driver->arena->first};

        if (!arena_driver_step(driver, &step) || !arena_driver_compare(driver))
            stop(driver, STEPS_MAX);
    }
    if (ps_arena_destroy(driver->arena) != PS_OK || ps_frame_pool_in_use(pool) != 0 ||
        pool->promised != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sim_range ram[] = {SIM_RAM(256, FRAMES)};
    static struct arena_driver driver;
    struct sim_machine *sim = sim_machine_create(ram, 1, 0);
    struct input input = {.bytes = data, .size = size};
    unsigned shape = next_byte(&input);
    uint64_t pages = 10 + shape % 64;
    struct ps_frame_pool pool = {0};
    struct ps_arena arena = {0};

    if (sim == NULL)
        abort();
    driver = (struct arena_driver){.arena = &arena, .fails = true};
    if (ps_frame_pool_init(&pool, &sim->machine, &sim->map) != PS_OK ||
        ps_arena_init(&arena, &sim->machine, &pool, PS_FRAME_HEAP,
                      (shape & 64) != 0 ? PS_ARENA_END - pages : 5, pages, shape >> 7) != PS_OK)
        abort();
    play(&driver, &pool, &input);
    finish(&driver, &pool);
    sim_machine_destroy(sim);
    return 0;
}
