/*
 * Leaving boot services: the loop around GetMemoryMap and ExitBootServices.
 *
 * The firmware is reached through a structure of functions, so that the same loop runs on
 * the host against a firmware that lies: a map that grows each time, a key that is stale
 * again and again, a size query that fills in nothing, any stride.
 */
#ifndef EFI_EXIT_BOOT_H
#define EFI_EXIT_BOOT_H

#include <pagestage/sink.h>
#include <pagestage/status.h>

/* What the firmware answers, reduced to what the loop decides on. */
enum exit_answer {
    EXIT_ANSWER_OK,
    EXIT_ANSWER_TOO_SMALL, /* of a map: the buffer */
    EXIT_ANSWER_STALE,     /* of an exit: the key is not the newest */
    EXIT_ANSWER_ERROR,
};

struct exit_firmware {
    /* *size in: the buffer's; out: the map's. Not every firmware fills in the rest. */
    enum exit_answer (*get_map)(void *context, void *buffer, uint64_t *size, uint64_t *key,
                                uint64_t *stride);
    enum exit_answer (*exit)(void *context, uint64_t key);
    /* Memory that survives the exit (loader data), aligned to a page; NULL when there is none. */
    void *(*allocate)(void *context, uint64_t bytes);
    void (*release)(void *context, void *buffer, uint64_t bytes);
    void *context;
};

struct exit_result {
    void *map;
    uint64_t map_size;
    uint64_t stride;
    uint64_t buffer_size; /* what `map` can hold */
    unsigned exits;       /* calls of ExitBootServices */
    unsigned maps;        /* calls of GetMemoryMap */
    unsigned growths;     /* times the buffer had to be replaced */
};

/* Room for this many descriptors more than the firmware says it needs. */
enum { EXIT_SLACK_DESCRIPTORS = 32 };

/* Attempts before we believe that a firmware never lets go. */
enum { EXIT_ATTEMPTS = 128 };

/* A descriptor is 40 bytes; firmware pads it to 48 and may one day pad it more. */
enum { EXIT_STRIDE_MIN = 40, EXIT_STRIDE_MAX = 4096, EXIT_STRIDE_USUAL = 48 };

/*
 * Get a buffer for the map: EXIT_SLACK_DESCRIPTORS larger than needed. To be called before
 * anything else is sized by the map, because it tells `result->buffer_size`.
 * PS_NO_MEMORY; PS_UNSUPPORTED: the firmware's answers make no sense (result->stride).
 */
PS_MUST_CHECK ps_status exit_prepare(const struct exit_firmware *firmware,
                                     struct exit_result *result);

/*
 * Leave. On PS_OK there are no boot services any more and result->map is the map that was
 * valid at that moment. After the first refused exit nothing but GetMemoryMap, exit and (for
 * a map that outgrew its slack) memory allocation is called.
 * PS_BAD_STATE  refused EXIT_ATTEMPTS times
 * PS_NO_MEMORY, PS_UNSUPPORTED as exit_prepare()
 */
PS_MUST_CHECK ps_status exit_boot_services(const struct exit_firmware *firmware,
                                           struct exit_result *result);

#endif
