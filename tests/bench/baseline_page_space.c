/* What the baselines of the page tables have in common. */
#include <string.h>

#include "frame_baseline.h"
#include "page_baseline.h"

enum { JUNK = 0xa5 };

/* Table 0 is never handed out: address 0 says that there is none. */
static void start_over(struct page_space *space)
{
    space->next = PS_PAGE_SIZE;
    space->root = page_take_table(space);
}

void *page_space_open(void)
{
    struct page_space *space = frame_reserve(sizeof(*space), false);

    if (space == NULL)
        return NULL;
    space->memory = frame_reserve(PAGE_TABLE_MEMORY, true);
    if (space->memory == NULL) {
        frame_release(space, sizeof(*space));
        return NULL;
    }
    memset(space->memory, JUNK, PAGE_TABLE_MEMORY);
    start_over(space);
    return space;
}

void page_space_close(void *self)
{
    struct page_space *space = self;

    frame_release(space->memory, PAGE_TABLE_MEMORY);
    frame_release(space, sizeof(*space));
}

struct page_view page_space_view(void *self)
{
    const struct page_space *space = self;

    return (struct page_view){space->memory, space->root};
}

bool page_space_clear(void *self, const struct page_stretch *stretch)
{
    (void)stretch;
    start_over(self);
    return true;
}

uint64_t *page_leaf(const struct page_view *view, uint64_t va, unsigned *level)
{
    uint64_t table = view->root;

    for (*level = PAGE_LEVELS;; --*level) {
        uint64_t *entry =
            (uint64_t *)(void *)(view->memory + (table & PAGE_FRAME_MASK)) + page_index(va, *level);

        if ((*entry & PAGE_PRESENT) == 0)
            return NULL;
        if (*level == 1 || (*entry & PAGE_LARGE) != 0)
            return entry;
        table = *entry;
    }
}
