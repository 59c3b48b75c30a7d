#!/usr/bin/env python3
"""Apply each seeded defect and check that the tests it names notice it.

A defect is a patch in this folder. Lines before the diff say what it is:

    defect: an unmapped page keeps its translation
    caught-by: test-host

`caught-by` is the target of the Makefile, itself a part of `make test`, that must fail. All
of them first pass on the unchanged copy, so a defect cannot look caught because something
else is broken. A patch that no longer applies is a failure: it tests nothing.

usage: run.py [NAME ...]    prints TAP; exit status 0 when every defect was caught
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COPY = ROOT / "build" / "mutants"
DEADLINE = 240


def read(patch):
    """The header lines of a patch as a dictionary."""
    head = {}
    for line in patch.read_text().splitlines():
        match = re.fullmatch(r"([a-z-]+): (.+)", line)
        if line.startswith(("diff ", "--- ")):
            break
        if match:
            head[match[1]] = match[2]
    return head


def make_copy():
    """The tracked files as they are now; what was built there before stays for make."""
    COPY.mkdir(parents=True, exist_ok=True)
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    names = [os.fsdecode(name) for name in names if name]
    for name in names:
        source, target = ROOT / name, COPY / name
        if not source.is_file():
            continue
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for path in COPY.rglob("*"):
        if path.is_file() and "build" not in path.relative_to(COPY).parts[:1]:
            if str(path.relative_to(COPY)) not in names and not path.name.endswith(".EFI"):
                path.unlink()


def apply(patch, *options):
    return subprocess.run(["patch", "-p1", "--no-backup-if-mismatch", "-s", *options],
                          cwd=COPY, stdin=open(patch, "rb"), capture_output=True).returncode == 0


def run(target, log):
    """True when the target passed."""
    with open(log, "wb") as out:
        try:
            return subprocess.run(["make", target], cwd=COPY, stdout=out, stderr=out,
                                  stdin=subprocess.DEVNULL, timeout=DEADLINE).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def built(log):
    """A defect that does not compile is caught by the compiler, not by a test."""
    return b" error: " not in pathlib.Path(log).read_bytes()


def main():
    patches = sorted(p for p in HERE.glob("*.patch") if not sys.argv[1:] or p.stem in sys.argv[1:])
    heads = {patch: read(patch) for patch in patches}
    targets = sorted({head.get("caught-by", "") for head in heads.values()})
    make_copy()
    print("TAP version 13")
    print(f"1..{len(patches) + len(targets)}")
    number = failed = 0

    def report(good, name, why=""):
        nonlocal number, failed
        number += 1
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - defects/{name}{'' if good else ' # ' + why}",
              flush=True)

    for target in targets:
        good = bool(target) and run(target, COPY / "clean.log")
        report(good, f"unchanged_tree_passes_{target}", f"see {COPY / 'clean.log'}")
        if not good:
            print(f"Bail out! {target} fails without any defect")
            return 1
    for patch in patches:
        log = COPY / (patch.stem + ".log")
        start = time.monotonic()
        if not apply(patch):
            report(False, patch.stem, "the patch does not apply")
            continue
        passed = run(heads[patch]["caught-by"], log)
        apply(patch, "-R")
        if passed:
            report(False, patch.stem, f"not noticed by {heads[patch]['caught-by']}")
        else:
            report(built(log), patch.stem, "does not compile")
        print(f"# {heads[patch]['defect']}: {heads[patch]['caught-by']}, "
              f"{time.monotonic() - start:.1f} s", flush=True)
    print(f"# {len(patches)} defects, {failed} not caught")
    return 1 if failed or not patches else 0


sys.exit(main())
