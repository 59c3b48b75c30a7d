#include "frame_pool_fixture.h"

#include <string.h>

#include "unit_suites.h"

/*
 * Every call that takes frames is refused, once and for good, at each point of a sequence of
 * all of them. A refused call has changed nothing.
 */

enum { MANY = 600, SHARED = 300, SHARED_PAGES = 4, LENDABLE = 310, CLAIMED = 1200 };

struct giving {
    ps_status (*give)(struct pool_fixture *f, ps_frame_t *frames);
    void (*take_back)(struct test *test, struct pool_fixture *f, const ps_frame_t *frames);
};

static ps_status give_4k(struct pool_fixture *f, ps_frame_t *frames)
{
    return ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, frames);
}

static void take_back_4k(struct test *test, struct pool_fixture *f, const ps_frame_t *frames)
{
    pool_free(test, f, frames[0].number, 1);
}

static ps_status give_2m(struct pool_fixture *f, ps_frame_t *frames)
{
    return ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_OBJECT, 0, frames);
}

static void take_back_2m(struct test *test, struct pool_fixture *f, const ps_frame_t *frames)
{
    pool_free(test, f, frames[0].number, 512);
}

static ps_status give_scattered(struct pool_fixture *f, ps_frame_t *frames)
{
    return ps_frame_pool_alloc_scattered(&f->pool, MANY, PS_FRAME_TABLE, 0, frames);
}

static void take_back_scattered(struct test *test, struct pool_fixture *f, const ps_frame_t *frames)
{
    for (uint64_t i = 0; i < MANY; i++)
        pool_free(test, f, frames[i].number, 1);
}

static ps_status give_run(struct pool_fixture *f, ps_frame_t *frames)
{
    frames[0] = ps_frame(0);
    return pool_try_run(f, 3, 2, UINT64_MAX, &frames[0].number);
}

static void take_back_run(struct test *test, struct pool_fixture *f, const ps_frame_t *frames)
{
    pool_free(test, f, frames[0].number, 3);
}

static ps_status give_claim(struct pool_fixture *f, ps_frame_t *frames)
{
    (void)frames;
    return ps_frame_pool_claim(&f->pool, ps_frame(CLAIMED), ps_pages(2), PS_FRAME_LENT);
}

static void take_back_claim(struct test *test, struct pool_fixture *f, const ps_frame_t *frames)
{
    (void)frames;
    pool_free(test, f, CLAIMED, 2);
}

static ps_status give_share(struct pool_fixture *f, ps_frame_t *frames)
{
    (void)frames;
    return ps_frame_pool_share(&f->pool, ps_frame(SHARED), ps_pages(SHARED_PAGES));
}

static void take_back_share(struct test *test, struct pool_fixture *f, const ps_frame_t *frames)
{
    (void)frames;
    pool_free(test, f, SHARED, SHARED_PAGES);
}

static ps_status give_loan(struct pool_fixture *f, ps_frame_t *frames)
{
    (void)frames;
    return ps_frame_pool_lend(&f->pool, ps_frame(LENDABLE));
}

static void take_back_loan(struct test *test, struct pool_fixture *f, const ps_frame_t *frames)
{
    (void)frames;
    EXPECT_OK(ps_frame_pool_end_loan(&f->pool, ps_frame(LENDABLE), PS_FRAME_USER));
}

static ps_status give_quarantine(struct pool_fixture *f, ps_frame_t *frames)
{
    (void)frames;
    return ps_frame_pool_quarantine(&f->pool, 4);
}

static void take_back_quarantine(struct test *test, struct pool_fixture *f,
                                 const ps_frame_t *frames)
{
    (void)frames;
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 0));
}

static const struct giving givings[] = {
    {give_4k, take_back_4k},
    {give_2m, take_back_2m},
    {give_scattered, take_back_scattered},
    {give_run, take_back_run},
    {give_claim, take_back_claim},
    {give_share, take_back_share},
    {give_loan, take_back_loan},
    {give_quarantine, take_back_quarantine},
};
enum { GIVINGS = PS_ARRAY_SIZE(givings) };

