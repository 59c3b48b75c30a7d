/*
 * The inside of the virtual allocator: extents and the cells they live in.
 *
 * An extent is an allocation and the free pages behind it, so that free stretches need no
 * bookkeeping of their own: a free stretch is joined with its neighbours by an addition,
 * and only an allocation that becomes two ever needs a cell. The first extent has no pages;
 * it stands for the lower end of the arena and holds the free pages before everything else.
 *
 *     | . . . | A A A | . . | B | . . . . |
 *     first ->|<---- A ---->|<---- B ---->|        pages of A: 3, free behind A: 2
 *
 * Pages are counted from the base of the arena: no sum of them can wrap, also in an arena
 * that ends at the top of the address space.
 *
 * Cells lie in frames that are linked through themselves, and never straddle two of them.
 * Cells are reached by pointers into the direct map, which must not move after init.
 */
#ifndef PS_VIRTUAL_ALLOCATOR_PRIVATE_H
#define PS_VIRTUAL_ALLOCATOR_PRIVATE_H

#include <pagestage/virtual_allocator.h>

struct ps_extent {
    struct ps_extent *previous; /* in order of address, or in the list of spare cells */
    struct ps_extent *next;
    uint64_t first;    /* page of the arena */
    uint64_t pages;    /* allocated; 0 only in the first extent */
    uint64_t free;     /* pages behind them */
    uint64_t guard;    /* pages that no other allocation may use on either side */
    uint64_t sequence; /* parts of one allocation share it */
    struct ps_attribution who;
};

enum {
    PS_EXTENTS_PER_FRAME = 50,
    PS_EXTENTS_KEPT = 8, /* an empty frame stays until so many cells are spare elsewhere */
};

struct ps_extent_frame {
    ps_frame_t next; /* number 0: none; page 0 is in no pool */
    ps_frame_t previous;
    uint64_t used; /* cells that are extents now */
    struct ps_extent cells[PS_EXTENTS_PER_FRAME];
};

_Static_assert(sizeof(struct ps_extent_frame) <= PS_PAGE_SIZE, "cells do not straddle a frame");

/* First frame of cells and the first extent. PS_NO_MEMORY. */
PS_MUST_CHECK ps_status ps_extents_create(struct ps_virtual_allocator *allocator);
void ps_extents_destroy(struct ps_virtual_allocator *allocator);

/*
 * Make sure that the next insert finds a cell. Followed by exactly one insert, or by a
 * cancel that leaves everything as it was before. PS_NO_MEMORY.
 */
PS_MUST_CHECK ps_status ps_extents_reserve(struct ps_virtual_allocator *allocator, bool *grown);
void ps_extents_cancel(struct ps_virtual_allocator *allocator, bool grown);

/* A cell behind `before` in the list, its other fields left to the caller; and its opposite. */
struct ps_extent *ps_extent_insert(struct ps_virtual_allocator *allocator,
                                   struct ps_extent *before);
void ps_extent_remove(struct ps_virtual_allocator *allocator, struct ps_extent *extent);

/* The extent that `page` of the arena belongs to, allocated or free behind it. O(extents). */
struct ps_extent *ps_extent_at(const struct ps_virtual_allocator *allocator, uint64_t page);

/* `page` is one of the allocated pages of `extent`. */
static inline bool ps_extent_holds(const struct ps_extent *extent, uint64_t page)
{
    return page >= extent->first && page - extent->first < extent->pages;
}

/* The frame of cells by its number. */
struct ps_extent_frame *ps_extent_frame(const struct ps_virtual_allocator *allocator,
                                        ps_frame_t frame);

static inline ps_virt_t ps_arena_address(const struct ps_virtual_allocator *allocator,
                                         uint64_t page)
{
    return ps_virt_add_pages(allocator->base, ps_pages(page));
}

/* False when `va`, of any alignment, is outside the arena. */
static inline bool ps_arena_page(const struct ps_virtual_allocator *allocator, ps_virt_t va,
                                 uint64_t *page)
{
    if (va.addr < allocator->base.addr ||
        (va.addr - allocator->base.addr) >> PS_PAGE_SHIFT >= allocator->pages.count)
        return false;
    *page = (va.addr - allocator->base.addr) >> PS_PAGE_SHIFT;
    return true;
}

/* Held while pages are mapped and unmapped, so also during rounds. */
static inline void ps_virtual_lock(struct ps_virtual_allocator *allocator)
{
    ps_lock_acquire_answering(&allocator->lock,
                              allocator->table == NULL ? NULL : allocator->table->machine);
}

struct ps_virtual_info ps_extent_info(const struct ps_virtual_allocator *allocator,
                                      const struct ps_extent *extent);

#endif
