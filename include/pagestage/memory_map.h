/*
 * The memory map: what every byte of physical memory is for.
 *
 * Firmware hands over a list that may be unsorted, overlapping, duplicated, unaligned,
 * wrapping and thousands of entries long. This layer turns it into
 *
 *     sorted, disjoint, merged, page-aligned, typed ranges
 *
 *     |low|  usable  |boot services|  usable  |nvs|      hole      |  mmio  |  usable ...
 *     0x1000                                                             inclusive ends
 *
 * Holes carry no type: nothing is known about them and nothing may be mapped there.
 * Where entries overlap the more restrictive type wins: the order of `enum ps_memory_type`
 * is the order of restriction. Free RAM and boot-services memory, which is or will be handed
 * out, shrink to whole pages, each entry by itself; everything else grows to whole pages.
 *
 * Page 0 is PS_MEMORY_NULL in every map, listed by the firmware or not, and nothing else is.
 * Free RAM has two types and its place says which: it is PS_MEMORY_LOW below 1 MiB and
 * PS_MEMORY_USABLE above, whichever of the two a caller names.
 *
 * Memory: the caller supplies one array of ranges; the library keeps no other. Nothing
 * here reads or writes the physical memory that it describes. No locking: a map has one
 * owner at a time. Calls that take a built map expect one that passes ps_memory_map_validate().
 */
#ifndef PAGESTAGE_MEMORY_MAP_H
#define PAGESTAGE_MEMORY_MAP_H

#include <pagestage/sink.h>
#include <pagestage/status.h>
#include <pagestage/types.h>

/* From the least to the most restrictive. The names in ps_memory_type_name() are these. */
enum ps_memory_type {
    PS_MEMORY_USABLE,        /* free RAM above 1 MiB */
    PS_MEMORY_LOW,           /* free RAM in [4 KiB, 1 MiB): set apart for real-mode start-up code */
    PS_MEMORY_BOOT_SERVICES, /* RAM of the firmware's boot services: free once it is reclaimed */
    PS_MEMORY_LOADER,        /* RAM that loaders allocated before us, and our own pre-exit data */
    PS_MEMORY_IMAGE,         /* our own image */
    PS_MEMORY_ACPI_RECLAIM,  /* RAM with ACPI tables: free once somebody has read them */
    PS_MEMORY_SOFT_RESERVED, /* RAM marked for a special purpose (EFI_MEMORY_SP) */
    PS_MEMORY_UNACCEPTED,    /* RAM that a confidential guest must accept before first use */
    PS_MEMORY_PERSISTENT,    /* non-volatile memory */
    PS_MEMORY_NOT_CACHEABLE, /* listed as RAM, but write-back is not possible there */
    PS_MEMORY_ACPI_NVS,
    PS_MEMORY_RUNTIME_DATA, /* firmware that stays: must be kept and never touched */
    PS_MEMORY_RUNTIME_CODE,
    PS_MEMORY_FRAMEBUFFER,
    PS_MEMORY_MMIO,
    PS_MEMORY_RESERVED, /* also every type that we do not know */
    PS_MEMORY_NULL,     /* page 0, always */
    PS_MEMORY_BAD,      /* unusable: reported as faulty */
    PS_MEMORY_TYPE_COUNT
};

/* "usable", "low", "boot-services", ...; "?" for a value not in the list. */
const char *ps_memory_type_name(enum ps_memory_type type);

/* RAM whose contents are ours to use or to read: the types the direct map may cover. */
bool ps_memory_type_is_ram(enum ps_memory_type type);

struct ps_memory_range {
    ps_frame_t first;
    ps_pages_t pages; /* never 0 */
    enum ps_memory_type type;
};

static inline ps_frame_t ps_memory_range_last(const struct ps_memory_range *range)
{
    return ps_frame(range->first.number + range->pages.count - 1);
}

