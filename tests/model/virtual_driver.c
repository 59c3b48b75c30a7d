#include "virtual_driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw.h"

void virtual_fail(struct virtual_driver *driver, const char *format, ...)
{
    va_list values;

    if (driver->failed)
        return;
    driver->failed = true;
    va_start(values, format);
    (void)vsnprintf(driver->failure, sizeof(driver->failure), format, values);
    va_end(values);
}

/* ---- the machine ---- */

/* Nobody else may work on the new place of what moves, while the old one can still be reached. */
static void expect_busy(struct virtual_driver *driver)
{
    static struct ps_virtual_info infos[VIRTUAL_PIECES];
    uint64_t count = ps_virtual_live(&driver->arena, ps_virt(0), infos, VIRTUAL_PIECES);

    for (uint64_t i = 0; i < ps_min(count, VIRTUAL_PIECES); i++) {
        if (virtual_live_at(&driver->oracle, infos[i].first.addr >> PS_PAGE_SHIFT) != NULL)
            continue;
        driver->counters.rejected++;
        if (ps_virtual_free_sized(&driver->arena, infos[i].va, infos[i].bytes + 1) != PS_BAD_STATE)
            virtual_fail(driver, "what moves can be freed before the round");
    }
}

/*
 * Before any processor forgets a translation, whatever it leads to is still taken: the frames, and
 * the addresses.
 */
static void at_round(void *context, const struct ps_invalidation *what)
{
    struct virtual_driver *driver = context;
    struct ps_frame_pool_snapshot now;
    enum ps_arena_kind kind = PS_ARENA_FREE;
    bool live;

    if (driver->freeing) {
        ps_frame_pool_snapshot(&driver->pool, &now);
        if (now.by_tag[driver->setup.config.tag] < driver->before.arena.counters.live_pages ||
            now.by_tag[PS_FRAME_TABLE] < driver->before.tables.tables)
            virtual_fail(driver, "frames were given back before the round");
        (void)ps_arena_kind_of(&driver->arena.arena, driver->freed, &kind);
        if (kind != PS_ARENA_LIVE && kind != PS_ARENA_RETIRED)
            virtual_fail(driver, "addresses were free before the round");
        if (ps_virtual_is_live(&driver->arena, ps_virt(driver->freed << PS_PAGE_SHIFT), &live) !=
            PS_OK)
            virtual_fail(driver, "the lock was held during a round");
        expect_busy(driver);
    }
    if (driver->others != NULL)
        driver->others(driver->others_context, what);
}

static uint32_t first_processor(void *context)
{
    (void)context;
    return 0;
}

struct sim_machine *virtual_machine(struct virtual_machines *machines,
                                    const struct virtual_setup *setup)
{
    struct sim_range ram = SIM_RAM(VIRTUAL_MACHINE_FIRST, setup->frames);

    for (unsigned i = 0; i < PS_ARRAY_SIZE(machines->kept); i++) {
        struct virtual_kept *kept = &machines->kept[i];

        if (kept->sim == NULL) {
            kept->sim = sim_machine_create(&ram, 1, setup->sim_flags);
            kept->frames = setup->frames;
            kept->flags = setup->sim_flags;
        }
        if (kept->frames == setup->frames && kept->flags == setup->sim_flags)
            return kept->sim;
    }
    return NULL;
}

void virtual_machines_end(struct virtual_machines *machines)
{
    for (unsigned i = 0; i < PS_ARRAY_SIZE(machines->kept); i++)
        if (machines->kept[i].sim != NULL)
            sim_machine_destroy(machines->kept[i].sim);
}

static bool start_machine(struct virtual_driver *driver)
{
    const struct ps_invalidation everything = {.count = 0, .global = true};
    struct ps_machine *machine = &driver->setup.sim->machine;

    driver->sim = driver->setup.sim;
    machine->processors = driver->setup.processors;
    machine->processor = first_processor;
    if (!driver->setup.unwatched)
        driver->mmu = mmu_create(driver->sim);
    driver->others = driver->mmu != NULL ? machine->shootdown : NULL;
    driver->others_context = machine->shootdown_context;
    machine->shootdown = at_round;
    machine->shootdown_context = driver;
    if (ps_frame_pool_init(&driver->pool, machine, &driver->sim->map) != PS_OK ||
        ps_page_table_create(&driver->table, machine, &driver->pool) != PS_OK)
        return false;
    for (unsigned i = 0; driver->mmu != NULL && i < MMU_PROCESSORS; i++) {
        mmu_set_root(driver->mmu, i, driver->table.root);
        mmu_invalidate(driver->mmu, i, &everything);
    }
    return true;
}

