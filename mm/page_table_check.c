#include "page_table_private.h"

struct check {
    struct ps_walk walk; /* first */
    const struct ps_sink *sink;
    bool failed;
    uint64_t used[PS_LEVEL_MAX + 1]; /* entries of the table that is walked now, by level */
    struct ps_page_table_counters found;
};

static struct check *check_of(struct ps_walk *walk)
{
    return (struct check *)(void *)walk;
}

/* ---- single entries: NULL, or what is wrong ---- */

static const char *fault_in_frame(const struct ps_page_table *table, ps_frame_t frame)
{
    struct ps_frame_info info;

    if (ps_frame_pool_query(table->pool, frame, &info) != PS_OK || !info.managed)
        return "a table is not a frame of the pool";
    if (info.tag != PS_FRAME_TABLE || info.unit_pages.count != 1)
        return "the frame of a table is not allocated as a table";
    return NULL;
}

static const char *fault_in_table(const struct ps_page_table *table, const struct ps_piece *piece,
                                  uint64_t entry)
{
    ps_frame_t frame = ps_entry_table_frame(entry);
    bool anchored = ps_entry_is_anchored(entry);

    if (frame.number > ps_frame_largest(table->machine))
        return "a reserved bit is set in the entry of a table";
    if ((ps_entry_with_used(entry, 0) & ~PS_ENTRY_ANCHORED) != ps_entry_table(frame))
        return "the entry of a table has bits that none has";
    if (anchored && piece->level != table->levels)
        return "a table is anchored that is not directly under the root";
    if (!anchored && ps_entry_used(entry) == 0)
        return "an empty table was not freed";
    return fault_in_frame(table, frame);
}

static const char *fault_in_type(const struct ps_page_table *table, uint64_t entry, unsigned level,
                                 ps_attr_t attr)
{
    const struct ps_cache_types *types = table->machine->cache_types;
    ps_frame_t first = ps_entry_leaf_frame(entry, level);
    ps_pages_t pages = ps_pages(ps_level_pages(level));

    if ((entry & PS_ENTRY_TYPED) == 0)
        return ps_is_plain(table, first, pages, attr) ? NULL : "the cache types do not know a leaf";
    if (types == NULL || !ps_cache_types_has(types, first, pages, (enum ps_cache)attr.cache))
        return "a leaf has another memory type than its frames";
    return NULL;
}

static const char *fault_in_leaf(const struct ps_page_table *table, const struct ps_piece *piece,
                                 uint64_t entry)
{
    unsigned level = piece->level;
    ps_attr_t attr = ps_entry_attr(entry, level);

    if (level > ps_level_largest_leaf(table->machine))
        return "a leaf is larger than the processor has them";
    if (ps_entry_reserved_bits(entry, level, table->machine) != 0)
        return "a reserved bit is set in a leaf";
    if ((attr.access & (PS_WRITE | PS_EXECUTE)) == (PS_WRITE | PS_EXECUTE))
        return "a leaf is writable and executable";
    /* Catches, among others, a leaf without the no-execute bit that is not meant to run. */
    if (!ps_attr_is_valid(attr) || entry != ps_entry_with_attr(entry, attr, level, table->machine))
        return "a leaf has bits that none has";
    if (piece->page == 0)
        return "page 0 is mapped";
    return fault_in_type(table, entry, level, attr);
}

static const char *fault_in_entry(const struct ps_page_table *table, const struct ps_piece *piece,
                                  uint64_t entry)
{
    if (ps_entry_is_retired(entry))
        return "an entry was retired and never swept";
    if (!ps_entry_is_present(entry))
        return "an unused entry is not zero";
    if (ps_entry_has_leaf(entry, piece->level))
        return fault_in_leaf(table, piece, entry);
    return fault_in_table(table, piece, entry);
}

/* ---- the walk ---- */

/* Only the first breach is told: what follows from it would hide it. */
static void report(struct check *check, const struct ps_piece *piece, const char *fault)
{
    if (check->failed)
        return;
    check->failed = true;
    ps_print(check->sink, "page table: %s: 0x%" PS_PRIx ", level %u, entry 0x%" PS_PRIx "\n", fault,
             ps_virt_of_page(check->walk.table, piece->page).addr, piece->level,
             ps_hw_entry_load(piece->entry));
}

static void count_leaf(struct check *check, const struct ps_piece *piece, uint64_t entry)
{
    check->found.leaves[piece->level]++;
    check->found.promised += ps_entry_promised(entry, piece->level);
}

static bool check_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    struct check *check = check_of(walk);

    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);
        const char *fault;

        if (entry == 0 || ps_piece_is_shared(walk->table, piece, entry))
            continue;
        fault = fault_in_entry(walk->table, piece, entry);
        if (fault != NULL) {
            report(check, piece, fault);
            return false;
        }
        check->used[piece->level]++;
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        count_leaf(check, piece, entry);
    }
    return true;
}

