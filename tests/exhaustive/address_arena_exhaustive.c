/*
 * Every sequence of calls, up to a bound, on an address arena with the smallest nodes there can be,
 * over a few pages.
 *
 * Breadth first, so that the first failure is a shortest one. A state is all that the arena goes
 * by: its nodes, the cells in them, and the lists and trees of gaps. Two sequences that lead to the
 * same state are followed once. A state is reached again by its sequence. In each, the arena is
 * validated and compared with an array that knows the owner of each page.
 *
 * usage: address_arena_exhaustive [STATES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_arena_private.h"
#include "hw.h"
#include "machine/machine.h"
#include "model/arena_driver.h"

enum { DEPTH_MAX = 48, TABLE = 1 << 20, MOVES_MAX = 400 };

struct state {
    uint32_t parent;
    uint16_t move;
    uint16_t depth;
};

static const struct sim_range ram = SIM_RAM(256, 96);

/* The arena, which pages the calls are about, and what is in it at first. */
static const struct scenario {
    const char *name;
    uint64_t first;
    uint64_t pages;
    uint64_t guard;
    uint64_t stride; /* from one page to the next that calls are about */
    uint64_t filled; /* so many pages at each of these; 0: nothing */
    unsigned states; /* to look at, unless the caller says otherwise */
} scenarios[] = {
    {"few_pages", 0, 9, 1, 1, 0, 5000},
    {"no_guards_and_the_last_pages_of_all", PS_ARENA_END - 12, 12, 0, 1, 0, 2000},
    {"side_by_side", 100, 24, 0, 1, 1, 400},
    {"apart", 100, 46, 1, 2, 1, 300},
    {"cut_to_pieces", 7, 40, 1, 5, 4, 800},
};

struct search {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_arena arena;
    struct arena_driver driver;
    struct arena_step moves[MOVES_MAX];
    size_t move_count;
    const struct scenario *scenario;
    struct state *states;
    size_t count;
    uint64_t *seen; /* hashes; 0: a free place */
};

/* ---- states ---- */

static uint64_t mix(uint64_t sum, uint64_t value)
{
    uint64_t x = sum ^ value ^ (sum << 13 | sum >> 51);

    return ((x & UINT32_MAX) * 0x9e3779b1u) ^ ((x >> 32) * 0x85ebca77u) ^ (x << 29 | x >> 35);
}

/* Values are left out, and which slots the cells are in: no decision depends on them. */
static uint64_t hash_node(const struct ps_arena *arena, uint64_t reference, unsigned level)
{
    const struct ps_arena_leaf *leaf = ps_arena_leaf(arena, reference);
    const struct ps_arena_inner *node = ps_arena_pointer(arena, reference);
    uint64_t sum = level;

    for (unsigned slot = level == 0 ? leaf->head : NONE; slot != NONE;
         slot = leaf->cells[slot].next) {
        const struct ps_arena_cell *cell = &leaf->cells[slot];

        sum = mix(mix(sum, cell->first), cell->pages);
        sum = mix(sum, (uint64_t)cell->before << 32 | (uint64_t)cell->after << 8 | cell->state);
    }
    for (uint64_t i = 0; level > 0 && i < node->count; i++)
        sum = mix(mix(sum, node->keys[i]), hash_node(arena, node->children[i], level - 1));
    return sum;
}

static uint64_t hash_gaps(const struct ps_arena *arena, uint64_t reference)
{
    const struct ps_arena_cell *cell;

    if (reference == 0)
        return 1;
    cell = ps_arena_pointer(arena, reference);
    return mix(mix(cell->first, hash_gaps(arena, cell->link[0])), cell->pages);
}

static uint64_t hash_tree(const struct ps_arena *arena, uint64_t reference)
{
    const struct ps_arena_cell *cell;

    if (reference == 0)
        return 2;
    cell = ps_arena_pointer(arena, reference);
    return mix(mix(ps_arena_cell_end(cell), hash_tree(arena, cell->link[0])),
               hash_tree(arena, cell->link[1]));
}

