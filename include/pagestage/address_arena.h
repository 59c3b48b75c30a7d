/*
 * The address arena: cuts one range of page numbers into allocations with guards.
 *
 *     first                                                             first + pages
 *     |  g  [ A ]   g   [   B   ]  g  . . . gap . . .  g  [ C ][R]  g  |
 *
 * It knows addresses only, as numbers of pages: no frame stands behind an allocation and nothing is
 * mapped. Each allocation has 64 bits of the caller's. Guards are pages that stay free:
 * between two allocations at least as many as the one before asks for behind it, and as the one
 * after asks for before it; these may be the same pages. The ends of the arena count as neighbours
 * that ask for the arena's guard.
 *
 * An allocation is live, or retired (R): freed by its owner, but not to be reused before somebody
 * says so with ps_arena_release(), when translations are dead on all processors.
 *
 * Placement is best fit: the smallest gap that will do, and its lowest fitting place; of equally
 * large small gaps the one that came last, of large ones the lowest.
 *
 * How: a B+ tree by address, whose leaves hold the allocations in cells that stay where they are
 * until a leaf is divided or joined; and the gaps, each kept in the cell before it, by size: a list
 * for each small size, a digital search tree for each power of two above.
 *
 * Memory: frames of the pool with the caller's tag, reached one at a time; none without
 * allocations, whatever the size of the arena. A leaf is a frame of 82 cells of 48 bytes: about
 * 60 bytes an allocation when many come and go in any order, and at most about 180 where most have
 * gone; and a frame for each 85 to 255 leaves. What is no longer needed goes back to the pool at
 * once.
 *
 * Cutting an allocation, to give back a part of it, may need cells, and so frames. The pool keeps
 * some for that: they are promised, not taken, see ps_frame_pool_promise(); 6 for each node above
 * the leaves and 3 more. What a cut uses of them is promised again by later calls, out of what the
 * caller gives back to the pool. So cuts never run out as long as each leaves at least one frame
 * more to the pool, available when the next one comes: the memory of a page that was cut off, say.
 *
 * Locking: none. The caller lets one call in at a time; calls with a const arena may run side by
 * side. The structure may be moved in memory between calls, and so may machine->direct_map.
 *
 * In all calls a NULL pointer is PS_INVALID_ARGS or false, and an arena that is not initialised is
 * PS_BAD_STATE or has nothing in it. On failure nothing has changed but the counter `failed`, and
 * that the pool may have promised more of what is owed; results are written on success only. n is
 * the number of allocations. "O(log n)" includes, at worst, work in one leaf: its 82 cells are
 * searched, or half of them moved.
 */
#ifndef PAGESTAGE_ADDRESS_ARENA_H
#define PAGESTAGE_ADDRESS_ARENA_H

#include <pagestage/frame_pool.h>

/* Numbers of pages: all of the 64-bit space. */
#define PS_ARENA_END ((uint64_t)1 << 52)

enum {
    PS_ARENA_GUARD_MAX = UINT16_MAX, /* pages */
    PS_ARENA_LARGE = 53,             /* trees of gaps, one for each power of two */
};

/* Gaps of fewer pages: a list for each size. Made smaller by tests. */
#ifndef PS_ARENA_SMALL
#define PS_ARENA_SMALL 256
#endif

struct ps_arena_counters {
    uint64_t live; /* allocations, */
    uint64_t live_pages;
    uint64_t retired; /* and those retired */
    uint64_t retired_pages;
    uint64_t peak_pages; /* the most that was taken, live or retired */
    uint64_t allocs;     /* successful ones so far */
    uint64_t failed;     /* requests that found no space or no memory */
};

struct ps_arena {
    /* Constant after init. */
    const struct ps_machine *machine;
    struct ps_frame_pool *pool;
    enum ps_frame_tag tag;
    uint64_t first;
    uint64_t pages;
    uint64_t guard;

    uint64_t root;   /* physical address, like every reference; 0: nothing is allocated */
    uint32_t height; /* levels of nodes; 1: the root is a leaf */
    bool thin;       /* somebody asked for less than the arena's guard */
    uint64_t frames; /* of the pool, */
    uint64_t inner;  /* of which are not leaves */
    uint64_t owed;   /* frames that are missing in what the pool promised */
    uint64_t gaps;   /* in the lists and trees: */
    uint64_t small_map[(PS_ARENA_SMALL + 63) / 64]; /* sizes whose list is not empty */
    uint64_t large_map;                             /* powers of two whose tree is not empty */
    uint64_t small[PS_ARENA_SMALL];
    uint64_t large[PS_ARENA_LARGE];
    struct ps_arena_counters counters;
};

