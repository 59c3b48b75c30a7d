#include "frame_pool_fixture.h"

/* Units that are given back stay out of use until so many more have been given back. */

static ps_status give(struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    return ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(pages));
}

static void claim(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_OBJECT));
}

static void quarantine(struct test *test, struct pool_fixture *f, uint64_t frees)
{
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, frees));
}

static void expect_detained(struct test *test, struct pool_fixture *f, uint64_t first,
                            uint64_t pages)
{
    pool_expect_unit(test, f, first, first, pages, PS_FRAME_QUARANTINED);
    pool_expect_unit(test, f, first + pages - 1, first, pages, PS_FRAME_QUARANTINED);
}

static void expect_counts(struct test *test, struct pool_fixture *f, uint64_t units,
                          uint64_t frames)
{
    struct ps_frame_pool_snapshot now = pool_now(f);

    EXPECT_EQ(now.quarantined_units, units);
    EXPECT_EQ(now.by_tag[PS_FRAME_QUARANTINED], frames);
}

/* ---- how long ---- */

POOL_CASE(a_unit_becomes_free_when_so_many_more_were_given_back, POOL_SMALL)
{
    for (uint64_t i = 0; i < 6; i++)
        claim(test, f, 600 + i, 1);
    quarantine(test, f, 3);
    for (uint64_t i = 0; i < 3; i++) {
        pool_free(test, f, 600 + i, 1);
        expect_detained(test, f, 600 + i, 1);
        expect_counts(test, f, i + 1, i + 1);
        EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 5 - i);
    }
    for (uint64_t i = 3; i < 6; i++) {
        uint64_t free = pool_now(f).free;

        expect_detained(test, f, 600 + i - 3, 1);
        pool_free(test, f, 600 + i, 1);
        EXPECT(pool_is_free(f, 600 + i - 3));
        expect_detained(test, f, 600 + i, 1);
        expect_counts(test, f, 3, 3);
        EXPECT_EQ(pool_now(f).free, free + 1);
        EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    }
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    quarantine(test, f, 0);
    expect_counts(test, f, 0, 0);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_unit_waits_for_one_more, POOL_SMALL)
{
    claim(test, f, 600, 1);
    claim(test, f, 700, 5);
    quarantine(test, f, 1);
    pool_free(test, f, 600, 1);
    expect_detained(test, f, 600, 1);
    pool_free(test, f, 700, 5);
    EXPECT(pool_is_free(f, 600));
    expect_detained(test, f, 700, 5);
    expect_counts(test, f, 1, 5);
    claim(test, f, 600, 1);
    pool_free(test, f, 600, 1);
    expect_detained(test, f, 600, 1);
    EXPECT(pool_is_free(f, 704));
}

POOL_CASE(units_of_any_size_are_detained_whole, POOL_SMALL)
{
    static const uint64_t units[][2] = {{5, 1}, {100, 50}, {300, 212}, {1024, 512}, {1540, 400}};
    uint64_t frames = 0;

    quarantine(test, f, PS_ARRAY_SIZE(units));
    for (size_t i = 0; i < PS_ARRAY_SIZE(units); i++) {
        claim(test, f, units[i][0], units[i][1]);
        pool_free(test, f, units[i][0], units[i][1]);
        expect_detained(test, f, units[i][0], units[i][1]);
        frames += units[i][1];
        expect_counts(test, f, i + 1, frames);
    }
    EXPECT_EQ(pool_now(f).by_tag[PS_FRAME_OBJECT], 0);
    for (size_t i = 0; i < PS_ARRAY_SIZE(units); i++) {
        uint64_t single = pool_single(test, f);

        pool_free(test, f, single, 1);
        EXPECT(pool_is_free(f, units[i][0]));
        EXPECT(pool_is_free(f, units[i][0] + units[i][1] - 1));
        frames = frames - units[i][1] + 1;
        expect_counts(test, f, PS_ARRAY_SIZE(units), frames);
    }
    quarantine(test, f, 0);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_1g_frame_is_detained_whole, {{0x40000}, {0x41000}, PS_MEMORY_USABLE, SIM_PLAIN})
{
    claim(test, f, 0x40000, 0x40000);
    quarantine(test, f, 2);
    pool_free(test, f, 0x40000, 0x40000);
    expect_detained(test, f, 0x40000, 0x40000);
    expect_counts(test, f, 1, 0x40000);
    EXPECT_EQ(pool_now(f).whole_1g, 0);
    quarantine(test, f, 0);
    EXPECT_EQ(pool_now(f).whole_1g, 1);
    pool_expect_fresh(test, f);
}

