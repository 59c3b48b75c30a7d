#include "machine/mmu.h"

#include "entry.h"

/*
 * Laws of the entry helpers over all levels, attributes and memory types, and their layout
 * against numbers taken from the processor's manual.
 */

static const struct ps_machine usual = {
    .physical_bits = 46, .levels = 4, .no_execute = true, .gib_leaves = true};
static const struct ps_machine poor = {.physical_bits = 36, .levels = 4};
static const struct ps_machine shallow = {.physical_bits = 46, .levels = 2, .gib_leaves = true};

/* Every valid attribute; false after the last. */
static bool next_attr(unsigned *number, ps_attr_t *attr)
{
    while (*number < 32 * PS_CACHE_COUNT) {
        *attr = ps_attr(*number % 32, (enum ps_cache)(*number / 32));
        ++*number;
        if (ps_attr_is_valid(*attr))
            return true;
    }
    return false;
}

static ps_frame_t a_frame(unsigned level)
{
    return ps_frame(0x2a5ull << (9 * (level - 1) + 3));
}

static void attributes_and_frame_come_back(struct test *test)
{
    unsigned number = 0;
    ps_attr_t attr;

    while (next_attr(&number, &attr))
        for (unsigned level = 1; level <= 3; level++) {
            uint64_t entry = ps_entry_leaf(a_frame(level), attr, level, &usual);

            EXPECT(ps_attr_equal(ps_entry_attr(entry, level), attr));
            EXPECT_EQ(ps_entry_leaf_frame(entry, level).number, a_frame(level).number);
            EXPECT_EQ(ps_entry_leaf_page(entry, level, ps_level_pages(level) * 5).number,
                      a_frame(level).number);
            EXPECT_EQ(ps_entry_leaf_page(entry, level, ps_level_pages(level) * 5 - 1).number,
                      a_frame(level).number + ps_level_pages(level) - 1);
            EXPECT_EQ(ps_entry_reserved_bits(entry, level, &usual), 0);
        }
    EXPECT_EQ(number, 32 * PS_CACHE_COUNT);
}

static void a_leaf_is_a_leaf_and_nothing_else(struct test *test)
{
    unsigned number = 0;
    ps_attr_t attr;

    while (next_attr(&number, &attr))
        for (unsigned level = 1; level <= 3; level++) {
            uint64_t entry = ps_entry_leaf(a_frame(level), attr, level, &usual);

            EXPECT(ps_entry_is_present(entry) && ps_entry_is_leaf(entry, level));
            EXPECT(!ps_entry_is_table(entry, level) && !ps_entry_is_retired(entry));
            EXPECT(!ps_entry_is_shared(entry));
            EXPECT(!ps_entry_is_accessed(entry) && !ps_entry_is_dirty(entry));
            EXPECT(!ps_entry_is_permanent(entry));
        }
}

static void an_empty_entry_is_nothing(struct test *test)
{
    for (unsigned level = 1; level <= PS_LEVEL_MAX; level++) {
        EXPECT(!ps_entry_is_present(0) && !ps_entry_is_retired(0));
        EXPECT(!ps_entry_is_leaf(0, level) && !ps_entry_is_table(0, level));
        EXPECT(!ps_entry_is_retired_table(0, level));
    }
}

static void a_table_is_a_table_and_allows_everything(struct test *test)
{
    uint64_t entry = ps_entry_table(ps_frame(0x12345));

    for (unsigned level = 2; level <= PS_LEVEL_MAX; level++) {
        EXPECT(ps_entry_is_table(entry, level) && !ps_entry_is_leaf(entry, level));
        EXPECT_EQ(ps_entry_reserved_bits(entry, level, &poor), 0);
    }
    EXPECT_EQ(ps_entry_table_frame(entry).number, 0x12345);
    /* present, writable, user, accessed: manual, table 4-20 */
    EXPECT_EQ(entry, 0x12345027u);
    EXPECT_EQ(ps_entry_used(entry), 0);
}

static void the_used_count_takes_every_value_and_disturbs_nothing(struct test *test)
{
    uint64_t entry = ps_entry_table(ps_frame(((uint64_t)1 << 40) - 1)) | PS_ENTRY_ANCHORED;

    for (uint64_t used = 0; used <= 512; used++) {
        uint64_t counted = ps_entry_with_used(entry, used);

        EXPECT_EQ(ps_entry_used(counted), used);
        EXPECT_EQ(ps_entry_with_used(counted, 0), entry);
        EXPECT(ps_entry_is_table(counted, 2) && ps_entry_is_anchored(counted));
        EXPECT_EQ(ps_entry_table_frame(counted).number, ((uint64_t)1 << 40) - 1);
        EXPECT_EQ(ps_entry_used(ps_entry_retire(counted)), used);
    }
}

