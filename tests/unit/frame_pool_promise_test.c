#include "frame_pool_promise_fixture.h"

#include <string.h>

#include "hw.h"
#include "unit_suites.h"

/*
 * Promises: frames that nobody has taken, and that are there when they are asked for. No other
 * call leaves fewer available than are promised, and a call that would have to is refused.
 */

static ps_status large(struct pool_fixture *f, enum ps_frame_size size, uint64_t *frame)
{
    ps_frame_t got = {0};
    ps_status status = ps_frame_pool_alloc(&f->pool, size, PS_FRAME_USER, 0, &got);

    *frame = got.number;
    return status;
}

/* ---- promising ---- */

POOL_CASE(a_promise_takes_no_frame, POOL_SMALL)
{
    uint64_t memory = sim_machine_checksum(f->sim);

    EXPECT_OK(promise(f, 513));
    expect_promised(test, f, 513, SMALL_SINGLES);
    EXPECT_EQ(pool_now(f).free, SMALL_FREE);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    EXPECT_EQ(sim_machine_checksum(f->sim), memory);
    EXPECT_OK(unpromise(f, 513));
    pool_expect_fresh(test, f);
}

POOL_CASE(promises_add_up_to_what_is_available, POOL_SMALL)
{
    EXPECT_OK(promise(f, 0));
    expect_promised(test, f, 0, SMALL_SINGLES);
    EXPECT_REFUSED(promise(f, SMALL_SINGLES + 1), PS_NO_MEMORY);
    EXPECT_OK(promise(f, SMALL_SINGLES - 3));
    EXPECT_REFUSED(promise(f, 4), PS_NO_MEMORY);
    EXPECT_REFUSED(promise(f, UINT64_MAX), PS_NO_MEMORY);
    EXPECT_OK(promise(f, 1));
    EXPECT_OK(promise(f, 2));
    expect_promised(test, f, SMALL_SINGLES, SMALL_SINGLES);
    EXPECT_REFUSED(promise(f, 1), PS_NO_MEMORY);
    EXPECT_OK(promise(f, 0));
    EXPECT_OK(unpromise(f, 2));
    EXPECT_OK(unpromise(f, 0));
    expect_promised(test, f, SMALL_SINGLES - 2, SMALL_SINGLES);
    EXPECT_OK(promise(f, 2));
}

/* What came back by quick calls is known to nobody else yet. */
POOL_CASE(frames_that_have_just_come_back_can_be_promised, POOL_SMALL)
{
    uint64_t frames[400];

    for (size_t i = 0; i < PS_ARRAY_SIZE(frames); i++)
        EXPECT_OK(single(f, 0, &frames[i]));
    EXPECT_OK(promise(f, 1));
    for (size_t i = 350; i < PS_ARRAY_SIZE(frames); i++)
        EXPECT_OK(ps_frame_pool_free(&f->pool, ps_frame(frames[i]), ps_pages(1)));
    EXPECT_OK(promise(f, SMALL_SINGLES - 351));
    expect_promised(test, f, SMALL_SINGLES - 350, SMALL_SINGLES - 350);
}

/* The last promised frame is no quick call's, and may have to be cleared as well. */
POOL_CASE(every_promised_frame_can_be_had_cleared, POOL_SMALL)
{
    ps_frame_t frames[2] = {{0}};

    EXPECT_OK(promise(f, 2));
    for (size_t i = 0; i < PS_ARRAY_SIZE(frames); i++) {
        const uint8_t *bytes;

        EXPECT_OK(
            ps_frame_pool_alloc_promised(&f->pool, PS_FRAME_TABLE, PS_FRAME_ZERO, &frames[i]));
        bytes = ps_hw_frame(&f->sim->machine, frames[i]);
        EXPECT(bytes[0] == 0 && memcmp(bytes, bytes + 1, PS_PAGE_SIZE - 1) == 0);
    }
    expect_promised(test, f, 0, SMALL_SINGLES - 2);
}

