/*
 * The virtual allocator: page ranges with guards, mapped and backed.
 *
 * It owns one range of one address space, its arena, and cuts allocations out of it. Each
 * allocation has unmapped guard pages before and behind it; neighbours share a gap:
 *
 *     | g | A A A | g | B | g | . . . free . . . | g | C C | R | g |
 *
 * An allocation is virtually contiguous and backed by frames at once. Touching a guard page, or an
 * address that was freed, faults. It is named by its pointer: the address of its first byte.
 *
 * A page of the arena is in one of these states:
 *
 *     free      faults
 *     busy      of an allocation that a call makes, moves or lengthens just now
 *     live      of an allocation; mapped
 *     retired   (R) freed, faults, and not handed out again yet: its translations may still be
 *               alive, or it is in quarantine
 *
 * Backing. 2 MiB of addresses that lie in an allocation whole and aligned are backed by a 2 MiB
 * frame and one leaf where the pool has such a frame, 1 GiB likewise; everything else, and where
 * the pool has none, by single frames. Any part can be freed, also of a large leaf.
 *
 * Attribution. Each allocation keeps what was asked for, by whom, and its sequence number. Parts
 * that a free leaves of one allocation share these.
 *
 * Order of work: the addresses are reserved first; then frames are taken, filled and mapped, while
 * other calls go on; then the allocation is live. Freeing makes it retired, unmaps it in one
 * invalidation round, gives the frames back, and then the addresses.
 *
 * Memory: frames of the pool, PS_FRAME_HEAP: about 150 bytes an allocation, none without
 * allocations, whatever the size of the arena. Giving back never fails for lack of it: frames for
 * cutting allocations are promised by the pool (ps_frame_pool_promise).
 *
 * Locking: every call may come from any processor. The allocator's own lock is held for its
 * bookkeeping only: not while frames are taken, filled or mapped, nor during a round, but for that
 * of ps_virtual_free_all(). Lock order: virtual allocator, page table, cache types, frame pool.
 *
 * In all calls a NULL allocator or result pointer is PS_INVALID_ARGS. On failure nothing has
 * changed but the counters `failed` or `rejected` and the record of the last failure or misuse;
 * results are written on success only. n is the number of allocations.
 */
#ifndef PAGESTAGE_VIRTUAL_ALLOCATOR_H
#define PAGESTAGE_VIRTUAL_ALLOCATOR_H

#include <pagestage/address_arena.h>
#include <pagestage/cells.h>
#include <pagestage/page_table.h>

enum { PS_OWNER_IDS = 3 };

/* Who asked: kept with the allocation, shown by leak reports. All of it may be 0. */
struct ps_attribution {
    uint64_t owner[PS_OWNER_IDS]; /* whatever the caller counts: module, process, thread, ... */
    const char *file;             /* must outlive the allocation, and the records of failures */
    uint32_t line;
};

#define PS_HERE(owner_id) ((struct ps_attribution){{(owner_id)}, __FILE__, __LINE__})

enum {
    /* Of an allocator. */
    PS_VIRTUAL_ANCHOR = 1u << 0, /* the arena's tables below the root exist from the beginning */
    PS_VIRTUAL_PUSH = 1u << 1,   /* an allocation by bytes ends at its rear guard */
    PS_VIRTUAL_FILL = 1u << 2,   /* fill memory, and check what was not asked for when it goes */
};

#define PS_VIRTUAL_FILL_BYTE 0xa7u

/* What an allocator is made of. */
struct ps_virtual_config {
    ps_virt_t base;   /* of the arena: [base, base + pages) */
    ps_pages_t pages; /* 1 to 2^47 */

    /* Pages between any two allocations and at both ends: 0 to PS_ARENA_GUARD_MAX. */
    ps_pages_t guard;

    /*
     * Requests for at least so many pages begin at a multiple of so many pages where that is
     * possible, and elsewhere where it is not. A power of two; 0 and 1: no matter. 512 makes room
     * for 2 MiB leaves.
     */
    ps_pages_t alignment;

    enum ps_frame_tag tag; /* of the frames behind allocations */
    unsigned flags;        /* PS_VIRTUAL_ANCHOR, ... */
    uint64_t quarantine;   /* freed addresses are not used before so many later frees */
};

