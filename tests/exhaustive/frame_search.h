/*
 * The search through all states of a tiny frame pool: see frame_pool_exhaustive.c.
 */
#ifndef TESTS_EXHAUSTIVE_FRAME_SEARCH_H
#define TESTS_EXHAUSTIVE_FRAME_SEARCH_H

#include "frame_pool_private.h"
#include "model/frame_driver.h"

/* ---- the machine ---- */

/*
 *     0       8       16      24      32      40      ...  256
 *     .lff--  ffffffff ffffflll       ffffffff ffffffff     ff and the books
 *
 * Frame 1 is low, 21 to 23 come late, 32 to 47 are a whole region. From 32 on frames are
 * above "4 GiB".
 */
enum { BOOKS = 9, EXTRA = 2, MACHINE_FRAMES = 256 + BOOKS + EXTRA };

#define EXHAUSTIVE_MACHINE                                                         \
    SIM_RAM(0, 6), SIM_RAM(8, 13), {{21}, {3}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK}, \
        SIM_RAM(32, 16), SIM_RAM(256, BOOKS + EXTRA)

/* ---- what can be done ---- */

enum kind {
    SINGLE,
    LARGE,
    GIGANTIC,
    RUN,
    SCATTERED,
    CLAIM,
    FREE,
    SPLIT,
    SHARE,
    LEND,
    CANCEL,
    END,
    ADD,
    QUARANTINE,
    PROMISE,
    UNPROMISE,
    PROMISED
};

struct move {
    uint8_t kind;
    uint8_t tag;
    uint8_t flags;
    uint8_t processor;
    uint32_t first; /* or the limit of a run */
    uint16_t pages;
    uint16_t alignment;
};

enum { MOVES_MAX = 512, CLAIMS_MAX = 16 };

struct scenario {
    const char *name;
    unsigned with; /* a bit a kind */
    unsigned tags; /* how many different ones */
    uint8_t flags; /* of single frames */
    uint8_t processors;
    bool drained; /* what is at hand is forgotten after each move: fewer states, other orders */
    uint8_t holders;
    uint8_t run_pages[6]; /* 0: no more */
    struct {
        uint16_t first;
        uint16_t pages;
    } claims[CLAIMS_MAX];
};

#define WITH(kind) (1u << (kind))

/* ---- states ---- */

enum {
    CONTENT = 16, /* words of a frame of bookkeeping that are in use */
    HEAD_WORDS = 256,
    POOL_WORDS = sizeof(struct ps_frame_pool) / 8,
    FRAMES_KNOWN = 6 + 13 + 3 + 16 + BOOKS + EXTRA,
    ORACLE_WORDS = 160,
    LATE_CHUNKS = (MACHINE_FRAMES / 8) * 2,
    IMAGE_WORDS = POOL_WORDS + HEAD_WORDS + (BOOKS - 1) * 16 + FRAMES_KNOWN * CONTENT +
                  FRAMES_KNOWN * 3 + ORACLE_WORDS,
};

struct change {
    uint16_t at;
    uint64_t word;
} __attribute__((packed));

struct state {
    struct change *changes; /* against the first state */
    uint32_t count;
    uint32_t parent;
    struct move move; /* that led here from the parent */
    uint32_t depth;
};

struct search {
    const struct scenario *scenario;
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct frame_oracle oracle;
    struct frame_driver driver;
    uint32_t processor;

    uint64_t base[IMAGE_WORDS];
    uint64_t image[IMAGE_WORDS];
    struct state *states;
    uint32_t count;
    uint32_t bound;
    uint32_t *table; /* of states by hash, + 1 */
    uint64_t table_size;
    uint64_t transitions;
    uint64_t refusals;
};

/* ---- frame_states.c ---- */

void *get_memory(size_t count, size_t size);

/* Write down in `image` what the pool and the oracle are now. */
void read_state(struct search *search);

/* Make them what they were in a state that is remembered. */
void go_to(struct search *search, uint32_t index);

/* What is in `image` is a new state: remember it. False: it is not, or there are enough. */
bool remember(struct search *search, uint32_t parent, const struct move *move);

/* ---- frame_moves.c ---- */

ps_status make(struct search *search, const struct move *move);

struct moves {
    const struct scenario *scenario;
    struct move list[MOVES_MAX];
    unsigned count;
};

/* All moves that the scenario allows in this state. */
void collect_moves(const struct search *search, struct moves *moves);

/* As a line of a report. */
void print_move(const struct move *move);

#endif
