#include "threads.h"

/*
 * Every kind of unit on several processors at once. Calls may be refused only for the reasons
 * that the state of the pool at that moment gives them.
 */

enum { UNITS_MOST = 40, SCATTERED_MOST = 24 };

static bool none_left(ps_status status)
{
    return status == PS_NO_MEMORY || status == PS_NO_SPACE;
}

static void got(struct worker *worker, uint64_t first, uint64_t pages, enum ps_frame_tag tag)
{
    worker_owns(worker, first, pages);
    worker_keep(worker, first, pages, tag);
}

static void take_of_size(struct worker *worker, enum ps_frame_size size)
{
    enum ps_frame_tag tag = worker_tag(worker);
    ps_frame_t frame;
    ps_status status = ps_frame_pool_alloc(&worker->crew->pool, size, tag, 0, &frame);

    if (none_left(status) || !MUST_BE(status, PS_OK))
        return;
    MUST(frame.number % ps_frame_size_pages(size).count == 0);
    got(worker, frame.number, ps_frame_size_pages(size).count, tag);
}

static ps_frame_t random_limit(struct worker *worker)
{
    switch (test_random_below(&worker->random, 6)) {
    case 0:
        return PS_FRAME_BELOW_1MIB;
    case 1:
        return PS_FRAME_BELOW_4GIB;
    default:
        return PS_FRAME_ANY;
    }
}

static void take_run(struct worker *worker)
{
    struct ps_frame_run run = {
        .pages = ps_pages(1 + test_random_below(&worker->random, 700)),
        .alignment = (uint64_t)1 << test_random_below(&worker->random, 6),
        .limit = random_limit(worker),
        .tag = worker_tag(worker),
        .flags = test_random_below(&worker->random, 8) == 0 ? PS_FRAME_ZERO : 0,
    };
    ps_frame_t frame;
    ps_status status = ps_frame_pool_alloc_run(&worker->crew->pool, &run, &frame);

    if (none_left(status) || !MUST_BE(status, PS_OK))
        return;
    MUST(frame.number % run.alignment == 0);
    MUST(frame.number + run.pages.count - 1 <= run.limit.number);
    got(worker, frame.number, run.pages.count, run.tag);
}

static void take_scattered(struct worker *worker)
{
    uint64_t count = 1 + test_random_below(&worker->random, SCATTERED_MOST);
    enum ps_frame_tag tag = worker_tag(worker);
    ps_frame_t frames[SCATTERED_MOST];
    ps_status status = ps_frame_pool_alloc_scattered(&worker->crew->pool, count, tag, 0, frames);

    if (status == PS_NO_MEMORY || !MUST_BE(status, PS_OK))
        return;
    for (uint64_t i = 0; i < count; i++)
        got(worker, frames[i].number, 1, tag);
}

static void claim(struct worker *worker)
{
    struct sim_machine *sim = worker->crew->sim;
    const struct sim_range *range =
        &sim->ranges[test_random_below(&worker->random, sim->range_count)];
    uint64_t first = range->first.number + test_random_below(&worker->random, range->pages.count);
    uint64_t pages = 1 + test_random_below(&worker->random, 30);
    enum ps_frame_tag tag = worker_tag(worker);
    ps_status status =
        ps_frame_pool_claim(&worker->crew->pool, ps_frame(first), ps_pages(pages), tag);

    if (status == PS_OK)
        got(worker, first, pages, tag);
    else
        MUST(status == PS_ALREADY_EXISTS || status == PS_NOT_FOUND || status == PS_NO_MEMORY);
}

static void take_something(struct worker *worker)
{
    switch (test_random_below(&worker->random, 8)) {
    case 0:
        take_run(worker);
        break;
    case 1:
        take_of_size(worker, PS_FRAME_2M);
        break;
    case 2:
        take_scattered(worker);
        break;
    case 3:
        claim(worker);
        break;
    default:
        take_of_size(worker, PS_FRAME_4K);
        break;
    }
}

