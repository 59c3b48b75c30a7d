#include "space_states.h"

#include <stdio.h>
#include <string.h>

/*
 * Every sequence of calls on one address space of a few pages: breadth first, so that the first
 * failure is a shortest one. Every call is tried from every state, with all of its arguments; and
 * those that take frames also with the 1st, the 2nd, ... request for frames refused, once and
 * for good. Each is compared with the oracle, and one that is refused leaves the state as it is.
 */

#define MAPS (WITH(RUN) | WITH(UNMAP) | WITH(PROTECT))

static const struct scenario scenarios[] = {
    {
        .name = "large_leaves_cut_and_put_together",
        .index_bits = 1,
        .levels = 3,
        .gib_leaves = true,
        .with = MAPS | WITH(PROMOTE),
        .rights = 2,
        .run_flags = 0,
        .frames = 1,
        .bound = 5000,
    },
    {
        .name = "permanent_leaves_and_anchors",
        .index_bits = 1,
        .levels = 3,
        .gib_leaves = true,
        .with = MAPS | WITH(ANCHOR),
        .rights = 1,
        .run_flags = 3,
        .frames = 1,
        .bound = 2500,
    },
    {
        .name = "retired_and_swept_in_any_order",
        .index_bits = 1,
        .levels = 3,
        .gib_leaves = true,
        .with = WITH(RUN) | WITH(UNMAP) | WITH(RETIRE) | WITH(SWEEP) | WITH(ANCHOR),
        .rights = 1,
        .frames = 1,
        .bound = 3000,
    },
    {
        .name = "frames_in_place_of_others",
        .index_bits = 1,
        .levels = 3,
        .gib_leaves = true,
        .with = WITH(RUN) | WITH(SCATTERED) | WITH(RETIRE) | WITH(SWEEP),
        .rights = 2,
        .frames = 2,
        .bound = 2000,
    },
    {
        .name = "accessed_and_harvested",
        .index_bits = 1,
        .levels = 3,
        .gib_leaves = true,
        .with = WITH(RUN) | WITH(UNMAP) | WITH(MARK) | WITH(HARVEST) | WITH(PROMOTE),
        .rights = 1,
        .run_flags = 1,
        .frames = 1,
        .bound = 3000,
    },
    {
        .name = "promoted_by_itself",
        .index_bits = 1,
        .levels = 3,
        .gib_leaves = true,
        .with = MAPS | WITH(SCATTERED) | WITH(SELF),
        .rights = 2,
        .frames = 1,
        .bound = 2000,
    },
    {
        .name = "four_levels",
        .index_bits = 1,
        .levels = 4,
        .gib_leaves = true,
        .with = MAPS | WITH(PROMOTE) | WITH(RETIRE) | WITH(SWEEP),
        .rights = 1,
        .run_flags = 0,
        .frames = 1,
        .bound = 2000,
    },
    {
        .name = "two_levels_of_four_entries",
        .index_bits = 2,
        .levels = 2,
        .with = MAPS | WITH(PROMOTE) | WITH(RETIRE) | WITH(SWEEP) | WITH(ANCHOR),
        .rights = 2,
        .run_flags = 0,
        .frames = 1,
        .bound = 2000,
    },
};

/* ---- one call ---- */

static bool is_state(const struct search *search, uint32_t index)
{
    const struct state *state = &search->states[index];

    return state->words == search->key_words &&
           memcmp(state->key, search->key, state->words * sizeof(search->key[0])) == 0;
}

/* The first request for frames after so many fails; false when the call did without it. */
static bool try_failing(struct search *search, uint32_t index, const struct move *move,
                        uint64_t successes, bool for_good)
{
    struct space_driver *driver = &search->machine.driver;

    load_image(search, &search->here);
    driver->fails = true;
    driver->successes = successes;
    driver->for_good = for_good;
    make_move(driver, move);
    if (driver->status == PS_OK || driver->failed)
        return false;
    search->refusals++;
    read_key(search);
    if (!is_state(search, index))
        space_fail(driver, "a call that memory failed changed something");
    space_compare_leaves(driver, 0);
    return !driver->failed;
}

static void try_without_memory(struct search *search, uint32_t index, const struct move *move)
{
    for (unsigned for_good = 0; for_good < 2; for_good++)
        for (uint64_t n = 0; try_failing(search, index, move, n, for_good != 0); n++)
            ;
}

static bool try_move(struct search *search, uint32_t index, const struct move *move)
{
    struct space_driver *driver = &search->machine.driver;

    load_image(search, &search->here);
    make_move(driver, move);
    search->transitions++;
    read_key(search);
    if (driver->status != PS_OK && !is_state(search, index))
        space_fail(driver, "a refused call changed something");
    space_compare_leaves(driver, 0);
    if (!driver->failed && driver->status == PS_OK && remember(search, index, move))
        space_compare(driver);
    if (!driver->failed && driver->status == PS_OK && takes_frames(move))
        try_without_memory(search, index, move);
    return !driver->failed;
}

/* ---- all of them ---- */

/* From the beginning: the same calls lead to the same state. */
static bool go_to(struct search *search, uint32_t index)
{
    struct move path[UINT8_MAX];
    unsigned length = 0;

    for (uint32_t i = index; i != 0; i = search->states[i].parent)
        path[length++] = search->states[i].move;
    load_image(search, &search->start);
    search->machine.driver.calls = 0;
    while (length != 0)
        make_move(&search->machine.driver, &path[--length]);
    read_key(search);
    if (!is_state(search, index))
        space_fail(&search->machine.driver, "the same calls lead to another state");
    save_image(search, &search->here);
    return !search->machine.driver.failed;
}

static void explore(struct search *search)
{
    static struct moves moves;
    const struct move none = {0};

    collect_moves(search->scenario, &moves);
    read_key(search);
    (void)remember(search, 0, &none);
    for (uint32_t i = 0; i < search->count && search->count < search->scenario->bound; i++) {
        if (!go_to(search, i))
            return;
        for (unsigned m = 0; m < moves.count; m++)
            if (!try_move(search, i, &moves.list[m]))
                return;
    }
}

static bool run_scenario(const struct scenario *scenario)
{
    static struct search search;
    bool holds;

    start_search(&search, scenario);
    explore(&search);
    holds = tell_result(&search.machine.driver, scenario->name);
    printf("# %u states%s up to %u calls deep, %" PS_PRIu " calls, %" PS_PRIu " without memory\n",
           search.count, search.count == scenario->bound ? "" : " (all there are)",
           search.states[search.count - 1].depth, search.transitions, search.refusals);
    end_search(&search);
    return holds;
}

unsigned exhaustive_results(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PS_ARRAY_SIZE(scenarios); i++)
        count += scenarios[i].index_bits == PS_TABLE_INDEX_BITS;
    return count;
}

unsigned run_exhaustive(void)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < PS_ARRAY_SIZE(scenarios); i++)
        if (scenarios[i].index_bits == PS_TABLE_INDEX_BITS)
            failed += !run_scenario(&scenarios[i]);
    return failed;
}
