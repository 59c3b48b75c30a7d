#include "frame_pool_fixture.h"

#include <string.h>

#include "hw.h"

/* Frames that their owners lend to the pool, and what becomes of them. */

static ps_status lend(struct pool_fixture *f, uint64_t frame)
{
    return ps_frame_pool_lend(&f->pool, ps_frame(frame));
}

static ps_status cancel(struct pool_fixture *f, uint64_t frame)
{
    return ps_frame_pool_cancel_loan(&f->pool, ps_frame(frame));
}

static ps_status end(struct pool_fixture *f, uint64_t frame)
{
    return ps_frame_pool_end_loan(&f->pool, ps_frame(frame), PS_FRAME_HEAP);
}

static ps_status give(struct pool_fixture *f, uint64_t frame)
{
    return ps_frame_pool_free(&f->pool, ps_frame(frame), ps_pages(1));
}

static uint64_t borrow(struct test *test, struct pool_fixture *f)
{
    ps_frame_t frame = ps_frame(0);

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_BORROW, &frame));
    return frame.number;
}

/* Frames 600, 610, ... of somebody's, and the tag bytes; then lent. */
static void lend_some(struct test *test, struct pool_fixture *f, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        EXPECT_OK(
            ps_frame_pool_claim(&f->pool, ps_frame(600 + 10 * i), ps_pages(1), PS_FRAME_OBJECT));
        EXPECT_OK(lend(f, 600 + 10 * i));
    }
}

static void expect_loan(struct test *test, struct pool_fixture *f, uint64_t frame, bool lent,
                        enum ps_frame_tag tag)
{
    struct ps_frame_info info = {0};

    EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(frame), &info));
    EXPECT(info.lent == lent);
    pool_expect_unit(test, f, frame, frame, 1, tag);
}

static void expect_counts(struct test *test, struct pool_fixture *f, uint64_t loans, uint64_t out,
                          uint64_t cancelled)
{
    struct ps_frame_pool_snapshot now = pool_now(f);

    EXPECT_EQ(now.loans, loans);
    EXPECT_EQ(now.loans_out, out);
    EXPECT_EQ(now.loans_cancelled, cancelled);
    EXPECT_EQ(now.by_tag[PS_FRAME_LOANED], loans - out);
}

/* ---- there and back ---- */

POOL_CASE(a_lent_frame_is_borrowed_and_comes_back, POOL_SMALL)
{
    uint64_t free;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(600), ps_pages(1), PS_FRAME_OBJECT));
    EXPECT_EQ(pool_now(f).by_tag[PS_FRAME_OBJECT], 1);
    EXPECT_OK(lend(f, 600));
    expect_loan(test, f, 600, true, PS_FRAME_LOANED);
    expect_counts(test, f, 1, 0, 0);
    EXPECT_EQ(pool_now(f).by_tag[PS_FRAME_OBJECT], 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
    free = pool_now(f).free;
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(borrow(test, f), 600);
        expect_loan(test, f, 600, true, PS_FRAME_USER);
        expect_counts(test, f, 1, 1, 0);
        EXPECT_EQ(pool_now(f).by_tag[PS_FRAME_USER], 1);
        pool_free(test, f, 600, 1);
        expect_loan(test, f, 600, true, PS_FRAME_LOANED);
        expect_counts(test, f, 1, 0, 0);
    }
    EXPECT_EQ(pool_now(f).free, free);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
    EXPECT_OK(end(f, 600));
    expect_loan(test, f, 600, false, PS_FRAME_HEAP);
    expect_counts(test, f, 0, 0, 0);
    pool_free(test, f, 600, 1);
    pool_expect_fresh(test, f);
}

POOL_CASE(only_who_asks_for_it_gets_a_lent_frame, POOL_SMALL)
{
    lend_some(test, f, 3);
    while (pool_now(f).available != 0)
        EXPECT(pool_single(test, f) % 10 != 0 || !pool_is_free(f, 600));
    expect_counts(test, f, 3, 0, 0);
    for (uint64_t i = 0; i < 3; i++)
        expect_loan(test, f, 600 + 10 * i, true, PS_FRAME_LOANED);
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t frame = borrow(test, f);

        EXPECT(frame == 600 || frame == 610 || frame == 620);
        expect_counts(test, f, 3, i + 1, 0);
    }
}

