#include "live_world.h"

#include "cpu.h"
#include "traps.h"

#define SCRATCH_PAGES (8 * PS_GIB / PS_PAGE_SIZE)

static struct outcome touch(uint64_t (*function)(uint64_t, uint64_t), ps_virt_t va, uint64_t value)
{
    struct trap_recovery recovery = {.vector = 0};

    if (trap_try(&recovery, function, va.addr, value))
        return (struct outcome){.value = recovery.value};
    return (struct outcome){.faulted = true,
                            .vector = (uint8_t)recovery.vector,
                            .error = (uint32_t)recovery.error,
                            .address = ps_virt(recovery.address)};
}

static struct outcome live_load(struct world *world, ps_virt_t va)
{
    (void)world;
    return touch(probe_load, va, 0);
}

static struct outcome live_store(struct world *world, ps_virt_t va, uint64_t value)
{
    (void)world;
    return touch(probe_store, va, value);
}

static struct outcome live_execute(struct world *world, ps_virt_t va)
{
    (void)world;
    return touch(probe_execute, va, 0);
}

static uint64_t timestamp(void)
{
    return cpu_timestamp();
}

void live_world_init(struct world *world, struct ps_stage *stage, uint64_t seed)
{
    *world = (struct world){.machine = &stage->machine,
                            .pool = &stage->pool,
                            .table = &stage->table,
                            .arena = &stage->arena,
                            .scratch = ps_virt(LIVE_SCRATCH),
                            .scratch_pages = ps_pages(SCRATCH_PAGES),
                            .seed = seed,
                            .clock = timestamp,
                            .load = live_load,
                            .store = live_store,
                            .execute = live_execute};
}

void live_world_break_locks(struct ps_stage *stage)
{
    ps_lock_release(&stage->arena.lock);
    ps_lock_release(&stage->table.lock);
    ps_lock_release(&stage->pool.lock);
    atomic_store(&stage->pool.exclusive, 0);
}
