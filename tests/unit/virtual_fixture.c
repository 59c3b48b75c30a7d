#include "virtual_fixture.h"

#include "allocated.h"

#include <hw.h>
#include <stdlib.h>
#include <string.h>

/* ---- a machine with an arena ---- */

static bool open_machine(struct test *test, struct virtual_fixture *f,
                         const struct virtual_plan *plan)
{
    uint64_t frames = plan->frames != 0 ? plan->frames : VIRTUAL_FRAMES;
    struct sim_range ram[2] = {
        SIM_RAM(VIRTUAL_FIRST_FRAME, frames),
        {ps_frame(VIRTUAL_1G), ps_pages(plan->gibs * VIRTUAL_1G), PS_MEMORY_USABLE, SIM_PLAIN},
    };

    memset(f, 0, sizeof(*f));
    f->frames = frames;
    f->big = plan->gibs != 0;
    f->sim = sim_machine_create(ram, f->big ? 2 : 1, plan->machine);
    if (!EXPECT(f->sim != NULL))
        return false;
    if (!EXPECT_OK(ps_frame_pool_init(&f->pool, &f->sim->machine, &f->sim->map)) ||
        !EXPECT_OK(ps_page_table_create(&f->table, &f->sim->machine, &f->pool))) {
        sim_machine_destroy(f->sim);
        return false;
    }
    f->in_use = ps_frame_pool_in_use(&f->pool);
    return true;
}

static void free_all(struct test *test, struct virtual_fixture *f)
{
    struct ps_virtual_info info;

    while (ps_virtual_live(&f->arena, ps_virt(0), &info, 1) != 0)
        if (!EXPECT_OK(ps_virtual_free_part(&f->arena, info.first, info.pages)))
            return;
}

static void note(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

static void close_machine(struct test *test, struct virtual_fixture *f)
{
    struct ps_sink notes = {note, test};

    ps_frame_pool_fail_after(&f->pool, UINT64_MAX, false);
    if (f->arena.table != NULL) {
        EXPECT_OK(ps_virtual_validate(&f->arena, &notes));
        free_all(test, f);
        EXPECT_OK(ps_virtual_destroy(&f->arena, NULL));
    }
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), f->in_use);
    EXPECT_OK(ps_page_table_destroy(&f->table));
    EXPECT_EQ(ps_frame_pool_in_use(&f->pool), 0);
    sim_machine_destroy(f->sim);
}

static ps_status open_arena(struct virtual_fixture *f, const struct virtual_plan *plan)
{
    uint64_t base = plan->base != 0 || plan->base_is_zero ? plan->base : VIRTUAL_BASE;

    struct ps_virtual_config config = {
        .base = ps_virt(base),
        .pages = ps_pages(plan->pages != 0 ? plan->pages : 256),
        .guard = ps_pages(plan->guard),
        .alignment = ps_pages(plan->alignment),
        .tag = PS_FRAME_VIRTUAL,
        .flags = plan->flags,
        .quarantine = plan->quarantine,
    };

    return ps_virtual_init(&f->arena, &f->table, &f->pool, &config);
}

void virtual_with(struct test *test, const struct virtual_plan *plan,
                  void (*body)(struct test *test, struct virtual_fixture *f))
{
    struct virtual_fixture f;

    if (!open_machine(test, &f, plan))
        return;
    if (plan->not_initialised || EXPECT_OK(open_arena(&f, plan))) {
        if ((plan->flags & PS_VIRTUAL_ANCHOR) != 0)
            f.in_use = ps_frame_pool_in_use(&f.pool); /* anchored tables stay */
        body(test, &f);
    }
    close_machine(test, &f);
}

/* ---- short forms ---- */

ps_virt_t virtual_page(const struct virtual_fixture *f, uint64_t page)
{
    return ps_virt_add_pages(f->arena.config.base, ps_pages(page));
}

uint64_t virtual_take_as(struct test *test, struct virtual_fixture *f,
                         const struct ps_virtual_request *request)
{
    ps_virt_t va = f->arena.config.base;

    EXPECT_OK(ps_virtual_alloc(&f->arena, request, &va));
    return (va.addr - f->arena.config.base.addr) >> PS_PAGE_SHIFT;
}

uint64_t virtual_take(struct test *test, struct virtual_fixture *f, uint64_t pages)
{
    return virtual_take_as(test, f, &(struct ps_virtual_request){.pages = ps_pages(pages)});
}

void virtual_free(struct test *test, struct virtual_fixture *f, uint64_t page)
{
    EXPECT_OK(ps_virtual_free(&f->arena, virtual_page(f, page)));
}

void virtual_free_part(struct test *test, struct virtual_fixture *f, uint64_t page, uint64_t pages)
{
    EXPECT_OK(ps_virtual_free_part(&f->arena, virtual_page(f, page), ps_pages(pages)));
}

