#!/usr/bin/env python3
"""Look at the live page tables from outside and compare them with what the image says of them.

The image runs its tests, prints what it mapped, and then validates its tables for ever
(`end=watch`). This script stops the machine there and reads the tables out of guest memory,
which is a file here. Three readers of one truth must agree: the image's own report, QEMU's
`info tlb`, and the walk below. Then come the rules that hold in every table, and at last one
bit is flipped from outside: the image must notice.

usage: audit.py [PROCESSOR ...]    prints TAP; exit status 0 when all holds
"""
import json
import mmap
import os
import pathlib
import re
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import qemu  # noqa: E402

MEMORY = 512 << 20
DEADLINE = 90
PRESENT, WRITE, LARGE, NO_EXECUTE = 1, 2, 1 << 7, 1 << 63
FRAME = 0x000ffffffffff000
DIRECT_MAP, DIRECT_MAP_END = 0xffff800000000000, 0xffffc00000000000
PAGE_SIZES = {1: 4096, 2: 2 << 20, 3: 1 << 30}

# processor, levels of the tables, has 1 GiB leaves, how to damage the tables
MACHINES = [("qemu64", 4, False, "unused"), ("EPYC", 4, True, "writable"),
            ("max", 4, True, "reserved"), ("qemu64,-nx", 4, False, "count"),
            ("qemu64,+la57", 5, False, "unused")]


class Tap:
    """Numbered results; `fact` takes the list of what contradicts it."""

    def __init__(self):
        self.number = self.failed = 0

    def fact(self, name, wrong):
        self.number += 1
        self.failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {self.number} - audit/{name}")
        for line in list(wrong)[:5] if wrong else []:
            print(f"  # {line}")
        sys.stdout.flush()


class Walk:
    """All of the tables under one root, read out of guest memory."""

    def __init__(self, memory, root, levels):
        self.memory, self.leaves, self.tables, self.odd = memory, [], [], []
        self.top = 1 << (11 + 9 * levels)  # the highest bit of an address that a walk looks at
        self.visit(root, levels, 0)

    def visit(self, table, level, base):
        self.tables.append(table)
        for index, entry in enumerate(struct.unpack_from("<512Q", self.memory, table)):
            va = base | index << (12 + 9 * (level - 1))
            if va & self.top:
                va |= (1 << 64) - self.top
            if not entry & PRESENT:
                if entry:
                    self.odd.append(f"unused entry {index} of table {table:#x} is {entry:#x}")
            elif level == 1 or entry & LARGE:
                pa = entry & FRAME & ~(PAGE_SIZES[level] - 1)
                self.leaves.append((va, level, pa, entry, table + 8 * index))
            else:
                self.visit(entry & FRAME, level - 1, va)


def facts(serial, key):
    """The JSON objects of all lines `# key: {...}`."""
    found = re.findall(rb"^# " + key.encode() + rb": (\{.*\})\r?$", serial, re.M)
    return [json.loads(line) for line in found]


def said_by_image(serial):
    """{va: (level, pa, access, cache)} of every leaf that the report lists."""
    level_of = {"4K": 1, "2M": 2, "1G": 3}
    leaves = {}
    for one in facts(serial, "mapping"):
        level = level_of[one["leaf"]]
        size = PAGE_SIZES[level]
        for at in range(0, one["pages"] * 4096, size):
            leaves[int(one["va"], 16) + at] = (level, int(one["pa"], 16) + at, one["access"],
                                               one["cache"])
    return leaves


def tagged(serial, tag):
    """Frames that the pool's dump shows under a tag."""
    frames = set()
    for first, last in re.findall(rb"^#\s+0x([0-9a-f]+)-0x([0-9a-f]+) " + tag.encode(), serial,
                                  re.M):
        frames.update(range(int(first, 16), int(last, 16), 4096))
    return frames


def access_of(entry, nx):
    """As the image writes it. Without NX only the software bit knows what is meant."""
    executable = not entry & NO_EXECUTE if nx else bool(entry & 1 << 10)
    return "".join(["r", "w" if entry & WRITE else "-", "x" if executable else "-",
                    "u" if entry & 4 else "-", "g" if entry & 256 else "-"])


