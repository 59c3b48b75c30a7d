#include "screen.h"

#include "font.h"

enum {
    MIN_LINE_WIDTH = 1280, /* of a scaled console, in unscaled pixels */
    MIN_LINE_HEIGHT = 480,
    TAB_WIDTH = 4,
};

/* ---- geometry ---- */

struct geometry {
    uint32_t columns, rows, scale;
};

static struct geometry geometry_of(const struct screen_surface *surface)
{
    struct geometry geometry = {.scale = 1};
    uint32_t scale =
        (uint32_t)ps_min(surface->width / MIN_LINE_WIDTH, surface->height / MIN_LINE_HEIGHT);

    if (surface->pixels == NULL || surface->width > surface->pixels_per_line)
        return geometry;
    if (scale > 1)
        geometry.scale = scale;
    geometry.columns = surface->width / (FONT_WIDTH * geometry.scale);
    geometry.rows = surface->height / (FONT_HEIGHT * geometry.scale);
    return geometry;
}

size_t screen_cells_needed(const struct screen_surface *surface)
{
    struct geometry geometry = geometry_of(surface);

    return (size_t)geometry.columns * geometry.rows;
}

/* ---- colours ---- */

/* The upper bits of an 8-bit share, moved to where the mask is. */
static uint32_t into_mask(uint32_t share, uint32_t mask)
{
    uint64_t wide = share;
    unsigned low = 0;
    unsigned bits = 0;

    if (mask == 0)
        return 0;
    while ((mask >> low & 1) == 0)
        low++;
    while (low + bits < 32 && (mask >> (low + bits) & 1) != 0)
        bits++;
    wide = bits >= 8 ? wide << (bits - 8) : wide >> (8 - bits);
    return (uint32_t)(wide << low) & mask;
}

static uint32_t pixel_of(const struct screen_surface *surface, uint32_t rgb)
{
    uint32_t red = rgb >> 16 & 255;
    uint32_t green = rgb >> 8 & 255;
    uint32_t blue = rgb & 255;

    switch (surface->format) {
    case SCREEN_RGBX:
        return blue << 16 | green << 8 | red;
    case SCREEN_MASKED:
        return into_mask(red, surface->red_mask) | into_mask(green, surface->green_mask) |
               into_mask(blue, surface->blue_mask);
    case SCREEN_BGRX:
    default:
        return red << 16 | green << 8 | blue;
    }
}

/* ---- cells ---- */

static volatile uint32_t *pixel_at(const struct screen *screen, uint32_t x, uint32_t y)
{
    return screen->surface.pixels + (size_t)y * screen->surface.pixels_per_line + x;
}

static void draw_line(const struct screen *screen, volatile uint32_t *pixel, uint8_t bits,
                      struct screen_cell cell)
{
    for (unsigned bit = 0x80; bit != 0; bit >>= 1) {
        uint32_t colour = screen->colours[(bits & bit) != 0 ? cell.ink : cell.paper];

        for (uint32_t i = 0; i < screen->scale; i++)
            *pixel++ = colour;
    }
}

static void draw_cell(const struct screen *screen, uint32_t column, uint32_t row,
                      struct screen_cell cell)
{
    const uint8_t *lines = font_glyph(cell.glyph);
    uint32_t x = screen->left + column * FONT_WIDTH * screen->scale;
    uint32_t y = screen->top + row * FONT_HEIGHT * screen->scale;

    for (uint32_t line = 0; line < FONT_HEIGHT * screen->scale; line++)
        draw_line(screen, pixel_at(screen, x, y + line), lines[line / screen->scale], cell);
}

/* A space shows no ink: all empty cells of one paper are equal. */
static struct screen_cell empty_cell(uint8_t paper)
{
    return (struct screen_cell){.glyph = ' ', .ink = paper, .paper = paper};
}

static struct screen_cell letter_cell(char letter, uint8_t ink, uint8_t paper)
{
    bool has_shape = letter >= ' ' && letter <= '~';

    return (struct screen_cell){has_shape ? (uint8_t)letter : FONT_UNKNOWN, ink, paper};
}

static struct screen_cell *cell_at(const struct screen *screen, uint32_t column, uint32_t row)
{
    return &screen->cells[(size_t)row * screen->columns + column];
}

void screen_put(struct screen *screen, uint32_t column, uint32_t row, struct screen_cell cell)
{
    struct screen_cell *shown;

    if (column >= screen->columns || row >= screen->rows)
        return;
    cell.paper %= SCREEN_COLOURS;
    cell.ink = cell.glyph == ' ' ? cell.paper : cell.ink % SCREEN_COLOURS;
    shown = cell_at(screen, column, row);
    if (shown->glyph == cell.glyph && shown->ink == cell.ink && shown->paper == cell.paper)
        return;
    *shown = cell;
    draw_cell(screen, column, row, cell);
}

static void clear(struct screen *screen)
{
    for (uint32_t y = 0; y < screen->surface.height; y++) {
        volatile uint32_t *line = pixel_at(screen, 0, y);

        for (uint32_t x = 0; x < screen->surface.width; x++)
            line[x] = screen->colours[0];
    }
    for (size_t i = 0; i < (size_t)screen->columns * screen->rows; i++)
        screen->cells[i] = empty_cell(0);
}