static void claim_what_is_shared_and_lent(struct test *test, struct pool_fixture *f)
{
    EXPECT_OK(
        ps_frame_pool_claim(&f->pool, ps_frame(SHARED), ps_pages(SHARED_PAGES), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(LENDABLE), ps_pages(1), PS_FRAME_USER));
}

static void free_what_was_shared_and_lent(struct test *test, struct pool_fixture *f)
{
    pool_free(test, f, SHARED, SHARED_PAGES);
    pool_free(test, f, LENDABLE, 1);
    pool_expect_fresh(test, f);
}

/* All but what instruments leave to quick calls: that is in the first frame of the books. */
struct all_but_budgets {
    struct ps_frame_pool pool;
    struct ps_frame_pool_snapshot counted;
    struct sim_snapshot *memory;
};

static struct all_but_budgets remember(struct pool_fixture *f)
{
    return (struct all_but_budgets){f->pool, pool_now(f), sim_machine_snapshot(f->sim)};
}

static void expect_as_remembered(struct test *test, struct pool_fixture *f,
                                 const struct all_but_budgets *before)
{
    uint64_t changed = sim_machine_changed(f->sim, before->memory);
    struct ps_frame_pool_snapshot now = pool_now(f);

    EXPECT(changed == SIM_FRAME_NONE || changed == before->pool.books);
    EXPECT(memcmp(&now, &before->counted, sizeof(now)) == 0);
    EXPECT(memcmp(&f->pool.totals, &before->pool.totals, sizeof(f->pool.totals)) == 0);
    EXPECT_EQ(f->pool.shared_units, before->pool.shared_units);
    EXPECT_EQ(f->pool.loans, before->pool.loans);
    EXPECT_EQ(f->pool.quarantine_size, before->pool.quarantine_size);
    sim_snapshot_destroy(before->memory);
}

/* A failure that comes once switches the instrument off. */
static void expect_one_failure(struct test *test, struct pool_fixture *f, size_t kind,
                               ps_frame_t *frames)
{
    struct all_but_budgets before = remember(f);

    EXPECT_STATUS(givings[kind].give(f, frames), PS_NO_MEMORY);
    EXPECT(!f->pool.fail_armed);
    expect_as_remembered(test, f, &before);
}

/* All calls in turn, of which the `failing`th fails once and succeeds when it is repeated. */
static void fail_once(struct test *test, struct pool_fixture *f, size_t failing)
{
    static ps_frame_t frames[GIVINGS][MANY];

    claim_what_is_shared_and_lent(test, f);
    ps_frame_pool_fail_after(&f->pool, failing, false);
    for (size_t kind = 0; kind < GIVINGS; kind++) {
        if (kind == failing)
            expect_one_failure(test, f, kind, frames[kind]);
        EXPECT_OK(givings[kind].give(f, frames[kind]));
    }
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    for (size_t kind = GIVINGS; kind > 0; kind--)
        givings[kind - 1].take_back(test, f, frames[kind - 1]);
    free_what_was_shared_and_lent(test, f);
}

POOL_CASE(every_giving_call_can_be_made_to_fail_once, POOL_SMALL)
{
    for (size_t failing = 0; failing < GIVINGS && test->failures == 0; failing++) {
        fail_once(test, f, failing);
        if (test->failures != 0)
            test_note(test, "call %u of the list failed", (unsigned)failing);
    }
}

