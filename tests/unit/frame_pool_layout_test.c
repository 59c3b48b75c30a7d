#include "frame_pool_fixture.h"

#include <string.h>

/* What a pool makes of a memory map: bookkeeping, holes, zones, memory that is added later. */

#define FOUR_GIB 0x100000u

#define RAM_OF_TYPE(first_frame, page_count, memory_type)        \
    {                                                            \
        {(first_frame)}, {(page_count)}, (memory_type), SIM_JUNK \
    }

static void expect_metadata(struct test *test, struct pool_fixture *f, uint64_t frames)
{
    EXPECT_EQ(f->fresh.metadata, frames);
    EXPECT_EQ(f->fresh.by_tag[PS_FRAME_METADATA], frames);
    EXPECT_EQ(f->fresh.free, f->fresh.managed - frames);
}

/* ---- init ---- */

static void init_refuses_bad_arguments(struct test *test)
{
    const struct sim_range range = POOL_SMALL;
    struct sim_machine *sim = sim_machine_create(&range, 1, 0);
    struct ps_frame_pool pool = {0};
    const struct ps_frame_pool zero = {0};
    uint64_t memory;

    REQUIRE(sim != NULL);
    memory = sim_machine_checksum(sim);
    EXPECT_STATUS(ps_frame_pool_init(NULL, &sim->machine, &sim->map), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_init(&pool, NULL, &sim->map), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_init(&pool, &sim->machine, NULL), PS_INVALID_ARGS);
    sim->map.ranges[1].pages.count++; /* overlaps its neighbour */
    EXPECT_STATUS(ps_frame_pool_init(&pool, &sim->machine, &sim->map), PS_INVALID_ARGS);
    sim->map.ranges[1].pages.count--;
    EXPECT(memcmp(&pool, &zero, sizeof(pool)) == 0);
    EXPECT_EQ(sim_machine_checksum(sim), memory);
    EXPECT_OK(ps_frame_pool_init(&pool, &sim->machine, &sim->map));
    memory = sim_machine_checksum(sim);
    EXPECT_STATUS(ps_frame_pool_init(&pool, &sim->machine, &sim->map), PS_BAD_STATE);
    EXPECT_EQ(sim_machine_checksum(sim), memory);
    EXPECT_EQ(pool.managed_frames, SMALL_FRAMES - 1);
    sim_machine_destroy(sim);
}

/* Init on a machine that cannot hold its books: nothing is written. */
static void expect_no_room(struct test *test, const struct sim_range *ranges, size_t count)
{
    struct sim_machine *sim = sim_machine_create(ranges, count, 0);
    struct ps_frame_pool pool = {0};
    const struct ps_frame_pool zero = {0};
    uint64_t memory;

    REQUIRE(sim != NULL);
    memory = sim_machine_checksum(sim);
    EXPECT_STATUS(ps_frame_pool_init(&pool, &sim->machine, &sim->map), PS_NO_MEMORY);
    EXPECT(memcmp(&pool, &zero, sizeof(pool)) == 0);
    EXPECT_EQ(sim_machine_checksum(sim), memory);
    sim_machine_destroy(sim);
}

static void init_without_room_for_the_books_is_no_memory(struct test *test)
{
    const struct sim_range two_usable[] = {SIM_RAM(0, 258)};
    const struct sim_range only_low[] = {SIM_RAM(0, 256)};
    const struct sim_range only_boot[] = {RAM_OF_TYPE(512, 64, PS_MEMORY_BOOT_SERVICES)};
    const struct sim_range only_mmio[] = {{{512}, {64}, PS_MEMORY_MMIO, SIM_NOTHING}};
    /* Enough frames in all, but no run of 32 for a directory over 128 GiB. */
    const struct sim_range no_run[] = {SIM_RAM(256, 31), SIM_RAM(300, 31),
                                       RAM_OF_TYPE(1022 * 32768, 1, PS_MEMORY_LOADER)};

    expect_no_room(test, two_usable, 1);
    expect_no_room(test, only_low, 1);
    expect_no_room(test, only_boot, 1);
    expect_no_room(test, only_mmio, 1);
    expect_no_room(test, no_run, 3);
}

