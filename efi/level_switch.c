#include "level_switch.h"

#include "cpu.h"
#include "hw.h"
#include "identity.h"
#include "level_cross.h"
#include "processors.h"

enum { PAGE_OF_CODE, ROOT_OF_4, ROOT_OF_5, PASSAGE_PAGES };

/* A table that is present and writable, as all are. */
#define ENTRY_OF_TABLE ((uint64_t)3)

static ps_frame_t page_of(const struct level_switch *levels, uint64_t number)
{
    return ps_frame_add(levels->pages, number);
}

static uint64_t address_of(const struct level_switch *levels, uint64_t number)
{
    return ps_phys_of_frame(page_of(levels, number)).addr;
}

/* The root that the table has may be anywhere: the lower half of it is seen through two others. */
static void write_roots(const struct level_switch *levels)
{
    const uint64_t *from = ps_hw_frame(&levels->machine, levels->table.root);
    uint64_t *four = ps_hw_frame(&levels->machine, page_of(levels, ROOT_OF_4));
    uint64_t *five = ps_hw_frame(&levels->machine, page_of(levels, ROOT_OF_5));

    for (unsigned i = 0; i < PS_PAGE_SIZE / 8 / 2; i++)
        four[i] = from[i];
    five[0] = address_of(levels, ROOT_OF_4) | ENTRY_OF_TABLE;
}

static ps_status build_passage(struct level_switch *levels, struct ps_frame_pool *pool)
{
    struct ps_frame_run run = {.pages = ps_pages(PASSAGE_PAGES),
                               .limit = PS_FRAME_BELOW_4GIB,
                               .tag = PS_FRAME_USER,
                               .flags = PS_FRAME_ZERO};
    ps_status status = ps_frame_pool_alloc_run(pool, &run, &levels->pages);

    if (status == PS_OK)
        status = ps_page_table_create(&levels->table, &levels->machine, pool);
    if (status == PS_OK)
        status = identity_map_image(&levels->table, levels->image);
    if (status == PS_OK)
        status = ps_page_table_map_run(&levels->table, ps_virt(address_of(levels, PAGE_OF_CODE)),
                                       page_of(levels, PAGE_OF_CODE), ps_pages(1),
                                       ps_attr_ram(PS_READ | PS_EXECUTE), 0);
    return status;
}

ps_status level_switch_enter(void *context, struct ps_stage *stage)
{
    struct level_switch *levels = context;
    bool to_five = stage->machine.levels == 5;
    ps_status status;

    levels->machine = stage->machine;
    levels->machine.levels = 4;
    status = build_passage(levels, &stage->pool);
    if (status != PS_OK)
        return status;
    write_roots(levels);
    level_cross(&(struct level_crossing){address_of(levels, to_five ? ROOT_OF_4 : ROOT_OF_5),
                                         address_of(levels, to_five ? ROOT_OF_5 : ROOT_OF_4),
                                         address_of(levels, PAGE_OF_CODE),
                                         ps_phys_of_frame(stage->table.root).addr});
    processors_begin();
    return PS_OK;
}

ps_status level_switch_finish(struct level_switch *levels, struct ps_stage *stage)
{
    ps_status status;

    if (levels->table.machine == NULL)
        return PS_OK;
    levels->machine.direct_map = stage->machine.direct_map;
    status = identity_drop(&levels->table);
    if (status == PS_OK)
        status = ps_frame_pool_free(&stage->pool, levels->pages, ps_pages(PASSAGE_PAGES));
    return status;
}