/* Refused, whatever the others do. */
static void free_wrongly(struct worker *worker, const struct held_unit *unit)
{
    struct ps_frame_pool *pool = &worker->crew->pool;
    uint64_t inside = unit->first + test_random_below(&worker->random, unit->pages);

    MUST_BE(ps_frame_pool_free(pool, ps_frame(unit->first), ps_pages(unit->pages + 1)),
            PS_WRONG_SIZE);
    if (inside != unit->first)
        MUST_BE(ps_frame_pool_free(pool, ps_frame(inside), ps_pages(1)), PS_NOT_FOUND);
}

static void split(struct worker *worker, const struct held_unit *unit)
{
    MUST_BE(ps_frame_pool_split(&worker->crew->pool, ps_frame(unit->first), ps_pages(unit->pages)),
            PS_OK);
    worker_disowns(worker, unit->first, unit->pages);
    for (uint64_t i = 0; i < unit->pages; i++)
        got(worker, unit->first + i, 1, unit->tag);
}

static void give_something(struct worker *worker)
{
    struct held_unit unit = worker_pick(worker);
    uint64_t what = test_random_below(&worker->random, 10);

    if (what == 0)
        free_wrongly(worker, &unit);
    if (what == 1 && unit.pages <= 512)
        split(worker, &unit);
    else
        worker_free(worker, &unit);
}

static void mix(struct worker *worker)
{
    uint64_t steps = crew_share(worker, 8000);

    for (uint64_t step = 0; step < steps; step++) {
        if (worker->held_count == 0 ||
            (worker->held_count < UNITS_MOST && test_random_below(&worker->random, 100) < 55))
            take_something(worker);
        else
            give_something(worker);
    }
}