POOL_CASE(more_than_is_promised_is_not_given_back, POOL_SMALL)
{
    EXPECT_REFUSED(unpromise(f, 1), PS_INVALID_ARGS);
    EXPECT_OK(promise(f, 5));
    EXPECT_REFUSED(unpromise(f, 6), PS_INVALID_ARGS);
    EXPECT_REFUSED(unpromise(f, UINT64_MAX), PS_INVALID_ARGS);
    EXPECT_OK(unpromise(f, 5));
    EXPECT_REFUSED(unpromise(f, 1), PS_INVALID_ARGS);
}

POOL_CASE(no_pool_promises_nothing, POOL_SMALL)
{
    struct ps_frame_pool empty = {0};
    ps_frame_t frame = ps_frame(77);

    EXPECT_STATUS(ps_frame_pool_promise(NULL, ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_promise(&empty, ps_pages(0)), PS_BAD_STATE);
    EXPECT_STATUS(ps_frame_pool_unpromise(NULL, ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_unpromise(&empty, ps_pages(0)), PS_BAD_STATE);
    EXPECT_STATUS(ps_frame_pool_alloc_promised(NULL, PS_FRAME_USER, 0, &frame), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_alloc_promised(&empty, PS_FRAME_USER, 0, &frame), PS_BAD_STATE);
    EXPECT_REFUSED(ps_frame_pool_alloc_promised(&f->pool, PS_FRAME_USER, 0, &frame), PS_BAD_STATE);
    EXPECT_EQ(frame.number, 77);
}

POOL_CASE(a_promised_frame_is_asked_for_properly, POOL_SMALL)
{
    const unsigned unknown[] = {PS_FRAME_CAN_WAIT, PS_FRAME_BORROW, 1u << 31};
    ps_frame_t frame = ps_frame(77);

    EXPECT_OK(promise(f, 1));
    for (unsigned tag = 0; tag <= PS_FRAME_DAMAGED; tag++)
        EXPECT_REFUSED(ps_frame_pool_alloc_promised(&f->pool, (enum ps_frame_tag)tag, 0, &frame),
                       PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_promised(&f->pool, PS_FRAME_TAG_COUNT, 0, &frame),
                   PS_INVALID_ARGS);
    for (size_t i = 0; i < PS_ARRAY_SIZE(unknown); i++)
        EXPECT_REFUSED(ps_frame_pool_alloc_promised(&f->pool, PS_FRAME_USER, unknown[i], &frame),
                       PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_promised(&f->pool, PS_FRAME_USER, 0, NULL), PS_INVALID_ARGS);
    EXPECT_EQ(frame.number, 77);
    expect_promised(test, f, 1, SMALL_SINGLES);
}

POOL_CASE(a_promised_frame_is_a_single_one_like_others, POOL_SMALL)
{
    static const uint8_t zeros[4096];
    ps_frame_t frame;

    EXPECT_OK(promise(f, 2));
    REQUIRE_OK(ps_frame_pool_alloc_promised(&f->pool, PS_FRAME_TABLE, PS_FRAME_ZERO, &frame));
    EXPECT(memcmp(ps_hw_frame(&f->sim->machine, frame), zeros, sizeof(zeros)) == 0);
    pool_expect_unit(test, f, frame.number, frame.number, 1, PS_FRAME_TABLE);
    expect_promised(test, f, 1, SMALL_SINGLES - 1);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
    pool_free(test, f, frame.number, 1);
    expect_promised(test, f, 1, SMALL_SINGLES);
    pool_free(test, f, promised(test, f), 1);
    pool_expect_fresh(test, f);
}

/* ---- who leaves them alone ---- */

POOL_CASE(single_frames_go_out_up_to_the_promised_ones, POOL_SMALL)
{
    uint64_t frame;

    EXPECT_OK(promise(f, 7));
    for (uint64_t i = 0; i < SMALL_SINGLES - 7; i++)
        (void)pool_single(test, f);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    expect_promised(test, f, 7, 7);
    for (uint64_t i = 0; i < 7; i++)
        EXPECT(promised(test, f) != 0);
    expect_promised(test, f, 0, 0);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
}

POOL_CASE(what_comes_back_can_be_had_beside_a_promise, POOL_SMALL)
{
    uint64_t taken[3];
    uint64_t frame;

    for (unsigned i = 0; i < 3; i++)
        taken[i] = pool_single(test, f);
    (void)promise_all_but(test, f, 0);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    for (unsigned i = 0; i < 3; i++)
        pool_free(test, f, taken[i], 1);
    for (unsigned i = 0; i < 3; i++)
        EXPECT(pool_single(test, f) != 0);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_OK(single(f, 0, &frame));
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
}

/* The first frame that comes back to a full stretch without tag bytes is kept back. */
POOL_CASE(a_frame_that_is_kept_back_is_nobodys_to_have, POOL_SMALL, PLAIN(2 * TRACT, TRACT),
          SIM_RAM(4 * TRACT, 3))
{
    uint64_t others = f->fresh.available - (TRACT - 1);
    uint64_t frame;

    EXPECT_OK(claim(f, 2 * TRACT, TRACT));
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(2 * TRACT), ps_pages(TRACT)));
    (void)promise_all_but(test, f, 0);
    pool_free(test, f, 2 * TRACT + 5, 1);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    expect_promised(test, f, others, others);
    pool_free(test, f, 2 * TRACT + 6, 1);
    expect_promised(test, f, others, others + 1);
    EXPECT_OK(single(f, 0, &frame));
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
}

