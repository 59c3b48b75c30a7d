#include "frame_pool_fixture.h"

#include <string.h>

#include "frame_pool_private.h"

/* What the frame pool says about itself: snapshot, dump, and a validation that finds damage. */

static void frame_tags_have_names(struct test *test)
{
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_FREE), "free");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_METADATA), "metadata");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_TABLE), "table");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_STACK), "stack");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_VIRTUAL), "virtual");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_HEAP), "heap");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_OBJECT), "object");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_LENT), "lent");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_USER), "user");
    EXPECT_TEXT(ps_frame_tag_name(PS_FRAME_TAG_COUNT), "?");
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

POOL_CASE(a_snapshot_counts_every_frame, POOL_SMALL, SIM_RAM(0x100000, 1536))
{
    struct ps_frame_pool_snapshot now;
    ps_frame_t frame;
    ps_frame_t frames[7];

    EXPECT_EQ(f->fresh.managed, 2047 + 1536);
    EXPECT_EQ(f->fresh.metadata, 2 + 2 + 2);
    EXPECT_EQ(f->fresh.free_below_1mib, 255);
    EXPECT_EQ(f->fresh.free_below_4gib, 1792);
    EXPECT_EQ(f->fresh.free_2m, 3 + 2);
    EXPECT_EQ(f->fresh.free_1g, 0);
    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_OBJECT, 0, &frame));
    EXPECT_OK(ps_frame_pool_alloc_scattered(&f->pool, 7, PS_FRAME_TABLE, 0, frames));
    EXPECT_EQ(pool_run(test, f, 9, 1, 0xff), 1);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(600), ps_pages(2), PS_FRAME_STACK));
    ps_frame_pool_snapshot(&f->pool, &now);
    EXPECT_EQ(now.managed, f->fresh.managed);
    EXPECT_EQ(now.metadata, 6);
    EXPECT_EQ(now.by_tag[PS_FRAME_FREE], now.free);
    EXPECT_EQ(now.by_tag[PS_FRAME_METADATA], 6);
    EXPECT_EQ(now.by_tag[PS_FRAME_OBJECT], 512);
    EXPECT_EQ(now.by_tag[PS_FRAME_TABLE], 7);
    EXPECT_EQ(now.by_tag[PS_FRAME_USER], 9);
    EXPECT_EQ(now.by_tag[PS_FRAME_STACK], 2);
    EXPECT_EQ(now.free, now.managed - 6 - 512 - 7 - 9 - 2);
    EXPECT_EQ(now.free_below_1mib, 246);
    EXPECT_EQ(now.free_below_4gib, 1790);
    EXPECT_EQ(now.free_2m, 2 + 1);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 512 + 7 + 9 + 2);
}

/* ---- dump ---- */

static void expect_dump(struct test *test, struct ps_frame_pool *pool, const char *expected)
{
    char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    ps_frame_pool_dump(pool, &sink);
    EXPECT_TEXT(text, expected);
}

POOL_CASE(a_dump_has_a_line_a_stretch, POOL_SMALL,
          {{2048}, {2048}, PS_MEMORY_RESERVED, SIM_NOTHING}, SIM_RAM(4096, 8), SIM_RAM(98304, 1),
          {{98400}, {1}, PS_MEMORY_LOADER, SIM_JUNK})
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(512), ps_pages(512), PS_FRAME_TABLE));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1024), ps_pages(2), PS_FRAME_TABLE));
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(1026), ps_pages(3), PS_FRAME_LENT));
    expect_dump(test, &f->pool,
                "frame pool: 2056 frames, 1533 free, 6 bookkeeping\n"
                "  0x000000001000-0x0000001fffff free     1.9 MiB\n"
                "  0x000000200000-0x000000401fff table    2 MiB\n"
                "  0x000000402000-0x000000404fff lent     12 KiB\n"
                "  0x000000405000-0x0000007fffff free     3.9 MiB\n"
                "  0x000001000000-0x000001002fff free     12 KiB\n"
                "  0x000001003000-0x000001007fff metadata 20 KiB\n"
                "  0x000018000000-0x000018000fff metadata 4 KiB\n");
}

POOL_CASE(a_dumped_stretch_ends_at_a_hole, SIM_RAM(256, 3840), SIM_RAM(4200, 10), SIM_RAM(8192, 6))
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(4000), ps_pages(96), PS_FRAME_STACK));
    expect_dump(test, &f->pool,
                "frame pool: 3856 frames, 3755 free, 5 bookkeeping\n"
                "  0x000000100000-0x000000f9ffff free     14.6 MiB\n"
                "  0x000000fa0000-0x000000ffffff stack    384 KiB\n"
                "  0x000001068000-0x000001071fff free     40 KiB\n"
                "  0x000002000000-0x000002000fff free     4 KiB\n"
                "  0x000002001000-0x000002005fff metadata 20 KiB\n");
}

