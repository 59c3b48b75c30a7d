#include "frame_pool_fixture.h"

#include <string.h>

#include "frame_pool_private.h"

/*
 * The frame pool's validation names the first thing that is wrong. Every kind of number that
 * the pool keeps is made wrong here, one at a time, in a pool that is valid without that.
 */

#define RAM_ADDED_LATER(first_frame, page_count)                           \
    {                                                                      \
        {(first_frame)}, {(page_count)}, PS_MEMORY_BOOT_SERVICES, SIM_JUNK \
    }

/* 66 GiB, of which hardly a region is ever opened, and a hole of a TiB. */
#define POOL_LARGE                                               \
    {{256}, {(66u << 18) - 256}, PS_MEMORY_USABLE, SIM_PLAIN},   \
    {                                                            \
        {(uint64_t)1 << 28}, {1000}, PS_MEMORY_USABLE, SIM_PLAIN \
    }

/* ---- breaches ---- */

static void a_validation_of_no_pool_is_refused(struct test *test)
{
    struct ps_frame_pool pool = {0};

    EXPECT_STATUS(ps_frame_pool_validate(NULL, NULL), PS_INVALID_ARGS);
    EXPECT_STATUS(ps_frame_pool_validate(&pool, NULL), PS_BAD_STATE);
}

static void expect_breach(struct test *test, struct pool_fixture *f, const char *line)
{
    char found[160];
    char expected[160];
    struct ps_text_buffer buffers[2];
    struct ps_sink sink = ps_text_buffer_sink(&buffers[0], found, sizeof(found));
    struct ps_sink copy = ps_text_buffer_sink(&buffers[1], expected, sizeof(expected));

    ps_print(&copy, "frame pool: %s\n", line);
    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, &sink), PS_CORRUPT);
    EXPECT_TEXT(found, expected);
    EXPECT_STATUS(ps_frame_pool_validate(&f->pool, NULL), PS_CORRUPT);
}

/* With `value` at `place` the pool is not valid, for the reason told by `line`. */
#define EXPECT_BREACH(place, value, line)                  \
    do {                                                   \
        __typeof__(place) was = (place);                   \
        (place) = (value);                                 \
        expect_breach(test, f, line);                      \
        (place) = was;                                     \
        EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL)); \
    } while (0)

static struct ps_place place_of(struct pool_fixture *f, uint64_t frame)
{
    return ps_place_in(ps_pool_region(&f->pool, frame), frame);
}

static struct ps_frame_tract *line_of(struct pool_fixture *f, uint64_t frame)
{
    struct ps_place place = place_of(f, frame);

    return ps_pool_tract(&f->pool, place.region, place.tract);
}

static uint64_t *bits_of(struct pool_fixture *f, uint64_t frame)
{
    struct ps_place place = place_of(f, frame);

    return &ps_pool_bits(&f->pool, &place)[place.bit / 64];
}

static uint8_t *byte_of(struct pool_fixture *f, uint64_t frame)
{
    struct ps_place place = place_of(f, frame);

    return ps_tract_tags(&f->pool, place.region, place.tract, line_of(f, frame)) +
           frame % PS_TRACT_FRAMES;
}

static uint64_t *words_of(struct pool_fixture *f, uint64_t frame)
{
    return ps_hw_frame(f->pool.machine, ps_frame(frame));
}

static uint64_t *set_word(struct pool_fixture *f, enum ps_frame_set set, uint64_t word)
{
    return ps_books_at(&f->pool, f->pool.sets_at + (set * f->pool.set_words + word) * 8);
}

static void claim(struct test *test, struct pool_fixture *f, uint64_t first, uint64_t pages)
{
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(first), ps_pages(pages), PS_FRAME_USER));
}

/*
 * The small machine: chunk 0 has frames 1 to 511, of which 256 holds the tag bytes; chunk 1 has
 * a run and a single frame; chunk 2 is whole; chunk 3 has frames 1536 to 2044.
 */
enum { TAGS = 256, RUN = 600, SINGLE = 610, FREE = 700 };

static void make_busy(struct test *test, struct pool_fixture *f)
{
    claim(test, f, RUN, 4);
    claim(test, f, SINGLE, 1);
}