POOL_CASE(scattered_frames_leave_the_promised_ones, POOL_SMALL)
{
    ps_frame_t frames[4];

    (void)promise_all_but(test, f, 3);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 4, PS_FRAME_USER, 0, frames),
                   PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 3, PS_FRAME_USER, 0, frames));
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 1, PS_FRAME_USER, 0, frames),
                   PS_NO_MEMORY);
}

POOL_CASE(two_mib_are_refused_that_would_eat_promised_frames, POOL_SMALL)
{
    uint64_t frame;

    (void)promise_all_but(test, f, CHUNK - 1);
    EXPECT_REFUSED(large(f, PS_FRAME_2M, &frame), PS_NO_MEMORY);
    EXPECT_REFUSED(claim(f, 2 * CHUNK, CHUNK), PS_NO_MEMORY);
    EXPECT_EQ(pool_now(f).whole_2m, 2);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_OK(large(f, PS_FRAME_2M, &frame));
    expect_promised(test, f, SMALL_SINGLES - CHUNK, SMALL_SINGLES - CHUNK);
    pool_free(test, f, frame, CHUNK);
    EXPECT_OK(claim(f, 2 * CHUNK, CHUNK));
    expect_promised(test, f, SMALL_SINGLES - CHUNK, SMALL_SINGLES - CHUNK);
}

/* All of a stretch without tag bytes is one more than is available of it. */
POOL_CASE(a_frame_that_is_kept_back_may_go_into_a_unit, POOL_SMALL, PLAIN(2 * TRACT, CHUNK),
          SIM_RAM(4 * TRACT, 3))
{
    uint64_t others = f->fresh.available - (CHUNK - 1);

    (void)promise_all_but(test, f, CHUNK - 2);
    EXPECT_REFUSED(claim(f, 2 * TRACT, CHUNK), PS_NO_MEMORY);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_OK(claim(f, 2 * TRACT, CHUNK));
    expect_promised(test, f, others, others);
}

