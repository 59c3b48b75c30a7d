#include <efi.h>

#include "runtime.h"

#include "hw.h"
#include "identity.h"

enum { TYPE_RUNTIME_CODE = 5, TYPE_RUNTIME_DATA = 6, TYPE_MMIO = 11, TYPE_MMIO_PORT = 12 };

#define ATTRIBUTE_RUNTIME   ((uint64_t)1 << 63)
#define ATTRIBUTE_WB        ((uint64_t)8)
#define ATTRIBUTE_NO_EXEC   ((uint64_t)0x4000)
#define ATTRIBUTE_READ_ONLY ((uint64_t)0x20000)

struct attributes_head {
    uint32_t version;
    uint32_t count;
    uint32_t stride;
    uint32_t reserved;
};

/* ---- rights ---- */

static const EFI_MEMORY_DESCRIPTOR *descriptor_at(const void *first, uint64_t stride, uint64_t i)
{
    return (const EFI_MEMORY_DESCRIPTOR *)((const unsigned char *)first + i * stride);
}

/* The entry of the attributes table that holds `pa`; NULL when none does. */
static const EFI_MEMORY_DESCRIPTOR *find_attributes(const struct attributes_head *head, uint64_t pa)
{
    for (uint64_t i = 0; head != NULL && i < head->count; i++) {
        const EFI_MEMORY_DESCRIPTOR *entry = descriptor_at(head + 1, head->stride, i);

        if (pa >= entry->PhysicalStart &&
            (pa - entry->PhysicalStart) >> PS_PAGE_SHIFT < entry->NumberOfPages)
            return entry;
    }
    return NULL;
}

/* Nothing is both writable and executable, whatever the firmware would like. */
static ps_attr_t choose_rights(const EFI_MEMORY_DESCRIPTOR *region,
                               const EFI_MEMORY_DESCRIPTOR *attributes)
{
    bool code = region->Type == TYPE_RUNTIME_CODE;
    enum ps_cache cache =
        (region->Attribute & ATTRIBUTE_WB) != 0 ? PS_CACHE_WRITE_BACK : PS_CACHE_UNCACHED;

    if (attributes != NULL && (attributes->Attribute & ATTRIBUTE_NO_EXEC) != 0)
        return (attributes->Attribute & ATTRIBUTE_READ_ONLY) != 0
                   ? ps_attr(PS_READ, cache)
                   : ps_attr(PS_READ | PS_WRITE, cache);
    return code ? ps_attr(PS_READ | PS_EXECUTE, cache) : ps_attr(PS_READ | PS_WRITE, cache);
}

/* ---- the root ---- */

static bool is_runtime(const EFI_MEMORY_DESCRIPTOR *region)
{
    return (region->Attribute & ATTRIBUTE_RUNTIME) != 0 || region->Type == TYPE_RUNTIME_CODE ||
           region->Type == TYPE_RUNTIME_DATA;
}

static ps_status map_pages(struct runtime *runtime, uint64_t pa, uint64_t pages, ps_attr_t attr)
{
    return ps_page_table_map_run(&runtime->table, ps_virt(pa), ps_frame_of_phys(ps_phys(pa)),
                                 ps_pages(pages), attr, PS_MAP_SMALL);
}

static ps_status map_piece(struct runtime *runtime, uint64_t pa, uint64_t pages, ps_attr_t attr)
{
    ps_status status = map_pages(runtime, pa, pages, attr);

    /* Regions overlap: page by page, the first one counts. */
    for (uint64_t i = 0; status == PS_ALREADY_EXISTS && pages > 1 && i < pages; i++) {
        ps_status one = map_pages(runtime, pa + (i << PS_PAGE_SHIFT), 1, attr);

        if (one != PS_OK && one != PS_ALREADY_EXISTS)
            return one;
    }
    return status == PS_ALREADY_EXISTS ? PS_OK : status;
}

static ps_status map_region(struct runtime *runtime, const EFI_MEMORY_DESCRIPTOR *region,
                            const struct attributes_head *head)
{
    uint64_t pa = region->PhysicalStart;
    uint64_t left = region->NumberOfPages;

    while (left != 0) {
        const EFI_MEMORY_DESCRIPTOR *entry = find_attributes(head, pa);
        uint64_t pages = 1;
        ps_status status;

        if (entry != NULL)
            pages = entry->NumberOfPages - ((pa - entry->PhysicalStart) >> PS_PAGE_SHIFT);
        else if (head == NULL)
            pages = left;
        pages = ps_min(pages, left);
        status = map_piece(runtime, pa, pages, choose_rights(region, entry));
        if (status != PS_OK)
            return status;
        pa += pages << PS_PAGE_SHIFT;
        left -= pages;
    }
    runtime->regions++;
    return PS_OK;
}

/* What no table can hold, or what would be read as garbage. Page 0 is never mapped. */
static bool region_is_sane(const struct runtime *runtime, const EFI_MEMORY_DESCRIPTOR *region)
{
    uint64_t frames = (uint64_t)1 << (runtime->stage->machine.physical_bits - PS_PAGE_SHIFT);
    uint64_t first = region->PhysicalStart >> PS_PAGE_SHIFT;

    return ps_is_aligned(region->PhysicalStart, PS_PAGE_SIZE) && first != 0 && first < frames &&
           region->NumberOfPages <= frames - first;
}

