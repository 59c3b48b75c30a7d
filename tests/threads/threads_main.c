/*
 * The tests with several processors. Writes TAP 13; the exit status is 0 only when all cases
 * passed. Built twice: with ThreadSanitizer, whose every report fails the case in which it
 * comes, and as it is shipped, for races that only real reordering shows.
 *
 *     threads [--list] [--seed N] [--threads N] [--scale N] [--pin] [--deadline SECONDS]
 *             [PART OF A NAME]...
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "threads.h"

enum { DEADLINE = 30 /* seconds a case may take */ };

static const struct test_suite *const suites[] = {
    &suite_frame_pool_threads,
    &suite_frame_pool_mixed_threads,
    &suite_frame_pool_race_threads,
    &suite_frame_pool_watch_threads,
    &suite_frame_pool_promise_threads,
    &suite_frame_pool_waits,
    &suite_frame_pool_turns,
    &suite_frame_pool_alone,
    &suite_page_table_threads,
    &suite_page_table_types_threads,
    &suite_virtual_threads,
};

struct options {
    bool list;
    unsigned deadline;
    char **filters;
    int filter_count;
};

/* ---- ThreadSanitizer ---- */

static _Atomic(uint64_t) races;

const char *__tsan_default_options(void);
void __tsan_on_report(void *report);

/* Its reports belong into the same stream as the results. */
const char *__tsan_default_options(void)
{
    return "log_path=stdout:report_thread_leaks=0";
}

void __tsan_on_report(void *report)
{
    (void)report;
    atomic_fetch_add(&races, 1);
}

/* ---- cases ---- */

/* Threads that wait for each other cannot be taken back: the run ends here, and at once. */
static void give_up(int number)
{
    static const char text[] = "Bail out! deadline passed: the processors wait for each other\n";

    (void)number;
    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    (void)kill(getpid(), SIGKILL);
}

static const char *guard(void *context, test_function run, struct test *test)
{
    const struct options *options = context;
    uint64_t before = atomic_load(&races);

    alarm(options->deadline);
    run(test);
    alarm(0);
    if (atomic_load(&races) != before)
        (void)test_check(test, false, "no data race", test->name, 0);
    if (test->failures != 0)
        test_note(test, "seed 0x%" PS_PRIx, crew_options.seed);
    return NULL;
}

static bool is_wanted(void *context, const char *suite, const char *name)
{
    const struct options *options = context;
    char full[256];

    snprintf(full, sizeof(full), "%s/%s", suite, name);
    for (int i = 0; i < options->filter_count; i++)
        if (strstr(full, options->filters[i]) != NULL)
            return true;
    return options->filter_count == 0;
}

static void list_cases(struct options *options)
{
    for (size_t s = 0; s < PS_ARRAY_SIZE(suites); s++)
        for (size_t c = 0; c < suites[s]->count; c++)
            if (is_wanted(options, suites[s]->name, suites[s]->cases[c].name))
                printf("%s/%s\n", suites[s]->name, suites[s]->cases[c].name);
}

/* ---- options ---- */

static bool read_number(const char *word, const char *text, struct options *options)
{
    uint64_t number = strtoull(text, NULL, 0);

    if (strcmp(word, "--seed") == 0)
        crew_options.seed = number;
    else if (strcmp(word, "--threads") == 0 && number >= 1 && number <= CREW_MOST)
        crew_options.threads = (unsigned)number;
    else if (strcmp(word, "--scale") == 0 && number != 0)
        crew_options.scale = (unsigned)number;
    else if (strcmp(word, "--deadline") == 0)
        options->deadline = (unsigned)number;
    else
        return false;
    return true;
}

static bool read_options(struct options *options, int count, char **words)
{
    int i = 1;

    for (; i < count && words[i][0] == '-'; i++) {
        if (strcmp(words[i], "--list") == 0)
            options->list = true;
        else if (strcmp(words[i], "--pin") == 0)
            crew_options.pinned = true;
        else if (i + 1 == count || !read_number(words[i], words[i + 1], options))
            return false;
        else
            i++;
    }
    options->filters = words + i;
    options->filter_count = count - i;
    return true;
}

static void write_out(void *context, const char *text, size_t length)
{
    (void)fwrite(text, 1, length, context);
}

static int run_all(struct options *options)
{
    struct test_runner runner = {
        .out = {write_out, stdout},
        .guard = guard,
        .wanted = is_wanted,
        .context = options,
    };
    uint64_t planned;

    (void)signal(SIGALRM, give_up);
    printf("TAP version 13\n");
    planned = test_plan(&runner, suites, PS_ARRAY_SIZE(suites));
    test_run(&runner, suites, PS_ARRAY_SIZE(suites));
    printf("# seed: 0x%llx, threads: %u, scale: %u\n", (unsigned long long)crew_options.seed,
           crew_options.threads, crew_options.scale);
    printf("# passed: %llu, failed: %llu, skipped: %llu\n", (unsigned long long)runner.passed,
           (unsigned long long)runner.failed, (unsigned long long)runner.skipped);
    return runner.failed == 0 && runner.number == planned && planned != 0 ? EXIT_SUCCESS
                                                                          : EXIT_FAILURE;
}

int main(int count, char **words)
{
    struct options options = {.deadline = DEADLINE};

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!read_options(&options, count, words)) {
        fprintf(stderr,
                "usage: %s [--list] [--seed N] [--threads N] [--scale N] [--pin]\n"
                "       [--deadline SECONDS] [PART OF A NAME]...\n",
                words[0]);
        return EXIT_FAILURE;
    }
    if (options.list) {
        list_cases(&options);
        return EXIT_SUCCESS;
    }
    return run_all(&options);
}
