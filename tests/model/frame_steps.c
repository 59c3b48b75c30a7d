#include "frame_steps.h"

struct step {
    struct frame_driver *driver;
    const struct frame_choices *choices;
};

static uint64_t pick(const struct step *step, uint64_t bound)
{
    return step->choices->pick(step->choices->context, bound);
}

static enum ps_frame_tag pick_tag(const struct step *step)
{
    static const enum ps_frame_tag tags[] = {PS_FRAME_USER, PS_FRAME_USER, PS_FRAME_TABLE,
                                             PS_FRAME_LENT};

    return tags[pick(step, PS_ARRAY_SIZE(tags))];
}

static unsigned pick_flags(const struct step *step, uint64_t pages, unsigned of)
{
    unsigned flags = (unsigned)pick(step, 8) & of;

    return pages > step->choices->zero_most ? flags & ~(unsigned)PS_FRAME_ZERO : flags;
}

static uint64_t pick_frame(const struct step *step)
{
    const struct frame_oracle *oracle = step->driver->oracle;

    return oracle_number(oracle, pick(step, oracle->count));
}

/* The first frame of a unit, rather one that can go back; false when there is none. */
static bool pick_unit(const struct step *step, uint64_t *first, uint64_t *pages)
{
    const struct frame_oracle *oracle = step->driver->oracle;
    uint64_t index = oracle_find_unit(oracle, pick(step, oracle->count));
    bool any = pick(step, 16) == 0;

    for (unsigned i = 0;
         i < 64 && !any && index != oracle->count && oracle->frames[index].tag <= PS_FRAME_DAMAGED;
         i++)
        index = oracle_find_unit(oracle, (index + 1) % oracle->count);
    if (index == oracle->count)
        return false;
    *first = oracle_number(oracle, index);
    *pages = oracle->frames[index].pages;
    return true;
}

/* ---- getting ---- */

static void step_single(const struct step *step)
{
    enum ps_frame_tag tag = pick_tag(step);

    (void)driver_alloc(step->driver, PS_FRAME_4K, tag,
                       pick_flags(step, 1, PS_FRAME_ZERO | PS_FRAME_CAN_WAIT | PS_FRAME_BORROW));
}

static void step_large(const struct step *step)
{
    const struct oracle_geometry *geometry = &step->driver->oracle->geometry;
    enum ps_frame_size size = pick(step, 4) == 0 ? PS_FRAME_1G : PS_FRAME_2M;
    uint64_t pages = size == PS_FRAME_2M ? geometry->chunk : geometry->region;
    enum ps_frame_tag tag = pick_tag(step);

    (void)driver_alloc(step->driver, size, tag,
                       pick_flags(step, pages, PS_FRAME_ZERO | PS_FRAME_CAN_WAIT));
}

static uint64_t pick_pages(const struct step *step)
{
    const struct oracle_geometry *geometry = &step->driver->oracle->geometry;

    switch (pick(step, 8)) {
    case 0:
        return geometry->chunk * (1 + pick(step, 3));
    case 1:
        return 1 + pick(step, step->choices->run_most);
    case 2:
        return geometry->chunk + 1 + pick(step, 20);
    case 3:
        return ps_min(geometry->tract, step->choices->run_most);
    default:
        return 1 + pick(step, 40);
    }
}

static uint64_t pick_limit(const struct step *step)
{
    const struct oracle_geometry *geometry = &step->driver->oracle->geometry;

    switch (pick(step, 8)) {
    case 0:
        return geometry->low - 1;
    case 1:
        return geometry->four_gib - 1;
    case 2:
        return pick_frame(step);
    case 3:
        return pick(step, geometry->low);
    default:
        return UINT64_MAX;
    }
}

static void step_run(const struct step *step)
{
    struct ps_frame_run run = {
        .pages = ps_pages(pick_pages(step)),
        .alignment = pick(step, 2) == 0 ? 0 : (uint64_t)1 << pick(step, 11),
        .limit = ps_frame(pick_limit(step)),
        .tag = pick_tag(step),
    };

    run.flags = pick_flags(step, run.pages.count, PS_FRAME_ZERO | PS_FRAME_CAN_WAIT);
    (void)driver_run(step->driver, &run);
}

