#include "virtual_driver.h"

#include <stdlib.h>
#include <string.h>

#define OK        VIRTUAL_MAY(PS_OK)
#define INVALID   VIRTUAL_MAY(PS_INVALID_ARGS)
#define NO_MEMORY VIRTUAL_MAY(PS_NO_MEMORY)
#define NO_SPACE  VIRTUAL_MAY(PS_NO_SPACE)
#define EXISTS    VIRTUAL_MAY(PS_ALREADY_EXISTS)

#define REQUEST_FLAGS \
    (PS_FRAME_ZERO | PS_VIRTUAL_CONTIGUOUS | PS_VIRTUAL_CLUSTERED | PS_VIRTUAL_SMALL_LEAVES)

/* ---- requests ---- */

static bool is_guard(ps_pages_t guard)
{
    return guard.count <= PS_ARENA_GUARD_MAX || guard.count == PS_VIRTUAL_NO_GUARD.count;
}

static bool is_request(const struct ps_virtual_request *request)
{
    bool attr =
        (request->attr.access == 0 && request->attr.cache == 0) || ps_attr_is_valid(request->attr);

    return (request->pages.count == 0) != (request->bytes == 0) &&
           (request->alignment.count == 0 || ps_is_power_of_two(request->alignment.count)) &&
           is_guard(request->guard_before) && is_guard(request->guard_after) && attr &&
           (request->high == 0 || request->low <= request->high) &&
           (request->flags & ~(unsigned)REQUEST_FLAGS) == 0;
}

static uint64_t bytes_of(const struct ps_virtual_request *request)
{
    return request->bytes != 0 ? request->bytes : request->pages.count << PS_PAGE_SHIFT;
}

static void begin_request(struct virtual_driver *driver, const char *name, uint64_t va,
                          const struct ps_virtual_request *request)
{
    virtual_begin(driver,
                  "%s at 0x%" PS_PRIx ": %" PS_PRIu " pages, %" PS_PRIu " bytes, align %" PS_PRIu
                  ", [0x%" PS_PRIx ", 0x%" PS_PRIx "], guards %" PS_PRIu " %" PS_PRIu ", flags %x",
                  name, va, request->pages.count, request->bytes, request->alignment.count,
                  request->low, request->high, request->guard_before.count,
                  request->guard_after.count, request->flags);
}

static void expect_failure(struct virtual_driver *driver, uint64_t bytes,
                           const struct ps_attribution *who)
{
    const struct ps_virtual_failure *failure = &driver->arena.failure;

    if (driver->status != PS_NO_MEMORY && driver->status != PS_NO_SPACE)
        return;
    if (failure->status != driver->status || failure->allocs != driver->counters.allocs ||
        failure->bytes != bytes || failure->who.owner[0] != who->owner[0] ||
        failure->who.line != who->line)
        virtual_fail(driver, "the failure was not recorded");
}

/* ---- what stands against an allocation ---- */

static unsigned memory_for(const struct virtual_driver *driver,
                           const struct ps_virtual_request *request, uint64_t pages)
{
    unsigned may = virtual_may_lack_memory(driver, pages);

    if ((request->flags & PS_VIRTUAL_CONTIGUOUS) != 0 &&
        (driver->setup.fragmented ||
         ps_frame_pool_whole((struct ps_frame_pool *)&driver->pool, PS_FRAME_2M) * 512 <
             pages + 1024))
        may |= NO_SPACE;
    return may;
}

static unsigned may_alloc(struct virtual_driver *driver, const struct ps_virtual_request *request,
                          const struct virtual_place *place)
{
    unsigned memory;

    if (!is_request(request))
        return INVALID;
    memory = memory_for(driver, request, place->pages);
    driver->hopeless = (memory & OK) == 0;
    if (virtual_fits(&driver->oracle, place))
        return memory;
    /* An empty arena takes its first frame before it looks. */
    driver->hopeless = driver->oracle.count != 0;
    if (driver->oracle.count == 0)
        return NO_SPACE | (memory & NO_MEMORY);
    return NO_SPACE | ((memory & OK) == 0 ? NO_MEMORY : 0);
}

