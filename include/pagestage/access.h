/*
 * What a mapping allows, and how it is cached.
 *
 * PS_READ must be set in every mapping: x86-64 has no leaf that can be written or
 * executed and not read. PS_WRITE and PS_EXECUTE exclude each other everywhere.
 */
#ifndef PAGESTAGE_ACCESS_H
#define PAGESTAGE_ACCESS_H

#include <pagestage/types.h>

enum {
    PS_READ = 1u << 0,
    PS_WRITE = 1u << 1,
    PS_EXECUTE = 1u << 2,
    PS_USER = 1u << 3,   /* reachable from ring 3 */
    PS_GLOBAL = 1u << 4, /* the same in every address space: survives a change of root */
    PS_ACCESS_ALL = PS_READ | PS_WRITE | PS_EXECUTE | PS_USER | PS_GLOBAL,
};

/*
 * Memory types, in the order of our page attribute table (PAT entries 0 to 5). Entries 0
 * to 3 are those of a processor after reset, so that tables of another hand keep their
 * meaning; 6 and 7 repeat 2 and 3.
 */
enum ps_cache {
    PS_CACHE_WRITE_BACK = 0,
    PS_CACHE_WRITE_THROUGH = 1,
    PS_CACHE_UNCACHED_MINUS = 2, /* uncached unless an MTRR says write-combining */
    PS_CACHE_UNCACHED = 3,
    PS_CACHE_WRITE_PROTECT = 4,
    PS_CACHE_WRITE_COMBINING = 5,
    PS_CACHE_COUNT
};

/* The value for the IA32_PAT register that gives the types above these numbers. */
#define PS_PAT_VALUE 0x0007010500070406ull

typedef struct {
    uint8_t access; /* PS_READ | ... */
    uint8_t cache;  /* enum ps_cache */
} ps_attr_t;

static inline ps_attr_t ps_attr(unsigned access, enum ps_cache cache)
{
    return (ps_attr_t){(uint8_t)access, (uint8_t)cache};
}

/* Ordinary memory: write-back. */
static inline ps_attr_t ps_attr_ram(unsigned access)
{
    return ps_attr(access, PS_CACHE_WRITE_BACK);
}

static inline bool ps_attr_equal(ps_attr_t a, ps_attr_t b)
{
    return a.access == b.access && a.cache == b.cache;
}

/* Readable, not writable and executable at once, no unknown bit, a known memory type. */
static inline bool ps_attr_is_valid(ps_attr_t attr)
{
    return (attr.access & ~(unsigned)PS_ACCESS_ALL) == 0 && (attr.access & PS_READ) != 0 &&
           (attr.access & (PS_WRITE | PS_EXECUTE)) != (PS_WRITE | PS_EXECUTE) &&
           attr.cache < PS_CACHE_COUNT;
}

/* Five letters and a memory type: "rw-u-", "WB". */
struct ps_attr_text {
    char access[6];
    char cache[4];
};
struct ps_attr_text ps_attr_text(ps_attr_t attr);

#endif
