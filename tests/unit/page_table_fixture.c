#include "page_table_fixture.h"

#include <string.h>

#include "hw.h"

/* ---- a machine with a page table ---- */

static bool open_fixture(struct test *test, struct table_fixture *f, const struct table_plan *plan)
{
    struct sim_range ram =
        SIM_RAM(TABLE_FIRST_FRAME, plan->frames != 0 ? plan->frames : TABLE_FRAMES);

    memset(f, 0, sizeof(*f));
    f->sim = sim_machine_create(&ram, 1, plan->flags);
    if (!EXPECT(f->sim != NULL))
        return false;
    f->mmu = mmu_create(f->sim);
    if (!EXPECT_OK(ps_frame_pool_init(&f->pool, &f->sim->machine, &f->sim->map)) ||
        !EXPECT_OK(ps_page_table_create(&f->table, &f->sim->machine, &f->pool)))
        return false;
    ps_hw_set_root(&f->sim->machine, f->table.root);
    mmu_set_root(f->mmu, 1, f->table.root);
    return true;
}

static void unmap_all(struct test *test, struct table_fixture *f)
{
    uint64_t half = (uint64_t)1 << (f->table.levels * 9u - 1);
    uint64_t high = ~(half * PS_PAGE_SIZE - 1);

    EXPECT_OK(ps_page_table_unmap(&f->table, ps_virt(0), ps_pages(half), NULL));
    /* The cases about sharing leave nothing of their own in the upper half. */
    if (f->other.machine == NULL)
        EXPECT_OK(ps_page_table_unmap(&f->table, ps_virt(high), ps_pages(half), NULL));
}

static void close_table(struct test *test, struct table_fixture *f)
{
    struct ps_frame_pool_snapshot snapshot;

    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    unmap_all(test, f);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    EXPECT_OK(ps_page_table_destroy(&f->table));
    ps_frame_pool_snapshot(&f->pool, &snapshot);
    EXPECT_EQ(snapshot.by_tag[PS_FRAME_TABLE], 0);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

void table_with(struct test *test, const struct table_plan *plan,
                void (*body)(struct test *test, struct table_fixture *f))
{
    struct table_fixture fixture;

    if (open_fixture(test, &fixture, plan)) {
        body(test, &fixture);
        if (fixture.table.machine != NULL)
            close_table(test, &fixture);
    }
    mmu_destroy(fixture.mmu);
    sim_machine_destroy(fixture.sim);
}

/* ---- frames ---- */

ps_frame_t table_take_frame(struct test *test, struct table_fixture *f)
{
    ps_frame_t frame = ps_frame(0);

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &frame));
    return frame;
}

uint64_t table_take_all(struct table_fixture *f, ps_frame_t *first_of_list)
{
    ps_frame_t frame;
    uint64_t count = 0;

    *first_of_list = ps_frame(0);
    while (ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &frame) == PS_OK) {
        *(uint64_t *)ps_hw_frame(&f->sim->machine, frame) = first_of_list->number;
        *first_of_list = frame;
        count++;
    }
    return count;
}

void table_give_all(struct table_fixture *f, ps_frame_t first_of_list)
{
    while (first_of_list.number != 0) {
        ps_frame_t frame = first_of_list;

        first_of_list = ps_frame(*(uint64_t *)ps_hw_frame(&f->sim->machine, frame));
        (void)!ps_frame_pool_free(&f->pool, frame, ps_pages(1));
    }
}

/* ---- calls that must succeed ---- */

void table_map(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t frame,
               ps_attr_t attr)
{
    ps_frame_t one = ps_frame(frame);

    EXPECT_OK(ps_page_table_map(&f->table, va, &one, ps_pages(1), attr, PS_EXISTING_ERROR));
}

void table_map_run(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t frame,
                   uint64_t pages, ps_attr_t attr, unsigned flags)
{
    EXPECT_OK(ps_page_table_map_run(&f->table, va, ps_frame(frame), ps_pages(pages), attr, flags));
}

void table_unmap(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t pages)
{
    EXPECT_OK(ps_page_table_unmap(&f->table, va, ps_pages(pages), NULL));
}

/* ---- facts ---- */

void table_expect(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t frame,
                  ps_attr_t attr, enum ps_leaf leaf)
{
    struct ps_translation found = {0};

    if (!EXPECT_OK(ps_page_table_query(&f->table, va, &found)) ||
        !EXPECT_EQ(found.frame.number, frame) || !EXPECT(ps_attr_equal(found.attr, attr)) ||
        !EXPECT_EQ(found.leaf, leaf))
        test_note(test, "address 0x%" PS_PRIx, va.addr);
}

