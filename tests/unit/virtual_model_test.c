/*
 * Random calls against a model that knows one thing of every page: which allocation has it.
 *
 * The model predicts the answer and the address of every call by looking at single pages;
 * it knows no extents. After every step the counters agree, every few steps each page of
 * the arena is compared with the page table, the list of live allocations and the contents.
 */
#include "virtual_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "unit_suites.h"

enum { PAGES = 160, SEEDS = 16, STEPS = 300, LOOK_EVERY = 10 };

struct model {
    struct virtual_fixture *f;
    struct test_random random;
    uint64_t guard;             /* of the arena */
    uint64_t owner[PAGES];      /* sequence of the allocation, 0: free */
    bool starts[PAGES];         /* this page can be freed whole */
    uint64_t page_guard[PAGES]; /* of the allocation that has the page */
    uint64_t sequence;
    uint64_t failed;
    uint64_t rejected;
    bool zero_page; /* the arena begins at address 0 */
};

/* ---- what the model says ---- */

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a < b ? b - a : a - b;
}

/* No allocation, edge or page 0 is nearer to `page` than guards allow. */
static bool page_is_open(const struct model *m, uint64_t page, uint64_t guard)
{
    uint64_t lowest = m->zero_page ? ps_max(guard, 1) : guard;

    if (page < lowest || PAGES - 1 - page < guard)
        return false;
    for (uint64_t p = 0; p < PAGES; p++)
        if (m->owner[p] != 0 && distance(p, page) <= ps_max(guard, m->page_guard[p]))
            return false;
    return true;
}

/* The lowest fitting page, PAGES when there is none. */
static uint64_t model_place(const struct model *m, const struct ps_virtual_request *request)
{
    uint64_t guard = ps_max(request->guard.count, m->guard);
    uint64_t run = 0;

    for (uint64_t end = 0; end < PAGES; end++) {
        uint64_t first = end + 1 - ps_min(request->pages.count, end + 1);

        run = page_is_open(m, end, guard) ? run + 1 : 0;
        if (run >= request->pages.count &&
            ps_is_aligned(virtual_page(m->f, first).addr,
                          ps_max(request->alignment.count, 1) * PS_PAGE_SIZE))
            return first;
    }
    return PAGES;
}

static void model_take(struct model *m, uint64_t first, const struct ps_virtual_request *request)
{
    m->sequence++;
    m->starts[first] = true;
    for (uint64_t i = 0; i < request->pages.count; i++) {
        m->owner[first + i] = m->sequence;
        m->page_guard[first + i] = ps_max(request->guard.count, m->guard);
        *virtual_word(m->f, first + i) = m->sequence << 32 | (first + i);
    }
}

/* Pages of the allocation from `page` to its end. */
static uint64_t model_rest(const struct model *m, uint64_t page)
{
    uint64_t rest = 1;

    while (page + rest < PAGES && m->owner[page + rest] == m->owner[page] &&
           !m->starts[page + rest])
        rest++;
    return rest;
}

static void model_free(struct model *m, uint64_t page, uint64_t pages)
{
    bool more = pages < model_rest(m, page);

    for (uint64_t i = 0; i < pages; i++) {
        m->owner[page + i] = 0;
        m->starts[page + i] = false;
    }
    if (more)
        m->starts[page + pages] = true;
}

/* ---- one step ---- */

static struct ps_virtual_request random_request(struct model *m)
{
    struct ps_virtual_request request = {
        .pages = ps_pages(test_random_below(&m->random, 16)), /* none: rejected */
        .alignment = ps_pages((uint64_t)1 << test_random_below(&m->random, 5)),
    };

    if (test_random_below(&m->random, 4) == 0)
        request.guard = ps_pages(test_random_below(&m->random, 7));
    if (test_random_below(&m->random, 4) != 0)
        request.alignment = ps_pages(0);
    request.who.owner = test_random_next(&m->random);
    return request;
}