static void retiring_hides_the_frame_and_can_be_undone(struct test *test)
{
    unsigned number = 0;
    ps_attr_t attr;

    while (next_attr(&number, &attr))
        for (unsigned level = 1; level <= 3; level++) {
            uint64_t entry = ps_entry_leaf(a_frame(level), attr, level, &usual) | PS_ENTRY_DIRTY;
            uint64_t retired = ps_entry_retire(entry);

            EXPECT(ps_entry_is_retired(retired) && !ps_entry_is_present(retired));
            EXPECT(!ps_entry_is_leaf(retired, level) && !ps_entry_is_table(retired, level));
            EXPECT(!ps_entry_is_retired_table(retired, level));
            EXPECT_EQ(ps_entry_unretire(retired), entry);
            /* Speculation finds an address above all memory of this machine. */
            EXPECT((retired & 0x000ffffffffff000u) >> 46 != 0);
        }
}

/* No present bit, no frame: still not an empty entry. */
static void no_retired_entry_is_zero(struct test *test)
{
    uint64_t leaf =
        ps_entry_leaf(ps_frame(((uint64_t)1 << 40) - 1), ps_attr_ram(PS_READ), 1, &poor);

    EXPECT_EQ(leaf, 0x000ffffffffff001u);
    EXPECT(ps_entry_retire(leaf) != 0);
    EXPECT(ps_entry_is_retired_table(ps_entry_retire(ps_entry_table(ps_frame(7))), 2));
}

static void bits_are_where_the_manual_has_them(struct test *test)
{
    const ps_frame_t frame = ps_frame(0x40000); /* 1 GiB */
    const unsigned rw = PS_READ | PS_WRITE;

    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(PS_READ), 1, &usual), 0x8000000040000001u);
    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(rw), 1, &usual), 0x8000000040000003u);
    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(rw), 2, &usual), 0x8000000040000083u);
    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(rw), 3, &usual), 0x8000000040000083u);
    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(PS_READ | PS_USER), 1, &usual), 0x8000000040000005u);
    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(PS_READ | PS_GLOBAL), 1, &usual),
              0x8000000040000101u);
    /* Bit 10 is software's: the processor does not look at it. */
    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(PS_READ | PS_EXECUTE), 1, &usual),
              0x0000000040000401u);
    EXPECT_EQ(ps_entry_leaf(frame, ps_attr_ram(rw), 1, &poor), 0x0000000040000003u);
}

/* PWT is bit 3, PCD bit 4, PAT bit 7 of a PTE and bit 12 of a larger leaf. */
static void memory_types_select_their_pat_entry(struct test *test)
{
    static const uint64_t small[] = {0x00, 0x08, 0x10, 0x18, 0x80, 0x88};
    static const uint64_t large[] = {0x0000, 0x0008, 0x0010, 0x0018, 0x1000, 0x1008};
    static const uint8_t types[] = {6, 4, 7, 0, 5, 1}; /* WB WT UC- UC WP WC */

    for (unsigned cache = 0; cache < PS_CACHE_COUNT; cache++) {
        EXPECT_EQ(ps_entry_cache_bits(cache, 1), small[cache]);
        EXPECT_EQ(ps_entry_cache_bits(cache, 2), large[cache]);
        EXPECT_EQ(ps_entry_cache_bits(cache, 3), large[cache]);
        EXPECT_EQ(PS_PAT_VALUE >> (8 * cache) & 0xff, types[cache]);
    }
}

static void a_cut_keeps_attributes_and_history(struct test *test)
{
    unsigned number = 0;
    ps_attr_t attr;

    while (next_attr(&number, &attr))
        for (unsigned level = 2; level <= 3; level++) {
            uint64_t large = ps_entry_leaf(a_frame(level), attr, level, &usual) |
                             PS_ENTRY_ACCESSED | PS_ENTRY_DIRTY;
            uint64_t piece = ps_entry_cut(large, level, &usual);

            EXPECT(ps_attr_equal(ps_entry_attr(piece, level - 1), attr));
            EXPECT_EQ(ps_entry_leaf_frame(piece, level - 1).number, a_frame(level).number);
            EXPECT(ps_entry_is_leaf(piece, level - 1));
            EXPECT(ps_entry_is_accessed(piece) && ps_entry_is_dirty(piece));
            EXPECT_EQ(ps_entry_reserved_bits(piece, level - 1, &usual), 0);
        }
}

