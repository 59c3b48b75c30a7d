/* What holds after a take-over: what is mapped where, who owns what, and what can join later. */
#include "stage_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "hw.h"
#include "unit_suites.h"

#define DIRECT(frame) (PS_STAGE_DIRECT_MAP + (uint64_t)(frame)*PS_PAGE_SIZE)

/* ---- the layout ---- */

STAGE_CASE(ram_and_image_are_mapped_and_nothing_else)
{
    stage_expect_whole(test, f);
    EXPECT_TEXT(f->stage->step, "done");
    EXPECT_EQ(f->stage->framebuffer.addr, 0);
    EXPECT_EQ(f->stage->device_pages, 0);
}

/* The fixture's expectation is computed; here a few places by hand. */
STAGE_CASE(leaves_are_small_below_2_mib_and_large_above)
{
    static const struct {
        uint64_t frame;
        enum ps_leaf leaf;
    } places[] = {{1, 1},    {119, 1},  {256, 1},  {511, 1},  {512, 2},  {767, 2},  {1023, 2},
                  {1067, 1}, {1536, 2}, {4095, 2}, {4327, 1}, {5632, 2}, {6144, 1}, {6547, 1}};
    static const uint64_t absent[] = {0,    120,  159,  160,  255, STAGE_IMAGE_FIRST,
                                      1108, 4328, 4338, 4348, 6548};
    struct ps_translation found;

    for (size_t i = 0; i < PS_ARRAY_SIZE(places); i++) {
        EXPECT(stage_finds(f, DIRECT(places[i].frame), &found));
        EXPECT_EQ(found.frame.number, places[i].frame);
        EXPECT_EQ(found.leaf, places[i].leaf);
        EXPECT_EQ(found.attr.access, PS_READ | PS_WRITE | PS_GLOBAL);
        EXPECT_EQ(found.attr.cache, PS_CACHE_WRITE_BACK);
    }
    for (size_t i = 0; i < PS_ARRAY_SIZE(absent); i++)
        EXPECT(!stage_finds(f, DIRECT(absent[i]), &found));
}

/* 3 GiB and a bit, so that the second and the third GiB are whole. */
static const struct map_entry big_entries[] = {
    RAM_ENTRY(UEFI_CONVENTIONAL, 0, 160),
    RAM_ENTRY(UEFI_CONVENTIONAL, 256, 0x70000),
    RAM_ENTRY(UEFI_LOADER_DATA, 0x70100, 0x10000),
    RAM_ENTRY(UEFI_CONVENTIONAL, 0x80100, 0x40000),
};

STAGE_CASE(gib_leaves_are_used_where_the_processor_has_them, STAGE_ENTRIES(big_entries))
{
    struct ps_page_table_counters counters = ps_page_table_counters(&f->stage->table);

    stage_expect_whole(test, f);
    EXPECT_EQ(counters.leaves[PS_LEAF_1G], 2);
    EXPECT_EQ(counters.leaves[PS_LEAF_2M], 511);
}

STAGE_CASE(without_gib_leaves_2_mib_is_the_largest, STAGE_ENTRIES(big_entries),
           .flags = SIM_NO_GIB_LEAVES)
{
    struct ps_page_table_counters counters = ps_page_table_counters(&f->stage->table);

    stage_expect_whole(test, f);
    EXPECT_EQ(counters.leaves[PS_LEAF_1G], 0);
    EXPECT_EQ(counters.leaves[PS_LEAF_2M], 511 + 1024);
}

STAGE_CASE(the_layout_is_the_same_with_five_levels, .flags = SIM_FIVE_LEVELS)
{
    EXPECT_EQ(f->stage->table.levels, 5);
    stage_expect_whole(test, f);
    stage_expect_reclaimed(test, f);
}

STAGE_CASE(the_layout_is_the_same_on_a_poor_processor,
           .flags = SIM_NO_EXECUTE_DISABLE | SIM_NO_GIB_LEAVES | SIM_NO_GLOBAL_LEAVES)
{
    stage_expect_whole(test, f);
}

