#include "page_table_types_fixture.h"

#include <string.h>

#include "unit_suites.h"

/* Page tables that ask for the type of each frame: what they refuse, and what they remember. */

enum { RAM = TABLE_FIRST_FRAME, ERROR = PS_EXISTING_ERROR };

/* ---- mapping ---- */

TYPES_CASE(ram_is_mapped_write_back_only)
{
    const ps_attr_t others[] = {WT, UC, WC, TYPE(UNCACHED_MINUS), TYPE(WRITE_PROTECT)};
    uint64_t end = RAM + TABLE_FRAMES;

    for (size_t i = 0; i < PS_ARRAY_SIZE(others); i++) {
        EXPECT_REFUSED(types_one(t, 0, RAM + 5, others[i], ERROR), PS_ACCESS_DENIED);
        EXPECT_REFUSED(types_run(t, 0, RAM + 5, 700, others[i], 0), PS_ACCESS_DENIED);
        EXPECT_REFUSED(types_run(t, 0, end - 1, 2, others[i], 0), PS_ACCESS_DENIED);
        EXPECT_REFUSED(types_run(t, 0, RAM - 9, 10, others[i], 0), PS_ACCESS_DENIED);
        EXPECT_REFUSED(types_two(t, 0, DEVICE, RAM, others[i], ERROR), PS_ACCESS_DENIED);
    }
    EXPECT_OK(types_one(t, 0, RAM + 5, RW, ERROR));
    EXPECT_OK(types_run(t, 1, RAM, 700, RW, 0));
    types_expect(test, t, "");
    EXPECT_EQ(t->f->table.typed_first.addr, UINT64_MAX);
}

TYPES_CASE(other_frames_keep_the_type_of_their_first_mapping)
{
    EXPECT_OK(types_one(t, 0, DEVICE + 7, UC, ERROR));
    types_expect(test, t, "c0007-c0007 UC 1");
    EXPECT_REFUSED(types_one(t, 1, DEVICE + 7, WC, ERROR), PS_ACCESS_DENIED);
    EXPECT_REFUSED(types_one(t, 1, DEVICE + 7, RW, ERROR), PS_ACCESS_DENIED);
    EXPECT_REFUSED(types_two(t, 1, DEVICE + 8, DEVICE + 7, WC, ERROR), PS_ACCESS_DENIED);
    EXPECT_REFUSED(types_run(t, 512, DEVICE, 512, WC, 0), PS_ACCESS_DENIED);
    EXPECT_OK(types_one(t, 1, DEVICE + 7, UC, ERROR));
    EXPECT_OK(types_one(t, 2, DEVICE + 8, WC, ERROR));
    types_expect(test, t, "c0007-c0007 UC 2, c0008-c0008 WC 1");
    types_unmap(test, t, 0, 1);
    EXPECT_REFUSED(types_one(t, 3, DEVICE + 7, WC, ERROR), PS_ACCESS_DENIED);
    types_unmap(test, t, 1, 1);
    EXPECT_OK(types_one(t, 3, DEVICE + 7, WC, ERROR));
    types_expect(test, t, "c0007-c0007 WC 1, c0008-c0008 WC 1");
}

TYPES_CASE(address_spaces_agree)
{
    EXPECT_OK(types_run(t, 0, DEVICE, 600, WC, 0));
    EXPECT_REFUSED(types_run_in(&t->second, 0, DEVICE + 599, 2, UC, 0), PS_ACCESS_DENIED);
    EXPECT_OK(types_run_in(&t->second, 9, DEVICE + 599, 2, WC, 0));
    types_expect(test, t, "c0000-c0258 WC 602");
    types_unmap(test, t, 0, 600);
    EXPECT_REFUSED(types_one(t, 0, DEVICE + 599, UC, ERROR), PS_ACCESS_DENIED);
    EXPECT_OK(ps_page_table_unmap(&t->second, at(TABLE_LOW, 9), ps_pages(2), NULL));
    EXPECT_OK(types_one(t, 0, DEVICE + 599, UC, ERROR));
    types_expect(test, t, "c0257-c0257 UC 1");
}

