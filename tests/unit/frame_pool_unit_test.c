#include "frame_pool_fixture.h"

#include "unit_suites.h"

/*
 * Units of every shape: where their heads and ends lie in chunks of 2 MiB, stretches of 16 MiB
 * and regions of 1 GiB decides how their sizes are kept. Each is used as it should be, and
 * misused in every way that the contract names.
 */

enum { CHUNK = 512, TRACT = 4096, REGION = 0x40000, EDGE = 0x40000 };

/* 40 MiB below 1 GiB and 32 MiB above; what the pool sets aside lies at the upper end. */
#define AROUND_1_GIB                                         \
    {                                                        \
        {EDGE - 10240}, {18432}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

struct shape {
    uint64_t first;
    uint64_t pages;
};

static const struct shape shapes[] = {
    /* in one chunk: fewer slots than digits, as many, more */
    {EDGE - 9000, 1},
    {EDGE - 9000, 2},
    {EDGE - 9000, 3},
    {EDGE - 9000, 7},
    {EDGE - 9000, 8},
    {EDGE - 9000, 9},
    {EDGE - 9000, 63},
    {EDGE - 9000, 64},
    {EDGE - 9000, 65},
    {EDGE - 9000, 300},
    /* the head in the last frame of a chunk, and next to it */
    {EDGE - 8192 + CHUNK - 1, 2},
    {EDGE - 8192 + CHUNK - 1, 8},
    {EDGE - 8192 + CHUNK - 1, 9},
    {EDGE - 8192 + CHUNK - 1, 1 + CHUNK},
    {EDGE - 8192 + CHUNK - 1, 1 + CHUNK + 1},
    {EDGE - 8192 + CHUNK - 1, 1 + 2 * CHUNK + 2},
    {EDGE - 8192 + CHUNK - 1, 1 + 6 * CHUNK},
    {EDGE - 8192 + CHUNK - 1, 1 + 7 * CHUNK + 3},
    {EDGE - 8192 + CHUNK - 1, 1 + 8 * CHUNK + 511},
    {EDGE - 8192 + CHUNK - 2, 2 + CHUNK},
    {EDGE - 8192 + CHUNK - 7, 7 + CHUNK + 1},
    {EDGE - 8192 + CHUNK - 8, 8 + CHUNK},
    /* whole chunks first */
    {EDGE - 8192, CHUNK - 1},
    {EDGE - 8192, CHUNK},
    {EDGE - 8192, CHUNK + 1},
    {EDGE - 8192, CHUNK + 2},
    {EDGE - 8192, CHUNK + 6},
    {EDGE - 8192, CHUNK + 7},
    {EDGE - 8192, CHUNK + 8},
    {EDGE - 8192, 2 * CHUNK},
    {EDGE - 8192, 6 * CHUNK + 1},
    {EDGE - 8192, 7 * CHUNK},
    {EDGE - 8192, 7 * CHUNK + 511},
    {EDGE - 8192, 8 * CHUNK},
    {EDGE - 8192, 9 * CHUNK + 1},
    /* over stretches of 16 MiB and regions */
    {EDGE - TRACT - 1, 2},
    {EDGE - TRACT - 3, 3 + TRACT - 1},
    {EDGE - 1, 2},
    {EDGE - 5, 12},
    {EDGE - 1, 1 + CHUNK},
    {EDGE - CHUNK, 2 * CHUNK},
    {EDGE - CHUNK, CHUNK + 1},
    {EDGE - CHUNK - 1, 1 + CHUNK + 1},
    {EDGE - TRACT, 2 * TRACT},
    {EDGE - TRACT - 17, 17 + 2 * TRACT + 300},
    {EDGE - 10240, 10240 + 7000},
    {EDGE, 1},
    {EDGE, CHUNK},
    {EDGE, TRACT},
};

/* Sizes that others around it have, or nearly the right one. */
static void expect_other_sizes_refused(struct test *test, struct pool_fixture *f, uint64_t first,
                                       uint64_t pages)
{
    const uint64_t wrong[] = {
        1,         pages - 1, pages + 1,     pages + 5,         CHUNK - first % CHUNK,
        CHUNK,     REGION,    pages + CHUNK, (uint64_t)1 << 42, pages + ((uint64_t)1 << 42),
        UINT64_MAX};
    const ps_frame_t frame = ps_frame(first);

    for (size_t i = 0; i < PS_ARRAY_SIZE(wrong); i++) {
        if (wrong[i] == pages || wrong[i] == 0)
            continue;
        EXPECT_STATUS(ps_frame_pool_free(&f->pool, frame, ps_pages(wrong[i])), PS_WRONG_SIZE);
        EXPECT_STATUS(ps_frame_pool_split(&f->pool, frame, ps_pages(wrong[i])), PS_WRONG_SIZE);
        EXPECT_STATUS(ps_frame_pool_share(&f->pool, frame, ps_pages(wrong[i])), PS_WRONG_SIZE);
    }
    EXPECT_STATUS(ps_frame_pool_free(&f->pool, frame, ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_split(&f->pool, frame, ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_share(&f->pool, frame, ps_pages(0)), PS_INVALID_ARGS);
}

static void expect_middle_refused(struct test *test, struct pool_fixture *f, uint64_t middle,
                                  uint64_t pages)
{
    const uint64_t sizes[] = {1, 2, pages, CHUNK, REGION, UINT64_MAX};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        ps_pages_t size = ps_pages(sizes[i]);

        if (sizes[i] == 0)
            continue;
        EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(middle), size), PS_NOT_FOUND);
        EXPECT_STATUS(ps_frame_pool_split(&f->pool, ps_frame(middle), size), PS_NOT_FOUND);
        EXPECT_STATUS(ps_frame_pool_share(&f->pool, ps_frame(middle), size), PS_NOT_FOUND);
    }
}

