#include "costs.h"

#include <pagestage/tlb.h>

#include "live_world.h"
#include "traps.h"

enum {
    ROUNDS = 5,
    PAGES = 512,   /* a whole table of them: what is promoted */
    REFILLED = 64, /* pages: what code uses again at once after a full flush */
};

/* Longer than anything here takes; also what a counter shows that stands still or runs back. */
#define ENDLESS ((uint64_t)1 << 40)

struct subject {
    struct application *app;
    struct ps_page_table *table;
    ps_frame_t first; /* of the pages: 2 MiB, aligned */
    ps_frame_t frames[PAGES];
    uint64_t spins;
    bool failed;
};

/* Concerns `count` pages from number `page` on. */
typedef void operation(struct subject *subject, uint64_t page, uint64_t count);

/* ---- operations ---- */

static void nothing(struct subject *subject, uint64_t page, uint64_t count)
{
    (void)subject;
    (void)page;
    (void)count;
}

static void spin_short(struct subject *subject, uint64_t page, uint64_t count)
{
    uint64_t spins = subject->spins;

    __asm__ volatile("1: decq %0; jnz 1b" : "+r"(spins) : : "cc");
    nothing(subject, page, count);
}

static void spin_long(struct subject *subject, uint64_t page, uint64_t count)
{
    uint64_t spins = subject->spins;
    uint64_t product = spins;

    __asm__ volatile("1: imulq %1, %1; imulq %1, %1; imulq %1, %1; imulq %1, %1; decq %0; jnz 1b"
                     : "+r"(spins), "+r"(product)
                     :
                     : "cc");
    nothing(subject, page, count);
}

/* `count` pages, or everything; only what is read is filled in: that is part of the time. */
static void invalidate(const struct subject *subject, uint64_t page, uint64_t count, bool global)
{
    struct ps_invalidation what;

    what.count = count != 0;
    what.global = global;
    what.ranges[0] =
        (struct ps_flush_range){ps_virt(PS_STAGE_ARENA + page * PS_PAGE_SIZE), (uint32_t)count, 1};
    ps_tlb_invalidate_here(subject->table->machine, &what);
}

static void invalidate_page(struct subject *subject, uint64_t page, uint64_t count)
{
    invalidate(subject, page, count, false);
}

static void invalidate_all(struct subject *subject, uint64_t page, uint64_t count)
{
    (void)count;
    invalidate(subject, page, 0, false);
}

static void invalidate_global(struct subject *subject, uint64_t page, uint64_t count)
{
    (void)count;
    invalidate(subject, page, 0, true);
}

/* Pages of the image, each at another offset so that they do not fight for a place in the cache. */
static void touch_image(struct subject *subject, uint64_t page, uint64_t count)
{
    enum { LINES = 64, LINE = 64 };
    const struct image *image = &subject->app->image;
    uint64_t left = REFILLED;

    for (size_t i = 0; i < image->section_count; i++) {
        const struct ps_stage_section *section = &image->sections[i];
        uint64_t at = ps_phys_of_frame(section->first).addr;

        for (uint64_t n = section->pages.count; n != 0 && left != 0; n--, left--) {
            (void)*(const volatile uint8_t *)(uintptr_t)(at + left % LINES * LINE);
            at += PS_PAGE_SIZE;
        }
    }
    nothing(subject, page, count);
}

static const ps_attr_t writable = {PS_READ | PS_WRITE, PS_CACHE_WRITE_BACK};
static const ps_attr_t read_only = {PS_READ, PS_CACHE_WRITE_BACK};

static ps_virt_t page_at(uint64_t page)
{
    return ps_virt(LIVE_SCRATCH + page * PS_PAGE_SIZE);
}

static void expect(struct subject *subject, ps_status status)
{
    subject->failed |= status != PS_OK;
}

static void map(struct subject *subject, uint64_t page, uint64_t count)
{
    expect(subject, ps_page_table_map(subject->table, page_at(page), &subject->frames[page],
                                      ps_pages(count), writable, PS_EXISTING_ERROR));
}

static void map_run(struct subject *subject, uint64_t page, uint64_t count)
{
    expect(subject, ps_page_table_map_run(subject->table, page_at(page), subject->first,
                                          ps_pages(count), writable, PS_MAP_SMALL));
}

static void protect(struct subject *subject, uint64_t page, uint64_t count)
{
    expect(subject,
           ps_page_table_protect(subject->table, page_at(page), ps_pages(count), read_only));
}

static void unmap(struct subject *subject, uint64_t page, uint64_t count)
{
    expect(subject, ps_page_table_unmap(subject->table, page_at(page), ps_pages(count), NULL));
}

