/*
 * A text console on a framebuffer.
 *
 *     surface   pixels of 32 bits in memory; may be missing: then every call does nothing
 *     cells     what stands in each character place: glyph, ink and paper. Always equal to
 *               what the pixels show, so that the pixels never have to be read back: they
 *               are write-combining memory, where a read costs a hundred writes
 *     area      a rectangle of cells that text runs through: wraps, scrolls
 *
 * A cell is drawn when, and only when, its content changes. Colours are numbers of a
 * palette that the caller supplies; 0 is the paper of an empty screen.
 *
 * Coordinates are columns and rows of cells from the top left; whatever lies outside is
 * ignored, so that a picture made for a large screen is cut on a small one.
 */
#ifndef EFI_SCREEN_H
#define EFI_SCREEN_H

#include <pagestage/sink.h>

enum screen_format {
    SCREEN_BGRX, /* blue in the lowest byte */
    SCREEN_RGBX, /* red in the lowest byte */
    SCREEN_MASKED
};

struct screen_surface {
    volatile uint32_t *pixels; /* NULL: there is none */
    uint32_t width, height;
    uint32_t pixels_per_line; /* at least `width` */
    enum screen_format format;
    uint32_t red_mask, green_mask, blue_mask; /* SCREEN_MASKED: one run of bits each */
};

struct screen_cell {
    uint8_t glyph;
    uint8_t ink;
    uint8_t paper;
};

enum { SCREEN_COLOURS = 64 };

struct screen {
    struct screen_surface surface;
    struct screen_cell *cells;        /* the caller's; rows * columns of them in use */
    uint32_t columns, rows;           /* 0 where nothing can be shown */
    uint32_t scale;                   /* pixels a font pixel is wide and high */
    uint32_t left, top;               /* pixels around the cells, which are centred */
    uint32_t colours[SCREEN_COLOURS]; /* the palette in the surface's own form */
};

/* Cells that a console on this surface takes; 0 where there is no usable surface. */
size_t screen_cells_needed(const struct screen_surface *surface);

/*
 * Start on a surface and clear it. `palette` holds `colours` values 0xRRGGBB, SCREEN_COLOURS
 * at most; the rest is black. The font is scaled by whole numbers from a width of 2560 on.
 * A surface that is missing, malformed or smaller than one character gives a console of
 * 0 by 0; too few cells give one with fewer rows.
 */
void screen_start(struct screen *screen, const struct screen_surface *surface,
                  const uint32_t *palette, size_t colours, struct screen_cell *cells,
                  size_t capacity);

/*
 * The surface or the cells are mapped at another address from now on: our own page tables
 * need not place them where the firmware's did. What they hold is the same.
 */
void screen_moved(struct screen *screen, volatile uint32_t *pixels, struct screen_cell *cells);

void screen_put(struct screen *screen, uint32_t column, uint32_t row, struct screen_cell cell);

void screen_fill(struct screen *screen, uint32_t column, uint32_t row, uint32_t columns,
                 uint32_t rows, struct screen_cell cell);

/*
 * Text in a field of exactly `width` cells: what is left over is empty, what does not fit is
 * cut and ends in "..", so that it is seen.
 */
void screen_text(struct screen *screen, uint32_t column, uint32_t row, uint32_t width, uint8_t ink,
                 uint8_t paper, const char *text);

struct screen_area {
    struct screen *screen;
    uint32_t left, top, columns, rows;
    uint32_t column, row; /* where the next character goes, inside the area */
    uint8_t ink, paper;   /* of the next character */
};

/* An area cut to the screen, empty, the next character at its top left. */
void screen_area_start(struct screen_area *area, struct screen *screen, uint32_t left, uint32_t top,
                       uint32_t columns, uint32_t rows, uint8_t ink, uint8_t paper);

/*
 * Text through an area: wraps at the right edge and scrolls at the bottom, both only when
 * the next character needs the place. CR goes to the start of the line, a tab to the next
 * multiple of 4; other codes without a shape show as FONT_UNKNOWN.
 */
void screen_area_write(struct screen_area *area, const char *text, size_t length);

/* The same as a sink; `area` must outlive it. */
struct ps_sink screen_area_sink(struct screen_area *area);

/*
 * Give the area another first row and number of rows. Its text stays in it, moved along;
 * where the area shrinks below it the oldest lines are dropped. The rows given up are empty.
 */
void screen_area_move(struct screen_area *area, uint32_t top, uint32_t rows);

#endif
