/* Cells: that they are apart, that frames come and go with them, and that a reserve holds. */
#include <cells_private.h>
#include <string.h>

#include "harness/test.h"
#include "machine/machine.h"
#include "unit_suites.h"

enum { FIRST_FRAME = 256, FRAMES = 64, BYTES = 72, A_FRAME = (4096 - 32) / BYTES, MANY = 1000 };

struct fixture {
    struct sim_machine *sim;
    struct ps_frame_pool pool;
    struct ps_cells cells;
};

static void with_cells(struct test *test, void (*body)(struct test *test, struct fixture *f))
{
    struct sim_range ram = SIM_RAM(FIRST_FRAME, FRAMES);
    struct fixture f;

    memset(&f, 0, sizeof(f));
    f.sim = sim_machine_create(&ram, 1, 0);
    if (!EXPECT(f.sim != NULL))
        return;
    if (EXPECT_OK(ps_frame_pool_init(&f.pool, &f.sim->machine, &f.sim->map)) &&
        EXPECT_OK(ps_cells_init(&f.cells, &f.sim->machine, &f.pool, PS_FRAME_HEAP, BYTES))) {
        body(test, &f);
        ps_frame_pool_fail_after(&f.pool, UINT64_MAX, false);
        EXPECT_OK(ps_cells_destroy(&f.cells));
        EXPECT_EQ(ps_frame_pool_in_use(&f.pool), 0);
    }
    sim_machine_destroy(f.sim);
}

#define CELLS_CASE(name)                                         \
    static void name##_in(struct test *test, struct fixture *f); \
    static void name(struct test *test)                          \
    {                                                            \
        with_cells(test, name##_in);                             \
    }                                                            \
    static void name##_in(struct test *test, struct fixture *f)

/* A cell filled with its own number. */
static uint64_t take(struct test *test, struct fixture *f)
{
    uint64_t cell = ps_cells_take(&f->cells);

    if (EXPECT(cell != 0))
        for (unsigned i = 0; i < BYTES / 8; i++)
            ((uint64_t *)ps_cells_at(&f->cells, cell))[i] = cell;
    return cell;
}

static bool is_whole(const struct fixture *f, uint64_t cell)
{
    for (unsigned i = 0; i < BYTES / 8; i++)
        if (((const uint64_t *)ps_cells_at(&f->cells, cell))[i] != cell)
            return false;
    return true;
}

CELLS_CASE(no_cells_take_no_frame)
{
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    EXPECT_STATUS(ps_cells_init(&f->cells, &f->sim->machine, &f->pool, PS_FRAME_HEAP, 8),
                  PS_BAD_STATE);
    EXPECT_OK(ps_cells_validate(&f->cells, NULL));
}

CELLS_CASE(sizes_that_do_not_fit_are_refused)
{
    static const uint32_t wrong[] = {0, 4, 12, 2040, 4096};
    struct ps_cells cells = {0};
    const struct ps_machine *machine = &f->sim->machine;
    struct ps_frame_pool none = {0};

    for (unsigned i = 0; i < PS_ARRAY_SIZE(wrong); i++)
        EXPECT_STATUS(ps_cells_init(&cells, machine, &f->pool, PS_FRAME_HEAP, wrong[i]),
                      PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_init(&cells, machine, &f->pool, PS_FRAME_FREE, 8), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_init(&cells, machine, &none, PS_FRAME_HEAP, 8), PS_BAD_STATE);
    EXPECT_STATUS(ps_cells_init(NULL, machine, &f->pool, PS_FRAME_HEAP, 8), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_destroy(&cells), PS_BAD_STATE);
    EXPECT_STATUS(ps_cells_validate(&cells, NULL), PS_BAD_STATE);
    EXPECT_OK(ps_cells_init(&cells, machine, &f->pool, PS_FRAME_HEAP, 2032));
    EXPECT_OK(ps_cells_destroy(&cells));
}

CELLS_CASE(a_frame_is_used_to_its_end_before_the_next)
{
    uint64_t cells[A_FRAME + 1];

    for (unsigned i = 0; i <= A_FRAME; i++) {
        cells[i] = take(test, f);
        EXPECT_EQ(f->cells.frames, i < A_FRAME ? 1 : 2);
        EXPECT_OK(ps_cells_validate(&f->cells, NULL));
    }
    for (unsigned i = 0; i <= A_FRAME; i++)
        EXPECT(is_whole(f, cells[i]));
    EXPECT_STATUS(ps_cells_destroy(&f->cells), PS_BAD_STATE);
    for (unsigned i = 0; i <= A_FRAME; i++)
        ps_cells_put(&f->cells, cells[i]);
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
}

CELLS_CASE(a_reserve_holds_without_memory_and_is_given_back)
{
    enum { COUNT = 3 * A_FRAME - 1 };
    uint64_t first = take(test, f);
    uint64_t cells[COUNT];

    EXPECT_OK(ps_cells_reserve(&f->cells, COUNT));
    EXPECT_EQ(f->cells.frames, 3);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    for (unsigned i = 0; i < COUNT; i++)
        cells[i] = take(test, f);
    EXPECT_EQ(ps_cells_take(&f->cells), 0);
    EXPECT_OK(ps_cells_validate(&f->cells, NULL));
    for (unsigned i = 0; i < COUNT; i++)
        ps_cells_put(&f->cells, cells[i]);
    EXPECT_EQ(f->cells.frames, 1);
    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    EXPECT_OK(ps_cells_reserve(&f->cells, MANY));
    ps_cells_trim(&f->cells);
    EXPECT_EQ(f->cells.frames, 1);
    EXPECT(is_whole(f, first));
    ps_cells_put(&f->cells, first);
}

CELLS_CASE(a_reserve_holds_whatever_is_put_meanwhile)
{
    uint64_t first = take(test, f);
    uint64_t cells[A_FRAME];

    EXPECT_OK(ps_cells_reserve(&f->cells, A_FRAME - 1));
    EXPECT_EQ(f->cells.frames, 1);
    ps_frame_pool_fail_after(&f->pool, 0, true);
    ps_cells_put(&f->cells, first);
    EXPECT_EQ(f->cells.frames, 1);
    EXPECT_OK(ps_cells_validate(&f->cells, NULL));
    for (unsigned i = 0; i < A_FRAME - 1; i++)
        cells[i] = take(test, f);
    EXPECT_EQ(f->cells.reserved, 0);
    for (unsigned i = 0; i < A_FRAME - 1; i++)
        ps_cells_put(&f->cells, cells[i]);
    EXPECT_EQ(f->cells.frames, 0);
}

CELLS_CASE(a_reserve_is_made_smaller)
{
    EXPECT_OK(ps_cells_reserve(&f->cells, 3 * A_FRAME));
    EXPECT_OK(ps_cells_reserve(&f->cells, 2));
    EXPECT_EQ(f->cells.reserved, 3 * A_FRAME);
    ps_cells_unreserve(&f->cells, 4 * A_FRAME);
    EXPECT_EQ(f->cells.frames, 3);
    ps_cells_unreserve(&f->cells, A_FRAME + 1);
    EXPECT_EQ(f->cells.frames, 2);
    ps_cells_unreserve(&f->cells, A_FRAME);
    EXPECT_EQ(f->cells.frames, 1);
    ps_cells_trim(&f->cells);
    EXPECT_EQ(f->cells.frames, 0);
}

CELLS_CASE(a_reserve_that_fails_takes_nothing)
{
    uint64_t first = take(test, f);

    for (unsigned successes = 0; successes < 4; successes++) {
        ps_frame_pool_fail_after(&f->pool, successes, true);
        EXPECT_STATUS(ps_cells_reserve(&f->cells, 5 * A_FRAME), PS_NO_MEMORY);
        EXPECT_EQ(f->cells.frames, 1);
        EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 1);
        EXPECT_OK(ps_cells_validate(&f->cells, NULL));
    }
    ps_cells_put(&f->cells, first);
}

