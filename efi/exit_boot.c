#include "exit_boot.h"

static bool stride_is_sane(uint64_t stride)
{
    return stride >= EXIT_STRIDE_MIN && stride <= EXIT_STRIDE_MAX && stride % 8 == 0;
}

/* Replace the buffer by one for a map of `needed` bytes and its slack. */
static ps_status grow(const struct exit_firmware *firmware, struct exit_result *result,
                      uint64_t needed)
{
    uint64_t stride = stride_is_sane(result->stride) ? result->stride : EXIT_STRIDE_USUAL;
    uint64_t slack = EXIT_SLACK_DESCRIPTORS * stride;
    uint64_t size;
    void *buffer;

    if (!ps_add(needed, slack, &size) || !ps_align_up(size, PS_PAGE_SIZE, &size))
        return PS_UNSUPPORTED;
    buffer = firmware->allocate(firmware->context, size);
    if (buffer == NULL)
        return PS_NO_MEMORY;
    if (result->map != NULL) {
        firmware->release(firmware->context, result->map, result->buffer_size);
        result->growths++;
    }
    result->map = buffer;
    result->buffer_size = size;
    return PS_OK;
}

/* Read the map, with as many larger buffers as it takes. */
static ps_status read_map(const struct exit_firmware *firmware, struct exit_result *result,
                          uint64_t *key)
{
    for (unsigned attempt = 0; attempt < EXIT_ATTEMPTS; attempt++) {
        uint64_t size = result->buffer_size;
        uint64_t stride = 0;
        enum exit_answer answer =
            firmware->get_map(firmware->context, result->map, &size, key, &stride);
        ps_status status;

        result->maps++;
        if (stride != 0)
            result->stride = stride;
        if (answer == EXIT_ANSWER_OK) {
            result->map_size = size;
            return stride_is_sane(stride) && size <= result->buffer_size ? PS_OK : PS_UNSUPPORTED;
        }
        if (answer != EXIT_ANSWER_TOO_SMALL)
            return PS_UNSUPPORTED;
        /* Firmware that does not say how much it needs gets twice as much. */
        status = grow(firmware, result, ps_max(size, 2 * result->buffer_size));
        if (status != PS_OK)
            return status;
    }
    return PS_UNSUPPORTED;
}

ps_status exit_prepare(const struct exit_firmware *firmware, struct exit_result *result)
{
    uint64_t key;

    *result = (struct exit_result){.map = NULL};
    return read_map(firmware, result, &key);
}

ps_status exit_boot_services(const struct exit_firmware *firmware, struct exit_result *result)
{
    while (result->exits < EXIT_ATTEMPTS) {
        uint64_t key;
        ps_status status = read_map(firmware, result, &key);
        enum exit_answer answer;

        if (status != PS_OK)
            return status;
        answer = firmware->exit(firmware->context, key);
        result->exits++;
        if (answer == EXIT_ANSWER_OK)
            return PS_OK;
        if (answer != EXIT_ANSWER_STALE)
            return PS_UNSUPPORTED;
    }
    return PS_BAD_STATE;
}
