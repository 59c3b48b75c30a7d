/*
 * Failure at every point: the n-th frame is refused, once and for good, somebody else's
 * mapping is in the way, the pool runs dry. A failed call has changed nothing.
 */
#include "virtual_fixture.h"

#include "unit_suites.h"

enum { CELLS = 50, STEPS_MAX = 64 };

/* So many allocations that the next one needs a new frame of bookkeeping. */
static void use_up_cells(struct test *test, struct virtual_fixture *f)
{
    for (unsigned i = 0; i + 1 < CELLS; i++)
        (void)virtual_take(test, f, 1);
    EXPECT_EQ(f->arena.counters.metadata_frames, 1);
    EXPECT(f->arena.spare == NULL);
}

/* One call that takes frames; on success undone by `undo`. */
struct attempt {
    ps_status (*run)(struct virtual_fixture *f, void *context);
    void (*undo)(struct test *test, struct virtual_fixture *f, void *context);
    void *context;
};

/*
 * Let 0, 1, 2, ... frame-giving calls of the attempt succeed and refuse the next, until it
 * no longer fails. Returns how many different failures there were.
 */
static uint64_t fail_everywhere(struct test *test, struct virtual_fixture *f,
                                const struct attempt *attempt, bool for_good)
{
    struct virtual_state before = virtual_state(f);

    for (uint64_t n = 0; n < STEPS_MAX; n++) {
        uint64_t failed = f->arena.counters.failed;
        ps_status status;

        ps_frame_pool_fail_after(&f->pool, n, for_good);
        status = attempt->run(f, attempt->context);
        ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
        if (status == PS_OK) {
            EXPECT_EQ(f->arena.counters.failed, failed);
            attempt->undo(test, f, attempt->context);
            return n;
        }
        EXPECT_STATUS(status, PS_NO_MEMORY);
        EXPECT_EQ(f->arena.counters.failed, failed + 1);
        EXPECT_EQ(f->arena.counters.rejected, 0);
        virtual_expect_same(test, f, &before);
        if (test->failures != 0) {
            test_note(test, "after %" PS_PRIu " frames, for good: %d", n, for_good);
            return n;
        }
    }
    EXPECT_EQ(STEPS_MAX, 0); /* it never succeeds */
    return STEPS_MAX;
}

static void fail_everywhere_both_ways(struct test *test, struct virtual_fixture *f,
                                      const struct attempt *attempt, uint64_t at_least)
{
    uint64_t once = fail_everywhere(test, f, attempt, false);
    uint64_t for_good = fail_everywhere(test, f, attempt, true);

    EXPECT_EQ(once, for_good);
    EXPECT(once >= at_least);
}

/* ---- alloc ---- */

struct alloc_attempt {
    struct ps_virtual_request request;
    ps_virt_t va;
};

static ps_status run_alloc(struct virtual_fixture *f, void *context)
{
    struct alloc_attempt *alloc = context;

    return ps_virtual_alloc(&f->arena, &alloc->request, &alloc->va);
}

static void undo_alloc(struct test *test, struct virtual_fixture *f, void *context)
{
    struct alloc_attempt *alloc = context;

    EXPECT_OK(ps_virtual_free(&f->arena, alloc->va));
}

VIRTUAL_CASE(alloc_survives_the_failure_of_every_frame, .guard = 2, .pages = 2048)
{
    struct alloc_attempt alloc = {.request = {.pages = ps_pages(250)}};
    struct attempt attempt = {run_alloc, undo_alloc, &alloc};

    /* Four batches, and tables that do not exist yet. */
    fail_everywhere_both_ways(test, f, &attempt, 4 + 1);
}

VIRTUAL_CASE(alloc_across_tables_survives_the_failure_of_every_frame,
             .base = VIRTUAL_BASE + 0x3fffc000u, .guard = 1, .pages = 1200)
{
    struct alloc_attempt alloc = {.request = {.pages = ps_pages(700), .flags = PS_FRAME_ZERO}};
    struct attempt attempt = {run_alloc, undo_alloc, &alloc};

    fail_everywhere_both_ways(test, f, &attempt, 11 + 1);
}

VIRTUAL_CASE(alloc_that_needs_bookkeeping_survives_the_failure_of_every_frame, .guard = 1)
{
    struct alloc_attempt alloc = {.request = {.pages = ps_pages(70)}};
    struct attempt attempt = {run_alloc, undo_alloc, &alloc};

    use_up_cells(test, f);
    EXPECT(fail_everywhere(test, f, &attempt, false) >= 3);
}

