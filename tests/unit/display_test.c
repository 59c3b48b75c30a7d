/* What a person reads on the screen, row by row, on screens of all sizes. */
#include <string.h>

#include "../../efi/display.h"
#include "../../efi/font.h"
#include "screen_fixture.h"

static struct ps_memory_range ranges[] = {
    {{0}, {1}, PS_MEMORY_NULL},
    {{1}, {0x9f}, PS_MEMORY_LOW},
    {{0x100}, {0x7ff00}, PS_MEMORY_USABLE},
    {{0xfec00}, {0x400}, PS_MEMORY_MMIO},
    {{0x100000}, {0x80000}, PS_MEMORY_USABLE},
};

static const struct ps_memory_map map = {
    .ranges = ranges, .capacity = PS_ARRAY_SIZE(ranges), .count = PS_ARRAY_SIZE(ranges)};

struct stand {
    struct screen_fixture fixture;
    struct display display;
};

static void set_up(struct stand *stand, uint32_t width, uint32_t height)
{
    screen_set_up_sized(&stand->fixture, width, height);
    screen_start(&stand->fixture.screen, &stand->fixture.surface, display_palette, SCREEN_COLOURS,
                 stand->fixture.cells + GUARD, stand->fixture.cell_count);
    display_start(&stand->display, &stand->fixture.screen);
}

static void tear_down(struct stand *stand)
{
    screen_tear_down(&stand->fixture);
}

/* The number of the first row that contains `text`, or the number of rows. */
static uint32_t row_of(const struct stand *stand, const char *text)
{
    uint32_t row = 0;

    while (row < stand->fixture.screen.rows &&
           strstr(screen_row_text(&stand->fixture, row), text) == NULL)
        row++;
    return row;
}

static bool shows(const struct stand *stand, const char *text)
{
    return row_of(stand, text) < stand->fixture.screen.rows;
}

static const struct screen_cell *cell(const struct stand *stand, uint32_t column, uint32_t row)
{
    return &stand->fixture.screen.cells[row * stand->fixture.screen.columns + column];
}

static uint32_t rgb_of_ink(const struct stand *stand, uint32_t column, uint32_t row)
{
    return display_palette[cell(stand, column, row)->ink];
}

static uint32_t rgb_of_paper(const struct stand *stand, uint32_t column, uint32_t row)
{
    return display_palette[cell(stand, column, row)->paper];
}

/* Cells of a row with one glyph and colour. */
static uint32_t count_ink(const struct stand *stand, uint32_t row, uint8_t glyph, uint32_t rgb)
{
    uint32_t found = 0;

    for (uint32_t column = 0; column < stand->fixture.screen.columns; column++)
        found += cell(stand, column, row)->glyph == glyph && rgb_of_ink(stand, column, row) == rgb;
    return found;
}

static void run_cases(struct stand *stand, const char *suite, unsigned passed, unsigned failed)
{
    display_suite_started(&stand->display, suite, passed + failed);
    for (unsigned i = 0; i < passed + failed; i++) {
        display_case(&stand->display, "a_case");
        display_result(&stand->display, i < passed ? DISPLAY_PASSED : DISPLAY_FAILED);
    }
    display_suite_finished(&stand->display);
}

/* ---- the parts ---- */

static void title_names_version_processor_and_memory(struct test *test)
{
    struct stand stand;

    set_up(&stand, 800, 600);
    display_machine(&stand.display, "1.2", "Some Processor", 6 * PS_GIB);
    EXPECT(strncmp(screen_row_text(&stand.fixture, 0), " Pagestage 1.2  ", 16) == 0);
    EXPECT_TEXT(screen_row_text(&stand.fixture, 0) + 73, "Some Processor   6 GiB RAM ");
    tear_down(&stand);
}

static void title_without_memory_size_is_possible(struct test *test)
{
    struct stand stand;

    set_up(&stand, 800, 600);
    display_machine(&stand.display, "1.2", "Some Processor", 0);
    EXPECT(shows(&stand, "Some Processor"));
    EXPECT(!shows(&stand, "RAM"));
    EXPECT(!shows(&stand, "0 B"));
    tear_down(&stand);
}