POOL_CASE(a_breach_in_the_state_of_a_frame_is_found, POOL_SMALL)
{
    make_busy(test, f);
    EXPECT_BREACH(*byte_of(f, FREE), PS_SINGLE | PS_FRAME_USER,
                  "frame 0x2bc is free and allocated");
    EXPECT_BREACH(*byte_of(f, SINGLE), 0, "frame 0x262 is RAM, and absent");
    EXPECT_BREACH(*byte_of(f, SINGLE), 1, "frame 0x262 is in a state that there is not");
    EXPECT_BREACH(*byte_of(f, 2046), PS_SINGLE | PS_FRAME_USER,
                  "frame 0x7fe is in the pool, and no RAM of it");
    EXPECT_BREACH(*bits_of(f, 0), *bits_of(f, 0) | 1, "frame 0x0 is in the pool, and no RAM of it");
    EXPECT_BREACH(line_of(f, 0)->cells[3], PS_CELL_WHOLE,
                  "frame 0x7fd is in the pool, and no RAM of it");
    EXPECT_BREACH(*bits_of(f, FREE), *bits_of(f, FREE) & ~((uint64_t)1 << FREE % 64),
                  "frame 0x2bc is RAM, and absent");
    EXPECT_BREACH(*bits_of(f, SINGLE), *bits_of(f, SINGLE) | (uint64_t)1 << SINGLE % 64,
                  "frame 0x262 is free and allocated");
}

POOL_CASE(a_breach_in_the_tag_of_a_frame_is_found, POOL_SMALL)
{
    static const uint8_t unknown[] = {
        PS_SINGLE | PS_FRAME_FREE,
        PS_SINGLE | PS_FRAME_QUARANTINED,
        PS_SINGLE | PS_FRAME_LOANED,
        PS_SINGLE | PS_FRAME_TAG_COUNT,
    };
    static const uint8_t badly_lent[] = {
        PS_SINGLE | PS_LOAN | PS_FRAME_USER,
        PS_SINGLE | PS_LOAN_OPEN | PS_FRAME_METADATA,
        PS_SINGLE | PS_LOAN_CANCELLED | PS_FRAME_DAMAGED,
        PS_SINGLE | PS_LOAN_OPEN | PS_FRAME_TAG_COUNT,
    };

    make_busy(test, f);
    for (size_t i = 0; i < PS_ARRAY_SIZE(unknown); i++)
        EXPECT_BREACH(*byte_of(f, SINGLE), unknown[i], "frame 0x262 has an unknown tag");
    for (size_t i = 0; i < PS_ARRAY_SIZE(badly_lent); i++)
        EXPECT_BREACH(*byte_of(f, SINGLE), badly_lent[i],
                      "frame 0x262 is lent in a way that there is not");
    EXPECT_BREACH(*byte_of(f, SINGLE), PS_SINGLE | PS_FRAME_HEAP, "heap: 1 counted, 0 kept");
    EXPECT_BREACH(*byte_of(f, SINGLE), PS_SINGLE | PS_FRAME_DAMAGED, "damaged: 1 counted, 0 kept");
    EXPECT_BREACH(*byte_of(f, SINGLE), PS_SINGLE | PS_FRAME_METADATA,
                  "frames of bookkeeping in use: 4 counted, 5 kept");
    EXPECT_BREACH(*byte_of(f, SINGLE), PS_SINGLE | PS_LOAN_CANCELLED | PS_FRAME_USER,
                  "loans: 1 counted, 0 kept");
}

POOL_CASE(a_breach_in_a_unit_is_found, POOL_SMALL)
{
    static const uint8_t unknown[] = {
        PS_HEAD | PS_FRAME_FREE,      PS_HEAD | PS_FRAME_QUARANTINED,
        PS_HEAD | PS_FRAME_LOANED,    PS_HEAD | PS_FRAME_DAMAGED,
        PS_HEAD | PS_FRAME_TAG_COUNT, PS_HEAD | PS_LOAN_OPEN | PS_FRAME_USER,
    };

    make_busy(test, f);
    claim(test, f, 720, 70);
    for (size_t i = 0; i < PS_ARRAY_SIZE(unknown); i++)
        EXPECT_BREACH(*byte_of(f, RUN), unknown[i], "frame 0x258 has an unknown tag");
    EXPECT_BREACH(*byte_of(f, RUN), PS_SINGLE | PS_FRAME_USER,
                  "frame 0x259 continues a unit that does not reach it");
    EXPECT_BREACH(*byte_of(f, SINGLE), PS_MIDDLE,
                  "frame 0x262 continues a unit that does not reach it");
    EXPECT_BREACH(*byte_of(f, SINGLE), PS_HEAD | PS_FRAME_USER,
                  "frame 0x262 begins a unit of several frames and is alone");
    EXPECT_BREACH(*byte_of(f, RUN + 1), PS_SINGLE | PS_FRAME_USER,
                  "frame 0x258 begins a unit of several frames and is alone");
    EXPECT_BREACH(*byte_of(f, RUN + 1), PS_MIDDLE | 5,
                  "frame 0x258 begins a unit of another size than it tells");
    EXPECT_BREACH(*byte_of(f, RUN + 3), PS_MIDDLE | 1,
                  "frame 0x258 begins a unit of another size than it tells");
    EXPECT_BREACH(*byte_of(f, RUN + 3), PS_SINGLE | PS_FRAME_USER,
                  "frame 0x258 begins a unit of another size than it tells");
    EXPECT_BREACH(*byte_of(f, 720 + 7), PS_MIDDLE | 1,
                  "frame 0x2d0 begins a unit of another size than it tells");
    EXPECT_BREACH(*byte_of(f, 720 + 30), PS_HEAD | PS_FRAME_USER,
                  "frame 0x2d0 begins a unit of another size than it tells");
}

