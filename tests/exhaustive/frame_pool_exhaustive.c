/*
 * Every sequence of calls, up to a bound, on a machine of a few dozen frames and a frame pool
 * of a tiny geometry: 4 frames a chunk, 2 chunks a tract, 2 tracts a region.
 *
 * Breadth first, so that the first failure is a shortest one. A state is all that the pool
 * goes by: its structure, its books, and its bookkeeping in other frames; and what the oracle
 * says. Two sequences that lead to the same state are followed once. In each state the pool
 * is validated and every frame is compared with the oracle. In every eighth, each wrong call is
 * made: it must be refused and leave all of that as it was. So must every move when memory fails.
 *
 * usage: exhaustive_tests [STATES A SCENARIO]
 */
#include "frame_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATES = 10000,  /* a scenario, unless the caller says otherwise */
    WRONG_EVERY = 8, /* states; wrong calls are thousands in each */
};

static const struct sim_range ranges[] = {EXHAUSTIVE_MACHINE};

static const struct oracle_geometry tiny = {
    .chunk = PS_CHUNK_FRAMES,
    .tract = PS_TRACT_FRAMES,
    .region = PS_REGION_FRAMES,
    .low = PS_FRAMES_LOW,
    .four_gib = PS_FRAMES_4GIB,
};

static const struct scenario scenarios[] = {
    {
        .name = "single_frames_and_what_is_at_hand",
        .with = WITH(SINGLE) | WITH(FREE),
        .tags = 2,
        .processors = 1,
    },
    {
        .name = "single_frames_of_two_processors",
        .with = WITH(SINGLE) | WITH(FREE) | WITH(SCATTERED),
        .tags = 1,
        .processors = 2,
    },
    {
        .name = "units_of_every_size",
        .with = WITH(SINGLE) | WITH(LARGE) | WITH(GIGANTIC) | WITH(RUN) | WITH(FREE),
        .tags = 2,
        .processors = 1,
        .drained = true,
        .run_pages = {2, 3, 6, 9},
    },
    {
        .name = "units_cut_into_single_frames",
        .with = WITH(LARGE) | WITH(GIGANTIC) | WITH(RUN) | WITH(FREE) | WITH(SPLIT),
        .tags = 1,
        .processors = 1,
        .drained = true,
        .run_pages = {3, 5},
    },
    {
        .name = "claims",
        .with = WITH(SINGLE) | WITH(CLAIM) | WITH(FREE),
        .tags = 1,
        .processors = 1,
        .drained = true,
        .claims = {{1, 1},
                   {1, 2},
                   {2, 1},
                   {5, 1},
                   {8, 4},
                   {8, 8},
                   {11, 2},
                   {12, 4},
                   {14, 6},
                   {16, 5},
                   {32, 16},
                   {40, 1},
                   {33, 14},
                   {256, 2},
                   {257, 1}},
    },
    {
        .name = "shared_units",
        .with = WITH(SINGLE) | WITH(RUN) | WITH(GIGANTIC) | WITH(FREE) | WITH(SHARE),
        .tags = 1,
        .processors = 1,
        .drained = true,
        .holders = 3,
        .run_pages = {4, 6},
    },
    {
        .name = "loans",
        .with = WITH(SINGLE) | WITH(FREE) | WITH(LEND) | WITH(CANCEL) | WITH(END),
        .tags = 1,
        .flags = PS_FRAME_BORROW,
        .processors = 1,
        .drained = true,
    },
    {
        .name = "late_memory",
        .with = WITH(SINGLE) | WITH(LARGE) | WITH(RUN) | WITH(FREE) | WITH(ADD) | WITH(CLAIM) |
                WITH(SPLIT),
        .tags = 1,
        .processors = 1,
        .run_pages = {3, 8},
        .claims = {{16, 4}, {32, 16}, {20, 4}, {8, 8}, {2, 2}},
    },
    {
        .name = "all_calls_together",
        .with = ~0u,
        .tags = 1,
        .flags = PS_FRAME_BORROW,
        .processors = 2,
        .drained = true,
        .holders = 2,
        .run_pages = {3},
        .claims = {{32, 16}, {20, 1}, {1, 2}},
    },
    {
        .name = "quarantine",
        .with = WITH(SINGLE) | WITH(RUN) | WITH(FREE) | WITH(SHARE) | WITH(QUARANTINE),
        .tags = 1,
        .processors = 1,
        .drained = true,
        .holders = 2,
        .run_pages = {3},
    },
    {
        .name = "promises",
        .with = WITH(SINGLE) | WITH(GIGANTIC) | WITH(RUN) | WITH(CLAIM) | WITH(FREE) | WITH(SHARE) |
                WITH(PROMISE) | WITH(UNPROMISE) | WITH(PROMISED),
        .tags = 1,
        .processors = 1,
        .drained = true,
        .holders = 2,
        .run_pages = {3},
        .claims = {{1, 1}, {5, 1}, {8, 8}, {8, 13}, {16, 5}, {32, 16}},
    },
    {
        .name = "promises_and_what_is_at_hand",
        .with = WITH(SINGLE) | WITH(FREE) | WITH(PROMISE) | WITH(UNPROMISE) | WITH(PROMISED),
        .tags = 1,
        .processors = 2,
    },
};

