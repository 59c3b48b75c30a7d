/*
 * The firmware before the exit: everything that is asked of boot services, in one place.
 *
 * Only this file's source and runtime.c know the firmware's own types. Nothing here may be
 * called after firmware_exit() has returned PS_OK.
 */
#ifndef EFI_FIRMWARE_H
#define EFI_FIRMWARE_H

#include <pagestage/memory_map.h>
#include <pagestage/sink.h>
#include <pagestage/status.h>

#include "exit_boot.h"

struct firmware_graphics {
    bool present; /* there is a graphics output */
    bool usable;  /* ... and its pixels are in memory, 32 bits each */
    ps_phys_t base;
    uint64_t bytes;
    uint32_t width, height, pixels_per_line;
    uint32_t red_mask, green_mask, blue_mask;
    const char *form; /* "bgrx", "rgbx", "masks", "blt-only", "none" */
};

struct firmware_facts {
    char vendor[64];
    uint32_t revision;     /* of the firmware, as its vendor counts */
    uint32_t uefi_version; /* major << 16 | minor */
    uint64_t rsdp;
    uint64_t system_table;
    uint32_t processors; /* 0: the firmware does not say */
    uint32_t processors_enabled;
    uint64_t timestamps_per_second;
    bool secure_boot;
};

/* Remember the two arguments of the entry point, and stop the firmware's watchdog. */
void firmware_start(void *image_handle, void *system_table);

/* The firmware's text console; "\n" moves to the start of the next line. */
struct ps_sink firmware_console(void);

void firmware_learn(struct firmware_facts *facts);
/* The first graphics output whose pixels are in memory; else what there is instead. */
void firmware_find_graphics(struct firmware_graphics *graphics, uint8_t physical_bits);

/* Zeroed memory of type EfiLoaderData that outlives the exit; NULL when there is none. */
void *firmware_allocate(uint64_t bytes);
/* The same, with its last byte below `limit`: a place for code that starts other processors. */
void *firmware_allocate_below(uint64_t bytes, uint64_t limit);

/*
 * A file of the volume the image was started from, path with backslashes, in a fresh
 * allocation. PS_NOT_FOUND; PS_UNSUPPORTED (no file system there); PS_NO_MEMORY.
 */
PS_MUST_CHECK ps_status firmware_read_file(const char *path, const void **data, uint64_t *size);

/* The load options (UCS-2 text from the shell, or anything); size 0 when there are none. */
void firmware_load_options(const void **data, uint64_t *size);

/* A copy of the memory attributes table; NULL when the firmware has none. */
const void *firmware_memory_attributes(void);

/*
 * The exit, see exit_boot.h. With every buffer for the map comes an array that can hold the
 * normalised one.
 */
struct firmware_exit {
    struct exit_result result;
    struct ps_memory_range *ranges;
    size_t range_capacity;
};
PS_MUST_CHECK ps_status firmware_prepare_exit(struct firmware_exit *leave, size_t overlays);
PS_MUST_CHECK ps_status firmware_exit(struct firmware_exit *leave);

/* Back to whoever started the image; a reset where an exit was attempted and refused. */
_Noreturn void firmware_give_up(void);

#endif
