#include <pagestage/virtual_allocator.h>

#include "threads.h"

#include "hw.h"

/*
 * One virtual allocator under several processors. Each has allocations of its own, writes to them,
 * cuts, lengthens, moves and frees them; or all work on whatever is there. Meanwhile each keeps a
 * translation of somebody else's page, and reads through it until a round takes it away: without
 * any protection but that, so that ThreadSanitizer sees when a frame was used again too early.
 */

enum { OWN_MOST = 12, PAGES_MOST = 24, STEPS = 6000, CHAOS_STEPS = 12000, ARENA_PAGES = 4096 };

#define BASE  0xffffc00000000000u
#define MAGIC ((uint64_t)0xa110 << 48)

struct own {
    uint64_t va; /* page-aligned, */
    uint64_t pages;
    uint64_t mark; /* of the first page; each further one has the next */
};

/* What one processor does, and what it keeps. */
struct virtual_worker {
    struct own own[OWN_MOST];
    unsigned count;
    uint64_t marks;
    const uint64_t *view; /* somebody else's page; NULL: none */
    _Atomic(uint64_t) shown;
    _Atomic(bool) works;
    _Atomic(bool) asked; /* to answer a round */
};

static struct virtual_crew {
    struct ps_page_table table;
    struct ps_virtual_allocator arena;
    struct virtual_worker workers[CREW_MOST];
} all;

/* ---- rounds ---- */

static struct virtual_worker *self_of(struct crew *crew)
{
    return &all.workers[crew->sim->machine.processor(crew->sim->machine.processor_context)];
}

static void answer(void *context)
{
    struct virtual_worker *self = self_of(context);

    if (!atomic_load(&self->asked))
        return;
    self->view = NULL;
    atomic_store(&self->asked, false);
}

static void shoot_down(void *context, const struct ps_invalidation *what)
{
    struct crew *crew = context;
    const struct virtual_worker *self = self_of(crew);

    (void)what;
    self_of(crew)->view = NULL;
    for (unsigned i = 0; i < crew->threads; i++)
        if (&all.workers[i] != self)
            atomic_store(&all.workers[i].asked, true);
    for (unsigned i = 0; i < crew->threads; i++)
        while (&all.workers[i] != self && atomic_load(&all.workers[i].works) &&
               atomic_load(&all.workers[i].asked)) {
            answer(crew); /* others' rounds go on beside this one */
            crew_pause();
        }
}

/* ---- looking at others ---- */

static uint64_t below(struct worker *worker, uint64_t bound)
{
    return test_random_below(&worker->random, bound);
}

static uint64_t *words_at(struct worker *worker, uint64_t va)
{
    struct ps_translation translation;

    if (ps_page_table_query(&all.table, ps_virt(va), &translation) != PS_OK)
        return NULL;
    return ps_hw_frame(&worker->crew->sim->machine, translation.frame);
}

static void look_at_others(struct worker *worker)
{
    struct virtual_worker *self = &all.workers[worker->index];
    uint64_t va = atomic_load(&all.workers[below(worker, worker->crew->threads)].shown);
    const uint64_t *words;
    uint64_t value;

    answer(worker->crew);
    if (self->view == NULL && va != 0) {
        /* What a round asked for before the answer is still there was found too early. */
        words = words_at(worker, va);
        if (!atomic_load(&self->asked))
            self->view = words;
    }
    if (self->view == NULL)
        return;
    value = __atomic_load_n(&self->view[1], __ATOMIC_RELAXED);
    MUST(value == 0 || (value & MAGIC) == MAGIC);
}

/* ---- own allocations ---- */

static void mark_pages(struct worker *worker, const struct own *own, uint64_t from)
{
    for (uint64_t i = from; i < own->pages; i++) {
        uint64_t *words = words_at(worker, own->va + i * PS_PAGE_SIZE);

        if (!MUST(words != NULL))
            return;
        MUST(words[0] == 0 && words[511] == 0);
        __atomic_store_n(&words[1], own->mark + i, __ATOMIC_RELAXED);
        words[0] = words[511] = own->mark + i;
    }
}

static void check_pages(struct worker *worker, const struct own *own)
{
    for (uint64_t i = 0; i < own->pages; i++) {
        const uint64_t *words = words_at(worker, own->va + i * PS_PAGE_SIZE);

        if (!MUST(words != NULL))
            return;
        MUST(words[0] == own->mark + i && words[511] == own->mark + i);
    }
}

