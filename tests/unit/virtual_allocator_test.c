/* The virtual allocator's calls one by one: every status, every counter, what is told. */
#include "virtual_fixture.h"

#include <string.h>

#include "unit_suites.h"

static struct ps_virtual_request pages_of(uint64_t pages)
{
    return (struct ps_virtual_request){.pages = ps_pages(pages)};
}

static bool all_zero(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* ---- before init, and init ---- */

VIRTUAL_CASE(before_init_every_call_is_bad_state, .not_initialised = true)
{
    struct ps_virtual_request request = pages_of(1);
    struct ps_virtual_request nothing = pages_of(0);
    struct ps_virtual_snapshot snapshot;
    struct ps_virtual_info info;
    ps_virt_t va = ps_virt(7);
    uint64_t bytes = 7;
    bool live = false;

    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &nothing, &va), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, NULL, NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_alloc_at(&f->arena, &request, ps_virt(1), true), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_resize(&f->arena, ps_virt(1), 0, 0, &va), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_free(&f->arena, ps_virt(VIRTUAL_BASE)), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_free_sized(&f->arena, ps_virt(VIRTUAL_BASE), 1), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_free_all(&f->arena), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_is_live(&f->arena, ps_virt(VIRTUAL_BASE), &live), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_usable(&f->arena, ps_virt(VIRTUAL_BASE), &bytes), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_free_part(&f->arena, ps_virt(1), ps_pages(0)), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_find(&f->arena, ps_virt(VIRTUAL_BASE), &info), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_find(&f->arena, ps_virt(VIRTUAL_BASE), NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_validate(&f->arena, NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_destroy(&f->arena, NULL), PS_BAD_STATE);
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(0), NULL, 0), 0);
    ps_virtual_snapshot(&f->arena, &snapshot);
    EXPECT(all_zero(&snapshot, sizeof(snapshot)));
    EXPECT(all_zero(&f->arena, sizeof(f->arena)));
    EXPECT_EQ(va.addr, 7);
}

static ps_status init(struct virtual_fixture *f, uint64_t base, uint64_t pages, uint64_t guard)
{
    struct ps_virtual_config config = {.base = ps_virt(base),
                                       .pages = ps_pages(pages),
                                       .guard = ps_pages(guard),
                                       .tag = PS_FRAME_VIRTUAL};

    return ps_virtual_init(&f->arena, &f->table, &f->pool, &config);
}

VIRTUAL_CASE(init_refuses_a_range_that_is_no_arena, .not_initialised = true)
{
    EXPECT_STATUS(init(f, VIRTUAL_BASE + 1, 64, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE + 0x800, 64, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 0, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, 0xffffffffffffe000u, 3, 0), PS_INVALID_ARGS); /* wraps */
    EXPECT_STATUS(init(f, VIRTUAL_BASE, UINT64_MAX, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, 0x0000800000000000u, 1, 0), PS_INVALID_ARGS); /* not canonical */
    EXPECT_STATUS(init(f, 0x00007ffffffff000u, 2, 0), PS_INVALID_ARGS); /* its end is not */
    EXPECT_STATUS(init(f, 0x00007ffffffff000u, 0xffff000000002u, 0), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, 0xffff7ffffffff000u, 2, 0), PS_INVALID_ARGS); /* its start is not */
    EXPECT(all_zero(&f->arena, sizeof(f->arena)));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

VIRTUAL_CASE(init_refuses_guards_that_leave_no_page, .not_initialised = true)
{
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 1, 16), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 16, 16), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 17, 16), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 32, 16), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 2, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 64, UINT64_MAX), PS_INVALID_ARGS);
    EXPECT_STATUS(init(f, VIRTUAL_BASE, 64, UINT64_MAX / 2 + 1), PS_INVALID_ARGS);
    EXPECT(all_zero(&f->arena, sizeof(f->arena)));
    EXPECT_OK(init(f, VIRTUAL_BASE, 33, 16));
}

