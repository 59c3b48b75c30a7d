/*
 * An address arena beside what it must be: an array that knows for each page which allocation it is
 * in, searched from its beginning. Every call is made on both; answers and contents are compared.
 */
#ifndef TESTS_MODEL_ARENA_DRIVER_H
#define TESTS_MODEL_ARENA_DRIVER_H

#include <pagestage/address_arena.h>

enum {
    ARENA_MODEL_PAGES = 3000,
    ARENA_MODEL_STRICT = 128, /* with no more pages, and few gaps, the smallest must be taken */
};

struct arena_owner {
    uint64_t first; /* relative to the arena */
    uint64_t pages; /* 0: not in use */
    uint64_t value;
    uint64_t before;
    uint64_t after;
    bool retired;
};

struct arena_driver {
    struct ps_arena *arena;
    struct arena_owner owners[ARENA_MODEL_PAGES + 1]; /* from 1 */
    uint16_t owner[ARENA_MODEL_PAGES];                /* of each page; 0: free */
    bool fails;     /* allocations may be refused: then, and only then, is PS_NO_MEMORY an answer */
    char wrong[96]; /* the first difference, or empty */
};

enum arena_call {
    ARENA_ALLOC,     /* request */
    ARENA_ALLOC_AT,  /* request, page, `flag`: by force */
    ARENA_FREE,      /* that begins at page; `pages` */
    ARENA_RELEASE,   /* that begins at page */
    ARENA_FREE_PART, /* page, pages */
    ARENA_RETIRE,    /* page, pages */
    ARENA_RESIZE,    /* that begins at page, to `pages` */
    ARENA_SET,       /* that contains page, the value `pages` */
    ARENA_CALLS
};

struct arena_step {
    struct ps_arena_request request;
    uint64_t page; /* relative to the arena */
    uint64_t pages;
    uint8_t call; /* enum arena_call */
    bool flag;
};

/* Make one call. False: there is a difference, and driver->wrong says which. */
bool arena_driver_step(struct arena_driver *driver, const struct arena_step *step);

/* The arena is valid, and each of its pages is what the model says. */
bool arena_driver_compare(struct arena_driver *driver);

#endif
