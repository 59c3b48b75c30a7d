#include "frame_pool_private.h"

/*
 * Single frames, quickly.
 *
 * A processor remembers the chunk that it last took a frame from or put one into, and takes the
 * next one from there. That reserves nothing: the frames are free for everybody, and what the
 * chunk's bits say is true. So no frame is ever stranded with a processor that does not need it.
 *
 * Where several processors share the pool, a quick call locks the one tract that it changes.
 * Exclusive calls lock nothing of the kind: they raise `exclusive` and wait until no processor
 * is active any more. Either side writes its own mark before it reads the other's, with full
 * barriers in between, so at least one of two sees the other.
 */

/* ---- processors ---- */

uint32_t ps_pool_this_processor(const struct ps_frame_pool *pool)
{
    return pool->shared ? pool->machine->processor(pool->machine->processor_context) : 0;
}

/*
 * The tract is ours. Whoever is exclusive is waited for, and not joined: two processors whose
 * calls turned exclusive because the other's was would never get out of that again.
 */
static inline void begin(struct ps_frame_pool *pool, struct ps_frame_processor *own,
                         struct ps_frame_tract *tract)
{
    for (;;) {
        atomic_store_explicit(&own->active, 1, memory_order_relaxed);
        while (atomic_exchange(&tract->lock, 1) != 0)
            while (atomic_load_explicit(&tract->lock, memory_order_relaxed) != 0)
                __builtin_ia32_pause();
        if (atomic_load(&pool->exclusive) == 0)
            return;
        atomic_store_explicit(&tract->lock, 0, memory_order_release);
        atomic_store_explicit(&own->active, 0, memory_order_release);
        while (atomic_load_explicit(&pool->exclusive, memory_order_relaxed) != 0)
            __builtin_ia32_pause();
    }
}

static inline void end(struct ps_frame_processor *own, struct ps_frame_tract *tract)
{
    atomic_store_explicit(&tract->lock, 0, memory_order_release);
    atomic_store_explicit(&own->active, 0, memory_order_release);
}

/* What a processor's quick calls have done to the totals: `gets` says where its gets are counted.
 */
static inline void settle(struct ps_frame_pool *pool, struct ps_frame_processor *own,
                          uint64_t *gets)
{
    pool->totals.free = pool->totals.free + *gets - pool->granted + own->kept;
    pool->totals.kept += own->kept;
    *gets = pool->granted;
    own->kept = 0;
}

void ps_pool_enter(struct ps_frame_pool *pool)
{
    if (!pool->shared) {
        settle(pool, ps_pool_processor(pool, 0), &pool->gets);
        return;
    }
    ps_lock_acquire(&pool->lock);
    (void)atomic_exchange(&pool->exclusive, 1);
    for (uint32_t i = 0; i < pool->processors; i++) {
        struct ps_frame_processor *own = ps_pool_processor(pool, i);

        while (atomic_load(&own->active) != 0)
            __builtin_ia32_pause();
        settle(pool, own, &own->gets);
    }
}

/* The watermarks, when they were passed; they are not set any more then. */
PS_COLD static struct ps_frame_watermarks take_notification(struct ps_frame_pool *pool,
                                                            uint64_t *free_frames)
{
    struct ps_frame_watermarks watermarks = pool->watermarks;

    *free_frames = ps_pool_free_frames(pool);
    if (*free_frames < watermarks.low || *free_frames > watermarks.high)
        pool->watermarks = (struct ps_frame_watermarks){0};
    else
        watermarks.notify = NULL;
    ps_pool_set_budgets(pool);
    return watermarks;
}

void ps_pool_leave(struct ps_frame_pool *pool)
{
    struct ps_frame_watermarks due = {0};
    uint64_t free_frames = 0;

    if (pool->watermarks.notify != NULL)
        due = take_notification(pool, &free_frames);
    else if (pool->promised != 0)
        ps_pool_set_budgets(pool);
    if (pool->shared) {
        atomic_store_explicit(&pool->exclusive, 0, memory_order_release);
        ps_lock_release(&pool->lock);
    }
    if (due.notify != NULL)
        due.notify(due.context, free_frames);
}

