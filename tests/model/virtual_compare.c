#include "virtual_driver.h"

#include <stdio.h>
#include <string.h>

/* ---- reading back ---- */

struct reading {
    struct virtual_driver *driver;
    unsigned piece; /* where the next page must be */
    uint64_t page;
    uint64_t blocks[6]; /* the last one, + 1, under a table of that level */
    uint64_t tables;
};

static bool is_anchored(const struct virtual_driver *driver)
{
    return (driver->setup.config.flags & PS_VIRTUAL_ANCHOR) != 0;
}

static void count_tables(struct reading *reading, uint64_t page, unsigned leaf)
{
    unsigned levels = reading->driver->table.levels;
    unsigned top = is_anchored(reading->driver) ? levels - 1 : levels;

    for (unsigned level = leaf; level < top; level++) {
        uint64_t block = (page >> 9 * level) + 1;

        reading->tables += reading->blocks[level] != block;
        reading->blocks[level] = block;
    }
}

static void skip_retired(struct reading *reading)
{
    const struct virtual_oracle *oracle = &reading->driver->oracle;

    while (reading->piece < oracle->count &&
           (oracle->pieces[reading->piece].retired ||
            reading->page == oracle->pieces[reading->piece].pages)) {
        reading->piece++;
        reading->page = 0;
    }
}

static void note_frame(struct virtual_driver *driver, uint64_t frame)
{
    struct ps_frame_info info;

    if (frame < VIRTUAL_MACHINE_FIRST || frame >= VIRTUAL_MACHINE_FIRST + driver->setup.frames ||
        driver->seen[frame]++ != 0)
        virtual_fail(driver, "frame 0x%" PS_PRIx " is mapped twice, or foreign", frame);
    else if (driver->thorough &&
             (ps_frame_pool_query(&driver->pool, ps_frame(frame), &info) != PS_OK ||
              info.tag != driver->setup.config.tag))
        virtual_fail(driver, "frame 0x%" PS_PRIx " is not ours", frame);
}

static void compare_content(struct virtual_driver *driver, const struct virtual_piece *piece,
                            uint64_t i)
{
    const struct virtual_page *page = &piece->content[i];
    const unsigned char *bytes = virtual_bytes(driver, piece, i);
    uint64_t from;

    (void)virtual_asked(piece, i, &from);
    if (memcmp(bytes + from, &page->stamp, page->length) != 0)
        virtual_fail(driver, "page 0x%" PS_PRIx " has lost its contents", piece->first + i);
}

static bool is_ours(const struct reading *reading, const struct ps_mapped_range *range, uint64_t n)
{
    const struct virtual_oracle *oracle = &reading->driver->oracle;
    const struct virtual_piece *piece = &oracle->pieces[reading->piece];

    return reading->piece < oracle->count &&
           piece->first + reading->page == (range->va.addr >> PS_PAGE_SHIFT) + n &&
           piece->content[reading->page].frame == range->frame.number + n &&
           ps_attr_equal(piece->attr, range->attr) && !range->permanent &&
           (!piece->small || range->leaf == PS_LEAF_4K);
}

static bool read_range(void *context, const struct ps_mapped_range *range)
{
    struct reading *reading = context;
    struct virtual_driver *driver = reading->driver;

    for (uint64_t n = 0; n < range->pages.count && !driver->failed; n++) {
        uint64_t page = (range->va.addr >> PS_PAGE_SHIFT) + n;

        skip_retired(reading);
        count_tables(reading, page, range->leaf);
        if (!is_ours(reading, range, n)) {
            virtual_fail(driver, "page 0x%" PS_PRIx " is mapped, and not as it should be", page);
            return false;
        }
        note_frame(driver, range->frame.number + n);
        compare_content(driver, &driver->oracle.pieces[reading->piece], reading->page++);
    }
    return !driver->failed;
}

static uint64_t root_entries(const struct virtual_driver *driver)
{
    unsigned bits = 9 * (driver->table.levels - 1u);
    uint64_t first = driver->setup.config.base.addr >> PS_PAGE_SHIFT;
    uint64_t last = first + driver->setup.config.pages.count - 1;

    return (last >> bits) - (first >> bits) + 1;
}

