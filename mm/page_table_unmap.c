#include "page_table_private.h"

/* ---- retire ---- */

struct retire {
    struct ps_walk walk;          /* first */
    bool others;                  /* leaves were retired before this call that are not swept yet */
    bool whole;                   /* nobody looks at tables until they are swept */
    uint64_t leaves;              /* retired by this call */
    struct ps_tlb_gather *gather; /* told of these, and of what others have retired in the range */
};

static struct retire *retire_of(struct ps_walk *walk)
{
    return (struct retire *)(void *)walk;
}

/* Nobody asks any more whether a leaf was accessed or dirty: so the write need not be locked. */
static void retire_leaf(struct retire *retire, struct ps_piece *piece)
{
    struct ps_page_table *table = retire->walk.table;
    uint64_t old = ps_hw_entry_load(piece->entry);

    ps_hw_entry_store(piece->entry, ps_entry_retire(old));
    piece->retired++;
    retire->leaves++;
    table->counters.leaves[piece->level]--;
    ps_gather_range(table, retire->gather, ps_piece_range(piece), piece->level, old);
}

/* The same for all leaves of a table of 4 KiB pages; others' retired ones are covered as well. */
static void retire_small(struct retire *retire, struct ps_piece *piece)
{
    struct ps_page_table *table = retire->walk.table;
    uint64_t *entry = piece->entry;
    uint64_t count = piece->count;
    uint64_t used = 0; /* the first of the used ones side by side that end here */
    uint64_t retired = 0;
    uint64_t bits = 0;

    for (uint64_t n = 0; n < count; n++) {
        uint64_t old = ps_hw_entry_load(&entry[n]);

        bits |= old;
        if (old == 0) {
            ps_gather_small(table, retire->gather, piece, used, n);
            used = n + 1;
        } else if (ps_entry_is_present(old)) {
            ps_hw_entry_store(&entry[n], ps_entry_retire(old));
            retired++;
        }
    }
    ps_gather_small(table, retire->gather, piece, used, count);
    retire->gather->what.global |= (bits & PS_ENTRY_GLOBAL) != 0;
    piece->retired += retired;
    retire->leaves += retired;
    table->counters.leaves[1] -= retired;
    ps_piece_skip(piece, count);
}

/*
 * A table of 4 KiB leaves that goes with all it holds, and with too much for single invalidations:
 * unlinked, its leaves are out of reach, and need not be touched. For the sweep that follows in the
 * same call, under the same lock, they count as retired.
 */
static bool unlink(struct retire *retire, struct ps_piece *piece, uint64_t entry)
{
    struct ps_page_table *table = retire->walk.table;

    if (!retire->whole || piece->level != 2 || !ps_piece_is_whole(piece) ||
        ps_entry_used(entry) <= table->machine->flush_threshold ||
        /* defensive: only in small geometries does the root hold tables of level 1. */
        ps_entry_is_anchored(entry))
        return false;
    ps_hw_entry_store(piece->entry, ps_entry_retire(entry));
    ps_gather_range(table, retire->gather, ps_piece_range(piece), PS_LEAF_4K,
                    table->global ? PS_ENTRY_GLOBAL : 0);
    piece->retired++;
    return true;
}

static bool retire_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    struct retire *retire = retire_of(walk);

    if (piece->level == 1) {
        retire_small(retire, piece);
        return true;
    }
    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (entry == 0)
            continue;
        if (ps_entry_is_retired(entry)) {
            /* So is all under it. A sweep after our round may release it: cover it, too. */
            ps_gather_range(walk->table, retire->gather, ps_piece_range(piece), PS_LEAF_4K,
                            PS_ENTRY_GLOBAL);
            continue;
        }
        if (!ps_entry_has_leaf(entry, piece->level)) {
            if (!unlink(retire, piece, entry))
                return true;
            continue;
        }
        if (!ps_piece_is_whole(piece)) {
            ps_cut(walk->table, piece);
            return true;
        }
        retire_leaf(retire, piece);
    }
    return true;
}

static bool has_present_entry(const uint64_t *entries)
{
    for (uint64_t i = 0; i < PS_TABLE_ENTRIES; i++)
        if (ps_entry_is_present(ps_hw_entry_load(&entries[i])))
            return true;
    return false;
}

/* Nothing under this table can be reached any more. Looks at it only where numbers cannot tell. */
static bool is_all_retired(const struct retire *retire, uint64_t entry,
                           const struct ps_piece *child)
{
    if (child->retired == ps_entry_used(entry))
        return true;
    if (!retire->others || child->retired == 0)
        return false;
    return !has_present_entry(
        ps_hw_frame(retire->walk.table->machine, ps_entry_table_frame(entry)));
}

PS_COLD static void retire_leave(struct ps_walk *walk, struct ps_piece *piece,
                                 const struct ps_piece *child)
{
    uint64_t entry = ps_hw_entry_load(piece->entry);

    if (ps_entry_is_anchored(entry) || !is_all_retired(retire_of(walk), entry, child))
        return;
    ps_hw_entry_store(piece->entry, ps_entry_retire(entry));
    piece->retired++;
}

