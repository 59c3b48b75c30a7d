#include "page_table_fixture.h"

#include <stdio.h>
#include <string.h>

#include "hw.h"

/* The checker finds what is broken by hand; the dumps say what is there. */

/* Expect PS_CORRUPT and a line that contains `words`; then put the entry back. */
static void expect_breach(struct test *test, struct table_fixture *f, uint64_t *entry,
                          uint64_t value, const char *words)
{
    uint64_t before = *entry;
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    *entry = value;
    EXPECT_STATUS(ps_page_table_validate(&f->table, &sink), PS_CORRUPT);
    if (!EXPECT(strstr(text, words) != NULL))
        test_note(test, "wanted \"%s\", got \"%s\"", words, text);
    EXPECT(strchr(text, '\n') == text + strlen(text) - 1);
    *entry = before;
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

#define W  0x2u
#define NX 0x8000000000000000u

TABLE_CASE(broken_leaves_are_found)
{
    uint64_t *leaf;
    uint64_t *large;

    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    table_map_run(test, f, at(TABLE_LOW, 512), TABLE_FAR, 512, RX, 0);
    leaf = table_entry(f, at(TABLE_LOW, 0), 1);
    large = table_entry(f, at(TABLE_LOW, 512), 2);
    expect_breach(test, f, leaf, (*leaf & ~NX) | 0x400, "writable and executable");
    expect_breach(test, f, leaf, *leaf & ~NX, "bits that none has");
    expect_breach(test, f, leaf, *leaf | 0x90, "bits that none has"); /* PAT entry 6 */
    expect_breach(test, f, leaf, *leaf | (uint64_t)1 << 50, "reserved bit");
    expect_breach(test, f, leaf, *leaf | (uint64_t)1 << 60, "bits that none has");
    expect_breach(test, f, leaf, *leaf ^ 0x400ffffffffff001u, "never swept");
    expect_breach(test, f, leaf + 1, 0x1000, "not zero");
    expect_breach(test, f, leaf + 1, *leaf, "number of used entries");
    expect_breach(test, f, leaf, 0, "number of used entries");
    expect_breach(test, f, large, *large | 0x2000, "reserved bit");
    expect_breach(test, f, large, *large | W, "writable and executable");
}

TABLE_CASE(leaves_that_must_not_be_are_found, .flags = SIM_NO_GIB_LEAVES)
{
    uint64_t *root = ps_hw_frame(&f->sim->machine, f->table.root);

    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    expect_breach(test, f, table_entry(f, at(TABLE_LOW, 0), 3) + 1, NX | 0x83, "larger than");
    expect_breach(test, f, root + 5, NX | 0x83, "larger than");
    table_map(test, f, ps_virt(0x1000), 7, RW);
    expect_breach(test, f, table_entry(f, ps_virt(0x1000), 1) - 1, NX | 0x5003, "page 0");
}

TABLE_CASE(broken_tables_are_found)
{
    uint64_t *entry;
    ps_frame_t foreign = table_take_frame(test, f);

    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    table_map(test, f, at(TABLE_LOW, 512), 8, RW);
    entry = table_entry(f, at(TABLE_LOW, 0), 2);
    expect_breach(test, f, entry, *entry ^ 0x200, "empty table");
    expect_breach(test, f, entry, *entry + 0x200, "number of used entries");
    expect_breach(test, f, entry, *entry & ~(uint64_t)W, "bits that none has");
    expect_breach(test, f, entry, *entry & ~(uint64_t)0x20, "bits that none has");
    expect_breach(test, f, entry, *entry | (uint64_t)1 << 59, "anchored");
    expect_breach(test, f, entry, *entry | (uint64_t)1 << 51, "reserved bit");
    expect_breach(test, f, entry, foreign.number << 12 | 0x227, "not allocated as a table");
    expect_breach(test, f, entry, (uint64_t)5 << 12 | 0x227, "not a frame of the pool");
    expect_breach(test, f, entry, *table_entry(f, at(TABLE_LOW, 512), 2), "twice");
    EXPECT_OK(ps_frame_pool_free(&f->pool, foreign, ps_pages(1)));
}

TABLE_CASE(wrong_counters_are_found)
{
    struct ps_page_table_counters *counters = &f->table.counters;

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 513, RW, 0);
    expect_breach(test, f, &counters->leaves[1], 2, "number of leaves");
    expect_breach(test, f, &counters->leaves[2], 0, "number of leaves");
    expect_breach(test, f, &counters->leaves[3], 1, "number of leaves");
    expect_breach(test, f, &counters->tables, 5, "number of tables");
    expect_breach(test, f, &counters->promised, 0, "promised frames");
    expect_breach(test, f, &f->table.root.number, f->table.root.number + 100, "table");
}