void table_expect_absent(struct test *test, struct table_fixture *f, ps_virt_t va)
{
    struct ps_translation found;

    if (!EXPECT_STATUS(ps_page_table_query(&f->table, va, &found), PS_NOT_FOUND))
        test_note(test, "address 0x%" PS_PRIx, va.addr);
}

void table_expect_tree(struct test *test, struct table_fixture *f, uint64_t leaves_4k,
                       uint64_t leaves_2m, uint64_t leaves_1g, uint64_t tables, uint64_t promised)
{
    struct ps_page_table_counters counters = ps_page_table_counters(&f->table);
    struct ps_frame_pool_snapshot snapshot;

    EXPECT_EQ(counters.leaves[PS_LEAF_4K], leaves_4k);
    EXPECT_EQ(counters.leaves[PS_LEAF_2M], leaves_2m);
    EXPECT_EQ(counters.leaves[PS_LEAF_1G], leaves_1g);
    EXPECT_EQ(counters.tables, tables);
    EXPECT_EQ(counters.promised, promised);
    ps_frame_pool_snapshot(&f->pool, &snapshot);
    EXPECT_EQ(snapshot.by_tag[PS_FRAME_TABLE], tables);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

uint64_t *table_entry(struct table_fixture *f, ps_virt_t va, unsigned level)
{
    ps_frame_t frame = f->table.root;

    for (unsigned at_level = f->table.levels;; at_level--) {
        uint64_t *table = ps_hw_frame(&f->sim->machine, frame);
        uint64_t *entry = &table[va.addr >> (3 + 9 * at_level) & 511];

        if (at_level == level)
            return entry;
        if ((*entry & 1) == 0 || (*entry & 0x80) != 0)
            return NULL;
        frame = ps_frame(*entry >> 12 & 0xffffffffffu);
    }
}

static uint64_t hash(uint64_t sum, uint64_t word)
{
    sum ^= word;
    sum ^= sum << 13;
    sum ^= sum >> 7;
    return sum ^ sum << 17;
}

static uint64_t hash_frames(struct table_fixture *f)
{
    uint64_t sum = 1;

    for (uint64_t frame = TABLE_FIRST_FRAME; frame < f->sim->frames; frame++) {
        struct ps_frame_info info;
        const uint64_t *words = ps_hw_frame(&f->sim->machine, ps_frame(frame));

        if (ps_frame_pool_query(&f->pool, ps_frame(frame), &info) != PS_OK)
            return 0;
        sum = hash(sum, info.managed ? info.tag + 1u : 0);
        for (unsigned i = 0; info.tag == PS_FRAME_TABLE && i < 512; i++)
            sum = hash(sum, words[i]);
    }
    return sum;
}

struct table_state table_state(struct table_fixture *f)
{
    struct table_state state = {.table = f->table, .frames = hash_frames(f)};

    ps_frame_pool_snapshot(&f->pool, &state.pool);
    return state;
}

void table_expect_unchanged(struct test *test, struct table_fixture *f,
                            const struct table_state *before)
{
    struct table_state after = table_state(f);

    EXPECT(memcmp(&after.table, &before->table, sizeof(after.table)) == 0);
    EXPECT_EQ(after.pool.free, before->pool.free);
    EXPECT(memcmp(after.pool.by_tag, before->pool.by_tag, sizeof(after.pool.by_tag)) == 0);
    EXPECT_EQ(after.frames, before->frames);
}

/* ---- reading back ---- */

static bool keep_range(void *context, const struct ps_mapped_range *range)
{
    struct table_ranges *read = context;

    if (read->count < TABLE_UNITS_MAX)
        read->ranges[read->count] = *range;
    read->count++;
    return true;
}

struct table_ranges table_read(struct ps_page_table *table)
{
    struct table_ranges read = {.count = 0};

    ps_page_table_for_each(table, keep_range, &read);
    return read;
}

static void keep_released(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct table_released *released = context;

    if (released->count < TABLE_UNITS_MAX) {
        released->runs[released->count].first = first;
        released->runs[released->count].pages = pages;
    }
    released->count++;
    released->pages += pages.count;
}

void table_released_init(struct table_released *released)
{
    *released = (struct table_released){.count = 0};
    released->release = (struct ps_frame_release){keep_released, released};
}
