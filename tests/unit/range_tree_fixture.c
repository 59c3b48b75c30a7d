#include "range_tree_fixture.h"

#include "allocated.h"

#include <hw.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_FRAME = 256 };

static void note(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

void tree_with(struct test *test, uint64_t frames,
               void (*body)(struct test *test, struct tree_fixture *f))
{
    struct sim_range ram = SIM_RAM(FIRST_FRAME, frames);
    struct tree_fixture f;
    struct ps_sink notes = {note, test};

    memset(&f, 0, sizeof(f));
    f.frames = frames;
    f.sim = sim_machine_create(&ram, 1, 0);
    if (!EXPECT(f.sim != NULL))
        return;
    if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map)) &&
        EXPECT_OK(ps_range_tree_init(&f.tree, &f.sim->machine, &f.pool, PS_FRAME_HEAP))) {
        body(test, &f);
        ps_frame_pool_fail_after(&f.pool, UINT64_MAX, false);
        EXPECT_OK(ps_range_tree_validate(&f.tree, &notes));
        EXPECT_OK(ps_range_tree_destroy(&f.tree));
        EXPECT_EQ(ps_frame_pool_in_use(&f.pool), 0);
    }
    sim_machine_destroy(f.sim);
}

uint64_t tree_value(uint64_t first)
{
    return ~first;
}

void tree_add(struct test *test, struct tree_fixture *f, uint64_t first, uint64_t last)
{
    EXPECT_OK(ps_range_tree_insert(&f->tree, &(struct ps_range){first, last, tree_value(first)}));
}

void tree_fill(struct test *test, struct tree_fixture *f, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        tree_add(test, f, 16 * i, 16 * i + 11);
}

/* ---- texts ---- */

static bool print_range(void *context, const struct ps_range *range)
{
    const struct ps_sink *sink = context;

    ps_print(sink, "%" PS_PRIu "-%" PS_PRIu, range->first, range->last);
    if (range->value != tree_value(range->first))
        ps_print(sink, "=%" PS_PRIu, range->value);
    ps_print(sink, " ");
    return true;
}

const char *tree_text(const struct ps_range_tree *tree)
{
    static char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    (void)ps_range_tree_for_each(tree, 0, UINT64_MAX, print_range, &sink);
    if (buffer.length > 0 && buffer.length < sizeof(text))
        text[buffer.length - 1] = 0;
    return text;
}

const char *tree_range_text(bool found, const struct ps_range *range)
{
    static char text[64];

    if (!found)
        return "-";
    (void)snprintf(text, sizeof(text), "%" PS_PRIu "-%" PS_PRIu, range->first, range->last);
    return text;
}

/* ---- the whole state ---- */

struct tree_state tree_state(struct tree_fixture *f)
{
    struct tree_state state;
    struct ps_frame_pool_snapshot pool;

    memset(&state, 0, sizeof(state));
    memcpy(&state.tree, &f->tree, sizeof(state.tree));
    ps_frame_pool_snapshot(&f->pool, &pool);
    state.in_use = ps_frame_pool_in_use(&f->pool);
    state.free = pool.free;
    state.contents = allocated_number(&f->pool, &f->sim->machine, ps_frame(FIRST_FRAME), f->frames);
    return state;
}

void tree_expect_same(struct test *test, struct tree_fixture *f, const struct tree_state *before)
{
    struct tree_state now = tree_state(f);

    EXPECT(memcmp(&now.tree, &before->tree, sizeof(now.tree)) == 0);
    EXPECT_EQ(now.in_use, before->in_use);
    EXPECT_EQ(now.free, before->free);
    EXPECT_EQ(now.contents, before->contents);
    EXPECT_OK(ps_range_tree_validate(&f->tree, NULL));
}
