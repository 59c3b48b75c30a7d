/* The framebuffer console: cells, colours, surfaces, pixel by pixel. */
#include <string.h>

#include "../../efi/font.h"
#include "screen_fixture.h"

static void write_text(struct screen_area *area, const char *text)
{
    screen_area_write(area, text, strlen(text));
}

/* ---- drawing ---- */

static void start_clears_the_visible_part_only(struct test *test)
{
    struct screen_fixture fixture;
    size_t wrong = 0;

    screen_set_up(&fixture);
    EXPECT_EQ(fixture.screen.columns, 10);
    EXPECT_EQ(fixture.screen.rows, 4);
    EXPECT_EQ(fixture.screen.left, 2);
    EXPECT_EQ(fixture.screen.top, 1);
    for (uint32_t y = 0; y < fixture.surface.height; y++)
        for (uint32_t x = 0; x < fixture.surface.width; x++)
            wrong += screen_pixel(&fixture, x, y) != screen_test_palette[0];
    EXPECT_EQ(wrong, 0);
    EXPECT(screen_outside_is_untouched(&fixture));
    screen_tear_down(&fixture);
}

static void letter_is_drawn_pixel_by_pixel(struct test *test)
{
    static const char *const shape[FONT_HEIGHT] = {
        "........", "........", ".#####..", "##...##.", "##...##.", "##...##.",
        "#######.", "##...##.", "##...##.", "##...##.", "##...##.", "##...##.",
        "........", "........", "........", "........",
    };
    struct screen_fixture fixture;

    screen_set_up(&fixture);
    screen_put(&fixture.screen, 3, 2, (struct screen_cell){'A', 1, 2});
    for (uint32_t y = 0; y < FONT_HEIGHT; y++)
        for (uint32_t x = 0; x < FONT_WIDTH; x++)
            EXPECT_EQ(screen_pixel(&fixture, 2 + 3 * 8 + x, 1 + 2 * 16 + y),
                      screen_test_palette[shape[y][x] == '#' ? 1 : 2]);
    /* Its neighbours on all sides are as they were. */
    EXPECT_EQ(screen_pixel(&fixture, 2 + 3 * 8 - 1, 1 + 2 * 16), screen_test_palette[0]);
    EXPECT_EQ(screen_pixel(&fixture, 2 + 4 * 8, 1 + 2 * 16), screen_test_palette[0]);
    EXPECT_EQ(screen_pixel(&fixture, 2 + 3 * 8, 1 + 2 * 16 - 1), screen_test_palette[0]);
    EXPECT_EQ(screen_pixel(&fixture, 2 + 3 * 8, 1 + 3 * 16), screen_test_palette[0]);
    EXPECT(screen_outside_is_untouched(&fixture));
    screen_tear_down(&fixture);
}

static void every_code_has_a_shape(struct test *test)
{
    static const uint8_t nothing[FONT_HEIGHT] = {0};

    for (unsigned code = 0; code < 256; code++) {
        bool is_known = code >= FONT_FIRST && code <= FONT_BAR;

        if (!is_known)
            EXPECT(font_glyph((uint8_t)code) == font_glyph(FONT_UNKNOWN));
        else
            EXPECT_EQ(memcmp(font_glyph((uint8_t)code), nothing, FONT_HEIGHT) == 0, code == ' ');
    }
    for (unsigned y = 0; y < FONT_HEIGHT; y++) {
        EXPECT_EQ(font_glyph(FONT_BLOCK)[y], 0xff);
        EXPECT_EQ(font_glyph(FONT_LEFT_HALF)[y], 0xf0);
    }
}

static void unchanged_cell_is_not_drawn_again(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_cell cell = {'x', 1, 0};

    screen_set_up(&fixture);
    screen_put(&fixture.screen, 0, 0, cell);
    fixture.memory[GUARD + fixture.surface.pixels_per_line + 2] = JUNK; /* its first pixel */
    screen_put(&fixture.screen, 0, 0, cell);
    EXPECT_EQ(screen_pixel(&fixture, 2, 1), JUNK);
    screen_put(&fixture.screen, 0, 0, (struct screen_cell){'x', 1, 3});
    EXPECT_EQ(screen_pixel(&fixture, 2, 1), screen_test_palette[3]);
    screen_tear_down(&fixture);
}

