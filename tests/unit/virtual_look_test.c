/* What the allocator tells of itself, what it notes of mistakes, and the end of it all. */
#include "virtual_fixture.h"

#include <string.h>

#include "unit_suites.h"

enum { PAGE = 4096 };

/* ---- mistakes ---- */

VIRTUAL_CASE(each_wrong_free_is_noted_with_what_it_hit, .guard = 2)
{
    uint64_t a = virtual_take(test, f, 3);
    uint64_t b = virtual_take(test, f, 3);
    ps_virt_t inside = ps_virt(virtual_page(f, a).addr + 1);

    virtual_free(test, f, b);
#define FREE(address) ps_virtual_free(&f->arena, address)
    EXPECT_MISUSE(FREE(virtual_page(f, b)), PS_NOT_FOUND, FREE, virtual_page(f, b), 0);
    EXPECT_MISUSE(FREE(virtual_page(f, 0)), PS_ACCESS_DENIED, GUARD, virtual_page(f, 0), 0);
    EXPECT_MISUSE(FREE(virtual_page(f, a + 4)), PS_ACCESS_DENIED, GUARD, virtual_page(f, a + 4), 0);
    EXPECT_MISUSE(FREE(virtual_page(f, 255)), PS_ACCESS_DENIED, GUARD, virtual_page(f, 255), 0);
    EXPECT_MISUSE(FREE(virtual_page(f, a + 2)), PS_INVALID_ARGS, INTERIOR, virtual_page(f, a + 2),
                  1);
    EXPECT_MISUSE(FREE(inside), PS_INVALID_ARGS, INTERIOR, inside, 1);
    EXPECT_MISUSE(FREE(virtual_page(f, 256)), PS_OUT_OF_RANGE, FOREIGN, virtual_page(f, 256), 0);
    EXPECT_MISUSE(FREE(ps_virt(0)), PS_OUT_OF_RANGE, FOREIGN, ps_virt(0), 0);
    EXPECT_MISUSE(FREE(ps_virt(UINT64_MAX)), PS_OUT_OF_RANGE, FOREIGN, ps_virt(UINT64_MAX), 0);
#undef FREE
    EXPECT_EQ(f->arena.counters.rejected, 9);
    EXPECT_EQ(f->arena.misuse.counts[PS_MISUSE_GUARD], 3);
}

VIRTUAL_CASE(each_wrong_size_is_noted, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 3 * PAGE + 1};
    uint64_t a = virtual_take_as(test, f, &request);
    ps_virt_t va = virtual_page(f, a);
    ps_virt_t second = virtual_page(f, a + 1);

    EXPECT_MISUSE(ps_virtual_free_sized(&f->arena, va, 0), PS_WRONG_SIZE, SIZE, va, 1);
    EXPECT_MISUSE(ps_virtual_free_sized(&f->arena, va, 4 * PAGE), PS_WRONG_SIZE, SIZE, va, 1);
    EXPECT_MISUSE(ps_virtual_free_sized(&f->arena, second, 3 * PAGE + 1), PS_INVALID_ARGS, INTERIOR,
                  second, 1);
    EXPECT_MISUSE(ps_virtual_free_part(&f->arena, va, ps_pages(5)), PS_WRONG_SIZE, SIZE, va, 1);
    EXPECT_MISUSE(ps_virtual_free_part(&f->arena, second, ps_pages(UINT64_MAX)), PS_WRONG_SIZE,
                  SIZE, second, 1);
    EXPECT_MISUSE(ps_virtual_free_part(&f->arena, virtual_page(f, a + 4), ps_pages(1)),
                  PS_ACCESS_DENIED, GUARD, virtual_page(f, a + 4), 0);
    EXPECT_REJECTED(ps_virtual_free_part(&f->arena, va, ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_REJECTED(ps_virtual_free_part(&f->arena, ps_virt(va.addr + 8), ps_pages(1)),
                    PS_INVALID_ARGS);
    EXPECT_OK(ps_virtual_free_sized(&f->arena, va, 3 * PAGE + 1));
}

VIRTUAL_CASE(parts_have_the_size_that_is_left_of_them, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 9 * PAGE + 1};
    uint64_t a = virtual_take_as(test, f, &request);

    virtual_free_part(test, f, a + 3, 2);
    EXPECT_EQ(f->arena.counters.live_bytes, 7 * PAGE + 1);
    EXPECT_STATUS(ps_virtual_free_sized(&f->arena, virtual_page(f, a), 9 * PAGE + 1),
                  PS_WRONG_SIZE);
    EXPECT_OK(ps_virtual_free_sized(&f->arena, virtual_page(f, a), 3 * PAGE));
    EXPECT_OK(ps_virtual_free_sized(&f->arena, virtual_page(f, a + 5), 4 * PAGE + 1));
    EXPECT_EQ(f->arena.counters.live_bytes, 0);
}

