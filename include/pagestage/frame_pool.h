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
 * Misuse is always found, in release builds too and in O(1): freeing what is free, what was
 * never handed out, the middle of a unit, or a unit with another size returns a status and
 * changes nothing.
 *
 * A unit has one holder. ps_frame_pool_share() adds another; each of them frees the unit
 * once, and the last one really does.
 *
 * Order. Frames come from above 4 GiB first, then from below 4 GiB, then from below 1 MiB
 * only if the caller's limit asks for that zone by name: low memory is kept for those who
 * need it. 2 MiB chunks that hold memory added later (reclaimed boot-services memory) are used
 * last of all, and not for 1 GiB frames. Within each of these a request takes from 2 MiB that are
 * partly used before it breaks whole ones, and from 1 GiB that are partly used before it breaks
 * whole ones. A processor goes on with the 2 MiB that it last took a single frame from, or gave
 * one back to, while they have any; where there are several, each keeps to 16 MiB of its own, and
 * breaks whole 2 MiB before it takes from 2 MiB with fewer than 32 free frames.
 *
 * Memory. The pool's bookkeeping lives in frames of the pool itself, tagged
 * PS_FRAME_METADATA; ps_frame_pool_snapshot() says how many. No call allocates from
 * anywhere else.
 *     - 36 KiB a GiB of RAM, set aside by init and written when the GiB is first used:
 *       0.141 byte a frame.
 *     - 1 byte a frame for 16 MiB in which units of several owners, or runs, lie side by
 *       side. That is one of these 16 MiB's own frames, taken when it is needed: therefore
 *       the last free frame of 16 MiB that have none is not handed out as a single frame, and a
 *       claim must leave one. (In the lowest 16 MiB it may be one below 1 MiB.)
 *     - 8 bytes a frame for 2 MiB in which a unit is shared.
 * Frames are reached through machine->direct_map.
 *
 * Locking: every call may come from any processor. A call must not be interrupted by code
 * that calls the same pool: whoever can be, keeps interrupts off. Single frames are handed out
 * and taken back by several processors at once; every other call excludes all others for its
 * duration. No call calls out while it holds a lock, except to a dump's sink.
 */
#ifndef PAGESTAGE_FRAME_POOL_H
#define PAGESTAGE_FRAME_POOL_H

#include <pagestage/lock.h>
#include <pagestage/machine.h>
#include <pagestage/memory_map.h>
#include <pagestage/sink.h>
#include <pagestage/status.h>

/* Whose a frame is. At most 16 values. */
enum ps_frame_tag {
    PS_FRAME_FREE,        /* these five are not tags to allocate with: */
    PS_FRAME_METADATA,    /* the pool's own */
    PS_FRAME_QUARANTINED, /* given back, and kept from reuse for a while */
    PS_FRAME_LOANED,      /* lent to the pool, and borrowed by nobody */
    PS_FRAME_DAMAGED,     /* was written to while it was free; never used again */
    PS_FRAME_TABLE,       /* a page table */
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
    PS_FRAME_ZERO = 1u << 0,     /* fill with zero bytes before handing out */
    PS_FRAME_CAN_WAIT = 1u << 1, /* rather PS_SHOULD_WAIT than the last frames */
    PS_FRAME_BORROW = 1u << 2, /* single frames: lent ones will do, low ones too, and come first */
};

/* The limits that name a zone: the highest frame that may be used. */
#define PS_FRAME_ANY        ps_frame(UINT64_MAX)
#define PS_FRAME_BELOW_4GIB ps_frame(0xfffffu)
#define PS_FRAME_BELOW_1MIB ps_frame(0xffu)

/*
 * The number of free frames has left [low, high]: called once, without a lock, by the call that
 * made it so, before that call returns. It may call the pool, and set the next watermarks.
 */
struct ps_frame_watermarks {
    uint64_t low;
    uint64_t high;
    void (*notify)(void *context, uint64_t free_frames);
    void *context;
};

/* ---- the pool; what it consists of is private, see mm/frame_pool_private.h ---- */

