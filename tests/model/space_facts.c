#include "space_oracle.h"

#include <string.h>

/* What must be true of a space: derived from its pages anew each time. */

bool space_has(const struct space_oracle *space, enum space_use use)
{
    for (unsigned w = 0; w < space->window_count; w++)
        for (uint64_t i = 0; i < space->windows[w].count; i++)
            if (space->windows[w].pages[i].use == use)
                return true;
    return false;
}

/* The first mapped page from `page` on. */
static bool find_mapped(const struct space_oracle *space, uint64_t *page)
{
    for (unsigned w = 0; w < space->window_count; w++) {
        const struct space_window *window = &space->windows[w];

        *page = ps_max(*page, window->first);
        for (; *page < window->first + window->count; ++*page)
            if (window->pages[*page - window->first].use == SPACE_MAPPED)
                return true;
    }
    return false;
}

static bool continues(const struct space_oracle *space, const struct ps_mapped_range *range,
                      uint64_t page)
{
    const struct space_page *at = space_at(space, page);

    return at != NULL && page != space_pages(space) / 2 && at->use == SPACE_MAPPED &&
           at->level == range->leaf && at->permanent == range->permanent &&
           ps_attr_equal(at->attr, range->attr) &&
           at->frame == range->frame.number + range->pages.count;
}

bool space_next_range(const struct space_oracle *space, uint64_t *cursor,
                      struct ps_mapped_range *range)
{
    const struct space_page *at;

    if (!find_mapped(space, cursor))
        return false;
    at = space_at(space, *cursor);
    *range = (struct ps_mapped_range){
        .va = space_virt(space, *cursor),
        .frame = ps_frame(at->frame),
        .attr = at->attr,
        .leaf = (enum ps_leaf)at->level,
        .permanent = at->permanent,
    };
    do {
        uint64_t pages = space_block(space, at->level);

        *cursor += pages;
        range->pages.count += pages;
    } while (continues(space, range, *cursor));
    return true;
}

static uint64_t promise_of(const struct space_oracle *space, const struct space_page *page)
{
    if (page->permanent || page->level == 1)
        return 0;
    return page->level == 2 ? 1 : ((uint64_t)1 << space->geometry.index_bits) + 1;
}

static bool begins_leaf(const struct space_oracle *space, const struct space_window *window,
                        uint64_t i)
{
    return window->pages[i].use != SPACE_ABSENT &&
           (window->first + i) % space_block(space, window->pages[i].level) == 0;
}

/*
 * There is a table of a level wherever a leaf of that level or a lower one is, and where one is
 * anchored; each is counted when the first leaf under it is met.
 */
static uint64_t count_tables(const struct space_oracle *space)
{
    uint64_t counted[6] = {0}; /* the last block, + 1, by level of the table's entry */
    bool under[SPACE_ROOT] = {false};
    uint64_t tables = 1;

    for (unsigned w = 0; w < space->window_count; w++) {
        const struct space_window *window = &space->windows[w];

        for (uint64_t i = 0; i < window->count; i++) {
            uint64_t page = window->first + i;

            if (!begins_leaf(space, window, i))
                continue;
            for (unsigned level = window->pages[i].level + 1u; level <= space->geometry.levels;
                 level++) {
                uint64_t block = (page >> space->geometry.index_bits * (level - 1)) + 1;

                tables += counted[level] != block;
                counted[level] = block;
            }
            if (window->pages[i].level < space->geometry.levels)
                under[space_root_index(space, page)] = true;
        }
    }
    for (unsigned i = 0; i < SPACE_ROOT; i++)
        tables += (space->root[i] & SPACE_ANCHORED) != 0 && !under[i];
    return tables;
}

struct ps_page_table_counters space_counters(const struct space_oracle *space)
{
    struct ps_page_table_counters counters = {.tables = count_tables(space)};

    for (unsigned w = 0; w < space->window_count; w++) {
        const struct space_window *window = &space->windows[w];

        for (uint64_t i = 0; i < window->count; i++)
            if (window->pages[i].use == SPACE_MAPPED && begins_leaf(space, window, i)) {
                counters.leaves[window->pages[i].level]++;
                counters.promised += promise_of(space, &window->pages[i]);
            }
    }
    memcpy(counters.demotions, space->demotions, sizeof(counters.demotions));
    memcpy(counters.promotions, space->promotions, sizeof(counters.promotions));
    return counters;
}

uint64_t space_retired_promise(const struct space_oracle *space)
{
    uint64_t promised = 0;

    for (unsigned w = 0; w < space->window_count; w++)
        for (uint64_t i = 0; i < space->windows[w].count; i++)
            if (space->windows[w].pages[i].use == SPACE_RETIRED &&
                begins_leaf(space, &space->windows[w], i))
                promised += promise_of(space, &space->windows[w].pages[i]);
    return promised;
}
