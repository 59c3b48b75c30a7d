/* QEMU's configuration device, simulated from its documentation, and devices that lie. */
#include <string.h>

#include "../../efi/fw_cfg.h"
#include "harness/test.h"

enum { ITEMS = 40, FIRST_FILE = 0x20 };

struct device {
    const char *signature;
    uint32_t count; /* as the directory says */
    unsigned files; /* as there really are */
    const char *names[ITEMS];
    const char *values[ITEMS];

    uint16_t selector;
    uint64_t offset;
    uint64_t reads;
    unsigned wrong_writes;
};

static uint8_t byte_of(uint32_t value, uint64_t place)
{
    return (uint8_t)(value >> (24 - 8 * place));
}

/* size (4), selector (2), reserved (2), name (56): numbers big-endian. */
static uint8_t directory_byte(const struct device *device, uint64_t offset)
{
    uint64_t file;
    uint64_t place;

    if (offset < 4)
        return byte_of(device->count, offset);
    file = (offset - 4) / 64;
    place = (offset - 4) % 64;
    if (file >= device->files)
        return 0;
    if (place < 4)
        return byte_of((uint32_t)strlen(device->values[file]), place);
    if (place < 6)
        return byte_of((uint32_t)(FIRST_FILE + file), place - 2);
    if (place < 8 || place - 8 >= strlen(device->names[file]))
        return 0;
    return (uint8_t)device->names[file][place - 8];
}

static uint8_t device_read(void *context, uint16_t port)
{
    struct device *device = context;
    uint64_t offset = device->offset++;
    const char *value;

    device->reads++;
    if (port != FW_CFG_DATA_PORT)
        return 0xff;
    if (device->selector == 0)
        return offset < 4 ? (uint8_t)device->signature[offset] : 0;
    if (device->selector == 0x19)
        return directory_byte(device, offset);
    if (device->selector < FIRST_FILE || device->selector >= FIRST_FILE + device->files)
        return 0;
    value = device->values[device->selector - FIRST_FILE];
    return offset < strlen(value) ? (uint8_t)value[offset] : 0;
}

static void device_write(void *context, uint16_t port, uint8_t value)
{
    struct device *device = context;

    (void)port;
    (void)value;
    device->wrong_writes++; /* the selector takes 16 bits at once */
}

static void device_write16(void *context, uint16_t port, uint16_t value)
{
    struct device *device = context;

    if (port != FW_CFG_SELECTOR_PORT)
        device->wrong_writes++;
    device->selector = value;
    device->offset = 0;
}

static struct port_io io_of(struct device *device)
{
    return (struct port_io){device_read, device_write, device_write16, device};
}

static struct device sample(void)
{
    return (struct device){
        .signature = "QEMU",
        .count = 4,
        .files = 4,
        .names = {"etc/acpi/tables", "opt/pagestage/seed", "opt/pagestage", "opt/pagestage/end"},
        .values = {"binary", "7", "not a setting", "halt\n"},
    };
}

static void signature_decides(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);

    EXPECT(fw_cfg_present(&io));
    device.signature = "QEMV";
    EXPECT(!fw_cfg_present(&io));
    device.signature = "\xff\xff\xff\xff";
    EXPECT(!fw_cfg_present(&io));
    EXPECT_EQ(device.wrong_writes, 0);
}

static void nothing_is_listed_without_the_device(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct fw_cfg_file files[4];

    device.signature = "\xff\xff\xff\xff";
    EXPECT_EQ(fw_cfg_list(&io, "", files, 4), 0);
    EXPECT_EQ(device.reads, 4);
}

static void files_are_listed_by_prefix_in_order(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct fw_cfg_file files[4];

    REQUIRE(fw_cfg_list(&io, "opt/pagestage/", files, 4) == 2);
    EXPECT_TEXT(files[0].name, "opt/pagestage/seed");
    EXPECT_EQ(files[0].size, 1);
    EXPECT_EQ(files[0].selector, FIRST_FILE + 1);
    EXPECT_TEXT(files[1].name, "opt/pagestage/end");
    EXPECT_EQ(files[1].size, 5);
    EXPECT_EQ(files[1].selector, FIRST_FILE + 3);
    EXPECT_EQ(fw_cfg_list(&io, "opt/other/", files, 4), 0);
}

static void list_stops_at_the_capacity(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct fw_cfg_file files[2];

    files[1].size = 12345;
    EXPECT_EQ(fw_cfg_list(&io, "opt/pagestage/", files, 1), 1);
    EXPECT_TEXT(files[0].name, "opt/pagestage/seed");
    EXPECT_EQ(files[1].size, 12345);
    EXPECT_EQ(fw_cfg_list(&io, "opt/pagestage/", files, 0), 0);
}

