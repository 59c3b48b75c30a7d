/* The stage on which the mappers of page tables run in turns. */
#ifndef TESTS_BENCH_PAGE_BENCH_H
#define TESTS_BENCH_PAGE_BENCH_H

#include "bench.h"
#include "page_baseline.h"

enum { PAGE_CANDIDATES = 4, PAGE_FLOOR = 3 };

extern const struct page_candidate *const page_candidates[PAGE_CANDIDATES];
extern const struct bench_field page_field;

struct page_stage {
    void *selves[PAGE_CANDIDATES];
    ps_frame_t *frames; /* for a GiB of pages, in no order */
    uint32_t *order;    /* those pages, in another */
};

/* False, after saying why: there is not enough memory. To be closed in any case. */
bool page_stage_open(const struct bench *bench, struct page_stage *stage);
void page_stage_close(const struct page_stage *stage);

#endif