/* One allocation, sometimes with a frame refused on the way. */
static void step_alloc(struct test *test, struct model *m)
{
    struct ps_virtual_request request = random_request(m);
    uint64_t place = request.pages.count == 0 ? PAGES : model_place(m, &request);
    ps_virt_t va = ps_virt(7);
    ps_status status;

    if (test_random_below(&m->random, 4) == 0)
        ps_frame_pool_fail_after(&m->f->pool, test_random_below(&m->random, 4), false);
    status = ps_virtual_alloc(&m->f->arena, &request, &va);
    ps_frame_pool_fail_after(&m->f->pool, UINT64_MAX, false);
    if (status == PS_NO_MEMORY) { /* only where it had a place */
        EXPECT(place != PAGES);
        m->failed++;
    } else if (request.pages.count == 0) {
        EXPECT_STATUS(status, PS_INVALID_ARGS);
        m->rejected++;
    } else if (place == PAGES) {
        EXPECT_STATUS(status, PS_NO_SPACE);
        m->failed++;
    } else if (EXPECT_OK(status) && EXPECT_EQ(va.addr, virtual_page(m->f, place).addr)) {
        model_take(m, place, &request);
        return;
    }
    EXPECT_EQ(va.addr, 7);
}

static void step_free(struct test *test, struct model *m)
{
    uint64_t page = test_random_below(&m->random, PAGES);
    ps_status status = ps_virtual_free(&m->f->arena, virtual_page(m->f, page));

    if (m->starts[page]) {
        EXPECT_OK(status);
        model_free(m, page, model_rest(m, page));
    } else {
        EXPECT_STATUS(status, PS_NOT_FOUND);
        m->rejected++;
    }
}

static void step_free_part(struct test *test, struct model *m)
{
    uint64_t page = test_random_below(&m->random, PAGES);
    uint64_t pages = 1 + test_random_below(&m->random, 8);
    ps_status status;

    status = ps_virtual_free_part(&m->f->arena, virtual_page(m->f, page), ps_pages(pages));
    if (m->owner[page] == 0) {
        EXPECT_STATUS(status, PS_NOT_FOUND);
        m->rejected++;
    } else if (pages > model_rest(m, page)) {
        EXPECT_STATUS(status, PS_WRONG_SIZE);
        m->rejected++;
    } else if (EXPECT_OK(status)) {
        model_free(m, page, pages);
    }
}

static void step(struct test *test, struct model *m)
{
    uint64_t dice = test_random_below(&m->random, 10);

    if (dice < 4)
        step_alloc(test, m);
    else if (dice < 8)
        step_free(test, m);
    else
        step_free_part(test, m);
}

/* ---- comparing ---- */

static void compare_counters(struct test *test, struct model *m)
{
    const struct ps_virtual_counters *counters = &m->f->arena.counters;
    uint64_t pages = 0;
    uint64_t live = 0;

    for (uint64_t p = 0; p < PAGES; p++) {
        pages += m->owner[p] != 0;
        live += m->starts[p];
    }
    EXPECT_EQ(counters->live, live);
    EXPECT_EQ(counters->live_pages, pages);
    EXPECT_EQ(counters->failed, m->failed);
    EXPECT_EQ(counters->rejected, m->rejected);
    EXPECT_EQ(m->f->arena.sequence, m->sequence);
}

static void compare_live(struct test *test, struct model *m)
{
    struct ps_virtual_info infos[PAGES];
    uint64_t count = ps_virtual_live(&m->f->arena, infos, PAGES);
    uint64_t at = 0;

    for (uint64_t p = 0; p < PAGES; p++) {
        if (!m->starts[p])
            continue;
        REQUIRE(at < count);
        EXPECT_EQ(infos[at].va.addr, virtual_page(m->f, p).addr);
        EXPECT_EQ(infos[at].pages.count, model_rest(m, p));
        EXPECT_EQ(infos[at].sequence, m->owner[p]);
        at++;
    }
    EXPECT_EQ(count, at);
}

