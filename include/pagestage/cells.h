/*
 * Cells: small pieces of one size, cut from frames of the pool.
 *
 *     frame   | head | cell | free | cell | free | free | never used so far . . .
 *                               \------------>\------->
 *
 * For bookkeeping of the layers above: records, nodes, mappings. A cell is named by the physical
 * address of its first byte, never 0, and stays where it is until it is given back. A frame of
 * which the last cell came back is given to the pool at once, but for those that a reserve needs.
 *
 * Memory: (PS_PAGE_SIZE - PS_CELL_HEAD) / bytes cells a frame, each frame reached on its own.
 *
 * Locking: none; the caller lets one call in at a time. The structure may be moved in memory
 * between calls, and so may machine->direct_map.
 */
#ifndef PAGESTAGE_CELLS_H
#define PAGESTAGE_CELLS_H

#include <pagestage/frame_pool.h>

enum { PS_CELL_HEAD = 32 };

struct ps_cells {
    /* Constant after init. */
    const struct ps_machine *machine;
    struct ps_frame_pool *pool;
    enum ps_frame_tag tag;
    uint32_t bytes;

    uint64_t first;    /* frames with a free cell, by physical address: those with cells in use, */
    uint64_t last;     /* then those without; 0: there are none */
    uint64_t used;     /* cells */
    uint64_t spare;    /* cells that can be taken without memory, */
    uint64_t reserved; /* so many of them on purpose */
    uint64_t frames;
};

/*
 * Cells of `bytes` bytes.
 * cells    zero-filled
 * machine  of the pool; both outlive the cells
 * bytes    a multiple of 8, of 8 to 2032; a cell is as aligned as the largest power of two, up to
 *          32, that divides `bytes`
 * PS_BAD_STATE     already initialised; the pool is not
 * PS_INVALID_ARGS  NULL, bytes, not the pool's machine, a tag that is not to allocate with
 * Takes no frame. O(1).
 */
PS_MUST_CHECK ps_status ps_cells_init(struct ps_cells *cells, const struct ps_machine *machine,
                                      struct ps_frame_pool *pool, enum ps_frame_tag tag,
                                      uint32_t bytes);

/*
 * What is in reserve goes back; the structure is zero afterwards.
 * PS_BAD_STATE  not initialised, or a cell is in use (nothing changed); PS_INVALID_ARGS (NULL)
 */
PS_MUST_CHECK ps_status ps_cells_destroy(struct ps_cells *cells);

/*
 * Make sure that the next `count` calls of ps_cells_take() succeed, whatever is put meanwhile. Of
 * several reserves only the largest counts, and each take uses one up. PS_NO_MEMORY: nothing has
 * changed; else what the pool answers. O(count).
 */
PS_MUST_CHECK ps_status ps_cells_reserve(struct ps_cells *cells, uint64_t count);

/* Keep no more than `count` cells in reserve, and give back the frames that are not needed. */
void ps_cells_unreserve(struct ps_cells *cells, uint64_t count);

/* The end of all reserves: give back the frames in which no cell is in use. */
void ps_cells_trim(struct ps_cells *cells);

/* A cell, its contents undefined; 0: no frame for it. O(1). */
PS_MUST_CHECK uint64_t ps_cells_take(struct ps_cells *cells);

/* Give a cell back that was taken here and is in use. Never fails. O(1). */
void ps_cells_put(struct ps_cells *cells, uint64_t cell);

/*
 * Recomputed: the list of frames, their free cells, `spare`, and that the frames are ours.
 * PS_BAD_STATE; PS_CORRUPT with one line to `sink`, which may be NULL. O(frames and free cells).
 */
PS_MUST_CHECK ps_status ps_cells_validate(const struct ps_cells *cells, const struct ps_sink *sink);

#endif