/* A unit from frame 1020 to 1539, which fills chunk 2. */
POOL_CASE(a_breach_in_a_unit_of_chunks_is_found, POOL_SMALL)
{
    uint8_t *cell;

    claim(test, f, 1020, 520);
    cell = &line_of(f, 1024)->cells[2];
    EXPECT_BREACH(*cell, PS_MIDDLE | 1, "frame 0x3fc begins a unit of another size than it tells");
    EXPECT_BREACH(*cell, PS_HEAD | PS_FRAME_USER,
                  "frame 0x3fc begins a unit of another size than it tells");
    EXPECT_BREACH(*cell, PS_CELL_WHOLE, "frame 0x3fc begins a unit of another size than it tells");
    EXPECT_BREACH(*byte_of(f, 1536), PS_SINGLE | PS_FRAME_USER,
                  "frame 0x3fc begins a unit of another size than it tells");
    EXPECT_BREACH(f->pool.run_frames, 521, "frames in runs: 520 counted, 521 kept");
}

POOL_CASE(a_unit_fills_no_chunk_with_bytes, POOL_SMALL)
{
    make_busy(test, f);
    claim(test, f, 1024, 512);
    /* While the cell says that the unit fills the chunk, neither bits nor bytes mean anything. */
    memset(bits_of(f, 1024), 0, 64);
    memset(byte_of(f, 1024), PS_MIDDLE, 512);
    *byte_of(f, 1024) = PS_HEAD | PS_FRAME_USER;
    *byte_of(f, 1026) = PS_MIDDLE | 512 >> 6;
    EXPECT_BREACH(line_of(f, 1024)->cells[2], PS_CELL_MIXED,
                  "frame 0x400 begins 2 MiB of a unit that have bytes");
}

POOL_CASE(a_breach_in_a_cell_is_found, POOL_SMALL, SIM_RAM(8192, 8))
{
    uint8_t *cells;

    make_busy(test, f);
    cells = line_of(f, 0)->cells;
    EXPECT_BREACH(cells[2], PS_CELL_ABSENT, "frame 0x400 is RAM, and absent");
    EXPECT_BREACH(cells[0], PS_CELL_ABSENT, "frame 0x0 begins 16 MiB with tag bytes outside");
    EXPECT_BREACH(cells[3], PS_CELL_ABSENT, "frame 0x600 is RAM, and absent");
    EXPECT_BREACH(cells[4], PS_CELL_WHOLE, "frame 0x800 is in the pool, and no RAM of it");
    EXPECT_BREACH(cells[4], PS_SINGLE | PS_FRAME_USER,
                  "frame 0x800 is in the pool, and no RAM of it");
    EXPECT_BREACH(cells[2], 3, "frame 0x400 is in a state that there is not");
    EXPECT_BREACH(cells[2], PS_SINGLE | PS_FRAME_QUARANTINED,
                  "frame 0x400 begins 2 MiB with an unknown tag");
    EXPECT_BREACH(cells[2], PS_SINGLE | PS_LOAN_OPEN | PS_FRAME_USER,
                  "frame 0x400 begins 2 MiB with an unknown tag");
    EXPECT_BREACH(cells[2], PS_HEAD | PS_FRAME_USER,
                  "free frames of 2 MiB at frame 0x400: "
                  "0 counted, 512 kept");
    /* While the cell says that all are free, or that there are none, the bits mean nothing. */
    memset(bits_of(f, 1024), 0xff, 64);
    EXPECT_BREACH(cells[2], PS_CELL_MIXED, "frame 0x400 begins 2 MiB that are free, with bits");
    EXPECT_BREACH(cells[2], PS_SINGLE | PS_FRAME_USER,
                  "frame 0x400 begins 2 MiB that are free, with bits");
    memset(bits_of(f, 2048), 0, 64);
    EXPECT_BREACH(cells[4], PS_CELL_MIXED, "frame 0x800 begins 2 MiB with bits, and without RAM");
    EXPECT_BREACH(line_of(f, 8192)->cells[1], PS_CELL_MIXED,
                  "frame 0x2200 is in the pool, and past the end of RAM");
    EXPECT_BREACH(line_of(f, 8192)->tags, 100 + 1,
                  "frame 0x2000 begins 16 MiB with tag bytes outside");
}

