/*
 * Ways to fill memory with zero bytes. Those that go past the caches are faster where much is
 * cleared at once, and slower where it is little or soon used.
 *
 * All take whole frames: `first` is aligned to a line of 64 bytes, `bytes` is a multiple of
 * a page, and not 0. What was written is visible before anything that is written after the
 * call. The library is compiled without vector registers; so the one way that needs such a
 * register saves it and puts it back itself.
 */
#ifndef PS_ZERO_PRIVATE_H
#define PS_ZERO_PRIVATE_H

#include <pagestage/types.h>

/* Through the caches: what is used soon is there already. */
static inline void ps_zero_stores(void *first, uint64_t bytes)
{
    uint64_t words = bytes / 8;

    __asm__ volatile("rep stosq" : "+D"(first), "+c"(words) : "a"((uint64_t)0) : "memory");
}

/* Past the caches, with general registers: any x86-64 processor. */
static inline void ps_zero_streaming_words(void *first, uint64_t bytes)
{
    __asm__ volatile("1:\n\t"
                     "movnti %2, (%0)\n\t"
                     "movnti %2, 8(%0)\n\t"
                     "movnti %2, 16(%0)\n\t"
                     "movnti %2, 24(%0)\n\t"
                     "movnti %2, 32(%0)\n\t"
                     "movnti %2, 40(%0)\n\t"
                     "movnti %2, 48(%0)\n\t"
                     "movnti %2, 56(%0)\n\t"
                     "add $64, %0\n\t"
                     "sub $64, %1\n\t"
                     "jnz 1b\n\t"
                     "sfence"
                     : "+&r"(first), "+&r"(bytes)
                     : "r"((uint64_t)0)
                     : "memory", "cc");
}

/* Past the caches, with one SSE register. The processor must be set up for those. */
static inline void ps_zero_streaming_sse(void *first, uint64_t bytes)
{
    uint64_t saved[2];

    __asm__ volatile("movdqu %%xmm0, %2\n\t"
                     "pxor %%xmm0, %%xmm0\n"
                     "1:\n\t"
                     "movntdq %%xmm0, (%0)\n\t"
                     "movntdq %%xmm0, 16(%0)\n\t"
                     "movntdq %%xmm0, 32(%0)\n\t"
                     "movntdq %%xmm0, 48(%0)\n\t"
                     "add $64, %0\n\t"
                     "sub $64, %1\n\t"
                     "jnz 1b\n\t"
                     "movdqu %2, %%xmm0\n\t"
                     "sfence"
                     : "+&r"(first), "+&r"(bytes), "=m"(saved)
                     :
                     : "memory", "cc");
}

/* Past the caches, a line at a time, with the CLZERO instruction. The processor must have it. */
static inline void ps_zero_lines(void *first, uint64_t bytes)
{
    __asm__ volatile("1:\n\t"
                     "clzero\n\t"
                     "add $64, %0\n\t"
                     "sub $64, %1\n\t"
                     "jnz 1b\n\t"
                     "sfence"
                     : "+&a"(first), "+&r"(bytes)
                     :
                     : "memory", "cc");
}

#endif
