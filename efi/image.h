/*
 * Our own image, as the firmware loaded it: its sections and their rights, read from its
 * own PE headers.
 */
#ifndef EFI_IMAGE_H
#define EFI_IMAGE_H

#include <pagestage/stage.h>

enum { IMAGE_SECTIONS_MAX = 16 };

struct image {
    uint64_t base;
    uint64_t bytes;
    struct ps_stage_section sections[IMAGE_SECTIONS_MAX];
    size_t section_count;
};

/*
 * PS_UNSUPPORTED  not a PE image of ours: more sections than IMAGE_SECTIONS_MAX, a section
 *                 off a page boundary, or one that is writable and executable
 */
PS_MUST_CHECK ps_status image_read(struct image *image);

#endif