/* However many tables it fills: so is it counted, and reserved. */
TYPES_CASE(a_run_is_one_range)
{
    EXPECT_OK(types_run(t, 300, DEVICE + 300, 2000, UC, PS_MAP_SMALL));
    types_expect(test, t, "c012c-c08fb UC 2000");
    EXPECT_OK(types_run(t, 4096 + 500, DEVICE + 0x10000 + 500, 600, UC, PS_MAP_PERMANENT));
    types_expect(test, t, "c012c-c08fb UC 2000, d01f4-d044b UC 600");
    EXPECT_OK(types_run(t, 8192, RAM - 10, TABLE_FRAMES + 20, RW, 0));
    types_expect(test, t, "f6-ff WB 10, 900-909 WB 10, c012c-c08fb UC 2000, d01f4-d044b UC 600");
}

TYPES_CASE(leaves_of_all_sizes_have_types)
{
    const unsigned pat[] = {0, 1 << 7, 1 << 12, 1 << 12};
    const uint64_t pages[] = {0, 1, TABLE_LARGE, TABLE_HUGE};

    for (unsigned cache = 0; cache < PS_CACHE_COUNT; cache++)
        for (unsigned level = 1; level <= 3; level++) {
            ps_attr_t attr = ps_attr(PS_READ | PS_GLOBAL, (enum ps_cache)cache);
            uint64_t bits = (cache & 3) << 3 | ((cache & 4) != 0 ? pat[level] : 0);
            uint64_t entry;

            EXPECT_OK(types_run(t, 0, DEVICE, pages[level], attr, 0));
            entry = *table_entry(t->f, at(TABLE_LOW, 0), level);
            EXPECT_EQ(entry & (3 << 3 | pat[level]), bits);
            EXPECT_EQ(entry >> 11 & 1, 1);
            EXPECT_EQ(t->types.ranges.count, 1);
            EXPECT_EQ(t->types.ranges.high, DEVICE + pages[level] - 1);
            EXPECT_REFUSED(types_run_in(&t->second, 0, DEVICE + pages[level] - 1, 1,
                                        ps_attr(PS_READ, (enum ps_cache)((cache + 1) % 6)), 0),
                           PS_ACCESS_DENIED);
            types_unmap(test, t, 0, pages[level]);
            types_expect(test, t, "");
        }
}

TYPES_CASE(scattered_frames_are_asked_for_one_by_one)
{
    ps_frame_t frames[700];

    for (uint64_t i = 0; i < 700; i++)
        frames[i] = ps_frame(i % 100 == 50 ? DEVICE + i : RAM + i);
    EXPECT_OK(ps_page_table_map(&t->f->table, at(TABLE_LOW, 0), frames, ps_pages(700), RW, ERROR));
    types_expect(test, t,
                 "c0032-c0032 WB 1, c0096-c0096 WB 1, c00fa-c00fa WB 1, c015e-c015e WB 1, "
                 "c01c2-c01c2 WB 1, c0226-c0226 WB 1, c028a-c028a WB 1");
    EXPECT_REFUSED(types_one(t, 700, DEVICE + 650, UC, ERROR), PS_ACCESS_DENIED);
    types_unmap(test, t, 0, 700);
    types_expect(test, t, "");
}

