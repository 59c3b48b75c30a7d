#include "display_private.h"

enum { SUITE_MIN_WIDTH = 40, SUITE_MAX_WIDTH = 110 };

/* Columns of the table, for an entry of a given width. */
struct suite_form {
    uint32_t name, bar, number;
};

static struct suite_form form_of(uint32_t width)
{
    struct suite_form form = {.name = 13, .number = 5};

    if (width >= 90)
        form = (struct suite_form){.name = 28, .number = 9};
    else if (width >= 46)
        form = (struct suite_form){.name = 18, .number = 6};
    form.bar = less(width, 2 + form.name + 1 + 3 * form.number + 2);
    return form;
}

static uint32_t suite_width(const struct display *display)
{
    uint32_t share = width_of(display) / (uint32_t)ps_max(1, display->suite_columns);

    return (uint32_t)ps_min(share, SUITE_MAX_WIDTH);
}

/* Cells of a bar that `part` of `whole` cases take; what exists is seen. */
static uint32_t bar_cells(uint64_t part, uint64_t whole, uint32_t bar)
{
    if (part == 0 || whole == 0 || bar == 0)
        return 0;
    return (uint32_t)ps_max(1, ps_min(part, whole) * bar / whole);
}

/* Green, then yellow and red at its end, then what is still to come. */
static enum colour bar_colour(const struct display_suite *suite, uint64_t whole, uint32_t width,
                              uint32_t place)
{
    const uint64_t *counts = suite->counts;
    uint64_t done = counts[DISPLAY_PASSED] + counts[DISPLAY_FAILED] + counts[DISPLAY_SKIPPED];
    uint32_t left = bar_cells(done, whole, width);
    uint32_t failed = bar_cells(counts[DISPLAY_FAILED], whole, width);

    if (place >= left)
        return TROUGH;
    if (place >= less(left, failed))
        return RED;
    left = less(left, failed);
    return place >= less(left, bar_cells(counts[DISPLAY_SKIPPED], whole, width)) ? YELLOW : GREEN;
}

static void draw_bar(struct display *display, uint32_t column, uint32_t row, uint32_t width,
                     const struct display_suite *suite)
{
    uint64_t whole = suite->cases;

    for (unsigned i = 0; i < DISPLAY_OUTCOMES && suite->cases == 0; i++)
        whole += suite->counts[i]; /* nobody said how many there are */
    for (uint32_t i = 0; i < width; i++)
        screen_put(
            display->screen, column + i, row,
            (struct screen_cell){FONT_BAR, (uint8_t)bar_colour(suite, whole, width, i), PAPER});
}

static void draw_count(struct display *display, uint32_t end, uint32_t row, uint32_t width,
                       uint64_t count, enum colour ink)
{
    struct ps_text_buffer buffer;
    char text[TEXT_SIZE];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    ps_print(&sink, "%*" PS_PRIu, (int)width, count);
    display_text_before(display, end, row, count == 0 ? DIM : ink, PAPER, text);
}

static void draw_suite(struct display *display, uint32_t column, uint32_t row,
                       const struct display_suite *suite, enum colour ink)
{
    static const enum colour inks[DISPLAY_OUTCOMES] = {INK, RED, YELLOW};
    struct suite_form form = form_of(suite_width(display));
    uint32_t at = column + 2;

    screen_put(display->screen, column, row,
               (struct screen_cell){suite->running ? '>' : ' ', ACCENT, PAPER});
    display_text(display, at, row, form.name, suite->counts[DISPLAY_FAILED] != 0 ? RED : ink,
                 suite->name);
    at += form.name + 1;
    draw_bar(display, at, row, form.bar, suite);
    at += form.bar;
    for (unsigned i = 0; i < DISPLAY_OUTCOMES; i++) {
        at += form.number;
        draw_count(display, at, row, form.number, suite->counts[i], inks[i]);
    }
}

static void draw_table_heading(struct display *display)
{
    static const char *const labels[][DISPLAY_OUTCOMES] = {{"pass", "fail", "skip"},
                                                           {"passed", "failed", "skipped"}};
    struct suite_form form = form_of(suite_width(display));
    uint32_t at = LEFT + 2 + form.name + 1 + form.bar;

    display_clear_row(display, display->tests_top, PAPER);
    display_text(display, LEFT, display->tests_top, 5, ACCENT, "Tests");
    for (unsigned i = 0; i < DISPLAY_OUTCOMES; i++) {
        at += form.number;
        display_text_before(display, at, display->tests_top, DIM, PAPER,
                            labels[form.number > 7][i]);
    }
}

