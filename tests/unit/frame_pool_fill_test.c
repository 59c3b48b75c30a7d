#include "frame_pool_fixture.h"

#include <string.h>

#include "hw.h"

/*
 * Fill checking: free frames hold a pattern, and who wrote to one is found out when it is handed
 * out, or when the pool is validated.
 */

enum { FILL = PS_FRAME_FILL_BYTE };

static uint8_t *bytes_of(const struct pool_fixture *f, uint64_t frame)
{
    return ps_hw_frame(&f->sim->machine, ps_frame(frame));
}

/* How many bytes of the frame's beginning are pattern. */
static uint64_t filled_bytes(const struct pool_fixture *f, uint64_t frame)
{
    const uint8_t *bytes = bytes_of(f, frame);
    uint64_t count = 0;

    while (count < PS_PAGE_SIZE && bytes[count] == FILL)
        count++;
    return count;
}

static void fill(struct test *test, struct pool_fixture *f, uint64_t bytes)
{
    EXPECT_OK(ps_frame_pool_fill(&f->pool, bytes));
}

static ps_status claim(struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    return ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_USER);
}

/* Everything that the snapshot says of damage. */
static void expect_damage(struct test *test, struct pool_fixture *f, uint64_t frames, uint64_t last)
{
    struct ps_frame_pool_snapshot now = pool_now(f);

    EXPECT_EQ(now.damaged, frames);
    EXPECT_EQ(now.by_tag[PS_FRAME_DAMAGED], frames);
    EXPECT_EQ(now.last_damaged.number, last);
    pool_expect_unit(test, f, last, last, 1, PS_FRAME_DAMAGED);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(last), ps_pages(1)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_split(&f->pool, ps_frame(last), ps_pages(1)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_share(&f->pool, ps_frame(last), ps_pages(1)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(ps_frame_pool_lend(&f->pool, ps_frame(last)), PS_ACCESS_DENIED);
    EXPECT_REFUSED(claim(f, last, 1), PS_ALREADY_EXISTS);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

/* ---- what is written ---- */

POOL_CASE(at_first_nothing_is_filled_and_nothing_is_checked, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);

    EXPECT_EQ(pool_now(f).fill_bytes, 0);
    pool_free(test, f, frame, 1);
    EXPECT_EQ(filled_bytes(f, frame), 0);
    bytes_of(f, frame)[0] = 1;
    bytes_of(f, 1000)[7] = 1;
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    EXPECT_OK(claim(f, frame, 1));
    EXPECT_OK(claim(f, 1000, 1));
}

POOL_CASE(sizes_that_are_no_words_or_more_than_a_page_are_refused, POOL_SMALL)
{
    struct ps_frame_pool empty = {0};

    EXPECT_STATUS(ps_frame_pool_fill(NULL, 8), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_fill(&empty, 8), PS_BAD_STATE);
    EXPECT_REFUSED(ps_frame_pool_fill(&f->pool, 1), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_fill(&f->pool, 12), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_fill(&f->pool, PS_PAGE_SIZE + 8), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_fill(&f->pool, UINT64_MAX - 7), PS_INVALID_ARGS);
    EXPECT_EQ(pool_now(f).fill_bytes, 0);
    fill(test, f, PS_PAGE_SIZE);
    EXPECT_REFUSED(ps_frame_pool_fill(&f->pool, 4), PS_INVALID_ARGS);
    EXPECT_EQ(pool_now(f).fill_bytes, PS_PAGE_SIZE);
}

/* Free frames hold `bytes` of pattern and then what they held, others what they held. */
static void expect_filled(struct test *test, struct pool_fixture *f, uint64_t bytes)
{
    for (uint64_t frame = 1; frame < f->pool.span; frame++) {
        uint64_t filled;
        bool right;

        if (!sim_machine_has_frame(f->sim, ps_frame(frame)))
            continue;
        filled = filled_bytes(f, frame);
        right = filled == (pool_is_free(f, frame) ? bytes : 0);
        if (EXPECT(right))
            continue;
        test_note(test, "frame 0x%" PS_PRIx ": %" PS_PRIu " bytes", frame, filled);
        return;
    }
}

/* A region with single frames, runs and whole chunks; one that nobody looked at; a GiB apart. */
#define SOME_OF_ALL                                                                      \
    POOL_SMALL, SIM_RAM(0x1000, 0x1000), SIM_RAM(0x40000, 0x300),                        \
        {{0x40300}, {0x100}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK}, SIM_RAM(0x40400, 0x40), \
    {                                                                                    \
        {0x40440}, {8}, PS_MEMORY_RESERVED, SIM_JUNK                                     \
    }

static void use_some_of_all(struct test *test, struct pool_fixture *f)
{
    for (unsigned i = 0; i < 5; i++)
        (void)pool_single(test, f);
    EXPECT_OK(claim(f, 20, 3));
    EXPECT_OK(claim(f, 300, 1));
    EXPECT_OK(claim(f, 500, 40));
    EXPECT_OK(claim(f, 1024, 512));
    EXPECT_OK(claim(f, 0x1000, 0x200));
    EXPECT_OK(claim(f, 0x1400, 0x400));
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(0x1000), ps_pages(0x200)));
    for (uint64_t frame = 0x1000; frame < 0x1200; frame += 3)
        pool_free(test, f, frame, 1);
    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(0x1001)));
}