/* Why a call was refused, when it was about an address. */
enum ps_misuse {
    PS_MISUSE_NONE,
    PS_MISUSE_FOREIGN,  /* not in the arena */
    PS_MISUSE_FREE,     /* nothing is allocated there: freed already, or never allocated */
    PS_MISUSE_GUARD,    /* a page that is kept free between allocations */
    PS_MISUSE_INTERIOR, /* inside an allocation, not its beginning */
    PS_MISUSE_SIZE,     /* another size than it has, or a part that passes its end */
    PS_MISUSE_OVERRUN,  /* PS_VIRTUAL_FILL: bytes beside it have been written to */
    PS_MISUSE_BUSY,     /* another call is at work on it */
    PS_MISUSE_COUNT
};

struct ps_virtual_allocator {
    struct ps_lock lock;

    /* Constant after init. */
    struct ps_page_table *table;
    struct ps_frame_pool *pool;
    struct ps_virtual_config config;

    /* Under the lock. */
    struct ps_arena arena;   /* page numbers are those of addresses */
    struct ps_cells records; /* what is known of allocations */
    uint64_t sequence;       /* successful allocations so far */
    uint64_t working;        /* calls that are at work outside of the lock */

    /* Freed page ranges in quarantine, linked through the arena: the oldest, and the youngest. */
    uint64_t oldest;
    uint64_t youngest;

    struct ps_virtual_counters {
        uint64_t live;       /* allocations now; parts that a free left count one each */
        uint64_t live_pages; /* their pages, guards left out */
        uint64_t live_bytes; /* what was asked for of them */
        uint64_t peak_pages;
        uint64_t allocs;      /* successful calls so far: new allocations, */
        uint64_t frees;       /* whole or in part, also by getting shorter, */
        uint64_t moves;       /* and resizes that moved */
        uint64_t failed;      /* requests that found no memory or no space, or were not mapped */
        uint64_t rejected;    /* calls with bad arguments */
        uint64_t quarantined; /* ranges now */
    } counters;

    /* The last request that failed; status PS_OK when none did. Kept when later ones succeed. */
    struct ps_virtual_failure {
        ps_status status;
        uint64_t bytes;
        uint64_t allocs; /* successful ones before it */
        struct ps_attribution who;
    } failure;

    /* The last call that was wrong about an address. */
    struct ps_virtual_misuse {
        ps_status status;
        enum ps_misuse what;
        ps_virt_t va;
        uint64_t sequence; /* of the allocation that it hit, 0: none */
        uint64_t counts[PS_MISUSE_COUNT];
    } misuse;
};

/*
 * An allocator.
 *
 * allocator  zero-filled
 * table      in which the arena is, and stays, unmapped by everybody else
 * pool       of the same machine as the table
 * config     read during the call only
 * PS_BAD_STATE     already initialised; the page table or the pool is not
 * PS_INVALID_ARGS  NULL; base not page-aligned; no pages; wrapping; not canonical; in both halves;
 *                  no room for one page between guards, or too large ones; an alignment that is not
 *                  a power of two; a tag that is not to allocate with; an unknown flag; pool and
 *                  table of different machines
 * PS_NO_MEMORY     as ps_page_table_anchor(), with PS_VIRTUAL_ANCHOR
 * PS_ACCESS_DENIED the same
 * base 0 is an address like any other, but its first page is never mapped, and so not part of the
 * arena. Takes no frame but for PS_VIRTUAL_ANCHOR.
 */
PS_MUST_CHECK ps_status ps_virtual_init(struct ps_virtual_allocator *allocator,
                                        struct ps_page_table *table, struct ps_frame_pool *pool,
                                        const struct ps_virtual_config *config);

/*
 * Give the bookkeeping back; the structure is zero afterwards. Anchored tables stay.
 * leaks         NULL, or told a line for each allocation that is still live
 * PS_BAD_STATE  not initialised, an allocation is still live, or a call is at work: nothing changed
 */
PS_MUST_CHECK ps_status ps_virtual_destroy(struct ps_virtual_allocator *allocator,
                                           const struct ps_sink *leaks);

/* ---- allocating ---- */

enum {
    /* Of a request; PS_FRAME_ZERO too. */
    PS_VIRTUAL_CONTIGUOUS = 1u << 8,    /* physically contiguous, or PS_NO_SPACE */
    PS_VIRTUAL_CLUSTERED = 1u << 9,     /* physically contiguous if possible */
    PS_VIRTUAL_SMALL_LEAVES = 1u << 10, /* 4 KiB leaves only */
    PS_VIRTUAL_MAY_MOVE = 1u << 11,     /* ps_virtual_resize() only */
};

