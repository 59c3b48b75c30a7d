#include "virtual_allocator_private.h"

enum {
    ALLOCATOR_FLAGS = PS_VIRTUAL_ANCHOR | PS_VIRTUAL_PUSH | PS_VIRTUAL_FILL,
    REQUEST_FLAGS =
        PS_FRAME_ZERO | PS_VIRTUAL_CONTIGUOUS | PS_VIRTUAL_CLUSTERED | PS_VIRTUAL_SMALL_LEAVES,
    PUSH_ALIGNMENT = 16,
};

/* ---- init and destroy ---- */

/*
 * Both ends canonical and in the same half: then all of the arena can be mapped. The page
 * table knows how many bits an address has, and whether it exists at all.
 */
static ps_status check_addresses(struct ps_page_table *table, ps_virt_t base, ps_pages_t pages)
{
    ps_virt_t ends[2] = {base, ps_virt_last(base, pages)};
    struct ps_translation ignored;

    if ((ends[0].addr ^ ends[1].addr) >> 63 != 0)
        return PS_INVALID_ARGS;
    for (unsigned i = 0; i < PS_ARRAY_SIZE(ends); i++) {
        ps_status status = ps_page_table_query(table, ends[i], &ignored);

        if (status == PS_INVALID_ARGS || status == PS_BAD_STATE)
            return status;
    }
    return PS_OK;
}

static ps_status check_config(struct ps_page_table *table, const struct ps_virtual_config *config)
{
    if (!ps_is_aligned(config->base.addr, PS_PAGE_SIZE) || config->pages.count == 0 ||
        !ps_virt_range_fits(config->base, config->pages) ||
        (config->flags & ~(unsigned)ALLOCATOR_FLAGS) != 0 ||
        (config->alignment.count != 0 && !ps_is_power_of_two(config->alignment.count)))
        return PS_INVALID_ARGS;
    return check_addresses(table, config->base, config->pages);
}

/* Page 0 is never mapped: an arena from address 0 begins behind it. */
static ps_status open_arena(struct ps_virtual_allocator *allocator,
                            const struct ps_virtual_config *config)
{
    uint64_t first = config->base.addr >> PS_PAGE_SHIFT;
    uint64_t pages = config->pages.count - (first == 0);
    const struct ps_machine *machine = allocator->table->machine;
    ps_status status = ps_arena_init(&allocator->arena, machine, allocator->pool, PS_FRAME_HEAP,
                                     ps_max(first, 1), pages, config->guard.count);

    if (status == PS_OK && (config->tag <= PS_FRAME_DAMAGED || config->tag >= PS_FRAME_TAG_COUNT))
        status = PS_INVALID_ARGS;
    if (status == PS_OK)
        status = ps_cells_init(&allocator->records, machine, allocator->pool, PS_FRAME_HEAP,
                               sizeof(struct ps_virtual_record));
    if (status == PS_OK && (config->flags & PS_VIRTUAL_ANCHOR) != 0)
        status = ps_page_table_anchor(allocator->table, config->base, config->pages);
    return status;
}

ps_status ps_virtual_init(struct ps_virtual_allocator *allocator, struct ps_page_table *table,
                          struct ps_frame_pool *pool, const struct ps_virtual_config *config)
{
    ps_status status;

    if (allocator == NULL || table == NULL || pool == NULL || config == NULL)
        return PS_INVALID_ARGS;
    if (allocator->table != NULL)
        return PS_BAD_STATE;
    status = check_config(table, config);
    if (status != PS_OK)
        return status;
    allocator->table = table;
    allocator->pool = pool;
    allocator->config = *config;
    status = open_arena(allocator, config);
    if (status != PS_OK)
        *allocator = (struct ps_virtual_allocator){0};
    return status;
}

bool ps_virtual_enter(struct ps_virtual_allocator *allocator, ps_status *status)
{
    *status = PS_INVALID_ARGS;
    if (allocator == NULL)
        return false;
    ps_virtual_lock(allocator);
    if (allocator->table != NULL)
        return true;
    *status = ps_virtual_leave(allocator, PS_BAD_STATE);
    return false;
}

