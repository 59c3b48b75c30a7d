#include "page_table_watch.h"

/* Pages next to a change are not disturbed, not even between two stores of it. */

#define SCENE(name, ...)                                          \
    TABLE_CASE(name)                                              \
    {                                                             \
        watch_scene(test, f, &(const struct scene){__VA_ARGS__}); \
    }

/* A 2 MiB leaf and, on both sides of it, another one and a table. */
static void map_2m(struct test *test, struct table_fixture *f, struct watch *watch, ps_attr_t attr)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, attr, 0);
    table_map_run(test, f, at(TABLE_LOW, 1024), 100, 4, attr, 0);
    watch_add(watch, 0, 512, 1, TABLE_FAR, attr);
    watch_add(watch, 512, 512, 73, TABLE_FAR + 512, attr);
    watch_add(watch, 1024, 4, 1, 100, attr);
}

/* A 1 GiB leaf; of its pages those around the border of two of its 2 MiB, and some all over it. */
static void map_1g(struct test *test, struct table_fixture *f, struct watch *watch, ps_attr_t attr)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, attr, 0);
    table_map_run(test, f, at(TABLE_LOW, TABLE_HUGE), 100, 4, attr, 0);
    watch_add(watch, 1000, 48, 1, TABLE_FAR + 1000, attr);
    watch_add(watch, 0, 1000, 37, TABLE_FAR, attr);
    watch_add(watch, 2048, TABLE_HUGE - 2048, 4099, TABLE_FAR + 2048, attr);
    watch_add(watch, TABLE_HUGE - 1, 1, 1, TABLE_FAR + TABLE_HUGE - 1, attr);
    watch_add(watch, TABLE_HUGE, 4, 1, 100, attr);
}

/* ---- unmap ---- */

static void prepare_unmap_2m(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_2m(test, f, watch, RW);
    watch_goes(watch, 100, 3);
}

static void prepare_unmap_ends(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_2m(test, f, watch, RX);
    watch_goes(watch, 511, 514);
}

static void prepare_unmap_1g(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_1g(test, f, watch, RW);
    watch_goes(watch, 1023, 2);
}

/* Tables that go with all that is in them. */
static void prepare_unmap_tables(struct test *test, struct table_fixture *f, struct watch *watch)
{
    table_map_run(test, f, at(TABLE_LOW, 0), 300, 1536, RW, PS_MAP_SMALL);
    watch_add(watch, 0, 1536, 7, 300, RW);
    watch_goes(watch, 300, 800);
}

static void unmap(struct test *test, struct table_fixture *f, uint64_t page, uint64_t pages,
                  const struct ps_frame_release *release)
{
    EXPECT_OK(ps_page_table_unmap(&f->table, at(TABLE_LOW, page), ps_pages(pages), release));
}

static void unmap_3(struct test *test, struct table_fixture *f,
                    const struct ps_frame_release *release)
{
    unmap(test, f, 100, 3, release);
}

static void unmap_800(struct test *test, struct table_fixture *f,
                      const struct ps_frame_release *release)
{
    unmap(test, f, 300, 800, release);
}

static void unmap_over_borders(struct test *test, struct table_fixture *f,
                               const struct ps_frame_release *release)
{
    unmap(test, f, 511, 514, release);
}

static void unmap_on_a_border(struct test *test, struct table_fixture *f,
                              const struct ps_frame_release *release)
{
    unmap(test, f, 1023, 2, release);
}

SCENE(unmap_of_a_part_of_2m, prepare_unmap_2m, unmap_3, .least = 512)
SCENE(unmap_from_one_leaf_over_another_into_a_table, prepare_unmap_ends, unmap_over_borders,
      .least = 512)
SCENE(unmap_of_tables, prepare_unmap_tables, unmap_800, .least = 2)
SCENE(unmap_of_a_part_of_1g, prepare_unmap_1g, unmap_on_a_border, .least = 1024)

/* ---- protect ---- */

static void prepare_protect_2m(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_2m(test, f, watch, RW);
    watch_changes(watch, 100, 500, RO);
}

static void prepare_protect_1g(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_1g(test, f, watch, RW);
    watch_changes(watch, 1023, 2, RX);
}

static void prepare_protect_all(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_2m(test, f, watch, RO);
    watch_changes(watch, 0, 1024, RW);
}

