#include "virtual_driver.h"

/* What is called, and with what: mostly what does something, sometimes what must be refused. */

static uint64_t pick(struct virtual_driver *driver, uint64_t bound)
{
    return driver->pick(driver->context, bound);
}

static bool one_in(struct virtual_driver *driver, uint64_t bound)
{
    return pick(driver, bound) == 0;
}

/* ---- setups ---- */

static const struct {
    uint64_t base;
    uint64_t pages;
} ranges[] = {
    {0xffffc00000000000u, 256},
    {0xffffc00000000000u, (uint64_t)1 << 34},
    {0xfffffffffff00000u, 256}, /* up to the top */
    {0xffffffff80000000u, 524288},
    {0, 200},
    {0, (uint64_t)1 << 34},
    {0x00007fffffe00000u, 512}, /* up to the end of the lower half */
    {0x00000000001ff000u, 1600},
    {0xffffc07fffc05000u, 2500}, /* from one entry of the root to the next */
    {0xffff900000123000u, 13},
    {0xffff900000200000u, 3},
};

void virtual_choose_setup(struct virtual_driver *driver, struct virtual_setup *setup)
{
    static const uint64_t guards[] = {1, 0, 5, 1};
    static const uint64_t quarantines[] = {0, 0, 3, 17};
    static const uint64_t frames[] = {700, 3072, 160, 4096};
    uint64_t range = pick(driver, PS_ARRAY_SIZE(ranges));
    unsigned traits = (unsigned)pick(driver, 256);

    *setup = (struct virtual_setup){
        .config =
            {
                .base = ps_virt(ranges[range].base),
                .pages = ps_pages(ranges[range].pages),
                .guard = ps_pages(guards[pick(driver, PS_ARRAY_SIZE(guards))]),
                .alignment = ps_pages((traits & 1) != 0   ? 512
                                      : (traits & 2) != 0 ? 1
                                                          : 0),
                .tag = (traits & 4) != 0 ? PS_FRAME_STACK : PS_FRAME_VIRTUAL,
                .quarantine = quarantines[pick(driver, PS_ARRAY_SIZE(quarantines))],
            },
        .frames = frames[pick(driver, PS_ARRAY_SIZE(frames))],
        .sim_flags = (traits & 8) != 0 ? SIM_FIVE_LEVELS : 0,
        .processors = (traits & 16) != 0 ? 2 : 0,
        .fragmented = (traits & 32) != 0,
    };
    if (2 * setup->config.guard.count + 2 > setup->config.pages.count)
        setup->config.guard = ps_pages(0);
    setup->config.flags = (unsigned)pick(driver, 8); /* all there are */
}

/* ---- arguments ---- */

static uint64_t some_page(struct virtual_driver *driver)
{
    const struct virtual_oracle *oracle = &driver->oracle;
    const struct virtual_piece *piece;

    if (oracle->count == 0 || one_in(driver, 5))
        return oracle->first + pick(driver, ps_min(oracle->pages, 4096));
    piece = &oracle->pieces[pick(driver, oracle->count)];
    switch (pick(driver, 8)) {
    case 0:
        return piece->first - ps_min(1 + pick(driver, 8), piece->first);
    case 1:
        return piece->first + piece->pages + pick(driver, 8);
    case 2:
        return piece->first + pick(driver, piece->pages);
    case 3:
        return piece->first + piece->pages - 1;
    default:
        return piece->first;
    }
}

/* Mostly a pointer. */
static uint64_t some_pointer(struct virtual_driver *driver)
{
    uint64_t page = some_page(driver);
    const struct virtual_piece *piece = virtual_live_at(&driver->oracle, page);

    switch (pick(driver, 16)) {
    case 0:
        return page << PS_PAGE_SHIFT;
    case 1:
        return page << PS_PAGE_SHIFT | pick(driver, PS_PAGE_SIZE);
    case 2:
        return pick(driver, 65536) << 47 | pick(driver, 65536);
    default:
        return piece != NULL ? piece->va : page << PS_PAGE_SHIFT;
    }
}