/* ---- what is detained is nobody's ---- */

POOL_CASE(a_second_free_and_other_calls_find_nothing, POOL_SMALL)
{
    claim(test, f, 600, 1);
    claim(test, f, 700, 5);
    quarantine(test, f, 4);
    pool_free(test, f, 600, 1);
    pool_free(test, f, 700, 5);
    EXPECT_REFUSED(give(f, 600, 1), PS_NOT_FOUND);
    EXPECT_REFUSED(give(f, 700, 5), PS_NOT_FOUND);
    EXPECT_REFUSED(give(f, 700, 4), PS_NOT_FOUND);
    EXPECT_REFUSED(give(f, 701, 4), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, ps_frame(700), ps_pages(5)), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_share(&f->pool, ps_frame(700), ps_pages(5)), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_lend(&f->pool, ps_frame(600)), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_cancel_loan(&f->pool, ps_frame(600)), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_end_loan(&f->pool, ps_frame(600), PS_FRAME_USER), PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(600), ps_pages(1), PS_FRAME_USER),
                   PS_ALREADY_EXISTS);
}

POOL_CASE(nobody_gets_what_is_detained, POOL_SMALL)
{
    quarantine(test, f, 40);
    for (uint64_t i = 0; i < 40; i++)
        claim(test, f, 600 + i, 1);
    for (uint64_t i = 0; i < 40; i++)
        pool_free(test, f, 600 + i, 1);
    while (pool_now(f).available != 0) {
        uint64_t frame = pool_single(test, f);

        EXPECT(frame < 600 || frame >= 640);
    }
    expect_counts(test, f, 40, 40);
}

POOL_CASE(the_last_of_several_holders_sends_the_unit_to_quarantine, POOL_SMALL)
{
    claim(test, f, 600, 2);
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(600), ps_pages(2)));
    quarantine(test, f, 2);
    pool_free(test, f, 600, 2);
    pool_expect_unit(test, f, 601, 600, 2, PS_FRAME_OBJECT);
    expect_counts(test, f, 0, 0);
    pool_free(test, f, 600, 2);
    expect_detained(test, f, 600, 2);
    EXPECT_REFUSED(give(f, 600, 2), PS_NOT_FOUND);
}

/* It is the lender's, and goes from one borrower to the next. */
POOL_CASE(a_borrowed_frame_goes_back_at_once, POOL_SMALL)
{
    ps_frame_t frame;

    claim(test, f, 600, 1);
    quarantine(test, f, 2);
    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(600)));
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE_OK(
            ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_BORROW, &frame));
        EXPECT_EQ(frame.number, 600);
        pool_free(test, f, 600, 1);
        pool_expect_unit(test, f, 600, 600, 1, PS_FRAME_LOANED);
    }
    expect_counts(test, f, 0, 0);
    EXPECT_OK(ps_frame_pool_end_loan(&f->pool, ps_frame(600), PS_FRAME_OBJECT));
    pool_free(test, f, 600, 1);
    expect_detained(test, f, 600, 1);
}

POOL_CASE(a_split_unit_is_detained_frame_by_frame, POOL_SMALL)
{
    claim(test, f, 512, 512);
    quarantine(test, f, 1000);
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(512), ps_pages(512)));
    for (uint64_t frame = 512; frame < 1024; frame++)
        pool_free(test, f, frame, 1);
    expect_counts(test, f, 512, 512);
    EXPECT_EQ(pool_now(f).whole_2m, f->fresh.whole_2m - 1);
    quarantine(test, f, 0);
    pool_expect_fresh(test, f);
}

/* ---- the list ---- */