POOL_CASE(lent_frames_are_taken_first_and_then_free_ones, POOL_SMALL)
{
    uint64_t free;
    uint64_t third;

    lend_some(test, f, 2);
    free = pool_now(f).free;
    (void)borrow(test, f);
    (void)borrow(test, f);
    EXPECT_EQ(pool_now(f).free, free);
    third = borrow(test, f);
    EXPECT_EQ(pool_now(f).free, free - 1);
    expect_counts(test, f, 2, 2, 0);
    expect_loan(test, f, third, false, PS_FRAME_USER);
    pool_free(test, f, third, 1);
    EXPECT(pool_is_free(f, third));
}

POOL_CASE(a_borrowed_frame_is_zero_if_that_was_asked_for, POOL_SMALL)
{
    static const uint8_t zeros[4096];
    ps_frame_t frame;

    lend_some(test, f, 1);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER,
                                   PS_FRAME_BORROW | PS_FRAME_ZERO, &frame));
    EXPECT_EQ(frame.number, 600);
    EXPECT(memcmp(ps_hw_frame(&f->sim->machine, frame), zeros, sizeof(zeros)) == 0);
}

POOL_CASE(who_borrows_need_not_wait, POOL_SMALL)
{
    const unsigned flags = PS_FRAME_BORROW | PS_FRAME_CAN_WAIT;
    ps_frame_t frames[3];

    lend_some(test, f, 2);
    EXPECT_OK(ps_frame_pool_set_wait_level(&f->pool, UINT64_MAX));
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 3, PS_FRAME_USER, flags, frames),
                   PS_SHOULD_WAIT);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 2, PS_FRAME_USER, flags, frames));
    expect_counts(test, f, 2, 2, 0);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, flags, frames),
                   PS_SHOULD_WAIT);
}

POOL_CASE(of_scattered_frames_all_or_none_are_borrowed, POOL_SMALL)
{
    ps_frame_t frames[5];
    unsigned lent = 0;

    lend_some(test, f, 3);
    while (pool_now(f).available > 1)
        (void)pool_single(test, f);
    EXPECT_REFUSED(
        ps_frame_pool_alloc_scattered(&f->pool, 5, PS_FRAME_USER, PS_FRAME_BORROW, frames),
        PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 4, PS_FRAME_USER, PS_FRAME_BORROW, frames));
    expect_counts(test, f, 3, 3, 0);
    EXPECT_EQ(pool_now(f).available, 0);
    for (unsigned i = 0; i < 4; i++) {
        struct ps_frame_info info = {0};

        EXPECT_OK(ps_frame_pool_query(&f->pool, frames[i], &info));
        lent += info.lent;
        EXPECT_EQ(info.tag, PS_FRAME_USER);
        pool_free(test, f, frames[i].number, 1);
    }
    EXPECT_EQ(lent, 3);
    expect_counts(test, f, 3, 0, 0);
    EXPECT_EQ(pool_now(f).available, 1);
}

POOL_CASE(borrowing_fails_on_request_and_leaves_the_loans_alone, POOL_SMALL)
{
    ps_frame_t frames[2];

    lend_some(test, f, 3);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    EXPECT_REFUSED(
        ps_frame_pool_alloc_scattered(&f->pool, 2, PS_FRAME_USER, PS_FRAME_BORROW, frames),
        PS_NO_MEMORY);
    EXPECT_REFUSED(
        ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_BORROW, frames),
        PS_NO_MEMORY);
    EXPECT_OK(cancel(f, 610));
    EXPECT_OK(end(f, 600));
    expect_counts(test, f, 2, 0, 1);
}

POOL_CASE(only_single_frames_are_borrowed, POOL_SMALL)
{
    struct ps_frame_run run = {ps_pages(1), 0, PS_FRAME_ANY, PS_FRAME_USER, PS_FRAME_BORROW};
    ps_frame_t frame = ps_frame(77);

    lend_some(test, f, 1);
    EXPECT_REFUSED(
        ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, PS_FRAME_BORROW, &frame),
        PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &run, &frame), PS_INVALID_ARGS);
    EXPECT_EQ(frame.number, 77);
}

