/*
 * The report: one stream of text lines to every console there is.
 *
 *     \r\n
 *     # pagestage begin: {"format":1,"version":"0.1"}
 *     TAP version 13                                      \
 *     # key: value          facts about machine and run    |  these lines are counted
 *     1..N                                                 |  and summed up
 *     ok 1 - suite/case     what the runner writes        /
 *     # pagestage end: {"plan":N,"passed":P,"failed":F,"skipped":S,"lines":L,"crc32":"xxxxxxxx"}
 *
 * The first empty line separates the stream from what the firmware left on the line. The
 * CRC covers the bytes of the L lines between the two markers, with LF line ends: carriage
 * returns are never counted, because consoles add them. A stream without its end marker,
 * or with another CRC, is a captured fragment and proves nothing.
 *
 * Everything is also kept in a buffer of the caller, from the begin marker on and with LF
 * line ends, to be handed to the next stage as a log.
 */
#ifndef EFI_REPORT_H
#define EFI_REPORT_H

#include <pagestage/sink.h>

enum { REPORT_FORMAT = 1, REPORT_CONSOLES = 4 };

/* Memory for the kept text: cut when it is full, `lost` says how many bytes were. */
struct report_log {
    char *text;
    size_t size;
    size_t length;
    uint64_t lost;
};

struct report {
    struct ps_sink sink; /* what is written here becomes part of the stream */
    const struct ps_sink *consoles[REPORT_CONSOLES];
    size_t console_count;
    struct report_log log;
    bool begun;
    bool counting;  /* between the markers */
    bool in_line;   /* something stands in the current line */
    uint64_t lines; /* counted ones that have ended */
    uint32_t crc;   /* of all counted bytes */
};

struct report_counts {
    uint64_t plan, passed, failed, skipped;
};

/*
 * No consoles yet, and `log_size` bytes to keep the text in (0: keep nothing). The report
 * must not move afterwards: its sink points to it.
 */
void report_start(struct report *report, char *log, size_t log_size);

/* Attach a console from now on; `console` must outlive the report. False: too many. */
bool report_attach(struct report *report, const struct ps_sink *console);

/* Stop writing to a console, as the firmware's at the exit from boot services. */
void report_detach(struct report *report, const struct ps_sink *console);

/* The empty line, the begin marker and the TAP version line. */
void report_begin(struct report *report, const char *version);

/*
 * One line "# key: value", on a line of its own. Line breaks and other control characters
 * in the value become spaces.
 */
void report_fact(struct report *report, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The same in parts, for JSON objects: write the value to report->sink in between. Nothing
 * is replaced there: strings go through report_json_string().
 */
void report_fact_open(struct report *report, const char *key);
void report_fact_close(struct report *report);

/*
 * A sink whose lines become comments of the stream, "# line", for dumps that know nothing of
 * reports. `comments` must outlive it.
 */
struct report_comments {
    const struct ps_sink *to;
    bool in_line;
};
struct ps_sink report_comment_sink(struct report_comments *comments, const struct ps_sink *to);

/* "Bail out! reason" on a line of its own: the run ends here, as a failure. */
void report_bail_out(struct report *report, const char *reason);

/* The end marker. What is written later is kept in the log, but not counted. */
void report_end(struct report *report, const struct report_counts *counts);

/*
 * Text as a JSON string, with its quotes. Quotes, backslashes, control characters and
 * every byte outside ASCII are escaped, the latter as if it were Latin-1: the result is
 * plain ASCII on one line whatever the text holds.
 */
void report_json_string(const struct ps_sink *sink, const char *text);

#endif
