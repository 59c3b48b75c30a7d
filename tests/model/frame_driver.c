#include "frame_driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hw.h"

/* ---- what went wrong ---- */

void driver_fail(struct frame_driver *driver, const char *format, ...)
{
    va_list arguments;

    if (driver->failed)
        return;
    driver->failed = true;
    va_start(arguments, format);
    vsnprintf(driver->failure, sizeof(driver->failure), format, arguments);
    va_end(arguments);
}

void driver_begin(struct frame_driver *driver, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(driver->lines[driver->calls % DRIVER_LINES], DRIVER_LINE, format, arguments);
    va_end(arguments);
    driver->calls++;
    driver->drained = false;
    driver->touched_count = 0;
    driver->bookkeeping = ORACLE_TAGS;
    driver->notified = 0;
}

static void note_answer(struct frame_driver *driver)
{
    char *line = driver->lines[(driver->calls - 1) % DRIVER_LINES];
    size_t length = strlen(line);

    snprintf(line + length, DRIVER_LINE - length, " -> %s", ps_status_name(driver->status));
}

/* The call that is judged may be the one that the test instrument lets fail. */
static unsigned with_failure(struct frame_driver *driver, unsigned may)
{
    if (!driver->fail_armed || driver->fail_left != 0 || (may & ORACLE_MAY(PS_OK)) == 0)
        return may;
    return (may & ~ORACLE_MAY(PS_OK)) | ORACLE_MAY(PS_NO_MEMORY);
}

bool driver_judge(struct frame_driver *driver, ps_status status, unsigned may, bool gives_frames)
{
    unsigned judged = gives_frames ? with_failure(driver, may) : may;

    driver->status = status;
    note_answer(driver);
    if ((judged & ORACLE_MAY(status)) == 0) {
        driver_fail(driver, "answers %s, set of allowed statuses 0x%x", ps_status_name(status),
                    judged);
        return false;
    }
    if (gives_frames && driver->fail_armed && status == PS_OK)
        driver->fail_left--;
    /* Where it may have failed for another reason as well, it is not clear what is armed now. */
    if (judged == may || driver->fail_for_good)
        return true;
    if (may == ORACLE_MAY(PS_OK))
        driver->fail_armed = false;
    else
        driver_fail_after(driver, UINT64_MAX, false);
    return true;
}

/* ---- contents of frames ---- */

static uint64_t stamp_of(uint64_t frame)
{
    return (frame ^ 0x5a5a5a5au) * 0x10001u + 1;
}

/* Of large units only the ends are written to: the host has less memory than the machine. */
static bool is_looked_at(uint64_t index, uint64_t pages)
{
    return pages <= 1024 || index == 0 || index == pages - 1;
}

void driver_stamp(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; driver->stamps && i < pages; i++) {
        uint64_t *words;

        if (!is_looked_at(i, pages))
            continue;
        words = ps_hw_frame(driver->machine, ps_frame(first + i));
        words[0] = stamp_of(first + i);
        words[PS_PAGE_SIZE / 8 - 1] = stamp_of(first + i);
        oracle_at(driver->oracle, first + i)->stamped = 1;
    }
}

void driver_look_at_stamps(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        const struct oracle_frame *f = oracle_at(driver->oracle, first + i);
        const uint64_t *words;

        if (f == NULL || f->state != ORACLE_UNIT || f->stamped == 0)
            continue;
        words = ps_hw_frame(driver->machine, ps_frame(first + i));
        if (words[0] != stamp_of(first + i) || words[PS_PAGE_SIZE / 8 - 1] != stamp_of(first + i))
            driver_fail(driver, "allocated frame 0x%" PS_PRIx " was written to", first + i);
    }
}

static void expect_zero(struct frame_driver *driver, uint64_t frame)
{
    const uint64_t *words = ps_hw_frame(driver->machine, ps_frame(frame));
    uint64_t bits = 0;

    for (unsigned i = 0; i < PS_PAGE_SIZE / 8; i++)
        bits |= words[i];
    if (bits != 0)
        driver_fail(driver, "frame 0x%" PS_PRIx " is not zero", frame);
}

/* The ends and the middle: validate looks at all of it. */
static void expect_pattern(struct frame_driver *driver, uint64_t frame)
{
    const uint8_t *bytes = ps_hw_frame(driver->machine, ps_frame(frame));

    uint64_t size = driver->oracle->fill_bytes;

    if (size != 0 && (bytes[0] != PS_FRAME_FILL_BYTE || bytes[size / 2] != PS_FRAME_FILL_BYTE ||
                      bytes[size - 1] != PS_FRAME_FILL_BYTE))
        driver_fail(driver, "free frame 0x%" PS_PRIx " has no pattern", frame);
}

