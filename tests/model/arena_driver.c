#include "arena_driver.h"

#include <stdio.h>

static bool differs(struct arena_driver *driver, const char *what, uint64_t page)
{
    if (driver->wrong[0] == 0)
        (void)snprintf(driver->wrong, sizeof(driver->wrong), "%s at %" PS_PRIu, what, page);
    return false;
}

/* ---- the model ---- */

static void own(struct arena_driver *driver, const struct arena_owner *owner)
{
    unsigned number = 1;

    if (owner->pages == 0)
        return;
    while (driver->owners[number].pages != 0)
        number++;
    driver->owners[number] = *owner;
    for (uint64_t i = 0; i < owner->pages; i++)
        driver->owner[owner->first + i] = (uint16_t)number;
}

static void disown(struct arena_driver *driver, struct arena_owner *owner)
{
    for (uint64_t i = 0; i < owner->pages; i++)
        driver->owner[owner->first + i] = 0;
    owner->pages = 0;
}

/* Free pages right before a place, and what the neighbour there asks for. */
static uint64_t free_before(const struct arena_driver *driver, uint64_t first, uint64_t *guard)
{
    uint64_t at = first;

    while (at > 0 && driver->owner[at - 1] == 0)
        at--;
    *guard = at > 0 ? driver->owners[driver->owner[at - 1]].after : driver->arena->guard;
    return first - at;
}

static uint64_t free_behind(const struct arena_driver *driver, uint64_t end, uint64_t *guard)
{
    uint64_t at = end;

    while (at < driver->arena->pages && driver->owner[at] == 0)
        at++;
    *guard =
        at < driver->arena->pages ? driver->owners[driver->owner[at]].before : driver->arena->guard;
    return at - end;
}

static bool room_before(const struct arena_driver *driver, uint64_t first, uint64_t guard)
{
    uint64_t neighbour;

    return free_before(driver, first, &neighbour) >= ps_max(guard, neighbour);
}

static bool room_behind(const struct arena_driver *driver, uint64_t end, uint64_t guard)
{
    uint64_t neighbour;

    return free_behind(driver, end, &neighbour) >= ps_max(guard, neighbour);
}

static bool is_free(const struct arena_driver *driver, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        if (driver->owner[first + i] != 0)
            return false;
    return true;
}

static uint64_t guard_of(const struct arena_driver *driver, uint32_t asked)
{
    return asked == PS_ARENA_NO_GUARD ? 0 : ps_max(asked, driver->arena->guard);
}

static bool place_fits(const struct arena_driver *driver, const struct ps_arena_request *request,
                       uint64_t first)
{
    uint64_t page = driver->arena->first + first;

    return request->pages <= driver->arena->pages - first &&
           ps_is_aligned(page, ps_max(request->align, 1)) && page >= request->low &&
           (request->high == 0 || page + request->pages - 1 <= request->high) &&
           is_free(driver, first, request->pages) &&
           room_before(driver, first, guard_of(driver, request->guard_before)) &&
           room_behind(driver, first + request->pages, guard_of(driver, request->guard_after));
}

/* Where it fits: the lowest such place; the number of pages: nowhere. */
static uint64_t lowest_place(const struct arena_driver *driver,
                             const struct ps_arena_request *request)
{
    uint64_t first = 0;

    while (first < driver->arena->pages && !place_fits(driver, request, first))
        first++;
    return first;
}

/* Pages of the gap around a free page, without its neighbours' guards. */
static uint64_t gap_around(const struct arena_driver *driver, uint64_t page)
{
    uint64_t before;
    uint64_t behind;
    uint64_t free = free_before(driver, page, &before) + free_behind(driver, page, &behind);

    return free > before + behind ? free - before - behind : 0;
}

/* No smaller gap has a place for it, and this one no lower place. */
static bool is_best(const struct arena_driver *driver, const struct ps_arena_request *request,
                    uint64_t first)
{
    uint64_t gap = gap_around(driver, first);

    for (uint64_t other = 0; other < driver->arena->pages; other++)
        if (other != first && place_fits(driver, request, other) &&
            (gap_around(driver, other) < gap ||
             (other < first && is_free(driver, other, first - other))))
            return false;
    return true;
}

/* ---- calls ---- */

static struct arena_owner owner_for(const struct arena_driver *driver,
                                    const struct ps_arena_request *request, uint64_t first)
{
    return (struct arena_owner){.first = first,
                                .pages = request->pages,
                                .value = request->value,
                                .before = guard_of(driver, request->guard_before),
                                .after = guard_of(driver, request->guard_after)};
}