/* Now and then nearly all frames that are left, or one more. */
static void step_scattered(const struct step *step)
{
    uint64_t count = 1 + pick(step, 12);
    uint64_t available = step->driver->now.available - step->driver->now.promised;
    enum ps_frame_tag tag = pick_tag(step);

    if (available != 0 && available < DRIVER_SCATTERED && pick(step, 2) == 0)
        count = available + pick(step, 2);
    (void)driver_scattered(
        step->driver, count, tag,
        pick_flags(step, count, PS_FRAME_ZERO | PS_FRAME_CAN_WAIT | PS_FRAME_BORROW));
}

static void step_claim(const struct step *step)
{
    uint64_t first = pick_frame(step);
    uint64_t pages = pick_pages(step);

    (void)driver_claim(step->driver, first, pages, pick_tag(step));
}

/* What is left of a small machine, or most of it: so that its ends are seen. */
static void step_exhaust(const struct step *step)
{
    struct frame_driver *driver = step->driver;
    enum ps_frame_tag tag = pick_tag(step);
    uint64_t leave = pick(step, 4);

    leave += driver->now.promised;
    for (unsigned i = 0; i < 6 && driver->now.available > leave && !driver->failed; i++)
        if (driver_scattered(driver, ps_min(driver->now.available - leave, DRIVER_SCATTERED), tag,
                             0) != PS_OK)
            return;
}

/* ---- giving back ---- */

static void step_free(const struct step *step)
{
    uint64_t first;
    uint64_t pages;

    if (pick_unit(step, &first, &pages))
        (void)driver_free(step->driver, first, pages);
}

static void step_free_many(const struct step *step)
{
    for (uint64_t left = 1 + pick(step, 24); left > 0 && !step->driver->failed; left--)
        step_free(step);
}

static void step_free_wrong(const struct step *step)
{
    uint64_t first = pick_frame(step);
    uint64_t pages = pick(step, 4);

    if (pick(step, 2) == 0 && pick_unit(step, &first, &pages))
        pages = pick(step, 2) == 0 ? pages + 1 : pages / 2;
    (void)driver_free(step->driver, first, pages);
}

static void step_split(const struct step *step)
{
    uint64_t first = pick_frame(step);
    uint64_t pages = 1;

    if (pick(step, 8) != 0)
        (void)pick_unit(step, &first, &pages);
    if (pages <= 4 * step->driver->oracle->geometry.chunk)
        (void)driver_split(step->driver, first, pages);
}

static void step_share(const struct step *step)
{
    uint64_t first = pick_frame(step);
    uint64_t pages = 1 + pick(step, 2);

    if (pick(step, 8) != 0)
        (void)pick_unit(step, &first, &pages);
    (void)driver_share(step->driver, first, pages);
}

/* ---- loans ---- */

/* A frame that is lent, if there is one. */
static uint64_t pick_lent(const struct step *step)
{
    const struct frame_oracle *oracle = step->driver->oracle;
    uint64_t start = pick(step, oracle->count);

    for (uint64_t i = 0; oracle->sums.exact.loans != 0 && i < oracle->count; i++)
        if (oracle->frames[(start + i) % oracle->count].loan != ORACLE_NO_LOAN)
            return oracle_number(oracle, (start + i) % oracle->count);
    return oracle_number(oracle, start);
}

static void step_loan(const struct step *step)
{
    struct frame_driver *driver = step->driver;
    uint64_t frame = pick_frame(step);
    uint64_t pages;

    switch (pick(step, 6)) {
    case 0:
        (void)driver_cancel_loan(driver, pick_lent(step));
        return;
    case 1:
        frame = pick_lent(step);
        (void)driver_end_loan(driver, frame, pick_tag(step));
        return;
    case 2:
        (void)driver_lend(driver, frame);
        return;
    default:
        if (pick_unit(step, &frame, &pages))
            (void)driver_lend(driver, frame);
    }
}

static void step_borrow(const struct step *step)
{
    enum ps_frame_tag tag = pick_tag(step);

    if (pick(step, 2) == 0)
        (void)driver_alloc(step->driver, PS_FRAME_4K, tag,
                           PS_FRAME_BORROW | pick_flags(step, 1, PS_FRAME_ZERO));
    else
        (void)driver_scattered(step->driver, 1 + pick(step, 4), tag, PS_FRAME_BORROW);
}

