/*
 * The virtual allocator as a program sees it: by loads and stores, in both worlds.
 *
 * The arena may hold allocations of others; a case leaves as many as it found.
 */
#include "world.h"

enum { WORDS = 4096 / 8 };

static struct ps_virtual_request plain(uint64_t pages)
{
    return (struct ps_virtual_request){.pages = ps_pages(pages)};
}

/* 0 when the arena refuses: page 0 is never an allocation. */
static ps_virt_t take(struct test *test, const struct ps_virtual_request *request)
{
    ps_virt_t va = ps_virt(0);

    EXPECT_OK(ps_virtual_alloc(test->world->arena, request, &va));
    return va;
}

static ps_virt_t take_plain(struct test *test, uint64_t pages)
{
    struct ps_virtual_request request = plain(pages);

    return take(test, &request);
}

static void give(struct test *test, ps_virt_t va)
{
    EXPECT_OK(ps_virtual_free(test->world->arena, va));
}

static ps_virt_t page_at(ps_virt_t va, uint64_t page)
{
    return ps_virt_add_pages(va, ps_pages(page));
}

/* ---- facts about an address ---- */

static void expect_absent(struct test *test, ps_virt_t va)
{
    struct outcome read = test->world->load(test->world, va);
    struct outcome write = test->world->store(test->world, va, 1);

    EXPECT(read.faulted && write.faulted);
    EXPECT_EQ(read.vector, VECTOR_PAGE_FAULT);
    EXPECT_EQ(read.error, 0);
    EXPECT_EQ(read.address.addr, va.addr);
    EXPECT_EQ(write.error, FAULT_WRITE);
}

static void expect_load(struct test *test, ps_virt_t va, uint64_t value)
{
    struct outcome read = test->world->load(test->world, va);

    EXPECT(!read.faulted);
    EXPECT_EQ(read.value, value);
}

static void expect_store(struct test *test, ps_virt_t va, uint64_t value)
{
    EXPECT(!test->world->store(test->world, va, value).faulted);
}

/* Every page carries a word at its start and one at its end. */
static void stamp(struct test *test, ps_virt_t va, uint64_t pages, uint64_t salt)
{
    for (uint64_t i = 0; i < pages; i++) {
        expect_store(test, page_at(va, i), page_at(va, i).addr ^ salt);
        expect_store(test, ps_virt_add(page_at(va, i), PS_PAGE_SIZE - 8), salt);
    }
}

static void expect_stamped(struct test *test, ps_virt_t va, uint64_t pages, uint64_t salt)
{
    for (uint64_t i = 0; i < pages; i++) {
        expect_load(test, page_at(va, i), page_at(va, i).addr ^ salt);
        expect_load(test, ps_virt_add(page_at(va, i), PS_PAGE_SIZE - 8), salt);
    }
}

/* ---- cases ---- */

static void guards_fault_on_both_sides(struct test *test)
{
    ps_virt_t va = take_plain(test, 3);

    REQUIRE(va.addr != 0);
    stamp(test, va, 3, 1);
    expect_absent(test, ps_virt(va.addr - 8));
    expect_absent(test, page_at(va, 3));
    expect_stamped(test, va, 3, 1);
    give(test, va);
}

static void freed_memory_faults(struct test *test)
{
    ps_virt_t va = take_plain(test, 40); /* more than are invalidated one by one */

    REQUIRE(va.addr != 0);
    stamp(test, va, 40, 2);
    give(test, va);
    for (uint64_t i = 0; i < 40; i++)
        expect_absent(test, page_at(va, i));
}

