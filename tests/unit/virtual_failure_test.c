/*
 * Failure at every point: the n-th frame is refused, once and for good; the pool has exactly k
 * frames; somebody else's mapping is in the way; the page table is frozen. A call that failed has
 * changed nothing, and giving back never fails.
 */
#include "virtual_fixture.h"

#include "unit_suites.h"

enum { STEPS_MAX = 200, L = VIRTUAL_2M, PAGE = 4096 };

static const struct ps_attribution nobody;

/* One call that takes frames; undone by `undo`, if that can be. */
struct attempt {
    ps_status (*run)(struct virtual_fixture *f, struct attempt *attempt);
    void (*undo)(struct test *test, struct virtual_fixture *f, struct attempt *attempt);
    struct ps_virtual_request request;
    ps_virt_t va;
    uint64_t bytes; /* to resize to */
};

/*
 * Let 0, 1, 2, ... frame-giving calls of the attempt succeed and refuse the next, until none is
 * refused. Refused once, it may succeed all the same with other frames. How many were refused.
 */
static uint64_t fail_everywhere(struct test *test, struct virtual_fixture *f,
                                struct attempt *attempt, bool for_good)
{
    for (uint64_t n = 0; n < STEPS_MAX; n++) {
        struct virtual_state before = virtual_state(f);
        uint64_t failed = f->arena.counters.failed;
        ps_virt_t va = attempt->va;
        bool refused;
        ps_status status;

        ps_frame_pool_fail_after(&f->pool, n, for_good);
        status = attempt->run(f, attempt);
        refused = for_good ? f->pool.fail_countdown == 0 && status != PS_OK : !f->pool.fail_armed;
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        EXPECT_EQ(f->arena.counters.failed, failed + (status != PS_OK));
        EXPECT_EQ(f->arena.counters.rejected, 0);
        if (status != PS_OK) {
            EXPECT_STATUS(status, PS_NO_MEMORY);
            EXPECT_EQ(attempt->va.addr, va.addr);
            virtual_expect_same(test, f, &before);
        } else {
            EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
            if (attempt->undo == NULL)
                return n;
            attempt->undo(test, f, attempt);
            EXPECT_EQ(ps_frame_pool_in_use(&f->pool),
                      before.pool.managed - before.pool.free - before.pool.metadata);
        }
        if (test->failures != 0)
            test_note(test, "after %" PS_PRIu " frames, for good: %d", n, for_good);
        if (!refused || test->failures != 0)
            return n;
    }
    EXPECT_EQ(STEPS_MAX, 0); /* it never ends */
    return STEPS_MAX;
}

static void fail_both_ways(struct test *test, struct virtual_fixture *f, struct attempt *attempt,
                           uint64_t at_least)
{
    uint64_t once = fail_everywhere(test, f, attempt, false);
    uint64_t for_good = fail_everywhere(test, f, attempt, true);

    EXPECT(once >= at_least);
    EXPECT(for_good >= at_least);
}

static ps_status run_alloc(struct virtual_fixture *f, struct attempt *attempt)
{
    return ps_virtual_alloc(&f->arena, &attempt->request, &attempt->va);
}

static void undo_alloc(struct test *test, struct virtual_fixture *f, struct attempt *attempt)
{
    EXPECT_OK(ps_virtual_free(&f->arena, attempt->va));
}

static ps_status run_resize(struct virtual_fixture *f, struct attempt *attempt)
{
    return ps_virtual_resize(&f->arena, attempt->va, attempt->bytes, PS_VIRTUAL_MAY_MOVE,
                             &attempt->va);
}

/* ---- alloc ---- */

static void fail_allocs(struct test *test, struct virtual_fixture *f, uint64_t pages,
                        unsigned flags, uint64_t at_least)
{
    struct attempt attempt = {.run = run_alloc,
                              .undo = undo_alloc,
                              .request = {.pages = ps_pages(pages), .flags = flags}};

    fail_both_ways(test, f, &attempt, at_least);
}

