#include "virtual_allocator_private.h"

/* Frames are taken and mapped in batches: the array of a batch lies on the stack. */
enum { BATCH = 64 };

/* ---- counting ---- */

/* What a failed call leaves behind: one of two counters, nothing else. */
static ps_status counted(struct ps_virtual_allocator *allocator, ps_status status)
{
    if (status == PS_NO_MEMORY || status == PS_NO_SPACE || status == PS_ALREADY_EXISTS ||
        status == PS_ACCESS_DENIED)
        allocator->counters.failed++;
    else if (status != PS_OK && status != PS_BAD_STATE)
        allocator->counters.rejected++;
    return status;
}

static void count_pages(struct ps_virtual_allocator *allocator, uint64_t pages)
{
    struct ps_virtual_counters *counters = &allocator->counters;

    counters->live++;
    counters->live_pages += pages;
    counters->peak_pages = ps_max(counters->peak_pages, counters->live_pages);
}

/* ---- init and destroy ---- */

static bool arena_is_valid(ps_virt_t base, ps_pages_t pages, ps_pages_t guard)
{
    return ps_is_aligned(base.addr, PS_PAGE_SIZE) && pages.count != 0 &&
           ps_virt_range_fits(base, pages) && guard.count <= (pages.count - 1) / 2;
}

static bool tag_is_valid(enum ps_frame_tag tag)
{
    return tag > PS_FRAME_METADATA && tag < PS_FRAME_TAG_COUNT;
}

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

ps_status ps_virtual_init(struct ps_virtual_allocator *allocator, struct ps_page_table *table,
                          struct ps_frame_pool *pool, ps_virt_t base, ps_pages_t pages,
                          ps_pages_t guard, enum ps_frame_tag tag)
{
    struct ps_virtual_allocator made = {.table = table,
                                        .pool = pool,
                                        .tag = tag,
                                        .base = base,
                                        .pages = pages,
                                        .guard = guard,
                                        .ready = true};
    ps_status status;

    if (allocator == NULL || table == NULL || pool == NULL)
        return PS_INVALID_ARGS;
    if (allocator->ready)
        return PS_BAD_STATE;
    if (!arena_is_valid(base, pages, guard) || !tag_is_valid(tag))
        return PS_INVALID_ARGS;
    status = check_addresses(table, base, pages);
    if (status == PS_OK)
        status = ps_extents_create(&made);
    if (status == PS_OK)
        *allocator = made;
    return status;
}

ps_status ps_virtual_destroy(struct ps_virtual_allocator *allocator)
{
    if (allocator == NULL)
        return PS_INVALID_ARGS;
    ps_virtual_lock(allocator);
    if (!allocator->ready || allocator->counters.live != 0) {
        ps_lock_release(&allocator->lock);
        return PS_BAD_STATE;
    }
    ps_extents_destroy(allocator);
    *allocator = (struct ps_virtual_allocator){0}; /* and with it the lock */
    return PS_OK;
}

/* ---- backing ---- */

static void give_frames(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct ps_frame_pool *pool = context;

    /* Frames were taken one by one and go back so, also when they are neighbours. */
    for (uint64_t i = 0; i < pages.count; i++) {
        ps_status status = ps_frame_pool_free(pool, ps_frame_add(first, i), ps_pages(1));

        /* Refused only when somebody else gave our frame away; validate tells of it. */
        (void)status;
    }
}

/* Unmap, wait until no processor can reach the frames, then give them back. */
static ps_status remove_backing(struct ps_virtual_allocator *allocator, ps_virt_t va,
                                uint64_t pages)
{
    struct ps_frame_release to_pool = {.release = give_frames, .context = allocator->pool};

    return ps_page_table_unmap(allocator->table, va, ps_pages(pages), &to_pool);
}

static ps_status add_batch(struct ps_virtual_allocator *allocator, ps_virt_t va, uint64_t pages,
                           const struct ps_virtual_request *request)
{
    ps_frame_t frames[BATCH];
    ps_status status = ps_frame_pool_alloc_scattered(allocator->pool, pages, allocator->tag,
                                                     request->flags, frames);

    if (status != PS_OK)
        return PS_NO_MEMORY;
    status = ps_page_table_map(allocator->table, va, frames, ps_pages(pages), request->attr,
                               PS_EXISTING_ERROR);
    if (status != PS_OK)
        for (uint64_t i = pages; i > 0; i--)
            give_frames(allocator->pool, frames[i - 1], ps_pages(1));
    return status;
}