ps_status virtual_try(struct virtual_fixture *f, uint64_t pages)
{
    struct ps_virtual_request request = {.pages = ps_pages(pages)};
    ps_virt_t va;
    ps_status status = ps_virtual_alloc(&f->arena, &request, &va);

    return status == PS_OK ? ps_virtual_free(&f->arena, va) : status;
}

bool virtual_is_mapped(struct virtual_fixture *f, uint64_t page)
{
    struct ps_translation translation;

    return ps_page_table_query(&f->table, virtual_page(f, page), &translation) == PS_OK;
}

unsigned virtual_leaf(struct virtual_fixture *f, uint64_t page)
{
    struct ps_translation translation;
    ps_virt_t va = virtual_page(f, page);

    return ps_page_table_query(&f->table, va, &translation) == PS_OK ? translation.leaf : 0;
}

void virtual_expect_unmapped(struct test *test, struct virtual_fixture *f, uint64_t page,
                             uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        EXPECT(!virtual_is_mapped(f, page + i));
}

void virtual_expect_mapped(struct test *test, struct virtual_fixture *f, uint64_t page,
                           uint64_t pages)
{
    EXPECT(page == 0 || !virtual_is_mapped(f, page - 1));
    for (uint64_t i = 0; i < pages; i++)
        EXPECT(virtual_is_mapped(f, page + i));
    EXPECT(page + pages == f->arena.config.pages.count || !virtual_is_mapped(f, page + pages));
}

uint64_t *virtual_word(struct virtual_fixture *f, uint64_t page)
{
    struct ps_translation translation;
    static uint64_t nowhere[PS_PAGE_SIZE / 8];

    /* A page that should be mapped and is not: the caller's comparison will fail. */
    if (ps_page_table_query(&f->table, virtual_page(f, page), &translation) != PS_OK)
        return nowhere;
    return ps_hw_frame(&f->sim->machine, translation.frame);
}

void virtual_stamp(struct virtual_fixture *f, uint64_t page, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++)
        *virtual_word(f, page + i) = virtual_page(f, page + i).addr;
}

void virtual_expect_stamped_as(struct test *test, struct virtual_fixture *f, uint64_t page,
                               uint64_t pages, uint64_t was)
{
    for (uint64_t i = 0; i < pages; i++)
        EXPECT_EQ(*virtual_word(f, page + i), virtual_page(f, was + i).addr);
}

void virtual_expect_stamped(struct test *test, struct virtual_fixture *f, uint64_t page,
                            uint64_t pages)
{
    virtual_expect_stamped_as(test, f, page, pages, page);
}

struct virtual_hoard virtual_hoard(struct test *test, struct virtual_fixture *f, uint64_t left)
{
    uint64_t all = ps_frame_pool_whole(&f->pool, PS_FRAME_4K);
    struct virtual_hoard hoard = {.frames = calloc(all + 1, sizeof(ps_frame_t))};

    if (!EXPECT(hoard.frames != NULL))
        return hoard;
    while (hoard.count < all && ps_frame_pool_whole(&f->pool, PS_FRAME_4K) > left &&
           ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_ZERO,
                               &hoard.frames[hoard.count]) == PS_OK)
        hoard.count++;
    EXPECT_EQ(ps_frame_pool_whole(&f->pool, PS_FRAME_4K), left);
    return hoard;
}

void virtual_give_back(struct test *test, struct virtual_fixture *f, struct virtual_hoard *hoard)
{
    for (; hoard->count > 0; hoard->count--)
        EXPECT_OK(ps_frame_pool_free(&f->pool, hoard->frames[hoard->count - 1], ps_pages(1)));
    free(hoard->frames);
    hoard->frames = NULL;
}

/* ---- the whole state ---- */

/* Mixes well and never wraps: each half is multiplied in 64 bits. */
static uint64_t mix(uint64_t sum, uint64_t value)
{
    uint64_t x = sum ^ value ^ (sum << 13 | sum >> 51);

    return ((x & UINT32_MAX) * 0x9e3779b1u) ^ ((x >> 32) * 0x85ebca77u) ^ (x << 29 | x >> 35);
}

static uint64_t live_number(struct virtual_fixture *f)
{
    struct ps_virtual_info infos[VIRTUAL_LIVE_MAX];
    uint64_t count = ps_virtual_live(&f->arena, ps_virt(0), infos, VIRTUAL_LIVE_MAX);
    uint64_t sum = count;

    for (uint64_t i = 0; i < ps_min(count, VIRTUAL_LIVE_MAX); i++) {
        sum = mix(sum, infos[i].va.addr);
        sum = mix(sum, infos[i].pages.count);
        sum = mix(sum, infos[i].sequence);
        sum = mix(sum, infos[i].first.addr);
        sum = mix(sum, infos[i].bytes);
        for (unsigned id = 0; id < PS_OWNER_IDS; id++)
            sum = mix(sum, infos[i].who.owner[id]);
        sum = mix(sum, (uint64_t)(uintptr_t)infos[i].who.file);
        sum = mix(sum, infos[i].who.line);
    }
    return sum;
}

