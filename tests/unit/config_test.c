/* The configuration: what wins, what is complained about, and that nothing is fatal. */
#include <string.h>

#include "../../efi/config.h"
#include "harness/test.h"

enum { SAID_SIZE = 4096 };

struct fixture {
    struct config config;
    struct ps_text_buffer buffer;
    struct ps_sink sink;
    char said[SAID_SIZE];
};

static void set_up(struct fixture *fixture)
{
    config_defaults(&fixture->config);
    fixture->sink = ps_text_buffer_sink(&fixture->buffer, fixture->said, SAID_SIZE);
}

static void parse(struct fixture *fixture, const char *text)
{
    config_parse_file(&fixture->config, "f", text, strlen(text), &fixture->sink);
}

static void parse_options(struct fixture *fixture, const char *text)
{
    config_parse_options(&fixture->config, text, strlen(text), &fixture->sink);
}

/* ASCII as UTF-16; returns the bytes. `to` holds twice as many bytes as `text` has. */
static size_t widen(uint8_t *to, const char *text, bool big_endian)
{
    size_t bytes = 0;

    for (; *text != '\0'; text++, bytes += 2) {
        to[bytes + (big_endian ? 1 : 0)] = (uint8_t)*text;
        to[bytes + (big_endian ? 0 : 1)] = 0;
    }
    return bytes;
}

/* ---- files ---- */

static void defaults_hold_where_nothing_is_said(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "");
    EXPECT_TEXT(fixture.config.suites, "*");
    EXPECT_EQ(fixture.config.seed, 1);
    EXPECT_EQ(fixture.config.repeat, 1);
    EXPECT_EQ(fixture.config.operations, 0);
    EXPECT_EQ(fixture.config.deadline, 20);
    EXPECT_EQ(fixture.config.processors, 0);
    EXPECT_EQ(fixture.config.mute, 0);
    EXPECT_EQ(fixture.config.end, CONFIG_END_POWER_OFF);
    EXPECT_EQ(fixture.config.log, CONFIG_LOG_NORMAL);
    EXPECT_TEXT(fixture.config.death, "");
    EXPECT(!fixture.config.wait);
    EXPECT_EQ(fixture.config.levels, 0);
    EXPECT_EQ(fixture.config.complaints, 0);
    EXPECT_TEXT(fixture.said, "");
}

static void every_key_is_understood(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "suites = frame_pool, page_*\nseed=0xdeadBEEF00000001\nrepeat = 100\n"
                    "operations = 1000000\ndeadline=0\nprocessors = 3\nmute=2\nend = halt\nlog = "
                    "verbose\ndeath = "
                    "page-fault\nwait = yes\nlevels = 5\n");
    EXPECT_TEXT(fixture.said, "");
    EXPECT_TEXT(fixture.config.suites, "frame_pool, page_*");
    EXPECT_EQ(fixture.config.seed, 0xdeadbeef00000001);
    EXPECT_EQ(fixture.config.repeat, 100);
    EXPECT_EQ(fixture.config.operations, 1000000);
    EXPECT_EQ(fixture.config.deadline, 0);
    EXPECT_EQ(fixture.config.processors, 3);
    EXPECT_EQ(fixture.config.mute, 2);
    EXPECT_EQ(fixture.config.end, CONFIG_END_HALT);
    EXPECT_EQ(fixture.config.log, CONFIG_LOG_VERBOSE);
    EXPECT_TEXT(fixture.config.death, "page-fault");
    EXPECT(fixture.config.wait);
    EXPECT_EQ(fixture.config.levels, 5);
}

static void every_end_is_understood(struct test *test)
{
    static const char *const words[] = {"power-off", "reset", "halt", "watch"};

    for (unsigned i = 0; i < PS_ARRAY_SIZE(words); i++) {
        struct fixture fixture;

        set_up(&fixture);
        config_set(&fixture.config, "s", "end", words[i], &fixture.sink);
        EXPECT_EQ(fixture.config.end, i);
        EXPECT_TEXT(fixture.said, "");
    }
    EXPECT_EQ(CONFIG_END_WATCH, 3);
}

