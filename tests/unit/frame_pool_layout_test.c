#include "frame_pool_fixture.h"

#include <string.h>

/* What a pool makes of a memory map: bookkeeping, holes, zones, memory that is added later. */

#define FOUR_GIB 0x100000u
#define REGION   ((uint64_t)0x40000)

#define RAM_OF_TYPE(first_frame, page_count, memory_type)        \
    {                                                            \
        {(first_frame)}, {(page_count)}, (memory_type), SIM_JUNK \
    }

#define PLAIN_OF_TYPE(first_frame, page_count, memory_type)       \
    {                                                             \
        {(first_frame)}, {(page_count)}, (memory_type), SIM_PLAIN \
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
    sim->machine.processors = 2; /* and no function that tells which */
    EXPECT_STATUS(ps_frame_pool_init(&pool, &sim->machine, &sim->map), PS_INVALID_ARGS);
    sim->machine.processors = 1;
    EXPECT(memcmp(&pool, &zero, sizeof(pool)) == 0);
    EXPECT_EQ(sim_machine_checksum(sim), memory);
    EXPECT_OK(ps_frame_pool_init(&pool, &sim->machine, &sim->map));
    memory = sim_machine_checksum(sim);
    EXPECT_STATUS(ps_frame_pool_init(&pool, &sim->machine, &sim->map), PS_BAD_STATE);
    EXPECT_EQ(sim_machine_checksum(sim), memory);
    EXPECT_EQ(pool.totals.managed, SMALL_FRAMES - 1);
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
    /* Enough frames in all, but no run of 12 for the books of two regions. */
    const struct sim_range no_run[] = {SIM_RAM(256, 11), SIM_RAM(300, 11),
                                       RAM_OF_TYPE(5 * REGION, 1, PS_MEMORY_LOADER)};

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
    /* One low frame is for the tag bytes of the others. */
    EXPECT_STATUS(ps_frame_pool_claim(&f->pool, ps_frame(1), ps_pages(255), PS_FRAME_USER),
                  PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 254, 1, 0xff), 1);
    pool_expect_unit(test, f, 255, 255, 1, PS_FRAME_METADATA);
    pool_free(test, f, 1, 254);
    pool_expect_fresh(test, f);
    /* So it is when the books of the region have been written. */
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(1), ps_pages(255), PS_FRAME_USER),
                   PS_NO_MEMORY);
}

POOL_CASE(books_may_take_all_ranges_whole, SIM_RAM(256, 3),
          RAM_OF_TYPE(300, 40, PS_MEMORY_BOOT_SERVICES))
{
    uint64_t first = 77;
    ps_frame_t frame;

    expect_metadata(test, f, 3);
    EXPECT_EQ(f->fresh.free, 0);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame),
                   PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 1, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(255), ps_pages(1), PS_FRAME_USER),
                   PS_NOT_FOUND);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    /* What is added later is the first that can be had. */
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(300), ps_pages(40)));
    EXPECT_EQ(pool_now(f).free, 40);
    EXPECT_EQ(pool_now(f).available, 39);
    EXPECT_EQ(pool_single(test, f), 300);
}

POOL_CASE(a_64_mib_machine_gives_all_it_has, SIM_RAM(0, 16384))
{
    uint64_t count = 0;
    ps_frame_t frame;

    expect_metadata(test, f, 3);
    EXPECT_EQ(f->fresh.whole_2m, 30);
    while (ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &frame) == PS_OK)
        count++;
    EXPECT_EQ(count, 30);
    for (count = 0; ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame) == PS_OK;)
        count++;
    /* Two stretches of 16 MiB have single frames and parts that are none: tags in each. */
    EXPECT_EQ(count, 256 + 512 - 3 - 2);
    EXPECT_EQ(pool_now(f).free, 255);
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
    /* Small arrays; lines and bits of two regions, the last of which has RAM up to its end. */
    expect_metadata(test, f, 1 + 9 + 9);
    EXPECT_EQ(f->fresh.free_in[PS_FRAME_ZONE_4GIB], 768);
    EXPECT_EQ(f->fresh.free, 1023 + 4096 - 19);
    EXPECT(pool_single(test, f) >= (1u << 30) - 4096);
    EXPECT(pool_run(test, f, 768, 1, UINT64_MAX) >= (1u << 30) - 4096);
    EXPECT_EQ(pool_run(test, f, 700, 1, FOUR_GIB - 1), 256);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(1u << 29), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(1u << 29), ps_pages(1), PS_FRAME_USER),
                   PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(1u << 29), ps_pages(1)), PS_OUT_OF_RANGE);
}

