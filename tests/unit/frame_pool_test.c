#include "frame_pool_fixture.h"

#include <string.h>

#include "hw.h"

/* What the calls of the frame pool answer and leave behind, on a machine of 8 MiB. */

/* ---- a pool that is not there ---- */

static void every_call_on_no_pool_is_refused(struct test *test)
{
    const struct ps_frame_run run = {ps_pages(1), 0, PS_FRAME_ANY, PS_FRAME_USER, 0};
    struct ps_frame_pool empty = {0};
    struct ps_frame_pool *const pools[] = {NULL, &empty};
    struct ps_frame_info info;
    ps_frame_t frame;

    for (size_t i = 0; i < PS_ARRAY_SIZE(pools); i++) {
        struct ps_frame_pool *p = pools[i];
        ps_status expected = p == NULL ? PS_INVALID_ARGS : PS_BAD_STATE;

        EXPECT_STATUS(ps_frame_pool_add(p, ps_frame(1), ps_pages(1)), expected);
        EXPECT_STATUS(ps_frame_pool_alloc(p, PS_FRAME_4K, PS_FRAME_USER, 0, &frame), expected);
        EXPECT_STATUS(ps_frame_pool_alloc_run(p, &run, &frame), expected);
        EXPECT_STATUS(ps_frame_pool_alloc_scattered(p, 0, PS_FRAME_USER, 0, NULL), expected);
        EXPECT_STATUS(ps_frame_pool_claim(p, ps_frame(1), ps_pages(1), PS_FRAME_USER), expected);
        EXPECT_STATUS(ps_frame_pool_free(p, ps_frame(1), ps_pages(1)), expected);
        EXPECT_STATUS(ps_frame_pool_split(p, ps_frame(1), ps_pages(1)), expected);
        EXPECT_STATUS(ps_frame_pool_query(p, ps_frame(1), &info), expected);
        EXPECT_STATUS(ps_frame_pool_validate(p, NULL), expected);
    }
}

static void every_instrument_on_no_pool_is_refused(struct test *test)
{
    const struct ps_frame_watermarks watermarks = {.high = 1};
    struct ps_frame_pool empty = {0};
    struct ps_frame_pool *const pools[] = {NULL, &empty};

    for (size_t i = 0; i < PS_ARRAY_SIZE(pools); i++) {
        struct ps_frame_pool *p = pools[i];
        ps_status expected = p == NULL ? PS_INVALID_ARGS : PS_BAD_STATE;

        EXPECT_STATUS(ps_frame_pool_share(p, ps_frame(1), ps_pages(1)), expected);
        EXPECT_STATUS(ps_frame_pool_lend(p, ps_frame(1)), expected);
        EXPECT_STATUS(ps_frame_pool_cancel_loan(p, ps_frame(1)), expected);
        EXPECT_STATUS(ps_frame_pool_end_loan(p, ps_frame(1), PS_FRAME_USER), expected);
        EXPECT_STATUS(ps_frame_pool_watch(p, &watermarks), expected);
        EXPECT_STATUS(ps_frame_pool_set_wait_level(p, 1), expected);
        EXPECT_STATUS(ps_frame_pool_fill(p, 8), expected);
        EXPECT_STATUS(ps_frame_pool_quarantine(p, 1), expected);
    }
}

static void no_pool_has_nothing_to_count(struct test *test)
{
    const struct ps_frame_pool zero = {0};
    const struct ps_frame_pool_snapshot nothing = {0};
    struct ps_frame_pool empty = {0};
    struct ps_frame_pool *const pools[] = {NULL, &empty};

    for (size_t i = 0; i < PS_ARRAY_SIZE(pools); i++) {
        struct ps_frame_pool *p = pools[i];
        struct ps_frame_pool_snapshot now = {.free = 1, .whole_1g = 1};

        EXPECT_EQ(ps_frame_pool_in_use(p), 0);
        for (unsigned size = PS_FRAME_4K; size <= PS_FRAME_1G; size++)
            EXPECT_EQ(ps_frame_pool_whole(p, (enum ps_frame_size)size), 0);
        ps_frame_pool_drain(p);
        ps_frame_pool_fail_after(p, 0, true);
        ps_frame_pool_snapshot(p, &now);
        EXPECT(memcmp(&now, &nothing, sizeof(now)) == 0);
    }
    EXPECT(memcmp(&empty, &zero, sizeof(empty)) == 0);
}

