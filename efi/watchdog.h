/*
 * The watchdog: ends a test case that does not end by itself.
 *
 * The local APIC's timer interrupts a hundred times a second. When the running case has
 * used up its time, the handler notes where it was and leaves it (traps_abandon).
 */
#ifndef EFI_WATCHDOG_H
#define EFI_WATCHDOG_H

#include "apic.h"
#include "traps.h"

/* Without an APIC timer every call does nothing, and only the deadline outside is left. */
void watchdog_init(const struct apic_state *apic, uint64_t timestamps_per_second);

/* From now on `seconds` to go, 0: no limit. Interrupts must be on for it to be noticed. */
void watchdog_arm(uint32_t seconds);
void watchdog_disarm(void);

/* Where the case was when it was abandoned; 0 when it was not. */
uint64_t watchdog_caught_at(void);

bool watchdog_is_running(void);

/* From the trap handler. */
void watchdog_tick(struct trap_frame *frame);

#endif