static void query(struct subject *subject, uint64_t page, uint64_t count)
{
    struct ps_translation found;

    expect(subject, ps_page_table_query(subject->table, page_at(page), &found));
    (void)count;
}

/* The processor knows the page then, and has marked it as written. */
static void use(struct subject *subject, uint64_t page, uint64_t count)
{
    if (!subject->failed)
        *(volatile uint8_t *)ps_pointer_of_virt(page_at(page)) = 0;
    (void)count;
}

static void promote(struct subject *subject, uint64_t page, uint64_t count)
{
    expect(subject, ps_page_table_promote(subject->table, page_at(page), ps_pages(count)));
}

/* One page in the middle of a large leaf is not like the others any more. */
static void cut(struct subject *subject, uint64_t page, uint64_t count)
{
    protect(subject, page + count / 2, 1);
}

/* The page is not mapped. */
static void fault(struct subject *subject, uint64_t page, uint64_t count)
{
    struct trap_recovery recovery = {.vector = 0};

    subject->failed |= trap_try(&recovery, probe_load, page_at(page).addr, 0);
    (void)count;
}

/* ---- measuring ---- */

/*
 * In this order, again and again. Every step concerns all pages, so many with each call. Those
 * without a name are on the way, or taken off from others.
 */
static const struct step {
    const char *name;
    operation *run;
    uint16_t count;
    uint16_t units; /* what its cost is divided by */
} steps[] = {
    {NULL, nothing, 1, 1},
    {NULL, nothing, PAGES, 1},
    {NULL, touch_image, PAGES, 1},
    {"full", invalidate_all, PAGES, 1},
    {"refill", touch_image, PAGES, 1},
    {NULL, touch_image, PAGES, 1},
    {"global", invalidate_global, PAGES, 1},
    {"single", invalidate_page, 1, PAGES},
    {"map_single", map, 1, PAGES},
    {NULL, use, 1, 1},
    {"query", query, 1, PAGES},
    {"protect_single", protect, 1, PAGES},
    {"unmap_single", unmap, 1, PAGES},
    {"map_scattered", map, PAGES, PAGES},
    {NULL, use, 1, 1},
    {"protect", protect, PAGES, PAGES},
    {"unmap", unmap, PAGES, PAGES},
    {"map_run", map_run, PAGES, PAGES},
    {NULL, use, 1, 1},
    {"promotion", promote, PAGES, 1},
    {"demotion", cut, PAGES, 1},
    {NULL, unmap, PAGES, 1},
    {"fault", fault, 1, PAGES},
};
enum { EMPTY_SINGLE, EMPTY, FULL = 3, REFILL, WARM, SINGLE = 7, FIRST_OF_PAGES, STEPS = 23 };
_Static_assert(PS_ARRAY_SIZE(steps) == STEPS, "the numbers of the steps are right");

static struct {
    uint64_t ticks;         /* of the counter, an instruction; 0: it does not count them */
    uint64_t lowest[STEPS]; /* less what measuring itself takes */
    const char *missing;    /* why there are no costs of pages */
} costs;

/* One function, not inlined: what measuring itself takes is the same everywhere. */
static __attribute__((noinline)) uint64_t time_of(struct subject *subject, operation *run,
                                                  uint64_t count)
{
    uint64_t start = cpu_timestamp();
    uint64_t end;

    for (uint64_t page = 0; page < PAGES; page += count)
        run(subject, page, count);
    end = cpu_timestamp();
    return end > start && end - start < ENDLESS ? end - start : ENDLESS;
}

static void take_off(size_t step, size_t other)
{
    costs.lowest[step] -= ps_min(costs.lowest[step], costs.lowest[other]);
}

static void measure(struct subject *subject, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        costs.lowest[i] = ENDLESS;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = first; i < end; i++) {
            uint64_t taken = time_of(subject, steps[i].run, steps[i].count);

            costs.lowest[i] = ps_min(costs.lowest[i], taken);
        }
    }
    for (size_t i = ps_max(first, EMPTY + 1); i < end; i++)
        take_off(i, steps[i].count == 1 ? EMPTY_SINGLE : EMPTY);
}

/* What `more` spins more add. */
static uint64_t added_by(struct subject *subject, operation *spin, uint64_t more)
{
    enum { FEW = 100 };
    uint64_t few;
    uint64_t many;

    subject->spins = FEW;
    few = time_of(subject, spin, PAGES);
    subject->spins = FEW + more;
    many = time_of(subject, spin, PAGES);
    return many - ps_min(few, many);
}

