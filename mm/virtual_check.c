#include "virtual_allocator_private.h"

/* ---- looking at allocations ---- */

static ps_status find(const struct ps_virtual_allocator *allocator, ps_virt_t va,
                      struct ps_virtual_info *info)
{
    const struct ps_extent *extent;
    uint64_t page;

    if (!ps_arena_page(allocator, va, &page))
        return PS_OUT_OF_RANGE;
    extent = ps_extent_at(allocator, page);
    if (!ps_extent_holds(extent, page))
        return PS_NOT_FOUND;
    *info = ps_extent_info(allocator, extent);
    return PS_OK;
}

ps_status ps_virtual_find(struct ps_virtual_allocator *allocator, ps_virt_t va,
                          struct ps_virtual_info *info)
{
    ps_status status;

    if (allocator == NULL)
        return PS_INVALID_ARGS;
    ps_virtual_lock(allocator);
    if (!allocator->ready)
        status = PS_BAD_STATE;
    else
        status = info != NULL ? find(allocator, va, info) : PS_INVALID_ARGS;
    ps_lock_release(&allocator->lock);
    return status;
}

/* The first extent is the edge of the arena, not an allocation. */
static const struct ps_extent *first_allocation(const struct ps_virtual_allocator *allocator)
{
    return allocator->ready ? allocator->extents->next : NULL;
}

uint64_t ps_virtual_live(struct ps_virtual_allocator *allocator, struct ps_virtual_info *infos,
                         uint64_t capacity)
{
    uint64_t count = 0;

    if (allocator == NULL)
        return 0;
    ps_virtual_lock(allocator);
    for (const struct ps_extent *extent = first_allocation(allocator); extent != NULL;
         extent = extent->next) {
        if (infos != NULL && count < capacity)
            infos[count] = ps_extent_info(allocator, extent);
        count++;
    }
    ps_lock_release(&allocator->lock);
    return count;
}

static struct ps_virtual_snapshot take_snapshot(const struct ps_virtual_allocator *allocator)
{
    struct ps_virtual_snapshot snapshot = {.counters = allocator->counters};

    /* Before init there is no extent. */
    for (const struct ps_extent *extent = allocator->extents; extent != NULL;
         extent = extent->next) {
        snapshot.free_extents += extent->free != 0;
        snapshot.free_pages += extent->free;
        snapshot.largest_free = ps_max(snapshot.largest_free, extent->free);
    }
    return snapshot;
}

void ps_virtual_snapshot(struct ps_virtual_allocator *allocator,
                         struct ps_virtual_snapshot *snapshot)
{
    if (allocator == NULL || snapshot == NULL)
        return;
    ps_virtual_lock(allocator);
    *snapshot = take_snapshot(allocator);
    ps_lock_release(&allocator->lock);
}

/* ---- validate ---- */

/* Where a walk over the structures stands, and to whom the first breach is told. */
struct check {
    const struct ps_virtual_allocator *allocator;
    const struct ps_sink *sink;
    const struct ps_extent *extent; /* the one that the visited pages have reached */
    uint64_t extents;               /* found in the list, the edge included */
    uint64_t pages;                 /* allocated, by the list */
    uint64_t mapped;                /* inside the arena, by the page table */
    bool sound;
};

static bool breach(struct check *check, const char *what, uint64_t page)
{
    ps_print(check->sink, "virtual allocator: %s at 0x%" PS_PRIx "\n", what,
             ps_arena_address(check->allocator, page).addr);
    check->sound = false;
    return false;
}

static bool guards_are_kept(const struct ps_virtual_allocator *allocator,
                            const struct ps_extent *extent)
{
    const struct ps_extent *next = extent->next;
    uint64_t end_guard = next != NULL ? next->guard : allocator->guard.count;

    /* Two parts of one allocation are as far apart as what was freed between them. */
    if (next != NULL && next->sequence == extent->sequence)
        return extent->free != 0;
    return extent->free >= ps_max(extent->guard, end_guard);
}

/* `position` is where the extent must begin: without gap, without overlap. */
static bool check_extent(struct check *check, const struct ps_extent *extent, uint64_t position)
{
    const struct ps_virtual_allocator *allocator = check->allocator;
    uint64_t room = allocator->pages.count;

    if (extent->first != position || extent->pages > room - position ||
        extent->free > room - position - extent->pages)
        return breach(check, "gap or overlap", position);
    if (extent->next != NULL && extent->next->previous != extent)
        return breach(check, "broken list", position);
    if ((extent->pages == 0) != (extent == allocator->extents))
        return breach(check, "edge with pages, or allocation without", position);
    if (extent->sequence > allocator->sequence)
        return breach(check, "sequence from the future", position);
    if (extent->guard < allocator->guard.count || !guards_are_kept(allocator, extent))
        return breach(check, "guard not kept", position);
    return true;
}

static uint64_t cells_in_all(const struct ps_virtual_allocator *allocator)
{
    return allocator->counters.metadata_frames * PS_EXTENTS_PER_FRAME;
}

static bool check_list(struct check *check)
{
    const struct ps_virtual_allocator *allocator = check->allocator;
    uint64_t position = 0;

    for (const struct ps_extent *extent = allocator->extents; extent != NULL;
         extent = extent->next) {
        if (check->extents == cells_in_all(allocator))
            return breach(check, "more extents than cells", position);
        if (!check_extent(check, extent, position))
            return false;
        position += extent->pages + extent->free;
        check->pages += extent->pages;
        check->extents++;
    }
    if (position != allocator->pages.count)
        return breach(check, "extents end early", position);
    return true;
}

/* A page of ours: handed out one by one, with the tag it must have. */
static bool is_ours(const struct ps_virtual_allocator *allocator, ps_frame_t frame,
                    enum ps_frame_tag tag)
{
    struct ps_frame_info info;

