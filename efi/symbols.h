/*
 * Names of the image's own functions, for fault reports: a table that the build puts into
 * the image after a first link.
 */
#ifndef EFI_SYMBOLS_H
#define EFI_SYMBOLS_H

#include <pagestage/sink.h>

extern const uint32_t symbol_count;
extern const uint32_t symbol_code_end;  /* first address behind the code; 0 without a table */
extern const uint16_t symbol_steps[];   /* from one address to the next, from the image's base on */
extern const uint8_t symbol_names[];    /* in the same order, a zero byte behind each */
extern const uint8_t symbol_pairs[][2]; /* of bytes: what 0x80 and up stand for in names */

/* First byte of the image, where the firmware loaded it. */
extern const char image_base[] __asm__("__ImageBase");

/* `address` lies in the image's code. */
bool symbol_is_code(uint64_t address);

/* "function+0x12", or the bare address outside of the code. */
void symbol_print(const struct ps_sink *sink, uint64_t address);

#endif