static void every_number_of_levels_is_understood(struct test *test)
{
    static const struct {
        const char *word;
        uint8_t levels;
    } words[] = {{"5", 5}, {"4", 4}, {"as-found", 0}};
    struct fixture fixture;

    set_up(&fixture);
    for (unsigned i = 0; i < PS_ARRAY_SIZE(words); i++) {
        config_set(&fixture.config, "s", "levels", words[i].word, &fixture.sink);
        EXPECT_EQ(fixture.config.levels, words[i].levels);
        EXPECT_TEXT(config_levels(&fixture.config), words[i].word);
    }
    EXPECT_TEXT(fixture.said, "");
}

static void comments_blanks_and_quotes_are_dropped(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "# seed = 5\n\n   \t\n  seed  =\t 7  # not 8\nsuites = \" a , b \"\n#");
    EXPECT_EQ(fixture.config.seed, 7);
    EXPECT_TEXT(fixture.config.suites, "a , b");
    EXPECT_TEXT(fixture.said, "");
}

static void every_line_end_counts_once(struct test *test)
{
    static const char *const files[] = {"seed=2\nx=1\n\nrepeat=3\ny=1",
                                        "seed=2\r\nx=1\r\n\r\nrepeat=3\r\ny=1",
                                        "seed=2\rx=1\r\rrepeat=3\ry=1"};

    for (unsigned i = 0; i < PS_ARRAY_SIZE(files); i++) {
        struct fixture fixture;

        set_up(&fixture);
        parse(&fixture, files[i]);
        EXPECT_EQ(fixture.config.seed, 2);
        EXPECT_EQ(fixture.config.repeat, 3);
        EXPECT_TEXT(fixture.said, "f:2: unknown key \"x\"\nf:5: unknown key \"y\"\n");
    }
}

static void utf_8_mark_is_skipped(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "\xef\xbb\xbfseed = 9\n# \xc3\xa9t\xc3\xa9\n");
    EXPECT_EQ(fixture.config.seed, 9);
    EXPECT_TEXT(fixture.said, "");
}

static void utf_16_is_read_in_both_orders_with_and_without_mark(struct test *test)
{
    static const char text[] = "seed = 11\r\nend = reset\r\n";

    for (unsigned form = 0; form < 4; form++) {
        bool big = (form & 1) != 0;
        size_t mark = (form & 2) != 0 ? 2 : 0;
        uint8_t bytes[2 + 2 * sizeof(text)] = {big ? 0xfe : 0xff, big ? 0xff : 0xfe};
        struct fixture fixture;

        set_up(&fixture);
        config_parse_file(&fixture.config, "f", bytes, mark + widen(bytes + mark, text, big),
                          &fixture.sink);
        EXPECT_EQ(fixture.config.seed, 11);
        EXPECT_EQ(fixture.config.end, CONFIG_END_RESET);
        EXPECT_TEXT(fixture.said, "");
    }
}

/* ---- complaints ---- */

static void unknown_key_is_told_with_its_place_and_ignored(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "seed = 3\nsed = 4\nSeed = 5\n");
    EXPECT_EQ(fixture.config.seed, 3);
    EXPECT_TEXT(fixture.said, "f:2: unknown key \"sed\"\nf:3: unknown key \"Seed\"\n");
    EXPECT_EQ(fixture.config.complaints, 2);
}

static void unknown_value_is_told_and_the_old_one_stays(struct test *test)
{
    static const struct {
        const char *key, *value;
    } wrong[] = {
        {"seed", ""},
        {"seed", "x"},
        {"seed", "1a"},
        {"seed", "-1"},
        {"seed", "0x"},
        {"seed", "1 2"},
        {"seed", "18446744073709551616"},
        {"repeat", "0"},
        {"repeat", "0x10g"},
        {"repeat", "1000001"},
        {"operations", "4294967296"},
        {"deadline", "3601"},
        {"processors", "-1"},
        {"processors", "4294967296"},
        {"mute", "4294967296"},
        {"mute", "all"},
        {"end", "off"},
        {"end", "HALT"},
        {"log", "debug"},
        {"levels", "3"},
        {"levels", "most"},
        {"wait", "true"},
        {"wait", ""},
        {"suites", ""},
        {"suites", "a*b"},
        {"suites", "a;b"},
        {"suites", "a* b*c"},
        {"suites", "**"},
        {"death", "no blanks"},
        {"death", "12345678901234567890123456789012"},
    };

    for (unsigned i = 0; i < PS_ARRAY_SIZE(wrong); i++) {
        struct fixture fixture;
        struct config before;

        set_up(&fixture);
        before = fixture.config;
        config_set(&fixture.config, "s", wrong[i].key, wrong[i].value, &fixture.sink);
        before.complaints = 1;
        if (!EXPECT(memcmp(&before, &fixture.config, sizeof(before)) == 0) ||
            !EXPECT(strncmp(fixture.said, "s: unknown value \"", 18) == 0))
            test_note(test, "%s = %s", wrong[i].key, wrong[i].value);
    }
}

