#include "virtual_cases.h"

bool own_arena_open(struct test *test, struct own_arena *own, unsigned flags, uint64_t quarantine)
{
    const struct world *world = test->world;
    struct ps_virtual_config config = {.base = world->scratch,
                                       .pages = ps_pages(world->scratch_pages.count / 2),
                                       .guard = ps_pages(1),
                                       .alignment = ps_pages(512),
                                       .tag = PS_FRAME_VIRTUAL,
                                       .flags = flags,
                                       .quarantine = quarantine};

    own->arena = (struct ps_virtual_allocator){0};
    own->before = scratch_begin(test);
    return EXPECT_OK(ps_virtual_init(&own->arena, world->table, world->pool, &config));
}

void own_arena_close(struct test *test, struct own_arena *own)
{
    char text[200];
    struct ps_text_buffer buffer;
    struct ps_sink sink = ps_text_buffer_sink(&buffer, text, sizeof(text));

    EXPECT_OK(ps_virtual_validate(&own->arena, &sink));
    EXPECT_OK(ps_virtual_destroy(&own->arena, &sink));
    EXPECT_TEXT(text, "");
    scratch_end(test, &own->before);
}

ps_virt_t memory_take(struct test *test, struct ps_virtual_allocator *arena,
                      const struct ps_virtual_request *request)
{
    ps_virt_t va = ps_virt(0);

    EXPECT_OK(ps_virtual_alloc(arena, request, &va));
    return va;
}

ps_virt_t memory_take_pages(struct test *test, struct ps_virtual_allocator *arena, uint64_t pages)
{
    struct ps_virtual_request request = {.pages = ps_pages(pages)};

    return memory_take(test, arena, &request);
}

void memory_give(struct test *test, struct ps_virtual_allocator *arena, ps_virt_t va)
{
    EXPECT_OK(ps_virtual_free(arena, va));
}

void expect_absent(struct test *test, ps_virt_t va, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i++) {
        ps_virt_t page = page_at(va, i);

        scratch_expect_fault(test, test->world->load(test->world, page), page, 0);
        scratch_expect_fault(test, test->world->store(test->world, page, 1), page, FAULT_WRITE);
    }
}

void expect_load(struct test *test, ps_virt_t va, uint64_t value)
{
    scratch_expect_value(test, test->world->load(test->world, va), value);
}

void expect_store(struct test *test, ps_virt_t va, uint64_t value)
{
    EXPECT(!test->world->store(test->world, va, value).faulted);
}

void stamp(struct test *test, ps_virt_t va, uint64_t pages, uint64_t salt)
{
    for (uint64_t i = 0; i < pages; i++) {
        expect_store(test, page_at(va, i), i ^ salt);
        expect_store(test, ps_virt_add(page_at(va, i), PS_PAGE_SIZE - 8), ~i ^ salt);
    }
}

void expect_stamped(struct test *test, ps_virt_t va, uint64_t pages, uint64_t salt)
{
    for (uint64_t i = 0; i < pages; i++) {
        expect_load(test, page_at(va, i), i ^ salt);
        expect_load(test, ps_virt_add(page_at(va, i), PS_PAGE_SIZE - 8), ~i ^ salt);
    }
}