POOL_CASE(books_may_take_every_usable_frame, SIM_RAM(0, 259))
{
    ps_frame_t frame;

    expect_metadata(test, f, 3);
    EXPECT_EQ(f->fresh.free, 255);
    EXPECT_STATUS(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame),
                  PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 255, 1, 0xff), 1);
}

POOL_CASE(init_touches_only_its_own_frames, SIM_RAM(0, 16384))
{
    /* 64 MiB: directory, bitmap, tags of four times 16 MiB, of which one is in use. */
    expect_metadata(test, f, 6);
    EXPECT_EQ(f->fresh.managed, 16383);
    for (uint64_t frame = 0; frame < 16378; frame++)
        if (*(uint64_t *)((char *)f->sim->base + frame * 8192) != SIM_JUNK_WORD)
            EXPECT_EQ(frame, UINT64_MAX);
    for (uint64_t frame = 16378; frame < 16384; frame++)
        pool_expect_unit(test, f, frame, frame, 1, PS_FRAME_METADATA);
    EXPECT(pool_is_free(f, 16377));
    EXPECT_EQ(f->fresh.free_2m, 30);
}

POOL_CASE(a_64_mib_machine_gives_all_it_has, SIM_RAM(0, 16384))
{
    uint64_t count = 0;
    ps_frame_t frame;

    while (ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &frame) == PS_OK)
        count++;
    EXPECT_EQ(count, 30);
    for (count = 0; ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame) == PS_OK;)
        count++;
    EXPECT_EQ(count, 256 + 512 - 6);
    EXPECT_EQ(f->pool.free_frames, 255);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

POOL_CASE(only_free_ram_is_managed, SIM_RAM(0, 512), RAM_OF_TYPE(512, 100, PS_MEMORY_BOOT_SERVICES),
          SIM_RAM(612, 100), {{712}, {40}, PS_MEMORY_MMIO, SIM_NOTHING},
          RAM_OF_TYPE(752, 10, PS_MEMORY_RUNTIME_DATA), SIM_RAM(800, 8))
{
    const uint64_t absent[] = {0, 512, 611, 712, 751, 752, 761, 762, 799, 808};
    const uint64_t present[] = {1, 255, 256, 511, 612, 711, 800, 807};

    EXPECT_EQ(f->fresh.managed, 511 + 100 + 8);
    for (size_t i = 0; i < PS_ARRAY_SIZE(absent); i++)
        EXPECT(!pool_is_managed(f, absent[i]));
    for (size_t i = 0; i < PS_ARRAY_SIZE(present); i++)
        EXPECT(pool_is_managed(f, present[i]));
    EXPECT_STATUS(ps_frame_pool_claim(&f->pool, ps_frame(510), ps_pages(3), PS_FRAME_USER),
                  PS_NOT_FOUND);
}

POOL_CASE(a_span_of_4_tib_with_holes_keeps_few_books, SIM_RAM(0, 1024),
          SIM_RAM((1u << 30) - 4096, 4096))
{
    /* 32768 blocks in 1024 frames; a bitmap and tags for each of the two islands of RAM. */
    expect_metadata(test, f, 1024 + 2 + 2);
    EXPECT_EQ(f->fresh.free_below_4gib, 768);
    EXPECT_EQ(f->fresh.free, 1023 + 4096 - 1028);
    EXPECT(pool_single(test, f) >= (1u << 30) - 4096);
    EXPECT_EQ(pool_run(test, f, 768, 1, UINT64_MAX), (1u << 30) - 4096);
    EXPECT_EQ(pool_run(test, f, 768, 1, FOUR_GIB - 1), 256);
    EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(1u << 29), ps_pages(1)), PS_OUT_OF_RANGE);
}

/* Scattered over many islands, the books avoid the directory and low memory. */
POOL_CASE(books_are_carved_over_several_ranges, SIM_RAM(0, 300), SIM_RAM(4096, 3), SIM_RAM(8192, 2),
          SIM_RAM(12288, 1), SIM_RAM(33 * 32768, 1))
{
    /* Blocks 0 and 33, five chunks with RAM, a directory of two frames. */
    expect_metadata(test, f, 2 + 2 + 5);
    pool_expect_unit(test, f, 8192, 8192, 1, PS_FRAME_METADATA);
    pool_expect_unit(test, f, 8193, 8193, 1, PS_FRAME_METADATA);
    pool_expect_unit(test, f, 33 * 32768, 33 * 32768, 1, PS_FRAME_METADATA);
    pool_expect_unit(test, f, 4096, 4096, 1, PS_FRAME_METADATA);
    pool_expect_unit(test, f, 299, 299, 1, PS_FRAME_METADATA);
    EXPECT(pool_is_free(f, 297));
    EXPECT_EQ(f->fresh.free_below_1mib, 255);
}