/* ---- wrong calls ---- */

static void judge(struct search *search, const char *what, uint64_t first, uint64_t pages,
                  ps_status status, unsigned may)
{
    search->refusals++;
    if ((ORACLE_MAY(status) & may) == 0)
        driver_fail(&search->driver, "%s of 0x%" PS_PRIx "+%" PS_PRIu " answers %s, may be 0x%x",
                    what, first, pages, ps_status_name(status), may);
}

#define CAN(may) (((may)&ORACLE_MAY(PS_OK)) != 0)

static void call_wrongly_at(struct search *search, uint64_t first, uint64_t pages)
{
    const struct frame_oracle *oracle = &search->oracle;
    struct ps_frame_pool *pool = &search->pool;
    ps_frame_t frame = ps_frame(first);
    ps_pages_t count = ps_pages(pages);
    unsigned may = oracle_may_unit(oracle, first, pages);

    if (!CAN(may)) {
        judge(search, "free", first, pages, ps_frame_pool_free(pool, frame, count), may);
        judge(search, "split", first, pages, ps_frame_pool_split(pool, frame, count), may);
        judge(search, "share", first, pages, ps_frame_pool_share(pool, frame, count),
              oracle_may_share(oracle, first, pages));
    } else if (oracle_at(oracle, first)->holders > 1) {
        judge(search, "split", first, pages, ps_frame_pool_split(pool, frame, count),
              ORACLE_MAY(PS_ACCESS_DENIED));
    }
    if (pages == 0)
        return;
    may = oracle_may_claim(oracle, search->driver.now.available, first, pages, PS_FRAME_TABLE);
    if (!CAN(may))
        judge(search, "claim", first, pages,
              ps_frame_pool_claim(pool, frame, count, PS_FRAME_TABLE), may);
    may = oracle_may_add(oracle, first, pages);
    if (!CAN(may))
        judge(search, "add", first, pages, ps_frame_pool_add(pool, frame, count), may);
}

static void lend_wrongly(struct search *search, uint64_t first)
{
    const struct frame_oracle *oracle = &search->oracle;
    struct ps_frame_pool *pool = &search->pool;
    unsigned may = oracle_may_lend(oracle, first);

    if (!CAN(may))
        judge(search, "lend", first, 1, ps_frame_pool_lend(pool, ps_frame(first)), may);
    may = oracle_may_cancel(oracle, first);
    if (!CAN(may))
        judge(search, "cancel", first, 1, ps_frame_pool_cancel_loan(pool, ps_frame(first)), may);
    may = oracle_may_end(oracle, first);
    if (!CAN(may))
        judge(search, "end", first, 1, ps_frame_pool_end_loan(pool, ps_frame(first), PS_FRAME_USER),
              may);
}

/* Nothing of all this may have changed what has been read before. */
static void expect_unchanged(struct search *search, const char *what)
{
    static uint64_t before[IMAGE_WORDS];

    memcpy(before, search->image, sizeof(before));
    read_state(search);
    if (memcmp(before, search->image, sizeof(before)) != 0)
        driver_fail(&search->driver, "%s changed something", what);
}

static void call_wrongly(struct search *search)
{
    static const uint64_t sizes[] = {0, 1, 2, 3, 4, 8, 16};

    for (uint64_t frame = 0; frame <= MACHINE_FRAMES && !search->driver.failed; frame++) {
        if (frame == 50)
            frame = 255;
        for (unsigned i = 0; i < PS_ARRAY_SIZE(sizes) && !search->driver.failed; i++)
            call_wrongly_at(search, frame, sizes[i]);
        lend_wrongly(search, frame);
    }
    expect_unchanged(search, "a wrong call");
}

/* ---- the search ---- */

static uint32_t this_processor(void *context)
{
    const struct search *search = context;

    return search->processor;
}

static void print_failure(struct search *search, uint32_t index, const char *last)
{
    uint32_t path[64];
    unsigned length = 0;

    for (; index != 0 && length < PS_ARRAY_SIZE(path); index = search->states[index].parent)
        path[length++] = index;
    printf("  # %s\n  # after:\n", search->driver.failure);
    while (length-- > 0)
        print_move(&search->states[path[length]].move);
    printf("  #   %s\n", last);
}