/* The machine has one frame of its own in each 2 MiB. */
static void fragment(struct virtual_driver *driver)
{
    uint64_t end = VIRTUAL_MACHINE_FIRST + driver->setup.frames;

    for (uint64_t frame = VIRTUAL_MACHINE_FIRST; driver->setup.fragmented && frame < end;
         frame += 512)
        for (uint64_t n = 100; n < 110 && frame + n < end; n++)
            if (ps_frame_pool_claim(&driver->pool, ps_frame(frame + n), ps_pages(1),
                                    PS_FRAME_USER) == PS_OK) {
                driver->foreign++;
                break;
            }
}

static void start_oracle(struct virtual_driver *driver)
{
    const struct ps_virtual_config *config = &driver->setup.config;
    bool zero = config->base.addr == 0;

    driver->oracle.first = zero ? 1 : config->base.addr >> PS_PAGE_SHIFT;
    driver->oracle.pages = config->pages.count - zero;
    driver->oracle.guard = config->guard.count;
    driver->oracle.alignment = config->alignment.count;
    driver->oracle.quarantine = config->quarantine;
}

bool virtual_driver_start(struct virtual_driver *driver, const struct virtual_setup *setup)
{
    driver->setup = *setup;
    driver->seen = calloc(VIRTUAL_MACHINE_FIRST + setup->frames, 1);
    if (driver->seen == NULL || !start_machine(driver))
        return false;
    fragment(driver);
    start_oracle(driver);
    return ps_virtual_init(&driver->arena, &driver->table, &driver->pool, &setup->config) == PS_OK;
}

static void expect_nothing_left(struct virtual_driver *driver)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(&driver->pool, &now);
    if (now.by_tag[PS_FRAME_HEAP] != 0 || now.by_tag[PS_FRAME_VIRTUAL] != 0 || now.promised != 0)
        virtual_fail(driver,
                     "%" PS_PRIu " frames of books, %" PS_PRIu " of memory and %" PS_PRIu
                     " promises were left",
                     now.by_tag[PS_FRAME_HEAP], now.by_tag[PS_FRAME_VIRTUAL], now.promised);
    if (ps_frame_pool_validate(&driver->pool, NULL) != PS_OK)
        virtual_fail(driver, "the pool is damaged");
}

void virtual_driver_finish(struct virtual_driver *driver)
{
    driver->thorough = true;
    virtual_compare(driver);
    while (driver->oracle.count != 0 && !driver->failed) {
        unsigned i = driver->oracle.count / 2;
        const struct virtual_piece *piece = &driver->oracle.pieces[i];

        if (piece->retired || driver->oracle.count == 1)
            drive_virtual_free_all(driver);
        else
            drive_virtual_free_part(driver, piece->first << PS_PAGE_SHIFT, piece->pages);
    }
    virtual_compare(driver);
    if (driver->failed)
        return;
    expect_nothing_left(driver);
    if (ps_virtual_destroy(&driver->arena, NULL) != PS_OK)
        virtual_fail(driver, "the arena cannot be destroyed");
    else if (ps_page_table_destroy(&driver->table) != PS_OK ||
             ps_frame_pool_in_use(&driver->pool) != driver->foreign)
        virtual_fail(driver, "tables were left");
}

void virtual_driver_end(struct virtual_driver *driver)
{
    virtual_oracle_clear(&driver->oracle);
    free(driver->seen);
    mmu_destroy(driver->mmu);
}

/* ---- the frame of a call ---- */

static void note_before(struct virtual_driver *driver)
{
    struct virtual_before *before = &driver->before;

    before->in_use = ps_frame_pool_in_use(&driver->pool);
    before->promised = driver->pool.promised;
    before->available = ps_frame_pool_whole(&driver->pool, PS_FRAME_4K);
    ps_virtual_snapshot(&driver->arena, &before->arena);
    before->tables = ps_page_table_counters(&driver->table);
}

#ifdef PS_ARENA_CELLS
enum { DIVIDED = PS_ARENA_CELLS / 2 };
#else
enum { DIVIDED = 40 };
#endif

enum { MANY = 1000000, BOOKS = 24 /* frames: more than a call needs beside its pages */ };

void virtual_begin(struct virtual_driver *driver, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)vsnprintf(driver->lines[driver->calls % VIRTUAL_LINES], sizeof(driver->lines[0]), format,
                    values);
    va_end(values);
    driver->calls++;
    note_before(driver);
    driver->scarce = driver->fails || driver->before.available < BOOKS;
    if (driver->fails)
        ps_frame_pool_fail_after(&driver->pool, driver->successes, driver->for_good);
    else if (driver->hopeless)
        ps_frame_pool_fail_after(&driver->pool, MANY, false);
}

unsigned virtual_may_lack_memory(const struct virtual_driver *driver, uint64_t pages)
{
    uint64_t available = ps_frame_pool_whole((struct ps_frame_pool *)&driver->pool, PS_FRAME_4K);

    if (pages > available)
        return VIRTUAL_MAY(PS_NO_MEMORY);
    /* Tables, and promises for large leaves. */
    if (driver->fails || available - pages < 2 * (pages / 512) + BOOKS)
        return VIRTUAL_MAY(PS_OK) | VIRTUAL_MAY(PS_NO_MEMORY);
    return VIRTUAL_MAY(PS_OK);
}