VIRTUAL_CASE(init_refuses_null_and_tags_that_are_nobodys, .not_initialised = true)
{
    struct ps_virtual_config config = {
        .base = ps_virt(VIRTUAL_BASE), .pages = ps_pages(8), .tag = PS_FRAME_VIRTUAL};
    static const enum ps_frame_tag bad[] = {PS_FRAME_FREE, PS_FRAME_METADATA, PS_FRAME_TAG_COUNT};

    EXPECT_STATUS(ps_virtual_init(NULL, &f->table, &f->pool, &config), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_init(&f->arena, NULL, &f->pool, &config), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_init(&f->arena, &f->table, NULL, &config), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_init(&f->arena, &f->table, &f->pool, NULL), PS_INVALID_ARGS);
    for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++) {
        config.tag = bad[i];
        EXPECT_STATUS(ps_virtual_init(&f->arena, &f->table, &f->pool, &config), PS_INVALID_ARGS);
    }
    EXPECT(all_zero(&f->arena, sizeof(f->arena)));
}

VIRTUAL_CASE(init_on_a_page_table_that_was_not_created_is_bad_state, .not_initialised = true)
{
    struct ps_page_table none = {0};
    struct ps_virtual_config config = {
        .base = ps_virt(VIRTUAL_BASE), .pages = ps_pages(8), .tag = PS_FRAME_VIRTUAL};

    EXPECT_STATUS(ps_virtual_init(&f->arena, &none, &f->pool, &config), PS_BAD_STATE);
    EXPECT(all_zero(&f->arena, sizeof(f->arena)));
}

VIRTUAL_CASE(init_twice_is_bad_state_and_changes_nothing)
{
    struct ps_virtual_allocator before = f->arena;

    EXPECT_STATUS(init(f, VIRTUAL_BASE, 64, 1), PS_BAD_STATE);
    EXPECT_STATUS(init(f, 1, 0, 0), PS_BAD_STATE);
    EXPECT(memcmp(&before, &f->arena, sizeof(before)) == 0);
}

VIRTUAL_CASE(an_empty_arena_takes_no_frame_whatever_its_size, .pages = (uint64_t)1 << 34)
{
    struct ps_virtual_snapshot now;

    ps_virtual_snapshot(&f->arena, &now);
    EXPECT_EQ(now.metadata_frames, 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

VIRTUAL_CASE(destroy_gives_everything_back_and_the_arena_can_be_made_again)
{
    for (unsigned i = 0; i < 60; i++)
        (void)virtual_take(test, f, 1);
    for (unsigned i = 0; i < 60; i++)
        virtual_free(test, f, i);
    EXPECT_OK(ps_virtual_destroy(&f->arena, NULL));
    EXPECT(all_zero(&f->arena, sizeof(f->arena)));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
    EXPECT_STATUS(ps_virtual_destroy(&f->arena, NULL), PS_BAD_STATE);
    EXPECT_OK(init(f, VIRTUAL_BASE, 64, 1));
    EXPECT_EQ(virtual_take(test, f, 1), 1);
}

VIRTUAL_CASE(destroy_is_refused_while_an_allocation_lives)
{
    uint64_t page = virtual_take(test, f, 2);
    struct virtual_state before = virtual_state(f);

    EXPECT_STATUS(ps_virtual_destroy(&f->arena, NULL), PS_BAD_STATE);
    virtual_expect_same(test, f, &before);
    virtual_free(test, f, page);
}

/* ---- alloc ---- */

static void expect_rejected(struct test *test, struct virtual_fixture *f,
                            const struct ps_virtual_request *request)
{
    uint64_t rejected = f->arena.counters.rejected;
    uint64_t failed = f->arena.counters.failed;
    ps_virt_t va = ps_virt(7);

    EXPECT_STATUS(ps_virtual_alloc(&f->arena, request, &va), PS_INVALID_ARGS);
    EXPECT_EQ(va.addr, 7);
    EXPECT_EQ(f->arena.counters.rejected, rejected + 1);
    EXPECT_EQ(f->arena.counters.failed, failed);
}

VIRTUAL_CASE(alloc_rejects_bad_requests_and_counts_them, .guard = 1)
{
    struct virtual_state before = virtual_state(f);
    struct ps_virtual_request good = pages_of(1);
    const struct ps_virtual_request bad[] = {
        {.pages = ps_pages(0)},
        {.pages = ps_pages(1), .alignment = ps_pages(3)},
        {.pages = ps_pages(1), .alignment = ps_pages(UINT64_MAX)},
        {.pages = ps_pages(1), .attr = {PS_READ | PS_WRITE | PS_EXECUTE, PS_CACHE_WRITE_BACK}},
        {.pages = ps_pages(1), .attr = {PS_WRITE, PS_CACHE_WRITE_BACK}},
        {.pages = ps_pages(1), .attr = {0, PS_CACHE_UNCACHED}},
        {.pages = ps_pages(1), .attr = {PS_READ, PS_CACHE_COUNT}},
        {.pages = ps_pages(1), .flags = PS_FRAME_ZERO << 1},
        {.pages = ps_pages(1), .flags = ~0u},
        {.pages = ps_pages(1), .guard_before = ps_pages(PS_ARENA_GUARD_MAX + 1)},
        {.pages = ps_pages(1), .guard_after = ps_pages(UINT64_MAX)},
        {.pages = ps_pages(1), .bytes = 1},
        {.pages = ps_pages(1), .low = 2, .high = 1},
        {.pages = ps_pages(1), .low = 2},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(bad); i++)
        expect_rejected(test, f, &bad[i]);
    expect_rejected(test, f, NULL);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &good, NULL), PS_INVALID_ARGS);
    EXPECT_EQ(f->arena.counters.rejected, PS_ARRAY_SIZE(bad) + 2);
    virtual_expect_same(test, f, &before);
}

