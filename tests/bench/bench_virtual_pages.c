/*
 * V2: memory is allocated, a word of each page is written to, and it is freed: ours on a simulated
 * machine, where the word is written through the direct map after a look into the page tables for
 * each leaf; and the host's own, by mmap() and munmap(), whose pages come one fault at a time, and
 * are always zero.
 *
 * V3: what a pair of an allocation and its free of 1 and of 16 pages is made of: addresses from the
 * arena, frames from the pool, leaves in the page tables, each alone; and the calls themselves.
 * What these take above the sum is the allocator's own: locks, records, names.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "hw/hw.h"
#include "virtual_baseline.h"
#include "virtual_bench.h"
#include "virtual_pages.h"

/* Far from what the allocator and the second arena have. */
#define LEAVES ps_virt(2 * VIRTUAL_BASE)

enum { TOUCHES = 400000, STEP_PAIRS = BENCH_BATCH, STEP_PAGES = 16, HELD = 1024, KEPT = 1000 };

struct player {
    struct bench *bench;
    struct virtual_stage *stage;
    uint64_t pages;
    unsigned flags;
    uint64_t held;
    ps_virt_t va[HELD];
    ps_frame_t frames[STEP_PAGES];
    uint64_t wrong;
    uint64_t checksum;
};

static void take(struct player *player, ps_virt_t *va)
{
    const struct ps_virtual_request request = {.pages = ps_pages(player->pages),
                                               .flags = player->flags};

    player->wrong += ps_virtual_alloc(&player->stage->virtual, &request, va) != PS_OK;
    player->checksum += va->addr;
}

static void give(struct player *player, ps_virt_t va)
{
    player->wrong += ps_virtual_free(&player->stage->virtual, va) != PS_OK;
}

static void whole(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        ps_virt_t va = ps_virt(0);

        take(player, &va);
        give(player, va);
    }
}

static void sample(struct player *player, struct bench_row *row, size_t candidate,
                   const struct bench_task *task)
{
    struct bench_batch batch;

    player->wrong = player->checksum = 0;
    batch = bench_measure(player->bench, task);
    batch.failures = player->wrong;
    batch.checksum = player->checksum;
    bench_add(player->bench, row, candidate, &batch);
}

/* As the allocator takes them. */
static void get_frames(struct player *player)
{
    struct ps_frame_pool *pool = &player->stage->pool;
    ps_status status =
        player->pages == 1
            ? ps_frame_pool_alloc(pool, PS_FRAME_4K, PS_FRAME_VIRTUAL, 0, &player->frames[0])
            : ps_frame_pool_alloc_scattered(pool, player->pages, PS_FRAME_VIRTUAL, 0,
                                            player->frames);

    player->wrong += status != PS_OK;
}

/* Some stay, so that nobody measures the first and the last of a chunk of frames or of a table. */
static void keep_some(struct player *player)
{
    const struct ps_arena_request request = {.pages = 1};
    uint64_t first = 0;

    player->pages = 1;
    for (unsigned i = 0; i < KEPT; i++) {
        take(player, &player->va[0]);
        player->wrong += ps_arena_alloc(&player->stage->attached, &request, &first) != PS_OK;
    }
    get_frames(player);
    player->wrong +=
        ps_page_table_map(&player->stage->table, ps_virt_add_pages(LEAVES, ps_pages(STEP_PAGES)),
                          player->frames, ps_pages(1), ps_attr_ram(PS_READ | PS_WRITE),
                          PS_EXISTING_ERROR) != PS_OK;
}

/* ---- V2 ---- */

static const struct bench_field touched_field = {.names = {"ours", "mmap"}, .count = 2};

static void touch_leaf(struct player *player, const struct ps_translation *leaf, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t *word = ps_hw_frame(&player->stage->machine, ps_frame_add(leaf->frame, i));

        *(volatile uint64_t *)word = i;
    }
}

static void touch(struct player *player, ps_virt_t va)
{
    for (uint64_t done = 0, step; done < player->pages; done += step) {
        struct ps_translation leaf;

        step = 1;
        if (ps_page_table_query(&player->stage->table, ps_virt_add_pages(va, ps_pages(done)),
                                &leaf) != PS_OK) {
            player->wrong++;
            continue;
        }
        if (leaf.leaf != PS_LEAF_4K)
            step = ps_frame_size_pages(PS_FRAME_2M).count;
        touch_leaf(player, &leaf, step);
    }
}

static void touch_ours(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        ps_virt_t va = ps_virt(0);

        take(player, &va);
        touch(player, va);
        give(player, va);
    }
}

static void touch_host(void *context, uint64_t n)
{
    struct player *player = context;
    size_t bytes = player->pages << PS_PAGE_SHIFT;

    for (; n != 0; n--) {
        uint8_t *memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED) {
            player->wrong++;
            continue;
        }
        for (size_t at = 0; at < bytes; at += PS_PAGE_SIZE)
            *(volatile uint64_t *)(void *)(memory + at) = at;
        player->wrong += munmap(memory, bytes) != 0;
    }
}

