#include "threads.h"

#include "hw.h"

/*
 * What must happen once happens once, and limits hold to the frame, whoever gets there first.
 * One frame is held all the time, so that the tag bytes of the only tract stay where they are
 * and every other frame that is taken is one frame less.
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

/* ---- watermarks ---- */

/* Nothing here is atomic: only one notification is due at a time, and the pool orders them. */
struct watch {
    struct crew *crew;
    uint64_t calls;
    uint64_t free; /* that it was told */
    uint64_t low;  /* watched for at the moment; 0: high is */
    uint64_t high;
    uint64_t wrong;
};

static void note_call(void *context, uint64_t free_frames)
{
    struct watch *watch = context;

    watch->calls++;
    watch->free = free_frames;
}

static ps_status set_watermarks(struct watch *watch, uint64_t low, uint64_t high,
                                void (*notify)(void *context, uint64_t free_frames))
{
    struct ps_frame_watermarks watermarks = {low, high, notify, watch};

    return ps_frame_pool_watch(&watch->crew->pool, &watermarks);
}

static void take_forty(struct worker *worker)
{
    for (unsigned i = 0; i < 40; i++)
        MUST(worker_take_single(worker, PS_FRAME_USER));
}

static void take_one(struct worker *worker)
{
    MUST(worker_take_single(worker, PS_FRAME_USER));
}

static void free_one(struct worker *worker)
{
    struct held_unit unit = worker_pick(worker);

    worker_free(worker, &unit);
}

CREW_CASE(the_low_watermark_is_passed_once, CREW_SMALL)
{
    uint64_t one = hold_one(crew);
    uint64_t free = crew_now(crew).free;
    uint64_t taken = (uint64_t)40 * crew->threads;
    struct watch watch = {.crew = crew};

    for (unsigned round = 0; round < 10 * crew_options.scale; round++) {
        watch.calls = 0;
        EXPECT_OK(set_watermarks(&watch, free - taken, UINT64_MAX, note_call));
        crew_run(crew, take_forty);
        EXPECT_EQ(crew_now(crew).free, free - taken);
        EXPECT_EQ(watch.calls, 0);
        crew_run(crew, take_one);
        EXPECT_EQ(watch.calls, 1);
        EXPECT(watch.free < free - taken && watch.free >= free - taken - crew->threads);
        crew_run(crew, worker_give_back);
        EXPECT_EQ(watch.calls, 1);
    }
    drop_one(crew, one);
    EXPECT_OK(ps_frame_pool_watch(&crew->pool, NULL));
}

CREW_CASE(the_high_watermark_is_passed_once, CREW_SMALL)
{
    uint64_t one = hold_one(crew);
    uint64_t free = crew_now(crew).free;
    struct watch watch = {.crew = crew};

    for (unsigned round = 0; round < 10 * crew_options.scale; round++) {
        crew_run(crew, take_forty);
        watch.calls = 0;
        EXPECT_OK(set_watermarks(&watch, 0, free - crew->threads, note_call));
        for (unsigned i = 0; i < 39; i++)
            crew_run(crew, free_one);
        EXPECT_EQ(crew_now(crew).free, free - crew->threads);
        EXPECT_EQ(watch.calls, 0);
        crew_run(crew, free_one);
        EXPECT_EQ(watch.calls, 1);
        EXPECT(watch.free > free - crew->threads && watch.free <= free);
    }
    drop_one(crew, one);
    EXPECT_OK(ps_frame_pool_watch(&crew->pool, NULL));
}

/* Each notification asks for the opposite one. */
static void turn_round(void *context, uint64_t free_frames)
{
    struct watch *watch = context;
    bool was_low = watch->low != 0;
    uint64_t middle = watch->free;

    watch->calls++;
    watch->wrong += was_low ? free_frames >= watch->low : free_frames <= watch->high;
    watch->low = was_low ? 0 : middle - 20;
    watch->high = was_low ? middle + 20 : UINT64_MAX;
    watch->wrong += set_watermarks(watch, watch->low, watch->high, turn_round) != PS_OK;
}

