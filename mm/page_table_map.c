#include "page_table_private.h"

/*
 * Mapping goes over the range twice. The first walk changes nothing: it finds every reason
 * to refuse and counts the frames that the second one will take. Those are reserved in
 * between, so that the second walk cannot fail.
 */

struct map {
    struct ps_walk walk; /* first: a visitor gets its map back from the walk */

    uint64_t first_page;
    const ps_frame_t *frames; /* one for each page; NULL for a run */
    ps_frame_t run;           /* of the first page */
    ps_attr_t attr;
    enum ps_existing existing;
    bool permanent;
    bool small;       /* the caller wants no larger leaves */
    bool typed;       /* the cache types have to know: they are locked then */
    unsigned largest; /* leaf that addresses and frames allow */
    uint64_t leaf[4]; /* a leaf of frame 0, by level */

    /* The first walk. */
    ps_status status;
    uint64_t needed;   /* frames for tables */
    uint64_t promised; /* frames for cutting the large leaves */
    uint64_t types;    /* ranges of cache types */

    /* The second. */
    ps_frame_t reserve;
    struct ps_tlb_gather gather;
    bool broken; /* leaves were retired that wait for their new frame */
};

static struct map *map_of(struct ps_walk *walk)
{
    return (struct map *)(void *)walk;
}

static ps_frame_t frame_for(const struct map *map, uint64_t page)
{
    uint64_t n = page - map->first_page;

    return map->frames != NULL ? map->frames[n] : ps_frame_add(map->run, n);
}

/* ---- how many frames ---- */

/* Aligned blocks of one entry of `level` that lie in the range with all their pages. */
static uint64_t whole_blocks(struct ps_page_range range, unsigned level)
{
    unsigned shift = ps_level_shift(level);
    uint64_t first = (range.first + (ps_level_pages(level) - 1)) >> shift;
    uint64_t end = (range.last + 1) >> shift;

    return end > first ? end - first : 0;
}

/*
 * Frames that it takes to map the range under one empty entry of `level`, and those to cut its
 * large leaves. A block becomes a leaf where the range covers it and leaves may be that large; any
 * other block that the range touches needs a table.
 */
static void count_under_empty(struct map *map, struct ps_page_range range, unsigned level)
{
    uint64_t inside_larger = 0; /* blocks that lie in a leaf of a higher level */

    for (; level > 1; level--) {
        unsigned shift = ps_level_shift(level);
        uint64_t touched = (range.last >> shift) - (range.first >> shift) + 1;
        uint64_t whole = level <= map->largest ? whole_blocks(range, level) : 0;

        map->needed += touched - whole;
        if (!map->permanent)
            map->promised += (whole - inside_larger) * ps_frames_to_cut(level);
        inside_larger = whole * PS_TABLE_ENTRIES;
    }
}

/* ---- what to do with a page that is mapped already ---- */

enum upgrade {
    UPGRADE_KEEP,    /* the page has all that is asked for */
    UPGRADE_CHANGE,  /* the same frame with other attributes */
    UPGRADE_REPLACE, /* another frame in place of one that nobody can write to */
    UPGRADE_BREAK,   /* another frame in place of a writable one: only after an invalidation */
    UPGRADE_REFUSE,  /* would take access away, or make the page writable and executable */
};

static ps_attr_t attr_after_upgrade(const struct map *map, ps_attr_t old)
{
    return ps_attr((unsigned)old.access | map->attr.access, (enum ps_cache)map->attr.cache);
}

PS_COLD static enum upgrade upgrade_of_page(const struct map *map, uint64_t entry, unsigned level,
                                            uint64_t page)
{
    const unsigned rights = PS_WRITE | PS_EXECUTE | PS_USER;
    ps_attr_t old = ps_entry_attr(entry, level);
    ps_attr_t new = attr_after_upgrade(map, old);

    if (ps_entry_leaf_page(entry, level, page).number == frame_for(map, page).number) {
        if (!ps_attr_is_valid(new))
            return UPGRADE_REFUSE;
        return ps_attr_equal(old, new) ? UPGRADE_KEEP : UPGRADE_CHANGE;
    }
    if ((old.access & rights & ~(unsigned)map->attr.access) != 0)
        return UPGRADE_REFUSE;
    return (old.access & PS_WRITE) != 0 ? UPGRADE_BREAK : UPGRADE_REPLACE;
}

