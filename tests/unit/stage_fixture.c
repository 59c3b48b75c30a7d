#include "stage_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "hw.h"

/* What must become of a frame. */
enum kind {
    KIND_NONE, /* neither mapped nor handed out */
    KIND_POOL,
    KIND_KEPT, /* in the direct map alone */
    KIND_BOOT, /* both, once it is reclaimed */
};

enum {
    SMALL_LEAVES_END = 512, /* frames: 2 MiB */
    PLAIN_FROM = 16384,     /* pages of an entry, from which on it is not worth to be junk */
};

static const struct map_entry usual_entries[] = {
    RAM_ENTRY(UEFI_CONVENTIONAL, 0, 120),
    RAM_ENTRY(UEFI_BOOT_DATA, 120, 39),
    RAM_ENTRY(UEFI_RESERVED, 159, 1),
    RAM_ENTRY(UEFI_CONVENTIONAL, 256, 512),
    RAM_ENTRY(UEFI_LOADER_DATA, 768, 300),
    RAM_ENTRY(UEFI_LOADER_CODE, STAGE_IMAGE_FIRST, 40),
    RAM_ENTRY(UEFI_BOOT_DATA, 1108, 200),
    RAM_ENTRY(UEFI_CONVENTIONAL, 1308, 3000),
    RAM_ENTRY(UEFI_ACPI_RECLAIM, 4308, 20),
    RAM_ENTRY(UEFI_ACPI_NVS, 4328, 10),
    {UEFI_RUNTIME_CODE, 4338ull << 12, 10, WB | RUNTIME},
    RAM_ENTRY(UEFI_BOOT_CODE, 4348, 1200),
    RAM_ENTRY(UEFI_CONVENTIONAL, 5548, 700),
    RAM_ENTRY(UEFI_LOADER_DATA, 6248, 300),
    {UEFI_RUNTIME_DATA, 6548ull << 12, 20, WB | RUNTIME},
    {UEFI_MMIO, 0xfee00ull << 12, 1, 1 | RUNTIME},
};

static const struct ps_stage_section usual_sections[] = {
    {{STAGE_IMAGE_FIRST}, {1}, PS_READ, "headers"},
    {{STAGE_IMAGE_CODE}, {15}, PS_READ | PS_EXECUTE, ".text"},
    {{1084}, {6}, PS_READ, ".rdata"},
    {{STAGE_IMAGE_DATA}, {10}, PS_READ | PS_WRITE, ".data"},
};

static void *take(size_t count, size_t size)
{
    void *memory = calloc(count + (count == 0), size);

    if (memory == NULL)
        abort();
    return memory;
}

/* ---- the machine that the firmware describes ---- */

static bool is_memory(uint32_t type)
{
    return map_expected_ours(type) || type == UEFI_ACPI_RECLAIM;
}

static struct sim_machine *build_machine(const struct stage_plan *plan)
{
    struct sim_range *ranges = take(plan->entry_count, sizeof(*ranges));
    struct sim_machine *sim;
    size_t count = 0;

    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct map_entry *entry = &plan->entries[i];

        if (is_memory(entry->type) && entry->pages != 0)
            ranges[count++] = (struct sim_range){
                .first = {entry->start >> PS_PAGE_SHIFT},
                .pages = {entry->pages},
                .type = PS_MEMORY_USABLE,
                .backing = entry->pages < PLAIN_FROM ? SIM_JUNK : SIM_PLAIN,
            };
    }
    sim = sim_machine_create(ranges, count, plan->flags);
    free(ranges);
    return sim;
}

/* ---- what must become of its frames ---- */

static enum kind kind_of(enum ps_memory_type type)
{
    switch ((unsigned)type) {
    case PS_MEMORY_USABLE:
        return KIND_POOL;
    case PS_MEMORY_LOADER:
    case PS_MEMORY_ACPI_RECLAIM:
        return KIND_KEPT;
    case PS_MEMORY_BOOT_SERVICES:
        return KIND_BOOT;
    default:
        return KIND_NONE;
    }
}

static void paint(struct stage_fixture *f, uint64_t first, uint64_t pages, enum kind kind)
{
    for (uint64_t i = 0; i < pages && first + i < f->sim->frames; i++)
        f->kinds[first + i] = (uint8_t)kind;
}

