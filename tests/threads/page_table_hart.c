#include "page_table_crew.h"

#include "hw.h"

/* Bits of an entry, from the processor's manual: on purpose not those of the library. */
#define P       0x1ull
#define RW      0x2ull
#define A       0x20ull
#define D       0x40ull
#define PS      0x80ull
#define XD      0x8000000000000000ull
#define ADDRESS 0x000ffffffffff000ull

/* ---- what it keeps ---- */

static void forget_address(struct hart *hart, uint64_t va)
{
    for (unsigned i = 0; i < KEPT_PAGES; i++)
        if (va >> hart->pages[i].bits == hart->pages[i].number)
            hart->pages[i].bits = 0;
    for (unsigned i = 0; i < KEPT_STEPS; i++)
        hart->steps[i].bits = 0;
}

static void invalidate(struct hart *hart, const struct ps_invalidation *what)
{
    for (uint32_t i = 0; i < what->count; i++)
        for (uint64_t n = 0; n < what->ranges[i].count; n++)
            forget_address(hart, what->ranges[i].first.addr +
                                     n * what->ranges[i].step_pages * PS_PAGE_SIZE);
    if (what->count != 0)
        return;
    for (unsigned i = 0; i < KEPT_PAGES; i++)
        hart->pages[i].bits = 0;
    for (unsigned i = 0; i < KEPT_STEPS; i++)
        hart->steps[i].bits = 0;
}

/* ---- rounds ---- */

void shoot_down(void *context, const struct ps_invalidation *what)
{
    struct table_crew *tables = context;
    uint64_t number = atomic_fetch_add(&tables->rounds, 1) + 1;
    struct asked *asked = &tables->asked[number % ROUNDS_AT_ONCE];

    asked->what = *what;
    atomic_store_explicit(&asked->number, number, memory_order_release);
    for (unsigned i = 0; i < HARTS; i++)
        while (atomic_load_explicit(&tables->harts[i].done, memory_order_acquire) < number)
            crew_pause();
}

static void answer_rounds(struct hart *hart)
{
    uint64_t next = atomic_load_explicit(&hart->done, memory_order_relaxed) + 1;
    struct asked *asked = &hart->tables->asked[next % ROUNDS_AT_ONCE];

    while (atomic_load_explicit(&asked->number, memory_order_acquire) == next) {
        invalidate(hart, &asked->what);
        atomic_store_explicit(&hart->done, next, memory_order_release);
        asked = &hart->tables->asked[++next % ROUNDS_AT_ONCE];
    }
}

/* ---- a walk ---- */

struct walk {
    uint64_t va;
    bool write;
    unsigned bits; /* of the entry that is looked at: 39, 30, 21, 12 */
    uint64_t table;
    uint64_t *entry;
    uint64_t value;
};

static bool has_frame(const struct hart *hart, uint64_t physical)
{
    return sim_machine_has_frame(hart->tables->crew->sim, ps_frame(physical >> 12));
}

/* Now and then: it is a question to all of the pool. */
static void check_table(struct hart *hart, uint64_t table)
{
    struct worker *worker = &hart->worker;
    struct ps_frame_info info = {0};

    if (!MUST(has_frame(hart, table)) || test_random_below(&worker->random, 512) != 0)
        return;
    MUST_BE(ps_frame_pool_query(&hart->tables->crew->pool, ps_frame(table >> 12), &info), PS_OK);
    MUST(info.tag == PS_FRAME_TABLE);
}

/* What is present is well-formed, wherever it is met. */
static bool check_entry(struct hart *hart, const struct walk *walk)
{
    struct worker *worker = &hart->worker;
    uint64_t value = walk->value;
    uint64_t reserved = ADDRESS & ~(((uint64_t)1 << 46) - 1);
    bool leaf = walk->bits == 12 || (value & PS) != 0;

    if (walk->bits == 39)
        reserved |= PS;
    else if (leaf && walk->bits > 12)
        reserved |= (((uint64_t)1 << walk->bits) - 1) & ~(uint64_t)0x1fff;
    return MUST((value & reserved) == 0) &&
           (!leaf || MUST((value & RW) == 0 || (value & XD) != 0)) &&
           MUST(has_frame(hart, value & ADDRESS));
}