/* The strongest thing that any page of the range under this leaf asks for. */
PS_COLD static enum upgrade upgrade_of_leaf(const struct map *map, const struct ps_piece *piece,
                                            uint64_t entry)
{
    struct ps_page_range range = ps_piece_range(piece);
    enum upgrade strongest = UPGRADE_KEEP;

    for (uint64_t page = range.first; page <= range.last; page++) {
        enum upgrade upgrade = upgrade_of_page(map, entry, piece->level, page);

        if (upgrade > strongest)
            strongest = upgrade;
    }
    return strongest;
}

/* May this call go on over what it found? Retired leaves belong to another operation. */
static ps_status check_existing(const struct map *map, const struct ps_piece *piece, uint64_t entry)
{
    enum upgrade upgrade;

    if (map->existing == PS_EXISTING_ERROR || ps_entry_is_retired(entry))
        return PS_ALREADY_EXISTS;
    if (map->existing == PS_EXISTING_SKIP)
        return PS_OK;
    upgrade = upgrade_of_leaf(map, piece, entry);
    if (upgrade == UPGRADE_REFUSE)
        return PS_ACCESS_DENIED;
    if (upgrade != UPGRADE_KEEP && piece->level > 1 && ps_entry_is_permanent(entry))
        return PS_ACCESS_DENIED;
    return PS_OK;
}

/* ---- the first walk ---- */

static uint64_t count_empty(const uint64_t *entry, uint64_t count)
{
    uint64_t n = 0;

    while (n < count && ps_hw_entry_load(&entry[n]) == 0)
        n++;
    return n;
}

/* Pages of a table where nothing is in the way: the usual case, and so a loop of its own. */
static void skip_empty(struct ps_piece *piece)
{
    ps_piece_skip(piece, count_empty(piece->entry, piece->count));
}

static bool plan(struct ps_walk *walk, struct ps_piece *piece)
{
    struct map *map = map_of(walk);

    if (piece->level == 1)
        skip_empty(piece);
    for (; piece->count != 0; ps_piece_next(piece)) {
        uint64_t entry = ps_hw_entry_load(piece->entry);

        if (entry == 0) {
            count_under_empty(map, ps_piece_range(piece), piece->level);
            continue;
        }
        if (!ps_entry_has_leaf(entry, piece->level))
            return true;
        map->status = check_existing(map, piece, entry);
        if (map->status != PS_OK)
            return false;
    }
    return true;
}

/* ---- the second walk ---- */

/* Frames that lie side by side are mapped now, by leaves of this call. */
PS_COLD static void add_types(const struct map *map, struct ps_page_range range)
{
    struct ps_page_table *table = map->walk.table;

    ps_cache_types_add(table->machine->cache_types, frame_for(map, range.first),
                       ps_range_pages(range), (enum ps_cache)map->attr.cache);
    ps_types_note(table, range);
}

static void add_type(const struct map *map, uint64_t page)
{
    add_types(map, (struct ps_page_range){page, page});
}

/* A page of this call in place of another one. */
PS_COLD static void replace_type(const struct map *map, uint64_t page, uint64_t old)
{
    const struct ps_page_table *table = map->walk.table;
    ps_frame_t frame = ps_entry_leaf_frame(old, PS_LEAF_4K);

    if (map->typed)
        add_type(map, page);
    if ((old & PS_ENTRY_TYPED) == 0)
        return;
    if (map->typed)
        ps_cache_types_remove(table->machine->cache_types, frame, ps_pages(1));
    else
        ps_types_remove(table, frame, ps_pages(1));
}

/* This is where mapping spends its time: what does not depend on the page is outside the loops. */
static void fill_scattered(uint64_t *entry, uint64_t count, uint64_t bits, const ps_frame_t *frames)
{
    for (uint64_t n = 0; n < count; n++)
        ps_hw_entry_store(&entry[n], bits | ps_phys_of_frame(frames[n]).addr);
}

static void fill_run(uint64_t *entry, uint64_t count, uint64_t leaf, uint64_t step)
{
    for (uint64_t n = 0; n < count; n++)
        ps_hw_entry_store(&entry[n], leaf + n * step);
}

