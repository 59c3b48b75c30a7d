#include "frame_pool_private.h"

struct ps_frame_piece ps_pool_piece(const struct ps_frame_pool *pool, uint64_t first,
                                    uint64_t pages)
{
    uint64_t bit = first % PS_BLOCK_FRAMES;

    return (struct ps_frame_piece){
        .block = ps_pool_block(pool, first / PS_BLOCK_FRAMES),
        .chunk = bit / PS_CHUNK_FRAMES,
        .bit = bit,
        .count = ps_min(pages, PS_CHUNK_FRAMES - bit % PS_CHUNK_FRAMES),
    };
}

uint8_t *ps_pool_tags(const struct ps_frame_pool *pool, const struct ps_frame_block *block,
                      uint64_t chunk)
{
    if ((block->tags_made >> chunk & 1) == 0)
        return NULL;
    return ps_hw_frame(pool->machine, ps_frame(block->tags[chunk]));
}

/* The tags of a chunk that is about to be written to. */
static uint8_t *make_tags(const struct ps_frame_pool *pool, struct ps_frame_block *block,
                          uint64_t chunk)
{
    uint8_t *tags = ps_hw_frame(pool->machine, ps_frame(block->tags[chunk]));

    if ((block->tags_made >> chunk & 1) == 0) {
        ps_hw_zero_frame(tags);
        block->tags_made |= 1u << chunk;
    }
    return tags;
}

uint8_t ps_pool_tag(const struct ps_frame_pool *pool, uint64_t frame)
{
    struct ps_frame_piece piece;
    const uint8_t *tags;

    if (frame >= pool->span)
        return 0;
    piece = ps_pool_piece(pool, frame, 1);
    tags = ps_pool_tags(pool, piece.block, piece.chunk);
    return tags == NULL ? 0 : tags[frame % PS_CHUNK_FRAMES];
}

bool ps_pool_is_free(const struct ps_frame_pool *pool, uint64_t frame)
{
    const struct ps_frame_block *block;
    uint64_t bit = frame % PS_BLOCK_FRAMES;

    if (frame >= pool->span)
        return false;
    block = ps_pool_block(pool, frame / PS_BLOCK_FRAMES);
    return block->bitmap != 0 &&
           (ps_pool_bitmap(pool, block->bitmap)[bit / 64] >> (bit % 64) & 1) != 0;
}

void ps_bitmap_change(uint64_t *bitmap, uint64_t first, uint64_t count, bool set)
{
    while (count != 0) {
        uint64_t shift = first % 64;
        uint64_t bits = ps_min(64 - shift, count);
        uint64_t mask = UINT64_MAX >> (64 - bits) << shift;

        if (set)
            bitmap[first / 64] |= mask;
        else
            bitmap[first / 64] &= ~mask;
        first += bits;
        count -= bits;
    }
}

static void fill_tags(uint8_t *tags, uint64_t first, uint64_t count, uint8_t tag)
{
    for (uint64_t i = 0; i < count; i++)
        tags[first + i] = tag;
}

void ps_pool_take(struct ps_frame_pool *pool, uint64_t first, uint64_t pages, enum ps_frame_tag tag)
{
    uint8_t begins = PS_TAG_FIRST;

    for (uint64_t done = 0; done < pages;) {
        struct ps_frame_piece piece = ps_pool_piece(pool, first + done, pages - done);
        uint8_t *tags = make_tags(pool, piece.block, piece.chunk);
        uint64_t at = piece.bit % PS_CHUNK_FRAMES;

        fill_tags(tags, at, piece.count, (uint8_t)tag);
        tags[at] |= begins;
        begins = 0;
        ps_bitmap_change(ps_pool_bitmap(pool, piece.block->bitmap), piece.bit, piece.count, false);
        piece.block->free -= (uint32_t)piece.count;
        done += piece.count;
    }
    pool->free_frames -= pages;
    pool->tagged[tag] += pages;
}

void ps_pool_give(struct ps_frame_pool *pool, uint64_t first, uint64_t pages)
{
    unsigned tag = ps_pool_tag(pool, first) & PS_TAG_MASK;

    for (uint64_t done = 0; done < pages;) {
        struct ps_frame_piece piece = ps_pool_piece(pool, first + done, pages - done);
        uint8_t *tags = ps_pool_tags(pool, piece.block, piece.chunk);

        fill_tags(tags, piece.bit % PS_CHUNK_FRAMES, piece.count, 0);
        ps_bitmap_change(ps_pool_bitmap(pool, piece.block->bitmap), piece.bit, piece.count, true);
        piece.block->free += (uint32_t)piece.count;
        done += piece.count;
    }
    pool->free_frames += pages;
    pool->tagged[tag] -= pages;
}

/* How many of the first `count` bytes are `tag`. */
static uint64_t tags_alike(const uint8_t *tags, uint64_t count, uint8_t tag)
{
    uint64_t alike = 0;

    while (alike < count && tags[alike] == tag)
        alike++;
    return alike;
}

uint64_t ps_pool_unit_pages(const struct ps_frame_pool *pool, uint64_t first)
{
    uint8_t tag = ps_pool_tag(pool, first) & PS_TAG_MASK;
    uint64_t span = pool->span;
    uint64_t at = first + 1;

    while (at < span) {
        struct ps_frame_piece piece = ps_pool_piece(pool, at, span - at);
        const uint8_t *tags = ps_pool_tags(pool, piece.block, piece.chunk);
        uint64_t alike;

        if (tags == NULL)
            break;
        alike = tags_alike(tags + piece.bit % PS_CHUNK_FRAMES, piece.count, tag);
        at += alike;
        if (alike < piece.count)
            break;
    }
    return at - first;
}
