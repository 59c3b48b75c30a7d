#include "frame_cases.h"

void frame_give_back(struct test *test, ps_frame_t first, uint64_t pages)
{
    if (!EXPECT_OK(ps_frame_pool_free(test->world->pool, first, ps_pages(pages))))
        test_note(test, "unit of %" PS_PRIu " at frame 0x%" PS_PRIx, pages, first.number);
}

struct ps_frame_pool_snapshot frame_counts(struct test *test)
{
    struct ps_frame_pool_snapshot now;

    ps_frame_pool_snapshot(test->world->pool, &now);
    return now;
}

void frame_expect_counts(struct test *test, const struct ps_frame_pool_snapshot *before)
{
    struct ps_frame_pool_snapshot now = frame_counts(test);

    for (unsigned tag = 0; tag < PS_FRAME_TAG_COUNT; tag++)
        EXPECT_EQ(now.by_tag[tag], before->by_tag[tag]);
    EXPECT_EQ(now.available, before->available);
    EXPECT_EQ(now.whole_2m, before->whole_2m);
    EXPECT_EQ(now.whole_1g, before->whole_1g);
    EXPECT_EQ(now.shared_units, before->shared_units);
}
