/* The report stream, byte by byte, and its check sum against an independent one. */
#include <string.h>

#include "../../efi/crc32.h"
#include "../../efi/report.h"
#include "harness/test.h"

enum { STREAM_SIZE = 2048 };

/* A report with two consoles that remember what they were given. */
struct fixture {
    struct report report;
    struct ps_text_buffer buffers[2];
    struct ps_sink sinks[2];
    char streams[2][STREAM_SIZE];
    char log[STREAM_SIZE];
};

static void set_up(struct fixture *fixture, size_t log_size)
{
    report_start(&fixture->report, fixture->log, log_size);
    for (int i = 0; i < 2; i++) {
        fixture->sinks[i] =
            ps_text_buffer_sink(&fixture->buffers[i], fixture->streams[i], STREAM_SIZE);
        (void)report_attach(&fixture->report, &fixture->sinks[i]);
    }
}

/* Bit by bit, as the polynomial is defined. */
static uint32_t slow_crc(const char *text, size_t length)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++) {
        crc ^= (uint8_t)text[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return crc ^ UINT32_MAX;
}

/* ---- CRC ---- */

static void crc_of_known_texts(struct test *test)
{
    EXPECT_EQ(crc32_update(0, "123456789", 9), 0xcbf43926);
    EXPECT_EQ(crc32_update(0, "", 0), 0);
    EXPECT_EQ(crc32_update(0, "a", 1), 0xe8b7be43);
    EXPECT_EQ(crc32_update(0, "The quick brown fox jumps over the lazy dog", 43), 0x414fa339);
}

static void crc_of_parts_is_crc_of_the_whole(struct test *test)
{
    char bytes[256];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(uint8_t)(i * 37 % 256);
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint32_t crc = crc32_update(0, bytes, cut);

        EXPECT_EQ(crc32_update(crc, bytes + cut, sizeof(bytes) - cut), slow_crc(bytes, 256));
    }
}

/* ---- the stream ---- */

#define BEGIN_LINES "\r\n# pagestage begin: {\"format\":1,\"version\":\"0.1\"}\n"

static void whole_stream_is_as_described(struct test *test)
{
    static const char counted[] = "TAP version 13\n# ram: 16 GiB\n1..2\nok 1 - a\nok 2 - b\n";
    struct fixture fixture;
    char end[STREAM_SIZE];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, end, sizeof(end));

    set_up(&fixture, STREAM_SIZE);
    report_begin(&fixture.report, "0.1");
    report_fact(&fixture.report, "ram", "%d %s", 16, "GiB");
    ps_print(&fixture.report.sink, "1..2\nok 1 - a\n");
    ps_print(&fixture.report.sink, "ok %d - %s\n", 2, "b");
    report_end(&fixture.report, &(struct report_counts){2, 1, 0, 1});
    ps_print(&sink,
             BEGIN_LINES "%s# pagestage end: {\"plan\":2,\"passed\":1,\"failed\":0,"
                         "\"skipped\":1,\"lines\":5,\"crc32\":\"%08x\"}\n",
             counted, slow_crc(counted, sizeof(counted) - 1));
    EXPECT_TEXT(fixture.streams[0], end);
    EXPECT_TEXT(fixture.streams[1], end);
    /* The log has all but the empty line. */
    EXPECT_EQ(fixture.report.log.length, strlen(end) - 2);
    EXPECT(memcmp(fixture.log, end + 2, strlen(end) - 2) == 0);
    EXPECT_EQ(fixture.report.log.lost, 0);
}

static void carriage_returns_are_passed_on_but_not_counted(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, STREAM_SIZE);
    report_begin(&fixture.report, "0.1");
    ps_print(&fixture.report.sink, "ok 1\r\n");
    EXPECT_EQ(fixture.report.crc, slow_crc("TAP version 13\nok 1\n", 20));
    EXPECT_EQ(fixture.report.lines, 2);
    EXPECT_TEXT(fixture.streams[0], BEGIN_LINES "TAP version 13\nok 1\r\n");
    EXPECT(memchr(fixture.log, '\r', fixture.report.log.length) == NULL);
}