/*
 * How far the counter moves with each instruction; 0 when it does not count instructions. One that
 * counts time cannot be exact for a loop of two quick instructions and for one that multiplies.
 */
static uint64_t ticks_an_instruction(struct subject *subject)
{
    enum { SHORT = 2, LONG = 6, SPINS = 1000, LARGEST = 1024 };
    uint64_t ticks = added_by(subject, spin_short, SPINS) / (SHORT * SPINS);

    if (ticks == 0 || ticks > LARGEST)
        return 0;
    for (uint64_t spins = SPINS; spins <= 4 * SPINS; spins *= 2)
        if (added_by(subject, spin_short, spins) != ticks * SHORT * spins ||
            added_by(subject, spin_long, spins) != ticks * LONG * spins)
            return 0;
    return ticks;
}

static void measure_invalidations(struct subject *subject)
{
    uint64_t single;

    measure(subject, 0, FIRST_OF_PAGES);
    take_off(REFILL, WARM);
    single = costs.lowest[SINGLE] / PAGES;
    if (costs.lowest[EMPTY] != ENDLESS && single != 0)
        subject->app->stage.machine.flush_threshold =
            ps_tlb_threshold(single, costs.lowest[FULL], costs.lowest[REFILL]);
}

static uint64_t changes_of_size(struct ps_page_table *table)
{
    struct ps_page_table_counters counters = ps_page_table_counters(table);

    return counters.promotions[PS_LEAF_2M] + counters.demotions[PS_LEAF_2M];
}

static void measure_pages(struct subject *subject)
{
    uint64_t before = changes_of_size(subject->table);

    measure(subject, FIRST_OF_PAGES, STEPS);
    if (subject->failed || changes_of_size(subject->table) - before != 2 * ROUNDS)
        costs.missing = "an operation failed";
}

/* Odd multiples of the page's number visit all of them, and no two neighbours. */
static bool take_frames(struct subject *subject)
{
    enum { FAR = 37 };

    if (ps_frame_pool_alloc(&subject->app->stage.pool, PS_FRAME_2M, PS_FRAME_USER, 0,
                            &subject->first) != PS_OK)
        return false;
    for (uint64_t page = 0; page < PAGES; page++)
        subject->frames[page] = ps_frame_add(subject->first, page * FAR % PAGES);
    return true;
}

void costs_measure(struct application *app)
{
    struct subject subject = {.app = app, .table = &app->stage.table};

    costs.ticks = ticks_an_instruction(&subject);
    measure_invalidations(&subject);
    if (!take_frames(&subject)) {
        costs.missing = "no 2 MiB are free";
        return;
    }
    measure_pages(&subject);
    if (ps_frame_pool_free(&app->stage.pool, subject.first, ps_pages(PAGES)) != PS_OK)
        costs.missing = "the frames could not be given back";
}

/* ---- telling ---- */

/* In instructions, where these are what is counted. */
static uint64_t in_units(uint64_t ticks)
{
    return ticks / ps_max(costs.ticks, 1);
}

static void begin_fact(struct report *report, const char *key)
{
    report_fact_open(report, key);
    ps_print(&report->sink, "{\"unit\":\"%s\"", costs.ticks != 0 ? "instructions" : "cycles");
}

static void report_steps(struct report *report, size_t first, size_t end)
{
    enum { TENTHS = 10 };

    for (size_t i = first; i < end; i++) {
        uint64_t tenths = in_units(costs.lowest[i] * TENTHS) / steps[i].units;

        if (steps[i].name != NULL)
            ps_print(&report->sink, ",\"%s\":%" PS_PRIu ".%" PS_PRIu, steps[i].name,
                     tenths / TENTHS, tenths % TENTHS);
    }
}

static void end_fact(struct report *report)
{
    ps_print(&report->sink, "}");
    report_fact_close(report);
}

void costs_report(const struct application *app, struct report *report)
{
    begin_fact(report, "take-over");
    ps_print(&report->sink, ",\"first_frame\":%" PS_PRIu ",\"all\":%" PS_PRIu,
             in_units(app->first_frame - app->entered), in_units(app->returned - app->entered));
    end_fact(report);
    begin_fact(report, "invalidation");
    report_steps(report, 0, FIRST_OF_PAGES);
    ps_print(&report->sink, ",\"threshold\":%u", app->stage.machine.flush_threshold);
    end_fact(report);
    begin_fact(report, "page-costs");
    if (costs.missing == NULL)
        report_steps(report, FIRST_OF_PAGES, STEPS);
    else
        ps_print(&report->sink, ",\"missing\":\"%s\"", costs.missing);
    end_fact(report);
}