static void tell_leaks(const struct ps_virtual_allocator *allocator, const struct ps_sink *sink)
{
    struct ps_virtual_place place;

    for (uint64_t page = 0; ps_virtual_next(allocator, page, &place);
         page = place.extent.first + place.extent.pages)
        ps_virtual_print(&place, sink);
}

ps_status ps_virtual_destroy(struct ps_virtual_allocator *allocator, const struct ps_sink *leaks)
{
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    if (allocator->counters.live != 0 || allocator->working != 0) {
        tell_leaks(allocator, leaks);
        return ps_virtual_leave(allocator, PS_BAD_STATE);
    }
    ps_virtual_end_quarantine(allocator);
    status = ps_arena_destroy(&allocator->arena);
    if (status == PS_OK) /* defensive: nothing is allocated, */
        status = ps_cells_destroy(&allocator->records);
    if (status != PS_OK) /* defensive: and nothing has a record */
        return ps_virtual_leave(allocator, status);
    *allocator = (struct ps_virtual_allocator){0}; /* and with it the lock */
    return PS_OK;
}

/* ---- what failed calls leave behind ---- */

ps_status ps_virtual_failed(struct ps_virtual_allocator *allocator, ps_status status,
                            uint64_t bytes, const struct ps_attribution *who)
{
    if (status == PS_INVALID_ARGS || status == PS_OUT_OF_RANGE) {
        allocator->counters.rejected++;
        return status;
    }
    allocator->counters.failed++;
    allocator->failure = (struct ps_virtual_failure){
        .status = status, .bytes = bytes, .allocs = allocator->counters.allocs, .who = *who};
    return status;
}

ps_status ps_virtual_misused(struct ps_virtual_allocator *allocator, enum ps_misuse what,
                             ps_virt_t va, uint64_t sequence)
{
    static const ps_status statuses[PS_MISUSE_COUNT] = {
        [PS_MISUSE_FOREIGN] = PS_OUT_OF_RANGE, [PS_MISUSE_FREE] = PS_NOT_FOUND,
        [PS_MISUSE_GUARD] = PS_ACCESS_DENIED,  [PS_MISUSE_INTERIOR] = PS_INVALID_ARGS,
        [PS_MISUSE_SIZE] = PS_WRONG_SIZE,      [PS_MISUSE_OVERRUN] = PS_CORRUPT,
        [PS_MISUSE_BUSY] = PS_BAD_STATE,
    };
    struct ps_virtual_misuse *misuse = &allocator->misuse;

    allocator->counters.rejected++;
    misuse->status = statuses[what];
    misuse->what = what;
    misuse->va = va;
    misuse->sequence = sequence;
    misuse->counts[what]++;
    return misuse->status;
}

/* ---- requests ---- */

/* What a request comes to: the shape in the arena, and what the record will say. */
struct plan {
    struct ps_arena_request shape;
    struct ps_virtual_record record;
    uint64_t at; /* page; 0: wherever there is room */
    bool force;
};

static bool read_guard(ps_pages_t asked, uint32_t *guard)
{
    *guard = (uint32_t)ps_min(asked.count, PS_ARENA_NO_GUARD);
    return *guard <= PS_ARENA_GUARD_MAX || asked.count == PS_ARENA_NO_GUARD;
}

static bool request_is_valid(const struct ps_virtual_request *request)
{
    return (request->pages.count == 0) != (request->bytes == 0) &&
           (request->alignment.count == 0 || ps_is_power_of_two(request->alignment.count)) &&
           (request->high == 0 ? request->low == 0 : request->low <= request->high) &&
           (request->flags & ~(unsigned)REQUEST_FLAGS) == 0;
}

/* Whole pages between the limits. */
static bool read_limits(const struct ps_virtual_request *request, struct plan *plan)
{
    if (request->high == 0)
        return true;
    if (request->high < PS_PAGE_MASK)
        return false;
    plan->shape.low = ps_pages_of_bytes(request->low).count;
    plan->shape.high = (request->high - PS_PAGE_MASK) >> PS_PAGE_SHIFT;
    plan->record.last = plan->shape.high;
    return plan->shape.high != 0 && plan->shape.low <= plan->shape.high;
}

