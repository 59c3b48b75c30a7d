#include "frame_cases.h"

/* To the last frame, large frames, and who is told when little is left. */

enum { SPARE = 32, MANY = 64 };

/*
 * Units that are taken only to be gone. What they are is written down in a list of frames, not
 * into themselves: memory that nobody touched costs a simulated machine nothing.
 *
 *     words of such a frame: [0] frame number of the one before it  [1] units in it
 *                            [2 ...] of each unit its frame number * 4 + its size
 */
struct hoard {
    ps_frame_t last;
    uint64_t lists;
};

enum { LIST_HEAD = 2, LIST_WORDS = 512 };

static bool list_is_full(struct test *test, const struct hoard *hoard)
{
    return hoard->lists == 0 || scratch_words(test, hoard->last)[1] == LIST_WORDS - LIST_HEAD;
}

static void begin_list(struct test *test, struct hoard *hoard, ps_frame_t frame)
{
    uint64_t *words = scratch_words(test, frame);

    words[0] = hoard->last.number;
    words[1] = 0;
    hoard->last = frame;
    hoard->lists++;
}

/* A single frame becomes a list itself when one is needed. */
static void hoard_unit(struct test *test, struct hoard *hoard, ps_frame_t first,
                       enum ps_frame_size size)
{
    ps_frame_t list = first;
    uint64_t *words;

    if (list_is_full(test, hoard)) {
        if (size != PS_FRAME_4K)
            REQUIRE_OK(
                ps_frame_pool_alloc(test->world->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &list));
        begin_list(test, hoard, list);
        if (size == PS_FRAME_4K)
            return;
    }
    words = scratch_words(test, hoard->last);
    words[LIST_HEAD + words[1]++] = first.number * 4 + size;
}

static void release_hoard(struct test *test, struct hoard *hoard)
{
    for (; hoard->lists > 0; hoard->lists--) {
        ps_frame_t list = hoard->last;
        const uint64_t *words = scratch_words(test, list);

        for (uint64_t i = words[1]; i > 0; i--) {
            uint64_t unit = words[LIST_HEAD + i - 1];
            enum ps_frame_size size = (enum ps_frame_size)(unit % 4);

            frame_give_back(test, ps_frame(unit / 4), ps_frame_size_pages(size).count);
        }
        hoard->last = ps_frame(words[0]);
        frame_give_back(test, list, 1);
    }
}

static void hoard_large(struct test *test, struct hoard *hoard)
{
    struct ps_frame_pool *pool = test->world->pool;
    ps_frame_t frame;

    for (unsigned i = PS_FRAME_1G; i > PS_FRAME_4K; i--) {
        enum ps_frame_size size = (enum ps_frame_size)i;

        while (ps_frame_pool_alloc(pool, size, PS_FRAME_USER, 0, &frame) == PS_OK)
            hoard_unit(test, hoard, frame, size);
        EXPECT_EQ(ps_frame_pool_whole(pool, size), 0);
    }
}

/* Take everything but fewer than 32 frames: large ones first, so that it does not take long. */
static void hoard_almost_all(struct test *test, struct hoard *hoard)
{
    struct ps_frame_pool *pool = test->world->pool;
    ps_frame_t frames[SPARE];

    hoard_large(test, hoard);
    while (ps_frame_pool_alloc_scattered(pool, SPARE, PS_FRAME_USER, 0, frames) == PS_OK)
        for (uint64_t i = 0; i < SPARE; i++)
            hoard_unit(test, hoard, frames[i], PS_FRAME_4K);
}

static void expect_nothing_left(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    ps_frame_t frame;

    EXPECT_EQ(ps_frame_pool_whole(pool, PS_FRAME_4K), 0);
    for (unsigned size = PS_FRAME_4K; size <= PS_FRAME_1G; size++)
        EXPECT_STATUS(ps_frame_pool_alloc(pool, (enum ps_frame_size)size, PS_FRAME_USER, 0, &frame),
                      PS_NO_MEMORY);
}

