#include "space_states.h"

static const unsigned rights[] = {PS_READ | PS_WRITE, PS_READ, PS_READ | PS_EXECUTE};

static void make_scattered(struct space_driver *driver, const struct move *move)
{
    ps_frame_t frames[PAGES_MAX];
    struct space_map map = {
        .range = {move->first, move->count},
        .frames = frames,
        .attr = ps_attr_ram(rights[move->rights]),
        .existing = (enum ps_existing)move->flags,
    };

    for (unsigned i = 0; i < move->count; i++)
        frames[i] = ps_frame((uint64_t)move->first + i + move->frame);
    drive_map(driver, &map);
}

static void make_run(struct space_driver *driver, const struct move *move)
{
    drive_map(driver, &(struct space_map){
                          .range = {move->first, move->count},
                          .first = (uint64_t)move->first + move->frame,
                          .attr = ps_attr_ram(rights[move->rights]),
                          .flags = move->flags,
                      });
}

void make_move(struct space_driver *driver, const struct move *move)
{
    struct space_range range = {move->first, move->count};

    driver->space = 0;
    switch ((enum kind)move->kind) {
    case RUN:
        make_run(driver, move);
        return;
    case SCATTERED:
        make_scattered(driver, move);
        return;
    case UNMAP:
        drive_unmap(driver, range);
        return;
    case PROTECT:
        drive_protect(driver, range, ps_attr_ram(rights[move->rights]));
        return;
    case PROMOTE:
        drive_promote(driver, range);
        return;
    case RETIRE:
        drive_retire(driver, range);
        drive_flush(driver);
        return;
    case SWEEP:
        drive_sweep(driver, range);
        return;
    case ANCHOR:
        drive_anchor(driver, range);
        return;
    case HARVEST:
        drive_harvest(driver, range, move->flags);
        return;
    case MARK:
        drive_mark(driver, range);
        return;
    case SELF:
    default:
        drive_set_promotes(driver, move->flags != 0);
        return;
    }
}

bool takes_frames(const struct move *move)
{
    return move->kind == RUN || move->kind == SCATTERED || move->kind == ANCHOR;
}

static void offer(const struct scenario *scenario, struct moves *moves, enum kind kind,
                  struct move move)
{
    move.kind = (uint8_t)kind;
    if ((scenario->with & WITH(kind)) != 0 && moves->count < MOVES_MAX)
        moves->list[moves->count++] = move;
}

static void offer_maps(const struct scenario *scenario, struct moves *moves, struct move move)
{
    for (move.rights = 0; move.rights < scenario->rights; move.rights++)
        for (move.frame = 0; move.frame < scenario->frames; move.frame++) {
            for (move.flags = 0; move.flags <= scenario->run_flags; move.flags++)
                offer(scenario, moves, RUN, move);
            for (move.flags = 0; move.flags <= PS_EXISTING_UPGRADE; move.flags++)
                offer(scenario, moves, SCATTERED, move);
        }
}

static void offer_range(const struct scenario *scenario, struct moves *moves, struct move move)
{
    offer_maps(scenario, moves, move);
    for (move.rights = 0; move.rights < scenario->rights; move.rights++)
        offer(scenario, moves, PROTECT, move);
    move.rights = 0;
    for (move.flags = 0; move.flags < 4; move.flags++)
        offer(scenario, moves, HARVEST, move);
    move.flags = 0;
    offer(scenario, moves, UNMAP, move);
    offer(scenario, moves, PROMOTE, move);
    offer(scenario, moves, RETIRE, move);
    offer(scenario, moves, SWEEP, move);
    offer(scenario, moves, ANCHOR, move);
    offer(scenario, moves, MARK, move);
}

/* Ranges that reach from one half into the other are refused by all calls; one will do. */
void collect_moves(const struct scenario *scenario, struct moves *moves)
{
    unsigned pages = 1u << scenario->index_bits * scenario->levels;

    moves->count = 0;
    for (unsigned first = 0; first < pages; first++)
        for (unsigned count = 1; count <= pages - first; count++)
            if (first >= pages / 2 || first + count <= pages / 2 || count == pages)
                offer_range(scenario, moves,
                            (struct move){.first = (uint8_t)first, .count = (uint8_t)count});
    for (uint8_t on = 0; on < 2; on++)
        offer(scenario, moves, SELF, (struct move){.flags = on});
}