/* They are one run, from the top of the highest range that can hold it. */
POOL_CASE(the_books_lie_at_the_top_of_the_highest_range_that_holds_them, SIM_RAM(0, 300),
          SIM_RAM(400, 40), SIM_RAM(500, 11), RAM_OF_TYPE(600, 40, PS_MEMORY_BOOT_SERVICES),
          SIM_RAM(33 * REGION, 1))
{
    expect_metadata(test, f, 12);
    EXPECT_EQ(f->pool.books, 428);
    for (uint64_t frame = 428; frame < 440; frame++)
        pool_expect_unit(test, f, frame, 428, 12, PS_FRAME_METADATA);
    EXPECT(pool_is_free(f, 427));
    EXPECT(pool_is_free(f, 510));
    EXPECT(pool_is_free(f, 33 * REGION));
    EXPECT_EQ(f->fresh.free_in[PS_FRAME_ZONE_LOW], 255);
}

/* ---- zones ---- */

POOL_CASE(runs_come_from_above_4_gib_when_they_fit_there, SIM_RAM(0, 1024), SIM_RAM(FOUR_GIB, 150))
{
    uint64_t first = 0;

    EXPECT_EQ(pool_run(test, f, 10, 1, UINT64_MAX) / FOUR_GIB, 1);
    EXPECT_EQ(pool_run(test, f, 200, 1, UINT64_MAX), 256);
    EXPECT_EQ(pool_run(test, f, 10, 1, FOUR_GIB - 1) / FOUR_GIB, 0);
    EXPECT_REFUSED(pool_try_run(f, 600, 1, FOUR_GIB - 1, &first), PS_NO_MEMORY);
    EXPECT_REFUSED(pool_try_run(f, 600, 1, UINT64_MAX, &first), PS_NO_SPACE);
}

POOL_CASE(a_2_mib_run_keeps_below_its_limit, PLAIN_OF_TYPE(512, 1024, PS_MEMORY_USABLE),
          PLAIN_OF_TYPE(FOUR_GIB, 1536, PS_MEMORY_USABLE))
{
    uint64_t first = 77;

    EXPECT_EQ(pool_run(test, f, 512, 512, UINT64_MAX), FOUR_GIB);
    EXPECT_EQ(pool_run(test, f, 512, 512, FOUR_GIB - 1), 512);
    EXPECT_REFUSED(pool_try_run(f, 512, 512, 1534, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_run(test, f, 512, 512, 1535), 1024);
    EXPECT_REFUSED(pool_try_run(f, 512, 512, FOUR_GIB - 1, &first), PS_NO_MEMORY);
    EXPECT_EQ(pool_now(f).units_2m, 3);
}

POOL_CASE(a_2_mib_frame_comes_from_the_first_range_that_holds_one,
          PLAIN_OF_TYPE(REGION + 5, 100, PS_MEMORY_USABLE),
          PLAIN_OF_TYPE(REGION + 1500, 2000, PS_MEMORY_USABLE))
{
    ps_frame_t frame = {0};

    EXPECT_EQ(f->fresh.whole_2m, 3);
    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &frame));
    EXPECT_EQ(frame.number, REGION + 1536);
    EXPECT_EQ(pool_now(f).whole_2m, 2);
}

