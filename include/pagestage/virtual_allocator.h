/*
 * The virtual allocator: page ranges with guards, mapped and backed.
 *
 * It owns one range of one address space, the arena, and cuts allocations out of it. Each
 * allocation has unmapped guard pages before and behind it; neighbours share a gap:
 *
 *     | g | A A A | g | B | g | . . . free . . . | g | C C | g |
 *
 * An allocation is virtually contiguous, backed by frames at once, and mapped with 4 KiB
 * leaves. Touching a guard page, or an address that was freed, faults.
 *
 * Bookkeeping is paid from the frame pool (PS_FRAME_HEAP): one frame for each 50
 * allocations, whatever the size of the arena. Free stretches cost nothing.
 *
 * Order of work: an address range is reserved first; frames are taken then, all or none;
 * then they are mapped. Freeing retires the translations, waits for the invalidation, gives
 * the frames back, and only then makes the addresses available again.
 *
 * Locking: every call takes the allocator's lock. Lock order: virtual allocator, page
 * table, frame pool. On failure nothing has changed but one of two counters: `failed` or
 * `rejected`. A NULL allocator or result pointer is PS_INVALID_ARGS.
 */
#ifndef PAGESTAGE_VIRTUAL_ALLOCATOR_H
#define PAGESTAGE_VIRTUAL_ALLOCATOR_H

#include <pagestage/page_table.h>

struct ps_extent; /* an allocation and the free pages behind it; private */

struct ps_virtual_allocator {
    struct ps_lock lock;

    /* Constant after init. */
    struct ps_page_table *table;
    struct ps_frame_pool *pool;
    enum ps_frame_tag tag;
    ps_virt_t base;
    ps_pages_t pages;
    ps_pages_t guard;
    bool ready;

    /* Under the lock. */
    struct ps_extent *extents; /* all of the arena, in order of address */
    struct ps_extent *spare;   /* bookkeeping cells not in use */
    ps_frame_t cells;          /* frames of bookkeeping, linked */
    uint64_t sequence;         /* successful allocations so far */
    struct ps_virtual_counters {
        uint64_t live;       /* allocations now */
        uint64_t live_pages; /* their pages, guards left out */
        uint64_t peak_pages;
        uint64_t failed;   /* requests that found no memory or no space */
        uint64_t rejected; /* calls with bad arguments, and frees of what is not there */
        uint64_t metadata_frames;
    } counters;
};

/*
 * An allocator over [base, base + pages).
 *
 * allocator  zero-filled
 * table      in which the range is, and stays, unmapped by everybody else
 * guard      pages between any two allocations and at both ends; 0 is allowed
 * tag        of the frames behind allocations
 * PS_BAD_STATE     already initialised; the page table or the pool is not
 * PS_INVALID_ARGS  NULL; base not page-aligned; no pages; wrapping; not canonical; in both
 *                  halves; pages <= 2 * guard; a tag that is not to allocate with. base 0 is
 *                  an address like any other, but its first page is never handed out.
 * PS_NO_MEMORY     no frame for the first bookkeeping
 */
PS_MUST_CHECK ps_status ps_virtual_init(struct ps_virtual_allocator *allocator,
                                        struct ps_page_table *table, struct ps_frame_pool *pool,
                                        ps_virt_t base, ps_pages_t pages, ps_pages_t guard,
                                        enum ps_frame_tag tag);

/*
 * Give the bookkeeping back; the structure is zero afterwards.
 * PS_BAD_STATE  not initialised, or an allocation is still live (nothing changed)
 */
PS_MUST_CHECK ps_status ps_virtual_destroy(struct ps_virtual_allocator *allocator);

/* Who asked: kept with the allocation, shown by leak reports. All of it may be 0. */
struct ps_attribution {
    uint64_t owner;   /* whatever the caller counts: task, module, ... */
    const char *file; /* must outlive the allocation */
    uint32_t line;
};

#define PS_HERE(owner_id) ((struct ps_attribution){(owner_id), __FILE__, __LINE__})

struct ps_virtual_request {
    ps_pages_t pages;
    ps_pages_t alignment; /* of the first page; a power of two, 0 means 1 */
    ps_pages_t guard;     /* on both sides, where it is more than the arena's */
    ps_attr_t attr;       /* zero: readable and writable RAM */
    unsigned flags;       /* PS_FRAME_ZERO */
    struct ps_attribution who;
};

/*
 * Allocate, back and map. *va is the first page; untouched on failure.
 * PS_BAD_STATE     not initialised; comes before everything else
 * PS_INVALID_ARGS  NULL; no pages; alignment not a power of two; invalid attr; unknown flag
 * PS_NO_SPACE      no gap of that shape in the arena: no frame has been taken
 * PS_NO_MEMORY     not enough frames for the pages, the tables or the bookkeeping
 * PS_ALREADY_EXISTS  somebody else mapped a page inside the arena
 * PS_ACCESS_DENIED   the arena lies under entries shared from another address space
 */
PS_MUST_CHECK ps_status ps_virtual_alloc(struct ps_virtual_allocator *allocator,
                                         const struct ps_virtual_request *request, ps_virt_t *va);

/*
 * Free a whole allocation by its first page; its size is known here.
 * PS_BAD_STATE     not initialised
 * PS_OUT_OF_RANGE  not in the arena
 * PS_NOT_FOUND     free already, a guard page, or inside an allocation
 */
PS_MUST_CHECK ps_status ps_virtual_free(struct ps_virtual_allocator *allocator, ps_virt_t va);

/*
 * Free any part of one allocation: its start, its end, its middle (which leaves two
 * allocations with the same attribution), or all of it. The freed pages fault; those next
 * to what is left serve as its guard.
 * PS_WRONG_SIZE    the range passes the end of the allocation
 * PS_NO_MEMORY     only for a middle: no bookkeeping for the second part
 * otherwise as ps_virtual_free(), and PS_INVALID_ARGS for no pages or an unaligned address.
 */
PS_MUST_CHECK ps_status ps_virtual_free_part(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                             ps_pages_t pages);

struct ps_virtual_info {
    ps_virt_t va;
    ps_pages_t pages;
    uint64_t sequence; /* 1 for the first allocation of this allocator */
    struct ps_attribution who;
};

/* The live allocation that contains `va`; PS_NOT_FOUND, PS_OUT_OF_RANGE, PS_BAD_STATE. */
PS_MUST_CHECK ps_status ps_virtual_find(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                        struct ps_virtual_info *info);

/* Copy up to `capacity` live allocations in order of address; returns how many there are. */
uint64_t ps_virtual_live(struct ps_virtual_allocator *allocator, struct ps_virtual_info *infos,
                         uint64_t capacity);

struct ps_virtual_snapshot {
    struct ps_virtual_counters counters;
    uint64_t free_extents;
    uint64_t free_pages;
    uint64_t largest_free; /* pages, guards not taken off */
};

void ps_virtual_snapshot(struct ps_virtual_allocator *allocator,
                         struct ps_virtual_snapshot *snapshot);

/*
 * Extents cover the arena without gap or overlap, no two free neighbours, guards kept,
 * counters right, every page of every allocation mapped to a frame of ours with our tag
 * and every other page of the arena absent.
 * PS_BAD_STATE; PS_CORRUPT with one line to `sink`. O(pages of all allocations), and a walk
 * over the tables.
 */
PS_MUST_CHECK ps_status ps_virtual_validate(struct ps_virtual_allocator *allocator,
                                            const struct ps_sink *sink);

/* Counters, and one line a live allocation. */
void ps_virtual_dump(struct ps_virtual_allocator *allocator, const struct ps_sink *sink);

#endif
