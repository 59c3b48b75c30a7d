/*
 * B6: page tables. Mapping in bulk and page by page, with leaves of all sizes; changing and
 * unmapping; cutting large leaves; asking.
 *
 * All times but the last few are per leaf; those of cuts and promotion are per large leaf. Tables
 * lie in memory that was written to before, and an address space is empty when mapping begins:
 * making tables is part of it, but not for the floor.
 *
 * Fresh leaves are as mapped: the processor may still set their accessed and dirty bits, which
 * only a locked write is sure not to lose. In used leaves both are set.
 *
 * Ours makes large leaves of two kinds, and is measured with both: permanent ones, and cuttable
 * ones with promised frames, which no baseline has.
 */
#include "bench_suites.h"
#include "frame_baseline.h"
#include "page_bench.h"

#define BASE ((uint64_t)1 << 46)

enum { FIRST = 1 << 20, PROTECTED = 100000, QUERIED = 200000 };
enum {
    REPEATED_1G = 25,
    CUT_2M = 1000,
    CUT_1G = 100,
    CUT_1G_ROUNDS = 10,
    SAMPLES = 4096,
    PATIENCE = 64
};

enum phase {
    MAP_SCATTERED,
    MAP_RUN,
    MAP_SINGLE,
    MAP_64G_2M,
    MAP_64G_2M_CUTTABLE,
    MAP_4T_2M,
    MAP_4T_1G,
    MAP_64G_1G_CUTTABLE,
    PROTECT_FRESH,
    PROTECT_USED,
    UNMAP_FRESH,
    UNMAP_USED,
    UNMAP_SINGLE,
    RANDOM_FRESH,
    RANDOM_USED,
    CUT_LEAF_2M,
    CUT_LEAF_1G,
    PROMOTE_2M,
    QUERY,
    PHASES
};

/*
 * 4 TiB in 2.2 ms and 5 us are 1.05 and 1.22 ns a leaf. A page in a leaf of 1 GiB takes two cuts.
 * The ratio is to the floor.
 */
static const struct {
    const char *name;
    double value;
    double ratio;
} phases[PHASES] = {
    [MAP_SCATTERED] = {"1 GiB of 4 KiB, scattered, one call", 1, 2},
    [MAP_RUN] = {"1 GiB of 4 KiB, a run, one call", 1, 2},
    [MAP_SINGLE] = {"1 GiB of 4 KiB, a page a call", 4, 0},
    [MAP_64G_2M] = {"64 GiB of 2 MiB, one call", 1, 2},
    [MAP_64G_2M_CUTTABLE] = {"64 GiB of 2 MiB, cuttable, one call", 1, 2},
    [MAP_4T_2M] = {"4 TiB of 2 MiB, one call", 1.05, 2},
    [MAP_4T_1G] = {"4 TiB of 1 GiB, one call", 1.22, 2},
    [MAP_64G_1G_CUTTABLE] = {"64 GiB of 1 GiB, cuttable, one call", 0, 0},
    [PROTECT_FRESH] = {"protect 1 GiB, fresh leaves", 1.2, 2},
    [PROTECT_USED] = {"protect 1 GiB, used leaves", 1.2, 2},
    [UNMAP_FRESH] = {"unmap 1 GiB, fresh leaves", 1.2, 2},
    [UNMAP_USED] = {"unmap 1 GiB, used leaves", 1.2, 2},
    [UNMAP_SINGLE] = {"unmap 1 GiB, a page a call", 0, 0},
    [RANDOM_FRESH] = {"protect a random page, fresh", 6, 0},
    [RANDOM_USED] = {"protect a random page, used", 6, 0},
    [CUT_LEAF_2M] = {"cut a 2 MiB leaf: protect a page", 250, 0},
    [CUT_LEAF_1G] = {"cut a 1 GiB leaf: protect a page", 500, 0},
    [PROMOTE_2M] = {"promotion of a 2 MiB leaf", 100, 0},
    [QUERY] = {"query a random page", 5, 0},
};

/* ---- one candidate at work ---- */

struct player {
    struct bench *bench;
    size_t candidate;
    const struct page_candidate *one;
    const struct page_stage *stage;
    struct page_run run;
    struct page_stretch all; /* that is mapped */
};

