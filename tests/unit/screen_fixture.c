#include "screen_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "../../efi/font.h"

const uint32_t screen_test_palette[SCREEN_TEST_COLOURS] = {0x101820, 0xf0e0d0, 0x00ff00, 0xff0000};

void screen_set_up_sized(struct screen_fixture *fixture, uint32_t width, uint32_t height)
{
    uint32_t per_line = width + PADDING;

    fixture->pixels = (size_t)per_line * height;
    fixture->memory = malloc((fixture->pixels + 2 * GUARD) * sizeof(uint32_t));
    for (size_t i = 0; i < fixture->pixels + 2 * GUARD; i++)
        fixture->memory[i] = JUNK;
    fixture->surface = (struct screen_surface){.pixels = fixture->memory + GUARD,
                                               .width = width,
                                               .height = height,
                                               .pixels_per_line = per_line};
    fixture->cell_count = screen_cells_needed(&fixture->surface);
    fixture->cells = malloc((fixture->cell_count + 2 * GUARD) * sizeof(struct screen_cell));
    memset(fixture->cells, 0x5a, (fixture->cell_count + 2 * GUARD) * sizeof(struct screen_cell));
    screen_start(&fixture->screen, &fixture->surface, screen_test_palette, SCREEN_TEST_COLOURS,
                 fixture->cells + GUARD, fixture->cell_count);
}

void screen_set_up(struct screen_fixture *fixture)
{
    screen_set_up_sized(fixture, 10 * FONT_WIDTH + 5, 4 * FONT_HEIGHT + 3);
}

void screen_tear_down(struct screen_fixture *fixture)
{
    free(fixture->memory);
    free(fixture->cells);
}

uint32_t screen_pixel(const struct screen_fixture *fixture, uint32_t x, uint32_t y)
{
    return fixture->memory[GUARD + (size_t)y * fixture->surface.pixels_per_line + x];
}

bool screen_outside_is_untouched(const struct screen_fixture *fixture)
{
    const uint8_t *cells = (const uint8_t *)fixture->cells;
    size_t guard = GUARD * sizeof(struct screen_cell);
    size_t used = fixture->cell_count * sizeof(struct screen_cell);
    bool untouched = true;

    for (size_t i = 0; i < GUARD; i++)
        untouched &=
            fixture->memory[i] == JUNK && fixture->memory[GUARD + fixture->pixels + i] == JUNK;
    for (uint32_t y = 0; y < fixture->surface.height; y++)
        for (uint32_t x = 0; x < PADDING; x++)
            untouched &= screen_pixel(fixture, fixture->surface.width + x, y) == JUNK;
    for (size_t i = 0; i < guard; i++)
        untouched &= cells[i] == 0x5a && cells[guard + used + i] == 0x5a;
    return untouched;
}

static uint32_t expected_pixel(struct screen_cell cell, uint32_t x, uint32_t y)
{
    uint8_t number = (font_glyph(cell.glyph)[y] & 0x80 >> x) != 0 ? cell.ink : cell.paper;

    return number < SCREEN_TEST_COLOURS ? screen_test_palette[number] : 0;
}

bool screen_cell_is_shown(const struct screen_fixture *fixture, uint32_t column, uint32_t row)
{
    const struct screen *screen = &fixture->screen;
    struct screen_cell cell = screen->cells[row * screen->columns + column];
    uint32_t scale = screen->scale;

    for (uint32_t y = 0; y < FONT_HEIGHT * scale; y++)
        for (uint32_t x = 0; x < FONT_WIDTH * scale; x++)
            if (screen_pixel(fixture, screen->left + column * FONT_WIDTH * scale + x,
                             screen->top + row * FONT_HEIGHT * scale + y) !=
                expected_pixel(cell, x / scale, y / scale))
                return false;
    return true;
}

bool screen_all_is_shown(const struct screen_fixture *fixture)
{
    for (uint32_t row = 0; row < fixture->screen.rows; row++)
        for (uint32_t column = 0; column < fixture->screen.columns; column++)
            if (!screen_cell_is_shown(fixture, column, row))
                return false;
    return true;
}

const char *screen_row_text(const struct screen_fixture *fixture, uint32_t row)
{
    static char text[512];
    uint32_t columns = (uint32_t)ps_min(fixture->screen.columns, sizeof(text) - 1);

    for (uint32_t i = 0; i < columns; i++) {
        uint8_t glyph = fixture->screen.cells[row * fixture->screen.columns + i].glyph;

        text[i] = glyph >= ' ' && glyph <= '~' ? (char)glyph : '?';
    }
    text[columns] = '\0';
    return text;
}