VIRTUAL_CASE(alloc_survives_the_failure_of_every_frame, .guard = 2, .pages = 2048)
{
    fail_allocs(test, f, 250, 0, 4 + 3); /* batches, tables */
}

VIRTUAL_CASE(alloc_across_tables_survives_the_failure_of_every_frame,
             .base = VIRTUAL_BASE + 0x3fffc000u, .guard = 1, .pages = 1200)
{
    fail_allocs(test, f, 700, PS_FRAME_ZERO | PS_VIRTUAL_SMALL_LEAVES, 11 + 3);
}

VIRTUAL_CASE(alloc_with_large_leaves_survives_the_failure_of_every_frame, .pages = 4 * L,
             .frames = 5 * L)
{
    fail_allocs(test, f, L + 100, 0, 6);
    fail_allocs(test, f, L + 100, PS_VIRTUAL_CONTIGUOUS, 5);
    fail_allocs(test, f, L + 100, PS_VIRTUAL_CLUSTERED, 5);
    fail_allocs(test, f, L + 100, PS_VIRTUAL_SMALL_LEAVES, 10);
}

VIRTUAL_CASE(alloc_that_fills_its_memory_survives_the_failure_of_every_frame, .pages = 4 * L,
             .frames = 5 * L, .flags = PS_VIRTUAL_FILL | PS_VIRTUAL_PUSH)
{
    struct attempt attempt = {
        .run = run_alloc, .undo = undo_alloc, .request = {.bytes = (L + 3) * PAGE + 1}};

    fail_both_ways(test, f, &attempt, 5);
}

/* Wherever the bookkeeping needs another frame. */
VIRTUAL_CASE(alloc_among_many_survives_the_failure_of_every_frame, .pages = 4096)
{
    for (unsigned i = 0; i < 150 && test->failures == 0; i++) {
        if (i % 10 == 0 || i % 41 < 2 || i % 46 < 2)
            fail_allocs(test, f, 1, 0, 1);
        (void)virtual_take(test, f, 1);
    }
}

VIRTUAL_CASE(alloc_with_exactly_so_many_free_frames_succeeds_or_changes_nothing, .pages = 2048,
             .guard = 1)
{
    uint64_t kept = virtual_take(test, f, 1);
    uint64_t least = 0;

    for (uint64_t left = 0; left < 24 && test->failures == 0; left++) {
        struct virtual_hoard hoard = virtual_hoard(test, f, left);
        struct ps_virtual_request request = {.pages = ps_pages(12)};
        struct virtual_state before = virtual_state(f);
        ps_virt_t va = ps_virt(7);
        ps_status status = ps_virtual_alloc(&f->arena, &request, &va);

        if (status == PS_OK) {
            least = least == 0 ? left : least;
            EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
            EXPECT_OK(ps_virtual_free(&f->arena, va));
        } else {
            EXPECT_STATUS(status, PS_NO_MEMORY);
            EXPECT_EQ(va.addr, 7);
            EXPECT_EQ(least, 0); /* with more it succeeds, too */
            virtual_expect_same(test, f, &before);
        }
        virtual_give_back(test, f, &hoard);
    }
    EXPECT(least >= 12 && least <= 14);
    virtual_free(test, f, kept);
}

VIRTUAL_CASE(a_first_alloc_with_exactly_so_many_free_frames_succeeds_or_changes_nothing,
             .pages = 2048, .guard = 1)
{
    for (uint64_t left = 0; left < 20 && test->failures == 0; left++) {
        struct virtual_hoard hoard = virtual_hoard(test, f, left);
        struct virtual_state before = virtual_state(f);

        if (virtual_try(f, 3) != PS_OK)
            EXPECT_STATUS(f->arena.failure.status, PS_NO_MEMORY);
        else
            EXPECT(left >= 3 + 2 + 3); /* pages, bookkeeping, tables */
        EXPECT_EQ(ps_frame_pool_in_use(&f->pool),
                  before.pool.managed - before.pool.free - before.pool.metadata);
        EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
        virtual_give_back(test, f, &hoard);
    }
    EXPECT_OK(virtual_try(f, 3));
}

