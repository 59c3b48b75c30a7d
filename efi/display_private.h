/*
 * Shared by the parts of the display: display.c (layout, title, log, verdict),
 * display_memory.c (the memory picture), display_tests.c (the table of suites).
 */
#ifndef EFI_DISPLAY_PRIVATE_H
#define EFI_DISPLAY_PRIVATE_H

#include "display.h"
#include "font.h"

enum colour {
    PAPER,
    INK,
    DIM,
    BRIGHT,
    ACCENT,
    TITLE_PAPER,
    TROUGH, /* the part of a bar that is still to come */
    GREEN,
    RED,
    YELLOW,
    GREEN_PAPER,
    RED_PAPER,
    MEMORY, /* the memory types in their order, then the hole */
};

enum {
    LEFT = 1, /* free columns at both edges */
    TEXT_SIZE = 128,
};

static inline uint32_t less(uint32_t value, uint32_t taken)
{
    return value < taken ? 0 : value - taken;
}

/* Screens of a laptop's size; smaller ones do without blank lines and headings. */
static inline bool is_roomy(const struct display *display)
{
    return display->screen->rows >= 30 && display->screen->columns >= 80;
}

/* Below this, text goes before tables: no headings, no legend. */
static inline bool is_tiny(const struct display *display)
{
    return display->screen->rows < 20;
}

/* Columns between the edges. */
static inline uint32_t width_of(const struct display *display)
{
    return less(display->screen->columns, 2 * LEFT);
}

uint32_t display_text_length(const char *text);

/* A field of `width` cells on the ordinary paper. */
void display_text(struct display *display, uint32_t column, uint32_t row, uint32_t width,
                  enum colour ink, const char *text);

/* A text that ends just before column `end`; left out where it does not fit. */
void display_text_before(struct display *display, uint32_t end, uint32_t row, enum colour ink,
                         enum colour paper, const char *text);

void display_clear_row(struct display *display, uint32_t row, enum colour paper);

/* Place the parts below each other; the log gets what is left and keeps its text. */
void display_lay_out(struct display *display);

/* Rows between the memory picture and the end of the log, the log's heading taken off. */
uint32_t display_free_rows(const struct display *display);

/* Choose the form of the table of suites, lay out and draw it. */
void display_size_tests(struct display *display);

/* NULL between suites. */
struct display_suite *display_running_suite(struct display *display);

#endif