/* Leaves for empty entries of a table of `level`, from `page` on. */
static void fill(const struct map *map, uint64_t *entry, uint64_t count, unsigned level,
                 uint64_t page)
{
    uint64_t bits = map->leaf[level];

    /* A run is added whole, in the end: so was it counted. */
    for (uint64_t n = 0; map->typed && map->frames != NULL && n < count; n++)
        add_type(map, page + n);
    if (map->frames != NULL)
        fill_scattered(entry, count, bits, map->frames + (page - map->first_page));
    else
        fill_run(entry, count, bits | ps_phys_of_frame(frame_for(map, page)).addr,
                 ps_level_pages(level) << PS_PAGE_SHIFT);
}

/*
 * A table in place of an empty entry. One that will hold nothing but leaves of this call gets them
 * before it is linked, and need not be cleared; true then.
 */
static bool link_table(struct map *map, struct ps_piece *piece)
{
    struct ps_page_table *table = map->walk.table;
    ps_frame_t frame = ps_frames_pop(table, &map->reserve);
    uint64_t *entries = ps_hw_frame(table->machine, frame);
    unsigned level = piece->level - 1;
    bool full = level <= map->largest && ps_piece_is_whole(piece);
    uint64_t entry = ps_entry_table(frame);

    if (full) {
        fill(map, entries, PS_TABLE_ENTRIES, level, piece->page);
        table->counters.leaves[level] += PS_TABLE_ENTRIES;
        entry = ps_entry_with_used(entry, PS_TABLE_ENTRIES);
    } else {
        ps_hw_zero_frame(entries);
    }
    ps_hw_entry_store(piece->entry, entry);
    piece->added++;
    table->counters.tables++;
    return full;
}

/* Leaves for the empty entries at the front, as far as the range covers them whole; how many. */
static uint64_t fill_empty(struct map *map, struct ps_piece *piece)
{
    unsigned level = piece->level;
    unsigned shift = ps_level_shift(level);
    uint64_t whole = ps_min(piece->count, (piece->last + 1 - piece->page) >> shift);
    uint64_t n;

    if (level > map->largest || (piece->page & piece->mask) != 0)
        return 0;
    /* The first walk has seen that nothing is there. Above level 1 that may be an empty table. */
    n = level == 1 && map->existing == PS_EXISTING_ERROR ? whole : count_empty(piece->entry, whole);
    fill(map, piece->entry, n, level, piece->page);
    ps_piece_skip(piece, n);
    piece->added += n;
    map->walk.table->counters.leaves[level] += n;
    return n;
}

/* A broken leaf waits, not present, until no processor can write to its old frame. */
static uint64_t upgraded(const struct map *map, uint64_t entry, uint64_t page, enum upgrade upgrade)
{
    const struct ps_machine *machine = map->walk.table->machine;

    if (upgrade == UPGRADE_CHANGE)
        return ps_entry_with_attr(entry, attr_after_upgrade(map, ps_entry_attr(entry, 1)), 1,
                                  machine);
    if (upgrade == UPGRADE_BREAK)
        return ps_entry_retire(entry);
    return map->leaf[PS_LEAF_4K] | ps_phys_of_frame(frame_for(map, page)).addr;
}

static void upgrade_page(struct map *map, struct ps_piece *piece, enum upgrade upgrade)
{
    struct ps_page_table *table = map->walk.table;
    uint64_t old;

    do
        old = ps_hw_entry_load(piece->entry);
    while (!ps_entry_change(piece->entry, old, upgraded(map, old, piece->page, upgrade),
                            ps_is_alone(table)));
    ps_gather_range(table, &map->gather, ps_piece_range(piece), PS_LEAF_4K, old);
    if (upgrade == UPGRADE_REPLACE)
        replace_type(map, piece->page, old);
    if (upgrade == UPGRADE_BREAK) {
        table->counters.leaves[1]--;
        map->broken = true;
    }
}

/* False when the leaf was cut, and its pages have to be looked at one by one. */
static bool upgrade_leaf(struct map *map, struct ps_piece *piece, uint64_t entry)
{
    enum upgrade upgrade;

    if (map->existing != PS_EXISTING_UPGRADE)
        return true;
    upgrade = upgrade_of_leaf(map, piece, entry);
    if (upgrade == UPGRADE_KEEP)
        return true;
    if (piece->level > 1) {
        ps_cut(map->walk.table, piece);
        return false;
    }
    upgrade_page(map, piece, upgrade);
    return true;
}