/* No leaf of a table of 4 KiB pages was used, nor is there for good or for all address spaces. */
static bool is_unused(const uint64_t *entries)
{
    uint64_t bits = 0;

    for (uint64_t i = 0; i < PS_TABLE_ENTRIES; i++)
        bits |= ps_hw_entry_load(&entries[i]);
    return (bits & (PS_ENTRY_USE | PS_ENTRY_PERMANENT | PS_ENTRY_GLOBAL)) == 0;
}

/*
 * All leaves of such a table but those that are used after all, by another processor just now:
 * these stay, with what it has set in them.
 */
static void retire_unused_small(struct retire *retire, struct ps_piece *piece)
{
    struct ps_page_table *table = retire->walk.table;

    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t old = ps_hw_entry_load(piece->entry);

        if (old == 0 || (old & PS_ENTRY_USE) != 0 ||
            !ps_entry_change(piece->entry, old, ps_entry_retire(old), ps_is_alone(table)))
            continue;
        ps_gather_range(table, retire->gather, ps_piece_range(piece), PS_LEAF_4K, old);
        piece->retired++;
        retire->leaves++;
        table->counters.leaves[1]--;
    }
}

/* Asked in the table itself: where that holds the whole range, nobody is asked above it. */
PS_COLD static bool retire_unused_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    if (piece->level == 1) {
        if (piece->count == PS_TABLE_ENTRIES && is_unused(piece->entry))
            retire_unused_small(retire_of(walk), piece);
        else
            ps_piece_skip(piece, piece->count);
        return true;
    }
    for (; piece->count != 0; ps_piece_next(piece))
        if (ps_entry_is_table(ps_hw_entry_load(piece->entry), piece->level))
            return true;
    return true;
}

PS_COLD void ps_retire_unused(struct ps_page_table *table, struct ps_page_range range,
                              struct ps_tlb_gather *gather)
{
    struct retire retire = {
        .walk = {.table = table, .visit = retire_unused_visit, .leave = retire_leave},
        .gather = gather,
    };

    (void)ps_walk(&retire.walk, range);
    table->retired += retire.leaves;
}

PS_COLD static ps_status retire_range(struct ps_page_table *table, struct ps_page_range range,
                                      bool whole, struct ps_tlb_gather *gather)
{
    struct retire retire = {
        .walk = {.table = table, .visit = retire_visit, .leave = retire_leave},
        .others = table->retired != 0,
        .whole = whole,
        .gather = gather,
    };
    ps_status status = ps_check_cuts(table, range);

    if (status != PS_OK)
        return status;
    (void)ps_walk(&retire.walk, range);
    table->retired += retire.leaves;
    return PS_OK;
}

