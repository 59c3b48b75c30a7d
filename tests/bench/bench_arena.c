/*
 * B5: address ranges of 1 to 64 pages with a guard page between any two. First so many are
 * allocated; then a random one is freed and another allocated, again and again. In the state that
 * leaves: pairs of an allocation and its free, of one page, of 8, of 4096, and of 5 aligned to 512.
 * A request that is refused leaves its place empty; how many were is told for each candidate.
 *
 * The worst single allocation: the same calls several times over, each from a fresh start, and of
 * each call the shortest time, so that interrupts do not count.
 */
#include <stdlib.h>

#include "arena_baseline.h"
#include "bench_suites.h"

enum { MOST_PAGES = 64, CHURNS = 400000, PAIRS = 200000, SINGLES = 40000, WORST_ROUNDS = 3 };
enum { INSTRUCTION_CALLS = 20000 };

static const struct arena_candidate *const candidates[ARENA_CANDIDATES] = {
    &candidate_arena,      &candidate_arena_tree, &baseline_arena_bitmap,
    &baseline_arena_first, &baseline_arena_best,
};

static const struct bench_field field = {
    .names = {"ours", "tree", "bitmap", "first", "best"},
    .count = ARENA_CANDIDATES,
};

/* The ratio is to the bitmap. */
static const struct arena_size {
    const char *name;
    uint64_t pages;
    uint64_t live;
    double churn;
    double ratio;
} sizes[] = {
    {"4G, 1k", (uint64_t)1 << 20, 1000, 60, 25},
    {"16G, 100k", (uint64_t)1 << 22, 100000, 300, 700},
    {"512G, 100k", (uint64_t)1 << 27, 100000, 180, 1000},
    {"512G, 1M", (uint64_t)1 << 27, 1000000, 400, 5000},
};

/* An allocation; pages 0: none. */
struct handle {
    uint32_t first;
    uint32_t pages;
};

struct player {
    struct bench *bench;
    const struct arena_candidate *one;
    const struct arena_size *size;
    size_t candidate;
    void *self;
    struct handle *handles;
    uint64_t random;
    uint64_t pair_pages;
    uint64_t pair_align;
    uint64_t refused;
    uint64_t wrong;
    uint64_t checksum;
};

/* ---- the measured loops ---- */

static void get(struct player *player, struct handle *handle)
{
    uint64_t pages = 1 + bench_random_below(&player->random, MOST_PAGES);
    uint64_t first = 0;

    if (!player->one->alloc(player->self, pages, 1, &first)) {
        player->refused++;
        return;
    }
    *handle = (struct handle){(uint32_t)first, (uint32_t)pages};
    player->checksum += first;
}

static struct handle *pick(struct player *player)
{
    struct handle *handle =
        &player->handles[bench_random_below(&player->random, player->size->live)];

    if (handle->pages != 0)
        player->wrong += !player->one->free(player->self, handle->first, handle->pages);
    handle->pages = 0;
    return handle;
}

static void churn(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--)
        get(player, pick(player));
}

static void pair(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        uint64_t first = 0;

        if (!player->one->alloc(player->self, player->pair_pages, player->pair_align, &first)) {
            player->refused++;
            continue;
        }
        player->checksum += first;
        player->wrong += !player->one->free(player->self, first, player->pair_pages);
    }
}

static void fill(struct player *player)
{
    for (uint64_t i = 0; i < player->size->live; i++)
        if (player->handles[i].pages == 0)
            get(player, &player->handles[i]);
}

/* ---- phases ---- */

static struct bench_row *row_of(const struct player *player, const char *unit, const char *phase)
{
    return bench_row(player->bench, "B5", unit, &field, "%s: %s", player->size->name, phase);
}

/* What was refused of a thousand; ours must not refuse what another finds room for. */
static void tell_refused(const struct player *player, const char *phase, uint64_t operations)
{
    char name[40];
    struct bench_row *row;

    if (player->refused == 0)
        return;
    (void)snprintf(name, sizeof(name), "%s, refused", phase);
    row = row_of(player, "/1000", name);
    row->property = true;
    bench_add_value(player->bench, row, player->candidate,
                    1000 * (double)player->refused / (double)operations);
}

static void play(struct player *player, const char *phase, void (*loop)(void *context, uint64_t n),
                 uint64_t operations, struct bench_target target)
{
    char label[96];
    struct bench_task task = {loop, player, operations, label};
    struct bench_row *row = row_of(player, "ns", phase);
    struct bench_batch batch;

    (void)snprintf(label, sizeof(label), "%s: %s|%s|%" PS_PRIu, player->size->name, phase,
                   player->one->name, operations);
    player->refused = player->wrong = player->checksum = 0;
    batch = bench_measure(player->bench, &task);
    batch.failures = player->wrong + (player->candidate == 0 ? player->refused : 0);
    batch.checksum = player->checksum;
    row->target = target;
    bench_add(player->bench, row, player->candidate, &batch);
    tell_refused(player, phase, batch.operations);
}

