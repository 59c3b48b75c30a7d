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
static void flush_everything(bool global_leaves)
{
    uint64_t cr4;

    if (!global_leaves) {
        write_cr3(read_cr3());
        return;
    }
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 & ~(uint64_t)CR4_PGE) : "memory");
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}

void ps_hw_invalidate(const struct ps_machine *machine, const struct ps_invalidation *what)
{
    for (uint64_t page = 0; page < what->pages.count; page++)
        __asm__ volatile("invlpg (%0)"
                         :
                         : "r"(what->first.addr + (page << PS_PAGE_SHIFT))
                         : "memory");
    if (what->pages.count == 0)
        flush_everything(machine->global_leaves);
    if (machine->shootdown != NULL)
        machine->shootdown(machine->shootdown_context, what);
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
