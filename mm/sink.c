#include <pagestage/sink.h>

/* One conversion of a format string, as far as it has been read. */
struct conversion {
    bool left;
    bool zero;
    bool alternate;
    int width;
    int precision; /* -1: none */
    int longs;     /* -2 hh, -1 h, 0 int, 1 l, 2 ll, 3 z */
    char letter;
};

static void put(const struct ps_sink *sink, const char *text, size_t length)
{
    if (sink != NULL && sink->write != NULL && length != 0)
        sink->write(sink->context, text, length);
}

static void put_fill(const struct ps_sink *sink, char fill, int count)
{
    for (; count > 0; count--)
        put(sink, &fill, 1);
}

static void put_padded(const struct ps_sink *sink, const struct conversion *spec, const char *text,
                       int length)
{
    if (!spec->left)
        put_fill(sink, ' ', spec->width - length);
    put(sink, text, (size_t)length);
    if (spec->left)
        put_fill(sink, ' ', spec->width - length);
}

static void put_string(const struct ps_sink *sink, const struct conversion *spec, const char *text)
{
    int length = 0;

    if (text == NULL)
        text = "(null)";
    while ((spec->precision < 0 || length < spec->precision) && text[length] != '\0')
        length++;
    put_padded(sink, spec, text, length);
}

/* Sign or 0x first, then zeros up to the width, then the digits. */
static void put_number(const struct ps_sink *sink, const struct conversion *spec, uint64_t value,
                       const char *prefix)
{
    const char *digits = spec->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned base = spec->letter == 'd' || spec->letter == 'u' ? 10 : 16;
    int prefix_length = 0;
    char text[32];
    int at = (int)sizeof(text);
    int zeros;

    while (prefix[prefix_length] != '\0')
        prefix_length++;
    do {
        text[--at] = digits[value % base];
        value /= base;
    } while (value != 0);
    zeros = spec->zero && !spec->left ? spec->width - prefix_length - ((int)sizeof(text) - at) : 0;
    for (; zeros > 0 && at > prefix_length; zeros--)
        text[--at] = '0';
    for (int i = prefix_length; i > 0; i--)
        text[--at] = prefix[i - 1];
    put_padded(sink, spec, text + at, (int)sizeof(text) - at);
}

static uint64_t take_unsigned(va_list *arguments, int longs)
{
    switch (longs) {
    case 3:
        return va_arg(*arguments, size_t);
    case 2:
        return va_arg(*arguments, unsigned long long);
    case 1:
        return va_arg(*arguments, unsigned long);
    default:
        return va_arg(*arguments, unsigned int);
    }
}

static int64_t take_signed(va_list *arguments, int longs)
{
    switch (longs) {
    case 3:
        return (int64_t)va_arg(*arguments, size_t);
    case 2:
        return va_arg(*arguments, long long);
    case 1:
        return va_arg(*arguments, long);
    default:
        return va_arg(*arguments, int);
    }
}

static void put_signed(const struct ps_sink *sink, const struct conversion *spec, int64_t value)
{
    /* -(value + 1) cannot overflow, also for the smallest value. */
    if (value < 0)
        put_number(sink, spec, (uint64_t)(-(value + 1)) + 1, "-");
    else
        put_number(sink, spec, (uint64_t)value, "");
}

static const char *read_number(const char *at, va_list *arguments, int *number)
{
    if (*at == '*') {
        *number = va_arg(*arguments, int);
        return at + 1;
    }
    for (*number = 0; *at >= '0' && *at <= '9' && *number < 1000; at++)
        *number = *number * 10 + (*at - '0');
    return at;
}

/* Read the conversion after a '%'; returns the character behind it. */
static const char *read_conversion(const char *at, va_list *arguments, struct conversion *spec)
{
    *spec = (struct conversion){.precision = -1};
    for (; *at == '-' || *at == '0' || *at == '#'; at++) {
        spec->left |= *at == '-';
        spec->zero |= *at == '0';
        spec->alternate |= *at == '#';
    }
    at = read_number(at, arguments, &spec->width);
    if (*at == '.')
        at = read_number(at + 1, arguments, &spec->precision);
    for (; *at == 'l' || *at == 'h' || *at == 'z'; at++)
        spec->longs = *at == 'z' ? 3 : spec->longs + (*at == 'l' ? 1 : -1);
    spec->letter = *at;
    return *at == '\0' ? at : at + 1;
}

/* False when the conversion is not known. */
static bool put_conversion(const struct ps_sink *sink, struct conversion *spec, va_list *arguments)
{
    char letter;

    switch (spec->letter) {
    case '%':
        put(sink, "%", 1);
        return true;
    case 'c':
        letter = (char)va_arg(*arguments, int);
        put_padded(sink, spec, &letter, 1);
        return true;
    case 's':
        put_string(sink, spec, va_arg(*arguments, const char *));
        return true;
    case 'd':
    case 'i':
        spec->letter = 'd';
        put_signed(sink, spec, take_signed(arguments, spec->longs));
        return true;
    case 'u':
    case 'x':
    case 'X':
        put_number(sink, spec, take_unsigned(arguments, spec->longs), spec->alternate ? "0x" : "");
        return true;
    case 'p':
        put_number(sink, spec, (uint64_t)(uintptr_t)va_arg(*arguments, void *), "0x");
        return true;
    default:
        return false;
    }
}

void ps_print_list(const struct ps_sink *sink, const char *format, va_list arguments)
{
    va_list rest; /* a va_list parameter may be an array; a copy can be pointed to */
    const char *at = format;
    const char *literal = format;

    va_copy(rest, arguments);
    while (*at != '\0') {
        struct conversion spec;
        const char *percent = at;

        if (*at++ != '%')
            continue;
        put(sink, literal, (size_t)(percent - literal));
        at = read_conversion(at, &rest, &spec);
        literal = put_conversion(sink, &spec, &rest) ? at : percent;
    }
    put(sink, literal, (size_t)(at - literal));
    va_end(rest);
}

void ps_print(const struct ps_sink *sink, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    ps_print_list(sink, format, arguments);
    va_end(arguments);
}

static void text_buffer_write(void *context, const char *text, size_t length)
{
    struct ps_text_buffer *buffer = context;

    for (size_t i = 0; i < length; i++, buffer->length++) {
        if (buffer->size != 0 && buffer->length < buffer->size - 1) {
            buffer->text[buffer->length] = text[i];
            buffer->text[buffer->length + 1] = '\0';
        }
    }
}

struct ps_sink ps_text_buffer_sink(struct ps_text_buffer *buffer, char *text, size_t size)
{
    *buffer = (struct ps_text_buffer){.text = text, .size = size};
    if (size != 0)
        text[0] = '\0';
    return (struct ps_sink){.write = text_buffer_write, .context = buffer};
}

void ps_print_size(const struct ps_sink *sink, uint64_t bytes)
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t tenths;

    while (unit + 1 < PS_ARRAY_SIZE(units) && bytes >> (10 * (unit + 1)) != 0)
        unit++;
    tenths = unit == 0 ? 0 : ((bytes >> (10 * (unit - 1))) & 1023) * 10 / 1024;
    if (tenths == 0)
        ps_print(sink, "%" PS_PRIu " %s", bytes >> (10 * unit), units[unit]);
    else
        ps_print(sink, "%" PS_PRIu ".%" PS_PRIu " %s", bytes >> (10 * unit), tenths, units[unit]);
}