/*
 * A request that found addresses and then no frames may have divided a leaf of the arena, which is
 * not put together again; and another frame is promised for that.
 */
static bool has_divided(const struct virtual_driver *driver, const struct virtual_before *before)
{
    uint64_t more = driver->before.arena.metadata_frames - before->arena.metadata_frames;

    if (driver->status == PS_INVALID_ARGS || driver->oracle.count < DIVIDED)
        return false;
    return driver->before.arena.metadata_frames > before->arena.metadata_frames &&
           driver->before.in_use - before->in_use == more;
}

static void expect_unchanged(struct virtual_driver *driver)
{
    const struct virtual_before before = driver->before;
    struct virtual_before *now = &driver->before;

    note_before(driver);
    if (has_divided(driver, &before)) {
        now->in_use = before.in_use;
        now->promised = before.promised;
        now->arena.metadata_frames = before.arena.metadata_frames;
    }
    if (now->in_use != before.in_use || now->promised != before.promised)
        virtual_fail(driver, "a refused call left %" PS_PRIu " frames in use, before %" PS_PRIu,
                     now->in_use, before.in_use);
    if (now->tables.tables != before.tables.tables ||
        now->tables.promised != before.tables.promised ||
        memcmp(now->tables.leaves, before.tables.leaves, sizeof(before.tables.leaves)) != 0)
        virtual_fail(driver, "a refused call changed the tables");
    if (now->arena.free_pages != before.arena.free_pages ||
        now->arena.free_extents != before.arena.free_extents ||
        now->arena.largest_free != before.arena.largest_free ||
        now->arena.metadata_frames != before.arena.metadata_frames)
        virtual_fail(driver, "a refused call changed the arena");
}

bool virtual_went_through(struct virtual_driver *driver, ps_status status, unsigned may)
{
    if (driver->hopeless && !driver->fails && driver->pool.fail_countdown != MANY)
        virtual_fail(driver, "a hopeless request asked for frames");
    ps_frame_pool_fail_after(&driver->pool, UINT64_MAX, false);
    driver->fails = driver->hopeless = driver->freeing = false;
    driver->status = status;
    if ((may >> status & 1) == 0)
        virtual_fail(driver, "it answered %s, not one of 0x%x", ps_status_name(status), may);
    if (status == PS_OK)
        return !driver->failed;
    if (status == PS_NO_MEMORY || status == PS_NO_SPACE || status == PS_ALREADY_EXISTS)
        driver->counters.failed++;
    else
        driver->counters.rejected++;
    expect_unchanged(driver);
    return false;
}

/* ---- contents ---- */

unsigned char *virtual_bytes(struct virtual_driver *driver, const struct virtual_piece *piece,
                             uint64_t i)
{
    return ps_hw_frame(&driver->sim->machine, ps_frame(piece->content[i].frame));
}

static void expect_fresh(struct virtual_driver *driver, const struct virtual_piece *piece,
                         uint64_t i, bool zeroed)
{
    bool filled = (driver->setup.config.flags & PS_VIRTUAL_FILL) != 0;
    const unsigned char *bytes = virtual_bytes(driver, piece, i);
    uint64_t from;
    uint64_t length = virtual_asked(piece, i, &from);
    unsigned char value = zeroed ? 0 : PS_VIRTUAL_FILL_BYTE;

    if (!zeroed && !filled)
        return;
    if (bytes[from] != value || memcmp(bytes + from, bytes + from + 1, length - 1) != 0)
        virtual_fail(driver, "new page 0x%" PS_PRIx " is not %s", piece->first + i,
                     zeroed ? "zero" : "filled");
}

void virtual_adopt(struct virtual_driver *driver, struct virtual_piece *piece, uint64_t from,
                   bool zeroed)
{
    for (uint64_t i = from; i < piece->pages && !driver->failed; i++) {
        struct virtual_page *page = &piece->content[i];
        struct ps_translation translation;
        uint64_t at;

        if (ps_page_table_query(&driver->table, ps_virt((piece->first + i) << PS_PAGE_SHIFT),
                                &translation) != PS_OK) {
            virtual_fail(driver, "new page 0x%" PS_PRIx " is not mapped", piece->first + i);
            return;
        }
        page->frame = translation.frame.number;
        expect_fresh(driver, piece, i, zeroed);
        page->length = ps_min(virtual_asked(piece, i, &at), sizeof(page->stamp));
        page->stamp = ++driver->stamps * 0x9e3779b1u;
        memcpy(virtual_bytes(driver, piece, i) + at, &page->stamp, page->length);
    }
}
