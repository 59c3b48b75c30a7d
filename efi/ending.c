#include "application.h"

#include "console.h"
#include "port.h"

enum {
    QEMU_EXIT_PORT = 0xf4,
    QEMU_PASSED = 0x10, /* QEMU's exit status is twice this and one */
    QEMU_FAILED = 0x11,
    RESET_PORT = 0xcf9,
    RESET_HARD = 0x06,
    KEYBOARD_PORT = 0x64,
    KEYBOARD_RESET = 0xfe,
};

/* Without runtime services: the chipset, the keyboard controller, a triple fault. */
static _Noreturn void reset_without_firmware(void)
{
    port_out8(RESET_PORT, RESET_HARD);
    port_out8(KEYBOARD_PORT, KEYBOARD_RESET);
    cpu_triple_fault();
}

void leave_qemu(const struct application *app, bool passed)
{
    if (app->under_qemu)
        port_out32(QEMU_EXIT_PORT, passed ? QEMU_PASSED : QEMU_FAILED);
}

/* Until somebody changes a table from outside: the proof that damage is noticed. */
static void watch(struct application *app)
{
    struct ps_sink sink = console_sink();

    ps_print(&sink, "# watching\n");
    while (ps_stage_validate(&app->stage, &sink) == PS_OK)
        __builtin_ia32_pause();
    ps_print(&sink, "# watch: damage noticed\n");
}

_Noreturn void abort_run(struct application *app)
{
    if (!app->under_qemu)
        app->config.end = CONFIG_END_HALT;
    end_run(app, false);
}

_Noreturn void end_run(struct application *app, bool passed)
{
    cpu_interrupts_off();
    processors_park();
    console_verdict(&app->config, passed);
    if (app->config.end == CONFIG_END_WATCH) {
        watch(app);
        passed = false;
    }
    if (app->config.end != CONFIG_END_HALT)
        leave_qemu(app, passed);
    if (app->config.end == CONFIG_END_POWER_OFF && runtime_power_off(&app->runtime) != PS_OK)
        console_message("the firmware cannot power off: halted");
    if (app->config.end == CONFIG_END_RESET) {
        if (runtime_reset(&app->runtime) != PS_OK)
            console_message("the firmware cannot reset: trying without it");
        reset_without_firmware();
    }
    cpu_halt();
}