/* ---- single frames ---- */

POOL_CASE(a_single_frame_is_tagged_and_comes_back, POOL_SMALL)
{
    ps_frame_t frame;

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_STACK, 0, &frame));
    EXPECT(frame.number >= 256 && frame.number <= SMALL_LAST);
    pool_expect_unit(test, f, frame.number, frame.number, 1, PS_FRAME_STACK);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
    EXPECT_EQ(pool_now(f).by_tag[PS_FRAME_STACK], 1);
    EXPECT_EQ(pool_now(f).units_4k, 2); /* and the tag bytes */
    EXPECT_EQ(pool_now(f).available, f->fresh.available - 1);
    pool_free(test, f, frame.number, 1);
    pool_expect_unit(test, f, frame.number, frame.number, 0, PS_FRAME_FREE);
    pool_expect_fresh(test, f);
}

POOL_CASE(bad_arguments_of_alloc_are_refused, POOL_SMALL)
{
    const enum ps_frame_tag bad_tags[] = {PS_FRAME_FREE,   PS_FRAME_METADATA, PS_FRAME_QUARANTINED,
                                          PS_FRAME_LOANED, PS_FRAME_DAMAGED,  PS_FRAME_TAG_COUNT};
    struct ps_frame_pool *p = &f->pool;
    ps_frame_t frame = ps_frame(77);

    for (size_t i = 0; i < PS_ARRAY_SIZE(bad_tags); i++) {
        enum ps_frame_tag tag = bad_tags[i];
        struct ps_frame_run run = {ps_pages(1), 0, PS_FRAME_ANY, tag, 0};

        EXPECT_REFUSED(ps_frame_pool_alloc(p, PS_FRAME_4K, tag, 0, &frame), PS_INVALID_ARGS);
        EXPECT_REFUSED(ps_frame_pool_alloc_run(p, &run, &frame), PS_INVALID_ARGS);
        EXPECT_REFUSED(ps_frame_pool_alloc_scattered(p, 1, tag, 0, &frame), PS_INVALID_ARGS);
        EXPECT_REFUSED(ps_frame_pool_claim(p, ps_frame(300), ps_pages(1), tag), PS_INVALID_ARGS);
    }
    EXPECT_REFUSED(ps_frame_pool_alloc(p, PS_FRAME_4K, PS_FRAME_USER, 8, &frame), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc(p, PS_FRAME_4K, PS_FRAME_USER, 0, NULL), PS_INVALID_ARGS);
    EXPECT_EQ(ps_frame_pool_whole(p, (enum ps_frame_size)3), 0);
    EXPECT_REFUSED(ps_frame_pool_alloc(p, (enum ps_frame_size)3, PS_FRAME_USER, 0, &frame),
                   PS_INVALID_ARGS);
    for (unsigned size = PS_FRAME_2M; size <= PS_FRAME_1G; size++)
        EXPECT_REFUSED(ps_frame_pool_alloc(p, (enum ps_frame_size)size, PS_FRAME_USER,
                                           PS_FRAME_BORROW, &frame),
                       PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(p, 1, PS_FRAME_USER, 8, &frame), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(p, 1, PS_FRAME_USER, 0, NULL), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_claim(p, ps_frame(300), ps_pages(0), PS_FRAME_USER),
                   PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_query(p, ps_frame(300), NULL), PS_INVALID_ARGS);
    EXPECT_EQ(frame.number, 77);
}

POOL_CASE(bad_arguments_of_alloc_run_are_refused, POOL_SMALL)
{
    const struct ps_frame_run good = {ps_pages(1), 0, PS_FRAME_ANY, PS_FRAME_USER, 0};
    struct ps_frame_run no_pages = good;
    struct ps_frame_run alignment = good;
    struct ps_frame_run flags = good;
    struct ps_frame_run borrowed = good;
    ps_frame_t frame = ps_frame(77);

    no_pages.pages = ps_pages(0);
    alignment.alignment = 3;
    flags.flags = 9;
    borrowed.flags = PS_FRAME_BORROW;
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, NULL, &frame), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &good, NULL), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &no_pages, &frame), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &alignment, &frame), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &flags, &frame), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_alloc_run(&f->pool, &borrowed, &frame), PS_INVALID_ARGS);
    EXPECT_EQ(frame.number, 77);
}