struct virtual_state virtual_state(struct virtual_fixture *f)
{
    struct virtual_state state;

    memset(&state, 0, sizeof(state));
    ps_frame_pool_snapshot(&f->pool, &state.pool);
    state.tables = ps_page_table_counters(&f->table);
    state.tables.rounds = 0;
    ps_virtual_snapshot(&f->arena, &state.arena);
    state.arena.counters.failed = 0;
    state.arena.counters.rejected = 0;
    memset(&state.arena.failure, 0, sizeof(state.arena.failure));
    memset(&state.arena.misuse, 0, sizeof(state.arena.misuse));
    state.sequence = f->arena.sequence;
    state.live = live_number(f);
    if (!f->big)
        state.contents = allocated_number_without(
            &f->pool, &f->sim->machine, ps_frame(VIRTUAL_FIRST_FRAME), f->frames, PS_FRAME_HEAP);
    return state;
}

void virtual_expect_same_state(struct test *test, struct virtual_fixture *f,
                               const struct virtual_state *before)
{
    struct virtual_state now = virtual_state(f);

    EXPECT(memcmp(&now.pool, &before->pool, sizeof(now.pool)) == 0);
    EXPECT(memcmp(&now.tables, &before->tables, sizeof(now.tables)) == 0);
    EXPECT(memcmp(&now.arena, &before->arena, sizeof(now.arena)) == 0);
    EXPECT_EQ(now.sequence, before->sequence);
    EXPECT_EQ(now.live, before->live);
    EXPECT_EQ(now.contents, before->contents);
}

void virtual_expect_same(struct test *test, struct virtual_fixture *f,
                         const struct virtual_state *before)
{
    virtual_expect_same_state(test, f, before);
    EXPECT_OK(ps_virtual_validate(&f->arena, NULL));
}

/* ---- refusals ---- */

struct virtual_before virtual_before(struct virtual_fixture *f)
{
    return (struct virtual_before){virtual_state(f), f->arena.counters, f->arena.failure,
                                   f->arena.misuse};
}

static void expect_counted(struct test *test, struct virtual_fixture *f,
                           const struct virtual_before *before, uint64_t failed, uint64_t rejected)
{
    virtual_expect_same(test, f, &before->state);
    EXPECT_EQ(f->arena.counters.failed, before->counters.failed + failed);
    EXPECT_EQ(f->arena.counters.rejected, before->counters.rejected + rejected);
}

static void expect_same_failure(struct test *test, struct virtual_fixture *f,
                                const struct ps_virtual_failure *expected)
{
    const struct ps_virtual_failure *now = &f->arena.failure;

    EXPECT_STATUS(now->status, expected->status);
    EXPECT_EQ(now->bytes, expected->bytes);
    EXPECT_EQ(now->allocs, expected->allocs);
    for (unsigned id = 0; id < PS_OWNER_IDS; id++)
        EXPECT_EQ(now->who.owner[id], expected->who.owner[id]);
    EXPECT(now->who.file == expected->who.file);
    EXPECT_EQ(now->who.line, expected->who.line);
}

static void expect_same_misuse(struct test *test, struct virtual_fixture *f,
                               const struct ps_virtual_misuse *expected)
{
    const struct ps_virtual_misuse *now = &f->arena.misuse;

    EXPECT_STATUS(now->status, expected->status);
    EXPECT_EQ(now->what, expected->what);
    EXPECT_EQ(now->va.addr, expected->va.addr);
    EXPECT_EQ(now->sequence, expected->sequence);
    for (unsigned what = 0; what < PS_MISUSE_COUNT; what++)
        EXPECT_EQ(now->counts[what], expected->counts[what]);
}

void virtual_expect_rejected(struct test *test, struct virtual_fixture *f,
                             const struct virtual_before *before)
{
    expect_counted(test, f, before, 0, 1);
    expect_same_failure(test, f, &before->failure);
    expect_same_misuse(test, f, &before->misuse);
}

void virtual_expect_misuse(struct test *test, struct virtual_fixture *f,
                           const struct virtual_before *before,
                           const struct ps_virtual_misuse *noted)
{
    struct ps_virtual_misuse expected = *noted;

    memcpy(expected.counts, before->misuse.counts, sizeof(expected.counts));
    expected.counts[noted->what]++;
    expect_counted(test, f, before, 0, 1);
    expect_same_failure(test, f, &before->failure);
    expect_same_misuse(test, f, &expected);
}

void virtual_expect_failed(struct test *test, struct virtual_fixture *f,
                           const struct virtual_before *before,
                           const struct ps_virtual_failure *noted)
{
    struct ps_virtual_failure expected = *noted;

    expected.allocs = before->counters.allocs;
    expect_counted(test, f, before, 1, 0);
    expect_same_failure(test, f, &expected);
    expect_same_misuse(test, f, &before->misuse);
}
