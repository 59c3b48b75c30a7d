/*
 * The bitmaps of the framebuffer console: 8 by 16 pixels, one byte a row, the leftmost
 * pixel in bit 7.
 *
 * Codes 32 to 126 are ASCII. Behind them stand the few shapes that pictures need.
 */
#ifndef EFI_FONT_H
#define EFI_FONT_H

#include <stdint.h>

enum {
    FONT_WIDTH = 8,
    FONT_HEIGHT = 16,
    FONT_FIRST = 32,
    FONT_BLOCK = 127, /* all pixels set */
    FONT_LEFT_HALF,   /* the left four columns set */
    FONT_SHADE,
    FONT_LINE, /* across the middle */
    FONT_DOT,
    FONT_UNKNOWN, /* shown for every code that has no shape */
    FONT_BAR,     /* a band across the middle, for bars and colour samples */
};

/* FONT_HEIGHT bytes; never NULL. */
const uint8_t *font_glyph(uint8_t code);

#endif
