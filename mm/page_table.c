#include "page_table_private.h"

/* ---- create and destroy ---- */

static bool geometry_has_levels(unsigned levels)
{
    /* Small tables are for tests, which want short ways down. */
    unsigned fewest = PS_TABLE_INDEX_BITS == 9 ? 4 : 2;

    return levels >= fewest && levels <= PS_LEVEL_MAX;
}

PS_COLD ps_status ps_page_table_create(struct ps_page_table *table,
                                       const struct ps_machine *machine, struct ps_frame_pool *pool)
{
    ps_frame_t root;
    ps_status status;

    if (table == NULL || machine == NULL || pool == NULL || !geometry_has_levels(machine->levels))
        return PS_INVALID_ARGS;
    if (ps_page_table_is_created(table))
        return PS_BAD_STATE;
    status = ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_TABLE, PS_FRAME_ZERO, &root);
    if (status != PS_OK)
        return status;
    *table = (struct ps_page_table){
        .lock = PS_LOCK_INIT,
        .machine = machine,
        .pool = pool,
        .root = root,
        .levels = machine->levels,
        .typed_first = {UINT64_MAX},
        .counters = {.tables = 1},
    };
    return PS_OK;
}

static bool is_in_use(const struct ps_page_table *table)
{
    const uint64_t *leaves = table->counters.leaves;

    return leaves[1] != 0 || leaves[2] != 0 || leaves[3] != 0 || table->retired != 0 ||
           atomic_load(&table->running) != 0;
}

PS_COLD ps_status ps_page_table_destroy(struct ps_page_table *table)
{
    const uint64_t *root;

    if (table == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table) || is_in_use(table))
        return PS_BAD_STATE;
    /* Without leaves there are no tables but the root and anchored ones directly under it. */
    root = ps_hw_frame(table->machine, table->root);
    for (uint64_t i = 0; i < PS_TABLE_ENTRIES; i++)
        if (ps_entry_is_present(root[i]) && !ps_entry_is_shared(root[i]))
            ps_frames_give_back(table, ps_entry_table_frame(root[i]));
    ps_frames_give_back(table, table->root);
    *table = (struct ps_page_table){0};
    return PS_OK;
}

/* ---- tables for good ---- */

/* What an anchor needs; a leaf in the root, which only small geometries have, is in its way. */
static ps_status count_missing(const struct ps_page_table *table, struct ps_page_range indices,
                               uint64_t *missing)
{
    const uint64_t *root = ps_hw_frame(table->machine, table->root);

    *missing = 0;
    for (uint64_t i = indices.first; i <= indices.last; i++) {
        uint64_t entry = ps_hw_entry_load(&root[i]);

        /* defensive: roots of the processor's own geometry lie above the largest leaf. */
        if (entry != 0 && ps_entry_has_leaf(entry, table->levels))
            return PS_ALREADY_EXISTS;
        *missing += entry == 0;
    }
    return PS_OK;
}

static uint64_t anchored_table(struct ps_page_table *table, uint64_t entry, ps_frame_t *reserve)
{
    ps_frame_t frame;

    if (ps_entry_is_retired(entry))
        entry = ps_entry_unretire(entry);
    if (entry != 0)
        return entry | PS_ENTRY_ANCHORED;
    frame = ps_frames_pop(table, reserve);
    ps_hw_zero_frame(ps_hw_frame(table->machine, frame));
    table->counters.tables++;
    return ps_entry_table(frame) | PS_ENTRY_ANCHORED;
}

static ps_status anchor(struct ps_page_table *table, struct ps_page_range range)
{
    struct ps_page_range indices = {ps_level_index(range.first, table->levels),
                                    ps_level_index(range.last, table->levels)};
    uint64_t *root = ps_hw_frame(table->machine, table->root);
    ps_frame_t reserve;
    uint64_t missing;
    ps_status status = ps_check_own(table, range);

    if (status == PS_OK)
        status = count_missing(table, indices, &missing);
    if (status == PS_OK)
        status = ps_frames_reserve(table, missing, &reserve);
    if (status != PS_OK)
        return status;
    for (uint64_t i = indices.first; i <= indices.last; i++)
        ps_hw_entry_store(&root[i], anchored_table(table, ps_hw_entry_load(&root[i]), &reserve));
    return PS_OK;
}

PS_COLD ps_status ps_page_table_anchor(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages)
{
    struct ps_page_range range;
    ps_status status;

    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    return ps_page_table_leave(table, anchor(table, range));
}

/* ---- sharing ---- */

static bool is_empty(const uint64_t *entries, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (ps_hw_entry_load(&entries[i]) != 0)
            return false;
    return true;
}

