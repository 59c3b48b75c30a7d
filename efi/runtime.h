/*
 * UEFI runtime services, called on a root of their own.
 *
 * The firmware's runtime regions are identity-mapped there, each with the rights that the
 * firmware's memory attributes table gives it; without that table code is not writable and
 * data not executable. Our upper half and our image are mapped too, so that our stack and
 * our fault handlers work during a call. The stage's own root never holds a firmware page.
 *
 * A call that faults comes back as PS_UNSUPPORTED: firmware that touches what it gave up is
 * common, and no reason to die.
 */
#ifndef EFI_RUNTIME_H
#define EFI_RUNTIME_H

#include <pagestage/stage.h>

#include "image.h"
#include "traps.h"

struct runtime {
    struct ps_page_table table;
    const struct ps_stage *stage;
    uint64_t system_table;           /* as the firmware knows it */
    bool has_attributes;             /* the firmware had a memory attributes table */
    uint32_t regions;                /* mapped */
    uint32_t refused;                /* unaligned or out of range */
    struct trap_recovery last_fault; /* of the last call that answered PS_UNSUPPORTED */
};

struct runtime_input {
    const void *map; /* the raw map, reachable now */
    uint64_t map_size;
    uint64_t stride;
    const void *attributes; /* copy of the memory attributes table, or NULL */
    const struct image *image;
    uint64_t system_table;
};

/* Build the root. On failure nothing is left of it. PS_NO_MEMORY. */
PS_MUST_CHECK ps_status runtime_init(struct runtime *runtime, struct ps_stage *stage,
                                     const struct runtime_input *input);

struct runtime_time {
    uint16_t year;
    uint8_t month, day, hour, minute, second;
};

/* PS_BAD_STATE: no root; PS_UNSUPPORTED: the call faulted or the firmware refused. */
PS_MUST_CHECK ps_status runtime_get_time(struct runtime *runtime, struct runtime_time *time);

/* Size in bytes of the firmware's variable `name`; goes to the variable store. */
PS_MUST_CHECK ps_status runtime_variable_size(struct runtime *runtime, const char *name,
                                              uint64_t *size);

/* Do not return when they work. */
ps_status runtime_power_off(struct runtime *runtime);
ps_status runtime_reset(struct runtime *runtime);

#endif