    return ps_frame_pool_query(allocator->pool, frame, &info) == PS_OK && info.managed &&
           info.tag == tag && info.unit_pages.count == 1;
}

static bool check_cells(struct check *check)
{
    const struct ps_virtual_allocator *allocator = check->allocator;
    uint64_t all = cells_in_all(allocator);
    uint64_t frames = 0;
    uint64_t used = 0;
    uint64_t spare = 0;

    for (ps_frame_t frame = allocator->cells; frame.number != 0;
         frame = ps_extent_frame(allocator, frame)->next) {
        if (!is_ours(allocator, frame, PS_FRAME_HEAP))
            return breach(check, "cells in a foreign frame", 0);
        if (frames++ == allocator->counters.metadata_frames)
            break;
        used += ps_extent_frame(allocator, frame)->used;
    }
    for (const struct ps_extent *cell = allocator->spare; cell != NULL && spare <= all;
         cell = cell->next)
        spare++;
    if (frames != allocator->counters.metadata_frames || used != check->extents ||
        spare != all - used)
        return breach(check, "cells lost or counted wrongly", 0);
    return true;
}

static bool check_counters(struct check *check)
{
    const struct ps_virtual_counters *counters = &check->allocator->counters;

    if (counters->live != check->extents - 1 || counters->live_pages != check->pages ||
        counters->peak_pages < counters->live_pages)
        return breach(check, "wrong counters", 0);
    return true;
}

static bool check_mapped_page(struct check *check, uint64_t page, ps_frame_t frame)
{
    while (check->extent->next != NULL && check->extent->next->first <= page)
        check->extent = check->extent->next;
    if (!ps_extent_holds(check->extent, page))
        return breach(check, "mapped, but not allocated", page);
    if (!is_ours(check->allocator, frame, check->allocator->tag))
        return breach(check, "mapped to a foreign frame", page);
    check->mapped++;
    return true;
}

/* Told of everything that is mapped anywhere, in order of address. */
static bool visit_range(void *context, const struct ps_mapped_range *range)
{
    struct check *check = context;
    uint64_t base = check->allocator->base.addr >> PS_PAGE_SHIFT;
    uint64_t last = base + (check->allocator->pages.count - 1);
    uint64_t range_first = range->va.addr >> PS_PAGE_SHIFT;
    uint64_t range_last = range_first + (range->pages.count - 1);

    if (range_last < base || range_first > last)
        return true;
    if (range->leaf != PS_LEAF_4K)
        return breach(check, "large leaf", ps_max(base, range_first) - base);
    for (uint64_t page = ps_max(base, range_first); page <= ps_min(last, range_last); page++)
        if (!check_mapped_page(check, page - base, ps_frame_add(range->frame, page - range_first)))
            return false;
    return true;
}

static bool check_mappings(struct check *check)
{
    check->extent = check->allocator->extents;
    ps_page_table_for_each(check->allocator->table, visit_range, check);
    if (check->sound && check->mapped != check->pages)
        return breach(check, "allocated, but not mapped", 0);
    return check->sound;
}

ps_status ps_virtual_validate(struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    struct check check = {.allocator = allocator, .sink = sink, .sound = true};
    ps_status status = PS_BAD_STATE;

    if (allocator == NULL)
        return PS_INVALID_ARGS;
    ps_virtual_lock(allocator);
    if (allocator->ready) {
        bool sound = check_list(&check) && check_cells(&check) && check_counters(&check) &&
                     check_mappings(&check);

        status = sound ? PS_OK : PS_CORRUPT;
    }
    ps_lock_release(&allocator->lock);
    return status;
}

/* ---- dump ---- */

static void dump_allocation(const struct ps_virtual_allocator *allocator,
                            const struct ps_extent *extent, const struct ps_sink *sink)
{
    struct ps_virtual_info info = ps_extent_info(allocator, extent);

    ps_print(sink, "  0x%016" PS_PRIx " %8" PS_PRIu " pages  #%" PS_PRIu, info.va.addr,
             info.pages.count, info.sequence);
    if (info.who.owner != 0)
        ps_print(sink, "  owner %" PS_PRIu, info.who.owner);
    if (info.who.file != NULL)
        ps_print(sink, "  %s:%u", info.who.file, info.who.line);
    ps_print(sink, "\n");
}

static void dump_totals(const struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    struct ps_virtual_snapshot now = take_snapshot(allocator);

    ps_print(sink,
             "virtual allocator 0x%016" PS_PRIx ", %" PS_PRIu " pages, guard %" PS_PRIu "\n"
             "  live %" PS_PRIu " allocations of %" PS_PRIu " pages, peak %" PS_PRIu ", %" PS_PRIu
             " so far\n",
             allocator->base.addr, allocator->pages.count, allocator->guard.count,
             now.counters.live, now.counters.live_pages, now.counters.peak_pages,
             allocator->sequence);
    ps_print(sink,
             "  free %" PS_PRIu " pages in %" PS_PRIu " extents, largest %" PS_PRIu "\n"
             "  failed %" PS_PRIu ", rejected %" PS_PRIu ", frames of bookkeeping %" PS_PRIu "\n",
             now.free_pages, now.free_extents, now.largest_free, now.counters.failed,
             now.counters.rejected, now.counters.metadata_frames);
}

void ps_virtual_dump(struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    if (allocator == NULL)
        return;
    ps_virtual_lock(allocator);
    if (!allocator->ready)
        ps_print(sink, "virtual allocator: not initialised\n");
    else
        dump_totals(allocator, sink);
    for (const struct ps_extent *extent = first_allocation(allocator); extent != NULL;
         extent = extent->next)
        dump_allocation(allocator, extent, sink);
    ps_lock_release(&allocator->lock);
}