static struct bench_batch play(struct player *player, enum phase phase, page_loop *loop,
                               uint64_t operations, uint64_t leaves)
{
    struct bench *bench = player->bench;
    struct page_run *run = &player->run;
    char label[96];
    struct bench_task task = {loop, run, operations, bench->warming ? NULL : label};
    struct bench_batch batch;

    (void)snprintf(label, sizeof(label), "%s|%s|%" PS_PRIu, phases[phase].name, player->one->name,
                   operations * leaves);
    run->next = run->failures = run->checksum = 0;
    batch = bench_measure(bench, &task);
    batch.operations *= leaves;
    batch.failures = run->failures;
    batch.checksum = run->checksum;
    return batch;
}

static struct bench_row *row_of(struct bench *bench, enum phase phase)
{
    struct bench_row *row = bench_row(bench, "B6", "ns", &page_field, "%s", phases[phase].name);

    row->target = (struct bench_target){
        .value = phases[phase].value,
        .ratio = phases[phase].ratio,
        .against = phases[phase].ratio > 0 ? "floor" : NULL,
    };
    return row;
}

static void add(const struct player *player, enum phase phase, const struct bench_batch *batch)
{
    bench_add(player->bench, row_of(player->bench, phase), player->candidate, batch);
}

/* ---- what must be in the tables ---- */

struct expected {
    bool mapped;
    bool writable;
    unsigned level;
};

static bool is_as_expected(const struct page_view *view, uint64_t va, uint64_t frame,
                           const struct expected *expected)
{
    unsigned level;
    const uint64_t *leaf = page_leaf(view, va, &level);
    uint64_t inside;

    if (leaf == NULL || !expected->mapped)
        return leaf == NULL && !expected->mapped;
    inside = va & (page_level_bytes(level) - 1);
    return level == expected->level && ((*leaf & PAGE_WRITABLE) != 0) == expected->writable &&
           (*leaf & PAGE_NO_EXECUTE) != 0 &&
           ((*leaf & PAGE_FRAME_MASK & ~(page_level_bytes(level) - 1)) + inside) >> PS_PAGE_SHIFT ==
               frame;
}

/* Pages all over the stretches of `operations` operations. */
static uint64_t count_wrong(const struct player *player, uint64_t operations,
                            const struct expected *expected)
{
    struct page_view view = player->one->view(player->run.self);
    const struct page_stretch *stretch = &player->run.stretch;
    uint64_t pages = operations * stretch->pages;
    uint64_t step = pages / SAMPLES | 1;
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < pages; i += step) {
        uint64_t page = i % stretch->pages;
        uint64_t va = stretch->va + i / stretch->pages * player->run.stride;
        uint64_t frame =
            player->run.frames != NULL ? player->run.frames[i].number : stretch->first + page;

        wrong += !is_as_expected(&view, va + (page << PS_PAGE_SHIFT), frame, expected);
    }
    return wrong;
}

static uint64_t count_wrong_random(const struct player *player, uint64_t operations)
{
    struct page_view view = player->one->view(player->run.self);
    const struct expected expected = {true, player->run.writable, 1};
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < operations; i += operations / SAMPLES | 1) {
        uint64_t page = player->run.order[i];

        wrong += !is_as_expected(&view, player->run.stretch.va + (page << PS_PAGE_SHIFT),
                                 player->run.frames[page].number, &expected);
    }
    return wrong;
}

/* The processor has read and written through every leaf. */
static void use_leaves(const struct player *player)
{
    struct page_view view = player->one->view(player->run.self);
    unsigned level;

    for (uint64_t i = 0; i < player->all.pages; i++) {
        uint64_t *leaf = page_leaf(&view, player->all.va + (i << PS_PAGE_SHIFT), &level);

        if (leaf != NULL)
            *leaf |= PAGE_ACCESSED | PAGE_DIRTY;
    }
}

/* ---- before and after ---- */

/* `count` stretches side by side, all of the same frames. */
static void begin(struct player *player, const struct page_stretch *stretch, uint64_t count)
{
    const struct page_candidate *one = player->one;

    player->run = (struct page_run){
        .self = player->stage->selves[player->candidate],
        .stretch = *stretch,
        .stride = stretch->pages << PS_PAGE_SHIFT,
    };
    player->all = *stretch;
    player->all.pages *= count;
    if (one->prepare != NULL && !one->prepare(player->run.self, &player->all))
        fprintf(stderr, "bench: %s has no memory for its tables\n", one->name);
}

/* Everything away; the books must say so. What is wrong is a failure of the last phase. */
static void end(const struct player *player, enum phase phase)
{
    const struct page_candidate *one = player->one;
    struct bench_batch batch = {0};

    if (one->wrong != NULL && player->bench->warming)
        batch.failures += one->wrong(player->run.self);
    batch.failures += !one->clear(player->run.self, &player->all);
    if (one->wrong != NULL && player->bench->warming)
        batch.failures += one->wrong(player->run.self);
    add(player, phase, &batch);
}

