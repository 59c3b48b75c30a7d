#include <efi.h>

#include "firmware.h"

#include "cpu.h"

static EFI_HANDLE image;
static EFI_SYSTEM_TABLE *table;
static EFI_BOOT_SERVICES *boot;

static EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID acpi2_guid = ACPI_20_TABLE_GUID;
static EFI_GUID acpi1_guid = ACPI_TABLE_GUID;
static EFI_GUID global_variable_guid = EFI_GLOBAL_VARIABLE;
static EFI_GUID attributes_guid = {
    0xdcfa911d, 0x26eb, 0x469f, {0xa2, 0x20, 0x38, 0xb7, 0xdc, 0x46, 0x12, 0x20}};
static EFI_GUID mp_services_guid = {
    0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};

/* The first function of the MP services protocol: all that is used of it. */
struct mp_services {
    EFI_STATUS(EFIAPI *get_number)(struct mp_services *self, UINTN *all, UINTN *enabled);
};

/* Head of the memory attributes table; its descriptors follow. */
struct attributes_head {
    UINT32 version;
    UINT32 count;
    UINT32 stride;
    UINT32 reserved;
};

void firmware_start(void *image_handle, void *system_table)
{
    image = image_handle;
    table = system_table;
    boot = table->BootServices;
    boot->SetWatchdogTimer(0, 0, 0, NULL);
}

/* ---- console ---- */

static void console_write(void *context, const char *text, size_t length)
{
    CHAR16 buffer[64];
    size_t used = 0;

    (void)context;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            buffer[used++] = L'\r';
        buffer[used++] = (CHAR16)(unsigned char)text[i];
        if (used >= PS_ARRAY_SIZE(buffer) - 3 || i + 1 == length) {
            buffer[used] = 0;
            table->ConOut->OutputString(table->ConOut, buffer);
            used = 0;
        }
    }
}

struct ps_sink firmware_console(void)
{
    struct ps_sink none = {.write = NULL};

    return table->ConOut == NULL ? none : (struct ps_sink){.write = console_write};
}

/* ---- facts ---- */

static void *find_table(const EFI_GUID *guid)
{
    const unsigned char *wanted = (const unsigned char *)guid;

    for (UINTN i = 0; i < table->NumberOfTableEntries; i++) {
        const unsigned char *entry =
            (const unsigned char *)&table->ConfigurationTable[i].VendorGuid;
        size_t at = 0;

        while (at < sizeof(EFI_GUID) && entry[at] == wanted[at])
            at++;
        if (at == sizeof(EFI_GUID))
            return table->ConfigurationTable[i].VendorTable;
    }
    return NULL;
}

static void copy_vendor(char *text, size_t size)
{
    const CHAR16 *vendor = table->FirmwareVendor;
    size_t i = 0;

    for (; vendor != NULL && vendor[i] != 0 && i + 1 < size; i++)
        text[i] = vendor[i] < 127 && vendor[i] >= 32 ? (char)vendor[i] : '?';
    text[i] = '\0';
}

static void learn_processors(struct firmware_facts *facts)
{
    struct mp_services *mp;
    UINTN all = 0;
    UINTN enabled = 0;

    if (boot->LocateProtocol(&mp_services_guid, NULL, (void **)&mp) != EFI_SUCCESS ||
        mp->get_number(mp, &all, &enabled) != EFI_SUCCESS)
        return;
    facts->processors = (uint32_t)all;
    facts->processors_enabled = (uint32_t)enabled;
}

static bool secure_boot_is_on(void)
{
    static CHAR16 name[] = L"SecureBoot";
    UINT8 value = 0;
    UINTN size = sizeof(value);

    return table->RuntimeServices->GetVariable(name, &global_variable_guid, NULL, &size, &value) ==
               EFI_SUCCESS &&
           value == 1;
}

/* The shortest of a few: what interrupts a measurement only makes it longer. */
static uint64_t measure_timestamps(void)
{
    enum { MICROSECONDS = 4000, MEASUREMENTS = 5 };
    uint64_t shortest = UINT64_MAX;

    for (unsigned i = 0; i < MEASUREMENTS; i++) {
        uint64_t start = cpu_timestamp();

        boot->Stall(MICROSECONDS);
        shortest = ps_min(shortest, cpu_timestamp() - start);
    }
    return shortest * (1000000 / MICROSECONDS);
}

