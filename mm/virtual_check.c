#include "virtual_allocator_private.h"

/* Where a walk over the structures stands, and to whom the first breach is told. */
struct check {
    struct ps_virtual_allocator *allocator;
    const struct ps_sink *sink;
    struct ps_virtual_counters found;
    uint64_t records;
    uint64_t mapped; /* pages inside the arena */
    bool sound;
};

static bool breach(struct check *check, const char *what, uint64_t page)
{
    ps_print(check->sink, "virtual allocator: %s at 0x%" PS_PRIx "\n", what,
             ps_virtual_page(page).addr);
    check->sound = false;
    return false;
}

static bool frame_is(const struct check *check, ps_frame_t frame, enum ps_frame_tag tag)
{
    struct ps_frame_info info = {0};
    ps_status status = ps_frame_pool_query(check->allocator->pool, frame, &info);

    (void)status; /* it answers for any frame */
    return info.managed && info.tag == tag;
}

/* ---- records ---- */

/* Before anything is read through it. */
static bool names_a_record(const struct check *check, uint64_t value)
{
    uint64_t cell = value & ~(uint64_t)PS_VIRTUAL_BUSY;
    uint64_t offset = cell & PS_PAGE_MASK;

    return offset >= PS_CELL_HEAD &&
           (offset - PS_CELL_HEAD) % sizeof(struct ps_virtual_record) == 0 &&
           offset <= PS_PAGE_SIZE - sizeof(struct ps_virtual_record) &&
           frame_is(check, ps_frame_of_phys(ps_phys(cell)), PS_FRAME_HEAP);
}

/* The part lies in the pages that the record tells of; one that just grows may pass their end. */
static bool record_fits(const struct ps_virtual_record *record,
                        const struct ps_arena_extent *extent)
{
    uint64_t pages;
    uint64_t before;

    if (record->parts == 0 || record->bytes == 0 || record->offset >= PS_PAGE_SIZE ||
        record->bytes > UINT64_MAX - PS_PAGE_SIZE || extent->first < record->first)
        return false;
    pages = ps_pages_of_bytes(record->offset + record->bytes).count;
    before = extent->first - record->first;
    return before < pages &&
           (extent->pages <= pages - before || (extent->value & PS_VIRTUAL_BUSY) != 0);
}

static bool check_record(struct check *check, const struct ps_arena_extent *extent)
{
    struct ps_virtual_place place = {.extent = *extent};

    if (!names_a_record(check, extent->value))
        return breach(check, "no record", extent->first);
    place.record = ps_virtual_record(check->allocator, extent->value);
    if (place.record->sequence > check->allocator->sequence)
        return breach(check, "sequence from the future", extent->first);
    if ((extent->value & PS_VIRTUAL_BUSY) != 0 && check->allocator->working == 0)
        return breach(check, "busy, and nobody works on it", extent->first);
    if (place.record->sequence == 0)
        return check->allocator->working != 0 ||
               breach(check, "not live, and nobody works on it", extent->first);
    if (!record_fits(place.record, extent))
        return breach(check, "record of another allocation", extent->first);
    check->found.live++;
    check->found.live_pages += extent->pages;
    check->found.live_bytes += ps_virtual_info(&place).bytes;
    return true;
}

/* ---- pages ---- */

static bool check_pages(struct check *check, const struct ps_arena_extent *extent)
{
    uint64_t step;

    for (uint64_t done = 0; done < extent->pages; done += step) {
        struct ps_translation leaf;
        uint64_t page = extent->first + done;

        if (ps_page_table_query(check->allocator->table, ps_virtual_page(page), &leaf) != PS_OK)
            return breach(check, "allocated, but not mapped", page);
        if (!frame_is(check, leaf.frame, check->allocator->config.tag))
            return breach(check, "mapped to a foreign frame", page);
        step = (uint64_t)1 << (9u * (leaf.leaf - 1u));
        step = ps_min(step - page % step, extent->pages - done);
    }
    return true;
}

/* Its pages change just now. */
static bool is_at_work(const struct check *check, const struct ps_arena_extent *extent)
{
    return (extent->value & PS_VIRTUAL_BUSY) != 0 ||
           ps_virtual_record(check->allocator, extent->value)->sequence == 0;
}