/* ---- resize ---- */

static void take_for(struct test *test, struct virtual_fixture *f, struct attempt *attempt,
                     uint64_t pages, bool wall)
{
    attempt->va = virtual_page(f, virtual_take(test, f, pages));
    if (wall)
        EXPECT_OK(ps_virtual_alloc_at(&f->arena, &(struct ps_virtual_request){.pages = ps_pages(1)},
                                      ps_virt_add_pages(attempt->va, ps_pages(pages + 1)), true));
}

VIRTUAL_CASE(a_resize_in_place_survives_the_failure_of_every_frame, .pages = 4 * L, .frames = 5 * L)
{
    for (unsigned for_good = 0; for_good < 2; for_good++) {
        struct attempt attempt = {.run = run_resize, .bytes = 1200 * PAGE};

        take_for(test, f, &attempt, 100, false);
        EXPECT(fail_everywhere(test, f, &attempt, for_good != 0) > 5);
        EXPECT_OK(ps_virtual_free(&f->arena, attempt.va));
    }
}

VIRTUAL_CASE(a_resize_that_moves_survives_the_failure_of_every_frame, .pages = 8 * L, .guard = 1,
             .alignment = L, .frames = 6 * L)
{
    static const uint64_t sizes[] = {100, L, L + 200};

    for (unsigned for_good = 0; for_good < 2; for_good++) {
        for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
            struct attempt attempt = {.run = run_resize, .bytes = (sizes[i] + 100) * PAGE};

            take_for(test, f, &attempt, sizes[i], true);
            virtual_stamp(f, (attempt.va.addr - VIRTUAL_BASE) / PAGE, sizes[i]);
            EXPECT(fail_everywhere(test, f, &attempt, for_good != 0) > for_good);
            EXPECT_OK(ps_virtual_free_all(&f->arena));
        }
    }
}

VIRTUAL_CASE(a_resize_of_a_part_survives_the_failure_of_every_frame, .guard = 1, .pages = 4096)
{
    struct attempt attempt = {.run = run_resize, .bytes = 20 * PAGE};
    struct ps_virtual_info info = {0};
    uint64_t page;

    page = virtual_take(test, f, 30);
    virtual_free_part(test, f, page + 12, 8);
    for (unsigned i = 0; f->arena.records.spare != 0 && i < 100; i++)
        (void)virtual_take(test, f, 1);
    EXPECT_EQ(f->arena.records.spare, 0);
    attempt.va = virtual_page(f, page + 20);
    attempt.bytes = 10 * PAGE - 9; /* less, in the same pages: never fails, and is not remembered */
    ps_frame_pool_fail_after(&f->pool, 0, true);
    EXPECT_OK(run_resize(f, &attempt));
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_virtual_find(&f->arena, attempt.va, &info));
    EXPECT_EQ(info.bytes, 10 * PAGE);
    attempt.va = virtual_page(f, page);
    attempt.bytes = 13 * PAGE;
    EXPECT(fail_everywhere(test, f, &attempt, true) >= 2);
}

VIRTUAL_CASE(more_bytes_for_a_part_in_its_pages_can_lack_a_record, .guard = 1, .pages = 4096)
{
    struct ps_virtual_request request = {.bytes = 3 * PAGE + 100};
    uint64_t page = virtual_take_as(test, f, &request);
    struct attempt attempt = {.run = run_resize, .bytes = PAGE + 200};

    virtual_free_part(test, f, page + 1, 1);
    for (unsigned i = 0; f->arena.records.spare != 0 && i < 100; i++)
        (void)virtual_take(test, f, 1);
    attempt.va = virtual_page(f, page + 2);
    EXPECT_EQ(fail_everywhere(test, f, &attempt, true), 1);
    EXPECT_OK(ps_virtual_free_sized(&f->arena, attempt.va, PAGE + 200));
}

/* ---- giving back ---- */