static void gib_beside_promises(struct test *test, struct pool_fixture *f)
{
    const uint64_t cost = REGION - REGION / TRACT;
    uint64_t others = pool_now(f).available - cost;
    uint64_t frame;

    (void)promise_all_but(test, f, cost - 1);
    EXPECT_REFUSED(large(f, PS_FRAME_1G, &frame), PS_NO_MEMORY);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_OK(large(f, PS_FRAME_1G, &frame));
    EXPECT_EQ(frame, 4 * REGION);
    expect_promised(test, f, others, others);
    pool_free(test, f, frame, REGION);
    EXPECT_OK(unpromise(f, others));
}

/* Before anybody has looked at the GiB, and afterwards. */
POOL_CASE(one_gib_leaves_the_promised_frames, POOL_SMALL, PLAIN(4 * REGION, REGION),
          SIM_RAM(6 * REGION, 64))
{
    gib_beside_promises(test, f);
    EXPECT_OK(claim(f, 4 * REGION, CHUNK));
    pool_free(test, f, 4 * REGION, CHUNK);
    gib_beside_promises(test, f);
    pool_expect_fresh(test, f);
}

POOL_CASE(runs_leave_the_promised_frames, POOL_SMALL)
{
    uint64_t first = 0;

    (void)promise_all_but(test, f, 9);
    EXPECT_REFUSED(pool_try_run(f, 10, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_OK(pool_try_run(f, 9, 1, UINT64_MAX, &first));
    EXPECT_REFUSED(pool_try_run(f, 1, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    expect_promised(test, f, SMALL_SINGLES - 9, SMALL_SINGLES - 9);
}

/* Low frames are not available anyway, and the tag bytes lie in the frame that is kept back. */
POOL_CASE(low_frames_are_not_the_promised_ones, POOL_SMALL)
{
    uint64_t first = 0;

    (void)promise_all_but(test, f, 0);
    EXPECT_REFUSED(claim(f, 250, 7), PS_NO_MEMORY);
    EXPECT_OK(claim(f, 17, 3));
    expect_promised(test, f, SMALL_SINGLES, SMALL_SINGLES);
    EXPECT_OK(pool_try_run(f, 5, 1, 0xff, &first));
    EXPECT(first < 256);
    expect_promised(test, f, SMALL_SINGLES, SMALL_SINGLES);
    EXPECT_REFUSED(claim(f, 700, 1), PS_NO_MEMORY);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_OK(claim(f, 700, 1));
    expect_promised(test, f, SMALL_SINGLES - 1, SMALL_SINGLES - 1);
}

POOL_CASE(holders_are_not_noted_in_promised_frames, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);

    (void)promise_all_but(test, f, 1);
    EXPECT_REFUSED(ps_frame_pool_share(&f->pool, ps_frame(frame), ps_pages(1)), PS_NO_MEMORY);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(frame), ps_pages(1)));
    expect_promised(test, f, SMALL_SINGLES - 3, SMALL_SINGLES - 3);
}

POOL_CASE(loans_come_and_go_beside_a_promise, POOL_SMALL)
{
    uint64_t lent = pool_single(test, f);
    uint64_t frame;

    (void)promise_all_but(test, f, 0);
    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(lent)));
    expect_promised(test, f, SMALL_SINGLES - 1, SMALL_SINGLES - 1);
    EXPECT_OK(single(f, PS_FRAME_BORROW, &frame));
    EXPECT_EQ(frame, lent);
    EXPECT_REFUSED(single(f, PS_FRAME_BORROW, &frame), PS_NO_MEMORY);
    pool_free(test, f, lent, 1);
    EXPECT_OK(ps_frame_pool_end_loan(&f->pool, ps_frame(lent), PS_FRAME_USER));
    pool_free(test, f, lent, 1);
    expect_promised(test, f, SMALL_SINGLES - 1, SMALL_SINGLES);
}