VIRTUAL_CASE(alloc_without_room_is_no_space_and_takes_no_frame, .guard = 1)
{
    uint64_t other = virtual_take(test, f, 1);
    struct virtual_state before = virtual_state(f);
    const struct ps_virtual_request impossible[] = {
        {.pages = ps_pages(255)},
        {.pages = ps_pages((uint64_t)1 << 30)},
        {.pages = ps_pages(UINT64_MAX)},
        {.pages = ps_pages(1), .guard_before = ps_pages(255)},
        {.pages = ps_pages(1), .guard_before = ps_pages(128), .guard_after = ps_pages(128)},
        {.pages = ps_pages(1), .alignment = ps_pages((uint64_t)1 << 63)},
        {.pages = ps_pages(1), .alignment = ps_pages(512)},
    };

    ps_frame_pool_fail_after(&f->pool, 0, false);
    for (size_t i = 0; i < PS_ARRAY_SIZE(impossible); i++) {
        ps_virt_t va = ps_virt(7);

        EXPECT_STATUS(ps_virtual_alloc(&f->arena, &impossible[i], &va), PS_NO_SPACE);
        EXPECT_EQ(va.addr, 7);
        EXPECT_EQ(f->arena.counters.failed, i + 1);
    }
    EXPECT(f->pool.fail_armed); /* nobody asked the pool for anything */
    EXPECT_EQ(f->arena.counters.rejected, 0);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    virtual_expect_same(test, f, &before);
    virtual_free(test, f, other);
}

VIRTUAL_CASE(alloc_of_more_than_all_free_frames_takes_none, .pages = 4096)
{
    struct virtual_state before = virtual_state(f);

    ps_frame_pool_fail_after(&f->pool, 0, false);
    EXPECT_STATUS(virtual_try(f, before.pool.free + 1), PS_NO_MEMORY);
    EXPECT(f->pool.fail_armed);
    EXPECT_EQ(f->arena.counters.failed, 1);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    virtual_expect_same(test, f, &before);
}

VIRTUAL_CASE(pages_are_mapped_readable_and_writable_to_frames_with_the_tag)
{
    uint64_t first = virtual_take(test, f, 100);

    for (uint64_t page = first; page < first + 100; page++) {
        struct ps_translation translation = {0};
        struct ps_frame_info info = {0};

        REQUIRE_OK(ps_page_table_query(&f->table, virtual_page(f, page), &translation));
        REQUIRE_OK(ps_frame_pool_query(&f->pool, translation.frame, &info));
        EXPECT(ps_attr_equal(translation.attr, ps_attr_ram(PS_READ | PS_WRITE)));
        EXPECT_EQ(translation.leaf, PS_LEAF_4K);
        EXPECT_EQ(info.tag, PS_FRAME_VIRTUAL);
        EXPECT_EQ(info.unit_pages.count, 1);
    }
    EXPECT(!virtual_is_mapped(f, first + 100));
}

