#include "hw.h"

enum { CR4_PGE = 1u << 7 };

static uint64_t read_cr3(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

static void write_cr3(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

/* A change of CR4.PGE drops every translation, global ones too; CR3 alone keeps those. */
static void flush_everything(bool global)
{
    uint64_t cr4;

    if (!global) {
        write_cr3(read_cr3());
        return;
    }
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 & ~(uint64_t)CR4_PGE) : "memory");
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}

static void flush_range(const struct ps_flush_range *range)
{
    uint64_t step = (uint64_t)range->step_pages << PS_PAGE_SHIFT;

    for (uint64_t leaf = 0; leaf < range->count; leaf++)
        __asm__ volatile("invlpg (%0)" : : "r"(range->first.addr + leaf * step) : "memory");
}

void ps_hw_invalidate(const struct ps_machine *machine, const struct ps_invalidation *what)
{
    for (uint32_t i = 0; i < what->count; i++)
        flush_range(&what->ranges[i]);
    if (what->count == 0)
        flush_everything(what->global && machine->global_leaves);
}

void ps_hw_set_root(const struct ps_machine *machine, ps_frame_t root)
{
    (void)machine;
    write_cr3(ps_phys_of_frame(root).addr);
}

ps_frame_t ps_hw_root(const struct ps_machine *machine)
{
    (void)machine;
    return ps_frame((read_cr3() >> PS_PAGE_SHIFT) & (((uint64_t)1 << 40) - 1));
}
