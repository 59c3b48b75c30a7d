/*
 * All consoles at once: the serial line, the firmware's text console until the exit, the
 * screen. This is the only file that knows which of them there are.
 */
#ifndef EFI_CONSOLE_H
#define EFI_CONSOLE_H

#include "application.h"
#include "harness/test.h"
#include "report.h"
#include "symbols.h"

/* Probe the serial line and say on both early consoles who is starting, and where from. */
void console_start(void);

/* Memory for the screen's cells and the kept report; false when there is none. */
bool console_reserve(const struct firmware_graphics *graphics);

/* The firmware's console is gone: the report begins. */
void console_left_firmware(void);

/* The screen is ours; apart, because drawing may fault where a framebuffer is not mapped. */
void console_start_screen(const struct application *app);

/* The root changed: what was reached by its physical address has moved. */
void console_moved(const struct application *app);

struct report *console_report(void);

/* The report and the screen's messages; and the latter alone. */
struct ps_sink console_sink(void);
struct ps_sink console_screen(void);

/* The screen's messages take all of it: a fault is going to be reported. */
void console_make_room(void);

/* ---- progress ---- */

void console_plan(const struct test_runner *runner, const struct test_suite *const *suites,
                  size_t count);
void console_suite(const struct test_runner *runner, const struct test_suite *suite);
void console_case(const struct test *test);
void console_case_done(const struct test *test, const char *died);

/* ---- the end ---- */

void console_report_end(const struct report_counts *counts);
void console_bail_out(const char *reason);
void console_verdict(const struct config *config, bool passed);

/* Text for the screen alone. */
void console_note(const char *text);

/* A line on every console. */
void console_message(const char *text);

#endif