TYPES_CASE(what_cannot_be_mapped_is_not_remembered)
{
    EXPECT_OK(types_one(t, 699, RAM, RW, ERROR));
    EXPECT_REFUSED(types_run(t, 0, DEVICE, 700, UC, 0), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(types_two(t, 698, DEVICE, DEVICE + 1, UC, ERROR), PS_ALREADY_EXISTS);
    EXPECT_REFUSED(types_one(t, 699, DEVICE, UC, ERROR), PS_ALREADY_EXISTS);
    EXPECT_OK(types_run_in(&t->second, 0, DEVICE, 2, WC, 0));
}

/* ---- where something is mapped already ---- */

TYPES_CASE(skipped_pages_are_asked_for_and_not_added)
{
    EXPECT_OK(types_one(t, 0, DEVICE, UC, ERROR));
    EXPECT_OK(types_one(t, 1, RAM, RW, ERROR));
    EXPECT_REFUSED(types_two(t, 0, DEVICE, DEVICE + 1, WC, PS_EXISTING_SKIP), PS_ACCESS_DENIED);
    EXPECT_OK(types_two(t, 1, DEVICE + 1, DEVICE + 2, UC, PS_EXISTING_SKIP));
    types_expect(test, t, "c0000-c0000 UC 1, c0002-c0002 UC 1");
    table_expect(test, t->f, at(TABLE_LOW, 1), RAM, RW, PS_LEAF_4K);
}

TYPES_CASE(upgrade_replaces_frames_of_either_kind)
{
    ps_attr_t read_only = ps_attr(PS_READ, PS_CACHE_UNCACHED);

    /* Pages that nobody can write to, and writable ones, which are broken before they are made. */
    for (unsigned writable = 0; writable < 2; writable++) {
        ps_attr_t plain = writable ? RW : RO;
        ps_attr_t typed = writable ? UC : read_only;

        EXPECT_OK(types_two(t, 0, RAM, RAM + 1, plain, ERROR));
        EXPECT_OK(types_two(t, 0, DEVICE, RAM - 1, typed, PS_EXISTING_UPGRADE));
        types_expect(test, t, "ff-ff UC 1, c0000-c0000 UC 1");
        EXPECT_OK(types_two(t, 0, DEVICE, DEVICE + 9, typed, PS_EXISTING_UPGRADE));
        types_expect(test, t, "c0000-c0000 UC 1, c0009-c0009 UC 1");
        EXPECT_OK(types_one(t, 0, DEVICE + 9, typed, PS_EXISTING_UPGRADE));
        types_expect(test, t, "c0009-c0009 UC 2");
        EXPECT_OK(types_two(t, 0, RAM, RAM + 1, plain, PS_EXISTING_UPGRADE));
        types_expect(test, t, "");
        table_expect(test, t->f, at(TABLE_LOW, 1), RAM + 1, plain, PS_LEAF_4K);
        types_unmap(test, t, 0, 2);
    }
}

TYPES_CASE(upgrade_cuts_a_page_out_of_a_typed_leaf)
{
    EXPECT_OK(types_run(t, 0, DEVICE, TABLE_LARGE, UC, 0));
    EXPECT_OK(types_one(t, 5, DEVICE + 0x1000, UC, PS_EXISTING_UPGRADE));
    types_expect(test, t, "c0000-c01ff UC 511, c1000-c1000 UC 1");
    EXPECT_OK(types_two(t, 6, RAM, RAM + 1, RW, PS_EXISTING_UPGRADE));
    types_expect(test, t, "c0000-c01ff UC 509, c1000-c1000 UC 1");
    types_unmap(test, t, 0, TABLE_LARGE);
    types_expect(test, t, "");
}

TYPES_CASE(upgrade_of_the_same_frame_keeps_its_type)
{
    EXPECT_OK(types_two(t, 0, DEVICE, DEVICE + 1, ps_attr(PS_READ, PS_CACHE_UNCACHED), ERROR));
    EXPECT_REFUSED(types_two(t, 0, DEVICE, DEVICE + 1, WC, PS_EXISTING_UPGRADE), PS_ACCESS_DENIED);
    EXPECT_REFUSED(types_one(t, 0, DEVICE, RW, PS_EXISTING_UPGRADE), PS_ACCESS_DENIED);
    EXPECT_OK(types_two(t, 0, DEVICE, DEVICE + 1, UC, PS_EXISTING_UPGRADE));
    table_expect(test, t->f, at(TABLE_LOW, 0), DEVICE, UC, PS_LEAF_4K);
    types_expect(test, t, "c0000-c0000 UC 1, c0001-c0001 UC 1");
}

/* ---- protect ---- */

static ps_status protect(struct types_fixture *t, uint64_t page, uint64_t pages, ps_attr_t attr)
{
    return ps_page_table_protect(&t->f->table, at(TABLE_LOW, page), ps_pages(pages), attr);
}

TYPES_CASE(protect_changes_no_type)
{
    EXPECT_OK(types_run(t, 0, RAM, 20, RW, 0));
    EXPECT_OK(types_one(t, 20, DEVICE, UC, ERROR));
    EXPECT_OK(types_run(t, 512, DEVICE + 512, TABLE_LARGE, WC, 0));
    EXPECT_OK(types_run(t, TABLE_HUGE, 2 * DEVICE, TABLE_HUGE, UC, 0));
    EXPECT_REFUSED(protect(t, 20, 1, WC), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 20, 1, RO), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 5, 1, UC), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 0, 21, RO), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 0, 21, UC), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 600, 1, RO), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 512, 512, UC), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 512, 513, RO), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, TABLE_HUGE + 700, 100, WC), PS_ACCESS_DENIED);
    EXPECT_OK(protect(t, 0, 20, RO));
    EXPECT_OK(protect(t, 7, 1, RW));
    types_expect(test, t, "c0000-c0000 UC 1, c0200-c03ff WC 512, 180000-1bffff UC 262144");
}

