/*
 * Pages in the scratch range of a world, backed by frames of its pool: what the cases about
 * access and page tables share.
 */
#ifndef TESTS_SUITE_SCRATCH_H
#define TESTS_SUITE_SCRATCH_H

#include "world.h"

#define SCRATCH_RW ps_attr_ram(PS_READ | PS_WRITE)
#define SCRATCH_RO ps_attr_ram(PS_READ)
#define SCRATCH_RX ps_attr_ram(PS_READ | PS_EXECUTE)

/* Page n of the scratch range. */
ps_virt_t scratch_page(const struct test *test, uint64_t n);

/* Take a frame of zeros and map it at page n; frame 0 when that failed. */
ps_frame_t scratch_map(struct test *test, uint64_t n, ps_attr_t attr);

/* Unmap pages and give their frames back one by one, as scratch_map() took them. */
void scratch_unmap(struct test *test, uint64_t n, uint64_t pages);

/*
 * A 2 MiB leaf over a 2 MiB frame of zeros at page n; false, with the case skipped, when the
 * pool has no such frame. scratch_unmap() gives its frames back, too.
 */
bool scratch_map_large(struct test *test, uint64_t n, ps_attr_t attr, ps_frame_t *frame);

/* The contents of a frame, through the direct map. */
uint64_t *scratch_words(const struct test *test, ps_frame_t frame);

/* ---- facts about one access ---- */

void scratch_expect_value(struct test *test, struct outcome outcome, uint64_t value);
void scratch_expect_fault(struct test *test, struct outcome outcome, ps_virt_t va, uint32_t error);

/* What a case must leave as it found it. */
struct scratch_state {
    uint64_t in_use; /* frames */
    struct ps_page_table_counters counters;
};

struct scratch_state scratch_begin(struct test *test);
void scratch_end(struct test *test, const struct scratch_state *before);

#endif
