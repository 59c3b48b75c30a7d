/*
 * The inside of the page-table engine: one walker, and what its visitors share.
 *
 * A visitor sees one table at a time, as a piece: the entries of that table which the range
 * touches. It handles entries from the front of the piece, in a loop of its own, and comes
 * back either when none is left or when the next one is a table that has to be walked:
 *
 *     piece  | leaf | leaf | table | leaf | leaf |
 *              visitor       walker  visitor
 *
 * What the visitor did to the number of used entries it adds up in the piece; the walker
 * writes the sum into the table's entry once, when the table is done.
 *
 * Invariants between calls, on top of those in the public header:
 *
 *   - A table other than the root is anchored or has used entries.
 *   - A table whose used entries are all retired is retired itself, unless it is anchored:
 *     no processor can have cached the way to it when the sweep gives its frame back.
 *   - The pool has promised exactly what cutting all cuttable leaves down to 4 KiB takes.
 */
#ifndef PS_PAGE_TABLE_PRIVATE_H
#define PS_PAGE_TABLE_PRIVATE_H

#include <pagestage/cache_types.h>
#include <pagestage/page_table.h>

#include "entry.h"
#include "cold_private.h"
#include "hw.h"

/*
 * Pages by number, both ends inclusive: counted from the first entry of the root to the
 * last, so that a page of the upper half has no sign bits and both halves are one range.
 */
struct ps_page_range {
    uint64_t first;
    uint64_t last;
};

static inline ps_pages_t ps_range_pages(struct ps_page_range range)
{
    return ps_pages(range.last - range.first + 1);
}

/* All pages of an address space. */
static inline struct ps_page_range ps_range_of_space(const struct ps_page_table *table)
{
    return (struct ps_page_range){0, ps_level_pages(table->levels + 1u) - 1};
}

static inline uint64_t ps_page_of_virt(const struct ps_page_table *table, ps_virt_t va)
{
    return va.addr >> PS_PAGE_SHIFT & ps_range_of_space(table).last;
}

/* The canonical address: bits above those of the root's index repeat its top bit. */
static inline ps_virt_t ps_virt_of_page(const struct ps_page_table *table, uint64_t page)
{
    uint64_t last = ps_range_of_space(table).last;

    return ps_virt((page > last / 2 ? page | ~last : page) << PS_PAGE_SHIFT);
}

static inline bool ps_virt_is_canonical(const struct ps_page_table *table, ps_virt_t va)
{
    unsigned bits = PS_PAGE_SHIFT + PS_TABLE_INDEX_BITS * table->levels;
    int64_t top = (int64_t)va.addr >> (bits - 1);

    return top == 0 || top == -1;
}

/* ---- the walker ---- */

struct ps_piece {
    uint64_t *entry; /* the next one to handle */
    uint64_t count;  /* entries from there on */
    unsigned level;
    uint64_t mask; /* pages that one entry spans, less 1 */
    uint64_t page; /* first page of the range under `entry` */
    uint64_t last; /* last page of the range under this table */

    /* What the visitor did. */
    uint64_t added;   /* empty entries that are used now */
    uint64_t removed; /* the opposite */
    uint64_t retired; /* entries that are retired now */
};

/* All pages that the next entry spans, in the range or not. */
static inline struct ps_page_range ps_piece_span(const struct ps_piece *piece)
{
    return (struct ps_page_range){piece->page & ~piece->mask, piece->page | piece->mask};
}

/* Those of them that are in the range. */
static inline struct ps_page_range ps_piece_range(const struct ps_piece *piece)
{
    return (struct ps_page_range){piece->page, ps_min(piece->last, ps_piece_span(piece).last)};
}

/* The range covers all pages of the next entry. */
static inline bool ps_piece_is_whole(const struct ps_piece *piece)
{
    struct ps_page_range span = ps_piece_span(piece);

    return piece->page == span.first && span.last <= piece->last;
}

/* The entry leads to a table of another address space; only the root has such entries. */
static inline bool ps_piece_is_shared(const struct ps_page_table *table,
                                      const struct ps_piece *piece, uint64_t entry)
{
    return piece->level == table->levels && ps_entry_is_table(entry, piece->level) &&
           ps_entry_is_shared(entry);
}

static inline void ps_piece_next(struct ps_piece *piece)
{
    piece->entry++;
    piece->count--;
    piece->page = (piece->page | piece->mask) + 1;
}

