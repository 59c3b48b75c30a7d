/*
 * Every sequence of changes, up to a bound, of a range tree with the smallest nodes there can be,
 * over a few numbers: those at both ends of the 64-bit space, and some between.
 *
 * Breadth first, so that the first failure is a shortest one. A state is all that the tree goes
 * by: its nodes with all that is in them, and what is reserved and spare. Two sequences that lead
 * to the same state are followed once. A state is reached again by its sequence. In each, the tree
 * is validated and compared with a sorted array, which is asked the same questions.
 *
 * usage: range_tree_exhaustive [STATES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw.h"
#include "machine/machine.h"
#include "model/range_driver.h"
#include "range_tree_private.h"

enum { DEPTH_MAX = 48, TABLE = 1 << 20, MOVES_MAX = 600, NUMBERS_MAX = 24 };

struct state {
    uint32_t parent;
    uint16_t move;
    uint16_t depth;
};

static const struct sim_range ram = SIM_RAM(256, 96);

/* Which numbers the calls are about, and what is in the tree at first. */
static const struct scenario {
    const char *name;
    unsigned count;
    unsigned top; /* of these, so many end with UINT64_MAX */
    unsigned stride;
    unsigned states; /* to look at, unless the caller says otherwise */
    bool filled;     /* with a range at each of the numbers */
} scenarios[] = {
    {"few_numbers", 6, 2, 1, 6000, false},
    {"both_ends", 13, 3, 1, 2000, false},
    {"numbers_side_by_side", 22, 1, 1, 400, true},
    {"numbers_apart", 24, 0, 2, 400, true},
};