static void complaint_names_what_is_accepted(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "\nend = \"of\xff\"\n");
    EXPECT_TEXT(fixture.said,
                "f:2: unknown value \"of?\" for end (power-off, reset, halt, watch)\n");
}

static void largest_numbers_are_accepted(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "seed=18446744073709551615\nrepeat=1000000\ndeadline=3600");
    EXPECT_EQ(fixture.config.seed, UINT64_MAX);
    EXPECT_EQ(fixture.config.repeat, 1000000);
    EXPECT_EQ(fixture.config.deadline, 3600);
    parse(&fixture, "seed=0xffffffffffffffff\nrepeat=1");
    EXPECT_EQ(fixture.config.seed, UINT64_MAX);
    EXPECT_TEXT(fixture.said, "");
}

static void line_without_equals_sign_is_told(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "seed 5\n");
    EXPECT_EQ(fixture.config.seed, 1);
    EXPECT_TEXT(fixture.said, "f:1: no '=' in \"seed 5\"\n");
}

static void too_long_line_is_cut_and_told(struct test *test)
{
    struct fixture fixture;
    char text[400] = "suites = ";

    memset(text + 9, 'a', 300);
    strcpy(text + 309, "\nseed = 2\n");
    set_up(&fixture);
    parse(&fixture, text);
    EXPECT_EQ(strlen(fixture.config.suites), CONFIG_LINE_SIZE - 1 - 9);
    EXPECT_EQ(fixture.config.seed, 2);
    EXPECT(strncmp(fixture.said, "f:1: too long, cut after \"suites = aaaa", 39) == 0);
    EXPECT_EQ(fixture.config.complaints, 1);
}

static void too_long_single_value_is_cut_and_told(struct test *test)
{
    struct fixture fixture;
    char value[400];

    memset(value, 'a', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    set_up(&fixture);
    config_set(&fixture.config, "fw_cfg", "suites", value, &fixture.sink);
    EXPECT_EQ(strlen(fixture.config.suites), CONFIG_LINE_SIZE - 1);
    EXPECT(strncmp(fixture.said, "fw_cfg: too long, cut after \"aaaa", 33) == 0);
    EXPECT_EQ(fixture.config.complaints, 1);
}

static void many_wrong_values_are_limited_too(struct test *test)
{
    struct fixture fixture;
    char text[7 * 30 + 1] = "";

    for (int i = 0; i < 30; i++)
        strcpy(text + 7 * i, "seed=x\n");
    set_up(&fixture);
    parse(&fixture, text);
    EXPECT_EQ(fixture.config.complaints, 30);
    EXPECT(strstr(fixture.said, "f:16: unknown value") != NULL);
    EXPECT(strstr(fixture.said, "f:17: more like this, not listed\n") != NULL);
    EXPECT(strstr(fixture.said, "f:18:") == NULL);
}

static void long_comment_is_no_reason_to_complain(struct test *test)
{
    struct fixture fixture;
    char text[800] = "seed = 4 ";

    memset(text + 9, ' ', 300);
    memset(text + 309, '#', 400);
    set_up(&fixture);
    parse(&fixture, text);
    EXPECT_EQ(fixture.config.seed, 4);
    EXPECT_TEXT(fixture.said, "");
}

static void complaints_are_limited(struct test *test)
{
    struct fixture fixture;
    char text[4 * 100 + 1] = "";
    size_t lines = 0;

    for (int i = 0; i < 100; i++)
        strcpy(text + 4 * i, "x=1\n");
    set_up(&fixture);
    parse(&fixture, text);
    EXPECT_EQ(fixture.config.complaints, 100);
    for (const char *at = fixture.said; *at != '\0'; at++)
        lines += *at == '\n';
    EXPECT_EQ(lines, CONFIG_COMPLAINT_LIMIT + 1);
    EXPECT(strstr(fixture.said, "f:17: more like this, not listed\n") != NULL);
}

static void any_bytes_are_safe(struct test *test)
{
    enum { SEEDS = 300, LENGTH = 600 };

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct test_random random = test_random(seed);
        uint8_t bytes[LENGTH];
        size_t length = test_random_below(&random, LENGTH + 1);
        struct fixture fixture;
        bool clean = true;

        /* Mostly letters that mean something, so that the parser gets somewhere. */
        for (size_t i = 0; i < length; i++)
            bytes[i] = test_random_below(&random, 8) == 0
                           ? (uint8_t)test_random_below(&random, 256)
                           : (uint8_t) "seed=end halt\n\r\"#,*0x1"[test_random_below(&random, 22)];
        set_up(&fixture);
        config_parse_file(&fixture.config, "f", bytes, length, &fixture.sink);
        config_parse_options(&fixture.config, bytes, length, &fixture.sink);
        for (const char *at = fixture.said; *at != '\0'; at++)
            clean &= *at == '\n' || (*at >= ' ' && *at <= '~');
        if (!EXPECT(clean) || !EXPECT(strlen(fixture.config.suites) < CONFIG_LINE_SIZE))
            test_note(test, "seed %" PS_PRIu, seed);
    }
}