/* All of it or nothing: what is mapped already when a batch fails goes the way of a free. */
static ps_status add_backing(struct ps_virtual_allocator *allocator, ps_virt_t va,
                             const struct ps_virtual_request *request)
{
    uint64_t done = 0;
    ps_status status = PS_OK;

    while (status == PS_OK && done < request->pages.count) {
        uint64_t pages = ps_min(request->pages.count - done, BATCH);

        status = add_batch(allocator, ps_virt_add_pages(va, ps_pages(done)), pages, request);
        if (status == PS_OK)
            done += pages;
    }
    if (status != PS_OK) {
        ps_status undone = remove_backing(allocator, va, done);

        (void)undone; /* unmapping what this call mapped cannot fail */
    }
    return status;
}

/* A request for more than all available frames is refused before the first is taken. */
static bool pool_may_hold(struct ps_frame_pool *pool, uint64_t pages)
{
    return pages <= ps_frame_pool_whole(pool, PS_FRAME_4K);
}

/* ---- allocating ---- */

/* The request with its defaults filled in. */
static struct ps_virtual_request normalised(const struct ps_virtual_allocator *allocator,
                                            const struct ps_virtual_request *request)
{
    struct ps_virtual_request full = *request;

    if (full.alignment.count == 0)
        full.alignment.count = 1;
    if (full.attr.access == 0 && full.attr.cache == 0)
        full.attr = ps_attr_ram(PS_READ | PS_WRITE);
    full.guard.count = ps_max(full.guard.count, allocator->guard.count);
    return full;
}

static bool request_is_valid(const struct ps_virtual_request *full)
{
    return full->pages.count != 0 && ps_is_power_of_two(full->alignment.count) &&
           ps_attr_is_valid(full->attr) && (full->flags & ~(unsigned)PS_FRAME_ZERO) == 0;
}

/* Pages from `page` up to the next multiple of `alignment`, a power of two. */
static uint64_t pages_to_skip(uint64_t page, uint64_t alignment)
{
    uint64_t past = page & (alignment - 1);

    return past == 0 ? 0 : alignment - past;
}

/* The lowest place in the free pages behind `extent`; both neighbours' guards are kept. */
static bool place_in(const struct ps_virtual_allocator *allocator, const struct ps_extent *extent,
                     const struct ps_virtual_request *full, uint64_t *first)
{
    uint64_t end_guard = extent->next != NULL ? extent->next->guard : allocator->guard.count;
    uint64_t before = ps_max(extent->guard, full->guard.count);
    uint64_t behind = ps_max(end_guard, full->guard.count);
    uint64_t room = extent->free;
    uint64_t lowest;
    uint64_t skip;

    if (before > room || behind > room - before)
        return false;
    room -= before + behind;
    lowest = extent->first + extent->pages + before;
    /* It is the address that is aligned; page numbers of 52 bits leave room for any sum. */
    skip = pages_to_skip((allocator->base.addr >> PS_PAGE_SHIFT) + lowest, full->alignment.count);
    if (skip > room || full->pages.count > room - skip)
        return false;
    *first = lowest + skip;
    return true;
}

/* First fit, from the lowest address: what was freed last and fits is not left behind. */
static struct ps_extent *find_place(const struct ps_virtual_allocator *allocator,
                                    const struct ps_virtual_request *full, uint64_t *first)
{
    struct ps_extent *extent = allocator->extents;

    while (extent != NULL && !place_in(allocator, extent, full, first))
        extent = extent->next;
    return extent;
}

/* Cut [first, first + pages) out of the free pages behind `before`. The cell is reserved. */
static void commit(struct ps_virtual_allocator *allocator, struct ps_extent *before, uint64_t first,
                   const struct ps_virtual_request *full)
{
    struct ps_extent *extent = ps_extent_insert(allocator, before);
    uint64_t gap = first - (before->first + before->pages);

    extent->first = first;
    extent->pages = full->pages.count;
    extent->free = before->free - gap - full->pages.count;
    extent->guard = full->guard.count;
    extent->sequence = ++allocator->sequence;
    extent->who = full->who;
    before->free = gap;
    count_pages(allocator, full->pages.count);
}

static ps_status allocate(struct ps_virtual_allocator *allocator,
                          const struct ps_virtual_request *request, ps_virt_t *va)
{
    struct ps_virtual_request full = normalised(allocator, request);
    struct ps_extent *before;
    uint64_t first;
    bool grown;
    ps_status status;

    if (!request_is_valid(&full))
        return PS_INVALID_ARGS;
    before = find_place(allocator, &full, &first);
    if (before == NULL)
        return PS_NO_SPACE;
    if (!pool_may_hold(allocator->pool, full.pages.count) ||
        ps_extents_reserve(allocator, &grown) != PS_OK)
        return PS_NO_MEMORY;
    status = add_backing(allocator, ps_arena_address(allocator, first), &full);
    if (status != PS_OK) {
        ps_extents_cancel(allocator, grown);
        return status;
    }
    commit(allocator, before, first, &full);
    *va = ps_arena_address(allocator, first);
    return PS_OK;
}

