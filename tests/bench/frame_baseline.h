/*
 * Frame allocators side by side: our pool, three baselines, and one that does nothing.
 *
 * All have one interface. The baselines are written after the designs that our pool has to
 * beat, each behind one spin lock like a kernel's:
 *
 *     lifo     a 32-byte descriptor a frame, the free ones in one doubly linked list; large
 *              frames by a linear scan of the descriptors (as Zircon and littlekernel do)
 *     buddy    free lists of 2^0 .. 2^18 frames, a 16-byte descriptor a frame, merging at once
 *     bitmap   one bit a frame, next fit
 *     floor    counts up: what the measuring loop itself costs
 *
 * Memory is simulated: frames are numbers, only metadata exists.
 */
#ifndef TESTS_BENCH_FRAME_BASELINE_H
#define TESTS_BENCH_FRAME_BASELINE_H

#include <pagestage/types.h>

enum frame_size { FRAME_4K, FRAME_2M, FRAME_1G };

#define FRAMES_2M ((uint64_t)512)
#define FRAMES_1G ((uint64_t)512 * 512)

struct frame_range {
    uint64_t first;
    uint64_t frames;
};

/* What a candidate is for. */
struct frame_setup {
    uint64_t span;       /* frames [0, span) */
    unsigned processors; /* that may call it at the same time */
    bool large_pages;    /* its metadata in large pages, as it would be in a direct map */
};

/* What the loops work on: one for each thread. */
struct frame_run {
    void *self;
    enum frame_size size;
    uint32_t *handles; /* the frames that are held: [0, live) */
    uint64_t live;
    uint64_t random;
    uint64_t checksum;
    uint64_t failures;
    struct frame_ring *ring; /* for produce and consume */
};

/* Each carries out `n` operations on a frame_run. */
typedef void frame_loop(void *run, uint64_t n);

struct frame_loops {
    frame_loop *get;     /* handles grow by n */
    frame_loop *put;     /* the last handle first */
    frame_loop *pair;    /* get, put it back */
    frame_loop *churn;   /* put a random handle, get another into its place */
    frame_loop *refused; /* get, when there is none to be had */
    frame_loop *produce; /* get into the ring */
};

struct frame_candidate {
    const char *name;
    uint64_t metadata_bytes; /* touched a frame by start(); for the limit of a benchmark */
    bool lazy;               /* start() touches only the descriptors that head a block */

    /* Address space for `setup->span` frames, all zero. NULL when there is none. */
    void *(*reserve)(const struct frame_setup *setup);
    void (*release)(void *self);

    /* All zero again, in place, for a second start(). NULL: start() needs no zeros. */
    void (*wipe)(void *self);

    /* All frames of `ranges`, ascending and inside the span, are free; others never. */
    bool (*start)(void *self, const struct frame_range *ranges, size_t count);

    /* A frame, aligned to its size; false when there is none. */
    bool (*get)(void *self, enum frame_size size, uint64_t *frame);

    /* A single frame for another owner. NULL: it does not know of owners. */
    bool (*get_other)(void *self, uint64_t *frame);

    /* False, and nothing changed, for a frame that is free or outside the span. */
    bool (*put)(void *self, enum frame_size size, uint64_t frame);

    /* Hand out until `live` is `target` or nothing is left, faster than one by one if that
     * is possible: what comes before a measurement. NULL: by get(). */
    void (*fill)(struct frame_run *run, uint64_t target);

    /* Make sure that the metadata of a frame exists. NULL: it does after start(). */
    bool (*touch)(void *self, uint64_t frame);

    uint64_t (*metadata)(void *self); /* bytes of it, now */

    struct frame_loops loops;
};

extern const struct frame_candidate candidate_pool; /* ours */
extern const struct frame_candidate baseline_lifo;
extern const struct frame_candidate baseline_buddy;
extern const struct frame_candidate baseline_bitmap;
extern const struct frame_candidate baseline_floor;

static inline uint64_t frame_count(enum frame_size size)
{
    return (uint64_t)1 << (9u * (unsigned)size);
}

/*
 * Zeroed address space that becomes memory when it is written to, with an inaccessible page
 * behind it; NULL when there is none. Large pages, as a direct map has them, are not for those
 * who write a word here and there: that would use up the machine.
 */
void *frame_reserve(uint64_t bytes, bool large_pages);
void frame_release(void *memory, uint64_t bytes);

#endif
