/*
 * Calls on a virtual allocator and on its oracle, compared after each.
 *
 * Two processors look at the address space all the time, and keep every translation until a round
 * takes it away. A call that is refused must have changed nothing; one that succeeds must have done
 * what the oracle says, and reading the tables back, counting, asking, and looking with warm TLBs
 * must all show it. Every page holds a stamp, which it must keep wherever it moves.
 */
#ifndef TESTS_MODEL_VIRTUAL_DRIVER_H
#define TESTS_MODEL_VIRTUAL_DRIVER_H

#include "machine/mmu.h"
#include "virtual_oracle.h"

enum { VIRTUAL_LINES = 12, VIRTUAL_LOOKS = 24, VIRTUAL_MACHINE_FIRST = 512 };

/* A machine and an arena on it. */
struct virtual_setup {
    struct ps_virtual_config config;
    uint64_t frames;         /* of the machine, from VIRTUAL_MACHINE_FIRST on */
    unsigned sim_flags;      /* SIM_FIVE_LEVELS, ... */
    uint32_t processors;     /* that the machine says it has */
    bool fragmented;         /* there is no whole 2 MiB frame */
    bool unwatched;          /* no software MMU looks */
    struct sim_machine *sim; /* of that kind */
};

/* What a refused call leaves alone. */
struct virtual_before {
    uint64_t in_use;
    uint64_t promised;
    uint64_t available; /* frames, that are not promised */
    struct ps_virtual_snapshot arena;
    struct ps_page_table_counters tables;
};

struct virtual_driver {
    struct virtual_setup setup;
    struct sim_machine *sim;
    struct mmu *mmu;
    struct ps_frame_pool pool;
    struct ps_page_table table;
    struct ps_virtual_allocator arena;
    struct virtual_oracle oracle;
    struct ps_virtual_counters counters; /* as they must be */
    uint64_t sequence;
    uint64_t stamps;
    uint64_t foreign; /* frames of the machine's own */

    void (*others)(void *context, const struct ps_invalidation *what); /* of the MMU */
    void *others_context;

    /* The next call: memory fails after so many requests. */
    bool fails;
    uint64_t successes;
    bool for_good;

    uint64_t (*pick)(void *context, uint64_t bound);
    void *context;

    /* The call under way. */
    struct virtual_before before;
    bool scarce;   /* memory is */
    bool hopeless; /* it may not ask for a frame */
    bool freeing;  /* pages: the first one is */
    uint64_t freed;

    uint64_t looks[VIRTUAL_LOOKS]; /* pages that processors come back to */
    unsigned next_look;

    uint8_t *seen; /* frames, while they are counted */
    bool thorough; /* validate in the next comparison */

    ps_status status; /* of the last call */
    uint64_t calls;
    bool failed;
    char failure[240];
    char lines[VIRTUAL_LINES][160];
};

/* Building a machine costs more than using it: each kind is built once. */
struct virtual_machines {
    struct virtual_kept {
        uint64_t frames;
        unsigned flags;
        struct sim_machine *sim;
    } kept[16];
};

/* A machine as `setup` has it; NULL when the host has no room. */
struct sim_machine *virtual_machine(struct virtual_machines *machines,
                                    const struct virtual_setup *setup);
void virtual_machines_end(struct virtual_machines *machines);

/* On setup->sim. False when the arena is refused. */
bool virtual_driver_start(struct virtual_driver *driver, const struct virtual_setup *setup);
/* Free everything, destroy, and look for frames that were lost. */
void virtual_driver_finish(struct virtual_driver *driver);
/* Free what it has; nothing is checked. */
void virtual_driver_end(struct virtual_driver *driver);

void virtual_fail(struct virtual_driver *driver, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- the frame of a call ---- */

#define VIRTUAL_MAY(status) (1u << (status))

void virtual_begin(struct virtual_driver *driver, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* True when the call was made and the oracle has to follow. `may`: what it may answer. */
bool virtual_went_through(struct virtual_driver *driver, ps_status status, unsigned may);
/* So many pages more: PS_NO_MEMORY is an answer; or is the only one. */
unsigned virtual_may_lack_memory(const struct virtual_driver *driver, uint64_t pages);

/* Pages of the piece, from `from` on, are new: note their frames, and write to them. */
void virtual_adopt(struct virtual_driver *driver, struct virtual_piece *piece, uint64_t from,
                   bool zeroed);
/* Bytes of a mapped page, wherever its frame is. */
unsigned char *virtual_bytes(struct virtual_driver *driver, const struct virtual_piece *piece,
                             uint64_t i);

/* ---- calls ---- */

void drive_virtual_alloc(struct virtual_driver *driver, const struct ps_virtual_request *request);
void drive_virtual_alloc_at(struct virtual_driver *driver, const struct ps_virtual_request *request,
                            uint64_t va, bool force);
void drive_virtual_free(struct virtual_driver *driver, uint64_t va);
void drive_virtual_free_sized(struct virtual_driver *driver, uint64_t va, uint64_t bytes);
void drive_virtual_free_part(struct virtual_driver *driver, uint64_t va, uint64_t pages);
void drive_virtual_resize(struct virtual_driver *driver, uint64_t va, uint64_t bytes,
                          unsigned flags);
void drive_virtual_free_all(struct virtual_driver *driver);
/* Write beside what was asked for of a live allocation; no call frees it then but by parts. */
void drive_virtual_overrun(struct virtual_driver *driver, uint64_t va, uint64_t which);
/* Somebody else has mapped that free page. */
void drive_virtual_foreign(struct virtual_driver *driver, uint64_t page);
void drive_virtual_bad_call(struct virtual_driver *driver, unsigned which);
enum { VIRTUAL_BAD_CALLS = 10 };
void drive_virtual_look(struct virtual_driver *driver, uint64_t va);

/* ---- what everything must be now ---- */

void virtual_compare(struct virtual_driver *driver);
/* Processors look at a page from now on, and at those that they have looked at before. */
void virtual_look_at(struct virtual_driver *driver, uint64_t page);
void virtual_look_around(struct virtual_driver *driver);

/* ---- virtual_steps.c ---- */

/* One call, chosen by driver->pick, and all comparisons. */
void virtual_step(struct virtual_driver *driver);
/* A machine and an arena, chosen by driver->pick. */
void virtual_choose_setup(struct virtual_driver *driver, struct virtual_setup *setup);

#endif
