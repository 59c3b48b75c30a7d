#include "space_oracle.h"

#include <stdlib.h>
#include <string.h>

bool space_create(struct space_oracle *space, const struct space_geometry *geometry,
                  const struct space_range *windows, unsigned count)
{
    *space = (struct space_oracle){.geometry = *geometry, .window_count = count};
    for (unsigned i = 0; i < count; i++) {
        space->windows[i] = (struct space_window){windows[i].first, windows[i].count, NULL};
        space->windows[i].pages = calloc(windows[i].count, sizeof(struct space_page));
        if (space->windows[i].pages == NULL)
            return false;
    }
    return true;
}

void space_reset(struct space_oracle *space)
{
    for (unsigned i = 0; i < space->window_count; i++)
        memset(space->windows[i].pages, 0, space->windows[i].count * sizeof(struct space_page));
    memset(space->root, 0, sizeof(space->root));
    memset(space->demotions, 0, sizeof(space->demotions));
    memset(space->promotions, 0, sizeof(space->promotions));
    space->promotes = false;
    space->frozen = false;
}

void space_destroy(struct space_oracle *space)
{
    for (unsigned i = 0; i < space->window_count; i++)
        free(space->windows[i].pages);
    *space = (struct space_oracle){.window_count = 0};
}

void space_copy(struct space_oracle *to, const struct space_oracle *from)
{
    struct space_oracle old = *to;

    *to = *from;
    for (unsigned i = 0; i < from->window_count; i++) {
        to->windows[i].pages = old.windows[i].pages;
        memcpy(to->windows[i].pages, from->windows[i].pages,
               from->windows[i].count * sizeof(struct space_page));
    }
}

/* ---- geometry ---- */

ps_virt_t space_virt(const struct space_oracle *space, uint64_t page)
{
    uint64_t pages = space_pages(space);

    return ps_virt((page >= pages / 2 ? page | ~(pages - 1) : page) << PS_PAGE_SHIFT);
}

struct space_page *space_at(const struct space_oracle *space, uint64_t page)
{
    for (unsigned i = 0; i < space->window_count; i++) {
        const struct space_window *window = &space->windows[i];

        if (page >= window->first && page - window->first < window->count)
            return &window->pages[page - window->first];
    }
    return NULL;
}

static struct space_range block_of(const struct space_oracle *space, uint64_t page, unsigned level)
{
    uint64_t pages = space_block(space, level);

    return (struct space_range){page & ~(pages - 1), pages};
}

struct space_range space_leaf(const struct space_oracle *space, uint64_t page)
{
    return block_of(space, page, space_at(space, page)->level);
}

/* The first page of a range that is in no leaf that begins before it, or of the leaf it is in. */
static bool is_first_of_leaf(const struct space_oracle *space, struct space_range range,
                             uint64_t page)
{
    return page == range.first || space_leaf(space, page).first == page;
}

/* ---- what stands against a call ---- */

unsigned space_refuses(const struct space_oracle *space, struct space_range range)
{
    uint64_t last = space_root_index(space, range.first + range.count - 1);
    unsigned may = space->frozen ? SPACE_MAY(PS_BAD_STATE) : 0;

    for (uint64_t i = space_root_index(space, range.first); i <= last; i++)
        if ((space->root[i] & SPACE_SHARED) != 0)
            may |= SPACE_MAY(PS_ACCESS_DENIED);
    return may;
}

unsigned space_refuses_cuts(const struct space_oracle *space, struct space_range range)
{
    unsigned may = space_refuses(space, range);

    for (uint64_t n = 0; n < range.count; n++) {
        const struct space_page *page = space_at(space, range.first + n);

        if (page->use == SPACE_MAPPED && page->permanent &&
            !space_holds(range, space_leaf(space, range.first + n)))
            may |= SPACE_MAY(PS_ACCESS_DENIED);
    }
    return may;
}

static uint64_t frame_for(const struct space_map *map, uint64_t n)
{
    return map->frames != NULL ? map->frames[n].number : map->first + n;
}

/* What an upgrade makes of a page; false when it must not. */
static bool upgrade(const struct space_page *old, uint64_t frame, ps_attr_t attr,
                    struct space_page *new)
{
    const unsigned rights = PS_WRITE | PS_EXECUTE | PS_USER;