static bool visit_extent(void *context, const struct ps_arena_extent *extent)
{
    struct check *check = context;

    if (extent->kind != PS_ARENA_LIVE)
        return true;
    if (!check_record(check, extent))
        return false;
    return is_at_work(check, extent) || check_pages(check, extent);
}

/* Told of everything that is mapped anywhere, in order of address. */
static bool visit_range(void *context, const struct ps_mapped_range *range)
{
    struct check *check = context;
    const struct ps_arena *arena = &check->allocator->arena;
    uint64_t first = range->va.addr >> PS_PAGE_SHIFT;
    uint64_t last = ps_min(first + (range->pages.count - 1), arena->first + (arena->pages - 1));

    first = ps_max(first, arena->first);
    if (first <= last)
        check->mapped += last - first + 1;
    return true;
}

/* ---- parts: each record is counted where it is met, and then compared ---- */

static bool count_part(void *context, const struct ps_arena_extent *extent)
{
    struct check *check = context;
    struct ps_virtual_record *record = ps_virtual_record(check->allocator, extent->value);

    if (extent->kind == PS_ARENA_LIVE)
        record->seen++;
    return true;
}

static bool compare_parts(void *context, const struct ps_arena_extent *extent)
{
    struct check *check = context;
    struct ps_virtual_record *record = ps_virtual_record(check->allocator, extent->value);

    if (extent->kind != PS_ARENA_LIVE || record->seen == 0)
        return true;
    if (record->seen != record->parts)
        breach(check, "wrong number of parts", extent->first);
    record->seen = 0;
    check->records++;
    return true;
}

static bool for_each(struct check *check,
                     bool (*visit)(void *context, const struct ps_arena_extent *extent))
{
    ps_arena_for_each(&check->allocator->arena, 0, UINT64_MAX, visit, check);
    return check->sound;
}

/* ---- all ---- */

static bool check_structures(struct check *check)
{
    struct ps_virtual_allocator *allocator = check->allocator;

    if (ps_arena_validate(&allocator->arena, check->sink) != PS_OK ||
        ps_cells_validate(&allocator->records, check->sink) != PS_OK ||
        !for_each(check, visit_extent))
        return false;
    for_each(check, count_part);
    if (!for_each(check, compare_parts))
        return false;
    /* What grows has one more, until it has grown. */
    return check->records == allocator->records.used || allocator->working != 0 ||
           breach(check, "a record is lost", 0);
}

/* Each names the next, up to the youngest. */
static bool quarantine_is_right(const struct ps_virtual_allocator *allocator)
{
    uint64_t first = allocator->oldest;
    uint64_t last = 0;

    for (uint64_t n = 0; n < allocator->counters.quarantined; n++) {
        struct ps_arena_extent extent;

        if (ps_arena_find(&allocator->arena, first, &extent) != PS_OK ||
            extent.kind != PS_ARENA_RETIRED || extent.first != first)
            return false;
        last = first;
        first = extent.value;
    }
    return first == 0 && last == allocator->youngest;
}

static bool check_totals(struct check *check)
{
    struct ps_virtual_allocator *allocator = check->allocator;
    const struct ps_virtual_counters *counters = &allocator->counters;

    if (counters->live != check->found.live || counters->peak_pages < counters->live_pages)
        return breach(check, "wrong counters", 0);
    if (!quarantine_is_right(allocator))
        return breach(check, "quarantine in disorder", allocator->oldest);
    /* What a call works on outside of the lock is half mapped. */
    if (allocator->working != 0)
        return true;
    if (counters->live_pages != check->found.live_pages ||
        counters->live_bytes != check->found.live_bytes)
        return breach(check, "wrong number of pages or bytes", 0);
    if (allocator->arena.counters.retired != counters->quarantined)
        return breach(check, "retired, but not in quarantine", 0);
    ps_page_table_for_each(allocator->table, visit_range, check);
    return check->mapped == counters->live_pages || breach(check, "mapped, but not allocated", 0);
}

ps_status ps_virtual_validate(struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    struct check check = {.allocator = allocator, .sink = sink, .sound = true};
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    status = check_structures(&check) && check_totals(&check) ? PS_OK : PS_CORRUPT;
    return ps_virtual_leave(allocator, status);
}
