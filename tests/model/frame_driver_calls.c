#include "frame_driver.h"

#include <limits.h>

#include "hw.h"

/* Where nothing else stands in the way, a frame that was written to does. */
static unsigned with_damage(const struct frame_driver *driver, unsigned may)
{
    bool can_be = driver->oracle->sums.written != 0 && (may & ORACLE_MAY(PS_OK)) != 0;

    return can_be ? may | ORACLE_MAY(PS_CORRUPT) : may;
}

/* ---- getting ---- */

/* One of the frames of scattered requests and single ones: free, or lent. */
static void took_single(struct frame_driver *driver, uint64_t frame, enum ps_frame_tag tag,
                        unsigned flags, uint64_t *borrowed)
{
    struct oracle_frame *f = oracle_at(driver->oracle, frame);

    if (f == NULL || f->state != ORACLE_UNIT || f->tag != PS_FRAME_LOANED ||
        f->loan != ORACLE_LENT || (flags & PS_FRAME_BORROW) == 0) {
        if (frame < driver->oracle->geometry.low)
            driver_fail(driver, "low frame 0x%" PS_PRIx " was handed out", frame);
        driver_took(driver, frame, 1, tag, flags);
        return;
    }
    f->tag = (uint8_t)tag;
    ++*borrowed;
    driver_stamp(driver, frame, 1);
    driver_touch(driver, frame, 1);
}

static ps_status alloc_single(struct frame_driver *driver, enum ps_frame_tag tag, unsigned flags)
{
    uint64_t due = (flags & PS_FRAME_BORROW) != 0 ? ps_min(1, driver->oracle->sums.borrowable) : 0;
    unsigned may = oracle_may_single(driver->oracle, driver->now.available, 1, flags);
    unsigned best = driver->drained ? oracle_best_rank(driver->oracle) : UINT_MAX;
    ps_frame_t frame = PS_FRAME_ANY;
    uint64_t borrowed = 0;
    ps_status status;

    driver_begin(driver, "alloc 4K tag %u flags %u", tag, flags);
    status = ps_frame_pool_alloc(driver->pool, PS_FRAME_4K, tag, flags, &frame);
    if (!driver_judge(driver, status, with_damage(driver, may), true))
        return status;
    if (status != PS_OK && frame.number != UINT64_MAX)
        driver_fail(driver, "a failed call wrote its result");
    if (status == PS_OK) {
        if (due == 0 && oracle_rank(driver->oracle, frame.number) > best)
            driver_fail(driver, "frame 0x%" PS_PRIx " was handed out before better ones",
                        frame.number);
        took_single(driver, frame.number, tag, flags, &borrowed);
        if (borrowed != due)
            driver_fail(driver, "lent frames are to be taken first");
    }
    driver_end(driver);
    return status;
}

ps_status driver_alloc(struct frame_driver *driver, enum ps_frame_size size, enum ps_frame_tag tag,
                       unsigned flags)
{
    const struct oracle_geometry *geometry = &driver->oracle->geometry;
    uint64_t pages = size == PS_FRAME_2M ? geometry->chunk : geometry->region;
    ps_frame_t frame = PS_FRAME_ANY;
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    if (size == PS_FRAME_4K)
        return alloc_single(driver, tag, flags);
    may = oracle_may_large(driver->oracle, driver->now.available, pages, flags);
    driver_begin(driver, "alloc size %u tag %u flags %u", size, tag, flags);
    status = ps_frame_pool_alloc(driver->pool, size, tag, flags, &frame);
    if (!driver_judge(driver, status, with_damage(driver, may), true))
        return status;
    if (status != PS_OK && frame.number != UINT64_MAX)
        driver_fail(driver, "a failed call wrote its result");
    if (status == PS_OK) {
        if (frame.number % pages != 0)
            driver_fail(driver, "frame 0x%" PS_PRIx " is not aligned", frame.number);
        driver_took(driver, frame.number, pages, tag, flags);
    }
    driver_end(driver);
    return status;
}