PS_COLD ps_status ps_page_table_share_upper(struct ps_page_table *table,
                                            const struct ps_page_table *from)
{
    const uint64_t half = PS_TABLE_ENTRIES / 2;
    const uint64_t *theirs;
    uint64_t *ours;

    if (table == NULL || from == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table) || !ps_page_table_is_created(from) ||
        table->levels != from->levels)
        return PS_BAD_STATE;
    ps_page_table_lock(table);
    if (table->frozen)
        return ps_page_table_leave(table, PS_BAD_STATE);
    ours = (uint64_t *)ps_hw_frame(table->machine, table->root) + half;
    /* Entries of anchored tables stay as they are, but for a number that is not copied. */
    theirs = (const uint64_t *)ps_hw_frame(from->machine, from->root) + half;
    if (!is_empty(ours, half))
        return ps_page_table_leave(table, PS_BAD_STATE);
    for (uint64_t i = 0; i < half; i++) {
        uint64_t entry = ps_hw_entry_load(&theirs[i]);

        if (ps_entry_is_present(entry) && ps_entry_is_anchored(entry))
            ps_hw_entry_store(&ours[i], ps_entry_with_used(entry, 0) | PS_ENTRY_SHARED);
    }
    return ps_page_table_leave(table, PS_OK);
}

/* ---- processors ---- */

PS_COLD ps_status ps_page_table_switch(struct ps_page_table *from, struct ps_page_table *to)
{
    const struct ps_machine *machine;

    if (to == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(to) || (from != NULL && !ps_page_table_is_created(from)))
        return PS_BAD_STATE;
    machine = to->machine;
    if (from != NULL && (from->levels != to->levels || atomic_load(&from->running) == 0 ||
                         ps_hw_root(machine).number != from->root.number))
        return PS_BAD_STATE;
    atomic_fetch_add(&to->running, 1);
    ps_hw_set_root(machine, to->root);
    if (from != NULL) {
        atomic_store(&from->used, true);
        atomic_fetch_sub(&from->running, 1);
    }
    return PS_OK;
}

PS_COLD bool ps_page_table_was_used(struct ps_page_table *table, bool forget)
{
    bool runs;
    bool used;

    if (table == NULL || !ps_page_table_is_created(table))
        return false;
    /* In this order: who is not running any more has said before that he was. */
    runs = atomic_load(&table->running) != 0;
    used = forget ? atomic_exchange(&table->used, false) : atomic_load(&table->used);
    return runs || used;
}

PS_COLD ps_status ps_page_table_freeze(struct ps_page_table *table, bool frozen)
{
    if (table == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table))
        return PS_BAD_STATE;
    ps_page_table_lock(table);
    table->frozen = frozen;
    return ps_page_table_leave(table, PS_OK);
}

bool ps_page_table_is_frozen(struct ps_page_table *table)
{
    bool frozen;

    if (!ps_page_table_is_created(table))
        return true;
    ps_page_table_lock(table);
    frozen = table->frozen;
    ps_page_table_unlock(table);
    return frozen;
}

/* ---- questions ---- */

static ps_status query(const struct ps_page_table *table, uint64_t page,
                       struct ps_translation *translation)
{
    unsigned level = table->levels;
    uint64_t entry = ps_hw_entry_load(ps_table_entry(table, table->root, level, page));

    while (level > 1 && ps_entry_is_own_table(entry)) {
        level--;
        entry = ps_hw_entry_load(ps_table_entry(table, ps_entry_table_frame(entry), level, page));
    }
    if (!ps_entry_is_present(entry))
        return PS_NOT_FOUND;
    if (ps_entry_is_shared(entry))
        return PS_ACCESS_DENIED;
    *translation = (struct ps_translation){
        .frame = ps_entry_leaf_page(entry, level, page),
        .attr = ps_entry_attr(entry, level),
        .leaf = (enum ps_leaf)level,
        .permanent = ps_entry_is_permanent(entry),
        .accessed = ps_entry_is_accessed(entry),
        .dirty = ps_entry_is_dirty(entry),
    };
    return PS_OK;
}

ps_status ps_page_table_query(struct ps_page_table *table, ps_virt_t va,
                              struct ps_translation *translation)
{
    ps_status status;

    if (table == NULL || translation == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table))
        return PS_BAD_STATE;
    if (!ps_virt_is_canonical(table, va))
        return PS_INVALID_ARGS;
    ps_page_table_lock(table);
    status = query(table, ps_page_of_virt(table, va), translation);
    return ps_page_table_leave(table, status);
}

PS_COLD struct ps_page_table_counters ps_page_table_counters(struct ps_page_table *table)
{
    struct ps_page_table_counters counters = {0};

    if (table == NULL || !ps_page_table_is_created(table))
        return counters;
    ps_page_table_lock(table);
    counters = table->counters;
    ps_page_table_unlock(table);
    return counters;
}
