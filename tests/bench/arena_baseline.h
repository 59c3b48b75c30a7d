/*
 * B5: allocators of address ranges side by side, with one guard page between any two:
 *
 *     ours     the address arena
 *     tree     our range tree: find the first gap, insert, erase
 *     bitmap   one bit a page, next fit, shared guards (as Zircon's virtual allocator does)
 *     first    a sorted list of free extents, first fit
 *     best     the same, best fit, the lowest of equals (as strat9's vmalloc does)
 */
#ifndef TESTS_BENCH_ARENA_BASELINE_H
#define TESTS_BENCH_ARENA_BASELINE_H

#include <pagestage/types.h>

/* All calls go through these pointers, which costs all candidates the same. */
struct arena_candidate {
    const char *name;
    void *(*open)(uint64_t pages, uint64_t live); /* NULL: no memory */
    void (*close)(void *self);
    bool (*alloc)(void *self, uint64_t pages, uint64_t align, uint64_t *first);
    bool (*free)(void *self, uint64_t first, uint64_t pages);
    uint64_t (*bytes)(void *self); /* of metadata now */
};

extern const struct arena_candidate candidate_arena;
extern const struct arena_candidate candidate_arena_tree;
extern const struct arena_candidate baseline_arena_bitmap;
extern const struct arena_candidate baseline_arena_first;
extern const struct arena_candidate baseline_arena_best;

enum { ARENA_CANDIDATES = 5 };

#endif
