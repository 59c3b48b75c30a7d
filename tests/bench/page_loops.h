/*
 * The measured loops. Each candidate makes its own set of them, so that its calls are direct
 * ones and not through a pointer. Candidates keep their calls out of line, as ours are.
 */
#ifndef TESTS_BENCH_PAGE_LOOPS_H
#define TESTS_BENCH_PAGE_LOOPS_H

#include "page_baseline.h"

#define PAGE_LOOP     static inline __attribute__((always_inline)) void
#define PAGE_OUTLINED static __attribute__((noinline)) bool

typedef bool page_map(void *self, uint64_t va, const ps_frame_t *frames, uint64_t pages);
typedef bool page_map_run(void *self, const struct page_stretch *stretch);
typedef bool page_protect(void *self, uint64_t va, uint64_t pages, bool writable);
typedef bool page_unmap(void *self, uint64_t va, uint64_t pages);
typedef bool page_query(void *self, uint64_t va, uint64_t *frame);

/* Where operation `next` begins. */
static inline uint64_t page_next_va(struct page_run *run)
{
    return run->stretch.va + run->next++ * run->stride;
}

static inline uint64_t page_next_random(struct page_run *run)
{
    return run->stretch.va + ((uint64_t)run->order[run->next++] << PS_PAGE_SHIFT);
}

PAGE_LOOP page_loop_map(struct page_run *run, uint64_t n, page_map *map)
{
    for (; n != 0; n--) {
        const ps_frame_t *frames = run->frames + run->next * run->stretch.pages;

        run->failures += !map(run->self, page_next_va(run), frames, run->stretch.pages);
    }
}

PAGE_LOOP page_loop_map_run(struct page_run *run, uint64_t n, page_map_run *map)
{
    struct page_stretch stretch = run->stretch;

    for (; n != 0; n--) {
        stretch.va = page_next_va(run);
        run->failures += !map(run->self, &stretch);
    }
}

PAGE_LOOP page_loop_protect(struct page_run *run, uint64_t n, page_protect *protect)
{
    for (; n != 0; n--)
        run->failures += !protect(run->self, page_next_va(run), run->stretch.pages, run->writable);
}

PAGE_LOOP page_loop_unmap(struct page_run *run, uint64_t n, page_unmap *unmap)
{
    for (; n != 0; n--)
        run->failures += !unmap(run->self, page_next_va(run), run->stretch.pages);
}

PAGE_LOOP page_loop_scramble(struct page_run *run, uint64_t n, page_protect *protect)
{
    for (; n != 0; n--)
        run->failures += !protect(run->self, page_next_random(run), 1, run->writable);
}

PAGE_LOOP page_loop_query(struct page_run *run, uint64_t n, page_query *query)
{
    uint64_t sum = 0;

    for (; n != 0; n--) {
        uint64_t frame = 0;

        run->failures += !query(run->self, page_next_random(run), &frame);
        sum += frame;
    }
    run->checksum += sum;
}

/* The loops over one candidate's calls, and the initialiser of its `loops`. */
#define PAGE_LOOPS(map, map_run, protect, unmap, query) \
    static void run_map(void *run, uint64_t n)          \
    {                                                   \
        page_loop_map(run, n, map);                     \
    }                                                   \
    static void run_map_run(void *run, uint64_t n)      \
    {                                                   \
        page_loop_map_run(run, n, map_run);             \
    }                                                   \
    static void run_protect(void *run, uint64_t n)      \
    {                                                   \
        page_loop_protect(run, n, protect);             \
    }                                                   \
    static void run_unmap(void *run, uint64_t n)        \
    {                                                   \
        page_loop_unmap(run, n, unmap);                 \
    }                                                   \
    static void run_scramble(void *run, uint64_t n)     \
    {                                                   \
        page_loop_scramble(run, n, protect);            \
    }                                                   \
    static void run_query(void *run, uint64_t n)        \
    {                                                   \
        page_loop_query(run, n, query);                 \
    }

#define PAGE_LOOPS_INIT                                                       \
    {                                                                         \
        run_map, run_map_run, run_protect, run_unmap, run_scramble, run_query \
    }

#endif
