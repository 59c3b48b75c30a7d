#include "scratch.h"

/*
 * The page tables of a running stage, in both worlds: calls, what they leave in the tables,
 * and what a program sees of it.
 */

enum { GIB_PAGES = 512 * 512 };

/* ---- facts about one address ---- */

static void expect_page(struct test *test, uint64_t n, uint64_t frame, ps_attr_t attr,
                        enum ps_leaf leaf)
{
    struct ps_translation found = {.frame = ps_frame(0)};

    if (!EXPECT_OK(ps_page_table_query(test->world->table, scratch_page(test, n), &found)))
        return;
    EXPECT_EQ(found.frame.number, frame);
    EXPECT(ps_attr_equal(found.attr, attr));
    EXPECT_EQ(found.leaf, leaf);
}

static void expect_absent(struct test *test, uint64_t n)
{
    struct ps_translation found;

    EXPECT_STATUS(ps_page_table_query(test->world->table, scratch_page(test, n), &found),
                  PS_NOT_FOUND);
}

/* ---- calls ---- */

static void map_query_unmap(struct test *test)
{
    struct scratch_state before = scratch_begin(test);
    ps_frame_t frame = scratch_map(test, 7, SCRATCH_RW);

    REQUIRE(frame.number != 0);
    expect_page(test, 7, frame.number, SCRATCH_RW, PS_LEAF_4K);
    expect_absent(test, 6);
    expect_absent(test, 8);
    scratch_unmap(test, 7, 1);
    expect_absent(test, 7);
    scratch_end(test, &before);
}

static void existing_pages_stop_a_map_call(struct test *test)
{
    struct ps_page_table *table = test->world->table;
    ps_frame_t frame = scratch_map(test, 600, SCRATCH_RO);
    struct scratch_state before = scratch_begin(test);
    ps_frame_t frames[3] = {frame, frame, frame};

    REQUIRE(frame.number != 0);
    EXPECT_STATUS(ps_page_table_map(table, scratch_page(test, 598), frames, ps_pages(3), SCRATCH_RO,
                                    PS_EXISTING_ERROR),
                  PS_ALREADY_EXISTS);
    EXPECT_STATUS(
        ps_page_table_map_run(table, scratch_page(test, 0), frame, ps_pages(601), SCRATCH_RO, 0),
        PS_ALREADY_EXISTS);
    expect_absent(test, 598);
    expect_absent(test, 0);
    scratch_end(test, &before);
    scratch_unmap(test, 600, 1);
}