def cache_of(entry, level):
    pat = entry >> (7 if level == 1 else 12) & 1
    return ["WB", "WT", "UC-", "UC", "WP", "WC"][pat << 2 | (entry >> 4 & 1) << 1 | entry >> 3 & 1]


def compare_with_report(tap, name, walk, serial, nx):
    said = said_by_image(serial)
    seen = {va: (level, pa, access_of(entry, nx), cache_of(entry, level))
            for va, level, pa, entry, _ in walk.leaves}
    wrong = [f"{va:#x}: tables {seen.get(va)}, report {said.get(va)}"
             for va in sorted(seen.keys() | said.keys()) if seen.get(va) != said.get(va)]
    tap.fact(f"{name}/report_is_what_the_tables_hold", wrong or ([] if said else ["no mapping"]))


def compare_with_qemu(tap, name, walk, text):
    """`info tlb`: one line a leaf, flags X (no execute) G P D A C T U W."""
    lines = re.findall(r"^([0-9a-f]{16}): ([0-9a-f]{16}) (\S+)", text, re.M)
    theirs = {int(va, 16): (int(pa, 16), flags[-1] == "W", flags[0] == "X")
              for va, pa, flags in lines}
    ours = {va: (pa, bool(entry & WRITE), bool(entry & NO_EXECUTE))
            for va, _, pa, entry, _ in walk.leaves}
    wrong = [f"{va:#x}: we read {ours.get(va)}, QEMU {theirs.get(va)}"
             for va in sorted(ours.keys() | theirs.keys()) if ours.get(va) != theirs.get(va)]
    tap.fact(f"{name}/qemu_reads_the_same", wrong)


def check_rights(tap, name, walk, nx):
    if nx:
        tap.fact(f"{name}/nothing_is_writable_and_executable",
                 [f"{va:#x}" for va, _, _, entry, _ in walk.leaves
                  if entry & WRITE and not entry & NO_EXECUTE])
    writable, executable = {}, {}
    for va, level, pa, entry, _ in walk.leaves:
        for frame in range(pa, pa + PAGE_SIZES[level], 4096):
            if access_of(entry, nx)[2] == "x":
                executable[frame] = va
            if entry & WRITE:
                writable.setdefault(frame, []).append(va)
    tap.fact(f"{name}/code_has_no_writable_alias",
             [f"frame {f:#x}" for f in executable if f in writable])
    outside = {f: [va for va in vas if not DIRECT_MAP <= va < DIRECT_MAP_END]
               for f, vas in writable.items()}
    tap.fact(f"{name}/no_frame_is_writable_twice_outside_the_direct_map",
             [f"frame {f:#x} at {vas}" for f, vas in outside.items() if len(vas) > 1])


def check_shape(tap, name, walk, serial, gib, physical_bits):
    tap.fact(f"{name}/unused_entries_are_zero", walk.odd)
    tap.fact(f"{name}/page_zero_is_absent",
             [f"{va:#x}" for va, _, pa, _, _ in walk.leaves if va == 0 or pa == 0])
    tap.fact(f"{name}/no_leaf_the_processor_does_not_have",
             [f"{va:#x}" for va, level, *_ in walk.leaves if level == 3 and not gib])
    tap.fact(f"{name}/no_address_beyond_the_physical_width",
             [f"{va:#x}" for va, _, _, entry, _ in walk.leaves
              if (entry & FRAME) >> physical_bits])
    tap.fact(f"{name}/no_table_is_reached_twice",
             sorted({f"{t:#x}" for t in walk.tables if walk.tables.count(t) > 1}))
    tables = tagged(serial, "table")
    tap.fact(f"{name}/every_table_is_a_frame_of_the_pool",
             [f"{t:#x}" for t in walk.tables if t not in tables])