VIRTUAL_CASE(any_part_can_be_freed_while_the_pool_is_empty, .pages = 4096, .guard = 1)
{
    uint64_t pages[180];
    struct virtual_hoard hoard;

    for (unsigned i = 0; i < 180; i++)
        pages[i] = virtual_take(test, f, 4);
    hoard = virtual_hoard(test, f, 0);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (unsigned i = 0; i < 180; i++) {
        uint64_t page = pages[i * 77 % 180];

        virtual_free_part(test, f, page + 1 + i % 2, 1);
        if (i % 30 == 0)
            EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    }
    EXPECT_EQ(f->arena.counters.live, 360);
    for (unsigned i = 0; i < 180; i++)
        virtual_free(test, f, pages[i]);
    EXPECT_OK(ps_virtual_free_all(&f->arena));
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    virtual_give_back(test, f, &hoard);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

VIRTUAL_CASE(shorter_and_whole_never_need_memory, .guard = 1, .pages = 2048)
{
    uint64_t a = virtual_take(test, f, 300);
    uint64_t b = virtual_take(test, f, 300);
    struct virtual_hoard hoard = virtual_hoard(test, f, 0);
    ps_virt_t now;

    ps_frame_pool_fail_after(&f->pool, 0, true);
    EXPECT_OK(ps_virtual_resize(&f->arena, virtual_page(f, a), 10 * PAGE, 0, &now));
    EXPECT_OK(ps_virtual_resize(&f->arena, virtual_page(f, a), 1, 0, &now));
    virtual_free(test, f, b);
    virtual_free(test, f, a);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_EQ(f->arena.counters.failed, 0);
    virtual_give_back(test, f, &hoard);
}

/* ---- somebody else in the arena ---- */

static ps_frame_t map_foreign(struct test *test, struct virtual_fixture *f, uint64_t page)
{
    ps_frame_t frame = ps_frame(0);

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &frame));
    EXPECT_OK(ps_page_table_map(&f->table, virtual_page(f, page), &frame, ps_pages(1),
                                ps_attr_ram(PS_READ), PS_EXISTING_ERROR));
    return frame;
}

static void unmap_foreign(struct test *test, struct virtual_fixture *f, uint64_t page,
                          ps_frame_t frame)
{
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, page), ps_pages(1), NULL));
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

/* Refused with ALREADY_EXISTS; nothing but the foreign mapping makes the state unsound. */
static void expect_in_the_way(struct test *test, struct virtual_fixture *f, struct attempt *attempt)
{
    struct virtual_before before = virtual_before(f);
    ps_virt_t va = attempt->va;

    EXPECT_STATUS(attempt->run(f, attempt), PS_ALREADY_EXISTS);
    EXPECT_EQ(attempt->va.addr, va.addr);
    EXPECT_EQ(f->arena.counters.failed, before.counters.failed + 1);
    EXPECT_STATUS(f->arena.failure.status, PS_ALREADY_EXISTS);
    virtual_expect_same_state(test, f, &before.state);
}

VIRTUAL_CASE(a_foreign_mapping_is_in_the_way_of_an_alloc, .pages = 4 * L, .frames = 5 * L)
{
    static const unsigned flags[] = {0, PS_VIRTUAL_CONTIGUOUS, PS_VIRTUAL_CLUSTERED,
                                     PS_VIRTUAL_SMALL_LEAVES};
    static const uint64_t places[] = {0, 240, L - 1, L, L + 39};

    for (size_t i = 0; i < PS_ARRAY_SIZE(places); i++) {
        ps_frame_t foreign = map_foreign(test, f, places[i]);

        for (size_t k = 0; k < PS_ARRAY_SIZE(flags); k++) {
            struct attempt attempt = {.run = run_alloc,
                                      .request = {.pages = ps_pages(L + 40), .flags = flags[k]}};

            expect_in_the_way(test, f, &attempt);
        }
        unmap_foreign(test, f, places[i], foreign);
    }
}

