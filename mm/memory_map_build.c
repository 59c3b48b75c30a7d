#include "memory_map_private.h"

/*
 * How a map is built inside the caller's array, which is all the memory there is:
 *
 *     entries     one slot an entry that is not ignored: bytes, first and last
 *     sorted      by first byte; now overlaps can be counted
 *     frames      rounded to whole pages, entries without one dropped
 *     events      two slots an entry, from slot 1 on: here it begins, here it is over
 *     ranges      one walk over the sorted events with a counter a type
 *
 * The walk writes behind itself. When it has read event i, in slot i, it has passed at most
 * i - 1 stretches between events, and writes at most these, page 0 before them and one
 * more where free RAM is cut at 1 MiB: slots 0 to i. This is also why 2 * entries + 1
 * ranges always suffice.
 */

struct build {
    struct ps_memory_range *storage;
    size_t count;
    uint64_t previous; /* where the entry before this one began */
    struct ps_memory_map_oddities oddities;
};

/* ---- entries, in bytes ---- */

/* As long as entries are bytes, `first` and `pages` of a slot hold the first and last byte. */
static void set_bytes(struct ps_memory_range *slot, uint64_t base, uint64_t last,
                      enum ps_memory_type type)
{
    *slot = (struct ps_memory_range){{base}, {last}, type};
}

static uint64_t base_byte(const struct ps_memory_range *slot)
{
    return slot->first.number;
}

static uint64_t last_byte(const struct ps_memory_range *slot)
{
    return slot->pages.count;
}

/* `beyond` is the distance of the last byte from the first: a length may be 2^64. */
static void add_entry(struct build *build, uint64_t base, uint64_t beyond, bool too_long,
                      enum ps_memory_type type)
{
    uint64_t last;

    if (too_long || !ps_add(base, beyond, &last)) {
        build->oddities.wrapping++;
        last = UINT64_MAX;
    }
    build->oddities.unsorted += base < build->previous;
    build->previous = base;
    set_bytes(&build->storage[build->count], base, last, type);
    build->count++;
}

/* ---- sorting ---- */

static void sift_down(struct ps_memory_range *slots, size_t at, size_t count)
{
    struct ps_memory_range moving = slots[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && slots[child].first.number < slots[child + 1].first.number)
            child++;
        if (slots[child].first.number <= moving.first.number)
            break;
        slots[at] = slots[child];
        at = child;
    }
    slots[at] = moving;
}

/* A heap sort: in place, not recursive, and no input makes it slow. Not stable, and need not be. */
static void sort(struct ps_memory_range *slots, size_t count)
{
    for (size_t i = count / 2; i > 0; i--)
        sift_down(slots, i - 1, count);
    for (size_t end = count; end > 1; end--) {
        struct ps_memory_range largest = slots[0];

        slots[0] = slots[end - 1];
        slots[end - 1] = largest;
        sift_down(slots, 0, end - 1);
    }
}

/* Of several that begin at one byte all but the first overlap, whichever comes first. */
static uint32_t count_overlapping(const struct ps_memory_range *slots, size_t count)
{
    uint32_t overlapping = 0;
    uint64_t reached = 0;

    for (size_t i = 0; i < count; i++) {
        overlapping += i > 0 && base_byte(&slots[i]) <= reached;
        reached = ps_max(reached, last_byte(&slots[i]));
    }
    return overlapping;
}

/* ---- whole pages ---- */

/* What may be handed out, now or after a reclaim, must not hold a byte that is not RAM. */
static bool shrinks(enum ps_memory_type type)
{
    return memory_type_is_free(type) || type == PS_MEMORY_BOOT_SERVICES;
}

/* False when no whole page is left. Page 0 is nobody's. */
static bool round_to_frames(struct ps_memory_range *slot)
{
    uint64_t base = base_byte(slot);
    uint64_t last = last_byte(slot);
    bool inwards = shrinks(slot->type);
    uint64_t first = (base >> PS_PAGE_SHIFT) + (inwards && (base & PS_PAGE_MASK) != 0);
    uint64_t end = (last >> PS_PAGE_SHIFT) + (!inwards || (last & PS_PAGE_MASK) == PS_PAGE_MASK);

    first = ps_max(first, 1);
    if (first >= end)
        return false;
    slot->first = ps_frame(first);
    slot->pages = ps_pages(end - first);
    return true;
}

static size_t round_all(struct ps_memory_range *slots, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct ps_memory_range slot = slots[i];

        if (round_to_frames(&slot))
            slots[kept++] = slot;
    }
    return kept;
}

/* ---- the walk over begins and ends ---- */

enum { EVENT_OVER, EVENT_BEGINS }; /* in `pages` of a slot that is an event */

