#include "shootdown.h"

#include <pagestage/lock.h>
#include <pagestage/tlb.h>

#include "processors.h"

static struct shootdown_rules rule;

static struct {
    struct ps_lock sending;
    struct ps_invalidation what; /* of the round that runs */
    _Atomic uint64_t round;
} current;

void shootdown_init(const struct shootdown_rules *rules)
{
    rule = *rules;
}

/*
 * Interrupts are off: an answer in the middle of another one could finish the round, and the
 * outer answer would go on with what belongs to the next.
 */
void shootdown_called(void)
{
    struct processor *own = processor_this();
    uint64_t round = current.round;

    if (own->answered == round)
        return;
    ps_tlb_invalidate_here(rule.machine, &current.what);
    own->answered = round;
}

void shootdown_join(void)
{
    processor_this()->answered = current.round;
}

void shootdown_answer(void *context)
{
    uint64_t flags = cpu_interrupts_save();

    (void)context;
    shootdown_called();
    cpu_interrupts_restore(flags);
}

static void give_up(void)
{
    processors_stop_others();
    rule.give_up(rule.context, "a processor does not answer a TLB shootdown");
}

static void wait_for_all(uint64_t round)
{
    uint64_t start = cpu_timestamp();

    for (uint32_t i = 0; i < processor_count(); i++) {
        while (processor_is_running(i) && processor_at(i)->answered != round) {
            if (cpu_timestamp() - start > rule.patience)
                give_up();
            __builtin_ia32_pause();
        }
    }
}

void shootdown_send(void *context, const struct ps_invalidation *what)
{
    uint64_t flags;
    uint64_t round;

    if (processors_running() < 2)
        return;
    flags = cpu_interrupts_save();
    ps_lock_acquire_answering(&current.sending, rule.machine);
    current.what = *what;
    round = current.round + 1;
    processor_this()->answered = round;
    current.round = round;
    processors_call_others(APIC_FIXED + TRAP_CALL);
    wait_for_all(round);
    ps_lock_release(&current.sending);
    (void)context;
    cpu_interrupts_restore(flags);
}
