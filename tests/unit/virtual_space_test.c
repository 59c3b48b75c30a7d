/* Arenas: their sizes and places, and the address spaces that see them. */
#include "virtual_fixture.h"

#include <string.h>

#include "machine/mmu.h"
#include "unit_suites.h"

enum { PAGE = 4096 };

static ps_status init(struct virtual_fixture *f, struct ps_virtual_config config)
{
    config.tag = PS_FRAME_VIRTUAL;
    return ps_virtual_init(&f->arena, &f->table, &f->pool, &config);
}

static bool is_zero(const struct ps_virtual_allocator *allocator)
{
    static const struct ps_virtual_allocator zero;

    return memcmp(allocator, &zero, sizeof(zero)) == 0;
}

/* ---- what init refuses ---- */

VIRTUAL_CASE(init_refuses_what_is_no_alignment_no_flag_and_no_guard, .not_initialised = true)
{
    struct ps_virtual_config good = {.base = ps_virt(VIRTUAL_BASE), .pages = ps_pages(200000)};
    struct ps_virtual_config bad = good;

    bad.alignment = ps_pages(6);
    EXPECT_STATUS(init(f, bad), PS_INVALID_ARGS);
    bad = good;
    bad.flags = PS_VIRTUAL_FILL << 1;
    EXPECT_STATUS(init(f, bad), PS_INVALID_ARGS);
    bad.flags = PS_VIRTUAL_CONTIGUOUS;
    EXPECT_STATUS(init(f, bad), PS_INVALID_ARGS);
    bad = good;
    bad.guard = ps_pages(PS_ARENA_GUARD_MAX + 1);
    EXPECT_STATUS(init(f, bad), PS_INVALID_ARGS);
    bad.guard = ps_pages((uint64_t)1 << 32);
    EXPECT_STATUS(init(f, bad), PS_INVALID_ARGS);
    bad = good;
    bad.base = ps_virt(0);
    bad.pages = ps_pages(1); /* nothing but page 0 */
    EXPECT_STATUS(init(f, bad), PS_INVALID_ARGS);
    EXPECT(is_zero(&f->arena));
    good.guard = ps_pages(PS_ARENA_GUARD_MAX);
    good.alignment = ps_pages((uint64_t)1 << 63);
    good.flags = PS_VIRTUAL_FILL | PS_VIRTUAL_PUSH;
    EXPECT_OK(init(f, good));
    EXPECT_EQ(virtual_take(test, f, 1), PS_ARENA_GUARD_MAX);
}

VIRTUAL_CASE(init_refuses_a_pool_of_another_machine_and_one_that_is_none, .not_initialised = true)
{
    struct ps_virtual_config config = {
        .base = ps_virt(VIRTUAL_BASE), .pages = ps_pages(8), .tag = PS_FRAME_VIRTUAL};
    struct sim_range ram = SIM_RAM(256, 64);
    struct sim_machine *sim = sim_machine_create(&ram, 1, 0);
    struct ps_frame_pool none = {0}, other = {0};

    REQUIRE(sim != NULL);
    REQUIRE_OK(ps_frame_pool_init(&other, &sim->machine, &sim->map));
    EXPECT_STATUS(ps_virtual_init(&f->arena, &f->table, &none, &config), PS_BAD_STATE);
    EXPECT_STATUS(ps_virtual_init(&f->arena, &f->table, &other, &config), PS_INVALID_ARGS);
    EXPECT(is_zero(&f->arena));
    sim_machine_destroy(sim);
}

/* ---- sizes ---- */

VIRTUAL_CASE(an_arena_of_one_page_holds_one_page, .pages = 1)
{
    ps_virt_t now;

    EXPECT_EQ(virtual_take(test, f, 1), 0);
    EXPECT_STATUS(virtual_try(f, 1), PS_NO_SPACE);
    EXPECT_STATUS(
        ps_virtual_resize(&f->arena, virtual_page(f, 0), PAGE + 1, PS_VIRTUAL_MAY_MOVE, &now),
        PS_NO_SPACE);
    virtual_free(test, f, 0);
    EXPECT_EQ(virtual_take(test, f, 1), 0);
}

