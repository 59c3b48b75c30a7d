#include "frame_pool_fixture.h"

#include "frame_pool_private.h"
#include "unit_suites.h"

/*
 * Single frames that come back where more follows than a bit: in a stretch of 16 MiB with
 * holders, or with late memory, or full, or far away. Tag bytes that have to break 2 MiB, and
 * sets that just fit.
 */

enum { CHUNK = 512, TRACT = 4096, REGION = 0x40000 };

#define PLAIN(first_frame, page_count)                               \
    {                                                                \
        {(first_frame)}, {(page_count)}, PS_MEMORY_USABLE, SIM_PLAIN \
    }
#define BOOT(first_frame, page_count)                                       \
    {                                                                       \
        {(first_frame)}, {(page_count)}, PS_MEMORY_BOOT_SERVICES, SIM_PLAIN \
    }

static void claim(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_USER));
}

/* The numbers of holders lie in the lower stretch, the shared frame in one without tag bytes. */
POOL_CASE(a_shared_frame_is_freed_once_a_holder_without_tag_bytes_too, POOL_SMALL,
          PLAIN(2 * TRACT, TRACT))
{
    const uint64_t shared = 2 * TRACT + 1;

    for (uint64_t i = 0; i < 3; i++)
        claim(test, f, shared + i, 1);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata);
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(shared), ps_pages(1)));
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata + 3); /* tags, directory, numbers */
    pool_free(test, f, shared + 1, 1);
    EXPECT(pool_is_free(f, shared + 1));
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata + 3);
    pool_free(test, f, shared, 1);
    pool_expect_unit(test, f, shared, shared, 1, PS_FRAME_USER);
    EXPECT_EQ(pool_now(f).shared_units, 0);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata);
    pool_free(test, f, shared, 1);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(shared), ps_pages(1)), PS_NOT_FOUND);
    pool_free(test, f, shared + 2, 1);
    pool_expect_fresh(test, f);
}

/* All that is not late is taken first: 96 frames, and one for tag bytes. */
static void take_all_that_is_not_late(struct test *test, struct pool_fixture *f)
{
    for (uint64_t i = 0; i < 96; i++)
        EXPECT(pool_single(test, f) < 353);
    pool_expect_unit(test, f, 257, 257, 1, PS_FRAME_METADATA);
}

/* The late chunk is in a stretch of its own. */
POOL_CASE(a_late_frame_can_come_back_where_its_owner_is_alone, SIM_RAM(256, 100),
          BOOT(TRACT, CHUNK))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(TRACT), ps_pages(CHUNK)));
    take_all_that_is_not_late(test, f);
    for (uint64_t i = 0; i < 5; i++)
        EXPECT_EQ(pool_single(test, f), TRACT + i);
    pool_free(test, f, TRACT + 1, 1);
    EXPECT_EQ(pool_now(f).free_late, CHUNK - 4);
    EXPECT(pool_is_free(f, TRACT + 1));
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(TRACT + 1), ps_pages(1)), PS_NOT_FOUND);
    pool_free(test, f, 300, 1);
    pool_free(test, f, TRACT + 2, 1);
    EXPECT_EQ(pool_single(test, f), 300);
    EXPECT_EQ(pool_single(test, f), TRACT + 1);
    EXPECT_EQ(pool_single(test, f), TRACT + 2);
}

/* Late chunks and others side by side: what came back last is not what goes out next. */
POOL_CASE(a_late_frame_that_came_back_last_goes_out_last, SIM_RAM(256, 100), BOOT(1024, CHUNK))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(1024), ps_pages(CHUNK)));
    take_all_that_is_not_late(test, f);
    for (uint64_t i = 0; i < 5; i++)
        EXPECT_EQ(pool_single(test, f), 1024 + i);
    pool_free(test, f, 300, 1);
    pool_free(test, f, 1024, 1);
    EXPECT_EQ(pool_now(f).free_late, CHUNK - 4);
    EXPECT_EQ(pool_single(test, f), 300);
    EXPECT_EQ(pool_single(test, f), 1024);
    EXPECT_EQ(pool_single(test, f), 1024 + 5);
}

