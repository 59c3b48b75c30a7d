#include "frame_oracle.h"

#include <stdlib.h>
#include <string.h>

const struct oracle_geometry oracle_real_geometry = {
    .chunk = 512,
    .tract = 4096,
    .region = 262144,
    .low = 256,
    .four_gib = 0x100000,
};

/* ---- frames by number ---- */

struct oracle_frame *oracle_at(const struct frame_oracle *oracle, uint64_t frame)
{
    for (size_t i = 0; i < oracle->range_count; i++) {
        const struct oracle_range *range = &oracle->ranges[i];

        if (frame >= range->first && frame - range->first < range->pages)
            return &oracle->frames[range->index + (frame - range->first)];
    }
    return NULL;
}

uint64_t oracle_number(const struct frame_oracle *oracle, uint64_t index)
{
    for (size_t i = oracle->range_count; i-- > 0;)
        if (index >= oracle->ranges[i].index)
            return oracle->ranges[i].first + (index - oracle->ranges[i].index);
    return UINT64_MAX;
}

/* Sizes are powers of two; a machine of some GiB has many frames to divide. */
static uint64_t number_of(uint64_t frame, uint64_t size)
{
    return frame >> __builtin_ctzll(size);
}

static bool ends_at(uint64_t frame, uint64_t size)
{
    return ((frame + 1) & (size - 1)) == 0;
}

bool oracle_is_late(const struct frame_oracle *oracle, uint64_t frame)
{
    return oracle->late[number_of(frame, oracle->geometry.chunk)];
}

enum ps_frame_zone oracle_zone(const struct frame_oracle *oracle, uint64_t frame)
{
    if (frame < oracle->geometry.low)
        return PS_FRAME_ZONE_LOW;
    return frame < oracle->geometry.four_gib ? PS_FRAME_ZONE_4GIB : PS_FRAME_ZONE_NORMAL;
}

static bool is_head(const struct oracle_frame *f)
{
    return f->state == ORACLE_UNIT && f->back == 0;
}

uint64_t oracle_find_unit(const struct frame_oracle *oracle, uint64_t start)
{
    for (uint64_t i = 0; i < oracle->count; i++) {
        uint64_t index = (start + i) % oracle->count;

        if (is_head(&oracle->frames[index]))
            return index;
    }
    return oracle->count;
}

/* ---- making one ---- */

static void add_range(struct frame_oracle *oracle, const struct sim_range *range)
{
    uint64_t first = range->first.number;

    oracle->ranges[oracle->range_count++] =
        (struct oracle_range){first, range->pages.count, oracle->count};
    for (uint64_t i = 0; i < range->pages.count; i++)
        oracle->frames[oracle->count + i].state =
            range->type == PS_MEMORY_USABLE && first + i != 0 ? ORACLE_FREE : ORACLE_ABSENT;
    oracle->count += range->pages.count;
}