/* The last page, by its limits. */
static void take_the_last(struct test *test, struct virtual_fixture *f)
{
    struct ps_virtual_request request = {
        .pages = ps_pages(3), .low = UINT64_MAX - 3 * PAGE + 1, .high = UINT64_MAX};
    ps_virt_t va = ps_virt(0);

    EXPECT_OK(ps_virtual_alloc(&f->arena, &request, &va));
    EXPECT_EQ(va.addr, UINT64_MAX - 3 * PAGE + 1);
    EXPECT(virtual_is_mapped(f, f->arena.config.pages.count - 1));
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &request, &va), PS_NO_SPACE);
    EXPECT_OK(ps_virtual_free_part(&f->arena, ps_virt_add(va, PAGE), ps_pages(1)));
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

static void use_all_of_it(struct test *test, struct virtual_fixture *f)
{
    struct ps_virtual_snapshot now;
    struct ps_virtual_request far = {.pages = ps_pages(1), .alignment = ps_pages(1 << 30)};
    ps_virt_t va = ps_virt(0);

    ps_virtual_snapshot(&f->arena, &now);
    EXPECT_EQ(now.largest_free, f->arena.config.pages.count);
    EXPECT_EQ(now.metadata_frames, 0);
    EXPECT_EQ(virtual_take(test, f, 5), 0);
    EXPECT_OK(ps_virtual_alloc(&f->arena, &far, &va));
    EXPECT(ps_is_aligned(va.addr, (uint64_t)PAGE << 30));
    take_the_last(test, f);
    EXPECT_EQ(f->arena.counters.live, 4);
    ps_virtual_snapshot(&f->arena, &now);
    EXPECT_EQ(now.metadata_frames, 2);
}

VIRTUAL_CASE(an_arena_can_be_all_of_the_upper_half, .base = 0xffff800000000000u,
             .pages = (uint64_t)1 << 35)
{
    use_all_of_it(test, f);
}

VIRTUAL_CASE(with_five_levels_the_upper_half_is_larger, .base = 0xff00000000000000u,
             .pages = (uint64_t)1 << 44, .machine = SIM_FIVE_LEVELS)
{
    use_all_of_it(test, f);
}

VIRTUAL_CASE(an_arena_can_be_all_of_the_lower_half, .base_is_zero = true,
             .pages = (uint64_t)1 << 35)
{
    struct ps_virtual_request high = {
        .pages = ps_pages(1), .low = 0x7ffffffff000u, .high = 0x7fffffffffffu};
    struct ps_virtual_request none = {.pages = ps_pages(1), .low = 0, .high = PAGE - 1};
    ps_virt_t va = ps_virt(7);

    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &none, &va), PS_NO_SPACE);
    none.high = PAGE - 2;
    EXPECT_STATUS(ps_virtual_alloc(&f->arena, &none, &va), PS_NO_SPACE);
    EXPECT_EQ(virtual_take(test, f, 2), 1);
    EXPECT_OK(ps_virtual_alloc(&f->arena, &high, &va));
    EXPECT_EQ(va.addr, 0x7ffffffff000u);
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &high, ps_virt(0), true), PS_OUT_OF_RANGE);
    EXPECT(!virtual_is_mapped(f, 0));
}

VIRTUAL_CASE(five_levels_make_addresses_canonical_that_were_not, .machine = SIM_FIVE_LEVELS,
             .not_initialised = true)
{
    struct ps_virtual_config config = {.base = ps_virt(0x0000800000000000u), .pages = ps_pages(16)};

    EXPECT_OK(init(f, config));
    EXPECT_EQ(virtual_take(test, f, 16), 0);
    EXPECT_OK(ps_virtual_free_all(&f->arena));
    EXPECT_OK(ps_virtual_destroy(&f->arena, NULL));
    config.base = ps_virt(0x0100000000000000u);
    EXPECT_STATUS(init(f, config), PS_INVALID_ARGS);
}

VIRTUAL_CASE(alloc_at_outside_of_the_arena_is_out_of_range, .guard = 1)
{
    static const uint64_t places[][2] = {{256, 1}, {255, 2}, {0, 257}, {1, 256}, {10, 5000}};
    struct ps_virtual_request below = {.pages = ps_pages(2)};
    struct ps_virtual_request request = {.pages = ps_pages(1), .low = 1, .high = 2};

    for (size_t i = 0; i < PS_ARRAY_SIZE(places); i++) {
        struct ps_virtual_request at = {.pages = ps_pages(places[i][1])};

        EXPECT_REJECTED(
            ps_virtual_alloc_at(&f->arena, &at, virtual_page(f, places[i][0]), i % 2 == 0),
            PS_OUT_OF_RANGE);
    }
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &below, ps_virt(VIRTUAL_BASE - PAGE), true),
                    PS_OUT_OF_RANGE);
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &below, ps_virt(0), true), PS_OUT_OF_RANGE);
    /* limits that no page can lie between */
    EXPECT_REJECTED(ps_virtual_alloc_at(&f->arena, &request, virtual_page(f, 9), true),
                    PS_INVALID_ARGS);
}

