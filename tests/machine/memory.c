#define _GNU_SOURCE
#include "hw.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MAP_SPARE = 34,          /* ranges: two for page 0 and 1 MiB, two for each of 16 overlays */
    JUNK_FRAMES_MAX = 24576, /* the host allows 65530 mappings and a frame takes two */
    WORDS_A_FRAME = 4096 / 8,
};

static const uint64_t frame_number_max = (uint64_t)1 << 32;

struct sim_between sim_between;

/* ---- the memory map of a list of ranges ---- */

static void map_append(struct ps_memory_map *map, uint64_t first, uint64_t end,
                       enum ps_memory_type type)
{
    struct ps_memory_range *last = &map->ranges[map->count];

    if (first >= end)
        return;
    if (map->count != 0) {
        last--;
        if (last->type == type && ps_memory_range_last(last).number + 1 == first) {
            last->pages.count += end - first;
            return;
        }
        last++;
    }
    if (map->count == map->capacity) {
        fprintf(stderr, "sim_memory_map: the array is too small\n");
        abort();
    }
    *last = (struct ps_memory_range){ps_frame(first), ps_pages(end - first), type};
    map->count++;
}

void sim_memory_map(struct ps_memory_map *map, struct ps_memory_range *storage, size_t capacity,
                    const struct sim_range *ranges, size_t count)
{
    *map = (struct ps_memory_map){.ranges = storage, .capacity = capacity};
    for (size_t i = 0; i < count; i++) {
        uint64_t first = ranges[i].first.number;
        uint64_t end = first + ranges[i].pages.count;
        uint64_t low = ps_min(end, PS_MIB / PS_PAGE_SIZE);

        if (ranges[i].type != PS_MEMORY_USABLE) {
            map_append(map, first, end, ranges[i].type);
            continue;
        }
        map_append(map, first, ps_min(low, 1), PS_MEMORY_NULL);
        map_append(map, ps_max(first, 1), low, PS_MEMORY_LOW);
        map_append(map, ps_max(first, low), end, PS_MEMORY_USABLE);
    }
}

/* ---- building a machine ---- */

static void *frame_place(const struct sim_machine *sim, uint64_t frame)
{
    return (char *)sim->base + frame * SIM_FRAME_STRIDE;
}

static bool refuse(const char *why)
{
    fprintf(stderr, "sim_machine_create: %s\n", why);
    return false;
}

static bool ranges_are_sane(const struct sim_range *ranges, size_t count)
{
    uint64_t end = 0;
    uint64_t junk = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t first = ranges[i].first.number;

        if (ranges[i].pages.count == 0 || first < end || first >= frame_number_max ||
            ranges[i].pages.count > frame_number_max - first)
            return refuse("ranges are empty, out of order, or past frame 2^32");
        end = first + ranges[i].pages.count;
        junk += ranges[i].backing == SIM_JUNK ? ranges[i].pages.count : 0;
    }
    return junk <= JUNK_FRAMES_MAX || refuse("more than 96 MiB of SIM_JUNK");
}

/* A file of one frame of junk; each frame is a private copy of it, made when it is written. */
static int open_junk(struct sim_machine *sim)
{
    int file = memfd_create("junk", MFD_CLOEXEC);

    for (uint64_t i = 0; i < WORDS_A_FRAME; i++)
        sim->junk[i] = SIM_JUNK_WORD ^ i << PS_PAGE_SHIFT;
    if (file >= 0 && write(file, sim->junk, PS_PAGE_SIZE) != (ssize_t)PS_PAGE_SIZE) {
        close(file);
        return -1;
    }
    return file;
}

static bool back_with(void *place, uint64_t bytes, int file)
{
    int kind = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | (file < 0 ? MAP_ANONYMOUS : 0);

    return mmap(place, bytes, PROT_READ | PROT_WRITE, kind, file, 0) != MAP_FAILED;
}

static bool back_range(struct sim_machine *sim, const struct sim_range *range, int junk)
{
    void *place = frame_place(sim, range->first.number);
    uint64_t bytes = range->pages.count * SIM_FRAME_STRIDE;

    if (range->backing == SIM_NOTHING)
        return true;
    if (range->backing == SIM_PLAIN)
        return back_with(place, bytes, -1) && madvise(place, bytes, MADV_NOHUGEPAGE) == 0;
    for (uint64_t i = 0; i < range->pages.count; i++)
        if (!back_with(frame_place(sim, range->first.number + i), PS_PAGE_SIZE, junk))
            return false;
    return true;
}

/* One place more than there are frames, where wild frame numbers lead, and one for the plate. */
static uint64_t bytes_reserved(const struct sim_machine *sim)
{
    return (sim->frames + 2) * SIM_FRAME_STRIDE;
}

