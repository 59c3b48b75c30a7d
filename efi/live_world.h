/*
 * The world of the suites on the machine itself: real accesses, real faults.
 */
#ifndef EFI_LIVE_WORLD_H
#define EFI_LIVE_WORLD_H

#include <pagestage/stage.h>

#include "suite/world.h"

/* A stretch of the lower half that neither the image nor anything else of ours uses. */
#define LIVE_SCRATCH 0x100000000000ull

void live_world_init(struct world *world, struct ps_stage *stage, uint64_t seed);

/*
 * A case was left in the middle of a library call: the locks it held are open again
 * afterwards. Whether the structures are whole is for ps_stage_validate() to say.
 */
void live_world_break_locks(struct ps_stage *stage);

#endif
