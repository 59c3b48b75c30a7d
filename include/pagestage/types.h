/*
 * Addresses, frames and counts.
 *
 * Four kinds of number run through a memory manager and all of them are 64 bits wide.
 * Each is a structure of its own here, so that the compiler refuses to mix them:
 *
 *     ps_phys_t    a byte address on the memory bus          { .addr }
 *     ps_virt_t    a byte address as an instruction sees it  { .addr }
 *     ps_frame_t   a physical frame:   address >> 12         { .number }
 *     ps_pages_t   how many 4 KiB pages or frames            { .count }
 *
 * Every conversion between them stands in this header and nowhere else.
 *
 * Ranges are a first page and a count, or a first and an inclusive last address: the
 * top of the address space has no "one past the end". A range check is therefore
 * `count <= limit - first`, never `first + count <= limit`, which wraps.
 */
#ifndef PAGESTAGE_TYPES_H
#define PAGESTAGE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PS_PAGE_SHIFT 12u
#define PS_PAGE_SIZE  ((uint64_t)1 << PS_PAGE_SHIFT)
#define PS_PAGE_MASK  (PS_PAGE_SIZE - 1)

#define PS_KIB        ((uint64_t)1 << 10)
#define PS_MIB        ((uint64_t)1 << 20)
#define PS_GIB        ((uint64_t)1 << 30)
#define PS_TIB        ((uint64_t)1 << 40)

typedef struct {
    uint64_t addr;
} ps_phys_t;

typedef struct {
    uint64_t addr;
} ps_virt_t;

typedef struct {
    uint64_t number;
} ps_frame_t;

typedef struct {
    uint64_t count;
} ps_pages_t;

/* How 64-bit values are written in a format string: `long` differs between our targets. */
#if __SIZEOF_LONG__ == 8
#define PS_PRId "ld"
#define PS_PRIu "lu"
#define PS_PRIx "lx"
#else
#define PS_PRId "lld"
#define PS_PRIu "llu"
#define PS_PRIx "llx"
#endif

#define PS_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* ---- making values ---- */

static inline ps_phys_t ps_phys(uint64_t addr)
{
    return (ps_phys_t){addr};
}

static inline ps_virt_t ps_virt(uint64_t addr)
{
    return (ps_virt_t){addr};
}

static inline ps_frame_t ps_frame(uint64_t number)
{
    return (ps_frame_t){number};
}

static inline ps_pages_t ps_pages(uint64_t count)
{
    return (ps_pages_t){count};
}

/* ---- frames and physical addresses ---- */

/* The first byte of a frame. Frames reach to 2^52 / 4 KiB; larger numbers lose their top bits. */
static inline ps_phys_t ps_phys_of_frame(ps_frame_t frame)
{
    return ps_phys(frame.number << PS_PAGE_SHIFT);
}

/* The frame that holds a byte; the offset in the frame is dropped. */
static inline ps_frame_t ps_frame_of_phys(ps_phys_t pa)
{
    return ps_frame(pa.addr >> PS_PAGE_SHIFT);
}

static inline ps_frame_t ps_frame_add(ps_frame_t frame, uint64_t frames)
{
    return ps_frame(frame.number + frames);
}

static inline ps_phys_t ps_phys_add(ps_phys_t pa, uint64_t bytes)
{
    return ps_phys(pa.addr + bytes);
}

/* ---- virtual addresses ---- */

static inline ps_virt_t ps_virt_of_pointer(const volatile void *pointer)
{
    return ps_virt((uint64_t)(uintptr_t)pointer);
}

static inline void *ps_pointer_of_virt(ps_virt_t va)
{
    return (void *)(uintptr_t)va.addr;
}

static inline ps_virt_t ps_virt_add(ps_virt_t va, uint64_t bytes)
{
    return ps_virt(va.addr + bytes);
}

static inline ps_virt_t ps_virt_add_pages(ps_virt_t va, ps_pages_t pages)
{
    return ps_virt(va.addr + (pages.count << PS_PAGE_SHIFT));
}

/* ---- pages and bytes ---- */

/* Bytes in `pages`; `pages` must be below 2^52. */
static inline uint64_t ps_bytes_of_pages(ps_pages_t pages)
{
    return pages.count << PS_PAGE_SHIFT;
}

/* Pages that `bytes` touch when they start on a page boundary: rounded up, never wraps. */
static inline ps_pages_t ps_pages_of_bytes(uint64_t bytes)
{
    return ps_pages((bytes >> PS_PAGE_SHIFT) + ((bytes & PS_PAGE_MASK) != 0));
}

/* ---- alignment and checked arithmetic ---- */

static inline bool ps_is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* `alignment` must be a power of two. */
static inline bool ps_is_aligned(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

static inline uint64_t ps_align_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

/* Rounds up into *result; false when that would pass 2^64 - 1 and *result is untouched. */
static inline bool ps_align_up(uint64_t value, uint64_t alignment, uint64_t *result)
{
    uint64_t down = ps_align_down(value, alignment);

    if (down == value) {
        *result = value;
        return true;
    }
    if (down > UINT64_MAX - alignment)
        return false;
    *result = down + alignment;
    return true;
}

static inline bool ps_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline uint64_t ps_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t ps_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The whole pages [va, va + count pages) lie in the 64-bit address space without wrapping. */
static inline bool ps_virt_range_fits(ps_virt_t va, ps_pages_t pages)
{
    return pages.count == 0 || pages.count - 1 <= (UINT64_MAX - va.addr) >> PS_PAGE_SHIFT;
}

/* Last byte of a non-empty range that fits. */
static inline ps_virt_t ps_virt_last(ps_virt_t va, ps_pages_t pages)
{
    return ps_virt(va.addr + ((pages.count - 1) << PS_PAGE_SHIFT) + PS_PAGE_MASK);
}

#endif
