/*
 * The least that can be done: the way to each table is walked once, every entry of it is
 * written by a plain store. Nothing is checked, no table made, none zeroed, nothing counted.
 */
#include "page_loops.h"

/* The table of `level` on the way to an address; it is there. */
static inline uint64_t *table_for(const struct page_space *space, uint64_t va, unsigned level)
{
    uint64_t *table = page_table_of(space, space->root);

    table = page_table_of(space, page_load(&table[page_index(va, 4)]));
    if (level < 3)
        table = page_table_of(space, page_load(&table[page_index(va, 3)]));
    if (level < 2)
        table = page_table_of(space, page_load(&table[page_index(va, 2)]));
    return table;
}

/* The entries of one table from an address on, at most `most`. */
struct span {
    uint64_t *entry;
    uint64_t count;
};

static inline struct span span_at(const struct page_space *space, uint64_t va, unsigned level,
                                  uint64_t most)
{
    uint64_t index = page_index(va, level);

    return (struct span){table_for(space, va, level) + index, ps_min(most, PAGE_ENTRIES - index)};
}

static bool prepare(void *self, const struct page_stretch *stretch)
{
    struct page_space *space = self;
    uint64_t end = stretch->va + (stretch->pages << PS_PAGE_SHIFT);
    uint64_t step = page_level_bytes(stretch->level + 1);

    for (uint64_t va = ps_align_down(stretch->va, step); va < end; va += step) {
        uint64_t *table = page_table_of(space, space->root);

        for (unsigned at = PAGE_LEVELS; at > stretch->level && table != NULL; at--)
            table = page_table_below(space, &table[page_index(va, at)]);
        if (table == NULL)
            return false;
    }
    return true;
}

PAGE_OUTLINED map(void *self, uint64_t va, const ps_frame_t *frames, uint64_t pages)
{
    uint64_t bits = page_leaf_bits(1, true);

    while (pages != 0) {
        struct span span = span_at(self, va, 1, pages);

        for (uint64_t i = 0; i < span.count; i++)
            page_store(&span.entry[i], frames[i].number << PS_PAGE_SHIFT | bits);
        frames += span.count;
        pages -= span.count;
        va += span.count << PS_PAGE_SHIFT;
    }
    return true;
}

PAGE_OUTLINED map_run(void *self, const struct page_stretch *stretch)
{
    uint64_t step = page_level_bytes(stretch->level);
    uint64_t leaves = (stretch->pages << PS_PAGE_SHIFT) / step;
    uint64_t entry = stretch->first << PS_PAGE_SHIFT | page_leaf_bits(stretch->level, true);
    uint64_t va = stretch->va;

    while (leaves != 0) {
        struct span span = span_at(self, va, stretch->level, leaves);

        for (uint64_t i = 0; i < span.count; i++, entry += step)
            page_store(&span.entry[i], entry);
        leaves -= span.count;
        va += span.count * step;
    }
    return true;
}

PAGE_OUTLINED protect(void *self, uint64_t va, uint64_t pages, bool writable)
{
    while (pages != 0) {
        struct span span = span_at(self, va, 1, pages);

        for (uint64_t i = 0; i < span.count; i++)
            page_store(&span.entry[i], page_protected(page_load(&span.entry[i]), writable));
        pages -= span.count;
        va += span.count << PS_PAGE_SHIFT;
    }
    return true;
}

PAGE_OUTLINED unmap(void *self, uint64_t va, uint64_t pages)
{
    while (pages != 0) {
        struct span span = span_at(self, va, 1, pages);

        for (uint64_t i = 0; i < span.count; i++)
            page_store(&span.entry[i], 0);
        pages -= span.count;
        va += span.count << PS_PAGE_SHIFT;
    }
    return true;
}

PAGE_OUTLINED query(void *self, uint64_t va, uint64_t *frame)
{
    uint64_t entry = page_load(&table_for(self, va, 1)[page_index(va, 1)]);

    *frame = (entry & PAGE_FRAME_MASK) >> PS_PAGE_SHIFT;
    return (entry & PAGE_PRESENT) != 0;
}

PAGE_LOOPS(map, map_run, protect, unmap, query)

const struct page_candidate baseline_stores = {
    .name = "floor",
    .open = page_space_open,
    .close = page_space_close,
    .view = page_space_view,
    .prepare = prepare,
    .clear = page_space_clear,
    .map = map,
    .map_run = map_run,
    .protect = protect,
    .unmap = unmap,
    .query = query,
    .loops = PAGE_LOOPS_INIT,
};
