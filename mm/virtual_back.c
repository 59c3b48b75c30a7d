/* Frames behind pages, without the allocator's lock: whoever calls has reserved the pages. */
#include "virtual_allocator_private.h"

/* Frames are taken and mapped in batches: the array of a batch lies on the stack. */
enum { BATCH = 64 };

/* So many single frames are taken one by one: that is quicker than all at once. */
enum { FEW = 8 };

/* ---- giving frames back ---- */

static bool give(struct ps_frame_pool *pool, ps_frame_t first, enum ps_frame_size size)
{
    ps_pages_t pages = ps_frame_size_pages(size);

    return ps_is_aligned(first.number, pages.count) &&
           ps_frame_pool_free(pool, first, pages) == PS_OK;
}

/* A page of a large frame that goes without the others: from now on it is one of many. */
static void give_single(struct ps_frame_pool *pool, ps_frame_t frame)
{
    if (give(pool, frame, PS_FRAME_4K))
        return;
    for (enum ps_frame_size size = PS_FRAME_2M; size <= PS_FRAME_1G; size++) {
        ps_pages_t pages = ps_frame_size_pages(size);
        ps_frame_t unit = ps_frame(ps_align_down(frame.number, pages.count));
        ps_status status = ps_frame_pool_split(pool, unit, pages);

        (void)status; /* refused for all sizes but the one that it has */
    }
    /* Refused only when somebody else gave our frame away; validate tells of it. */
    (void)give(pool, frame, PS_FRAME_4K);
}

void ps_virtual_give_frames(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct ps_frame_pool *pool = context;

    for (uint64_t done = 0; done < pages.count;) {
        enum ps_frame_size size = PS_FRAME_1G;
        ps_frame_t frame = ps_frame_add(first, done);

        while (size > PS_FRAME_4K &&
               (ps_frame_size_pages(size).count > pages.count - done || !give(pool, frame, size)))
            size--;
        if (size == PS_FRAME_4K)
            give_single(pool, frame);
        done += ps_frame_size_pages(size).count;
    }
}

void ps_virtual_unback(struct ps_virtual_allocator *allocator, uint64_t first, uint64_t pages,
                       bool release)
{
    struct ps_frame_release to_pool = {ps_virtual_give_frames, allocator->pool};
    ps_status status = ps_page_table_unmap(allocator->table, ps_virtual_page(first),
                                           ps_pages(pages), release ? &to_pool : NULL);

    /* Fails only when somebody froze the table just now; then what it maps stays as it is. */
    (void)status;
}

/* ---- taking frames ---- */

/* Where the backing of a range stands. */
struct work {
    struct ps_virtual_allocator *allocator;
    const struct ps_virtual_backing *backing;
    uint64_t done;           /* pages */
    enum ps_frame_size size; /* the largest frames worth asking for */
};

static uint64_t page_of(const struct work *work)
{
    return work->backing->first + work->done;
}

static uint64_t left(const struct work *work)
{
    return work->backing->pages - work->done;
}

/* New memory that nobody asked to be zero shows whoever takes it for that. */
static void fill(const struct work *work, const ps_frame_t *frames, uint64_t count)
{
    const struct ps_machine *machine = work->allocator->table->machine;

    if ((work->allocator->config.flags & PS_VIRTUAL_FILL) == 0 ||
        (work->backing->flags & PS_FRAME_ZERO) != 0)
        return;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *bytes = ps_hw_frame(machine, frames[i]);

        for (uint64_t at = 0; at < PS_PAGE_SIZE; at++)
            bytes[at] = PS_VIRTUAL_FILL_BYTE;
    }
}

static void fill_run(const struct work *work, ps_frame_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        ps_frame_t frame = ps_frame_add(first, i);

        fill(work, &frame, 1);
    }
}

static unsigned zero_flag(const struct work *work)
{
    return work->backing->flags & PS_FRAME_ZERO;
}

static ps_status map_run(struct work *work, ps_frame_t first, ps_pages_t pages)
{
    bool small = (work->backing->flags & PS_VIRTUAL_SMALL_LEAVES) != 0;
    ps_status status;

    fill_run(work, first, pages.count);
    status = ps_page_table_map_run(work->allocator->table, ps_virtual_page(page_of(work)), first,
                                   pages, work->backing->attr, small ? PS_MAP_SMALL : 0);
    if (status != PS_OK)
        ps_virtual_give_frames(work->allocator->pool, first, pages);
    else
        work->done += pages.count;
    return status;
}

