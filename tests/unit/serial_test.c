/*
 * The serial console against a simulated UART, healthy and broken. What matters most: it
 * never waits for ever, and never takes an empty bus for a UART.
 */
#include <string.h>

#include "../../efi/serial.h"
#include "harness/test.h"

enum { BASE = SERIAL_COM1, LINE_SIZE = 1024 };

struct uart {
    /* What is wrong with it. */
    bool absent;       /* every read gives 0xff */
    bool echo;         /* an empty bus that gives back the last byte written */
    bool dead_line;    /* answers, but is something else */
    bool dead_scratch; /* as in an 8250 */
    bool no_loopback;  /* as in some simulators */
    bool no_fifo;
    bool never_ready;
    size_t dies_after; /* characters, then the transmitter stays busy; 0: never */

    uint8_t line, interrupts, modem, scratch, divisor[2], fifo_control;
    bool looped_byte;
    uint8_t received;
    uint8_t last; /* byte on the bus */
    char sent[LINE_SIZE];
    size_t sent_count;
    size_t queued; /* in the transmit FIFO */
    unsigned polls;
    unsigned overruns;
    uint64_t reads;
    uint64_t writes;
};

static bool is_stuck(const struct uart *uart)
{
    return uart->never_ready || (uart->dies_after != 0 && uart->sent_count >= uart->dies_after);
}

/* Every third look at the status finds the FIFO empty. */
static uint8_t status(struct uart *uart)
{
    uint8_t value = uart->looped_byte ? 0x01 : 0;

    if (is_stuck(uart))
        return value;
    if (++uart->polls % 3 == 0)
        uart->queued = 0;
    return (uint8_t)(value | (uart->queued == 0 ? 0x60 : 0));
}

static uint8_t uart_read(void *context, uint16_t port)
{
    struct uart *uart = context;

    uart->reads++;
    if (uart->absent)
        return 0xff;
    if (uart->echo)
        return uart->last;
    switch (port - BASE) {
    case 0:
        uart->looped_byte = false;
        return uart->received;
    case 1:
        return uart->interrupts;
    case 2:
        return (uart->fifo_control & 1) != 0 && !uart->no_fifo ? 0xc1 : 0x01;
    case 3:
        return uart->dead_line ? 0 : uart->line;
    case 4:
        return uart->modem;
    case 5:
        return status(uart);
    case 7:
        return uart->dead_scratch ? 0 : uart->scratch;
    default:
        return 0;
    }
}

static void transmit(struct uart *uart, uint8_t value)
{
    size_t depth = uart->no_fifo ? 1 : 16;

    if ((uart->modem & 0x10) != 0) {
        uart->received = value;
        uart->looped_byte = !uart->no_loopback;
        return;
    }
    if (uart->queued >= depth)
        uart->overruns++;
    uart->queued++;
    if (uart->sent_count < LINE_SIZE)
        uart->sent[uart->sent_count++] = (char)value;
}

static void uart_write(void *context, uint16_t port, uint8_t value)
{
    struct uart *uart = context;
    unsigned offset = (unsigned)port - BASE;

    uart->writes++;
    uart->last = value;
    if (uart->absent || uart->echo)
        return;
    if (offset <= 1 && (uart->line & 0x80) != 0)
        uart->divisor[offset] = value;
    else if (offset == 0)
        transmit(uart, value);
    else if (offset == 1)
        uart->interrupts = value;
    else if (offset == 2)
        uart->fifo_control = value;
    else if (offset == 3)
        uart->line = value;
    else if (offset == 4)
        uart->modem = value;
    else if (offset == 7)
        uart->scratch = value;
}

static struct port_io io_of(struct uart *uart)
{
    return (struct port_io){.read = uart_read, .write = uart_write, .context = uart};
}

static bool start(struct serial *serial, struct uart *uart)
{
    struct port_io io = io_of(uart);

    uart->interrupts = 0x0f; /* as if somebody had used it before */
    uart->modem = 0x0b;
    return serial_start(serial, &io, BASE);
}

static void write_text(struct serial *serial, const char *text)
{
    serial_write(serial, text, strlen(text));
}

static bool has_sent(const struct uart *uart, const char *text)
{
    return uart->sent_count == strlen(text) && memcmp(uart->sent, text, uart->sent_count) == 0;
}

/* ---- finding it ---- */

