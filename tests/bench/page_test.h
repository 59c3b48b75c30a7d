/* The tests of other baselines than the frame pool's, for the runner in baseline_test.c. */
#ifndef TESTS_BENCH_PAGE_TEST_H
#define TESTS_BENCH_PAGE_TEST_H

#include "harness/test.h"

extern const struct test_suite arena_baseline_suite;
extern const struct test_suite page_baseline_suite;
extern const struct test_suite range_baseline_suite;
extern const struct test_suite virtual_baseline_suite;

#endif
