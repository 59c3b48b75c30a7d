/* What a request can ask for: how much, where, with what around it, of what frames. */
#include "virtual_fixture.h"

#include <string.h>

#include "unit_suites.h"

enum { PAGE = 4096 };

static const struct ps_attribution nobody;

static ps_status alloc(struct virtual_fixture *f, const struct ps_virtual_request *request)
{
    ps_virt_t va;

    return ps_virtual_alloc(&f->arena, request, &va);
}

static ps_status alloc_at(struct virtual_fixture *f, uint64_t page, uint64_t pages, bool force)
{
    struct ps_virtual_request request = {.pages = ps_pages(pages)};

    return ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, page), force);
}

static struct ps_virtual_info info_of(struct test *test, struct virtual_fixture *f, uint64_t page)
{
    struct ps_virtual_info info = {0};

    EXPECT_OK(ps_virtual_find(&f->arena, virtual_page(f, page), &info));
    return info;
}

static uint64_t frame_of(struct test *test, struct virtual_fixture *f, uint64_t page)
{
    struct ps_translation translation = {0};

    EXPECT_OK(ps_page_table_query(&f->table, virtual_page(f, page), &translation));
    return translation.frame.number;
}

static bool frames_in_a_row(struct test *test, struct virtual_fixture *f, uint64_t page,
                            uint64_t pages)
{
    uint64_t first = frame_of(test, f, page);

    for (uint64_t i = 1; i < pages; i++)
        if (frame_of(test, f, page + i) != first + i)
            return false;
    return true;
}

/* ---- how much ---- */

VIRTUAL_CASE(bytes_are_rounded_up_to_pages_and_remembered, .guard = 1)
{
    static const struct {
        uint64_t bytes, pages;
    } sizes[] = {{1, 1}, {PAGE - 1, 1}, {PAGE, 1}, {PAGE + 1, 2}, {10 * PAGE + 17, 11}};
    uint64_t all = 0;

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        struct ps_virtual_request request = {.bytes = sizes[i].bytes};
        uint64_t page = virtual_take_as(test, f, &request);
        struct ps_virtual_info info = info_of(test, f, page);

        all += sizes[i].bytes;
        virtual_expect_mapped(test, f, page, sizes[i].pages);
        EXPECT_EQ(info.bytes, sizes[i].bytes);
        EXPECT_EQ(info.pages.count, sizes[i].pages);
        EXPECT_EQ(info.va.addr, info.first.addr);
        EXPECT_EQ(f->arena.counters.live_bytes, all);
    }
    EXPECT_EQ(info_of(test, f, virtual_take(test, f, 3)).bytes, 3 * PAGE);
    EXPECT_EQ(f->arena.counters.live_bytes, all + 3 * PAGE);
}

VIRTUAL_CASE(as_many_bytes_as_there_are_addresses_are_too_many)
{
    struct ps_virtual_request request = {.bytes = UINT64_MAX, .who = {{4, 5, 6}, "big.c", 9}};

    EXPECT_FAILED(alloc(f, &request), PS_NO_SPACE, UINT64_MAX, request.who);
    request.bytes = 256 * PAGE + 1;
    EXPECT_FAILED(alloc(f, &request), PS_NO_SPACE, 256 * PAGE + 1, request.who);
    request.bytes--;
    EXPECT_EQ(virtual_take_as(test, f, &request), 0);
}

/* ---- where ---- */

static ps_status between(struct virtual_fixture *f, uint64_t pages, uint64_t low, uint64_t high,
                         ps_virt_t *va)
{
    struct ps_virtual_request request = {
        .pages = ps_pages(pages), .low = VIRTUAL_BASE + low, .high = VIRTUAL_BASE + high};

    return ps_virtual_alloc(&f->arena, &request, va);
}

