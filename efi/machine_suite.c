#include "machine_suite.h"

#include "suite/world.h"

#include "hw.h"

static const struct machine_under_test *mut;

void machine_suite_init(const struct machine_under_test *machine)
{
    mut = machine;
}

const struct machine_under_test *machine_suite_subject(void)
{
    return mut;
}

/* ---- processor ---- */

static void write_protection_holds_in_supervisor_mode(struct test *test)
{
    EXPECT((cpu_read_cr0() >> 16 & 1) == 1);
}

static void no_execute_is_on_where_the_processor_has_it(struct test *test)
{
    EXPECT_EQ(cpu_read_msr(MSR_EFER) >> 11 & 1, mut->features->nx);
}

static void supervisor_protections_are_on_where_the_processor_has_them(struct test *test)
{
    uint64_t cr4 = cpu_read_cr4();

    EXPECT_EQ(cr4 >> 20 & 1, mut->features->smep);
    EXPECT_EQ(cr4 >> 21 & 1, mut->features->smap);
    EXPECT_EQ(cr4 >> 11 & 1, mut->features->umip);
    EXPECT_EQ(cr4 >> 7 & 1, mut->features->pge);
}

static void shadow_stacks_and_protection_keys_are_off(struct test *test)
{
    EXPECT_EQ(cpu_read_cr4() >> 22 & 7, 0);
}

static void page_attribute_table_is_ours(struct test *test)
{
    EXPECT_EQ(cpu_read_msr(MSR_PAT), PS_PAT_VALUE);
}

static void root_is_the_stages_own(struct test *test)
{
    EXPECT_EQ(ps_hw_root(&mut->stage->machine).number, mut->stage->table.root.number);
    EXPECT_EQ(cpu_read_cr4() >> 12 & 1, mut->stage->table.levels == 5);
}

static const struct test_case processor_cases[] = {
    TEST_CASE(write_protection_holds_in_supervisor_mode),
    TEST_CASE(no_execute_is_on_where_the_processor_has_it),
    TEST_CASE(supervisor_protections_are_on_where_the_processor_has_them),
    TEST_CASE(shadow_stacks_and_protection_keys_are_off),
    TEST_CASE(page_attribute_table_is_ours),
    TEST_CASE(root_is_the_stages_own),
};
const struct test_suite suite_processor = TEST_SUITE("processor", processor_cases);

/* ---- the stage's address space ---- */

static void every_layer_validates(struct test *test)
{
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(ps_stage_validate(mut->stage, &sink));
    if (buffer.length != 0)
        test_note(test, "%s", text);
}

struct sweep {
    struct test *test;
    const struct ps_stage *stage;
    uint64_t ranges;
};

static bool has_only_the_direct_maps_rights(void *context, const struct ps_mapped_range *range)
{
    struct sweep *sweep = context;
    struct test *test = sweep->test;

    if (range->va.addr < PS_STAGE_DIRECT_MAP || range->va.addr >= PS_STAGE_ARENA)
        return true;
    sweep->ranges++;
    EXPECT_EQ(range->va.addr, PS_STAGE_DIRECT_MAP + ps_phys_of_frame(range->frame).addr);
    EXPECT_EQ(range->attr.access, PS_READ | PS_WRITE | PS_GLOBAL);
    EXPECT_EQ(range->attr.cache, PS_CACHE_WRITE_BACK);
    if (!EXPECT(ps_memory_map_is_ram(&sweep->stage->map, range->frame, range->pages)))
        test_note(test, "frame 0x%" PS_PRIx ", %" PS_PRIu " pages", range->frame.number,
                  range->pages.count);
    return test->failures == 0;
}

static void direct_map_is_ram_only_and_never_executable(struct test *test)
{
    struct sweep sweep = {test, mut->stage, 0};

    ps_page_table_for_each(&mut->stage->table, has_only_the_direct_maps_rights, &sweep);
    EXPECT(sweep.ranges != 0);
}

static bool is_not_writable_and_executable(void *context, const struct ps_mapped_range *range)
{
    struct sweep *sweep = context;
    struct test *test = sweep->test;

    sweep->ranges++;
    EXPECT((range->attr.access & (PS_WRITE | PS_EXECUTE)) != (PS_WRITE | PS_EXECUTE));
    return test->failures == 0;
}

static void nothing_is_writable_and_executable(struct test *test)
{
    struct sweep sweep = {test, mut->stage, 0};

    ps_page_table_for_each(&mut->stage->table, is_not_writable_and_executable, &sweep);
    EXPECT(sweep.ranges > mut->image->section_count);
}