    *new = *old;
    if (old->frame == frame) {
        new->attr = ps_attr((unsigned)old->attr.access | attr.access, (enum ps_cache)attr.cache);
        return ps_attr_is_valid(new->attr);
    }
    *new = (struct space_page){.use = SPACE_MAPPED, .level = 1, .attr = attr, .frame = frame};
    return (old->attr.access & rights & ~(unsigned)attr.access) == 0;
}

static bool same_page(const struct space_page *a, const struct space_page *b)
{
    return a->frame == b->frame && ps_attr_equal(a->attr, b->attr);
}

static unsigned refuses_page(const struct space_map *map, const struct space_page *old, uint64_t n)
{
    struct space_page new;

    if (old->use == SPACE_ABSENT)
        return 0;
    if (old->use == SPACE_RETIRED || map->existing == PS_EXISTING_ERROR)
        return SPACE_MAY(PS_ALREADY_EXISTS);
    if (map->existing == PS_EXISTING_SKIP)
        return 0;
    if (!upgrade(old, frame_for(map, n), map->attr, &new))
        return SPACE_MAY(PS_ACCESS_DENIED);
    return old->level > 1 && old->permanent && !same_page(old, &new) ? SPACE_MAY(PS_ACCESS_DENIED)
                                                                     : 0;
}

unsigned space_refuses_map(const struct space_oracle *space, const struct space_map *map)
{
    unsigned may = space_refuses(space, map->range);

    if (map->range.first == 0)
        may |= SPACE_MAY(PS_ACCESS_DENIED);
    for (uint64_t n = 0; n < map->range.count; n++)
        may |= refuses_page(map, space_at(space, map->range.first + n), n);
    return may;
}

/* A leaf in the root, where there are such, leaves no place for a table. */
unsigned space_refuses_anchor(const struct space_oracle *space, struct space_range range)
{
    unsigned may = space_refuses(space, range);
    uint64_t first = block_of(space, range.first, space->geometry.levels).first;

    for (uint64_t page = first; page < range.first + range.count;
         page += space_block(space, space->geometry.levels)) {
        const struct space_page *at = space_at(space, page);

        if (at != NULL && at->use != SPACE_ABSENT && at->level == space->geometry.levels)
            may |= SPACE_MAY(PS_ALREADY_EXISTS);
    }
    return may;
}

unsigned space_refuses_share(const struct space_oracle *space)
{
    uint64_t half = ((uint64_t)1 << space->geometry.index_bits) / 2;
    unsigned may = space->frozen ? SPACE_MAY(PS_BAD_STATE) : 0;

    for (uint64_t i = half; i < 2 * half; i++)
        if (space->root[i] != 0)
            may = SPACE_MAY(PS_BAD_STATE);
    for (unsigned w = 0; w < space->window_count; w++)
        for (uint64_t i = 0; i < space->windows[w].count; i++)
            if (space->windows[w].pages[i].use != SPACE_ABSENT &&
                space_root_index(space, space->windows[w].first + i) >= half)
                may = SPACE_MAY(PS_BAD_STATE);
    return may;
}

/* ---- cut and merge ---- */

static void set_level(struct space_oracle *space, struct space_range block, unsigned level)
{
    for (uint64_t n = 0; n < block.count; n++)
        space_at(space, block.first + n)->level = (uint8_t)level;
}

static void cut(struct space_oracle *space, uint64_t page)
{
    unsigned level = space_at(space, page)->level;

    space->demotions[level]++;
    set_level(space, space_leaf(space, page), level - 1);
}

/* Cut the leaf that holds `page` until all of it is in the range. */
static void cut_out(struct space_oracle *space, struct space_range range, uint64_t page)
{
    while (!space_holds(range, space_leaf(space, page)))
        cut(space, page);
}

