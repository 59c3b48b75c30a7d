"""Runs the image in QEMU: builds the command line, watches the machine, ends it for sure.

Every other script starts its machines through this module. The boot files are copied into a private
folder first, so that a guest that writes to its disk or its variables changes nothing of ours.
"""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

import ovmf

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = "qemu-system-x86_64"

STATUS_PASSED = 33  # the image wrote 0x10 to port 0xf4
STATUS_FAILED = 35  # the image wrote 0x11

POLL_SECONDS = 0.02
# From this size on the memory is not reserved: the host needs only what the guest touches.
RESERVE_LIMIT = 2 << 30
# OVMF's dump of a fault that hit before our own handlers were in place.
EXCEPTION = re.compile(rb"!!!! X64 Exception Type - [^\r\n]*")


class QemuError(Exception):
    """QEMU could not be started or does not answer."""


def build_folder():
    """Where things are built: $BUILD, as for make, below the root of the tree."""
    return os.path.join(ROOT, os.environ.get("BUILD") or "build")


def deadline_scale():
    """A factor on every deadline, for slow or busy hosts."""
    return float(os.environ.get("DEADLINE_SCALE") or 1)


@dataclass
class Settings:
    """One machine. The defaults are those of `make run`."""

    image: str = None  # put into the private ESP as EFI/BOOT/BOOTX64.EFI
    esp: str = os.path.join(ROOT, "esp")
    disk: str = None  # boot this disk image instead of the ESP folder
    bus: str = "virtio"  # what the disk hangs on: virtio, usb, ide
    firmware: ovmf.Firmware = None  # found when not given
    machine: str = "q35"
    cpu: str = "max"
    memory: str = "512M"
    smp: str = "2"
    display: tuple = ("VGA",)  # devices; none at all when empty
    accel: str = "tcg"
    serial: bool = True
    exit_port: bool = True  # port 0xf4 ends QEMU; without it the image stays as it ended
    fw_cfg: dict = field(default_factory=dict)  # opt/pagestage/<key> = value
    extra: list = field(default_factory=list)


@dataclass
class Result:
    """What became of one run."""

    status: int  # QEMU's exit status; None when we ended it
    serial: bytes
    events: list  # QMP events, in order
    duration: float
    timed_out: bool
    stderr: str
    peak_kib: int = 0  # the most host memory that QEMU held at once, as far as we looked

    @property
    def exception(self):
        """The firmware's own fault dump, if it printed one."""
        match = EXCEPTION.search(self.serial)
        return match.group(0).decode("latin-1") if match else None

    @property
    def shutdown(self):
        """The reason of the SHUTDOWN event: guest-reset after a triple fault; or None."""
        for event in self.events:
            if event.get("event") == "SHUTDOWN":
                return event.get("data", {}).get("reason")
        return None

    def describe(self):
        """One phrase on how the machine ended."""
        if self.timed_out:
            return f"ended by its deadline after {self.duration:.0f} s"
        words = "stopped by us" if self.status is None else f"QEMU's status {self.status}"
        if self.shutdown:
            words += f", shutdown by {self.shutdown}"
        if self.exception:
            words += f", {self.exception}"
        if self.status == 1 and self.stderr.strip():
            words += ": " + self.stderr.strip().splitlines()[-1]
        return words


def escape(value):
    """A value inside one of QEMU's comma-separated options."""
    return str(value).replace(",", ",,")


def bytes_of(size):
    """A size as QEMU writes it (512M, 2G, plain megabytes) in bytes."""
    match = re.fullmatch(r"(\d+)([KMGT]?)", size.upper())
    if not match:
        raise QemuError(f"'{size}' is not a memory size such as 512M or 4G")
    unit = {"K": 10, "M": 20, "G": 30, "T": 40}[match.group(2) or "M"]
    return int(match.group(1)) << unit


def memory_options(settings):
    """(suffix of -machine, options): big memory is a backend that reserves nothing on the host."""
    if bytes_of(settings.memory) < RESERVE_LIMIT:
        return "", ["-m", settings.memory]
    backend = f"memory-backend-ram,id=ram0,size={settings.memory},reserve=off"
    return ",memory-backend=ram0", ["-m", settings.memory, "-object", backend]


def flash_options(firmware, variables):
    return ["-drive", f"if=pflash,unit=0,readonly=on,format={firmware.format},"
                      f"file={escape(firmware.code)}",
            "-drive", f"if=pflash,unit=1,format={firmware.format},file={escape(variables)}"]


def disk_options(settings, source):
    """The boot disk: a folder shown as FAT, or an image (never written: the guest sees a copy)."""
    image = settings.disk is not None
    drive = "if=none,id=esp,format=raw,file=" + ("" if image else "fat:rw:") + escape(source)
    if image:
        drive += ",snapshot=on"
    device = {"virtio": ["-device", "virtio-blk-pci,drive=esp,bootindex=1"],
              "ide": ["-device", "ide-hd,drive=esp,bootindex=1"],
              "usb": ["-device", "qemu-xhci,id=xhci",
                      "-device", "usb-storage,bus=xhci.0,drive=esp,bootindex=1"]}[settings.bus]
    return ["-drive", drive, *device]


