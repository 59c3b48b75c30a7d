/* An address arena on a machine of its own, and all of its state for comparison. */
#ifndef TESTS_UNIT_ADDRESS_ARENA_FIXTURE_H
#define TESTS_UNIT_ADDRESS_ARENA_FIXTURE_H

#include <pagestage/address_arena.h>

#include "harness/test.h"
#include "machine/machine.h"

struct arena_fixture {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_arena arena;
    uint64_t frames; /* of the machine */
};

/* The arena's shape; the machine has `frames` frames. */
struct arena_shape {
    uint64_t first;
    uint64_t pages;
    uint64_t guard;
    uint64_t frames;
};

/*
 * Run `body` with an empty arena. Afterwards it must be valid; what is left in it is freed, and
 * then nothing of the pool may be in use.
 */
void arena_with(struct test *test, const struct arena_shape *shape,
                void (*body)(struct test *test, struct arena_fixture *f));

/* ARENA_CASE(name, first, pages, guard) { ... uses test and f ... } */
#define ARENA_CASE(name, first, pages, guard) ARENA_CASE_OF(name, first, pages, guard, 64)
#define ARENA_CASE_OF(name, first, pages, guard, frames)                                         \
    static void name##_in(struct test *test, struct arena_fixture *f);                           \
    static void name(struct test *test)                                                          \
    {                                                                                            \
        arena_with(test, &(struct arena_shape){(first), (pages), (guard), (frames)}, name##_in); \
    }                                                                                            \
    static void name##_in(struct test *test, struct arena_fixture *f)

/* Allocate so many pages and expect that it can be done. Where; UINT64_MAX when not. */
uint64_t arena_get(struct test *test, struct arena_fixture *f, uint64_t pages);
ps_status arena_ask(struct arena_fixture *f, uint64_t pages, uint64_t *first);
void arena_put(struct test *test, struct arena_fixture *f, uint64_t first);
void arena_empty(struct test *test, struct arena_fixture *f);

/* What is in the arena, as a text: "2+3 7+3=5 12+1R": a value is told when it is not 0. */
const char *arena_text(const struct ps_arena *arena);
#define EXPECT_ARENA(expected) EXPECT_TEXT(arena_text(&f->arena), expected)

/* Everything that a failed call must leave alone; the counter `failed` is left out. */
struct arena_state {
    struct ps_arena arena;
    uint64_t in_use;   /* frames of the pool */
    uint64_t contents; /* of all allocated frames, and their tags, as one number */
};

struct arena_state arena_state(struct arena_fixture *f);
void arena_expect_same(struct test *test, struct arena_fixture *f,
                       const struct arena_state *before);

/* The call answers `status` and nothing has changed. */
#define EXPECT_REFUSED(call, status)                      \
    do {                                                  \
        struct arena_state state_before = arena_state(f); \
        EXPECT_STATUS(call, status);                      \
        arena_expect_same(test, f, &state_before);        \
    } while (0)

#endif
