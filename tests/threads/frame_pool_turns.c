#include "threads.h"

/*
 * Several processors, one after the other: what each gets is certain, and so is what it is told
 * about frames of another one.
 */

enum { TRACT = 4096, CHUNK = 512 };

/* Two tracts at 16 MiB; what the pool sets aside is in the second one. */
#define TWO_TRACTS SIM_RAM(TRACT, 2 * TRACT)

static void take_one(struct worker *worker)
{
    MUST(worker_take_single(worker, PS_FRAME_USER));
}

static uint64_t took(struct crew *crew, unsigned index)
{
    struct worker *worker = &crew->workers[index];

    crew_run_one(crew, index, take_one);
    return worker->held_count == 0 ? 0 : worker->held[worker->held_count - 1].first;
}

/* The last one that was taken, without the oracle. */
static void free_last(struct worker *worker)
{
    struct held_unit unit = worker->held[--worker->held_count];

    worker_free(worker, &unit);
}

struct attempt {
    uint64_t frame;
    ps_status status;
};

static void try_to_free(struct worker *worker)
{
    struct attempt *attempt = worker->crew->context;

    attempt->status =
        ps_frame_pool_free(&worker->crew->pool, ps_frame(attempt->frame), ps_pages(1));
}

static ps_status freed_by(struct crew *crew, unsigned index, uint64_t frame)
{
    struct attempt attempt = {.frame = frame};

    crew->context = &attempt;
    crew_run_one(crew, index, try_to_free);
    return attempt.status;
}

/* Whoever comes first gets frames beside what the pool set aside, the next one 2 MiB of its own. */
CREW_CASE(a_second_free_by_any_processor_is_refused, TWO_TRACTS)
{
    (void)took(crew, 1);
    for (unsigned i = 0; i < 8; i++)
        (void)took(crew, 0);
    for (unsigned index = 0; index < crew->threads; index++) {
        uint64_t frame = took(crew, 0);

        crew_run_one(crew, 0, free_last);
        EXPECT_STATUS(freed_by(crew, index, frame), PS_NOT_FOUND);
        EXPECT_STATUS(freed_by(crew, 0, frame), PS_NOT_FOUND);
        EXPECT_STATUS(freed_by(crew, index, frame + 1), PS_NOT_FOUND);
    }
    EXPECT_EQ(ps_frame_pool_in_use(&crew->pool), 9);
    crew_run(crew, worker_give_back);
}

CREW_CASE(a_free_frame_where_nobody_has_been_is_refused, TWO_TRACTS, SIM_RAM(0x40000, 1024))
{
    for (unsigned index = 0; index < crew->threads; index++) {
        (void)took(crew, index);
        EXPECT_STATUS(freed_by(crew, index, TRACT + 7), PS_NOT_FOUND);
        EXPECT_STATUS(freed_by(crew, index, 0x40000 + 7), PS_NOT_FOUND);
        EXPECT_STATUS(freed_by(crew, index, 0x40000 - 7), PS_OUT_OF_RANGE);
        EXPECT_STATUS(freed_by(crew, index, 7), PS_OUT_OF_RANGE);
    }
    crew_run(crew, worker_give_back);
}

CREW_CASE(processors_begin_in_tracts_of_their_own, TWO_TRACTS)
{
    uint64_t first = took(crew, 0);
    uint64_t second = took(crew, 1);

    EXPECT(first / TRACT != second / TRACT);
    EXPECT_EQ(took(crew, 0) / CHUNK, first / CHUNK);
    EXPECT_EQ(took(crew, 1) / CHUNK, second / CHUNK);
    crew_run(crew, worker_give_back);
}

static void take_the_rest(struct worker *worker)
{
    while (worker_take_single(worker, PS_FRAME_USER))
        ;
}