def command_line(settings, firmware, variables, disk, serial):
    """The whole command, without the control channel."""
    machine = settings.machine
    secure = ""
    if firmware.kind != ovmf.PLAIN:
        # The variables of Secure Boot may be written by the firmware's SMM code only.
        machine += ",smm=on"
        secure = "driver=cfi.pflash01,property=secure,value=on"
    suffix, memory = memory_options(settings)
    command = [PROGRAM, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
               "-net", "none", "-machine", machine + suffix, "-cpu", settings.cpu, *memory,
               "-smp", settings.smp, "-accel", accel_option(settings.accel)]
    if secure:
        command += ["-global", secure, "-global", "ICH9-LPC.disable_s3=1"]
    command += flash_options(firmware, variables) + disk_options(settings, disk)
    if settings.exit_port:
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    command += ["-serial", "file:" + escape(serial) if settings.serial else "none"]
    for device in settings.display:
        command += ["-device", device]
    for key, value in settings.fw_cfg.items():
        command += ["-fw_cfg", f"name=opt/pagestage/{key},string={escape(value)}"]
    return command + list(settings.extra)


def accel_option(accel):
    return "tcg,thread=multi" if accel == "tcg" else accel


LIVE = set()
LIVE_LOCK = threading.RLock()  # a signal may come while its own thread holds it


def kill_all():
    """Ends every machine that still runs, whatever thread started it."""
    with LIVE_LOCK:
        machines = list(LIVE)
    for machine in machines:
        machine.kill()


def exit_on_signals():
    """Lets a script that is ended by a signal end its machines too."""
    def leave(number, _frame):
        kill_all()
        sys.exit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)


