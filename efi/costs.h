/*
 * What the memory stage costs on this machine: measured once, while the boot processor is alone
 * and interrupts are off. The lowest of several rounds counts: what disturbs a measurement only
 * makes it longer.
 *
 * The unit is the time-stamp counter's, except where that counts instructions, as under QEMU with
 * `-icount shift=0`: loops of known length tell.
 */
#ifndef EFI_COSTS_H
#define EFI_COSTS_H

#include "application.h"
#include "report.h"

/*
 * Measure, and set app->stage.machine.flush_threshold; a counter that stands still leaves it as it
 * is. Nothing else has changed afterwards but the counters of the page tables.
 */
void costs_measure(struct application *app);

/* The facts "invalidation", "page-costs" and "take-over". */
void costs_report(const struct application *app, struct report *report);

#endif
