#include "hw.h"

/* What needs no privileges is the library's own. */
#include "../../../mm/x86_64/zero.c"

uint64_t bench_invalidations;
static ps_frame_t loaded_root;

void ps_hw_invalidate(const struct ps_machine *machine, const struct ps_invalidation *what)
{
    (void)machine;
    (void)what;
    bench_invalidations++;
}

void ps_hw_set_root(const struct ps_machine *machine, ps_frame_t root)
{
    (void)machine;
    loaded_root = root;
}

ps_frame_t ps_hw_root(const struct ps_machine *machine)
{
    (void)machine;
    return loaded_root;
}
