#include "virtual_allocator_private.h"

#include "hw.h"

struct ps_extent_frame *ps_extent_frame(const struct ps_virtual_allocator *allocator,
                                        ps_frame_t frame)
{
    return ps_hw_frame(allocator->pool->machine, frame);
}

/* ---- the spare cells ---- */

static void spare_push(struct ps_virtual_allocator *allocator, struct ps_extent *cell)
{
    cell->previous = NULL;
    cell->next = allocator->spare;
    if (cell->next != NULL)
        cell->next->previous = cell;
    allocator->spare = cell;
}

static void spare_unlink(struct ps_virtual_allocator *allocator, struct ps_extent *cell)
{
    if (cell->next != NULL)
        cell->next->previous = cell->previous;
    if (cell->previous != NULL)
        cell->previous->next = cell->next;
    else
        allocator->spare = cell->next;
}

static bool spare_has(const struct ps_virtual_allocator *allocator, uint64_t count)
{
    for (const struct ps_extent *cell = allocator->spare; cell != NULL && count != 0;
         cell = cell->next)
        count--;
    return count == 0;
}

/* ---- the frames of cells ---- */

static ps_status frame_add(struct ps_virtual_allocator *allocator)
{
    struct ps_extent_frame *cells;
    ps_frame_t frame;
    ps_status status = ps_frame_pool_alloc(allocator->pool, PS_FRAME_4K, PS_FRAME_HEAP, 0, &frame);

    if (status != PS_OK)
        return status;
    cells = ps_extent_frame(allocator, frame);
    cells->previous = ps_frame(0);
    cells->next = allocator->cells;
    cells->used = 0;
    if (cells->next.number != 0)
        ps_extent_frame(allocator, cells->next)->previous = frame;
    allocator->cells = frame;
    for (unsigned i = PS_EXTENTS_PER_FRAME; i > 0; i--)
        spare_push(allocator, &cells->cells[i - 1]);
    allocator->counters.metadata_frames++;
    return PS_OK;
}

static void frame_unlink(struct ps_virtual_allocator *allocator,
                         const struct ps_extent_frame *cells)
{
    /* The oldest frame is the last in the list and stays: the first extent is in it. */
    ps_extent_frame(allocator, cells->next)->previous = cells->previous;
    if (cells->previous.number != 0)
        ps_extent_frame(allocator, cells->previous)->next = cells->next;
    else
        allocator->cells = cells->next;
}

static void frame_give(struct ps_virtual_allocator *allocator, ps_frame_t frame)
{
    ps_status status = ps_frame_pool_free(allocator->pool, frame, ps_pages(1));

    /* Refused only when somebody else gave our frame away; there is no better place for it. */
    (void)status;
    allocator->counters.metadata_frames--;
}

/* None of its cells is in use. */
static void frame_remove(struct ps_virtual_allocator *allocator, ps_frame_t frame)
{
    struct ps_extent_frame *cells = ps_extent_frame(allocator, frame);

    for (unsigned i = 0; i < PS_EXTENTS_PER_FRAME; i++)
        spare_unlink(allocator, &cells->cells[i]);
    frame_unlink(allocator, cells);
    frame_give(allocator, frame);
}

static ps_frame_t frame_of(const struct ps_virtual_allocator *allocator,
                           const struct ps_extent *cell)
{
    return ps_hw_frame_of(allocator->pool->machine, cell);
}

/* ---- reserving ---- */

ps_status ps_extents_reserve(struct ps_virtual_allocator *allocator, bool *grown)
{
    *grown = allocator->spare == NULL;
    return *grown ? frame_add(allocator) : PS_OK;
}

void ps_extents_cancel(struct ps_virtual_allocator *allocator, bool grown)
{
    if (grown)
        frame_remove(allocator, allocator->cells);
}

/* ---- the extents ---- */

static struct ps_extent *cell_take(struct ps_virtual_allocator *allocator)
{
    struct ps_extent *cell = allocator->spare;

    spare_unlink(allocator, cell);
    ps_extent_frame(allocator, frame_of(allocator, cell))->used++;
    return cell;
}

static void cell_give(struct ps_virtual_allocator *allocator, struct ps_extent *cell)
{
    ps_frame_t frame = frame_of(allocator, cell);
    struct ps_extent_frame *cells = ps_extent_frame(allocator, frame);

    spare_push(allocator, cell);
    cells->used--;
    if (cells->used == 0 && spare_has(allocator, PS_EXTENTS_PER_FRAME + PS_EXTENTS_KEPT))
        frame_remove(allocator, frame);
}

struct ps_extent *ps_extent_insert(struct ps_virtual_allocator *allocator, struct ps_extent *before)
{
    struct ps_extent *extent = cell_take(allocator);

    extent->previous = before;
    extent->next = before->next;
    if (extent->next != NULL)
        extent->next->previous = extent;
    before->next = extent;
    return extent;
}

void ps_extent_remove(struct ps_virtual_allocator *allocator, struct ps_extent *extent)
{
    extent->previous->next = extent->next;
    if (extent->next != NULL)
        extent->next->previous = extent->previous;
    cell_give(allocator, extent);
}

struct ps_extent *ps_extent_at(const struct ps_virtual_allocator *allocator, uint64_t page)
{
    struct ps_extent *extent = allocator->extents;

    while (extent->next != NULL && extent->next->first <= page)
        extent = extent->next;
    return extent;
}

struct ps_virtual_info ps_extent_info(const struct ps_virtual_allocator *allocator,
                                      const struct ps_extent *extent)
{
    return (struct ps_virtual_info){
        .va = ps_arena_address(allocator, extent->first),
        .pages = ps_pages(extent->pages),
        .sequence = extent->sequence,
        .who = extent->who,
    };
}

/* ---- the whole ---- */

ps_status ps_extents_create(struct ps_virtual_allocator *allocator)
{
    ps_status status = frame_add(allocator);

    if (status != PS_OK)
        return status;
    allocator->extents = cell_take(allocator);
    *allocator->extents = (struct ps_extent){
        .free = allocator->pages.count,
        /* Page 0 of the address space is never mapped: a guard even where there is none. */
        .guard =
            allocator->base.addr == 0 ? ps_max(allocator->guard.count, 1) : allocator->guard.count,
    };
    return PS_OK;
}

void ps_extents_destroy(struct ps_virtual_allocator *allocator)
{
    while (allocator->cells.number != 0) {
        ps_frame_t frame = allocator->cells;

        allocator->cells = ps_extent_frame(allocator, frame)->next;
        frame_give(allocator, frame);
    }
}
