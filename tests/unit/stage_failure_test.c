/* Take-overs that cannot be done: what is refused, before any memory is touched. */
#include "stage_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "hw.h"
#include "unit_suites.h"

#define STEP_REQUEST "check the request"
#define STEP_MAP     "normalise the memory map"
#define STEP_POOL    "build the frame pool"

/* ---- requests that are refused before any memory is touched ---- */

struct refusals {
    struct stage_fixture *f;
    struct ps_stage_request good;
    struct sim_snapshot *memory;
};

static struct refusals begin_refusals(struct stage_fixture *f)
{
    return (struct refusals){f, f->request, sim_machine_snapshot(f->sim)};
}

/* Refused with what the request says now; the request is a good one again afterwards. */
static void refuse(struct test *test, struct refusals *refusals, ps_status status, const char *step)
{
    struct stage_fixture *f = refusals->f;
    uint64_t failures = test->failures;

    stage_expect_refused(test, f, status, step);
    EXPECT_EQ(sim_machine_changed(f->sim, refusals->memory), SIM_FRAME_NONE);
    if (test->failures != failures)
        test_note(test, "fact %" PS_PRIu, test->checks);
    f->request = refusals->good;
}

/* And what was refused was all that was wrong. */
static void end_refusals(struct test *test, struct refusals *refusals)
{
    sim_snapshot_destroy(refusals->memory);
    EXPECT_OK(stage_take_over(refusals->f));
    stage_expect_whole(test, refusals->f);
}

static void refuse_sections(struct test *test, struct refusals *refusals,
                            struct ps_stage_section first, struct ps_stage_section second)
{
    struct ps_stage_section sections[] = {first, second};

    refusals->f->request.sections = sections;
    refusals->f->request.section_count = 2;
    refuse(test, refusals, PS_INVALID_ARGS, STEP_REQUEST);
}

STAGE_CASE(section_that_cannot_be_is_refused, .not_taken_over = true)
{
    const struct ps_stage_section good = {{STAGE_IMAGE_FIRST}, {2}, PS_READ, "good"};
    const unsigned bad_access[] = {0,
                                   PS_WRITE,
                                   PS_EXECUTE,
                                   PS_WRITE | PS_EXECUTE,
                                   PS_READ | PS_WRITE | PS_EXECUTE,
                                   PS_READ | PS_USER,
                                   PS_READ | PS_GLOBAL,
                                   PS_READ | 0x100u};
    struct refusals refusals = begin_refusals(f);

    for (size_t i = 0; i < PS_ARRAY_SIZE(bad_access); i++)
        refuse_sections(test, &refusals, good,
                        (struct ps_stage_section){{1080}, {1}, bad_access[i], "access"});
    refuse_sections(test, &refusals, good, (struct ps_stage_section){{1080}, {0}, PS_READ, "none"});
    refuse_sections(test, &refusals, (struct ps_stage_section){{0}, {1}, PS_READ, "0"}, good);
    refuse_sections(test, &refusals, good, good);
    refuse_sections(test, &refusals, good,
                    (struct ps_stage_section){{STAGE_IMAGE_FIRST + 1}, {1}, PS_READ, "inside"});
    refuse_sections(test, &refusals, good,
                    (struct ps_stage_section){{STAGE_IMAGE_FIRST - 1}, {9}, PS_READ, "around"});
    refuse_sections(test, &refusals, good,
                    (struct ps_stage_section){{1}, {UINT64_MAX}, PS_READ, "everything"});
    f->request.sections = NULL;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_REQUEST);
    end_refusals(test, &refusals);
}

STAGE_CASE(section_beyond_memory_is_refused, .not_taken_over = true)
{
    static const struct ps_stage_section wild[] = {
        {{UINT64_MAX}, {1}, PS_READ, "the last frame number"},
        {{(uint64_t)1 << 34}, {1}, PS_READ, "beyond 46 bits"},
        {{((uint64_t)1 << 34) - 1}, {2}, PS_READ, "across 46 bits"},
        {{STAGE_IMAGE_FIRST}, {UINT64_MAX}, PS_READ, "wraps"},
    };
    struct refusals refusals = begin_refusals(f);

    for (size_t i = 0; i < PS_ARRAY_SIZE(wild); i++) {
        f->request.sections = &wild[i];
        f->request.section_count = 1;
        refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    }
    end_refusals(test, &refusals);
}