STAGE_CASE(the_layout_names_every_mapped_range_once, .framebuffer = {0x80000000},
           .framebuffer_bytes = 8 * PS_MIB)
{
    struct stage_view view = stage_read(f);

    for (size_t i = 1; i < ps_stage_layout_count; i++)
        EXPECT(ps_stage_layout[i - 1].last.addr < ps_stage_layout[i].first.addr);
    for (size_t i = 0; i < view.count; i++) {
        const struct ps_mapped_range *range = &view.ranges[i];
        uint64_t last = ps_virt_last(range->va, range->pages).addr;
        unsigned names = 0;

        for (size_t n = 0; n < ps_stage_layout_count; n++)
            names += range->va.addr >= ps_stage_layout[n].first.addr &&
                     last <= ps_stage_layout[n].last.addr;
        EXPECT_EQ(names, 1);
    }
    free(view.ranges);
}

/* ---- onto the new root in the embedder's way ---- */

/* What an embedder finds who brings the processor from 4 levels to 5. */
struct entering {
    struct stage_fixture *f;
    unsigned calls;
    uint64_t root_before;
    struct ps_page_table_counters tables;
    ps_frame_t kept; /* a frame that it takes for the way */
    ps_status taken;
};

static ps_status enter_five_levels(void *context, struct ps_stage *stage)
{
    struct entering *entering = context;
    struct sim_machine *sim = entering->f->sim;

    entering->calls++;
    entering->root_before = ps_hw_root(&sim->machine).number;
    entering->tables = ps_page_table_counters(&stage->table);
    entering->taken =
        ps_frame_pool_alloc(&stage->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &entering->kept);
    sim->machine.levels = stage->machine.levels;
    ps_hw_set_root(&stage->machine, stage->table.root);
    return PS_OK;
}

STAGE_CASE(the_embedder_may_bring_the_processor_to_other_levels, .not_taken_over = true)
{
    struct entering entering = {.f = f};

    f->request.machine.levels = 5;
    f->request.enter_root = enter_five_levels;
    f->request.enter_context = &entering;
    REQUIRE_OK(stage_take_over(f));
    EXPECT_TEXT(f->stage->step, "done");
    EXPECT_EQ(entering.calls, 1);
    EXPECT_EQ(entering.root_before, STAGE_FIRMWARE_ROOT);
    EXPECT_EQ(entering.tables.tables, ps_page_table_counters(&f->stage->table).tables);
    EXPECT_EQ(f->stage->table.levels, 5);
    EXPECT_EQ(ps_hw_root(&f->sim->machine).number, f->stage->table.root.number);
    EXPECT_OK(entering.taken);
    EXPECT_OK(ps_frame_pool_free(&f->stage->pool, entering.kept, ps_pages(1)));
    stage_expect_whole(test, f);
}

/* ---- as the processor sees it ---- */

static uint64_t *word_of(struct stage_fixture *f, uint64_t frame)
{
    return ps_hw_frame(&f->sim->machine, ps_frame(frame));
}

static void expect_fault(struct test *test, struct outcome outcome, uint32_t error)
{
    EXPECT(outcome.faulted);
    EXPECT_EQ(outcome.vector, VECTOR_PAGE_FAULT);
    EXPECT_EQ(outcome.error, error);
}

STAGE_CASE(the_processor_runs_on_the_new_root)
{
    uint64_t direct = DIRECT(800);

    EXPECT_EQ(ps_hw_root(&f->sim->machine).number, f->stage->table.root.number);
    *word_of(f, 800) = WORLD_CODE(1);
    EXPECT_EQ(mmu_load(f->mmu, 0, ps_virt(direct)).value, WORLD_CODE(1));
    EXPECT(!mmu_store(f->mmu, 0, ps_virt(direct), WORLD_CODE(2)).faulted);
    EXPECT_EQ(*word_of(f, 800), WORLD_CODE(2));
    expect_fault(test, mmu_execute(f->mmu, 0, ps_virt(direct)), FAULT_PRESENT | FAULT_FETCH);
    /* What the firmware's identity mapping showed is gone. */
    expect_fault(test, mmu_load(f->mmu, 0, ps_virt(800 * PS_PAGE_SIZE)), 0);
    expect_fault(test, mmu_load(f->mmu, 0, ps_virt(0)), 0);
    expect_fault(test, mmu_load(f->mmu, 0, ps_virt(PS_STAGE_DIRECT_MAP)), 0);
}

