#include "virtual_oracle.h"

#include <stdlib.h>
#include <string.h>

void virtual_oracle_clear(struct virtual_oracle *oracle)
{
    for (unsigned i = 0; i < oracle->count; i++)
        free(oracle->pieces[i].content);
    oracle->count = 0;
}

/* ---- what is where ---- */

unsigned virtual_piece_at(const struct virtual_oracle *oracle, uint64_t page)
{
    unsigned i = 0;

    while (i < oracle->count && oracle->pieces[i].first + oracle->pieces[i].pages <= page)
        i++;
    return i;
}

struct virtual_piece *virtual_live_at(struct virtual_oracle *oracle, uint64_t page)
{
    struct virtual_piece *piece = &oracle->pieces[virtual_piece_at(oracle, page)];

    return piece < oracle->pieces + oracle->count && piece->first <= page && !piece->retired ? piece
                                                                                             : NULL;
}

bool virtual_in_arena(const struct virtual_oracle *oracle, uint64_t page, uint64_t pages)
{
    return page >= oracle->first && page - oracle->first < oracle->pages &&
           pages <= oracle->pages - (page - oracle->first);
}

bool virtual_is_free(const struct virtual_oracle *oracle, uint64_t first, uint64_t pages)
{
    unsigned i = virtual_piece_at(oracle, first);

    return i == oracle->count || oracle->pieces[i].first >= first + pages;
}

struct virtual_gap virtual_gap(const struct virtual_oracle *oracle, unsigned i)
{
    const struct virtual_piece *lower = i > 0 ? &oracle->pieces[i - 1] : NULL;
    const struct virtual_piece *upper = i < oracle->count ? &oracle->pieces[i] : NULL;
    struct virtual_gap gap = {
        .first = lower != NULL ? lower->first + lower->pages : oracle->first,
        .before = lower != NULL ? lower->after : oracle->guard,
        .after = upper != NULL ? upper->before : oracle->guard,
    };
    uint64_t end = upper != NULL ? upper->first : oracle->first + oracle->pages;

    gap.pages = end - gap.first;
    gap.room = gap.pages - ps_min(gap.pages, gap.before + gap.after);
    return gap;
}

bool virtual_is_guard(const struct virtual_oracle *oracle, uint64_t page)
{
    struct virtual_gap gap = virtual_gap(oracle, virtual_piece_at(oracle, page));

    return virtual_is_free(oracle, page, 1) &&
           (page - gap.first < gap.before || gap.first + gap.pages - 1 - page < gap.after);
}

/* ---- places ---- */

uint64_t virtual_guard_of(const struct virtual_oracle *oracle, ps_pages_t asked)
{
    return asked.count == PS_VIRTUAL_NO_GUARD.count ? 0 : ps_max(asked.count, oracle->guard);
}

struct virtual_place virtual_place_of(const struct virtual_oracle *oracle,
                                      const struct ps_virtual_request *request)
{
    struct virtual_place place = {
        .pages = request->pages.count != 0 ? request->pages.count
                                           : ps_pages_of_bytes(request->bytes).count,
        .align = ps_max(request->alignment.count, 1),
        .low = 0,
        .end = PS_ARENA_END,
        .before = virtual_guard_of(oracle, request->guard_before),
        .after = virtual_guard_of(oracle, request->guard_after),
    };

    if (request->high != 0) {
        place.low = ps_pages_of_bytes(request->low).count;
        place.end = (request->high >> PS_PAGE_SHIFT) +
                    ((request->high & PS_PAGE_MASK) == PS_PAGE_MASK ? 1 : 0);
    }
    return place;
}

bool virtual_fits_gap(const struct virtual_oracle *oracle, const struct virtual_place *place,
                      unsigned i, uint64_t *first)
{
    struct virtual_gap gap = virtual_gap(oracle, i);
    uint64_t end = gap.first + gap.pages;
    uint64_t low = ps_max(gap.first + ps_max(gap.before, place->before), place->low);
    uint64_t after = ps_max(gap.after, place->after);

    if (gap.pages < after || !ps_align_up(low, place->align, &low))
        return false;
    end = ps_min(end - after, place->end);
    if (low > end || place->pages > end - low)
        return false;
    *first = low;
    return true;
}

bool virtual_fits(const struct virtual_oracle *oracle, const struct virtual_place *place)
{
    uint64_t first;

    for (unsigned i = 0; i <= oracle->count; i++)
        if (virtual_fits_gap(oracle, place, i, &first))
            return true;
    return false;
}

bool virtual_fits_at(const struct virtual_oracle *oracle, const struct virtual_place *place,
                     uint64_t first)
{
    struct virtual_place only = *place;
    uint64_t found;

    if (!virtual_in_arena(oracle, first, place->pages) || first < place->low ||
        first > place->end || place->pages > place->end - first)
        return false;
    only.low = first;
    only.end = first + place->pages;
    return virtual_fits_gap(oracle, &only, virtual_piece_at(oracle, first), &found);
}

/* The smallest room in which it fits. */
static uint64_t smallest_room(const struct virtual_oracle *oracle,
                              const struct virtual_place *place)
{
    uint64_t smallest = UINT64_MAX;
    uint64_t first;

    for (unsigned i = 0; i <= oracle->count; i++)
        if (virtual_fits_gap(oracle, place, i, &first))
            smallest = ps_min(smallest, virtual_gap(oracle, i).room);
    return smallest;
}