void screen_start(struct screen *screen, const struct screen_surface *surface,
                  const uint32_t *palette, size_t colours, struct screen_cell *cells,
                  size_t capacity)
{
    struct geometry geometry = geometry_of(surface);

    *screen = (struct screen){.surface = *surface, .cells = cells, .scale = geometry.scale};
    if (geometry.columns == 0 || geometry.rows == 0 || capacity < geometry.columns)
        return;
    screen->columns = geometry.columns;
    screen->rows = (uint32_t)ps_min(geometry.rows, capacity / geometry.columns);
    screen->left = (surface->width - geometry.columns * FONT_WIDTH * geometry.scale) / 2;
    screen->top = (surface->height - geometry.rows * FONT_HEIGHT * geometry.scale) / 2;
    for (size_t i = 0; i < SCREEN_COLOURS; i++)
        screen->colours[i] = pixel_of(surface, i < colours ? palette[i] : 0);
    clear(screen);
}

void screen_moved(struct screen *screen, volatile uint32_t *pixels, struct screen_cell *cells)
{
    screen->surface.pixels = pixels;
    screen->cells = cells;
}

void screen_fill(struct screen *screen, uint32_t column, uint32_t row, uint32_t columns,
                 uint32_t rows, struct screen_cell cell)
{
    for (uint32_t r = row; r < screen->rows && r - row < rows; r++)
        for (uint32_t c = column; c < screen->columns && c - column < columns; c++)
            screen_put(screen, c, r, cell);
}

/* How much of [start, start + length) lies below `limit`. */
static uint32_t cut(uint32_t start, uint32_t length, uint32_t limit)
{
    return start >= limit ? 0 : (uint32_t)ps_min(length, limit - start);
}

void screen_text(struct screen *screen, uint32_t column, uint32_t row, uint32_t width, uint8_t ink,
                 uint8_t paper, const char *text)
{
    uint32_t length = 0;

    width = cut(column, width, screen->columns);
    while (length <= width && text[length] != '\0')
        length++;
    for (uint32_t i = 0; i < width; i++) {
        char letter = i < length ? text[i] : ' ';

        if (length > width && i + 2 >= width)
            letter = '.';
        screen_put(screen, column + i, row, letter_cell(letter, ink, paper));
    }
}

/* ---- areas ---- */

static void clear_rows(struct screen_area *area, uint32_t first, uint32_t rows)
{
    screen_fill(area->screen, area->left, area->top + first, area->columns, rows,
                empty_cell(area->paper));
}

/* Copy one row of the area's columns; rows of the screen, not of the area. */
static void copy_row(struct screen_area *area, uint32_t to, uint32_t from)
{
    for (uint32_t c = area->left; c < area->left + area->columns; c++)
        screen_put(area->screen, c, to, *cell_at(area->screen, c, from));
}

void screen_area_start(struct screen_area *area, struct screen *screen, uint32_t left, uint32_t top,
                       uint32_t columns, uint32_t rows, uint8_t ink, uint8_t paper)
{
    *area = (struct screen_area){.screen = screen, .left = left, .top = top};
    area->ink = ink;
    area->paper = paper;
    area->columns = cut(left, columns, screen->columns);
    area->rows = area->columns == 0 ? 0 : cut(top, rows, screen->rows);
    clear_rows(area, 0, area->rows);
}

/* Drop the oldest `lines` lines, at most as many as the area has. */
static void scroll(struct screen_area *area, uint32_t lines)
{
    for (uint32_t row = 0; row + lines < area->rows; row++)
        copy_row(area, area->top + row, area->top + row + lines);
    clear_rows(area, area->rows - lines, lines);
    area->row = area->row > lines ? area->row - lines : 0;
}

static void put_letter(struct screen_area *area, char letter)
{
    if (area->column >= area->columns) {
        area->column = 0;
        area->row++;
    }
    if (area->row >= area->rows)
        scroll(area, area->row - area->rows + 1);
    screen_put(area->screen, area->left + area->column, area->top + area->row,
               letter_cell(letter, area->ink, area->paper));
    area->column++;
}

static void put_tab(struct screen_area *area)
{
    do {
        put_letter(area, ' ');
    } while (area->column % TAB_WIDTH != 0 && area->column < area->columns);
}

void screen_area_write(struct screen_area *area, const char *text, size_t length)
{
    if (area->rows == 0)
        return;
    for (size_t i = 0; i < length; i++) {
        switch (text[i]) {
        case '\n':
            /* Two line feeds in a row at the bottom: the first must scroll as well. */
            if (area->row >= area->rows)
                scroll(area, 1);
            area->column = 0;
            area->row++;
            break;
        case '\r':
            area->column = 0;
            break;
        case '\t':
            put_tab(area);
            break;
        default:
            put_letter(area, text[i]);
        }
    }
}

static void sink_write(void *context, const char *text, size_t length)
{
    screen_area_write(context, text, length);
}

struct ps_sink screen_area_sink(struct screen_area *area)
{
    return (struct ps_sink){.write = sink_write, .context = area};
}

void screen_area_move(struct screen_area *area, uint32_t top, uint32_t rows)
{
    uint32_t old_top = area->top;
    uint32_t old_rows = area->rows;
    uint32_t used;

    rows = area->columns == 0 ? 0 : cut(top, rows, area->screen->rows);
    /* Lines that hold text; the line the next character goes to counts once it has some. */
    used = (uint32_t)ps_min(area->row + (area->column != 0), old_rows);
    if (used > rows) {
        scroll(area, used - rows);
        used = rows;
    }
    for (uint32_t i = 0; i < used && top < old_top; i++)
        copy_row(area, top + i, old_top + i);
    for (uint32_t i = used; i > 0 && top > old_top; i--)
        copy_row(area, top + i - 1, old_top + i - 1);
    for (uint32_t row = old_top; row < old_top + old_rows; row++)
        if (row < top || row - top >= used)
            screen_fill(area->screen, area->left, row, area->columns, 1, empty_cell(area->paper));
    area->top = top;
    area->rows = rows;
    if (rows == 0)
        area->column = 0;
    clear_rows(area, used, rows - used);
}
