/*
 * Every sequence of calls, up to a bound, on a virtual allocator whose arena has a few pages and
 * whose tree of allocations has the smallest nodes there can be.
 *
 * Breadth first, so that the first failure is a shortest one. A state is what later calls go by:
 * the pieces of the oracle, which of them share a record, and the lists of gaps in their order. Two
 * sequences that lead to the same state are followed once; a state is reached again by its
 * sequence, from the empty arena. In each state every call is tried with all of its arguments, and
 * those that take frames also with the 1st, the 2nd, ... request for frames refused, once and for
 * good.
 *
 * usage: virtual_exhaustive [STATES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_arena_private.h"
#include "model/virtual_driver.h"

enum { DEPTH_MAX = 24, TABLE = 1 << 18, MOVES_MAX = 400, REFUSALS_MAX = 64 };

#define BASE ((uint64_t)0xffff900000200000)

enum kind { ALLOC, BYTES, ALIGNED, AT, FORCED, FREE, PART, RESIZE, MOVE, ALL };

struct move {
    uint8_t kind;
    uint8_t page;
    uint8_t pages;
};

static const struct scenario {
    const char *name;
    uint8_t pages;
    uint8_t guard;
    uint8_t quarantine;
    bool forced;
    unsigned flags;
    unsigned states; /* to look at, unless the caller says otherwise */
} scenarios[] = {
    {"few_pages", 3, 0, 0, false, 0, 5000},
    {"without_guards", 9, 0, 0, false, 0, 700},
    {"with_guards", 12, 1, 0, false, 0, 700},
    {"with_a_quarantine", 9, 0, 2, false, 0, 500},
    {"with_guards_and_a_quarantine", 10, 1, 1, false, PS_VIRTUAL_FILL | PS_VIRTUAL_PUSH, 600},
    {"with_forced_places", 8, 1, 0, true, 0, 400},
};

struct state {
    uint32_t parent;
    struct move move; /* that led here */
    uint16_t depth;
};

static struct search {
    struct virtual_driver driver;
    const struct scenario *scenario;
    struct move moves[MOVES_MAX];
    unsigned move_count;
    struct state *states;
    uint32_t count;
    uint64_t calls;
    uint64_t refusals;
    uint64_t seen[TABLE]; /* hashes; 0: a free place */
} search;

/* ---- states ---- */

static uint64_t mix(uint64_t sum, uint64_t value)
{
    uint64_t x = sum ^ value ^ (sum << 13 | sum >> 51);

    return ((x & UINT32_MAX) * 0x9e3779b1u) ^ ((x >> 32) * 0x85ebca77u) ^ (x << 29 | x >> 35);
}

/* Allocations that came before it: parts of one have the same number. */
static uint64_t rank_of(const struct virtual_oracle *oracle, const struct virtual_piece *piece)
{
    uint64_t rank = 0;

    for (unsigned i = 0; i < oracle->count; i++)
        rank += oracle->pieces[i].sequence < piece->sequence;
    return rank;
}

static uint64_t hash_piece(const struct virtual_oracle *oracle, const struct virtual_piece *piece)
{
    uint64_t sum = mix(piece->first, piece->pages);

    sum = mix(sum, piece->before << 32 | piece->after);
    if (piece->retired)
        return mix(sum, oracle->frees - piece->freed + 1);
    sum = mix(sum, piece->va << 16 ^ piece->bytes);
    return mix(sum, rank_of(oracle, piece) << 8 | piece->align);
}

static uint64_t hash_gaps(const struct ps_arena *arena)
{
    uint64_t sum = arena->thin;

    for (unsigned fit = 0; fit < PS_ARRAY_SIZE(arena->small); fit++)
        for (uint64_t at = arena->small[fit]; at != 0; at = *ps_arena_link(arena, at, 0))
            sum = mix(sum, ps_arena_at(arena, at).cell->first << 8 | fit);
    return sum;
}

static uint64_t hash_pieces(void)
{
    const struct virtual_oracle *oracle = &search.driver.oracle;
    uint64_t sum = 1;

    for (unsigned i = 0; i < oracle->count; i++)
        sum = mix(sum, hash_piece(oracle, &oracle->pieces[i]));
    return sum;
}

static uint64_t hash_state(void)
{
    uint64_t sum = mix(hash_pieces(), hash_gaps(&search.driver.arena.arena));

    return sum != 0 ? sum : 1;
}

