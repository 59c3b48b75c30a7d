#include "page_table_watch.h"

unsigned watch_rights(ps_attr_t attr)
{
    return RIGHT_READ | ((attr.access & PS_WRITE) != 0 ? RIGHT_WRITE : 0u) |
           ((attr.access & PS_EXECUTE) != 0 ? RIGHT_FETCH : 0u);
}

struct watched *watch_add(struct watch *watch, uint64_t page, uint64_t pages, uint64_t step,
                          uint64_t frame, ps_attr_t attr)
{
    struct watched *first = &watch->pages[watch->count];

    for (uint64_t n = 0; n < pages && watch->count < WATCHED_MOST; n += step)
        watch->pages[watch->count++] = (struct watched){
            .page = page + n,
            .frame_before = frame + n,
            .frame_after = frame + n,
            .before = watch_rights(attr),
            .after = watch_rights(attr),
        };
    return first;
}

struct watched *watch_find(struct watch *watch, uint64_t page)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->pages[i].page == page)
            return &watch->pages[i];
    return watch_add(watch, page, 1, 1, NOTHING, RO);
}

void watch_goes(struct watch *watch, uint64_t page, uint64_t pages)
{
    for (size_t i = 0; i < watch->count; i++) {
        struct watched *one = &watch->pages[i];

        if (one->page >= page && one->page - page < pages) {
            one->frame_after = NOTHING;
            one->after = 0;
        }
    }
}

void watch_changes(struct watch *watch, uint64_t page, uint64_t pages, ps_attr_t attr)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->pages[i].page >= page && watch->pages[i].page - page < pages)
            watch->pages[i].after = watch_rights(attr);
}

/* ---- looking ---- */

static void complain(struct watch *watch, const struct watched *page, const char *what)
{
    struct test *test = watch->test;

    (void)test_check(test, false, what, __FILE__, __LINE__);
    test_note(test, "page %" PS_PRIu ", look %" PS_PRIu ", cold %u, writes %u", page->page,
              watch->looks, watch->cold, watch->writes);
}

/* What the other processor may do with the page, of what is asked; and the frame that it meets. */
static unsigned granted(struct watch *watch, const struct watched *page, unsigned asked,
                        uint64_t *frame)
{
    static const unsigned access[] = {MMU_READ, MMU_WRITE, MMU_FETCH};
    unsigned rights = 0;

    *frame = NOTHING;
    for (unsigned i = 0; i < 3; i++) {
        struct mmu_answer answer;

        if ((asked & 1u << i) == 0)
            continue;
        answer = mmu_translate(watch->f->mmu, 1, at(TABLE_LOW, page->page), access[i]);
        if (answer.faulted)
            continue;
        rights |= 1u << i;
        if (*frame != NOTHING && *frame != answer.pa.addr >> PS_PAGE_SHIFT)
            complain(watch, page, "two frames at once");
        *frame = answer.pa.addr >> PS_PAGE_SHIFT;
    }
    return rights;
}

/*
 * Warm, only what never faults is asked, because a fault would make it cold. Who is not to write
 * does not, so that entries stay clean; that he may not where nobody may, he can try.
 */
static unsigned what_to_ask(const struct watch *watch, const struct watched *page)
{
    unsigned asked = watch->cold ? RIGHTS : page->before & page->after;

    if (!watch->writes && ((page->before | page->after) & RIGHT_WRITE) != 0)
        asked &= ~(unsigned)RIGHT_WRITE;
    return asked | RIGHT_READ;
}

static bool is_as_before(const struct watched *page, unsigned rights, unsigned asked,
                         uint64_t frame)
{
    return frame == page->frame_before && rights == (page->before & asked);
}

static bool is_as_after(const struct watched *page, unsigned rights, unsigned asked, uint64_t frame)
{
    return frame == page->frame_after && rights == (page->after & asked);
}

static void look_at(struct watch *watch, struct watched *page)
{
    unsigned asked = what_to_ask(watch, page);
    uint64_t frame;
    unsigned rights = granted(watch, page, asked, &frame);
    bool constant = page->frame_before == page->frame_after && page->before == page->after;

    if (rights == 0 && page->broken) {
        page->moved = true;
    } else if (is_as_before(page, rights, asked, frame)) {
        /* Warm, one page may be met by old and new translations in turn. */
        if (page->moved && watch->cold && !is_as_after(page, rights, asked, frame))
            complain(watch, page, "it came back");
    } else if (is_as_after(page, rights, asked, frame)) {
        page->moved = true;
    } else {
        complain(watch, page, constant ? "it was disturbed" : "neither as before nor as after");
    }
}

