#include "hw.h"

#include "zero_private.h"

/*
 * Up to here memory is cleared through the caches: about what the second one holds. Measured:
 * from there on going past them is faster even when all of it is read at once afterwards.
 */
#define CACHED_BYTES ((uint64_t)1 << 20)

void ps_hw_zero_frames(const struct ps_machine *machine, ps_frame_t first, uint64_t frames)
{
    void *memory = ps_hw_frame(machine, first);
    uint64_t bytes = frames << PS_PAGE_SHIFT;

    if (bytes <= CACHED_BYTES)
        ps_zero_stores(memory, bytes);
    else if (machine->clear_lines)
        ps_zero_lines(memory, bytes);
    else if (machine->streaming)
        ps_zero_streaming_sse(memory, bytes);
    else
        ps_zero_streaming_words(memory, bytes);
}