/*
 * An arena over the pages [first, first + pages).
 *
 * arena    zero-filled
 * machine  of the pool; both must outlive the arena
 * guard    pages between any two allocations and at both ends; 0 is allowed
 * tag      of the frames that the arena will take
 * PS_BAD_STATE     already initialised; the pool is not
 * PS_INVALID_ARGS  NULL; no pages, or beyond PS_ARENA_END; a guard above PS_ARENA_GUARD_MAX, or so
 *                  large that not even one page fits; a tag that is not to allocate with; not the
 *                  pool's machine
 * Allocates nothing. O(1).
 */
PS_MUST_CHECK ps_status ps_arena_init(struct ps_arena *arena, const struct ps_machine *machine,
                                      struct ps_frame_pool *pool, enum ps_frame_tag tag,
                                      uint64_t first, uint64_t pages, uint64_t guard);

/*
 * The structure is zero afterwards.
 * PS_BAD_STATE  not initialised, or an allocation is live or retired (nothing changed)
 */
PS_MUST_CHECK ps_status ps_arena_destroy(struct ps_arena *arena);

/* ---- allocating ---- */

#define PS_ARENA_NO_GUARD UINT32_MAX

struct ps_arena_request {
    uint64_t pages;
    uint64_t align;        /* of the first page's number: a power of two; 0 means 1 */
    uint64_t low;          /* all pages lie in [low, high], */
    uint64_t high;         /* both inclusive; high 0: no limits */
    uint64_t value;        /* the caller's */
    uint32_t guard_before; /* pages, where that is more than the arena's guard; */
    uint32_t guard_after;  /* PS_ARENA_NO_GUARD: none, whatever the arena's is */
};

/*
 * Allocate; *first is the first page.
 * PS_INVALID_ARGS  no pages, an alignment that is not a power of two, low > high, a guard above
 *                  PS_ARENA_GUARD_MAX
 * PS_NO_SPACE      no gap of that shape; and never when there is one
 * PS_NO_MEMORY     no frame for the bookkeeping, or too few to promise
 * Cost: O(log n), for an ordinary request O(1). Where the alignment exceeds 1, or a guard its
 * neighbours', a gap that is large enough may still not fit: 8 such are tried, then a gap in which
 * any place will do; only where there is none all gaps between the two sizes are, O(log n) each.
 * With limits: O(log n + allocations between `low` and the place found, or `high`); then the lowest
 * place is taken.
 */
PS_MUST_CHECK ps_status ps_arena_alloc(struct ps_arena *arena,
                                       const struct ps_arena_request *request, uint64_t *first);

/*
 * Allocate exactly [first, first + request->pages).
 *
 * force  guards, the neighbours' included, and those at the ends of the arena, are not kept
 * PS_OUT_OF_RANGE    not all in the arena
 * PS_ALREADY_EXISTS  a page is allocated or retired
 * PS_NO_SPACE        it is too near to a neighbour
 * PS_INVALID_ARGS    as above; not aligned or not within the limits that the request itself sets
 * PS_NO_MEMORY
 * Cost: O(log n).
 */
PS_MUST_CHECK ps_status ps_arena_alloc_at(struct ps_arena *arena,
                                          const struct ps_arena_request *request, uint64_t first,
                                          bool force);

/* ---- giving back ---- */

/*
 * Free the live allocation that begins at `first`. Never fails for lack of memory.
 *
 * pages  its size, to be checked; 0: whatever it is
 * PS_OUT_OF_RANGE  not in the arena
 * PS_NOT_FOUND     no live allocation begins there: free, a guard, retired, or inside of one
 * PS_WRONG_SIZE    it has another size
 * Cost: O(log n).
 */
PS_MUST_CHECK ps_status ps_arena_free(struct ps_arena *arena, uint64_t first, uint64_t pages);

/*
 * Free any part of one live allocation: its start, its end, its middle (which leaves two, both with
 * the same value), or all of it. The guard at a cut is what was freed, however few pages that are.
 * PS_INVALID_ARGS  no pages
 * PS_OUT_OF_RANGE  not in the arena
 * PS_NOT_FOUND     `first` is in no live allocation
 * PS_WRONG_SIZE    the part passes the end of it
 * PS_NO_MEMORY     a middle part only, and only after cuts that left no frame to the pool: never
 *                  when they did as is said above
 * Cost: O(log n).
 */