/* What was typed lies at both ends of it: in between is asked for, and may change. */
TYPES_CASE(protect_between_typed_pages_is_allowed)
{
    EXPECT_OK(types_one(t, 0, DEVICE, UC, ERROR));
    EXPECT_OK(types_run(t, 1, RAM, 600, RW, 0));
    EXPECT_OK(types_one(t, 601, DEVICE + 1, UC, ERROR));
    EXPECT_OK(protect(t, 1, 600, RO));
    EXPECT_REFUSED(protect(t, 1, 601, RW), PS_ACCESS_DENIED);
    EXPECT_REFUSED(protect(t, 0, 601, RW), PS_ACCESS_DENIED);
    EXPECT_OK(protect(t, 602, 600, RW));
    table_expect(test, t->f, at(TABLE_LOW, 600), RAM + 599, RO, PS_LEAF_4K);
}

TYPES_CASE(protect_with_the_same_type_changes_access)
{
    ps_attr_t read_only = ps_attr(PS_READ, PS_CACHE_WRITE_COMBINING);

    EXPECT_OK(types_run(t, 0, DEVICE, TABLE_LARGE + 3, WC, 0));
    EXPECT_OK(protect(t, 100, 1, read_only));
    EXPECT_OK(protect(t, 510, 5, read_only));
    table_expect(test, t->f, at(TABLE_LOW, 100), DEVICE + 100, read_only, PS_LEAF_4K);
    types_expect(test, t, "c0000-c0202 WC 515");
    types_unmap(test, t, 1, 513);
    types_expect(test, t, "c0000-c0202 WC 2");
    types_unmap(test, t, 0, 515);
    types_expect(test, t, "");
}

/* Holes, and pages that wait for their sweep, have no type. */
TYPES_CASE(protect_passes_over_what_is_not_mapped)
{
    struct ps_tlb_gather gather;

    EXPECT_OK(types_two(t, 0, DEVICE, DEVICE + 1, UC, ERROR));
    EXPECT_OK(types_run(t, 2, RAM, 2, RW, 0));
    ps_tlb_gather_init(&gather, &t->f->sim->machine);
    EXPECT_OK(ps_page_table_retire(&t->f->table, at(TABLE_LOW, 0), ps_pages(2), &gather));
    EXPECT_OK(protect(t, 0, 600, RO));
    EXPECT_OK(protect(t, 4, 100, UC));
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_OK(ps_page_table_sweep(&t->f->table, at(TABLE_LOW, 0), ps_pages(2), NULL));
    types_expect(test, t, "");
}

/* ---- unmapping ---- */

TYPES_CASE(parts_of_large_leaves_are_given_up_one_by_one)
{
    EXPECT_OK(types_run(t, 0, DEVICE, TABLE_HUGE, WC, 0));
    types_unmap(test, t, 5, 1);
    types_expect(test, t, "c0000-fffff WC 262143");
    EXPECT_EQ(*table_entry(t->f, at(TABLE_LOW, 6), 1) >> 11 & 1, 1);
    EXPECT_REFUSED(types_one(t, 5, DEVICE + 5, UC, ERROR), PS_ACCESS_DENIED);
    types_unmap(test, t, 512, 1024);
    types_expect(test, t, "c0000-fffff WC 261119");
    types_unmap(test, t, 0, TABLE_HUGE - 1);
    types_expect(test, t, "c0000-fffff WC 1");
    types_unmap(test, t, TABLE_HUGE - 1, 1);
    types_expect(test, t, "");
}

