/*
 * The TLB gather: one invalidation for everything that one operation took away.
 *
 *     gather_init -> page-table calls add what they removed -> gather_flush
 *
 * Until the flush has returned, stale translations may be in use on any processor: the
 * frames behind them, the tables that led to them and the virtual range itself still
 * belong to the operation. After it they are dead on every processor and may be reused.
 *
 * A gather keeps the smallest range that covers all it was told. A flush invalidates that
 * range page by page up to machine->flush_threshold pages and everything otherwise.
 */
#ifndef PAGESTAGE_TLB_H
#define PAGESTAGE_TLB_H

#include <pagestage/machine.h>

struct ps_tlb_gather {
    const struct ps_machine *machine;
    uint64_t first; /* bytes, inclusive; meaningless while `empty` */
    uint64_t last;
    bool empty;
};

void ps_tlb_gather_init(struct ps_tlb_gather *gather, const struct ps_machine *machine);

/* [va, va + pages) lost a translation, or one became less permissive. pages > 0. O(1). */
void ps_tlb_gather_add(struct ps_tlb_gather *gather, ps_virt_t va, ps_pages_t pages);

/*
 * One round on this processor and all others; nothing when nothing was added. The gather
 * is empty afterwards and can be used again. Returns the number of rounds: 0 or 1.
 */
unsigned ps_tlb_gather_flush(struct ps_tlb_gather *gather);

#endif
