#include "world.h"

#include "hw.h"

/*
 * The frame pool of a running stage, in both worlds. Every case gives back all it took; the
 * pool is shared with the layers above it and must look the same afterwards.
 */

enum { UNITS = 64, OPERATIONS = 1000, SPARE = 32 };

struct unit {
    ps_frame_t first;
    uint64_t pages; /* 0: not in use */
};

static uint64_t *words_of(struct test *test, ps_frame_t frame)
{
    return ps_hw_frame(test->world->machine, frame);
}

static void free_unit(struct test *test, ps_frame_t first, uint64_t pages)
{
    if (!EXPECT_OK(ps_frame_pool_free(test->world->pool, first, ps_pages(pages))))
        test_note(test, "unit of %" PS_PRIu " at frame 0x%" PS_PRIx, pages, first.number);
}

/* ---- single frames ---- */

static void alloc_gives_distinct_frames(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    ps_frame_t frames[UNITS];

    for (uint64_t i = 0; i < UNITS; i++) {
        REQUIRE_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frames[i]));
        words_of(test, frames[i])[511] = i;
    }
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use + UNITS);
    for (uint64_t i = 0; i < UNITS; i++) {
        EXPECT_EQ(words_of(test, frames[i])[511], i);
        free_unit(test, frames[i], 1);
    }
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

static bool is_zero(const uint64_t *words)
{
    for (unsigned i = 0; i < 512; i++)
        if (words[i] != 0)
            return false;
    return true;
}

static void fill_junk(uint64_t *words)
{
    for (unsigned i = 0; i < 512; i++)
        words[i] = 0xdeadbeefdeadbeefu;
}

/* The frame is made dirty first, so that zeros left over from before prove nothing. */
static void zeroed_frame_is_zero_everywhere(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    struct ps_frame_run run = {ps_pages(4), 0, PS_FRAME_ANY, PS_FRAME_USER, 0};
    ps_frame_t frame;

    for (unsigned round = 0; round < 2; round++) {
        REQUIRE_OK(ps_frame_pool_alloc_run(pool, &run, &frame));
        for (uint64_t i = 0; i < 4; i++) {
            uint64_t *words = words_of(test, ps_frame_add(frame, i));

            EXPECT((run.flags & PS_FRAME_ZERO) == 0 || is_zero(words));
            fill_junk(words);
        }
        free_unit(test, frame, 4);
        run.flags = PS_FRAME_ZERO;
    }
    REQUIRE_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &frame));
    EXPECT(is_zero(words_of(test, frame)));
    free_unit(test, frame, 1);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

static void double_free_is_refused_and_changes_nothing(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;
    ps_frame_t frame;

    REQUIRE_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    free_unit(test, frame, 1);
    ps_frame_pool_snapshot(pool, &before);
    EXPECT_STATUS(ps_frame_pool_free(pool, frame, ps_pages(1)), PS_NOT_FOUND);
    EXPECT_STATUS(ps_frame_pool_split(pool, frame, ps_pages(1)), PS_NOT_FOUND);
    ps_frame_pool_snapshot(pool, &after);
    EXPECT_EQ(after.free, before.free);
    EXPECT_EQ(after.managed, before.managed);
    EXPECT_EQ(after.by_tag[PS_FRAME_USER], before.by_tag[PS_FRAME_USER]);
}

/* ---- runs and claims ---- */

static void parts_and_other_sizes_are_refused(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    const struct ps_frame_run run = {ps_pages(4), 4, PS_FRAME_ANY, PS_FRAME_USER, 0};
    ps_frame_t first;

    REQUIRE_OK(ps_frame_pool_alloc_run(pool, &run, &first));
    EXPECT_EQ(first.number % 4, 0);
    EXPECT_STATUS(ps_frame_pool_free(pool, ps_frame_add(first, 1), ps_pages(3)), PS_NOT_FOUND);
    EXPECT_STATUS(ps_frame_pool_free(pool, first, ps_pages(3)), PS_WRONG_SIZE);
    EXPECT_STATUS(ps_frame_pool_free(pool, first, ps_pages(5)), PS_WRONG_SIZE);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use + 4);
    EXPECT_OK(ps_frame_pool_split(pool, first, ps_pages(4)));
    EXPECT_STATUS(ps_frame_pool_free(pool, first, ps_pages(4)), PS_WRONG_SIZE);
    for (uint64_t i = 0; i < 4; i++)
        free_unit(test, ps_frame_add(first, i), 1);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

