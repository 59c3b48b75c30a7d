#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "unit_suites.h"

#include "zero_private.h"

/* Every way to fill memory with zero bytes that this processor has, on its real memory. */

enum { MOST_PAGES = 300, JUNK = 0x5a };

static const uint64_t page_counts[] = {1, 2, 3, 256, 257, MOST_PAGES};

typedef void zero_way(void *first, uint64_t bytes);

/* A page of junk, the pages to be cleared, another page of junk. */
static uint8_t *new_memory(void)
{
    uint64_t bytes = (MOST_PAGES + 2) << PS_PAGE_SHIFT;
    uint8_t *memory = aligned_alloc(PS_PAGE_SIZE, bytes);

    if (memory != NULL)
        memset(memory, JUNK, bytes);
    return memory;
}

static uint64_t count_others(const uint8_t *bytes, uint64_t count, uint8_t value)
{
    uint64_t others = 0;

    for (uint64_t i = 0; i < count; i++)
        others += bytes[i] != value;
    return others;
}

static void check_pages(struct test *test, zero_way *zero, uint8_t *memory, uint64_t pages)
{
    uint8_t *first = memory + PS_PAGE_SIZE;
    uint64_t bytes = pages << PS_PAGE_SHIFT;

    zero(first, bytes);
    EXPECT_EQ(count_others(memory, PS_PAGE_SIZE, JUNK), 0);
    EXPECT_EQ(count_others(first, bytes, 0), 0);
    EXPECT_EQ(count_others(first + bytes, PS_PAGE_SIZE, JUNK), 0);
    memset(first, JUNK, bytes);
}

static void check_register(struct test *test, zero_way *zero, uint8_t *memory)
{
    uint64_t before[2] = {0x0123456789abcdef, 0xfedcba9876543210};
    uint64_t after[2] = {0, 0};

    __asm__ volatile("movdqu %0, %%xmm0" : : "m"(before) : "xmm0");
    zero(memory, PS_PAGE_SIZE);
    __asm__ volatile("movdqu %%xmm0, %0" : "=m"(after));
    EXPECT_EQ(after[0], before[0]);
    EXPECT_EQ(after[1], before[1]);
}

static void check_way(struct test *test, zero_way *zero)
{
    uint8_t *memory = new_memory();

    REQUIRE(memory != NULL);
    for (size_t i = 0; i < PS_ARRAY_SIZE(page_counts); i++)
        check_pages(test, zero, memory, page_counts[i]);
    check_register(test, zero, memory);
    free(memory);
}

static void stores_clear_exactly_the_frames(struct test *test)
{
    check_way(test, ps_zero_stores);
}

static void streaming_words_clear_exactly_the_frames(struct test *test)
{
    check_way(test, ps_zero_streaming_words);
}

static void streaming_sse_clears_exactly_the_frames_and_keeps_its_register(struct test *test)
{
    check_way(test, ps_zero_streaming_sse);
}

static bool has_clzero(void)
{
    unsigned a, b, c, d;

    __cpuid(0x80000000u, a, b, c, d);
    if (a < 0x80000008u)
        return false;
    __cpuid(0x80000008u, a, b, c, d);
    return (b & 1) != 0;
}

static void lines_clear_exactly_the_frames(struct test *test)
{
    if (!has_clzero())
        SKIP("this processor has no CLZERO");
    check_way(test, ps_zero_lines);
}

static const struct test_case cases[] = {
    TEST_CASE(stores_clear_exactly_the_frames),
    TEST_CASE(streaming_words_clear_exactly_the_frames),
    TEST_CASE(streaming_sse_clears_exactly_the_frames_and_keeps_its_register),
    TEST_CASE(lines_clear_exactly_the_frames),
};
const struct test_suite suite_zero = TEST_SUITE("zero", cases);
