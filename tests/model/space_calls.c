#include "space_driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each call is made on a page table and on its oracle, and both must come out alike. */

void space_begin(struct space_driver *driver, const char *format, ...)
{
    char *line = driver->lines[driver->calls++ % DRIVER_KEPT_LINES];
    size_t size = sizeof(driver->lines[0]);
    size_t used = (size_t)snprintf(line, size, "space %u: ", driver->space);
    va_list values;

    va_start(values, format);
    (void)vsnprintf(line + used, size - used, format, values);
    va_end(values);
    driver->before = ps_page_table_counters(&driver->tables[driver->space]);
    driver->rounds = driver->sim->invalidations;
    driver->rounds_extra = 0;
    for (unsigned i = 0; i < 2; i++) {
        driver->told[i].count = driver->told[i].dirty = 0;
        driver->expected[i].count = driver->expected[i].dirty = 0;
    }
}

static struct ps_page_table *table_of(struct space_driver *driver)
{
    return &driver->tables[driver->space];
}

static struct space_oracle *oracle_of(struct space_driver *driver)
{
    return &driver->oracles[driver->space];
}

static ps_virt_t va_of(struct space_driver *driver, struct space_range range)
{
    return space_virt(oracle_of(driver), range.first);
}

/* A range that crosses from one half to the other is no range. */
static unsigned refuses_range(struct space_driver *driver, struct space_range range)
{
    uint64_t half = space_pages(oracle_of(driver)) / 2;

    return range.first < half && range.first + range.count > half ? SPACE_MAY(PS_INVALID_ARGS) : 0;
}

static void expect_nothing_changed(struct space_driver *driver)
{
    struct ps_page_table_counters now = ps_page_table_counters(table_of(driver));

    if (memcmp(&now, &driver->before, sizeof(now)) != 0)
        space_fail(driver, "a refused call changed a counter");
    if (driver->sim->invalidations != driver->rounds)
        space_fail(driver, "a refused call invalidated something");
    if (driver->told[RELEASED].count + driver->told[VISITED].count != 0)
        space_fail(driver, "a refused call told of something");
}

bool space_went_through(struct space_driver *driver, ps_status status, unsigned may)
{
    driver->status = status;
    if (status == PS_OK ? may != 0 : (may & SPACE_MAY(status)) == 0)
        space_fail(driver, "answers %s, may be 0x%x", ps_status_name(status), may);
    if (status != PS_OK)
        expect_nothing_changed(driver);
    return status == PS_OK && !driver->failed;
}

/* The call made at most so many rounds, and counted them. */
static void expect_rounds(struct space_driver *driver, uint64_t least, uint64_t most)
{
    uint64_t made = driver->sim->invalidations - driver->rounds;
    uint64_t counted = ps_page_table_counters(table_of(driver)).rounds - driver->before.rounds;

    if (made != counted || made < least || made > most)
        space_fail(driver,
                   "%" PS_PRIu " rounds, %" PS_PRIu " counted, not %" PS_PRIu " to %" PS_PRIu, made,
                   counted, least, most);
}

/* ---- what the library tells of ---- */

static void tell(struct space_list *list, uint64_t first, uint64_t count)
{
    if (list->count == list->capacity) {
        list->capacity = 2 * list->capacity + 64;
        list->items = realloc(list->items, list->capacity * sizeof(*list->items));
        if (list->items == NULL)
            abort();
    }
    list->items[list->count++] = (struct space_range){first, count};
}

static void keep_released(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct space_driver *driver = context;

    if (pages.count == 0)
        space_fail(driver, "told of an empty run of frames");
    for (uint64_t n = 0; n < pages.count; n++)
        tell(&driver->told[RELEASED], first.number + n, 1);
}

static void keep_visited(void *context, ps_virt_t va, ps_pages_t pages, bool dirty)
{
    struct space_driver *driver = context;
    uint64_t page = (va.addr >> PS_PAGE_SHIFT) & (space_pages(oracle_of(driver)) - 1);

    if (space_virt(oracle_of(driver), page).addr != va.addr)
        space_fail(driver, "told of an address that is not canonical");
    tell(&driver->told[VISITED], page, pages.count);
    driver->told[VISITED].dirty += dirty;
}

static struct ps_frame_release release_to(struct space_driver *driver)
{
    return (struct ps_frame_release){keep_released, driver};
}