static unsigned may_alloc_at(struct virtual_driver *driver,
                             const struct ps_virtual_request *request,
                             const struct virtual_place *place, uint64_t va, bool force)
{
    uint64_t first = va >> PS_PAGE_SHIFT;
    unsigned memory;
    unsigned may = 0;

    if (!is_request(request))
        return first == 0 ? INVALID | VIRTUAL_MAY(PS_OUT_OF_RANGE) : INVALID;
    if ((va & PS_PAGE_MASK) != 0 || !ps_is_aligned(first, place->align) || first < place->low ||
        first > place->end || place->pages > place->end - first)
        may |= INVALID;
    if (!virtual_in_arena(&driver->oracle, first, place->pages))
        may |= VIRTUAL_MAY(PS_OUT_OF_RANGE);
    else if (!virtual_is_free(&driver->oracle, first, place->pages))
        may |= EXISTS;
    else if (!force && may == 0 && !virtual_fits_at(&driver->oracle, place, first))
        may |= NO_SPACE;
    memory = memory_for(driver, request, place->pages);
    if (may == 0)
        return memory;
    if (driver->oracle.count == 0)
        return may | (memory & NO_MEMORY);
    return may | ((memory & OK) == 0 ? NO_MEMORY : 0);
}

/* ---- what it does ---- */

static bool is_pushed(const struct virtual_driver *driver, const struct ps_virtual_request *request)
{
    return request->bytes != 0 && request->alignment.count <= 1 &&
           (driver->setup.config.flags & PS_VIRTUAL_PUSH) != 0;
}

static void expect_pointer(struct virtual_driver *driver, const struct virtual_piece *piece,
                           bool pushed)
{
    uint64_t page = piece->first << PS_PAGE_SHIFT;
    uint64_t end = (piece->first + piece->pages - 1) << PS_PAGE_SHIFT | PS_PAGE_MASK;

    if (!pushed && piece->va != page)
        virtual_fail(driver, "the pointer is not the first page");
    if (pushed && (piece->va < page || (piece->va & 15) != 0 ||
                   end - piece->va + 1 < piece->bytes || end - piece->va + 1 - piece->bytes > 15))
        virtual_fail(driver, "the pointer 0x%" PS_PRIx " is not at the rear guard", piece->va);
}

static void expect_contiguous(struct virtual_driver *driver, const struct virtual_piece *piece)
{
    for (uint64_t i = 1; i < piece->pages; i++)
        if (piece->content[i].frame != piece->content[0].frame + i)
            virtual_fail(driver, "page %" PS_PRIu " is not contiguous", i);
}

static void take(struct virtual_driver *driver, const struct ps_virtual_request *request,
                 const struct virtual_place *place, uint64_t va)
{
    bool pushed = is_pushed(driver, request);
    bool plain = request->attr.access == 0 && request->attr.cache == 0;
    struct virtual_piece piece = {
        .first = va >> PS_PAGE_SHIFT,
        .pages = place->pages,
        .before = place->before,
        .after = place->after,
        .va = va,
        .bytes = bytes_of(request),
        .sequence = ++driver->sequence,
        .who = request->who,
        .attr = plain ? ps_attr_ram(PS_READ | PS_WRITE) : request->attr,
        .align = place->align,
        .small = (request->flags & PS_VIRTUAL_SMALL_LEAVES) != 0,
        .contiguous = (request->flags & PS_VIRTUAL_CONTIGUOUS) != 0,
        .end = request->high != 0 ? place->end : 0,
        .content = calloc(place->pages, sizeof(*piece.content)),
    };
    struct virtual_piece *added;

    if (piece.content == NULL)
        abort();
    driver->oracle.thin |=
        place->before < driver->oracle.guard || place->after < driver->oracle.guard;
    added = virtual_add(&driver->oracle, &piece);
    expect_pointer(driver, added, pushed);
    virtual_adopt(driver, added, 0, (request->flags & PS_FRAME_ZERO) != 0);
    if ((request->flags & PS_VIRTUAL_CONTIGUOUS) != 0 && !driver->failed)
        expect_contiguous(driver, added);
    driver->counters.allocs++;
    virtual_look_at(driver, added->first);
    virtual_look_at(driver, added->first + added->pages - 1);
}

