/*
 * The local APIC of the boot processor: its timer, as xAPIC (registers in memory) or x2APIC
 * (registers as MSRs), whichever the firmware left on. A locked x2APIC is never switched.
 */
#ifndef EFI_APIC_H
#define EFI_APIC_H

#include <pagestage/stage.h>

struct apic_state {
    bool present;
    bool x2apic;
    uint64_t ticks_per_second; /* of the timer, divided by 16; 0: it does not count */
};

/*
 * Find the APIC, map its registers, let nothing through but vectors of the top class, and
 * measure the timer against the time-stamp counter.
 */
struct apic_state apic_init(struct ps_stage *stage, uint64_t apic_base,
                            uint64_t timestamps_per_second);

/* Periodic interrupts on TRAP_TIMER; 0 stops them. */
void apic_timer_start(const struct apic_state *apic, uint32_t per_second);

void apic_end_of_interrupt(void);

#endif
