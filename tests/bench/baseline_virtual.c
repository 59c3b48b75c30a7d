/* Addresses from a baseline arena, frames from the LIFO list, leaves from the walker. */
#include "arena_baseline.h"
#include "frame_baseline.h"
#include "page_baseline.h"
#include "virtual_baseline.h"

#define BASE ((uint64_t)1 << 40)

struct memory {
    const struct arena_candidate *arena;
    void *addresses;
    void *frames;
    void *space;
    ps_frame_t taken[MEMORY_LARGEST]; /* of the call */
};

static void close(void *self)
{
    struct memory *memory = self;

    if (memory->addresses != NULL)
        memory->arena->close(memory->addresses);
    if (memory->frames != NULL)
        baseline_lifo.release(memory->frames);
    if (memory->space != NULL)
        baseline_walker.close(memory->space);
    frame_release(memory, sizeof(*memory));
}

static void *open(const struct memory_candidate *one, uint64_t live)
{
    const struct frame_setup setup = {.span = MEMORY_FRAMES, .processors = 1, .large_pages = true};
    const struct frame_range all = {1, MEMORY_FRAMES - 1};
    struct memory *memory = frame_reserve(sizeof(*memory), false);

    if (memory == NULL)
        return NULL;
    memory->arena = one->parts;
    memory->addresses = memory->arena->open(MEMORY_PAGES, live);
    memory->frames = baseline_lifo.reserve(&setup);
    memory->space = baseline_walker.open();
    if (memory->addresses != NULL && memory->frames != NULL && memory->space != NULL &&
        baseline_lifo.start(memory->frames, &all, 1))
        return memory;
    close(memory);
    return NULL;
}

static uint64_t address(uint64_t page)
{
    return BASE + (page << PS_PAGE_SHIFT);
}

static bool attach(void *self, const ps_frame_t *frames, uint64_t pages, uint64_t *first)
{
    struct memory *memory = self;

    return memory->arena->alloc(memory->addresses, pages, 1, first) &&
           baseline_walker.map(memory->space, address(*first), frames, pages);
}

static bool detach(void *self, uint64_t first, uint64_t pages)
{
    struct memory *memory = self;

    return baseline_walker.unmap(memory->space, address(first), pages) &&
           memory->arena->free(memory->addresses, first, pages);
}

/* There are always enough frames. */
static bool alloc(void *self, uint64_t pages, uint64_t align, uint64_t *first)
{
    struct memory *memory = self;

    if (!memory->arena->alloc(memory->addresses, pages, align, first))
        return false;
    for (uint64_t i = 0; i < pages; i++)
        if (!baseline_lifo.get(memory->frames, FRAME_4K, &memory->taken[i].number))
            return false;
    return baseline_walker.map(memory->space, address(*first), memory->taken, pages);
}

static bool give(void *self, uint64_t first, uint64_t pages)
{
    struct memory *memory = self;

    for (uint64_t i = 0; i < pages; i++)
        if (!baseline_walker.query(memory->space, address(first + i), &memory->taken[i].number))
            return false;
    if (!baseline_walker.unmap(memory->space, address(first), pages))
        return false;
    for (uint64_t i = 0; i < pages; i++)
        if (!baseline_lifo.put(memory->frames, FRAME_4K, memory->taken[i].number))
            return false;
    return memory->arena->free(memory->addresses, first, pages);
}

static uint64_t frame_of(void *self, uint64_t page)
{
    struct memory *memory = self;
    uint64_t frame;

    return baseline_walker.query(memory->space, address(page), &frame) ? frame : 0;
}

#define MEMORY_OF(arena)                                                                       \
    {                                                                                          \
        .name = #arena, .parts = &baseline_arena_##arena, .open = open, .close = close,        \
        .alloc = alloc, .free = give, .attach = attach, .detach = detach, .frame_of = frame_of \
    }

const struct memory_candidate baseline_virtual_bitmap = MEMORY_OF(bitmap);
const struct memory_candidate baseline_virtual_first = MEMORY_OF(first);
const struct memory_candidate baseline_virtual_best = MEMORY_OF(best);