/* One tract has no tag bytes, and needs none: it keeps a frame back for them to the end. */
CREW_CASE(the_frame_that_is_kept_back_is_nobodys, TWO_TRACTS)
{
    struct ps_frame_pool_snapshot now;

    crew_run_one(crew, 0, take_the_rest);
    now = crew_now(crew);
    EXPECT_EQ(now.available, 0);
    EXPECT_EQ(now.free, 1);
    EXPECT_EQ(crew->workers[0].held_count, crew->fresh.available);
    crew_run_one(crew, 1, take_the_rest);
    EXPECT_EQ(crew->workers[1].held_count, 0);
    crew_expect_held(crew);
    crew_run_one(crew, 0, free_last);
    (void)took(crew, 1);
    crew_expect_held(crew);
    crew_run(crew, worker_give_back);
}

/* Give back a frame that worker 0 holds, as processor `index`. */
static void free_held(struct crew *crew, unsigned index, size_t at)
{
    struct test *test = crew->test;
    struct worker *holder = &crew->workers[0];
    struct held_unit unit = holder->held[at];

    holder->held[at] = holder->held[--holder->held_count];
    worker_disowns(holder, unit.first, 1);
    EXPECT_STATUS(freed_by(crew, index, unit.first), PS_OK);
}

/* Below the place where the processor's own search begins. */
CREW_CASE(what_another_processor_freed_is_found, TWO_TRACTS)
{
    uint64_t low;

    crew_run_one(crew, 0, take_the_rest);
    low = crew->workers[0].held[10].first;
    free_held(crew, 1, 10);
    EXPECT_EQ(took(crew, 0), low);
    crew_run_one(crew, 1, take_the_rest);
    EXPECT_EQ(crew->workers[1].held_count, 0);
    crew_run_one(crew, 0, worker_give_back);
}

static void take_zeroed(struct worker *worker)
{
    ps_frame_t frame;

    if (!MUST_BE(ps_frame_pool_alloc(&worker->crew->pool, PS_FRAME_4K, PS_FRAME_TABLE,
                                     PS_FRAME_ZERO, &frame),
                 PS_OK))
        return;
    MUST(worker_sees_zeros(worker, frame.number));
    worker_owns(worker, frame.number, 1);
    worker_keep(worker, frame.number, 1, PS_FRAME_TABLE);
}

CREW_CASE(a_zeroed_frame_is_zero_on_every_processor, TWO_TRACTS)
{
    for (unsigned index = 0; index < crew->threads; index++)
        for (unsigned i = 0; i < 3; i++)
            crew_run_one(crew, index, take_zeroed);
    crew_run(crew, worker_give_back);
}

/* Freeing a frame leads its processor to that chunk, but not if it is used last. */
CREW_CASE(a_freed_frame_of_added_memory_is_not_the_next, TWO_TRACTS,
          {{0x40000}, {1024}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    EXPECT_OK(ps_frame_pool_add(&crew->pool, ps_frame(0x40000), ps_pages(1024)));
    crew_run_one(crew, 0, take_the_rest);
    EXPECT_EQ(crew_now(crew).free_late, 1);
    free_held(crew, 1, 5);
    for (unsigned i = 0; i < 5; i++)
        free_held(crew, 1, crew->workers[0].held_count - 5);
    EXPECT_EQ(crew_now(crew).free_late, 6);
    EXPECT(took(crew, 1) < 0x40000);
    EXPECT_EQ(crew_now(crew).free_late, 6);
    crew_run(crew, worker_give_back);
    ps_frame_pool_drain(&crew->pool);
    EXPECT_EQ(crew_now(crew).free_late, 1024);
    crew->fresh = crew_now(crew);
}

static const struct test_case cases[] = {
    TEST_CASE(a_second_free_by_any_processor_is_refused),
    TEST_CASE(a_free_frame_where_nobody_has_been_is_refused),
    TEST_CASE(processors_begin_in_tracts_of_their_own),
    TEST_CASE(the_frame_that_is_kept_back_is_nobodys),
    TEST_CASE(what_another_processor_freed_is_found),
    TEST_CASE(a_zeroed_frame_is_zero_on_every_processor),
    TEST_CASE(a_freed_frame_of_added_memory_is_not_the_next),
};

const struct test_suite suite_frame_pool_turns = TEST_SUITE("frame_pool_turns", cases);