/* All calls in turn; from the `failing`th on all are refused, and change nothing. */
static void fail_for_good(struct test *test, struct pool_fixture *f, size_t failing)
{
    static ps_frame_t frames[GIVINGS][MANY];
    static ps_frame_t none[MANY];

    claim_what_is_shared_and_lent(test, f);
    ps_frame_pool_fail_after(&f->pool, failing, true);
    for (size_t kind = 0; kind < failing; kind++)
        EXPECT_OK(givings[kind].give(f, frames[kind]));
    for (unsigned round = 0; round < 2; round++)
        for (size_t kind = failing; kind < GIVINGS; kind++)
            EXPECT_REFUSED(givings[kind].give(f, none), PS_NO_MEMORY);
    EXPECT_REFUSED(give_4k(f, none), PS_NO_MEMORY);
    for (size_t kind = failing; kind > 0; kind--)
        givings[kind - 1].take_back(test, f, frames[kind - 1]);
    free_what_was_shared_and_lent(test, f);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
}

POOL_CASE(failing_for_good_lasts_until_it_is_switched_off, POOL_SMALL)
{
    for (size_t failing = 0; failing <= GIVINGS && test->failures == 0; failing++) {
        fail_for_good(test, f, failing);
        if (test->failures != 0)
            test_note(test, "from call %u of the list on", (unsigned)failing);
    }
    (void)pool_single(test, f);
}

POOL_CASE(calls_that_give_nothing_do_not_count_as_successes, POOL_SMALL)
{
    struct ps_frame_info info;
    uint64_t first = 0;
    uint64_t single = pool_single(test, f);

    ps_frame_pool_fail_after(&f->pool, 1, true);
    EXPECT_STATUS(pool_try_run(f, 4096, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_STATUS(pool_try_run(f, 0, 1, UINT64_MAX, &first), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_claim(&f->pool, ps_frame(0), ps_pages(1), PS_FRAME_USER),
                  PS_NOT_FOUND);
    EXPECT_STATUS(ps_frame_pool_claim(&f->pool, ps_frame(single), ps_pages(1), PS_FRAME_USER),
                  PS_ALREADY_EXISTS);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 0, PS_FRAME_USER, 0, NULL));
    EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(single), &info));
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(single), ps_pages(1)));
    pool_free(test, f, single, 1);
    single = pool_single(test, f);
    pool_free(test, f, single, 1);
    EXPECT_STATUS(pool_try_run(f, 1, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_STATUS(pool_try_run(f, 4096, 1, UINT64_MAX, &first), PS_NO_MEMORY);
}

/* The whole GiB have no books yet: where a frame would come from is not written down. */
POOL_CASE(a_refused_call_opens_no_region, SIM_RAM(256, 600),
          {{0x40000}, {0x80000}, PS_MEMORY_USABLE, SIM_PLAIN})
{
    ps_frame_t frames[600];
    uint64_t first = 77;

    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (unsigned i = PS_FRAME_4K; i <= PS_FRAME_1G; i++)
        EXPECT_REFUSED(
            ps_frame_pool_alloc(&f->pool, (enum ps_frame_size)i, PS_FRAME_USER, 0, frames),
            PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 600, PS_FRAME_USER, 0, frames),
                   PS_NO_MEMORY);
    for (uint64_t pages = 1; pages < 300000; pages = pages * 3 + 1)
        EXPECT_REFUSED(pool_try_run(f, pages, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 1000), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(0x50000), ps_pages(10), PS_FRAME_USER),
                   PS_NO_MEMORY);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_REFUSED(pool_try_run(f, 0x7fff0, 1, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_REFUSED(
        ps_frame_pool_claim(&f->pool, ps_frame(0x7fff0), ps_pages(0x40011), PS_FRAME_USER),
        PS_NOT_FOUND);
}

/* ---- refusals while something else is on ---- */

static void ignore(void *context, uint64_t free_frames)
{
    (void)context;
    (void)free_frames;
}

/* Quick calls before have used up a part of what they may do without a look at the watermarks. */
POOL_CASE(refused_calls_change_nothing_while_watermarks_are_set, SIM_RAM(4096, SMALL_FRAMES))
{
    const struct ps_frame_watermarks watermarks = {.high = SMALL_FRAMES, .notify = ignore};
    const uint64_t frame = pool_single(test, f);
    struct all_but_budgets before;
    uint64_t first = 77;

    EXPECT_OK(ps_frame_pool_watch(&f->pool, &watermarks));
    for (unsigned i = 0; i < 3; i++)
        (void)pool_single(test, f);
    pool_free(test, f, frame, 1);
    before = remember(f);
    for (unsigned i = 0; i < 20; i++)
        EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(frame), ps_pages(1)), PS_NOT_FOUND);
    EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(4095), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_STATUS(pool_try_run(f, SMALL_FRAMES, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_STATUS(ps_frame_pool_claim(&f->pool, ps_frame(frame), ps_pages(2), PS_FRAME_USER),
                  PS_ALREADY_EXISTS);
    expect_as_remembered(test, f, &before);
}

POOL_CASE(a_call_that_can_wait_changes_nothing, POOL_SMALL)
{
    struct ps_frame_run run = {ps_pages(3), 0, PS_FRAME_ANY, PS_FRAME_USER, PS_FRAME_CAN_WAIT};
    ps_frame_t frames[3];

    (void)pool_single(test, f);
    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, pool_now(f).free - 2));
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &run, frames), PS_SHOULD_WAIT);
    EXPECT_REFUSED(
        ps_frame_pool_alloc_scattered(&f->pool, 3, PS_FRAME_USER, PS_FRAME_CAN_WAIT, frames),
        PS_SHOULD_WAIT);
    EXPECT_REFUSED(
        ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, PS_FRAME_CAN_WAIT, frames),
        PS_SHOULD_WAIT);
    EXPECT_REFUSED(
        ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_USER, PS_FRAME_CAN_WAIT, frames),
        PS_NO_MEMORY);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(
            ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_CAN_WAIT, frames));
    EXPECT_REFUSED(
        ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_CAN_WAIT, frames),
        PS_SHOULD_WAIT);
    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, frames));
}

