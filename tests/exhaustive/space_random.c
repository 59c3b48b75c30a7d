#include "space_search.h"

#include <stdio.h>

/* Random calls in every geometry that tables of this size make, on all kinds of machines. */

enum { STEPS = 250, STEPS_OF_LARGE = 50, LARGE = 2048 /* pages */, GEOMETRIES = 4 * 2 };

const unsigned random_results = GEOMETRIES;

/* The machine's last traits vary with the seed. */
static bool run_seed(struct small_machine *machine, unsigned geometry, uint64_t seed)
{
    unsigned steps;

    machine->levels = (uint8_t)(2 + geometry / 2);
    machine->gib_leaves = geometry % 2 == 0;
    machine->no_execute = seed % 4 != 3;
    machine->processors = seed % 4 == 2 ? 2 : 0;
    machine->looked_at = true;
    small_machine_start(machine, seed * GEOMETRIES + geometry);
    steps = machine->driver.oracles[0].windows[0].count > LARGE ? STEPS_OF_LARGE : STEPS;
    for (unsigned step = 0; step < steps && !machine->driver.failed; step++)
        space_step(&machine->driver);
    if (!machine->driver.failed)
        space_driver_finish(&machine->driver);
    return !machine->driver.failed;
}

static bool run_geometry(unsigned geometry, uint64_t seeds)
{
    static struct small_machine machine;
    uint64_t seed = 1;
    char name[100];
    bool holds;

    while (run_seed(&machine, geometry, seed) && seed < seeds) {
        small_machine_end(&machine);
        seed++;
    }
    (void)snprintf(name, sizeof(name), "random_calls_agree_in_%u_levels%s", machine.levels,
                   machine.gib_leaves ? "_with_gib_leaves" : "");
    holds = tell_result(&machine.driver, name);
    printf("# seed %" PS_PRIu " of %" PS_PRIu "\n", seed, seeds);
    small_machine_end(&machine);
    return holds;
}

unsigned run_random(uint64_t seeds)
{
    unsigned failed = 0;

    for (unsigned geometry = 0; geometry < GEOMETRIES; geometry++)
        failed += !run_geometry(geometry, seeds);
    return failed;
}