void drive_virtual_alloc(struct virtual_driver *driver, const struct ps_virtual_request *request)
{
    struct virtual_place place = virtual_place_of(&driver->oracle, request);
    unsigned may = may_alloc(driver, request, &place);
    bool plain = request->guard_before.count <= driver->oracle.guard &&
                 request->guard_after.count <= driver->oracle.guard;
    const char *wrong;
    ps_virt_t va = ps_virt(7);
    ps_status status;

    begin_request(driver, "alloc", 0, request);
    status = ps_virtual_alloc(&driver->arena, request, &va);
    if (!virtual_went_through(driver, status, may)) {
        if (va.addr != 7)
            virtual_fail(driver, "a result was written");
        expect_failure(driver, bytes_of(request), &request->who);
        return;
    }
    wrong = virtual_misplaced(&driver->oracle, &place, va.addr >> PS_PAGE_SHIFT, plain,
                              request->high != 0);
    if (wrong != NULL)
        virtual_fail(driver, "allocated at 0x%" PS_PRIx ": %s", va.addr, wrong);
    else
        take(driver, request, &place, va.addr);
}

void drive_virtual_alloc_at(struct virtual_driver *driver, const struct ps_virtual_request *request,
                            uint64_t at, bool force)
{
    struct virtual_place place = virtual_place_of(&driver->oracle, request);
    unsigned may = may_alloc_at(driver, request, &place, at, force);
    ps_virt_t va = ps_virt(7);
    ps_status status;

    begin_request(driver, force ? "force" : "alloc_at", at, request);
    status = ps_virtual_alloc_at(&driver->arena, request, ps_virt(at), force);
    (void)va;
    if (!virtual_went_through(driver, status, may)) {
        expect_failure(driver, bytes_of(request), &request->who);
        return;
    }
    driver->oracle.thin |= force;
    if (is_pushed(driver, request)) {
        uint64_t slack = ps_bytes_of_pages(ps_pages(place.pages)) - request->bytes;

        at += slack - slack % 16;
    }
    take(driver, request, &place, at);
}

/* ---- freeing ---- */

static ps_status misuse_at(struct virtual_driver *driver, uint64_t va, bool exactly,
                           enum ps_misuse *what)
{
    uint64_t page = va >> PS_PAGE_SHIFT;
    const struct virtual_piece *piece;

    *what = PS_MISUSE_FOREIGN;
    if (!virtual_in_arena(&driver->oracle, page, 1))
        return PS_OUT_OF_RANGE;
    piece = virtual_live_at(&driver->oracle, page);
    *what = PS_MISUSE_GUARD;
    if (piece == NULL && virtual_is_guard(&driver->oracle, page))
        return PS_ACCESS_DENIED;
    *what = PS_MISUSE_FREE;
    if (piece == NULL)
        return PS_NOT_FOUND;
    *what = PS_MISUSE_INTERIOR;
    if (exactly && piece->va != va)
        return PS_INVALID_ARGS;
    *what = PS_MISUSE_NONE;
    return PS_OK;
}

static void expect_misuse(struct virtual_driver *driver, enum ps_misuse what, uint64_t va,
                          const uint64_t *counts)
{
    const struct ps_virtual_misuse *misuse = &driver->arena.misuse;
    const struct virtual_piece *piece = NULL;

    if (virtual_in_arena(&driver->oracle, va >> PS_PAGE_SHIFT, 1))
        piece = virtual_live_at(&driver->oracle, va >> PS_PAGE_SHIFT);
    if (misuse->status != driver->status || misuse->what != what || misuse->va.addr != va ||
        misuse->sequence != (piece != NULL ? piece->sequence : 0))
        virtual_fail(driver, "misuse %d at 0x%" PS_PRIx " was noted as %d, %s, at 0x%" PS_PRIx,
                     (int)what, va, (int)misuse->what, ps_status_name(misuse->status),
                     misuse->va.addr);
    for (unsigned i = 0; i < PS_MISUSE_COUNT; i++)
        if (misuse->counts[i] != counts[i] + (i == (unsigned)what))
            virtual_fail(driver, "misuse %u was not counted", i);
}

