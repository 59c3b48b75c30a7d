/*
 * The machine as the library sees it: how to reach a physical frame, what the processor
 * can do, and how other processors are told that a translation died.
 *
 * There is one structure a machine and every layer points to it; the library has no other
 * state that is shared between layers. The stage fills it in on hardware, the host tests
 * fill it in for a simulated machine.
 */
#ifndef PAGESTAGE_MACHINE_H
#define PAGESTAGE_MACHINE_H

#include <pagestage/types.h>

/* Translations of `count` leaves side by side, each of `step_pages` pages. */
struct ps_flush_range {
    ps_virt_t first; /* an address in the first leaf */
    uint32_t count;
    uint32_t step_pages;
};

enum { PS_FLUSH_RANGES = 8 };

/* Translations that must be dead on every processor before a call returns. */
struct ps_invalidation {
    uint32_t count; /* of ranges, to invalidate leaf by leaf; 0: everything */
    bool global;    /* everything: global entries included */
    struct ps_flush_range ranges[PS_FLUSH_RANGES];
};

struct ps_cache_types;

struct ps_machine {
    /* Where physical address 0 appears. Changed once, by the stage, when it changes the root. */
    uint64_t direct_map;

    /* Constant after the machine was set up. */
    uint8_t physical_bits; /* MAXPHYADDR: 36 to 52 */
    uint8_t levels;        /* of the page tables: 4 or 5 */
    bool no_execute;       /* EFER.NXE is on; without it PS_EXECUTE cannot be withheld */
    bool gib_leaves;       /* CPUID says that 1 GiB leaves exist */
    bool global_leaves;    /* CR4.PGE is on */

    /*
     * More leaves than this in one round: a full flush is cheaper than single ones. To be measured:
     * ps_tlb_threshold(). May be set again whenever no call is going on.
     */
    uint32_t flush_threshold;

    /*
     * Keeps page tables from mapping a frame with two memory types; NULL: nobody does. Set before
     * the first page table is created, and kept until the last one is destroyed.
     */
    struct ps_cache_types *cache_types;

    /*
     * How large amounts of memory are cleared; with neither, general registers do it. Both must
     * hold for every processor that calls the library.
     */
    bool streaming;   /* an SSE register may be used; it is saved before and put back after */
    bool clear_lines; /* CPUID says that CLZERO exists */

    /*
     * How many processors may call the library at the same time, and which of them is calling:
     * a number below `processors`. Where `processors` is 0 or 1 the frame pool and the page tables
     * take no locks, and `processor` is not called.
     */
    uint32_t processors;
    uint32_t (*processor)(void *context);
    void *processor_context;

    /*
     * Carry out one round on all other processors, by ps_tlb_invalidate_here() there, and return
     * when they are done. NULL on a machine with one running processor. The local round is the
     * library's own.
     */
    void (*shootdown)(void *context, const struct ps_invalidation *what);
    void *shootdown_context;

    /*
     * Carry out, on this processor, what the shootdowns of others ask for. Called again and again
     * while a call waits for a lock that is held during rounds: its holder may be waiting for this
     * very processor. NULL where interrupts are on in every call: then they do it.
     */
    void (*answer)(void *context);
    void *answer_context;
};

#endif