/* Whoever has a lent frame may write to it: it has no pattern. It has one when it is free. */
POOL_CASE(lent_frames_are_not_checked_for_the_pattern, POOL_SMALL)
{
    EXPECT_OK(ps_frame_pool_fill(&f->pool, 4096));
    lend_some(test, f, 2);
    EXPECT_EQ(borrow(test, f) % 10, 0);
    EXPECT_EQ(borrow(test, f) % 10, 0);
    memset(ps_hw_frame(&f->sim->machine, ps_frame(600)), 1, 4096);
    pool_free(test, f, 600, 1);
    EXPECT_EQ(borrow(test, f), 600);
    pool_free(test, f, 600, 1);
    EXPECT_OK(end(f, 600));
    pool_free(test, f, 600, 1);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(600), ps_pages(1), PS_FRAME_USER));
}

/* ---- cancelled, and ended ---- */

POOL_CASE(a_cancelled_loan_is_borrowed_by_nobody, POOL_SMALL)
{
    lend_some(test, f, 1);
    EXPECT_OK(cancel(f, 600));
    expect_counts(test, f, 1, 0, 1);
    expect_loan(test, f, 600, true, PS_FRAME_LOANED);
    EXPECT(borrow(test, f) != 600);
    expect_counts(test, f, 1, 0, 1);
    EXPECT_REFUSED(cancel(f, 600), PS_NOT_FOUND);
    EXPECT_REFUSED(lend(f, 600), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(give(f, 600), PS_NOT_FOUND);
    EXPECT_OK(end(f, 600));
    expect_counts(test, f, 0, 0, 0);
    expect_loan(test, f, 600, false, PS_FRAME_HEAP);
}

POOL_CASE(a_borrower_keeps_what_was_cancelled_until_he_gives_it_back, POOL_SMALL)
{
    lend_some(test, f, 1);
    EXPECT_EQ(borrow(test, f), 600);
    EXPECT_REFUSED(end(f, 600), PS_ALREADY_EXISTS);
    EXPECT_OK(cancel(f, 600));
    expect_counts(test, f, 1, 1, 1);
    expect_loan(test, f, 600, true, PS_FRAME_USER);
    EXPECT_REFUSED(cancel(f, 600), PS_NOT_FOUND);
    EXPECT_REFUSED(end(f, 600), PS_ALREADY_EXISTS);
    pool_free(test, f, 600, 1);
    expect_counts(test, f, 1, 0, 1);
    expect_loan(test, f, 600, true, PS_FRAME_LOANED);
    EXPECT(borrow(test, f) != 600);
    EXPECT_OK(end(f, 600));
    expect_counts(test, f, 0, 0, 0);
    EXPECT_OK(lend(f, 600));
    EXPECT_EQ(borrow(test, f), 600);
}

POOL_CASE(a_refused_end_does_not_cancel, POOL_SMALL)
{
    lend_some(test, f, 1);
    EXPECT_EQ(borrow(test, f), 600);
    EXPECT_REFUSED(end(f, 600), PS_ALREADY_EXISTS);
    expect_counts(test, f, 1, 1, 0);
    pool_free(test, f, 600, 1);
    EXPECT_EQ(borrow(test, f), 600);
}

/* Borrow all that can be had. */
static uint64_t borrow_all(struct test *test, struct pool_fixture *f)
{
    uint64_t out = pool_now(f).loans_out;
    uint64_t sum = 0;

    for (;;) {
        uint64_t frame = borrow(test, f);

        if (pool_now(f).loans_out == out)
            return sum;
        out++;
        sum += frame;
    }
}

POOL_CASE(loans_leave_the_list_from_any_place, POOL_SMALL)
{
    for (uint64_t first = 600; first < 640; first += 10)
        for (uint64_t second = 600; second < 640; second += 10) {
            if (first == second)
                continue;
            lend_some(test, f, 4);
            EXPECT_OK(cancel(f, first));
            EXPECT_OK(end(f, second));
            EXPECT_EQ(borrow_all(test, f), 600 + 610 + 620 + 630 - first - second);
            expect_counts(test, f, 3, 2, 1);
            for (uint64_t frame = 600; frame < 640; frame += 10) {
                if (frame != first && frame != second)
                    pool_free(test, f, frame, 1);
                if (frame != second)
                    EXPECT_OK(end(f, frame));
                pool_free(test, f, frame, 1);
            }
            expect_counts(test, f, 0, 0, 0);
        }
}

/* ---- what is refused ---- */

POOL_CASE(what_is_no_single_frame_of_somebodys_is_not_lent, POOL_SMALL)
{
    struct ps_frame_pool empty = {0};

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(700), ps_pages(2), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(800), ps_pages(1), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1024), ps_pages(512), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(800), ps_pages(1)));
    EXPECT_STATUS(ps_frame_pool_lend(NULL, ps_frame(600)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_lend(&empty, ps_frame(600)), PS_BAD_STATE);
    EXPECT_REFUSED(lend(f, 600), PS_NOT_FOUND);
    EXPECT_REFUSED(lend(f, 700), PS_WRONG_SIZE);
    EXPECT_REFUSED(lend(f, 701), PS_NOT_FOUND);
    EXPECT_REFUSED(lend(f, 1024), PS_WRONG_SIZE);
    EXPECT_REFUSED(lend(f, 1025), PS_NOT_FOUND);
    EXPECT_REFUSED(lend(f, 800), PS_ACCESS_DENIED);
    EXPECT_REFUSED(lend(f, SMALL_LAST + 1), PS_ACCESS_DENIED);
    EXPECT_REFUSED(lend(f, 0), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(lend(f, SMALL_FRAMES), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(lend(f, UINT64_MAX), PS_OUT_OF_RANGE);
    pool_free(test, f, 800, 1);
    EXPECT_OK(lend(f, 800));
    EXPECT_REFUSED(lend(f, 800), PS_ALREADY_EXISTS);
    EXPECT_EQ(borrow(test, f), 800);
    EXPECT_REFUSED(lend(f, 800), PS_ALREADY_EXISTS);
    expect_counts(test, f, 1, 1, 0);
}

POOL_CASE(what_is_not_lent_is_neither_cancelled_nor_ended, POOL_SMALL)
{
    const uint64_t others[] = {600, 700, 701, 800, 1024, 1500, SMALL_LAST + 1};
    struct ps_frame_pool empty = {0};

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(700), ps_pages(2), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(800), ps_pages(1), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1024), ps_pages(512), PS_FRAME_USER));
    EXPECT_STATUS(ps_frame_pool_cancel_loan(NULL, ps_frame(600)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_cancel_loan(&empty, ps_frame(600)), PS_BAD_STATE);
    EXPECT_STATUS(ps_frame_pool_end_loan(NULL, ps_frame(600), PS_FRAME_USER), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_end_loan(&empty, ps_frame(600), PS_FRAME_USER), PS_BAD_STATE);
    for (size_t i = 0; i < PS_ARRAY_SIZE(others); i++) {
        EXPECT_REFUSED(cancel(f, others[i]), PS_NOT_FOUND);
        EXPECT_REFUSED(end(f, others[i]), PS_NOT_FOUND);
    }
    EXPECT_REFUSED(cancel(f, 0), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(end(f, 0), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(cancel(f, SMALL_FRAMES), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(end(f, UINT64_MAX), PS_OUT_OF_RANGE);
}

POOL_CASE(a_loan_ends_with_a_tag_to_allocate_with, POOL_SMALL)
{
    lend_some(test, f, 1);
    for (unsigned tag = 0; tag < PS_FRAME_TAG_COUNT + 2; tag++) {
        bool good = tag > PS_FRAME_DAMAGED && tag < PS_FRAME_TAG_COUNT;

        if (!good) {
            EXPECT_REFUSED(ps_frame_pool_end_loan(&f->pool, ps_frame(600), (enum ps_frame_tag)tag),
                           PS_INVALID_ARGS);
            continue;
        }
        EXPECT_OK(ps_frame_pool_end_loan(&f->pool, ps_frame(600), (enum ps_frame_tag)tag));
        expect_loan(test, f, 600, false, (enum ps_frame_tag)tag);
        EXPECT_OK(lend(f, 600));
    }
}

POOL_CASE(nobody_frees_a_frame_that_nobody_has_borrowed, POOL_SMALL)
{
    lend_some(test, f, 1);
    EXPECT_REFUSED(give(f, 600), PS_NOT_FOUND);
    EXPECT_EQ(borrow(test, f), 600);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(600), ps_pages(2)), PS_WRONG_SIZE);
    pool_free(test, f, 600, 1);
    EXPECT_REFUSED(give(f, 600), PS_NOT_FOUND);
    expect_counts(test, f, 1, 0, 0);
}

/* ---- memory ---- */

/* Lent frames need tag bytes, and those a frame of the same 16 MiB. */
POOL_CASE(without_a_frame_for_the_tag_bytes_nothing_is_lent, SIM_RAM(0x1000, 0x1000),
          SIM_RAM(0x3000, 0x800))
{
    uint64_t own = pool_now(f).metadata;

    for (uint64_t chunk = 0x1000; chunk < 0x2000; chunk += 512) {
        EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(chunk), ps_pages(512), PS_FRAME_OBJECT));
        EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(chunk), ps_pages(512)));
    }
    EXPECT_REFUSED(lend(f, 0x1234), PS_NO_MEMORY);
    pool_free(test, f, 0x1fff, 1);
    EXPECT_OK(lend(f, 0x1234));
    EXPECT_EQ(pool_now(f).metadata, own + 1);
    pool_expect_unit(test, f, 0x1fff, 0x1fff, 1, PS_FRAME_METADATA);
    pool_expect_unit(test, f, 0x1235, 0x1235, 1, PS_FRAME_OBJECT);
    EXPECT_OK(lend(f, 0x1400));
    EXPECT_EQ(pool_now(f).metadata, own + 1);
    EXPECT_EQ(borrow(test, f), 0x1400);
    EXPECT_EQ(borrow(test, f), 0x1234);
    expect_counts(test, f, 2, 2, 0);
}

