/*
 * What the benchmarks of the frame pool share: the candidates, a stage on which they run in
 * turns, and the steps before and between measurements.
 */
#ifndef TESTS_BENCH_FRAME_BENCH_H
#define TESTS_BENCH_FRAME_BENCH_H

#include "bench.h"
#include "frame_baseline.h"

enum { FRAME_CANDIDATES = 5, FRAME_FLOOR = 4 };

extern const struct frame_candidate *const frame_candidates[FRAME_CANDIDATES];
extern const struct bench_field frame_field;

/* Page 0 and the rest of the first MiB are nobody's. */
#define FRAME_FIRST ((uint64_t)256)

/* All candidates over one size of memory. Those that cannot take part have self == NULL. */
struct frame_stage {
    uint64_t bytes;
    uint64_t span;
    struct frame_range ranges[64];
    size_t range_count;
    struct frame_run runs[FRAME_CANDIDATES];
    uint64_t handles; /* places in the handle arrays of the runs */
    bool used[FRAME_CANDIDATES];
};

struct frame_plan {
    uint64_t bytes;
    uint64_t units;      /* that are handed out at the same time; 0: one a frame */
    unsigned processors; /* 0: one */
    bool small_pages;    /* of the host, for metadata */
};

/* Address space for all those candidates whose metadata is not too much for this machine. */
void frame_stage_open(const struct bench *bench, struct frame_stage *stage,
                      const struct frame_plan *plan);
void frame_stage_close(struct frame_stage *stage);

/*
 * Every frame of the candidate is free. False: it cannot run at this size, and is left out.
 * In two steps for those who measure the second: what makes another start possible, the start.
 */
bool frame_start(struct frame_stage *stage, size_t candidate);
bool frame_prepare(struct frame_stage *stage, size_t candidate);
bool frame_begin(struct frame_stage *stage, size_t candidate);

/* Hand out until `target` are live; false when that many cannot be had. Not measured. */
bool frame_fill(size_t candidate, struct frame_run *run, uint64_t target);

/* Everything back, the last handle first. Not measured. */
void frame_put_all(size_t candidate, struct frame_run *run);

void frame_shuffle(struct frame_run *run);

/* Measure one loop of a candidate; failures and checksum are taken over from the run. */
struct bench_batch frame_measure(const struct bench *bench, size_t candidate, struct frame_run *run,
                                 frame_loop *loop, uint64_t operations, const char *phase);

/* "4 GiB" */
const char *frame_size_text(uint64_t bytes);

/* ---- the benchmarks ---- */

void bench_frames_single(struct bench *bench);     /* B1 */
void bench_frames_processors(struct bench *bench); /* B2 */
void bench_frames_large(struct bench *bench);      /* B3 */
void bench_frames_start(struct bench *bench);      /* B4 */
void bench_frames_zeroing(struct bench *bench);    /* B9 */
void bench_frames_instructions(struct bench *bench);

#endif