struct ps_memory_map {
    struct ps_memory_range *ranges; /* the caller's */
    size_t capacity;                /* of `ranges` */
    size_t count;
    /* What the input looked like; facts for a report. */
    struct ps_memory_map_oddities {
        uint32_t entries;      /* all of them, those that are ignored as well */
        uint32_t unsorted;     /* an entry began below its predecessor */
        uint32_t overlapping;  /* an entry shared bytes with one that begins before it or with it */
        uint32_t zero_length;  /* ignored */
        uint32_t wrapping;     /* passed the end of the address space: cut there */
        uint32_t unaligned;    /* not on page boundaries */
        uint32_t unknown_type; /* below the OEM types: taken as reserved */
        uint32_t oem_type;     /* UEFI 0x70000000, E820 0xf0000000 and above: reserved */
        uint32_t not_write_back;       /* RAM by type without the write-back attribute */
        uint32_t runtime_by_type;      /* runtime type without EFI_MEMORY_RUNTIME */
        uint32_t runtime_by_attribute; /* EFI_MEMORY_RUNTIME on another type, MMIO apart */
    } oddities;
};

/*
 * How many ranges the array of a map must hold so that `entries` input entries can be
 * normalised: entries may cut each other, so it is more than `entries`. Leaves room for
 * `overlays` later calls of ps_memory_map_set(). Saturates at SIZE_MAX.
 *
 * It is 2 * (entries + overlays) + 1, and inputs that need all of it exist: n entries have
 * at most 2n edges with 2n - 1 ranges between them, a cut at 1 MiB may add one and page 0 is
 * one; an overlay adds at most two edges.
 */
size_t ps_memory_map_capacity(size_t entries, size_t overlays);

/*
 * Build `map` from a firmware's UEFI memory map.
 *
 * raw, size       the bytes GetMemoryMap returned; size need not be a multiple of stride:
 *                 a cut entry at the end is ignored
 * stride          the descriptor size the firmware told: 40 or more, a multiple of 8
 * storage         array of `capacity` ranges, which belongs to the map from now on
 *
 * Alignment: `raw` 8 bytes. Rounding and overlap: see the top of this header. Type 7 and
 * loader or boot-services memory are RAM only where the write-back attribute is set, else
 * PS_MEMORY_NOT_CACHEABLE. EFI_MEMORY_NV makes conventional and boot-services memory
 * PS_MEMORY_PERSISTENT, EFI_MEMORY_SP makes it PS_MEMORY_SOFT_RESERVED. A runtime type or the
 * runtime attribute, either alone, make runtime memory, code where the type says code (MMIO
 * stays MMIO, unusable memory stays PS_MEMORY_BAD). Page 0 becomes PS_MEMORY_NULL whatever is
 * said about it; free RAM below 1 MiB becomes PS_MEMORY_LOW. The order of the entries makes
 * no difference but to `oddities.unsorted`.
 *
 * On failure nothing changed. `raw` is never changed and must not overlap `storage`.
 * PS_INVALID_ARGS       a NULL pointer; stride below 40, not a multiple of 8, or above `size`
 *                       where size is not 0; raw not aligned
 * PS_BUFFER_TOO_SMALL   capacity below ps_memory_map_capacity(entries, 0)
 * Cost: O(n log n) time, no memory besides `storage`.
 */
PS_MUST_CHECK ps_status ps_memory_map_from_uefi(struct ps_memory_map *map, const void *raw,
                                                size_t size, size_t stride,
                                                struct ps_memory_range *storage, size_t capacity);

/* One entry as BIOS function E820 and many loaders hand it on. */
struct ps_e820_entry {
    uint64_t base;
    uint64_t length;
    uint32_t type;       /* 1 usable, 2 reserved, 3 ACPI reclaim, 4 NVS, 5 bad, 7 and 12 persistent,
                            0xefffffff soft reserved; others are taken as reserved */
    uint32_t attributes; /* bit 0 clear: ignore the entry (ACPI 3.0), only where `extended` */
};

/*
 * The same from an E820-like list; `extended`: the attribute word is present and valid.
 * PS_INVALID_ARGS       a NULL pointer
 * PS_BUFFER_TOO_SMALL   capacity below ps_memory_map_capacity(count, 0)
 */
PS_MUST_CHECK ps_status ps_memory_map_from_e820(struct ps_memory_map *map,
                                                const struct ps_e820_entry *entries, size_t count,
                                                bool extended, struct ps_memory_range *storage,
                                                size_t capacity);

/*
 * Give [first, first + pages) another type, whatever it was before, holes included; page 0
 * stays PS_MEMORY_NULL. Used for what we know better than the firmware: our image, our
 * pre-exit allocations, a framebuffer that lies in RAM.
 * On failure nothing changed.
 * PS_INVALID_ARGS       no pages, or past frame 2^52 - 1; an unknown type, or PS_MEMORY_NULL
 * PS_BUFFER_TOO_SMALL   the array cannot hold the result. A call takes at most two places
 *                       and may free some. A range that crosses 1 MiB counts twice: a later
 *                       ps_memory_map_retype() may have to cut it there.
 * Cost: O(ranges).
 */
