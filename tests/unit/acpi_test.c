#define _DEFAULT_SOURCE
#include "acpi.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/test.h"

#include "unit_suites.h"

/*
 * Tables between poisoned bytes, so that a byte read beyond one is noticed. The old root table has
 * addresses of four bytes: all lies where these reach.
 */
struct tables {
    unsigned char *rsdp;
    unsigned char *root;
    unsigned char *madt;
    size_t length; /* of the MADT */
    unsigned char *low;
    size_t used;
};

enum { LOW_BYTES = 16384, APART = 64 };

static unsigned char *make(struct tables *t, size_t bytes)
{
    unsigned char *at = t->low + t->used;

    t->used += (bytes + APART) & ~(size_t)7;
    ASAN_UNPOISON_MEMORY_REGION(at, bytes);
    return at;
}

static void put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i) & 0xff);
}

static unsigned char *make_table(struct tables *t, const char *signature, size_t bytes)
{
    unsigned char *table = make(t, bytes);

    memcpy(table, signature, 4);
    put(table + 4, bytes, 4);
    return table;
}

/* Two other tables stand before the one that is looked for. */
static void make_root(struct tables *t, unsigned width)
{
    unsigned char *other = make_table(t, "FACP", 36);

    t->root = make_table(t, width == 8 ? "XSDT" : "RSDT", 36 + 3 * (size_t)width);
    put(t->root + 36, (uint64_t)(uintptr_t)other, width);
    put(t->root + 36 + width, 0, width);
    put(t->root + 36 + 2 * (size_t)width, (uint64_t)(uintptr_t)t->madt, width);
    t->rsdp = make(t, 36);
    memcpy(t->rsdp, "RSD PTR ", 8);
    t->rsdp[15] = width == 8 ? 2 : 0;
    put(t->rsdp + (width == 8 ? 24 : 16), (uint64_t)(uintptr_t)t->root, width);
}

static void start(struct tables *t, const unsigned char *entries, size_t bytes, unsigned width)
{
    *t = (struct tables){.length = 44 + bytes};
    t->low = mmap(NULL, LOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
                  -1, 0);
    if (t->low == MAP_FAILED)
        abort();
    ASAN_POISON_MEMORY_REGION(t->low, LOW_BYTES);
    t->madt = make_table(t, "APIC", t->length);
    memcpy(t->madt + 44, entries, bytes);
    make_root(t, width);
}

static void stop(struct tables *t)
{
    ASAN_UNPOISON_MEMORY_REGION(t->low, LOW_BYTES);
    munmap(t->low, LOW_BYTES);
}

#define LOCAL(id, flags)       0, 8, 7, (id), (flags), 0, 0, 0
#define WIDE(low, high, flags) 9, 16, 0, 0, (low), (high), 0, 0, (flags), 0, 0, 0, 7, 0, 0, 0
#define IO_APIC                1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

static void expect(struct test *test, const unsigned char *entries, size_t bytes, uint32_t listed,
                   uint32_t enabled, const uint32_t *wanted)
{
    for (unsigned width = 4; width <= 8; width += 4) {
        struct acpi_processors found;
        uint32_t ids[8] = {0};
        struct tables t;

        start(&t, entries, bytes, width);
        found = acpi_processors(t.rsdp, ids, PS_ARRAY_SIZE(ids));
        EXPECT_EQ(found.listed, listed);
        EXPECT_EQ(found.enabled, enabled);
        for (uint32_t i = 0; i < PS_ARRAY_SIZE(ids); i++)
            EXPECT_EQ(ids[i], i < enabled ? wanted[i] : 0);
        stop(&t);
    }
}

static void both_forms_are_listed_in_their_order(struct test *test)
{
    static const unsigned char entries[] = {LOCAL(2, 1), IO_APIC, LOCAL(0, 1), WIDE(0x34, 0x12, 1)};

    expect(test, entries, sizeof(entries), 3, 3, (const uint32_t[]){2, 0, 0x1234});
}