POOL_CASE(a_breach_in_where_the_tag_bytes_are_is_found, POOL_SMALL)
{
    uint16_t *tags;

    make_busy(test, f);
    tags = &line_of(f, 0)->tags;
    EXPECT_EQ(*tags, TAGS + 1);
    EXPECT_BREACH(*tags, 5000, "frame 0x0 begins 16 MiB with tag bytes outside");
    EXPECT_BREACH(*tags, 1024 + 1, "frame 0x0 begins 16 MiB with tag bytes outside");
    EXPECT_BREACH(*tags, 2046 + 1, "frame 0x0 begins 16 MiB with tag bytes outside");
    EXPECT_BREACH(*tags, 0 + 1, "frame 0x0 begins 16 MiB with tag bytes outside");
    EXPECT_BREACH(*tags, 0, "frame 0x100 is RAM, and absent");
    EXPECT_BREACH(*tags, FREE + 1, "frame 0x2bc holds tag bytes, and is not allocated for that");
    EXPECT_BREACH(*tags, SINGLE + 1, "frame 0x262 holds tag bytes, and is not allocated for that");
    EXPECT_BREACH(*byte_of(f, TAGS), PS_SINGLE | PS_FRAME_USER,
                  "frame 0x100 holds tag bytes, and is not allocated for that");
}

