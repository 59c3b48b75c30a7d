#include "frame_oracle.h"

/* ---- what calls leave ---- */

unsigned oracle_with_promises(const struct frame_oracle *oracle, unsigned may, uint64_t available,
                              uint64_t least, uint64_t most)
{
    uint64_t spare = available - ps_min(available, oracle->promised);

    if (oracle->promised == 0 || (may & ORACLE_MAY(PS_OK)) == 0 || most <= spare)
        return may;
    return (least <= spare ? may : may & ~ORACLE_MAY(PS_OK)) | ORACLE_MAY(PS_NO_MEMORY);
}

void oracle_cost(const struct frame_oracle *oracle, uint64_t first, uint64_t pages, uint64_t *least,
                 uint64_t *most)
{
    uint64_t size = oracle->geometry.tract;
    uint64_t end = first + pages;

    *least = 0;
    *most = 0;
    for (uint64_t at = ps_max(first, oracle->geometry.low); at < end;) {
        const struct oracle_tract *tract = &oracle->tracts[at / size];
        uint64_t frames = ps_min(end - at, size - at % size);
        bool all = tract->tags == 0 && tract->free == frames;

        /* Not said: whether other bookkeeping holds tags as well. */
        *least += frames - all;
        *most += frames - (all && tract->other == 0);
        at += frames;
    }
}

/* ---- promising ---- */

unsigned oracle_may_promise(const struct frame_oracle *oracle, uint64_t available, uint64_t frames)
{
    return ORACLE_MAY(frames <= available - oracle->promised ? PS_OK : PS_NO_MEMORY);
}

unsigned oracle_may_unpromise(const struct frame_oracle *oracle, uint64_t frames)
{
    return ORACLE_MAY(frames <= oracle->promised ? PS_OK : PS_INVALID_ARGS);
}
