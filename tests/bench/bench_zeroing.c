/*
 * B9: filling frames with zero bytes, ours against every way this processor has without
 * wide registers, and one with: the best of them is the limit.
 */
#include <emmintrin.h>
#include <string.h>

#include "frame_bench.h"
#include "hw/hw.h"

static void zero_ours(void *page)
{
    ps_hw_zero_frame(page);
}

static void zero_stosb(void *page)
{
    uint64_t count = PS_PAGE_SIZE;

    __asm__ volatile("rep stosb" : "+D"(page), "+c"(count) : "a"(0) : "memory");
}

static void zero_stosq(void *page)
{
    uint64_t count = PS_PAGE_SIZE / 8;

    __asm__ volatile("rep stosq" : "+D"(page), "+c"(count) : "a"((uint64_t)0) : "memory");
}

static void zero_memset(void *page)
{
    memset(page, 0, PS_PAGE_SIZE);
}

/* Past the caches, eight bytes at a time: what code without vector registers can do. */
static void zero_movnti(void *page)
{
    long long *words = page;

    for (size_t i = 0; i < PS_PAGE_SIZE / 8; i += 4) {
        _mm_stream_si64(words + i, 0);
        _mm_stream_si64(words + i + 1, 0);
        _mm_stream_si64(words + i + 2, 0);
        _mm_stream_si64(words + i + 3, 0);
    }
    _mm_sfence();
}

static void zero_movntdq(void *page)
{
    __m128i *words = page;

    for (size_t i = 0; i < PS_PAGE_SIZE / 16; i += 4) {
        _mm_stream_si128(words + i, _mm_setzero_si128());
        _mm_stream_si128(words + i + 1, _mm_setzero_si128());
        _mm_stream_si128(words + i + 2, _mm_setzero_si128());
        _mm_stream_si128(words + i + 3, _mm_setzero_si128());
    }
    _mm_sfence();
}

static void (*const ways[])(void *page) = {zero_ours,   zero_stosb,  zero_stosq,
                                           zero_memset, zero_movnti, zero_movntdq};

static const struct bench_field field = {
    .names = {"ours", "stosb", "stosq", "memset", "movnti", "movntdq"},
    .count = PS_ARRAY_SIZE(ways),
};

struct zeroing {
    void (*zero)(void *page);
    uint8_t *memory;
    uint64_t bytes;
    uint64_t next; /* byte of `memory` */
    uint64_t pages;
};

static void zero_hot(void *context, uint64_t n)
{
    const struct zeroing *zeroing = context;

    for (; n != 0; n--)
        zeroing->zero(zeroing->memory);
}

/* Each operation zeroes the next `pages` pages of the memory, around and around. */
static void zero_next(void *context, uint64_t n)
{
    struct zeroing *zeroing = context;

    for (n *= zeroing->pages; n != 0; n--) {
        zeroing->zero(zeroing->memory + zeroing->next);
        zeroing->next += PS_PAGE_SIZE;
        if (zeroing->next == zeroing->bytes)
            zeroing->next = 0;
    }
}

/* Whether it zeroes at all: the whole page, and nothing behind it. */
static uint64_t count_wrong(const struct zeroing *zeroing)
{
    uint64_t wrong = 0;

    memset(zeroing->memory, 0x5a, PS_PAGE_SIZE + 1);
    zeroing->zero(zeroing->memory);
    for (uint64_t i = 0; i < PS_PAGE_SIZE; i++)
        wrong += zeroing->memory[i] != 0;
    return wrong + (zeroing->memory[PS_PAGE_SIZE] != 0x5a);
}

static void measure_all(const struct bench *bench, struct bench_row *row, struct zeroing *zeroing,
                        void (*step)(void *context, uint64_t n), uint64_t operations)
{
    row->target.ratio = 1.05;
    for (size_t i = 0; i < PS_ARRAY_SIZE(ways); i++) {
        struct bench_task task = {step, zeroing, operations, NULL};
        struct bench_batch batch;

        zeroing->zero = ways[i];
        batch = bench_measure(bench, &task);
        batch.failures = count_wrong(zeroing);
        bench_add(bench, row, i, &batch);
    }
}

void bench_frames_zeroing(struct bench *bench)
{
    struct zeroing zeroing = {.bytes = ps_min(bench->memory_limit, 2 * PS_GIB)};
    struct bench_row *hot = bench_row(bench, "B9", "ns", &field, "4 KiB, always the same");
    struct bench_row *page;
    struct bench_row *large;

    zeroing.bytes = ps_align_down(zeroing.bytes, PS_GIB);
    zeroing.memory = zeroing.bytes != 0 ? frame_reserve(zeroing.bytes, 0) : NULL;
    if (zeroing.memory == NULL) {
        fprintf(stderr, "bench: B9 needs 1 GiB\n");
        return;
    }
    page = bench_row(bench, "B9", "ns", &field, "4 KiB, over %s", frame_size_text(zeroing.bytes));
    large = bench_row(bench, "B9", "ns", &field, "2 MiB, over %s", frame_size_text(zeroing.bytes));
    memset(zeroing.memory, 0xff, zeroing.bytes);
    for (unsigned i = 0; i <= BENCH_REPETITIONS; i++) {
        struct bench patient = {.limit = 8 * bench->limit, .warming = i == 0};

        measure_all(&patient, hot, &zeroing, zero_hot, 2 * BENCH_BATCH);
        zeroing.pages = 1;
        measure_all(&patient, page, &zeroing, zero_next, BENCH_BATCH);
        zeroing.pages = FRAMES_2M;
        measure_all(&patient, large, &zeroing, zero_next, BENCH_BATCH / FRAMES_2M);
    }
    frame_release(zeroing.memory, zeroing.bytes);
}
