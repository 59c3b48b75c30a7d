#include "facts.h"

#include "console.h"
#include "costs.h"
#include "settings.h"
#include "symbols.h"
#include "traps.h"

static void text_field(struct report *report, const char *name, const char *value,
                       const char *separator)
{
    ps_print(&report->sink, "\"%s\":", name);
    report_json_string(&report->sink, value);
    ps_print(&report->sink, "%s", separator);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void report_processor(const struct application *app, struct report *report)
{
    const struct cpu_features *f = &app->features;

    report_fact_open(report, "processor");
    ps_print(&report->sink, "{");
    text_field(report, "vendor", f->vendor, ",");
    text_field(report, "brand", f->brand, ",");
    ps_print(&report->sink,
             "\"family\":%u,\"model\":%u,\"stepping\":%u,\"physical_bits\":%u,\"nx\":%s,"
             "\"gib_pages\":%s,\"pge\":%s,\"la57\":%s,\"smep\":%s,\"smap\":%s,\"umip\":%s,"
             "\"x2apic\":%s,\"cet\":%s,\"hypervisor\":%s}",
             f->family, f->model, f->stepping, f->physical_bits, truth(f->nx), truth(f->gib_pages),
             truth(f->pge), truth(f->la57), truth(f->smep), truth(f->smap), truth(f->umip),
             truth(f->x2apic), truth(f->cet), truth(f->hypervisor));
    report_fact_close(report);
}

static void report_found(const struct application *app, struct report *report)
{
    report_fact(report, "found",
                "{\"cr0\":\"0x%" PS_PRIx "\",\"cr4\":\"0x%" PS_PRIx "\",\"efer\":\"0x%" PS_PRIx
                "\",\"pat\":\"0x%" PS_PRIx "\",\"apic_base\":\"0x%" PS_PRIx "\",\"levels\":%u}",
                app->found.cr0, app->found.cr4, app->found.efer, app->found.pat,
                app->found.apic_base, cpu_levels_found(&app->found));
}

/* With how many levels we run, and why not with those that were asked for. */
static void report_paging(const struct application *app, struct report *report)
{
    unsigned levels = app->stage.table.levels;
    bool missing = app->config.levels > levels;

    report_fact(report, "paging", "{\"levels\":%u,\"found\":%u,\"asked\":\"%s\"%s}", levels,
                cpu_levels_found(&app->found), config_levels(&app->config),
                missing ? ",\"missing\":\"the processor has no 5 levels\"" : "");
    if (missing)
        console_note("The processor has no page tables of 5 levels: 4 are used.\n");
}

static void report_firmware(const struct application *app, struct report *report)
{
    const struct firmware_facts *f = &app->facts;

    report_fact_open(report, "firmware");
    ps_print(&report->sink, "{");
    text_field(report, "vendor", f->vendor, ",");
    ps_print(&report->sink,
             "\"revision\":\"0x%x\",\"uefi\":\"%u.%u\",\"secure_boot\":%s,\"rsdp\":\"0x%" PS_PRIx
             "\",\"processors\":%u,\"enabled\":%u,\"tsc_hz\":%" PS_PRIu
             ",\"memory_attributes\":%s}",
             f->revision, f->uefi_version >> 16, (f->uefi_version & 0xffff) / 10,
             truth(f->secure_boot), f->rsdp, f->processors, f->processors_enabled,
             f->timestamps_per_second, truth(app->attributes != NULL));
    report_fact_close(report);
    report_fact(report, "exit",
                "{\"exits\":%u,\"maps\":%u,\"growths\":%u,\"stride\":%" PS_PRIu
                ",\"map_bytes\":%" PS_PRIu ",\"buffer_bytes\":%" PS_PRIu "}",
                app->leave.result.exits, app->leave.result.maps, app->leave.result.growths,
                app->leave.result.stride, app->leave.result.map_size,
                app->leave.result.buffer_size);
}

static void report_image(const struct application *app, struct report *report)
{
    report_fact(report, "image", "{\"base\":\"0x%" PS_PRIx "\",\"bytes\":%" PS_PRIu "}",
                app->image.base, app->image.bytes);
    for (size_t i = 0; i < app->image.section_count; i++) {
        const struct ps_stage_section *section = &app->image.sections[i];
        struct ps_attr_text attr = ps_attr_text(ps_attr_ram(section->access));

        /* A PE section's name may fill its eight bytes without a zero. */
        report_fact(report, "section",
                    "{\"name\":\"%.8s\",\"first\":\"0x%" PS_PRIx "\",\"pages\":%" PS_PRIu
                    ",\"access\":\"%s\"}",
                    section->name, ps_phys_of_frame(section->first).addr, section->pages.count,
                    attr.access);
    }
}

static void report_graphics(const struct application *app, struct report *report)
{
    const struct firmware_graphics *g = &app->graphics;

    report_fact(report, "graphics",
                "{\"form\":\"%s\",\"base\":\"0x%" PS_PRIx "\",\"bytes\":%" PS_PRIu
                ",\"width\":%u,\"height\":%u,\"pixels_per_line\":%u}",
                g->form, g->base.addr, g->bytes, g->width, g->height, g->pixels_per_line);
}

static void report_memory(const struct application *app, struct report *report)
{
    const struct ps_memory_map *map = &app->stage.map;
    const struct ps_memory_map_oddities *odd = &map->oddities;

    for (size_t i = 0; i < map->count; i++)
        report_fact(report, "memory",
                    "{\"first\":\"0x%" PS_PRIx "\",\"last\":\"0x%" PS_PRIx "\",\"type\":\"%s\"}",
                    ps_phys_of_frame(map->ranges[i].first).addr,
                    ps_phys_of_frame(ps_memory_range_last(&map->ranges[i])).addr + PS_PAGE_MASK,
                    ps_memory_type_name(map->ranges[i].type));
    report_fact(report, "memory-oddities",
                "{\"entries\":%u,\"unsorted\":%u,\"overlapping\":%u,\"zero_length\":%u,"
                "\"wrapping\":%u,\"unaligned\":%u,\"unknown_type\":%u,\"oem_type\":%u,"
                "\"not_write_back\":%u,\"runtime_by_type\":%u,\"runtime_by_attribute\":%u}",
                odd->entries, odd->unsorted, odd->overlapping, odd->zero_length, odd->wrapping,
                odd->unaligned, odd->unknown_type, odd->oem_type, odd->not_write_back,
                odd->runtime_by_type, odd->runtime_by_attribute);
}

static const char *purpose(ps_virt_t va)
{
    for (size_t i = 0; i < ps_stage_layout_count; i++)
        if (va.addr >= ps_stage_layout[i].first.addr && va.addr <= ps_stage_layout[i].last.addr)
            return ps_stage_layout[i].name;
    return "?";
}

static bool report_range(void *context, const struct ps_mapped_range *range)
{
    static const char *const leaves[] = {"?", "4K", "2M", "1G"};
    struct report *report = context;
    struct ps_attr_text attr = ps_attr_text(range->attr);

    report_fact(report, "mapping",
                "{\"va\":\"0x%" PS_PRIx "\",\"pages\":%" PS_PRIu ",\"pa\":\"0x%" PS_PRIx
                "\",\"access\":\"%s\",\"cache\":\"%s\",\"leaf\":\"%s\",\"for\":\"%s\"}",
                range->va.addr, range->pages.count, ps_phys_of_frame(range->frame).addr,
                attr.access, attr.cache, leaves[range->leaf], purpose(range->va));
    return true;
}

static void report_space(struct application *app, struct report *report)
{
    report_fact(report, "root", "{\"frame\":\"0x%" PS_PRIx "\",\"levels\":%u}",
                app->stage.table.root.number, app->stage.table.levels);
    ps_page_table_for_each(&app->stage.table, report_range, report);
}

static void report_times(const struct application *app, struct report *report)
{
    report_fact(report, "cycles",
                "{\"before_exit\":%" PS_PRIu ",\"exit_to_own_root\":%" PS_PRIu
                ",\"own_root_to_ready\":%" PS_PRIu ",\"measuring\":%" PS_PRIu "}",
                app->left - app->began, app->taken_over - app->left,
                app->ready - app->taken_over - app->measuring, app->measuring);
}

/* A line each, also on the screen: the firmware's console that had them is gone. */
static void report_complaints(struct report *report)
{
    const char *line = settings_complaints();

    while (*line != '\0') {
        int length = 0;

        while (line[length] != '\0' && line[length] != '\n')
            length++;
        report_fact(report, "settings", "%.*s", length, line);
        line += length + (line[length] == '\n');
    }
    if (settings_complaints()[0] != '\0')
        console_note(settings_complaints());
}

static void report_processors(const struct application *app, struct report *report)
{
    const char *separator = "";

    report_fact_open(report, "processors");
    ps_print(&report->sink, "{\"listed\":%u,\"enabled\":%u,\"used\":%u,\"running\":%u,\"silent\":[",
             app->processors.found.listed, app->processors.found.enabled, app->processors.count,
             processors_running());
    for (uint32_t i = 1; i < processor_count(); i++) {
        if (processor_is_running(i))
            continue;
        ps_print(&report->sink, "%s%u", separator, processor_at(i)->apic_id);
        separator = ",";
    }
    ps_print(&report->sink, "]}");
    report_fact_close(report);
}

/* The quickest of some rounds: what interrupts a measurement only makes it longer. */
static void report_shootdown(const struct application *app, struct report *report)
{
    enum { ROUNDS = 32 };
    uint64_t quickest = UINT64_MAX;

    if (processors_running() < 2)
        return;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ps_tlb_gather gather;
        uint64_t start;

        ps_tlb_gather_init(&gather, &app->stage.machine);
        ps_tlb_gather_add(&gather, ps_virt(PS_STAGE_ARENA), ps_pages(1), ps_pages(1), false);
        start = cpu_timestamp();
        (void)ps_tlb_gather_flush(&gather);
        quickest = ps_min(quickest, cpu_timestamp() - start);
    }
    report_fact(report, "shootdown", "{\"processors\":%u,\"pages\":1,\"cycles\":%" PS_PRIu "}",
                processors_running(), quickest);
}

