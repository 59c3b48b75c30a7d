/* Our page tables behind the interface of the baselines, over our frame pool. */
#include <string.h>

#include <pagestage/cache_types.h>
#include <pagestage/page_table.h>

#include "frame_baseline.h"
#include "hw/hw.h"
#include "page_loops.h"

/* Frames for tables and promises; what the leaves map needs no memory. */
#define SPAN (PS_GIB / 4 >> PS_PAGE_SHIFT)

/* What the leaves map is RAM to the cache types, as what the stage maps is; the pool has less. */
#define RAM ((uint64_t)1 << 32)

enum { FIRST = 256, JUNK = 0xa5 };

struct space {
    struct ps_page_table table;
    struct ps_frame_pool pool;
    struct ps_machine machine;
    struct ps_cache_types types;
    struct ps_memory_range range;
    struct ps_memory_range ram_range;
    struct ps_memory_map ram;
    uint8_t *memory;
    uint64_t rounds; /* of invalidation, before ours */
};

static bool start(struct space *space)
{
    struct ps_memory_map map = {.ranges = &space->range, .count = 1, .capacity = 1};

    space->range = (struct ps_memory_range){
        .first = ps_frame(FIRST), .pages = ps_pages(SPAN - FIRST), .type = PS_MEMORY_USABLE};
    space->machine = (struct ps_machine){
        .direct_map = (uint64_t)(uintptr_t)space->memory,
        .physical_bits = 52,
        .levels = PAGE_LEVELS,
        .no_execute = true,
        .gib_leaves = true,
        .global_leaves = true,
        .flush_threshold = 32,
        .cache_types = &space->types,
        .processors = 1,
    };
    space->ram_range = (struct ps_memory_range){
        .first = ps_frame(1), .pages = ps_pages(RAM - 1), .type = PS_MEMORY_USABLE};
    space->ram = (struct ps_memory_map){.ranges = &space->ram_range, .count = 1, .capacity = 1};
    space->rounds = bench_invalidations;
    return ps_frame_pool_init(&space->pool, &space->machine, &map) == PS_OK &&
           ps_cache_types_init(&space->types, &space->pool, &space->ram) == PS_OK &&
           ps_page_table_create(&space->table, &space->machine, &space->pool) == PS_OK;
}

static void close(void *self)
{
    struct space *space = self;

    frame_release(space->memory, SPAN << PS_PAGE_SHIFT);
    frame_release(space, sizeof(*space));
}

static void *open(void)
{
    struct space *space = frame_reserve(sizeof(*space), false);

    if (space == NULL)
        return NULL;
    space->memory = frame_reserve(SPAN << PS_PAGE_SHIFT, true);
    if (space->memory == NULL) {
        frame_release(space, sizeof(*space));
        return NULL;
    }
    memset(space->memory, JUNK, SPAN << PS_PAGE_SHIFT);
    if (start(space))
        return space;
    close(space);
    return NULL;
}

static struct page_view view(void *self)
{
    const struct space *space = self;

    return (struct page_view){space->memory, ps_phys_of_frame(space->table.root).addr};
}

/* ---- the calls ---- */

static inline ps_attr_t attr_for(bool writable)
{
    return ps_attr_ram(PS_READ | (writable ? PS_WRITE : 0u));
}

static inline bool map(void *self, uint64_t va, const ps_frame_t *frames, uint64_t pages)
{
    struct space *space = self;

    return ps_page_table_map(&space->table, ps_virt(va), frames, ps_pages(pages), attr_for(true),
                             PS_EXISTING_ERROR) == PS_OK;
}

static inline bool map_run(void *self, const struct page_stretch *stretch)
{
    struct space *space = self;
    unsigned flags = stretch->level == 1 ? PS_MAP_SMALL : stretch->cuttable ? 0 : PS_MAP_PERMANENT;

    return ps_page_table_map_run(&space->table, ps_virt(stretch->va), ps_frame(stretch->first),
                                 ps_pages(stretch->pages), attr_for(true), flags) == PS_OK;
}

static inline bool protect(void *self, uint64_t va, uint64_t pages, bool writable)
{
    struct space *space = self;

    return ps_page_table_protect(&space->table, ps_virt(va), ps_pages(pages), attr_for(writable)) ==
           PS_OK;
}

static inline bool unmap(void *self, uint64_t va, uint64_t pages)
{
    struct space *space = self;

    return ps_page_table_unmap(&space->table, ps_virt(va), ps_pages(pages), NULL) == PS_OK;
}

static inline bool query(void *self, uint64_t va, uint64_t *frame)
{
    struct space *space = self;
    struct ps_translation translation;

    if (ps_page_table_query(&space->table, ps_virt(va), &translation) != PS_OK)
        return false;
    *frame = translation.frame.number;
    return true;
}

static void run_promote(void *argument, uint64_t n)
{
    struct page_run *run = argument;
    struct space *space = run->self;

    for (; n != 0; n--)
        run->failures += ps_page_table_promote(&space->table, ps_virt(page_next_va(run)),
                                               ps_pages(run->stretch.pages)) != PS_OK;
}

/* ---- before and after ---- */

static bool clear(void *self, const struct page_stretch *stretch)
{
    struct space *space = self;

    return unmap(self, stretch->va, stretch->pages) &&
           ps_page_table_counters(&space->table).tables == 1;
}

static uint64_t wrong(void *self)
{
    struct space *space = self;
    const struct ps_sink silent = {0};
    uint64_t rounds = ps_page_table_counters(&space->table).rounds;
    uint64_t count = bench_invalidations - space->rounds != rounds;

    count += ps_cache_types_validate(&space->types, &silent) != PS_OK;
    return count + (ps_page_table_validate(&space->table, &silent) != PS_OK);
}

PAGE_LOOPS(map, map_run, protect, unmap, query)

const struct page_candidate candidate_page_table = {
    .name = "ours",
    .cuts = true,
    .open = open,
    .close = close,
    .view = view,
    .clear = clear,
    .map = map,
    .map_run = map_run,
    .protect = protect,
    .unmap = unmap,
    .query = query,
    .wrong = wrong,
    .loops = PAGE_LOOPS_INIT,
    .promote = run_promote,
};