static bool is_new(void)
{
    uint64_t hash = hash_state();
    uint64_t place = hash % TABLE;

    while (search.seen[place] != 0 && search.seen[place] != hash)
        place = (place + 1) % TABLE;
    if (search.seen[place] == hash)
        return false;
    search.seen[place] = hash;
    return true;
}

/* ---- moves ---- */

static void add_move(enum kind kind, unsigned page, unsigned pages)
{
    if (search.move_count == MOVES_MAX)
        abort();
    search.moves[search.move_count++] = (struct move){(uint8_t)kind, (uint8_t)page, (uint8_t)pages};
}

static void make_moves(void)
{
    unsigned all = search.scenario->pages;

    search.move_count = 0;
    for (unsigned pages = 1; pages <= 4; pages++) {
        add_move(ALLOC, 0, pages);
        add_move(BYTES, 0, pages);
        add_move(ALIGNED, 0, pages);
    }
    for (unsigned page = 0; page < all; page++) {
        add_move(search.scenario->forced ? FORCED : AT, page, 1);
        add_move(search.scenario->forced ? FORCED : AT, page, 3);
        add_move(FREE, page, 0);
        for (unsigned pages = 1; pages <= all - page && pages <= 3; pages++)
            add_move(PART, page, pages);
        for (unsigned pages = 1; pages <= 5; pages += 2) {
            add_move(RESIZE, page, pages);
            add_move(MOVE, page, pages);
        }
    }
    add_move(ALL, 0, 0);
}

/* The pointer of what is there. */
static uint64_t pointer_at(unsigned page)
{
    uint64_t number = (BASE >> PS_PAGE_SHIFT) + page;
    const struct virtual_piece *piece = virtual_live_at(&search.driver.oracle, number);

    return piece != NULL && piece->first == number ? piece->va : number << PS_PAGE_SHIFT;
}

static void make_move(const struct move *move)
{
    struct virtual_driver *driver = &search.driver;
    struct ps_virtual_request request = {.pages = ps_pages(move->pages)};
    uint64_t va = BASE + move->page * PS_PAGE_SIZE;
    uint64_t bytes = (move->pages - 1u) * PS_PAGE_SIZE + 40;

    if (move->kind == BYTES)
        request = (struct ps_virtual_request){.bytes = bytes};
    if (move->kind == ALIGNED)
        request.alignment = ps_pages(2);
    switch ((enum kind)move->kind) {
    case ALLOC:
    case BYTES:
    case ALIGNED:
        drive_virtual_alloc(driver, &request);
        return;
    case AT:
    case FORCED:
        drive_virtual_alloc_at(driver, &request, va, move->kind == FORCED);
        return;
    case FREE:
        drive_virtual_free(driver, pointer_at(move->page));
        return;
    case PART:
        drive_virtual_free_part(driver, va, move->pages);
        return;
    case RESIZE:
    case MOVE:
        drive_virtual_resize(driver, pointer_at(move->page), bytes,
                             move->kind == MOVE ? PS_VIRTUAL_MAY_MOVE : 0);
        return;
    case ALL:
    default:
        drive_virtual_free_all(driver);
        return;
    }
}

static bool takes_frames(const struct move *move)
{
    return move->kind <= FORCED || move->kind == RESIZE || move->kind == MOVE;
}

/* ---- the search ---- */

/* Carry out the moves that lead to a state; it comes out the same. */
static void go_to(uint32_t state, uint64_t hash)
{
    struct move moves[DEPTH_MAX];
    unsigned depth = search.states[state].depth;

    for (unsigned i = depth; i > 0; i--) {
        moves[i - 1] = search.states[state].move;
        state = search.states[state].parent;
    }
    drive_virtual_free_all(&search.driver);
    search.driver.oracle.thin = false;
    for (unsigned i = 0; i < depth; i++)
        make_move(&moves[i]);
    if (hash != 0 && hash_state() != hash)
        virtual_fail(&search.driver, "the same calls lead to another state");
}

/*
 * True: it went through in spite of the refusal, or without it. What was taken and given back may
 * come first among equally large gaps from then on.
 */
static bool try_refused(const struct move *move, uint64_t successes, bool for_good)
{
    uint64_t pieces = hash_pieces();

    search.driver.fails = true;
    search.driver.successes = successes;
    search.driver.for_good = for_good;
    make_move(move);
    if (search.driver.status == PS_OK || search.driver.failed)
        return true;
    search.refusals++;
    if (hash_pieces() != pieces)
        virtual_fail(&search.driver, "a call that memory failed changed something");
    return false;
}

