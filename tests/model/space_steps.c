#include "space_driver.h"

#include <stdlib.h>

/* What is called, and with what: mostly what does something, sometimes what must be refused. */

enum { SCATTERED_MOST = 1200 };

static uint64_t pick(struct space_driver *driver, uint64_t bound)
{
    return driver->pick(driver->context, bound);
}

static bool one_in(struct space_driver *driver, uint64_t bound)
{
    return pick(driver, bound) == 0;
}

static uint64_t some_count(struct space_driver *driver, const struct space_oracle *oracle,
                           uint64_t left)
{
    uint64_t block;

    switch (pick(driver, 4)) {
    case 0:
        return 1;
    case 1:
        return 1 + pick(driver, ps_min(left, 20));
    case 2:
        block = space_block(oracle, 1 + (unsigned)pick(driver, oracle->geometry.largest));
        return ps_max(block * (1 + pick(driver, 3)) - pick(driver, 2), 1);
    default:
        return 1 + pick(driver, left);
    }
}

static struct space_range some_range(struct space_driver *driver)
{
    const struct space_oracle *oracle = &driver->oracles[driver->space];
    const struct space_window *window = &oracle->windows[pick(driver, oracle->window_count)];
    uint64_t half = space_pages(oracle) / 2;
    uint64_t first = window->first + pick(driver, window->count);
    uint64_t left;
    uint64_t count;

    if (one_in(driver, 2))
        first &= ~(space_block(oracle, 1 + (unsigned)pick(driver, oracle->geometry.largest)) - 1);
    else if (one_in(driver, 4))
        first |= space_block(oracle, 2) - 1;
    first = ps_min(ps_max(first, window->first), window->first + window->count - 1);
    left = window->first + window->count - first;
    if (first < half && first + left > half && !one_in(driver, 30))
        left = half - first;
    count = some_count(driver, oracle, left);
    return (struct space_range){first, ps_min(count, left)};
}

/* Half of the time the same, so that there is something to put together. */
static ps_attr_t any_attr(struct space_driver *driver)
{
    static const unsigned access[] = {PS_READ, PS_READ | PS_WRITE, PS_READ | PS_WRITE,
                                      PS_READ | PS_EXECUTE};
    unsigned more = (one_in(driver, 5) ? PS_USER : 0u) | (one_in(driver, 8) ? PS_GLOBAL : 0u);
    enum ps_cache cache =
        one_in(driver, 8) ? (enum ps_cache)pick(driver, PS_CACHE_COUNT) : PS_CACHE_WRITE_BACK;

    if (one_in(driver, 2))
        return ps_attr_ram(PS_READ | PS_WRITE);
    return ps_attr(access[pick(driver, PS_ARRAY_SIZE(access))] | more, cache);
}

/* Where types are kept, mostly one that depends on the place: or nearly all would be refused. */
static ps_attr_t some_attr(struct space_driver *driver, struct space_range range)
{
    ps_attr_t attr = any_attr(driver);

    if (driver->types.library != NULL && !one_in(driver, 8))
        attr.cache = (uint8_t)((range.first & 0xfffff) < 512 ? PS_CACHE_WRITE_BACK
                                                             : (range.first >> 8) % PS_CACHE_COUNT);
    return attr;
}

/* ---- steps ---- */

/* Half of the time it stays as it is, so that there is something to keep. */
static void step_map(struct space_driver *driver, struct space_range range)
{
    static ps_frame_t frames[SCATTERED_MOST];
    const struct space_oracle *oracle = &driver->oracles[driver->space];
    bool wild = one_in(driver, 2);
    struct space_map map = {
        .range = range,
        .frames = frames,
        .attr = some_attr(driver, range),
        .existing = (enum ps_existing)pick(driver, 3),
    };

    map.range.count = ps_min(range.count, SCATTERED_MOST);
    for (uint64_t i = 0; i < map.range.count; i++) {
        const struct space_page *old = space_at(oracle, range.first + i);

        frames[i] = ps_frame((range.first + i) & 0xfffff);
        if (old->use != SPACE_ABSENT)
            frames[i] = ps_frame(old->frame);
        if (wild && one_in(driver, 20))
            frames[i] = ps_frame(pick(driver, 256));
    }
    drive_map(driver, &map);
}

static void step_map_run(struct space_driver *driver, struct space_range range)
{
    uint64_t first = (range.first & 0xfffff) + (pick(driver, 2) << 21);

    if (one_in(driver, 3))
        first += 1 + pick(driver, 9);
    drive_map(driver, &(struct space_map){
                          .range = range,
                          .first = first,
                          .attr = some_attr(driver, range),
                          .flags = one_in(driver, 2) ? (unsigned)pick(driver, 4) : 0,
                      });
}

static void step_unmap(struct space_driver *driver, struct space_range range)
{
    drive_unmap(driver, range);
}

static void step_protect(struct space_driver *driver, struct space_range range)
{
    drive_protect(driver, range, some_attr(driver, range));
}

static void step_retire(struct space_driver *driver, struct space_range range)
{
    drive_retire(driver, range);
    if (one_in(driver, 3))
        drive_sweep(driver, range);
}

static void step_flush(struct space_driver *driver, struct space_range range)
{
    (void)range;
    drive_flush(driver);
}

static void step_sweep(struct space_driver *driver, struct space_range range)
{
    drive_sweep(driver, range);
}

static void step_promote(struct space_driver *driver, struct space_range range)
{
    drive_promote(driver, range);
}

static void step_harvest(struct space_driver *driver, struct space_range range)
{
    drive_harvest(driver, range, (unsigned)pick(driver, 4));
}

static void step_mark(struct space_driver *driver, struct space_range range)
{
    drive_mark(driver, range);
}

static void step_set_promotes(struct space_driver *driver, struct space_range range)
{
    (void)range;
    drive_set_promotes(driver, !driver->oracles[driver->space].promotes);
}

static void step_seldom(struct space_driver *driver, struct space_range range)
{
    switch (pick(driver, 7)) {
    case 0:
        drive_anchor(driver, range);
        return;
    case 1:
        drive_share(driver);
        return;
    case 2:
        drive_freeze(driver, true);
        return;
    case 3:
        drive_recreate(driver);
        return;
    case 4:
        space_look_at(driver, (unsigned)pick(driver, MMU_PROCESSORS), driver->space);
        return;
    default:
        drive_bad_call(driver, range, (unsigned)pick(driver, BAD_CALLS));
        return;
    }
}

void space_step(struct space_driver *driver)
{
    static void (*const steps[])(struct space_driver *, struct space_range) = {
        step_map,   step_map,     step_map_run, step_map_run,      step_map_run, step_unmap,
        step_unmap, step_protect, step_protect, step_retire,       step_sweep,   step_promote,
        step_flush, step_harvest, step_mark,    step_set_promotes, step_seldom,
    };
    struct space_range range;

    driver->space = one_in(driver, 3);
    if (driver->oracles[driver->space].frozen && one_in(driver, 2))
        drive_freeze(driver, false);
    range = some_range(driver);
    if (one_in(driver, 6)) {
        driver->fails = true;
        driver->successes = pick(driver, 4);
        driver->for_good = one_in(driver, 2);
    }
    steps[pick(driver, PS_ARRAY_SIZE(steps))](driver, range);
    driver->fails = false;
    if (driver->mmu != NULL)
        space_look_around(driver, range);
    if (!driver->failed)
        space_compare(driver);
}
