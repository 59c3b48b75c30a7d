#include "display_private.h"

#include "memory_strip.h"

const uint32_t display_palette[SCREEN_COLOURS] = {
    [PAPER] = 0x11161e,
    [INK] = 0xc3ccd8,
    [DIM] = 0x74808f,
    [BRIGHT] = 0xf2f5f8,
    [ACCENT] = 0x6cb2eb,
    [TITLE_PAPER] = 0x22344a,
    [TROUGH] = 0x2a3442,
    [GREEN] = 0x56b877,
    [RED] = 0xe8646c,
    [YELLOW] = 0xd9b04c,
    [GREEN_PAPER] = 0x24804a,
    [RED_PAPER] = 0xa82a37,
    [MEMORY + PS_MEMORY_USABLE] = 0x3f9c6b,
    [MEMORY + PS_MEMORY_LOW] = 0x86cf9f,
    [MEMORY + PS_MEMORY_BOOT_SERVICES] = 0x4a86c8,
    [MEMORY + PS_MEMORY_LOADER] = 0x41b6c4,
    [MEMORY + PS_MEMORY_IMAGE] = 0xf0f0f0,
    [MEMORY + PS_MEMORY_ACPI_RECLAIM] = 0xe3c35b,
    [MEMORY + PS_MEMORY_SOFT_RESERVED] = 0x9aa84a,
    [MEMORY + PS_MEMORY_UNACCEPTED] = 0x7d6648,
    [MEMORY + PS_MEMORY_PERSISTENT] = 0xb9a3e3,
    [MEMORY + PS_MEMORY_NOT_CACHEABLE] = 0xa9805a,
    [MEMORY + PS_MEMORY_ACPI_NVS] = 0xe0893c,
    [MEMORY + PS_MEMORY_RUNTIME_DATA] = 0xd17fbb,
    [MEMORY + PS_MEMORY_RUNTIME_CODE] = 0x9a5fcf,
    [MEMORY + PS_MEMORY_FRAMEBUFFER] = 0xf5f06e,
    [MEMORY + PS_MEMORY_MMIO] = 0xb5524a,
    [MEMORY + PS_MEMORY_RESERVED] = 0x808a97,
    [MEMORY + PS_MEMORY_NULL] = 0x8f2f45,
    [MEMORY + PS_MEMORY_BAD] = 0xff3b3b,
    [MEMORY + MEMORY_STRIP_HOLE] = 0x27303d,
};
_Static_assert((int)MEMORY + (int)MEMORY_STRIP_TYPES <= (int)SCREEN_COLOURS, "a colour a type");

/* ---- parts of the picture ---- */

static uint32_t bottom_rows(const struct display *display)
{
    return is_roomy(display) ? 3 : 1;
}

void display_text(struct display *display, uint32_t column, uint32_t row, uint32_t width,
                  enum colour ink, const char *text)
{
    screen_text(display->screen, column, row, width, (uint8_t)ink, PAPER, text);
}

void display_clear_row(struct display *display, uint32_t row, enum colour paper)
{
    screen_fill(display->screen, 0, row, display->screen->columns, 1,
                (struct screen_cell){' ', (uint8_t)paper, (uint8_t)paper});
}

