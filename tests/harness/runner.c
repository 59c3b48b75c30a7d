#include "test.h"

enum { NOTES_SIZE = 1536 };

static bool is_wanted(const struct test_runner *runner, const char *suite, const char *name)
{
    return runner->wanted == NULL || runner->wanted(runner->context, suite, name);
}

uint64_t test_count(const struct test_runner *runner, const struct test_suite *const *suites,
                    size_t count)
{
    uint64_t wanted = 0;

    for (size_t s = 0; s < count; s++)
        for (size_t c = 0; c < suites[s]->count; c++)
            wanted += is_wanted(runner, suites[s]->name, suites[s]->cases[c].name);
    return wanted;
}

/* The YAML block under a failure: the notes as a literal, so that nothing needs quoting. */
static void report_notes(const struct ps_sink *out, const struct test *test, const char *died)
{
    const char *line = test->notes.text;

    ps_print(out, "  ---\n  checks: %" PS_PRIu "\n  failures: %" PS_PRIu "\n", test->checks,
             test->failures);
    if (died != NULL)
        ps_print(out, "  died: \"%s\"\n", died);
    ps_print(out, "  notes: |\n");
    while (*line != '\0') {
        int length = 0;

        while (line[length] != '\0' && line[length] != '\n')
            length++;
        ps_print(out, "    %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
    ps_print(out, "  ...\n");
}

static void report(struct test_runner *runner, const struct test *test, const char *died)
{
    const struct ps_sink *out = &runner->out;
    bool failed = died != NULL || test->failures != 0;

    runner->number++;
    ps_print(out, "%s %" PS_PRIu " - %s/%s", failed ? "not ok" : "ok", runner->number, test->suite,
             test->name);
    if (failed) {
        runner->failed++;
        ps_print(out, "\n");
        report_notes(out, test, died);
    } else if (test->skipped != NULL) {
        runner->skipped++;
        ps_print(out, " # SKIP %s\n", test->skipped);
    } else {
        runner->passed++;
        ps_print(out, "\n");
    }
    if (runner->finished != NULL)
        runner->finished(runner->context, test, died);
}

static void run_case(struct test_runner *runner, const struct test_suite *suite,
                     const struct test_case *one)
{
    char text[NOTES_SIZE];
    struct test test = {.world = runner->world, .suite = suite->name, .name = one->name};
    const char *died = NULL;

    (void)ps_text_buffer_sink(&test.notes, text, sizeof(text));
    if (runner->guard != NULL)
        died = runner->guard(runner->context, one->run, &test);
    else
        one->run(&test);
    /* A case that looks at nothing proves nothing. */
    if (died == NULL && test.skipped == NULL && test.checks == 0)
        (void)test_check(&test, false, "the case checks something", one->name, 0);
    report(runner, &test, died);
}

uint64_t test_plan(const struct test_runner *runner, const struct test_suite *const *suites,
                   size_t count)
{
    uint64_t plan = test_count(runner, suites, count);

    ps_print(&runner->out, "1..%" PS_PRIu "\n", plan);
    return plan;
}

static void run_suite(struct test_runner *runner, const struct test_suite *suite)
{
    if (runner->started != NULL && test_count(runner, &suite, 1) != 0)
        runner->started(runner->context, suite);
    for (size_t c = 0; c < suite->count; c++)
        if (is_wanted(runner, suite->name, suite->cases[c].name))
            run_case(runner, suite, &suite->cases[c]);
}

void test_run(struct test_runner *runner, const struct test_suite *const *suites, size_t count)
{
    for (size_t s = 0; s < count; s++)
        run_suite(runner, suites[s]);
}
