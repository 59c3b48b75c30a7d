#include "space_driver.h"

#include <string.h>

/* ---- reading back ---- */

struct reading {
    struct space_driver *driver;
    const struct space_oracle *oracle;
    uint64_t cursor;
};

static bool same_range(const struct ps_mapped_range *a, const struct ps_mapped_range *b)
{
    return a->va.addr == b->va.addr && a->pages.count == b->pages.count &&
           a->frame.number == b->frame.number && ps_attr_equal(a->attr, b->attr) &&
           a->leaf == b->leaf && a->permanent == b->permanent;
}

static bool read_range(void *context, const struct ps_mapped_range *range)
{
    struct reading *reading = context;
    struct ps_mapped_range expected;

    if (!space_next_range(reading->oracle, &reading->cursor, &expected))
        space_fail(reading->driver, "reads back 0x%" PS_PRIx ", where nothing more is mapped",
                   range->va.addr);
    else if (!same_range(range, &expected))
        space_fail(reading->driver,
                   "reads back 0x%" PS_PRIx "+%" PS_PRIu ", frame 0x%" PS_PRIx
                   ", leaf %u, access 0x%x, instead of 0x%" PS_PRIx "+%" PS_PRIu
                   ", frame 0x%" PS_PRIx ", leaf %u, access 0x%x",
                   range->va.addr, range->pages.count, range->frame.number, range->leaf,
                   range->attr.access, expected.va.addr, expected.pages.count,
                   expected.frame.number, expected.leaf, expected.attr.access);
    return !reading->driver->failed;
}

static void compare_ranges(struct space_driver *driver, unsigned space)
{
    struct reading reading = {driver, &driver->oracles[space], 0};
    struct ps_mapped_range more;

    ps_page_table_for_each(&driver->tables[space], read_range, &reading);
    if (!driver->failed && space_next_range(reading.oracle, &reading.cursor, &more))
        space_fail(driver, "does not read back 0x%" PS_PRIx, more.va.addr);
}

/* ---- counting ---- */

static void compare_counters(struct space_driver *driver, unsigned space)
{
    const struct space_oracle *oracle = &driver->oracles[space];
    struct ps_page_table_counters now = ps_page_table_counters(&driver->tables[space]);
    struct ps_page_table_counters expected = space_counters(oracle);
    uint64_t retired = space_retired_promise(oracle);

    if (now.tables != expected.tables)
        space_fail(driver, "%" PS_PRIu " tables, not %" PS_PRIu, now.tables, expected.tables);
    if (now.promised < expected.promised || now.promised > expected.promised + retired)
        space_fail(driver, "%" PS_PRIu " promised, not %" PS_PRIu, now.promised, expected.promised);
    for (unsigned level = 1; level <= 3; level++)
        if (now.leaves[level] != expected.leaves[level] ||
            now.demotions[level] != expected.demotions[level] ||
            now.promotions[level] != expected.promotions[level])
            space_fail(driver,
                       "level %u: %" PS_PRIu " leaves, %" PS_PRIu " cut, %" PS_PRIu
                       " promoted, not %" PS_PRIu ", %" PS_PRIu ", %" PS_PRIu,
                       level, now.leaves[level], now.demotions[level], now.promotions[level],
                       expected.leaves[level], expected.demotions[level],
                       expected.promotions[level]);
}

static void validate(struct space_driver *driver, unsigned space)
{
    ps_status expected = space_has(&driver->oracles[space], SPACE_RETIRED) ? PS_CORRUPT : PS_OK;
    char text[120] = "";
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    ps_status status = ps_page_table_validate(&driver->tables[space], &sink);

    if (status != expected)
        space_fail(driver, "validate answers %s: %s", ps_status_name(status), text);
}

/* ---- asking ---- */

static bool same_translation(const struct ps_translation *found, const struct space_page *page)
{
    return found->frame.number == page->frame && ps_attr_equal(found->attr, page->attr) &&
           (unsigned)found->leaf == page->level && found->permanent == page->permanent &&
           found->accessed == page->accessed && found->dirty == page->dirty;
}

static bool is_shared(const struct space_oracle *oracle, uint64_t page)
{
    return (oracle->root[space_root_index(oracle, page)] & SPACE_SHARED) != 0;
}

static void ask(struct space_driver *driver, unsigned space, uint64_t page)
{
    const struct space_oracle *oracle = &driver->oracles[space];
    const struct space_page *at = space_at(oracle, page);
    struct ps_translation found = {.frame = ps_frame(0)};
    ps_virt_t va = ps_virt(space_virt(oracle, page).addr + page % PS_PAGE_SIZE);
    ps_status status = ps_page_table_query(&driver->tables[space], va, &found);
    ps_status expected = is_shared(oracle, page)   ? PS_ACCESS_DENIED
                         : at->use == SPACE_MAPPED ? PS_OK
                                                   : PS_NOT_FOUND;

    if (status != expected)
        space_fail(driver, "query of page 0x%" PS_PRIx " answers %s, not %s", page,
                   ps_status_name(status), ps_status_name(expected));
    else if (status == PS_OK && !same_translation(&found, at))
        space_fail(driver,
                   "page 0x%" PS_PRIx " is frame 0x%" PS_PRIx ", access 0x%x, leaf %u%s%s, not "
                   "0x%" PS_PRIx ", 0x%x, %u%s%s",
                   page, found.frame.number, found.attr.access, found.leaf,
                   found.accessed ? " A" : "", found.dirty ? " D" : "", at->frame, at->attr.access,
                   at->level, at->accessed ? " A" : "", at->dirty ? " D" : "");
}

