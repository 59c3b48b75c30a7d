/*
 * The usual mapper: every page by itself, from the root. Mapping makes the tables that are
 * missing and refuses a page that is there; unmapping asks first whether the page is there;
 * tables stay when they are empty. A large leaf in the way of a change is cut.
 */
#include "page_loops.h"

struct place {
    uint64_t *entry;
    unsigned level;
};

/* One level down; the levels below are written out, as it is their number that costs. */
static inline bool goes_on(const struct page_space *space, uint64_t va, unsigned level,
                           uint64_t **table, struct place *place)
{
    uint64_t *entry = &(*table)[page_index(va, level)];
    uint64_t value = page_load(entry);

    *place = (struct place){entry, level};
    *table = page_table_of(space, value);
    return (value & (PAGE_PRESENT | PAGE_LARGE)) == PAGE_PRESENT;
}

/* Down to a page, or to what is not a table before that. */
static inline struct place find(const struct page_space *space, uint64_t va)
{
    uint64_t *table = page_table_of(space, space->root);
    struct place place;

    if (goes_on(space, va, 4, &table, &place) && goes_on(space, va, 3, &table, &place) &&
        goes_on(space, va, 2, &table, &place))
        place = (struct place){&table[page_index(va, 1)], 1};
    return place;
}

static inline __attribute__((always_inline)) bool map_page(struct page_space *space, uint64_t va,
                                                           uint64_t frame, unsigned level)
{
    uint64_t *table = page_table_of(space, space->root);
    uint64_t *entry;

    table = page_table_below(space, &table[page_index(va, 4)]);
    if (level < 3 && table != NULL)
        table = page_table_below(space, &table[page_index(va, 3)]);
    if (level < 2 && table != NULL)
        table = page_table_below(space, &table[page_index(va, 2)]);
    if (table == NULL)
        return false;
    entry = &table[page_index(va, level)];
    if (page_load(entry) != 0)
        return false;
    page_store(entry, frame << PS_PAGE_SHIFT | page_leaf_bits(level, true));
    return true;
}

/* A table of leaves one level lower takes the place of the leaf. */
static bool cut(struct page_space *space, const struct place *place)
{
    uint64_t table = page_take_table(space);
    uint64_t leaf = page_load(place->entry);
    uint64_t *entries;

    if (table == 0)
        return false;
    if (place->level == 2)
        leaf &= ~PAGE_LARGE;
    entries = page_table_of(space, table);
    for (uint64_t i = 0; i < PAGE_ENTRIES; i++)
        page_store(&entries[i], leaf + i * page_level_bytes(place->level - 1));
    page_store(place->entry, table | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER | PAGE_ACCESSED);
    return true;
}

static inline bool protect_page(struct page_space *space, uint64_t va, bool writable)
{
    struct place place = find(space, va);

    while (place.level > 1) {
        if ((page_load(place.entry) & PAGE_PRESENT) == 0 || !cut(space, &place))
            return false;
        place = find(space, va);
    }
    if ((page_load(place.entry) & PAGE_PRESENT) == 0)
        return false;
    page_store(place.entry, page_protected(page_load(place.entry), writable));
    return true;
}

/* ---- the interface ---- */

PAGE_OUTLINED query(void *self, uint64_t va, uint64_t *frame)
{
    struct place place = find(self, va);
    uint64_t entry = page_load(place.entry);

    if ((entry & PAGE_PRESENT) == 0)
        return false;
    *frame =
        ((entry & PAGE_FRAME_MASK) + (va & (page_level_bytes(place.level) - 1))) >> PS_PAGE_SHIFT;
    return true;
}

PAGE_OUTLINED map(void *self, uint64_t va, const ps_frame_t *frames, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        if (!map_page(self, va + (i << PS_PAGE_SHIFT), frames[i].number, 1))
            return false;
    return true;
}

static inline __attribute__((always_inline)) bool
map_leaves(struct page_space *space, const struct page_stretch *stretch, unsigned level)
{
    uint64_t each = page_level_bytes(level) >> PS_PAGE_SHIFT;

    for (uint64_t i = 0; i < stretch->pages; i += each)
        if (!map_page(space, stretch->va + (i << PS_PAGE_SHIFT), stretch->first + i, level))
            return false;
    return true;
}

PAGE_OUTLINED map_run(void *self, const struct page_stretch *stretch)
{
    if (stretch->level == 3)
        return map_leaves(self, stretch, 3);
    return stretch->level == 2 ? map_leaves(self, stretch, 2) : map_leaves(self, stretch, 1);
}

PAGE_OUTLINED protect(void *self, uint64_t va, uint64_t pages, bool writable)
{
    for (uint64_t i = 0; i < pages; i++)
        if (!protect_page(self, va + (i << PS_PAGE_SHIFT), writable))
            return false;
    return true;
}

PAGE_OUTLINED unmap(void *self, uint64_t va, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t page = va + (i << PS_PAGE_SHIFT);
        uint64_t frame;
        struct place place;

        if (!query(self, page, &frame))
            return false;
        place = find(self, page);
        if (place.level != 1)
            return false;
        page_store(place.entry, 0);
    }
    return true;
}

PAGE_LOOPS(map, map_run, protect, unmap, query)

const struct page_candidate baseline_walker = {
    .name = "walker",
    .cuts = true,
    .open = page_space_open,
    .close = page_space_close,
    .view = page_space_view,
    .clear = page_space_clear,
    .map = map,
    .map_run = map_run,
    .protect = protect,
    .unmap = unmap,
    .query = query,
    .loops = PAGE_LOOPS_INIT,
};