static bool alloc(struct arena_driver *driver, const struct ps_arena_request *request)
{
    uint64_t lowest = lowest_place(driver, request);
    uint64_t first = UINT64_MAX;
    bool is_strict = driver->arena->pages <= ARENA_MODEL_STRICT && driver->arena->gaps <= 8;
    ps_status status = ps_arena_alloc(driver->arena, request, &first);
    struct arena_owner owner;

    if (status == PS_NO_MEMORY && driver->fails)
        return true;
    if (status != (lowest < driver->arena->pages ? PS_OK : PS_NO_SPACE))
        return differs(driver, "alloc has an answer of its own", request->pages);
    if (status != PS_OK)
        return true;
    first -= ps_min(first, driver->arena->first);
    if (first >= driver->arena->pages || !place_fits(driver, request, first))
        return differs(driver, "alloc takes a place that does not fit", first);
    if ((request->low | request->high) != 0 && first != lowest)
        return differs(driver, "alloc does not take the lowest place", first);
    if ((request->low | request->high) == 0 && is_strict && !is_best(driver, request, first))
        return differs(driver, "alloc does not take the smallest gap", first);
    owner = owner_for(driver, request, first);
    own(driver, &owner);
    return true;
}

static bool alloc_at(struct arena_driver *driver, const struct arena_step *step)
{
    const struct ps_arena_request *request = &step->request;
    ps_status status =
        ps_arena_alloc_at(driver->arena, request, driver->arena->first + step->page, step->flag);
    ps_status expected = PS_OK;
    struct arena_owner owner;

    if (status == PS_NO_MEMORY && driver->fails)
        return true;
    if (request->pages > driver->arena->pages - step->page)
        expected = PS_OUT_OF_RANGE;
    else if (!is_free(driver, step->page, request->pages))
        expected = PS_ALREADY_EXISTS;
    else if (!step->flag && !place_fits(driver, request, step->page))
        expected = PS_NO_SPACE;
    if (status != expected)
        return differs(driver, "alloc_at has an answer of its own", step->page);
    if (status != PS_OK)
        return true;
    owner = owner_for(driver, request, step->page);
    own(driver, &owner);
    return true;
}

/* The owner of the page, when it begins there. */
static struct arena_owner *beginning(struct arena_driver *driver, uint64_t page, bool retired)
{
    struct arena_owner *owner = &driver->owners[driver->owner[page]];

    return driver->owner[page] != 0 && owner->first == page && owner->retired == retired ? owner
                                                                                         : NULL;
}

static bool free_one(struct arena_driver *driver, const struct arena_step *step)
{
    struct arena_owner *owner = beginning(driver, step->page, step->call == ARENA_RELEASE);
    uint64_t page = driver->arena->first + step->page;
    ps_status expected = owner == NULL ? PS_NOT_FOUND : PS_OK;
    ps_status status;

    if (step->call == ARENA_RELEASE) {
        status = ps_arena_release(driver->arena, page);
    } else {
        status = ps_arena_free(driver->arena, page, step->pages);
        if (owner != NULL && step->pages != 0 && step->pages != owner->pages)
            expected = PS_WRONG_SIZE;
    }
    if (status != expected)
        return differs(driver, "free has an answer of its own", step->page);
    if (status == PS_OK)
        disown(driver, owner);
    return true;
}

/* The pages of one owner become those of a new one, or free. */
static void cut_out(struct arena_driver *driver, struct arena_owner *owner,
                    const struct arena_step *step)
{
    struct arena_owner lower = *owner;
    struct arena_owner part = *owner;
    struct arena_owner upper = *owner;

    lower.pages = step->page - owner->first;
    upper.first = step->page + step->pages;
    upper.pages = owner->first + owner->pages - upper.first;
    part.first = step->page;
    part.pages = step->pages;
    part.retired = true;
    disown(driver, owner);
    own(driver, &lower);
    own(driver, &upper);
    if (step->call == ARENA_RETIRE)
        own(driver, &part);
}

/* Never refused for lack of memory. */
static bool cut(struct arena_driver *driver, const struct arena_step *step)
{
    struct arena_owner *owner = &driver->owners[driver->owner[step->page]];
    ps_status status = (step->call == ARENA_RETIRE ? ps_arena_retire : ps_arena_free_part)(
        driver->arena, driver->arena->first + step->page, step->pages);
    ps_status expected = PS_OK;

    if (driver->owner[step->page] == 0 || owner->retired)
        expected = PS_NOT_FOUND;
    else if (step->pages > owner->first + owner->pages - step->page)
        expected = PS_WRONG_SIZE;
    if (status != expected)
        return differs(driver, "a cut has an answer of its own", step->page);
    if (status == PS_OK)
        cut_out(driver, owner, step);
    return true;
}