/* ---- handing out ---- */

static bool can_be_handed_out(struct frame_driver *driver, uint64_t frame)
{
    const struct oracle_frame *f = oracle_at(driver->oracle, frame);

    if (f == NULL || f->state != ORACLE_FREE)
        driver_fail(driver, "frame 0x%" PS_PRIx " was handed out: it is not free", frame);
    else if (f->written)
        driver_fail(driver, "frame 0x%" PS_PRIx " was handed out: it was written to", frame);
    return !driver->failed;
}

void driver_took(struct frame_driver *driver, uint64_t first, uint64_t pages, enum ps_frame_tag tag,
                 unsigned flags)
{
    for (uint64_t i = 0; i < pages; i++) {
        if (!can_be_handed_out(driver, first + i))
            return;
        if ((flags & PS_FRAME_ZERO) != 0 && is_looked_at(i, pages))
            expect_zero(driver, first + i);
    }
    oracle_take(driver->oracle, first, pages, tag);
    driver_stamp(driver, first, pages);
    driver_touch(driver, first, pages);
}

/* ---- comparing frames ---- */

/* Frames from a place on, and some on either side. */
static void touch_window(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    uint64_t from = first - ps_min(first, DRIVER_BESIDE);
    uint64_t end = first + pages + DRIVER_BESIDE;
    struct oracle_touched *last = &driver->touched[ps_max(driver->touched_count, 1) - 1];

    if (driver->touched_count != 0 && from >= last->first && from <= last->first + last->pages)
        last->pages = ps_max(last->pages, end - last->first);
    else if (driver->touched_count < DRIVER_TOUCHED)
        driver->touched[driver->touched_count++] = (struct oracle_touched){from, end - from};
}

void driver_touch(struct frame_driver *driver, uint64_t first, uint64_t pages)
{
    if (pages <= DRIVER_BESIDE) {
        touch_window(driver, first, pages);
        return;
    }
    touch_window(driver, first, 1);
    touch_window(driver, first + (pages - 1), 1);
}

/* What only the pool knows: which frames its bookkeeping took, and which ones were damaged. */
static void learn(struct frame_driver *driver, struct oracle_frame *f, uint64_t frame,
                  const struct ps_frame_info *info)
{
    bool taken_later = f->state == ORACLE_TAGS || f->state == ORACLE_OTHER;

    if (f->state == ORACLE_FREE && info->managed && info->tag == PS_FRAME_METADATA) {
        *f = (struct oracle_frame){.state = (uint8_t)driver->bookkeeping, .holders = 1};
        f->back = (uint32_t)(frame - ps_min(frame, info->unit.number));
        f->pages = f->back == 0 ? (uint32_t)info->unit_pages.count : 0;
    } else if (taken_later && info->managed && info->tag == PS_FRAME_FREE) {
        *f = (struct oracle_frame){.state = ORACLE_FREE};
    } else if (f->state == ORACLE_FREE && f->written && info->tag == PS_FRAME_DAMAGED &&
               (driver->status == PS_CORRUPT || driver->withdraws)) {
        *f = (struct oracle_frame){
            .state = ORACLE_UNIT, .tag = PS_FRAME_DAMAGED, .pages = 1, .holders = 1};
    }
}

static bool unit_is_like(const struct frame_driver *driver, const struct oracle_frame *f,
                         uint64_t frame, const struct ps_frame_info *info)
{
    const struct oracle_frame *head = oracle_at(driver->oracle, frame - f->back);

    return info->unit.number == frame - f->back && info->unit_pages.count == head->pages &&
           info->lent == (f->loan != ORACLE_NO_LOAN) &&
           (info->holders == head->holders || f->tag == PS_FRAME_QUARANTINED ||
            f->tag == PS_FRAME_DAMAGED || f->tag == PS_FRAME_LOANED);
}

static bool is_like(const struct frame_driver *driver, const struct oracle_frame *f, uint64_t frame,
                    const struct ps_frame_info *info)
{
    switch ((enum oracle_state)f->state) {
    case ORACLE_ABSENT:
        return !info->managed;
    case ORACLE_FREE:
        return info->managed && info->tag == PS_FRAME_FREE && !info->lent &&
               info->unit_pages.count == 0 && info->holders == 0;
    case ORACLE_UNIT:
        return info->managed && info->tag == f->tag && unit_is_like(driver, f, frame, info);
    case ORACLE_BOOKS:
    case ORACLE_TAGS:
    case ORACLE_OTHER:
    default:
        return info->managed && info->tag == PS_FRAME_METADATA;
    }
}

