#include "watchdog.h"

#include "cpu.h"

enum { TICKS_PER_SECOND = 100 };

static struct apic_state timer;
static uint64_t frequency;
static volatile uint64_t deadline; /* time stamp; 0: not armed */
static volatile uint64_t caught_at;

void watchdog_init(const struct apic_state *apic, uint64_t timestamps_per_second)
{
    timer = *apic;
    frequency = timestamps_per_second;
}

bool watchdog_is_running(void)
{
    return timer.present && timer.ticks_per_second != 0;
}

void watchdog_arm(uint32_t seconds)
{
    caught_at = 0;
    if (seconds == 0)
        return;
    deadline = cpu_timestamp() + frequency * seconds;
    apic_timer_start(&timer, TICKS_PER_SECOND);
}

void watchdog_disarm(void)
{
    deadline = 0;
    apic_timer_start(&timer, 0);
}

uint64_t watchdog_caught_at(void)
{
    return caught_at;
}

void watchdog_tick(struct trap_frame *frame)
{
    if (deadline == 0 || cpu_timestamp() < deadline)
        return;
    caught_at = frame->rip;
    if (traps_abandon(frame))
        deadline = 0;
}
