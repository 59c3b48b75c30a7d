/*
 * The processor, as the library sees it: the only place of mm/ that touches hardware.
 *
 * The host tests put a header of the same name and the same functions before this one in
 * the include path; nothing else of mm/ knows which of the two it was compiled with.
 */
#ifndef PS_HW_H
#define PS_HW_H

#include <pagestage/machine.h>

/* A pointer to a physical byte; good to the end of its frame and not beyond. */
static inline void *ps_hw_pointer(const struct ps_machine *machine, ps_phys_t pa)
{
    return (void *)(uintptr_t)(machine->direct_map + pa.addr);
}

static inline void *ps_hw_frame(const struct ps_machine *machine, ps_frame_t frame)
{
    return ps_hw_pointer(machine, ps_phys_of_frame(frame));
}

/* The frame behind a pointer that ps_hw_frame() gave, or one into that frame. */
static inline ps_frame_t ps_hw_frame_of(const struct ps_machine *machine, const void *pointer)
{
    return ps_frame_of_phys(ps_phys((uint64_t)(uintptr_t)pointer - machine->direct_map));
}

/* One whole read of an entry that the processor may change at any moment. */
static inline uint64_t ps_hw_entry_load(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/* One whole write. What the entry points to is visible before the entry is. */
static inline void ps_hw_entry_store(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* Write `value` only over `expected`: an accessed or dirty bit set meanwhile is not lost. */
static inline bool ps_hw_entry_compare_exchange(uint64_t *entry, uint64_t expected, uint64_t value)
{
    return __atomic_compare_exchange_n(entry, &expected, value, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* The same where no other processor walks through tables, and this one not in an instruction. */
static inline bool ps_hw_entry_compare_exchange_alone(uint64_t *entry, uint64_t expected,
                                                      uint64_t value)
{
    bool done;

    __asm__ volatile("cmpxchgq %3, %1"
                     : "=@ccz"(done), "+m"(*entry), "+a"(expected)
                     : "r"(value)
                     : "memory");
    return done;
}

/* Fill one frame with zero bytes, to be used soon. */
static inline void ps_hw_zero_frame(void *frame)
{
    uint64_t count = PS_PAGE_SIZE / 8;

    __asm__ volatile("rep stosq" : "+D"(frame), "+c"(count) : "a"((uint64_t)0) : "memory");
}

/* Fill consecutive frames with zero bytes: many of them past the caches. */
void ps_hw_zero_frames(const struct ps_machine *machine, ps_frame_t first, uint64_t frames);

/*
 * Where physical address 0 appears once our own root, with its direct map at `base`, is loaded;
 * and where memory is then that was reached by its physical address before.
 */
static inline uint64_t ps_hw_direct_map(const struct ps_machine *machine, uint64_t base)
{
    (void)machine;
    return base;
}

static inline void *ps_hw_moved(const struct ps_machine *machine, const void *pointer)
{
    return (void *)(uintptr_t)(machine->direct_map + (uint64_t)(uintptr_t)pointer);
}

/* Carry out an invalidation on this processor. */
void ps_hw_invalidate(const struct ps_machine *machine, const struct ps_invalidation *what);

/* Load the root of an address space. Flushes everything but global entries. */
void ps_hw_set_root(const struct ps_machine *machine, ps_frame_t root);
ps_frame_t ps_hw_root(const struct ps_machine *machine);

#endif
