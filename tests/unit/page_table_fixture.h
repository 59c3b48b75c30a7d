/*
 * A page table on a small machine of its own, with both processors of the software MMU on
 * it, and the whole state for comparison.
 */
#ifndef TESTS_UNIT_PAGE_TABLE_FIXTURE_H
#define TESTS_UNIT_PAGE_TABLE_FIXTURE_H

#include "machine/mmu.h"

/* 1 GiB aligned, in the lower and the upper half. */
#define TABLE_LOW  0x0000200000000000u
#define TABLE_HIGH 0xffff900000000000u

#define RW         ps_attr_ram(PS_READ | PS_WRITE)
#define RO         ps_attr_ram(PS_READ)
#define RX         ps_attr_ram(PS_READ | PS_EXECUTE)

enum {
    TABLE_FIRST_FRAME = 256,
    TABLE_FRAMES = 2048,
    TABLE_LARGE = 512,        /* pages of a 2 MiB leaf */
    TABLE_HUGE = 512 * 512,   /* of a 1 GiB leaf */
    TABLE_FAR = 0x40000 * 3u, /* frame of no RAM, aligned to 1 GiB, for leaves nobody touches */
    TABLE_UNITS_MAX = 64,
};

struct table_plan {
    unsigned flags;  /* SIM_FIVE_LEVELS, ... */
    uint64_t frames; /* 0: TABLE_FRAMES */
};

struct table_fixture {
    struct sim_machine *sim;
    struct mmu *mmu;
    struct ps_frame_pool pool;
    struct ps_page_table table;
    struct ps_page_table other; /* for sharing; not created */
};

/*
 * Run `body` on a new machine with an empty page table that is active on both processors.
 * Whatever it left mapped is unmapped; then everything must be valid, the table must let
 * itself be destroyed, and all frames tagged as tables must be back.
 */
void table_with(struct test *test, const struct table_plan *plan,
                void (*body)(struct test *test, struct table_fixture *f));

#define TABLE_CASE(name, ...)                                           \
    static void name##_in(struct test *test, struct table_fixture *f);  \
    static void name(struct test *test)                                 \
    {                                                                   \
        table_with(test, &(struct table_plan){__VA_ARGS__}, name##_in); \
    }                                                                   \
    static void name##_in(struct test *test, struct table_fixture *f)

/* `page` pages above `base`. */
static inline ps_virt_t at(uint64_t base, uint64_t page)
{
    return ps_virt(base + page * PS_PAGE_SIZE);
}

/* A frame of RAM from the pool. */
ps_frame_t table_take_frame(struct test *test, struct table_fixture *f);
/* All frames that are free now; returns how many. They go back with table_give_all(). */
uint64_t table_take_all(struct table_fixture *f, ps_frame_t *first_of_list);
void table_give_all(struct table_fixture *f, ps_frame_t first_of_list);

/* Map single pages: RAM or any frame number. Expects PS_OK. */
void table_map(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t frame,
               ps_attr_t attr);
void table_map_run(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t frame,
                   uint64_t pages, ps_attr_t attr, unsigned flags);
void table_unmap(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t pages);

/* ---- facts ---- */

void table_expect(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t frame,
                  ps_attr_t attr, enum ps_leaf leaf);
void table_expect_absent(struct test *test, struct table_fixture *f, ps_virt_t va);
/* Counters that describe the tree; no count of rounds or demotions. */
void table_expect_tree(struct test *test, struct table_fixture *f, uint64_t leaves_4k,
                       uint64_t leaves_2m, uint64_t leaves_1g, uint64_t tables, uint64_t promised);

/* The entry on the way to `va` in a table of `level`, by hand; NULL when there is no table. */
uint64_t *table_entry(struct table_fixture *f, ps_virt_t va, unsigned level);

/* Everything that a failed call must not change. */
struct table_state {
    struct ps_page_table table;
    struct ps_frame_pool_snapshot pool;
    uint64_t frames; /* hash of all owners, and of the contents of all tables */
};

struct table_state table_state(struct table_fixture *f);
void table_expect_unchanged(struct test *test, struct table_fixture *f,
                            const struct table_state *before);

/* ---- reading back ---- */

struct table_ranges {
    struct ps_mapped_range ranges[TABLE_UNITS_MAX];
    uint64_t count; /* of all, also of those that did not fit */
};

struct table_ranges table_read(struct ps_page_table *table);

/* A receiver of released frames that keeps the runs. */
struct table_released {
    struct ps_frame_release release;
    struct {
        ps_frame_t first;
        ps_pages_t pages;
    } runs[TABLE_UNITS_MAX];
    uint64_t count;
    uint64_t pages;
};

void table_released_init(struct table_released *released);

#endif
