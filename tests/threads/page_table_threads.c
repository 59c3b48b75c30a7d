#include "page_table_crew.h"

#include <string.h>

/*
 * Page tables under several processors: each changes an area of its own, which it knows page by
 * page, or all change one area, of which only the end is known. Harts walk through all of it.
 */

#define RW ps_attr_ram(PS_READ | PS_WRITE)
#define RO ps_attr_ram(PS_READ)

enum { LARGE = 512, FEW = 32, STEPS = 2000 };

struct page {
    uint64_t frame; /* 0: absent */
    bool writable;
    uint64_t seen; /* writes of harts, that need not be told of */
};

/* What one worker works on. */
struct job {
    struct worker *worker;
    struct table_crew *tables;
    struct ps_page_table *table;
    unsigned space;
    uint64_t base;
    bool alone;                  /* nobody else works there: all of it is known */
    ps_frame_t block;            /* 2 MiB for large leaves, */
    _Atomic(uint64_t) in_blocks; /* and how many of its pages are mapped */
    struct page pages[AREA_PAGES];
    bool told[AREA_PAGES]; /* dirty, by harvest */
    uint64_t done[2];      /* maps of some pages, and of large leaves */
};

static struct job jobs[CREW_MOST];

static uint64_t below(struct job *job, uint64_t bound)
{
    return test_random_below(&job->worker->random, bound);
}

static ps_virt_t at(const struct job *job, uint64_t page)
{
    return ps_virt(job->base + page * PS_PAGE_SIZE);
}

static uint64_t mark(const struct job *job, uint64_t page)
{
    return mark_of(job->space, at(job, page).addr);
}

/* ---- frames come back ---- */

/* The block that a frame is from belongs to one of all workers. */
static bool goes_back_into_a_block(uint64_t frame)
{
    for (unsigned i = 0; i < CREW_MOST; i++) {
        uint64_t block = jobs[i].block.number;

        if (block != 0 && frame >= block && frame - block < LARGE) {
            atomic_fetch_sub_explicit(&jobs[i].in_blocks, 1, memory_order_release);
            return true;
        }
    }
    return false;
}

static void free_frame(struct job *job, ps_frame_t frame)
{
    struct worker *worker = job->worker;

    mark_frame(worker->crew, frame, 0);
    if (!goes_back_into_a_block(frame.number))
        MUST_BE(ps_frame_pool_free(&worker->crew->pool, frame, ps_pages(1)), PS_OK);
}

/* Its mark says where it was. */
static void take_back(struct job *job, ps_frame_t frame)
{
    struct worker *worker = job->worker;
    uint64_t va = mark_of(job->space, frame_words(worker->crew, frame)[1]);
    uint64_t page = (va - job->base) / PS_PAGE_SIZE;

    if (MUST(va >= job->base && page < AREA_PAGES) && job->alone) {
        MUST(job->pages[page].frame == frame.number);
        job->pages[page].frame = 0;
    }
    free_frame(job, frame);
}

static void release(void *context, ps_frame_t first, ps_pages_t pages)
{
    for (uint64_t n = 0; n < pages.count; n++)
        take_back(context, ps_frame_add(first, n));
}

/* ---- calls ---- */

static bool is_absent(const struct job *job, uint64_t page, uint64_t pages)
{
    for (uint64_t n = 0; n < pages; n++)
        if (job->pages[page + n].frame != 0)
            return false;
    return true;
}

static void remember(struct job *job, uint64_t page, uint64_t frame)
{
    if (job->alone)
        job->pages[page] = (struct page){.frame = frame, .writable = true};
}

/* Among others, somebody may have mapped there; memory may be short at any time. */
static bool was_mapped(struct job *job, ps_status status)
{
    struct worker *worker = job->worker;

    if (status != PS_NO_MEMORY && (job->alone || status != PS_ALREADY_EXISTS))
        MUST_BE(status, PS_OK);
    return status == PS_OK;
}

