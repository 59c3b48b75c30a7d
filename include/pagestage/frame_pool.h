/*
 * The frame pool: who owns which physical frame.
 *
 * A frame is in exactly one state:
 *
 *     absent      not RAM of this pool: a hole, firmware, a device, page 0
 *     free        nobody's
 *     allocated   somebody's; carries a tag that says whose, and belongs to one unit
 *
 * A unit is what one call handed out: a single 4 KiB frame, a 2 MiB or a 1 GiB frame, or
 * a run. It goes back the way it came: whole, in one call, with the same size. A unit can
 * be cut into single frames first (ps_frame_pool_split), so that parts of it can go back.
 * Its first frame is its name.
 *
 *     . . [A|A A A][B][C|C C C C C C C] . . .        . free    [X|X X] a unit of three
 *
 * Misuse is always found, in release builds too: freeing what is free, what was never
 * handed out, the middle of a unit, or a unit with another size returns a status and
 * changes nothing.
 *
 * Zones. Single frames and runs come from above 4 GiB first, then from below 4 GiB, then
 * from below 1 MiB only if the caller's limit asks for that zone by name: low memory is
 * kept for those who need it. Reclaimed boot-services memory is used last of all.
 *
 * Memory: the pool's bookkeeping lives in frames of the pool itself, tagged
 * PS_FRAME_METADATA; ps_frame_pool_snapshot() says how many. No call allocates from
 * anywhere else. Frames are reached through machine->direct_map.
 *
 * Locking: every call takes the pool's own lock and may come from any processor. No call
 * calls out while it holds the lock, except to a dump's sink.
 */
#ifndef PAGESTAGE_FRAME_POOL_H
#define PAGESTAGE_FRAME_POOL_H

#include <pagestage/lock.h>
#include <pagestage/machine.h>
#include <pagestage/memory_map.h>
#include <pagestage/sink.h>
#include <pagestage/status.h>

/* Whose a frame is. */
enum ps_frame_tag {
    PS_FRAME_FREE,     /* not a tag to allocate with */
    PS_FRAME_METADATA, /* not a tag to allocate with: the pool's own */
    PS_FRAME_TABLE,    /* a page table */
    PS_FRAME_STACK,
    PS_FRAME_VIRTUAL, /* memory of a virtual allocator */
    PS_FRAME_HEAP,    /* bookkeeping of a higher layer */
    PS_FRAME_OBJECT,  /* memory of a memory object */
    PS_FRAME_LENT,    /* handed to the next stage, or to code outside the library */
    PS_FRAME_USER,    /* the embedder's own */
    PS_FRAME_TAG_COUNT
};

const char *ps_frame_tag_name(enum ps_frame_tag tag);

enum ps_frame_size {
    PS_FRAME_4K,
    PS_FRAME_2M,
    PS_FRAME_1G,
};

static inline ps_pages_t ps_frame_size_pages(enum ps_frame_size size)
{
    return ps_pages((uint64_t)1 << (9u * size));
}

enum {
    PS_FRAME_ZERO = 1u << 0, /* fill with zero bytes before handing out */
};

/* The limits that name a zone: the highest frame that may be used. */
#define PS_FRAME_ANY        ps_frame(UINT64_MAX)
#define PS_FRAME_BELOW_4GIB ps_frame(0xfffffu)
#define PS_FRAME_BELOW_1MIB ps_frame(0xffu)

struct ps_frame_block; /* bookkeeping of 32768 frames, private */

struct ps_frame_pool {
    struct ps_lock lock;

    /* Constant after init. */
    const struct ps_machine *machine;
    uint64_t span; /* frames up to the end of the map's last RAM range, holes included */
    uint64_t block_count;
    ps_frame_t directory; /* first frame of the array of blocks */

    /* Under the lock. */
    uint64_t free_frames;
    uint64_t managed_frames;
    uint64_t metadata_frames;
    uint64_t tagged[PS_FRAME_TAG_COUNT];
    uint64_t hint; /* block where the next search for single frames begins */

    /* Test instrument: see ps_frame_pool_fail_after(). */
    uint64_t fail_countdown;
    bool fail_armed;
    bool fail_for_good;
};

/*
 * Take over all PS_MEMORY_USABLE and PS_MEMORY_LOW ranges of `map`. The bookkeeping is
 * carved out of the usable ranges.
 *
 * pool       zero-filled; `machine` and what it points to must outlive the pool
 * map        read during this call only
 * On failure the pool stays uninitialised and no frame has been written to, except with junk.
 * PS_INVALID_ARGS  a NULL pointer, or the map does not validate
 * PS_BAD_STATE     already initialised
 * PS_NO_MEMORY     the usable ranges cannot hold the bookkeeping
 * Cost: time and memory grow with the RAM: 1 bit and 1 byte a frame, set aside here (the bytes
 * are first written when a frame near them is handed out), and 1 byte a MiB of the span, holes
 * included, in contiguous frames.
 */
PS_MUST_CHECK ps_status ps_frame_pool_init(struct ps_frame_pool *pool,
                                           const struct ps_machine *machine,
                                           const struct ps_memory_map *map);

/*
 * Add the RAM [first, first + pages), which was absent so far: memory reclaimed later.
 * On failure nothing changed.
 * PS_BAD_STATE       not initialised
 * PS_INVALID_ARGS    no pages
 * PS_OUT_OF_RANGE    includes page 0 or passes the last RAM range (of any RAM type) of the map
 *                    that the pool was initialised with
 * PS_ALREADY_EXISTS  a frame of it is in the pool already
 * PS_NO_MEMORY       no frame for the bookkeeping
 */
PS_MUST_CHECK ps_status ps_frame_pool_add(struct ps_frame_pool *pool, ps_frame_t first,
                                          ps_pages_t pages);

