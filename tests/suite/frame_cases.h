/* What the cases about the frame pool share. */
#ifndef TESTS_SUITE_FRAME_CASES_H
#define TESTS_SUITE_FRAME_CASES_H

#include "scratch.h"

/* Free a whole unit; expects success. */
void frame_give_back(struct test *test, ps_frame_t first, uint64_t pages);

/* What the pool of the world counts now. */
struct ps_frame_pool_snapshot frame_counts(struct test *test);

/* Tags, large frames and holders are as counted before. */
void frame_expect_counts(struct test *test, const struct ps_frame_pool_snapshot *before);

#endif
