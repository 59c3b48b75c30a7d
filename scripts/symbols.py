#!/usr/bin/env python3
"""Turn the symbols of a linked image into the C source of its symbol table.

usage: symbols.py [IMAGE NM] > symbols.c

Without an image the table is empty: the build links once with that, reads the addresses of
the functions out of the result, and links again. The table is a read-only section behind
the code, so its size does not move any function.

Addresses are written as the steps between them. Names share most of their parts: the pair of
characters that is found most often becomes one character, again and again (byte pair encoding).
"""
import collections
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


def encode(names):
    """The names with a zero byte behind each, and the pairs that its bytes from 0x80 on stand for."""
    text = [byte for name in names for byte in name.encode("ascii") + b"\0"]
    pairs = []
    while len(pairs) < 0x80:
        counts = collections.Counter(pair for pair in zip(text, text[1:]) if 0 not in pair)
        pair, count = max(counts.items(), key=lambda item: (item[1], item[0]), default=(None, 0))
        if count < 3:
            break
        code = 0x80 + len(pairs)
        pairs.append(pair)
        shorter = []
        for byte in text:
            if shorter and (shorter[-1], byte) == pair:
                shorter[-1] = code
            else:
                shorter.append(byte)
        text = shorter
    return text, pairs


def array(declaration, values):
    rows = "".join(f"    {value},\n" for value in values or ["0"])
    return f"const {declaration} = {{\n{rows}}};\n"


def source(symbols, end):
    addresses = [address for address, _ in symbols]
    steps = [after - before for before, after in zip([0] + addresses, addresses)]
    if max(steps, default=0) > 0xffff:
        sys.exit("symbols.py: functions lie too far apart")
    text, pairs = encode([name for _, name in symbols])
    return ("#include \"symbols.h\"\n\n"
            f"const uint32_t symbol_count = {len(symbols)};\n"
            f"const uint32_t symbol_code_end = 0x{end:x};\n" +
            array("uint16_t symbol_steps[]", steps) +
            array("uint8_t symbol_names[]", text) +
            array("uint8_t symbol_pairs[][2]", [f"{{{a}, {b}}}" for a, b in pairs] or ["{0}"]))


def main():
    if len(sys.argv) != 3:
        sys.stdout.write(source([], 0))
        return
    symbols = functions(sys.argv[1], sys.argv[2])
    if not symbols:
        sys.exit("symbols.py: no function found in " + sys.argv[1])
    sys.stdout.write(source(symbols, code_end(sys.argv[1])))


main()
