#!/usr/bin/env python3
"""Reads the report that the image prints on the serial line, and decides whether the run passed.

The stream, with CRLF or LF:

    # pagestage begin: {"format":1,"version":"..."}
    TAP version 13
    1..N
    # key: value                    facts; a value that opens with { or [ is JSON
    ok 1 - suite/case
    ok 2 - suite/case # SKIP reason
    not ok 3 - suite/case
      ---
      message: "..."
      ...
    Bail out! reason                only from the fault reporter
    # pagestage end: {"plan":N,"passed":P,"failed":F,"skipped":S,"lines":L,"crc32":"xxxxxxxx"}

`lines` and `crc32` (as in zlib) cover the lines between the markers, each without CR and with LF.
Whatever the firmware printed before the begin marker is not part of it. A run has passed only when
QEMU's status says so and nothing at all is wrong with the stream.
"""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import dataclass, field

FORMAT = 1
STATUS_PASSED = 33
STATUS_FAILED = 35
PROBLEMS_SHOWN = 4
BEGIN = "# pagestage begin: "
END = "# pagestage end: "
REFUSAL = "Pagestage cannot run here: "  # printed through the firmware, before there is a report
VERSION = "TAP version 13"

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\^_])")
PLAN = re.compile(r"1\.\.(\d+)")
POINT = re.compile(r"(not )?ok (\d+) - ([A-Za-z0-9_.,:=+/-]+)(?: # (\S+)(?: (.*))?)?")
FACT = re.compile(r"# ([A-Za-z0-9_.-]+): (.*)")
YAML_VALUE = re.compile(r"([A-Za-z0-9_.-]+): ?(.*)")
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


def clean(raw):
    """One line of the wire as text, without carriage returns and terminal control."""
    text = raw.replace(b"\r", b"").decode("utf-8", "replace")
    return ESCAPES.sub("", text).replace("\x1b", "").replace("\0", "")


@dataclass
class Test:
    """One test point, with what the YAML block below it says."""

    number: int
    name: str
    passed: bool
    skipped: str = None  # the reason
    diagnosis: list = field(default_factory=list)  # the block's lines, without its indent

    @property
    def suite(self):
        return self.name.split("/", 1)[0] if "/" in self.name else "pagestage"

    @property
    def case(self):
        return self.name.split("/", 1)[-1]

    def values(self):
        """The block's `key: value` lines; a literal (`key: |`) is its lines together."""
        result = {}
        key = None
        for line in self.diagnosis:
            match = YAML_VALUE.fullmatch(line)
            if match:
                key, value = match.groups()
                result[key] = "" if value == "|" else value.strip('"')
            elif key is not None and line.startswith("  "):
                result[key] += ("\n" if result[key] else "") + line[2:]
        return result

    @property
    def message(self):
        """Why it failed, in one line."""
        values = self.values()
        for key in ("message", "died", "notes"):
            if values.get(key):
                return values[key].splitlines()[0]
        return next(iter(self.diagnosis), f"{self.name} failed")


@dataclass
class Report:
    """What a stream says, and everything that is wrong with it."""

    begin: dict = None
    end: dict = None
    plan: int = None
    tests: list = field(default_factory=list)
    facts: list = field(default_factory=list)  # (key, value), in order
    bail_out: str = None
    refusal: str = None  # why the image gave the machine back to the firmware
    problems: list = field(default_factory=list)
    lines: list = field(default_factory=list)  # the cleaned lines between the markers

    @property
    def failed(self):
        return [t for t in self.tests if not t.passed]

    @property
    def skipped(self):
        return [t for t in self.tests if t.passed and t.skipped is not None]

    @property
    def succeeded(self):
        return [t for t in self.tests if t.passed and t.skipped is None]

    @property
    def complete(self):
        """True when every line that was sent has arrived, whatever it says."""
        return self.end is not None and not self.problems

    def all_facts(self, key):
        return [value for name, value in self.facts if name == key]

    def fact(self, key):
        """The first fact of that name, or None."""
        return next(iter(self.all_facts(key)), None)