static void unfinished_line_is_ended_before_the_end_marker(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, STREAM_SIZE);
    report_begin(&fixture.report, "0.1");
    ps_print(&fixture.report.sink, "1..0 and no line feed");
    report_end(&fixture.report, &(struct report_counts){0, 0, 0, 0});
    EXPECT_EQ(fixture.report.lines, 2);
    EXPECT(strstr(fixture.streams[0], "no line feed\n# pagestage end: {\"plan\":0,") != NULL);
}

static void text_after_the_end_is_not_counted(struct test *test)
{
    struct fixture fixture;
    uint32_t crc;

    set_up(&fixture, STREAM_SIZE);
    report_begin(&fixture.report, "0.1");
    report_end(&fixture.report, &(struct report_counts){0, 0, 0, 0});
    crc = fixture.report.crc;
    ps_print(&fixture.report.sink, "powering off\n");
    EXPECT_EQ(fixture.report.crc, crc);
    EXPECT_EQ(fixture.report.lines, 1);
}

static void text_before_the_begin_is_not_counted_nor_kept(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, STREAM_SIZE);
    ps_print(&fixture.report.sink, "early");
    EXPECT_EQ(fixture.report.log.length, 0);
    report_begin(&fixture.report, "0.1");
    EXPECT_TEXT(fixture.streams[0], "early" BEGIN_LINES "TAP version 13\n");
    EXPECT_EQ(fixture.report.crc, slow_crc("TAP version 13\n", 15));
}

/* ---- lines ---- */

static void fact_stands_on_one_line_of_its_own(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, 0);
    ps_print(&fixture.report.sink, "half a line");
    report_fact(&fixture.report, "note", "one\ntwo\r\n%s", "\tthree");
    report_fact(&fixture.report, "empty", "%s", "");
    EXPECT_TEXT(fixture.streams[0], "half a line\n# note: one two   three\n# empty: \n");
}

static void structured_fact_is_written_in_parts(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, 0);
    report_fact_open(&fixture.report, "cpu");
    ps_print(&fixture.report.sink, "{\"name\":");
    report_json_string(&fixture.report.sink, "a \"b\"");
    ps_print(&fixture.report.sink, ",\"bits\":%d}", 39);
    report_fact_close(&fixture.report);
    EXPECT_TEXT(fixture.streams[0], "# cpu: {\"name\":\"a \\\"b\\\"\",\"bits\":39}\n");
}

static void bail_out_stands_on_a_line_of_its_own(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, 0);
    ps_print(&fixture.report.sink, "ok 1 - hal");
    report_bail_out(&fixture.report, "page fault\nat 0x10");
    EXPECT_TEXT(fixture.streams[0], "ok 1 - hal\nBail out! page fault at 0x10\n");
}

static void json_string_is_plain_ascii_on_one_line(struct test *test)
{
    char text[256];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    report_json_string(&sink, "a\"b\\c/\n\t\x01 ~\x7f\xc3\xa9");
    EXPECT_TEXT(text, "\"a\\\"b\\\\c/\\u000a\\u0009\\u0001 ~\\u007f\\u00c3\\u00a9\"");
    sink = ps_text_buffer_sink(&buffer, text, sizeof(text));
    report_json_string(&sink, "");
    EXPECT_TEXT(text, "\"\"");
}

static void version_is_escaped(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, 0);
    report_begin(&fixture.report, "0.1 \"x\"");
    EXPECT(strstr(fixture.streams[0], "\"version\":\"0.1 \\\"x\\\"\"}\n") != NULL);
}

