#include "virtual_allocator_private.h"

/* ---- finding ---- */

/* Only live allocations have a record that may be read. */
static bool is_live(const struct ps_virtual_allocator *allocator,
                    const struct ps_arena_extent *extent, struct ps_virtual_place *place)
{
    if (extent->kind != PS_ARENA_LIVE)
        return false;
    place->extent = *extent;
    place->record = ps_virtual_record(allocator, extent->value);
    return place->record->sequence != 0;
}

enum ps_misuse ps_virtual_look(const struct ps_virtual_allocator *allocator, ps_virt_t va,
                               struct ps_virtual_place *place)
{
    uint64_t page = va.addr >> PS_PAGE_SHIFT;
    struct ps_arena_extent extent;
    enum ps_arena_kind kind;
    ps_status status = ps_arena_find(&allocator->arena, page, &extent);

    if (status == PS_OK && is_live(allocator, &extent, place))
        return (extent.value & PS_VIRTUAL_BUSY) != 0 ? PS_MISUSE_BUSY : PS_MISUSE_NONE;
    if (!ps_arena_kind_of(&allocator->arena, page, &kind))
        return PS_MISUSE_FOREIGN;
    return kind == PS_ARENA_GUARD ? PS_MISUSE_GUARD : PS_MISUSE_FREE;
}

bool ps_virtual_next(const struct ps_virtual_allocator *allocator, uint64_t page,
                     struct ps_virtual_place *place)
{
    struct ps_arena_extent extent;

    while (ps_arena_next(&allocator->arena, page, &extent)) {
        if (is_live(allocator, &extent, place))
            return true;
        page = extent.first + extent.pages;
    }
    return false;
}

/* ---- telling ---- */

uint64_t ps_virtual_bytes(const struct ps_virtual_record *record, uint64_t first, uint64_t pages)
{
    /* Counted from the first page of the record: addresses may end at the top. */
    uint64_t begin = ps_bytes_of_pages(ps_pages(first - record->first));
    uint64_t end = begin + ps_bytes_of_pages(ps_pages(pages));

    begin = ps_max(begin, record->offset);
    end = ps_min(end, record->offset + record->bytes);
    return end > begin ? end - begin : 0;
}

struct ps_virtual_info ps_virtual_info(const struct ps_virtual_place *place)
{
    const struct ps_arena_extent *extent = &place->extent;

    return (struct ps_virtual_info){
        .va = ps_virtual_pointer(place),
        .first = ps_virtual_page(extent->first),
        .pages = ps_pages(extent->pages),
        .bytes = ps_virtual_bytes(place->record, extent->first, extent->pages),
        .sequence = place->record->sequence,
        .who = place->record->who,
    };
}

static ps_status status_of(enum ps_misuse misuse)
{
    if (misuse == PS_MISUSE_NONE || misuse == PS_MISUSE_BUSY)
        return PS_OK;
    return misuse == PS_MISUSE_FOREIGN ? PS_OUT_OF_RANGE : PS_NOT_FOUND;
}

ps_status ps_virtual_find(struct ps_virtual_allocator *allocator, ps_virt_t va,
                          struct ps_virtual_info *info)
{
    struct ps_virtual_place place;
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    status = info == NULL ? PS_INVALID_ARGS : status_of(ps_virtual_look(allocator, va, &place));
    if (status == PS_OK)
        *info = ps_virtual_info(&place);
    return ps_virtual_leave(allocator, status);
}

ps_status ps_virtual_usable(struct ps_virtual_allocator *allocator, ps_virt_t va, uint64_t *bytes)
{
    struct ps_virtual_info info;
    ps_status status = allocator != NULL && bytes == NULL ? PS_INVALID_ARGS
                                                          : ps_virtual_find(allocator, va, &info);

    if (status == PS_OK && info.va.addr != va.addr)
        status = PS_NOT_FOUND;
    if (status == PS_OK)
        *bytes = ps_bytes_of_pages(info.pages) - (info.va.addr - info.first.addr);
    return status;
}

ps_status ps_virtual_is_live(struct ps_virtual_allocator *allocator, ps_virt_t va, bool *live)
{
    struct ps_virtual_place place;
    ps_status status = PS_BAD_STATE;

    if (allocator == NULL || live == NULL)
        return PS_INVALID_ARGS;
    if (!ps_lock_try(&allocator->lock))
        return PS_SHOULD_WAIT;
    if (allocator->table != NULL) {
        *live = status_of(ps_virtual_look(allocator, va, &place)) == PS_OK &&
                ps_virtual_pointer(&place).addr == va.addr;
        status = PS_OK;
    }
    return ps_virtual_leave(allocator, status);
}

