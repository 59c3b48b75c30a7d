#include "frame_pool_private.h"

const char *ps_frame_tag_name(enum ps_frame_tag tag)
{
    static const char names[][9] = {"free", "metadata", "table", "stack", "virtual",
                                    "heap", "object",   "lent",  "user"};

    _Static_assert(PS_ARRAY_SIZE(names) == PS_FRAME_TAG_COUNT, "a name a tag");
    return (unsigned)tag < PS_FRAME_TAG_COUNT ? names[tag] : "?";
}

/* ---- snapshot ---- */

static uint64_t whole_stretches(const struct ps_frame_pool *pool,
                                const struct ps_frame_block *block)
{
    const uint64_t *words;
    uint64_t whole = 0;

    if (block->free == 0 || block->free == PS_BLOCK_FRAMES)
        return block->free / (PS_STRETCH_WORDS * 64);
    words = ps_pool_bitmap(pool, block->bitmap);
    for (uint64_t i = 0; i < PS_BLOCK_WORDS; i += PS_STRETCH_WORDS) {
        uint64_t all = UINT64_MAX;

        for (uint64_t j = 0; j < PS_STRETCH_WORDS; j++)
            all &= words[i + j];
        whole += all == UINT64_MAX;
    }
    return whole;
}

/* 1 GiB is 8 blocks, and both are aligned to their size. */
static void count_large(const struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    const uint64_t blocks = ps_frame_size_pages(PS_FRAME_1G).count / PS_BLOCK_FRAMES;
    uint64_t whole = 0; /* blocks of this GiB, all that came by so far */

    for (uint64_t i = 0; i < pool->block_count; i++) {
        const struct ps_frame_block *block = ps_pool_block(pool, i);

        snapshot->free_2m += whole_stretches(pool, block);
        if (i % blocks == 0)
            whole = 0;
        whole += block->free == PS_BLOCK_FRAMES;
        snapshot->free_1g += whole == blocks;
    }
}

static void count_zones(const struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    uint64_t border = ps_min(PS_FRAMES_4GIB, pool->span);

    snapshot->free_below_1mib = ps_pool_count_free(pool, 0, PS_FRAMES_LOW - 1);
    snapshot->free_below_4gib = ps_pool_count_free(pool, PS_FRAMES_LOW, border - 1);
}

void ps_frame_pool_snapshot(struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    *snapshot = (struct ps_frame_pool_snapshot){0};
    if (pool == NULL || pool->machine == NULL)
        return;
    ps_lock_acquire(&pool->lock);
    snapshot->managed = pool->managed_frames;
    snapshot->free = pool->free_frames;
    snapshot->metadata = pool->metadata_frames;
    for (unsigned tag = PS_FRAME_METADATA; tag < PS_FRAME_TAG_COUNT; tag++)
        snapshot->by_tag[tag] = pool->tagged[tag];
    snapshot->by_tag[PS_FRAME_FREE] = pool->free_frames;
    count_zones(pool, snapshot);
    count_large(pool, snapshot);
    ps_lock_release(&pool->lock);
}

/* ---- validation ---- */

/* The walk over all frames, and the first thing that is wrong. */
struct check {
    const struct ps_frame_pool *pool;
    uint64_t free;
    uint64_t managed;
    uint64_t metadata; /* frames that the directory refers to, and its own */
    uint64_t tagged[PS_FRAME_TAG_COUNT];
    uint8_t before; /* tag byte of the frame before this one */

    const char *breach; /* NULL: none so far */
    uint64_t frame;     /* where, or what was found ... */
    uint64_t expected;  /* ... and what the counter says; PS_FRAME_NONE when it is a place */
};

static bool breach_at(struct check *check, uint64_t frame, const char *what)
{
    check->breach = what;
    check->frame = frame;
    check->expected = PS_FRAME_NONE;
    return false;
}

static bool same_count(struct check *check, uint64_t counted, uint64_t kept, const char *what)
{
    if (counted == kept)
        return true;
    check->breach = what;
    check->frame = counted;
    check->expected = kept;
    return false;
}

static bool check_allocated(struct check *check, uint64_t frame, uint8_t byte)
{
    unsigned tag = byte & PS_TAG_MASK;

    if ((byte & ~(PS_TAG_MASK | PS_TAG_FIRST)) != 0 || tag == 0 || tag >= PS_FRAME_TAG_COUNT)
        return breach_at(check, frame, "has an unknown tag");
    if ((byte & PS_TAG_FIRST) == 0 && (check->before & PS_TAG_MASK) != tag)
        return breach_at(check, frame, "continues a unit that does not reach it");
    if ((byte & PS_TAG_FIRST) == 0 && tag == PS_FRAME_METADATA)
        return breach_at(check, frame, "is bookkeeping, but not a unit of its own");
    check->tagged[tag]++;
    return true;
}

