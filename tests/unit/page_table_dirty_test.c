#include "page_table_fixture.h"

/*
 * A second processor reads or writes a page at any point of a call: between any two accesses of the
 * library to entries. Whoever wrote to a page that is still mapped left a dirty
 * leaf, or the call told of it.
 */

enum { VICTIM = 300, POINTS_MOST = 20000 };

struct scene {
    void (*prepare)(struct test *test, struct table_fixture *f);
    void (*act)(struct test *test, struct table_fixture *f, const struct ps_harvest *harvest);
    uint64_t least;  /* points that the call has at least */
    uint64_t stride; /* not 0: every so many of them are enough, because most are alike */
};

/* What the other processor keeps of the page when the call begins. */
enum kept { KEPT_NOTHING, KEPT_CLEAN, KEPT_DIRTY, KEPT_COUNT };

struct visit {
    struct table_fixture *f;
    unsigned access;
    uint64_t at; /* the point where it happens */
    uint64_t now;
    bool came; /* and was not refused */
    bool told_accessed;
    bool told_dirty;
};

static void step(void *context, bool stored)
{
    struct visit *visit = context;

    (void)stored;
    if (visit->now++ == visit->at)
        visit->came =
            !mmu_translate(visit->f->mmu, 1, at(TABLE_LOW, VICTIM), visit->access).faulted;
}

static void tell(void *context, ps_virt_t va, ps_pages_t pages, bool dirty)
{
    struct visit *visit = context;
    uint64_t first = (va.addr - TABLE_LOW) / PS_PAGE_SIZE;

    if (VICTIM < first || VICTIM - first >= pages.count)
        return;
    visit->told_accessed = true;
    visit->told_dirty |= dirty;
}

static void expect_remembered(struct test *test, const struct visit *visit, enum kept kept)
{
    struct ps_translation found = {0};
    bool wrote = kept == KEPT_DIRTY || (visit->came && visit->access == MMU_WRITE);

    /* What went unmapped was never used: nobody would look for news of it any more. */
    if (ps_page_table_query(&visit->f->table, at(TABLE_LOW, VICTIM), &found) != PS_OK)
        EXPECT(kept == KEPT_NOTHING && !visit->came);
    if (wrote)
        EXPECT(found.dirty || visit->told_dirty);
    if (wrote || visit->came)
        EXPECT(found.accessed || visit->told_accessed);
    if (test->failures != 0)
        test_note(test, "point %" PS_PRIu ", access %u, kept %u", visit->at, visit->access, kept);
}

static void forget_all(struct table_fixture *f)
{
    mmu_invalidate(f->mmu, 1, &(struct ps_invalidation){.global = true});
}

/* False when the call has no such point. */
static bool play_at(struct test *test, struct table_fixture *f, const struct scene *scene,
                    struct visit *visit, enum kept kept)
{
    const struct ps_harvest harvest = {.visit = tell, .context = visit};

    scene->prepare(test, f);
    if (kept != KEPT_NOTHING)
        (void)mmu_translate(f->mmu, 1, at(TABLE_LOW, VICTIM),
                            kept == KEPT_DIRTY ? MMU_WRITE : MMU_READ);
    sim_between = (struct sim_between){step, visit};
    scene->act(test, f, &harvest);
    sim_between = (struct sim_between){NULL, NULL};
    expect_remembered(test, visit, kept);
    EXPECT_OK(ps_page_table_set_promotes(&f->table, false));
    table_unmap(test, f, at(TABLE_LOW, 0), 1024);
    forget_all(f);
    return visit->now > visit->at;
}

static void play(struct test *test, struct table_fixture *f, const struct scene *scene,
                 unsigned access, enum kept kept)
{
    uint64_t point = 0;
    bool has_more = true;

    for (; has_more && point < POINTS_MOST && test->failures == 0;
         point += scene->stride + (scene->stride == 0)) {
        struct visit visit = {.f = f, .access = access, .at = point};

        has_more = play_at(test, f, scene, &visit, kept);
    }
    EXPECT(point >= scene->least && !has_more);
}

