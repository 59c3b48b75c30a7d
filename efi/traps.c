#include "traps.h"

#include "cpu.h"
#include "processors.h"

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t stack;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
_Static_assert(sizeof(struct gate) == 16, "interrupt gate of long mode");

struct idt_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
_Static_assert(sizeof(struct idt_register) == 10, "operand of lidt");

enum { VECTORS = 256, ENTRY_SIZE = 8, GATE_INTERRUPT = 0x8e };

extern const char trap_entries[];
bool trap_call(struct trap_recovery *recovery, uint64_t (*function)(uint64_t, uint64_t), uint64_t a,
               uint64_t b);
void trap_dispatch(struct trap_frame *frame);

static struct gate idt[VECTORS];
static struct trap_handlers handle;
static uint64_t unexpected;

void traps_set_stack(unsigned vector, unsigned stack)
{
    idt[vector].stack = (uint8_t)stack;
}

void traps_init(const struct trap_handlers *handlers)
{
    handle = *handlers;
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        uint64_t entry = (uint64_t)(uintptr_t)trap_entries + (uint64_t)vector * ENTRY_SIZE;

        idt[vector] = (struct gate){.offset_low = (uint16_t)entry,
                                    .selector = CPU_CODE_SELECTOR,
                                    .type = GATE_INTERRUPT,
                                    .offset_middle = (uint16_t)(entry >> 16),
                                    .offset_high = (uint32_t)(entry >> 32)};
    }
    traps_set_stack(TRAP_DOUBLE_FAULT, TRAP_STACK_DOUBLE_FAULT);
    traps_set_stack(TRAP_NMI, TRAP_STACK_NMI);
    traps_set_stack(TRAP_PAGE_FAULT, TRAP_STACK_PAGE_FAULT);
    traps_set_stack(TRAP_MACHINE_CHECK, TRAP_STACK_MACHINE_CHECK);
    traps_load();
}

void traps_load(void)
{
    struct idt_register idtr = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

    __asm__ volatile("lidt %0" : : "m"(idtr));
}

bool trap_try(struct trap_recovery *recovery, uint64_t (*function)(uint64_t, uint64_t), uint64_t a,
              uint64_t b)
{
    struct trap_state *own = &processor_this()->traps;
    bool returned;

    recovery->outer = own->catching;
    own->catching = recovery;
    returned = trap_call(recovery, function, a, b);
    own->catching = recovery->outer;
    return returned;
}

bool trap_watch(struct trap_recovery *recovery, uint64_t (*function)(uint64_t, uint64_t),
                uint64_t a, uint64_t b)
{
    struct trap_state *own = &processor_this()->traps;
    struct trap_recovery *caught_before = own->catching;
    bool returned;

    recovery->outer = own->watched;
    own->watched = recovery;
    returned = trap_call(recovery, function, a, b);
    own->watched = recovery->outer;
    own->catching = caught_before; /* the function may have been left inside a trap_try() */
    return returned;
}

static void resume(struct trap_recovery *recovery, struct trap_frame *frame)
{
    recovery->vector = frame->vector;
    recovery->error = frame->error;
    recovery->address = cpu_read_cr2();
    recovery->rip = frame->rip;
    recovery->handler_stack = (uint64_t)(uintptr_t)frame;
    frame->rip = recovery->resume;
    frame->rsp = recovery->stack;
}

bool traps_abandon(struct trap_frame *frame)
{
    struct trap_recovery *watched = processor_this()->traps.watched;

    if (watched == NULL)
        return false;
    resume(watched, frame);
    return true;
}

void traps_forget(void)
{
    processor_this()->traps = (struct trap_state){.catching = NULL};
}

uint64_t traps_unexpected(void)
{
    return unexpected;
}

static void dispatch_exception(struct trap_frame *frame)
{
    struct trap_recovery *catching = processor_this()->traps.catching;

    if (frame->vector == TRAP_NMI)
        handle.stop();
    if (catching != NULL && frame->vector != TRAP_NMI && frame->vector != TRAP_MACHINE_CHECK)
        resume(catching, frame);
    else
        handle.fault(frame);
}

void trap_dispatch(struct trap_frame *frame)
{
    if (frame->vector < TRAP_EXCEPTIONS) {
        dispatch_exception(frame);
        return;
    }
    if (frame->vector != TRAP_SPURIOUS)
        handle.end_of_interrupt();
    if (frame->vector == TRAP_TIMER)
        handle.timer(frame);
    else if (frame->vector == TRAP_CALL)
        handle.call();
    else
        unexpected++;
}
