/*
 * Raw bytes as a firmware's memory map.
 *
 *     byte 0     stride: 40 to 72 in steps of 8, or 4096
 *     byte 1     how many calls of set and retype follow, each from 8 bytes of the end
 *     the rest   what GetMemoryMap is said to have returned
 *
 * There is no oracle. What must hold whatever the bytes are: the call succeeds in the room
 * that the header asks for, the map is valid, the input is untouched, entries rule pages
 * as their rank says, totals fit into the list, a failed call changes nothing, and an
 * exported map reads back as itself.
 */
#include <pagestage/memory_map.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(fact)                                                               \
    do {                                                                         \
        if (!(fact)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #fact); \
            abort();                                                             \
        }                                                                        \
    } while (0)

#define FRAME_COUNT ((uint64_t)1 << 52)

enum { CALL_BYTES = 8, CALLS_MAX = 16 };

/* Arrays of their own: the address sanitizer sees a step past the end. */
static void *array(size_t count, size_t size)
{
    void *memory = malloc(count * size + (count == 0));

    MUST(memory != NULL);
    return memory;
}

static void must_be_valid(const struct ps_memory_map *map)
{
    char text[160];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    if (ps_memory_map_validate(map, &sink) != PS_OK) {
        fputs(text, stderr);
        abort();
    }
}

static bool same_ranges(const struct ps_memory_map *a, const struct ps_memory_map *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->ranges[i].first.number != b->ranges[i].first.number ||
            a->ranges[i].pages.count != b->ranges[i].pages.count ||
            a->ranges[i].type != b->ranges[i].type)
            return false;
    return true;
}

static struct ps_memory_map copy_of(const struct ps_memory_map *map)
{
    struct ps_memory_map copy = *map;

    copy.ranges = array(map->capacity, sizeof(*map->ranges));
    memcpy(copy.ranges, map->ranges, map->count * sizeof(*map->ranges));
    return copy;
}

/* ---- what an entry promises ---- */

/* A byte of this entry, taken for the whole page: is the page at least as restricted? */
static void must_rule(const struct ps_memory_map *map, uint64_t address, enum ps_memory_type least)
{
    const struct ps_memory_range *range =
        ps_memory_map_find(map, ps_frame_of_phys(ps_phys(address)));

    MUST(range != NULL && range->type >= least);
}

static void must_rule_entry(const struct ps_memory_map *map,
                            const struct ps_uefi_descriptor *descriptor)
{
    static const enum ps_memory_type least[] = {
        [0] = PS_MEMORY_RUNTIME_DATA, /* or reserved, without the runtime attribute */
        [1] = PS_MEMORY_LOADER,        [2] = PS_MEMORY_LOADER,       [3] = PS_MEMORY_BOOT_SERVICES,
        [4] = PS_MEMORY_BOOT_SERVICES, [5] = PS_MEMORY_RUNTIME_CODE, [6] = PS_MEMORY_RUNTIME_DATA,
        [7] = PS_MEMORY_USABLE,        [8] = PS_MEMORY_BAD,          [9] = PS_MEMORY_ACPI_RECLAIM,
        [10] = PS_MEMORY_ACPI_NVS,     [11] = PS_MEMORY_MMIO,        [12] = PS_MEMORY_MMIO,
        [13] = PS_MEMORY_RUNTIME_DATA, [14] = PS_MEMORY_PERSISTENT,  [15] = PS_MEMORY_UNACCEPTED,
    };
    uint64_t first = descriptor->physical_start;
    uint64_t pages = descriptor->number_of_pages;
    uint64_t last = UINT64_MAX;
    bool shrinks = descriptor->type == 3 || descriptor->type == 4 || descriptor->type == 7;

    if (pages == 0 || (shrinks && first % PS_PAGE_SIZE != 0))
        return;
    if (pages <= (UINT64_MAX - first) >> PS_PAGE_SHIFT)
        last = first + ((pages << PS_PAGE_SHIFT) - 1);
    first = ps_max(first, PS_PAGE_SIZE);
    if (first > last)
        return;
    for (unsigned i = 0; i < 3; i++)
        must_rule(map,
                  i == 0   ? first
                  : i == 1 ? last
                           : first + (last - first) / 2,
                  descriptor->type < PS_ARRAY_SIZE(least) ? least[descriptor->type]
                                                          : PS_MEMORY_RUNTIME_DATA);
}