def peak_memory(pid):
    """The most memory that a process has held so far, in KiB; 0 when it is gone."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    return 0


class Machine:
    """One running QEMU. Use as a context manager: leaving it ends the machine."""

    def __init__(self, settings, limit=None):
        self.settings = settings
        self.limit = limit  # seconds after which the machine dies even if we were killed
        self.events = []
        self.replies = {}
        self.inbox = b""
        self.peak_kib = 0
        self.seen = 0  # bytes of the serial line that wait() has handed on
        self.next_id = 0
        self.timed_out = False
        self.stopped = False

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="pagestage-")
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        firmware = self.settings.firmware or ovmf.find()
        variables = os.path.join(self.folder, "vars.fd")
        shutil.copyfile(firmware.variables, variables)
        disk = self.settings.disk or self.private_esp()
        self.serial_path = os.path.join(self.folder, "serial.log")
        command = command_line(self.settings, firmware, variables, disk, self.serial_path)
        ours, theirs = socket.socketpair()
        command += ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}",
                    "-mon", "chardev=qmp,mode=control"]
        if self.limit and shutil.which("timeout"):
            command = ["timeout", "-s", "KILL", str(int(self.limit) + 10), *command]
        self.launch(command, ours, theirs)

    def launch(self, command, ours, theirs):
        self.qmp_socket = ours
        self.stderr_path = os.path.join(self.folder, "stderr.log")
        try:
            with open(self.stderr_path, "wb") as stderr:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                    pass_fds=[theirs.fileno()], start_new_session=True)
        except FileNotFoundError as error:
            raise QemuError(f"{PROGRAM} is not installed: run scripts/setup.sh run") from error
        finally:
            theirs.close()
        self.started = time.monotonic()
        with LIVE_LOCK:
            LIVE.add(self)
        self.send({"execute": "qmp_capabilities"})

    def private_esp(self):
        """A copy of the ESP, with the image in the place where the firmware looks for it."""
        esp = os.path.join(self.folder, "esp")
        if os.path.isdir(self.settings.esp):
            shutil.copytree(self.settings.esp, esp)
        boot = os.path.join(esp, "EFI", "BOOT")
        os.makedirs(boot, exist_ok=True)
        if self.settings.image:
            try:
                shutil.copyfile(self.settings.image, os.path.join(boot, "BOOTX64.EFI"))
            except OSError as error:
                raise QemuError(f"no image to boot: {error}") from error
        return esp

    # ---- the control channel ----

    def send(self, message):
        try:
            self.qmp_socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the machine has ended; wait() tells how

    def pump(self, seconds):
        """Takes in what QEMU has to say; False once it has closed the channel."""
        ready, _, _ = select.select([self.qmp_socket], [], [], seconds)
        if not ready:
            return True
        try:
            data = self.qmp_socket.recv(65536)
        except OSError:
            data = b""
        *lines, self.inbox = (self.inbox + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "event" in message:
                self.events.append(message)
            elif "id" in message:
                self.replies[message["id"]] = message
        return bool(data)

    def command(self, name, **arguments):
        """Sends one QMP command and returns its answer; raises QemuError when it is refused."""
        self.next_id += 1
        self.send({"execute": name, "arguments": arguments, "id": self.next_id})
        end = time.monotonic() + 10 * deadline_scale()
        while self.next_id not in self.replies:
            if not self.pump(POLL_SECONDS) or time.monotonic() > end:
                raise QemuError(f"QEMU gave no answer to {name}")
        reply = self.replies.pop(self.next_id)
        if "error" in reply:
            raise QemuError(f"{name}: {reply['error'].get('desc')}")
        return reply["return"]

    def monitor(self, line):
        """One line of the human monitor, such as `info registers`; its text."""
        return self.command("human-monitor-command", **{"command-line": line})

    # ---- the run ----

    def serial(self):
        """Everything that came over the serial line so far."""
        try:
            with open(self.serial_path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def wait(self, deadline, until=None, echo=None):
        """Waits for the end of the machine, the deadline, or until(serial bytes) is true.

        Hands new serial bytes to `echo` as they come. Returns "exit", "until" or "deadline".
        """
        end = time.monotonic() + deadline
        channel = True
        while True:
            self.peak_kib = max(self.peak_kib, peak_memory(self.process.pid))
            ended = self.process.poll() is not None
            data = self.serial()
            fresh, self.seen = data[self.seen:], len(data)
            if echo and fresh:
                echo(fresh)
            if until and until(data):
                return "until"
            if ended:
                return "exit"
            if time.monotonic() > end:
                self.timed_out = True
                return "deadline"
            if channel:
                channel = self.pump(POLL_SECONDS)
            else:
                time.sleep(POLL_SECONDS)

    def kill(self):
        """Ends QEMU with everything it started; harmless when it has ended already."""
        if self.process.poll() is None:
            self.stopped = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def result(self):
        """Ends the machine and says what became of it."""
        self.kill()
        while self.pump(0):
            if not select.select([self.qmp_socket], [], [], 0)[0]:
                break
        with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
            stderr = file.read()
        status = None if self.stopped else self.process.returncode
        return Result(status, self.serial(), self.events, time.monotonic() - self.started,
                      self.timed_out, stderr, self.peak_kib)

    def close(self):
        if hasattr(self, "process"):
            self.kill()
            with LIVE_LOCK:
                LIVE.discard(self)
        if hasattr(self, "qmp_socket"):
            self.qmp_socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def run(settings, deadline=60, until=None, echo=None, linger=1):
    """Boots, waits, ends; returns the Result.

    A dump of the firmware ends the run as `until` does: after `linger` seconds more, in which the
    rest of the text comes.
    """
    deadline *= deadline_scale()

    def over(data):
        return EXCEPTION.search(data) or (until and until(data))

    with Machine(settings, limit=deadline + linger) as machine:
        if machine.wait(deadline, over, echo) == "until":
            machine.wait(linger, None, echo)
            machine.timed_out = False
        return machine.result()


# ---- acceleration ----


def probe_key(accel):
    """What the answer of a probe depends on."""
    try:
        device = os.stat("/dev/kvm")
        stamp = [device.st_ino, device.st_ctime_ns]
    except OSError:
        stamp = None
    return f"{accel} {os.uname().release} {shutil.which(PROGRAM)} {stamp}"


def boots_with(accel):
    """True when the firmware really comes up: a /dev/kvm that opens does not prove it."""
    with tempfile.TemporaryDirectory() as empty:
        settings = Settings(esp=empty, accel=accel, memory="128M", smp="1", display=())
        result = run(settings, deadline=10, until=lambda text: b"BdsDxe" in text)
    return b"BdsDxe" in result.serial


def choose_accel(wanted=None):
    """The accelerator to use: $ACCEL is tcg (default), kvm, or auto (kvm when it boots)."""
    wanted = wanted or os.environ.get("ACCEL") or "tcg"
    if wanted == "tcg":
        return "tcg"
    if wanted not in ("kvm", "auto"):
        raise QemuError(f"ACCEL={wanted}: it is tcg, kvm or auto")
    works = os.path.exists("/dev/kvm") and cached_probe("kvm")
    if wanted == "kvm" and not works:
        raise QemuError("ACCEL=kvm, but a machine with it did not boot within 10 s")
    return "kvm" if works else "tcg"


def cached_probe(accel):
    path = os.path.join(build_folder(), "accel.json")
    key = probe_key(accel)
    try:
        with open(path, encoding="utf-8") as file:
            cache = json.load(file)
    except (OSError, ValueError):
        cache = {}
    if key not in cache:
        cache[key] = boots_with(accel)
        os.makedirs(build_folder(), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(cache, file, indent=2)
    return cache[key]
