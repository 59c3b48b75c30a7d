#include <string.h>

#include "bench.h"

enum { PHASE_WIDTH = 40, CELL_WIDTH = 20, TARGET_WIDTH = 26 };

/* Four digits are enough for a time; a start-up time has more, and all are shown. */
static void format_number(char *text, size_t size, double value)
{
    (void)snprintf(text, size, value < 10 ? "%.2f" : value < 1000 ? "%.1f" : "%.0f", value);
}

static void print_cell(const struct bench_cell *cell, FILE *out)
{
    char minimum[32];
    char median[32];
    char text[80];

    if (cell->count == 0) {
        fprintf(out, " %*s", CELL_WIDTH, "-");
        return;
    }
    format_number(minimum, sizeof(minimum), bench_minimum(cell));
    format_number(median, sizeof(median), bench_median(cell));
    (void)snprintf(text, sizeof(text), "%s%s / %s%s", cell->stopped ? "~" : "", minimum, median,
                   cell->failures != 0 ? " !" : "");
    fprintf(out, " %*s", CELL_WIDTH, text);
}

/* Of a property: it has one value, and is perhaps a share of what there could be. */
static void print_value(const struct bench_row *row, const struct bench_cell *cell, FILE *out)
{
    char text[80] = "-";
    double value = bench_minimum(cell);

    if (cell->count != 0 && row->bound > 0)
        (void)snprintf(text, sizeof(text), "%s%.0f (%.0f %%)", cell->stopped ? "~" : "", value,
                       100 * value / row->bound);
    else if (cell->count != 0)
        (void)snprintf(text, sizeof(text), "%.4g", value);
    fprintf(out, " %*s", CELL_WIDTH, text);
}

/* "<= 5 ns, <= 0.50x lifo": what is after the comma decides. */
static void format_target(const struct bench_row *row, char *text, size_t size)
{
    const char *sign = row->more_is_better ? ">=" : "<=";
    const struct bench_target *target = &row->target;
    int used = 0;

    text[0] = '\0';
    if (target->value > 0)
        used = snprintf(text, size, "%s %.10g %s", sign, target->value, row->unit);
    if (target->ratio > 0)
        (void)snprintf(text + used, size - (size_t)used, "%s%s %.2fx %s", used != 0 ? ", " : "",
                       sign, target->ratio, target->against != NULL ? target->against : "best");
    if (text[0] == '\0')
        (void)snprintf(text, size, "-");
}

static const char *verdict_text(const struct bench_row *row)
{
    static const char *const texts[] = {"-", "yes", "NO"};

    return texts[bench_verdict(row)];
}

static double ratio_to_best(const struct bench_row *row)
{
    size_t best = bench_best(row);

    if (best == 0 || row->cells[0].count == 0 || bench_minimum(&row->cells[best]) <= 0)
        return 0;
    return bench_minimum(&row->cells[0]) / bench_minimum(&row->cells[best]);
}

/* ---- the table ---- */

static void print_heading(const struct bench_row *row, FILE *out)
{
    const char *title =
        row->property ? "property (share of what there could be)" : "phase (lowest / median)";

    fprintf(out, "\n%-4s %-*s %-6s", "", PHASE_WIDTH, title, "unit");
    for (size_t i = 0; i < row->field->count; i++)
        fprintf(out, " %*s", CELL_WIDTH, row->field->names[i]);
    fprintf(out, " %8s  %-*s %s\n", "ratio", TARGET_WIDTH, "target", "met");
}

static void print_row(const struct bench_row *row, FILE *out)
{
    char target[64];
    char ratio[32] = "-";

    fprintf(out, "%-4s %-*s %-6s", row->benchmark, PHASE_WIDTH, row->phase, row->unit);
    for (size_t i = 0; i < row->field->count; i++) {
        if (row->property)
            print_value(row, &row->cells[i], out);
        else
            print_cell(&row->cells[i], out);
    }
    if (ratio_to_best(row) > 0)
        format_number(ratio, sizeof(ratio), ratio_to_best(row));
    format_target(row, target, sizeof(target));
    fprintf(out, " %8s  %-*s %s\n", ratio, TARGET_WIDTH, target, verdict_text(row));
}