/* Consecutive regions (GiB) of the address space, each with RAM in it. */
struct ps_frame_segment {
    uint64_t first; /* number of its first region in the address space */
    uint64_t count;
    uint64_t index; /* of its first region among those of all segments */
    uint64_t unused;
};

/* Sets of regions. */
enum ps_frame_set {
    PS_FRAME_PARTIAL,      /* may have a partly used chunk (2 MiB) */
    PS_FRAME_PARTIAL_LATE, /* the same, of chunks that are used last */
    PS_FRAME_WHOLE,        /* has a whole free chunk, and is not PS_FRAME_GIB */
    PS_FRAME_WHOLE_LATE,
    PS_FRAME_GIB,  /* is one whole free frame of 1 GiB */
    PS_FRAME_UNIT, /* is one allocated frame of 1 GiB */
    PS_FRAME_OPEN, /* its bookkeeping has been written */
    PS_FRAME_SETS
};

/* Counters that change only in exclusive calls. */
struct ps_frame_totals {
    uint64_t managed;  /* frames, free and allocated, bookkeeping included */
    uint64_t free;     /* of those */
    uint64_t low;      /* of those, below 1 MiB ... */
    uint64_t low_free; /* ... and free */
    uint64_t kept;     /* 16 MiB with free frames and without a frame of tags */
    uint64_t whole_2m; /* free */
    uint64_t whole_1g;
};

struct ps_frame_pool {
    /* Constant after init. */
    const struct ps_machine *machine;
    uint32_t processors;
    bool shared;                  /* by several processors: then there are locks */
    uint64_t span;                /* frames up to the end of the map's last RAM range */
    uint64_t reuse_floor;         /* frames below are not handed out again at once */
    uint64_t regions;             /* with RAM of any type ... */
    uint64_t border;              /* ... of which these lie below 4 GiB */
    struct ps_frame_segment home; /* the largest */
    uint64_t segments;
    uint64_t ranges;
    uint64_t books;         /* first of the frames that init set aside */
    uint64_t books_frames;  /* how many */
    uint64_t processors_at; /* what is in them: physical addresses, of consecutive parts */
    uint64_t entries_at;
    uint64_t sets_at;
    uint64_t segments_at;
    uint64_t ranges_at;
    uint64_t lines_at; /* these two begin with a frame */
    uint64_t bits_at;
    uint64_t set_words; /* of one set, all its levels */

    /* Seldom changed, and read by every call. */
    bool metered;  /* puts are counted: after some, processors must come here */
    bool plain;    /* neither that nor shared */
    uint64_t gets; /* single frames that can be had until then; shared: each processor's own */

    _Alignas(64) struct ps_lock lock; /* of exclusive calls */
    _Atomic(uint32_t) exclusive;

    /* Changed by exclusive calls only, and apart from what all read. */
    _Alignas(64) struct ps_frame_totals totals;
    uint64_t units_2m; /* allocated */
    uint64_t units_1g;
    uint64_t run_frames; /* in allocated units of other sizes */
    uint64_t shared_units;

    uint64_t granted;  /* gets that each processor had after the last exclusive call */
    uint64_t promised; /* frames */

    struct ps_frame_watermarks watermarks; /* notify NULL: none are set */
    uint64_t wait_level;

    uint64_t fill_bytes; /* of every free frame that hold a pattern; 0: unarmed */
    uint64_t damaged;    /* frames */
    uint64_t last_damaged;
    uint64_t damaged_used; /* promised, and handed out although they were damaged */

    uint64_t quarantine_at;   /* first frame of the ring; 0: none */
    uint64_t quarantine_size; /* places, */
    uint64_t quarantine_next; /* the oldest of those in use, */
    uint64_t quarantine_used; /* and how many are */

    uint64_t loan_head; /* lent frames to be borrowed, linked through their first words; 0: none */
    uint64_t loans;     /* all lent frames, */
    uint64_t loans_out; /* of which somebody has borrowed, */
    uint64_t loans_ended; /* of which the loan is cancelled */

    /* Test instrument: see ps_frame_pool_fail_after(). */
    uint64_t fail_countdown;
    bool fail_armed;
    bool fail_for_good;
};

