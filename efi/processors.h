/*
 * The processors: who they are, and what they are told to do.
 *
 * Processor 0 is the boot processor; the others have the numbers from 1 on, in the order in which
 * the firmware lists them. GS points to a processor's own structure.
 *
 *     waiting --start--> running --stop--> stopped (NMI, for good)
 *        \-> silent         \--park--> parked (waits for a start, as before)
 *
 * A running processor but the first is halted with interrupts on until it is given a function to
 * run; another processor's call wakes it. It answers shootdowns whatever it does: from an
 * interrupt, or from the library's locks when interrupts are off.
 */
#ifndef EFI_PROCESSORS_H
#define EFI_PROCESSORS_H

#include <stdatomic.h>

#include "acpi.h"
#include "apic.h"
#include "cpu.h"
#include "traps.h"

enum processor_state {
    PROCESSOR_WAITING,
    PROCESSOR_RUNNING,
    PROCESSOR_SILENT, /* it did not answer, or could not be asked */
    PROCESSOR_STOPPED,
    PROCESSOR_PARKED,
};

struct processor {
    struct processor *self; /* what GS:0 holds */
    uint64_t stack_top;     /* known to trampoline.S */
    uint32_t number;
    uint32_t apic_id;
    _Atomic uint32_t state;
    struct trap_state traps;
    struct cpu_segments segments;
    _Atomic uint64_t answered; /* the last round of invalidation that it has carried out */

    /* What it was given to run; NULL when it has nothing to do. */
    void (*_Atomic function)(void *context);
    void *context;
} __attribute__((aligned(64))); /* what one processor writes is in no other's cache line */
_Static_assert(offsetof(struct processor, stack_top) == 8, "offset in trampoline.S");

/* What the firmware says, gathered before the exit. */
struct processor_list {
    struct acpi_processors found;
    uint32_t *ids;  /* of local APICs, the boot processor's first */
    uint32_t count; /* to be used, the boot processor among them; at least 1 */
};

/* The calling processor. */
static inline struct processor *processor_this(void)
{
    struct processor *self;

    __asm__("movq %%gs:0, %0" : "=r"(self));
    return self;
}

struct processor *processor_at(uint32_t number);

/* How many there are, whatever their state; 1 before the others are started. */
uint32_t processor_count(void);
uint32_t processors_running(void);

static inline bool processor_is_running(uint32_t number)
{
    return processor_at(number)->state == PROCESSOR_RUNNING;
}

/* On the boot processor, before the IDT: its own segments, and GS. */
void processors_begin(void);

/*
 * From now on there are `count`, those from 1 on in `others`, and all can be reached at once.
 * all_alike: every processor of the machine is one of them, so that a call may go to all.
 */
void processors_set(struct processor *others, uint32_t count, uint64_t timestamps_per_second);
void processors_are_all(bool all);

/* Interrupt the processor, or all running ones but this. Interrupts must be off. */
void processors_call_others(uint32_t command);

/*
 * Let processor `number`, another one, run function(context). False when it does not run or is
 * busy.
 */
bool processor_run(uint32_t number, void (*function)(void *context), void *context);
bool processor_is_busy(uint32_t number);
/* Some processor but the first has not come back from its function. */
bool processors_are_busy(void);

/* What a started processor does for ever. */
_Noreturn void processor_idle(void);

/* ---- the end ---- */

/*
 * Before a fault is reported: no other processor gets on from here. Of several that fault at
 * once only the first comes back.
 */
void processors_stop_others(void);
/* On an NMI: does not come back when another processor has sent it for that. */
void processors_stop_here(void);
/* The end of the run: back to where the firmware can start them. Only the first can do that. */
void processors_park(void);

#endif
