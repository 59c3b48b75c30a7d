#include <pagestage/cache_types.h>
#include <pagestage/page_table.h>

#include "threads.h"

/*
 * Processors that map the same device with different types, each in a page table of its own: at
 * any time all that have a frame mapped agree. Every second mapping is put in place of another
 * one, which takes a round under the lock of the cache types: the others answer it wherever they
 * are, also while they wait for that lock.
 */

enum { DEVICE = 0x40000, DEVICE_PAGES = 64, MOST_PAGES = 8, WINS = 3000, TYPES = 2 };
#define BASE 0x0000200000000000u

struct types_crew {
    struct ps_cache_types types;
    struct ps_page_table tables[CREW_MOST];
    _Atomic(uint32_t) mapped[TYPES][DEVICE_PAGES]; /* by so many workers */
    _Atomic(bool) works[CREW_MOST];
    _Atomic(bool) asked[CREW_MOST]; /* to answer a round */
};

/* ---- rounds ---- */

static void answer(void *context)
{
    struct crew *crew = context;
    struct types_crew *all = crew->context;
    uint32_t self = crew->sim->machine.processor(crew->sim->machine.processor_context);

    atomic_store(&all->asked[self], false);
}

static void shoot_down(void *context, const struct ps_invalidation *what)
{
    struct crew *crew = context;
    struct types_crew *all = crew->context;
    uint32_t self = crew->sim->machine.processor(crew->sim->machine.processor_context);

    (void)what;
    for (unsigned i = 0; i < crew->threads; i++)
        if (i != self)
            atomic_store(&all->asked[i], true);
    for (unsigned i = 0; i < crew->threads; i++)
        while (i != self && atomic_load(&all->works[i]) && atomic_load(&all->asked[i])) {
            answer(crew); /* others' rounds go on beside this one */
            crew_pause();
        }
}

/* ---- mapping ---- */

struct
try {
    struct worker *worker;
    struct types_crew *all;
    struct ps_page_table *table;
    unsigned type;
    uint64_t first; /* page of the device */
    uint64_t pages;
};

static ps_attr_t attr_of(const struct try *try)
{
    return ps_attr(PS_READ | PS_WRITE,
                   try->type == 0 ? PS_CACHE_UNCACHED : PS_CACHE_WRITE_COMBINING);
}

/* RAM first, and then the device in its place. */
static ps_status map_in_place(struct try *try)
{
    struct worker *worker = try->worker;
    ps_frame_t frames[MOST_PAGES];

    for (uint64_t n = 0; n < try->pages; n++)
        frames[n] = ps_frame(300 + n);
    MUST_BE(ps_page_table_map(try->table, ps_virt(BASE), frames, ps_pages(try->pages),
                              ps_attr_ram(PS_READ | PS_WRITE), PS_EXISTING_ERROR),
            PS_OK);
    for (uint64_t n = 0; n < try->pages; n++)
        frames[n] = ps_frame(DEVICE + try->first + n);
    return ps_page_table_map(try->table, ps_virt(BASE), frames, ps_pages(try->pages), attr_of(try),
                             PS_EXISTING_UPGRADE);
}

static void agree(struct try *try)
{
    struct worker *worker = try->worker;

    for (uint64_t n = try->first; n < try->first + try->pages; n++)
        atomic_fetch_add(&try->all->mapped[try->type][n], 1);
    crew_pause(); /* others come and try */
    answer(worker->crew);
    for (uint64_t n = try->first; n < try->first + try->pages; n++)
        MUST(atomic_load(&try->all->mapped[1 - try->type][n]) == 0);
    for (uint64_t n = try->first; n < try->first + try->pages; n++)
        atomic_fetch_sub(&try->all->mapped[try->type][n], 1);
}

static bool map_once(struct try *try)
{
    struct worker *worker = try->worker;
    bool in_place = test_random_below(&worker->random, 2) == 0;
    ps_status status;

    try->pages = 1 + test_random_below(&worker->random, MOST_PAGES);
    try->first = test_random_below(&worker->random, DEVICE_PAGES - try->pages + 1);
    status = in_place
                 ? map_in_place(try)
                 : ps_page_table_map_run(try->table, ps_virt(BASE), ps_frame(DEVICE + try->first),
                                         ps_pages(try->pages), attr_of(try), 0);
    if (status == PS_OK)
        agree(try);
    else
        MUST_BE(status, PS_ACCESS_DENIED);
    MUST_BE(ps_page_table_unmap(try->table, ps_virt(BASE), ps_pages(try->pages), NULL), PS_OK);
    return status == PS_OK;
}

static void map_often(struct worker *worker)
{
    struct types_crew *all = worker->crew->context;
    struct try try = {
        .worker = worker,
        .all = all,
        .table = &all->tables[worker->index],
        .type = worker->index % TYPES,
    };
    uint64_t wins = crew_share(worker, WINS);

    while (wins != 0 && worker->failures == 0) {
        wins -= map_once(&try);
        atomic_store(&all->asked[worker->index], false);
        crew_pause();
    }
    atomic_store(&all->works[worker->index], false);
}

CREW_CASE(one_type_a_frame_at_any_time, SIM_RAM(0, 2048))
{
    static struct types_crew all;
    struct ps_machine *machine = &crew->sim->machine;

    all = (struct types_crew){0};
    crew->context = &all;
    REQUIRE_OK(ps_cache_types_init(&all.types, &crew->pool, &crew->sim->map));
    machine->cache_types = &all.types;
    machine->shootdown = shoot_down;
    machine->shootdown_context = machine->answer_context = crew;
    machine->answer = answer;
    for (unsigned i = 0; i < crew->threads; i++) {
        EXPECT_OK(ps_page_table_create(&all.tables[i], machine, &crew->pool));
        atomic_store(&all.works[i], true);
    }
    crew_run(crew, map_often);
    EXPECT_OK(ps_cache_types_validate(&all.types, NULL));
    machine->shootdown = NULL;
    for (unsigned i = 0; i < crew->threads; i++) {
        EXPECT_OK(ps_page_table_validate(&all.tables[i], NULL));
        EXPECT_OK(ps_page_table_destroy(&all.tables[i]));
    }
    EXPECT_OK(ps_cache_types_destroy(&all.types));
    machine->answer = NULL;
    machine->cache_types = NULL;
}

static const struct test_case cases[] = {
    TEST_CASE(one_type_a_frame_at_any_time),
};

const struct test_suite suite_page_table_types_threads =
    TEST_SUITE("page_table_types_threads", cases);
