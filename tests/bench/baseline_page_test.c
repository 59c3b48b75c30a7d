/*
 * The baselines of the page tables do what they should: random calls against an oracle that
 * knows frame and access of every page, read back by a walk of its own through the tables.
 */
#include <stdlib.h>

#include "bench.h"
#include "harness/test.h"
#include "page_baseline.h"
#include "page_test.h"

/* Around the border between two tables of level 3, and so of all levels. */
enum { PAGES = 1 << 13, STEPS = 3000, SEEDS = 4, LONGEST = 700 };
#define BASE (((uint64_t)1 << 39) * 3 - ((uint64_t)PAGES / 2 << PS_PAGE_SHIFT))

struct page {
    uint64_t frame; /* 0: not mapped */
    bool writable;
};

struct model {
    const struct page_candidate *one;
    void *self;
    struct page *pages;
    uint64_t first; /* of the call: page */
    uint64_t count;
};

static uint64_t va_of(uint64_t page)
{
    return BASE + (page << PS_PAGE_SHIFT);
}

static bool open_model(struct model *model, const struct page_candidate *one)
{
    const struct page_stretch all = {.va = BASE, .pages = PAGES, .level = 1};

    *model = (struct model){
        .one = one, .self = one->open(), .pages = calloc(PAGES, sizeof(struct page))};
    if (model->self == NULL || model->pages == NULL)
        return false;
    return one->prepare == NULL || one->prepare(model->self, &all);
}

static void close_model(struct model *model)
{
    if (model->self != NULL)
        model->one->close(model->self);
    free(model->pages);
}

/* Whether the tables, and the candidate itself, say what the model says about a page. */
static bool agrees(const struct model *model, uint64_t page)
{
    struct page_view view = model->one->view(model->self);
    const struct page *expected = &model->pages[page];
    unsigned level;
    const uint64_t *leaf = page_leaf(&view, va_of(page), &level);
    uint64_t frame;

    if (model->one->query(model->self, va_of(page), &frame) != (expected->frame != 0))
        return false;
    if (expected->frame == 0)
        return leaf == NULL;
    return frame == expected->frame && leaf != NULL && level == 1 &&
           *leaf == (frame << PS_PAGE_SHIFT | page_leaf_bits(1, expected->writable));
}

static uint64_t count_disagreements(const struct model *model)
{
    uint64_t count = 0;

    for (uint64_t page = 0; page < PAGES; page++)
        count += !agrees(model, page);
    return count;
}

static bool all_are(const struct model *model, bool mapped)
{
    for (uint64_t i = 0; i < model->count; i++)
        if ((model->pages[model->first + i].frame != 0) != mapped)
            return false;
    return true;
}

/* ---- random calls, as the contract allows them ---- */

static void map_some(struct test *test, struct model *model, struct test_random *random)
{
    static ps_frame_t frames[LONGEST];

    for (uint64_t i = 0; i < model->count; i++) {
        frames[i] = ps_frame(1 + test_random_below(random, (uint64_t)1 << 39));
        model->pages[model->first + i] = (struct page){frames[i].number, true};
    }
    EXPECT(model->one->map(model->self, va_of(model->first), frames, model->count));
}

static void map_run_of(struct test *test, struct model *model, struct test_random *random)
{
    struct page_stretch stretch = {.va = va_of(model->first),
                                   .first = 1 + test_random_below(random, (uint64_t)1 << 39),
                                   .pages = model->count,
                                   .level = 1};

    for (uint64_t i = 0; i < model->count; i++)
        model->pages[model->first + i] = (struct page){stretch.first + i, true};
    EXPECT(model->one->map_run(model->self, &stretch));
}

static void change_some(struct test *test, struct model *model, bool unmap, bool writable)
{
    uint64_t va = va_of(model->first);

    for (uint64_t i = 0; i < model->count; i++) {
        model->pages[model->first + i].writable = writable;
        if (unmap)
            model->pages[model->first + i].frame = 0;
    }
    EXPECT(unmap ? model->one->unmap(model->self, va, model->count)
                 : model->one->protect(model->self, va, model->count, writable));
}