/* All take a few, then all give them back, together further than the watermarks are apart. */
static void swing(struct worker *worker)
{
    unsigned reach = 100 / worker->crew->threads + 5;

    for (unsigned round = 0; round < 100 * crew_options.scale; round++) {
        for (unsigned i = 0; i < reach; i++)
            MUST(worker_take_single(worker, PS_FRAME_USER));
        crew_meet(worker);
        worker_give_back(worker);
        crew_meet(worker);
    }
}

CREW_CASE(notifications_alternate_when_each_asks_for_the_opposite, CREW_SMALL)
{
    uint64_t one = hold_one(crew);
    uint64_t free = crew_now(crew).free;
    struct watch watch = {.crew = crew, .free = free - 50, .low = free - 70, .high = UINT64_MAX};

    EXPECT_OK(set_watermarks(&watch, watch.low, watch.high, turn_round));
    crew_run(crew, swing);
    EXPECT_EQ(watch.calls, 200 * crew_options.scale);
    EXPECT_EQ(watch.wrong, 0);
    EXPECT_EQ(watch.low, free - 70);
    EXPECT_OK(ps_frame_pool_watch(&crew->pool, NULL));
    drop_one(crew, one);
}

/* ---- the wait level ---- */

static void take_what_can_wait(struct worker *worker)
{
    ps_frame_t frame;
    ps_status status;

    for (;;) {
        status = ps_frame_pool_alloc(&worker->crew->pool, PS_FRAME_4K, PS_FRAME_USER,
                                     PS_FRAME_CAN_WAIT, &frame);
        if (status != PS_OK)
            break;
        worker_owns(worker, frame.number, 1);
        worker_keep(worker, frame.number, 1, PS_FRAME_USER);
    }
    MUST_BE(status, PS_SHOULD_WAIT);
}

CREW_CASE(requests_that_can_wait_leave_exactly_the_wait_level, CREW_SMALL)
{
    uint64_t one = hold_one(crew);

    EXPECT_OK(ps_frame_pool_set_wait_level(&crew->pool, 1000));
    for (unsigned round = 0; round < 3 * crew_options.scale; round++) {
        crew_run(crew, take_what_can_wait);
        EXPECT_EQ(crew_now(crew).free, 1000);
        crew_run(crew, take_one);
        EXPECT_EQ(crew_now(crew).free, 1000 - crew->threads);
        crew_run(crew, worker_give_back);
    }
    EXPECT_OK(ps_frame_pool_set_wait_level(&crew->pool, 0));
    drop_one(crew, one);
}

/* ---- failures that were asked for ---- */

static void take_until_refused(struct worker *worker)
{
    worker->count = 0;
    while (worker_take_single(worker, PS_FRAME_USER))
        worker->count++;
}

CREW_CASE(the_asked_number_of_calls_succeeds_and_no_more, CREW_SMALL)
{
    for (unsigned round = 0; round < 5 * crew_options.scale; round++) {
        ps_frame_pool_fail_after(&crew->pool, 300 + round, true);
        crew_run(crew, take_until_refused);
        EXPECT_EQ(crew_sum(crew), 300 + round);
        ps_frame_pool_fail_after(&crew->pool, UINT64_MAX, false);
        crew_expect_held(crew);
        crew_run(crew, worker_give_back);
    }
}

static void take_hundred_times(struct worker *worker)
{
    worker->count = 0;
    for (unsigned i = 0; i < 100; i++)
        worker->count += worker_take_single(worker, PS_FRAME_USER);
}

CREW_CASE(one_failure_that_was_asked_for_is_one_of_all, CREW_SMALL)
{
    for (unsigned round = 0; round < 5 * crew_options.scale; round++) {
        ps_frame_pool_fail_after(&crew->pool, 30 + round, false);
        crew_run(crew, take_hundred_times);
        EXPECT_EQ(crew_sum(crew), (uint64_t)100 * crew->threads - 1);
        crew_run(crew, worker_give_back);
    }
    ps_frame_pool_fail_after(&crew->pool, UINT64_MAX, false);
}

/* ---- damage ---- */

static void take_all_but_damaged(struct worker *worker)
{
    ps_status status = PS_OK;

    worker->count = 0;
    while (status != PS_NO_MEMORY) {
        ps_frame_t frame;

        status = ps_frame_pool_alloc(&worker->crew->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame);
        worker->count += status == PS_CORRUPT;
        if (status == PS_OK) {
            worker_owns(worker, frame.number, 1);
            worker_keep(worker, frame.number, 1, PS_FRAME_USER);
        }
    }
}

