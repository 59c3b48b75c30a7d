#include "virtual_allocator_private.h"

/* ---- quarantine: retired ranges; the value of each is the first page of the next younger ---- */

static void make_free(struct ps_virtual_allocator *allocator, uint64_t first)
{
    ps_status status = ps_arena_release(&allocator->arena, first);

    (void)status; /* only who retired it knows of it */
}

static void release_oldest(struct ps_virtual_allocator *allocator)
{
    struct ps_arena_extent extent = {0};
    uint64_t first = allocator->oldest;
    ps_status status = ps_arena_find(&allocator->arena, first, &extent);

    (void)status; /* it is there until it is released */
    allocator->oldest = extent.value;
    if (--allocator->counters.quarantined == 0)
        allocator->youngest = 0;
    make_free(allocator, first);
}

void ps_virtual_let_go(struct ps_virtual_allocator *allocator, uint64_t first)
{
    if (allocator->config.quarantine == 0) {
        make_free(allocator, first);
        return;
    }
    ps_arena_set_value(&allocator->arena, first, 0);
    if (allocator->youngest == 0)
        allocator->oldest = first;
    else
        ps_arena_set_value(&allocator->arena, allocator->youngest, first);
    allocator->youngest = first;
    if (++allocator->counters.quarantined > allocator->config.quarantine)
        release_oldest(allocator);
}

void ps_virtual_end_quarantine(struct ps_virtual_allocator *allocator)
{
    while (allocator->counters.quarantined != 0)
        release_oldest(allocator);
}

/* ---- bookkeeping ---- */

void ps_virtual_drop(struct ps_virtual_allocator *allocator, uint64_t value)
{
    struct ps_virtual_record *record = ps_virtual_record(allocator, value);

    if (--record->parts == 0)
        ps_cells_put(&allocator->records, value & ~(uint64_t)PS_VIRTUAL_BUSY);
}

/* Of the allocation [first, first + pages) of `place` goes, and its ends may stay. */
static void count_free(struct ps_virtual_allocator *allocator, const struct ps_virtual_place *place,
                       uint64_t first, uint64_t pages)
{
    struct ps_virtual_counters *counters = &allocator->counters;
    uint64_t before = first - place->extent.first;
    uint64_t behind = place->extent.pages - before - pages;
    uint32_t parts = (before != 0 ? 1u : 0u) + (behind != 0 ? 1u : 0u);

    counters->frees++;
    counters->live_pages -= pages;
    counters->live_bytes -= ps_virtual_bytes(place->record, first, pages);
    counters->live = counters->live - 1 + parts;
    place->record->parts += parts;
    ps_virtual_drop(allocator, place->extent.value);
}

ps_status ps_virtual_free_range(struct ps_virtual_allocator *allocator,
                                const struct ps_virtual_place *place, uint64_t first,
                                uint64_t pages)
{
    ps_status status = PS_BAD_STATE;

    if (!ps_page_table_is_frozen(allocator->table))
        status = ps_arena_retire(&allocator->arena, first, pages);
    if (status != PS_OK)
        return ps_virtual_leave(allocator, status);
    count_free(allocator, place, first, pages);
    allocator->working++;
    ps_lock_release(&allocator->lock);
    ps_virtual_unback(allocator, first, pages, true);
    ps_virtual_lock(allocator);
    allocator->working--;
    ps_virtual_let_go(allocator, first);
    return ps_virtual_leave(allocator, PS_OK);
}

/* ---- calls ---- */

static ps_status refuse(struct ps_virtual_allocator *allocator, enum ps_misuse what, ps_virt_t va,
                        const struct ps_virtual_place *place)
{
    bool is_hit = what > PS_MISUSE_GUARD;

    return ps_virtual_leave(
        allocator, ps_virtual_misused(allocator, what, va, is_hit ? place->record->sequence : 0));
}

/* `bytes`: as many as were asked for, or NULL. */
static enum ps_misuse check_free(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                 const uint64_t *bytes, struct ps_virtual_place *place)
{
    enum ps_misuse misuse = ps_virtual_look(allocator, va, place);