POOL_CASE(a_dump_shows_added_memory_as_free, SIM_RAM(256, 20),
          {{276}, {10}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(276), ps_pages(10)));
    expect_dump(test, &f->pool,
                "frame pool: 30 frames, 26 free, 4 bookkeeping\n"
                "  0x000000100000-0x000000100fff metadata 4 KiB\n"
                "  0x000000101000-0x000000110fff free     64 KiB\n"
                "  0x000000111000-0x000000113fff metadata 12 KiB\n"
                "  0x000000114000-0x00000011dfff free     40 KiB\n");
}

static void a_dump_of_no_pool_says_so(struct test *test)
{
    struct ps_frame_pool pool = {0};

    expect_dump(test, &pool, "frame pool: not initialised\n");
    expect_dump(test, NULL, "frame pool: not initialised\n");
}

/* ---- validation ---- */

/* The books of the small machine: which frame holds what, and a copy of all of it. */
struct books {
    struct ps_frame_block *blocks;
    uint64_t *bitmap;
    uint8_t *tags;
    struct ps_frame_pool pool;
    uint8_t copies[SMALL_METADATA][4096];
};

static void open_books(struct pool_fixture *f, struct books *books)
{
    books->blocks = ps_pool_block(&f->pool, 0);
    books->bitmap = ps_pool_bitmap(&f->pool, books->blocks->bitmap);
    books->tags = ps_pool_tags(&f->pool, books->blocks, 0);
    memcpy(&books->pool, &f->pool, sizeof(f->pool));
    for (unsigned i = 0; i < SMALL_METADATA; i++)
        memcpy(books->copies[i], ps_hw_frame(f->pool.machine, ps_frame(SMALL_LAST + 1 + i)), 4096);
}

/* The damage is found and named; then it is repaired. */
static void expect_corrupt(struct test *test, struct pool_fixture *f, struct books *books,
                           const char *line)
{
    char text[160];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, &sink), PS_CORRUPT);
    EXPECT_TEXT(text, line);
    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, NULL), PS_CORRUPT);
    memcpy(&f->pool, &books->pool, sizeof(f->pool));
    for (unsigned i = 0; i < SMALL_METADATA; i++)
        memcpy(ps_hw_frame(f->pool.machine, ps_frame(SMALL_LAST + 1 + i)), books->copies[i], 4096);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, &sink));
}

POOL_CASE(damage_to_the_state_of_a_frame_is_found, POOL_SMALL)
{
    struct books b;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(512), ps_pages(4), PS_FRAME_USER));
    open_books(f, &b);
    b.tags[700] = PS_FRAME_USER | PS_TAG_FIRST;
    expect_corrupt(test, f, &b, "frame pool: frame 0x2bc is free and allocated\n");
    b.bitmap[0] |= 1;
    expect_corrupt(test, f, &b, "frame pool: frame 0x0 is page 0 and in the pool\n");
    b.tags[0] = PS_FRAME_USER | PS_TAG_FIRST;
    expect_corrupt(test, f, &b, "frame pool: frame 0x0 is page 0 and in the pool\n");
    b.bitmap[11] &= ~(uint64_t)1;
    expect_corrupt(test, f, &b, "frame pool: free frames of a block: 2039 counted, 2040 kept\n");
    b.bitmap[11] &= ~(uint64_t)1;
    b.blocks[0].free--;
    expect_corrupt(test, f, &b, "frame pool: frames of a block: 2046 counted, 2047 kept\n");
    b.tags[513] = 0;
    expect_corrupt(test, f, &b,
                   "frame pool: frame 0x202 continues a unit that does not reach it\n");
}

POOL_CASE(damage_to_a_tag_is_found, POOL_SMALL)
{
    struct books b;

    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(512), ps_pages(4), PS_FRAME_USER));
    open_books(f, &b);
    b.tags[512] = PS_FRAME_TAG_COUNT | PS_TAG_FIRST;
    expect_corrupt(test, f, &b, "frame pool: frame 0x200 has an unknown tag\n");
    b.tags[512] = PS_FRAME_USER | 0x40;
    expect_corrupt(test, f, &b, "frame pool: frame 0x200 has an unknown tag\n");
    b.tags[512] = PS_TAG_FIRST;
    expect_corrupt(test, f, &b, "frame pool: frame 0x200 has an unknown tag\n");
    b.tags[512] = PS_FRAME_USER;
    expect_corrupt(test, f, &b,
                   "frame pool: frame 0x200 continues a unit that does not reach it\n");
    b.tags[513] = PS_FRAME_HEAP;
    expect_corrupt(test, f, &b,
                   "frame pool: frame 0x201 continues a unit that does not reach it\n");
    b.tags[515] = PS_FRAME_LENT | PS_TAG_FIRST;
    expect_corrupt(test, f, &b, "frame pool: lent: 1 counted, 0 kept\n");
    b.tags[SMALL_LAST + 2] &= (uint8_t)~PS_TAG_FIRST;
    expect_corrupt(test, f, &b, "frame pool: frame 0x7fe is bookkeeping and not tagged so\n");
}