static void claim_overlap_is_refused(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    const struct ps_frame_run run = {ps_pages(8), 8, PS_FRAME_ANY, PS_FRAME_USER, 0};
    ps_frame_t first;
    ps_frame_t part;

    REQUIRE_OK(ps_frame_pool_alloc_run(pool, &run, &first));
    free_unit(test, first, 8);
    part = ps_frame_add(first, 2);
    REQUIRE_OK(ps_frame_pool_claim(pool, part, ps_pages(3), PS_FRAME_USER));
    EXPECT_STATUS(ps_frame_pool_claim(pool, first, ps_pages(3), PS_FRAME_USER), PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_frame_pool_claim(pool, first, ps_pages(8), PS_FRAME_USER), PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_frame_pool_claim(pool, ps_frame_add(first, 4), ps_pages(2), PS_FRAME_USER),
                  PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_frame_pool_claim(pool, ps_frame(0), ps_pages(1), PS_FRAME_USER), PS_NOT_FOUND);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use + 3);
    free_unit(test, part, 3);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

static void run_below_1mib_respects_limit(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    const struct ps_frame_run run = {ps_pages(1), 0, PS_FRAME_BELOW_1MIB, PS_FRAME_USER, 0};
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;
    ps_frame_t frame;

    ps_frame_pool_snapshot(pool, &before);
    if (before.free_below_1mib == 0)
        SKIP("no free frame below 1 MiB");
    REQUIRE_OK(ps_frame_pool_alloc_run(pool, &run, &frame));
    EXPECT(frame.number > 0 && frame.number <= 0xff);
    ps_frame_pool_snapshot(pool, &after);
    EXPECT_EQ(after.free_below_1mib, before.free_below_1mib - 1);
    EXPECT_EQ(after.free_below_4gib, before.free_below_4gib);
    free_unit(test, frame, 1);
    ps_frame_pool_snapshot(pool, &after);
    EXPECT_EQ(after.free_below_1mib, before.free_below_1mib);
}

/* ---- to the last frame ---- */

/* Units that are taken only to be gone, linked through their first words. */
struct hoard {
    ps_frame_t last;
    uint64_t units;
};

static void hoard_unit(struct test *test, struct hoard *hoard, ps_frame_t first, uint64_t pages)
{
    uint64_t *words = words_of(test, first);

    words[0] = hoard->last.number;
    words[1] = pages;
    hoard->last = first;
    hoard->units++;
}

static void release_hoard(struct test *test, struct hoard *hoard)
{
    for (; hoard->units > 0; hoard->units--) {
        ps_frame_t first = hoard->last;
        const uint64_t *words = words_of(test, first);
        uint64_t pages = words[1];

        hoard->last = ps_frame(words[0]);
        free_unit(test, first, pages);
    }
}

/* Free frames that come one by one. */
static uint64_t singles_left(struct ps_frame_pool *pool)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(pool, &now);
    return now.free - now.free_below_1mib;
}

/* Take everything but fewer than 32 frames: large ones first, so that it does not take long. */
static void hoard_almost_all(struct test *test, struct hoard *hoard)
{
    struct ps_frame_pool *pool = test->world->pool;
    ps_frame_t frames[SPARE];

    for (unsigned size = PS_FRAME_1G; size > PS_FRAME_4K; size--)
        while (ps_frame_pool_alloc(pool, (enum ps_frame_size)size, PS_FRAME_USER, 0, frames) ==
               PS_OK)
            hoard_unit(test, hoard, frames[0], ps_frame_size_pages((enum ps_frame_size)size).count);
    while (ps_frame_pool_alloc_scattered(pool, SPARE, PS_FRAME_USER, 0, frames) == PS_OK)
        for (uint64_t i = 0; i < SPARE; i++)
            hoard_unit(test, hoard, frames[i], 1);
}

/* 128 MiB. Taking all of a larger machine's memory one by one is for the unit tests. */
enum { MOST_FREE = 32768 };

