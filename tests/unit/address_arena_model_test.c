/*
 * Random calls, each compared with an array that knows for each page which allocation it is in.
 * Whether a request can be met is found by trying every place.
 */
#include "address_arena_fixture.h"

#include <string.h>

#include "unit_suites.h"

enum { SEEDS = 8, STEPS = 4000, PAGES_MAX = 3000, COMPARE_EVERY = 64 };

/* The arena, and what is asked of it. */
struct plan {
    uint64_t first;
    uint64_t pages;
    uint64_t guard;
    uint64_t longest;
    bool fails; /* frames are refused now and then */
};

static const struct plan plans[] = {
    {0, 120, 1, 12, false},
    {5000, 600, 0, 6, true},
    {((uint64_t)1 << 52) - 3000, 3000, 1, 3, true},
    {((uint64_t)1 << 51) - 7, 2500, 2, 700, false},
};

struct owner {
    uint64_t first; /* relative to the arena */
    uint64_t pages;
    uint64_t value;
    uint64_t before;
    uint64_t after;
    bool retired;
};

static struct model {
    const struct plan *plan;
    struct owner owners[PAGES_MAX + 1]; /* from 1 */
    uint16_t owner[PAGES_MAX];          /* 0: free */
    uint64_t values;
    bool force; /* was used: guards need not be kept any more */
} model;

static unsigned new_owner(const struct owner *owner)
{
    unsigned number = 1;

    while (model.owners[number].pages != 0)
        number++;
    model.owners[number] = *owner;
    for (uint64_t i = 0; i < owner->pages; i++)
        model.owner[owner->first + i] = (uint16_t)number;
    return number;
}

static void forget(unsigned number)
{
    struct owner *owner = &model.owners[number];

    for (uint64_t i = 0; i < owner->pages; i++)
        model.owner[owner->first + i] = 0;
    owner->pages = 0;
}

/* Free pages right before a place, up to what is asked of them. */
static bool room_before(uint64_t first, uint64_t guard)
{
    uint64_t at = first;

    while (at > 0 && model.owner[at - 1] == 0)
        at--;
    return first - at >=
           ps_max(guard, at > 0 ? model.owners[model.owner[at - 1]].after : model.plan->guard);
}

static bool room_behind(uint64_t end, uint64_t guard)
{
    uint64_t at = end;

    while (at < model.plan->pages && model.owner[at] == 0)
        at++;
    return at - end >= ps_max(guard, at < model.plan->pages ? model.owners[model.owner[at]].before
                                                            : model.plan->guard);
}

static bool is_free(uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        if (model.owner[first + i] != 0)
            return false;
    return true;
}

static uint64_t guard_of(uint32_t asked)
{
    return asked == PS_ARENA_NO_GUARD ? 0 : ps_max(asked, model.plan->guard);
}

static bool place_fits(const struct ps_arena_request *request, uint64_t first)
{
    uint64_t page = model.plan->first + first;

    return first + request->pages <= model.plan->pages &&
           ps_is_aligned(page, ps_max(request->align, 1)) && page >= request->low &&
           (request->high == 0 || page + request->pages - 1 <= request->high) &&
           is_free(first, request->pages) && room_before(first, guard_of(request->guard_before)) &&
           room_behind(first + request->pages, guard_of(request->guard_after));
}

static bool any_place_fits(const struct ps_arena_request *request)
{
    for (uint64_t first = 0; first + request->pages <= model.plan->pages; first++)
        if (place_fits(request, first))
            return true;
    return false;
}

/* ---- calls ---- */

static uint32_t pick_guard(struct test_random *random)
{
    uint64_t choice = test_random_below(random, 12);

    return choice == 0  ? PS_ARENA_NO_GUARD
           : choice < 3 ? (uint32_t)test_random_below(random, 6)
                        : 0;
}

static struct ps_arena_request pick_request(struct test_random *random)
{
    struct ps_arena_request request = {
        .pages = 1 + test_random_below(random, model.plan->longest),
        .value = ++model.values,
        .guard_before = pick_guard(random),
        .guard_after = pick_guard(random),
    };

    if (test_random_below(random, 4) == 0)
        request.align = (uint64_t)1 << test_random_below(random, 8);
    if (test_random_below(random, 8) == 0) {
        request.low = model.plan->first + test_random_below(random, model.plan->pages);
        request.high = request.low + test_random_below(random, model.plan->pages);
    }
    return request;
}

static void own(const struct ps_arena_request *request, uint64_t first)
{
    (void)new_owner(&(struct owner){.first = first,
                                    .pages = request->pages,
                                    .value = request->value,
                                    .before = guard_of(request->guard_before),
                                    .after = guard_of(request->guard_after)});
}

