/* The balanced tree of 16-slot nodes. */
#define SLOTS 16u
#include "range_nodes.h"

const struct range_candidate baseline_range_nodes = {
    .name = "nodes",
    .open = open,
    .close = close,
    .empty = empty,
    .insert = insert,
    .find = find,
    .erase = erase,
    .cut = cut,
    .join = join,
    .sum = sum,
    .bytes = bytes,
};