static void map_some(struct job *job)
{
    struct crew *crew = job->worker->crew;
    uint64_t pages = 1 + below(job, FEW);
    uint64_t page = below(job, AREA_PAGES - FEW);
    ps_frame_t frames[FEW];
    ps_status status;

    if (job->alone && !is_absent(job, page, pages))
        return;
    status = ps_frame_pool_alloc_scattered(&crew->pool, pages, PS_FRAME_USER, 0, frames);
    if (!was_mapped(job, status))
        return;
    for (uint64_t n = 0; n < pages; n++)
        mark_frame(crew, frames[n], mark(job, page + n));
    status = ps_page_table_map(job->table, at(job, page), frames, ps_pages(pages), RW,
                               PS_EXISTING_ERROR);
    if (was_mapped(job, status)) {
        job->done[0]++;
        for (uint64_t n = 0; n < pages; n++)
            remember(job, page + n, frames[n].number);
        return;
    }
    for (uint64_t n = 0; n < pages; n++)
        free_frame(job, frames[n]);
}

static void unmap_pages(struct job *job, uint64_t page, uint64_t pages)
{
    struct worker *worker = job->worker;
    const struct ps_frame_release receiver = {release, job};

    MUST_BE(ps_page_table_unmap(job->table, at(job, page), ps_pages(pages), &receiver), PS_OK);
    MUST(!job->alone || is_absent(job, page, pages));
}

/* In place of whatever is there. */
static void map_large(struct job *job)
{
    struct crew *crew = job->worker->crew;
    uint64_t page = below(job, AREA_PAGES / LARGE) * LARGE;
    unsigned flags = below(job, 2) == 0 ? PS_MAP_SMALL : 0;
    uint64_t block = job->block.number;

    unmap_pages(job, page, LARGE);
    if (atomic_load_explicit(&job->in_blocks, memory_order_acquire) != 0 || block == 0)
        return;
    for (uint64_t n = 0; n < LARGE; n++)
        mark_frame(crew, ps_frame(block + n), mark(job, page + n));
    atomic_store(&job->in_blocks, LARGE);
    if (!was_mapped(job, ps_page_table_map_run(job->table, at(job, page), job->block,
                                               ps_pages(LARGE), RW, flags))) {
        atomic_store(&job->in_blocks, 0);
        return;
    }
    job->done[1]++;
    for (uint64_t n = 0; n < LARGE; n++)
        remember(job, page + n, block + n);
}

/* Mostly a few pages, sometimes a lot. */
static uint64_t random_pages(struct job *job, uint64_t page)
{
    uint64_t pages = 1 + below(job, below(job, 8) == 0 ? 600 : 6);

    return ps_min(pages, AREA_PAGES - page);
}

static void unmap_some(struct job *job)
{
    uint64_t page = below(job, AREA_PAGES);

    unmap_pages(job, page, random_pages(job, page));
}

/* Two ranges in one round: only for who is alone, because in between they are still his. */
static void retire_two(struct job *job)
{
    struct worker *worker = job->worker;
    struct ps_frame_release receiver = {release, job};
    struct ps_tlb_gather gather;
    uint64_t page[2];
    uint64_t pages[2];

    if (!job->alone)
        return;
    ps_tlb_gather_init(&gather, job->table->machine);
    for (unsigned i = 0; i < 2; i++) {
        page[i] = below(job, AREA_PAGES);
        pages[i] = random_pages(job, page[i]);
        MUST_BE(ps_page_table_retire(job->table, at(job, page[i]), ps_pages(pages[i]), &gather),
                PS_OK);
    }
    (void)ps_tlb_gather_flush(&gather);
    for (unsigned i = 0; i < 2; i++) {
        MUST_BE(ps_page_table_sweep(job->table, at(job, page[i]), ps_pages(pages[i]), &receiver),
                PS_OK);
        MUST(is_absent(job, page[i], pages[i]));
    }
}