static void contents_survive_neighbours(struct test *test)
{
    ps_virt_t va[8];

    for (unsigned i = 0; i < 8; i++) {
        va[i] = take_plain(test, 3);
        REQUIRE(va[i].addr != 0);
        stamp(test, va[i], 3, i);
    }
    for (unsigned i = 1; i < 8; i += 2)
        give(test, va[i]);
    for (unsigned i = 1; i < 8; i += 2) {
        va[i] = take_plain(test, 2);
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
    struct ps_virtual_request request = plain(4);
    ps_virt_t va = take_plain(test, 4);

    REQUIRE(va.addr != 0);
    for (uint64_t i = 0; i < 4 * WORDS; i++)
        expect_store(test, ps_virt_add(va, i * 8), UINT64_MAX);
    give(test, va);
    request.flags = PS_FRAME_ZERO;
    va = take(test, &request);
    REQUIRE(va.addr != 0);
    for (uint64_t i = 0; i < 4 * WORDS; i++)
        expect_load(test, ps_virt_add(va, i * 8), 0);
    give(test, va);
}

static void partial_free_faults_only_there(struct test *test)
{
    struct ps_virtual_allocator *arena = test->world->arena;
    ps_virt_t va = take_plain(test, 12);

    REQUIRE(va.addr != 0);
    stamp(test, va, 12, 3);
    EXPECT_OK(ps_virtual_free_part(arena, va, ps_pages(2)));
    EXPECT_OK(ps_virtual_free_part(arena, page_at(va, 10), ps_pages(2)));
    EXPECT_OK(ps_virtual_free_part(arena, page_at(va, 5), ps_pages(2)));
    for (uint64_t i = 0; i < 12; i++)
        if (i < 2 || i == 5 || i == 6 || i >= 10)
            expect_absent(test, page_at(va, i));
    expect_stamped(test, page_at(va, 2), 3, 3);
    expect_stamped(test, page_at(va, 7), 3, 3);
    give(test, page_at(va, 2));
    give(test, page_at(va, 7));
}

static void freed_and_allocated_again_is_the_same_address(struct test *test)
{
    ps_virt_t first = take_plain(test, 3);
    ps_virt_t second = take_plain(test, 3);

    REQUIRE(first.addr != 0 && second.addr != 0);
    for (unsigned i = 0; i < 20; i++) {
        ps_virt_t again;

        stamp(test, first, 3, i);
        give(test, first);
        again = take_plain(test, 3);
        EXPECT_EQ(again.addr, first.addr);
        REQUIRE(again.addr == first.addr);
    }
    give(test, first);
    give(test, second);
}

static void double_free_is_refused(struct test *test)
{
    struct ps_virtual_allocator *arena = test->world->arena;
    ps_virt_t va = take_plain(test, 2);
    ps_virt_t other = take_plain(test, 2);

    REQUIRE(va.addr != 0 && other.addr != 0);
    stamp(test, other, 2, 4);
    EXPECT_STATUS(ps_virtual_free(arena, page_at(va, 1)), PS_INVALID_ARGS);
    give(test, va);
    EXPECT_STATUS(ps_virtual_free(arena, va), PS_NOT_FOUND);
    EXPECT_STATUS(ps_virtual_free_part(arena, va, ps_pages(1)), PS_NOT_FOUND);
    EXPECT_STATUS(ps_virtual_free_part(arena, other, ps_pages(3)), PS_WRONG_SIZE);
    expect_stamped(test, other, 2, 4);
    give(test, other);
}

/* ---- a thousand operations ---- */

enum { SLOTS = 24, OPERATIONS = 1000 };

struct slot {
    ps_virt_t va;
    uint64_t pages; /* 0: nothing here */
    uint64_t salt;
};

static void fill_slot(struct test *test, struct slot *slot, struct test_random *random)
{
    struct ps_virtual_request request = plain(1 + test_random_below(random, 12));

    request.alignment = ps_pages((uint64_t)1 << test_random_below(random, 4));
    request.guard_before = ps_pages(1 + test_random_below(random, 3));
    slot->va = take(test, &request);
    slot->pages = slot->va.addr != 0 ? request.pages.count : 0;
    slot->salt = test_random_next(random);
    stamp(test, slot->va, slot->pages, slot->salt);
}

/* Free all of it, or only its end. */
static void thin_slot(struct test *test, struct slot *slot, struct test_random *random)
{
    uint64_t pages = 1 + test_random_below(random, slot->pages);
    uint64_t kept = slot->pages - pages;

    expect_stamped(test, slot->va, slot->pages, slot->salt);
    EXPECT_OK(ps_virtual_free_part(test->world->arena, page_at(slot->va, kept), ps_pages(pages)));
    expect_absent(test, page_at(slot->va, kept));
    slot->pages = kept;
}

static void run_operations(struct test *test, struct slot *slots, struct test_random *random)
{
    for (unsigned i = 0; i < OPERATIONS && test->failures == 0; i++) {
        struct slot *slot = &slots[test_random_below(random, SLOTS)];

        if (slot->pages == 0)
            fill_slot(test, slot, random);
        else
            thin_slot(test, slot, random);
        if (i % 250 == 0)
            EXPECT_OK(ps_virtual_validate(test->world->arena, NULL));
        if (test->failures != 0)
            test_note(test, "seed 0x%" PS_PRIx ", operation %u", test->world->seed, i);
    }
}

static void thousand_random_operations_leave_nothing(struct test *test)
{
    struct world *world = test->world;
    struct slot slots[SLOTS] = {{.pages = 0}};
    struct test_random random = test_random(world->seed);
    struct ps_page_table_counters tables = ps_page_table_counters(world->table);
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;
    uint64_t live = ps_virtual_live(world->arena, ps_virt(0), NULL, 0);

    ps_frame_pool_snapshot(world->pool, &before);
    run_operations(test, slots, &random);
    for (unsigned i = 0; i < SLOTS; i++) {
        expect_stamped(test, slots[i].va, slots[i].pages, slots[i].salt);
        if (slots[i].pages != 0)
            give(test, slots[i].va);
    }
    ps_frame_pool_snapshot(world->pool, &after);
    EXPECT_EQ(ps_virtual_live(world->arena, ps_virt(0), NULL, 0), live);
    EXPECT_EQ(after.by_tag[world->arena->config.tag], before.by_tag[world->arena->config.tag]);
    EXPECT_EQ(after.by_tag[PS_FRAME_TABLE], before.by_tag[PS_FRAME_TABLE]);
    EXPECT_EQ(ps_page_table_counters(world->table).leaves[1], tables.leaves[1]);
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
    TEST_CASE(double_free_is_refused),
    TEST_CASE(thousand_random_operations_leave_nothing),
    TEST_CASE(validate_is_clean),
};

extern const struct test_suite suite_virtual_live;
const struct test_suite suite_virtual_live = TEST_SUITE("virtual", cases);