VIRTUAL_CASE(alloc_that_exhausts_the_pool_changes_nothing, .guard = 1, .pages = 4096)
{
    struct virtual_state before = virtual_state(f);

    /* Enough for the pages, too few for the tables: seen only when all else is done. */
    EXPECT_STATUS(virtual_try(f, before.pool.free), PS_NO_MEMORY);
    virtual_expect_same(test, f, &before);
    EXPECT_STATUS(virtual_try(f, before.pool.free - 3), PS_NO_MEMORY);
    virtual_expect_same(test, f, &before);
    EXPECT_EQ(f->arena.counters.failed, 2);
    EXPECT_OK(virtual_try(f, 500));
}

VIRTUAL_CASE(the_last_free_frames_can_be_had, .guard = 1)
{
    ps_frame_t frames[VIRTUAL_FRAMES];
    uint64_t taken = 0;
    uint64_t page = virtual_take(test, f, 1); /* makes the tables */

    while (ps_frame_pool_whole(&f->pool, PS_FRAME_4K) > 3 && taken < VIRTUAL_FRAMES &&
           ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frames[taken]) == PS_OK)
        taken++;
    EXPECT_STATUS(virtual_try(f, 4), PS_NO_MEMORY);
    EXPECT_EQ(virtual_take(test, f, 3), page + 2);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_4K), 0);
    for (; taken > 0; taken--)
        EXPECT_OK(ps_frame_pool_free(&f->pool, frames[taken - 1], ps_pages(1)));
}

/* ---- free ---- */

struct part_attempt {
    uint64_t page; /* of the allocation, 6 pages */
};

static ps_status run_middle(struct virtual_fixture *f, void *context)
{
    struct part_attempt *part = context;

    return ps_virtual_free_part(&f->arena, virtual_page(f, part->page + 2), ps_pages(2));
}

static void undo_middle(struct test *test, struct virtual_fixture *f, void *context)
{
    (void)test;
    (void)f;
    (void)context; /* what is free is free */
}

VIRTUAL_CASE(free_of_a_middle_without_bookkeeping_changes_nothing, .guard = 1)
{
    struct part_attempt part;
    struct attempt attempt = {run_middle, undo_middle, &part};

    for (unsigned i = 0; i + 2 < CELLS; i++)
        (void)virtual_take(test, f, 1);
    part.page = virtual_take(test, f, 6);
    EXPECT(f->arena.spare == NULL);
    EXPECT_EQ(fail_everywhere(test, f, &attempt, true), 1);
    EXPECT(!virtual_is_mapped(f, part.page + 2));
    EXPECT_EQ(f->arena.counters.live, CELLS);
}

VIRTUAL_CASE(free_of_a_start_an_end_or_all_never_needs_memory, .pages = 512)
{
    uint64_t last;

    for (unsigned i = 0; i + 1 < CELLS; i++) /* guard 0: no free page between any two */
        (void)virtual_take(test, f, 5);
    last = 5 * (CELLS - 2);
    EXPECT(f->arena.spare == NULL);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    virtual_free_part(test, f, 5, 1);
    virtual_free_part(test, f, 14, 1);
    virtual_free_part(test, f, last, 2);
    virtual_free(test, f, 20);
    virtual_free_part(test, f, 6, 4);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    EXPECT_EQ(f->arena.counters.live, CELLS - 3);
    EXPECT_EQ(f->arena.counters.failed, 0);
}

VIRTUAL_CASE(everything_can_be_freed_while_the_pool_is_empty, .guard = 1, .pages = 4096)
{
    ps_frame_t frames[VIRTUAL_FRAMES];
    uint64_t taken = 0;
    uint64_t a = virtual_take(test, f, 300);
    uint64_t b = virtual_take(test, f, 300);

    while (taken < VIRTUAL_FRAMES &&
           ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frames[taken]) == PS_OK)
        taken++;
    EXPECT(taken > 100);
    virtual_free(test, f, b);
    virtual_free_part(test, f, a + 100, 100);
    virtual_free(test, f, a);
    virtual_free(test, f, a + 200);
    for (; taken > 0; taken--)
        EXPECT_OK(ps_frame_pool_free(&f->pool, frames[taken - 1], ps_pages(1)));
}