bool oracle_create(struct frame_oracle *oracle, const struct oracle_geometry *geometry,
                   const struct sim_range *ranges, size_t count)
{
    uint64_t frames = 0;
    uint64_t end = ranges[count - 1].first.number + ranges[count - 1].pages.count;

    *oracle = (struct frame_oracle){.geometry = *geometry};
    for (size_t i = 0; i < count; i++)
        frames += ranges[i].pages.count;
    oracle->tract_count = end / geometry->tract + 1;
    oracle->frames = calloc(frames, sizeof(*oracle->frames));
    oracle->tracts = calloc(oracle->tract_count, sizeof(*oracle->tracts));
    oracle->late = calloc(end / geometry->chunk + 1, sizeof(*oracle->late));
    if (oracle->frames == NULL || oracle->tracts == NULL || oracle->late == NULL) {
        oracle_destroy(oracle);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (ranges[i].backing != SIM_NOTHING)
            add_range(oracle, &ranges[i]);
    return true;
}

void oracle_destroy(struct frame_oracle *oracle)
{
    free(oracle->frames);
    free(oracle->tracts);
    free(oracle->late);
    *oracle = (struct frame_oracle){0};
}

void oracle_copy(struct frame_oracle *oracle, const struct frame_oracle *from)
{
    struct frame_oracle own = *oracle;
    uint64_t chunks = (from->tract_count - 1) * (from->geometry.tract / from->geometry.chunk);

    *oracle = *from;
    oracle->frames = own.frames;
    oracle->tracts = own.tracts;
    oracle->late = own.late;
    memcpy(oracle->frames, from->frames, from->count * sizeof(*from->frames));
    memcpy(oracle->tracts, from->tracts, from->tract_count * sizeof(*from->tracts));
    memcpy(oracle->late, from->late, chunks * sizeof(*from->late));
}

/* ---- what happens ---- */

void oracle_take(struct frame_oracle *oracle, uint64_t first, uint64_t pages, enum ps_frame_tag tag)
{
    for (uint64_t i = 0; i < pages; i++)
        *oracle_at(oracle, first + i) =
            (struct oracle_frame){.state = ORACLE_UNIT, .tag = (uint8_t)tag, .back = (uint32_t)i};
    oracle_at(oracle, first)->pages = (uint32_t)pages;
    oracle_at(oracle, first)->holders = 1;
}

void oracle_cut(struct frame_oracle *oracle, uint64_t first)
{
    uint64_t pages = oracle_at(oracle, first)->pages;

    for (uint64_t i = 0; i < pages; i++) {
        struct oracle_frame *f = oracle_at(oracle, first + i);

        f->back = 0;
        f->pages = 1;
        f->holders = 1;
    }
}

static void release(struct frame_oracle *oracle, uint64_t first)
{
    uint64_t pages = oracle_at(oracle, first)->pages;

    for (uint64_t i = 0; i < pages; i++)
        *oracle_at(oracle, first + i) = (struct oracle_frame){.state = ORACLE_FREE};
}

static void detain(struct frame_oracle *oracle, uint64_t first)
{
    uint64_t pages = oracle_at(oracle, first)->pages;

    for (uint64_t i = 0; i < pages; i++)
        oracle_at(oracle, first + i)->tag = PS_FRAME_QUARANTINED;
    oracle->detained[oracle->detained_count++] = first;
    if (oracle->detained_count <= oracle->quarantine)
        return;
    release(oracle, oracle->detained[0]);
    oracle->detained_count--;
    memmove(oracle->detained, oracle->detained + 1,
            oracle->detained_count * sizeof(oracle->detained[0]));
}

void oracle_free(struct frame_oracle *oracle, uint64_t first)
{
    struct oracle_frame *f = oracle_at(oracle, first);

    if (--f->holders != 0)
        return;
    f->holders = 1;
    if (f->loan != ORACLE_NO_LOAN)
        f->tag = PS_FRAME_LOANED;
    else if (oracle->quarantine != 0)
        detain(oracle, first);
    else
        release(oracle, first);
}

void oracle_add(struct frame_oracle *oracle, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        oracle_at(oracle, first + i)->state = ORACLE_FREE;
        oracle->late[(first + i) / oracle->geometry.chunk] = true;
    }
}

void oracle_quarantine(struct frame_oracle *oracle, uint64_t frees)
{
    for (uint64_t i = 0; i < oracle->detained_count; i++)
        release(oracle, oracle->detained[i]);
    oracle->detained_count = 0;
    oracle->quarantine = frees;
}

/* ---- sums ---- */

static void sum_unit(struct frame_oracle *oracle, const struct oracle_frame *f, uint64_t first)
{
    struct ps_frame_pool_snapshot *sums = &oracle->sums.exact;

    if (f->pages == 1)
        sums->units_4k++;
    else if (f->pages == oracle->geometry.chunk && first % f->pages == 0)
        sums->units_2m++;
    else if (f->pages == oracle->geometry.region && first % f->pages == 0)
        sums->units_1g++;
    else
        sums->run_frames += f->pages;
    sums->shared_units += f->holders > 1;
}

static void sum_loan(struct frame_oracle *oracle, const struct oracle_frame *f)
{
    struct ps_frame_pool_snapshot *sums = &oracle->sums.exact;

    if (f->loan == ORACLE_NO_LOAN)
        return;
    sums->loans++;
    sums->loans_out += f->tag != PS_FRAME_LOANED;
    sums->loans_cancelled += f->loan == ORACLE_CANCELLED;
    oracle->sums.borrowable += f->tag == PS_FRAME_LOANED && f->loan == ORACLE_LENT;
}