static void expect_told(struct space_driver *driver)
{
    static const char *const names[] = {"released frames", "accessed leaves"};

    for (unsigned i = 0; i < 2; i++) {
        const struct space_list *told = &driver->told[i];
        const struct space_list *expected = &driver->expected[i];

        if (told->count != expected->count || told->dirty != expected->dirty ||
            (told->count != 0 &&
             memcmp(told->items, expected->items, told->count * sizeof(*told->items)) != 0))
            space_fail(driver,
                       "told of %" PS_PRIu " %s (%" PS_PRIu " dirty), not of %" PS_PRIu
                       " (%" PS_PRIu "), or of other ones",
                       told->count, names[i], told->dirty, expected->count, expected->dirty);
    }
}

/* ---- memory that fails ---- */

static void arm(struct space_driver *driver)
{
    if (driver->fails)
        ps_frame_pool_fail_after(driver->pool, driver->successes, driver->for_good);
}

static void disarm(struct space_driver *driver)
{
    ps_frame_pool_fail_after(driver->pool, UINT64_MAX, false);
    driver->fails = false;
}

/* Frames that the space has for its tables, or keeps for them. */
static uint64_t frames_of(const struct ps_page_table_counters *counters)
{
    return counters->tables + counters->promised;
}

/* A call that needs frames may be refused them; so much is true of every one that does not. */
static unsigned may_lack_memory(bool armed, uint64_t needed, uint64_t available)
{
    return needed != 0 && (armed || needed > available) ? SPACE_MAY(PS_NO_MEMORY) : 0;
}

static uint64_t available_frames(struct space_driver *driver)
{
    struct ps_frame_pool_snapshot snapshot;

    ps_frame_pool_snapshot(driver->pool, &snapshot);
    return snapshot.available - ps_min(snapshot.promised, snapshot.available);
}

/* ---- promotion by itself ---- */

/* Blocks that could be large leaves and are none; or, of these, those that are: they follow. */
static uint64_t merge(struct space_driver *driver, struct space_range range, unsigned level,
                      bool found_only)
{
    struct space_oracle *oracle = oracle_of(driver);
    uint64_t pages = space_block(oracle, level);
    uint64_t end = range.first + range.count;
    uint64_t count = 0;

    for (uint64_t page = range.first & ~(pages - 1); range.count != 0 && page < end;
         page += pages) {
        struct ps_translation found;
        ps_virt_t va = space_virt(oracle, page);

        if (!space_could_merge(oracle, page, level))
            continue;
        if (!found_only) {
            count++;
        } else if (ps_page_table_query(table_of(driver), va, &found) == PS_OK &&
                   (unsigned)found.leaf >= level) {
            space_merge(oracle, page, level);
            count++;
        }
    }
    return count;
}

/* How a call promotes: what must be promoted, and what else may be. */
struct promotion {
    struct space_range must; /* blocks that lie in it, or reach into it, */
    bool whole;              /* the former */
    struct space_range may;
    bool armed; /* memory failed: nothing must be, for a promise may have been refused */
};

/* The blocks that must have been promoted. */
static struct space_range blocks_of(const struct space_oracle *oracle,
                                    const struct promotion *promotion, unsigned level)
{
    uint64_t mask = space_block(oracle, level) - 1;
    uint64_t first = promotion->must.first;
    uint64_t end = first + promotion->must.count;

    if (promotion->whole) {
        first = (first + mask) & ~mask;
        end &= ~mask;
    }
    return (struct space_range){first, end > first ? end - first : 0};
}

/*
 * Which tables were promoted is asked for, because each takes a promise of the pool, and those
 * that lie around may be or not. But what had to be must be, as long as there was room. Returns
 * how many were.
 */
static uint64_t follow_promotion(struct space_driver *driver, const struct promotion *promotion)
{
    struct space_oracle *oracle = oracle_of(driver);
    uint64_t made = 0;

    for (unsigned level = 2; level <= oracle->geometry.largest; level++)
        made += merge(driver, promotion->may, level, true);
    if (promotion->armed || available_frames(driver) <= made)
        return made;
    for (unsigned level = 2; level <= oracle->geometry.largest; level++)
        if (merge(driver, blocks_of(oracle, promotion, level), level, false) != 0)
            space_fail(driver, "a table for level %u is uniform and not promoted", level);
    return made;
}

