/* Our address arena, and our range tree as one, over our frame pool. */
#include <pagestage/address_arena.h>
#include <pagestage/range_tree.h>

#include <stdio.h>

#include "arena_baseline.h"
#include "frame_baseline.h"
#include "hw/hw.h"

enum { FIRST = 256, GUARD = 1 };

struct store {
    struct ps_arena arena;
    struct ps_range_tree tree;
    struct ps_frame_pool pool;
    struct ps_machine machine;
    struct ps_memory_range range;
    uint64_t pages;
    uint64_t frames;
    uint8_t *memory;
};

static void close(void *self)
{
    struct store *store = self;

    if (store->memory != NULL)
        frame_release(store->memory, store->frames << PS_PAGE_SHIFT);
    frame_release(store, sizeof(*store));
}

static bool start(struct store *store)
{
    struct ps_memory_map map = {.count = 1, .capacity = 1, .ranges = &store->range};

    store->range = (struct ps_memory_range){.first = ps_frame(FIRST),
                                            .pages = ps_pages(store->frames - FIRST)};
    store->machine = (struct ps_machine){.direct_map = (uint64_t)(uintptr_t)store->memory};
    return ps_frame_pool_init(&store->pool, &store->machine, &map) == PS_OK &&
           ps_arena_init(&store->arena, &store->machine, &store->pool, PS_FRAME_HEAP, 0,
                         store->pages, GUARD) == PS_OK &&
           ps_range_tree_init(&store->tree, &store->machine, &store->pool, PS_FRAME_HEAP) == PS_OK;
}

static void *open(uint64_t pages, uint64_t live)
{
    struct store *store = frame_reserve(sizeof(*store), false);

    if (store == NULL)
        return NULL;
    store->pages = pages;
    store->frames = 2048 + live / 20;
    store->memory = frame_reserve(store->frames << PS_PAGE_SHIFT, true);
    if (store->memory != NULL && start(store))
        return store;
    close(store);
    return NULL;
}

static bool alloc(void *self, uint64_t pages, uint64_t align, uint64_t *first)
{
    struct store *store = self;
    const struct ps_arena_request request = {.pages = pages, .align = align};

    return ps_arena_alloc(&store->arena, &request, first) == PS_OK;
}

static bool give(void *self, uint64_t first, uint64_t pages)
{
    struct store *store = self;

    return ps_arena_free(&store->arena, first, pages) == PS_OK;
}

static uint64_t bytes(void *self)
{
    const struct store *store = self;

    return store->arena.frames << PS_PAGE_SHIFT;
}

const struct arena_candidate candidate_arena = {
    .name = "ours",
    .open = open,
    .close = close,
    .alloc = alloc,
    .free = give,
    .bytes = bytes,
};

static bool tree_alloc(void *self, uint64_t pages, uint64_t align, uint64_t *first)
{
    struct store *store = self;
    const struct ps_gap_request request = {.low = GUARD,
                                           .high = store->pages - 1 - GUARD,
                                           .size = pages,
                                           .align = align,
                                           .before = GUARD,
                                           .after = GUARD};
    struct ps_range range;

    if (ps_range_tree_find_gap(&store->tree, &request, first) != PS_OK)
        return false;
    range = (struct ps_range){*first, *first + pages - 1, 0};
    return ps_range_tree_insert(&store->tree, &range) == PS_OK;
}

static bool tree_give(void *self, uint64_t first, uint64_t pages)
{
    struct store *store = self;

    (void)pages;
    return ps_range_tree_erase(&store->tree, first, NULL);
}

static uint64_t tree_bytes(void *self)
{
    const struct store *store = self;

    return store->tree.frames << PS_PAGE_SHIFT;
}

const struct arena_candidate candidate_arena_tree = {
    .name = "tree",
    .open = open,
    .close = close,
    .alloc = tree_alloc,
    .free = tree_give,
    .bytes = tree_bytes,
};
