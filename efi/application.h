/*
 * The application: everything it knows, in one place, and the order in which it runs.
 *
 *     main.c       while the firmware is still there: learn, configure, reserve, leave
 *     takeover.c   from the exit to our own page tables and stacks, and the other processors
 *     selftest.c   facts, suites, verdict
 *     ending.c     power off, reset or halt
 */
#ifndef EFI_APPLICATION_H
#define EFI_APPLICATION_H

#include <pagestage/stage.h>

#include "apic.h"
#include "config.h"
#include "cpu.h"
#include "firmware.h"
#include "image.h"
#include "level_switch.h"
#include "processors.h"
#include "runtime.h"

enum {
    APPLICATION_STACK_PAGES = 16,
    APPLICATION_LOG_BYTES = 512 * 1024,
};

struct application {
    /* Learned from the firmware, constant after the exit. */
    struct cpu_features features;
    struct cpu_found found;
    struct firmware_facts facts;
    struct firmware_graphics graphics;
    struct image image;
    struct config config;
    struct firmware_exit leave;
    const void *attributes; /* copy of the memory attributes table, or NULL */
    void *start_pages;      /* below 1 MiB, for starting other processors; may be NULL */
    struct processor_list processors;
    bool under_qemu; /* there is a fw_cfg device */

    /* Built after the exit. */
    struct ps_stage stage;
    struct level_switch levels;
    struct runtime runtime;
    struct apic_state apic;
    ps_virt_t stack;
    uint64_t began; /* time stamps: entry point, exit, our own root, stage complete */
    uint64_t left;
    uint64_t taken_over;
    uint64_t ready;
    uint64_t entered; /* the stage: its call, when it could give a frame, its return */
    uint64_t first_frame;
    uint64_t returned;
    uint64_t measuring; /* how long that took, between our own root and the stage complete */
};

/* From the firmware's state to our own; does not return. Runs on the image's own stack. */
_Noreturn void take_over(struct application *app);

/* Run what the configuration asks for; returns true when everything passed. */
bool self_test(struct application *app);

/* QEMU ends here, with the verdict as its exit status; does nothing on a real machine. */
void leave_qemu(const struct application *app, bool passed);

/* The end of a run that could not go on: on a real machine the reason stays on the screen. */
_Noreturn void abort_run(struct application *app);

/* The end of the run: tell QEMU, then what the configuration says. */
_Noreturn void end_run(struct application *app, bool passed);

#endif