/* ---- sums ---- */

PS_COLD uint64_t ps_pool_tagged(const struct ps_frame_pool *pool, enum ps_frame_tag tag)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < pool->processors; i++)
        sum += ps_pool_processor(pool, i)->tagged[tag];
    return (uint64_t)sum;
}

void ps_pool_count_tag(struct ps_frame_pool *pool, unsigned tag, int64_t more)
{
    ps_pool_processor(pool, 0)->tagged[tag] += more;
    if (more > 0)
        pool->totals.free -= (uint64_t)more;
    else
        pool->totals.free += (uint64_t)-more;
}

/* Gets that surely pass no watermark, and eat no promised frame. */
static uint64_t gets_left(const struct ps_frame_pool *pool)
{
    uint64_t free_frames = ps_pool_free_frames(pool);
    uint64_t gets = PS_GETS_UNLIMITED;

    if (pool->promised != 0)
        gets = ps_pool_unpromised(pool);
    if (pool->watermarks.notify != NULL)
        gets = ps_min(gets, free_frames - ps_min(free_frames, pool->watermarks.low));
    return gets;
}

/* Puts that surely pass no watermark. */
static uint64_t puts_left(const struct ps_frame_pool *pool)
{
    uint64_t free_frames = ps_pool_free_frames(pool);

    if (pool->watermarks.notify == NULL)
        return UINT64_MAX;
    return ps_max(free_frames, pool->watermarks.high) - free_frames;
}

/*
 * Instruments that look at every call leave no quick ones. Watermarks and promises leave as many
 * as surely are no business of theirs, shared out among the processors.
 */
PS_COLD void ps_pool_set_budgets(struct ps_frame_pool *pool)
{
    bool none = pool->fail_armed || pool->fill_bytes != 0 || pool->quarantine_size != 0;
    uint64_t gets = none ? 0 : gets_left(pool);
    uint64_t puts = none ? 0 : puts_left(pool);

    pool->metered = none || pool->watermarks.notify != NULL;
    /* Quick calls read these before they lock anything: where there are others they never change.
     */
    if (!pool->shared) {
        pool->plain = !pool->metered;
        pool->gets = gets;
        pool->granted = gets;
        ps_pool_processor(pool, 0)->puts = puts;
        return;
    }
    pool->granted = gets / pool->processors;
    for (uint32_t i = 0; i < pool->processors; i++) {
        ps_pool_processor(pool, i)->gets = pool->granted;
        ps_pool_processor(pool, i)->puts = puts / pool->processors;
    }
}

/* ---- the chunk that is at hand ---- */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Others change it while nobody is active, but perhaps somebody is about to be. */
ALWAYS_INLINE uint64_t view_of(const struct ps_frame_processor *own)
{
    return __atomic_load_n(&own->view, __ATOMIC_RELAXED);
}

/* The first chunk has low frames, which are not to be handed out like others. */
ALWAYS_INLINE void keep_at_hand(const struct ps_frame_pool *pool, struct ps_frame_processor *own,
                                const struct ps_frame_hand *hand)
{
    own->hand = *hand;
    __atomic_store_n(&own->view, hand->first == 0 ? 0 : pool->machine->direct_map,
                     __ATOMIC_RELAXED);
}

ALWAYS_INLINE struct ps_frame_hand hand_at(const struct ps_frame_pool *pool,
                                           const struct ps_place *place, uint64_t frame)
{
    return (struct ps_frame_hand){
        .tract = ps_pool_tract(pool, place->region, place->tract),
        .bits = ps_pool_bits(pool, place),
        .first = frame - place->bit,
        .chunk = place->chunk,
        .word = place->bit / 64,
    };
}

void ps_pool_aim(struct ps_frame_pool *pool, uint32_t processor, const struct ps_place *place)
{
    struct ps_frame_hand hand = hand_at(pool, place, ps_place_frame(pool, place));

    keep_at_hand(pool, ps_pool_processor(pool, processor), &hand);
}

