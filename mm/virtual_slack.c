/* PS_VIRTUAL_FILL: bytes of an allocation's pages that nobody asked for keep what they hold. */
#include "virtual_allocator_private.h"

/* Bytes [first, first + count) of the page at `va`. */
struct slack {
    uint64_t page;
    uint64_t first;
    uint64_t count;
};

/* In front of the pointer, and behind what was asked for. */
static void find_slack(const struct ps_virtual_place *place, struct slack slack[2])
{
    const struct ps_arena_extent *extent = &place->extent;
    uint64_t front = ps_virtual_pointer(place).addr & PS_PAGE_MASK;
    uint64_t used = front + ps_virtual_bytes(place->record, extent->first, extent->pages);
    uint64_t all = ps_bytes_of_pages(ps_pages(extent->pages));

    slack[0] = (struct slack){extent->first, 0, front};
    slack[1] = (struct slack){extent->first + (extent->pages - 1), PS_PAGE_SIZE - (all - used),
                              all - used};
}

static uint8_t *bytes_of(struct ps_virtual_allocator *allocator, const struct slack *slack)
{
    struct ps_translation translation;

    if (slack->count == 0 ||
        ps_page_table_query(allocator->table, ps_virtual_page(slack->page), &translation) != PS_OK)
        return NULL;
    return (uint8_t *)ps_hw_frame(allocator->table->machine, translation.frame) + slack->first;
}

void ps_virtual_fill_slack(struct ps_virtual_allocator *allocator,
                           const struct ps_virtual_place *place)
{
    struct slack slack[2];

    if ((allocator->config.flags & PS_VIRTUAL_FILL) == 0)
        return;
    find_slack(place, slack);
    for (unsigned i = 0; i < PS_ARRAY_SIZE(slack); i++) {
        uint8_t *bytes = bytes_of(allocator, &slack[i]);

        for (uint64_t at = 0; bytes != NULL && at < slack[i].count; at++)
            bytes[at] = PS_VIRTUAL_FILL_BYTE;
    }
}

void ps_virtual_zero_slack(struct ps_virtual_allocator *allocator,
                           const struct ps_virtual_place *place, uint64_t count)
{
    struct slack slack[2];
    uint8_t *bytes;

    find_slack(place, slack);
    bytes = bytes_of(allocator, &slack[1]);
    for (uint64_t at = 0; bytes != NULL && at < ps_min(slack[1].count, count); at++)
        bytes[at] = 0;
}

bool ps_virtual_slack_is_whole(struct ps_virtual_allocator *allocator,
                               const struct ps_virtual_place *place)
{
    struct slack slack[2];

    if ((allocator->config.flags & PS_VIRTUAL_FILL) == 0)
        return true;
    find_slack(place, slack);
    for (unsigned i = 0; i < PS_ARRAY_SIZE(slack); i++) {
        const uint8_t *bytes = bytes_of(allocator, &slack[i]);

        for (uint64_t at = 0; bytes != NULL && at < slack[i].count; at++)
            if (bytes[at] != PS_VIRTUAL_FILL_BYTE)
                return false;
    }
    return true;
}