/* What this call broke itself: others' retired leaves have been refused by the first walk. */
static bool apply_to_retired(struct map *map, struct ps_piece *piece, uint64_t entry)
{
    if (!ps_entry_has_leaf(entry, piece->level)) {
        ps_hw_entry_store(piece->entry, ps_entry_unretire(entry));
        return false;
    }
    ps_hw_entry_store(piece->entry,
                      map->leaf[1] | ps_phys_of_frame(frame_for(map, piece->page)).addr);
    replace_type(map, piece->page, ps_entry_unretire(entry));
    map->walk.table->counters.leaves[1]++;
    return true;
}

static bool apply(struct ps_walk *walk, struct ps_piece *piece)
{
    struct map *map = map_of(walk);

    while (piece->count != 0) {
        uint64_t entry = ps_hw_entry_load(piece->entry);
        bool done = false;

        if (entry == 0) {
            if (fill_empty(map, piece) != 0)
                continue;
            done = link_table(map, piece);
        } else if (ps_entry_is_retired(entry)) {
            done = apply_to_retired(map, piece, entry);
        } else if (ps_entry_has_leaf(entry, piece->level)) {
            done = upgrade_leaf(map, piece, entry);
        }
        if (!done)
            return true;
        ps_piece_next(piece);
    }
    return true;
}

/* ---- both walks ---- */

static ps_status promise(const struct map *map)
{
    return map->promised == 0
               ? PS_OK
               : ps_frame_pool_promise(map->walk.table->pool, ps_pages(map->promised));
}

static ps_status reserve_types(const struct map *map)
{
    return map->typed ? ps_cache_types_reserve(map->walk.table->machine->cache_types, map->types)
                      : PS_OK;
}

/* All that the second walk will take, or nothing. */
static ps_status reserve(struct map *map)
{
    struct ps_page_table *table = map->walk.table;
    ps_status status = ps_frames_reserve(table, map->needed, &map->reserve);

    if (status != PS_OK)
        return status;
    status = promise(map);
    if (status == PS_OK) {
        table->counters.promised += map->promised;
        status = reserve_types(map);
        if (status != PS_OK)
            ps_frames_unpromise(table, map->promised);
    }
    if (status != PS_OK)
        ps_frames_give_back_all(table, &map->reserve);
    return status;
}

static void apply_all(struct map *map, struct ps_page_range range)
{
    struct ps_page_table *table = map->walk.table;

    map->walk.visit = apply;
    ps_note_global(table, map->attr);
    ps_tlb_gather_init(&map->gather, table->machine);
    (void)ps_walk(&map->walk, range);
    (void)ps_gather_flush(table, &map->gather);
    if (map->broken)
        (void)ps_walk(&map->walk, range);
    if (map->typed && map->frames == NULL)
        add_types(map, range);
}

static ps_status run(struct map *map, struct ps_page_range range)
{
    ps_status status;

    map->walk.visit = plan;
    if (!ps_walk(&map->walk, range))
        return map->status;
    status = reserve(map);
    if (status != PS_OK)
        return status;
    apply_all(map, range);
    if (!map->small)
        ps_promote_around(map->walk.table, range);
    return PS_OK;
}

/* ---- cache types ---- */

static ps_status check_types(struct map *map, ps_pages_t pages)
{
    const struct ps_cache_types *types = map->walk.table->machine->cache_types;
    enum ps_cache cache = (enum ps_cache)map->attr.cache;
    ps_status status = PS_OK;

    if (map->frames == NULL)
        return ps_cache_types_check(types, map->run, pages, cache, &map->types);
    for (uint64_t n = 0; status == PS_OK && n < pages.count; n++)
        status = ps_cache_types_check(types, map->frames[n], ps_pages(1), cache, &map->types);
    return status;
}

static ps_status run_typed(struct map *map, struct ps_page_range range)
{
    struct ps_cache_types *types = map->walk.table->machine->cache_types;
    ps_status status;

    ps_cache_types_begin(types);
    status = check_types(map, ps_range_pages(range));
    if (status == PS_OK)
        status = run(map, range);
    ps_cache_types_end(types);
    return status;
}

