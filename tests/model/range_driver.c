#include "range_driver.h"

#include <stdio.h>
#include <string.h>

/* ---- the model ---- */

/* The first range that ends at `key` or after it. */
static size_t model_at(const struct range_driver *driver, uint64_t key)
{
    size_t i = 0;

    while (i < driver->count && driver->ranges[i].last < key)
        i++;
    return i;
}

static bool model_contains(const struct range_driver *driver, size_t i, uint64_t key)
{
    return i < driver->count && driver->ranges[i].first <= key;
}

static void model_put(struct range_driver *driver, const struct ps_range *range)
{
    size_t at = model_at(driver, range->first);

    memmove(&driver->ranges[at + 1], &driver->ranges[at],
            (driver->count - at) * sizeof(driver->ranges[0]));
    driver->ranges[at] = *range;
    driver->count++;
}

static void model_drop(struct range_driver *driver, size_t at)
{
    driver->count--;
    memmove(&driver->ranges[at], &driver->ranges[at + 1],
            (driver->count - at) * sizeof(driver->ranges[0]));
}

static void model_clear(struct range_driver *driver, uint64_t first, uint64_t last)
{
    size_t i;

    while (i = model_at(driver, first), model_contains(driver, i, last)) {
        struct ps_range old = driver->ranges[i];

        model_drop(driver, i);
        if (old.first < first)
            model_put(driver, &(struct ps_range){old.first, first - 1, old.value});
        if (old.last > last)
            model_put(driver, &(struct ps_range){last + 1, old.last, old.value});
    }
}

/* ---- comparing ---- */

static bool differs(struct range_driver *driver, const char *what)
{
    if (driver->wrong[0] == 0)
        (void)snprintf(driver->wrong, sizeof(driver->wrong),
                       "%s: call %u %d 0x%" PS_PRIx " 0x%" PS_PRIx " 0x%" PS_PRIx, what,
                       driver->last.call, driver->last.flag, driver->last.a, driver->last.b,
                       driver->last.c);
    return false;
}

static bool same(const struct ps_range *a, const struct ps_range *b)
{
    return a->first == b->first && a->last == b->last && a->value == b->value;
}

static void note(void *context, const char *text, size_t length)
{
    struct range_driver *driver = context;

    if (driver->wrong[0] == 0)
        (void)snprintf(driver->wrong, sizeof(driver->wrong), "%.*s", (int)length, text);
}

bool range_driver_compare(struct range_driver *driver)
{
    struct ps_range_cursor cursor = ps_range_tree_cursor(driver->tree, 0);
    struct ps_sink sink = {note, driver};
    struct ps_range range;
    size_t i = 0;

    if (ps_range_tree_validate(driver->tree, &sink) != PS_OK)
        return differs(driver, "not valid");
    for (; ps_range_cursor_next(&cursor, &range); i++)
        if (i >= driver->count || !same(&range, &driver->ranges[i]))
            return differs(driver, "another range");
    return (i == driver->count && driver->tree->count == i) ||
           differs(driver, "a range is missing");
}

/*
 * What a call answered, and what it must answer. True: it was carried out, and the model has to
 * follow. A call that found no memory must have left everything alone: the comparison sees it.
 */
static bool carried_out(struct range_driver *driver, ps_status status, ps_status expected,
                        uint64_t reserved, uint64_t inserts)
{
    if (status == PS_NO_MEMORY && driver->fails && reserved < inserts && expected == PS_OK) {
        if (driver->tree->reserved != reserved)
            (void)differs(driver, "a failure used reservations");
        return false;
    }
    if (status != expected)
        (void)differs(driver, ps_status_name(status));
    return status == PS_OK;
}

/*
 * As many reservations were used up as there are more ranges than before, if there were that many;
 * or, where ranges were erased in one place and added in another, up to `most`.
 */
