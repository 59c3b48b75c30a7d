#define _GNU_SOURCE
#include "threads.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw.h"
#include "pause.h"

struct crew_options crew_options = {.seed = 1, .threads = CREW_MOST, .scale = 1};

/* The number of the processor that a thread is; of the main thread 0. */
static _Thread_local uint32_t this_processor;

static uint32_t processor(void *context)
{
    (void)context;
    return this_processor;
}

void crew_pause(void)
{
    (void)sched_yield();
}

/* ---- facts ---- */

bool worker_check(struct worker *worker, bool holds, uint64_t value, const char *fact,
                  const char *file, int line)
{
    if (holds)
        return true;
    if (worker->failures++ == 0)
        snprintf(worker->note, sizeof(worker->note), "%s:%d: %s (0x%llx)", file, line, fact,
                 (unsigned long long)value);
    return false;
}

bool worker_status(struct worker *worker, ps_status actual, ps_status expected, const char *call,
                   const char *file, int line)
{
    if (actual == expected)
        return true;
    if (worker->failures++ == 0)
        snprintf(worker->note, sizeof(worker->note), "%s:%d: %s is %s, expected %s", file, line,
                 call, ps_status_name(actual), ps_status_name(expected));
    return false;
}

static void report_failures(struct crew *crew)
{
    struct test *test = crew->test;

    for (unsigned i = 0; i < crew->threads; i++) {
        struct worker *worker = &crew->workers[i];

        if (!EXPECT_EQ(worker->failures, 0))
            test_note(test, "worker %u, first: %s", i, worker->note);
        worker->failures = 0;
    }
}

/* ---- running ---- */

static void pin(unsigned index)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(index, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

static void *run_worker(void *context)
{
    struct worker *worker = context;

    this_processor = worker->index;
    if (crew_options.pinned)
        pin(worker->index);
    if (worker->meets)
        crew_meet(worker);
    worker->body(worker);
    return NULL;
}

static void start(struct worker *worker, bool meets, void (*body)(struct worker *worker))
{
    worker->meets = meets;
    worker->body = body;
    if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
        abort();
}

void crew_start(struct crew *crew, unsigned index, void (*body)(struct worker *worker))
{
    start(&crew->workers[index], false, body);
}

void crew_join(struct crew *crew, unsigned index)
{
    (void)pthread_join(crew->workers[index].thread, NULL);
}

void crew_run(struct crew *crew, void (*body)(struct worker *worker))
{
    for (unsigned i = 0; i < crew->threads; i++)
        start(&crew->workers[i], true, body);
    for (unsigned i = 0; i < crew->threads; i++)
        crew_join(crew, i);
    report_failures(crew);
}

void crew_run_one(struct crew *crew, unsigned index, void (*body)(struct worker *worker))
{
    crew_start(crew, index, body);
    crew_join(crew, index);
    report_failures(crew);
}

void crew_meet(struct worker *worker)
{
    struct crew *crew = worker->crew;
    uint32_t phase = atomic_load_explicit(&crew->phase, memory_order_acquire);

    if (atomic_fetch_add(&crew->arrived, 1) + 1 == crew->threads) {
        atomic_store(&crew->arrived, 0);
        atomic_store_explicit(&crew->phase, phase + 1, memory_order_release);
        return;
    }
    for (unsigned i = 0; atomic_load_explicit(&crew->phase, memory_order_acquire) == phase; i++)
        if (i > 200)
            (void)sched_yield();
}

uint64_t crew_share(const struct worker *worker, uint64_t total)
{
    return total * crew_options.scale / worker->crew->threads;
}

/* ---- a crew ---- */

static void note_corruption(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

static void expect_valid(struct crew *crew)
{
    struct test *test = crew->test;
    struct ps_sink notes = {note_corruption, test};

    EXPECT_OK(ps_frame_pool_validate(&crew->pool, &notes));
}

struct ps_frame_pool_snapshot crew_now(struct crew *crew)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(&crew->pool, &now);
    return now;
}

static void expect_clean(struct crew *crew)
{
    struct test *test = crew->test;
    struct ps_frame_pool_snapshot now;

    expect_valid(crew);
    EXPECT_EQ(ps_frame_pool_in_use(&crew->pool), 0);
    ps_frame_pool_drain(&crew->pool);
    now = crew_now(crew);
    EXPECT_EQ(now.free, crew->fresh.free);
    EXPECT_EQ(now.available, crew->fresh.available);
    EXPECT_EQ(now.metadata, crew->fresh.metadata);
    EXPECT_EQ(now.whole_2m, crew->fresh.whole_2m);
    EXPECT(memcmp(&now, &crew->fresh, sizeof(now)) == 0);
}

static void prepare_workers(struct crew *crew)
{
    crew->threads = crew_options.threads;
    for (unsigned i = 0; i < crew->threads; i++) {
        crew->workers[i].crew = crew;
        crew->workers[i].index = i;
        crew->workers[i].random = test_random(crew_options.seed * CREW_MOST + i);
    }
}

void crew_with(struct test *test, const struct crew_machine *machine,
               void (*body)(struct test *test, struct crew *crew))
{
    struct crew *crew = calloc(1, sizeof(*crew));

    REQUIRE(crew != NULL);
    crew->test = test;
    crew->sim = sim_machine_create(machine->ranges, machine->count, 0);
    prepare_workers(crew);
    if (EXPECT(crew->sim != NULL)) {
        crew->owner = calloc(crew->sim->frames, sizeof(*crew->owner));
        crew->sim->machine.processors = machine->processors;
        crew->sim->machine.processor = processor;
        if (EXPECT(crew->owner != NULL) &&
            EXPECT_OK(ps_frame_pool_init(&crew->pool, &crew->sim->machine, &crew->sim->map))) {
            crew->fresh = crew_now(crew);
            body(test, crew);
            expect_clean(crew);
        }
    }
    sim_machine_destroy(crew->sim);
    free((void *)crew->owner);
    free(crew);
}

uint64_t crew_sum(const struct crew *crew)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < crew->threads; i++)
        sum += crew->workers[i].count;
    return sum;
}