ps_status driver_run(struct frame_driver *driver, const struct ps_frame_run *run)
{
    ps_frame_t frame = PS_FRAME_ANY;
    uint64_t pages = run->pages.count;
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_run(driver->oracle, driver->now.available, run);
    driver_begin(driver, "run of %" PS_PRIu " align %" PS_PRIu " limit 0x%" PS_PRIx " tag %u/%u",
                 pages, run->alignment, run->limit.number, run->tag, run->flags);
    status = ps_frame_pool_alloc_run(driver->pool, run, &frame);
    if (!driver_judge(driver, status, with_damage(driver, may), true))
        return status;
    if (status != PS_OK && frame.number != UINT64_MAX)
        driver_fail(driver, "a failed call wrote its result");
    if (status == PS_OK) {
        if (frame.number % ps_max(run->alignment, 1) != 0)
            driver_fail(driver, "frame 0x%" PS_PRIx " is not aligned", frame.number);
        if (frame.number < oracle_lowest(driver->oracle, run->limit.number) ||
            frame.number > run->limit.number || pages - 1 > run->limit.number - frame.number)
            driver_fail(driver, "frame 0x%" PS_PRIx " is not within the limit", frame.number);
        driver_took(driver, frame.number, pages, run->tag, run->flags);
    }
    driver_end(driver);
    return status;
}

ps_status driver_scattered(struct frame_driver *driver, uint64_t count, enum ps_frame_tag tag,
                           unsigned flags)
{
    uint64_t due =
        (flags & PS_FRAME_BORROW) != 0 ? ps_min(count, driver->oracle->sums.borrowable) : 0;
    ps_frame_t frames[DRIVER_SCATTERED];
    uint64_t borrowed = 0;
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_single(driver->oracle, driver->now.available, count, flags);
    driver_begin(driver, "scattered %" PS_PRIu " tag %u flags %u", count, tag, flags);
    status = ps_frame_pool_alloc_scattered(driver->pool, count, tag, flags, frames);
    if (!driver_judge(driver, status, with_damage(driver, may), true))
        return status;
    for (uint64_t i = 0; status == PS_OK && i < count; i++)
        took_single(driver, frames[i].number, tag, flags, &borrowed);
    if (status == PS_OK && borrowed != due)
        driver_fail(driver, "lent frames are to be taken first");
    driver_end(driver);
    return status;
}

ps_status driver_claim(struct frame_driver *driver, uint64_t first, uint64_t pages,
                       enum ps_frame_tag tag)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_claim(driver->oracle, driver->now.available, first, pages, tag);
    driver_begin(driver, "claim 0x%" PS_PRIx "+%" PS_PRIu " tag %u", first, pages, tag);
    status = ps_frame_pool_claim(driver->pool, ps_frame(first), ps_pages(pages), tag);
    if (!driver_judge(driver, status, with_damage(driver, may), true))
        return status;
    if (status == PS_OK)
        driver_took(driver, first, pages, tag, 0);
    driver_end(driver);
    return status;
}

/* ---- giving back ---- */

/* The unit that leaves quarantine when one more is given back. */
static void touch_oldest(struct frame_driver *driver)
{
    const struct frame_oracle *oracle = driver->oracle;

    if (oracle->quarantine != 0 && oracle->detained_count == oracle->quarantine)
        driver_touch(driver, oracle->detained[0], oracle_at(oracle, oracle->detained[0])->pages);
}

/* What will not be its owner's any more holds what the owner wrote. */
static void look_at_unit(struct frame_driver *driver, uint64_t first, uint64_t pages, unsigned may)
{
    if ((may & ORACLE_MAY(PS_OK)) != 0)
        driver_look_at_stamps(driver, first, pages);
}

ps_status driver_free(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_unit(driver->oracle, first, pages);
    look_at_unit(driver, first, pages, may);
    driver_begin(driver, "free 0x%" PS_PRIx "+%" PS_PRIu, first, pages);
    status = ps_frame_pool_free(driver->pool, ps_frame(first), ps_pages(pages));
    if (!driver_judge(driver, status, may, false))
        return status;
    if (status == PS_OK) {
        driver_touch(driver, first, pages);
        touch_oldest(driver);
        oracle_free(driver->oracle, first);
    }
    driver_end(driver);
    return status;
}