static uint64_t lowest_place(const struct virtual_oracle *oracle, const struct virtual_place *place)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i <= oracle->count; i++)
        if (virtual_fits_gap(oracle, place, i, &first))
            return first;
    return first;
}

const char *virtual_misplaced(const struct virtual_oracle *oracle,
                              const struct virtual_place *place, uint64_t first, bool plain,
                              bool limited)
{
    struct virtual_place wish = *place;
    unsigned i = virtual_piece_at(oracle, first);
    uint64_t lowest;

    if (!virtual_fits_at(oracle, place, first))
        return "it was not a place";
    if (place->pages >= oracle->alignment)
        wish.align = ps_max(wish.align, ps_max(oracle->alignment, 1));
    if (!virtual_fits(oracle, &wish))
        wish = *place;
    if (!virtual_fits_at(oracle, &wish, first))
        return "an aligned place was there";
    if (limited)
        return lowest_place(oracle, &wish) == first ? NULL : "a lower place was there";
    if (!virtual_fits_gap(oracle, &wish, i, &lowest) || lowest != first)
        return "not the lowest place of its gap";
    if (plain && !oracle->thin && wish.align == 1 &&
        virtual_gap(oracle, i).room != smallest_room(oracle, &wish))
        return "a smaller gap was there";
    return NULL;
}

/* ---- changes ---- */

struct virtual_piece *virtual_add(struct virtual_oracle *oracle, const struct virtual_piece *piece)
{
    unsigned at = virtual_piece_at(oracle, piece->first);

    if (oracle->count == VIRTUAL_PIECES)
        abort();
    memmove(&oracle->pieces[at + 1], &oracle->pieces[at],
            (oracle->count - at) * sizeof(oracle->pieces[0]));
    oracle->pieces[at] = *piece;
    oracle->count++;
    return &oracle->pieces[at];
}

static void drop(struct virtual_oracle *oracle, unsigned at)
{
    free(oracle->pieces[at].content);
    oracle->count--;
    memmove(&oracle->pieces[at], &oracle->pieces[at + 1],
            (oracle->count - at) * sizeof(oracle->pieces[0]));
}

static struct virtual_page *copy_content(const struct virtual_piece *piece, uint64_t from,
                                         uint64_t pages)
{
    struct virtual_page *content = calloc(pages, sizeof(*content));

    if (content == NULL)
        abort();
    memcpy(content, piece->content + from, pages * sizeof(*content));
    return content;
}

/* The pages [from, from + pages) of a piece, as a piece of its own; `cut`: one of two. */
static void add_part(struct virtual_oracle *oracle, const struct virtual_piece *whole,
                     uint64_t from, uint64_t pages, bool cut)
{
    struct virtual_piece part = *whole;
    uint64_t begin = ps_max(whole->va, (whole->first + from) << PS_PAGE_SHIFT);
    uint64_t last = whole->va + (whole->bytes - 1);

    if (pages == 0)
        return;
    part.part |= cut;
    part.first = whole->first + from;
    part.pages = pages;
    part.va = begin;
    part.bytes =
        ps_min(last - begin, ((part.first + pages - 1) << PS_PAGE_SHIFT | PS_PAGE_MASK) - begin) +
        1;
    part.content = copy_content(whole, from, pages);
    (void)virtual_add(oracle, &part);
}

unsigned virtual_retired(const struct virtual_oracle *oracle)
{
    unsigned count = 0;

    for (unsigned i = 0; i < oracle->count; i++)
        count += oracle->pieces[i].retired;
    return count;
}

static void release_old(struct virtual_oracle *oracle)
{
    unsigned i = 0;

    while (i < oracle->count) {
        const struct virtual_piece *piece = &oracle->pieces[i];

        if (piece->retired && oracle->frees - piece->freed >= oracle->quarantine)
            drop(oracle, i);
        else
            i++;
    }
}

void virtual_retire(struct virtual_oracle *oracle, uint64_t first, uint64_t pages)
{
    struct virtual_piece whole = *virtual_live_at(oracle, first);
    uint64_t lower = first - whole.first;
    uint64_t upper = whole.pages - lower - pages;

    oracle->pieces[virtual_piece_at(oracle, first)].content = NULL;
    drop(oracle, virtual_piece_at(oracle, first));
    oracle->frees++;
    add_part(oracle, &whole, 0, lower, upper != 0);
    (void)virtual_add(oracle, &(struct virtual_piece){.first = first,
                                                      .pages = pages,
                                                      .before = whole.before,
                                                      .after = whole.after,
                                                      .retired = true,
                                                      .freed = oracle->frees});
    add_part(oracle, &whole, lower + pages, upper, lower != 0);
    free(whole.content);
    release_old(oracle);
}

uint64_t virtual_asked(const struct virtual_piece *piece, uint64_t i, uint64_t *from)
{
    uint64_t page = (piece->first + i) << PS_PAGE_SHIFT;
    uint64_t begin = ps_max(piece->va, page);
    uint64_t last = ps_min(piece->va + (piece->bytes - 1), page | PS_PAGE_MASK);

    *from = begin - page;
    return begin > last ? 0 : last - begin + 1;
}
