#define _GNU_SOURCE
#include "frame_pool_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hw.h"
#include "unit_suites.h"

/* What the bookkeeping costs, when it is written, and that nothing else is. */

enum { CHUNK = 512, TRACT = 4096, REGION = 0x40000 };

#define PLAIN(first_frame, page_count)                               \
    {                                                                \
        {(first_frame)}, {(page_count)}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

/* ---- what init writes ---- */

static void init_writes_to_its_first_frames_only(struct test *test)
{
    const struct sim_range ranges[] = {SIM_RAM(0, 300), PLAIN(4096, 3 * REGION)};
    struct sim_machine *sim = sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), 0);
    struct ps_frame_pool pool = {0};
    struct sim_snapshot *before;

    REQUIRE(sim != NULL);
    before = sim_machine_snapshot(sim);
    EXPECT_OK(ps_frame_pool_init(&pool, &sim->machine, &sim->map));
    /* Four regions, and one frame of small arrays, which is all that was written to. */
    EXPECT_EQ(pool.books_frames, 1 + 3 * 9 + 1 + 1);
    EXPECT_EQ(pool.books + pool.books_frames, 4096 + 3 * REGION);
    EXPECT_EQ(sim_machine_changed(sim, before), pool.books);
    memset(ps_hw_frame(&sim->machine, ps_frame(pool.books)), 0, PS_PAGE_SIZE);
    EXPECT_EQ(sim_machine_changed(sim, before), SIM_FRAME_NONE);
    sim_snapshot_destroy(before);
    sim_machine_destroy(sim);
}

/* Frames of RAM that this process has written to: every simulated frame is a page of its own. */
static uint64_t resident_pages(void)
{
    char text[256] = "";
    unsigned long size = 0;
    unsigned long resident = 0;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return 0;
    if (read(file, text, sizeof(text) - 1) > 0 && sscanf(text, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    close(file);
    return resident;
}

enum { MANY_RANGES = 64 };

/* `ranges` of `pages` each, with a hole of one frame between two. */
static struct sim_machine *many_ranges(uint64_t pages)
{
    static struct sim_range ranges[MANY_RANGES];

    for (uint64_t i = 0; i < MANY_RANGES; i++)
        ranges[i] = (struct sim_range)PLAIN(256 + i * (pages + 1), pages);
    return sim_machine_create(ranges, MANY_RANGES, 0);
}

/* Pages that init on such a machine touched; noise of the host makes it a few more. */
static uint64_t cost_of_init(struct test *test, uint64_t pages, struct ps_frame_pool *pool)
{
    struct sim_machine *sim = many_ranges(pages);
    struct ps_frame_pool_snapshot now;
    uint64_t before;
    uint64_t after;

    *pool = (struct ps_frame_pool){0};
    if (!EXPECT(sim != NULL))
        return 0;
    before = resident_pages();
    EXPECT_OK(ps_frame_pool_init(pool, &sim->machine, &sim->map));
    after = resident_pages();
    ps_frame_pool_snapshot(pool, &now);
    EXPECT_EQ(now.managed, MANY_RANGES * pages);
    sim_machine_destroy(sim);
    return after - ps_min(after, before);
}

static void init_costs_the_same_with_a_thousand_times_the_memory(struct test *test)
{
    enum { SMALL = 64 * REGION / MANY_RANGES / 16, BIG = SMALL * 1024, NOISE = 24 };
    struct ps_frame_pool pool;
    uint64_t small;
    uint64_t big;

    (void)cost_of_init(test, SMALL, &pool); /* loads the code, too */
    small = cost_of_init(test, SMALL, &pool);
    big = cost_of_init(test, BIG, &pool);
    EXPECT_EQ(pool.regions, 64 * 64 + 1);
    EXPECT(resident_pages() != 0);
    EXPECT(small <= 1 + NOISE);
    /* Of 4 TiB: seven bits a GiB, the ranges and what a processor has. */
    EXPECT(big <= small + 2 + NOISE);
}

/* ---- when a region's books are written ---- */

static bool frame_is_zero(const struct pool_fixture *f, uint64_t frame)
{
    static const uint8_t zeros[4096];

    return memcmp(ps_hw_frame(&f->sim->machine, ps_frame(frame)), zeros, sizeof(zeros)) == 0;
}

/* How many frames of each region's books hold something. */
static uint64_t books_in_use(const struct pool_fixture *f, uint64_t region)
{
    uint64_t lines = f->pool.lines_at / PS_PAGE_SIZE + region;
    uint64_t bits = f->pool.bits_at / PS_PAGE_SIZE + region * 8;
    uint64_t used = !frame_is_zero(f, lines);

    for (uint64_t i = 0; i < 8 && bits + i < f->pool.books + f->pool.books_frames; i++)
        used += !frame_is_zero(f, bits + i);
    return used;
}

#define EIGHT_GIB PLAIN(4 * REGION, 8 * REGION)

POOL_CASE(a_region_has_no_books_until_something_in_it_is_used, EIGHT_GIB)
{
    ps_frame_t frame;

    for (uint64_t region = 0; region < 8; region++)
        EXPECT_EQ(books_in_use(f, region), 0);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_USER, 0, &frame));
    for (uint64_t region = 0; region < 8; region++)
        EXPECT_EQ(books_in_use(f, region), 0);
    /* The first single frame opens one: its lines, and the bits of its chunk. */
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(9 * REGION + 7), ps_pages(1), PS_FRAME_USER));
    for (uint64_t region = 0; region < 8; region++)
        EXPECT_EQ(books_in_use(f, region), region == 5 ? 2 : 0);
    /* A 2 MiB frame needs no bits. */
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(8 * REGION), ps_pages(CHUNK), PS_FRAME_USER));
    EXPECT_EQ(books_in_use(f, 4), 1);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

