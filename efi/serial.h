/*
 * A 16550 UART as a text console, 115200 8N1, that can never hang the machine.
 *
 *     off --start--> on --a byte finds no room within the limit--> timed out
 *      \--nothing there, or not a UART--> absent
 *
 * Many machines have no UART, and some have one that never gets ready (a CTS line that
 * nobody drives, power off). So every wait is bounded by a number of status reads, and the
 * first one that ends empty-handed switches the console off for good: the run goes on
 * without it and loses at most one such wait.
 *
 * QEMU hides the usual mistake here: a port without a device reads 0xff, which looks like
 * "transmitter empty" to a driver that has not probed.
 */
#ifndef EFI_SERIAL_H
#define EFI_SERIAL_H

#include <pagestage/sink.h>

#include "port.h"

enum { SERIAL_COM1 = 0x3f8 };

/*
 * Status reads before a wait is given up. A read takes about a microsecond on a real bus,
 * so this is a second: twelve thousand times what one character takes.
 */
enum { SERIAL_POLL_LIMIT = 1000000 };

enum serial_state {
    SERIAL_OFF, /* never started */
    SERIAL_ON,
    SERIAL_ABSENT,    /* no UART answers at this port */
    SERIAL_TIMED_OUT, /* it was there and stopped taking characters */
};

struct serial {
    struct port_io io;
    uint16_t base;
    enum serial_state state;
    uint8_t depth; /* of the transmit FIFO; 1 without one */
    uint8_t room;  /* characters that can follow without looking at the status again */
    char previous; /* last character of the text, so that CR LF is not made CR CR LF */
};

/*
 * Probe the port and set the line up; true when the console is on. A UART is there when the
 * line control register keeps what is written to it and, besides, either the scratch
 * register does too or a byte comes back in loopback: each of these two is missing in some
 * hardware or simulator, a bus that merely echoes the last byte fails both.
 */
bool serial_start(struct serial *serial, const struct port_io *io, uint16_t base);

/* Sends LF as CR LF. Does nothing unless the console is on. */
void serial_write(struct serial *serial, const char *text, size_t length);

/* The same as a sink; `serial` must outlive it. */
struct ps_sink serial_sink(struct serial *serial);

/* Wait, bounded, until the last bit has left: before the power goes. */
void serial_drain(struct serial *serial);

/* "off", "on", "absent", "timed-out" */
const char *serial_state_name(enum serial_state state);

#endif
