/*
 * Several processors at work: each case runs on all that were started.
 */
#include "suite/world.h"

#include "hw.h"
#include "machine_suite.h"
#include "processor_start.h"
#include "traps.h"

/* What the processors of a case share. */
struct crew {
    struct world *world;
    ps_virt_t va;
    uint64_t registers[5];
    bool interrupts_off;
    _Atomic bool over;
    _Atomic uint64_t ready;   /* who has begun */
    _Atomic uint64_t numbers; /* sum of the numbers of those who have answered */
    _Atomic uint64_t wrong;
    _Atomic uint64_t faults;
};

enum { LEAF_PAGES = 512 };

static ps_virt_t page_of(const struct crew *crew, uint64_t page)
{
    return ps_virt_add_pages(crew->va, ps_pages(page));
}

static struct crew make_crew(struct test *test)
{
    return (struct crew){.world = test->world, .va = test->world->scratch};
}

#define REQUIRE_SEVERAL()          \
    if (processors_running() == 1) \
    SKIP("one processor")

/* Start all but this one. */
static void call(struct test *test, struct crew *crew, void (*job)(void *))
{
    for (uint32_t i = 1; i < processor_count(); i++)
        if (processor_is_running(i))
            EXPECT(processor_run(i, job, crew));
}

static void wait_for_end(void)
{
    while (processors_are_busy())
        __builtin_ia32_pause();
}

/* Until all but this one have begun. */
static void wait_for_begin(const struct crew *crew)
{
    while (crew->ready < processors_running() - 1)
        __builtin_ia32_pause();
}

static void expect_valid(struct test *test)
{
    EXPECT_OK(ps_stage_validate(machine_suite_subject()->stage, NULL));
}

/* ---- each for itself ---- */

static void read_registers(uint64_t registers[5])
{
    registers[0] = cpu_read_cr0();
    registers[1] = cpu_read_cr3();
    registers[2] = cpu_read_cr4();
    registers[3] = cpu_read_msr(MSR_EFER);
    registers[4] = cpu_read_msr(MSR_PAT);
}

static void answer(void *context)
{
    struct crew *crew = context;
    uint64_t registers[5];

    read_registers(registers);
    for (unsigned i = 0; i < PS_ARRAY_SIZE(registers); i++)
        crew->wrong += registers[i] != crew->registers[i];
    crew->numbers += processor_this()->number;
}

static void each_answers_in_the_state_of_the_first(struct test *test)
{
    struct crew crew = make_crew(test);
    uint64_t numbers = 0;

    REQUIRE_SEVERAL();
    for (uint32_t i = 1; i < processor_count(); i++)
        numbers += processor_is_running(i) ? i : 0;
    read_registers(crew.registers);
    call(test, &crew, answer);
    wait_for_end();
    EXPECT_EQ(crew.numbers, numbers);
    EXPECT_EQ(crew.wrong, 0);
}

static void overflow_own_stack(void *context)
{
    enum { BELOW_OUR_FRAMES = 2048 };
    struct crew *crew = context;
    struct trap_recovery recovery = {.vector = 0};
    uint64_t bottom = processor_this()->stack_top - PROCESSOR_STACK_PAGES * PS_PAGE_SIZE;
    uint64_t here = (uint64_t)(uintptr_t)&recovery & ~(uint64_t)15;

    crew->faults += !trap_try(&recovery, probe_overflow, here - BELOW_OUR_FRAMES, 0);
    crew->wrong += recovery.vector != TRAP_PAGE_FAULT || recovery.address != bottom - 8;
}

static void stack_overflow_ends_in_a_guard_page(struct test *test)
{
    struct crew crew = make_crew(test);

    REQUIRE_SEVERAL();
    call(test, &crew, overflow_own_stack);
    wait_for_end();
    EXPECT_EQ(crew.faults, processors_running() - 1);
    EXPECT_EQ(crew.wrong, 0);
}

static void fault_and_go_on(void *context)
{
    enum { TIMES = 200 };
    struct crew *crew = context;
    uint64_t nowhere = page_of(crew, processor_this()->number).addr;

    for (unsigned i = 0; i < TIMES; i++) {
        struct trap_recovery recovery = {.vector = 0};

        crew->wrong += trap_try(&recovery, probe_load, nowhere + 8 * i, 0) ||
                       recovery.address != nowhere + 8 * i;
    }
}

static void faults_are_survived_where_they_happen(struct test *test)
{
    struct crew crew = make_crew(test);

    REQUIRE_SEVERAL();
    call(test, &crew, fault_and_go_on);
    fault_and_go_on(&crew);
    wait_for_end();
    EXPECT_EQ(crew.wrong, 0);
}

/* ---- translations that die ---- */

#define OLD_CONTENT 0x6f6c6421u
#define NEW_CONTENT 0x6e657721u