POOL_CASE(a_breach_in_a_tract_is_found, POOL_SMALL)
{
    struct ps_frame_tract *line;

    make_busy(test, f);
    line = line_of(f, 0);
    EXPECT_BREACH(line->counts[1], 506,
                  "free frames of 2 MiB at frame 0x200: 507 counted, 506 kept");
    EXPECT_BREACH(line->counts[7], 1, "free frames of 2 MiB at frame 0xe00: 0 counted, 1 kept");
    EXPECT_BREACH(line->free, 1784, "free frames of 16 MiB at frame 0x0: 1783 counted, 1784 kept");
    EXPECT_BREACH(line->frames, 2044, "frames of 16 MiB at frame 0x0: 1789 counted, 2044 kept");
    EXPECT_BREACH(line->whole, 0, "whole 2 MiB at frame 0x400: 1 counted, 0 kept");
    EXPECT_BREACH(line->whole, 5, "whole 2 MiB at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(line->partial, 8 + 1, "partly used 2 MiB at frame 0x200: 1 counted, 0 kept");
    EXPECT_BREACH(line->partial, 8 + 4 + 2 + 1,
                  "partly used 2 MiB at frame 0x400: 0 counted, 1 kept");
    EXPECT_BREACH(line->solid, 8 + 4 + 2, "2 MiB without holes at frame 0x600: 0 counted, 1 kept");
    EXPECT_BREACH(line->solid, 2, "2 MiB without holes at frame 0x400: 1 counted, 0 kept");
    EXPECT_BREACH(line->late, 0x10,
                  "used last, and absent 2 MiB at frame 0x800: 0 counted, 1 kept");
    EXPECT_BREACH(line->lock, 1, "locks of 16 MiB at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(line->listed, 5, "unknown lists of 16 MiB at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(line->listed, 0, "16 MiB to be listed at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(line->listed, 3, "listed 16 MiB at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(line->late, 8, "16 MiB to be listed at frame 0x0: 1 counted, 0 kept");
}

POOL_CASE(a_breach_in_a_region_is_found, POOL_SMALL)
{
    struct ps_frame_region *entry;

    make_busy(test, f);
    entry = ps_pool_entry(&f->pool, 0);
    EXPECT_BREACH(entry->whole[0], 0, "16 MiB with whole 2 MiB at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(entry->whole[1], 2, "16 MiB with whole 2 MiB at frame 0x1000: 0 counted, 1 kept");
    EXPECT_BREACH(entry->partial[0], 0, "listed 16 MiB at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(entry->partial[0], 5, "listed 16 MiB at frame 0x2000: 0 counted, 1 kept");
    EXPECT_BREACH(entry->partial[1], 1, "listed 16 MiB at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(entry->whole_chunks, 2, "whole 2 MiB of 1 GiB at frame 0x0: 1 counted, 2 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_PARTIAL, 0), 0,
                  "regions with partly used 2 MiB at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_PARTIAL_LATE, 0), 1,
                  "regions with partly used 2 MiB for the last at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_WHOLE, 0), 0,
                  "regions with whole 2 MiB at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_WHOLE_LATE, 0), 1,
                  "regions with whole 2 MiB for the last at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_GIB, 0), 1,
                  "regions that are whole at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_UNIT, 0), 1,
                  "whole 2 MiB of a unit of 1 GiB at frame 0x0: 1 counted, 512 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_OPEN, 0), 0, "free frames: 2044 counted, 2038 kept");
    for (unsigned set = 0; set < PS_FRAME_SETS; set++)
        EXPECT_BREACH(*set_word(f, (enum ps_frame_set)set, 0),
                      *set_word(f, (enum ps_frame_set)set, 0) | 2,
                      "regions past the last in a set: 0 counted, 1 kept");
}

POOL_CASE(a_breach_in_an_unopened_region_is_found, POOL_SMALL)
{
    EXPECT_BREACH(*set_word(f, PS_FRAME_PARTIAL, 0), 0,
                  "regions with partly used 2 MiB at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_WHOLE, 0), 0,
                  "regions with whole 2 MiB at frame 0x0: 1 counted, 0 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_GIB, 0), 1,
                  "regions that are whole at frame 0x0: 0 counted, 1 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_UNIT, 0), 1,
                  "frames of a unit of 1 GiB at frame 0x0: 2044 counted, 262144 kept");
}

POOL_CASE(a_breach_in_a_unit_of_1_gib_is_found, POOL_LARGE)
{
    const uint64_t open = 10u << 18;
    struct ps_frame_region *entry = ps_pool_entry(&f->pool, 4);
    ps_frame_t frame;

    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_1G, PS_FRAME_OBJECT, 0, &frame));
    EXPECT_EQ(frame.number, 4u << 18);
    claim(test, f, open, 1);
    pool_free(test, f, open, 1);
    claim(test, f, open, 1u << 18);
    EXPECT_BREACH(entry->tag, 0, "frame 0x100000 has an unknown tag");
    EXPECT_BREACH(entry->tag, PS_FRAME_LENT, "object: 0 counted, 262144 kept");
    EXPECT_BREACH(entry->holders, 2, "shared units: 1 counted, 0 kept");
    EXPECT_BREACH(line_of(f, open)->cells[3], PS_CELL_ABSENT, "frame 0x280600 is RAM, and absent");
    EXPECT_BREACH(*set_word(f, PS_FRAME_UNIT, 0), 1u << 10,
                  "regions that are whole at frame 0x100000: 1 counted, 0 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_WHOLE, 0), *set_word(f, PS_FRAME_WHOLE, 0) | 1u << 4,
                  "regions with whole 2 MiB at frame 0x100000: 0 counted, 1 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_GIB, 2), 1,
                  "words of a set in its summary: 1 counted, 0 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_UNIT, 2), 3,
                  "words of a set in its summary: 0 counted, 1 kept");
    EXPECT_BREACH(*set_word(f, PS_FRAME_OPEN, 2), 5,
                  "regions past the last in a set: 0 counted, 1 kept");
}

POOL_CASE(a_breach_in_a_total_is_found, POOL_SMALL)
{
    struct ps_frame_totals *totals = &f->pool.totals;
    int64_t *tagged = ps_pool_processor(&f->pool, 0)->tagged;

    make_busy(test, f);
    claim(test, f, 1024, 512);
    EXPECT_BREACH(totals->managed, 2048, "frames: 2047 counted, 2048 kept");
    EXPECT_BREACH(totals->free, 1525, "free frames: 1526 counted, 1525 kept");
    EXPECT_BREACH(totals->low, 254, "low frames: 255 counted, 254 kept");
    EXPECT_BREACH(totals->low_free, 254, "free low frames: 255 counted, 254 kept");
    EXPECT_BREACH(totals->kept, 1, "frames kept back: 0 counted, 1 kept");
    EXPECT_BREACH(totals->whole_2m, 1, "whole 2 MiB: 0 counted, 1 kept");
    EXPECT_BREACH(totals->whole_1g, 1, "whole 1 GiB: 0 counted, 1 kept");
    EXPECT_BREACH(f->pool.units_2m, 2, "units of 2 MiB: 1 counted, 2 kept");
    EXPECT_BREACH(f->pool.units_1g, 1, "units of 1 GiB: 0 counted, 1 kept");
    EXPECT_BREACH(f->pool.run_frames, 3, "frames in runs: 4 counted, 3 kept");
    EXPECT_BREACH(f->pool.shared_units, 1, "shared units: 0 counted, 1 kept");
    EXPECT_BREACH(f->pool.loans, 1, "loans: 0 counted, 1 kept");
    EXPECT_BREACH(f->pool.loans_out, 1, "borrowed loans: 0 counted, 1 kept");
    EXPECT_BREACH(f->pool.loans_ended, 1, "cancelled loans: 0 counted, 1 kept");
    EXPECT_BREACH(f->pool.damaged, 1, "damaged frames: 0 counted, 1 kept");
    EXPECT_BREACH(tagged[PS_FRAME_METADATA], 5, "metadata: 4 counted, 5 kept");
    EXPECT_BREACH(tagged[PS_FRAME_QUARANTINED], 1, "quarantined: 0 counted, 1 kept");
    EXPECT_BREACH(tagged[PS_FRAME_LOANED], 1, "loaned: 0 counted, 1 kept");
    EXPECT_BREACH(tagged[PS_FRAME_DAMAGED], 1, "damaged: 0 counted, 1 kept");
    EXPECT_BREACH(tagged[PS_FRAME_USER], 5 + 511, "user: 517 counted, 516 kept");
}

/* Frames 1756 to 1799 come later; the books are the three frames before these. */
POOL_CASE(a_breach_in_what_is_used_last_is_found, RAM_ADDED_LATER(1, 20), SIM_RAM(256, 1500),
          RAM_ADDED_LATER(1756, 44))
{
    REQUIRE_OK(ps_frame_pool_add(&f->pool, ps_frame(1756), ps_pages(44)));
    EXPECT_BREACH(*bits_of(f, 1755), *bits_of(f, 1755) | (uint64_t)1 << 1755 % 64,
                  "frame 0x6db is in the pool, and not to be handed out");
    EXPECT_BREACH(*bits_of(f, 1700), *bits_of(f, 1700) & ~((uint64_t)1 << 1700 % 64),
                  "frame 0x6a4 is RAM, and absent");
    EXPECT_BREACH(*bits_of(f, 1799), *bits_of(f, 1799) & ~((uint64_t)1 << 1799 % 64),
                  "free frames of 2 MiB at frame 0x600: 260 counted, 261 kept");
    EXPECT_BREACH(line_of(f, 0)->late, 0, "frame 0x6dc is in the pool, and no RAM of it");
    EXPECT_BREACH(line_of(f, 0)->cells[3], PS_CELL_WHOLE,
                  "frame 0x600 is in the pool, and not to be handed out");
    REQUIRE_OK(ps_frame_pool_add(&f->pool, ps_frame(1), ps_pages(20)));
    EXPECT_BREACH(*bits_of(f, 0), *bits_of(f, 0) | 1,
                  "frame 0x0 is in the pool, and not to be handed out");
}

/* Holes, the ends of a chunk and of a region, a region that nobody has opened. */
POOL_CASE(a_breach_at_a_border_is_found, SIM_RAM(256, 44), SIM_RAM(400, 1136),
          SIM_RAM((1u << 18) - 8, 8), SIM_RAM(5u << 18, 40), SIM_RAM((6u << 18) - 8, 8))
{
    struct ps_frame_processor *own = ps_pool_processor(&f->pool, 0);

    claim(test, f, 1020, 4);
    claim(test, f, 1024, 1);
    claim(test, f, (1u << 18) - 4, 4);
    EXPECT_EQ(line_of(f, 1024)->cells[2], PS_SINGLE | PS_FRAME_USER);
    EXPECT_BREACH(*byte_of(f, 1021), PS_MIDDLE | 5,
                  "frame 0x3fc begins a unit of another size than it tells");
    EXPECT_BREACH(*byte_of(f, (1u << 18) - 3), PS_MIDDLE | 5,
                  "frame 0x3fffc begins a unit of another size than it tells");
    EXPECT_BREACH(line_of(f, 0)->tags, 350 + 1, "frame 0x0 begins 16 MiB with tag bytes outside");
    ps_pool_aim(&f->pool, 0, &(struct ps_place){.chunk = 1});
    EXPECT_BREACH(own->hand.first, 2u << 18,
                  "frame 0x80000 is at hand, and not to be handed out quickly");
    EXPECT_BREACH(own->hand.first, 5u << 18,
                  "frame 0x140000 is at hand, and not to be handed out quickly");
    claim(test, f, (6u << 18) - 4, 4);
    EXPECT_BREACH(*byte_of(f, (6u << 18) - 3), PS_MIDDLE | 5,
                  "frame 0x17fffc begins a unit of another size than it tells");
}

/* ---- what is reached through references ---- */

POOL_CASE(a_breach_in_holders_is_found, POOL_SMALL)
{
    uint64_t *directory;
    uint64_t *counts;

    make_busy(test, f);
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(RUN), ps_pages(4)));
    EXPECT_BREACH(words_of(f, words_of(f, line_of(f, 0)->shares)[1])[RUN - 512], 0,
                  "frame 0x200 begins 2 MiB with holders, and without shared units");
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(SINGLE), ps_pages(1)));
    EXPECT_BREACH(line_of(f, 0)->shares, FREE,
                  "frame 0x2bc is a directory of holders, and is not allocated for that");
    EXPECT_BREACH(
        line_of(f, 0)->shares, UINT64_MAX,
        "frame 0xffffffffffffffff is a directory of holders, and is not allocated for that");
    EXPECT_BREACH(line_of(f, 0)->shares, TAGS,
                  "frame 0x0 begins 16 MiB with holders, and without shared units");
    EXPECT_BREACH(line_of(f, 0)->shares, 0, "frames of bookkeeping in use: 4 counted, 6 kept");
    directory = words_of(f, line_of(f, 0)->shares);
    counts = words_of(f, directory[1]);
    EXPECT_BREACH(directory[1], SINGLE,
                  "frame 0x262 holds numbers of holders, and is not allocated for that");
    EXPECT_BREACH(directory[1], 0, "shared units of 2 MiB at frame 0x200: 0 counted, 2 kept");
    EXPECT_BREACH(directory[8 + 1], 3, "shared units of 2 MiB at frame 0x200: 2 counted, 3 kept");
    EXPECT_BREACH(directory[8 + 2], 1, "shared units of 2 MiB at frame 0x400: 0 counted, 1 kept");
    EXPECT_BREACH(counts[RUN - 512], 1, "frame 0x258 begins a shared unit with one holder");
    EXPECT_BREACH(counts[RUN - 511], 2, "frame 0x259 has holders, and begins no unit");
    EXPECT_BREACH(counts[FREE - 512], 2, "frame 0x2bc has holders, and begins no unit");
    EXPECT_BREACH(counts[RUN - 512], 0, "shared units of 2 MiB at frame 0x200: 1 counted, 2 kept");
}