POOL_CASE(frames_run_out_at_the_last_one_and_all_come_back, POOL_SMALL)
{
    static uint64_t taken[SMALL_SINGLES];
    ps_frame_t more = ps_frame(77);

    EXPECT_EQ(f->fresh.available, SMALL_SINGLES);
    for (uint64_t i = 0; i < SMALL_SINGLES; i++)
        taken[i] = pool_single(test, f);
    EXPECT_EQ(pool_now(f).free, SMALL_LOW);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_4K), 0);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &more),
                   PS_NO_MEMORY);
    EXPECT_EQ(more.number, 77);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    for (uint64_t i = 0; i < SMALL_SINGLES; i++)
        EXPECT(taken[i] >= 256);
    for (uint64_t i = SMALL_SINGLES; i > 0; i--)
        pool_free(test, f, taken[i - 1], 1);
    pool_expect_fresh(test, f);
}

static bool frames_are_zero(const struct pool_fixture *f, ps_frame_t first, uint64_t pages)
{
    static const uint8_t zeros[4096];

    for (uint64_t i = 0; i < pages; i++)
        if (memcmp(ps_hw_frame(&f->sim->machine, ps_frame_add(first, i)), zeros, sizeof(zeros)) !=
            0)
            return false;
    return true;
}

static uint64_t first_word(const struct pool_fixture *f, uint64_t frame)
{
    return *(uint64_t *)ps_hw_frame(&f->sim->machine, ps_frame(frame));
}

POOL_CASE(a_zeroed_frame_is_zero_and_others_are_not_touched, POOL_SMALL)
{
    struct ps_frame_run run = {ps_pages(700), 0, PS_FRAME_ANY, PS_FRAME_USER, PS_FRAME_ZERO};
    ps_frame_t frame;
    ps_frame_t scattered[2];

    EXPECT_EQ(first_word(f, pool_single(test, f)), SIM_JUNK_WORD);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, PS_FRAME_ZERO, &frame));
    EXPECT(frames_are_zero(f, frame, 512));
    EXPECT_EQ(first_word(f, frame.number - 1), SIM_JUNK_WORD);
    EXPECT_EQ(first_word(f, frame.number + 512), SIM_JUNK_WORD);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &frame));
    EXPECT(frames_are_zero(f, frame, 1));
    REQUIRE_OK(ps_frame_pool_alloc_run(&f->pool, &run, &frame));
    EXPECT(frames_are_zero(f, frame, 700));
    EXPECT_EQ(first_word(f, frame.number + 700), SIM_JUNK_WORD);
    REQUIRE_OK(ps_frame_pool_alloc_scattered(&f->pool, 2, PS_FRAME_USER, PS_FRAME_ZERO, scattered));
    EXPECT(frames_are_zero(f, scattered[0], 1) && frames_are_zero(f, scattered[1], 1));
}

POOL_CASE(a_dirty_frame_is_zero_only_for_who_asks, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);
    ps_frame_t again;

    memset(ps_hw_frame(&f->sim->machine, ps_frame(frame)), 0x5a, 4096);
    pool_free(test, f, frame, 1);
    ps_frame_pool_drain(&f->pool);
    EXPECT_EQ(pool_single(test, f), frame);
    EXPECT_EQ(first_word(f, frame), 0x5a5a5a5a5a5a5a5a);
    pool_free(test, f, frame, 1);
    ps_frame_pool_drain(&f->pool);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &again));
    EXPECT_EQ(again.number, frame);
    EXPECT(frames_are_zero(f, again, 1));
}

/* ---- larger frames ---- */