/* ---- zones ---- */

POOL_CASE(memory_above_4_gib_comes_first, SIM_RAM(0, 512), SIM_RAM(FOUR_GIB, 300))
{
    const uint64_t high = 300 - f->fresh.metadata;
    uint64_t first = 0;

    for (uint64_t i = 0; i < high; i++)
        EXPECT(pool_single(test, f) >= FOUR_GIB);
    for (uint64_t i = 0; i < 256; i++)
        EXPECT(pool_single(test, f) - 256 < 256);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 1, 1, 0xff), 1);
}

POOL_CASE(runs_come_from_above_4_gib_when_they_fit_there, SIM_RAM(0, 1024), SIM_RAM(FOUR_GIB, 100))
{
    uint64_t first = 0;

    EXPECT_EQ(pool_run(test, f, 10, 1, UINT64_MAX), FOUR_GIB);
    EXPECT_EQ(pool_run(test, f, 200, 1, UINT64_MAX), 256);
    EXPECT_EQ(pool_run(test, f, 10, 1, FOUR_GIB - 1), 456);
    EXPECT_REFUSED(pool_try_run(f, 600, 1, FOUR_GIB - 1, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 600, 1, UINT64_MAX, &first), PS_NO_SPACE);
}

POOL_CASE(a_run_may_lie_across_4_gib, SIM_RAM(FOUR_GIB - 100, 200))
{
    uint64_t first = 0;

    EXPECT_REFUSED(pool_try_run(f, 101, 1, FOUR_GIB - 1, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 150, 1, UINT64_MAX), FOUR_GIB - 100);
    pool_expect_unit(test, f, FOUR_GIB + 49, FOUR_GIB - 100, 150, PS_FRAME_USER);
    pool_free(test, f, FOUR_GIB - 100, 150);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_unit_may_cross_chunks_and_blocks, SIM_RAM(32768 - 5000, 10000))
{
    const uint64_t start = 32768 - 5000;
    uint64_t pages = f->fresh.free;

    EXPECT_EQ(pool_run(test, f, pages, 1, UINT64_MAX), start);
    EXPECT_EQ(f->pool.free_frames, 0);
    pool_expect_unit(test, f, 32768, start, pages, PS_FRAME_USER);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(start), ps_pages(5000)), PS_WRONG_SIZE);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(32768), ps_pages(pages - 5000)),
                   PS_NOT_FOUND);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(start), ps_pages(pages)));
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    for (uint64_t i = 0; i < pages; i++)
        pool_free(test, f, start + i, 1);
    pool_expect_fresh(test, f);
}

/* A block without RAM is as good as allocated to a run that reaches into it. */
POOL_CASE(a_run_ends_where_a_block_has_no_ram, SIM_RAM(32668, 100), SIM_RAM(3 * 32768, 20))
{
    uint64_t first = 0;

    EXPECT_REFUSED(pool_try_run(f, 101, 1, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(32700), ps_pages(100), PS_FRAME_USER),
                   PS_NOT_FOUND);
    EXPECT_EQ(pool_run(test, f, 100, 1, UINT64_MAX), 32668);
}

POOL_CASE(single_frames_are_found_again_in_earlier_blocks, SIM_RAM(256, 10), SIM_RAM(32768, 10),
          SIM_RAM(65536, 20))
{
    while (f->pool.free_frames > 0)
        (void)pool_single(test, f);
    pool_free(test, f, 258, 1);
    EXPECT_EQ(pool_single(test, f), 258);
    pool_free(test, f, 32770, 1);
    EXPECT_EQ(pool_single(test, f), 32770);
    pool_free(test, f, 256, 1);
    EXPECT_EQ(pool_single(test, f), 256);
    EXPECT_EQ(f->pool.free_frames, 0);
}

