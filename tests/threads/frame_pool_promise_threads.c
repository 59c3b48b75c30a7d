#include "threads.h"

/*
 * Promises are kept to the frame, whoever takes and promises at the same time. One frame is held
 * all the time, so that the tag bytes of the only tract stay where they are.
 */

static uint64_t hold_one(struct crew *crew)
{
    struct test *test = crew->test;
    ps_frame_t frame = {0};

    EXPECT_OK(ps_frame_pool_alloc(&crew->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    return frame.number;
}

static void drop_one(struct crew *crew, uint64_t frame)
{
    struct test *test = crew->test;

    EXPECT_OK(ps_frame_pool_free(&crew->pool, ps_frame(frame), ps_pages(1)));
}

static void take_promised(struct worker *worker)
{
    ps_frame_t frame;

    if (!MUST_BE(ps_frame_pool_alloc_promised(&worker->crew->pool, PS_FRAME_TABLE, 0, &frame),
                 PS_OK))
        return;
    worker_owns(worker, frame.number, 1);
    worker_keep(worker, frame.number, 1, PS_FRAME_TABLE);
}

static void take_until_refused(struct worker *worker)
{
    worker->count = 0;
    while (worker_take_single(worker, PS_FRAME_USER))
        worker->count++;
}

CREW_CASE(who_races_for_the_last_frames_leaves_the_promised_ones, CREW_SMALL)
{
    uint64_t one = hold_one(crew);
    uint64_t available = crew_now(crew).available;

    for (unsigned round = 0; round < 8 * crew_options.scale; round++) {
        uint64_t others = 1 + round * 37 % 200;
        uint64_t promised = available - others;

        EXPECT_OK(ps_frame_pool_promise(&crew->pool, ps_pages(promised)));
        crew_run(crew, take_until_refused);
        EXPECT_EQ(crew_sum(crew), others);
        EXPECT_EQ(crew_now(crew).available, promised);
        EXPECT_OK(ps_frame_pool_validate(&crew->pool, NULL));
        crew_run(crew, take_promised);
        crew_run(crew, worker_give_back);
        EXPECT_OK(ps_frame_pool_unpromise(&crew->pool, ps_pages(promised - crew->threads)));
        EXPECT_EQ(crew_now(crew).available, available);
    }
    drop_one(crew, one);
}

/* What others give back may be had, and no more: nobody ever finds his promise broken. */
static void promise_and_take(struct worker *worker)
{
    struct ps_frame_pool *pool = &worker->crew->pool;
    uint64_t rounds = crew_share(worker, 800);

    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t frames = 1 + test_random_below(&worker->random, 12);
        ps_status status = ps_frame_pool_promise(pool, ps_pages(frames));

        while (test_random_below(&worker->random, 40) != 0)
            if (!worker_take_single(worker, PS_FRAME_USER))
                break;
        for (uint64_t i = 0; status == PS_OK && i < frames; i++) {
            if (test_random_below(&worker->random, 8) == 0)
                MUST_BE(ps_frame_pool_unpromise(pool, ps_pages(1)), PS_OK);
            else
                take_promised(worker);
        }
        if (test_random_below(&worker->random, 4) == 0)
            worker_give_back(worker);
    }
    worker_give_back(worker);
}

CREW_CASE(promises_are_kept_among_those_who_take_and_give, CREW_SMALL)
{
    uint64_t one = hold_one(crew);
    uint64_t available = crew_now(crew).available;

    EXPECT_OK(ps_frame_pool_promise(&crew->pool, ps_pages(available - 150)));
    crew_run(crew, promise_and_take);
    EXPECT_EQ(crew_now(crew).promised, available - 150);
    EXPECT_OK(ps_frame_pool_unpromise(&crew->pool, ps_pages(available - 150)));
    drop_one(crew, one);
}

static const struct test_case cases[] = {
    TEST_CASE(who_races_for_the_last_frames_leaves_the_promised_ones),
    TEST_CASE(promises_are_kept_among_those_who_take_and_give),
};

const struct test_suite suite_frame_pool_promise_threads =
    TEST_SUITE("frame_pool_promise_threads", cases);
