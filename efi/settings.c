#include "settings.h"

#include "fw_cfg.h"
#include "port.h"

#define SETTINGS_FILE "\\pagestage.conf"

struct fw_cfg_context {
    struct config *config;
    const struct ps_sink *complaints;
};

static void take_setting(void *context, const char *key, const char *value)
{
    const struct fw_cfg_context *settings = context;

    config_set(settings->config, "fw_cfg", key, value, settings->complaints);
}

/* On a real machine something else may live at the ports of QEMU's device. */
static void read_fw_cfg(struct application *app, const struct ps_sink *complaints)
{
    struct port_io io = port_hardware();
    struct fw_cfg_context context = {&app->config, complaints};

    if (!app->features.hypervisor || !fw_cfg_present(&io))
        return;
    app->under_qemu = true;
    (void)fw_cfg_each_setting(&io, take_setting, &context);
}

/* Complaints go to the firmware's console, which the screen soon replaces, and into the report. */
static char complaint_text[1024];
static struct ps_text_buffer complaint_buffer;

static void write_complaint(void *context, const char *text, size_t length)
{
    struct ps_sink console = firmware_console();
    struct ps_sink *kept = context;

    if (console.write != NULL)
        console.write(console.context, text, length);
    kept->write(kept->context, text, length);
}

const char *settings_complaints(void)
{
    return complaint_text;
}

void settings_load(struct application *app)
{
    struct ps_sink kept =
        ps_text_buffer_sink(&complaint_buffer, complaint_text, sizeof(complaint_text));
    struct ps_sink complaints = {.write = write_complaint, .context = &kept};
    const void *data;
    uint64_t size;

    config_defaults(&app->config);
    if (firmware_read_file(SETTINGS_FILE, &data, &size) == PS_OK)
        config_parse_file(&app->config, "pagestage.conf", data, (size_t)size, &complaints);
    firmware_load_options(&data, &size);
    if (size != 0)
        config_parse_options(&app->config, data, (size_t)size, &complaints);
    read_fw_cfg(app, &complaints);
    /* A person in front of a real machine wants to read what is on the screen. */
    if (!app->under_qemu && !app->config.end_is_chosen)
        app->config.end = CONFIG_END_HALT;
}
