#include "acpi.h"

/* Offsets in the tables; the names are those of the specification. */
enum {
    RSDP_REVISION = 15,
    RSDP_RSDT_ADDRESS = 16,
    RSDP_XSDT_ADDRESS = 24,
    TABLE_LENGTH = 4,
    TABLE_HEADER = 36,
    MADT_ENTRIES = 44,
    LOCAL_APIC = 0,
    LOCAL_APIC_LENGTH = 8,
    LOCAL_X2APIC = 9,
    LOCAL_X2APIC_LENGTH = 16,
    FLAG_ENABLED = 1,
    /* Signatures: four letters, the first one lowest. */
    SIGNATURE_APIC = 0x43495041,
    SIGNATURE_RSDT = 0x54445352,
    SIGNATURE_XSDT = 0x54445358,
};

static uint64_t read(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static const unsigned char *table_at(uint64_t address)
{
    return (const unsigned char *)(uintptr_t)address;
}

/* Addresses of tables have 8 bytes since the second version of the specification. */
static const unsigned char *find_madt(const unsigned char *rsdp)
{
    unsigned width = 8;
    const unsigned char *root = NULL;
    uint64_t length;

    if (rsdp[RSDP_REVISION] >= 2)
        root = table_at(read(rsdp + RSDP_XSDT_ADDRESS, 8));
    if (root == NULL) {
        width = 4;
        root = table_at(read(rsdp + RSDP_RSDT_ADDRESS, 4));
    }
    if (root == NULL || read(root, 4) != (width == 8 ? SIGNATURE_XSDT : SIGNATURE_RSDT))
        return NULL;
    length = read(root + TABLE_LENGTH, 4);
    for (uint64_t at = TABLE_HEADER; at + width <= length; at += width) {
        const unsigned char *table = table_at(read(root + at, width));

        if (table != NULL && read(table, 4) == SIGNATURE_APIC)
            return table;
    }
    return NULL;
}

struct list {
    struct acpi_processors found;
    uint32_t *ids;
    size_t capacity;
};

/* Firmware that lists a processor in both forms is not rare. */
static void add(struct list *list, uint64_t id, uint64_t nobody, uint64_t flags)
{
    size_t known = list->found.enabled < list->capacity ? list->found.enabled : list->capacity;

    if (id == nobody)
        return;
    list->found.listed++;
    if ((flags & FLAG_ENABLED) == 0)
        return;
    for (size_t i = 0; i < known; i++)
        if (list->ids[i] == id)
            return;
    if (known < list->capacity)
        list->ids[known] = (uint32_t)id;
    list->found.enabled++;
}

struct acpi_processors acpi_processors(const void *rsdp, uint32_t *ids, size_t capacity)
{
    struct list list = {.ids = ids, .capacity = capacity};
    const unsigned char *madt = rsdp == NULL ? NULL : find_madt(rsdp);
    uint64_t length = madt == NULL ? 0 : read(madt + TABLE_LENGTH, 4);
    uint64_t size;

    for (uint64_t at = MADT_ENTRIES; at + 2 <= length; at += size) {
        const unsigned char *entry = madt + at;

        size = entry[1];
        if (size < 2 || size > length - at)
            break;
        if (entry[0] == LOCAL_APIC && size >= LOCAL_APIC_LENGTH)
            add(&list, entry[3], 0xff, read(entry + 4, 4));
        if (entry[0] == LOCAL_X2APIC && size >= LOCAL_X2APIC_LENGTH)
            add(&list, read(entry + 4, 4), 0xffffffff, read(entry + 8, 4));
    }
    return list.found;
}