POOL_CASE(questions_open_no_region, EIGHT_GIB)
{
    struct ps_frame_info info;
    uint64_t first = 77;

    EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(6 * REGION + 5), &info));
    EXPECT(info.managed && info.tag == PS_FRAME_FREE);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_1G), 7);
    EXPECT_STATUS(ps_frame_pool_free(&f->pool, ps_frame(6 * REGION), ps_pages(1)), PS_NOT_FOUND);
    EXPECT_STATUS(pool_try_run(f, 8 * REGION, 1, UINT64_MAX, &first), PS_NO_MEMORY);
    EXPECT_STATUS(
        ps_frame_pool_claim(&f->pool, ps_frame(12 * REGION - 3), ps_pages(2), PS_FRAME_USER),
        PS_ALREADY_EXISTS);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    ps_frame_pool_dump(&f->pool, NULL);
    for (uint64_t region = 0; region < 8; region++)
        EXPECT_EQ(books_in_use(f, region), 0);
}

/* ---- what they cost ---- */

/* No floating point: bytes of bookkeeping a frame, times 1000. */
static uint64_t milli_bytes(uint64_t metadata_frames, uint64_t frames)
{
    return metadata_frames * PS_PAGE_SIZE * 1000 / frames;
}

POOL_CASE(a_free_frame_costs_less_than_0_15_byte, PLAIN(256, 16 * REGION - 256))
{
    EXPECT(milli_bytes(f->fresh.metadata, f->fresh.managed) < 142);
    EXPECT_EQ(f->fresh.metadata, f->fresh.managed - f->fresh.free);
}

POOL_CASE(a_free_frame_of_4_gib_costs_less_than_0_15_byte, PLAIN(256, 4 * REGION - 256))
{
    EXPECT(milli_bytes(f->fresh.metadata, f->fresh.managed) <= 150);
}

