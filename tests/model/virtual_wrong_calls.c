#include "virtual_driver.h"

/* Calls that are refused for what they are, or for what somebody else did. */

/* ---- bad arguments: all else about them is right ---- */

static ps_status call_wrongly(struct virtual_driver *driver, unsigned which, ps_status *expected)
{
    struct ps_virtual_allocator *arena = &driver->arena;
    struct ps_virtual_request request = {.pages = ps_pages(1)};
    ps_virt_t base = driver->setup.config.base;
    ps_virt_t va;

    *expected = PS_INVALID_ARGS;
    switch (which) {
    case 0:
        return ps_virtual_alloc(arena, NULL, &va);
    case 1:
        return ps_virtual_alloc(arena, &request, NULL);
    case 2:
        request.pages = ps_pages(0);
        return ps_virtual_alloc(arena, &request, &va);
    case 3:
        request.bytes = 1;
        return ps_virtual_alloc(arena, &request, &va);
    case 4:
        request.alignment = ps_pages(3);
        return ps_virtual_alloc(arena, &request, &va);
    case 5:
        request.guard_after = ps_pages(PS_ARENA_GUARD_MAX + 1);
        return ps_virtual_alloc(arena, &request, &va);
    case 6:
        request.attr = ps_attr_ram(PS_READ | PS_WRITE | PS_EXECUTE);
        return ps_virtual_alloc(arena, &request, &va);
    case 7:
        request.flags = PS_VIRTUAL_MAY_MOVE;
        return ps_virtual_alloc(arena, &request, &va);
    case 8:
        request.low = 2 * PS_PAGE_SIZE;
        request.high = PS_PAGE_SIZE;
        return ps_virtual_alloc(arena, &request, &va);
    default:
        return ps_virtual_alloc_at(arena, &request, ps_virt(base.addr + 8), true);
    }
}

static void call_when_in_use(struct virtual_driver *driver)
{
    const struct virtual_before before = driver->before;

    if (before.arena.counters.live != 0 && ps_virtual_destroy(&driver->arena, NULL) != PS_BAD_STATE)
        virtual_fail(driver, "destroyed with allocations");
    if (ps_virtual_init(&driver->arena, &driver->table, &driver->pool, &driver->setup.config) !=
        PS_BAD_STATE)
        virtual_fail(driver, "initialised twice");
    driver->counters.rejected =
        driver->arena.counters.rejected; /* whether they count, is not said */
}

void drive_virtual_bad_call(struct virtual_driver *driver, unsigned which)
{
    ps_status expected;
    ps_status status;

    virtual_begin(driver, "wrong call %u", which);
    status = call_wrongly(driver, which, &expected);
    if (driver->setup.config.base.addr == 0 && which == VIRTUAL_BAD_CALLS - 1)
        expected = status; /* outside as well */
    (void)virtual_went_through(driver, status, VIRTUAL_MAY(expected));
    if (which == 0)
        call_when_in_use(driver);
}

/* ---- writing beside what was asked for ---- */

static uint64_t slack_byte(const struct virtual_piece *piece, uint64_t which, uint64_t *i)
{
    uint64_t from;
    uint64_t end;

    *i = piece->pages - 1;
    end = virtual_asked(piece, *i, &from) + from;
    if (end < PS_PAGE_SIZE && (which & 1) == 0)
        return end + (which >> 1) % (PS_PAGE_SIZE - end);
    *i = 0;
    (void)virtual_asked(piece, 0, &from);
    return from != 0 ? (which >> 1) % from : PS_PAGE_SIZE;
}

void drive_virtual_overrun(struct virtual_driver *driver, uint64_t va, uint64_t which)
{
    struct virtual_piece *piece = virtual_live_at(&driver->oracle, va >> PS_PAGE_SHIFT);
    unsigned char *byte;
    uint64_t at;
    uint64_t i;

    if ((driver->setup.config.flags & PS_VIRTUAL_FILL) == 0 || piece == NULL)
        return;
    at = slack_byte(piece, which, &i);
    if (at == PS_PAGE_SIZE)
        return;
    byte = virtual_bytes(driver, piece, i) + at;
    *byte ^= 1;
    piece->overrun = true;
    drive_virtual_free(driver, piece->va);
    if (!driver->failed)
        drive_virtual_free_sized(driver, piece->va, piece->bytes);
    if (!driver->failed)
        drive_virtual_resize(driver, piece->va, piece->bytes, 0);
    if (driver->failed)
        return;
    if ((which & 2) != 0) {
        drive_virtual_free_part(driver, piece->first << PS_PAGE_SHIFT, piece->pages);
        return;
    }
    *byte ^= 1;
    piece->overrun = false;
}

/* ---- somebody else's page ---- */

void drive_virtual_foreign(struct virtual_driver *driver, uint64_t page)
{
    struct ps_virtual_request request = {.pages = ps_pages(1)};
    ps_virt_t va = ps_virt(page << PS_PAGE_SHIFT);
    ps_frame_t frame;

    if (!virtual_in_arena(&driver->oracle, page, 1) || !virtual_is_free(&driver->oracle, page, 1) ||
        ps_frame_pool_alloc(&driver->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame) != PS_OK)
        return;
    if (ps_page_table_map(&driver->table, va, &frame, ps_pages(1), ps_attr_ram(PS_READ),
                          PS_EXISTING_ERROR) == PS_OK) {
        virtual_begin(driver, "alloc_at 0x%" PS_PRIx ", which is mapped", va.addr);
        (void)virtual_went_through(driver, ps_virtual_alloc_at(&driver->arena, &request, va, true),
                                   VIRTUAL_MAY(PS_ALREADY_EXISTS) |
                                       (virtual_may_lack_memory(driver, 1) & ~VIRTUAL_MAY(PS_OK)));
        if (ps_page_table_unmap(&driver->table, va, ps_pages(1), NULL) != PS_OK)
            virtual_fail(driver, "unmap");
    }
    if (ps_frame_pool_free(&driver->pool, frame, ps_pages(1)) != PS_OK)
        virtual_fail(driver, "free");
}
