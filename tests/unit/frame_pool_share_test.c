#include "frame_pool_fixture.h"

/* Units with several holders: each gives the unit back once, the last one really does. */

static ps_status share(struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    return ps_frame_pool_share(&f->pool, ps_frame(first), ps_pages(pages));
}

static ps_status give(struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    return ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(pages));
}

static uint64_t holders(struct pool_fixture *f, uint64_t frame)
{
    struct ps_frame_info info = {0};

    return ps_frame_pool_query(&f->pool, ps_frame(frame), &info) == PS_OK ? info.holders : 77;
}

/* Frames that the pool uses for itself, beyond those that init set aside. */
static uint64_t own_frames(struct pool_fixture *f)
{
    return pool_now(f).metadata - f->fresh.metadata;
}

static uint64_t claim(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_OBJECT));
    return first;
}

/* Take single frames until `left` are available. */
static void leave_available(struct test *test, struct pool_fixture *f, uint64_t left)
{
    while (pool_now(f).available > left)
        (void)pool_single(test, f);
}

/* ---- how many hold it ---- */

POOL_CASE(each_holder_gives_the_unit_back_once, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);

    EXPECT_EQ(holders(f, frame), 1);
    EXPECT_OK(share(f, frame, 1));
    EXPECT_EQ(holders(f, frame), 2);
    EXPECT_OK(share(f, frame, 1));
    EXPECT_EQ(holders(f, frame), 3);
    EXPECT_EQ(pool_now(f).shared_units, 1);
    pool_free(test, f, frame, 1);
    EXPECT_EQ(holders(f, frame), 2);
    EXPECT_EQ(pool_now(f).shared_units, 1);
    pool_free(test, f, frame, 1);
    EXPECT_EQ(holders(f, frame), 1);
    EXPECT_EQ(pool_now(f).shared_units, 0);
    pool_expect_unit(test, f, frame, frame, 1, PS_FRAME_USER);
    pool_free(test, f, frame, 1);
    EXPECT_EQ(holders(f, frame), 0);
    EXPECT_REFUSED(give(f, frame, 1), PS_NOT_FOUND);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_unit_can_be_shared_again_after_it_was_not, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);

    for (unsigned round = 0; round < 3; round++) {
        EXPECT_OK(share(f, frame, 1));
        EXPECT_EQ(holders(f, frame), 2);
        EXPECT_EQ(own_frames(f), 3);
        pool_free(test, f, frame, 1);
        EXPECT_EQ(holders(f, frame), 1);
        EXPECT_EQ(own_frames(f), 1);
    }
    pool_free(test, f, frame, 1);
    pool_expect_fresh(test, f);
}

/* Single frames that are handed out and taken back quickly, with a shared one among them. */
POOL_CASE(a_shared_frame_stays_when_others_beside_it_go_back, SIM_RAM(0x1000, 0x800))
{
    uint64_t frames[8];

    for (unsigned i = 0; i < 8; i++)
        frames[i] = pool_single(test, f);
    EXPECT_OK(share(f, frames[3], 1));
    for (unsigned i = 0; i < 8; i++)
        pool_free(test, f, frames[i], 1);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
    EXPECT_EQ(holders(f, frames[3]), 1);
    for (unsigned i = 0; i < 8; i++)
        EXPECT(pool_is_free(f, frames[i]) == (i != 3));
    pool_free(test, f, frames[3], 1);
    EXPECT_REFUSED(give(f, frames[3], 1), PS_NOT_FOUND);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_thousand_holders_are_counted, POOL_SMALL)
{
    uint64_t frame = pool_run(test, f, 3, 0, UINT64_MAX);

    for (unsigned i = 1; i < 1000; i++)
        EXPECT_OK(share(f, frame, 3));
    EXPECT_EQ(holders(f, frame), 1000);
    EXPECT_EQ(own_frames(f), 3);
    for (unsigned i = 1; i < 1000; i++)
        pool_free(test, f, frame, 3);
    EXPECT_EQ(holders(f, frame), 1);
    pool_free(test, f, frame, 3);
    pool_expect_fresh(test, f);
}

