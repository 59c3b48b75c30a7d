#include "address_arena_private.h"

/*
 * Small gaps are in doubly linked lists, one a size. Larger ones are in digital search trees, one a
 * power of two: each node may hold any gap whose first bits are those of the way to it, so that
 * nothing is ever rotated and no node knows its parent. The bits are those of the size, without the
 * highest, and then those of the place, which is unique.
 */

struct key {
    uint64_t fit;
    uint64_t place;
};

struct ps_arena_gap ps_arena_gap_at(const struct ps_arena *arena, const struct ps_arena_at *at)
{
    return ps_arena_gap_of(arena, at);
}

static struct key key_at(const struct ps_arena *arena, uint64_t reference)
{
    struct ps_arena_at at = ps_arena_at(arena, reference);
    struct ps_arena_gap gap = ps_arena_gap_at(arena, &at);

    return (struct key){ps_arena_fit(&gap), gap.first - arena->first};
}

static bool is_below(const struct key *a, const struct key *b)
{
    return a->fit != b->fit ? a->fit < b->fit : a->place < b->place;
}

static unsigned power_of(uint64_t fit)
{
    return 63u - (unsigned)__builtin_clzll(fit);
}

/* ---- trees ---- */

/* The bit that decides at this depth; below where all bits were used there is nothing. */
static unsigned bit_of(const struct ps_arena *arena, const struct key *key, unsigned depth)
{
    unsigned of_fit = power_of(key->fit);
    unsigned all = of_fit + power_of(arena->pages);

    if (depth < of_fit)
        return key->fit >> (of_fit - 1 - depth) & 1;
    return depth <= all ? key->place >> (all - depth) & 1 : 0;
}

/* What leads to a gap: holds its reference, or 0 where it has to be put. */
static uint64_t *place_of(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit,
                          uint64_t reference)
{
    struct key key = {fit, ps_arena_cell_end(at->cell) - arena->first};
    uint64_t *place = &arena->large[power_of(fit)];

    for (unsigned depth = 0; *place != reference; depth++)
        place = ps_arena_link(arena, *place, bit_of(arena, &key, depth));
    return place;
}

bool ps_arena_tree_has(const struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    struct key key = {fit, ps_arena_cell_end(at->cell) - arena->first};
    uint64_t self = ps_arena_reference(at);
    uint64_t reference = arena->large[power_of(fit)];

    for (unsigned depth = 0; reference != self && reference != 0 && depth < DEPTH; depth++)
        reference = *ps_arena_link(arena, reference, bit_of(arena, &key, depth));
    return reference == self;
}

void ps_arena_tree_in(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    at->cell->link[0] = at->cell->link[1] = 0;
    *place_of(arena, at, fit, 0) = ps_arena_reference(at);
    arena->large_map |= (uint64_t)1 << power_of(fit);
}

/* Any node without children below takes its place. */
void ps_arena_tree_out(struct ps_arena *arena, const struct ps_arena_at *at, uint64_t fit)
{
    uint64_t *place = place_of(arena, at, fit, ps_arena_reference(at));
    uint64_t *end = place;
    uint64_t heir;

    for (;;) {
        uint64_t *link = ps_arena_link(arena, *end, 0);

        if (link[0] == 0 && link[1] == 0)
            break;
        end = link[0] != 0 ? &link[0] : &link[1];
    }
    heir = *end;
    *end = 0;
    if (end != place) {
        uint64_t *link = ps_arena_link(arena, heir, 0);

        link[0] = at->cell->link[0];
        link[1] = at->cell->link[1];
        *place = heir;
    }
    if (arena->large[power_of(fit)] == 0)
        arena->large_map &= ~((uint64_t)1 << power_of(fit));
}

/* A search for the lowest key that is not below `least`. */
struct search {
    struct key least;
    struct key best;
    uint64_t found;
};

static void consider(const struct ps_arena *arena, struct search *search, uint64_t reference)
{
    struct key key = key_at(arena, reference);

    if (is_below(&key, &search->least) || (search->found != 0 && !is_below(&key, &search->best)))
        return;
    search->best = key;
    search->found = reference;
}

/*
 * Along the bits of the key; then the lowest of the nearest subtree that was passed on the right:
 * all in it are above the key, and below all in those that were passed before.
 */
