#include "image.h"

#include "symbols.h"

/* Offsets in a PE32+ image; the names are those of the format's specification. */
enum {
    DOS_E_LFANEW = 0x3c,
    COFF_NUMBER_OF_SECTIONS = 4 + 2,
    COFF_SIZE_OF_OPTIONAL_HEADER = 4 + 16,
    OPTIONAL_HEADER = 4 + 20,
    OPTIONAL_SIZE_OF_IMAGE = OPTIONAL_HEADER + 56,
    OPTIONAL_SIZE_OF_HEADERS = OPTIONAL_HEADER + 60,
};

struct pe_section {
    char name[8];
    uint32_t virtual_size;
    uint32_t virtual_address;
    uint32_t raw_size;
    uint32_t raw_pointer;
    uint32_t unused[3];
    uint32_t characteristics;
};
_Static_assert(sizeof(struct pe_section) == 40, "section header of a PE image");

#define SECTION_EXECUTE ((uint32_t)1 << 29)
#define SECTION_WRITE   ((uint32_t)1 << 31)

static uint32_t read32(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;

    return byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

static ps_status add(struct image *image, uint64_t offset, uint64_t bytes, unsigned access,
                     const char *name)
{
    if (image->section_count == IMAGE_SECTIONS_MAX || !ps_is_aligned(offset, PS_PAGE_SIZE) ||
        (access & (PS_WRITE | PS_EXECUTE)) == (PS_WRITE | PS_EXECUTE))
        return PS_UNSUPPORTED;
    image->sections[image->section_count++] = (struct ps_stage_section){
        ps_frame_of_phys(ps_phys(image->base + offset)), ps_pages_of_bytes(bytes), access, name};
    return PS_OK;
}

static unsigned access_of(uint32_t characteristics)
{
    return PS_READ | ((characteristics & SECTION_WRITE) != 0 ? PS_WRITE : 0u) |
           ((characteristics & SECTION_EXECUTE) != 0 ? PS_EXECUTE : 0u);
}

ps_status image_read(struct image *image)
{
    const char *pe = image_base + read32(image_base + DOS_E_LFANEW);
    uint32_t count = read32(pe + COFF_NUMBER_OF_SECTIONS) & 0xffff;
    uint32_t optional = read32(pe + COFF_SIZE_OF_OPTIONAL_HEADER) & 0xffff;
    const struct pe_section *section =
        (const struct pe_section *)(const void *)(pe + OPTIONAL_HEADER + optional);
    ps_status status;

    *image = (struct image){.base = (uint64_t)(uintptr_t)image_base,
                            .bytes = read32(pe + OPTIONAL_SIZE_OF_IMAGE)};
    status = add(image, 0, read32(pe + OPTIONAL_SIZE_OF_HEADERS), PS_READ, "headers");
    for (uint32_t i = 0; status == PS_OK && i < count; i++)
        status = add(image, section[i].virtual_address, section[i].virtual_size,
                     access_of(section[i].characteristics), section[i].name);
    return status;
}
