#include "identity.h"

ps_status identity_map_image(struct ps_page_table *table, const struct image *image)
{
    ps_status status = PS_OK;

    for (size_t i = 0; status == PS_OK && i < image->section_count; i++) {
        const struct ps_stage_section *section = &image->sections[i];

        status = ps_page_table_map_run(table, ps_virt(ps_phys_of_frame(section->first).addr),
                                       section->first, section->pages, ps_attr_ram(section->access),
                                       PS_MAP_SMALL);
    }
    return status;
}

ps_status identity_drop(struct ps_page_table *table)
{
    ps_pages_t lower_half = ps_pages((uint64_t)1 << (9 * table->levels - 1));
    ps_status status = ps_page_table_unmap(table, ps_virt(0), lower_half, NULL);

    return status == PS_OK ? ps_page_table_destroy(table) : status;
}
