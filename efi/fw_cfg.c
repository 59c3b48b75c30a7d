#include "fw_cfg.h"

enum {
    SIGNATURE = 0x0000,
    DIRECTORY = 0x0019,
    SETTING_LIMIT = 32,
};

static const char setting_prefix[] = "opt/pagestage/";

/* Selecting an item also rewinds it. */
static void choose(const struct port_io *io, uint16_t selector)
{
    io->write16(io->context, FW_CFG_SELECTOR_PORT, selector);
}

static uint8_t next_byte(const struct port_io *io)
{
    return io->read(io->context, FW_CFG_DATA_PORT);
}

/* Numbers in the device are big-endian. */
static uint32_t next_number(const struct port_io *io, int bytes)
{
    uint32_t value = 0;

    for (; bytes > 0; bytes--)
        value = value << 8 | next_byte(io);
    return value;
}

static void next_file(const struct port_io *io, struct fw_cfg_file *file)
{
    file->size = next_number(io, 4);
    file->selector = (uint16_t)next_number(io, 2);
    (void)next_number(io, 2);
    for (size_t i = 0; i < FW_CFG_NAME_SIZE; i++)
        file->name[i] = (char)next_byte(io);
    file->name[FW_CFG_NAME_SIZE - 1] = '\0';
}

static bool starts_with(const char *text, const char *prefix)
{
    while (*prefix != '\0')
        if (*text++ != *prefix++)
            return false;
    return true;
}

bool fw_cfg_present(const struct port_io *io)
{
    choose(io, SIGNATURE);
    return next_number(io, 4) == 0x51454d55; /* "QEMU" */
}

size_t fw_cfg_list(const struct port_io *io, const char *prefix, struct fw_cfg_file *files,
                   size_t capacity)
{
    size_t found = 0;
    uint32_t count;

    if (!fw_cfg_present(io))
        return 0;
    choose(io, DIRECTORY);
    count = next_number(io, 4);
    for (uint32_t i = 0; i < count && i < FW_CFG_FILE_LIMIT && found < capacity; i++) {
        next_file(io, &files[found]);
        found += starts_with(files[found].name, prefix);
    }
    return found;
}

size_t fw_cfg_read_text(const struct port_io *io, const struct fw_cfg_file *file, char *text,
                        size_t size)
{
    size_t length = 0;

    if (size == 0)
        return 0;
    choose(io, file->selector);
    while (length < size - 1 && length < file->size) {
        text[length] = (char)next_byte(io);
        if (text[length] == '\0')
            break;
        length++;
    }
    text[length] = '\0';
    return length;
}

size_t fw_cfg_each_setting(const struct port_io *io,
                           void (*visit)(void *context, const char *key, const char *value),
                           void *context)
{
    struct fw_cfg_file files[SETTING_LIMIT];
    char value[FW_CFG_VALUE_SIZE];
    size_t count = fw_cfg_list(io, setting_prefix, files, SETTING_LIMIT);

    for (size_t i = 0; i < count; i++) {
        (void)fw_cfg_read_text(io, &files[i], value, sizeof(value));
        visit(context, files[i].name + sizeof(setting_prefix) - 1, value);
    }
    return count;
}
