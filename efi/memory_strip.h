/*
 * Physical memory as a strip of columns, one type each: the picture on the screen.
 *
 *     |low|   usable          |boot |usable   |nvs|  hole  |mmio|     usable            |
 *
 * The strip runs along the address space. RAM is true to scale among itself; holes and
 * device ranges, which can be a thousand times larger than all RAM, share an eighth of the
 * strip at most. A column shows the type that fills most of it, and every type that exists
 * has a column as long as there are enough.
 */
#ifndef EFI_MEMORY_STRIP_H
#define EFI_MEMORY_STRIP_H

#include <pagestage/memory_map.h>

enum { MEMORY_STRIP_HOLE = PS_MEMORY_TYPE_COUNT, MEMORY_STRIP_TYPES, MEMORY_STRIP_LIMIT = 1024 };

/*
 * Fill `columns` of at most MEMORY_STRIP_LIMIT elements with types; all holes for a map
 * without ranges.
 */
void memory_strip(const struct ps_memory_map *map, uint8_t *columns, size_t count);

/* The column where a physical address lies, `count` when it is behind the last range. */
size_t memory_strip_column(const struct ps_memory_map *map, size_t count, ps_frame_t frame);

/* Pages of each type and of the holes between ranges, in one pass. */
void memory_strip_totals(const struct ps_memory_map *map, uint64_t totals[MEMORY_STRIP_TYPES]);

#endif
