/* Text running through areas of the framebuffer console. */
#include <string.h>

#include "../../efi/font.h"
#include "screen_fixture.h"

static void write_text(struct screen_area *area, const char *text)
{
    screen_area_write(area, text, strlen(text));
}

static void text_wraps_at_the_right_edge(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 2, 1, 5, 3, 1, 0);
    write_text(&area, "abcdefg");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "          ");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "  abcde   ");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "  fg      ");
    screen_tear_down(&fixture);
}

static void full_line_with_a_line_end_leaves_no_gap(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 0, 0, 5, 4, 1, 0);
    write_text(&area, "abcde\nfghij\r\nk");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "abcde     ");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "fghij     ");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "k         ");
    screen_tear_down(&fixture);
}

static void last_line_scrolls_only_when_it_is_needed(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_text(&fixture.screen, 0, 0, 10, 2, 0, "fixed");
    screen_area_start(&area, &fixture.screen, 0, 1, 10, 3, 1, 0);
    write_text(&area, "one\ntwo\nthree\n");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "one       ");
    EXPECT_TEXT(screen_row_text(&fixture, 3), "three     ");
    write_text(&area, "4");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "fixed     ");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "two       ");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "three     ");
    EXPECT_TEXT(screen_row_text(&fixture, 3), "4         ");
    write_text(&area, "\n\n\n\n");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "          ");
    EXPECT_TEXT(screen_row_text(&fixture, 3), "          ");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "fixed     ");
    EXPECT(screen_all_is_shown(&fixture) && screen_outside_is_untouched(&fixture));
    screen_tear_down(&fixture);
}

static void scrolling_draws_what_differs_and_reads_no_pixel(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 0, 0, 10, 4, 1, 0);
    write_text(&area, "ab\nab\nxb\nab\n");
    for (size_t i = 0; i < fixture.pixels; i++)
        fixture.memory[GUARD + i] = JUNK;
    write_text(&area, "a");
    /* Rows were ab ab xb ab and are ab xb ab a: what differs is right again, everything else
       still shows the junk. The last row was cleared before the new letter came. */
    for (uint32_t row = 0; row < 4; row++) {
        EXPECT_EQ(screen_cell_is_shown(&fixture, 0, row), row != 0);
        EXPECT_EQ(screen_cell_is_shown(&fixture, 1, row), row == 3);
        EXPECT_EQ(screen_pixel(&fixture, 2 + 2 * 8, 1 + row * 16), JUNK);
    }
    screen_tear_down(&fixture);
}

static void control_characters_have_their_meaning_or_a_mark(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 0, 0, 10, 4, 1, 0);
    write_text(&area, "a\tb\tc\td\nxyz\rX\n\x1b\x7f");
    EXPECT_TEXT(screen_row_text(&fixture, 0), "a   b   c ");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "d         ");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "Xyz       ");
    EXPECT_EQ(fixture.screen.cells[30].glyph, FONT_UNKNOWN);
    EXPECT_EQ(fixture.screen.cells[31].glyph, FONT_UNKNOWN);
    screen_tear_down(&fixture);
}

static void area_is_cut_to_the_screen(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;
    struct ps_sink sink;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 6, 2, 100, 100, 1, 0);
    EXPECT_EQ(area.columns, 4);
    EXPECT_EQ(area.rows, 2);
    sink = screen_area_sink(&area);
    ps_print(&sink, "%s", "abcdefgh1234");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "      efgh");
    EXPECT_TEXT(screen_row_text(&fixture, 3), "      1234");
    screen_area_start(&area, &fixture.screen, 10, 4, 5, 5, 1, 0);
    write_text(&area, "nothing");
    EXPECT(screen_all_is_shown(&fixture) && screen_outside_is_untouched(&fixture));
    screen_tear_down(&fixture);
}

static void moved_area_keeps_its_newest_text(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 0, 0, 10, 4, 1, 0);
    write_text(&area, "one\ntwo\nthree\n");
    screen_area_move(&area, 2, 2);
    EXPECT_TEXT(screen_row_text(&fixture, 0), "          ");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "          ");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "two       ");
    EXPECT_TEXT(screen_row_text(&fixture, 3), "three     ");
    screen_area_move(&area, 0, 4);
    EXPECT_TEXT(screen_row_text(&fixture, 0), "two       ");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "three     ");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "          ");
    write_text(&area, "four");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "four      ");
    screen_area_move(&area, 1, 1);
    EXPECT_TEXT(screen_row_text(&fixture, 0), "          ");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "four      ");
    EXPECT_TEXT(screen_row_text(&fixture, 2), "          ");
    write_text(&area, "!");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "four!     ");
    EXPECT(screen_all_is_shown(&fixture) && screen_outside_is_untouched(&fixture));
    screen_tear_down(&fixture);
}