static void try_without_memory(uint32_t state, const struct move *move, uint64_t hash)
{
    for (unsigned for_good = 0; for_good < 2 && !search.driver.failed; for_good++) {
        go_to(state, hash);
        for (uint64_t n = 0; !try_refused(move, n, for_good != 0); n++)
            if (n == REFUSALS_MAX)
                virtual_fail(&search.driver, "it never goes through");
        virtual_compare(&search.driver);
    }
}

static void remember(uint32_t state, const struct move *move, uint32_t limit)
{
    if (search.count >= limit || search.states[state].depth == DEPTH_MAX || !is_new())
        return;
    search.driver.thorough = true;
    virtual_compare(&search.driver);
    search.states[search.count++] =
        (struct state){state, *move, (uint16_t)(search.states[state].depth + 1)};
}

/* True: it changed something. */
static bool try_move(uint32_t state, const struct move *move, uint64_t hash, uint32_t limit)
{
    make_move(move);
    search.calls++;
    if (search.driver.status != PS_OK) {
        if (hash_state() != hash)
            virtual_fail(&search.driver, "a refused call changed something");
        return false;
    }
    remember(state, move, limit);
    if (takes_frames(move) && !search.driver.failed)
        try_without_memory(state, move, hash);
    return true;
}

static void print_way(void)
{
    uint64_t calls = search.driver.calls;

    printf("  # %s; after:\n", search.driver.failure);
    for (uint64_t i = calls > VIRTUAL_LINES ? calls - VIRTUAL_LINES : 0; i < calls; i++)
        printf("  #   %s\n", search.driver.lines[i % VIRTUAL_LINES]);
}

static void look_into(uint32_t state, uint32_t limit)
{
    uint64_t hash;

    go_to(state, 0);
    hash = hash_state();
    for (unsigned i = 0; i < search.move_count && !search.driver.failed; i++)
        if (try_move(state, &search.moves[i], hash, limit) && !search.driver.failed)
            go_to(state, hash);
}

static bool run(uint32_t limit)
{
    struct virtual_machines machines = {0};
    struct virtual_setup setup = {
        .config = {.base = ps_virt(BASE),
                   .pages = ps_pages(search.scenario->pages),
                   .guard = ps_pages(search.scenario->guard),
                   .tag = PS_FRAME_VIRTUAL,
                   .quarantine = search.scenario->quarantine,
                   .flags = search.scenario->flags},
        .frames = 256,
        .unwatched = true,
    };

    memset(&search.driver, 0, sizeof(search.driver));
    memset(search.seen, 0, sizeof(search.seen));
    search.states[0] = (struct state){0};
    search.count = 1;
    search.calls = search.refusals = 0;
    make_moves();
    setup.sim = virtual_machine(&machines, &setup);
    if (setup.sim == NULL || !virtual_driver_start(&search.driver, &setup))
        abort();
    (void)is_new();
    for (uint32_t state = 0; state < search.count && !search.driver.failed; state++)
        look_into(state, limit);
    if (!search.driver.failed)
        virtual_driver_finish(&search.driver);
    if (search.driver.failed)
        print_way();
    virtual_driver_end(&search.driver);
    virtual_machines_end(&machines);
    return !search.driver.failed;
}

int main(int count, char **arguments)
{
    uint32_t asked = count > 1 ? (uint32_t)strtoul(arguments[1], NULL, 0) : 0;
    bool good = true;

    search.states = calloc(ps_max(asked, 5000), sizeof(*search.states));
    if (search.states == NULL)
        return 2;
    printf("TAP version 13\n1..%zu\n", PS_ARRAY_SIZE(scenarios));
    for (size_t i = 0; i < PS_ARRAY_SIZE(scenarios); i++) {
        uint32_t limit = asked != 0 ? asked : scenarios[i].states;
        bool held;

        search.scenario = &scenarios[i];
        held = run(limit);
        good = good && held;
        printf("%s %zu - exhaustive/virtual/%s\n# %u states%s, %u calls deep, %" PS_PRIu
               " calls, %" PS_PRIu " without memory\n",
               held ? "ok" : "not ok", i + 1, scenarios[i].name, search.count,
               search.count < limit ? ", all there are" : "", search.states[search.count - 1].depth,
               search.calls, search.refusals);
        (void)fflush(stdout);
    }
    free(search.states);
    return good ? 0 : 1;
}