static bool check_frame(struct check *check, uint64_t frame, bool free, bool late, uint8_t byte)
{
    if (free && byte != 0)
        return breach_at(check, frame, "is free and allocated");
    if (late && !free && byte == 0)
        return breach_at(check, frame, "is absent and to be used last");
    if (frame == 0 && (free || byte != 0))
        return breach_at(check, frame, "is page 0 and in the pool");
    if (byte != 0 && !check_allocated(check, frame, byte))
        return false;
    check->before = byte;
    check->free += free;
    check->managed += free || byte != 0;
    return true;
}

static bool tags_are_zero(const uint8_t *tags)
{
    uint8_t all = 0;

    for (uint64_t i = 0; tags != NULL && i < 64; i++)
        all |= tags[i];
    return all == 0;
}

/* 64 frames. Most are all free or all absent: then there is nothing to look at one by one. */
static bool check_word(struct check *check, uint64_t first, uint64_t free, uint64_t late,
                       const uint8_t *tags)
{
    bool all_free = free == UINT64_MAX;
    bool all_absent = free == 0 && late == 0;

    if ((all_free || all_absent) && tags_are_zero(tags)) {
        check->before = 0;
        check->free += all_free ? 64 : 0;
        check->managed += all_free ? 64 : 0;
        return first != 0 || !all_free || breach_at(check, 0, "is page 0 and in the pool");
    }
    for (uint64_t i = 0; i < 64; i++)
        if (!check_frame(check, first + i, (free >> i & 1) != 0, (late >> i & 1) != 0,
                         tags == NULL ? 0 : tags[i]))
            return false;
    return true;
}

static bool check_chunk(struct check *check, const struct ps_frame_block *block, uint64_t first)
{
    const struct ps_frame_pool *pool = check->pool;
    uint64_t base = first % PS_BLOCK_FRAMES;
    const uint8_t *tags = ps_pool_tags(pool, block, base / PS_CHUNK_FRAMES);
    const uint64_t *bitmap = ps_pool_bitmap(pool, block->bitmap);
    const uint64_t *late = block->late == 0 ? NULL : ps_pool_bitmap(pool, block->late);
    uint64_t managed = check->managed;

    for (uint64_t i = 0; i < PS_CHUNK_FRAMES; i += 64) {
        uint64_t word = (base + i) / 64;

        if (!check_word(check, first + i, bitmap[word], late == NULL ? 0 : late[word],
                        tags == NULL ? NULL : tags + i))
            return false;
    }
    if (block->tags[base / PS_CHUNK_FRAMES] == 0 && check->managed != managed)
        return breach_at(check, first, "begins 16 MiB with RAM and without tags");
    return true;
}

enum { REFERENCES = 2 + PS_BLOCK_CHUNKS };

/* The frames of bookkeeping that an entry of the directory refers to; 0: none. */
static uint64_t reference(const struct ps_frame_block *block, uint64_t i)
{
    if (i < 2)
        return i == 0 ? block->bitmap : block->late;
    return block->tags[i - 2];
}

/* Before any of them is followed: none leads out of memory. */
static bool check_reach(struct check *check)
{
    for (uint64_t index = 0; index < check->pool->block_count; index++)
        for (uint64_t i = 0; i < REFERENCES; i++) {
            uint64_t frame = reference(ps_pool_block(check->pool, index), i);

            if (frame >= check->pool->span)
                return breach_at(check, frame, "is bookkeeping past the end of RAM");
        }
    return true;
}

static bool check_tags_made(struct check *check, const struct ps_frame_block *block, uint64_t first)
{
    for (uint64_t i = 0; i < PS_BLOCK_CHUNKS; i++)
        if ((block->tags_made >> i & 1) != 0 && block->tags[i] == 0)
            return breach_at(check, first + i * PS_CHUNK_FRAMES, "has tags that do not exist");
    return true;
}

static bool check_references(struct check *check, const struct ps_frame_block *block)
{
    for (uint64_t i = 0; i < REFERENCES; i++) {
        uint64_t frame = reference(block, i);

        if (frame == 0)
            continue;
        if (ps_pool_tag(check->pool, frame) != (PS_FRAME_METADATA | PS_TAG_FIRST))
            return breach_at(check, frame, "is bookkeeping and not tagged so");
        if (block->bitmap == 0)
            return breach_at(check, frame, "keeps the books of a block without RAM");
        check->metadata++;
    }
    return true;
}

static bool check_block(struct check *check, uint64_t index)
{
    const struct ps_frame_block *block = ps_pool_block(check->pool, index);
    uint64_t free = check->free;
    uint64_t managed = check->managed;

    if (!check_references(check, block))
        return false;
    if (block->bitmap == 0)
        check->before = 0;
    for (uint64_t i = 0; i < PS_BLOCK_FRAMES && block->bitmap != 0; i += PS_CHUNK_FRAMES)
        if (!check_chunk(check, block, index * PS_BLOCK_FRAMES + i))
            return false;
    return same_count(check, check->free - free, block->free, "free frames of a block") &&
           same_count(check, check->managed - managed, block->managed, "frames of a block");
}

