/*
 * A virtual allocator on a machine of its own, and its whole state for comparison.
 *
 * The machine is small, so that every frame can be looked at after every step. No processor
 * is attached: contents are reached through the page table's answers.
 */
#ifndef TESTS_UNIT_VIRTUAL_FIXTURE_H
#define TESTS_UNIT_VIRTUAL_FIXTURE_H

#include <pagestage/virtual_allocator.h>

#include "harness/test.h"
#include "machine/machine.h"

#define VIRTUAL_BASE 0xffffc00000000000u

enum { VIRTUAL_FIRST_FRAME = 256, VIRTUAL_FRAMES = 1024, VIRTUAL_LIVE_MAX = 512 };

/* How the arena is made; zero fields mean the usual. */
struct virtual_plan {
    uint64_t base;
    bool base_is_zero;
    uint64_t pages; /* 256 */
    uint64_t guard;
    uint64_t alignment;
    unsigned flags;
    uint64_t quarantine;
    uint64_t frames; /* VIRTUAL_FRAMES */
    bool not_initialised;
};

struct virtual_fixture {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_page_table table;
    struct ps_virtual_allocator arena;
    uint64_t frames;
    uint64_t in_use; /* frames, before the arena was made */
};

/*
 * Run `body` on a new machine. Whatever it left allocated is freed; then everything must be
 * valid, the arena must let itself be destroyed, and no frame may be left.
 */
void virtual_with(struct test *test, const struct virtual_plan *plan,
                  void (*body)(struct test *test, struct virtual_fixture *f));

/* A case with an arena: VIRTUAL_CASE(name, .guard = 2) { ... uses test and f ... } */
#define VIRTUAL_CASE(name, ...)                                             \
    static void name##_in(struct test *test, struct virtual_fixture *f);    \
    static void name(struct test *test)                                     \
    {                                                                       \
        virtual_with(test, &(struct virtual_plan){__VA_ARGS__}, name##_in); \
    }                                                                       \
    static void name##_in(struct test *test, struct virtual_fixture *f)

/* An address by the page of the arena. */
ps_virt_t virtual_page(const struct virtual_fixture *f, uint64_t page);

/* Allocate and tell the first page, counted from the arena's base; expects success. */
uint64_t virtual_take(struct test *test, struct virtual_fixture *f, uint64_t pages);
uint64_t virtual_take_as(struct test *test, struct virtual_fixture *f,
                         const struct ps_virtual_request *request);
void virtual_free(struct test *test, struct virtual_fixture *f, uint64_t page);
void virtual_free_part(struct test *test, struct virtual_fixture *f, uint64_t page, uint64_t pages);
/* What an allocation of so many pages answers; freed at once when it succeeds. */
ps_status virtual_try(struct virtual_fixture *f, uint64_t pages);

bool virtual_is_mapped(struct virtual_fixture *f, uint64_t page);
/* The 8 bytes at the start of a mapped page, wherever its frame is. */
uint64_t *virtual_word(struct virtual_fixture *f, uint64_t page);

/* Everything that a failed call must leave alone. */
struct virtual_state {
    struct ps_frame_pool_snapshot pool;
    struct ps_page_table_counters tables; /* without rounds */
    struct ps_virtual_snapshot arena;     /* without what failed calls may change */
    uint64_t sequence;
    uint64_t live;     /* all allocations as one number */
    uint64_t contents; /* tags and bytes of all allocated frames as one number */
};

struct virtual_state virtual_state(struct virtual_fixture *f);
void virtual_expect_same_state(struct test *test, struct virtual_fixture *f,
                               const struct virtual_state *before);
/* The same, and valid. */
void virtual_expect_same(struct test *test, struct virtual_fixture *f,
                         const struct virtual_state *before);

#endif
