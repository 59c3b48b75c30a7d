#!/usr/bin/env python3
"""Boots the image on every kind of machine it must run on, and checks what comes of it.

Prints TAP 13, one test point a boot. Each serial log is left in build/boot/<case>.log. A case says
what must happen: most must pass whole; some must die in a certain way, and then it is the runner
that is tested: a death must never look like success.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "scripts"), os.path.dirname(os.path.abspath(__file__))]

import instructions  # noqa: E402
import ovmf  # noqa: E402
import qemu  # noqa: E402
import report as reports  # noqa: E402
import tap  # noqa: E402
import usb  # noqa: E402

DENIED = b"Access Denied"


class CannotRun(Exception):
    """The case needs something that this host has not; it is skipped with the reason."""


# ---- what must happen: each takes (Result, Report) and returns what is wrong, or None ----


def passes(result, report):
    """Every test passed, and the whole report arrived."""
    verdict = reports.judge(report, result.status, result.describe())
    return None if verdict.passed else str(verdict)


def passes_without_skips(result, report):
    """Every test passed, and none was skipped."""
    wrong = passes(result, report)
    skipped = [test.name for test in report.skipped]
    return wrong or (f"skipped: {', '.join(skipped)}" if skipped else None)


def passes_touching_little(result, report):
    """Every test passed, and no more than a few GiB of the machine's memory were ever written."""
    gib = result.peak_kib / (1 << 20)
    wrong = passes_without_skips(result, report)
    if wrong:
        return wrong
    return None if 0 < gib < 4 else f"QEMU held {gib:.1f} GiB of memory"


def telling(fact, verdict=passes_without_skips):
    """A run that passes, and whose report tells the fact."""
    def passes_and_tells(result, report):
        missing = None if fact.encode() in result.serial else f"there is no {fact!r}"
        return verdict(result, report) or missing
    passes_and_tells.__doc__ = f"Every test passed, and the report tells {fact!r}."
    return passes_and_tells


def passes_as_the_shell_said(result, report):
    """The words behind the program's name in the UEFI shell chose the suite and the seed."""
    if {test.name.split("/")[0] for test in report.tests} != {"processor"}:
        return "another selection of suites has run"
    if b'"seed":77,' not in result.serial:
        return "the seed is not that of the command"
    return passes(result, report)


def passes_as_the_file_said(result, report):
    """The file on the stick chose the seed; what it says that nobody knows is told and ignored."""
    if b'"seed":85,' not in result.serial:
        return "the seed is not that of the file"
    if b'# settings: pagestage.conf:2: unknown key "bogus"' not in result.serial:
        return "the unknown key was not told"
    return passes(result, report)


def paging(found, asked, levels, verdict=passes_without_skips):
    """A run that passes and has so many levels of page tables, whatever the firmware had."""
    return telling(f'# paging: {{"levels":{levels},"found":{found},"asked":"{asked}"', verdict)


def stays_at_4_levels(result, report):
    """Every test passed with 4 levels, and the report says why there are not 5 of them."""
    if b'"asked":"5","missing":"the processor has no 5 levels"' not in result.serial:
        return "the report does not say what is missing"
    return paging(4, 5, 4)(result, report)


def bails_out_with_5_levels(result, report):
    """A fault was reported as any other, and the walk of its address begins at level 5."""
    if b"# level 5 entry 0: 0x" not in result.serial:
        return "there is no walk from level 5 on"
    return bails_out(result, report)


def processors(result):
    """What the report says of the processors, as a dictionary; empty when it says nothing."""
    found = re.search(rb"^# processors: (\{.*\})\r?$", result.serial, re.M)
    return json.loads(found[1]) if found else {}


def passes_on(running, **more):
    """Every test passed, and so many processors ran; the cases that need several ran with them."""
    def expect(result, report):
        found = processors(result)
        for name, number in {"running": running, **more}.items():
            if found.get(name) != number:
                return f"{name} is {found.get(name)}, not {number}"
        skipped = sum(test.name.startswith("processors/") for test in report.skipped)
        if (skipped == 0) != (running > 1):
            return f"{skipped} cases of processors were skipped"
        return passes(result, report)
    expect.__doc__ = f"Every test passed, on {running} processors."
    return expect


