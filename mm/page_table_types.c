#include "page_table_private.h"

/*
 * Cache types. Leaves that map anything but write-back RAM are typed: the cache types are told
 * when such a leaf comes and when it goes. All others, nearly all there are, cost nothing.
 */

void ps_types_remove(const struct ps_page_table *table, ps_frame_t first, ps_pages_t pages)
{
    struct ps_cache_types *types = table->machine->cache_types;

    ps_cache_types_begin(types);
    ps_cache_types_remove(types, first, pages);
    ps_cache_types_end(types);
}

void ps_types_note(struct ps_page_table *table, struct ps_page_range range)
{
    ps_virt_t first = ps_virt_of_page(table, range.first);
    ps_virt_t last = ps_virt_last(first, ps_range_pages(range));

    table->typed_first = ps_virt(ps_min(table->typed_first.addr, first.addr));
    table->typed_last = ps_virt(ps_max(table->typed_last.addr, last.addr));
}

struct types_walk {
    struct ps_walk walk; /* first */
    unsigned cache;
};

static bool types_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    unsigned cache = ((const struct types_walk *)(void *)walk)->cache;

    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_present(entry))
            continue;
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        if (ps_entry_cache(entry, piece->level) != cache)
            return false;
    }
    return true;
}

/* Write-back is what all leaves are that are not typed. */
ps_status ps_types_check_protect(struct ps_page_table *table, struct ps_page_range range,
                                 ps_attr_t attr)
{
    struct types_walk types = {
        .walk = {.table = table, .visit = types_visit},
        .cache = attr.cache,
    };
    ps_virt_t first = ps_virt_of_page(table, range.first);
    ps_virt_t last = ps_virt_last(first, ps_range_pages(range));

    if (table->machine->cache_types == NULL ||
        (attr.cache == PS_CACHE_WRITE_BACK &&
         (first.addr > table->typed_last.addr || last.addr < table->typed_first.addr)))
        return PS_OK;
    return ps_walk(&types.walk, range) ? PS_OK : PS_ACCESS_DENIED;
}