/* The same for several entries; the first is in the range from its first page on. */
static inline void ps_piece_skip(struct ps_piece *piece, uint64_t entries)
{
    piece->entry += entries;
    piece->count -= entries;
    piece->page += entries * (piece->mask + 1);
}

struct ps_walk {
    struct ps_page_table *table;

    /*
     * Handle entries from the front of the piece. With entries left, the next one must be a
     * table, present or retired: the walker goes through it and calls again for the rest.
     * False ends the whole walk. Not asked about present tables that hold the whole range.
     */
    bool (*visit)(struct ps_walk *walk, struct ps_piece *piece);

    /*
     * NULL, or called when the table behind the next entry is done and counted. About present
     * tables that hold the whole range only when something in them was added, removed or
     * retired, or when `leaves_all` is set.
     */
    void (*leave)(struct ps_walk *walk, struct ps_piece *piece, const struct ps_piece *child);
    bool leaves_all;
};

/* False when a visitor ended it. */
bool ps_walk(struct ps_walk *walk, struct ps_page_range range);

/* ---- single entries ---- */

/* No other processor walks through tables: then one instruction is as good as a locked one. */
static inline bool ps_is_alone(const struct ps_page_table *table)
{
    return table->machine->processors <= 1;
}

/* A live leaf changes here and nowhere else; false when the processor has set a bit since. */
static inline bool ps_entry_change(uint64_t *entry, uint64_t from, uint64_t to, bool alone)
{
    if (!ps_entry_is_settled(from))
        return alone ? ps_hw_entry_compare_exchange_alone(entry, from, to)
                     : ps_hw_entry_compare_exchange(entry, from, to);
    /* Nothing can be lost: the locked write would cost more than all the rest of a call. */
    ps_hw_entry_store(entry, to);
    return true;
}

/* The entry of `page` in a table of `level`. */
static inline uint64_t *ps_table_entry(const struct ps_page_table *table, ps_frame_t frame,
                                       unsigned level, uint64_t page)
{
    return (uint64_t *)ps_hw_frame(table->machine, frame) + ps_level_index(page, level);
}

/* Where the way from the root to `page` ends: the first entry that is not a present table. */
struct ps_place {
    uint64_t *entry;
    unsigned level;
};
struct ps_place ps_find(const struct ps_page_table *table, uint64_t page);

/* ---- page_table_walk.c: invalidation ---- */

/* The pages, in leaves of `level` or larger, lost what some of them had; `bits` of all of them. */
void ps_gather_range(const struct ps_page_table *table, struct ps_tlb_gather *gather,
                     struct ps_page_range range, unsigned level, uint64_t bits);

/* The same for entries [first, end) of a table of 4 KiB leaves, counted from the next one. */
static inline void ps_gather_small(const struct ps_page_table *table, struct ps_tlb_gather *gather,
                                   const struct ps_piece *piece, uint64_t first, uint64_t end)
{
    if (first != end)
        ps_gather_range(table, gather,
                        (struct ps_page_range){piece->page + first, piece->page + (end - 1)}, 1, 0);
}

/* Leaves with these attributes come into being. */
static inline void ps_note_global(struct ps_page_table *table, ps_attr_t attr)
{
    if ((attr.access & PS_GLOBAL) != 0)
        table->global = true;
}

/* One round, if there is something to invalidate; false when there is not. */
static inline bool ps_gather_flush(struct ps_page_table *table, struct ps_tlb_gather *gather)
{
    unsigned rounds = ps_tlb_gather_flush(gather);

    table->counters.rounds += rounds;
    return rounds != 0;
}

/* ---- page_table_types.c: cache types, where the machine keeps them ---- */

/* Frames that need no asking: nobody keeps types, or they are RAM and are to be write-back. */
static inline bool ps_is_plain(const struct ps_page_table *table, ps_frame_t first,
                               ps_pages_t pages, ps_attr_t attr)
{
    const struct ps_cache_types *types = table->machine->cache_types;

    return types == NULL ||
           (attr.cache == PS_CACHE_WRITE_BACK && ps_cache_types_is_ram(types, first, pages));
}

/* Frames of typed leaves are not mapped any more. */
void ps_types_remove(const struct ps_page_table *table, ps_frame_t first, ps_pages_t pages);