static void strip_shows_every_type_in_its_colour(struct test *test)
{
    static const struct {
        enum ps_memory_type type;
        const char *legend;
    } kinds[] = {{PS_MEMORY_NULL, "null"},
                 {PS_MEMORY_LOW, "low"},
                 {PS_MEMORY_USABLE, "usable"},
                 {PS_MEMORY_MMIO, "mmio"}};
    struct stand stand;

    set_up(&stand, 800, 600);
    display_memory_map(&stand.display, &map);
    for (size_t i = 0; i < PS_ARRAY_SIZE(kinds); i++) {
        uint32_t row = row_of(&stand, kinds[i].legend);
        const char *place = strstr(screen_row_text(&stand.fixture, row), kinds[i].legend);
        uint32_t column = (uint32_t)(place - screen_row_text(&stand.fixture, row));
        uint32_t rgb;
        uint32_t found = 0;

        REQUIRE(row < stand.fixture.screen.rows && column >= 3);
        rgb = rgb_of_ink(&stand, column - 3, row);
        EXPECT_EQ(cell(&stand, column - 3, row)->glyph, FONT_BAR);
        for (uint32_t at = 1; at < 99; at++)
            found += rgb_of_ink(&stand, at, 3) == rgb || rgb_of_paper(&stand, at, 3) == rgb;
        if (!EXPECT(found != 0))
            test_note(test, "%s", kinds[i].legend);
    }
    tear_down(&stand);
}

static void legend_tells_exact_sizes(struct test *test)
{
    struct stand stand;

    set_up(&stand, 800, 600);
    display_memory_map(&stand.display, &map);
    EXPECT(shows(&stand, "usable           3.9 GiB"));
    EXPECT(shows(&stand, "low              636 KiB"));
    EXPECT(shows(&stand, "null               4 KiB"));
    EXPECT(shows(&stand, "mmio               4 MiB"));
    EXPECT(shows(&stand, "hole             1.9 GiB"));
    EXPECT(shows(&stand, "3.9 GiB RAM, 5 ranges up to 0x17fffffff;"));
    EXPECT(shows(&stand, " 6 GiB "));
    EXPECT(shows(&stand, " 4 GiB "));
    tear_down(&stand);
}

static void suite_has_a_line_with_its_counts(struct test *test)
{
    struct stand stand;
    uint32_t row;

    set_up(&stand, 1024, 768);
    display_plan(&stand.display, 2, 30);
    display_suite_started(&stand.display, "first", 12);
    for (unsigned i = 0; i < 10; i++)
        display_result(&stand.display, i == 3   ? DISPLAY_FAILED
                                       : i == 7 ? DISPLAY_SKIPPED
                                                : DISPLAY_PASSED);
    row = row_of(&stand, "first");
    EXPECT(strncmp(screen_row_text(&stand.fixture, row), " > first ", 9) == 0);
    EXPECT(shows(&stand, "passed   failed  skipped"));
    EXPECT(strstr(screen_row_text(&stand.fixture, row), "        8        1        1") != NULL);
    display_suite_finished(&stand.display);
    EXPECT(strncmp(screen_row_text(&stand.fixture, row), "   first ", 9) == 0);
    row = row_of(&stand, "all cases");
    EXPECT(strstr(screen_row_text(&stand.fixture, row), "        8        1        1") != NULL);
    tear_down(&stand);
}

static void bar_grows_with_the_cases(struct test *test)
{
    const uint32_t green = 0x56b877;
    const uint32_t red = 0xe8646c;
    const uint32_t trough = 0x2a3442;
    struct stand stand;
    uint32_t row;
    uint32_t width;

    set_up(&stand, 1024, 768);
    display_plan(&stand.display, 1, 1000);
    display_suite_started(&stand.display, "suite", 4);
    row = row_of(&stand, "suite");
    width = count_ink(&stand, row, FONT_BAR, trough);
    EXPECT(width >= 20);
    EXPECT_EQ(count_ink(&stand, row, FONT_BAR, green), 0);
    display_result(&stand.display, DISPLAY_PASSED);
    EXPECT_EQ(count_ink(&stand, row, FONT_BAR, green), width / 4);
    EXPECT_EQ(count_ink(&stand, row, FONT_BAR, trough), width - width / 4);
    for (unsigned i = 0; i < 3; i++)
        display_result(&stand.display, DISPLAY_PASSED);
    EXPECT_EQ(count_ink(&stand, row, FONT_BAR, green), width);
    /* One failure among a thousand cases is still seen. */
    display_result(&stand.display, DISPLAY_FAILED);
    EXPECT_EQ(count_ink(&stand, row_of(&stand, "all cases"), FONT_BAR, red), 1);
    tear_down(&stand);
}