static void count_bytes(const struct player *player)
{
    struct bench_row *row = row_of(player, "B", "bytes an allocation");

    row->property = true;
    bench_add_value(player->bench, row, player->candidate,
                    (double)player->one->bytes(player->self) / (double)player->size->live);
}

static void play_all(struct player *player)
{
    static const struct {
        const char *name;
        uint64_t pages;
        uint64_t align;
    } pairs[] = {
        {"pair of 1 page", 1, 1},
        {"pair of 8 pages", 8, 1},
        {"pair of 4096 pages", 4096, 1},
        {"pair of 5 aligned to 512", 5, 512},
    };
    const struct bench_target none = {0};
    bool few = player->bench->instructions;

    play(player, "churn", churn, few ? (uint64_t)INSTRUCTION_CALLS : (uint64_t)CHURNS,
         (struct bench_target){player->size->churn, 1 / player->size->ratio, "bitmap"});
    count_bytes(player);
    for (size_t i = 0; i < PS_ARRAY_SIZE(pairs); i++) {
        /* 80 % full, there is no such run for anybody. */
        if (pairs[i].pages == 4096 && player->size->live * 40 > player->size->pages)
            continue;
        player->pair_pages = pairs[i].pages;
        player->pair_align = pairs[i].align;
        play(player, pairs[i].name, pair, few ? (uint64_t)INSTRUCTION_CALLS : (uint64_t)PAIRS,
             none);
    }
}

/* ---- the worst one ---- */

/* False: it takes too long to go on. */
static bool time_singles(struct player *player, uint64_t *times)
{
    uint64_t start = bench_now();

    for (unsigned i = 0; i < SINGLES; i++) {
        struct handle *handle = pick(player);
        uint64_t before = bench_now();
        uint64_t after;

        get(player, handle);
        after = bench_now();
        times[i] = ps_min(times[i], after - before);
        if (after - start > 4 * player->bench->limit)
            return false;
    }
    return true;
}

static uint64_t worst_of(const uint64_t *times)
{
    uint64_t worst = 0;

    for (unsigned i = 0; i < SINGLES; i++)
        if (times[i] != UINT64_MAX)
            worst = ps_max(worst, times[i]);
    return worst;
}

static void clear_handles(struct player *player)
{
    for (uint64_t i = 0; i < player->size->live; i++)
        player->handles[i].pages = 0;
}

static void find_worst(struct player *player)
{
    uint64_t *times = malloc(SINGLES * sizeof(*times));
    bool again = times != NULL;

    for (unsigned i = 0; again && i < SINGLES; i++)
        times[i] = UINT64_MAX;
    for (unsigned round = 0; again && round < WORST_ROUNDS; round++) {
        player->self = player->one->open(player->size->pages, player->size->live);
        if (player->self == NULL)
            break;
        player->random = BENCH_SEED;
        clear_handles(player);
        fill(player);
        again = time_singles(player, times);
        player->one->close(player->self);
    }
    if (times != NULL) {
        struct bench_row *row = row_of(player, "us", "worst single allocation");

        row->property = true;
        row->target.value = 5;
        bench_add_value(player->bench, row, player->candidate, (double)worst_of(times) / 1000);
    }
    free(times);
}

/* ---- */

/* In turns, after a round to warm up. */
static void run_size(struct bench *bench, const struct arena_size *size, unsigned rounds)
{
    struct player players[ARENA_CANDIDATES] = {0};
    bool complete = true;

    for (size_t i = 0; i < ARENA_CANDIDATES; i++) {
        players[i] = (struct player){.bench = bench,
                                     .one = candidates[i],
                                     .size = size,
                                     .candidate = i,
                                     .self = candidates[i]->open(size->pages, size->live),
                                     .handles = calloc(size->live, sizeof(struct handle)),
                                     .random = BENCH_SEED};
        complete = complete && players[i].self != NULL && players[i].handles != NULL;
        if (complete)
            fill(&players[i]);
    }
    for (unsigned round = 0; complete && round < rounds; round++) {
        bench->warming = rounds > 1 && round == 0;
        for (size_t i = 0; i < ARENA_CANDIDATES; i++)
            play_all(&players[i]);
    }
    bench->warming = false;
    for (size_t i = 0; i < ARENA_CANDIDATES; i++) {
        if (players[i].self != NULL)
            candidates[i]->close(players[i].self);
        if (complete && rounds > 1)
            find_worst(&players[i]);
        free(players[i].handles);
    }
    if (!complete)
        fprintf(stderr, "bench: B5 has no memory for %s\n", size->name);
}

static void bench_arenas(struct bench *bench)
{
    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        run_size(bench, &sizes[i], 1 + BENCH_REPETITIONS);
}

static void bench_arenas_instructions(struct bench *bench)
{
    run_size(bench, &sizes[0], 1);
}

static const struct bench_benchmark benchmarks[] = {{"B5", bench_arenas}};

const struct bench_suite bench_arena = {
    .name = "address_arena",
    .benchmarks = benchmarks,
    .count = PS_ARRAY_SIZE(benchmarks),
    .instructions = bench_arenas_instructions,
};
