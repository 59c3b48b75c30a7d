/*
 * Starting the other processors: INIT to all, then a start to one after the other.
 *
 * Each gets a stack and interrupt stacks with guard pages. It begins in a page below 1 MiB
 * (trampoline.S), which is mapped where it is, executable and read-only, while processors start
 * and not any longer; its other mapping, in the direct map, is read-only meanwhile. A second page
 * holds a copy of the root for the step into long mode, where CR3 has 32 bits.
 */
#ifndef EFI_PROCESSOR_START_H
#define EFI_PROCESSOR_START_H

#include <pagestage/stage.h>

#include "processors.h"

enum { PROCESSOR_START_PAGES = 2, PROCESSOR_STACK_PAGES = 4 };

struct processor_start {
    struct ps_stage *stage;
    const struct apic_state *apic;
    const struct processor_list *list;
    ps_phys_t pages; /* PROCESSOR_START_PAGES below 1 MiB, zeroed, in the direct map */
    uint64_t timestamps_per_second;
    uint32_t mute; /* the number of a processor that is not called, as if it were broken; or 0 */
};

/*
 * Who does not answer is PROCESSOR_SILENT, and so is who could not be asked.
 * PS_NO_MEMORY: fewer were started than there is memory for; what was started runs.
 * Others: the trampoline cannot be mapped; none was started.
 */
PS_MUST_CHECK ps_status processors_start(const struct processor_start *start);

/* A stack with a guard page on both sides; its top, 0 when there is no memory. */
uint64_t processor_stack(struct ps_stage *stage, uint64_t pages, ps_virt_t *base);
/* The same for all interrupt stacks of a processor. */
PS_MUST_CHECK ps_status processor_interrupt_stacks(struct ps_stage *stage,
                                                   struct processor *processor);

#endif
