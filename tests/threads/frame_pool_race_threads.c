#include "threads.h"

/*
 * All workers do the same to the same frames at the same moment. Who wins is chance; how many
 * win, and what is left behind, is not.
 */

enum { BATCH = 24, ROUNDS = 60 };

struct race {
    struct unit_of_race {
        uint64_t first;
        uint64_t pages;
        _Atomic(uint32_t) freed;
        _Atomic(uint32_t) shared;
        _Atomic(uint32_t) split;
    } units[BATCH];
};

static const struct ps_frame_run shapes[] = {
    {.pages = {1}, .limit = {UINT64_MAX}, .tag = PS_FRAME_USER},
    {.pages = {1}, .limit = {UINT64_MAX}, .tag = PS_FRAME_TABLE},
    {.pages = {5}, .limit = {UINT64_MAX}, .tag = PS_FRAME_USER},
    {.pages = {512}, .alignment = 512, .limit = {UINT64_MAX}, .tag = PS_FRAME_OBJECT},
    {.pages = {1}, .limit = {UINT64_MAX}, .tag = PS_FRAME_USER},
    {.pages = {70}, .limit = {UINT64_MAX}, .tag = PS_FRAME_STACK},
};

/* Units of all shapes; 2 MiB only while there are some. */
static void set_up(struct crew *crew, struct race *race)
{
    struct test *test = crew->test;

    for (unsigned i = 0; i < BATCH; i++) {
        const struct ps_frame_run *shape = &shapes[i % PS_ARRAY_SIZE(shapes)];
        ps_frame_t frame = {0};

        if (shape->pages.count == 512 && i > PS_ARRAY_SIZE(shapes))
            shape = &shapes[0];
        EXPECT_OK(ps_frame_pool_alloc_run(&crew->pool, shape, &frame));
        race->units[i] = (struct unit_of_race){.first = frame.number, .pages = shape->pages.count};
    }
}

static struct unit_of_race *next_unit(struct worker *worker, unsigned step)
{
    struct race *race = worker->crew->context;

    return &race->units[(step + worker->index / 2) % BATCH];
}

static ps_status free_unit(struct worker *worker, const struct unit_of_race *unit)
{
    return ps_frame_pool_free(&worker->crew->pool, ps_frame(unit->first), ps_pages(unit->pages));
}

static void expect_nothing_in_use(struct worker *worker)
{
    if (worker->index == 0)
        MUST(ps_frame_pool_in_use(&worker->crew->pool) == 0);
}

/* ---- free ---- */

static void free_each(struct worker *worker)
{
    crew_meet(worker);
    for (unsigned step = 0; step < BATCH; step++) {
        struct unit_of_race *unit = next_unit(worker, step);
        ps_status status = free_unit(worker, unit);

        if (status == PS_OK)
            atomic_fetch_add(&unit->freed, 1);
        else
            MUST_BE(status, PS_NOT_FOUND);
    }
    expect_nothing_in_use(worker);
}

CREW_CASE(of_racing_frees_exactly_one_succeeds, CREW_SMALL)
{
    struct race race;

    crew->context = &race;
    for (unsigned round = 0; round < ROUNDS * crew_options.scale; round++) {
        set_up(crew, &race);
        crew_run(crew, free_each);
        for (unsigned i = 0; i < BATCH; i++)
            EXPECT_EQ(race.units[i].freed, 1);
    }
}

/* Somebody has the wrong size; he must not be in the way of whoever has the right one. */
static void free_with_sizes(struct worker *worker)
{
    struct race *race = worker->crew->context;

    for (unsigned i = 0; i < BATCH; i++) {
        struct unit_of_race unit = {.first = race->units[i].first,
                                    .pages = race->units[i].pages + worker->index};
        ps_status status = free_unit(worker, &unit);

        if (worker->index == 0)
            MUST_BE(status, PS_OK);
        else
            MUST(status == PS_WRONG_SIZE || status == PS_NOT_FOUND);
    }
    expect_nothing_in_use(worker);
}

CREW_CASE(of_racing_frees_the_one_with_the_right_size_succeeds, CREW_SMALL)
{
    struct race race;

    crew->context = &race;
    for (unsigned round = 0; round < ROUNDS * crew_options.scale; round++) {
        set_up(crew, &race);
        crew_run(crew, free_with_sizes);
    }
}

