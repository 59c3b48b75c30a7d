#include "level_cross.h"

/* Known to level_passage.S, as is struct level_crossing. */
struct level_page_slots {
    uint32_t wide; /* a far pointer to 64-bit code */
    uint16_t wide_selector;
    uint16_t gdt_limit;
    uint64_t gdt_base;
    uint64_t back;
};

extern const unsigned char level_page[];
extern const unsigned char level_page_slots[];
extern const unsigned char level_page_end[];

void level_pass(const struct level_crossing *crossing);
void level_passed(void);

/* The labels in it count from its beginning. */
static void write_page(uint64_t base)
{
    unsigned char *page = (unsigned char *)(uintptr_t)base;
    struct level_page_slots *slots =
        (struct level_page_slots *)(void *)(page + (level_page_slots - level_page));

    for (ptrdiff_t i = 0; i < level_page_end - level_page; i++)
        page[i] = level_page[i];
    slots->wide += (uint32_t)base;
    slots->gdt_base += base;
    slots->back = (uint64_t)(uintptr_t)level_passed;
}

void level_cross(const struct level_crossing *crossing)
{
    write_page(crossing->page);
    level_pass(crossing);
}
