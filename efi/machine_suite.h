/*
 * Cases that only make sense on the machine itself: processor state, the stage's address
 * space, exceptions and their stacks, runtime services.
 */
#ifndef EFI_MACHINE_SUITE_H
#define EFI_MACHINE_SUITE_H

#include <pagestage/stage.h>

#include "harness/test.h"

#include "cpu.h"
#include "image.h"
#include "runtime.h"

struct machine_under_test {
    struct ps_stage *stage;
    struct runtime *runtime;
    const struct image *image;
    const struct cpu_features *features;
    ps_virt_t stack;        /* the stack the cases run on: first page ... */
    ps_pages_t stack_pages; /* ... and length; a guard page lies on both sides */
};

void machine_suite_init(const struct machine_under_test *machine);
const struct machine_under_test *machine_suite_subject(void);

extern const struct test_suite suite_processor;
extern const struct test_suite suite_stage;
extern const struct test_suite suite_traps;
extern const struct test_suite suite_processors; /* processor_suite.c */
extern const struct test_suite suite_runtime;
extern const struct test_suite suite_reclaim; /* changes the stage for good: runs last */

#endif
