#!/usr/bin/env python3
"""Checks that an EFI image is what strict firmware and Secure Boot signers ask for.

An application for x86-64 with base 0, sections on page boundaries, none of them writable and
executable, NX_COMPAT and DYNAMIC_BASE set, and relocations that are really there.
"""

import argparse
import struct
import sys
from dataclasses import dataclass, field

MACHINE_X86_64 = 0x8664
MAGIC_PE32_PLUS = 0x20B
SUBSYSTEM_EFI_APPLICATION = 10
FILE_RELOCS_STRIPPED = 0x0001
DYNAMIC_BASE = 0x0040
NX_COMPAT = 0x0100
SECTION_EXECUTE = 0x20000000
SECTION_READ = 0x40000000
SECTION_WRITE = 0x80000000
RELOCATION_DIRECTORY = 5
RELOCATION_NONE = 0
RELOCATION_64_BIT = 10
PAGE = 0x1000


class NotPe(Exception):
    """The file cannot be read as a PE image at all."""


@dataclass
class Section:
    name: str
    address: int
    size: int  # in memory
    file_offset: int
    file_size: int
    flags: int

    @property
    def rights(self):
        return "".join(letter if self.flags & bit else "-" for letter, bit in
                       (("R", SECTION_READ), ("W", SECTION_WRITE), ("X", SECTION_EXECUTE)))


@dataclass
class Image:
    machine: int
    characteristics: int
    magic: int
    entry: int
    base: int
    section_alignment: int
    file_alignment: int
    size: int
    subsystem: int
    dll_characteristics: int
    relocations: tuple  # address and size of the directory
    sections: list = field(default_factory=list)
    data: bytes = b""

    def section_at(self, address):
        return next((s for s in self.sections if s.address <= address < s.address + s.size), None)

    def read(self, address, size):
        """Bytes of the loaded image; what the file does not hold is zero."""
        section = self.section_at(address)
        if section is None:
            return b""
        start = address - section.address
        held = self.data[section.file_offset:section.file_offset + section.file_size]
        return held[start:start + size].ljust(min(size, section.size - start), b"\0")


def unpack(form, data, offset):
    try:
        return struct.unpack_from(form, data, offset)
    except struct.error as error:
        raise NotPe(f"the file ends inside a header (at {offset:#x})") from error


def parse(data):
    """The headers of a PE32+ file; raises NotPe."""
    if data[:2] != b"MZ":
        raise NotPe("it does not start with MZ")
    pe, = unpack("<I", data, 0x3C)
    if data[pe:pe + 4] != b"PE\0\0":
        raise NotPe("there is no PE header")
    machine, count, _, _, _, optional_size, characteristics = unpack("<HHIIIHH", data, pe + 4)
    optional = pe + 24
    magic, = unpack("<H", data, optional)
    if magic != MAGIC_PE32_PLUS:
        raise NotPe(f"its magic is {magic:#x}, not PE32+")
    entry, = unpack("<I", data, optional + 16)
    base, section_alignment, file_alignment = unpack("<QII", data, optional + 24)
    size, = unpack("<I", data, optional + 56)
    subsystem, dll_characteristics = unpack("<HH", data, optional + 68)
    directories, = unpack("<I", data, optional + 108)
    relocations = (0, 0)
    if directories > RELOCATION_DIRECTORY:
        relocations = unpack("<II", data, optional + 112 + 8 * RELOCATION_DIRECTORY)
    image = Image(machine, characteristics, magic, entry, base, section_alignment, file_alignment,
                  size, subsystem, dll_characteristics, relocations, [], data)
    for index in range(count):
        image.sections.append(parse_section(data, optional + optional_size + 40 * index))
    return image


def parse_section(data, offset):
    name, size, address, file_size, file_offset = unpack("<8sIIII", data, offset)
    flags, = unpack("<I", data, offset + 36)
    return Section(name.rstrip(b"\0").decode("latin-1"), address, max(size, 1), file_offset,
                   file_size, flags)


