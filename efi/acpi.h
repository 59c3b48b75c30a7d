/*
 * The processors of the machine, as the firmware's ACPI tables list them.
 *
 * Read while the firmware is still there: the tables lie in its memory. They are not trusted:
 * nothing is read beyond the length that a table states, and an entry that makes no sense ends
 * the list.
 */
#ifndef EFI_ACPI_H
#define EFI_ACPI_H

#include <pagestage/types.h>

struct acpi_processors {
    uint32_t listed;  /* entries, disabled ones and duplicates among them */
    uint32_t enabled; /* different processors that may be started */
};

/*
 * Identifiers of the local APICs of all enabled processors, in the order of the table, each once.
 *
 * rsdp      the root pointer, or NULL
 * ids       where they go, up to `capacity`; those that found no room are not compared, so with
 *           less than `listed` of it `enabled` is an upper limit
 * Without a table of them nothing is listed.
 */
struct acpi_processors acpi_processors(const void *rsdp, uint32_t *ids, size_t capacity);

#endif
