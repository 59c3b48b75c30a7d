/*
 * Address spaces beside the stage's own, in which memory appears at its physical address: of the
 * firmware's runtime services, and of the way to another number of levels.
 */
#ifndef EFI_IDENTITY_H
#define EFI_IDENTITY_H

#include "image.h"

/* Our image where it is, by section. PS_NO_MEMORY. */
PS_MUST_CHECK ps_status identity_map_image(struct ps_page_table *table, const struct image *image);

/* Unmap all of the lower half, and destroy what is left. Fails only where others still use it. */
PS_MUST_CHECK ps_status identity_drop(struct ps_page_table *table);

#endif