def check_guards(tap, name, walk, serial):
    """Around every allocation that the image lists, one page before and one behind."""
    mapped = {va for va, *_ in walk.leaves}
    live = [(int(va, 16), int(pages)) for va, pages in
            re.findall(rb"^#\s+0x([0-9a-f]{16})\s+(\d+) pages\s+\d+ bytes", serial, re.M)]
    wrong = [f"{va:#x}" for va, pages in live
             if va - 4096 in mapped or va + pages * 4096 in mapped]
    tap.fact(f"{name}/guard_pages_are_absent", wrong or ([] if live else ["no allocation"]))


def damage(memory, walk, how):
    """Change one bit of the live tables, as a stray write would."""
    code = next(leaf for leaf in walk.leaves if leaf[1] == 1 and not leaf[3] & NO_EXECUTE)
    table = walk.tables[-1]
    empty = next(i for i, e in enumerate(struct.unpack_from("<512Q", memory, table)) if not e)
    place, bit = {"unused": (table + 8 * empty, 20), "writable": (code[4], 1),
                  "reserved": (code[4], 51),
                  "count": (next(walk.tables[0] + 8 * i for i, e in
                                 enumerate(struct.unpack_from("<512Q", memory, walk.tables[0]))
                                 if e & PRESENT), 54)}[how]
    value = struct.unpack_from("<Q", memory, place)[0]
    struct.pack_into("<Q", memory, place, value ^ 1 << bit)


def audit(tap, cpu, levels, gib, how, folder):
    name = re.sub(r"\W+", "_", cpu)
    nx = "-nx" not in cpu
    ram = os.path.join(folder, name + ".ram")
    settings = qemu.Settings(
        image=os.path.join(qemu.build_folder(), "BOOTX64.EFI"), cpu=cpu, memory="512M", smp="1",
        # All suites but the last, which changes what the report has listed before.
        fw_cfg={"end": "watch", "log": "verbose", "levels": levels,
                "suites": "processor,traps,stage,frame_pool,access,page_table,virtual,runtime"},
        extra=["-object", f"memory-backend-file,id=ram,size=512M,mem-path={ram},share=on",
               "-machine", "memory-backend=ram"])
    with qemu.Machine(settings, limit=2 * DEADLINE) as machine:
        reached = machine.wait(DEADLINE * qemu.deadline_scale(), lambda s: b"# watching" in s)
        serial = machine.serial()
        tap.fact(f"{name}/image_gets_to_its_end",
                 [] if reached == "until" else [f"{reached}, {serial[-300:]}"])
        if reached != "until":
            return
        machine.command("stop")
        registers = machine.monitor("info registers")
        cr3 = int(re.search(r"CR3=([0-9a-f]+)", registers)[1], 16) & FRAME
        cr4 = int(re.search(r"CR4=([0-9a-f]+)", registers)[1], 16)
        with open(ram, "r+b") as file, mmap.mmap(file.fileno(), MEMORY) as memory:
            tap.fact(f"{name}/processor_has_{levels}_levels",
                     [] if (cr4 >> 12 & 1) == (levels == 5) else [f"CR4 is {cr4:#x}"])
            walk = Walk(memory, cr3, levels)
            bits = facts(serial, "processor")[0]["physical_bits"]
            compare_with_report(tap, name, walk, serial, nx)
            compare_with_qemu(tap, name, walk, machine.monitor("info tlb"))
            check_rights(tap, name, walk, nx)
            check_shape(tap, name, walk, serial, gib, bits)
            check_guards(tap, name, walk, serial)
            damage(memory, walk, how)
        machine.send({"execute": "cont"})  # it may notice and end before it answers
        machine.wait(DEADLINE * qemu.deadline_scale())
        result = machine.result()
        noticed = b"# watch: damage noticed" in result.serial
        tap.fact(f"{name}/damage_from_outside_is_noticed_{how}",
                 [] if noticed and result.status == qemu.STATUS_FAILED else [result.describe()])


def main():
    tap = Tap()
    print("TAP version 13")
    with tempfile.TemporaryDirectory(prefix="pagestage-audit-") as folder:
        for cpu, levels, gib, how in MACHINES:
            if not sys.argv[1:] or cpu in sys.argv[1:]:
                audit(tap, cpu, levels, gib, how, folder)
    print(f"1..{tap.number}")
    return 1 if tap.failed or not tap.number else 0


sys.exit(main())