/* Bytes end with their last page where they are to be pushed; their beginning is rounded down. */
static uint16_t pointer_offset(const struct ps_virtual_allocator *allocator,
                               const struct ps_virtual_request *request)
{
    uint64_t used = request->bytes & PS_PAGE_MASK;

    if ((allocator->config.flags & PS_VIRTUAL_PUSH) == 0 || used == 0 ||
        request->alignment.count > 1)
        return 0;
    return (uint16_t)ps_align_down(PS_PAGE_SIZE - used, PUSH_ALIGNMENT);
}

/* What does not fit: nowhere, or not there. */
static ps_status fit(const struct ps_virtual_allocator *allocator,
                     const struct ps_virtual_request *request, struct plan *plan)
{
    if (plan->shape.pages > allocator->config.pages.count)
        return plan->at != 0 ? PS_OUT_OF_RANGE : PS_NO_SPACE;
    if (!read_limits(request, plan))
        return plan->at != 0 ? PS_INVALID_ARGS : PS_NO_SPACE;
    return PS_OK;
}

static ps_status make_plan(const struct ps_virtual_allocator *allocator,
                           const struct ps_virtual_request *request, struct plan *plan)
{
    bool is_plain = request->attr.access == 0 && request->attr.cache == 0;
    uint64_t alignment = ps_max(request->alignment.count, 1);
    ps_status status;

    if (!request_is_valid(request))
        return PS_INVALID_ARGS;
    plan->record = (struct ps_virtual_record){
        .bytes = request->bytes,
        .who = request->who,
        .parts = 1,
        .flags = (uint16_t)request->flags,
        .offset = pointer_offset(allocator, request),
        .alignment = (uint8_t)__builtin_ctzll(alignment),
        .attr = is_plain ? ps_attr_ram(PS_READ | PS_WRITE) : request->attr,
    };
    plan->shape.align = alignment;
    plan->shape.pages =
        request->bytes != 0 ? ps_pages_of_bytes(request->bytes).count : request->pages.count;
    if (!ps_attr_is_valid(plan->record.attr) ||
        !read_guard(request->guard_before, &plan->shape.guard_before) ||
        !read_guard(request->guard_after, &plan->shape.guard_after))
        return PS_INVALID_ARGS;
    status = fit(allocator, request, plan);
    if (status == PS_OK && request->bytes == 0)
        plan->record.bytes = ps_bytes_of_pages(ps_pages(plan->shape.pages));
    return status;
}

/* What was asked for, for the record of a failure: it may be more than there is. */
static uint64_t asked_for(const struct ps_virtual_request *request)
{
    uint64_t pages = ps_min(request->pages.count, UINT64_MAX >> PS_PAGE_SHIFT);

    return request->bytes != 0 ? request->bytes : ps_bytes_of_pages(ps_pages(pages));
}

/* ---- reserving addresses ---- */

ps_status ps_virtual_find_room(struct ps_virtual_allocator *allocator,
                               const struct ps_arena_request *shape, uint64_t *first)
{
    struct ps_arena_request aligned = *shape;
    uint64_t wanted = allocator->config.alignment.count;
    ps_status status = PS_NO_SPACE;

    if (wanted > shape->align && shape->pages >= wanted) {
        aligned.align = wanted;
        status = ps_arena_alloc(&allocator->arena, &aligned, first);
    }
    if (status == PS_NO_SPACE)
        status = ps_arena_alloc(&allocator->arena, shape, first);
    return status;
}

static ps_status find_room(struct ps_virtual_allocator *allocator, struct plan *plan)
{
    if (plan->at == 0)
        return ps_virtual_find_room(allocator, &plan->shape, &plan->record.first);
    plan->record.first = plan->at;
    return ps_arena_alloc_at(&allocator->arena, &plan->shape, plan->at, plan->force);
}

static void give_room(struct ps_virtual_allocator *allocator, const struct plan *plan)
{
    ps_status status = ps_arena_free(&allocator->arena, plan->record.first, 0);

    (void)status; /* it is ours, and nobody else may free what is not live */
}

