#include "fault_report.h"

#include "cpu.h"
#include "processors.h"
#include "report.h"
#include "symbols.h"

static const struct fault_reporter *told;
static unsigned depth; /* faults that are being reported: each may cause the next */

void fault_report_to(const struct fault_reporter *reporter)
{
    told = reporter;
}

const char *fault_name(uint64_t vector)
{
    static const char *const names[TRAP_EXCEPTIONS] = {
        [0] = "divide error",
        [1] = "debug",
        [2] = "non-maskable interrupt",
        [3] = "breakpoint",
        [4] = "overflow",
        [5] = "bound range exceeded",
        [6] = "invalid opcode",
        [7] = "device not available",
        [8] = "double fault",
        [10] = "invalid TSS",
        [11] = "segment not present",
        [12] = "stack-segment fault",
        [13] = "general protection",
        [14] = "page fault",
        [16] = "x87 floating-point error",
        [17] = "alignment check",
        [18] = "machine check",
        [19] = "SIMD floating-point error",
        [20] = "virtualization exception",
        [21] = "control protection",
        [28] = "hypervisor injection",
        [29] = "VMM communication",
        [30] = "security",
    };

    if (vector >= TRAP_EXCEPTIONS)
        return "interrupt";
    return names[vector] == NULL ? "reserved exception" : names[vector];
}

static void print_page_fault(const struct ps_sink *sink, uint64_t error)
{
    ps_print(sink, "# fault: %s of %s page, %s mode%s%s%s\n",
             (error & 16) != 0  ? "fetch"
             : (error & 2) != 0 ? "write"
                                : "read",
             (error & 1) != 0 ? "a present" : "an absent", (error & 4) != 0 ? "user" : "supervisor",
             (error & 8) != 0 ? ", reserved bit set" : "",
             (error & 32) != 0 ? ", protection key" : "",
             (error & 64) != 0 ? ", shadow stack" : "");
}

static void print_registers(const struct ps_sink *sink, const struct trap_frame *f)
{
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {{"rax", f->rax}, {"rbx", f->rbx},    {"rcx", f->rcx}, {"rdx", f->rdx},
               {"rsi", f->rsi}, {"rdi", f->rdi},    {"rbp", f->rbp}, {"rsp", f->rsp},
               {"r8 ", f->r8},  {"r9 ", f->r9},     {"r10", f->r10}, {"r11", f->r11},
               {"r12", f->r12}, {"r13", f->r13},    {"r14", f->r14}, {"r15", f->r15},
               {"rip", f->rip}, {"flg", f->rflags}, {"cs ", f->cs},  {"ss ", f->ss}};

    for (size_t i = 0; i < PS_ARRAY_SIZE(all); i++)
        ps_print(sink, "%s%s %016" PS_PRIx "%s", i % 4 == 0 ? "#   " : "  ", all[i].name,
                 all[i].value, i % 4 == 3 ? "\n" : "");
}

/* Words of the stack that point into our code: a call chain, with some noise. */
static void print_stack(const struct ps_sink *sink, uint64_t stack)
{
    enum { WORDS = 64, SHOWN = 8 };
    struct trap_recovery recovery;
    unsigned shown = 0;

    for (unsigned i = 0; i < WORDS && shown < SHOWN; i++) {
        if (!trap_try(&recovery, probe_load, (stack & ~(uint64_t)7) + 8 * (uint64_t)i, 0))
            break;
        if (!symbol_is_code(recovery.value))
            continue;
        ps_print(sink, "# on the stack: ");
        symbol_print(sink, recovery.value);
        ps_print(sink, "\n");
        shown++;
    }
}

/* What -fsanitize-trap puts behind its ud1 instruction says which check failed. */
static void print_undefined_behaviour(const struct ps_sink *sink, uint64_t rip)
{
    struct trap_recovery recovery;

    /* 67 0f b9 40 <check>: ud1 with the number of the check as a displacement. */
    if (trap_try(&recovery, probe_load, rip, 0) && (recovery.value & 0xffffffff) == 0x40b90f67)
        ps_print(sink, "# fault: undefined behaviour caught by the compiler's check %u\n",
                 (unsigned)(recovery.value >> 32 & 0xff));
}

/* CR2 was read before anything else could change it. */
static void print_fault(const struct ps_sink *sink, const struct ps_page_table *table,
                        const struct trap_frame *frame, uint64_t cr2)
{
    struct report_comments comments;
    struct ps_sink walk = report_comment_sink(&comments, sink);

    ps_print(sink, "\n# fault: %s (vector %" PS_PRIu "), error code 0x%" PS_PRIx ", at ",
             fault_name(frame->vector), frame->vector, frame->error);
    symbol_print(sink, frame->rip);
    ps_print(sink, " (rip 0x%" PS_PRIx ", image base 0x%" PS_PRIx ")\n", frame->rip,
             (uint64_t)(uintptr_t)image_base);
    if (frame->vector == TRAP_PAGE_FAULT)
        print_page_fault(sink, frame->error);
    if (frame->vector == TRAP_INVALID_OPCODE)
        print_undefined_behaviour(sink, frame->rip);
    ps_print(sink, "# cr2: 0x%016" PS_PRIx "\n", cr2);
    print_registers(sink, frame);
    print_stack(sink, frame->rsp);
    /* A double fault has its cause in CR2, too: the stack that ended. */
    if (table != NULL && (frame->vector == TRAP_PAGE_FAULT || frame->vector == TRAP_DOUBLE_FAULT))
        ps_page_table_dump_walk(table, ps_virt(cr2), &walk);
}

static void put_reason(char *text, size_t size, const struct trap_frame *frame)
{
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, size);

    ps_print(&sink, "unexpected %s at ", fault_name(frame->vector));
    symbol_print(&sink, frame->rip);
    if (processor_this()->number != 0)
        ps_print(&sink, " on processor %u", processor_this()->number);
}

/* Probes of the report fault, too, and must not arrive on the stack that it runs on. */
static void keep_own_stack(void)
{
    traps_forget();
    traps_set_stack(TRAP_PAGE_FAULT, TRAP_STACK_NONE);
}

_Noreturn void fault_report(const struct trap_frame *frame)
{
    static char reason[128]; /* of the first fault: later ones come from reporting it */
    uint64_t cr2 = cpu_read_cr2();

    if (told == NULL)
        cpu_halt();
    processors_stop_others();
    keep_own_stack();
    depth++;
    if (depth == 1) {
        put_reason(reason, sizeof(reason), frame);
        print_fault(&told->stream, told->table, frame, cr2);
        told->make_room(told->context);
        print_fault(&told->screen, told->table, frame, cr2);
    }
    if (depth <= 2)
        told->bail_out(told->context, reason);
    told->give_up(told->context);
    cpu_halt();
}
