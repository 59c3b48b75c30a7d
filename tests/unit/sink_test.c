#include "harness/test.h"

#include <stdio.h>
#include <string.h>

#include <pagestage/access.h>

/* Text: the formatter against that of the C library, names of statuses and attributes. */

static struct ps_sink open_text(struct ps_text_buffer *buffer, char *text, size_t size)
{
    return ps_text_buffer_sink(buffer, text, size);
}

/* The same arguments through both formatters. */
#define EXPECT_SAME(...)                                              \
    do {                                                              \
        char ours[256];                                               \
        char theirs[256];                                             \
        struct ps_text_buffer buffer;                                 \
        struct ps_sink sink = open_text(&buffer, ours, sizeof(ours)); \
                                                                      \
        ps_print(&sink, __VA_ARGS__);                                 \
        (void)snprintf(theirs, sizeof(theirs), __VA_ARGS__);          \
        EXPECT_TEXT(ours, theirs);                                    \
        EXPECT_EQ(buffer.length, strlen(theirs));                     \
    } while (0)

static void plain_text_and_percent_signs(struct test *test)
{
    EXPECT_SAME("nothing to convert");
    EXPECT_SAME("100%% of %d%%", 5);
    EXPECT_SAME("%%%%");
    EXPECT_SAME("%c%c%c", 'a', 'b', 'c');
    EXPECT_SAME("[%3c] [%-3c]", 'x', 'y');
}

static void numbers_of_every_size(struct test *test)
{
    EXPECT_SAME("%d %d %d", 0, -1, 2147483647);
    EXPECT_SAME("%i %d", -2147483647 - 1, 42);
    EXPECT_SAME("%ld %ld", 9223372036854775807l, -9223372036854775807l - 1);
    EXPECT_SAME("%lld %llu", -1ll, 18446744073709551615ull);
    EXPECT_SAME("%u %lu %zu", 4294967295u, 18446744073709551615ul, (size_t)7);
    EXPECT_SAME("%x %X %lx", 0xdeadbeefu, 0xdeadbeefu, 0xfeedfacecafebeeful);
    EXPECT_SAME("%x %u %d", 0u, 0u, 0);
    EXPECT_SAME("%zd", (ptrdiff_t)-5);
}

static void widths_and_flags_of_numbers(struct test *test)
{
    EXPECT_SAME("[%5d] [%-5d] [%05d]", 42, 42, 42);
    EXPECT_SAME("[%5d] [%-5d] [%05d]", -42, -42, -42);
    EXPECT_SAME("[%2d] [%-2d] [%02d]", 12345, 12345, 12345);
    EXPECT_SAME("[%08x] [%-8x] [%8X]", 0xabcu, 0xabcu, 0xabcu);
    EXPECT_SAME("[%#x] [%#10x] [%#010x] [%-#10x]", 0xabcu, 0xabcu, 0xabcu, 0xabcu);
    EXPECT_SAME("[%*d] [%-*d]", 7, 42, 7, 42);
    EXPECT_SAME("[%016lx]", 0x123456789abcdeful);
}

static void strings_with_width_and_precision(struct test *test)
{
    EXPECT_SAME("[%s] [%s]", "", "text");
    EXPECT_SAME("[%6s] [%-6s]", "text", "text");
    EXPECT_SAME("[%2s] [%-2s]", "text", "text");
    EXPECT_SAME("[%.2s] [%.0s] [%.9s]", "text", "text", "text");
    EXPECT_SAME("[%6.2s] [%-6.2s]", "text", "text");
    EXPECT_SAME("[%.*s] [%*s]", 3, "text", 6, "text");
}

/* A precision protects from reading past an array without an end. */
static void a_string_without_end_is_read_no_further_than_asked(struct test *test)
{
    char letters[4] = {'a', 'b', 'c', 'd'};

    EXPECT_SAME("[%.4s] [%.2s]", letters, letters);
}

