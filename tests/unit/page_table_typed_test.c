#include <pagestage/cache_types.h>

#include "page_table_fixture.h"

#include <string.h>

/* What a page table asks and tells the cache types, where the machine keeps them. */

#define UC ps_attr(PS_READ | PS_WRITE, PS_CACHE_UNCACHED)
#define WC ps_attr(PS_READ | PS_WRITE, PS_CACHE_WRITE_COMBINING)

/* Nothing is mapped when `body` ends. */
static void typed_with(struct test *test, struct table_fixture *f,
                       void (*body)(struct test *test, struct table_fixture *f,
                                    struct ps_cache_types *types))
{
    struct ps_cache_types types = {0};

    REQUIRE_OK(ps_cache_types_init(&types, &f->pool, &f->sim->map));
    f->sim->machine.cache_types = &types;
    body(test, f, &types);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    EXPECT_OK(ps_cache_types_validate(&types, NULL));
    table_unmap(test, f, at(TABLE_LOW, 0), TABLE_HUGE);
    EXPECT_OK(ps_cache_types_destroy(&types));
    f->sim->machine.cache_types = NULL;
}

#define TYPED_CASE(name)                                                 \
    static void name##_typed(struct test *test, struct table_fixture *f, \
                             struct ps_cache_types *types);              \
    TABLE_CASE(name)                                                     \
    {                                                                    \
        typed_with(test, f, name##_typed);                               \
    }                                                                    \
    static void name##_typed(struct test *test, struct table_fixture *f, \
                             struct ps_cache_types *types)

/* `mapped` pages of the range that a frame belongs to; 0: it belongs to none. */
static void expect_type(struct test *test, struct ps_cache_types *types, uint64_t frame,
                        enum ps_cache cache, uint64_t mapped)
{
    struct ps_cache_range range = {.mapped = 0};
    ps_status status = ps_cache_types_query(types, ps_frame(frame), &range);

    EXPECT_STATUS(status, mapped == 0 ? PS_NOT_FOUND : PS_OK);
    EXPECT_EQ(range.mapped, mapped);
    EXPECT_EQ(range.cache, mapped == 0 ? 0 : cache);
}

static ps_status map(struct table_fixture *f, uint64_t page, const ps_frame_t *frames,
                     uint64_t pages, ps_attr_t attr, enum ps_existing existing)
{
    return ps_page_table_map(&f->table, at(TABLE_LOW, page), frames, ps_pages(pages), attr,
                             existing);
}

TYPED_CASE(a_run_is_known_while_it_is_mapped)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 515, UC, 0);
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 515);
    EXPECT_EQ(types->ranges.count, 1);
    table_expect_tree(test, f, 3, 1, 0, 4, 1);
    table_unmap(test, f, at(TABLE_LOW, 0), 512);
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 3);
    table_unmap(test, f, at(TABLE_LOW, 513), 2);
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 1);
    table_unmap(test, f, at(TABLE_LOW, 512), 1);
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 0);
}

TYPED_CASE(of_scattered_frames_those_that_are_no_ram_are_known)
{
    const ps_frame_t frames[3] = {{700}, {TABLE_FAR + 9}, {TABLE_FAR + 3}};

    EXPECT_OK(map(f, 0, frames, 3, RW, PS_EXISTING_ERROR));
    expect_type(test, types, 700, 0, 0);
    expect_type(test, types, TABLE_FAR + 9, PS_CACHE_WRITE_BACK, 1);
    expect_type(test, types, TABLE_FAR + 3, PS_CACHE_WRITE_BACK, 1);
    EXPECT_OK(map(f, 3, frames, 1, RW, PS_EXISTING_ERROR));
    table_map_run(test, f, at(TABLE_LOW, 10), 701, 2, RW, 0);
    EXPECT_EQ(types->ranges.count, 2);
}

TYPED_CASE(one_page_is_known_as_well_where_its_table_exists)
{
    table_map(test, f, at(TABLE_LOW, 0), 700, RW);
    table_map(test, f, at(TABLE_LOW, 1), TABLE_FAR, UC);
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 1);
    table_unmap(test, f, at(TABLE_LOW, 1), 1);
    expect_type(test, types, TABLE_FAR, 0, 0);
}

TYPED_CASE(another_type_is_refused_and_changes_nothing)
{
    const ps_frame_t frames[2] = {{700}, {TABLE_FAR + 1}};
    struct table_state before;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 3, UC, 0);
    before = table_state(f);
    EXPECT_STATUS(
        ps_page_table_map_run(&f->table, at(TABLE_LOW, 9), ps_frame(TABLE_FAR), ps_pages(2), WC, 0),
        PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 9, frames, 2, RW, PS_EXISTING_ERROR), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 1, &frames[1], 1, WC, PS_EXISTING_SKIP), PS_ACCESS_DENIED);
    EXPECT_STATUS(map(f, 9, frames, 1, UC, PS_EXISTING_ERROR), PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
    expect_type(test, types, TABLE_FAR + 1, PS_CACHE_UNCACHED, 3);
}

TYPED_CASE(an_upgrade_does_not_change_the_type_of_a_frame)
{
    const ps_frame_t ram = ps_frame(700);
    struct table_state before;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1, UC, 0);
    table_map(test, f, at(TABLE_LOW, 1), 700, RO);
    before = table_state(f);
    EXPECT_STATUS(map(f, 1, &ram, 1, WC, PS_EXISTING_UPGRADE), PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
    EXPECT_OK(map(f, 1, &ram, 1, RW, PS_EXISTING_UPGRADE));
    table_expect(test, f, at(TABLE_LOW, 1), 700, RW, PS_LEAF_4K);
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 1);
}

