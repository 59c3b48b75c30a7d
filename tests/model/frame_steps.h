/*
 * Steps: a call of the frame pool that is made up from choices, which are random numbers or
 * the bytes of a fuzzer.
 */
#ifndef TESTS_MODEL_FRAME_STEPS_H
#define TESTS_MODEL_FRAME_STEPS_H

#include "frame_driver.h"

struct frame_choices {
    uint64_t (*pick)(void *context, uint64_t bound); /* below `bound`, which is not 0 */
    void *context;
    bool instruments;   /* fill checking and frames that are written to; they touch all memory */
    uint64_t zero_most; /* units of more frames are not asked for zeroed */
    uint64_t run_most;  /* pages of a run */
};

void frame_step(struct frame_driver *driver, const struct frame_choices *choices);

#endif