VIRTUAL_CASE(a_foreign_mapping_is_in_the_way_of_a_resize, .pages = 4 * L, .frames = 5 * L,
             .alignment = L)
{
    static const uint64_t sizes[] = {100, L};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        struct attempt attempt = {.run = run_resize, .bytes = (sizes[i] + 90) * PAGE};
        ps_frame_t foreign;

        take_for(test, f, &attempt, sizes[i], false);
        foreign = map_foreign(test, f, sizes[i] + 80);
        expect_in_the_way(test, f, &attempt); /* in place */
        unmap_foreign(test, f, sizes[i] + 80, foreign);
        EXPECT_OK(ps_virtual_alloc_at(&f->arena, &(struct ps_virtual_request){.pages = ps_pages(1)},
                                      virtual_page(f, sizes[i] + 10), false));
        for (uint64_t at = 0; at < sizes[i] + 90; at += 47) {
            uint64_t page = (sizes[i] < L ? sizes[i] + 11 : 2 * L) + at;

            foreign = map_foreign(test, f, page);
            expect_in_the_way(test, f, &attempt); /* in the place that it would move to */
            unmap_foreign(test, f, page, foreign);
        }
        EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
        EXPECT_OK(ps_virtual_free_all(&f->arena));
    }
}

/* Its first pages have small leaves, and the rest a large one. */
VIRTUAL_CASE(a_foreign_mapping_is_in_the_way_of_small_leaves_before_large_ones, .pages = 6 * L,
             .frames = 5 * L)
{
    struct ps_virtual_request request = {.pages = ps_pages(L + 10)};
    struct attempt attempt = {
        .run = run_resize, .va = virtual_page(f, L - 10), .bytes = (L + 20) * PAGE};
    ps_frame_t foreign;

    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &request, attempt.va, false));
    EXPECT_EQ(virtual_leaf(f, L), PS_LEAF_2M);
    request.pages = ps_pages(1);
    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, 2 * L), false));
    foreign = map_foreign(test, f, 2 * L + 6);
    expect_in_the_way(test, f, &attempt);
    unmap_foreign(test, f, 2 * L + 6, foreign);
    EXPECT_OK(run_resize(f, &attempt));
    EXPECT_EQ(attempt.va.addr, virtual_page(f, 2 * L + 1).addr);
}

VIRTUAL_CASE(what_somebody_unmapped_does_not_move, .guard = 1)
{
    struct attempt attempt = {.run = run_resize, .bytes = 9 * PAGE};
    struct ps_translation own = {0};
    struct virtual_before before;
    ps_virt_t hole;

    take_for(test, f, &attempt, 5, true);
    hole = ps_virt_add_pages(attempt.va, ps_pages(3));
    EXPECT_OK(ps_page_table_query(&f->table, hole, &own));
    EXPECT_OK(ps_page_table_unmap(&f->table, hole, ps_pages(1), NULL));
    before = virtual_before(f);
    EXPECT_STATUS(run_resize(f, &attempt), PS_NOT_FOUND);
    virtual_expect_same_state(test, f, &before.state);
    EXPECT_OK(
        ps_page_table_map(&f->table, hole, &own.frame, ps_pages(1), own.attr, PS_EXISTING_ERROR));
    EXPECT_OK(run_resize(f, &attempt));
}

/* ---- page tables that refuse ---- */