TABLE_CASE(a_promise_that_somebody_else_took_back_is_found)
{
    char line[160] = "";
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, line, sizeof(line));

    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, 0);
    EXPECT_OK(ps_frame_pool_unpromise(&f->pool, ps_pages(1)));
    EXPECT_STATUS(ps_page_table_validate(&f->table, &sink), PS_CORRUPT);
    EXPECT(strstr(line, "forgotten") != NULL);
    EXPECT_OK(ps_frame_pool_promise(&f->pool, ps_pages(1)));
}

TABLE_CASE(tables_that_are_no_single_frames_of_the_pool_are_found)
{
    const struct ps_frame_run two = {
        .pages = {2}, .limit = PS_FRAME_ANY, .tag = PS_FRAME_TABLE, .flags = PS_FRAME_ZERO};
    struct ps_frame_pool *pool = f->table.pool;
    struct ps_frame_pool none = {0};
    uint64_t *entry;
    ps_frame_t run;

    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    entry = table_entry(f, at(TABLE_LOW, 0), 2);
    REQUIRE_OK(ps_frame_pool_alloc_run(&f->pool, &two, &run));
    expect_breach(test, f, entry, run.number << 12 | 0x227, "not allocated as a table");
    EXPECT_OK(ps_frame_pool_free(&f->pool, run, ps_pages(2)));
    f->table.pool = &none;
    EXPECT_STATUS(ps_page_table_validate(&f->table, NULL), PS_CORRUPT);
    f->table.pool = pool;
}

/* Tables are counted for some frames at a time: these lie further apart than that. */
TABLE_CASE(a_table_that_is_used_twice_is_found_wherever_it_lies, .frames = 20000)
{
    const struct ps_frame_run apart = {
        .pages = {9000}, .limit = PS_FRAME_ANY, .tag = PS_FRAME_USER, .flags = 0};
    ps_frame_t run;
    uint64_t *entry;

    REQUIRE_OK(ps_frame_pool_alloc_run(&f->pool, &apart, &run));
    table_map(test, f, at(TABLE_LOW, 0), 7, RW);
    table_map(test, f, at(TABLE_LOW, 512), 8, RW);
    EXPECT_OK(ps_frame_pool_free(&f->pool, run, ps_pages(9000)));
    entry = table_entry(f, at(TABLE_LOW, 0), 2);
    EXPECT((*entry >> 12 & 0xffffffffffu) > f->table.root.number + 9000);
    expect_breach(test, f, entry, *table_entry(f, at(TABLE_LOW, 512), 2), "twice");
}

/* ---- dumps ---- */

static const char *dump(struct table_fixture *f, char *text, size_t size)
{
    static const struct ps_range_name names[] = {
        {{TABLE_LOW}, {TABLE_LOW + PS_GIB - 1}, "low things"},
        {{TABLE_HIGH}, {TABLE_HIGH + PS_GIB - 1}, "high things"},
    };
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, size);

    ps_page_table_dump(&f->table, names, PS_ARRAY_SIZE(names), &sink);
    return text;
}