static void refuse_framebuffer(struct test *test, struct refusals *refusals, uint64_t at,
                               uint64_t bytes)
{
    refusals->f->request.framebuffer = ps_phys(at);
    refusals->f->request.framebuffer_bytes = bytes;
    refuse(test, refusals, PS_INVALID_ARGS, STEP_REQUEST);
}

STAGE_CASE(framebuffer_that_cannot_be_is_refused, .not_taken_over = true)
{
    struct refusals refusals = begin_refusals(f);

    refuse_framebuffer(test, &refusals, 0x80000000, UINT64_MAX);
    refuse_framebuffer(test, &refusals, 0x80000fff, UINT64_MAX - 0xfff);
    refuse_framebuffer(test, &refusals, UINT64_MAX, 1);
    refuse_framebuffer(test, &refusals, UINT64_MAX, 2);
    refuse_framebuffer(test, &refusals, (uint64_t)1 << 46, 1);
    refuse_framebuffer(test, &refusals, ((uint64_t)1 << 46) - 1, 2);
    /* Over the image, by one byte and all of it. */
    refuse_framebuffer(test, &refusals, STAGE_IMAGE_FIRST * PS_PAGE_SIZE - 1, 2);
    refuse_framebuffer(test, &refusals, STAGE_IMAGE_END * PS_PAGE_SIZE - 1, PS_MIB);
    refuse_framebuffer(test, &refusals, PS_MIB, 16 * PS_MIB);
    end_refusals(test, &refusals);
}

STAGE_CASE(machine_that_does_not_exist_is_refused, .not_taken_over = true)
{
    const struct {
        uint8_t physical_bits;
        uint8_t levels;
    } machines[] = {{0, 4}, {35, 4}, {53, 4}, {255, 4}, {46, 0}, {46, 3}, {46, 6}};
    struct refusals refusals = begin_refusals(f);

    for (size_t i = 0; i < PS_ARRAY_SIZE(machines); i++) {
        f->request.machine.physical_bits = machines[i].physical_bits;
        f->request.machine.levels = machines[i].levels;
        refuse(test, &refusals, PS_INVALID_ARGS, STEP_REQUEST);
    }
    EXPECT_STATUS(ps_stage_take_over(NULL, &f->request), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_stage_take_over(f->stage, NULL), PS_INVALID_ARGS);
    end_refusals(test, &refusals);
}

STAGE_CASE(what_is_no_map_is_refused, .not_taken_over = true)
{
    struct refusals refusals = begin_refusals(f);

    f->request.uefi_map = NULL;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    f->request.uefi_map = (const char *)f->raw + 4;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    f->request.uefi_map_stride = 0;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    f->request.uefi_map_stride = 39;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    f->request.uefi_map_stride = 44;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    f->request.uefi_map_stride = f->request.uefi_map_size + 8;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    f->request.ranges = NULL;
    refuse(test, &refusals, PS_INVALID_ARGS, STEP_MAP);
    end_refusals(test, &refusals);
}

STAGE_CASE(map_without_memory_is_refused, .not_taken_over = true)
{
    struct refusals refusals = begin_refusals(f);

    f->request.section_count = 0;
    f->request.uefi_map_size = 0;
    refuse(test, &refusals, PS_NO_MEMORY, STEP_POOL);
    f->request.section_count = 0;
    f->request.uefi_map_size = STRIDE; /* low memory alone */
    refuse(test, &refusals, PS_NO_MEMORY, STEP_POOL);
    end_refusals(test, &refusals);
}

STAGE_CASE(too_few_ranges_are_refused, .not_taken_over = true)
{
    size_t least = ps_memory_map_capacity(f->plan->entry_count, 0);
    struct refusals refusals = begin_refusals(f);

    for (size_t capacity = 0; capacity < least; capacity++) {
        f->request.range_capacity = capacity;
        refuse(test, &refusals, PS_BUFFER_TOO_SMALL, STEP_MAP);
    }
    end_refusals(test, &refusals);
}

static ps_status refuse_to_enter(void *context, struct ps_stage *stage)
{
    const ps_status *status = context;

    return stage->table.root.number != 0 ? *status : PS_BAD_STATE;
}