static void cells_outside_are_ignored(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_cell cell = {'x', 1, 3};

    screen_set_up(&fixture);
    screen_put(&fixture.screen, 10, 0, cell);
    screen_put(&fixture.screen, 0, 4, cell);
    screen_put(&fixture.screen, UINT32_MAX, UINT32_MAX, cell);
    for (uint32_t row = 0; row < 4; row++)
        EXPECT_TEXT(screen_row_text(&fixture, row), "          ");
    screen_fill(&fixture.screen, 8, 3, UINT32_MAX, UINT32_MAX, cell);
    EXPECT_TEXT(screen_row_text(&fixture, 3), "        xx");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "          ");
    screen_text(&fixture.screen, 7, 0, UINT32_MAX, 1, 0, "long text");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "       l..");
    screen_text(&fixture.screen, 11, 1, 4, 1, 0, "x");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "          ");
    EXPECT(screen_all_is_shown(&fixture) && screen_outside_is_untouched(&fixture));
    screen_tear_down(&fixture);
}

static void text_field_is_filled_up_or_cut_visibly(struct test *test)
{
    struct screen_fixture fixture;

    screen_set_up(&fixture);
    screen_text(&fixture.screen, 0, 0, 10, 1, 0, "xxxxxxxxxx");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "xxxxxxxxxx");
    screen_text(&fixture.screen, 1, 0, 5, 1, 0, "abc");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "xabc  xxxx");
    screen_text(&fixture.screen, 1, 0, 5, 1, 0, "abcdef");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "xabc..xxxx");
    screen_text(&fixture.screen, 0, 0, 4, 1, 0, "a\x80\nb");
    EXPECT_EQ(fixture.screen.cells[1].glyph, FONT_UNKNOWN);
    EXPECT_EQ(fixture.screen.cells[2].glyph, FONT_UNKNOWN);
    screen_tear_down(&fixture);
}

/* ---- surfaces ---- */

static uint32_t first_pixel_of(struct screen_surface surface, uint32_t rgb)
{
    uint32_t pixels[8 * 16] = {0};
    struct screen_cell cell;
    struct screen screen;

    surface.pixels = pixels;
    surface.width = surface.pixels_per_line = 8;
    surface.height = 16;
    screen_start(&screen, &surface, &rgb, 1, &cell, 1);
    return pixels[0];
}

static void colours_are_put_into_the_form_of_the_surface(struct test *test)
{
    struct screen_surface masked = {
        .format = SCREEN_MASKED, .red_mask = 0xf800, .green_mask = 0x07e0, .blue_mask = 0x001f};
    struct screen_surface deep = {.format = SCREEN_MASKED,
                                  .red_mask = 0x3ff00000,
                                  .green_mask = 0x000ffc00,
                                  .blue_mask = 0x000003ff};
    struct screen_surface high = {.format = SCREEN_MASKED, .red_mask = 0xff000000};

    EXPECT_EQ(first_pixel_of((struct screen_surface){.format = SCREEN_BGRX}, 0x123456), 0x123456);
    EXPECT_EQ(first_pixel_of((struct screen_surface){.format = SCREEN_RGBX}, 0x123456), 0x563412);
    EXPECT_EQ(first_pixel_of(masked, 0xffffff), 0xffff);
    EXPECT_EQ(first_pixel_of(masked, 0x84c218), 0x10 << 11 | 0x30 << 5 | 0x03);
    EXPECT_EQ(first_pixel_of(deep, 0xff8001), 0x3fcu << 20 | 0x200 << 10 | 0x004);
    EXPECT_EQ(first_pixel_of(high, 0xab1234), 0xab000000);
}

static void unusable_surface_makes_every_call_do_nothing(struct test *test)
{
    static uint32_t pixels[64 * 64];
    static const struct screen_surface surfaces[] = {
        {.pixels = NULL, .width = 800, .height = 600, .pixels_per_line = 800},
        {.pixels = pixels, .width = 64, .height = 64, .pixels_per_line = 63},
        {.pixels = pixels, .width = 7, .height = 64, .pixels_per_line = 64},
        {.pixels = pixels, .width = 64, .height = 15, .pixels_per_line = 64},
        {.pixels = pixels, .width = 0, .height = 0, .pixels_per_line = 0},
    };

    for (size_t i = 0; i < PS_ARRAY_SIZE(surfaces); i++) {
        struct screen screen;
        struct screen_area area;

        EXPECT_EQ(screen_cells_needed(&surfaces[i]), 0);
        screen_start(&screen, &surfaces[i], screen_test_palette, 4, NULL, 0);
        EXPECT_EQ(screen.columns, 0);
        EXPECT_EQ(screen.rows, 0);
        screen_put(&screen, 0, 0, (struct screen_cell){'x', 1, 2});
        screen_fill(&screen, 0, 0, 100, 100, (struct screen_cell){'x', 1, 2});
        screen_text(&screen, 0, 0, 10, 1, 2, "text");
        screen_area_start(&area, &screen, 0, 0, 10, 10, 1, 2);
        write_text(&area, "text\nand more\ttext\r\n");
        screen_area_move(&area, 3, 20);
        EXPECT_EQ(area.rows, 0);
    }
    for (size_t i = 0; i < PS_ARRAY_SIZE(pixels); i++)
        EXPECT_EQ(pixels[i], 0);
}

