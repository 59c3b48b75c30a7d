/*
 * Page tables: a hardware address space of 4 or 5 levels.
 *
 * Level 1 holds 4 KiB leaves, level 2 leaves of 2 MiB or tables, level 3 leaves of 1 GiB
 * or tables, the levels above only tables. An entry is in one of five forms:
 *
 *     empty      all 64 bits zero
 *     table      present, points to a table; carries the number of used entries in it
 *     leaf       present, maps 4 KiB, 2 MiB or 1 GiB
 *     permanent  a leaf that is never cut: it can only be unmapped or changed whole
 *     retired    not present, between the invalidation of a leaf or table and its release
 *
 *     root ----> table ----> table ----> table ----> leaf, leaf, empty, leaf ...
 *                  \-> 1 GiB leaf \-> 2 MiB leaf
 *
 * Unmapping is three steps: retire (entries become not present but remember their frame),
 * one TLB round, sweep (entries become empty, frames and empty tables are released). So
 * nothing is reused before its translation is dead, one operation causes one round however
 * large it is, and no list has to be kept anywhere.
 *
 * Cutting a large leaf takes a table. The pool promised it when the leaf was mapped: one frame for
 * 2 MiB, 513 for 1 GiB, which stay free and available to nobody else until they are needed, or the
 * leaf goes. That is why unmap and protect never fail for lack of memory. Permanent leaves come
 * without a promise.
 *
 * Tables are frames tagged PS_FRAME_TABLE. A table is freed as soon as its last entry is
 * gone, except the root and the tables made by ps_page_table_anchor(). Who owns the frames
 * behind leaves is not known here.
 *
 * Rules that hold in every table: no leaf is writable and executable; page 0 is never
 * mapped; no leaf is larger than the processor allows; a present entry is written once and
 * whole; unused entries are zero. Where the machine keeps cache types, no frame is mapped with two
 * of them: in this address space or in any other.
 *
 * Locking: every call may come from any processor, but for create and destroy, and takes the
 * table's lock where the machine has several. Visitors and release callbacks run under that lock
 * and must not call back into the same page table. Lock order: page table, cache types, frame pool.
 *
 * An invalidation round runs under the lock: a processor that waits for it answers shootdowns
 * through machine->answer, also with interrupts off.
 *
 * Arguments: an address is page-aligned and canonical for the number of levels, and the
 * range does not wrap, nor cross from the lower to the upper half; otherwise
 * PS_INVALID_ARGS, as for a NULL pointer. No pages at all is PS_OK and does nothing. Every
 * call on a page table that was not created is PS_BAD_STATE. On failure nothing has changed:
 * no leaf, no table, no counter, no frame.
 */
#ifndef PAGESTAGE_PAGE_TABLE_H
#define PAGESTAGE_PAGE_TABLE_H

#include <pagestage/access.h>
#include <pagestage/frame_pool.h>
#include <pagestage/lock.h>
#include <pagestage/machine.h>
#include <pagestage/tlb.h>

/* Leaf sizes are levels: PS_LEAF_4K == 1, PS_LEAF_2M == 2, PS_LEAF_1G == 3. */
enum ps_leaf {
    PS_LEAF_4K = 1,
    PS_LEAF_2M = 2,
    PS_LEAF_1G = 3,
};

struct ps_page_table_counters {
    uint64_t leaves[4];     /* present leaves by level; [0] unused */
    uint64_t tables;        /* table frames in use, the root included */
    uint64_t promised;      /* frames, by the pool, for cutting large leaves */
    uint64_t demotions[4];  /* large leaves cut so far, by level */
    uint64_t promotions[4]; /* large leaves put in place of tables so far, by level */
    uint64_t rounds;        /* invalidation rounds so far */
};

struct ps_page_table {
    struct ps_lock lock;

    /* Constant after create. */
    const struct ps_machine *machine;
    struct ps_frame_pool *pool;
    ps_frame_t root;
    uint8_t levels;

    _Atomic(uint32_t) running; /* processors on this table */
    _Atomic(bool) used;        /* a processor left it since somebody asked */

    /* Under the lock. */
    bool promotes;
    bool frozen;
    bool global;           /* a global leaf was mapped here once */
    ps_virt_t typed_first; /* leaves that the cache types know lie between these two; */
    ps_virt_t typed_last;  /* none yet: the first is above the last */
    uint64_t retired;      /* leaves retired and not swept yet */
    struct ps_page_table_counters counters;
};

