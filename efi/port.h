/*
 * Input and output ports.
 *
 * Device code goes through struct port_io, so that the host's tests can put a simulated
 * device behind it. The inline functions are the instructions themselves.
 */
#ifndef EFI_PORT_H
#define EFI_PORT_H

#include <stdint.h>

struct port_io {
    uint8_t (*read)(void *context, uint16_t port);
    void (*write)(void *context, uint16_t port, uint8_t value);
    /* One access of 16 bits; some devices ignore two of 8. */
    void (*write16)(void *context, uint16_t port, uint16_t value);
    void *context;
};

static inline uint8_t port_in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void port_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint16_t port_in16(uint16_t port)
{
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void port_out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t port_in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void port_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_hardware_read(void *context, uint16_t port)
{
    (void)context;
    return port_in8(port);
}

static inline void port_hardware_write(void *context, uint16_t port, uint8_t value)
{
    (void)context;
    port_out8(port, value);
}

static inline void port_hardware_write16(void *context, uint16_t port, uint16_t value)
{
    (void)context;
    port_out16(port, value);
}

/* The machine's own ports. */
static inline struct port_io port_hardware(void)
{
    return (struct port_io){
        .read = port_hardware_read, .write = port_hardware_write, .write16 = port_hardware_write16};
}

#endif