PS_COLD ps_status ps_page_table_retire(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                       struct ps_tlb_gather *gather)
{
    struct ps_page_range range;
    ps_status status;

    if (gather == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    return ps_page_table_leave(table, retire_range(table, range, false, gather));
}

/* ---- sweep ---- */

struct sweep {
    struct ps_walk walk; /* first */
    const struct ps_frame_release *release;
    ps_frame_t first; /* frames that the receiver has not been told of yet */
    ps_pages_t pages;
    uint64_t promised; /* for leaves that are gone */
};

static struct sweep *sweep_of(struct ps_walk *walk)
{
    return (struct sweep *)(void *)walk;
}

static void tell(struct sweep *sweep)
{
    if (sweep->pages.count != 0 && sweep->release != NULL)
        sweep->release->release(sweep->release->context, sweep->first, sweep->pages);
    sweep->pages = ps_pages(0);
}

/* Neighbouring frames are told of together. */
static void add_released(struct sweep *sweep, ps_frame_t first, uint64_t pages)
{
    if (sweep->pages.count == 0 || first.number != sweep->first.number + sweep->pages.count) {
        tell(sweep);
        sweep->first = first;
    }
    sweep->pages.count += pages;
}

static void free_table(struct ps_page_table *table, struct ps_piece *piece, ps_frame_t frame)
{
    ps_hw_entry_store(piece->entry, 0);
    piece->removed++;
    table->counters.tables--;
    ps_frames_give_back(table, frame);
}

static void release_leaf(struct sweep *sweep, uint64_t leaf, unsigned level)
{
    ps_frame_t first = ps_entry_leaf_frame(leaf, level);

    if ((leaf & PS_ENTRY_TYPED) != 0)
        ps_types_remove(sweep->walk.table, first, ps_pages(ps_level_pages(level)));
    add_released(sweep, first, ps_level_pages(level));
}

static void sweep_leaf(struct sweep *sweep, struct ps_piece *piece, uint64_t entry)
{
    struct ps_page_table *table = sweep->walk.table;
    uint64_t leaf = ps_entry_unretire(entry);

    ps_hw_entry_store(piece->entry, 0);
    piece->removed++;
    table->retired--;
    sweep->promised += ps_entry_promised(leaf, piece->level);
    release_leaf(sweep, leaf, piece->level);
}

/* The frames of leaves in a table, side by side, that nobody has been told of yet. */
struct run {
    uint64_t first;
    uint64_t pages;
};

static inline void add_to_run(struct sweep *sweep, struct run *run, uint64_t leaf)
{
    uint64_t frame = ps_entry_leaf_frame(leaf, PS_LEAF_4K).number;

    if ((leaf & PS_ENTRY_TYPED) != 0)
        ps_types_remove(sweep->walk.table, ps_frame(frame), ps_pages(1));
    if (run->pages != 0 && frame != run->first + run->pages) {
        add_released(sweep, ps_frame(run->first), run->pages);
        run->pages = 0;
    }
    run->first = run->pages == 0 ? frame : run->first;
    run->pages++;
}

/* The same for all leaves of a table of 4 KiB pages, for which nothing is promised. */
static void sweep_small(struct sweep *sweep, struct ps_piece *piece)
{
    uint64_t *entry = piece->entry;
    uint64_t count = piece->count;
    uint64_t removed = 0;
    struct run run = {0};

    for (uint64_t n = 0; n < count; n++) {
        uint64_t old = ps_hw_entry_load(&entry[n]);

        if (!ps_entry_is_retired(old))
            continue;
        ps_hw_entry_store(&entry[n], 0);
        removed++;
        add_to_run(sweep, &run, ps_entry_unretire(old));
    }
    if (run.pages != 0)
        add_released(sweep, ps_frame(run.first), run.pages);
    piece->removed += removed;
    sweep->walk.table->retired -= removed;
    ps_piece_skip(piece, count);
}

/* A table that was unlinked, or retired with all it holds: nobody will read it again. */
static void sweep_table(struct sweep *sweep, struct ps_piece *piece, uint64_t entry)
{
    struct ps_page_table *table = sweep->walk.table;
    ps_frame_t frame = ps_entry_table_frame(ps_entry_unretire(entry));
    const uint64_t *entries = ps_hw_frame(table->machine, frame);
    uint64_t used = ps_entry_used(entry);
    uint64_t retired = 0;
    struct run run = {0};

    for (uint64_t n = 0; n < PS_TABLE_ENTRIES; n++) {
        uint64_t old = ps_hw_entry_load(&entries[n]);

        if (old == 0)
            continue;
        if (ps_entry_is_retired(old)) {
            old = ps_entry_unretire(old);
            retired++;
        }
        add_to_run(sweep, &run, old);
    }
    add_released(sweep, ps_frame(run.first), run.pages);
    table->retired -= retired;
    table->counters.leaves[1] -= used - retired;
    free_table(table, piece, frame);
}

static bool sweep_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    struct sweep *sweep = sweep_of(walk);

    if (piece->level == 1) {
        sweep_small(sweep, piece);
        return true;
    }
    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);
        bool whole = ps_piece_is_whole(piece);

        if (entry == 0)
            continue;
        if (piece->level == 2 && whole && ps_entry_is_retired_table(entry, 2))
            sweep_table(sweep, piece, entry);
        else if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        else if (whole && ps_entry_is_retired(entry))
            sweep_leaf(sweep, piece, entry);
    }
    return true;
}

/* A table that ran empty here was retired before the invalidation: nobody knows it any more. */
PS_COLD static void sweep_leave(struct ps_walk *walk, struct ps_piece *piece,
                                const struct ps_piece *child)
{
    uint64_t entry = ps_hw_entry_load(piece->entry);

    (void)child;
    if (ps_entry_used(entry) != 0 || ps_entry_is_anchored(entry))
        return;
    free_table(walk->table, piece, ps_entry_table_frame(ps_entry_unretire(entry)));
}

void ps_sweep(struct ps_page_table *table, struct ps_page_range range,
              const struct ps_frame_release *release)
{
    struct sweep sweep = {
        .walk = {.table = table, .visit = sweep_visit, .leave = sweep_leave},
        .release = release,
    };

    (void)ps_walk(&sweep.walk, range);
    if (sweep.promised != 0)
        ps_frames_unpromise(table, sweep.promised);
    tell(&sweep);
}

PS_COLD ps_status ps_page_table_sweep(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                      const struct ps_frame_release *release)
{
    struct ps_page_range range;
    ps_status status;

    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    status = ps_check_own(table, range);
    if (status == PS_OK)
        ps_sweep(table, range, release);
    return ps_page_table_leave(table, status);
}

/* ---- all of it ---- */

static ps_status unmap(struct ps_page_table *table, struct ps_page_range range,
                       const struct ps_frame_release *release)
{
    struct ps_tlb_gather gather;
    ps_status status;

    ps_tlb_gather_init(&gather, table->machine);
    status = retire_range(table, range, true, &gather);
    if (status != PS_OK || gather.leaves == 0)
        return status;
    (void)ps_gather_flush(table, &gather);
    ps_sweep(table, range, release);
    return PS_OK;
}

ps_status ps_page_table_unmap(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                              const struct ps_frame_release *release)
{
    struct ps_page_range range;
    ps_status status;

    if (pages.count == 1 && ps_unmap_single(table, va, release))
        return PS_OK;
    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    return ps_page_table_leave(table, unmap(table, range, release));
}
