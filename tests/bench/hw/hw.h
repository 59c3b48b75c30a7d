/*
 * The processor of the benchmarks: the library's own header, so that what is measured is what
 * is shipped. Physical memory is one plain stretch of address space (machine->direct_map), of
 * which only what the library writes to exists.
 *
 * Stands first in the include path. What cannot run without privileges gets its replacement
 * here or in hw.c.
 */
#ifndef TESTS_BENCH_HW_H
#define TESTS_BENCH_HW_H

#include "../../../mm/x86_64/hw.h"

/* Invalidation rounds so far: the hook of the benchmarks only counts. */
extern uint64_t bench_invalidations;

#endif