VIRTUAL_CASE(limits_are_inclusive_addresses_and_all_pages_lie_between_them, .guard = 1)
{
    ps_virt_t va = ps_virt(7);

    EXPECT_FAILED(between(f, 4, 10 * PAGE, 13 * PAGE - 1, &va), PS_NO_SPACE, 4 * PAGE, nobody);
    EXPECT_FAILED(between(f, 3, 10 * PAGE + 1, 13 * PAGE - 1, &va), PS_NO_SPACE, 3 * PAGE, nobody);
    EXPECT_FAILED(between(f, 3, 10 * PAGE, 13 * PAGE - 2, &va), PS_NO_SPACE, 3 * PAGE, nobody);
    EXPECT_FAILED(between(f, 1, 5 * PAGE + 1, 7 * PAGE - 2, &va), PS_NO_SPACE, PAGE, nobody);
    EXPECT_FAILED(between(f, 1, 5 * PAGE, 5 * PAGE, &va), PS_NO_SPACE, PAGE, nobody);
    EXPECT_EQ(va.addr, 7);
    EXPECT_OK(between(f, 3, 10 * PAGE, 13 * PAGE - 1, &va));
    EXPECT_EQ(va.addr, VIRTUAL_BASE + 10 * PAGE);
    EXPECT_OK(between(f, 2, 20 * PAGE + 1, 40 * PAGE, &va));
    EXPECT_EQ(va.addr, VIRTUAL_BASE + 21 * PAGE);
    EXPECT_OK(between(f, 2, 20 * PAGE, 40 * PAGE, &va)); /* the lowest place that is left */
    EXPECT_EQ(va.addr, VIRTUAL_BASE + 24 * PAGE);
}

VIRTUAL_CASE(guards_may_lie_outside_of_the_limits, .guard = 4)
{
    ps_virt_t va = ps_virt(7);

    EXPECT_OK(between(f, 2, 50 * PAGE, 52 * PAGE - 1, &va));
    EXPECT_EQ(va.addr, VIRTUAL_BASE + 50 * PAGE);
    EXPECT_STATUS(between(f, 2, 47 * PAGE, 55 * PAGE - 1, &va), PS_NO_SPACE);
    EXPECT_OK(between(f, 2, 0, 6 * PAGE - 1, &va));
    EXPECT_EQ(va.addr, VIRTUAL_BASE + 4 * PAGE);
}

VIRTUAL_CASE(limits_around_the_arena_are_no_limits_and_beside_it_leave_nothing, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(1), .low = 0, .high = UINT64_MAX};

    EXPECT_EQ(virtual_take_as(test, f, &request), 1);
    request.high = VIRTUAL_BASE - 1;
    EXPECT_FAILED(alloc(f, &request), PS_NO_SPACE, PAGE, nobody);
    request.low = VIRTUAL_BASE + 256 * PAGE;
    request.high = UINT64_MAX;
    EXPECT_FAILED(alloc(f, &request), PS_NO_SPACE, PAGE, nobody);
    request.low = request.high = UINT64_MAX;
    EXPECT_FAILED(alloc(f, &request), PS_NO_SPACE, PAGE, nobody);
    request.low = request.high = VIRTUAL_BASE;
    EXPECT_FAILED(alloc(f, &request), PS_NO_SPACE, PAGE, nobody);
    request.low = VIRTUAL_BASE + 254 * PAGE;
    request.high = UINT64_MAX;
    EXPECT_EQ(virtual_take_as(test, f, &request), 254);
}

VIRTUAL_CASE(the_smallest_gap_that_will_do_is_taken, .guard = 1)
{
    uint64_t a = virtual_take(test, f, 6);
    uint64_t b, c;

    (void)virtual_take(test, f, 1);
    b = virtual_take(test, f, 3);
    (void)virtual_take(test, f, 1);
    c = virtual_take(test, f, 4);
    (void)virtual_take(test, f, 1);
    virtual_free(test, f, a);
    virtual_free(test, f, b);
    virtual_free(test, f, c);
    EXPECT_EQ(virtual_take(test, f, 4), c);
    EXPECT_EQ(virtual_take(test, f, 2), b);
    EXPECT_EQ(virtual_take(test, f, 5), a);
}

/* ---- with what around it ---- */

VIRTUAL_CASE(who_wants_no_guard_touches_who_wants_none_either, .guard = 3)
{
    struct ps_virtual_request bare = {.pages = ps_pages(2),
                                      .guard_before = PS_VIRTUAL_NO_GUARD,
                                      .guard_after = PS_VIRTUAL_NO_GUARD};

    EXPECT_EQ(virtual_take_as(test, f, &bare), 3); /* the arena's own ends ask for theirs */
    EXPECT_EQ(virtual_take_as(test, f, &bare), 5);
    EXPECT_EQ(virtual_take(test, f, 1), 10); /* this one asks for three */
    EXPECT_EQ(virtual_take_as(test, f, &bare), 14);
    EXPECT_EQ(f->arena.counters.live, 4);
}