bool space_could_merge(const struct space_oracle *space, uint64_t page, unsigned level)
{
    struct space_range block = block_of(space, page, level);
    const struct space_page *first = space_at(space, block.first);

    if (first == NULL || space_at(space, block.first + block.count - 1) == NULL ||
        first->frame % block.count != 0 || first->permanent ||
        (first->attr.access & PS_EXECUTE) != 0)
        return false;
    if (level == space->geometry.levels &&
        (space->root[space_root_index(space, block.first)] & SPACE_ANCHORED) != 0)
        return false;
    for (uint64_t n = 0; n < block.count; n++)
        if (first[n].use != SPACE_MAPPED || first[n].level != level - 1 || first[n].permanent ||
            first[n].frame != first->frame + n || first[n].typed != first->typed ||
            !ps_attr_equal(first[n].attr, first->attr))
            return false;
    return true;
}

/* Where several processors run, one of them may have written to it a moment ago. */
void space_merge(struct space_oracle *space, uint64_t page, unsigned level)
{
    struct space_range block = block_of(space, page, level);
    struct space_page *pages = space_at(space, block.first);
    bool accessed = space->geometry.several;
    bool dirty = space->geometry.several && (pages->attr.access & PS_WRITE) != 0;

    for (uint64_t n = 0; n < block.count; n++) {
        accessed |= pages[n].accessed;
        dirty |= pages[n].dirty;
    }
    for (uint64_t n = 0; n < block.count; n++) {
        pages[n].level = (uint8_t)level;
        pages[n].accessed = accessed;
        pages[n].dirty = dirty;
    }
    space->promotions[level]++;
}

/* ---- what calls do ---- */

/* The largest leaf of a run that can begin at page n of it. */
static unsigned leaf_of_run(const struct space_oracle *space, const struct space_map *map,
                            uint64_t n)
{
    unsigned level = (map->flags & PS_MAP_SMALL) != 0 ? 1 : space->geometry.largest;
    uint64_t page = map->range.first + n;

    for (; level > 1; level--) {
        uint64_t pages = space_block(space, level);
        bool anchored = level == space->geometry.levels &&
                        (space->root[space_root_index(space, page)] & SPACE_ANCHORED) != 0;

        if (page % pages == 0 && (map->first + n) % pages == 0 && map->range.count - n >= pages &&
            !anchored)
            break;
    }
    return level;
}

static void map_run(struct space_oracle *space, const struct space_map *map)
{
    for (uint64_t n = 0; n < map->range.count;) {
        unsigned level = leaf_of_run(space, map, n);
        uint64_t end = n + space_block(space, level);

        for (; n < end; n++)
            *space_at(space, map->range.first + n) = (struct space_page){
                .frame = map->first + n,
                .attr = map->attr,
                .use = SPACE_MAPPED,
                .level = (uint8_t)level,
                .permanent = (map->flags & PS_MAP_PERMANENT) != 0,
                .typed = map->typed,
            };
    }
}

static void map_page(struct space_oracle *space, const struct space_map *map, uint64_t n)
{
    struct space_page *page = space_at(space, map->range.first + n);
    struct space_page new = {
        .frame = frame_for(map, n),
        .attr = map->attr,
        .use = SPACE_MAPPED,
        .level = 1,
        .typed = map->typed,
    };

    if (page->use == SPACE_MAPPED) {
        if (map->existing != PS_EXISTING_UPGRADE || !upgrade(page, new.frame, map->attr, &new) ||
            same_page(page, &new))
            return;
        if (page->frame != new.frame)
            new.typed = map->typed;
        while (page->level > 1)
            cut(space, map->range.first + n);
        new.level = 1;
    }
    *page = new;
}

void space_map(struct space_oracle *space, const struct space_map *map)
{
    if (map->frames == NULL) {
        map_run(space, map);
        return;
    }
    for (uint64_t n = 0; n < map->range.count; n++)
        map_page(space, map, n);
}

void space_retire(struct space_oracle *space, struct space_range range)
{
    for (uint64_t n = 0; n < range.count; n++) {
        struct space_page *page = space_at(space, range.first + n);

        if (page->use != SPACE_MAPPED)
            continue;
        cut_out(space, range, range.first + n);
        page->use = SPACE_RETIRED;
    }
}

static void list_add(struct space_list *list, struct space_range item)
{
    if (list->count == list->capacity) {
        list->capacity = 2 * list->capacity + 64;
        list->items = realloc(list->items, list->capacity * sizeof(*list->items));
        if (list->items == NULL)
            abort();
    }
    list->items[list->count++] = item;
}

