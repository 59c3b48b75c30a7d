#!/usr/bin/env python3
"""Run fuzz targets once over their kept corpora. Prints TAP, one result a file.

usage: replay.py TARGET ...     (build/TARGET_fuzz over tests/fuzz/corpus/TARGET)
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / (os.environ.get("BUILD") or "build")


def replay(target, path):
    return subprocess.run([BUILD / f"{target}_fuzz", "-runs=1", path], capture_output=True,
                          text=True, errors="replace", stdin=subprocess.DEVNULL)


def main():
    corpora = {target: sorted((ROOT / "tests" / "fuzz" / "corpus" / target).iterdir())
               for target in sys.argv[1:]}
    inputs = [(target, path) for target, paths in corpora.items() for path in paths]
    print(f"TAP version 13\n1..{len(inputs)}")
    failed = 0
    for number, (target, path) in enumerate(inputs, 1):
        run = replay(target, path)
        failed += run.returncode != 0
        print(f"{'ok' if run.returncode == 0 else 'not ok'} {number} - fuzz/{target}/{path.name}")
        for line in run.stderr.splitlines()[-5:] if run.returncode else []:
            print(f"  # {line}")
    return 0 if corpora and all(corpora.values()) and not failed else 1


sys.exit(main())