/* A stretch that was full, and that searches pass over, is looked at again. */
POOL_CASE(a_frame_that_came_back_to_full_16_mib_is_found, PLAIN(8 * TRACT, TRACT),
          PLAIN(REGION, 40))
{
    const uint64_t last = 8 * TRACT + 1;

    claim(test, f, 8 * TRACT + 2, TRACT - 2);
    pool_expect_unit(test, f, 8 * TRACT, 8 * TRACT, 1, PS_FRAME_METADATA);
    EXPECT_EQ(pool_single(test, f), last);
    EXPECT_EQ(pool_single(test, f), REGION);
    pool_free(test, f, last, 1);
    ps_frame_pool_drain(&f->pool);
    EXPECT_EQ(pool_single(test, f), last);
    pool_free(test, f, last, 1);
    pool_free(test, f, 8 * TRACT + 2, TRACT - 2);
    pool_free(test, f, REGION, 1);
    pool_expect_fresh(test, f);
}

/* Most of the memory is far above, and so is what the pool expects. */
POOL_CASE(a_frame_below_most_of_the_memory_can_come_back, SIM_RAM(256, 20),
          PLAIN(3 * REGION, 2 * REGION), SIM_RAM(9 * REGION, 20))
{
    const uint64_t frames[] = {260, 3 * REGION + 5, 9 * REGION + 5};

    for (size_t i = 0; i < PS_ARRAY_SIZE(frames); i++) {
        claim(test, f, frames[i], 1);
        pool_free(test, f, frames[i], 1);
        EXPECT(pool_is_free(f, frames[i]));
        EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(frames[i]), ps_pages(1)),
                       PS_NOT_FOUND);
    }
    pool_expect_fresh(test, f);
}

/* The only frames that could hold the tag bytes of a part are those of a whole 2 MiB. */
POOL_CASE(tag_bytes_break_2_mib_when_nothing_else_is_free, SIM_RAM(TRACT + 1, 1023),
          SIM_RAM(REGION, 40))
{
    EXPECT_EQ(f->fresh.whole_2m, 1);
    claim(test, f, TRACT + 1, 511);
    pool_expect_unit(test, f, TRACT + CHUNK, TRACT + CHUNK, 1, PS_FRAME_METADATA);
    EXPECT_EQ(pool_now(f).whole_2m, 0);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata + 1);
    EXPECT(pool_is_free(f, TRACT + CHUNK + 1));
    pool_free(test, f, TRACT + 1, 511);
    pool_expect_fresh(test, f);
}

/* ---- sets ---- */

/* A set of 64 regions fills its word: there are no bits behind the last one. */
POOL_CASE(sets_of_64_regions_are_valid, PLAIN(256, 64 * REGION - 256))
{
    uint64_t *whole = ps_set_word(&f->pool, PS_FRAME_GIB, 0);

    EXPECT_EQ(f->pool.regions, 64);
    EXPECT_EQ(f->pool.set_words, 1);
    /* The first lacks its beginning, and the last has the books. */
    EXPECT_EQ(*whole, UINT64_MAX - 1 - ((uint64_t)1 << 63));
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    *whole |= (uint64_t)1 << 63;
    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, NULL), PS_CORRUPT);
    *whole &= UINT64_MAX >> 1;
}

static const struct test_case cases[] = {
    TEST_CASE(a_shared_frame_is_freed_once_a_holder_without_tag_bytes_too),
    TEST_CASE(a_late_frame_can_come_back_where_its_owner_is_alone),
    TEST_CASE(a_late_frame_that_came_back_last_goes_out_last),
    TEST_CASE(a_frame_that_came_back_to_full_16_mib_is_found),
    TEST_CASE(a_frame_below_most_of_the_memory_can_come_back),
    TEST_CASE(sets_of_64_regions_are_valid),
    TEST_CASE(tag_bytes_break_2_mib_when_nothing_else_is_free),
};

const struct test_suite suite_frame_pool_corner = TEST_SUITE("frame_pool_corner", cases);