static void compare_tables(struct virtual_driver *driver)
{
    struct reading reading = {.driver = driver, .tables = 1};
    struct ps_page_table_counters counters = ps_page_table_counters(&driver->table);

    if (is_anchored(driver))
        reading.tables += root_entries(driver);
    memset(driver->seen, 0, VIRTUAL_MACHINE_FIRST + driver->setup.frames);
    ps_page_table_for_each(&driver->table, read_range, &reading);
    skip_retired(&reading);
    if (reading.piece != driver->oracle.count)
        virtual_fail(driver, "page 0x%" PS_PRIx " is not mapped",
                     driver->oracle.pieces[reading.piece].first + reading.page);
    if (counters.tables != reading.tables)
        virtual_fail(driver, "%" PS_PRIu " tables, not %" PS_PRIu, counters.tables, reading.tables);
}

/* ---- bytes beside what was asked for ---- */

static void compare_slack(struct virtual_driver *driver)
{
    for (unsigned n = 0; n < driver->oracle.count && !driver->failed; n++) {
        const struct virtual_piece *piece = &driver->oracle.pieces[n];
        uint64_t from;
        uint64_t end;

        if (piece->retired || piece->overrun)
            continue;
        (void)virtual_asked(piece, 0, &from);
        for (uint64_t i = 0; i < from; i++)
            if (virtual_bytes(driver, piece, 0)[i] != PS_VIRTUAL_FILL_BYTE)
                virtual_fail(driver, "byte %" PS_PRIu " before 0x%" PS_PRIx " is not filled", i,
                             piece->va);
        end = virtual_asked(piece, piece->pages - 1, &from) + from;
        for (uint64_t i = end; i < PS_PAGE_SIZE; i++)
            if (virtual_bytes(driver, piece, piece->pages - 1)[i] != PS_VIRTUAL_FILL_BYTE)
                virtual_fail(driver, "byte %" PS_PRIu " behind 0x%" PS_PRIx " is not filled", i,
                             piece->va);
    }
}

/* ---- counting ---- */

static void expect(struct virtual_driver *driver, const char *what, uint64_t actual,
                   uint64_t expected)
{
    if (actual != expected)
        virtual_fail(driver, "%s: %" PS_PRIu ", not %" PS_PRIu, what, actual, expected);
}

static void count_live(struct virtual_driver *driver)
{
    struct ps_virtual_counters *counters = &driver->counters;

    counters->live = counters->live_pages = counters->live_bytes = counters->quarantined = 0;
    for (unsigned i = 0; i < driver->oracle.count; i++) {
        const struct virtual_piece *piece = &driver->oracle.pieces[i];

        counters->quarantined += piece->retired;
        counters->live += !piece->retired;
        counters->live_pages += piece->retired ? 0 : piece->pages;
        counters->live_bytes += piece->retired ? 0 : piece->bytes;
    }
    counters->peak_pages = ps_max(counters->peak_pages, counters->live_pages);
}

static void compare_counters(struct virtual_driver *driver, const struct ps_virtual_snapshot *now)
{
    const struct ps_virtual_counters *actual = &now->counters;
    const struct ps_virtual_counters *expected = &driver->counters;

    count_live(driver);
    expect(driver, "live", actual->live, expected->live);
    expect(driver, "live pages", actual->live_pages, expected->live_pages);
    expect(driver, "live bytes", actual->live_bytes, expected->live_bytes);
    expect(driver, "peak pages", actual->peak_pages, expected->peak_pages);
    expect(driver, "allocs", actual->allocs, expected->allocs);
    expect(driver, "frees", actual->frees, expected->frees);
    expect(driver, "moves", actual->moves, expected->moves);
    expect(driver, "failed", actual->failed, expected->failed);
    expect(driver, "rejected", actual->rejected, expected->rejected);
    expect(driver, "quarantined", actual->quarantined, expected->quarantined);
}