static void protect(struct test *test, struct table_fixture *f, uint64_t page, uint64_t pages,
                    ps_attr_t attr)
{
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, page), ps_pages(pages), attr));
}

static void protect_500(struct test *test, struct table_fixture *f,
                        const struct ps_frame_release *release)
{
    (void)release;
    protect(test, f, 100, 500, RO);
}

static void protect_on_a_border(struct test *test, struct table_fixture *f,
                                const struct ps_frame_release *release)
{
    (void)release;
    protect(test, f, 1023, 2, RX);
}

static void protect_all(struct test *test, struct table_fixture *f,
                        const struct ps_frame_release *release)
{
    (void)release;
    protect(test, f, 0, 1024, RW);
}

SCENE(protection_of_parts_of_2m, prepare_protect_2m, protect_500, .least = 1024)
SCENE(protection_of_a_part_of_1g, prepare_protect_1g, protect_on_a_border, .least = 1024)
SCENE(protection_of_whole_leaves, prepare_protect_all, protect_all, .least = 2)

/* ---- map over what is there ---- */

static void replaced(struct watch *watch, uint64_t page, uint64_t frame, bool broken)
{
    struct watched *one = watch_find(watch, page);

    one->frame_after = frame;
    one->after = watch_rights(RW);
    one->broken = broken;
}

static void prepare_replace(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_2m(test, f, watch, RO);
    replaced(watch, 77, 300, false);
}

static void prepare_break(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_2m(test, f, watch, RW);
    replaced(watch, 77, 300, true);
}

static void prepare_break_1g(struct test *test, struct table_fixture *f, struct watch *watch)
{
    map_1g(test, f, watch, RW);
    replaced(watch, 1023, 300, true);
}

static void upgrade(struct test *test, struct table_fixture *f, uint64_t page)
{
    ps_frame_t frame = ps_frame(300);

    EXPECT_OK(ps_page_table_map(&f->table, at(TABLE_LOW, page), &frame, ps_pages(1), RW,
                                PS_EXISTING_UPGRADE));
}

static void upgrade_77(struct test *test, struct table_fixture *f,
                       const struct ps_frame_release *release)
{
    (void)release;
    upgrade(test, f, 77);
}

static void upgrade_1023(struct test *test, struct table_fixture *f,
                         const struct ps_frame_release *release)
{
    (void)release;
    upgrade(test, f, 1023);
}

SCENE(another_frame_for_a_page_of_2m, prepare_replace, upgrade_77, .least = 512)
SCENE(another_frame_for_a_writable_page_of_2m, prepare_break, upgrade_77, .least = 512)
SCENE(another_frame_for_a_writable_page_of_1g, prepare_break_1g, upgrade_1023, .least = 1024)

/* ---- promote ---- */

static void prepare_small(struct test *test, struct table_fixture *f, struct watch *watch)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 1024), 100, 4, RW, PS_MAP_SMALL);
    watch_add(watch, 0, 1024, 3, TABLE_FAR, RW);
    watch_add(watch, 1024, 4, 1, 100, RW);
}

static void promote_small(struct test *test, struct table_fixture *f,
                          const struct ps_frame_release *release)
{
    (void)release;
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(2048)));
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_2M], 2);
}

/* A change of the large leaf is one instruction: it finds no small page that somebody kept. */
static void prepare_promote_and_protect(struct test *test, struct table_fixture *f,
                                        struct watch *watch)
{
    prepare_small(test, f, watch);
    watch_changes(watch, 0, 1024, RO);
}

static void promote_and_protect(struct test *test, struct table_fixture *f,
                                const struct ps_frame_release *release)
{
    promote_small(test, f, release);
    protect(test, f, 0, 1024, RO);
}

/* The last one is missing. */
static void prepare_511(struct test *test, struct table_fixture *f, struct watch *watch)
{
    EXPECT_OK(ps_page_table_set_promotes(&f->table, true));
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 511, RW, PS_MAP_SMALL);
    watch_add(watch, 0, 511, 1, TABLE_FAR, RW);
    watch_add(watch, 511, 1, 1, TABLE_FAR + 511, RW)->frame_before = NOTHING;
    watch_find(watch, 511)->before = 0;
}

static void map_512th(struct test *test, struct table_fixture *f,
                      const struct ps_frame_release *release)
{
    (void)release;
    table_map(test, f, at(TABLE_LOW, 511), TABLE_FAR + 511, RW);
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_2M], 1);
}

