#include "page_table_private.h"

/*
 * One page whose table exists: the calls that an operating system makes most. They go down
 * once, look at one entry and change it; whatever takes more is left to the walker.
 */

struct single {
    uint64_t *entry;  /* of level 1 */
    uint64_t *parent; /* the entry of its table */
};

static inline bool find_single(const struct ps_page_table *table, uint64_t page,
                               struct single *single)
{
    unsigned level = table->levels;
    uint64_t *entry = ps_table_entry(table, table->root, level, page);
    uint64_t value = ps_hw_entry_load(entry);

    if (ps_entry_is_shared(value))
        return false;
    for (; level > 1; level--) {
        if (!ps_entry_is_table(value, level))
            return false;
        single->parent = entry;
        entry = ps_table_entry(table, ps_entry_table_frame(value), level - 1, page);
        value = ps_hw_entry_load(entry);
    }
    single->entry = entry;
    return true;
}

static void count_used(const struct single *single, bool more)
{
    uint64_t value = ps_hw_entry_load(single->parent);
    uint64_t used = more ? ps_entry_used(value) + 1 : ps_entry_used(value) - 1;

    ps_hw_entry_store(single->parent, ps_entry_with_used(value, used));
}

static void invalidate_page(struct ps_page_table *table, uint64_t page, uint64_t old)
{
    struct ps_tlb_gather gather;

    ps_tlb_gather_init(&gather, table->machine);
    ps_gather_range(table, &gather, (struct ps_page_range){page, page}, PS_LEAF_4K, old);
    (void)ps_gather_flush(table, &gather);
}

bool ps_map_single(struct ps_page_table *table, uint64_t page, ps_frame_t frame, ps_attr_t attr)
{
    struct single single;

    if (page == 0 || table->promotes || !find_single(table, page, &single) ||
        ps_hw_entry_load(single.entry) != 0)
        return false;
    ps_hw_entry_store(single.entry, ps_entry_leaf(frame, attr, 1, table->machine));
    count_used(&single, true);
    table->counters.leaves[1]++;
    return true;
}

bool ps_protect_single(struct ps_page_table *table, uint64_t page, ps_attr_t attr)
{
    uint64_t bits = ps_entry_leaf_bits(attr, 1, table->machine);
    struct single single;
    uint64_t old;
    uint64_t new;

    if (table->promotes || !find_single(table, page, &single))
        return false;
    do {
        old = ps_hw_entry_load(single.entry);
        new = ps_entry_with_bits(old, bits, 1);
        if (!ps_entry_is_present(old) || old == new)
            return true;
    } while (!ps_entry_change(single.entry, old, new, ps_is_alone(table)));
    invalidate_page(table, page, old);
    return true;
}

/* The last page of a table takes the table with it, and a retired one is somebody else's. */
bool ps_unmap_single(struct ps_page_table *table, uint64_t page,
                     const struct ps_frame_release *release)
{
    struct single single;
    uint64_t old;

    if (!find_single(table, page, &single) || ps_entry_used(ps_hw_entry_load(single.parent)) == 1)
        return false;
    old = ps_hw_entry_load(single.entry);
    if (!ps_entry_is_present(old))
        return old == 0;
    ps_hw_entry_store(single.entry, 0);
    count_used(&single, false);
    table->counters.leaves[1]--;
    invalidate_page(table, page, old);
    if (release != NULL)
        release->release(release->context, ps_entry_leaf_frame(old, 1), ps_pages(1));
    return true;
}