/* Such as the way to other levels: all tables hang on one of two roots, and nothing else is held.
 */
static void nothing_is_left_of_the_way_here(struct test *test)
{
    struct ps_frame_pool_snapshot frames;

    ps_frame_pool_snapshot(&mut->stage->pool, &frames);
    EXPECT_EQ(frames.by_tag[PS_FRAME_TABLE],
              ps_page_table_counters(&mut->stage->table).tables +
                  ps_page_table_counters(&mut->runtime->table).tables);
    EXPECT_EQ(frames.by_tag[PS_FRAME_USER], 0);
}

static void image_is_mapped_by_section(struct test *test)
{
    for (size_t i = 0; i < mut->image->section_count; i++) {
        const struct ps_stage_section *section = &mut->image->sections[i];

        for (uint64_t page = 0; page < section->pages.count; page++) {
            struct ps_translation found;
            ps_frame_t frame = ps_frame_add(section->first, page);

            REQUIRE_OK(ps_page_table_query(&mut->stage->table,
                                           ps_virt(ps_phys_of_frame(frame).addr), &found));
            EXPECT_EQ(found.frame.number, frame.number);
            EXPECT_EQ(found.attr.access, section->access);
        }
    }
}

static void image_has_no_second_mapping(struct test *test)
{
    struct ps_translation found;

    for (size_t i = 0; i < mut->image->section_count; i++) {
        ps_phys_t pa = ps_phys_of_frame(mut->image->sections[i].first);

        EXPECT_STATUS(
            ps_page_table_query(&mut->stage->table, ps_virt(PS_STAGE_DIRECT_MAP + pa.addr), &found),
            PS_NOT_FOUND);
    }
}

static void firmware_pages_are_absent(struct test *test)
{
    const struct ps_memory_map *map = &mut->stage->map;
    struct ps_translation found;
    uint64_t looked_at = 0;

    for (size_t i = 0; i < map->count; i++) {
        ps_phys_t pa = ps_phys_of_frame(map->ranges[i].first);

        if (map->ranges[i].type != PS_MEMORY_RUNTIME_CODE &&
            map->ranges[i].type != PS_MEMORY_RUNTIME_DATA)
            continue;
        looked_at++;
        EXPECT_STATUS(ps_page_table_query(&mut->stage->table, ps_virt(pa.addr), &found),
                      PS_NOT_FOUND);
        EXPECT_STATUS(
            ps_page_table_query(&mut->stage->table, ps_virt(PS_STAGE_DIRECT_MAP + pa.addr), &found),
            PS_NOT_FOUND);
    }
    if (looked_at == 0)
        SKIP("this firmware lists no runtime memory");
}

static void first_2_mib_are_mapped_by_small_leaves(struct test *test)
{
    struct ps_translation found;
    uint64_t mapped = 0;

    for (uint64_t frame = 0; frame < 512; frame++) {
        if (ps_page_table_query(&mut->stage->table,
                                ps_virt(PS_STAGE_DIRECT_MAP + frame * PS_PAGE_SIZE),
                                &found) != PS_OK)
            continue;
        mapped++;
        EXPECT_EQ(found.leaf, PS_LEAF_4K);
    }
    EXPECT(mapped != 0);
}

static void page_zero_is_absent_everywhere(struct test *test)
{
    struct ps_translation found;

    EXPECT_STATUS(ps_page_table_query(&mut->stage->table, ps_virt(0), &found), PS_NOT_FOUND);
    EXPECT_STATUS(ps_page_table_query(&mut->stage->table, ps_virt(PS_STAGE_DIRECT_MAP), &found),
                  PS_NOT_FOUND);
}

static void framebuffer_is_write_combining(struct test *test)
{
    struct ps_translation found;
    ps_status status;

    if (mut->stage->framebuffer.addr == 0)
        SKIP("no framebuffer in memory");
    REQUIRE_OK(ps_page_table_query(&mut->stage->table, mut->stage->framebuffer, &found));
    EXPECT_EQ(found.attr.cache, PS_CACHE_WRITE_COMBINING);
    EXPECT_EQ(found.attr.access, PS_READ | PS_WRITE | PS_GLOBAL);
    status = ps_page_table_map_run(&mut->stage->table, test->world->scratch, found.frame,
                                   ps_pages(1), ps_attr_ram(PS_READ), 0);
    EXPECT_STATUS(status, PS_ACCESS_DENIED);
}