void ps_pool_offer(struct ps_frame_pool *pool, uint32_t processor, uint64_t frame)
{
    struct ps_place place = ps_place_in(ps_pool_region(pool, frame), frame);
    const struct ps_frame_tract *tract = ps_pool_tract(pool, place.region, place.tract);
    uint8_t chunks = tract->partial & (uint8_t)~tract->late;

    if (frame >= pool->reuse_floor && (chunks >> place.chunk & 1) != 0)
        ps_pool_aim(pool, processor, &place);
}

PS_COLD void ps_frame_pool_drain(struct ps_frame_pool *pool)
{
    if (pool == NULL || pool->machine == NULL)
        return;
    ps_pool_enter(pool);
    for (uint32_t i = 0; i < pool->processors; i++)
        __atomic_store_n(&ps_pool_processor(pool, i)->view, 0, __ATOMIC_RELAXED);
    for (uint64_t region = ps_set_next(pool, PS_FRAME_OPEN, 0); region != PS_NONE;
         region = ps_set_next(pool, PS_FRAME_OPEN, region + 1))
        for (unsigned tract = 0; tract < PS_REGION_TRACTS; tract++)
            ps_pool_tract(pool, region, tract)->owner = 0;
    ps_pool_leave(pool);
}

/* One put less, if they are counted; false when there is none left. */
ALWAYS_INLINE bool spend_put(const struct ps_frame_pool *pool, struct ps_frame_processor *own)
{
    if (!pool->metered)
        return true;
    if (own->puts == 0)
        return false;
    own->puts--;
    return true;
}

/* The byte of a frame in a tract that has tag bytes. */
ALWAYS_INLINE uint8_t *byte_of(const struct ps_frame_pool *pool, const struct ps_frame_tract *tract,
                               uint64_t frame)
{
    uint64_t first = ps_align_down(frame, PS_TRACT_FRAMES);
    uint8_t *bytes = ps_hw_frame(pool->machine, ps_frame(first + tract->tags - 1u));

    return &bytes[frame % PS_TRACT_FRAMES];
}

/* Tags 5 and up, not lent: values that follow each other. */
ALWAYS_INLINE bool is_callers_single(uint8_t value)
{
    return value > (PS_SINGLE | PS_FRAME_DAMAGED) && value < (PS_SINGLE | PS_FRAME_TAG_COUNT);
}

static bool is_for_callers(enum ps_frame_tag tag)
{
    return (unsigned)tag > PS_FRAME_DAMAGED && (unsigned)tag < PS_FRAME_TAG_COUNT;
}

/* ---- getting ---- */

/*
 * The usual case, in which nothing follows: a frame of the word at hand, where all frames that
 * are taken have that tag, and which is not kept back. 0: it is not the usual case.
 */
ALWAYS_INLINE uint64_t take_alike(struct ps_frame_pool *pool, struct ps_frame_processor *own,
                                  enum ps_frame_tag tag)
{
    const struct ps_frame_hand *hand = &own->hand;
    struct ps_frame_tract *tract = hand->tract;
    uint64_t bits;

    if (own->view != pool->machine->direct_map || tract->cells[hand->chunk] != (PS_SINGLE | tag) ||
        tract->free < 2 || hand->bits[hand->word] == 0)
        return 0;
    bits = hand->bits[hand->word];
    hand->bits[hand->word] = bits & (bits - 1);
    tract->free--;
    if (--tract->counts[hand->chunk] == 0)
        tract->partial &= (uint8_t) ~(1u << hand->chunk);
    own->tagged[tag]++;
    pool->gets--;
    return hand->first + hand->word * 64 + ps_lowest_bit(bits);
}

/*
 * A frame of the chunk at hand; 0 when that is not for a quick call: nothing is free there, the
 * frame is kept back, or the tag takes more than a byte.
 */
