#include "page_table_private.h"

/* ---- protect ---- */

struct protect {
    struct ps_walk walk;           /* first */
    uint64_t bits[PS_LEAF_1G + 1]; /* of the new attributes, by level */
    struct ps_hull hull;           /* of the pages that changed */
};

static void protect_leaf(struct protect *protect, const struct ps_piece *piece)
{
    unsigned level = piece->level;
    uint64_t old;
    uint64_t new;

    do {
        old = ps_hw_entry_load(piece->entry);
        new = ps_entry_with_bits(old, protect->bits[level], level);
    } while (!ps_entry_change(piece->entry, old, new));
    ps_hull_add(&protect->hull, ps_piece_range(piece));
}

/* The same for all leaves of a table of 4 KiB pages. */
static void protect_small(struct protect *protect, struct ps_piece *piece)
{
    uint64_t bits = protect->bits[1];
    uint64_t *entry = piece->entry;
    uint64_t count = piece->count;
    struct ps_hull hull = {0};

    for (uint64_t n = 0; n < count; n++) {
        uint64_t old = ps_hw_entry_load(&entry[n]);

        if (!ps_entry_is_present(old) || old == ps_entry_with_bits(old, bits, 1))
            continue;
        while (!ps_entry_change(&entry[n], old, ps_entry_with_bits(old, bits, 1)))
            old = ps_hw_entry_load(&entry[n]);
        ps_hull_add(&hull, (struct ps_page_range){n, n});
    }
    ps_hull_add_within(&protect->hull, piece, &hull);
    ps_piece_skip(piece, count);
}

static bool protect_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    struct protect *protect = (struct protect *)(void *)walk;

    if (piece->level == 1) {
        protect_small(protect, piece);
        return true;
    }
    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_present(entry))
            continue;
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        if (entry == ps_entry_with_bits(entry, protect->bits[piece->level], piece->level))
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
    };
    ps_status status;

    if (range.first == range.last && ps_protect_single(table, range.first, attr))
        return PS_OK;
    status = ps_check_cuts(table, range);
    if (status != PS_OK)
        return status;
    for (unsigned level = PS_LEAF_4K; level <= PS_LEAF_1G; level++)
        protect.bits[level] = ps_entry_leaf_bits(attr, level, table->machine);
    (void)ps_walk(&protect.walk, range);
    ps_hull_invalidate(table, &protect.hull);
    if (protect.hull.found)
        ps_promote_around(table, range);
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
    struct ps_hull hull;
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
    ps_hull_add(&harvest->hull, span);
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
    (void)ps_walk(&harvest->walk, range);
    ps_hull_invalidate(table, &harvest->hull);
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