TABLE_CASE(the_dump_shows_one_line_a_range)
{
    char text[1024];

    EXPECT_TEXT(dump(f, text, sizeof(text)), "");
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, PS_MAP_PERMANENT);
    table_map(test, f, at(TABLE_HIGH, 1), 7, ps_attr(PS_READ | PS_GLOBAL, PS_CACHE_UNCACHED));
    table_map(test, f, ps_virt(0x1000), 7, RO);
    EXPECT_TEXT(dump(f, text, sizeof(text)),
                "0x0000000000001000-0x0000000000001fff      4 KiB r---- WB  4K  frames 0x7-0x7 \n"
                "0x0000200000000000-0x00002000003fffff      4 MiB rw--- WB  2M! "
                "frames 0xc0000-0xc03ff low things\n"
                "0xffff900000001000-0xffff900000001fff      4 KiB r---g UC  4K  "
                "frames 0x7-0x7 high things\n");
}

static void dump_walk(const struct ps_page_table *table, uint64_t va, char *text, size_t size)
{
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, size);

    ps_page_table_dump_walk(table, ps_virt(va), &sink);
}

TABLE_CASE(the_walk_is_shown_down_to_the_leaf)
{
    char text[1024];
    char expected[1024];

    table_map(test, f, at(TABLE_LOW, 3), 0x77, RX);
    snprintf(expected, sizeof(expected),
             "level 4 entry 64: 0x%016llx table, 1 used\n"
             "level 3 entry 0: 0x%016llx table, 1 used\n"
             "level 2 entry 0: 0x%016llx table, 1 used\n"
             "level 1 entry 3: 0x0000000000077401 4K leaf, frame 0x77 r-x-- WB\n",
             (unsigned long long)*table_entry(f, at(TABLE_LOW, 3), 4),
             (unsigned long long)*table_entry(f, at(TABLE_LOW, 3), 3),
             (unsigned long long)*table_entry(f, at(TABLE_LOW, 3), 2));
    dump_walk(&f->table, TABLE_LOW + 0x3123, text, sizeof(text));
    EXPECT_TEXT(text, expected);
    dump_walk(&f->table, TABLE_HIGH, text, sizeof(text));
    EXPECT_TEXT(text, "level 4 entry 288: 0x0000000000000000 empty\n");
}

TABLE_CASE(the_walk_survives_what_is_broken)
{
    struct ps_page_table none = {0};
    char text[1024];
    uint64_t *entry;

    dump_walk(NULL, TABLE_LOW, text, sizeof(text));
    EXPECT_TEXT(text, "no page table\n");
    dump_walk(&none, TABLE_LOW, text, sizeof(text));
    EXPECT_TEXT(text, "no page table\n");
    dump_walk(&f->table, 0x8000000000000000u, text, sizeof(text));
    EXPECT_TEXT(text, "0x8000000000000000 is not canonical\n");
    entry = table_entry(f, at(TABLE_LOW, 0), 4);
    *entry = 0x0008000000000027u;
    dump_walk(&f->table, TABLE_LOW, text, sizeof(text));
    EXPECT(strstr(text, "no such frame\n") != NULL);
    *entry = 0x87;
    dump_walk(&f->table, TABLE_LOW, text, sizeof(text));
    EXPECT_TEXT(text, "level 4 entry 64: 0x0000000000000087 not valid\n");
    *entry = 0;
}

static const struct test_case cases[] = {
    TEST_CASE(broken_leaves_are_found),
    TEST_CASE(leaves_that_must_not_be_are_found),
    TEST_CASE(broken_tables_are_found),
    TEST_CASE(wrong_counters_are_found),
    TEST_CASE(a_promise_that_somebody_else_took_back_is_found),
    TEST_CASE(tables_that_are_no_single_frames_of_the_pool_are_found),
    TEST_CASE(a_table_that_is_used_twice_is_found_wherever_it_lies),
    TEST_CASE(the_dump_shows_one_line_a_range),
    TEST_CASE(the_walk_is_shown_down_to_the_leaf),
    TEST_CASE(the_walk_survives_what_is_broken),
};

const struct test_suite suite_page_table_check = TEST_SUITE("page_table_check", cases);
