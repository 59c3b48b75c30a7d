#include "frame_driver.h"

#include <string.h>

#include "hw.h"

/* ---- instruments ---- */

/* The list is a run of whole frames, 16 bytes a unit. It may lie in what leaves quarantine. */
static unsigned may_quarantine(const struct frame_driver *driver, uint64_t frees)
{
    const struct ps_frame_run run = {
        .pages = ps_pages_of_bytes(frees * 16),
        .limit = PS_FRAME_ANY,
        .tag = PS_FRAME_METADATA,
    };
    unsigned may;

    if (frees == 0)
        return ORACLE_MAY(PS_OK);
    may = oracle_may_run(driver->oracle, driver->now.available, &run);
    return driver->oracle->quarantine != 0 ? may | ORACLE_MAY(PS_OK) : may;
}

ps_status driver_quarantine(struct frame_driver *driver, uint64_t frees)
{
    bool every = driver->every_frame;
    unsigned may;
    ps_status status;

    if (driver->failed)
        return PS_CORRUPT;
    may = may_quarantine(driver, frees);
    driver_begin(driver, "quarantine %" PS_PRIu, frees);
    driver->bookkeeping = ORACLE_OTHER;
    status = ps_frame_pool_quarantine(driver->pool, frees);
    if (!driver_judge(driver, status, may, frees != 0))
        return status;
    if (status == PS_OK) {
        oracle_quarantine(driver->oracle, frees);
        /* One list may have taken the place of another of the same length: look everywhere. */
        driver->every_frame = true;
    }
    driver_end(driver);
    driver->every_frame = every;
    return status;
}

void driver_fill(struct frame_driver *driver, uint64_t bytes)
{
    if (driver->failed)
        return;
    driver_begin(driver, "fill %" PS_PRIu, bytes);
    if (!driver_judge(driver, ps_frame_pool_fill(driver->pool, bytes), ORACLE_MAY(PS_OK), false))
        return;
    driver->oracle->fill_bytes = bytes;
    for (uint64_t i = 0; i < driver->oracle->count; i++)
        driver->oracle->frames[i].written = 0;
    driver_end(driver);
}

void driver_spoil(struct frame_driver *driver, uint64_t frame)
{
    struct oracle_frame *f = oracle_at(driver->oracle, frame);
    uint8_t *bytes;

    if (driver->failed || f == NULL || f->state != ORACLE_FREE || driver->oracle->fill_bytes == 0 ||
        driver->fail_armed)
        return;
    driver_begin(driver, "write to free 0x%" PS_PRIx, frame);
    bytes = ps_hw_frame(driver->machine, ps_frame(frame));
    bytes[frame % driver->oracle->fill_bytes] = 0;
    f->written = 1;
    driver->status = PS_OK;
    driver_end(driver);
}

void driver_wait_level(struct frame_driver *driver, uint64_t frames)
{
    if (driver->failed)
        return;
    driver_begin(driver, "wait level %" PS_PRIu, frames);
    if (driver_judge(driver, ps_frame_pool_set_wait_level(driver->pool, frames), ORACLE_MAY(PS_OK),
                     false))
        driver->oracle->wait_level = frames;
    driver_end(driver);
}

static void be_notified(void *context, uint64_t free_frames)
{
    struct frame_driver *driver = context;

    driver->notified++;
    driver->notified_free = free_frames;
}

void driver_watch(struct frame_driver *driver, uint64_t low, uint64_t high)
{
    const struct ps_frame_watermarks marks = {low, high, be_notified, driver};

    if (driver->failed)
        return;
    driver_begin(driver, "watch %" PS_PRIu " to %" PS_PRIu, low, high);
    if (driver_judge(driver, ps_frame_pool_watch(driver->pool, &marks), ORACLE_MAY(PS_OK), false))
        driver->marks = marks;
    driver_end(driver);
}

