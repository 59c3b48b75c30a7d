/*
 * A range tree beside what it must be: a sorted array, searched from its beginning. Every call is
 * made on both, and answers and contents are compared.
 */
#ifndef TESTS_MODEL_RANGE_DRIVER_H
#define TESTS_MODEL_RANGE_DRIVER_H

#include <pagestage/range_tree.h>

enum { RANGE_MODEL_MAX = 4096 };

struct range_driver {
    struct ps_range_tree *tree;
    struct ps_range ranges[RANGE_MODEL_MAX];
    size_t count;
    bool fails;     /* frames may be refused: then, and only then, is PS_NO_MEMORY an answer */
    char wrong[96]; /* the first difference, or empty */
    struct ps_range_step {
        uint8_t call; /* enum range_call */
        bool flag;
        uint64_t a;
        uint64_t b;
        uint64_t c;
    } last; /* what was done */
};

enum range_call {
    RANGE_INSERT,   /* [a, b], value c */
    RANGE_ERASE,    /* that begins at a */
    RANGE_REPLACE,  /* [a, b], value c */
    RANGE_CLEAR,    /* [a, b] */
    RANGE_SPLIT,    /* at a, value c */
    RANGE_MERGE,    /* that contains a */
    RANGE_RESIZE,   /* that contains or begins at a, to [b, c] */
    RANGE_SET,      /* that contains a, value c */
    RANGE_RESERVE,  /* a */
    RANGE_RETURN,   /* a */
    RANGE_LOOK,     /* find, next and previous at a */
    RANGE_LARGEST,  /* in [a, b] */
    RANGE_FIND_GAP, /* size a, and bits of c for the rest; from b on, or up to it with `flag` */
    RANGE_CALLS
};

/* Make one call. False: there is a difference, and driver->wrong says which. */
bool range_driver_step(struct range_driver *driver, const struct ps_range_step *step);

/* The tree is valid and holds what the model holds; a cursor tells all of it. */
bool range_driver_compare(struct range_driver *driver);

#endif