struct freeing {
    uint64_t va;
    ps_status status;
    enum ps_misuse what;
    uint64_t counts[PS_MISUSE_COUNT];
    uint64_t first;
    uint64_t pages;
};

static void begin_free(struct virtual_driver *driver, struct freeing *freeing)
{
    memcpy(freeing->counts, driver->arena.misuse.counts, sizeof(freeing->counts));
    if (freeing->status != PS_OK)
        return;
    driver->freeing = true;
    driver->freed = freeing->first;
    virtual_look_at(driver, freeing->first);
    virtual_look_at(driver, freeing->first + freeing->pages - 1);
}

static void end_free(struct virtual_driver *driver, const struct freeing *freeing, ps_status status)
{
    if (virtual_went_through(driver, status, VIRTUAL_MAY(freeing->status))) {
        virtual_retire(&driver->oracle, freeing->first, freeing->pages);
        driver->counters.frees++;
    } else if (!driver->failed && freeing->what != PS_MISUSE_NONE) {
        expect_misuse(driver, freeing->what, freeing->va, freeing->counts);
    }
}

static struct freeing whole_at(struct virtual_driver *driver, uint64_t va)
{
    struct freeing freeing = {.va = va};
    const struct virtual_piece *piece;

    freeing.status = misuse_at(driver, va, true, &freeing.what);
    if (freeing.status != PS_OK)
        return freeing;
    piece = virtual_live_at(&driver->oracle, va >> PS_PAGE_SHIFT);
    freeing.first = piece->first;
    freeing.pages = piece->pages;
    if (piece->overrun) {
        freeing.status = PS_CORRUPT;
        freeing.what = PS_MISUSE_OVERRUN;
    }
    return freeing;
}

void drive_virtual_free(struct virtual_driver *driver, uint64_t va)
{
    struct freeing freeing = whole_at(driver, va);

    begin_free(driver, &freeing);
    virtual_begin(driver, "free 0x%" PS_PRIx, va);
    end_free(driver, &freeing, ps_virtual_free(&driver->arena, ps_virt(va)));
}

void drive_virtual_free_sized(struct virtual_driver *driver, uint64_t va, uint64_t bytes)
{
    struct freeing freeing = whole_at(driver, va);

    if (freeing.status == PS_OK &&
        virtual_live_at(&driver->oracle, freeing.first)->bytes != bytes) {
        freeing.status = PS_WRONG_SIZE;
        freeing.what = PS_MISUSE_SIZE;
    }
    begin_free(driver, &freeing);
    virtual_begin(driver, "free_sized 0x%" PS_PRIx ": %" PS_PRIu, va, bytes);
    end_free(driver, &freeing, ps_virtual_free_sized(&driver->arena, ps_virt(va), bytes));
}

void drive_virtual_free_part(struct virtual_driver *driver, uint64_t va, uint64_t pages)
{
    struct freeing freeing = {.va = va, .first = va >> PS_PAGE_SHIFT, .pages = pages};
    const struct virtual_piece *piece;

    freeing.status = misuse_at(driver, va, false, &freeing.what);
    if (freeing.status == PS_OK) {
        piece = virtual_live_at(&driver->oracle, freeing.first);
        if (pages > piece->first + piece->pages - freeing.first) {
            freeing.status = PS_WRONG_SIZE;
            freeing.what = PS_MISUSE_SIZE;
        }
    }
    if (pages == 0 || (va & PS_PAGE_MASK) != 0) {
        freeing.status = PS_INVALID_ARGS;
        freeing.what = PS_MISUSE_NONE;
    }
    begin_free(driver, &freeing);
    virtual_begin(driver, "free_part 0x%" PS_PRIx ": %" PS_PRIu, va, pages);
    end_free(driver, &freeing, ps_virtual_free_part(&driver->arena, ps_virt(va), ps_pages(pages)));
}

void drive_virtual_free_all(struct virtual_driver *driver)
{
    virtual_begin(driver, "free_all");
    if (!virtual_went_through(driver, ps_virtual_free_all(&driver->arena), OK))
        return;
    driver->counters.frees += driver->oracle.count - virtual_retired(&driver->oracle);
    virtual_oracle_clear(&driver->oracle);
}
