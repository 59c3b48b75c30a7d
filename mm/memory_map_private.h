/* What the files of the memory map share. */
#ifndef PS_MEMORY_MAP_PRIVATE_H
#define PS_MEMORY_MAP_PRIVATE_H

#include <pagestage/memory_map.h>

#define LOW_END   (PS_MIB / PS_PAGE_SIZE)               /* first frame that is not low */
#define FRAME_END ((uint64_t)1 << (64 - PS_PAGE_SHIFT)) /* one past the last frame */

/* Attributes of a UEFI descriptor. */
#define UEFI_UNCACHEABLE     ((uint64_t)1 << 0)
#define UEFI_WRITE_COMBINING ((uint64_t)1 << 1)
#define UEFI_WRITE_THROUGH   ((uint64_t)1 << 2)
#define UEFI_WRITE_BACK      ((uint64_t)1 << 3)
#define UEFI_NON_VOLATILE    ((uint64_t)1 << 15)
#define UEFI_SPECIAL_PURPOSE ((uint64_t)1 << 18)
#define UEFI_RUNTIME         ((uint64_t)1 << 63)

/* Types of an E820 entry. 12 was in use for persistent memory before 7 was given out. */
#define E820_USABLE         1u
#define E820_RESERVED       2u
#define E820_ACPI_RECLAIM   3u
#define E820_ACPI_NVS       4u
#define E820_BAD            5u
#define E820_PERSISTENT     7u
#define E820_PERSISTENT_OLD 12u
#define E820_SOFT_RESERVED  0xefffffffu
#define E820_FIRST_OEM_TYPE 0xf0000000u

/* Free RAM goes by two names, and only its place says by which. */
static inline bool memory_type_is_free(enum ps_memory_type type)
{
    return type == PS_MEMORY_USABLE || type == PS_MEMORY_LOW;
}

/* Past the last frame of a range; at most FRAME_END, so there is nothing to wrap. */
static inline uint64_t memory_range_end(const struct ps_memory_range *range)
{
    return range->first.number + range->pages.count;
}

/*
 * Append frames [first, end) behind the ranges that are there: nothing for no frames, merged
 * with an equal neighbour, free RAM cut and named at 1 MiB. The array must have room for
 * one more range, for two where free RAM crosses 1 MiB.
 */
void ps_memory_range_append(struct ps_memory_range *ranges, size_t *count, uint64_t first,
                            uint64_t end, enum ps_memory_type type);

#endif
