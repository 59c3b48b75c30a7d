/*
 * CRC-32 as Ethernet, zip and Python's zlib.crc32 compute it (polynomial 0x04c11db7, bits
 * reflected). Start with 0; the value after any part is the CRC of all bytes so far.
 * "123456789" has 0xcbf43926.
 */
#ifndef EFI_CRC32_H
#define EFI_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_update(uint32_t crc, const void *data, size_t length);

#endif
