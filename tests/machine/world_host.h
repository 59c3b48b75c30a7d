/*
 * The world of the suite cases on the host: a simulated machine of 64 MiB with the library's
 * layers on it and the software MMU as its processors.
 */
#ifndef TESTS_MACHINE_WORLD_HOST_H
#define TESTS_MACHINE_WORLD_HOST_H

#include "../suite/world.h"
#include "mmu.h"

/* `flags` are those of sim_machine_create(). NULL when the host has no room. */
struct world *world_host_create(uint64_t seed, unsigned flags);

/*
 * Take everything down again. NULL, or what the cases left behind: a leaf in the scratch
 * range, an allocation, a frame.
 */
const char *world_host_destroy(struct world *world);

/* The same after a crash in a case: no question is asked. */
void world_host_abandon(struct world *world);

struct mmu *world_host_mmu(struct world *world);

#endif