static void protect_some(struct job *job)
{
    struct worker *worker = job->worker;
    uint64_t page = below(job, AREA_PAGES);
    uint64_t pages = random_pages(job, page);
    bool writable = below(job, 2) == 0;

    MUST_BE(ps_page_table_protect(job->table, at(job, page), ps_pages(pages), writable ? RW : RO),
            PS_OK);
    for (uint64_t n = page; n < page + pages; n++)
        job->pages[n].writable = writable;
}

static void query_one(struct job *job)
{
    struct worker *worker = job->worker;
    struct ps_translation found = {0};
    uint64_t page = below(job, AREA_PAGES);
    const struct page *known = &job->pages[page];
    ps_status status = ps_page_table_query(job->table, at(job, page), &found);

    if (!job->alone) {
        MUST(status == PS_OK || status == PS_NOT_FOUND);
        return;
    }
    MUST_BE(status, known->frame != 0 ? PS_OK : PS_NOT_FOUND);
    if (known->frame == 0)
        return;
    MUST(found.frame.number == known->frame);
    MUST(((found.attr.access & PS_WRITE) != 0) == known->writable);
}

static void promote_all(struct job *job)
{
    struct worker *worker = job->worker;

    MUST_BE(ps_page_table_promote(job->table, at(job, 0), ps_pages(AREA_PAGES)), PS_OK);
}

/* ---- what harts wrote ---- */

static void tell(void *context, ps_virt_t va, ps_pages_t pages, bool dirty)
{
    struct job *job = context;
    uint64_t page = (va.addr - job->base) / PS_PAGE_SIZE;

    for (uint64_t n = page; dirty && n < page + pages.count; n++)
        job->told[n] = true;
}

static uint64_t writes_to(struct job *job, uint64_t page)
{
    return frame_writes(job->worker->crew, ps_frame(job->pages[page].frame));
}

/*
 * What was written between the end of one harvest and the beginning of the next one is told of by
 * the latter; what comes while it goes on, by either.
 */
static void harvest_all(struct job *job)
{
    struct worker *worker = job->worker;
    struct ps_frame_release receiver = {release, job};
    const struct ps_harvest request = {
        .flags = below(job, 4) == 0 ? PS_HARVEST_FREE_TABLES : 0,
        .visit = tell,
        .context = job,
        .release = &receiver,
    };
    static _Thread_local bool written[AREA_PAGES];

    memset(job->told, 0, sizeof(job->told));
    for (uint64_t n = 0; n < AREA_PAGES; n++)
        written[n] =
            job->alone && job->pages[n].frame != 0 && writes_to(job, n) != job->pages[n].seen;
    MUST_BE(ps_page_table_harvest(job->table, at(job, 0), ps_pages(AREA_PAGES), &request), PS_OK);
    for (uint64_t n = 0; n < AREA_PAGES && job->alone; n++) {
        if (job->pages[n].frame == 0)
            continue;
        MUST(!written[n] || job->told[n]);
        job->pages[n].seen = writes_to(job, n);
    }
}

/* ---- cases ---- */

static void one_step(struct job *job)
{
    static void (*const steps[])(struct job * job) = {
        map_some,   map_some,   map_some,     map_large,    map_large,
        unmap_some, unmap_some, protect_some, protect_some, query_one,
        query_one,  query_one,  retire_two,   promote_all,  harvest_all,
    };

    steps[below(job, PS_ARRAY_SIZE(steps))](job);
}

static void work(struct worker *worker)
{
    struct job *job = &jobs[worker->index];

    for (uint64_t step = crew_share(worker, STEPS); step != 0; step--)
        one_step(job);
    crew_meet(worker);
    unmap_pages(job, 0, AREA_PAGES);
    crew_meet(worker);
    if (job->block.number != 0)
        MUST_BE(ps_frame_pool_free(&worker->crew->pool, job->block, ps_pages(LARGE)), PS_OK);
}

/* Which table and which area a worker has, it is told by the case. */
static struct job *prepare(struct test *test, struct table_crew *tables, unsigned index)
{
    struct job *job = &jobs[index];

