#include "cpu.h"

#include <pagestage/access.h>

#define CR0_WP      ((uint64_t)1 << 16)
#define CR0_CD      ((uint64_t)1 << 30)
#define CR0_NW      ((uint64_t)1 << 29)
#define CR0_TS      ((uint64_t)1 << 3)
#define CR0_EM      ((uint64_t)1 << 2)
#define CR4_DE      ((uint64_t)1 << 3)
#define CR4_MCE     ((uint64_t)1 << 6)
#define CR4_PGE     ((uint64_t)1 << 7)
#define CR4_OSFXSR  ((uint64_t)1 << 9)
#define CR4_UMIP    ((uint64_t)1 << 11)
#define CR4_LA57    ((uint64_t)1 << 12)
#define CR4_PCIDE   ((uint64_t)1 << 17)
#define CR4_SMEP    ((uint64_t)1 << 20)
#define CR4_SMAP    ((uint64_t)1 << 21)
#define CR4_PKE     ((uint64_t)1 << 22)
#define CR4_CET     ((uint64_t)1 << 23)
#define CR4_PKS     ((uint64_t)1 << 24)
#define EFER_NXE    ((uint64_t)1 << 11)
#define EFER_LMA    ((uint64_t)1 << 10)
#define FLUSH_PAGES 32 /* until costs_measure() knows better; for good without a clock */

struct cpuid {
    uint32_t a, b, c, d;
};

static struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

