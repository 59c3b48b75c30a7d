#include "virtual_allocator_private.h"

/* What becomes of an allocation. */
struct resize {
    struct ps_virtual_place old;
    uint64_t bytes;
    uint64_t pages;
    unsigned flags;
    uint64_t value;  /* of the new record, BUSY: only where it cannot be the old one */
    uint64_t target; /* first page afterwards */
};

/* ---- bookkeeping ---- */

/* A record that nobody shares: what the resized allocation will have. Not live yet. */
static bool take_record(struct ps_virtual_allocator *allocator, struct resize *resize)
{
    uint64_t cell = ps_cells_take(&allocator->records);
    struct ps_virtual_record *record;

    if (cell == 0)
        return false;
    record = ps_virtual_record(allocator, cell);
    *record = *resize->old.record;
    record->offset = (uint16_t)(ps_virtual_pointer(&resize->old).addr & PS_PAGE_MASK);
    record->bytes = resize->bytes;
    record->sequence = 0;
    record->parts = 1;
    resize->value = cell | PS_VIRTUAL_BUSY;
    return true;
}

/* So far, of the pages that it has. */
static uint64_t old_bytes(const struct resize *resize)
{
    return ps_virtual_bytes(resize->old.record, resize->old.extent.first, resize->old.extent.pages);
}

/* The new record takes over, at its first page; still busy. */
static void adopt(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    struct ps_virtual_record *record = ps_virtual_record(allocator, resize->value);

    record->first = resize->target;
    record->sequence = resize->old.record->sequence;
    ps_arena_set_value(&allocator->arena, resize->target, resize->value);
    ps_virtual_drop(allocator, resize->old.extent.value);
}

/* Others may work on it from now on. */
static void end_work(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    ps_arena_set_value(&allocator->arena, resize->target,
                       resize->value & ~(uint64_t)PS_VIRTUAL_BUSY);
}

static void commit(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    struct ps_virtual_counters *counters = &allocator->counters;

    counters->live_bytes = counters->live_bytes - old_bytes(resize) + resize->bytes;
    counters->live_pages += resize->pages - resize->old.extent.pages;
    counters->peak_pages = ps_max(counters->peak_pages, counters->live_pages);
    adopt(allocator, resize);
}

/* As it was before. */
static void restore(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    ps_arena_set_value(&allocator->arena, resize->old.extent.first, resize->old.extent.value);
    ps_virtual_drop(allocator, resize->value);
}

/* ---- longer ---- */

/* Pages behind the old ones, at the new place. */
static ps_status back_rest(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    const struct ps_virtual_record *record = ps_virtual_record(allocator, resize->value);
    uint64_t have = resize->old.extent.pages;
    struct ps_virtual_backing backing = {.first = resize->target + have,
                                         .pages = resize->pages - have,
                                         .attr = record->attr,
                                         .flags = (record->flags & ~(unsigned)PS_FRAME_ZERO) |
                                                  resize->flags};

    return ps_virtual_back(allocator, &backing);
}

/* The rest of the page that was the last is part of what is added. */
static void fill_slack(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    struct ps_virtual_record *record = ps_virtual_record(allocator, resize->value);
    struct ps_virtual_place place = {{.first = resize->target, .pages = resize->pages}, record};

    if ((resize->flags & PS_FRAME_ZERO) != 0)
        ps_virtual_zero_slack(allocator, &resize->old, UINT64_MAX);
    record->first = resize->target;
    ps_virtual_fill_slack(allocator, &place);
}

static ps_status grow_in_place(struct ps_virtual_allocator *allocator, struct resize *resize)
{
    const struct ps_arena_extent *old = &resize->old.extent;
    ps_status status = ps_arena_resize(&allocator->arena, old->first, resize->pages);

    if (status != PS_OK)
        return status;
    resize->target = old->first;
    ps_arena_set_value(&allocator->arena, old->first, old->value | PS_VIRTUAL_BUSY);
    ps_lock_release(&allocator->lock);
    status = back_rest(allocator, resize);
    if (status == PS_OK)
        fill_slack(allocator, resize);
    ps_virtual_lock(allocator);
    if (status == PS_OK) {
        commit(allocator, resize);
    } else {
        ps_status back = ps_arena_resize(&allocator->arena, old->first, old->pages);

        (void)back; /* shorter is always possible */
    }
    return status;
}

