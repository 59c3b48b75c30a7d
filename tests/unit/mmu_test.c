#include "machine/mmu.h"

#include "hw.h"

/*
 * The software MMU itself, against tables built by hand: what would be believed of a test
 * on it depends on these facts.
 */

enum {
    FIRST = 256,
    FRAMES = 64,
    ROOT = FIRST, /* tables from here on */
    DATA = FIRST + 32,
};

#define VA ps_virt(0x0000123456789000u)
#define P  0x1u
#define W  0x2u
#define U  0x4u
#define A  0x20u
#define D  0x40u
#define S  0x80u
#define G  0x100u
#define XD 0x8000000000000000u

struct bench {
    struct sim_machine *sim;
    struct mmu *mmu;
    uint64_t next_table; /* frame */
};

static uint64_t *words(struct bench *b, uint64_t frame)
{
    return ps_hw_frame(&b->sim->machine, ps_frame(frame));
}

static void clear(struct bench *b, uint64_t frame)
{
    for (unsigned i = 0; i < 512; i++)
        words(b, frame)[i] = 0;
}

/* The entry for `va` in the table of `level`; the tables above it are made on the way. */
static uint64_t *entry_of(struct bench *b, ps_virt_t va, unsigned level)
{
    uint64_t frame = ROOT;

    for (unsigned at = b->sim->machine.levels;; at--) {
        uint64_t *entry = &words(b, frame)[va.addr >> (3 + 9 * at) & 511];

        if (at == level)
            return entry;
        if (*entry == 0) {
            clear(b, b->next_table);
            *entry = b->next_table++ << 12 | P | W | U;
        }
        frame = *entry >> 12 & 0xffffffffffu;
    }
}

static void set(struct bench *b, ps_virt_t va, unsigned level, uint64_t value)
{
    *entry_of(b, va, level) = value;
}

static void with_bench(struct test *test, unsigned flags,
                       void (*body)(struct test *test, struct bench *b))
{
    struct sim_range ram = SIM_RAM(FIRST, FRAMES);
    struct bench bench = {.next_table = ROOT + 1};

    bench.sim = sim_machine_create(&ram, 1, flags);
    REQUIRE(bench.sim != NULL);
    bench.mmu = mmu_create(bench.sim);
    clear(&bench, ROOT);
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
        mmu_set_root(bench.mmu, cpu, ps_frame(ROOT));
    for (uint64_t i = 0; i < 8; i++)
        words(&bench, DATA + i)[0] = 100 + i;
    body(test, &bench);
    mmu_destroy(bench.mmu);
    sim_machine_destroy(bench.sim);
}

