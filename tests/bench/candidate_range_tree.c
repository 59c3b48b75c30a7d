/* Our range tree behind the interface of the baselines, over our frame pool. */
#include "frame_baseline.h"
#include "hw/hw.h"
#include "range_baseline.h"

enum { FIRST = 256 };

struct store {
    struct ps_range_tree tree;
    struct ps_frame_pool pool;
    struct ps_machine machine;
    struct ps_memory_range range;
    uint64_t frames;
    uint8_t *memory;
};

static void start(struct store *store)
{
    if (ps_range_tree_init(&store->tree, &store->machine, &store->pool, PS_FRAME_HEAP) != PS_OK)
        fprintf(stderr, "bench: no range tree\n");
}

static void close(void *self)
{
    struct store *store = self;

    frame_release(store->memory, store->frames << PS_PAGE_SHIFT);
    frame_release(store, sizeof(*store));
}

static void *open(uint64_t ranges)
{
    struct store *store = frame_reserve(sizeof(*store), false);
    struct ps_memory_map map = {.count = 1, .capacity = 1};

    if (store == NULL)
        return NULL;
    store->frames = 2048 + ranges / 64;
    store->memory = frame_reserve(store->frames << PS_PAGE_SHIFT, true);
    if (store->memory == NULL) {
        frame_release(store, sizeof(*store));
        return NULL;
    }
    store->range = (struct ps_memory_range){.first = ps_frame(FIRST),
                                            .pages = ps_pages(store->frames - FIRST)};
    map.ranges = &store->range;
    store->machine = (struct ps_machine){.direct_map = (uint64_t)(uintptr_t)store->memory};
    if (ps_frame_pool_init(&store->pool, &store->machine, &map) != PS_OK) {
        close(store);
        return NULL;
    }
    start(store);
    return store;
}

static void empty(void *self)
{
    struct store *store = self;

    if (ps_range_tree_destroy(&store->tree) == PS_OK)
        start(store);
}

static bool insert(void *self, const struct ps_range *range)
{
    struct store *store = self;

    return ps_range_tree_insert(&store->tree, range) == PS_OK;
}

static bool find(void *self, uint64_t key, struct ps_range *range)
{
    const struct store *store = self;

    return ps_range_tree_find(&store->tree, key, range);
}

static bool erase(void *self, uint64_t first, struct ps_range *erased)
{
    struct store *store = self;

    return ps_range_tree_erase(&store->tree, first, erased);
}

static bool replace(void *self, const struct ps_range *range)
{
    struct store *store = self;

    return ps_range_tree_replace(&store->tree, range) == PS_OK;
}

static uint64_t sum(void *self)
{
    const struct store *store = self;
    struct ps_range_cursor cursor = ps_range_tree_cursor(&store->tree, 0);
    struct ps_range range;
    uint64_t sum = 0;

    while (ps_range_cursor_next(&cursor, &range))
        sum += range.value;
    return sum;
}

static bool gap(void *self, uint64_t size, uint64_t *first)
{
    const struct store *store = self;
    const struct ps_gap_request request = {.high = UINT64_MAX, .size = size};

    return ps_range_tree_find_gap(&store->tree, &request, first) == PS_OK;
}

static uint64_t bytes(void *self)
{
    const struct store *store = self;

    return store->tree.frames << PS_PAGE_SHIFT;
}

const struct range_candidate candidate_range_tree = {
    .name = "ours",
    .open = open,
    .close = close,
    .empty = empty,
    .insert = insert,
    .find = find,
    .erase = erase,
    .cut = replace,
    .join = replace,
    .sum = sum,
    .gap = gap,
    .bytes = bytes,
};