static void paint_all(struct stage_fixture *f)
{
    const struct stage_plan *plan = f->plan;

    f->kinds = take(f->sim->frames, 1);
    for (size_t i = 0; i < plan->entry_count; i++)
        paint(f, plan->entries[i].start >> PS_PAGE_SHIFT, plan->entries[i].pages,
              kind_of(map_expected_type(&plan->entries[i])));
    for (size_t i = 0; i < plan->section_count; i++)
        paint(f, plan->sections[i].first.number, plan->sections[i].pages.count, KIND_NONE);
    for (size_t i = 0; i < f->device_count; i++)
        paint(f, f->devices[i].first.number, f->devices[i].pages.count, KIND_NONE);
    paint(f, 0, 1, KIND_NONE);
}

void stage_expect_device(struct stage_fixture *f, uint64_t first, uint64_t pages,
                         enum ps_cache cache)
{
    if (f->device_count == STAGE_DEVICES_MAX)
        abort();
    f->devices[f->device_count++] = (struct stage_device){{first}, {pages}, cache};
}

static void expect_framebuffer(struct stage_fixture *f)
{
    uint64_t start = f->plan->framebuffer.addr;
    uint64_t bytes = f->plan->framebuffer_bytes;
    uint64_t first = start / PS_PAGE_SIZE;

    if (bytes != 0)
        stage_expect_device(f, first, (start + bytes + PS_PAGE_SIZE - 1) / PS_PAGE_SIZE - first,
                            PS_CACHE_WRITE_COMBINING);
}

/* ---- opening and closing ---- */

static void build_request(struct stage_fixture *f)
{
    const struct stage_plan *plan = f->plan;
    size_t capacity = ps_memory_map_capacity(plan->entry_count, PS_STAGE_OVERLAYS);

    f->raw = map_raw(plan->entries, plan->entry_count, STRIDE);
    f->ranges = take(capacity, sizeof(*f->ranges));
    f->request = (struct ps_stage_request){
        .machine = f->sim->machine,
        .uefi_map = f->raw,
        .uefi_map_size = plan->entry_count * STRIDE,
        .uefi_map_stride = STRIDE,
        .ranges = f->ranges,
        .range_capacity = capacity,
        .sections = plan->sections,
        .section_count = plan->section_count,
        .framebuffer = plan->framebuffer,
        .framebuffer_bytes = plan->framebuffer_bytes,
    };
}

static void open_stage(struct stage_fixture *f)
{
    f->mmu = mmu_create(f->sim);
    ps_hw_set_root(&f->sim->machine, ps_frame(STAGE_FIRMWARE_ROOT));
    expect_framebuffer(f);
    paint_all(f);
    build_request(f);
    f->stage = take(1, sizeof(*f->stage));
}

static void close_stage(struct stage_fixture *f)
{
    mmu_destroy(f->mmu);
    sim_machine_destroy(f->sim);
    free(f->raw);
    free(f->ranges);
    free(f->kinds);
    free(f->stage);
}

ps_status stage_take_over(struct stage_fixture *f)
{
    memset(f->stage, 0, sizeof(*f->stage));
    return ps_stage_take_over(f->stage, &f->request);
}

void stage_with(struct test *test, const struct stage_plan *plan,
                void (*body)(struct test *test, struct stage_fixture *f))
{
    struct stage_plan whole = *plan;
    struct stage_fixture f = {.plan = &whole};

    if (plan->entries == NULL) {
        whole.entries = usual_entries;
        whole.entry_count = PS_ARRAY_SIZE(usual_entries);
        if (plan->sections == NULL) {
            whole.sections = usual_sections;
            whole.section_count = PS_ARRAY_SIZE(usual_sections);
        }
    }
    f.sim = build_machine(&whole);
    REQUIRE(f.sim != NULL);
    open_stage(&f);
    if (plan->not_taken_over || EXPECT_OK(stage_take_over(&f)))
        body(test, &f);
    if (f.stage->arena.table != NULL)
        EXPECT_OK(ps_stage_validate(f.stage, NULL));
    close_stage(&f);
}

/* ---- what must be mapped ---- */

static uint64_t leaf_pages(enum ps_leaf leaf)
{
    return leaf == PS_LEAF_1G ? 512 * 512 : leaf == PS_LEAF_2M ? 512 : 1;
}