POOL_CASE(a_breach_in_the_quarantine_is_found, POOL_SMALL)
{
    uint64_t *ring;
    ps_frame_t lent;

    make_busy(test, f);
    EXPECT_OK(ps_frame_pool_claim(&f->pool, ps_frame(620), ps_pages(1), PS_FRAME_STACK));
    claim(test, f, 630, 1);
    claim(test, f, 640, 1);
    EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(640)));
    EXPECT_OK(ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_USER, PS_FRAME_BORROW, &lent));
    EXPECT_OK(ps_frame_pool_share(&f->pool, ps_frame(SINGLE), ps_pages(1)));
    EXPECT_BREACH(f->pool.quarantine_used, 1, "units in quarantine: 0 counted, 1 kept");
    EXPECT_OK(ps_frame_pool_quarantine(&f->pool, 3));
    pool_free(test, f, 620, 1);
    pool_free(test, f, 630, 1);
    pool_free(test, f, RUN, 4);
    EXPECT_BREACH(f->pool.quarantine_used, 4, "units in quarantine: 3 counted, 4 kept");
    EXPECT_BREACH(f->pool.quarantine_next, 3, "first place of the quarantine: 0 counted, 3 kept");
    EXPECT_BREACH(f->pool.quarantine_at, FREE,
                  "frame 0x2bc is the list of the quarantine, and is not allocated for that");
    EXPECT_BREACH(f->pool.quarantine_used, 2, "quarantined: 2 counted, 6 kept");
    ring = words_of(f, f->pool.quarantine_at);
    EXPECT_BREACH(ring[0], FREE, "frame 0x2bc is in quarantine, and no unit that can be");
    EXPECT_BREACH(ring[0], lent.number, "frame 0x280 is in quarantine, and no unit that can be");
    EXPECT_BREACH(ring[0], TAGS, "frame 0x100 is in quarantine, and no unit that can be");
    EXPECT_BREACH(ring[0], UINT64_MAX,
                  "frame 0xffffffffffffffff is in quarantine, and no unit that can be");
    EXPECT_BREACH(ring[4], RUN + 1, "frame 0x259 is in quarantine, and no unit that can be");
    EXPECT_BREACH(ring[5], 5, "frame 0x258 is in quarantine, and no unit that can be");
    EXPECT_BREACH(ring[2], SINGLE, "frame 0x262 is in quarantine, and shared");
    EXPECT_BREACH(ring[2], 620, "frame 0x26c is in quarantine twice");
}

