#include "frame_pool_check_private.h"

/* ---- breaches ---- */

bool ps_check_breach(struct ps_pool_check *check, uint64_t frame, const char *what)
{
    check->breach = what;
    check->place = frame;
    check->is_count = false;
    return false;
}

bool ps_check_same(struct ps_pool_check *check, uint64_t frame, uint64_t counted, uint64_t kept,
                   const char *what)
{
    if (counted == kept)
        return true;
    check->breach = what;
    check->place = frame;
    check->is_count = true;
    check->counted = counted;
    check->kept = kept;
    return false;
}

bool ps_check_mask(struct ps_pool_check *check, uint64_t first, uint64_t step, uint64_t counted,
                   uint64_t kept, const char *what)
{
    unsigned bit;

    if (counted == kept)
        return true;
    bit = ps_lowest_bit(counted ^ kept);
    return ps_check_same(check, first + bit * step, counted >> bit & 1, kept >> bit & 1, what);
}

static void print_breach(const struct ps_pool_check *check, const struct ps_sink *sink)
{
    if (!check->is_count) {
        ps_print(sink, "frame pool: frame 0x%" PS_PRIx " %s\n", check->place, check->breach);
        return;
    }
    ps_print(sink, "frame pool: %s", check->breach);
    if (check->place != PS_NONE)
        ps_print(sink, " at frame 0x%" PS_PRIx, check->place);
    ps_print(sink, ": %" PS_PRIu " counted, %" PS_PRIu " kept\n", check->counted, check->kept);
}

/* ---- sets of regions: see frame_pool_sets.c ---- */

static uint64_t word_of_set(const struct ps_frame_pool *pool, unsigned set, uint64_t word)
{
    const uint64_t *at = ps_books_at(pool, pool->sets_at + (set * pool->set_words + word) * 8);

    return *at;
}

/* A level of a set has `bits` bits from word `level` on, and none behind them. */
static bool check_level_end(struct ps_pool_check *check, unsigned set, uint64_t level,
                            uint64_t bits)
{
    uint64_t last = word_of_set(check->pool, set, level + (bits - 1) / 64);
    uint64_t excess = bits % 64 == 0 ? 0 : last >> (bits % 64);

    return ps_check_same(check, PS_NONE, 0, ps_bit_count(excess), "regions past the last in a set");
}

/* Every bit of the level above says whether the word below it has any. */
static bool check_set(struct ps_pool_check *check, unsigned set)
{
    uint64_t bits = check->pool->regions;
    uint64_t level = 0;

    while (check_level_end(check, set, level, bits)) {
        uint64_t words = bits / 64 + (bits % 64 != 0);

        if (words == 1)
            return true;
        for (uint64_t i = 0; i < words; i++) {
            bool any = word_of_set(check->pool, set, level + i) != 0;
            bool told =
                (word_of_set(check->pool, set, level + words + i / 64) >> (i % 64) & 1) != 0;

            if (!ps_check_same(check, PS_NONE, any, told, "words of a set in its summary"))
                return false;
        }
        bits = words;
        level += words;
    }
    return false;
}

static bool check_sets(struct ps_pool_check *check)
{
    for (unsigned set = 0; set < PS_FRAME_SETS; set++)
        if (!check_set(check, set))
            return false;
    return true;
}

/* ---- totals ---- */

static bool check_tags(struct ps_pool_check *check)
{
    if (!ps_check_same(check, PS_NONE, check->own, check->tagged[PS_FRAME_METADATA],
                       "frames of bookkeeping in use"))
        return false;
    for (unsigned tag = PS_FRAME_METADATA; tag < PS_FRAME_TAG_COUNT; tag++)
        if (!ps_check_same(check, PS_NONE, check->tagged[tag],
                           ps_pool_tagged(check->pool, (enum ps_frame_tag)tag),
                           ps_frame_tag_name((enum ps_frame_tag)tag)))
            return false;
    return true;
}

static bool check_totals(struct ps_pool_check *check)
{
    const struct ps_frame_totals *counted = &check->totals;
    const struct ps_frame_totals *kept = &check->pool->totals;

    return ps_check_same(check, PS_NONE, counted->managed, kept->managed, "frames") &&
           ps_check_same(check, PS_NONE, counted->free, kept->free, "free frames") &&
           ps_check_same(check, PS_NONE, counted->low, kept->low, "low frames") &&
           ps_check_same(check, PS_NONE, counted->low_free, kept->low_free, "free low frames") &&
           ps_check_same(check, PS_NONE, counted->kept, kept->kept, "frames kept back") &&
           ps_check_same(check, PS_NONE, counted->whole_2m, kept->whole_2m, "whole 2 MiB") &&
           ps_check_same(check, PS_NONE, counted->whole_1g, kept->whole_1g, "whole 1 GiB");
}

static bool check_units(struct ps_pool_check *check)
{
    const struct ps_frame_pool *pool = check->pool;

    return ps_check_same(check, PS_NONE, check->units_2m, pool->units_2m, "units of 2 MiB") &&
           ps_check_same(check, PS_NONE, check->units_1g, pool->units_1g, "units of 1 GiB") &&
           ps_check_same(check, PS_NONE, check->run_frames, pool->run_frames, "frames in runs") &&
           ps_check_same(check, PS_NONE, check->shared_units, pool->shared_units, "shared units");
}

static bool check_instruments(struct ps_pool_check *check)
{
    const struct ps_frame_pool *pool = check->pool;

    return ps_check_same(check, PS_NONE, check->loans, pool->loans, "loans") &&
           ps_check_same(check, PS_NONE, check->loans_out, pool->loans_out, "borrowed loans") &&
           ps_check_same(check, PS_NONE, check->loans_ended, pool->loans_ended,
                         "cancelled loans") &&
           ps_check_same(check, PS_NONE, check->tagged[PS_FRAME_DAMAGED], pool->damaged,
                         "damaged frames");
}

/* Neither exclusive calls nor quick ones may have taken what was promised. */
static bool check_promises(struct ps_pool_check *check)
{
    const struct ps_frame_pool *pool = check->pool;
    uint64_t available = ps_pool_available(pool);
    uint64_t most = pool->promised == 0 ? PS_GETS_UNLIMITED : pool->totals.managed;

    return ps_check_same(check, PS_NONE, ps_min(pool->promised, available), pool->promised,
                         "promised frames that are available") &&
           ps_check_same(check, PS_NONE, ps_min(pool->granted, most), pool->granted,
                         "frames that quick calls may take");
}

static void check_everything(struct ps_pool_check *check)
{
    const struct ps_frame_pool *pool = check->pool;

    check->own = pool->books_frames;
    check->tagged[PS_FRAME_METADATA] = pool->books_frames;
    check->totals.managed = pool->books_frames;
    if (!check_sets(check))
        return;
    for (uint64_t region = 0; region < pool->regions; region++)
        if (!ps_check_region(check, region))
            return;
    if (ps_check_unit_end(check) && ps_check_links(check) && check_totals(check) &&
        check_tags(check) && check_units(check) && check_promises(check))
        (void)check_instruments(check);
}

ps_status ps_frame_pool_validate(struct ps_frame_pool *pool, const struct ps_sink *sink)
{
    struct ps_pool_check check = {.pool = pool};

    if (pool == NULL)
        return PS_INVALID_ARGS;
    if (pool->machine == NULL)
        return PS_BAD_STATE;
    ps_pool_enter(pool);
    check_everything(&check);
    ps_pool_leave(pool);
    if (check.breach == NULL)
        return PS_OK;
    print_breach(&check, sink);
    return PS_CORRUPT;
}
