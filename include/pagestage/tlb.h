/*
 * The TLB gather: one invalidation for everything that one operation took away.
 *
 *     gather_init -> page-table calls add what they removed -> gather_flush
 *
 * Until the flush has returned, stale translations may be in use on any processor: the
 * frames behind them, the tables that led to them and the virtual range itself still
 * belong to the operation. After it they are dead on every processor and may be reused.
 *
 * A gather keeps ranges of leaves, and joins those that lie side by side. A flush invalidates
 * them leaf by leaf, a large leaf by one instruction, as long as they are no more than
 * machine->flush_threshold, and everything otherwise. Global entries, which a change of the
 * root leaves alone, are flushed with everything only when one of them was added.
 *
 * A leaf that was cut or is about to be may be cached whole or in pieces: either dies with each
 * of the addresses in it.
 */
#ifndef PAGESTAGE_TLB_H
#define PAGESTAGE_TLB_H

#include <pagestage/machine.h>

struct ps_tlb_gather {
    const struct ps_machine *machine;
    uint64_t leaves; /* added so far; none: there is nothing to flush */
    struct ps_invalidation what;
};

/*
 * An empty gather, wherever the caller has room for it. machine outlives it. It belongs to one
 * processor at a time. A gather that is not empty must be flushed before what it covers is used.
 */
void ps_tlb_gather_init(struct ps_tlb_gather *gather, const struct ps_machine *machine);

/*
 * Leaves that cover [va, va + pages) lost their translations, or those became less permissive.
 * pages   > 0; the range does not wrap
 * leaf    pages of the smallest leaf among them
 * global  one of them was global
 * No memory is needed. O(1).
 */
void ps_tlb_gather_add(struct ps_tlb_gather *gather, ps_virt_t va, ps_pages_t pages,
                       ps_pages_t leaf, bool global);

/*
 * One round on this processor and all others; nothing when nothing was added. The gather
 * is empty afterwards and can be used again. Returns the number of rounds: 0 or 1.
 * Locking: none is taken. Whoever calls it answers shootdowns of others, by interrupts or through
 * machine->answer, as long as its own shootdown waits: two that flush at once wait for each other.
 */
unsigned ps_tlb_gather_flush(struct ps_tlb_gather *gather);

/* Carry a round out on the calling processor alone: what machine->shootdown asks others to do. */
void ps_tlb_invalidate_here(const struct ps_machine *machine, const struct ps_invalidation *what);

/*
 * The flush_threshold of a machine on which invalidating one leaf costs `single`, a full flush
 * `full`, and using again what a full flush needlessly dropped `refill`, in any one unit.
 * At least 1, at most 4096: a round on other processors must not take for ever.
 */
uint32_t ps_tlb_threshold(uint64_t single, uint64_t full, uint64_t refill);

#endif