static void area_moves_over_itself(struct test *test)
{
    static const char *const lines[] = {"one       ", "two       ", "three     "};
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 0, 0, 10, 4, 1, 0);
    write_text(&area, "one\ntwo\nthree");
    screen_area_move(&area, 1, 3);
    EXPECT_TEXT(screen_row_text(&fixture, 0), "          ");
    for (uint32_t i = 0; i < 3; i++)
        EXPECT_TEXT(screen_row_text(&fixture, i + 1), lines[i]);
    screen_area_move(&area, 0, 4);
    for (uint32_t i = 0; i < 3; i++)
        EXPECT_TEXT(screen_row_text(&fixture, i), lines[i]);
    EXPECT_TEXT(screen_row_text(&fixture, 3), "          ");
    screen_tear_down(&fixture);
}

static void area_moved_out_of_sight_takes_text_and_comes_back(struct test *test)
{
    struct screen_fixture fixture;
    struct screen_area area;

    screen_set_up(&fixture);
    screen_area_start(&area, &fixture.screen, 0, 0, 10, 4, 1, 0);
    write_text(&area, "text");
    screen_area_move(&area, 9, 4);
    EXPECT_EQ(area.rows, 0);
    EXPECT_TEXT(screen_row_text(&fixture, 0), "          ");
    write_text(&area, "unseen\n");
    screen_area_move(&area, 1, 2);
    write_text(&area, "seen");
    EXPECT_TEXT(screen_row_text(&fixture, 1), "seen      ");
    screen_tear_down(&fixture);
}

/* ---- everything at random ---- */

static void random_step(struct test_random *random, struct screen_fixture *fixture,
                        struct screen_area *area)
{
    uint32_t numbers[4];
    char text[40];

    for (int i = 0; i < 4; i++)
        numbers[i] = (uint32_t)test_random_below(random, 14);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "ab \n\r\t\x80~"[test_random_below(random, 8)];
    text[test_random_below(random, sizeof(text))] = '\0';
    text[sizeof(text) - 1] = '\0';
    switch (test_random_below(random, 8)) {
    case 0:
        screen_fill(&fixture->screen, numbers[0], numbers[1], numbers[2], numbers[3],
                    (struct screen_cell){(uint8_t)test_random_below(random, 256), 2, 3});
        break;
    case 1:
        screen_text(&fixture->screen, numbers[0], numbers[1], numbers[2], 1, 2, text);
        break;
    case 2:
        screen_area_move(area, numbers[0], numbers[1]);
        break;
    case 3:
        screen_area_start(area, &fixture->screen, numbers[0], numbers[1], numbers[2], numbers[3],
                          (uint8_t)test_random_below(random, 256), 0);
        break;
    default:
        write_text(area, text);
    }
}

static void pixels_always_show_the_cells(struct test *test)
{
    enum { SEEDS = 40, STEPS = 60 };

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct test_random random = test_random(seed);
        struct screen_fixture fixture;
        struct screen_area area;

        screen_set_up_sized(&fixture, (uint32_t)(1 + test_random_below(&random, 100)),
                            (uint32_t)(1 + test_random_below(&random, 100)));
        screen_area_start(&area, &fixture.screen, 0, 0, 12, 6, 1, 0);
        for (int step = 0; step < STEPS; step++)
            random_step(&random, &fixture, &area);
        if (!EXPECT(screen_all_is_shown(&fixture)) ||
            !EXPECT(screen_outside_is_untouched(&fixture)))
            test_note(test, "seed %" PS_PRIu, seed);
        screen_tear_down(&fixture);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(text_wraps_at_the_right_edge),
    TEST_CASE(full_line_with_a_line_end_leaves_no_gap),
    TEST_CASE(last_line_scrolls_only_when_it_is_needed),
    TEST_CASE(scrolling_draws_what_differs_and_reads_no_pixel),
    TEST_CASE(control_characters_have_their_meaning_or_a_mark),
    TEST_CASE(area_is_cut_to_the_screen),
    TEST_CASE(moved_area_keeps_its_newest_text),
    TEST_CASE(area_moves_over_itself),
    TEST_CASE(area_moved_out_of_sight_takes_text_and_comes_back),
    TEST_CASE(pixels_always_show_the_cells),
};

const struct test_suite suite_screen_area = TEST_SUITE("screen_area", cases);
