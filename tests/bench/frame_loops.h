/*
 * The measured loops. Each candidate makes its own set of them, so that its calls are direct
 * ones, as they are in a kernel, and not through a pointer. Candidates keep get and put out
 * of line: ours is a library call, so theirs are calls as well.
 */
#ifndef TESTS_BENCH_FRAME_LOOPS_H
#define TESTS_BENCH_FRAME_LOOPS_H

#include <stdatomic.h>

#include "bench.h"
#include "frame_baseline.h"

#define FRAME_LOOP     static inline __attribute__((always_inline)) void
#define FRAME_OUTLINED static __attribute__((noinline)) bool

typedef bool frame_get(void *self, enum frame_size size, uint64_t *frame);
typedef bool frame_put(void *self, enum frame_size size, uint64_t frame);

/* One writer, one reader. Each keeps its own position in a line of its own. */
enum { FRAME_RING = 1024 };

struct frame_ring {
    _Alignas(64) atomic_uint_fast64_t written;
    _Alignas(64) atomic_uint_fast64_t read;
    _Alignas(64) atomic_bool closed;
    uint32_t frames[FRAME_RING];
};

FRAME_LOOP frame_loop_get(struct frame_run *run, uint64_t n, frame_get *get)
{
    uint32_t *handle = run->handles + run->live;
    uint64_t sum = 0;

    for (; n != 0; n--) {
        uint64_t frame;

        if (!get(run->self, run->size, &frame)) {
            run->failures++;
            continue;
        }
        *handle++ = (uint32_t)frame;
        sum += frame;
    }
    run->live = (uint64_t)(handle - run->handles);
    run->checksum += sum;
}

FRAME_LOOP frame_loop_put(struct frame_run *run, uint64_t n, frame_put *put)
{
    uint32_t *handle = run->handles + run->live;

    for (; n != 0; n--)
        if (!put(run->self, run->size, *--handle))
            run->failures++;
    run->live = (uint64_t)(handle - run->handles);
}

FRAME_LOOP frame_loop_pair(struct frame_run *run, uint64_t n, frame_get *get, frame_put *put)
{
    uint64_t sum = 0;

    for (; n != 0; n--) {
        uint64_t frame = 0;

        if (!get(run->self, run->size, &frame) || !put(run->self, run->size, frame))
            run->failures++;
        sum += frame;
    }
    run->checksum += sum;
}

FRAME_LOOP frame_loop_churn(struct frame_run *run, uint64_t n, frame_get *get, frame_put *put)
{
    uint64_t random = run->random;
    uint64_t live = run->live;
    uint64_t sum = 0;

    for (; n != 0; n--) {
        uint32_t *handle = run->handles + bench_random_below(&random, live);
        uint64_t frame = *handle;

        if (!put(run->self, run->size, frame) || !get(run->self, run->size, &frame))
            run->failures++;
        *handle = (uint32_t)frame;
        sum += frame;
    }
    run->random = random;
    run->checksum += sum;
}

FRAME_LOOP frame_loop_refused(struct frame_run *run, uint64_t n, frame_get *get)
{
    for (; n != 0; n--) {
        uint64_t frame;

        if (get(run->self, run->size, &frame))
            run->failures++;
    }
}

FRAME_LOOP frame_loop_produce(struct frame_run *run, uint64_t n, frame_get *get)
{
    struct frame_ring *ring = run->ring;
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);

    for (; n != 0; n--) {
        uint64_t frame;

        while (written - atomic_load_explicit(&ring->read, memory_order_acquire) == FRAME_RING)
            __builtin_ia32_pause();
        if (!get(run->self, run->size, &frame)) {
            run->failures++;
            continue;
        }
        run->checksum += frame;
        ring->frames[written++ % FRAME_RING] = (uint32_t)frame;
        atomic_store_explicit(&ring->written, written, memory_order_release);
    }
}

/* Not measured itself: it only keeps up, through the pointer of its candidate. */
static inline void frame_loop_consume(struct frame_run *run, frame_put *put)
{
    struct frame_ring *ring = run->ring;
    uint64_t read = 0;

    for (;;) {
        bool closed = atomic_load_explicit(&ring->closed, memory_order_acquire);

        if (atomic_load_explicit(&ring->written, memory_order_acquire) == read) {
            if (closed)
                return;
            __builtin_ia32_pause();
            continue;
        }
        if (!put(run->self, run->size, ring->frames[read % FRAME_RING]))
            run->failures++;
        atomic_store_explicit(&ring->read, ++read, memory_order_release);
    }
}

#define FRAME_LOOPS(get, put)                       \
    static void loop_get(void *run, uint64_t n)     \
    {                                               \
        frame_loop_get(run, n, get);                \
    }                                               \
    static void loop_put(void *run, uint64_t n)     \
    {                                               \
        frame_loop_put(run, n, put);                \
    }                                               \
    static void loop_pair(void *run, uint64_t n)    \
    {                                               \
        frame_loop_pair(run, n, get, put);          \
    }                                               \
    static void loop_churn(void *run, uint64_t n)   \
    {                                               \
        frame_loop_churn(run, n, get, put);         \
    }                                               \
    static void loop_refused(void *run, uint64_t n) \
    {                                               \
        frame_loop_refused(run, n, get);            \
    }                                               \
    static void loop_produce(void *run, uint64_t n) \
    {                                               \
        frame_loop_produce(run, n, get);            \
    }

#define FRAME_LOOPS_INIT                                                      \
    {                                                                         \
        loop_get, loop_put, loop_pair, loop_churn, loop_refused, loop_produce \
    }

#endif