POOL_CASE(lending_fails_on_request, POOL_SMALL)
{
    lend_some(test, f, 1);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(800), ps_pages(1), PS_FRAME_OBJECT));
    ps_frame_pool_fail_after(&f->pool, 0, true);
    EXPECT_REFUSED(lend(f, 800), PS_NO_MEMORY);
    EXPECT_REFUSED(lend(f, 600), PS_ALREADY_EXISTS);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, true);
    EXPECT_OK(lend(f, 800));
    expect_counts(test, f, 2, 0, 0);
}

POOL_CASE(low_frames_are_lent_too, POOL_SMALL)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(9), ps_pages(1), PS_FRAME_OBJECT));
    EXPECT_OK(lend(f, 9));
    expect_counts(test, f, 1, 0, 0);
    EXPECT_OK(end(f, 9));
    pool_free(test, f, 9, 1);
    pool_expect_fresh(test, f);
}

/* ---- random frames, and what should be known of each ---- */

enum { FRAMES = 40, STEPS = 5000 };

enum state { OWNED, OPEN, BORROWED, CANCELLED, CANCELLED_BORROWED, STATES };

enum { FIRST = 0x1010 };

static uint64_t frame_of(unsigned i)
{
    return FIRST + 3 * (uint64_t)i;
}

static void model_borrow(struct test *test, struct pool_fixture *f, enum state *states)
{
    uint64_t frame = borrow(test, f);
    unsigned i = frame < FIRST ? FRAMES : (unsigned)((frame - FIRST) / 3);

    if (EXPECT(i < FRAMES && frame_of(i) == frame && states[i] == OPEN))
        states[i] = BORROWED;
}