/* An interrupt gets through only now and then: an unmap that does not wait is well ahead of it. */
static void read_until_gone(void *context)
{
    enum { READS_AT_A_TIME = 64 };
    struct crew *crew = context;
    struct trap_recovery recovery = {.vector = 0};
    bool over = false;

    crew->ready += trap_try(&recovery, probe_load, crew->va.addr, 0);
    cpu_interrupts_off();
    for (unsigned i = 1; !over; i++) {
        over = crew->over;
        if (!trap_try(&recovery, probe_load, crew->va.addr, 0))
            break;
        crew->wrong += recovery.value != OLD_CONTENT;
        if (i % READS_AT_A_TIME == 0)
            __asm__ volatile("sti; nop; nop; cli" : : : "memory");
    }
    cpu_interrupts_on();
    /* Who began to read when the page was gone must have faulted. */
    crew->wrong += over && recovery.vector != TRAP_PAGE_FAULT;
    crew->faults += recovery.vector == TRAP_PAGE_FAULT;
}

/* Unmap what all others read, and write to the frame at once. */
static void unmap_under_readers(struct test *test, unsigned access)
{
    enum { TIMES = 20 };
    struct world *world = test->world;

    for (unsigned i = 0; i < TIMES && test->failures == 0; i++) {
        struct crew crew = make_crew(test);
        volatile uint64_t *content;
        ps_frame_t frame;
        ps_status status = ps_frame_pool_alloc(world->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame);

        REQUIRE_OK(status);
        content = ps_hw_frame(world->machine, frame);
        *content = OLD_CONTENT;
        status = ps_page_table_map(world->table, crew.va, &frame, ps_pages(1),
                                   ps_attr_ram(PS_READ | access), PS_EXISTING_ERROR);
        EXPECT_OK(status);
        call(test, &crew, read_until_gone);
        wait_for_begin(&crew);
        status = ps_page_table_unmap(world->table, crew.va, ps_pages(1), NULL);
        crew.over = true;
        *content = NEW_CONTENT;
        wait_for_end();
        EXPECT_OK(status);
        EXPECT_EQ(crew.wrong, 0);
        EXPECT_EQ(crew.faults, processors_running() - 1);
        EXPECT_OK(ps_frame_pool_free(world->pool, frame, ps_pages(1)));
    }
}

static void nobody_reads_a_page_after_its_unmap(struct test *test)
{
    REQUIRE_SEVERAL();
    unmap_under_readers(test, 0);
}

/* With a threshold of 0 every round is a full flush. */
static void nobody_reads_a_global_page_after_a_full_flush(struct test *test)
{
    uint32_t *threshold = &test->world->machine->flush_threshold;
    uint32_t usual = *threshold;

    REQUIRE_SEVERAL();
    *threshold = 0;
    unmap_under_readers(test, PS_GLOBAL);
    *threshold = usual;
}

/* ---- a large leaf, cut and put together while others use it ---- */

enum { VICTIM_STEP = 32, TOUCH_STEP = 3 };

/* Every page but those that are taken away; a word for each processor. */
static uint64_t touch_neighbours(uint64_t context, uint64_t word)
{
    struct crew *crew = (struct crew *)(uintptr_t)context;
    uint64_t touched = 0;

    for (uint64_t page = 1; !crew->over; page = (page + TOUCH_STEP) % LEAF_PAGES) {
        _Atomic uint64_t *at = ps_pointer_of_virt(ps_virt_add(page_of(crew, page), word * 8));

        if (page % VICTIM_STEP == 0)
            continue;
        atomic_fetch_add(at, 1);
        if (touched++ == LEAF_PAGES)
            crew->ready++;
    }
    return touched;
}

static void use_leaf(void *context)
{
    struct crew *crew = context;
    struct trap_recovery recovery = {.vector = 0};

    crew->faults += !trap_try(&recovery, touch_neighbours, (uint64_t)(uintptr_t)crew,
                              processor_this()->number % 512);
    crew->numbers += recovery.value;
}

static void cut_and_promote(struct test *test, struct crew *crew, ps_frame_t first)
{
    struct ps_page_table *table = test->world->table;
    ps_attr_t writable = ps_attr_ram(PS_READ | PS_WRITE);
    uint64_t promoted = ps_page_table_counters(table).promotions[PS_LEAF_2M];

    for (uint64_t page = 0; page < LEAF_PAGES; page += VICTIM_STEP) {
        ps_virt_t va = page_of(crew, page);

        crew->wrong += ps_page_table_unmap(table, va, ps_pages(1), NULL) != PS_OK ||
                       ps_page_table_map_run(table, va, ps_frame_add(first, page), ps_pages(1),
                                             ps_attr_ram(PS_READ), 0) != PS_OK ||
                       ps_page_table_protect(table, va, ps_pages(1), writable) != PS_OK ||
                       ps_page_table_promote(table, crew->va, ps_pages(LEAF_PAGES)) != PS_OK;
        promoted++;
    }
    EXPECT_EQ(crew->wrong, 0);
    EXPECT_EQ(ps_page_table_counters(table).promotions[PS_LEAF_2M], promoted);
}

static uint64_t sum_of_words(const struct crew *crew)
{
    const uint64_t *words = ps_pointer_of_virt(crew->va);
    uint64_t sum = 0;

    for (unsigned i = 0; i < LEAF_PAGES * PS_PAGE_SIZE / sizeof(*words); i++)
        sum += words[i];
    return sum;
}

