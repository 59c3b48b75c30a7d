/*
 * What is true of every frame, kept in the simplest way there is: a structure a frame, and
 * every sum counted anew. It knows the contract of the frame pool and nothing of its inside.
 *
 * Where a frame is taken from is the pool's choice, and so is where its bookkeeping lies.
 * The oracle is told both, and says whether that could be.
 */
#ifndef TESTS_MODEL_FRAME_ORACLE_H
#define TESTS_MODEL_FRAME_ORACLE_H

#include <pagestage/frame_pool.h>

#include "machine/machine.h"

/* In frames. */
struct oracle_geometry {
    uint64_t chunk;
    uint64_t tract;
    uint64_t region;
    uint64_t low;      /* below: kept for those who ask for it */
    uint64_t four_gib; /* below: used after what is above */
};

extern const struct oracle_geometry oracle_real_geometry;

enum oracle_state {
    ORACLE_ABSENT,
    ORACLE_FREE,
    ORACLE_UNIT,
    ORACLE_BOOKS, /* set aside by init */
    ORACLE_TAGS,  /* bookkeeping of 16 MiB, taken later */
    ORACLE_OTHER, /* bookkeeping: holders, a ring, or one more of tags */
};

enum oracle_loan { ORACLE_NO_LOAN, ORACLE_LENT, ORACLE_CANCELLED };

struct oracle_frame {
    uint8_t state;
    uint8_t tag;     /* of a unit */
    uint8_t loan;    /* of a single frame; nobody has it while its tag is PS_FRAME_LOANED */
    uint8_t written; /* free, and written to since fill checking began */
    uint8_t stamped; /* allocated, and its first and last words hold stamps */
    uint32_t back;   /* to the first frame of its unit, which has: */
    uint32_t pages;
    uint32_t holders;
};

struct oracle_range {
    uint64_t first;
    uint64_t pages;
    uint64_t index; /* in `frames` */
};

enum { ORACLE_RANGES = 16, ORACLE_DETAINED = 700 };

struct oracle_tract {
    uint64_t free; /* without low ones */
    uint64_t free_low;
    uint64_t units; /* frames of units */
    uint64_t tags;  /* frames */
    uint64_t other;
};

struct oracle_sums {
    struct ps_frame_pool_snapshot exact; /* but for: */
    uint64_t available_most;             /* `exact` has the least */
    uint64_t late_most;
    uint64_t written;
    uint64_t borrowable;
};

struct frame_oracle {
    struct oracle_geometry geometry;
    struct oracle_range ranges[ORACLE_RANGES];
    size_t range_count;
    struct oracle_frame *frames;
    uint64_t count;
    struct oracle_tract *tracts; /* by number in the address space; of the last sums */
    uint64_t tract_count;
    bool *late; /* by number of the chunk in the address space */

    uint64_t wait_level;
    uint64_t promised; /* frames */
    uint64_t fill_bytes;
    uint64_t quarantine; /* how many later frees a unit waits for; 0: there is none */
    uint64_t detained[ORACLE_DETAINED]; /* first frames of units, the oldest one first */
    uint64_t detained_count;
    uint64_t damaged_used; /* handed out in spite of it, because they were promised */

    struct oracle_sums sums; /* by oracle_sum() */
};

/*
 * Every frame of the ranges is known; those of PS_MEMORY_USABLE are free, page 0 apart, the
 * others absent so far. False: out of memory.
 */
bool oracle_create(struct frame_oracle *oracle, const struct oracle_geometry *geometry,
                   const struct sim_range *ranges, size_t count);
void oracle_destroy(struct frame_oracle *oracle);

/* Another oracle of the same ranges becomes like `from`. */
void oracle_copy(struct frame_oracle *oracle, const struct frame_oracle *from);

/* NULL for a frame of no range. */
struct oracle_frame *oracle_at(const struct frame_oracle *oracle, uint64_t frame);