POOL_CASE(a_breach_in_the_list_of_loans_is_found, POOL_SMALL)
{
    ps_frame_t borrowed;

    for (uint64_t frame = 800; frame < 805; frame++) {
        claim(test, f, frame, 1);
        EXPECT_OK(ps_frame_pool_lend(&f->pool, ps_frame(frame)));
    }
    EXPECT_OK(
        ps_frame_pool_alloc(&f->pool, PS_FRAME_4K, PS_FRAME_HEAP, PS_FRAME_BORROW, &borrowed));
    EXPECT_EQ(borrowed.number, 804);
    EXPECT_OK(ps_frame_pool_cancel_loan(&f->pool, ps_frame(800)));
    /* 803 -> 802 -> 801 */
    EXPECT_EQ(f->pool.loan_head, 803);
    EXPECT_BREACH(f->pool.loan_head, 0, "frames to be borrowed: 3 counted, 0 kept");
    EXPECT_BREACH(f->pool.loan_head, FREE, "frame 0x2bc is listed, and not to be borrowed");
    EXPECT_BREACH(f->pool.loan_head, 800, "frame 0x320 is listed, and not to be borrowed");
    EXPECT_BREACH(f->pool.loan_head, 804, "frame 0x324 is listed, and not to be borrowed");
    EXPECT_BREACH(f->pool.loan_head, 802, "frame 0x322 is to be borrowed, and badly linked");
    EXPECT_BREACH(words_of(f, 802)[0], 0, "frames to be borrowed: 3 counted, 2 kept");
    EXPECT_BREACH(words_of(f, 802)[1], 0, "frame 0x322 is to be borrowed, and badly linked");
    EXPECT_BREACH(words_of(f, 801)[0], 803, "frame 0x323 is listed, and not to be borrowed");
    EXPECT_BREACH(*byte_of(f, 801), PS_SINGLE | PS_LOAN_CANCELLED | PS_FRAME_LOANED,
                  "frame 0x321 is listed, and not to be borrowed");
    EXPECT_BREACH(f->pool.loans_out, 2, "borrowed loans: 1 counted, 2 kept");
    EXPECT_BREACH(f->pool.loans_ended, 0, "cancelled loans: 1 counted, 0 kept");
}

