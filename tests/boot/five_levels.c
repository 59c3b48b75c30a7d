/*
 * A firmware that runs with 5 levels of page tables: this application switches the one that
 * started it, and then starts the image under test, which lies on the same disk.
 *
 * The firmware goes on with its own tables, one level lower: the new root has one entry. Its
 * other processors stay as they are and do not survive to be woken: there must be none.
 */
#include <efi.h>

#include "firmware.h"
#include "level_cross.h"

#define TABLE_ENTRY ((uint64_t)3) /* present, writable */

uint64_t efi_main(void *image, EFI_SYSTEM_TABLE *system);

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* The firmware's own: its interrupts return to them. */
static void load_segments(const struct table_register *gdt, uint64_t code, uint64_t data)
{
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "mov %2, %%ds\n\t"
                     "mov %2, %%es\n\t"
                     "mov %2, %%ss"
                     :
                     : "m"(*gdt), "r"(code), "r"(data)
                     : "rax", "memory");
}

static void switch_levels(unsigned char *page)
{
    uint64_t *root = (uint64_t *)(void *)(page + PS_PAGE_SIZE);
    struct level_crossing crossing = {.arrival = (uint64_t)(uintptr_t)root,
                                      .page = (uint64_t)(uintptr_t)page,
                                      .root = (uint64_t)(uintptr_t)root};
    struct table_register gdt;
    uint64_t code;
    uint64_t data;

    __asm__ volatile("cli\n\t"
                     "sgdt %0\n\t"
                     "mov %%cs, %1\n\t"
                     "mov %%ss, %2\n\t"
                     "mov %%cr3, %3"
                     : "=m"(gdt), "=r"(code), "=r"(data), "=r"(crossing.departure));
    root[0] = (crossing.departure & ~(uint64_t)PS_PAGE_MASK) | TABLE_ENTRY;
    level_cross(&crossing);
    load_segments(&gdt, code, data);
    __asm__ volatile("sti");
}

uint64_t efi_main(void *image, EFI_SYSTEM_TABLE *system)
{
    EFI_HANDLE started = NULL;
    const void *file;
    uint64_t size;
    void *pages;

    firmware_start(image, system);
    pages = firmware_allocate_below(2 * PS_PAGE_SIZE, PS_MIB);
    if (pages == NULL || firmware_read_file("\\pagestage.efi", &file, &size) != PS_OK)
        return EFI_NOT_FOUND;
    switch_levels(pages);
    if (system->BootServices->LoadImage(FALSE, image, NULL, (void *)(uintptr_t)file, size,
                                        &started) != EFI_SUCCESS)
        return EFI_LOAD_ERROR;
    return system->BootServices->StartImage(started, NULL, NULL);
}