static void compare_space(struct virtual_driver *driver, const struct ps_virtual_snapshot *now)
{
    const struct virtual_oracle *oracle = &driver->oracle;
    uint64_t largest = 0;
    uint64_t extents = 0;
    uint64_t pages = oracle->pages;

    for (unsigned i = 0; i <= oracle->count; i++) {
        uint64_t room = virtual_gap(oracle, i).room;

        extents += room != 0;
        largest = ps_max(largest, room);
        pages -= i < oracle->count ? oracle->pieces[i].pages : 0;
    }
    expect(driver, "free pages", now->free_pages, pages);
    if (oracle->thin) /* where nobody asks for the arena's guard */
        return;
    expect(driver, "free extents", now->free_extents, extents);
    expect(driver, "largest free", now->largest_free, largest);
    expect(driver, "fragmentation", now->fragmentation,
           pages == 0 ? 0 : (pages - largest) * 1000 / pages);
}

static void compare_pool(struct virtual_driver *driver, const struct ps_virtual_snapshot *now)
{
    struct ps_page_table_counters tables = ps_page_table_counters(&driver->table);
    struct ps_frame_pool_snapshot pool;

    ps_frame_pool_snapshot(&driver->pool, &pool);
    expect(driver, "frames of memory", pool.by_tag[driver->setup.config.tag],
           driver->counters.live_pages);
    expect(driver, "frames of tables", pool.by_tag[PS_FRAME_TABLE], tables.tables);
    expect(driver, "frames of books", pool.by_tag[PS_FRAME_HEAP], now->metadata_frames);
    if (pool.promised < tables.promised)
        virtual_fail(driver, "tables lack a promise");
    if (driver->oracle.count == 0) {
        expect(driver, "books of nothing", now->metadata_frames, 0);
        expect(driver, "promises for nothing", pool.promised, 0);
    }
}

/* ---- asking ---- */

static bool same_info(const struct ps_virtual_info *info, const struct virtual_piece *piece)
{
    return info->va.addr == piece->va && info->first.addr == piece->first << PS_PAGE_SHIFT &&
           info->pages.count == piece->pages && info->bytes == piece->bytes &&
           info->sequence == piece->sequence && info->who.owner[0] == piece->who.owner[0] &&
           info->who.owner[1] == piece->who.owner[1] && info->who.owner[2] == piece->who.owner[2] &&
           info->who.file == piece->who.file && info->who.line == piece->who.line;
}

static void compare_list(struct virtual_driver *driver)
{
    static struct ps_virtual_info infos[VIRTUAL_PIECES];
    uint64_t count = ps_virtual_live(&driver->arena, ps_virt(0), infos, VIRTUAL_PIECES);
    uint64_t n = 0;

    for (unsigned i = 0; i < driver->oracle.count; i++) {
        const struct virtual_piece *piece = &driver->oracle.pieces[i];

        if (piece->retired)
            continue;
        if (n >= count || !same_info(&infos[n], piece))
            virtual_fail(driver,
                         "allocation %" PS_PRIu " of the list is not 0x%" PS_PRIx ": %" PS_PRIu
                         " bytes",
                         n, piece->va, piece->bytes);
        n++;
    }
    expect(driver, "live in the list", count, n);
}

static void ask(struct virtual_driver *driver, uint64_t va, ps_status expected,
                const struct virtual_piece *piece)
{
    struct ps_virtual_info info = {.pages = ps_pages(7)};
    uint64_t bytes = 7;
    bool live = true;

    if (ps_virtual_find(&driver->arena, ps_virt(va), &info) != expected ||
        (piece == NULL ? info.pages.count != 7 : !same_info(&info, piece)))
        virtual_fail(driver, "find 0x%" PS_PRIx, va);
    if (ps_virtual_is_live(&driver->arena, ps_virt(va), &live) != PS_OK ||
        live != (piece != NULL && piece->va == va))
        virtual_fail(driver, "is_live 0x%" PS_PRIx, va);
    if (piece != NULL && piece->va != va) {
        piece = NULL;
        expected = PS_NOT_FOUND;
    }
    if (ps_virtual_usable(&driver->arena, ps_virt(va), &bytes) != expected ||
        bytes != (piece == NULL
                      ? 7
                      : ((piece->first + piece->pages - 1) << PS_PAGE_SHIFT | PS_PAGE_MASK) -
                            piece->va + 1))
        virtual_fail(driver, "usable 0x%" PS_PRIx ": %" PS_PRIu, va, bytes);
}

