#include "processor_start.h"

#include "hw.h"
#include "shootdown.h"

enum {
    TRAMPOLINE_BYTES = 192, /* of code; the parameters follow */
    CODE_SELECTOR_32 = 0x18,
    MICROSECONDS = 1000000,
    INIT_TIME = 10000, /* microseconds */
    SECOND_CALL = 2000,
    PATIENCE = 1000000,
};

#define CODE_SEGMENT_32 0x00cf9b000000ffffull
#define CR0_PG          ((uint64_t)1 << 31)
#define CR4_PCIDE       ((uint64_t)1 << 17) /* allowed in long mode only */
#define EFER_LMA        ((uint64_t)1 << 10) /* read only */

struct far_pointer {
    uint32_t offset;
    uint16_t selector;
    uint16_t unused;
};

/* As trampoline.S reads it. */
struct trampoline_parameters {
    uint16_t gdt_limit;
    uint16_t gdt_base[2]; /* as halves: the structure is not packed */
    uint16_t unused;
    struct far_pointer to_protected;
    struct far_pointer to_long;
    uint32_t cr0_protected;
    uint32_t cr0;
    uint64_t cr4;
    uint64_t low_root;
    uint64_t efer;
    uint64_t pat;
    uint64_t root;
    void (*entry)(void);
    uint64_t gdt[4]; /* with the accessed bits set: the page is read-only */
};
_Static_assert(offsetof(struct trampoline_parameters, entry) == 72, "offsets in trampoline.S");

extern const char trampoline[], trampoline_protected[], trampoline_long[];
extern struct processor *_Atomic processor_starting;
void processor_entry(void);
_Noreturn void processor_main(struct processor *own);

/* Whoever comes next takes it; NULL: nobody is expected. */
struct processor *_Atomic processor_starting;

/* ---- stacks ---- */

uint64_t processor_stack(struct ps_stage *stage, uint64_t pages, ps_virt_t *base)
{
    struct ps_virtual_request request = {.pages = ps_pages(pages), .who = PS_HERE(0)};

    if (ps_virtual_alloc(&stage->arena, &request, base) != PS_OK)
        return 0;
    return ps_virt_add_pages(*base, request.pages).addr;
}

ps_status processor_interrupt_stacks(struct ps_stage *stage, struct processor *processor)
{
    for (unsigned stack = 1; stack < TRAP_STACK_COUNT; stack++) {
        ps_virt_t base;
        uint64_t top = processor_stack(stage, PROCESSOR_STACK_PAGES, &base);

        if (top == 0)
            return PS_NO_MEMORY;
        cpu_set_interrupt_stack(&processor->segments, stack, top);
    }
    return PS_OK;
}

/* ---- on the processor that starts ---- */

void processor_main(struct processor *own)
{
    uint32_t expected = PROCESSOR_WAITING;

    cpu_load_segments(&own->segments, own);
    traps_load();
    if (!apic_join(own->apic_id))
        cpu_halt();
    shootdown_join();
    if (!atomic_compare_exchange_strong(&own->state, &expected, PROCESSOR_RUNNING))
        cpu_halt();
    processor_idle();
}

/* ---- the trampoline ---- */

static struct far_pointer far_pointer(uint64_t page, const char *label, uint16_t selector)
{
    return (struct far_pointer){.offset = (uint32_t)(page + (uint64_t)(label - trampoline)),
                                .selector = selector};
}

/* The state of the processor that runs this is what the others get. */
static void write_parameters(const struct processor_start *start,
                             struct trampoline_parameters *parameters)
{
    uint64_t page = start->pages.addr;
    uint64_t gdt = page + TRAMPOLINE_BYTES + (uint64_t)offsetof(struct trampoline_parameters, gdt);

    *parameters = (struct trampoline_parameters){
        .gdt_limit = sizeof(parameters->gdt) - 1,
        .gdt_base = {(uint16_t)gdt, (uint16_t)(gdt >> 16)},
        .to_protected = far_pointer(page, trampoline_protected, CODE_SELECTOR_32),
        .to_long = far_pointer(page, trampoline_long, CPU_CODE_SELECTOR),
        .cr0_protected = (uint32_t)(cpu_read_cr0() & ~CR0_PG),
        .cr0 = (uint32_t)cpu_read_cr0(),
        .cr4 = cpu_read_cr4() & ~CR4_PCIDE,
        .low_root = page + PS_PAGE_SIZE,
        .efer = cpu_read_msr(MSR_EFER) & ~EFER_LMA,
        .pat = cpu_read_msr(MSR_PAT),
        .root = cpu_read_cr3(),
        .entry = processor_entry,
        .gdt = {0, CPU_CODE_SEGMENT, CPU_DATA_SEGMENT, CODE_SEGMENT_32},
    };
}

static void write_trampoline(const struct processor_start *start)
{
    char *page = ps_hw_pointer(&start->stage->machine, start->pages);

    for (unsigned i = 0; i < TRAMPOLINE_BYTES; i++)
        page[i] = trampoline[i];
    write_parameters(start, (struct trampoline_parameters *)(void *)(page + TRAMPOLINE_BYTES));
}

