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
enum { VIRTUAL_2M = 512, VIRTUAL_1G = 512 * 512 };

/* How the arena is made; zero fields mean the usual. */
struct virtual_plan {
    uint64_t base;
    bool base_is_zero;
    uint64_t pages; /* 256 */
    uint64_t guard;
    uint64_t alignment;
    unsigned flags;
    uint64_t quarantine;
    uint64_t frames;  /* VIRTUAL_FRAMES */
    uint64_t gibs;    /* whole frames of 1 GiB besides, from VIRTUAL_GIB on */
    unsigned machine; /* SIM_FIVE_LEVELS, ... */
    bool not_initialised;
};

struct virtual_fixture {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_page_table table;
    struct ps_virtual_allocator arena;
    uint64_t frames;
    uint64_t in_use; /* frames, before anything was allocated */
    bool big;        /* too big to look into all frames */
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

/* The size of the leaf that maps a page; 0: not mapped. */
unsigned virtual_leaf(struct virtual_fixture *f, uint64_t page);
/* Exactly [page, page + pages) of that stretch and one page around it is mapped. */
void virtual_expect_mapped(struct test *test, struct virtual_fixture *f, uint64_t page,
                           uint64_t pages);
void virtual_expect_unmapped(struct test *test, struct virtual_fixture *f, uint64_t page,
                             uint64_t pages);
bool virtual_is_mapped(struct virtual_fixture *f, uint64_t page);
/* The 8 bytes at the start of a mapped page, wherever its frame is. */
uint64_t *virtual_word(struct virtual_fixture *f, uint64_t page);

/* Write its own address to each page; read it back, from a range that may have moved. */
void virtual_stamp(struct virtual_fixture *f, uint64_t page, uint64_t pages);
void virtual_expect_stamped(struct test *test, struct virtual_fixture *f, uint64_t page,
                            uint64_t pages);
void virtual_expect_stamped_as(struct test *test, struct virtual_fixture *f, uint64_t page,
                               uint64_t pages, uint64_t was);

/* Take single frames of the pool until `left` can still be had; and give them back. */
struct virtual_hoard {
    uint64_t count;
    ps_frame_t *frames;
};
struct virtual_hoard virtual_hoard(struct test *test, struct virtual_fixture *f, uint64_t left);
void virtual_give_back(struct test *test, struct virtual_fixture *f, struct virtual_hoard *hoard);

/* Everything that a failed call must leave alone. */
struct virtual_state {
    struct ps_frame_pool_snapshot pool;
    struct ps_page_table_counters tables; /* without rounds */
    struct ps_virtual_snapshot arena;     /* without what failed calls may change */
    uint64_t sequence;
    uint64_t live;     /* all allocations as one number */
    uint64_t contents; /* all allocated frames as one number: tags, and bytes but of bookkeeping */
};

struct virtual_state virtual_state(struct virtual_fixture *f);
void virtual_expect_same_state(struct test *test, struct virtual_fixture *f,
                               const struct virtual_state *before);
/* The same, and valid. */
void virtual_expect_same(struct test *test, struct virtual_fixture *f,
                         const struct virtual_state *before);

/* ---- calls that are refused: all of the state, the counters and the records ---- */

struct virtual_before {
    struct virtual_state state;
    struct ps_virtual_counters counters;
    struct ps_virtual_failure failure;
    struct ps_virtual_misuse misuse;
};

struct virtual_before virtual_before(struct virtual_fixture *f);
/* Counted as rejected; noted nowhere. */
void virtual_expect_rejected(struct test *test, struct virtual_fixture *f,
                             const struct virtual_before *before);
/* Counted as rejected, and noted as the last misuse. */
void virtual_expect_misuse(struct test *test, struct virtual_fixture *f,
                           const struct virtual_before *before,
                           const struct ps_virtual_misuse *noted);
/* Counted as failed, and noted as the last failure. */
void virtual_expect_failed(struct test *test, struct virtual_fixture *f,
                           const struct virtual_before *before,
                           const struct ps_virtual_failure *noted);

#define VIRTUAL_EXPECT(call, answer, check)                     \
    do {                                                        \
        struct virtual_before before_ = virtual_before(f);      \
        uint64_t failures_ = test->failures;                    \
        EXPECT_STATUS(call, answer);                            \
        check;                                                  \
        if (test->failures != failures_)                        \
            test_note(test, "in line %d: %s", __LINE__, #call); \
    } while (0)

#define EXPECT_REJECTED(call, answer) \
    VIRTUAL_EXPECT(call, answer, virtual_expect_rejected(test, f, &before_))

/* Wrong about `address`; it hit allocation `number`, 0: none. */
#define EXPECT_MISUSE(call, answer, kind, address, number)                                     \
    VIRTUAL_EXPECT(call, answer,                                                               \
                   virtual_expect_misuse(test, f, &before_,                                    \
                                         &(struct ps_virtual_misuse){.status = (answer),       \
                                                                     .what = PS_MISUSE_##kind, \
                                                                     .va = (address),          \
                                                                     .sequence = (number)}))

/* A request for so many bytes by `by` that found no memory, or no space. */
#define EXPECT_FAILED(call, answer, size, by)                          \
    VIRTUAL_EXPECT(call, answer,                                       \
                   virtual_expect_failed(test, f, &before_,            \
                                         &(struct ps_virtual_failure){ \
                                             .status = (answer), .bytes = (size), .who = (by)}))

#endif