VIRTUAL_CASE(requested_attributes_reach_the_page_table)
{
    const ps_attr_t attrs[] = {
        ps_attr_ram(PS_READ),
        ps_attr_ram(PS_READ | PS_EXECUTE),
        ps_attr(PS_READ | PS_WRITE | PS_USER, PS_CACHE_WRITE_COMBINING),
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(attrs); i++) {
        struct ps_virtual_request request = {.pages = ps_pages(2), .attr = attrs[i]};
        uint64_t first = virtual_take_as(test, f, &request);
        struct ps_translation translation = {0};

        EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, first + 1), &translation));
        EXPECT(ps_attr_equal(translation.attr, attrs[i]));
    }
}

VIRTUAL_CASE(zero_flag_gives_zero_bytes_in_used_frames_too, .frames = 300)
{
    struct ps_virtual_request request = {.pages = ps_pages(200), .flags = PS_FRAME_ZERO};
    uint64_t first = virtual_take(test, f, 200);

    for (uint64_t page = first; page < first + 200; page++)
        memset(virtual_word(f, page), 0xa5, PS_PAGE_SIZE);
    virtual_free(test, f, first);
    first = virtual_take_as(test, f, &request);
    for (uint64_t page = first; page < first + 200; page++)
        EXPECT(all_zero(virtual_word(f, page), PS_PAGE_SIZE));
}

/* ---- free ---- */

static void expect_free(struct test *test, struct virtual_fixture *f, ps_virt_t va,
                        ps_status expected)
{
    uint64_t rejected = f->arena.counters.rejected;

    EXPECT_STATUS(ps_virtual_free(&f->arena, va), expected);
    EXPECT_EQ(f->arena.counters.rejected, rejected + 1);
}

VIRTUAL_CASE(free_of_what_is_not_there_is_refused_and_counted, .guard = 2)
{
    uint64_t a = virtual_take(test, f, 3);
    uint64_t b = virtual_take(test, f, 3);
    struct virtual_state before;

    virtual_free(test, f, b);
    before = virtual_state(f);
    expect_free(test, f, virtual_page(f, b), PS_NOT_FOUND);         /* twice */
    expect_free(test, f, virtual_page(f, 0), PS_ACCESS_DENIED);     /* the first guard page */
    expect_free(test, f, virtual_page(f, a + 3), PS_ACCESS_DENIED); /* the guard behind */
    expect_free(test, f, virtual_page(f, a + 1), PS_INVALID_ARGS);  /* inside */
    expect_free(test, f, virtual_page(f, a + 2), PS_INVALID_ARGS);
    expect_free(test, f, ps_virt(virtual_page(f, a).addr + 1), PS_INVALID_ARGS);
    expect_free(test, f, virtual_page(f, 255), PS_ACCESS_DENIED);
    expect_free(test, f, virtual_page(f, 256), PS_OUT_OF_RANGE);
    expect_free(test, f, ps_virt(VIRTUAL_BASE - 1), PS_OUT_OF_RANGE);
    expect_free(test, f, ps_virt(0), PS_OUT_OF_RANGE);
    expect_free(test, f, ps_virt(UINT64_MAX), PS_OUT_OF_RANGE);
    EXPECT_EQ(f->arena.counters.failed, 0);
    virtual_expect_same(test, f, &before);
}

static void expect_free_part(struct test *test, struct virtual_fixture *f, ps_virt_t va,
                             uint64_t pages, ps_status expected)
{
    uint64_t rejected = f->arena.counters.rejected;

    EXPECT_STATUS(ps_virtual_free_part(&f->arena, va, ps_pages(pages)), expected);
    EXPECT_EQ(f->arena.counters.rejected, rejected + 1);
}