POOL_CASE(a_quarantine_leaves_the_promised_frames, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);
    uint64_t count = promise_all_but(test, f, 0);

    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 300), PS_NO_MEMORY);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 300), PS_NO_MEMORY);
    EXPECT_OK(unpromise(f, 1));
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 300));
    pool_free(test, f, frame, 1);
    EXPECT_REFUSED(single(f, 0, &frame), PS_NO_MEMORY);
    for (uint64_t i = 0; i < count - 2; i++)
        EXPECT(promised(test, f) != 0);
    expect_promised(test, f, 0, 0);
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 0));
    expect_promised(test, f, 0, 3);
}

/*
 * The tag bytes of the lowest stretch lie in a low frame. If that were given back, one of the
 * others would be kept back in its place, and that one is promised.
 */
POOL_CASE(low_tag_bytes_stay_while_their_place_is_promised, POOL_SMALL)
{
    const uint64_t normal = SMALL_LAST - 255;

    EXPECT_OK(claim(f, 256, normal));
    EXPECT_OK(claim(f, 20, 1));
    EXPECT_EQ(pool_now(f).metadata, SMALL_METADATA + 1);
    pool_free(test, f, 256, normal);
    EXPECT_EQ(pool_now(f).available, normal);
    EXPECT_OK(promise(f, normal));
    pool_free(test, f, 20, 1);
    expect_promised(test, f, normal, normal);
    EXPECT_EQ(pool_now(f).metadata, SMALL_METADATA + 1);
    EXPECT_OK(unpromise(f, normal - 1));
    EXPECT_EQ(pool_now(f).metadata, SMALL_METADATA + 1);
    EXPECT_OK(unpromise(f, 1));
    pool_expect_fresh(test, f);
}

POOL_CASE(memory_that_is_added_keeps_a_promise_too, POOL_SMALL,
          {{3000}, {16}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    EXPECT_OK(promise(f, SMALL_SINGLES));
    EXPECT_REFUSED(promise(f, 1), PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(3000), ps_pages(16)));
    EXPECT_OK(promise(f, 16));
    expect_promised(test, f, SMALL_SINGLES + 16, SMALL_SINGLES + 16);
    EXPECT_REFUSED(promise(f, 1), PS_NO_MEMORY);
    for (uint64_t i = 0; i < SMALL_SINGLES + 16; i++)
        EXPECT(promised(test, f) != 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_promise_takes_no_frame),
    TEST_CASE(promises_add_up_to_what_is_available),
    TEST_CASE(frames_that_have_just_come_back_can_be_promised),
    TEST_CASE(every_promised_frame_can_be_had_cleared),
    TEST_CASE(more_than_is_promised_is_not_given_back),
    TEST_CASE(no_pool_promises_nothing),
    TEST_CASE(a_promised_frame_is_asked_for_properly),
    TEST_CASE(a_promised_frame_is_a_single_one_like_others),
    TEST_CASE(single_frames_go_out_up_to_the_promised_ones),
    TEST_CASE(what_comes_back_can_be_had_beside_a_promise),
    TEST_CASE(a_frame_that_is_kept_back_is_nobodys_to_have),
    TEST_CASE(scattered_frames_leave_the_promised_ones),
    TEST_CASE(two_mib_are_refused_that_would_eat_promised_frames),
    TEST_CASE(a_frame_that_is_kept_back_may_go_into_a_unit),
    TEST_CASE(one_gib_leaves_the_promised_frames),
    TEST_CASE(runs_leave_the_promised_frames),
    TEST_CASE(low_frames_are_not_the_promised_ones),
    TEST_CASE(holders_are_not_noted_in_promised_frames),
    TEST_CASE(loans_come_and_go_beside_a_promise),
    TEST_CASE(a_quarantine_leaves_the_promised_frames),
    TEST_CASE(low_tag_bytes_stay_while_their_place_is_promised),
    TEST_CASE(memory_that_is_added_keeps_a_promise_too),
};

const struct test_suite suite_frame_pool_promise = TEST_SUITE("frame_pool_promise", cases);