POOL_CASE(the_list_takes_16_bytes_a_unit, POOL_SMALL)
{
    static const uint64_t sizes[][2] = {{1, 1}, {256, 1}, {257, 2}, {512, 2}, {0, 0}, {2049, 9}};
    uint64_t own;

    claim(test, f, 600, 2);
    own = pool_now(f).metadata;
    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        quarantine(test, f, sizes[i][0]);
        EXPECT_EQ(pool_now(f).metadata, own + sizes[i][1]);
    }
    quarantine(test, f, 0);
    EXPECT_EQ(pool_now(f).metadata, own);
}

/* The ring goes round several times, over the border of its two frames. */
POOL_CASE(a_long_list_keeps_its_order, POOL_SMALL)
{
    enum { PLACES = 300 };

    quarantine(test, f, PLACES);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t frame = 600 + i % (PLACES + 1);

        claim(test, f, frame, 1);
        pool_free(test, f, frame, 1);
        EXPECT(!pool_is_free(f, frame));
        EXPECT(i < PLACES || pool_is_free(f, 600 + (i + 1) % (PLACES + 1)));
    }
    expect_counts(test, f, PLACES, PLACES);
    quarantine(test, f, 0);
    pool_expect_fresh(test, f);
}

POOL_CASE(another_number_frees_all_of_them, POOL_SMALL)
{
    for (uint64_t i = 0; i < 4; i++)
        claim(test, f, 600 + 10 * i, 3);
    quarantine(test, f, 3);
    for (uint64_t i = 0; i < 4; i++)
        pool_free(test, f, 600 + 10 * i, 3);
    expect_counts(test, f, 3, 9);
    quarantine(test, f, 3);
    expect_counts(test, f, 0, 0);
    for (uint64_t i = 0; i < 4; i++)
        EXPECT(pool_is_free(f, 602 + 10 * i));
    claim(test, f, 600, 1);
    pool_free(test, f, 600, 1);
    expect_counts(test, f, 1, 1);
    quarantine(test, f, 400);
    expect_counts(test, f, 0, 0);
    quarantine(test, f, 0);
    quarantine(test, f, 0);
    pool_expect_fresh(test, f);
}

POOL_CASE(without_frames_for_the_list_nothing_changes, POOL_SMALL)
{
    struct ps_frame_pool empty = {0};

    EXPECT_STATUS(ps_frame_pool_quarantine(NULL, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_quarantine(&empty, 1), PS_BAD_STATE);
    claim(test, f, 600, 1);
    quarantine(test, f, 4);
    pool_free(test, f, 600, 1);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 1 << 20), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, UINT64_MAX), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, (uint64_t)1 << 60), PS_NO_MEMORY);
    expect_detained(test, f, 600, 1);
    EXPECT_EQ(f->pool.quarantine_size, 4);
}

/* There are frames enough, but no two of them lie side by side. */
POOL_CASE(the_list_is_contiguous, POOL_SMALL)
{
    quarantine(test, f, 4);
    for (uint64_t frame = 256; frame <= SMALL_LAST; frame += 2)
        (void)ps_frame_pool_claim(&f->pool, ps_frame(frame), ps_pages(1), PS_FRAME_USER);
    EXPECT(pool_now(f).available > 800);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 2000), PS_NO_SPACE);
    quarantine(test, f, 256);
    EXPECT_EQ(f->pool.quarantine_size, 256);
}

/* Nothing is left: what is there cannot be made larger, but it can be ended. */
POOL_CASE(a_quarantine_ends_without_memory, POOL_SMALL)
{
    quarantine(test, f, 2);
    claim(test, f, 600, 1);
    pool_free(test, f, 600, 1);
    while (pool_now(f).available != 0)
        (void)pool_single(test, f);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 3), PS_NO_MEMORY);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    quarantine(test, f, 0);
    EXPECT_EQ(f->pool.quarantine_size, 0);
    EXPECT_EQ(f->pool.quarantine_at, 0);
    EXPECT_EQ(pool_now(f).available, 2);
    EXPECT(pool_is_free(f, 600));
}

POOL_CASE(beginning_a_quarantine_fails_on_request, POOL_SMALL)
{
    quarantine(test, f, 2);
    claim(test, f, 600, 1);
    pool_free(test, f, 600, 1);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 2), PS_NO_MEMORY);
    expect_detained(test, f, 600, 1);
    ps_frame_pool_fail_after(&f->pool, 1, true);
    quarantine(test, f, 7);
    EXPECT_REFUSED(ps_frame_pool_quarantine(&f->pool, 8), PS_NO_MEMORY);
    EXPECT_EQ(f->pool.quarantine_size, 7);
}