static void play_all(struct test *test, struct table_fixture *f, const struct scene *scene)
{
    f->sim->machine.processors = MMU_PROCESSORS;
    for (unsigned kept = 0; kept < KEPT_COUNT && test->failures == 0; kept++) {
        play(test, f, scene, MMU_WRITE, (enum kept)kept);
        if (kept == KEPT_NOTHING)
            play(test, f, scene, MMU_READ, KEPT_NOTHING);
    }
    f->sim->machine.processors = 0;
}

#define SCENE(name, ...)                                       \
    TABLE_CASE(name)                                           \
    {                                                          \
        play_all(test, f, &(const struct scene){__VA_ARGS__}); \
    }

/* ---- small pages ---- */

static void prepare_few(struct test *test, struct table_fixture *f)
{
    table_map_run(test, f, at(TABLE_LOW, VICTIM - 2), 100, 5, RW, PS_MAP_SMALL);
}

static void protect_one(struct test *test, struct table_fixture *f,
                        const struct ps_harvest *harvest)
{
    (void)harvest;
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, VICTIM), ps_pages(1), RO));
}

static void protect_few(struct test *test, struct table_fixture *f,
                        const struct ps_harvest *harvest)
{
    (void)harvest;
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, VICTIM - 2), ps_pages(4), RO));
}

static void harvest_all(struct test *test, struct table_fixture *f,
                        const struct ps_harvest *harvest)
{
    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(1024), harvest));
}

static void harvest_tables(struct test *test, struct table_fixture *f,
                           const struct ps_harvest *harvest)
{
    struct ps_harvest frees = *harvest;

    frees.flags = PS_HARVEST_FREE_TABLES;
    EXPECT_OK(ps_page_table_harvest(&f->table, at(TABLE_LOW, 0), ps_pages(1024), &frees));
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
}

/* The victim was read before: so harvest will clear it, whatever else happens. */
static void prepare_read(struct test *test, struct table_fixture *f)
{
    prepare_few(test, f);
    *table_entry(f, at(TABLE_LOW, VICTIM), 1) |= 0x20;
}

static void mark_all(struct test *test, struct table_fixture *f, const struct ps_harvest *harvest)
{
    (void)harvest;
    EXPECT_OK(ps_page_table_mark_accessed(&f->table, at(TABLE_LOW, 0), ps_pages(1024)));
}

static void unmap_beside(struct test *test, struct table_fixture *f,
                         const struct ps_harvest *harvest)
{
    (void)harvest;
    table_unmap(test, f, at(TABLE_LOW, VICTIM - 2), 2);
}

static void upgrade_few(struct test *test, struct table_fixture *f,
                        const struct ps_harvest *harvest)
{
    const ps_frame_t frames[3] = {{7}, {102}, {8}};
    ps_attr_t user = ps_attr_ram(PS_READ | PS_WRITE | PS_USER);

    (void)harvest;
    EXPECT_OK(ps_page_table_map(&f->table, at(TABLE_LOW, VICTIM - 1), frames, ps_pages(3), user,
                                PS_EXISTING_UPGRADE));
}

SCENE(protection_of_one_page_loses_nothing, prepare_few, protect_one, .least = 1)
SCENE(protection_of_some_pages_loses_nothing, prepare_few, protect_few, .least = 2)
SCENE(harvest_of_pages_nobody_read_loses_nothing, prepare_few, harvest_all, .least = 3)
SCENE(harvest_of_pages_that_were_read_loses_nothing, prepare_read, harvest_all, .least = 3)
SCENE(harvest_that_frees_tables_loses_nothing, prepare_few, harvest_tables, .least = 512)
SCENE(marking_pages_loses_nothing, prepare_few, mark_all, .least = 2)
SCENE(unmapping_the_neighbour_loses_nothing, prepare_few, unmap_beside, .least = 2)
SCENE(an_upgrade_loses_nothing, prepare_few, upgrade_few, .least = 3)

/* ---- large leaves ---- */

static void prepare_2m(struct test *test, struct table_fixture *f)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, 0);
}

static void prepare_read_2m(struct test *test, struct table_fixture *f)
{
    prepare_2m(test, f);
    *table_entry(f, at(TABLE_LOW, 0), 2) |= 0x20;
}

