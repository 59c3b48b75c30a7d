/*
 * The host's replacement of mm/x86_64/hw.h: the same functions on a simulated machine.
 *
 * It stands before the real one in the include path of the tests. Every `ps_machine` given
 * to the library here is that of a `sim_machine`, or a copy of it.
 */
#ifndef PS_HW_H
#define PS_HW_H

#include "machine.h"

/*
 * A pointer to a physical byte; good to the end of its frame and not beyond. An address
 * past the machine gives a pointer that faults, as on hardware.
 */
static inline void *ps_hw_pointer(const struct ps_machine *machine, ps_phys_t pa)
{
    uint64_t frame = ps_min(pa.addr >> PS_PAGE_SHIFT, sim_machine_of(machine)->frames);

    return (void *)(uintptr_t)(machine->direct_map + frame * SIM_FRAME_STRIDE +
                               (pa.addr & PS_PAGE_MASK));
}

/* By number and not by address: a wild number must not lose its top bits and look tame. */
static inline void *ps_hw_frame(const struct ps_machine *machine, ps_frame_t frame)
{
    uint64_t number = ps_min(frame.number, sim_machine_of(machine)->frames);

    return (void *)(uintptr_t)(machine->direct_map + number * SIM_FRAME_STRIDE);
}

/* The frame behind a pointer that ps_hw_frame() gave, or one into that frame. */
static inline ps_frame_t ps_hw_frame_of(const struct ps_machine *machine, const void *pointer)
{
    return ps_frame(((uint64_t)(uintptr_t)pointer - machine->direct_map) / SIM_FRAME_STRIDE);
}

/* One whole read of an entry that the processor may change at any moment. */
static inline uint64_t ps_hw_entry_load(const uint64_t *entry)
{
    uint64_t value = __atomic_load_n(entry, __ATOMIC_RELAXED);

    sim_entry_accessed(false);
    return value;
}

/* One whole write. What the entry points to is visible before the entry is. */
static inline void ps_hw_entry_store(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
    sim_entry_accessed(true);
}

/* Write `value` only over `expected`: an accessed or dirty bit set meanwhile is not lost. */
static inline bool ps_hw_entry_compare_exchange(uint64_t *entry, uint64_t expected, uint64_t value)
{
    bool done = __atomic_compare_exchange_n(entry, &expected, value, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_RELAXED);

    sim_entry_accessed(done);
    return done;
}

/* The same where no other processor walks through tables. */
static inline bool ps_hw_entry_compare_exchange_alone(uint64_t *entry, uint64_t expected,
                                                      uint64_t value)
{
    return ps_hw_entry_compare_exchange(entry, expected, value);
}

/* Fill one frame with zero bytes: through the sanitizer's eyes, hence no assembly. */
static inline void ps_hw_zero_frame(void *frame)
{
    __builtin_memset(frame, 0, PS_PAGE_SIZE);
}

/* They are not consecutive here. */
static inline void ps_hw_zero_frames(const struct ps_machine *machine, ps_frame_t first,
                                     uint64_t frames)
{
    for (uint64_t i = 0; i < frames; i++)
        ps_hw_zero_frame(ps_hw_frame(machine, ps_frame(first.number + i)));
}

/* The simulated machine's memory stays where it is in the host's address space. */
static inline uint64_t ps_hw_direct_map(const struct ps_machine *machine, uint64_t base)
{
    (void)base;
    return machine->direct_map;
}

static inline void *ps_hw_moved(const struct ps_machine *machine, const void *pointer)
{
    (void)machine;
    return (void *)(uintptr_t)pointer;
}

/* Carry out an invalidation on this processor. */
void ps_hw_invalidate(const struct ps_machine *machine, const struct ps_invalidation *what);

/* Load the root of an address space. Flushes everything but global entries. */
void ps_hw_set_root(const struct ps_machine *machine, ps_frame_t root);
ps_frame_t ps_hw_root(const struct ps_machine *machine);

#endif
