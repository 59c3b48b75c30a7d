/*
 * Calls on page tables and on their oracles, compared after each.
 *
 * There are two spaces of one machine, and two processors, each of which looks at one of them.
 * A call that is refused must have changed nothing; one that succeeds must have done what the
 * oracle says, and reading back, counting, asking and looking with warm TLBs must all show it.
 */
#ifndef TESTS_MODEL_SPACE_DRIVER_H
#define TESTS_MODEL_SPACE_DRIVER_H

#include <pagestage/cache_types.h>

#include "machine/mmu.h"
#include "space_oracle.h"

/* Entries a table, as the library was built. */
#ifndef PS_TABLE_INDEX_BITS
#define PS_TABLE_INDEX_BITS 9u
#endif

enum { SPACE_COUNT = 2, DRIVER_KEPT_LINES = 12, SPACE_LOOK_ALL = 64 };

/* A range of cache types as the library tells of it, and the pages found in it. */
struct space_type {
    struct ps_range range;
    uint64_t found;
};

struct space_types {
    struct ps_cache_types *library; /* of the machine; NULL: nobody keeps types */
    struct space_type *ranges;
    uint64_t count;
    uint64_t capacity;
};

struct space_driver {
    struct sim_machine *sim;
    struct mmu *mmu; /* NULL: nobody looks */
    struct ps_frame_pool *pool;
    struct ps_page_table tables[SPACE_COUNT];
    struct space_oracle oracles[SPACE_COUNT];
    struct space_oracle scratch; /* to try something on */
    struct space_types types;
    unsigned looks_at[MMU_PROCESSORS];

    struct ps_tlb_gather gather;
    bool unflushed; /* somebody has retired, and what processors keep of it is not dead yet */

    /* The next call: memory fails after so many requests. */
    bool fails;
    uint64_t successes;
    bool for_good;

    uint64_t (*pick)(void *context, uint64_t bound);
    void *context;

    /* The call under way. */
    unsigned space;
    ps_status status;
    struct ps_page_table_counters before;
    uint64_t rounds;           /* of the machine, before */
    uint64_t rounds_extra;     /* that the caller made */
    struct space_list told[2]; /* released frames, visited leaves: what the library says */
    struct space_list expected[2];

    uint64_t calls;
    bool failed;
    char failure[240];
    char lines[DRIVER_KEPT_LINES][160];
};

enum { RELEASED, VISITED };

/* On a machine and a pool. NULL mmu: none. False when something could not be created. */
bool space_driver_start(struct space_driver *driver, struct sim_machine *sim, struct mmu *mmu,
                        struct ps_frame_pool *pool, const struct space_range *windows,
                        unsigned count);
/* Unmap everything, destroy, and look for frames that were lost. */
void space_driver_finish(struct space_driver *driver);
/* Free what it has; nothing is checked. */
void space_driver_end(struct space_driver *driver);

void space_fail(struct space_driver *driver, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- the frame of a call ---- */

/* Note what is called, and what there is before. */
void space_begin(struct space_driver *driver, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* True when the call was made and the oracle has to follow: nothing stood against it. */
bool space_went_through(struct space_driver *driver, ps_status status, unsigned may);

/* ---- calls on driver->space ---- */

void drive_map(struct space_driver *driver, const struct space_map *map);
void drive_retire(struct space_driver *driver, struct space_range range);
void drive_flush(struct space_driver *driver);
void drive_sweep(struct space_driver *driver, struct space_range range);
void drive_unmap(struct space_driver *driver, struct space_range range);
void drive_protect(struct space_driver *driver, struct space_range range, ps_attr_t attr);
void drive_promote(struct space_driver *driver, struct space_range range);
void drive_set_promotes(struct space_driver *driver, bool promotes);
void drive_harvest(struct space_driver *driver, struct space_range range, unsigned flags);
void drive_mark(struct space_driver *driver, struct space_range range);
void drive_anchor(struct space_driver *driver, struct space_range range);
void drive_share(struct space_driver *driver);
void drive_freeze(struct space_driver *driver, bool frozen);
void drive_recreate(struct space_driver *driver);
void drive_bad_call(struct space_driver *driver, struct space_range range, unsigned which);
enum { BAD_CALLS = 12 };

/* ---- what everything must be now ---- */

void space_compare(struct space_driver *driver);
/* Of that: reading back and counting in one space. */
void space_compare_leaves(struct space_driver *driver, unsigned space);
/* A processor reads, writes or fetches. */
void space_look(struct space_driver *driver, unsigned processor, uint64_t page, unsigned access);
void space_look_around(struct space_driver *driver, struct space_range range);
/* It forgets everything, and looks at that space from now on. */
void space_look_at(struct space_driver *driver, unsigned processor, unsigned space);

/* ---- space_types.c: where the machine keeps cache types ---- */

unsigned space_refuses_types(struct space_driver *driver, const struct space_map *map);
unsigned space_refuses_protect_types(const struct space_driver *driver, struct space_range range,
                                     ps_attr_t attr);
/* Pages of the call whose frames are not RAM: for these the library may need memory. */
uint64_t space_typed_frames(const struct space_driver *driver, const struct space_map *map);
void space_compare_types(struct space_driver *driver);

/* ---- space_steps.c ---- */

/* One call, or several, chosen by driver->pick, and all comparisons. */
void space_step(struct space_driver *driver);

#endif
