#include "page_table_private.h"

/* ---- protect ---- */

struct protect {
    struct ps_walk walk; /* first */
    ps_attr_t attr;
    struct ps_tlb_gather gather;
};

static bool loses_something(ps_attr_t from, ps_attr_t to)
{
    return (from.access & ~(unsigned)to.access) != 0 || from.cache != to.cache;
}

static void protect_leaf(struct protect *protect, const struct ps_piece *piece)
{
    const struct ps_page_table *table = protect->walk.table;
    uint64_t old;
    uint64_t new;

    do {
        old = ps_hw_entry_load(piece->entry);
        new = ps_entry_with_attr(old, protect->attr, piece->level, table->machine);
    } while (!ps_entry_change(piece->entry, old, new));
    if (loses_something(ps_entry_attr(old, piece->level), protect->attr))
        ps_tlb_gather_add(&protect->gather, ps_virt_of_page(table, piece->page),
                          ps_range_pages(ps_piece_span(piece)));
}

static bool protect_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    struct protect *protect = (struct protect *)(void *)walk;

    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_present(entry))
            continue;
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        if (ps_attr_equal(ps_entry_attr(entry, piece->level), protect->attr))
            continue;
        if (!ps_piece_is_whole(piece)) {
            ps_cut(walk->table, piece);
            return true;
        }
        protect_leaf(protect, piece);
    }
    return true;
}

static ps_status protect_range(struct ps_page_table *table, struct ps_page_range range,
                               ps_attr_t attr)
{
    struct protect protect = {
        .walk = {.table = table, .visit = protect_visit},
        .attr = attr,
    };
    ps_status status = ps_check_cuts(table, range);

    if (status != PS_OK)
        return status;
    ps_tlb_gather_init(&protect.gather, table->machine);
    (void)ps_walk(&protect.walk, range);
    table->counters.rounds += ps_tlb_gather_flush(&protect.gather);
    return PS_OK;
}

ps_status ps_page_table_protect(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                ps_attr_t attr)
{
    struct ps_page_range range;
    ps_status status;

    if (!ps_attr_is_valid(attr))
        return PS_INVALID_ARGS;
    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    return ps_page_table_leave(table, protect_range(table, range, attr));
}

/* ---- harvest ---- */

struct harvest {
    struct ps_walk walk; /* first */
    void (*visit)(void *context, ps_virt_t va, ps_pages_t pages, bool dirty);
    void *context;
    struct ps_tlb_gather gather;
};

static void harvest_leaf(struct harvest *harvest, const struct ps_piece *piece)
{
    const uint64_t both = PS_ENTRY_ACCESSED | PS_ENTRY_DIRTY;
    struct ps_page_range span = ps_piece_span(piece);
    ps_virt_t va = ps_virt_of_page(harvest->walk.table, span.first);
    uint64_t old;

    do
        old = ps_hw_entry_load(piece->entry);
    while (!ps_entry_change(piece->entry, old, old & ~both));
    ps_tlb_gather_add(&harvest->gather, va, ps_range_pages(span));
    harvest->visit(harvest->context, va, ps_range_pages(span), ps_entry_is_dirty(old));
}

static bool harvest_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_present(entry))
            continue;
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        if (ps_entry_is_accessed(entry) || ps_entry_is_dirty(entry))
            harvest_leaf((struct harvest *)(void *)walk, piece);
    }
    return true;
}

static ps_status harvest_range(struct harvest *harvest, struct ps_page_range range)
{
    struct ps_page_table *table = harvest->walk.table;
    ps_status status = ps_check_own(table, range);

    if (status != PS_OK)
        return status;
    ps_tlb_gather_init(&harvest->gather, table->machine);
    (void)ps_walk(&harvest->walk, range);
    table->counters.rounds += ps_tlb_gather_flush(&harvest->gather);
    return PS_OK;
}

ps_status ps_page_table_harvest(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                void (*visit)(void *context, ps_virt_t va, ps_pages_t pages,
                                              bool dirty),
                                void *context)
{
    struct harvest harvest = {
        .walk = {.table = table, .visit = harvest_visit},
        .visit = visit,
        .context = context,
    };
    struct ps_page_range range;
    ps_status status;

    if (visit == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    return ps_page_table_leave(table, harvest_range(&harvest, range));
}