uint64_t ps_virtual_live(struct ps_virtual_allocator *allocator, ps_virt_t from,
                         struct ps_virtual_info *infos, uint64_t capacity)
{
    uint64_t page = from.addr >> PS_PAGE_SHIFT;
    struct ps_virtual_place place;
    uint64_t count = 0;
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return 0;
    for (; ps_virtual_next(allocator, page, &place); count++) {
        if (infos != NULL && count < capacity)
            infos[count] = ps_virtual_info(&place);
        page = place.extent.first + place.extent.pages;
    }
    ps_lock_release(&allocator->lock);
    return count;
}

/* ---- totals ---- */

static struct ps_virtual_snapshot take_snapshot(const struct ps_virtual_allocator *allocator)
{
    struct ps_arena_snapshot arena;

    ps_arena_snapshot(&allocator->arena, &arena);
    return (struct ps_virtual_snapshot){
        .counters = allocator->counters,
        .failure = allocator->failure,
        .misuse = allocator->misuse,
        .free_extents = arena.free_extents,
        .free_pages = arena.free_pages,
        .largest_free = arena.largest,
        .fragmentation = arena.fragmentation,
        .metadata_frames = arena.frames + allocator->records.frames,
    };
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

/* ---- dump ---- */

static void print_who(const struct ps_attribution *who, const struct ps_sink *sink)
{
    for (unsigned i = 0; i < PS_OWNER_IDS; i++)
        if (who->owner[i] != 0)
            ps_print(sink, "  owner %" PS_PRIu, who->owner[i]);
    if (who->file != NULL)
        ps_print(sink, "  %s:%u", who->file, who->line);
    ps_print(sink, "\n");
}

void ps_virtual_print(const struct ps_virtual_place *place, const struct ps_sink *sink)
{
    struct ps_virtual_info info = ps_virtual_info(place);

    ps_print(sink, "  0x%016" PS_PRIx " %8" PS_PRIu " pages  %" PS_PRIu " bytes  #%" PS_PRIu,
             info.va.addr, info.pages.count, info.bytes, info.sequence);
    print_who(&info.who, sink);
}

static void dump_totals(const struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    struct ps_virtual_snapshot now = take_snapshot(allocator);
    const struct ps_virtual_config *config = &allocator->config;

    ps_print(sink,
             "virtual allocator 0x%016" PS_PRIx ", %" PS_PRIu " pages, guard %" PS_PRIu "\n"
             "  live %" PS_PRIu " allocations of %" PS_PRIu " pages, peak %" PS_PRIu ", %" PS_PRIu
             " so far\n",
             config->base.addr, config->pages.count, config->guard.count, now.counters.live,
             now.counters.live_pages, now.counters.peak_pages, now.counters.allocs);
    ps_print(sink,
             "  free %" PS_PRIu " pages in %" PS_PRIu " extents, largest %" PS_PRIu
             ", fragmentation %" PS_PRIu "/1000\n"
             "  failed %" PS_PRIu ", rejected %" PS_PRIu ", frames of bookkeeping %" PS_PRIu "\n",
             now.free_pages, now.free_extents, now.largest_free, now.fragmentation,
             now.counters.failed, now.counters.rejected, now.metadata_frames);
}

static void dump_trouble(const struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    const struct ps_virtual_failure *failure = &allocator->failure;
    const struct ps_virtual_misuse *misuse = &allocator->misuse;

    if (failure->status != PS_OK) {
        ps_print(sink, "  last failure: %s for %" PS_PRIu " bytes after %" PS_PRIu " allocations",
                 ps_status_name(failure->status), failure->bytes, failure->allocs);
        print_who(&failure->who, sink);
    }
    if (misuse->status != PS_OK)
        ps_print(sink, "  last misuse: %s at 0x%016" PS_PRIx ", allocation #%" PS_PRIu "\n",
                 ps_status_name(misuse->status), misuse->va.addr, misuse->sequence);
}

void ps_virtual_dump(struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    struct ps_virtual_place place;
    ps_status status;

    if (!ps_virtual_enter(allocator, &status)) {
        if (status == PS_BAD_STATE)
            ps_print(sink, "virtual allocator: not initialised\n");
        return;
    }
    dump_totals(allocator, sink);
    dump_trouble(allocator, sink);
    for (uint64_t page = 0; ps_virtual_next(allocator, page, &place);
         page = place.extent.first + place.extent.pages)
        ps_virtual_print(&place, sink);
    ps_lock_release(&allocator->lock);
}
