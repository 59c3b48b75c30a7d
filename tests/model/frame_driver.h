/*
 * Calls of the frame pool, each compared with what the oracle allows.
 *
 * After each call the totals must be the oracle's, a refused call must have changed nothing,
 * and frames that were looked at must be what the oracle says. The first thing that is wrong
 * is written down, and nothing is done any more.
 */
#ifndef TESTS_MODEL_FRAME_DRIVER_H
#define TESTS_MODEL_FRAME_DRIVER_H

#include "frame_oracle.h"

enum {
    DRIVER_LINES = 24,
    DRIVER_LINE = 100,
    DRIVER_TOUCHED = 80,
    DRIVER_BESIDE = 8,
    DRIVER_SCATTERED = 64
};

struct frame_driver {
    struct ps_frame_pool *pool;
    const struct ps_machine *machine;
    struct frame_oracle *oracle;
    bool stamps;      /* write to frames that were handed out, and see that nobody else does */
    bool every_frame; /* compare all frames after each call, not only those beside its own */

    bool withdraws; /* the call that is going on may have withdrawn damaged frames unsaid */

    bool brief; /* compare nothing but answers: it is made up for later */

    bool drained; /* by the last call: the order of single frames is known now */

    struct ps_frame_pool_snapshot fresh; /* right after init */
    struct ps_frame_pool_snapshot now;   /* after the last call */
    uint64_t fail_left;                  /* calls to let through, when armed */
    bool fail_armed;
    bool fail_for_good;

    /* The watermarks, and what was told. */
    struct ps_frame_watermarks marks; /* notify NULL: none are set */
    uint64_t notified;                /* times since the last call */
    uint64_t notified_free;

    bool failed;
    char failure[256];
    char lines[DRIVER_LINES][DRIVER_LINE]; /* the last calls */
    uint64_t calls;

    /* Of the call that is going on. */
    enum oracle_state bookkeeping; /* what new metadata is taken for */
    struct oracle_touched {
        uint64_t first;
        uint64_t pages;
    } touched[DRIVER_TOUCHED];
    uint64_t touched_count;
    ps_status status;
};

/* Learn from an initialised pool where its books are. */
void driver_start(struct frame_driver *driver, struct ps_frame_pool *pool,
                  struct frame_oracle *oracle);

/* Each of these does nothing when something has failed. They return what was answered. */
ps_status driver_alloc(struct frame_driver *driver, enum ps_frame_size size, enum ps_frame_tag tag,
                       unsigned flags);
ps_status driver_run(struct frame_driver *driver, const struct ps_frame_run *run);
ps_status driver_scattered(struct frame_driver *driver, uint64_t count, enum ps_frame_tag tag,
                           unsigned flags); /* at most DRIVER_SCATTERED */
ps_status driver_claim(struct frame_driver *driver, uint64_t first, uint64_t pages,
                       enum ps_frame_tag tag);
ps_status driver_free(struct frame_driver *driver, uint64_t first, uint64_t pages);
ps_status driver_split(struct frame_driver *driver, uint64_t first, uint64_t pages);
ps_status driver_share(struct frame_driver *driver, uint64_t first, uint64_t pages);
ps_status driver_lend(struct frame_driver *driver, uint64_t frame);
ps_status driver_cancel_loan(struct frame_driver *driver, uint64_t frame);
ps_status driver_end_loan(struct frame_driver *driver, uint64_t frame, enum ps_frame_tag tag);
ps_status driver_promise(struct frame_driver *driver, uint64_t frames);
ps_status driver_unpromise(struct frame_driver *driver, uint64_t frames);
ps_status driver_alloc_promised(struct frame_driver *driver, enum ps_frame_tag tag, unsigned flags);
ps_status driver_add(struct frame_driver *driver, uint64_t first, uint64_t pages);
ps_status driver_quarantine(struct frame_driver *driver, uint64_t frees);
void driver_fill(struct frame_driver *driver, uint64_t bytes);
void driver_wait_level(struct frame_driver *driver, uint64_t frames);
void driver_watch(struct frame_driver *driver, uint64_t low, uint64_t high);
void driver_fail_after(struct frame_driver *driver, uint64_t successes, bool for_good);
void driver_drain(struct frame_driver *driver);

/* Write to a free frame, in the bytes that fill checking looks at. */
void driver_spoil(struct frame_driver *driver, uint64_t frame);

/* Calls with arguments that are wrong whatever the state is: nothing may change. */
void driver_misuse(struct frame_driver *driver);

/* The whole pool: validate, and every frame. */
void driver_compare(struct frame_driver *driver);

/* Every frame and the totals, without validate. */
void driver_compare_frames(struct frame_driver *driver);

/* Give everything back; what can be given back. Then the pool is as it was after init. */
void driver_finish(struct frame_driver *driver);

void driver_fail(struct frame_driver *driver, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- private to this folder ---- */

void driver_begin(struct frame_driver *driver, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void driver_touch(struct frame_driver *driver, uint64_t first, uint64_t pages);

/* The answer is one that may be; else false. Counts calls down that give frames. */
bool driver_judge(struct frame_driver *driver, ps_status status, unsigned may, bool gives_frames);

/* Compare what follows from the call with the pool. */
void driver_end(struct frame_driver *driver);

/* A unit has been handed out. */
void driver_took(struct frame_driver *driver, uint64_t first, uint64_t pages, enum ps_frame_tag tag,
                 unsigned flags);

/* Stamps are what they were: before a unit is given back. */
void driver_look_at_stamps(struct frame_driver *driver, uint64_t first, uint64_t pages);
void driver_stamp(struct frame_driver *driver, uint64_t first, uint64_t pages);

#endif
