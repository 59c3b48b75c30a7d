#include "threads.h"

/*
 * A machine with one processor: the pool asks nobody which one it is, and waits for no lock.
 * Were it to take one, the case would not end before its deadline.
 */

static uint32_t never_called(void *context)
{
    struct crew *crew = context;

    (void)test_check(crew->test, false, "the processor is not asked for", __FILE__, __LINE__);
    return 0;
}

static void use_all_calls(struct crew *crew)
{
    struct test *test = crew->test;
    struct ps_frame_pool *pool = &crew->pool;
    struct ps_frame_run run = {ps_pages(9), 4, PS_FRAME_ANY, PS_FRAME_USER, 0};
    struct ps_frame_info info;
    ps_frame_t frames[3];
    ps_frame_t first;

    EXPECT_OK(ps_frame_pool_alloc_scattered(pool, 3, PS_FRAME_USER, 0, frames));
    for (unsigned i = 0; i < 3; i++)
        EXPECT_OK(ps_frame_pool_free(pool, frames[i], ps_pages(1)));
    EXPECT_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_TABLE, 0, frames));
    EXPECT_OK(ps_frame_pool_alloc(pool, PS_FRAME_2M, PS_FRAME_TABLE, 0, &frames[1]));
    EXPECT_OK(ps_frame_pool_alloc_run(pool, &run, &first));
    EXPECT_OK(ps_frame_pool_share(pool, first, run.pages));
    EXPECT_OK(ps_frame_pool_query(pool, first, &info));
    EXPECT_EQ(info.holders, 2);
    EXPECT_EQ(ps_frame_pool_in_use(pool), 1 + 512 + 9);
    EXPECT_OK(ps_frame_pool_free(pool, first, run.pages));
    EXPECT_OK(ps_frame_pool_free(pool, first, run.pages));
    EXPECT_OK(ps_frame_pool_free(pool, frames[1], ps_pages(512)));
    EXPECT_OK(ps_frame_pool_free(pool, frames[0], ps_pages(1)));
    EXPECT_STATUS(ps_frame_pool_free(pool, frames[0], ps_pages(1)), PS_NOT_FOUND);
    ps_frame_pool_drain(pool);
}

static void expect_alone(struct test *test, struct crew *crew)
{
    crew->sim->machine.processor = never_called;
    crew->sim->machine.processor_context = crew;
    ps_lock_acquire(&crew->pool.lock);
    use_all_calls(crew);
    EXPECT_OK(ps_frame_pool_validate(&crew->pool, NULL));
    ps_lock_release(&crew->pool.lock);
}

static const struct sim_range ranges[] = {CREW_SMALL};

static void a_machine_of_no_number_of_processors_takes_no_lock(struct test *test)
{
    crew_with(test, &(struct crew_machine){ranges, 1, 0}, expect_alone);
}

static void a_machine_of_one_processor_takes_no_lock(struct test *test)
{
    crew_with(test, &(struct crew_machine){ranges, 1, 1}, expect_alone);
}

/* Where all frames that are taken have one tag, and no tag bytes say what is free. */
static void expect_second_frees_refused(struct test *test, struct crew *crew)
{
    struct worker *worker = &crew->workers[0];
    struct ps_frame_pool *pool = &crew->pool;

    for (unsigned i = 0; i < 600; i++)
        EXPECT(worker_take_single(worker, PS_FRAME_USER));
    for (unsigned i = 0; i < 5; i++) {
        struct held_unit unit = worker->held[--worker->held_count - 1];

        worker->held[worker->held_count - 1] = worker->held[worker->held_count];
        worker_free(worker, &unit);
        EXPECT_STATUS(ps_frame_pool_free(pool, ps_frame(unit.first), ps_pages(1)), PS_NOT_FOUND);
        EXPECT_STATUS(ps_frame_pool_free(pool, ps_frame(unit.first), ps_pages(2)), PS_NOT_FOUND);
        EXPECT_EQ(ps_frame_pool_in_use(pool), worker->held_count);
    }
    crew_expect_held(crew);
    worker_give_back(worker);
    EXPECT_EQ(worker->failures, 0);
}

static void a_second_free_on_one_processor_is_refused(struct test *test)
{
    static const struct sim_range two_tracts[] = {SIM_RAM(4096, 8192)};

    crew_with(test, &(struct crew_machine){two_tracts, 1, 1}, expect_second_frees_refused);
}

static const struct test_case cases[] = {
    TEST_CASE(a_machine_of_no_number_of_processors_takes_no_lock),
    TEST_CASE(a_machine_of_one_processor_takes_no_lock),
    TEST_CASE(a_second_free_on_one_processor_is_refused),
};

const struct test_suite suite_frame_pool_alone = TEST_SUITE("frame_pool_alone", cases);
