/*
 * Nested loops over the levels, as a kernel writes them for its identity map: each table is
 * found once, what is mapped is skipped, leaves are of 2 MiB or 1 GiB. It can do nothing else.
 */
#include "page_loops.h"

/* The end of what one entry of `level` spans, or of all. */
static inline uint64_t next_end(uint64_t va, uint64_t end, unsigned level)
{
    uint64_t next = ps_align_down(va, page_level_bytes(level)) + page_level_bytes(level);

    return next < end ? next : end;
}

static void fill_leaves(uint64_t *table, const struct page_stretch *stretch, uint64_t va,
                        uint64_t end)
{
    uint64_t bits = page_leaf_bits(stretch->level, true);
    uint64_t step = page_level_bytes(stretch->level);

    for (; va < end; va += step) {
        uint64_t *entry = &table[page_index(va, stretch->level)];
        uint64_t address = va - stretch->va + (stretch->first << PS_PAGE_SHIFT);

        if ((page_load(entry) & PAGE_PRESENT) == 0)
            page_store(entry, address | bits);
    }
}

static bool fill_level3(struct page_space *space, uint64_t *table,
                        const struct page_stretch *stretch, uint64_t va, uint64_t end)
{
    uint64_t next;

    if (stretch->level == 3) {
        fill_leaves(table, stretch, va, end);
        return true;
    }
    for (; va < end; va = next) {
        uint64_t *below = page_table_below(space, &table[page_index(va, 3)]);

        next = next_end(va, end, 3);
        if (below == NULL)
            return false;
        fill_leaves(below, stretch, va, next);
    }
    return true;
}

PAGE_OUTLINED map_run(void *self, const struct page_stretch *stretch)
{
    struct page_space *space = self;
    uint64_t *root = page_table_of(space, space->root);
    uint64_t end = stretch->va + (stretch->pages << PS_PAGE_SHIFT);
    uint64_t next;

    for (uint64_t va = stretch->va; va < end; va = next) {
        uint64_t *below = page_table_below(space, &root[page_index(va, 4)]);

        next = next_end(va, end, 4);
        if (below == NULL || !fill_level3(space, below, stretch, va, next))
            return false;
    }
    return true;
}

static void run_map_run(void *run, uint64_t n)
{
    page_loop_map_run(run, n, map_run);
}

const struct page_candidate baseline_ident = {
    .name = "ident",
    .large_only = true,
    .open = page_space_open,
    .close = page_space_close,
    .view = page_space_view,
    .clear = page_space_clear,
    .map_run = map_run,
    .loops = {.map_run = run_map_run},
};