static void sum_allocated(struct frame_oracle *oracle, const struct oracle_frame *f, uint64_t frame,
                          struct oracle_tract *tract)
{
    struct ps_frame_pool_snapshot *sums = &oracle->sums.exact;

    tract->tags += f->state == ORACLE_TAGS;
    tract->other += f->state == ORACLE_OTHER;
    tract->units += f->state == ORACLE_UNIT;
    sums->by_tag[f->state == ORACLE_UNIT ? f->tag : PS_FRAME_METADATA]++;
    sums->damaged += f->state == ORACLE_UNIT && f->tag == PS_FRAME_DAMAGED;
    if (f->state != ORACLE_BOOKS && f->back == 0)
        sum_unit(oracle, f, frame);
    sum_loan(oracle, f);
}

static void sum_free(struct frame_oracle *oracle, const struct oracle_frame *f, uint64_t frame,
                     struct oracle_tract *tract)
{
    struct ps_frame_pool_snapshot *sums = &oracle->sums.exact;
    enum ps_frame_zone zone = oracle_zone(oracle, frame);

    sums->by_tag[PS_FRAME_FREE]++;
    sums->free_in[zone]++;
    tract->free += zone != PS_FRAME_ZONE_LOW;
    tract->free_low += zone == PS_FRAME_ZONE_LOW;
    sums->free_late += oracle_is_late(oracle, frame) && zone != PS_FRAME_ZONE_LOW;
    oracle->sums.late_most += oracle_is_late(oracle, frame);
    oracle->sums.written += f->written;
}

/* How many free frames end here, without a gap; whole ones are counted as they end. */
static uint64_t sum_whole(struct frame_oracle *oracle, uint64_t frame, uint64_t free)
{
    struct ps_frame_pool_snapshot *sums = &oracle->sums.exact;

    sums->whole_2m += ends_at(frame, oracle->geometry.chunk) && free >= oracle->geometry.chunk;
    sums->whole_1g += ends_at(frame, oracle->geometry.region) && free >= oracle->geometry.region;
    return free;
}

static void sum_frames(struct frame_oracle *oracle)
{
    uint64_t free = 0;
    uint64_t next = 0;

    for (size_t r = 0; r < oracle->range_count; r++) {
        const struct oracle_range *range = &oracle->ranges[r];

        free = range->first == next ? free : 0;
        next = range->first + range->pages;
        for (uint64_t i = 0; i < range->pages; i++) {
            uint64_t frame = range->first + i;
            const struct oracle_frame *f = &oracle->frames[range->index + i];
            struct oracle_tract *tract = &oracle->tracts[number_of(frame, oracle->geometry.tract)];

            free = f->state == ORACLE_FREE ? sum_whole(oracle, frame, free + 1) : 0;
            if (f->state == ORACLE_FREE)
                sum_free(oracle, f, frame, tract);
            else if (f->state != ORACLE_ABSENT)
                sum_allocated(oracle, f, frame, tract);
            if (f->state != ORACLE_ABSENT && f->state != ORACLE_BOOKS)
                oracle->sums.exact.managed_in[oracle_zone(oracle, frame)]++;
        }
    }
}

void oracle_sum(struct frame_oracle *oracle)
{
    struct oracle_sums *sums = &oracle->sums;
    struct ps_frame_pool_snapshot *exact = &sums->exact;

    *sums = (struct oracle_sums){0};
    memset(oracle->tracts, 0, oracle->tract_count * sizeof(*oracle->tracts));
    sum_frames(oracle);
    for (unsigned i = 0; i < PS_FRAME_TAG_COUNT; i++)
        exact->managed += exact->by_tag[i];
    exact->free = exact->by_tag[PS_FRAME_FREE];
    exact->metadata = exact->by_tag[PS_FRAME_METADATA];
    exact->quarantined_units = oracle->detained_count;
    exact->promised = oracle->promised;
    exact->damaged_used = oracle->damaged_used;
    exact->fill_bytes = oracle->fill_bytes;
    for (uint64_t i = 0; i < oracle->tract_count; i++) {
        const struct oracle_tract *tract = &oracle->tracts[i];

        exact->available += tract->free - (tract->free != 0 && tract->tags == 0);
        sums->available_most += tract->free - (tract->free != 0 && tract->tags + tract->other == 0);
    }
}
