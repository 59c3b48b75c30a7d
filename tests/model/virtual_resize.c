#include "virtual_driver.h"

#include <stdlib.h>
#include <string.h>

#define OK        VIRTUAL_MAY(PS_OK)
#define INVALID   VIRTUAL_MAY(PS_INVALID_ARGS)
#define NO_MEMORY VIRTUAL_MAY(PS_NO_MEMORY)
#define NO_SPACE  VIRTUAL_MAY(PS_NO_SPACE)

struct resizing {
    uint64_t va;
    uint64_t bytes;
    unsigned flags;
    uint64_t pages;
    struct virtual_place place; /* elsewhere */
    bool in_place;
};

/* Pages that `bytes` from a pointer on need; a number that nobody has when that wraps. */
static uint64_t pages_for(uint64_t va, uint64_t bytes)
{
    return (bytes - 1) / PS_PAGE_SIZE + 1 +
           ((va & PS_PAGE_MASK) + ((bytes - 1) & PS_PAGE_MASK) > PS_PAGE_MASK);
}

static bool has_room_behind(const struct virtual_oracle *oracle, const struct virtual_piece *piece,
                            uint64_t pages)
{
    struct virtual_gap gap = virtual_gap(oracle, virtual_piece_at(oracle, piece->first) + 1);
    uint64_t guard = ps_max(gap.after, piece->after);

    return pages <= piece->pages ||
           (gap.pages >= guard && gap.pages - guard >= pages - piece->pages);
}

static unsigned refusal(struct virtual_driver *driver, uint64_t va)
{
    uint64_t page = va >> PS_PAGE_SHIFT;
    const struct virtual_piece *piece;

    if (!virtual_in_arena(&driver->oracle, page, 1))
        return VIRTUAL_MAY(PS_OUT_OF_RANGE);
    piece = virtual_live_at(&driver->oracle, page);
    if (piece == NULL && virtual_is_guard(&driver->oracle, page))
        return VIRTUAL_MAY(PS_ACCESS_DENIED);
    if (piece == NULL)
        return VIRTUAL_MAY(PS_NOT_FOUND);
    if (piece->va != va)
        return INVALID;
    return piece->overrun ? VIRTUAL_MAY(PS_CORRUPT) : 0;
}

static unsigned may_resize(struct virtual_driver *driver, struct resizing *resizing)
{
    unsigned may = refusal(driver, resizing->va);
    const struct virtual_piece *piece;

    if (resizing->bytes == 0 ||
        (resizing->flags & ~(unsigned)(PS_FRAME_ZERO | PS_VIRTUAL_MAY_MOVE)) != 0)
        may |= INVALID;
    if (may != 0)
        return may;
    piece = virtual_live_at(&driver->oracle, resizing->va >> PS_PAGE_SHIFT);
    resizing->pages = pages_for(resizing->va, resizing->bytes);
    resizing->in_place = has_room_behind(&driver->oracle, piece, resizing->pages);
    resizing->place = (struct virtual_place){.pages = resizing->pages,
                                             .align = piece->align,
                                             .end = PS_ARENA_END,
                                             .before = piece->before,
                                             .after = piece->after};
    if (resizing->pages <= piece->pages)
        return resizing->bytes > piece->bytes && piece->part ? virtual_may_lack_memory(driver, 1)
                                                             : OK;
    if (piece->contiguous || (piece->end != 0 && (piece->first >= piece->end ||
                                                  resizing->pages > piece->end - piece->first)))
        return NO_SPACE;
    may = virtual_may_lack_memory(driver, resizing->pages - piece->pages);
    if (resizing->in_place || ((resizing->flags & PS_VIRTUAL_MAY_MOVE) != 0 && piece->end == 0 &&
                               virtual_fits(&driver->oracle, &resizing->place)))
        return may;
    return NO_SPACE | ((may & OK) == 0 ? NO_MEMORY : 0);
}

/* ---- what it does ---- */

/* Bytes [from, to) of the piece were added: those in its old last page. */
static void expect_added(struct virtual_driver *driver, const struct virtual_piece *piece,
                         uint64_t old_bytes, bool zeroed)
{
    uint64_t from = piece->va + old_bytes;
    uint64_t to = piece->va + piece->bytes;
    unsigned char value = zeroed ? 0 : PS_VIRTUAL_FILL_BYTE;
    bool known = zeroed || (driver->setup.config.flags & PS_VIRTUAL_FILL) != 0;

    for (; known && from < to && (from & PS_PAGE_MASK) != 0 && !driver->failed; from++)
        if (virtual_bytes(driver, piece,
                          (from >> PS_PAGE_SHIFT) - piece->first)[from & PS_PAGE_MASK] != value)
            virtual_fail(driver, "the byte that was added at 0x%" PS_PRIx " is not %u", from,
                         value);
}

/* Now the piece has its new size: pages from `from` on are new. */
static void grow(struct virtual_driver *driver, struct virtual_piece *piece,
                 const struct resizing *resizing, uint64_t from)
{
    bool zeroed = (resizing->flags & PS_FRAME_ZERO) != 0;
    uint64_t old_bytes = piece->bytes;

    piece->content = realloc(piece->content, resizing->pages * sizeof(*piece->content));
    if (piece->content == NULL)
        abort();
    piece->pages = resizing->pages;
    piece->bytes = resizing->bytes;
    virtual_adopt(driver, piece, from, zeroed);
    if (!driver->failed)
        expect_added(driver, piece, old_bytes, zeroed);
    virtual_look_at(driver, piece->first + piece->pages - 1);
}