/*
 * An empty address space: allocates the root.
 * table   zero-filled; machine and pool outlive it
 * PS_INVALID_ARGS  NULL, or machine->levels is neither 4 nor 5
 * PS_BAD_STATE     already created
 * and what ps_frame_pool_alloc() answers: PS_NO_MEMORY, ...
 */
PS_MUST_CHECK ps_status ps_page_table_create(struct ps_page_table *table,
                                             const struct ps_machine *machine,
                                             struct ps_frame_pool *pool);

/*
 * Free the root and all anchored tables; the structure is zero afterwards.
 * The caller sees to it that no other table still shares the upper half of this one: that cannot be
 * checked, and its processors would walk through freed tables.
 * PS_INVALID_ARGS (NULL). PS_BAD_STATE when not created, when a leaf is still mapped or retired, or
 * while a processor runs on it. Nothing has changed then.
 */
PS_MUST_CHECK ps_status ps_page_table_destroy(struct ps_page_table *table);

/*
 * The calling processor leaves `from` and runs on `to` from here on.
 * from  NULL when the processor runs on none of ours yet
 * to    maps the code that is running, its stack, all of the direct map, and whatever an interrupt
 *       needs, at the same addresses as before
 * TLB: translations of `from` die on this processor, but for global ones: those of addresses that
 * both see alike, as a shared upper half.
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE: not created, different levels, or the processor does not
 * run on `from`.
 */
PS_MUST_CHECK ps_status ps_page_table_switch(struct ps_page_table *from, struct ps_page_table *to);

/*
 * A processor ran on the table since the last call with `forget`, or runs on it now: whether it
 * is worth a harvest. False for a table that was not created.
 */
bool ps_page_table_was_used(struct ps_page_table *table, bool forget);

/*
 * From now on nothing changes any more, or again: calls that would change a leaf, a table or a
 * bit answer PS_BAD_STATE, all others go on. For tables that were handed on.
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE (not created).
 */
PS_MUST_CHECK ps_status ps_page_table_freeze(struct ps_page_table *table, bool frozen);

/* Whether it is frozen now; also true for a table that was not created. */
bool ps_page_table_is_frozen(struct ps_page_table *table);

/*
 * Make the tables of the level below the root exist for [va, va + pages), for good: address
 * spaces that share them see whatever is mapped there later.
 * PS_NO_MEMORY; PS_ACCESS_DENIED for a shared entry.
 */
PS_MUST_CHECK ps_status ps_page_table_anchor(struct ps_page_table *table, ps_virt_t va,
                                             ps_pages_t pages);

/*
 * Let `table` see the upper half of `from`: copies the root entries of all tables anchored
 * there now; what is anchored later is not seen. Those entries are not owned by `table`, never
 * freed or counted by it, and calls on `table` for addresses under them answer PS_ACCESS_DENIED.
 * `from` outlives `table`, and nobody anchors in it or destroys it meanwhile: only `table` is
 * locked. PS_INVALID_ARGS (NULL). PS_BAD_STATE: `table` has something in the upper half already, or
 * is frozen; one of them was not created; different levels.
 */
PS_MUST_CHECK ps_status ps_page_table_share_upper(struct ps_page_table *table,
                                                  const struct ps_page_table *from);

/* What a map call does with a page that is mapped already. */
enum ps_existing {
    PS_EXISTING_ERROR,   /* PS_ALREADY_EXISTS, nothing mapped */
    PS_EXISTING_SKIP,    /* keep the old leaf, whatever it is */
    PS_EXISTING_UPGRADE, /* replace it by another frame or more access; never by less access */
};

