#!/usr/bin/env python3
"""How much of some parts of the library the host's tests reach. Prints TAP, one result a file.

usage: coverage.py PROGRAM PART OF A NAME [-PART OF A NAME ...] [+ PROGRAM ...]

The parts are the frame pool, the range tree, the address arena, the page tables and the virtual
allocator with its cells, with what these have in headers; the programs were built with their
sources counted. Each is run for the cases whose names contain the part, and none of those behind a
minus: what random work reaches, nobody has stated.
A file fails when one of its functions is never called, or when a branch never goes one of its two
ways, unless a comment on that line, or right before the statement, says why that cannot be:

    if (line->free == 0) /* defensive: the caller has looked */
        return PS_NONE;

A label of a switch is to be reached; that it is also passed over is not asked for. Nor is that
breach() or ps_check_breach() is true: they never are.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / (os.environ.get("BUILD") or "build") / "coverage"
COV = os.environ.get("LLVM_COV") or "llvm-cov"
PROFDATA = os.environ.get("LLVM_PROFDATA") or "llvm-profdata"
PARTS = ("mm/frame_pool*", "mm/range_tree*", "mm/address_arena*", "mm/page_table*",
         "mm/cache_types*", "mm/tlb*", "mm/cells*", "mm/virtual*", "mm/x86_64/entry*")
DEADLINE = 120  # seconds for one program
BRANCH = re.compile(r"\s*\|\s+Branch \((\d+):(\d+)\): \[(?:True: (\S+), False: (\S+)|Folded.*)\]")
HEADING = re.compile(r"(/\S+):")
REACHED = re.compile(r"case\b|default\b|(ps_check_)?breach\(")


def wanted(program, part, *without):
    """The full names of the cases to run."""
    names = subprocess.run([program, "--list", part], check=True, capture_output=True, text=True,
                           stdin=subprocess.DEVNULL,
                           env=dict(os.environ, LLVM_PROFILE_FILE=os.devnull)).stdout.split()
    return [name for name in names if not any(word[1:] in name for word in without)]


def run(programs):
    """Run the cases: whether they passed, and the file with the counts."""
    good, raw = True, []
    for index, words in enumerate(programs):
        raw.append(OUT / f"{index}.profraw")
        raw[-1].unlink(missing_ok=True)
        log = OUT / f"{index}.tap"
        with open(log, "wb") as out:
            done = subprocess.run([words[0], *wanted(*words)], stdout=out, stderr=out,
                                  timeout=DEADLINE, stdin=subprocess.DEVNULL, check=False,
                                  env=dict(os.environ, LLVM_PROFILE_FILE=str(raw[-1])))
        if done.returncode != 0:
            print(f"# {words[0]} ended with status {done.returncode}, see {log}")
            good = False
    subprocess.run([PROFDATA, "merge", "-o", OUT / "counts.profdata", *raw], check=True)
    return good, OUT / "counts.profdata"


def ask(what, counts, programs, *options):
    objects = [word for words in programs for word in ("-object", words[0])][1:]
    return subprocess.run([COV, what, *options, f"-instr-profile={counts}", *objects], check=True,
                          capture_output=True, text=True, cwd=ROOT).stdout


def branches(text):
    """path -> (line, column) -> [taken, not taken], summed over all copies of the code.

    Those that the compiler decides, because the condition is a constant, are left out.
    """
    found, path = {}, None
    for row in text.splitlines():
        heading, branch = HEADING.fullmatch(row), BRANCH.fullmatch(row)
        if heading:
            path = heading[1]
        elif branch and branch[3] is not None:
            counts = found.setdefault(path, {}).setdefault((int(branch[1]), int(branch[2])), [0, 0])
            counts[0] += number(branch[3])
            counts[1] += number(branch[4])
    return found


def number(text):
    """llvm-cov writes 1.50k; that it is not 0 is what matters."""
    return float(text.rstrip("kMGT"))


def uncalled(data):
    """path -> [(line, name)] of functions of which no copy was called."""
    calls = {}
    for function in data["functions"]:
        key = (function["filenames"][0], function["regions"][0][0],
               function["name"].split(":")[-1])
        calls[key] = calls.get(key, 0) + function["count"]
    found = {}
    for (path, line, name), count in calls.items():
        if count == 0:
            found.setdefault(path, []).append((line, name))
    return found


def reason(source, line):
    """Whether the statement that a line (from 1) belongs to is marked, there or right before it."""
    first = line - 1
    while first > 0 and not re.search(r"([;{}:]|\*/)\s*$|^\s*$|^#", source[first - 1]):
        first -= 1
    above = first - 1
    if above >= 0 and source[above].rstrip().endswith("*/"):
        while above > 0 and "/*" not in source[above]:
            above -= 1
        if re.match(r"\s*/\*", source[above]):
            first = above
    return any("defensive:" in text for text in source[first:line])


class File:
    """What is known of one source, and what is wrong with it."""

    def __init__(self, path, lines, found, functions):
        self.name = str(pathlib.Path(path).relative_to(ROOT))
        self.lines = lines
        self.source = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        self.ways = self.covered = self.excused = 0
        self.wrong = [f"{self.name}:{line}: {function} is never called"
                      for line, function in sorted(functions)]
        for (line, column), counts in sorted(found.items()):
            self.judge(line, column, counts)

    def judge(self, line, column, counts):
        if REACHED.match(self.source[line - 1][column - 1:]):
            ways = {"reached": sum(counts)}
        else:
            ways = {"true": counts[0], "false": counts[1]}
        never = [way for way, count in ways.items() if count == 0]
        self.ways += len(ways)
        self.covered += len(ways) - len(never)
        if never and reason(self.source, line):
            self.excused += len(never)
        elif never:
            self.wrong.append(f"{self.name}:{line}:{column}: never {' or '.join(never)}: "
                              f"{self.source[line - 1].strip()}")

    def summary(self):
        return (f"lines {self.lines['covered']}/{self.lines['count']}, "
                f"branches {self.covered}/{self.ways}"
                + (f", {self.excused} defensive" if self.excused else ""))


def files(counts, programs):
    exported = json.loads(ask("export", counts, programs, "-skip-expansions"))["data"][0]
    found = branches(ask("show", counts, programs, "-show-branches=count",
                         "-show-instantiations=false", "-use-color=0"))
    functions = uncalled(exported)
    for entry in sorted(exported["files"], key=lambda entry: entry["filename"]):
        path = entry["filename"]
        if any(pathlib.Path(path).match(f"{part}.[ch]") for part in PARTS):
            yield File(path, entry["summary"]["lines"], found.get(path, {}),
                       functions.get(path, []))


def main():
    programs = [group.split("\0") for group in "\0".join(sys.argv[1:]).split("\0+\0")]
    good, counts = run(programs)
    listed = list(files(counts, programs))
    print(f"TAP version 13\n1..{len(listed) + 1}")
    print(f"{'ok' if good else 'not ok'} 1 - coverage/the_cases_pass")
    for index, file in enumerate(listed, 2):
        good = good and not file.wrong
        print(f"{'not ok' if file.wrong else 'ok'} {index} - coverage/{file.name}")
        for line in [file.summary(), *file.wrong]:
            print(f"  # {line}")
    covered, ways, excused = (sum(getattr(file, what) for file in listed)
                              for what in ("covered", "ways", "excused"))
    print(f"# branches: {covered} of {ways} ways, {excused} defensive")
    return 0 if good and listed else 1


sys.exit(main())