/* What the call made uniform must be promoted; what was so before and lies around may be. */
static void follow_own_promotion(struct space_driver *driver, struct space_range range,
                                 bool changed, bool armed)
{
    uint64_t mask = space_block(oracle_of(driver), oracle_of(driver)->geometry.largest) - 1;
    uint64_t first = range.first & ~mask;
    struct promotion promotion = {
        .must = range,
        .may = {first, ((range.first + range.count - 1) | mask) - first + 1},
        .armed = armed,
    };

    if (!changed)
        promotion.must.count = 0;
    (void)follow_promotion(driver, &promotion);
}

/* ---- calls ---- */

static ps_status call_map(struct space_driver *driver, const struct space_map *map)
{
    ps_virt_t va = va_of(driver, map->range);
    ps_pages_t pages = ps_pages(map->range.count);

    if (map->frames == NULL)
        return ps_page_table_map_run(table_of(driver), va, ps_frame(map->first), pages, map->attr,
                                     map->flags);
    return ps_page_table_map(table_of(driver), va, map->frames, pages, map->attr, map->existing);
}

/* How many frames the call would take: tried on a copy. */
static uint64_t frames_for(struct space_driver *driver, const struct space_map *map)
{
    struct ps_page_table_counters now;
    uint64_t frames;

    space_copy(&driver->scratch, oracle_of(driver));
    now = space_counters(&driver->scratch);
    frames = frames_of(&now);
    space_map(&driver->scratch, map);
    now = space_counters(&driver->scratch);
    return frames_of(&now) - ps_min(frames, frames_of(&now));
}

static void begin_map(struct space_driver *driver, const struct space_map *map)
{
    bool run = map->frames == NULL;

    space_begin(driver,
                "map page 0x%" PS_PRIx "+%" PS_PRIu " to %s 0x%" PS_PRIx
                ", access 0x%x, cache %u, %s %u",
                map->range.first, map->range.count, run ? "a run from" : "frames, the first",
                run ? map->first : map->frames[0].number, map->attr.access, map->attr.cache,
                run ? "flags" : "existing", run ? map->flags : (unsigned)map->existing);
}

static unsigned refuses_map(struct space_driver *driver, const struct space_map *map)
{
    unsigned may = refuses_range(driver, map->range);

    return may != 0 ? may
                    : space_refuses_map(oracle_of(driver), map) | space_refuses_types(driver, map);
}

void drive_map(struct space_driver *driver, const struct space_map *map)
{
    struct space_oracle *oracle = oracle_of(driver);
    bool promotes = oracle->promotes && (map->frames != NULL || (map->flags & PS_MAP_SMALL) == 0);
    uint64_t typed = space_typed_frames(driver, map);
    struct space_map followed = *map;
    bool armed = driver->fails;
    unsigned may;

    begin_map(driver, map);
    may = refuses_map(driver, map);
    arm(driver);
    driver->status = call_map(driver, map);
    disarm(driver);
    /* How much memory types take is the range tree's to know. */
    if (driver->status == PS_NO_MEMORY && may == 0)
        may = may_lack_memory(armed || typed != 0, frames_for(driver, map) + typed,
                              available_frames(driver));
    if (!space_went_through(driver, driver->status, may))
        return;
    followed.typed = typed != 0;
    space_map(oracle, &followed);
    if (promotes)
        follow_own_promotion(driver, map->range, true, armed);
    expect_rounds(driver, 0, promotes ? 1 + oracle->geometry.largest : 1);
}

void drive_retire(struct space_driver *driver, struct space_range range)
{
    unsigned may = refuses_range(driver, range);
    ps_status status;

    space_begin(driver, "retire page 0x%" PS_PRIx "+%" PS_PRIu, range.first, range.count);
    if (may == 0)
        may = space_refuses_cuts(oracle_of(driver), range);
    status = ps_page_table_retire(table_of(driver), va_of(driver, range), ps_pages(range.count),
                                  &driver->gather);
    if (!space_went_through(driver, status, may))
        return;
    space_retire(oracle_of(driver), range);
    driver->unflushed |= driver->gather.leaves != 0;
    expect_rounds(driver, 0, 0);
}

void drive_flush(struct space_driver *driver)
{
    space_begin(driver, "flush");
    if (ps_tlb_gather_flush(&driver->gather) != (driver->unflushed ? 1u : 0u))
        space_fail(driver, "a flush of the wrong number of rounds");
    driver->unflushed = false;
}