STAGE_CASE(the_image_runs_where_it_is_and_cannot_be_written)
{
    ps_virt_t code = ps_virt(STAGE_IMAGE_CODE * PS_PAGE_SIZE);
    ps_virt_t data = ps_virt(STAGE_IMAGE_DATA * PS_PAGE_SIZE);

    *word_of(f, STAGE_IMAGE_CODE) = WORLD_CODE(7);
    *word_of(f, STAGE_IMAGE_DATA) = WORLD_CODE(8);
    EXPECT_EQ(mmu_execute(f->mmu, 0, code).value, 7);
    expect_fault(test, mmu_store(f->mmu, 0, code, 0), FAULT_PRESENT | FAULT_WRITE);
    expect_fault(test, mmu_execute(f->mmu, 0, data), FAULT_PRESENT | FAULT_FETCH);
    EXPECT(!mmu_store(f->mmu, 0, data, 9).faulted);
    EXPECT_EQ(*word_of(f, STAGE_IMAGE_DATA), 9);
    expect_fault(test, mmu_load(f->mmu, 0, ps_virt(DIRECT(STAGE_IMAGE_CODE))), 0);
}

STAGE_CASE(the_arena_works_at_once)
{
    struct ps_virtual_request request = {.pages = ps_pages(3)};
    ps_virt_t va = {0};

    EXPECT_EQ(f->stage->arena.config.base.addr, PS_STAGE_ARENA);
    EXPECT_EQ(f->stage->arena.config.pages.count, PS_STAGE_ARENA_PAGES);
    REQUIRE_OK(ps_virtual_alloc(&f->stage->arena, &request, &va));
    EXPECT_EQ(va.addr, PS_STAGE_ARENA + PS_PAGE_SIZE);
    EXPECT(!mmu_store(f->mmu, 0, va, 5).faulted);
    expect_fault(test, mmu_load(f->mmu, 0, ps_virt(PS_STAGE_ARENA)), 0);
    expect_fault(test, mmu_load(f->mmu, 0, ps_virt(va.addr + 3 * PS_PAGE_SIZE)), 0);
    EXPECT_OK(ps_stage_validate(f->stage, NULL));
    EXPECT_OK(ps_virtual_free(&f->stage->arena, va));
    stage_expect_mapped(test, f);
}

/* The window and the arena have nothing in them yet. */
STAGE_CASE(other_address_spaces_see_what_is_mapped_later)
{
    struct ps_virtual_request request = {.pages = ps_pages(1)};
    struct ps_page_table other = {0};
    ps_virt_t device = {0};
    ps_virt_t memory = {0};

    REQUIRE_OK(ps_page_table_create(&other, &f->stage->machine, &f->stage->pool));
    REQUIRE_OK(ps_page_table_share_upper(&other, &f->stage->table));
    mmu_set_root(f->mmu, 1, other.root);
    EXPECT_OK(ps_stage_map_device(f->stage, ps_phys(0xfee00000), 1, PS_CACHE_UNCACHED, &device));
    EXPECT_OK(ps_virtual_alloc(&f->stage->arena, &request, &memory));
    EXPECT_OK(ps_stage_reclaim_boot_services(f->stage));
    *word_of(f, 1108) = 11;
    EXPECT(!mmu_load(f->mmu, 1, device).faulted);
    EXPECT(!mmu_store(f->mmu, 1, memory, 5).faulted);
    EXPECT_EQ(mmu_load(f->mmu, 0, memory).value, 5);
    EXPECT_EQ(mmu_load(f->mmu, 1, ps_virt(DIRECT(1108))).value, 11);
    /* The image is the stage's own. */
    expect_fault(test, mmu_load(f->mmu, 1, ps_virt(STAGE_IMAGE_DATA * PS_PAGE_SIZE)), 0);
    mmu_set_root(f->mmu, 1, f->stage->table.root);
    EXPECT_OK(ps_page_table_destroy(&other));
    EXPECT_OK(ps_virtual_free(&f->stage->arena, memory));
}

