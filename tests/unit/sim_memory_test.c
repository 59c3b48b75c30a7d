#define _GNU_SOURCE
#include "harness/test.h"
#include "machine/machine.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hw.h"

/* The simulated machine itself: tests that stand on it prove nothing if it does not hold. */

/* The host's kernel can read the byte; it answers where a load of ours would be a fault. */
static bool is_readable(const void *pointer)
{
    int file = memfd_create("probe", MFD_CLOEXEC);
    bool readable = file >= 0 && write(file, pointer, 1) == 1;

    if (file >= 0)
        close(file);
    return readable;
}

static struct sim_machine *small_machine(void)
{
    static const struct sim_range ranges[] = {
        SIM_RAM(0, 300),
        {{300}, {10}, PS_MEMORY_MMIO, SIM_NOTHING},
        {{400}, {100}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK},
        {{1000}, {50}, PS_MEMORY_USABLE, SIM_PLAIN},
    };

    return sim_machine_create(ranges, PS_ARRAY_SIZE(ranges), 0);
}

static void only_ram_can_be_touched(struct test *test)
{
    struct sim_machine *sim = small_machine();
    const uint64_t there[] = {0, 299, 400, 499, 1000, 1049};
    const uint64_t not_there[] = {300, 309, 310, 399, 500, 999, 1050, 1051, UINT64_MAX};

    REQUIRE(sim != NULL);
    for (size_t i = 0; i < PS_ARRAY_SIZE(there); i++) {
        EXPECT(sim_machine_has_frame(sim, ps_frame(there[i])));
        EXPECT(is_readable(ps_hw_frame(&sim->machine, ps_frame(there[i]))));
    }
    for (size_t i = 0; i < PS_ARRAY_SIZE(not_there); i++) {
        EXPECT(!sim_machine_has_frame(sim, ps_frame(not_there[i])));
        EXPECT(!is_readable(ps_hw_frame(&sim->machine, ps_frame(not_there[i]))));
    }
    EXPECT(!is_readable(ps_hw_pointer(&sim->machine, ps_phys(UINT64_MAX))));
    sim_machine_destroy(sim);
}

static void a_frame_lies_between_inaccessible_pages(struct test *test)
{
    struct sim_machine *sim = small_machine();
    char *frame;

    REQUIRE(sim != NULL);
    frame = ps_hw_frame(&sim->machine, ps_frame(7));
    EXPECT(is_readable(frame) && is_readable(frame + 4095));
    EXPECT(!is_readable(frame - 1));
    EXPECT(!is_readable(frame + 4096));
    sim_machine_destroy(sim);
}

static void pointers_and_frames_go_both_ways(struct test *test)
{
    struct sim_machine *sim = small_machine();
    char *frame;

    REQUIRE(sim != NULL);
    frame = ps_hw_frame(&sim->machine, ps_frame(420));
    EXPECT(frame == (char *)sim->base + 420 * 8192);
    EXPECT(ps_hw_pointer(&sim->machine, ps_phys(420 * 4096 + 123)) == frame + 123);
    EXPECT_EQ(ps_hw_frame_of(&sim->machine, frame).number, 420);
    EXPECT_EQ(ps_hw_frame_of(&sim->machine, frame + 4095).number, 420);
    EXPECT(sim_machine_of(&sim->machine) == sim);
    sim_machine_destroy(sim);
}

/* The library may keep a copy of the machine: a stage does. */
static void a_copy_of_the_machine_leads_to_the_same_memory(struct test *test)
{
    struct sim_machine *one = small_machine();
    struct sim_machine *two = small_machine();
    struct ps_machine copies[2];

    REQUIRE(one != NULL && two != NULL);
    copies[0] = one->machine;
    copies[1] = two->machine;
    EXPECT(sim_machine_of(&copies[0]) == one);
    EXPECT(sim_machine_of(&copies[1]) == two);
    ps_hw_set_root(&copies[1], ps_frame(77));
    EXPECT_EQ(one->root.number, 0);
    EXPECT_EQ(two->root.number, 77);
    EXPECT(!is_readable((char *)one->base - 1));
    sim_machine_destroy(one);
    sim_machine_destroy(two);
}

