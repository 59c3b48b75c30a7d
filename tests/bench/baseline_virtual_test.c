/* The baselines of the virtual allocator: what is allocated is mapped, each page to its own frame.
 */
#include <string.h>

#include "harness/test.h"
#include "page_test.h"
#include "virtual_baseline.h"

enum { LIVE = 64, STEPS = 20000 };

static bool taken[MEMORY_FRAMES];

static void expect_mapped(struct test *test, const struct memory_candidate *one, void *self,
                          uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t frame = one->frame_of(self, first + i);

        REQUIRE(frame != 0 && frame < MEMORY_FRAMES && !taken[frame]);
        taken[frame] = true;
    }
    EXPECT_EQ(one->frame_of(self, first - 1), 0);
    EXPECT_EQ(one->frame_of(self, first + pages), 0);
}

static void give(struct test *test, const struct memory_candidate *one, void *self, uint64_t first,
                 uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        taken[one->frame_of(self, first + i)] = false;
    EXPECT(one->free(self, first, pages));
    for (uint64_t i = 0; i < pages; i++)
        EXPECT_EQ(one->frame_of(self, first + i), 0);
}

static void play(struct test *test, const struct memory_candidate *one)
{
    struct test_random random = test_random(1);
    void *self = one->open(one, LIVE);
    uint64_t first[LIVE];
    uint64_t pages[LIVE] = {0};

    REQUIRE(self != NULL);
    memset(taken, 0, sizeof(taken));
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
        uint64_t i = test_random_below(&random, LIVE);

        if (pages[i] != 0) {
            give(test, one, self, first[i], pages[i]);
            pages[i] = 0;
            continue;
        }
        pages[i] = 1 + test_random_below(&random, 20);
        REQUIRE(one->alloc(self, pages[i], 1, &first[i]));
        expect_mapped(test, one, self, first[i], pages[i]);
    }
    one->close(self);
}

static void frames_that_are_there_get_addresses(struct test *test)
{
    const struct memory_candidate *one = &baseline_virtual_bitmap;
    static const ps_frame_t frames[] = {{7}, {99}, {8}};
    void *self = one->open(one, LIVE);
    uint64_t first = 0;

    REQUIRE(self != NULL);
    EXPECT(one->attach(self, frames, 3, &first));
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(one->frame_of(self, first + i), frames[i].number);
    EXPECT(one->detach(self, first, 3));
    EXPECT_EQ(one->frame_of(self, first), 0);
    one->close(self);
}

static void with_a_bitmap_every_page_has_a_frame(struct test *test)
{
    play(test, &baseline_virtual_bitmap);
}

static void with_a_list_every_page_has_a_frame(struct test *test)
{
    play(test, &baseline_virtual_first);
    play(test, &baseline_virtual_best);
}

static const struct test_case cases[] = {
    TEST_CASE(with_a_bitmap_every_page_has_a_frame),
    TEST_CASE(with_a_list_every_page_has_a_frame),
    TEST_CASE(frames_that_are_there_get_addresses),
};

const struct test_suite virtual_baseline_suite = TEST_SUITE("virtual_baseline", cases);
