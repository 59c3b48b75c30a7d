#include "symbols.h"

struct symbol {
    const uint8_t *name;
    uint64_t distance; /* from its first byte */
};

/* The last symbol at or below `offset`; without a name when there is none. */
static struct symbol find(uint64_t offset)
{
    struct symbol symbol = {NULL, offset};
    const uint8_t *name = symbol_names;

    for (uint32_t i = 0; i < symbol_count && symbol.distance >= symbol_steps[i]; i++) {
        symbol.distance -= symbol_steps[i];
        symbol.name = name;
        while (*name++ != '\0')
            continue;
    }
    return symbol;
}

static uint64_t offset_of(uint64_t address)
{
    uint64_t base = (uint64_t)(uintptr_t)image_base;

    return address < base ? UINT64_MAX : address - base;
}

bool symbol_is_code(uint64_t address)
{
    uint64_t offset = offset_of(address);

    return offset < symbol_code_end && symbol_count != 0 && offset >= symbol_steps[0];
}

static void print_byte(const struct ps_sink *sink, uint8_t byte)
{
    if (byte < 0x80) {
        ps_print(sink, "%c", byte);
        return;
    }
    print_byte(sink, symbol_pairs[byte - 0x80][0]);
    print_byte(sink, symbol_pairs[byte - 0x80][1]);
}

void symbol_print(const struct ps_sink *sink, uint64_t address)
{
    struct symbol symbol;

    if (!symbol_is_code(address)) {
        ps_print(sink, "0x%" PS_PRIx, address);
        return;
    }
    symbol = find(offset_of(address));
    while (*symbol.name != '\0')
        print_byte(sink, *symbol.name++);
    ps_print(sink, "+0x%" PS_PRIx, symbol.distance);
}