static void a_change_of_attributes_keeps_frame_and_history(struct test *test)
{
    const uint64_t history = PS_ENTRY_ACCESSED | PS_ENTRY_DIRTY | PS_ENTRY_PERMANENT;
    unsigned number = 0;
    ps_attr_t attr;

    while (next_attr(&number, &attr))
        for (unsigned level = 1; level <= 3; level++) {
            uint64_t from =
                ps_entry_leaf(a_frame(level), ps_attr_ram(PS_READ | PS_EXECUTE), level, &usual);
            uint64_t to = ps_entry_with_attr(from | history, attr, level, &usual);

            EXPECT_EQ(to, ps_entry_leaf(a_frame(level), attr, level, &usual) | history);
            EXPECT_EQ(ps_entry_with_attr(from, attr, level, &usual), to & ~history);
        }
}

static void settled_means_that_the_processor_has_nothing_left_to_set(struct test *test)
{
    uint64_t ro = ps_entry_leaf(ps_frame(1), ps_attr_ram(PS_READ), 1, &usual);
    uint64_t rw = ps_entry_leaf(ps_frame(1), ps_attr_ram(PS_READ | PS_WRITE), 1, &usual);

    EXPECT(!ps_entry_is_settled(ro) && !ps_entry_is_settled(rw));
    EXPECT(ps_entry_is_settled(ro | PS_ENTRY_ACCESSED));
    EXPECT(!ps_entry_is_settled(rw | PS_ENTRY_ACCESSED));
    EXPECT(!ps_entry_is_settled(rw | PS_ENTRY_DIRTY));
    EXPECT(ps_entry_is_settled(rw | PS_ENTRY_ACCESSED | PS_ENTRY_DIRTY));
}

static void reserved_bits_are_found(struct test *test)
{
    uint64_t small = ps_entry_leaf(ps_frame(512), ps_attr_ram(PS_READ), 1, &poor);
    uint64_t large = ps_entry_leaf(ps_frame(512), ps_attr_ram(PS_READ), 2, &poor);

    EXPECT_EQ(ps_entry_reserved_bits(small | (uint64_t)1 << 36, 1, &poor), (uint64_t)1 << 36);
    EXPECT_EQ(ps_entry_reserved_bits(small | (uint64_t)1 << 35, 1, &poor), 0);
    EXPECT_EQ(ps_entry_reserved_bits(small | (uint64_t)1 << 51, 1, &poor), (uint64_t)1 << 51);
    EXPECT_EQ(ps_entry_reserved_bits(small | PS_ENTRY_NO_EXECUTE, 1, &poor), PS_ENTRY_NO_EXECUTE);
    EXPECT_EQ(ps_entry_reserved_bits(small | PS_ENTRY_NO_EXECUTE, 1, &usual), 0);
    EXPECT_EQ(ps_entry_reserved_bits(large | 0x2000, 2, &poor), 0x2000);
    EXPECT_EQ(ps_entry_reserved_bits(large | 0x1000, 2, &poor), 0);
    EXPECT_EQ(ps_entry_reserved_bits(large, 3, &poor), PS_ENTRY_LARGE);
    EXPECT_EQ(ps_entry_reserved_bits(large, 4, &usual), PS_ENTRY_LARGE);
    EXPECT_EQ(ps_entry_reserved_bits(large, 3, &usual), 0x200000);
}

static void levels_span_what_the_manual_says(struct test *test)
{
    const uint64_t page = 0x0000123456789abcu; /* address 0x123456789abc000 */

    EXPECT_EQ(ps_level_pages(1), 1);
    EXPECT_EQ(ps_level_pages(2), 512);
    EXPECT_EQ(ps_level_pages(3), 262144);
    EXPECT_EQ(ps_level_index(page, 1), page & 511);
    EXPECT_EQ(ps_level_index(page, 4), page >> 27 & 511);
    EXPECT_EQ(ps_level_index(page, 5), page >> 36 & 511);
    EXPECT_EQ(ps_level_largest_leaf(&usual), 3);
    EXPECT_EQ(ps_level_largest_leaf(&poor), 2);
    EXPECT_EQ(ps_level_largest_leaf(&shallow), 2);
    EXPECT_EQ(ps_frame_largest(&usual), ((uint64_t)1 << 34) - 1);
}