CELLS_CASE(any_order_of_calls_keeps_cells_apart)
{
    uint64_t cells[MANY] = {0};
    uint64_t random = 1;
    uint64_t used = 0;

    for (unsigned step = 0; step < 20 * MANY; step++) {
        uint64_t *cell;

        random ^= random << 13 & UINT64_MAX;
        random ^= random >> 7;
        random ^= random << 17 & UINT64_MAX;
        cell = &cells[random % MANY];
        if (*cell != 0) {
            EXPECT(is_whole(f, *cell));
            ps_cells_put(&f->cells, *cell);
            *cell = 0;
            used--;
        } else {
            *cell = take(test, f);
            used++;
        }
        EXPECT_EQ(f->cells.used, used);
        if (step % 100 == 0 && !EXPECT_OK(ps_cells_validate(&f->cells, NULL)))
            break;
    }
    for (unsigned i = 0; i < MANY; i++)
        if (cells[i] != 0)
            ps_cells_put(&f->cells, cells[i]);
    EXPECT_EQ(f->cells.frames, 0);
}

CELLS_CASE(validate_finds_what_is_wrong)
{
    uint64_t cells[3] = {take(test, f), take(test, f), take(test, f)};
    struct ps_cell_frame *head = ps_cells_at(&f->cells, f->cells.first);
    struct ps_cell_frame good;
    struct ps_cells right = f->cells;

    ps_cells_put(&f->cells, cells[1]);
    good = *head;
    head->used = 3;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    *head = good;
    head->vacant += 8;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    *head = good;
    head->vacant = 0;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    *head = good;
    head->previous = 4096;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    *head = good;
    EXPECT_OK(ps_cells_validate(&f->cells, NULL));
    f->cells.spare++;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    f->cells.spare--;
    f->cells.frames++;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    f->cells.frames--;
    f->cells.first += 8;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    f->cells.first = right.first;
    ps_cells_put(&f->cells, cells[0]);
    ps_cells_put(&f->cells, cells[2]);
}