/* ---- options ---- */

static void options_of_the_shell_are_read(struct test *test)
{
    static const char line[] = "BOOTX64.EFI seed=21  end=halt suites=\"a, b\"";
    uint8_t bytes[2 * sizeof(line) + 10];
    size_t size = widen(bytes, line, false);
    struct fixture fixture;

    /* The shell counts the zero, and what is behind it is nobody's. */
    memset(bytes + size, 0, 2);
    memcpy(bytes + size + 2, "x\0y\0", 4);
    set_up(&fixture);
    config_parse_options(&fixture.config, bytes, size + 6, &fixture.sink);
    EXPECT_EQ(fixture.config.seed, 21);
    EXPECT_EQ(fixture.config.end, CONFIG_END_HALT);
    EXPECT_TEXT(fixture.config.suites, "a, b");
    EXPECT_TEXT(fixture.said, "");
}

static void program_name_may_have_blanks_in_quotes(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse_options(&fixture, "\"fs0:\\my files\\BOOTX64.EFI\" seed=3");
    EXPECT_EQ(fixture.config.seed, 3);
    EXPECT_TEXT(fixture.said, "");
}

static void options_need_no_program_name(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse_options(&fixture, "seed=3 repeat=4\n");
    EXPECT_EQ(fixture.config.seed, 3);
    EXPECT_EQ(fixture.config.repeat, 4);
    EXPECT_TEXT(fixture.said, "");
}

static void options_complain_without_a_line(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse_options(&fixture, "prog verbose seed=x what=1");
    EXPECT_TEXT(fixture.said, "load options: no '=' in \"verbose\"\n"
                              "load options: unknown value \"x\" for seed (a number of 64 bits)\n"
                              "load options: unknown key \"what\"\n");
    EXPECT_EQ(fixture.config.seed, 1);
}

static void empty_options_say_nothing(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    config_parse_options(&fixture.config, NULL, 0, &fixture.sink);
    config_parse_options(&fixture.config, "\0\0", 2, &fixture.sink);
    config_parse_options(&fixture.config, "p", 1, &fixture.sink);
    EXPECT_EQ(fixture.config.complaints, 0);
    EXPECT_TEXT(fixture.said, "");
}

/* ---- order ---- */

static void later_sources_override_earlier_ones(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    parse(&fixture, "seed = 2\nrepeat = 2\nend = reset\n");
    parse_options(&fixture, "repeat=3 end=halt");
    config_set(&fixture.config, "fw_cfg", "end", "watch\n", &fixture.sink);
    EXPECT_EQ(fixture.config.seed, 2);
    EXPECT_EQ(fixture.config.repeat, 3);
    EXPECT_EQ(fixture.config.end, CONFIG_END_WATCH);
    parse(&fixture, "death = x\ndeath = none\n");
    EXPECT_TEXT(fixture.config.death, "");
    EXPECT_TEXT(fixture.said, "");
}

/* ---- the filter ---- */

static bool wants(const char *suites, const char *suite, const char *name)
{
    struct fixture fixture;

    set_up(&fixture);
    config_set(&fixture.config, "s", "suites", suites, &fixture.sink);
    return fixture.config.complaints == 0 && config_wants(&fixture.config, suite, name);
}