uint64_t crew_held(const struct crew *crew, enum ps_frame_tag tag)
{
    uint64_t frames = 0;

    for (unsigned i = 0; i < crew->threads; i++)
        for (size_t u = 0; u < crew->workers[i].held_count; u++)
            if (tag == PS_FRAME_FREE || crew->workers[i].held[u].tag == tag)
                frames += crew->workers[i].held[u].pages;
    return frames;
}

static void expect_unit(struct crew *crew, const struct held_unit *unit)
{
    struct test *test = crew->test;
    struct ps_frame_info info;

    EXPECT_OK(ps_frame_pool_query(&crew->pool, ps_frame(unit->first), &info));
    EXPECT_EQ(info.tag, unit->tag);
    EXPECT_EQ(info.unit.number, unit->first);
    EXPECT_EQ(info.unit_pages.count, unit->pages);
    EXPECT_EQ(info.holders, 1);
}

/* The frames of tag bytes are singles too. */
static uint64_t single_frames(const struct crew *crew, const struct ps_frame_pool_snapshot *now)
{
    uint64_t singles = now->metadata - crew->fresh.metadata;

    for (unsigned i = 0; i < crew->threads; i++)
        for (size_t u = 0; u < crew->workers[i].held_count; u++)
            singles += crew->workers[i].held[u].pages == 1;
    return singles;
}

void crew_expect_held(struct crew *crew)
{
    struct test *test = crew->test;
    struct ps_frame_pool_snapshot now = crew_now(crew);

    expect_valid(crew);
    EXPECT_EQ(now.units_4k, single_frames(crew, &now));
    EXPECT_EQ(ps_frame_pool_in_use(&crew->pool), crew_held(crew, PS_FRAME_FREE));
    EXPECT_EQ(now.free + now.metadata + crew_held(crew, PS_FRAME_FREE), now.managed);
    for (unsigned tag = PS_FRAME_TABLE; tag < PS_FRAME_TAG_COUNT; tag++)
        EXPECT_EQ(now.by_tag[tag], crew_held(crew, (enum ps_frame_tag)tag));
    for (unsigned i = 0; i < crew->threads; i++)
        for (size_t u = 0; u < crew->workers[i].held_count; u++)
            expect_unit(crew, &crew->workers[i].held[u]);
}