/* ---- random units, and a queue of what should be detained ---- */

enum { QUEUE = 9, LIVE = 20, STEPS = 3000 };

struct model {
    struct test_random random;
    uint64_t live[LIVE][2];
    unsigned count;
    uint64_t queue[QUEUE][2]; /* the oldest first */
    unsigned queued;
    uint64_t frames; /* in the queue */
};

static void model_take(struct pool_fixture *f, struct model *model)
{
    static const uint64_t sizes[] = {1, 1, 1, 3, 40, 512};
    uint64_t *unit = model->live[model->count];

    unit[1] = sizes[test_random_below(&model->random, PS_ARRAY_SIZE(sizes))];
    if (pool_try_run(f, unit[1], 1, UINT64_MAX, &unit[0]) == PS_OK)
        model->count++;
}

static void model_give(struct test *test, struct pool_fixture *f, struct model *model)
{
    uint64_t *unit = model->live[test_random_below(&model->random, model->count)];
    uint64_t first = unit[0];
    uint64_t pages = unit[1];

    model->count--;
    unit[0] = model->live[model->count][0];
    unit[1] = model->live[model->count][1];
    pool_free(test, f, first, pages);
    if (model->queued == QUEUE) {
        EXPECT(pool_is_free(f, model->queue[0][0]));
        model->frames -= model->queue[0][1];
        for (unsigned i = 1; i < QUEUE; i++) {
            model->queue[i - 1][0] = model->queue[i][0];
            model->queue[i - 1][1] = model->queue[i][1];
        }
        model->queued--;
    }
    model->queue[model->queued][0] = first;
    model->queue[model->queued++][1] = pages;
    model->frames += pages;
}

POOL_CASE(random_units_are_free_in_the_order_they_were_given_back, SIM_RAM(0, 0x1400))
{
    const uint64_t seed = 0x9a4a;
    struct model model = {.random = test_random(seed)};

    quarantine(test, f, QUEUE);
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
        if (model.count < LIVE && (model.count == 0 || test_random_below(&model.random, 2) == 0))
            model_take(f, &model);
        else
            model_give(test, f, &model);
        for (unsigned i = 0; i < model.queued; i++)
            expect_detained(test, f, model.queue[i][0], model.queue[i][1]);
        expect_counts(test, f, model.queued, model.frames);
        if (step % 64 == 0)
            EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
        if (test->failures != 0)
            test_note(test, "seed 0x%" PS_PRIx ", step %u", seed, step);
    }
    for (unsigned i = 0; i < model.count; i++)
        pool_free(test, f, model.live[i][0], model.live[i][1]);
    quarantine(test, f, 0);
    pool_expect_fresh(test, f);
}

static const struct test_case cases[] = {
    TEST_CASE(a_unit_becomes_free_when_so_many_more_were_given_back),
    TEST_CASE(a_unit_waits_for_one_more),
    TEST_CASE(units_of_any_size_are_detained_whole),
    TEST_CASE(a_1g_frame_is_detained_whole),
    TEST_CASE(a_second_free_and_other_calls_find_nothing),
    TEST_CASE(nobody_gets_what_is_detained),
    TEST_CASE(the_last_of_several_holders_sends_the_unit_to_quarantine),
    TEST_CASE(a_borrowed_frame_goes_back_at_once),
    TEST_CASE(a_split_unit_is_detained_frame_by_frame),
    TEST_CASE(the_list_takes_16_bytes_a_unit),
    TEST_CASE(a_long_list_keeps_its_order),
    TEST_CASE(another_number_frees_all_of_them),
    TEST_CASE(without_frames_for_the_list_nothing_changes),
    TEST_CASE(the_list_is_contiguous),
    TEST_CASE(a_quarantine_ends_without_memory),
    TEST_CASE(beginning_a_quarantine_fails_on_request),
    TEST_CASE(random_units_are_free_in_the_order_they_were_given_back),
};

const struct test_suite suite_frame_pool_quarantine = TEST_SUITE("frame_pool_quarantine", cases);
