/*
 * Page-table mappers side by side: our engine, two baselines, and the least that can be done.
 *
 * All have one interface and write the same leaves. The baselines are written after the designs
 * that our engine has to beat, and like their models take no lock and keep no books:
 *
 *     walker   from the root for every page; makes missing tables, asks before it unmaps, cuts
 *              large leaves where a page inside changes, never frees a table
 *     ident    nested loops over the levels, large leaves only, which skip what is mapped: an
 *              identity map as a kernel makes it at its start
 *     floor    plain stores of the same entries into tables that are there already
 *
 * Entries are those of x86-64, 4 levels; tables lie in plain memory that was written to before.
 */
#ifndef TESTS_BENCH_PAGE_BASELINE_H
#define TESTS_BENCH_PAGE_BASELINE_H

#include <pagestage/types.h>

#define PAGE_PRESENT    ((uint64_t)1 << 0)
#define PAGE_WRITABLE   ((uint64_t)1 << 1)
#define PAGE_USER       ((uint64_t)1 << 2)
#define PAGE_ACCESSED   ((uint64_t)1 << 5)
#define PAGE_DIRTY      ((uint64_t)1 << 6)
#define PAGE_LARGE      ((uint64_t)1 << 7)
#define PAGE_NO_EXECUTE ((uint64_t)1 << 63)
#define PAGE_FRAME_MASK (((uint64_t)1 << 52) - PS_PAGE_SIZE)

enum { PAGE_LEVELS = 4, PAGE_ENTRIES = 512 };

/* Consecutive addresses and frames. All leaves allow reading and writing, no execution. */
struct page_stretch {
    uint64_t va;
    uint64_t first; /* frame */
    uint64_t pages; /* of 4 KiB: whole leaves */
    unsigned level; /* of the leaves: 1 to 3 */
    bool cuttable;  /* large leaves can be cut: ours takes the tables for that when it maps them */
};

/* The tables of a candidate: where physical address 0 appears, and the root's address. */
struct page_view {
    uint8_t *memory;
    uint64_t root;
};

/* What the loops work on. */
struct page_run {
    void *self;
    struct page_stretch stretch; /* of operation 0; that of operation n is n strides on */
    uint64_t stride;             /* bytes */
    const ps_frame_t *frames;    /* one a page of the stretch, for scattered ones */
    const uint32_t *order;       /* pages of the stretch in random order */
    bool writable;               /* to be */
    uint64_t next;               /* operation */
    uint64_t failures;
    uint64_t checksum;
};

/* Each carries out `n` operations on a page_run. */
typedef void page_loop(void *run, uint64_t n);

struct page_loops {
    page_loop *map;      /* pages of scattered frames */
    page_loop *map_run;  /* the stretch */
    page_loop *protect;  /* the stretch */
    page_loop *unmap;    /* the stretch */
    page_loop *scramble; /* protect the next page of `order` */
    page_loop *query;    /* the next page of `order` */
};

struct page_candidate {
    const char *name;
    bool large_only; /* knows no leaf of 4 KiB, and no call but map_run */
    bool cuts;       /* a page in a large leaf can be protected */

    void *(*open)(void); /* an empty address space; NULL when there is no memory */
    void (*close)(void *self);
    struct page_view (*view)(void *self);

    /* Make tables for the stretch. NULL: mapping does it. */
    bool (*prepare)(void *self, const struct page_stretch *stretch);

    /* Nothing is mapped afterwards, and no table is left but the root; `stretch` was all. */
    bool (*clear)(void *self, const struct page_stretch *stretch);

    /* False when the candidate refuses. Pages are absent before map, and mapped before others. */
    bool (*map)(void *self, uint64_t va, const ps_frame_t *frames, uint64_t pages);
    bool (*map_run)(void *self, const struct page_stretch *stretch);
    bool (*protect)(void *self, uint64_t va, uint64_t pages, bool writable);
    bool (*unmap)(void *self, uint64_t va, uint64_t pages);
    bool (*query)(void *self, uint64_t va, uint64_t *frame);

    /* Its own books: how many things are wrong with them. NULL: it has none. */
    uint64_t (*wrong)(void *self);

    struct page_loops loops;
    page_loop *promote; /* one large leaf over the stretch; NULL: it cannot */
};

extern const struct page_candidate candidate_page_table; /* ours */
extern const struct page_candidate baseline_walker;
extern const struct page_candidate baseline_ident;
extern const struct page_candidate baseline_stores;

/* ---- what the baselines have in common: tables from a stack that only grows ---- */

#define PAGE_TABLE_MEMORY ((uint64_t)32 << 20)

struct page_space {
    uint8_t *memory;
    uint64_t root;
    uint64_t next; /* byte: the next table that nobody has */
};

void *page_space_open(void);
void page_space_close(void *self);
struct page_view page_space_view(void *self);
bool page_space_clear(void *self, const struct page_stretch *stretch);

/* What the processor makes of an address: the leaf's entry, or NULL. */
uint64_t *page_leaf(const struct page_view *view, uint64_t va, unsigned *level);

static inline uint64_t page_level_bytes(unsigned level)
{
    return PS_PAGE_SIZE << (9u * (level - 1));
}

static inline uint64_t page_index(uint64_t va, unsigned level)
{
    return va >> (PS_PAGE_SHIFT + 9u * (level - 1)) & (PAGE_ENTRIES - 1);
}

static inline uint64_t *page_table_of(const struct page_space *space, uint64_t entry)
{
    return (uint64_t *)(void *)(space->memory + (entry & PAGE_FRAME_MASK));
}

/* One whole write, that is neither joined with others nor left out. */
static inline void page_store(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static inline uint64_t page_load(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/* What all leaves of a level have in common. */
static inline uint64_t page_leaf_bits(unsigned level, bool writable)
{
    return PAGE_PRESENT | PAGE_NO_EXECUTE | (writable ? PAGE_WRITABLE : 0) |
           (level > 1 ? PAGE_LARGE : 0);
}

static inline uint64_t page_protected(uint64_t entry, bool writable)
{
    return writable ? entry | PAGE_WRITABLE : entry & ~PAGE_WRITABLE;
}

/* An empty table; 0 when there is none left. */
static inline uint64_t page_take_table(struct page_space *space)
{
    uint64_t table = space->next;
    void *entries = space->memory + table;
    uint64_t count = PAGE_ENTRIES;

    if (table == PAGE_TABLE_MEMORY)
        return 0;
    space->next += PS_PAGE_SIZE;
    __asm__ volatile("rep stosq" : "+D"(entries), "+c"(count) : "a"((uint64_t)0) : "memory");
    return table;
}

/* The table behind an entry, made where it is missing; NULL for a leaf, or without memory. */
static inline uint64_t *page_table_below(struct page_space *space, uint64_t *entry)
{
    uint64_t value = page_load(entry);

    if (value == 0) {
        uint64_t table = page_take_table(space);

        if (table == 0)
            return NULL;
        value = table | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER | PAGE_ACCESSED;
        page_store(entry, value);
    }
    return (value & PAGE_LARGE) != 0 ? NULL : page_table_of(space, value);
}

#endif
