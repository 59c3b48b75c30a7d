/* The frames that a pool has handed out, and what is in them, as one number. */
#ifndef TESTS_UNIT_ALLOCATED_H
#define TESTS_UNIT_ALLOCATED_H

#include <pagestage/frame_pool.h>

/*
 * Of the frames [first, first + frames). The pool's own bookkeeping is left out: its hints may
 * move.
 */
uint64_t allocated_number(struct ps_frame_pool *pool, const struct ps_machine *machine,
                          ps_frame_t first, uint64_t frames);

/* The same, without the contents of frames with that tag: bookkeeping with free places in it. */
uint64_t allocated_number_without(struct ps_frame_pool *pool, const struct ps_machine *machine,
                                  ps_frame_t first, uint64_t frames, enum ps_frame_tag tag);

#endif
