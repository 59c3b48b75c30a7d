#define _GNU_SOURCE
#include "frame_pool_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/*
 * Every call takes the pool's lock: while somebody else holds it no call comes back, and
 * each one that does leaves it free.
 */

struct caller {
    struct pool_fixture *f;
    void (*call)(struct pool_fixture *f);
    atomic_bool returned;
};

static void call_add(struct pool_fixture *f)
{
    (void)!ps_frame_pool_add(&f->pool, ps_frame(2100), ps_pages(1));
}

static void call_alloc(struct pool_fixture *f)
{
    ps_frame_t frame;

    (void)!ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame);
}

static void call_alloc_run(struct pool_fixture *f)
{
    uint64_t first = 0;

    (void)!pool_try_run(f, 2, 1, UINT64_MAX, &first);
}

static void call_claim(struct pool_fixture *f)
{
    (void)!ps_frame_pool_claim(&f->pool, ps_frame(1000), ps_pages(1), PS_FRAME_USER);
}

static void call_split(struct pool_fixture *f)
{
    (void)!ps_frame_pool_split(&f->pool, ps_frame(1000), ps_pages(1));
}

static void call_free(struct pool_fixture *f)
{
    (void)!ps_frame_pool_free(&f->pool, ps_frame(1000), ps_pages(1));
}

static void call_query(struct pool_fixture *f)
{
    struct ps_frame_info info;

    (void)!ps_frame_pool_query(&f->pool, ps_frame(1000), &info);
}

static void call_snapshot(struct pool_fixture *f)
{
    struct ps_frame_pool_snapshot snapshot;

    ps_frame_pool_snapshot(&f->pool, &snapshot);
}

static void call_in_use(struct pool_fixture *f)
{
    (void)ps_frame_pool_in_use(&f->pool);
}

static void call_validate(struct pool_fixture *f)
{
    (void)!ps_frame_pool_validate(&f->pool, NULL);
}

static void call_dump(struct pool_fixture *f)
{
    ps_frame_pool_dump(&f->pool, NULL);
}

static void call_fail_after(struct pool_fixture *f)
{
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
}

static void *run_caller(void *context)
{
    struct caller *caller = context;

    caller->call(caller->f);
    atomic_store(&caller->returned, true);
    return NULL;
}

static void expect_to_wait(struct test *test, struct caller *caller)
{
    const struct timespec a_moment = {.tv_nsec = 4 * 1000 * 1000};
    pthread_t thread;

    ps_lock_acquire(&caller->f->pool.lock);
    REQUIRE(pthread_create(&thread, NULL, run_caller, caller) == 0);
    (void)nanosleep(&a_moment, NULL);
    EXPECT(!atomic_load(&caller->returned));
    ps_lock_release(&caller->f->pool.lock);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    EXPECT(!atomic_flag_test_and_set(&caller->f->pool.lock.held));
    ps_lock_release(&caller->f->pool.lock);
}

POOL_CASE(every_call_waits_for_the_lock_and_releases_it, POOL_SMALL,
          {{2100}, {1}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    void (*const calls[])(struct pool_fixture * f) = {
        call_add,   call_alloc,    call_alloc_run, call_claim,    call_split, call_free,
        call_query, call_snapshot, call_in_use,    call_validate, call_dump,  call_fail_after,
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(calls); i++) {
        struct caller caller = {.f = f, .call = calls[i]};
        uint64_t failures = test->failures;

        expect_to_wait(test, &caller);
        if (test->failures != failures)
            test_note(test, "call %u of the list", (unsigned)i);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(every_call_waits_for_the_lock_and_releases_it),
};

const struct test_suite suite_frame_pool_lock = TEST_SUITE("frame_pool_lock", cases);
