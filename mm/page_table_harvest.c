#include "page_table_private.h"

/* ---- harvest ---- */

struct harvest {
    struct ps_walk walk; /* first */
    const struct ps_harvest *request;
    struct ps_tlb_gather *gather; /* told of the leaves whose bits were cleared */
};

/* What the leaf was when its bits were cleared: it may have become dirty since it was looked at. */
static uint64_t clear_history(const struct harvest *harvest, const struct ps_piece *piece)
{
    const struct ps_page_table *table = harvest->walk.table;
    uint64_t old;

    do
        old = ps_hw_entry_load(piece->entry);
    while (!ps_entry_change(piece->entry, old, old & ~PS_ENTRY_USE, ps_is_alone(table)));
    ps_gather_range(table, harvest->gather, ps_piece_span(piece), piece->level, old);
    return old;
}

static void harvest_leaf(const struct harvest *harvest, const struct ps_piece *piece,
                         uint64_t entry)
{
    const struct ps_harvest *request = harvest->request;
    struct ps_page_range span = ps_piece_span(piece);

    if ((request->flags & PS_HARVEST_KEEP) == 0)
        entry = clear_history(harvest, piece);
    if (request->visit != NULL)
        request->visit(request->context, ps_virt_of_page(harvest->walk.table, span.first),
                       ps_range_pages(span), ps_entry_is_dirty(entry));
}

static bool harvest_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_present(entry))
            continue;
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        if ((entry & PS_ENTRY_USE) != 0)
            harvest_leaf((const struct harvest *)(void *)walk, piece, entry);
    }
    return true;
}

static ps_status harvest_range(struct ps_page_table *table, struct ps_page_range range,
                               const struct ps_harvest *request)
{
    struct ps_tlb_gather gather;
    struct harvest harvest = {
        .walk = {.table = table, .visit = harvest_visit},
        .request = request,
        .gather = &gather,
    };
    ps_status status = ps_check_own(table, range);
    bool frees = (request->flags & PS_HARVEST_FREE_TABLES) != 0 && table->retired == 0;

    if (status != PS_OK)
        return status;
    ps_tlb_gather_init(&gather, table->machine);
    if (frees)
        ps_retire_unused(table, range, &gather);
    (void)ps_walk(&harvest.walk, range);
    (void)ps_gather_flush(table, &gather);
    if (frees)
        ps_sweep(table, range, request->release);
    return PS_OK;
}

ps_status ps_page_table_harvest(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                const struct ps_harvest *harvest)
{
    const unsigned known = PS_HARVEST_KEEP | PS_HARVEST_FREE_TABLES;
    struct ps_page_range range;
    ps_status status;
    bool entered;

    if (harvest == NULL || (harvest->flags & ~known) != 0)
        return PS_INVALID_ARGS;
    entered = harvest->flags == PS_HARVEST_KEEP
                  ? ps_page_table_enter_to_look(table, va, pages, &range, &status)
                  : ps_page_table_enter(table, va, pages, &range, &status);
    if (!entered)
        return status;
    return ps_page_table_leave(table, harvest_range(table, range, harvest));
}

/* ---- the opposite ---- */

static bool mark_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    bool alone = ps_is_alone(walk->table);

    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_present(entry))
            continue;
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        while (!ps_entry_change(piece->entry, entry, entry | PS_ENTRY_ACCESSED, alone))
            entry = ps_hw_entry_load(piece->entry);
    }
    return true;
}

ps_status ps_page_table_mark_accessed(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages)
{
    struct ps_walk walk = {.table = table, .visit = mark_visit};
    struct ps_page_range range;
    ps_status status;

    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    status = ps_check_own(table, range);
    if (status == PS_OK)
        (void)ps_walk(&walk, range);
    return ps_page_table_leave(table, status);
}
