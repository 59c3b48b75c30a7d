#include "cells_private.h"

/* ---- init and destroy ---- */

ps_status ps_cells_init(struct ps_cells *cells, const struct ps_machine *machine,
                        struct ps_frame_pool *pool, enum ps_frame_tag tag, uint32_t bytes)
{
    if (cells == NULL || machine == NULL || pool == NULL)
        return PS_INVALID_ARGS;
    if (cells->pool != NULL || pool->machine == NULL)
        return PS_BAD_STATE;
    if (pool->machine != machine || tag <= PS_FRAME_DAMAGED || tag >= PS_FRAME_TAG_COUNT ||
        bytes == 0 || bytes % 8 != 0 || bytes > (PS_PAGE_SIZE - PS_CELL_HEAD) / 2)
        return PS_INVALID_ARGS;
    *cells = (struct ps_cells){.machine = machine, .pool = pool, .tag = tag, .bytes = bytes};
    return PS_OK;
}

ps_status ps_cells_destroy(struct ps_cells *cells)
{
    if (cells == NULL)
        return PS_INVALID_ARGS;
    if (cells->pool == NULL || cells->used != 0)
        return PS_BAD_STATE;
    ps_cells_trim(cells);
    *cells = (struct ps_cells){0};
    return PS_OK;
}

/* ---- the list of frames with a free cell ---- */

static struct ps_cell_frame *frame_of(const struct ps_cells *cells, uint64_t cell)
{
    return ps_cells_at(cells, ps_align_down(cell, PS_PAGE_SIZE));
}

/* Between two frames of the list, or at one of its ends. */
static void link_frame(struct ps_cells *cells, uint64_t frame, uint64_t previous, uint64_t next)
{
    struct ps_cell_frame *head = frame_of(cells, frame);

    head->previous = previous;
    head->next = next;
    *(previous != 0 ? &frame_of(cells, previous)->next : &cells->first) = frame;
    *(next != 0 ? &frame_of(cells, next)->previous : &cells->last) = frame;
}

static void unlink_frame(struct ps_cells *cells, uint64_t frame)
{
    const struct ps_cell_frame *head = frame_of(cells, frame);

    *(head->previous != 0 ? &frame_of(cells, head->previous)->next : &cells->first) = head->next;
    *(head->next != 0 ? &frame_of(cells, head->next)->previous : &cells->last) = head->previous;
}

/* ---- frames ---- */

static ps_status add_frame(struct ps_cells *cells)
{
    struct ps_cell_frame *head;
    ps_frame_t frame;
    ps_status status = ps_frame_pool_alloc(cells->pool, PS_FRAME_4K, cells->tag, 0, &frame);

    if (status != PS_OK)
        return status;
    head = ps_hw_frame(cells->machine, frame);
    head->used = 0;
    head->fresh = 0;
    head->vacant = 0;
    link_frame(cells, ps_phys_of_frame(frame).addr, cells->last, 0);
    cells->spare += ps_cells_a_frame(cells);
    cells->frames++;
    return PS_OK;
}

static void remove_frame(struct ps_cells *cells, uint64_t frame)
{
    ps_status status;

    unlink_frame(cells, frame);
    cells->spare -= ps_cells_a_frame(cells);
    cells->frames--;
    status = ps_frame_pool_free(cells->pool, ps_frame_of_phys(ps_phys(frame)), ps_pages(1));
    /* Refused only when somebody else gave our frame away; there is no better place for it. */
    (void)status;
}

/* Frames without a cell in use go, but for those that the reserve needs. */
static void release_frames(struct ps_cells *cells)
{
    while (cells->last != 0 && frame_of(cells, cells->last)->used == 0 &&
           cells->spare - ps_cells_a_frame(cells) >= cells->reserved)
        remove_frame(cells, cells->last);
}

ps_status ps_cells_reserve(struct ps_cells *cells, uint64_t count)
{
    ps_status status = PS_OK;
    uint64_t added = 0;

    while (status == PS_OK && cells->spare < count) {
        status = add_frame(cells);
        added += status == PS_OK;
    }
    for (; status != PS_OK && added > 0; added--)
        remove_frame(cells, cells->last);
    if (status == PS_OK)
        cells->reserved = ps_max(cells->reserved, count);
    return status;
}

void ps_cells_unreserve(struct ps_cells *cells, uint64_t count)
{
    cells->reserved = ps_min(cells->reserved, count);
    release_frames(cells);
}

