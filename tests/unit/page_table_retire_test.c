#include "page_table_fixture.h"

#include "hw.h"

/*
 * Retire, one round, sweep: several ranges with one invalidation, stale translations that
 * really are stale, and nothing reused before they are dead.
 */

static struct ps_tlb_gather new_gather(struct table_fixture *f)
{
    struct ps_tlb_gather gather;

    ps_tlb_gather_init(&gather, &f->sim->machine);
    return gather;
}

static void retire(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t pages,
                   struct ps_tlb_gather *gather)
{
    EXPECT_OK(ps_page_table_retire(&f->table, va, ps_pages(pages), gather));
}

static void sweep(struct test *test, struct table_fixture *f, ps_virt_t va, uint64_t pages)
{
    EXPECT_OK(ps_page_table_sweep(&f->table, va, ps_pages(pages), NULL));
}

/* ---- the gather ---- */

/* ---- one round for several ranges ---- */

TABLE_CASE(several_ranges_share_one_round)
{
    struct ps_tlb_gather gather = new_gather(f);
    struct table_released released;

    table_released_init(&released);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 1024, RW, 0);
    table_map_run(test, f, at(TABLE_HIGH, 10), 1000, 20, RW, 0);
    retire(test, f, at(TABLE_LOW, 512), 512, &gather);
    retire(test, f, at(TABLE_HIGH, 10), 10, &gather);
    retire(test, f, at(TABLE_HIGH, 25), 100, &gather);
    EXPECT_EQ(f->sim->invalidations, 0);
    EXPECT_EQ(ps_tlb_gather_flush(&gather), 1);
    EXPECT_EQ(f->sim->invalidations, 1);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 512), ps_pages(512), &released.release));
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_HIGH, 0), ps_pages(512), &released.release));
    EXPECT_EQ(released.count, 3);
    EXPECT_EQ(released.pages, 512 + 10 + 5);
    table_expect_tree(test, f, 5, 1, 0, 3 + 3, 1);
    EXPECT_EQ(f->sim->invalidations, 1);
}

TABLE_CASE(retired_pages_are_gone_and_still_in_use)
{
    struct ps_tlb_gather gather = new_gather(f);
    ps_frame_t other = ps_frame(9);
    struct table_state before;

    table_map_run(test, f, at(TABLE_LOW, 0), 100, 3, RW, 0);
    retire(test, f, at(TABLE_LOW, 1), 1, &gather);
    table_expect_absent(test, f, at(TABLE_LOW, 1));
    EXPECT_EQ(table_read(&f->table).count, 2);
    EXPECT_STATUS(ps_page_table_validate(&f->table, NULL), PS_CORRUPT);
    before = table_state(f);
    for (int existing = PS_EXISTING_ERROR; existing <= PS_EXISTING_UPGRADE; existing++)
        EXPECT_STATUS(ps_page_table_map(&f->table, at(TABLE_LOW, 1), &other, ps_pages(1), RW,
                                        (enum ps_existing)existing),
                      PS_ALREADY_EXISTS);
    EXPECT_STATUS(ps_page_table_map_run(&f->table, at(TABLE_LOW, 1), other, ps_pages(1), RW, 0),
                  PS_ALREADY_EXISTS);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 1), ps_pages(1), RO));
    table_expect_unchanged(test, f, &before);
    ps_tlb_gather_flush(&gather);
    sweep(test, f, at(TABLE_LOW, 0), 3);
    table_map(test, f, at(TABLE_LOW, 1), 9, RW);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
}

TABLE_CASE(sweep_leaves_alone_what_was_not_retired)
{
    struct table_released released;

    table_released_init(&released);
    table_map_run(test, f, at(TABLE_LOW, 0), 100, 10, RW, 0);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 0), ps_pages(100), &released.release));
    EXPECT_EQ(released.count, 0);
    table_expect_tree(test, f, 10, 0, 0, 4, 0);
}

