/*
 * Free extents in a list sorted by address; both neighbours are joined when one comes back. Each
 * allocation has its guard behind it, and the first pages of the arena are one.
 */
#include "arena_baseline.h"
#include "frame_baseline.h"

enum { GUARD = 1 };

struct extent {
    uint64_t first;
    uint64_t pages;
    struct extent *next;
};

struct list {
    struct extent *head;
    struct extent *unused;
    struct extent *extents;
    uint64_t room;
    uint64_t used;
};

static void close(void *self)
{
    struct list *list = self;

    if (list->extents != NULL)
        frame_release(list->extents, list->room * sizeof(struct extent));
    frame_release(list, sizeof(*list));
}

static struct extent *take(struct list *list)
{
    struct extent *extent = list->unused;

    list->unused = extent->next;
    list->used++;
    return extent;
}

static void drop(struct list *list, struct extent **place)
{
    struct extent *extent = *place;

    *place = extent->next;
    extent->next = list->unused;
    list->unused = extent;
    list->used--;
}

static void *open(uint64_t pages, uint64_t live)
{
    struct list *list = frame_reserve(sizeof(*list), false);

    if (list == NULL)
        return NULL;
    /* Each allocation makes two of one at most, and so does alignment. */
    list->room = 2 * live + 64;
    list->extents = frame_reserve(list->room * sizeof(struct extent), true);
    if (list->extents == NULL) {
        close(list);
        return NULL;
    }
    for (uint64_t i = 0; i < list->room; i++) {
        list->extents[i].next = list->unused;
        list->unused = &list->extents[i];
    }
    list->head = take(list);
    *list->head = (struct extent){.first = GUARD, .pages = pages - GUARD};
    return list;
}

/* Pages before the first aligned one. */
static uint64_t skipped(const struct extent *extent, uint64_t align)
{
    return (extent->first + align - 1) / align * align - extent->first;
}

static bool fits(const struct extent *extent, uint64_t need, uint64_t align)
{
    uint64_t skip = skipped(extent, align);

    return extent->pages >= need && extent->pages - need >= skip;
}

static struct extent **search(struct list *list, uint64_t need, uint64_t align, bool best)
{
    struct extent **found = NULL;

    for (struct extent **place = &list->head; *place != NULL; place = &(*place)->next) {
        if (!fits(*place, need, align) || (found != NULL && (*place)->pages >= (*found)->pages))
            continue;
        found = place;
        if (!best || (*place)->pages == need)
            break;
    }
    return found;
}

static bool get(struct list *list, uint64_t pages, uint64_t align, uint64_t *first, bool best)
{
    struct extent **place = search(list, pages + GUARD, align, best);
    struct extent *extent;
    uint64_t skip;

    if (place == NULL)
        return false;
    extent = *place;
    skip = skipped(extent, align);
    if (skip != 0) {
        *place = take(list);
        **place = (struct extent){.first = extent->first, .pages = skip, .next = extent};
        place = &(*place)->next;
    }
    *first = extent->first + skip;
    extent->pages -= skip + pages + GUARD;
    extent->first = *first + pages + GUARD;
    if (extent->pages == 0)
        drop(list, place);
    return true;
}

static bool get_first(void *self, uint64_t pages, uint64_t align, uint64_t *first)
{
    return get(self, pages, align, first, false);
}

static bool get_best(void *self, uint64_t pages, uint64_t align, uint64_t *first)
{
    return get(self, pages, align, first, true);
}

static bool joins(const struct extent *extent, const struct extent *next)
{
    return next != NULL && extent->first + extent->pages == next->first;
}

static bool give(void *self, uint64_t first, uint64_t pages)
{
    struct list *list = self;
    struct extent **place = &list->head;
    struct extent *before = NULL;
    struct extent *extent = take(list);

    while (*place != NULL && (*place)->first < first) {
        before = *place;
        place = &before->next;
    }
    *extent = (struct extent){.first = first, .pages = pages + GUARD, .next = *place};
    *place = extent;
    if (joins(extent, extent->next)) {
        extent->pages += extent->next->pages;
        drop(list, &extent->next);
    }
    if (before != NULL && joins(before, extent)) {
        before->pages += extent->pages;
        drop(list, place);
    }
    return true;
}

static uint64_t bytes(void *self)
{
    const struct list *list = self;

    return list->used * sizeof(struct extent);
}

const struct arena_candidate baseline_arena_first = {
    .name = "first",
    .open = open,
    .close = close,
    .alloc = get_first,
    .free = give,
    .bytes = bytes,
};

const struct arena_candidate baseline_arena_best = {
    .name = "best",
    .open = open,
    .close = close,
    .alloc = get_best,
    .free = give,
    .bytes = bytes,
};
