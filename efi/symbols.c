#include "symbols.h"

/* The last symbol at or below `offset`; symbol_count when there is none. */
static uint32_t find(uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = symbol_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (symbol_addresses[middle] <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? symbol_count : low - 1;
}

static uint64_t offset_of(uint64_t address)
{
    uint64_t base = (uint64_t)(uintptr_t)image_base;

    return address < base ? UINT64_MAX : address - base;
}

bool symbol_is_code(uint64_t address)
{
    uint64_t offset = offset_of(address);

    return offset < symbol_code_end && find(offset) != symbol_count;
}

void symbol_print(const struct ps_sink *sink, uint64_t address)
{
    const char *name = symbol_names;
    uint32_t number;

    if (!symbol_is_code(address)) {
        ps_print(sink, "0x%" PS_PRIx, address);
        return;
    }
    number = find(offset_of(address));
    for (uint32_t i = 0; i < number; i++)
        while (*name++ != '\0')
            continue;
    ps_print(sink, "%s+0x%" PS_PRIx, name, offset_of(address) - symbol_addresses[number]);
}
