#!/usr/bin/env python3
"""Boots the image where the time-stamp counter counts instructions, and shows what things cost.

QEMU's `-icount shift=N` lets 2^N ns of the machine's time pass with each instruction, and its
counter ticks once a ns. The image finds out by itself how the two relate and divides: the numbers
are the same for every N, and in every run. A large N only keeps the firmware, which waits by the
clock, from waiting long. A string instruction counts once for each word.
"""

import argparse
import os
import sys

import ovmf
import qemu
import report as reports

SHIFT = 7
FACTS = (("take-over", "until the first frame could be had, and until it returned"),
         ("invalidation", "on one processor: single, and full without and with global entries"),
         ("page-costs", "a page; a leaf for promotion and demotion; a fault"))
NOT_COUNTED = ("refill", "threshold")  # the work of the processor itself, and what comes of it


def machine(image):
    """The Settings of such a machine. One processor: several would take turns on one counter."""
    return qemu.Settings(image=image, smp="1", display=(), accel="tcg,thread=single",
                         fw_cfg={"suites": "processor"},
                         extra=["-icount", f"shift={SHIFT},sleep=off"])


def counted(report):
    """{fact: {name: instructions}}, or a ValueError that says why these are not instructions."""
    found = {}
    for key, _ in FACTS:
        value = report.fact(key)
        if not isinstance(value, dict):
            raise ValueError(f"the report has no fact {key}")
        if value.get("unit") != "instructions":
            raise ValueError(f"{key} is in {value.get('unit')}, not in instructions")
        if "missing" in value:
            raise ValueError(f"{key}: {value['missing']}")
        found[key] = {name: number for name, number in value.items() if name != "unit"}
    return found


def table(found):
    """The lines of the table."""
    lines = []
    for key, words in FACTS:
        lines.append(f"# {key}: {words}")
        lines += [f"{name:24}{number:12}" for name, number in found[key].items()
                  if name not in NOT_COUNTED]
    return lines


def main():
    parser = argparse.ArgumentParser(description="Count the instructions of the memory stage.")
    parser.add_argument("--image", default=os.path.join(qemu.build_folder(), "BOOTX64.EFI"))
    parser.add_argument("--deadline", type=float, default=60, metavar="SECONDS")
    arguments = parser.parse_args()
    qemu.exit_on_signals()
    try:
        result = qemu.run(machine(arguments.image), arguments.deadline, until=reports.refused)
    except (qemu.QemuError, ovmf.NotFound) as error:
        sys.exit(f"instructions: {error}")
    report = reports.parse(result.serial)
    verdict = reports.judge(report, result.status, result.describe())
    if not verdict.passed:
        sys.exit(f"instructions: {verdict}")
    try:
        print("\n".join(table(counted(report))))
    except ValueError as error:
        sys.exit(f"instructions: {error}")


if __name__ == "__main__":
    main()
