#include "console.h"

#include "display.h"
#include "serial.h"

static struct serial serial;
static struct ps_sink serial_console;
static struct report report;
static struct screen screen;
static struct screen_surface surface;
static struct display display;

/* Reserved before the exit. */
static struct screen_cell *cells;
static size_t cell_count;
static char *log_text;

static const char *suite_shown;

/* ---- before the exit ---- */

void console_start(void)
{
    struct port_io io = port_hardware();
    struct ps_sink firmware = firmware_console();

    (void)serial_start(&serial, &io, SERIAL_COM1);
    serial_console = serial_sink(&serial);
    ps_print(&firmware, "Pagestage " PS_VERSION "\n");
    ps_print(&serial_console, "\n# image: {\"base\":\"0x%" PS_PRIx "\"}\n",
             (uint64_t)(uintptr_t)image_base);
}

static void describe_surface(const struct firmware_graphics *graphics)
{
    surface = (struct screen_surface){
        .pixels = graphics->usable ? ps_pointer_of_virt(ps_virt(graphics->base.addr)) : NULL,
        .width = graphics->width,
        .height = graphics->height,
        .pixels_per_line = graphics->pixels_per_line,
        .format = SCREEN_MASKED,
        .red_mask = graphics->red_mask,
        .green_mask = graphics->green_mask,
        .blue_mask = graphics->blue_mask,
    };
}

bool console_reserve(const struct firmware_graphics *graphics)
{
    describe_surface(graphics);
    cell_count = screen_cells_needed(&surface);
    if (cell_count != 0)
        cells = firmware_allocate(cell_count * sizeof(*cells));
    log_text = firmware_allocate(APPLICATION_LOG_BYTES);
    return log_text != NULL && (cells != NULL || cell_count == 0);
}

/* ---- after it ---- */

void console_left_firmware(void)
{
    const struct screen_surface nothing = {.pixels = NULL};

    screen_start(&screen, &nothing, display_palette, SCREEN_COLOURS, NULL, 0);
    display_start(&display, &screen);
    report_start(&report, log_text, APPLICATION_LOG_BYTES);
    (void)report_attach(&report, &serial_console);
    report_begin(&report, PS_VERSION);
}

void console_start_screen(const struct application *app)
{
    screen_start(&screen, &surface, display_palette, SCREEN_COLOURS, cells, cell_count);
    display_start(&display, &screen);
    display_machine(&display, PS_VERSION, app->features.brand, 0);
    display_message(&display, "left the firmware, taking the machine over");
}

void console_moved(const struct application *app)
{
    const struct ps_memory_map *map = &app->stage.map;
    uint64_t ram = 0;

    if (surface.pixels != NULL)
        screen.surface.pixels = ps_pointer_of_virt(app->stage.framebuffer);
    if (cells != NULL)
        screen.cells = ps_stage_pointer(&app->stage, cells);
    report.log.text = ps_stage_pointer(&app->stage, log_text);
    for (size_t i = 0; i < map->count; i++)
        if (ps_memory_type_is_ram(map->ranges[i].type))
            ram += ps_bytes_of_pages(map->ranges[i].pages);
    display_machine(&display, PS_VERSION, app->features.brand, ram);
    display_memory_map(&display, map);
    display_message(&display, "running on page tables of our own");
}

struct report *console_report(void)
{
    return &report;
}

static void write_everywhere(void *context, const char *text, size_t length)
{
    struct ps_sink shown = display_sink(&display);

    (void)context;
    report.sink.write(report.sink.context, text, length);
    shown.write(shown.context, text, length);
}

struct ps_sink console_screen(void)
{
    return display_sink(&display);
}

struct ps_sink console_sink(void)
{
    return (struct ps_sink){.write = write_everywhere};
}

void console_make_room(void)
{
    display_enlarge_log(&display);
}

/* ---- progress ---- */

static uint64_t cases_of(const struct test_runner *runner, const struct test_suite *suite)
{
    return test_count(runner, &suite, 1);
}

void console_plan(const struct test_runner *runner, const struct test_suite *const *suites,
                  size_t count)
{
    size_t with_cases = 0;

    for (size_t i = 0; i < count; i++)
        with_cases += cases_of(runner, suites[i]) != 0;
    display_plan(&display, with_cases, test_count(runner, suites, count));
}

void console_suite(const struct test_runner *runner, const struct test_suite *suite)
{
    if (suite_shown != NULL)
        display_suite_finished(&display);
    suite_shown = suite->name;
    display_suite_started(&display, suite->name, cases_of(runner, suite));
}

void console_case(const struct test *test)
{
    display_case(&display, test->name);
}

void console_case_done(const struct test *test, const char *died)
{
    char name[128];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, name, sizeof(name));

    if (died == NULL && test->failures == 0) {
        display_result(&display, test->skipped != NULL ? DISPLAY_SKIPPED : DISPLAY_PASSED);
        return;
    }
    display_result(&display, DISPLAY_FAILED);
    ps_print(&sink, "%s/%s%s%s", test->suite, test->name, died == NULL ? "" : ": ",
             died == NULL ? "" : died);
    display_failure(&display, name, test->notes.text);
}

/* ---- the end ---- */

void console_report_end(const struct report_counts *counts)
{
    if (suite_shown != NULL)
        display_suite_finished(&display);
    report_end(&report, counts);
    serial_drain(&serial);
}

void console_bail_out(const char *reason)
{
    report_bail_out(&report, reason);
    display_bail_out(&display, reason);
    serial_drain(&serial);
}

void console_note(const char *text)
{
    display_message(&display, text);
}

void console_message(const char *text)
{
    ps_print(&report.sink, "# %s\n", text);
    display_message(&display, text);
    serial_drain(&serial);
}

void console_verdict(const struct config *config, bool passed)
{
    static const char *const next[] = {
        [CONFIG_END_POWER_OFF] = "powering off",
        [CONFIG_END_RESET] = "restarting",
        [CONFIG_END_HALT] = "halted: press the power button",
        [CONFIG_END_WATCH] = "watching the page tables for damage",
    };

    display_verdict(&display, passed, next[config->end]);
}
