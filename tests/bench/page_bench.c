#include "page_bench.h"
#include "frame_baseline.h"

#define ROOM ((uint64_t)512 << 20) /* of memory, for all candidates */

const struct page_candidate *const page_candidates[PAGE_CANDIDATES] = {
    &candidate_page_table,
    &baseline_walker,
    &baseline_ident,
    &baseline_stores,
};

const struct bench_field page_field = {
    .names = {"ours", "walker", "ident", "floor"},
    .count = PAGE_CANDIDATES,
    .floor = PAGE_FLOOR,
};

static void fill_stage(struct page_stage *stage)
{
    uint64_t random = BENCH_SEED;

    for (uint64_t i = 0; i < FRAMES_1G; i++) {
        stage->frames[i] = ps_frame(1 + bench_random_below(&random, 1u << 28));
        stage->order[i] = (uint32_t)i;
    }
    for (uint64_t i = FRAMES_1G; i > 1; i--) {
        uint64_t other = bench_random_below(&random, i);
        uint32_t page = stage->order[i - 1];

        stage->order[i - 1] = stage->order[other];
        stage->order[other] = page;
    }
}

bool page_stage_open(const struct bench *bench, struct page_stage *stage)
{
    bool complete = bench->memory_limit >= ROOM;

    *stage = (struct page_stage){
        .frames = frame_reserve(FRAMES_1G * sizeof(ps_frame_t), true),
        .order = frame_reserve(FRAMES_1G * sizeof(uint32_t), true),
    };
    for (size_t i = 0; complete && i < PAGE_CANDIDATES; i++)
        complete = (stage->selves[i] = page_candidates[i]->open()) != NULL;
    complete = complete && stage->frames != NULL && stage->order != NULL;
    if (complete)
        fill_stage(stage);
    else
        fprintf(stderr, "bench: B6 needs 512 MiB\n");
    return complete;
}

void page_stage_close(const struct page_stage *stage)
{
    for (size_t i = 0; i < PAGE_CANDIDATES; i++)
        if (stage->selves[i] != NULL)
            page_candidates[i]->close(stage->selves[i]);
    if (stage->frames != NULL)
        frame_release(stage->frames, FRAMES_1G * sizeof(ps_frame_t));
    if (stage->order != NULL)
        frame_release(stage->order, FRAMES_1G * sizeof(uint32_t));
}