POOL_CASE(calls_that_find_no_frame_for_their_books_change_nothing, POOL_SMALL)
{
    uint64_t unit = pool_run(test, f, 3, 1, UINT64_MAX);
    uint64_t single = 0;
    ps_frame_t frames[2];

    while (pool_now(f).available != 0)
        single = pool_single(test, f);
    EXPECT_REFUSED(ps_frame_pool_share(&f->pool, ps_frame(unit), ps_pages(3)), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 4), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 2, PS_FRAME_USER, 0, frames),
                   PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(single)));
    EXPECT_REFUSED(
        ps_frame_pool_alloc_scattered(&f->pool, 2, PS_FRAME_USER, PS_FRAME_BORROW, frames),
        PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 1, PS_FRAME_USER, PS_FRAME_BORROW, frames));
    EXPECT_EQ(frames[0].number, single);
    pool_free(test, f, unit, 3);
    unit = pool_run(test, f, 2, 1, UINT64_MAX);
    /* One frame is free, and two are needed for the first number of holders in 16 MiB. */
    EXPECT_EQ(pool_now(f).available, 1);
    EXPECT_REFUSED(ps_frame_pool_share(&f->pool, ps_frame(unit), ps_pages(2)), PS_NO_MEMORY);
}

static const struct test_case cases[] = {
    TEST_CASE(every_giving_call_can_be_made_to_fail_once),
    TEST_CASE(failing_for_good_lasts_until_it_is_switched_off),
    TEST_CASE(calls_that_give_nothing_do_not_count_as_successes),
    TEST_CASE(a_refused_call_opens_no_region),
    TEST_CASE(refused_calls_change_nothing_while_watermarks_are_set),
    TEST_CASE(a_call_that_can_wait_changes_nothing),
    TEST_CASE(calls_that_find_no_frame_for_their_books_change_nothing),
};

const struct test_suite suite_frame_pool_failure = TEST_SUITE("frame_pool_failure", cases);