static void memory_is_born_as_junk(struct test *test)
{
    struct sim_machine *sim = small_machine();
    uint64_t *words;

    REQUIRE(sim != NULL);
    words = ps_hw_frame(&sim->machine, ps_frame(299));
    EXPECT_EQ(words[0], SIM_JUNK_WORD);
    for (size_t i = 0; i < 512; i++)
        EXPECT((words[i] & 1) != 0 && words[i] >> 36 != 0);
    EXPECT_EQ(*(uint64_t *)ps_hw_frame(&sim->machine, ps_frame(1000)), 0);
    sim_machine_destroy(sim);
}

static void the_map_shows_the_ranges(struct test *test)
{
    const struct ps_memory_range expected[] = {
        {{0}, {1}, PS_MEMORY_NULL},
        {{1}, {255}, PS_MEMORY_LOW},
        {{256}, {44}, PS_MEMORY_USABLE},
        {{300}, {10}, PS_MEMORY_MMIO},
        {{400}, {100}, PS_MEMORY_BOOT_SERVICES},
        {{1000}, {50}, PS_MEMORY_USABLE},
    };
    const struct sim_range touching[] = {SIM_RAM(300, 10), SIM_RAM(310, 5)};
    struct sim_machine *sim = small_machine();
    struct ps_memory_range storage[4];
    struct ps_memory_map map;

    REQUIRE(sim != NULL);
    EXPECT_OK(ps_memory_map_validate(&sim->map, NULL));
    EXPECT_EQ(sim->map.count, PS_ARRAY_SIZE(expected));
    for (size_t i = 0; i < PS_ARRAY_SIZE(expected) && i < sim->map.count; i++) {
        EXPECT_EQ(sim->map.ranges[i].first.number, expected[i].first.number);
        EXPECT_EQ(sim->map.ranges[i].pages.count, expected[i].pages.count);
        EXPECT_EQ(sim->map.ranges[i].type, expected[i].type);
    }
    sim_machine_destroy(sim);
    sim_memory_map(&map, storage, PS_ARRAY_SIZE(storage), touching, 2);
    EXPECT_EQ(map.count, 1);
    EXPECT_EQ(map.ranges[0].pages.count, 15);
}

/* ---- comparison ---- */

static void one_changed_byte_is_found(struct test *test)
{
    const uint64_t frames[] = {0, 255, 499, 1049};
    struct sim_machine *sim = small_machine();
    uint64_t born;

    REQUIRE(sim != NULL);
    born = sim_machine_checksum(sim);
    for (size_t i = 0; i < PS_ARRAY_SIZE(frames); i++) {
        char *byte = (char *)ps_hw_frame(&sim->machine, ps_frame(frames[i])) + 4095;
        struct sim_snapshot *before = sim_machine_snapshot(sim);

        EXPECT_EQ(sim_machine_changed(sim, before), SIM_FRAME_NONE);
        *byte ^= 1;
        EXPECT_EQ(sim_machine_changed(sim, before), frames[i]);
        EXPECT(sim_machine_checksum(sim) != born);
        *byte ^= 1;
        EXPECT_EQ(sim_machine_changed(sim, before), SIM_FRAME_NONE);
        EXPECT_EQ(sim_machine_checksum(sim), born);
        sim_snapshot_destroy(before);
    }
    sim_machine_destroy(sim);
}

/* More written frames than the first list of a snapshot holds; the first change is named. */
static void a_snapshot_keeps_what_was_written(struct test *test)
{
    struct sim_machine *sim = small_machine();
    struct sim_snapshot *before;
    uint64_t sum;

    REQUIRE(sim != NULL);
    for (uint64_t i = 0; i < 200; i++)
        *(uint64_t *)ps_hw_frame(&sim->machine, ps_frame(i)) = i;
    before = sim_machine_snapshot(sim);
    sum = sim_machine_checksum(sim);
    *(uint64_t *)ps_hw_frame(&sim->machine, ps_frame(150)) = 1;
    sim_machine_fill_junk(sim, ps_frame(120));
    EXPECT_EQ(sim_machine_changed(sim, before), 120);
    *(uint64_t *)ps_hw_frame(&sim->machine, ps_frame(120)) = 120;
    EXPECT_EQ(sim_machine_changed(sim, before), 150);
    EXPECT(sim_machine_checksum(sim) != sum);
    *(uint64_t *)ps_hw_frame(&sim->machine, ps_frame(150)) = 150;
    EXPECT_EQ(sim_machine_changed(sim, before), SIM_FRAME_NONE);
    EXPECT_EQ(sim_machine_checksum(sim), sum);
    sim_snapshot_destroy(before);
    sim_machine_destroy(sim);
}