/* ---- units of all shapes ---- */

/* Share it, look at each of its ends, and give it back twice. */
static void share_and_give(struct test *test, struct pool_fixture *f, uint64_t first,
                           uint64_t pages)
{
    EXPECT_OK(share(f, first, pages));
    EXPECT_EQ(holders(f, first), 2);
    EXPECT_EQ(holders(f, first + pages - 1), 2);
    EXPECT_EQ(pool_now(f).shared_units, 1);
    pool_free(test, f, first, pages);
    pool_expect_unit(test, f, first + pages - 1, first, pages, PS_FRAME_OBJECT);
    EXPECT_EQ(pool_now(f).shared_units, 0);
    pool_free(test, f, first, pages);
    EXPECT(pool_is_free(f, first));
    EXPECT(pool_is_free(f, first + pages - 1));
}

POOL_CASE(units_of_any_size_are_shared, POOL_SMALL)
{
    static const uint64_t units[][2] = {
        {5, 1},    {1, 255},    {256, 1},    {300, 7},    {511, 2},
        {512, 64}, {512, 512},  {512, 1024}, {700, 1000}, {1024, 513},
        {1535, 2}, {1500, 512}, {2040, 3},   {256, 1700}, {1535, 1},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(units); i++) {
        uint64_t failures = test->failures;

        share_and_give(test, f, claim(test, f, units[i][0], units[i][1]), units[i][1]);
        pool_expect_fresh(test, f);
        if (test->failures != failures)
            test_note(test, "unit %u", (unsigned)i);
    }
}

#define PLAIN(first_frame, page_count)                               \
    {                                                                \
        {(first_frame)}, {(page_count)}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

POOL_CASE(a_shared_1g_frame_needs_no_frame_for_its_holders, PLAIN(0x40000, 0x81000))
{
    claim(test, f, 0x40000, 0x40000);
    claim(test, f, 0x80000, 0x40000);
    leave_available(test, f, 0);
    EXPECT_OK(share(f, 0x80000, 0x40000));
    EXPECT_OK(share(f, 0x40000, 0x40000));
    EXPECT_OK(share(f, 0x40000, 0x40000));
    EXPECT_EQ(holders(f, 0x40000), 3);
    EXPECT_EQ(holders(f, 0x7ffff), 3);
    EXPECT_EQ(holders(f, 0x80000), 2);
    EXPECT_EQ(pool_now(f).shared_units, 2);
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, ps_frame(0x80000), ps_pages(0x40000)),
                   PS_ACCESS_DENIED);
    pool_free(test, f, 0x40000, 0x40000);
    pool_free(test, f, 0x40000, 0x40000);
    EXPECT_EQ(holders(f, 0x40000), 1);
    pool_free(test, f, 0x40000, 0x40000);
    EXPECT(pool_is_free(f, 0x40000));
    EXPECT_EQ(pool_now(f).shared_units, 1);
    claim(test, f, 0x40000, 0x40000);
    EXPECT_EQ(holders(f, 0x40000), 1);
    pool_free(test, f, 0x40000, 0x40000);
    pool_free(test, f, 0x80000, 0x40000);
    pool_free(test, f, 0x80000, 0x40000);
    EXPECT_EQ(pool_now(f).shared_units, 0);
}

POOL_CASE(a_run_that_begins_with_a_1g_region_is_no_1g_frame, PLAIN(0x40000, 0x81000))
{
    claim(test, f, 0x40000, 0x40001);
    EXPECT_OK(share(f, 0x40000, 0x40001));
    EXPECT_EQ(holders(f, 0x80000), 2);
    pool_expect_unit(test, f, 0x80001, 0x80001, 1, PS_FRAME_METADATA);
    pool_free(test, f, 0x40000, 0x40001);
    EXPECT_EQ(holders(f, 0x40000), 1);
    pool_free(test, f, 0x40000, 0x40001);
    pool_expect_fresh(test, f);
}

/* ---- what it costs ---- */