POOL_CASE(all_free_frames_are_filled_and_no_others, SOME_OF_ALL)
{
    use_some_of_all(test, f);
    fill(test, f, 24);
    EXPECT_EQ(pool_now(f).fill_bytes, 24);
    expect_filled(test, f, 24);
}

POOL_CASE(a_pool_that_nobody_has_used_is_filled, SOME_OF_ALL)
{
    fill(test, f, 8);
    expect_filled(test, f, 8);
    use_some_of_all(test, f);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

POOL_CASE(frames_in_quarantine_are_filled_when_they_are_free, SOME_OF_ALL)
{
    uint64_t frame = pool_single(test, f);

    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 1));
    pool_free(test, f, frame, 1);
    fill(test, f, 8);
    expect_filled(test, f, 8);
    EXPECT_EQ(filled_bytes(f, frame), 0);
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 0));
    expect_filled(test, f, 8);
    EXPECT_EQ(filled_bytes(f, frame), 8);
}

POOL_CASE(a_whole_page_can_be_filled, POOL_SMALL)
{
    fill(test, f, PS_PAGE_SIZE);
    EXPECT_EQ(filled_bytes(f, 700), PS_PAGE_SIZE);
    bytes_of(f, 700)[PS_PAGE_SIZE - 1] = 0;
    EXPECT_STATUS(claim(f, 700, 1), PS_CORRUPT);
    expect_damage(test, f, 1, 700);
}

/* In one GiB nothing has been used yet, in the next the first frame: RAM goes on in between. */
POOL_CASE(filling_a_gib_ends_with_its_last_frame, SIM_RAM(0x3ff00, 0x80), SIM_RAM(0x3ffff, 0x400))
{
    EXPECT_OK(claim(f, 0x40000, 1));
    fill(test, f, 8);
    EXPECT_EQ(filled_bytes(f, 0x3ff7f), 8);
    EXPECT_EQ(filled_bytes(f, 0x3ffff), 8);
    EXPECT_EQ(filled_bytes(f, 0x40000), 0);
    EXPECT_EQ(filled_bytes(f, 0x40001), 8);
    expect_filled(test, f, 8);
}

/* Of a GiB that is one unit nothing is free; of one that was one, everything. */
POOL_CASE(the_frames_of_a_1g_unit_are_not_filled,
          {{0x40000}, {0x40000}, PS_MEMORY_USABLE, SIM_PLAIN}, SIM_RAM(0x80000, 0x200))
{
    ps_frame_t frame;

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_USER, 0, &frame));
    EXPECT_EQ(frame.number, 0x40000);
    fill(test, f, 8);
    EXPECT_EQ(filled_bytes(f, 0x40000), 0);
    EXPECT_EQ(filled_bytes(f, 0x7ffff), 0);
    EXPECT_EQ(filled_bytes(f, 0x80000), 8);
}

