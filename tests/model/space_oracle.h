/*
 * An address space as a list of pages: what the calls of page_table.h promise, written down as
 * plainly as possible. It knows neither entries nor tables; which tables there are follows from
 * the pages.
 *
 * A space is seen through windows: nothing is ever mapped outside of them. In small geometries
 * one window is the whole space. Pages are counted from the first entry of the root to the last.
 */
#ifndef TESTS_MODEL_SPACE_ORACLE_H
#define TESTS_MODEL_SPACE_ORACLE_H

#include <pagestage/page_table.h>

enum space_use {
    SPACE_ABSENT,
    SPACE_MAPPED,
    SPACE_RETIRED,
};

struct space_page {
    uint64_t frame;
    ps_attr_t attr;
    uint8_t use;
    uint8_t level; /* of its leaf */
    bool permanent;
    bool typed;    /* by a call with a frame that is not RAM, where cache types are kept */
    bool accessed; /* its leaf: so all pages of a large one */
    bool dirty;
};

struct space_range {
    uint64_t first;
    uint64_t count;
};

struct space_geometry {
    unsigned index_bits;
    unsigned levels;
    unsigned largest; /* leaf */
    bool several;     /* processors */
};

enum { SPACE_WINDOWS = 3, SPACE_ROOT = 512, SPACE_ANCHORED = 1, SPACE_SHARED = 2 };

struct space_window {
    uint64_t first;
    uint64_t count;
    struct space_page *pages;
};

struct space_oracle {
    struct space_geometry geometry;
    struct space_window windows[SPACE_WINDOWS];
    unsigned window_count;
    uint8_t root[SPACE_ROOT]; /* entries: SPACE_ANCHORED, SPACE_SHARED */
    bool promotes;
    bool frozen;
    uint64_t demotions[4];
    uint64_t promotions[4];
};

/* All pages absent. False when there is no memory. */
bool space_create(struct space_oracle *space, const struct space_geometry *geometry,
                  const struct space_range *windows, unsigned count);
/* The same again, as if it had just been created. */
void space_reset(struct space_oracle *space);
void space_destroy(struct space_oracle *space);
void space_copy(struct space_oracle *to, const struct space_oracle *from);

/* ---- geometry ---- */

static inline uint64_t space_block(const struct space_oracle *space, unsigned level)
{
    return (uint64_t)1 << space->geometry.index_bits * (level - 1);
}

static inline uint64_t space_pages(const struct space_oracle *space)
{
    return space_block(space, space->geometry.levels + 1);
}

static inline uint64_t space_root_index(const struct space_oracle *space, uint64_t page)
{
    return page >> space->geometry.index_bits * (space->geometry.levels - 1);
}

ps_virt_t space_virt(const struct space_oracle *space, uint64_t page);

/* A page of a window; NULL elsewhere. Those behind it in the window follow in the array. */
struct space_page *space_at(const struct space_oracle *space, uint64_t page);

/* The pages of the leaf that a used page is in. */
struct space_range space_leaf(const struct space_oracle *space, uint64_t page);

static inline bool space_holds(struct space_range outer, struct space_range inner)
{
    return inner.first >= outer.first && inner.first + inner.count <= outer.first + outer.count;
}

/* ---- what stands against a call: a set of statuses, one of which it answers; none: PS_OK ---- */

#define SPACE_MAY(status) (1u << (status))

struct space_map {
    struct space_range range;
    const ps_frame_t *frames; /* NULL: a run from `first` on */
    uint64_t first;
    ps_attr_t attr;
    enum ps_existing existing;
    unsigned flags;
    bool typed;
};

unsigned space_refuses(const struct space_oracle *space, struct space_range range);
unsigned space_refuses_cuts(const struct space_oracle *space, struct space_range range);
unsigned space_refuses_map(const struct space_oracle *space, const struct space_map *map);
unsigned space_refuses_anchor(const struct space_oracle *space, struct space_range range);
unsigned space_refuses_share(const struct space_oracle *space);

/* ---- what a call does that nothing stands against ---- */

/* Frames that are told of, in order; or leaves. */
struct space_list {
    struct space_range *items;
    uint64_t count;
    uint64_t capacity;
    uint64_t dirty; /* of the leaves: how many of them */
};

void space_map(struct space_oracle *space, const struct space_map *map);
void space_retire(struct space_oracle *space, struct space_range range);
void space_sweep(struct space_oracle *space, struct space_range range, struct space_list *released);
/* How many pages changed. */
uint64_t space_protect(struct space_oracle *space, struct space_range range, ps_attr_t attr);
void space_harvest(struct space_oracle *space, struct space_range range, unsigned flags,
                   struct space_list *visited, struct space_list *released);
void space_mark(struct space_oracle *space, struct space_range range, bool dirty);
void space_anchor(struct space_oracle *space, struct space_range range);
void space_share(struct space_oracle *space, const struct space_oracle *from);

/* The block of `level` that holds `page` could be one leaf, and is not. */
bool space_could_merge(const struct space_oracle *space, uint64_t page, unsigned level);
void space_merge(struct space_oracle *space, uint64_t page, unsigned level);

/* ---- facts ---- */

bool space_has(const struct space_oracle *space, enum space_use use);

/* The next maximal range of equal leaves from page *cursor on, which moves behind it. */
bool space_next_range(const struct space_oracle *space, uint64_t *cursor,
                      struct ps_mapped_range *range);

/* Leaves, tables and promises as they must be; rounds stay 0. */
struct ps_page_table_counters space_counters(const struct space_oracle *space);
/* The promises for leaves that are retired: whether they count is left open. */
uint64_t space_retired_promise(const struct space_oracle *space);

#endif
