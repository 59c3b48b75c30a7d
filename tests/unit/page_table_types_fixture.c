#include "page_table_types_fixture.h"

#include <stdio.h>
#include <string.h>

static void unmap_all(struct test *test, struct ps_page_table *table)
{
    uint64_t half = (uint64_t)1 << (table->levels * 9u - 1);

    EXPECT_OK(ps_page_table_unmap(table, ps_virt(0), ps_pages(half), NULL));
    EXPECT_OK(
        ps_page_table_unmap(table, ps_virt(~(half * PS_PAGE_SIZE - 1)), ps_pages(half), NULL));
}

static void note(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

static void expect_valid(struct test *test, struct types_fixture *t)
{
    const struct ps_sink notes = {note, test};

    EXPECT_OK(ps_page_table_validate(&t->f->table, &notes));
    EXPECT_OK(ps_page_table_validate(&t->second, &notes));
    EXPECT_OK(ps_cache_types_validate(&t->types, &notes));
}

void types_with(struct test *test, struct table_fixture *f,
                void (*body)(struct test *test, struct types_fixture *t))
{
    static struct types_fixture fixture;
    struct types_fixture *t = &fixture;
    struct ps_frame_pool_snapshot snapshot;

    fixture = (struct types_fixture){.f = f};
    REQUIRE_OK(ps_cache_types_init(&t->types, &f->pool, &f->sim->map));
    f->sim->machine.cache_types = &t->types;
    REQUIRE_OK(ps_page_table_create(&t->second, &f->sim->machine, &f->pool));
    body(test, t);
    expect_valid(test, t);
    unmap_all(test, &f->table);
    unmap_all(test, &t->second);
    types_expect(test, t, "");
    EXPECT_OK(ps_page_table_destroy(&t->second));
    EXPECT_OK(ps_cache_types_destroy(&t->types));
    ps_frame_pool_snapshot(&f->pool, &snapshot);
    EXPECT_EQ(snapshot.by_tag[PS_FRAME_HEAP], 0);
    f->sim->machine.cache_types = NULL;
}

/* ---- calls ---- */

ps_status types_run_in(struct ps_page_table *table, uint64_t page, uint64_t frame, uint64_t pages,
                       ps_attr_t attr, unsigned flags)
{
    return ps_page_table_map_run(table, at(TABLE_LOW, page), ps_frame(frame), ps_pages(pages), attr,
                                 flags);
}

ps_status types_run(struct types_fixture *t, uint64_t page, uint64_t frame, uint64_t pages,
                    ps_attr_t attr, unsigned flags)
{
    return types_run_in(&t->f->table, page, frame, pages, attr, flags);
}

ps_status types_two(struct types_fixture *t, uint64_t page, uint64_t frame0, uint64_t frame1,
                    ps_attr_t attr, enum ps_existing existing)
{
    const ps_frame_t frames[] = {{frame0}, {frame1}};

    return ps_page_table_map(&t->f->table, at(TABLE_LOW, page), frames, ps_pages(2), attr,
                             existing);
}

ps_status types_one(struct types_fixture *t, uint64_t page, uint64_t frame, ps_attr_t attr,
                    enum ps_existing existing)
{
    const ps_frame_t one = ps_frame(frame);

    return ps_page_table_map(&t->f->table, at(TABLE_LOW, page), &one, ps_pages(1), attr, existing);
}

void types_unmap(struct test *test, struct types_fixture *t, uint64_t page, uint64_t pages)
{
    table_unmap(test, t->f, at(TABLE_LOW, page), pages);
}

/* ---- facts ---- */

static bool print_range(void *context, const struct ps_range *range)
{
    char *text = context;
    size_t length = strlen(text);
    struct ps_attr_text type = ps_attr_text(ps_attr(PS_READ, (enum ps_cache)(range->value & 7)));

    (void)snprintf(text + length, 512 - length, "%s%" PS_PRIx "-%" PS_PRIx " %s %" PS_PRIu,
                   length != 0 ? ", " : "", range->first, range->last, type.cache,
                   range->value >> 3);
    return true;
}

void types_expect(struct test *test, struct types_fixture *t, const char *expected)
{
    char text[512] = "";

    (void)ps_range_tree_for_each(&t->types.ranges, 0, UINT64_MAX, print_range, text);
    EXPECT_TEXT(text, expected);
    expect_valid(test, t);
}

static bool keep_range(void *context, const struct ps_range *range)
{
    struct types_state *state = context;

    if (state->count < TABLE_UNITS_MAX)
        state->ranges[state->count] = *range;
    state->count++;
    return true;
}

struct types_state types_state(struct types_fixture *t)
{
    struct types_state state;

    memset(&state, 0, sizeof(state));
    state.first = table_state(t->f);
    memcpy(&state.second, &t->second, sizeof(state.second));
    state.invalidations = t->f->sim->invalidations;
    (void)ps_range_tree_for_each(&t->types.ranges, 0, UINT64_MAX, keep_range, &state);
    return state;
}

void types_expect_unchanged(struct test *test, struct types_fixture *t,
                            const struct types_state *before)
{
    struct types_state after = types_state(t);

    table_expect_unchanged(test, t->f, &before->first);
    EXPECT(memcmp(&after.second, &before->second, sizeof(after.second)) == 0);
    EXPECT_EQ(after.count, before->count);
    EXPECT(memcmp(after.ranges, before->ranges, sizeof(after.ranges)) == 0);
    EXPECT_EQ(after.invalidations, before->invalidations);
    EXPECT_EQ(t->types.ranges.reserved, 0);
    expect_valid(test, t);
}