/* A large frame fits here, and may be had. */
static bool large_fits(const struct work *work, enum ps_frame_size size)
{
    uint64_t pages = ps_frame_size_pages(size).count;

    return ps_is_aligned(page_of(work), pages) && pages <= left(work);
}

/* One large frame in one leaf. Where there is none, or none to promise for cutting it: smaller. */
static ps_status add_large(struct work *work)
{
    enum ps_frame_size size = work->size;
    ps_frame_t frame;
    ps_status status = PS_NO_MEMORY;

    while (size > PS_FRAME_4K && !large_fits(work, size))
        size--;
    if (size == PS_FRAME_4K)
        return PS_NOT_FOUND;
    if (ps_frame_pool_alloc(work->allocator->pool, size, work->allocator->config.tag,
                            zero_flag(work), &frame) == PS_OK)
        status = map_run(work, frame, ps_frame_size_pages(size));
    if (status != PS_NO_MEMORY)
        return status;
    work->size = size - 1;
    return add_large(work);
}

/* Up to the next place for a large frame. */
static uint64_t batch_pages(const struct work *work)
{
    uint64_t chunk = ps_frame_size_pages(PS_FRAME_2M).count;
    uint64_t pages = ps_min(left(work), BATCH);

    return work->size == PS_FRAME_4K ? pages : ps_min(pages, chunk - page_of(work) % chunk);
}

static void give_singles(struct ps_frame_pool *pool, const ps_frame_t *frames, uint64_t count)
{
    while (count > 0)
        give_single(pool, frames[--count]);
}

/* All or none. */
static ps_status take_singles(const struct work *work, ps_frame_t *frames, uint64_t count)
{
    struct ps_frame_pool *pool = work->allocator->pool;
    enum ps_frame_tag tag = work->allocator->config.tag;
    ps_status status = PS_OK;
    uint64_t taken = 0;

    if (count > FEW)
        return ps_frame_pool_alloc_scattered(pool, count, tag, zero_flag(work), frames);
    for (; status == PS_OK && taken < count; taken += status == PS_OK)
        status = ps_frame_pool_alloc(pool, PS_FRAME_4K, tag, zero_flag(work), &frames[taken]);
    if (status != PS_OK)
        give_singles(pool, frames, taken);
    return status;
}

static ps_status add_batch(struct work *work)
{
    struct ps_virtual_allocator *allocator = work->allocator;
    uint64_t pages = batch_pages(work);
    ps_frame_t frames[BATCH];
    ps_status status = take_singles(work, frames, pages);

    if (status != PS_OK)
        return PS_NO_MEMORY;
    fill(work, frames, pages);
    status = ps_page_table_map(allocator->table, ps_virtual_page(page_of(work)), frames,
                               ps_pages(pages), work->backing->attr, PS_EXISTING_ERROR);
    if (status == PS_OK)
        work->done += pages;
    else
        give_singles(allocator->pool, frames, pages);
    return status;
}

/* One run for all, made of single frames: any part of it can go back. */
static ps_status add_contiguous(struct work *work)
{
    uint64_t chunk = ps_frame_size_pages(PS_FRAME_2M).count;
    struct ps_frame_run run = {.pages = ps_pages(left(work)),
                               .alignment = large_fits(work, PS_FRAME_2M) ? chunk : 1,
                               .limit = PS_FRAME_ANY,
                               .tag = work->allocator->config.tag,
                               .flags = zero_flag(work)};
    struct ps_frame_pool *pool = work->allocator->pool;
    ps_frame_t first;
    ps_status status = ps_frame_pool_alloc_run(pool, &run, &first);

    if (status == PS_NO_SPACE && run.alignment != 1) {
        run.alignment = 1;
        status = ps_frame_pool_alloc_run(pool, &run, &first);
    }
    if (status == PS_OK && run.pages.count > 1)
        status = ps_frame_pool_split(pool, first, run.pages);
    if (status != PS_OK)
        return status == PS_NO_SPACE ? PS_NO_SPACE : PS_NO_MEMORY;
    return map_run(work, first, run.pages);
}

