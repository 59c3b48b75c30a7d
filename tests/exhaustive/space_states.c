#include "space_states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page_table_private.h"

/*
 * A state is what the page table goes by: all its entries, but for the frames that tables are in,
 * its flags, and the counters of what there is. Two ways to the same tables in other frames are
 * the same state.
 */

static void *get_memory(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        fprintf(stderr, "no memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static uint64_t *words_of(const struct search *search, uint64_t i)
{
    return ps_hw_frame(&search->machine.sim->machine, ps_frame(FIRST_FRAME + i));
}

static void find_books(struct search *search)
{
    uint8_t places = 0;

    for (uint64_t i = 0; i < FRAMES; i++) {
        struct ps_frame_info info;

        if (ps_frame_pool_query(&search->machine.pool, ps_frame(FIRST_FRAME + i), &info) != PS_OK ||
            info.tag != PS_FRAME_METADATA)
            continue;
        if (places == WHOLE_MAX) {
            fprintf(stderr, "the pool's books are larger than what is kept of them\n");
            exit(EXIT_FAILURE);
        }
        search->whole[i] = ++places;
    }
}

void start_search(struct search *search, const struct scenario *scenario)
{
    memset(search, 0, sizeof(*search));
    search->scenario = scenario;
    search->machine.levels = scenario->levels;
    search->machine.gib_leaves = scenario->gib_leaves;
    search->machine.no_execute = true;
    small_machine_start(&search->machine, 1);
    search->states = get_memory(scenario->bound, sizeof(*search->states));
    search->table_size = (uint64_t)scenario->bound * 2 + 1;
    search->table = get_memory(search->table_size, sizeof(*search->table));
    find_books(search);
    save_image(search, &search->start);
}

void end_search(struct search *search)
{
    for (uint32_t i = 0; i < search->count; i++)
        free(search->states[i].key);
    free(search->states);
    free(search->table);
    small_machine_end(&search->machine);
}

/* ---- memory ---- */

static void save_frames(struct search *search, struct image *image)
{
    for (uint64_t i = 0; i < FRAMES; i++) {
        if (search->whole[i] != 0)
            memcpy(image->whole[search->whole[i] - 1], words_of(search, i), PS_PAGE_SIZE);
        else
            memcpy(image->content[i], words_of(search, i), CONTENT * 8);
    }
}

static void load_frames(struct search *search, const struct image *image)
{
    for (uint64_t i = 0; i < FRAMES; i++) {
        if (search->whole[i] != 0)
            memcpy(words_of(search, i), image->whole[search->whole[i] - 1], PS_PAGE_SIZE);
        else
            memcpy(words_of(search, i), image->content[i], CONTENT * 8);
    }
}

void save_image(struct search *search, struct image *image)
{
    struct space_driver *driver = &search->machine.driver;

    image->pool = search->machine.pool;
    image->table = driver->tables[0];
    image->oracle = driver->oracles[0];
    memcpy(image->pages, image->oracle.windows[0].pages,
           image->oracle.windows[0].count * sizeof(image->pages[0]));
    image->gather = driver->gather;
    image->unflushed = driver->unflushed;
    save_frames(search, image);
}

void load_image(struct search *search, const struct image *image)
{
    struct space_driver *driver = &search->machine.driver;

    search->machine.pool = image->pool;
    driver->tables[0] = image->table;
    driver->oracles[0] = image->oracle;
    memcpy(image->oracle.windows[0].pages, image->pages,
           image->oracle.windows[0].count * sizeof(image->pages[0]));
    driver->gather = image->gather;
    driver->unflushed = image->unflushed;
    load_frames(search, image);
}

/* ---- states ---- */

static void put(struct search *search, uint64_t word)
{
    if (search->key_words == KEY_WORDS) {
        fprintf(stderr, "a state is larger than what is kept of it\n");
        exit(EXIT_FAILURE);
    }
    search->key[search->key_words++] = word;
}

static void put_table(struct search *search, ps_frame_t frame, unsigned level)
{
    const uint64_t *entries = ps_hw_frame(&search->machine.sim->machine, frame);

    for (uint64_t i = 0; i < PS_TABLE_ENTRIES; i++) {
        uint64_t entry = entries[i];
        uint64_t marks = entry & PS_ENTRY_RETIRED;

        if (entry == 0 || ps_entry_has_leaf(entry, level)) {
            put(search, entry);
            continue;
        }
        if (marks != 0)
            entry = ps_entry_unretire(entry);
        put(search, (entry & ~PS_ENTRY_FRAME_MASK) | marks);
        put_table(search, ps_entry_table_frame(entry), level - 1);
    }
}

void read_key(struct search *search)
{
    const struct space_driver *driver = &search->machine.driver;
    const struct ps_page_table *table = &driver->tables[0];

    search->key_words = 0;
    put_table(search, table->root, table->levels);
    put(search, (uint64_t)table->promotes | (uint64_t)table->frozen << 1 |
                    (uint64_t)driver->unflushed << 2 | table->retired << 8);
    put(search, table->counters.tables | table->counters.promised << 32);
    for (unsigned level = 1; level <= 3; level++)
        put(search, table->counters.leaves[level]);
}

static uint64_t hash_of(const uint64_t *words, unsigned count)
{
    uint64_t hash = 0x9e3779b97f4a7c15u;

    for (unsigned i = 0; i < count; i++) {
        hash = (hash ^ words[i]) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 29;
    }
    return hash;
}

bool remember(struct search *search, uint32_t parent, const struct move *move)
{
    uint64_t at = hash_of(search->key, search->key_words) % search->table_size;
    size_t bytes = search->key_words * sizeof(search->key[0]);
    struct state *state;

    for (; search->table[at] != 0; at = (at + 1) % search->table_size) {
        state = &search->states[search->table[at] - 1];
        if (state->words == search->key_words && memcmp(state->key, search->key, bytes) == 0)
            return false;
    }
    if (search->count == search->scenario->bound)
        return false;
    state = &search->states[search->count++];
    search->table[at] = search->count;
    *state = (struct state){.parent = parent, .move = *move, .words = search->key_words};
    state->depth = search->count == 1 ? 0 : (uint8_t)(search->states[parent].depth + 1);
    state->key = get_memory(search->key_words, sizeof(search->key[0]));
    memcpy(state->key, search->key, bytes);
    return true;
}
