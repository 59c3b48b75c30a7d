#!/usr/bin/env python3
"""Apply each seeded defect and check that the tests it names notice it.

A defect is a patch in this folder. Lines before the diff say what it is:

    defect: an unmapped page keeps its translation
    caught-by: test-host

`caught-by` are the arguments of make, a part of `make test`, that must fail. All
of them first pass on the unchanged copy, so a defect cannot look caught because something
else is broken. A patch that no longer applies is a failure: it tests nothing.

usage: run.py [--passed] [NAME ...]    prints TAP; exit status 0 when every defect was caught

--passed: the unchanged tree has just passed all parts of `make test`, and need not again.
"""
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / (os.environ.get("BUILD") or "build")
COPY = BUILD / "mutants"
BUILT = ["image", "host", "lib", "threads", "stress", "space_1", "host_tests", "thread_tests",
         "thread_stress", "space_tests_1", "libpagestage.a", "BOOTX64.EFI", "BOOTX64.debug"]
WORKERS = 2
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


def copy_tree(worker):
    """The tracked files and what was built from them, with their times: make starts from there."""
    target = COPY / str(worker)
    shutil.rmtree(target, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "build").mkdir()
    for built in filter(lambda name: (BUILD / name).exists(), BUILT):
        subprocess.run(["cp", "-a", BUILD / built, target / "build"], check=True)
    return target


def apply(tree, patch, *options):
    # As if there were no repository around the copy.
    environment = dict(os.environ, GIT_CEILING_DIRECTORIES=str(tree.parent))
    return subprocess.run(["git", "apply", *options, patch], cwd=tree, env=environment,
                          capture_output=True).returncode == 0


def passes(tree, target, log):
    """Whether make passed; its output goes into a log."""
    environment = dict(os.environ, BUILD="build", MAKEFLAGS="")
    with open(log, "wb") as out:
        process = subprocess.Popen(["make", *target.split()], cwd=tree, stdout=out, stderr=out,
                                   stdin=subprocess.DEVNULL, env=environment,
                                   start_new_session=True)
        try:
            return process.wait(DEADLINE) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def try_unchanged(tree, target):
    log = COPY / (re.sub(r"\W+", "_", target) + ".log")
    try:
        good = passes(tree, target, log)
    except subprocess.TimeoutExpired:
        good = False
    return f"unchanged_tree_passes {target}", [] if good else [f"see {log}"]


def try_defect(tree, patch):
    """(name, what is wrong): a defect that does not compile is caught by no test."""
    head, log = read(patch), COPY / (patch.stem + ".log")
    if not apply(tree, patch):
        return patch.stem, ["the patch does not apply"]
    try:
        noticed = not passes(tree, head["caught-by"], log)
    except subprocess.TimeoutExpired:
        return patch.stem, [f"{head['caught-by']} did not end in {DEADLINE} s"]
    finally:
        apply(tree, patch, "-R")
    if not noticed:
        return patch.stem, [f"not noticed by {head['caught-by']}: {head['defect']}"]
    broken = re.search(rb"\d: (fatal )?error: ", log.read_bytes())
    return patch.stem, ["does not compile"] if broken else []


def main():
    passed = "--passed" in sys.argv[1:]
    names = [name for name in sys.argv[1:] if name != "--passed"]
    patches = sorted(p for p in HERE.glob("*.patch") if not names or p.stem in names)
    targets = [] if passed else sorted({read(patch)["caught-by"] for patch in patches})
    trees = queue.Queue()
    for worker in range(WORKERS):
        trees.put(copy_tree(worker))

    def job(function, subject):
        tree = trees.get()
        try:
            return function(tree, subject)
        finally:
            trees.put(tree)

    jobs = [(try_unchanged, t) for t in targets] + [(try_defect, p) for p in patches]
    print(f"TAP version 13\n1..{len(jobs)}")
    failed = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        results = pool.map(lambda one: job(*one), jobs)
        for number, (name, wrong) in enumerate(results, 1):
            failed += bool(wrong)
            print(f"{'not ok' if wrong else 'ok'} {number} - defects/{name}"
                  + "".join(f" # {why}" for why in wrong), flush=True)
    return 1 if failed or not patches else 0


sys.exit(main())