static void neighbours_of_a_cut_never_fault(struct test *test)
{
    struct world *world = test->world;
    struct crew crew = make_crew(test);
    ps_frame_t first;
    ps_status status;

    REQUIRE_SEVERAL();
    if (ps_frame_pool_alloc(world->pool, PS_FRAME_2M, PS_FRAME_USER, PS_FRAME_ZERO, &first) !=
        PS_OK)
        SKIP("no 2 MiB of memory are free");
    status = ps_page_table_map_run(world->table, crew.va, first, ps_pages(LEAF_PAGES),
                                   ps_attr_ram(PS_READ | PS_WRITE), 0);
    EXPECT_OK(status);
    call(test, &crew, use_leaf);
    while (crew.ready < processors_running() - 1 && crew.faults == 0)
        __builtin_ia32_pause();
    cut_and_promote(test, &crew, first);
    crew.over = true;
    wait_for_end();
    EXPECT_EQ(crew.faults, 0);
    EXPECT_EQ(sum_of_words(&crew), crew.numbers);
    status = ps_page_table_unmap(world->table, crew.va, ps_pages(LEAF_PAGES), NULL);
    EXPECT_OK(status);
    EXPECT_OK(ps_frame_pool_free(world->pool, first, ps_pages(LEAF_PAGES)));
    expect_valid(test);
}

/* ---- all at the same structures ---- */

/* A frame of the pool at a page of our own, in tables that we share. */
static bool use_page(const struct crew *crew, ps_virt_t va, uint64_t value)
{
    struct world *world = crew->world;
    volatile uint64_t *at = ps_pointer_of_virt(va);
    ps_frame_t frame;
    bool good;

    if (ps_frame_pool_alloc(world->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame) != PS_OK ||
        ps_page_table_map(world->table, va, &frame, ps_pages(1), ps_attr_ram(PS_READ | PS_WRITE),
                          PS_EXISTING_ERROR) != PS_OK)
        return false;
    *at = value;
    good = *at == value;
    return ps_page_table_unmap(world->table, va, ps_pages(1), NULL) == PS_OK &&
           ps_frame_pool_free(world->pool, frame, ps_pages(1)) == PS_OK && good;
}

static bool use_arena(const struct crew *crew, uint64_t pages, uint64_t value)
{
    struct ps_virtual_request request = {.pages = ps_pages(pages), .who = PS_HERE(0)};
    volatile uint64_t *at;
    ps_virt_t va;
    bool good;

    if (ps_virtual_alloc(crew->world->arena, &request, &va) != PS_OK)
        return false;
    at = ps_pointer_of_virt(va);
    *at = value;
    good = *at == value;
    return ps_virtual_free(crew->world->arena, va) == PS_OK && good;
}

static void use_everything(void *context)
{
    enum { TIMES = 12 };
    struct crew *crew = context;
    uint64_t number = processor_this()->number;
    uint64_t flags = cpu_interrupts_save();

    if (!crew->interrupts_off)
        cpu_interrupts_restore(flags);
    for (uint64_t i = 0; i < TIMES; i++) {
        uint64_t page = number + i * processor_count();

        crew->wrong += !use_page(crew, page_of(crew, page), number << 32 | i);
        crew->wrong += !use_arena(crew, 1 + i % 3, number << 32 | i);
    }
    cpu_interrupts_restore(flags);
}

static void work_at_once(struct test *test, bool interrupts_off)
{
    struct world *world = test->world;
    struct crew crew = make_crew(test);
    uint64_t frames = ps_frame_pool_in_use(world->pool);
    uint64_t tables = ps_page_table_counters(world->table).tables;

    crew.interrupts_off = interrupts_off;
    call(test, &crew, use_everything);
    use_everything(&crew);
    wait_for_end();
    EXPECT_EQ(crew.wrong, 0);
    EXPECT_EQ(ps_frame_pool_in_use(world->pool), frames);
    EXPECT_EQ(ps_page_table_counters(world->table).tables, tables);
    expect_valid(test);
}

static void all_work_on_one_table_at_once(struct test *test)
{
    REQUIRE_SEVERAL();
    work_at_once(test, false);
}

static void all_work_on_one_table_with_interrupts_off(struct test *test)
{
    REQUIRE_SEVERAL();
    work_at_once(test, true);
}

static const struct test_case cases[] = {
    TEST_CASE(each_answers_in_the_state_of_the_first),
    TEST_CASE(stack_overflow_ends_in_a_guard_page),
    TEST_CASE(faults_are_survived_where_they_happen),
    TEST_CASE(nobody_reads_a_page_after_its_unmap),
    TEST_CASE(nobody_reads_a_global_page_after_a_full_flush),
    TEST_CASE(neighbours_of_a_cut_never_fault),
    TEST_CASE(all_work_on_one_table_at_once),
    TEST_CASE(all_work_on_one_table_with_interrupts_off),
};
const struct test_suite suite_processors = TEST_SUITE("processors", cases);
