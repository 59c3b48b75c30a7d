/*
 * The address arena inside.
 *
 * A leaf is a frame of cells, one an allocation, in no order: a cell is linked to those before and
 * behind it by numbers of one byte, and found by its first page through buckets of such chains.
 * So nothing is shifted when one comes or goes, and a cell stays where it is, which the lists and
 * trees of gaps rely on. The lowest cell of all is a mark of no pages at the beginning of the
 * arena, to own the gap before the first allocation; it is in no bucket.
 *
 * An inner node is a frame of sorted keys: the first page of the lowest cell below each child. They
 * are exact, but the very lowest one, which nobody looks at.
 */
#ifndef PS_ADDRESS_ARENA_PRIVATE_H
#define PS_ADDRESS_ARENA_PRIVATE_H

#include <pagestage/address_arena.h>

#include "hw.h"

/* Geometry, to be made smaller by tests. */
#ifndef PS_ARENA_CELLS
#define PS_ARENA_CELLS 82u
#endif
#ifndef PS_ARENA_CHILDREN
#define PS_ARENA_CHILDREN 255u
#endif

enum {
    CELLS = PS_ARENA_CELLS,
    CELLS_LEAST = (CELLS + 2) / 3, /* in a leaf that is not the root */
    CELLS_JOIN = CELLS * 3 / 4,
    BUCKETS = 128,
    CHILDREN = PS_ARENA_CHILDREN,
    CHILDREN_LEAST = (CHILDREN + 2) / 3,
    CHILDREN_JOIN = CHILDREN * 3 / 4,
    DEPTH = 2 * PS_ARENA_LARGE, /* of a tree of gaps: as many bits may differ */
    LEVELS = 32,                /* with CHILDREN_LEAST above 1 that is more pages than there are */
    NONE = 0xff,

    /* Of a cell. */
    MARK = 1,    /* the beginning of the arena */
    SHORT = 2,   /* the gap behind it may be shorter than the guards */
    RETIRED = 4, /* not live */

    /* Promised frames, see address_arena_tree.c. */
    DUE_INNER = 6, /* for each inner node, */
    DUE = 3,       /* and for the tree */
};

struct ps_arena_cell {
    uint64_t first;
    uint64_t pages;
    uint16_t before; /* guards */
    uint16_t after;
    uint8_t next; /* in the leaf */
    uint8_t previous;
    uint8_t chain;    /* in the bucket; or of free cells */
    uint8_t state;    /* the bits above */
    uint64_t link[2]; /* of the gap behind it: next and previous in the list, or children */
    uint64_t value;
};

struct ps_arena_leaf {
    uint64_t next; /* 0: none; frame 0 is in no pool */
    uint64_t previous;
    uint8_t count;
    uint8_t head; /* the lowest cell */
    uint8_t tail;
    uint8_t free;   /* cells that were in use, */
    uint8_t unused; /* and the first that never was */
    uint8_t buckets[BUCKETS];
    _Alignas(16) struct ps_arena_cell cells[CELLS];
};

struct ps_arena_inner {
    uint64_t count;
    uint64_t unused;
    uint64_t keys[CHILDREN];
    uint64_t children[CHILDREN];
};

_Static_assert(CELLS / 2 >= 2 && CELLS < NONE, "half a leaf has room for the two cells of a cut");
_Static_assert((CELLS - 1) / 2 >= CELLS_LEAST, "and half of one that has no such room is enough");
_Static_assert(CELLS_LEAST >= 2, "no leaf but the root becomes empty");
_Static_assert(CHILDREN_LEAST >= 2, "no inner node has a single child");
_Static_assert(sizeof(struct ps_arena_cell) == 48, "82 of them fill a frame");
_Static_assert(sizeof(struct ps_arena_leaf) <= PS_PAGE_SIZE, "a leaf is a frame");
_Static_assert(sizeof(struct ps_arena_inner) <= PS_PAGE_SIZE, "an inner node is a frame");

/* A cell, and where it is. */
struct ps_arena_at {
    uint64_t frame; /* physical address of the leaf */
    struct ps_arena_leaf *leaf;
    struct ps_arena_cell *cell;
};

/* The way from the root to a leaf: nodes of levels 1 to height - 1, and which child of each. */
struct ps_arena_path {
    uint64_t leaf;
    struct ps_arena_step {
        struct ps_arena_inner *node;
        uint64_t index;
    } step[LEVELS];
};

/* The free pages [first, end) behind a cell, and whose guards are in them. */
struct ps_arena_gap {
    uint64_t first;
    uint64_t end;
    uint64_t left;
    uint64_t right;
};

static inline void *ps_arena_pointer(const struct ps_arena *arena, uint64_t reference)
{
    return ps_hw_pointer(arena->machine, ps_phys(reference));
}

