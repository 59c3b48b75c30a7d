/*
 * Tests, in both worlds: the host's unit tests and the cases that run on the software MMU
 * and in the booted image are written against this header alone.
 *
 * A case is a function that states facts. EXPECT records a failure and goes on; REQUIRE
 * records it and leaves the function. A case that cannot run here says SKIP and why.
 * Cases are named as facts, `overlap_is_refused`, and reported as `suite/case`.
 */
#ifndef TESTS_HARNESS_TEST_H
#define TESTS_HARNESS_TEST_H

#include <pagestage/sink.h>
#include <pagestage/status.h>
#include <pagestage/types.h>

struct world; /* tests/suite/world.h; NULL where a case needs no machine */

struct test {
    struct world *world;
    const char *suite;
    const char *name;
    const char *skipped; /* reason, or NULL */
    uint64_t checks;
    uint64_t failures;
    struct ps_text_buffer notes; /* one line a failure, the first ones */
};

typedef void (*test_function)(struct test *test);

struct test_case {
    const char *name;
    test_function run;
};

struct test_suite {
    const char *name;
    const struct test_case *cases;
    size_t count;
};

/* TEST_CASES(a, b) as initialiser: one case a function, named after it. */
#define TEST_CASE(function) \
    {                       \
#function, function \
    }
#define TEST_SUITE(suite_name, case_array)                    \
    {                                                         \
        (suite_name), (case_array), PS_ARRAY_SIZE(case_array) \
    }

/* ---- facts ---- */

#define EXPECT(fact) test_check(test, (fact), #fact, __FILE__, __LINE__)
#define EXPECT_EQ(actual, expected) \
    test_check_equal(test, (uint64_t)(actual), (uint64_t)(expected), #actual, __FILE__, __LINE__)
#define EXPECT_STATUS(actual, expected) \
    test_check_status(test, (actual), (expected), #actual, __FILE__, __LINE__)
#define EXPECT_OK(actual) EXPECT_STATUS(actual, PS_OK)
#define EXPECT_TEXT(actual, expected) \
    test_check_text(test, (actual), (expected), #actual, __FILE__, __LINE__)

#define REQUIRE(fact)      \
    do {                   \
        if (!EXPECT(fact)) \
            return;        \
    } while (0)
#define REQUIRE_OK(actual)      \
    do {                        \
        if (!EXPECT_OK(actual)) \
            return;             \
    } while (0)

#define SKIP(reason)              \
    do {                          \
        test->skipped = (reason); \
        return;                   \
    } while (0)

bool test_check(struct test *test, bool holds, const char *fact, const char *file, int line);
bool test_check_equal(struct test *test, uint64_t actual, uint64_t expected, const char *what,
                      const char *file, int line);
bool test_check_status(struct test *test, ps_status actual, ps_status expected, const char *what,
                       const char *file, int line);
bool test_check_text(struct test *test, const char *actual, const char *expected, const char *what,
                     const char *file, int line);

/* Add a line to the notes of a failing case: the seed, the step, the address. */
void test_note(struct test *test, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- random numbers: the same sequence everywhere for the same seed ---- */

struct test_random {
    uint64_t state;
};

struct test_random test_random(uint64_t seed);
uint64_t test_random_next(struct test_random *random);
/* Uniform below `bound`, which is not 0. */
uint64_t test_random_below(struct test_random *random, uint64_t bound);

/* ---- running ---- */

/*
 * How a runner reports. Every function may be NULL but `out`.
 * guard runs one case so that a crash or a hang of it comes back: it calls
 * run(test) and returns NULL, or the reason why the case did not return.
 */
struct test_runner {
    struct ps_sink out; /* the TAP stream */
    const char *(*guard)(void *context, test_function run, struct test *test);
    void (*started)(void *context, const struct test_suite *suite); /* before its first case */
    void (*finished)(void *context, const struct test *test, const char *died);
    bool (*wanted)(void *context, const char *suite, const char *name);
    void *context;
    struct world *world;

    uint64_t number; /* results below are filled in */
    uint64_t passed;
    uint64_t failed;
    uint64_t skipped;
};

/* Cases that `wanted` lets through. */
uint64_t test_count(const struct test_runner *runner, const struct test_suite *const *suites,
                    size_t count);

/* Write the plan, "1..N", and return N. It comes first, so that a run cut short is noticed. */
uint64_t test_plan(const struct test_runner *runner, const struct test_suite *const *suites,
                   size_t count);

/* Run all wanted cases of all suites and write their lines. */
void test_run(struct test_runner *runner, const struct test_suite *const *suites, size_t count);

#endif