/* Backwards, because the events of an entry lie behind its own slot. */
static void make_events(struct ps_memory_range *storage, size_t entries)
{
    for (size_t i = entries; i > 0; i--) {
        struct ps_memory_range entry = storage[i - 1];
        uint64_t end = memory_range_end(&entry);

        storage[2 * i - 1] = (struct ps_memory_range){entry.first, {EVENT_BEGINS}, entry.type};
        storage[2 * i] = (struct ps_memory_range){{end}, {EVENT_OVER}, entry.type};
    }
}

/* The most restrictive type that is open, PS_MEMORY_TYPE_COUNT in a hole. */
static enum ps_memory_type strongest(const size_t *open)
{
    for (unsigned type = PS_MEMORY_TYPE_COUNT; type > 0; type--)
        if (open[type - 1] != 0)
            return (enum ps_memory_type)(type - 1);
    return PS_MEMORY_TYPE_COUNT;
}

static size_t walk(struct ps_memory_range *storage, size_t events)
{
    size_t open[PS_MEMORY_TYPE_COUNT] = {0};
    size_t count = 0;
    uint64_t at = 1;

    ps_memory_range_append(storage, &count, 0, 1, PS_MEMORY_NULL);
    for (size_t i = 1; i <= events; i++) {
        struct ps_memory_range event = storage[i]; /* its slot may be written now */
        enum ps_memory_type type = strongest(open);

        if (type != PS_MEMORY_TYPE_COUNT)
            ps_memory_range_append(storage, &count, at, event.first.number, type);
        at = event.first.number;
        /* Entries are not empty: each is open before it is over, also among equal places. */
        if (event.pages.count == EVENT_BEGINS)
            open[event.type]++;
        else
            open[event.type]--;
    }
    return count;
}

static void finish(struct build *build, struct ps_memory_map *map, size_t capacity)
{
    size_t entries;

    sort(build->storage, build->count);
    build->oddities.overlapping = count_overlapping(build->storage, build->count);
    entries = round_all(build->storage, build->count);
    make_events(build->storage, entries);
    sort(build->storage + 1, 2 * entries);
    *map = (struct ps_memory_map){
        .ranges = build->storage,
        .capacity = capacity,
        .count = walk(build->storage, 2 * entries),
        .oddities = build->oddities,
    };
}

/* ---- UEFI ---- */

enum { UEFI_DESCRIPTOR_SIZE = 40, UEFI_FIRST_OEM_TYPE = 0x70000000 };

_Static_assert(offsetof(struct ps_uefi_descriptor, padding) == UEFI_DESCRIPTOR_SIZE,
               "the part of a descriptor that every firmware supplies");

/* PAL code does not exist on x86: like what we do not know. */
static const uint8_t uefi_types[] = {
    [0] = PS_MEMORY_RESERVED,      [1] = PS_MEMORY_LOADER,        [2] = PS_MEMORY_LOADER,
    [3] = PS_MEMORY_BOOT_SERVICES, [4] = PS_MEMORY_BOOT_SERVICES, [5] = PS_MEMORY_RUNTIME_CODE,
    [6] = PS_MEMORY_RUNTIME_DATA,  [7] = PS_MEMORY_USABLE,        [8] = PS_MEMORY_BAD,
    [9] = PS_MEMORY_ACPI_RECLAIM,  [10] = PS_MEMORY_ACPI_NVS,     [11] = PS_MEMORY_MMIO,
    [12] = PS_MEMORY_MMIO,         [13] = PS_MEMORY_RESERVED,     [14] = PS_MEMORY_PERSISTENT,
    [15] = PS_MEMORY_UNACCEPTED,
};

static enum ps_memory_type listed_type(uint32_t type, struct ps_memory_map_oddities *oddities)
{
    if (type < PS_ARRAY_SIZE(uefi_types))
        return (enum ps_memory_type)uefi_types[type];
    if (type < UEFI_FIRST_OEM_TYPE)
        oddities->unknown_type++;
    else
        oddities->oem_type++;
    return PS_MEMORY_RESERVED;
}

/* What a RAM type becomes by its attributes, the most restrictive first. */
static enum ps_memory_type ram_type(enum ps_memory_type type, uint64_t attribute,
                                    struct ps_memory_map_oddities *oddities)
{
    if (!shrinks(type) && type != PS_MEMORY_LOADER)
        return type;
    if ((attribute & UEFI_WRITE_BACK) == 0) {
        oddities->not_write_back++;
        return PS_MEMORY_NOT_CACHEABLE;
    }
    /* Loader memory is in use, by us or for us: it stays what it is. */
    if (type == PS_MEMORY_LOADER)
        return type;
    if ((attribute & UEFI_NON_VOLATILE) != 0)
        return PS_MEMORY_PERSISTENT;
    return (attribute & UEFI_SPECIAL_PURPOSE) != 0 ? PS_MEMORY_SOFT_RESERVED : type;
}

static enum ps_memory_type uefi_type(const struct ps_uefi_descriptor *descriptor,
                                     struct ps_memory_map_oddities *oddities)
{
    enum ps_memory_type type = listed_type(descriptor->type, oddities);
    bool runtime = (descriptor->attribute & UEFI_RUNTIME) != 0;