/*
 * Map `pages` frames, wherever they are, as 4 KiB leaves at consecutive addresses.
 *
 * frames    array of `pages` numbers, read only; frame n appears at va + n pages
 * attr      ps_attr_is_valid()
 * existing  see above. Upgrade of the same frame adds access and never takes any away, and
 *           gives it the memory type asked for. Another frame must come with all the access
 *           the page had.
 *           Another frame in place of a writable one is put there break-before-make, with
 *           one TLB round; a page inside a large leaf counts as existing and is cut out of
 *           it only where it must be replaced.
 * TLB       nothing to invalidate for pages that were absent; otherwise done here.
 * PS_INVALID_ARGS    also for an invalid attr, an unknown `existing`, or a frame beyond
 *                    machine->physical_bits
 * PS_ACCESS_DENIED   page 0; an address under a shared entry; a page that would have to be
 *                    cut out of a permanent large leaf; an upgrade that would take access
 *                    away or make a page writable and executable; where the machine keeps cache
 *                    types, a frame with another memory type than it has, also if the page would
 *                    be skipped, and an upgrade that would change the type of a frame
 * PS_ALREADY_EXISTS  with PS_EXISTING_ERROR; always for a page that is retired
 * PS_NO_MEMORY       no frame for a table, none to promise, or none to note cache types in
 * Cost: O(levels) for one page whose table exists; else two walks over the tables touched and one
 * store a leaf. An upgrade looks at each page, those of large leaves as well.
 */
PS_MUST_CHECK ps_status ps_page_table_map(struct ps_page_table *table, ps_virt_t va,
                                          const ps_frame_t *frames, ps_pages_t pages,
                                          ps_attr_t attr, enum ps_existing existing);

enum {
    PS_MAP_PERMANENT = 1u << 0, /* large leaves without a promise, never cut */
    PS_MAP_SMALL = 1u << 1,     /* 4 KiB leaves only */
};

/*
 * Map `pages` contiguous frames from `first` on, with the largest leaf that fits at each
 * point: address, frame and rest of the length all allow it, and the processor has it.
 * Statuses as ps_page_table_map() with PS_EXISTING_ERROR; PS_INVALID_ARGS also for an
 * unknown flag. Cost: O(tables touched + leaves).
 */
PS_MUST_CHECK ps_status ps_page_table_map_run(struct ps_page_table *table, ps_virt_t va,
                                              ps_frame_t first, ps_pages_t pages, ps_attr_t attr,
                                              unsigned flags);

/* Told of every run of frames that a sweep released: [first, first + pages). */
struct ps_frame_release {
    void (*release)(void *context, ps_frame_t first, ps_pages_t pages);
    void *context;
};

/*
 * Unmap [va, va + pages): retire, one TLB round, sweep. Holes are fine. A large leaf of
 * which only a part is unmapped is cut; its other pages stay mapped throughout.
 *
 * release   NULL, or called for each released run of frames after the round, in ascending
 *           order of address; runs are as long as leaves allow and may be as short as one
 * Never fails for lack of memory. Whether a page was written to is not told: who must know harvests
 * before, or makes it read-only first.
 * PS_ACCESS_DENIED  part of a permanent large leaf; an address under a shared entry
 * Cost: O(tables touched + leaves); O(levels) for one page that is not the last of its table.
 */
PS_MUST_CHECK ps_status ps_page_table_unmap(struct ps_page_table *table, ps_virt_t va,
                                            ps_pages_t pages,
                                            const struct ps_frame_release *release);

/*
 * The same in its steps, so that several ranges share one round:
 * retire each range into the gather, flush the gather, sweep each range.
 * Between retire and sweep the range is still in use: mapping there is PS_ALREADY_EXISTS.
 * Sweep releases all that is retired in its range, whoever retired it, large leaves as a whole, and
 * cannot fail on a range that retire accepted, unless the table was frozen in between. It may cover
 * less, or more. Unmap finishes what was retired in its range.
 *
 * From the first retire to the last sweep the range belongs to its caller alone, as the lock is
 * free in between: nobody else retires, sweeps or unmaps there. Otherwise a sweep would release
 * what another caller has retired and not flushed yet, and processors would still reach those
 * frames.
 *
 * PS_INVALID_ARGS also without a gather. PS_ACCESS_DENIED for an address under a shared entry;
 * retire also for a part of a permanent large leaf. The round of a gather is not in `rounds`.
 * Cost: as unmap.
 */
PS_MUST_CHECK ps_status ps_page_table_retire(struct ps_page_table *table, ps_virt_t va,
                                             ps_pages_t pages, struct ps_tlb_gather *gather);
PS_MUST_CHECK ps_status ps_page_table_sweep(struct ps_page_table *table, ps_virt_t va,
                                            ps_pages_t pages,
                                            const struct ps_frame_release *release);

