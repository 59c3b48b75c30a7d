/* Address spaces in which memory appears at its physical address: built, read back, dropped. */
#include "../../efi/identity.h"
#include "page_table_fixture.h"
#include "unit_suites.h"

static const struct image image = {
    .sections = {{{300}, {1}, PS_READ, "headers"},
                 {{301}, {600}, PS_READ | PS_EXECUTE, ".text"},
                 {{950}, {7}, PS_READ | PS_WRITE, ".data"}},
    .section_count = 3,
};

/* In `other`, which sees the upper half of the fixture's table. */
static void expect_built_and_dropped(struct test *test, struct table_fixture *f, ps_virt_t last)
{
    struct table_state before;
    struct table_ranges read;

    table_map(test, f, at(TABLE_HIGH, 0), 7, RW);
    REQUIRE_OK(ps_page_table_anchor(&f->table, at(TABLE_HIGH, 0), ps_pages(1)));
    before = table_state(f);
    REQUIRE_OK(ps_page_table_create(&f->other, &f->sim->machine, &f->pool));
    REQUIRE_OK(ps_page_table_share_upper(&f->other, &f->table));
    EXPECT_OK(identity_map_image(&f->other, &image));
    EXPECT_OK(ps_page_table_map_run(&f->other, last, ps_frame(9), ps_pages(1), RO, 0));
    read = table_read(&f->other);
    REQUIRE(read.count == image.section_count + 1);
    for (size_t i = 0; i < image.section_count; i++) {
        EXPECT_EQ(read.ranges[i].va.addr, image.sections[i].first.number * PS_PAGE_SIZE);
        EXPECT_EQ(read.ranges[i].frame.number, image.sections[i].first.number);
        EXPECT_EQ(read.ranges[i].pages.count, image.sections[i].pages.count);
        EXPECT_EQ(read.ranges[i].attr.access, image.sections[i].access);
        EXPECT_EQ(read.ranges[i].leaf, PS_LEAF_4K);
    }
    EXPECT_EQ(read.ranges[image.section_count].va.addr, last.addr);
    EXPECT_OK(identity_drop(&f->other));
    EXPECT(f->other.machine == NULL);
    table_expect_unchanged(test, f, &before);
}

TABLE_CASE(all_of_the_lower_half_is_dropped_with_4_levels)
{
    expect_built_and_dropped(test, f, ps_virt(0x00007ffffffff000));
}

TABLE_CASE(all_of_the_lower_half_is_dropped_with_5_levels, .flags = SIM_FIVE_LEVELS)
{
    expect_built_and_dropped(test, f, ps_virt(0x00fffffffffff000));
}

static const struct test_case cases[] = {
    TEST_CASE(all_of_the_lower_half_is_dropped_with_4_levels),
    TEST_CASE(all_of_the_lower_half_is_dropped_with_5_levels),
};

const struct test_suite suite_identity = TEST_SUITE("identity", cases);