/* One number of the books, or of a frame, is wrong. */
static void expect_wrong(struct test *test, struct fixture *f, uint64_t *place, uint64_t value)
{
    uint64_t right = *place;

    *place = value;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    *place = right;
    EXPECT_OK(ps_cells_validate(&f->cells, NULL));
}

CELLS_CASE(validate_finds_free_cells_that_are_none)
{
    uint64_t cells[3] = {take(test, f), take(test, f), take(test, f)};
    struct ps_cell_frame *head = ps_cells_at(&f->cells, f->cells.first);
    struct ps_cell_frame *full;
    uint32_t fresh = head->fresh;
    uint64_t lost;
    ps_frame_t user;

    ps_cells_put(&f->cells, cells[1]);
    expect_wrong(test, f, &head->vacant, 8);
    expect_wrong(test, f, &head->vacant, f->cells.first + 8); /* in the head */
    expect_wrong(test, f, &head->vacant, head->vacant + 4096);
    expect_wrong(test, f, ps_cells_at(&f->cells, cells[1]), cells[1]); /* without end */
    head->fresh = A_FRAME + 1;
    head->used = A_FRAME;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT);
    head->fresh = fresh;
    head->used = 2;
    expect_wrong(test, f, &head->next, f->cells.first); /* without end */
    expect_wrong(test, f, &f->cells.spare, 0);
    expect_wrong(test, f, &f->cells.last, 0);
    REQUIRE_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, 0, &user));
    expect_wrong(test, f, &f->cells.first, user.number * 4096); /* not with our tag */
    expect_wrong(test, f, &f->cells.first, (uint64_t)1 << 60);  /* of nobody */
    EXPECT_OK(ps_frame_pool_free(&f->pool, user, ps_pages(1)));

    full = head;
    lost = f->cells.first;
    cells[1] = take(test, f);
    for (unsigned i = 3; i < A_FRAME; i++)
        (void)take(test, f);
    EXPECT_EQ(f->cells.first, 0);
    full->next = full->previous = 0;
    f->cells.first = f->cells.last = lost;
    EXPECT_STATUS(ps_cells_validate(&f->cells, NULL), PS_CORRUPT); /* full, and in the list */
    f->cells.first = f->cells.last = 0;
    EXPECT_OK(ps_cells_validate(&f->cells, NULL));
    for (unsigned i = 0; i < A_FRAME; i++)
        ps_cells_put(&f->cells, lost + PS_CELL_HEAD + i * BYTES);
}

CELLS_CASE(null_is_invalid_args)
{
    struct ps_cells cells = {0};
    const struct ps_machine *machine = &f->sim->machine;
    struct ps_machine other = *machine;

    EXPECT_STATUS(ps_cells_init(NULL, machine, &f->pool, PS_FRAME_HEAP, BYTES), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_init(&cells, NULL, &f->pool, PS_FRAME_HEAP, BYTES), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_init(&cells, machine, NULL, PS_FRAME_HEAP, BYTES), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_init(&cells, &other, &f->pool, PS_FRAME_HEAP, BYTES), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_init(&cells, machine, &f->pool, PS_FRAME_DAMAGED, BYTES),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_init(&cells, machine, &f->pool, PS_FRAME_TAG_COUNT, BYTES),
                  PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_destroy(NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_destroy(&cells), PS_BAD_STATE);
    EXPECT_STATUS(ps_cells_validate(NULL, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_cells_validate(&cells, NULL), PS_BAD_STATE);
}

static const struct test_case cases[] = {
    TEST_CASE(no_cells_take_no_frame),
    TEST_CASE(sizes_that_do_not_fit_are_refused),
    TEST_CASE(a_frame_is_used_to_its_end_before_the_next),
    TEST_CASE(a_reserve_holds_without_memory_and_is_given_back),
    TEST_CASE(a_reserve_holds_whatever_is_put_meanwhile),
    TEST_CASE(a_reserve_is_made_smaller),
    TEST_CASE(a_reserve_that_fails_takes_nothing),
    TEST_CASE(any_order_of_calls_keeps_cells_apart),
    TEST_CASE(validate_finds_what_is_wrong),
    TEST_CASE(validate_finds_free_cells_that_are_none),
    TEST_CASE(null_is_invalid_args),
};

const struct test_suite suite_cells = TEST_SUITE("cells", cases);
