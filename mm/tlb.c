#include <pagestage/tlb.h>

#include "hw.h"

void ps_tlb_gather_init(struct ps_tlb_gather *gather, const struct ps_machine *machine)
{
    /* The ranges stay as they are: this is on the way of every call for a single page. */
    gather->machine = machine;
    gather->leaves = 0;
    gather->what.count = 0;
    gather->what.global = false;
}

static ps_virt_t last_of(const struct ps_flush_range *range)
{
    return ps_virt_last(range->first, ps_pages((uint64_t)range->count * range->step_pages));
}

/* One range for both, in steps of the smaller leaf; how many leaves more that makes. */
static uint64_t join(struct ps_flush_range *range, ps_virt_t first, ps_virt_t last, uint64_t step)
{
    uint64_t lowest = ps_min(range->first.addr, first.addr);
    uint64_t highest = ps_max(last_of(range).addr, last.addr);
    uint64_t pages = ((highest - lowest) >> PS_PAGE_SHIFT) + 1;
    uint64_t old = range->count;
    uint64_t count;

    step = ps_min(step, range->step_pages);
    count = (pages + (step - 1)) / step;
    range->first = ps_virt(lowest);
    range->step_pages = (uint32_t)step;
    range->count = (uint32_t)ps_min(count, UINT32_MAX);
    return count - ps_min(old, count);
}

/* The next range begins where the last one ends: the usual case when tables are walked. */
static bool continues(const struct ps_invalidation *what, ps_virt_t va, ps_pages_t leaf)
{
    const struct ps_flush_range *range = &what->ranges[what->count - 1];

    return leaf.count == range->step_pages && va.addr > range->first.addr &&
           va.addr - 1 == last_of(range).addr;
}

void ps_tlb_gather_add(struct ps_tlb_gather *gather, ps_virt_t va, ps_pages_t pages,
                       ps_pages_t leaf, bool global)
{
    struct ps_invalidation *what = &gather->what;
    ps_virt_t last = ps_virt_last(va, pages);
    uint64_t count;

    /* From the start of the first leaf: so each step, also of ranges that are joined, meets one. */
    va = ps_virt(ps_align_down(va.addr, leaf.count << PS_PAGE_SHIFT));
    count = ((last.addr - va.addr) >> PS_PAGE_SHIFT) / leaf.count + 1;
    what->global |= global;
    if (gather->leaves + count > gather->machine->flush_threshold) {
        gather->leaves += count;
        return;
    }
    if (what->count != 0 && continues(what, va, leaf)) {
        what->ranges[what->count - 1].count += (uint32_t)count;
    } else if (what->count < PS_FLUSH_RANGES) {
        what->ranges[what->count++] =
            (struct ps_flush_range){va, (uint32_t)count, (uint32_t)leaf.count};
    } else {
        count = join(&what->ranges[what->count - 1], va, last, leaf.count);
    }
    gather->leaves += count;
}

unsigned ps_tlb_gather_flush(struct ps_tlb_gather *gather)
{
    const struct ps_machine *machine = gather->machine;

    if (gather->leaves == 0)
        return 0;
    if (gather->leaves > machine->flush_threshold)
        gather->what.count = 0;
    ps_hw_invalidate(machine, &gather->what);
    if (machine->shootdown != NULL)
        machine->shootdown(machine->shootdown_context, &gather->what);
    ps_tlb_gather_init(gather, machine);
    return 1;
}

void ps_tlb_invalidate_here(const struct ps_machine *machine, const struct ps_invalidation *what)
{
    ps_hw_invalidate(machine, what);
}

uint32_t ps_tlb_threshold(uint64_t single, uint64_t full, uint64_t refill)
{
    uint64_t leaves = (full + refill) / ps_max(single, 1);

    return (uint32_t)ps_min(ps_max(leaves, 1), 4096);
}