ps_status driver_split(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_unit(driver->oracle, first, pages);
    if (may == ORACLE_MAY(PS_OK) && oracle_at(driver->oracle, first)->holders > 1)
        may = ORACLE_MAY(PS_ACCESS_DENIED);
    driver_begin(driver, "split 0x%" PS_PRIx "+%" PS_PRIu, first, pages);
    status = ps_frame_pool_split(driver->pool, ps_frame(first), ps_pages(pages));
    if (!driver_judge(driver, status, may, false))
        return status;
    if (status == PS_OK) {
        driver_touch(driver, first, pages);
        oracle_cut(driver->oracle, first);
    }
    driver_end(driver);
    return status;
}

ps_status driver_share(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_share(driver->oracle, first, pages);
    driver_begin(driver, "share 0x%" PS_PRIx "+%" PS_PRIu, first, pages);
    driver->bookkeeping = ORACLE_OTHER;
    status = ps_frame_pool_share(driver->pool, ps_frame(first), ps_pages(pages));
    if (!driver_judge(driver, status, may, true))
        return status;
    if (status == PS_OK) {
        driver_touch(driver, first, pages);
        oracle_at(driver->oracle, first)->holders++;
    }
    driver_end(driver);
    return status;
}

/* ---- loans ---- */

ps_status driver_lend(struct frame_driver *driver, uint64_t frame)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_lend(driver->oracle, frame);
    look_at_unit(driver, frame, 1, may);
    driver_begin(driver, "lend 0x%" PS_PRIx, frame);
    status = ps_frame_pool_lend(driver->pool, ps_frame(frame));
    if (!driver_judge(driver, status, may, true))
        return status;
    if (status == PS_OK) {
        struct oracle_frame *f = oracle_at(driver->oracle, frame);

        driver_touch(driver, frame, 1);
        f->loan = ORACLE_LENT;
        f->tag = PS_FRAME_LOANED;
        f->stamped = 0;
    }
    driver_end(driver);
    return status;
}

ps_status driver_cancel_loan(struct frame_driver *driver, uint64_t frame)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_cancel(driver->oracle, frame);
    driver_begin(driver, "cancel 0x%" PS_PRIx, frame);
    status = ps_frame_pool_cancel_loan(driver->pool, ps_frame(frame));
    if (!driver_judge(driver, status, may, false))
        return status;
    if (status == PS_OK) {
        driver_touch(driver, frame, 1);
        oracle_at(driver->oracle, frame)->loan = ORACLE_CANCELLED;
    }
    driver_end(driver);
    return status;
}

ps_status driver_end_loan(struct frame_driver *driver, uint64_t frame, enum ps_frame_tag tag)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_end(driver->oracle, frame);
    driver_begin(driver, "end loan 0x%" PS_PRIx " tag %u", frame, tag);
    status = ps_frame_pool_end_loan(driver->pool, ps_frame(frame), tag);
    if (!driver_judge(driver, status, may, false))
        return status;
    if (status == PS_OK) {
        struct oracle_frame *f = oracle_at(driver->oracle, frame);

        driver_touch(driver, frame, 1);
        f->loan = ORACLE_NO_LOAN;
        f->tag = (uint8_t)tag;
        /* From now on the list of lent frames must not lead through it. */
        driver_stamp(driver, frame, 1);
    }
    driver_end(driver);
    return status;
}

/* ---- more memory ---- */

ps_status driver_add(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = oracle_may_add(driver->oracle, first, pages);
    driver_begin(driver, "add 0x%" PS_PRIx "+%" PS_PRIu, first, pages);
    status = ps_frame_pool_add(driver->pool, ps_frame(first), ps_pages(pages));
    if (!driver_judge(driver, status, may, false))
        return status;
    if (status == PS_OK) {
        driver_touch(driver, first, pages);
        oracle_add(driver->oracle, first, pages);
    }
    driver_end(driver);
    return status;
}