PS_MUST_CHECK ps_status ps_arena_free_part(struct ps_arena *arena, uint64_t first, uint64_t pages);

/*
 * The same, but the part stays taken, as a retired allocation of its own, until it is released.
 * A part at the start or at the end is a cut too. All of an allocation: never PS_NO_MEMORY.
 */
PS_MUST_CHECK ps_status ps_arena_retire(struct ps_arena *arena, uint64_t first, uint64_t pages);

/*
 * Free the retired allocation that begins at `first`. Never fails for lack of memory.
 * PS_OUT_OF_RANGE; PS_NOT_FOUND  no retired allocation begins there
 */
PS_MUST_CHECK ps_status ps_arena_release(struct ps_arena *arena, uint64_t first);

/*
 * Give the live allocation that begins at `first` another size: its end moves. Needs no memory.
 * PS_INVALID_ARGS  no pages
 * PS_OUT_OF_RANGE, PS_NOT_FOUND as ps_arena_free()
 * PS_NO_SPACE      the gap behind it is too small (`failed` does not count that)
 * Cost: O(log n).
 */
PS_MUST_CHECK ps_status ps_arena_resize(struct ps_arena *arena, uint64_t first, uint64_t pages);

/* ---- asking ---- */

enum ps_arena_kind {
    PS_ARENA_FREE,    /* free, and not a guard */
    PS_ARENA_GUARD,   /* free, but kept free by a neighbour or the end of the arena */
    PS_ARENA_LIVE,    /* allocated */
    PS_ARENA_RETIRED, /* freed, not released */
};

struct ps_arena_extent {
    uint64_t first;
    uint64_t pages;
    uint64_t value;
    uint32_t guard_before;
    uint32_t guard_after;
    enum ps_arena_kind kind; /* LIVE or RETIRED */
};

/*
 * The allocation, live or retired, that contains `page`. `extent` may be NULL.
 * PS_OUT_OF_RANGE; PS_NOT_FOUND. O(log n).
 */
PS_MUST_CHECK ps_status ps_arena_find(const struct ps_arena *arena, uint64_t page,
                                      struct ps_arena_extent *extent);

/* What the page is. False: outside of the arena. O(log n). */
bool ps_arena_kind_of(const struct ps_arena *arena, uint64_t page, enum ps_arena_kind *kind);

/* The lowest allocation that ends at `page` or after it: contains it, or is the next. O(log n). */
bool ps_arena_next(const struct ps_arena *arena, uint64_t page, struct ps_arena_extent *extent);

/* The highest allocation that begins at `page` or before it. O(log n). */
bool ps_arena_previous(const struct ps_arena *arena, uint64_t page, struct ps_arena_extent *extent);

/* Give the allocation that contains `page` another value; false when none does. O(log n). */
bool ps_arena_set_value(struct ps_arena *arena, uint64_t page, uint64_t value);

/*
 * Visit the allocations with a page in [low, high] in ascending order until `visit` returns false;
 * it must not change the arena. How many were visited. O(log n + visited).
 */
uint64_t ps_arena_for_each(const struct ps_arena *arena, uint64_t low, uint64_t high,
                           bool (*visit)(void *context, const struct ps_arena_extent *extent),
                           void *context);

struct ps_arena_snapshot {
    struct ps_arena_counters counters;
    uint64_t free_pages;    /* guards included */
    uint64_t free_extents;  /* gaps in which something fits */
    uint64_t largest;       /* pages that one request without guards of its own could get now */
    uint64_t fragmentation; /* thousandths of the free pages that are not in the largest */
    uint64_t frames;        /* of the pool: all the memory that there is, */
    uint64_t promised;      /* and so many more to cut with */
    uint32_t height;
};

/* All zero when not initialised. O(log n). */
void ps_arena_snapshot(const struct ps_arena *arena, struct ps_arena_snapshot *snapshot);

/*
 * Everything recomputed from the cells: order, no overlap, guards kept but at cuts, each gap in the
 * list or tree of its size and nothing else there, nodes in order and not too full or too empty,
 * counters right, all frames ours with our tag, as many promised as there have to be.
 * PS_BAD_STATE; PS_CORRUPT with one line to `sink`. O(n).
 */
PS_MUST_CHECK ps_status ps_arena_validate(const struct ps_arena *arena, const struct ps_sink *sink);

/* Counters, and one line an allocation. */
void ps_arena_dump(const struct ps_arena *arena, const struct ps_sink *sink);

#endif