static void expect_allocated_cost(struct test *test, struct pool_fixture *f)
{
    struct ps_frame_pool_snapshot now = pool_now(f);
    uint64_t allocated = ps_frame_pool_in_use(&f->pool);

    EXPECT_EQ(now.free, 0);
    EXPECT_EQ(allocated + now.metadata, now.managed);
    EXPECT(milli_bytes(now.metadata, allocated) <= 1200);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

/* 1 GiB, all of it in use by several owners in turn. */
#define ONE_GIB PLAIN(REGION, REGION)

POOL_CASE(single_frames_of_many_owners_cost_less_than_1_2_bytes, ONE_GIB)
{
    enum { BATCH = 61 };
    ps_frame_t frames[BATCH];
    unsigned turn = 0;
    uint64_t left;

    while ((left = ps_frame_pool_whole(&f->pool, PS_FRAME_4K)) != 0) {
        enum ps_frame_tag tag = turn++ % 2 == 0 ? PS_FRAME_TABLE : PS_FRAME_USER;

        REQUIRE_OK(ps_frame_pool_alloc_scattered(&f->pool, ps_min(left, BATCH), tag, 0, frames));
    }
    expect_allocated_cost(test, f);
}

/* All of what is free from the lowest frame up, in runs of the given sizes in turn. */
static void fill_with_runs(struct test *test, struct pool_fixture *f, const uint64_t *sizes,
                           size_t count)
{
    uint64_t first = 0;
    size_t turn = 0;

    for (size_t refused = 0; refused < count;) {
        if (pool_try_run(f, sizes[turn++ % count], 1, UINT64_MAX, &first) == PS_OK)
            refused = 0;
        else
            refused++;
    }
    while (ps_frame_pool_whole(&f->pool, PS_FRAME_4K) != 0)
        (void)pool_single(test, f);
    expect_allocated_cost(test, f);
}

POOL_CASE(runs_cost_less_than_1_2_bytes_a_frame, ONE_GIB)
{
    const uint64_t sizes[] = {67, 130, 300, 511, 513, 1025, 4095};

    fill_with_runs(test, f, sizes, PS_ARRAY_SIZE(sizes));
}

POOL_CASE(large_frames_cost_as_much_as_free_ones, ONE_GIB)
{
    ps_frame_t frame;
    uint64_t count = 0;

    while (ps_frame_pool_alloc(&f->pool, PS_FRAME_2M, PS_FRAME_OBJECT, 0, &frame) == PS_OK)
        count++;
    EXPECT_EQ(count, CHUNK - 1);
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata);
    EXPECT_EQ(pool_now(f).units_2m, CHUNK - 1);
}

