#include <pagestage/tlb.h>

#include "hw.h"

void ps_tlb_gather_init(struct ps_tlb_gather *gather, const struct ps_machine *machine)
{
    *gather = (struct ps_tlb_gather){.machine = machine, .empty = true};
}

void ps_tlb_gather_add(struct ps_tlb_gather *gather, ps_virt_t va, ps_pages_t pages)
{
    uint64_t last = ps_virt_last(va, pages).addr;

    gather->first = gather->empty ? va.addr : ps_min(gather->first, va.addr);
    gather->last = gather->empty ? last : ps_max(gather->last, last);
    gather->empty = false;
}

unsigned ps_tlb_gather_flush(struct ps_tlb_gather *gather)
{
    struct ps_invalidation what = {.first = ps_virt(gather->first)};

    if (gather->empty)
        return 0;
    what.pages.count = ((gather->last - gather->first) >> PS_PAGE_SHIFT) + 1;
    if (what.pages.count > gather->machine->flush_threshold)
        what = (struct ps_invalidation){0};
    gather->empty = true;
    ps_hw_invalidate(gather->machine, &what);
    return 1;
}