static uint64_t hash_arena(const struct ps_arena *arena)
{
    uint64_t sum = mix(arena->height, arena->thin);

    if (arena->height != 0)
        sum = mix(sum, hash_node(arena, arena->root, arena->height - 1));
    for (unsigned i = 0; i < PS_ARENA_SMALL; i++)
        sum = mix(sum, hash_gaps(arena, arena->small[i]));
    for (unsigned i = 0; i < PS_ARENA_LARGE; i++)
        sum = mix(sum, hash_tree(arena, arena->large[i]));
    return sum != 0 ? sum : 1;
}

static bool is_new(struct search *search)
{
    uint64_t hash = hash_arena(&search->arena);
    uint64_t place = hash % TABLE;

    while (search->seen[place] != 0 && search->seen[place] != hash)
        place = (place + 1) % TABLE;
    if (search->seen[place] == hash)
        return false;
    search->seen[place] = hash;
    return true;
}

/* ---- moves ---- */

static void add_move(struct search *search, const struct arena_step *step)
{
    if (search->move_count == MOVES_MAX)
        abort();
    search->moves[search->move_count++] = *step;
}

static void add_requests(struct search *search)
{
    static const struct ps_arena_request requests[] = {
        {.pages = 1},
        {.pages = 2},
        {.pages = 3},
        {.pages = 5},
        {.pages = 1, .align = 4},
        {.pages = 2, .guard_before = 2},
        {.pages = 1, .guard_after = 3},
        {.pages = 2, .guard_before = PS_ARENA_NO_GUARD, .guard_after = PS_ARENA_NO_GUARD},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(requests); i++) {
        struct arena_step step = {.call = ARENA_ALLOC, .request = requests[i]};

        add_move(search, &step);
        step.request.low = search->scenario->first + search->scenario->pages / 3;
        step.request.high = search->scenario->first + search->scenario->pages * 2 / 3;
        add_move(search, &step);
    }
}

static void make_moves(struct search *search)
{
    const struct scenario *scenario = search->scenario;

    search->move_count = 0;
    for (uint64_t page = scenario->filled != 0 ? scenario->guard : 0; page < scenario->pages;
         page += scenario->stride) {
        struct arena_step step = {.page = page, .request = {.pages = 1}};

        for (step.call = ARENA_ALLOC_AT; step.call < ARENA_SET; step.call++) {
            /* Of the parts, one page in the middle where there is one. */
            bool is_part = step.call == ARENA_FREE_PART || step.call == ARENA_RETIRE;

            step.page =
                is_part && scenario->filled > 2 ? ps_min(page + 1, scenario->pages - 1) : page;
            step.pages = step.call == ARENA_FREE ? 0 : step.call == ARENA_RESIZE ? 2 : 1;
            add_move(search, &step);
        }
        step = (struct arena_step){
            .call = ARENA_ALLOC_AT, .page = page, .request = {.pages = 2}, .flag = true};
        add_move(search, &step);
    }
    add_requests(search);
}

/* ---- the search ---- */

static void clear(struct ps_arena *arena)
{
    struct ps_arena_extent extent;

    while (ps_arena_next(arena, 0, &extent)) {
        ps_status status = extent.kind == PS_ARENA_LIVE ? ps_arena_free(arena, extent.first, 0)
                                                        : ps_arena_release(arena, extent.first);

        if (status != PS_OK)
            abort();
    }
    if (ps_arena_destroy(arena) != PS_OK)
        abort();
}

static void begin(struct search *search)
{
    const struct scenario *scenario = search->scenario;

    if (search->arena.machine != NULL)
        clear(&search->arena);
    memset(&search->driver, 0, sizeof(search->driver));
    search->driver.arena = &search->arena;
    if (ps_arena_init(&search->arena, &search->sim->machine, &search->pool, PS_FRAME_HEAP,
                      scenario->first, scenario->pages, scenario->guard) != PS_OK)
        abort();
    for (uint64_t page = scenario->guard; scenario->filled != 0 && page < scenario->pages;
         page += scenario->stride) {
        struct arena_step step = {
            .call = ARENA_ALLOC_AT, .page = page, .request = {.pages = scenario->filled}};

        (void)arena_driver_step(&search->driver, &step);
    }
}