static void try_alloc(struct test *test, struct arena_fixture *f, struct test_random *random)
{
    struct ps_arena_request request = pick_request(random);
    uint64_t first = UINT64_MAX;
    ps_status status = ps_arena_alloc(&f->arena, &request, &first);

    if (status == PS_NO_MEMORY && model.plan->fails)
        return;
    if (status != PS_OK) {
        EXPECT_STATUS(status, PS_NO_SPACE);
        EXPECT(!any_place_fits(&request));
        return;
    }
    REQUIRE(first >= model.plan->first && first - model.plan->first < model.plan->pages);
    EXPECT(place_fits(&request, first - model.plan->first));
    own(&request, first - model.plan->first);
}

static void try_alloc_at(struct test *test, struct arena_fixture *f, struct test_random *random)
{
    struct ps_arena_request request = pick_request(random);
    uint64_t first = test_random_below(random, model.plan->pages);
    bool force = test_random_below(random, 8) == 0;
    ps_status expected = PS_OK;
    ps_status status;

    request.align = request.low = request.high = 0;
    status = ps_arena_alloc_at(&f->arena, &request, model.plan->first + first, force);
    if (status == PS_NO_MEMORY && model.plan->fails)
        return;
    if (request.pages > model.plan->pages - first)
        expected = PS_OUT_OF_RANGE;
    else if (!is_free(first, request.pages))
        expected = PS_ALREADY_EXISTS;
    else if (!force && !place_fits(&request, first))
        expected = PS_NO_SPACE;
    EXPECT_STATUS(status, expected);
    if (status == PS_OK)
        own(&request, first);
}

static void try_free(struct test *test, struct arena_fixture *f, struct test_random *random)
{
    uint64_t page = test_random_below(random, model.plan->pages);
    unsigned number = model.owner[page];
    struct owner *owner = &model.owners[number];
    uint64_t first = test_random_below(random, 8) == 0 || number == 0 ? page : owner->first;
    bool begins = number != 0 && owner->first == first;
    bool wrong = test_random_below(random, 8) == 0;
    uint64_t size = wrong ? owner->pages + 1 : 0;
    ps_status status;

    if (begins && owner->retired) {
        EXPECT_STATUS(ps_arena_free(&f->arena, model.plan->first + first, size), PS_NOT_FOUND);
        EXPECT_OK(ps_arena_release(&f->arena, model.plan->first + first));
        forget(number);
        return;
    }
    EXPECT_STATUS(ps_arena_release(&f->arena, model.plan->first + first), PS_NOT_FOUND);
    status = ps_arena_free(&f->arena, model.plan->first + first, size);
    EXPECT_STATUS(status, !begins ? PS_NOT_FOUND : wrong ? PS_WRONG_SIZE : PS_OK);
    if (status == PS_OK)
        forget(number);
}

/* The pages of one owner become those of a new one, or free. */
static void cut_out(unsigned number, uint64_t first, uint64_t pages, bool retire)
{
    struct owner whole = model.owners[number];
    struct owner lower = whole;
    struct owner part = whole;
    struct owner upper = whole;
    bool has_lower = first > whole.first;
    bool has_upper = first + pages < whole.first + whole.pages;

    lower.pages = first - whole.first;
    upper.first = first + pages;
    upper.pages = whole.first + whole.pages - upper.first;
    part.first = first;
    part.pages = pages;
    part.retired = true;
    forget(number);
    if (has_lower)
        (void)new_owner(&lower);
    if (has_upper)
        (void)new_owner(&upper);
    if (retire)
        (void)new_owner(&part);
}

static void try_part(struct test *test, struct arena_fixture *f, struct test_random *random)
{
    uint64_t page = test_random_below(random, model.plan->pages);
    unsigned number = model.owner[page];
    struct owner *owner = &model.owners[number];
    uint64_t first = test_random_below(random, 4) == 0 && number != 0 ? owner->first : page;
    uint64_t pages = 1 + test_random_below(random, model.plan->longest);
    bool retire = test_random_below(random, 2) == 0;
    ps_status expected = PS_OK;
    ps_status status;

    if (number != 0 && test_random_below(random, 4) != 0)
        pages = ps_min(pages, owner->first + owner->pages - first);
    status = (retire ? ps_arena_retire : ps_arena_free_part)(&f->arena, model.plan->first + first,
                                                             pages);
    if (number == 0 || owner->retired)
        expected = PS_NOT_FOUND;
    else if (pages > owner->first + owner->pages - first)
        expected = PS_WRONG_SIZE;
    EXPECT_STATUS(status, expected);
    if (status == PS_OK)
        cut_out(number, first, pages, retire);
}

