#include "frame_pool_fixture.h"

#include <string.h>

#include "frame_pool_private.h"

/* What the frame pool says about itself: names of tags, single frames, a snapshot, a dump. */

static void frame_tags_have_names(struct test *test)
{
    static const char *const names[] = {
        "free",    "metadata", "quarantined", "loaned", "damaged", "table", "stack",
        "virtual", "heap",     "object",      "lent",   "user",    "?"};

    for (unsigned tag = 0; tag <= PS_FRAME_TAG_COUNT; tag++)
        EXPECT_TEXT(ps_frame_tag_name((enum ps_frame_tag)tag), names[tag]);
}

/* ---- snapshot ---- */

static void a_snapshot_of_no_pool_is_zero(struct test *test)
{
    const struct ps_frame_pool_snapshot zero = {0};
    struct ps_frame_pool_snapshot snapshot;
    struct ps_frame_pool pool = {0};

    memset(&snapshot, 0xff, sizeof(snapshot));
    ps_frame_pool_snapshot(&pool, &snapshot);
    EXPECT(memcmp(&snapshot, &zero, sizeof(zero)) == 0);
    memset(&snapshot, 0xff, sizeof(snapshot));
    ps_frame_pool_snapshot(NULL, &snapshot);
    EXPECT(memcmp(&snapshot, &zero, sizeof(zero)) == 0);
    ps_frame_pool_snapshot(&pool, NULL);
}

#define RAM_ADDED_LATER(first_frame, page_count)                           \
    {                                                                      \
        {(first_frame)}, {(page_count)}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK \
    }

POOL_CASE(a_snapshot_counts_every_zone, SIM_RAM(0, 100), RAM_ADDED_LATER(100, 156),
          SIM_RAM(256, 1792), RAM_ADDED_LATER(4096, 600), SIM_RAM(0x100000, 1536))
{
    const uint64_t books = f->pool.books_frames;
    struct ps_frame_pool_snapshot now;

    EXPECT_EQ(f->fresh.managed, 99 + 1792 + 1536);
    EXPECT_EQ(f->fresh.metadata, books);
    EXPECT_EQ(f->fresh.free, 99 + 1792 + 1536 - books);
    EXPECT_EQ(f->fresh.available, 1792 + 1536 - books - 2);
    EXPECT_EQ(f->fresh.managed_in[PS_FRAME_ZONE_LOW], 99);
    EXPECT_EQ(f->fresh.managed_in[PS_FRAME_ZONE_4GIB], 1792);
    EXPECT_EQ(f->fresh.managed_in[PS_FRAME_ZONE_NORMAL], 1536 - books);
    EXPECT(memcmp(f->fresh.free_in, f->fresh.managed_in, sizeof(f->fresh.free_in)) == 0);
    EXPECT_EQ(f->fresh.whole_2m, 3 + 2);
    EXPECT_EQ(f->fresh.free_late, 0);
    REQUIRE_OK(ps_frame_pool_add(&f->pool, ps_frame(100), ps_pages(156)));
    REQUIRE_OK(ps_frame_pool_add(&f->pool, ps_frame(4096), ps_pages(600)));
    EXPECT_EQ(pool_run(test, f, 9, 1, 0xff), 1);
    ps_frame_pool_snapshot(&f->pool, &now);
    EXPECT_EQ(now.managed_in[PS_FRAME_ZONE_LOW], 255);
    EXPECT_EQ(now.managed_in[PS_FRAME_ZONE_4GIB], 1792 + 600);
    EXPECT_EQ(now.managed_in[PS_FRAME_ZONE_NORMAL], 1536 - books);
    EXPECT_EQ(now.free_in[PS_FRAME_ZONE_LOW], 255 - 9);
    EXPECT_EQ(now.free_in[PS_FRAME_ZONE_4GIB], 1792 + 600 - 1);
    EXPECT_EQ(now.free_in[PS_FRAME_ZONE_NORMAL], 1536 - books);
    EXPECT_EQ(now.free_late, 600 + 255 - 9 + 255);
    EXPECT_EQ(now.whole_2m, 3 + 2 + 1);
    EXPECT_EQ(now.metadata, books + 1);
}