/* The same move when memory fails, which it does as late as it can: every word stays as it was. */
static void try_without_memory(struct search *search, const struct move *move)
{
    static uint64_t before[IMAGE_WORDS];
    bool gives_frames = move->kind != FREE && move->kind != SPLIT && move->kind != CANCEL &&
                        move->kind != END && move->kind != ADD && move->kind != UNPROMISE &&
                        move->kind != PROMISED;

    if (!gives_frames || ((move->kind == QUARANTINE || move->kind == PROMISE) && move->pages == 0))
        return;
    driver_fail_after(&search->driver, 0, true);
    read_state(search);
    memcpy(before, search->image, sizeof(before));
    if (make(search, move) == PS_OK)
        driver_fail(&search->driver, "succeeds though memory fails");
    read_state(search);
    if (memcmp(before, search->image, sizeof(before)) != 0)
        driver_fail(&search->driver, "a call that memory failed changed something");
    driver_fail_after(&search->driver, UINT64_MAX, false);
}

/* One move from a state; false when something was wrong. */
static bool try_move(struct search *search, uint32_t index, const struct move *move)
{
    static uint64_t before[IMAGE_WORDS];
    ps_status status;

    go_to(search, index);
    try_without_memory(search, move);
    if (search->driver.failed)
        return false;
    go_to(search, index);
    memcpy(before, search->image, sizeof(before));
    search->transitions++;
    status = make(search, move);
    if (search->scenario->drained && !search->driver.failed)
        ps_frame_pool_drain(&search->pool);
    read_state(search);
    if (status != PS_OK && memcmp(before, search->image, sizeof(before)) != 0)
        driver_fail(&search->driver, "a refused call changed something");
    if (!search->driver.failed && remember(search, index, move)) {
        driver_compare(&search->driver);
        expect_unchanged(search, "validate or query");
        if (search->count % WRONG_EVERY == 0)
            call_wrongly(search);
    }
    return !search->driver.failed;
}

static bool explore(struct search *search)
{
    static struct moves moves;
    const struct frame_driver *driver = &search->driver;

    for (uint32_t i = 0; i < search->count && search->count < search->bound; i++) {
        go_to(search, i);
        collect_moves(search, &moves);
        for (unsigned m = 0; m < moves.count; m++)
            if (!try_move(search, i, &moves.list[m])) {
                print_failure(search, i, driver->lines[(driver->calls - 1) % DRIVER_LINES]);
                return false;
            }
    }
    return true;
}

static bool start(struct search *search)
{
    const struct move none = {0};

    search->sim = sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), 0);
    if (search->sim == NULL ||
        !oracle_create(&search->oracle, &tiny, ranges, PS_ARRAY_SIZE(ranges)))
        return false;
    if (search->scenario->processors > 1) {
        search->sim->machine.processors = search->scenario->processors;
        search->sim->machine.processor = this_processor;
        search->sim->machine.processor_context = search;
    }
    if (ps_frame_pool_init(&search->pool, &search->sim->machine, &search->sim->map) != PS_OK)
        return false;
    search->driver = (struct frame_driver){.every_frame = true};
    driver_start(&search->driver, &search->pool, &search->oracle);
    if (search->pool.books_frames != BOOKS)
        driver_fail(&search->driver, "the books have %" PS_PRIu " frames",
                    search->pool.books_frames);
    if (search->pool.ranges_at + search->pool.ranges * sizeof(struct ps_frame_extent) >
        search->pool.processors_at + HEAD_WORDS * 8)
        driver_fail(&search->driver, "the head of the books is larger than what is kept of it");
    if (search->driver.failed)
        printf("  # %s\n", search->driver.failure);
    read_state(search);
    memcpy(search->base, search->image, sizeof(search->base));
    return !search->driver.failed && remember(search, 0, &none);
}

static void finish(struct search *search)
{
    for (uint32_t i = 0; i < search->count; i++)
        free(search->states[i].changes);
    free(search->states);
    free(search->table);
    oracle_destroy(&search->oracle);
    sim_machine_destroy(search->sim);
}

static bool run(const struct scenario *scenario, unsigned number, uint32_t bound)
{
    static struct search search;
    bool holds;

    search = (struct search){.scenario = scenario, .bound = bound, .table_size = bound * 2 + 1};
    search.states = get_memory(bound, sizeof(*search.states));
    search.table = get_memory(search.table_size, sizeof(*search.table));
    holds = start(&search) && explore(&search);
    printf("%s %u - exhaustive/frame_pool/%s\n", holds ? "ok" : "not ok", number, scenario->name);
    printf("# %u states%s up to %u moves deep, %" PS_PRIu " moves, %" PS_PRIu " wrong calls\n",
           search.count, search.count == bound ? "" : " (all there are)",
           search.count == 0 ? 0 : search.states[search.count - 1].depth, search.transitions,
           search.refusals);
    finish(&search);
    return holds;
}

int main(int count, char **words)
{
    uint32_t bound = count > 1 ? (uint32_t)strtoul(words[1], NULL, 0) : STATES;
    unsigned failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("TAP version 13\n1..%zu\n", PS_ARRAY_SIZE(scenarios));
    for (unsigned i = 0; i < PS_ARRAY_SIZE(scenarios); i++)
        failed += !run(&scenarios[i], i + 1, bound);
    return failed != 0;
}
