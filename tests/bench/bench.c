#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(text) ((void)(text))
#endif

#include "bench.h"

/* A chunk this long makes the clock's own cost disappear. */
#define CHUNK_NANOSECONDS ((uint64_t)500000)

_Thread_local unsigned bench_processor;

uint64_t bench_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_pin(unsigned processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        fprintf(stderr, "bench: cannot pin to processor %u\n", processor);
}

/* ---- batches ---- */

static struct bench_batch count_instructions(const struct bench_task *task)
{
    CALLGRIND_ZERO_STATS;
    task->step(task->context, task->operations);
    if (task->label != NULL)
        CALLGRIND_DUMP_STATS_AT(task->label);
    return (struct bench_batch){.operations = task->operations};
}

static bool too_long(const struct bench *bench, uint64_t operations, uint64_t nanoseconds)
{
    /* A shorter time will do to warm up. */
    uint64_t limit = bench->warming ? bench->limit / 4 : bench->limit;

    return nanoseconds >= limit &&
           (nanoseconds / operations >= BENCH_SLOW || nanoseconds >= BENCH_PATIENCE * limit);
}

/* The clock is read between chunks that double until they are long. */
struct bench_batch bench_measure(const struct bench *bench, const struct bench_task *task)
{
    struct bench_batch batch = {0};
    uint64_t chunk = 1;
    uint64_t start;
    uint64_t before;

    if (bench->instructions)
        return count_instructions(task);
    start = before = bench_now();
    while (batch.operations < task->operations && !batch.stopped) {
        uint64_t n = ps_min(chunk, task->operations - batch.operations);
        uint64_t now;

        task->step(task->context, n);
        batch.operations += n;
        now = bench_now();
        if (now - before < CHUNK_NANOSECONDS)
            chunk *= 2;
        before = now;
        batch.stopped =
            batch.operations < task->operations && too_long(bench, batch.operations, now - start);
    }
    batch.nanoseconds = before - start;
    return batch;
}

void bench_join(struct bench_batch *sum, const struct bench_batch *batch)
{
    sum->operations += batch->operations;
    sum->nanoseconds += batch->nanoseconds;
    sum->failures += batch->failures;
    sum->checksum += batch->checksum;
    sum->stopped |= batch->stopped;
}

/* ---- the second processor ---- */

struct bench_helper {
    pthread_t thread;
    void (*run)(void *context);
    void *context;
    atomic_bool ready;
    atomic_bool go;
};

static void *helper_main(void *argument)
{
    struct bench_helper *helper = argument;

    bench_pin(1);
    bench_processor = 1;
    atomic_store(&helper->ready, true);
    while (!atomic_load(&helper->go))
        __builtin_ia32_pause();
    helper->run(helper->context);
    return NULL;
}

struct bench_helper *bench_help(void (*run)(void *context), void *context)
{
    struct bench_helper *helper = calloc(1, sizeof(*helper));

    if (helper == NULL)
        abort();
    helper->run = run;
    helper->context = context;
    if (pthread_create(&helper->thread, NULL, helper_main, helper) != 0)
        abort();
    while (!atomic_load(&helper->ready))
        sched_yield();
    atomic_store(&helper->go, true);
    return helper;
}

void bench_help_done(struct bench_helper *helper)
{
    (void)pthread_join(helper->thread, NULL);
    free(helper);
}

struct half {
    const struct bench *bench;
    const struct bench_task *task;
    struct bench_batch batch;
};

static void measure_half(void *context)
{
    struct half *half = context;

    half->batch = bench_measure(half->bench, half->task);
}

struct bench_batch bench_measure_two(const struct bench *bench, const struct bench_task tasks[2])
{
    struct half half = {.bench = bench, .task = &tasks[1]};
    struct bench_helper *helper = bench_help(measure_half, &half);
    struct bench_batch batch = bench_measure(bench, &tasks[0]);

    bench_help_done(helper);
    bench_join(&batch, &half.batch);
    return batch;
}

/* ---- rows and cells ---- */

static struct bench_row *find_row(struct bench *bench, const char *benchmark, const char *phase)
{
    for (size_t i = 0; i < bench->row_count; i++)
        if (strcmp(bench->rows[i].benchmark, benchmark) == 0 &&
            strcmp(bench->rows[i].phase, phase) == 0)
            return &bench->rows[i];
    return NULL;
}

