/* Our layers on a simulated machine, as the benchmarks of the virtual allocator use them. */
#ifndef TESTS_BENCH_VIRTUAL_BENCH_H
#define TESTS_BENCH_VIRTUAL_BENCH_H

#include <pagestage/cache_types.h>
#include <pagestage/virtual_allocator.h>

#define VIRTUAL_BASE ((uint64_t)1 << 40)

struct virtual_stage {
    struct ps_virtual_allocator virtual;
    struct ps_arena attached; /* addresses for frames that are there already, above the others */
    struct ps_page_table table;
    struct ps_frame_pool pool;
    struct ps_cache_types types;
    struct ps_machine machine;
    struct ps_memory_range range;
    uint8_t *memory;
};

/* NULL: no memory. Its frames have been written to: nobody waits for the host's. */
struct virtual_stage *virtual_stage_open(void);
void virtual_stage_close(struct virtual_stage *stage);

/* What is wrong with the books, in all layers. */
uint64_t virtual_stage_wrong(struct virtual_stage *stage);

#endif