POOL_CASE(a_snapshot_counts_every_kind_of_unit, POOL_SMALL)
{
    struct ps_frame_pool_snapshot now;
    ps_frame_t frame;
    ps_frame_t frames[7];

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_OBJECT, 0, &frame));
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 7, PS_FRAME_TABLE, 0, frames));
    EXPECT_EQ(pool_run(test, f, 9, 1, 0xff), 1);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1900), ps_pages(2), PS_FRAME_STACK));
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(1900), ps_pages(2)));
    EXPECT_OK(ps_frame_pool_lend(&f->pool, frames[0]));
    EXPECT_OK(ps_frame_pool_lend(&f->pool, frames[1]));
    EXPECT_OK(ps_frame_pool_cancel_loan(&f->pool, frames[1]));
    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_HEAP, PS_FRAME_BORROW, &frame));
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 4));
    pool_free(test, f, frames[2].number, 1);
    ps_frame_pool_snapshot(&f->pool, &now);
    EXPECT_EQ(now.by_tag[PS_FRAME_FREE], now.free);
    EXPECT_EQ(now.by_tag[PS_FRAME_METADATA], SMALL_METADATA + 1 + 2 + 1); /* tags, holders, ring */
    EXPECT_EQ(now.by_tag[PS_FRAME_QUARANTINED], 1);
    EXPECT_EQ(now.by_tag[PS_FRAME_LOANED], 1);
    EXPECT_EQ(now.by_tag[PS_FRAME_TABLE], 7 - 3);
    EXPECT_EQ(now.by_tag[PS_FRAME_STACK], 2);
    EXPECT_EQ(now.by_tag[PS_FRAME_HEAP], 1);
    EXPECT_EQ(now.by_tag[PS_FRAME_OBJECT], 512);
    EXPECT_EQ(now.by_tag[PS_FRAME_USER], 9);
    EXPECT_EQ(now.units_4k, 7 + 4);
    EXPECT_EQ(now.units_2m, 1);
    EXPECT_EQ(now.run_frames, 9 + 2);
    EXPECT_EQ(now.shared_units, 1);
    EXPECT_EQ(now.loans, 2);
    EXPECT_EQ(now.loans_out, 1);
    EXPECT_EQ(now.loans_cancelled, 1);
    EXPECT_EQ(now.quarantined_units, 1);
    EXPECT_EQ(now.free, now.managed - now.metadata - 7 - 2 - 512 - 9);
    EXPECT_EQ(now.available, now.free - now.free_in[PS_FRAME_ZONE_LOW]);
}

/* Its lines still say that all of it is free. */
POOL_CASE(a_snapshot_counts_a_unit_of_1_gib_once,
          {{1u << 18}, {(1u << 18) + 64}, PS_MEMORY_USABLE, SIM_PLAIN})
{
    struct ps_frame_pool_snapshot now;
    ps_frame_t frame = {0};

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(0x40007), ps_pages(1), PS_FRAME_USER));
    pool_free(test, f, 0x40007, 1);
    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_USER, 0, &frame));
    EXPECT_EQ(frame.number, 0x40000);
    now = pool_now(f);
    EXPECT_EQ(now.units_1g, 1);
    EXPECT_EQ(now.units_4k, 0);
    EXPECT_EQ(now.free, 64 - f->pool.books_frames);
    EXPECT_EQ(now.free_in[PS_FRAME_ZONE_4GIB], now.free);
    EXPECT_EQ(now.managed_in[PS_FRAME_ZONE_4GIB], 0x40000 + now.free);
    EXPECT_EQ(now.whole_2m, 0);
    EXPECT_EQ(now.free_late, 0);
}

/* ---- query ---- */

POOL_CASE(a_query_knows_the_pools_own_and_who_waits, POOL_SMALL)
{
    struct ps_frame_info info;
    uint64_t frame;

    EXPECT_STATUS(ps_frame_pool_query(NULL, ps_frame(1), &info), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_query(&f->pool, ps_frame(1), NULL), PS_INVALID_ARGS);
    EXPECT(!pool_is_managed(f, 0));
    EXPECT(!pool_is_managed(f, SMALL_FRAMES));
    EXPECT(!pool_is_managed(f, UINT64_MAX));
    pool_expect_unit(test, f, SMALL_FRAMES - 1, SMALL_LAST + 1, SMALL_METADATA, PS_FRAME_METADATA);
    REQUIRE_OK(ps_frame_pool_quarantine(&f->pool, 1));
    frame = pool_run(test, f, 3, 1, UINT64_MAX);
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(frame), ps_pages(3)));
    EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(frame + 1), &info));
    EXPECT_EQ(info.holders, 2);
    pool_free(test, f, frame, 3);
    pool_expect_unit(test, f, frame + 2, frame, 3, PS_FRAME_USER);
    pool_free(test, f, frame, 3);
    pool_expect_unit(test, f, frame + 2, frame, 3, PS_FRAME_QUARANTINED);
    frame = pool_single(test, f);
    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(frame)));
    EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(frame), &info));
    EXPECT(info.lent && info.tag == PS_FRAME_LOANED);
}