/*
 * Take over all PS_MEMORY_USABLE and PS_MEMORY_LOW ranges of `map`. The bookkeeping is
 * carved out of the usable ranges.
 *
 * pool       zero-filled; `machine` and what it points to must outlive the pool, and the number
 *            of its processors must not change. machine->direct_map may, between calls.
 * map        read during this call only
 * On failure the pool stays uninitialised and no frame has been written to.
 * PS_INVALID_ARGS  a NULL pointer, the map does not validate, processors without a function
 * PS_BAD_STATE     already initialised
 * PS_NO_MEMORY     no usable range can hold the bookkeeping, which is one contiguous run
 * Cost: O(map entries), and 7 bits a GiB. No memory is written to but what that needs.
 */
PS_MUST_CHECK ps_status ps_frame_pool_init(struct ps_frame_pool *pool,
                                           const struct ps_machine *machine,
                                           const struct ps_memory_map *map);

/*
 * Add the RAM [first, first + pages), which was absent so far: memory reclaimed later. The
 * 2 MiB chunks that it lies in are used last from now on.
 * On failure nothing changed.
 * PS_BAD_STATE       not initialised
 * PS_INVALID_ARGS    no pages
 * PS_OUT_OF_RANGE    includes page 0, or a GiB of which the map had no RAM of any type, or passes
 *                    the last RAM of the map
 * PS_ALREADY_EXISTS  a frame of it is in the pool already
 * Cost: O(pages / 64).
 */
PS_MUST_CHECK ps_status ps_frame_pool_add(struct ps_frame_pool *pool, ps_frame_t first,
                                          ps_pages_t pages);

/*
 * One unit of 4 KiB, 2 MiB or 1 GiB, aligned to its size, from anywhere but the zone below
 * 1 MiB.
 *
 * tag, flags  whose it will be; PS_FRAME_... or 0
 * frame       out: its first frame; untouched on failure
 * On failure nothing changed.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  a tag that is not to allocate with, an unknown size or flag, NULL,
 *                  PS_FRAME_BORROW with another size than 4 KiB
 * PS_NO_MEMORY     fewer frames than asked for are available, or fewer than are promised would be
 *                  left
 * PS_NO_SPACE      enough free frames, but no aligned run of that size
 * PS_SHOULD_WAIT   PS_FRAME_CAN_WAIT, and fewer frames than the wait level would be left
 * PS_CORRUPT       fill checking is on, and a frame that was to be handed out has been written
 *                  to since it was freed: it is tagged PS_FRAME_DAMAGED now; ask again
 * Cost: O(1), also of a refusal; clearing apart.
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
 * PS_INVALID_ARGS also for no pages, an alignment that is not a power of two and
 * PS_FRAME_BORROW; PS_NO_MEMORY: fewer free frames than asked for below the limit.
 * Cost: O(1) for whole 2 MiB and 1 GiB without a limit, otherwise O(2 MiB that are partly used)
 * and, when none of these holds such a run, O(GiB + 16 MiB in use).
 */
PS_MUST_CHECK ps_status ps_frame_pool_alloc_run(struct ps_frame_pool *pool,
                                                const struct ps_frame_run *run, ps_frame_t *frame);

/*
 * `count` single frames, wherever they are: all of them or none.
 * frames   out: array of `count`; contents undefined on failure. count 0 is PS_OK.
 * Statuses as ps_frame_pool_alloc() with PS_FRAME_4K. After PS_CORRUPT no frame was handed out.
 */
PS_MUST_CHECK ps_status ps_frame_pool_alloc_scattered(struct ps_frame_pool *pool, uint64_t count,
                                                      enum ps_frame_tag tag, unsigned flags,
                                                      ps_frame_t *frames);

/*
 * One unit of exactly the frames [first, first + pages), which must all be free.
 * PS_NOT_FOUND       a frame of the range is absent
 * PS_ALREADY_EXISTS  a frame of the range is allocated, be it to the pool's bookkeeping
 * PS_NO_MEMORY       its 16 MiB have no frame left for the bookkeeping, or fewer frames than are
 *                    promised would be left available
 * otherwise as ps_frame_pool_alloc_run(). Cost: O(pages / 64).
 */
