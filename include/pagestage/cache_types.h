/*
 * Cache types: no frame is mapped with two memory types at the same time.
 *
 * Two mappings of a frame that disagree about caching are undefined on x86-64: lost writes,
 * machine checks. One structure a machine keeps them apart, for all its page tables:
 *
 *     RAM: all types of which        write-back, always: the direct map shows it so
 *     ps_memory_type_is_ram()
 *     all other frames, in the       any type, write-back as well; while some page of a range is
 *     memory map or not              mapped, the whole range has the type of its first mapping
 *
 * A range is a run that was mapped by one call, less its parts that are RAM; of a call that maps
 * scattered frames each is a range. Ranges that overlap become one, and ranges that only touch do
 * not. A range is forgotten with the last page of it that is unmapped, so a part of it may keep its
 * type a little longer than it is mapped. A page is mapped until it is swept.
 *
 * Switching it on: init, then machine->cache_types, then the first page table. Page tables ask and
 * tell by themselves from there on; nobody else has to. Leaves that were mapped before are unknown.
 * Switching it off: destroy the page tables first, then the types, and clear machine->cache_types.
 *
 * Memory, from the frame pool: about 30 bytes a range. A map call first reserves, until it ends,
 * what ps_range_tree_reserve() takes for all ranges that it may add: one a frame where frames are
 * scattered. Giving back takes none.
 *
 * Locking: begin takes the lock and end gives it back; check, has, reserve, add and remove are
 * called between them. query, dump and validate take it themselves. is_ram needs none, and init and
 * destroy are for when nobody else calls. The lock is held during rounds of map calls: who waits
 * for it answers them, see machine->answer. Lock order: page table, cache types, frame pool.
 */
#ifndef PAGESTAGE_CACHE_TYPES_H
#define PAGESTAGE_CACHE_TYPES_H

#include <pagestage/access.h>
#include <pagestage/lock.h>
#include <pagestage/memory_map.h>
#include <pagestage/range_tree.h>

struct ps_cache_types {
    struct ps_lock lock;

    /* Constant after init. */
    const struct ps_memory_map *map;
    ps_frame_t ram_first; /* the largest stretch of RAM: most frames that are mapped lie in it */
    ps_frame_t ram_last;

    /* Under the lock. Value of a range: pages that are mapped of it << 3, and their type. */
    struct ps_range_tree ranges;
};

/*
 * Nothing is mapped yet. Allocates nothing.
 * types  zero-filled
 * pool   initialised; its machine is the one that may point to `types`. Outlives them
 * map    normalised; outlives them. It may be changed while no call is going on, as long as RAM
 *        stays RAM and all else what it is
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE (already initialised, or the pool is not). O(ranges of map).
 */
PS_MUST_CHECK ps_status ps_cache_types_init(struct ps_cache_types *types,
                                            struct ps_frame_pool *pool,
                                            const struct ps_memory_map *map);

/*
 * The structure is zero afterwards.
 * PS_INVALID_ARGS (NULL); PS_BAD_STATE: not initialised, or something is mapped still.
 */
PS_MUST_CHECK ps_status ps_cache_types_destroy(struct ps_cache_types *types);

/* ps_cache_types_is_ram() beyond the largest stretch. */
bool ps_cache_types_is_other_ram(const struct ps_cache_types *types, ps_frame_t first,
                                 ps_pages_t pages);

/* [first, first + pages) is RAM and nothing else; pages > 0. Takes no lock. O(1) mostly. */
static inline bool ps_cache_types_is_ram(const struct ps_cache_types *types, ps_frame_t first,
                                         ps_pages_t pages)
{
    if (first.number >= types->ram_first.number && first.number <= types->ram_last.number &&
        pages.count - 1 <= types->ram_last.number - first.number)
        return true;
    return ps_cache_types_is_other_ram(types, first, pages);
}

/* Each of `count` frames is RAM. Takes no lock. O(count), and O(log map) a change of stretch. */
bool ps_cache_types_are_ram(const struct ps_cache_types *types, const ps_frame_t *frames,
                            uint64_t count);

/* ---- what a page table does around a change: pages > 0, all of them below 2^52 bytes ---- */

void ps_cache_types_begin(struct ps_cache_types *types);

/* Drops what is left of the reservations. */
void ps_cache_types_end(struct ps_cache_types *types);

/*
 * May [first, first + pages) be mapped with this type now? *inserts grows by what has to be
 * reserved for it. O(parts that are not RAM * log ranges).
 * PS_ACCESS_DENIED  RAM, and another type than write-back; mapped with another type
 */
PS_MUST_CHECK ps_status ps_cache_types_check(const struct ps_cache_types *types, ps_frame_t first,
                                             ps_pages_t pages, enum ps_cache cache,
                                             uint64_t *inserts);

/*
 * So many ranges, as counted by check, can be added without failing until end is called.
 * PS_NO_MEMORY: nothing has changed.
 */
PS_MUST_CHECK ps_status ps_cache_types_reserve(struct ps_cache_types *types, uint64_t inserts);

/* The pages are mapped now: checked and reserved. Parts that are RAM are left out, here and below.
 */
void ps_cache_types_add(struct ps_cache_types *types, ps_frame_t first, ps_pages_t pages,
                        enum ps_cache cache);

/*
 * Pages that were added, by one call or by several, are not mapped any more: each time they were
 * added is taken back by its own call. Never fails.
 */
void ps_cache_types_remove(struct ps_cache_types *types, ps_frame_t first, ps_pages_t pages);

/*
 * Every page of [first, first + pages) is RAM and the type is write-back, or it is in a range of
 * this type: true of what was added and not removed. O(parts that are not RAM * log ranges).
 */
bool ps_cache_types_has(const struct ps_cache_types *types, ps_frame_t first, ps_pages_t pages,
                        enum ps_cache cache);

/* ---- asking ---- */

struct ps_cache_range {
    ps_frame_t first;
    ps_frame_t last; /* inclusive */
    enum ps_cache cache;
    uint64_t mapped; /* pages: those of a frame that is mapped twice count twice */
};

/*
 * The range that `frame` belongs to. O(log ranges).
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE (not initialised), PS_NOT_FOUND: RAM, or not mapped.
 */
PS_MUST_CHECK ps_status ps_cache_types_query(struct ps_cache_types *types, ps_frame_t frame,
                                             struct ps_cache_range *range);

/* One line a range, in ascending order; nothing when not initialised. */
void ps_cache_types_dump(struct ps_cache_types *types, const struct ps_sink *sink);

/*
 * PS_CORRUPT, with one line to `sink`: a range without pages, of an unknown type, with RAM in it;
 * or what ps_range_tree_validate() says. PS_INVALID_ARGS (NULL), PS_BAD_STATE.
 */
PS_MUST_CHECK ps_status ps_cache_types_validate(struct ps_cache_types *types,
                                                const struct ps_sink *sink);

#endif