/* The page was mapped by a leaf that the cache types know. */
void ps_types_note(struct ps_page_table *table, struct ps_page_range range);

/* PS_ACCESS_DENIED when a leaf in the range has another memory type, and they are kept. */
ps_status ps_types_check_protect(struct ps_page_table *table, struct ps_page_range range,
                                 ps_attr_t attr);

/* ---- page_table_unmap.c ---- */

/* Retire the tables of 4 KiB leaves that nobody has used, when nothing is retired yet. */
void ps_retire_unused(struct ps_page_table *table, struct ps_page_range range,
                      struct ps_tlb_gather *gather);

/* Release all that is retired in a range of our own, after the round. */
void ps_sweep(struct ps_page_table *table, struct ps_page_range range,
              const struct ps_frame_release *release);

/* ---- cutting and promoting ---- */

/* Replace the large leaf at the front of the piece by a table of smaller ones. Cannot fail. */
void ps_cut(struct ps_page_table *table, const struct ps_piece *piece);

/*
 * Where the table promotes by itself: the tables around a range that was just mapped or changed
 * become large leaves, if they can. One round more if they do.
 */
void ps_promote_around(struct ps_page_table *table, struct ps_page_range range);

/* ---- page_table_single.c: one page, in one descent; false: it takes more than that ---- */

/* The page is absent, and becomes a leaf. The attributes are valid, here and below. */
bool ps_map_single(struct ps_page_table *table, ps_virt_t va, ps_frame_t frame, ps_attr_t attr);
bool ps_protect_single(struct ps_page_table *table, ps_virt_t va, ps_attr_t attr);
bool ps_unmap_single(struct ps_page_table *table, ps_virt_t va,
                     const struct ps_frame_release *release);

/* ---- frames ---- */

/* Lists of frames that nobody uses, linked through their first word. Frame 0 ends them. */
void ps_frames_push(const struct ps_page_table *table, ps_frame_t *list, ps_frame_t frame);
ps_frame_t ps_frames_pop(const struct ps_page_table *table, ps_frame_t *list);

/* Take `count` frames from the pool, or none: PS_NO_MEMORY. */
ps_status ps_frames_reserve(const struct ps_page_table *table, uint64_t count, ps_frame_t *list);
void ps_frames_give_back(const struct ps_page_table *table, ps_frame_t frame);
void ps_frames_give_back_all(const struct ps_page_table *table, ps_frame_t *list);

/* Frames that it takes to cut one leaf down to 4 KiB. */
static inline uint64_t ps_frames_to_cut(unsigned level)
{
    return level == 1 ? 0 : level == 2 ? 1 : PS_TABLE_ENTRIES + 1;
}

/* Those that the pool has promised for this one. */
static inline uint64_t ps_entry_promised(uint64_t entry, unsigned level)
{
    return ps_entry_is_permanent(entry) ? 0 : ps_frames_to_cut(level);
}

/* Some of the promised frames are not needed any more. */
void ps_frames_unpromise(struct ps_page_table *table, uint64_t frames);

/* ---- the beginning and the end of a call ---- */

/*
 * Check an address and a number of pages and lock the table. False when the call ends here
 * with *status: an error, or PS_OK because there are no pages.
 */
bool ps_page_table_enter(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                         struct ps_page_range *range, ps_status *status);
/* The same for calls that change nothing: the table may be frozen. */
bool ps_page_table_enter_to_look(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                 struct ps_page_range *range, ps_status *status);
/* Unlock and hand `status` through. */
ps_status ps_page_table_leave(struct ps_page_table *table, ps_status status);

static inline bool ps_page_table_is_created(const struct ps_page_table *table)
{
    return table->machine != NULL;
}

/* Where nobody else can come there is nothing to lock. */
static inline void ps_page_table_lock(struct ps_page_table *table)
{
    if (table->machine->processors > 1)
        ps_lock_acquire_answering(&table->lock, table->machine);
}

static inline void ps_page_table_unlock(struct ps_page_table *table)
{
    if (table->machine->processors > 1)
        ps_lock_release(&table->lock);
}

/* PS_ACCESS_DENIED when some of the range lies under entries of another address space. */
ps_status ps_check_own(const struct ps_page_table *table, struct ps_page_range range);

/* The same, and when an end of the range would have to be cut out of a permanent leaf. */
ps_status ps_check_cuts(const struct ps_page_table *table, struct ps_page_range range);

#endif