VIRTUAL_CASE(free_part_of_what_is_not_there_is_refused_and_counted, .guard = 1)
{
    uint64_t a = virtual_take(test, f, 4);
    uint64_t b = virtual_take(test, f, 4);
    struct virtual_state before = virtual_state(f);

    expect_free_part(test, f, virtual_page(f, a), 0, PS_INVALID_ARGS);
    expect_free_part(test, f, ps_virt(virtual_page(f, a).addr + 8), 1, PS_INVALID_ARGS);
    expect_free_part(test, f, ps_virt(virtual_page(f, a).addr + 0x800), 1, PS_INVALID_ARGS);
    expect_free_part(test, f, virtual_page(f, a), 5, PS_WRONG_SIZE);
    expect_free_part(test, f, virtual_page(f, a), 9, PS_WRONG_SIZE); /* would reach b */
    expect_free_part(test, f, virtual_page(f, a + 3), 2, PS_WRONG_SIZE);
    expect_free_part(test, f, virtual_page(f, b + 1), UINT64_MAX, PS_WRONG_SIZE);
    expect_free_part(test, f, virtual_page(f, a - 1), 2, PS_ACCESS_DENIED); /* a guard */
    expect_free_part(test, f, virtual_page(f, b + 4), 1, PS_ACCESS_DENIED);
    expect_free_part(test, f, virtual_page(f, b + 5), 1, PS_NOT_FOUND);
    expect_free_part(test, f, virtual_page(f, 256), 1, PS_OUT_OF_RANGE);
    expect_free_part(test, f, ps_virt(VIRTUAL_BASE - PS_PAGE_SIZE), 1, PS_OUT_OF_RANGE);
    EXPECT_EQ(f->arena.counters.failed, 0);
    virtual_expect_same(test, f, &before);
}

VIRTUAL_CASE(null_is_invalid_args_everywhere)
{
    struct ps_virtual_request request = pages_of(1);
    struct ps_virtual_snapshot snapshot = {.free_pages = 7};
    struct ps_virtual_info info;
    ps_virt_t va;

    EXPECT_STATUS(ps_virtual_alloc(NULL, &request, &va), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_alloc_at(NULL, &request, ps_virt(0), true), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_free(NULL, f->arena.config.base), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_free_sized(NULL, f->arena.config.base, 1), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_free_part(NULL, f->arena.config.base, ps_pages(1)), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_find(NULL, f->arena.config.base, &info), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_find(&f->arena, f->arena.config.base, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_destroy(NULL, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_validate(NULL, NULL), PS_INVALID_ARGS);
    EXPECT_EQ(ps_virtual_live(NULL, ps_virt(0), NULL, 0), 0);
    ps_virtual_snapshot(&f->arena, NULL);
    ps_virtual_snapshot(NULL, &snapshot);
    EXPECT_EQ(snapshot.free_pages, 7);
    ps_virtual_dump(NULL, NULL);
    EXPECT_EQ(f->arena.counters.rejected, 0);
}

/* ---- what is known of an allocation ---- */

VIRTUAL_CASE(find_tells_the_allocation_around_an_address, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(3), .who = {{77}, "here.c", 12}};
    struct ps_virtual_info info = {0};
    uint64_t first;

    (void)virtual_take(test, f, 1);
    first = virtual_take_as(test, f, &request);
    EXPECT_OK(ps_virtual_find(&f->arena, ps_virt(virtual_page(f, first + 3).addr - 1), &info));
    EXPECT_EQ(info.va.addr, virtual_page(f, first).addr);
    EXPECT_EQ(info.pages.count, 3);
    EXPECT_EQ(info.sequence, 2);
    EXPECT_EQ(info.who.owner[0], 77);
    EXPECT_TEXT(info.who.file, "here.c");
    EXPECT_EQ(info.who.line, 12);
    EXPECT_STATUS(ps_virtual_find(&f->arena, virtual_page(f, first + 3), &info), PS_NOT_FOUND);
    EXPECT_STATUS(ps_virtual_find(&f->arena, virtual_page(f, 0), &info), PS_NOT_FOUND);
    EXPECT_STATUS(ps_virtual_find(&f->arena, virtual_page(f, 256), &info), PS_OUT_OF_RANGE);
    EXPECT_EQ(f->arena.counters.rejected, 0); /* a question is not a mistake */
}

VIRTUAL_CASE(live_is_in_order_of_address_and_tells_how_many_there_are, .guard = 1)
{
    struct ps_virtual_info infos[4] = {{.sequence = 99}, {.sequence = 99}, {.sequence = 99}};
    uint64_t a = virtual_take(test, f, 2);
    uint64_t b = virtual_take(test, f, 2);
    uint64_t c = virtual_take(test, f, 2);

    virtual_free(test, f, a);
    EXPECT_EQ(virtual_take(test, f, 1), a); /* the fourth stands first */
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(0), infos, 2), 3);
    EXPECT_EQ(infos[0].sequence, 4);
    EXPECT_EQ(infos[1].va.addr, virtual_page(f, b).addr);
    EXPECT_EQ(infos[1].sequence, 2);
    EXPECT_EQ(infos[2].sequence, 99); /* past the capacity: not written */
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(0), infos, 4), 3);
    EXPECT_EQ(infos[2].va.addr, virtual_page(f, c).addr);
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(0), NULL, 0), 3);
}