/* ---- phases ---- */

/* Each operation concerns a whole stretch, whose pages are as expected after it. */
static void whole(struct player *player, enum phase phase, page_loop *loop, uint64_t operations,
                  const struct expected *expected)
{
    const struct page_stretch *stretch = &player->run.stretch;
    uint64_t leaves = (stretch->pages << PS_PAGE_SHIFT) / page_level_bytes(stretch->level);
    struct bench_batch batch;

    player->run.writable = expected->writable;
    batch = play(player, phase, loop, operations, leaves);
    batch.failures += count_wrong(player, batch.operations / leaves, expected);
    add(player, phase, &batch);
}

static const struct page_stretch gib = {.va = BASE, .first = FIRST, .pages = FRAMES_1G, .level = 1};
static const struct expected mapped = {true, true, 1};
static const struct expected read_only = {true, false, 1};
static const struct expected absent = {0};

static void play_bulk(struct player *player, bool used)
{
    const struct page_loops *loops = &player->one->loops;

    begin(player, &gib, 1);
    whole(player, MAP_RUN, loops->map_run, 1, &mapped);
    if (used)
        use_leaves(player);
    whole(player, used ? PROTECT_USED : PROTECT_FRESH, loops->protect, 1, &read_only);
    whole(player, used ? UNMAP_USED : UNMAP_FRESH, loops->unmap, 1, &absent);
    end(player, used ? UNMAP_USED : UNMAP_FRESH);
}

static void play_scattered(struct player *player)
{
    begin(player, &gib, 1);
    player->run.frames = player->stage->frames;
    whole(player, MAP_SCATTERED, player->one->loops.map, 1, &mapped);
    end(player, MAP_SCATTERED);
}

/* `skip`: pages at the front of the order that had their turn. */
static void random_pages(struct player *player, enum phase phase, page_loop *loop, uint64_t skip,
                         uint64_t operations)
{
    struct bench_batch batch;

    player->run.order = player->stage->order + skip;
    batch = play(player, phase, loop, operations, 1);
    if (phase != QUERY)
        batch.failures += count_wrong_random(player, batch.operations);
    add(player, phase, &batch);
}

static void play_singles(struct player *player)
{
    const struct page_loops *loops = &player->one->loops;
    struct page_stretch page = gib;

    page.pages = 1;
    begin(player, &page, FRAMES_1G);
    player->run.frames = player->stage->frames;
    whole(player, MAP_SINGLE, loops->map, FRAMES_1G, &mapped);
    player->run.writable = false;
    random_pages(player, RANDOM_FRESH, loops->scramble, 0, PROTECTED);
    use_leaves(player);
    random_pages(player, RANDOM_USED, loops->scramble, PROTECTED, PROTECTED);
    random_pages(player, QUERY, loops->query, 0, QUERIED);
    whole(player, UNMAP_SINGLE, loops->unmap, FRAMES_1G, &absent);
    end(player, UNMAP_SINGLE);
}

/* Frames are 2 MiB off, so that no larger leaf fits where 2 MiB are asked for. */
static struct page_stretch large_stretch(uint64_t bytes, unsigned level, bool cuttable)
{
    return (struct page_stretch){
        .va = BASE / 8,
        .first = FIRST + (level == 2 ? FRAMES_2M : 0),
        .pages = bytes >> PS_PAGE_SHIFT,
        .level = level,
        .cuttable = cuttable,
    };
}

static void play_large(struct player *player, enum phase phase, const struct page_stretch *stretch,
                       uint64_t operations)
{
    const struct expected expected = {true, true, stretch->level};

    begin(player, stretch, operations);
    whole(player, phase, player->one->loops.map_run, operations, &expected);
    end(player, phase);
}

static void play_all_large(struct player *player)
{
    static const struct {
        enum phase phase;
        uint64_t bytes;
        unsigned level;
        bool cuttable;
        uint64_t operations;
    } all[] = {
        {MAP_64G_2M, 64 * PS_GIB, 2, false, 4},
        {MAP_64G_2M_CUTTABLE, 64 * PS_GIB, 2, true, 1},
        {MAP_4T_2M, 4 * PS_TIB, 2, false, 1},
        {MAP_4T_1G, 4 * PS_TIB, 3, false, REPEATED_1G},
        {MAP_64G_1G_CUTTABLE, 64 * PS_GIB, 3, true, 1},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(all); i++) {
        struct page_stretch stretch = large_stretch(all[i].bytes, all[i].level, all[i].cuttable);

        play_large(player, all[i].phase, &stretch, all[i].operations);
    }
}