static void must_rule_all(const struct ps_memory_map *map, const uint8_t *raw, size_t count,
                          size_t stride)
{
    for (size_t i = 0; i < count; i++) {
        struct ps_uefi_descriptor descriptor = {0};

        memcpy(&descriptor, raw + i * stride, 40);
        must_rule_entry(map, &descriptor);
    }
}

/* What is handed out comes from whole pages of type 7, which a sum over the list bounds. */
static void must_not_invent_memory(const struct ps_memory_map *map, const uint8_t *raw,
                                   size_t count, size_t stride)
{
    unsigned __int128 conventional = 0;
    unsigned __int128 boot_services = 0;

    for (size_t i = 0; i < count; i++) {
        struct ps_uefi_descriptor descriptor = {0};

        memcpy(&descriptor, raw + i * stride, 40);
        if (descriptor.type == 7)
            conventional += descriptor.number_of_pages;
        else if (descriptor.type == 3 || descriptor.type == 4)
            boot_services += descriptor.number_of_pages;
    }
    MUST(ps_memory_map_total(map, PS_MEMORY_USABLE).count +
             ps_memory_map_total(map, PS_MEMORY_LOW).count <=
         conventional);
    MUST(ps_memory_map_total(map, PS_MEMORY_BOOT_SERVICES).count <= boot_services);
    MUST(ps_memory_map_total(map, PS_MEMORY_NULL).count == 1);
}

/* ---- exports ---- */

static void must_come_back_from_uefi(const struct ps_memory_map *map)
{
    struct ps_memory_map expected = copy_of(map);
    struct ps_uefi_descriptor *out = array(map->count, sizeof(*out));
    size_t capacity = ps_memory_map_capacity(map->count, 0);
    struct ps_memory_range *storage = array(capacity, sizeof(*storage));
    struct ps_memory_map back;
    size_t needed = 0;

    MUST(ps_memory_map_to_uefi(map, out, map->count, &needed) == PS_OK);
    MUST(needed > 0 && needed <= map->count);
    MUST(ps_memory_map_from_uefi(&back, out, needed * sizeof(*out), sizeof(*out), storage,
                                 capacity) == PS_OK);
    must_be_valid(&back);
    ps_memory_map_retype(&expected, PS_MEMORY_IMAGE, PS_MEMORY_LOADER);
    ps_memory_map_retype(&expected, PS_MEMORY_FRAMEBUFFER, PS_MEMORY_RESERVED);
    ps_memory_map_retype(&expected, PS_MEMORY_NOT_CACHEABLE, PS_MEMORY_RESERVED);
    MUST(same_ranges(&expected, &back));
    free(storage);
    free(out);
    free(expected.ranges);
}

static void must_come_back_from_e820(const struct ps_memory_map *map, bool as_free)
{
    struct ps_e820_entry *out = array(map->count, sizeof(*out));
    size_t capacity = ps_memory_map_capacity(map->count, 0);
    struct ps_memory_range *storage = array(capacity, sizeof(*storage));
    struct ps_memory_map back;
    size_t needed = 0;
    uint64_t listed = 0;
    uint64_t returned = 0;

    MUST(ps_memory_map_to_e820(map, as_free, out, map->count, &needed) == PS_OK);
    MUST(needed > 0 && needed <= map->count);
    MUST(ps_memory_map_to_e820(map, as_free, out, needed - 1, &needed) == PS_BUFFER_TOO_SMALL);
    MUST(ps_memory_map_to_e820(map, as_free, out, needed, &needed) == PS_OK);
    MUST(ps_memory_map_from_e820(&back, out, needed, true, storage, capacity) == PS_OK);
    must_be_valid(&back);
    for (unsigned type = 0; type < PS_MEMORY_TYPE_COUNT; type++) {
        listed += ps_memory_map_total(map, (enum ps_memory_type)type).count;
        returned += ps_memory_map_total(&back, (enum ps_memory_type)type).count;
    }
    MUST(listed == returned && listed <= FRAME_COUNT);
    free(storage);
    free(out);
}