/* What each call makes of each state; STATES: it is refused. */
static void model_call(struct test *test, struct pool_fixture *f, enum state *state, unsigned call,
                       uint64_t frame)
{
    static ps_status (*const calls[])(struct pool_fixture *, uint64_t) = {lend, cancel, end, give};
    static const enum state after[][STATES] = {
        {OPEN, STATES, STATES, STATES, STATES},
        {STATES, CANCELLED, CANCELLED_BORROWED, STATES, STATES},
        {STATES, OWNED, STATES, OWNED, STATES},
        {STATES, STATES, OPEN, STATES, CANCELLED},
    };
    static const ps_status refused[][STATES] = {
        {PS_OK, PS_ALREADY_EXISTS, PS_ALREADY_EXISTS, PS_ALREADY_EXISTS, PS_ALREADY_EXISTS},
        {PS_NOT_FOUND, PS_OK, PS_OK, PS_NOT_FOUND, PS_NOT_FOUND},
        {PS_NOT_FOUND, PS_OK, PS_ALREADY_EXISTS, PS_OK, PS_ALREADY_EXISTS},
        {PS_OK, PS_NOT_FOUND, PS_OK, PS_NOT_FOUND, PS_OK},
    };

    if (call == 3 && *state == OWNED)
        return; /* that would really free it */
    EXPECT_STATUS(calls[call](f, frame), refused[call][*state]);
    if (after[call][*state] != STATES)
        *state = after[call][*state];
}

