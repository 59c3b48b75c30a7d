#include "frame_pool_fixture.h"

#include "unit_suites.h"

/* Which frame comes when: zones, memory that came late, parts before wholes, tag bytes. */

#define FOUR_GIB 0x100000u

enum { CHUNK = 512, TRACT = 4096, REGION = 0x40000 };

#define BOOT(first_frame, page_count)                                       \
    {                                                                       \
        {(first_frame)}, {(page_count)}, PS_MEMORY_BOOT_SERVICES, SIM_PLAIN \
    }
#define PLAIN(first_frame, page_count)                               \
    {                                                                \
        {(first_frame)}, {(page_count)}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

static uint64_t tagged_single(struct test *test, struct pool_fixture *f, enum ps_frame_tag tag)
{
    ps_frame_t frame = {0};

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, tag, 0, &frame));
    return frame.number;
}

static uint64_t large(struct test *test, struct pool_fixture *f, enum ps_frame_size size)
{
    ps_frame_t frame = {0};

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, size, PS_FRAME_OBJECT, 0, &frame));
    EXPECT(ps_is_aligned(frame.number, ps_frame_size_pages(size).count));
    return frame.number;
}

static uint64_t available(struct pool_fixture *f)
{
    return ps_frame_pool_whole(&f->pool, PS_FRAME_4K);
}

static void expect_wholes(struct test *test, struct pool_fixture *f, uint64_t whole_2m,
                          uint64_t whole_1g)
{
    struct ps_frame_pool_snapshot now = pool_now(f);

    EXPECT_EQ(now.whole_2m, whole_2m);
    EXPECT_EQ(now.whole_1g, whole_1g);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_2M), whole_2m);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_1G), whole_1g);
}

/* ---- zones ---- */

POOL_CASE(memory_above_4_gib_comes_first, SIM_RAM(0, 512), SIM_RAM(FOUR_GIB, 300))
{
    const uint64_t high = f->fresh.free_in[PS_FRAME_ZONE_NORMAL] - 1; /* and one for tags */
    uint64_t first = 77;

    EXPECT_EQ(f->fresh.free_in[PS_FRAME_ZONE_LOW], 255);
    EXPECT_EQ(f->fresh.free_in[PS_FRAME_ZONE_4GIB], 256);
    EXPECT_EQ(high, 300 - f->fresh.metadata - 1);
    for (uint64_t i = 0; i < high; i++)
        EXPECT(pool_single(test, f) >= FOUR_GIB);
    for (uint64_t i = 0; i < 255; i++)
        EXPECT(pool_single(test, f) - 256 < 256);
    EXPECT_EQ(available(f), 0);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_now(f).free_in[PS_FRAME_ZONE_LOW], 255);
    EXPECT_EQ(pool_run(test, f, 1, 1, 0xff), 1);
}

/* A processor goes on where it is; a drain makes it look at all there is again. */
POOL_CASE(a_frame_above_4_gib_that_came_back_is_used_before_those_below, SIM_RAM(1024, 256),
          SIM_RAM(FOUR_GIB, 300))
{
    uint64_t run = pool_run(test, f, 20, 1, UINT64_MAX);
    uint64_t below = 0;

    EXPECT(run >= FOUR_GIB);
    while (available(f) > 100)
        below = pool_single(test, f);
    EXPECT(below < FOUR_GIB);
    pool_free(test, f, run, 20);
    pool_free(test, f, below, 1);
    ps_frame_pool_drain(&f->pool);
    for (uint64_t i = 0; i < 20; i++)
        EXPECT(pool_single(test, f) >= FOUR_GIB);
    EXPECT(pool_single(test, f) < FOUR_GIB);
}