class Parser:
    """Takes the stream line by line; keeps the state between the markers."""

    def __init__(self):
        self.report = Report()
        self.crc = 0
        self.state = self.before
        self.names = set()

    def problem(self, text):
        self.report.problems.append(text)

    def marker(self, text, prefix):
        try:
            value = json.loads(text[len(prefix):])
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self.problem(f"the line '{text}' is not readable")
            return {}
        return value

    def before(self, text, _raw):
        if text.startswith(BEGIN):
            self.report.begin = self.marker(text, BEGIN)
            if self.report.begin.get("format") != FORMAT:
                self.problem(f"the report's format is {self.report.begin.get('format')}, "
                             f"not {FORMAT}")
            self.state = self.version
        elif text.startswith(END):
            self.problem("an end marker came without a begin marker")
        elif text.startswith(REFUSAL):
            self.report.refusal = text[len(REFUSAL):]

    def version(self, text, raw):
        self.state = self.body
        if text != VERSION:
            self.problem(f"the report does not start with '{VERSION}'")
            self.body(text, raw)
        else:
            self.count(text, raw)

    def count(self, text, raw):
        self.crc = zlib.crc32(raw + b"\n", self.crc)
        self.report.lines.append(text)

    def body(self, text, raw):
        if text.startswith(END):
            self.report.end = self.marker(text, END)
            self.state = self.after
            return
        self.count(text, raw)
        if text.startswith(BEGIN):
            self.problem("the report begins a second time: the machine started again")
        elif text.startswith("Bail out!"):
            self.bail_out(text)
        elif text == "  ---":
            self.open_block()
        elif text.startswith("1.."):
            self.plan(text)
        elif text.startswith(("ok", "not ok")):
            self.point(text)
        elif text.startswith("#"):
            self.fact(text)
        elif text:
            self.problem(f"unknown line: '{text}'")

    def bail_out(self, text):
        if self.report.bail_out is None:
            self.report.bail_out = text[len("Bail out!"):].strip() or "(no reason)"

    def open_block(self):
        if not self.report.tests or self.report.tests[-1].passed:
            self.problem("a YAML block does not stand under a 'not ok'")
        self.state = self.block

    def block(self, text, raw):
        # A fault inside a test may cut its block short.
        if text.startswith(("Bail out!", END, BEGIN)):
            self.state = self.body
            self.body(text, raw)
            return
        self.count(text, raw)
        if text == "  ...":
            self.state = self.body
        elif text.startswith("  ") and self.report.tests:
            self.report.tests[-1].diagnosis.append(text[2:])
        else:
            self.problem(f"this line breaks a YAML block: '{text}'")
            self.state = self.body

    def plan(self, text):
        match = PLAN.fullmatch(text)
        if not match:
            self.problem(f"unknown line: '{text}'")
        elif self.report.plan is not None:
            self.problem("the plan comes twice")
        elif self.report.tests:
            self.problem("the plan comes after the first test")
        else:
            self.report.plan = int(match.group(1))

    def point(self, text):
        match = POINT.fullmatch(text)
        if not match:
            self.problem(f"unknown line: '{text}'")
            return
        bad, number, name, directive, reason = match.groups()
        test = Test(int(number), name, not bad)
        if directive == "SKIP":
            test.skipped = reason or ""
            if not reason or bad:
                self.problem(f"{name}: a skipped test is 'ok' and gives its reason")
        elif directive is not None:
            self.problem(f"{name}: unknown directive '{directive}'")
        if test.number != len(self.report.tests) + 1:
            self.problem(f"test {test.number} ({name}) comes where test "
                         f"{len(self.report.tests) + 1} should")
        if name in self.names:
            self.problem(f"two tests are called {name}")
        self.names.add(name)
        self.report.tests.append(test)

    def fact(self, text):
        match = FACT.fullmatch(text)
        if not match:
            return  # a remark
        key, value = match.groups()
        if value[:1] in ("{", "["):
            try:
                value = json.loads(value)
            except ValueError:
                self.problem(f"the fact '{key}' is not valid JSON")
        self.report.facts.append((key, value))

    def after(self, text, _raw):
        if text.startswith("Bail out!"):
            self.bail_out(text)
            self.problem("the machine faulted after the report had ended")
        elif text.startswith((BEGIN, END)):
            self.problem("the report begins or ends a second time")

    def finish(self, rest):
        """Called once at the end, with what followed the last line end; returns the report."""
        if rest and self.state != self.before and self.state != self.after:
            self.problem(f"the stream stops inside a line: '{clean(rest)}'")
        if self.report.refusal is not None:
            self.problem(f"the image cannot run here: {self.report.refusal}")
        elif self.report.begin is None:
            self.problem("no report: its begin marker is not on the serial line")
        elif self.report.end is None:
            last = self.report.tests[-1].name if self.report.tests else "the first test"
            where = "after" if self.report.tests else "before"
            self.problem(f"no end marker: the report stops {where} {last}")
        else:
            self.check_end()
        if self.report.begin is not None:
            self.check_plan()
        return self.report

    def check_end(self):
        report = self.report
        truth = {"plan": report.plan, "passed": len(report.succeeded),
                 "failed": len(report.failed), "skipped": len(report.skipped),
                 "lines": len(report.lines), "crc32": f"{self.crc:08x}"}
        for key, value in truth.items():
            if report.end.get(key) != value:
                self.problem(f"the end marker says {key} {report.end.get(key)}, "
                             f"but the stream has {value}")

    def check_plan(self):
        report = self.report
        if report.plan is None:
            self.problem("there is no plan")
        elif report.plan != len(report.tests):
            self.problem(f"the plan says {report.plan} tests, but {len(report.tests)} reported")