static void line_is_set_to_115200_8n1_with_fifo(struct test *test)
{
    struct uart uart = {.line = 0};
    struct serial serial;

    EXPECT(start(&serial, &uart));
    EXPECT_EQ(serial.state, SERIAL_ON);
    EXPECT_EQ(uart.divisor[0], 1);
    EXPECT_EQ(uart.divisor[1], 0);
    EXPECT_EQ(uart.line, 0x03);
    EXPECT_EQ(uart.fifo_control, 0x07);
    EXPECT_EQ(uart.interrupts, 0);
    EXPECT_EQ(uart.modem, 0x03);
    EXPECT_EQ(uart.sent_count, 0);
    EXPECT_EQ(serial.depth, 16);
}

static void absent_port_is_found_out_at_once(struct test *test)
{
    struct uart uart = {.absent = true};
    struct serial serial;

    EXPECT(!start(&serial, &uart));
    EXPECT_EQ(serial.state, SERIAL_ABSENT);
    EXPECT_EQ(uart.reads, 1);
    EXPECT_EQ(uart.writes, 0);
    write_text(&serial, "text\n");
    serial_drain(&serial);
    EXPECT_EQ(uart.reads, 1);
    EXPECT_EQ(uart.writes, 0);
}

static void echoing_bus_is_no_uart(struct test *test)
{
    struct uart uart = {.echo = true, .last = 0x60};
    struct serial serial;

    EXPECT(!start(&serial, &uart));
    EXPECT_EQ(serial.state, SERIAL_ABSENT);
    EXPECT(uart.reads <= 2 * SERIAL_POLL_LIMIT + 20);
}

static void port_of_zeros_is_no_uart(struct test *test)
{
    struct uart uart = {.echo = true};
    struct port_io io = io_of(&uart);
    struct serial serial;

    /* Nothing is written before the status is known, so it stays 0. */
    EXPECT(!serial_start(&serial, &io, BASE));
    EXPECT(serial.state == SERIAL_TIMED_OUT || serial.state == SERIAL_ABSENT);
    EXPECT(uart.reads <= SERIAL_POLL_LIMIT + 20);
}

static void device_without_line_control_is_no_uart(struct test *test)
{
    struct uart uart = {.dead_line = true};
    struct serial serial;

    EXPECT(!start(&serial, &uart));
    EXPECT_EQ(serial.state, SERIAL_ABSENT);
    /* What is not ours is not set up. */
    EXPECT_EQ(uart.fifo_control, 0);
    EXPECT_EQ(uart.interrupts, 0x0f);
    EXPECT_EQ(uart.sent_count, 0);
}

static void dead_scratch_register_is_made_up_for_by_loopback(struct test *test)
{
    struct uart uart = {.dead_scratch = true};
    struct serial serial;

    EXPECT(start(&serial, &uart));
    EXPECT_EQ(uart.modem, 0x03);
    EXPECT_EQ(uart.sent_count, 0);
    write_text(&serial, "x");
    EXPECT(has_sent(&uart, "x"));
}

static void missing_loopback_is_made_up_for_by_scratch(struct test *test)
{
    struct uart uart = {.no_loopback = true};
    struct serial serial;

    EXPECT(start(&serial, &uart));
    write_text(&serial, "x");
    EXPECT(has_sent(&uart, "x"));
}

static void neither_scratch_nor_loopback_is_no_uart(struct test *test)
{
    struct uart uart = {.dead_scratch = true, .no_loopback = true};
    struct serial serial;

    EXPECT(!start(&serial, &uart));
    EXPECT_EQ(serial.state, SERIAL_ABSENT);
    EXPECT_EQ(uart.modem, 0x03);
    EXPECT(uart.reads <= SERIAL_POLL_LIMIT + 20);
}

/* ---- writing ---- */

static void line_feeds_become_carriage_return_line_feed(struct test *test)
{
    struct uart uart = {.line = 0};
    struct serial serial;

    EXPECT(start(&serial, &uart));
    write_text(&serial, "a\nb\r\nc\n\nd\r");
    write_text(&serial, "\ne");
    EXPECT(has_sent(&uart, "a\r\nb\r\nc\r\n\r\nd\r\ne"));
}

static void fifo_is_never_overrun(struct test *test)
{
    static const char digits[] = "0123456789";

    for (unsigned without = 0; without < 2; without++) {
        struct uart uart = {.no_fifo = without != 0};
        struct serial serial;

        EXPECT(start(&serial, &uart));
        EXPECT_EQ(serial.depth, without != 0 ? 1 : 16);
        for (int i = 0; i < 20; i++)
            serial_write(&serial, digits, 10);
        EXPECT_EQ(uart.overruns, 0);
        EXPECT_EQ(uart.sent_count, 200);
        for (size_t i = 0; i < uart.sent_count; i++)
            EXPECT_EQ(uart.sent[i], digits[i % 10]);
    }
}