POOL_CASE(frames_for_the_numbers_come_and_go_with_the_shared_units, POOL_SMALL)
{
    uint64_t units[] = {300, 301, 700, 1030};

    for (size_t i = 0; i < PS_ARRAY_SIZE(units); i++)
        claim(test, f, units[i], 1);
    EXPECT_EQ(own_frames(f), 1); /* the tag bytes */
    EXPECT_OK(share(f, 300, 1));
    EXPECT_EQ(own_frames(f), 1 + 2); /* the directory, and the first chunk's numbers */
    EXPECT_OK(share(f, 301, 1));
    EXPECT_EQ(own_frames(f), 1 + 2);
    EXPECT_OK(share(f, 700, 1));
    EXPECT_EQ(own_frames(f), 1 + 3);
    EXPECT_OK(share(f, 1030, 1));
    EXPECT_EQ(own_frames(f), 1 + 4);
    EXPECT_EQ(pool_now(f).shared_units, 4);
    pool_free(test, f, 300, 1);
    EXPECT_EQ(own_frames(f), 1 + 4);
    pool_free(test, f, 700, 1);
    EXPECT_EQ(own_frames(f), 1 + 3);
    pool_free(test, f, 301, 1);
    EXPECT_EQ(own_frames(f), 1 + 2);
    EXPECT_EQ(holders(f, 1030), 2);
    pool_free(test, f, 1030, 1);
    EXPECT_EQ(own_frames(f), 1);
    for (size_t i = 0; i < PS_ARRAY_SIZE(units); i++)
        pool_free(test, f, units[i], 1);
    pool_expect_fresh(test, f);
}

POOL_CASE(units_of_several_16_mib_have_numbers_of_their_own, SIM_RAM(0x1000, 0x2100))
{
    claim(test, f, 0x1800, 1);
    claim(test, f, 0x2800, 1);
    EXPECT_OK(share(f, 0x1800, 1));
    EXPECT_OK(share(f, 0x2800, 1));
    EXPECT_OK(share(f, 0x2800, 1));
    EXPECT_EQ(holders(f, 0x1800), 2);
    EXPECT_EQ(holders(f, 0x2800), 3);
    pool_free(test, f, 0x1800, 1);
    EXPECT_EQ(holders(f, 0x1800), 1);
    EXPECT_EQ(holders(f, 0x2800), 3);
    pool_free(test, f, 0x1800, 1);
    pool_free(test, f, 0x2800, 1);
    pool_free(test, f, 0x2800, 1);
    pool_free(test, f, 0x2800, 1);
    pool_expect_fresh(test, f);
}

POOL_CASE(without_frames_for_the_numbers_sharing_is_refused, POOL_SMALL)
{
    uint64_t spare[3];

    claim(test, f, 300, 1);
    claim(test, f, 301, 2);
    claim(test, f, 600, 1);
    for (size_t i = 0; i < PS_ARRAY_SIZE(spare); i++)
        spare[i] = pool_single(test, f);
    leave_available(test, f, 0);
    EXPECT_REFUSED(share(f, 300, 1), PS_NO_MEMORY);
    pool_free(test, f, spare[0], 1);
    EXPECT_REFUSED(share(f, 300, 1), PS_NO_MEMORY);
    pool_free(test, f, spare[1], 1);
    EXPECT_OK(share(f, 300, 1));
    EXPECT_EQ(pool_now(f).available, 0);
    EXPECT_OK(share(f, 301, 2));
    EXPECT_OK(share(f, 301, 2));
    EXPECT_REFUSED(share(f, 600, 1), PS_NO_MEMORY);
    pool_free(test, f, spare[2], 1);
    EXPECT_OK(share(f, 600, 1));
    EXPECT_EQ(holders(f, 300), 2);
    EXPECT_EQ(holders(f, 302), 3);
    EXPECT_EQ(holders(f, 600), 2);
    pool_free(test, f, 600, 1);
    pool_free(test, f, 300, 1);
    pool_free(test, f, 301, 2);
    EXPECT_EQ(pool_now(f).available, 1);
    pool_free(test, f, 301, 2);
    EXPECT_EQ(pool_now(f).available, 3);
}