static void alloc_one(struct worker *worker)
{
    struct virtual_worker *self = &all.workers[worker->index];
    struct own *own = &self->own[self->count];
    struct ps_virtual_request request = {
        .pages = ps_pages(1 + below(worker, below(worker, 16) == 0 ? 600 : PAGES_MOST)),
        .flags = PS_FRAME_ZERO,
        .who = PS_HERE(worker->index),
    };
    ps_virt_t va;
    ps_status status = ps_virtual_alloc(&all.arena, &request, &va);

    if (status != PS_OK) {
        MUST(status == PS_NO_MEMORY || status == PS_NO_SPACE);
        return;
    }
    self->marks += 4096;
    *own = (struct own){va.addr, request.pages.count,
                        MAGIC | (uint64_t)worker->index << 40 | self->marks};
    mark_pages(worker, own, 0);
    self->count++;
    atomic_store(&self->shown, va.addr);
}

static void forget(struct virtual_worker *self, struct own *own)
{
    if (atomic_load(&self->shown) == own->va)
        atomic_store(&self->shown, 0);
    *own = self->own[--self->count];
}

static void free_one(struct worker *worker, struct own *own)
{
    struct own old = *own;

    forget(&all.workers[worker->index], own);
    MUST_BE(ps_virtual_free_sized(&all.arena, ps_virt(old.va), old.pages * PS_PAGE_SIZE), PS_OK);
}

/* Its beginning, or its end; or its middle, where there is room to note what is left. */
static void cut_one(struct worker *worker, struct own *own)
{
    struct virtual_worker *self = &all.workers[worker->index];
    uint64_t from = below(worker, own->pages);
    uint64_t pages = 1 + below(worker, own->pages - from);
    struct own rest = {own->va + (from + pages) * PS_PAGE_SIZE, own->pages - from - pages,
                       own->mark + from + pages};

    if (pages == own->pages || self->count == OWN_MOST)
        return;
    MUST_BE(
        ps_virtual_free_part(&all.arena, ps_virt(own->va + from * PS_PAGE_SIZE), ps_pages(pages)),
        PS_OK);
    own->pages = from;
    if (from == 0)
        *own = rest;
    else if (rest.pages != 0)
        self->own[self->count++] = rest;
}

static void resize_one(struct worker *worker, struct own *own)
{
    uint64_t pages = 1 + below(worker, 2 * PAGES_MOST);
    ps_virt_t moved;
    uint64_t kept = ps_min(pages, own->pages);
    ps_status status = ps_virtual_resize(
        &all.arena, ps_virt(own->va), pages * PS_PAGE_SIZE,
        PS_FRAME_ZERO | (below(worker, 3) != 0 ? PS_VIRTUAL_MAY_MOVE : 0u), &moved);

    if (status != PS_OK) {
        MUST(status == PS_NO_MEMORY || status == PS_NO_SPACE);
        MUST(pages > own->pages);
        return;
    }
    own->va = moved.addr;
    own->pages = pages;
    mark_pages(worker, own, kept);
}

static void ask_about(struct worker *worker, const struct own *own)
{
    struct ps_virtual_info info;
    bool live = false;
    ps_status status = ps_virtual_is_live(&all.arena, ps_virt(own->va), &live);

    MUST(status == PS_SHOULD_WAIT || (status == PS_OK && live));
    MUST_BE(ps_virtual_find(&all.arena, ps_virt(own->va), &info), PS_OK);
    MUST(info.va.addr == own->va && info.pages.count == own->pages &&
         info.who.owner[0] == worker->index);
    check_pages(worker, own);
}

static void own_step(struct worker *worker)
{
    struct virtual_worker *self = &all.workers[worker->index];
    struct own *own = self->count != 0 ? &self->own[below(worker, self->count)] : NULL;
    uint64_t choice = below(worker, 16);

    if (own == NULL || (choice < 5 && self->count < OWN_MOST))
        alloc_one(worker);
    else if (choice < 8)
        free_one(worker, own);
    else if (choice < 10)
        cut_one(worker, own);
    else if (choice < 13)
        resize_one(worker, own);
    else
        ask_about(worker, own);
}

/* Processors that wait for this one have got their answer; nobody waits for it any more. */
static void leave(struct worker *worker)
{
    struct virtual_worker *self = &all.workers[worker->index];

    self->view = NULL;
    atomic_store(&self->works, false);
    atomic_store(&self->shown, 0);
}

static void work_on_own(struct worker *worker)
{
    struct virtual_worker *self = &all.workers[worker->index];
    uint64_t steps = crew_share(worker, STEPS);

    for (; steps != 0 && worker->failures == 0; steps--) {
        own_step(worker);
        look_at_others(worker);
        if (worker->index == 0 && steps % 64 == 0)
            MUST_BE(ps_virtual_validate(&all.arena, NULL), PS_OK);
    }
    while (self->count != 0 && worker->failures == 0) {
        check_pages(worker, &self->own[0]);
        free_one(worker, &self->own[0]);
    }
    leave(worker);
}

