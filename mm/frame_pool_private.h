/*
 * The inside of the frame pool.
 *
 *     region   1 GiB     an entry of 64 bytes, a bit in each set of regions
 *     tract    16 MiB    a line of 64 bytes; 64 a region
 *     chunk    2 MiB     a cell of 1 byte, a count, 512 bits; 8 a tract
 *     frame    4 KiB     a bit, set: free; a tag byte where its chunk is mixed
 *
 *     books: [processors, entries, sets, segments, ranges] [lines] [bits]
 *     lines: a frame a region, with the lines of its tracts
 *     bits:  those of all chunks of a region, then those of the next
 *
 * Nothing of a region is written before it is opened; until then it is what the ranges that
 * init was given say, and its bits in the sets. The bits of a chunk are valid only where its
 * cell says that it is mixed or that it holds single frames.
 *
 * Cells and tag bytes:
 *
 *     cell            0 no RAM    1 whole: all free    2 mixed: see its bytes
 *     byte            0 free if its bit is set, else no RAM
 *     cell or byte    SINGLE | tag      byte: one frame. Cell: every frame that is not free is
 *                                       a single one of that tag, none is absent
 *                     HEAD | tag        a unit of several frames begins
 *                     MIDDLE | digit    and continues
 *
 * A slot is what stands for a part of a unit: the cell of a chunk that the unit fills, else the
 * byte of one frame. The first seven slots behind the head hold the unit's pages, six bits
 * each, lowest first. Where there are fewer, they are few enough to count. So the size of any
 * unit is known after eight slots.
 *
 * The frame of a tract's tag bytes is one of the tract itself, taken when the first of its
 * chunks becomes mixed. For that the last free frame of a tract without one is kept back.
 *
 * Promises. `available` is the free frames without low ones, and without those that tracts keep
 * back; it never falls below `promised`. Who could make it fall:
 *
 *     single frames, tables of holders    one each, wherever they are taken and whether or not
 *                                         tag bytes become necessary: ps_pool_unpromised()
 *     runs, 2 MiB, 1 GiB, claims,         pages, less low ones, less one for each tract that is
 *     the ring of the quarantine          taken to its last frame: ps_pool_can_spare()
 *     quick gets                          one each: there are no more gets than unpromised
 *                                         frames, and only a put that makes one available adds one
 *     tag bytes, also for a loan          nothing: they are in the frame that is kept back
 *     a damaged frame, withdrawn          one, instead of those that were to be handed out. When
 *                                         it is a promised one: only while there are others
 *     giving back, adding                 more become available. But when the frame of the tag
 *                                         bytes, a low one, is given back, another is kept back:
 *                                         ps_tract_tidy() does not, if that one is promised
 *     splitting, quarantine, loans, fill  nothing: what is allocated stays so
 *
 * Two kinds of call. An exclusive one has the pool for itself. A quick one, for a single frame,
 * has only one tract: it locks that, but not while somebody is exclusive. What quick calls
 * change: bits, bytes, counts, `partial` and `free` of their tract, and what is
 * their processor's own. All else is for exclusive calls; quick ones only read it.
 */
#ifndef PS_FRAME_POOL_PRIVATE_H
#define PS_FRAME_POOL_PRIVATE_H

#include <pagestage/frame_pool.h>

#include "cold_private.h"
#include "hw.h"

/* The geometry is a parameter, so that a tiny one can be searched exhaustively. */
#ifndef PS_CHUNK_BITS
#define PS_CHUNK_BITS  9u                /* frames a chunk */
#define PS_TRACT_BITS  12u               /* frames a tract: at most 8 chunks, at most 4096 frames */
#define PS_REGION_BITS 18u               /* frames a region: at most 64 tracts */
#define PS_FRAMES_LOW  ((uint64_t)0x100) /* below 1 MiB: a part of the first chunk */
#define PS_FRAMES_4GIB ((uint64_t)0x100000) /* whole regions */
#endif

