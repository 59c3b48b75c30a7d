/*
 * What the report says about machine and run besides the tests: "# key: value" lines, JSON
 * objects where there is structure.
 */
#ifndef EFI_FACTS_H
#define EFI_FACTS_H

#include "application.h"
#include "report.h"

/* Machine, firmware, memory map, virtual layout, timings of the take-over. */
void facts_report(struct application *app, struct report *report);

/* Counters of the layers, once the tests are over. */
void facts_report_end(struct application *app, struct report *report);

#endif
