#include "space_driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void space_fail(struct space_driver *driver, const char *format, ...)
{
    va_list values;

    if (driver->failed)
        return;
    driver->failed = true;
    va_start(values, format);
    (void)vsnprintf(driver->failure, sizeof(driver->failure), format, values);
    va_end(values);
}

/* ---- start and finish ---- */

static struct space_geometry geometry_of(const struct ps_machine *machine)
{
    unsigned largest = machine->gib_leaves ? 3 : 2;

    return (struct space_geometry){
        .index_bits = PS_TABLE_INDEX_BITS,
        .levels = machine->levels,
        .largest = machine->levels < largest ? machine->levels : largest,
        .several = machine->processors > 1,
    };
}

static bool create(struct space_driver *driver, unsigned space)
{
    return ps_page_table_create(&driver->tables[space], &driver->sim->machine, driver->pool) ==
           PS_OK;
}

void space_look_at(struct space_driver *driver, unsigned processor, unsigned space)
{
    const struct ps_invalidation everything = {.count = 0, .global = true};

    driver->looks_at[processor] = space;
    if (driver->mmu == NULL)
        return;
    mmu_set_root(driver->mmu, processor, driver->tables[space].root);
    mmu_invalidate(driver->mmu, processor, &everything);
}

bool space_driver_start(struct space_driver *driver, struct sim_machine *sim, struct mmu *mmu,
                        struct ps_frame_pool *pool, const struct space_range *windows,
                        unsigned count)
{
    const struct space_geometry geometry = geometry_of(&sim->machine);

    driver->sim = sim;
    driver->mmu = mmu;
    driver->pool = pool;
    driver->types.library = sim->machine.cache_types;
    ps_tlb_gather_init(&driver->gather, &sim->machine);
    for (unsigned i = 0; i < SPACE_COUNT; i++)
        if (!space_create(&driver->oracles[i], &geometry, windows, count) || !create(driver, i))
            return false;
    if (!space_create(&driver->scratch, &geometry, windows, count))
        return false;
    space_look_at(driver, 0, 0);
    space_look_at(driver, 1, 0);
    return true;
}

/* Entry by entry of the root: what lies under shared ones cannot be unmapped, and is not ours. */
static void finish_space(struct space_driver *driver, unsigned space)
{
    const struct space_oracle *oracle = &driver->oracles[space];
    uint64_t block = space_block(oracle, oracle->geometry.levels);

    driver->space = space;
    drive_freeze(driver, false);
    for (unsigned w = 0; w < oracle->window_count; w++) {
        uint64_t page = oracle->windows[w].first;
        uint64_t end = page + oracle->windows[w].count;

        while (page < end) {
            uint64_t next = ps_min((page | (block - 1)) + 1, end);

            drive_unmap(driver, (struct space_range){page, next - page});
            page = next;
        }
    }
    space_compare(driver);
}

void space_driver_finish(struct space_driver *driver)
{
    struct ps_frame_pool_snapshot snapshot;

    drive_flush(driver);
    for (unsigned n = 1; n <= SPACE_COUNT && !driver->failed; n++) {
        unsigned i = SPACE_COUNT - n;

        finish_space(driver, i);
        space_look_at(driver, 0, 0);
        space_look_at(driver, 1, 0);
        if (!driver->failed && ps_page_table_destroy(&driver->tables[i]) != PS_OK)
            space_fail(driver, "space %u does not let itself be destroyed", i);
    }
    ps_frame_pool_snapshot(driver->pool, &snapshot);
    if (snapshot.by_tag[PS_FRAME_TABLE] != 0)
        space_fail(driver, "%" PS_PRIu " tables are lost", snapshot.by_tag[PS_FRAME_TABLE]);
    if (ps_frame_pool_validate(driver->pool, NULL) != PS_OK)
        space_fail(driver, "the frame pool is damaged");
}

void space_driver_end(struct space_driver *driver)
{
    for (unsigned i = 0; i < SPACE_COUNT; i++)
        space_destroy(&driver->oracles[i]);
    space_destroy(&driver->scratch);
    for (unsigned i = 0; i < 2; i++) {
        free(driver->told[i].items);
        free(driver->expected[i].items);
    }
    free(driver->types.ranges);
}
