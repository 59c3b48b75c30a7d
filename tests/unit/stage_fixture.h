/*
 * A stage on a simulated machine: the machine is built from the memory map that its firmware
 * tells, and what the stage must map and own is worked out from that map a second time.
 */
#ifndef TESTS_UNIT_STAGE_FIXTURE_H
#define TESTS_UNIT_STAGE_FIXTURE_H

#include <pagestage/stage.h>

#include "machine/mmu.h"
#include "memory_map_fixture.h"

enum {
    STAGE_FIRMWARE_ROOT = 0x123, /* loaded before the stage takes over; nobody follows it */
    STAGE_DEVICES_MAX = 8,
    STAGE_IMAGE_FIRST = 1068, /* the image in stage_usual: as sections, and what is left */
    STAGE_IMAGE_CODE = 1069,
    STAGE_IMAGE_DATA = 1090,
    STAGE_IMAGE_END = 1100,
};

/* UEFI memory types that the plans use. */
enum {
    UEFI_RESERVED = 0,
    UEFI_LOADER_CODE = 1,
    UEFI_LOADER_DATA = 2,
    UEFI_BOOT_CODE = 3,
    UEFI_BOOT_DATA = 4,
    UEFI_RUNTIME_CODE = 5,
    UEFI_RUNTIME_DATA = 6,
    UEFI_CONVENTIONAL = 7,
    UEFI_BAD = 8,
    UEFI_ACPI_RECLAIM = 9,
    UEFI_ACPI_NVS = 10,
    UEFI_MMIO = 11,
    UEFI_PERSISTENT = 14,
};

/* An entry of a firmware's map. */
#define RAM_ENTRY(type, first_frame, pages)                \
    {                                                      \
        (type), (uint64_t)(first_frame) << 12, (pages), WB \
    }

struct stage_plan {
    const struct map_entry *entries; /* disjoint, in ascending order; NULL: a usual small PC */
    size_t entry_count;
    unsigned flags; /* SIM_FIVE_LEVELS, ... */
    ps_phys_t framebuffer;
    uint64_t framebuffer_bytes;
    const struct ps_stage_section *sections; /* NULL with entries: none; without: of that PC */
    size_t section_count;
    bool not_taken_over; /* the case does it */
    void *context;       /* the case's own */
};

struct stage_fixture {
    const struct stage_plan *plan;
    struct sim_machine *sim;
    struct mmu *mmu;
    void *raw;                       /* the firmware's map */
    struct ps_memory_range *ranges;  /* exactly as many as promised */
    struct ps_stage_request request; /* all of the above */
    struct ps_stage *stage;
    uint8_t *kinds; /* of the frames below sim->frames: what must become of each */
    bool reclaimed; /* boot-services memory must be ours by now */

    struct stage_device { /* what must be in the device window */
        ps_frame_t first;
        ps_pages_t pages;
        enum ps_cache cache;
    } devices[STAGE_DEVICES_MAX];
    size_t device_count;
};

/* Run `body` on a new machine; whatever is taken over at its end must be valid. */
void stage_with(struct test *test, const struct stage_plan *plan,
                void (*body)(struct test *test, struct stage_fixture *f));

#define STAGE_CASE(name, ...)                                           \
    static void name##_in(struct test *test, struct stage_fixture *f);  \
    static void name(struct test *test)                                 \
    {                                                                   \
        stage_with(test, &(struct stage_plan){__VA_ARGS__}, name##_in); \
    }                                                                   \
    static void name##_in(struct test *test, struct stage_fixture *f)

#define STAGE_ENTRIES(list) .entries = (list), .entry_count = PS_ARRAY_SIZE(list)

/* The call on a stage that is zero-filled first. */
ps_status stage_take_over(struct stage_fixture *f);
void stage_expect_device(struct stage_fixture *f, uint64_t first, uint64_t pages,
                         enum ps_cache cache);

/* ---- facts ---- */

/* The leaves in the tables are those that must be there, and no other. */
void stage_expect_mapped(struct test *test, struct stage_fixture *f);
/* Every frame is in the pool or not, as it must be; what is not free is tables and books. */
void stage_expect_pooled(struct test *test, struct stage_fixture *f);
/* Both, and every layer is valid. */
void stage_expect_whole(struct test *test, struct stage_fixture *f);

/* Boot-services memory lets itself be reclaimed, and then all is as it must be. */
void stage_expect_reclaimed(struct test *test, struct stage_fixture *f);

/* Not taken over, where it stopped is known, and the processor is where it was. */
void stage_expect_refused(struct test *test, struct stage_fixture *f, ps_status wanted,
                          const char *step);

/* ---- reading back ---- */

struct stage_view {
    struct ps_mapped_range *ranges; /* free() */
    size_t count;
    size_t capacity;
};

struct stage_view stage_read(struct stage_fixture *f);

/* What `va` translates to; PS_NOT_FOUND leaves *found zero. */
bool stage_finds(struct stage_fixture *f, uint64_t va, struct ps_translation *found);

#endif
