#include "frame_pool_fixture.h"

#include <string.h>

#include "hw.h"

/*
 * Random operations against an oracle of one number a frame: the unit it belongs to. The
 * oracle knows what must be answered; only where a frame is taken from is the pool's choice.
 */

enum { MODEL_FRAMES = 2600, UNITS = 200, STEPS = 600, SEEDS = 4 };
#define HIGH_START 0x100000u
enum { LOW_COUNT = 1100, LATE_COUNT = 200, HIGH_COUNT = 1100 };

enum { ABSENT = -2, FREE = -1 }; /* else: index of its unit */

struct model {
    struct test *test;
    struct pool_fixture *f;
    struct test_random random;
    int16_t owner[MODEL_FRAMES]; /* by place: see place_of() */
    struct unit {
        uint64_t first;
        uint64_t pages; /* 0: not in use */
        enum ps_frame_tag tag;
    } units[UNITS];
    uint64_t metadata;
};

/* The machine has two islands; places count their frames one after the other. */
static int place_of(uint64_t frame)
{
    if (frame < LOW_COUNT + LATE_COUNT)
        return (int)frame;
    if (frame >= HIGH_START && frame - HIGH_START < HIGH_COUNT)
        return (int)(LOW_COUNT + LATE_COUNT + (frame - HIGH_START));
    return -1;
}

static int owner_of(const struct model *m, uint64_t frame)
{
    int place = place_of(frame);

    return place < 0 ? ABSENT : m->owner[place];
}

static uint64_t frame_at(uint64_t place)
{
    return place < LOW_COUNT + LATE_COUNT ? place : HIGH_START + (place - LOW_COUNT - LATE_COUNT);
}

static uint64_t count_free(const struct model *m, uint64_t from, uint64_t last)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < LOW_COUNT + LATE_COUNT + HIGH_COUNT; i++)
        count += m->owner[i] == FREE && frame_at(i) >= from && frame_at(i) <= last;
    return count;
}

/* All of the range has the same owner; ABSENT past the places. */
static bool all_free(const struct model *m, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        if (owner_of(m, first + i) != FREE)
            return false;
    return true;
}

static bool run_exists(const struct model *m, uint64_t pages, uint64_t alignment, uint64_t from,
                       uint64_t last)
{
    for (uint64_t i = 0; i < LOW_COUNT + LATE_COUNT + HIGH_COUNT; i++) {
        uint64_t first = frame_at(i);

        if (first >= from && first % alignment == 0 && first + (pages - 1) <= last &&
            all_free(m, first, pages))
            return true;
    }
    return false;
}

static int find_unit(const struct model *m, bool in_use)
{
    uint64_t start = test_random_below(&(struct test_random){m->random.state}, UNITS);

    for (uint64_t i = 0; i < UNITS; i++)
        if ((m->units[(start + i) % UNITS].pages != 0) == in_use)
            return (int)((start + i) % UNITS);
    return -1;
}

static void model_take(struct model *m, int unit, uint64_t first, uint64_t pages,
                       enum ps_frame_tag tag)
{
    struct test *test = m->test;

    EXPECT(all_free(m, first, pages));
    m->units[unit] = (struct unit){first, pages, tag};
    for (uint64_t i = 0; i < pages && place_of(first + i) >= 0; i++)
        m->owner[place_of(first + i)] = (int16_t)unit;
}

static void model_give(struct model *m, int unit)
{
    for (uint64_t i = 0; i < m->units[unit].pages; i++)
        m->owner[place_of(m->units[unit].first + i)] = FREE;
    m->units[unit].pages = 0;
}

static uint64_t pick(struct model *m, uint64_t bound)
{
    return test_random_below(&m->random, bound);
}

static enum ps_frame_tag pick_tag(struct model *m)
{
    return (enum ps_frame_tag)(PS_FRAME_TABLE + pick(m, PS_FRAME_TAG_COUNT - PS_FRAME_TABLE));
}

/* ---- one operation each ---- */

