/*
 * The boot processor: what it can do, what the firmware left on, and the state we run in.
 */
#ifndef EFI_CPU_H
#define EFI_CPU_H

#include <pagestage/machine.h>
#include <pagestage/sink.h>
#include <pagestage/status.h>

struct cpu_features {
    char vendor[13];
    char brand[49];
    uint32_t family, model, stepping;
    uint8_t physical_bits; /* encrypted-memory bits taken off */
    bool nx, gib_pages, pge, pat, la57, smep, smap, umip, x2apic, cet, mce, apic;
    bool hypervisor;
    bool encrypted_guest; /* SEV or TDX: tables without the encryption bit are garbage there */
    bool tsc_deadline;
};

/* What the firmware ran with, for the report. */
struct cpu_found {
    uint64_t cr0, cr3, cr4, efer, pat, apic_base;
};

void cpu_detect(struct cpu_features *features);
void cpu_read_state(const struct cpu_features *features, struct cpu_found *found);

/*
 * Reasons not to go on, in words, or NULL: told on the firmware's console before anything
 * is given up. An unknown paging mode, or no long mode with PAE, cannot happen under UEFI.
 */
const char *cpu_refusal(const struct cpu_features *features, const struct cpu_found *found);

/* Of the page tables: with how many the firmware ran, ... */
uint8_t cpu_levels_found(const struct cpu_found *found);
/* ... and with how many we run when `asked` are asked for (4, 5, or 0: as found). */
uint8_t cpu_levels(const struct cpu_features *features, const struct cpu_found *found,
                   uint8_t asked);

/* The part of a machine that the processor decides. */
void cpu_describe_machine(const struct cpu_features *features, const struct cpu_found *found,
                          struct ps_machine *machine);

/*
 * Interrupts off, CET off, global translations off, write protection off: the firmware's tables
 * may map memory read only that is ours now. To be undone by cpu_enter_known_state() as soon as our
 * own root is loaded.
 */
void cpu_leave_firmware_state(const struct cpu_features *features);

/* CR0, CR4, EFER and PAT as every later layer relies on them. NXE must precede our root. */
void cpu_enter_known_state(const struct cpu_features *features);
void cpu_enable_no_execute(const struct cpu_features *features);

/* What each processor has for itself: a GDT with a TSS. */
struct cpu_segments {
    uint64_t gdt[5];
    struct cpu_tss {
        uint32_t reserved0;
        uint32_t stacks[6]; /* RSP0 to RSP2, as halves: the structure is not 8-byte aligned */
        uint32_t reserved1[2];
        uint32_t interrupt_stacks[14];
        uint32_t reserved2[2];
        uint16_t reserved3;
        uint16_t io_map;
    } tss;
};
_Static_assert(sizeof(struct cpu_tss) == 104, "task state segment of long mode");

/* Fill the GDT in and let the segment registers point into it; GS gets the base `own`. */
void cpu_load_segments(struct cpu_segments *segments, void *own);
/* Top of an interrupt stack in the TSS, 1 to 7. */
void cpu_set_interrupt_stack(struct cpu_segments *segments, unsigned index, uint64_t top);

#define CPU_CODE_SEGMENT 0x00af9b000000ffffull /* 64-bit code, ring 0 */
#define CPU_DATA_SEGMENT 0x00cf93000000ffffull /* data, ring 0 */

enum { CPU_CODE_SELECTOR = 0x08, CPU_DATA_SELECTOR = 0x10, CPU_TSS_SELECTOR = 0x18 };

/* ---- instructions ---- */

static inline uint64_t cpu_read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void cpu_write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline uint64_t cpu_timestamp(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void cpu_interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline void cpu_interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

/* Interrupts off; returns what cpu_interrupts_restore() wants. */
static inline uint64_t cpu_interrupts_save(void)
{
    uint64_t flags;

    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    return flags;
}

static inline void cpu_interrupts_restore(uint64_t flags)
{
    __asm__ volatile("pushq %0; popfq" : : "r"(flags) : "memory", "cc");
}

/* Interrupts on and halted until the next one; none is missed in between. */
static inline void cpu_wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt" : : : "memory");
}

static inline uint64_t cpu_read_cr3(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

static inline uint64_t cpu_read_cr0(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static inline uint64_t cpu_read_cr4(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static inline uint64_t cpu_read_cr2(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

/* For good: interrupts off, halted. */
_Noreturn void cpu_halt(void);
/* No IDT and an exception: the processor shuts down, which resets most machines. */
_Noreturn void cpu_triple_fault(void);

enum {
    MSR_APIC_BASE = 0x1b,
    MSR_PAT = 0x277,
    MSR_EFER = 0xc0000080,
    MSR_S_CET = 0x6a2,
    MSR_GS_BASE = 0xc0000101
};

#endif
