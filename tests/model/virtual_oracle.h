/*
 * An arena as a list of pieces in order of address: what virtual_allocator.h promises of places,
 * written down as plainly as possible. Whether a request can be met, and where, is found by trying
 * every gap. It calls nothing of the library.
 *
 * Pages are numbers of addresses: address >> 12.
 */
#ifndef TESTS_MODEL_VIRTUAL_ORACLE_H
#define TESTS_MODEL_VIRTUAL_ORACLE_H

#include <pagestage/virtual_allocator.h>

enum { VIRTUAL_PIECES = 512 };

/* A page that is mapped. */
struct virtual_page {
    uint64_t frame;
    uint64_t stamp;  /* what was written to the beginning of what was asked for of it, */
    uint64_t length; /* so many bytes: up to 8 */
};

/* A live allocation, or what is left of one; or a freed range that is not released. */
struct virtual_piece {
    uint64_t first;
    uint64_t pages;
    uint64_t before; /* guards that it asks for */
    uint64_t after;
    bool retired;
    uint64_t freed; /* retired: when */

    uint64_t va; /* pointer */
    uint64_t bytes;
    uint64_t sequence;
    struct ps_attribution who;
    ps_attr_t attr;
    uint64_t align;  /* that it keeps when it moves */
    bool small;      /* 4 KiB leaves only */
    bool contiguous; /* cannot become longer */
    uint64_t end;    /* it cannot move, and not grow beyond this page; 0: it can */
    bool part;       /* a free left it, and another part of the same allocation */
    bool overrun;    /* somebody wrote beside what was asked for */
    struct virtual_page *content;
};

struct virtual_oracle {
    uint64_t first; /* the arena */
    uint64_t pages;
    uint64_t guard;
    uint64_t alignment;
    uint64_t quarantine;
    bool thin; /* something with less than the arena's guard was there, or was forced */
    uint64_t frees;
    struct virtual_piece pieces[VIRTUAL_PIECES];
    unsigned count;
};

void virtual_oracle_clear(struct virtual_oracle *oracle);

/* The first piece that ends behind `page`; `count` when none does. */
unsigned virtual_piece_at(const struct virtual_oracle *oracle, uint64_t page);
/* The live allocation that contains the page; NULL when none does. */
struct virtual_piece *virtual_live_at(struct virtual_oracle *oracle, uint64_t page);
bool virtual_in_arena(const struct virtual_oracle *oracle, uint64_t page, uint64_t pages);
/* All pages are free; they are in the arena. */
bool virtual_is_free(const struct virtual_oracle *oracle, uint64_t first, uint64_t pages);
/* Free, and kept so by a neighbour or the end of the arena. */
bool virtual_is_guard(const struct virtual_oracle *oracle, uint64_t page);

/* Of a gap: those before piece i; before the end of the arena when there is no such piece. */
struct virtual_gap {
    uint64_t first;
    uint64_t pages;
    uint64_t before; /* what the neighbours ask for */
    uint64_t after;
    uint64_t room; /* between their guards */
};

struct virtual_gap virtual_gap(const struct virtual_oracle *oracle, unsigned i);

struct virtual_place {
    uint64_t pages;
    uint64_t align;
    uint64_t low; /* pages; */
    uint64_t end; /* behind the last one that may be used */
    uint64_t before;
    uint64_t after;
};

/* What a request comes to; it has been found valid. */
struct virtual_place virtual_place_of(const struct virtual_oracle *oracle,
                                      const struct ps_virtual_request *request);
uint64_t virtual_guard_of(const struct virtual_oracle *oracle, ps_pages_t asked);

/* The lowest place in gap i. */
bool virtual_fits_gap(const struct virtual_oracle *oracle, const struct virtual_place *place,
                      unsigned i, uint64_t *first);
bool virtual_fits(const struct virtual_oracle *oracle, const struct virtual_place *place);
bool virtual_fits_at(const struct virtual_oracle *oracle, const struct virtual_place *place,
                     uint64_t first);

/*
 * NULL when allocating at `first` is what the header promises: legal, in a smallest gap where that
 * is promised, the lowest place of its gap, and with limits the lowest of all. `plain`: the request
 * has no guards and alignment of its own.
 */
const char *virtual_misplaced(const struct virtual_oracle *oracle,
                              const struct virtual_place *place, uint64_t first, bool plain,
                              bool limited);

/* Put in a piece; returns it. `content` becomes the oracle's. */
struct virtual_piece *virtual_add(struct virtual_oracle *oracle, const struct virtual_piece *piece);
/* Free pages of one live piece: they are retired, and what has been in quarantine long enough is
 * released. */
void virtual_retire(struct virtual_oracle *oracle, uint64_t first, uint64_t pages);
unsigned virtual_retired(const struct virtual_oracle *oracle);

/* Bytes that were asked for of page i of a piece: from `*from` on in that page. */
uint64_t virtual_asked(const struct virtual_piece *piece, uint64_t i, uint64_t *from);

#endif