static bool continues(const struct ps_mapped_range *last, const struct ps_mapped_range *range)
{
    return last->va.addr + last->pages.count * PS_PAGE_SIZE == range->va.addr &&
           last->frame.number + last->pages.count == range->frame.number &&
           last->leaf == range->leaf && ps_attr_equal(last->attr, range->attr);
}

static void append(struct stage_view *view, const struct ps_mapped_range *range)
{
    if (view->count != 0 && continues(&view->ranges[view->count - 1], range)) {
        view->ranges[view->count - 1].pages.count += range->pages.count;
        return;
    }
    if (view->count == view->capacity) {
        view->capacity = 2 * view->capacity + 32;
        view->ranges = realloc(view->ranges, view->capacity * sizeof(*view->ranges));
        if (view->ranges == NULL)
            abort();
    }
    view->ranges[view->count++] = *range;
}

/* The largest leaf that both addresses and the length allow, again and again. */
static void append_run(struct stage_view *view, uint64_t va, uint64_t frame, uint64_t pages,
                       ps_attr_t attr, enum ps_leaf largest)
{
    while (pages != 0) {
        enum ps_leaf leaf = largest;
        uint64_t size;

        while ((va / PS_PAGE_SIZE) % leaf_pages(leaf) != 0 || frame % leaf_pages(leaf) != 0 ||
               pages < leaf_pages(leaf))
            leaf--;
        size = leaf_pages(leaf);
        append(view,
               &(struct ps_mapped_range){
                   .va = {va}, .pages = {size}, .frame = {frame}, .attr = attr, .leaf = leaf});
        va += size * PS_PAGE_SIZE;
        frame += size;
        pages -= size;
    }
}

static enum ps_leaf largest_leaf(const struct stage_fixture *f)
{
    return (f->plan->flags & SIM_NO_GIB_LEAVES) != 0 ? PS_LEAF_2M : PS_LEAF_1G;
}

static void append_image(const struct stage_fixture *f, struct stage_view *view)
{
    for (size_t i = 0; i < f->plan->section_count; i++) {
        const struct ps_stage_section *section = &f->plan->sections[i];

        append_run(view, section->first.number * PS_PAGE_SIZE, section->first.number,
                   section->pages.count, ps_attr_ram(section->access), PS_LEAF_4K);
    }
}

/* Frames that are mapped by one call are of one group: no leaf lies across two. 0: not mapped. */
static unsigned group_of(const struct stage_fixture *f, uint64_t frame)
{
    switch (f->kinds[frame]) {
    case KIND_POOL:
    case KIND_KEPT:
        return 1;
    case KIND_BOOT:
        return f->reclaimed ? 2 : 0;
    default:
        return 0;
    }
}

static void append_direct_map(const struct stage_fixture *f, struct stage_view *view)
{
    const ps_attr_t attr = ps_attr_ram(PS_READ | PS_WRITE | PS_GLOBAL);
    uint64_t end;

    for (uint64_t first = 0; first < f->sim->frames; first = end) {
        unsigned group = group_of(f, first);
        bool small = first < SMALL_LEAVES_END;

        end = first + 1;
        while (end < f->sim->frames && group_of(f, end) == group &&
               small == (end < SMALL_LEAVES_END))
            end++;
        if (group != 0)
            append_run(view, PS_STAGE_DIRECT_MAP + first * PS_PAGE_SIZE, first, end - first, attr,
                       small ? PS_LEAF_4K : largest_leaf(f));
    }
}

static void append_devices(const struct stage_fixture *f, struct stage_view *view)
{
    uint64_t va = PS_STAGE_DEVICES;

    for (size_t i = 0; i < f->device_count; i++) {
        const struct stage_device *device = &f->devices[i];

        append_run(view, va, device->first.number, device->pages.count,
                   ps_attr(PS_READ | PS_WRITE | PS_GLOBAL, device->cache), largest_leaf(f));
        va += (device->pages.count + 1) * PS_PAGE_SIZE;
    }
}

static bool keep_range(void *context, const struct ps_mapped_range *range)
{
    append(context, range);
    return true;
}

struct stage_view stage_read(struct stage_fixture *f)
{
    struct stage_view view = {0};

    ps_page_table_for_each(&f->stage->table, keep_range, &view);
    return view;
}