    if (type == PS_MEMORY_RUNTIME_CODE || type == PS_MEMORY_RUNTIME_DATA) {
        oddities->runtime_by_type += !runtime;
        return type;
    }
    /* Firmware may have registers to use at run time; faulty memory stays faulty. */
    if (!runtime || type == PS_MEMORY_MMIO || type == PS_MEMORY_BAD)
        return ram_type(type, descriptor->attribute, oddities);
    oddities->runtime_by_attribute++;
    /* 1 and 3: code of the loader and of boot services. */
    return descriptor->type == 1 || descriptor->type == 3 ? PS_MEMORY_RUNTIME_CODE
                                                          : PS_MEMORY_RUNTIME_DATA;
}

static void add_descriptor(struct build *build, const struct ps_uefi_descriptor *descriptor)
{
    uint64_t base = descriptor->physical_start;
    uint64_t before_last = descriptor->number_of_pages - (descriptor->number_of_pages != 0);
    bool too_long = before_last >= FRAME_END;

    build->oddities.entries++;
    if (descriptor->number_of_pages == 0) {
        build->oddities.zero_length++;
        return;
    }
    build->oddities.unaligned += !ps_is_aligned(base, PS_PAGE_SIZE);
    add_entry(build, base, too_long ? 0 : (before_last << PS_PAGE_SHIFT) + PS_PAGE_MASK, too_long,
              uefi_type(descriptor, &build->oddities));
}

static bool uefi_input_is_sane(const void *raw, size_t size, size_t stride)
{
    return raw != NULL && ps_is_aligned((uint64_t)(uintptr_t)raw, 8) &&
           stride >= UEFI_DESCRIPTOR_SIZE && stride % 8 == 0 && (size == 0 || stride <= size);
}

ps_status ps_memory_map_from_uefi(struct ps_memory_map *map, const void *raw, size_t size,
                                  size_t stride, struct ps_memory_range *storage, size_t capacity)
{
    struct build build = {.storage = storage};

    if (map == NULL || storage == NULL || !uefi_input_is_sane(raw, size, stride))
        return PS_INVALID_ARGS;
    if (capacity < ps_memory_map_capacity(size / stride, 0))
        return PS_BUFFER_TOO_SMALL;
    for (size_t i = 0; i < size / stride; i++) {
        struct ps_uefi_descriptor descriptor;

        /* A copy, because the bytes are of no type that a compiler would know of. */
        __builtin_memcpy(&descriptor, (const uint8_t *)raw + i * stride, UEFI_DESCRIPTOR_SIZE);
        add_descriptor(&build, &descriptor);
    }
    finish(&build, map, capacity);
    return PS_OK;
}

/* ---- E820 ---- */

static enum ps_memory_type e820_type(uint32_t type, struct ps_memory_map_oddities *oddities)
{
    switch (type) {
    case E820_USABLE:
        return PS_MEMORY_USABLE;
    case E820_RESERVED:
        return PS_MEMORY_RESERVED;
    case E820_ACPI_RECLAIM:
        return PS_MEMORY_ACPI_RECLAIM;
    case E820_ACPI_NVS:
        return PS_MEMORY_ACPI_NVS;
    case E820_BAD:
        return PS_MEMORY_BAD;
    case E820_PERSISTENT:
    case E820_PERSISTENT_OLD:
        return PS_MEMORY_PERSISTENT;
    case E820_SOFT_RESERVED:
        return PS_MEMORY_SOFT_RESERVED;
    default:
        if (type < E820_FIRST_OEM_TYPE)
            oddities->unknown_type++;
        else
            oddities->oem_type++;
        return PS_MEMORY_RESERVED;
    }
}

static void add_e820(struct build *build, const struct ps_e820_entry *entry, bool extended)
{
    build->oddities.entries++;
    if (extended && (entry->attributes & 1) == 0)
        return;
    if (entry->length == 0) {
        build->oddities.zero_length++;
        return;
    }
    build->oddities.unaligned += !ps_is_aligned(entry->base | entry->length, PS_PAGE_SIZE);
    add_entry(build, entry->base, entry->length - 1, false,
              e820_type(entry->type, &build->oddities));
}

ps_status ps_memory_map_from_e820(struct ps_memory_map *map, const struct ps_e820_entry *entries,
                                  size_t count, bool extended, struct ps_memory_range *storage,
                                  size_t capacity)
{
    struct build build = {.storage = storage};

    if (map == NULL || entries == NULL || storage == NULL)
        return PS_INVALID_ARGS;
    if (capacity < ps_memory_map_capacity(count, 0))
        return PS_BUFFER_TOO_SMALL;
    for (size_t i = 0; i < count; i++)
        add_e820(&build, &entries[i], extended);
    finish(&build, map, capacity);
    return PS_OK;
}