/* ---- on whatever is there ---- */

/* All that a call may answer that somebody else came before. */
static void expect_some_answer(struct worker *worker, ps_status status)
{
    MUST(status == PS_OK || status == PS_NO_MEMORY || status == PS_NO_SPACE ||
         status == PS_NOT_FOUND || status == PS_ACCESS_DENIED || status == PS_INVALID_ARGS ||
         status == PS_BAD_STATE || status == PS_WRONG_SIZE || status == PS_ALREADY_EXISTS);
}

static ps_status step_anywhere(struct worker *worker)
{
    struct ps_virtual_request request = {.pages = ps_pages(1 + below(worker, PAGES_MOST)),
                                         .flags = PS_FRAME_ZERO};
    ps_virt_t va = ps_virt(BASE + below(worker, 100) * PS_PAGE_SIZE);
    struct ps_virtual_info info;

    if (below(worker, 4) != 0 && ps_virtual_find(&all.arena, va, &info) == PS_OK)
        va = info.va;
    switch (below(worker, 12)) {
    case 0:
    case 1:
    case 2:
        return ps_virtual_alloc(&all.arena, &request, &va);
    case 3:
        return ps_virtual_alloc_at(&all.arena, &request, va, false);
    case 4:
    case 5:
        return ps_virtual_free_part(&all.arena, va, ps_pages(1 + below(worker, 4)));
    case 6:
        return below(worker, 50) == 0 ? ps_virtual_free_all(&all.arena) : PS_OK;
    case 7:
        return below(worker, 20) == 0 ? ps_virtual_validate(&all.arena, NULL) : PS_OK;
    case 8:
        return ps_virtual_free(&all.arena, va);
    default:
        return ps_virtual_resize(&all.arena, va, 1 + below(worker, 2 * PAGES_MOST * PS_PAGE_SIZE),
                                 PS_FRAME_ZERO | PS_VIRTUAL_MAY_MOVE, &va);
    }
}

static void work_on_anything(struct worker *worker)
{
    uint64_t steps = crew_share(worker, CHAOS_STEPS);

    for (; steps != 0 && worker->failures == 0; steps--) {
        expect_some_answer(worker, step_anywhere(worker));
        atomic_store(&all.workers[worker->index].shown, BASE + below(worker, 100) * PS_PAGE_SIZE);
        look_at_others(worker);
    }
    leave(worker);
}

/* ---- cases ---- */

static void note(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

static void run(struct test *test, struct crew *crew, uint64_t quarantine,
                void (*body)(struct worker *worker))
{
    struct ps_machine *machine = &crew->sim->machine;
    struct ps_sink notes = {note, test};
    struct ps_virtual_config config = {.base = ps_virt(BASE),
                                       .pages = ps_pages(ARENA_PAGES),
                                       .guard = ps_pages(1),
                                       .tag = PS_FRAME_VIRTUAL,
                                       .quarantine = quarantine};

    all = (struct virtual_crew){0};
    machine->shootdown = shoot_down;
    machine->shootdown_context = machine->answer_context = crew;
    machine->answer = answer;
    REQUIRE_OK(ps_page_table_create(&all.table, machine, &crew->pool));
    REQUIRE_OK(ps_virtual_init(&all.arena, &all.table, &crew->pool, &config));
    for (unsigned i = 0; i < crew->threads; i++)
        atomic_store(&all.workers[i].works, true);
    crew_run(crew, body);
    EXPECT_OK(ps_virtual_validate(&all.arena, &notes));
    machine->shootdown = NULL;
    machine->answer = NULL;
    EXPECT(all.arena.counters.allocs != 0 && all.arena.counters.moves != 0);
    EXPECT_OK(ps_virtual_free_all(&all.arena));
    EXPECT_OK(ps_virtual_destroy(&all.arena, NULL));
    EXPECT_OK(ps_page_table_validate(&all.table, &notes));
    EXPECT_OK(ps_page_table_destroy(&all.table));
}

CREW_CASE(everybody_on_allocations_of_his_own, SIM_RAM(0, 10240))
{
    run(test, crew, 0, work_on_own);
}

CREW_CASE(everybody_where_memory_is_short, SIM_RAM(0, 512 + 700))
{
    run(test, crew, 8, work_on_own);
}

CREW_CASE(everybody_on_anything, SIM_RAM(0, 4096))
{
    run(test, crew, 2, work_on_anything);
}

static const struct test_case cases[] = {
    TEST_CASE(everybody_on_allocations_of_his_own),
    TEST_CASE(everybody_where_memory_is_short),
    TEST_CASE(everybody_on_anything),
};

const struct test_suite suite_virtual_threads = TEST_SUITE("virtual_threads", cases);