ALWAYS_INLINE uint64_t take_at_hand(const struct ps_frame_pool *pool, struct ps_frame_hand *hand,
                                    uint8_t single)
{
    struct ps_frame_tract *tract = hand->tract;
    uint16_t *count = &tract->counts[hand->chunk];
    uint8_t cell = tract->cells[hand->chunk];
    uint64_t word = hand->word;
    uint64_t bits;
    uint64_t frame;

    if (*count == 0 || (tract->free == 1 && tract->tags == 0) ||
        (cell != single && (cell != PS_CELL_MIXED || tract->tags == 0)))
        return 0;
    while ((bits = hand->bits[word]) == 0)
        if (++word == PS_CHUNK_WORDS)
            return 0;
    frame = hand->first + word * 64 + ps_lowest_bit(bits);
    hand->bits[word] = bits & (bits - 1);
    hand->word = word;
    if (cell != single)
        *byte_of(pool, tract, frame) = single;
    tract->free--;
    if (--*count == 0)
        tract->partial &= (uint8_t) ~(1u << hand->chunk);
    return frame;
}

ALWAYS_INLINE uint64_t get_alone(const struct ps_frame_pool *pool, struct ps_frame_processor *own,
                                 uint64_t *gets, enum ps_frame_tag tag)
{
    uint64_t frame = 0;

    if (*gets != 0)
        frame = take_at_hand(pool, &own->hand, (uint8_t)(PS_SINGLE | tag));
    if (frame != 0) {
        own->tagged[tag]++;
        --*gets;
    }
    return frame;
}

static inline ps_status hand_out(const struct ps_frame_pool *pool, uint64_t first, unsigned flags,
                                 ps_frame_t *frame)
{
    *frame = ps_frame(first);
    if (flags != 0)
        ps_hw_zero_frame(ps_hw_frame(pool->machine, *frame));
    return PS_OK;
}

static __attribute__((noinline)) ps_status
alloc_shared(struct ps_frame_pool *pool, enum ps_frame_tag tag, unsigned flags, ps_frame_t *frame)
{
    struct ps_frame_processor *own = ps_pool_processor(pool, ps_pool_this_processor(pool));
    struct ps_frame_tract *tract = own->hand.tract;
    uint64_t first = 0;

    if (view_of(own) == pool->machine->direct_map) {
        begin(pool, own, tract);
        first = get_alone(pool, own, &own->gets, tag);
        end(own, tract);
    }
    if (first == 0)
        return ps_pool_alloc_slowly(pool, PS_FRAME_4K, tag, flags, frame);
    return hand_out(pool, first, flags, frame);
}

static __attribute__((noinline)) ps_status
alloc_single(struct ps_frame_pool *pool, enum ps_frame_tag tag, unsigned flags, ps_frame_t *frame)
{
    struct ps_frame_processor *own = ps_pool_processor(pool, 0);
    uint64_t first;

    first = own->view == pool->machine->direct_map ? get_alone(pool, own, &pool->gets, tag) : 0;
    if (first == 0)
        return ps_pool_alloc_slowly(pool, PS_FRAME_4K, tag, flags, frame);
    return hand_out(pool, first, flags, frame);
}

/* Every other way out is a jump to another function: so this one needs little of the stack. */
ps_status ps_frame_pool_alloc(struct ps_frame_pool *pool, enum ps_frame_size size,
                              enum ps_frame_tag tag, unsigned flags, ps_frame_t *frame)
{
    uint64_t first;

    if (pool == NULL || frame == NULL || pool->machine == NULL || size != PS_FRAME_4K ||
        !is_for_callers(tag) || (flags & ~(unsigned)PS_FRAME_ZERO) != 0)
        return ps_pool_alloc_slowly(pool, size, tag, flags, frame);
    first = pool->gets != 0 ? take_alike(pool, ps_pool_processor(pool, 0), tag) : 0;
    if (first != 0)
        return hand_out(pool, first, flags, frame);
    return pool->shared ? alloc_shared(pool, tag, flags, frame)
                        : alloc_single(pool, tag, flags, frame);
}

/* ---- putting ---- */

/*
 * The usual case, in which nothing follows, where all frames that are taken have one tag; false
 * when it is not.
 */