POOL_CASE(sharing_is_a_call_that_gives_frames, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);

    ps_frame_pool_fail_after(&f->pool, 0, true);
    EXPECT_REFUSED(share(f, frame, 1), PS_NO_MEMORY);
    EXPECT_REFUSED(share(f, frame, 2), PS_WRONG_SIZE);
    ps_frame_pool_fail_after(&f->pool, 1, true);
    EXPECT_OK(share(f, frame, 1));
    EXPECT_REFUSED(share(f, frame, 1), PS_NO_MEMORY);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(share(f, frame, 1));
    EXPECT_EQ(holders(f, frame), 3);
}

/* ---- what cannot be shared, and what a shared unit refuses ---- */

POOL_CASE(what_is_no_unit_is_not_shared, POOL_SMALL)
{
    struct ps_frame_pool empty = {0};
    uint64_t run = pool_run(test, f, 5, 0, UINT64_MAX);

    EXPECT_STATUS(ps_frame_pool_share(NULL, ps_frame(300), ps_pages(1)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_share(&empty, ps_frame(300), ps_pages(1)), PS_BAD_STATE);
    EXPECT_REFUSED(share(f, run, 0), PS_INVALID_ARGS);
    EXPECT_REFUSED(share(f, run, 4), PS_WRONG_SIZE);
    EXPECT_REFUSED(share(f, run, 6), PS_WRONG_SIZE);
    EXPECT_REFUSED(share(f, run, UINT64_MAX), PS_WRONG_SIZE);
    EXPECT_REFUSED(share(f, run + 1, 4), PS_NOT_FOUND);
    EXPECT_REFUSED(share(f, run + 4, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(share(f, 1500, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(share(f, 0, 1), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(share(f, SMALL_FRAMES, 1), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(share(f, UINT64_MAX, 1), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(share(f, SMALL_LAST + 1, SMALL_METADATA), PS_ACCESS_DENIED);
}

/* Whatever frame is the pool's own: none of them is found among those that it hands out. */
POOL_CASE(frames_of_the_pool_itself_are_not_shared, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);
    unsigned own = 0;

    EXPECT_OK(share(f, frame, 1));
    for (uint64_t at = 1; at <= SMALL_LAST; at++) {
        struct ps_frame_info info;

        EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(at), &info));
        if (info.tag != PS_FRAME_METADATA)
            continue;
        own++;
        EXPECT_REFUSED(share(f, at, 1), PS_ACCESS_DENIED);
    }
    EXPECT_EQ(own, 3);
}

POOL_CASE(a_lent_frame_is_not_shared, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);
    ps_frame_t borrowed;

    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(frame)));
    EXPECT_REFUSED(share(f, frame, 1), PS_ACCESS_DENIED);
    REQUIRE_OK(
        ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_BORROW, &borrowed));
    EXPECT_EQ(borrowed.number, frame);
    EXPECT_REFUSED(share(f, frame, 1), PS_ACCESS_DENIED);
    pool_free(test, f, frame, 1);
    EXPECT_OK(ps_frame_pool_end_loan(&f->pool, ps_frame(frame), PS_FRAME_USER));
    EXPECT_OK(share(f, frame, 1));
    EXPECT_EQ(holders(f, frame), 2);
}

POOL_CASE(a_shared_unit_is_neither_split_nor_lent_nor_given_back_in_parts, POOL_SMALL)
{
    uint64_t run = pool_run(test, f, 4, 0, UINT64_MAX);
    uint64_t frame = pool_single(test, f);

    EXPECT_OK(share(f, run, 4));
    EXPECT_OK(share(f, frame, 1));
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, ps_frame(run), ps_pages(4)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_lend(&f->pool, ps_frame(frame)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(give(f, run, 3), PS_WRONG_SIZE);
    EXPECT_REFUSED(give(f, run + 1, 3), PS_NOT_FOUND);
    pool_free(test, f, run, 4);
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(run), ps_pages(4)));
    EXPECT_OK(share(f, run + 2, 1));
    EXPECT_EQ(holders(f, run + 1), 1);
    EXPECT_EQ(holders(f, run + 2), 2);
}

