/*
 * The stage: from a firmware's memory map to page tables of our own.
 *
 * Called once, on the boot processor, after ExitBootServices and with interrupts off, while
 * the firmware's identity mapping is still active. It builds all layers, loads its own root
 * and returns on it. The virtual layout is the same with 4 and with 5 levels:
 *
 *     0 ... 0x00007fffffffffff                 the image, where the firmware loaded it, by
 *                                              section; page 0 absent; all else free
 *     PS_STAGE_DIRECT_MAP  0xffff800000000000  RAM only: physical p at PS_STAGE_DIRECT_MAP + p;
 *                                              readable, writable, never executable, global
 *     PS_STAGE_ARENA       0xffffc00000000000  512 GiB of virtual allocations, with guards
 *     PS_STAGE_DEVICES     0xffffd00000000000  framebuffer and device registers
 *
 * The direct map covers the usable, low, loader and ACPI-reclaim ranges of the memory map,
 * with the largest leaves the processor has, and 4 KiB leaves in the first 2 MiB, where
 * fixed-range memory types change. The image is not in it: code has no writable alias.
 * Boot-services memory joins when it is reclaimed.
 */
#ifndef PAGESTAGE_STAGE_H
#define PAGESTAGE_STAGE_H

#include <pagestage/cache_types.h>
#include <pagestage/frame_pool.h>
#include <pagestage/memory_map.h>
#include <pagestage/page_table.h>
#include <pagestage/virtual_allocator.h>

#define PS_STAGE_DIRECT_MAP  0xffff800000000000ull
#define PS_STAGE_ARENA       0xffffc00000000000ull
#define PS_STAGE_ARENA_PAGES (512 * PS_GIB / PS_PAGE_SIZE)
/* Pages: 2 MiB, so that large allocations can have large leaves. */
#define PS_STAGE_ARENA_ALIGNMENT 512
#define PS_STAGE_DEVICES         0xffffd00000000000ull

/* A part of the running image, mapped where it is. */
struct ps_stage_section {
    ps_frame_t first;
    ps_pages_t pages;
    unsigned access; /* PS_READ, with PS_WRITE or PS_EXECUTE */
    const char *name;
};

struct ps_stage;

struct ps_stage_request {
    /* What the processor can do; direct_map is 0: the firmware's identity mapping. */
    struct ps_machine machine;

    /* The map of the successful ExitBootServices, and an array for the normalised one that
     * has room for ps_memory_map_capacity(entries, PS_STAGE_OVERLAYS) ranges. Both in
     * memory of type EfiLoaderData, so that they stay reachable. */
    const void *uefi_map;
    size_t uefi_map_size;
    size_t uefi_map_stride;
    struct ps_memory_range *ranges;
    size_t range_capacity;

    const struct ps_stage_section *sections;
    size_t section_count;

    ps_phys_t framebuffer; /* 0 bytes: none */
    uint64_t framebuffer_bytes;

    /*
     * How the processor gets onto the new root. NULL: the root is loaded, which is enough where
     * the processor runs with machine.levels already. A function, where it has to be brought
     * there first: paging must be off for that, so the way is the embedder's.
     *
     * It is called once, with everything but the arena built, on the root that was loaded at the
     * time of the call, while memory is still reached by its physical address. On PS_OK the
     * processor runs on stage->table.root with machine.levels, interrupts still off, and all of
     * the image works as before. Any other status is handed to the caller of the stage, and the
     * root of before is loaded. It may take frames of stage->pool, and give them back after the
     * stage has returned.
     */
    ps_status (*enter_root)(void *context, struct ps_stage *stage);
    void *enter_context;

    /*
     * NULL, or told of each step as it begins: stage->step names it. Only to look at: the layers
     * that earlier steps built can be asked, and nothing may be changed. For progress, and for
     * measuring what a step costs.
     */
    void (*progress)(void *context, const struct ps_stage *stage);
    void *progress_context;
};

/* Ranges that the stage adds to a map: image, framebuffer, and some for the embedder. */
enum { PS_STAGE_OVERLAYS = 16 };

struct ps_stage {
    struct ps_machine machine;
    struct ps_memory_map map; /* normalised, with our own frames typed */
    struct ps_frame_pool pool;
    struct ps_cache_types cache_types; /* of all page tables that use `machine` */
    struct ps_page_table table;
    struct ps_virtual_allocator arena;
    ps_virt_t framebuffer; /* write-combining; 0 when there is none */
    uint64_t device_pages; /* of the device window used so far */
    const char *step;      /* what it was doing: for the report of a failure */
};

/*
 * Take the machine over. On PS_OK the processor runs on stage->table.
 *
 * stage    zero-filled, inside the image: every layer points into it
 * request  read during the call only
 * Rounding: a framebuffer is rounded to whole pages.
 * On failure the firmware's root is still loaded, stage->step says how far it came, and
 * the memory it took is lost to the caller.
 * PS_BAD_STATE         the stage is not zero-filled
 * PS_INVALID_ARGS      the map is not one, or lists RAM beyond machine.physical_bits; a section
 *                      is empty, writable and executable, in page 0, or shares a page with
 *                      another one or with the framebuffer; a framebuffer that wraps or is
 *                      beyond physical_bits; a machine that does not exist
 * PS_BUFFER_TOO_SMALL  range_capacity
 * PS_UNSUPPORTED       RAM above 64 TiB, where the direct map ends
 * PS_NO_MEMORY         too little RAM for bookkeeping and tables
 * and whatever enter_root answers.
 * Cost: O(map entries + tables), and the frame pool's start.
 */
PS_MUST_CHECK ps_status ps_stage_take_over(struct ps_stage *stage,
                                           const struct ps_stage_request *request);

/*
 * Map device memory [pa, pa + bytes) into the device window, not executable, with a guard
 * page behind it. *va is the address of `pa` itself. Mapped for good.
 * On failure nothing has changed.
 * PS_INVALID_ARGS  NULL, no bytes, wraps, beyond physical_bits, an unknown memory type
 * PS_BAD_STATE     not taken over
 * PS_ACCESS_DENIED a part of it is RAM, or mapped already with another memory type
 * PS_NO_MEMORY, PS_NO_SPACE (the window is full)
 */
PS_MUST_CHECK ps_status ps_stage_map_device(struct ps_stage *stage, ps_phys_t pa, uint64_t bytes,
                                            enum ps_cache cache, ps_virt_t *va);

/*
 * Make boot-services memory ours: into the direct map, then into the pool. A step of its
 * own, to be taken late: firmware of some machines keeps using that memory. Idempotent.
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE (not taken over)
 * PS_NO_MEMORY  part of it may have been reclaimed; call again
 */
PS_MUST_CHECK ps_status ps_stage_reclaim_boot_services(struct ps_stage *stage);

/* Where memory that the firmware's identity mapping showed at `pointer` is now. */
void *ps_stage_pointer(const struct ps_stage *stage, const void *pointer);

/*
 * Validate every layer. PS_CORRUPT, with one line to `sink` for the first breach;
 * PS_INVALID_ARGS (NULL), PS_BAD_STATE (not taken over).
 */
PS_MUST_CHECK ps_status ps_stage_validate(struct ps_stage *stage, const struct ps_sink *sink);

/* Names for ps_page_table_dump() and reports. */
extern const struct ps_range_name ps_stage_layout[];
extern const size_t ps_stage_layout_count;

#endif
