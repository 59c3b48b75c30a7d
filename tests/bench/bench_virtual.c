/*
 * V1: the workloads with which the authors of Linux test its vmalloc, after what is said of them
 * in public: pairs of an allocation and its free, in a state that is made before, and beside 1000
 * allocations of a page.
 *
 *     fix_size           3 pages
 *     full_fit           1 page, where 10 000 holes of exactly one page have been left
 *     long_busy_list     100 pages and 1 page in turns, beside 15 000 allocations of 1 page
 *     random_size        1 to 100 pages
 *     fix_align          5 pages, aligned to 8
 *     random_size_align  1 to 10 pages, aligned to 1 to 1024
 *     align_shift        1 page, aligned to each power of two; the largest are refused
 *     per_cpu            10 000 small ones, and then all of them freed
 *     deferred_free      1 page, freed 512 allocations later
 *     map_ram            16 frames that are there already get addresses and lose them
 *
 * What theirs does on several processors at once is done on one here.
 */
#include <stdlib.h>

#include "bench_suites.h"
#include "virtual_baseline.h"
#include "virtual_bench.h"
#include "virtual_pages.h"

enum {
    PAIRS = BENCH_BATCH,
    INSTRUCTION_PAIRS = 20000,
    HOLES = 10000,
    BUSY = 15000,
    OTHERS = 1000,
    SMALL = 10000,
    DEFERRED = 512,
    SHIFTS = 24,
    ATTACHED = 16,
    HANDLES = 2 * HOLES,
};

static const struct memory_candidate *const candidates[MEMORY_CANDIDATES] = {
    &candidate_virtual,
    &baseline_virtual_bitmap,
    &baseline_virtual_first,
    &baseline_virtual_best,
};

static const struct bench_field field = {
    .names = {"ours", "bitmap", "first", "best"},
    .count = MEMORY_CANDIDATES,
};

struct handle {
    uint64_t first;
    uint64_t pages; /* 0: none */
};

struct player {
    struct bench *bench;
    size_t candidate;
    const struct memory_candidate *one;
    void *self;
    struct handle *handles;
    ps_frame_t frames[ATTACHED];
    uint64_t at;
    uint64_t random;
    uint64_t refused;
    uint64_t wrong;
    uint64_t checksum;
};

/* ---- calls ---- */

static void get(struct player *player, struct handle *handle, uint64_t pages, uint64_t align)
{
    handle->pages = 0;
    if (!player->one->alloc(player->self, pages, align, &handle->first)) {
        player->refused++;
        return;
    }
    handle->pages = pages;
    player->checksum += handle->first;
}

static void put(struct player *player, struct handle *handle)
{
    if (handle->pages != 0)
        player->wrong += !player->one->free(player->self, handle->first, handle->pages);
    handle->pages = 0;
}

static void pair(struct player *player, uint64_t pages, uint64_t align)
{
    struct handle handle;

    get(player, &handle, pages, align);
    put(player, &handle);
}

static uint64_t below(struct player *player, uint64_t bound)
{
    return bench_random_below(&player->random, bound);
}

/* ---- states ---- */

static void take_singles(struct player *player, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        get(player, &player->handles[i], 1, 1);
}

static void leave_holes(struct player *player)
{
    take_singles(player, 2 * (uint64_t)HOLES);
    for (uint64_t i = 0; i < 2 * (uint64_t)HOLES; i += 2)
        put(player, &player->handles[i]);
}

static void be_busy(struct player *player)
{
    take_singles(player, BUSY);
}

static void be_used(struct player *player)
{
    take_singles(player, OTHERS);
}

static void choose_frames(struct player *player)
{
    be_used(player);
    for (uint64_t i = 0; i < ATTACHED; i++)
        player->frames[i] = ps_frame(MEMORY_FRAMES - 1 - 3 * i);
}

/* ---- loops: each carries out `n` pairs ---- */

#define LOOP(name, statement)                   \
    static void name(void *context, uint64_t n) \
    {                                           \
        struct player *player = context;        \
                                                \
        for (; n != 0; n--, player->at++)       \
            statement;                          \
    }

LOOP(fix_size, pair(player, 3, 1))
LOOP(full_fit, pair(player, 1, 1))
LOOP(long_busy_list, pair(player, player->at % 2 == 0 ? 100 : 1, 1))
LOOP(random_size, pair(player, 1 + below(player, 100), 1))
LOOP(fix_align, pair(player, 5, 8))
LOOP(random_size_align, pair(player, 1 + below(player, 10), (uint64_t)1 << below(player, 11)))
LOOP(align_shift, pair(player, 1, (uint64_t)1 << player->at % SHIFTS))

static void deferred_free(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--, player->at++) {
        struct handle *handle = &player->handles[OTHERS + player->at % DEFERRED];

        put(player, handle);
        get(player, handle, 1, 1);
    }
}

/* Half a pair at a time: a round of allocations, a round of frees. */
static void per_cpu(void *context, uint64_t n)
{
    struct player *player = context;

    for (n *= 2; n != 0; n--, player->at++) {
        struct handle *handle = &player->handles[OTHERS + player->at % SMALL];

        if (handle->pages != 0)
            put(player, handle);
        else
            get(player, handle, 1, 1);
    }
}

