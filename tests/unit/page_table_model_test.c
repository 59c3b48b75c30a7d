#include "page_table_fixture.h"

#include <string.h>

#include "hw.h"

/*
 * Random calls against a flat model: an array with one element a page. After every call the
 * whole space is read back and compared, and both processors look at some pages.
 *
 * The window begins in the last 2 MiB of one 1 GiB block and reaches into the next, so that
 * ranges cross tables of all levels. Frames are those of the fixture's own RAM; frames and
 * addresses are aligned alike often enough for large leaves.
 */

enum {
    SEEDS = 12,
    STEPS = 250,
    WINDOW = 2048, /* pages */
};

#define BASE (TABLE_HIGH + PS_GIB - 1024 * PS_PAGE_SIZE)

struct page {
    bool mapped;
    bool permanent;
    uint8_t level;
    ps_attr_t attr;
    uint64_t frame;
};

struct model {
    struct table_fixture *f;
    struct test_random random;
    struct page pages[WINDOW];
    uint64_t page; /* of the call under way */
    uint64_t count;
};

static uint64_t below(struct model *model, uint64_t bound)
{
    return test_random_below(&model->random, bound);
}

static ps_attr_t random_attr(struct model *model)
{
    static const unsigned access[] = {PS_READ, PS_READ | PS_WRITE, PS_READ | PS_EXECUTE};
    unsigned more = below(model, 4) == 0 ? PS_GLOBAL : 0u;
    enum ps_cache cache =
        below(model, 4) == 0 ? (enum ps_cache)below(model, PS_CACHE_COUNT) : PS_CACHE_WRITE_BACK;

    return ps_attr(access[below(model, 3)] | more, cache);
}

/* Mostly short ranges; sometimes long ones, and ends on the borders of large leaves. */
static void random_range(struct model *model)
{
    model->page = below(model, WINDOW);
    if (below(model, 3) == 0)
        model->page &= ~(uint64_t)511;
    model->count = 1 + below(model, below(model, 4) == 0 ? WINDOW : 20);
    if (below(model, 3) == 0)
        model->count = 512 * (1 + below(model, 3));
    model->count = ps_min(model->count, WINDOW - model->page);
}

static struct page *page_at(struct model *model, uint64_t page)
{
    return &model->pages[page];
}

/* ---- the model's own idea of a cut ---- */

/* First page of the 2 MiB leaf that holds `page`. The window begins on such a border. */
static uint64_t large_start(uint64_t page)
{
    return page & ~(uint64_t)511;
}

static bool sticks_out(const struct model *model, uint64_t page)
{
    uint64_t start = large_start(page);

    return model->pages[page].mapped && model->pages[page].level == PS_LEAF_2M &&
           (start < model->page || start + 512 > model->page + model->count);
}

static bool cuts_permanent(const struct model *model)
{
    uint64_t last = model->page + model->count - 1;

    return (sticks_out(model, model->page) && model->pages[model->page].permanent) ||
           (sticks_out(model, last) && model->pages[last].permanent);
}

static void cut(struct model *model, uint64_t page)
{
    uint64_t start = large_start(page);

    for (uint64_t i = start; i < start + 512; i++)
        model->pages[i].level = PS_LEAF_4K;
}

/* ---- calls: on the model, then on the library, and both must answer alike ---- */

static bool any_mapped(const struct model *model)
{
    for (uint64_t i = 0; i < model->count; i++)
        if (model->pages[model->page + i].mapped)
            return true;
    return false;
}

static void model_map(struct model *model, uint64_t page, uint64_t frame, ps_attr_t attr,
                      unsigned level, bool permanent)
{
    model->pages[page] = (struct page){
        .mapped = true,
        .permanent = permanent,
        .level = (uint8_t)level,
        .attr = attr,
        .frame = frame,
    };
}

