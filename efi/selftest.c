#include "application.h"

#include "console.h"
#include "death_suite.h"
#include "facts.h"
#include "hw.h"
#include "live_world.h"
#include "machine_suite.h"
#include "traps.h"
#include "watchdog.h"

enum { SUITES_MAX = 32 };

/* One run of the tests, as the runner's callbacks see it. */
struct self_test {
    struct application *app;
    struct world world;
    struct test_runner runner;
    const struct test_suite *suites[SUITES_MAX];
    size_t suite_count;
};

/* ---- one case ---- */

/* What is run under the watch: the case, as often as the configuration says. */
struct watched_case {
    struct self_test *self;
    test_function run;
    struct test *test;
};

static uint64_t run_case(uint64_t watched, uint64_t unused)
{
    const struct watched_case *this = (const struct watched_case *)(uintptr_t)watched;
    const struct config *config = &this->self->app->config;

    (void)unused;
    for (uint32_t i = 0; i < config->repeat; i++) {
        this->self->world.seed = config->seed + i;
        watchdog_arm(config->deadline);
        this->run(this->test);
        if (this->test->failures != 0 || this->test->skipped != NULL)
            break;
    }
    return 0;
}

/* A case that was torn out of a library call may have left anything half done. */
static void check_after_hang(struct application *app)
{
    struct ps_sink sink = console_sink();

    if (processors_are_busy()) {
        console_bail_out("a case that hung left another processor at work");
        abort_run(app);
    }
    /* It may have been on the runtime root, or have changed where page faults arrive. */
    ps_hw_set_root(&app->stage.machine, app->stage.table.root);
    traps_set_stack(TRAP_PAGE_FAULT, TRAP_STACK_PAGE_FAULT);
    live_world_break_locks(&app->stage);
    if (ps_stage_validate(&app->stage, &sink) != PS_OK) {
        console_bail_out("a case that hung left the stage damaged");
        abort_run(app);
    }
}

static const char *guard_case(void *context, test_function run, struct test *test)
{
    struct self_test *self = context;
    struct watched_case watched = {self, run, test};
    struct trap_recovery recovery = {.vector = 0};
    struct ps_sink where;
    struct ps_text_buffer buffer;
    char text[96];
    bool returned;

    console_case(test);
    if (watchdog_is_running())
        cpu_interrupts_on();
    returned = trap_watch(&recovery, run_case, (uint64_t)(uintptr_t)&watched, 0);
    cpu_interrupts_off();
    watchdog_disarm();
    if (returned)
        return NULL;
    where = ps_text_buffer_sink(&buffer, text, sizeof(text));
    symbol_print(&where, watchdog_caught_at());
    test_note(test, "hung at %s (rip 0x%" PS_PRIx ")", text, watchdog_caught_at());
    check_after_hang(self->app);
    return "no end within its time";
}

static bool is_wanted(void *context, const char *suite, const char *name)
{
    struct self_test *self = context;

    return config_wants(&self->app->config, suite, name);
}

static void started(void *context, const struct test_suite *suite)
{
    struct self_test *self = context;

    console_suite(&self->runner, suite);
}

static void finished(void *context, const struct test *test, const char *died)
{
    (void)context;
    console_case_done(test, died);
}

/* ---- the run ---- */

/* A suite that found no room would be left out without a word. */
static void add_suite(struct self_test *self, const struct test_suite *suite)
{
    if (self->suite_count == SUITES_MAX) {
        console_bail_out("there are more suites than the self-test has room for");
        abort_run(self->app);
    }
    self->suites[self->suite_count++] = suite;
}

static void collect_suites(struct self_test *self)
{
    const struct test_suite *death = death_suite(self->app->config.death);

    add_suite(self, &suite_processor);
    add_suite(self, &suite_traps);
    add_suite(self, &suite_stage);
    for (size_t i = 0; i < suite_count; i++)
        add_suite(self, suites[i]);
    add_suite(self, &suite_processors);
    if (death != NULL)
        add_suite(self, death);
    add_suite(self, &suite_runtime);
    add_suite(self, &suite_reclaim);
}

static struct test_runner make_runner(struct self_test *self)
{
    return (struct test_runner){.out = console_report()->sink,
                                .guard = guard_case,
                                .started = started,
                                .finished = finished,
                                .wanted = is_wanted,
                                .context = self,
                                .world = &self->world};
}

/* All of them; with a death by a short run, the last that has a case is left out. */
static size_t suites_to_run(const struct self_test *self)
{
    size_t count = self->suite_count;

    if (!death_cuts_short(self->app->config.death))
        return count;
    while (count != 0 && test_count(&self->runner, &self->suites[count - 1], 1) == 0)
        count--;
    return count == 0 ? 0 : count - 1;
}

bool self_test(struct application *app)
{
    static struct self_test self;
    static struct machine_under_test subject;
    struct test_runner *runner = &self.runner;
    uint64_t plan;

    self.app = app;
    subject = (struct machine_under_test){&app->stage, &app->runtime,
                                          &app->image, &app->features,
                                          app->stack,  ps_pages(APPLICATION_STACK_PAGES)};
    machine_suite_init(&subject);
    live_world_init(&self.world, &app->stage, app->config.seed);
    self.world.operations = app->config.operations;
    self.world.patience = app->facts.timestamps_per_second / 4;
    watchdog_init(&app->apic, app->facts.timestamps_per_second);
    collect_suites(&self);
    *runner = make_runner(&self);
    plan = test_plan(runner, self.suites, self.suite_count);
    facts_report(app, console_report());
    console_plan(runner, self.suites, self.suite_count);
    test_run(runner, self.suites, suites_to_run(&self));
    facts_report_end(app, console_report());
    report_fact(console_report(), "random-operations", "%" PS_PRIu, self.world.operations_done);
    console_report_end(
        &(struct report_counts){plan, runner->passed, runner->failed, runner->skipped});
    return runner->failed == 0 && runner->number == plan && plan != 0;
}
