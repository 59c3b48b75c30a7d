/* Every suite, to be listed in main.c. */
#ifndef TESTS_BENCH_SUITES_H
#define TESTS_BENCH_SUITES_H

#include "bench.h"

extern const struct bench_suite bench_arena;      /* B5 */
extern const struct bench_suite bench_frame_pool; /* B1 to B4, B9 */
extern const struct bench_suite bench_page_table; /* B6 */
extern const struct bench_suite bench_range_tree; /* B7 */
extern const struct bench_suite bench_virtual;    /* V1 to V3 */

#endif