static void write_cr0(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static void write_cr4(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

/* ---- detection ---- */

static void put_register(char *text, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        text[i] = (char)(value >> (8 * i) & 0x7f);
}

static void detect_names(struct cpu_features *features, uint32_t extended_max)
{
    struct cpuid id = cpuid(0, 0);

    put_register(features->vendor, id.b);
    put_register(features->vendor + 4, id.d);
    put_register(features->vendor + 8, id.c);
    if (extended_max < 0x80000004)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        id = cpuid(0x80000002 + i, 0);
        put_register(features->brand + 16 * i, id.a);
        put_register(features->brand + 16 * i + 4, id.b);
        put_register(features->brand + 16 * i + 8, id.c);
        put_register(features->brand + 16 * i + 12, id.d);
    }
}

static void detect_signature(struct cpu_features *features, uint32_t signature)
{
    features->stepping = signature & 15;
    features->family = signature >> 8 & 15;
    features->model = signature >> 4 & 15;
    if (features->family == 15 || features->family == 6)
        features->model += (signature >> 16 & 15) << 4;
    if (features->family == 15)
        features->family += signature >> 20 & 0xff;
}

static void detect_standard(struct cpu_features *features, uint32_t max)
{
    struct cpuid id = cpuid(1, 0);

    detect_signature(features, id.a);
    features->pge = (id.d >> 13 & 1) != 0;
    features->pat = (id.d >> 16 & 1) != 0;
    features->mce = (id.d >> 7 & 1) != 0;
    features->apic = (id.d >> 9 & 1) != 0;
    features->x2apic = (id.c >> 21 & 1) != 0;
    features->tsc_deadline = (id.c >> 24 & 1) != 0;
    features->hypervisor = (id.c >> 31 & 1) != 0;
    if (max < 7)
        return;
    id = cpuid(7, 0);
    features->smep = (id.b >> 7 & 1) != 0;
    features->smap = (id.b >> 20 & 1) != 0;
    features->umip = (id.c >> 2 & 1) != 0;
    features->cet = (id.c >> 7 & 1) != 0 || (id.d >> 20 & 1) != 0;
    features->la57 = (id.c >> 16 & 1) != 0;
}

/* Memory encryption takes the top physical address bits for itself while it is on. */
static uint8_t encryption_bits(uint32_t extended_max)
{
    enum { MSR_SYSCFG = 0xc0010010, SYSCFG_MEM_ENCRYPT = 1u << 23 };
    struct cpuid id;

    if (extended_max < 0x8000001f)
        return 0;
    id = cpuid(0x8000001f, 0);
    if ((id.a & 1) == 0 || (cpu_read_msr(MSR_SYSCFG) & SYSCFG_MEM_ENCRYPT) == 0)
        return 0;
    return (uint8_t)(id.b >> 6 & 0x3f);
}

/* A hypervisor guest whose memory is encrypted with a key that it must ask for in each entry. */
static bool is_encrypted_guest(uint32_t max, uint32_t extended_max, bool hypervisor)
{
    enum { MSR_SEV_STATUS = 0xc0010131, TDX_LEAF = 0x21 };
    struct cpuid id;

    if (!hypervisor)
        return false;
    if (max >= TDX_LEAF) {
        id = cpuid(TDX_LEAF, 0);
        if (id.b == 0x65746e49 && id.d == 0x5844546c && id.c == 0x20202020)
            return true; /* "IntelTDX    " */
    }
    if (extended_max < 0x8000001f || (cpuid(0x8000001f, 0).a & 2) == 0)
        return false;
    return (cpu_read_msr(MSR_SEV_STATUS) & 1) != 0;
}

static void detect_extended(struct cpu_features *features, uint32_t max)
{
    struct cpuid id = cpuid(0x80000001, 0);

    features->nx = (id.d >> 20 & 1) != 0;
    features->gib_pages = (id.d >> 26 & 1) != 0;
    features->physical_bits = 36;
    if (max >= 0x80000008)
        features->physical_bits = (uint8_t)(cpuid(0x80000008, 0).a & 0xff);
    features->physical_bits = (uint8_t)(features->physical_bits - encryption_bits(max));
}

void cpu_detect(struct cpu_features *features)
{
    uint32_t max = cpuid(0, 0).a;
    uint32_t extended_max = cpuid(0x80000000, 0).a;

    *features = (struct cpu_features){.vendor = ""};
    detect_names(features, extended_max);
    detect_standard(features, max);
    detect_extended(features, extended_max);
    features->encrypted_guest = is_encrypted_guest(max, extended_max, features->hypervisor);
}

void cpu_read_state(const struct cpu_features *features, struct cpu_found *found)
{
    found->cr0 = cpu_read_cr0();
    found->cr3 = cpu_read_cr3();
    found->cr4 = cpu_read_cr4();
    found->efer = cpu_read_msr(MSR_EFER);
    found->pat = features->pat ? cpu_read_msr(MSR_PAT) : 0;
    found->apic_base = features->apic ? cpu_read_msr(MSR_APIC_BASE) : 0;
}

const char *cpu_refusal(const struct cpu_features *features, const struct cpu_found *found)
{
    if ((found->efer & EFER_LMA) == 0)
        return "the processor is not in long mode";
    if (!features->pat)
        return "this processor has no page attribute table (PAT)";
    if (features->encrypted_guest)
        return "this is a guest with encrypted memory (SEV or TDX)";
    if (features->physical_bits < 36 || features->physical_bits > 52)
        return "this processor reports an impossible physical address width";
    if ((found->cr4 & CR4_PCIDE) != 0)
        return "the firmware runs with process-context identifiers (CR4.PCIDE)";
    return NULL;
}

/* Firmware of x86-64 has SSE on: its calling convention needs it. One that has not is believed. */
static bool has_sse_on(const struct cpu_found *found)
{
    return (found->cr4 & CR4_OSFXSR) != 0 && (found->cr0 & (CR0_TS | CR0_EM)) == 0;
}

static bool has_clzero(void)
{
    return cpuid(0x80000000, 0).a >= 0x80000008 && (cpuid(0x80000008, 0).b & 1) != 0;
}

uint8_t cpu_levels_found(const struct cpu_found *found)
{
    return (found->cr4 & CR4_LA57) != 0 ? 5 : 4;
}

uint8_t cpu_levels(const struct cpu_features *features, const struct cpu_found *found,
                   uint8_t asked)
{
    return asked == 4 || (asked == 5 && features->la57) ? asked : cpu_levels_found(found);
}

void cpu_describe_machine(const struct cpu_features *features, const struct cpu_found *found,
                          struct ps_machine *machine)
{
    *machine = (struct ps_machine){
        .physical_bits = features->physical_bits,
        .levels = cpu_levels_found(found),
        .no_execute = features->nx,
        .gib_leaves = features->gib_pages,
        .global_leaves = features->pge,
        .flush_threshold = FLUSH_PAGES,
        .streaming = has_sse_on(found),
        .clear_lines = has_clzero(),
    };
}

/* ---- known state ---- */

void cpu_leave_firmware_state(const struct cpu_features *features)
{
    cpu_interrupts_off();
    /* CR4.CET needs CR0.WP: it has to go first. */
    if (features->cet && (cpu_read_cr4() & CR4_CET) != 0) {
        cpu_write_msr(MSR_S_CET, 0);
        write_cr4(cpu_read_cr4() & ~CR4_CET);
    }
    write_cr0(cpu_read_cr0() & ~CR0_WP);
    /* What the firmware mapped as global would outlive its root, rights and all. */
    write_cr4(cpu_read_cr4() & ~CR4_PGE);
}

void cpu_enable_no_execute(const struct cpu_features *features)
{
    if (features->nx)
        cpu_write_msr(MSR_EFER, cpu_read_msr(MSR_EFER) | EFER_NXE);
}

void cpu_enter_known_state(const struct cpu_features *features)
{
    uint64_t cr4 = cpu_read_cr4() & ~(CR4_PKE | CR4_PKS | CR4_CET | CR4_PGE);

    write_cr0((cpu_read_cr0() | CR0_WP) & ~(CR0_CD | CR0_NW | CR0_TS | CR0_EM));
    /* The firmware may have cached memory under a type that is another one now. */
    __asm__ volatile("wbinvd" : : : "memory");
    cpu_write_msr(MSR_PAT, PS_PAT_VALUE);
    /* A change of the PAT reaches cached translations only through a flush: CR4.PGE below. */
    write_cr4(cr4);
    cr4 |= CR4_DE;
    cr4 |= features->pge ? CR4_PGE : 0;
    cr4 |= features->mce ? CR4_MCE : 0;
    cr4 |= features->smep ? CR4_SMEP : 0;
    cr4 |= features->smap ? CR4_SMAP : 0;
    cr4 |= features->umip ? CR4_UMIP : 0;
    write_cr4(cr4);
    __asm__ volatile("mov %0, %%cr3" : : "r"(cpu_read_cr3()) : "memory");
}

/* ---- segments ---- */

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
_Static_assert(sizeof(struct table_register) == 10, "operand of lgdt and lidt");

void cpu_set_interrupt_stack(struct cpu_segments *segments, unsigned index, uint64_t top)
{
    segments->tss.interrupt_stacks[2 * (index - 1)] = (uint32_t)top;
    segments->tss.interrupt_stacks[2 * (index - 1) + 1] = (uint32_t)(top >> 32);
}

void cpu_load_segments(struct cpu_segments *segments, void *own)
{
    uint64_t base = (uint64_t)(uintptr_t)&segments->tss;
    uint64_t *gdt = segments->gdt;
    struct table_register gdtr = {sizeof(segments->gdt) - 1, (uint64_t)(uintptr_t)gdt};

    segments->tss.io_map = sizeof(segments->tss);
    gdt[1] = CPU_CODE_SEGMENT;
    gdt[2] = CPU_DATA_SEGMENT;
    gdt[3] = (sizeof(segments->tss) - 1) | (base & 0xffffff) << 16 | (uint64_t)0x89 << 40 |
             (base >> 24 & 0xff) << 56;
    gdt[4] = base >> 32;
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %q1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%eax\n\t"
                     "movw %%ax, %%ds\n\t"
                     "movw %%ax, %%es\n\t"
                     "movw %%ax, %%ss\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movw %%ax, %%fs\n\t"
                     "movw %%ax, %%gs\n\t"
                     "movw %w3, %%ax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(gdtr), "i"(CPU_CODE_SELECTOR), "i"(CPU_DATA_SELECTOR),
                       "i"(CPU_TSS_SELECTOR)
                     : "rax", "memory");
    cpu_write_msr(MSR_GS_BASE, (uint64_t)(uintptr_t)own);
}

_Noreturn void cpu_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

_Noreturn void cpu_triple_fault(void)
{
    struct table_register none = {0, 0};

    __asm__ volatile("lidt %0; int3" : : "m"(none));
    cpu_halt();
}