VIRTUAL_CASE(a_freed_middle_leaves_two_allocations_of_the_same_origin, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(9), .who = {{5}, "middle.c", 3}};
    struct ps_virtual_info infos[3];
    uint64_t first = virtual_take_as(test, f, &request);

    virtual_free_part(test, f, first + 2, 3);
    REQUIRE(ps_virtual_live(&f->arena, ps_virt(0), infos, 3) == 2);
    EXPECT_EQ(infos[0].va.addr, virtual_page(f, first).addr);
    EXPECT_EQ(infos[0].pages.count, 2);
    EXPECT_EQ(infos[1].va.addr, virtual_page(f, first + 5).addr);
    EXPECT_EQ(infos[1].pages.count, 4);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQ(infos[i].sequence, 1);
        EXPECT_EQ(infos[i].who.owner[0], 5);
        EXPECT_TEXT(infos[i].who.file, "middle.c");
        EXPECT_EQ(infos[i].who.line, 3);
    }
    EXPECT_EQ(f->arena.sequence, 1);
}

VIRTUAL_CASE(here_tells_the_file_and_the_line)
{
    struct ps_virtual_request request = {.pages = ps_pages(1), .who = PS_HERE(9)};
    struct ps_virtual_info info = {0};
    uint64_t first = virtual_take_as(test, f, &request);

    EXPECT_OK(ps_virtual_find(&f->arena, virtual_page(f, first), &info));
    EXPECT_EQ(info.who.owner[0], 9);
    EXPECT_TEXT(info.who.file, __FILE__);
    EXPECT(info.who.line != 0);
}

VIRTUAL_CASE(counters_tell_live_pages_and_their_peak, .guard = 1)
{
    struct ps_virtual_snapshot now;
    uint64_t a = virtual_take(test, f, 10);
    uint64_t b = virtual_take(test, f, 20);

    virtual_free(test, f, a);
    virtual_free_part(test, f, b + 5, 5);
    ps_virtual_snapshot(&f->arena, &now);
    EXPECT_EQ(now.counters.live, 2);
    EXPECT_EQ(now.counters.live_pages, 15);
    EXPECT_EQ(now.counters.peak_pages, 30);
    EXPECT_EQ(now.free_extents, 3);
    EXPECT_EQ(now.free_pages, 256 - 15);
    EXPECT_EQ(now.largest_free, 256 - (b + 20) - 2);
}

/* ---- bookkeeping ---- */