static uint64_t some_pages(struct virtual_driver *driver)
{
    switch (pick(driver, 16)) {
    case 0:
        return 1 + pick(driver, 64);
    case 1:
        return 1 + pick(driver, 400);
    case 2:
        return 500 + pick(driver, 40);
    case 3:
        return 512 * (1 + pick(driver, 3)) + pick(driver, 3);
    case 4:
        return one_in(driver, 4) ? UINT64_MAX >> pick(driver, 40) : 4000 + pick(driver, 4000);
    default:
        return 1 + pick(driver, 7);
    }
}

static uint64_t some_bytes(struct virtual_driver *driver)
{
    uint64_t pages = ps_min(some_pages(driver), UINT64_MAX >> PS_PAGE_SHIFT);

    switch (pick(driver, 4)) {
    case 0:
        return pages << PS_PAGE_SHIFT;
    case 1:
        return (pages << PS_PAGE_SHIFT) - pick(driver, 40);
    default:
        return ((pages - 1) << PS_PAGE_SHIFT) + 1 + pick(driver, PS_PAGE_SIZE);
    }
}

static ps_pages_t some_guard(struct virtual_driver *driver)
{
    switch (pick(driver, 24)) {
    case 0:
        return PS_VIRTUAL_NO_GUARD;
    case 1:
        return ps_pages(pick(driver, 10));
    case 2:
        return ps_pages(pick(driver, 3) + PS_ARENA_GUARD_MAX - 1);
    default:
        return ps_pages(0);
    }
}

static void add_limits(struct virtual_driver *driver, struct ps_virtual_request *request)
{
    uint64_t page = some_page(driver);
    uint64_t span = pick(driver, 2 * 4096 * 40);

    request->low = (page - ps_min(page, pick(driver, 100))) << PS_PAGE_SHIFT;
    request->low += pick(driver, 3) == 0 ? pick(driver, PS_PAGE_SIZE) : 0;
    request->high =
        one_in(driver, 3) ? UINT64_MAX : request->low + ps_min(UINT64_MAX - request->low, span);
}

static struct ps_virtual_request some_request(struct virtual_driver *driver)
{
    static const ps_attr_t attrs[] = {{0, 0}, {PS_READ, 0}, {PS_READ | PS_WRITE | PS_USER, 0}};
    struct ps_virtual_request request = {
        .guard_before = some_guard(driver),
        .guard_after = some_guard(driver),
        .attr = attrs[one_in(driver, 4) ? pick(driver, PS_ARRAY_SIZE(attrs)) : 0],
        .who = {{driver->calls, pick(driver, 9), 3}, __FILE__, (uint32_t)pick(driver, 1000)},
    };

    if (one_in(driver, 2))
        request.pages = ps_pages(some_pages(driver));
    else
        request.bytes = some_bytes(driver);
    if (one_in(driver, 6))
        request.alignment = ps_pages((uint64_t)1 << pick(driver, one_in(driver, 8) ? 64 : 11));
    if (one_in(driver, 8))
        add_limits(driver, &request);
    if (one_in(driver, 3))
        request.flags |= PS_FRAME_ZERO;
    if (one_in(driver, 6))
        request.flags |= (unsigned)PS_VIRTUAL_CONTIGUOUS << pick(driver, 3);
    return request;
}

/* ---- steps ---- */

static void step_alloc(struct virtual_driver *driver)
{
    struct ps_virtual_request request = some_request(driver);

    drive_virtual_alloc(driver, &request);
}

static void step_alloc_at(struct virtual_driver *driver)
{
    struct ps_virtual_request request = some_request(driver);

    if (!one_in(driver, 4))
        request.alignment = ps_pages(0);
    drive_virtual_alloc_at(driver, &request, some_page(driver) << PS_PAGE_SHIFT, one_in(driver, 4));
}

