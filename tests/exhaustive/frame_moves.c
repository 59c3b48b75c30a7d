#include "frame_search.h"

#include <stdio.h>

static bool has(const struct scenario *scenario, enum kind kind)
{
    return (scenario->with & WITH(kind)) != 0;
}

ps_status make(struct search *search, const struct move *move)
{
    struct frame_driver *driver = &search->driver;
    const enum ps_frame_tag tag = (enum ps_frame_tag)move->tag;

    search->processor = move->processor;
    switch ((enum kind)move->kind) {
    case SINGLE:
        return driver_alloc(driver, PS_FRAME_4K, tag, move->flags);
    case LARGE:
        return driver_alloc(driver, PS_FRAME_2M, tag, 0);
    case GIGANTIC:
        return driver_alloc(driver, PS_FRAME_1G, tag, 0);
    case RUN:
        return driver_run(driver, &(struct ps_frame_run){ps_pages(move->pages), move->alignment,
                                                         ps_frame(move->first), tag, 0});
    case SCATTERED:
        return driver_scattered(driver, move->pages, tag, 0);
    case CLAIM:
        return driver_claim(driver, move->first, move->pages, tag);
    case FREE:
        return driver_free(driver, move->first, move->pages);
    case SPLIT:
        return driver_split(driver, move->first, move->pages);
    case SHARE:
        return driver_share(driver, move->first, move->pages);
    case LEND:
        return driver_lend(driver, move->first);
    case CANCEL:
        return driver_cancel_loan(driver, move->first);
    case END:
        return driver_end_loan(driver, move->first, tag);
    case ADD:
        return driver_add(driver, move->first, move->pages);
    case PROMISE:
        return driver_promise(driver, move->pages);
    case UNPROMISE:
        return driver_unpromise(driver, move->pages);
    case PROMISED:
        return driver_alloc_promised(driver, tag, 0);
    case QUARANTINE:
    default:
        return driver_quarantine(driver, move->pages);
    }
}

static void offer(struct moves *moves, enum kind kind, struct move move)
{
    if (!has(moves->scenario, kind))
        return;
    move.kind = (uint8_t)kind;
    for (uint8_t p = 0; p < moves->scenario->processors && moves->count < MOVES_MAX; p++) {
        move.processor = p;
        moves->list[moves->count++] = move;
        if (kind != SINGLE && kind != FREE && kind != SCATTERED && kind != PROMISED)
            break;
    }
}

static void offer_requests(struct moves *moves)
{
    const struct scenario *scenario = moves->scenario;

    for (unsigned t = 0; t < scenario->tags; t++) {
        uint8_t tag = (uint8_t)(PS_FRAME_USER - t);

        offer(moves, SINGLE, (struct move){.tag = tag});
        if (scenario->flags != 0)
            offer(moves, SINGLE, (struct move){.tag = tag, .flags = scenario->flags});
        offer(moves, LARGE, (struct move){.tag = tag});
        offer(moves, SCATTERED, (struct move){.tag = tag, .pages = 5});
    }
    offer(moves, GIGANTIC, (struct move){.tag = PS_FRAME_USER});
    for (unsigned i = 0; i < PS_ARRAY_SIZE(scenario->run_pages) && scenario->run_pages[i]; i++) {
        uint16_t pages = scenario->run_pages[i];

        offer(moves, RUN, (struct move){.tag = PS_FRAME_USER, .first = UINT32_MAX, .pages = pages});
        offer(moves, RUN,
              (struct move){.tag = PS_FRAME_USER, .first = 31, .pages = pages, .alignment = 2});
    }
    offer(moves, RUN, (struct move){.tag = PS_FRAME_USER, .first = 1, .pages = 1});
}

static void offer_places(struct moves *moves)
{
    const struct scenario *scenario = moves->scenario;

    for (unsigned i = 0; i < CLAIMS_MAX && scenario->claims[i].pages != 0; i++)
        offer(moves, CLAIM,
              (struct move){.tag = PS_FRAME_USER,
                            .first = scenario->claims[i].first,
                            .pages = scenario->claims[i].pages});
    offer(moves, ADD, (struct move){.first = 21, .pages = 3});
    offer(moves, ADD, (struct move){.first = 22, .pages = 1});
    for (uint16_t frees = 0; frees < 3; frees++)
        offer(moves, QUARANTINE, (struct move){.pages = frees});
}

/* One, and all: of those that are not promised, and of those that are. */
static void offer_promises(struct moves *moves, const struct search *search)
{
    uint64_t promised = search->oracle.promised;
    uint64_t spare = search->driver.now.available - promised;

    offer(moves, PROMISE, (struct move){.pages = 1});
    offer(moves, PROMISE, (struct move){.pages = (uint16_t)(spare - ps_min(spare, 1))});
    offer(moves, PROMISE, (struct move){.pages = (uint16_t)(spare + 1)});
    offer(moves, UNPROMISE, (struct move){.pages = 1});
    offer(moves, UNPROMISE, (struct move){.pages = (uint16_t)promised});
    offer(moves, UNPROMISE, (struct move){.pages = (uint16_t)(promised + 1)});
    offer(moves, PROMISED, (struct move){.tag = PS_FRAME_TABLE});
}

static void offer_unit(struct moves *moves, const struct oracle_frame *f, uint64_t frame)
{
    struct move move = {
        .first = (uint32_t)frame, .pages = (uint16_t)f->pages, .tag = PS_FRAME_USER};

    if (f->tag == PS_FRAME_QUARANTINED)
        return;
    if (f->tag != PS_FRAME_LOANED)
        offer(moves, FREE, move);
    if (f->pages > 1 && f->holders == 1)
        offer(moves, SPLIT, move);
    if (f->holders < moves->scenario->holders && f->loan == ORACLE_NO_LOAN)
        offer(moves, SHARE, move);
    if (f->pages == 1 && f->loan == ORACLE_NO_LOAN)
        offer(moves, LEND, move);
    if (f->loan == ORACLE_LENT)
        offer(moves, CANCEL, move);
    if (f->tag == PS_FRAME_LOANED) {
        offer(moves, END, move);
        move.tag = PS_FRAME_TABLE;
        offer(moves, END, move);
    }
}

void collect_moves(const struct search *search, struct moves *moves)
{
    moves->scenario = search->scenario;
    moves->count = 0;
    offer_requests(moves);
    offer_places(moves);
    offer_promises(moves, search);
    for (uint64_t i = 0; i < search->oracle.count; i++)
        if (search->oracle.frames[i].state == ORACLE_UNIT && search->oracle.frames[i].back == 0)
            offer_unit(moves, &search->oracle.frames[i], oracle_number(&search->oracle, i));
}

void print_move(const struct move *move)
{
    static const char *const names[] = {
        "single", "large",      "gigantic", "run",       "scattered", "claim",
        "free",   "split",      "share",    "lend",      "cancel",    "end",
        "add",    "quarantine", "promise",  "unpromise", "promised"};

    printf("  #   %s frame 0x%x pages %u tag %u flags %u processor %u\n", names[move->kind],
           move->first, move->pages, move->tag, move->flags, move->processor);
}
