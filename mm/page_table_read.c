#include "page_table_private.h"

struct reader {
    struct ps_walk walk; /* first */
    bool (*visit)(void *context, const struct ps_mapped_range *range);
    void *context;
    struct ps_mapped_range range; /* read so far and not shown; no pages: none */
};

static struct ps_mapped_range range_of_leaf(const struct ps_page_table *table,
                                            const struct ps_piece *piece, uint64_t entry)
{
    return (struct ps_mapped_range){
        .va = ps_virt_of_page(table, piece->page),
        .pages = ps_pages(ps_level_pages(piece->level)),
        .frame = ps_entry_leaf_frame(entry, piece->level),
        .attr = ps_entry_attr(entry, piece->level),
        .leaf = (enum ps_leaf)piece->level,
        .permanent = ps_entry_is_permanent(entry),
    };
}

static bool continues(const struct ps_mapped_range *range, const struct ps_mapped_range *leaf)
{
    return range->pages.count != 0 && ps_attr_equal(range->attr, leaf->attr) &&
           range->leaf == leaf->leaf && range->permanent == leaf->permanent &&
           ps_virt_add_pages(range->va, range->pages).addr == leaf->va.addr &&
           range->frame.number + range->pages.count == leaf->frame.number;
}

static bool show(const struct reader *reader)
{
    return reader->range.pages.count == 0 || reader->visit(reader->context, &reader->range);
}

static bool read_leaf(struct reader *reader, const struct ps_piece *piece, uint64_t entry)
{
    struct ps_mapped_range leaf = range_of_leaf(reader->walk.table, piece, entry);

    if (continues(&reader->range, &leaf)) {
        reader->range.pages.count += leaf.pages.count;
        return true;
    }
    if (!show(reader))
        return false;
    reader->range = leaf;
    return true;
}

static bool read_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    struct reader *reader = (struct reader *)(void *)walk;

    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_present(entry))
            continue;
        if (ps_entry_has_leaf(entry, piece->level)) {
            if (!read_leaf(reader, piece, entry))
                return false;
        } else if (!ps_piece_is_shared(walk->table, piece, entry)) {
            return true;
        }
    }
    return true;
}

void ps_page_table_for_each(struct ps_page_table *table,
                            bool (*visit)(void *context, const struct ps_mapped_range *range),
                            void *context)
{
    struct reader reader = {
        .walk = {.table = table, .visit = read_visit},
        .visit = visit,
        .context = context,
    };

    if (table == NULL || visit == NULL || !ps_page_table_is_created(table))
        return;
    ps_page_table_lock(table);
    if (ps_walk(&reader.walk, ps_range_of_space(table)))
        (void)show(&reader);
    ps_page_table_unlock(table);
}
