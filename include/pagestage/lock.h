/*
 * A spin lock for short critical sections. Fair enough for a boot: the holders run with
 * interrupts off and never block. Not recursive.
 */
#ifndef PAGESTAGE_LOCK_H
#define PAGESTAGE_LOCK_H

#include <stdatomic.h>

#include <pagestage/machine.h>

struct ps_lock {
    atomic_flag held;
};

#define PS_LOCK_INIT     \
    {                    \
        ATOMIC_FLAG_INIT \
    }

static inline void ps_lock_acquire(struct ps_lock *lock)
{
    while (atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire))
        __builtin_ia32_pause();
}

/*
 * The same for a lock whose holder may be in the middle of an invalidation round: whoever waits
 * for it answers that round. machine is NULL where there can be no round yet.
 */
static inline void ps_lock_acquire_answering(struct ps_lock *lock, const struct ps_machine *machine)
{
    while (atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire)) {
        if (machine != NULL && machine->answer != NULL)
            machine->answer(machine->answer_context);
        __builtin_ia32_pause();
    }
}

/* Takes the lock if it is free, and does not wait. */
static inline bool ps_lock_try(struct ps_lock *lock)
{
    return !atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire);
}

static inline void ps_lock_release(struct ps_lock *lock)
{
    atomic_flag_clear_explicit(&lock->held, memory_order_release);
}

#endif
