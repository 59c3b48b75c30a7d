#include "test.h"

static void note_place(struct test *test, const char *file, int line)
{
    test_note(test, "at %s:%d", file, line);
}

void test_note(struct test *test, const char *format, ...)
{
    struct ps_text_buffer *notes = &test->notes;
    struct ps_text_buffer rest;
    struct ps_sink sink;
    va_list arguments;

    if (notes->length + 1 >= notes->size)
        return;
    sink = ps_text_buffer_sink(&rest, notes->text + notes->length, notes->size - notes->length);
    va_start(arguments, format);
    ps_print_list(&sink, format, arguments);
    va_end(arguments);
    ps_print(&sink, "\n");
    notes->length = ps_min(notes->length + rest.length, notes->size - 1);
}

bool test_check(struct test *test, bool holds, const char *fact, const char *file, int line)
{
    test->checks++;
    if (holds)
        return true;
    test->failures++;
    test_note(test, "not true: %s", fact);
    note_place(test, file, line);
    return false;
}

bool test_check_equal(struct test *test, uint64_t actual, uint64_t expected, const char *what,
                      const char *file, int line)
{
    test->checks++;
    if (actual == expected)
        return true;
    test->failures++;
    test_note(test, "%s is 0x%" PS_PRIx " (%" PS_PRIu "), expected 0x%" PS_PRIx " (%" PS_PRIu ")",
              what, actual, actual, expected, expected);
    note_place(test, file, line);
    return false;
}

bool test_check_status(struct test *test, ps_status actual, ps_status expected, const char *what,
                       const char *file, int line)
{
    test->checks++;
    if (actual == expected)
        return true;
    test->failures++;
    test_note(test, "%s answers %s, expected %s", what, ps_status_name(actual),
              ps_status_name(expected));
    note_place(test, file, line);
    return false;
}

static bool same_text(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

bool test_check_text(struct test *test, const char *actual, const char *expected, const char *what,
                     const char *file, int line)
{
    test->checks++;
    if (same_text(actual, expected))
        return true;
    test->failures++;
    test_note(test, "%s is \"%s\", expected \"%s\"", what, actual, expected);
    note_place(test, file, line);
    return false;
}

struct test_random test_random(uint64_t seed)
{
    /* xorshift must not start at 0; the constant only spreads small seeds. */
    return (struct test_random){(seed ^ 0x9e3779b97f4a7c15u) | 1u};
}

uint64_t test_random_next(struct test_random *random)
{
    uint64_t x = random->state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    random->state = x;
    return x;
}

uint64_t test_random_below(struct test_random *random, uint64_t bound)
{
    return (test_random_next(random) >> 8) % bound;
}
