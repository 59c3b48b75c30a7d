#include "world_host.h"

#include <pagestage/cache_types.h>

#include <stdlib.h>

#include "hw.h"

#define SCRATCH       0x100000000000ull
#define SCRATCH_PAGES (8 * PS_GIB / PS_PAGE_SIZE)
#define ARENA         0xffffc00000000000ull
#define ARENA_PAGES   (PS_TIB / PS_PAGE_SIZE)

enum { RANDOM_OPERATIONS = 20000 };

struct host {
    struct world world; /* first: a world is the first part of its host */
    struct sim_machine *sim;
    struct mmu *mmu;
    struct ps_frame_pool pool;
    struct ps_cache_types types;
    struct ps_page_table table;
    struct ps_virtual_allocator arena;
};

static struct host *host_of(struct world *world)
{
    return (struct host *)(void *)world;
}

struct mmu *world_host_mmu(struct world *world)
{
    return host_of(world)->mmu;
}

static struct outcome host_load(struct world *world, ps_virt_t va)
{
    return mmu_load(host_of(world)->mmu, 0, va);
}

static struct outcome host_store(struct world *world, ps_virt_t va, uint64_t value)
{
    return mmu_store(host_of(world)->mmu, 0, va, value);
}

static struct outcome host_execute(struct world *world, ps_virt_t va)
{
    return mmu_execute(host_of(world)->mmu, 0, va);
}

/* Below 640 KiB and from 1 MiB to 64 MiB, as on a small PC. */
static struct sim_machine *small_machine(unsigned flags)
{
    static const struct sim_range ranges[] = {SIM_RAM(0, 160), SIM_RAM(256, 16384 - 256)};

    return sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), flags);
}

static ps_status build_layers(struct host *host)
{
    static const struct ps_virtual_config arena = {.base = {ARENA},
                                                   .pages = {ARENA_PAGES},
                                                   .guard = {1},
                                                   .alignment = {512},
                                                   .tag = PS_FRAME_VIRTUAL};
    const struct ps_machine *machine = &host->sim->machine;
    ps_status status = ps_frame_pool_init(&host->pool, machine, &host->sim->map);

    if (status == PS_OK)
        status = ps_cache_types_init(&host->types, &host->pool, &host->sim->map);
    host->sim->machine.cache_types = &host->types;
    if (status == PS_OK)
        status = ps_page_table_create(&host->table, machine, &host->pool);
    if (status != PS_OK)
        return status;
    ps_hw_set_root(machine, host->table.root);
    mmu_set_root(host->mmu, 1, host->table.root);
    return ps_virtual_init(&host->arena, &host->table, &host->pool, &arena);
}

struct world *world_host_create(uint64_t seed, unsigned flags)
{
    struct host *host = calloc(1, sizeof(*host));

    if (host == NULL)
        return NULL;
    host->sim = small_machine(flags);
    if (host->sim == NULL) {
        free(host);
        return NULL;
    }
    host->mmu = mmu_create(host->sim);
    host->world = (struct world){
        .machine = &host->sim->machine,
        .pool = &host->pool,
        .table = &host->table,
        .arena = &host->arena,
        .scratch = ps_virt(SCRATCH),
        .scratch_pages = ps_pages(SCRATCH_PAGES),
        .seed = seed,
        .simulated = true,
        .operations = RANDOM_OPERATIONS,
        .load = host_load,
        .store = host_store,
        .execute = host_execute,
    };
    if (build_layers(host) == PS_OK)
        return &host->world;
    world_host_abandon(&host->world);
    return NULL;
}

void world_host_abandon(struct world *world)
{
    struct host *host = host_of(world);

    mmu_destroy(host->mmu);
    sim_machine_destroy(host->sim);
    free(host);
}

static const char *take_down(struct host *host)
{
    if (ps_page_table_validate(&host->table, NULL) != PS_OK)
        return "the page tables are not valid after the case";
    if (ps_virtual_destroy(&host->arena, NULL) != PS_OK)
        return "the case left an allocation behind";
    if (ps_page_table_destroy(&host->table) != PS_OK)
        return "the case left a leaf behind";
    if (ps_cache_types_destroy(&host->types) != PS_OK)
        return "the case left a cache type behind";
    if (ps_frame_pool_in_use(&host->pool) != 0)
        return "the case left a frame behind";
    if (ps_frame_pool_validate(&host->pool, NULL) != PS_OK)
        return "the frame pool is not valid after the case";
    return NULL;
}

const char *world_host_destroy(struct world *world)
{
    const char *left = take_down(host_of(world));

    world_host_abandon(world);
    return left;
}