/* Carry out the moves that lead to a state. */
static void go_to(struct search *search, uint32_t state)
{
    uint16_t moves[DEPTH_MAX];
    unsigned depth = search->states[state].depth;

    for (unsigned i = depth; i > 0; i--) {
        moves[i - 1] = search->states[state].move;
        state = search->states[state].parent;
    }
    begin(search);
    for (unsigned i = 0; i < depth; i++)
        (void)arena_driver_step(&search->driver, &search->moves[moves[i]]);
}

static void print_way(const struct search *search, uint32_t state)
{
    const struct arena_step *step = &search->moves[search->states[state].move];

    if (search->states[state].depth == 0)
        return;
    print_way(search, search->states[state].parent);
    printf("  # call %u: page %" PS_PRIu ", pages %" PS_PRIu "; request of %" PS_PRIu "\n",
           step->call, step->page, step->pages, step->request.pages);
}

static bool try_move(struct search *search, uint32_t state, unsigned move, size_t limit)
{
    go_to(search, state);
    if (arena_driver_step(&search->driver, &search->moves[move]) &&
        arena_driver_compare(&search->driver)) {
        if (search->count < limit && search->states[state].depth < DEPTH_MAX && is_new(search))
            search->states[search->count++] =
                (struct state){state, (uint16_t)move, (uint16_t)(search->states[state].depth + 1)};
        return true;
    }
    printf("  # %s; call %u at page %" PS_PRIu " after:\n", search->driver.wrong,
           search->moves[move].call, search->moves[move].page);
    print_way(search, state);
    return false;
}

static bool run(struct search *search, size_t limit)
{
    memset(search->seen, 0, TABLE * sizeof(*search->seen));
    search->states[0] = (struct state){0};
    search->count = 1;
    make_moves(search);
    begin(search);
    (void)is_new(search);
    for (uint32_t state = 0; state < search->count; state++)
        for (unsigned move = 0; move < search->move_count; move++)
            if (!try_move(search, state, move, limit))
                return false;
    return true;
}

static struct search *open_search(size_t limit)
{
    static struct search memory;
    struct search *search = &memory;

    search->sim = sim_machine_create(&ram, 1, 0);
    search->states = calloc(limit, sizeof(*search->states));
    search->seen = calloc(TABLE, sizeof(*search->seen));
    if (search->sim == NULL || search->states == NULL || search->seen == NULL ||
        ps_frame_pool_init(&search->pool, &search->sim->machine, &search->sim->map) != PS_OK)
        return NULL;
    return search;
}

int main(int count, char **arguments)
{
    size_t asked = count > 1 ? strtoul(arguments[1], NULL, 0) : 0;
    struct search *search = open_search(ps_max(asked, 6000));
    bool good = true;

    if (search == NULL)
        return 2;
    printf("TAP version 13\n1..%zu\n", PS_ARRAY_SIZE(scenarios));
    for (size_t i = 0; i < PS_ARRAY_SIZE(scenarios); i++) {
        size_t limit = asked != 0 ? asked : scenarios[i].states;
        bool held;

        search->scenario = &scenarios[i];
        held = run(search, limit);
        good = good && held;
        printf("%s %zu - exhaustive/address_arena/%s\n# %zu states%s, %u calls deep, %zu calls in "
               "each\n",
               held ? "ok" : "not ok", i + 1, scenarios[i].name, search->count,
               search->count < limit ? ", all there are" : "",
               search->states[search->count - 1].depth, search->move_count);
        (void)fflush(stdout);
    }
    return good ? 0 : 1;
}
