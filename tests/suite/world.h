/*
 * The world a suite case runs in: a machine with the stage's layers on it, and a processor
 * that can be asked to touch an address.
 *
 * On the host the processor is the software MMU of tests/machine/, in the booted image it
 * is the real one and a fault is caught and survived. Cases use only this and the library,
 * and so run unchanged in both.
 */
#ifndef TESTS_SUITE_WORLD_H
#define TESTS_SUITE_WORLD_H

#include <pagestage/frame_pool.h>
#include <pagestage/page_table.h>
#include <pagestage/virtual_allocator.h>

#include "../harness/test.h"

/* What came of touching an address. */
struct outcome {
    bool faulted;
    uint8_t vector;    /* 14 page fault, 13 general protection, ... */
    uint32_t error;    /* as pushed by the processor */
    ps_virt_t address; /* CR2, for a page fault */
    uint64_t value;    /* what was read, or returned, when nothing faulted */
};

enum { VECTOR_GENERAL_PROTECTION = 13, VECTOR_PAGE_FAULT = 14 };

/* Bits of a page fault's error code. */
enum {
    FAULT_PRESENT = 1u << 0,
    FAULT_WRITE = 1u << 1,
    FAULT_USER = 1u << 2,
    FAULT_RESERVED = 1u << 3,
    FAULT_FETCH = 1u << 4,
};

struct world {
    struct ps_machine *machine;
    struct ps_frame_pool *pool;
    struct ps_page_table *table;        /* the active address space */
    struct ps_virtual_allocator *arena; /* in that space */
    ps_virt_t scratch;                  /* an unmapped stretch of that space for cases ... */
    ps_pages_t scratch_pages;           /* ... 1 GiB aligned, at least 4 GiB long */
    uint64_t seed;                      /* of this run's random cases */
    bool simulated;                     /* on the host */

    /* Of the long random case: how many; 0: as many as fit in `patience` of `clock`. */
    uint64_t operations;
    uint64_t (*clock)(void);
    uint64_t patience;
    uint64_t operations_done; /* by all its runs */

    /* 8 bytes at va, aligned to 8. Supervisor mode. */
    struct outcome (*load)(struct world *world, ps_virt_t va);
    struct outcome (*store)(struct world *world, ps_virt_t va, uint64_t value);
    /* Call the code at va: only the sequence of WORLD_CODE() may stand there. */
    struct outcome (*execute)(struct world *world, ps_virt_t va);
};

/* As 8 bytes: `mov eax, value; ret`, for a value of 32 bits. */
#define WORLD_CODE(value) \
    ((uint64_t)0xb8u | (uint64_t)(uint32_t)(value) << 8 | (uint64_t)0xc3u << 40)

/* All suites, in the order of the layers. */
extern const struct test_suite *const suites[];
extern const size_t suite_count;

#endif