/* ---- claim ---- */

enum { CLAIMS = 40, CLAIM_FIRST = 600, CLAIM_PAGES = 30 };

static void claim_each(struct worker *worker)
{
    for (unsigned i = 0; i < CLAIMS; i++) {
        uint64_t first = CLAIM_FIRST + i * CLAIM_PAGES;
        ps_status status = ps_frame_pool_claim(&worker->crew->pool, ps_frame(first),
                                               ps_pages(CLAIM_PAGES), PS_FRAME_USER);

        if (status == PS_ALREADY_EXISTS || !MUST_BE(status, PS_OK))
            continue;
        worker_owns(worker, first, CLAIM_PAGES);
        worker_keep(worker, first, CLAIM_PAGES, PS_FRAME_USER);
    }
}

CREW_CASE(of_racing_claims_exactly_one_succeeds, CREW_SMALL)
{
    for (unsigned round = 0; round < ROUNDS / 2 * crew_options.scale; round++) {
        crew_run(crew, claim_each);
        EXPECT_EQ(crew_held(crew, PS_FRAME_USER), CLAIMS * CLAIM_PAGES);
        crew_expect_held(crew);
        crew_run(crew, worker_give_back);
    }
}

static void claim_overlapping(struct worker *worker)
{
    uint64_t first = CLAIM_FIRST + worker->index * 7;
    ps_status status;

    status =
        ps_frame_pool_claim(&worker->crew->pool, ps_frame(first), ps_pages(100), PS_FRAME_USER);
    if (status == PS_ALREADY_EXISTS || !MUST_BE(status, PS_OK))
        return;
    worker_owns(worker, first, 100);
    worker_keep(worker, first, 100, PS_FRAME_USER);
}

CREW_CASE(of_claims_that_overlap_exactly_one_succeeds, CREW_SMALL)
{
    for (unsigned round = 0; round < ROUNDS * crew_options.scale; round++) {
        crew_run(crew, claim_overlapping);
        EXPECT_EQ(crew_held(crew, PS_FRAME_USER), 100);
        crew_run(crew, worker_give_back);
    }
}

/* A range of which others take single frames is claimed whole, or not at all. */
static void claim_alone(struct worker *worker)
{
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < CLAIMS; i++) {
            uint64_t first = CLAIM_FIRST + i * CLAIM_PAGES;

            if (ps_frame_pool_claim(&worker->crew->pool, ps_frame(first), ps_pages(CLAIM_PAGES),
                                    PS_FRAME_USER) != PS_OK)
                continue;
            worker_owns(worker, first, CLAIM_PAGES);
            worker_keep(worker, first, CLAIM_PAGES, PS_FRAME_USER);
            worker->count++;
        }
        worker_give_back(worker);
    }
}

static void claim_against_singles(struct worker *worker)
{
    worker->count = 0;
    if (worker->index == 0) {
        claim_alone(worker);
        return;
    }
    for (unsigned round = 0; round < 150; round++) {
        for (unsigned n = 0; n < 20; n++)
            MUST(worker_take_single(worker, PS_FRAME_STACK));
        worker_give_back(worker);
    }
}

CREW_CASE(claims_and_single_frames_do_not_meet, CREW_SMALL)
{
    for (unsigned round = 0; round < crew_options.scale; round++)
        crew_run(crew, claim_against_singles);
    EXPECT(crew->workers[0].count != 0);
}

/* ---- share ---- */

static void share_each(struct worker *worker)
{
    struct race *race = worker->crew->context;

    for (unsigned step = 0; step < BATCH; step++) {
        struct unit_of_race *unit = next_unit(worker, step);

        MUST_BE(
            ps_frame_pool_share(&worker->crew->pool, ps_frame(unit->first), ps_pages(unit->pages)),
            PS_OK);
    }
    crew_meet(worker);
    for (unsigned step = 0; step < BATCH; step++)
        MUST_BE(free_unit(worker, &race->units[step]), PS_OK);
}