static void text_is_cut_and_terminated(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct fw_cfg_file file = {.size = 13, .selector = FIRST_FILE + 2};
    char text[8] = "xxxxxxx";

    EXPECT_EQ(fw_cfg_read_text(&io, &file, text, 6), 5);
    EXPECT_TEXT(text, "not a");
    EXPECT_EQ(text[6], 'x');
    EXPECT_EQ(fw_cfg_read_text(&io, &file, text, 0), 0);
    EXPECT_TEXT(text, "not a");
    EXPECT_EQ(fw_cfg_read_text(&io, &file, text, 1), 0);
    EXPECT_TEXT(text, "");
}

static void text_ends_at_the_size_of_the_file(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct fw_cfg_file file = {.size = 3, .selector = FIRST_FILE + 2};
    char text[32];

    EXPECT_EQ(fw_cfg_read_text(&io, &file, text, sizeof(text)), 3);
    EXPECT_TEXT(text, "not");
}

static void text_ends_at_an_embedded_zero(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct fw_cfg_file file = {.size = 100, .selector = FIRST_FILE + 2};
    char text[32];

    /* Behind the end of a file the device gives zeros. */
    EXPECT_EQ(fw_cfg_read_text(&io, &file, text, sizeof(text)), 13);
    EXPECT_TEXT(text, "not a setting");
}

static void endless_directory_is_bounded(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct fw_cfg_file files[4];

    device.count = UINT32_MAX;
    EXPECT_EQ(fw_cfg_list(&io, "opt/pagestage/", files, 4), 2);
    EXPECT_EQ(device.reads, 4 + 4 + 64 * FW_CFG_FILE_LIMIT);
}

static void name_without_end_is_terminated(struct test *test)
{
    struct device device = {.signature = "QEMU", .count = 1, .files = 1};
    struct port_io io = io_of(&device);
    struct fw_cfg_file file;

    device.names[0] = "opt/pagestage/0123456789012345678901234567890123456789012345";
    device.values[0] = "";
    EXPECT_EQ(fw_cfg_list(&io, "opt/", &file, 1), 1);
    EXPECT_EQ(strlen(file.name), FW_CFG_NAME_SIZE - 1);
}

/* ---- settings ---- */

struct seen {
    char text[512];
    struct ps_text_buffer buffer;
    struct ps_sink sink;
};

static void see(void *context, const char *key, const char *value)
{
    struct seen *seen = context;

    ps_print(&seen->sink, "%s<%s>", key, value);
}

static void settings_are_handed_on_with_their_keys(struct test *test)
{
    struct device device = sample();
    struct port_io io = io_of(&device);
    struct seen seen;

    seen.sink = ps_text_buffer_sink(&seen.buffer, seen.text, sizeof(seen.text));
    EXPECT_EQ(fw_cfg_each_setting(&io, see, &seen), 2);
    EXPECT_TEXT(seen.text, "seed<7>end<halt\n>");
    EXPECT_EQ(device.wrong_writes, 0);
}

static void long_value_is_cut(struct test *test)
{
    static char value[1000];
    struct device device = {.signature = "QEMU", .count = 1, .files = 1};
    struct port_io io = io_of(&device);
    struct seen seen;

    memset(value, 'v', sizeof(value) - 1);
    device.names[0] = "opt/pagestage/suites";
    device.values[0] = value;
    seen.sink = ps_text_buffer_sink(&seen.buffer, seen.text, sizeof(seen.text));
    EXPECT_EQ(fw_cfg_each_setting(&io, see, &seen), 1);
    EXPECT_EQ(strlen(seen.text), strlen("suites<>") + FW_CFG_VALUE_SIZE - 1);
}

static const struct test_case cases[] = {
    TEST_CASE(signature_decides),
    TEST_CASE(nothing_is_listed_without_the_device),
    TEST_CASE(files_are_listed_by_prefix_in_order),
    TEST_CASE(list_stops_at_the_capacity),
    TEST_CASE(text_is_cut_and_terminated),
    TEST_CASE(text_ends_at_the_size_of_the_file),
    TEST_CASE(text_ends_at_an_embedded_zero),
    TEST_CASE(endless_directory_is_bounded),
    TEST_CASE(name_without_end_is_terminated),
    TEST_CASE(settings_are_handed_on_with_their_keys),
    TEST_CASE(long_value_is_cut),
};

const struct test_suite suite_fw_cfg = TEST_SUITE("fw_cfg", cases);