ALWAYS_INLINE bool give_alike(struct ps_frame_pool *pool, struct ps_frame_processor *own,
                              struct ps_frame_tract *tract, uint64_t *word, uint64_t frame)
{
    uint64_t chunk = frame % PS_TRACT_FRAMES >> PS_CHUNK_BITS;
    uint64_t bit = (uint64_t)1 << (frame % PS_WORD_FRAMES);
    uint8_t cell = tract->cells[chunk];

    if (!is_callers_single(cell) || tract->free == 0 ||
        tract->counts[chunk] >= PS_CHUNK_FRAMES - 1 || tract->tags != 0 || tract->shares != 0 ||
        tract->late != 0 || tract->listed == 0 || (*word & bit) != 0)
        return false;
    *word |= bit;
    tract->free++;
    if (tract->counts[chunk]++ == 0)
        tract->partial |= (uint8_t)(1u << chunk);
    own->tagged[cell & PS_TAG]--;
    pool->gets++;
    return true;
}

/*
 * More than a bit follows: the chunk or the tract may become whole, or findable again, or not
 * all of the chunk is RAM, or somebody else may hold the frame too. The first free frame of a
 * tract without tag bytes is kept back, and need not be found.
 */
ALWAYS_INLINE bool more_follows(const struct ps_frame_tract *tract, uint64_t chunk)
{
    bool listed = tract->late == 0 ? (tract->listed & 1) != 0 : tract->listed == 3;

    if ((tract->solid >> chunk & 1) == 0 || tract->shares != 0 ||
        tract->counts[chunk] + 2u >= PS_CHUNK_FRAMES)
        return true;
    return !listed && (tract->free != 0 || tract->tags != 0);
}

/* The tag of the single frame, which then is free; 0 when this is not for a quick call. */
ALWAYS_INLINE unsigned give_at_hand(const struct ps_frame_pool *pool,
                                    const struct ps_frame_hand *hand, uint64_t frame)
{
    struct ps_frame_tract *tract = hand->tract;
    uint64_t *word = &hand->bits[frame % PS_CHUNK_FRAMES / 64];
    uint64_t bit = (uint64_t)1 << (frame % PS_WORD_FRAMES);
    uint8_t value = tract->cells[hand->chunk];
    uint8_t *byte = NULL;

    if (value == PS_CELL_MIXED && tract->tags != 0) {
        byte = byte_of(pool, tract, frame);
        value = *byte;
    }
    if (!is_callers_single(value) || more_follows(tract, hand->chunk) || (*word & bit) != 0)
        return 0;
    if (byte != NULL)
        *byte = 0;
    *word |= bit;
    tract->free++;
    if (tract->counts[hand->chunk]++ == 0)
        tract->partial |= (uint8_t)(1u << hand->chunk);
    return value & PS_TAG;
}

ALWAYS_INLINE bool is_at_hand(const struct ps_frame_pool *pool,
                              const struct ps_frame_processor *own, uint64_t frame)
{
    return (frame ^ own->hand.first) < PS_CHUNK_FRAMES && view_of(own) == pool->machine->direct_map;
}

/* The chunk of a frame. False: its region has no books. */
ALWAYS_INLINE bool reach(const struct ps_frame_pool *pool, uint64_t frame,
                         struct ps_frame_hand *hand)
{
    uint64_t region = ps_pool_region(pool, frame);
    struct ps_place place;

    if (region == PS_NONE || !ps_set_has(pool, PS_FRAME_OPEN, region))
        return false;
    place = ps_place_in(region, frame);
    *hand = hand_at(pool, &place, frame);
    return true;
}

/*
 * The chunk is the next to take frames from, unless others are to be used before it. What is kept
 * back then is nothing that could be got.
 */