static void take_step(struct test *test, struct model *model, struct test_random *random)
{
    bool single = test_random_below(random, 2) == 0;

    model->count = 1 + (single ? 0 : test_random_below(random, LONGEST));
    model->first = test_random_below(random, PAGES - model->count + 1);
    if (all_are(model, true))
        change_some(test, model, test_random_below(random, 2) == 0,
                    test_random_below(random, 2) == 0);
    else if (!all_are(model, false))
        return;
    else if (test_random_below(random, 2) == 0)
        map_some(test, model, random);
    else
        map_run_of(test, model, random);
}

static void play(struct test *test, const struct page_candidate *one, uint64_t seed)
{
    struct test_random random = test_random(seed);
    struct model model;

    if (EXPECT(open_model(&model, one))) {
        for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
            take_step(test, &model, &random);
            EXPECT(agrees(&model, model.first));
            EXPECT(agrees(&model, model.first + model.count - 1));
        }
        EXPECT_EQ(count_disagreements(&model), 0);
    }
    if (test->failures != 0)
        test_note(test, "%s, seed %" PS_PRIu, one->name, seed);
    close_model(&model);
}

static void walker_agrees_with_the_oracle(struct test *test)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play(test, &baseline_walker, seed);
}

static void plain_stores_agree_with_the_oracle(struct test *test)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play(test, &baseline_stores, seed);
}

/* ---- large leaves ---- */

/* Every leaf of the stretch, and nothing before and behind. */
static void expect_large(struct test *test, const struct page_candidate *one,
                         const struct page_stretch *stretch)
{
    void *self = one->open();
    uint64_t bytes = page_level_bytes(stretch->level);
    uint64_t end = stretch->va + (stretch->pages << PS_PAGE_SHIFT);
    struct page_view view;
    unsigned level;

    REQUIRE(self != NULL);
    EXPECT(one->prepare == NULL || one->prepare(self, stretch));
    EXPECT(one->map_run(self, stretch));
    view = one->view(self);
    for (uint64_t va = stretch->va; va < end; va += bytes) {
        const uint64_t *leaf = page_leaf(&view, va, &level);
        uint64_t address = va - stretch->va + (stretch->first << PS_PAGE_SHIFT);

        if (!EXPECT(leaf != NULL))
            break;
        EXPECT_EQ(*leaf, address | page_leaf_bits(stretch->level, true));
        EXPECT_EQ(level, stretch->level);
    }
    EXPECT(page_leaf(&view, stretch->va - 1, &level) == NULL);
    EXPECT(page_leaf(&view, end, &level) == NULL);
    EXPECT(one->clear(self, stretch));
    view = one->view(self);
    EXPECT(page_leaf(&view, stretch->va, &level) == NULL);
    one->close(self);
}

static void large_leaves_are_where_they_belong(struct test *test)
{
    static const struct page_candidate *const all[] = {&baseline_walker, &baseline_ident,
                                                       &baseline_stores};
    /* From the middle of a table over the border of its parent. */
    static const struct page_stretch stretches[] = {
        {.va = ((uint64_t)1 << 39) - 5 * PS_GIB - 6 * PS_MIB,
         .first = 512 * 7,
         .pages = 11 * PS_GIB >> PS_PAGE_SHIFT,
         .level = 2},
        {.va = ((uint64_t)1 << 39) - 300 * PS_GIB,
         .first = 5 * PS_GIB >> PS_PAGE_SHIFT,
         .pages = 900 * PS_GIB >> PS_PAGE_SHIFT,
         .level = 3},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(all); i++)
        for (size_t s = 0; s < PS_ARRAY_SIZE(stretches); s++)
            expect_large(test, all[i], &stretches[s]);
}

static void ident_skips_what_is_mapped(struct test *test)
{
    struct page_stretch small = {
        .va = 4 * PS_GIB + 2 * PS_MIB, .first = 512 * 9, .pages = 512, .level = 2};
    struct page_stretch large = {.va = 4 * PS_GIB, .first = 512 * 64, .pages = 512 * 4, .level = 2};
    void *self = baseline_ident.open();
    struct page_view view;
    unsigned level;

    REQUIRE(self != NULL);
    EXPECT(baseline_ident.map_run(self, &small));
    EXPECT(baseline_ident.map_run(self, &large));
    view = baseline_ident.view(self);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t frame = i == 1 ? small.first : large.first + 512 * i;

        EXPECT_EQ(*page_leaf(&view, large.va + i * 2 * PS_MIB, &level),
                  frame << PS_PAGE_SHIFT | page_leaf_bits(2, true));
    }
    baseline_ident.close(self);
}

