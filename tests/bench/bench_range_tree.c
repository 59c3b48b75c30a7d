/*
 * B7: the range store. N ranges of 12 of every 16 pages, inserted in random order; then random
 * lookups, one in four of them in a gap; the middle of a range protected, which makes three of it,
 * and restored; erase and insert; a walk over all; the first gap of 4 and of 1000 pages.
 *
 * Small stores are filled again and again; emptying them is part of the time.
 */
#include <stdlib.h>
#include <string.h>

#include "bench_suites.h"
#include "range_baseline.h"

enum { STRIDE = 16, PAGES = 12, LOOKUPS = 1000000, CHANGES = 200000, GAPS = 200000 };
enum { INSTRUCTION_RANGES = 10000, INSTRUCTION_CALLS = 20000 };

static const struct range_candidate *const candidates[RANGE_CANDIDATES] = {
    &candidate_range_tree,
    &baseline_range_binary,
    &baseline_range_nodes,
};

static const struct bench_field field = {
    .names = {"ours", "binary", "nodes"},
    .count = RANGE_CANDIDATES,
};

enum phase {
    INSERT,
    LOOKUP,
    CUT_AND_JOIN,
    ERASE_AND_INSERT,
    ITERATE,
    GAP_SMALL,
    GAP_LARGE,
    PHASES
};

/* Targets are for 10k ranges. The ratio is to the balanced binary tree. */
static const struct {
    const char *name;
    double value;
    double ratio;
} phases[PHASES] = {
    [INSERT] = {"insert, random order", 120, 0},
    [LOOKUP] = {"look up a random page", 50, 3},
    [CUT_AND_JOIN] = {"protect 4 pages and restore", 200, 0},
    [ERASE_AND_INSERT] = {"erase and insert", 300, 0},
    [ITERATE] = {"visit all, each", 5, 0},
    [GAP_SMALL] = {"first gap of 4 pages", 0, 0},
    [GAP_LARGE] = {"first gap of 1000 pages", 0, 0},
};

struct player {
    struct bench *bench;
    const struct range_candidate *one;
    size_t candidate;
    void *self;
    uint64_t ranges;
    const uint32_t *order;
    uint64_t next; /* in the order */
    uint64_t random;
    uint64_t failures;
    uint64_t checksum;
};

static struct ps_range range_at(uint64_t number)
{
    return (struct ps_range){number * STRIDE, number * STRIDE + PAGES - 1, number};
}

/* ---- the measured loops ---- */

static void insert_some(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        struct ps_range range;

        if (player->next == player->ranges) {
            player->one->empty(player->self);
            player->next = 0;
        }
        range = range_at(player->order[player->next++]);
        player->failures += !player->one->insert(player->self, &range);
    }
}

static void look_up_some(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        uint64_t page = bench_random_below(&player->random, player->ranges * STRIDE);
        struct ps_range range = {0};

        player->failures +=
            player->one->find(player->self, page, &range) != (page % STRIDE < PAGES);
        player->checksum += range.value;
    }
}

static void cut_some(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        struct ps_range whole = range_at(bench_random_below(&player->random, player->ranges));
        struct ps_range middle = {whole.first + 4, whole.first + 7, 1};

        player->failures += !player->one->cut(player->self, &middle);
        player->failures += !player->one->join(player->self, &whole);
    }
}

static void erase_some(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        struct ps_range range = range_at(bench_random_below(&player->random, player->ranges));
        struct ps_range erased;

        player->failures += !player->one->erase(player->self, range.first, &erased);
        player->failures += !player->one->insert(player->self, &range);
    }
}

static void visit_all(void *context, uint64_t n)
{
    struct player *player = context;
    uint64_t expected = player->ranges * (player->ranges - 1) / 2;

    for (; n != 0; n--)
        player->failures += player->one->sum(player->self) != expected;
}

static void find_gaps(struct player *player, uint64_t n, uint64_t size, uint64_t expected)
{
    for (; n != 0; n--) {
        uint64_t first = 0;

        player->failures += !player->one->gap(player->self, size, &first) || first != expected;
        player->checksum += first;
    }
}

static void find_small_gaps(void *context, uint64_t n)
{
    find_gaps(context, n, 4, PAGES);
}

static void find_large_gaps(void *context, uint64_t n)
{
    struct player *player = context;

    find_gaps(player, n, 1000, (player->ranges - 1) * STRIDE + PAGES);
}

/* ---- phases ---- */

static const char *size_text(uint64_t ranges)
{
    return ranges == 100       ? "100"
           : ranges == 1000    ? "1k"
           : ranges == 10000   ? "10k"
           : ranges == 100000  ? "100k"
           : ranges == 1000000 ? "1M"
                               : "?";
}

static struct bench_row *row_of(const struct player *player, enum phase phase)
{
    struct bench_row *row = bench_row(player->bench, "B7", "ns", &field, "%s: %s",
                                      size_text(player->ranges), phases[phase].name);