static void too_few_cells_give_fewer_rows(struct test *test)
{
    struct screen_fixture fixture;

    screen_set_up(&fixture);
    screen_start(&fixture.screen, &fixture.surface, screen_test_palette, 4, fixture.cells + GUARD,
                 29);
    EXPECT_EQ(fixture.screen.columns, 10);
    EXPECT_EQ(fixture.screen.rows, 2);
    screen_start(&fixture.screen, &fixture.surface, screen_test_palette, 4, fixture.cells + GUARD,
                 9);
    EXPECT_EQ(fixture.screen.columns, 0);
    EXPECT_EQ(fixture.screen.rows, 0);
    screen_tear_down(&fixture);
}

static void wide_screens_are_scaled_by_whole_numbers(struct test *test)
{
    static const struct {
        uint32_t width, height, scale;
    } modes[] = {{320, 200, 1},  {1920, 1080, 1}, {2559, 1600, 1}, {2560, 1440, 2},
                 {2560, 480, 1}, {3840, 2160, 3}, {5120, 2880, 4}, {7680, 4320, 6}};
    static uint32_t nothing;
    struct screen_fixture fixture;

    for (size_t i = 0; i < PS_ARRAY_SIZE(modes); i++) {
        struct screen_surface surface = {.pixels = &nothing,
                                         .width = modes[i].width,
                                         .height = modes[i].height,
                                         .pixels_per_line = modes[i].width};

        EXPECT_EQ(screen_cells_needed(&surface), (modes[i].width / (8 * modes[i].scale)) *
                                                     (modes[i].height / (16 * modes[i].scale)));
    }
    screen_set_up_sized(&fixture, 2563, 970);
    EXPECT_EQ(fixture.screen.scale, 2);
    screen_text(&fixture.screen, 100, 20, 20, 1, 3, "Scaled text");
    EXPECT(screen_cell_is_shown(&fixture, 100, 20));
    EXPECT(screen_cell_is_shown(&fixture, 119, 20));
    EXPECT(screen_outside_is_untouched(&fixture));
    screen_tear_down(&fixture);
}

static void screen_goes_on_where_its_memory_is_mapped_anew(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_fixture other;

    screen_set_up(&fixture);
    screen_set_up(&other);
    screen_text(&fixture.screen, 0, 0, 5, 1, 0, "one");
    memcpy(other.cells, fixture.cells, (40 + 2 * GUARD) * sizeof(struct screen_cell));
    memcpy(other.memory, fixture.memory, (fixture.pixels + 2 * GUARD) * sizeof(uint32_t));
    screen_moved(&fixture.screen, other.memory + GUARD, other.cells + GUARD);
    screen_text(&fixture.screen, 5, 0, 5, 1, 0, "two");
    other.screen = fixture.screen;
    EXPECT_TEXT(screen_row_text(&other, 0), "one  two  ");
    EXPECT(screen_all_is_shown(&other) && screen_outside_is_untouched(&other));
    EXPECT_EQ(fixture.cells[GUARD + 5].glyph, ' ');
    screen_tear_down(&fixture);
    screen_tear_down(&other);
}

static const struct test_case cases[] = {
    TEST_CASE(start_clears_the_visible_part_only),
    TEST_CASE(letter_is_drawn_pixel_by_pixel),
    TEST_CASE(every_code_has_a_shape),
    TEST_CASE(unchanged_cell_is_not_drawn_again),
    TEST_CASE(cells_outside_are_ignored),
    TEST_CASE(text_field_is_filled_up_or_cut_visibly),
    TEST_CASE(colours_are_put_into_the_form_of_the_surface),
    TEST_CASE(unusable_surface_makes_every_call_do_nothing),
    TEST_CASE(too_few_cells_give_fewer_rows),
    TEST_CASE(wide_screens_are_scaled_by_whole_numbers),
    TEST_CASE(screen_goes_on_where_its_memory_is_mapped_anew),
};

const struct test_suite suite_screen = TEST_SUITE("screen", cases);