/* To ask for a frame far from the head of its unit takes long: some are enough. */
static bool is_left_out(const struct frame_driver *driver, const struct oracle_frame *f)
{
    return f->state == ORACLE_UNIT && f->back > 16 && (f->back + driver->calls) % 64 != 0;
}

static void compare_frame(struct frame_driver *driver, struct oracle_frame *f, uint64_t frame)
{
    struct ps_frame_info info;
    ps_status status;

    if (is_left_out(driver, f))
        return;
    status = ps_frame_pool_query(driver->pool, ps_frame(frame), &info);
    if (status != PS_OK) {
        driver_fail(driver, "query of 0x%" PS_PRIx ": %s", frame, ps_status_name(status));
        return;
    }
    learn(driver, f, frame, &info);
    if (!is_like(driver, f, frame, &info))
        driver_fail(driver,
                    "frame 0x%" PS_PRIx " is %s tag %u, unit 0x%" PS_PRIx "+%" PS_PRIu ", %" PS_PRIu
                    " holders, lent %u; expected state %u tag %u back %u loan %u",
                    frame, info.managed ? "managed" : "absent", info.tag, info.unit.number,
                    info.unit_pages.count, info.holders, info.lent, f->state, f->tag, f->back,
                    f->loan);
    else if (f->state == ORACLE_FREE && !f->written)
        expect_pattern(driver, frame);
}

static void compare_touched(struct frame_driver *driver)
{
    for (uint64_t t = 0; t < driver->touched_count; t++)
        for (uint64_t i = 0; i < driver->touched[t].pages && !driver->failed; i++) {
            uint64_t frame = driver->touched[t].first + i;
            struct oracle_frame *f = oracle_at(driver->oracle, frame);

            if (f != NULL)
                compare_frame(driver, f, frame);
        }
}

static void compare_all(struct frame_driver *driver)
{
    for (uint64_t i = 0; i < driver->oracle->count && !driver->failed; i++)
        compare_frame(driver, &driver->oracle->frames[i], oracle_number(driver->oracle, i));
}

/* ---- comparing totals ---- */

static void expect_number(struct frame_driver *driver, const char *what, uint64_t actual,
                          uint64_t least, uint64_t most)
{
    if (actual < least || actual > most)
        driver_fail(driver, "%s is %" PS_PRIu ", expected %" PS_PRIu " to %" PS_PRIu, what, actual,
                    least, most);
}

