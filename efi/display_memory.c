#include "display_private.h"

#include "memory_strip.h"

enum { LEGEND_WIDTH = 28 };

static void draw_strip(struct display *display, const struct ps_memory_map *map, uint32_t row,
                       uint32_t rows)
{
    uint8_t columns[MEMORY_STRIP_LIMIT];
    uint32_t width = (uint32_t)ps_min(width_of(display), MEMORY_STRIP_LIMIT / 2);

    /* Two columns of the strip in one cell: ink on the left, paper on the right. */
    memory_strip(map, columns, 2 * (size_t)width);
    for (uint32_t i = 0; i < width; i++)
        screen_fill(display->screen, LEFT + i, row, 1, rows,
                    (struct screen_cell){FONT_LEFT_HALF, (uint8_t)(MEMORY + columns[2 * i]),
                                         (uint8_t)(MEMORY + columns[2 * i + 1])});
}

static uint64_t end_of(const struct ps_memory_map *map)
{
    if (map->count == 0)
        return 0;
    return ps_phys_of_frame(ps_memory_range_last(&map->ranges[map->count - 1])).addr + PS_PAGE_SIZE;
}

/* Under the strip: its ends, and 4 GiB where there is room for it. */
static void draw_addresses(struct display *display, const struct ps_memory_map *map, uint32_t row)
{
    struct ps_text_buffer buffer;
    char text[TEXT_SIZE];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    uint32_t width = (uint32_t)ps_min(width_of(display), MEMORY_STRIP_LIMIT / 2);
    size_t border = memory_strip_column(map, width, ps_frame_of_phys(ps_phys(4 * PS_GIB)));

    display_clear_row(display, row, PAPER);
    display_text(display, LEFT, row, 1, DIM, "0");
    ps_print_size(&sink, end_of(map));
    display_text_before(display, LEFT + width, row, DIM, PAPER, text);
    if (border > 3 && border + 8 + buffer.length < width)
        display_text(display, LEFT + (uint32_t)border, row, 5, DIM, "4 GiB");
}

static void draw_memory_heading(struct display *display, const struct ps_memory_map *map,
                                uint32_t row)
{
    struct ps_text_buffer buffer;
    char text[TEXT_SIZE];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    uint64_t ram = 0;

    for (size_t i = 0; i < map->count; i++)
        ram += ps_memory_type_is_ram(map->ranges[i].type) ? map->ranges[i].pages.count : 0;
    ps_print_size(&sink, ps_bytes_of_pages(ps_pages(ram)));
    ps_print(&sink, " RAM, %zu ranges up to 0x%" PS_PRIx "; holes and devices not to scale",
             map->count, end_of(map) == 0 ? 0 : end_of(map) - 1);
    display_clear_row(display, row, PAPER);
    display_text(display, LEFT, row, 15, ACCENT, "Physical memory");
    display_text(display, LEFT + 18, row, less(width_of(display), 18), DIM, text);
}

static const char *strip_type_name(unsigned type)
{
    return type == MEMORY_STRIP_HOLE ? "hole" : ps_memory_type_name((enum ps_memory_type)type);
}

static void draw_legend_entry(struct display *display, uint32_t column, uint32_t row, unsigned type,
                              uint64_t pages)
{
    struct ps_text_buffer buffer;
    char text[TEXT_SIZE];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    screen_fill(display->screen, column, row, 2, 1,
                (struct screen_cell){FONT_BAR, (uint8_t)(MEMORY + type), PAPER});
    display_text(display, column + 3, row, 13, INK, strip_type_name(type));
    ps_print_size(&sink, ps_bytes_of_pages(ps_pages(pages)));
    display_text_before(display, column + LEGEND_WIDTH - 1, row, DIM, PAPER, text);
}

static uint32_t legend_entries_a_row(const struct display *display)
{
    return (uint32_t)ps_max(1, width_of(display) / LEGEND_WIDTH);
}

static uint32_t legend_rows(const struct display *display,
                            const uint64_t totals[MEMORY_STRIP_TYPES])
{
    uint32_t per_row = legend_entries_a_row(display);
    uint32_t entries = 0;

    for (unsigned type = 0; type < MEMORY_STRIP_TYPES; type++)
        entries += totals[type] != 0;
    return (uint32_t)ps_min((entries + per_row - 1) / per_row, display->screen->rows / 6);
}

static void draw_legend(struct display *display, const uint64_t totals[MEMORY_STRIP_TYPES],
                        uint32_t top, uint32_t rows)
{
    uint32_t per_row = legend_entries_a_row(display);
    uint32_t stride = width_of(display) / per_row;
    uint32_t entry = 0;

    for (uint32_t row = 0; row < rows; row++)
        display_clear_row(display, top + row, PAPER);
    for (unsigned type = 0; type < MEMORY_STRIP_TYPES && entry < rows * per_row; type++) {
        if (totals[type] == 0)
            continue;
        draw_legend_entry(display, LEFT + entry % per_row * stride, top + entry / per_row, type,
                          totals[type]);
        entry++;
    }
}

void display_memory_map(struct display *display, const struct ps_memory_map *map)
{
    uint64_t totals[MEMORY_STRIP_TYPES];
    bool roomy = is_roomy(display);
    uint32_t strip_rows = roomy ? 2 : 1;
    uint32_t legend;
    uint32_t row;

    if (display->only_log)
        return;
    memory_strip_totals(map, totals);
    legend = is_tiny(display) ? 0 : legend_rows(display, totals);
    display->map_rows = (roomy ? 1 : 0) + strip_rows + (legend == 0 ? 0 : 1 + legend);
    display_lay_out(display);
    row = display->map_top;
    if (roomy)
        draw_memory_heading(display, map, row++);
    draw_strip(display, map, row, strip_rows);
    row += strip_rows;
    if (legend != 0) {
        draw_addresses(display, map, row);
        draw_legend(display, totals, row + 1, legend);
    }
    if (roomy)
        display_clear_row(display, row + (legend == 0 ? 0 : 1 + legend), PAPER);
    if (display->tests_rows != 0)
        display_size_tests(display);
}