void firmware_learn(struct firmware_facts *facts)
{
    void *rsdp = find_table(&acpi2_guid);

    *facts = (struct firmware_facts){.revision = table->FirmwareRevision};
    copy_vendor(facts->vendor, sizeof(facts->vendor));
    facts->uefi_version = table->Hdr.Revision;
    if (rsdp == NULL)
        rsdp = find_table(&acpi1_guid);
    facts->rsdp = (uint64_t)(uintptr_t)rsdp;
    facts->system_table = (uint64_t)(uintptr_t)table;
    facts->secure_boot = secure_boot_is_on();
    facts->timestamps_per_second = measure_timestamps();
    learn_processors(facts);
}

/* ---- graphics ---- */

static void set_masks(struct firmware_graphics *graphics, uint32_t red, uint32_t green,
                      uint32_t blue, const char *form)
{
    graphics->red_mask = red;
    graphics->green_mask = green;
    graphics->blue_mask = blue;
    graphics->form = form;
    graphics->usable = true;
}

static void read_format(struct firmware_graphics *graphics,
                        const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
    switch (info->PixelFormat) {
    case PixelBlueGreenRedReserved8BitPerColor:
        set_masks(graphics, 0xff0000, 0xff00, 0xff, "bgrx");
        break;
    case PixelRedGreenBlueReserved8BitPerColor:
        set_masks(graphics, 0xff, 0xff00, 0xff0000, "rgbx");
        break;
    case PixelBitMask:
        set_masks(graphics, info->PixelInformation.RedMask, info->PixelInformation.GreenMask,
                  info->PixelInformation.BlueMask, "masks");
        /* Pixels of less than 32 bits have no bit in the top byte. */
        graphics->usable =
            ((info->PixelInformation.RedMask | info->PixelInformation.GreenMask |
              info->PixelInformation.BlueMask | info->PixelInformation.ReservedMask) >>
             24) != 0;
        break;
    case PixelBltOnly:
    case PixelFormatMax:
    default:
        graphics->usable = false;
        graphics->form = "blt-only";
        break;
    }
}

/*
 * Some firmware lists a mode it never set, or a size that is not the framebuffer's: what
 * counts is what its numbers can mean, and only what the picture takes is ours.
 */
static bool mode_is_sane(struct firmware_graphics *graphics, uint8_t physical_bits)
{
    uint64_t needed = (uint64_t)graphics->pixels_per_line * graphics->height * 4;
    uint64_t limit = (uint64_t)1 << physical_bits;

    if (graphics->base.addr == 0 || graphics->width == 0 || graphics->height == 0 ||
        graphics->pixels_per_line < graphics->width || needed > graphics->bytes ||
        graphics->base.addr >= limit || needed > limit - graphics->base.addr)
        return false;
    graphics->bytes = needed;
    return true;
}

static void read_graphics(struct firmware_graphics *graphics, EFI_GRAPHICS_OUTPUT_PROTOCOL *gop,
                          uint8_t physical_bits)
{
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;

    *graphics = (struct firmware_graphics){.present = true, .form = "unusable"};
    if (gop->Mode == NULL || gop->Mode->Info == NULL)
        return;
    info = gop->Mode->Info;
    graphics->base = ps_phys(gop->Mode->FrameBufferBase);
    graphics->bytes = gop->Mode->FrameBufferSize;
    graphics->width = info->HorizontalResolution;
    graphics->height = info->VerticalResolution;
    graphics->pixels_per_line = info->PixelsPerScanLine;
    read_format(graphics, info);
    if (graphics->usable && !mode_is_sane(graphics, physical_bits)) {
        graphics->usable = false;
        graphics->form = "unusable";
    }
}