/* 4 GiB are 32 blocks, whose entries fill the frame of the directory to its end. */
POOL_CASE(the_frame_behind_the_last_block_is_foreign, SIM_RAM(FOUR_GIB - 600, 600))
{
    EXPECT_EQ(f->pool.directory.number, FOUR_GIB - 1);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(FOUR_GIB), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(FOUR_GIB), ps_pages(1), PS_FRAME_USER),
                   PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(FOUR_GIB), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT(!pool_is_managed(f, FOUR_GIB));
}

POOL_CASE(a_1g_frame_is_aligned, SIM_RAM(256, 512),
          {{0x30000}, {0x90001}, PS_MEMORY_USABLE, SIM_PLAIN})
{
    ps_frame_t frame;

    EXPECT_EQ(f->fresh.free_1g, 1);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_OBJECT, 0, &frame));
    EXPECT_EQ(frame.number, 0x40000);
    pool_expect_unit(test, f, 0x7ffff, 0x40000, 0x40000, PS_FRAME_OBJECT);
    EXPECT_STATUS(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_OBJECT, 0, &frame),
                  PS_NO_SPACE);
    pool_free(test, f, 0x40000, 0x40000);
    pool_expect_fresh(test, f);
}

/* ---- adding ---- */

#define BOOT(first, pages) RAM_OF_TYPE(first, pages, PS_MEMORY_BOOT_SERVICES)

POOL_CASE(bad_ranges_cannot_be_added, POOL_SMALL, BOOT(2100, 100),
          {{2300}, {10}, PS_MEMORY_RESERVED, SIM_NOTHING})
{
    struct ps_frame_pool *p = &f->pool;

    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2100), ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(0), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2100), ps_pages(101)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2200), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(UINT64_MAX), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2100), ps_pages(UINT64_MAX)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2047), ps_pages(100)), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(SMALL_LAST), ps_pages(1)), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(255), ps_pages(1)), PS_ALREADY_EXISTS);
}

/* No frame of the range is free; the one that is allocated lies in its second chunk. */
POOL_CASE(an_allocated_frame_behind_absent_ones_is_not_added, SIM_RAM(256, 10), BOOT(4000, 100),
          SIM_RAM(4100, 1))
{
    pool_expect_unit(test, f, 4100, 4100, 1, PS_FRAME_METADATA);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(4000), ps_pages(101)), PS_ALREADY_EXISTS);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(4000), ps_pages(100)));
}

POOL_CASE(added_memory_is_free_and_used_last, SIM_RAM(0, 300), BOOT(300, 40))
{
    /* Three frames for the books at first, one more to know which frames come last. */
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(300), ps_pages(40)));
    EXPECT_EQ(f->pool.managed_frames, 299 + 40);
    EXPECT_EQ(f->pool.metadata_frames, 4);
    EXPECT_EQ(f->pool.free_frames, 255 + 40 + 40);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(310), ps_pages(1)), PS_ALREADY_EXISTS);
    EXPECT_EQ(pool_run(test, f, 30, 2, UINT64_MAX), 258);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(pool_single(test, f) < 300);
    EXPECT_EQ(pool_run(test, f, 20, 1, UINT64_MAX), 300);
    for (uint64_t i = 0; i < 20; i++)
        EXPECT_EQ(pool_single(test, f), 320 + i);
    EXPECT_EQ(f->pool.free_frames, 255);
}

POOL_CASE(added_memory_above_4_gib_still_comes_last, SIM_RAM(256, 100), BOOT(FOUR_GIB, 10))
{
    /* A block without RAM so far: bitmap, bitmap of the last, tags. */
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(FOUR_GIB), ps_pages(10)));
    EXPECT_EQ(f->pool.metadata_frames, f->fresh.metadata + 3);
    while (f->pool.free_frames > 10)
        EXPECT(pool_single(test, f) < 356);
    for (uint64_t i = 0; i < 10; i++)
        EXPECT_EQ(pool_single(test, f), FOUR_GIB + i);
}