PS_MUST_CHECK ps_status ps_memory_map_set(struct ps_memory_map *map, ps_frame_t first,
                                          ps_pages_t pages, enum ps_memory_type type);

/*
 * Turn every range of `from` into `to` and merge. The reclaim of boot-services memory is
 * ps_memory_map_retype(map, PS_MEMORY_BOOT_SERVICES, PS_MEMORY_USABLE): a step of its own,
 * because runtime firmware of some machines still reads that memory. What lies below
 * 1 MiB becomes PS_MEMORY_LOW when `to` is PS_MEMORY_USABLE. Cannot fail: it needs no place
 * that is not kept for it. Unknown types and PS_MEMORY_NULL, as either of the two, change
 * nothing. O(ranges).
 */
void ps_memory_map_retype(struct ps_memory_map *map, enum ps_memory_type from,
                          enum ps_memory_type to);

/* The first range that ends with `frame` or behind it; NULL when there is none. O(log n). */
const struct ps_memory_range *ps_memory_map_next(const struct ps_memory_map *map, ps_frame_t frame);

/* The range that holds `frame`, NULL in a hole. O(log ranges). */
const struct ps_memory_range *ps_memory_map_find(const struct ps_memory_map *map, ps_frame_t frame);

/* Pages of one type in the whole map. O(ranges). */
ps_pages_t ps_memory_map_total(const struct ps_memory_map *map, enum ps_memory_type type);

/* All of [first, first + pages) is RAM (any RAM types, no hole); false for no pages. */
bool ps_memory_map_is_ram(const struct ps_memory_map *map, ps_frame_t first, ps_pages_t pages);

/*
 * Export. Both write at most `capacity` elements and always store into *needed how many the
 * whole map takes; neighbours that look the same are one element. Page 0 is shown reserved.
 *
 * The E820 form shows memory that the next stage must not touch yet (boot services, loader,
 * image) as reserved unless `as_free` is set, then as usable. Unaccepted, not cacheable and
 * runtime memory, framebuffers and MMIO are reserved. Attribute bit 0 is set.
 * The UEFI form has 48-byte descriptors (stride 48, version 1) whose type and attributes
 * are derived from ours. Read back, it gives the same map, but that image comes back as
 * loader memory and both framebuffers and not cacheable RAM as reserved.
 *
 * PS_INVALID_ARGS       map or needed is NULL, or the array is NULL and capacity is not 0
 * PS_BUFFER_TOO_SMALL   *needed is more than capacity; the first `capacity` are written
 * Cost: O(ranges).
 */
PS_MUST_CHECK ps_status ps_memory_map_to_e820(const struct ps_memory_map *map, bool as_free,
                                              struct ps_e820_entry *entries, size_t capacity,
                                              size_t *needed);

struct ps_uefi_descriptor {
    uint32_t type;
    uint32_t reserved;
    uint64_t physical_start;
    uint64_t virtual_start;
    uint64_t number_of_pages;
    uint64_t attribute;
    uint64_t padding; /* firmware, too, returns more than the 40 bytes of the structure */
};
_Static_assert(sizeof(struct ps_uefi_descriptor) == 48, "stride of the exported UEFI map");

PS_MUST_CHECK ps_status ps_memory_map_to_uefi(const struct ps_memory_map *map,
                                              struct ps_uefi_descriptor *descriptors,
                                              size_t capacity, size_t *needed);

/*
 * Check every invariant: sorted, disjoint, merged (no two equal neighbours), no empty range,
 * inside 2^52 frames, page 0 and nothing else PS_MEMORY_NULL (a hand-made map may leave it
 * out), PS_MEMORY_USABLE only at or above 1 MiB and PS_MEMORY_LOW only below, and a free
 * place where a range crosses 1 MiB. PS_CORRUPT with one line to `sink` for the first breach.
 * Cost: O(ranges).
 */
PS_MUST_CHECK ps_status ps_memory_map_validate(const struct ps_memory_map *map,
                                               const struct ps_sink *sink);

/* One line a range: first and last address, size, type. */
void ps_memory_map_dump(const struct ps_memory_map *map, const struct ps_sink *sink);

#endif