static void running_case_is_named_at_the_bottom(struct test *test)
{
    struct stand stand;

    set_up(&stand, 800, 600);
    display_case(&stand.display, "lonely");
    EXPECT(strncmp(screen_row_text(&stand.fixture, 35), " running lonely  ", 17) == 0);
    display_suite_started(&stand.display, "suite", 2);
    display_case(&stand.display, "a_case_with_a_name");
    EXPECT(strncmp(screen_row_text(&stand.fixture, 35), " running suite/a_case_with_a_name  ",
                   35) == 0);
    display_case(&stand.display, "b");
    EXPECT(strncmp(screen_row_text(&stand.fixture, 35), " running suite/b        ", 24) == 0);
    tear_down(&stand);
}

static void failure_is_shown_in_full(struct test *test)
{
    struct stand stand;
    uint32_t row;

    set_up(&stand, 800, 600);
    EXPECT(shows(&stand, "Messages"));
    display_failure(&stand.display, "suite/case_name", "first note\nsecond note\n");
    row = row_of(&stand, "suite/case_name");
    EXPECT_EQ(row_of(&stand, "first note"), row + 1);
    EXPECT_EQ(row_of(&stand, "second note"), row + 2);
    EXPECT_EQ(rgb_of_ink(&stand, 1, row), 0xe8646c);
    EXPECT(shows(&stand, "Failures and messages"));
    tear_down(&stand);
}

static void newest_failures_are_kept(struct test *test)
{
    struct stand stand;
    char name[32];
    struct ps_text_buffer buffer;

    set_up(&stand, 800, 600);
    display_memory_map(&stand.display, &map);
    display_plan(&stand.display, 12, 100);
    for (int i = 100; i < 200; i++) {
        struct ps_sink sink = ps_text_buffer_sink(&buffer, name, sizeof(name));

        ps_print(&sink, "case_%d", i);
        display_failure(&stand.display, name, "note");
    }
    EXPECT(shows(&stand, "case_199"));
    EXPECT(shows(&stand, "case_197"));
    EXPECT(!shows(&stand, "case_100"));
    EXPECT(shows(&stand, "all cases"));
    EXPECT(shows(&stand, "usable"));
    tear_down(&stand);
}

static void early_messages_stay_when_the_picture_grows(struct test *test)
{
    struct stand stand;
    uint32_t row;

    set_up(&stand, 800, 600);
    display_message(&stand.display, "first message");
    display_message(&stand.display, "second message\n");
    row = row_of(&stand, "first message");
    EXPECT_EQ(row_of(&stand, "second message"), row + 1);
    display_memory_map(&stand.display, &map);
    EXPECT(row_of(&stand, "first message") > row);
    display_plan(&stand.display, 6, 60);
    EXPECT_EQ(row_of(&stand, "second message"), row_of(&stand, "first message") + 1);
    EXPECT(row_of(&stand, "first message") > row_of(&stand, "all cases"));
    EXPECT_EQ(row_of(&stand, "Messages") + 1, row_of(&stand, "first message"));
    tear_down(&stand);
}

static void message_starts_a_line_of_its_own(struct test *test)
{
    struct stand stand;
    struct ps_sink sink;

    set_up(&stand, 800, 600);
    sink = display_sink(&stand.display);
    ps_print(&sink, "half a line");
    display_message(&stand.display, "a message");
    EXPECT_EQ(row_of(&stand, " a message  "), row_of(&stand, " half a line  ") + 1);
    tear_down(&stand);
}

/* ---- the end ---- */

static void verdict_of_success_is_green(struct test *test)
{
    struct stand stand;

    set_up(&stand, 800, 600);
    run_cases(&stand, "suite", 7, 0);
    display_result(&stand.display, DISPLAY_SKIPPED);
    display_verdict(&stand.display, true, "powering off");
    EXPECT_EQ(row_of(&stand, "ALL PASSED 7, skipped 1"), 35);
    EXPECT_EQ(row_of(&stand, "powering off"), 35);
    for (uint32_t row = 34; row < 37; row++)
        for (uint32_t column = 0; column < 100; column++)
            EXPECT_EQ(rgb_of_paper(&stand, column, row), 0x24804a);
    EXPECT(!shows(&stand, "running"));
    tear_down(&stand);
}

