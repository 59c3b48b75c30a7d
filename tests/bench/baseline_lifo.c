/*
 * One descriptor a frame, as Zircon's and littlekernel's physical memory managers have it. A
 * get takes the head of the free list, a put becomes the head. A large frame is found by
 * looking at the descriptors of each aligned place in turn, beginning behind the last one.
 */
#include <pagestage/lock.h>

#include "frame_loops.h"

enum state { ABSENT, FREE, ALLOCATED };

struct descriptor {
    struct descriptor *next;
    struct descriptor *previous;
    uint32_t state;
    uint32_t unused[3]; /* where theirs have an object, an offset and flags */
};
_Static_assert(sizeof(struct descriptor) == 32, "what theirs have");

struct lifo {
    struct ps_lock lock;
    uint64_t span;
    uint64_t next; /* frame where the next search for a large one begins */
    struct descriptor head;
    struct descriptor *frames;
};

static void *reserve(const struct frame_setup *setup)
{
    struct lifo *lifo = frame_reserve(sizeof(*lifo), false);

    if (lifo == NULL)
        return NULL;
    lifo->span = setup->span;
    lifo->frames = frame_reserve(setup->span * sizeof(struct descriptor), setup->large_pages);
    if (lifo->frames != NULL)
        return lifo;
    frame_release(lifo, sizeof(*lifo));
    return NULL;
}

static void release(void *self)
{
    struct lifo *lifo = self;

    frame_release(lifo->frames, lifo->span * sizeof(struct descriptor));
    frame_release(lifo, sizeof(*lifo));
}

static void push(struct lifo *lifo, struct descriptor *frame)
{
    frame->next = lifo->head.next;
    frame->previous = &lifo->head;
    frame->next->previous = frame;
    lifo->head.next = frame;
    frame->state = FREE;
}

static void unlink_frame(struct descriptor *frame)
{
    frame->next->previous = frame->previous;
    frame->previous->next = frame->next;
    frame->state = ALLOCATED;
}

static void add_range(struct lifo *lifo, const struct frame_range *range)
{
    /* Appended, so that frames come out in ascending order at first. */
    for (uint64_t i = 0; i < range->frames; i++) {
        struct descriptor *frame = &lifo->frames[range->first + i];

        frame->previous = lifo->head.previous;
        frame->next = &lifo->head;
        frame->previous->next = frame;
        lifo->head.previous = frame;
        frame->state = FREE;
    }
}

static bool start(void *self, const struct frame_range *ranges, size_t count)
{
    struct lifo *lifo = self;

    lifo->next = 0;
    lifo->head.next = lifo->head.previous = &lifo->head;
    for (size_t i = 0; i < count; i++)
        add_range(lifo, &ranges[i]);
    return true;
}

/* How many of the `frames` descriptors from `first` on have that state, up to the first other. */
static uint64_t alike(const struct lifo *lifo, uint64_t first, uint64_t frames, enum state state)
{
    uint64_t count = 0;

    while (count < frames && lifo->frames[first + count].state == state)
        count++;
    return count;
}

/* The first aligned place in [first, end) that is all free. */
static bool find_large(const struct lifo *lifo, uint64_t first, uint64_t end, uint64_t frames,
                       uint64_t *found)
{
    for (; first < end && lifo->span - first >= frames; first += frames) {
        if (alike(lifo, first, frames, FREE) == frames) {
            *found = first;
            return true;
        }
    }
    return false;
}

static bool get_large(struct lifo *lifo, uint64_t frames, uint64_t *frame)
{
    uint64_t from = ps_align_down(lifo->next, frames);

    if (!find_large(lifo, from, lifo->span, frames, frame) &&
        !find_large(lifo, 0, from, frames, frame))
        return false;
    for (uint64_t i = 0; i < frames; i++)
        unlink_frame(&lifo->frames[*frame + i]);
    lifo->next = *frame + frames < lifo->span ? *frame + frames : 0;
    return true;
}

static bool get_single(struct lifo *lifo, uint64_t *frame)
{
    struct descriptor *first = lifo->head.next;

    if (first == &lifo->head)
        return false;
    unlink_frame(first);
    *frame = (uint64_t)(first - lifo->frames);
    return true;
}

FRAME_OUTLINED get(void *self, enum frame_size size, uint64_t *frame)
{
    struct lifo *lifo = self;
    bool found;

    ps_lock_acquire(&lifo->lock);
    found = size == FRAME_4K ? get_single(lifo, frame) : get_large(lifo, frame_count(size), frame);
    ps_lock_release(&lifo->lock);
    return found;
}

static bool put_large(struct lifo *lifo, uint64_t first, uint64_t frames)
{
    if (lifo->span - first < frames || alike(lifo, first, frames, ALLOCATED) != frames)
        return false;
    for (uint64_t i = 0; i < frames; i++)
        push(lifo, &lifo->frames[first + i]);
    return true;
}

FRAME_OUTLINED put(void *self, enum frame_size size, uint64_t frame)
{
    struct lifo *lifo = self;
    bool good;

    if (frame >= lifo->span)
        return false;
    ps_lock_acquire(&lifo->lock);
    if (size == FRAME_4K) {
        good = lifo->frames[frame].state == ALLOCATED;
        if (good)
            push(lifo, &lifo->frames[frame]);
    } else {
        good = put_large(lifo, frame, frame_count(size));
    }
    ps_lock_release(&lifo->lock);
    return good;
}

static uint64_t metadata(void *self)
{
    const struct lifo *lifo = self;

    return lifo->span * sizeof(struct descriptor);
}

FRAME_LOOPS(get, put)

const struct frame_candidate baseline_lifo = {
    .name = "lifo",
    .metadata_bytes = sizeof(struct descriptor),
    .reserve = reserve,
    .release = release,
    .start = start,
    .get = get,
    .put = put,
    .metadata = metadata,
    .loops = FRAME_LOOPS_INIT,
};