static void touch_pages(struct player *player)
{
    struct bench_row *row =
        bench_row(player->bench, "V2", "ns", &touched_field, "%" PS_PRIu " page%s%s", player->pages,
                  player->pages == 1 ? "" : "s", player->flags != 0 ? ", zeroed" : "");
    struct bench_task ours = {touch_ours, player, TOUCHES / player->pages, NULL};
    struct bench_task host = {touch_host, player, TOUCHES / player->pages, NULL};

    sample(player, row, 0, &ours);
    sample(player, row, 1, &host);
}

void bench_virtual_touched(struct bench *bench)
{
    static const uint64_t sizes[] = {1, 16, 512, 4096};
    static struct player player;

    player = (struct player){.bench = bench, .stage = virtual_stage_open()};
    if (player.stage != NULL)
        keep_some(&player);
    for (unsigned round = 0; player.stage != NULL && round <= BENCH_REPETITIONS; round++) {
        bench->warming = round == 0;
        for (unsigned i = 0; i < 2 * PS_ARRAY_SIZE(sizes); i++) {
            player.pages = sizes[i / 2];
            player.flags = i % 2 == 0 ? 0 : PS_FRAME_ZERO;
            touch_pages(&player);
        }
    }
    bench->warming = false;
    if (player.stage == NULL)
        fprintf(stderr, "bench: V2 has no memory\n");
    else
        virtual_stage_close(player.stage);
}

/* ---- V3 ---- */

static const struct bench_field step_field = {.names = {"ours"}, .count = 1};

static void addresses(void *context, uint64_t n)
{
    struct player *player = context;
    struct ps_arena *arena = &player->stage->attached;
    const struct ps_arena_request request = {.pages = player->pages};

    for (; n != 0; n--) {
        uint64_t first = 0;

        player->wrong += ps_arena_alloc(arena, &request, &first) != PS_OK ||
                         ps_arena_free(arena, first, player->pages) != PS_OK;
        player->checksum += first;
    }
}

static void put_frames(struct player *player)
{
    for (uint64_t i = 0; i < player->pages; i++)
        player->wrong +=
            ps_frame_pool_free(&player->stage->pool, player->frames[i], ps_pages(1)) != PS_OK;
}

static void frames(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--) {
        get_frames(player);
        player->checksum += player->frames[0].number;
        put_frames(player);
    }
}

/* Beside a page that keeps the table. */
static void leaves(void *context, uint64_t n)
{
    struct player *player = context;
    struct ps_page_table *table = &player->stage->table;

    for (; n != 0; n--)
        player->wrong +=
            ps_page_table_map(table, LEAVES, player->frames, ps_pages(player->pages),
                              ps_attr_ram(PS_READ | PS_WRITE), PS_EXISTING_ERROR) != PS_OK ||
            ps_page_table_unmap(table, LEAVES, ps_pages(player->pages), NULL) != PS_OK;
}

static void take_many(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--)
        take(player, &player->va[player->held++]);
}

static void give_many(void *context, uint64_t n)
{
    struct player *player = context;

    for (; n != 0; n--)
        give(player, player->va[--player->held]);
}

static void play_step(struct player *player, const char *name,
                      void (*loop)(void *context, uint64_t n), uint64_t pairs)
{
    char label[96];
    struct bench_row *row =
        bench_row(player->bench, "V3", "ns", &step_field, "%" PS_PRIu " page%s: %s", player->pages,
                  player->pages == 1 ? "" : "s", name);
    struct bench_task task = {loop, player, pairs, label};

    (void)snprintf(label, sizeof(label), "%s|ours|%" PS_PRIu, row->phase, pairs);
    sample(player, row, 0, &task);
}

static void play_steps(struct player *player)
{
    play_step(player, "addresses", addresses, STEP_PAIRS);
    play_step(player, "frames", frames, STEP_PAIRS);
    get_frames(player);
    play_step(player, "leaves", leaves, STEP_PAIRS);
    put_frames(player);
    play_step(player, "all, a pair", whole, STEP_PAIRS);
    play_step(player, "all, many allocated", take_many, HELD);
    play_step(player, "all, and freed", give_many, player->held);
}

void bench_virtual_steps(struct bench *bench)
{
    unsigned rounds = bench->instructions ? 1 : 1 + BENCH_REPETITIONS;
    static struct player player;

    player = (struct player){.bench = bench, .stage = virtual_stage_open()};
    if (player.stage == NULL) {
        fprintf(stderr, "bench: V3 has no memory\n");
        return;
    }
    keep_some(&player);
    for (unsigned round = 0; round < rounds; round++) {
        bench->warming = rounds > 1 && round == 0;
        for (player.pages = 1; player.pages <= STEP_PAGES; player.pages *= STEP_PAGES)
            play_steps(&player);
    }
    bench->warming = false;
    virtual_stage_close(player.stage);
}