/* Boot-services memory alone in its 512 GiB: nothing else makes their table exist. */
static const struct map_entry far_entries[] = {
    RAM_ENTRY(UEFI_CONVENTIONAL, 256, 400),
    RAM_ENTRY(UEFI_BOOT_DATA, 0x8000000, 4),
};

STAGE_CASE(other_address_spaces_see_memory_reclaimed_later, STAGE_ENTRIES(far_entries))
{
    struct ps_page_table other = {0};

    REQUIRE_OK(ps_page_table_create(&other, &f->stage->machine, &f->stage->pool));
    REQUIRE_OK(ps_page_table_share_upper(&other, &f->stage->table));
    mmu_set_root(f->mmu, 1, other.root);
    EXPECT_OK(ps_stage_reclaim_boot_services(f->stage));
    *word_of(f, 0x8000003) = 12;
    EXPECT_EQ(mmu_load(f->mmu, 1, ps_virt(DIRECT(0x8000003))).value, 12);
    mmu_set_root(f->mmu, 1, f->stage->table.root);
    EXPECT_OK(ps_page_table_destroy(&other));
}

/* ---- a framebuffer ---- */

STAGE_CASE(framebuffer_inside_ram_belongs_to_nobody_else, .framebuffer = {2000 * 4096 + 0x80},
           .framebuffer_bytes = 300 * 4096)
{
    struct ps_translation found;

    stage_expect_whole(test, f);
    EXPECT_EQ(f->devices[0].pages.count, 301);
    EXPECT_EQ(f->stage->framebuffer.addr, PS_STAGE_DEVICES + 0x80);
    EXPECT_EQ(f->stage->device_pages, 302);
    EXPECT_EQ(ps_memory_map_total(&f->stage->map, PS_MEMORY_FRAMEBUFFER).count, 301);
    EXPECT(!stage_finds(f, DIRECT(2000), &found));
    EXPECT(!stage_finds(f, DIRECT(2300), &found));
    EXPECT(stage_finds(f, PS_STAGE_DEVICES, &found));
    EXPECT_EQ(found.attr.cache, PS_CACHE_WRITE_COMBINING);
    EXPECT(!stage_finds(f, PS_STAGE_DEVICES + 301 * PS_PAGE_SIZE, &found));
}

/* It begins in reclaimable memory and ends in RAM. */
STAGE_CASE(framebuffer_over_boot_services_is_not_reclaimed, .framebuffer = {5500 * 4096},
           .framebuffer_bytes = 100 * 4096)
{
    stage_expect_whole(test, f);
    stage_expect_reclaimed(test, f);
}

STAGE_CASE(framebuffer_above_4_gib_is_mapped_with_large_leaves, .framebuffer = {0x180000000},
           .framebuffer_bytes = 8 * PS_MIB)
{
    struct ps_translation found;

    stage_expect_whole(test, f);
    EXPECT_EQ(f->stage->framebuffer.addr, PS_STAGE_DEVICES);
    EXPECT(stage_finds(f, PS_STAGE_DEVICES + 8 * PS_MIB - 1, &found));
    EXPECT_EQ(found.leaf, PS_LEAF_2M);
    EXPECT_EQ(found.frame.number, 0x1807ff);
}

STAGE_CASE(framebuffer_of_one_byte_is_one_page, .framebuffer = {0xfd000fff}, .framebuffer_bytes = 1)
{
    stage_expect_whole(test, f);
    EXPECT_EQ(f->stage->framebuffer.addr, PS_STAGE_DEVICES + 0xfff);
    EXPECT_EQ(f->stage->device_pages, 2);
}