VIRTUAL_CASE(the_last_failure_is_kept_when_others_succeed, .guard = 1)
{
    struct ps_virtual_request request = {.pages = ps_pages(300), .who = {{1, 2, 3}, "f.c", 4}};
    ps_virt_t va;

    EXPECT_STATUS(f->arena.failure.status, PS_OK);
    (void)virtual_take(test, f, 1);
    EXPECT_FAILED(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE, 300 * PAGE, request.who);
    (void)virtual_take(test, f, 1);
    EXPECT_STATUS(f->arena.failure.status, PS_NO_SPACE);
    EXPECT_EQ(f->arena.failure.allocs, 1);
    request.pages = ps_pages(UINT64_MAX);
    EXPECT_FAILED(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE,
                  UINT64_MAX - PS_PAGE_MASK, request.who);
    EXPECT_EQ(f->arena.failure.allocs, 2);
    EXPECT_EQ(f->arena.counters.failed, 2);
}

/* ---- questions ---- */

VIRTUAL_CASE(live_is_who_is_named_by_exactly_that_pointer, .guard = 1)
{
    uint64_t a = virtual_take(test, f, 3);
    static const struct {
        uint64_t byte;
        bool live;
    } places[] = {{0, true},         {1, false},        {PAGE, false},
                  {3 * PAGE, false}, {5 * PAGE, false}, {300 * PAGE, false}};
    bool live;

    for (size_t i = 0; i < PS_ARRAY_SIZE(places); i++) {
        live = !places[i].live;
        EXPECT_OK(
            ps_virtual_is_live(&f->arena, ps_virt_add(virtual_page(f, a), places[i].byte), &live));
        EXPECT(live == places[i].live);
    }
    EXPECT_OK(ps_virtual_is_live(&f->arena, ps_virt(0), &live));
    EXPECT(!live);
    virtual_free(test, f, a);
    EXPECT_OK(ps_virtual_is_live(&f->arena, virtual_page(f, a), &live));
    EXPECT(!live);
    EXPECT_EQ(f->arena.counters.rejected, 0);
}

VIRTUAL_CASE(live_is_not_known_while_the_lock_is_taken)
{
    bool live = true;

    ps_lock_acquire(&f->arena.lock);
    EXPECT_STATUS(ps_virtual_is_live(&f->arena, virtual_page(f, 0), &live), PS_SHOULD_WAIT);
    ps_lock_release(&f->arena.lock);
    EXPECT(live);
    EXPECT_STATUS(ps_virtual_is_live(&f->arena, virtual_page(f, 0), NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_is_live(NULL, virtual_page(f, 0), &live), PS_INVALID_ARGS);
    EXPECT_OK(ps_virtual_is_live(&f->arena, virtual_page(f, 0), &live)); /* and let it go again */
}

VIRTUAL_CASE(usable_reaches_to_the_end_of_the_last_page, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = PAGE + 1};
    uint64_t a = virtual_take_as(test, f, &request);
    uint64_t bytes = 7;

    EXPECT_STATUS(ps_virtual_usable(&f->arena, virtual_page(f, a + 1), &bytes), PS_NOT_FOUND);
    EXPECT_STATUS(ps_virtual_usable(&f->arena, virtual_page(f, a + 2), &bytes), PS_NOT_FOUND);
    EXPECT_STATUS(ps_virtual_usable(&f->arena, ps_virt(0), &bytes), PS_OUT_OF_RANGE);
    EXPECT_STATUS(ps_virtual_usable(&f->arena, virtual_page(f, a), NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_usable(NULL, virtual_page(f, a), &bytes), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_virtual_usable(NULL, virtual_page(f, a), NULL), PS_INVALID_ARGS);
    EXPECT_EQ(bytes, 7);
    EXPECT_OK(ps_virtual_usable(&f->arena, virtual_page(f, a), &bytes));
    EXPECT_EQ(bytes, 2 * PAGE);
    EXPECT_EQ(f->arena.counters.rejected, 0);
}

VIRTUAL_CASE(live_begins_with_the_one_that_ends_behind_an_address, .guard = 1)
{
    struct ps_virtual_info infos[3];
    uint64_t a = virtual_take(test, f, 2);
    uint64_t b = virtual_take(test, f, 2);

    EXPECT_EQ(ps_virtual_live(&f->arena, virtual_page(f, a + 1), infos, 3), 2);
    EXPECT_EQ(infos[0].va.addr, virtual_page(f, a).addr);
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(virtual_page(f, a + 2).addr - 1), infos, 3), 2);
    EXPECT_EQ(ps_virtual_live(&f->arena, virtual_page(f, a + 2), infos, 3), 1);
    EXPECT_EQ(infos[0].va.addr, virtual_page(f, b).addr);
    EXPECT_EQ(ps_virtual_live(&f->arena, virtual_page(f, b + 1), NULL, 3), 1);
    EXPECT_EQ(ps_virtual_live(&f->arena, virtual_page(f, b + 2), infos, 3), 0);
    EXPECT_EQ(ps_virtual_live(&f->arena, ps_virt(UINT64_MAX), infos, 3), 0);
}