static void watch_no_more(struct frame_driver *driver)
{
    if (driver->failed)
        return;
    driver_begin(driver, "watch no more");
    if (driver_judge(driver, ps_frame_pool_watch(driver->pool, NULL), ORACLE_MAY(PS_OK), false))
        driver->marks.notify = NULL;
    driver_end(driver);
}

void driver_fail_after(struct frame_driver *driver, uint64_t successes, bool for_good)
{
    if (driver->failed)
        return;
    ps_frame_pool_fail_after(driver->pool, successes, for_good);
    driver->fail_armed = successes != UINT64_MAX;
    driver->fail_left = successes;
    driver->fail_for_good = for_good;
}

void driver_drain(struct frame_driver *driver)
{
    if (driver->failed)
        return;
    driver_begin(driver, "drain");
    ps_frame_pool_drain(driver->pool);
    driver->status = PS_OK;
    driver_end(driver);
    driver->drained = true;
}

/* ---- misuse ---- */

static void expect_status(struct frame_driver *driver, const char *what, ps_status actual,
                          ps_status expected)
{
    if (actual != expected)
        driver_fail(driver, "%s answers %s, expected %s", what, ps_status_name(actual),
                    ps_status_name(expected));
}

#define EXPECT_ANSWER(call, expected) expect_status(driver, #call, call, expected)

static void misuse_alloc(struct frame_driver *driver)
{
    struct ps_frame_pool *pool = driver->pool;
    ps_frame_t frame = ps_frame(7);

    EXPECT_ANSWER(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_FREE, 0, &frame),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_DAMAGED, 0, &frame),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_TAG_COUNT, 0, &frame),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc(pool, (enum ps_frame_size)3, PS_FRAME_USER, 0, &frame),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 8, &frame),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc(pool, PS_FRAME_2M, PS_FRAME_USER, PS_FRAME_BORROW, &frame),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, NULL), PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc_scattered(pool, 1, PS_FRAME_LOANED, 0, &frame),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_alloc_scattered(pool, 1, PS_FRAME_USER, 0, NULL), PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_claim(pool, ps_frame(1), ps_pages(0), PS_FRAME_USER),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_claim(pool, ps_frame(1), ps_pages(1), PS_FRAME_METADATA),
                  PS_INVALID_ARGS);
    EXPECT_ANSWER(
        ps_frame_pool_claim(pool, ps_frame(UINT64_MAX), ps_pages(UINT64_MAX), PS_FRAME_USER),
        PS_NOT_FOUND);
    if (frame.number != 7)
        driver_fail(driver, "a refused call wrote its result");
}

static ps_status try_run(struct frame_driver *driver, uint64_t pages, uint64_t alignment,
                         unsigned flags)
{
    const struct ps_frame_run run = {ps_pages(pages), alignment, PS_FRAME_ANY, PS_FRAME_USER,
                                     flags};
    ps_frame_t frame;

    return ps_frame_pool_alloc_run(driver->pool, &run, &frame);
}

static void misuse_run(struct frame_driver *driver)
{
    EXPECT_ANSWER(try_run(driver, 0, 1, 0), PS_INVALID_ARGS);
    EXPECT_ANSWER(try_run(driver, 1, 3, 0), PS_INVALID_ARGS);
    EXPECT_ANSWER(try_run(driver, 1, UINT64_MAX, 0), PS_INVALID_ARGS);
    EXPECT_ANSWER(try_run(driver, 1, 1, PS_FRAME_BORROW), PS_INVALID_ARGS);
    EXPECT_ANSWER(try_run(driver, UINT64_MAX, 1, 0), PS_NO_MEMORY);
    EXPECT_ANSWER(try_run(driver, UINT64_MAX / 2 + 1, (uint64_t)1 << 63, 0), PS_NO_MEMORY);
}