/* ---- random units, and a list of what should be ---- */

enum { MODEL_UNITS = 24, MODEL_STEPS = 3000 };

struct shared_unit {
    uint64_t first;
    uint64_t pages;
    uint64_t holders; /* 0: not there */
};

static bool model_take(struct pool_fixture *f, struct shared_unit *unit, uint64_t pages)
{
    ps_frame_t frame = ps_frame(0);
    ps_status status;

    unit->pages = pages;
    if (pages != 1)
        return pool_try_run(f, pages, pages == 512 ? 512 : 1, UINT64_MAX, &unit->first) == PS_OK;
    status = ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame);
    unit->first = frame.number;
    return status == PS_OK;
}

static void model_step(struct test *test, struct pool_fixture *f, struct shared_unit *unit,
                       struct test_random *random)
{
    static const uint64_t sizes[] = {1, 1, 1, 2, 5, 64, 512, 700};

    if (unit->holders == 0) {
        if (!model_take(f, unit, sizes[test_random_below(random, PS_ARRAY_SIZE(sizes))]))
            return;
        unit->holders = 1;
    } else if (test_random_below(random, 5) < 2) {
        unit->holders += share(f, unit->first, unit->pages) == PS_OK;
    } else {
        pool_free(test, f, unit->first, unit->pages);
        unit->holders--;
    }
    EXPECT_EQ(holders(f, unit->first), unit->holders);
}

static uint64_t model_shared(const struct shared_unit *units)
{
    uint64_t shared = 0;

    for (unsigned i = 0; i < MODEL_UNITS; i++)
        shared += units[i].holders > 1;
    return shared;
}

POOL_CASE(random_units_have_the_holders_they_should_have, SIM_RAM(0x1000, 0x1400))
{
    const uint64_t seed = 0x5a4e;
    struct test_random random = test_random(seed);
    struct shared_unit units[MODEL_UNITS] = {{0}};

    for (unsigned step = 0; step < MODEL_STEPS && test->failures == 0; step++) {
        model_step(test, f, &units[test_random_below(&random, MODEL_UNITS)], &random);
        EXPECT_EQ(pool_now(f).shared_units, model_shared(units));
        if (step % 64 == 0)
            EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
        if (test->failures != 0)
            test_note(test, "seed 0x%" PS_PRIx ", step %u", seed, step);
    }
    for (unsigned i = 0; i < MODEL_UNITS; i++) {
        EXPECT_EQ(units[i].holders != 0 ? holders(f, units[i].first) : 0, units[i].holders);
        for (; units[i].holders != 0; units[i].holders--)
            pool_free(test, f, units[i].first, units[i].pages);
    }
    pool_expect_fresh(test, f);
}

static const struct test_case cases[] = {
    TEST_CASE(each_holder_gives_the_unit_back_once),
    TEST_CASE(a_unit_can_be_shared_again_after_it_was_not),
    TEST_CASE(a_shared_frame_stays_when_others_beside_it_go_back),
    TEST_CASE(a_thousand_holders_are_counted),
    TEST_CASE(units_of_any_size_are_shared),
    TEST_CASE(a_shared_1g_frame_needs_no_frame_for_its_holders),
    TEST_CASE(a_run_that_begins_with_a_1g_region_is_no_1g_frame),
    TEST_CASE(frames_for_the_numbers_come_and_go_with_the_shared_units),
    TEST_CASE(units_of_several_16_mib_have_numbers_of_their_own),
    TEST_CASE(without_frames_for_the_numbers_sharing_is_refused),
    TEST_CASE(sharing_is_a_call_that_gives_frames),
    TEST_CASE(what_is_no_unit_is_not_shared),
    TEST_CASE(frames_of_the_pool_itself_are_not_shared),
    TEST_CASE(a_lent_frame_is_not_shared),
    TEST_CASE(a_shared_unit_is_neither_split_nor_lent_nor_given_back_in_parts),
    TEST_CASE(random_units_have_the_holders_they_should_have),
};

const struct test_suite suite_frame_pool_share = TEST_SUITE("frame_pool_share", cases);
