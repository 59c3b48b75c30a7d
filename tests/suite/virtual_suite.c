/*
 * The virtual allocator as a program sees it: by loads and stores, in both worlds. These cases use
 * the arena that everybody uses; a case leaves as many allocations as it found.
 */
#include "virtual_cases.h"

static ps_virt_t take(struct test *test, uint64_t pages)
{
    return memory_take_pages(test, test->world->arena, pages);
}

static void give(struct test *test, ps_virt_t va)
{
    memory_give(test, test->world->arena, va);
}

static void guards_fault_on_both_sides(struct test *test)
{
    ps_virt_t va = take(test, 3);

    REQUIRE(va.addr != 0);
    stamp(test, va, 3, 1);
    expect_absent(test, byte_at(va, -8), 1);
    expect_absent(test, page_at(va, 3), 1);
    expect_stamped(test, va, 3, 1);
    give(test, va);
}

static void freed_memory_faults(struct test *test)
{
    ps_virt_t va = take(test, 40); /* more than are invalidated one by one */

    REQUIRE(va.addr != 0);
    stamp(test, va, 40, 2);
    give(test, va);
    expect_absent(test, va, 40);
}

static void contents_survive_neighbours(struct test *test)
{
    ps_virt_t va[8];

    for (unsigned i = 0; i < 8; i++) {
        va[i] = take(test, 3);
        REQUIRE(va[i].addr != 0);
        stamp(test, va[i], 3, i);
    }
    for (unsigned i = 1; i < 8; i += 2)
        give(test, va[i]);
    for (unsigned i = 1; i < 8; i += 2) {
        va[i] = take(test, 2);
        REQUIRE(va[i].addr != 0);
        stamp(test, va[i], 2, 100 + i);
    }
    for (unsigned i = 0; i < 8; i++)
        expect_stamped(test, va[i], i % 2 == 0 ? 3 : 2, i % 2 == 0 ? i : 100 + i);
    for (unsigned i = 0; i < 8; i++)
        give(test, va[i]);
}

static void zeroed_is_zero(struct test *test)
{
    struct ps_virtual_request request = {.pages = ps_pages(4), .flags = PS_FRAME_ZERO};
    uint64_t bytes = 4 * PS_PAGE_SIZE;
    ps_virt_t va = take(test, 4);

    REQUIRE(va.addr != 0);
    for (uint64_t at = 0; at < bytes; at += 8)
        expect_store(test, ps_virt_add(va, at), UINT64_MAX);
    give(test, va);
    va = memory_take(test, test->world->arena, &request);
    REQUIRE(va.addr != 0);
    for (uint64_t at = 0; at < bytes; at += 8)
        expect_load(test, ps_virt_add(va, at), 0);
    give(test, va);
}

static void partial_free_faults_only_there(struct test *test)
{
    static const struct {
        uint64_t first;
        uint64_t pages;
    } gone[] = {{0, 2}, {10, 2}, {5, 2}};
    ps_virt_t va = take(test, 12);

    REQUIRE(va.addr != 0);
    stamp(test, va, 12, 3);
    for (unsigned i = 0; i < PS_ARRAY_SIZE(gone); i++) {
        EXPECT_OK(ps_virtual_free_part(test->world->arena, page_at(va, gone[i].first),
                                       ps_pages(gone[i].pages)));
        expect_absent(test, page_at(va, gone[i].first), gone[i].pages);
    }
    for (uint64_t i = 2; i < 10; i++)
        if (i != 5 && i != 6)
            expect_load(test, page_at(va, i), i ^ 3);
    give(test, page_at(va, 2));
    give(test, page_at(va, 7));
    expect_absent(test, va, 12);
}

static void freed_and_allocated_again_is_the_same_address(struct test *test)
{
    ps_virt_t first = take(test, 3);
    ps_virt_t second = take(test, 3);

    REQUIRE(first.addr != 0 && second.addr != 0);
    for (unsigned i = 0; i < 20; i++) {
        ps_virt_t again;

        stamp(test, first, 3, i);
        give(test, first);
        again = take(test, 3);
        EXPECT_EQ(again.addr, first.addr);
        REQUIRE(again.addr == first.addr);
    }
    give(test, first);
    give(test, second);
}

static void validate_is_clean(struct test *test)
{
    char text[200];
    struct ps_text_buffer buffer;
    struct ps_sink breach = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(ps_virtual_validate(test->world->arena, &breach));
    EXPECT_OK(ps_page_table_validate(test->world->table, &breach));
    EXPECT_OK(ps_frame_pool_validate(test->world->pool, &breach));
    EXPECT_TEXT(text, "");
}

static const struct test_case cases[] = {
    TEST_CASE(guards_fault_on_both_sides),
    TEST_CASE(freed_memory_faults),
    TEST_CASE(contents_survive_neighbours),
    TEST_CASE(zeroed_is_zero),
    TEST_CASE(partial_free_faults_only_there),
    TEST_CASE(freed_and_allocated_again_is_the_same_address),
    TEST_CASE(validate_is_clean),
};

extern const struct test_suite suite_virtual_live;
const struct test_suite suite_virtual_live = TEST_SUITE("virtual", cases);