TABLE_CASE(a_large_leaf_is_swept_as_a_whole)
{
    struct ps_tlb_gather gather = new_gather(f);
    struct table_released released;

    table_released_init(&released);
    table_map_run(test, f, at(TABLE_LOW, 0), TABLE_FAR, 512, RW, 0);
    retire(test, f, at(TABLE_LOW, 0), 512, &gather);
    ps_tlb_gather_flush(&gather);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 0), ps_pages(511), &released.release));
    EXPECT_EQ(released.count, 0);
    EXPECT_OK(ps_page_table_sweep(&f->table, at(TABLE_LOW, 0), ps_pages(512), &released.release));
    EXPECT_EQ(released.pages, 512);
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(retired_frames_do_not_show_in_the_entry)
{
    struct ps_tlb_gather gather = new_gather(f);
    const uint64_t *entry;

    table_map(test, f, at(TABLE_LOW, 0), 0x123, RW);
    table_map(test, f, at(TABLE_LOW, 1), 0x124, RW);
    entry = table_entry(f, at(TABLE_LOW, 0), 1);
    retire(test, f, at(TABLE_LOW, 0), 1, &gather);
    EXPECT_EQ(*entry & 1, 0);
    EXPECT_EQ(*entry >> 12 & 0xffffffffffu, 0x123 ^ 0xffffffffffu);
    ps_tlb_gather_flush(&gather);
    sweep(test, f, at(TABLE_LOW, 0), 1);
    EXPECT_EQ(*entry, 0);
}

/* ---- tables ---- */

TABLE_CASE(a_table_is_unreachable_before_the_round_and_freed_after_it)
{
    struct ps_tlb_gather gather = new_gather(f);

    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    table_map(test, f, at(TABLE_LOW, TABLE_HUGE), 2, RW);
    retire(test, f, at(TABLE_LOW, 0), 1, &gather);
    /* The page's own tables of levels 1 and 2 hang on this entry of level 3. */
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 3) & 1, 0);
    EXPECT_EQ(ps_page_table_counters(&f->table).tables, 6);
    ps_tlb_gather_flush(&gather);
    sweep(test, f, at(TABLE_LOW, 0), 1);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 3), 0);
    table_expect_tree(test, f, 1, 0, 0, 4, 0);
}

/* Two operations empty one table between them: whoever is last frees it, in any order. */
static void empty_in_two_steps(struct test *test, struct table_fixture *f, bool crossed)
{
    struct ps_tlb_gather one = new_gather(f);
    struct ps_tlb_gather two = new_gather(f);

    table_map_run(test, f, at(TABLE_LOW, 0), 100, 4, RW, 0);
    retire(test, f, at(TABLE_LOW, 0), 2, &one);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 4) & 1, 1);
    if (!crossed) {
        ps_tlb_gather_flush(&one);
        sweep(test, f, at(TABLE_LOW, 0), 2);
    }
    retire(test, f, at(TABLE_LOW, 2), 2, &two);
    EXPECT_EQ(*table_entry(f, at(TABLE_LOW, 0), 4) & 1, 0);
    ps_tlb_gather_flush(&two);
    sweep(test, f, at(TABLE_LOW, 2), 2);
    if (crossed) {
        EXPECT_EQ(ps_page_table_counters(&f->table).tables, 4);
        ps_tlb_gather_flush(&one);
        sweep(test, f, at(TABLE_LOW, 0), 2);
    }
    table_expect_tree(test, f, 0, 0, 0, 1, 0);
}

TABLE_CASE(two_operations_one_after_the_other_free_their_table)
{
    empty_in_two_steps(test, f, false);
}

TABLE_CASE(two_operations_at_once_free_their_table)
{
    empty_in_two_steps(test, f, true);
}