VIRTUAL_CASE(the_snapshot_adds_up, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 100, .who = {{6}, "s.c", 1}};
    struct ps_virtual_snapshot now = {0};
    uint64_t a = virtual_take(test, f, 10);
    uint64_t b = virtual_take(test, f, 20);
    uint64_t c = virtual_take_as(test, f, &request);
    ps_virt_t va;

    virtual_free(test, f, b);
    EXPECT_STATUS(ps_virtual_free(&f->arena, virtual_page(f, b)), PS_NOT_FOUND);
    request.bytes = 256 * PAGE;
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
    ps_virtual_snapshot(&f->arena, &now);
    EXPECT_EQ(now.counters.live, 2);
    EXPECT_EQ(now.counters.live_pages, 11);
    EXPECT_EQ(now.counters.live_bytes, 10 * PAGE + 100);
    EXPECT_EQ(now.counters.peak_pages, 31);
    EXPECT_EQ(now.counters.allocs, 3);
    EXPECT_EQ(now.counters.frees, 1);
    EXPECT_EQ(now.counters.moves, 0);
    EXPECT_EQ(now.counters.failed, 1);
    EXPECT_EQ(now.counters.rejected, 1);
    EXPECT_EQ(now.counters.quarantined, 0);
    EXPECT_EQ(now.free_pages, 256 - 11);
    EXPECT_EQ(now.free_extents, 2);
    EXPECT_EQ(now.largest_free, 256 - (c + 1) - 2);
    EXPECT_EQ(now.fragmentation, 1000 * (245 - now.largest_free) / 245);
    EXPECT_EQ(now.metadata_frames, 2); /* the arena's, and the records' */
    EXPECT_STATUS(now.failure.status, PS_NO_SPACE);
    EXPECT_EQ(now.failure.bytes, 256 * PAGE);
    EXPECT_EQ(now.failure.who.owner[0], 6);
    EXPECT_STATUS(now.misuse.status, PS_NOT_FOUND);
    EXPECT_EQ(now.misuse.what, PS_MISUSE_FREE);
    EXPECT_EQ(now.misuse.va.addr, virtual_page(f, b).addr);
    EXPECT_EQ(now.misuse.counts[PS_MISUSE_FREE], 1);
    EXPECT_EQ(virtual_take(test, f, now.largest_free), c + 2);
    virtual_free(test, f, a);
}

/* ---- text ---- */

VIRTUAL_CASE(the_dump_has_a_line_for_each_allocation, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 9000, .who = {{77, 0, 5}, "here.c", 12}};
    char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    (void)virtual_take(test, f, 1);
    (void)virtual_take_as(test, f, &request);
    ps_virtual_dump(&f->arena, &sink);
    EXPECT_TEXT(text, "virtual allocator 0xffffc00000000000, 256 pages, guard 1\n"
                      "  live 2 allocations of 4 pages, peak 4, 2 so far\n"
                      "  free 252 pages in 1 extents, largest 248, fragmentation 15/1000\n"
                      "  failed 0, rejected 0, frames of bookkeeping 2\n"
                      "  0xffffc00000001000        1 pages  4096 bytes  #1\n"
                      "  0xffffc00000003000        3 pages  9000 bytes  #2  owner 77  owner 5"
                      "  here.c:12\n");
}

VIRTUAL_CASE(the_dump_tells_the_last_failure_and_the_last_misuse, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = PS_MIB * 4, .who = {{7}, "big.c", 3}};
    char text[1024];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    ps_virt_t va;

    (void)virtual_take(test, f, 1);
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
    EXPECT_STATUS(ps_virtual_free(&f->arena, ps_virt(virtual_page(f, 1).addr + 9)),
                  PS_INVALID_ARGS);
    ps_virtual_dump(&f->arena, &sink);
    EXPECT(strstr(text, "\n  last failure: NO_SPACE for 4194304 bytes after 1 allocations"
                        "  owner 7  big.c:3\n"
                        "  last misuse: INVALID_ARGS at 0xffffc00000001009, allocation #1\n"
                        "  0xffffc00000001000 ") != NULL);
    ps_virtual_dump(&f->arena, NULL);
}