static void map_ram(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        uint64_t first = 0;

        player->wrong += !player->one->attach(player->self, player->frames, ATTACHED, &first) ||
                         !player->one->detach(player->self, first, ATTACHED);
        player->checksum += first;
    }
}

/* ---- the table ---- */

static const struct workload {
    const char *name;
    void (*prepare)(struct player *player);
    void (*loop)(void *context, uint64_t n);
    bool may_refuse;
} workloads[] = {
    {"fix_size", be_used, fix_size, false},
    {"full_fit", leave_holes, full_fit, false},
    {"long_busy_list", be_busy, long_busy_list, false},
    {"random_size", be_used, random_size, false},
    {"fix_align", be_used, fix_align, false},
    {"random_size_align", be_used, random_size_align, false},
    {"align_shift", be_used, align_shift, true},
    {"per_cpu", be_used, per_cpu, false},
    {"deferred_free", be_used, deferred_free, false},
    {"map_ram", choose_frames, map_ram, false},
};

static void tell_refused(const struct player *player, const struct workload *workload,
                         uint64_t pairs)
{
    struct bench_row *row =
        bench_row(player->bench, "V1", "/1000", &field, "%s: refused", workload->name);

    row->property = true;
    bench_add_value(player->bench, row, player->candidate,
                    1000 * (double)player->refused / (double)pairs);
}

static void play(struct player *player, const struct workload *workload)
{
    bool few = player->bench->instructions;
    char label[96];
    struct bench_task task = {workload->loop, player,
                              few ? (uint64_t)INSTRUCTION_PAIRS : (uint64_t)PAIRS, label};
    struct bench_row *row = bench_row(player->bench, "V1", "ns", &field, "%s", workload->name);
    struct bench_batch batch;

    (void)snprintf(label, sizeof(label), "%s|%s|%" PS_PRIu, workload->name, player->one->name,
                   task.operations);
    player->refused = player->wrong = player->checksum = 0;
    batch = bench_measure(player->bench, &task);
    batch.failures = player->wrong + (workload->may_refuse ? 0 : player->refused);
    batch.checksum = player->checksum;
    bench_add(player->bench, row, player->candidate, &batch);
    if (workload->may_refuse)
        tell_refused(player, workload, batch.operations);
}

/* ---- */

static bool open_player(struct player *player)
{
    player->handles = calloc(HANDLES, sizeof(*player->handles));
    player->self = player->one->open(player->one, HANDLES);
    return player->handles != NULL && player->self != NULL;
}

/* Everything goes back, and our books are right. */
static void close_player(struct player *player)
{
    for (uint64_t i = 0; player->self != NULL && i < HANDLES; i++)
        put(player, &player->handles[i]);
    if (player->wrong != 0 ||
        (player->candidate == 0 && player->self != NULL && virtual_stage_wrong(player->self) != 0))
        fprintf(stderr, "bench: V1 left %s in disorder\n", player->one->name);
    if (player->self != NULL)
        player->one->close(player->self);
    free(player->handles);
}

/* In turns, after a round to warm up. */
static void run_workload(struct bench *bench, const struct workload *workload, unsigned rounds)
{
    struct player players[MEMORY_CANDIDATES] = {0};
    bool complete = true;

    for (size_t i = 0; i < MEMORY_CANDIDATES; i++) {
        players[i] = (struct player){
            .bench = bench, .candidate = i, .one = candidates[i], .random = BENCH_SEED};
        complete = open_player(&players[i]) && complete;
        if (complete)
            workload->prepare(&players[i]);
    }
    for (unsigned round = 0; complete && round < rounds; round++) {
        bench->warming = rounds > 1 && round == 0;
        for (size_t i = 0; i < MEMORY_CANDIDATES; i++)
            play(&players[i], workload);
    }
    bench->warming = false;
    for (size_t i = 0; i < MEMORY_CANDIDATES; i++)
        close_player(&players[i]);
    if (!complete)
        fprintf(stderr, "bench: V1 has no memory for %s\n", workload->name);
}

static void bench_workloads(struct bench *bench)
{
    for (size_t i = 0; i < PS_ARRAY_SIZE(workloads); i++)
        run_workload(bench, &workloads[i], 1 + BENCH_REPETITIONS);
}

static void bench_virtual_instructions(struct bench *bench)
{
    for (size_t i = 0; i < PS_ARRAY_SIZE(workloads); i++)
        run_workload(bench, &workloads[i], 1);
    bench_virtual_steps(bench);
}

static const struct bench_benchmark benchmarks[] = {
    {"V1", bench_workloads},
    {"V2", bench_virtual_touched},
    {"V3", bench_virtual_steps},
};

const struct bench_suite bench_virtual = {
    .name = "virtual",
    .benchmarks = benchmarks,
    .count = PS_ARRAY_SIZE(benchmarks),
    .instructions = bench_virtual_instructions,
};
