#include "page_table_crew.h"

#include <stdlib.h>

#include "hw.h"

/* ---- frames ---- */

uint64_t *frame_words(struct crew *crew, ps_frame_t frame)
{
    return ps_hw_frame(&crew->sim->machine, frame);
}

void mark_frame(struct crew *crew, ps_frame_t frame, uint64_t mark)
{
    uint64_t *words = frame_words(crew, frame);

    words[1] = mark;
    words[2] = 0;
}

uint64_t frame_writes(struct crew *crew, ps_frame_t frame)
{
    return __atomic_load_n(&frame_words(crew, frame)[2], __ATOMIC_RELAXED);
}

/* ---- spaces ---- */

static void open_spaces(struct test *test, struct table_crew *tables)
{
    struct crew *crew = tables->crew;

    for (unsigned i = 0; i < SPACES; i++)
        EXPECT_OK(ps_page_table_create(&tables->spaces[i], &crew->sim->machine, &crew->pool));
    EXPECT_OK(ps_page_table_anchor(&tables->spaces[0], ps_virt(HIGH_BASE),
                                   ps_pages((uint64_t)CREW_MOST * AREA_PAGES)));
    for (unsigned i = 1; i < SPACES; i++)
        EXPECT_OK(ps_page_table_share_upper(&tables->spaces[i], &tables->spaces[0]));
}

static void note_corruption(void *context, const char *text, size_t length)
{
    test_note(context, "%.*s", (int)length, text);
}

static void close_spaces(struct test *test, struct table_crew *tables)
{
    const struct ps_sink notes = {note_corruption, test};

    for (unsigned i = SPACES; i-- != 0;) {
        struct ps_page_table *space = &tables->spaces[i];
        struct ps_page_table_counters now = ps_page_table_counters(space);

        EXPECT_OK(ps_page_table_validate(space, &notes));
        EXPECT_EQ(now.leaves[PS_LEAF_4K] + now.leaves[PS_LEAF_2M], 0);
        EXPECT_EQ(now.promised, 0);
        EXPECT_EQ(now.tables, i == 0 ? 2 : 1);
        EXPECT_OK(ps_page_table_destroy(space));
    }
}

/* ---- harts ---- */

static void start_harts(struct table_crew *tables)
{
    for (unsigned i = 0; i < HARTS; i++) {
        struct hart *hart = &tables->harts[i];

        hart->tables = tables;
        hart->space = &tables->spaces[i];
        hart->space_number = i;
        hart->worker.random = test_random(crew_options.seed * CREW_MOST + 1000 + i);
        if (pthread_create(&hart->thread, NULL, hart_run, hart) != 0)
            abort();
    }
}

static void stop_harts(struct test *test, struct table_crew *tables)
{
    atomic_store_explicit(&tables->over, true, memory_order_release);
    for (unsigned i = 0; i < HARTS; i++) {
        struct hart *hart = &tables->harts[i];

        (void)pthread_join(hart->thread, NULL);
        if (!EXPECT_EQ(hart->worker.failures, 0))
            test_note(test, "hart %u, first: %s", i, hart->worker.note);
        EXPECT(hart->read != 0 && hart->written != 0);
    }
}

void table_crew_with(struct test *test, struct crew *crew, unsigned areas,
                     void (*body)(struct test *test, struct table_crew *tables))
{
    struct table_crew *tables = calloc(1, sizeof(*tables));

    REQUIRE(tables != NULL);
    tables->crew = crew;
    tables->areas = areas;
    crew->sim->machine.shootdown = shoot_down;
    crew->sim->machine.shootdown_context = tables;
    open_spaces(test, tables);
    start_harts(tables);
    body(test, tables);
    stop_harts(test, tables);
    crew->sim->machine.shootdown = NULL;
    close_spaces(test, tables);
    free(tables);
}