/* Read-only: no stray store makes one machine look like another. */
static bool put_plate(struct sim_machine *sim, void *place)
{
    if (!back_with(place, PS_PAGE_SIZE, -1))
        return false;
    *(struct sim_machine **)place = sim;
    return mprotect(place, PS_PAGE_SIZE, PROT_READ) == 0;
}

static bool reserve(struct sim_machine *sim)
{
    const struct sim_range *last = &sim->ranges[sim->range_count - 1];
    char *place;

    sim->frames = last->first.number + last->pages.count;
    place = mmap(NULL, bytes_reserved(sim), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    if (place == MAP_FAILED)
        return false;
    sim->base = place + SIM_FRAME_STRIDE;
    sim->machine.direct_map = (uint64_t)(uintptr_t)sim->base;
    return put_plate(sim, place);
}

static bool back_all(struct sim_machine *sim)
{
    int junk = open_junk(sim);
    bool done = junk >= 0 && reserve(sim);

    for (size_t i = 0; done && i < sim->range_count; i++)
        done = back_range(sim, &sim->ranges[i], junk);
    if (junk >= 0)
        close(junk);
    return done || refuse("the host has no room");
}

static struct ps_machine usual_machine(unsigned flags)
{
    return (struct ps_machine){
        .physical_bits = 46,
        .levels = (flags & SIM_FIVE_LEVELS) != 0 ? 5 : 4,
        .no_execute = (flags & SIM_NO_EXECUTE_DISABLE) == 0,
        .gib_leaves = (flags & SIM_NO_GIB_LEAVES) == 0,
        .global_leaves = (flags & SIM_NO_GLOBAL_LEAVES) == 0,
        .flush_threshold = 32,
    };
}

/* A test that cannot have memory of the host cannot say anything. */
static void *take(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        abort();
    return memory;
}

struct sim_machine *sim_machine_create(const struct sim_range *ranges, size_t count, unsigned flags)
{
    struct sim_machine *sim;

    if (count == 0 || !ranges_are_sane(ranges, count))
        return NULL;
    sim_between = (struct sim_between){NULL, NULL};
    sim = take(1, sizeof(*sim));
    sim->machine = usual_machine(flags);
    sim->junk = take(WORDS_A_FRAME, sizeof(uint64_t));
    sim->ranges = take(count, sizeof(*ranges));
    sim->range_count = count;
    memcpy(sim->ranges, ranges, count * sizeof(*ranges));
    sim_memory_map(&sim->map, take(count + MAP_SPARE, sizeof(struct ps_memory_range)),
                   count + MAP_SPARE, ranges, count);
    if (back_all(sim))
        return sim;
    sim_machine_destroy(sim);
    return NULL;
}

void sim_machine_destroy(struct sim_machine *sim)
{
    if (sim == NULL)
        return;
    if (sim->base != NULL)
        (void)munmap((char *)sim->base - SIM_FRAME_STRIDE, bytes_reserved(sim));
    free(sim->map.ranges);
    free(sim->ranges);
    free(sim->junk);
    free(sim);
}

/* ---- frames ---- */

bool sim_machine_has_frame(const struct sim_machine *sim, ps_frame_t frame)
{
    for (size_t i = 0; i < sim->range_count; i++) {
        const struct sim_range *range = &sim->ranges[i];

        if (range->backing != SIM_NOTHING && frame.number >= range->first.number &&
            frame.number - range->first.number < range->pages.count)
            return true;
    }
    return false;
}

void sim_machine_fill_junk(struct sim_machine *sim, ps_frame_t frame)
{
    memcpy(ps_hw_frame(&sim->machine, frame), sim->junk, PS_PAGE_SIZE);
}

/* ---- the processor ---- */

void ps_hw_invalidate(const struct ps_machine *machine, const struct ps_invalidation *what)
{
    struct sim_machine *sim = sim_machine_of(machine);

    ps_lock_acquire(&sim->counting);
    sim->invalidations++;
    sim->invalidation = *what;
    ps_lock_release(&sim->counting);
    if (sim->processor != NULL)
        sim->processor->invalidate(sim->processor_context, what);
}

void ps_hw_set_root(const struct ps_machine *machine, ps_frame_t root)
{
    struct sim_machine *sim = sim_machine_of(machine);

    if (sim->processor != NULL)
        sim->processor->set_root(sim->processor_context, root);
    else
        sim->root = root;
}

ps_frame_t ps_hw_root(const struct ps_machine *machine)
{
    struct sim_machine *sim = sim_machine_of(machine);

    return sim->processor != NULL ? sim->processor->root(sim->processor_context) : sim->root;
}
