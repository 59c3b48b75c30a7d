#include "page_table_private.h"

/* ---- the walker ---- */

static void begin_piece(struct ps_piece *piece, const struct ps_page_table *table, ps_frame_t frame,
                        unsigned level, struct ps_page_range range)
{
    uint64_t first = ps_level_index(range.first, level);

    *piece = (struct ps_piece){
        .entry = (uint64_t *)ps_hw_frame(table->machine, frame) + first,
        .count = ps_level_index(range.last, level) - first + 1,
        .level = level,
        .mask = ps_level_pages(level) - 1,
        .page = range.first,
        .last = range.last,
    };
}

/* The piece of the table behind the next entry. */
static void begin_child(struct ps_piece *child, const struct ps_page_table *table,
                        const struct ps_piece *piece)
{
    uint64_t entry = ps_hw_entry_load(piece->entry);

    if (!ps_entry_is_present(entry))
        entry = ps_entry_unretire(entry);
    begin_piece(child, table, ps_entry_table_frame(entry), piece->level - 1, ps_piece_range(piece));
}

/* The table behind the next entry is done: write its new number of used entries, once. */
static void finish_child(struct ps_walk *walk, struct ps_piece *piece, const struct ps_piece *child)
{
    /* A plain store will do: the processor never writes to the entry of a table. */
    if (child->added != child->removed) {
        uint64_t value = ps_hw_entry_load(piece->entry);
        uint64_t used = ps_entry_used(value) + child->added - child->removed;

        ps_hw_entry_store(piece->entry, ps_entry_with_used(value, used));
    }
    if (walk->leave != NULL)
        walk->leave(walk, piece, child);
}

static bool walk_piece(struct ps_walk *walk, struct ps_piece *piece)
{
    while (walk->visit(walk, piece)) {
        struct ps_piece child;
        bool complete;

        if (piece->count == 0)
            return true;
        begin_child(&child, walk->table, piece);
        complete = walk_piece(walk, &child);
        finish_child(walk, piece, &child);
        if (!complete)
            return false;
        ps_piece_next(piece);
    }
    return false;
}

/* The entries from the root down that all lead to the whole of a range. */
struct way {
    uint64_t *entry[PS_LEVEL_MAX + 1]; /* by level */
    unsigned level;                    /* of the first table that the range divides */
};

static void find_way(const struct ps_page_table *table, struct ps_page_range range, struct way *way)
{
    uint64_t differ = range.first ^ range.last;
    unsigned level = table->levels;
    uint64_t *entry = ps_table_entry(table, table->root, level, range.first);

    while (differ >> ps_level_shift(level) == 0) {
        uint64_t value = ps_hw_entry_load(entry);

        if (!ps_entry_is_table(value, level))
            break;
        way->entry[level--] = entry;
        entry = ps_table_entry(table, ps_entry_table_frame(value), level, range.first);
    }
    way->entry[level] = entry;
    way->level = level;
}

static struct ps_piece piece_at(const struct way *way, unsigned level, struct ps_page_range range)
{
    unsigned shift = ps_level_shift(level);

    return (struct ps_piece){
        .entry = way->entry[level],
        .count = (range.last >> shift) - (range.first >> shift) + 1,
        .level = level,
        .mask = ps_level_pages(level) - 1,
        .page = range.first,
        .last = range.last,
    };
}

/*
 * Short ranges lie in one table: the way down to it needs no visitor, and the way back only as
 * far up as there is something to tell.
 */
PS_COLD bool ps_walk(struct ps_walk *walk, struct ps_page_range range)
{
    struct ps_piece piece;
    struct way way;
    bool complete;

    find_way(walk->table, range, &way);
    piece = piece_at(&way, way.level, range);
    complete = way.level == 1 ? walk->visit(walk, &piece) : walk_piece(walk, &piece);
    for (unsigned level = way.level + 1; level <= walk->table->levels; level++) {
        struct ps_piece parent;

        if ((piece.added | piece.removed | piece.retired) == 0 && !walk->leaves_all)
            return complete;
        parent = piece_at(&way, level, range);
        finish_child(walk, &parent, &piece);
        piece = parent;
    }
    return complete;
}

