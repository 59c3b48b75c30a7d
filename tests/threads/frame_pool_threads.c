#include "threads.h"

/*
 * Single frames on several processors at once. What is true at the end is exact: whose each
 * frame is, how many are free, and that nobody's frames are kept from anybody.
 */

/* ---- at random ---- */

static void take_and_free_singles(struct worker *worker)
{
    uint64_t steps = crew_share(worker, 40000);

    for (uint64_t step = 0; step < steps; step++) {
        if (worker->held_count == 0 ||
            (worker->held_count < 150 && test_random_below(&worker->random, 2) == 0)) {
            MUST(worker_take_single(worker, worker_tag(worker)));
        } else {
            struct held_unit unit = worker_pick(worker);

            worker_free(worker, &unit);
        }
    }
}

CREW_CASE(a_single_frame_has_one_owner, CREW_SMALL)
{
    crew_run(crew, take_and_free_singles);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

CREW_CASE(so_it_has_in_regions_that_open_meanwhile, CREW_WIDE)
{
    crew_run(crew, take_and_free_singles);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

static void work_after_each_other(struct worker *worker)
{
    for (unsigned turn = 0; turn < 4 * worker->crew->threads; turn++) {
        if (turn % worker->crew->threads == worker->index)
            for (unsigned i = 0; i < 20; i++)
                MUST(worker_take_single(worker, PS_FRAME_USER));
        crew_meet(worker);
    }
}

/* Each has a tract of its own while there are some, and takes no second chunk before it must. */
CREW_CASE(processors_that_take_turns_break_few_chunks, CREW_WIDE)
{
    struct ps_frame_pool_snapshot now;

    crew_run(crew, work_after_each_other);
    crew_expect_held(crew);
    now = crew_now(crew);
    EXPECT_EQ(crew_held(crew, PS_FRAME_USER), (uint64_t)80 * crew->threads);
    EXPECT_EQ(now.free_in[PS_FRAME_ZONE_4GIB], crew->fresh.free_in[PS_FRAME_ZONE_4GIB]);
    EXPECT(now.whole_2m + crew->threads + 1 >= crew->fresh.whole_2m);
    crew_run(crew, worker_give_back);
}

/* ---- from one to the next ---- */

enum { RING = 64 };

struct rings {
    struct ring {
        _Atomic(uint64_t) put;
        _Atomic(uint64_t) got;
        uint64_t frames[RING];
    } of[CREW_MOST];
};

static bool put_into(struct worker *worker, struct ring *ring)
{
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    ps_frame_t frame;

    if (put - atomic_load_explicit(&ring->got, memory_order_acquire) == RING)
        return false;
    if (!MUST_BE(ps_frame_pool_alloc(&worker->crew->pool, PS_FRAME_4K, PS_FRAME_OBJECT, 0, &frame),
                 PS_OK))
        return false;
    worker_owns(worker, frame.number, 1);
    ring->frames[put % RING] = frame.number;
    atomic_store_explicit(&ring->put, put + 1, memory_order_release);
    return true;
}

/* The frame is the sender's until here. */
static bool get_from(struct worker *worker, struct ring *ring, unsigned sender)
{
    struct worker as_sender = {.crew = worker->crew, .index = sender};
    uint64_t got = atomic_load_explicit(&ring->got, memory_order_relaxed);
    uint64_t frame;

    if (got == atomic_load_explicit(&ring->put, memory_order_acquire))
        return false;
    frame = ring->frames[got % RING];
    worker_disowns(&as_sender, frame, 1);
    MUST(as_sender.failures == 0);
    MUST_BE(ps_frame_pool_free(&worker->crew->pool, ps_frame(frame), ps_pages(1)), PS_OK);
    atomic_store_explicit(&ring->got, got + 1, memory_order_release);
    return true;
}

static void pass_on(struct worker *worker)
{
    struct rings *rings = worker->crew->context;
    unsigned sender = (worker->index + worker->crew->threads - 1) % worker->crew->threads;
    uint64_t frames = crew_share(worker, 16000);
    uint64_t put = 0;
    uint64_t got = 0;

    while (put < frames || got < frames) {
        bool progress = put < frames && put_into(worker, &rings->of[worker->index]);

        put += progress;
        if (got < frames && get_from(worker, &rings->of[sender], sender))
            got++;
        else if (!progress)
            crew_pause();
        if (worker->failures != 0 && put < frames && got == put)
            break;
    }
    worker->count = got;
}

CREW_CASE(frames_travel_from_processor_to_processor, CREW_SMALL)
{
    static struct rings rings;

    rings = (struct rings){0};
    crew->context = &rings;
    crew_run(crew, pass_on);
    EXPECT_EQ(crew_sum(crew), 16000 * (uint64_t)crew_options.scale / crew->threads * crew->threads);
}

/* ---- to the last one ---- */

static void take_until_none_is_left(struct worker *worker)
{
    while (worker_take_single(worker, PS_FRAME_USER))
        ;
}

static void warm_up(struct worker *worker)
{
    for (unsigned i = 0; i < 100; i++)
        MUST(worker_take_single(worker, PS_FRAME_USER));
    worker_give_back(worker);
}

static void expect_nothing_left(struct crew *crew, uint64_t expected)
{
    struct test *test = crew->test;
    ps_frame_t frame = ps_frame(77);

    EXPECT_EQ(crew_held(crew, PS_FRAME_FREE), expected);
    EXPECT_EQ(crew_now(crew).available, 0);
    EXPECT_EQ(ps_frame_pool_whole(&crew->pool, PS_FRAME_4K), 0);
    EXPECT_STATUS(ps_frame_pool_alloc(&crew->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame),
                  PS_NO_MEMORY);
    EXPECT_EQ(frame.number, 77);
    crew_expect_held(crew);
}

CREW_CASE(all_frames_are_taken_and_none_is_stranded, CREW_SMALL)
{
    uint64_t available;

    for (unsigned round = 0; round < 3 * crew_options.scale; round++) {
        crew_run(crew, warm_up);
        available = crew_now(crew).available;
        EXPECT_EQ(available, crew->fresh.available);
        crew_run(crew, take_until_none_is_left);
        expect_nothing_left(crew, available);
        crew_run(crew, worker_give_back);
    }
}

CREW_CASE(all_frames_of_all_regions_are_taken, CREW_WIDE)
{
    crew_run(crew, warm_up);
    crew_run(crew, take_until_none_is_left);
    expect_nothing_left(crew, crew->fresh.available);
    crew_run(crew, worker_give_back);
}

/* The others would have handed out some of these next, and do nothing now. */
CREW_CASE(one_processor_gets_what_others_would_hand_out, CREW_SMALL)
{
    for (unsigned index = 0; index < crew->threads; index += 1 + crew->threads / 3) {
        crew_run(crew, warm_up);
        crew_run_one(crew, index, take_until_none_is_left);
        expect_nothing_left(crew, crew->fresh.available);
        crew_run_one(crew, index, worker_give_back);
    }
}

static void take_hundred(struct worker *worker)
{
    for (unsigned i = 0; i < 100; i++)
        MUST(worker_take_single(worker, PS_FRAME_USER));
}

/* As if the frames' owners had given all of them to worker 0. */
static void collect(struct crew *crew)
{
    struct worker *first = &crew->workers[0];

    for (unsigned i = 1; i < crew->threads; i++) {
        struct worker *worker = &crew->workers[i];

        while (worker->held_count != 0) {
            struct held_unit unit = worker_pick(worker);

            worker_disowns(worker, unit.first, unit.pages);
            worker_owns(first, unit.first, unit.pages);
            worker_keep(first, unit.first, unit.pages, unit.tag);
        }
    }
}

CREW_CASE(one_processor_frees_what_all_took_and_another_gets_it, CREW_SMALL)
{
    unsigned last = crew->threads - 1;

    for (unsigned round = 0; round < 3 * crew_options.scale; round++) {
        crew_run(crew, take_hundred);
        collect(crew);
        crew_run_one(crew, 0, worker_give_back);
        crew_run_one(crew, last, take_until_none_is_left);
        expect_nothing_left(crew, crew->fresh.available);
        EXPECT_EQ(crew->workers[last].held_count, crew->fresh.available);
        crew_run_one(crew, last, worker_give_back);
    }
}

static void drain_or_work(struct worker *worker)
{
    uint64_t steps = crew_share(worker, 16000);

    if (worker->index != 0) {
        take_and_free_singles(worker);
        return;
    }
    for (uint64_t step = 0; step < steps / 4; step++)
        ps_frame_pool_drain(&worker->crew->pool);
}

CREW_CASE(hints_are_dropped_while_others_follow_them, CREW_SMALL)
{
    crew_run(crew, drain_or_work);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

/* ---- all or nothing ---- */

static void take_a_third(struct worker *worker)
{
    uint64_t count = worker->crew->fresh.available / 3;
    static _Thread_local ps_frame_t frames[1024];
    ps_status status;

    status = ps_frame_pool_alloc_scattered(&worker->crew->pool, count, PS_FRAME_USER, 0, frames);
    worker->count = status == PS_OK;
    if (status == PS_NO_MEMORY || !MUST_BE(status, PS_OK))
        return;
    for (uint64_t i = 0; i < count; i++) {
        worker_owns(worker, frames[i].number, 1);
        worker_keep(worker, frames[i].number, 1, PS_FRAME_USER);
    }
}

CREW_CASE(scattered_frames_go_to_as_many_as_can_have_all, CREW_SMALL)
{
    for (unsigned round = 0; round < 10 * crew_options.scale; round++) {
        crew_run(crew, take_a_third);
        EXPECT_EQ(crew_sum(crew), crew->threads < 3 ? crew->threads : 3);
        crew_expect_held(crew);
        crew_run(crew, worker_give_back);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(a_single_frame_has_one_owner),
    TEST_CASE(so_it_has_in_regions_that_open_meanwhile),
    TEST_CASE(processors_that_take_turns_break_few_chunks),
    TEST_CASE(frames_travel_from_processor_to_processor),
    TEST_CASE(all_frames_are_taken_and_none_is_stranded),
    TEST_CASE(all_frames_of_all_regions_are_taken),
    TEST_CASE(one_processor_gets_what_others_would_hand_out),
    TEST_CASE(one_processor_frees_what_all_took_and_another_gets_it),
    TEST_CASE(hints_are_dropped_while_others_follow_them),
    TEST_CASE(scattered_frames_go_to_as_many_as_can_have_all),
};

const struct test_suite suite_frame_pool_threads = TEST_SUITE("frame_pool_threads", cases);