static void print_rows(const struct bench *bench, bool properties, FILE *out)
{
    const struct bench_row *last = NULL;

    for (size_t r = 0; r < bench->row_count; r++) {
        const struct bench_row *row = &bench->rows[r];

        if (row->property != properties)
            continue;
        if (last == NULL || row->field != last->field ||
            strcmp(row->benchmark, last->benchmark) != 0)
            print_heading(row, out);
        print_row(row, out);
        last = row;
    }
}

static uint64_t total_failures(const struct bench *bench)
{
    uint64_t failures = 0;

    for (size_t r = 0; r < bench->row_count; r++)
        for (size_t i = 0; i < bench->rows[r].field->count; i++)
            failures += bench->rows[r].cells[i].failures;
    return failures;
}

void bench_print_table(const struct bench *bench, FILE *out)
{
    unsigned verdicts[3] = {0};

    print_rows(bench, false, out);
    print_rows(bench, true, out);
    for (size_t r = 0; r < bench->row_count; r++)
        verdicts[bench_verdict(&bench->rows[r])]++;
    fprintf(out, "\n# ratio: ours / best baseline, lowest against lowest (the floor is none)\n");
    fprintf(out, "# ~ stopped after %.1f s a batch    ! some operations failed\n",
            (double)bench->limit / 1e9);
    fprintf(out,
            "# B1, B3, B4: ours is told of one processor and takes no locks, the baselines do; "
            "B2: all do\n");
    fprintf(out, "# %u targets met, %u missed; failed operations: %" PS_PRIu "\n",
            verdicts[BENCH_MET], verdicts[BENCH_MISSED], total_failures(bench));
}

/* ---- JSON lines; no name of ours needs escaping ---- */

static void print_json_cell(const struct bench_cell *cell, FILE *out)
{
    fprintf(out,
            "{\"min\": %.4f, \"median\": %.4f, \"samples\": %u, \"operations\": %" PS_PRIu
            ", \"failures\": %" PS_PRIu ", \"stopped\": %s, \"checksum\": \"%016" PS_PRIx "\"}",
            bench_minimum(cell), bench_median(cell), cell->count, cell->operations, cell->failures,
            cell->stopped ? "true" : "false", cell->checksum);
}

static void print_json_row(const struct bench_row *row, FILE *out)
{
    size_t best = bench_best(row);
    char target[64];

    fprintf(out, "{\"benchmark\": \"%s\", \"phase\": \"%s\", \"unit\": \"%s\", \"cells\": {",
            row->benchmark, row->phase, row->unit);
    for (size_t i = 0, printed = 0; i < row->field->count; i++) {
        if (row->cells[i].count == 0)
            continue;
        fprintf(out, "%s\"%s\": ", printed++ != 0 ? ", " : "", row->field->names[i]);
        print_json_cell(&row->cells[i], out);
    }
    fprintf(out, "}");
    if (best != 0)
        fprintf(out, ", \"best\": \"%s\", \"ratio\": %.4f", row->field->names[best],
                ratio_to_best(row));
    if (row->bound > 0)
        fprintf(out, ", \"bound\": %.4f", row->bound);
    format_target(row, target, sizeof(target));
    if (bench_verdict(row) != BENCH_NOT_ASKED)
        fprintf(out, ", \"target\": \"%s\", \"met\": %s", target,
                bench_verdict(row) == BENCH_MET ? "true" : "false");
    fprintf(out, "}\n");
}

void bench_print_json(const struct bench *bench, FILE *out)
{
    for (size_t r = 0; r < bench->row_count; r++)
        print_json_row(&bench->rows[r], out);
}
