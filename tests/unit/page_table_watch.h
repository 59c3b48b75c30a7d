/*
 * A second processor that looks at all pages around a change after every single store to an entry.
 * What the call is not about stays as it is throughout; what it is about is as before or as after,
 * and never goes back; and nothing is reused before the round.
 */
#ifndef TESTS_UNIT_PAGE_TABLE_WATCH_H
#define TESTS_UNIT_PAGE_TABLE_WATCH_H

#include "page_table_fixture.h"

enum {
    RIGHT_READ = 1u << 0,
    RIGHT_WRITE = 1u << 1,
    RIGHT_FETCH = 1u << 2,
    RIGHTS = RIGHT_READ | RIGHT_WRITE | RIGHT_FETCH,
    WATCHED_MOST = 1600,
};
#define NOTHING UINT64_MAX /* no frame */

/* A page, before and after. Without a frame on one side it may be absent on the way. */
struct watched {
    uint64_t page; /* above TABLE_LOW */
    uint64_t frame_before;
    uint64_t frame_after;
    unsigned before;
    unsigned after;
    bool broken; /* absent on the way, although it has frames on both sides */
    bool moved;  /* was seen as after, or absent */
};

struct watch {
    struct test *test;
    struct table_fixture *f;
    bool cold;   /* the other processor keeps nothing from one look to the next */
    bool writes; /* it writes as well */
    uint64_t looks;
    uint64_t free;   /* frames of the pool, at the last look */
    uint64_t rounds; /* before the call */
    struct watched pages[WATCHED_MOST];
    size_t count;
};

/* RIGHT_READ and so on, of a page with these attributes. */
unsigned watch_rights(ps_attr_t attr);

/* Every `step`-th page from `page` on, which maps frames side by side. Returns the first. */
struct watched *watch_add(struct watch *watch, uint64_t page, uint64_t pages, uint64_t step,
                          uint64_t frame, ps_attr_t attr);
struct watched *watch_find(struct watch *watch, uint64_t page);

/* What the call does to those of the pages that are watched. */
void watch_goes(struct watch *watch, uint64_t page, uint64_t pages);
void watch_changes(struct watch *watch, uint64_t page, uint64_t pages, ps_attr_t attr);

struct scene {
    /* Map, and say what is to become of which page. */
    void (*prepare)(struct test *test, struct table_fixture *f, struct watch *watch);
    void (*act)(struct test *test, struct table_fixture *f, const struct ps_frame_release *release);
    bool unused;    /* bits of the pages are cleared after the other processor met them */
    uint64_t least; /* stores that the call needs at least: the hook works */
};

/* Cold and warm, reading only and writing as well. */
void watch_scene(struct test *test, struct table_fixture *f, const struct scene *scene);

#endif