static void bad_arguments_change_nothing(struct test *test)
{
    struct ps_page_table *table = test->world->table;
    struct scratch_state before = scratch_begin(test);
    ps_frame_t one = ps_frame(1);
    ps_virt_t va = scratch_page(test, 0);

    EXPECT_STATUS(ps_page_table_map_run(table, ps_virt_add(va, 1), one, ps_pages(1), SCRATCH_RO, 0),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_map_run(table, va, one, ps_pages(UINT64_MAX), SCRATCH_RO, 0),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(
        ps_page_table_map_run(table, va, ps_frame((uint64_t)1 << 40), ps_pages(1), SCRATCH_RO, 0),
        PS_INVALID_ARGS);
    EXPECT_STATUS(ps_page_table_unmap(table, ps_virt((uint64_t)1 << 62), ps_pages(1), NULL),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(
        ps_page_table_map(table, ps_virt(0), &one, ps_pages(1), SCRATCH_RO, PS_EXISTING_ERROR),
        PS_ACCESS_DENIED);
    EXPECT_OK(ps_page_table_unmap(table, va, ps_pages(0), NULL));
    scratch_end(test, &before);
}

static void protect_changes_only_its_range(struct test *test)
{
    struct ps_page_table *table = test->world->table;
    ps_frame_t frames[3];

    for (uint64_t i = 0; i < 3; i++) {
        frames[i] = scratch_map(test, 511 + i, SCRATCH_RW); /* on both sides of a border */
        REQUIRE(frames[i].number != 0);
    }
    EXPECT_OK(ps_page_table_protect(table, scratch_page(test, 512), ps_pages(1), SCRATCH_RX));
    expect_page(test, 511, frames[0].number, SCRATCH_RW, PS_LEAF_4K);
    expect_page(test, 512, frames[1].number, SCRATCH_RX, PS_LEAF_4K);
    expect_page(test, 513, frames[2].number, SCRATCH_RW, PS_LEAF_4K);
    scratch_unmap(test, 511, 3);
}

/* ---- large leaves ---- */

static void a_run_of_2m_is_one_leaf_and_can_be_cut(struct test *test)
{
    struct scratch_state before = scratch_begin(test);
    struct ps_page_table_counters counters;
    ps_frame_t frame;

    if (!scratch_map_large(test, 1024, SCRATCH_RW, &frame))
        return;
    expect_page(test, 1024, frame.number, SCRATCH_RW, PS_LEAF_2M);
    expect_page(test, 1535, frame.number + 511, SCRATCH_RW, PS_LEAF_2M);
    EXPECT_OK(ps_page_table_protect(test->world->table, scratch_page(test, 1030), ps_pages(2),
                                    SCRATCH_RO));
    expect_page(test, 1029, frame.number + 5, SCRATCH_RW, PS_LEAF_4K);
    expect_page(test, 1030, frame.number + 6, SCRATCH_RO, PS_LEAF_4K);
    expect_page(test, 1031, frame.number + 7, SCRATCH_RO, PS_LEAF_4K);
    expect_page(test, 1032, frame.number + 8, SCRATCH_RW, PS_LEAF_4K);
    counters = ps_page_table_counters(test->world->table);
    EXPECT_EQ(counters.demotions[PS_LEAF_2M], before.counters.demotions[PS_LEAF_2M] + 1);
    EXPECT_EQ(counters.leaves[PS_LEAF_4K], before.counters.leaves[PS_LEAF_4K] + 512);
    scratch_unmap(test, 1024, 512);
    scratch_end(test, &before);
}

/* Cut and put together again under loads and stores: neighbours never notice. */
static void a_cut_leaf_can_be_promoted_again(struct test *test)
{
    struct ps_page_table *table = test->world->table;
    struct scratch_state before = scratch_begin(test);
    struct ps_page_table_counters counters;
    ps_frame_t frame;

    if (!scratch_map_large(test, 1024, SCRATCH_RW, &frame))
        return;
    EXPECT_OK(ps_page_table_protect(table, scratch_page(test, 1030), ps_pages(1), SCRATCH_RO));
    EXPECT_OK(ps_page_table_promote(table, scratch_page(test, 1024), ps_pages(512)));
    expect_page(test, 1031, frame.number + 7, SCRATCH_RW, PS_LEAF_4K);
    EXPECT_OK(ps_page_table_protect(table, scratch_page(test, 1030), ps_pages(1), SCRATCH_RW));
    EXPECT_OK(ps_page_table_promote(table, scratch_page(test, 1024), ps_pages(511)));
    expect_page(test, 1031, frame.number + 7, SCRATCH_RW, PS_LEAF_4K);
    EXPECT_OK(ps_page_table_promote(table, scratch_page(test, 1024), ps_pages(512)));
    expect_page(test, 1024, frame.number, SCRATCH_RW, PS_LEAF_2M);
    expect_page(test, 1535, frame.number + 511, SCRATCH_RW, PS_LEAF_2M);
    counters = ps_page_table_counters(table);
    EXPECT_EQ(counters.promotions[PS_LEAF_2M], before.counters.promotions[PS_LEAF_2M] + 1);
    EXPECT_EQ(counters.leaves[PS_LEAF_4K], before.counters.leaves[PS_LEAF_4K]);
    EXPECT_EQ(counters.leaves[PS_LEAF_2M], before.counters.leaves[PS_LEAF_2M] + 1);
    scratch_unmap(test, 1024, 512);
    scratch_end(test, &before);
}

/* Only read back and never touched: the last frames that an entry can name, where nothing is. */
static void a_run_of_1g_is_one_leaf_where_the_processor_has_them(struct test *test)
{
    const struct ps_machine *machine = test->world->machine;
    struct ps_page_table *table = test->world->table;
    struct scratch_state before = scratch_begin(test);
    uint64_t frame = ((uint64_t)1 << (machine->physical_bits - PS_PAGE_SHIFT)) - GIB_PAGES;

    if (!machine->gib_leaves)
        SKIP("the processor has no 1 GiB leaves");
    REQUIRE_OK(ps_page_table_map_run(table, scratch_page(test, GIB_PAGES), ps_frame(frame),
                                     ps_pages(GIB_PAGES), SCRATCH_RO, PS_MAP_PERMANENT));
    expect_page(test, GIB_PAGES, frame, SCRATCH_RO, PS_LEAF_1G);
    expect_page(test, 2 * GIB_PAGES - 1, frame + GIB_PAGES - 1, SCRATCH_RO, PS_LEAF_1G);
    EXPECT_STATUS(ps_page_table_unmap(table, scratch_page(test, GIB_PAGES), ps_pages(1), NULL),
                  PS_ACCESS_DENIED);
    EXPECT_OK(ps_page_table_unmap(table, scratch_page(test, GIB_PAGES), ps_pages(GIB_PAGES), NULL));
    expect_absent(test, GIB_PAGES);
    scratch_end(test, &before);
}

/* ---- rounds ---- */

static void one_call_is_at_most_one_round(struct test *test)
{
    struct ps_page_table *table = test->world->table;
    struct ps_page_table_counters before = ps_page_table_counters(table);

    for (uint64_t n = 0; n < 40; n++)
        REQUIRE(scratch_map(test, n * 97, SCRATCH_RW).number != 0);
    EXPECT_EQ(ps_page_table_counters(table).rounds, before.rounds);
    EXPECT_OK(ps_page_table_protect(table, scratch_page(test, 0), ps_pages(4000), SCRATCH_RO));
    EXPECT_EQ(ps_page_table_counters(table).rounds, before.rounds + 1);
    scratch_unmap(test, 0, 4000);
    EXPECT_EQ(ps_page_table_counters(table).rounds, before.rounds + 2);
    scratch_unmap(test, 0, 4000);
    EXPECT_EQ(ps_page_table_counters(table).rounds, before.rounds + 2);
}

/* ---- random operations ---- */

enum { PAGES = 24, OPERATIONS = 1000, SPREAD = 171 /* pages apart: over several tables */ };

struct model {
    struct test_random random;
    struct {
        ps_frame_t frame; /* 0: absent */
        bool writable;
        uint64_t value; /* of the first word */
    } pages[PAGES];
};

static void random_map(struct test *test, struct model *model, uint64_t n)
{
    model->pages[n].writable = test_random_below(&model->random, 2) == 0;
    model->pages[n].value = 0;
    model->pages[n].frame =
        scratch_map(test, n * SPREAD, model->pages[n].writable ? SCRATCH_RW : SCRATCH_RO);
}

static void random_change(struct test *test, struct model *model, uint64_t n)
{
    if (test_random_below(&model->random, 2) == 0) {
        scratch_unmap(test, n * SPREAD, 1);
        model->pages[n].frame = ps_frame(0);
        return;
    }
    model->pages[n].writable = !model->pages[n].writable;
    EXPECT_OK(ps_page_table_protect(test->world->table, scratch_page(test, n * SPREAD), ps_pages(1),
                                    model->pages[n].writable ? SCRATCH_RW : SCRATCH_RO));
}

/* A page that became writable may fault once on what the processor still believes. */
static struct outcome store(struct test *test, const struct model *model, uint64_t n,
                            uint64_t value)
{
    struct world *world = test->world;
    ps_virt_t va = scratch_page(test, n * SPREAD);
    struct outcome outcome = world->store(world, va, value);

    return outcome.faulted && model->pages[n].writable ? world->store(world, va, value) : outcome;
}

static void touch(struct test *test, struct model *model, uint64_t n)
{
    ps_virt_t va = scratch_page(test, n * SPREAD);
    uint64_t value = test_random_next(&model->random);
    struct outcome outcome;

    if (model->pages[n].frame.number == 0) {
        scratch_expect_fault(test, test->world->load(test->world, va), va, 0);
        return;
    }
    scratch_expect_value(test, test->world->load(test->world, va), model->pages[n].value);
    outcome = store(test, model, n, value);
    if (!model->pages[n].writable) {
        scratch_expect_fault(test, outcome, va, FAULT_PRESENT | FAULT_WRITE);
        return;
    }
    EXPECT(!outcome.faulted);
    model->pages[n].value = value;
    EXPECT_EQ(scratch_words(test, model->pages[n].frame)[0], value);
}

static void one_operation(struct test *test, struct model *model)
{
    uint64_t n = test_random_below(&model->random, PAGES);

    if (model->pages[n].frame.number == 0)
        random_map(test, model, n);
    else
        random_change(test, model, n);
    touch(test, model, n);
    touch(test, model, test_random_below(&model->random, PAGES));
}

static void thousand_random_operations(struct test *test)
{
    struct model model = {.random = test_random(test->world->seed)};

    for (unsigned step = 0; step < OPERATIONS && test->failures == 0; step++) {
        one_operation(test, &model);
        if (test->failures != 0)
            test_note(test, "step %u, seed 0x%" PS_PRIx, step, test->world->seed);
    }
    scratch_unmap(test, 0, PAGES * SPREAD);
}

/* ---- the whole ---- */

struct search {
    const struct test *test;
    uint64_t found; /* ranges that are the one the case has mapped */
};

static bool look_for(void *context, const struct ps_mapped_range *range)
{
    struct search *search = context;

    search->found += range->va.addr == scratch_page(search->test, 100).addr &&
                     range->pages.count == 3 && ps_attr_equal(range->attr, SCRATCH_RO);
    return true;
}

static void reading_back_finds_what_was_mapped(struct test *test)
{
    struct search search = {test, 0};

    REQUIRE_OK(ps_page_table_map_run(test->world->table, scratch_page(test, 100), ps_frame(1),
                                     ps_pages(3), SCRATCH_RO, 0));
    ps_page_table_for_each(test->world->table, look_for, &search);
    EXPECT_EQ(search.found, 1);
    EXPECT_OK(ps_page_table_unmap(test->world->table, scratch_page(test, 100), ps_pages(3), NULL));
    ps_page_table_for_each(test->world->table, look_for, &search);
    EXPECT_EQ(search.found, 1);
}

static void expect_valid(struct test *test)
{
    char text[200];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    if (!EXPECT_OK(ps_page_table_validate(test->world->table, &sink)))
        test_note(test, "%s", text);
}

static void validate_is_clean(struct test *test)
{
    expect_valid(test);
    REQUIRE(scratch_map(test, 3, SCRATCH_RW).number != 0);
    expect_valid(test);
    scratch_unmap(test, 3, 1);
    expect_valid(test);
}

static void nothing_leaks(struct test *test)
{
    struct scratch_state before = scratch_begin(test);
    struct test_random random = test_random(test->world->seed + 1);

    for (unsigned i = 0; i < 200; i++) {
        uint64_t n = test_random_below(&random, test->world->scratch_pages.count);

        REQUIRE(scratch_map(test, n, SCRATCH_RW).number != 0);
        scratch_unmap(test, n, 1);
    }
    scratch_end(test, &before);
}

static const struct test_case cases[] = {
    TEST_CASE(map_query_unmap),
    TEST_CASE(existing_pages_stop_a_map_call),
    TEST_CASE(bad_arguments_change_nothing),
    TEST_CASE(protect_changes_only_its_range),
    TEST_CASE(a_run_of_2m_is_one_leaf_and_can_be_cut),
    TEST_CASE(a_cut_leaf_can_be_promoted_again),
    TEST_CASE(a_run_of_1g_is_one_leaf_where_the_processor_has_them),
    TEST_CASE(one_call_is_at_most_one_round),
    TEST_CASE(thousand_random_operations),
    TEST_CASE(reading_back_finds_what_was_mapped),
    TEST_CASE(validate_is_clean),
    TEST_CASE(nothing_leaks),
};

const struct test_suite suite_page_table_live = TEST_SUITE("page_table", cases);