STAGE_CASE(without_a_framebuffer_its_address_does_not_matter, .framebuffer = {UINT64_MAX})
{
    stage_expect_whole(test, f);
    EXPECT_EQ(f->stage->framebuffer.addr, 0);
}

/* ---- devices ---- */

STAGE_CASE(devices_follow_each_other_with_a_guard_page_between)
{
    ps_virt_t va = {0};

    EXPECT_OK(ps_stage_map_device(f->stage, ps_phys(0xfee00000), 1, PS_CACHE_UNCACHED, &va));
    EXPECT_EQ(va.addr, PS_STAGE_DEVICES);
    EXPECT_OK(
        ps_stage_map_device(f->stage, ps_phys(0xfed00123), 0xedd, PS_CACHE_WRITE_THROUGH, &va));
    EXPECT_EQ(va.addr, PS_STAGE_DEVICES + 0x2123);
    EXPECT_OK(ps_stage_map_device(f->stage, ps_phys(0xe0000ffe), 3, PS_CACHE_UNCACHED, &va));
    EXPECT_EQ(va.addr, PS_STAGE_DEVICES + 0x4ffe);
    EXPECT_EQ(f->stage->device_pages, 7);
    stage_expect_device(f, 0xfee00, 1, PS_CACHE_UNCACHED);
    stage_expect_device(f, 0xfed00, 1, PS_CACHE_WRITE_THROUGH);
    stage_expect_device(f, 0xe0000, 2, PS_CACHE_UNCACHED);
    stage_expect_whole(test, f);
}

STAGE_CASE(the_last_physical_byte_can_be_mapped)
{
    uint64_t end = (uint64_t)1 << 46; /* physical_bits of the simulated machine */
    ps_virt_t va = {1};

    EXPECT_STATUS(ps_stage_map_device(f->stage, ps_phys(end - 4096), 4097, PS_CACHE_UNCACHED, &va),
                  PS_INVALID_ARGS);
    EXPECT_EQ(va.addr, 1);
    EXPECT_OK(ps_stage_map_device(f->stage, ps_phys(end - 4096), 4096, PS_CACHE_UNCACHED, &va));
    stage_expect_device(f, (end >> 12) - 1, 1, PS_CACHE_UNCACHED);
    stage_expect_mapped(test, f);
}

static void expect_no_device(struct test *test, struct stage_fixture *f, uint64_t pa,
                             uint64_t bytes, ps_status wanted)
{
    ps_virt_t va = {1};

    if (!EXPECT_STATUS(ps_stage_map_device(f->stage, ps_phys(pa), bytes, PS_CACHE_UNCACHED, &va),
                       wanted))
        test_note(test, "0x%" PS_PRIx " bytes at 0x%" PS_PRIx, bytes, pa);
    EXPECT_EQ(va.addr, 1);
}