/* The new frame becomes known, and the old one is forgotten, whichever of them is RAM. */
TYPED_CASE(an_upgrade_forgets_the_frame_it_replaced)
{
    const ps_frame_t device = ps_frame(TABLE_FAR);
    const ps_frame_t next = ps_frame(TABLE_FAR + 9);
    const ps_frame_t ram = ps_frame(700);

    table_map(test, f, at(TABLE_LOW, 0), 700, RO);
    EXPECT_OK(map(f, 0, &device, 1, UC, PS_EXISTING_UPGRADE)); /* in place of a readable page */
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 1);
    EXPECT_OK(map(f, 0, &next, 1, WC, PS_EXISTING_UPGRADE)); /* broken before it is made */
    expect_type(test, types, TABLE_FAR, 0, 0);
    expect_type(test, types, TABLE_FAR + 9, PS_CACHE_WRITE_COMBINING, 1);
    EXPECT_OK(map(f, 0, &ram, 1, RW, PS_EXISTING_UPGRADE));
    expect_type(test, types, TABLE_FAR + 9, 0, 0);
    table_expect(test, f, at(TABLE_LOW, 0), 700, RW, PS_LEAF_4K);
}

TYPED_CASE(without_a_frame_for_the_types_nothing_is_mapped)
{
    bool refused = true;

    table_map(test, f, at(TABLE_LOW, 0), 700, RW);
    for (uint64_t request = 0; refused && test->failures == 0; request++) {
        struct table_state before = table_state(f);
        ps_status status;

        ps_frame_pool_fail_after(&f->pool, request, false);
        status = ps_page_table_map_run(&f->table, at(TABLE_LOW, 512), ps_frame(TABLE_FAR),
                                       ps_pages(1024 + 3), UC, 0);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        refused = status != PS_OK;
        EXPECT(request > 1 || refused);
        if (!refused)
            break;
        EXPECT_STATUS(status, PS_NO_MEMORY);
        table_expect_unchanged(test, f, &before);
        expect_type(test, types, TABLE_FAR, 0, 0);
    }
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 1027);
}

TYPED_CASE(protection_does_not_change_the_type_of_a_page)
{
    ps_attr_t device = ps_attr(PS_READ, PS_CACHE_UNCACHED);
    struct table_state before;

    table_map_run(test, f, at(TABLE_LOW, 10), 700, 3, RW, 0);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512 + 2, UC, 0);
    table_map_run(test, f, at(TABLE_LOW, 1600), 703, 3, RW, 0);
    before = table_state(f);
    EXPECT_STATUS(ps_page_table_protect(&f->table, at(TABLE_LOW, 10), ps_pages(1), UC),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_protect(&f->table, at(TABLE_LOW, 10), ps_pages(2), UC),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1024), RO),
                  PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_page_table_protect(&f->table, at(TABLE_LOW, 1025), ps_pages(1), WC),
                  PS_ACCESS_DENIED);
    table_expect_unchanged(test, f, &before);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 9), ps_pages(4), RO));
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 1599), ps_pages(4), RO));
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 500), ps_pages(600), device));
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 1025), ps_pages(1), UC));
    table_expect(test, f, at(TABLE_LOW, 10), 700, RO, PS_LEAF_4K);
    table_expect(test, f, at(TABLE_LOW, 600), TABLE_FAR + 88, device, PS_LEAF_2M);
    table_expect(test, f, at(TABLE_LOW, 1025), TABLE_FAR + 513, UC, PS_LEAF_4K);
    expect_type(test, types, TABLE_FAR, PS_CACHE_UNCACHED, 514);
}

static void expect_breach(struct test *test, struct table_fixture *f, uint64_t *entry,
                          uint64_t value, const char *words)
{
    uint64_t before = *entry;
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    *entry = value;
    EXPECT_STATUS(ps_page_table_validate(&f->table, &sink), PS_CORRUPT);
    if (!EXPECT(strstr(text, words) != NULL))
        test_note(test, "wanted \"%s\", got \"%s\"", words, text);
    *entry = before;
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

TYPED_CASE(leaves_of_another_type_are_found)
{
    uint64_t *device;
    uint64_t *ram;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1, UC, 0);
    table_map(test, f, at(TABLE_LOW, 1), 700, RW);
    device = table_entry(f, at(TABLE_LOW, 0), 1);
    ram = device + 1;
    expect_breach(test, f, device, *device & ~(uint64_t)0x800, "do not know");
    expect_breach(test, f, device, *device ^ 0x8, "another memory type");
    expect_breach(test, f, ram, *ram | 0x8, "do not know");
    expect_breach(test, f, ram, *ram | 0x808, "another memory type");
    f->sim->machine.cache_types = NULL;
    EXPECT_STATUS(ps_page_table_validate(&f->table, NULL), PS_CORRUPT);
    f->sim->machine.cache_types = types;
}

static const struct test_case cases[] = {
    TEST_CASE(a_run_is_known_while_it_is_mapped),
    TEST_CASE(of_scattered_frames_those_that_are_no_ram_are_known),
    TEST_CASE(one_page_is_known_as_well_where_its_table_exists),
    TEST_CASE(another_type_is_refused_and_changes_nothing),
    TEST_CASE(an_upgrade_does_not_change_the_type_of_a_frame),
    TEST_CASE(an_upgrade_forgets_the_frame_it_replaced),
    TEST_CASE(without_a_frame_for_the_types_nothing_is_mapped),
    TEST_CASE(protection_does_not_change_the_type_of_a_page),
    TEST_CASE(leaves_of_another_type_are_found),
};

const struct test_suite suite_page_table_typed = TEST_SUITE("page_table_typed", cases);
