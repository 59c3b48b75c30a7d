/*
 * Benchmarks: what is measured, how often, against what.
 *
 *     suite        one program part, `frame_pool`        make bench B=frame_pool
 *     benchmark    a workload of ../shared/targets.md    --only B1
 *     row          one phase of it, a line of the table
 *     cell         what one candidate did in that phase: 5 samples, of which the lowest and
 *                  the median count
 *
 * Candidate 0 is always ours; the others are baselines, which run in the same process in
 * turns with it: times differ between machines and days, ratios hardly do. A suite may call
 * one candidate the floor: it does nothing, so that its time is what the loop itself costs.
 *
 * A sample is one batch, timed as a whole. A candidate that needs more than BENCH_SLOW nanoseconds
 * an operation is stopped after a while, any other after BENCH_PATIENCE times that; its cell then
 * tells the time per operation of what was done, marked with '~'.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdio.h>

#include <pagestage/types.h>

enum {
    BENCH_REPETITIONS = 5,
    BENCH_CANDIDATES = 7,
    BENCH_ROWS = 320,
    BENCH_SLOW = 100,
    BENCH_PATIENCE = 8,
    BENCH_BATCH = 100000, /* operations that a sample has at least, unless it was stopped */
};

#define BENCH_SEED ((uint64_t)88172645463325252u)

/* Names of the candidates; the same structure for all rows of one kind. */
struct bench_field {
    const char *names[BENCH_CANDIDATES];
    size_t count;
    size_t floor; /* 0: there is none */
};

/* What ours has to reach. 0 and NULL: nothing is asked. */
struct bench_target {
    double value;        /* in the unit of the row; decides only where no ratio is given */
    double ratio;        /* ours divided by ... */
    const char *against; /* ... this baseline; NULL: the best one */
};

struct bench_cell {
    double samples[BENCH_REPETITIONS];
    unsigned count;
    uint64_t operations; /* of the shortest batch */
    uint64_t failures;   /* operations that answered what they must not answer */
    uint64_t checksum;
    bool stopped;
};

struct bench_row {
    const char *benchmark;
    char phase[48];
    const char *unit;
    bool more_is_better;
    const struct bench_field *field;
    struct bench_target target;
    bool property; /* not a time: printed apart */
    double bound;  /* the most that there could be; 0: unknown */
    struct bench_cell cells[BENCH_CANDIDATES];
};

struct bench {
    struct bench_row rows[BENCH_ROWS];
    size_t row_count;
    bool warming;          /* samples are thrown away: caches and page tables fill up */
    bool instructions;     /* under callgrind: fixed counts, one repetition, no clock */
    unsigned processors;   /* that can be used: 1 or 2 */
    uint64_t limit;        /* nanoseconds that a batch which is slow may take */
    uint64_t memory_limit; /* bytes of metadata one candidate may touch */
    const char *suffix;    /* of the phases' names for callgrind, or NULL */
};

struct bench_suite {
    const char *name;
    const struct bench_benchmark {
        const char *name;
        void (*run)(struct bench *bench);
    } * benchmarks;
    size_t count;
    void (*instructions)(struct bench *bench); /* the part for callgrind, or NULL */
};

/* ---- measuring ---- */

/* `step` carries out `n` operations. */
struct bench_task {
    void (*step)(void *context, uint64_t n);
    void *context;
    uint64_t operations;
    const char *label; /* for callgrind; NULL: not counted */
};

struct bench_batch {
    uint64_t operations;
    uint64_t nanoseconds;
    uint64_t failures;
    uint64_t checksum;
    bool stopped;
};

uint64_t bench_now(void);

/* Carry the task out, or as much of it as the limit allows. */
struct bench_batch bench_measure(const struct bench *bench, const struct bench_task *task);

/* Both at once, on processors 0 and 1: the time is per operation and processor. */
struct bench_batch bench_measure_two(const struct bench *bench, const struct bench_task tasks[2]);

/* A task on processor 1 that ends by itself, while the caller does something else. */
struct bench_helper;
struct bench_helper *bench_help(void (*run)(void *context), void *context);
void bench_help_done(struct bench_helper *helper);

void bench_pin(unsigned processor);

/* Which of the processors runs this: 0, in a helper 1. */
extern _Thread_local unsigned bench_processor;

void bench_join(struct bench_batch *sum, const struct bench_batch *batch);

/* ---- results ---- */

/* The row of that name, made when it is not there. */
struct bench_row *bench_row(struct bench *bench, const char *benchmark, const char *unit,
                            const struct bench_field *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* One sample. Nothing happens while warming up. */
void bench_add(const struct bench *bench, struct bench_row *row, size_t candidate,
               const struct bench_batch *batch);
void bench_add_value(const struct bench *bench, struct bench_row *row, size_t candidate,
                     double value);

double bench_minimum(const struct bench_cell *cell);
double bench_median(const struct bench_cell *cell);

/*
 * `factor` times what the last row takes, divided by what the first does, candidate by
 * candidate. By medians: the lowest of two processors' times is the one where they met least.
 */
void bench_compare(struct bench *bench, struct bench_row *row, const struct bench_row *first,
                   const struct bench_row *last, double factor);

/* The baseline that did best; 0 when none took part. */
size_t bench_best(const struct bench_row *row);

enum bench_verdict { BENCH_NOT_ASKED, BENCH_MET, BENCH_MISSED };
enum bench_verdict bench_verdict(const struct bench_row *row);

void bench_print_table(const struct bench *bench, FILE *out);
void bench_print_json(const struct bench *bench, FILE *out);

/* ---- random numbers: xorshift64 ---- */

static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/* Below `bound`, which is below 2^32; by multiplication, as a division costs as much as a get. */
static inline uint64_t bench_random_below(uint64_t *state, uint64_t bound)
{
    return ((bench_random(state) >> 32) * bound) >> 32;
}

#endif