VIRTUAL_CASE(before_init_the_dump_says_so, .not_initialised = true)
{
    char text[80] = "";
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    ps_virtual_dump(NULL, &sink);
    EXPECT_TEXT(text, "");
    ps_virtual_dump(&f->arena, &sink);
    EXPECT_TEXT(text, "virtual allocator: not initialised\n");
}

/* ---- the end ---- */

VIRTUAL_CASE(destroy_tells_who_leaked, .guard = 1)
{
    struct ps_virtual_request request = {.bytes = 10, .who = {{4, 5, 6}, "leak.c", 31}};
    char text[300];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    uint64_t a = virtual_take(test, f, 3);
    uint64_t b = virtual_take_as(test, f, &request);
    struct virtual_before before = virtual_before(f);

    EXPECT_STATUS(ps_virtual_destroy(&f->arena, &sink), PS_BAD_STATE);
    EXPECT_TEXT(text, "  0xffffc00000001000        3 pages  12288 bytes  #1\n"
                      "  0xffffc00000005000        1 pages  10 bytes  #2"
                      "  owner 4  owner 5  owner 6  leak.c:31\n");
    EXPECT_STATUS(ps_virtual_destroy(&f->arena, NULL), PS_BAD_STATE);
    virtual_expect_same(test, f, &before.state);
    EXPECT_EQ(f->arena.counters.rejected, 0);
    virtual_free(test, f, a);
    virtual_free(test, f, b);
    sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    EXPECT_OK(ps_virtual_destroy(&f->arena, &sink));
    EXPECT_TEXT(text, "");
}

VIRTUAL_CASE(free_all_frees_everything_in_one_round, .guard = 1, .pages = 4096, .frames = 4096)
{
    struct ps_virtual_request large = {.pages = ps_pages(600), .alignment = ps_pages(512)};
    uint64_t rounds;

    for (unsigned i = 0; i < 100; i++)
        (void)virtual_take(test, f, 1 + i % 5);
    virtual_free_part(test, f, virtual_take(test, f, 9) + 4, 1);
    virtual_free_part(test, f, virtual_take_as(test, f, &large) + 77, 1);
    rounds = f->sim->invalidations;
    EXPECT_OK(ps_virtual_free_all(&f->arena));
    EXPECT_EQ(f->sim->invalidations, rounds + 1);
    EXPECT_EQ(f->arena.counters.live, 0);
    EXPECT_EQ(f->arena.counters.live_pages, 0);
    EXPECT_EQ(f->arena.counters.live_bytes, 0);
    EXPECT_EQ(f->arena.counters.frees, 2 + 100 + 4);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
    EXPECT_EQ(virtual_take(test, f, 3000), 1);
    EXPECT_STATUS(ps_virtual_free_all(NULL), PS_INVALID_ARGS);
}

VIRTUAL_CASE(free_all_of_nothing_is_no_round)
{
    uint64_t rounds = f->sim->invalidations;

    EXPECT_OK(ps_virtual_free_all(&f->arena));
    EXPECT_EQ(f->sim->invalidations, rounds);
    EXPECT_EQ(f->arena.counters.frees, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(each_wrong_free_is_noted_with_what_it_hit),
    TEST_CASE(each_wrong_size_is_noted),
    TEST_CASE(parts_have_the_size_that_is_left_of_them),
    TEST_CASE(the_last_failure_is_kept_when_others_succeed),
    TEST_CASE(live_is_who_is_named_by_exactly_that_pointer),
    TEST_CASE(live_is_not_known_while_the_lock_is_taken),
    TEST_CASE(usable_reaches_to_the_end_of_the_last_page),
    TEST_CASE(live_begins_with_the_one_that_ends_behind_an_address),
    TEST_CASE(the_snapshot_adds_up),
    TEST_CASE(the_dump_has_a_line_for_each_allocation),
    TEST_CASE(the_dump_tells_the_last_failure_and_the_last_misuse),
    TEST_CASE(before_init_the_dump_says_so),
    TEST_CASE(destroy_tells_who_leaked),
    TEST_CASE(free_all_frees_everything_in_one_round),
    TEST_CASE(free_all_of_nothing_is_no_round),
};

const struct test_suite suite_virtual_look = TEST_SUITE("virtual_look", cases);
