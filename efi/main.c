/*
 * While the firmware is still there. Everything that will be needed afterwards is learned,
 * configured and allocated here; what cannot work is refused here, on the firmware's own
 * console and with the firmware still in charge.
 */
#include "application.h"

#include "console.h"
#include "death_suite.h"
#include "processor_start.h"
#include "settings.h"
#include "traps.h"

enum { BOOT_STACK_BYTES = 64 * 1024, LOW_MEMORY_LIMIT = 0x9f000 };

uint64_t efi_main(void *image_handle, void *system_table);

extern volatile uint32_t pagestage_gdb_continue;

static struct application app;

/* Used between the exit and our first stack with guards: the firmware's may be read only. */
static _Alignas(16) unsigned char boot_stack[BOOT_STACK_BYTES];

static _Noreturn void refuse(const char *reason)
{
    struct ps_sink console = firmware_console();

    ps_print(&console, "Pagestage cannot run here: %s.\n", reason);
    firmware_give_up();
}

static void learn(void)
{
    const char *reason;

    cpu_detect(&app.features);
    cpu_read_state(&app.features, &app.found);
    reason = cpu_refusal(&app.features, &app.found);
    if (reason != NULL)
        refuse(reason);
    if (image_read(&app.image) != PS_OK)
        refuse("the firmware changed the sections of this image");
    firmware_learn(&app.facts);
    firmware_find_graphics(&app.graphics, app.features.physical_bits);
}

/* Set by a debugger that has loaded our symbols; see scripts/debug.py. */
volatile uint32_t pagestage_gdb_continue;

static void wait_for_debugger(void)
{
    while (app.config.wait && pagestage_gdb_continue == 0)
        __builtin_ia32_pause();
}

/* For the death by too little memory: leave the stage only what nobody could live on. */
static void eat_memory(void)
{
    uint64_t bytes = 64 * PS_MIB;

    while (bytes >= PS_PAGE_SIZE)
        if (firmware_allocate(bytes) == NULL)
            bytes /= 2;
}

/* The boot processor is the first; the others keep their order. */
static void list_processors(void)
{
    static uint32_t boot_alone;
    struct processor_list *list = &app.processors;
    const void *rsdp = (const void *)(uintptr_t)app.facts.rsdp;
    uint32_t limit = app.config.processors == 0 ? UINT32_MAX : app.config.processors;

    *list = (struct processor_list){.ids = &boot_alone, .count = 1};
    list->found = acpi_processors(rsdp, NULL, 0);
    if (!apic_is_on(app.found.apic_base))
        return;
    boot_alone = apic_boot_id(app.found.apic_base);
    list->ids = firmware_allocate(((uint64_t)list->found.listed + 1) * sizeof(*list->ids));
    if (list->ids == NULL || app.start_pages == NULL) {
        list->ids = &boot_alone;
        return;
    }
    list->found = acpi_processors(rsdp, list->ids + 1, list->found.listed);
    list->ids[0] = boot_alone;
    for (uint32_t i = 1; i <= list->found.enabled && list->count < limit; i++)
        if (list->ids[i] != boot_alone)
            list->ids[list->count++] = list->ids[i];
}

static void reserve(void)
{
    ps_status status;

    app.attributes = firmware_memory_attributes();
    app.start_pages =
        firmware_allocate_below(PROCESSOR_START_PAGES * PS_PAGE_SIZE, LOW_MEMORY_LIMIT);
    list_processors();
    if (!console_reserve(&app.graphics))
        refuse("there is no memory for its report");
    status = firmware_prepare_exit(&app.leave, PS_STAGE_OVERLAYS);
    if (status == PS_NO_MEMORY)
        refuse("there is no memory for a copy of the memory map");
    if (status != PS_OK)
        refuse("the firmware's memory map has an impossible form");
    if (death_eats_memory(app.config.death))
        eat_memory();
}

static void continue_on_own_stack(void *context)
{
    take_over(context);
}

/* Nothing is printed between the first attempt and success: consoles allocate. */
static _Noreturn void leave(void)
{
    ps_status status = firmware_exit(&app.leave);

    app.left = cpu_timestamp();
    if (status == PS_BAD_STATE)
        refuse("the firmware refuses to exit boot services");
    if (status == PS_NO_MEMORY)
        refuse("there is no memory for the memory map that the firmware wants to hand over");
    if (status != PS_OK)
        refuse("the firmware fails to exit boot services");
    cpu_interrupts_off();
    run_on_stack((uint64_t)(uintptr_t)boot_stack + BOOT_STACK_BYTES, continue_on_own_stack, &app);
}

uint64_t efi_main(void *image_handle, void *system_table)
{
    app.began = cpu_timestamp();
    firmware_start(image_handle, system_table);
    console_start();
    learn();
    settings_load(&app);
    wait_for_debugger();
    reserve();
    leave();
}
