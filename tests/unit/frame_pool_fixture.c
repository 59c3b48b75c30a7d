#include "frame_pool_fixture.h"

#include <string.h>

static void note_corruption(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

void pool_with(struct test *test, const struct sim_range *ranges, size_t count,
               void (*body)(struct test *test, struct pool_fixture *f))
{
    struct pool_fixture f = {.sim = sim_machine_create(ranges, count, 0)};
    struct ps_sink notes = {note_corruption, test};

    if (!EXPECT(f.sim != NULL))
        return;
    if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map))) {
        f.fresh = pool_now(&f);
        body(test, &f);
        EXPECT_OK(ps_frame_pool_validate(&f.pool, &notes));
    }
    sim_machine_destroy(f.sim);
}

struct pool_state pool_state(struct pool_fixture *f)
{
    struct pool_state state;

    (void)ps_frame_pool_in_use(&f->pool);
    state.memory = sim_machine_checksum(f->sim);
    memcpy(&state.pool, &f->pool, sizeof(state.pool));
    return state;
}

void pool_expect_same(struct test *test, const struct pool_fixture *f,
                      const struct pool_state *before, const char *what)
{
    uint64_t failures = test->failures;

    EXPECT(memcmp(&f->pool, &before->pool, sizeof(f->pool)) == 0);
    EXPECT_EQ(sim_machine_checksum(f->sim), before->memory);
    if (test->failures != failures)
        test_note(test, "by %s", what);
}

struct ps_frame_pool_snapshot pool_now(struct pool_fixture *f)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(&f->pool, &now);
    return now;
}

void pool_expect_fresh(struct test *test, struct pool_fixture *f)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_drain(&f->pool);
    now = pool_now(f);
    EXPECT(memcmp(&now, &f->fresh, sizeof(now)) == 0);
    EXPECT_EQ(now.free, f->fresh.free);
    EXPECT_EQ(now.available, f->fresh.available);
    EXPECT_EQ(now.metadata, f->fresh.metadata);
    EXPECT_EQ(now.whole_2m, f->fresh.whole_2m);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
}

uint64_t pool_single(struct test *test, struct pool_fixture *f)
{
    ps_frame_t frame = {0};

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame));
    return frame.number;
}

ps_status pool_try_run(struct pool_fixture *f, uint64_t pages, uint64_t alignment, uint64_t limit,
                       uint64_t *first)
{
    struct ps_frame_run run = {ps_pages(pages), alignment, ps_frame(limit), PS_FRAME_USER, 0};
    ps_frame_t frame = ps_frame(*first);
    ps_status status = ps_frame_pool_alloc_run(&f->pool, &run, &frame);

    *first = frame.number;
    return status;
}

uint64_t pool_run(struct test *test, struct pool_fixture *f, uint64_t pages, uint64_t alignment,
                  uint64_t limit)
{
    uint64_t first = 0;

    EXPECT_OK(pool_try_run(f, pages, alignment, limit, &first));
    return first;
}

void pool_free(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    if (!EXPECT_OK(ps_frame_pool_free(&f->pool, ps_frame(first), ps_pages(pages))))
        test_note(test, "unit of %" PS_PRIu " at frame 0x%" PS_PRIx, pages, first);
}

void pool_expect_unit(struct test *test, struct pool_fixture *f, uint64_t frame, uint64_t unit,
                      uint64_t pages, enum ps_frame_tag tag)
{
    struct ps_frame_info info;
    uint64_t failures = test->failures;

    EXPECT_OK(ps_frame_pool_query(&f->pool, ps_frame(frame), &info));
    EXPECT(info.managed);
    EXPECT_EQ(info.tag, pages == 0 ? PS_FRAME_FREE : tag);
    EXPECT_EQ(info.unit.number, unit);
    EXPECT_EQ(info.unit_pages.count, pages);
    EXPECT_EQ(info.holders == 0, pages == 0);
    if (test->failures != failures)
        test_note(test, "frame 0x%" PS_PRIx, frame);
}

bool pool_is_free(struct pool_fixture *f, uint64_t frame)
{
    struct ps_frame_info info;

    return ps_frame_pool_query(&f->pool, ps_frame(frame), &info) == PS_OK && info.managed &&
           info.tag == PS_FRAME_FREE;
}

bool pool_is_managed(struct pool_fixture *f, uint64_t frame)
{
    struct ps_frame_info info;

    return ps_frame_pool_query(&f->pool, ps_frame(frame), &info) == PS_OK && info.managed;
}