/* ---- dump ---- */

static void expect_dump(struct test *test, struct ps_frame_pool *pool, const char *expected)
{
    char text[2048];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    ps_frame_pool_dump(pool, &sink);
    EXPECT_TEXT(text, expected);
}

static void a_dump_of_no_pool_says_so(struct test *test)
{
    struct ps_frame_pool pool = {0};

    expect_dump(test, &pool, "frame pool: not initialised\n");
    expect_dump(test, NULL, "frame pool: not initialised\n");
}

POOL_CASE(a_dump_has_a_line_a_stretch, POOL_SMALL,
          {{2048}, {2048}, PS_MEMORY_RESERVED, SIM_NOTHING}, SIM_RAM(4096, 8), SIM_RAM(98304, 1))
{
    const char *fresh =
        "frame pool: 2056 frames, 2050 free, 1792 available, 0 promised, 6 bookkeeping; whole: "
        "3 of 2 MiB, 0 of 1 GiB\n"
        "  0x000000001000-0x0000007fffff free        7.9 MiB\n"
        "  0x000001000000-0x000001001fff free        8 KiB\n"
        "  0x000001002000-0x000001007fff metadata    24 KiB\n"
        "  0x000018000000-0x000018000fff free        4 KiB\n";

    expect_dump(test, &f->pool, fresh);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(512), ps_pages(512), PS_FRAME_TABLE));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1024), ps_pages(2), PS_FRAME_TABLE));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1026), ps_pages(3), PS_FRAME_LENT));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1029), ps_pages(1), PS_FRAME_LENT));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1540), ps_pages(1), PS_FRAME_USER));
    expect_dump(
        test, &f->pool,
        "frame pool: 2056 frames, 1530 free, 1273 available, 0 promised, 7 bookkeeping; whole: "
        "0 of 2 MiB, 0 of 1 GiB\n"
        "  0x000000001000-0x0000000fffff free        1020 KiB\n"
        "  0x000000100000-0x000000100fff metadata    4 KiB\n"
        "  0x000000101000-0x0000001fffff free        1020 KiB\n"
        "  0x000000200000-0x000000401fff table       2 MiB\n"
        "  0x000000402000-0x000000405fff lent        16 KiB\n"
        "  0x000000406000-0x000000603fff free        1.9 MiB\n"
        "  0x000000604000-0x000000604fff user        4 KiB\n"
        "  0x000000605000-0x0000007fffff free        1.9 MiB\n"
        "  0x000001000000-0x000001001fff free        8 KiB\n"
        "  0x000001002000-0x000001007fff metadata    24 KiB\n"
        "  0x000018000000-0x000018000fff free        4 KiB\n");
}

POOL_CASE(a_dump_tells_what_is_used_last_and_who_waits, SIM_RAM(256, 20), RAM_ADDED_LATER(276, 30))
{
    ps_frame_t frame;

    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(278), ps_pages(10)));
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 1));
    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    pool_free(test, f, frame.number, 1);
    expect_dump(test, &f->pool,
                "frame pool: 30 frames, 24 free, 24 available, 0 promised, 5 bookkeeping; whole: "
                "0 of 2 MiB, 0 of 1 GiB\n"
                "  0x000000100000-0x000000101fff metadata    8 KiB\n"
                "  0x000000102000-0x000000102fff quarantined 4 KiB\n"
                "  0x000000103000-0x000000110fff free        56 KiB, used last\n"
                "  0x000000111000-0x000000113fff metadata    12 KiB\n"
                "  0x000000116000-0x00000011ffff free        40 KiB, used last\n");
}

