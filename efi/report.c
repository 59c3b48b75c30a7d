#include "report.h"

#include "crc32.h"

static void write_to_consoles(const struct report *report, const char *text, size_t length)
{
    for (size_t i = 0; i < report->console_count; i++)
        report->consoles[i]->write(report->consoles[i]->context, text, length);
}

static void keep(struct report_log *log, char letter)
{
    if (log->length < log->size)
        log->text[log->length++] = letter;
    else
        log->lost++;
}

static void account(struct report *report, char letter)
{
    if (letter == '\r')
        return;
    report->in_line = letter != '\n';
    if (report->begun)
        keep(&report->log, letter);
    if (!report->counting)
        return;
    report->crc = crc32_update(report->crc, &letter, 1);
    report->lines += letter == '\n';
}

static void sink_write(void *context, const char *text, size_t length)
{
    struct report *report = context;

    write_to_consoles(report, text, length);
    for (size_t i = 0; i < length; i++)
        account(report, text[i]);
}

void report_start(struct report *report, char *log, size_t log_size)
{
    *report = (struct report){.log = {.text = log, .size = log_size}};
    report->sink = (struct ps_sink){.write = sink_write, .context = report};
}

bool report_attach(struct report *report, const struct ps_sink *console)
{
    if (report->console_count >= REPORT_CONSOLES || console->write == NULL)
        return false;
    report->consoles[report->console_count++] = console;
    return true;
}

void report_detach(struct report *report, const struct ps_sink *console)
{
    size_t left = 0;

    for (size_t i = 0; i < report->console_count; i++)
        if (report->consoles[i] != console)
            report->consoles[left++] = report->consoles[i];
    report->console_count = left;
}

static void start_line(struct report *report)
{
    if (report->in_line)
        ps_print(&report->sink, "\n");
}

void report_begin(struct report *report, const char *version)
{
    write_to_consoles(report, "\r\n", 2);
    report->in_line = false;
    report->begun = true;
    ps_print(&report->sink, "# pagestage begin: {\"format\":%d,\"version\":", REPORT_FORMAT);
    report_json_string(&report->sink, version);
    ps_print(&report->sink, "}\n");
    report->counting = true;
    ps_print(&report->sink, "TAP version 13\n");
}

/* Passes text on to another sink with its control characters as spaces. */
static void one_line_write(void *context, const char *text, size_t length)
{
    const struct ps_sink *sink = context;

    for (size_t i = 0; i < length; i++)
        ps_print(sink, "%c", (uint8_t)text[i] < ' ' ? ' ' : text[i]);
}

void report_fact_open(struct report *report, const char *key)
{
    start_line(report);
    ps_print(&report->sink, "# %s: ", key);
}

void report_fact_close(struct report *report)
{
    start_line(report);
}

void report_fact(struct report *report, const char *key, const char *format, ...)
{
    struct ps_sink value = {.write = one_line_write, .context = &report->sink};
    va_list arguments;

    report_fact_open(report, key);
    va_start(arguments, format);
    ps_print_list(&value, format, arguments);
    va_end(arguments);
    report_fact_close(report);
}

void report_bail_out(struct report *report, const char *reason)
{
    struct ps_sink one_line = {.write = one_line_write, .context = &report->sink};

    start_line(report);
    ps_print(&report->sink, "Bail out! ");
    ps_print(&one_line, "%s", reason);
    ps_print(&report->sink, "\n");
}

void report_end(struct report *report, const struct report_counts *counts)
{
    start_line(report);
    report->counting = false;
    ps_print(&report->sink, "# pagestage end: {\"plan\":%" PS_PRIu ",\"passed\":%" PS_PRIu,
             counts->plan, counts->passed);
    ps_print(&report->sink, ",\"failed\":%" PS_PRIu ",\"skipped\":%" PS_PRIu, counts->failed,
             counts->skipped);
    ps_print(&report->sink, ",\"lines\":%" PS_PRIu ",\"crc32\":\"%08x\"}\n", report->lines,
             report->crc);
}

void report_json_string(const struct ps_sink *sink, const char *text)
{
    ps_print(sink, "\"");
    for (; *text != '\0'; text++) {
        uint8_t letter = (uint8_t)*text;

        if (letter == '"' || letter == '\\')
            ps_print(sink, "\\%c", letter);
        else if (letter < ' ' || letter > '~')
            ps_print(sink, "\\u%04x", letter);
        else
            ps_print(sink, "%c", letter);
    }
    ps_print(sink, "\"");
}

static void write_comment(void *context, const char *text, size_t length)
{
    struct report_comments *comments = context;

    for (size_t i = 0; i < length; i++) {
        if (!comments->in_line)
            ps_print(comments->to, "# ");
        ps_print(comments->to, "%c", text[i]);
        comments->in_line = text[i] != '\n';
    }
}

struct ps_sink report_comment_sink(struct report_comments *comments, const struct ps_sink *to)
{
    *comments = (struct report_comments){.to = to};
    return (struct ps_sink){.write = write_comment, .context = comments};
}