ps_status ps_virtual_alloc(struct ps_virtual_allocator *allocator,
                           const struct ps_virtual_request *request, ps_virt_t *va)
{
    ps_status status;

    if (allocator == NULL)
        return PS_INVALID_ARGS;
    ps_virtual_lock(allocator);
    if (!allocator->ready)
        status = PS_BAD_STATE;
    else if (request == NULL || va == NULL)
        status = PS_INVALID_ARGS;
    else
        status = allocate(allocator, request, va);
    status = counted(allocator, status);
    ps_lock_release(&allocator->lock);
    return status;
}

/* ---- freeing ---- */

/* The freed pages join the free ones before or behind them, or come to lie between two parts. */
static void split(struct ps_virtual_allocator *allocator, struct ps_extent *left, uint64_t offset,
                  uint64_t pages)
{
    struct ps_extent *right = ps_extent_insert(allocator, left);

    right->first = left->first + offset + pages;
    right->pages = left->pages - offset - pages;
    right->free = left->free;
    right->guard = left->guard;
    right->sequence = left->sequence;
    right->who = left->who;
    left->pages = offset;
    left->free = pages;
    allocator->counters.live++;
}

static void forget(struct ps_virtual_allocator *allocator, struct ps_extent *extent,
                   uint64_t offset, uint64_t pages)
{
    allocator->counters.live_pages -= pages;
    if (pages == extent->pages) {
        extent->previous->free += extent->pages + extent->free;
        ps_extent_remove(allocator, extent);
        allocator->counters.live--;
    } else if (offset == 0) {
        extent->previous->free += pages;
        extent->first += pages;
        extent->pages -= pages;
    } else if (pages == extent->pages - offset) {
        extent->pages -= pages;
        extent->free += pages;
    } else {
        split(allocator, extent, offset, pages);
    }
}

/* [offset, offset + pages) of `extent`, which lies in it. */
static ps_status release(struct ps_virtual_allocator *allocator, struct ps_extent *extent,
                         uint64_t offset, uint64_t pages)
{
    bool is_middle = offset != 0 && pages != extent->pages - offset;
    bool grown = false;
    ps_status status;

    if (is_middle && ps_extents_reserve(allocator, &grown) != PS_OK)
        return PS_NO_MEMORY;
    status = remove_backing(allocator, ps_arena_address(allocator, extent->first + offset), pages);
    if (status != PS_OK) {
        ps_extents_cancel(allocator, grown);
        return status;
    }
    forget(allocator, extent, offset, pages);
    return PS_OK;
}

static ps_status free_whole(struct ps_virtual_allocator *allocator, ps_virt_t va)
{
    struct ps_extent *extent;
    uint64_t page;

    if (!ps_arena_page(allocator, va, &page))
        return PS_OUT_OF_RANGE;
    extent = ps_extent_at(allocator, page);
    if (extent->pages == 0 || ps_arena_address(allocator, extent->first).addr != va.addr)
        return PS_NOT_FOUND;
    return release(allocator, extent, 0, extent->pages);
}

static ps_status free_part(struct ps_virtual_allocator *allocator, ps_virt_t va, uint64_t pages)
{
    struct ps_extent *extent;
    uint64_t page;

    if (pages == 0 || !ps_is_aligned(va.addr, PS_PAGE_SIZE))
        return PS_INVALID_ARGS;
    if (!ps_arena_page(allocator, va, &page))
        return PS_OUT_OF_RANGE;
    extent = ps_extent_at(allocator, page);
    if (!ps_extent_holds(extent, page))
        return PS_NOT_FOUND;
    if (pages > extent->pages - (page - extent->first))
        return PS_WRONG_SIZE;
    return release(allocator, extent, page - extent->first, pages);
}

ps_status ps_virtual_free(struct ps_virtual_allocator *allocator, ps_virt_t va)
{
    ps_status status;

    if (allocator == NULL)
        return PS_INVALID_ARGS;
    ps_virtual_lock(allocator);
    status = allocator->ready ? free_whole(allocator, va) : PS_BAD_STATE;
    status = counted(allocator, status);
    ps_lock_release(&allocator->lock);
    return status;
}

ps_status ps_virtual_free_part(struct ps_virtual_allocator *allocator, ps_virt_t va,
                               ps_pages_t pages)
{
    ps_status status;

    if (allocator == NULL)
        return PS_INVALID_ARGS;
    ps_virtual_lock(allocator);
    status = allocator->ready ? free_part(allocator, va, pages.count) : PS_BAD_STATE;
    status = counted(allocator, status);
    ps_lock_release(&allocator->lock);
    return status;
}
