#include "page_table_private.h"

static const char *const leaf_names[] = {"-", "4K", "2M", "1G"};

/* ---- all ranges ---- */

struct dump {
    const struct ps_range_name *names;
    size_t name_count;
    const struct ps_sink *sink;
};

static const char *name_of(const struct dump *dump, ps_virt_t va)
{
    for (size_t i = 0; i < dump->name_count; i++)
        if (va.addr >= dump->names[i].first.addr && va.addr <= dump->names[i].last.addr)
            return dump->names[i].name;
    return "";
}

static bool dump_range(void *context, const struct ps_mapped_range *range)
{
    const struct dump *dump = context;
    struct ps_attr_text attr = ps_attr_text(range->attr);
    char text[16];
    struct ps_text_buffer size;
    struct ps_sink size_sink = ps_text_buffer_sink(&size, text, sizeof(text));

    ps_print_size(&size_sink, ps_bytes_of_pages(range->pages));
    ps_print(dump->sink,
             "0x%016" PS_PRIx "-0x%016" PS_PRIx " %10s %s %-3s %s%c frames 0x%" PS_PRIx
             "-0x%" PS_PRIx " %s\n",
             range->va.addr, ps_virt_last(range->va, range->pages).addr, text, attr.access,
             attr.cache, leaf_names[range->leaf], range->permanent ? '!' : ' ', range->frame.number,
             range->frame.number + (range->pages.count - 1), name_of(dump, range->va));
    return true;
}

void ps_page_table_dump(struct ps_page_table *table, const struct ps_range_name *names,
                        size_t name_count, const struct ps_sink *sink)
{
    struct dump dump = {names, names != NULL ? name_count : 0, sink};

    ps_page_table_for_each(table, dump_range, &dump);
}

/* ---- the way to one address ---- */

static void dump_entry(const struct ps_page_table *table, unsigned level, uint64_t index,
                       uint64_t entry, const struct ps_sink *sink)
{
    struct ps_attr_text attr;

    ps_print(sink, "level %u entry %" PS_PRIu ": 0x%016" PS_PRIx, level, index, entry);
    if (entry == 0) {
        ps_print(sink, " empty\n");
    } else if (ps_entry_is_table(entry, level)) {
        ps_print(sink, " table, %" PS_PRIu " used\n", ps_entry_used(entry));
    } else if (ps_entry_is_leaf(entry, level) && level <= ps_level_largest_leaf(table->machine)) {
        attr = ps_attr_text(ps_entry_attr(entry, level));
        ps_print(sink, " %s leaf, frame 0x%" PS_PRIx " %s %s%s%s\n", leaf_names[level],
                 ps_entry_leaf_frame(entry, level).number, attr.access, attr.cache,
                 ps_entry_is_accessed(entry) ? " accessed" : "",
                 ps_entry_is_dirty(entry) ? " dirty" : "");
    } else {
        ps_print(sink, ps_entry_is_retired(entry) ? " retired\n" : " not valid\n");
    }
}

void ps_page_table_dump_walk(const struct ps_page_table *table, ps_virt_t va,
                             const struct ps_sink *sink)
{
    uint64_t page;
    ps_frame_t frame;

    if (table == NULL || !ps_page_table_is_created(table)) {
        ps_print(sink, "no page table\n");
        return;
    }
    if (!ps_virt_is_canonical(table, va)) {
        ps_print(sink, "0x%016" PS_PRIx " is not canonical\n", va.addr);
        return;
    }
    page = ps_page_of_virt(table, va);
    frame = table->root;
    /* It ends at level 1 at the latest, where no entry is a table. */
    for (unsigned level = table->levels;; level--) {
        uint64_t entry = ps_hw_entry_load(ps_table_entry(table, frame, level, page));

        dump_entry(table, level, ps_level_index(page, level), entry, sink);
        if (!ps_entry_is_table(entry, level))
            return;
        frame = ps_entry_table_frame(entry);
        if (frame.number > ps_frame_largest(table->machine)) {
            ps_print(sink, "no such frame\n");
            return;
        }
    }
}