POOL_CASE(large_frames_come_from_above_4_gib_too, PLAIN(512, 1024), PLAIN(FOUR_GIB, 1536))
{
    EXPECT(large(test, f, PS_FRAME_2M) >= FOUR_GIB);
    EXPECT(large(test, f, PS_FRAME_2M) >= FOUR_GIB);
    EXPECT(large(test, f, PS_FRAME_2M) < FOUR_GIB);
    EXPECT(large(test, f, PS_FRAME_2M) < FOUR_GIB);
    expect_wholes(test, f, 0, 0);
}

POOL_CASE(a_low_frame_is_nobodys_who_does_not_ask, SIM_RAM(0, 300))
{
    uint64_t first = 77;
    ps_frame_t frame;
    ps_frame_t frames[256];

    while (available(f) > 0)
        EXPECT(pool_single(test, f) >= 256);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame),
                   PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 1, PS_FRAME_USER, 0, frames),
                   PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, FOUR_GIB - 1, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, 0x100, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_now(f).free_in[PS_FRAME_ZONE_LOW], 255);
    for (uint64_t i = 1; i < 256; i++)
        EXPECT_EQ(pool_run(test, f, 1, 1, 0xff), i);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, 0xff, &first), PS_NO_MEMORY);
    pool_free(test, f, 100, 1);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame),
                   PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, 99, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 1, 1, 100), 100);
}

POOL_CASE(page_0_is_never_handed_out, SIM_RAM(0, 300))
{
    uint64_t first = 77;

    EXPECT(!pool_is_managed(f, 0));
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(0), ps_pages(1), PS_FRAME_USER),
                   PS_NOT_FOUND);
    EXPECT_REFUSED(pool_try_run(f, 1, 256, 0xff, &first), PS_NO_SPACE);
    EXPECT_REFUSED(pool_try_run(f, 256, 1, 0xff, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 255, 1, 0xff), 1);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(0), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(0), ps_pages(1)), PS_OUT_OF_RANGE);
}

/* ---- memory that came late ---- */

POOL_CASE(late_frames_are_used_when_nothing_else_is_left, PLAIN(256, 300), BOOT(CHUNK * 4, 600))
{
    uint64_t normal;

    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(CHUNK * 4), ps_pages(600)));
    EXPECT_EQ(pool_now(f).free_late, 600);
    normal = available(f) - 600;
    for (uint64_t i = 0; i < normal; i++)
        EXPECT(pool_single(test, f) < 556);
    EXPECT_EQ(pool_now(f).free_late, 600);
    for (uint64_t i = 0; i < 600; i++)
        EXPECT(pool_single(test, f) >= CHUNK * 4);
    EXPECT_EQ(pool_now(f).free_late, 0);
    EXPECT_EQ(available(f), 0);
}

POOL_CASE(late_frames_above_4_gib_come_after_all_others, PLAIN(256, 300), BOOT(FOUR_GIB, 100))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(FOUR_GIB), ps_pages(100)));
    while (available(f) > 99)
        EXPECT(pool_single(test, f) < FOUR_GIB);
    while (available(f) > 0)
        EXPECT(pool_single(test, f) >= FOUR_GIB);
}

/* A chunk is of one kind: what was there of it before is used last too. */
POOL_CASE(a_chunk_with_late_memory_is_late_as_a_whole, PLAIN(256, 300), PLAIN(CHUNK * 4, 50),
          BOOT(CHUNK * 4 + 50, 50), PLAIN(CHUNK * 5, 300))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(CHUNK * 4 + 50), ps_pages(50)));
    EXPECT_EQ(pool_now(f).free_late, 100);
    while (available(f) > 100)
        EXPECT(pool_single(test, f) / CHUNK != 4);
    for (uint64_t i = 0; i < 100; i++)
        EXPECT_EQ(pool_single(test, f) / CHUNK, 4);
}

