#include "scratch.h"

#include "hw.h"

ps_virt_t scratch_page(const struct test *test, uint64_t n)
{
    return ps_virt_add_pages(test->world->scratch, ps_pages(n));
}

uint64_t *scratch_words(const struct test *test, ps_frame_t frame)
{
    return ps_hw_frame(test->world->machine, frame);
}

ps_frame_t scratch_map(struct test *test, uint64_t n, ps_attr_t attr)
{
    struct world *world = test->world;
    ps_frame_t frame;

    if (!EXPECT_OK(
            ps_frame_pool_alloc(world->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO, &frame)))
        return ps_frame(0);
    if (EXPECT_OK(ps_page_table_map(world->table, scratch_page(test, n), &frame, ps_pages(1), attr,
                                    PS_EXISTING_ERROR)))
        return frame;
    EXPECT_OK(ps_frame_pool_free(world->pool, frame, ps_pages(1)));
    return ps_frame(0);
}

static void give_back(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct test *test = context;

    for (uint64_t i = 0; i < pages.count; i++)
        EXPECT_OK(ps_frame_pool_free(test->world->pool, ps_frame_add(first, i), ps_pages(1)));
}

void scratch_unmap(struct test *test, uint64_t n, uint64_t pages)
{
    struct ps_frame_release release = {give_back, test};

    EXPECT_OK(
        ps_page_table_unmap(test->world->table, scratch_page(test, n), ps_pages(pages), &release));
}

bool scratch_map_large(struct test *test, uint64_t n, ps_attr_t attr, ps_frame_t *frame)
{
    struct world *world = test->world;
    ps_pages_t pages = ps_frame_size_pages(PS_FRAME_2M);

    if (ps_frame_pool_alloc(world->pool, PS_FRAME_2M, PS_FRAME_USER, PS_FRAME_ZERO, frame) !=
        PS_OK) {
        test->skipped = "no free 2 MiB frame";
        return false;
    }
    /* Parts of it will go back one after the other. */
    EXPECT_OK(ps_frame_pool_split(world->pool, *frame, pages));
    return EXPECT_OK(
        ps_page_table_map_run(world->table, scratch_page(test, n), *frame, pages, attr, 0));
}

void scratch_expect_value(struct test *test, struct outcome outcome, uint64_t value)
{
    if (!EXPECT(!outcome.faulted))
        test_note(test, "vector %u, error 0x%x, address 0x%" PS_PRIx, outcome.vector, outcome.error,
                  outcome.address.addr);
    else
        EXPECT_EQ(outcome.value, value);
}

void scratch_expect_fault(struct test *test, struct outcome outcome, ps_virt_t va, uint32_t error)
{
    /* Without no-execute a processor need not tell that it was fetching. */
    uint32_t told = test->world->machine->no_execute ? UINT32_MAX : ~(uint32_t)FAULT_FETCH;

    if (!EXPECT(outcome.faulted))
        return;
    EXPECT_EQ(outcome.vector, VECTOR_PAGE_FAULT);
    EXPECT_EQ(outcome.error & told, error & told);
    EXPECT_EQ(outcome.address.addr, va.addr);
}

struct scratch_state scratch_begin(struct test *test)
{
    return (struct scratch_state){
        .in_use = ps_frame_pool_in_use(test->world->pool),
        .counters = ps_page_table_counters(test->world->table),
    };
}

void scratch_end(struct test *test, const struct scratch_state *before)
{
    struct scratch_state now = scratch_begin(test);

    EXPECT_EQ(now.in_use, before->in_use);
    EXPECT_EQ(now.counters.tables, before->counters.tables);
    EXPECT_EQ(now.counters.promised, before->counters.promised);
    for (unsigned level = PS_LEAF_4K; level <= PS_LEAF_1G; level++)
        EXPECT_EQ(now.counters.leaves[level], before->counters.leaves[level]);
}