#define PS_CHUNK_FRAMES  ((uint64_t)1 << PS_CHUNK_BITS)
#define PS_TRACT_FRAMES  ((uint64_t)1 << PS_TRACT_BITS)
#define PS_REGION_FRAMES ((uint64_t)1 << PS_REGION_BITS)
#define PS_TRACT_CHUNKS  (1u << (PS_TRACT_BITS - PS_CHUNK_BITS))
#define PS_REGION_TRACTS (1u << (PS_REGION_BITS - PS_TRACT_BITS))
#define PS_REGION_CHUNKS (1u << (PS_REGION_BITS - PS_CHUNK_BITS))
#define PS_CHUNK_WORDS   (PS_CHUNK_BITS > 6 ? 1u << (PS_CHUNK_BITS - 6) : 1u)
#define PS_WORD_FRAMES   (PS_CHUNK_BITS > 6 ? 64u : 1u << PS_CHUNK_BITS)
#define PS_WORD_FULL     (UINT64_MAX >> (64u - PS_WORD_FRAMES))
#define PS_FRAME_WORDS   (PS_PAGE_SIZE / 8)

/* Frames of the books with the bits of one region. */
#define PS_BITS_FRAMES \
    (((uint64_t)PS_REGION_CHUNKS * PS_CHUNK_WORDS + PS_FRAME_WORDS - 1) / PS_FRAME_WORDS)

#define PS_NONE UINT64_MAX

/* Quick gets where nothing limits them: never used up, and far from wrapping. */
#define PS_GETS_UNLIMITED ((uint64_t)1 << 62)

/* ---- cells and bytes ---- */

enum {
    PS_CELL_ABSENT = 0,
    PS_CELL_WHOLE = 1,
    PS_CELL_MIXED = 2,

    PS_KIND = 0xc0,
    PS_SINGLE = 0x40,
    PS_HEAD = 0x80,
    PS_MIDDLE = 0xc0,

    PS_TAG = 0x0f,
    PS_LOAN = 0x30,           /* of a single frame's byte: */
    PS_LOAN_OPEN = 0x10,      /* lent */
    PS_LOAN_CANCELLED = 0x20, /* lent, but nobody gets it any more */

    PS_DIGIT = 0x3f,
    PS_DIGITS = 7, /* 42 bits */
};
_Static_assert(PS_FRAME_TAG_COUNT <= PS_TAG + 1, "a tag is four bits");

/* ---- structures in the books ---- */

struct ps_frame_tract {
    _Atomic(uint8_t) lock; /* of quick calls */
    uint8_t partial;       /* a bit a chunk: has bits, and one of them is set (low frames apart) */
    uint8_t whole;         /* a bit a chunk: is free */
    uint8_t late;          /* a bit a chunk: is used last */
    uint8_t listed;        /* bit 0 normal, 1 late: it is in its region's `partial` */
    uint8_t solid;         /* a bit a chunk: all of it is RAM of the pool */
    uint16_t owner;        /* processor + 1 that takes single frames from here; 0: nobody; a hint */
    uint16_t tags;         /* which of its frames holds the tag bytes, + 1; 0: none */
    uint16_t frames;       /* of RAM in the pool, low ones apart */
    uint32_t unused;
    uint8_t cells[8];
    uint64_t shares;    /* frame of the numbers of the frames with the holders, a chunk; 0: none */
    uint16_t counts[8]; /* free frames a chunk, low ones apart */

    /* Not next to `tags`: one load of both would wait for the store to this one. */
    uint16_t free; /* frames, low ones apart */
    uint16_t unused_too[3];
    uint64_t unused_as_well;
};
_Static_assert(sizeof(struct ps_frame_tract) == 64, "a line");
_Static_assert(PS_REGION_TRACTS * sizeof(struct ps_frame_tract) <= PS_PAGE_SIZE, "a frame");
_Static_assert(PS_TRACT_CHUNKS <= 8 && PS_TRACT_FRAMES <= PS_PAGE_SIZE, "bits, and bytes");

/* Valid while the region is open; `tag` also while it is a unit. */
struct ps_frame_region {
    uint64_t partial[2]; /* a bit a tract: may have a partly used chunk; [1]: one used last */
    uint64_t whole[2];   /* a bit a tract: has a whole free chunk */
    uint32_t whole_chunks;
    uint8_t tag; /* of the unit that the region is */
    uint8_t unused[3];
    uint64_t holders; /* of that unit */
    uint64_t unused_too[2];
};
_Static_assert(sizeof(struct ps_frame_region) == 64, "entries do not straddle frames");

