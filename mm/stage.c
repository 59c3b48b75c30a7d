#include <pagestage/stage.h>

#include "entry.h"
#include "hw.h"

enum { FIRST_LARGE_FRAME = 512 }; /* 2 MiB: below, fixed-range MTRRs change every few KiB */

#define DEVICE_WINDOW_PAGES (PS_TIB / 2 / PS_PAGE_SIZE)
#define DIRECT_MAP_FRAMES   ((PS_STAGE_ARENA - PS_STAGE_DIRECT_MAP) / PS_PAGE_SIZE)

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

/* ---- the request ---- */

static bool overlap(ps_frame_t a, ps_pages_t a_pages, ps_frame_t b, ps_pages_t b_pages)
{
    return a.number <= b.number ? b.number - a.number < a_pages.count
                                : a.number - b.number < b_pages.count;
}

/* [pa, pa + bytes) holds a byte and ends where this processor's addresses end, or before. */
static bool is_addressable(const struct ps_machine *machine, ps_phys_t pa, uint64_t bytes)
{
    return bytes != 0 && bytes - 1 <= UINT64_MAX - pa.addr &&
           (pa.addr + (bytes - 1)) >> PS_PAGE_SHIFT <= ps_frame_largest(machine);
}

/* Whole pages around [pa, pa + bytes), which is addressable. */
static ps_pages_t pages_around(ps_phys_t pa, uint64_t bytes)
{
    return ps_pages(((pa.addr + (bytes - 1)) >> PS_PAGE_SHIFT) - ps_frame_of_phys(pa).number + 1);
}

static bool section_is_valid(const struct ps_stage_section *section)
{
    const unsigned known = PS_READ | PS_WRITE | PS_EXECUTE;

    return section->first.number != 0 && section->pages.count != 0 &&
           (section->access & ~known) == 0 && ps_attr_is_valid(ps_attr_ram(section->access));
}

/* No page is shared with another section, or with memory of another memory type. */
static bool section_stands_alone(const struct ps_stage_request *request, size_t number)
{
    const struct ps_stage_section *section = &request->sections[number];

    for (size_t i = 0; i < number; i++)
        if (overlap(section->first, section->pages, request->sections[i].first,
                    request->sections[i].pages))
            return false;
    return request->framebuffer_bytes == 0 ||
           !overlap(section->first, section->pages, ps_frame_of_phys(request->framebuffer),
                    pages_around(request->framebuffer, request->framebuffer_bytes));
}

static bool machine_is_valid(const struct ps_machine *machine)
{
    return machine->physical_bits >= 36 && machine->physical_bits <= 52 &&
           (machine->levels == 4 || machine->levels == 5);
}

static ps_status check_request(const struct ps_stage_request *request)
{
    if (!machine_is_valid(&request->machine))
        return PS_INVALID_ARGS;
    if (request->sections == NULL && request->section_count != 0)
        return PS_INVALID_ARGS;
    if (request->framebuffer_bytes != 0 &&
        !is_addressable(&request->machine, request->framebuffer, request->framebuffer_bytes))
        return PS_INVALID_ARGS;
    for (size_t i = 0; i < request->section_count; i++)
        if (!section_is_valid(&request->sections[i]) || !section_stands_alone(request, i))
            return PS_INVALID_ARGS;
    return PS_OK;
}

/* ---- the memory map, with what we know better than the firmware ---- */

/* Also where the firmware lists nothing. */
static ps_status type_framebuffer(struct ps_stage *stage, const struct ps_stage_request *request)
{
    if (request->framebuffer_bytes == 0)
        return PS_OK;
    return ps_memory_map_set(&stage->map, ps_frame_of_phys(request->framebuffer),
                             pages_around(request->framebuffer, request->framebuffer_bytes),
                             PS_MEMORY_FRAMEBUFFER);
}

/* RAM that cannot be there, or that the direct map cannot show, is found before it is used. */
static ps_status check_reach(const struct ps_stage *stage)
{
    for (size_t i = stage->map.count; i > 0; i--) {
        const struct ps_memory_range *range = &stage->map.ranges[i - 1];
        uint64_t last = ps_memory_range_last(range).number;

        if (!ps_memory_type_is_ram(range->type))
            continue;
        if (last > ps_frame_largest(&stage->machine))
            return PS_INVALID_ARGS;
        return last < DIRECT_MAP_FRAMES ? PS_OK : PS_UNSUPPORTED;
    }
    return PS_OK;
}

static ps_status build_map(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status =
        ps_memory_map_from_uefi(&stage->map, request->uefi_map, request->uefi_map_size,
                                request->uefi_map_stride, request->ranges, request->range_capacity);

    for (size_t i = 0; status == PS_OK && i < request->section_count; i++)
        status = ps_memory_map_set(&stage->map, request->sections[i].first,
                                   request->sections[i].pages, PS_MEMORY_IMAGE);
    if (status == PS_OK)
        status = type_framebuffer(stage, request);
    return status == PS_OK ? check_reach(stage) : status;
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

/* The direct map does not care for types: neighbours are mapped together, with larger leaves. */
static struct ps_memory_range mapped_neighbours(const struct ps_memory_map *map, size_t *next)
{
    struct ps_memory_range all = map->ranges[(*next)++];

    for (; *next < map->count; (*next)++) {
        const struct ps_memory_range *range = &map->ranges[*next];

        if (!in_direct_map(range->type) ||
            range->first.number != ps_memory_range_last(&all).number + 1)
            break;
        all.pages.count += range->pages.count;
    }
    return all;
}

static ps_status map_all_ram(struct ps_stage *stage)
{
    ps_status status = PS_OK;

    for (size_t i = 0; status == PS_OK && i < stage->map.count;) {
        if (in_direct_map(stage->map.ranges[i].type)) {
            struct ps_memory_range all = mapped_neighbours(&stage->map, &i);

            status = map_directly(stage, &all);
        } else {
            i++;
        }
    }
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

        if (ps_memory_type_is_ram(range->type) && overlap(first, pages, range->first, range->pages))
            return false;
    }
    return true;
}

