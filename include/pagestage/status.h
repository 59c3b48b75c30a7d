/*
 * What a call may answer.
 *
 * The list is closed. A call returns PS_OK or exactly one reason, and every header lists
 * which of them a call returns and why. Whatever the reason, a call that did not return
 * PS_OK has changed nothing.
 */
#ifndef PAGESTAGE_STATUS_H
#define PAGESTAGE_STATUS_H

typedef enum ps_status {
    PS_OK = 0,
    PS_INVALID_ARGS,     /* unaligned, zero, wrapping, non-canonical, unknown flag */
    PS_BAD_STATE,        /* the object is not initialised, or already is, or still in use */
    PS_NO_MEMORY,        /* no physical frame left, now */
    PS_NO_SPACE,         /* no address range or no contiguous run of that shape */
    PS_NOT_FOUND,        /* nothing at that address: double free, foreign address */
    PS_ALREADY_EXISTS,   /* something is there already */
    PS_ACCESS_DENIED,    /* forbidden by a rule: writable and executable, permanent leaf, ... */
    PS_OUT_OF_RANGE,     /* outside what the object manages */
    PS_BUFFER_TOO_SMALL, /* the caller's buffer; the size that is needed has been told */
    PS_WRONG_SIZE,       /* a release of something of another size */
    PS_UNSUPPORTED,      /* this processor or this firmware cannot do it */
    PS_CORRUPT,          /* a structure contradicts itself, or free memory was written to */
    PS_SHOULD_WAIT,      /* could be had, but little is left and the caller said it can wait */
    PS_STATUS_COUNT
} ps_status;

#define PS_MUST_CHECK __attribute__((warn_unused_result))

/* The name of a status without its prefix, "NO_MEMORY"; "?" for a value not in the list. */
const char *ps_status_name(ps_status status);

#endif
