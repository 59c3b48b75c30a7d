/*
 * All benchmarks in one go.
 *
 *     bench [--only SUITE or BENCHMARK]... [--json FILE] [--list] [--instructions]
 *
 * The exit status says whether the measurement is valid (no operation failed), not whether
 * targets were met. --instructions is for callgrind: see instructions.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "bench.h"
#include "bench_suites.h"

static const struct bench_suite *const suites[] = {&bench_frame_pool, &bench_page_table,
                                                   &bench_range_tree, &bench_arena, &bench_virtual};

struct options {
    const char *only[16];
    size_t only_count;
    const char *json;
    bool list;
    bool instructions;
};

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--only NAME]... [--json FILE] [--list] [--instructions]\n",
            program);
    return 2;
}

static bool parse(int count, char **arguments, struct options *options)
{
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;

        if (strcmp(arguments[i], "--list") == 0)
            options->list = true;
        else if (strcmp(arguments[i], "--instructions") == 0)
            options->instructions = true;
        else if (strcmp(arguments[i], "--json") == 0 && value != NULL)
            options->json = arguments[++i];
        else if (strcmp(arguments[i], "--only") == 0 && value != NULL &&
                 options->only_count < PS_ARRAY_SIZE(options->only))
            options->only[options->only_count++] = arguments[++i];
        else
            return false;
    }
    return true;
}

static bool is_wanted(const struct options *options, const char *suite, const char *benchmark)
{
    for (size_t i = 0; i < options->only_count; i++)
        if (strcmp(options->only[i], suite) == 0 ||
            (benchmark != NULL && strcmp(options->only[i], benchmark) == 0))
            return true;
    return options->only_count == 0;
}

static size_t run_suite(struct bench *bench, const struct bench_suite *suite,
                        const struct options *options)
{
    size_t ran = 0;

    if (options->instructions) {
        if (!is_wanted(options, suite->name, NULL) || suite->instructions == NULL)
            return 0;
        suite->instructions(bench);
        return 1;
    }
    for (size_t i = 0; i < suite->count; i++) {
        const struct bench_benchmark *one = &suite->benchmarks[i];
        uint64_t start = bench_now();

        if (!is_wanted(options, suite->name, one->name))
            continue;
        ran++;
        if (options->list)
            printf("%s %s\n", suite->name, one->name);
        else
            one->run(bench);
        if (!options->list)
            fprintf(stderr, "# %s %s: %.1f s\n", suite->name, one->name,
                    (double)(bench_now() - start) / 1e9);
    }
    return ran;
}

/* Others at work spoil above all what two processors do. */
static void warn_of_load(void)
{
    double load;

    if (getloadavg(&load, 1) == 1)
        printf("# load when this began: %.1f%s\n", load,
               load > 0.5 ? " - THE MACHINE WAS NOT IDLE, times are too long" : "");
}

static void print_machine(const struct bench *bench)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "model name", 10) == 0) {
            printf("# processor: %s", strchr(line, ':') + 2);
            break;
        }
    }
    if (file != NULL)
        (void)fclose(file);
    printf("# processors used: %u; repetitions: %d\n", bench->processors, BENCH_REPETITIONS);
}

static bool write_json(const struct bench *bench, const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    bench_print_json(bench, file);
    return fclose(file) == 0;
}

static bool any_failure(const struct bench *bench)
{
    for (size_t r = 0; r < bench->row_count; r++)
        for (size_t i = 0; i < BENCH_CANDIDATES; i++)
            if (bench->rows[r].cells[i].failures != 0)
                return true;
    return false;
}

static struct bench *new_bench(const struct options *options)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    struct sysinfo info;

    if (bench == NULL || sysinfo(&info) != 0)
        abort();
    bench->instructions = options->instructions;
    bench->processors = (unsigned)ps_min((uint64_t)get_nprocs(), 2);
    bench->limit = 100000000; /* times phases, repetitions and candidates: minutes */
    bench->memory_limit = ps_min((uint64_t)info.freeram * info.mem_unit / 4, 2 * PS_GIB);
    bench_pin(0);
    return bench;
}

/* False: the measurement is not valid. */
static bool report(const struct bench *bench, const struct options *options)
{
    if (options->list || options->instructions)
        return true;
    print_machine(bench);
    bench_print_table(bench, stdout);
    if (options->json != NULL && !write_json(bench, options->json))
        return false;
    return !any_failure(bench);
}

int main(int count, char **arguments)
{
    struct options options = {0};
    struct bench *bench;
    size_t ran = 0;
    bool valid;

    if (!parse(count, arguments, &options))
        return usage(arguments[0]);
    bench = new_bench(&options);
    if (!options.list && !options.instructions)
        warn_of_load();
    for (size_t i = 0; i < PS_ARRAY_SIZE(suites); i++)
        ran += run_suite(bench, suites[i], &options);
    if (ran == 0)
        fprintf(stderr, "bench: nothing has that name; --list tells the names\n");
    valid = ran != 0 && report(bench, &options);
    free(bench);
    return valid ? 0 : 1;
}
