/*
 * TLB shootdowns: one round of invalidation on all running processors at once.
 *
 * One round runs at a time. Its sender puts down what is to be invalidated, interrupts the others
 * and waits for all of them; who waits to become the sender answers the round that runs. So two
 * processors that both send get through, also with interrupts off.
 */
#ifndef EFI_SHOOTDOWN_H
#define EFI_SHOOTDOWN_H

#include <pagestage/machine.h>

struct shootdown_rules {
    const struct ps_machine *machine;
    uint64_t patience; /* time stamps after which a processor that does not answer is given up */
    void (*give_up)(void *context, const char *reason); /* the end of the run */
    void *context;
};

void shootdown_init(const struct shootdown_rules *rules);

/* machine.shootdown and machine.answer; the context is not used. */
void shootdown_send(void *context, const struct ps_invalidation *what);
void shootdown_answer(void *context);

/* From TRAP_CALL. */
void shootdown_called(void);

/* A processor that has just started has no translations that earlier rounds were about. */
void shootdown_join(void);

#endif
