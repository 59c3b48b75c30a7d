/*
 * The inside of the frame pool.
 *
 *     directory   one entry a block, in contiguous frames
 *     block       32768 frames (128 MiB): a bitmap of one frame, one bit a frame, set: free
 *     chunk       4096 frames (16 MiB), eight a block: one frame of tags, one byte a frame
 *
 *     pool -> directory: [block 0][block 1][block 2] ...
 *                            |-> bitmap, late bitmap
 *                            |-> tags of chunk 0, 1, ... 7
 *
 * Bit and byte of a frame say its state:
 *
 *     bit 0, byte 0     absent          bit 0, byte set   allocated
 *     bit 1, byte 0     free            bit 1, byte set   never: corrupt
 *
 * A block or a chunk without RAM has no bitmap and no tags. The frames of the others are
 * set aside when RAM is handed to the pool, so that no later call needs memory for them;
 * tags are written for the first time when a frame of their chunk is handed out.
 */
#ifndef PS_FRAME_POOL_PRIVATE_H
#define PS_FRAME_POOL_PRIVATE_H

#include <pagestage/frame_pool.h>

#include "hw.h"

#define PS_BLOCK_FRAMES  ((uint64_t)32768)
#define PS_CHUNK_FRAMES  ((uint64_t)4096)
#define PS_BLOCK_CHUNKS  (PS_BLOCK_FRAMES / PS_CHUNK_FRAMES)
#define PS_BLOCK_WORDS   (PS_BLOCK_FRAMES / 64)
#define PS_STRETCH_WORDS ((uint64_t)8)     /* of a bitmap: one 2 MiB frame */
#define PS_FRAMES_LOW    ((uint64_t)0x100) /* below 1 MiB */
#define PS_FRAMES_4GIB   ((uint64_t)0x100000)
#define PS_FRAME_NONE    UINT64_MAX

/* A tag byte: whose the frame is, and whether a unit begins there. */
#define PS_TAG_MASK  0x0fu
#define PS_TAG_FIRST 0x80u

struct ps_frame_block {
    uint64_t bitmap;                /* frame number; 0: no RAM in this block */
    uint64_t late;                  /* frame number of the bitmap of frames used last; or 0 */
    uint64_t tags[PS_BLOCK_CHUNKS]; /* frame numbers; 0: no RAM in this chunk */
    uint32_t free;                  /* set bits of the bitmap */
    uint32_t managed;               /* free + allocated */
    uint32_t tags_made;             /* a bit a chunk: its tags have been written to */
    uint8_t unused[36];
};
_Static_assert(sizeof(struct ps_frame_block) == 128, "entries must not straddle a frame");

#define PS_BLOCKS_A_FRAME (PS_PAGE_SIZE / sizeof(struct ps_frame_block))

/* A part of a range of frames that lies in one chunk. */
struct ps_frame_piece {
    struct ps_frame_block *block;
    uint64_t chunk; /* of the block */
    uint64_t bit;   /* of its first frame in the bitmap of the block */
    uint64_t count; /* frames, never 0 */
};

static inline struct ps_frame_block *ps_pool_block(const struct ps_frame_pool *pool, uint64_t index)
{
    struct ps_frame_block *entries =
        ps_hw_frame(pool->machine, ps_frame_add(pool->directory, index / PS_BLOCKS_A_FRAME));

    return &entries[index % PS_BLOCKS_A_FRAME];
}

static inline uint64_t *ps_pool_bitmap(const struct ps_frame_pool *pool, uint64_t frame)
{
    return ps_hw_frame(pool->machine, ps_frame(frame));
}

/* Without the POPCNT instruction, which the compiler may not assume, and without libgcc. */
static inline uint64_t ps_bit_count(uint64_t word)
{
    word -= (word >> 1) & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    word += word >> 8;
    word += word >> 16;
    word += word >> 32;
    return word & 0x7fu;
}

/* ---- frame_pool_blocks.c: the state of frames ---- */

/* The first piece of `pages` frames from `first` on. The range is not empty and in the span. */
struct ps_frame_piece ps_pool_piece(const struct ps_frame_pool *pool, uint64_t first,
                                    uint64_t pages);

/* The tags of a chunk, NULL when nothing was ever handed out there. */
uint8_t *ps_pool_tags(const struct ps_frame_pool *pool, const struct ps_frame_block *block,
                      uint64_t chunk);

/* The tag byte of a frame; 0 when it is free, absent or past the span. */
uint8_t ps_pool_tag(const struct ps_frame_pool *pool, uint64_t frame);
bool ps_pool_is_free(const struct ps_frame_pool *pool, uint64_t frame);

/* Set or clear `count` bits of a bitmap. */
void ps_bitmap_change(uint64_t *bitmap, uint64_t first, uint64_t count, bool set);

/* Free frames become one unit of `tag`; the counters follow. Cannot fail. */
void ps_pool_take(struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                  enum ps_frame_tag tag);

/* The reverse, for a whole unit. */
void ps_pool_give(struct ps_frame_pool *pool, uint64_t first, uint64_t pages);

/* Frames of the unit that begins at `first`. */
uint64_t ps_pool_unit_pages(const struct ps_frame_pool *pool, uint64_t first);

/* ---- frame_pool_search.c: which free frames to use ---- */

/* First frame of [from, last] that is free, or that is not; PS_FRAME_NONE when there is none.
 * With `spare_late`, frames to be used last count as not free. `last` is in the span. */
uint64_t ps_pool_next(const struct ps_frame_pool *pool, uint64_t from, uint64_t last, bool free,
                      bool spare_late);

/* Free frames in [from, last]. */
uint64_t ps_pool_count_free(const struct ps_frame_pool *pool, uint64_t from, uint64_t last);

/* Free frames that may be handed out one by one: those at or above 1 MiB. */
uint64_t ps_pool_singles(const struct ps_frame_pool *pool);

/* Take `count` single frames, not more than ps_pool_singles() says; their numbers to `frames`. */
void ps_pool_take_singles(struct ps_frame_pool *pool, uint64_t count, enum ps_frame_tag tag,
                          ps_frame_t *frames);

/* A free run of that shape, in the order of the zones. PS_NO_MEMORY, PS_NO_SPACE. */
ps_status ps_pool_find_run(const struct ps_frame_pool *pool, const struct ps_frame_run *run,
                           uint64_t *first);

#endif