static bool resize(struct arena_driver *driver, const struct arena_step *step)
{
    struct arena_owner *owner = beginning(driver, step->page, false);
    ps_status status =
        ps_arena_resize(driver->arena, driver->arena->first + step->page, step->pages);
    ps_status expected = PS_OK;
    struct arena_owner now;

    if (owner == NULL)
        expected = PS_NOT_FOUND;
    else if (step->pages > owner->pages &&
             (step->pages > driver->arena->pages - step->page ||
              !is_free(driver, step->page + owner->pages, step->pages - owner->pages) ||
              !room_behind(driver, step->page + step->pages, owner->after)))
        expected = PS_NO_SPACE;
    if (status != expected)
        return differs(driver, "resize has an answer of its own", step->page);
    if (status != PS_OK || owner == NULL)
        return true;
    now = *owner;
    now.pages = step->pages;
    disown(driver, owner);
    own(driver, &now);
    return true;
}

static bool set_value(struct arena_driver *driver, const struct arena_step *step)
{
    bool owned = driver->owner[step->page] != 0;

    if (ps_arena_set_value(driver->arena, driver->arena->first + step->page, step->pages) != owned)
        return differs(driver, "set_value has an answer of its own", step->page);
    if (owned)
        driver->owners[driver->owner[step->page]].value = step->pages;
    return true;
}

bool arena_driver_step(struct arena_driver *driver, const struct arena_step *step)
{
    switch ((enum arena_call)step->call) {
    case ARENA_ALLOC:
        return alloc(driver, &step->request);
    case ARENA_ALLOC_AT:
        return alloc_at(driver, step);
    case ARENA_FREE:
    case ARENA_RELEASE:
        return free_one(driver, step);
    case ARENA_FREE_PART:
    case ARENA_RETIRE:
        return cut(driver, step);
    case ARENA_RESIZE:
        return resize(driver, step);
    case ARENA_SET:
        return set_value(driver, step);
    case ARENA_CALLS:
    default:
        return differs(driver, "no such call", step->call);
    }
}

/* ---- comparing ---- */

static enum ps_arena_kind kind_of(const struct arena_driver *driver, uint64_t page)
{
    if (driver->owner[page] != 0)
        return driver->owners[driver->owner[page]].retired ? PS_ARENA_RETIRED : PS_ARENA_LIVE;
    return room_before(driver, page, 0) && room_behind(driver, page + 1, 0) ? PS_ARENA_FREE
                                                                            : PS_ARENA_GUARD;
}

static bool is_same(const struct arena_driver *driver, const struct ps_arena_extent *extent,
                    const struct arena_owner *owner)
{
    return extent->first == driver->arena->first + owner->first && extent->pages == owner->pages &&
           extent->value == owner->value && extent->guard_before == owner->before &&
           extent->guard_after == owner->after &&
           extent->kind == (owner->retired ? PS_ARENA_RETIRED : PS_ARENA_LIVE);
}

/* What is told is what owns that page; nothing where there is no such page. */
static bool tells(const struct arena_driver *driver, bool told,
                  const struct ps_arena_extent *extent, uint64_t page)
{
    if (page >= driver->arena->pages)
        return !told;
    return told && is_same(driver, extent, &driver->owners[driver->owner[page]]);
}

/* Find, next and previous tell its owner, and of a free page the neighbours. */
static bool compare_page(struct arena_driver *driver, uint64_t page)
{
    uint64_t number = driver->arena->first + page;
    enum ps_arena_kind kind = PS_ARENA_FREE;
    struct ps_arena_extent extent = {0};
    uint64_t lower = page;
    uint64_t upper = page;
    uint64_t guard;
    bool told;

    if (!ps_arena_kind_of(driver->arena, number, &kind) || kind != kind_of(driver, page))
        return differs(driver, "a page is of another kind", page);
    if (driver->owner[page] == 0) {
        uint64_t below = free_before(driver, page, &guard) + 1;

        lower = below <= page ? page - below : driver->arena->pages;
        upper = page + free_behind(driver, page, &guard);
    }
    told = ps_arena_find(driver->arena, number, &extent) == PS_OK;
    if (!tells(driver, told, &extent, driver->owner[page] != 0 ? page : driver->arena->pages))
        return differs(driver, "a page belongs to somebody else", page);
    told = ps_arena_next(driver->arena, number, &extent);
    if (!tells(driver, told, &extent, upper))
        return differs(driver, "another one is next", page);
    told = ps_arena_previous(driver->arena, number, &extent);
    return tells(driver, told, &extent, lower) || differs(driver, "another one is previous", page);
}

bool arena_driver_compare(struct arena_driver *driver)
{
    const struct ps_arena_counters *counters = &driver->arena->counters;
    uint64_t taken = 0;

    if (driver->wrong[0] != 0)
        return false;
    if (ps_arena_validate(driver->arena, NULL) != PS_OK)
        return differs(driver, "not valid", 0);
    for (uint64_t page = 0; page < driver->arena->pages; page++) {
        if (!compare_page(driver, page))
            return false;
        taken += driver->owner[page] != 0;
    }
    return taken == counters->live_pages + counters->retired_pages ||
           differs(driver, "pages counted wrongly", taken);
}
