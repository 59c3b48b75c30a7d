/* What a virtual allocator can be asked for, by loads and stores: each case has one of its own. */
#include "virtual_cases.h"

enum { CHUNK = 512 /* pages of 2 MiB */, PAGE = 4096 };

/* A case with an allocator of its own that has a guard of a page; it must leave it empty. */
#define OWN_CASE(name, flags, quarantine)                                         \
    static void name##_in(struct test *test, struct ps_virtual_allocator *arena); \
    static void name(struct test *test)                                           \
    {                                                                             \
        run_with_own(test, (flags), (quarantine), name##_in);                     \
    }                                                                             \
    static void name##_in(struct test *test, struct ps_virtual_allocator *arena)

static void run_with_own(struct test *test, unsigned flags, uint64_t quarantine,
                         void (*run)(struct test *test, struct ps_virtual_allocator *arena))
{
    struct own_arena own;

    if (!own_arena_open(test, &own, flags, quarantine))
        return;
    run(test, &own.arena);
    own_arena_close(test, &own);
}

static void resize(struct test *test, struct ps_virtual_allocator *arena, ps_virt_t *va,
                   uint64_t pages, unsigned flags)
{
    EXPECT_OK(ps_virtual_resize(arena, *va, pages * PS_PAGE_SIZE, flags, va));
}

/* ---- guards ---- */

OWN_CASE(guards_are_as_wide_as_they_were_asked_for, 0, 0)
{
    static const struct {
        uint64_t before;
        uint64_t after;
    } guards[] = {{0, 0}, {4, 2}, {1, 3}, {7, 0}};
    ps_virt_t va[PS_ARRAY_SIZE(guards)];

    for (unsigned i = 0; i < PS_ARRAY_SIZE(guards); i++) {
        struct ps_virtual_request request = {.pages = ps_pages(3),
                                             .guard_before = ps_pages(guards[i].before),
                                             .guard_after = ps_pages(guards[i].after)};

        va[i] = memory_take(test, arena, &request);
        REQUIRE(va[i].addr != 0);
        stamp(test, va[i], 3, i);
    }
    for (unsigned i = 0; i < PS_ARRAY_SIZE(guards); i++) {
        uint64_t before = ps_max(guards[i].before, 1);

        expect_absent(test, byte_at(va[i], -(int64_t)(before * PS_PAGE_SIZE)), before);
        expect_absent(test, page_at(va[i], 3), ps_max(guards[i].after, 1));
        expect_stamped(test, va[i], 3, i);
    }
    for (unsigned i = 0; i < PS_ARRAY_SIZE(guards); i++)
        memory_give(test, arena, va[i]);
}

OWN_CASE(without_guards_neighbours_touch, 0, 0)
{
    const ps_pages_t none = PS_VIRTUAL_NO_GUARD;
    struct ps_virtual_request bare = {.pages = ps_pages(2), .guard_before = none};
    struct ps_virtual_request plain = {.pages = ps_pages(2)};
    ps_virt_t va;

    va = page_at(arena->config.base, 100);
    bare.guard_after = none;
    EXPECT_OK(ps_virtual_alloc_at(arena, &bare, va, false));
    EXPECT_STATUS(ps_virtual_alloc_at(arena, &plain, page_at(va, 2), false), PS_NO_SPACE);
    EXPECT_OK(ps_virtual_alloc_at(arena, &bare, page_at(va, 2), false));
    EXPECT_OK(ps_virtual_alloc_at(arena, &plain, page_at(va, 4), true));
    EXPECT_STATUS(ps_virtual_alloc_at(arena, &bare, page_at(va, 3), true), PS_ALREADY_EXISTS);
    stamp(test, va, 6, 5);
    expect_absent(test, byte_at(va, -8), 1);
    expect_absent(test, page_at(va, 6), 1);
    memory_give(test, arena, page_at(va, 2));
    expect_absent(test, page_at(va, 2), 2);
    expect_load(test, page_at(va, 1), 1 ^ 5);
    expect_load(test, page_at(va, 4), 4 ^ 5);
    memory_give(test, arena, va);
    memory_give(test, arena, page_at(va, 4));
}

/* ---- quarantine ---- */

OWN_CASE(quarantined_addresses_fault_and_are_not_used, 0, 3)
{
    struct ps_virtual_request request = {.pages = ps_pages(2)};
    ps_virt_t va;

    va = memory_take_pages(test, arena, 2);
    stamp(test, va, 2, 7);
    memory_give(test, arena, va);
    for (unsigned i = 0; i < 3; i++) {
        ps_virt_t other = memory_take_pages(test, arena, 2);

        EXPECT(other.addr != va.addr);
        EXPECT_STATUS(ps_virtual_alloc_at(arena, &request, va, false), PS_ALREADY_EXISTS);
        expect_absent(test, va, 2);
        memory_give(test, arena, other);
    }
    EXPECT_EQ(arena->counters.quarantined, 3);
    EXPECT_OK(ps_virtual_alloc_at(arena, &request, va, false));
    stamp(test, va, 2, 8);
    memory_give(test, arena, va);
}

/* ---- bytes ---- */

OWN_CASE(pushed_bytes_end_at_the_guard, PS_VIRTUAL_PUSH, 0)
{
    static const uint64_t sizes[] = {16, 48, 4080, 4096, 4112, 8192 + 32, 100};

    for (unsigned i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        struct ps_virtual_request request = {.bytes = sizes[i]};
        ps_virt_t va = memory_take(test, arena, &request);
        uint64_t usable = 0;

        REQUIRE(va.addr != 0);
        EXPECT_OK(ps_virtual_usable(arena, va, &usable));
        EXPECT(va.addr % 16 == 0 && usable - sizes[i] < 16);
        expect_store(test, va, i);
        expect_store(test, ps_virt_add(va, usable - 8), ~(uint64_t)i);
        expect_load(test, va, i);
        expect_absent(test, ps_virt_add(va, usable), 1);
        EXPECT_STATUS(ps_virtual_free_sized(arena, va, sizes[i] + 1), PS_WRONG_SIZE);
        EXPECT_OK(ps_virtual_free_sized(arena, va, sizes[i]));
        expect_absent(test, va, 1);
    }
}

OWN_CASE(new_memory_is_filled_and_an_overrun_is_found, PS_VIRTUAL_FILL, 0)
{
    const uint64_t filled = UINT64_MAX / 0xff * PS_VIRTUAL_FILL_BYTE;
    struct ps_virtual_request request = {.bytes = 40};
    ps_virt_t va;

    va = memory_take(test, arena, &request);
    REQUIRE(va.addr != 0);
    for (uint64_t at = 0; at < PS_PAGE_SIZE; at += 8)
        expect_load(test, ps_virt_add(va, at), filled);
    expect_store(test, ps_virt_add(va, 32), 0);
    expect_store(test, ps_virt_add(va, 40), 0); /* not ours */
    EXPECT_STATUS(ps_virtual_free(arena, va), PS_CORRUPT);
    EXPECT_EQ(arena->misuse.what, PS_MISUSE_OVERRUN);
    expect_store(test, ps_virt_add(va, 40), filled);
    memory_give(test, arena, va);
    request.flags = PS_FRAME_ZERO;
    va = memory_take(test, arena, &request);
    for (uint64_t at = 0; at < 40; at += 8)
        expect_load(test, ps_virt_add(va, at), 0);
    memory_give(test, arena, va);
}

/* ---- large leaves ---- */

static uint64_t large_leaves(struct test *test)
{
    return ps_page_table_counters(test->world->table).leaves[PS_LEAF_2M];
}

/* 4 MiB in large leaves; 0, with the case skipped, where the pool has none. */
static ps_virt_t take_large(struct test *test, struct ps_virtual_allocator *arena, unsigned flags)
{
    uint64_t leaves = large_leaves(test);
    struct ps_virtual_request request = {
        .pages = ps_pages(2 * CHUNK), .alignment = ps_pages(CHUNK), .flags = flags};
    ps_virt_t va = ps_virt(0);

    if (ps_frame_pool_whole(test->world->pool, PS_FRAME_2M) < 2)
        test->skipped = "no two free 2 MiB frames";
    else
        va = memory_take(test, arena, &request);
    if (va.addr != 0)
        EXPECT_EQ(large_leaves(test), leaves + 2);
    return va;
}

OWN_CASE(large_leaves_survive_a_free_in_their_middle, 0, 0)
{
    ps_virt_t va = take_large(test, arena, 0);

    if (va.addr == 0)
        return;
    stamp(test, va, 2 * CHUNK, 9);
    EXPECT_OK(ps_virtual_free_part(arena, page_at(va, 300), ps_pages(2)));
    expect_absent(test, page_at(va, 300), 2);
    expect_stamped(test, va, 300, 9);
    for (uint64_t i = 302; i < 2 * (uint64_t)CHUNK; i++)
        expect_load(test, page_at(va, i), i ^ 9);
    memory_give(test, arena, page_at(va, 302));
    expect_stamped(test, va, 300, 9);
    memory_give(test, arena, va);
}

OWN_CASE(large_leaves_are_zero_where_that_is_asked, 0, 0)
{
    const uint64_t bytes = 2 * CHUNK * PS_PAGE_SIZE;
    ps_virt_t va = take_large(test, arena, 0);

    if (va.addr == 0)
        return;
    for (uint64_t at = 0; at < bytes; at += 64)
        expect_store(test, ps_virt_add(va, at), UINT64_MAX);
    memory_give(test, arena, va);
    va = take_large(test, arena, PS_FRAME_ZERO);
    REQUIRE(va.addr != 0);
    for (uint64_t at = 0; at < bytes; at += 64)
        expect_load(test, ps_virt_add(va, at), 0);
    memory_give(test, arena, va);
}

OWN_CASE(large_leaves_move_as_they_are, 0, 0)
{
    struct ps_virtual_request wall = {.pages = ps_pages(1)};
    ps_virt_t va = take_large(test, arena, 0);
    uint64_t leaves = large_leaves(test);
    ps_virt_t moved = va;

    if (va.addr == 0)
        return;
    stamp(test, va, 2 * CHUNK, 10);
    EXPECT_OK(ps_virtual_alloc_at(arena, &wall, page_at(va, 2 * CHUNK + 1), false));
    resize(test, arena, &moved, 2 * CHUNK + 8, PS_VIRTUAL_MAY_MOVE);
    EXPECT_EQ(large_leaves(test), leaves);
    expect_absent(test, va, 2);
    expect_absent(test, page_at(va, 2 * CHUNK - 1), 1);
    expect_stamped(test, moved, 2 * CHUNK, 10);
    stamp(test, page_at(moved, 2 * CHUNK), 8, 11);
    memory_give(test, arena, page_at(va, 2 * CHUNK + 1));
    memory_give(test, arena, moved);
}

/* ---- another size ---- */

static ps_frame_t frame_at(struct test *test, ps_virt_t va)
{
    struct ps_translation leaf = {0};

    EXPECT_OK(ps_page_table_query(test->world->table, va, &leaf));
    return leaf.frame;
}

OWN_CASE(resize_in_place_keeps_contents, 0, 0)
{
    ps_virt_t first;
    ps_virt_t va;

    va = first = memory_take_pages(test, arena, 3);
    REQUIRE(va.addr != 0);
    stamp(test, va, 3, 12);
    resize(test, arena, &va, 70, PS_FRAME_ZERO);
    expect_stamped(test, va, 3, 12);
    for (uint64_t i = 3; i < 70; i++)
        expect_load(test, page_at(va, i), 0);
    expect_absent(test, page_at(va, 70), 1);
    resize(test, arena, &va, 2, 0);
    EXPECT_EQ(va.addr, first.addr);
    expect_stamped(test, va, 2, 12);
    expect_absent(test, page_at(va, 2), 69);
    memory_give(test, arena, va);
}

OWN_CASE(resize_by_moving_takes_the_frames_along, 0, 0)
{
    ps_frame_t frames[3];
    ps_virt_t first;
    ps_virt_t wall;
    ps_virt_t va;

    va = first = memory_take_pages(test, arena, 3);
    wall = memory_take_pages(test, arena, 1);
    REQUIRE(va.addr != 0 && wall.addr == page_at(va, 4).addr);
    stamp(test, va, 3, 13);
    stamp(test, wall, 1, 14);
    for (unsigned i = 0; i < 3; i++)
        frames[i] = frame_at(test, page_at(va, i));
    EXPECT_STATUS(ps_virtual_resize(arena, va, 4 * PS_PAGE_SIZE, 0, &va), PS_NO_SPACE);
    expect_stamped(test, va, 3, 13);
    resize(test, arena, &va, 5, PS_VIRTUAL_MAY_MOVE);
    EXPECT(va.addr != first.addr);
    expect_absent(test, first, 3);
    expect_stamped(test, va, 3, 13);
    expect_stamped(test, wall, 1, 14);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(frame_at(test, page_at(va, i)).number, frames[i].number);
    stamp(test, va, 5, 15);
    EXPECT_STATUS(ps_virtual_free(arena, first), PS_NOT_FOUND);
    memory_give(test, arena, va);
    memory_give(test, arena, wall);
}

/* ---- mistakes ---- */

OWN_CASE(mistakes_are_told_apart_and_change_nothing, 0, 0)
{
    static const struct {
        int64_t offset;
        ps_status status;
        enum ps_misuse what;
    } wrong[] = {
        {8, PS_INVALID_ARGS, PS_MISUSE_INTERIOR},
        {PAGE, PS_INVALID_ARGS, PS_MISUSE_INTERIOR},
        {-PAGE, PS_ACCESS_DENIED, PS_MISUSE_GUARD},
        {3 * PAGE, PS_ACCESS_DENIED, PS_MISUSE_GUARD},
        {90 * PAGE, PS_NOT_FOUND, PS_MISUSE_FREE},
        {4 * PAGE, PS_NOT_FOUND, PS_MISUSE_FREE},
        {-2 * PAGE, PS_OUT_OF_RANGE, PS_MISUSE_FOREIGN},
    };
    bool live = false;
    ps_virt_t other;
    ps_virt_t va;

    va = memory_take_pages(test, arena, 3);
    other = memory_take_pages(test, arena, 2);
    REQUIRE(va.addr != 0 && other.addr == page_at(va, 4).addr);
    stamp(test, va, 3, 16);
    memory_give(test, arena, other);
    for (unsigned i = 0; i < PS_ARRAY_SIZE(wrong); i++) {
        EXPECT_STATUS(ps_virtual_free(arena, byte_at(va, wrong[i].offset)), wrong[i].status);
        EXPECT_EQ(arena->misuse.what, wrong[i].what);
    }
    EXPECT_STATUS(ps_virtual_free_part(arena, va, ps_pages(4)), PS_WRONG_SIZE);
    EXPECT_STATUS(ps_virtual_free_part(arena, other, ps_pages(1)), PS_NOT_FOUND);
    EXPECT_STATUS(ps_virtual_free_sized(arena, va, 2 * PS_PAGE_SIZE), PS_WRONG_SIZE);
    EXPECT_EQ(arena->counters.rejected, PS_ARRAY_SIZE(wrong) + 3);
    EXPECT_OK(ps_virtual_is_live(arena, va, &live));
    EXPECT(live);
    expect_stamped(test, va, 3, 16);
    memory_give(test, arena, va);
}

OWN_CASE(free_all_leaves_nothing, 0, 9)
{
    ps_virt_t va[5];

    for (unsigned i = 0; i < 5; i++) {
        va[i] = memory_take_pages(test, arena, 5 + i);
        REQUIRE(va[i].addr != 0);
        stamp(test, va[i], 5, i);
    }
    memory_give(test, arena, va[1]);
    EXPECT_OK(ps_virtual_free_part(arena, page_at(va[2], 1), ps_pages(1)));
    EXPECT_OK(ps_virtual_free_all(arena));
    for (unsigned i = 0; i < 5; i++)
        expect_absent(test, va[i], 5 + i);
}

static const struct test_case cases[] = {
    TEST_CASE(guards_are_as_wide_as_they_were_asked_for),
    TEST_CASE(without_guards_neighbours_touch),
    TEST_CASE(quarantined_addresses_fault_and_are_not_used),
    TEST_CASE(pushed_bytes_end_at_the_guard),
    TEST_CASE(new_memory_is_filled_and_an_overrun_is_found),
    TEST_CASE(large_leaves_survive_a_free_in_their_middle),
    TEST_CASE(large_leaves_are_zero_where_that_is_asked),
    TEST_CASE(large_leaves_move_as_they_are),
    TEST_CASE(resize_in_place_keeps_contents),
    TEST_CASE(resize_by_moving_takes_the_frames_along),
    TEST_CASE(mistakes_are_told_apart_and_change_nothing),
    TEST_CASE(free_all_leaves_nothing),
};

extern const struct test_suite suite_virtual_own;
const struct test_suite suite_virtual_own = TEST_SUITE("virtual_own", cases);