PS_MUST_CHECK ps_status ps_frame_pool_claim(struct ps_frame_pool *pool, ps_frame_t first,
                                            ps_pages_t pages, enum ps_frame_tag tag);

/*
 * Give a whole unit back, or one holder's part in a shared one. Never fails for lack of memory.
 * On failure nothing changed.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  no pages
 * PS_OUT_OF_RANGE  not a frame of this pool: foreign, absent
 * PS_NOT_FOUND     free already, lent and not borrowed, or inside a unit and not its first frame
 * PS_ACCESS_DENIED the pool's own bookkeeping, or a damaged frame
 * PS_WRONG_SIZE    a unit begins there, but it has another size
 * Cost: O(1) for 4 KiB, 2 MiB and 1 GiB, O(pages / 64) for runs; O(1) for a refusal.
 */
PS_MUST_CHECK ps_status ps_frame_pool_free(struct ps_frame_pool *pool, ps_frame_t first,
                                           ps_pages_t pages);

/*
 * Cut a unit into single frames that go back one by one. Allocates nothing, cannot fail for
 * lack of memory. Statuses as ps_frame_pool_free(); PS_ACCESS_DENIED also for a shared unit.
 */
PS_MUST_CHECK ps_status ps_frame_pool_split(struct ps_frame_pool *pool, ps_frame_t first,
                                            ps_pages_t pages);

/* ---- promises ---- */

/*
 * From now on `frames` single frames more are kept available, whichever they will be: no other
 * call leaves fewer than are promised. A promise takes no frame, and belongs to whoever knows of
 * it: promises add up to one number. Promised frames are free ones in every count, for watermarks
 * and the wait level too. No frames: PS_OK.
 * On failure nothing changed.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  NULL
 * PS_NO_MEMORY     fewer are available that are not promised already; ps_frame_pool_fail_after()
 * Cost: O(processors).
 */
PS_MUST_CHECK ps_status ps_frame_pool_promise(struct ps_frame_pool *pool, ps_pages_t frames);

/*
 * So many of the promised frames are not needed any more. Never fails for lack of memory.
 * On failure nothing changed.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  NULL, or more than are promised
 * Cost: O(processors).
 */
PS_MUST_CHECK ps_status ps_frame_pool_unpromise(struct ps_frame_pool *pool, ps_pages_t frames);

/*
 * One 4 KiB frame, a unit as from ps_frame_pool_alloc(), in place of one that is promised. It
 * cannot fail while there is one: neither the wait level nor ps_frame_pool_fail_after() concern
 * it, and the latter does not count it. Fill checking passes over damaged frames as long as there
 * are others than the promised ones; without them a damaged frame is handed out, and counted in
 * `damaged_used`.
 *
 * tag, flags  whose it will be; PS_FRAME_ZERO or 0
 * frame       out; untouched on failure
 * On failure nothing changed.
 * PS_BAD_STATE     not initialised, or nothing is promised
 * PS_INVALID_ARGS  a tag that is not to allocate with, another flag, NULL
 * Cost: O(processors); clearing and damaged frames apart.
 */
PS_MUST_CHECK ps_status ps_frame_pool_alloc_promised(struct ps_frame_pool *pool,
                                                     enum ps_frame_tag tag, unsigned flags,
                                                     ps_frame_t *frame);

/* ---- sharing ---- */

/*
 * One more holder of the unit that begins at `first`. Statuses as ps_frame_pool_free();
 * PS_ACCESS_DENIED also for a lent frame; PS_NO_MEMORY: no frame for the count. Cost: O(1).
 */
PS_MUST_CHECK ps_status ps_frame_pool_share(struct ps_frame_pool *pool, ps_frame_t first,
                                            ps_pages_t pages);

/* ---- loans ---- */

/*
 * Lend the single frame `frame`, allocated and not shared, to the pool: until the loan ends,
 * calls with PS_FRAME_BORROW may get it. Its contents are lost: while nobody has borrowed it, the
 * pool keeps its list of lent frames in it, and nobody else may write to it.
 * PS_NO_MEMORY      no frame for the bookkeeping
 * PS_ALREADY_EXISTS lent already
 * PS_ACCESS_DENIED  shared
 * otherwise as ps_frame_pool_free(). Cost: O(1).
 */