POOL_CASE(frames_of_one_owner_cost_as_much_as_free_ones, ONE_GIB)
{
    static ps_frame_t frames[1000];
    uint64_t left;

    while ((left = ps_frame_pool_whole(&f->pool, PS_FRAME_4K)) != 0)
        REQUIRE_OK(
            ps_frame_pool_alloc_scattered(&f->pool, ps_min(left, 1000), PS_FRAME_USER, 0, frames));
    /* Where the books lie, the chunk has frames that are not single ones of that owner. */
    EXPECT_EQ(pool_now(f).metadata, f->fresh.metadata + 1);
    EXPECT_EQ(pool_now(f).free, REGION / TRACT - 1);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

/* ---- 4 TiB in 64 ranges ---- */

static void expect_given(struct test *test, struct ps_frame_pool *pool, enum ps_frame_size size)
{
    ps_frame_t frames[4];
    const ps_pages_t pages = ps_frame_size_pages(size);

    for (unsigned i = 0; i < 4; i++) {
        EXPECT_OK(ps_frame_pool_alloc(pool, size, PS_FRAME_USER, 0, &frames[i]));
        EXPECT(frames[i].number >= 0x100000);
        EXPECT(ps_is_aligned(frames[i].number, pages.count));
    }
    EXPECT_EQ(ps_frame_pool_in_use(pool), 4 * pages.count);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_OK(ps_frame_pool_free(pool, frames[i], pages));
    EXPECT_EQ(ps_frame_pool_in_use(pool), 0);
}

static void four_tib_in_64_ranges_are_used_at_once(struct test *test)
{
    enum { PAGES = 64 * REGION };
    struct sim_machine *sim = many_ranges(PAGES);
    struct ps_frame_pool pool = {0};
    struct ps_frame_pool_snapshot now;

    REQUIRE(sim != NULL);
    EXPECT_OK(ps_frame_pool_init(&pool, &sim->machine, &sim->map));
    ps_frame_pool_snapshot(&pool, &now);
    EXPECT_EQ(now.managed, (uint64_t)64 * PAGES);
    EXPECT(milli_bytes(now.metadata, now.managed) < 142);
    /* Each range ends in the GiB in which the next begins; one GiB more has the books. */
    EXPECT_EQ(now.whole_1g, 64 * 63 - 1);
    for (unsigned size = PS_FRAME_4K; size <= PS_FRAME_1G; size++)
        expect_given(test, &pool, (enum ps_frame_size)size);
    for (uint64_t i = 0; i + 1 < MANY_RANGES; i++) {
        const ps_frame_t hole = ps_frame(256 + i * (PAGES + 1) + PAGES);

        EXPECT_STATUS(ps_frame_pool_free(&pool, hole, ps_pages(1)), PS_OUT_OF_RANGE);
        EXPECT_OK(ps_frame_pool_claim(&pool, ps_frame(hole.number - 40000), ps_pages(39000),
                                      PS_FRAME_OBJECT));
    }
    EXPECT_EQ(ps_frame_pool_in_use(&pool), 63 * 39000);
    EXPECT_OK(ps_frame_pool_validate(&pool, NULL));
    sim_machine_destroy(sim);
}

/* ---- short names ---- */

static void a_frame_below_2_tib_has_a_short_name(struct test *test)
{
    const uint64_t frames[] = {1, 2, 255, 0x100000, 0x12345678, 0x1fffffff};
    const uint64_t too_high[] = {0x20000000, 0x20000001, (uint64_t)1 << 32, UINT64_MAX};
    uint32_t index = 77;

    for (size_t i = 0; i < PS_ARRAY_SIZE(frames); i++) {
        EXPECT(ps_frame_to_index(ps_frame(frames[i]), &index));
        EXPECT(index != 0 && index % 8 == 0);
        for (uint32_t marks = 0; marks < 8; marks++)
            EXPECT_EQ(ps_frame_of_index(index | marks).number, frames[i]);
    }
    index = 77;
    for (size_t i = 0; i < PS_ARRAY_SIZE(too_high); i++)
        EXPECT(!ps_frame_to_index(ps_frame(too_high[i]), &index));
    EXPECT_EQ(index, 77);
}

static const struct test_case cases[] = {
    TEST_CASE(init_writes_to_its_first_frames_only),
    TEST_CASE(init_costs_the_same_with_a_thousand_times_the_memory),
    TEST_CASE(a_region_has_no_books_until_something_in_it_is_used),
    TEST_CASE(questions_open_no_region),
    TEST_CASE(a_free_frame_costs_less_than_0_15_byte),
    TEST_CASE(a_free_frame_of_4_gib_costs_less_than_0_15_byte),
    TEST_CASE(single_frames_of_many_owners_cost_less_than_1_2_bytes),
    TEST_CASE(runs_cost_less_than_1_2_bytes_a_frame),
    TEST_CASE(large_frames_cost_as_much_as_free_ones),
    TEST_CASE(frames_of_one_owner_cost_as_much_as_free_ones),
    TEST_CASE(four_tib_in_64_ranges_are_used_at_once),
    TEST_CASE(a_frame_below_2_tib_has_a_short_name),
};

const struct test_suite suite_frame_pool_books = TEST_SUITE("frame_pool_books", cases);
