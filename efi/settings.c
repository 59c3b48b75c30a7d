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

void settings_load(struct application *app)
{
    struct ps_sink complaints = firmware_console();
    const void *data;
    uint64_t size;

    config_defaults(&app->config);
    if (firmware_read_file(SETTINGS_FILE, &data, &size) == PS_OK)
        config_parse_file(&app->config, "pagestage.conf", data, (size_t)size, &complaints);
    firmware_load_options(&data, &size);
    if (size != 0)
        config_parse_options(&app->config, data, (size_t)size, &complaints);
    read_fw_cfg(app, &complaints);
}