static void every_line_of_comments_is_marked(struct test *test)
{
    struct fixture fixture;
    struct report_comments comments;
    struct ps_sink sink;

    set_up(&fixture, 0);
    sink = report_comment_sink(&comments, &fixture.report.sink);
    ps_print(&sink, "one\ntwo %d\n", 2);
    ps_print(&sink, "thr");
    ps_print(&sink, "ee\n\n");
    EXPECT_TEXT(fixture.streams[0], "# one\n# two 2\n# three\n# \n");
}

/* ---- consoles and log ---- */

static void detached_console_gets_nothing_more(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture, 0);
    ps_print(&fixture.report.sink, "one ");
    report_detach(&fixture.report, &fixture.sinks[0]);
    ps_print(&fixture.report.sink, "two");
    EXPECT_TEXT(fixture.streams[0], "one ");
    EXPECT_TEXT(fixture.streams[1], "one two");
    EXPECT_EQ(fixture.report.console_count, 1);
    report_detach(&fixture.report, &fixture.sinks[0]);
    EXPECT_EQ(fixture.report.console_count, 1);
}

static void consoles_are_limited(struct test *test)
{
    struct fixture fixture;
    struct ps_sink nothing = {.write = NULL};

    set_up(&fixture, 0);
    EXPECT(!report_attach(&fixture.report, &nothing));
    for (size_t i = 2; i < REPORT_CONSOLES; i++)
        EXPECT(report_attach(&fixture.report, &fixture.sinks[0]));
    EXPECT(!report_attach(&fixture.report, &fixture.sinks[0]));
    EXPECT_EQ(fixture.report.console_count, REPORT_CONSOLES);
}

static void report_without_consoles_is_still_kept(struct test *test)
{
    struct report report;
    char log[256];

    report_start(&report, log, sizeof(log));
    report_begin(&report, "1");
    EXPECT_EQ(report.log.length, strlen("# pagestage begin: {\"format\":1,\"version\":\"1\"}\n"
                                        "TAP version 13\n"));
    EXPECT(memcmp(log, "# pagestage begin", 17) == 0);
}

static void full_log_is_cut_and_the_loss_is_told(struct test *test)
{
    struct fixture fixture;

    memset(fixture.log, '~', sizeof(fixture.log));
    set_up(&fixture, 20);
    report_begin(&fixture.report, "0.1");
    EXPECT_EQ(fixture.report.log.length, 20);
    EXPECT(memcmp(fixture.log, "# pagestage begin: {", 20) == 0);
    EXPECT_EQ(fixture.log[20], '~');
    EXPECT_EQ(fixture.report.log.lost, strlen(BEGIN_LINES "TAP version 13\n") - 2 - 20);
    /* The stream itself is whole. */
    EXPECT_TEXT(fixture.streams[0], BEGIN_LINES "TAP version 13\n");
}

static const struct test_case cases[] = {
    TEST_CASE(crc_of_known_texts),
    TEST_CASE(crc_of_parts_is_crc_of_the_whole),
    TEST_CASE(whole_stream_is_as_described),
    TEST_CASE(carriage_returns_are_passed_on_but_not_counted),
    TEST_CASE(unfinished_line_is_ended_before_the_end_marker),
    TEST_CASE(text_after_the_end_is_not_counted),
    TEST_CASE(text_before_the_begin_is_not_counted_nor_kept),
    TEST_CASE(fact_stands_on_one_line_of_its_own),
    TEST_CASE(structured_fact_is_written_in_parts),
    TEST_CASE(bail_out_stands_on_a_line_of_its_own),
    TEST_CASE(json_string_is_plain_ascii_on_one_line),
    TEST_CASE(version_is_escaped),
    TEST_CASE(every_line_of_comments_is_marked),
    TEST_CASE(detached_console_gets_nothing_more),
    TEST_CASE(consoles_are_limited),
    TEST_CASE(report_without_consoles_is_still_kept),
    TEST_CASE(full_log_is_cut_and_the_loss_is_told),
};

const struct test_suite suite_report = TEST_SUITE("report", cases);
