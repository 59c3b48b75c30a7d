#!/usr/bin/env python3
"""Turn the symbols of a linked image into the C source of its symbol table.

usage: symbols.py [IMAGE NM] > symbols.c

Without an image the table is empty: the build links once with that, reads the addresses of
the functions out of the result, and links again. The table is a read-only section behind
the code, so its size does not move any function.
"""
import re
import struct
import subprocess
import sys


def functions(image, nm):
    """(address from the image's base, name) of every function, in order of address."""
    text = subprocess.run([nm, "--numeric-sort", image], check=True, capture_output=True,
                          text=True).stdout
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([0-9a-f]+) [tT] (\S+)", line)
        if match and not match[2].startswith("."):
            found.setdefault(int(match[1], 16), match[2])
    return sorted(found.items())


def code_end(image):
    """First address behind the section .text, from the image's base."""
    with open(image, "rb") as file:
        data = file.read(4096)
    pe = struct.unpack_from("<I", data, 0x3c)[0]
    sections, optional = struct.unpack_from("<H12xH", data, pe + 6)
    for i in range(sections):
        at = pe + 24 + optional + 40 * i
        name, size, address = struct.unpack_from("<8sII", data, at)
        if name.rstrip(b"\0") == b".text":
            return address + size
    sys.exit("symbols.py: no section .text in " + image)


def source(symbols, end):
    rows = [f"    0x{address:x}," for address, _ in symbols]
    text = "".join(f"    \"{name}\\0\"\n" for _, name in symbols)
    return ("#include \"symbols.h\"\n\n"
            "const uint32_t symbol_addresses[] = {\n" + "\n".join(rows or ["    0,"]) + "\n};\n"
            f"const uint32_t symbol_count = {len(symbols)};\n"
            f"const uint32_t symbol_code_end = 0x{end:x};\n"
            "const char symbol_names[] =\n" + (text or "    \"\"\n") + "    ;\n")


def main():
    if len(sys.argv) != 3:
        sys.stdout.write(source([], 0))
        return
    symbols = functions(sys.argv[1], sys.argv[2])
    if not symbols:
        sys.exit("symbols.py: no function found in " + sys.argv[1])
    sys.stdout.write(source(symbols, code_end(sys.argv[1])))


main()