POOL_CASE(a_2m_frame_is_aligned_and_one_unit, POOL_SMALL)
{
    ps_frame_t first;
    ps_frame_t second;
    ps_frame_t third = ps_frame(77);

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_OBJECT, 0, &first));
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_OBJECT, 0, &second));
    EXPECT_EQ(first.number, 512);
    EXPECT_EQ(second.number, 1024);
    pool_expect_unit(test, f, 512 + 300, 512, 512, PS_FRAME_OBJECT);
    pool_expect_unit(test, f, 1024, 1024, 512, PS_FRAME_OBJECT);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_OBJECT, 0, &third),
                   PS_NO_SPACE);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_OBJECT, 0, &third),
                   PS_NO_MEMORY);
    EXPECT_EQ(third.number, 77);
    pool_free(test, f, 512, 512);
    pool_free(test, f, 1024, 512);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_run_has_its_size_and_alignment, POOL_SMALL)
{
    uint64_t odd = pool_run(test, f, 3, 0, UINT64_MAX);
    uint64_t aligned = pool_run(test, f, 5, 64, UINT64_MAX);
    uint64_t next = pool_run(test, f, 60, 1, UINT64_MAX);

    EXPECT_EQ(odd, 256);
    EXPECT_EQ(aligned, 320);
    EXPECT_EQ(next, 260); /* frame 259 has the tag bytes */
    EXPECT(pool_is_free(f, 325));
    pool_expect_unit(test, f, 258, 256, 3, PS_FRAME_USER);
    pool_expect_unit(test, f, 324, 320, 5, PS_FRAME_USER);
    pool_expect_unit(test, f, 319, 260, 60, PS_FRAME_USER);
    pool_free(test, f, odd, 3);
    pool_free(test, f, aligned, 5);
    pool_free(test, f, next, 60);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_run_that_cannot_be_is_no_space_or_no_memory, POOL_SMALL)
{
    uint64_t first = 77;

    EXPECT_REFUSED(pool_try_run(f, SMALL_SINGLES + 2, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, UINT64_MAX, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, SMALL_SINGLES, 512, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_REFUSED(pool_try_run(f, 1, 4096, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_REFUSED(pool_try_run(f, 1, (uint64_t)1 << 63, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_EQ(first, 77);
    /* Of the frame that is kept back for its tags the run has need: they are in a low one. */
    EXPECT_EQ(pool_run(test, f, SMALL_SINGLES + 1, 256, UINT64_MAX), 256);
    EXPECT_EQ(pool_now(f).free, SMALL_LOW - 1);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    pool_free(test, f, 256, SMALL_SINGLES + 1);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_busy_frame_in_the_way_is_skipped, POOL_SMALL)
{
    uint64_t first = 77;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1100), ps_pages(1), PS_FRAME_USER));
    EXPECT_EQ(pool_run(test, f, 900, 1, UINT64_MAX), 1101);
    /* The tag bytes are in the lowest frame. */
    EXPECT_REFUSED(pool_try_run(f, 844, 1, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_EQ(pool_run(test, f, 843, 1, UINT64_MAX), 257);
    EXPECT_REFUSED(pool_try_run(f, 45, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 44, 1, UINT64_MAX), 2001);
}

/* ---- limits ---- */

POOL_CASE(a_limit_is_the_highest_frame_that_is_used, POOL_SMALL)
{
    uint64_t first = 77;

    EXPECT_REFUSED(pool_try_run(f, 4, 1, 258, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 2, 256, 256, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 3, 1, 258), 256);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, 258, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 2, 512, 300, &first), PS_NO_SPACE);
    EXPECT_EQ(first, 77);
}

POOL_CASE(low_memory_is_given_only_to_who_names_it, POOL_SMALL)
{
    uint64_t first = 77;

    EXPECT_EQ(pool_run(test, f, 200, 1, 0xff), 1);
    EXPECT_EQ(pool_run(test, f, 55, 1, 0xff), 201);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, 0xff, &first), PS_NO_MEMORY);
    pool_free(test, f, 1, 200);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, 0, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, SMALL_SINGLES, 1, UINT64_MAX), 257);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, 0xfffff, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 1, 128, 0xff), 128);
}

/* ---- exact frames ---- */

POOL_CASE(a_claim_takes_exactly_its_frames, POOL_SMALL)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(700), ps_pages(20), PS_FRAME_LENT));
    pool_expect_unit(test, f, 719, 700, 20, PS_FRAME_LENT);
    EXPECT(pool_is_free(f, 699) && pool_is_free(f, 720));
    /* The tag bytes of all three are in frame 256. */
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(1), ps_pages(256), PS_FRAME_LENT),
                   PS_ALREADY_EXISTS);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1), ps_pages(255), PS_FRAME_LENT));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(SMALL_LAST), ps_pages(1), PS_FRAME_LENT));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 20 + 255 + 1);
    pool_free(test, f, 700, 20);
    pool_free(test, f, 1, 255);
    pool_free(test, f, SMALL_LAST, 1);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_claim_of_allocated_frames_is_refused, POOL_SMALL)
{
    const uint64_t overlaps[][2] = {{700, 20}, {690, 11}, {719, 5}, {705, 1}, {600, 400}};

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(700), ps_pages(20), PS_FRAME_LENT));
    for (size_t i = 0; i < PS_ARRAY_SIZE(overlaps); i++)
        EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(overlaps[i][0]),
                                           ps_pages(overlaps[i][1]), PS_FRAME_USER),
                       PS_ALREADY_EXISTS);
    EXPECT_REFUSED(
        ps_frame_pool_claim(&f->pool, ps_frame(SMALL_LAST + 1), ps_pages(1), PS_FRAME_USER),
        PS_ALREADY_EXISTS);
}

