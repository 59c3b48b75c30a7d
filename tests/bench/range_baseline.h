/*
 * B7: stores of ranges. What is measured of each, ours and the baselines: see
 * candidate_range_tree.c and range_nodes.h.
 */
#ifndef TESTS_BENCH_RANGE_BASELINE_H
#define TESTS_BENCH_RANGE_BASELINE_H

#include <pagestage/range_tree.h>

#include "bench.h"

/* All calls go through these pointers, which costs all candidates the same. */
struct range_candidate {
    const char *name;
    void *(*open)(uint64_t ranges); /* room for so many, twice over; NULL: no memory */
    void (*close)(void *self);
    void (*empty)(void *self);                                /* without ranges again */
    bool (*insert)(void *self, const struct ps_range *range); /* overlaps none */
    bool (*find)(void *self, uint64_t key, struct ps_range *range);
    bool (*erase)(void *self, uint64_t first, struct ps_range *erased);
    /* Give the middle of one range another value: three ranges; and make one of them again. */
    bool (*cut)(void *self, const struct ps_range *middle);
    bool (*join)(void *self, const struct ps_range *whole);
    uint64_t (*sum)(void *self); /* of the values of all ranges, visited in order */
    bool (*gap)(void *self, uint64_t size, uint64_t *first); /* NULL: would be linear */
    uint64_t (*bytes)(void *self);                           /* in use now */
};

extern const struct range_candidate candidate_range_tree;
extern const struct range_candidate baseline_range_binary; /* a balanced binary tree */
extern const struct range_candidate baseline_range_nodes;  /* one of 16-slot nodes */

enum { RANGE_CANDIDATES = 3 };

#endif
