#!/usr/bin/env python3
"""Rules that a machine can check: sizes, complexity, layers, format. Prints TAP.

    size        no source file past 600 lines
    functions   none past 50 lines or a cyclomatic complexity of 12 (mm/ and efi/)
    layers      mm/ includes no header of the firmware, the application or the tests, and
                include/ only itself
    globals     mm/ has no writable global or static data (read from the archive's objects)
    format      what clang-format 14 makes of it, where that is installed
    image       a PE image without writable code; see pe_check.py
    budget      the image under 256 KiB, the code of the archive under 128 KiB
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pe_check

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / (os.environ.get("BUILD") or "build")
SOURCES = sorted(p for top in ("include", "mm", "efi", "tests", "scripts")
                 for p in (ROOT / top).rglob("*") if p.suffix in (".c", ".h", ".S", ".py", ".sh"))
COMPLEXITY = 12
C_SOURCES = [p for p in SOURCES if p.suffix in (".c", ".h")]


def output(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def name(path):
    return str(path.relative_to(ROOT))


def size():
    for path in SOURCES:
        lines = len(path.read_text(errors="replace").splitlines())
        if lines > 600:
            yield f"{name(path)}: {lines} lines"


def functions():
    """Our layout makes them easy to find: a name and its parameters, then braces in column 0."""
    for path in (p for p in C_SOURCES if p.suffix == ".c" and p.parts[len(ROOT.parts)]
                 in ("mm", "efi")):
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), path.read_text(), flags=re.S)
        for found in re.finditer(r"^\w[^;{}=]*?(\w+)\([^;{}]*\)\n\{\n(.*?)^\}$", text, re.M | re.S):
            lines = found[0].count("\n") + 1
            body = re.sub(r'"(\\.|[^"\\])*"', '""', found[2])
            branches = 1 + len(re.findall(r"\b(?:if|for|while|case)\b|&&|\|\||\?", body))
            if lines > 50 or branches > COMPLEXITY:
                yield f"{name(path)}: {found[1]}: {lines} lines, complexity {branches}"


def layers():
    allowed = {"include": r"<(std\w+\.h|pagestage/\w+\.h)>",
               "mm": r"<(std\w+\.h|pagestage/\w+\.h)>|\"(hw|entry|\w+_private)\.h\""}
    for top, pattern in allowed.items():
        for path in (p for p in C_SOURCES if p.parts[len(ROOT.parts)] == top):
            for included in re.findall(r"^\s*#\s*include\s+(\S+)", path.read_text(), re.M):
                if not re.fullmatch(pattern, included):
                    yield f"{name(path)} includes {included}"


def global_data():
    for line in output("nm", "--format=sysv", str(BUILD / "libpagestage.a")).splitlines():
        fields = [field.strip() for field in line.split("|")]
        # Tables of pointers to constants are relocated once and read-only then: .data.rel.ro.
        if len(fields) == 7 and re.fullmatch(r"\.(data|bss|tdata|tbss)|\*COM\*", fields[6]):
            if fields[3] in ("OBJECT", "TLS"):
                yield fields[0]


def formatting():
    version = output("clang-format", "--version")
    if " 14." not in version:
        return
    for path in C_SOURCES:
        if name(path).startswith("efi/font."):
            continue
        formatted = output("clang-format", name(path))
        if formatted != path.read_text():
            yield name(path)


def image():
    return pe_check.check(pe_check.parse((BUILD / "BOOTX64.EFI").read_bytes()))


def budget():
    image_bytes = (BUILD / "BOOTX64.EFI").stat().st_size
    rows = output("size", str(BUILD / "libpagestage.a")).splitlines()[1:]
    code_bytes = sum(int(row.split()[0]) for row in rows)
    print(f"# image: {image_bytes} bytes; code of the archive: {code_bytes} bytes")
    if image_bytes >= 256 << 10:
        yield f"the image has {image_bytes} bytes"
    if code_bytes >= 128 << 10:
        yield f"the archive has {code_bytes} bytes of code"


CHECKS = [(size, None), (functions, None), (layers, None), (global_data, None),
          (formatting, "clang-format"), (image, None), (budget, None)]


def main():
    print(f"TAP version 13\n1..{len(CHECKS)}")
    failed = 0
    for number, (check, tool) in enumerate(CHECKS, 1):
        title = f"{number} - lint/{check.__name__}"
        if tool and not shutil.which(tool):
            print(f"ok {title} # SKIP {tool} is not installed")
            continue
        wrong = list(check())
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {title}")
        for line in wrong:
            print(f"  # {line}")
    return 1 if failed else 0


sys.exit(main())
