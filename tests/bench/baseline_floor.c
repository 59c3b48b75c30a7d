#include "frame_loops.h"

struct counter {
    uint64_t span;
    uint64_t next;
};

static void *reserve(const struct frame_setup *setup)
{
    struct counter *counter = frame_reserve(sizeof(*counter), false);

    if (counter != NULL)
        counter->span = setup->span;
    return counter;
}

static void release(void *self)
{
    frame_release(self, sizeof(struct counter));
}

static bool start(void *self, const struct frame_range *ranges, size_t count)
{
    struct counter *counter = self;

    (void)ranges;
    (void)count;
    counter->next = 0;
    return true;
}

FRAME_OUTLINED get(void *self, enum frame_size size, uint64_t *frame)
{
    struct counter *counter = self;

    (void)size;
    *frame = counter->next++;
    return true;
}

FRAME_OUTLINED put(void *self, enum frame_size size, uint64_t frame)
{
    (void)self;
    (void)size;
    /* Keeps the compiler from dropping the call. */
    __asm__ volatile("" : : "r"(frame));
    return true;
}

static uint64_t metadata(void *self)
{
    (void)self;
    return 0;
}

FRAME_LOOPS(get, put)

const struct frame_candidate baseline_floor = {
    .name = "floor",
    .reserve = reserve,
    .release = release,
    .start = start,
    .get = get,
    .put = put,
    .metadata = metadata,
    .loops = FRAME_LOOPS_INIT,
};
