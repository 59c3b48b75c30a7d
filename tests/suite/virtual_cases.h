/* What the cases about the virtual allocator share: memory as a program sees it. */
#ifndef TESTS_SUITE_VIRTUAL_CASES_H
#define TESTS_SUITE_VIRTUAL_CASES_H

#include "scratch.h"

/* ---- an allocator of a case's own, in the scratch range ---- */

struct own_arena {
    struct ps_virtual_allocator arena;
    struct scratch_state before;
};

/* With a guard of a page, and room for large leaves. False: the case has failed. */
bool own_arena_open(struct test *test, struct own_arena *own, unsigned flags, uint64_t quarantine);

/* It has to be valid and empty, and everything as it was before. */
void own_arena_close(struct test *test, struct own_arena *own);

/* ---- allocating and freeing what must succeed ---- */

/* 0 when the arena refuses: page 0 is never an allocation. */
ps_virt_t memory_take(struct test *test, struct ps_virtual_allocator *arena,
                      const struct ps_virtual_request *request);
ps_virt_t memory_take_pages(struct test *test, struct ps_virtual_allocator *arena, uint64_t pages);
void memory_give(struct test *test, struct ps_virtual_allocator *arena, ps_virt_t va);

static inline ps_virt_t page_at(ps_virt_t va, uint64_t page)
{
    return ps_virt_add_pages(va, ps_pages(page));
}

/* Bytes before or behind an address. */
static inline ps_virt_t byte_at(ps_virt_t va, int64_t bytes)
{
    return bytes < 0 ? ps_virt(va.addr - (uint64_t)-bytes) : ps_virt_add(va, (uint64_t)bytes);
}

/* ---- facts about an address, found out by touching it ---- */

void expect_absent(struct test *test, ps_virt_t va, uint64_t pages);
void expect_load(struct test *test, ps_virt_t va, uint64_t value);
void expect_store(struct test *test, ps_virt_t va, uint64_t value);

/* Every page carries a word at its start and one at its end: `salt` makes them different. */
void stamp(struct test *test, ps_virt_t va, uint64_t pages, uint64_t salt);
void expect_stamped(struct test *test, ps_virt_t va, uint64_t pages, uint64_t salt);

#endif