POOL_CASE(damage_to_the_directory_is_found, POOL_SMALL)
{
    struct books b;

    open_books(f, &b);
    b.blocks[0].bitmap = 700;
    expect_corrupt(test, f, &b, "frame pool: frame 0x2bc is bookkeeping and not tagged so\n");
    b.blocks[0].tags[0] = (uint64_t)1 << 45;
    expect_corrupt(test, f, &b,
                   "frame pool: frame 0x200000000000 is bookkeeping past the end of RAM\n");
    b.blocks[0].tags_made |= 2;
    expect_corrupt(test, f, &b, "frame pool: frame 0x1000 has tags that do not exist\n");
    b.blocks[0].bitmap = 0;
    expect_corrupt(test, f, &b, "frame pool: frame 0x7fd keeps the books of a block without RAM\n");
    b.blocks[0].late = b.blocks[0].bitmap;
    expect_corrupt(test, f, &b, "frame pool: frames of bookkeeping: 4 counted, 3 kept\n");
    b.blocks[0].free--;
    expect_corrupt(test, f, &b, "frame pool: free frames of a block: 2044 counted, 2043 kept\n");
    b.bitmap[4096 / 64] |= 1;
    expect_corrupt(test, f, &b,
                   "frame pool: frame 0x1000 begins 16 MiB with RAM and without tags\n");
    b.tags[SMALL_FRAMES] = PS_FRAME_METADATA;
    expect_corrupt(test, f, &b,
                   "frame pool: frame 0x800 is bookkeeping, but not a unit of its own\n");
}

POOL_CASE(damage_to_the_totals_is_found, POOL_SMALL)
{
    struct books b;

    open_books(f, &b);
    f->pool.tagged[PS_FRAME_FREE]++;
    expect_corrupt(test, f, &b, "frame pool: free: 0 counted, 1 kept\n");
    f->pool.free_frames++;
    expect_corrupt(test, f, &b, "frame pool: free frames: 2044 counted, 2045 kept\n");
    f->pool.managed_frames++;
    expect_corrupt(test, f, &b, "frame pool: frames: 2047 counted, 2048 kept\n");
    f->pool.metadata_frames++;
    expect_corrupt(test, f, &b, "frame pool: frames of bookkeeping: 3 counted, 4 kept\n");
    /* A frame that is tagged as bookkeeping and that no book refers to. */
    b.tags[300] = PS_FRAME_METADATA | PS_TAG_FIRST;
    b.bitmap[300 / 64] &= ~((uint64_t)1 << 300 % 64);
    b.blocks[0].free--;
    f->pool.free_frames--;
    f->pool.tagged[PS_FRAME_METADATA]++;
    expect_corrupt(test, f, &b, "frame pool: frames tagged as bookkeeping: 4 counted, 3 kept\n");
}

POOL_CASE(damage_to_what_comes_last_is_found, POOL_SMALL,
          {{2100}, {10}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK})
{
    uint64_t *late;
    char text[160];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    REQUIRE_OK(ps_frame_pool_add(&f->pool, ps_frame(2100), ps_pages(10)));
    late = ps_pool_bitmap(&f->pool, ps_pool_block(&f->pool, 0)->late);
    late[2110 / 64] |= (uint64_t)1 << 2110 % 64;
    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, &sink), PS_CORRUPT);
    EXPECT_TEXT(text, "frame pool: frame 0x83e is absent and to be used last\n");
    late[2110 / 64] &= ~((uint64_t)1 << 2110 % 64);
}

static const struct test_case cases[] = {
    TEST_CASE(a_dump_shows_added_memory_as_free),
    TEST_CASE(frame_tags_have_names),
    TEST_CASE(a_snapshot_of_no_pool_is_zero),
    TEST_CASE(a_snapshot_counts_every_frame),
    TEST_CASE(a_dump_has_a_line_a_stretch),
    TEST_CASE(a_dumped_stretch_ends_at_a_hole),
    TEST_CASE(a_dump_of_no_pool_says_so),
    TEST_CASE(damage_to_the_state_of_a_frame_is_found),
    TEST_CASE(damage_to_a_tag_is_found),
    TEST_CASE(damage_to_the_directory_is_found),
    TEST_CASE(damage_to_the_totals_is_found),
    TEST_CASE(damage_to_what_comes_last_is_found),
};

const struct test_suite suite_frame_pool_check = TEST_SUITE("frame_pool_check", cases);