/* With two adapters, or a console that is a virtual one, the first need not be the right one. */
void firmware_find_graphics(struct firmware_graphics *graphics, uint8_t physical_bits)
{
    EFI_HANDLE *handles = NULL;
    UINTN count = 0;

    *graphics = (struct firmware_graphics){.form = "none"};
    if (boot->LocateHandleBuffer(ByProtocol, &graphics_guid, NULL, &count, &handles) != EFI_SUCCESS)
        return;
    for (UINTN i = 0; i < count && !graphics->usable; i++) {
        EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;

        if (boot->HandleProtocol(handles[i], &graphics_guid, (void **)&gop) == EFI_SUCCESS)
            read_graphics(graphics, gop, physical_bits);
    }
    boot->FreePool(handles);
}

/* ---- memory ---- */

static void fill_zero(void *memory, uint64_t bytes)
{
    unsigned char *at = memory;

    for (uint64_t i = 0; i < bytes; i++)
        at[i] = 0;
}

static void *allocate_pages(EFI_ALLOCATE_TYPE how, uint64_t bytes, EFI_PHYSICAL_ADDRESS address)
{
    UINTN pages = ps_pages_of_bytes(bytes).count;

    /* Some firmware hands out page 0 and calls it a success: keep it, and ask again. */
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        EFI_PHYSICAL_ADDRESS at = address;

        if (boot->AllocatePages(how, EfiLoaderData, pages, &at) != EFI_SUCCESS)
            return NULL;
        if (at != 0) {
            fill_zero((void *)(uintptr_t)at, pages * PS_PAGE_SIZE);
            return (void *)(uintptr_t)at;
        }
    }
    return NULL;
}

void *firmware_allocate(uint64_t bytes)
{
    return allocate_pages(AllocateAnyPages, bytes, 0);
}

void *firmware_allocate_below(uint64_t bytes, uint64_t limit)
{
    return allocate_pages(AllocateMaxAddress, bytes, limit - 1);
}

const void *firmware_memory_attributes(void)
{
    const struct attributes_head *head = find_table(&attributes_guid);
    const unsigned char *from = (const unsigned char *)head;
    unsigned char *copy;
    uint64_t bytes;

    if (head == NULL || head->stride < sizeof(EFI_MEMORY_DESCRIPTOR) || head->stride % 8 != 0)
        return NULL;
    bytes = sizeof(*head) + (uint64_t)head->count * head->stride;
    copy = firmware_allocate(bytes);
    for (uint64_t i = 0; copy != NULL && i < bytes; i++)
        copy[i] = from[i];
    return copy;
}

/* ---- files and options ---- */

static EFI_LOADED_IMAGE *loaded_image(void)
{
    EFI_LOADED_IMAGE *loaded = NULL;

    if (boot->HandleProtocol(image, &loaded_image_guid, (void **)&loaded) != EFI_SUCCESS)
        return NULL;
    return loaded;
}

static EFI_FILE_HANDLE open_file(const char *path)
{
    EFI_LOADED_IMAGE *loaded = loaded_image();
    EFI_FILE_IO_INTERFACE *volume;
    EFI_FILE_HANDLE root;
    EFI_FILE_HANDLE file = NULL;
    CHAR16 name[128];
    size_t length = 0;

    for (; path[length] != '\0' && length + 1 < PS_ARRAY_SIZE(name); length++)
        name[length] = (CHAR16)path[length];
    name[length] = 0;
    if (loaded == NULL || loaded->DeviceHandle == NULL ||
        boot->HandleProtocol(loaded->DeviceHandle, &file_system_guid, (void **)&volume) !=
            EFI_SUCCESS ||
        volume->OpenVolume(volume, &root) != EFI_SUCCESS)
        return NULL;
    if (root->Open(root, &file, name, EFI_FILE_MODE_READ, 0) != EFI_SUCCESS)
        file = NULL;
    root->Close(root);
    return file;
}