static void model_expect(struct test *test, struct pool_fixture *f, const enum state *states)
{
    uint64_t count[STATES] = {0};

    for (unsigned i = 0; i < FRAMES; i++)
        count[states[i]]++;
    expect_counts(test, f, FRAMES - count[OWNED], count[BORROWED] + count[CANCELLED_BORROWED],
                  count[CANCELLED] + count[CANCELLED_BORROWED]);
}

static bool can_borrow(const enum state *states)
{
    for (unsigned i = 0; i < FRAMES; i++)
        if (states[i] == OPEN)
            return true;
    return false;
}

/* Other frames come and go meanwhile, in the same 2 MiB. */
POOL_CASE(random_loans_are_what_they_should_be, SIM_RAM(0x1000, 0x800))
{
    const uint64_t seed = 0x10a4;
    struct test_random random = test_random(seed);
    enum state states[FRAMES] = {OWNED};

    for (unsigned i = 0; i < FRAMES; i++)
        EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(frame_of(i)), ps_pages(1), PS_FRAME_HEAP));
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
        unsigned call = (unsigned)test_random_below(&random, 7);
        unsigned i = (unsigned)test_random_below(&random, FRAMES);

        if (call < 4)
            model_call(test, f, &states[i], call, frame_of(i));
        else if (call == 4)
            pool_free(test, f, pool_single(test, f), 1);
        else if (can_borrow(states))
            model_borrow(test, f, states);
        model_expect(test, f, states);
        if (step % 64 == 0)
            EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
        if (test->failures != 0)
            test_note(test, "seed 0x%" PS_PRIx ", step %u", seed, step);
    }
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), FRAMES);
}

static const struct test_case cases[] = {
    TEST_CASE(a_lent_frame_is_borrowed_and_comes_back),
    TEST_CASE(only_who_asks_for_it_gets_a_lent_frame),
    TEST_CASE(lent_frames_are_taken_first_and_then_free_ones),
    TEST_CASE(a_borrowed_frame_is_zero_if_that_was_asked_for),
    TEST_CASE(who_borrows_need_not_wait),
    TEST_CASE(of_scattered_frames_all_or_none_are_borrowed),
    TEST_CASE(borrowing_fails_on_request_and_leaves_the_loans_alone),
    TEST_CASE(only_single_frames_are_borrowed),
    TEST_CASE(lent_frames_are_not_checked_for_the_pattern),
    TEST_CASE(a_cancelled_loan_is_borrowed_by_nobody),
    TEST_CASE(a_borrower_keeps_what_was_cancelled_until_he_gives_it_back),
    TEST_CASE(a_refused_end_does_not_cancel),
    TEST_CASE(loans_leave_the_list_from_any_place),
    TEST_CASE(what_is_no_single_frame_of_somebodys_is_not_lent),
    TEST_CASE(what_is_not_lent_is_neither_cancelled_nor_ended),
    TEST_CASE(a_loan_ends_with_a_tag_to_allocate_with),
    TEST_CASE(nobody_frees_a_frame_that_nobody_has_borrowed),
    TEST_CASE(without_a_frame_for_the_tag_bytes_nothing_is_lent),
    TEST_CASE(lending_fails_on_request),
    TEST_CASE(low_frames_are_lent_too),
    TEST_CASE(random_loans_are_what_they_should_be),
};

const struct test_suite suite_frame_pool_loan = TEST_SUITE("frame_pool_loan", cases);