def bails_out_on_another(result, report):
    """A fault on another processor ended the run like one on the first, and nothing came behind."""
    wrong = bails_out(result, report)
    if wrong:
        return wrong
    if " on processor 1" not in report.bail_out:
        return f"the reason does not name the processor: {report.bail_out}"
    return None


def counts_instructions(result, report):
    """Costs are told in instructions, are lower for many pages at once, and set the threshold."""
    wrong = passes(result, report)
    if wrong:
        return wrong
    try:
        facts = instructions.counted(report)
    except ValueError as error:
        return str(error)
    pages, one, start = facts["page-costs"], facts["invalidation"], facts["take-over"]
    if min(pages.values()) <= 0 or not 0 < start["first_frame"] < start["all"]:
        return f"something costs nothing: {facts}"
    for cheap, dear in (("map_run", "map_scattered"), ("map_scattered", "map_single"),
                        ("protect", "protect_single"), ("unmap", "unmap_single")):
        if pages[cheap] >= pages[dear]:
            return f"{cheap} costs as much as {dear}: {pages}"
    threshold = min(max(int(one["full"] + one["refill"]) // int(one["single"]), 1), 4096)
    return None if one["threshold"] == threshold else f"the threshold is not {threshold}: {one}"


def powers_off(result, report):
    """The firmware powered the machine off when it was asked to."""
    if not report.complete or report.failed:
        return "the report is not that of a good run"
    return None if result.shutdown == "guest-shutdown" else result.describe()


def resets(result, report):
    """The firmware, and nobody else, restarted the machine when it was asked to."""
    if not report.complete or report.failed:
        return "the report is not that of a good run"
    if b"trying without it" in result.serial:
        return "the firmware's reset did not work"
    return None if result.shutdown == "guest-reset" else result.describe()


def passes_above_4g(result, report):
    """Every test passed, with the image above 4 GiB."""
    base = re.search(rb'# image: \{"base":"0x([0-9a-f]+)"', result.serial)
    if not base or int(base[1], 16) < 4 << 30:
        return "the firmware did not load the image above 4 GiB"
    return passes(result, report)


def silent_pass(result, report):
    """Without a serial line only the status can tell."""
    if result.serial:
        return "there is text on a serial line that does not exist"
    return None if result.status == qemu.STATUS_PASSED else result.describe()


def clear_refusal(result, report):
    """The image said why it cannot run: before the exit, or as a report that ends properly."""
    if result.exception or result.timed_out:
        return result.describe()
    if report.refusal:
        return None
    if result.status != qemu.STATUS_FAILED:
        return f"{result.describe()}, not {qemu.STATUS_FAILED}"
    if report.begin is None:
        return "there is no report"
    if report.bail_out not in (None, "(no reason)") or (report.complete and report.skipped):
        return None
    return "neither a reason nor skipped tests were reported"


def passes_or_refuses_clearly(result, report):
    """Where it depends on the firmware's own needs whether the memory is enough."""
    return None if passes(result, report) is None else clear_refusal(result, report)


def is_denied(result, report):
    """The firmware refused to start the image at all."""
    if report.begin is not None:
        return "the image ran"
    return None if DENIED in result.serial else f"no '{DENIED.decode()}': {result.describe()}"


def bails_out(result, report):
    """A fault was reported with its cause and ended the run as a failure."""
    if passes(result, report) is None:
        return "the run has passed"
    if result.status != qemu.STATUS_FAILED:
        return f"{result.describe()}, not {qemu.STATUS_FAILED}"
    if report.bail_out in (None, "(no reason)"):
        return "there is no 'Bail out!' with a reason"
    text = result.serial.lower()
    missing = [word for word in (b"rip", b"cr2") if word not in text]
    return f"the dump lacks {missing}" if missing else None


def one_test_fails(result, report):
    """One test failed, and the run went on to its end."""
    if result.status != qemu.STATUS_FAILED:
        return f"{result.describe()}, not {qemu.STATUS_FAILED}"
    if not report.complete:
        return "; ".join(report.problems)
    if len(report.failed) != 1:
        return f"{len(report.failed)} tests failed, not one"
    return None


def deadline_is_caught(result, report):
    """A machine that nothing inside can stop is ended by the runner, as a failure."""
    if passes(result, report) is None:
        return "the run has passed"
    return None if result.timed_out and report.begin else result.describe()


def plan_is_caught(result, report):
    """Fewer tests than planned is a failure, whatever the image says of itself."""
    if passes(result, report) is None:
        return "the run has passed"
    if report.plan is None or report.plan <= len(report.tests):
        return "the plan is not larger than the tests"
    return None


def triple_fault_is_caught(result, report):
    """QEMU's status is 0 then: the runner must not take that for success."""
    if passes(result, report) is None:
        return "the run has passed"
    if result.status != 0 or result.shutdown != "guest-reset":
        return f"{result.describe()}, not a reset by the guest"
    return None


# ---- the table ----


@dataclass
class Case:
    """One boot: a name, a machine, and what must happen."""

    name: str
    machine: dict = field(default_factory=dict)  # changes to qemu.Settings
    expect: object = passes
    prepare: object = None  # called with the settings and a private folder before the boot
    until: object = reports.refused
    deadline: float = 60
    script: object = None  # instead of a boot: called with the image and a folder; what is wrong


def on_stick(settings, folder):
    settings.disk = os.path.join(folder, "stick.img")
    settings.bus = "usb"
    usb.build(settings.image, settings.disk)


def linked_high(settings, _folder):
    """The image linked for 5 GiB, where firmware loads it when there is RAM."""
    settings.image = os.path.join(os.path.dirname(settings.image), "BOOTX64.high")


def behind_five_levels(settings, folder):
    """The firmware has changed to 5 levels when it starts the image."""
    # Only the processor that starts us was changed: at the exit the firmware wakes the others.
    settings.smp = "1"
    settings.esp = os.path.join(folder, "esp")
    os.mkdir(settings.esp)
    shutil.copyfile(settings.image, os.path.join(settings.esp, "pagestage.efi"))
    settings.image = os.path.join(os.path.dirname(settings.image), "five_levels.efi")


def in_shell(settings, folder):
    """The firmware finds nothing to boot and starts its shell, which runs startup.nsh."""
    settings.esp = os.path.join(folder, "esp")
    os.mkdir(settings.esp)
    shutil.copyfile(settings.image, os.path.join(settings.esp, "pagestage.efi"))
    with open(os.path.join(settings.esp, "startup.nsh"), "w", encoding="ascii") as script:
        script.write("fs0:\r\npagestage.efi suites=processor seed=77\r\n")
    settings.image = None


def with_file(settings, folder):
    settings.esp = os.path.join(folder, "esp")
    os.mkdir(settings.esp)
    with open(os.path.join(settings.esp, "pagestage.conf"), "w", encoding="ascii") as file:
        file.write("seed = 0x55\nbogus = 1\nsuites = processor, frame_pool\n")


def with_instruction_count(settings, _folder):
    vars(settings).update(vars(instructions.machine(settings.image)))


def with_secure_boot(settings, _folder):
    # With several processors the firmware's SMM code does not come up under emulation.
    settings.smp = "1"
    try:
        settings.firmware = ovmf.find(ovmf.SNAKEOIL)
    except ovmf.NotFound as error:
        raise CannotRun(str(error)) from error


def signed(settings, folder):
    """Signs with the key whose certificate is in Debian's variables."""
    with_secure_boot(settings, folder)
    keys = ovmf.snakeoil_keys()
    if not keys:
        raise CannotRun("Debian's snakeoil keys are not installed")
    key, target = os.path.join(folder, "key.pem"), os.path.join(folder, "signed.efi")
    run_tool("openssl", "pkey", "-in", keys[0], "-passin", "pass:" + ovmf.SNAKEOIL_PASSPHRASE,
             "-out", key)
    run_tool("sbsign", "--key", key, "--cert", keys[1], "--output", target, settings.image)
    run_tool("sbverify", "--cert", keys[1], target)
    settings.image = target


def run_tool(*command, needs=None):
    """Runs a program to its end; its output. What is not installed skips the case."""
    if needs and not shutil.which(needs):
        raise CannotRun(f"{needs} is not installed")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotRun(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise qemu.QemuError(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


def debugger(image, _folder):
    """gdb stops behind the exit from the firmware, and the walk of our own code is read-only."""
    commands = ["break self_test", "continue", "ps-walk $pc", "ps-walk 0"]
    options = [word for command in commands for word in ("--command", command)]
    text = run_tool(sys.executable, os.path.join(ROOT, "scripts", "debug.py"), "--image", image,
                    *options, needs="gdb")
    for words in ("self_test (", "4 KiB page, R-X kernel", "0x0 is not mapped"):
        if words not in text:
            return f"'{words}' is not in what gdb said:\n{text[-1500:]}"
    return None


def picture(image, folder):
    """The screen after a run is not empty."""
    path = os.path.join(folder, "screen.png")
    run_tool(sys.executable, os.path.join(ROOT, "scripts", "screenshot.py"), "--image", image,
             "--output", path)
    # An empty screen of this size shrinks to some 3 KB.
    size = os.path.getsize(path)
    return None if size > 6000 else f"the picture has only {size} bytes"


def denied(serial):
    return DENIED in serial


def dies(kind, **more):
    """A machine on which the image ends in a certain way; few suites, for it is not about them."""
    return {"fw_cfg": {"death": kind, "suites": "processor,death,runtime", **more}}


def ends(how, **more):
    """A machine on which nothing but the firmware can end the run."""
    return {"exit_port": False, "fw_cfg": {"end": how, "suites": "processor,runtime", **more}}


def levels(asked, **more):
    """A machine whose settings ask for so many levels of page tables."""
    return {"fw_cfg": {"levels": asked}, **more}


CASES = [
    Case("cpu_max"),
    Case("cpu_qemu64", {"cpu": "qemu64"}),
    Case("cpu_nehalem", {"cpu": "Nehalem"}),
    Case("cpu_epyc", {"cpu": "EPYC"}),
    Case("cpu_without_nx", {"cpu": "qemu64,-nx"}),
    Case("cpu_with_1g_pages", {"cpu": "qemu64,+pdpe1gb"}),
    Case("cpu_without_la57", {"cpu": "max,-la57"}),
    Case("levels_as_found", {}, paging(4, "as-found", 4)),
    Case("levels_4", levels("4"), paging(4, 4, 4)),
    Case("levels_5", levels("5"), paging(4, 5, 5)),
    Case("levels_5_without_nx", levels("5", cpu="qemu64,+la57,-nx"), paging(4, 5, 5, passes)),
    Case("levels_5_with_1_processor", levels("5", smp="1", machine="pc"),
         paging(4, 5, 5, passes_on(1))),
    Case("levels_5_with_image_above_4g", levels("5", memory="4G"), paging(4, 5, 5), linked_high),
    Case("levels_5_with_firmware_in_smm", levels("5"), paging(4, 5, 5, passes_on(1)), signed),
    Case("levels_5_where_there_are_4", levels("5", cpu="max,-la57"), stays_at_4_levels),
    Case("levels_as_found_5", {}, paging(5, "as-found", 5, passes_on(1)), behind_five_levels),
    Case("levels_5_where_there_are_5", levels("5"), paging(5, 5, 5, passes_on(1)),
         behind_five_levels),
    Case("levels_4_where_there_are_5", levels("4"), paging(5, 4, 4, passes_on(1)),
         behind_five_levels),
    Case("levels_5_and_power_off", ends("power-off", levels="5"), powers_off),
    Case("levels_5_and_reset", ends("reset", levels="5"), resets),
    Case("levels_5_and_a_fault", dies("fault", levels="5"), bails_out_with_5_levels),
    Case("memory_48m", {"memory": "48M", "cpu": "qemu64"}, passes_or_refuses_clearly),
    Case("memory_64m", {"memory": "64M", "cpu": "qemu64"}),
    Case("memory_96m", {"memory": "96M"}, passes_without_skips),
    Case("memory_4g", {"memory": "4G"}, passes_without_skips),
    Case("memory_200g", {"memory": "200G"}, passes_without_skips),
    Case("memory_700g", {"memory": "700G"}, passes_touching_little),
    Case("memory_half_above_4g", {"memory": "2G", "machine": "q35,max-ram-below-4g=1G"}),
    Case("image_above_4g", {"memory": "4G"}, passes_above_4g, linked_high),
    Case("machine_pc", {"machine": "pc"}),
    Case("options_from_the_shell", {}, passes_as_the_shell_said, in_shell),
    Case("settings_from_the_stick", {}, passes_as_the_file_said, with_file),
    Case("end_by_power_off", ends("power-off"), powers_off),
    Case("end_by_reset", ends("reset"), resets),
    Case("machine_with_1_processor", {"smp": "1"}, passes_on(1, listed=1)),
    Case("machine_with_2_processors", {"smp": "2"}, passes_on(2)),
    Case("machine_with_4_processors", {"smp": "4", "fw_cfg": {"deadline": "60"}},
         passes_on(4), deadline=120),
    Case("processor_that_is_disabled", {"smp": "1,maxcpus=2"}, passes_on(1, listed=2, enabled=1)),
    Case("processor_that_does_not_answer", {"smp": "3", "fw_cfg": {"mute": "1"}},
         passes_on(2, enabled=3, used=3, silent=[1])),
    Case("processors_that_are_not_used", {"smp": "3", "fw_cfg": {"processors": "2"}},
         passes_on(2, enabled=3, used=2)),
    Case("all_processors_but_one_not_used", {"smp": "2", "fw_cfg": {"processors": "1"}},
         passes_on(1, enabled=2, used=1)),
    Case("machine_that_counts_instructions", {}, counts_instructions, with_instruction_count),
    Case("million_random_operations",
         {"smp": "1",
          "fw_cfg": {"suites": "virtual_random", "operations": "1000000", "deadline": "0"}},
         telling("# random-operations: 1000000\r\n"), deadline=300),
    Case("machine_with_ide_disk", {"bus": "ide"}),
    Case("display_none", {"display": ()}),
    Case("display_virtio_gpu", {"display": ("virtio-gpu-pci",)}),
    Case("display_ramfb", {"display": ("ramfb",)}),
    Case("display_bochs", {"display": ("bochs-display",)}),
    Case("display_behind_one_without_memory", {"display": ("virtio-gpu-pci", "VGA")},
         telling('"form":"bgrx"', passes)),
    Case("serial_none", {"serial": False}, silent_pass),
    Case("usb_stick", prepare=on_stick),
    Case("debugger_walks_our_tables", script=debugger),
    Case("screenshot_shows_the_run", script=picture),
    Case("secure_boot_signed", prepare=signed),
    Case("secure_boot_unsigned_is_refused", expect=is_denied, prepare=with_secure_boot,
         until=denied),
    Case("death_by_write_to_nowhere", dies("fault"), bails_out),
    Case("death_by_fault_on_another_processor", dies("other"), bails_out_on_another),
    Case("death_by_call_into_data", dies("execute"), bails_out),
    Case("death_by_undefined_behaviour", dies("undefined"), bails_out),
    Case("death_by_stack_overflow", dies("stack"), bails_out),
    Case("death_by_double_fault", dies("double"), bails_out),
    Case("death_by_triple_fault", dies("triple"), triple_fault_is_caught),
    Case("death_by_too_little_memory", dies("memory"), clear_refusal),
    Case("death_by_failed_test", dies("fail"), one_test_fails),
    Case("death_by_hang", dies("hang", deadline="3"), one_test_fails),
    Case("death_by_hang_without_interrupts", dies("hang-off", deadline="3"), deadline_is_caught,
         deadline=30),
    Case("death_by_short_run", dies("plan"), plan_is_caught),
]


# ---- running it ----


def settings_of(case, image):
    settings = qemu.Settings(image=image)
    for name, value in case.machine.items():
        setattr(settings, name, value)
    settings.fw_cfg = dict(settings.fw_cfg)
    return settings


@dataclass
class Outcome:
    """How a case ended: passed, failed with details, or skipped with a reason."""

    passed: bool
    details: list = field(default_factory=list)
    skip: str = None


def boot(case, settings):
    """Boots once; after a refusal waits a little, to see that nothing more comes."""
    return qemu.run(settings, case.deadline, until=case.until, linger=2)


def run_script(case, image, folder):
    wrong = case.script(image, folder)
    expected = case.script.__doc__.splitlines()[0]
    return Outcome(wrong is None, [f"expected: {expected}", f"found: {wrong}"])


def run_boot(case, image, folder, logs):
    settings = settings_of(case, image)
    if case.prepare:
        case.prepare(settings, folder)
    result = boot(case, settings)
    path = os.path.join(logs, case.name + ".log")
    with open(path, "wb") as file:
        file.write(result.serial)
    report = reports.parse(result.serial)
    wrong = case.expect(result, report)
    expected = case.expect.__doc__.splitlines()[0]
    return Outcome(wrong is None, [
        f"expected: {expected}", f"found: {wrong}",
        f"ended: {result.describe()} after {result.duration:.1f} s", f"serial log: {path}",
        *failures_of(report), *last_lines(result.serial)])


def run_case(case, image, logs):
    """One case from beginning to end, in a folder of its own."""
    try:
        with tempfile.TemporaryDirectory(prefix="pagestage-") as folder:
            if case.script:
                return run_script(case, image, folder)
            return run_boot(case, image, folder, logs)
    except CannotRun as reason:
        return Outcome(True, skip=str(reason))
    except (qemu.QemuError, usb.UsbError, ovmf.NotFound, OSError) as error:
        return Outcome(False, [f"{type(error).__name__}: {error}"])


def failures_of(report):
    """The first failed tests with what they say of themselves."""
    return [f"failed: {test.name}: {test.message}" for test in report.failed[:5]]


def last_lines(serial):
    lines = [reports.clean(line) for line in serial.split(b"\n")]
    return ["serial: " + line for line in [line for line in lines if line.strip()][-8:]]


def run_all(cases, arguments):
    """Boots the cases a few at a time; prints them in the table's order."""
    logs = os.path.join(qemu.build_folder(), "boot")
    os.makedirs(logs, exist_ok=True)
    writer = tap.Writer(len(cases))
    # Ends this process's machines when one of its threads fails in a way nobody expected.
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(run_case, case, arguments.image, logs) for case in cases]
        try:
            for case, job in zip(cases, jobs):
                outcome = job.result()
                writer.point("boot/" + case.name, outcome.passed, outcome.details, outcome.skip)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            qemu.kill_all()
            raise
    return writer.finish()


def main():
    parser = argparse.ArgumentParser(description="Boot the image on a matrix of machines.")
    parser.add_argument("cases", nargs="*", metavar="PATTERN", help="only these, such as 'cpu_*'")
    parser.add_argument("--image", default=os.path.join(qemu.build_folder(), "BOOTX64.EFI"))
    parser.add_argument("-j", "--jobs", type=int, default=2, help="boots at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    arguments = parser.parse_args()
    cases = [case for case in CASES if not arguments.cases
             or any(fnmatch.fnmatch(case.name, pattern) for pattern in arguments.cases)]
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not cases or not os.path.isfile(arguments.image):
        print(f"matrix: no such case, or no image {arguments.image}", file=sys.stderr)
        return 2
    qemu.exit_on_signals()
    return 0 if run_all(cases, arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