ALWAYS_INLINE bool put_alone(const struct ps_frame_pool *pool, struct ps_frame_processor *own,
                             uint64_t *gets, const struct ps_frame_hand *hand, uint64_t frame)
{
    unsigned tag = spend_put(pool, own) ? give_at_hand(pool, hand, frame) : 0;

    if (tag == 0)
        return false;
    own->tagged[tag]--;
    if (hand->tract->free == 1 && hand->tract->tags == 0)
        own->kept++;
    else
        ++*gets;
    if (hand == &own->hand)
        own->hand.word = ps_min(own->hand.word, frame % PS_CHUNK_FRAMES / 64);
    else if (frame >= pool->reuse_floor && (hand->tract->late >> hand->chunk & 1) == 0)
        keep_at_hand(pool, own, hand);
    return true;
}

static __attribute__((noinline)) ps_status free_shared(struct ps_frame_pool *pool, uint64_t frame)
{
    struct ps_frame_processor *own = ps_pool_processor(pool, ps_pool_this_processor(pool));
    struct ps_frame_hand other;
    const struct ps_frame_hand *hand = &own->hand;
    bool done = false;

    if (!is_at_hand(pool, own, frame))
        hand = reach(pool, frame, &other) ? &other : NULL;
    if (hand != NULL) {
        struct ps_frame_tract *tract = hand->tract;

        begin(pool, own, tract);
        done = put_alone(pool, own, &own->gets, hand, frame);
        end(own, tract);
    }
    return done ? PS_OK : ps_pool_free_slowly(pool, frame, 1);
}

/* Not the usual case, but alone. */
static __attribute__((noinline)) ps_status free_single(struct ps_frame_pool *pool, uint64_t frame)
{
    struct ps_frame_processor *own = ps_pool_processor(pool, 0);
    struct ps_frame_hand other;
    const struct ps_frame_hand *hand = &own->hand;

    if (!is_at_hand(pool, own, frame))
        hand = reach(pool, frame, &other) ? &other : NULL;
    if (hand != NULL && put_alone(pool, own, &pool->gets, hand, frame))
        return PS_OK;
    return ps_pool_free_slowly(pool, frame, 1);
}

/*
 * The usual case, but not in the chunk at hand, which it then is. Only the largest segment is
 * looked at, so that nothing has to be called before the frame is free.
 */
static __attribute__((noinline)) ps_status free_elsewhere(struct ps_frame_pool *pool,
                                                          uint64_t frame)
{
    struct ps_frame_processor *own = ps_pool_processor(pool, 0);
    uint64_t number = frame >> PS_REGION_BITS;
    struct ps_frame_hand hand;
    struct ps_place place;
    uint64_t region;

    if (number < pool->home.first || number - pool->home.first >= pool->home.count)
        return free_single(pool, frame);
    region = number - pool->home.first + pool->home.index;
    if (!ps_set_has(pool, PS_FRAME_OPEN, region))
        return free_single(pool, frame);
    place = ps_place_in(region, frame);
    hand = hand_at(pool, &place, frame);
    if (!give_alike(pool, own, hand.tract, &hand.bits[hand.word], frame))
        return free_single(pool, frame);
    if (frame >= pool->reuse_floor)
        keep_at_hand(pool, own, &hand);
    return PS_OK;
}

ps_status ps_frame_pool_free(struct ps_frame_pool *pool, ps_frame_t first, ps_pages_t pages)
{
    uint64_t word = first.number % PS_CHUNK_FRAMES / 64;
    struct ps_frame_processor *own;

    if (pool == NULL || pool->machine == NULL)
        return pool == NULL ? PS_INVALID_ARGS : PS_BAD_STATE;
    if (pages.count != 1 || first.number < PS_FRAMES_LOW || first.number >= pool->span)
        return ps_pool_free_slowly(pool, first.number, pages.count);
    if (!pool->plain)
        return pool->shared ? free_shared(pool, first.number) : free_single(pool, first.number);
    own = ps_pool_processor(pool, 0);
    if (!is_at_hand(pool, own, first.number))
        return free_elsewhere(pool, first.number);
    if (!give_alike(pool, own, own->hand.tract, &own->hand.bits[word], first.number))
        return free_single(pool, first.number);
    own->hand.word = word;
    return PS_OK;
}