static void do_run(struct model *m)
{
    const uint64_t limits[] = {UINT64_MAX, UINT64_MAX, 0xfffff, 0xff, 900};
    struct test *test = m->test;
    struct ps_frame_run run = {.pages = ps_pages(1 + pick(m, pick(m, 8) == 0 ? 700 : 40)),
                               .alignment = (uint64_t)1 << pick(m, 10),
                               .limit = ps_frame(limits[pick(m, PS_ARRAY_SIZE(limits))]),
                               .tag = pick_tag(m)};
    uint64_t lowest = run.limit.number < 256 ? 0 : 256;
    ps_frame_t first = {0};
    ps_status expected = PS_OK;
    int unit = find_unit(m, false);

    if (unit < 0)
        return;
    if (count_free(m, lowest, run.limit.number) < run.pages.count)
        expected = PS_NO_MEMORY;
    else if (!run_exists(m, run.pages.count, run.alignment, lowest, run.limit.number))
        expected = PS_NO_SPACE;
    EXPECT_STATUS(ps_frame_pool_alloc_run(&m->f->pool, &run, &first), expected);
    if (expected != PS_OK)
        return;
    EXPECT(first.number % run.alignment == 0);
    EXPECT(first.number >= lowest && run.pages.count - 1 <= run.limit.number - first.number);
    model_take(m, unit, first.number, run.pages.count, run.tag);
}

static void do_singles(struct model *m)
{
    struct test *test = m->test;
    uint64_t count = 1 + pick(m, 12);
    uint64_t above_4gib = count_free(m, HIGH_START, UINT64_MAX);
    enum ps_frame_tag tag = pick_tag(m);
    ps_frame_t frames[12];
    bool enough = count_free(m, 256, UINT64_MAX) >= count;

    EXPECT_STATUS(ps_frame_pool_alloc_scattered(&m->f->pool, count, tag, 0, frames),
                  enough ? PS_OK : PS_NO_MEMORY);
    for (uint64_t i = 0; i < count && enough; i++) {
        int unit = find_unit(m, false);

        EXPECT(frames[i].number >= (i < above_4gib ? HIGH_START : 256));
        if (unit >= 0)
            model_take(m, unit, frames[i].number, 1, tag);
        else
            EXPECT_OK(ps_frame_pool_free(&m->f->pool, frames[i], ps_pages(1)));
    }
}

static void do_claim(struct model *m)
{
    struct test *test = m->test;
    uint64_t first = frame_at(pick(m, LOW_COUNT + LATE_COUNT + HIGH_COUNT));
    uint64_t pages = 1 + pick(m, 20);
    enum ps_frame_tag tag = pick_tag(m);
    ps_status expected = PS_OK;
    int unit = find_unit(m, false);

    if (unit < 0)
        return;
    for (uint64_t i = 0; i < pages; i++) {
        int owner = owner_of(m, first + i);

        if (owner == ABSENT)
            expected = PS_NOT_FOUND;
        else if (owner != FREE && expected == PS_OK)
            expected = PS_ALREADY_EXISTS;
    }
    EXPECT_STATUS(ps_frame_pool_claim(&m->f->pool, ps_frame(first), ps_pages(pages), tag),
                  expected);
    if (expected == PS_OK)
        model_take(m, unit, first, pages, tag);
}

static void do_free(struct model *m)
{
    struct test *test = m->test;
    int unit = find_unit(m, true);

    if (unit < 0)
        return;
    EXPECT_OK(ps_frame_pool_free(&m->f->pool, ps_frame(m->units[unit].first),
                                 ps_pages(m->units[unit].pages)));
    model_give(m, unit);
}

/* Any frame, any size: right now and then, wrong most of the time. */
static void do_free_anything(struct model *m)
{
    struct test *test = m->test;
    uint64_t frame = frame_at(pick(m, LOW_COUNT + LATE_COUNT + HIGH_COUNT));
    uint64_t pages = 1 + pick(m, 3);
    int owner = owner_of(m, frame);
    ps_status expected = PS_OK;

    if (owner == ABSENT)
        expected = PS_OUT_OF_RANGE;
    else if (owner == UNITS)
        expected = PS_ACCESS_DENIED;
    else if (owner == FREE || m->units[owner].first != frame)
        expected = PS_NOT_FOUND;
    else if (m->units[owner].pages != pages)
        expected = PS_WRONG_SIZE;
    EXPECT_STATUS(ps_frame_pool_free(&m->f->pool, ps_frame(frame), ps_pages(pages)), expected);
    if (expected == PS_OK)
        model_give(m, owner);
}

/* Only units whose parts all find a place in the list of units. */
static void do_split(struct model *m)
{
    struct test *test = m->test;
    int unit = find_unit(m, true);
    struct unit whole;

    if (unit < 0 || m->units[unit].pages > 8)
        return;
    whole = m->units[unit];
    EXPECT_OK(ps_frame_pool_split(&m->f->pool, ps_frame(whole.first), ps_pages(whole.pages)));
    model_give(m, unit);
    for (uint64_t i = 0; i < whole.pages; i++) {
        int part = find_unit(m, false);

        if (part >= 0)
            model_take(m, part, whole.first + i, 1, whole.tag);
        else
            EXPECT_OK(ps_frame_pool_free(&m->f->pool, ps_frame(whole.first + i), ps_pages(1)));
    }
}