void ps_cells_trim(struct ps_cells *cells)
{
    ps_cells_unreserve(cells, 0);
}

/* ---- cells ---- */

uint64_t ps_cells_take(struct ps_cells *cells)
{
    struct ps_cell_frame *head;
    uint64_t cell;

    if (cells->first == 0 && add_frame(cells) != PS_OK)
        return 0;
    head = frame_of(cells, cells->first);
    cell = head->vacant;
    if (cell != 0)
        head->vacant = *(uint64_t *)ps_cells_at(cells, cell);
    else
        cell = cells->first + PS_CELL_HEAD + (uint64_t)head->fresh++ * cells->bytes;
    cells->used++;
    cells->spare--;
    cells->reserved -= cells->reserved != 0;
    if (++head->used == ps_cells_a_frame(cells))
        unlink_frame(cells, cells->first);
    return cell;
}

void ps_cells_put(struct ps_cells *cells, uint64_t cell)
{
    uint64_t frame = ps_align_down(cell, PS_PAGE_SIZE);
    struct ps_cell_frame *head = frame_of(cells, frame);

    *(uint64_t *)ps_cells_at(cells, cell) = head->vacant;
    head->vacant = cell;
    cells->used--;
    cells->spare++;
    if (head->used-- == ps_cells_a_frame(cells))
        link_frame(cells, frame, 0, cells->first);
    if (head->used != 0)
        return;
    unlink_frame(cells, frame);
    link_frame(cells, frame, cells->last, 0);
    release_frames(cells);
}

/* ---- checking ---- */

static bool breach(const struct ps_sink *sink, uint64_t frame, const char *what)
{
    ps_print(sink, "cells: frame 0x%" PS_PRIx ": %s\n", frame, what);
    return false;
}

/* As many free cells as there should be, each in the frame and on a cell's place. */
static bool vacant_cells_are_right(const struct ps_cells *cells, uint64_t frame,
                                   const struct ps_cell_frame *head)
{
    uint64_t count = 0;

    for (uint64_t cell = head->vacant; cell != 0; cell = *(uint64_t *)ps_cells_at(cells, cell)) {
        uint64_t offset = cell & PS_PAGE_MASK;

        if (ps_align_down(cell, PS_PAGE_SIZE) != frame || offset < PS_CELL_HEAD ||
            (offset - PS_CELL_HEAD) % cells->bytes != 0 || ++count > head->fresh)
            return false;
    }
    return head->fresh <= ps_cells_a_frame(cells) && head->used == head->fresh - count;
}

static bool frame_is_ours(const struct ps_cells *cells, uint64_t frame)
{
    struct ps_frame_info info = {0};
    ps_status status = ps_frame_pool_query(cells->pool, ps_frame_of_phys(ps_phys(frame)), &info);

    (void)status; /* it answers for any frame */
    return info.managed && info.tag == cells->tag;
}

static bool frame_is_right(const struct ps_cells *cells, uint64_t frame, uint64_t previous,
                           const struct ps_sink *sink)
{
    const struct ps_cell_frame *head;

    if (!ps_is_aligned(frame, PS_PAGE_SIZE) || !frame_is_ours(cells, frame))
        return breach(sink, frame, "not ours");
    head = frame_of(cells, frame);
    if (head->previous != previous)
        return breach(sink, frame, "not linked back");
    if (!vacant_cells_are_right(cells, frame, head))
        return breach(sink, frame, "wrong count of free cells");
    if (head->used == ps_cells_a_frame(cells))
        return breach(sink, frame, "full, and in the list");
    return true;
}

ps_status ps_cells_validate(const struct ps_cells *cells, const struct ps_sink *sink)
{
    uint64_t previous = 0;
    uint64_t spare = 0;

    if (cells == NULL || cells->pool == NULL)
        return cells == NULL ? PS_INVALID_ARGS : PS_BAD_STATE;
    for (uint64_t frame = cells->first; frame != 0;) {
        /* Each knows the one before: so there is an end. */
        if (!frame_is_right(cells, frame, previous, sink))
            return PS_CORRUPT;
        spare += ps_cells_a_frame(cells) - frame_of(cells, frame)->used;
        previous = frame;
        frame = frame_of(cells, frame)->next;
    }
    if (cells->last != previous || spare != cells->spare ||
        cells->frames * ps_cells_a_frame(cells) != cells->used + spare) {
        breach(sink, previous, "the counts do not fit the list");
        return PS_CORRUPT;
    }
    return PS_OK;
}
