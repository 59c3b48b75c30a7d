/*
 * Cache types: no frame is mapped with two memory types at the same time.
 *
 * Two mappings of a frame that disagree about caching are undefined on x86-64: lost writes,
 * machine checks. One structure a machine keeps them apart, for all its page tables:
 *
 *     RAM, as the memory map says    write-back, always: the direct map shows it so
 *     all other frames               any type; while some page of a range is mapped, the whole
 *                                    range has the type of its first mapping
 *
 * A range is what was mapped by one call; ranges that overlap become one. It is forgotten with
 * the last page of it that is unmapped, so a part of it may keep its type a little longer than
 * it is mapped. Page tables whose machine points to the structure ask it by themselves; nobody
 * else has to.
 *
 * Memory: about 30 bytes a range, from the frame pool.
 *
 * Locking: begin takes the lock and end gives it back; check, reserve, add and remove are called
 * between them. The other calls take it themselves. Lock order: page table, cache types, frame
 * pool.
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
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE (already initialised, or the pool is not).
 */
PS_MUST_CHECK ps_status ps_cache_types_init(struct ps_cache_types *types,
                                            struct ps_frame_pool *pool,
                                            const struct ps_memory_map *map);

/* PS_INVALID_ARGS (NULL); PS_BAD_STATE: not initialised, or something is mapped still. */
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

/* ---- what a page table does around a change ---- */

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

/* What was counted by check can be added without failing. PS_NO_MEMORY: nothing has changed. */
PS_MUST_CHECK ps_status ps_cache_types_reserve(struct ps_cache_types *types, uint64_t inserts);

/* The pages are mapped now: checked and reserved. Parts that are RAM are left out, here and below.
 */
void ps_cache_types_add(struct ps_cache_types *types, ps_frame_t first, ps_pages_t pages,
                        enum ps_cache cache);

/* Pages that were added are not mapped any more. Never fails. */
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
 * The range that `frame` belongs to.
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE (not initialised), PS_NOT_FOUND: RAM, or not mapped.
 */
PS_MUST_CHECK ps_status ps_cache_types_query(struct ps_cache_types *types, ps_frame_t frame,
                                             struct ps_cache_range *range);

/* One line a range, in ascending order. */
void ps_cache_types_dump(struct ps_cache_types *types, const struct ps_sink *sink);

/*
 * PS_CORRUPT, with one line to `sink`: a range without pages, of an unknown type, with RAM in it;
 * or what ps_range_tree_validate() says. PS_INVALID_ARGS (NULL), PS_BAD_STATE.
 */
PS_MUST_CHECK ps_status ps_cache_types_validate(struct ps_cache_types *types,
                                                const struct ps_sink *sink);

#endif
