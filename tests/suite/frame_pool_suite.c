#include "frame_cases.h"

/*
 * The frame pool of a running stage, in both worlds. Every case gives back all it took; the
 * pool is shared with the layers above it and must look the same afterwards.
 */

enum { UNITS = 64, OPERATIONS = 1000 };

struct unit {
    ps_frame_t first;
    uint64_t pages; /* 0: not in use */
};

/* ---- single frames ---- */

static void alloc_gives_distinct_frames(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    ps_frame_t frames[UNITS];

    for (uint64_t i = 0; i < UNITS; i++) {
        REQUIRE_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frames[i]));
        scratch_words(test, frames[i])[511] = i;
    }
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use + UNITS);
    for (uint64_t i = 0; i < UNITS; i++) {
        EXPECT_EQ(scratch_words(test, frames[i])[511], i);
        frame_give_back(test, frames[i], 1);
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
            uint64_t *words = scratch_words(test, ps_frame_add(frame, i));

            EXPECT((run.flags & PS_FRAME_ZERO) == 0 || is_zero(words));
            fill_junk(words);
        }
        frame_give_back(test, frame, 4);
        run.flags = PS_FRAME_ZERO;
    }
    REQUIRE_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &frame));
    EXPECT(is_zero(scratch_words(test, frame)));
    frame_give_back(test, frame, 1);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

static void double_free_is_refused_and_changes_nothing(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;
    ps_frame_t frame;

    REQUIRE_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    frame_give_back(test, frame, 1);
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
        frame_give_back(test, ps_frame_add(first, i), 1);
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
    frame_give_back(test, first, 8);
    part = ps_frame_add(first, 2);
    REQUIRE_OK(ps_frame_pool_claim(pool, part, ps_pages(3), PS_FRAME_USER));
    EXPECT_STATUS(ps_frame_pool_claim(pool, first, ps_pages(3), PS_FRAME_USER), PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_frame_pool_claim(pool, first, ps_pages(8), PS_FRAME_USER), PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_frame_pool_claim(pool, ps_frame_add(first, 4), ps_pages(2), PS_FRAME_USER),
                  PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_frame_pool_claim(pool, ps_frame(0), ps_pages(1), PS_FRAME_USER), PS_NOT_FOUND);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use + 3);
    frame_give_back(test, part, 3);
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
    if (before.free_in[PS_FRAME_ZONE_LOW] == 0)
        SKIP("no free frame below 1 MiB");
    REQUIRE_OK(ps_frame_pool_alloc_run(pool, &run, &frame));
    EXPECT(frame.number > 0 && frame.number <= 0xff);
    ps_frame_pool_snapshot(pool, &after);
    EXPECT_EQ(after.free_in[PS_FRAME_ZONE_LOW], before.free_in[PS_FRAME_ZONE_LOW] - 1);
    EXPECT_EQ(after.free_in[PS_FRAME_ZONE_NORMAL], before.free_in[PS_FRAME_ZONE_NORMAL]);
    frame_give_back(test, frame, 1);
    ps_frame_pool_snapshot(pool, &after);
    EXPECT_EQ(after.free_in[PS_FRAME_ZONE_LOW], before.free_in[PS_FRAME_ZONE_LOW]);
}

static void expect_other_sizes_refused(struct test *test, ps_frame_t first, uint64_t pages)
{
    struct ps_frame_pool *pool = test->world->pool;
    const uint64_t sizes[] = {1, 2, 6, 8, 511, 512, 513, 262143, 262144, 262145, UINT64_MAX};
    const uint64_t middles[] = {1, 6, 256, 511, 512, 262143};
    struct ps_frame_pool_snapshot before = frame_counts(test);

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++)
        if (sizes[i] != pages) {
            EXPECT_STATUS(ps_frame_pool_free(pool, first, ps_pages(sizes[i])), PS_WRONG_SIZE);
            EXPECT_STATUS(ps_frame_pool_split(pool, first, ps_pages(sizes[i])), PS_WRONG_SIZE);
        }
    for (size_t i = 0; i < PS_ARRAY_SIZE(middles); i++)
        if (middles[i] < pages)
            EXPECT_STATUS(ps_frame_pool_free(pool, ps_frame_add(first, middles[i]),
                                             ps_pages(pages - middles[i])),
                          PS_NOT_FOUND);
    frame_expect_counts(test, &before);
}