TYPES_CASE(types_are_kept_until_the_sweep)
{
    struct ps_tlb_gather gather;

    EXPECT_OK(types_run(t, 0, DEVICE, TABLE_LARGE + 100, UC, 0));
    ps_tlb_gather_init(&gather, &t->f->sim->machine);
    EXPECT_OK(ps_page_table_retire(&t->f->table, at(TABLE_LOW, 0), ps_pages(600), &gather));
    EXPECT_STATUS(types_run_in(&t->second, 0, DEVICE, 1, WC, 0), PS_ACCESS_DENIED);
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_STATUS(types_run_in(&t->second, 0, DEVICE, 1, WC, 0), PS_ACCESS_DENIED);
    EXPECT_OK(ps_page_table_sweep(&t->f->table, at(TABLE_LOW, 0), ps_pages(600), NULL));
    types_expect(test, t, "c0000-c0263 UC 12");
    types_unmap(test, t, 600, 12);
    EXPECT_OK(types_run_in(&t->second, 0, DEVICE, 1, WC, 0));
}

/* A table that is unlinked with all it holds, page by page, and with large leaves beside it. */
TYPES_CASE(unmapping_forgets_on_every_way)
{
    t->f->sim->machine.flush_threshold = 8;
    EXPECT_OK(types_run(t, 0, DEVICE, TABLE_LARGE, UC, PS_MAP_SMALL));
    types_unmap(test, t, 0, TABLE_LARGE);
    types_expect(test, t, "");
    EXPECT_OK(types_run(t, 0, DEVICE, 3 * TABLE_LARGE - 1, UC, 0));
    types_unmap(test, t, 0, 4 * TABLE_LARGE);
    types_expect(test, t, "");
    EXPECT_OK(types_two(t, 0, DEVICE, RAM, RW, ERROR));
    types_unmap(test, t, 0, 1);
    types_expect(test, t, "");
    types_unmap(test, t, 1, 1);
}

TYPES_CASE(harvest_forgets_what_it_unmaps)
{
    const struct ps_harvest harvest = {.flags = PS_HARVEST_FREE_TABLES};

    EXPECT_OK(types_run(t, 0, DEVICE, 2 * TABLE_LARGE - 1, UC, PS_MAP_SMALL));
    EXPECT_OK(ps_page_table_mark_accessed(&t->f->table, at(TABLE_LOW, 600), ps_pages(1)));
    EXPECT_OK(
        ps_page_table_harvest(&t->f->table, at(TABLE_LOW, 0), ps_pages(2 * TABLE_LARGE), &harvest));
    types_expect(test, t, "c0000-c03fe UC 511");
    EXPECT_OK(
        ps_page_table_harvest(&t->f->table, at(TABLE_LOW, 0), ps_pages(2 * TABLE_LARGE), &harvest));
    types_expect(test, t, "");
}

/* ---- promotion ---- */

TYPES_CASE(promotion_keeps_types)
{
    EXPECT_OK(types_run(t, 0, DEVICE, 2 * TABLE_LARGE, WC, PS_MAP_SMALL));
    EXPECT_OK(ps_page_table_promote(&t->f->table, at(TABLE_LOW, 0), ps_pages(2 * TABLE_LARGE)));
    table_expect(test, t->f, at(TABLE_LOW, 600), DEVICE + 600, WC, PS_LEAF_2M);
    types_expect(test, t, "c0000-c03ff WC 1024");
    types_unmap(test, t, 0, TABLE_LARGE);
    types_expect(test, t, "c0000-c03ff WC 512");
    types_unmap(test, t, 700, 1);
    types_expect(test, t, "c0000-c03ff WC 511");
}