/* Addresses, and a record without a sequence number: nobody sees them but as taken. */
static ps_status reserve(struct ps_virtual_allocator *allocator, struct plan *plan)
{
    uint64_t record;
    ps_status status = find_room(allocator, plan);

    if (status != PS_OK)
        return status;
    record = ps_cells_take(&allocator->records);
    if (record == 0) {
        give_room(allocator, plan);
        return PS_NO_MEMORY;
    }
    plan->shape.value = record;
    ps_arena_set_value(&allocator->arena, plan->record.first, plan->shape.value);
    *ps_virtual_record(allocator, record) = plan->record;
    allocator->working++;
    return PS_OK;
}

static void cancel(struct ps_virtual_allocator *allocator, const struct plan *plan)
{
    give_room(allocator, plan);
    ps_virtual_drop(allocator, plan->shape.value);
}

/* ---- making it live ---- */

static void publish(struct ps_virtual_allocator *allocator, const struct plan *plan)
{
    struct ps_virtual_counters *counters = &allocator->counters;
    struct ps_virtual_record *record = ps_virtual_record(allocator, plan->shape.value);

    record->sequence = ++allocator->sequence;
    counters->allocs++;
    counters->live++;
    counters->live_bytes += record->bytes;
    counters->live_pages += plan->shape.pages;
    counters->peak_pages = ps_max(counters->peak_pages, counters->live_pages);
}

/* Frames and leaves, without the lock. */
static ps_status back(struct ps_virtual_allocator *allocator, const struct plan *plan)
{
    struct ps_virtual_backing backing = {.first = plan->record.first,
                                         .pages = plan->shape.pages,
                                         .attr = plan->record.attr,
                                         .flags = plan->record.flags};
    struct ps_virtual_place place = {
        {.first = plan->record.first, .pages = plan->shape.pages},
        ps_virtual_record(allocator, plan->shape.value),
    };
    ps_status status = ps_virtual_back(allocator, &backing);

    if (status == PS_OK)
        ps_virtual_fill_slack(allocator, &place);
    return status;
}

/* Under the lock, which is left in between. */
static ps_status allocate(struct ps_virtual_allocator *allocator, struct plan *plan)
{
    ps_status status = PS_NO_MEMORY;

    if (!ps_virtual_is_hopeless(allocator, plan->shape.pages))
        status = reserve(allocator, plan);
    if (status != PS_OK)
        return status;
    ps_lock_release(&allocator->lock);
    status = back(allocator, plan);
    ps_virtual_lock(allocator);
    allocator->working--;
    if (status == PS_OK)
        publish(allocator, plan);
    else
        cancel(allocator, plan);
    return status;
}

static ps_status alloc(struct ps_virtual_allocator *allocator,
                       const struct ps_virtual_request *request, struct plan *plan, ps_virt_t *va)
{
    static const struct ps_attribution nobody = {0};
    ps_status status = PS_INVALID_ARGS;

    if (request != NULL && va != NULL)
        status = make_plan(allocator, request, plan);
    if (status == PS_OK)
        status = allocate(allocator, plan);
    if (status == PS_OK)
        *va = ps_virt_add(ps_virtual_page(plan->record.first), plan->record.offset);
    else
        ps_virtual_failed(allocator, status, request == NULL ? 0 : asked_for(request),
                          request == NULL ? &nobody : &request->who);
    return ps_virtual_leave(allocator, status);
}

ps_status ps_virtual_alloc(struct ps_virtual_allocator *allocator,
                           const struct ps_virtual_request *request, ps_virt_t *va)
{
    struct plan plan = {0};
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    return alloc(allocator, request, &plan, va);
}

ps_status ps_virtual_alloc_at(struct ps_virtual_allocator *allocator,
                              const struct ps_virtual_request *request, ps_virt_t va, bool force)
{
    struct plan plan = {.at = va.addr >> PS_PAGE_SHIFT, .force = force};
    ps_status status;

    if (!ps_virtual_enter(allocator, &status))
        return status;
    /* Page 0 is in no arena. */
    if (!ps_is_aligned(va.addr, PS_PAGE_SIZE) || plan.at == 0) {
        allocator->counters.rejected++;
        return ps_virtual_leave(allocator, plan.at == 0 ? PS_OUT_OF_RANGE : PS_INVALID_ARGS);
    }
    return alloc(allocator, request, &plan, &va);
}