/* ---- laws, over all attributes and random frames ---- */

static const struct ps_machine wide = {
    .physical_bits = 52, .levels = 5, .no_execute = true, .gib_leaves = true};
static const struct ps_machine *const machines[] = {&usual, &poor, &wide};

/* Every valid leaf of a machine with a random frame and random history; false after the last. */
struct leaves {
    const struct ps_machine *machine;
    struct test_random random;
    unsigned number;
    unsigned level;
    ps_attr_t attr;
    ps_frame_t frame;
    uint64_t history;
    uint64_t entry;
};

static struct leaves all_leaves(const struct ps_machine *machine)
{
    return (struct leaves){.machine = machine, .random = test_random(7), .level = PS_LEVEL_MAX};
}

static bool next_leaf(struct leaves *leaves)
{
    static const uint64_t history[] = {PS_ENTRY_ACCESSED, PS_ENTRY_DIRTY, PS_ENTRY_PERMANENT};

    if (leaves->level >= ps_level_largest_leaf(leaves->machine)) {
        leaves->level = 0;
        if (!next_attr(&leaves->number, &leaves->attr))
            return false;
    }
    leaves->level++;
    leaves->frame = ps_frame(test_random_next(&leaves->random) & ps_frame_largest(leaves->machine) &
                             ~(ps_level_pages(leaves->level) - 1));
    leaves->history = 0;
    for (unsigned i = 0; i < PS_ARRAY_SIZE(history); i++)
        leaves->history |= test_random_below(&leaves->random, 2) != 0 ? history[i] : 0;
    leaves->entry = ps_entry_leaf(leaves->frame, leaves->attr, leaves->level, leaves->machine) |
                    leaves->history;
    return true;
}

static void a_leaf_is_its_frame_its_attributes_and_its_history(struct test *test)
{
    for (unsigned m = 0; m < PS_ARRAY_SIZE(machines); m++) {
        struct leaves leaf = all_leaves(machines[m]);

        while (next_leaf(&leaf)) {
            EXPECT(ps_attr_equal(ps_entry_attr(leaf.entry, leaf.level), leaf.attr));
            EXPECT_EQ(ps_entry_leaf_frame(leaf.entry, leaf.level).number, leaf.frame.number);
            EXPECT_EQ(leaf.entry & PS_ENTRY_HISTORY, leaf.history);
            EXPECT_EQ(ps_entry_reserved_bits(leaf.entry, leaf.level, leaf.machine), 0);
            EXPECT(ps_entry_is_leaf(leaf.entry, leaf.level));
            EXPECT(!ps_entry_is_anchored(leaf.entry) && !ps_entry_is_shared(leaf.entry));
        }
    }
}

static void expect_retirement(struct test *test, uint64_t entry)
{
    uint64_t retired = ps_entry_retire(entry);

    EXPECT(retired != 0 && ps_entry_is_retired(retired) && !ps_entry_is_present(retired));
    EXPECT_EQ((retired ^ entry) & PS_ENTRY_FRAME_MASK, PS_ENTRY_FRAME_MASK);
    EXPECT_EQ(ps_entry_unretire(retired), entry);
    EXPECT(!ps_entry_is_retired(entry));
}

static void retiring_inverts_every_frame_and_is_undone(struct test *test)
{
    struct test_random random = test_random(8);

    for (unsigned m = 0; m < PS_ARRAY_SIZE(machines); m++) {
        struct leaves leaf = all_leaves(machines[m]);

        while (next_leaf(&leaf))
            expect_retirement(test, leaf.entry);
    }
    for (uint64_t used = 0; used <= PS_TABLE_ENTRIES; used++) {
        ps_frame_t frame = ps_frame(test_random_next(&random) & ps_frame_largest(&wide));
        uint64_t entry = ps_entry_with_used(ps_entry_table(frame), used);

        expect_retirement(test, entry);
        EXPECT(ps_entry_is_retired_table(ps_entry_retire(entry), 2));
        EXPECT_EQ(ps_entry_used(ps_entry_retire(entry)), used);
        EXPECT_EQ(ps_entry_table_frame(entry).number, frame.number);
    }
}