/* The second frame, the last, and those around the ends of chunks. */
static void expect_middles_refused(struct test *test, struct pool_fixture *f, uint64_t first,
                                   uint64_t pages)
{
    for (uint64_t i = 1; i < pages; i++) {
        uint64_t at = (first + i) % CHUNK;

        if (i == 1 || i == pages - 1 || at <= 1 || at == CHUNK - 1)
            expect_middle_refused(test, f, first + i, pages - i);
    }
}

static void expect_misuse_refused(struct test *test, struct pool_fixture *f, uint64_t first,
                                  uint64_t pages)
{
    struct pool_state before = pool_state(f);

    expect_other_sizes_refused(test, f, first, pages);
    expect_middles_refused(test, f, first, pages);
    EXPECT_STATUS(
        ps_frame_pool_claim(&f->pool, ps_frame(first + pages - 1), ps_pages(1), PS_FRAME_USER),
        PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_USER),
                  PS_ALREADY_EXISTS);
    pool_expect_same(test, f, &before, "the misuse");
}

static void expect_whole_unit(struct test *test, struct pool_fixture *f, uint64_t first,
                              uint64_t pages)
{
    pool_expect_unit(test, f, first, first, pages, PS_FRAME_OBJECT);
    pool_expect_unit(test, f, first + pages / 2, first, pages, PS_FRAME_OBJECT);
    pool_expect_unit(test, f, first + pages - 1, first, pages, PS_FRAME_OBJECT);
}

static void expect_gone(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    struct pool_state before = pool_state(f);

    EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(pages)), PS_NOT_FOUND);
    EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(first + pages - 1), ps_pages(1)),
                  PS_NOT_FOUND);
    EXPECT_STATUS(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(pages)), PS_NOT_FOUND);
    EXPECT_STATUS(ps_frame_pool_share(&f->pool, ps_frame(first), ps_pages(pages)), PS_NOT_FOUND);
    pool_expect_same(test, f, &before, "a second free");
    EXPECT(pool_is_free(f, first) && pool_is_free(f, first + pages / 2) &&
           pool_is_free(f, first + pages - 1));
}

static void each_shape(struct test *test, struct pool_fixture *f,
                       void (*body)(struct test *test, struct pool_fixture *f, uint64_t first,
                                    uint64_t pages))
{
    for (size_t i = 0; i < PS_ARRAY_SIZE(shapes) && test->failures == 0; i++) {
        body(test, f, shapes[i].first, shapes[i].pages);
        pool_expect_fresh(test, f);
        EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
        if (test->failures != 0)
            test_note(test, "unit of %" PS_PRIu " at frame 0x%" PS_PRIx, shapes[i].pages,
                      shapes[i].first);
    }
}

