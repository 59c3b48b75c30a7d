/*
 * Invalidation rounds: one for each call however large, without the allocator's lock, and nothing
 * is reused before it.
 */
#include "virtual_fixture.h"

#include "unit_suites.h"

enum { L = VIRTUAL_2M, PAGE = 4096 };

/* What another processor sees when it is told of a round. */
struct view {
    struct virtual_fixture *f;
    struct test *test;
    unsigned rounds;
    uint64_t tried;   /* pages that it asks for in each round, */
    ps_status answer; /* and what the last one said */
    uint64_t frames;  /* behind allocations, in the last round */
    ps_virt_t old;    /* what is being unmapped, */
    ps_status freed;  /* and what a free of it said */
};

static uint64_t frames_of(struct virtual_fixture *f)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(&f->pool, &now);
    return now.by_tag[PS_FRAME_VIRTUAL];
}

static void look(void *context, const struct ps_invalidation *what)
{
    struct view *view = context;
    struct test *test = view->test;
    bool free = ps_lock_try(&view->f->arena.lock);

    (void)what;
    EXPECT(free);
    if (free)
        ps_lock_release(&view->f->arena.lock);
    view->rounds++;
    view->frames = frames_of(view->f);
    if (view->tried != 0)
        view->answer = virtual_try(view->f, view->tried);
    view->freed = ps_virtual_free(&view->f->arena, view->old);
}

static void begin(struct virtual_fixture *f, struct view *view, uint64_t page)
{
    view->f = f;
    view->rounds = 0;
    view->old = virtual_page(f, page);
    f->sim->machine.shootdown_context = view;
    f->sim->machine.shootdown = look;
}

static void end(struct test *test, struct virtual_fixture *f, const struct view *view)
{
    f->sim->machine.shootdown = NULL;
    EXPECT_EQ(view->rounds, 1);
}

/* The arena is full: there is room for the try only where something is about to be free. */
VIRTUAL_CASE(a_freed_address_is_nobodys_until_the_round_is_over, .pages = 302, .guard = 1)
{
    struct view view = {.test = test, .tried = 300};
    uint64_t page = virtual_take(test, f, 300);

    begin(f, &view, page);
    virtual_free(test, f, page);
    end(test, f, &view);
    EXPECT_STATUS(view.answer, PS_NO_SPACE);
    EXPECT_STATUS(view.freed, PS_NOT_FOUND); /* it is freed already */
    EXPECT_EQ(view.frames, 300);             /* and its frames are not */
    EXPECT_EQ(frames_of(f), 0);
    EXPECT_OK(virtual_try(f, 300));
}

VIRTUAL_CASE(a_freed_part_is_nobodys_until_the_round_is_over, .pages = 302, .guard = 1)
{
    struct view view = {.test = test, .tried = 98};
    uint64_t page = virtual_take(test, f, 300);

    begin(f, &view, page + 100);
    virtual_free_part(test, f, page + 100, 100);
    end(test, f, &view);
    EXPECT_STATUS(view.answer, PS_NO_SPACE);
    EXPECT_STATUS(view.freed, PS_NOT_FOUND);
    EXPECT_OK(virtual_try(f, 98));
}

VIRTUAL_CASE(what_a_shorter_one_leaves_is_nobodys_until_the_round_is_over, .pages = 302, .guard = 1)
{
    struct view view = {.test = test, .tried = 199};
    uint64_t page = virtual_take(test, f, 300);
    ps_virt_t now;

    begin(f, &view, page + 100);
    EXPECT_OK(ps_virtual_resize(&f->arena, virtual_page(f, page), 100 * PAGE, 0, &now));
    end(test, f, &view);
    EXPECT_STATUS(view.answer, PS_NO_SPACE);
    EXPECT_STATUS(view.freed, PS_NOT_FOUND);
    EXPECT_OK(virtual_try(f, 199));
}

/* [1, 101) moves behind 103, and there is room for 100 pages nowhere else. */
VIRTUAL_CASE(the_old_place_of_what_moved_is_nobodys_until_the_round_is_over, .pages = 306,
             .guard = 1)
{
    struct view view = {.test = test, .tried = 100};
    uint64_t page = virtual_take(test, f, 100);
    ps_virt_t now = ps_virt(0);

    (void)virtual_take(test, f, 1);
    begin(f, &view, page);
    EXPECT_OK(
        ps_virtual_resize(&f->arena, virtual_page(f, page), 200 * PAGE, PS_VIRTUAL_MAY_MOVE, &now));
    end(test, f, &view);
    EXPECT_EQ(now.addr, virtual_page(f, 104).addr);
    EXPECT_STATUS(view.answer, PS_NO_SPACE);
    EXPECT_STATUS(view.freed, PS_NOT_FOUND);
    EXPECT_EQ(view.frames, 201);
    EXPECT_OK(virtual_try(f, 100));
}