#define MMU_CASE(name, flags)                                  \
    static void name##_in(struct test *test, struct bench *b); \
    static void name(struct test *test)                        \
    {                                                          \
        with_bench(test, flags, name##_in);                    \
    }                                                          \
    static void name##_in(struct test *test, struct bench *b)

static void expect_value(struct test *test, struct bench *b, unsigned cpu, ps_virt_t va,
                         uint64_t value)
{
    struct outcome outcome = mmu_load(b->mmu, cpu, va);

    EXPECT(!outcome.faulted);
    EXPECT_EQ(outcome.value, value);
}

static void expect_fault(struct test *test, struct mmu_answer answer, uint32_t error)
{
    EXPECT(answer.faulted);
    EXPECT_EQ(answer.vector, VECTOR_PAGE_FAULT);
    EXPECT_EQ(answer.error, error);
}

static struct mmu_answer try(struct bench *b, unsigned access)
{
    return mmu_translate(b->mmu, 0, VA, access);
}

/* ---- walks ---- */

MMU_CASE(absent_entries_fault_at_every_level, 0)
{
    for (unsigned level = 4; level > 0; level--) {
        set(b, VA, level, 0);
        expect_fault(test, try(b, MMU_READ), 0);
        expect_fault(test, try(b, MMU_WRITE), FAULT_WRITE);
        expect_fault(test, try(b, MMU_FETCH), FAULT_FETCH);
        expect_fault(test, try(b, MMU_READ | MMU_USER), FAULT_USER);
    }
}

MMU_CASE(four_kib_pages_translate, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    expect_value(test, b, 0, VA, 100);
    EXPECT_EQ(mmu_translate(b->mmu, 0, ps_virt(VA.addr + 0xff8), 0).pa.addr,
              ((uint64_t)DATA << 12) + 0xff8);
    EXPECT(mmu_load(b->mmu, 0, ps_virt(VA.addr + 0x1000)).faulted);
}

MMU_CASE(large_pages_translate, 0)
{
    set(b, VA, 2, (uint64_t)0x40000000 | P | S);
    EXPECT_EQ(try(b, MMU_READ).pa.addr, 0x40000000u + (VA.addr & 0x1fffff));
    set(b, ps_virt(0x8000000000), 3, (uint64_t)0x80000000 | P | S);
    EXPECT_EQ(mmu_translate(b->mmu, 0, ps_virt(0x8012345678), 0).pa.addr, 0x92345678u);
}

MMU_CASE(five_levels_translate, SIM_FIVE_LEVELS)
{
    ps_virt_t high = ps_virt(0x00aa123456789000u);

    set(b, high, 1, (uint64_t)(DATA + 1) << 12 | P);
    expect_value(test, b, 0, high, 101);
    EXPECT_EQ(mmu_load(b->mmu, 0, ps_virt(0x0100000000000000u)).vector, VECTOR_GENERAL_PROTECTION);
    EXPECT_EQ(mmu_load(b->mmu, 0, ps_virt(0xff00000000000000u)).vector, VECTOR_PAGE_FAULT);
}

MMU_CASE(non_canonical_addresses_are_no_page_fault, 0)
{
    EXPECT_EQ(mmu_load(b->mmu, 0, ps_virt(0x0000800000000000u)).vector, VECTOR_GENERAL_PROTECTION);
    EXPECT_EQ(mmu_load(b->mmu, 0, ps_virt(0xffff7fffffffff00u)).vector, VECTOR_GENERAL_PROTECTION);
    EXPECT_EQ(mmu_load(b->mmu, 0, ps_virt(0xffff800000000000u)).vector, VECTOR_PAGE_FAULT);
    EXPECT_EQ(mmu_load(b->mmu, 0, ps_virt(0x00007ffffffffff8u)).vector, VECTOR_PAGE_FAULT);
}

/* ---- rights ---- */

MMU_CASE(every_level_must_allow, 0)
{
    for (unsigned level = 1; level <= 4; level++) {
        uint64_t good;

        set(b, VA, 1, (uint64_t)DATA << 12 | P | W | U);
        good = *entry_of(b, VA, level);
        EXPECT(!try(b, MMU_WRITE | MMU_USER).faulted);
        *entry_of(b, VA, level) = good & ~(uint64_t)W;
        mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{VA, 1, 1}}});
        expect_fault(test, try(b, MMU_WRITE), FAULT_PRESENT | FAULT_WRITE);
        EXPECT(!try(b, MMU_READ).faulted);
        *entry_of(b, VA, level) = good & ~(uint64_t)U;
        mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{VA, 1, 1}}});
        expect_fault(test, try(b, MMU_USER), FAULT_PRESENT | FAULT_USER);
        EXPECT(!try(b, MMU_WRITE).faulted);
        *entry_of(b, VA, level) = good | XD;
        mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{VA, 1, 1}}});
        expect_fault(test, try(b, MMU_FETCH), FAULT_PRESENT | FAULT_FETCH);
        EXPECT(!try(b, MMU_READ).faulted);
        *entry_of(b, VA, level) = good;
        mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{VA, 1, 1}}});
        EXPECT(!try(b, MMU_FETCH).faulted);
    }
}