/* One of them may be written to as well, and then they are all alike. */
static void prepare_uneven(struct test *test, struct table_fixture *f, struct watch *watch)
{
    EXPECT_OK(ps_page_table_set_promotes(&f->table, true));
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, 0);
    protect(test, f, 9, 1, RO);
    watch_add(watch, 0, 512, 1, TABLE_FAR, RW);
    watch_find(watch, 9)->before = watch_rights(RO);
}

static void protect_9(struct test *test, struct table_fixture *f,
                      const struct ps_frame_release *release)
{
    (void)release;
    protect(test, f, 9, 1, RW);
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_2M], 1);
}

/* 2 MiB leaves become one of 1 GiB. */
static void prepare_2m(struct test *test, struct table_fixture *f, struct watch *watch)
{
    for (uint64_t page = 0; page < TABLE_HUGE; page += TABLE_LARGE)
        table_map_run(test, f, at(TABLE_LOW, page), TABLE_FAR + page, TABLE_LARGE, RW, 0);
    watch_add(watch, 0, TABLE_HUGE, 257, TABLE_FAR, RW);
}

static void promote_2m(struct test *test, struct table_fixture *f,
                       const struct ps_frame_release *release)
{
    (void)release;
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(TABLE_HUGE)));
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_1G], 1);
}

SCENE(promotion_of_small_pages, prepare_small, promote_small, .least = 2)
SCENE(promotion_and_a_change_of_all, prepare_promote_and_protect, promote_and_protect, .least = 4)
SCENE(promotion_when_the_last_page_is_mapped, prepare_511, map_512th, .least = 2)
SCENE(promotion_when_pages_become_alike, prepare_uneven, protect_9, .least = 2)
SCENE(promotion_of_2m_leaves, prepare_2m, promote_2m, .least = 1)

/* ---- harvest ---- */

/* The table in the middle was not used. Of its pages those that are met after all would stay. */
static void prepare_harvest(struct test *test, struct table_fixture *f, struct watch *watch)
{
    table_map_run(test, f, at(TABLE_LOW, 0), 300, 1536, RW, PS_MAP_SMALL);
    table_map_run(test, f, at(TABLE_LOW, 1536), TABLE_FAR, 512, RW, 0);
    *table_entry(f, at(TABLE_LOW, 0), 1) |= 0x20;
    *table_entry(f, at(TABLE_LOW, 1024), 1) |= 0x60;
    *table_entry(f, at(TABLE_LOW, 1536), 2) |= 0x20;
    watch_add(watch, 0, 512, 19, 300, RW);
    watch_add(watch, 512, 1, 1, 300 + 512, RW);
    watch_add(watch, 1024, 512, 19, 300 + 1024, RW);
    watch_add(watch, 1536, 512, 101, TABLE_FAR, RW);
    watch_goes(watch, 512, 512);
}

static void harvest(struct test *test, struct table_fixture *f,
                    const struct ps_frame_release *release)
{
    const struct ps_harvest request = {.flags = PS_HARVEST_FREE_TABLES, .release = release};

    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(2048), &request));
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_4K], 1024);
}

SCENE(harvest_with_a_table_that_nobody_used, prepare_harvest, harvest, .unused = true, .least = 2)

static const struct test_case cases[] = {
    TEST_CASE(unmap_of_a_part_of_2m),
    TEST_CASE(unmap_from_one_leaf_over_another_into_a_table),
    TEST_CASE(unmap_of_tables),
    TEST_CASE(unmap_of_a_part_of_1g),
    TEST_CASE(protection_of_parts_of_2m),
    TEST_CASE(protection_of_a_part_of_1g),
    TEST_CASE(protection_of_whole_leaves),
    TEST_CASE(another_frame_for_a_page_of_2m),
    TEST_CASE(another_frame_for_a_writable_page_of_2m),
    TEST_CASE(another_frame_for_a_writable_page_of_1g),
    TEST_CASE(promotion_of_small_pages),
    TEST_CASE(promotion_and_a_change_of_all),
    TEST_CASE(promotion_when_the_last_page_is_mapped),
    TEST_CASE(promotion_when_pages_become_alike),
    TEST_CASE(promotion_of_2m_leaves),
    TEST_CASE(harvest_with_a_table_that_nobody_used),
};

const struct test_suite suite_page_table_neighbour = TEST_SUITE("page_table_neighbours", cases);