/* ---- cutting ---- */

/* The page that changed is small and read-only, its neighbours are small and writable. */
static uint64_t count_wrong_cuts(struct player *player, uint64_t operations)
{
    uint64_t wrong = count_wrong(player, operations, &read_only);

    player->run.stretch.va += PS_PAGE_SIZE;
    player->run.stretch.first++;
    return wrong + count_wrong(player, operations, &mapped);
}

/* The page that was cut out is like the others again, and the tables become large leaves. */
static void undo_cuts(struct player *player, const struct page_stretch *leaf, uint64_t inside,
                      uint64_t leaves)
{
    const struct expected large = {true, true, leaf->level};
    struct bench_batch batch;

    player->run.stretch = *leaf;
    player->run.stretch.va += inside << PS_PAGE_SHIFT;
    player->run.stretch.pages = 1;
    player->run.writable = true;
    player->run.next = 0;
    player->one->loops.protect(&player->run, leaves);
    player->run.stretch = *leaf;
    batch = play(player, PROMOTE_2M, player->one->promote, leaves, 1);
    batch.failures += count_wrong(player, batch.operations, &large);
    add(player, PROMOTE_2M, &batch);
}

/* Large leaves side by side, in each of which one page is protected. */
static struct bench_batch cut_some(struct player *player, enum phase phase, unsigned level,
                                   uint64_t leaves)
{
    const struct page_loops *loops = &player->one->loops;
    struct page_stretch leaf = large_stretch(page_level_bytes(level), level, true);
    struct page_stretch *page = &player->run.stretch;
    uint64_t inside = leaf.pages / 2 + 7;
    struct bench_batch batch;

    begin(player, &leaf, leaves);
    loops->map_run(&player->run, leaves);
    player->run.writable = false;
    page->va += inside << PS_PAGE_SHIFT;
    page->first += inside;
    page->pages = 1;
    batch = play(player, phase, loops->protect, leaves, 1);
    batch.failures += count_wrong_cuts(player, batch.operations);
    if (level == 2 && player->one->promote != NULL)
        undo_cuts(player, &leaf, inside, leaves);
    end(player, phase);
    return batch;
}

/* In several goes: to cut a 1 GiB leaf 513 frames are promised. */
static void play_cuts(struct player *player)
{
    struct bench_batch sum = {0};
    struct bench_batch batch;

    if (!player->one->cuts)
        return;
    batch = cut_some(player, CUT_LEAF_2M, 2, CUT_2M);
    add(player, CUT_LEAF_2M, &batch);
    for (unsigned i = 0; i < CUT_1G_ROUNDS; i++) {
        batch = cut_some(player, CUT_LEAF_1G, 3, CUT_1G);
        bench_join(&sum, &batch);
    }
    add(player, CUT_LEAF_1G, &sum);
}

/* ---- all of it ---- */

static void play_round(struct bench *bench, const struct page_stage *stage)
{
    for (size_t i = 0; i < PAGE_CANDIDATES; i++) {
        struct player player = {
            .bench = bench, .candidate = i, .one = page_candidates[i], .stage = stage};

        if (!player.one->large_only) {
            play_scattered(&player);
            play_singles(&player);
            play_bulk(&player, false);
            play_bulk(&player, true);
        }
        play_all_large(&player);
        play_cuts(&player);
    }
}

static void play_rounds(struct bench *bench, unsigned repetitions)
{
    struct page_stage stage;

    if (page_stage_open(bench, &stage)) {
        for (unsigned i = 0; i <= repetitions; i++) {
            bench->warming = i == 0;
            play_round(bench, &stage);
        }
    }
    page_stage_close(&stage);
}

/* Rows in our order. A phase that was stopped would leave pages out that the next one counts on. */
static void measure(struct bench *bench)
{
    uint64_t limit = bench->limit;

    for (unsigned phase = 0; phase < PHASES; phase++)
        (void)row_of(bench, (enum phase)phase);
    bench->limit *= PATIENCE;
    play_rounds(bench, BENCH_REPETITIONS);
    bench->limit = limit;
}

static void count(struct bench *bench)
{
    play_rounds(bench, 1);
}

static const struct bench_benchmark benchmarks[] = {{"B6", measure}};

const struct bench_suite bench_page_table = {
    "page_table",
    benchmarks,
    PS_ARRAY_SIZE(benchmarks),
    count,
};