static bool check_totals(struct check *check)
{
    const struct ps_frame_pool *pool = check->pool;

    check->metadata += (pool->block_count + PS_BLOCKS_A_FRAME - 1) / PS_BLOCKS_A_FRAME;
    for (unsigned tag = 0; tag < PS_FRAME_TAG_COUNT; tag++)
        if (!same_count(check, check->tagged[tag], pool->tagged[tag],
                        ps_frame_tag_name((enum ps_frame_tag)tag)))
            return false;
    return same_count(check, check->free, pool->free_frames, "free frames") &&
           same_count(check, check->managed, pool->managed_frames, "frames") &&
           same_count(check, check->metadata, pool->metadata_frames, "frames of bookkeeping") &&
           same_count(check, check->tagged[PS_FRAME_METADATA], pool->metadata_frames,
                      "frames tagged as bookkeeping");
}

static void check_everything(struct check *check)
{
    const struct ps_frame_pool *pool = check->pool;

    if (!check_reach(check))
        return;
    for (uint64_t i = 0; i < pool->block_count; i++)
        if (!check_tags_made(check, ps_pool_block(pool, i), i * PS_BLOCK_FRAMES))
            return;
    for (uint64_t i = 0; i < pool->block_count; i++)
        if (!check_block(check, i))
            return;
    (void)check_totals(check);
}

ps_status ps_frame_pool_validate(struct ps_frame_pool *pool, const struct ps_sink *sink)
{
    struct check check = {.pool = pool};

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    ps_lock_acquire(&pool->lock);
    check_everything(&check);
    ps_lock_release(&pool->lock);
    if (check.breach == NULL)
        return PS_OK;
    if (check.expected == PS_FRAME_NONE)
        ps_print(sink, "frame pool: frame 0x%" PS_PRIx " %s\n", check.frame, check.breach);
    else
        ps_print(sink, "frame pool: %s: %" PS_PRIu " counted, %" PS_PRIu " kept\n", check.breach,
                 check.frame, check.expected);
    return PS_CORRUPT;
}

/* ---- dump ---- */

static const char *state_name(const struct ps_frame_pool *pool, uint64_t frame)
{
    if (ps_pool_is_free(pool, frame))
        return ps_frame_tag_name(PS_FRAME_FREE);
    return ps_frame_tag_name((enum ps_frame_tag)(ps_pool_tag(pool, frame) & PS_TAG_MASK));
}

/* Frames from `frame` on, in its chunk, that have its tag. None of them is free. */
static uint64_t tagged_alike(const struct ps_frame_pool *pool, uint64_t frame, unsigned tag)
{
    struct ps_frame_piece piece = ps_pool_piece(pool, frame, PS_CHUNK_FRAMES);
    const uint8_t *tags = ps_pool_tags(pool, piece.block, piece.chunk);
    uint64_t alike = 0;

    /* Without this a hole of terabytes would be walked frame by frame. */
    if (tags == NULL)
        return tag == 0 ? piece.count : 0;
    tags += piece.bit % PS_CHUNK_FRAMES;
    while (alike < piece.count && (tags[alike] & PS_TAG_MASK) == tag)
        alike++;
    return alike;
}

/* The frame behind the stretch that begins at `frame` and has one state. */
static uint64_t stretch_end(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t span = pool->span;
    bool free = ps_pool_is_free(pool, frame);
    unsigned tag = ps_pool_tag(pool, frame) & PS_TAG_MASK;
    uint64_t end = ps_pool_next(pool, frame, span - 1, !free, false);
    uint64_t alike;

    end = ps_min(end, span);
    if (free)
        return end;
    do {
        alike = tagged_alike(pool, frame, tag);
        frame += alike;
    } while (alike != 0 && frame < end);
    return ps_min(frame, end);
}

static void dump_stretch(const struct ps_frame_pool *pool, uint64_t first, uint64_t end,
                         const struct ps_sink *sink)
{
    ps_print(sink, "  0x%012" PS_PRIx "-0x%012" PS_PRIx " %-8s ", first << PS_PAGE_SHIFT,
             (end << PS_PAGE_SHIFT) - 1, state_name(pool, first));
    ps_print_size(sink, ps_bytes_of_pages(ps_pages(end - first)));
    ps_print(sink, "\n");
}

static bool is_managed(const struct ps_frame_pool *pool, uint64_t frame)
{
    return ps_pool_is_free(pool, frame) || ps_pool_tag(pool, frame) != 0;
}

void ps_frame_pool_dump(struct ps_frame_pool *pool, const struct ps_sink *sink)
{
    uint64_t end;

    if (pool == NULL || pool->machine == NULL) {
        ps_print(sink, "frame pool: not initialised\n");
        return;
    }
    ps_lock_acquire(&pool->lock);
    ps_print(sink, "frame pool: %" PS_PRIu " frames, %" PS_PRIu " free, %" PS_PRIu " bookkeeping\n",
             pool->managed_frames, pool->free_frames, pool->metadata_frames);
    for (uint64_t frame = 0; frame < pool->span; frame = end) {
        end = stretch_end(pool, frame);
        if (is_managed(pool, frame))
            dump_stretch(pool, frame, end, sink);
    }
    ps_lock_release(&pool->lock);
}
