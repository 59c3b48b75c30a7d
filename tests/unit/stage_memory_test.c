/* Machines of many shapes, most of them with too little memory. */
#include "stage_fixture.h"

#include <string.h>

#include "hw.h"
#include "unit_suites.h"

/* ---- too little memory ---- */

static const char *const steps[] = {"build the frame pool", "build the page tables", "done"};

static size_t step_number(const char *step)
{
    size_t number = 0;

    while (number < PS_ARRAY_SIZE(steps) && (step == NULL || strcmp(step, steps[number]) != 0))
        number++;
    return number;
}

/* How the machines of a series went, from one with no memory upwards. */
struct growth {
    ps_status status;
    size_t step;
    uint64_t ended_at[PS_ARRAY_SIZE(steps) + 1]; /* machines, by step */
};

static void grow_once(struct test *test, struct stage_fixture *f)
{
    struct growth *growth = f->plan->context;
    struct ps_frame_pool_snapshot pool;

    growth->status = stage_take_over(f);
    growth->step = step_number(f->stage->step);
    growth->ended_at[growth->step]++;
    if (growth->status == PS_OK) {
        ps_frame_pool_snapshot(&f->stage->pool, &pool);
        EXPECT_EQ(pool.available, 0);
        stage_expect_whole(test, f);
        return;
    }
    EXPECT_STATUS(growth->status, PS_NO_MEMORY);
    EXPECT_EQ(ps_hw_root(&f->sim->machine).number, STAGE_FIRMWARE_ROOT);
    EXPECT_EQ(f->stage->machine.direct_map, f->sim->machine.direct_map);
    EXPECT(f->stage->arena.table == NULL);
}

static const struct ps_stage_section small_sections[] = {
    {{128}, {2}, PS_READ | PS_EXECUTE, ".text"},
    {{130}, {2}, PS_READ | PS_WRITE, ".data"},
};

/*
 * One frame more each time. Every machine but the last fails, at no earlier step than the one
 * before it; the last takes over with its last frame.
 */
static void grow(struct test *test, uint64_t low_pages, unsigned flags, uint64_t framebuffer)
{
    enum { ENOUGH = 64 };
    struct growth growth = {.status = PS_NO_MEMORY};
    size_t step = 0;

    for (uint64_t pages = 0; growth.status != PS_OK; pages++) {
        const struct map_entry entries[] = {
            RAM_ENTRY(UEFI_CONVENTIONAL, 1, low_pages),
            RAM_ENTRY(UEFI_LOADER_CODE, 128, 8),
            RAM_ENTRY(UEFI_CONVENTIONAL, 1000, pages),
        };
        struct stage_plan plan = {
            STAGE_ENTRIES(entries),       .flags = flags,
            .framebuffer = {framebuffer}, .framebuffer_bytes = framebuffer == 0 ? 0 : PS_MIB,
            .sections = small_sections,   .section_count = PS_ARRAY_SIZE(small_sections),
            .not_taken_over = true,       .context = &growth,
        };

        REQUIRE(pages < ENOUGH);
        stage_with(test, &plan, grow_once);
        EXPECT(growth.step >= step);
        step = growth.step;
    }
    for (size_t i = 0; i < PS_ARRAY_SIZE(steps); i++)
        EXPECT(growth.ended_at[i] != 0);
    EXPECT_EQ(growth.ended_at[PS_ARRAY_SIZE(steps)], 0);
}

static void every_lack_of_memory_is_told_before_the_switch(struct test *test)
{
    grow(test, 0, 0, 0);
}

static void low_memory_is_not_used_for_tables(struct test *test)
{
    grow(test, 100, 0, 0);
}

static void every_lack_of_memory_is_told_with_five_levels(struct test *test)
{
    grow(test, 0, SIM_FIVE_LEVELS, 0);
}

static void every_lack_of_memory_is_told_with_a_framebuffer(struct test *test)
{
    grow(test, 0, 0, 0x180000000);
}

/* ---- a reclaim that runs out of frames ---- */