/* Behind the last free frame there is RAM that is not the pool's. */
POOL_CASE(a_dump_ends_with_what_the_pool_has, SIM_RAM(256, 300),
          {{5u << 18}, {1}, PS_MEMORY_LOADER, SIM_JUNK})
{
    expect_dump(
        test, &f->pool,
        "frame pool: 300 frames, 288 free, 287 available, 0 promised, 12 bookkeeping; whole: "
        "0 of 2 MiB, 0 of 1 GiB\n"
        "  0x000000100000-0x00000021ffff free        1.1 MiB\n"
        "  0x000000220000-0x00000022bfff metadata    48 KiB\n");
}

POOL_CASE(a_dump_tells_what_is_used_last_from_its_neighbours, SIM_RAM(256, 256),
          RAM_ADDED_LATER(512, 512), SIM_RAM(1024, 100))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(512), ps_pages(512)));
    expect_dump(
        test, &f->pool,
        "frame pool: 868 frames, 865 free, 864 available, 0 promised, 3 bookkeeping; whole: "
        "1 of 2 MiB, 0 of 1 GiB\n"
        "  0x000000100000-0x0000001fffff free        1 MiB\n"
        "  0x000000200000-0x0000003fffff free        2 MiB, used last\n"
        "  0x000000400000-0x000000460fff free        388 KiB\n"
        "  0x000000461000-0x000000463fff metadata    12 KiB\n");
}

/* They are single frames of one owner: no byte says of one that it waits. */
POOL_CASE(a_dump_tells_who_waits_among_frames_of_one_owner, POOL_SMALL)
{
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 1));
    for (uint64_t frame = 1024; frame < 1027; frame++)
        EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(frame), ps_pages(1), PS_FRAME_USER));
    pool_free(test, f, 1025, 1);
    expect_dump(
        test, &f->pool,
        "frame pool: 2047 frames, 2039 free, 1784 available, 0 promised, 5 bookkeeping; whole: "
        "1 of 2 MiB, 0 of 1 GiB\n"
        "  0x000000001000-0x0000000fffff free        1020 KiB\n"
        "  0x000000100000-0x000000101fff metadata    8 KiB\n"
        "  0x000000102000-0x0000003fffff free        2.9 MiB\n"
        "  0x000000400000-0x000000400fff user        4 KiB\n"
        "  0x000000401000-0x000000401fff quarantined 4 KiB\n"
        "  0x000000402000-0x000000402fff user        4 KiB\n"
        "  0x000000403000-0x0000007fcfff free        3.9 MiB\n"
        "  0x0000007fd000-0x0000007fffff metadata    12 KiB\n");
}

/* 66 GiB, of which hardly a region is ever opened, and a hole of a TiB. */
#define POOL_LARGE                                               \
    {{256}, {(66u << 18) - 256}, PS_MEMORY_USABLE, SIM_PLAIN},   \
    {                                                            \
        {(uint64_t)1 << 28}, {1000}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

POOL_CASE(a_dump_does_not_walk_through_what_is_alike, POOL_LARGE)
{
    ps_frame_t frame;

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_OBJECT, 0, &frame));
    EXPECT_EQ(frame.number, 4u << 18);
    expect_dump(test, &f->pool,
                "frame pool: 17302248 frames, 17039506 free, 17035345 available, 0 promised, 598 "
                "bookkeeping; "
                "whole: 33279 of 2 MiB, 64 of 1 GiB\n"
                "  0x000000100000-0x0000ffffffff free        3.9 GiB\n"
                "  0x000100000000-0x00013fffffff object      1 GiB\n"
                "  0x000140000000-0x00107fffffff free        61 GiB\n"
                "  0x010000000000-0x010000191fff free        1.5 MiB\n"
                "  0x010000192000-0x0100003e7fff metadata    2.3 MiB\n");
}

/* ---- busy pools ---- */

