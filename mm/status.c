#include <pagestage/status.h>
#include <pagestage/types.h>

const char *ps_status_name(ps_status status)
{
    static const char *const names[] = {
        [PS_OK] = "OK",
        [PS_INVALID_ARGS] = "INVALID_ARGS",
        [PS_BAD_STATE] = "BAD_STATE",
        [PS_NO_MEMORY] = "NO_MEMORY",
        [PS_NO_SPACE] = "NO_SPACE",
        [PS_NOT_FOUND] = "NOT_FOUND",
        [PS_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [PS_ACCESS_DENIED] = "ACCESS_DENIED",
        [PS_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [PS_BUFFER_TOO_SMALL] = "BUFFER_TOO_SMALL",
        [PS_WRONG_SIZE] = "WRONG_SIZE",
        [PS_UNSUPPORTED] = "UNSUPPORTED",
        [PS_CORRUPT] = "CORRUPT",
        [PS_SHOULD_WAIT] = "SHOULD_WAIT",
    };
    _Static_assert(PS_ARRAY_SIZE(names) == PS_STATUS_COUNT, "every status has a name");

    return (unsigned)status < PS_STATUS_COUNT ? names[status] : "?";
}