static void begin(const struct hart *hart, struct walk *walk)
{
    walk->bits = 39;
    walk->table = hart->space->root.number << 12;
    for (unsigned i = 0; i < KEPT_STEPS; i++) {
        const struct kept_step *step = &hart->steps[i];

        if (step->bits != 0 && walk->va >> step->bits == step->number &&
            step->bits - 9 < walk->bits) {
            walk->bits = step->bits - 9;
            walk->table = step->table;
        }
    }
}

/* Down to a leaf; false when there is none. */
static bool down(struct hart *hart, struct walk *walk)
{
    for (begin(hart, walk);; walk->bits -= 9) {
        uint64_t *entries =
            ps_hw_frame(&hart->tables->crew->sim->machine, ps_frame(walk->table >> 12));

        walk->entry = &entries[walk->va >> walk->bits & 511];
        walk->value = __atomic_load_n(walk->entry, __ATOMIC_ACQUIRE);
        if ((walk->value & P) == 0 || !check_entry(hart, walk))
            return false;
        if (walk->bits == 12 || (walk->value & PS) != 0)
            return true;
        walk->table = walk->value & ADDRESS;
        check_table(hart, walk->table);
        hart->steps[test_random_below(&hart->worker.random, KEPT_STEPS)] =
            (struct kept_step){walk->va >> walk->bits, walk->bits, walk->table};
    }
}

/* Accessed and dirty are set in the entry that was found, if it still stands there. */
static bool leave_mark(const struct walk *walk)
{
    uint64_t bits = walk->write ? A | D : A;
    uint64_t value = walk->value;

    if (walk->write && (value & RW) == 0)
        return false;
    return (value & bits) == bits ||
           __atomic_compare_exchange_n(walk->entry, &value, value | bits, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static struct kept_page *translate(struct hart *hart, struct walk *walk)
{
    struct kept_page *kept = &hart->pages[(walk->va >> 12) % KEPT_PAGES];

    if (kept->bits != 0 && walk->va >> kept->bits == kept->number && (!walk->write || kept->dirty))
        return kept;
    if (!down(hart, walk) || !leave_mark(walk))
        return NULL;
    *kept = (struct kept_page){
        .number = walk->va >> walk->bits,
        .bits = walk->bits,
        .physical = walk->value & ADDRESS & ~(((uint64_t)1 << walk->bits) - 1),
        .dirty = walk->write || (walk->value & (RW | D)) == (RW | D),
    };
    return kept;
}

/* ---- accesses ---- */

/* False when the page is absent, or not to be written to. */
static bool touch(struct hart *hart, uint64_t va, bool write)
{
    struct worker *worker = &hart->worker;
    struct walk walk = {.va = va, .write = write};
    const struct kept_page *page = translate(hart, &walk);
    uint64_t *words;

    if (page == NULL)
        return false;
    words =
        frame_words(hart->tables->crew,
                    ps_frame((page->physical | (va & (((uint64_t)1 << page->bits) - 1))) >> 12));
    worker_check(worker, words[1] == mark_of(hart->space_number, va), words[1],
                 "the page is the one that was mapped there", __FILE__, __LINE__);
    hart->read++;
    if (write) {
        (void)__atomic_fetch_add(&words[2], 1, __ATOMIC_RELAXED);
        hart->written++;
    }
    return true;
}

static uint64_t random_page(struct hart *hart)
{
    struct test_random *random = &hart->worker.random;
    uint64_t base = test_random_below(random, 2) == 0 ? LOW_BASE : HIGH_BASE;

    return base +
           test_random_below(random, (uint64_t)hart->tables->areas * AREA_PAGES) * PS_PAGE_SIZE;
}

/* It stays where pages are: that is what translations are kept for. */
void *hart_run(void *context)
{
    struct hart *hart = context;
    struct test_random *random = &hart->worker.random;
    uint64_t va = random_page(hart);

    while (!atomic_load_explicit(&hart->tables->over, memory_order_acquire)) {
        for (unsigned i = 0; i < 32; i++) {
            if (!touch(hart, va, test_random_below(random, 3) == 0))
                va = random_page(hart);
            else
                va += test_random_below(random, 2) * PS_PAGE_SIZE;
            answer_rounds(hart);
        }
        crew_pause();
    }
    return NULL;
}