static void expect_used(struct range_driver *driver, uint64_t reserved, uint64_t ranges,
                        uint64_t most)
{
    uint64_t added = driver->count > ranges ? driver->count - ranges : 0;
    uint64_t left = driver->tree->reserved;

    if (left > reserved - ps_min(reserved, added) ||
        left < reserved - ps_min(reserved, ps_max(added, most)))
        (void)differs(driver, "reservations counted wrongly");
}

/* ---- the calls ---- */

static void insert(struct range_driver *driver, const struct ps_range_step *step)
{
    struct ps_range range = {step->a, step->b, step->c};
    uint64_t reserved = driver->tree->reserved;
    size_t ranges = driver->count;
    ps_status expected = PS_OK;

    if (step->a > step->b)
        expected = PS_INVALID_ARGS;
    else if (model_contains(driver, model_at(driver, step->a), step->b))
        expected = PS_ALREADY_EXISTS;
    if (carried_out(driver, ps_range_tree_insert(driver->tree, &range), expected, reserved, 1))
        model_put(driver, &range);
    expect_used(driver, reserved, ranges, 0);
}

static void erase(struct range_driver *driver, const struct ps_range_step *step)
{
    size_t at = model_at(driver, step->a);
    bool expected = at < driver->count && driver->ranges[at].first == step->a;
    struct ps_range erased;

    if (ps_range_tree_erase(driver->tree, step->a, &erased) != expected)
        (void)differs(driver, "erase");
    else if (expected && !same(&erased, &driver->ranges[at]))
        (void)differs(driver, "erased another");
    else if (expected)
        model_drop(driver, at);
}

static void replace(struct range_driver *driver, const struct ps_range_step *step)
{
    struct ps_range range = {step->a, step->b, step->c};
    uint64_t reserved = driver->tree->reserved;
    size_t ranges = driver->count;
    ps_status expected = step->a > step->b ? PS_INVALID_ARGS : PS_OK;

    if (carried_out(driver, ps_range_tree_replace(driver->tree, &range), expected, reserved, 2)) {
        model_clear(driver, range.first, range.last);
        model_put(driver, &range);
    }
    expect_used(driver, reserved, ranges, 2);
}

static void clear(struct range_driver *driver, const struct ps_range_step *step)
{
    uint64_t reserved = driver->tree->reserved;
    size_t ranges = driver->count;
    size_t at = model_at(driver, step->a);
    ps_status expected = step->a > step->b ? PS_INVALID_ARGS : PS_OK;
    bool hole =
        at < ranges && driver->ranges[at].first < step->a && driver->ranges[at].last > step->b;

    if (carried_out(driver, ps_range_tree_clear(driver->tree, step->a, step->b), expected, reserved,
                    hole ? 1 : 0))
        model_clear(driver, step->a, step->b);
    expect_used(driver, reserved, ranges, 0);
}

static void split(struct range_driver *driver, const struct ps_range_step *step)
{
    size_t at = model_at(driver, step->a);
    uint64_t reserved = driver->tree->reserved;
    size_t ranges = driver->count;
    ps_status expected = PS_OK;

    if (!model_contains(driver, at, step->a))
        expected = PS_NOT_FOUND;
    else if (driver->ranges[at].first == step->a)
        expected = PS_INVALID_ARGS;
    if (carried_out(driver, ps_range_tree_split(driver->tree, step->a, step->c), expected, reserved,
                    1)) {
        struct ps_range upper = {step->a, driver->ranges[at].last, step->c};

        driver->ranges[at].last = step->a - 1;
        model_put(driver, &upper);
    }
    expect_used(driver, reserved, ranges, 0);
}

static void merge(struct range_driver *driver, const struct ps_range_step *step)
{
    size_t at = model_at(driver, step->a);
    bool expected = model_contains(driver, at, step->a) && at + 1 < driver->count &&
                    driver->ranges[at].last == driver->ranges[at + 1].first - 1;

    if (ps_range_tree_merge(driver->tree, step->a) != expected) {
        (void)differs(driver, "merge");
    } else if (expected) {
        driver->ranges[at].last = driver->ranges[at + 1].last;
        model_drop(driver, at + 1);
    }
}