static void prepare_1g(struct test *test, struct table_fixture *f)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, TABLE_HUGE, RW, 0);
}

static void protect_2m(struct test *test, struct table_fixture *f, const struct ps_harvest *harvest)
{
    (void)harvest;
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(512), RO));
}

static void unmap_1g_beside(struct test *test, struct table_fixture *f,
                            const struct ps_harvest *harvest)
{
    (void)harvest;
    table_unmap(test, f, at(TABLE_LOW, VICTIM + 1), TABLE_HUGE - VICTIM - 1);
}

static void upgrade_beside(struct test *test, struct table_fixture *f,
                           const struct ps_harvest *harvest)
{
    const ps_frame_t frame = {7};

    (void)harvest;
    EXPECT_OK(ps_page_table_map(&f->table, at(TABLE_LOW, VICTIM - 1), &frame, ps_pages(1), RW,
                                PS_EXISTING_UPGRADE));
}

SCENE(protection_of_a_part_of_2m_loses_nothing, prepare_2m, protect_few, .least = 512)
SCENE(protection_of_2m_loses_nothing, prepare_2m, protect_2m, .least = 1)
SCENE(harvest_of_2m_loses_nothing, prepare_read_2m, harvest_all, .least = 3)
SCENE(unmapping_next_door_in_2m_loses_nothing, prepare_2m, unmap_beside, .least = 512)
SCENE(unmapping_next_door_in_1g_loses_nothing, prepare_1g, unmap_1g_beside, .least = 1024,
      .stride = 11)
SCENE(an_upgrade_next_door_in_2m_loses_nothing, prepare_2m, upgrade_beside, .least = 512)

/* ---- promotion ---- */

static void prepare_512(struct test *test, struct table_fixture *f)
{
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, PS_MAP_SMALL);
}

static void promote(struct test *test, struct table_fixture *f, const struct ps_harvest *harvest)
{
    (void)harvest;
    EXPECT_OK(ps_page_table_promote(&f->table, at(TABLE_LOW, 0), ps_pages(512)));
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_2M], 1);
}

static void prepare_uneven(struct test *test, struct table_fixture *f)
{
    prepare_512(test, f);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 9), ps_pages(1), RO));
    EXPECT_OK(ps_page_table_set_promotes(&f->table, true));
}

static void protect_the_last(struct test *test, struct table_fixture *f,
                             const struct ps_harvest *harvest)
{
    (void)harvest;
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 9), ps_pages(1), RW));
    EXPECT_EQ(ps_page_table_counters(&f->table).leaves[PS_LEAF_2M], 1);
}

SCENE(promotion_loses_nothing, prepare_512, promote, .least = 512)
SCENE(promotion_by_itself_loses_nothing, prepare_uneven, protect_the_last, .least = 512)

static const struct test_case cases[] = {
    TEST_CASE(protection_of_one_page_loses_nothing),
    TEST_CASE(protection_of_some_pages_loses_nothing),
    TEST_CASE(harvest_of_pages_nobody_read_loses_nothing),
    TEST_CASE(harvest_of_pages_that_were_read_loses_nothing),
    TEST_CASE(harvest_that_frees_tables_loses_nothing),
    TEST_CASE(marking_pages_loses_nothing),
    TEST_CASE(unmapping_the_neighbour_loses_nothing),
    TEST_CASE(an_upgrade_loses_nothing),
    TEST_CASE(protection_of_a_part_of_2m_loses_nothing),
    TEST_CASE(protection_of_2m_loses_nothing),
    TEST_CASE(harvest_of_2m_loses_nothing),
    TEST_CASE(unmapping_next_door_in_2m_loses_nothing),
    TEST_CASE(unmapping_next_door_in_1g_loses_nothing),
    TEST_CASE(an_upgrade_next_door_in_2m_loses_nothing),
    TEST_CASE(promotion_loses_nothing),
    TEST_CASE(promotion_by_itself_loses_nothing),
};

const struct test_suite suite_page_table_dirty = TEST_SUITE("page_table_dirty", cases);