static inline struct ps_arena_leaf *ps_arena_leaf(const struct ps_arena *arena, uint64_t reference)
{
    return ps_arena_pointer(arena, reference & ~PS_PAGE_MASK);
}

static inline struct ps_arena_at ps_arena_at(const struct ps_arena *arena, uint64_t reference)
{
    return (struct ps_arena_at){
        .frame = reference & ~PS_PAGE_MASK,
        .leaf = ps_arena_leaf(arena, reference),
        .cell = ps_arena_pointer(arena, reference),
    };
}

static inline struct ps_arena_at ps_arena_slot(const struct ps_arena *arena, uint64_t frame,
                                               unsigned slot)
{
    struct ps_arena_leaf *leaf = ps_arena_pointer(arena, frame);

    return (struct ps_arena_at){frame, leaf, &leaf->cells[slot]};
}

static inline uint8_t ps_arena_slot_of(const struct ps_arena_at *at)
{
    return (uint8_t)(at->cell - at->leaf->cells);
}

static inline uint64_t ps_arena_reference(const struct ps_arena_at *at)
{
    return at->frame + (uint64_t)((uint8_t *)at->cell - (uint8_t *)at->leaf);
}

static inline unsigned ps_arena_bucket(uint64_t first)
{
    return (unsigned)((first & UINT32_MAX) * 0x9e3779b1u >> 25) % BUCKETS;
}

static inline uint64_t ps_arena_cell_end(const struct ps_arena_cell *cell)
{
    return cell->first + cell->pages;
}

/* False: there is none. */
static inline bool ps_arena_after(const struct ps_arena *arena, const struct ps_arena_at *at,
                                  struct ps_arena_at *next)
{
    if (at->cell->next != NONE) {
        *next = (struct ps_arena_at){at->frame, at->leaf, &at->leaf->cells[at->cell->next]};
        return true;
    }
    if (at->leaf->next == 0)
        return false;
    *next = ps_arena_slot(arena, at->leaf->next, 0);
    next->cell += next->leaf->head;
    return true;
}

/* There is one: not for the mark. */
static inline struct ps_arena_at ps_arena_before(const struct ps_arena *arena,
                                                 const struct ps_arena_at *at)
{
    struct ps_arena_at before;

    if (at->cell->previous != NONE)
        return (struct ps_arena_at){at->frame, at->leaf, &at->leaf->cells[at->cell->previous]};
    before = ps_arena_slot(arena, at->leaf->previous, 0);
    before.cell += before.leaf->tail;
    return before;
}

static inline struct ps_arena_gap ps_arena_gap_of(const struct ps_arena *arena,
                                                  const struct ps_arena_at *at)
{
    uint64_t first = ps_arena_cell_end(at->cell);
    struct ps_arena_at next;

    if (ps_arena_after(arena, at, &next))
        return (struct ps_arena_gap){first, next.cell->first, at->cell->after, next.cell->before};
    return (struct ps_arena_gap){first, arena->first + arena->pages, at->cell->after, arena->guard};
}

/* Pages that may be used without guards of one's own: its size in the lists. */
static inline uint64_t ps_arena_fit(const struct ps_arena_gap *gap)
{
    uint64_t guards = gap->left + gap->right;

    return gap->end - gap->first > guards ? gap->end - gap->first - guards : 0;
}

static inline bool ps_arena_contains(const struct ps_arena *arena, uint64_t page)
{
    return page >= arena->first && page - arena->first < arena->pages;
}

/* ---- gaps by size: address_arena_gaps.c ---- */

/* ps_arena_gap_of(), for where it need not be fast. */
struct ps_arena_gap ps_arena_gap_at(const struct ps_arena *arena, const struct ps_arena_at *at);

void ps_arena_tree_in(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit);
void ps_arena_tree_out(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit);

static inline uint64_t *ps_arena_link(const struct ps_arena *arena, uint64_t reference,
                                      unsigned which)
{
    struct ps_arena_cell *cell = ps_arena_pointer(arena, reference);

    return &cell->link[which];
}

/* What was before and behind it in the list become neighbours; with `self`, it between them. */
static inline void ps_arena_relink(struct ps_arena *arena, const uint64_t *link, uint64_t fit,
                                   uint64_t self)
{
    if (link[0] != 0)
        *ps_arena_link(arena, link[0], 1) = self != 0 ? self : link[1];
    if (link[1] != 0)
        *ps_arena_link(arena, link[1], 0) = self != 0 ? self : link[0];
    else
        arena->small[fit] = self != 0 ? self : link[0];
}

/* A gap in which something fits: address_arena_leaf.c. */
void ps_arena_list(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit);
void ps_arena_unlist(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit);

/* The gap behind the cell is not SHORT if its guards have room now. */
void ps_arena_gap_grown(const struct ps_arena *arena, const struct ps_arena_at *at);