static void scattered_is_all_or_nothing(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    struct hoard hoard = {0};
    ps_frame_t frames[SPARE];
    uint64_t left;
    uint64_t taken;

    if (pool->free_frames > MOST_FREE)
        SKIP("this machine has too much memory to take all of it");
    hoard_almost_all(test, &hoard);
    left = singles_left(pool);
    taken = ps_frame_pool_in_use(pool);
    if (EXPECT(left < SPARE)) {
        EXPECT_STATUS(ps_frame_pool_alloc_scattered(pool, left + 1, PS_FRAME_USER, 0, frames),
                      PS_NO_MEMORY);
        EXPECT_EQ(ps_frame_pool_in_use(pool), taken);
        EXPECT_OK(ps_frame_pool_alloc_scattered(pool, left, PS_FRAME_USER, 0, frames));
        EXPECT_EQ(singles_left(pool), 0);
        EXPECT_STATUS(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, frames),
                      PS_NO_MEMORY);
        for (uint64_t i = 0; i < left; i++)
            free_unit(test, frames[i], 1);
    }
    release_hoard(test, &hoard);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

/* ---- at random ---- */

static ps_status take_at_random(struct ps_frame_pool *pool, struct test_random *random,
                                struct unit *unit)
{
    struct ps_frame_run run = {.alignment = (uint64_t)1 << test_random_below(random, 6),
                               .limit = PS_FRAME_ANY,
                               .tag = PS_FRAME_USER};
    ps_status status;

    if (test_random_below(random, 2) == 0) {
        unit->pages = 1;
        status = ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, &unit->first);
    } else {
        unit->pages = 1 + test_random_below(random, 24);
        run.pages = ps_pages(unit->pages);
        status = ps_frame_pool_alloc_run(pool, &run, &unit->first);
    }
    if (status != PS_OK)
        unit->pages = 0;
    return status;
}

/* Every frame knows its unit: two units that share a frame would be found out. */
static void mark_unit(struct test *test, const struct unit *unit, uint64_t mark)
{
    for (uint64_t i = 0; i < unit->pages; i++)
        words_of(test, ps_frame_add(unit->first, i))[7] = mark + i;
}

static void return_unit(struct test *test, struct unit *unit, uint64_t mark)
{
    for (uint64_t i = 0; i < unit->pages; i++)
        EXPECT_EQ(words_of(test, ps_frame_add(unit->first, i))[7], mark + i);
    free_unit(test, unit->first, unit->pages);
    unit->pages = 0;
}

static void thousand_random_operations_leave_nothing(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    struct test_random random = test_random(test->world->seed);
    uint64_t in_use = ps_frame_pool_in_use(pool);
    struct unit units[UNITS] = {0};

    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint64_t at = test_random_below(&random, UNITS);
        ps_status status;

        if (units[at].pages != 0) {
            return_unit(test, &units[at], at << 32);
            continue;
        }
        status = take_at_random(pool, &random, &units[at]);
        EXPECT(status == PS_OK || status == PS_NO_MEMORY || status == PS_NO_SPACE);
        mark_unit(test, &units[at], at << 32);
    }
    for (uint64_t at = 0; at < UNITS; at++)
        if (units[at].pages != 0)
            return_unit(test, &units[at], at << 32);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
    EXPECT_OK(ps_frame_pool_validate(pool, NULL));
    if (test->failures != 0)
        test_note(test, "seed %" PS_PRIu, test->world->seed);
}

static void note_breach(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

static void validate_is_clean(struct test *test)
{
    struct ps_sink notes = {note_breach, test};
    struct ps_frame_pool_snapshot now;
    uint64_t allocated = 0;

    EXPECT_OK(ps_frame_pool_validate(test->world->pool, &notes));
    ps_frame_pool_snapshot(test->world->pool, &now);
    for (unsigned tag = PS_FRAME_METADATA; tag < PS_FRAME_TAG_COUNT; tag++)
        allocated += now.by_tag[tag];
    EXPECT_EQ(now.free + allocated, now.managed);
    EXPECT_EQ(allocated - now.metadata, ps_frame_pool_in_use(test->world->pool));
}

static const struct test_case cases[] = {
    TEST_CASE(alloc_gives_distinct_frames),
    TEST_CASE(zeroed_frame_is_zero_everywhere),
    TEST_CASE(double_free_is_refused_and_changes_nothing),
    TEST_CASE(parts_and_other_sizes_are_refused),
    TEST_CASE(claim_overlap_is_refused),
    TEST_CASE(run_below_1mib_respects_limit),
    TEST_CASE(scattered_is_all_or_nothing),
    TEST_CASE(thousand_random_operations_leave_nothing),
    TEST_CASE(validate_is_clean),
};

const struct test_suite suite_frame_pool_live = TEST_SUITE("frame_pool", cases);