static void sink_writes_to_the_line(struct test *test)
{
    struct uart uart = {.line = 0};
    struct serial serial;
    struct ps_sink sink;

    EXPECT(start(&serial, &uart));
    sink = serial_sink(&serial);
    ps_print(&sink, "%d of %s\n", 3, "x");
    EXPECT(has_sent(&uart, "3 of x\r\n"));
}

/* ---- giving up ---- */

static void never_ready_uart_ends_the_probe(struct test *test)
{
    struct uart uart = {.never_ready = true};
    struct serial serial;

    EXPECT(!start(&serial, &uart));
    EXPECT_EQ(serial.state, SERIAL_TIMED_OUT);
    EXPECT(uart.reads <= SERIAL_POLL_LIMIT + 20);
}

static void uart_that_stops_is_switched_off_after_one_wait(struct test *test)
{
    struct uart uart = {.dies_after = 20};
    struct serial serial;
    uint64_t reads;

    EXPECT(start(&serial, &uart));
    for (int i = 0; i < 10; i++)
        write_text(&serial, "0123456789");
    EXPECT_EQ(serial.state, SERIAL_TIMED_OUT);
    /* The FIFO was already being filled: at most that much is written blindly. */
    EXPECT(uart.sent_count >= 20 && uart.sent_count <= 20 + 16);
    EXPECT(uart.reads <= SERIAL_POLL_LIMIT + 50);
    reads = uart.reads;
    write_text(&serial, "nobody listens\n");
    serial_drain(&serial);
    EXPECT_EQ(uart.reads, reads);
}

static void uart_that_goes_away_is_noticed(struct test *test)
{
    struct uart uart = {.line = 0};
    struct serial serial;

    EXPECT(start(&serial, &uart));
    write_text(&serial, "0123456789abcdef");
    uart.absent = true; /* from now on every status bit reads as set */
    write_text(&serial, "x");
    EXPECT_EQ(serial.state, SERIAL_TIMED_OUT);
    EXPECT(uart.reads <= SERIAL_POLL_LIMIT + 50);
}

static void drain_waits_until_the_line_is_idle(struct test *test)
{
    struct uart uart = {.line = 0};
    struct serial serial;

    EXPECT(start(&serial, &uart));
    write_text(&serial, "last words\n");
    EXPECT(uart.queued != 0);
    serial_drain(&serial);
    EXPECT_EQ(uart.queued, 0);
    EXPECT_EQ(serial.state, SERIAL_ON);
}

static void drain_of_a_stuck_uart_is_bounded(struct test *test)
{
    struct uart uart = {.dies_after = 3};
    struct serial serial;

    EXPECT(start(&serial, &uart));
    write_text(&serial, "abc");
    serial_drain(&serial);
    EXPECT_EQ(serial.state, SERIAL_TIMED_OUT);
    EXPECT(uart.reads <= SERIAL_POLL_LIMIT + 50);
}

static void states_have_names(struct test *test)
{
    EXPECT_TEXT(serial_state_name(SERIAL_OFF), "off");
    EXPECT_TEXT(serial_state_name(SERIAL_ON), "on");
    EXPECT_TEXT(serial_state_name(SERIAL_ABSENT), "absent");
    EXPECT_TEXT(serial_state_name(SERIAL_TIMED_OUT), "timed-out");
}

static const struct test_case cases[] = {
    TEST_CASE(line_is_set_to_115200_8n1_with_fifo),
    TEST_CASE(absent_port_is_found_out_at_once),
    TEST_CASE(echoing_bus_is_no_uart),
    TEST_CASE(port_of_zeros_is_no_uart),
    TEST_CASE(device_without_line_control_is_no_uart),
    TEST_CASE(dead_scratch_register_is_made_up_for_by_loopback),
    TEST_CASE(missing_loopback_is_made_up_for_by_scratch),
    TEST_CASE(neither_scratch_nor_loopback_is_no_uart),
    TEST_CASE(line_feeds_become_carriage_return_line_feed),
    TEST_CASE(fifo_is_never_overrun),
    TEST_CASE(sink_writes_to_the_line),
    TEST_CASE(never_ready_uart_ends_the_probe),
    TEST_CASE(uart_that_stops_is_switched_off_after_one_wait),
    TEST_CASE(uart_that_goes_away_is_noticed),
    TEST_CASE(drain_waits_until_the_line_is_idle),
    TEST_CASE(drain_of_a_stuck_uart_is_bounded),
    TEST_CASE(states_have_names),
};

const struct test_suite suite_serial = TEST_SUITE("serial", cases);