VIRTUAL_CASE(bookkeeping_grows_with_allocations_and_is_gone_with_them, .pages = 1024)
{
    struct ps_virtual_snapshot now;
    uint64_t first[200];

    for (unsigned i = 0; i < 200; i++)
        first[i] = virtual_take(test, f, 1);
    ps_virtual_snapshot(&f->arena, &now);
    EXPECT(now.metadata_frames * PS_PAGE_SIZE < (uint64_t)200 * 200);
    for (unsigned i = 0; i < 200; i++) {
        virtual_free(test, f, first[(i * 37) % 200]);
        if (i % 20 == 0)
            EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    }
    ps_virtual_snapshot(&f->arena, &now);
    EXPECT_EQ(now.metadata_frames, 0);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

/* ---- the order of giving back ---- */

struct round_view {
    struct virtual_fixture *f;
    uint64_t available;
    unsigned rounds;
    bool locked;
};

/* Runs under the lock of the page table: reads, and nothing else. */
static void look_at_round(void *context, const struct ps_invalidation *what)
{
    struct round_view *view = context;

    (void)what;
    view->rounds++;
    view->locked = !ps_lock_try(&view->f->arena.lock);
    if (!view->locked)
        ps_lock_release(&view->f->arena.lock);
    view->available = ps_frame_pool_whole(&view->f->pool, PS_FRAME_4K);
}

VIRTUAL_CASE(frames_go_back_only_after_the_one_round_of_a_free, .guard = 1)
{
    struct round_view view = {.f = f};
    uint64_t first = virtual_take(test, f, 1); /* its bookkeeping stays */
    uint64_t available;

    first = virtual_take(test, f, 200);
    available = ps_frame_pool_whole(&f->pool, PS_FRAME_4K);
    f->sim->machine.shootdown_context = &view;
    f->sim->machine.shootdown = look_at_round;
    virtual_free(test, f, first);
    f->sim->machine.shootdown = NULL;
    EXPECT_EQ(view.rounds, 1);
    EXPECT(!view.locked);
    EXPECT_EQ(view.available, available);
    EXPECT(ps_frame_pool_whole(&f->pool, PS_FRAME_4K) >= available + 200);
}

/* A lock whose holder waits for this processor until it has answered three times. */
struct held_lock {
    struct ps_lock *lock;
    unsigned answers;
};

static void answer_and_be_let_go(void *context)
{
    struct held_lock *held = context;

    held->answers++;
    if (held->answers == 3)
        ps_lock_release(held->lock);
}

VIRTUAL_CASE(who_waits_for_the_arena_answers_shootdowns, .guard = 1)
{
    struct held_lock held = {.lock = &f->arena.lock};

    f->sim->machine.answer_context = &held;
    f->sim->machine.answer = answer_and_be_let_go;
    ps_lock_acquire(&f->arena.lock);
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(0), NULL, 0), 0);
    f->sim->machine.answer = NULL;
    EXPECT_EQ(held.answers, 3);
}

static const struct test_case cases[] = {
    TEST_CASE(before_init_every_call_is_bad_state),
    TEST_CASE(init_refuses_a_range_that_is_no_arena),
    TEST_CASE(init_refuses_guards_that_leave_no_page),
    TEST_CASE(init_refuses_null_and_tags_that_are_nobodys),
    TEST_CASE(init_on_a_page_table_that_was_not_created_is_bad_state),
    TEST_CASE(init_twice_is_bad_state_and_changes_nothing),
    TEST_CASE(an_empty_arena_takes_no_frame_whatever_its_size),
    TEST_CASE(destroy_gives_everything_back_and_the_arena_can_be_made_again),
    TEST_CASE(destroy_is_refused_while_an_allocation_lives),
    TEST_CASE(alloc_rejects_bad_requests_and_counts_them),
    TEST_CASE(alloc_without_room_is_no_space_and_takes_no_frame),
    TEST_CASE(alloc_of_more_than_all_free_frames_takes_none),
    TEST_CASE(pages_are_mapped_readable_and_writable_to_frames_with_the_tag),
    TEST_CASE(requested_attributes_reach_the_page_table),
    TEST_CASE(zero_flag_gives_zero_bytes_in_used_frames_too),
    TEST_CASE(free_of_what_is_not_there_is_refused_and_counted),
    TEST_CASE(free_part_of_what_is_not_there_is_refused_and_counted),
    TEST_CASE(null_is_invalid_args_everywhere),
    TEST_CASE(find_tells_the_allocation_around_an_address),
    TEST_CASE(live_is_in_order_of_address_and_tells_how_many_there_are),
    TEST_CASE(a_freed_middle_leaves_two_allocations_of_the_same_origin),
    TEST_CASE(here_tells_the_file_and_the_line),
    TEST_CASE(counters_tell_live_pages_and_their_peak),
    TEST_CASE(bookkeeping_grows_with_allocations_and_is_gone_with_them),
    TEST_CASE(frames_go_back_only_after_the_one_round_of_a_free),
    TEST_CASE(who_waits_for_the_arena_answers_shootdowns),
};

const struct test_suite suite_virtual_allocator = TEST_SUITE("virtual_allocator", cases);
