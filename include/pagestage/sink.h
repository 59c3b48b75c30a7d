/*
 * Text leaves the library only through a sink that the caller supplies.
 *
 * A sink is a function and its context. The library formats, the sink carries: to a
 * UART, a screen, a buffer, a file. Nothing here allocates or keeps state.
 */
#ifndef PAGESTAGE_SINK_H
#define PAGESTAGE_SINK_H

#include <stdarg.h>
#include <pagestage/types.h>

struct ps_sink {
    void (*write)(void *context, const char *text, size_t length);
    void *context;
};

/*
 * Format into a sink. Understands %c %s %d %i %u %x %X %p %%, the sizes h hh l ll z, the
 * flags '-', '0' and '#', a width and (for %s) a precision, either of them as '*'.
 * An unknown conversion is written as it stands. A NULL sink, or one without a write
 * function, swallows everything; a NULL string prints as "(null)".
 * Cost: one call of the sink per literal stretch and per conversion.
 */
void ps_print(const struct ps_sink *sink, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ps_print_list(const struct ps_sink *sink, const char *format, va_list arguments);

/*
 * A sink into a buffer: keeps the text zero-terminated, cuts what does not fit and says
 * how long the whole text would have been. `size` may be 0 when only the length matters.
 */
struct ps_text_buffer {
    char *text;
    size_t size;
    size_t length; /* of everything written so far, also of what was cut */
};

struct ps_sink ps_text_buffer_sink(struct ps_text_buffer *buffer, char *text, size_t size);

/* "512 B", "4 KiB", "2 MiB", "1.5 GiB": exact where whole, else one decimal, rounded down. */
void ps_print_size(const struct ps_sink *sink, uint64_t bytes);

#endif