/* Whatever it answers, and although the machine is ready by then. */
STAGE_CASE(an_embedder_that_cannot_enter_the_root_is_believed, .not_taken_over = true)
{
    const ps_status answers[] = {PS_NO_MEMORY, PS_NO_SPACE, PS_UNSUPPORTED};

    f->request.enter_root = refuse_to_enter;
    for (size_t i = 0; i < PS_ARRAY_SIZE(answers); i++) {
        ps_status answer = answers[i];

        f->request.enter_context = &answer;
        stage_expect_refused(test, f, answer, "load the new root");
        EXPECT(f->stage->arena.table == NULL);
        EXPECT_STATUS(ps_stage_reclaim_boot_services(f->stage), PS_BAD_STATE);
    }
}

/* ---- progress ---- */

struct told {
    const char *steps[16];
    size_t count;
    size_t without_frames; /* steps that began before the first frame could be had */
};

static void note_step(void *context, const struct ps_stage *stage)
{
    struct told *told = context;
    struct ps_frame_pool_snapshot frames;

    /* The pool is asked as an embedder would ask it: the call takes a pool that may change. */
    ps_frame_pool_snapshot((struct ps_frame_pool *)(uintptr_t)&stage->pool, &frames);
    told->without_frames += frames.available == 0;
    if (told->count < PS_ARRAY_SIZE(told->steps))
        told->steps[told->count++] = stage->step;
}

STAGE_CASE(each_step_is_told_as_it_begins, .not_taken_over = true)
{
    static const char *const wanted[] = {"check the request",    "normalise the memory map",
                                         "build the frame pool", "build the page tables",
                                         "load the new root",    "build the virtual allocator"};
    struct told told = {.count = 0};
    ps_status refusal = PS_NO_SPACE;

    f->request.progress = note_step;
    f->request.progress_context = &told;
    f->request.enter_root = refuse_to_enter;
    f->request.enter_context = &refusal;
    EXPECT_STATUS(stage_take_over(f), PS_NO_SPACE);
    EXPECT_EQ(told.count, 5);
    EXPECT_TEXT(told.steps[4], f->stage->step);
    f->request.enter_root = NULL;
    told = (struct told){.count = 0};
    REQUIRE_OK(stage_take_over(f));
    REQUIRE(told.count == PS_ARRAY_SIZE(wanted));
    for (size_t i = 0; i < PS_ARRAY_SIZE(wanted); i++)
        EXPECT_TEXT(told.steps[i], wanted[i]);
    EXPECT_EQ(told.without_frames, 3);
    stage_expect_whole(test, f);
}

/* The fixture's array has room for 16 ranges of ours: there are 15 sections and a framebuffer. */
static const struct map_entry two_entries[] = {
    RAM_ENTRY(UEFI_CONVENTIONAL, 256, 300),
    RAM_ENTRY(UEFI_LOADER_CODE, 556, 100),
};

STAGE_CASE(promised_ranges_suffice_for_all_overlays, STAGE_ENTRIES(two_entries),
           .not_taken_over = true, .framebuffer = {300 * 4096}, .framebuffer_bytes = 4096)
{
    struct ps_stage_section sections[PS_STAGE_OVERLAYS - 1];

    for (size_t i = 0; i < PS_ARRAY_SIZE(sections); i++)
        sections[i] = (struct ps_stage_section){{560 + 3 * i}, {1}, PS_READ, "part"};
    f->request.sections = sections;
    f->request.section_count = PS_ARRAY_SIZE(sections);
    EXPECT_OK(stage_take_over(f));
    EXPECT_EQ(ps_memory_map_total(&f->stage->map, PS_MEMORY_IMAGE).count, PS_ARRAY_SIZE(sections));
    EXPECT_OK(ps_stage_validate(f->stage, NULL));
}

/* ---- RAM that cannot be ---- */

/* Add one entry to the request's map: the raw bytes are the caller's to free. */
static void *add_entry(struct stage_fixture *f, const struct map_entry *entry)
{
    size_t count = f->plan->entry_count;
    struct map_entry *entries = malloc((count + 1) * sizeof(*entries));
    void *raw;

    if (entries == NULL)
        abort();
    memcpy(entries, f->plan->entries, count * sizeof(*entries));
    entries[count] = *entry;
    raw = map_raw(entries, count + 1, STRIDE);
    free(entries);
    f->request.uefi_map = raw;
    f->request.uefi_map_size = (count + 1) * STRIDE;
    return raw;
}