static void step_map_run(struct test *test, struct model *model)
{
    ps_attr_t attr = random_attr(model);
    unsigned flags = (unsigned)below(model, 4);
    bool aligned = below(model, 2) == 0;
    uint64_t frame =
        TABLE_FIRST_FRAME + 256 + (aligned ? model->page : model->page + 1 + below(model, 100));
    ps_status expected = any_mapped(model) ? PS_ALREADY_EXISTS : PS_OK;

    EXPECT_STATUS(ps_page_table_map_run(&model->f->table, at(BASE, model->page), ps_frame(frame),
                                        ps_pages(model->count), attr, flags),
                  expected);
    for (uint64_t i = 0; expected == PS_OK && i < model->count; i++) {
        uint64_t page = model->page + i;
        uint64_t start = large_start(page);
        bool fits = start >= model->page && start + 512 <= model->page + model->count;
        bool large = aligned && fits && (flags & PS_MAP_SMALL) == 0;

        model_map(model, page, frame + i, attr, large ? PS_LEAF_2M : PS_LEAF_4K,
                  (flags & PS_MAP_PERMANENT) != 0);
    }
}

/* What an upgrade does to one page: PS_OK and *changed, or a refusal. */
static ps_status model_upgrade(const struct page *old, uint64_t frame, ps_attr_t attr,
                               struct page *new)
{
    unsigned rights = PS_WRITE | PS_EXECUTE | PS_USER;

    *new = *old;
    if (old->frame == frame) {
        new->attr = ps_attr(old->attr.access | (unsigned)attr.access, (enum ps_cache)attr.cache);
        return ps_attr_is_valid(new->attr) ? PS_OK : PS_ACCESS_DENIED;
    }
    if ((old->attr.access & rights & ~(unsigned)attr.access) != 0)
        return PS_ACCESS_DENIED;
    *new = (struct page){.mapped = true, .level = PS_LEAF_4K, .attr = attr, .frame = frame};
    return PS_OK;
}

static bool same_page(const struct page *a, const struct page *b)
{
    return a->mapped == b->mapped && a->frame == b->frame && ps_attr_equal(a->attr, b->attr);
}

static ps_status predict_upgrade(const struct model *model, const ps_frame_t *frames,
                                 ps_attr_t attr)
{
    for (uint64_t i = 0; i < model->count; i++) {
        const struct page *old = &model->pages[model->page + i];
        struct page new;

        if (!old->mapped)
            continue;
        if (model_upgrade(old, frames[i].number, attr, &new) != PS_OK)
            return PS_ACCESS_DENIED;
        if (!same_page(old, &new) && old->level > 1 && old->permanent)
            return PS_ACCESS_DENIED;
    }
    return PS_OK;
}

static ps_status predict_map(const struct model *model, const ps_frame_t *frames, ps_attr_t attr,
                             enum ps_existing existing)
{
    if (existing == PS_EXISTING_ERROR)
        return any_mapped(model) ? PS_ALREADY_EXISTS : PS_OK;
    return existing == PS_EXISTING_SKIP ? PS_OK : predict_upgrade(model, frames, attr);
}

static void model_map_over(struct model *model, uint64_t page, uint64_t frame, ps_attr_t attr,
                           enum ps_existing existing)
{
    struct page new;

    if (!model->pages[page].mapped) {
        model_map(model, page, frame, attr, PS_LEAF_4K, false);
        return;
    }
    if (existing == PS_EXISTING_SKIP ||
        model_upgrade(&model->pages[page], frame, attr, &new) != PS_OK ||
        same_page(&model->pages[page], &new))
        return;
    if (model->pages[page].level > 1)
        cut(model, page);
    new.level = PS_LEAF_4K;
    model->pages[page] = new;
}

