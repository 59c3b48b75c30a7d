#define _GNU_SOURCE
#include "hw.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A frame that nobody wrote to holds what it was born with, and the host's page map knows
 * which frames those are. So only the written ones are looked at and kept.
 */

enum { BATCH = 1024 /* frames whose page-map entries are read at once */ };

struct sim_snapshot {
    size_t count;
    size_t capacity;
    struct kept_frame {
        uint64_t number;
        void *bytes;
    } * frames; /* in ascending order */
};

/* Called for every frame that was written; `born` is what it held before. */
typedef void (*frame_visitor)(void *context, uint64_t frame, const void *bytes, const void *born);

static const uint64_t zero_page[4096 / 8];

/* An anonymous page, in memory or swapped out: ours, no longer the shared junk. */
static bool was_written(uint64_t entry)
{
    bool present = entry >> 63 != 0;
    bool swapped = (entry >> 62 & 1) != 0;
    bool of_file = (entry >> 61 & 1) != 0;

    return swapped || (present && !of_file);
}

/* Page-map entries of `count` frames, two host pages each. Unknown means written. */
static void read_page_map(int file, const void *place, uint64_t count, uint64_t *entries)
{
    size_t bytes = count * 2 * sizeof(*entries);
    off_t at = (off_t)((uintptr_t)place / PS_PAGE_SIZE * sizeof(*entries));

    if (file < 0 || pread(file, entries, bytes, at) != (ssize_t)bytes)
        memset(entries, 0xff, bytes);
}

static void visit_range(const struct sim_machine *sim, const struct sim_range *range, int file,
                        frame_visitor visit, void *context)
{
    const void *born = range->backing == SIM_JUNK ? sim->junk : zero_page;
    uint64_t entries[2 * BATCH];

    for (uint64_t done = 0; done < range->pages.count; done += BATCH) {
        uint64_t first = range->first.number + done;
        uint64_t count = ps_min(BATCH, range->pages.count - done);

        read_page_map(file, ps_hw_frame(&sim->machine, ps_frame(first)), count, entries);
        for (uint64_t i = 0; i < count; i++)
            if (was_written(entries[2 * i]))
                visit(context, first + i, ps_hw_frame(&sim->machine, ps_frame(first + i)), born);
    }
}

static void visit_written(const struct sim_machine *sim, frame_visitor visit, void *context)
{
    int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    for (size_t i = 0; i < sim->range_count; i++)
        if (sim->ranges[i].backing != SIM_NOTHING)
            visit_range(sim, &sim->ranges[i], file, visit, context);
    if (file >= 0)
        close(file);
}

static void keep_frame(void *context, uint64_t frame, const void *bytes, const void *born)
{
    struct sim_snapshot *snapshot = context;
    struct kept_frame *kept;

    (void)born;
    if (snapshot->count == snapshot->capacity) {
        snapshot->capacity = 2 * snapshot->capacity + 64;
        snapshot->frames =
            realloc(snapshot->frames, snapshot->capacity * sizeof(*snapshot->frames));
        if (snapshot->frames == NULL)
            abort();
    }
    kept = &snapshot->frames[snapshot->count++];
    *kept = (struct kept_frame){frame, malloc(PS_PAGE_SIZE)};
    if (kept->bytes == NULL)
        abort();
    memcpy(kept->bytes, bytes, PS_PAGE_SIZE);
}

struct sim_snapshot *sim_machine_snapshot(const struct sim_machine *sim)
{
    struct sim_snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (snapshot == NULL)
        abort();
    visit_written(sim, keep_frame, snapshot);
    return snapshot;
}

void sim_snapshot_destroy(struct sim_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++)
        free(snapshot->frames[i].bytes);
    free(snapshot->frames);
    free(snapshot);
}

struct comparison {
    const struct sim_snapshot *snapshot;
    size_t next; /* of its frames: the walk and the snapshot are in the same order */
    uint64_t changed;
};

static void compare_frame(void *context, uint64_t frame, const void *bytes, const void *born)
{
    struct comparison *comparison = context;
    const struct sim_snapshot *snapshot = comparison->snapshot;
    size_t next = comparison->next;

    /* A frame once written stays written: every kept frame is met again. */
    if (next < snapshot->count && snapshot->frames[next].number == frame) {
        born = snapshot->frames[next].bytes;
        comparison->next++;
    }
    if (comparison->changed == SIM_FRAME_NONE && memcmp(bytes, born, PS_PAGE_SIZE) != 0)
        comparison->changed = frame;
}

uint64_t sim_machine_changed(const struct sim_machine *sim, const struct sim_snapshot *snapshot)
{
    struct comparison comparison = {.snapshot = snapshot, .changed = SIM_FRAME_NONE};

    visit_written(sim, compare_frame, &comparison);
    return comparison.changed;
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum ^= word;
    sum ^= sum << 13;
    sum ^= sum >> 7;
    return sum ^ sum << 17;
}

static void sum_frame(void *context, uint64_t frame, const void *bytes, const void *born)
{
    const uint64_t *words = bytes;
    uint64_t *sum = context;

    /* Written, but with what stood there: the same contents, so the same sum. */
    if (memcmp(bytes, born, PS_PAGE_SIZE) == 0)
        return;
    *sum = mix(*sum, frame + 1);
    for (size_t i = 0; i < PS_PAGE_SIZE / sizeof(*words); i++)
        *sum = mix(*sum, words[i]);
}

uint64_t sim_machine_checksum(const struct sim_machine *sim)
{
    uint64_t sum = 1;

    visit_written(sim, sum_frame, &sum);
    return sum;
}