POOL_CASE(a_late_frame_that_came_back_waits_for_the_others, PLAIN(256, 300), BOOT(CHUNK * 4, 300))
{
    uint64_t run = 256;
    uint64_t late = 0;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(run), ps_pages(20), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(CHUNK * 4), ps_pages(300)));
    while (available(f) > 200)
        late = pool_single(test, f);
    EXPECT(late >= CHUNK * 4);
    pool_free(test, f, run, 20);
    pool_free(test, f, late, 1);
    ps_frame_pool_drain(&f->pool);
    for (uint64_t i = 0; i < 20; i++)
        EXPECT(pool_single(test, f) < 556);
    EXPECT(pool_single(test, f) >= CHUNK * 4);
}

POOL_CASE(late_large_frames_come_last, PLAIN(CHUNK, 1024), BOOT(FOUR_GIB, 1024))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(FOUR_GIB), ps_pages(1024)));
    expect_wholes(test, f, 1 + 2, 0);
    EXPECT_EQ(large(test, f, PS_FRAME_2M), CHUNK);
    EXPECT(large(test, f, PS_FRAME_2M) >= FOUR_GIB);
    EXPECT(large(test, f, PS_FRAME_2M) >= FOUR_GIB);
    expect_wholes(test, f, 0, 0);
}

/* ---- parts before wholes ---- */

/* Chunk 0 without its low frames, and chunk 3 without the books, are partly used. */
POOL_CASE(single_frames_leave_whole_2m_alone_while_they_can, POOL_SMALL)
{
    expect_wholes(test, f, 2, 0);
    for (unsigned i = 0; i < 256 + 509 - 1; i++)
        (void)pool_single(test, f);
    expect_wholes(test, f, 2, 0);
    (void)pool_single(test, f);
    expect_wholes(test, f, 1, 0);
    for (unsigned i = 0; i < 511; i++)
        (void)pool_single(test, f);
    expect_wholes(test, f, 1, 0);
    (void)pool_single(test, f);
    expect_wholes(test, f, 0, 0);
}

POOL_CASE(small_runs_leave_whole_2m_alone_while_they_can, POOL_SMALL)
{
    for (unsigned i = 0; i < (256 - 1) / 5 + 509 / 5; i++)
        (void)pool_run(test, f, 5, 1, UINT64_MAX);
    expect_wholes(test, f, 2, 0);
    (void)pool_run(test, f, 5, 1, UINT64_MAX);
    expect_wholes(test, f, 1, 0);
}

POOL_CASE(scattered_frames_leave_whole_2m_alone_while_they_can, POOL_SMALL)
{
    ps_frame_t frames[256 + 509 - 1];

    EXPECT_OK(
        ps_frame_pool_alloc_scattered(&f->pool, PS_ARRAY_SIZE(frames), PS_FRAME_USER, 0, frames));
    expect_wholes(test, f, 2, 0);
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 2, PS_FRAME_USER, 0, frames));
    expect_wholes(test, f, 1, 0);
}

/* A freed frame that makes its chunk whole again is no reason to break that chunk. */
POOL_CASE(a_chunk_that_became_whole_is_left_alone, POOL_SMALL)
{
    uint64_t whole = 0;

    for (unsigned i = 0; i < 256 + 509; i++)
        whole = pool_single(test, f);
    expect_wholes(test, f, 1, 0);
    pool_free(test, f, 300, 1);
    pool_free(test, f, whole, 1);
    expect_wholes(test, f, 2, 0);
    EXPECT_EQ(pool_single(test, f), 300);
    expect_wholes(test, f, 2, 0);
}

/* A GiB of which some is missing, and two whole ones above it. */
POOL_CASE(large_frames_leave_whole_1g_alone_while_they_can, SIM_RAM(256, 100),
          PLAIN(REGION + CHUNK * 508, 4 * CHUNK), PLAIN(2 * REGION, 2 * REGION))
{
    /* The books lie at the end of the last GiB, which therefore is not whole. */
    expect_wholes(test, f, 4 + CHUNK + CHUNK - 1, 1);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(large(test, f, PS_FRAME_2M) / REGION, 1);
    for (unsigned i = 0; i < CHUNK - 1; i++)
        EXPECT_EQ(large(test, f, PS_FRAME_2M) / REGION, 3);
    expect_wholes(test, f, CHUNK, 1);
    EXPECT_EQ(large(test, f, PS_FRAME_2M) / REGION, 2);
    expect_wholes(test, f, CHUNK - 1, 0);
    EXPECT_EQ(large(test, f, PS_FRAME_2M) / REGION, 2);
    expect_wholes(test, f, CHUNK - 2, 0);
}

