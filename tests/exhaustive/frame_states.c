#include "frame_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw.h"

/*
 * A state is a list of the words that differ from those of the first one. What is in frames
 * that are no bookkeeping, and lent to nobody, is no part of it.
 */

void *get_memory(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        fprintf(stderr, "no memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static uint64_t *words_of(const struct search *search, uint64_t frame)
{
    return ps_hw_frame(&search->sim->machine, ps_frame(frame));
}

/* How many words of a frame belong to the state: what it holds is bookkeeping. */
static unsigned content_of(const struct oracle_frame *f)
{
    if (f->state == ORACLE_TAGS || f->state == ORACLE_OTHER)
        return CONTENT;
    return f->state == ORACLE_UNIT && f->tag == PS_FRAME_LOANED && f->loan == ORACLE_LENT ? 2 : 0;
}

/* What the oracle remembers beside the frames. */
struct memory {
    uint64_t promised;
    uint64_t quarantine;
    uint64_t detained_count;
    uint64_t detained[4];
    bool late[LATE_CHUNKS];
};

static void put_oracle(struct search *search, uint64_t *words)
{
    const struct frame_oracle *oracle = &search->oracle;
    struct memory *memory = (struct memory *)words;

    memory->promised = oracle->promised;
    memory->quarantine = oracle->quarantine;
    memory->detained_count = oracle->detained_count;
    for (unsigned i = 0; i < 4; i++)
        memory->detained[i] = i < oracle->detained_count ? oracle->detained[i] : 0;
    memcpy(memory->late, oracle->late, sizeof(memory->late));
}

static void get_oracle(struct search *search, const uint64_t *words)
{
    struct frame_oracle *oracle = &search->oracle;
    const struct memory *memory = (const struct memory *)words;

    oracle->promised = memory->promised;
    oracle->quarantine = memory->quarantine;
    oracle->detained_count = memory->detained_count;
    memcpy(oracle->detained, memory->detained, sizeof(memory->detained));
    memcpy(oracle->late, memory->late, sizeof(memory->late));
}

_Static_assert(sizeof(struct memory) <= ORACLE_WORDS * 8, "room");
_Static_assert(sizeof(struct oracle_frame) <= 3 * 8, "room");

/* Write down, or put back, words at `at`; returns where the next ones go. */
static unsigned exchange(uint64_t *image, unsigned at, void *place, size_t bytes, bool put_back)
{
    if (put_back)
        memcpy(place, image + at, bytes);
    else
        memcpy(image + at, place, bytes);
    return at + (unsigned)((bytes + 7) / 8);
}

static unsigned exchange_frames(struct search *search, uint64_t *image, unsigned at, bool put_back)
{
    for (uint64_t i = 0; i < FRAMES_KNOWN; i++) {
        struct oracle_frame *f = &search->oracle.frames[i];

        at = exchange(image, at, f, sizeof(*f), put_back);
    }
    for (uint64_t i = 0; i < FRAMES_KNOWN; i++) {
        unsigned words = content_of(&search->oracle.frames[i]);

        if (words != 0)
            (void)exchange(image, at, words_of(search, oracle_number(&search->oracle, i)),
                           words * 8u, put_back);
        at += CONTENT;
    }
    return at;
}

/* All of the state into `image`, or back. */
static void exchange_all(struct search *search, uint64_t *image, bool put_back)
{
    unsigned at = exchange(image, 0, &search->pool, sizeof(search->pool), put_back);

    at = exchange(image, at, words_of(search, search->pool.books), HEAD_WORDS * 8, put_back);
    for (unsigned i = 1; i < BOOKS; i++)
        at = exchange(image, at, words_of(search, search->pool.books + i), 128, put_back);
    at = exchange_frames(search, image, at, put_back);
    if (put_back)
        get_oracle(search, image + at);
    else
        put_oracle(search, image + at);
}

void read_state(struct search *search)
{
    memset(search->image, 0, sizeof(search->image));
    exchange_all(search, search->image, false);
}

void go_to(struct search *search, uint32_t index)
{
    const struct state *state = &search->states[index];

    memcpy(search->image, search->base, sizeof(search->image));
    for (uint32_t i = 0; i < state->count; i++)
        search->image[state->changes[i].at] = state->changes[i].word;
    exchange_all(search, search->image, true);
    oracle_sum(&search->oracle);
    search->driver.status = PS_OK;
    search->driver.failed = false;
    search->driver.fail_armed = false;
    search->driver.failure[0] = '\0';
    ps_frame_pool_snapshot(&search->pool, &search->driver.now);
}

/* ---- states that have been seen ---- */

static uint64_t hash_of(const struct change *changes, uint32_t count)
{
    uint64_t hash = 0x9e3779b97f4a7c15u;

    for (uint32_t i = 0; i < count; i++) {
        hash = (hash ^ changes[i].at) * 0xff51afd7ed558ccdu;
        hash = (hash ^ (hash >> 32) ^ changes[i].word) * 0xc4ceb9fe1a85ec53u;
        hash ^= hash >> 29;
    }
    return hash;
}

static uint32_t collect_changes(const struct search *search, struct change *changes)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < IMAGE_WORDS; i++)
        if (search->image[i] != search->base[i])
            changes[count++] = (struct change){(uint16_t)i, search->image[i]};
    return count;
}

static bool is_state(const struct state *state, const struct change *changes, uint32_t count)
{
    return state->count == count &&
           (count == 0 || memcmp(state->changes, changes, count * sizeof(*changes)) == 0);
}

bool remember(struct search *search, uint32_t parent, const struct move *move)
{
    static struct change changes[IMAGE_WORDS];
    uint32_t count = collect_changes(search, changes);
    uint64_t at = hash_of(changes, count) % search->table_size;
    struct state *state;

    for (; search->table[at] != 0; at = (at + 1) % search->table_size)
        if (is_state(&search->states[search->table[at] - 1], changes, count))
            return false;
    if (search->count == search->bound)
        return false;
    state = &search->states[search->count++];
    search->table[at] = search->count;
    *state = (struct state){.count = count, .parent = parent, .move = *move};
    state->depth = search->count == 1 ? 0 : search->states[parent].depth + 1;
    state->changes = get_memory(count + 1, sizeof(*changes));
    memcpy(state->changes, changes, count * sizeof(*changes));
    return true;
}
