/* Two page tables of one machine that keeps cache types, and all of its state for comparison. */
#ifndef TESTS_UNIT_PAGE_TABLE_TYPES_FIXTURE_H
#define TESTS_UNIT_PAGE_TABLE_TYPES_FIXTURE_H

#include <pagestage/cache_types.h>

#include "page_table_fixture.h"

/* Frames that are not RAM: a few below the RAM, and enough for all leaf sizes above it. */
#define DEVICE  TABLE_FAR
#define TYPE(t) ps_attr(PS_READ | PS_WRITE, PS_CACHE_##t)
#define WT      TYPE(WRITE_THROUGH)
#define UC      TYPE(UNCACHED)
#define WC      TYPE(WRITE_COMBINING)

struct types_fixture {
    struct table_fixture *f; /* its table is the first one */
    struct ps_cache_types types;
    struct ps_page_table second;
};

/*
 * Run `body` with both tables empty. Afterwards both and the types must be valid, and once all is
 * unmapped, whatever it was, no type may be known any more and no frame kept for them.
 */
void types_with(struct test *test, struct table_fixture *f,
                void (*body)(struct test *test, struct types_fixture *t));

#define TYPES_CASE(name, ...)                                           \
    static void name##_in(struct test *test, struct types_fixture *t);  \
    static void name##_on(struct test *test, struct table_fixture *f)   \
    {                                                                   \
        types_with(test, f, name##_in);                                 \
    }                                                                   \
    static void name(struct test *test)                                 \
    {                                                                   \
        table_with(test, &(struct table_plan){__VA_ARGS__}, name##_on); \
    }                                                                   \
    static void name##_in(struct test *test, struct types_fixture *t)

/* ---- calls at TABLE_LOW + page, in the first table ---- */

ps_status types_run(struct types_fixture *t, uint64_t page, uint64_t frame, uint64_t pages,
                    ps_attr_t attr, unsigned flags);
ps_status types_run_in(struct ps_page_table *table, uint64_t page, uint64_t frame, uint64_t pages,
                       ps_attr_t attr, unsigned flags);
/* Two pages at once: so that it is not the call for a single one. */
ps_status types_two(struct types_fixture *t, uint64_t page, uint64_t frame0, uint64_t frame1,
                    ps_attr_t attr, enum ps_existing existing);
ps_status types_one(struct types_fixture *t, uint64_t page, uint64_t frame, ps_attr_t attr,
                    enum ps_existing existing);
void types_unmap(struct test *test, struct types_fixture *t, uint64_t page, uint64_t pages);

/* ---- facts ---- */

/*
 * What is known, as "c0000-c01ff UC 512": frames in hexadecimal, and how many pages are mapped;
 * and everything is valid.
 */
void types_expect(struct test *test, struct types_fixture *t, const char *expected);

struct types_state {
    struct table_state first;
    struct ps_page_table second;
    uint64_t count;
    struct ps_range ranges[TABLE_UNITS_MAX];
    uint64_t invalidations;
};

struct types_state types_state(struct types_fixture *t);
void types_expect_unchanged(struct test *test, struct types_fixture *t,
                            const struct types_state *before);

/* The call answers `status` and nothing has changed. */
#define EXPECT_REFUSED(call, status)                      \
    do {                                                  \
        struct types_state state_before = types_state(t); \
        EXPECT_STATUS(call, status);                      \
        types_expect_unchanged(test, t, &state_before);   \
    } while (0)

#endif