POOL_CASE(single_frames_leave_whole_1g_alone_while_they_can, SIM_RAM(256, 100),
          PLAIN(REGION, REGION), PLAIN(3 * REGION - CHUNK, CHUNK))
{
    while (available(f) > REGION - 64)
        EXPECT(pool_single(test, f) / REGION != 1);
    expect_wholes(test, f, CHUNK, 1);
    EXPECT_EQ(pool_single(test, f) / REGION, 1);
    expect_wholes(test, f, CHUNK - 1, 0);
    EXPECT_EQ(pool_single(test, f) / REGION, 1);
    expect_wholes(test, f, CHUNK - 1, 0);
}

POOL_CASE(whole_frames_are_counted_through_all_changes, SIM_RAM(256, 200),
          PLAIN(REGION, 2 * REGION), SIM_RAM(3 * REGION, 64))
{
    ps_frame_t frame;
    uint64_t first;

    expect_wholes(test, f, 2 * CHUNK, 2);
    first = large(test, f, PS_FRAME_1G);
    expect_wholes(test, f, CHUNK, 1);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first ^ 3 * REGION), ps_pages(CHUNK + 1),
                                  PS_FRAME_USER));
    expect_wholes(test, f, CHUNK - 2, 0);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_USER, 0, &frame),
                   PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(REGION)));
    expect_wholes(test, f, CHUNK - 2, 0);
    for (uint64_t i = 0; i < REGION; i++) {
        pool_free(test, f, first + i, 1);
        if (i % CHUNK == CHUNK - 1)
            EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_2M), CHUNK - 2 + (i + 1) / CHUNK);
    }
    expect_wholes(test, f, 2 * CHUNK - 2, 1);
    pool_free(test, f, first ^ 3 * REGION, CHUNK + 1);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_1g_frame_comes_from_where_it_is_whole, SIM_RAM(256, 512), PLAIN(0x30000, 0x90001))
{
    ps_frame_t frame = ps_frame(77);

    expect_wholes(test, f, 128 + CHUNK + CHUNK - 1, 1);
    EXPECT_EQ(large(test, f, PS_FRAME_1G), REGION);
    pool_expect_unit(test, f, 0x7ffff, REGION, REGION, PS_FRAME_OBJECT);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_OBJECT, 0, &frame),
                   PS_NO_SPACE);
    EXPECT_EQ(frame.number, 77);
    pool_free(test, f, REGION, REGION);
    pool_expect_fresh(test, f);
}

/* ---- tag bytes ---- */

/* One stretch of 16 MiB whose RAM is complete; the books lie elsewhere. */
#define ONE_TRACT PLAIN(8 * TRACT, TRACT), PLAIN(REGION, 16)

static void claim_the_rest(struct test *test, struct pool_fixture *f)
{
    uint64_t rest = f->pool.books - REGION;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(REGION), ps_pages(rest - 1), PS_FRAME_LENT));
}

POOL_CASE(frames_of_one_owner_need_no_tag_bytes, ONE_TRACT)
{
    uint64_t metadata;

    claim_the_rest(test, f);
    metadata = pool_now(f).metadata;
    for (unsigned i = 0; i < TRACT - 1; i++)
        EXPECT_EQ(pool_single(test, f) / TRACT, 8);
    EXPECT_EQ(pool_now(f).metadata, metadata);
    EXPECT_EQ(available(f), 0);
    EXPECT_EQ(pool_now(f).free, 1);
}