static void verdict_of_failure_is_red(struct test *test)
{
    struct stand stand;

    set_up(&stand, 800, 600);
    run_cases(&stand, "suite", 7, 2);
    display_verdict(&stand.display, false, "press the power button");
    EXPECT_EQ(row_of(&stand, "FAILED 2 "), 35);
    EXPECT_EQ(row_of(&stand, "press the power button"), 35);
    EXPECT_EQ(rgb_of_paper(&stand, 0, 36), 0xa82a37);
    EXPECT(!shows(&stand, "ALL PASSED"));
    tear_down(&stand);
}

static void run_that_did_not_finish_is_no_success(struct test *test)
{
    struct stand stand;

    set_up(&stand, 800, 600);
    run_cases(&stand, "suite", 7, 0);
    display_bail_out(&stand.display, "page fault at 0x10");
    display_verdict(&stand.display, false, "halted");
    EXPECT_EQ(row_of(&stand, "page fault at 0x10"), row_of(&stand, "Bail out!") + 1);
    EXPECT(shows(&stand, "FAILED: the run did not finish"));
    EXPECT(!shows(&stand, "ALL PASSED"));
    tear_down(&stand);
}

static void fault_report_gets_the_whole_screen(struct test *test)
{
    struct stand stand;
    struct ps_sink sink;

    set_up(&stand, 800, 600);
    display_machine(&stand.display, "1.2", "Some Processor", PS_GIB);
    display_memory_map(&stand.display, &map);
    run_cases(&stand, "suite", 7, 0);
    display_message(&stand.display, "before");
    display_enlarge_log(&stand.display);
    sink = display_sink(&stand.display);
    for (int i = 0; i < 25; i++)
        ps_print(&sink, "line %d\n", i);
    EXPECT(shows(&stand, "Pagestage 1.2"));
    EXPECT(shows(&stand, "before"));
    EXPECT_EQ(row_of(&stand, "line 24"), row_of(&stand, "line 0") + 24);
    EXPECT(!shows(&stand, "all cases"));
    EXPECT(!shows(&stand, "usable"));
    /* Nothing draws over it any more. */
    display_memory_map(&stand.display, &map);
    display_plan(&stand.display, 3, 9);
    run_cases(&stand, "other", 1, 1);
    EXPECT(!shows(&stand, "all cases"));
    EXPECT(!shows(&stand, "usable"));
    EXPECT_EQ(row_of(&stand, "line 24"), row_of(&stand, "line 0") + 24);
    tear_down(&stand);
}

/* ---- sizes ---- */

static void more_suites_than_rows_show_the_newest(struct test *test)
{
    static const char *const names[] = {"suite_a", "suite_b", "suite_c", "suite_d", "suite_e",
                                        "suite_f", "suite_g", "suite_h", "suite_i", "suite_j"};
    struct stand stand;

    set_up(&stand, 800, 600);
    run_cases(&stand, "the_first", 1, 0);
    for (unsigned i = 0; i < 97; i++)
        run_cases(&stand, names[i % 10], 1, 0);
    run_cases(&stand, "the_last_but_one", 1, 0);
    run_cases(&stand, "the_last", 1, 0);
    EXPECT(!shows(&stand, "the_first"));
    EXPECT_EQ(row_of(&stand, "the_last "), row_of(&stand, "the_last_but_one") + 1);
    EXPECT_EQ(stand.display.suite_count, DISPLAY_SUITES);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(shows(&stand, names[i]));
    EXPECT(strstr(screen_row_text(&stand.fixture, row_of(&stand, "all cases")), " 100 ") != NULL);
    EXPECT(screen_outside_is_untouched(&stand.fixture));
    tear_down(&stand);
}

static void two_columns_of_suites_fill_a_low_screen(struct test *test)
{
    static const char *const names[] = {"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7",
                                        "a8", "a9", "b0", "b1", "b2", "b3", "b4", "b5"};
    struct stand stand;

    set_up(&stand, 800, 600);
    display_plan(&stand.display, 16, 16);
    for (unsigned i = 0; i < 16; i++)
        run_cases(&stand, names[i], 1, 0);
    for (unsigned i = 0; i < 8; i++)
        EXPECT_EQ(row_of(&stand, names[i]), row_of(&stand, names[i + 8]));
    EXPECT_EQ(row_of(&stand, "a7"), row_of(&stand, "a0") + 7);
    tear_down(&stand);
}