static void step_map(struct test *test, struct model *model)
{
    ps_attr_t attr = random_attr(model);
    enum ps_existing existing = (enum ps_existing)below(model, 3);
    static ps_frame_t frames[WINDOW];
    ps_status expected;

    for (uint64_t i = 0; i < model->count; i++) {
        const struct page *old = &model->pages[model->page + i];
        bool keep = old->mapped && below(model, 20) != 0;

        frames[i] = ps_frame(keep ? old->frame : TABLE_FIRST_FRAME + below(model, TABLE_FRAMES));
    }
    expected = predict_map(model, frames, attr, existing);
    EXPECT_STATUS(ps_page_table_map(&model->f->table, at(BASE, model->page), frames,
                                    ps_pages(model->count), attr, existing),
                  expected);
    for (uint64_t i = 0; expected == PS_OK && i < model->count; i++)
        model_map_over(model, model->page + i, frames[i].number, attr, existing);
}

static void cut_ends(struct model *model)
{
    uint64_t last = model->page + model->count - 1;

    if (sticks_out(model, model->page))
        cut(model, model->page);
    if (sticks_out(model, last))
        cut(model, last);
}

static void step_unmap(struct test *test, struct model *model)
{
    ps_status expected = cuts_permanent(model) ? PS_ACCESS_DENIED : PS_OK;

    EXPECT_STATUS(
        ps_page_table_unmap(&model->f->table, at(BASE, model->page), ps_pages(model->count), NULL),
        expected);
    if (expected != PS_OK)
        return;
    cut_ends(model);
    memset(page_at(model, model->page), 0, model->count * sizeof(struct page));
}

static void step_protect(struct test *test, struct model *model)
{
    ps_status expected = cuts_permanent(model) ? PS_ACCESS_DENIED : PS_OK;
    ps_attr_t attr = random_attr(model);

    EXPECT_STATUS(ps_page_table_protect(&model->f->table, at(BASE, model->page),
                                        ps_pages(model->count), attr),
                  expected);
    for (uint64_t i = 0; expected == PS_OK && i < model->count; i++) {
        struct page *page = page_at(model, model->page + i);

        /* A leaf that has these attributes already is not cut. */
        if (!page->mapped || ps_attr_equal(page->attr, attr))
            continue;
        if (sticks_out(model, model->page + i))
            cut(model, model->page + i);
        page->attr = attr;
    }
}

/* Two ranges in one round, with a neighbour mapped in between. */
static void step_retire_two(struct test *test, struct model *model)
{
    struct ps_page_table *table = &model->f->table;
    uint64_t first = model->count / 2;
    struct ps_tlb_gather gather;

    if (cuts_permanent(model) || first == 0)
        return;
    /* A permanent leaf over the border between the two would be cut there. */
    if (model->pages[model->page + first].level > 1 && (model->page + first) % 512 != 0)
        first = model->count;
    ps_tlb_gather_init(&gather, table->machine);
    EXPECT_OK(ps_page_table_retire(table, at(BASE, model->page), ps_pages(first), &gather));
    EXPECT_OK(ps_page_table_retire(table, at(BASE, model->page + first),
                                   ps_pages(model->count - first), &gather));
    (void)ps_tlb_gather_flush(&gather);
    EXPECT_OK(ps_page_table_sweep(table, at(BASE, model->page + first),
                                  ps_pages(model->count - first), NULL));
    EXPECT_OK(ps_page_table_sweep(table, at(BASE, model->page), ps_pages(first), NULL));
    cut_ends(model);
    memset(page_at(model, model->page), 0, model->count * sizeof(struct page));
}

/* ---- comparing ---- */

struct comparison {
    struct test *test;
    const struct model *model;
    uint64_t next; /* page of the window that comes next */
    bool failed;
};

static bool compare_page(const struct page *page, const struct ps_mapped_range *range, uint64_t n)
{
    return page->mapped && page->frame == range->frame.number + n &&
           ps_attr_equal(page->attr, range->attr) && page->level == range->leaf &&
           page->permanent == range->permanent;
}

static bool compare_range(void *context, const struct ps_mapped_range *range)
{
    struct comparison *comparison = context;
    uint64_t page = (range->va.addr - BASE) / PS_PAGE_SIZE;

    for (; comparison->next < page; comparison->next++)
        comparison->failed |= comparison->model->pages[comparison->next].mapped;
    for (uint64_t n = 0; n < range->pages.count; n++) {
        comparison->failed |= comparison->next >= WINDOW ||
                              !compare_page(&comparison->model->pages[page + n], range, n);
        comparison->next++;
    }
    return !comparison->failed;
}