static uint32_t guard_like(uint32_t guard)
{
    return guard == 0 ? PS_ARENA_NO_GUARD : guard;
}

static ps_status find_target(struct ps_virtual_allocator *allocator, struct resize *resize)
{
    const struct ps_arena_extent *old = &resize->old.extent;
    struct ps_arena_request request = {
        .pages = resize->pages,
        .align = (uint64_t)1 << resize->old.record->alignment,
        .value = resize->value,
        .guard_before = guard_like(old->guard_before),
        .guard_after = guard_like(old->guard_after),
    };

    return ps_virtual_find_room(allocator, &request, &resize->target);
}

/* The old frames at the new place, and more behind them. Without the lock. */
static ps_status build_target(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    const struct ps_arena_extent *old = &resize->old.extent;
    ps_status status = ps_virtual_alias(allocator, old->first, resize->target, old->pages);

    if (status != PS_OK)
        return status;
    status = back_rest(allocator, resize);
    if (status != PS_OK)
        ps_virtual_unback(allocator, resize->target, old->pages, false);
    return status;
}

static void leave_old_place(struct ps_virtual_allocator *allocator, const struct resize *resize)
{
    const struct ps_arena_extent *old = &resize->old.extent;
    ps_status status = ps_arena_retire(&allocator->arena, old->first, old->pages);

    (void)status; /* a whole allocation of ours: needs no memory */
    ps_lock_release(&allocator->lock);
    ps_virtual_unback(allocator, old->first, old->pages, false);
    ps_virtual_lock(allocator);
    ps_virtual_let_go(allocator, old->first);
}

static ps_status move(struct ps_virtual_allocator *allocator, struct resize *resize)
{
    const struct ps_arena_extent *old = &resize->old.extent;
    ps_status status = find_target(allocator, resize);

    if (status != PS_OK)
        return status;
    ps_arena_set_value(&allocator->arena, old->first, old->value | PS_VIRTUAL_BUSY);
    ps_lock_release(&allocator->lock);
    status = build_target(allocator, resize);
    if (status == PS_OK)
        fill_slack(allocator, resize);
    ps_virtual_lock(allocator);
    if (status == PS_OK) {
        commit(allocator, resize);
        allocator->counters.moves++;
        leave_old_place(allocator, resize);
    } else {
        ps_status back = ps_arena_free(&allocator->arena, resize->target, 0);

        (void)back; /* ours */
    }
    return status;
}

/* More frames in a row, and pages behind its limits, are not looked for. */
static bool may_grow(const struct ps_virtual_record *record, const struct resize *resize)
{
    return (record->flags & PS_VIRTUAL_CONTIGUOUS) == 0 &&
           (record->last == 0 || resize->pages - 1 <= record->last - resize->old.extent.first);
}

/* Under the lock, which is left in between. */
static ps_status grow(struct ps_virtual_allocator *allocator, struct resize *resize)
{
    const struct ps_virtual_record *record = resize->old.record;
    bool may_move = (resize->flags & PS_VIRTUAL_MAY_MOVE) != 0 && record->last == 0;
    ps_status status;

    if (!may_grow(record, resize))
        return PS_NO_SPACE;
    if (ps_virtual_is_hopeless(allocator, resize->pages - resize->old.extent.pages) ||
        !take_record(allocator, resize))
        return PS_NO_MEMORY;
    resize->flags &= PS_FRAME_ZERO;
    allocator->working++;
    status = grow_in_place(allocator, resize);
    if (status == PS_NO_SPACE && may_move)
        status = move(allocator, resize);
    allocator->working--;
    if (status == PS_OK)
        end_work(allocator, resize);
    else
        restore(allocator, resize);
    return status;
}

/* ---- shorter, or as many pages as before ---- */

/* A record of its own for a part that shared one: from now on it has bytes of its own. */
static bool leave_others(struct ps_virtual_allocator *allocator, struct resize *resize)
{
    if (!take_record(allocator, resize))
        return false;
    adopt(allocator, resize);
    end_work(allocator, resize);
    resize->old.extent.value = resize->value & ~(uint64_t)PS_VIRTUAL_BUSY;
    resize->old.record = ps_virtual_record(allocator, resize->old.extent.value);
    return true;
}

