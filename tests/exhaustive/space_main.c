#include "space_search.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned results;

static uint64_t pick(void *context, uint64_t bound)
{
    return test_random_below(context, bound);
}

static uint32_t first_processor(void *context)
{
    (void)context;
    return 0;
}

void small_machine_start(struct small_machine *machine, uint64_t seed)
{
    static const struct sim_range ram[] = {SIM_RAM(256, 96)};
    struct space_range window = {0, 0};

    machine->sim = sim_machine_create(ram, 1, 0);
    if (machine->sim == NULL)
        exit(EXIT_FAILURE);
    machine->sim->machine.levels = machine->levels;
    machine->sim->machine.gib_leaves = machine->gib_leaves;
    machine->sim->machine.no_execute = machine->no_execute;
    machine->sim->machine.processors = machine->processors;
    machine->sim->machine.processor = first_processor;
    machine->random = test_random(seed);
    machine->sim->machine.flush_threshold = (uint32_t)1 << test_random_below(&machine->random, 6);
    machine->mmu = machine->looked_at ? mmu_create(machine->sim) : NULL;
    machine->driver = (struct space_driver){.pick = pick, .context = &machine->random};
    machine->pool = (struct ps_frame_pool){.machine = NULL};
    window.count = (uint64_t)1 << PS_TABLE_INDEX_BITS * machine->levels;
    if (ps_frame_pool_init(&machine->pool, &machine->sim->machine, &machine->sim->map) != PS_OK ||
        !space_driver_start(&machine->driver, machine->sim, machine->mmu, &machine->pool, &window,
                            1))
        exit(EXIT_FAILURE);
}

void small_machine_end(struct small_machine *machine)
{
    space_driver_end(&machine->driver);
    mmu_destroy(machine->mmu);
    sim_machine_destroy(machine->sim);
}

bool tell_result(const struct space_driver *driver, const char *name)
{
    uint64_t first = driver->calls > DRIVER_KEPT_LINES ? driver->calls - DRIVER_KEPT_LINES : 0;

    printf("%s %u - exhaustive/page_table_%u/%s\n", driver->failed ? "not ok" : "ok", ++results,
           1u << PS_TABLE_INDEX_BITS, name);
    if (!driver->failed)
        return true;
    printf("  # call %" PS_PRIu ": %s\n", driver->calls, driver->failure);
    for (uint64_t i = first; i < driver->calls; i++)
        printf("  #   %s\n", driver->lines[i % DRIVER_KEPT_LINES]);
    return false;
}

/* usage: space_tests_N [SEEDS A GEOMETRY] */
int main(int count, char **words)
{
    uint64_t seeds = count > 1 ? strtoull(words[1], NULL, 0) : 12;
    unsigned failed;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("TAP version 13\n1..%u\n", random_results + exhaustive_results());
    failed = run_random(seeds);
    failed += run_exhaustive();
    return failed != 0;
}
