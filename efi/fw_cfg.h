/*
 * QEMU's configuration device: short texts given on its command line, as in
 *
 *     -fw_cfg name=opt/pagestage/seed,string=7
 *
 * To be asked only where a hypervisor is known to run (CPUID): on a real machine somebody
 * else may live at these ports. Every loop is bounded, whatever the device answers.
 */
#ifndef EFI_FW_CFG_H
#define EFI_FW_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port.h"

enum {
    FW_CFG_SELECTOR_PORT = 0x510,
    FW_CFG_DATA_PORT = 0x511,
    FW_CFG_NAME_SIZE = 56,
    FW_CFG_FILE_LIMIT = 1024, /* directory entries looked at */
    FW_CFG_VALUE_SIZE = 256,  /* longest value handed on, with its terminating zero */
};

struct fw_cfg_file {
    uint32_t size;
    uint16_t selector;
    char name[FW_CFG_NAME_SIZE]; /* always terminated */
};

bool fw_cfg_present(const struct port_io *io);

/*
 * Files whose name starts with `prefix`, in the order of the directory: at most `capacity`
 * of them into `files`; returns how many. 0 without the device.
 */
size_t fw_cfg_list(const struct port_io *io, const char *prefix, struct fw_cfg_file *files,
                   size_t capacity);

/* The start of a file as text: cut at size - 1 bytes, terminated. Returns its length. */
size_t fw_cfg_read_text(const struct port_io *io, const struct fw_cfg_file *file, char *text,
                        size_t size);

/*
 * Call visit(context, key, value) for every file opt/pagestage/<key>, at most 32 of them.
 * Returns how many there were.
 */
size_t fw_cfg_each_setting(const struct port_io *io,
                           void (*visit)(void *context, const char *key, const char *value),
                           void *context);

#endif