/*
 * Give every mapped page of [va, va + pages) the attributes `attr`; holes are fine. Large
 * leaves are cut where only a part changes. Accessed and dirty bits are kept.
 * TLB: one round here when any page changed, also when it only gained access: a processor
 * that still holds the old rights would fault once, and not everybody can survive that.
 * Never fails for lack of memory. PS_INVALID_ARGS (attr), PS_ACCESS_DENIED as unmap, and where the
 * machine keeps cache types for a page that would change its memory type: unmap it first.
 * Cost: O(tables touched + leaves); O(levels) for one page in a table of 4 KiB leaves.
 */
PS_MUST_CHECK ps_status ps_page_table_protect(struct ps_page_table *table, ps_virt_t va,
                                              ps_pages_t pages, ps_attr_t attr);

/*
 * Take PS_WRITE away from every mapped page of [va, va + pages), and nothing else; holes are fine.
 * Large leaves are cut where only a part changes. For who shares frames, or wants to know of
 * writes: several ranges, of several address spaces, share one round. TLB: the gather is told;
 * until it was flushed processors may still write, and what a page holds may change. Never fails
 * for lack of memory. Statuses as ps_page_table_unmap(); PS_INVALID_ARGS also without a gather.
 * Cost: O(tables touched + leaves).
 */
PS_MUST_CHECK ps_status ps_page_table_remove_write(struct ps_page_table *table, ps_virt_t va,
                                                   ps_pages_t pages, struct ps_tlb_gather *gather);

/*
 * Put large leaves in place of tables: of every table whose pages all lie in [va, va + pages)
 * and whose entries are all leaves that together map what one large leaf of the processor maps,
 * with the same attributes. The large leaf is accessed, or dirty, when one of the small ones
 * was; where several processors run it counts as both. Everything stays mapped throughout.
 * Left alone: permanent leaves, and executable ones, because there are processors that answer a
 * change of size of a live instruction page with a machine check.
 * Left alone, too, where the pool cannot promise the frames for cutting the large leaf again: the
 * tables go back to it only after the round.
 * TLB: one round when anything was promoted.
 * PS_ACCESS_DENIED for an address under a shared entry. Cost: O(tables * 512).
 */
PS_MUST_CHECK ps_status ps_page_table_promote(struct ps_page_table *table, ps_virt_t va,
                                              ps_pages_t pages);

/*
 * From now on map and protect promote by themselves what they made uniform, in a round of its
 * own; at first they do not. PS_MAP_SMALL keeps a run from it, for that call. Allowed in a frozen
 * table. PS_INVALID_ARGS (NULL), PS_BAD_STATE (not created).
 */
PS_MUST_CHECK ps_status ps_page_table_set_promotes(struct ps_page_table *table, bool promotes);

struct ps_translation {
    ps_frame_t frame; /* of the 4 KiB page asked for, also inside a large leaf */
    ps_attr_t attr;
    enum ps_leaf leaf;
    bool permanent;
    bool accessed;
    bool dirty;
};

/*
 * What `va` (any alignment) translates to. PS_INVALID_ARGS: NULL, or not canonical. PS_NOT_FOUND
 * when it translates to nothing, also while it is retired; PS_ACCESS_DENIED under a shared entry.
 * *translation is written with PS_OK only. O(levels).
 */
PS_MUST_CHECK ps_status ps_page_table_query(struct ps_page_table *table, ps_virt_t va,
                                            struct ps_translation *translation);

/*
 * The first address behind the table of 4 KiB leaves that `va` lies in: the end of what a fault can
 * map ahead without a further table. 0 behind the last one.
 */
static inline ps_virt_t ps_virt_table_end(ps_virt_t va)
{
    const uint64_t span = PS_PAGE_SIZE << 9;
    uint64_t first = ps_align_down(va.addr, span);

    return ps_virt(first > UINT64_MAX - span ? 0 : first + span);
}

struct ps_mapped_range {
    ps_virt_t va;
    ps_pages_t pages;
    ps_frame_t frame; /* of the first page; the range is contiguous */
    ps_attr_t attr;
    enum ps_leaf leaf; /* size of all leaves in it */
    bool permanent;
};

/*
 * Read the tables back: calls `visit` for every maximal range of equal leaves with
 * contiguous frames, in ascending order of address, shared entries left out. Stops when
 * `visit` returns false. Nothing happens with NULL, or for a table that was not created.
 * Cost: O(tables * 512).
 */