/* Everything that the pool can do, at random; whatever came before, it is valid. */
static uint64_t step(struct pool_fixture *f, struct test_random *random, struct ps_unit *live,
                     uint64_t count)
{
    unsigned what = (unsigned)test_random_below(random, 12);
    uint64_t pages = what < 6 ? 1 : 1 + test_random_below(random, what == 6 ? 1100 : 20);
    struct ps_frame_run run = {ps_pages(pages), 1, PS_FRAME_ANY, PS_FRAME_OBJECT, 0};
    struct ps_unit *unit = &live[count == 0 ? 0 : test_random_below(random, count)];
    ps_frame_t frame = ps_frame(unit->first);
    ps_status status = PS_NOT_FOUND;

    run.tag += test_random_below(random, 2);
    if (what < 5 && count < 1000)
        status = ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, run.tag, 0, &frame);
    else if (what < 8 && count < 1000)
        status = ps_frame_pool_alloc_run(&f->pool, &run, &frame);
    if (status == PS_OK)
        live[count] = (struct ps_unit){frame.number, pages, (uint8_t)run.tag, 1};
    if (status == PS_OK || count == 0)
        return count + (status == PS_OK);
    if (what == 8 && unit->loan < 9)
        unit->loan += ps_frame_pool_share(&f->pool, frame, ps_pages(unit->pages)) == PS_OK;
    if (what == 9 && ps_frame_pool_split(&f->pool, frame, ps_pages(unit->pages)) == PS_OK)
        for (run.pages = ps_pages(unit->pages); unit->pages > 1; unit->pages--)
            (void)ps_frame_pool_free(&f->pool, ps_frame(unit->first + unit->pages - 1),
                                     ps_pages(1));
    if (what < 10 || ps_frame_pool_free(&f->pool, frame, ps_pages(unit->pages)) != PS_OK)
        return count;
    if (--unit->loan == 0)
        *unit = live[--count];
    return count;
}

static void expect_sums(struct test *test, struct pool_fixture *f)
{
    struct ps_frame_pool_snapshot now;
    uint64_t tagged = 0;

    ps_frame_pool_snapshot(&f->pool, &now);
    for (unsigned tag = 0; tag < PS_FRAME_TAG_COUNT; tag++)
        tagged += now.by_tag[tag];
    EXPECT_EQ(tagged, now.managed);
    EXPECT_EQ(now.free_in[0] + now.free_in[1] + now.free_in[2], now.free);
    EXPECT_EQ(now.managed_in[0] + now.managed_in[1] + now.managed_in[2],
              now.managed - f->pool.books_frames);
    EXPECT_EQ(now.units_4k + 512 * now.units_2m + now.run_frames,
              now.managed - now.free - f->pool.books_frames);
}

POOL_CASE(a_busy_pool_is_valid, SIM_RAM(0, 100), RAM_ADDED_LATER(100, 156), SIM_RAM(256, 3000),
          RAM_ADDED_LATER(4096, 1600), SIM_RAM(0x100000, 700))
{
    const uint64_t seed = 20261121;
    struct test_random random = test_random(seed);
    static struct ps_unit live[1001];
    uint64_t count = 0;

    for (unsigned i = 0; i < 600 && test->failures == 0; i++) {
        count = step(f, &random, live, count);
        if (i == 100)
            EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(120), ps_pages(100)));
        if (i == 200)
            EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(4200), ps_pages(1400)));
        if (i % 100 == 99)
            EXPECT_OK(ps_frame_pool_quarantine(&f->pool, i % 200 == 99 ? 9 : 0));
        EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
        expect_sums(test, f);
    }
    if (test->failures != 0)
        test_note(test, "seed %" PS_PRIu, seed);
}

static const struct test_case cases[] = {
    TEST_CASE(frame_tags_have_names),
    TEST_CASE(a_snapshot_of_no_pool_is_zero),
    TEST_CASE(a_snapshot_counts_every_zone),
    TEST_CASE(a_snapshot_counts_every_kind_of_unit),
    TEST_CASE(a_snapshot_counts_a_unit_of_1_gib_once),
    TEST_CASE(a_query_knows_the_pools_own_and_who_waits),
    TEST_CASE(a_dump_of_no_pool_says_so),
    TEST_CASE(a_dump_has_a_line_a_stretch),
    TEST_CASE(a_dump_tells_what_is_used_last_and_who_waits),
    TEST_CASE(a_dump_ends_with_what_the_pool_has),
    TEST_CASE(a_dump_tells_what_is_used_last_from_its_neighbours),
    TEST_CASE(a_dump_tells_who_waits_among_frames_of_one_owner),
    TEST_CASE(a_dump_does_not_walk_through_what_is_alike),
    TEST_CASE(a_busy_pool_is_valid),
};

const struct test_suite suite_frame_pool_report = TEST_SUITE("frame_pool_report", cases);