#define PS_VIRTUAL_NO_GUARD ps_pages(UINT32_MAX)

struct ps_virtual_request {
    /* How much: pages, or bytes; the other one is 0. Bytes are rounded up to pages. */
    ps_pages_t pages;
    uint64_t bytes;

    ps_pages_t alignment; /* of the first page; a power of two, 0 means 1 */
    uint64_t low;         /* all pages lie in [low, high], addresses; */
    uint64_t high;        /* both inclusive; high 0: anywhere */

    /* Where they are more than the allocator's; PS_VIRTUAL_NO_GUARD: none, whatever that is. */
    ps_pages_t guard_before;
    ps_pages_t guard_after;

    ps_attr_t attr; /* zero: readable and writable RAM */
    unsigned flags;
    struct ps_attribution who;
};

/*
 * Allocate, back and map. *va is the first byte: of the first page, or with PS_VIRTUAL_PUSH, bytes
 * and no alignment, the multiple of 16 from which they reach to the end of the last page, or 15
 * bytes less.
 * PS_BAD_STATE     not initialised, which comes before everything else; or the page table is frozen
 * PS_INVALID_ARGS  NULL; not exactly one of pages and bytes; alignment not a power of two; a guard
 *                  above PS_ARENA_GUARD_MAX; low above high; invalid attr; unknown flag
 * PS_NO_SPACE      no gap of that shape in the arena: no frame has been taken; or
 *                  PS_VIRTUAL_CONTIGUOUS, and no such run of frames
 * PS_NO_MEMORY     not enough frames for the pages, the tables or the bookkeeping; when there are
 *                  fewer than pages, none has been taken
 * PS_ALREADY_EXISTS  somebody else mapped a page inside the arena
 * PS_ACCESS_DENIED   the arena lies under entries shared from another address space, or what the
 *                    page table says of attr
 * Cost: O(log n), and for each leaf what the pool and the page table need.
 */
PS_MUST_CHECK ps_status ps_virtual_alloc(struct ps_virtual_allocator *allocator,
                                         const struct ps_virtual_request *request, ps_virt_t *va);

/*
 * The same at exactly the page `va`.
 * force  guards, the neighbours' included, are not kept: an instrument for tests
 * PS_OUT_OF_RANGE    not all in the arena
 * PS_ALREADY_EXISTS  also when a page of it is not free
 * PS_NO_SPACE        too near to a neighbour
 * PS_INVALID_ARGS    also when `va` is not page-aligned, or against the request's own limits
 */
PS_MUST_CHECK ps_status ps_virtual_alloc_at(struct ps_virtual_allocator *allocator,
                                            const struct ps_virtual_request *request, ps_virt_t va,
                                            bool force);

/*
 * Another size for the allocation `va`, by bytes from its pointer on. What it holds, up to the
 * smaller size, stays, and so does the place of its first byte in the page.
 *
 * flags  PS_FRAME_ZERO: of what is added. PS_VIRTUAL_MAY_MOVE: to another address, where there is
 *        no room behind it. Frames are mapped there, nothing is copied.
 * *moved  its pointer now; `va` when it did not move
 * A longer allocation is backed as a new one is. A shorter one gives back whole pages. Alignment
 * and guards are kept on the way; an allocation with limits stays where it is, and within them.
 * A part that a free left has its own bytes afterwards; without memory to note them in, one that
 * got shorter counts for all of its pages.
 * PS_INVALID_ARGS  no bytes, unknown flag
 * PS_NO_SPACE      no room behind it, and with PS_VIRTUAL_MAY_MOVE none elsewhere; more of an
 *                  allocation with PS_VIRTUAL_CONTIGUOUS, or behind its limits
 * otherwise as ps_virtual_free() and ps_virtual_alloc(). Never PS_NO_MEMORY for less.
 */
PS_MUST_CHECK ps_status ps_virtual_resize(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                          uint64_t bytes, unsigned flags, ps_virt_t *moved);

/* ---- freeing: never fails for lack of memory ---- */

