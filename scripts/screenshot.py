#!/usr/bin/env python3
"""Takes a picture of the screen at the end of a run: build/screenshot.png."""

import argparse
import os
import struct
import sys
import time
import zlib

import ovmf
import qemu
import report as reports
import run

SETTLE_SECONDS = 0.3
SETTLE_ROUNDS = 20


def parse_ppm(data):
    """(width, height, RGB bytes) of a binary PPM with 8 bits a colour; raises ValueError."""
    fields, position = [], 0
    while len(fields) < 4:
        end = position
        while end < len(data) and not data[end:end + 1].isspace():
            end += 1
        word = data[position:end]
        if word.startswith(b"#"):
            end = data.find(b"\n", position)
            if end < 0:
                raise ValueError("the header does not end")
        elif word:
            fields.append(word)
        elif end >= len(data):
            raise ValueError("the header does not end")
        position = end + 1
    if fields[0] != b"P6" or fields[3] != b"255":
        raise ValueError("not a PPM with 8 bits a colour")
    width, height = int(fields[1]), int(fields[2])
    pixels = data[position:]
    if len(pixels) != width * height * 3:
        raise ValueError(f"{len(pixels)} bytes for {width} x {height} pixels")
    return width, height, pixels


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def to_png(width, height, pixels):
    """The PNG file of RGB pixels."""
    row = width * 3
    # Each row is preceded by its filter: none.
    raw = b"".join(b"\0" + pixels[y * row:(y + 1) * row] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def ended(serial):
    """True once the report's end marker has come as a whole line."""
    start = serial.find(b"\n" + reports.END.encode())
    return start >= 0 and serial.find(b"\n", start + 1) >= 0


def dump_screen(machine):
    path = os.path.join(machine.folder, "screen.ppm")
    machine.command("screendump", filename=path)
    with open(path, "rb") as file:
        return file.read()


def still_picture(machine):
    """The screen once it no longer changes: the image may draw after its last serial line."""
    picture = dump_screen(machine)
    for _ in range(SETTLE_ROUNDS):
        time.sleep(SETTLE_SECONDS)
        last, picture = picture, dump_screen(machine)
        if picture == last:
            break
    return picture


def take(settings, deadline):
    """The PPM of the screen after the report; raises QemuError when no report ends in time."""
    settings.fw_cfg.setdefault("end", "halt")
    settings.exit_port = False  # or QEMU would be gone before we can look at its screen
    with qemu.Machine(settings, limit=deadline + 20) as machine:
        how = machine.wait(deadline * qemu.deadline_scale(), ended)
        if how != "until" and not ended(machine.serial()):
            raise qemu.QemuError(f"no report came to its end: {machine.result().describe()}")
        return still_picture(machine)


def main():
    parser = argparse.ArgumentParser(description="Take a picture of the screen after a run.")
    run.add_machine_options(parser)
    parser.add_argument("--device", default="VGA", help="display device (default: %(default)s)")
    parser.add_argument("--output", default=os.path.join(qemu.build_folder(), "screenshot.png"))
    arguments = parser.parse_args()
    qemu.exit_on_signals()
    arguments.display = [arguments.device]
    try:
        width, height, pixels = parse_ppm(take(run.settings_of(arguments), arguments.deadline))
    except (qemu.QemuError, ovmf.NotFound, ValueError) as error:
        print(f"screenshot: {error}", file=sys.stderr)
        return 1
    os.makedirs(os.path.dirname(os.path.abspath(arguments.output)), exist_ok=True)
    with open(arguments.output, "wb") as file:
        file.write(to_png(width, height, pixels))
    print(f"{arguments.output}: {width} x {height}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
