#include "memory_map_private.h"

/* ---- E820 ---- */

/* What has no number of its own is reserved. */
static const uint32_t e820_types[] = {
    [PS_MEMORY_USABLE] = E820_USABLE,
    [PS_MEMORY_LOW] = E820_USABLE,
    [PS_MEMORY_BOOT_SERVICES] = E820_USABLE,
    [PS_MEMORY_LOADER] = E820_USABLE,
    [PS_MEMORY_IMAGE] = E820_USABLE,
    [PS_MEMORY_ACPI_RECLAIM] = E820_ACPI_RECLAIM,
    [PS_MEMORY_SOFT_RESERVED] = E820_SOFT_RESERVED,
    [PS_MEMORY_UNACCEPTED] = E820_RESERVED,
    [PS_MEMORY_PERSISTENT] = E820_PERSISTENT,
    [PS_MEMORY_NOT_CACHEABLE] = E820_RESERVED,
    [PS_MEMORY_ACPI_NVS] = E820_ACPI_NVS,
    [PS_MEMORY_RUNTIME_DATA] = E820_RESERVED,
    [PS_MEMORY_RUNTIME_CODE] = E820_RESERVED,
    [PS_MEMORY_FRAMEBUFFER] = E820_RESERVED,
    [PS_MEMORY_MMIO] = E820_RESERVED,
    [PS_MEMORY_RESERVED] = E820_RESERVED,
    [PS_MEMORY_NULL] = E820_RESERVED,
    [PS_MEMORY_BAD] = E820_BAD,
};
_Static_assert(PS_ARRAY_SIZE(e820_types) == PS_MEMORY_TYPE_COUNT, "every type has a number");

/* In use until the next stage has left it behind. */
static bool is_held(enum ps_memory_type type)
{
    return type == PS_MEMORY_BOOT_SERVICES || type == PS_MEMORY_LOADER || type == PS_MEMORY_IMAGE;
}

static struct ps_e820_entry e820_entry(const struct ps_memory_range *range, bool as_free)
{
    return (struct ps_e820_entry){
        .base = ps_phys_of_frame(range->first).addr,
        .length = ps_bytes_of_pages(range->pages),
        .type = is_held(range->type) && !as_free ? E820_RESERVED : e820_types[range->type],
        .attributes = 1,
    };
}

/* Not when the sum would be 2^64, page 0 and all the rest reserved: no length says that. */
static bool e820_join(struct ps_e820_entry *entry, const struct ps_e820_entry *next)
{
    if (entry->length == 0 || next->type != entry->type ||
        next->base - entry->base != entry->length)
        return false;
    return ps_add(entry->length, next->length, &entry->length);
}

ps_status ps_memory_map_to_e820(const struct ps_memory_map *map, bool as_free,
                                struct ps_e820_entry *entries, size_t capacity, size_t *needed)
{
    struct ps_e820_entry entry = {0};
    size_t count = 0;

    if (map == NULL || needed == NULL || (entries == NULL && capacity != 0))
        return PS_INVALID_ARGS;
    /* An entry is written again whenever it grows, and once it is past the array, not at all. */
    for (size_t i = 0; i < map->count; i++) {
        struct ps_e820_entry next = e820_entry(&map->ranges[i], as_free);

        if (!e820_join(&entry, &next)) {
            entry = next;
            count++;
        }
        if (count <= capacity)
            entries[count - 1] = entry;
    }
    *needed = count;
    return count <= capacity ? PS_OK : PS_BUFFER_TOO_SMALL;
}

/* ---- UEFI ---- */

#define ANY_CACHE (UEFI_UNCACHEABLE | UEFI_WRITE_COMBINING | UEFI_WRITE_THROUGH | UEFI_WRITE_BACK)

struct uefi_form {
    uint32_t type;
    uint64_t attribute;
};

/*
 * RAM that is not cacheable is shown as reserved, because readers that take type 7 for RAM
 * without a look at the attributes exist.
 */
static const struct uefi_form uefi_forms[] = {
    [PS_MEMORY_USABLE] = {7, ANY_CACHE},
    [PS_MEMORY_LOW] = {7, ANY_CACHE},
    [PS_MEMORY_BOOT_SERVICES] = {4, ANY_CACHE},
    [PS_MEMORY_LOADER] = {2, ANY_CACHE},
    [PS_MEMORY_IMAGE] = {1, ANY_CACHE},
    [PS_MEMORY_ACPI_RECLAIM] = {9, ANY_CACHE},
    [PS_MEMORY_SOFT_RESERVED] = {7, ANY_CACHE | UEFI_SPECIAL_PURPOSE},
    [PS_MEMORY_UNACCEPTED] = {15, ANY_CACHE},
    [PS_MEMORY_PERSISTENT] = {14, ANY_CACHE | UEFI_NON_VOLATILE},
    [PS_MEMORY_NOT_CACHEABLE] = {0, UEFI_UNCACHEABLE},
    [PS_MEMORY_ACPI_NVS] = {10, ANY_CACHE},
    [PS_MEMORY_RUNTIME_DATA] = {6, ANY_CACHE | UEFI_RUNTIME},
    [PS_MEMORY_RUNTIME_CODE] = {5, ANY_CACHE | UEFI_RUNTIME},
    [PS_MEMORY_FRAMEBUFFER] = {0, UEFI_UNCACHEABLE | UEFI_WRITE_COMBINING},
    [PS_MEMORY_MMIO] = {11, UEFI_UNCACHEABLE},
    [PS_MEMORY_RESERVED] = {0, 0},
    [PS_MEMORY_NULL] = {0, 0},
    [PS_MEMORY_BAD] = {8, 0},
};
_Static_assert(PS_ARRAY_SIZE(uefi_forms) == PS_MEMORY_TYPE_COUNT, "every type has a form");

static struct ps_uefi_descriptor uefi_descriptor(const struct ps_memory_range *range)
{
    return (struct ps_uefi_descriptor){
        .type = uefi_forms[range->type].type,
        .physical_start = ps_phys_of_frame(range->first).addr,
        .number_of_pages = range->pages.count,
        .attribute = uefi_forms[range->type].attribute,
    };
}

static bool uefi_join(struct ps_uefi_descriptor *descriptor, const struct ps_uefi_descriptor *next)
{
    if (descriptor->number_of_pages == 0 || next->type != descriptor->type ||
        next->attribute != descriptor->attribute ||
        (next->physical_start - descriptor->physical_start) >> PS_PAGE_SHIFT !=
            descriptor->number_of_pages)
        return false;
    descriptor->number_of_pages += next->number_of_pages;
    return true;
}

ps_status ps_memory_map_to_uefi(const struct ps_memory_map *map,
                                struct ps_uefi_descriptor *descriptors, size_t capacity,
                                size_t *needed)
{
    struct ps_uefi_descriptor descriptor = {0};
    size_t count = 0;

    if (map == NULL || needed == NULL || (descriptors == NULL && capacity != 0))
        return PS_INVALID_ARGS;
    for (size_t i = 0; i < map->count; i++) {
        struct ps_uefi_descriptor next = uefi_descriptor(&map->ranges[i]);

        if (!uefi_join(&descriptor, &next)) {
            descriptor = next;
            count++;
        }
        if (count <= capacity)
            descriptors[count - 1] = descriptor;
    }
    *needed = count;
    return count <= capacity ? PS_OK : PS_BUFFER_TOO_SMALL;
}