/* ---- units ---- */

/* Also what a user of the frame does: writes to it, with nothing but the pool to protect him. */
static void mark(struct worker *worker, uint64_t frame)
{
    uint64_t *words = ps_hw_frame(&worker->crew->sim->machine, ps_frame(frame));

    words[1] = frame ^ worker->index;
}

static void expect_mark(struct worker *worker, uint64_t frame)
{
    const uint64_t *words = ps_hw_frame(&worker->crew->sim->machine, ps_frame(frame));

    worker_check(worker, words[1] == (frame ^ worker->index), frame, "the frame was left alone",
                 __FILE__, __LINE__);
}

void worker_owns(struct worker *worker, uint64_t first, uint64_t pages)
{
    _Atomic(uint8_t) *owner = worker->crew->owner;

    for (uint64_t frame = first; frame < first + pages; frame++) {
        uint8_t before = atomic_exchange_explicit(&owner[frame], (uint8_t)(worker->index + 1),
                                                  memory_order_relaxed);

        worker_check(worker, before == 0, frame, "handed out once", __FILE__, __LINE__);
    }
    mark(worker, first);
    mark(worker, first + pages - 1);
}

void worker_disowns(struct worker *worker, uint64_t first, uint64_t pages)
{
    _Atomic(uint8_t) *owner = worker->crew->owner;

    expect_mark(worker, first);
    expect_mark(worker, first + pages - 1);
    for (uint64_t frame = first; frame < first + pages; frame++) {
        uint8_t before = atomic_exchange_explicit(&owner[frame], 0, memory_order_relaxed);

        worker_check(worker, before == worker->index + 1, frame, "still the owner", __FILE__,
                     __LINE__);
    }
}

void worker_keep(struct worker *worker, uint64_t first, uint64_t pages, enum ps_frame_tag tag)
{
    worker->held[worker->held_count++] = (struct held_unit){first, pages, tag};
}

struct held_unit worker_pick(struct worker *worker)
{
    size_t index = (size_t)test_random_below(&worker->random, worker->held_count);
    struct held_unit unit = worker->held[index];

    worker->held[index] = worker->held[--worker->held_count];
    return unit;
}

bool worker_take_single(struct worker *worker, enum ps_frame_tag tag)
{
    ps_frame_t frame = {0};
    ps_status status = ps_frame_pool_alloc(&worker->crew->pool, PS_FRAME_4K, tag, 0, &frame);

    if (status == PS_NO_MEMORY || !MUST_BE(status, PS_OK))
        return false;
    worker_owns(worker, frame.number, 1);
    worker_keep(worker, frame.number, 1, tag);
    return true;
}

void worker_free(struct worker *worker, const struct held_unit *unit)
{
    worker_disowns(worker, unit->first, unit->pages);
    MUST_BE(ps_frame_pool_free(&worker->crew->pool, ps_frame(unit->first), ps_pages(unit->pages)),
            PS_OK);
}

void worker_give_back(struct worker *worker)
{
    while (worker->held_count != 0) {
        struct held_unit unit = worker_pick(worker);

        worker_free(worker, &unit);
    }
}

bool worker_sees_zeros(struct worker *worker, uint64_t frame)
{
    const uint64_t *words = ps_hw_frame(&worker->crew->sim->machine, ps_frame(frame));
    uint64_t any = 0;

    for (unsigned i = 0; i < PS_PAGE_SIZE / 8; i++)
        any |= words[i];
    return any == 0;
}

enum ps_frame_tag worker_tag(struct worker *worker)
{
    return (enum ps_frame_tag)(
        PS_FRAME_TABLE + test_random_below(&worker->random, PS_FRAME_TAG_COUNT - PS_FRAME_TABLE));
}