def refused(serial):
    """True once the image has said that it gives the machine back."""
    return REFUSAL.encode() in serial and serial.rfind(b"\n") > serial.find(REFUSAL.encode())


def parse(serial):
    """The Report in the bytes of a serial log."""
    parser = Parser()
    *lines, rest = serial.split(b"\n")
    for line in lines:
        raw = line.replace(b"\r", b"")
        parser.state(clean(raw), raw)
    return parser.finish(rest)


@dataclass
class Verdict:
    """Whether a run passed, and why not: tests that failed, and faults of the run itself."""

    failures: str = None
    faults: list = field(default_factory=list)
    counts: str = ""

    @property
    def passed(self):
        return self.failures is None and not self.faults

    def __str__(self):
        why = ([self.failures] if self.failures else []) + self.faults
        return f"{'PASSED' if self.passed else 'FAILED: ' + '; '.join(why)} ({self.counts})"


def name_failures(report):
    if not report.failed:
        return None
    names = ", ".join(test.name for test in report.failed[:5])
    more = len(report.failed) - 5
    return (f"{len(report.failed)} of {len(report.tests)} tests failed: {names}"
            + (f" and {more} more" if more > 0 else ""))


def judge(report, status=STATUS_PASSED, ended=None):
    """The Verdict on a stream and QEMU's exit status; `ended` says in words how QEMU ended."""
    verdict = Verdict(name_failures(report))
    if report.bail_out is not None:
        verdict.faults.append(f"Bail out! {report.bail_out}")
    expected = STATUS_FAILED if report.failed or report.bail_out else STATUS_PASSED
    if status != expected:
        verdict.faults.append((ended or f"QEMU's status is {status}") + f", not {expected}")
    verdict.faults += report.problems[:PROBLEMS_SHOWN]
    hidden = len(report.problems) - PROBLEMS_SHOWN
    if hidden > 0:
        verdict.faults.append(f"{hidden} more problems of the stream")
    if report.complete and not report.succeeded and not report.failed:
        verdict.faults.append("not one test has run")
    verdict.counts = (f"{len(report.succeeded)} passed, {len(report.failed)} failed, "
                      f"{len(report.skipped)} skipped")
    return verdict