/* Only after the flush: that is the caller's part. */
void drive_sweep(struct space_driver *driver, struct space_range range)
{
    struct ps_frame_release release = release_to(driver);
    unsigned may = refuses_range(driver, range);
    ps_status status;

    if (driver->unflushed)
        drive_flush(driver);
    space_begin(driver, "sweep page 0x%" PS_PRIx "+%" PS_PRIu, range.first, range.count);
    if (may == 0)
        may = space_refuses(oracle_of(driver), range);
    status = ps_page_table_sweep(table_of(driver), va_of(driver, range), ps_pages(range.count),
                                 &release);
    if (!space_went_through(driver, status, may))
        return;
    space_sweep(oracle_of(driver), range, &driver->expected[RELEASED]);
    expect_told(driver);
    expect_rounds(driver, 0, 0);
}

static bool has_mapped(const struct space_oracle *oracle, struct space_range range)
{
    for (uint64_t n = 0; n < range.count; n++)
        if (space_at(oracle, range.first + n)->use == SPACE_MAPPED)
            return true;
    return false;
}

void drive_unmap(struct space_driver *driver, struct space_range range)
{
    struct space_oracle *oracle = oracle_of(driver);
    struct ps_frame_release release = release_to(driver);
    unsigned may = refuses_range(driver, range);
    bool retired = space_has(oracle, SPACE_RETIRED);
    ps_status status;
    bool mapped;

    space_begin(driver, "unmap page 0x%" PS_PRIx "+%" PS_PRIu, range.first, range.count);
    if (may == 0)
        may = space_refuses_cuts(oracle, range);
    arm(driver);
    status = ps_page_table_unmap(table_of(driver), va_of(driver, range), ps_pages(range.count),
                                 &release);
    disarm(driver);
    if (!space_went_through(driver, status, may))
        return;
    mapped = has_mapped(oracle, range);
    space_retire(oracle, range);
    space_sweep(oracle, range, &driver->expected[RELEASED]);
    expect_told(driver);
    expect_rounds(driver, mapped, mapped || retired);
}

void drive_protect(struct space_driver *driver, struct space_range range, ps_attr_t attr)
{
    struct space_oracle *oracle = oracle_of(driver);
    unsigned may = refuses_range(driver, range);
    bool armed = driver->fails;
    ps_status status;
    bool changed;

    space_begin(driver, "protect page 0x%" PS_PRIx "+%" PS_PRIu ", access 0x%x, cache %u",
                range.first, range.count, attr.access, attr.cache);
    if (may == 0)
        may = space_refuses_cuts(oracle, range) | space_refuses_protect_types(driver, range, attr);
    arm(driver);
    status =
        ps_page_table_protect(table_of(driver), va_of(driver, range), ps_pages(range.count), attr);
    disarm(driver);
    if (!space_went_through(driver, status, may))
        return;
    changed = space_protect(oracle, range, attr) != 0;
    if (oracle->promotes)
        follow_own_promotion(driver, range, changed, armed);
    expect_rounds(driver, changed, oracle->promotes ? 1 + oracle->geometry.largest : changed);
}

void drive_promote(struct space_driver *driver, struct space_range range)
{
    const struct promotion promotion = {range, true, range, driver->fails};
    unsigned may = refuses_range(driver, range);
    ps_status status;
    uint64_t made;

    space_begin(driver, "promote page 0x%" PS_PRIx "+%" PS_PRIu, range.first, range.count);
    if (may == 0)
        may = space_refuses(oracle_of(driver), range);
    arm(driver);
    status = ps_page_table_promote(table_of(driver), va_of(driver, range), ps_pages(range.count));
    disarm(driver);
    if (!space_went_through(driver, status, may))
        return;
    made = follow_promotion(driver, &promotion);
    expect_rounds(driver, made != 0, made != 0);
}

void drive_set_promotes(struct space_driver *driver, bool promotes)
{
    space_begin(driver, "set promotes %d", promotes);
    if (space_went_through(driver, ps_page_table_set_promotes(table_of(driver), promotes), 0))
        oracle_of(driver)->promotes = promotes;
}