VIRTUAL_CASE(however_large_a_call_is_it_is_one_round, .pages = 16 * L, .guard = 1, .frames = 12 * L,
             .alignment = L)
{
    static const uint64_t sizes[] = {1, 2, 8, 9, 64, 511, L, 2 * L + 77, 3 * L};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        struct view view = {.test = test};
        uint64_t page = virtual_take(test, f, sizes[i]);

        begin(f, &view, 0);
        virtual_free(test, f, page);
        end(test, f, &view);
        page = virtual_take(test, f, sizes[i] + 2);
        begin(f, &view, 0);
        virtual_free_part(test, f, page + 1, sizes[i]);
        end(test, f, &view);
        EXPECT_OK(ps_virtual_free_all(&f->arena));
    }
}

VIRTUAL_CASE(new_memory_needs_no_round, .pages = 4 * L, .frames = 5 * L)
{
    uint64_t rounds = f->sim->invalidations;
    uint64_t page = virtual_take(test, f, L + 100);
    ps_virt_t now;

    EXPECT_OK(ps_virtual_resize(&f->arena, virtual_page(f, page), (L + 900) * PAGE, 0, &now));
    EXPECT_OK(ps_virtual_resize(&f->arena, now, (L + 900) * PAGE - 5, 0, &now));
    EXPECT_EQ(f->sim->invalidations, rounds);
}

VIRTUAL_CASE(a_quarantined_address_stays_nobodys_after_the_round, .pages = 302, .guard = 1,
             .quarantine = 1)
{
    struct view view = {.test = test, .tried = 300};
    uint64_t page = virtual_take(test, f, 300);

    begin(f, &view, page);
    virtual_free(test, f, page);
    end(test, f, &view);
    EXPECT_STATUS(view.answer, PS_NO_SPACE);
    EXPECT_STATUS(virtual_try(f, 300), PS_NO_SPACE);
}

/* ---- the lock, while frames are taken and cleared ---- */

struct taking {
    struct virtual_fixture *f;
    unsigned times;
    bool locked;
};

static void told(void *context, uint64_t free_frames)
{
    struct taking *taking = context;

    (void)free_frames;
    taking->times++;
    taking->locked = !ps_lock_try(&taking->f->arena.lock);
    if (!taking->locked)
        ps_lock_release(&taking->f->arena.lock);
}

VIRTUAL_CASE(the_lock_is_free_while_frames_are_taken_and_cleared, .guard = 1)
{
    struct taking taking = {.f = f};
    struct ps_virtual_request request = {.pages = ps_pages(150), .flags = PS_FRAME_ZERO};
    struct ps_frame_pool_snapshot now;
    struct ps_frame_watermarks marks = {.high = UINT64_MAX, .notify = told, .context = &taking};

    (void)virtual_take(test, f, 1);
    ps_frame_pool_snapshot(&f->pool, &now);
    marks.low = now.free - 100; /* in the middle of it */
    EXPECT_OK(ps_frame_pool_watch(&f->pool, &marks));
    (void)virtual_take_as(test, f, &request);
    EXPECT_OK(ps_frame_pool_watch(&f->pool, NULL));
    EXPECT_EQ(taking.times, 1);
    EXPECT(!taking.locked);
}

static const struct test_case cases[] = {
    TEST_CASE(a_freed_address_is_nobodys_until_the_round_is_over),
    TEST_CASE(a_freed_part_is_nobodys_until_the_round_is_over),
    TEST_CASE(what_a_shorter_one_leaves_is_nobodys_until_the_round_is_over),
    TEST_CASE(the_old_place_of_what_moved_is_nobodys_until_the_round_is_over),
    TEST_CASE(however_large_a_call_is_it_is_one_round),
    TEST_CASE(new_memory_needs_no_round),
    TEST_CASE(a_quarantined_address_stays_nobodys_after_the_round),
    TEST_CASE(the_lock_is_free_while_frames_are_taken_and_cleared),
};

const struct test_suite suite_virtual_round = TEST_SUITE("virtual_round", cases);
