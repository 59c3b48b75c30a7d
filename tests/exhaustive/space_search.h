/*
 * Page tables of 2, 4 or 8 entries, which the library's own sources make when they are built so:
 * random calls in every geometry, and every sequence of calls in the smallest ones.
 */
#ifndef TESTS_EXHAUSTIVE_SPACE_SEARCH_H
#define TESTS_EXHAUSTIVE_SPACE_SEARCH_H

#include "harness/test.h"
#include "model/space_driver.h"

/* A machine with a frame pool and two address spaces. */
struct small_machine {
    uint8_t levels;
    bool gib_leaves;
    bool no_execute;
    uint32_t processors;
    bool looked_at; /* by the software MMU */

    struct sim_machine *sim;
    struct mmu *mmu;
    struct ps_frame_pool pool;
    struct space_driver driver;
    struct test_random random;
};

/* Ends the program when the host has no room. */
void small_machine_start(struct small_machine *machine, uint64_t seed);
void small_machine_end(struct small_machine *machine);

/* One line of TAP, and what was called when it does not hold. True when it does. */
bool tell_result(const struct space_driver *driver, const char *name);

/* ---- the parts; each tells its results and returns how many do not hold ---- */

unsigned run_random(uint64_t seeds);

extern const unsigned random_results;

unsigned run_exhaustive(void);
unsigned exhaustive_results(void);

#endif