    memset(job, 0, sizeof(*job));
    job->worker = &tables->crew->workers[index];
    job->tables = tables;
    job->alone = true;
    EXPECT_OK(ps_frame_pool_alloc(&tables->crew->pool, PS_FRAME_2M, PS_FRAME_USER, 0, &job->block));
    return job;
}

static void put(struct job *job, unsigned space, uint64_t base, unsigned area)
{
    job->table = &job->tables->spaces[space];
    job->space = space;
    job->base = base + (uint64_t)area * AREA_PAGES * PS_PAGE_SIZE;
}

static void run(struct test *test, struct table_crew *tables)
{
    uint64_t done[2] = {0};
    struct ps_page_table_counters counters;

    crew_run(tables->crew, work);
    for (unsigned i = 0; i < tables->crew->threads; i++) {
        done[0] += jobs[i].done[0];
        done[1] += jobs[i].done[1];
    }
    counters = ps_page_table_counters(jobs[0].table);
    EXPECT(done[0] != 0);
    EXPECT(done[1] != 0);
    EXPECT(counters.rounds != 0);
    EXPECT(!jobs[0].alone || counters.demotions[PS_LEAF_2M] != 0);
}

/* Both halves of one table: neighbours share tables of the levels above. */
static void work_in_own_areas(struct test *test, struct table_crew *tables)
{
    for (unsigned i = 0; i < tables->crew->threads; i++)
        put(prepare(test, tables, i), 0, i % 2 == 0 ? LOW_BASE : HIGH_BASE, i / 2);
    run(test, tables);
}

/* All in one area, where they meet at every page. */
static void work_in_one_area(struct test *test, struct table_crew *tables)
{
    for (unsigned i = 0; i < tables->crew->threads; i++) {
        put(prepare(test, tables, i), 0, HIGH_BASE, 0);
        jobs[i].alone = false;
    }
    run(test, tables);
}

/* Tables that take from one pool, some under a half that is another one's. */
static void work_in_several_spaces(struct test *test, struct table_crew *tables)
{
    for (unsigned i = 0; i < tables->crew->threads; i++)
        put(prepare(test, tables, i), i % SPACES, i % SPACES == 0 ? HIGH_BASE : LOW_BASE,
            i / SPACES);
    run(test, tables);
}

/* Tables that promote by themselves whatever becomes alike. */
static void work_where_tables_promote(struct test *test, struct table_crew *tables)
{
    EXPECT_OK(ps_page_table_set_promotes(&tables->spaces[0], true));
    work_in_own_areas(test, tables);
}

/* 40 MiB; what is in use at once is less, but 2 MiB blocks are broken for single frames. */
#define TABLES_RAM SIM_RAM(0, 10240)

CREW_CASE(everybody_in_an_area_of_his_own, TABLES_RAM)
{
    table_crew_with(test, crew, (CREW_MOST + 1) / 2, work_in_own_areas);
}

CREW_CASE(everybody_in_one_area, TABLES_RAM)
{
    table_crew_with(test, crew, 1, work_in_one_area);
}

CREW_CASE(everybody_in_several_spaces, TABLES_RAM)
{
    table_crew_with(test, crew, (CREW_MOST + SPACES - 1) / SPACES, work_in_several_spaces);
}

CREW_CASE(everybody_where_tables_promote, TABLES_RAM)
{
    table_crew_with(test, crew, (CREW_MOST + 1) / 2, work_where_tables_promote);
}

/* The pool runs dry again and again: nothing that a call began is left half done. */
CREW_CASE(everybody_where_memory_is_short, SIM_RAM(0, 512 + 8 * 512 + 320))
{
    table_crew_with(test, crew, (CREW_MOST + 1) / 2, work_in_own_areas);
}

static const struct test_case cases[] = {
    TEST_CASE(everybody_in_an_area_of_his_own), TEST_CASE(everybody_in_one_area),
    TEST_CASE(everybody_in_several_spaces),     TEST_CASE(everybody_where_tables_promote),
    TEST_CASE(everybody_where_memory_is_short),
};

const struct test_suite suite_page_table_threads = TEST_SUITE("page_table_threads", cases);
