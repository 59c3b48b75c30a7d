/* The virtual allocator in any order of calls: what is live keeps its contents, the rest faults. */
#include "virtual_cases.h"

enum { SLOTS = 48, MOST_PAGES = 8, LARGE = 512, VALIDATIONS = 16384 };

struct slot {
    ps_virt_t va;
    uint64_t pages; /* 0: nothing here */
    uint64_t salt;
};

struct play {
    struct test *test;
    struct own_arena own;
    struct test_random random;
    struct slot slots[SLOTS];
};

static uint64_t below(struct play *play, uint64_t bound)
{
    return test_random_below(&play->random, bound);
}

/* One word a page. */
static void mark(struct play *play, const struct slot *slot, uint64_t from)
{
    for (uint64_t i = from; i < slot->pages; i++)
        expect_store(play->test, page_at(slot->va, i), i + slot->salt);
}

static void expect_marked(struct play *play, const struct slot *slot, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        expect_load(play->test, page_at(slot->va, i), i + slot->salt);
}

static void expect_gone(struct play *play, ps_virt_t va)
{
    struct world *world = play->test->world;

    scratch_expect_fault(play->test, world->load(world, va), va, 0);
}

/* Now and then 2 MiB, where there is memory for that. */
static void fill_slot(struct play *play, struct slot *slot)
{
    struct test *test = play->test;
    bool large = slot == play->slots && below(play, 16) == 0 &&
                 ps_frame_pool_whole(test->world->pool, PS_FRAME_2M) > 1;
    struct ps_virtual_request request = {
        .pages = ps_pages(large ? LARGE : 1 + below(play, MOST_PAGES)),
        .alignment = ps_pages((uint64_t)1 << below(play, 4)),
        .guard_before = ps_pages(below(play, 3)),
    };

    slot->va = memory_take(test, &play->own.arena, &request);
    slot->pages = slot->va.addr != 0 ? request.pages.count : 0;
    slot->salt = test_random_next(&play->random) >> 16;
    mark(play, slot, 0);
}

static void empty_slot(struct play *play, struct slot *slot)
{
    expect_marked(play, slot, slot->pages);
    memory_give(play->test, &play->own.arena, slot->va);
    expect_gone(play, page_at(slot->va, slot->pages - 1));
    slot->pages = 0;
}

/* Free any part; what was behind it becomes the slot. */
static void cut_slot(struct play *play, struct slot *slot)
{
    struct test *test = play->test;
    struct ps_virtual_allocator *arena = &play->own.arena;
    uint64_t first = below(play, slot->pages);
    uint64_t behind = first + 1 + below(play, slot->pages - first);

    EXPECT_OK(ps_virtual_free_part(arena, page_at(slot->va, first), ps_pages(behind - first)));
    expect_gone(play, page_at(slot->va, first));
    expect_marked(play, slot, first);
    if (first != 0)
        memory_give(test, arena, slot->va);
    *slot = (struct slot){page_at(slot->va, behind), slot->pages - behind, slot->salt + behind};
    expect_marked(play, slot, slot->pages);
}

static void resize_slot(struct play *play, struct slot *slot)
{
    struct test *test = play->test;
    ps_virt_t old = slot->va;
    uint64_t before = slot->pages;

    slot->pages = 1 + below(play, 2 * (uint64_t)MOST_PAGES);
    EXPECT_OK(ps_virtual_resize(&play->own.arena, old, slot->pages * PS_PAGE_SIZE,
                                PS_VIRTUAL_MAY_MOVE, &slot->va));
    if (slot->va.addr != old.addr)
        expect_gone(play, old);
    else if (slot->pages < before)
        expect_gone(play, page_at(old, slot->pages));
    expect_marked(play, slot, ps_min(before, slot->pages));
    mark(play, slot, before);
}

static void step(struct play *play)
{
    struct slot *slot = &play->slots[below(play, SLOTS)];
    uint64_t what = below(play, 8);

    if (slot->pages == 0)
        fill_slot(play, slot);
    else if (what < 5)
        empty_slot(play, slot);
    else if (what < 7)
        resize_slot(play, slot);
    else
        cut_slot(play, slot);
}

/* As many operations as the world asks for, or has time for. */
static uint64_t play_on(struct play *play)
{
    struct world *world = play->test->world;
    uint64_t start = world->operations == 0 ? world->clock() : 0;
    uint64_t done = 0;

    while (play->test->failures == 0 &&
           (world->operations != 0 ? done < world->operations
                                   : world->clock() - start < world->patience)) {
        step(play);
        if (++done % VALIDATIONS == 0)
            (void)test_check_status(play->test, ps_virtual_validate(&play->own.arena, NULL), PS_OK,
                                    "validate", __FILE__, __LINE__);
    }
    return done;
}

static void random_operations_leave_nothing(struct test *test)
{
    static struct play play;
    uint64_t done;

    play = (struct play){.test = test, .random = test_random(test->world->seed)};
    if (!own_arena_open(test, &play.own, 0, 2))
        return;
    done = play_on(&play);
    test->world->operations_done += done;
    if (test->failures != 0)
        test_note(test, "seed 0x%" PS_PRIx ", operation %" PS_PRIu, test->world->seed, done);
    for (unsigned i = 0; i < SLOTS; i++)
        if (play.slots[i].pages != 0)
            empty_slot(&play, &play.slots[i]);
    own_arena_close(test, &play.own);
}

static const struct test_case cases[] = {TEST_CASE(random_operations_leave_nothing)};

extern const struct test_suite suite_virtual_random;
const struct test_suite suite_virtual_random = TEST_SUITE("virtual_random", cases);