/* ---- address spaces that share the arena ---- */

static bool sees(struct mmu *mmu, ps_virt_t va, uint64_t value)
{
    struct outcome read = mmu_load(mmu, 1, va);

    return !read.faulted && read.value == value;
}

/* Another address space that began to share the upper half before anything was allocated. */
static void share_and_allocate(struct test *test, struct virtual_fixture *f, bool is_seen)
{
    struct ps_page_table user = {0};
    struct mmu *mmu = mmu_create(f->sim);
    uint64_t page;

    REQUIRE(mmu != NULL);
    REQUIRE_OK(ps_page_table_create(&user, &f->sim->machine, &f->pool));
    REQUIRE_OK(ps_page_table_share_upper(&user, &f->table));
    mmu_set_root(mmu, 1, user.root);
    page = virtual_take(test, f, 700);
    *virtual_word(f, page) = 0x1234;
    *virtual_word(f, page + 699) = 0x5678;
    EXPECT(sees(mmu, virtual_page(f, page), 0x1234) == is_seen);
    EXPECT(sees(mmu, virtual_page(f, page + 699), 0x5678) == is_seen);
    virtual_free(test, f, page);
    EXPECT(mmu_load(mmu, 1, virtual_page(f, page)).faulted);
    page = virtual_take(test, f, 5);
    *virtual_word(f, page) = 0x9abc;
    EXPECT(sees(mmu, virtual_page(f, page), 0x9abc) == is_seen);
    virtual_free(test, f, page);
    mmu_set_root(mmu, 1, f->table.root);
    EXPECT_OK(ps_page_table_destroy(&user));
    mmu_destroy(mmu);
}

VIRTUAL_CASE(anchored_allocations_are_seen_by_who_shares_the_half, .guard = 1, .pages = 1 << 20,
             .flags = PS_VIRTUAL_ANCHOR)
{
    share_and_allocate(test, f, true);
}

VIRTUAL_CASE(without_an_anchor_they_are_not, .guard = 1, .pages = 1 << 20)
{
    share_and_allocate(test, f, false);
}

VIRTUAL_CASE(anchored_tables_exist_from_the_beginning_and_stay, .not_initialised = true)
{
    /* half of it under one root entry, half under the next */
    struct ps_virtual_config config = {.base = ps_virt(VIRTUAL_BASE + ((uint64_t)511 << 30)),
                                       .pages = ps_pages((uint64_t)2 << 18),
                                       .flags = PS_VIRTUAL_ANCHOR};

    struct virtual_state before = virtual_state(f);

    ps_frame_pool_fail_after(&f->pool, 0, false);
    EXPECT_STATUS(init(f, config), PS_NO_MEMORY);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT(is_zero(&f->arena));
    virtual_expect_same_state(test, f, &before);
    EXPECT_OK(init(f, config));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use + 2);
    EXPECT_OK(virtual_try(f, 5));
    EXPECT_OK(ps_virtual_destroy(&f->arena, NULL));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use + 2);
    f->in_use += 2;
    EXPECT_OK(init(f, config)); /* they are there already */
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
}

static const struct test_case cases[] = {
    TEST_CASE(init_refuses_what_is_no_alignment_no_flag_and_no_guard),
    TEST_CASE(init_refuses_a_pool_of_another_machine_and_one_that_is_none),
    TEST_CASE(an_arena_of_one_page_holds_one_page),
    TEST_CASE(an_arena_can_be_all_of_the_upper_half),
    TEST_CASE(with_five_levels_the_upper_half_is_larger),
    TEST_CASE(an_arena_can_be_all_of_the_lower_half),
    TEST_CASE(five_levels_make_addresses_canonical_that_were_not),
    TEST_CASE(alloc_at_outside_of_the_arena_is_out_of_range),
    TEST_CASE(anchored_allocations_are_seen_by_who_shares_the_half),
    TEST_CASE(without_an_anchor_they_are_not),
    TEST_CASE(anchored_tables_exist_from_the_beginning_and_stay),
};

const struct test_suite suite_virtual_space = TEST_SUITE("virtual_space", cases);