VIRTUAL_CASE(a_frozen_page_table_refuses_every_change, .guard = 1)
{
    uint64_t page = virtual_take(test, f, 4);
    ps_virt_t va = virtual_page(f, page);
    struct ps_virtual_request request = {.pages = ps_pages(3)};
    ps_virt_t now = ps_virt(7);

    virtual_free_part(test, f, page + 3, 1);
    EXPECT_OK(ps_page_table_freeze(&f->table, true));
    EXPECT_FAILED(ps_virtual_alloc(&f->arena, &request, &now), PS_BAD_STATE, 3 * PAGE, nobody);
    EXPECT_FAILED(ps_virtual_resize(&f->arena, va, 9 * PAGE, 0, &now), PS_BAD_STATE, 9 * PAGE,
                  nobody);
    EXPECT_FAILED(ps_virtual_resize(&f->arena, va, PAGE, 0, &now), PS_BAD_STATE, PAGE, nobody);
    EXPECT_FAILED(ps_virtual_resize(&f->arena, va, 3 * PAGE - 1, 0, &now), PS_BAD_STATE,
                  3 * PAGE - 1, nobody);
    EXPECT_EQ(now.addr, 7);
    {
        struct virtual_before before = virtual_before(f);

        EXPECT_STATUS(ps_virtual_free(&f->arena, va), PS_BAD_STATE);
        EXPECT_STATUS(ps_virtual_free_part(&f->arena, va, ps_pages(1)), PS_BAD_STATE);
        EXPECT_STATUS(ps_virtual_free_all(&f->arena), PS_BAD_STATE);
        EXPECT_STATUS(ps_virtual_destroy(&f->arena, NULL), PS_BAD_STATE);
        virtual_expect_same(test, f, &before.state);
    }
    EXPECT_OK(ps_page_table_freeze(&f->table, false));
    EXPECT_OK(ps_virtual_free(&f->arena, va));
}

VIRTUAL_CASE(an_arena_under_shared_entries_is_access_denied, .not_initialised = true)
{
    struct ps_page_table user = {0};
    struct ps_virtual_config config = {.base = ps_virt(VIRTUAL_BASE),
                                       .pages = ps_pages(64),
                                       .guard = ps_pages(1),
                                       .tag = PS_FRAME_VIRTUAL};
    struct ps_virtual_request request = {.pages = ps_pages(2)};
    ps_virt_t va = ps_virt(7);

    REQUIRE_OK(ps_page_table_anchor(&f->table, ps_virt(VIRTUAL_BASE), ps_pages(64)));
    REQUIRE_OK(ps_page_table_create(&user, &f->sim->machine, &f->pool));
    REQUIRE_OK(ps_page_table_share_upper(&user, &f->table));
    f->in_use = ps_frame_pool_in_use(&f->pool);
    config.flags = PS_VIRTUAL_ANCHOR;
    EXPECT_STATUS(ps_virtual_init(&f->arena, &user, &f->pool, &config), PS_ACCESS_DENIED);
    config.flags = 0;
    REQUIRE_OK(ps_virtual_init(&f->arena, &user, &f->pool, &config));
    EXPECT_FAILED(ps_virtual_alloc(&f->arena, &request, &va), PS_ACCESS_DENIED, 2 * PAGE, nobody);
    EXPECT_EQ(va.addr, 7);
    EXPECT_OK(ps_virtual_destroy(&f->arena, NULL));
    EXPECT_OK(ps_page_table_destroy(&user));
    f->in_use--;
}

static const struct test_case cases[] = {
    TEST_CASE(alloc_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_across_tables_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_with_large_leaves_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_that_fills_its_memory_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_among_many_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_with_exactly_so_many_free_frames_succeeds_or_changes_nothing),
    TEST_CASE(a_first_alloc_with_exactly_so_many_free_frames_succeeds_or_changes_nothing),
    TEST_CASE(a_resize_in_place_survives_the_failure_of_every_frame),
    TEST_CASE(a_resize_that_moves_survives_the_failure_of_every_frame),
    TEST_CASE(a_resize_of_a_part_survives_the_failure_of_every_frame),
    TEST_CASE(more_bytes_for_a_part_in_its_pages_can_lack_a_record),
    TEST_CASE(any_part_can_be_freed_while_the_pool_is_empty),
    TEST_CASE(shorter_and_whole_never_need_memory),
    TEST_CASE(a_foreign_mapping_is_in_the_way_of_an_alloc),
    TEST_CASE(a_foreign_mapping_is_in_the_way_of_a_resize),
    TEST_CASE(a_foreign_mapping_is_in_the_way_of_small_leaves_before_large_ones),
    TEST_CASE(what_somebody_unmapped_does_not_move),
    TEST_CASE(a_frozen_page_table_refuses_every_change),
    TEST_CASE(an_arena_under_shared_entries_is_access_denied),
};

const struct test_suite suite_virtual_failure = TEST_SUITE("virtual_failure", cases);