/*
 * Free a whole allocation by its pointer; its size is known here.
 * PS_BAD_STATE      not initialised; the page table is frozen; or another call is at work on it
 * PS_OUT_OF_RANGE   not in the arena
 * PS_NOT_FOUND      free already, or never allocated
 * PS_ACCESS_DENIED  a guard page
 * PS_INVALID_ARGS   inside an allocation
 * PS_CORRUPT        PS_VIRTUAL_FILL, and the bytes before or behind what was asked for have been
 *                   written to. Nothing is freed, for whoever wants to look; freed without this
 *                   check by ps_virtual_free_part() or ps_virtual_free_all().
 * What is wrong about the address is noted in `misuse`, also that a call is at work on it. Cost:
 * O(log n + leaves), one round.
 */
PS_MUST_CHECK ps_status ps_virtual_free(struct ps_virtual_allocator *allocator, ps_virt_t va);

/* The same, and PS_WRONG_SIZE when not exactly so many bytes were asked for. */
PS_MUST_CHECK ps_status ps_virtual_free_sized(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                              uint64_t bytes);

/*
 * Free any part of one allocation, by whole pages: its start, its end, its middle (which leaves two
 * allocations with the same attribution), or all of it. The freed pages fault; those next to what
 * is left serve as its guard. What is left begins with a page, but for the old beginning.
 * PS_INVALID_ARGS  no pages, or an unaligned address
 * PS_WRONG_SIZE    the range passes the end of the allocation
 * otherwise as ps_virtual_free(), without PS_CORRUPT.
 */
PS_MUST_CHECK ps_status ps_virtual_free_part(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                             ps_pages_t pages);

/*
 * Free everything, quarantine included, in one round. For tests, and for the end of a world.
 * PS_BAD_STATE  not initialised, the page table is frozen, or a call is at work
 */
PS_MUST_CHECK ps_status ps_virtual_free_all(struct ps_virtual_allocator *allocator);

/* ---- asking ---- */

struct ps_virtual_info {
    ps_virt_t va;      /* its pointer */
    ps_virt_t first;   /* its first page */
    ps_pages_t pages;  /* all of them from there on */
    uint64_t bytes;    /* asked for; of a part that a free left: those that are left in its pages */
    uint64_t sequence; /* 1 for the first allocation of this allocator */
    struct ps_attribution who;
};

/*
 * The live allocation that contains `va`. PS_OUT_OF_RANGE, PS_NOT_FOUND, PS_BAD_STATE. No misuse is
 * noted. O(log n).
 */
PS_MUST_CHECK ps_status ps_virtual_find(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                        struct ps_virtual_info *info);

/*
 * Whether `va` is the pointer of a live allocation. Does not wait, so that a fault handler can ask:
 * PS_SHOULD_WAIT when the lock is taken. PS_BAD_STATE. O(log n).
 */
PS_MUST_CHECK ps_status ps_virtual_is_live(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                           bool *live);

/* Bytes from the pointer `va` to the end of its last page. Statuses as ps_virtual_find(). */
PS_MUST_CHECK ps_status ps_virtual_usable(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                          uint64_t *bytes);

/*
 * Copy up to `capacity` live allocations that end behind `from`, in order of address; returns how
 * many there are, which may be more. O(log n + those).
 */
uint64_t ps_virtual_live(struct ps_virtual_allocator *allocator, ps_virt_t from,
                         struct ps_virtual_info *infos, uint64_t capacity);

struct ps_virtual_snapshot {
    struct ps_virtual_counters counters;
    struct ps_virtual_failure failure;
    struct ps_virtual_misuse misuse;
    uint64_t free_extents;
    uint64_t free_pages;
    uint64_t largest_free;    /* pages that one request without guards of its own could get */
    uint64_t fragmentation;   /* thousandths of the free pages that are not in the largest */
    uint64_t metadata_frames; /* of the pool: all the memory that there is */
};

void ps_virtual_snapshot(struct ps_virtual_allocator *allocator,
                         struct ps_virtual_snapshot *snapshot);

/*
 * The arena and the records are sound and fit together, counters are right, every page of every
 * live allocation is mapped to a frame of ours with our tag, and no page is mapped that is not of a
 * live or busy allocation or being unmapped. Other calls may be at work.
 * PS_BAD_STATE; PS_CORRUPT with one line to `sink`. O(pages of all allocations), and a walk
 * over the tables.
 */
PS_MUST_CHECK ps_status ps_virtual_validate(struct ps_virtual_allocator *allocator,
                                            const struct ps_sink *sink);

/* Counters, the last failure and misuse, and one line a live allocation. */
void ps_virtual_dump(struct ps_virtual_allocator *allocator, const struct ps_sink *sink);

#endif