MMU_CASE(execute_obeys_code_and_nothing_else, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    words(b, DATA)[0] = WORLD_CODE(0xcafe);
    EXPECT_EQ(mmu_execute(b->mmu, 0, VA).value, 0xcafe);
    words(b, DATA)[0] = WORLD_CODE(0xcafe) + 1;
    EXPECT_EQ(mmu_execute(b->mmu, 0, VA).vector, 6);
}

/* ---- reserved bits ---- */

static void expect_reserved(struct test *test, struct bench *b, unsigned level, uint64_t value)
{
    uint64_t good = *entry_of(b, VA, level);

    *entry_of(b, VA, level) = value;
    expect_fault(test, try(b, MMU_WRITE), FAULT_PRESENT | FAULT_WRITE | FAULT_RESERVED);
    *entry_of(b, VA, level) = good;
}

MMU_CASE(address_bits_the_machine_has_not_are_reserved, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P | W);
    for (unsigned level = 1; level <= 4; level++)
        for (unsigned bit = 46; bit < 52; bit++)
            expect_reserved(test, b, level, *entry_of(b, VA, level) | (uint64_t)1 << bit);
    EXPECT(!try(b, MMU_WRITE).faulted);
}

MMU_CASE(large_pages_have_reserved_low_bits, 0)
{
    for (unsigned bit = 13; bit < 21; bit++)
        expect_reserved(test, b, 2, (uint64_t)1 << bit | P | W | S);
    for (unsigned bit = 13; bit < 30; bit++)
        expect_reserved(test, b, 3, (uint64_t)1 << bit | P | W | S);
    expect_reserved(test, b, 4, P | W | S);
    set(b, VA, 2, (uint64_t)1 << 12 | P | W | S); /* the PAT bit is not */
    EXPECT(!try(b, MMU_WRITE).faulted);
}

MMU_CASE(bits_for_features_that_are_off_are_reserved, SIM_NO_EXECUTE_DISABLE | SIM_NO_GIB_LEAVES)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P | W);
    expect_reserved(test, b, 1, (uint64_t)DATA << 12 | P | W | XD);
    expect_reserved(test, b, 3, P | W | S);
    /* No fetch bit in the code of a processor without no-execute. */
    set(b, VA, 1, 0);
    expect_fault(test, try(b, MMU_FETCH), 0);
}

/* ---- accessed and dirty ---- */

MMU_CASE(accessed_is_set_on_the_way_and_dirty_in_the_leaf, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P | W);
    expect_value(test, b, 0, VA, 100);
    for (unsigned level = 1; level <= 4; level++)
        EXPECT_EQ(*entry_of(b, VA, level) & (A | D), A);
    EXPECT(!mmu_store(b->mmu, 0, VA, 7).faulted);
    EXPECT_EQ(*entry_of(b, VA, 1) & (A | D), A | D);
    EXPECT_EQ(*entry_of(b, VA, 2) & D, 0);
    EXPECT_EQ(words(b, DATA)[0], 7);
}

MMU_CASE(a_refused_access_leaves_no_mark_in_the_leaf, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    EXPECT(mmu_store(b->mmu, 0, VA, 7).faulted);
    EXPECT_EQ(*entry_of(b, VA, 1) & (A | D), 0);
    EXPECT_EQ(mmu_kept_translations(b->mmu, 0), 0);
}

MMU_CASE(a_dirty_translation_sets_no_second_mark, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P | W);
    EXPECT(!mmu_store(b->mmu, 0, VA, 7).faulted);
    set(b, VA, 1, (uint64_t)DATA << 12 | P | W);
    EXPECT(!mmu_store(b->mmu, 0, VA, 8).faulted);
    EXPECT_EQ(*entry_of(b, VA, 1) & (A | D), 0);
}

/* ---- what is kept ---- */

