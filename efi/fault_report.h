/*
 * The report of a fault that nobody expected, and the end of the run.
 *
 * Prints what a person needs to start looking: the exception and its error code in words,
 * CR2, where it happened with the function's name, all registers, the stack's call chain as
 * far as it can be read, and the walk of the faulting address through the tables. Then
 * "Bail out!", which no reader of the stream can take for success.
 */
#ifndef EFI_FAULT_REPORT_H
#define EFI_FAULT_REPORT_H

#include <pagestage/page_table.h>

#include "traps.h"

struct fault_reporter {
    struct ps_sink stream;             /* serial line and kept report: told first */
    struct ps_sink screen;             /* told then: drawing is what may fault, too */
    const struct ps_page_table *table; /* for the walk; NULL before take-over */
    void (*make_room)(void *context);  /* on the screen: a fault report is long */
    void (*bail_out)(void *context, const char *reason); /* ends the run, does not return */
    void (*give_up)(void *context); /* the same when even that faults: without any output */
    void *context;
};

/* Who is told from now on; `reporter` must outlive its use. */
void fault_report_to(const struct fault_reporter *reporter);

_Noreturn void fault_report(const struct trap_frame *frame);

const char *fault_name(uint64_t vector);

#endif
