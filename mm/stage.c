#include <pagestage/stage.h>

#include "hw.h"

enum { FIRST_LARGE_FRAME = 512 }; /* 2 MiB: below, fixed-range MTRRs change every few KiB */

#define DEVICE_WINDOW_PAGES (PS_TIB / 2 / PS_PAGE_SIZE)

const struct ps_range_name ps_stage_layout[] = {
    {{PS_PAGE_SIZE}, {0x00007fffffffffff}, "image"},
    {{PS_STAGE_DIRECT_MAP}, {PS_STAGE_ARENA - 1}, "direct map"},
    {{PS_STAGE_ARENA}, {PS_STAGE_DEVICES - 1}, "arena"},
    {{PS_STAGE_DEVICES}, {PS_STAGE_DEVICES + PS_TIB / 2 - 1}, "devices"},
};
const size_t ps_stage_layout_count = PS_ARRAY_SIZE(ps_stage_layout);

static bool in_direct_map(enum ps_memory_type type)
{
    return type == PS_MEMORY_USABLE || type == PS_MEMORY_LOW || type == PS_MEMORY_LOADER ||
           type == PS_MEMORY_ACPI_RECLAIM;
}

/* ---- the memory map, with what we know better than the firmware ---- */

static ps_pages_t framebuffer_pages(const struct ps_stage_request *request)
{
    return ps_pages_of_bytes((request->framebuffer.addr & PS_PAGE_MASK) +
                             request->framebuffer_bytes);
}

/* A framebuffer is typed only where the firmware listed its memory, as RAM or otherwise. */
static ps_status type_framebuffer(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_frame_t first = ps_frame_of_phys(request->framebuffer);

    if (request->framebuffer_bytes == 0)
        return PS_OK;
    return ps_memory_map_set(&stage->map, first, framebuffer_pages(request), PS_MEMORY_FRAMEBUFFER);
}

static ps_status build_map(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status =
        ps_memory_map_from_uefi(&stage->map, request->uefi_map, request->uefi_map_size,
                                request->uefi_map_stride, request->ranges, request->range_capacity);

    for (size_t i = 0; status == PS_OK && i < request->section_count; i++)
        status = ps_memory_map_set(&stage->map, request->sections[i].first,
                                   request->sections[i].pages, PS_MEMORY_IMAGE);
    return status == PS_OK ? type_framebuffer(stage, request) : status;
}

/* ---- the address space ---- */

/* A piece that is there already was mapped by a reclaim that ran out of frames later. */
static ps_status map_piece(struct ps_stage *stage, ps_frame_t first, ps_pages_t pages,
                           unsigned flags)
{
    ps_virt_t va = ps_virt(PS_STAGE_DIRECT_MAP + ps_phys_of_frame(first).addr);
    ps_status status = ps_page_table_map_run(&stage->table, va, first, pages,
                                             ps_attr_ram(PS_READ | PS_WRITE | PS_GLOBAL), flags);

    return status == PS_ALREADY_EXISTS ? PS_OK : status;
}

/* Small leaves up to 2 MiB, the largest that fit above. */
static ps_status map_directly(struct ps_stage *stage, const struct ps_memory_range *range)
{
    uint64_t first = range->first.number;
    uint64_t small =
        first >= FIRST_LARGE_FRAME ? 0 : ps_min(range->pages.count, FIRST_LARGE_FRAME - first);
    ps_status status =
        map_piece(stage, range->first, ps_pages(small), PS_MAP_PERMANENT | PS_MAP_SMALL);

    if (status != PS_OK)
        return status;
    return map_piece(stage, ps_frame(first + small), ps_pages(range->pages.count - small),
                     PS_MAP_PERMANENT);
}

static ps_status map_all_ram(struct ps_stage *stage)
{
    ps_status status = PS_OK;

    for (size_t i = 0; status == PS_OK && i < stage->map.count; i++)
        if (in_direct_map(stage->map.ranges[i].type))
            status = map_directly(stage, &stage->map.ranges[i]);
    return status;
}

static ps_status map_image(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status = PS_OK;

    for (size_t i = 0; status == PS_OK && i < request->section_count; i++) {
        const struct ps_stage_section *section = &request->sections[i];

        status = ps_page_table_map_run(
            &stage->table, ps_virt(ps_phys_of_frame(section->first).addr), section->first,
            section->pages, ps_attr_ram(section->access), PS_MAP_SMALL);
    }
    return status;
}

/* Tables of the second level exist for good, so that other address spaces can share them. */
static ps_status anchor_windows(struct ps_stage *stage)
{
    ps_status status = ps_page_table_anchor(&stage->table, ps_virt(PS_STAGE_ARENA),
                                            ps_pages(PS_STAGE_ARENA_PAGES));

    if (status == PS_OK)
        status = ps_page_table_anchor(&stage->table, ps_virt(PS_STAGE_DEVICES),
                                      ps_pages(DEVICE_WINDOW_PAGES));
    for (size_t i = 0; status == PS_OK && i < stage->map.count; i++) {
        const struct ps_memory_range *range = &stage->map.ranges[i];

        if (in_direct_map(range->type) || range->type == PS_MEMORY_BOOT_SERVICES)
            status = ps_page_table_anchor(
                &stage->table, ps_virt(PS_STAGE_DIRECT_MAP + ps_phys_of_frame(range->first).addr),
                range->pages);
    }
    return status;
}