static bool expect_same_range(struct test *test, const struct ps_mapped_range *found,
                              const struct ps_mapped_range *wanted)
{
    return EXPECT_EQ(found->va.addr, wanted->va.addr) &&
           EXPECT_EQ(found->pages.count, wanted->pages.count) &&
           EXPECT_EQ(found->frame.number, wanted->frame.number) &&
           EXPECT_EQ(found->attr.access, wanted->attr.access) &&
           EXPECT_EQ(found->attr.cache, wanted->attr.cache) && EXPECT_EQ(found->leaf, wanted->leaf);
}

void stage_expect_mapped(struct test *test, struct stage_fixture *f)
{
    struct stage_view found = stage_read(f);
    struct stage_view wanted = {0};

    append_image(f, &wanted);
    append_direct_map(f, &wanted);
    append_devices(f, &wanted);
    EXPECT_EQ(found.count, wanted.count);
    for (size_t i = 0; i < ps_min(found.count, wanted.count); i++) {
        if (!expect_same_range(test, &found.ranges[i], &wanted.ranges[i])) {
            test_note(test, "range %zu, at 0x%" PS_PRIx, i, wanted.ranges[i].va.addr);
            break;
        }
    }
    free(found.ranges);
    free(wanted.ranges);
}

/* ---- what must be in the pool ---- */

static bool is_pooled(const struct stage_fixture *f, uint64_t frame)
{
    return f->kinds[frame] == KIND_POOL || (f->kinds[frame] == KIND_BOOT && f->reclaimed);
}

/* Asks for each frame, and stops at the first that is wrong; how many must be in the pool. */
static uint64_t expect_every_frame(struct test *test, struct stage_fixture *f)
{
    struct ps_frame_info info = {0};
    uint64_t pooled = 0;
    uint64_t frame = 0;

    for (; frame < f->sim->frames; frame++) {
        if (ps_frame_pool_query(&f->stage->pool, ps_frame(frame), &info) != PS_OK ||
            info.managed != is_pooled(f, frame))
            break;
        pooled += info.managed;
    }
    if (!EXPECT_EQ(frame, f->sim->frames))
        test_note(test, "frame %" PS_PRIu " is %s", frame, info.managed ? "in the pool" : "absent");
    return pooled;
}

void stage_expect_pooled(struct test *test, struct stage_fixture *f)
{
    uint64_t pooled = expect_every_frame(test, f);
    struct ps_page_table_counters tables = ps_page_table_counters(&f->stage->table);
    struct ps_frame_pool_snapshot pool;

    ps_frame_pool_snapshot(&f->stage->pool, &pool);
    EXPECT_EQ(pool.managed, pooled);
    EXPECT_EQ(pool.by_tag[PS_FRAME_TABLE], tables.tables);
    /* The books of the cache types when a device is mapped; the arena has none yet. */
    EXPECT_EQ(f->stage->cache_types.ranges.frames, f->stage->device_pages != 0 ? 1 : 0);
    EXPECT_EQ(pool.by_tag[PS_FRAME_HEAP], f->stage->cache_types.ranges.frames);
    EXPECT_EQ(pool.free, pooled - pool.metadata - tables.tables - pool.by_tag[PS_FRAME_HEAP]);
}

void stage_expect_whole(struct test *test, struct stage_fixture *f)
{
    char text[160];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(ps_stage_validate(f->stage, &sink));
    EXPECT_TEXT(text, "");
    stage_expect_mapped(test, f);
    stage_expect_pooled(test, f);
}

/* ---- the rest ---- */

void stage_expect_reclaimed(struct test *test, struct stage_fixture *f)
{
    EXPECT_OK(ps_stage_reclaim_boot_services(f->stage));
    EXPECT_EQ(ps_memory_map_total(&f->stage->map, PS_MEMORY_BOOT_SERVICES).count, 0);
    f->reclaimed = true;
    stage_expect_whole(test, f);
}

void stage_expect_refused(struct test *test, struct stage_fixture *f, ps_status wanted,
                          const char *step)
{
    EXPECT_STATUS(stage_take_over(f), wanted);
    EXPECT_TEXT(f->stage->step, step);
    EXPECT_EQ(ps_hw_root(&f->sim->machine).number, STAGE_FIRMWARE_ROOT);
}

bool stage_finds(struct stage_fixture *f, uint64_t va, struct ps_translation *found)
{
    memset(found, 0, sizeof(*found));
    return ps_page_table_query(&f->stage->table, ps_virt(va), found) == PS_OK;
}