/* Sizes differ: nothing is left of the old one, and more is checked or less. */
POOL_CASE(another_size_fills_all_free_frames_anew, SOME_OF_ALL)
{
    use_some_of_all(test, f);
    fill(test, f, 16);
    bytes_of(f, 700)[3] = 0;
    bytes_of(f, 701)[20] = 0;
    fill(test, f, 32);
    expect_filled(test, f, 32);
    fill(test, f, 8);
    bytes_of(f, 700)[8] = 0;
    bytes_of(f, 701)[31] = 0;
    EXPECT_OK(claim(f, 700, 2));
    fill(test, f, 0);
    bytes_of(f, 703)[0] = 0;
    EXPECT_OK(claim(f, 703, 1));
    pool_free(test, f, 703, 1);
    EXPECT_EQ(filled_bytes(f, 703), 0);
}

/* ---- when frames become free, and when they are handed out ---- */

POOL_CASE(frames_are_filled_when_they_become_free, POOL_SMALL)
{
    uint64_t single = pool_single(test, f);
    uint64_t run = pool_run(test, f, 70, 0, UINT64_MAX);
    uint64_t large = pool_run(test, f, 512, 512, UINT64_MAX);

    fill(test, f, 16);
    pool_free(test, f, single, 1);
    EXPECT_EQ(filled_bytes(f, single), 16);
    pool_free(test, f, run, 70);
    EXPECT_EQ(filled_bytes(f, run), 16);
    EXPECT_EQ(filled_bytes(f, run + 69), 16);
    pool_free(test, f, large, 512);
    EXPECT_EQ(filled_bytes(f, large), 16);
    EXPECT_EQ(filled_bytes(f, large + 511), 16);
    expect_filled(test, f, 16);
}

/* The frames of the tag bytes and of the numbers of holders too. */
POOL_CASE(frames_that_the_pool_used_itself_are_filled, POOL_SMALL)
{
    uint64_t frame = pool_single(test, f);

    fill(test, f, 16);
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(frame), ps_pages(1)));
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 300));
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 0));
    pool_free(test, f, frame, 1);
    expect_filled(test, f, 16);
    pool_free(test, f, frame, 1);
    expect_filled(test, f, 16);
    EXPECT_EQ(pool_now(f).free, f->fresh.free);
}

POOL_CASE(memory_that_is_added_is_filled, POOL_SMALL,
          {{2100}, {70}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    fill(test, f, 16);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(2100), ps_pages(70)));
    EXPECT_EQ(filled_bytes(f, 2100), 16);
    EXPECT_EQ(filled_bytes(f, 2169), 16);
    EXPECT_OK(claim(f, 2100, 70));
}

POOL_CASE(handing_out_does_not_clean_the_pattern_unless_asked_to, POOL_SMALL)
{
    ps_frame_t frame;

    fill(test, f, 16);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    EXPECT_EQ(filled_bytes(f, frame.number), 16);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &frame));
    EXPECT_EQ(bytes_of(f, frame.number)[0], 0);
    EXPECT_EQ(bytes_of(f, frame.number)[PS_PAGE_SIZE - 1], 0);
}

/* Of frames that were handed out and taken back quickly, before there was something to look at. */
POOL_CASE(a_single_frame_that_was_written_to_is_withdrawn, SIM_RAM(0x1000, 0x800))
{
    ps_frame_t frame;
    ps_frame_t again = ps_frame(77);

    for (unsigned i = 0; i < 3; i++)
        pool_free(test, f, pool_single(test, f), 1);
    fill(test, f, 16);
    EXPECT(f->pool.metered);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    pool_free(test, f, frame.number, 1);
    bytes_of(f, frame.number)[15] = 0;
    EXPECT_STATUS(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &again), PS_CORRUPT);
    EXPECT_EQ(again.number, 77);
    expect_damage(test, f, 1, frame.number);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &again));
    EXPECT(again.number != frame.number);
    pool_free(test, f, again.number, 1);
    EXPECT_EQ(filled_bytes(f, again.number), 16);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    fill(test, f, 0);
    EXPECT(!f->pool.metered);
}