/* The leaf lies in three ranges, of which one is also mapped elsewhere. */
TYPES_CASE(a_leaf_promoted_from_several_ranges_leaves_nothing_behind)
{
    EXPECT_OK(types_run(t, 0, DEVICE, 200, UC, 0));
    EXPECT_OK(types_run(t, 200, DEVICE + 200, 300, UC, 0));
    EXPECT_OK(types_run(t, 500, DEVICE + 500, 12, UC, 0));
    EXPECT_OK(types_run_in(&t->second, 0, DEVICE + 190, 10, UC, 0));
    EXPECT_OK(ps_page_table_promote(&t->f->table, at(TABLE_LOW, 0), ps_pages(TABLE_LARGE)));
    table_expect(test, t->f, at(TABLE_LOW, 7), DEVICE + 7, UC, PS_LEAF_2M);
    types_expect(test, t, "c0000-c00c7 UC 210, c00c8-c01f3 UC 300, c01f4-c01ff UC 12");
    types_unmap(test, t, 0, TABLE_LARGE);
    types_expect(test, t, "c0000-c00c7 UC 10");
    EXPECT_OK(types_run(t, 0, DEVICE + 200, 312, WC, 0));
}

TYPES_CASE(mapping_promotes_typed_leaves_by_itself)
{
    EXPECT_OK(ps_page_table_set_promotes(&t->f->table, true));
    EXPECT_OK(types_run(t, 0, DEVICE, 511, UC, 0));
    EXPECT_OK(types_one(t, 511, DEVICE + 511, UC, ERROR));
    table_expect(test, t->f, at(TABLE_LOW, 7), DEVICE + 7, UC, PS_LEAF_2M);
    types_expect(test, t, "c0000-c01fe UC 511, c01ff-c01ff UC 1");
    types_unmap(test, t, 0, 511);
    types_expect(test, t, "c01ff-c01ff UC 1");
}

/* Write-back leaves of a device beside those of RAM: one large leaf could not tell them apart. */
TYPES_CASE(plain_and_typed_leaves_are_not_promoted_together)
{
    EXPECT_OK(types_run(t, 0, 0x800, 256, RW, PS_MAP_SMALL));
    EXPECT_OK(types_run(t, 256, 0x900, 256, RW, PS_MAP_SMALL));
    EXPECT_OK(ps_page_table_promote(&t->f->table, at(TABLE_LOW, 0), ps_pages(TABLE_LARGE)));
    table_expect(test, t->f, at(TABLE_LOW, 7), 0x807, RW, PS_LEAF_4K);
    types_expect(test, t, "900-9ff WB 256");
}

/* ---- memory ---- */

static ps_status map_small_run(struct types_fixture *t)
{
    return types_run(t, 300, RAM - 100, 5000, RW, PS_MAP_SMALL);
}

static ps_status map_large_run(struct types_fixture *t)
{
    return types_run(t, 1000, DEVICE + 1000, TABLE_HUGE, UC, 0);
}

static ps_status map_scattered(struct types_fixture *t)
{
    static ps_frame_t frames[700];

    for (uint64_t i = 0; i < 700; i++)
        frames[i] = ps_frame(DEVICE + 2 * i);
    return ps_page_table_map(&t->f->table, at(TABLE_LOW, 100), frames, ps_pages(700), UC, ERROR);
}

static ps_status upgrade_pages(struct types_fixture *t)
{
    static ps_frame_t frames[40];

    for (uint64_t i = 0; i < 40; i++)
        frames[i] = ps_frame(DEVICE + 0x3000 + 2 * i);
    return ps_page_table_map(&t->f->table, at(TABLE_LOW, 10 * TABLE_HUGE), frames, ps_pages(40), UC,
                             PS_EXISTING_UPGRADE);
}

TYPES_CASE(a_call_that_lacks_a_frame_has_changed_nothing, .frames = 4096)
{
    ps_status (*const calls[])(struct types_fixture *) = {map_small_run, map_scattered,
                                                          upgrade_pages, map_large_run};

    EXPECT_OK(types_run(t, 10 * TABLE_HUGE, DEVICE + 0x4000, 20, UC, 0));
    for (unsigned for_good = 0; for_good < 2; for_good++)
        for (size_t i = 0; i < PS_ARRAY_SIZE(calls); i++) {
            ps_status status = PS_NO_MEMORY;

            for (uint64_t n = 0; status != PS_OK && n < 500 && test->failures == 0; n++) {
                struct types_state before = types_state(t);

                ps_frame_pool_fail_after(&t->f->pool, n, for_good != 0);
                status = calls[i](t);
                ps_frame_pool_fail_after(&t->f->pool, UINT64_MAX, false);
                if (status == PS_OK)
                    continue;
                EXPECT_STATUS(status, PS_NO_MEMORY);
                types_expect_unchanged(test, t, &before);
            }
            EXPECT_OK(status);
            types_unmap(test, t, 0, 2 * TABLE_HUGE);
        }
    types_unmap(test, t, 10 * TABLE_HUGE, 40);
    types_expect(test, t, "");
}