static uint64_t tree_least(const struct ps_arena *arena, const struct key *least)
{
    struct search search = {.least = *least};
    uint64_t reference = arena->large[power_of(least->fit)];
    uint64_t right = 0;

    for (unsigned depth = 0; reference != 0; depth++) {
        const uint64_t *link = ps_arena_link(arena, reference, 0);
        unsigned bit = bit_of(arena, least, depth);

        consider(arena, &search, reference);
        if (bit == 0 && link[1] != 0)
            right = link[1];
        reference = link[bit];
    }
    for (reference = right; reference != 0;) {
        const uint64_t *link = ps_arena_link(arena, reference, 0);

        consider(arena, &search, reference);
        reference = link[0] != 0 ? link[0] : link[1];
    }
    return search.found;
}

/* The least in this tree and those of larger gaps. */
static uint64_t large_least(const struct ps_arena *arena, const struct key *least)
{
    unsigned power = power_of(least->fit);
    uint64_t found = arena->large_map >> power & 1 ? tree_least(arena, least) : 0;
    uint64_t above = arena->large_map >> power >> 1;

    if (found != 0 || above == 0)
        return found;
    power += 1 + (unsigned)__builtin_ctzll(above);
    return tree_least(arena, &(struct key){(uint64_t)1 << power, 0});
}

/* ---- lists ---- */

static uint64_t small_least(const struct ps_arena *arena, uint64_t fit)
{
    uint64_t word = arena->small_map[fit / 64] & UINT64_MAX << fit % 64;

    for (uint64_t i = fit / 64;; word = arena->small_map[i]) {
        if (word != 0)
            return arena->small[i * 64 + (unsigned)__builtin_ctzll(word)];
        if (++i == PS_ARRAY_SIZE(arena->small_map))
            return 0;
    }
}

/* ---- either ---- */

void ps_arena_gap_enter(struct ps_arena *arena, const struct ps_arena_at *at)
{
    struct ps_arena_gap gap = ps_arena_gap_at(arena, at);

    ps_arena_gap_in(arena, at, ps_arena_fit(&gap));
}

void ps_arena_gap_leave(struct ps_arena *arena, const struct ps_arena_at *at)
{
    struct ps_arena_gap gap = ps_arena_gap_at(arena, at);

    ps_arena_gap_out(arena, at, ps_arena_fit(&gap));
}

void ps_arena_gap_grown(const struct ps_arena *arena, const struct ps_arena_at *at)
{
    struct ps_arena_gap gap = ps_arena_gap_at(arena, at);

    if (gap.end - gap.first >= ps_max(gap.left, gap.right))
        at->cell->state &= (uint8_t)~SHORT;
}

void ps_arena_gap_moved(struct ps_arena *arena, uint64_t old, const struct ps_arena_at *at,
                        uint64_t fit)
{
    if (fit == 0)
        return;
    if (fit < PS_ARENA_SMALL)
        ps_arena_relink(arena, at->cell->link, fit, ps_arena_reference(at));
    else
        *place_of(arena, at, fit, old) = ps_arena_reference(at);
}

uint64_t ps_arena_gap_best(const struct ps_arena *arena, uint64_t fit)
{
    uint64_t found = fit < PS_ARENA_SMALL ? small_least(arena, fit) : 0;

    if (found != 0)
        return found;
    return large_least(arena, &(struct key){ps_max(fit, PS_ARENA_SMALL), 0});
}

uint64_t ps_arena_gap_next(const struct ps_arena *arena, uint64_t reference)
{
    struct key key = key_at(arena, reference);

    if (key.fit >= PS_ARENA_SMALL)
        return large_least(arena, &(struct key){key.fit, key.place + 1});
    if (*ps_arena_link(arena, reference, 0) != 0)
        return *ps_arena_link(arena, reference, 0);
    return ps_arena_gap_best(arena, key.fit + 1);
}

uint64_t ps_arena_gap_largest(const struct ps_arena *arena)
{
    uint64_t most = 0;
    uint64_t reference;

    if (arena->large_map == 0) {
        for (uint64_t fit = PS_ARENA_SMALL - 1; fit > 0; fit--)
            if (arena->small[fit] != 0)
                return fit;
        return 0;
    }
    for (reference = arena->large[power_of(arena->large_map)]; reference != 0;) {
        const uint64_t *link = ps_arena_link(arena, reference, 0);

        most = ps_max(most, key_at(arena, reference).fit);
        reference = link[1] != 0 ? link[1] : link[0];
    }
    return most;
}