POOL_CASE(what_lies_behind_the_pattern_is_not_looked_at, POOL_SMALL)
{
    fill(test, f, 16);
    bytes_of(f, 700)[16] = 0;
    bytes_of(f, 700)[PS_PAGE_SIZE - 1] = 0;
    EXPECT_OK(claim(f, 700, 1));
    bytes_of(f, 701)[0] = 0;
    EXPECT_STATUS(claim(f, 701, 1), PS_CORRUPT);
    expect_damage(test, f, 1, 701);
}

POOL_CASE(of_scattered_frames_all_damaged_ones_are_withdrawn_and_the_others_are_free, POOL_SMALL)
{
    ps_frame_t frames[8];
    ps_frame_t now[8];

    fill(test, f, 8);
    REQUIRE_OK(ps_frame_pool_alloc_scattered(&f->pool, 8, PS_FRAME_USER, 0, frames));
    for (unsigned i = 0; i < 8; i++)
        pool_free(test, f, frames[i].number, 1);
    ps_frame_pool_drain(&f->pool);
    bytes_of(f, frames[2].number)[0] = 0;
    bytes_of(f, frames[5].number)[7] = 0;
    EXPECT_STATUS(ps_frame_pool_alloc_scattered(&f->pool, 8, PS_FRAME_USER, 0, now), PS_CORRUPT);
    EXPECT_EQ(pool_now(f).damaged, 2);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    pool_expect_unit(test, f, frames[2].number, frames[2].number, 1, PS_FRAME_DAMAGED);
    pool_expect_unit(test, f, frames[5].number, frames[5].number, 1, PS_FRAME_DAMAGED);
    EXPECT(pool_is_free(f, frames[0].number));
    EXPECT(pool_is_free(f, frames[7].number));
    REQUIRE_OK(ps_frame_pool_alloc_scattered(&f->pool, 8, PS_FRAME_USER, 0, now));
    for (unsigned i = 0; i < 8; i++)
        EXPECT(now[i].number != frames[2].number && now[i].number != frames[5].number);
}

POOL_CASE(a_damaged_frame_of_a_run_is_withdrawn, POOL_SMALL)
{
    uint64_t run;
    uint64_t first = 77;

    EXPECT_OK(claim(f, 600, 1));
    run = pool_run(test, f, 40, 0, UINT64_MAX);
    pool_free(test, f, run, 40);
    fill(test, f, 8);
    bytes_of(f, run + 7)[0] = 0;
    EXPECT_STATUS(pool_try_run(f, 40, 1, UINT64_MAX, &first), PS_CORRUPT);
    EXPECT_EQ(first, 77);
    expect_damage(test, f, 1, run + 7);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
    EXPECT_OK(pool_try_run(f, 40, 1, UINT64_MAX, &first));
    EXPECT(first > run + 7 || first + 40 <= run + 7);
}

POOL_CASE(a_damaged_frame_of_a_claim_is_withdrawn, POOL_SMALL)
{
    fill(test, f, 8);
    bytes_of(f, 1500)[0] = 0;
    EXPECT_STATUS(claim(f, 1450, 100), PS_CORRUPT);
    expect_damage(test, f, 1, 1500);
    EXPECT_REFUSED(claim(f, 1450, 100), PS_ALREADY_EXISTS);
    bytes_of(f, 1501)[0] = 0;
    EXPECT_STATUS(claim(f, 1501, 1), PS_CORRUPT);
    expect_damage(test, f, 2, 1501);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
}

POOL_CASE(a_damaged_frame_of_2m_is_withdrawn, POOL_SMALL)
{
    ps_frame_t frame;

    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &frame));
    pool_free(test, f, frame.number, 512);
    fill(test, f, 8);
    bytes_of(f, frame.number + 200)[4] ^= 1;
    EXPECT_STATUS(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &frame), PS_CORRUPT);
    expect_damage(test, f, 1, frame.number + 200);
    EXPECT_EQ(pool_now(f).whole_2m, f->fresh.whole_2m - 1);
    EXPECT_EQ(pool_now(f).free, f->fresh.free - 1);
}