struct search {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_range_tree tree;
    struct range_driver driver;
    struct ps_range_step moves[MOVES_MAX];
    size_t move_count;
    const struct scenario *scenario;
    uint64_t numbers[NUMBERS_MAX];
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

/* Values are left out: no decision depends on them. */
static uint64_t hash_node(const struct ps_range_tree *tree, uint64_t reference, unsigned level)
{
    const struct ps_range_node *node = ps_range_node(tree, reference);
    uint64_t sum = node->count;

    for (unsigned i = 0; i < node->count; i++) {
        sum = mix(sum, node->words[i]);
        sum = mix(sum, node->words[(level == 0 ? (unsigned)LEAF_FIRST : (unsigned)INNER_LOW) + i]);
        if (level > 0)
            sum = mix(sum, hash_node(tree, node->words[INNER_CHILD + i], level - 1));
    }
    return sum;
}

static uint64_t hash_tree(const struct ps_range_tree *tree)
{
    uint64_t sum = mix(tree->height, tree->reserved);

    sum = mix(sum, tree->spare);
    if (tree->height != 0)
        sum = mix(sum, hash_node(tree, tree->root, tree->height - 1));
    return sum != 0 ? sum : 1;
}

static bool is_new(struct search *search)
{
    uint64_t hash = hash_tree(&search->tree);
    uint64_t place = hash % TABLE;

    while (search->seen[place] != 0 && search->seen[place] != hash)
        place = (place + 1) % TABLE;
    if (search->seen[place] == hash)
        return false;
    search->seen[place] = hash;
    return true;
}

/* ---- moves ---- */

static void add_move(struct search *search, enum range_call call, uint64_t a, uint64_t b,
                     uint64_t c)
{
    if (search->move_count == MOVES_MAX)
        abort();
    search->moves[search->move_count++] =
        (struct ps_range_step){.call = (uint8_t)call, .a = a, .b = b, .c = c};
}

static void make_moves(struct search *search)
{
    const struct scenario *scenario = search->scenario;
    const uint64_t *numbers = search->numbers;

    search->move_count = 0;
    for (unsigned i = 0; i < scenario->count; i++)
        search->numbers[i] = i < scenario->count - scenario->top
                                 ? i * scenario->stride
                                 : UINT64_MAX - (scenario->count - 1 - i);
    for (unsigned i = 0; i < scenario->count; i++) {
        add_move(search, RANGE_INSERT, numbers[i], numbers[i], 1);
        add_move(search, RANGE_ERASE, numbers[i], 0, 0);
        add_move(search, RANGE_SPLIT, numbers[i], 0, 2);
        add_move(search, RANGE_MERGE, numbers[i], 0, 0);
        for (unsigned k = i + 1; k < scenario->count; k += 3) {
            add_move(search, RANGE_REPLACE, numbers[i], numbers[k], 3);
            add_move(search, RANGE_CLEAR, numbers[i], numbers[k], 0);
        }
        if (i + 1 < scenario->count)
            add_move(search, RANGE_RESIZE, numbers[i], numbers[i], numbers[i + 1]);
    }
    add_move(search, RANGE_INSERT, 0, UINT64_MAX, 1);
    add_move(search, RANGE_RESERVE, 2, 0, 0);
    add_move(search, RANGE_RETURN, 1, 0, 0);
}

/* ---- what must hold in every state ---- */

static bool ask(struct search *search)
{
    unsigned count = search->scenario->count;

    for (unsigned i = 0; i < count; i++) {
        uint64_t from = search->numbers[i];

        if (!range_driver_step(&search->driver,
                               &(struct ps_range_step){.call = RANGE_LOOK, .a = from}))
            return false;
        for (unsigned k = i; k < count; k += 4)
            if (!range_driver_step(&search->driver,
                                   &(struct ps_range_step){
                                       .call = RANGE_LARGEST, .a = from, .b = search->numbers[k]}))
                return false;
        /* Sizes 1 to 3; alignments 1, 2, 4 and none; both sides; guards. */
        for (uint64_t c = i % 2; c < 256; c += 6)
            if (!range_driver_step(&search->driver, &(struct ps_range_step){.call = RANGE_FIND_GAP,
                                                                            .flag = c % 4 < 2,
                                                                            .a = 1 + c % 3,
                                                                            .b = from,
                                                                            .c = c}))
                return false;
    }
    return true;
}

/* ---- the search ---- */

static void begin(struct search *search)
{
    if (search->tree.machine != NULL && ps_range_tree_destroy(&search->tree) != PS_OK)
        abort();
    memset(&search->driver, 0, sizeof(search->driver));
    search->driver.tree = &search->tree;
    if (ps_range_tree_init(&search->tree, &search->sim->machine, &search->pool, PS_FRAME_HEAP) !=
        PS_OK)
        abort();
    for (unsigned i = 0; search->scenario->filled && i < search->scenario->count; i++)
        (void)range_driver_step(&search->driver, &(struct ps_range_step){.call = RANGE_INSERT,
                                                                         .a = search->numbers[i],
                                                                         .b = search->numbers[i],
                                                                         .c = 9});
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
        (void)range_driver_step(&search->driver, &search->moves[moves[i]]);
}

static void print_way(const struct search *search, uint32_t state)
{
    if (search->states[state].depth == 0)
        return;
    print_way(search, search->states[state].parent);
    printf("  # call %u: 0x%" PS_PRIx " 0x%" PS_PRIx " 0x%" PS_PRIx "\n",
           search->moves[search->states[state].move].call,
           search->moves[search->states[state].move].a, search->moves[search->states[state].move].b,
           search->moves[search->states[state].move].c);
}

static bool try_move(struct search *search, uint32_t state, unsigned move, size_t limit)
{
    go_to(search, state);
    if (range_driver_step(&search->driver, &search->moves[move]) &&
        range_driver_compare(&search->driver)) {
        if (search->count >= limit || search->states[state].depth == DEPTH_MAX || !is_new(search))
            return true;
        search->states[search->count++] =
            (struct state){state, (uint16_t)move, (uint16_t)(search->states[state].depth + 1)};
        if (ask(search))
            return true;
    }
    printf("  # %s; after:\n", search->driver.wrong);
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
    struct search *search = calloc(1, sizeof(*search));

    if (search == NULL)
        return NULL;
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
        printf("%s %zu - exhaustive/range_tree/%s\n# %zu states%s, %u calls deep, %zu calls in "
               "each\n",
               held ? "ok" : "not ok", i + 1, scenarios[i].name, search->count,
               search->count < limit ? ", all there are" : "",
               search->states[search->count - 1].depth, search->move_count);
        (void)fflush(stdout);
    }
    return good ? 0 : 1;
}