static void scattered_is_all_or_nothing(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    struct hoard hoard = {0};
    ps_frame_t frames[SPARE];
    uint64_t left;
    uint64_t taken;

    hoard_almost_all(test, &hoard);
    left = ps_frame_pool_whole(pool, PS_FRAME_4K);
    taken = ps_frame_pool_in_use(pool);
    if (EXPECT(left < SPARE)) {
        EXPECT_STATUS(ps_frame_pool_alloc_scattered(pool, left + 1, PS_FRAME_USER, 0, frames),
                      PS_NO_MEMORY);
        EXPECT_EQ(ps_frame_pool_in_use(pool), taken);
        EXPECT_EQ(ps_frame_pool_whole(pool, PS_FRAME_4K), left);
        EXPECT_OK(ps_frame_pool_alloc_scattered(pool, left, PS_FRAME_USER, 0, frames));
        expect_nothing_left(test);
        for (uint64_t i = 0; i < left; i++)
            frame_give_back(test, frames[i], 1);
    }
    release_hoard(test, &hoard);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

/* ---- large frames ---- */

/* One that is there. Its first and its last word hold what is written to them. */
static void use_large_frame(struct test *test, enum ps_frame_size size)
{
    struct ps_frame_pool *pool = test->world->pool;
    const ps_pages_t pages = ps_frame_size_pages(size);
    struct ps_frame_info info;
    ps_frame_t first;
    ps_frame_t last;

    REQUIRE_OK(ps_frame_pool_alloc(pool, size, PS_FRAME_OBJECT, 0, &first));
    EXPECT_EQ(first.number % pages.count, 0);
    last = ps_frame_add(first, pages.count - 1);
    scratch_words(test, first)[0] = 1;
    scratch_words(test, last)[511] = 2;
    EXPECT_EQ(scratch_words(test, first)[0], 1);
    EXPECT_EQ(scratch_words(test, last)[511], 2);
    EXPECT_OK(ps_frame_pool_query(pool, last, &info));
    EXPECT_EQ(info.unit.number, first.number);
    EXPECT_EQ(info.unit_pages.count, pages.count);
    EXPECT_EQ(info.tag, PS_FRAME_OBJECT);
    frame_give_back(test, first, pages.count);
}

static void large_frames_are_units_and_come_back_whole(struct test *test)
{
    struct ps_frame_pool_snapshot before = frame_counts(test);
    bool found = false;

    for (unsigned i = PS_FRAME_2M; i <= PS_FRAME_1G; i++) {
        enum ps_frame_size size = (enum ps_frame_size)i;

        if (ps_frame_pool_whole(test->world->pool, size) == 0)
            continue;
        use_large_frame(test, size);
        frame_expect_counts(test, &before);
        found = true;
    }
    if (!found)
        SKIP("no large frame is free");
}

/* All large frames are taken, so that parts are what is left. */
static void large_requests_that_cannot_be_met_change_nothing(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t in_use = ps_frame_pool_in_use(pool);
    struct ps_frame_pool_snapshot before;
    struct hoard hoard = {0};
    ps_frame_t frame = ps_frame(77);

    hoard_large(test, &hoard);
    before = frame_counts(test);
    for (unsigned i = PS_FRAME_2M; i <= PS_FRAME_1G; i++) {
        enum ps_frame_size size = (enum ps_frame_size)i;
        const struct ps_frame_run run = {ps_frame_size_pages(size), 0, PS_FRAME_ANY, PS_FRAME_USER,
                                         0};
        uint64_t free_frames = before.free - before.free_in[PS_FRAME_ZONE_LOW];
        ps_status expected = free_frames < run.pages.count ? PS_NO_MEMORY : PS_NO_SPACE;
        ps_status status;

        EXPECT_STATUS(ps_frame_pool_alloc(pool, size, PS_FRAME_USER, 0, &frame), expected);
        frame_expect_counts(test, &before);
        /* The same number of frames, with any alignment, may lie over two chunks. */
        status = ps_frame_pool_alloc_run(pool, &run, &frame);
        if (status == PS_OK)
            frame_give_back(test, frame, run.pages.count);
        else
            EXPECT_STATUS(status, expected);
    }
    release_hoard(test, &hoard);
    EXPECT_EQ(ps_frame_pool_in_use(pool), in_use);
}

/* ---- watermarks ---- */

struct notes {
    unsigned count;
    uint64_t free_frames;
};

static void note_watermark(void *context, uint64_t free_frames)
{
    struct notes *notes = context;

    notes->count++;
    notes->free_frames = free_frames;
}

static void a_watermark_is_told_once(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    uint64_t free_frames = frame_counts(test).free;
    struct notes notes = {0};
    struct ps_frame_watermarks watermarks = {free_frames - 5, free_frames, note_watermark, &notes};
    ps_frame_t frames[MANY];

    REQUIRE_OK(ps_frame_pool_watch(pool, &watermarks));
    EXPECT_EQ(notes.count, 0);
    REQUIRE_OK(ps_frame_pool_alloc_scattered(pool, MANY, PS_FRAME_USER, 0, frames));
    EXPECT_EQ(notes.count, 1);
    EXPECT_EQ(notes.free_frames, frame_counts(test).free);
    watermarks = (struct ps_frame_watermarks){0, notes.free_frames + 5, note_watermark, &notes};
    EXPECT_OK(ps_frame_pool_watch(pool, &watermarks));
    for (uint64_t i = 0; i < MANY; i++) {
        EXPECT_EQ(notes.count, i <= 5 ? 1 : 2);
        frame_give_back(test, frames[i], 1);
    }
    EXPECT_EQ(notes.count, 2);
    EXPECT_EQ(notes.free_frames, watermarks.high + 1);
    EXPECT_OK(ps_frame_pool_watch(pool, NULL));
    EXPECT_EQ(frame_counts(test).free, free_frames);
}

static void a_request_that_can_wait_leaves_the_last_frames(struct test *test)
{
    struct ps_frame_pool *pool = test->world->pool;
    struct ps_frame_pool_snapshot before = frame_counts(test);
    ps_frame_t frame = ps_frame(77);

    REQUIRE_OK(ps_frame_pool_set_wait_level(pool, before.free));
    EXPECT_STATUS(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_CAN_WAIT, &frame),
                  PS_SHOULD_WAIT);
    EXPECT_EQ(frame.number, 77);
    frame_expect_counts(test, &before);
    EXPECT_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    frame_give_back(test, frame, 1);
    EXPECT_OK(ps_frame_pool_set_wait_level(pool, 0));
    EXPECT_OK(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_CAN_WAIT, &frame));
    frame_give_back(test, frame, 1);
}

static const struct test_case cases[] = {
    TEST_CASE(scattered_is_all_or_nothing),
    TEST_CASE(large_frames_are_units_and_come_back_whole),
    TEST_CASE(large_requests_that_cannot_be_met_change_nothing),
    TEST_CASE(a_watermark_is_told_once),
    TEST_CASE(a_request_that_can_wait_leaves_the_last_frames),
};

const struct test_suite suite_frame_scarcity = TEST_SUITE("frame_scarcity", cases);