TABLE_CASE(neighbours_of_retired_pages_can_be_mapped)
{
    struct ps_tlb_gather gather = new_gather(f);

    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    retire(test, f, at(TABLE_LOW, 0), 1, &gather);
    table_map(test, f, at(TABLE_LOW, 1), 2, RW);
    table_expect(test, f, at(TABLE_LOW, 1), 2, RW, PS_LEAF_4K);
    ps_tlb_gather_flush(&gather);
    sweep(test, f, at(TABLE_LOW, 0), 1);
    table_expect_tree(test, f, 1, 0, 0, 4, 0);
}

TABLE_CASE(anchoring_brings_a_retired_table_back)
{
    struct ps_tlb_gather gather = new_gather(f);

    table_map(test, f, at(TABLE_LOW, 0), 1, RW);
    retire(test, f, at(TABLE_LOW, 0), 1, &gather);
    EXPECT_OK(ps_page_table_anchor(&f->table, at(TABLE_LOW, 0), ps_pages(1)));
    ps_tlb_gather_flush(&gather);
    sweep(test, f, at(TABLE_LOW, 0), 1);
    table_expect_tree(test, f, 0, 0, 0, 2, 0);
}

TABLE_CASE(unmap_finishes_what_was_only_retired)
{
    struct ps_tlb_gather gather = new_gather(f);
    struct table_released released;

    table_released_init(&released);
    table_map_run(test, f, at(TABLE_LOW, 0), 100, 4, RW, 0);
    retire(test, f, at(TABLE_LOW, 1), 1, &gather);
    EXPECT_OK(ps_page_table_unmap(&f->table, at(TABLE_LOW, 1), ps_pages(1), &released.release));
    EXPECT_EQ(released.pages, 1);
    EXPECT_EQ(f->sim->invalidations, 1);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
    ps_tlb_gather_flush(&gather);
    sweep(test, f, at(TABLE_LOW, 1), 1);
    table_expect_tree(test, f, 3, 0, 0, 4, 0);
}

/* ---- stale translations ---- */

struct witness {
    struct table_fixture *f;
    ps_virt_t va;
    bool reachable; /* on a processor, when its frame was released */
    uint64_t calls;
};

static void witness_release(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct witness *witness = context;

    (void)first;
    (void)pages;
    witness->calls++;
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
        witness->reachable |= !mmu_load(witness->f->mmu, cpu, witness->va).faulted;
}