static void step_free(struct virtual_driver *driver)
{
    drive_virtual_free(driver, some_pointer(driver));
}

static void step_free_sized(struct virtual_driver *driver)
{
    uint64_t va = some_pointer(driver);
    const struct virtual_piece *piece = virtual_live_at(&driver->oracle, va >> PS_PAGE_SHIFT);
    uint64_t bytes = piece != NULL ? piece->bytes : 1;

    drive_virtual_free_sized(driver, va, one_in(driver, 4) ? bytes + pick(driver, 3) : bytes);
}

static void step_free_part(struct virtual_driver *driver)
{
    uint64_t page = some_page(driver);
    const struct virtual_piece *piece = virtual_live_at(&driver->oracle, page);
    uint64_t rest = piece != NULL ? piece->first + piece->pages - page : 4;
    uint64_t pages = one_in(driver, 8) ? some_pages(driver) : 1 + pick(driver, rest);

    drive_virtual_free_part(driver,
                            page << PS_PAGE_SHIFT | (one_in(driver, 32) ? pick(driver, 4096) : 0),
                            one_in(driver, 64) ? 0 : pages);
}

static void step_resize(struct virtual_driver *driver)
{
    uint64_t va = some_pointer(driver);
    const struct virtual_piece *piece = virtual_live_at(&driver->oracle, va >> PS_PAGE_SHIFT);
    uint64_t bytes = some_bytes(driver);
    unsigned flags = 0;

    if (piece != NULL && one_in(driver, 2))
        bytes = 1 + pick(driver, ps_min(piece->bytes, 65536));
    else if (piece != NULL && one_in(driver, 2))
        bytes = piece->bytes + pick(driver, 3 * PS_PAGE_SIZE);
    if (!one_in(driver, 3))
        flags |= PS_VIRTUAL_MAY_MOVE;
    if (one_in(driver, 3))
        flags |= PS_FRAME_ZERO;
    if (one_in(driver, 40))
        flags |= 1u << pick(driver, 32);
    drive_virtual_resize(driver, va, one_in(driver, 50) ? 0 : bytes, flags);
}

static void step_look(struct virtual_driver *driver)
{
    drive_virtual_look(driver, some_pointer(driver));
}

static void step_overrun(struct virtual_driver *driver)
{
    uint64_t va = some_pointer(driver);

    drive_virtual_overrun(driver, va, pick(driver, 65536));
}

static void step_seldom(struct virtual_driver *driver)
{
    switch (pick(driver, 6)) {
    case 0:
        drive_virtual_foreign(driver, some_page(driver));
        return;
    case 1:
        if (one_in(driver, 6))
            drive_virtual_free_all(driver);
        return;
    default:
        drive_virtual_bad_call(driver, (unsigned)pick(driver, VIRTUAL_BAD_CALLS));
        return;
    }
}

enum { FULL = VIRTUAL_PIECES - 8, THOROUGH_EVERY = 16 };

void virtual_step(struct virtual_driver *driver)
{
    static void (*const steps[])(struct virtual_driver *) = {
        step_alloc,  step_alloc,      step_alloc,     step_alloc,  step_alloc_at, step_free,
        step_free,   step_free_sized, step_free_part, step_resize, step_resize,   step_look,
        step_resize, step_free_part,  step_overrun,   step_seldom,
    };

    if (one_in(driver, 6)) {
        driver->fails = true;
        driver->successes = pick(driver, 8);
        driver->for_good = one_in(driver, 2);
    }
    driver->thorough = driver->calls % THOROUGH_EVERY == 0;
    if (driver->oracle.count >= FULL)
        drive_virtual_free_all(driver);
    else
        steps[pick(driver, PS_ARRAY_SIZE(steps))](driver);
    driver->fails = false;
    virtual_compare(driver);
}