static void check_leave(struct ps_walk *walk, struct ps_piece *piece, const struct ps_piece *child)
{
    struct check *check = check_of(walk);

    if (check->used[child->level] != ps_entry_used(ps_hw_entry_load(piece->entry)))
        report(check, piece, "the number of used entries is wrong");
    check->used[child->level] = 0;
    check->found.tables++;
}

/* ---- totals ---- */

static const char *fault_in_totals(const struct ps_page_table *table,
                                   const struct ps_page_table_counters *found)
{
    const struct ps_page_table_counters *counters = &table->counters;

    for (unsigned level = 1; level <= PS_LEAF_1G; level++)
        if (counters->leaves[level] != found->leaves[level])
            return "the number of leaves is wrong";
    if (counters->tables != found->tables)
        return "the number of tables is wrong";
    if (counters->promised != found->promised)
        return "the promised frames do not match the large leaves";
    return NULL;
}

static const char *fault_in_promise(const struct ps_page_table *table)
{
    struct ps_frame_pool_snapshot snapshot;

    ps_frame_pool_snapshot(table->pool, &snapshot);
    return snapshot.promised >= table->counters.promised
               ? NULL
               : "the pool has forgotten frames that it promised";
}

/* ---- every table reached once ---- */

/*
 * Table frames are marked in a bitmap for one window of frame numbers at a time: nothing is
 * written to, and tables lie close together, so that there are few windows.
 */
enum { WINDOW = 8192 };
#define NO_FRAME UINT64_MAX

struct census {
    struct ps_walk walk; /* first */
    uint64_t first;      /* frame of the window */
    uint64_t next;       /* lowest frame of a table behind it */
    bool twice;
    uint64_t seen[WINDOW / 64];
};

static void see(struct census *census, ps_frame_t frame)
{
    uint64_t offset;
    uint64_t mask;

    if (frame.number < census->first)
        return;
    offset = frame.number - census->first;
    if (offset >= WINDOW) {
        census->next = ps_min(census->next, frame.number);
        return;
    }
    mask = (uint64_t)1 << offset % 64;
    census->twice |= (census->seen[offset / 64] & mask) != 0;
    census->seen[offset / 64] |= mask;
}

static bool census_visit(struct ps_walk *walk, struct ps_piece *piece)
{
    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (!ps_entry_is_table(entry, piece->level) ||
            ps_piece_is_shared(walk->table, piece, entry))
            continue;
        see((struct census *)(void *)walk, ps_entry_table_frame(entry));
        if (piece->level > 2)
            return true;
    }
    return true;
}

static bool window_has_no_twins(struct census *census, uint64_t first)
{
    struct ps_page_table *table = census->walk.table;

    census->first = first;
    census->next = NO_FRAME;
    census->twice = false;
    for (uint64_t i = 0; i < WINDOW / 64; i++)
        census->seen[i] = 0;
    see(census, table->root);
    (void)ps_walk(&census->walk, ps_range_of_space(table));
    return !census->twice;
}

static const char *fault_in_census(struct ps_page_table *table)
{
    struct census census = {.walk = {.table = table, .visit = census_visit}};
    uint64_t first = 0;

    for (; first != NO_FRAME; first = census.next)
        if (!window_has_no_twins(&census, first))
            return "a frame is used as a table twice";
    return NULL;
}

/* ---- all of it ---- */

static ps_status validate(struct ps_page_table *table, const struct ps_sink *sink)
{
    struct check check = {
        .walk = {.table = table, .visit = check_visit, .leave = check_leave},
        .sink = sink,
        .found = {.tables = 1},
    };
    const char *fault = fault_in_frame(table, table->root);

    if (fault == NULL && !ps_walk(&check.walk, ps_range_of_space(table)))
        return PS_CORRUPT;
    if (check.failed)
        return PS_CORRUPT;
    if (fault == NULL)
        fault = fault_in_totals(table, &check.found);
    if (fault == NULL)
        fault = fault_in_promise(table);
    if (fault == NULL)
        fault = fault_in_census(table);
    if (fault == NULL)
        return PS_OK;
    ps_print(sink, "page table: %s\n", fault);
    return PS_CORRUPT;
}

ps_status ps_page_table_validate(struct ps_page_table *table, const struct ps_sink *sink)
{
    ps_status status;

    if (table == NULL)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table))
        return PS_BAD_STATE;
    ps_page_table_lock(table);
    if (table->machine->cache_types != NULL)
        ps_cache_types_begin(table->machine->cache_types);
    status = validate(table, sink);
    if (table->machine->cache_types != NULL)
        ps_cache_types_end(table->machine->cache_types);
    return ps_page_table_leave(table, status);
}
