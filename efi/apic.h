/*
 * The local APIC: the boot processor's timer, and interrupts from processor to processor. As
 * xAPIC (registers in memory) or x2APIC (registers as MSRs), whichever the firmware left the boot
 * processor with; a locked x2APIC is never switched.
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

bool apic_is_on(uint64_t apic_base);

/* The boot processor's identifier, while the firmware's page tables still show its registers. */
uint32_t apic_boot_id(uint64_t apic_base);

/*
 * On another processor: the same mode, the same vectors let through. False when it cannot have
 * that mode, or is not the one with that identifier.
 */
bool apic_join(uint32_t id);

/* True when interrupts can be sent to that identifier in the mode we are in. */
bool apic_reaches(const struct apic_state *apic, uint32_t id);

enum apic_command {
    APIC_INIT = 0x4500,
    APIC_START = 0x4600, /* plus the number of the page to start in */
    APIC_NMI = 0x4400,
    APIC_FIXED = 0x4000, /* plus a vector */
};

/* Interrupts must be off: with an xAPIC this takes two steps. */
void apic_send(uint32_t id, uint32_t command);
/* To all processors but this one, those that nobody has started among them. */
void apic_send_to_others(uint32_t command);

#endif
