/* Our virtual allocator with all the layers below it. */
#include <string.h>

#include "frame_baseline.h"
#include "hw/hw.h"
#include "virtual_baseline.h"
#include "virtual_bench.h"

/* The first frames of a machine are kept for those who need low ones: ours begin behind them. */
enum { FIRST = 4096, GUARD = 1, JUNK = 0xa5 };

void virtual_stage_close(struct virtual_stage *stage)
{
    if (stage->memory != NULL)
        frame_release(stage->memory, MEMORY_FRAMES << PS_PAGE_SHIFT);
    frame_release(stage, sizeof(*stage));
}

static bool start(struct virtual_stage *stage)
{
    struct ps_memory_map map = {.ranges = &stage->range, .count = 1, .capacity = 1};
    const struct ps_virtual_config config = {.base = ps_virt(VIRTUAL_BASE),
                                             .pages = ps_pages(MEMORY_PAGES),
                                             .guard = ps_pages(GUARD),
                                             .alignment = ps_pages(512),
                                             .tag = PS_FRAME_VIRTUAL};
    uint64_t first = VIRTUAL_BASE >> PS_PAGE_SHIFT;

    stage->range = (struct ps_memory_range){.first = ps_frame(FIRST),
                                            .pages = ps_pages(MEMORY_FRAMES - FIRST),
                                            .type = PS_MEMORY_USABLE};
    stage->machine = (struct ps_machine){
        .direct_map = (uint64_t)(uintptr_t)stage->memory,
        .physical_bits = 52,
        .levels = 4,
        .no_execute = true,
        .gib_leaves = true,
        .global_leaves = true,
        .flush_threshold = 32,
        .cache_types = &stage->types,
        .processors = 1,
    };
    return ps_frame_pool_init(&stage->pool, &stage->machine, &map) == PS_OK &&
           ps_cache_types_init(&stage->types, &stage->pool, &map) == PS_OK &&
           ps_page_table_create(&stage->table, &stage->machine, &stage->pool) == PS_OK &&
           ps_virtual_init(&stage->virtual, &stage->table, &stage->pool, &config) == PS_OK &&
           ps_arena_init(&stage->attached, &stage->machine, &stage->pool, PS_FRAME_HEAP,
                         first + MEMORY_PAGES, MEMORY_PAGES, GUARD) == PS_OK;
}

struct virtual_stage *virtual_stage_open(void)
{
    struct virtual_stage *stage = frame_reserve(sizeof(*stage), false);

    if (stage == NULL)
        return NULL;
    stage->memory = frame_reserve(MEMORY_FRAMES << PS_PAGE_SHIFT, true);
    if (stage->memory != NULL) {
        memset(stage->memory, JUNK, MEMORY_FRAMES << PS_PAGE_SHIFT);
        if (start(stage))
            return stage;
    }
    virtual_stage_close(stage);
    return NULL;
}

uint64_t virtual_stage_wrong(struct virtual_stage *stage)
{
    return (uint64_t)(ps_virtual_validate(&stage->virtual, NULL) != PS_OK) +
           (ps_page_table_validate(&stage->table, NULL) != PS_OK) +
           (ps_frame_pool_validate(&stage->pool, NULL) != PS_OK);
}

/* ---- as a candidate ---- */

static void *open(const struct memory_candidate *one, uint64_t live)
{
    (void)one;
    (void)live;
    return virtual_stage_open();
}

static void close(void *self)
{
    virtual_stage_close(self);
}

static bool alloc(void *self, uint64_t pages, uint64_t align, uint64_t *first)
{
    struct virtual_stage *stage = self;
    const struct ps_virtual_request request = {.pages = ps_pages(pages),
                                               .alignment = ps_pages(align)};
    ps_virt_t va;

    if (ps_virtual_alloc(&stage->virtual, &request, &va) != PS_OK)
        return false;
    *first = va.addr >> PS_PAGE_SHIFT;
    return true;
}

/* Who frees need not know how much it is. */
static bool give(void *self, uint64_t first, uint64_t pages)
{
    struct virtual_stage *stage = self;

    (void)pages;
    return ps_virtual_free(&stage->virtual, ps_virt(first << PS_PAGE_SHIFT)) == PS_OK;
}

static bool attach(void *self, const ps_frame_t *frames, uint64_t pages, uint64_t *first)
{
    struct virtual_stage *stage = self;
    const struct ps_arena_request request = {.pages = pages};

    return ps_arena_alloc(&stage->attached, &request, first) == PS_OK &&
           ps_page_table_map(&stage->table, ps_virt(*first << PS_PAGE_SHIFT), frames,
                             ps_pages(pages), ps_attr_ram(PS_READ | PS_WRITE),
                             PS_EXISTING_ERROR) == PS_OK;
}

static bool detach(void *self, uint64_t first, uint64_t pages)
{
    struct virtual_stage *stage = self;

    return ps_page_table_unmap(&stage->table, ps_virt(first << PS_PAGE_SHIFT), ps_pages(pages),
                               NULL) == PS_OK &&
           ps_arena_free(&stage->attached, first, pages) == PS_OK;
}

static uint64_t frame_of(void *self, uint64_t page)
{
    struct virtual_stage *stage = self;
    struct ps_translation leaf;

    return ps_page_table_query(&stage->table, ps_virt(page << PS_PAGE_SHIFT), &leaf) == PS_OK
               ? leaf.frame.number
               : 0;
}

const struct memory_candidate candidate_virtual = {
    .name = "ours",
    .open = open,
    .close = close,
    .alloc = alloc,
    .free = give,
    .attach = attach,
    .detach = detach,
    .frame_of = frame_of,
};