/* ---- single entries ---- */

struct ps_place ps_find(const struct ps_page_table *table, uint64_t page)
{
    unsigned level = table->levels;
    uint64_t *entry = ps_table_entry(table, table->root, level, page);
    uint64_t value = ps_hw_entry_load(entry);

    while (ps_entry_is_table(value, level)) {
        level--;
        entry = ps_table_entry(table, ps_entry_table_frame(value), level, page);
        value = ps_hw_entry_load(entry);
    }
    return (struct ps_place){entry, level};
}

static void fill_with_cut(uint64_t *entries, uint64_t large, unsigned level,
                          const struct ps_machine *machine)
{
    uint64_t leaf = ps_entry_cut(large, level, machine);
    uint64_t step = ps_level_pages(level - 1) << PS_PAGE_SHIFT;

    for (uint64_t i = 0; i < PS_TABLE_ENTRIES; i++, leaf += step)
        ps_hw_entry_store(&entries[i], leaf);
}

/* One of the frames that were promised when the leaf was mapped. */
static ps_frame_t take_promised(struct ps_page_table *table)
{
    ps_frame_t frame = ps_frame(0);
    ps_status status = ps_frame_pool_alloc_promised(table->pool, PS_FRAME_TABLE, 0, &frame);

    /* defensive: somebody else took back what was promised to us, and there is no way on. */
    if (status != PS_OK)
        __builtin_trap();
    table->counters.promised--;
    return frame;
}

void ps_cut(struct ps_page_table *table, const struct ps_piece *piece)
{
    ps_frame_t frame = take_promised(table);
    uint64_t *entries = ps_hw_frame(table->machine, frame);
    uint64_t full = ps_entry_with_used(ps_entry_table(frame), PS_TABLE_ENTRIES);
    uint64_t large;

    /* Once more when the processor set a bit in between: the pieces must have it as well. */
    do {
        large = ps_hw_entry_load(piece->entry);
        fill_with_cut(entries, large, piece->level, table->machine);
    } while (!ps_entry_change(piece->entry, large, full, ps_is_alone(table)));
    table->counters.leaves[piece->level]--;
    table->counters.leaves[piece->level - 1] += PS_TABLE_ENTRIES;
    table->counters.tables++;
    table->counters.demotions[piece->level]++;
}

/* ---- invalidation ---- */

void ps_gather_range(const struct ps_page_table *table, struct ps_tlb_gather *gather,
                     struct ps_page_range range, unsigned level, uint64_t bits)
{
    ps_tlb_gather_add(gather, ps_virt_of_page(table, range.first), ps_range_pages(range),
                      ps_pages(ps_level_pages(level)), (bits & PS_ENTRY_GLOBAL) != 0);
}

/* ---- frames ---- */

void ps_frames_push(const struct ps_page_table *table, ps_frame_t *list, ps_frame_t frame)
{
    uint64_t *link = ps_hw_frame(table->machine, frame);

    *link = list->number;
    *list = frame;
}

ps_frame_t ps_frames_pop(const struct ps_page_table *table, ps_frame_t *list)
{
    ps_frame_t frame = *list;
    const uint64_t *link = ps_hw_frame(table->machine, frame);

    *list = ps_frame(*link);
    return frame;
}

void ps_frames_give_back(const struct ps_page_table *table, ps_frame_t frame)
{
    ps_status status = ps_frame_pool_free(table->pool, frame, ps_pages(1));

    /* Refused only when somebody else gave our frame away; validate tells of it. */
    (void)status;
}

PS_COLD void ps_frames_give_back_all(const struct ps_page_table *table, ps_frame_t *list)
{
    while (list->number != 0)
        ps_frames_give_back(table, ps_frames_pop(table, list));
}