static void play_everything(struct stand *stand)
{
    struct ps_sink sink = display_sink(&stand->display);

    display_message(&stand->display, "a message that is certainly too long for small screens");
    display_machine(&stand->display, "0.1", "A Processor With A Very Long Name Indeed", 3 * PS_GIB);
    display_suite_finished(&stand->display);
    display_result(&stand->display, DISPLAY_PASSED);
    display_memory_map(&stand->display, &map);
    display_plan(&stand->display, 9, 90);
    for (unsigned i = 0; i < 12; i++)
        run_cases(stand, "suite_with_a_long_name_that_is_cut", 5, i % 2);
    display_failure(&stand->display, "suite/case", "note\nnote\n");
    display_memory_map(&stand->display, &(struct ps_memory_map){.count = 0});
    display_verdict(&stand->display, false, "press the power button");
    display_enlarge_log(&stand->display);
    ps_print(&sink, "registers\n");
    display_bail_out(&stand->display, "reason");
    display_verdict(&stand->display, false, "press the power button");
}

static void every_size_of_screen_stays_inside_its_memory(struct test *test)
{
    static const struct {
        uint32_t width, height;
    } sizes[] = {{1, 1},     {8, 16},     {16, 16},    {24, 48},   {100, 40},
                 {320, 200}, {640, 350},  {640, 480},  {720, 400}, {800, 480},
                 {800, 600}, {1024, 768}, {480, 1920}, {2560, 64}, {4100, 32}};

    for (size_t i = 0; i < PS_ARRAY_SIZE(sizes); i++) {
        struct stand stand;

        set_up(&stand, sizes[i].width, sizes[i].height);
        play_everything(&stand);
        if (!EXPECT(screen_outside_is_untouched(&stand.fixture)))
            test_note(test, "%u x %u", sizes[i].width, sizes[i].height);
        tear_down(&stand);
    }
}

static void no_screen_at_all_is_accepted(struct test *test)
{
    struct screen_surface surface = {.pixels = NULL, .width = 1024, .height = 768};
    struct stand stand;

    screen_start(&stand.fixture.screen, &surface, display_palette, SCREEN_COLOURS, NULL, 0);
    display_start(&stand.display, &stand.fixture.screen);
    play_everything(&stand);
    EXPECT_EQ(stand.display.all.counts[DISPLAY_PASSED], 61);
    EXPECT_EQ(stand.display.all.counts[DISPLAY_FAILED], 6);
}

static void small_screen_still_tells_the_essentials(struct test *test)
{
    struct stand stand;

    set_up(&stand, 320, 200);
    display_machine(&stand.display, "0.1", "Some Processor", PS_GIB);
    display_memory_map(&stand.display, &map);
    display_plan(&stand.display, 4, 8);
    run_cases(&stand, "suite", 1, 1);
    display_failure(&stand.display, "suite/case", "the note");
    EXPECT(shows(&stand, "Pagestage 0.1"));
    EXPECT(shows(&stand, "1 GiB RAM"));
    EXPECT(shows(&stand, "all cases"));
    EXPECT(shows(&stand, "suite/case"));
    EXPECT(shows(&stand, "the note"));
    display_verdict(&stand.display, false, "power off");
    EXPECT_EQ(row_of(&stand, "FAILED 1 "), 11);
    EXPECT_EQ(row_of(&stand, "power off"), 11);
    tear_down(&stand);
}

static const struct test_case cases[] = {
    TEST_CASE(title_names_version_processor_and_memory),
    TEST_CASE(title_without_memory_size_is_possible),
    TEST_CASE(strip_shows_every_type_in_its_colour),
    TEST_CASE(legend_tells_exact_sizes),
    TEST_CASE(suite_has_a_line_with_its_counts),
    TEST_CASE(bar_grows_with_the_cases),
    TEST_CASE(running_case_is_named_at_the_bottom),
    TEST_CASE(failure_is_shown_in_full),
    TEST_CASE(newest_failures_are_kept),
    TEST_CASE(early_messages_stay_when_the_picture_grows),
    TEST_CASE(message_starts_a_line_of_its_own),
    TEST_CASE(verdict_of_success_is_green),
    TEST_CASE(verdict_of_failure_is_red),
    TEST_CASE(run_that_did_not_finish_is_no_success),
    TEST_CASE(fault_report_gets_the_whole_screen),
    TEST_CASE(more_suites_than_rows_show_the_newest),
    TEST_CASE(two_columns_of_suites_fill_a_low_screen),
    TEST_CASE(every_size_of_screen_stays_inside_its_memory),
    TEST_CASE(no_screen_at_all_is_accepted),
    TEST_CASE(small_screen_still_tells_the_essentials),
};

const struct test_suite suite_display = TEST_SUITE("display", cases);