static void a_disabled_one_is_listed_and_not_started(struct test *test)
{
    static const unsigned char entries[] = {LOCAL(0, 1), LOCAL(1, 0), LOCAL(2, 2), WIDE(3, 0, 0)};

    expect(test, entries, sizeof(entries), 4, 1, (const uint32_t[]){0});
}

static void one_that_is_listed_twice_is_started_once(struct test *test)
{
    static const unsigned char entries[] = {LOCAL(0, 1), LOCAL(1, 1), WIDE(1, 0, 1), LOCAL(0, 1)};

    expect(test, entries, sizeof(entries), 4, 2, (const uint32_t[]){0, 1});
}

static void the_identifier_of_all_is_nobody(struct test *test)
{
    static const unsigned char entries[] = {
        LOCAL(0xff, 1), LOCAL(5, 1), 9, 16, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0};

    expect(test, entries, sizeof(entries), 1, 1, (const uint32_t[]){5});
}

static void an_entry_that_makes_no_sense_ends_the_list(struct test *test)
{
    static const unsigned char without_size[] = {LOCAL(0, 1), 0, 0, 0, 1, LOCAL(1, 1)};
    static const unsigned char too_long[] = {LOCAL(0, 1), 9, 16, 0, 0, 1, 0, 0, 0, 1};
    static const unsigned char half[] = {LOCAL(0, 1), 0};
    static const unsigned char short_one[] = {LOCAL(0, 1), 0, 4, 0, 1, LOCAL(1, 1)};

    expect(test, without_size, sizeof(without_size), 1, 1, (const uint32_t[]){0});
    expect(test, too_long, sizeof(too_long), 1, 1, (const uint32_t[]){0});
    expect(test, half, sizeof(half), 1, 1, (const uint32_t[]){0});
    expect(test, short_one, sizeof(short_one), 2, 2, (const uint32_t[]){0, 1});
}

static void what_finds_no_room_is_counted(struct test *test)
{
    static const unsigned char entries[] = {LOCAL(4, 1), LOCAL(5, 1), LOCAL(6, 1)};
    uint32_t ids[2] = {0};
    struct tables t;

    start(&t, entries, sizeof(entries), 8);
    EXPECT_EQ(acpi_processors(t.rsdp, NULL, 0).enabled, 3);
    EXPECT_EQ(acpi_processors(t.rsdp, ids, 1).enabled, 3);
    EXPECT_EQ(ids[0], 4);
    EXPECT_EQ(ids[1], 0);
    stop(&t);
}

static void without_tables_nobody_is_listed(struct test *test)
{
    struct tables t;

    EXPECT_EQ(acpi_processors(NULL, NULL, 0).listed, 0);
    start(&t, (const unsigned char[]){LOCAL(4, 1)}, 8, 8);
    t.madt[0] = 'B';
    EXPECT_EQ(acpi_processors(t.rsdp, NULL, 0).listed, 0);
    t.madt[0] = 'A';
    EXPECT_EQ(acpi_processors(t.rsdp, NULL, 0).listed, 1);
    t.root[0] = 'Y';
    EXPECT_EQ(acpi_processors(t.rsdp, NULL, 0).listed, 0);
    put(t.rsdp + 24, 0, 8);
    EXPECT_EQ(acpi_processors(t.rsdp, NULL, 0).listed, 0);
    stop(&t);
}

static const struct test_case cases[] = {
    TEST_CASE(both_forms_are_listed_in_their_order),
    TEST_CASE(a_disabled_one_is_listed_and_not_started),
    TEST_CASE(one_that_is_listed_twice_is_started_once),
    TEST_CASE(the_identifier_of_all_is_nobody),
    TEST_CASE(an_entry_that_makes_no_sense_ends_the_list),
    TEST_CASE(what_finds_no_room_is_counted),
    TEST_CASE(without_tables_nobody_is_listed),
};
const struct test_suite suite_acpi = TEST_SUITE("acpi", cases);