static uint64_t any_page(const struct space_driver *driver, const struct space_oracle *oracle)
{
    const struct space_window *window =
        &oracle->windows[driver->pick(driver->context, oracle->window_count)];

    return window->first + driver->pick(driver->context, window->count);
}

static bool is_small(const struct space_oracle *oracle)
{
    return oracle->windows[0].count <= SPACE_LOOK_ALL;
}

static void ask_around(struct space_driver *driver, unsigned space)
{
    const struct space_oracle *oracle = &driver->oracles[space];

    for (uint64_t page = 0; is_small(oracle) && page < oracle->windows[0].count; page++)
        ask(driver, space, page);
    for (unsigned i = 0; !is_small(oracle) && i < 8; i++)
        ask(driver, space, any_page(driver, oracle));
}

/* Frames of the pool that are tables, and none that belongs to no space. */
static void compare_pool(struct space_driver *driver)
{
    struct ps_frame_pool_snapshot snapshot;
    uint64_t tables = 0;
    uint64_t promised = 0;

    for (unsigned space = 0; space < SPACE_COUNT; space++) {
        struct ps_page_table_counters now = ps_page_table_counters(&driver->tables[space]);

        tables += now.tables;
        promised += now.promised;
    }
    ps_frame_pool_snapshot(driver->pool, &snapshot);
    if (snapshot.by_tag[PS_FRAME_TABLE] != tables || snapshot.promised != promised)
        space_fail(driver,
                   "%" PS_PRIu " frames are tables, %" PS_PRIu " promised, not %" PS_PRIu
                   " and %" PS_PRIu,
                   snapshot.by_tag[PS_FRAME_TABLE], snapshot.promised, tables, promised);
}

void space_compare_leaves(struct space_driver *driver, unsigned space)
{
    compare_ranges(driver, space);
    compare_counters(driver, space);
}

void space_compare(struct space_driver *driver)
{
    compare_pool(driver);
    for (unsigned space = 0; space < SPACE_COUNT && !driver->failed; space++) {
        if (driver->tables[space].machine == NULL)
            continue;
        space_compare_leaves(driver, space);
        validate(driver, space);
        ask_around(driver, space);
    }
    if (!driver->failed)
        space_compare_types(driver);
}

/* ---- looking ---- */

static bool may_access(const struct space_driver *driver, const struct space_page *page,
                       unsigned access)
{
    bool fetch = (access & MMU_FETCH) != 0 && driver->sim->machine.no_execute;

    return page->use == SPACE_MAPPED &&
           ((access & MMU_WRITE) == 0 || (page->attr.access & PS_WRITE) != 0) &&
           (!fetch || (page->attr.access & PS_EXECUTE) != 0) &&
           ((access & MMU_USER) == 0 || (page->attr.access & PS_USER) != 0);
}

/* The only open question is what a processor sees of a page between retire and flush. */
void space_look(struct space_driver *driver, unsigned processor, uint64_t page, unsigned access)
{
    struct space_oracle *oracle = &driver->oracles[driver->looks_at[processor]];
    const struct space_page *at;
    struct mmu_answer answer;
    bool may;

    if (is_shared(oracle, page))
        oracle = &driver->oracles[0];
    at = space_at(oracle, page);
    if (at->use == SPACE_RETIRED && driver->unflushed)
        return;
    may = may_access(driver, at, access);
    answer = mmu_translate(driver->mmu, processor, space_virt(oracle, page), access);
    if (answer.faulted == may)
        space_fail(driver, "processor %u, page 0x%" PS_PRIx ", access %u: %s", processor, page,
                   access, may ? "faults" : "does not fault");
    else if (may && answer.pa.addr != at->frame << PS_PAGE_SHIFT)
        space_fail(driver,
                   "processor %u, page 0x%" PS_PRIx ": 0x%" PS_PRIx ", not frame 0x%" PS_PRIx,
                   processor, page, answer.pa.addr, at->frame);
    else if (!may && (answer.error & 9) != (at->use == SPACE_MAPPED ? 1u : 0u))
        space_fail(driver, "processor %u, page 0x%" PS_PRIx ": error code 0x%x", processor, page,
                   answer.error);
    else if (may)
        space_mark(oracle, (struct space_range){page, 1}, (access & MMU_WRITE) != 0);
}

void space_look_around(struct space_driver *driver, struct space_range range)
{
    static const unsigned accesses[] = {MMU_READ,  MMU_READ, MMU_WRITE,           MMU_WRITE,
                                        MMU_FETCH, MMU_USER, MMU_USER | MMU_WRITE};
    const struct space_oracle *oracle = &driver->oracles[0];

    for (unsigned i = 0; i < 16 && driver->mmu != NULL && !driver->failed; i++) {
        uint64_t inside = range.first + driver->pick(driver->context, range.count);
        uint64_t page = i % 2 == 0 ? inside : any_page(driver, oracle);
        unsigned access = accesses[driver->pick(driver->context, PS_ARRAY_SIZE(accesses))];

        space_look(driver, (unsigned)driver->pick(driver->context, MMU_PROCESSORS), page, access);
    }
}