/* Boot-services memory in places that take more tables than they bring frames. */
static const struct map_entry scattered_entries[] = {
    RAM_ENTRY(UEFI_CONVENTIONAL, 1, 20),   RAM_ENTRY(UEFI_BOOT_DATA, 50, 20),
    RAM_ENTRY(UEFI_CONVENTIONAL, 400, 60), RAM_ENTRY(UEFI_BOOT_CODE, 510, 1),
    RAM_ENTRY(UEFI_BOOT_DATA, 0x8000, 1),  RAM_ENTRY(UEFI_BOOT_DATA, 0x48000, 1),
    RAM_ENTRY(UEFI_BOOT_DATA, 0x481ff, 2), RAM_ENTRY(UEFI_BOOT_DATA, 0x80000, 600),
};

/* Told to fail at a frame for tables; 0 calls of the pool succeed at first, then 1, then 2 ... */
static void reclaim_with_injected_failure(struct test *test, struct stage_fixture *f)
{
    uint64_t *successes = f->plan->context;
    uint64_t reclaimable = ps_memory_map_total(&f->stage->map, PS_MEMORY_BOOT_SERVICES).count;
    ps_status status;

    ps_frame_pool_fail_after(&f->stage->pool, *successes, true);
    status = ps_stage_reclaim_boot_services(f->stage);
    if (status != PS_OK) {
        EXPECT_STATUS(status, PS_NO_MEMORY);
        EXPECT_EQ(ps_memory_map_total(&f->stage->map, PS_MEMORY_BOOT_SERVICES).count, reclaimable);
        EXPECT_OK(ps_stage_validate(f->stage, NULL));
        ps_frame_pool_fail_after(&f->stage->pool, 0, true);
        EXPECT_STATUS(ps_stage_reclaim_boot_services(f->stage), PS_NO_MEMORY);
        (*successes)++;
    } else {
        *successes = UINT64_MAX;
    }
    ps_frame_pool_fail_after(&f->stage->pool, UINT64_MAX, false);
    stage_expect_reclaimed(test, f);
}

static void reclaim_that_failed_at_a_table_can_be_completed(struct test *test)
{
    uint64_t successes = 0;
    uint64_t failures = 0;

    for (; successes != UINT64_MAX; failures++) {
        struct stage_plan plan = {STAGE_ENTRIES(scattered_entries), .context = &successes};

        REQUIRE(failures < 20);
        stage_with(test, &plan, reclaim_with_injected_failure);
    }
    EXPECT(failures > 4);
}

/* ---- the same with frames that really are not there ---- */

struct scarcity {
    uint64_t left; /* free frames when the reclaim begins */
    bool failed;
};

/* All free frames but `left` are taken: above 1 MiB by single frames, below by a run. */
static uint64_t take_frames(struct test *test, struct stage_fixture *f, uint64_t left,
                            ps_frame_t *frames)
{
    const struct ps_frame_run low = {
        .pages = {1}, .limit = PS_FRAME_BELOW_1MIB, .tag = PS_FRAME_USER};
    struct ps_frame_pool *pool = &f->stage->pool;
    uint64_t count = 0;

    while (ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frames[count]) == PS_OK)
        count++;
    for (; left != 0 && count != 0; left--)
        EXPECT_OK(ps_frame_pool_free(pool, frames[--count], ps_pages(1)));
    while (ps_frame_pool_alloc_run(pool, &low, &frames[count]) == PS_OK)
        count++;
    return count;
}

static void reclaim_with_few_frames(struct test *test, struct stage_fixture *f)
{
    struct scarcity *scarcity = f->plan->context;
    ps_frame_t frames[128];
    uint64_t count = take_frames(test, f, scarcity->left, frames);
    ps_status status = ps_stage_reclaim_boot_services(f->stage);

    scarcity->failed = status != PS_OK;
    if (scarcity->failed) {
        EXPECT_STATUS(status, PS_NO_MEMORY);
        EXPECT_OK(ps_stage_validate(f->stage, NULL));
        EXPECT_STATUS(ps_stage_reclaim_boot_services(f->stage), PS_NO_MEMORY);
    }
    for (uint64_t i = 0; i < count; i++)
        EXPECT_OK(ps_frame_pool_free(&f->stage->pool, frames[i], ps_pages(1)));
    stage_expect_reclaimed(test, f);
}