/* Rows above the suites: the whole run, and the headings where there is room. */
static uint32_t table_heading_rows(const struct display *display)
{
    return is_tiny(display) ? 0 : 1;
}

static size_t suite_slots(const struct display *display)
{
    uint32_t rows = less(display->tests_rows, table_heading_rows(display) + 1);

    return (size_t)rows * display->suite_columns;
}

static void draw_all_cases(struct display *display)
{
    if (display->tests_rows != 0)
        draw_suite(display, LEFT, display->tests_top + table_heading_rows(display), &display->all,
                   BRIGHT);
}

/* The suites fill one column of the table after the other; the newest ones are shown. */
static void draw_suite_number(struct display *display, size_t number)
{
    size_t slots = suite_slots(display);
    size_t first = display->suite_count > slots ? display->suite_count - slots : 0;
    const struct display_suite *suite = &display->suites[number];
    size_t rows = slots / ps_max(1, display->suite_columns);
    uint32_t top = display->tests_top + table_heading_rows(display) + 1;

    if (number < first || number - first >= slots)
        return;
    number -= first;
    draw_suite(display, LEFT + (uint32_t)(number / rows) * suite_width(display),
               top + (uint32_t)(number % rows), suite, INK);
}

static void redraw(struct display *display)
{
    for (uint32_t row = 0; row < display->tests_rows; row++)
        display_clear_row(display, display->tests_top + row, PAPER);
    if (is_roomy(display))
        display_clear_row(display, display->tests_top + display->tests_rows, PAPER);
    if (table_heading_rows(display) != 0)
        draw_table_heading(display);
    draw_all_cases(display);
    for (size_t i = 0; i < display->suite_count; i++)
        draw_suite_number(display, i);
}

/* Rows of suites that leave a fifth of the screen to the log. */
static uint32_t most_suite_rows(const struct display *display)
{
    uint32_t rows = display->screen->rows;
    uint32_t fixed = rows / 5 + table_heading_rows(display) + 1;

    return (uint32_t)ps_max(1, ps_min(rows / 3, less(display_free_rows(display), fixed)));
}

/* One column of suites if it fits, else as many as there is room for. */
void display_size_tests(struct display *display)
{
    uint32_t most = most_suite_rows(display);
    uint32_t fitting = (uint32_t)ps_max(1, width_of(display) / SUITE_MIN_WIDTH);
    uint32_t suites = (uint32_t)ps_max(1, ps_min(display->planned_suites, DISPLAY_SUITES));
    uint32_t columns = 1;

    while (columns < fitting && (suites + columns - 1) / columns > most)
        columns++;
    display->suite_columns = columns;
    display->tests_rows =
        table_heading_rows(display) + 1 + (uint32_t)ps_min((suites + columns - 1) / columns, most);
    display_lay_out(display);
    redraw(display);
}

void display_plan(struct display *display, size_t suites, uint64_t cases)
{
    if (display->only_log)
        return;
    display->planned_suites = suites;
    display->all.cases = cases;
    display_size_tests(display);
}

struct display_suite *display_running_suite(struct display *display)
{
    struct display_suite *last;

    if (display->suite_count == 0)
        return NULL;
    last = &display->suites[display->suite_count - 1];
    return last->running ? last : NULL;
}

static void forget_oldest(struct display *display)
{
    for (size_t i = 1; i < display->suite_count; i++)
        display->suites[i - 1] = display->suites[i];
    display->suite_count--;
}

void display_suite_started(struct display *display, const char *name, uint64_t cases)
{
    bool full = display->suite_count == DISPLAY_SUITES;

    display_suite_finished(display);
    if (full)
        forget_oldest(display);
    display->suites[display->suite_count++] =
        (struct display_suite){.name = name, .cases = cases, .running = true};
    display->planned_suites = ps_max(display->planned_suites, display->suite_count);
    if (display->only_log)
        return;
    if (full || display->suite_count > suite_slots(display))
        display_size_tests(display);
    else
        draw_suite_number(display, display->suite_count - 1);
}

void display_suite_finished(struct display *display)
{
    struct display_suite *suite = display_running_suite(display);

    if (suite == NULL)
        return;
    suite->running = false;
    draw_suite_number(display, display->suite_count - 1);
}

void display_result(struct display *display, enum display_outcome outcome)
{
    struct display_suite *suite = display_running_suite(display);

    display->all.counts[outcome]++;
    draw_all_cases(display);
    if (suite == NULL)
        return;
    suite->counts[outcome]++;
    draw_suite_number(display, display->suite_count - 1);
}
