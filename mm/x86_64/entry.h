/*
 * Page-table entries of x86-64, as pure functions: no memory is touched here.
 *
 *     63  62:59  58:52        51:12    11:9     8 7   6 5 4   3   2 1 0
 *     NX  -      used entries frame    software G PS  D A PCD PWT U W P
 *
 * A table's entry carries the number of used entries of the table it points to: 10 bits,
 * in 58:52 and 11:9, which the processor ignores. Its accessed bit is set from the start,
 * so that the processor never writes to it and the number can be changed by a plain store.
 *
 * A leaf carries two software bits: bit 9, permanent; bit 10, meant to be executable, which
 * keeps that meaning on a processor without NX. The PAT bit is bit 7 in a 4 KiB leaf and
 * bit 12 in larger ones.
 *
 * A retired entry has the present bit clear and its frame bits inverted, so that even a
 * processor that speculates past the present bit finds an address with no memory behind it
 * (L1TF).
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
#define PS_ENTRY_PAT_LARGE  ((uint64_t)1 << 12)
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

static inline uint64_t ps_level_index(ps_virt_t va, unsigned level)
{
    return (va.addr >> PS_PAGE_SHIFT >> ps_level_shift(level)) & (PS_TABLE_ENTRIES - 1);
}

#endif