#define EXPECT_SAME(field) \
    expect_number(driver, #field, now->field, sums->exact.field, sums->exact.field)

static void compare_tags_and_zones(struct frame_driver *driver)
{
    const struct ps_frame_pool_snapshot *now = &driver->now;
    const struct oracle_sums *sums = &driver->oracle->sums;

    for (unsigned i = 0; i < PS_FRAME_TAG_COUNT; i++)
        EXPECT_SAME(by_tag[i]);
    for (unsigned i = 0; i < PS_FRAME_ZONES; i++) {
        EXPECT_SAME(free_in[i]);
        EXPECT_SAME(managed_in[i]);
    }
}

static void compare_snapshot(struct frame_driver *driver)
{
    const struct ps_frame_pool_snapshot *now = &driver->now;
    const struct oracle_sums *sums = &driver->oracle->sums;

    EXPECT_SAME(managed);
    EXPECT_SAME(free);
    EXPECT_SAME(metadata);
    compare_tags_and_zones(driver);
    EXPECT_SAME(units_4k);
    EXPECT_SAME(units_2m);
    EXPECT_SAME(units_1g);
    EXPECT_SAME(run_frames);
    EXPECT_SAME(shared_units);
    EXPECT_SAME(whole_2m);
    EXPECT_SAME(whole_1g);
    EXPECT_SAME(loans);
    EXPECT_SAME(loans_out);
    EXPECT_SAME(loans_cancelled);
    EXPECT_SAME(quarantined_units);
    EXPECT_SAME(fill_bytes);
    EXPECT_SAME(damaged);
    EXPECT_SAME(promised);
    EXPECT_SAME(damaged_used);
    expect_number(driver, "available", now->available, sums->exact.available, sums->available_most);
    expect_number(driver, "free_late", now->free_late, sums->exact.free_late, sums->late_most);
}

static void compare_questions(struct frame_driver *driver)
{
    const struct ps_frame_pool_snapshot *now = &driver->now;
    uint64_t in_use = now->managed - now->free - now->metadata - now->by_tag[PS_FRAME_QUARANTINED];

    expect_number(driver, "in_use", ps_frame_pool_in_use(driver->pool),
                  in_use - now->by_tag[PS_FRAME_DAMAGED], in_use);
    expect_number(driver, "available, and not promised", now->available, now->promised, UINT64_MAX);
    expect_number(driver, "whole(4K) and promised",
                  ps_frame_pool_whole(driver->pool, PS_FRAME_4K) + now->promised, now->available,
                  now->available);
    expect_number(driver, "whole(2M)", ps_frame_pool_whole(driver->pool, PS_FRAME_2M),
                  now->whole_2m, now->whole_2m);
    expect_number(driver, "whole(1G)", ps_frame_pool_whole(driver->pool, PS_FRAME_1G),
                  now->whole_1g, now->whole_1g);
}

/*
 * Tags are there for units; where there are none, they have been given back. Low ones may stay
 * as long as something is promised.
 */
static void compare_bookkeeping(struct frame_driver *driver)
{
    const struct frame_oracle *oracle = driver->oracle;

    for (uint64_t i = 0; i < oracle->tract_count; i++) {
        expect_number(driver, "frames of tags in 16 MiB", oracle->tracts[i].tags, 0, 1);
        if (oracle->tracts[i].tags != 0 && oracle->tracts[i].units + oracle->tracts[i].other == 0 &&
            (i != 0 || oracle->promised == 0))
            driver_fail(driver, "16 MiB number %" PS_PRIu " keep tags of nothing", i);
    }
}

static void compare_notification(struct frame_driver *driver)
{
    const struct ps_frame_watermarks *marks = &driver->marks;
    uint64_t free = driver->now.free;
    bool outside = marks->notify != NULL && (free < marks->low || free > marks->high);

    expect_number(driver, "notifications", driver->notified, outside, outside);
    if (outside) {
        expect_number(driver, "notified of", driver->notified_free, free, free);
        driver->marks.notify = NULL;
    }
}

void driver_end(struct frame_driver *driver)
{
    struct ps_frame_pool_snapshot before = driver->now;
    uint64_t damaged = driver->oracle->sums.exact.damaged;
    bool failed = driver->status != PS_OK && driver->status != PS_CORRUPT;

    if (driver->failed || driver->brief)
        return;
    ps_frame_pool_snapshot(driver->pool, &driver->now);
    if (failed && memcmp(&before, &driver->now, sizeof(before)) != 0)
        driver_fail(driver, "a refused call has changed the totals");
    if (driver->every_frame || driver->status == PS_CORRUPT)
        compare_all(driver);
    else
        compare_touched(driver);
    oracle_sum(driver->oracle);
    if (!driver->failed && driver->oracle->sums.exact.metadata != driver->now.metadata) {
        compare_all(driver);
        oracle_sum(driver->oracle);
    }
    if (driver->status == PS_CORRUPT && driver->oracle->sums.exact.damaged == damaged)
        driver_fail(driver, "PS_CORRUPT, and no frame is damaged");
    compare_snapshot(driver);
    compare_questions(driver);
    compare_bookkeeping(driver);
    compare_notification(driver);
}

/* ---- the whole pool ---- */

static void keep_line(void *context, const char *text, size_t length)
{
    struct frame_driver *driver = context;
    size_t end = strlen(driver->failure);

    /* It comes in pieces. */
    driver->failed = true;
    snprintf(driver->failure + end, sizeof(driver->failure) - end, "%.*s", (int)length, text);
}

void driver_compare_frames(struct frame_driver *driver)
{
    bool every = driver->every_frame;

    driver->status = PS_OK;
    driver->touched_count = 0;
    driver->notified = 0;
    driver->every_frame = true;
    driver_end(driver);
    driver->every_frame = every;
}

void driver_compare(struct frame_driver *driver)
{
    struct ps_sink sink = {keep_line, driver};
    bool written = driver->oracle->sums.written != 0;
    ps_status status;

    if (driver->failed)
        return;
    status = ps_frame_pool_validate(driver->pool, written ? NULL : &sink);
    if (status != (written ? PS_CORRUPT : PS_OK))
        driver_fail(driver, "validate answers %s", ps_status_name(status));
    driver_compare_frames(driver);
}

void driver_start(struct frame_driver *driver, struct ps_frame_pool *pool,
                  struct frame_oracle *oracle)
{
    driver->pool = pool;
    driver->machine = pool->machine;
    driver->oracle = oracle;
    driver->bookkeeping = ORACLE_BOOKS;
    ps_frame_pool_snapshot(pool, &driver->fresh);
    driver->now = driver->fresh;
    driver_compare(driver);
    if (driver->oracle->sums.exact.metadata == 0)
        driver_fail(driver, "the pool has no books");
}