/* The frame number of the frame with an index below `count`. */
uint64_t oracle_number(const struct frame_oracle *oracle, uint64_t index);

bool oracle_is_late(const struct frame_oracle *oracle, uint64_t frame);
enum ps_frame_zone oracle_zone(const struct frame_oracle *oracle, uint64_t frame);

/* The index of the first frame of a unit at `start` or after it, around the end; `count`: none. */
uint64_t oracle_find_unit(const struct frame_oracle *oracle, uint64_t start);

/* ---- what happens ---- */

void oracle_take(struct frame_oracle *oracle, uint64_t first, uint64_t pages,
                 enum ps_frame_tag tag);
void oracle_cut(struct frame_oracle *oracle, uint64_t first);

/* One holder's part, with all that follows: a loan returns, quarantine moves on. */
void oracle_free(struct frame_oracle *oracle, uint64_t first);

/* Absent frames become free. */
void oracle_add(struct frame_oracle *oracle, uint64_t first, uint64_t pages);

/* All units that wait become free, and from now on units wait for `frees` more. */
void oracle_quarantine(struct frame_oracle *oracle, uint64_t frees);

/* Count everything anew. */
void oracle_sum(struct frame_oracle *oracle);

/* ---- what may be answered: sets of statuses; they rely on the last sums ---- */

#define ORACLE_MAY(status) (1u << (status))

/* To a call for the unit that begins at `first` and has `pages`. */
unsigned oracle_may_unit(const struct frame_oracle *oracle, uint64_t first, uint64_t pages);

/*
 * What may be answered to a call that is answered `may` when nothing is promised, and that makes at
 * least `least` and at most `most` frames unavailable, where `available` are available.
 */
unsigned oracle_with_promises(const struct frame_oracle *oracle, unsigned may, uint64_t available,
                              uint64_t least, uint64_t most);

/* By how much taking these free frames makes fewer available: at least, and at most. */
void oracle_cost(const struct frame_oracle *oracle, uint64_t first, uint64_t pages, uint64_t *least,
                 uint64_t *most);

/* `available` is what the pool says; it has been compared with the sums. */
unsigned oracle_may_single(const struct frame_oracle *oracle, uint64_t available, uint64_t count,
                           unsigned flags);
unsigned oracle_may_large(const struct frame_oracle *oracle, uint64_t available, uint64_t pages,
                          unsigned flags);
unsigned oracle_may_run(const struct frame_oracle *oracle, uint64_t available,
                        const struct ps_frame_run *run);
unsigned oracle_may_claim(const struct frame_oracle *oracle, uint64_t available, uint64_t first,
                          uint64_t pages, enum ps_frame_tag tag);
unsigned oracle_may_add(const struct frame_oracle *oracle, uint64_t first, uint64_t pages);
unsigned oracle_may_share(const struct frame_oracle *oracle, uint64_t first, uint64_t pages);
unsigned oracle_may_promise(const struct frame_oracle *oracle, uint64_t available, uint64_t frames);
unsigned oracle_may_unpromise(const struct frame_oracle *oracle, uint64_t frames);
unsigned oracle_may_lend(const struct frame_oracle *oracle, uint64_t frame);
unsigned oracle_may_cancel(const struct frame_oracle *oracle, uint64_t frame);
unsigned oracle_may_end(const struct frame_oracle *oracle, uint64_t frame);

/*
 * The place of a frame in the order in which single frames are handed out, as far as that is
 * said: above 4 GiB, below, then what came late; in each, partly used 2 MiB before whole ones.
 */
unsigned oracle_rank(const struct frame_oracle *oracle, uint64_t frame);

/* The lowest rank of a frame that is surely available; UINT_MAX when none is. */
unsigned oracle_best_rank(const struct frame_oracle *oracle);

/* The lowest frame that a request with this limit may get. */
uint64_t oracle_lowest(const struct frame_oracle *oracle, uint64_t limit);

#endif
