#include "page_table_private.h"

struct protect {
    struct ps_walk walk;           /* first */
    bool only_write;               /* goes; else all attributes change */
    uint64_t bits[PS_LEAF_1G + 1]; /* of the new attributes, by level */
    struct ps_tlb_gather *gather;  /* told of the leaves that changed */
};

static inline uint64_t changed_entry(const struct protect *protect, uint64_t entry, unsigned level)
{
    if (protect->only_write)
        return entry & ~(uint64_t)PS_ENTRY_WRITABLE;
    return ps_entry_with_bits(entry, protect->bits[level], level);
}

static void protect_leaf(struct protect *protect, const struct ps_piece *piece)
{
    unsigned level = piece->level;
    uint64_t old;
    uint64_t new;

    do {
        old = ps_hw_entry_load(piece->entry);
        new = changed_entry(protect, old, level);
    } while (!ps_entry_change(piece->entry, old, new, ps_is_alone(protect->walk.table)));
    ps_gather_range(protect->walk.table, protect->gather, ps_piece_range(piece), level, old);
}

/* The same for all leaves of a table of 4 KiB pages. */
static void protect_small(struct protect *protect, struct ps_piece *piece)
{
    struct ps_page_table *table = protect->walk.table;
    bool alone = ps_is_alone(table);
    uint64_t *entry = piece->entry;
    uint64_t count = piece->count;
    uint64_t changed = 0; /* the first of the changed ones side by side that end here */
    uint64_t seen = 0;

    for (uint64_t n = 0; n < count; n++) {
        uint64_t old = ps_hw_entry_load(&entry[n]);

        if (!ps_entry_is_present(old) || old == changed_entry(protect, old, 1)) {
            ps_gather_small(table, protect->gather, piece, changed, n);
            changed = n + 1;
            continue;
        }
        while (!ps_entry_change(&entry[n], old, changed_entry(protect, old, 1), alone))
            old = ps_hw_entry_load(&entry[n]);
        seen |= old;
    }
    ps_gather_small(table, protect->gather, piece, changed, count);
    protect->gather->what.global |= (seen & PS_ENTRY_GLOBAL) != 0;
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
        if (entry == changed_entry(protect, entry, piece->level))
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
    struct ps_tlb_gather gather;
    struct protect protect = {
        .walk = {.table = table, .visit = protect_visit},
        .gather = &gather,
    };
    ps_status status;

    status = ps_check_cuts(table, range);
    if (status == PS_OK)
        status = ps_types_check_protect(table, range, attr);
    if (status != PS_OK)
        return status;
    for (unsigned level = PS_LEAF_4K; level <= PS_LEAF_1G; level++)
        protect.bits[level] = ps_entry_leaf_bits(attr, level, table->machine);
    ps_note_global(table, attr);
    ps_tlb_gather_init(&gather, table->machine);
    (void)ps_walk(&protect.walk, range);
    if (ps_gather_flush(table, &gather))
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
    if (pages.count == 1 && ps_protect_single(table, va, attr))
        return PS_OK;
    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    return ps_page_table_leave(table, protect_range(table, range, attr));
}

ps_status ps_page_table_remove_write(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                     struct ps_tlb_gather *gather)
{
    struct protect protect = {
        .walk = {.table = table, .visit = protect_visit},
        .only_write = true,
        .gather = gather,
    };
    struct ps_page_range range;
    ps_status status;

    if (gather == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    status = ps_check_cuts(table, range);
    if (status == PS_OK)
        (void)ps_walk(&protect.walk, range);
    return ps_page_table_leave(table, status);
}
