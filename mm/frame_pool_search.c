#include "frame_pool_private.h"

/* ---- bits ---- */

static uint64_t free_word(const struct ps_frame_pool *pool, const struct ps_frame_block *block,
                          uint64_t word, bool spare_late)
{
    uint64_t bits = ps_pool_bitmap(pool, block->bitmap)[word];

    if (spare_late && block->late != 0)
        bits &= ~ps_pool_bitmap(pool, block->late)[word];
    return bits;
}

/* All frames of the block have the state that is not wanted: nothing to look at. */
static bool may_skip(const struct ps_frame_block *block, bool free, bool spare_late)
{
    if (free)
        return block->free == 0;
    return block->free == PS_BLOCK_FRAMES && !(spare_late && block->late != 0);
}

/* First bit of the block from `bit` on that is as wanted; PS_BLOCK_FRAMES when there is none. */
static uint64_t next_in_block(const struct ps_frame_pool *pool, const struct ps_frame_block *block,
                              uint64_t bit, bool free, bool spare_late)
{
    uint64_t mask = UINT64_MAX << (bit % 64);

    if (block->bitmap == 0)
        return free ? PS_BLOCK_FRAMES : bit;
    if (may_skip(block, free, spare_late))
        return PS_BLOCK_FRAMES;
    for (uint64_t word = bit / 64; word < PS_BLOCK_WORDS; word++) {
        uint64_t bits = free_word(pool, block, word, spare_late);

        bits = (free ? bits : ~bits) & mask;
        if (bits != 0)
            return word * 64 + (uint64_t)__builtin_ctzll(bits);
        mask = UINT64_MAX;
    }
    return PS_BLOCK_FRAMES;
}

uint64_t ps_pool_next(const struct ps_frame_pool *pool, uint64_t from, uint64_t last, bool free,
                      bool spare_late)
{
    while (from <= last) {
        const struct ps_frame_block *block = ps_pool_block(pool, from / PS_BLOCK_FRAMES);
        uint64_t base = ps_align_down(from, PS_BLOCK_FRAMES);
        uint64_t bit = next_in_block(pool, block, from - base, free, spare_late);

        if (bit < PS_BLOCK_FRAMES)
            return base + bit <= last ? base + bit : PS_FRAME_NONE;
        from = base + PS_BLOCK_FRAMES;
    }
    return PS_FRAME_NONE;
}

/* Set bits among [first, last] of a block that has a bitmap. */
static uint64_t count_in_block(const struct ps_frame_pool *pool, const struct ps_frame_block *block,
                               uint64_t first, uint64_t last)
{
    uint64_t count = 0;

    if (first == 0 && last == PS_BLOCK_FRAMES - 1)
        return block->free;
    for (uint64_t word = first / 64; word <= last / 64; word++) {
        uint64_t bits = free_word(pool, block, word, false);

        if (word == first / 64)
            bits &= UINT64_MAX << (first % 64);
        if (word == last / 64)
            bits &= UINT64_MAX >> (63 - last % 64);
        count += ps_bit_count(bits);
    }
    return count;
}

uint64_t ps_pool_count_free(const struct ps_frame_pool *pool, uint64_t from, uint64_t last)
{
    uint64_t count = 0;

    while (from <= last) {
        const struct ps_frame_block *block = ps_pool_block(pool, from / PS_BLOCK_FRAMES);
        uint64_t base = ps_align_down(from, PS_BLOCK_FRAMES);
        uint64_t end = ps_min(last - base, PS_BLOCK_FRAMES - 1);

        if (block->bitmap != 0)
            count += count_in_block(pool, block, from - base, end);
        from = base + PS_BLOCK_FRAMES;
    }
    return count;
}

/* ---- single frames ---- */

uint64_t ps_pool_singles(const struct ps_frame_pool *pool)
{
    return pool->free_frames - ps_pool_count_free(pool, 0, PS_FRAMES_LOW - 1);
}

/* 2 MiB of frames, and which of them are free and may be used. */
struct stretch {
    uint64_t first;
    uint64_t usable[PS_STRETCH_WORDS];
    uint64_t count; /* set bits of `usable` */
};

static void load_stretch(const struct ps_frame_pool *pool, uint64_t first, bool spare_late,
                         struct stretch *stretch)
{
    const struct ps_frame_block *block = ps_pool_block(pool, first / PS_BLOCK_FRAMES);

    stretch->first = first;
    stretch->count = 0;
    for (uint64_t i = 0; i < PS_STRETCH_WORDS; i++) {
        uint64_t bits = free_word(pool, block, first % PS_BLOCK_FRAMES / 64 + i, spare_late);

        /* Below 1 MiB frames are not given out one by one. */
        stretch->usable[i] = first + i * 64 < PS_FRAMES_LOW ? 0 : bits;
        stretch->count += ps_bit_count(stretch->usable[i]);
    }
}

