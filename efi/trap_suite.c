#include "machine_suite.h"

#include "hw.h"
#include "traps.h"
#include "watchdog.h"

/* ---- exceptions ---- */

/*
 * Overflow a stack made for it and tell what came of it. `ist` is the stack on which the
 * page fault is delivered: with none, its delivery faults too.
 */
static void overflow_a_stack(struct test *test, unsigned ist, struct trap_recovery *recovery,
                             ps_virt_t *stack)
{
    struct ps_virtual_allocator *arena = &machine_suite_subject()->stage->arena;
    struct ps_virtual_request request = {.pages = ps_pages(1), .who = PS_HERE(0)};
    bool returned;

    REQUIRE_OK(ps_virtual_alloc(arena, &request, stack));
    traps_set_stack(TRAP_PAGE_FAULT, ist);
    returned = trap_try(recovery, probe_overflow, stack->addr + PS_PAGE_SIZE, 0);
    traps_set_stack(TRAP_PAGE_FAULT, TRAP_STACK_PAGE_FAULT);
    EXPECT(!returned);
    EXPECT_OK(ps_virtual_free(arena, *stack));
}

static bool is_outside(uint64_t address, ps_virt_t page)
{
    return address < page.addr || address - page.addr >= PS_PAGE_SIZE;
}

static void stack_overflow_is_a_page_fault_on_its_own_stack(struct test *test)
{
    struct trap_recovery recovery = {.vector = 0};
    ps_virt_t stack = {0};

    overflow_a_stack(test, TRAP_STACK_PAGE_FAULT, &recovery, &stack);
    EXPECT_EQ(recovery.vector, TRAP_PAGE_FAULT);
    EXPECT_EQ(recovery.error, 2);
    EXPECT_EQ(recovery.address, stack.addr - 8);
    EXPECT(is_outside(recovery.handler_stack, stack));
}

static void stack_overflow_ends_on_the_double_fault_stack(struct test *test)
{
    struct trap_recovery recovery = {.vector = 0};
    ps_virt_t stack = {0};

    overflow_a_stack(test, TRAP_STACK_NONE, &recovery, &stack);
    EXPECT_EQ(recovery.vector, TRAP_DOUBLE_FAULT);
    EXPECT_EQ(recovery.error, 0);
    EXPECT(is_outside(recovery.handler_stack, stack));
}

static uint64_t run_breakpoint(uint64_t a, uint64_t b)
{
    __asm__ volatile("int3");
    return a + b;
}

static void breakpoint_is_caught(struct test *test)
{
    struct trap_recovery recovery = {.vector = 0};

    EXPECT(!trap_try(&recovery, run_breakpoint, 1, 2));
    EXPECT_EQ(recovery.vector, TRAP_BREAKPOINT);
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b;
}

static void what_does_not_fault_returns_its_value(struct test *test)
{
    struct trap_recovery recovery = {.vector = 0};

    REQUIRE(trap_try(&recovery, add, 40, 2));
    EXPECT_EQ(recovery.value, 42);
}

static uint64_t shift(uint64_t value, uint64_t by)
{
    return (uint64_t)((uint32_t)value << (uint32_t)by);
}

static void undefined_behaviour_is_trapped(struct test *test)
{
    struct trap_recovery recovery = {.vector = 0};

    EXPECT(trap_try(&recovery, shift, 1, 31));
    EXPECT(!trap_try(&recovery, shift, 1, 32));
    EXPECT_EQ(recovery.vector, TRAP_INVALID_OPCODE);
}

static uint64_t spin(uint64_t a, uint64_t b)
{
    (void)b;
    for (;;)
        __asm__ volatile("pause" : : "r"(a));
}

static void a_hang_is_ended_by_the_timer(struct test *test)
{
    struct trap_recovery recovery = {.vector = 0};
    uint64_t at;

    if (!watchdog_is_running())
        SKIP("no local APIC timer");
    watchdog_arm(1);
    EXPECT(!trap_watch(&recovery, spin, 0, 0));
    at = watchdog_caught_at();
    watchdog_arm(60);
    EXPECT(at >= (uint64_t)(uintptr_t)spin && at < (uint64_t)(uintptr_t)spin + 64);
}

static const struct test_case trap_cases[] = {
    TEST_CASE(stack_overflow_is_a_page_fault_on_its_own_stack),
    TEST_CASE(stack_overflow_ends_on_the_double_fault_stack),
    TEST_CASE(breakpoint_is_caught),
    TEST_CASE(what_does_not_fault_returns_its_value),
    TEST_CASE(undefined_behaviour_is_trapped),
    TEST_CASE(a_hang_is_ended_by_the_timer),
};
const struct test_suite suite_traps = TEST_SUITE("traps", trap_cases);

/* ---- runtime services ---- */

static void clock_answers_on_the_runtime_root(struct test *test)
{
    const struct machine_under_test *mut = machine_suite_subject();
    struct runtime_time now = {.year = 0};

    if (runtime_get_time(mut->runtime, &now) != PS_OK)
        SKIP("this firmware's GetTime does not work after the exit");
    EXPECT(now.year >= 1998 && now.year <= 9999);
    EXPECT(now.month >= 1 && now.month <= 12 && now.day >= 1 && now.day <= 31);
    EXPECT(now.hour < 24 && now.minute < 60 && now.second < 60);
}

static void variable_store_answers_on_the_runtime_root(struct test *test)
{
    const struct machine_under_test *mut = machine_suite_subject();
    uint64_t size = 0;

    if (runtime_variable_size(mut->runtime, "BootOrder", &size) != PS_OK)
        SKIP("this firmware's variable store does not answer after the exit");
    EXPECT(size != 0 && size % 2 == 0);
}

static void runtime_root_validates(struct test *test)
{
    const struct machine_under_test *mut = machine_suite_subject();
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(ps_page_table_validate(&mut->runtime->table, &sink));
    if (buffer.length != 0)
        test_note(test, "%s", text);
}

static void own_root_is_active_after_a_call(struct test *test)
{
    const struct machine_under_test *mut = machine_suite_subject();
    struct runtime_time now;
    ps_status ignored = runtime_get_time(mut->runtime, &now);

    (void)ignored; /* whether it works or not: the root must be ours again */
    EXPECT_EQ(ps_hw_root(&mut->stage->machine).number, mut->stage->table.root.number);
}

static const struct test_case runtime_cases[] = {
    TEST_CASE(runtime_root_validates),
    TEST_CASE(clock_answers_on_the_runtime_root),
    TEST_CASE(variable_store_answers_on_the_runtime_root),
    TEST_CASE(own_root_is_active_after_a_call),
};
const struct test_suite suite_runtime = TEST_SUITE("runtime", runtime_cases);