/*
 * 16 MiB in which no frame is left for tag bytes: the last free frame can be had by those who
 * want the tag that all others there have. When it is damaged it would need another one.
 */
POOL_CASE(the_last_frame_of_16_mib_is_damaged, SIM_RAM(0x1000, 0x1000), SIM_RAM(0x3000, 0x800))
{
    for (uint64_t chunk = 0x1000; chunk < 0x2000; chunk += 512) {
        EXPECT_OK(claim(f, chunk, 512));
        EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(chunk), ps_pages(512)));
    }
    fill(test, f, 8);
    pool_free(test, f, 0x1234, 1);
    bytes_of(f, 0x1234)[0] = 0;
    EXPECT_REFUSED(claim(f, 0x1234, 1), PS_NO_MEMORY);
    pool_free(test, f, 0x1235, 1);
    EXPECT_STATUS(claim(f, 0x1234, 1), PS_CORRUPT);
    expect_damage(test, f, 1, 0x1234);
}

/* ---- validation ---- */

static uint64_t corruptions(struct test *test, struct pool_fixture *f, char *text, size_t size)
{
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, size);
    uint64_t lines = 0;

    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, &sink), PS_CORRUPT);
    for (const char *c = text; *c != 0; c++)
        lines += *c == '\n';
    return lines;
}

POOL_CASE(validation_looks_for_patterns, SOME_OF_ALL)
{
    const uint64_t frames[] = {7, 700, 1600, 0x1201, 0x1203, 0x1900, 0x40001, 0x40410};
    char text[200];

    use_some_of_all(test, f);
    fill(test, f, 16);
    for (size_t i = 0; i < PS_ARRAY_SIZE(frames); i++) {
        EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
        bytes_of(f, frames[i])[15] ^= 0x80;
        EXPECT_EQ(corruptions(test, f, text, sizeof(text)), 1);
        bytes_of(f, frames[i])[15] ^= 0x80;
        bytes_of(f, frames[i])[16] ^= 0x80;
    }
}

static const struct test_case cases[] = {
    TEST_CASE(at_first_nothing_is_filled_and_nothing_is_checked),
    TEST_CASE(sizes_that_are_no_words_or_more_than_a_page_are_refused),
    TEST_CASE(all_free_frames_are_filled_and_no_others),
    TEST_CASE(a_pool_that_nobody_has_used_is_filled),
    TEST_CASE(frames_in_quarantine_are_filled_when_they_are_free),
    TEST_CASE(a_whole_page_can_be_filled),
    TEST_CASE(filling_a_gib_ends_with_its_last_frame),
    TEST_CASE(the_frames_of_a_1g_unit_are_not_filled),
    TEST_CASE(another_size_fills_all_free_frames_anew),
    TEST_CASE(frames_are_filled_when_they_become_free),
    TEST_CASE(frames_that_the_pool_used_itself_are_filled),
    TEST_CASE(memory_that_is_added_is_filled),
    TEST_CASE(handing_out_does_not_clean_the_pattern_unless_asked_to),
    TEST_CASE(a_single_frame_that_was_written_to_is_withdrawn),
    TEST_CASE(what_lies_behind_the_pattern_is_not_looked_at),
    TEST_CASE(of_scattered_frames_all_damaged_ones_are_withdrawn_and_the_others_are_free),
    TEST_CASE(a_damaged_frame_of_a_run_is_withdrawn),
    TEST_CASE(a_damaged_frame_of_a_claim_is_withdrawn),
    TEST_CASE(a_damaged_frame_of_2m_is_withdrawn),
    TEST_CASE(the_last_frame_of_16_mib_is_damaged),
    TEST_CASE(validation_looks_for_patterns),
};

const struct test_suite suite_frame_pool_fill = TEST_SUITE("frame_pool_fill", cases);