/* Piece by piece, as the walker fills a table with them. */
static void every_piece_of_a_cut_means_what_the_leaf_meant_there(struct test *test)
{
    for (unsigned m = 0; m < PS_ARRAY_SIZE(machines); m++) {
        struct leaves leaf = all_leaves(machines[m]);

        while (next_leaf(&leaf)) {
            unsigned below = leaf.level - 1;
            uint64_t pages = below == 0 ? 0 : ps_level_pages(below);

            for (uint64_t i = 0; below != 0 && i < PS_TABLE_ENTRIES; i++) {
                uint64_t piece = ps_entry_cut(leaf.entry, leaf.level, leaf.machine) +
                                 (i * pages << PS_PAGE_SHIFT);

                EXPECT_EQ(piece, ps_entry_leaf(ps_frame_add(leaf.frame, i * pages), leaf.attr,
                                               below, leaf.machine) |
                                     leaf.history);
                EXPECT_EQ(ps_entry_leaf_page(piece, below, i * pages).number,
                          ps_entry_leaf_page(leaf.entry, leaf.level, i * pages).number);
            }
        }
    }
}

/* From every attribute to every other one, at every level. */
static void the_last_change_of_attributes_counts(struct test *test)
{
    struct leaves leaf = all_leaves(&usual);

    while (next_leaf(&leaf)) {
        unsigned number = 0;
        ps_attr_t attr;

        while (next_attr(&number, &attr)) {
            uint64_t changed = ps_entry_with_attr(leaf.entry, attr, leaf.level, &usual);

            EXPECT_EQ(changed, ps_entry_leaf(leaf.frame, attr, leaf.level, &usual) | leaf.history);
            EXPECT_EQ(ps_entry_with_attr(changed, attr, leaf.level, &usual), changed);
            EXPECT_EQ(ps_entry_with_attr(changed, leaf.attr, leaf.level, &usual), leaf.entry);
        }
    }
}

/* From the manual's tables: which bits of a leaf of `level` must be 0. */
static bool is_reserved(const struct ps_machine *machine, unsigned level, unsigned bit)
{
    if (bit >= machine->physical_bits && bit < 52)
        return true;
    if (bit == 63)
        return !machine->no_execute;
    if (bit == 7)
        return level > 3 || (level == 3 && !machine->gib_leaves);
    return level > 1 && level <= ps_level_largest_leaf(machine) && bit > 12 && bit < 3 + 9 * level;
}

static void exactly_the_reserved_bits_are_reserved(struct test *test)
{
    for (unsigned m = 0; m < PS_ARRAY_SIZE(machines); m++)
        for (unsigned level = 1; level <= PS_LEVEL_MAX; level++)
            for (unsigned bit = 0; bit < 64; bit++) {
                uint64_t large = level > 1 && bit != 7 ? PS_ENTRY_LARGE : 0;
                uint64_t entry = PS_ENTRY_PRESENT | large | (uint64_t)1 << bit;
                uint64_t found = ps_entry_reserved_bits(entry, level, machines[m]);

                if (level > ps_level_largest_leaf(machines[m]))
                    found &= ~large;
                EXPECT_EQ(found, is_reserved(machines[m], level, bit) ? (uint64_t)1 << bit : 0);
            }
}

static const struct test_case cases[] = {
    TEST_CASE(attributes_and_frame_come_back),
    TEST_CASE(a_leaf_is_a_leaf_and_nothing_else),
    TEST_CASE(an_empty_entry_is_nothing),
    TEST_CASE(a_table_is_a_table_and_allows_everything),
    TEST_CASE(the_used_count_takes_every_value_and_disturbs_nothing),
    TEST_CASE(retiring_hides_the_frame_and_can_be_undone),
    TEST_CASE(no_retired_entry_is_zero),
    TEST_CASE(bits_are_where_the_manual_has_them),
    TEST_CASE(memory_types_select_their_pat_entry),
    TEST_CASE(a_cut_keeps_attributes_and_history),
    TEST_CASE(a_change_of_attributes_keeps_frame_and_history),
    TEST_CASE(settled_means_that_the_processor_has_nothing_left_to_set),
    TEST_CASE(reserved_bits_are_found),
    TEST_CASE(levels_span_what_the_manual_says),
    TEST_CASE(a_leaf_is_its_frame_its_attributes_and_its_history),
    TEST_CASE(retiring_inverts_every_frame_and_is_undone),
    TEST_CASE(every_piece_of_a_cut_means_what_the_leaf_meant_there),
    TEST_CASE(the_last_change_of_attributes_counts),
    TEST_CASE(exactly_the_reserved_bits_are_reserved),
};

const struct test_suite suite_entry = TEST_SUITE("entry", cases);
