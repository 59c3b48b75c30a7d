/*
 * Each case does something from which there is no way back; the line behind it only runs
 * where that failed.
 */
#include "death_suite.h"

#include "cpu.h"
#include "processors.h"
#include "traps.h"

/* An address that nothing maps, hidden from the compiler. */
static volatile uint64_t nowhere = 0x123456789000;
static volatile uint32_t thirty_two = 32;

static void survived(struct test *test, const char *rule)
{
    (void)test_check(test, false, rule, __FILE__, __LINE__);
}

static void dies_of_a_fault(struct test *test)
{
    *(volatile uint64_t *)(uintptr_t)nowhere = 1;
    survived(test, "a write to nowhere faults");
}

static void write_to_nowhere(void *unused)
{
    (void)unused;
    *(volatile uint64_t *)(uintptr_t)nowhere = 1;
}

static void dies_of_a_fault_on_another_processor(struct test *test)
{
    if (!EXPECT(processor_count() > 1 && processor_run(1, write_to_nowhere, NULL)))
        return;
    while (processor_is_busy(1))
        __builtin_ia32_pause();
    survived(test, "a write to nowhere faults");
}

static void dies_of_a_call_into_data(struct test *test)
{
    ((void (*)(void))(uintptr_t)&nowhere)();
    survived(test, "data is not executable");
}

/* What endless recursion does, without the compiler noticing. */
static void use_up_stack(void)
{
    __asm__ volatile("1: push %rax; jmp 1b");
}

static void dies_of_a_full_stack(struct test *test)
{
    use_up_stack();
    survived(test, "a stack has an end");
}

static void dies_of_a_double_fault(struct test *test)
{
    traps_set_stack(TRAP_PAGE_FAULT, TRAP_STACK_NONE);
    use_up_stack();
    survived(test, "a stack has an end");
}

static void dies_of_undefined_behaviour(struct test *test)
{
    EXPECT(1u << thirty_two == 0);
}

static void hangs(struct test *test)
{
    EXPECT(true);
    for (;;)
        __builtin_ia32_pause();
}

static void hangs_with_interrupts_off(struct test *test)
{
    cpu_interrupts_off();
    hangs(test);
}

static void dies_of_a_triple_fault(struct test *test)
{
    EXPECT(true);
    cpu_triple_fault();
}

static void fails(struct test *test)
{
    EXPECT_EQ(2 + 2, 5);
}

static const struct {
    const char *kind;
    struct test_case one;
} kinds[] = {
    {"fault", TEST_CASE(dies_of_a_fault)},
    {"other", TEST_CASE(dies_of_a_fault_on_another_processor)},
    {"execute", TEST_CASE(dies_of_a_call_into_data)},
    {"stack", TEST_CASE(dies_of_a_full_stack)},
    {"double", TEST_CASE(dies_of_a_double_fault)},
    {"undefined", TEST_CASE(dies_of_undefined_behaviour)},
    {"hang", TEST_CASE(hangs)},
    {"hang-off", TEST_CASE(hangs_with_interrupts_off)},
    {"triple", TEST_CASE(dies_of_a_triple_fault)},
    {"fail", TEST_CASE(fails)},
};

static bool same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

const struct test_suite *death_suite(const char *kind)
{
    static struct test_suite suite = {.name = "death", .count = 1};

    for (size_t i = 0; i < PS_ARRAY_SIZE(kinds); i++) {
        suite.cases = &kinds[i].one;
        if (same(kinds[i].kind, kind))
            return &suite;
    }
    return NULL;
}

bool death_cuts_short(const char *kind)
{
    return same(kind, "plan");
}

bool death_eats_memory(const char *kind)
{
    return same(kind, "memory");
}