/*
 * One unit of 4 KiB, 2 MiB or 1 GiB, aligned to its size, from anywhere but the zone below
 * 1 MiB.
 *
 * tag, flags  whose it will be; PS_FRAME_ZERO or 0
 * frame       out: its first frame; untouched on failure
 * On failure nothing changed.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  a tag that is not to allocate with, an unknown size or flag, NULL
 * PS_NO_MEMORY     fewer free frames than asked for, or none left for the bookkeeping
 * PS_NO_SPACE      enough free frames, but no aligned run of that size
 */
PS_MUST_CHECK ps_status ps_frame_pool_alloc(struct ps_frame_pool *pool, enum ps_frame_size size,
                                            enum ps_frame_tag tag, unsigned flags,
                                            ps_frame_t *frame);

struct ps_frame_run {
    ps_pages_t pages;   /* any number but 0 */
    uint64_t alignment; /* of the first frame, in frames: a power of two; 0 means 1 */
    ps_frame_t limit;   /* the highest frame that may be used: PS_FRAME_ANY, ... */
    enum ps_frame_tag tag;
    unsigned flags;
};

/*
 * One unit of `run->pages` contiguous frames. Statuses as ps_frame_pool_alloc();
 * PS_INVALID_ARGS also for no pages or an alignment that is not a power of two.
 */
PS_MUST_CHECK ps_status ps_frame_pool_alloc_run(struct ps_frame_pool *pool,
                                                const struct ps_frame_run *run, ps_frame_t *frame);

/*
 * `count` single frames, wherever they are: all of them or none.
 * frames   out: array of `count`; contents undefined on failure. count 0 is PS_OK.
 * Statuses as ps_frame_pool_alloc() with PS_FRAME_4K.
 */
PS_MUST_CHECK ps_status ps_frame_pool_alloc_scattered(struct ps_frame_pool *pool, uint64_t count,
                                                      enum ps_frame_tag tag, unsigned flags,
                                                      ps_frame_t *frames);

/*
 * One unit of exactly the frames [first, first + pages), which must all be free.
 * PS_NOT_FOUND       a frame of the range is absent
 * PS_ALREADY_EXISTS  a frame of the range is allocated
 * otherwise as ps_frame_pool_alloc_run().
 */
PS_MUST_CHECK ps_status ps_frame_pool_claim(struct ps_frame_pool *pool, ps_frame_t first,
                                            ps_pages_t pages, enum ps_frame_tag tag);

/*
 * Give a whole unit back. Never fails for lack of memory.
 * On failure nothing changed.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  no pages
 * PS_OUT_OF_RANGE  not a frame of this pool: foreign, absent
 * PS_NOT_FOUND     free already, or inside a unit and not its first frame
 * PS_ACCESS_DENIED the pool's own bookkeeping
 * PS_WRONG_SIZE    a unit begins there, but it has another size
 * Cost: O(pages) to check and clear the tags.
 */
PS_MUST_CHECK ps_status ps_frame_pool_free(struct ps_frame_pool *pool, ps_frame_t first,
                                           ps_pages_t pages);

/*
 * Cut a unit into single frames that go back one by one. Allocates nothing, cannot fail for
 * lack of memory. Statuses as ps_frame_pool_free().
 */
PS_MUST_CHECK ps_status ps_frame_pool_split(struct ps_frame_pool *pool, ps_frame_t first,
                                            ps_pages_t pages);

struct ps_frame_info {
    bool managed;          /* false: absent, the rest is 0 */
    enum ps_frame_tag tag; /* PS_FRAME_FREE when free */
    ps_frame_t unit;       /* first frame of its unit */
    ps_pages_t unit_pages; /* 0 when free */
};

/* What is known of one frame. PS_BAD_STATE, PS_INVALID_ARGS (NULL). O(pages of its unit). */
PS_MUST_CHECK ps_status ps_frame_pool_query(struct ps_frame_pool *pool, ps_frame_t frame,
                                            struct ps_frame_info *info);

struct ps_frame_pool_snapshot {
    uint64_t managed; /* frames: free + allocated, metadata included */
    uint64_t free;
    uint64_t metadata;
    uint64_t by_tag[PS_FRAME_TAG_COUNT]; /* allocated frames; [PS_FRAME_FREE] == free */
    uint64_t free_below_1mib;
    uint64_t free_below_4gib; /* without those below 1 MiB */
    uint64_t free_2m;         /* whole aligned 2 MiB frames that could be had */
    uint64_t free_1g;
};

/* Totals now. All zero when not initialised. Cost: O(frames / 64). */
void ps_frame_pool_snapshot(struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot);

/* Allocated and not yet given back, metadata apart: the number a leak check compares. */
uint64_t ps_frame_pool_in_use(struct ps_frame_pool *pool);

/*
 * Recompute every counter from the bitmap and the tags: free bits against tags, units
 * without holes, totals by tag, no frame outside the managed ranges free.
 * PS_BAD_STATE; PS_CORRUPT with one line to `sink` for the first breach. O(frames).
 */
PS_MUST_CHECK ps_status ps_frame_pool_validate(struct ps_frame_pool *pool,
                                               const struct ps_sink *sink);

/* Totals, and one line a stretch of frames in the same state. */
void ps_frame_pool_dump(struct ps_frame_pool *pool, const struct ps_sink *sink);

/*
 * For tests: let `successes` frame-giving calls (alloc, run, scattered, claim) through,
 * then answer PS_NO_MEMORY, once or for good. UINT64_MAX switches it off.
 */
void ps_frame_pool_fail_after(struct ps_frame_pool *pool, uint64_t successes, bool for_good);

#endif
