/*
 * The walk of ps_frame_pool_validate() over a pool: what it has counted so far, and the first
 * thing that is wrong.
 */
#ifndef PS_FRAME_POOL_CHECK_PRIVATE_H
#define PS_FRAME_POOL_CHECK_PRIVATE_H

#include "frame_pool_private.h"

/* The unit that the walk is in. It ends where the next slot is none that continues it. */
struct ps_pool_check_unit {
    uint64_t first;
    uint64_t pages;  /* so far; 0: the walk is in none */
    uint64_t slots;  /* so far, the head included */
    uint64_t digits; /* that the first of them tell */
    uint8_t tag;
};

/* What there is in a chunk, low frames apart. */
struct ps_pool_check_chunk {
    uint64_t frames;
    uint64_t free;
    bool absent; /* all of it, low frames included */
    bool solid;  /* nothing of it */
};

struct ps_pool_check {
    const struct ps_frame_pool *pool;
    uint64_t range; /* the first range that does not end below the walk */
    struct ps_pool_check_unit unit;
    bool in_unit; /* what looks free in the lines of a region is not */

    /* Counted. */
    struct ps_frame_totals totals;
    uint64_t tagged[PS_FRAME_TAG_COUNT];
    uint64_t own; /* frames that the pool's structures refer to, and the books */
    uint64_t units_2m;
    uint64_t units_1g;
    uint64_t run_frames;
    uint64_t shared_units;
    uint64_t loans;
    uint64_t loans_out;
    uint64_t loans_ended;
    uint64_t borrowable;

    /* The breach. */
    const char *breach; /* NULL: none so far */
    uint64_t place;     /* frame; PS_NONE: everywhere */
    bool is_count;      /* then there are the two numbers */
    uint64_t counted;
    uint64_t kept;
};

/* ---- frame_pool_check.c ---- */

/* Note what is wrong with a frame, or with what begins there. False, always. */
bool ps_check_breach(struct ps_pool_check *check, uint64_t frame, const char *what);

/* The number that was counted is the one that is kept. `frame` may be PS_NONE. */
bool ps_check_same(struct ps_pool_check *check, uint64_t frame, uint64_t counted, uint64_t kept,
                   const char *what);

/* The same for a mask, whose bits stand for `step` frames each. */
bool ps_check_mask(struct ps_pool_check *check, uint64_t first, uint64_t step, uint64_t counted,
                   uint64_t kept, const char *what);

/* ---- frame_pool_check_region.c ---- */

/* Everything in one region. Called in ascending order. */
bool ps_check_region(struct ps_pool_check *check, uint64_t region);

/* ---- frame_pool_check_chunk.c ---- */

/* A chunk of an open region. */
bool ps_check_chunk(struct ps_pool_check *check, const struct ps_place *place,
                    const struct ps_frame_tract *line, struct ps_pool_check_chunk *counted);

/* A slot of a unit, or of none: `frames` frames. */
bool ps_check_slot(struct ps_pool_check *check, uint64_t frame, uint64_t frames, uint8_t value);

/* What follows continues no unit. */
bool ps_check_unit_end(struct ps_pool_check *check);

/* Frames of the ranges that init was given in [first, first + frames), which ascends. */
uint64_t ps_check_ram(struct ps_pool_check *check, uint64_t first, uint64_t frames);

/* Fill checking finds the pattern in free frames. */
bool ps_check_pattern(struct ps_pool_check *check, uint64_t first, uint64_t frames);

/* ---- frame_pool_check_links.c: what is reached through references ---- */

/* The frames of holders' numbers, the ring of the quarantine, the list of loans, what processors
 * have at hand. */
bool ps_check_links(struct ps_pool_check *check);

#endif
