/* The benchmarks of the virtual allocator in which pages count: V2 and V3. */
#ifndef TESTS_BENCH_VIRTUAL_PAGES_H
#define TESTS_BENCH_VIRTUAL_PAGES_H

#include "bench.h"

void bench_virtual_touched(struct bench *bench);
void bench_virtual_steps(struct bench *bench);

#endif
