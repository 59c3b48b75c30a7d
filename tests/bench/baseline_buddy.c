/*
 * A plain binary buddy: free blocks of 2^0 to 2^18 frames, one doubly linked list an order.
 * A get splits the smallest block that is large enough, a put merges with its buddy as long
 * as that is free and whole. Links are 32-bit frame numbers, which keeps a descriptor at
 * 16 bytes: smaller than any real one, so this baseline is faster than they are.
 */
#include <string.h>

#include <pagestage/lock.h>

#include "frame_loops.h"

#define ORDERS 19u
#define NONE   UINT32_MAX

/* More frames have more heads of blocks here and there than there is memory for large pages. */
#define LARGE_PAGES_UP_TO (64 * PS_GIB >> PS_PAGE_SHIFT)

/* A frame inside a block, or a hole, is NO_HEAD. */
enum state { NO_HEAD, FREE, ALLOCATED };

struct descriptor {
    uint32_t next;
    uint32_t previous;
    uint8_t state;
    uint8_t order;
    uint8_t unused[6];
};
_Static_assert(sizeof(struct descriptor) == 16, "a power of two");

struct buddy {
    struct ps_lock lock;
    uint64_t span;
    uint32_t heads[ORDERS];
    uint32_t filled; /* a bit an order whose list is not empty */
    struct descriptor *frames;
};

static void *reserve(const struct frame_setup *setup)
{
    struct buddy *buddy = frame_reserve(sizeof(*buddy), false);

    if (buddy == NULL)
        return NULL;
    buddy->span = setup->span;
    buddy->frames = frame_reserve(setup->span * sizeof(struct descriptor),
                                  setup->large_pages && setup->span <= LARGE_PAGES_UP_TO);
    if (buddy->frames != NULL)
        return buddy;
    frame_release(buddy, sizeof(*buddy));
    return NULL;
}

static void release(void *self)
{
    struct buddy *buddy = self;

    frame_release(buddy->frames, buddy->span * sizeof(struct descriptor));
    frame_release(buddy, sizeof(*buddy));
}

static void wipe(void *self)
{
    struct buddy *buddy = self;

    memset(buddy->frames, 0, buddy->span * sizeof(struct descriptor));
}

static void push(struct buddy *buddy, uint64_t frame, unsigned order)
{
    struct descriptor *block = &buddy->frames[frame];
    uint32_t next = buddy->heads[order];

    *block =
        (struct descriptor){.next = next, .previous = NONE, .state = FREE, .order = (uint8_t)order};
    if (next != NONE)
        buddy->frames[next].previous = (uint32_t)frame;
    buddy->heads[order] = (uint32_t)frame;
    buddy->filled |= 1u << order;
}

static void unlink_block(struct buddy *buddy, uint64_t frame)
{
    struct descriptor *block = &buddy->frames[frame];

    if (block->previous != NONE)
        buddy->frames[block->previous].next = block->next;
    else
        buddy->heads[block->order] = block->next;
    if (block->next != NONE)
        buddy->frames[block->next].previous = block->previous;
    if (buddy->heads[block->order] == NONE)
        buddy->filled &= ~(1u << block->order);
    block->state = NO_HEAD;
}

/* The largest aligned blocks that make up the range. */
static void add_range(struct buddy *buddy, uint64_t first, uint64_t frames)
{
    while (frames != 0) {
        unsigned order = 63u - (unsigned)__builtin_clzll(frames);

        if (first != 0 && (unsigned)__builtin_ctzll(first) < order)
            order = (unsigned)__builtin_ctzll(first);
        if (order > ORDERS - 1)
            order = ORDERS - 1;
        push(buddy, first, order);
        first += (uint64_t)1 << order;
        frames -= (uint64_t)1 << order;
    }
}

static bool start(void *self, const struct frame_range *ranges, size_t count)
{
    struct buddy *buddy = self;

    buddy->filled = 0;
    for (unsigned order = 0; order < ORDERS; order++)
        buddy->heads[order] = NONE;
    /* From the top, so that the lowest blocks are the heads of their lists. */
    for (size_t i = count; i > 0; i--)
        add_range(buddy, ranges[i - 1].first, ranges[i - 1].frames);
    return true;
}

static bool take(struct buddy *buddy, unsigned order, uint64_t *frame)
{
    uint32_t fitting = buddy->filled >> order;
    unsigned found;

    if (fitting == 0)
        return false;
    found = order + (unsigned)__builtin_ctz(fitting);
    *frame = buddy->heads[found];
    unlink_block(buddy, *frame);
    /* The upper halves stay free. */
    while (found > order) {
        found--;
        push(buddy, *frame + ((uint64_t)1 << found), found);
    }
    buddy->frames[*frame].state = ALLOCATED;
    buddy->frames[*frame].order = (uint8_t)order;
    return true;
}

FRAME_OUTLINED get(void *self, enum frame_size size, uint64_t *frame)
{
    struct buddy *buddy = self;
    bool found;

    ps_lock_acquire(&buddy->lock);
    found = take(buddy, 9u * (unsigned)size, frame);
    ps_lock_release(&buddy->lock);
    return found;
}

static bool give(struct buddy *buddy, unsigned order, uint64_t frame)
{
    if (buddy->frames[frame].state != ALLOCATED || buddy->frames[frame].order != order)
        return false;
    buddy->frames[frame].state = NO_HEAD;
    for (; order < ORDERS - 1; order++) {
        uint64_t other = frame ^ ((uint64_t)1 << order);

        if (other >= buddy->span || buddy->frames[other].state != FREE ||
            buddy->frames[other].order != order)
            break;
        unlink_block(buddy, other);
        frame &= other;
    }
    push(buddy, frame, order);
    return true;
}

FRAME_OUTLINED put(void *self, enum frame_size size, uint64_t frame)
{
    struct buddy *buddy = self;
    bool good;

    if (frame >= buddy->span)
        return false;
    ps_lock_acquire(&buddy->lock);
    good = give(buddy, 9u * (unsigned)size, frame);
    ps_lock_release(&buddy->lock);
    return good;
}

static uint64_t metadata(void *self)
{
    const struct buddy *buddy = self;

    return buddy->span * sizeof(struct descriptor);
}

FRAME_LOOPS(get, put)

const struct frame_candidate baseline_buddy = {
    .name = "buddy",
    .metadata_bytes = sizeof(struct descriptor),
    .lazy = true,
    .reserve = reserve,
    .release = release,
    .wipe = wipe,
    .start = start,
    .get = get,
    .put = put,
    .metadata = metadata,
    .loops = FRAME_LOOPS_INIT,
};