static void random_numbers_agree(struct test *test)
{
    struct test_random random = test_random(5);

    for (unsigned i = 0; i < 500; i++) {
        uint64_t value = test_random_next(&random) >> test_random_below(&random, 64);
        int width = (int)test_random_below(&random, 30);

        EXPECT_SAME("%lu %ld %lx %lX", value, (long)(value >> 1), value, value);
        EXPECT_SAME("[%*lu] [%-*lx] [%0*lu]", width, value, width, value, width, value);
        EXPECT_SAME("[%0*ld]", width, -(long)(value >> 1));
    }
}

static void pointers_are_hexadecimal(struct test *test)
{
    int one = 1;

    EXPECT_SAME("%p", (void *)&one);
}

static const char *print_to(struct ps_text_buffer *buffer, char *text, size_t size,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

static const char *print_to(struct ps_text_buffer *buffer, char *text, size_t size,
                            const char *format, ...)
{
    struct ps_sink sink = open_text(buffer, text, size);
    va_list arguments;

    va_start(arguments, format);
    ps_print_list(&sink, format, arguments);
    va_end(arguments);
    return text;
}

static void a_null_string_is_named(struct test *test)
{
    struct ps_text_buffer buffer;
    const char *volatile null = NULL; /* the compiler would warn of the plain constant */
    char text[32];

    EXPECT_TEXT(print_to(&buffer, text, sizeof(text), "[%s]", null), "[(null)]");
}

static void unknown_conversions_stay_as_they_are(struct test *test)
{
    struct ps_text_buffer buffer;
    struct ps_sink sink;
    char text[64];
    void (*print)(const struct ps_sink *, const char *, ...) = ps_print; /* unchecked formats */

    sink = open_text(&buffer, text, sizeof(text));
    print(&sink, "a %q b %5k c %d", 7);
    EXPECT_TEXT(text, "a %q b %5k c 7");
    sink = open_text(&buffer, text, sizeof(text));
    print(&sink, "cut off at %");
    EXPECT_TEXT(text, "cut off at %");
    sink = open_text(&buffer, text, sizeof(text));
    print(&sink, "cut off at %-08l");
    EXPECT_TEXT(text, "cut off at %-08l");
}

static void a_buffer_cuts_and_tells_the_whole_length(struct test *test)
{
    struct ps_text_buffer buffer;
    char text[8] = "#######";

    EXPECT_TEXT(print_to(&buffer, text, 5, "%s", "abcdefgh"), "abcd");
    EXPECT_EQ(buffer.length, 8);
    EXPECT_EQ((unsigned char)text[5], '#');
    EXPECT_TEXT(print_to(&buffer, text, 1, "%s", "abc"), "");
    EXPECT_EQ(buffer.length, 3);
    (void)print_to(&buffer, NULL, 0, "%s", "abc");
    EXPECT_EQ(buffer.length, 3);
}

static void a_missing_sink_swallows_everything(struct test *test)
{
    struct ps_sink without_function = {0};

    ps_print(NULL, "%d %s", 1, "x");
    ps_print(&without_function, "%d %s", 1, "x");
    ps_print_size(NULL, 4096);
    EXPECT(without_function.write == NULL);
}

static const char *size_text(uint64_t bytes, char *text, size_t size)
{
    struct ps_text_buffer buffer;
    struct ps_sink sink = open_text(&buffer, text, size);

    ps_print_size(&sink, bytes);
    return text;
}

static void sizes_are_exact_or_rounded_down(struct test *test)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        {0, "0 B"},
        {512, "512 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1025, "1 KiB"},
        {1536, "1.5 KiB"},
        {4096, "4 KiB"},
        {2047, "1.9 KiB"},
        {2 * PS_MIB, "2 MiB"},
        {PS_GIB + PS_GIB / 2, "1.5 GiB"},
        {PS_GIB - 1, "1023.9 MiB"},
        {PS_TIB, "1 TiB"},
        {(uint64_t)1 << 63, "8 EiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    char text[32];

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        EXPECT_TEXT(size_text(sizes[i].bytes, text, sizeof(text)), sizes[i].text);
}

static void every_status_has_a_name_of_its_own(struct test *test)
{
    for (int i = 0; i < PS_STATUS_COUNT; i++) {
        EXPECT(strlen(ps_status_name((ps_status)i)) > 1);
        for (int k = 0; k < i; k++)
            EXPECT(strcmp(ps_status_name((ps_status)i), ps_status_name((ps_status)k)) != 0);
    }
    EXPECT_TEXT(ps_status_name(PS_OK), "OK");
    EXPECT_TEXT(ps_status_name(PS_NO_MEMORY), "NO_MEMORY");
    EXPECT_TEXT(ps_status_name(PS_CORRUPT), "CORRUPT");
    EXPECT_TEXT(ps_status_name(PS_STATUS_COUNT), "?");
    EXPECT_TEXT(ps_status_name((ps_status)-1), "?");
}

static void attributes_read_as_five_letters(struct test *test)
{
    static const char *const caches[] = {"WB", "WT", "UC-", "UC", "WP", "WC"};

    EXPECT_TEXT(ps_attr_text(ps_attr_ram(PS_READ)).access, "r----");
    EXPECT_TEXT(ps_attr_text(ps_attr_ram(PS_READ | PS_WRITE | PS_GLOBAL)).access, "rw--g");
    EXPECT_TEXT(ps_attr_text(ps_attr_ram(PS_READ | PS_EXECUTE | PS_USER)).access, "r-xu-");
    EXPECT_TEXT(ps_attr_text((ps_attr_t){0, PS_CACHE_COUNT}).access, "-----");
    EXPECT_TEXT(ps_attr_text((ps_attr_t){0, PS_CACHE_COUNT}).cache, "?");
    for (unsigned cache = 0; cache < PS_CACHE_COUNT; cache++)
        EXPECT_TEXT(ps_attr_text(ps_attr(PS_READ, (enum ps_cache)cache)).cache, caches[cache]);
}

static void only_sensible_attributes_are_valid(struct test *test)
{
    unsigned valid = 0;

    for (unsigned access = 0; access < 256; access++)
        for (unsigned cache = 0; cache < 256; cache++)
            valid += ps_attr_is_valid((ps_attr_t){(uint8_t)access, (uint8_t)cache});
    /* read alone, with write, with execute; user or not; global or not; six memory types */
    EXPECT_EQ(valid, 3 * 2 * 2 * PS_CACHE_COUNT);
    EXPECT(!ps_attr_is_valid(ps_attr_ram(PS_READ | PS_WRITE | PS_EXECUTE)));
    EXPECT(!ps_attr_is_valid(ps_attr_ram(PS_WRITE)));
}

static const struct test_case cases[] = {
    TEST_CASE(plain_text_and_percent_signs),
    TEST_CASE(numbers_of_every_size),
    TEST_CASE(widths_and_flags_of_numbers),
    TEST_CASE(strings_with_width_and_precision),
    TEST_CASE(a_string_without_end_is_read_no_further_than_asked),
    TEST_CASE(random_numbers_agree),
    TEST_CASE(pointers_are_hexadecimal),
    TEST_CASE(a_null_string_is_named),
    TEST_CASE(unknown_conversions_stay_as_they_are),
    TEST_CASE(a_buffer_cuts_and_tells_the_whole_length),
    TEST_CASE(a_missing_sink_swallows_everything),
    TEST_CASE(sizes_are_exact_or_rounded_down),
    TEST_CASE(every_status_has_a_name_of_its_own),
    TEST_CASE(attributes_read_as_five_letters),
    TEST_CASE(only_sensible_attributes_are_valid),
};

const struct test_suite suite_sink = TEST_SUITE("sink", cases);
