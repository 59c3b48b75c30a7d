#define _GNU_SOURCE
#include "frame_pool_private.h"
#include "threads.h"

#include <time.h>

/*
 * Who waits for whom: locks are held here by hand, and calls that have to wait come back only
 * when they are let go.
 */

struct caller {
    struct worker *worker;
    ps_frame_t frame; /* of the call */
    ps_status status;
    uint64_t number;
    atomic_bool returned;
};

/* Without the first 2 MiB of the address space: these are not for quick calls. */
#define WAITS_RAM SIM_RAM(4096, 2048)

static const struct timespec a_moment = {.tv_nsec = 4 * 1000 * 1000};

static void call_alloc(struct worker *worker)
{
    struct caller *caller = worker->crew->context;

    caller->status =
        ps_frame_pool_alloc(&worker->crew->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &caller->frame);
    atomic_store(&caller->returned, true);
}

static void call_free(struct worker *worker)
{
    struct caller *caller = worker->crew->context;

    caller->status = ps_frame_pool_free(&worker->crew->pool, caller->frame, ps_pages(1));
    atomic_store(&caller->returned, true);
}

static void call_in_use(struct worker *worker)
{
    struct caller *caller = worker->crew->context;

    caller->number = ps_frame_pool_in_use(&worker->crew->pool);
    caller->status = PS_OK;
    atomic_store(&caller->returned, true);
}

/* The call, by processor 1, does not come back before `let_go`, and does after it. */
static void expect_to_wait(struct crew *crew, void (*call)(struct worker *worker),
                           void (*let_go)(struct crew *crew))
{
    struct test *test = crew->test;
    struct caller *caller = crew->context;

    atomic_store(&caller->returned, false);
    crew_start(crew, 1, call);
    (void)nanosleep(&a_moment, NULL);
    EXPECT(!atomic_load(&caller->returned));
    let_go(crew);
    crew_join(crew, 1);
    EXPECT(atomic_load(&caller->returned));
    EXPECT_OK(caller->status);
}

/* A frame that processor 1 took; quick calls for the next ones are about its chunk. */
static struct ps_frame_tract *tract_in_use(struct crew *crew)
{
    struct caller *caller = crew->context;
    struct ps_place place;

    crew_run_one(crew, 1, call_alloc);
    place = ps_place_in(ps_pool_region(&crew->pool, caller->frame.number), caller->frame.number);
    return ps_pool_tract(&crew->pool, place.region, place.tract);
}

static void let_tract_go(struct crew *crew)
{
    struct caller *caller = crew->context;
    uint64_t frame = caller->frame.number;
    struct ps_place place = ps_place_in(ps_pool_region(&crew->pool, frame), frame);

    atomic_store(&ps_pool_tract(&crew->pool, place.region, place.tract)->lock, 0);
}

CREW_CASE(a_quick_call_waits_for_its_tract, WAITS_RAM)
{
    struct caller caller = {0};
    struct ps_frame_tract *tract;
    ps_frame_t first;

    crew->context = &caller;
    tract = tract_in_use(crew);
    first = caller.frame;
    atomic_store(&tract->lock, 1);
    expect_to_wait(crew, call_alloc, let_tract_go);
    EXPECT(caller.frame.number != first.number);
    atomic_store(&tract->lock, 1);
    expect_to_wait(crew, call_free, let_tract_go);
    EXPECT_EQ(ps_frame_pool_in_use(&crew->pool), 1);
    EXPECT_OK(ps_frame_pool_free(&crew->pool, first, ps_pages(1)));
}

static void let_pool_go(struct crew *crew)
{
    atomic_store(&crew->pool.exclusive, 0);
    ps_lock_release(&crew->pool.lock);
}

static void hold_pool(struct crew *crew)
{
    ps_lock_acquire(&crew->pool.lock);
    atomic_store(&crew->pool.exclusive, 1);
}

/* It gives its tract back before it queues up: nothing of it is in the way. */
static void let_pool_go_if_nobody_is_active(struct crew *crew)
{
    struct test *test = crew->test;

    for (uint32_t i = 0; i < crew->pool.processors; i++)
        EXPECT_EQ(atomic_load(&ps_pool_processor(&crew->pool, i)->active), 0);
    let_pool_go(crew);
}

CREW_CASE(a_quick_call_gives_way_to_an_exclusive_one, WAITS_RAM)
{
    struct caller caller = {0};
    struct ps_frame_tract *tract;
    ps_frame_t first;

    crew->context = &caller;
    tract = tract_in_use(crew);
    first = caller.frame;
    hold_pool(crew);
    expect_to_wait(crew, call_alloc, let_pool_go_if_nobody_is_active);
    EXPECT_EQ(atomic_load(&tract->lock), 0);
    EXPECT(caller.frame.number != first.number);
    hold_pool(crew);
    expect_to_wait(crew, call_free, let_pool_go_if_nobody_is_active);
    EXPECT_EQ(atomic_load(&tract->lock), 0);
    EXPECT_OK(ps_frame_pool_free(&crew->pool, first, ps_pages(1)));
}

static void end_quick_call(struct crew *crew)
{
    atomic_store(&ps_pool_processor(&crew->pool, 0)->active, 0);
}

CREW_CASE(an_exclusive_call_waits_for_quick_ones, WAITS_RAM)
{
    struct caller caller = {0};

    crew->context = &caller;
    atomic_store(&ps_pool_processor(&crew->pool, 0)->active, 1);
    expect_to_wait(crew, call_in_use, end_quick_call);
    EXPECT_EQ(caller.number, 0);
    EXPECT_EQ(atomic_load(&crew->pool.exclusive), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_quick_call_waits_for_its_tract),
    TEST_CASE(a_quick_call_gives_way_to_an_exclusive_one),
    TEST_CASE(an_exclusive_call_waits_for_quick_ones),
};

const struct test_suite suite_frame_pool_waits = TEST_SUITE("frame_pool_waits", cases);
