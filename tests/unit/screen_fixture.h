/*
 * A screen between guard bands for tests: its lines are longer than the screen is wide, and
 * all of its memory is filled with junk before the console starts.
 */
#ifndef TESTS_UNIT_SCREEN_FIXTURE_H
#define TESTS_UNIT_SCREEN_FIXTURE_H

#include "../../efi/screen.h"
#include "harness/test.h"

enum { GUARD = 256, PADDING = 7, SCREEN_TEST_COLOURS = 4 };

#define JUNK 0xdeadbeefu

extern const uint32_t screen_test_palette[SCREEN_TEST_COLOURS];

struct screen_fixture {
    struct screen screen;
    struct screen_surface surface;
    uint32_t *memory; /* guard, lines, guard */
    size_t pixels;
    struct screen_cell *cells; /* guard, cells, guard */
    size_t cell_count;
};

/* Started with the palette above. */
void screen_set_up_sized(struct screen_fixture *fixture, uint32_t width, uint32_t height);

/* 10 columns and 4 rows, with an edge that no cell covers: 2 pixels left, 1 on top. */
void screen_set_up(struct screen_fixture *fixture);

void screen_tear_down(struct screen_fixture *fixture);

uint32_t screen_pixel(const struct screen_fixture *fixture, uint32_t x, uint32_t y);

/* Guard bands, and what lies behind the visible part of each line. */
bool screen_outside_is_untouched(const struct screen_fixture *fixture);

/* The pixels of one cell, or of all, are what the cells say. Only with the palette above. */
bool screen_cell_is_shown(const struct screen_fixture *fixture, uint32_t column, uint32_t row);
bool screen_all_is_shown(const struct screen_fixture *fixture);

/* One row as text, with '?' for other glyphs; good until the next call. */
const char *screen_row_text(const struct screen_fixture *fixture, uint32_t row);

#endif
