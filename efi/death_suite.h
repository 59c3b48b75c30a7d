/*
 * Ways to die on purpose: proof that a run which ends badly is never taken for a good one.
 *
 * The key `death` of the configuration chooses one; see esp/pagestage.conf. Without it none
 * of this is planned or run.
 */
#ifndef EFI_DEATH_SUITE_H
#define EFI_DEATH_SUITE_H

#include "harness/test.h"

/* The suite with the one case that dies as `kind` says; NULL for a kind that is not known. */
const struct test_suite *death_suite(const char *kind);

/* The kind is `plan`: fewer tests run than were planned. */
bool death_cuts_short(const char *kind);
/* The kind is `memory`: all of it is taken before the exit. */
bool death_eats_memory(const char *kind);

#endif
