#include "range_tree_private.h"

/* Gaps that are large enough and have no aligned place: so many are looked at first. */
enum { CANDIDATES = 16 };

struct gap {
    uint64_t first;
    uint64_t last;
};

/* ---- gaps between two ranges ---- */

static bool is_gap(uint64_t before, uint64_t behind, uint64_t need, struct gap *gap)
{
    /* One range may be the other's neighbour: then `behind` is `before` + 1. */
    if (behind - before - 1 < need)
        return false;
    *gap = (struct gap){before + 1, behind - 1};
    return true;
}

/* The lowest gap of `need` numbers below the node that ends at `from` or after it. */
static bool gap_up(const struct ps_range_tree *tree, uint64_t reference, unsigned level,
                   uint64_t from, uint64_t need, struct gap *gap)
{
    const struct ps_range_node *node = ps_range_node(tree, reference);
    const uint64_t *last = node->words;
    const uint64_t *first = node->words + (level == 0 ? (unsigned)LEAF_FIRST : (unsigned)INNER_LOW);
    unsigned i = level == 0 ? ps_range_leaf_rank(node, from) : ps_range_inner_rank(node, from);

    for (; i < node->count; i++) {
        if (i > 0 && first[i] > from && is_gap(last[i - 1], first[i], need, gap))
            return true;
        if (level > 0 && node->words[INNER_GAP + i] >= need &&
            gap_up(tree, node->words[INNER_CHILD + i], level - 1, from, need, gap))
            return true;
    }
    return false;
}

/* The highest gap of `need` numbers below the node that begins at `to` or before it. */
static bool gap_down(const struct ps_range_tree *tree, uint64_t reference, unsigned level,
                     uint64_t to, uint64_t need, struct gap *gap)
{
    const struct ps_range_node *node = ps_range_node(tree, reference);
    const uint64_t *last = node->words;
    const uint64_t *first = node->words + (level == 0 ? (unsigned)LEAF_FIRST : (unsigned)INNER_LOW);
    uint64_t rank = level == 0 ? ps_range_leaf_rank(node, to) : ps_range_inner_rank(node, to);

    /* The entry of that rank ends at `to` or after it, those before do not. */
    for (uint64_t i = ps_min(rank + 1, node->count); i > 0; i--) {
        if (level > 0 && node->words[INNER_GAP + i - 1] >= need &&
            gap_down(tree, node->words[INNER_CHILD + i - 1], level - 1, to, need, gap))
            return true;
        if (i > 1 && is_gap(last[i - 2], first[i - 1], need, gap))
            return true;
    }
    return false;
}

static bool next_gap(const struct ps_range_tree *tree, const struct ps_gap_request *request,
                     uint64_t at, uint64_t need, struct gap *gap)
{
    unsigned level = tree->height - 1;

    if (request->highest)
        return gap_down(tree, tree->root, level, at, need, gap) && gap->last >= request->low;
    return gap_up(tree, tree->root, level, at, need, gap) && gap->first <= request->high;
}

/* ---- a place in a gap ---- */

/* What may be used of a gap: not what its neighbours keep free, nor what the request excludes. */
static bool clip(const struct ps_gap_request *request, const struct gap *gap, uint64_t before,
                 uint64_t after, struct gap *usable)
{
    if (gap->last - gap->first < before || gap->last < after)
        return false;
    usable->first = ps_max(gap->first + before, request->low);
    usable->last = ps_min(gap->last - after, request->high);
    return usable->first <= usable->last && usable->last - usable->first >= request->size - 1;
}

static bool place(const struct ps_gap_request *request, const struct gap *gap, uint64_t before,
                  uint64_t after, uint64_t *first)
{
    uint64_t align = ps_max(request->align, 1);
    struct gap usable;
    uint64_t start;

    if (!clip(request, gap, before, after, &usable))
        return false;
    if (request->highest)
        start = ps_align_down(usable.last - (request->size - 1), align);
    else if (!ps_align_up(usable.first, align, &start))
        return false;
    if (start < usable.first || start > usable.last || usable.last - start < request->size - 1)
        return false;
    *first = start;
    return true;
}

/* Before the first range, or behind the last one; without ranges, everything. */
static bool place_at_end(const struct ps_range_tree *tree, const struct ps_gap_request *request,
                         bool upper, uint64_t *first)
{
    struct gap gap = {0, UINT64_MAX};

    if (tree->height == 0)
        return place(request, &gap, 0, 0, first);
    if (upper ? tree->high == UINT64_MAX : tree->low == 0)
        return false;
    if (upper)
        gap.first = tree->high + 1;
    else
        gap.last = tree->low - 1;
    return place(request, &gap, upper ? request->before : 0, upper ? 0 : request->after, first);
}