void facts_report(struct application *app, struct report *report)
{
    report_processor(app, report);
    report_processors(app, report);
    report_found(app, report);
    report_paging(app, report);
    report_firmware(app, report);
    report_image(app, report);
    report_graphics(app, report);
    report_memory(app, report);
    report_space(app, report);
    report_fact(report, "runtime", "{\"regions\":%u,\"refused\":%u,\"attributes\":%s}",
                app->runtime.regions, app->runtime.refused, truth(app->runtime.has_attributes));
    report_fact(report, "timer", "{\"present\":%s,\"x2apic\":%s,\"ticks_per_second\":%" PS_PRIu "}",
                truth(app->apic.present), truth(app->apic.x2apic), app->apic.ticks_per_second);
    report_fact_open(report, "config");
    config_print(&app->config, &report->sink);
    report_fact_close(report);
    report_complaints(report);
    report_times(app, report);
    costs_report(app, report);
    report_shootdown(app, report);
}

static void report_frames(struct application *app, struct report *report)
{
    struct ps_frame_pool_snapshot frames;

    ps_frame_pool_snapshot(&app->stage.pool, &frames);
    report_fact(report, "frames",
                "{\"managed\":%" PS_PRIu ",\"free\":%" PS_PRIu ",\"available\":%" PS_PRIu
                ",\"metadata\":%" PS_PRIu ",\"tables\":%" PS_PRIu ",\"virtual\":%" PS_PRIu
                ",\"whole_2m\":%" PS_PRIu ",\"whole_1g\":%" PS_PRIu "}",
                frames.managed, frames.free, frames.available, frames.metadata,
                frames.by_tag[PS_FRAME_TABLE], frames.by_tag[PS_FRAME_VIRTUAL], frames.whole_2m,
                frames.whole_1g);
}