static void compare_all(struct test *test, const struct model *model)
{
    struct comparison comparison = {.test = test, .model = model};

    ps_page_table_for_each(&model->f->table, compare_range, &comparison);
    for (; comparison.next < WINDOW; comparison.next++)
        comparison.failed |= model->pages[comparison.next].mapped;
    EXPECT(!comparison.failed);
    EXPECT_OK(ps_page_table_validate(&model->f->table, NULL));
}

static bool may(const struct page *page, unsigned access)
{
    return page->mapped && (access != MMU_WRITE || (page->attr.access & PS_WRITE) != 0) &&
           (access != MMU_FETCH || (page->attr.access & PS_EXECUTE) != 0);
}

/*
 * A processor may answer a call that only added access with one fault from an old translation;
 * the second try counts. Access that the model denies must be refused at once.
 */
static void touch_some(struct test *test, struct model *model)
{
    for (unsigned i = 0; i < 24; i++) {
        uint64_t page =
            below(model, 2) == 0 ? below(model, WINDOW) : model->page + below(model, model->count);
        unsigned access = (unsigned)below(model, 3);
        unsigned cpu = (unsigned)below(model, MMU_PROCESSORS);
        struct mmu_answer answer = mmu_translate(model->f->mmu, cpu, at(BASE, page), access);
        const struct page *known = page_at(model, page);

        if (answer.faulted && may(known, access))
            answer = mmu_translate(model->f->mmu, cpu, at(BASE, page), access);
        if (!EXPECT_EQ(answer.faulted, !may(known, access)) ||
            (!answer.faulted && !EXPECT_EQ(answer.pa.addr, known->frame << 12)))
            test_note(test, "page %" PS_PRIu ", access %u, processor %u", page, access, cpu);
    }
}

static void one_step(struct test *test, struct model *model)
{
    static void (*const steps[])(struct test *, struct model *) = {
        step_map, step_map_run, step_map_run, step_unmap, step_protect, step_retire_two,
    };

    random_range(model);
    steps[below(model, PS_ARRAY_SIZE(steps))](test, model);
    compare_all(test, model);
    touch_some(test, model);
}

static void run_seed(struct test *test, struct table_fixture *f, uint64_t seed)
{
    static struct model model;

    model = (struct model){.f = f, .random = test_random(seed)};
    for (unsigned step = 0; step < STEPS; step++) {
        one_step(test, &model);
        if (test->failures != 0) {
            test_note(test, "seed %" PS_PRIu ", step %u", seed, step);
            return;
        }
    }
    table_unmap(test, f, ps_virt(0xffff800000000000u), (uint64_t)1 << 35);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(random_calls_agree_with_a_flat_model)
{
    for (uint64_t seed = 1; seed <= SEEDS && test->failures == 0; seed++)
        run_seed(test, f, seed);
}

TABLE_CASE(random_calls_agree_with_a_flat_model_in_five_levels, .flags = SIM_FIVE_LEVELS)
{
    run_seed(test, f, 101);
}

TABLE_CASE(random_calls_agree_without_no_execute, .flags = SIM_NO_EXECUTE_DISABLE)
{
    static struct model model;

    /* Without NX every page that can be read can be executed: only the tables are compared. */
    model = (struct model){.f = f, .random = test_random(102)};
    for (unsigned step = 0; step < STEPS && test->failures == 0; step++) {
        random_range(&model);
        (below(&model, 2) == 0 ? step_map_run : step_unmap)(test, &model);
        compare_all(test, &model);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(random_calls_agree_with_a_flat_model),
    TEST_CASE(random_calls_agree_with_a_flat_model_in_five_levels),
    TEST_CASE(random_calls_agree_without_no_execute),
};

const struct test_suite suite_page_table_model = TEST_SUITE("page_table_model", cases);