/* Frames one by one: in which runs they are told of is left open. */
void space_sweep(struct space_oracle *space, struct space_range range, struct space_list *released)
{
    for (uint64_t n = 0; n < range.count; n++) {
        struct space_page *page = space_at(space, range.first + n);

        if (page->use != SPACE_RETIRED || !space_holds(range, space_leaf(space, range.first + n)))
            continue;
        list_add(released, (struct space_range){page->frame, 1});
        *page = (struct space_page){.use = SPACE_ABSENT};
    }
}

uint64_t space_protect(struct space_oracle *space, struct space_range range, ps_attr_t attr)
{
    uint64_t changed = 0;

    for (uint64_t n = 0; n < range.count; n++) {
        struct space_page *page = space_at(space, range.first + n);

        if (page->use != SPACE_MAPPED || ps_attr_equal(page->attr, attr))
            continue;
        cut_out(space, range, range.first + n);
        page->attr = attr;
        changed++;
    }
    return changed;
}

/* ---- accessed and dirty ---- */

static void set_use(struct space_oracle *space, uint64_t page, bool accessed, bool dirty)
{
    struct space_range leaf = space_leaf(space, page);
    struct space_page *pages = space_at(space, leaf.first);

    for (uint64_t n = 0; n < leaf.count; n++) {
        pages[n].accessed = accessed;
        pages[n].dirty = dirty;
    }
}

void space_mark(struct space_oracle *space, struct space_range range, bool dirty)
{
    for (uint64_t n = 0; n < range.count; n++) {
        uint64_t page = range.first + n;
        const struct space_page *at = space_at(space, page);

        if (at->use == SPACE_MAPPED && is_first_of_leaf(space, range, page))
            set_use(space, page, true, at->dirty || dirty);
    }
}

/* Leaves of 4 KiB in this block, and nothing that speaks for keeping them. */
static bool is_unused(const struct space_oracle *space, struct space_range block)
{
    const struct space_page *pages = space_at(space, block.first);
    bool any = false;

    for (uint64_t n = 0; n < block.count; n++) {
        if (pages[n].use == SPACE_ABSENT)
            continue;
        if (pages[n].level != 1 || pages[n].accessed || pages[n].dirty || pages[n].permanent ||
            (pages[n].attr.access & PS_GLOBAL) != 0)
            return false;
        any = true;
    }
    return any;
}

static void free_tables(struct space_oracle *space, struct space_range range,
                        struct space_list *released)
{
    uint64_t pages = space_block(space, 2);
    uint64_t first = (range.first + (pages - 1)) & ~(pages - 1);

    for (uint64_t page = first; page + pages <= range.first + range.count; page += pages) {
        struct space_range block = {page, pages};

        if (!is_unused(space, block))
            continue;
        space_retire(space, block);
        space_sweep(space, block, released);
    }
}

void space_harvest(struct space_oracle *space, struct space_range range, unsigned flags,
                   struct space_list *visited, struct space_list *released)
{
    if ((flags & PS_HARVEST_FREE_TABLES) != 0 && !space_has(space, SPACE_RETIRED))
        free_tables(space, range, released);
    for (uint64_t n = 0; n < range.count; n++) {
        uint64_t page = range.first + n;
        const struct space_page *at = space_at(space, page);

        if (at->use != SPACE_MAPPED || !is_first_of_leaf(space, range, page) ||
            (!at->accessed && !at->dirty))
            continue;
        list_add(visited, space_leaf(space, page));
        visited->dirty += at->dirty;
        if ((flags & PS_HARVEST_KEEP) == 0)
            set_use(space, page, false, false);
    }
}

/* ---- tables ---- */

void space_anchor(struct space_oracle *space, struct space_range range)
{
    uint64_t last = space_root_index(space, range.first + range.count - 1);

    for (uint64_t i = space_root_index(space, range.first); i <= last; i++)
        space->root[i] |= SPACE_ANCHORED;
}

void space_share(struct space_oracle *space, const struct space_oracle *from)
{
    uint64_t half = ((uint64_t)1 << space->geometry.index_bits) / 2;

    for (uint64_t i = half; i < 2 * half; i++)
        if ((from->root[i] & SPACE_ANCHORED) != 0)
            space->root[i] = SPACE_SHARED;
}