static void reclaim_that_ran_out_of_frames_can_be_completed(struct test *test)
{
    struct scarcity scarcity = {.failed = true};

    for (; scarcity.failed; scarcity.left++) {
        struct stage_plan plan = {STAGE_ENTRIES(scattered_entries), .context = &scarcity};

        REQUIRE(scarcity.left < 40);
        stage_with(test, &plan, reclaim_with_few_frames);
    }
    EXPECT(scarcity.left > 3);
}

/* ---- random machines ---- */

enum { RANDOM_ENTRIES = 20 };

struct random_plan {
    struct map_entry entries[RANDOM_ENTRIES];
    struct ps_stage_section sections[2];
    struct stage_plan plan;
};

/* The image is in the first entry, enough memory in the second; anything may follow. */
static void make_random(struct random_plan *made, uint64_t seed)
{
    static const uint32_t types[] = {
        UEFI_CONVENTIONAL, UEFI_CONVENTIONAL, UEFI_CONVENTIONAL, UEFI_BOOT_DATA, UEFI_BOOT_CODE,
        UEFI_LOADER_DATA,  UEFI_LOADER_CODE,  UEFI_ACPI_RECLAIM, UEFI_ACPI_NVS,  UEFI_RUNTIME_CODE,
        UEFI_RUNTIME_DATA, UEFI_RESERVED,     UEFI_BAD,          UEFI_MMIO,      UEFI_PERSISTENT};
    struct test_random random = test_random(seed);
    uint64_t frame = 20 + test_random_below(&random, 60);

    made->entries[0] = (struct map_entry)RAM_ENTRY(UEFI_LOADER_CODE, frame, 20);
    made->sections[0] = (struct ps_stage_section){{frame + 3}, {5}, PS_READ | PS_EXECUTE, "x"};
    made->sections[1] = (struct ps_stage_section){{frame + 9}, {5}, PS_READ | PS_WRITE, "w"};
    frame = 300;
    for (size_t i = 1; i < RANDOM_ENTRIES; i++) {
        uint32_t type =
            i == 1 ? UEFI_CONVENTIONAL : types[test_random_below(&random, PS_ARRAY_SIZE(types))];
        uint64_t pages = 100 + test_random_below(&random, i % 5 == 0 ? 1500 : 100);

        made->entries[i] = (struct map_entry)RAM_ENTRY(type, frame, pages);
        frame += pages;
        if (test_random_below(&random, 3) == 0)
            frame += test_random_below(&random, 1000);
    }
    made->plan = (struct stage_plan){
        STAGE_ENTRIES(made->entries),
        .flags = test_random_below(&random, 2) == 0 ? SIM_FIVE_LEVELS : 0,
        .framebuffer = {500 * PS_PAGE_SIZE + test_random_below(&random, 4000 * PS_PAGE_SIZE)},
        .framebuffer_bytes = test_random_below(&random, 600 * PS_PAGE_SIZE),
        .sections = made->sections,
        .section_count = PS_ARRAY_SIZE(made->sections),
    };
}

static void random_machine_is_taken_over(struct test *test, struct stage_fixture *f)
{
    stage_expect_whole(test, f);
    stage_expect_reclaimed(test, f);
}

static void random_machines_are_taken_over_as_expected(struct test *test)
{
    enum { SEEDS = 30 };

    for (uint64_t seed = 1; seed <= SEEDS && test->failures == 0; seed++) {
        struct random_plan made;

        make_random(&made, seed);
        stage_with(test, &made.plan, random_machine_is_taken_over);
        if (test->failures != 0)
            test_note(test, "seed %" PS_PRIu, seed);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(every_lack_of_memory_is_told_before_the_switch),
    TEST_CASE(low_memory_is_not_used_for_tables),
    TEST_CASE(every_lack_of_memory_is_told_with_five_levels),
    TEST_CASE(every_lack_of_memory_is_told_with_a_framebuffer),
    TEST_CASE(reclaim_that_failed_at_a_table_can_be_completed),
    TEST_CASE(reclaim_that_ran_out_of_frames_can_be_completed),
    TEST_CASE(random_machines_are_taken_over_as_expected),
};

const struct test_suite suite_stage_memory = TEST_SUITE("stage_memory", cases);