struct ps_frame_extent {
    uint64_t first;
    uint64_t pages;
};

/* A chunk with bits, within reach of one call after the other. */
struct ps_frame_hand {
    struct ps_frame_tract *tract;
    uint64_t *bits;
    uint64_t first; /* frame of the chunk */
    uint64_t chunk; /* of the tract */
    uint64_t word;  /* of the bits, where a search begins */
};

/* What is one processor's own. Others touch it in exclusive calls only. */
struct ps_frame_processor {
    _Atomic(uint32_t) active; /* a quick call is going on */
    uint32_t unused;

    /*
     * Until an exclusive call is due. Each get is one less, and each put that makes a frame
     * available one more: so what is missing, or too much, has changed the totals. Where there is
     * one processor, that number is the pool's own.
     */
    uint64_t gets;
    uint64_t puts; /* left, where they are counted */
    uint64_t kept; /* puts since the last exclusive call that are kept back for tag bytes */

    /* The chunk that the next single frame comes from. It is nobody's property. */
    uint64_t view; /* the direct map that its pointers belong to; 0: there is no such chunk */
    struct ps_frame_hand hand;

    /* Counted here, more up than down or the reverse; what is true is the sum of all. */
    int64_t tagged[PS_FRAME_TAG_COUNT]; /* frames */
    uint64_t unused_too[32 - 10 - PS_FRAME_TAG_COUNT];
};
_Static_assert(sizeof(struct ps_frame_processor) == 256, "they do not straddle frames");
#define PS_FRAME_PROCESSORS (PS_PAGE_SIZE / sizeof(struct ps_frame_processor))

/* Where a frame is. */
struct ps_place {
    uint64_t region;
    unsigned tract; /* of the region */
    unsigned chunk; /* of the tract */
    unsigned bit;   /* of the chunk */
};

static inline void *ps_books_at(const struct ps_frame_pool *pool, uint64_t address)
{
    return ps_hw_pointer(pool->machine, ps_phys(address));
}

static inline struct ps_frame_processor *ps_pool_processor(const struct ps_frame_pool *pool,
                                                           uint32_t index)
{
    return ps_books_at(pool, pool->processors_at + index * sizeof(struct ps_frame_processor));
}

static inline struct ps_frame_region *ps_pool_entry(const struct ps_frame_pool *pool,
                                                    uint64_t region)
{
    return ps_books_at(pool, pool->entries_at + region * sizeof(struct ps_frame_region));
}

static inline struct ps_frame_tract *ps_pool_tract(const struct ps_frame_pool *pool,
                                                   uint64_t region, unsigned tract)
{
    return ps_books_at(pool, pool->lines_at + region * PS_PAGE_SIZE +
                                 tract * sizeof(struct ps_frame_tract));
}

/* The words of a chunk's bits. */
static inline uint64_t *ps_pool_bits(const struct ps_frame_pool *pool, const struct ps_place *place)
{
    uint64_t chunk = place->tract * PS_TRACT_CHUNKS + place->chunk;

    return ps_books_at(pool, pool->bits_at + place->region * PS_BITS_FRAMES * PS_PAGE_SIZE +
                                 chunk * PS_CHUNK_WORDS * 8);
}