POOL_CASE(a_breach_in_what_a_processor_has_at_hand_is_found, POOL_SMALL)
{
    struct ps_frame_processor *own = ps_pool_processor(&f->pool, 0);

    claim(test, f, RUN, 4);
    EXPECT_BREACH(own->view, f->pool.machine->direct_map,
                  "frame 0x0 is at hand, and not to be handed out quickly");
    claim(test, f, FREE, 1);
    ps_pool_aim(&f->pool, 0, &(struct ps_place){.chunk = 1});
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    EXPECT_BREACH(own->hand.first, UINT64_MAX,
                  "frame 0xffffffffffffffff is at hand, and not to be handed out quickly");
    EXPECT_BREACH(own->hand.first, 513, "frame 0x201 is at hand, and not where the books are");
    EXPECT_BREACH(own->hand.chunk, 2, "frame 0x200 is at hand, and not where the books are");
    EXPECT_BREACH(own->hand.word, 8, "frame 0x200 is at hand, and not where the books are");
    EXPECT_BREACH(own->hand.tract, own->hand.tract + 1,
                  "frame 0x200 is at hand, and not where the books are");
    EXPECT_BREACH(own->hand.bits, own->hand.bits + 8,
                  "frame 0x200 is at hand, and not where the books are");
}

POOL_CASE(a_frame_that_was_written_to_is_found, POOL_SMALL)
{
    EXPECT_OK(ps_frame_pool_fill(&f->pool, 64));
    EXPECT_BREACH(words_of(f, 5)[7], 1, "frame 0x5 is free, and was written to");
    EXPECT_BREACH(words_of(f, 2000)[0], 1, "frame 0x7d0 is free, and was written to");
    make_busy(test, f);
    EXPECT_BREACH(words_of(f, 5)[7], 1, "frame 0x5 is free, and was written to");
    EXPECT_BREACH(words_of(f, FREE)[0], 1, "frame 0x2bc is free, and was written to");
    EXPECT_BREACH(words_of(f, 1100)[0], 1, "frame 0x44c is free, and was written to");
    claim(test, f, 1024, 1);
    EXPECT_EQ(line_of(f, 1024)->cells[2], PS_SINGLE | PS_FRAME_USER);
    EXPECT_BREACH(words_of(f, 1100)[0], 1, "frame 0x44c is free, and was written to");
    words_of(f, 1024)[0] = 1;
    words_of(f, FREE)[8] = 1;
    EXPECT_OK(ps_frame_pool_validate(&f->pool, NULL));
    EXPECT_OK(ps_frame_pool_fill(&f->pool, 0));
}

static const struct test_case cases[] = {
    TEST_CASE(a_validation_of_no_pool_is_refused),
    TEST_CASE(a_breach_in_the_state_of_a_frame_is_found),
    TEST_CASE(a_breach_in_the_tag_of_a_frame_is_found),
    TEST_CASE(a_breach_in_a_unit_is_found),
    TEST_CASE(a_breach_in_a_unit_of_chunks_is_found),
    TEST_CASE(a_unit_fills_no_chunk_with_bytes),
    TEST_CASE(a_breach_in_a_cell_is_found),
    TEST_CASE(a_breach_in_where_the_tag_bytes_are_is_found),
    TEST_CASE(a_breach_in_a_tract_is_found),
    TEST_CASE(a_breach_in_a_region_is_found),
    TEST_CASE(a_breach_in_an_unopened_region_is_found),
    TEST_CASE(a_breach_in_a_unit_of_1_gib_is_found),
    TEST_CASE(a_breach_in_a_total_is_found),
    TEST_CASE(a_breach_in_what_is_used_last_is_found),
    TEST_CASE(a_breach_at_a_border_is_found),
    TEST_CASE(a_breach_in_holders_is_found),
    TEST_CASE(a_breach_in_the_quarantine_is_found),
    TEST_CASE(a_breach_in_the_list_of_loans_is_found),
    TEST_CASE(a_breach_in_what_a_processor_has_at_hand_is_found),
    TEST_CASE(a_frame_that_was_written_to_is_found),
};

const struct test_suite suite_frame_pool_check = TEST_SUITE("frame_pool_check", cases);