/* A whole block of it: a run reaches into it only when nothing else is left. */
POOL_CASE(a_run_spares_the_frames_that_come_last, SIM_RAM(256, 64), SIM_RAM(32668, 100),
          {{32768}, {32768}, PS_MEMORY_BOOT_SERVICES, SIM_PLAIN}, SIM_RAM(65536, 150))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(32768), ps_pages(32768)));
    EXPECT_EQ(pool_run(test, f, 101, 1, UINT64_MAX), 65536);
    EXPECT_EQ(pool_run(test, f, 101, 1, UINT64_MAX), 32668);
    EXPECT_EQ(pool_run(test, f, 32767, 1, UINT64_MAX), 32769);
    /* The books of the new block were taken from 256 on: two bitmaps and eight tags. */
    EXPECT_EQ(pool_run(test, f, 20, 1, UINT64_MAX), 266);
}

/* Over four chunks and two blocks: tags for all, one bitmap, two bitmaps of the last. */
POOL_CASE(a_range_that_needs_many_books_is_added_whole, SIM_RAM(256, 300), BOOT(28000, 9000))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(9000)));
    EXPECT_EQ(f->pool.metadata_frames, f->fresh.metadata + 3 + 4);
    EXPECT_EQ(f->pool.managed_frames, 300 + 9000);
    EXPECT_EQ(pool_run(test, f, 9000, 1, UINT64_MAX), 28000);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

POOL_CASE(adding_without_frames_for_the_books_changes_nothing, SIM_RAM(0, 263), BOOT(28000, 9000))
{
    uint64_t taken;

    /* Of 263 frames four are left above 1 MiB, seven are needed. */
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(9000)), PS_NO_MEMORY);
    /* A single frame there takes two: one for tags, one to know that it comes last. */
    taken = pool_run(test, f, 3, 1, UINT64_MAX);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(1)), PS_NO_MEMORY);
    pool_free(test, f, taken, 3);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(1)));
    EXPECT_EQ(f->pool.metadata_frames, f->fresh.metadata + 2);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(9000)), PS_ALREADY_EXISTS);
    /* The frames next to a managed one are absent still. */
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(28001), ps_pages(8)));
    EXPECT_EQ(f->pool.metadata_frames, f->fresh.metadata + 2);
}

POOL_CASE(boot_services_memory_below_1_mib_stays_low, RAM_OF_TYPE(1, 64, PS_MEMORY_BOOT_SERVICES),
          RAM_OF_TYPE(65, 20, PS_MEMORY_LOW), SIM_RAM(256, 100))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(1), ps_pages(64)));
    EXPECT_EQ(pool_run(test, f, 20, 1, 0xff), 65);
    EXPECT_EQ(pool_run(test, f, 64, 1, 0xff), 1);
    while (f->pool.free_frames > 0)
        EXPECT(pool_single(test, f) >= 256);
}

static const struct test_case cases[] = {
    TEST_CASE(init_refuses_bad_arguments),
    TEST_CASE(init_without_room_for_the_books_is_no_memory),
    TEST_CASE(books_may_take_every_usable_frame),
    TEST_CASE(init_touches_only_its_own_frames),
    TEST_CASE(a_64_mib_machine_gives_all_it_has),
    TEST_CASE(only_free_ram_is_managed),
    TEST_CASE(a_span_of_4_tib_with_holes_keeps_few_books),
    TEST_CASE(books_are_carved_over_several_ranges),
    TEST_CASE(memory_above_4_gib_comes_first),
    TEST_CASE(runs_come_from_above_4_gib_when_they_fit_there),
    TEST_CASE(a_run_may_lie_across_4_gib),
    TEST_CASE(a_unit_may_cross_chunks_and_blocks),
    TEST_CASE(a_run_ends_where_a_block_has_no_ram),
    TEST_CASE(single_frames_are_found_again_in_earlier_blocks),
    TEST_CASE(the_frame_behind_the_last_block_is_foreign),
    TEST_CASE(a_1g_frame_is_aligned),
    TEST_CASE(bad_ranges_cannot_be_added),
    TEST_CASE(an_allocated_frame_behind_absent_ones_is_not_added),
    TEST_CASE(added_memory_is_free_and_used_last),
    TEST_CASE(added_memory_above_4_gib_still_comes_last),
    TEST_CASE(a_run_spares_the_frames_that_come_last),
    TEST_CASE(a_range_that_needs_many_books_is_added_whole),
    TEST_CASE(adding_without_frames_for_the_books_changes_nothing),
    TEST_CASE(boot_services_memory_below_1_mib_stays_low),
};

const struct test_suite suite_frame_pool_layout = TEST_SUITE("frame_pool_layout", cases);
