#define _GNU_SOURCE
#include <sys/mman.h>

#include "frame_baseline.h"

#define LARGE_PAGES_UP_TO (64 * PS_GIB >> PS_PAGE_SHIFT)

void *frame_reserve(uint64_t bytes, uint64_t span)
{
    uint64_t size = ps_bytes_of_pages(ps_pages_of_bytes(bytes));
    uint8_t *memory = mmap(NULL, size + PS_PAGE_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    (void)mprotect(memory + size, PS_PAGE_SIZE, PROT_NONE);
    if (span <= LARGE_PAGES_UP_TO)
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

void frame_release(void *memory, uint64_t bytes)
{
    (void)munmap(memory, ps_bytes_of_pages(ps_pages_of_bytes(bytes)) + PS_PAGE_SIZE);
}