static void expect_holders(struct crew *crew, const struct race *race, uint64_t holders)
{
    struct test *test = crew->test;

    for (unsigned i = 0; i < BATCH; i++) {
        struct ps_frame_info info;

        EXPECT_OK(ps_frame_pool_query(&crew->pool, ps_frame(race->units[i].first), &info));
        EXPECT_EQ(info.holders, holders);
        EXPECT_EQ(info.unit_pages.count, race->units[i].pages);
    }
    EXPECT_EQ(crew_now(crew).shared_units, holders > 1 ? BATCH : 0);
}

CREW_CASE(a_shared_unit_stays_until_its_last_holder_frees_it, CREW_SMALL)
{
    struct race race;

    crew->context = &race;
    for (unsigned round = 0; round < ROUNDS / 2 * crew_options.scale; round++) {
        set_up(crew, &race);
        crew_run(crew, share_each);
        expect_holders(crew, &race, 1);
        crew_run(crew, free_each);
    }
}

static void share_only(struct worker *worker)
{
    for (unsigned step = 0; step < BATCH; step++) {
        struct unit_of_race *unit = next_unit(worker, step);

        MUST_BE(
            ps_frame_pool_share(&worker->crew->pool, ps_frame(unit->first), ps_pages(unit->pages)),
            PS_OK);
    }
}

/* All but one are freed by everybody at once, as many times as there are holders. */
static void free_own_part(struct worker *worker)
{
    for (unsigned step = 0; step < BATCH; step++)
        MUST_BE(free_unit(worker, next_unit(worker, step)), PS_OK);
}

CREW_CASE(holders_are_counted_one_by_one, CREW_SMALL)
{
    struct race race;

    crew->context = &race;
    for (unsigned round = 0; round < ROUNDS / 2 * crew_options.scale; round++) {
        set_up(crew, &race);
        crew_run(crew, share_only);
        expect_holders(crew, &race, crew->threads + 1);
        crew_run(crew, free_own_part);
        expect_holders(crew, &race, 1);
        crew_run(crew, free_each);
    }
}

/* Half of the workers share once, half free once: never a holder too many or too few. */
static void share_or_free(struct worker *worker)
{
    for (unsigned step = 0; step < BATCH; step++) {
        struct unit_of_race *unit = next_unit(worker, step);
        ps_status status;

        if (worker->index % 2 == 0)
            status = ps_frame_pool_share(&worker->crew->pool, ps_frame(unit->first),
                                         ps_pages(unit->pages));
        else
            status = free_unit(worker, unit);
        /* A frame that became free may be bookkeeping by now. */
        if (status == PS_OK)
            atomic_fetch_add(worker->index % 2 == 0 ? &unit->shared : &unit->freed, 1);
        else
            MUST(status == PS_NOT_FOUND || status == PS_ACCESS_DENIED);
    }
}

static void free_rest(struct crew *crew, const struct unit_of_race *unit)
{
    struct test *test = crew->test;
    uint64_t left = 1 + unit->shared - unit->freed;
    struct ps_frame_info info;

    EXPECT_OK(ps_frame_pool_query(&crew->pool, ps_frame(unit->first), &info));
    if (left == 0)
        EXPECT(info.tag == PS_FRAME_FREE || info.tag == PS_FRAME_METADATA);
    else
        EXPECT_EQ(info.holders, left);
    for (uint64_t i = 0; i < left; i++)
        EXPECT_OK(ps_frame_pool_free(&crew->pool, ps_frame(unit->first), ps_pages(unit->pages)));
}

CREW_CASE(racing_share_and_free_leave_the_right_number_of_holders, CREW_SMALL)
{
    struct race race;

    crew->context = &race;
    for (unsigned round = 0; round < ROUNDS * crew_options.scale; round++) {
        set_up(crew, &race);
        crew_run(crew, share_or_free);
        for (unsigned i = 0; i < BATCH; i++)
            free_rest(crew, &race.units[i]);
    }
}

/* ---- split ---- */

static void split_or_free(struct worker *worker)
{
    for (unsigned step = 0; step < BATCH; step++) {
        struct unit_of_race *unit = next_unit(worker, step);
        bool splits = worker->index % 2 == 0;
        ps_status status = splits ? ps_frame_pool_split(&worker->crew->pool, ps_frame(unit->first),
                                                        ps_pages(unit->pages))
                                  : free_unit(worker, unit);

        if (status == PS_OK)
            atomic_fetch_add(splits ? &unit->split : &unit->freed, 1);
        else
            MUST(status == PS_NOT_FOUND || status == PS_WRONG_SIZE);
    }
}