STAGE_CASE(device_with_bad_arguments_is_refused)
{
    ps_phys_t pa = ps_phys(0xfee00000);
    ps_virt_t va;

    expect_no_device(test, f, 0xfee00000, 0, PS_INVALID_ARGS);
    expect_no_device(test, f, 0xfee00000, UINT64_MAX, PS_INVALID_ARGS);
    expect_no_device(test, f, 1, UINT64_MAX, PS_INVALID_ARGS);
    expect_no_device(test, f, UINT64_MAX, 1, PS_INVALID_ARGS);
    expect_no_device(test, f, UINT64_MAX, 2, PS_INVALID_ARGS);
    expect_no_device(test, f, UINT64_MAX - 5, 3, PS_INVALID_ARGS);
    expect_no_device(test, f, UINT64_MAX - 4096, UINT64_MAX, PS_INVALID_ARGS);
    expect_no_device(test, f, (uint64_t)1 << 46, 1, PS_INVALID_ARGS);
    EXPECT_STATUS(ps_stage_map_device(f->stage, pa, 1, PS_CACHE_COUNT, &va), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_stage_map_device(f->stage, pa, 1, (enum ps_cache)256, &va), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_stage_map_device(f->stage, pa, 1, PS_CACHE_UNCACHED, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_stage_map_device(NULL, pa, 1, PS_CACHE_UNCACHED, &va), PS_INVALID_ARGS);
    EXPECT_EQ(f->stage->device_pages, 0);
    stage_expect_whole(test, f);
}

STAGE_CASE(device_that_touches_ram_is_refused)
{
    const uint64_t page = PS_PAGE_SIZE;

    expect_no_device(test, f, 256 * page, 1, PS_ACCESS_DENIED);     /* usable */
    expect_no_device(test, f, page, 1, PS_ACCESS_DENIED);           /* low */
    expect_no_device(test, f, 130 * page, 1, PS_ACCESS_DENIED);     /* boot services */
    expect_no_device(test, f, 900 * page, 1, PS_ACCESS_DENIED);     /* loader */
    expect_no_device(test, f, 1090 * page, page, PS_ACCESS_DENIED); /* image */
    expect_no_device(test, f, 4320 * page, page, PS_ACCESS_DENIED); /* ACPI tables */
    expect_no_device(test, f, 255 * page, page + 1, PS_ACCESS_DENIED);
    expect_no_device(test, f, 255 * page, 4000 * page, PS_ACCESS_DENIED);
    expect_no_device(test, f, 6547 * page + 4095, 2, PS_ACCESS_DENIED);
    expect_no_device(test, f, 4337 * page, (4348 - 4337) * page + 1, PS_ACCESS_DENIED);
    EXPECT_EQ(f->stage->device_pages, 0);
    /* Between RAM, up to its last and first byte. */
    EXPECT_OK(ps_stage_map_device(f->stage, ps_phys(160 * page), 96 * page, PS_CACHE_UNCACHED,
                                  &(ps_virt_t){0}));
    stage_expect_device(f, 160, 96, PS_CACHE_UNCACHED);
    stage_expect_whole(test, f);
}

/* 512 GiB: a quarter, then all that is left but the guard page. */
STAGE_CASE(device_window_is_used_to_its_last_page_and_then_full)
{
    const uint64_t window = 512 * PS_GIB;
    uint64_t pa = 2 * PS_TIB + PS_PAGE_SIZE;
    uint64_t rest = window - 128 * PS_GIB - 2 * PS_PAGE_SIZE;
    ps_virt_t va = {0};

    expect_no_device(test, f, PS_TIB, window, PS_NO_SPACE);
    EXPECT_OK(ps_stage_map_device(f->stage, ps_phys(PS_TIB), 128 * PS_GIB, PS_CACHE_UNCACHED, &va));
    expect_no_device(test, f, pa, rest + 1, PS_NO_SPACE);
    EXPECT_OK(ps_stage_map_device(f->stage, ps_phys(pa), rest, PS_CACHE_UNCACHED, &va));
    EXPECT_EQ(va.addr, PS_STAGE_DEVICES + 128 * PS_GIB + PS_PAGE_SIZE);
    EXPECT_EQ(f->stage->device_pages, window / PS_PAGE_SIZE);
    expect_no_device(test, f, 0xfee00000, 1, PS_NO_SPACE);
    /* What is wrong anyway is told even then. */
    expect_no_device(test, f, 0xfee00000, 0, PS_INVALID_ARGS);
    expect_no_device(test, f, 256 * PS_PAGE_SIZE, 1, PS_ACCESS_DENIED);
    EXPECT_STATUS(ps_stage_map_device(f->stage, ps_phys(0xfee00000), 1, PS_CACHE_COUNT, &va),
                  PS_INVALID_ARGS);
    stage_expect_device(f, PS_TIB >> 12, 128 * PS_GIB >> 12, PS_CACHE_UNCACHED);
    stage_expect_device(f, pa >> 12, rest >> 12, PS_CACHE_UNCACHED);
    stage_expect_whole(test, f);
}

STAGE_CASE(device_without_frames_for_tables_changes_nothing)
{
    ps_virt_t va = {0};
    uint64_t failures = 0;

    for (;; failures++) {
        ps_frame_pool_fail_after(&f->stage->pool, failures, true);
        if (ps_stage_map_device(f->stage, ps_phys(0xfee00000), 1, PS_CACHE_UNCACHED, &va) == PS_OK)
            break;
        ps_frame_pool_fail_after(&f->stage->pool, UINT64_MAX, false);
        REQUIRE(failures < 4);
        EXPECT_EQ(f->stage->device_pages, 0);
        stage_expect_whole(test, f);
        ps_frame_pool_fail_after(&f->stage->pool, failures, true);
        expect_no_device(test, f, 0xfee00000, 1, PS_NO_MEMORY);
    }
    ps_frame_pool_fail_after(&f->stage->pool, UINT64_MAX, false);
    EXPECT(failures != 0);
    EXPECT_EQ(va.addr, PS_STAGE_DEVICES);
    stage_expect_device(f, 0xfee00, 1, PS_CACHE_UNCACHED);
    stage_expect_whole(test, f);
}

/* ---- boot-services memory ---- */

STAGE_CASE(boot_services_memory_joins_direct_map_and_pool)
{
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;

    ps_frame_pool_snapshot(&f->stage->pool, &before);
    EXPECT_OK(ps_stage_reclaim_boot_services(f->stage));
    ps_frame_pool_snapshot(&f->stage->pool, &after);
    EXPECT_EQ(after.managed, before.managed + 39 + 200 + 1200);
    EXPECT_EQ(after.free_in[PS_FRAME_ZONE_LOW], before.free_in[PS_FRAME_ZONE_LOW] + 39);
    EXPECT_EQ(ps_memory_map_total(&f->stage->map, PS_MEMORY_BOOT_SERVICES).count, 0);
    EXPECT_EQ(ps_memory_map_total(&f->stage->map, PS_MEMORY_LOW).count, 119 + 39);
    f->reclaimed = true;
    stage_expect_whole(test, f);
}

STAGE_CASE(reclaiming_twice_changes_nothing)
{
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;
    uint64_t rounds;

    EXPECT_OK(ps_stage_reclaim_boot_services(f->stage));
    ps_frame_pool_snapshot(&f->stage->pool, &before);
    rounds = f->sim->invalidations;
    EXPECT_OK(ps_stage_reclaim_boot_services(f->stage));
    ps_frame_pool_snapshot(&f->stage->pool, &after);
    EXPECT(memcmp(&before, &after, sizeof(before)) == 0);
    EXPECT_EQ(f->sim->invalidations, rounds);
    f->reclaimed = true;
    stage_expect_whole(test, f);
}

static const struct map_entry no_boot_services[] = {
    RAM_ENTRY(UEFI_CONVENTIONAL, 256, 300),
};

STAGE_CASE(reclaiming_nothing_is_ok, STAGE_ENTRIES(no_boot_services))
{
    stage_expect_reclaimed(test, f);
}

/* ---- validation ---- */

/* The sum of a layer's counter is one too high: the layer's name begins the one line. */
static void expect_damage_seen(struct test *test, struct stage_fixture *f, uint64_t *number,
                               uint64_t damaged, const char *layer)
{
    char text[160];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    uint64_t healthy = *number;

    *number = damaged;
    EXPECT_STATUS(ps_stage_validate(f->stage, &sink), PS_CORRUPT);
    *number = healthy;
    EXPECT(buffer.length != 0 && strchr(text, '\n') == text + buffer.length - 1);
    text[ps_min(strlen(layer), sizeof(text) - 1)] = '\0';
    EXPECT_TEXT(text, layer);
    EXPECT_OK(ps_stage_validate(f->stage, NULL));
}

STAGE_CASE(validate_sees_damage_in_every_layer)
{
    struct ps_stage *stage = f->stage;
    uint64_t *root = ps_hw_frame(&f->sim->machine, stage->table.root);

    expect_damage_seen(test, f, &stage->map.ranges[2].pages.count, 0, "memory map:");
    expect_damage_seen(test, f, &stage->pool.totals.managed, stage->pool.totals.managed + 1,
                       "frame pool:");
    expect_damage_seen(test, f, &stage->table.counters.tables, 1, "page table:");
    expect_damage_seen(test, f, &root[3], (uint64_t)1 << 20, "page table:");
    expect_damage_seen(test, f, &stage->arena.counters.live, 1, "virtual allocator:");
}

/* ---- before ---- */

STAGE_CASE(calls_before_the_take_over_are_refused, .not_taken_over = true)
{
    ps_virt_t va;

    EXPECT_STATUS(ps_stage_map_device(f->stage, ps_phys(0xfee00000), 1, PS_CACHE_UNCACHED, &va),
                  PS_BAD_STATE);
    EXPECT_STATUS(ps_stage_reclaim_boot_services(f->stage), PS_BAD_STATE);
    EXPECT_STATUS(ps_stage_reclaim_boot_services(NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_stage_validate(f->stage, NULL), PS_BAD_STATE);
    EXPECT_STATUS(ps_stage_validate(NULL, NULL), PS_INVALID_ARGS);
}

STAGE_CASE(a_stage_takes_over_once)
{
    struct ps_stage *before = malloc(sizeof(*before));

    REQUIRE(before != NULL);
    *before = *f->stage;
    EXPECT_STATUS(ps_stage_take_over(f->stage, &f->request), PS_BAD_STATE);
    EXPECT(memcmp(before, f->stage, sizeof(*before)) == 0);
    free(before);
    stage_expect_whole(test, f);
}

static const struct test_case cases[] = {
    TEST_CASE(ram_and_image_are_mapped_and_nothing_else),
    TEST_CASE(leaves_are_small_below_2_mib_and_large_above),
    TEST_CASE(gib_leaves_are_used_where_the_processor_has_them),
    TEST_CASE(without_gib_leaves_2_mib_is_the_largest),
    TEST_CASE(the_layout_is_the_same_with_five_levels),
    TEST_CASE(the_layout_is_the_same_on_a_poor_processor),
    TEST_CASE(the_layout_names_every_mapped_range_once),
    TEST_CASE(the_embedder_may_bring_the_processor_to_other_levels),
    TEST_CASE(the_processor_runs_on_the_new_root),
    TEST_CASE(the_image_runs_where_it_is_and_cannot_be_written),
    TEST_CASE(the_arena_works_at_once),
    TEST_CASE(other_address_spaces_see_what_is_mapped_later),
    TEST_CASE(other_address_spaces_see_memory_reclaimed_later),
    TEST_CASE(framebuffer_inside_ram_belongs_to_nobody_else),
    TEST_CASE(framebuffer_over_boot_services_is_not_reclaimed),
    TEST_CASE(framebuffer_above_4_gib_is_mapped_with_large_leaves),
    TEST_CASE(framebuffer_of_one_byte_is_one_page),
    TEST_CASE(without_a_framebuffer_its_address_does_not_matter),
    TEST_CASE(devices_follow_each_other_with_a_guard_page_between),
    TEST_CASE(the_last_physical_byte_can_be_mapped),
    TEST_CASE(device_with_bad_arguments_is_refused),
    TEST_CASE(device_that_touches_ram_is_refused),
    TEST_CASE(device_window_is_used_to_its_last_page_and_then_full),
    TEST_CASE(device_without_frames_for_tables_changes_nothing),
    TEST_CASE(boot_services_memory_joins_direct_map_and_pool),
    TEST_CASE(reclaiming_twice_changes_nothing),
    TEST_CASE(reclaiming_nothing_is_ok),
    TEST_CASE(validate_sees_damage_in_every_layer),
    TEST_CASE(calls_before_the_take_over_are_refused),
    TEST_CASE(a_stage_takes_over_once),
};

const struct test_suite suite_stage_unit = TEST_SUITE("stage", cases);