static enum ps_frame_size largest_frames(const struct ps_virtual_allocator *allocator,
                                         const struct ps_virtual_backing *backing)
{
    if ((backing->flags & PS_VIRTUAL_SMALL_LEAVES) != 0)
        return PS_FRAME_4K;
    return allocator->table->machine->gib_leaves ? PS_FRAME_1G : PS_FRAME_2M;
}

static ps_status add_some(struct work *work)
{
    ps_status status = PS_NOT_FOUND;

    if (work->size != PS_FRAME_4K)
        status = add_large(work);
    return status == PS_NOT_FOUND ? add_batch(work) : status;
}

ps_status ps_virtual_back(struct ps_virtual_allocator *allocator,
                          const struct ps_virtual_backing *backing)
{
    struct work work = {
        .allocator = allocator, .backing = backing, .size = largest_frames(allocator, backing)};
    bool must = (backing->flags & PS_VIRTUAL_CONTIGUOUS) != 0;
    ps_status status = PS_OK;

    if (must || (backing->flags & PS_VIRTUAL_CLUSTERED) != 0)
        status = add_contiguous(&work);
    if (!must && (status == PS_NO_SPACE || status == PS_NO_MEMORY))
        status = PS_OK;
    while (status == PS_OK && left(&work) != 0)
        status = add_some(&work);
    if (status != PS_OK)
        ps_virtual_unback(allocator, backing->first, work.done, true);
    return status;
}

bool ps_virtual_is_hopeless(const struct ps_virtual_allocator *allocator, uint64_t pages)
{
    return pages > ps_frame_pool_whole(allocator->pool, PS_FRAME_4K);
}

/* ---- the same frames elsewhere ---- */

/* Pages side by side in the new place, of frames that are not. */
struct batch {
    uint64_t to;
    uint64_t pages;
    ps_attr_t attr;
    ps_frame_t frames[BATCH];
};

static ps_status flush(struct ps_page_table *table, struct batch *batch)
{
    ps_status status = PS_OK;

    if (batch->pages != 0)
        status = ps_page_table_map(table, ps_virtual_page(batch->to), batch->frames,
                                   ps_pages(batch->pages), batch->attr, PS_EXISTING_ERROR);
    if (status == PS_OK)
        batch->to += batch->pages;
    batch->pages = 0;
    return status;
}

static ps_status alias_small(struct ps_page_table *table, struct batch *batch,
                             const struct ps_translation *leaf)
{
    ps_status status = PS_OK;

    if (batch->pages == BATCH || !ps_attr_equal(batch->attr, leaf->attr))
        status = flush(table, batch);
    batch->attr = leaf->attr;
    batch->frames[batch->pages++] = leaf->frame;
    return status;
}

static ps_status alias_large(struct ps_page_table *table, struct batch *batch,
                             const struct ps_translation *leaf, uint64_t pages)
{
    ps_status status = flush(table, batch);

    if (status == PS_OK)
        status = ps_page_table_map_run(table, ps_virtual_page(batch->to), leaf->frame,
                                       ps_pages(pages), leaf->attr, 0);
    if (status == PS_OK)
        batch->to += pages;
    return status;
}

ps_status ps_virtual_alias(struct ps_virtual_allocator *allocator, uint64_t from, uint64_t to,
                           uint64_t pages)
{
    struct batch batch = {.to = to};
    struct ps_page_table *table = allocator->table;
    ps_status status = PS_OK;

    for (uint64_t done = 0; status == PS_OK && done < pages;) {
        struct ps_translation leaf;
        uint64_t span;

        status = ps_page_table_query(table, ps_virtual_page(from + done), &leaf);
        if (status != PS_OK)
            break;
        span = (uint64_t)1 << (9u * (leaf.leaf - 1u));
        span = ps_min(span - (from + done) % span, pages - done);
        status = leaf.leaf == PS_LEAF_4K ? alias_small(table, &batch, &leaf)
                                         : alias_large(table, &batch, &leaf, span);
        done += span;
    }
    if (status == PS_OK)
        status = flush(table, &batch);
    if (status != PS_OK)
        ps_virtual_unback(allocator, to, batch.to - to, false);
    return status;
}