uint32_t display_text_length(const char *text)
{
    uint32_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

void display_text_before(struct display *display, uint32_t end, uint32_t row, enum colour ink,
                         enum colour paper, const char *text)
{
    uint32_t length = display_text_length(text);

    if (length <= end)
        screen_text(display->screen, end - length, row, length, (uint8_t)ink, (uint8_t)paper, text);
}

/* ---- layout ---- */

static uint32_t log_heading_rows(const struct display *display)
{
    return is_tiny(display) ? 0 : 1;
}

static void draw_log_heading(struct display *display, uint32_t row)
{
    const char *title = display->has_failures ? "Failures and messages" : "Messages";
    uint32_t rule = LEFT + display_text_length(title) + 1;

    if (log_heading_rows(display) == 0)
        return;
    display_clear_row(display, row, PAPER);
    display_text(display, LEFT, row, display_text_length(title), ACCENT, title);
    screen_fill(display->screen, rule, row, less(LEFT + width_of(display), rule), 1,
                (struct screen_cell){FONT_LINE, TROUGH, PAPER});
}

static uint32_t gap_of(const struct display *display)
{
    return is_roomy(display) ? 1 : 0;
}

/* The first row that does not belong to the log. */
static uint32_t log_end(const struct display *display)
{
    return less(display->screen->rows, bottom_rows(display) + gap_of(display));
}

/* Where what follows a part of `rows` rows begins. */
static uint32_t after(const struct display *display, uint32_t top, uint32_t rows)
{
    return rows == 0 ? top : top + rows + gap_of(display);
}

uint32_t display_free_rows(const struct display *display)
{
    uint32_t top = after(display, 1 + gap_of(display), display->map_rows);

    return less(log_end(display), top + gap_of(display) + log_heading_rows(display));
}

void display_lay_out(struct display *display)
{
    uint32_t heading;
    uint32_t top;

    if (display->only_log)
        display->map_rows = display->tests_rows = 0;
    display->map_top = 1 + gap_of(display);
    display->tests_top = after(display, display->map_top, display->map_rows);
    heading = after(display, display->tests_top, display->tests_rows);
    top = heading + log_heading_rows(display);
    screen_area_move(&display->log, top, less(log_end(display), top));
    draw_log_heading(display, heading);
}

void display_start(struct display *display, struct screen *screen)
{
    *display = (struct display){.screen = screen, .all = {.name = "all cases"}};
    display_clear_row(display, 0, TITLE_PAPER);
    screen_area_start(&display->log, screen, LEFT, 1, width_of(display), 0, INK, PAPER);
    display_lay_out(display);
}

void display_machine(struct display *display, const char *version, const char *processor,
                     uint64_t ram_bytes)
{
    struct screen *screen = display->screen;
    struct ps_text_buffer buffer;
    char text[TEXT_SIZE];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    display_clear_row(display, 0, TITLE_PAPER);
    ps_print(&sink, "Pagestage %s", version);
    screen_text(screen, LEFT, 0, display_text_length(text), BRIGHT, TITLE_PAPER, text);
    sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    if (screen->columns >= 80)
        ps_print(&sink, "%.60s   ", processor);
    if (ram_bytes != 0)
        ps_print_size(&sink, ram_bytes);
    ps_print(&sink, "%s", ram_bytes != 0 ? " RAM" : "");
    display_text_before(display, less(screen->columns, LEFT), 0, INK, TITLE_PAPER, text);
}

/* ---- cases, failures, messages ---- */

static uint32_t status_row(const struct display *display)
{
    return less(display->screen->rows, 1 + bottom_rows(display) / 2);
}

void display_case(struct display *display, const char *name)
{
    const struct display_suite *suite = display_running_suite(display);
    struct ps_text_buffer buffer;
    char text[TEXT_SIZE];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    ps_print(&sink, "%s%s%s", suite == NULL ? "" : suite->name, suite == NULL ? "" : "/", name);
    display_text(display, LEFT, status_row(display), 8, DIM, "running");
    display_text(display, LEFT + 8, status_row(display), less(width_of(display), 8), BRIGHT, text);
}

static void log_text(struct display *display, enum colour ink, const char *text)
{
    display->log.ink = (uint8_t)ink;
    screen_area_write(&display->log, text, display_text_length(text));
    display->log.ink = INK;
}

/* A line of its own, whatever was written before. */
static void log_line(struct display *display, enum colour ink, const char *text)
{
    if (display->log.column != 0)
        log_text(display, ink, "\n");
    log_text(display, ink, text);
    if (display->log.column != 0)
        log_text(display, ink, "\n");
}

void display_failure(struct display *display, const char *name, const char *notes)
{
    log_line(display, RED, name);
    log_line(display, INK, notes);
    if (display->has_failures)
        return;
    display->has_failures = true;
    draw_log_heading(display, less(display->log.top, 1));
}

void display_message(struct display *display, const char *text)
{
    log_line(display, INK, text);
}

void display_bail_out(struct display *display, const char *reason)
{
    log_line(display, RED, "Bail out!");
    log_line(display, BRIGHT, reason);
}

static void sink_write(void *context, const char *text, size_t length)
{
    struct display *display = context;

    screen_area_write(&display->log, text, length);
}

struct ps_sink display_sink(struct display *display)
{
    return (struct ps_sink){.write = sink_write, .context = display};
}

void display_enlarge_log(struct display *display)
{
    display->only_log = true;
    display_lay_out(display);
}

void display_verdict(struct display *display, bool passed, const char *next)
{
    const struct display_suite *all = &display->all;
    enum colour paper = passed ? GREEN_PAPER : RED_PAPER;
    uint32_t rows = bottom_rows(display);
    struct ps_text_buffer buffer;
    char text[TEXT_SIZE];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    if (passed)
        ps_print(&sink, "ALL PASSED %" PS_PRIu, all->counts[DISPLAY_PASSED]);
    else if (all->counts[DISPLAY_FAILED] != 0)
        ps_print(&sink, "FAILED %" PS_PRIu, all->counts[DISPLAY_FAILED]);
    else
        ps_print(&sink, "FAILED: the run did not finish");
    if (all->counts[DISPLAY_SKIPPED] != 0)
        ps_print(&sink, ", skipped %" PS_PRIu, all->counts[DISPLAY_SKIPPED]);
    for (uint32_t i = 0; i < rows; i++)
        display_clear_row(display, less(display->screen->rows, i + 1), paper);
    screen_text(display->screen, LEFT + 1, status_row(display), display_text_length(text), BRIGHT,
                (uint8_t)paper, text);
    display_text_before(display, less(display->screen->columns, LEFT + 1), status_row(display),
                        BRIGHT, paper, next);
}
