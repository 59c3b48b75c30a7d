/*
 * What the screen shows, for a person who has no serial line.
 *
 *      Pagestage 0.1                                  Some Processor at 2 GHz    16 GiB
 *
 *     Physical memory     15.9 GiB RAM in 23 ranges, up to 0x47fffffff
 *     ##########=====####..########################################################
 *     0                  4 GiB                                               17 GiB
 *     ## usable        15.1 GiB   == boot-services  212 MiB   ...
 *
 *     Tests                                                passed   failed  skipped
 *       all cases        ======================----------     212        1        3
 *       frame_pool       ================================      40        0        0
 *
 *     Messages ---------------------------------------------------------------------
 *     what is going on; failures in full, the newest at the bottom
 *
 *     running  page_table/map/existing_leaf_is_refused        (the verdict at the end)
 *
 * The calls are events; they may come in any order and any number, and each leaves the
 * whole picture up to date. On a small screen parts are left out, from the legend on; with
 * a screen of 0 by 0 everything is accepted and nothing shown. Nothing here allocates.
 */
#ifndef EFI_DISPLAY_H
#define EFI_DISPLAY_H

#include <pagestage/memory_map.h>

#include "screen.h"

enum { DISPLAY_SUITES = 64 }; /* remembered; of more suites the oldest are forgotten */

enum display_outcome { DISPLAY_PASSED, DISPLAY_FAILED, DISPLAY_SKIPPED, DISPLAY_OUTCOMES };

struct display_suite {
    const char *name;
    uint64_t cases;
    uint64_t counts[DISPLAY_OUTCOMES];
    bool running;
};

struct display {
    struct screen *screen;
    uint32_t map_top, map_rows;     /* the memory picture; no rows before it is known */
    uint32_t tests_top, tests_rows; /* the table of suites, its heading included */
    uint32_t suite_columns;         /* suites next to each other */
    bool only_log;
    bool has_failures;
    struct screen_area log;

    struct display_suite all; /* the whole run */
    struct display_suite suites[DISPLAY_SUITES];
    size_t suite_count;
    size_t planned_suites;
};

/* The colours the display draws with, for screen_start(). */
extern const uint32_t display_palette[SCREEN_COLOURS];

/* Draw the empty picture. `screen` must outlive the display. */
void display_start(struct display *display, struct screen *screen);

/* The title line. The texts are not kept. */
void display_machine(struct display *display, const char *version, const char *processor,
                     uint64_t ram_bytes);

/* The memory picture; again whenever the map has changed. The map is not kept. */
void display_memory_map(struct display *display, const struct ps_memory_map *map);

/* How much there is to come: room for that many suites, and the whole of the upper bar. */
void display_plan(struct display *display, size_t suites, uint64_t cases);

/* `name` must outlive the display. */
void display_suite_started(struct display *display, const char *name, uint64_t cases);
void display_suite_finished(struct display *display);

/* A case of the running suite begins; then, what came of it. */
void display_case(struct display *display, const char *name);
void display_result(struct display *display, enum display_outcome outcome);

/* A failure: which case, and its notes of any number of lines. */
void display_failure(struct display *display, const char *name, const char *notes);

/* One line of progress. */
void display_message(struct display *display, const char *text);

/* Why the run ends early. */
void display_bail_out(struct display *display, const char *reason);

/* Text as it comes into the lower part, for the report of a fault. */
struct ps_sink display_sink(struct display *display);

/* The lower part takes all of the screen but the title: such a report is long. */
void display_enlarge_log(struct display *display);

/*
 * The last line: "ALL PASSED 212", or how many failed, or that the run did not finish.
 * `next` says what happens now, such as "powering off".
 */
void display_verdict(struct display *display, bool passed, const char *next);

#endif
