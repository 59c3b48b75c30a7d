#include "allocated.h"

#include "hw.h"

/* Mixes well and never wraps: each half is multiplied in 64 bits. */
static uint64_t mix(uint64_t sum, uint64_t value)
{
    uint64_t x = sum ^ value ^ (sum << 13 | sum >> 51);

    return ((x & UINT32_MAX) * 0x9e3779b1u) ^ ((x >> 32) * 0x85ebca77u) ^ (x << 29 | x >> 35);
}

uint64_t allocated_number_without(struct ps_frame_pool *pool, const struct ps_machine *machine,
                                  ps_frame_t first, uint64_t frames, enum ps_frame_tag tag)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < frames; i++) {
        ps_frame_t frame = ps_frame(first.number + i);
        const uint64_t *words = ps_hw_frame(machine, frame);
        struct ps_frame_info info = {0};

        if (ps_frame_pool_query(pool, frame, &info) != PS_OK || info.tag == PS_FRAME_FREE ||
            info.tag == PS_FRAME_METADATA)
            continue;
        sum = mix(sum, frame.number << 8 | info.tag);
        for (unsigned w = 0; info.tag != tag && w < PS_PAGE_SIZE / 8; w++)
            sum = mix(sum, words[w]);
    }
    return sum;
}

uint64_t allocated_number(struct ps_frame_pool *pool, const struct ps_machine *machine,
                          ps_frame_t first, uint64_t frames)
{
    return allocated_number_without(pool, machine, first, frames, PS_FRAME_METADATA);
}
