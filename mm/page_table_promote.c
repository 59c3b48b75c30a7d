#include "page_table_private.h"

/*
 * Promotion: the way back from a cut. The tables of small leaves go back to the pool after the
 * round, when no processor walks through them any more; the large leaf and the small ones
 * translate alike, so either may be used until then.
 */

struct promote {
    struct ps_walk walk; /* first */
    unsigned lowest;     /* level of the large leaves that are to be made, or higher ones */
    ps_frame_t tables;   /* that large leaves have replaced; frame 0 ends the list */
    struct ps_tlb_gather *gather;
};

/* ---- a list of tables that processors still walk through ---- */

static void push_live(struct promote *promote, ps_frame_t frame)
{
    uint64_t *entries = ps_hw_frame(promote->walk.table->machine, frame);
    uint64_t next = promote->tables.number;

    /* Behind the entries of a small geometry anything may stand, an old link as well. */
    for (unsigned i = 0; i < PS_ENTRY_LINKS; i++) {
        uint64_t old;

        do
            old = ps_hw_entry_load(&entries[i]);
        while (!ps_entry_change(&entries[i], old, ps_entry_with_link(old, next, i),
                                ps_is_alone(promote->walk.table)));
    }
    promote->tables = frame;
}

static ps_frame_t pop_dead(struct promote *promote)
{
    ps_frame_t frame = promote->tables;
    const uint64_t *entries = ps_hw_frame(promote->walk.table->machine, frame);
    uint64_t next = 0;

    for (unsigned i = 0; i < PS_ENTRY_LINKS; i++)
        next |= ps_entry_link(entries[i], i);
    promote->tables = ps_frame(next);
    return frame;
}

/* ---- the walk ---- */

/* Only tables are of interest, and these when the walk leaves them. */
static bool promote_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    const struct promote *promote = (const struct promote *)(const void *)walk;

    if (piece->level < promote->lowest)
        ps_piece_skip(piece, piece->count);
    while (piece->count != 0) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (entry != 0 && !ps_entry_has_leaf(entry, piece->level))
            return true;
        ps_piece_next(piece);
    }
    return true;
}

/* Leaves of the table that map what one large leaf maps, with the history of all; 0: no. */
static uint64_t merged(const uint64_t *entries, unsigned level)
{
    uint64_t first = ps_hw_entry_load(&entries[0]) & ~PS_ENTRY_USE;
    uint64_t step = ps_level_pages(level) << PS_PAGE_SHIFT;
    uint64_t expected = first;
    uint64_t seen = 0;

    if (!ps_entry_is_leaf(first, level) || ps_entry_is_permanent(first) ||
        (first & PS_ENTRY_EXECUTABLE) != 0 ||
        !ps_is_aligned(ps_entry_leaf_frame(first, level).number, ps_level_pages(level + 1)))
        return 0;
    for (uint64_t i = 0; i < PS_TABLE_ENTRIES; i++, expected += step) {
        uint64_t entry = ps_hw_entry_load(&entries[i]);

        seen |= entry;
        if ((entry & ~PS_ENTRY_USE) != expected)
            return 0;
    }
    return first | (seen & PS_ENTRY_USE);
}

/*
 * The large leaf in place of small ones. On another processor a small leaf may become dirty
 * until the round is over, and nobody would look at it any more: so there it counts as such.
 */
static uint64_t large_leaf(const struct ps_machine *machine, uint64_t small, unsigned level)
{
    uint64_t large = ps_entry_leaf(ps_entry_leaf_frame(small, level - 1),
                                   ps_entry_attr(small, level - 1), level, machine) |
                     (small & PS_ENTRY_TYPED);

    large |= small & PS_ENTRY_USE;
    if (machine->processors > 1)
        large |= PS_ENTRY_ACCESSED | ((small & PS_ENTRY_WRITABLE) != 0 ? PS_ENTRY_DIRTY : 0);
    return large;
}

static void promote_leave(struct ps_walk *walk, struct ps_piece *piece,
                          const struct ps_piece *child)
{
    struct promote *promote = (struct promote *)(void *)walk;
    struct ps_page_table *table = walk->table;
    uint64_t entry = ps_hw_entry_load(piece->entry);
    ps_frame_t frame = ps_entry_table_frame(entry);
    uint64_t small;

    (void)child;
    if (piece->level > ps_level_largest_leaf(table->machine) || !ps_entry_is_present(entry) ||
        ps_entry_used(entry) != PS_TABLE_ENTRIES || !ps_piece_is_whole(piece) ||
        /* defensive: only in small geometries may the root hold large leaves. */
        ps_entry_is_anchored(entry))
        return;
    small = merged(ps_hw_frame(table->machine, frame), piece->level - 1);
    if (small == 0 || ps_frame_pool_promise(table->pool, ps_pages(1)) != PS_OK)
        return;
    ps_hw_entry_store(piece->entry, large_leaf(table->machine, small, piece->level));
    /* Translations of the small leaves, of any size, would outlive a change of the large one. */
    ps_gather_range(table, promote->gather, ps_piece_span(piece), PS_LEAF_4K, small);
    push_live(promote, frame);
    table->counters.leaves[piece->level - 1] -= PS_TABLE_ENTRIES;
    table->counters.leaves[piece->level]++;
    table->counters.promotions[piece->level]++;
    table->counters.promised++;
    table->counters.tables--;
}

/* Large leaves of the level `lowest` and above. */
static void promote_tables(struct ps_page_table *table, struct ps_page_range range, unsigned lowest)
{
    struct ps_tlb_gather gather;
    struct promote promote = {
        .gather = &gather,
        .lowest = lowest,
        .walk = {.table = table,
                 .visit = promote_visit,
                 .leave = promote_leave,
                 .leaves_all = true},
    };

    ps_tlb_gather_init(&gather, table->machine);
    (void)ps_walk(&promote.walk, range);
    (void)ps_gather_flush(table, &gather);
    while (promote.tables.number != 0)
        ps_frames_give_back(table, pop_dead(&promote));
}

void ps_promote_around(struct ps_page_table *table, struct ps_page_range range)
{
    unsigned largest = table->promotes ? ps_level_largest_leaf(table->machine) : 1;

    /* A leaf that has just been mapped may complete a table as well as one that was promoted. */
    for (unsigned level = PS_LEAF_2M; level <= largest; level++) {
        uint64_t mask = ps_level_pages(level) - 1;

        range.first &= ~mask;
        range.last |= mask;
        promote_tables(table, range, level);
    }
}

static ps_status promote_range(struct ps_page_table *table, struct ps_page_range range)
{
    ps_status status = ps_check_own(table, range);

    if (status == PS_OK)
        promote_tables(table, range, PS_LEAF_2M);
    return status;
}

ps_status ps_page_table_promote(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages)
{
    struct ps_page_range range;
    ps_status status;

    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    return ps_page_table_leave(table, promote_range(table, range));
}

ps_status ps_page_table_set_promotes(struct ps_page_table *table, bool promotes)
{
    if (table == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table))
        return PS_BAD_STATE;
    ps_page_table_lock(table);
    table->promotes = promotes;
    return ps_page_table_leave(table, PS_OK);
}