/* ---- the search ---- */

/* A search from gap to gap, at most `left` of them. */
struct search {
    uint64_t need;
    uint64_t at;
    uint64_t left;
};

static bool search_between(const struct ps_range_tree *tree, const struct ps_gap_request *request,
                           struct search *search, uint64_t *first)
{
    struct gap gap;

    for (; search->left > 0; search->left--) {
        if (!next_gap(tree, request, search->at, search->need, &gap))
            return false;
        if (place(request, &gap, request->before, request->after, first))
            return true;
        search->at = request->highest ? gap.first - 1 : gap.last + 1;
    }
    return false;
}

/*
 * Only gaps in which there is an aligned place wherever they begin. That is no overflow: there are
 * so many gaps of the smaller size that it is below 2^60, and the alignment is at most 2^63.
 */
static bool search_surely(const struct ps_range_tree *tree, const struct ps_gap_request *request,
                          const struct search *from, uint64_t *first)
{
    struct search sure = {from->need + (ps_max(request->align, 1) - 1), from->at, UINT64_MAX};

    return search_between(tree, request, &sure, first);
}

/* The numbers that a gap between two ranges must have. */
static bool need_between(const struct ps_gap_request *request, uint64_t *need)
{
    return ps_add(request->size, request->before, need) && ps_add(*need, request->after, need);
}

/* In the order that the header tells. */
static bool search_all(const struct ps_range_tree *tree, const struct ps_gap_request *request,
                       uint64_t *first)
{
    struct search search = {0, request->highest ? request->high : request->low, CANDIDATES};

    if (place_at_end(tree, request, request->highest, first))
        return true;
    if (tree->height == 0 || !need_between(request, &search.need))
        return place_at_end(tree, request, !request->highest, first);
    if (search_between(tree, request, &search, first) ||
        (search.left == 0 && search_surely(tree, request, &search, first)) ||
        place_at_end(tree, request, !request->highest, first))
        return true;
    if (search.left != 0)
        return false;
    search.left = UINT64_MAX;
    return search_between(tree, request, &search, first);
}

ps_status ps_range_tree_find_gap(const struct ps_range_tree *tree,
                                 const struct ps_gap_request *request, uint64_t *first)
{
    if (tree == NULL || request == NULL || first == NULL)
        return PS_INVALID_ARGS;
    if (tree->machine == NULL)
        return PS_BAD_STATE;
    if (request->low > request->high || request->size == 0 ||
        (request->align != 0 && !ps_is_power_of_two(request->align)))
        return PS_INVALID_ARGS;
    return search_all(tree, request, first) ? PS_OK : PS_NO_SPACE;
}

/* ---- the largest ---- */

/* Numbers of [first, last] inside of `within`, one too few if it is all that there are. */
static uint64_t numbers(const struct gap *within, uint64_t first, uint64_t last)
{
    uint64_t from = ps_max(first, within->first);
    uint64_t to = ps_min(last, within->last);

    if (from > to)
        return 0;
    return to - from == UINT64_MAX ? UINT64_MAX : to - from + 1;
}

static uint64_t largest_below(const struct ps_range_tree *tree, uint64_t reference, unsigned level,
                              const struct gap *within)
{
    const struct ps_range_node *node = ps_range_node(tree, reference);
    const uint64_t *last = node->words;
    const uint64_t *first = node->words + (level == 0 ? (unsigned)LEAF_FIRST : (unsigned)INNER_LOW);
    uint64_t most = 0;

    for (uint64_t i = 0; i < node->count; i++) {
        if (i > 0 && first[i] - last[i - 1] > 1)
            most = ps_max(most, numbers(within, last[i - 1] + 1, first[i] - 1));
        if (level == 0 || node->words[INNER_GAP + i] <= most)
            continue;
        if (first[i] >= within->first && last[i] <= within->last)
            most = node->words[INNER_GAP + i];
        else if (first[i] <= within->last && last[i] >= within->first)
            most =
                ps_max(most, largest_below(tree, node->words[INNER_CHILD + i], level - 1, within));
    }
    return most;
}

uint64_t ps_range_tree_largest_gap(const struct ps_range_tree *tree, uint64_t low, uint64_t high)
{
    const struct gap within = {low, high};
    uint64_t most;

    if (tree == NULL || tree->machine == NULL)
        return 0;
    if (tree->height == 0)
        return numbers(&within, 0, UINT64_MAX);
    most = largest_below(tree, tree->root, tree->height - 1, &within);
    if (tree->low > 0)
        most = ps_max(most, numbers(&within, 0, tree->low - 1));
    if (tree->high < UINT64_MAX)
        most = ps_max(most, numbers(&within, tree->high + 1, UINT64_MAX));
    return most;
}