void ps_page_table_for_each(struct ps_page_table *table,
                            bool (*visit)(void *context, const struct ps_mapped_range *range),
                            void *context);

enum {
    PS_HARVEST_KEEP = 1u << 0,        /* look only: no bit is cleared */
    PS_HARVEST_FREE_TABLES = 1u << 1, /* unmap tables that nobody used */
};

struct ps_harvest {
    unsigned flags;

    /* NULL, or called for each leaf that was accessed or written since the last harvest. */
    void (*visit)(void *context, ps_virt_t va, ps_pages_t pages, bool dirty);
    void *context;

    const struct ps_frame_release *release; /* NULL, or told of the frames that were unmapped */
};

/*
 * Tell of every leaf in [va, va + pages) that was accessed or written since the last harvest, and
 * clear its accessed and dirty bits. A large leaf counts as a whole, is visited with its whole
 * range, and may reach out of [va, va + pages) on either side.
 *
 * The visit comes before the round: until the call has returned, another processor may write to a
 * page that it was told of, through a translation that it still has, and nothing will tell of that
 * write. So who cleans pages notes them in the visit, and reads them after the return.
 *
 * PS_HARVEST_KEEP alone changes nothing, needs no round, and goes on in a frozen table.
 * PS_HARVEST_FREE_TABLES: a table of 4 KiB leaves that lies in the range with its whole span, and
 * of which no leaf was accessed, is unmapped as ps_page_table_unmap() does it, before any bit is
 * cleared: what it mapped can be mapped again when it is asked for. A leaf that a processor uses
 * just then stays, and is visited. Tables with a permanent or a global leaf stay, and all of them
 * while somebody has retired and not swept yet.
 * TLB: one round when a bit was cleared or a table unmapped. Never fails for lack of memory.
 * PS_INVALID_ARGS (NULL, an unknown flag), PS_ACCESS_DENIED for an address under a shared entry.
 * Cost: O(tables * 512).
 */
PS_MUST_CHECK ps_status ps_page_table_harvest(struct ps_page_table *table, ps_virt_t va,
                                              ps_pages_t pages, const struct ps_harvest *harvest);

/*
 * Mark every leaf in [va, va + pages) as accessed, as if it had been read; holes are fine. A large
 * leaf counts as a whole. TLB: nothing to do. PS_ACCESS_DENIED for an address under a shared entry.
 * Cost: O(tables touched + leaves).
 */
PS_MUST_CHECK ps_status ps_page_table_mark_accessed(struct ps_page_table *table, ps_virt_t va,
                                                    ps_pages_t pages);

/* A copy of the counters; zeros for a table that was not created. O(1). */
struct ps_page_table_counters ps_page_table_counters(struct ps_page_table *table);

/*
 * Walk everything and check it: used-entry counts, empty entries zero, nothing retired, no
 * reserved bit, no writable and executable leaf, page 0 absent, no leaf the processor does
 * not have, every table a frame of the pool tagged as a table and reached once, leaf and
 * table counters, as many promised frames as the cuttable large leaves need, and, where the
 * machine keeps cache types, no leaf with another type than they know of its frames. Between a
 * retire and its sweep, what is retired is a breach.
 * sink  NULL, or told
 * PS_CORRUPT with one line to `sink` for the first breach; PS_INVALID_ARGS (NULL), PS_BAD_STATE.
 * O(tables * 512), once more for every 8192 frames that tables lie apart.
 */
PS_MUST_CHECK ps_status ps_page_table_validate(struct ps_page_table *table,
                                               const struct ps_sink *sink);

/* Names the purpose of an address range in a dump: "direct map", "stack", ... */
struct ps_range_name {
    ps_virt_t first;
    ps_virt_t last; /* inclusive */
    const char *name;
};

/* One line a range: addresses, size, access, memory type, leaf size, frames, purpose. */
void ps_page_table_dump(struct ps_page_table *table, const struct ps_range_name *names,
                        size_t name_count, const struct ps_sink *sink);

/*
 * The walk of one address, an entry a line from the root down, for fault reports: reads
 * memory only through the direct map, takes no lock, checks every frame it follows against
 * machine->physical_bits, and stops at the first entry that is not a table.
 */
void ps_page_table_dump_walk(const struct ps_page_table *table, ps_virt_t va,
                             const struct ps_sink *sink);

#endif