static void resize(struct range_driver *driver, const struct ps_range_step *step)
{
    size_t at = model_at(driver, step->a);
    bool inside = model_contains(driver, at, step->a);
    uint64_t first = inside ? driver->ranges[at].first : step->a;
    ps_status expected = PS_OK;

    if (step->b > step->c)
        expected = PS_INVALID_ARGS;
    else if (!inside)
        expected = PS_NOT_FOUND;
    else if ((at > 0 && driver->ranges[at - 1].last >= step->b) ||
             (at + 1 < driver->count && driver->ranges[at + 1].first <= step->c))
        expected = PS_ALREADY_EXISTS;
    if (carried_out(driver, ps_range_tree_resize(driver->tree, first, step->b, step->c), expected,
                    0, 0)) {
        driver->ranges[at].first = step->b;
        driver->ranges[at].last = step->c;
    }
}

static void set_value(struct range_driver *driver, const struct ps_range_step *step)
{
    size_t at = model_at(driver, step->a);
    bool inside = model_contains(driver, at, step->a);

    if (ps_range_tree_set_value(driver->tree, step->a, step->c) != inside)
        (void)differs(driver, "set_value");
    else if (inside)
        driver->ranges[at].value = step->c;
}

static void reserve(struct range_driver *driver, const struct ps_range_step *step)
{
    uint64_t reserved = driver->tree->reserved;

    if (carried_out(driver, ps_range_tree_reserve(driver->tree, step->a), PS_OK, reserved,
                    UINT64_MAX))
        reserved += step->a;
    if (driver->tree->reserved != reserved)
        (void)differs(driver, "reserve");
}

static void give_back(struct range_driver *driver, const struct ps_range_step *step)
{
    uint64_t reserved = driver->tree->reserved;

    ps_range_tree_unreserve(driver->tree, step->a);
    if (driver->tree->reserved != reserved - ps_min(reserved, step->a))
        (void)differs(driver, "unreserve");
}

/* ---- questions ---- */

static void look(struct range_driver *driver, const struct ps_range_step *step)
{
    size_t at = model_at(driver, step->a);
    bool inside = model_contains(driver, at, step->a);
    size_t before = inside ? at + 1 : at; /* ranges that begin at the number or before it */
    struct ps_range range;

    if (ps_range_tree_find(driver->tree, step->a, &range) != inside ||
        (inside && !same(&range, &driver->ranges[at])))
        (void)differs(driver, "find");
    if (ps_range_tree_next(driver->tree, step->a, &range) != (at < driver->count) ||
        (at < driver->count && !same(&range, &driver->ranges[at])))
        (void)differs(driver, "next");
    if (ps_range_tree_previous(driver->tree, step->a, &range) != (before > 0) ||
        (before > 0 && !same(&range, &driver->ranges[before - 1])))
        (void)differs(driver, "previous");
}

/* The gap before range i, or behind the last one; false when there is none. */
static bool model_gap(const struct range_driver *driver, size_t i, uint64_t *first, uint64_t *last)
{
    bool beyond = i > 0 && driver->ranges[i - 1].last == UINT64_MAX;

    if (beyond || (i < driver->count && driver->ranges[i].first == 0))
        return false;
    *first = i > 0 ? driver->ranges[i - 1].last + 1 : 0;
    *last = i < driver->count ? driver->ranges[i].first - 1 : UINT64_MAX;
    return *first <= *last;
}

