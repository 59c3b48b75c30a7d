#include "frame_driver.h"

ps_status driver_promise(struct frame_driver *driver, uint64_t frames)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_promise(driver->oracle, driver->now.available, frames);
    driver_begin(driver, "promise %" PS_PRIu, frames);
    status = ps_frame_pool_promise(driver->pool, ps_pages(frames));
    if (!driver_judge(driver, status, may, frames != 0))
        return status;
    if (status == PS_OK)
        driver->oracle->promised += frames;
    driver_end(driver);
    return status;
}

ps_status driver_unpromise(struct frame_driver *driver, uint64_t frames)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_unpromise(driver->oracle, frames);
    driver_begin(driver, "unpromise %" PS_PRIu, frames);
    status = ps_frame_pool_unpromise(driver->pool, ps_pages(frames));
    if (!driver_judge(driver, status, may, false))
        return status;
    if (status == PS_OK)
        driver->oracle->promised -= frames;
    driver_end(driver);
    return status;
}

/*
 * A frame that was written to is handed out only where as many frames as there were beside the
 * promised ones have been withdrawn.
 */
static void look_at_damage(struct frame_driver *driver, uint64_t frame)
{
    struct ps_frame_pool_snapshot before = driver->now;
    struct oracle_frame *f = oracle_at(driver->oracle, frame);

    if (f == NULL || f->state != ORACLE_FREE || !f->written)
        return;
    f->written = 0;
    driver->oracle->damaged_used++;
    ps_frame_pool_snapshot(driver->pool, &driver->now);
    if (driver->now.available != driver->now.promised)
        driver_fail(driver, "frame 0x%" PS_PRIx " was handed out damaged, beside others", frame);
    driver->now = before;
}

ps_status driver_alloc_promised(struct frame_driver *driver, enum ps_frame_tag tag, unsigned flags)
{
    bool every = driver->every_frame;
    ps_frame_t frame = PS_FRAME_ANY;
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = ORACLE_MAY(driver->oracle->promised != 0 ? PS_OK : PS_BAD_STATE);
    driver_begin(driver, "alloc promised tag %u flags %u", tag, flags);
    status = ps_frame_pool_alloc_promised(driver->pool, tag, flags, &frame);
    if (!driver_judge(driver, status, may, false))
        return status;
    if (status != PS_OK && frame.number != UINT64_MAX)
        driver_fail(driver, "a failed call wrote its result");
    if (status == PS_OK) {
        if (frame.number < driver->oracle->geometry.low)
            driver_fail(driver, "low frame 0x%" PS_PRIx " was handed out", frame.number);
        driver->oracle->promised--;
        look_at_damage(driver, frame.number);
        driver_took(driver, frame.number, 1, tag, flags);
        /* Frames may have been withdrawn, and nothing says so. */
        driver->withdraws = driver->oracle->sums.written != 0;
        driver->every_frame = every || driver->withdraws;
    }
    driver_end(driver);
    driver->every_frame = every;
    driver->withdraws = false;
    return status;
}
