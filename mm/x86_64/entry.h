/*
 * Page-table entries of x86-64, as pure functions: no memory is touched here.
 *
 *     63  62       61:59     58:52        51:12    11:9     8 7   6 5 4   3   2 1 0
 *     NX  retired  software  used entries frame    software G PS  D A PCD PWT U W P
 *
 * A table's entry carries the number of used entries of the table it points to: 10 bits,
 * in 58:52 and 11:9, which the processor ignores. Its accessed bit is set from the start,
 * so that the processor never writes to it and the number can be changed by a plain store.
 * It allows everything: what a page may do is decided by its leaf alone. Two more software
 * bits: 59, anchored, the table stays when it is empty; 60, shared, it belongs to another
 * address space.
 *
 * A leaf carries three software bits: bit 9, permanent; bit 10, meant to be executable, which
 * keeps that meaning on a processor without NX; bit 11, typed, its frames are known to the cache
 * types. The PAT bit is bit 7 in a 4 KiB leaf and bit 12 in larger ones.
 *
 * A retired entry has the present bit clear and its frame bits inverted, so that even a
 * processor that speculates past the present bit finds an address with no memory behind it
 * (L1TF). Bit 62 marks it, so that it is never mistaken for an empty one.
 */
#ifndef PS_ENTRY_H
#define PS_ENTRY_H

#include <pagestage/access.h>
#include <pagestage/machine.h>

/* Geometry. Smaller tables let tests search the whole state space of the same code. */
#ifndef PS_TABLE_INDEX_BITS
#define PS_TABLE_INDEX_BITS 9u
#endif
#define PS_TABLE_ENTRIES ((uint64_t)1 << PS_TABLE_INDEX_BITS)

enum { PS_LEVEL_MAX = 5 };

#define PS_ENTRY_PRESENT    ((uint64_t)1 << 0)
#define PS_ENTRY_WRITABLE   ((uint64_t)1 << 1)
#define PS_ENTRY_USER       ((uint64_t)1 << 2)
#define PS_ENTRY_PWT        ((uint64_t)1 << 3)
#define PS_ENTRY_PCD        ((uint64_t)1 << 4)
#define PS_ENTRY_ACCESSED   ((uint64_t)1 << 5)
#define PS_ENTRY_DIRTY      ((uint64_t)1 << 6)
#define PS_ENTRY_LARGE      ((uint64_t)1 << 7)
#define PS_ENTRY_PAT_SMALL  ((uint64_t)1 << 7)
#define PS_ENTRY_GLOBAL     ((uint64_t)1 << 8)
#define PS_ENTRY_PERMANENT  ((uint64_t)1 << 9)
#define PS_ENTRY_EXECUTABLE ((uint64_t)1 << 10)
#define PS_ENTRY_TYPED      ((uint64_t)1 << 11)
#define PS_ENTRY_PAT_LARGE  ((uint64_t)1 << 12)
#define PS_ENTRY_ANCHORED   ((uint64_t)1 << 59)
#define PS_ENTRY_SHARED     ((uint64_t)1 << 60)
#define PS_ENTRY_RETIRED    ((uint64_t)1 << 62)
#define PS_ENTRY_NO_EXECUTE ((uint64_t)1 << 63)

#define PS_ENTRY_FRAME_MASK ((((uint64_t)1 << 40) - 1) << PS_PAGE_SHIFT)

/* log2 of the pages that one entry of `level` spans. */
static inline unsigned ps_level_shift(unsigned level)
{
    return (level - 1) * PS_TABLE_INDEX_BITS;
}

static inline uint64_t ps_level_pages(unsigned level)
{
    return (uint64_t)1 << ps_level_shift(level);
}

/* Which entry of a table of `level` leads to `page`, an address >> 12. */
static inline uint64_t ps_level_index(uint64_t page, unsigned level)
{
    return page >> ps_level_shift(level) & (PS_TABLE_ENTRIES - 1);
}

/* The largest leaf of this machine. */
static inline unsigned ps_level_largest_leaf(const struct ps_machine *machine)
{
    unsigned largest = machine->gib_leaves ? 3 : 2;

    return machine->levels < largest ? machine->levels : largest;
}

static inline uint64_t ps_frame_largest(const struct ps_machine *machine)
{
    return ((uint64_t)1 << (machine->physical_bits - PS_PAGE_SHIFT)) - 1;
}

/* ---- forms ---- */

static inline bool ps_entry_is_present(uint64_t entry)
{
    return (entry & PS_ENTRY_PRESENT) != 0;
}

static inline bool ps_entry_is_retired(uint64_t entry)
{
    return (entry & (PS_ENTRY_PRESENT | PS_ENTRY_RETIRED)) == PS_ENTRY_RETIRED;
}

/* What a used entry is, or was before it was retired. Bit 7 means something else in level 1. */
static inline bool ps_entry_has_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (entry & PS_ENTRY_LARGE) != 0;
}

static inline bool ps_entry_is_table(uint64_t entry, unsigned level)
{
    return ps_entry_is_present(entry) && !ps_entry_has_leaf(entry, level);
}