/* ---- the processor ---- */

struct recorder {
    struct ps_invalidation invalidation;
    unsigned invalidations;
    unsigned shootdowns;
    ps_frame_t root;
};

static void record_invalidation(void *context, const struct ps_invalidation *what)
{
    struct recorder *recorder = context;

    recorder->invalidation = *what;
    recorder->invalidations++;
}

static void record_shootdown(void *context, const struct ps_invalidation *what)
{
    struct recorder *recorder = context;

    recorder->shootdowns += what->ranges[0].count;
}

static void record_root(void *context, ps_frame_t root)
{
    ((struct recorder *)context)->root = root;
}

static ps_frame_t recorded_root(void *context)
{
    return ((struct recorder *)context)->root;
}

static void requests_reach_the_processor(struct test *test)
{
    static const struct sim_processor_ops ops = {record_invalidation, record_root, recorded_root};
    const struct ps_invalidation what = {1, false, {{ps_virt(0x5000), 3, 1}}};
    struct recorder recorder = {0};
    struct sim_machine *sim = small_machine();

    REQUIRE(sim != NULL);
    ps_hw_invalidate(&sim->machine, &what);
    ps_hw_set_root(&sim->machine, ps_frame(9));
    EXPECT_EQ(sim->invalidations, 1);
    EXPECT_EQ(sim->invalidation.ranges[0].first.addr, 0x5000);
    EXPECT_EQ(ps_hw_root(&sim->machine).number, 9);
    sim->processor = &ops;
    sim->processor_context = &recorder;
    sim->machine.shootdown = record_shootdown;
    sim->machine.shootdown_context = &recorder;
    ps_hw_invalidate(&sim->machine, &what);
    sim->machine.shootdown(sim->machine.shootdown_context, &what);
    ps_hw_set_root(&sim->machine, ps_frame(11));
    EXPECT_EQ(sim->invalidations, 2);
    EXPECT_EQ(recorder.invalidations, 1);
    EXPECT_EQ(recorder.invalidation.ranges[0].count, 3);
    EXPECT_EQ(recorder.shootdowns, 3);
    EXPECT_EQ(recorder.root.number, 11);
    EXPECT_EQ(ps_hw_root(&sim->machine).number, 11);
    sim_machine_destroy(sim);
}

static void flags_change_the_processor(struct test *test)
{
    const struct sim_range range = SIM_RAM(0, 1);
    struct sim_machine *usual = sim_machine_create(&range, 1, 0);
    struct sim_machine *other = sim_machine_create(&range, 1,
                                                   SIM_FIVE_LEVELS | SIM_NO_EXECUTE_DISABLE |
                                                       SIM_NO_GIB_LEAVES | SIM_NO_GLOBAL_LEAVES);

    REQUIRE(usual != NULL && other != NULL);
    EXPECT_EQ(usual->machine.levels, 4);
    EXPECT(usual->machine.no_execute && usual->machine.gib_leaves && usual->machine.global_leaves);
    EXPECT_EQ(other->machine.levels, 5);
    EXPECT(!other->machine.no_execute && !other->machine.gib_leaves &&
           !other->machine.global_leaves);
    sim_machine_destroy(usual);
    sim_machine_destroy(other);
}

static const struct test_case cases[] = {
    TEST_CASE(only_ram_can_be_touched),
    TEST_CASE(a_frame_lies_between_inaccessible_pages),
    TEST_CASE(pointers_and_frames_go_both_ways),
    TEST_CASE(a_copy_of_the_machine_leads_to_the_same_memory),
    TEST_CASE(memory_is_born_as_junk),
    TEST_CASE(the_map_shows_the_ranges),
    TEST_CASE(one_changed_byte_is_found),
    TEST_CASE(a_snapshot_keeps_what_was_written),
    TEST_CASE(requests_reach_the_processor),
    TEST_CASE(flags_change_the_processor),
};

const struct test_suite suite_sim_memory = TEST_SUITE("sim_memory", cases);