ps_status firmware_read_file(const char *path, const void **data, uint64_t *size)
{
    EFI_FILE_HANDLE file = open_file(path);
    UINT64 length = 0;
    UINTN read;
    void *memory;
    EFI_STATUS status;

    if (file == NULL)
        return PS_NOT_FOUND;
    /* The end is where a seek to the highest position leads. */
    status = file->SetPosition(file, UINT64_MAX);
    if (status == EFI_SUCCESS)
        status = file->GetPosition(file, &length);
    if (status == EFI_SUCCESS)
        status = file->SetPosition(file, 0);
    memory = status == EFI_SUCCESS ? firmware_allocate(length + 1) : NULL;
    read = length;
    if (memory != NULL)
        status = file->Read(file, &read, memory);
    file->Close(file);
    if (status != EFI_SUCCESS)
        return PS_UNSUPPORTED;
    if (memory == NULL)
        return PS_NO_MEMORY;
    *data = memory;
    *size = read;
    return PS_OK;
}

void firmware_load_options(const void **data, uint64_t *size)
{
    EFI_LOADED_IMAGE *loaded = loaded_image();

    *data = loaded == NULL ? NULL : loaded->LoadOptions;
    *size = loaded == NULL || loaded->LoadOptions == NULL ? 0 : loaded->LoadOptionsSize;
}

/* ---- exit ---- */

static struct {
    struct firmware_exit *leave;
    size_t overlays;
} exit_context;

static enum exit_answer translate(EFI_STATUS status)
{
    if (status == EFI_SUCCESS)
        return EXIT_ANSWER_OK;
    if (status == EFI_BUFFER_TOO_SMALL)
        return EXIT_ANSWER_TOO_SMALL;
    return status == EFI_INVALID_PARAMETER ? EXIT_ANSWER_STALE : EXIT_ANSWER_ERROR;
}

static enum exit_answer get_map(void *context, void *buffer, uint64_t *size, uint64_t *key,
                                uint64_t *stride)
{
    UINTN bytes = *size;
    UINTN map_key = 0;
    UINTN descriptor_size = 0;
    UINT32 version = 0;
    EFI_STATUS status = boot->GetMemoryMap(&bytes, buffer, &map_key, &descriptor_size, &version);

    (void)context;
    *size = bytes;
    *key = map_key;
    *stride = descriptor_size;
    return translate(status);
}

static enum exit_answer leave_boot_services(void *context, uint64_t key)
{
    (void)context;
    return translate(boot->ExitBootServices(image, key));
}

/* Buffer and normalised array are one allocation each; both or none. */
static void *allocate_map(void *context, uint64_t bytes)
{
    struct firmware_exit *leave = exit_context.leave;
    size_t capacity =
        ps_memory_map_capacity((size_t)(bytes / EXIT_STRIDE_MIN), exit_context.overlays);
    void *ranges = firmware_allocate(capacity * sizeof(struct ps_memory_range));
    void *map = ranges == NULL ? NULL : firmware_allocate(bytes);

    (void)context;
    if (map == NULL)
        return NULL;
    leave->ranges = ranges;
    leave->range_capacity = capacity;
    return map;
}

/* The old buffers are small: freeing them would only change the map once more. */
static void keep_map(void *context, void *buffer, uint64_t bytes)
{
    (void)context;
    (void)buffer;
    (void)bytes;
}

static const struct exit_firmware exit_functions = {
    .get_map = get_map,
    .exit = leave_boot_services,
    .allocate = allocate_map,
    .release = keep_map,
};

ps_status firmware_prepare_exit(struct firmware_exit *leave, size_t overlays)
{
    exit_context.leave = leave;
    exit_context.overlays = overlays;
    return exit_prepare(&exit_functions, &leave->result);
}

ps_status firmware_exit(struct firmware_exit *leave)
{
    return exit_boot_services(&exit_functions, &leave->result);
}

_Noreturn void firmware_give_up(void)
{
    enum { READING_TIME = 10000000 };

    boot->Stall(READING_TIME);
    /* After an attempted exit the firmware's own timer is off: nothing there works any more. */
    if (exit_context.leave != NULL && exit_context.leave->result.exits != 0)
        table->RuntimeServices->ResetSystem(EfiResetCold, EFI_SUCCESS, 0, NULL);
    boot->Exit(image, EFI_UNSUPPORTED, 0, NULL);
    cpu_halt();
}
