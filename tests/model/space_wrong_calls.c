#include "space_driver.h"

/* Calls with one bad argument each; all else about them is right. */

static ps_status call_wrongly(struct space_driver *driver, struct space_range range, unsigned which)
{
    const ps_attr_t ram = ps_attr_ram(PS_READ);
    struct ps_page_table *table = &driver->tables[driver->space];
    ps_virt_t va = space_virt(&driver->oracles[driver->space], range.first);
    ps_virt_t unaligned = ps_virt(va.addr + 8);
    ps_virt_t odd = ps_virt(va.addr ^ (uint64_t)1 << 62);
    ps_frame_t beyond = ps_frame((uint64_t)1 << (driver->sim->machine.physical_bits - 12));
    ps_frame_t last = ps_frame(beyond.number - 1);

    switch (which) {
    case 0:
        return ps_page_table_map(table, unaligned, &last, ps_pages(1), ram, PS_EXISTING_SKIP);
    case 1:
        return ps_page_table_map_run(table, odd, last, ps_pages(1), ram, 0);
    case 2:
        return ps_page_table_map_run(table, va, last, ps_pages(2), ram, 0);
    case 3:
        return ps_page_table_map(table, va, &last, ps_pages(1),
                                 ps_attr_ram(PS_READ | PS_WRITE | PS_EXECUTE), PS_EXISTING_ERROR);
    case 4:
        return ps_page_table_protect(table, va, ps_pages(1), ps_attr_ram(PS_WRITE));
    case 5:
        return ps_page_table_map(table, va, &beyond, ps_pages(1), ram, PS_EXISTING_UPGRADE);
    case 6:
        return ps_page_table_map_run(table, va, ps_frame(UINT64_MAX), ps_pages(1), ram, 0);
    case 7:
        return ps_page_table_map_run(table, va, last, ps_pages(1), ram, 4);
    case 8:
        return ps_page_table_map(table, va, &last, ps_pages(1), ram, (enum ps_existing)3);
    case 9:
        return ps_page_table_harvest(table, va, ps_pages(1), &(struct ps_harvest){.flags = 4});
    case 10:
        return ps_page_table_unmap(table, va, ps_pages(UINT64_MAX), NULL);
    default:
        return ps_page_table_anchor(table, unaligned, ps_pages(1));
    }
}

void drive_bad_call(struct space_driver *driver, struct space_range range, unsigned which)
{
    unsigned may = SPACE_MAY(PS_INVALID_ARGS);

    space_begin(driver, "wrong call %u at page 0x%" PS_PRIx, which, range.first);
    if (driver->oracles[driver->space].frozen)
        may |= SPACE_MAY(PS_BAD_STATE);
    (void)space_went_through(driver, call_wrongly(driver, range, which), may);
}
