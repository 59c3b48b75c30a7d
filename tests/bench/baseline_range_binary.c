/* The balanced binary tree of ranges. */
#define SLOTS 1u
#include "range_nodes.h"

const struct range_candidate baseline_range_binary = {
    .name = "binary",
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
