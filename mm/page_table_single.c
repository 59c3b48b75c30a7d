#include "page_table_private.h"

/*
 * One page whose table exists: the calls that an operating system makes most. They go down
 * once, look at one entry and change it; whatever takes more is left to the walker.
 */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

struct single {
    uint64_t *entry;  /* of level 1 */
    uint64_t *parent; /* the entry of its table */
    uint64_t page;
};

ALWAYS_INLINE bool find_single(const struct ps_page_table *table, struct single *single)
{
    unsigned level = table->levels;
    uint64_t *entry = ps_table_entry(table, table->root, level, single->page);

    do {
        uint64_t value = ps_hw_entry_load(entry);

        if (!ps_entry_is_own_table(value))
            return false;
        single->parent = entry;
        level--;
        entry = ps_table_entry(table, ps_entry_table_frame(value), level, single->page);
    } while (level > 1);
    single->entry = entry;
    return true;
}

/* The table is locked then. It may be frozen, or not even exist: that is for others to say. */
ALWAYS_INLINE bool begin(struct ps_page_table *table, ps_virt_t va, struct single *single)
{
    if (table == NULL || !ps_page_table_is_created(table) || (va.addr & PS_PAGE_MASK) != 0 ||
        !ps_virt_is_canonical(table, va))
        return false;
    single->page = ps_page_of_virt(table, va);
    ps_page_table_lock(table);
    if (!table->frozen && !table->promotes && find_single(table, single))
        return true;
    ps_page_table_unlock(table);
    return false;
}

ALWAYS_INLINE bool end(struct ps_page_table *table, bool done)
{
    ps_page_table_unlock(table);
    return done;
}

ALWAYS_INLINE void count_used(const struct single *single, bool more)
{
    uint64_t value = ps_hw_entry_load(single->parent);
    uint64_t used = more ? ps_entry_used(value) + 1 : ps_entry_used(value) - 1;

    ps_hw_entry_store(single->parent, ps_entry_with_used(value, used));
}

/* A round for one leaf: what a gather would make of it. */
ALWAYS_INLINE void invalidate_page(struct ps_page_table *table, ps_virt_t va)
{
    const struct ps_machine *machine = table->machine;
    struct ps_invalidation what;

    what.count = 1;
    what.global = false;
    what.ranges[0] = (struct ps_flush_range){.first = va, .count = 1, .step_pages = 1};
    ps_hw_invalidate(machine, &what);
    if (machine->shootdown != NULL)
        machine->shootdown(machine->shootdown_context, &what);
    table->counters.rounds++;
}

bool ps_map_single(struct ps_page_table *table, ps_virt_t va, ps_frame_t frame, ps_attr_t attr)
{
    struct single single;

    if (!begin(table, va, &single))
        return false;
    if (single.page == 0 || frame.number > ps_frame_largest(table->machine) ||
        ps_hw_entry_load(single.entry) != 0 || !ps_is_plain(table, frame, ps_pages(1), attr))
        return end(table, false);
    ps_hw_entry_store(single.entry, ps_entry_leaf(frame, attr, 1, table->machine));
    count_used(&single, true);
    table->counters.leaves[1]++;
    ps_note_global(table, attr);
    return end(table, true);
}

bool ps_protect_single(struct ps_page_table *table, ps_virt_t va, ps_attr_t attr)
{
    struct single single;
    uint64_t bits;
    uint64_t old;
    uint64_t new;

    if (!begin(table, va, &single))
        return false;
    bits = ps_entry_leaf_bits(attr, 1, table->machine);
    do {
        old = ps_hw_entry_load(single.entry);
        new = ps_entry_with_bits(old, bits, 1);
        if (!ps_entry_is_present(old) || old == new)
            return end(table, true);
        if (table->machine->cache_types != NULL && ps_entry_cache(old ^ new, 1) != 0)
            return end(table, false);
    } while (!ps_entry_change(single.entry, old, new, ps_is_alone(table)));
    ps_note_global(table, attr);
    invalidate_page(table, va);
    return end(table, true);
}

/*
 * The last page of a table takes the table with it, and a retired one is somebody else's. While
 * others have retired pages, this may be the last present one of a table that they will free.
 */
bool ps_unmap_single(struct ps_page_table *table, ps_virt_t va,
                     const struct ps_frame_release *release)
{
    struct single single;
    uint64_t old;

    if (!begin(table, va, &single))
        return false;
    old = ps_hw_entry_load(single.entry);
    if (!ps_entry_is_present(old))
        return end(table, old == 0);
    if ((old & PS_ENTRY_TYPED) != 0 || table->retired != 0 ||
        ps_entry_used(ps_hw_entry_load(single.parent)) == 1)
        return end(table, false);
    ps_hw_entry_store(single.entry, 0);
    count_used(&single, false);
    table->counters.leaves[1]--;
    invalidate_page(table, va);
    if (release != NULL)
        release->release(release->context, ps_entry_leaf_frame(old, 1), ps_pages(1));
    return end(table, true);
}