/* Above level 1: a table that belongs to this address space alone. */
static inline bool ps_entry_is_own_table(uint64_t entry)
{
    return (entry & (PS_ENTRY_PRESENT | PS_ENTRY_LARGE | PS_ENTRY_SHARED)) == PS_ENTRY_PRESENT;
}

static inline bool ps_entry_is_leaf(uint64_t entry, unsigned level)
{
    return ps_entry_is_present(entry) && ps_entry_has_leaf(entry, level);
}

static inline bool ps_entry_is_retired_table(uint64_t entry, unsigned level)
{
    return ps_entry_is_retired(entry) && !ps_entry_has_leaf(entry, level);
}

/* Not present any more, but it can be had back by ps_entry_unretire(). */
static inline uint64_t ps_entry_retire(uint64_t entry)
{
    return entry ^ (PS_ENTRY_PRESENT | PS_ENTRY_RETIRED | PS_ENTRY_FRAME_MASK);
}

static inline uint64_t ps_entry_unretire(uint64_t entry)
{
    return ps_entry_retire(entry);
}

/* ---- tables ---- */

/* The entry of a table with no used entries. */
static inline uint64_t ps_entry_table(ps_frame_t frame)
{
    return ps_phys_of_frame(frame).addr | PS_ENTRY_PRESENT | PS_ENTRY_WRITABLE | PS_ENTRY_USER |
           PS_ENTRY_ACCESSED;
}

static inline ps_frame_t ps_entry_table_frame(uint64_t entry)
{
    return ps_frame((entry & PS_ENTRY_FRAME_MASK) >> PS_PAGE_SHIFT);
}

#define PS_ENTRY_USED_LOW_SHIFT  9u
#define PS_ENTRY_USED_HIGH_SHIFT 52u
#define PS_ENTRY_USED_MASK \
    ((uint64_t)7 << PS_ENTRY_USED_LOW_SHIFT | (uint64_t)127 << PS_ENTRY_USED_HIGH_SHIFT)

static inline uint64_t ps_entry_used(uint64_t entry)
{
    return (entry >> PS_ENTRY_USED_LOW_SHIFT & 7) | (entry >> PS_ENTRY_USED_HIGH_SHIFT & 127) << 3;
}

static inline uint64_t ps_entry_with_used(uint64_t entry, uint64_t used)
{
    return (entry & ~PS_ENTRY_USED_MASK) | (used & 7) << PS_ENTRY_USED_LOW_SHIFT |
           (used >> 3) << PS_ENTRY_USED_HIGH_SHIFT;
}

static inline bool ps_entry_is_anchored(uint64_t entry)
{
    return (entry & PS_ENTRY_ANCHORED) != 0;
}

static inline bool ps_entry_is_shared(uint64_t entry)
{
    return (entry & PS_ENTRY_SHARED) != 0;
}

/* ---- leaves ---- */

/* The bits of a leaf that hold its frame: larger leaves have fewer of them. */
static inline uint64_t ps_entry_leaf_frame_mask(unsigned level)
{
    return PS_ENTRY_FRAME_MASK & ~((ps_level_pages(level) << PS_PAGE_SHIFT) - 1);
}

static inline ps_frame_t ps_entry_leaf_frame(uint64_t entry, unsigned level)
{
    return ps_frame((entry & ps_entry_leaf_frame_mask(level)) >> PS_PAGE_SHIFT);
}

/* The frame of one page of it. */
static inline ps_frame_t ps_entry_leaf_page(uint64_t entry, unsigned level, uint64_t page)
{
    return ps_frame_add(ps_entry_leaf_frame(entry, level), page & (ps_level_pages(level) - 1));
}

/* PAT, PCD and PWT, in that order, are the number of the memory type. */
static inline uint64_t ps_entry_cache_bits(unsigned cache, unsigned level)
{
    uint64_t pat = level == 1 ? PS_ENTRY_PAT_SMALL : PS_ENTRY_PAT_LARGE;

    return ((cache & 1) != 0 ? PS_ENTRY_PWT : 0) | ((cache & 2) != 0 ? PS_ENTRY_PCD : 0) |
           ((cache & 4) != 0 ? pat : 0);
}

static inline unsigned ps_entry_cache(uint64_t entry, unsigned level)
{
    uint64_t pat = level == 1 ? PS_ENTRY_PAT_SMALL : PS_ENTRY_PAT_LARGE;

    return ((entry & PS_ENTRY_PWT) != 0 ? 1u : 0u) | ((entry & PS_ENTRY_PCD) != 0 ? 2u : 0u) |
           ((entry & pat) != 0 ? 4u : 0u);
}