static void ask_for_list(struct virtual_driver *driver, uint64_t va)
{
    struct ps_virtual_info info = {.pages = ps_pages(7)};
    const struct virtual_piece *first = NULL;
    uint64_t count = 0;

    for (unsigned i = driver->oracle.count; i > 0; i--) {
        const struct virtual_piece *piece = &driver->oracle.pieces[i - 1];

        if (piece->retired || piece->first + (piece->pages - 1) < va >> PS_PAGE_SHIFT)
            continue;
        first = piece;
        count++;
    }
    expect(driver, "live from there on", ps_virtual_live(&driver->arena, ps_virt(va), &info, 1),
           count);
    if (first == NULL ? info.pages.count != 7 : !same_info(&info, first))
        virtual_fail(driver, "the first live from 0x%" PS_PRIx, va);
}

void drive_virtual_look(struct virtual_driver *driver, uint64_t va)
{
    uint64_t page = va >> PS_PAGE_SHIFT;
    const struct virtual_piece *piece = NULL;
    ps_status expected = PS_OUT_OF_RANGE;

    virtual_begin(driver, "ask 0x%" PS_PRIx, va);
    if (virtual_in_arena(&driver->oracle, page, 1)) {
        piece = virtual_live_at(&driver->oracle, page);
        expected = piece == NULL ? PS_NOT_FOUND : PS_OK;
    }
    ask(driver, va, expected, piece);
    ask_for_list(driver, va);
    virtual_look_at(driver, page);
    (void)virtual_went_through(driver, PS_OK, VIRTUAL_MAY(PS_OK));
}

/* ---- looking ---- */

static void look(struct virtual_driver *driver, unsigned processor, uint64_t page)
{
    const struct virtual_piece *piece = NULL;
    struct outcome outcome;
    uint64_t from = 0;

    if (virtual_in_arena(&driver->oracle, page, 1))
        piece = virtual_live_at(&driver->oracle, page);
    if (piece != NULL)
        (void)virtual_asked(piece, page - piece->first, &from);
    outcome = mmu_load(driver->mmu, processor, ps_virt((page << PS_PAGE_SHIFT) + from));
    if (outcome.faulted != (piece == NULL))
        virtual_fail(driver, "page 0x%" PS_PRIx " %s for processor %u", page,
                     outcome.faulted ? "faults" : "is still there", processor);
    else if (piece != NULL && piece->content[page - piece->first].length == sizeof(uint64_t) &&
             outcome.value != piece->content[page - piece->first].stamp)
        virtual_fail(driver, "processor %u sees other memory at page 0x%" PS_PRIx, processor, page);
}

void virtual_look_around(struct virtual_driver *driver)
{
    for (unsigned i = 0; driver->mmu != NULL && i < VIRTUAL_LOOKS; i++)
        for (unsigned processor = 0; processor < MMU_PROCESSORS && driver->looks[i] != 0;
             processor++)
            look(driver, processor, driver->looks[i]);
}

void virtual_look_at(struct virtual_driver *driver, uint64_t page)
{
    driver->looks[driver->next_look++ % VIRTUAL_LOOKS] = page;
    for (unsigned processor = 0; driver->mmu != NULL && processor < MMU_PROCESSORS; processor++)
        (void)mmu_load(driver->mmu, processor, ps_virt(page << PS_PAGE_SHIFT));
}

/* ---- everything ---- */

static void note(void *context, const char *text, size_t length)
{
    virtual_fail(context, "%.*s", (int)length, text);
}

void virtual_compare(struct virtual_driver *driver)
{
    struct ps_sink sink = {note, driver};
    struct ps_virtual_snapshot now;

    if (driver->failed)
        return;
    ps_virtual_snapshot(&driver->arena, &now);
    compare_counters(driver, &now);
    compare_space(driver, &now);
    compare_pool(driver, &now);
    compare_list(driver);
    compare_tables(driver);
    if ((driver->setup.config.flags & PS_VIRTUAL_FILL) != 0)
        compare_slack(driver);
    if (driver->failed)
        return;
    virtual_look_around(driver);
    if (driver->thorough && (ps_virtual_validate(&driver->arena, &sink) != PS_OK ||
                             ps_page_table_validate(&driver->table, &sink) != PS_OK))
        virtual_fail(driver, "not valid");
    driver->thorough = false;
}
