/*
 * Exceptions and interrupts: caught where somebody waits for one, fatal everywhere else.
 *
 * A double fault, an NMI, a machine check and a page fault each arrive on a stack of their
 * own (IST), so that a stack overflow is reported like any other fault.
 */
#ifndef EFI_TRAPS_H
#define EFI_TRAPS_H

#include <pagestage/types.h>

/* As trap_entry.S builds it, lowest address first. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss; /* pushed by the processor */
};
_Static_assert(sizeof(struct trap_frame) == 22 * 8, "trap_entry.S pushes 22 words");

enum {
    TRAP_NMI = 2,
    TRAP_BREAKPOINT = 3,
    TRAP_INVALID_OPCODE = 6,
    TRAP_DOUBLE_FAULT = 8,
    TRAP_GENERAL_PROTECTION = 13,
    TRAP_PAGE_FAULT = 14,
    TRAP_MACHINE_CHECK = 18,
    TRAP_EXCEPTIONS = 32, /* vectors below are exceptions */
    TRAP_TIMER = 0xf0,    /* the watchdog's; of all interrupts only this one ... */
    TRAP_CALL = 0xf1,     /* ... and another processor's call are let through */
    TRAP_SPURIOUS = 0xff,
};

/* Which IST stack a vector uses; 0 is the interrupted one. */
enum {
    TRAP_STACK_NONE = 0,
    TRAP_STACK_DOUBLE_FAULT = 1,
    TRAP_STACK_NMI = 2,
    TRAP_STACK_PAGE_FAULT = 3,
    TRAP_STACK_MACHINE_CHECK = 4,
    TRAP_STACK_COUNT = 5,
};

/* A place to come back to. The first three fields are known to trap_entry.S. */
struct trap_recovery {
    uint64_t stack;
    uint64_t resume;
    uint64_t value; /* what the function returned, when it did */

    struct trap_recovery *outer;
    uint64_t vector; /* what happened, when it did not */
    uint64_t error;
    uint64_t address; /* CR2 */
    uint64_t rip;
    uint64_t handler_stack; /* where the handler ran: tells whether an IST was used */
};
_Static_assert(offsetof(struct trap_recovery, value) == 16, "offsets in trap_entry.S");

/* Each processor's own. */
struct trap_state {
    struct trap_recovery *catching; /* innermost trap_try() */
    struct trap_recovery *watched;  /* innermost trap_watch() */
};

/* Who is called for what arrives. None may be NULL. */
struct trap_handlers {
    void (*fault)(const struct trap_frame *frame); /* nobody expected it; does not return */
    void (*stop)(void); /* before an NMI is a fault: another processor may have sent it */
    void (*timer)(struct trap_frame *frame);
    void (*call)(void);
    void (*end_of_interrupt)(void);
};

/* Build the IDT, which all processors share. Stacks are those of cpu_set_interrupt_stack(). */
void traps_init(const struct trap_handlers *handlers);
/* Use it on this processor. */
void traps_load(void);

/* Choose the IST stack of a vector, 0 for none: for the test of the double fault. */
void traps_set_stack(unsigned vector, unsigned stack);

/*
 * Run function(a, b) and survive any exception in it: true when it returned, false when it
 * was caught; `recovery` then says which and where. Calls nest.
 */
bool trap_try(struct trap_recovery *recovery, uint64_t (*function)(uint64_t, uint64_t), uint64_t a,
              uint64_t b);

/*
 * The same, but exceptions stay fatal: only traps_abandon(), called from an interrupt, ends
 * the function early.
 */
bool trap_watch(struct trap_recovery *recovery, uint64_t (*function)(uint64_t, uint64_t),
                uint64_t a, uint64_t b);

/* From the timer's handler: leave the function of the innermost trap_watch(), if there is one. */
bool traps_abandon(struct trap_frame *frame);

/* Nobody waits any more: before a fault is reported, so that one on the way cannot resume. */
void traps_forget(void);

/* Interrupts seen that nobody asked for. */
uint64_t traps_unexpected(void);

/* ---- touching an address; each is the `function` of a trap_try() ---- */

uint64_t probe_load(uint64_t va, uint64_t unused);
uint64_t probe_store(uint64_t va, uint64_t value);
uint64_t probe_execute(uint64_t va, uint64_t unused);
/* Make `stack` the stack and push until something stops it. */
uint64_t probe_overflow(uint64_t stack, uint64_t unused);

_Noreturn void run_on_stack(uint64_t top, void (*function)(void *context), void *context);

#endif
