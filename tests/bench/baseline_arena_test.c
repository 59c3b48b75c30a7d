/*
 * The baselines of the address arena do what they should: random calls, compared with one place a
 * page that says whether it is taken. All of them must find a place whenever there is one.
 */
#include <string.h>

#include "arena_baseline.h"
#include "harness/test.h"
#include "page_test.h"

enum { PAGES = 700, LIVE = 64, STEPS = 20000 };

static bool taken[PAGES];

static struct {
    uint64_t first;
    uint64_t pages;
} live[LIVE];

/* Free, aligned, and with a free page on both sides. */
static bool fits(uint64_t first, uint64_t pages, uint64_t align)
{
    if (first == 0 || first + pages >= PAGES || first % align != 0)
        return false;
    for (uint64_t i = first - 1; i <= first + pages; i++)
        if (taken[i])
            return false;
    return true;
}

static bool any_fits(uint64_t pages, uint64_t align)
{
    for (uint64_t first = 0; first < PAGES; first++)
        if (fits(first, pages, align))
            return true;
    return false;
}

static void mark(unsigned i, bool with)
{
    for (uint64_t page = 0; page < live[i].pages; page++)
        taken[live[i].first + page] = with;
}

static void try_one(struct test *test, const struct arena_candidate *one, void *self,
                    struct test_random *random)
{
    unsigned i = (unsigned)test_random_below(random, LIVE);
    uint64_t align = test_random_below(random, 4) == 0 ? 16 : 1;
    uint64_t pages = 1 + test_random_below(random, 24);
    uint64_t first = 0;

    if (live[i].pages != 0) {
        EXPECT(one->free(self, live[i].first, live[i].pages));
        mark(i, false);
        live[i].pages = 0;
        return;
    }
    if (!one->alloc(self, pages, align, &first)) {
        EXPECT(!any_fits(pages, align));
        return;
    }
    REQUIRE(fits(first, pages, align));
    live[i].first = first;
    live[i].pages = pages;
    mark(i, true);
}

static void play(struct test *test, const struct arena_candidate *one)
{
    struct test_random random = test_random(1);
    void *self = one->open(PAGES, LIVE);
    uint64_t first = 0;

    REQUIRE(self != NULL);
    memset(taken, 0, sizeof(taken));
    memset(live, 0, sizeof(live));
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++)
        try_one(test, one, self, &random);
    for (unsigned i = 0; i < LIVE; i++)
        if (live[i].pages != 0)
            EXPECT(one->free(self, live[i].first, live[i].pages));
    EXPECT(one->alloc(self, PAGES - 2, 1, &first));
    EXPECT_EQ(first, 1);
    EXPECT(!one->alloc(self, 1, 1, &first));
    one->close(self);
}

static void a_bitmap_of_pages_finds_every_place(struct test *test)
{
    play(test, &baseline_arena_bitmap);
}

static void a_list_finds_every_place_first_fit(struct test *test)
{
    play(test, &baseline_arena_first);
}

static void a_list_finds_every_place_best_fit(struct test *test)
{
    play(test, &baseline_arena_best);
}

/* Of two gaps the first is larger than need be. */
static void the_lists_differ_in_what_they_choose(struct test *test)
{
    static const struct arena_candidate *const lists[] = {&baseline_arena_first,
                                                          &baseline_arena_best};

    for (unsigned i = 0; i < 2; i++) {
        void *self = lists[i]->open(PAGES, LIVE);
        uint64_t first = 0;

        REQUIRE(self != NULL);
        EXPECT(lists[i]->alloc(self, 20, 1, &first) && first == 1);
        EXPECT(lists[i]->alloc(self, 1, 1, &first) && first == 22);
        EXPECT(lists[i]->alloc(self, 10, 1, &first) && first == 24);
        EXPECT(lists[i]->alloc(self, 1, 1, &first) && first == 35);
        EXPECT(lists[i]->free(self, 1, 20) && lists[i]->free(self, 24, 10));
        EXPECT(lists[i]->alloc(self, 10, 1, &first));
        EXPECT_EQ(first, i == 0 ? 1 : 24);
        lists[i]->close(self);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(a_bitmap_of_pages_finds_every_place),
    TEST_CASE(a_list_finds_every_place_first_fit),
    TEST_CASE(a_list_finds_every_place_best_fit),
    TEST_CASE(the_lists_differ_in_what_they_choose),
};

const struct test_suite arena_baseline_suite = TEST_SUITE("arena_baseline", cases);