PS_MUST_CHECK ps_status ps_frame_pool_lend(struct ps_frame_pool *pool, ps_frame_t frame);

/*
 * From now on nobody gets the lent frame any more. Somebody may still have it.
 * PS_NOT_FOUND     not lent, or cancelled already
 * PS_BAD_STATE, PS_OUT_OF_RANGE as ps_frame_pool_free(). Cost: O(1).
 */
PS_MUST_CHECK ps_status ps_frame_pool_cancel_loan(struct ps_frame_pool *pool, ps_frame_t frame);

/*
 * The lent frame is its lender's again, with `tag`; a loan that was not cancelled is.
 * PS_NOT_FOUND       not lent
 * PS_ALREADY_EXISTS  somebody has borrowed it and not given it back; the loan is not cancelled
 *                    by this call
 * PS_INVALID_ARGS    a tag that is not to allocate with
 * PS_BAD_STATE, PS_OUT_OF_RANGE as ps_frame_pool_free(). Cost: O(1).
 */
PS_MUST_CHECK ps_status ps_frame_pool_end_loan(struct ps_frame_pool *pool, ps_frame_t frame,
                                               enum ps_frame_tag tag);

/* ---- watching ---- */

/*
 * Ask to be told once when the number of free frames leaves [low, high]. When it is outside
 * already, the notification comes before this call returns. NULL: no notification any more.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  low above high, no function
 * While watermarks are set single frames are counted exactly, which costs a little near them.
 */
PS_MUST_CHECK ps_status ps_frame_pool_watch(struct ps_frame_pool *pool,
                                            const struct ps_frame_watermarks *watermarks);

/*
 * Requests that can wait leave at least this many frames free; at first 0. What they borrow does
 * not count. PS_BAD_STATE.
 */
PS_MUST_CHECK ps_status ps_frame_pool_set_wait_level(struct ps_frame_pool *pool, uint64_t frames);

/*
 * Fill checking: the first `bytes` bytes of every frame get a pattern when it becomes free,
 * which is looked for when it is handed out. Starts with 0: no pattern, no check. This call
 * fills, with the new size, all frames that are free now; 0 ends it.
 * PS_BAD_STATE     not initialised
 * PS_INVALID_ARGS  not a multiple of 8, or more than a page
 * Cost: O(free frames): all of them are written to.
 */
PS_MUST_CHECK ps_status ps_frame_pool_fill(struct ps_frame_pool *pool, uint64_t bytes);

/* The byte that the pattern consists of. */
#define PS_FRAME_FILL_BYTE 0x43u

/*
 * Delay reuse: a unit that is given back becomes free only when `frees` more have been given
 * back. Meanwhile it counts as PS_FRAME_QUARANTINED, and a second free is PS_NOT_FOUND. Every call
 * frees what is waiting and begins anew; 0 ends it.
 * PS_BAD_STATE  not initialised
 * PS_NO_MEMORY, PS_NO_SPACE  no frames for the list: 16 bytes a unit, contiguous
 * Cost: of each later free O(frees): a debugging aid.
 */
PS_MUST_CHECK ps_status ps_frame_pool_quarantine(struct ps_frame_pool *pool, uint64_t frees);

/* ---- asking ---- */

struct ps_frame_info {
    bool managed;          /* false: absent, the rest is 0 */
    bool lent;             /* by its owner to the pool */
    enum ps_frame_tag tag; /* PS_FRAME_FREE when free */
    ps_frame_t unit;       /* first frame of its unit */
    ps_pages_t unit_pages; /* 0 when free */
    uint64_t holders;      /* 0 when free */
};

/* What is known of one frame. PS_BAD_STATE, PS_INVALID_ARGS (NULL). O(pages of its unit). */
PS_MUST_CHECK ps_status ps_frame_pool_query(struct ps_frame_pool *pool, ps_frame_t frame,
                                            struct ps_frame_info *info);

