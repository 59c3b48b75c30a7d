#!/usr/bin/env python3
"""Starts the image in QEMU and gdb on it, with its symbols where the image really is.

The image is told to wait (fw_cfg opt/pagestage/wait=yes). It prints where the firmware loaded it,
as `# image: {"base":"0x..."}`, and waits until `pagestage_gdb_continue` is no longer 0. gdb
attaches there, loads the symbols at that address and sets the variable, so that the prompt comes
with the machine stopped before anything has happened. In gdb: set breakpoints, then `continue`;
`ps-walk ADDRESS` prints the page-table walk of an address. Leaving gdb ends the machine.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import ovmf
import qemu
import run

BASE = re.compile(rb'# image: \{[^\r\n]*"base":\s*"(0x[0-9a-fA-F]+)"[^\r\n]*\}\r?\n')
FLAG = "pagestage_gdb_continue"
DEFAULT_PORT = 1234


def find_base(serial):
    """The image's address, once its line has come."""
    match = BASE.search(serial)
    return int(match.group(1), 16) if match else None


def free_port():
    """gdb's usual port, or any other when that one is taken."""
    for port in (DEFAULT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise qemu.QemuError("there is no free TCP port for gdb")


def symbols_of(image):
    """The file with the image's symbols: the one beside it that was linked with them."""
    beside = os.path.splitext(image)[0] + ".debug"
    return beside if os.path.isfile(beside) else image


def gdb_command(symbols, base, port, commands):
    """gdb with the machine attached, the symbols in place and the image let go."""
    helper = os.path.join(qemu.ROOT, "scripts", "gdb_pagestage.py")
    setup = ["set pagination off", "set confirm off", "set architecture i386:x86-64",
             f"add-symbol-file {symbols} -o {base:#x}", f"source {helper}",
             f"target remote 127.0.0.1:{port}", f"set variable {FLAG} = 1"]
    if not commands:
        setup += ["set pagination on",
                  "echo \\nThe image waits before its first step: set breakpoints, then continue."
                  "\\nps-walk ADDRESS prints the page-table walk of an address.\\n"]
    command = ["gdb", "-q", "-nx"] + (["-batch"] if commands else [])
    for line in setup + commands:
        command += ["-ex", line]
    return command


def attach(machine, arguments, port):
    """Waits for the image's address, then runs gdb until the user leaves it."""
    how = machine.wait(arguments.deadline * qemu.deadline_scale(), find_base)
    base = find_base(machine.serial())
    if how != "until" or base is None:
        raise qemu.QemuError(f"the image did not say where it is: {machine.result().describe()}")
    print(f"debug: the image is at {base:#x}; serial line: {machine.serial_path}")
    command = gdb_command(symbols_of(arguments.image), base, port, arguments.command)
    # Ctrl-C belongs to gdb, which stops the machine with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.run(command, check=False, preexec_fn=lambda: signal.signal(
        signal.SIGINT, signal.SIG_DFL)).returncode


def main():
    parser = argparse.ArgumentParser(description="Debug the image with gdb.")
    run.add_machine_options(parser)
    parser.add_argument("--command", action="append", default=[], metavar="COMMAND",
                        help="run this in gdb instead of a prompt; may be repeated")
    arguments = parser.parse_args()
    qemu.exit_on_signals()
    try:
        if not shutil.which("gdb"):
            raise qemu.QemuError("gdb is not installed: run scripts/setup.sh debug")
        settings = run.settings_of(arguments)
        settings.fw_cfg["wait"] = "yes"
        port = free_port()
        settings.extra = ["-gdb", f"tcp:127.0.0.1:{port}"]
        with qemu.Machine(settings) as machine:
            return attach(machine, arguments, port)
    except (qemu.QemuError, ovmf.NotFound) as error:
        print(f"debug: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