static void largest(struct range_driver *driver, const struct ps_range_step *step)
{
    uint64_t most = 0;
    uint64_t first;
    uint64_t last;

    for (size_t i = 0; i <= driver->count; i++) {
        if (!model_gap(driver, i, &first, &last))
            continue;
        first = ps_max(first, step->a);
        last = ps_min(last, step->b);
        if (first <= last)
            most = ps_max(most, last - first == UINT64_MAX ? UINT64_MAX : last - first + 1);
    }
    if (ps_range_tree_largest_gap(driver->tree, step->a, step->b) != most)
        (void)differs(driver, "largest gap");
}

static bool model_place(const struct range_driver *driver, const struct ps_gap_request *request,
                        size_t i, uint64_t *place)
{
    uint64_t first;
    uint64_t last;
    uint64_t before = i > 0 ? request->before : 0;
    uint64_t after = i < driver->count ? request->after : 0;

    if (!model_gap(driver, i, &first, &last) || last - first < before)
        return false;
    first += before;
    if (last - first < after)
        return false;
    last -= after;
    first = ps_max(first, request->low);
    last = ps_min(last, request->high);
    if (first > last || last - first < request->size - 1)
        return false;
    last -= request->size - 1;
    /* Places are [first, last] now. */
    if (request->highest)
        *place = last - (last & (ps_max(request->align, 1) - 1));
    else if (!ps_align_up(first, ps_max(request->align, 1), place))
        return false;
    return *place >= first && *place <= last;
}

static bool model_find_gap(const struct range_driver *driver, const struct ps_gap_request *request,
                           uint64_t *place)
{
    for (size_t n = 0; n <= driver->count; n++)
        if (model_place(driver, request, request->highest ? driver->count - n : n, place))
            return true;
    return false;
}

/* Whether a place is one, be it not the first. */
static bool is_a_place(const struct range_driver *driver, const struct ps_gap_request *request,
                       uint64_t place)
{
    struct ps_gap_request only = *request;

    only.low = place;
    only.high = place + (request->size - 1);
    return place >= request->low && only.high <= request->high &&
           model_find_gap(driver, &only, &only.low);
}

static void find_gap(struct range_driver *driver, const struct ps_range_step *step)
{
    struct ps_gap_request request = {
        .low = step->flag ? 0 : step->b,
        .high = step->flag ? step->b : UINT64_MAX,
        .size = step->a,
        .align = (step->c & 7) == 7 ? 0 : (uint64_t)1 << (step->c & 7),
        .before = step->c >> 3 & 3,
        .after = step->c >> 5 & 3,
        .highest = (step->c >> 7 & 1) != 0,
    };
    uint64_t found = 7;
    uint64_t expected = 7;
    ps_status status = ps_range_tree_find_gap(driver->tree, &request, &found);
    bool is_there = step->a != 0 && model_find_gap(driver, &request, &expected);

    if (step->a == 0)
        (void)(status == PS_INVALID_ARGS || differs(driver, "no size"));
    else if ((status == PS_OK) != is_there || (!is_there && status != PS_NO_SPACE))
        (void)differs(driver, "find_gap");
    else if (is_there && found != expected &&
             (request.align <= 1 || !is_a_place(driver, &request, found)))
        (void)differs(driver, "another gap");
}

bool range_driver_step(struct range_driver *driver, const struct ps_range_step *step)
{
    static void (*const calls[RANGE_CALLS])(struct range_driver *, const struct ps_range_step *) = {
        [RANGE_INSERT] = insert,     [RANGE_ERASE] = erase,   [RANGE_REPLACE] = replace,
        [RANGE_CLEAR] = clear,       [RANGE_SPLIT] = split,   [RANGE_MERGE] = merge,
        [RANGE_RESIZE] = resize,     [RANGE_SET] = set_value, [RANGE_RESERVE] = reserve,
        [RANGE_RETURN] = give_back,  [RANGE_LOOK] = look,     [RANGE_LARGEST] = largest,
        [RANGE_FIND_GAP] = find_gap,
    };

    driver->last = *step;
    calls[step->call](driver, step);
    return driver->wrong[0] == 0;
}