static void dump_layers(struct application *app, struct report *report)
{
    struct report_comments comments;
    struct ps_sink sink = report_comment_sink(&comments, &report->sink);

    ps_memory_map_dump(&app->stage.map, &sink);
    ps_frame_pool_dump(&app->stage.pool, &sink);
    ps_page_table_dump(&app->stage.table, ps_stage_layout, ps_stage_layout_count, &sink);
    ps_virtual_dump(&app->stage.arena, &sink);
}

void facts_report_end(struct application *app, struct report *report)
{
    struct ps_page_table_counters tables = ps_page_table_counters(&app->stage.table);

    report_frames(app, report);
    report_fact(report, "unexpected-interrupts", "%" PS_PRIu, traps_unexpected());
    report_fact(report, "page-table",
                "{\"leaves_4k\":%" PS_PRIu ",\"leaves_2m\":%" PS_PRIu ",\"leaves_1g\":%" PS_PRIu
                ",\"tables\":%" PS_PRIu ",\"demotions\":%" PS_PRIu ",\"promotions\":%" PS_PRIu
                ",\"rounds\":%" PS_PRIu "}",
                tables.leaves[1], tables.leaves[2], tables.leaves[3], tables.tables,
                tables.demotions[2] + tables.demotions[3],
                tables.promotions[2] + tables.promotions[3], tables.rounds);
    if (app->config.log == CONFIG_LOG_VERBOSE)
        dump_layers(app, report);
}