def count_relocations(image):
    """(number of 64-bit relocations, what is wrong with the table)."""
    address, size = image.relocations
    table = image.read(address, size)
    if not size or len(table) < size:
        return 0, ["the relocation table is missing or empty"]
    count, offset, problems = 0, 0, []
    while offset + 8 <= size:
        page, block = struct.unpack_from("<II", table, offset)
        if block < 8 or offset + block > size:
            problems.append(f"the relocation block at {offset:#x} has the impossible size {block}")
            break
        for entry, in struct.iter_unpack("<H", table[offset + 8:offset + (block & ~1)]):
            kind, place = entry >> 12, page + (entry & 0xFFF)
            if kind == RELOCATION_64_BIT and image.section_at(place) is not None:
                count += 1
            elif kind != RELOCATION_NONE:
                problems.append(f"the relocation of {place:#x} has type {kind} or no section")
        offset += block
    if count == 0:
        problems.append("there is not one 64-bit relocation")
    return count, problems


def check_headers(image):
    wanted = [
        (image.machine == MACHINE_X86_64, f"the machine is {image.machine:#x}, not x86-64"),
        (image.subsystem == SUBSYSTEM_EFI_APPLICATION,
         f"the subsystem is {image.subsystem}, not an EFI application"),
        (image.base == 0, f"the image base is {image.base:#x}, not 0"),
        (image.section_alignment == PAGE,
         f"the section alignment is {image.section_alignment:#x}, not {PAGE:#x}"),
        (image.dll_characteristics & NX_COMPAT, "NX_COMPAT is not set"),
        (image.dll_characteristics & DYNAMIC_BASE, "DYNAMIC_BASE is not set"),
        (not image.characteristics & FILE_RELOCS_STRIPPED, "the relocations were stripped"),
    ]
    return [text for good, text in wanted if not good]


def check_sections(image):
    problems = []
    end = 0
    for section in sorted(image.sections, key=lambda s: s.address):
        if "W" in section.rights and "X" in section.rights:
            problems.append(f"section {section.name} is writable and executable")
        if section.address % PAGE:
            problems.append(f"section {section.name} is not on a page boundary")
        if section.address < end:
            problems.append(f"section {section.name} overlaps the one before it")
        if section.address + section.size > image.size:
            problems.append(f"section {section.name} reaches past the image")
        if section.file_offset + section.file_size > len(image.data):
            problems.append(f"section {section.name} reaches past the file")
        end = section.address + section.size
    entry = image.section_at(image.entry)
    if entry is None or "X" not in entry.rights:
        problems.append("the entry point is not in an executable section")
    return problems


def check(image):
    """Everything that is wrong with the image; empty when nothing is."""
    return check_headers(image) + check_sections(image) + count_relocations(image)[1]


def describe(image):
    """What was found, as lines."""
    yield (f"machine {image.machine:#x}, subsystem {image.subsystem}, base {image.base:#x}, "
           f"entry {image.entry:#x}, size {image.size:#x}")
    yield (f"alignment {image.section_alignment:#x} in memory, {image.file_alignment:#x} in the "
           f"file; flags {image.dll_characteristics:#06x}; "
           f"{count_relocations(image)[0]} relocations")
    for section in image.sections:
        yield f"{section.address:#10x} {section.size:#10x} {section.rights} {section.name}"


def main():
    parser = argparse.ArgumentParser(description="Check an EFI image.")
    parser.add_argument("image", nargs="+")
    failed = False
    for path in parser.parse_args().image:
        try:
            with open(path, "rb") as file:
                image = parse(file.read())
        except (OSError, NotPe) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = True
            continue
        print(f"{path}:")
        for line in describe(image):
            print(f"  {line}")
        problems = check(image)
        for problem in problems:
            print(f"{path}: {problem}", file=sys.stderr)
        failed = failed or bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