static void stack_has_guard_pages(struct test *test)
{
    struct ps_translation found;
    uint64_t here = (uint64_t)(uintptr_t)&found;

    EXPECT(here >= mut->stack.addr && here < ps_virt_add_pages(mut->stack, mut->stack_pages).addr);
    EXPECT_STATUS(
        ps_page_table_query(&mut->stage->table, ps_virt(mut->stack.addr - PS_PAGE_SIZE), &found),
        PS_NOT_FOUND);
    EXPECT_STATUS(ps_page_table_query(&mut->stage->table,
                                      ps_virt_add_pages(mut->stack, mut->stack_pages), &found),
                  PS_NOT_FOUND);
}

/* The validator must see damage, or its silence means nothing. */
static void a_damaged_leaf_is_reported(struct test *test)
{
    enum { MEANT_TO_BE_EXECUTABLE = 1 << 10 };
    uint64_t *entry;
    uint64_t good;
    ps_frame_t frame = mut->stage->table.root;
    ps_virt_t va = mut->stack;
    ps_status status;

    for (unsigned level = mut->stage->table.levels; level > 1; level--) {
        entry = ps_hw_frame(&mut->stage->machine, frame);
        frame = ps_frame(entry[va.addr >> (3 + 9 * level) & 511] >> 12 & 0xffffffffff);
    }
    entry = (uint64_t *)ps_hw_frame(&mut->stage->machine, frame) + (va.addr >> 12 & 511);
    /* The software bit of an executable page, on one that is writable. */
    good = *entry;
    *entry = good | MEANT_TO_BE_EXECUTABLE;
    status = ps_page_table_validate(&mut->stage->table, NULL);
    *entry = good;
    EXPECT_STATUS(status, PS_CORRUPT);
    EXPECT_OK(ps_page_table_validate(&mut->stage->table, NULL));
}

static const struct test_case stage_cases[] = {
    TEST_CASE(every_layer_validates),
    TEST_CASE(direct_map_is_ram_only_and_never_executable),
    TEST_CASE(nothing_is_writable_and_executable),
    TEST_CASE(nothing_is_left_of_the_way_here),
    TEST_CASE(image_is_mapped_by_section),
    TEST_CASE(image_has_no_second_mapping),
    TEST_CASE(firmware_pages_are_absent),
    TEST_CASE(first_2_mib_are_mapped_by_small_leaves),
    TEST_CASE(page_zero_is_absent_everywhere),
    TEST_CASE(framebuffer_is_write_combining),
    TEST_CASE(stack_has_guard_pages),
    TEST_CASE(a_damaged_leaf_is_reported),
};
const struct test_suite suite_stage = TEST_SUITE("stage", stage_cases);

/* ---- the last step: memory that the firmware may still believe in ---- */

static void boot_services_memory_joins_the_pool(struct test *test)
{
    struct ps_stage *stage = mut->stage;
    uint64_t reclaimable = ps_memory_map_total(&stage->map, PS_MEMORY_BOOT_SERVICES).count;
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;

    if (reclaimable == 0)
        SKIP("this firmware lists no boot-services memory");
    ps_frame_pool_snapshot(&stage->pool, &before);
    REQUIRE_OK(ps_stage_reclaim_boot_services(stage));
    ps_frame_pool_snapshot(&stage->pool, &after);
    EXPECT_EQ(after.managed, before.managed + reclaimable);
    EXPECT_EQ(ps_memory_map_total(&stage->map, PS_MEMORY_BOOT_SERVICES).count, 0);
    /* What is not free now keeps books or tables for what is. */
    EXPECT_EQ(after.managed - after.free, after.metadata + ps_frame_pool_in_use(&stage->pool));
    every_layer_validates(test);
    direct_map_is_ram_only_and_never_executable(test);
}

static void reclaiming_again_changes_nothing(struct test *test)
{
    struct ps_stage *stage = mut->stage;
    struct ps_frame_pool_snapshot before;
    struct ps_frame_pool_snapshot after;

    ps_frame_pool_snapshot(&stage->pool, &before);
    EXPECT_OK(ps_stage_reclaim_boot_services(stage));
    ps_frame_pool_snapshot(&stage->pool, &after);
    EXPECT_EQ(after.managed, before.managed);
    EXPECT_EQ(after.free, before.free);
}

static const struct test_case reclaim_cases[] = {
    TEST_CASE(boot_services_memory_joins_the_pool),
    TEST_CASE(reclaiming_again_changes_nothing),
};
const struct test_suite suite_reclaim = TEST_SUITE("reclaim", reclaim_cases);
