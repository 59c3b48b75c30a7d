/*
 * Several processors that change page tables, and others that walk through them: a hart is the
 * memory side of a processor that only reads and writes memory. It keeps the steps and the
 * translations that it found, uses them until a round takes them away, and acknowledges rounds
 * between two accesses.
 *
 * A page that is mapped holds a mark that says which one it is; who gives a frame back writes over
 * it. A hart that meets anything but the mark of the address it came through has used something
 * that was dead. It reads without any protection but the round, and so ThreadSanitizer sees as well
 * when a frame, of a page or of a table, was used again too early.
 */
#ifndef TESTS_THREADS_PAGE_TABLE_CREW_H
#define TESTS_THREADS_PAGE_TABLE_CREW_H

#include <pagestage/page_table.h>

#include "threads.h"

enum {
    SPACES = 3,          /* page tables; the first one owns the upper half of all */
    HARTS = 2,           /* on the first two of them */
    AREA_PAGES = 1024,   /* of one worker */
    KEPT_STEPS = 8,      /* of a hart */
    KEPT_PAGES = 64,     /* the same */
    ROUNDS_AT_ONCE = 16, /* more than there are workers */
};

#define LOW_BASE  0x0000200000000000u /* in each space */
#define HIGH_BASE 0xffff900000000000u /* in the first one, and seen by all */

/* What a hart keeps. */
struct kept_step {
    uint64_t number; /* address >> bits */
    unsigned bits;   /* 0: nothing */
    uint64_t table;
};
struct kept_page {
    uint64_t number; /* address >> bits */
    unsigned bits;   /* 0: nothing */
    uint64_t physical;
    bool dirty;
};

struct table_crew;

struct hart {
    struct worker worker; /* first: for facts */
    struct table_crew *tables;
    struct ps_page_table *space;
    unsigned space_number;
    struct kept_step steps[KEPT_STEPS];
    struct kept_page pages[KEPT_PAGES];
    uint64_t read; /* pages, and those of them that it wrote to */
    uint64_t written;
    pthread_t thread;
    _Atomic(uint64_t) done; /* rounds */
};

/* A round that was asked for; published when its number stands in it. */
struct asked {
    _Atomic(uint64_t) number;
    struct ps_invalidation what;
};

struct table_crew {
    struct crew *crew;
    struct ps_page_table spaces[SPACES];
    struct hart harts[HARTS];
    struct asked asked[ROUNDS_AT_ONCE];
    _Atomic(uint64_t) rounds;
    _Atomic(bool) over;
    unsigned areas; /* that harts look at in each half */
};

/* Run `body` with spaces and harts; afterwards all must be valid, empty and given back. */
void table_crew_with(struct test *test, struct crew *crew, unsigned areas,
                     void (*body)(struct test *test, struct table_crew *tables));

/* ---- marks: the second word of a page's frame; the third counts what harts wrote ---- */

static inline uint64_t mark_of(unsigned space, uint64_t va)
{
    return va ^ (va >> 63 != 0 ? 0 : space);
}

uint64_t *frame_words(struct crew *crew, ps_frame_t frame);
void mark_frame(struct crew *crew, ps_frame_t frame, uint64_t mark);
uint64_t frame_writes(struct crew *crew, ps_frame_t frame);

/* The round of the machine, and the life of a hart. */
void shoot_down(void *context, const struct ps_invalidation *what);
void *hart_run(void *context);

#endif
