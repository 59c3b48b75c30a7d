#include "address_arena_fixture.h"

#include "allocated.h"

#include <hw.h>
#include <string.h>

enum { FIRST_FRAME = 256 };

static void note(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

void arena_empty(struct test *test, struct arena_fixture *f)
{
    struct ps_arena_extent extent;

    while (ps_arena_next(&f->arena, 0, &extent)) {
        ps_status status = extent.kind == PS_ARENA_LIVE
                               ? ps_arena_free(&f->arena, extent.first, extent.pages)
                               : ps_arena_release(&f->arena, extent.first);

        if (!EXPECT_OK(status))
            return;
    }
}

void arena_with(struct test *test, const struct arena_shape *shape,
                void (*body)(struct test *test, struct arena_fixture *f))
{
    struct sim_range ram = SIM_RAM(FIRST_FRAME, shape->frames);
    struct ps_sink notes = {note, test};
    struct arena_fixture f;

    memset(&f, 0, sizeof(f));
    f.frames = shape->frames;
    f.sim = sim_machine_create(&ram, 1, 0);
    if (!EXPECT(f.sim != NULL))
        return;
    if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map)) &&
        EXPECT_OK(ps_arena_init(&f.arena, &f.sim->machine, &f.pool, PS_FRAME_HEAP, shape->first,
                                shape->pages, shape->guard))) {
        body(test, &f);
        ps_frame_pool_fail_after(&f.pool, UINT64_MAX, false);
        EXPECT_OK(ps_arena_validate(&f.arena, &notes));
        arena_empty(test, &f);
        EXPECT_OK(ps_arena_validate(&f.arena, &notes));
        EXPECT_OK(ps_arena_destroy(&f.arena));
        EXPECT_EQ(ps_frame_pool_in_use(&f.pool), 0);
        EXPECT_EQ(f.pool.promised, 0);
    }
    sim_machine_destroy(f.sim);
}

ps_status arena_ask(struct arena_fixture *f, uint64_t pages, uint64_t *first)
{
    return ps_arena_alloc(&f->arena, &(struct ps_arena_request){.pages = pages}, first);
}

uint64_t arena_get(struct test *test, struct arena_fixture *f, uint64_t pages)
{
    uint64_t first = UINT64_MAX;

    EXPECT_OK(arena_ask(f, pages, &first));
    return first;
}

void arena_put(struct test *test, struct arena_fixture *f, uint64_t first)
{
    EXPECT_OK(ps_arena_free(&f->arena, first, 0));
}

/* ---- texts ---- */

static bool print_extent(void *context, const struct ps_arena_extent *extent)
{
    const struct ps_sink *sink = context;

    ps_print(sink, "%" PS_PRIu "+%" PS_PRIu, extent->first, extent->pages);
    if (extent->value != 0)
        ps_print(sink, "=%" PS_PRIu, extent->value);
    ps_print(sink, extent->kind == PS_ARENA_RETIRED ? "R " : " ");
    return true;
}

const char *arena_text(const struct ps_arena *arena)
{
    static char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    (void)ps_arena_for_each(arena, 0, UINT64_MAX, print_extent, &sink);
    if (buffer.length > 0 && buffer.length < sizeof(text))
        text[buffer.length - 1] = 0;
    return text;
}

/* ---- the whole state ---- */

struct arena_state arena_state(struct arena_fixture *f)
{
    struct arena_state state;

    memset(&state, 0, sizeof(state));
    memcpy(&state.arena, &f->arena, sizeof(state.arena));
    state.arena.counters.failed = 0;
    state.in_use = ps_frame_pool_in_use(&f->pool);
    state.contents = allocated_number(&f->pool, &f->sim->machine, ps_frame(FIRST_FRAME), f->frames);
    return state;
}

void arena_expect_same(struct test *test, struct arena_fixture *f, const struct arena_state *before)
{
    struct arena_state now = arena_state(f);

    EXPECT(memcmp(&now.arena, &before->arena, sizeof(now.arena)) == 0);
    EXPECT_EQ(now.in_use, before->in_use);
    EXPECT_EQ(now.contents, before->contents);
    EXPECT_OK(ps_arena_validate(&f->arena, NULL));
}