    if (misuse != PS_MISUSE_NONE)
        return misuse;
    if (ps_virtual_pointer(place).addr != va.addr)
        return PS_MISUSE_INTERIOR;
    if (bytes != NULL && *bytes != ps_virtual_info(place).bytes)
        return PS_MISUSE_SIZE;
    return ps_virtual_slack_is_whole(allocator, place) ? PS_MISUSE_NONE : PS_MISUSE_OVERRUN;
}

static ps_status free_whole(struct ps_virtual_allocator *allocator, ps_virt_t va,
                            const uint64_t *bytes)
{
    struct ps_virtual_place place;
    enum ps_misuse misuse;
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    misuse = check_free(allocator, va, bytes, &place);
    if (misuse != PS_MISUSE_NONE)
        return refuse(allocator, misuse, va, &place);
    return ps_virtual_free_range(allocator, &place, place.extent.first, place.extent.pages);
}

ps_status ps_virtual_free(struct ps_virtual_allocator *allocator, ps_virt_t va)
{
    return free_whole(allocator, va, NULL);
}

ps_status ps_virtual_free_sized(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                uint64_t bytes)
{
    return free_whole(allocator, va, &bytes);
}

ps_status ps_virtual_free_part(struct ps_virtual_allocator *allocator, ps_virt_t va,
                               ps_pages_t pages)
{
    uint64_t first = va.addr >> PS_PAGE_SHIFT;
    struct ps_virtual_place place;
    enum ps_misuse misuse;
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    if (pages.count == 0 || !ps_is_aligned(va.addr, PS_PAGE_SIZE)) {
        allocator->counters.rejected++;
        return ps_virtual_leave(allocator, PS_INVALID_ARGS);
    }
    misuse = ps_virtual_look(allocator, va, &place);
    if (misuse == PS_MISUSE_NONE && pages.count > place.extent.pages - (first - place.extent.first))
        misuse = PS_MISUSE_SIZE;
    if (misuse != PS_MISUSE_NONE)
        return refuse(allocator, misuse, va, &place);
    return ps_virtual_free_range(allocator, &place, first, pages.count);
}

/* ---- everything ---- */

static void retire_all(struct ps_virtual_allocator *allocator, struct ps_tlb_gather *gather)
{
    struct ps_virtual_place place;

    for (uint64_t page = 0; ps_virtual_next(allocator, page, &place);
         page = place.extent.first + place.extent.pages) {
        ps_status status =
            ps_page_table_retire(allocator->table, ps_virtual_page(place.extent.first),
                                 ps_pages(place.extent.pages), gather);

        (void)status; /* what is ours can be unmapped, and nobody may freeze the table meanwhile */
    }
}

static void sweep_all(struct ps_virtual_allocator *allocator)
{
    struct ps_frame_release to_pool = {ps_virtual_give_frames, allocator->pool};
    struct ps_virtual_place place;

    while (ps_virtual_next(allocator, 0, &place)) {
        ps_status status =
            ps_page_table_sweep(allocator->table, ps_virtual_page(place.extent.first),
                                ps_pages(place.extent.pages), &to_pool);

        (void)status;
        count_free(allocator, &place, place.extent.first, place.extent.pages);
        status = ps_arena_free(&allocator->arena, place.extent.first, 0);
        (void)status;
    }
}

ps_status ps_virtual_free_all(struct ps_virtual_allocator *allocator)
{
    struct ps_tlb_gather gather;
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    if (allocator->working != 0 || ps_page_table_is_frozen(allocator->table))
        return ps_virtual_leave(allocator, PS_BAD_STATE);
    ps_tlb_gather_init(&gather, allocator->table->machine);
    retire_all(allocator, &gather);
    ps_tlb_gather_flush(&gather);
    sweep_all(allocator);
    ps_virtual_end_quarantine(allocator);
    return ps_virtual_leave(allocator, PS_OK);
}
