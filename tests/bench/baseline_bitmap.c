/*
 * One bit a frame, set: free. A search begins at the word where the last one ended and goes
 * once around. Large frames are looked for at aligned places only.
 */
#include <string.h>

#include <pagestage/lock.h>

#include "frame_loops.h"

struct bitmap {
    struct ps_lock lock;
    uint64_t span;
    uint64_t words;
    uint64_t next; /* word where the next search begins */
    uint64_t *bits;
};

static void *reserve(const struct frame_setup *setup)
{
    struct bitmap *bitmap = frame_reserve(sizeof(*bitmap), false);

    if (bitmap == NULL)
        return NULL;
    bitmap->span = setup->span;
    bitmap->words = (setup->span + 63) / 64;
    bitmap->bits = frame_reserve(bitmap->words * 8, setup->large_pages);
    if (bitmap->bits != NULL)
        return bitmap;
    frame_release(bitmap, sizeof(*bitmap));
    return NULL;
}

static void release(void *self)
{
    struct bitmap *bitmap = self;

    frame_release(bitmap->bits, bitmap->words * 8);
    frame_release(bitmap, sizeof(*bitmap));
}

static void wipe(void *self)
{
    struct bitmap *bitmap = self;

    memset(bitmap->bits, 0, bitmap->words * 8);
}

static void add_range(struct bitmap *bitmap, uint64_t first, uint64_t frames)
{
    while (frames != 0) {
        uint64_t bits = ps_min(64 - first % 64, frames);

        if (bits == 64 && frames >= 64) {
            bits = frames - frames % 64;
            memset(&bitmap->bits[first / 64], 0xff, bits / 8);
        } else {
            bitmap->bits[first / 64] |= UINT64_MAX >> (64 - bits) << (first % 64);
        }
        first += bits;
        frames -= bits;
    }
}

static bool start(void *self, const struct frame_range *ranges, size_t count)
{
    struct bitmap *bitmap = self;

    bitmap->next = 0;
    for (size_t i = 0; i < count; i++)
        add_range(bitmap, ranges[i].first, ranges[i].frames);
    return true;
}

static bool find_word(const struct bitmap *bitmap, uint64_t first, uint64_t end, uint64_t *word)
{
    for (uint64_t i = first; i < end; i++) {
        if (bitmap->bits[i] != 0) {
            *word = i;
            return true;
        }
    }
    return false;
}

static bool get_single(struct bitmap *bitmap, uint64_t *frame)
{
    uint64_t word;

    if (!find_word(bitmap, bitmap->next, bitmap->words, &word) &&
        !find_word(bitmap, 0, bitmap->next, &word))
        return false;
    *frame = word * 64 + (uint64_t)__builtin_ctzll(bitmap->bits[word]);
    bitmap->bits[word] &= bitmap->bits[word] - 1;
    bitmap->next = word;
    return true;
}

static bool all_words(const struct bitmap *bitmap, uint64_t first, uint64_t words, uint64_t value)
{
    uint64_t i = 0;

    while (i < words && bitmap->bits[first + i] == value)
        i++;
    return i == words;
}

/* An aligned group of `words` full words whose first word is in [first, end). */
static bool find_group(const struct bitmap *bitmap, uint64_t first, uint64_t end, uint64_t words,
                       uint64_t *group)
{
    for (uint64_t i = first; i < end && bitmap->words - i >= words; i += words) {
        if (all_words(bitmap, i, words, UINT64_MAX)) {
            *group = i;
            return true;
        }
    }
    return false;
}

static bool get_large(struct bitmap *bitmap, uint64_t words, uint64_t *frame)
{
    uint64_t from = ps_align_down(bitmap->next, words);
    uint64_t group;

    if (!find_group(bitmap, from, bitmap->words, words, &group) &&
        !find_group(bitmap, 0, from, words, &group))
        return false;
    memset(&bitmap->bits[group], 0, words * 8);
    bitmap->next = group + words < bitmap->words ? group + words : 0;
    *frame = group * 64;
    return true;
}

FRAME_OUTLINED get(void *self, enum frame_size size, uint64_t *frame)
{
    struct bitmap *bitmap = self;
    bool found;

    ps_lock_acquire(&bitmap->lock);
    found = size == FRAME_4K ? get_single(bitmap, frame)
                             : get_large(bitmap, frame_count(size) / 64, frame);
    ps_lock_release(&bitmap->lock);
    return found;
}

static bool put_single(struct bitmap *bitmap, uint64_t frame)
{
    uint64_t *word = &bitmap->bits[frame / 64];
    uint64_t bit = (uint64_t)1 << (frame % 64);

    if ((*word & bit) != 0)
        return false;
    *word |= bit;
    return true;
}

static bool put_large(struct bitmap *bitmap, uint64_t frame, uint64_t frames)
{
    if (frame % frames != 0 || bitmap->span - frame < frames ||
        !all_words(bitmap, frame / 64, frames / 64, 0))
        return false;
    memset(&bitmap->bits[frame / 64], 0xff, frames / 8);
    return true;
}

FRAME_OUTLINED put(void *self, enum frame_size size, uint64_t frame)
{
    struct bitmap *bitmap = self;
    bool good;

    if (frame >= bitmap->span)
        return false;
    ps_lock_acquire(&bitmap->lock);
    good =
        size == FRAME_4K ? put_single(bitmap, frame) : put_large(bitmap, frame, frame_count(size));
    ps_lock_release(&bitmap->lock);
    return good;
}

static uint64_t metadata(void *self)
{
    const struct bitmap *bitmap = self;

    return bitmap->words * 8;
}

FRAME_LOOPS(get, put)

/* An eighth of a byte a frame: counted as nothing. */
const struct frame_candidate baseline_bitmap = {
    .name = "bitmap",
    .reserve = reserve,
    .release = release,
    .wipe = wipe,
    .start = start,
    .get = get,
    .put = put,
    .metadata = metadata,
    .loops = FRAME_LOOPS_INIT,
};