/* The gap behind the cell, in which so much fits, is listed, or no longer. */
static inline void ps_arena_gap_in(struct ps_arena *arena, const struct ps_arena_at *at,
                                   uint64_t fit)
{
    if ((at->cell->state & SHORT) != 0)
        ps_arena_gap_grown(arena, at);
    if (fit != 0)
        ps_arena_list(arena, at, fit);
}

static inline void ps_arena_gap_out(struct ps_arena *arena, const struct ps_arena_at *at,
                                    uint64_t fit)
{
    if (fit != 0)
        ps_arena_unlist(arena, at, fit);
}

/* The same, the gap being looked up. */
void ps_arena_gap_enter(struct ps_arena *arena, const struct ps_arena_at *at);
void ps_arena_gap_leave(struct ps_arena *arena, const struct ps_arena_at *at);

/* The cell was at `old` and has been copied; as much fits behind it. */
void ps_arena_gap_moved(struct ps_arena *arena, uint64_t old, const struct ps_arena_at *at,
                        uint64_t fit);

/* The cell before the smallest gap of at least `fit`; 0: there is none. */
uint64_t ps_arena_gap_best(const struct ps_arena *arena, uint64_t fit);

/* The one that comes next in that order. */
uint64_t ps_arena_gap_next(const struct ps_arena *arena, uint64_t reference);

uint64_t ps_arena_gap_largest(const struct ps_arena *arena);

/* The gap is in the tree of its size. */
bool ps_arena_tree_has(const struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit);

/* ---- cells in leaves, and the ways to them: address_arena_leaf.c ---- */

void ps_arena_leaf_clear(struct ps_arena_leaf *leaf);

/* A cell like `like` behind slot `behind`, or before all (NONE): it is not full. Its slot. */
unsigned ps_arena_leaf_add(struct ps_arena_leaf *leaf, unsigned behind,
                           const struct ps_arena_cell *like);
void ps_arena_leaf_remove(const struct ps_arena_at *at);

/* The cell's first page changes; it stays between its neighbours. */
void ps_arena_leaf_rename(const struct ps_arena_at *at, uint64_t first);

/* The allocation that begins there, or NONE. */
unsigned ps_arena_leaf_find(const struct ps_arena_leaf *leaf, uint64_t first);

/* The highest cell that begins there or before. */
unsigned ps_arena_leaf_floor(const struct ps_arena_leaf *leaf, uint64_t page);

void ps_arena_descend(const struct ps_arena *arena, uint64_t page, struct ps_arena_path *path);

/* The allocation that begins there; false: none does. */
bool ps_arena_locate(const struct ps_arena *arena, uint64_t first, struct ps_arena_path *path,
                     struct ps_arena_at *at);

/* The highest cell that begins at `page` or before it: perhaps the mark. The tree is not empty. */
struct ps_arena_at ps_arena_way(const struct ps_arena *arena, uint64_t page,
                                struct ps_arena_path *path);
struct ps_arena_at ps_arena_floor(const struct ps_arena *arena, uint64_t page);

/* ---- the tree: address_arena_tree.c ---- */

/* The first leaf with the mark, and the end of them. */
PS_MUST_CHECK ps_status ps_arena_plant(struct ps_arena *arena);
void ps_arena_uproot(struct ps_arena *arena);

/*
 * The leaf of the highest cell that begins at `page` or before has room for so many cells
 * afterwards, 2 at most; cells may have moved. To cut, promised frames are used up where no others
 * can be promised instead. PS_NO_MEMORY: nothing changed.
 */
PS_MUST_CHECK ps_status ps_arena_make_room(struct ps_arena *arena, uint64_t page, unsigned cells,
                                           bool to_cut);

/* Let the pool promise what is owed, or as much of it as it can. */
void ps_arena_repay(struct ps_arena *arena);

/* Frames that are promised now. */
static inline uint64_t ps_arena_promised(const struct ps_arena *arena)
{
    return arena->root == 0 ? 0 : DUE + DUE_INNER * arena->inner - arena->owed;
}

/* The lowest cell of the leaf has changed: tell the nodes above. */
void ps_arena_retell(const struct ps_arena *arena, const struct ps_arena_path *path);

/* The leaf has lost a cell: share with a neighbour, or join it, when too little is left. */
void ps_arena_settle(struct ps_arena *arena, struct ps_arena_path *path);

/* ---- giving back: address_arena_free.c ---- */

static inline bool ps_arena_is_live(const struct ps_arena_cell *cell)
{
    return (cell->state & (MARK | RETIRED)) == 0;
}

/* The live allocation that begins there: the statuses of ps_arena_free(). */
PS_MUST_CHECK ps_status ps_arena_locate_live(const struct ps_arena *arena, uint64_t first,
                                             struct ps_arena_path *path, struct ps_arena_at *at);

void ps_arena_drop_live(struct ps_arena *arena, struct ps_arena_path *path,
                        const struct ps_arena_at *at);

#endif