CREW_CASE(a_damaged_frame_is_found_once_and_given_to_nobody, CREW_SMALL)
{
    uint64_t *words = ps_hw_frame(&crew->sim->machine, ps_frame(1234));
    uint64_t available;

    EXPECT_OK(ps_frame_pool_fill(&crew->pool, 64));
    available = crew_now(crew).available;
    words[3] ^= 1;
    crew_run(crew, take_all_but_damaged);
    EXPECT_EQ(crew_sum(crew), 1);
    EXPECT_EQ(crew_held(crew, PS_FRAME_USER), available - 1);
    EXPECT_EQ(crew_now(crew).damaged, 1);
    EXPECT_EQ(crew_now(crew).last_damaged.number, 1234);
    EXPECT_EQ(crew_now(crew).by_tag[PS_FRAME_DAMAGED], 1);
    crew_run(crew, worker_give_back);
    EXPECT_OK(ps_frame_pool_fill(&crew->pool, 0));
    EXPECT_EQ(crew_now(crew).free + 1 + crew_now(crew).metadata, crew->fresh.managed);
    ps_frame_pool_drain(&crew->pool);
    crew->fresh = crew_now(crew);
}

/* ---- loans ---- */

enum { LENT = 6 };

static void borrow_some(struct worker *worker)
{
    for (unsigned i = 0; i < LENT; i++) {
        ps_frame_t frame;

        if (!MUST_BE(ps_frame_pool_alloc(&worker->crew->pool, PS_FRAME_4K, PS_FRAME_OBJECT,
                                         PS_FRAME_BORROW, &frame),
                     PS_OK))
            continue;
        worker_owns(worker, frame.number, 1);
        worker_keep(worker, frame.number, 1, PS_FRAME_OBJECT);
    }
    worker_give_back(worker);
}

static void end_loan(struct worker *worker, ps_frame_t frame)
{
    struct ps_frame_pool *pool = &worker->crew->pool;
    ps_status status;

    MUST_BE(ps_frame_pool_cancel_loan(pool, frame), PS_OK);
    for (;;) {
        status = ps_frame_pool_end_loan(pool, frame, PS_FRAME_TABLE);
        if (status != PS_ALREADY_EXISTS)
            break;
        crew_pause();
    }
    if (!MUST_BE(status, PS_OK))
        return;
    worker_owns(worker, frame.number, 1);
    worker_keep(worker, frame.number, 1, PS_FRAME_TABLE);
}

static void lend_and_borrow(struct worker *worker)
{
    uint64_t rounds = crew_share(worker, 400);
    struct held_unit lent[LENT];

    for (uint64_t round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < LENT; i++) {
            MUST(worker_take_single(worker, PS_FRAME_TABLE));
            lent[i] = worker_pick(worker);
            worker_disowns(worker, lent[i].first, 1);
            MUST_BE(ps_frame_pool_lend(&worker->crew->pool, ps_frame(lent[i].first)), PS_OK);
        }
        borrow_some(worker);
        for (unsigned i = 0; i < LENT; i++)
            end_loan(worker, ps_frame(lent[i].first));
        worker_give_back(worker);
    }
}

CREW_CASE(lent_frames_have_one_borrower_and_come_back, CREW_SMALL)
{
    crew_run(crew, lend_and_borrow);
    EXPECT_EQ(crew_now(crew).loans, 0);
    EXPECT_EQ(crew_now(crew).loans_out, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(the_low_watermark_is_passed_once),
    TEST_CASE(the_high_watermark_is_passed_once),
    TEST_CASE(notifications_alternate_when_each_asks_for_the_opposite),
    TEST_CASE(requests_that_can_wait_leave_exactly_the_wait_level),
    TEST_CASE(the_asked_number_of_calls_succeeds_and_no_more),
    TEST_CASE(one_failure_that_was_asked_for_is_one_of_all),
    TEST_CASE(a_damaged_frame_is_found_once_and_given_to_nobody),
    TEST_CASE(lent_frames_have_one_borrower_and_come_back),
};

const struct test_suite suite_frame_pool_watch_threads =
    TEST_SUITE("frame_pool_watch_threads", cases);