/* ---- what only the walker does ---- */

static void walker_refuses_what_is_there_and_what_is_not(struct test *test)
{
    const ps_frame_t frame = ps_frame(77);
    void *self = baseline_walker.open();
    uint64_t found = 0;

    REQUIRE(self != NULL);
    EXPECT(baseline_walker.map(self, BASE, &frame, 1));
    EXPECT(!baseline_walker.map(self, BASE, &frame, 1));
    EXPECT(!baseline_walker.unmap(self, BASE + PS_PAGE_SIZE, 1));
    EXPECT(!baseline_walker.protect(self, BASE + PS_PAGE_SIZE, 1, false));
    EXPECT(!baseline_walker.query(self, BASE + PS_PAGE_SIZE, &found));
    EXPECT(baseline_walker.query(self, BASE + 5, &found));
    EXPECT_EQ(found, 77);
    baseline_walker.close(self);
}

/* One page is small and read-only; all others map what they did. */
static void expect_cut(struct test *test, unsigned level_before)
{
    uint64_t bytes = page_level_bytes(level_before);
    struct page_stretch leaf = {.va = 64 * PS_GIB,
                                .first = 16 * PS_GIB >> PS_PAGE_SHIFT,
                                .pages = bytes >> PS_PAGE_SHIFT,
                                .level = level_before};
    uint64_t changed = leaf.pages / 2 + 3;
    void *self = baseline_walker.open();
    struct page_view view;

    REQUIRE(self != NULL);
    EXPECT(baseline_walker.map_run(self, &leaf));
    EXPECT(baseline_walker.protect(self, leaf.va + (changed << PS_PAGE_SHIFT), 1, false));
    view = baseline_walker.view(self);
    for (uint64_t i = 0; i < leaf.pages && test->failures == 0; i++) {
        uint64_t frame = 0;
        unsigned level;
        const uint64_t *entry = page_leaf(&view, leaf.va + (i << PS_PAGE_SHIFT), &level);

        EXPECT(baseline_walker.query(self, leaf.va + (i << PS_PAGE_SHIFT), &frame));
        EXPECT_EQ(frame, leaf.first + i);
        EXPECT_EQ((*entry & PAGE_WRITABLE) != 0, i != changed);
        EXPECT_EQ(level, i / 512 == changed / 512 ? 1 : 2);
    }
    baseline_walker.close(self);
}

static void walker_cuts_large_leaves(struct test *test)
{
    expect_cut(test, 2);
    expect_cut(test, 3);
}

static void baselines_say_when_tables_run_out(struct test *test)
{
    /* One table for each GiB: more than there are. */
    const struct page_stretch much = {
        .va = 512 * PS_GIB, .first = 512, .pages = 9 * PS_TIB >> PS_PAGE_SHIFT, .level = 2};
    static const struct page_candidate *const all[] = {&baseline_walker, &baseline_ident};
    void *self;

    for (size_t i = 0; i < PS_ARRAY_SIZE(all); i++) {
        self = all[i]->open();
        REQUIRE(self != NULL);
        EXPECT(!all[i]->map_run(self, &much));
        all[i]->close(self);
    }
    self = baseline_stores.open();
    REQUIRE(self != NULL);
    EXPECT(!baseline_stores.prepare(self, &much));
    baseline_stores.close(self);
}

/* ---- */

static const struct test_case cases[] = {
    TEST_CASE(walker_agrees_with_the_oracle),
    TEST_CASE(plain_stores_agree_with_the_oracle),
    TEST_CASE(large_leaves_are_where_they_belong),
    TEST_CASE(ident_skips_what_is_mapped),
    TEST_CASE(walker_refuses_what_is_there_and_what_is_not),
    TEST_CASE(walker_cuts_large_leaves),
    TEST_CASE(baselines_say_when_tables_run_out),
};

const struct test_suite page_baseline_suite = TEST_SUITE("bench_page_baseline", cases);
