/* Our frame pool behind the interface of the baselines. */
#include <string.h>

#include <pagestage/frame_pool.h>

#include "frame_loops.h"

enum { MAX_RANGES = 66, FILL_STEP = 4096 };

struct simulated {
    struct ps_frame_pool pool;
    struct ps_machine machine;
    uint64_t span;
    struct ps_memory_range ranges[MAX_RANGES];
};

static uint32_t this_processor(void *context)
{
    (void)context;
    return bench_processor;
}

static void *reserve(const struct frame_setup *setup)
{
    struct simulated *simulated = frame_reserve(sizeof(*simulated), false);
    void *memory;

    if (simulated == NULL)
        return NULL;
    memory = frame_reserve(setup->span << PS_PAGE_SHIFT, setup->large_pages);
    if (memory == NULL) {
        frame_release(simulated, sizeof(*simulated));
        return NULL;
    }
    simulated->span = setup->span;
    simulated->machine = (struct ps_machine){
        .direct_map = (uint64_t)(uintptr_t)memory,
        .physical_bits = 52,
        .levels = 4,
        .no_execute = true,
        .gib_leaves = true,
        .processors = setup->processors,
        .processor = this_processor,
    };
    return simulated;
}

static void release(void *self)
{
    struct simulated *simulated = self;

    frame_release((void *)(uintptr_t)simulated->machine.direct_map,
                  simulated->span << PS_PAGE_SHIFT);
    frame_release(simulated, sizeof(*simulated));
}

/* What the pool asks for; its frames may hold junk. */
static void wipe(void *self)
{
    struct simulated *simulated = self;

    memset(&simulated->pool, 0, sizeof(simulated->pool));
}

static bool start(void *self, const struct frame_range *ranges, size_t count)
{
    struct simulated *simulated = self;
    struct ps_memory_map map = {.ranges = simulated->ranges, .capacity = MAX_RANGES};

    if (count > MAX_RANGES)
        return false;
    for (map.count = 0; map.count < count; map.count++)
        simulated->ranges[map.count] = (struct ps_memory_range){
            .first = ps_frame(ranges[map.count].first),
            .pages = ps_pages(ranges[map.count].frames),
            .type = PS_MEMORY_USABLE,
        };
    return ps_frame_pool_init(&simulated->pool, &simulated->machine, &map) == PS_OK;
}

static inline bool get_tagged(void *self, enum frame_size size, enum ps_frame_tag tag,
                              uint64_t *frame)
{
    struct simulated *simulated = self;
    ps_frame_t first;

    if (ps_frame_pool_alloc(&simulated->pool, (enum ps_frame_size)size, tag, 0, &first) != PS_OK)
        return false;
    *frame = first.number;
    return true;
}

static inline bool get(void *self, enum frame_size size, uint64_t *frame)
{
    return get_tagged(self, size, PS_FRAME_USER, frame);
}

static bool get_other(void *self, uint64_t *frame)
{
    return get_tagged(self, FRAME_4K, PS_FRAME_OBJECT, frame);
}

static inline bool put(void *self, enum frame_size size, uint64_t frame)
{
    struct simulated *simulated = self;

    return ps_frame_pool_free(&simulated->pool, ps_frame(frame),
                              ps_frame_size_pages((enum ps_frame_size)size)) == PS_OK;
}

static bool fill_singles(struct frame_run *run, uint64_t count)
{
    struct simulated *simulated = run->self;
    ps_frame_t frames[FILL_STEP];

    if (ps_frame_pool_alloc_scattered(&simulated->pool, count, PS_FRAME_USER, 0, frames) != PS_OK)
        return false;
    for (uint64_t i = 0; i < count; i++)
        run->handles[run->live++] = (uint32_t)frames[i].number;
    return true;
}

/* The last few are left to be got one by one: all that there are. */
static void fill(struct frame_run *run, uint64_t target)
{
    if (run->size != FRAME_4K)
        return;
    while (run->live < target && fill_singles(run, ps_min(target - run->live, FILL_STEP)))
        ;
}

/* A frame that is taken already, the pool's own for one, has its metadata. */
static bool touch(void *self, uint64_t frame)
{
    struct simulated *simulated = self;
    ps_status status =
        ps_frame_pool_claim(&simulated->pool, ps_frame(frame), ps_pages(1), PS_FRAME_USER);

    if (status == PS_OK)
        status = ps_frame_pool_free(&simulated->pool, ps_frame(frame), ps_pages(1));
    return status == PS_OK || status == PS_ALREADY_EXISTS;
}

static uint64_t metadata(void *self)
{
    struct simulated *simulated = self;
    struct ps_frame_pool_snapshot snapshot;

    ps_frame_pool_snapshot(&simulated->pool, &snapshot);
    return snapshot.metadata << PS_PAGE_SHIFT;
}

FRAME_LOOPS(get, put)

const struct frame_candidate candidate_pool = {
    .name = "ours",
    .reserve = reserve,
    .release = release,
    .wipe = wipe,
    .start = start,
    .get = get,
    .get_other = get_other,
    .put = put,
    .fill = fill,
    .touch = touch,
    .metadata = metadata,
    .loops = FRAME_LOOPS_INIT,
};