POOL_CASE(a_claim_of_absent_frames_is_refused, POOL_SMALL)
{
    const uint64_t ranges[][2] = {{0, 1},
                                  {0, 5},
                                  {SMALL_LAST, SMALL_METADATA + 2},
                                  {SMALL_FRAMES, 1},
                                  {UINT64_MAX, 1},
                                  {300, UINT64_MAX},
                                  {UINT64_MAX, UINT64_MAX}};

    for (size_t i = 0; i < PS_ARRAY_SIZE(ranges); i++)
        EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(ranges[i][0]), ps_pages(ranges[i][1]),
                                           PS_FRAME_USER),
                       PS_NOT_FOUND);
}

/* ---- giving back ---- */

POOL_CASE(a_double_free_is_refused, POOL_SMALL)
{
    uint64_t first = pool_run(test, f, 4, 1, UINT64_MAX);

    pool_free(test, f, first, 4);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(4)), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(1)), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(4)), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(1999), ps_pages(1)), PS_NOT_FOUND);
}

POOL_CASE(the_middle_of_a_unit_is_refused, POOL_SMALL)
{
    uint64_t first = pool_run(test, f, 4, 1, UINT64_MAX);

    for (uint64_t i = 1; i < 4; i++) {
        ps_frame_t middle = ps_frame(first + i);

        EXPECT_REFUSED(ps_frame_pool_free(&f->pool, middle, ps_pages(4 - i)), PS_NOT_FOUND);
        EXPECT_REFUSED(ps_frame_pool_split(&f->pool, middle, ps_pages(4 - i)), PS_NOT_FOUND);
    }
}

POOL_CASE(another_size_is_refused, POOL_SMALL)
{
    const uint64_t sizes[] = {1, 3, 5, 8, 512, UINT64_MAX};
    const ps_frame_t first = ps_frame(1500);

    EXPECT_OK(ps_frame_pool_claim(&f->pool, first, ps_pages(4), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame_add(first, 4), ps_pages(4), PS_FRAME_USER));
    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        EXPECT_REFUSED(ps_frame_pool_free(&f->pool, first, ps_pages(sizes[i])), PS_WRONG_SIZE);
        EXPECT_REFUSED(ps_frame_pool_split(&f->pool, first, ps_pages(sizes[i])), PS_WRONG_SIZE);
    }
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, first, ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, first, ps_pages(0)), PS_INVALID_ARGS);
    pool_free(test, f, first.number, 4);
    pool_free(test, f, first.number + 4, 4);
    pool_expect_fresh(test, f);
}

POOL_CASE(foreign_frames_are_refused, POOL_SMALL)
{
    const uint64_t frames[] = {0, SMALL_FRAMES, 32767, 32768, (uint64_t)1 << 40, UINT64_MAX};

    for (size_t i = 0; i < PS_ARRAY_SIZE(frames); i++) {
        ps_frame_t frame = ps_frame(frames[i]);

        EXPECT_REFUSED(ps_frame_pool_free(&f->pool, frame, ps_pages(1)), PS_OUT_OF_RANGE);
        EXPECT_REFUSED(ps_frame_pool_split(&f->pool, frame, ps_pages(1)), PS_OUT_OF_RANGE);
        EXPECT(!pool_is_managed(f, frames[i]));
    }
}

