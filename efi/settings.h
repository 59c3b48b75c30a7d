/*
 * Where the configuration comes from, in this order, the later ones winning: the file
 * \pagestage.conf on the volume we were started from, the load options, QEMU's fw_cfg.
 */
#ifndef EFI_SETTINGS_H
#define EFI_SETTINGS_H

#include "application.h"

void settings_load(struct application *app);

/* What was not understood, a line each; empty when all was. */
const char *settings_complaints(void);

#endif
