#include "processors.h"

static struct processor boot;

static struct {
    struct processor *others;
    uint32_t count;
    bool all_alike; /* nobody else would hear a call to all */
    uint64_t timestamps_per_second;
    struct processor *_Atomic stopper; /* who has stopped all others */
} processors;

struct processor *processor_at(uint32_t number)
{
    return number == 0 ? &boot : &processors.others[number - 1];
}

uint32_t processor_count(void)
{
    return processors.count;
}

static uint32_t count_in(enum processor_state state)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < processors.count; i++)
        found += processor_at(i)->state == state;
    return found;
}

uint32_t processors_running(void)
{
    return count_in(PROCESSOR_RUNNING);
}

void processors_begin(void)
{
    boot.self = &boot;
    boot.state = PROCESSOR_RUNNING;
    processors.count = 1;
    cpu_load_segments(&boot.segments, &boot);
}

void processors_set(struct processor *others, uint32_t count, uint64_t timestamps_per_second)
{
    processors.others = others;
    processors.count = count;
    processors.timestamps_per_second = timestamps_per_second;
}

void processors_are_all(bool all)
{
    processors.all_alike = all;
}

/* ---- calls ---- */

void processors_call_others(uint32_t command)
{
    if (processors.all_alike) {
        apic_send_to_others(command);
        return;
    }
    for (uint32_t i = 0; i < processors.count; i++)
        if (processor_is_running(i) && processor_at(i) != processor_this())
            apic_send(processor_at(i)->apic_id, command);
}

bool processor_is_busy(uint32_t number)
{
    return processor_at(number)->function != NULL;
}

bool processors_are_busy(void)
{
    for (uint32_t i = 1; i < processors.count; i++)
        if (processor_is_busy(i))
            return true;
    return false;
}

bool processor_run(uint32_t number, void (*function)(void *context), void *context)
{
    struct processor *processor = processor_at(number);
    uint64_t flags;

    if (number == 0 || !processor_is_running(number) || processor_is_busy(number))
        return false;
    processor->context = context;
    processor->function = function;
    flags = cpu_interrupts_save();
    apic_send(processor->apic_id, APIC_FIXED + TRAP_CALL);
    cpu_interrupts_restore(flags);
    return true;
}

_Noreturn void processor_idle(void)
{
    struct processor *own = processor_this();

    for (;;) {
        void (*function)(void *context);

        cpu_interrupts_off();
        function = own->function;
        if (function == NULL) {
            cpu_wait_for_interrupt();
            continue;
        }
        cpu_interrupts_on();
        function(own->context);
        own->function = NULL;
    }
}

/* ---- the end ---- */

void processors_stop_here(void)
{
    const struct processor *stopper = processors.stopper;

    if (stopper == NULL || stopper == processor_this())
        return;
    processor_this()->state = PROCESSOR_STOPPED;
    cpu_halt();
}

/* One that does not hear an NMI will not disturb the report much. */
static void wait_until_alone(void)
{
    enum { PART_OF_A_SECOND = 10 };
    uint64_t patience = processors.timestamps_per_second / PART_OF_A_SECOND;
    uint64_t start = cpu_timestamp();

    while (processors_running() > 1 && cpu_timestamp() - start < patience)
        __builtin_ia32_pause();
}

void processors_stop_others(void)
{
    struct processor *nobody = NULL;

    if (!atomic_compare_exchange_strong(&processors.stopper, &nobody, processor_this()))
        processors_stop_here();
    if (processors_running() < 2)
        return;
    processors_call_others(APIC_NMI);
    wait_until_alone();
}

/* The first would start the firmware anew. */
void processors_park(void)
{
    uint64_t flags = cpu_interrupts_save();

    for (uint32_t i = 1; processor_this() == &boot && i < processors.count; i++) {
        if (processor_at(i)->state == PROCESSOR_RUNNING ||
            processor_at(i)->state == PROCESSOR_STOPPED)
            apic_send(processor_at(i)->apic_id, APIC_INIT);
        processor_at(i)->state = PROCESSOR_PARKED;
    }
    cpu_interrupts_restore(flags);
}
