/*
 * B9: filling frames with zero bytes, ours against every plain way that this processor has: the
 * best of them is the limit.
 *
 * Single frames are used soon after, so reading them belongs to the time where they were not in
 * the caches. Of large amounts only the clearing counts.
 */
#include <cpuid.h>
#include <string.h>

#include "frame_bench.h"
#include "hw/hw.h"
#include "zero_private.h"

enum { JUNK = 0x5a };

struct zeroing {
    const struct zero_way *way;
    struct ps_machine machine; /* its memory is `memory` */
    uint8_t *memory;
    uint64_t bytes;
    uint64_t next; /* byte of `memory` */
    uint64_t each; /* bytes a call */
    bool per_page; /* the time is that of 4 KiB, not of a call */
    uint64_t checksum;
};

/* ---- ways ---- */

struct zero_way {
    const char *name;
    void (*zero)(void *memory, uint64_t bytes); /* NULL: ours */
};

static void zero_stosb(void *memory, uint64_t bytes)
{
    __asm__ volatile("rep stosb" : "+D"(memory), "+c"(bytes) : "a"(0) : "memory");
}

static void zero_memset(void *memory, uint64_t bytes)
{
    memset(memory, 0, bytes);
}

static const struct zero_way ways[] = {
    {"ours", NULL},
    {"stosb", zero_stosb},
    {"stosq", ps_zero_stores},
    {"memset", zero_memset},
    {"movnti", ps_zero_streaming_words},
    {"movntdq", ps_zero_streaming_sse},
    {"clzero", ps_zero_lines},
};

static const struct bench_field field = {
    .names = {"ours", "stosb", "stosq", "memset", "movnti", "movntdq", "clzero"},
    .count = PS_ARRAY_SIZE(ways),
};

static bool has_clzero(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0x80000008, &a, &b, &c, &d) != 0 && (b & 1) != 0;
}

static inline void zero_some(const struct zeroing *zeroing, uint64_t at)
{
    if (zeroing->way->zero != NULL)
        zeroing->way->zero(zeroing->memory + at, zeroing->each);
    else if (zeroing->each == PS_PAGE_SIZE)
        ps_hw_zero_frame(zeroing->memory + at);
    else
        ps_hw_zero_frames(&zeroing->machine, ps_frame(at >> PS_PAGE_SHIFT),
                          zeroing->each >> PS_PAGE_SHIFT);
}

/* ---- loops ---- */

static void zero_hot(void *context, uint64_t n)
{
    const struct zeroing *zeroing = context;

    for (; n != 0; n--)
        zero_some(zeroing, 0);
}

/* The next part of the memory at each operation, around and around. */
static uint64_t next_part(struct zeroing *zeroing)
{
    uint64_t at = zeroing->next;

    zeroing->next = at + zeroing->each < zeroing->bytes ? at + zeroing->each : 0;
    return at;
}

static void zero_next(void *context, uint64_t n)
{
    struct zeroing *zeroing = context;

    for (; n != 0; n--)
        zero_some(zeroing, next_part(zeroing));
}

static void zero_and_read(void *context, uint64_t n)
{
    struct zeroing *zeroing = context;
    uint64_t sum = 0;

    for (; n != 0; n--) {
        uint64_t at = next_part(zeroing);

        zero_some(zeroing, at);
        for (uint64_t line = 0; line < zeroing->each; line += 64)
            sum += *(const volatile uint64_t *)(zeroing->memory + at + line);
    }
    zeroing->checksum += sum;
}

/* ---- rows ---- */

/* Whether it zeroes at all: every byte, and none behind. Of very much memory a part will do. */
static uint64_t count_wrong(const struct zeroing *zeroing)
{
    struct zeroing some = *zeroing;
    uint64_t wrong = 0;

    some.each = ps_min(zeroing->each, 2 * PS_MIB);
    memset(some.memory, JUNK, some.each + 1);
    zero_some(&some, 0);
    for (uint64_t i = 0; i < some.each; i++)
        wrong += some.memory[i] != 0;
    return wrong + (some.memory[some.each] != JUNK);
}

static void measure_all(const struct bench *bench, struct bench_row *row, struct zeroing *zeroing,
                        void (*step)(void *context, uint64_t n), uint64_t operations)
{
    row->target.ratio = 1.05;
    for (size_t i = 0; i < PS_ARRAY_SIZE(ways); i++) {
        struct bench_task task = {step, zeroing, operations, NULL};
        struct bench_batch batch;

        if (ways[i].zero == ps_zero_lines && !zeroing->machine.clear_lines)
            continue;
        zeroing->way = &ways[i];
        zeroing->next = 0;
        zeroing->checksum = 0;
        batch = bench_measure(bench, &task);
        if (zeroing->per_page)
            batch.operations *= zeroing->each >> PS_PAGE_SHIFT;
        batch.failures = count_wrong(zeroing);
        batch.checksum = zeroing->checksum;
        bench_add(bench, row, i, &batch);
    }
}

static void measure_rows(struct bench *bench, struct zeroing *zeroing)
{
    const char *size = frame_size_text(zeroing->bytes);
    struct bench patient = {.limit = 8 * bench->limit, .warming = bench->warming};
    struct bench_row *row;

    zeroing->each = PS_PAGE_SIZE;
    row = bench_row(bench, "B9", "ns", &field, "4 KiB, always the same");
    measure_all(&patient, row, zeroing, zero_hot, 2 * BENCH_BATCH);
    row = bench_row(bench, "B9", "ns", &field, "4 KiB over %s, and read", size);
    measure_all(&patient, row, zeroing, zero_and_read, BENCH_BATCH);
    zeroing->each = 2 * PS_MIB;
    row = bench_row(bench, "B9", "ns", &field, "2 MiB over %s", size);
    measure_all(&patient, row, zeroing, zero_next, zeroing->bytes / zeroing->each);
    zeroing->each = zeroing->bytes;
    zeroing->per_page = true;
    row = bench_row(bench, "B9", "ns", &field, "%s at once, per 4 KiB", size);
    measure_all(&patient, row, zeroing, zero_next, 1);
    zeroing->per_page = false;
}

void bench_frames_zeroing(struct bench *bench)
{
    struct zeroing zeroing = {.bytes = ps_min(bench->memory_limit, 2 * PS_GIB)};

    zeroing.bytes = ps_align_down(zeroing.bytes, PS_GIB);
    zeroing.memory = zeroing.bytes != 0 ? frame_reserve(zeroing.bytes, true) : NULL;
    if (zeroing.memory == NULL) {
        fprintf(stderr, "bench: B9 needs 1 GiB\n");
        return;
    }
    zeroing.machine = (struct ps_machine){.direct_map = (uint64_t)(uintptr_t)zeroing.memory,
                                          .streaming = true,
                                          .clear_lines = has_clzero()};
    memset(zeroing.memory, JUNK, zeroing.bytes);
    for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
        bench->warming = i == 0;
        measure_rows(bench, &zeroing);
    }
    frame_release(zeroing.memory, zeroing.bytes);
}
