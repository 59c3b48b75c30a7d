#include "application.h"

#include "console.h"
#include "costs.h"
#include "fault_report.h"
#include "port.h"
#include "processor_start.h"
#include "shootdown.h"
#include "traps.h"
#include "watchdog.h"

enum { EARLY_STACK_BYTES = 8192 };

/* Before there is a virtual allocator, faults are handled on stacks in the image. */
static _Alignas(16) unsigned char early_stacks[TRAP_STACK_COUNT][EARLY_STACK_BYTES];

static struct fault_reporter reporter;

static void make_room(void *context)
{
    (void)context;
    console_make_room();
}

static void bail_out(void *context, const char *reason)
{
    console_bail_out(reason);
    abort_run(context);
}

static void give_up(void *context)
{
    leave_qemu(context, false);
}

static _Noreturn void fail(struct application *app, const char *step, ps_status status)
{
    struct ps_text_buffer buffer;
    char reason[160];
    struct ps_sink sink = ps_text_buffer_sink(&buffer, reason, sizeof(reason));

    ps_print(&sink, "cannot %s: %s", step, ps_status_name(status));
    if (status == PS_NO_MEMORY)
        ps_print(&sink, " (this machine has too little usable memory)");
    bail_out(app, reason);
    cpu_halt();
}

static void catch_faults(struct application *app)
{
    for (unsigned stack = 1; stack < TRAP_STACK_COUNT; stack++)
        cpu_set_interrupt_stack(&processor_at(0)->segments, stack,
                                (uint64_t)(uintptr_t)early_stacks[stack] + EARLY_STACK_BYTES);
    processors_begin();
    reporter = (struct fault_reporter){.stream = console_report()->sink,
                                       .screen = console_screen(),
                                       .make_room = make_room,
                                       .bail_out = bail_out,
                                       .give_up = give_up,
                                       .context = app};
    fault_report_to(&reporter);
    traps_init(&(struct trap_handlers){.fault = fault_report,
                                       .stop = processors_stop_here,
                                       .timer = watchdog_tick,
                                       .call = shootdown_called,
                                       .end_of_interrupt = apic_end_of_interrupt});
}

static void note_first_frame(void *context, const struct ps_stage *stage)
{
    struct application *app = context;

    if (app->first_frame == 0 && ps_frame_pool_whole(&app->stage.pool, PS_FRAME_4K) != 0)
        app->first_frame = cpu_timestamp();
    (void)stage;
}

static uint32_t this_processor(void *context)
{
    (void)context;
    return processor_this()->number;
}

/* The library has to know before it begins how many there can be: books of its own for each. */
static void describe_processors(struct application *app, struct ps_machine *machine)
{
    enum { PATIENCE = 10 }; /* seconds */

    if (app->processors.count < 2)
        return;
    shootdown_init(
        &(struct shootdown_rules){.machine = &app->stage.machine,
                                  .patience = app->facts.timestamps_per_second * PATIENCE,
                                  .give_up = bail_out,
                                  .context = app});
    machine->processors = app->processors.count;
    machine->processor = this_processor;
    machine->shootdown = shootdown_send;
    machine->answer = shootdown_answer;
}

static ps_status build_stage(struct application *app)
{
    struct ps_stage_request request = {
        .uefi_map = app->leave.result.map,
        .uefi_map_size = app->leave.result.map_size,
        .uefi_map_stride = app->leave.result.stride,
        .ranges = app->leave.ranges,
        .range_capacity = app->leave.range_capacity,
        .sections = app->image.sections,
        .section_count = app->image.section_count,
        .framebuffer = app->graphics.base,
        .framebuffer_bytes = app->graphics.usable ? app->graphics.bytes : 0,
        .progress = note_first_frame,
        .progress_context = app,
    };
    ps_status status;

    cpu_describe_machine(&app->features, &app->found, &request.machine);
    request.machine.levels = cpu_levels(&app->features, &app->found, app->config.levels);
    if (request.machine.levels != cpu_levels_found(&app->found)) {
        app->levels.image = &app->image;
        request.enter_root = level_switch_enter;
        request.enter_context = &app->levels;
    }
    describe_processors(app, &request.machine);
    app->entered = cpu_timestamp();
    status = ps_stage_take_over(&app->stage, &request);
    app->returned = cpu_timestamp();
    return status;
}

static ps_status build_runtime(struct application *app)
{
    struct runtime_input input = {
        .map = ps_stage_pointer(&app->stage, app->leave.result.map),
        .map_size = app->leave.result.map_size,
        .stride = app->leave.result.stride,
        .attributes =
            app->attributes == NULL ? NULL : ps_stage_pointer(&app->stage, app->attributes),
        .image = &app->image,
        .system_table = app->facts.system_table,
    };

    return runtime_init(&app->runtime, &app->stage, &input);
}

static void start_processors(struct application *app)
{
    struct processor_start start = {
        .stage = &app->stage,
        .apic = &app->apic,
        .list = &app->processors,
        .pages = ps_phys((uint64_t)(uintptr_t)app->start_pages),
        .timestamps_per_second = app->facts.timestamps_per_second,
        .mute = app->config.mute,
    };
    ps_status status;

    if (app->processors.count < 2)
        return;
    app->processors.ids = ps_stage_pointer(&app->stage, app->processors.ids);
    status = processors_start(&start);
    if (status != PS_OK)
        console_message("not all processors could be started");
}

/* On a stack of the arena from here on. */
static void second_half(void *context)
{
    struct application *app = context;
    uint64_t measuring;
    ps_status status = processor_interrupt_stacks(&app->stage, processor_this());

    if (status != PS_OK)
        fail(app, "make stacks with guards", status);
    status = build_runtime(app);
    if (status != PS_OK)
        console_message("the firmware's runtime services cannot be mapped: not used");
    app->apic = apic_init(&app->stage, app->found.apic_base, app->facts.timestamps_per_second);
    measuring = cpu_timestamp();
    costs_measure(app);
    app->measuring = cpu_timestamp() - measuring;
    start_processors(app);
    app->ready = cpu_timestamp();
    end_run(app, self_test(app));
}

/* Devices that the firmware left running must not interrupt us. */
static void mask_interrupt_controllers(void)
{
    enum { FIRST_PIC_MASK = 0x21, SECOND_PIC_MASK = 0xa1 };

    port_out8(FIRST_PIC_MASK, 0xff);
    port_out8(SECOND_PIC_MASK, 0xff);
}

_Noreturn void take_over(struct application *app)
{
    ps_status status;
    uint64_t top;

    cpu_leave_firmware_state(&app->features);
    mask_interrupt_controllers();
    console_left_firmware();
    catch_faults(app);
    console_start_screen(app);
    cpu_enable_no_execute(&app->features);
    status = build_stage(app);
    if (status != PS_OK)
        fail(app, app->stage.step, status);
    reporter.table = &app->stage.table;
    console_moved(app);
    cpu_enter_known_state(&app->features);
    status = level_switch_finish(&app->levels, &app->stage);
    if (status != PS_OK)
        fail(app, "give back what the change of levels took", status);
    app->taken_over = cpu_timestamp();
    top = processor_stack(&app->stage, APPLICATION_STACK_PAGES, &app->stack);
    if (top == 0)
        fail(app, "make a stack", PS_NO_MEMORY);
    run_on_stack(top, second_half, app);
}