static void forget_all(struct table_fixture *f)
{
    mmu_invalidate(f->mmu, 1, &(struct ps_invalidation){.global = true});
}

/* Neither tables nor promised frames may go back to the pool before the round. */
static void expect_nothing_freed(struct watch *watch)
{
    struct test *test = watch->test;
    struct ps_frame_pool_snapshot now;

    if (watch->f->sim->invalidations != watch->rounds)
        return;
    ps_frame_pool_snapshot(&watch->f->pool, &now);
    EXPECT(now.free <= watch->free);
    watch->free = now.free;
}

static void look(void *context, bool stored)
{
    struct watch *watch = context;

    if (!stored || watch->test->failures != 0)
        return;
    watch->looks++;
    if (watch->cold)
        forget_all(watch->f);
    for (size_t i = 0; i < watch->count; i++)
        look_at(watch, &watch->pages[i]);
    expect_nothing_freed(watch);
}

/* A frame is given away: nobody may reach it any more, whatever he keeps. */
static void check_released(void *context, ps_frame_t first, ps_pages_t pages)
{
    struct watch *watch = context;

    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *page = &watch->pages[i];
        uint64_t frame;

        if (page->frame_before < first.number || page->frame_before - first.number >= pages.count ||
            page->frame_before == page->frame_after)
            continue;
        if (granted(watch, page, RIGHT_READ, &frame) != 0 && frame == page->frame_before)
            complain(watch, page, "a released frame is in use");
    }
}

/* When the call is over, all is as after, for whoever kept whatever. */
static void expect_after(struct watch *watch)
{
    for (size_t i = 0; i < watch->count && watch->test->failures == 0; i++) {
        const struct watched *page = &watch->pages[i];
        uint64_t frame;
        unsigned rights = granted(watch, page, RIGHTS, &frame);

        if (!is_as_after(page, rights, RIGHTS, frame))
            complain(watch, page, "not as after when the call is over");
    }
}

/* ---- scenes ---- */

/* The other processor meets all pages, and keeps what it found. */
static void warm_up(struct watch *watch, bool unused)
{
    for (size_t i = 0; i < watch->count; i++) {
        const struct watched *page = &watch->pages[i];
        bool writes = watch->writes && (page->before & RIGHT_WRITE) != 0;

        if (page->frame_before != NOTHING)
            (void)mmu_translate(watch->f->mmu, 1, at(TABLE_LOW, page->page),
                                writes ? MMU_WRITE : MMU_READ);
    }
    for (size_t i = 0; unused && i < watch->count; i++)
        if (watch->pages[i].frame_after == NOTHING)
            *table_entry(watch->f, at(TABLE_LOW, watch->pages[i].page), 1) &= ~(uint64_t)0x60;
}

static void play(struct test *test, struct table_fixture *f, const struct scene *scene, bool cold,
                 bool writes)
{
    static struct watch watch;
    const struct ps_frame_release release = {check_released, &watch};
    struct ps_frame_pool_snapshot now;

    watch = (struct watch){.test = test, .f = f, .cold = cold, .writes = writes};
    scene->prepare(test, f, &watch);
    EXPECT(watch.count < WATCHED_MOST);
    if (!cold)
        warm_up(&watch, scene->unused);
    ps_frame_pool_snapshot(&f->pool, &now);
    watch.free = now.free;
    watch.rounds = f->sim->invalidations;
    sim_between = (struct sim_between){look, &watch};
    scene->act(test, f, &release);
    sim_between = (struct sim_between){NULL, NULL};
    EXPECT(watch.looks >= scene->least);
    expect_after(&watch);
    EXPECT_OK(ps_page_table_validate(&f->table, NULL));
    EXPECT_OK(ps_page_table_set_promotes(&f->table, false));
    table_unmap(test, f, at(TABLE_LOW, 0), 4 * TABLE_HUGE);
    forget_all(f);
}

/* Several processors walk: the library has to know. */
void watch_scene(struct test *test, struct table_fixture *f, const struct scene *scene)
{
    f->sim->machine.processors = MMU_PROCESSORS;
    for (unsigned mode = 0; mode < 4 && test->failures == 0; mode++)
        play(test, f, scene, (mode & 1) == 0, (mode & 2) != 0);
    f->sim->machine.processors = 0;
}