static ps_status map_regions(struct runtime *runtime, const struct runtime_input *input)
{
    for (uint64_t at = 0; input->stride <= input->map_size && at <= input->map_size - input->stride;
         at += input->stride) {
        const EFI_MEMORY_DESCRIPTOR *region =
            (const EFI_MEMORY_DESCRIPTOR *)((const unsigned char *)input->map + at);
        ps_status status;

        if (!is_runtime(region))
            continue;
        if (!region_is_sane(runtime, region)) {
            runtime->refused++;
            continue;
        }
        status = map_region(runtime, region, input->attributes);
        if (status != PS_OK)
            return status;
    }
    return PS_OK;
}

static ps_status fill_root(struct runtime *runtime, struct ps_stage *stage,
                           const struct runtime_input *input)
{
    ps_status status = ps_page_table_share_upper(&runtime->table, &stage->table);

    if (status == PS_OK)
        status = identity_map_image(&runtime->table, input->image);
    if (status == PS_OK)
        status = map_regions(runtime, input);
    return status;
}

/* Everything in the lower half goes: what is left is the root itself. */
static void drop_root(struct runtime *runtime)
{
    if (identity_drop(&runtime->table) == PS_OK)
        *runtime = (struct runtime){.stage = NULL};
}

ps_status runtime_init(struct runtime *runtime, struct ps_stage *stage,
                       const struct runtime_input *input)
{
    ps_status status;

    *runtime = (struct runtime){.stage = stage,
                                .system_table = input->system_table,
                                .has_attributes = input->attributes != NULL};
    status = ps_page_table_create(&runtime->table, &stage->machine, &stage->pool);
    if (status != PS_OK)
        return status;
    status = fill_root(runtime, stage, input);
    if (status != PS_OK)
        drop_root(runtime);
    return status;
}

/* ---- calls ---- */

struct call {
    struct runtime *runtime;
    EFI_STATUS (*function)(EFI_RUNTIME_SERVICES *services, void *context);
    void *context;
};

static uint64_t on_runtime_root(uint64_t call_address, uint64_t unused)
{
    struct call *call = (struct call *)(uintptr_t)call_address;
    EFI_SYSTEM_TABLE *system = (EFI_SYSTEM_TABLE *)(uintptr_t)call->runtime->system_table;

    (void)unused;
    ps_hw_set_root(&call->runtime->stage->machine, call->runtime->table.root);
    return call->function(system->RuntimeServices, call->context);
}

static ps_status run(struct runtime *runtime,
                     EFI_STATUS (*function)(EFI_RUNTIME_SERVICES *services, void *context),
                     void *context)
{
    struct call call = {runtime, function, context};
    bool returned;

    if (runtime->stage == NULL)
        return PS_BAD_STATE;
    /* Interrupts stay as they are: the watchdog ends a call that hangs, too. */
    returned = trap_try(&runtime->last_fault, on_runtime_root, (uint64_t)(uintptr_t)&call, 0);
    ps_hw_set_root(&runtime->stage->machine, runtime->stage->table.root);
    return returned && runtime->last_fault.value == EFI_SUCCESS ? PS_OK : PS_UNSUPPORTED;
}

static EFI_STATUS call_get_time(EFI_RUNTIME_SERVICES *services, void *context)
{
    return services->GetTime(context, NULL);
}

ps_status runtime_get_time(struct runtime *runtime, struct runtime_time *time)
{
    EFI_TIME now = {.Year = 0};
    ps_status status = run(runtime, call_get_time, &now);

    if (status == PS_OK)
        *time =
            (struct runtime_time){now.Year, now.Month, now.Day, now.Hour, now.Minute, now.Second};
    return status;
}

struct variable_query {
    CHAR16 name[32];
    EFI_GUID vendor;
    UINTN size;
};

static EFI_STATUS call_get_variable(EFI_RUNTIME_SERVICES *services, void *context)
{
    struct variable_query *query = context;
    EFI_STATUS status =
        services->GetVariable(query->name, &query->vendor, NULL, &query->size, NULL);

    return status == EFI_BUFFER_TOO_SMALL ? EFI_SUCCESS : status;
}

ps_status runtime_variable_size(struct runtime *runtime, const char *name, uint64_t *size)
{
    struct variable_query query = {.vendor = EFI_GLOBAL_VARIABLE};
    ps_status status;

    for (size_t i = 0; name[i] != '\0' && i + 1 < PS_ARRAY_SIZE(query.name); i++)
        query.name[i] = (CHAR16)name[i];
    status = run(runtime, call_get_variable, &query);
    if (status == PS_OK)
        *size = query.size;
    return status;
}

static EFI_STATUS call_reset(EFI_RUNTIME_SERVICES *services, void *context)
{
    services->ResetSystem(*(EFI_RESET_TYPE *)context, EFI_SUCCESS, 0, NULL);
    return EFI_UNSUPPORTED;
}

ps_status runtime_power_off(struct runtime *runtime)
{
    EFI_RESET_TYPE type = EfiResetShutdown;

    return run(runtime, call_reset, &type);
}

ps_status runtime_reset(struct runtime *runtime)
{
    EFI_RESET_TYPE type = EfiResetCold;

    return run(runtime, call_reset, &type);
}
