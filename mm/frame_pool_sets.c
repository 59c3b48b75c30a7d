#include "frame_pool_private.h"

/*
 * A set is a bit a region, and above these a bit a word that is not zero, until one word is
 * left. Adding, removing and finding the next member touch one word a level: four levels are
 * enough for all of a 52-bit address space.
 */

static uint64_t words_of(uint64_t bits)
{
    return bits / 64 + (bits % 64 != 0);
}

PS_COLD uint64_t ps_set_words(uint64_t regions)
{
    uint64_t words = 0;

    do {
        regions = words_of(regions);
        words += regions;
    } while (regions > 1);
    return words;
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

void ps_set_put(struct ps_frame_pool *pool, enum ps_frame_set set, uint64_t region, bool in)
{
    uint64_t level = 0; /* its first word */
    uint64_t bits = pool->regions;

    for (;;) {
        uint64_t *word = ps_set_word(pool, set, level + region / 64);
        uint64_t bit = (uint64_t)1 << (region % 64);
        uint64_t before = *word;
        uint64_t after = in ? before | bit : before & ~bit;

        if (after != before)
            store(word, after);
        if (bits <= 64 || (before == 0) == (after == 0))
            return;
        bits = words_of(bits);
        level += bits;
        region /= 64;
    }
}

static uint64_t mask_between(uint64_t first, uint64_t last)
{
    return UINT64_MAX << first & UINT64_MAX >> (63 - last);
}

PS_COLD void ps_set_add_all(struct ps_frame_pool *pool, enum ps_frame_set set, uint64_t first,
                            uint64_t last)
{
    uint64_t level = 0;
    uint64_t bits = pool->regions;

    for (;;) {
        for (uint64_t i = first / 64; i <= last / 64; i++) {
            uint64_t *word = ps_set_word(pool, set, level + i);
            uint64_t mask =
                mask_between(i == first / 64 ? first % 64 : 0, i == last / 64 ? last % 64 : 63);

            store(word, *word | mask);
        }
        if (bits <= 64)
            return;
        bits = words_of(bits);
        level += bits;
        first /= 64;
        last /= 64;
    }
}

/* The next member of a level of `bits` bits. */
static uint64_t next_in_level(const struct ps_frame_pool *pool, enum ps_frame_set set,
                              uint64_t level, uint64_t bits, uint64_t from)
{
    uint64_t word;
    uint64_t words = words_of(bits);

    if (from >= bits)
        return PS_NONE;
    word = *ps_set_word(pool, set, level + from / 64) & UINT64_MAX << (from % 64);
    if (word != 0)
        return from / 64 * 64 + ps_lowest_bit(word);
    if (words == 1)
        return PS_NONE;
    from = next_in_level(pool, set, level + words, words, from / 64 + 1);
    if (from == PS_NONE)
        return PS_NONE;
    return from * 64 + ps_lowest_bit(*ps_set_word(pool, set, level + from));
}

uint64_t ps_set_next(const struct ps_frame_pool *pool, enum ps_frame_set set, uint64_t from)
{
    return next_in_level(pool, set, 0, pool->regions, from);
}
