#include "apic.h"

#include "cpu.h"
#include "traps.h"

/* Register numbers; times 16 they are offsets, plus 0x800 they are MSRs. */
enum {
    REGISTER_ID = 0x02,
    REGISTER_TASK_PRIORITY = 0x08,
    REGISTER_END_OF_INTERRUPT = 0x0b,
    REGISTER_SPURIOUS = 0x0f,
    REGISTER_COMMAND = 0x30,
    REGISTER_COMMAND_TARGET = 0x31,
    REGISTER_TIMER = 0x32,
    REGISTER_INITIAL_COUNT = 0x38,
    REGISTER_CURRENT_COUNT = 0x39,
    REGISTER_DIVIDE = 0x3e,
};

enum {
    MSR_X2APIC = 0x800,
    BASE_ENABLED = 1u << 11,
    BASE_X2APIC = 1u << 10,
    SPURIOUS_ENABLE = 1u << 8,
    COMMAND_PENDING = 1u << 12,
    COMMAND_TO_OTHERS = 3u << 18,
    XAPIC_NOBODY = 0xff, /* and all above: no identifiers of an xAPIC */
    TIMER_MASKED = 1u << 16,
    TIMER_PERIODIC = 1u << 17,
    DIVIDE_BY_16 = 3,
    PRIORITY_TOP_CLASS = 0xe0,
    CALIBRATIONS_PER_SECOND = 100,
};

static volatile uint32_t *registers; /* of the xAPIC */
static bool use_msrs;

static void write_register(unsigned number, uint32_t value)
{
    if (use_msrs)
        cpu_write_msr(MSR_X2APIC + number, value);
    else if (registers != NULL)
        registers[number * 4] = value;
}

static uint32_t read_register(unsigned number)
{
    if (use_msrs)
        return (uint32_t)cpu_read_msr(MSR_X2APIC + number);
    return registers != NULL ? registers[number * 4] : 0;
}

/* Let nothing through but the top class of vectors. */
static void open_to_top_class(void)
{
    write_register(REGISTER_TASK_PRIORITY, PRIORITY_TOP_CLASS);
    write_register(REGISTER_SPURIOUS, SPURIOUS_ENABLE | TRAP_SPURIOUS);
}

static ps_phys_t registers_at(uint64_t apic_base)
{
    return ps_phys(apic_base & ~PS_PAGE_MASK & (PS_TIB * 4096 - 1));
}

bool apic_is_on(uint64_t apic_base)
{
    return (apic_base & BASE_ENABLED) != 0;
}

uint32_t apic_boot_id(uint64_t apic_base)
{
    const volatile uint32_t *found =
        (const volatile uint32_t *)(uintptr_t)registers_at(apic_base).addr;

    if ((apic_base & BASE_X2APIC) != 0)
        return (uint32_t)cpu_read_msr(MSR_X2APIC + REGISTER_ID);
    return found[REGISTER_ID * 4] >> 24;
}

static bool reach_registers(struct ps_stage *stage, uint64_t apic_base)
{
    ps_virt_t va;

    use_msrs = (apic_base & BASE_X2APIC) != 0;
    if (use_msrs)
        return true;
    if (ps_stage_map_device(stage, registers_at(apic_base), PS_PAGE_SIZE, PS_CACHE_UNCACHED, &va) !=
        PS_OK)
        return false;
    registers = ps_pointer_of_virt(va);
    return true;
}

/* How far the timer gets in a hundredth of a second. */
static uint64_t measure_timer(uint64_t timestamps_per_second)
{
    uint64_t wait = timestamps_per_second / CALIBRATIONS_PER_SECOND;
    uint64_t start;

    write_register(REGISTER_INITIAL_COUNT, UINT32_MAX);
    start = cpu_timestamp();
    while (cpu_timestamp() - start < wait)
        __builtin_ia32_pause();
    wait = UINT32_MAX - read_register(REGISTER_CURRENT_COUNT);
    write_register(REGISTER_INITIAL_COUNT, 0);
    return wait * CALIBRATIONS_PER_SECOND;
}

struct apic_state apic_init(struct ps_stage *stage, uint64_t apic_base,
                            uint64_t timestamps_per_second)
{
    struct apic_state apic = {.present = false};

    if (!apic_is_on(apic_base) || timestamps_per_second == 0 || !reach_registers(stage, apic_base))
        return apic;
    apic.present = true;
    apic.x2apic = use_msrs;
    open_to_top_class();
    write_register(REGISTER_DIVIDE, DIVIDE_BY_16);
    write_register(REGISTER_TIMER, TIMER_MASKED | TRAP_TIMER);
    apic.ticks_per_second = measure_timer(timestamps_per_second);
    return apic;
}

void apic_timer_start(const struct apic_state *apic, uint32_t per_second)
{
    if (!apic->present || apic->ticks_per_second == 0)
        return;
    if (per_second == 0) {
        write_register(REGISTER_TIMER, TIMER_MASKED | TRAP_TIMER);
        write_register(REGISTER_INITIAL_COUNT, 0);
        return;
    }
    write_register(REGISTER_TIMER, TIMER_PERIODIC | TRAP_TIMER);
    write_register(REGISTER_INITIAL_COUNT,
                   (uint32_t)ps_max(1, apic->ticks_per_second / per_second));
}

void apic_end_of_interrupt(void)
{
    write_register(REGISTER_END_OF_INTERRUPT, 0);
}

bool apic_join(uint32_t id)
{
    uint64_t base = cpu_read_msr(MSR_APIC_BASE) | BASE_ENABLED | (use_msrs ? BASE_X2APIC : 0);

    if (((base & BASE_X2APIC) != 0) != use_msrs)
        return false;
    cpu_write_msr(MSR_APIC_BASE, base);
    open_to_top_class();
    return read_register(REGISTER_ID) >> (use_msrs ? 0 : 24) == id;
}

bool apic_reaches(const struct apic_state *apic, uint32_t id)
{
    return apic->present && (apic->x2apic || id < XAPIC_NOBODY);
}

/* What was written before is visible to whoever gets the interrupt: an MSR does not wait for it. */
static void send(uint32_t target, uint32_t command)
{
    if (use_msrs) {
        __asm__ volatile("mfence; lfence" : : : "memory");
        cpu_write_msr(MSR_X2APIC + REGISTER_COMMAND, (uint64_t)target << 32 | command);
        return;
    }
    while ((read_register(REGISTER_COMMAND) & COMMAND_PENDING) != 0)
        __builtin_ia32_pause();
    write_register(REGISTER_COMMAND_TARGET, target << 24);
    write_register(REGISTER_COMMAND, command);
}

void apic_send(uint32_t id, uint32_t command)
{
    send(id, command);
}

void apic_send_to_others(uint32_t command)
{
    send(0, command | COMMAND_TO_OTHERS);
}
