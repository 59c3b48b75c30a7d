/*
 * The virtual allocator inside.
 *
 * The arena knows which pages are taken; the 64 bits that it keeps for each allocation name a
 * record, and say whether a call is at work on the allocation outside of the lock. Parts that a
 * free left of one allocation have one record. A record without a sequence number is of an
 * allocation that is not live yet: its pages are taken, and that is all anybody may know.
 *
 *     arena    | A A A |   | A A |      | B B |         value: record, and BUSY
 *                  \---------/            |
 *     records     { first, bytes, who }  { ... }        parts: 2, and 1
 *
 * Pages are numbered as addresses are; number 0 is in no arena.
 */
#ifndef PS_VIRTUAL_ALLOCATOR_PRIVATE_H
#define PS_VIRTUAL_ALLOCATOR_PRIVATE_H

#include <pagestage/virtual_allocator.h>

#include "cells_private.h"

enum {
    PS_VIRTUAL_BUSY = 1, /* in a value: another call works on these pages */
};

struct ps_virtual_record {
    uint64_t first;    /* page where it began when it was made, or last resized */
    uint64_t bytes;    /* asked for, from its pointer on */
    uint64_t sequence; /* 0: not live yet */
    uint64_t last;     /* page that the request's limits allowed; 0: it had none */
    struct ps_attribution who;
    uint32_t parts;    /* allocations in the arena that have this record */
    uint32_t seen;     /* validate: parts met so far; 0 outside of it */
    uint16_t flags;    /* of the request */
    uint16_t offset;   /* of the pointer in the first page */
    uint8_t alignment; /* of the first page, as a power of two */
    ps_attr_t attr;
};

/* An allocation as it was found, under the lock. */
struct ps_virtual_place {
    struct ps_arena_extent extent;
    struct ps_virtual_record *record;
};

/* ---- the lock ---- */

/* Whoever waits for it answers rounds: its holder may wait for the page table, be it to look. */
static inline void ps_virtual_lock(struct ps_virtual_allocator *allocator)
{
    ps_lock_acquire_answering(&allocator->lock,
                              allocator->table == NULL ? NULL : allocator->table->machine);
}

static inline ps_status ps_virtual_leave(struct ps_virtual_allocator *allocator, ps_status status)
{
    ps_lock_release(&allocator->lock);
    return status;
}

/* Locked and initialised; false: not locked, and *status says why. */
bool ps_virtual_enter(struct ps_virtual_allocator *allocator, ps_status *status);

/* ---- pages and pointers ---- */

static inline ps_virt_t ps_virtual_page(uint64_t page)
{
    return ps_virt(page << PS_PAGE_SHIFT);
}

static inline struct ps_virtual_record *
ps_virtual_record(const struct ps_virtual_allocator *allocator, uint64_t value)
{
    return ps_cells_at(&allocator->records, value & ~(uint64_t)PS_VIRTUAL_BUSY);
}

/* The pointer of a part: the first one keeps its place in the page. */
static inline ps_virt_t ps_virtual_pointer(const struct ps_virtual_place *place)
{
    bool is_first = place->extent.first == place->record->first;

    return ps_virt_add(ps_virtual_page(place->extent.first), is_first ? place->record->offset : 0);
}

/* What was asked for, as far as it lies in [first, first + pages) of this record's. */
uint64_t ps_virtual_bytes(const struct ps_virtual_record *record, uint64_t first, uint64_t pages);

/*
 * The live allocation that contains `va`, or what is wrong with the address. BUSY comes with the
 * place, FREE, GUARD and FOREIGN come without.
 */
enum ps_misuse ps_virtual_look(const struct ps_virtual_allocator *allocator, ps_virt_t va,
                               struct ps_virtual_place *place);

/* The live allocations in order of address, from the one that contains `page` or is next. */
bool ps_virtual_next(const struct ps_virtual_allocator *allocator, uint64_t page,
                     struct ps_virtual_place *place);

struct ps_virtual_info ps_virtual_info(const struct ps_virtual_place *place);

/* A line about it. */
void ps_virtual_print(const struct ps_virtual_place *place, const struct ps_sink *sink);

/* ---- what failed calls leave behind ---- */

/* Counts, and keeps a failure: NO_MEMORY and its like; for other statuses `rejected` counts. */
ps_status ps_virtual_failed(struct ps_virtual_allocator *allocator, ps_status status,
                            uint64_t bytes, const struct ps_attribution *who);
/* Notes a misuse: the status that goes with it. `sequence` 0: it hit no allocation. */
ps_status ps_virtual_misused(struct ps_virtual_allocator *allocator, enum ps_misuse what,
                             ps_virt_t va, uint64_t sequence);

/* A place for that shape, with room for large leaves if that can be had. Under the lock. */
PS_MUST_CHECK ps_status ps_virtual_find_room(struct ps_virtual_allocator *allocator,
                                             const struct ps_arena_request *shape, uint64_t *first);

/* ---- backing: without the lock ---- */

/* Frames for [first, first + pages), mapped. All or nothing; pages are reserved by the caller. */
struct ps_virtual_backing {
    uint64_t first;
    uint64_t pages;
    ps_attr_t attr;
    unsigned flags; /* PS_FRAME_ZERO, PS_VIRTUAL_CONTIGUOUS, ... */
};

PS_MUST_CHECK ps_status ps_virtual_back(struct ps_virtual_allocator *allocator,
                                        const struct ps_virtual_backing *backing);

/* Let the pages at `to` show what those at `from` show. All or nothing. */
PS_MUST_CHECK ps_status ps_virtual_alias(struct ps_virtual_allocator *allocator, uint64_t from,
                                         uint64_t to, uint64_t pages);

/* Unmap in one round; `release`: and give the frames back. */
void ps_virtual_unback(struct ps_virtual_allocator *allocator, uint64_t first, uint64_t pages,
                       bool release);

/* A round of frames that were unmapped, into the pool; context: the pool. */
void ps_virtual_give_frames(void *context, ps_frame_t first, ps_pages_t pages);

/* More pages than the pool has frames to give? */
bool ps_virtual_is_hopeless(const struct ps_virtual_allocator *allocator, uint64_t pages);

/* PS_VIRTUAL_FILL: the bytes beside what was asked for; false: not as they were filled. */
void ps_virtual_fill_slack(struct ps_virtual_allocator *allocator,
                           const struct ps_virtual_place *place);
bool ps_virtual_slack_is_whole(struct ps_virtual_allocator *allocator,
                               const struct ps_virtual_place *place);

/* Clear up to so many of the bytes behind what was asked for. */
void ps_virtual_zero_slack(struct ps_virtual_allocator *allocator,
                           const struct ps_virtual_place *place, uint64_t count);

/* ---- giving back: under the lock ---- */

/* One part less has this record. */
void ps_virtual_drop(struct ps_virtual_allocator *allocator, uint64_t value);

/* A retired range: into quarantine, or free. */
void ps_virtual_let_go(struct ps_virtual_allocator *allocator, uint64_t first);

/* Everything in quarantine becomes free. */
void ps_virtual_end_quarantine(struct ps_virtual_allocator *allocator);

/* Free [first, first + pages) of the allocation. Leaves the lock. */
ps_status ps_virtual_free_range(struct ps_virtual_allocator *allocator,
                                const struct ps_virtual_place *place, uint64_t first,
                                uint64_t pages);

#endif