/* A stretch of the block with a usable frame; a whole free 2 MiB is only broken if it must be. */
static bool find_in_block(const struct ps_frame_pool *pool, uint64_t index, bool spare_late,
                          struct stretch *stretch)
{
    uint64_t whole = PS_FRAME_NONE;

    if (ps_pool_block(pool, index)->free == 0)
        return false;
    for (uint64_t word = 0; word < PS_BLOCK_WORDS; word += PS_STRETCH_WORDS) {
        load_stretch(pool, index * PS_BLOCK_FRAMES + word * 64, spare_late, stretch);
        if (stretch->count != 0 && stretch->count != PS_STRETCH_WORDS * 64)
            return true;
        if (stretch->count != 0 && whole == PS_FRAME_NONE)
            whole = stretch->first;
    }
    if (whole == PS_FRAME_NONE)
        return false;
    load_stretch(pool, whole, spare_late, stretch);
    return true;
}

/* In the blocks [first, end), beginning where the last search ended. */
static bool find_in_zone(struct ps_frame_pool *pool, uint64_t first, uint64_t end, bool spare_late,
                         struct stretch *stretch)
{
    uint64_t start = pool->hint >= first && pool->hint < end ? pool->hint : first;

    for (uint64_t i = first; i < end; i++) {
        uint64_t index = start + (i - first);

        if (index >= end)
            index -= end - first;
        if (find_in_block(pool, index, spare_late, stretch)) {
            pool->hint = index;
            return true;
        }
    }
    return false;
}

/* Above 4 GiB, then below; then the same again with the frames that are used last. */
static bool find_stretch(struct ps_frame_pool *pool, struct stretch *stretch)
{
    uint64_t end = pool->block_count;
    uint64_t border = ps_min(PS_FRAMES_4GIB / PS_BLOCK_FRAMES, end);

    return find_in_zone(pool, border, end, true, stretch) ||
           find_in_zone(pool, 0, border, true, stretch) ||
           find_in_zone(pool, border, end, false, stretch) ||
           find_in_zone(pool, 0, border, false, stretch);
}

/* The first usable frame of a stretch that has one; it is not usable any more. */
static uint64_t pop_frame(struct stretch *stretch)
{
    uint64_t word = 0;
    uint64_t bit;

    while (stretch->usable[word] == 0)
        word++;
    bit = (uint64_t)__builtin_ctzll(stretch->usable[word]);
    stretch->usable[word] &= stretch->usable[word] - 1;
    stretch->count--;
    return stretch->first + word * 64 + bit;
}

void ps_pool_take_singles(struct ps_frame_pool *pool, uint64_t count, enum ps_frame_tag tag,
                          ps_frame_t *frames)
{
    struct stretch stretch;

    while (count != 0 && find_stretch(pool, &stretch)) {
        for (; count != 0 && stretch.count != 0; count--) {
            *frames = ps_frame(pop_frame(&stretch));
            ps_pool_take(pool, frames->number, 1, tag);
            frames++;
        }
    }
}

/* ---- runs ---- */

/* First fit in [from, last]. Linear: no frame is looked at again after a busy one behind it. */
static uint64_t first_fit(const struct ps_frame_pool *pool, const struct ps_frame_run *run,
                          uint64_t from, uint64_t last, bool spare_late)
{
    uint64_t alignment = ps_max(run->alignment, 1);

    while (from <= last) {
        uint64_t first = ps_pool_next(pool, from, last, true, spare_late);
        uint64_t busy;

        if (first == PS_FRAME_NONE || !ps_align_up(first, alignment, &first) || first > last ||
            run->pages.count - 1 > last - first)
            return PS_FRAME_NONE;
        busy = ps_pool_next(pool, first, first + (run->pages.count - 1), false, spare_late);
        if (busy == PS_FRAME_NONE)
            return first;
        from = busy + 1;
    }
    return PS_FRAME_NONE;
}

ps_status ps_pool_find_run(const struct ps_frame_pool *pool, const struct ps_frame_run *run,
                           uint64_t *first)
{
    uint64_t last = ps_min(run->limit.number, pool->span - 1);
    uint64_t lowest = run->limit.number < PS_FRAMES_LOW ? 0 : PS_FRAMES_LOW;

    if (ps_pool_count_free(pool, lowest, last) < run->pages.count)
        return PS_NO_MEMORY;
    /* The second search reaches past 4 GiB again, for a run that lies across it. */
    for (unsigned spare_late = 2; spare_late > 0; spare_late--) {
        *first = first_fit(pool, run, PS_FRAMES_4GIB, last, spare_late > 1);
        if (*first == PS_FRAME_NONE)
            *first = first_fit(pool, run, lowest, last, spare_late > 1);
        if (*first != PS_FRAME_NONE)
            return PS_OK;
    }
    return PS_NO_SPACE;
}