static void try_resize(struct test *test, struct arena_fixture *f, struct test_random *random)
{
    uint64_t page = test_random_below(random, model.plan->pages);
    struct owner *owner = &model.owners[model.owner[page]];
    uint64_t pages = 1 + test_random_below(random, model.plan->longest);
    struct owner old = *owner;
    bool fits;
    ps_status status;

    if (model.owner[page] == 0 || owner->retired)
        return;
    status = ps_arena_resize(&f->arena, model.plan->first + owner->first, pages);
    fits = pages <= old.pages || (old.first + pages <= model.plan->pages &&
                                  is_free(old.first + old.pages, pages - old.pages) &&
                                  room_behind(old.first + pages, old.after));
    EXPECT_STATUS(status, fits ? PS_OK : PS_NO_SPACE);
    if (status != PS_OK)
        return;
    forget(model.owner[page]);
    old.pages = pages;
    (void)new_owner(&old);
}

/* ---- comparing ---- */

static enum ps_arena_kind kind_of(uint64_t page)
{
    if (model.owner[page] != 0)
        return model.owners[model.owner[page]].retired ? PS_ARENA_RETIRED : PS_ARENA_LIVE;
    return room_before(page, 0) && room_behind(page + 1, 0) ? PS_ARENA_FREE : PS_ARENA_GUARD;
}

static void compare(struct test *test, struct arena_fixture *f)
{
    uint64_t taken = 0;

    for (uint64_t page = 0; page < model.plan->pages && test->failures == 0; page++) {
        const struct owner *owner = &model.owners[model.owner[page]];
        struct ps_arena_extent extent = {0};
        enum ps_arena_kind kind = PS_ARENA_FREE;
        bool found = ps_arena_find(&f->arena, model.plan->first + page, &extent) == PS_OK;

        EXPECT(found == (model.owner[page] != 0));
        EXPECT(ps_arena_kind_of(&f->arena, model.plan->first + page, &kind));
        EXPECT_EQ(kind, kind_of(page));
        if (!found)
            continue;
        taken++;
        EXPECT_EQ(extent.first, model.plan->first + owner->first);
        EXPECT_EQ(extent.pages, owner->pages);
        EXPECT_EQ(extent.value, owner->value);
        EXPECT_EQ(extent.guard_before, owner->before);
        EXPECT_EQ(extent.guard_after, owner->after);
    }
    EXPECT_EQ(taken, f->arena.counters.live_pages + f->arena.counters.retired_pages);
}

static void note(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

static void step(struct test *test, struct arena_fixture *f, struct test_random *random,
                 bool growing)
{
    uint64_t choice = test_random_below(random, 20);

    if (choice < 9)
        (growing ? try_alloc : try_free)(test, f, random);
    else if (choice < 11)
        try_alloc(test, f, random);
    else if (choice < 12)
        try_alloc_at(test, f, random);
    else if (choice < 15)
        try_free(test, f, random);
    else if (choice < 17)
        try_part(test, f, random);
    else
        try_resize(test, f, random);
}

static void play(struct test *test, struct arena_fixture *f, uint64_t seed)
{
    struct test_random random = test_random(seed);
    struct ps_sink notes = {note, test};

    for (unsigned i = 0; i < STEPS && test->failures == 0; i++) {
        if (model.plan->fails)
            ps_frame_pool_fail_after(&f->pool, test_random_below(&random, 3), false);
        step(test, f, &random, i / 1000 % 2 == 0);
        if (i % 4 == 0 || test->failures != 0)
            EXPECT_OK(ps_arena_validate(&f->arena, &notes));
        if (i % COMPARE_EVERY == 0)
            compare(test, f);
        if (test->failures != 0)
            test_note(test, "seed %" PS_PRIu ", step %u", seed, i);
    }
    compare(test, f);
}

static uint64_t seed_now;

static void play_in(struct test *test, struct arena_fixture *f)
{
    play(test, f, seed_now);
}

static void play_plan(struct test *test, const struct plan *plan)
{
    for (seed_now = 1; seed_now <= SEEDS && test->failures == 0; seed_now++) {
        memset(&model, 0, sizeof(model));
        model.plan = plan;
        arena_with(
            test,
            &(struct arena_shape){
                .first = plan->first, .pages = plan->pages, .guard = plan->guard, .frames = 256},
            play_in);
    }
}

static void a_small_arena_agrees_with_an_array(struct test *test)
{
    play_plan(test, &plans[0]);
}

static void an_arena_without_guards_agrees_with_an_array(struct test *test)
{
    play_plan(test, &plans[1]);
}

static void the_last_pages_of_all_agree_with_an_array(struct test *test)
{
    play_plan(test, &plans[2]);
}

static void long_allocations_agree_with_an_array(struct test *test)
{
    play_plan(test, &plans[3]);
}

static const struct test_case cases[] = {
    TEST_CASE(a_small_arena_agrees_with_an_array),
    TEST_CASE(an_arena_without_guards_agrees_with_an_array),
    TEST_CASE(the_last_pages_of_all_agree_with_an_array),
    TEST_CASE(long_allocations_agree_with_an_array),
};

const struct test_suite suite_address_arena_model = TEST_SUITE("address_arena_model", cases);