POOL_CASE(a_run_may_lie_across_4_gib, SIM_RAM(FOUR_GIB - 100, 200))
{
    uint64_t first = 0;

    EXPECT_REFUSED(pool_try_run(f, 101, 1, FOUR_GIB - 1, &first), PS_NO_MEMORY);
    first = pool_run(test, f, 150, 1, UINT64_MAX);
    EXPECT(first < FOUR_GIB && first + 150 > FOUR_GIB);
    pool_expect_unit(test, f, FOUR_GIB + 49 - 10, first, 150, PS_FRAME_USER);
    pool_free(test, f, first, 150);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_unit_may_cross_stretches_and_regions, SIM_RAM(REGION - 5000, 10000))
{
    const uint64_t start = REGION - 5000;
    /* Of four stretches two are covered; at both ends one frame is for tags. */
    uint64_t pages = f->fresh.free - 2;
    uint64_t first = pool_run(test, f, pages, 1, UINT64_MAX);

    EXPECT_EQ(first, start + 1);
    EXPECT_EQ(pool_now(f).free, 0);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata + 2);
    pool_expect_unit(test, f, REGION, first, pages, PS_FRAME_USER);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(5000)), PS_WRONG_SIZE);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(REGION), ps_pages(pages - 5000)),
                   PS_NOT_FOUND);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    EXPECT_OK(ps_frame_pool_split(&f->pool, ps_frame(first), ps_pages(pages)));
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    for (uint64_t i = 0; i < pages; i++)
        pool_free(test, f, first + i, 1);
    pool_expect_fresh(test, f);
}

/* As many frames as a unit of 1 GiB, and none: it is not aligned. */
POOL_CASE(a_run_of_1_gib_may_begin_anywhere, PLAIN_OF_TYPE(REGION, 3 * REGION, PS_MEMORY_USABLE))
{
    EXPECT_EQ(f->fresh.whole_1g, 2);
    EXPECT_OK(
        ps_frame_pool_claim(&f->pool, ps_frame(REGION + 512), ps_pages(REGION), PS_FRAME_USER));
    pool_expect_unit(test, f, 2 * REGION, REGION + 512, REGION, PS_FRAME_USER);
    EXPECT_EQ(pool_now(f).units_1g, 0);
    EXPECT_EQ(pool_now(f).run_frames, REGION);
    EXPECT_EQ(pool_now(f).whole_1g, 0);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    pool_free(test, f, REGION + 512, REGION);
    pool_expect_fresh(test, f);
}

POOL_CASE(a_frame_that_is_alone_in_its_16_mib_cannot_be_claimed, SIM_RAM(256, 20), SIM_RAM(8192, 1))
{
    EXPECT_EQ(f->fresh.free, 17 + 1);
    EXPECT_EQ(f->fresh.available, 16);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(8192), ps_pages(1), PS_FRAME_USER),
                   PS_NO_MEMORY);
}

/* A region without RAM is as good as allocated to a run that reaches into it. */
POOL_CASE(a_run_ends_where_a_region_has_no_ram, SIM_RAM(REGION - 100, 100), SIM_RAM(3 * REGION, 40))
{
    uint64_t first = 0;

    EXPECT_REFUSED(pool_try_run(f, 100, 1, UINT64_MAX, &first), PS_NO_SPACE);
    EXPECT_REFUSED(
        ps_frame_pool_claim(&f->pool, ps_frame(REGION - 50), ps_pages(100), PS_FRAME_USER),
        PS_NOT_FOUND);
    first = pool_run(test, f, 79, 1, UINT64_MAX);
    EXPECT(first == REGION - 100 || first == REGION - 99);
}

