/*
 * The moment of the change: out of 64-bit mode, paging off, CR4.LA57 over, and back.
 *
 * A processor that does not page takes only 32 bits of an address. So everything that it needs
 * there is one page below 4 GiB, which the roots of both sides map at its physical address,
 * readable and executable; and the root that it turns paging on with is below 4 GiB, too.
 */
#ifndef EFI_LEVEL_CROSS_H
#define EFI_LEVEL_CROSS_H

#include <pagestage/types.h>

/* Physical addresses. All three roots map the image. */
struct level_crossing {
    uint64_t departure; /* a root with as many levels as there are, ... */
    uint64_t arrival;   /* ... one with as many as there will be, below 4 GiB ... */
    uint64_t page;      /* ... and a page for the code, which both of them map, below 4 GiB */
    uint64_t root;      /* loaded at the end: it need not map that page */
};

/*
 * Cross. Interrupts are off, nothing is translated as global, and the page can be written to at
 * its physical address before. Afterwards the descriptor table is the one in that page, with the
 * selectors of cpu.h: the caller loads its own.
 *
 * While paging is off, for a dozen instructions, there is no handler that the processor could
 * call: an NMI or a machine check among them shuts it down, and the machine starts again.
 */
void level_cross(const struct level_crossing *crossing);

#endif