VIRTUAL_CASE(a_guard_can_be_wanted_on_one_side_only, .guard = 1)
{
    struct ps_virtual_request behind = {.pages = ps_pages(1), .guard_after = ps_pages(10)};
    struct ps_virtual_request before = {.pages = ps_pages(1), .guard_before = ps_pages(10)};

    EXPECT_EQ(virtual_take_as(test, f, &behind), 1);
    EXPECT_EQ(virtual_take_as(test, f, &before), 12); /* they share the ten pages */
    EXPECT_EQ(virtual_take(test, f, 1), 14);
    EXPECT_EQ(virtual_take_as(test, f, &before), 25);
}

VIRTUAL_CASE(the_widest_guard_is_as_wide_as_it_says, .pages = 200000)
{
    struct ps_virtual_request wide = {.pages = ps_pages(1),
                                      .guard_before = ps_pages(PS_ARENA_GUARD_MAX)};
    struct ps_virtual_request wider = {.pages = ps_pages(1),
                                       .guard_before = ps_pages(PS_ARENA_GUARD_MAX + 1)};

    EXPECT_EQ(virtual_take_as(test, f, &wide), PS_ARENA_GUARD_MAX);
    EXPECT_EQ(virtual_take(test, f, 1) > PS_ARENA_GUARD_MAX, true);
    EXPECT_REJECTED(alloc(f, &wider), PS_INVALID_ARGS);
    wider.guard_before = ps_pages(UINT32_MAX - 1);
    EXPECT_REJECTED(alloc(f, &wider), PS_INVALID_ARGS);
    wider.guard_before = ps_pages((uint64_t)UINT32_MAX + 1);
    EXPECT_REJECTED(alloc(f, &wider), PS_INVALID_ARGS);
    wider.guard_before = ps_pages((uint64_t)1 << 32 | 1);
    EXPECT_REJECTED(alloc(f, &wider), PS_INVALID_ARGS);
}

/* ---- alignment ---- */

VIRTUAL_CASE(only_as_many_pages_as_the_arenas_alignment_are_aligned_to_it, .guard = 1,
             .alignment = 16)
{
    EXPECT_EQ(virtual_take(test, f, 15), 1);
    EXPECT_EQ(virtual_take(test, f, 16), 32);
    EXPECT_EQ(virtual_take(test, f, 40), 64);
    EXPECT_EQ(virtual_take(test, f, 4), 49); /* of two gaps of 16 the younger one */
}

VIRTUAL_CASE(an_alignment_by_request_is_kept_beside_the_arenas, .base = VIRTUAL_BASE + 5 * PAGE,
             .pages = 250, .alignment = 16)
{
    struct ps_virtual_request less = {.pages = ps_pages(16), .alignment = ps_pages(4)};
    struct ps_virtual_request more = {.pages = ps_pages(16), .alignment = ps_pages(64)};
    struct ps_virtual_request few = {.pages = ps_pages(1), .alignment = ps_pages(4)};

    EXPECT_EQ(virtual_take_as(test, f, &less), 11); /* 16 pages above an address of 2^32 */
    EXPECT_EQ(virtual_take_as(test, f, &more), 59);
    EXPECT_EQ(virtual_take_as(test, f, &few), 3);
}

VIRTUAL_CASE(where_the_arenas_alignment_cannot_be_kept_the_requests_still_is, .pages = 64,
             .alignment = 16)
{
    struct ps_virtual_request request = {.pages = ps_pages(16), .alignment = ps_pages(4)};
    uint64_t all = virtual_take(test, f, 64);

    virtual_free_part(test, f, all + 19, 25); /* [19, 44): 32 to 48 is not free */
    EXPECT_EQ(virtual_take_as(test, f, &request), 20);
}

/* ---- of what frames ---- */

/* Hold every third frame but those of the first `spare`, so that nothing is contiguous. */
static struct virtual_hoard scatter(struct test *test, struct virtual_fixture *f)
{
    struct virtual_hoard hoard = virtual_hoard(test, f, 0);
    uint64_t kept = 0;

