#define _GNU_SOURCE
#include <sys/mman.h>

#include "frame_baseline.h"

#define LARGE_PAGE ((uint64_t)2 << 20)

/* What it is rounded up to, so that it can consist of large pages to its end. */
static uint64_t rounded(uint64_t bytes)
{
    uint64_t unit = bytes < LARGE_PAGE ? PS_PAGE_SIZE : LARGE_PAGE;

    return (bytes + unit - 1) / unit * unit;
}

/* The host aligns to its small pages only: what is too much before and behind goes back. */
static uint8_t *map_aligned(uint64_t size)
{
    uint8_t *memory = mmap(NULL, size + LARGE_PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t before;

    if (memory == MAP_FAILED)
        return NULL;
    before = (LARGE_PAGE - (uint64_t)(uintptr_t)memory % LARGE_PAGE) % LARGE_PAGE;
    if (before != 0)
        (void)munmap(memory, before);
    if (before != LARGE_PAGE)
        (void)munmap(memory + before + size, LARGE_PAGE - before);
    return memory + before;
}

void *frame_reserve(uint64_t bytes, bool large_pages)
{
    uint64_t size = rounded(bytes);
    uint8_t *memory = map_aligned(size + PS_PAGE_SIZE);

    if (memory == NULL)
        return NULL;
    (void)mprotect(memory + size, PS_PAGE_SIZE, PROT_NONE);
    if (large_pages)
        (void)madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

void frame_release(void *memory, uint64_t bytes)
{
    (void)munmap(memory, rounded(bytes) + PS_PAGE_SIZE);
}