struct bench_row *bench_row(struct bench *bench, const char *benchmark, const char *unit,
                            const struct bench_field *field, const char *format, ...)
{
    char phase[sizeof(bench->rows[0].phase)];
    struct bench_row *row;
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(phase, sizeof(phase), format, arguments);
    va_end(arguments);
    row = find_row(bench, benchmark, phase);
    if (row != NULL)
        return row;
    if (bench->row_count == BENCH_ROWS)
        abort();
    row = &bench->rows[bench->row_count++];
    *row = (struct bench_row){.benchmark = benchmark, .unit = unit, .field = field};
    memcpy(row->phase, phase, sizeof(phase));
    return row;
}

static void add_sample(struct bench_cell *cell, double value)
{
    if (cell->count < BENCH_REPETITIONS)
        cell->samples[cell->count++] = value;
}

void bench_add(const struct bench *bench, struct bench_row *row, size_t candidate,
               const struct bench_batch *batch)
{
    struct bench_cell *cell = &row->cells[candidate];

    /* A failure counts even then: it means that the workload is not what it says. */
    cell->failures += batch->failures;
    if (bench->warming || batch->operations == 0)
        return;
    if (cell->count == 0 || batch->operations < cell->operations)
        cell->operations = batch->operations;
    cell->checksum += batch->checksum;
    cell->stopped |= batch->stopped;
    add_sample(cell, (double)batch->nanoseconds / (double)batch->operations);
}

void bench_add_value(const struct bench *bench, struct bench_row *row, size_t candidate,
                     double value)
{
    if (!bench->warming)
        add_sample(&row->cells[candidate], value);
}

double bench_minimum(const struct bench_cell *cell)
{
    double minimum = cell->samples[0];

    for (unsigned i = 1; i < cell->count; i++)
        if (cell->samples[i] < minimum)
            minimum = cell->samples[i];
    return minimum;
}

static int compare_samples(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(const struct bench_cell *cell)
{
    double sorted[BENCH_REPETITIONS];

    if (cell->count == 0)
        return 0;
    memcpy(sorted, cell->samples, sizeof(sorted));
    qsort(sorted, cell->count, sizeof(sorted[0]), compare_samples);
    return (sorted[(cell->count - 1) / 2] + sorted[cell->count / 2]) / 2;
}

void bench_compare(struct bench *bench, struct bench_row *row, const struct bench_row *first,
                   const struct bench_row *last, double factor)
{
    for (size_t i = 0; i < row->field->count; i++) {
        const struct bench_cell *a = &first->cells[i];
        const struct bench_cell *b = &last->cells[i];

        if (a->count != 0 && b->count != 0 && bench_median(a) > 0)
            bench_add_value(bench, row, i, factor * bench_median(b) / bench_median(a));
        row->cells[i].stopped = a->stopped || b->stopped;
    }
}

/* ---- judging ---- */

size_t bench_best(const struct bench_row *row)
{
    size_t best = 0;

    for (size_t i = 1; i < row->field->count; i++) {
        double now = bench_minimum(&row->cells[i]);
        double then = bench_minimum(&row->cells[best]);

        if (row->cells[i].count == 0 || i == row->field->floor)
            continue;
        if (best == 0 || (row->more_is_better ? now > then : now < then))
            best = i;
    }
    return best;
}

static size_t judge_against(const struct bench_row *row)
{
    for (size_t i = 1; row->target.against != NULL && i < row->field->count; i++)
        if (strcmp(row->field->names[i], row->target.against) == 0)
            return row->cells[i].count != 0 ? i : 0;
    return bench_best(row);
}

enum bench_verdict bench_verdict(const struct bench_row *row)
{
    double ours = bench_minimum(&row->cells[0]);
    double bound = row->target.value;

    if (row->cells[0].count == 0 || (bound <= 0 && row->target.ratio <= 0))
        return BENCH_NOT_ASKED;
    if (row->target.ratio > 0) {
        size_t other = judge_against(row);

        if (other == 0)
            return BENCH_NOT_ASKED;
        bound = row->target.ratio * bench_minimum(&row->cells[other]);
    }
    return (row->more_is_better ? ours >= bound : ours <= bound) ? BENCH_MET : BENCH_MISSED;
}