/* ---- promises ---- */

static void step_promise(const struct step *step)
{
    struct frame_driver *driver = step->driver;
    uint64_t spare = driver->now.available - driver->now.promised;

    switch (pick(step, 4)) {
    case 0:
        (void)driver_unpromise(driver, pick(step, driver->now.promised + 2));
        return;
    case 1:
        for (uint64_t left = 1 + pick(step, 8); left > 0 && !driver->failed; left--)
            (void)driver_alloc_promised(driver, pick_tag(step), pick_flags(step, 1, PS_FRAME_ZERO));
        return;
    case 2:
        (void)driver_promise(driver, spare - ps_min(spare, pick(step, 20)));
        return;
    default:
        (void)driver_promise(driver, pick(step, 40));
    }
}

/* ---- the rest ---- */

/* Ranges that the map does not show as free, piece by piece. */
static void step_add(const struct step *step)
{
    uint64_t first = pick_frame(step);
    uint64_t pages = 1 + pick(step, 64);
    const struct frame_oracle *oracle = step->driver->oracle;

    for (uint64_t i = 0; i < pages; i++) {
        const struct oracle_frame *f = oracle_at(oracle, first + i);

        /* What is no RAM of the machine must not be added: there is nothing to write to. */
        if (f == NULL) {
            pages = i;
            break;
        }
    }
    if (pages != 0)
        (void)driver_add(step->driver, first, pages);
}

static void step_quarantine(const struct step *step)
{
    uint64_t frees = pick(step, 3) == 0 ? 0 : 1 + pick(step, pick(step, 4) == 0 ? 600 : 8);

    /* Not said: what the same number does. */
    if (frees == 0 || frees != step->driver->oracle->quarantine)
        (void)driver_quarantine(step->driver, frees);
}

static void step_fill(const struct step *step)
{
    if (step->choices->instruments)
        driver_fill(step->driver, pick(step, 2) == 0 ? 0 : 8 * pick(step, 513));
}

static void step_spoil(const struct step *step)
{
    if (step->choices->instruments)
        driver_spoil(step->driver, pick_frame(step));
}

static void step_limits(const struct step *step)
{
    struct frame_driver *driver = step->driver;
    uint64_t free = driver->now.free;
    uint64_t margin = pick(step, 40);

    if (pick(step, 3) == 0)
        driver_wait_level(driver, pick(step, 3) == 0 ? 0 : pick(step, free + 10));
    else
        driver_watch(driver, free > margin ? free - margin : 0, free + pick(step, 40));
}

static void step_failure(const struct step *step)
{
    bool clean = step->driver->oracle->sums.written == 0;
    uint64_t successes = pick(step, 8);

    if (clean && step->driver->fail_armed)
        driver_fail_after(step->driver, UINT64_MAX, false);
    else if (clean)
        driver_fail_after(step->driver, successes, pick(step, 4) == 0);
}

static void step_rare(const struct step *step)
{
    switch (pick(step, 4)) {
    case 0:
        driver_misuse(step->driver);
        return;
    case 1:
        driver_drain(step->driver);
        (void)driver_alloc(step->driver, PS_FRAME_4K, pick_tag(step), 0);
        return;
    case 2:
        step_exhaust(step);
        return;
    default:
        driver_compare(step->driver);
    }
}

void frame_step(struct frame_driver *driver, const struct frame_choices *choices)
{
    static void (*const steps[])(const struct step *step) = {
        step_single, step_single,    step_single,     step_large, step_large,      step_run,
        step_run,    step_run,       step_promise,    step_claim, step_claim,      step_scattered,
        step_free,   step_free,      step_free,       step_free,  step_free,       step_free,
        step_free,   step_free_many, step_free_wrong, step_split, step_share,      step_share,
        step_loan,   step_loan,      step_borrow,     step_add,   step_quarantine, step_fill,
        step_spoil,  step_limits,    step_failure,    step_rare,
    };
    const struct step step = {driver, choices};

    steps[choices->pick(choices->context, PS_ARRAY_SIZE(steps))](&step);
}