MMU_CASE(a_translation_is_kept_until_it_is_invalidated, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    expect_value(test, b, 0, VA, 100);
    set(b, VA, 1, (uint64_t)(DATA + 1) << 12 | P);
    expect_value(test, b, 0, VA, 100);
    mmu_invalidate(b->mmu, 0,
                   &(struct ps_invalidation){1, false, {{ps_virt(VA.addr + 0x1000), 1, 1}}});
    expect_value(test, b, 0, VA, 100);
    mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{VA, 1, 1}}});
    expect_value(test, b, 0, VA, 101);
}

MMU_CASE(an_absent_page_is_not_kept, 0)
{
    set(b, VA, 1, 0);
    expect_fault(test, try(b, MMU_READ), 0);
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    expect_value(test, b, 0, VA, 100);
}

MMU_CASE(old_rights_fault_once, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    expect_value(test, b, 0, VA, 100);
    set(b, VA, 1, (uint64_t)DATA << 12 | P | W);
    EXPECT(mmu_store(b->mmu, 0, VA, 1).faulted);
    EXPECT(!mmu_store(b->mmu, 0, VA, 1).faulted);
}

MMU_CASE(a_large_translation_survives_a_cut_and_goes_with_any_of_its_pages, 0)
{
    ps_virt_t first = ps_virt(VA.addr & ~(uint64_t)0x1fffff);

    set(b, VA, 2, (uint64_t)0x40000000 | P | S);
    EXPECT_EQ(try(b, MMU_READ).pa.addr, 0x40000000u + (VA.addr & 0x1fffff));
    set(b, VA, 2, 0);
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    EXPECT_EQ(try(b, MMU_READ).pa.addr, 0x40000000u + (VA.addr & 0x1fffff));
    mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{first, 1, 1}}});
    expect_value(test, b, 0, VA, 100);
}

MMU_CASE(steps_of_a_walk_are_kept, 0)
{
    ps_virt_t next = ps_virt(VA.addr + 0x1000);

    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    set(b, next, 1, (uint64_t)(DATA + 1) << 12 | P);
    expect_value(test, b, 0, VA, 100);
    EXPECT_EQ(mmu_kept_steps(b->mmu, 0), 3);
    /* The way is cut, but the processor knows where the last table is. */
    set(b, VA, 2, 0);
    expect_value(test, b, 0, next, 101);
    /* Any invalidation drops all steps. */
    mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{ps_virt(0x1000), 1, 1}}});
    EXPECT_EQ(mmu_kept_steps(b->mmu, 0), 0);
    expect_value(test, b, 0, next, 101);
    EXPECT(mmu_load(b->mmu, 0, ps_virt(next.addr + 0x1000)).faulted);
}

MMU_CASE(global_translations_survive_a_root_and_die_when_they_are_meant, 0)
{
    ps_virt_t local = ps_virt(VA.addr + 0x1000);

    set(b, VA, 1, (uint64_t)DATA << 12 | P | G);
    set(b, local, 1, (uint64_t)(DATA + 1) << 12 | P);
    expect_value(test, b, 0, VA, 100);
    expect_value(test, b, 0, local, 101);
    mmu_set_root(b->mmu, 0, ps_frame(ROOT));
    EXPECT_EQ(mmu_kept_translations(b->mmu, 0), 1);
    EXPECT_EQ(mmu_kept_steps(b->mmu, 0), 0);
    mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{VA, 1, 1}}});
    EXPECT_EQ(mmu_kept_translations(b->mmu, 0), 0);
    expect_value(test, b, 0, VA, 100);
    mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){.global = false});
    EXPECT_EQ(mmu_kept_translations(b->mmu, 0), 1);
    mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){.global = true});
    EXPECT_EQ(mmu_kept_translations(b->mmu, 0), 0);
}