/* ---- comparison ---- */

static void expect_like_model(struct model *m, uint64_t frame)
{
    struct test *test = m->test;
    int owner = owner_of(m, frame);
    struct ps_frame_info info;

    EXPECT_OK(ps_frame_pool_query(&m->f->pool, ps_frame(frame), &info));
    EXPECT_EQ(info.managed, owner != ABSENT);
    if (owner == UNITS) {
        EXPECT_EQ(info.tag, PS_FRAME_METADATA);
    } else if (owner >= 0) {
        EXPECT_EQ(info.tag, m->units[owner].tag);
        EXPECT_EQ(info.unit.number, m->units[owner].first);
        EXPECT_EQ(info.unit_pages.count, m->units[owner].pages);
    } else {
        EXPECT_EQ(info.tag, PS_FRAME_FREE);
        EXPECT_EQ(info.unit_pages.count, 0);
    }
}

static void compare(struct model *m, bool every_frame)
{
    const uint64_t places = LOW_COUNT + LATE_COUNT + HIGH_COUNT;
    struct test *test = m->test;
    struct ps_frame_pool_snapshot now;

    EXPECT_OK(ps_frame_pool_validate(&m->f->pool, NULL));
    ps_frame_pool_snapshot(&m->f->pool, &now);
    EXPECT_EQ(now.free, count_free(m, 0, UINT64_MAX));
    EXPECT_EQ(now.free_below_1mib, count_free(m, 0, 255));
    EXPECT_EQ(now.free_below_4gib, count_free(m, 256, HIGH_START - 1));
    EXPECT_EQ(now.metadata, m->metadata);
    for (uint64_t i = 0; i < places; i += every_frame ? 1 : 97)
        expect_like_model(m, frame_at(i));
}

static void start(struct model *m, struct test *test, struct pool_fixture *f, uint64_t seed)
{
    memset(m, 0, sizeof(*m));
    m->test = test;
    m->f = f;
    m->random = test_random(seed);
    EXPECT_OK(ps_frame_pool_add(&f->pool, ps_frame(LOW_COUNT), ps_pages(LATE_COUNT)));
    m->metadata = f->pool.metadata_frames;
    for (uint64_t i = 0; i < LOW_COUNT + LATE_COUNT + HIGH_COUNT; i++) {
        struct ps_frame_info info;

        EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(frame_at(i)), &info));
        EXPECT_EQ(info.managed, i != 0);
        m->owner[i] = info.tag == PS_FRAME_METADATA ? UNITS : i == 0 ? ABSENT : FREE;
    }
    EXPECT_EQ(count_free(m, 0, UINT64_MAX), f->pool.free_frames);
}

static void step(struct model *m)
{
    static void (*const operations[])(struct model * m) = {
        do_run,  do_run,  do_singles, do_singles,       do_claim,
        do_free, do_free, do_free,    do_free_anything, do_split};

    operations[pick(m, PS_ARRAY_SIZE(operations))](m);
}

static void play(struct test *test, struct pool_fixture *f, uint64_t seed)
{
    static struct model model;
    uint64_t failures = test->failures;

    start(&model, test, f, seed);
    for (unsigned i = 0; i < STEPS && test->failures == failures; i++) {
        step(&model);
        compare(&model, i % 50 == 0);
        if (test->failures != failures)
            test_note(test, "seed %" PS_PRIu ", step %u", seed, i);
    }
    while (test->failures == failures && find_unit(&model, true) >= 0)
        do_free(&model);
    compare(&model, true);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
}

static void random_operations_agree_with_the_model(struct test *test)
{
    static const struct sim_range ranges[] = {
        SIM_RAM(0, LOW_COUNT),
        {{LOW_COUNT}, {LATE_COUNT}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK},
        SIM_RAM(HIGH_START, HIGH_COUNT),
    };

    for (uint64_t seed = 1; seed <= SEEDS && test->failures == 0; seed++) {
        struct pool_fixture f = {.sim = sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), 0)};

        REQUIRE(f.sim != NULL);
        if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map)))
            play(test, &f, seed);
        sim_machine_destroy(f.sim);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(random_operations_agree_with_the_model),
};

const struct test_suite suite_frame_pool_model = TEST_SUITE("frame_pool_model", cases);
