#!/usr/bin/env python3
"""Boots the image under QEMU and OVMF and shows its report as it comes.

The exit status is 0 exactly when every test passed and the report arrived whole, 1 when not, and 2
when no machine could be started. The report is left in build/run: serial.log (all that came over
the line), report.tap (for prove) and report.xml (JUnit).
"""

import argparse
import os
import shutil
import sys

import ovmf
import qemu
import report as reports


def add_machine_options(parser):
    """The options that describe a machine, shared by the scripts that boot one."""
    default = qemu.Settings()
    parser.add_argument("--image", default=os.path.join(qemu.build_folder(), "BOOTX64.EFI"),
                        help="the image to boot (default: the one that was built)")
    parser.add_argument("--cpu", default=default.cpu, help="processor (default: %(default)s)")
    parser.add_argument("--memory", default=default.memory, help="default: %(default)s")
    parser.add_argument("--machine", default=default.machine, help="q35 (default) or pc")
    parser.add_argument("--smp", default=default.smp, help="processors (default: %(default)s)")
    parser.add_argument("--display", action="append", metavar="DEVICE",
                        help="display device, or none (default: VGA)")
    parser.add_argument("--fw-cfg", action="append", default=[], metavar="KEY=VALUE",
                        help="hand opt/pagestage/KEY to the image; may be repeated")
    parser.add_argument("--accel", choices=["tcg", "kvm", "auto"],
                        help="default: $ACCEL, or else tcg")
    parser.add_argument("--deadline", type=float, default=60, metavar="SECONDS",
                        help="end the machine after that time (default: %(default)s)")


def parse_pairs(pairs):
    """KEY=VALUE arguments as a dictionary."""
    result = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise qemu.QemuError(f"--fw-cfg {pair}: it must be KEY=VALUE")
        result[key] = value
    return result


def settings_of(arguments):
    """The Settings that the options describe."""
    display = arguments.display or ["VGA"]
    return qemu.Settings(image=arguments.image, machine=arguments.machine, cpu=arguments.cpu,
                         memory=arguments.memory, smp=arguments.smp,
                         display=tuple(d for d in display if d != "none"),
                         accel=qemu.choose_accel(arguments.accel),
                         fw_cfg=parse_pairs(arguments.fw_cfg))


def terminal_view():
    """Shows the report on standard output; long facts are cut where someone looks at them."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def write(text):
        sys.stdout.write(text)
        sys.stdout.flush()
    return reports.LiveView(write, width)


def explain(result):
    """What can be said of a run without a report: how it ended and the last text on the line."""
    print(f"# QEMU: {result.describe()}")
    lines = [reports.clean(line) for line in result.serial.split(b"\n")]
    for line in [line for line in lines if line.strip()][-20:]:
        print(f"# serial: {line}")


def save(folder, result, report, verdict):
    """Writes the three files of a run."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "serial.log"), "wb") as file:
        file.write(result.serial)
    reports.write_files(report, verdict, os.path.join(folder, "report.tap"),
                        os.path.join(folder, "report.xml"))


def main():
    parser = argparse.ArgumentParser(description="Boot the image and show its report.")
    add_machine_options(parser)
    parser.add_argument("--keep", metavar="FOLDER", help="leave the report there as well")
    arguments = parser.parse_args()
    qemu.exit_on_signals()
    try:
        result = qemu.run(settings_of(arguments), arguments.deadline, until=reports.refused,
                          echo=terminal_view().feed)
    except (qemu.QemuError, ovmf.NotFound) as error:
        print(f"run: {error}", file=sys.stderr)
        return 2
    report = reports.parse(result.serial)
    verdict = reports.judge(report, result.status, result.describe())
    for folder in filter(None, (os.path.join(qemu.build_folder(), "run"), arguments.keep)):
        save(folder, result, report, verdict)
    if report.begin is None:
        explain(result)
    print(f"pagestage: {verdict} in {result.duration:.1f} s")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