MMU_CASE(no_translation_is_global_where_that_is_off, SIM_NO_GLOBAL_LEAVES)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P | G);
    expect_value(test, b, 0, VA, 100);
    mmu_set_root(b->mmu, 0, ps_frame(ROOT));
    EXPECT_EQ(mmu_kept_translations(b->mmu, 0), 0);
}

MMU_CASE(the_second_processor_hears_only_of_shootdowns, 0)
{
    struct ps_invalidation what = {1, false, {{VA, 1, 1}}};

    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    expect_value(test, b, 0, VA, 100);
    expect_value(test, b, 1, VA, 100);
    set(b, VA, 1, 0);
    ps_hw_invalidate(&b->sim->machine, &what);
    EXPECT(mmu_load(b->mmu, 0, VA).faulted);
    expect_value(test, b, 1, VA, 100);
    b->sim->machine.shootdown(b->sim->machine.shootdown_context, &what);
    EXPECT(mmu_load(b->mmu, 1, VA).faulted);
}

MMU_CASE(speculation_keeps_and_does_not_fault, 0)
{
    set(b, VA, 1, (uint64_t)DATA << 12 | P);
    mmu_speculate(b->mmu, 1, VA);
    EXPECT_EQ(mmu_kept_translations(b->mmu, 1), 1);
    mmu_speculate(b->mmu, 1, ps_virt(0x7000));
    mmu_speculate(b->mmu, 1, ps_virt(0x8000000000000000u));
    EXPECT_EQ(mmu_kept_translations(b->mmu, 1), 1);
}

/* ---- memory that is not there ---- */

MMU_CASE(missing_memory_reads_as_ones_and_takes_no_writes, 0)
{
    set(b, VA, 1, (uint64_t)0x100000 << 12 | P | W);
    expect_value(test, b, 0, VA, UINT64_MAX);
    EXPECT(!mmu_store(b->mmu, 0, VA, 1).faulted);
    expect_value(test, b, 0, VA, UINT64_MAX);
    set(b, VA, 2, (uint64_t)0x100000 << 12 | P | W);
    mmu_invalidate(b->mmu, 0, &(struct ps_invalidation){1, false, {{VA, 1, 1}}});
    expect_fault(test, try(b, MMU_READ), FAULT_PRESENT | FAULT_RESERVED);
}

static const struct test_case cases[] = {
    TEST_CASE(absent_entries_fault_at_every_level),
    TEST_CASE(four_kib_pages_translate),
    TEST_CASE(large_pages_translate),
    TEST_CASE(five_levels_translate),
    TEST_CASE(non_canonical_addresses_are_no_page_fault),
    TEST_CASE(every_level_must_allow),
    TEST_CASE(execute_obeys_code_and_nothing_else),
    TEST_CASE(address_bits_the_machine_has_not_are_reserved),
    TEST_CASE(large_pages_have_reserved_low_bits),
    TEST_CASE(bits_for_features_that_are_off_are_reserved),
    TEST_CASE(accessed_is_set_on_the_way_and_dirty_in_the_leaf),
    TEST_CASE(a_refused_access_leaves_no_mark_in_the_leaf),
    TEST_CASE(a_dirty_translation_sets_no_second_mark),
    TEST_CASE(a_translation_is_kept_until_it_is_invalidated),
    TEST_CASE(an_absent_page_is_not_kept),
    TEST_CASE(old_rights_fault_once),
    TEST_CASE(a_large_translation_survives_a_cut_and_goes_with_any_of_its_pages),
    TEST_CASE(steps_of_a_walk_are_kept),
    TEST_CASE(global_translations_survive_a_root_and_die_when_they_are_meant),
    TEST_CASE(no_translation_is_global_where_that_is_off),
    TEST_CASE(the_second_processor_hears_only_of_shootdowns),
    TEST_CASE(speculation_keeps_and_does_not_fault),
    TEST_CASE(missing_memory_reads_as_ones_and_takes_no_writes),
};

const struct test_suite suite_mmu = TEST_SUITE("mmu", cases);