/* The only way that leads below 4 GiB; used for a few instructions, so it need not be kept true. */
static void copy_root(const struct processor_start *start)
{
    const struct ps_machine *machine = &start->stage->machine;
    const uint64_t *from = ps_hw_frame(machine, ps_hw_root(machine));
    uint64_t *to = ps_hw_pointer(machine, ps_phys_add(start->pages, PS_PAGE_SIZE));

    for (unsigned i = 0; i < PS_PAGE_SIZE / sizeof(*to); i++)
        to[i] = from[i];
}

static ps_status protect_alias(const struct processor_start *start, unsigned access)
{
    struct ps_stage *stage = start->stage;

    return ps_page_table_protect(&stage->table,
                                 ps_virt(stage->machine.direct_map + start->pages.addr),
                                 ps_pages(1), ps_attr_ram(PS_READ | PS_GLOBAL | access));
}

static ps_status open_trampoline(const struct processor_start *start)
{
    ps_status status;

    write_trampoline(start);
    status = protect_alias(start, 0);
    if (status == PS_OK)
        status = ps_page_table_map_run(&start->stage->table, ps_virt(start->pages.addr),
                                       ps_frame_of_phys(start->pages), ps_pages(1),
                                       ps_attr_ram(PS_READ | PS_EXECUTE), PS_MAP_SMALL);
    if (status == PS_OK)
        copy_root(start);
    return status;
}

static ps_status close_trampoline(const struct processor_start *start)
{
    ps_status status =
        ps_page_table_unmap(&start->stage->table, ps_virt(start->pages.addr), ps_pages(1), NULL);

    return status == PS_OK ? protect_alias(start, PS_WRITE) : status;
}

/* ---- starting ---- */

static bool wait_while_waiting(const struct processor *processor,
                               const struct processor_start *start, uint64_t microseconds)
{
    uint64_t patience = start->timestamps_per_second * microseconds / MICROSECONDS;
    uint64_t began = cpu_timestamp();

    while (processor->state == PROCESSOR_WAITING) {
        if (cpu_timestamp() - began > patience)
            return false;
        __builtin_ia32_pause();
    }
    return true;
}

/* INIT again: who comes too late must not come at all. */
static void give_up(struct processor *processor)
{
    uint32_t expected = PROCESSOR_WAITING;

    processor_starting = NULL;
    if (atomic_compare_exchange_strong(&processor->state, &expected, PROCESSOR_SILENT))
        apic_send(processor->apic_id, APIC_INIT);
}

static void start_one(const struct processor_start *start, struct processor *processor)
{
    uint32_t command = APIC_START + (uint32_t)(start->pages.addr >> PS_PAGE_SHIFT);

    if (!apic_reaches(start->apic, processor->apic_id)) {
        processor->state = PROCESSOR_SILENT;
        return;
    }
    processor_starting = processor;
    if (processor->number != start->mute)
        apic_send(processor->apic_id, command);
    if (wait_while_waiting(processor, start, SECOND_CALL))
        return;
    if (processor->number != start->mute)
        apic_send(processor->apic_id, command);
    if (!wait_while_waiting(processor, start, PATIENCE))
        give_up(processor);
}

static void start_all(const struct processor_start *start)
{
    for (uint32_t i = 1; i < processor_count(); i++)
        if (apic_reaches(start->apic, processor_at(i)->apic_id))
            apic_send(processor_at(i)->apic_id, APIC_INIT);
    (void)wait_while_waiting(processor_at(1), start, INIT_TIME);
    for (uint32_t i = 1; i < processor_count(); i++)
        start_one(start, processor_at(i));
    processors_are_all(processors_running() == start->list->found.enabled);
}

/* As many as there is memory for. */
static ps_status prepare(const struct processor_start *start)
{
    uint32_t count = start->list->count;
    struct processor *others;
    ps_virt_t base;
    ps_status status = PS_OK;

    if (processor_stack(start->stage, ps_pages_of_bytes((count - 1) * sizeof(*others)).count,
                        &base) == 0)
        return PS_NO_MEMORY;
    others = ps_pointer_of_virt(base);
    for (uint32_t i = 1; i < count; i++) {
        struct processor *next = &others[i - 1];
        ps_virt_t stack;

        *next = (struct processor){.self = next, .number = i, .apic_id = start->list->ids[i]};
        next->stack_top = processor_stack(start->stage, PROCESSOR_STACK_PAGES, &stack);
        status =
            next->stack_top == 0 ? PS_NO_MEMORY : processor_interrupt_stacks(start->stage, next);
        if (status != PS_OK)
            break;
        processors_set(others, i + 1, start->timestamps_per_second);
    }
    return status;
}

ps_status processors_start(const struct processor_start *start)
{
    ps_status prepared;
    ps_status status;
    ps_status closed;

    if (start->list->count < 2)
        return PS_OK;
    prepared = prepare(start);
    if (processor_count() < 2)
        return prepared;
    status = open_trampoline(start);
    if (status == PS_OK)
        start_all(start);
    closed = close_trampoline(start);
    if (status == PS_OK)
        status = closed;
    return status == PS_OK ? prepared : status;
}