POOL_CASE(large_frames_need_no_tag_bytes, ONE_TRACT)
{
    uint64_t first[8];

    for (unsigned i = 0; i < 8; i++)
        first[i] = large(test, f, PS_FRAME_2M);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata);
    for (unsigned i = 0; i < 8; i++)
        pool_free(test, f, first[i], CHUNK);
    EXPECT_EQ(pool_run(test, f, TRACT, TRACT, UINT64_MAX), 8 * TRACT);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata);
    pool_free(test, f, 8 * TRACT, TRACT);
    pool_expect_fresh(test, f);
}

POOL_CASE(owners_side_by_side_take_one_frame_of_tag_bytes, ONE_TRACT)
{
    const enum ps_frame_tag tags[] = {PS_FRAME_TABLE, PS_FRAME_USER, PS_FRAME_STACK};
    uint64_t metadata;
    uint64_t frame = 0;

    claim_the_rest(test, f);
    metadata = pool_now(f).metadata;
    for (unsigned i = 0; i < TRACT - 1; i++)
        frame = tagged_single(test, f, tags[i % 3]);
    EXPECT_EQ(pool_now(f).metadata, metadata + 1);
    EXPECT_EQ(pool_now(f).free, 0);
    pool_free(test, f, frame, 1);
    EXPECT_EQ(available(f), 1);
    EXPECT_EQ(tagged_single(test, f, PS_FRAME_HEAP), frame);
    EXPECT_EQ(pool_now(f).metadata, metadata + 1);
}

POOL_CASE(the_tag_bytes_go_when_the_last_unit_does, ONE_TRACT)
{
    uint64_t run = pool_run(test, f, 3, 1, UINT64_MAX);
    uint64_t single = tagged_single(test, f, PS_FRAME_TABLE);
    uint64_t other = tagged_single(test, f, PS_FRAME_STACK);

    EXPECT(pool_now(f).metadata > f->fresh.metadata);
    pool_free(test, f, run, 3);
    pool_free(test, f, other, 1);
    EXPECT(pool_now(f).metadata > f->fresh.metadata);
    pool_free(test, f, single, 1);
    pool_expect_fresh(test, f);
}

POOL_CASE(the_frame_of_tag_bytes_is_refused_to_everybody, ONE_TRACT)
{
    uint64_t tags = 0;
    ps_frame_t frame;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(8 * TRACT + 600), ps_pages(3), PS_FRAME_USER));
    for (uint64_t i = 8 * TRACT; i < 9 * TRACT; i++)
        if (!pool_is_free(f, i) && i / 4 != (8 * TRACT + 600) / 4)
            tags = i;
    frame = ps_frame(tags);
    pool_expect_unit(test, f, tags, tags, 1, PS_FRAME_METADATA);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, frame, ps_pages(1)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, frame, ps_pages(1)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_share(&f->pool, frame, ps_pages(1)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_lend(&f->pool, frame), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, frame, ps_pages(1), PS_FRAME_USER),
                   PS_ALREADY_EXISTS);
    pool_free(test, f, 8 * TRACT + 600, 3);
    pool_expect_fresh(test, f);
}

/* ---- the frame that is kept back ---- */

POOL_CASE(the_last_frame_is_kept_for_tag_bytes_until_there_are_some, ONE_TRACT)
{
    uint64_t last = 0;
    uint64_t first = 77;
    ps_frame_t frame = ps_frame(77);

    claim_the_rest(test, f);
    while (available(f) > 0)
        (void)pool_single(test, f);
    for (uint64_t i = 8 * TRACT; i < 9 * TRACT; i++)
        if (pool_is_free(f, i))
            last = i;
    EXPECT_EQ(pool_now(f).free, 1);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame),
                   PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_alloc_scattered(&f->pool, 1, PS_FRAME_USER, 0, &frame),
                   PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(last), ps_pages(1), PS_FRAME_LENT),
                   PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 2, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_EQ(frame.number, 77);
    EXPECT_EQ(first, 77);
}