ps_status ps_frames_reserve(const struct ps_page_table *table, uint64_t count, ps_frame_t *list)
{
    enum { BATCH = 32 };
    ps_frame_t frames[BATCH];

    *list = ps_frame(0);
    while (count != 0) {
        uint64_t batch = ps_min(count, BATCH);
        ps_status status =
            ps_frame_pool_alloc_scattered(table->pool, batch, PS_FRAME_TABLE, 0, frames);

        if (status != PS_OK) {
            ps_frames_give_back_all(table, list);
            return PS_NO_MEMORY;
        }
        for (uint64_t i = 0; i < batch; i++)
            ps_frames_push(table, list, frames[i]);
        count -= batch;
    }
    return PS_OK;
}

void ps_frames_unpromise(struct ps_page_table *table, uint64_t frames)
{
    ps_status status = ps_frame_pool_unpromise(table->pool, ps_pages(frames));

    /* Refused only when somebody else took our promise back; validate tells of it. */
    (void)status;
    table->counters.promised -= frames;
}

/* ---- the beginning and the end of a call ---- */

static ps_status check_range(const struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                             struct ps_page_range *range)
{
    uint64_t half_last;

    if (table == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table))
        return PS_BAD_STATE;
    if (!ps_is_aligned(va.addr, PS_PAGE_SIZE) || !ps_virt_is_canonical(table, va))
        return PS_INVALID_ARGS;
    range->first = ps_page_of_virt(table, va);
    half_last = ps_range_of_space(table).last / 2;
    if (range->first > half_last)
        half_last = ps_range_of_space(table).last;
    if (pages.count != 0 && pages.count - 1 > half_last - range->first)
        return PS_INVALID_ARGS;
    range->last = pages.count == 0 ? range->first : range->first + (pages.count - 1);
    return PS_OK;
}

bool ps_page_table_enter_to_look(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                                 struct ps_page_range *range, ps_status *status)
{
    *status = check_range(table, va, pages, range);
    if (*status != PS_OK || pages.count == 0)
        return false;
    ps_page_table_lock(table);
    return true;
}

bool ps_page_table_enter(struct ps_page_table *table, ps_virt_t va, ps_pages_t pages,
                         struct ps_page_range *range, ps_status *status)
{
    if (!ps_page_table_enter_to_look(table, va, pages, range, status))
        return false;
    if (!table->frozen)
        return true;
    *status = ps_page_table_leave(table, PS_BAD_STATE);
    return false;
}

ps_status ps_page_table_leave(struct ps_page_table *table, ps_status status)
{
    ps_page_table_unlock(table);
    return status;
}

ps_status ps_check_own(const struct ps_page_table *table, struct ps_page_range range)
{
    uint64_t last = ps_level_index(range.last, table->levels);
    const uint64_t *root = ps_hw_frame(table->machine, table->root);

    for (uint64_t i = ps_level_index(range.first, table->levels); i <= last; i++)
        if (ps_entry_is_shared(ps_hw_entry_load(&root[i])))
            return PS_ACCESS_DENIED;
    return PS_OK;
}

/* A permanent leaf contains `page` and reaches out of the range. */
static bool would_cut_permanent(const struct ps_page_table *table, struct ps_page_range range,
                                uint64_t page)
{
    struct ps_place place = ps_find(table, page);
    uint64_t entry = ps_hw_entry_load(place.entry);
    uint64_t mask = ps_level_pages(place.level) - 1;

    return ps_entry_is_leaf(entry, place.level) && ps_entry_is_permanent(entry) &&
           ((page & ~mask) < range.first || (page | mask) > range.last);
}

ps_status ps_check_cuts(const struct ps_page_table *table, struct ps_page_range range)
{
    ps_status status = ps_check_own(table, range);

    if (status == PS_OK &&
        (would_cut_permanent(table, range, range.first) ||
         (range.last != range.first && would_cut_permanent(table, range, range.last))))
        status = PS_ACCESS_DENIED;
    return status;
}