TABLE_CASE(frames_are_released_when_no_processor_reaches_them)
{
    struct witness witness = {.f = f, .va = at(TABLE_LOW, 3)};
    struct ps_frame_release release = {witness_release, &witness};
    ps_frame_t frame = table_take_frame(test, f);

    table_map(test, f, witness.va, frame.number, RW);
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
        EXPECT(!mmu_load(f->mmu, cpu, witness.va).faulted);
    EXPECT_OK(ps_page_table_unmap(&f->table, witness.va, ps_pages(1), &release));
    EXPECT_EQ(witness.calls, 1);
    EXPECT(!witness.reachable);
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

TABLE_CASE(a_translation_lives_until_the_round)
{
    struct ps_tlb_gather gather = new_gather(f);
    ps_frame_t frame = table_take_frame(test, f);

    table_map(test, f, at(TABLE_LOW, 0), frame.number, RW);
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
        EXPECT(!mmu_store(f->mmu, cpu, at(TABLE_LOW, 0), 7).faulted);
    retire(test, f, at(TABLE_LOW, 0), 1, &gather);
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
        EXPECT(!mmu_load(f->mmu, cpu, at(TABLE_LOW, 0)).faulted);
    ps_tlb_gather_flush(&gather);
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
        EXPECT(mmu_load(f->mmu, cpu, at(TABLE_LOW, 0)).faulted);
    sweep(test, f, at(TABLE_LOW, 0), 1);
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

/* What a processor walks between the round and the sweep must not outlive the table. */
TABLE_CASE(no_walk_leads_through_a_freed_table)
{
    struct ps_tlb_gather gather = new_gather(f);
    ps_frame_t frame = table_take_frame(test, f);
    ps_frame_t taken;

    table_map(test, f, at(TABLE_LOW, 3), frame.number, RW);
    EXPECT(!mmu_load(f->mmu, 1, at(TABLE_LOW, 3)).faulted);
    EXPECT_EQ(mmu_kept_steps(f->mmu, 1), 3);
    retire(test, f, at(TABLE_LOW, 3), 1, &gather);
    ps_tlb_gather_flush(&gather);
    mmu_speculate(f->mmu, 0, at(TABLE_LOW, 3));
    mmu_speculate(f->mmu, 1, at(TABLE_LOW, 3));
    EXPECT_EQ(mmu_kept_steps(f->mmu, 1), 0);
    sweep(test, f, at(TABLE_LOW, 3), 1);
    /* The freed tables get new owners, whose data would pass for entries. */
    EXPECT(table_take_all(f, &taken) != 0);
    for (uint64_t next = taken.number; next != 0;) {
        uint64_t *words = ps_hw_frame(&f->sim->machine, ps_frame(next));

        next = words[0];
        for (unsigned i = 1; i < 512; i++)
            words[i] = frame.number << 12 | 0x67;
    }
    EXPECT(mmu_load(f->mmu, 0, at(TABLE_LOW, 3)).faulted);
    EXPECT(mmu_load(f->mmu, 1, at(TABLE_LOW, 3)).faulted);
    table_give_all(f, taken);
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

/* The table that one operation frees in the end may have lost its last page to another one. */
TABLE_CASE(no_walk_leads_through_a_table_that_a_single_page_left)
{
    struct ps_tlb_gather gather = new_gather(f);
    ps_frame_t table;

    table_map_run(test, f, at(TABLE_LOW, 3), 100, 2, RW, 0);
    table_map(test, f, at(TABLE_LOW, TABLE_LARGE), 102, RW);
    table = ps_frame(*table_entry(f, at(TABLE_LOW, 3), 2) >> 12 & 0xffffffffffu);
    retire(test, f, at(TABLE_LOW, 3), 1, &gather);
    ps_tlb_gather_flush(&gather);
    table_unmap(test, f, at(TABLE_LOW, 4), 1);
    mmu_speculate(f->mmu, 1, at(TABLE_LOW, 3));
    sweep(test, f, at(TABLE_LOW, 3), 1);
    table_expect_tree(test, f, 1, 0, 0, 4, 0);
    /* The next owner's data would pass for an entry. */
    ((uint64_t *)ps_hw_frame(&f->sim->machine, table))[3] =
        (uint64_t)TABLE_FIRST_FRAME << 12 | 0x67;
    EXPECT(mmu_load(f->mmu, 1, at(TABLE_LOW, 3)).faulted);
}

TABLE_CASE(protect_reaches_both_processors)
{
    ps_frame_t frame = table_take_frame(test, f);

    table_map(test, f, at(TABLE_LOW, 0), frame.number, RW);
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++)
        EXPECT(!mmu_store(f->mmu, cpu, at(TABLE_LOW, 0), 7).faulted);
    EXPECT_OK(ps_page_table_protect(&f->table, at(TABLE_LOW, 0), ps_pages(1), RO));
    for (unsigned cpu = 0; cpu < MMU_PROCESSORS; cpu++) {
        EXPECT(mmu_store(f->mmu, cpu, at(TABLE_LOW, 0), 8).faulted);
        EXPECT_EQ(mmu_load(f->mmu, cpu, at(TABLE_LOW, 0)).value, 7);
    }
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

TABLE_CASE(global_pages_are_invalidated_too)
{
    ps_frame_t frame = table_take_frame(test, f);
    ps_attr_t attr = ps_attr_ram(PS_READ | PS_WRITE | PS_GLOBAL);

    for (uint64_t page = 0; page < 100; page++)
        table_map(test, f, at(TABLE_LOW, page), frame.number, attr);
    EXPECT(!mmu_load(f->mmu, 0, at(TABLE_LOW, 0)).faulted);
    EXPECT(!mmu_load(f->mmu, 0, at(TABLE_LOW, 50)).faulted);
    table_unmap(test, f, at(TABLE_LOW, 50), 1);
    EXPECT(mmu_load(f->mmu, 0, at(TABLE_LOW, 50)).faulted);
    EXPECT(!mmu_load(f->mmu, 0, at(TABLE_LOW, 0)).faulted);
    table_unmap(test, f, at(TABLE_LOW, 0), 100);
    EXPECT_EQ(f->sim->invalidation.count, 0);
    EXPECT(f->sim->invalidation.global);
    EXPECT(mmu_load(f->mmu, 0, at(TABLE_LOW, 0)).faulted);
    EXPECT_OK(ps_frame_pool_free(&f->pool, frame, ps_pages(1)));
}

/* Both processors keep reading next door, through old and new translations. */
TABLE_CASE(neighbours_work_before_during_and_after_a_cut)
{
    const uint64_t frame = 512; /* RAM of the fixture, aligned to 2 MiB */
    struct ps_tlb_gather gather = new_gather(f);

    table_map_run(test, f, at(TABLE_LOW, 0), frame, 512, RW, 0);
    *(uint64_t *)ps_hw_frame(&f->sim->machine, ps_frame(frame + 101)) = 0x101;
    EXPECT_EQ(mmu_load(f->mmu, 1, at(TABLE_LOW, 101)).value, 0x101);
    retire(test, f, at(TABLE_LOW, 100), 1, &gather);
    EXPECT_EQ(mmu_load(f->mmu, 0, at(TABLE_LOW, 101)).value, 0x101);
    EXPECT_EQ(mmu_load(f->mmu, 1, at(TABLE_LOW, 101)).value, 0x101);
    EXPECT(!mmu_store(f->mmu, 1, at(TABLE_LOW, 102), 1).faulted);
    ps_tlb_gather_flush(&gather);
    EXPECT_EQ(mmu_load(f->mmu, 1, at(TABLE_LOW, 101)).value, 0x101);
    EXPECT(mmu_load(f->mmu, 1, at(TABLE_LOW, 100)).faulted);
    sweep(test, f, at(TABLE_LOW, 100), 1);
    EXPECT_EQ(mmu_load(f->mmu, 1, at(TABLE_LOW, 99)).faulted, false);
}

static const struct test_case cases[] = {
    TEST_CASE(several_ranges_share_one_round),
    TEST_CASE(retired_pages_are_gone_and_still_in_use),
    TEST_CASE(sweep_leaves_alone_what_was_not_retired),
    TEST_CASE(a_large_leaf_is_swept_as_a_whole),
    TEST_CASE(retired_frames_do_not_show_in_the_entry),
    TEST_CASE(a_table_is_unreachable_before_the_round_and_freed_after_it),
    TEST_CASE(two_operations_one_after_the_other_free_their_table),
    TEST_CASE(two_operations_at_once_free_their_table),
    TEST_CASE(neighbours_of_retired_pages_can_be_mapped),
    TEST_CASE(anchoring_brings_a_retired_table_back),
    TEST_CASE(unmap_finishes_what_was_only_retired),
    TEST_CASE(frames_are_released_when_no_processor_reaches_them),
    TEST_CASE(a_translation_lives_until_the_round),
    TEST_CASE(no_walk_leads_through_a_freed_table),
    TEST_CASE(no_walk_leads_through_a_table_that_a_single_page_left),
    TEST_CASE(protect_reaches_both_processors),
    TEST_CASE(global_pages_are_invalidated_too),
    TEST_CASE(neighbours_work_before_during_and_after_a_cut),
};

const struct test_suite suite_page_table_retire = TEST_SUITE("page_table_retire", cases);