/* A leaf of frame 0: what all leaves of a call have in common. `attr` is valid. */
static inline uint64_t ps_entry_leaf_bits(ps_attr_t attr, unsigned level,
                                          const struct ps_machine *machine)
{
    bool executable = (attr.access & PS_EXECUTE) != 0;

    return PS_ENTRY_PRESENT | ps_entry_cache_bits(attr.cache, level) |
           ((attr.access & PS_WRITE) != 0 ? PS_ENTRY_WRITABLE : 0) |
           ((attr.access & PS_USER) != 0 ? PS_ENTRY_USER : 0) |
           ((attr.access & PS_GLOBAL) != 0 ? PS_ENTRY_GLOBAL : 0) |
           (executable ? PS_ENTRY_EXECUTABLE : 0) |
           (!executable && machine->no_execute ? PS_ENTRY_NO_EXECUTE : 0) |
           (level > 1 ? PS_ENTRY_LARGE : 0);
}

/* `frame` is aligned to the leaf and within the machine's physical addresses. */
static inline uint64_t ps_entry_leaf(ps_frame_t frame, ps_attr_t attr, unsigned level,
                                     const struct ps_machine *machine)
{
    return ps_entry_leaf_bits(attr, level, machine) | ps_phys_of_frame(frame).addr;
}

static inline ps_attr_t ps_entry_attr(uint64_t entry, unsigned level)
{
    unsigned access = PS_READ | ((entry & PS_ENTRY_WRITABLE) != 0 ? PS_WRITE : 0u) |
                      ((entry & PS_ENTRY_EXECUTABLE) != 0 ? PS_EXECUTE : 0u) |
                      ((entry & PS_ENTRY_USER) != 0 ? PS_USER : 0u) |
                      ((entry & PS_ENTRY_GLOBAL) != 0 ? PS_GLOBAL : 0u);

    return ps_attr(access, (enum ps_cache)ps_entry_cache(entry, level));
}

static inline bool ps_entry_is_accessed(uint64_t entry)
{
    return (entry & PS_ENTRY_ACCESSED) != 0;
}

static inline bool ps_entry_is_dirty(uint64_t entry)
{
    return (entry & PS_ENTRY_DIRTY) != 0;
}

static inline bool ps_entry_is_permanent(uint64_t entry)
{
    return (entry & PS_ENTRY_PERMANENT) != 0;
}

/* What a change of attributes leaves alone, and what a cut hands down to its pieces. */
#define PS_ENTRY_USE     (PS_ENTRY_ACCESSED | PS_ENTRY_DIRTY)
#define PS_ENTRY_KEPT    (PS_ENTRY_PERMANENT | PS_ENTRY_TYPED)
#define PS_ENTRY_HISTORY (PS_ENTRY_USE | PS_ENTRY_KEPT)

/* The same leaf with other attributes: those of `bits`, from ps_entry_leaf_bits(). */
static inline uint64_t ps_entry_with_bits(uint64_t entry, uint64_t bits, unsigned level)
{
    return (entry & (ps_entry_leaf_frame_mask(level) | PS_ENTRY_HISTORY)) | bits;
}

static inline uint64_t ps_entry_with_attr(uint64_t entry, ps_attr_t attr, unsigned level,
                                          const struct ps_machine *machine)
{
    return ps_entry_with_bits(entry, ps_entry_leaf_bits(attr, level, machine), level);
}

/* The first of the leaves, one level down, that together map what `entry` maps. */
static inline uint64_t ps_entry_cut(uint64_t entry, unsigned level,
                                    const struct ps_machine *machine)
{
    return ps_entry_leaf(ps_entry_leaf_frame(entry, level), ps_entry_attr(entry, level), level - 1,
                         machine) |
           (entry & PS_ENTRY_HISTORY);
}

/*
 * Bits 52 to 58 of a leaf mean nothing to a processor. So many leaves hold a number of 42 bits:
 * leaf `i` seven of them.
 */
enum { PS_ENTRY_LINKS = 6 };

static inline uint64_t ps_entry_with_link(uint64_t leaf, uint64_t number, unsigned i)
{
    const uint64_t mask = 127;

    return (leaf & ~(mask << 52)) | (number >> (7 * i) & mask) << 52;
}

static inline uint64_t ps_entry_link(uint64_t leaf, unsigned i)
{
    return (leaf >> 52 & 127) << (7 * i);
}

/* Every bit that a processor could still set in this leaf is set: it will not write to it. */
static inline bool ps_entry_is_settled(uint64_t entry)
{
    return ps_entry_is_accessed(entry) &&
           (ps_entry_is_dirty(entry) || (entry & PS_ENTRY_WRITABLE) == 0);
}

/* Bits that are set in a present entry although this machine reserves them. */
static inline uint64_t ps_entry_reserved_bits(uint64_t entry, unsigned level,
                                              const struct ps_machine *machine)
{
    uint64_t reserved = PS_ENTRY_FRAME_MASK & ~(ps_frame_largest(machine) << PS_PAGE_SHIFT);

    if (!machine->no_execute)
        reserved |= PS_ENTRY_NO_EXECUTE;
    if (level > ps_level_largest_leaf(machine))
        reserved |= PS_ENTRY_LARGE;
    else if (level > 1 && ps_entry_has_leaf(entry, level))
        reserved |= PS_ENTRY_FRAME_MASK & ~ps_entry_leaf_frame_mask(level) & ~PS_ENTRY_PAT_LARGE;
    return entry & reserved;
}

#endif