static void set_bytes(struct ps_virtual_allocator *allocator, struct resize *resize,
                      uint64_t before)
{
    struct ps_virtual_record *record = resize->old.record;
    uint64_t offset = ps_virtual_pointer(&resize->old).addr & PS_PAGE_MASK;

    allocator->counters.live_bytes = allocator->counters.live_bytes - before + resize->bytes;
    record->first = resize->old.extent.first;
    record->offset = (uint16_t)offset;
    record->bytes = resize->bytes;
}

/*
 * All but giving pages back. Without memory for a record of its own, a part that gets shorter
 * counts for all the bytes of its pages.
 */
static ps_status keep(struct ps_virtual_allocator *allocator, struct resize *resize)
{
    uint64_t before = old_bytes(resize);
    struct ps_virtual_place kept = resize->old;
    bool is_shared = kept.record->parts != 1;

    if (ps_page_table_is_frozen(allocator->table))
        return PS_BAD_STATE;
    if (is_shared && resize->bytes != before)
        is_shared = !leave_others(allocator, resize);
    if (is_shared && resize->bytes > before)
        return PS_NO_MEMORY;
    if ((resize->flags & PS_FRAME_ZERO) != 0 && resize->bytes > before)
        ps_virtual_zero_slack(allocator, &kept, resize->bytes - before);
    if (!is_shared)
        set_bytes(allocator, resize, before);
    kept = resize->old;
    kept.extent.pages = resize->pages;
    ps_virtual_fill_slack(allocator, &kept);
    return PS_OK;
}

/* ---- the call ---- */

/* Pages for `bytes` from `offset` on; more than there are addresses: all that can be counted. */
static uint64_t pages_for(uint64_t offset, uint64_t bytes)
{
    uint64_t end;

    return ps_add(offset, bytes, &end) ? ps_pages_of_bytes(end).count : UINT64_MAX >> PS_PAGE_SHIFT;
}

static enum ps_misuse check_resize(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                   struct resize *resize)
{
    enum ps_misuse misuse = ps_virtual_look(allocator, va, &resize->old);

    if (misuse != PS_MISUSE_NONE)
        return misuse;
    if (ps_virtual_pointer(&resize->old).addr != va.addr)
        return PS_MISUSE_INTERIOR;
    resize->target = resize->old.extent.first;
    resize->pages = pages_for(va.addr & PS_PAGE_MASK, resize->bytes);
    return ps_virtual_slack_is_whole(allocator, &resize->old) ? PS_MISUSE_NONE : PS_MISUSE_OVERRUN;
}

/* Under the lock, which it leaves. */
static ps_status run(struct ps_virtual_allocator *allocator, ps_virt_t va, struct resize *resize)
{
    enum ps_misuse misuse = check_resize(allocator, va, resize);
    uint64_t have;
    ps_status status;

    if (misuse != PS_MISUSE_NONE) {
        bool is_hit = misuse > PS_MISUSE_GUARD;

        status =
            ps_virtual_misused(allocator, misuse, va, is_hit ? resize->old.record->sequence : 0);
        return ps_virtual_leave(allocator, status);
    }
    have = resize->old.extent.pages;
    if (resize->pages > allocator->config.pages.count)
        status = PS_NO_SPACE;
    else
        status = resize->pages > have ? grow(allocator, resize) : keep(allocator, resize);
    if (status != PS_OK)
        ps_virtual_failed(allocator, status, resize->bytes, &resize->old.record->who);
    if (status != PS_OK || resize->pages >= have)
        return ps_virtual_leave(allocator, status);
    return ps_virtual_free_range(allocator, &resize->old, resize->target + resize->pages,
                                 have - resize->pages);
}

ps_status ps_virtual_resize(struct ps_virtual_allocator *allocator, ps_virt_t va, uint64_t bytes,
                            unsigned flags, ps_virt_t *moved)
{
    struct resize resize = {.bytes = bytes, .flags = flags};
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    if (moved == NULL || bytes == 0 ||
        (flags & ~(unsigned)(PS_FRAME_ZERO | PS_VIRTUAL_MAY_MOVE)) != 0) {
        allocator->counters.rejected++;
        return ps_virtual_leave(allocator, PS_INVALID_ARGS);
    }
    status = run(allocator, va, &resize);
    if (status == PS_OK)
        *moved = ps_virt_add(ps_virtual_page(resize.target), va.addr & PS_PAGE_MASK);
    return status;
}