/* A part that finds no memory for a note of its own has all the bytes of its pages. */
static uint64_t bytes_of_shorter(struct virtual_driver *driver, const struct virtual_piece *piece,
                                 uint64_t bytes)
{
    struct ps_virtual_info info;

    if (piece->part && driver->scarce && bytes <= piece->bytes &&
        ps_virtual_find(&driver->arena, ps_virt(piece->va), &info) == PS_OK &&
        info.bytes == piece->bytes)
        return piece->bytes;
    return bytes;
}

static void shorten(struct virtual_driver *driver, const struct resizing *resizing)
{
    uint64_t first = resizing->va >> PS_PAGE_SHIFT;
    struct virtual_piece *piece = virtual_live_at(&driver->oracle, first);
    uint64_t from;

    if (resizing->pages < piece->pages) {
        virtual_retire(&driver->oracle, first + resizing->pages, piece->pages - resizing->pages);
        driver->counters.frees++;
    }
    piece = virtual_live_at(&driver->oracle, first);
    piece->bytes = bytes_of_shorter(driver, piece, resizing->bytes);
    piece->content[piece->pages - 1].length = ps_min(piece->content[piece->pages - 1].length,
                                                     virtual_asked(piece, piece->pages - 1, &from));
}

static void move(struct virtual_driver *driver, const struct resizing *resizing, uint64_t va)
{
    struct virtual_piece *old = virtual_live_at(&driver->oracle, resizing->va >> PS_PAGE_SHIFT);
    struct virtual_piece piece = *old;
    const char *wrong =
        virtual_misplaced(&driver->oracle, &resizing->place, va >> PS_PAGE_SHIFT, false, false);

    if (wrong != NULL && strcmp(wrong, "an aligned place was there") != 0 &&
        strcmp(wrong, "not the lowest place of its gap") != 0) {
        virtual_fail(driver, "moved to 0x%" PS_PRIx ": %s", va, wrong);
        return;
    }
    if ((va & PS_PAGE_MASK) != (resizing->va & PS_PAGE_MASK))
        virtual_fail(driver, "the first byte has another place in the page");
    piece.content = calloc(piece.pages, sizeof(*piece.content));
    if (piece.content == NULL)
        abort();
    memcpy(piece.content, old->content, piece.pages * sizeof(*piece.content));
    piece.first = va >> PS_PAGE_SHIFT;
    piece.va = va;
    virtual_look_at(driver, piece.first);
    virtual_retire(&driver->oracle, old->first, old->pages);
    grow(driver, virtual_add(&driver->oracle, &piece), resizing, piece.pages);
    driver->counters.moves++;
}

static void follow(struct virtual_driver *driver, const struct resizing *resizing, uint64_t va)
{
    struct virtual_piece *piece = virtual_live_at(&driver->oracle, resizing->va >> PS_PAGE_SHIFT);

    if (va != resizing->va && resizing->in_place)
        virtual_fail(driver, "it moved, and there was room");
    else if (va != resizing->va)
        move(driver, resizing, va);
    else if (!resizing->in_place)
        virtual_fail(driver, "it did not move, and there was no room");
    else if (resizing->pages > piece->pages || resizing->bytes > piece->bytes)
        grow(driver, piece, resizing, piece->pages);
    else
        shorten(driver, resizing);
}

static void expect_failure(struct virtual_driver *driver, const struct resizing *resizing)
{
    const struct ps_virtual_failure *failure = &driver->arena.failure;

    if ((driver->status == PS_NO_MEMORY || driver->status == PS_NO_SPACE) &&
        (failure->status != driver->status || failure->bytes != resizing->bytes ||
         failure->allocs != driver->counters.allocs))
        virtual_fail(driver, "the failure was not recorded");
}

void drive_virtual_resize(struct virtual_driver *driver, uint64_t va, uint64_t bytes,
                          unsigned flags)
{
    struct resizing resizing = {.va = va, .bytes = bytes, .flags = flags};
    unsigned may = may_resize(driver, &resizing);
    ps_virt_t moved = ps_virt(7);
    ps_status status;

    if (may == OK || (may & OK) != 0) {
        const struct virtual_piece *piece = virtual_live_at(&driver->oracle, va >> PS_PAGE_SHIFT);

        driver->freed = piece->first + piece->pages - 1;
        driver->freeing = true;
        virtual_look_at(driver, piece->first);
        virtual_look_at(driver, driver->freed);
    }
    virtual_begin(driver, "resize 0x%" PS_PRIx ": %" PS_PRIu " bytes, flags %x", va, bytes, flags);
    status = ps_virtual_resize(&driver->arena, ps_virt(va), bytes, flags, &moved);
    if (virtual_went_through(driver, status, may)) {
        follow(driver, &resizing, moved.addr);
    } else {
        if (moved.addr != 7)
            virtual_fail(driver, "a result was written");
        expect_failure(driver, &resizing);
    }
}