CREW_CASE(units_of_all_kinds_have_one_owner, CREW_WIDE)
{
    crew_run(crew, mix);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

/* Little memory: runs, tag bytes and single frames are refused and succeed in turns. */
CREW_CASE(so_they_have_when_memory_is_short, SIM_RAM(0, 1600))
{
    crew_run(crew, mix);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

/* ---- 1 GiB ---- */

static void mix_with_gigabytes(struct worker *worker)
{
    uint64_t steps = crew_share(worker, 1200);

    for (uint64_t step = 0; step < steps; step++) {
        uint64_t what = test_random_below(&worker->random, 60);

        if (worker->held_count > 12 || (what < 20 && worker->held_count != 0))
            give_something(worker);
        else if (what == 59)
            take_of_size(worker, PS_FRAME_1G);
        else
            take_of_size(worker, what % 2 == 0 ? PS_FRAME_4K : PS_FRAME_2M);
    }
}

CREW_CASE(a_gigabyte_has_one_owner_beside_frames_of_it, SIM_RAM(0, 1024),
          {{0x40000}, {0x100000}, PS_MEMORY_USABLE, SIM_PLAIN})
{
    crew_run(crew, mix_with_gigabytes);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

/* ---- watched ---- */

static bool snapshot_is_consistent(const struct ps_frame_pool_snapshot *now)
{
    uint64_t sum = 0;
    uint64_t zones = 0;

    for (unsigned tag = 0; tag < PS_FRAME_TAG_COUNT; tag++)
        sum += now->by_tag[tag];
    for (unsigned zone = 0; zone < PS_FRAME_ZONES; zone++)
        zones += now->free_in[zone];
    return sum == now->managed && now->free == now->by_tag[PS_FRAME_FREE] && zones == now->free &&
           now->available <= now->free && now->metadata == now->by_tag[PS_FRAME_METADATA];
}

static bool info_is_consistent(uint64_t frame, const struct ps_frame_info *info)
{
    if (!info->managed)
        return info->unit_pages.count == 0 && info->holders == 0;
    if (info->tag == PS_FRAME_FREE)
        return info->unit_pages.count == 0 && info->holders == 0;
    return info->unit.number <= frame && frame - info->unit.number < info->unit_pages.count &&
           info->holders == 1;
}

static void ignore(void *context, const char *text, size_t length)
{
    (void)text;
    *(uint64_t *)context += length;
}

static void look(struct worker *worker)
{
    struct ps_frame_pool *pool = &worker->crew->pool;
    struct ps_frame_pool_snapshot now;
    uint64_t written = 0;
    struct ps_sink sink = {ignore, &written};

    ps_frame_pool_snapshot(pool, &now);
    MUST(snapshot_is_consistent(&now));
    for (unsigned i = 0; i < 20; i++) {
        uint64_t frame = test_random_below(&worker->random, 2048);
        struct ps_frame_info info;

        MUST_BE(ps_frame_pool_query(pool, ps_frame(frame), &info), PS_OK);
        MUST(info_is_consistent(frame, &info));
    }
    MUST(ps_frame_pool_in_use(pool) <= now.managed);
    MUST(ps_frame_pool_whole(pool, PS_FRAME_4K) <= now.managed);
    MUST_BE(ps_frame_pool_validate(pool, &sink), PS_OK);
    MUST(written == 0);
    ps_frame_pool_dump(pool, &sink);
    MUST(written != 0);
}

static void look_or_work(struct worker *worker)
{
    uint64_t looks = crew_share(worker, 800);

    if (worker->index != 0)
        mix(worker);
    for (uint64_t i = 0; i < looks && worker->index == 0; i++)
        look(worker);
}

CREW_CASE(whoever_looks_sees_a_consistent_pool, CREW_SMALL)
{
    crew_run(crew, look_or_work);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

/* ---- with instruments ---- */

static void fill_and_quarantine(struct crew *crew, uint64_t bytes, uint64_t frees)
{
    struct test *test = crew->test;

    EXPECT_OK(ps_frame_pool_fill(&crew->pool, bytes));
    EXPECT_OK(ps_frame_pool_quarantine(&crew->pool, frees));
}

CREW_CASE(units_have_one_owner_under_fill_checking_and_quarantine, CREW_SMALL)
{
    fill_and_quarantine(crew, 64, 10);
    crew_run(crew, mix);
    crew_run(crew, worker_give_back);
    EXPECT_EQ(crew_now(crew).quarantined_units, 10);
    EXPECT_OK(ps_frame_pool_validate(&crew->pool, NULL));
    fill_and_quarantine(crew, 0, 0);
}

static void switch_or_work(struct worker *worker)
{
    struct ps_frame_pool *pool = &worker->crew->pool;
    uint64_t rounds = crew_share(worker, 160);

    if (worker->index != 0)
        mix(worker);
    for (uint64_t i = 0; i < rounds && worker->index == 0; i++) {
        ps_status status = ps_frame_pool_quarantine(pool, i % 4);

        MUST_BE(ps_frame_pool_fill(pool, i % 3 * 8), PS_OK);
        MUST(status == PS_OK || none_left(status));
        MUST_BE(ps_frame_pool_validate(pool, NULL), PS_OK);
    }
}

CREW_CASE(instruments_are_switched_while_others_work, CREW_SMALL)
{
    crew_run(crew, switch_or_work);
    fill_and_quarantine(crew, 0, 0);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

static const struct test_case cases[] = {
    TEST_CASE(units_of_all_kinds_have_one_owner),
    TEST_CASE(so_they_have_when_memory_is_short),
    TEST_CASE(a_gigabyte_has_one_owner_beside_frames_of_it),
    TEST_CASE(whoever_looks_sees_a_consistent_pool),
    TEST_CASE(units_have_one_owner_under_fill_checking_and_quarantine),
    TEST_CASE(instruments_are_switched_while_others_work),
};

const struct test_suite suite_frame_pool_mixed_threads =
    TEST_SUITE("frame_pool_mixed_threads", cases);
