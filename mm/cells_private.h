/* Inside the frames of cells. */
#ifndef PS_CELLS_PRIVATE_H
#define PS_CELLS_PRIVATE_H

#include <pagestage/cells.h>

#include "hw.h"

struct ps_cell_frame {
    uint64_t next; /* in the list of frames with a free cell, by physical address */
    uint64_t previous;
    uint32_t used;
    uint32_t fresh;  /* cells that were used at some time; those behind them never were */
    uint64_t vacant; /* the first cell that came back, each begins with the next; 0: none */
};

_Static_assert(sizeof(struct ps_cell_frame) == PS_CELL_HEAD, "cells begin behind the head");

/* Good until the next call into the cells. */
static inline void *ps_cells_at(const struct ps_cells *cells, uint64_t cell)
{
    return ps_hw_pointer(cells->machine, ps_phys(cell));
}

static inline uint32_t ps_cells_a_frame(const struct ps_cells *cells)
{
    return (uint32_t)(PS_PAGE_SIZE - PS_CELL_HEAD) / cells->bytes;
}

#endif