enum ps_frame_zone {
    PS_FRAME_ZONE_LOW,    /* below 1 MiB */
    PS_FRAME_ZONE_4GIB,   /* from 1 MiB to 4 GiB */
    PS_FRAME_ZONE_NORMAL, /* above */
    PS_FRAME_ZONES
};

struct ps_frame_pool_snapshot {
    uint64_t managed;   /* frames: free + allocated, metadata included */
    uint64_t free;      /* == by_tag[PS_FRAME_FREE] */
    uint64_t available; /* of these, those that single-frame calls can still hand out, of which */
    uint64_t promised;  /* so many only to who was promised them */
    uint64_t metadata;  /* == by_tag[PS_FRAME_METADATA] */

    uint64_t by_tag[PS_FRAME_TAG_COUNT]; /* frames */

    /*
     * Allocated units, and the frames in all others: runs, and 2 MiB or 1 GiB that are not aligned.
     * Whosever they are, the pool's later bookkeeping included, but not what init set aside.
     */
    uint64_t units_4k;
    uint64_t units_2m;
    uint64_t units_1g;
    uint64_t run_frames;
    uint64_t shared_units; /* with more than one holder */

    uint64_t free_in[PS_FRAME_ZONES];
    uint64_t managed_in[PS_FRAME_ZONES]; /* metadata that init set aside is not counted */
    uint64_t free_late;                  /* in chunks that are used last */
    uint64_t whole_2m;                   /* whole aligned 2 MiB frames that could be had */
    uint64_t whole_1g;

    uint64_t loans; /* lent frames ... */
    uint64_t loans_out;
    uint64_t loans_cancelled;

    uint64_t quarantined_units;
    uint64_t fill_bytes;
    uint64_t damaged;        /* frames */
    ps_frame_t last_damaged; /* when there are any */
    uint64_t damaged_used;   /* handed out all the same, see ps_frame_pool_alloc_promised() */
};

/* Totals now. All zero when not initialised. Cost: O(16 MiB in use). */
void ps_frame_pool_snapshot(struct ps_frame_pool *pool, struct ps_frame_pool_snapshot *snapshot);

/*
 * Allocated and not yet given back, metadata, quarantined and damaged frames apart: the number
 * a leak check compares. O(processors).
 */
uint64_t ps_frame_pool_in_use(struct ps_frame_pool *pool);

/*
 * Whole aligned frames of that size that could be had now, were nothing promised; of 4 KiB those
 * available and not promised. O(1).
 */
uint64_t ps_frame_pool_whole(struct ps_frame_pool *pool, enum ps_frame_size size);

/*
 * Forget which frames each processor would hand out next. They are free, whichever processor
 * asks; this only makes the order of later calls independent of what came before.
 */
void ps_frame_pool_drain(struct ps_frame_pool *pool);

/*
 * Recompute every counter and summary from the bitmaps, the tags and the ranges that init was
 * given, and look for patterns where fill checking is on.
 * PS_BAD_STATE; PS_CORRUPT with one line to `sink` for the first breach. O(frames in use / 64).
 */
PS_MUST_CHECK ps_status ps_frame_pool_validate(struct ps_frame_pool *pool,
                                               const struct ps_sink *sink);

/* Totals, and one line a stretch of frames in the same state. */
void ps_frame_pool_dump(struct ps_frame_pool *pool, const struct ps_sink *sink);

/*
 * For tests: let `successes` frame-giving calls (alloc, run, scattered, claim, share, lend,
 * quarantine, promise) through, then answer PS_NO_MEMORY, once or for good. UINT64_MAX switches it
 * off.
 */
void ps_frame_pool_fail_after(struct ps_frame_pool *pool, uint64_t successes, bool for_good);

/* ---- short names of frames ---- */

/*
 * A frame below 2 TiB as 32 bits whose lowest three are clear, for tables that keep marks in
 * them. Never 0 for a frame of a pool.
 */
static inline bool ps_frame_to_index(ps_frame_t frame, uint32_t *index)
{
    if (frame.number > UINT32_MAX >> 3)
        return false;
    *index = (uint32_t)frame.number << 3;
    return true;
}

static inline ps_frame_t ps_frame_of_index(uint32_t index)
{
    return ps_frame(index >> 3);
}

#endif
