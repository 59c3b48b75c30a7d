#define _GNU_SOURCE
#include "frame_pool_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/*
 * Calls that exclude all others: while somebody holds the pool's lock none of them comes back,
 * and each one that does leaves it free.
 */

struct caller {
    struct pool_fixture *f;
    void (*call)(struct ps_frame_pool *pool);
    atomic_bool returned;
};

static void call_add(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_add(pool, ps_frame(2100), ps_pages(1));
}

static void call_alloc(struct ps_frame_pool *pool)
{
    ps_frame_t frame;

    (void)!ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_CAN_WAIT, &frame);
}

static void call_alloc_2m(struct ps_frame_pool *pool)
{
    ps_frame_t frame;

    (void)!ps_frame_pool_alloc(pool, PS_FRAME_2M, PS_FRAME_USER, 0, &frame);
}

static void call_scattered(struct ps_frame_pool *pool)
{
    ps_frame_t frames[2];

    (void)!ps_frame_pool_alloc_scattered(pool, 2, PS_FRAME_USER, 0, frames);
}

static void call_claim(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_claim(pool, ps_frame(1000), ps_pages(3), PS_FRAME_USER);
}

static void call_share(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_share(pool, ps_frame(1000), ps_pages(3));
}

static void call_free(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_free(pool, ps_frame(1000), ps_pages(3));
}

static void call_split(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_split(pool, ps_frame(1000), ps_pages(3));
}

static void call_lend(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_lend(pool, ps_frame(1000));
}

static void call_cancel_loan(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_cancel_loan(pool, ps_frame(1000));
}

static void call_end_loan(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_end_loan(pool, ps_frame(1000), PS_FRAME_USER);
}

static void call_promise(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_promise(pool, ps_pages(2));
}

static void call_alloc_promised(struct ps_frame_pool *pool)
{
    ps_frame_t frame;

    (void)!ps_frame_pool_alloc_promised(pool, PS_FRAME_USER, 0, &frame);
}

static void call_unpromise(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_unpromise(pool, ps_pages(1));
}

static void call_watch(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_watch(pool, NULL);
}

static void call_set_wait_level(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_set_wait_level(pool, 0);
}

static void call_fill(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_fill(pool, 8);
}

static void call_quarantine(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_quarantine(pool, 3);
}

static void call_query(struct ps_frame_pool *pool)
{
    struct ps_frame_info info;

    (void)!ps_frame_pool_query(pool, ps_frame(1000), &info);
}

static void call_snapshot(struct ps_frame_pool *pool)
{
    struct ps_frame_pool_snapshot snapshot;

    ps_frame_pool_snapshot(pool, &snapshot);
}

static void call_in_use(struct ps_frame_pool *pool)
{
    (void)ps_frame_pool_in_use(pool);
}

static void call_whole(struct ps_frame_pool *pool)
{
    (void)ps_frame_pool_whole(pool, PS_FRAME_2M);
}

static void call_validate(struct ps_frame_pool *pool)
{
    (void)!ps_frame_pool_validate(pool, NULL);
}

static void call_dump(struct ps_frame_pool *pool)
{
    ps_frame_pool_dump(pool, NULL);
}

static void call_fail_after(struct ps_frame_pool *pool)
{
    ps_frame_pool_fail_after(pool, UINT64_MAX, false);
}

static void *run_caller(void *context)
{
    struct caller *caller = context;

    caller->call(&caller->f->pool);
    atomic_store(&caller->returned, true);
    return NULL;
}

static void expect_to_wait(struct test *test, struct caller *caller)
{
    const struct timespec a_moment = {.tv_nsec = 4 * 1000 * 1000};
    struct ps_frame_pool *pool = &caller->f->pool;
    uint64_t memory;
    pthread_t thread;

    ps_lock_acquire(&pool->lock);
    memory = sim_machine_checksum(caller->f->sim);
    REQUIRE(pthread_create(&thread, NULL, run_caller, caller) == 0);
    (void)nanosleep(&a_moment, NULL);
    EXPECT(!atomic_load(&caller->returned));
    EXPECT_EQ(sim_machine_checksum(caller->f->sim), memory);
    ps_lock_release(&pool->lock);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    EXPECT(!atomic_flag_test_and_set(&pool->lock.held));
    EXPECT_EQ(atomic_load(&pool->exclusive), 0);
    ps_lock_release(&pool->lock);
}

static void expect_all_to_wait(struct test *test, struct pool_fixture *f)
{
    /* Most of them do something: a unit of three is shared, cut, and its first frame lent. */
    void (*const calls[])(struct ps_frame_pool *) = {
        call_add,         call_alloc,      call_alloc_2m, call_scattered,      call_claim,
        call_share,       call_free,       call_split,    call_lend,           call_query,
        call_cancel_loan, call_end_loan,   call_watch,    call_set_wait_level, call_fill,
        call_quarantine,  call_snapshot,   call_in_use,   call_whole,          call_validate,
        call_dump,        call_fail_after, call_promise,  call_alloc_promised, call_unpromise,
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(calls); i++) {
        struct caller caller = {.f = f, .call = calls[i]};
        uint64_t failures = test->failures;

        expect_to_wait(test, &caller);
        if (test->failures != failures)
            test_note(test, "call %u of the list", (unsigned)i);
    }
}

static uint32_t processor_0(void *context)
{
    (void)context;
    return 0;
}

static void every_exclusive_call_waits_for_the_lock_and_releases_it(struct test *test)
{
    static const struct sim_range ranges[] = {POOL_SMALL,
                                              {{2100}, {1}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK}};
    struct pool_fixture f = {.sim = sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), 0)};

    REQUIRE(f.sim != NULL);
    f.sim->machine.processors = 2;
    f.sim->machine.processor = processor_0;
    if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map))) {
        expect_all_to_wait(test, &f);
        EXPECT_OK(ps_frame_pool_validate(&f.pool, NULL));
        EXPECT_EQ(f.pool.quarantine_size, 3);
    }
    sim_machine_destroy(f.sim);
}

static const struct test_case cases[] = {
    TEST_CASE(every_exclusive_call_waits_for_the_lock_and_releases_it),
};

const struct test_suite suite_frame_pool_exclusive = TEST_SUITE("frame_pool_exclusive", cases);
