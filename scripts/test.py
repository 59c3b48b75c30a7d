#!/usr/bin/env python3
"""Run parts of the test suite, show what failed, and count.

usage: test.py NAME=COMMAND ...

Each command writes TAP. Its whole output goes to build/test/NAME.tap; what is not ok is
shown at once. A command that ends badly without a failed test, or whose plan and tests
differ, is one failure more. The last line counts, as `N passed, N failed, N skipped`.

Parts of one thread run two at a time; those that use all processors by themselves, alone.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / (os.environ.get("BUILD") or "build") / "test"
DEADLINE = 600  # seconds for one part: nothing here may hang for ever
ALONE = {"threads", "stress", "scripts", "boot", "audit", "mutants"}
RESULT = re.compile(r"(not )?ok\b\s*(\d+)?(?:\s*-?\s*([^#]*))?(?:#\s*(.*))?")


class Part:
    """One command and what its TAP says."""

    def __init__(self, name, command):
        self.name, self.command = name, command
        self.passed = self.failed = self.skipped = 0
        self.plan = None
        self.bailed = False

    def take(self, line):
        plan = re.fullmatch(r"1\.\.(\d+)", line)
        result = RESULT.fullmatch(line)
        if plan:
            self.plan = int(plan[1])
        elif line.startswith("Bail out!"):
            self.bailed = True
            print(f"  {self.name}: {line}", flush=True)
        elif result and result[1]:
            self.failed += 1
            print(f"  {self.name}: {line}", flush=True)
        elif result and (result[4] or "").upper().startswith("SKIP"):
            self.skipped += 1
        elif result:
            self.passed += 1

    def run(self):
        start = time.monotonic()
        print(f"== {self.name}", flush=True)
        log = OUT / f"{self.name}.tap"
        with open(log, "w", encoding="utf-8") as out:
            process = subprocess.Popen(self.command, shell=True, cwd=ROOT, text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       errors="replace", start_new_session=True)
            end = threading.Timer(DEADLINE, os.killpg, [process.pid, signal.SIGKILL])
            end.start()
            for line in process.stdout:
                out.write(line)
                self.take(line.rstrip("\r\n"))
            status = process.wait()
            end.cancel()
        self.judge(status, log)
        print(f"{self.name}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped "
              f"in {time.monotonic() - start:.0f} s", flush=True)

    def judge(self, status, log):
        """What no single line said."""
        why = None
        if self.bailed:
            why = "bailed out"
        elif self.plan is None or self.plan != self.passed + self.failed + self.skipped:
            why = f"planned {self.plan} tests, ran {self.passed + self.failed + self.skipped}"
        elif status != 0 and self.failed == 0:
            why = f"ended with status {status}"
        if why:
            self.failed += 1
            print(f"  not ok - {self.name} {why}, see {log}", flush=True)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    parts = [Part(*argument.split("=", 1)) for argument in sys.argv[1:]]
    for alone, group in groupby(parts, lambda part: part.name in ALONE):
        with ThreadPoolExecutor(1 if alone else 2) as pool:
            list(pool.map(Part.run, group))
    passed, failed, skipped = (sum(getattr(part, what) for part in parts)
                               for what in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
