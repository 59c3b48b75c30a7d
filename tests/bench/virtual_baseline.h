/*
 * Memory behind addresses, side by side: ours, and allocators put together from baselines. Each
 * gives a range of pages with a guard page on both sides, backed by frames and mapped:
 *
 *     ours     the virtual allocator, on our page tables and our frame pool
 *     bitmap   addresses from a bitmap, frames one by one from a LIFO list, page tables walked from
 *     first    the root for each page, and asked before they are unmapped; and the same with
 *     best     addresses from a list of extents, first and best fit
 *
 * The baselines take no promises, keep no names, and never free a table.
 */
#ifndef TESTS_BENCH_VIRTUAL_BASELINE_H
#define TESTS_BENCH_VIRTUAL_BASELINE_H

#include <pagestage/types.h>

/* Pages of the arena, and frames of the machine: more than is ever taken of either. */
#define MEMORY_PAGES  ((uint64_t)1 << 20)
#define MEMORY_FRAMES ((uint64_t)1 << 16)

enum { MEMORY_LARGEST = 512 /* pages of one allocation */ };

struct memory_candidate {
    const char *name;
    const void *parts;                                                /* for open() */
    void *(*open)(const struct memory_candidate *one, uint64_t live); /* NULL: no memory */
    void (*close)(void *self);

    bool (*alloc)(void *self, uint64_t pages, uint64_t align, uint64_t *first);
    bool (*free)(void *self, uint64_t first, uint64_t pages);

    /* Addresses for frames that are there already. */
    bool (*attach)(void *self, const ps_frame_t *frames, uint64_t pages, uint64_t *first);
    bool (*detach)(void *self, uint64_t first, uint64_t pages);

    uint64_t (*frame_of)(void *self, uint64_t page); /* 0: nothing is mapped there */
};

extern const struct memory_candidate candidate_virtual;
extern const struct memory_candidate baseline_virtual_bitmap;
extern const struct memory_candidate baseline_virtual_first;
extern const struct memory_candidate baseline_virtual_best;

enum { MEMORY_CANDIDATES = 4 };

#endif