static void misuse_units(struct frame_driver *driver)
{
    struct ps_frame_pool *pool = driver->pool;
    const ps_frame_t wild = ps_frame(UINT64_MAX);
    const ps_pages_t one = ps_pages(1);

    EXPECT_ANSWER(ps_frame_pool_free(pool, wild, one), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_free(pool, wild, ps_pages(UINT64_MAX)), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_free(pool, ps_frame(0), one), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_free(pool, ps_frame((uint64_t)1 << 52), one), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_split(pool, wild, one), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_share(pool, wild, one), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_lend(pool, wild), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_cancel_loan(pool, wild), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_end_loan(pool, wild, PS_FRAME_USER), PS_OUT_OF_RANGE);
    EXPECT_ANSWER(ps_frame_pool_add(pool, ps_frame(1), ps_pages(0)), PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_add(pool, wild, ps_pages(2)), PS_OUT_OF_RANGE);
}

static void misuse_instruments(struct frame_driver *driver)
{
    struct ps_frame_pool *pool = driver->pool;
    const struct ps_frame_watermarks nobody = {0, 1, NULL, NULL};
    const struct ps_frame_watermarks crossed = {2, 1, be_notified, driver};

    EXPECT_ANSWER(ps_frame_pool_watch(pool, &nobody), PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_watch(pool, &crossed), PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_fill(pool, 12), PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_fill(pool, PS_PAGE_SIZE + 8), PS_INVALID_ARGS);
    EXPECT_ANSWER(ps_frame_pool_query(pool, ps_frame(1), NULL), PS_INVALID_ARGS);
}

void driver_misuse(struct frame_driver *driver)
{
    if (driver->failed)
        return;
    driver_begin(driver, "misuse");
    driver->status = PS_INVALID_ARGS;
    misuse_alloc(driver);
    misuse_run(driver);
    misuse_units(driver);
    misuse_instruments(driver);
    driver_end(driver);
}

/* ---- the end ---- */

static bool is_lent(const struct oracle_frame *f)
{
    return f->state == ORACLE_UNIT && f->loan != ORACLE_NO_LOAN;
}

static void finish_loans(struct frame_driver *driver)
{
    for (uint64_t i = 0; i < driver->oracle->count && !driver->failed; i++) {
        const struct oracle_frame *f = &driver->oracle->frames[i];
        uint64_t frame = oracle_number(driver->oracle, i);

        while (is_lent(f) && f->tag != PS_FRAME_LOANED && !driver->failed)
            (void)driver_free(driver, frame, 1);
        if (is_lent(f))
            (void)driver_end_loan(driver, frame, PS_FRAME_USER);
    }
}

/* They are many, and to compare everything takes long. */
static void finish_units(struct frame_driver *driver)
{
    uint64_t freed = 0;

    for (uint64_t i = 0; i < driver->oracle->count && !driver->failed; i++) {
        const struct oracle_frame *f = &driver->oracle->frames[i];

        while (f->state == ORACLE_UNIT && f->back == 0 && f->tag != PS_FRAME_DAMAGED &&
               !driver->failed) {
            driver->brief = freed++ % 16 != 0;
            (void)driver_free(driver, oracle_number(driver->oracle, i), f->pages);
        }
    }
    driver->brief = false;
}

void driver_finish(struct frame_driver *driver)
{
    driver->every_frame = false;
    driver_fail_after(driver, UINT64_MAX, false);
    watch_no_more(driver);
    (void)driver_quarantine(driver, 0);
    (void)driver_unpromise(driver, driver->oracle->promised);
    finish_loans(driver);
    finish_units(driver);
    driver_compare(driver);
    if (!driver->failed && driver->now.damaged == 0 &&
        driver->now.metadata != driver->fresh.metadata)
        driver_fail(driver, "%" PS_PRIu " frames of bookkeeping are left, at first %" PS_PRIu,
                    driver->now.metadata, driver->fresh.metadata);
    if (!driver->failed && ps_frame_pool_in_use(driver->pool) > driver->now.damaged)
        driver_fail(driver, "in use, though everything was given back");
}