POOL_CASE(a_claim_that_leaves_no_room_for_tag_bytes_is_refused, ONE_TRACT)
{
    struct ps_frame_pool *p = &f->pool;
    const ps_frame_t start = ps_frame(8 * TRACT);

    EXPECT_REFUSED(ps_frame_pool_claim(p, start, ps_pages(TRACT + 1), PS_FRAME_USER), PS_NOT_FOUND);
    EXPECT_OK(ps_frame_pool_claim(p, start, ps_pages(7 * CHUNK), PS_FRAME_USER));
    EXPECT_OK(
        ps_frame_pool_claim(p, ps_frame(8 * TRACT + 7 * CHUNK), ps_pages(CHUNK), PS_FRAME_USER));
    pool_free(test, f, 8 * TRACT + 7 * CHUNK, CHUNK);
    pool_free(test, f, 8 * TRACT, 7 * CHUNK);
    EXPECT_OK(ps_frame_pool_claim(p, start, ps_pages(8 * CHUNK), PS_FRAME_USER));
    pool_free(test, f, 8 * TRACT, 8 * CHUNK);
    /* Whole chunks and a part: all of the frames, and none for the tags of the part. */
    EXPECT_OK(ps_frame_pool_claim(p, start, ps_pages(CHUNK), PS_FRAME_USER));
    EXPECT_OK(ps_frame_pool_claim(p, ps_frame(8 * TRACT + CHUNK), ps_pages(7 * CHUNK - 2),
                                  PS_FRAME_USER));
    EXPECT_EQ(available(f), pool_now(f).free - 1);
    pool_free(test, f, 8 * TRACT + CHUNK, 7 * CHUNK - 2);
    pool_free(test, f, 8 * TRACT, CHUNK);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_part_of_a_stretch_that_is_all_taken_has_no_room_for_its_tags, PLAIN(8 * TRACT, 700),
          PLAIN(REGION, 16))
{
    struct ps_frame_pool *p = &f->pool;
    const ps_frame_t start = ps_frame(8 * TRACT);

    EXPECT_REFUSED(ps_frame_pool_claim(p, start, ps_pages(700), PS_FRAME_USER), PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_claim(p, start, ps_pages(CHUNK), PS_FRAME_USER));
    EXPECT_REFUSED(
        ps_frame_pool_claim(p, ps_frame(8 * TRACT + CHUNK), ps_pages(700 - CHUNK), PS_FRAME_USER),
        PS_NO_MEMORY);
    EXPECT_OK(ps_frame_pool_claim(p, ps_frame(8 * TRACT + CHUNK + 1), ps_pages(700 - CHUNK - 1),
                                  PS_FRAME_USER));
    /* The frame that was left holds the tags now. */
    pool_expect_unit(test, f, 8 * TRACT + CHUNK, 8 * TRACT + CHUNK, 1, PS_FRAME_METADATA);
    pool_free(test, f, 8 * TRACT + CHUNK + 1, 700 - CHUNK - 1);
    pool_free(test, f, 8 * TRACT, CHUNK);
    pool_expect_fresh(test, f);
}

/* ---- what came before does not matter ---- */

POOL_CASE(the_order_after_a_drain_is_always_the_same, POOL_SMALL)
{
    uint64_t order[600];
    uint64_t other[40];

    for (unsigned i = 0; i < 600; i++)
        order[i] = pool_single(test, f);
    for (unsigned i = 0; i < 600; i++)
        pool_free(test, f, order[i], 1);
    pool_expect_fresh(test, f);
    for (unsigned i = 0; i < 40; i++)
        other[i] = tagged_single(test, f, PS_FRAME_STACK);
    for (unsigned i = 40; i > 0; i--)
        pool_free(test, f, other[(i * 7) % 40], 1);
    pool_expect_fresh(test, f);
    for (unsigned i = 0; i < 600; i++)
        EXPECT_EQ(pool_single(test, f), order[i]);
}