/* One frame can be split any number of times, and freed after that. */
static void free_parts(struct crew *crew, const struct unit_of_race *unit)
{
    struct test *test = crew->test;

    if (unit->pages == 1) {
        EXPECT_EQ(unit->freed, crew->threads > 1);
        return;
    }
    EXPECT_EQ(unit->freed + unit->split, 1);
    for (uint64_t i = 0; i < unit->pages && unit->split != 0; i++)
        EXPECT_OK(ps_frame_pool_free(&crew->pool, ps_frame(unit->first + i), ps_pages(1)));
}

CREW_CASE(of_racing_splits_and_frees_of_a_run_exactly_one_succeeds, CREW_SMALL)
{
    struct race race;

    crew->context = &race;
    for (unsigned round = 0; round < ROUNDS / 2 * crew_options.scale; round++) {
        set_up(crew, &race);
        crew_run(crew, split_or_free);
        for (unsigned i = 0; i < BATCH; i++)
            free_parts(crew, &race.units[i]);
        EXPECT_EQ(ps_frame_pool_in_use(&crew->pool), 0);
    }
}

/* ---- memory that is added ---- */

static void add_memory(struct worker *worker)
{
    ps_status status;

    status = ps_frame_pool_add(&worker->crew->pool, ps_frame(4096 + 100), ps_pages(900));
    worker->count = status == PS_OK;
    MUST(status == PS_OK || status == PS_ALREADY_EXISTS);
    while (worker->held_count < 300 && worker_take_single(worker, PS_FRAME_USER))
        ;
}

CREW_CASE(memory_is_added_once_and_used_by_all, CREW_SMALL,
          {{4096}, {1024}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    crew_run(crew, add_memory);
    EXPECT_EQ(crew_sum(crew), 1);
    EXPECT_EQ(crew_now(crew).managed, crew->fresh.managed + 900);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
    ps_frame_pool_drain(&crew->pool);
    EXPECT_EQ(crew_now(crew).free, crew->fresh.free + 900);
    EXPECT_EQ(crew_now(crew).free_late, 900);
    crew->fresh = crew_now(crew);
}

/* Together exactly as many as there are without the memory that was added. */
static void take_from_budget(struct worker *worker)
{
    _Atomic(int64_t) *left = worker->crew->context;

    while (atomic_fetch_sub(left, 1) > 0)
        MUST(worker_take_single(worker, PS_FRAME_USER));
}

CREW_CASE(added_memory_is_used_when_nobody_finds_other_memory, CREW_SMALL,
          {{4096}, {1024}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    _Atomic(int64_t) left = (int64_t)crew->fresh.available;

    EXPECT_OK(ps_frame_pool_add(&crew->pool, ps_frame(4096 + 100), ps_pages(900)));
    crew->context = &left;
    crew_run(crew, take_from_budget);
    EXPECT_EQ(crew_held(crew, PS_FRAME_USER), crew->fresh.available);
    EXPECT_EQ(crew_now(crew).free_late, 900);
    crew_run(crew, worker_give_back);
    ps_frame_pool_drain(&crew->pool);
    crew->fresh = crew_now(crew);
}

static const struct test_case cases[] = {
    TEST_CASE(of_racing_frees_exactly_one_succeeds),
    TEST_CASE(of_racing_frees_the_one_with_the_right_size_succeeds),
    TEST_CASE(of_racing_claims_exactly_one_succeeds),
    TEST_CASE(of_claims_that_overlap_exactly_one_succeeds),
    TEST_CASE(claims_and_single_frames_do_not_meet),
    TEST_CASE(a_shared_unit_stays_until_its_last_holder_frees_it),
    TEST_CASE(holders_are_counted_one_by_one),
    TEST_CASE(racing_share_and_free_leave_the_right_number_of_holders),
    TEST_CASE(of_racing_splits_and_frees_of_a_run_exactly_one_succeeds),
    TEST_CASE(memory_is_added_once_and_used_by_all),
    TEST_CASE(added_memory_is_used_when_nobody_finds_other_memory),
};

const struct test_suite suite_frame_pool_race_threads =
    TEST_SUITE("frame_pool_race_threads", cases);