/* Nothing of the last region's books reaches past the RAM in it. */
POOL_CASE(the_frame_behind_the_last_range_is_foreign, SIM_RAM(FOUR_GIB - 600, 600))
{
    EXPECT_EQ(f->pool.books + f->pool.books_frames, FOUR_GIB);
    EXPECT_REFUSED(ps_frame_pool_free(&f->pool, ps_frame(FOUR_GIB), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_claim(&f->pool, ps_frame(FOUR_GIB), ps_pages(1), PS_FRAME_USER),
                   PS_NOT_FOUND);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(FOUR_GIB), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT(!pool_is_managed(f, FOUR_GIB));
}

/* ---- adding ---- */

#define BOOT(first, pages) RAM_OF_TYPE(first, pages, PS_MEMORY_BOOT_SERVICES)

/* Frames that the map has but that are no RAM can be added: only where, and not what, is checked.
 */
POOL_CASE(bad_ranges_cannot_be_added, POOL_SMALL, BOOT(2100, 100), BOOT(5 * REGION, 4))
{
    struct ps_frame_pool *p = &f->pool;

    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2100), ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(0), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(0), ps_pages(5000)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(REGION), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(REGION - 1), ps_pages(2)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(6 * REGION), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(REGION - 1), ps_pages(4 * REGION + 4)),
                   PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(UINT64_MAX), ps_pages(1)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2100), ps_pages(UINT64_MAX)), PS_OUT_OF_RANGE);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2047), ps_pages(100)), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(SMALL_LAST), ps_pages(1)), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(2048 - 20), ps_pages(1)), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_frame_pool_add(p, ps_frame(255), ps_pages(1)), PS_ALREADY_EXISTS);
}

/* No frame of the range is free; the one that is allocated lies in its second chunk. */
POOL_CASE(an_allocated_frame_behind_absent_ones_is_not_added, SIM_RAM(256, 20), BOOT(4000, 100),
          SIM_RAM(4100, 8))
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(4100), ps_pages(2), PS_FRAME_USER));
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(4000), ps_pages(101)), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(4000), ps_pages(104)), PS_ALREADY_EXISTS);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(4000), ps_pages(100)));
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(4000), ps_pages(100)), PS_ALREADY_EXISTS);
}

/* Adding takes no frame, and so needs none. */
POOL_CASE(added_memory_is_free_and_takes_no_frame, SIM_RAM(0, 300), BOOT(300, 40),
          BOOT(28000, 9000))
{
    ps_frame_pool_fail_after(&f->pool, 0, true);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(300), ps_pages(40)));
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(9000)));
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_EQ(pool_now(f).managed, 299 + 40 + 9000);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata);
    EXPECT_EQ(pool_now(f).free, f->fresh.free + 40 + 9000);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(310), ps_pages(1)), PS_ALREADY_EXISTS);
    EXPECT(pool_run(test, f, 8990, 1, UINT64_MAX) >= 28000);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

POOL_CASE(one_frame_more_may_be_added_next_to_others, SIM_RAM(256, 20), BOOT(28000, 20))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(28003), ps_pages(1)));
    EXPECT_EQ(pool_now(f).free_late, 1);
    EXPECT_REFUSED(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(20)), PS_ALREADY_EXISTS);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(28004), ps_pages(16)));
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(28000), ps_pages(3)));
    EXPECT_EQ(pool_now(f).free_late, 20);
    EXPECT(pool_run(test, f, 19, 1, UINT64_MAX) >= 28000);
    EXPECT(!pool_is_managed(f, 27999) && !pool_is_managed(f, 28020));
}

/* A whole region of it: a run reaches into it only when nothing else is left. */
POOL_CASE(a_run_spares_the_frames_that_come_last, SIM_RAM(256, 64), SIM_RAM(REGION - 200, 200),
          PLAIN_OF_TYPE(REGION, REGION, PS_MEMORY_BOOT_SERVICES), SIM_RAM(2 * REGION, 250))
{
    uint64_t late;

    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(REGION), ps_pages(REGION)));
    EXPECT_EQ(pool_now(f).whole_2m, 512);
    EXPECT_EQ(pool_now(f).whole_1g, 0);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t first = pool_run(test, f, 101, 1, UINT64_MAX);

        EXPECT(first + 101 <= REGION || first >= 2 * REGION);
    }
    late = pool_run(test, f, REGION - 1, 1, UINT64_MAX);
    EXPECT(late >= REGION - 100 && late <= REGION + 100);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