void drive_harvest(struct space_driver *driver, struct space_range range, unsigned flags)
{
    struct space_oracle *oracle = oracle_of(driver);
    struct ps_frame_release release = release_to(driver);
    const struct ps_harvest harvest = {flags, keep_visited, driver, &release};
    unsigned may = refuses_range(driver, range);
    ps_status status;
    bool changed;

    space_begin(driver, "harvest page 0x%" PS_PRIx "+%" PS_PRIu ", flags %u", range.first,
                range.count, flags);
    if (may == 0)
        may = space_refuses(oracle, range);
    /* Who only looks may do so in a frozen table. */
    if (flags == PS_HARVEST_KEEP)
        may &= ~SPACE_MAY(PS_BAD_STATE);
    arm(driver);
    status = ps_page_table_harvest(table_of(driver), va_of(driver, range), ps_pages(range.count),
                                   &harvest);
    disarm(driver);
    if (!space_went_through(driver, status, may))
        return;
    space_harvest(oracle, range, flags, &driver->expected[VISITED], &driver->expected[RELEASED]);
    expect_told(driver);
    changed = driver->told[RELEASED].count != 0 ||
              (driver->told[VISITED].count != 0 && (flags & PS_HARVEST_KEEP) == 0);
    expect_rounds(driver, changed, changed);
}

void drive_mark(struct space_driver *driver, struct space_range range)
{
    unsigned may = refuses_range(driver, range);
    ps_status status;

    space_begin(driver, "mark page 0x%" PS_PRIx "+%" PS_PRIu, range.first, range.count);
    if (may == 0)
        may = space_refuses(oracle_of(driver), range);
    status =
        ps_page_table_mark_accessed(table_of(driver), va_of(driver, range), ps_pages(range.count));
    if (space_went_through(driver, status, may))
        space_mark(oracle_of(driver), range, false);
    expect_rounds(driver, 0, 0);
}

static uint64_t missing_anchors(const struct space_oracle *oracle, struct space_range range)
{
    struct ps_page_table_counters before = space_counters(oracle);
    struct ps_page_table_counters after;
    struct space_oracle anchored = *oracle;

    space_anchor(&anchored, range);
    after = space_counters(&anchored);
    return after.tables - before.tables;
}

void drive_anchor(struct space_driver *driver, struct space_range range)
{
    struct space_oracle *oracle = oracle_of(driver);
    unsigned may = refuses_range(driver, range);
    bool armed = driver->fails;

    space_begin(driver, "anchor page 0x%" PS_PRIx "+%" PS_PRIu, range.first, range.count);
    if (may == 0)
        may = space_refuses_anchor(oracle, range);
    arm(driver);
    driver->status =
        ps_page_table_anchor(table_of(driver), va_of(driver, range), ps_pages(range.count));
    disarm(driver);
    if (driver->status == PS_NO_MEMORY && may == 0)
        may = may_lack_memory(armed, missing_anchors(oracle, range), available_frames(driver));
    if (space_went_through(driver, driver->status, may))
        space_anchor(oracle, range);
    expect_rounds(driver, 0, 0);
}

/* Space 1 sees the upper half of space 0. */
void drive_share(struct space_driver *driver)
{
    ps_status status;

    driver->space = 1;
    space_begin(driver, "share the upper half of space 0");
    status = ps_page_table_share_upper(&driver->tables[1], &driver->tables[0]);
    if (space_went_through(driver, status, space_refuses_share(&driver->oracles[1])))
        space_share(&driver->oracles[1], &driver->oracles[0]);
}

void drive_freeze(struct space_driver *driver, bool frozen)
{
    space_begin(driver, "freeze %d", frozen);
    if (space_went_through(driver, ps_page_table_freeze(table_of(driver), frozen), 0))
        oracle_of(driver)->frozen = frozen;
}

/* Only space 1: space 0 may be shared. */
void drive_recreate(struct space_driver *driver)
{
    struct space_oracle *oracle = &driver->oracles[1];
    bool used = space_has(oracle, SPACE_MAPPED) || space_has(oracle, SPACE_RETIRED);
    bool armed = driver->fails;
    ps_status status;

    driver->space = 1;
    if (!used)
        for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
            space_look_at(driver, cpu, 0);
    space_begin(driver, "destroy and create");
    if (!space_went_through(driver, ps_page_table_destroy(&driver->tables[1]),
                            used ? SPACE_MAY(PS_BAD_STATE) : 0))
        return;
    space_reset(oracle);
    arm(driver);
    status = ps_page_table_create(&driver->tables[1], &driver->sim->machine, driver->pool);
    disarm(driver);
    if (status == PS_NO_MEMORY && armed) {
        if (driver->tables[1].machine != NULL)
            space_fail(driver, "a table that could not be created looks created");
        status = ps_page_table_create(&driver->tables[1], &driver->sim->machine, driver->pool);
    }
    if (status != PS_OK)
        space_fail(driver, "create answers %s", ps_status_name(status));
}
