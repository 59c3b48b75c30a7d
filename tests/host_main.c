/*
 * The host's tests: all unit suites, then the suite cases on the software MMU, each in a
 * world of its own, once with 4 and once with 5 levels of page tables. Writes TAP 13; the exit
 * status is 0 only when all cases passed.
 *
 *     tests [--list] [--seed N] [--deadline SECONDS] [PART OF A NAME]...
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/world_host.h"
#include "unit/unit_suites.h"

enum { DEADLINE = 60 /* seconds a case may take */ };

struct options {
    bool list;
    uint64_t seed;
    unsigned deadline;
    char **filters;
    int filter_count;
};

/* ---- a case that crashes or hangs comes back ---- */

static sigjmp_buf case_start;
static volatile sig_atomic_t case_is_running;

static const char *signal_text(int number)
{
    switch (number) {
    case SIGALRM:
        return "deadline passed";
    case SIGSEGV:
        return "SIGSEGV: touched what is not there";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    default:
        return "signal";
    }
}

static void leave_case(int number)
{
    if (case_is_running)
        siglongjmp(case_start, number);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGALRM, SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_handler = leave_case};

    for (size_t i = 0; i < PS_ARRAY_SIZE(numbers); i++)
        (void)sigaction(numbers[i], &action, NULL);
}

static const char *run_guarded(const struct options *options, test_function run, struct test *test)
{
    int number = sigsetjmp(case_start, 1);

    if (number == 0) {
        case_is_running = 1;
        alarm(options->deadline);
        run(test);
    }
    alarm(0);
    case_is_running = 0;
    return number != 0 ? signal_text(number) : NULL;
}

/* ---- cases that need a world ---- */

static bool needs_world(test_function run)
{
    for (size_t s = 0; s < suite_count; s++)
        for (size_t c = 0; c < suites[s]->count; c++)
            if (suites[s]->cases[c].run == run)
                return true;
    return false;
}

static const char five_levels[] = "_with_5_levels"; /* how the names of such suites end */

static unsigned world_flags(const struct test *test)
{
    return strstr(test->suite, five_levels) != NULL ? SIM_FIVE_LEVELS : 0;
}

static const char *run_in_world(const struct options *options, test_function run, struct test *test)
{
    struct world *world = world_host_create(options->seed, world_flags(test));
    const char *died;
    const char *left;

    if (world == NULL)
        return "no world: the host has no room";
    test->world = world;
    died = run_guarded(options, run, test);
    test->world = NULL;
    if (died != NULL) {
        world_host_abandon(world);
        return died;
    }
    left = world_host_destroy(world);
    if (left != NULL)
        (void)test_check(test, false, left, test->name, 0);
    return NULL;
}

static const char *guard(void *context, test_function run, struct test *test)
{
    const char *died =
        needs_world(run) ? run_in_world(context, run, test) : run_guarded(context, run, test);

    if (died != NULL || test->failures != 0)
        test_note(test, "seed 0x%" PS_PRIx, ((const struct options *)context)->seed);
    return died;
}

/* ---- choosing cases ---- */

static bool is_wanted(void *context, const char *suite, const char *name)
{
    const struct options *options = context;
    char full[256];

    if (options->filter_count == 0)
        return true;
    snprintf(full, sizeof(full), "%s/%s", suite, name);
    for (int i = 0; i < options->filter_count; i++)
        if (strstr(full, options->filters[i]) != NULL)
            return true;
    return false;
}

static void list_cases(struct options *options, const struct test_suite *const *all, size_t count)
{
    for (size_t s = 0; s < count; s++)
        for (size_t c = 0; c < all[s]->count; c++)
            if (is_wanted(options, all[s]->name, all[s]->cases[c].name))
                printf("%s/%s\n", all[s]->name, all[s]->cases[c].name);
}

static const struct test_suite *with_five_levels(const struct test_suite *suite)
{
    size_t size = strlen(suite->name) + sizeof(five_levels);
    struct test_suite *copy = malloc(sizeof(*copy) + size);
    char *name = (char *)(copy + 1);

    if (copy == NULL)
        abort();
    snprintf(name, size, "%s%s", suite->name, five_levels);
    *copy = (struct test_suite){name, suite->cases, suite->count};
    return copy;
}

/* Unit suites first: what they find explains what the cases of the worlds find. */
static const struct test_suite **all_suites(size_t *count)
{
    const struct test_suite **all;

    *count = unit_suite_count + 2 * suite_count;
    all = calloc(*count, sizeof(*all));
    if (all == NULL)
        abort();
    for (size_t i = 0; i < unit_suite_count; i++)
        all[i] = unit_suites[i];
    for (size_t i = 0; i < suite_count; i++) {
        all[unit_suite_count + i] = suites[i];
        all[unit_suite_count + suite_count + i] = with_five_levels(suites[i]);
    }
    return all;
}

static bool read_options(struct options *options, int count, char **words)
{
    int i = 1;

    for (; i < count && words[i][0] == '-'; i++) {
        if (strcmp(words[i], "--list") == 0)
            options->list = true;
        else if (strcmp(words[i], "--seed") == 0 && i + 1 < count)
            options->seed = strtoull(words[++i], NULL, 0);
        else if (strcmp(words[i], "--deadline") == 0 && i + 1 < count)
            options->deadline = (unsigned)strtoul(words[++i], NULL, 0);
        else
            return false;
    }
    options->filters = words + i;
    options->filter_count = count - i;
    return true;
}

static void write_out(void *context, const char *text, size_t length)
{
    (void)fwrite(text, 1, length, context);
}

static int run_all(struct options *options, const struct test_suite *const *all, size_t count)
{
    struct test_runner runner = {
        .out = {write_out, stdout},
        .guard = guard,
        .wanted = is_wanted,
        .context = options,
    };

    uint64_t planned;

    catch_signals();
    printf("TAP version 13\n");
    planned = test_plan(&runner, all, count);
    test_run(&runner, all, count);
    printf("# seed: 0x%llx\n", (unsigned long long)options->seed);
    printf("# passed: %llu, failed: %llu, skipped: %llu\n", (unsigned long long)runner.passed,
           (unsigned long long)runner.failed, (unsigned long long)runner.skipped);
    return runner.failed == 0 && runner.number == planned && planned != 0 ? EXIT_SUCCESS
                                                                          : EXIT_FAILURE;
}

int main(int count, char **words)
{
    struct options options = {.seed = 1, .deadline = DEADLINE};
    const struct test_suite **all;
    int result = EXIT_SUCCESS;
    size_t suites_in_all;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!read_options(&options, count, words)) {
        fprintf(stderr, "usage: %s [--list] [--seed N] [--deadline SECONDS] [PART OF A NAME]...\n",
                words[0]);
        return EXIT_FAILURE;
    }
    all = all_suites(&suites_in_all);
    if (options.list)
        list_cases(&options, all, suites_in_all);
    else
        result = run_all(&options, all, suites_in_all);
    for (size_t i = unit_suite_count + suite_count; i < suites_in_all; i++)
        free((void *)(uintptr_t)all[i]);
    free(all);
    return result;
}