/* The tables, read back page by page, hold what the model says and nothing else. */
struct readback {
    struct model *model;
    bool mapped[PAGES];
    uint64_t outside;
};

static bool read_range(void *context, const struct ps_mapped_range *range)
{
    struct readback *back = context;
    uint64_t base = back->model->f->arena.base.addr;

    for (uint64_t i = 0; i < range->pages.count; i++) {
        uint64_t va = range->va.addr + i * PS_PAGE_SIZE;

        if (va < base || (va - base) / PS_PAGE_SIZE >= PAGES)
            back->outside++;
        else
            back->mapped[(va - base) / PS_PAGE_SIZE] = true;
    }
    return true;
}

static void compare_pages(struct test *test, struct model *m)
{
    struct readback back = {.model = m};

    ps_page_table_for_each(&m->f->table, read_range, &back);
    EXPECT_EQ(back.outside, 0);
    for (uint64_t p = 0; p < PAGES; p++) {
        EXPECT(back.mapped[p] == (m->owner[p] != 0));
        if (m->owner[p] != 0)
            EXPECT_EQ(*virtual_word(m->f, p) & UINT32_MAX, p);
        if (m->owner[p] != 0)
            EXPECT_EQ(*virtual_word(m->f, p) >> 32, m->owner[p]);
    }
}

static void compare(struct test *test, struct model *m)
{
    compare_live(test, m);
    compare_pages(test, m);
    EXPECT_OK(ps_virtual_validate(&m->f->arena, NULL));
    EXPECT_OK(ps_page_table_validate(&m->f->table, NULL));
    EXPECT_OK(ps_frame_pool_validate(&m->f->pool, NULL));
}

static void run_seed(struct test *test, struct virtual_fixture *f, uint64_t seed)
{
    struct model m = {.f = f, .random = test_random(seed), .guard = f->arena.guard.count};

    m.zero_page = f->arena.base.addr == 0;
    m.sequence = f->arena.sequence;
    m.failed = f->arena.counters.failed;
    m.rejected = f->arena.counters.rejected;
    for (unsigned i = 0; i < STEPS && test->failures == 0; i++) {
        step(test, &m);
        compare_counters(test, &m);
        if (i % LOOK_EVERY == 0)
            compare(test, &m);
        if (test->failures != 0)
            test_note(test, "seed %" PS_PRIu ", step %u", seed, i);
    }
    for (uint64_t p = 0; p < PAGES; p++)
        if (m.starts[p])
            virtual_free(test, f, p);
}

static void run_seeds(struct test *test, struct virtual_fixture *f, uint64_t first)
{
    for (uint64_t seed = first; seed < first + SEEDS && test->failures == 0; seed++)
        run_seed(test, f, seed);
}

VIRTUAL_CASE(random_calls_agree_with_the_model, .pages = PAGES, .guard = 1)
{
    run_seeds(test, f, 100);
}

VIRTUAL_CASE(random_calls_without_guards_agree_with_the_model, .pages = PAGES)
{
    run_seeds(test, f, 200);
}

VIRTUAL_CASE(random_calls_from_address_zero_agree_with_the_model, .base_is_zero = true,
             .pages = PAGES)
{
    run_seeds(test, f, 300);
}

VIRTUAL_CASE(random_calls_up_to_the_top_agree_with_the_model,
             .base = UINT64_MAX - (PAGES * (uint64_t)4096 - 1), .pages = PAGES, .guard = 2)
{
    run_seeds(test, f, 400);
}

static const struct test_case cases[] = {
    TEST_CASE(random_calls_agree_with_the_model),
    TEST_CASE(random_calls_without_guards_agree_with_the_model),
    TEST_CASE(random_calls_from_address_zero_agree_with_the_model),
    TEST_CASE(random_calls_up_to_the_top_agree_with_the_model),
};

const struct test_suite suite_virtual_model = TEST_SUITE("virtual_model", cases);