def to_tap(report, verdict):
    """The stream for `prove`, version line first. It is never greener than the verdict."""
    lines = [VERSION]
    if report.begin is not None:
        lines.append(BEGIN + json.dumps(report.begin))
    lines += [line for line in report.lines if line != VERSION]
    if report.end is not None:
        lines.append(END + json.dumps(report.end))
    if verdict.faults and report.bail_out is None:
        lines.append("Bail out! " + verdict.faults[0])
    return "\n".join(lines) + "\n"


def add_suite(root, name, tests):
    failed = sum(not t.passed for t in tests)
    skipped = sum(t.passed and t.skipped is not None for t in tests)
    suite = ElementTree.SubElement(root, "testsuite", name=name, tests=str(len(tests)),
                                   failures=str(failed), errors="0", skipped=str(skipped))
    for test in tests:
        case = ElementTree.SubElement(suite, "testcase", classname=test.suite, name=test.case)
        if not test.passed:
            child = ElementTree.SubElement(case, "failure", message=xml_text(test.message))
            child.text = xml_text("\n".join(test.diagnosis))
        elif test.skipped is not None:
            ElementTree.SubElement(case, "skipped", message=xml_text(test.skipped))
    return suite


def xml_text(text):
    """Text without the characters that XML cannot hold."""
    return NOT_XML.sub("?", text)


def to_junit(report, verdict):
    """JUnit XML: one testsuite a suite, and one for the run itself, so that a run that did not
    finish shows as a failure and not as fewer tests."""
    root = ElementTree.Element("testsuites", name="pagestage")
    suites = {}
    for test in report.tests:
        suites.setdefault(test.suite, []).append(test)
    for name, tests in suites.items():
        add_suite(root, name, tests)
    run = Test(0, "run/report_is_complete", not verdict.faults, None, verdict.faults)
    suite = add_suite(root, "run", [run])
    properties = ElementTree.Element("properties")
    for key, value in report.facts:
        text = value if isinstance(value, str) else json.dumps(value)
        ElementTree.SubElement(properties, "property", name=key, value=xml_text(text))
    suite.insert(0, properties)
    root.set("tests", str(len(report.tests) + 1))
    root.set("failures", str(len(report.failed) + bool(verdict.faults)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


class LiveView:
    """Shows a stream as it comes: only the report, each line once it is whole."""

    def __init__(self, write, width=None):
        self.write = write
        self.width = width  # facts are cut to it; results never
        self.rest = b""
        self.on = False

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            text = clean(line)
            self.on = self.on or text.startswith(BEGIN)
            if self.on:
                self.write(self.cut(text) + "\n")

    def cut(self, text):
        if self.width and len(text) > self.width and text.startswith("# "):
            return text[:max(self.width - 3, 1)] + "..."
        return text


def write_files(report, verdict, tap=None, junit=None):
    for path, convert in ((tap, to_tap), (junit, to_junit)):
        if path:
            with open(path, "w", encoding="utf-8", errors="replace") as file:
                file.write(convert(report, verdict))


def main():
    parser = argparse.ArgumentParser(description="Judge and convert a report of Pagestage.")
    parser.add_argument("log", help="what came over the serial line")
    parser.add_argument("--status", type=int, help="QEMU's exit status; without it the stream "
                        "alone is judged, as for a log of a real machine")
    parser.add_argument("--tap", metavar="FILE", help="write the cleaned stream for prove")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    arguments = parser.parse_args()
    try:
        with open(arguments.log, "rb") as file:
            report = parse(file.read())
    except OSError as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    status = arguments.status
    if status is None:
        status = STATUS_FAILED if report.failed or report.bail_out else STATUS_PASSED
    verdict = judge(report, status)
    write_files(report, verdict, arguments.tap, arguments.junit)
    print(f"pagestage: {verdict}")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
