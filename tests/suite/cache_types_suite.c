#include "scratch.h"

/*
 * Cache types of a running stage, in both worlds. The device is the last GiB that the processor
 * can address: nothing is there, and nothing is touched.
 */

static ps_frame_t device(const struct test *test)
{
    return ps_frame(((uint64_t)1 << (test->world->machine->physical_bits - 12)) - 512 * 512);
}

static void map(struct test *test, ps_frame_t frame, uint64_t n, uint64_t pages,
                enum ps_cache cache, ps_status expected)
{
    ps_status status = ps_page_table_map_run(test->world->table, scratch_page(test, n), frame,
                                             ps_pages(pages), ps_attr(PS_READ, cache), 0);

    EXPECT_STATUS(status, expected);
}

static void unmap(struct test *test, uint64_t pages)
{
    ps_status status =
        ps_page_table_unmap(test->world->table, scratch_page(test, 0), ps_pages(pages), NULL);

    EXPECT_OK(status);
}

static void a_frame_has_one_type_at_a_time(struct test *test)
{
    struct scratch_state before = scratch_begin(test);

    map(test, test->world->table->root, 0, 1, PS_CACHE_UNCACHED, PS_ACCESS_DENIED); /* RAM */
    map(test, device(test), 0, 1, PS_CACHE_UNCACHED, PS_OK);
    map(test, device(test), 1, 1, PS_CACHE_WRITE_COMBINING, PS_ACCESS_DENIED);
    map(test, device(test), 1, 1, PS_CACHE_UNCACHED, PS_OK);
    unmap(test, 2);
    map(test, device(test), 0, 1, PS_CACHE_WRITE_COMBINING, PS_OK);
    unmap(test, 1);
    scratch_end(test, &before);
}

/* The entry on the way to the first scratch page in a table of that level. */
static uint64_t entry_of(const struct test *test, unsigned leaf)
{
    ps_frame_t frame = test->world->table->root;
    unsigned level = test->world->table->levels;
    uint64_t entry;

    for (;; level--) {
        entry = scratch_words(test, frame)[scratch_page(test, 0).addr >> (3 + 9 * level) & 511];
        if (level == leaf)
            return entry;
        frame = ps_frame(entry >> 12 & 0xffffffffff);
    }
}

/* Write-combining is entry 5 of our PAT: PAT bit, and PWT. Large leaves have the PAT bit at 12. */
static void leaves_of_all_sizes_have_the_type(struct test *test)
{
    struct scratch_state before = scratch_begin(test);

    for (uint64_t pages = 1; pages <= 512 * 512; pages *= 512) {
        struct ps_translation found = {.leaf = PS_LEAF_4K};
        uint64_t pat;

        map(test, device(test), 0, pages, PS_CACHE_WRITE_COMBINING, PS_OK);
        (void)!ps_page_table_query(test->world->table, scratch_page(test, 0), &found);
        pat = found.leaf == PS_LEAF_4K ? 1 << 7 : 1 << 12;
        EXPECT_EQ(entry_of(test, found.leaf) & (pat | 3 << 3), pat | 1 << 3);
        unmap(test, pages);
    }
    scratch_end(test, &before);
}

static const struct test_case cases[] = {
    TEST_CASE(a_frame_has_one_type_at_a_time),
    TEST_CASE(leaves_of_all_sizes_have_the_type),
};

const struct test_suite suite_cache_types_live = TEST_SUITE("cache_types_live", cases);
