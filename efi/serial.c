#include "serial.h"

/* Registers, as offsets from the base port. */
enum {
    DATA = 0,
    DIVISOR_LOW = 0, /* these two while LINE_DIVISOR is set */
    DIVISOR_HIGH = 1,
    INTERRUPT_ENABLE = 1,
    INTERRUPT_IDENTITY = 2, /* read */
    FIFO_CONTROL = 2,       /* write */
    LINE_CONTROL = 3,
    MODEM_CONTROL = 4,
    LINE_STATUS = 5,
    SCRATCH = 7,
};

enum {
    LINE_8N1 = 0x03,
    LINE_DIVISOR = 0x80,
    FIFO_ENABLE_AND_CLEAR = 0x07,
    FIFO_IS_ON = 0xc0,
    FIFO_DEPTH = 16,
    MODEM_READY = 0x03, /* DTR and RTS */
    MODEM_LOOPBACK = 0x10,
    STATUS_RECEIVED = 0x01,
    STATUS_ROOM = 0x20,
    STATUS_ALL_SENT = 0x40,
    STATUS_NOBODY = 0xff, /* no UART ever shows all of its error bits at once */
};

static uint8_t get(const struct serial *serial, unsigned offset)
{
    return serial->io.read(serial->io.context, (uint16_t)(serial->base + offset));
}

static void set(const struct serial *serial, unsigned offset, uint8_t value)
{
    serial->io.write(serial->io.context, (uint16_t)(serial->base + offset), value);
}

/* True when one of `bits` came up in time. */
static bool wait_for(const struct serial *serial, unsigned bits)
{
    for (int polls = 0; polls < SERIAL_POLL_LIMIT; polls++) {
        uint8_t status = get(serial, LINE_STATUS);

        if (status != STATUS_NOBODY && (status & bits) != 0)
            return true;
    }
    return false;
}

static bool register_keeps(const struct serial *serial, unsigned offset, uint8_t value)
{
    set(serial, offset, value);
    return get(serial, offset) == value;
}

/* Both patterns differ from each other and from what an open bus shows. */
static bool line_control_keeps(const struct serial *serial)
{
    return register_keeps(serial, LINE_CONTROL, 0x1a) &&
           register_keeps(serial, LINE_CONTROL, LINE_8N1);
}

static bool scratch_keeps(const struct serial *serial)
{
    set(serial, SCRATCH, 0xa5);
    set(serial, INTERRUPT_ENABLE, 0); /* another byte on the bus between write and read */
    return get(serial, SCRATCH) == 0xa5 && register_keeps(serial, SCRATCH, 0x5a);
}

/* Needs the speed to be set. Leaves loopback, whatever comes of it. */
static bool loopback_works(const struct serial *serial)
{
    bool works;

    set(serial, MODEM_CONTROL, MODEM_READY | MODEM_LOOPBACK);
    set(serial, DATA, 0xae);
    works = wait_for(serial, STATUS_RECEIVED) && get(serial, DATA) == 0xae;
    set(serial, MODEM_CONTROL, MODEM_READY);
    return works;
}

static void set_line(struct serial *serial)
{
    set(serial, INTERRUPT_ENABLE, 0);
    set(serial, LINE_CONTROL, LINE_8N1 | LINE_DIVISOR);
    set(serial, DIVISOR_LOW, 1); /* 115200 */
    set(serial, DIVISOR_HIGH, 0);
    set(serial, LINE_CONTROL, LINE_8N1);
    set(serial, FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
    set(serial, MODEM_CONTROL, MODEM_READY);
    /* The identity register says whether the FIFO is there and works. */
    serial->depth = (get(serial, INTERRUPT_IDENTITY) & FIFO_IS_ON) == FIFO_IS_ON ? FIFO_DEPTH : 1;
}

static enum serial_state probe(struct serial *serial)
{
    bool idle;
    bool scratch;

    if (get(serial, LINE_STATUS) == STATUS_NOBODY)
        return SERIAL_ABSENT;
    /* The line must not change under the firmware's last characters. */
    idle = wait_for(serial, STATUS_ALL_SENT);
    if (!line_control_keeps(serial))
        return SERIAL_ABSENT;
    if (!idle)
        return SERIAL_TIMED_OUT;
    scratch = scratch_keeps(serial);
    set_line(serial);
    if (!scratch && !loopback_works(serial))
        return SERIAL_ABSENT;
    return wait_for(serial, STATUS_ROOM) ? SERIAL_ON : SERIAL_TIMED_OUT;
}

bool serial_start(struct serial *serial, const struct port_io *io, uint16_t base)
{
    *serial = (struct serial){.io = *io, .base = base};
    serial->state = probe(serial);
    return serial->state == SERIAL_ON;
}

static void send(struct serial *serial, char letter)
{
    if (serial->state != SERIAL_ON)
        return;
    if (serial->room == 0) {
        if (!wait_for(serial, STATUS_ROOM)) {
            serial->state = SERIAL_TIMED_OUT;
            return;
        }
        serial->room = serial->depth;
    }
    set(serial, DATA, (uint8_t)letter);
    serial->room--;
}

void serial_write(struct serial *serial, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' && serial->previous != '\r')
            send(serial, '\r');
        send(serial, text[i]);
        serial->previous = text[i];
    }
}

static void sink_write(void *context, const char *text, size_t length)
{
    serial_write(context, text, length);
}

struct ps_sink serial_sink(struct serial *serial)
{
    return (struct ps_sink){.write = sink_write, .context = serial};
}

void serial_drain(struct serial *serial)
{
    if (serial->state == SERIAL_ON && !wait_for(serial, STATUS_ALL_SENT))
        serial->state = SERIAL_TIMED_OUT;
}

const char *serial_state_name(enum serial_state state)
{
    switch (state) {
    case SERIAL_ON:
        return "on";
    case SERIAL_ABSENT:
        return "absent";
    case SERIAL_TIMED_OUT:
        return "timed-out";
    case SERIAL_OFF:
    default:
        return "off";
    }
}