/* ---- validate ---- */

static void expect_breach(struct test *test, struct types_fixture *t, const char *words)
{
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_STATUS(ps_page_table_validate(&t->f->table, &sink), PS_CORRUPT);
    if (!EXPECT(strstr(text, words) != NULL))
        test_note(test, "wanted \"%s\", got \"%s\"", words, text);
}

TYPES_CASE(validate_finds_leaves_that_the_types_do_not_know)
{
    const uint64_t typed = 1 << 11;
    uint64_t *leaf;

    EXPECT_OK(types_one(t, 0, DEVICE, UC, ERROR));
    leaf = table_entry(t->f, at(TABLE_LOW, 0), 1);
    *leaf &= ~typed;
    expect_breach(test, t, "the cache types do not know a leaf");
    *leaf |= typed;
    ps_cache_types_begin(&t->types);
    ps_cache_types_remove(&t->types, ps_frame(DEVICE), ps_pages(1));
    ps_cache_types_end(&t->types);
    expect_breach(test, t, "a leaf has another memory type than its frames");
    *leaf ^= 1 << 3; /* uncached-minus now */
    EXPECT_OK(types_run_in(&t->second, 0, DEVICE, 1, UC, 0));
    expect_breach(test, t, "a leaf has another memory type than its frames");
    *leaf ^= 1 << 3;
    t->f->sim->machine.cache_types = NULL;
    expect_breach(test, t, "a leaf has another memory type than its frames");
    t->f->sim->machine.cache_types = &t->types;
    EXPECT_OK(ps_page_table_unmap(&t->second, at(TABLE_LOW, 0), ps_pages(1), NULL));
    ps_cache_types_begin(&t->types);
    EXPECT_OK(ps_cache_types_reserve(&t->types, 1));
    ps_cache_types_add(&t->types, ps_frame(DEVICE), ps_pages(1), PS_CACHE_UNCACHED);
    ps_cache_types_end(&t->types);
}

static const struct test_case cases[] = {
    TEST_CASE(ram_is_mapped_write_back_only),
    TEST_CASE(other_frames_keep_the_type_of_their_first_mapping),
    TEST_CASE(address_spaces_agree),
    TEST_CASE(a_run_is_one_range),
    TEST_CASE(leaves_of_all_sizes_have_types),
    TEST_CASE(scattered_frames_are_asked_for_one_by_one),
    TEST_CASE(what_cannot_be_mapped_is_not_remembered),
    TEST_CASE(skipped_pages_are_asked_for_and_not_added),
    TEST_CASE(upgrade_replaces_frames_of_either_kind),
    TEST_CASE(upgrade_cuts_a_page_out_of_a_typed_leaf),
    TEST_CASE(upgrade_of_the_same_frame_keeps_its_type),
    TEST_CASE(protect_changes_no_type),
    TEST_CASE(protect_between_typed_pages_is_allowed),
    TEST_CASE(protect_with_the_same_type_changes_access),
    TEST_CASE(protect_passes_over_what_is_not_mapped),
    TEST_CASE(parts_of_large_leaves_are_given_up_one_by_one),
    TEST_CASE(types_are_kept_until_the_sweep),
    TEST_CASE(unmapping_forgets_on_every_way),
    TEST_CASE(harvest_forgets_what_it_unmaps),
    TEST_CASE(promotion_keeps_types),
    TEST_CASE(a_leaf_promoted_from_several_ranges_leaves_nothing_behind),
    TEST_CASE(mapping_promotes_typed_leaves_by_itself),
    TEST_CASE(plain_and_typed_leaves_are_not_promoted_together),
    TEST_CASE(a_call_that_lacks_a_frame_has_changed_nothing),
    TEST_CASE(validate_finds_leaves_that_the_types_do_not_know),
};

const struct test_suite suite_page_table_types = TEST_SUITE("page_table_types", cases);