ps_status ps_stage_map_device(struct ps_stage *stage, ps_phys_t pa, uint64_t bytes,
                              enum ps_cache cache, ps_virt_t *va)
{
    ps_attr_t attr = ps_attr(PS_READ | PS_WRITE | PS_GLOBAL, cache);
    ps_frame_t first = ps_frame_of_phys(pa);
    ps_pages_t pages;
    ps_status status;
    ps_virt_t at;

    if (stage == NULL || va == NULL || (unsigned)cache >= PS_CACHE_COUNT)
        return PS_INVALID_ARGS;
    if (stage->table.machine == NULL)
        return PS_BAD_STATE;
    if (!is_addressable(&stage->machine, pa, bytes))
        return PS_INVALID_ARGS;
    pages = pages_around(pa, bytes);
    if (!device_is_free_of_ram(stage, first, pages))
        return PS_ACCESS_DENIED;
    if (pages.count >= DEVICE_WINDOW_PAGES - stage->device_pages)
        return PS_NO_SPACE;
    at = ps_virt_add_pages(ps_virt(PS_STAGE_DEVICES), ps_pages(stage->device_pages));
    status = ps_page_table_map_run(&stage->table, at, first, pages, attr, PS_MAP_PERMANENT);
    if (status != PS_OK)
        return status;
    stage->device_pages += pages.count + 1;
    *va = ps_virt_add(at, pa.addr & PS_PAGE_MASK);
    return PS_OK;
}

static ps_status build_space(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status = ps_cache_types_init(&stage->cache_types, &stage->pool, &stage->map);

    if (status != PS_OK)
        return status;
    stage->machine.cache_types = &stage->cache_types;
    status = ps_page_table_create(&stage->table, &stage->machine, &stage->pool);
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

static void begin_step(struct ps_stage *stage, const struct ps_stage_request *request,
                       const char *step)
{
    stage->step = step;
    if (request->progress != NULL)
        request->progress(request->progress_context, stage);
}

/* When it succeeds, physical memory is reached through the direct map from here on. */
static ps_status switch_over(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status = PS_OK;

    if (request->enter_root != NULL)
        status = request->enter_root(request->enter_context, stage);
    /* Loaded twice then: the table knows who runs on it. */
    if (status == PS_OK)
        status = ps_page_table_switch(NULL, &stage->table);
    if (status != PS_OK)
        return status;
    stage->machine.direct_map = ps_hw_direct_map(&stage->machine, PS_STAGE_DIRECT_MAP);
    stage->map.ranges = ps_stage_pointer(stage, stage->map.ranges);
    return PS_OK;
}

/* Nothing fails once our own root is loaded: the arena's tables are anchored, and it takes no
 * frame. */
static ps_status switch_and_allocate(struct ps_stage *stage, const struct ps_stage_request *request)
{
    static const struct ps_virtual_config arena = {
        .base = {PS_STAGE_ARENA},
        .pages = {PS_STAGE_ARENA_PAGES},
        .guard = {1},
        .alignment = {PS_STAGE_ARENA_ALIGNMENT},
        .tag = PS_FRAME_VIRTUAL,
    };
    ps_status status;

    begin_step(stage, request, "load the new root");
    status = switch_over(stage, request);
    if (status != PS_OK)
        return status;
    begin_step(stage, request, "build the virtual allocator");
    return ps_virtual_init(&stage->arena, &stage->table, &stage->pool, &arena);
}

ps_status ps_stage_take_over(struct ps_stage *stage, const struct ps_stage_request *request)
{
    ps_status status;

    if (stage == NULL || request == NULL)
        return PS_INVALID_ARGS;
    if (stage->step != NULL)
        return PS_BAD_STATE;
    stage->machine = request->machine;
    begin_step(stage, request, "check the request");
    status = check_request(request);
    if (status != PS_OK)
        return status;
    begin_step(stage, request, "normalise the memory map");
    status = build_map(stage, request);
    if (status != PS_OK)
        return status;
    begin_step(stage, request, "build the frame pool");
    status = ps_frame_pool_init(&stage->pool, &stage->machine, &stage->map);
    if (status != PS_OK)
        return status;
    begin_step(stage, request, "build the page tables");
    status = build_space(stage, request);
    if (status != PS_OK)
        return status;
    status = switch_and_allocate(stage, request);
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
    if (stage == NULL)
        return PS_INVALID_ARGS;
    if (stage->arena.table == NULL)
        return PS_BAD_STATE;
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
    ps_status status;

    if (stage == NULL)
        return PS_INVALID_ARGS;
    status = ps_memory_map_validate(&stage->map, sink);
    if (status == PS_OK)
        status = ps_frame_pool_validate(&stage->pool, sink);
    if (status == PS_OK)
        status = ps_cache_types_validate(&stage->cache_types, sink);
    if (status == PS_OK)
        status = ps_page_table_validate(&stage->table, sink);
    if (status == PS_OK)
        status = ps_virtual_validate(&stage->arena, sink);
    return status;
}