POOL_CASE(the_pools_own_frames_are_refused, POOL_SMALL)
{
    for (uint64_t i = 1; i <= SMALL_METADATA; i++) {
        ps_frame_t frame = ps_frame(SMALL_LAST + i);

        pool_expect_unit(test, f, frame.number, SMALL_LAST + 1, SMALL_METADATA, PS_FRAME_METADATA);
        EXPECT_REFUSED(ps_frame_pool_free(&f->pool, frame, ps_pages(1)), PS_ACCESS_DENIED);
        EXPECT_REFUSED(ps_frame_pool_split(&f->pool, frame, ps_pages(1)), PS_ACCESS_DENIED);
    }
}

POOL_CASE(a_split_unit_goes_back_in_parts, POOL_SMALL)
{
    uint64_t first = pool_run(test, f, 5, 1, UINT64_MAX);

    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(5)));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 5);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(5)), PS_WRONG_SIZE);
    pool_free(test, f, first + 2, 1);
    for (uint64_t i = 0; i < 5; i++)
        pool_expect_unit(test, f, first + i, first + i, i == 2 ? 0 : 1, PS_FRAME_USER);
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(1)));
    for (uint64_t i = 0; i < 5; i++)
        if (i != 2)
            pool_free(test, f, first + i, 1);
    pool_expect_fresh(test, f);
}

/* ---- scattered frames ---- */

POOL_CASE(scattered_frames_are_single_units, POOL_SMALL)
{
    ps_frame_t frames[600];

    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 0, PS_FRAME_HEAP, 0, NULL), PS_OK);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 600, PS_FRAME_HEAP, 0, frames));
    EXPECT_EQ(pool_now(f).by_tag[PS_FRAME_HEAP], 600);
    for (size_t i = 0; i < 600; i++) {
        pool_expect_unit(test, f, frames[i].number, frames[i].number, 1, PS_FRAME_HEAP);
        pool_free(test, f, frames[i].number, 1);
    }
    pool_expect_fresh(test, f);
}

POOL_CASE(scattered_frames_are_all_or_nothing, POOL_SMALL)
{
    static ps_frame_t frames[SMALL_SINGLES + 1];

    EXPECT_REFUSED(
        ps_frame_pool_alloc_scattered(&f->pool, SMALL_SINGLES + 1, PS_FRAME_HEAP, 0, frames),
        PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, SMALL_SINGLES, PS_FRAME_HEAP, 0, frames));
    EXPECT_EQ(pool_now(f).free, SMALL_LOW);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 1, PS_FRAME_HEAP, 0, frames),
                   PS_NO_MEMORY);
}

static const struct test_case cases[] = {
    TEST_CASE(every_call_on_no_pool_is_refused),
    TEST_CASE(every_instrument_on_no_pool_is_refused),
    TEST_CASE(no_pool_has_nothing_to_count),
    TEST_CASE(a_single_frame_is_tagged_and_comes_back),
    TEST_CASE(bad_arguments_of_alloc_are_refused),
    TEST_CASE(bad_arguments_of_alloc_run_are_refused),
    TEST_CASE(frames_run_out_at_the_last_one_and_all_come_back),
    TEST_CASE(a_zeroed_frame_is_zero_and_others_are_not_touched),
    TEST_CASE(a_dirty_frame_is_zero_only_for_who_asks),
    TEST_CASE(a_2m_frame_is_aligned_and_one_unit),
    TEST_CASE(a_run_has_its_size_and_alignment),
    TEST_CASE(a_run_that_cannot_be_is_no_space_or_no_memory),
    TEST_CASE(a_busy_frame_in_the_way_is_skipped),
    TEST_CASE(a_limit_is_the_highest_frame_that_is_used),
    TEST_CASE(low_memory_is_given_only_to_who_names_it),
    TEST_CASE(a_claim_takes_exactly_its_frames),
    TEST_CASE(a_claim_of_allocated_frames_is_refused),
    TEST_CASE(a_claim_of_absent_frames_is_refused),
    TEST_CASE(a_double_free_is_refused),
    TEST_CASE(the_middle_of_a_unit_is_refused),
    TEST_CASE(another_size_is_refused),
    TEST_CASE(foreign_frames_are_refused),
    TEST_CASE(the_pools_own_frames_are_refused),
    TEST_CASE(a_split_unit_goes_back_in_parts),
    TEST_CASE(scattered_frames_are_single_units),
    TEST_CASE(scattered_frames_are_all_or_nothing),
};

const struct test_suite suite_frame_pool = TEST_SUITE("frame_pool_calls", cases);
