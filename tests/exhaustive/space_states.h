/*
 * The search through all states of a tiny address space: see space_states.c.
 */
#ifndef TESTS_EXHAUSTIVE_SPACE_STATES_H
#define TESTS_EXHAUSTIVE_SPACE_STATES_H

#include "space_search.h"

/* ---- what can be done ---- */

enum kind { RUN, SCATTERED, UNMAP, PROTECT, PROMOTE, RETIRE, SWEEP, ANCHOR, HARVEST, MARK, SELF };

struct move {
    uint8_t kind;
    uint8_t first;
    uint8_t count;
    uint8_t rights; /* which of them */
    uint8_t flags;  /* of the kind; for scattered frames, what about existing ones */
    uint8_t frame;  /* added to the page's own: 1 makes it unfit for large leaves */
};

#define WITH(kind) (1u << (kind))

/* Every range, with each of so many rights, values of flags and frames. */
struct scenario {
    const char *name;
    unsigned index_bits;
    uint8_t levels;
    bool gib_leaves;
    unsigned with; /* a bit a kind */
    uint8_t rights;
    uint8_t run_flags; /* highest */
    uint8_t frames;
    uint32_t bound; /* states */
};

enum { MOVES_MAX = 8192 };

struct moves {
    struct move list[MOVES_MAX];
    unsigned count;
};

void collect_moves(const struct scenario *scenario, struct moves *moves);

/* Make it, on the page table and on the oracle; driver->status says what came of it. */
void make_move(struct space_driver *driver, const struct move *move);

/* It may be refused for lack of memory. */
bool takes_frames(const struct move *move);

/* ---- states ---- */

enum {
    FIRST_FRAME = 256,
    FRAMES = 96,
    CONTENT = 16,   /* words of a frame that tables and lists of them use */
    WHOLE_MAX = 16, /* frames that are copied whole, because the pool keeps its books in them */
    PAGES_MAX = 32,
    KEY_WORDS = 80,
};

struct state {
    uint32_t parent;
    struct move move; /* that led here from the parent */
    uint8_t depth;
    uint8_t words;
    uint64_t *key;
};

/* All memory that a call may change, for the time of the calls from one state. */
struct image {
    struct ps_frame_pool pool;
    struct ps_page_table table;
    uint64_t whole[WHOLE_MAX][PS_PAGE_SIZE / 8];
    uint64_t content[FRAMES][CONTENT];
    struct space_oracle oracle;
    struct space_page pages[PAGES_MAX];
    struct ps_tlb_gather gather;
    bool unflushed;
};

struct search {
    const struct scenario *scenario;
    struct small_machine machine;
    uint8_t whole[FRAMES]; /* in which place of an image, + 1 */
    struct image start;
    struct image here;

    struct state *states;
    uint32_t count;
    uint32_t *table; /* of states by hash, + 1 */
    uint64_t table_size;
    uint64_t key[KEY_WORDS];
    uint8_t key_words;

    uint64_t transitions;
    uint64_t refusals;
};

void start_search(struct search *search, const struct scenario *scenario);
void end_search(struct search *search);

/* Copy all memory into an image, or put it back. */
void save_image(struct search *search, struct image *image);
void load_image(struct search *search, const struct image *image);

/* Write down in `key` what the page table is now. */
void read_key(struct search *search);

/* What is in `key` is a new state: remember it. False: it is not, or there are enough. */
bool remember(struct search *search, uint32_t parent, const struct move *move);

#endif