/* ---- somebody else in the arena ---- */

VIRTUAL_CASE(a_foreign_mapping_refuses_the_allocation_and_nothing_else, .guard = 2, .pages = 1024)
{
    uint64_t page = virtual_take(test, f, 250);
    struct ps_virtual_request request = {.pages = ps_pages(250)};
    struct virtual_state before;
    ps_virt_t va = ps_virt(7);
    ps_frame_t foreign;

    virtual_free(test, f, page);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &foreign));
    REQUIRE_OK(ps_page_table_map(&f->table, virtual_page(f, page + 240), &foreign, ps_pages(1),
                                 ps_attr_ram(PS_READ), PS_EXISTING_ERROR));
    before = virtual_state(f);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_ALREADY_EXISTS);
    EXPECT_EQ(va.addr, 7);
    EXPECT_EQ(f->arena.counters.failed, 1);
    EXPECT_EQ(f->arena.counters.rejected, 0);
    virtual_expect_same_state(test, f, &before);
    for (uint64_t i = 0; i < 250; i++)
        EXPECT(virtual_is_mapped(f, page + i) == (i == 240));
    EXPECT_OK(ps_page_table_unmap(&f->table, virtual_page(f, page + 240), ps_pages(1), NULL));
    EXPECT_OK(ps_frame_pool_free(&f->pool, foreign, ps_pages(1)));
    EXPECT_EQ(virtual_take(test, f, 250), page);
}

/* ---- a page table that refuses ---- */

VIRTUAL_CASE(what_the_page_table_refuses_changes_nothing, .guard = 1)
{
    struct ps_page_table none = {0};
    uint64_t page = 0;
    struct virtual_state before;

    for (unsigned i = 0; i + 1 < CELLS; i++) /* a middle needs a frame, and must return it */
        page = virtual_take(test, f, 4);
    before = virtual_state(f);
    f->arena.table = &none;
    EXPECT_STATUS(virtual_try(f, 3), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_free(&f->arena, virtual_page(f, page)), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_free_part(&f->arena, virtual_page(f, page + 1), ps_pages(1)),
                  PS_BAD_STATE);
    f->arena.table = &f->table;
    virtual_expect_same(test, f, &before);
}

VIRTUAL_CASE(an_arena_under_shared_entries_is_access_denied, .not_initialised = true)
{
    struct ps_page_table user = {0};
    struct ps_virtual_request request = {.pages = ps_pages(2)};
    ps_virt_t va = ps_virt(7);

    REQUIRE_OK(ps_page_table_anchor(&f->table, ps_virt(VIRTUAL_BASE), ps_pages(64)));
    REQUIRE_OK(ps_page_table_create(&user, &f->sim->machine, &f->pool));
    REQUIRE_OK(ps_page_table_share_upper(&user, &f->table));
    REQUIRE_OK(ps_virtual_init(&f->arena, &user, &f->pool, ps_virt(VIRTUAL_BASE), ps_pages(64),
                               ps_pages(1), PS_FRAME_VIRTUAL));
    f->in_use += 2; /* the root of the other table, and the anchored table */
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_ACCESS_DENIED);
    EXPECT_EQ(va.addr, 7);
    EXPECT_EQ(f->arena.counters.failed, 1);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use + 1);
    EXPECT_OK(ps_virtual_destroy(&f->arena));
    EXPECT_OK(ps_page_table_destroy(&user));
    f->in_use--;
}

static const struct test_case cases[] = {
    TEST_CASE(alloc_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_across_tables_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_that_needs_bookkeeping_survives_the_failure_of_every_frame),
    TEST_CASE(alloc_that_exhausts_the_pool_changes_nothing),
    TEST_CASE(the_last_free_frames_can_be_had),
    TEST_CASE(free_of_a_middle_without_bookkeeping_changes_nothing),
    TEST_CASE(free_of_a_start_an_end_or_all_never_needs_memory),
    TEST_CASE(everything_can_be_freed_while_the_pool_is_empty),
    TEST_CASE(a_foreign_mapping_refuses_the_allocation_and_nothing_else),
    TEST_CASE(what_the_page_table_refuses_changes_nothing),
    TEST_CASE(an_arena_under_shared_entries_is_access_denied),
};

const struct test_suite suite_virtual_failure = TEST_SUITE("virtual_failure", cases);