/* ---- calls ---- */

static void call_set(struct ps_memory_map *map, uint64_t word)
{
    struct ps_memory_map before = copy_of(map);
    ps_frame_t first = ps_frame((word >> 16 & 0xffffff) << (word >> 60 == 0 ? 28 : 0));
    ps_pages_t pages = ps_pages(word >> 40 & 0xfffff);
    enum ps_memory_type type = (enum ps_memory_type)((word >> 8) % (PS_MEMORY_TYPE_COUNT + 1));
    ps_status status = ps_memory_map_set(map, first, pages, type);

    if (pages.count == 0 || type == PS_MEMORY_TYPE_COUNT || type == PS_MEMORY_NULL)
        MUST(status == PS_INVALID_ARGS);
    if (before.capacity - before.count >= 3)
        MUST(status != PS_BUFFER_TOO_SMALL);
    if (status != PS_OK)
        MUST(same_ranges(map, &before));
    else if (first.number + pages.count > 1)
        must_rule(map, (first.number + pages.count - 1) << PS_PAGE_SHIFT,
                  type == PS_MEMORY_LOW ? PS_MEMORY_USABLE : type);
    free(before.ranges);
}

static void call_retype(struct ps_memory_map *map, uint64_t word)
{
    enum ps_memory_type from = (enum ps_memory_type)((word >> 8) % (PS_MEMORY_TYPE_COUNT + 1));
    enum ps_memory_type to = (enum ps_memory_type)((word >> 16) % (PS_MEMORY_TYPE_COUNT + 1));
    uint64_t before = 0;
    uint64_t after = 0;

    for (unsigned type = 0; type < PS_MEMORY_TYPE_COUNT; type++)
        before += ps_memory_map_total(map, (enum ps_memory_type)type).count;
    ps_memory_map_retype(map, from, to);
    for (unsigned type = 0; type < PS_MEMORY_TYPE_COUNT; type++)
        after += ps_memory_map_total(map, (enum ps_memory_type)type).count;
    MUST(before == after);
}

static void call(struct ps_memory_map *map, const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    if (word % 4 == 0)
        call_retype(map, word);
    else
        call_set(map, word);
    must_be_valid(map);
}

/* ---- one input ---- */

static size_t stride_of(uint8_t byte)
{
    static const size_t strides[] = {40, 48, 56, 64, 72, 4096};

    return strides[byte % PS_ARRAY_SIZE(strides)];
}

static void run(const uint8_t *raw, size_t size, size_t stride, const uint8_t *calls,
                size_t call_count)
{
    size_t count = size / stride;
    size_t capacity = ps_memory_map_capacity(count, call_count % 3);
    struct ps_memory_range *storage = array(capacity, sizeof(*storage));
    uint8_t *copy = array(size, 1);
    struct ps_memory_map map;

    memcpy(copy, raw, size);
    MUST(ps_memory_map_from_uefi(&map, copy, size, stride, storage, capacity) == PS_OK);
    MUST(memcmp(copy, raw, size) == 0);
    MUST(map.oddities.entries == count);
    must_be_valid(&map);
    must_rule_all(&map, raw, count, stride);
    must_not_invent_memory(&map, raw, count, stride);
    for (size_t i = 0; i < call_count; i++)
        call(&map, calls + i * CALL_BYTES);
    must_come_back_from_uefi(&map);
    must_come_back_from_e820(&map, false);
    must_come_back_from_e820(&map, true);
    free(copy);
    free(storage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t stride;
    size_t calls;
    size_t raw_size;

    if (size < 2)
        return 0;
    stride = stride_of(data[0]);
    calls = ps_min(data[1] % (CALLS_MAX + 1), (size - 2) / CALL_BYTES);
    raw_size = size - 2 - calls * CALL_BYTES;
    /* No firmware returns less than one descriptor, and the call refuses it. */
    if (raw_size < stride)
        raw_size = 0;
    run(data + 2, raw_size, stride, data + size - calls * CALL_BYTES, calls);
    return 0;
}