    for (uint64_t i = 0; i < hoard.count; i++)
        if (hoard.frames[i].number % 3 != 0)
            EXPECT_OK(ps_frame_pool_free(&f->pool, hoard.frames[i], ps_pages(1)));
        else
            hoard.frames[kept++] = hoard.frames[i];
    hoard.count = kept;
    return hoard;
}

VIRTUAL_CASE(contiguous_is_contiguous_whatever_the_size, .pages = 4096, .guard = 1)
{
    static const uint64_t sizes[] = {1, 2, 3, 5, 33, 200};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        struct ps_virtual_request request = {.pages = ps_pages(sizes[i]),
                                             .flags = PS_VIRTUAL_CONTIGUOUS};
        uint64_t page = virtual_take_as(test, f, &request);

        EXPECT(frames_in_a_row(test, f, page, sizes[i]));
        virtual_stamp(f, page, sizes[i]);
        virtual_expect_stamped(test, f, page, sizes[i]);
    }
}

VIRTUAL_CASE(without_such_a_run_contiguous_is_no_space_and_clustered_is_not, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(4), .flags = PS_VIRTUAL_CONTIGUOUS};
    struct virtual_hoard hoard = scatter(test, f);
    uint64_t page;

    EXPECT_FAILED(alloc(f, &request), PS_NO_SPACE, 4 * PAGE, nobody);
    request.flags = PS_VIRTUAL_CLUSTERED;
    page = virtual_take_as(test, f, &request);
    EXPECT(!frames_in_a_row(test, f, page, 4));
    virtual_expect_mapped(test, f, page, 4);
    virtual_give_back(test, f, &hoard);
    page = virtual_take_as(test, f, &request);
    EXPECT(frames_in_a_row(test, f, page, 4));
}

VIRTUAL_CASE(contiguous_of_more_than_all_frames_is_no_memory, .pages = 8192)
{
    struct ps_virtual_request request = {.pages = ps_pages(VIRTUAL_FRAMES + 1),
                                         .flags = PS_VIRTUAL_CONTIGUOUS};

    EXPECT_FAILED(alloc(f, &request), PS_NO_MEMORY, (VIRTUAL_FRAMES + 1) * PAGE, nobody);
}

VIRTUAL_CASE(parts_of_a_contiguous_allocation_go_back_alone, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(40), .flags = PS_VIRTUAL_CONTIGUOUS};
    uint64_t page = virtual_take_as(test, f, &request);
    uint64_t in_use = ps_frame_pool_in_use(&f->pool);

    virtual_free_part(test, f, page + 10, 5);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), in_use - 5);
    virtual_free_part(test, f, page, 10);
    virtual_free_part(test, f, page + 39, 1);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), in_use - 16);
    virtual_expect_mapped(test, f, page + 15, 24);
    virtual_free(test, f, page + 15);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

VIRTUAL_CASE(frames_have_the_tag_of_the_arena, .not_initialised = true)
{
    struct ps_virtual_config config = {
        .base = ps_virt(VIRTUAL_BASE), .pages = ps_pages(8), .tag = PS_FRAME_STACK};
    struct ps_frame_pool_snapshot before, now;

    ps_frame_pool_snapshot(&f->pool, &before);
    REQUIRE_OK(ps_virtual_init(&f->arena, &f->table, &f->pool, &config));
    (void)virtual_take(test, f, 8);
    ps_frame_pool_snapshot(&f->pool, &now);
    EXPECT_EQ(now.by_tag[PS_FRAME_STACK], before.by_tag[PS_FRAME_STACK] + 8);
    EXPECT_EQ(now.by_tag[PS_FRAME_VIRTUAL], 0);
    EXPECT(now.by_tag[PS_FRAME_HEAP] > 0);
}

/* ---- exactly there ---- */

VIRTUAL_CASE(alloc_at_takes_exactly_that_place, .guard = 2)
{
    EXPECT_OK(alloc_at(f, 100, 5, false));
    virtual_expect_mapped(test, f, 100, 5);
    EXPECT_EQ(info_of(test, f, 104).sequence, 1);
    EXPECT_OK(alloc_at(f, 107, 1, false)); /* two pages behind */
    EXPECT_OK(alloc_at(f, 2, 96, false));
    EXPECT_OK(alloc_at(f, 253, 1, false));
    EXPECT_EQ(f->arena.counters.allocs, 4);
}