static inline bool ps_bit_is_set(const uint64_t *bits, unsigned bit)
{
    return (bits[bit / 64] >> (bit % 64) & 1) != 0;
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

static inline unsigned ps_lowest_bit(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

/* ---- frame_pool_sets.c: sets of regions ---- */

/* Words of one set of `regions`, all levels together. */
uint64_t ps_set_words(uint64_t regions);

static inline uint64_t *ps_set_word(const struct ps_frame_pool *pool, enum ps_frame_set set,
                                    uint64_t word)
{
    return ps_books_at(pool, pool->sets_at + (set * pool->set_words + word) * 8);
}

/* Quick calls read sets while an exclusive one that they will give way to writes them. */
static inline bool ps_set_has(const struct ps_frame_pool *pool, enum ps_frame_set set,
                              uint64_t region)
{
    uint64_t *word = ps_set_word(pool, set, region / 64);

    return (__atomic_load_n(word, __ATOMIC_RELAXED) >> (region % 64) & 1) != 0;
}

void ps_set_put(struct ps_frame_pool *pool, enum ps_frame_set set, uint64_t region, bool in);
void ps_set_add_all(struct ps_frame_pool *pool, enum ps_frame_set set, uint64_t first,
                    uint64_t last);

/* The lowest member that is at least `from`; PS_NONE. */
uint64_t ps_set_next(const struct ps_frame_pool *pool, enum ps_frame_set set, uint64_t from);

/* ---- frame_pool_books.c: regions ---- */

/* Index of the region of a frame; PS_NONE where there is no RAM of any type. */
uint64_t ps_pool_region_elsewhere(const struct ps_frame_pool *pool, uint64_t number);

static inline uint64_t ps_pool_region(const struct ps_frame_pool *pool, uint64_t frame)
{
    uint64_t number = frame >> PS_REGION_BITS;

    if (number >= pool->home.first && number - pool->home.first < pool->home.count)
        return number - pool->home.first + pool->home.index;
    return ps_pool_region_elsewhere(pool, number);
}

/* The first frame of a region. */
uint64_t ps_pool_region_first(const struct ps_frame_pool *pool, uint64_t region);

/* The place of a frame in a region. */
static inline struct ps_place ps_place_in(uint64_t region, uint64_t frame)
{
    return (struct ps_place){
        .region = region,
        .tract = (unsigned)(frame % PS_REGION_FRAMES >> PS_TRACT_BITS),
        .chunk = (unsigned)(frame % PS_TRACT_FRAMES >> PS_CHUNK_BITS),
        .bit = (unsigned)(frame % PS_CHUNK_FRAMES),
    };
}

/* The frame at a place. */
uint64_t ps_place_frame(const struct ps_frame_pool *pool, const struct ps_place *place);

/* The ranges of RAM that init was given, without the books: index below pool->ranges. */
struct ps_frame_extent ps_pool_range(const struct ps_frame_pool *pool, uint64_t index);

/* The first range that ends above `frame`; pool->ranges when there is none. */
uint64_t ps_pool_range_from(const struct ps_frame_pool *pool, uint64_t frame);

/*
 * The first part of a range that lies in [*from, last]; *from then is what lies behind it. False
 * when there is none: with it a loop sees all RAM of a place, as init was told of it.
 */
bool ps_pool_next_part(const struct ps_frame_pool *pool, uint64_t *from, uint64_t last,
                       struct ps_frame_extent *part);

/* Write the books of a region, if nobody has. Changes no total. */
void ps_pool_open(struct ps_frame_pool *pool, uint64_t region);

/* Absent frames of open regions become free. Counts them in the totals. */
void ps_pool_bring(struct ps_frame_pool *pool, uint64_t first, uint64_t pages, bool late);

/* ---- frame_pool_chunks.c: free frames of a chunk; exclusive ---- */

/* The frames are free, and in an open region. What they are now is for the caller to say. */
void ps_chunk_take(struct ps_frame_pool *pool, const struct ps_place *place, uint64_t frames);

/* Frames that are not free become so. Bytes are the caller's business. */
void ps_chunk_give(struct ps_frame_pool *pool, const struct ps_place *place, uint64_t frames);

/* A whole chunk becomes the slot of a unit, and back. */
void ps_chunk_take_whole(struct ps_frame_pool *pool, const struct ps_place *place, uint8_t cell);
void ps_chunk_give_whole(struct ps_frame_pool *pool, const struct ps_place *place);

/* A whole region becomes a unit, and back. */
void ps_region_take(struct ps_frame_pool *pool, uint64_t region, enum ps_frame_tag tag);
void ps_region_give(struct ps_frame_pool *pool, uint64_t region);

/* The tag bytes of a tract, NULL when it has none. */
uint8_t *ps_tract_tags(const struct ps_frame_pool *pool, uint64_t region, unsigned tract,
                       const struct ps_frame_tract *line);

/* Free frames of a chunk from a place on that are low ones. */
uint64_t ps_low_part(const struct ps_frame_pool *pool, const struct ps_place *place,
                     uint64_t frames);

/*
 * Whether the tract, of an open region, has tag bytes or can have them when the `taken` free
 * frames from the place on are taken.
 */
bool ps_tract_can_mix(const struct ps_frame_pool *pool, const struct ps_place *place,
                      uint64_t taken);

/* The chunk, which is neither absent nor in a larger unit, gets bytes. It can. */
void ps_chunk_mix(struct ps_frame_pool *pool, const struct ps_place *place);

/* Give the frame of the tag bytes back when it is the last that is allocated. */
void ps_tract_tidy(struct ps_frame_pool *pool, const struct ps_place *place);

/* ---- frame_pool_units.c: units; exclusive ---- */

/* The slot of a frame, and how many frames it stands for; NULL when it is in no unit. */
struct ps_slot {
    uint8_t value;   /* 0: none. Of a chunk of single frames: SINGLE | tag */
    uint64_t frames; /* that it stands for, from its first one on */
};

/* The slot at `frame`, which must be the first of it. */
struct ps_slot ps_pool_slot(const struct ps_frame_pool *pool, uint64_t frame);

bool ps_pool_is_free(const struct ps_frame_pool *pool, uint64_t frame);

/* How many frames from a free one on are free, at least: up to the end of its word or chunk. */
uint64_t ps_pool_free_ahead(const struct ps_frame_pool *pool, uint64_t frame);

/* The frame is one of those that init set aside. */
static inline bool ps_pool_is_books(const struct ps_frame_pool *pool, uint64_t frame)
{
    return frame >= pool->books && frame - pool->books < pool->books_frames;
}

/*
 * What a frame that is allocated belongs to: tag, loan and first frame of its unit. False for
 * a free or absent one. O(slots of its unit).
 */
struct ps_unit {
    uint64_t first;
    uint64_t pages;
    uint8_t tag;
    uint8_t loan; /* PS_LOAN_..., or 0 */
};

bool ps_pool_unit_of(const struct ps_frame_pool *pool, uint64_t frame, struct ps_unit *unit);

/* The unit that begins exactly there with that size, or why not. O(1). */
ps_status ps_pool_check_unit(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                             struct ps_unit *unit);

/* Frames of the ranges in [first, first + frames), low ones apart: all free, in no open region. */
uint64_t ps_pool_unopened_frames(const struct ps_frame_pool *pool, uint64_t first, uint64_t frames);

/* The free frames [first, first + pages) can become a unit: there is room for its tags. */
bool ps_pool_can_take(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                      enum ps_frame_tag tag);

/* They do. */
void ps_pool_take(struct ps_frame_pool *pool, uint64_t first, uint64_t pages,
                  enum ps_frame_tag tag);

/* And back, whatever the number of its holders. */
void ps_pool_give(struct ps_frame_pool *pool, const struct ps_unit *unit);

/* Cut a unit into single frames. */
void ps_pool_cut(struct ps_frame_pool *pool, const struct ps_unit *unit);

/* ---- frame_pool_search.c; exclusive ---- */

/*
 * A free frame that can be had as a single one of that tag: it is taken. PS_NONE when none
 * is available. The processor for whom it is takes its next ones from the same chunk.
 */
uint64_t ps_pool_take_single(struct ps_frame_pool *pool, uint32_t processor, enum ps_frame_tag tag);

/* `count` of them, which are available. */
void ps_pool_take_singles(struct ps_frame_pool *pool, uint32_t processor, enum ps_frame_tag tag,
                          uint64_t count, ps_frame_t *frames);

/* Where a frame of 2 MiB or 1 GiB could be. */
ps_status ps_pool_find_large(struct ps_frame_pool *pool, uint64_t pages, uint64_t *first);

/* Where a run could be. */
ps_status ps_pool_find_run(struct ps_frame_pool *pool, const struct ps_frame_run *run,
                           uint64_t *first);

/* Free frames in [0, last], the low ones only when `last` is one. */
uint64_t ps_pool_count_free(struct ps_frame_pool *pool, uint64_t last);

/* ---- frame_pool_quick.c: processors ---- */

uint32_t ps_pool_this_processor(const struct ps_frame_pool *pool);

/* What ps_frame_pool_alloc() and ps_frame_pool_free() do when there is no quick way. */
ps_status ps_pool_alloc_slowly(struct ps_frame_pool *pool, enum ps_frame_size size,
                               enum ps_frame_tag tag, unsigned flags, ps_frame_t *frame);
ps_status ps_pool_free_slowly(struct ps_frame_pool *pool, uint64_t first, uint64_t pages);

/* The chunk at a place is where a processor takes its next single frames from. */
void ps_pool_aim(struct ps_frame_pool *pool, uint32_t processor, const struct ps_place *place);

/* A single frame has come back: the processor's next ones come from its chunk, if they may. */
void ps_pool_offer(struct ps_frame_pool *pool, uint32_t processor, uint64_t frame);

void ps_pool_enter(struct ps_frame_pool *pool);

/* Notifies, after it has left, when watermarks were passed. */
void ps_pool_leave(struct ps_frame_pool *pool);

/* What instruments and promises leave to quick calls. Exclusive. */
void ps_pool_set_budgets(struct ps_frame_pool *pool);

/* The sum over all processors. Exclusive. */
uint64_t ps_pool_tagged(const struct ps_frame_pool *pool, enum ps_frame_tag tag);

static inline uint64_t ps_pool_free_frames(const struct ps_frame_pool *pool)
{
    return pool->totals.free;
}

/* Free frames that single-frame calls can hand out. Exclusive. */
static inline uint64_t ps_pool_available(const struct ps_frame_pool *pool)
{
    return pool->totals.free - pool->totals.low_free - pool->totals.kept;
}

/* Of these, those that nobody was promised. Exclusive. */
static inline uint64_t ps_pool_unpromised(const struct ps_frame_pool *pool)
{
    uint64_t available = ps_pool_available(pool);

    return available - ps_min(available, pool->promised);
}

/* `frames` frames of a tag more, or fewer. Exclusive. */
void ps_pool_count_tag(struct ps_frame_pool *pool, unsigned tag, int64_t more);

/* ---- frame_pool.c ---- */

/*
 * Withdraw those of the frames just taken that were written to while they were free; the others
 * go back when there is one: PS_CORRUPT.
 */
ps_status ps_pool_check_fill(struct ps_frame_pool *pool, const ps_frame_t *frames, uint64_t count);

/* ---- frame_pool_promise.c; exclusive ---- */

bool ps_pool_spares(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages);

/* Enough frames stay available for what is promised when these free ones are taken. */
static inline bool ps_pool_can_spare(const struct ps_frame_pool *pool, uint64_t first,
                                     uint64_t pages)
{
    return pool->promised == 0 || ps_pool_spares(pool, first, pages);
}

/* ---- frame_pool_share.c: holders; exclusive ---- */

/* Holders of a unit: 1 unless it is shared. */
uint64_t ps_pool_holders(const struct ps_frame_pool *pool, const struct ps_unit *unit);

/* One holder less. False when it was the last. */
bool ps_pool_drop_holder(struct ps_frame_pool *pool, const struct ps_unit *unit);

/* ---- frame_pool_watch.c: instruments; exclusive ---- */

/* The test instrument: called where nothing else can fail any more. */
bool ps_pool_failure_is_due(struct ps_frame_pool *pool);

/* PS_SHOULD_WAIT when `frames` frames are asked for with `flags` and too few would be left. */
ps_status ps_pool_may_take(const struct ps_frame_pool *pool, uint64_t frames, unsigned flags);

/* Write the pattern to frames that become free. Nothing when fill checking is off. */
void ps_pool_fill_frames(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages);

/* The first of these free frames whose pattern is not whole; PS_NONE. */
uint64_t ps_pool_damaged(const struct ps_frame_pool *pool, uint64_t first, uint64_t pages);

/* A free frame that has been written to is used no more. */
void ps_pool_withdraw(struct ps_frame_pool *pool, uint64_t frame);

/* Put a unit into quarantine instead of freeing it. False: there is none. */
bool ps_pool_detain(struct ps_frame_pool *pool, const struct ps_unit *unit);

/* The unit that begins at `first` is in quarantine. */
bool ps_pool_is_detained(const struct ps_frame_pool *pool, uint64_t first);

/* ---- frame_pool_loan.c; exclusive ---- */

/* A lent frame for a borrower; PS_NONE when there is none. */
uint64_t ps_pool_borrow(struct ps_frame_pool *pool, enum ps_frame_tag tag);

/* A borrowed frame comes back. */
void ps_pool_return_loan(struct ps_frame_pool *pool, const struct ps_unit *unit);

#endif
