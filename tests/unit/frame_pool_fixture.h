/*
 * A frame pool on a machine of its own, and all of its state for comparison: the pool's
 * structure and every byte of physical memory.
 */
#ifndef TESTS_UNIT_FRAME_POOL_FIXTURE_H
#define TESTS_UNIT_FRAME_POOL_FIXTURE_H

#include <pagestage/frame_pool.h>

#include "harness/test.h"
#include "machine/machine.h"

struct pool_fixture {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_frame_pool_snapshot fresh; /* right after init */
};

/*
 * Run `body` on a new machine of `ranges` with a pool over its map. Afterwards the pool must
 * be valid.
 */
void pool_with(struct test *test, const struct sim_range *ranges, size_t count,
               void (*body)(struct test *test, struct pool_fixture *f));

/* POOL_CASE(name, SIM_RAM(...), SIM_RAM(...)) { ... uses test and f ... } */
#define POOL_CASE(name, ...)                                          \
    static void name##_in(struct test *test, struct pool_fixture *f); \
    static void name(struct test *test)                               \
    {                                                                 \
        static const struct sim_range ranges[] = {__VA_ARGS__};       \
        pool_with(test, ranges, PS_ARRAY_SIZE(ranges), name##_in);    \
    }                                                                 \
    static void name##_in(struct test *test, struct pool_fixture *f)

/*
 * 8 MiB from address 0: one tract of 16 MiB. The map has frames 1 to 255 low and 256 to 2047
 * usable; what the pool sets aside are the last three: small arrays, tract lines, bits. One
 * frame more is kept back for the tag bytes.
 */
#define POOL_SMALL SIM_RAM(0, 2048)
enum {
    SMALL_FRAMES = 2048,
    SMALL_METADATA = 3,
    SMALL_LOW = 255,
    SMALL_FREE = 2048 - 1 - SMALL_METADATA,          /* at first, low ones included */
    SMALL_SINGLES = 2048 - 256 - SMALL_METADATA - 1, /* that can be handed out one by one */
    SMALL_LAST = 2048 - SMALL_METADATA - 1,          /* the highest frame that is free at first */
};

/* What a failed call must leave alone. */
struct pool_state {
    struct ps_frame_pool pool;
    uint64_t memory;
};

/* Taken after a question, which settles what processors have counted by themselves. */
struct pool_state pool_state(struct pool_fixture *f);
void pool_expect_same(struct test *test, const struct pool_fixture *f,
                      const struct pool_state *before, const char *what);

/* The call answers `status` and nothing, in the pool or in memory, has changed. */
#define EXPECT_REFUSED(call, status)                     \
    do {                                                 \
        struct pool_state state_before = pool_state(f);  \
        EXPECT_STATUS(call, status);                     \
        pool_expect_same(test, f, &state_before, #call); \
    } while (0)

/* What the pool counts now. */
struct ps_frame_pool_snapshot pool_now(struct pool_fixture *f);

/* The pool counts what it counted right after init. Its processors' hints are dropped first. */
void pool_expect_fresh(struct test *test, struct pool_fixture *f);

/* Calls that are expected to succeed; the first frame, or 0. */
uint64_t pool_single(struct test *test, struct pool_fixture *f);
uint64_t pool_run(struct test *test, struct pool_fixture *f, uint64_t pages, uint64_t alignment,
                  uint64_t limit);
void pool_free(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages);

ps_status pool_try_run(struct pool_fixture *f, uint64_t pages, uint64_t alignment, uint64_t limit,
                       uint64_t *first);

/* A frame is as described; `pages` 0 stands for a free one, `tag` then is not looked at. */
void pool_expect_unit(struct test *test, struct pool_fixture *f, uint64_t frame, uint64_t unit,
                      uint64_t pages, enum ps_frame_tag tag);
bool pool_is_free(struct pool_fixture *f, uint64_t frame);
bool pool_is_managed(struct pool_fixture *f, uint64_t frame);

#endif
