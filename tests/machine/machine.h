/*
 * A simulated machine: physical memory and the place where a processor plugs in.
 *
 *     |plate|  gap  |frame 0|  gap  |frame 1|  gap  |frame 2|  gap  | ...
 *                   base
 *
 * Frame N stands alone at base + N * 8192. The pages between frames, holes, devices and
 * everything past the last frame are inaccessible, so one byte too far is a fault at the
 * line that did it. Frames are filled with junk: whoever reads before writing gets entries
 * that look present and lead nowhere. Only frames that were written cost host memory.
 *
 * The plate before the first frame says which machine this is. So the library may hold a copy
 * of the `ps_machine`, as a stage does.
 *
 * The software MMU attaches through `processor`. Without one, an invalidation is counted
 * and nothing else, and the root is a number that is remembered.
 */
#ifndef TESTS_MACHINE_MACHINE_H
#define TESTS_MACHINE_MACHINE_H

#include <pagestage/lock.h>
#include <pagestage/machine.h>
#include <pagestage/memory_map.h>

/* What stands behind the frames of a range. */
enum sim_backing {
    SIM_JUNK,    /* every frame between inaccessible pages, filled with junk; up to 96 MiB in all */
    SIM_PLAIN,   /* for big machines: no gaps, filled with zeros, any size */
    SIM_NOTHING, /* no RAM: a touch is a fault */
};

struct sim_range {
    ps_frame_t first;
    ps_pages_t pages;
    enum ps_memory_type type; /* as the memory map will show it */
    enum sim_backing backing;
};

/* RAM as a firmware describes it; the map makes page 0 and the first MiB of it special. */
#define SIM_RAM(first_frame, page_count)                            \
    {                                                               \
        {(first_frame)}, {(page_count)}, PS_MEMORY_USABLE, SIM_JUNK \
    }

/* How the machine differs from the usual one: 4 levels, NX, 1 GiB leaves, global leaves. */
enum {
    SIM_FIVE_LEVELS = 1u << 0,
    SIM_NO_EXECUTE_DISABLE = 1u << 1, /* no EFER.NXE */
    SIM_NO_GIB_LEAVES = 1u << 2,
    SIM_NO_GLOBAL_LEAVES = 1u << 3,
};

/* What a processor does when the library asks for it. All functions are set. */
struct sim_processor_ops {
    void (*invalidate)(void *context, const struct ps_invalidation *what);
    void (*set_root)(void *context, ps_frame_t root);
    ps_frame_t (*root)(void *context);
};

struct sim_machine {
    struct ps_machine machine; /* direct_map == base */
    struct ps_memory_map map;  /* of the ranges, with room for 16 calls of ps_memory_map_set() */

    void *base;
    uint64_t frames; /* frames [0, frames) have a place after base; higher ones have none */

    const struct sim_processor_ops *processor; /* NULL, or attached by the software MMU */
    void *processor_context;

    /* Counted with and without a processor, for whichever processor it was. */
    struct ps_lock counting;
    uint64_t invalidations;              /* rounds */
    struct ps_invalidation invalidation; /* the last one */

    ps_frame_t root; /* the last one that was set, when there is no processor */

    /* Private to memory.c. */
    struct sim_range *ranges;
    size_t range_count;
    uint64_t *junk; /* what a SIM_JUNK frame holds before anybody writes to it */
};

/*
 * What other processors do between two accesses of the library to page-table entries: called after
 * each of them, where it is set. `stored` is false after a read, and after a compare-exchange that
 * changed nothing. The library holds its locks then. A new machine clears it.
 */
struct sim_between {
    void (*step)(void *context, bool stored);
    void *context;
};

extern struct sim_between sim_between;

static inline void sim_entry_accessed(bool stored)
{
    if (sim_between.step != NULL)
        sim_between.step(sim_between.context, stored);
}

/* A frame and the inaccessible page behind it. */
#define SIM_FRAME_STRIDE (2 * PS_PAGE_SIZE)

/* The machine that `machine`, or what it is a copy of, belongs to. */
static inline struct sim_machine *sim_machine_of(const struct ps_machine *machine)
{
    return *(struct sim_machine *const *)(uintptr_t)(machine->direct_map - SIM_FRAME_STRIDE);
}

/*
 * Build a machine; `flags` are SIM_FIVE_LEVELS and so on. Ranges are disjoint and in
 * ascending order, below frame 2^32. NULL, with a line on stderr, when that is not so or
 * when the host has no room: a mistake of the test, not a case to test.
 */
struct sim_machine *sim_machine_create(const struct sim_range *ranges, size_t count,
                                       unsigned flags);
void sim_machine_destroy(struct sim_machine *sim);

/* Fill `map` from ranges: page 0 is NULL, usable RAM below 1 MiB is LOW, neighbours merged. */
void sim_memory_map(struct ps_memory_map *map, struct ps_memory_range *storage, size_t capacity,
                    const struct sim_range *ranges, size_t count);

/* The frame is RAM of this machine: the library may touch it. */
bool sim_machine_has_frame(const struct sim_machine *sim, ps_frame_t frame);

/* The first word of junk in every SIM_JUNK frame; the rest follows from it. */
#define SIM_JUNK_WORD ((uint64_t)0x800fbadbadbad0e7u)

/* Fill one frame with junk again, as if nobody had written to it. */
void sim_machine_fill_junk(struct sim_machine *sim, ps_frame_t frame);

/*
 * All of physical memory, for comparison: a failed call has changed nothing. Costs grow
 * with the frames that were ever written; of the others 16 bytes of the host's page map are
 * read. So keep SIM_PLAIN ranges to a few GiB where physical memory is to be compared.
 */
struct sim_snapshot;

struct sim_snapshot *sim_machine_snapshot(const struct sim_machine *sim);
void sim_snapshot_destroy(struct sim_snapshot *snapshot);

/* The first frame whose contents differ from the snapshot; SIM_FRAME_NONE when none does. */
#define SIM_FRAME_NONE UINT64_MAX
uint64_t sim_machine_changed(const struct sim_machine *sim, const struct sim_snapshot *snapshot);

/* One number for all of physical memory: equal contents, equal checksum. */
uint64_t sim_machine_checksum(const struct sim_machine *sim);

#endif
