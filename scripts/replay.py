#!/usr/bin/env python3
"""Run a fuzz target once over its kept corpus. Prints TAP, one result a file.

usage: replay.py TARGET     (build/TARGET_fuzz over tests/fuzz/corpus/TARGET)
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    target = sys.argv[1]
    program = ROOT / (os.environ.get("BUILD") or "build") / f"{target}_fuzz"
    inputs = sorted((ROOT / "tests" / "fuzz" / "corpus" / target).iterdir())
    print(f"TAP version 13\n1..{len(inputs)}")
    failed = 0
    for number, path in enumerate(inputs, 1):
        run = subprocess.run([program, "-runs=1", path], capture_output=True, text=True,
                             errors="replace", stdin=subprocess.DEVNULL)
        failed += run.returncode != 0
        print(f"{'ok' if run.returncode == 0 else 'not ok'} {number} - fuzz/{target}/{path.name}")
        for line in run.stderr.splitlines()[-5:] if run.returncode else []:
            print(f"  # {line}")
    return 1 if failed or not inputs else 0


sys.exit(main())
