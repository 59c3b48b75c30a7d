/*
 * Several processors that call one frame pool at once: threads, each with a number of its own,
 * on a simulated machine.
 *
 * Workers state facts with MUST and MUST_BE. The case hears of them when all workers have come
 * back: a worker never leaves early, because others would wait for it.
 *
 * The oracle knows whose each frame is, so that a frame handed out twice is found at once. Its
 * accesses order nothing, and workers write to their frames without any protection: what keeps
 * two users of a frame apart can only be the pool, and ThreadSanitizer sees when it does not.
 */
#ifndef TESTS_THREADS_THREADS_H
#define TESTS_THREADS_THREADS_H

#include <pthread.h>
#include <stdatomic.h>

#include <pagestage/frame_pool.h>

#include "harness/test.h"
#include "machine/machine.h"

enum { CREW_MOST = 8, HELD_MOST = 10240 };

/* How the program was called. */
struct crew_options {
    uint64_t seed;
    unsigned threads; /* at most CREW_MOST */
    unsigned scale;   /* how many times the usual work is done */
    bool pinned;      /* thread N to processor N of the host */
};
extern struct crew_options crew_options;

struct held_unit {
    uint64_t first;
    uint64_t pages;
    enum ps_frame_tag tag;
};

struct worker {
    struct crew *crew;
    unsigned index;
    struct test_random random;
    uint64_t count; /* for the case: what of, it says */

    struct held_unit held[HELD_MOST];
    size_t held_count;

    uint64_t failures;
    char note[200]; /* of the first failure */
    pthread_t thread;
    bool meets; /* the others before it begins */
    void (*body)(struct worker *worker);
};

struct crew {
    struct test *test;
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_frame_pool_snapshot fresh; /* what the pool must count when all is given back */
    unsigned threads;
    _Atomic(uint8_t) *owner; /* of each frame: worker + 1; 0: nobody */
    _Atomic(uint32_t) arrived;
    _Atomic(uint32_t) phase;
    void *context; /* the case's own */
    struct worker workers[CREW_MOST];
};

/* What the machine of a case is like, and how many processors it says that it has. */
struct crew_machine {
    const struct sim_range *ranges;
    size_t count;
    uint32_t processors;
};

/* Run `body` with a crew on a new machine. Afterwards nothing may be in use. */
void crew_with(struct test *test, const struct crew_machine *machine,
               void (*body)(struct test *test, struct crew *crew));

/* CREW_CASE(name, SIM_RAM(...), ...) { ... uses test and crew ... } */
#define CREW_CASE(name, ...)                                                              \
    static void name##_in(struct test *test __attribute__((unused)), struct crew *crew);  \
    static void name(struct test *test)                                                   \
    {                                                                                     \
        static const struct sim_range ranges[] = {__VA_ARGS__};                           \
        crew_with(test, &(struct crew_machine){ranges, PS_ARRAY_SIZE(ranges), CREW_MOST}, \
                  name##_in);                                                             \
    }                                                                                     \
    static void name##_in(struct test *test __attribute__((unused)), struct crew *crew)

/* 8 MiB from address 0: one tract. */
#define CREW_SMALL SIM_RAM(0, 2048)

/* Three regions: below 4 GiB in two, above, and neither begins or ends where a tract does. */
#define CREW_WIDE SIM_RAM(0, 2048), SIM_RAM(0x40000 + 768, 4096), SIM_RAM(0x100000 - 256, 3000)

/* Run `body` on all workers at once, none before all are there, and come back with the last. */
void crew_run(struct crew *crew, void (*body)(struct worker *worker));

/* The same for one worker alone, as processor `index`. */
void crew_run_one(struct crew *crew, unsigned index, void (*body)(struct worker *worker));

/* The two halves of that: until the second, the case goes on beside the worker. */
void crew_start(struct crew *crew, unsigned index, void (*body)(struct worker *worker));
void crew_join(struct crew *crew, unsigned index);

/* Nobody goes on before all workers are here. */
void crew_meet(struct worker *worker);

/* Let others run. */
void crew_pause(void);

/* The usual work of `total` steps, done `scale` times: how many steps are one worker's. */
uint64_t crew_share(const struct worker *worker, uint64_t total);

uint64_t crew_sum(const struct crew *crew);                         /* of the workers' `count` */
uint64_t crew_held(const struct crew *crew, enum ps_frame_tag tag); /* frames; FREE: of all tags */

/* The pool validates, and counts in use what the workers hold. */
void crew_expect_held(struct crew *crew);

/* What the pool counts now, and what of it the workers may take one by one. */
struct ps_frame_pool_snapshot crew_now(struct crew *crew);

/* Give back all that a worker holds, in random order. */
void worker_give_back(struct worker *worker);

/* ---- facts ---- */

#define MUST(fact)            worker_check(worker, (fact), 0, #fact, __FILE__, __LINE__)
#define MUST_BE(call, status) worker_status(worker, (call), (status), #call, __FILE__, __LINE__)

bool worker_check(struct worker *worker, bool holds, uint64_t value, const char *fact,
                  const char *file, int line);
bool worker_status(struct worker *worker, ps_status actual, ps_status expected, const char *call,
                   const char *file, int line);

/* ---- units ---- */

/* Frames that the pool has just given to the worker, or that it is about to give back. */
void worker_owns(struct worker *worker, uint64_t first, uint64_t pages);
void worker_disowns(struct worker *worker, uint64_t first, uint64_t pages);

/* Remember a unit, and one of those that are remembered: it is forgotten. */
void worker_keep(struct worker *worker, uint64_t first, uint64_t pages, enum ps_frame_tag tag);
struct held_unit worker_pick(struct worker *worker);

/* A single frame: false when the pool has none. Both write to the frame. */
bool worker_take_single(struct worker *worker, enum ps_frame_tag tag);
void worker_free(struct worker *worker, const struct held_unit *unit);

bool worker_sees_zeros(struct worker *worker, uint64_t frame);

enum ps_frame_tag worker_tag(struct worker *worker); /* a random one */

/* ---- the suites ---- */

extern const struct test_suite suite_frame_pool_threads;
extern const struct test_suite suite_frame_pool_mixed_threads;
extern const struct test_suite suite_frame_pool_race_threads;
extern const struct test_suite suite_frame_pool_watch_threads;
extern const struct test_suite suite_frame_pool_promise_threads;
extern const struct test_suite suite_frame_pool_turns;
extern const struct test_suite suite_frame_pool_waits;
extern const struct test_suite suite_frame_pool_alone;
extern const struct test_suite suite_page_table_threads;
extern const struct test_suite suite_page_table_types_threads;
extern const struct test_suite suite_virtual_threads;

#endif