/* It is no 1 GiB frame that anybody gets who does not name it. */
POOL_CASE(a_late_gib_can_be_claimed, SIM_RAM(256, 64),
          PLAIN_OF_TYPE(REGION, REGION, PS_MEMORY_BOOT_SERVICES), SIM_RAM(2 * REGION, 250))
{
    ps_frame_t frame;

    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(REGION), ps_pages(REGION)));
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    EXPECT_EQ(pool_now(f).whole_2m, 512);
    EXPECT_EQ(pool_now(f).whole_1g, 0);
    EXPECT_REFUSED(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_USER, 0, &frame),
                   PS_NO_SPACE);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(REGION), ps_pages(REGION), PS_FRAME_USER));
    pool_expect_unit(test, f, 2 * REGION - 1, REGION, REGION, PS_FRAME_USER);
    EXPECT_EQ(pool_now(f).units_1g, 1);
    EXPECT_EQ(pool_now(f).free_late, 0);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    pool_free(test, f, REGION, REGION);
    EXPECT_EQ(pool_now(f).units_1g, 0);
    EXPECT_EQ(pool_now(f).free_late, REGION);
    EXPECT_EQ(pool_now(f).whole_1g, 0);
}

POOL_CASE(boot_services_memory_below_1_mib_stays_low, RAM_OF_TYPE(1, 64, PS_MEMORY_BOOT_SERVICES),
          RAM_OF_TYPE(65, 20, PS_MEMORY_LOW), SIM_RAM(256, 100))
{
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(1), ps_pages(64)));
    EXPECT_EQ(pool_now(f).free_in[PS_FRAME_ZONE_LOW], 84);
    EXPECT_EQ(pool_run(test, f, 84, 1, 0xff), 1);
    EXPECT_EQ(pool_now(f).free_in[PS_FRAME_ZONE_LOW], 0);
    while (pool_now(f).available > 0)
        EXPECT(pool_single(test, f) >= 256);
}

static const struct test_case cases[] = {
    TEST_CASE(init_refuses_bad_arguments),
    TEST_CASE(init_without_room_for_the_books_is_no_memory),
    TEST_CASE(books_may_take_every_usable_frame),
    TEST_CASE(books_may_take_all_ranges_whole),
    TEST_CASE(a_64_mib_machine_gives_all_it_has),
    TEST_CASE(only_free_ram_is_managed),
    TEST_CASE(a_span_of_4_tib_with_holes_keeps_few_books),
    TEST_CASE(the_books_lie_at_the_top_of_the_highest_range_that_holds_them),
    TEST_CASE(runs_come_from_above_4_gib_when_they_fit_there),
    TEST_CASE(a_2_mib_run_keeps_below_its_limit),
    TEST_CASE(a_2_mib_frame_comes_from_the_first_range_that_holds_one),
    TEST_CASE(a_run_may_lie_across_4_gib),
    TEST_CASE(a_unit_may_cross_stretches_and_regions),
    TEST_CASE(a_run_of_1_gib_may_begin_anywhere),
    TEST_CASE(a_frame_that_is_alone_in_its_16_mib_cannot_be_claimed),
    TEST_CASE(a_run_ends_where_a_region_has_no_ram),
    TEST_CASE(the_frame_behind_the_last_range_is_foreign),
    TEST_CASE(bad_ranges_cannot_be_added),
    TEST_CASE(an_allocated_frame_behind_absent_ones_is_not_added),
    TEST_CASE(added_memory_is_free_and_takes_no_frame),
    TEST_CASE(one_frame_more_may_be_added_next_to_others),
    TEST_CASE(a_run_spares_the_frames_that_come_last),
    TEST_CASE(a_late_gib_can_be_claimed),
    TEST_CASE(boot_services_memory_below_1_mib_stays_low),
};

const struct test_suite suite_frame_pool_layout = TEST_SUITE("frame_pool_layout", cases);
