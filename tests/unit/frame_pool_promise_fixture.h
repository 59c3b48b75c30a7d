/* The calls of promises, for a pool of its own. */
#ifndef TESTS_UNIT_FRAME_POOL_PROMISE_FIXTURE_H
#define TESTS_UNIT_FRAME_POOL_PROMISE_FIXTURE_H

#include "frame_pool_fixture.h"

enum { CHUNK = 512, TRACT = 4096, REGION = 0x40000 };

#define PLAIN(first_frame, page_count)                               \
    {                                                                \
        {(first_frame)}, {(page_count)}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

static inline ps_status promise(struct pool_fixture *f, uint64_t frames)
{
    return ps_frame_pool_promise(&f->pool, ps_pages(frames));
}

static inline ps_status unpromise(struct pool_fixture *f, uint64_t frames)
{
    return ps_frame_pool_unpromise(&f->pool, ps_pages(frames));
}

static inline ps_status claim(struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    return ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_USER);
}

static inline ps_status single(struct pool_fixture *f, unsigned flags, uint64_t *frame)
{
    ps_frame_t got = {0};
    ps_status status = ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, flags, &got);

    *frame = got.number;
    return status;
}

/* One of the promised frames. */
static inline uint64_t promised(struct test *test, struct pool_fixture *f)
{
    ps_frame_t frame = {0};

    EXPECT_OK(ps_frame_pool_alloc_promised(&f->pool, PS_FRAME_TABLE, 0, &frame));
    return frame.number;
}

/* All but so many of the available frames are promised. */
static inline uint64_t promise_all_but(struct test *test, struct pool_fixture *f, uint64_t frames)
{
    uint64_t count = pool_now(f).available - frames;

    EXPECT_OK(promise(f, count));
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_4K), frames);
    return count;
}

static inline void expect_promised(struct test *test, struct pool_fixture *f, uint64_t frames,
                                   uint64_t available)
{
    struct ps_frame_pool_snapshot now = pool_now(f);

    EXPECT_EQ(now.promised, frames);
    EXPECT_EQ(now.available, available);
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_4K), available - frames);
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
}

#endif