static void use_and_misuse(struct test *test, struct pool_fixture *f, uint64_t first,
                           uint64_t pages)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_OBJECT));
    expect_whole_unit(test, f, first, pages);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    expect_misuse_refused(test, f, first, pages);
    pool_free(test, f, first, pages);
    expect_gone(test, f, first, pages);
}

POOL_CASE(a_unit_of_any_shape_goes_back_only_as_it_came, AROUND_1_GIB)
{
    each_shape(test, f, use_and_misuse);
}

/* A unit of 5, unless something is there: the end of RAM, or the unit's own tag bytes. */
static bool claim_neighbour(struct test *test, struct pool_fixture *f, uint64_t first)
{
    ps_status status = ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(5), PS_FRAME_OBJECT);

    EXPECT(status == PS_OK || status == PS_ALREADY_EXISTS || status == PS_NOT_FOUND);
    return status == PS_OK;
}

/* Units of 5 on both sides, so that wrong sizes end where a neighbour does. */
static void use_between_neighbours(struct test *test, struct pool_fixture *f, uint64_t first,
                                   uint64_t pages)
{
    const uint64_t left = first - 5;
    const uint64_t right = first + pages;
    bool has_left;
    bool has_right;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_OBJECT));
    has_left = claim_neighbour(test, f, left);
    has_right = claim_neighbour(test, f, right);
    EXPECT(has_left || has_right || pages > 2 * TRACT);
    expect_whole_unit(test, f, first, pages);
    expect_misuse_refused(test, f, first, pages);
    if (has_left)
        EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(left), ps_pages(5 + pages)),
                       PS_WRONG_SIZE);
    pool_free(test, f, first, pages);
    expect_gone(test, f, first, pages);
    if (has_right) {
        pool_expect_unit(test, f, right, right, 5, PS_FRAME_OBJECT);
        pool_free(test, f, right, 5);
    }
    if (has_left)
        pool_free(test, f, left, 5);
}

POOL_CASE(neighbours_of_a_unit_of_any_shape_are_left_alone, AROUND_1_GIB)
{
    each_shape(test, f, use_between_neighbours);
}

/* Parts come back from both ends towards the middle. */
static void split_and_free(struct test *test, struct pool_fixture *f, uint64_t first,
                           uint64_t pages)
{
    struct ps_frame_pool_snapshot now;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_STACK));
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(pages)));
    now = pool_now(f);
    EXPECT_EQ(now.by_tag[PS_FRAME_STACK], pages);
    EXPECT_EQ(now.units_4k, pages + (now.metadata - f->fresh.metadata));
    EXPECT_EQ(now.run_frames + now.units_2m + now.units_1g, 0);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    if (pages > 1)
        EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(pages)),
                       PS_WRONG_SIZE);
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t frame = first + (i % 2 == 0 ? i / 2 : pages - 1 - i / 2);

        if (i % 101 == 0)
            pool_expect_unit(test, f, frame, frame, 1, PS_FRAME_STACK);
        if (i == pages / 3)
            EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
        pool_free(test, f, frame, 1);
    }
}

POOL_CASE(a_split_unit_of_any_shape_goes_back_in_any_order, AROUND_1_GIB)
{
    each_shape(test, f, split_and_free);
}

static void share_and_free(struct test *test, struct pool_fixture *f, uint64_t first,
                           uint64_t pages)
{
    struct ps_frame_info info;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_OBJECT));
    for (uint64_t holders = 2; holders <= 4; holders++) {
        EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(first), ps_pages(pages)));
        EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(first + pages - 1), &info));
        EXPECT_EQ(info.holders, holders);
    }
    expect_misuse_refused(test, f, first, pages);
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(pages)),
                   PS_ACCESS_DENIED);
    for (uint64_t holders = 4; holders > 0; holders--) {
        expect_whole_unit(test, f, first, pages);
        pool_free(test, f, first, pages);
    }
    expect_gone(test, f, first, pages);
}

POOL_CASE(a_shared_unit_of_any_shape_goes_with_its_last_holder, AROUND_1_GIB)
{
    each_shape(test, f, share_and_free);
}

/* ---- whole regions ---- */

