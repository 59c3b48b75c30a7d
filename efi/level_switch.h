/*
 * The switch to another number of paging levels, in the moment in which the stage's root is loaded.
 *
 *     firmware's root  ->  passage, 4 levels  ->  passage, 5 levels  ->  stage's root, 5 levels
 *     firmware's root  ->  passage, 5 levels  ->  passage, 4 levels  ->  stage's root, 4 levels
 *                      CR3              level_cross()             CR3
 *
 * The passage is an address space of its own that lives as long as the switch: the image where
 * it is, and the page of code of level_cross.h. It is built with 4 levels; a second root, with
 * one entry, shows the same tables with 5. So neither the rights that the firmware gives to
 * memory nor the place of the stage's root matter, and the stage's root never maps that page.
 */
#ifndef EFI_LEVEL_SWITCH_H
#define EFI_LEVEL_SWITCH_H

#include "image.h"

/* Zero-filled at first, and for good where nothing is switched. */
struct level_switch {
    const struct image *image;
    struct ps_machine machine; /* the stage's, but with 4 levels */
    struct ps_page_table table;
    ps_frame_t pages; /* the page of code, the root of 4 levels, the root of 5 levels */
};

/*
 * A ps_stage_request's `enter_root`; `context` is the switch, with its image set. PS_NO_MEMORY;
 * PS_NO_SPACE: no three free frames in a row below 4 GiB.
 */
PS_MUST_CHECK ps_status level_switch_enter(void *context, struct ps_stage *stage);

/* Once the stage has taken over: give back all that the passage took. */
PS_MUST_CHECK ps_status level_switch_finish(struct level_switch *levels, struct ps_stage *stage);

#endif