VIRTUAL_CASE(alloc_at_refuses_with_the_reason, .guard = 2)
{
    struct ps_virtual_request request = {.pages = ps_pages(1)};
    ps_virt_t inside = ps_virt(VIRTUAL_BASE + 20 * PAGE + 8);

    EXPECT_OK(alloc_at(f, 100, 5, false));
    EXPECT_FAILED(alloc_at(f, 98, 1, false), PS_NO_SPACE, PAGE, nobody);
    EXPECT_FAILED(alloc_at(f, 106, 1, false), PS_NO_SPACE, PAGE, nobody);
    EXPECT_FAILED(alloc_at(f, 1, 1, false), PS_NO_SPACE, PAGE, nobody);
    EXPECT_FAILED(alloc_at(f, 254, 1, false), PS_NO_SPACE, PAGE, nobody);
    request.low = VIRTUAL_BASE;
    request.high = VIRTUAL_BASE + 10 * PAGE - 1;
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, 10), false),
                    PS_INVALID_ARGS);
    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, 9), false));
    request.high = 0;
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &request, inside, false), PS_INVALID_ARGS);
    request.low = 0;
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &request, inside, false), PS_INVALID_ARGS);
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &request, inside, true), PS_INVALID_ARGS);
    EXPECT_REJECTED(alloc_at(f, 50, 0, true), PS_INVALID_ARGS);
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, NULL, virtual_page(f, 50), true),
                    PS_INVALID_ARGS);
    request.alignment = ps_pages(8);
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, 50), true),
                    PS_INVALID_ARGS);
    EXPECT_OK(ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, 56), true));
}

VIRTUAL_CASE(alloc_at_without_guards_overrules_those_of_the_neighbours, .guard = 8)
{
    uint64_t page = virtual_take(test, f, 4);

    EXPECT_STATUS(alloc_at(f, page + 4, 2, false), PS_NO_SPACE);
    EXPECT_OK(alloc_at(f, page + 4, 2, true));
    EXPECT_OK(alloc_at(f, 0, page, true));
    EXPECT_OK(alloc_at(f, 255, 1, true));
    for (uint64_t i = 0; i < page + 6; i++)
        EXPECT(virtual_is_mapped(f, i));
    EXPECT(!virtual_is_mapped(f, page + 6));
    virtual_free(test, f, page);
    EXPECT(virtual_is_mapped(f, page - 1) && virtual_is_mapped(f, page + 4));
    virtual_expect_unmapped(test, f, page, 4);
}

static const struct test_case cases[] = {
    TEST_CASE(bytes_are_rounded_up_to_pages_and_remembered),
    TEST_CASE(as_many_bytes_as_there_are_addresses_are_too_many),
    TEST_CASE(limits_are_inclusive_addresses_and_all_pages_lie_between_them),
    TEST_CASE(guards_may_lie_outside_of_the_limits),
    TEST_CASE(limits_around_the_arena_are_no_limits_and_beside_it_leave_nothing),
    TEST_CASE(the_smallest_gap_that_will_do_is_taken),
    TEST_CASE(who_wants_no_guard_touches_who_wants_none_either),
    TEST_CASE(a_guard_can_be_wanted_on_one_side_only),
    TEST_CASE(the_widest_guard_is_as_wide_as_it_says),
    TEST_CASE(only_as_many_pages_as_the_arenas_alignment_are_aligned_to_it),
    TEST_CASE(an_alignment_by_request_is_kept_beside_the_arenas),
    TEST_CASE(where_the_arenas_alignment_cannot_be_kept_the_requests_still_is),
    TEST_CASE(contiguous_is_contiguous_whatever_the_size),
    TEST_CASE(without_such_a_run_contiguous_is_no_space_and_clustered_is_not),
    TEST_CASE(contiguous_of_more_than_all_frames_is_no_memory),
    TEST_CASE(parts_of_a_contiguous_allocation_go_back_alone),
    TEST_CASE(frames_have_the_tag_of_the_arena),
    TEST_CASE(alloc_at_takes_exactly_that_place),
    TEST_CASE(alloc_at_refuses_with_the_reason),
    TEST_CASE(alloc_at_without_guards_overrules_those_of_the_neighbours),
};

const struct test_suite suite_virtual_request = TEST_SUITE("virtual_request", cases);