/* Four GiB of frames from 1 GiB on; the pool's own lie outside. */
#define FOUR_REGIONS                                        \
    SIM_RAM(512, 512),                                      \
    {                                                       \
        {REGION}, {4 * REGION}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

/* Every frame that such a unit touches is written to here, so states are compared by counts. */
static void expect_refused_by_counts(struct test *test, struct pool_fixture *f, uint64_t first,
                                     uint64_t pages, ps_status status)
{
    struct ps_frame_pool_snapshot before = pool_now(f);
    struct ps_frame_pool_snapshot after;

    EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(pages)), status);
    EXPECT_STATUS(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(pages)), status);
    EXPECT_STATUS(ps_frame_pool_share(&f->pool, ps_frame(first), ps_pages(pages)), status);
    after = pool_now(f);
    for (size_t i = 0; i < PS_ARRAY_SIZE(after.by_tag); i++)
        EXPECT_EQ(after.by_tag[i], before.by_tag[i]);
    EXPECT_EQ(after.shared_units, before.shared_units);
    EXPECT_EQ(after.whole_2m, before.whole_2m);
}

static void use_large(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    const uint64_t middles[] = {1, 2, CHUNK, REGION - 1, REGION, pages / 2, pages - 1};
    const uint64_t sizes[] = {1, CHUNK, pages - 1, pages + 1, pages - REGION, pages + REGION};

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_OBJECT));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), pages);
    expect_whole_unit(test, f, first, pages);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        if (sizes[i] != pages && sizes[i] != 0)
            expect_refused_by_counts(test, f, first, sizes[i], PS_WRONG_SIZE);
    for (size_t i = 0; i < PS_ARRAY_SIZE(middles); i++)
        if (middles[i] < pages)
            expect_refused_by_counts(test, f, first + middles[i], pages - middles[i], PS_NOT_FOUND);
    pool_free(test, f, first, pages);
    expect_refused_by_counts(test, f, first, pages, PS_NOT_FOUND);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_unit_may_hold_whole_regions, FOUR_REGIONS)
{
    const struct shape large[] = {
        {2 * REGION, REGION},
        {2 * REGION, 2 * REGION},
        {2 * REGION, REGION + 1},
        {2 * REGION, REGION + CHUNK},
        {2 * REGION - 1, REGION + 1},
        {2 * REGION - 1, REGION + 2},
        {2 * REGION - CHUNK, REGION + 2 * CHUNK},
        {2 * REGION - CHUNK - 1, 2 * REGION + CHUNK + 77},
        {REGION, 3 * REGION},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(large) && test->failures == 0; i++) {
        use_large(test, f, large[i].first, large[i].pages);
        if (test->failures != 0)
            test_note(test, "unit of 0x%" PS_PRIx " at frame 0x%" PS_PRIx, large[i].pages,
                      large[i].first);
    }
}

POOL_CASE(a_split_1g_frame_goes_back_in_parts, FOUR_REGIONS)
{
    ps_frame_t first;
    struct ps_frame_pool_snapshot now;

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_USER, 0, &first));
    EXPECT_OK(ps_frame_pool_split(&f->pool, first, ps_pages(REGION)));
    now = pool_now(f);
    EXPECT_EQ(now.units_4k, REGION);
    EXPECT_EQ(now.units_1g, 0);
    EXPECT_EQ(now.metadata, f->fresh.metadata); /* one owner: no tag bytes */
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, first, ps_pages(REGION)), PS_WRONG_SIZE);
    for (uint64_t i = 0; i < CHUNK; i++)
        pool_free(test, f, first.number + 5 * CHUNK + i, 1);
    EXPECT_EQ(pool_now(f).whole_2m, now.whole_2m + 1);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    for (uint64_t i = 0; i < REGION; i++)
        if (i / CHUNK != 5)
            pool_free(test, f, first.number + i, 1);
    pool_expect_fresh(test, f);
}

static const struct test_case cases[] = {
    TEST_CASE(a_unit_of_any_shape_goes_back_only_as_it_came),
    TEST_CASE(neighbours_of_a_unit_of_any_shape_are_left_alone),
    TEST_CASE(a_split_unit_of_any_shape_goes_back_in_any_order),
    TEST_CASE(a_shared_unit_of_any_shape_goes_with_its_last_holder),
    TEST_CASE(a_unit_may_hold_whole_regions),
    TEST_CASE(a_split_1g_frame_goes_back_in_parts),
};

const struct test_suite suite_frame_pool_unit = TEST_SUITE("frame_pool_unit", cases);