    if (player->ranges == 10000)
        row->target = (struct bench_target){
            .value = phases[phase].value,
            .ratio = phases[phase].ratio > 0 ? 1 / phases[phase].ratio : 0,
            .against = phases[phase].ratio > 0 ? "binary" : NULL,
        };
    return row;
}

static void play(struct player *player, enum phase phase, void (*loop)(void *context, uint64_t n),
                 uint64_t operations, uint64_t each)
{
    char label[96];
    struct bench_task task = {loop, player, operations, label};
    struct bench_batch batch;

    (void)snprintf(label, sizeof(label), "%s|%s|%" PS_PRIu, phases[phase].name, player->one->name,
                   operations * each);
    player->failures = player->checksum = 0;
    batch = bench_measure(player->bench, &task);
    batch.operations *= each;
    batch.failures = player->failures;
    batch.checksum = player->checksum;
    bench_add(player->bench, row_of(player, phase), player->candidate, &batch);
}

/* Whatever the measured part left undone. */
static void fill_up(struct player *player)
{
    insert_some(player, player->ranges - player->next);
}

static void count_bytes(const struct player *player)
{
    struct bench_row *row =
        bench_row(player->bench, "B7", "B", &field, "%s: bytes a range", size_text(player->ranges));

    row->property = true;
    if (player->ranges >= 10000)
        row->target.value = 32;
    bench_add_value(player->bench, row, player->candidate,
                    (double)player->one->bytes(player->self) / (double)player->ranges);
}

static void play_all(struct player *player)
{
    bool few = player->bench->instructions;
    uint64_t inserts = few ? player->ranges : ps_max(player->ranges, BENCH_BATCH);
    uint64_t changes = few ? (uint64_t)INSTRUCTION_CALLS : (uint64_t)CHANGES;

    player->one->empty(player->self);
    player->next = 0;
    play(player, INSERT, insert_some, inserts, 1);
    fill_up(player);
    count_bytes(player);
    play(player, LOOKUP, look_up_some, few ? changes : (uint64_t)LOOKUPS, 1);
    play(player, ITERATE, visit_all, few ? 1 : BENCH_BATCH / ps_min(player->ranges, BENCH_BATCH),
         player->ranges);
    play(player, CUT_AND_JOIN, cut_some, changes, 1);
    play(player, ERASE_AND_INSERT, erase_some, changes, 1);
    if (player->one->gap == NULL)
        return;
    play(player, GAP_SMALL, find_small_gaps, few ? changes : (uint64_t)GAPS, 1);
    play(player, GAP_LARGE, find_large_gaps, few ? changes : (uint64_t)GAPS, 1);
}

static uint32_t *shuffled(uint64_t count)
{
    uint32_t *order = malloc(count * sizeof(*order));
    uint64_t random = BENCH_SEED;

    for (uint64_t i = 0; order != NULL && i < count; i++)
        order[i] = (uint32_t)i;
    for (uint64_t i = count; order != NULL && i > 1; i--) {
        uint64_t other = bench_random_below(&random, i);
        uint32_t number = order[i - 1];

        order[i - 1] = order[other];
        order[other] = number;
    }
    return order;
}

/* In turns, after a round to warm up. */
static void run_size(struct bench *bench, uint64_t ranges, unsigned rounds)
{
    uint32_t *order = shuffled(ranges);
    void *selves[RANGE_CANDIDATES] = {0};
    bool complete = order != NULL;

    for (size_t i = 0; i < RANGE_CANDIDATES; i++)
        complete = complete && (selves[i] = candidates[i]->open(ranges + 4)) != NULL;
    if (!complete)
        fprintf(stderr, "bench: B7 has no memory for %s ranges\n", size_text(ranges));
    for (unsigned round = 0; complete && round < rounds; round++) {
        bench->warming = rounds > 1 && round == 0;
        for (size_t i = 0; i < RANGE_CANDIDATES; i++)
            play_all(&(struct player){.bench = bench,
                                      .one = candidates[i],
                                      .candidate = i,
                                      .self = selves[i],
                                      .ranges = ranges,
                                      .order = order,
                                      .random = BENCH_SEED});
    }
    bench->warming = false;
    for (size_t i = 0; i < RANGE_CANDIDATES; i++)
        if (selves[i] != NULL)
            candidates[i]->close(selves[i]);
    free(order);
}

static void bench_ranges(struct bench *bench)
{
    for (uint64_t ranges = 100; ranges <= 1000000; ranges *= 10)
        run_size(bench, ranges, 1 + BENCH_REPETITIONS);
}

static void bench_ranges_instructions(struct bench *bench)
{
    run_size(bench, INSTRUCTION_RANGES, 1);
}

static const struct bench_benchmark benchmarks[] = {{"B7", bench_ranges}};

const struct bench_suite bench_range_tree = {
    .name = "range_tree",
    .benchmarks = benchmarks,
    .count = PS_ARRAY_SIZE(benchmarks),
    .instructions = bench_ranges_instructions,
};