POOL_CASE(a_drain_changes_no_state_of_any_frame, POOL_SMALL)
{
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;

    for (unsigned i = 0; i < 100; i++)
        (void)pool_single(test, f);
    pool_free(test, f, 280, 1);
    before = pool_now(f);
    ps_frame_pool_drain(&f->pool);
    after = pool_now(f);
    for (size_t i = 0; i < PS_ARRAY_SIZE(after.by_tag); i++)
        EXPECT_EQ(after.by_tag[i], before.by_tag[i]);
    EXPECT_EQ(after.available, before.available);
    EXPECT(pool_is_free(f, 280));
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

POOL_CASE(single_frames_are_found_again_in_earlier_regions, SIM_RAM(256, 10), SIM_RAM(REGION, 10),
          SIM_RAM(2 * REGION, 100))
{
    while (available(f) > 0)
        (void)pool_single(test, f);
    pool_free(test, f, 258, 1);
    EXPECT_EQ(pool_single(test, f), 258);
    pool_free(test, f, REGION + 2, 1);
    EXPECT_EQ(pool_single(test, f), REGION + 2);
    pool_free(test, f, 260, 1);
    EXPECT_EQ(pool_single(test, f), 260);
    EXPECT_EQ(available(f), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(memory_above_4_gib_comes_first),
    TEST_CASE(a_frame_above_4_gib_that_came_back_is_used_before_those_below),
    TEST_CASE(large_frames_come_from_above_4_gib_too),
    TEST_CASE(a_low_frame_is_nobodys_who_does_not_ask),
    TEST_CASE(page_0_is_never_handed_out),
    TEST_CASE(late_frames_are_used_when_nothing_else_is_left),
    TEST_CASE(late_frames_above_4_gib_come_after_all_others),
    TEST_CASE(a_chunk_with_late_memory_is_late_as_a_whole),
    TEST_CASE(a_late_frame_that_came_back_waits_for_the_others),
    TEST_CASE(late_large_frames_come_last),
    TEST_CASE(single_frames_leave_whole_2m_alone_while_they_can),
    TEST_CASE(small_runs_leave_whole_2m_alone_while_they_can),
    TEST_CASE(scattered_frames_leave_whole_2m_alone_while_they_can),
    TEST_CASE(a_chunk_that_became_whole_is_left_alone),
    TEST_CASE(large_frames_leave_whole_1g_alone_while_they_can),
    TEST_CASE(single_frames_leave_whole_1g_alone_while_they_can),
    TEST_CASE(whole_frames_are_counted_through_all_changes),
    TEST_CASE(a_1g_frame_comes_from_where_it_is_whole),
    TEST_CASE(frames_of_one_owner_need_no_tag_bytes),
    TEST_CASE(large_frames_need_no_tag_bytes),
    TEST_CASE(owners_side_by_side_take_one_frame_of_tag_bytes),
    TEST_CASE(the_tag_bytes_go_when_the_last_unit_does),
    TEST_CASE(the_frame_of_tag_bytes_is_refused_to_everybody),
    TEST_CASE(the_last_frame_is_kept_for_tag_bytes_until_there_are_some),
    TEST_CASE(a_claim_that_leaves_no_room_for_tag_bytes_is_refused),
    TEST_CASE(a_part_of_a_stretch_that_is_all_taken_has_no_room_for_its_tags),
    TEST_CASE(the_order_after_a_drain_is_always_the_same),
    TEST_CASE(a_drain_changes_no_state_of_any_frame),
    TEST_CASE(single_frames_are_found_again_in_earlier_regions),
};

const struct test_suite suite_frame_pool_order = TEST_SUITE("frame_pool_order", cases);