static bool frames_exist(const struct ps_machine *machine, const ps_frame_t *frames,
                         ps_pages_t pages)
{
    uint64_t all_bits = 0;

    for (uint64_t i = 0; i < pages.count; i++)
        all_bits |= frames[i].number;
    return all_bits <= ps_frame_largest(machine);
}

static bool is_plain(const struct map *map, ps_pages_t pages)
{
    const struct ps_page_table *table = map->walk.table;
    const struct ps_cache_types *types = table->machine->cache_types;

    if (map->frames == NULL || types == NULL)
        return ps_is_plain(table, map->run, pages, map->attr);
    return map->attr.cache == PS_CACHE_WRITE_BACK &&
           ps_cache_types_are_ram(types, map->frames, pages.count);
}

/* ---- the calls ---- */

/* Lock, prepare what all leaves have in common, and run. */
static ps_status enter_and_run(struct map *map, ps_virt_t va, ps_pages_t pages)
{
    struct ps_page_table *table = map->walk.table;
    struct ps_page_range range;
    ps_status status;

    if (!ps_page_table_enter(table, va, pages, &range, &status))
        return status;
    map->first_page = range.first;
    if (map->frames != NULL && !frames_exist(table->machine, map->frames, pages))
        return ps_page_table_leave(table, PS_INVALID_ARGS);
    status = range.first == 0 ? PS_ACCESS_DENIED : ps_check_own(table, range);
    if (status != PS_OK)
        return ps_page_table_leave(table, status);
    map->typed = !is_plain(map, pages);
    for (unsigned level = 1; level <= map->largest; level++)
        map->leaf[level] = ps_entry_leaf_bits(map->attr, level, table->machine) |
                           (map->permanent ? PS_ENTRY_PERMANENT : 0) |
                           (map->typed ? PS_ENTRY_TYPED : 0);
    while (map->largest > 1 &&
           !ps_is_aligned(range.first ^ map->run.number, ps_level_pages(map->largest)))
        map->largest--;
    return ps_page_table_leave(table, map->typed ? run_typed(map, range) : run(map, range));
}

static ps_status map_scattered(struct ps_page_table *table, ps_virt_t va, const ps_frame_t *frames,
                               ps_pages_t pages, ps_attr_t attr, enum ps_existing existing)
{
    struct map map = {
        .walk = {.table = table},
        .frames = frames,
        .attr = attr,
        .existing = existing,
        .largest = 1,
    };

    return enter_and_run(&map, va, pages);
}

ps_status ps_page_table_map(struct ps_page_table *table, ps_virt_t va, const ps_frame_t *frames,
                            ps_pages_t pages, ps_attr_t attr, enum ps_existing existing)
{
    if (table == NULL || !ps_attr_is_valid(attr) || (unsigned)existing > PS_EXISTING_UPGRADE ||
        (frames == NULL && pages.count != 0))
        return PS_INVALID_ARGS;
    if (pages.count == 1 && ps_map_single(table, va, frames[0], attr))
        return PS_OK;
    return map_scattered(table, va, frames, pages, attr, existing);
}

ps_status ps_page_table_map_run(struct ps_page_table *table, ps_virt_t va, ps_frame_t first,
                                ps_pages_t pages, ps_attr_t attr, unsigned flags)
{
    struct map map = {
        .walk = {.table = table},
        .run = first,
        .attr = attr,
        .existing = PS_EXISTING_ERROR,
        .permanent = (flags & PS_MAP_PERMANENT) != 0,
        .small = (flags & PS_MAP_SMALL) != 0,
    };

    if (table == NULL || !ps_attr_is_valid(attr) ||
        (flags & ~(unsigned)(PS_MAP_PERMANENT | PS_MAP_SMALL)) != 0)
        return PS_INVALID_ARGS;
    if (!ps_page_table_is_created(table))
        return PS_BAD_STATE;
    if (first.number > ps_frame_largest(table->machine) ||
        (pages.count != 0 && pages.count - 1 > ps_frame_largest(table->machine) - first.number))
        return PS_INVALID_ARGS;
    map.largest = (flags & PS_MAP_SMALL) != 0 ? 1 : ps_level_largest_leaf(table->machine);
    return enter_and_run(&map, va, pages);
}