static void pattern_without_star_is_a_suite_or_a_case(struct test *test)
{
    EXPECT(wants("frame_pool", "frame_pool", "claim/overlap"));
    EXPECT(wants("frame_pool/claim", "frame_pool", "claim/overlap"));
    EXPECT(wants("frame_pool/claim", "frame_pool/claim", "overlap"));
    EXPECT(wants("frame_pool/claim/overlap", "frame_pool", "claim/overlap"));
    EXPECT(!wants("frame_pool", "frame_pool_run", "x"));
    EXPECT(!wants("frame_pool_run", "frame_pool", "x"));
    EXPECT(!wants("frame_pool/claim", "frame_pool", "claims"));
    EXPECT(!wants("frame_pool/claim/overlap/x", "frame_pool", "claim/overlap"));
    EXPECT(!wants("claim", "frame_pool", "claim"));
}

static void star_stands_for_any_rest(struct test *test)
{
    EXPECT(wants("*", "a", "b"));
    EXPECT(wants("frame*", "frame_pool", "x"));
    EXPECT(wants("frame_pool*", "frame_pool", "x"));
    EXPECT(wants("frame_pool/cl*", "frame_pool", "claim"));
    EXPECT(!wants("frame_pool/cl*", "frame_pool", "alloc"));
    EXPECT(!wants("page*", "frame_pool", "x"));
}

static void any_pattern_of_the_list_is_enough(struct test *test)
{
    EXPECT(wants("a,b", "b", "x"));
    EXPECT(wants(" a , b* ,c", "bc", "x"));
    EXPECT(wants(",,a,", "a", "x"));
    EXPECT(!wants("a,b", "c", "x"));
    EXPECT(!wants(",", "a", "x"));
}

static void settings_are_printed_as_json(struct test *test)
{
    struct fixture fixture;

    set_up(&fixture);
    config_print(&fixture.config, &fixture.sink);
    EXPECT_TEXT(fixture.said,
                "{\"suites\":\"*\",\"seed\":1,\"repeat\":1,\"operations\":0,\"deadline\":20,"
                "\"processors\":0,\"mute\":0,"
                "\"end\":\"power-off\",\"log\":\"normal\","
                "\"levels\":\"as-found\",\"death\":\"\","
                "\"wait\":false}");
}

static const struct test_case cases[] = {
    TEST_CASE(defaults_hold_where_nothing_is_said),
    TEST_CASE(every_key_is_understood),
    TEST_CASE(every_end_is_understood),
    TEST_CASE(every_number_of_levels_is_understood),
    TEST_CASE(comments_blanks_and_quotes_are_dropped),
    TEST_CASE(every_line_end_counts_once),
    TEST_CASE(utf_8_mark_is_skipped),
    TEST_CASE(utf_16_is_read_in_both_orders_with_and_without_mark),
    TEST_CASE(unknown_key_is_told_with_its_place_and_ignored),
    TEST_CASE(unknown_value_is_told_and_the_old_one_stays),
    TEST_CASE(complaint_names_what_is_accepted),
    TEST_CASE(largest_numbers_are_accepted),
    TEST_CASE(line_without_equals_sign_is_told),
    TEST_CASE(too_long_line_is_cut_and_told),
    TEST_CASE(too_long_single_value_is_cut_and_told),
    TEST_CASE(many_wrong_values_are_limited_too),
    TEST_CASE(long_comment_is_no_reason_to_complain),
    TEST_CASE(complaints_are_limited),
    TEST_CASE(any_bytes_are_safe),
    TEST_CASE(options_of_the_shell_are_read),
    TEST_CASE(program_name_may_have_blanks_in_quotes),
    TEST_CASE(options_need_no_program_name),
    TEST_CASE(options_complain_without_a_line),
    TEST_CASE(empty_options_say_nothing),
    TEST_CASE(later_sources_override_earlier_ones),
    TEST_CASE(pattern_without_star_is_a_suite_or_a_case),
    TEST_CASE(star_stands_for_any_rest),
    TEST_CASE(any_pattern_of_the_list_is_enough),
    TEST_CASE(settings_are_printed_as_json),
};

const struct test_suite suite_config = TEST_SUITE("config", cases);
