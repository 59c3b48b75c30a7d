#!/usr/bin/env python3
"""Count instructions per operation with valgrind's callgrind. Repeatable, unlike times.

usage: instructions.py BENCHMARKS [--only SUITE]...     (started by `make bench-instructions`)

Prints a table; one JSON object a line goes to build/bench_instructions.jsonl.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / (os.environ.get("BUILD") or "build")
FIELDS = (("ours", "lifo", "buddy", "bitmap", "floor"), ("ours", "walker", "ident", "floor"),
          ("ours", "binary", "nodes"), ("ours", "tree", "bitmap", "first", "best"))


def count(program, arguments):
    """Every dump is one batch, named `phase|candidate|operations` by the program."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
                        program, "--instructions", *arguments],
                       check=True, capture_output=True, stdin=subprocess.DEVNULL)
        dumps = sorted(pathlib.Path(folder).iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for path in dumps:
            text = path.read_text()
            name = re.search(r"^desc: Trigger: Client Request: (.*)\|(.*)\|(\d+)$", text, re.M)
            total = re.search(r"^totals: (\d+)", text, re.M)
            if name and total:
                yield name[1], name[2], int(total[1]) / int(name[3])


def main():
    if not shutil.which("valgrind"):
        sys.exit("instructions.py: valgrind is not installed")
    phases = {}
    for phase, candidate, instructions in count(sys.argv[1], sys.argv[2:]):
        phases.setdefault(phase, {})[candidate] = round(instructions, 2)
    if not phases:
        sys.exit("instructions.py: nothing was counted; valgrind's headers were not there?")
    print("# instructions per operation; frame_pool: 256 MiB of frames, half of them taken;")
    print("# range_tree: 10k ranges; page_table: per leaf; virtual: a pair;")
    print("# a string instruction counts once for each word")
    field = ()
    with open(BUILD / "bench_instructions.jsonl", "w") as out:
        for phase, counts in phases.items():
            if not set(counts) <= set(field):
                field = next(f for f in FIELDS if set(counts) <= set(f))
                print(f"\n{'phase':38}" + "".join(f"{column:>10}" for column in field))
            cells = (f"{counts[c]:10.1f}" if c in counts else f"{'-':>10}" for c in field)
            print(f"{phase:38}" + "".join(cells))
            out.write(json.dumps({"phase": phase, "instructions": counts}) + "\n")


main()