static bool device_is_free_of_ram(const struct ps_stage *stage, ps_frame_t first, ps_pages_t pages)
{
    for (size_t i = 0; i < stage->map.count; i++) {
        const struct ps_memory_range *range = &stage->map.ranges[i];

        if (ps_memory_type_is_ram(range->type) &&
            range->first.number <= first.number + (pages.count - 1) &&
            first.number <= ps_memory_range_last(range).number)
            return false;
    }
    return true;
}

ps_status ps_stage_map_device(struct ps_stage *stage, ps_phys_t pa, uint64_t bytes,
                              enum ps_cache cache, ps_virt_t *va)
{
    ps_frame_t first = ps_frame_of_phys(pa);
    uint64_t offset = pa.addr & PS_PAGE_MASK;
    ps_virt_t at = ps_virt(PS_STAGE_DEVICES + stage->device_pages * PS_PAGE_SIZE);
    ps_pages_t pages;
    ps_status status;

    if (va == NULL || bytes == 0 || bytes - 1 > UINT64_MAX - pa.addr - PS_PAGE_SIZE)
        return PS_INVALID_ARGS;
    pages = ps_pages_of_bytes(offset + bytes);
    if (pages.count >= DEVICE_WINDOW_PAGES - stage->device_pages)
        return PS_NO_SPACE;
    if (!device_is_free_of_ram(stage, first, pages))
        return PS_ACCESS_DENIED;
    status =
        ps_page_table_map_run(&stage->table, at, first, pages,
                              ps_attr(PS_READ | PS_WRITE | PS_GLOBAL, cache), PS_MAP_PERMANENT);
    if (status != PS_OK)
        return status;
    stage->device_pages += pages.count + 1;
    *va = ps_virt_add(at, offset);
    return PS_OK;
}

static ps_status build_space(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status = ps_page_table_create(&stage->table, &stage->machine, &stage->pool);

    if (status == PS_OK)
        status = anchor_windows(stage);
    if (status == PS_OK)
        status = map_all_ram(stage);
    if (status == PS_OK)
        status = map_image(stage, request);
    if (status == PS_OK && request->framebuffer_bytes != 0)
        status = ps_stage_map_device(stage, request->framebuffer, request->framebuffer_bytes,
                                     PS_CACHE_WRITE_COMBINING, &stage->framebuffer);
    return status;
}

void *ps_stage_pointer(const struct ps_stage *stage, const void *pointer)
{
    return ps_hw_moved(&stage->machine, pointer);
}

/* From here on physical memory is reached through the direct map. */
static void switch_over(struct ps_stage *stage)
{
    ps_hw_set_root(&stage->machine, stage->table.root);
    stage->machine.direct_map = ps_hw_direct_map(&stage->machine, PS_STAGE_DIRECT_MAP);
    stage->map.ranges = ps_stage_pointer(stage, stage->map.ranges);
}

ps_status ps_stage_take_over(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status;

    if (stage == NULL || request == NULL)
        return PS_INVALID_ARGS;
    stage->machine = request->machine;
    stage->step = "normalise the memory map";
    status = build_map(stage, request);
    if (status != PS_OK)
        return status;
    stage->step = "build the frame pool";
    status = ps_frame_pool_init(&stage->pool, &stage->machine, &stage->map);
    if (status != PS_OK)
        return status;
    stage->step = "build the page tables";
    status = build_space(stage, request);
    if (status != PS_OK)
        return status;
    switch_over(stage);
    stage->step = "build the virtual allocator";
    status = ps_virtual_init(&stage->arena, &stage->table, &stage->pool, ps_virt(PS_STAGE_ARENA),
                             ps_pages(PS_STAGE_ARENA_PAGES), ps_pages(1), PS_FRAME_VIRTUAL);
    if (status == PS_OK)
        stage->step = "done";
    return status;
}

/* ---- boot-services memory ---- */

static ps_status reclaim_range(struct ps_stage *stage, const struct ps_memory_range *range)
{
    ps_status status = map_directly(stage, range);

    if (status != PS_OK)
        return status;
    status = ps_frame_pool_add(&stage->pool, range->first, range->pages);
    return status == PS_ALREADY_EXISTS ? PS_OK : status;
}

ps_status ps_stage_reclaim_boot_services(struct ps_stage *stage)
{
    for (size_t i = 0; i < stage->map.count; i++) {
        ps_status status;

        if (stage->map.ranges[i].type != PS_MEMORY_BOOT_SERVICES)
            continue;
        status = reclaim_range(stage, &stage->map.ranges[i]);
        if (status != PS_OK)
            return status;
    }
    ps_memory_map_retype(&stage->map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE);
    return PS_OK;
}

ps_status ps_stage_validate(struct ps_stage *stage, const struct ps_sink *sink)
{
    ps_status status = ps_memory_map_validate(&stage->map, sink);

    if (status == PS_OK)
        status = ps_frame_pool_validate(&stage->pool, sink);
    if (status == PS_OK)
        status = ps_page_table_validate(&stage->table, sink);
    if (status == PS_OK)
        status = ps_virtual_validate(&stage->arena, sink);
    return status;
}