static void refuse_ram(struct test *test, struct refusals *refusals, uint8_t physical_bits,
                       uint64_t start, uint64_t pages, ps_status status)
{
    const uint32_t types[] = {UEFI_CONVENTIONAL, UEFI_LOADER_DATA, UEFI_BOOT_DATA,
                              UEFI_ACPI_RECLAIM};

    for (size_t i = 0; i < PS_ARRAY_SIZE(types); i++) {
        struct map_entry entry = {types[i], start, pages, WB};
        void *raw = add_entry(refusals->f, &entry);

        refusals->f->request.machine.physical_bits = physical_bits;
        refuse(test, refusals, status, STEP_MAP);
        free(raw);
    }
}

STAGE_CASE(ram_that_the_processor_or_the_direct_map_cannot_reach_is_refused, .not_taken_over = true)
{
    struct refusals refusals = begin_refusals(f);

    refuse_ram(test, &refusals, 36, 64 * PS_GIB, 1, PS_INVALID_ARGS);
    refuse_ram(test, &refusals, 46, 64 * PS_TIB, 1, PS_INVALID_ARGS);
    refuse_ram(test, &refusals, 46, 64 * PS_TIB - 4096, 2, PS_INVALID_ARGS);
    refuse_ram(test, &refusals, 52, 0xfffffffffffff000, 1, PS_INVALID_ARGS);
    refuse_ram(test, &refusals, 47, 64 * PS_TIB, 1, PS_UNSUPPORTED);
    refuse_ram(test, &refusals, 52, 128 * PS_TIB, 1, PS_UNSUPPORTED);
    refuse_ram(test, &refusals, 52, 64 * PS_TIB - 4096, 2, PS_UNSUPPORTED);
    end_refusals(test, &refusals);
}

/* Other memory may be anywhere: nobody maps it. */
STAGE_CASE(what_is_not_ram_may_be_beyond_reach, .not_taken_over = true)
{
    const uint32_t types[] = {UEFI_RESERVED, UEFI_MMIO, UEFI_PERSISTENT, UEFI_ACPI_NVS};

    for (size_t i = 0; i < PS_ARRAY_SIZE(types); i++) {
        struct map_entry entry = {types[i], 0xfffffffffffff000, 1, WB};
        void *raw = add_entry(f, &entry);

        EXPECT_OK(stage_take_over(f));
        stage_expect_whole(test, f);
        free(raw);
    }
}

/* Garbage is refused or has no memory; it never makes the stage touch any. */
STAGE_CASE(random_bytes_are_refused, .not_taken_over = true)
{
    enum { SEEDS = 200, WORDS = 6 * 16 };
    struct refusals refusals = begin_refusals(f);
    uint64_t words[WORDS];

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct test_random random = test_random(seed);
        ps_status status;

        for (size_t i = 0; i < WORDS; i++)
            words[i] = test_random_next(&random);
        for (size_t i = 0; i < WORDS && seed % 2 == 0; i += STRIDE / 8)
            words[i] &= 15; /* types that exist */
        f->request.uefi_map = words;
        f->request.uefi_map_size = test_random_below(&random, sizeof(words) + 1);
        f->request.section_count = 0;
        status = stage_take_over(f);
        if (!EXPECT(status == PS_INVALID_ARGS || status == PS_NO_MEMORY) ||
            !EXPECT_EQ(sim_machine_changed(f->sim, refusals.memory), SIM_FRAME_NONE) ||
            !EXPECT_EQ(ps_hw_root(&f->sim->machine).number, STAGE_FIRMWARE_ROOT)) {
            test_note(test, "seed %" PS_PRIu ", %s", seed, ps_status_name(status));
            break;
        }
    }
    f->request = refusals.good;
    end_refusals(test, &refusals);
}

static const struct test_case cases[] = {
    TEST_CASE(section_that_cannot_be_is_refused),
    TEST_CASE(section_beyond_memory_is_refused),
    TEST_CASE(framebuffer_that_cannot_be_is_refused),
    TEST_CASE(machine_that_does_not_exist_is_refused),
    TEST_CASE(what_is_no_map_is_refused),
    TEST_CASE(map_without_memory_is_refused),
    TEST_CASE(too_few_ranges_are_refused),
    TEST_CASE(an_embedder_that_cannot_enter_the_root_is_believed),
    TEST_CASE(each_step_is_told_as_it_begins),
    TEST_CASE(promised_ranges_suffice_for_all_overlays),
    TEST_CASE(ram_that_the_processor_or_the_direct_map_cannot_reach_is_refused),
    TEST_CASE(what_is_not_ram_may_be_beyond_reach),
    TEST_CASE(random_bytes_are_refused),
};

const struct test_suite suite_stage_failure = TEST_SUITE("stage_failure", cases);