static void every_size_is_refused_but_the_right_one(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    const uint64_t pages[] = {1, 7, 512, 700, 262144};
    struct ps_frame_run run = {.limit = PS_FRAME_ANY, .tag = PS_FRAME_USER};
    uint64_t in_use = ps_frame_pool_in_use(pool);
    ps_frame_t first;

    for (size_t i = 0; i < PS_ARRAY_SIZE(pages); i++) {
        run.pages = ps_pages(pages[i]);
        run.alignment = ps_is_power_of_two(pages[i]) ? pages[i] : 1;
        if (ps_frame_pool_alloc_run(pool, &run, &first) != PS_OK)
            continue; /* a small machine has no 1 GiB */
        expect_other_sizes_refused(test, first, pages[i]);
        frame_give_back(test, first, pages[i]);
        EXPECT_STATUS(ps_frame_pool_free(pool, first, run.pages), PS_NOT_FOUND);
    }
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

/* ---- holders ---- */

static void a_shared_unit_goes_with_its_last_holder(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    struct ps_frame_pool_snapshot before = frame_counts(test);
    const struct ps_frame_run run = {ps_pages(4), 4, PS_FRAME_ANY, PS_FRAME_USER, 0};
    struct ps_frame_info info;
    ps_frame_t first;

    REQUIRE_OK(ps_frame_pool_alloc_run(pool, &run, &first));
    EXPECT_OK(ps_frame_pool_share(pool, first, ps_pages(4)));
    EXPECT_OK(ps_frame_pool_share(pool, first, ps_pages(4)));
    EXPECT_STATUS(ps_frame_pool_share(pool, first, ps_pages(3)), PS_WRONG_SIZE);
    EXPECT_STATUS(ps_frame_pool_split(pool, first, ps_pages(4)), PS_ACCESS_DENIED);
    for (uint64_t holders = 3; holders > 0; holders--) {
        EXPECT_OK(ps_frame_pool_query(pool, first, &info));
        EXPECT_EQ(info.holders, holders);
        EXPECT_EQ(frame_counts(test).shared_units, before.shared_units + (holders > 1));
        frame_give_back(test, first, 4);
    }
    EXPECT_STATUS(ps_frame_pool_free(pool, first, ps_pages(4)), PS_NOT_FOUND);
    EXPECT_EQ(frame_counts(test).by_tag[PS_FRAME_USER], before.by_tag[PS_FRAME_USER]);
    EXPECT_EQ(frame_counts(test).free, before.free);
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
        scratch_words(test, ps_frame_add(unit->first, i))[7] = mark + i;
}

static void return_unit(struct test *test, struct unit *unit, uint64_t mark)
{
    for (uint64_t i = 0; i < unit->pages; i++)
        EXPECT_EQ(scratch_words(test, ps_frame_add(unit->first, i))[7], mark + i);
    frame_give_back(test, unit->first, unit->pages);
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

    EXPECT_OK(ps_frame_pool_validate(test->world->pool, &notes));
}

static void the_snapshot_adds_up(struct test *test)
{
    struct ps_frame_pool_snapshot now = frame_counts(test);
    uint64_t allocated = 0;
    uint64_t in_zones = 0;
    uint64_t free_in_zones = 0;

    for (unsigned tag = PS_FRAME_METADATA; tag < PS_FRAME_TAG_COUNT; tag++)
        allocated += now.by_tag[tag];
    for (unsigned zone = 0; zone < PS_FRAME_ZONES; zone++) {
        in_zones += now.managed_in[zone];
        free_in_zones += now.free_in[zone];
        EXPECT(now.free_in[zone] <= now.managed_in[zone]);
    }
    EXPECT_EQ(now.free + allocated, now.managed);
    EXPECT_EQ(now.free, now.by_tag[PS_FRAME_FREE]);
    EXPECT_EQ(now.metadata, now.by_tag[PS_FRAME_METADATA]);
    EXPECT_EQ(free_in_zones, now.free);
    EXPECT_EQ(in_zones + test->world->pool->books_frames, now.managed);
    EXPECT_EQ(allocated - now.metadata, ps_frame_pool_in_use(test->world->pool));
    EXPECT(now.available + now.free_in[PS_FRAME_ZONE_LOW] <= now.free);
    EXPECT(now.free_late <= now.free);
    EXPECT(now.whole_2m * 512 <= now.free);
    EXPECT(now.whole_1g * 512 <= now.whole_2m);
}

static const struct test_case cases[] = {
    TEST_CASE(alloc_gives_distinct_frames),
    TEST_CASE(zeroed_frame_is_zero_everywhere),
    TEST_CASE(double_free_is_refused_and_changes_nothing),
    TEST_CASE(parts_and_other_sizes_are_refused),
    TEST_CASE(claim_overlap_is_refused),
    TEST_CASE(run_below_1mib_respects_limit),
    TEST_CASE(every_size_is_refused_but_the_right_one),
    TEST_CASE(a_shared_unit_goes_with_its_last_holder),
    TEST_CASE(thousand_random_operations_leave_nothing),
    TEST_CASE(validate_is_clean),
    TEST_CASE(the_snapshot_adds_up),
};

const struct test_suite suite_frame_pool_live = TEST_SUITE("frame_pool", cases);
