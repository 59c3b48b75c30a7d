"""The gdb command `ps-walk ADDRESS`: how the processor translates an address right now.

Prints one line for each table entry on the way, with its bits in words, for 4 and 5 levels, read
from physical memory, so that it works whatever is mapped and whether our tables or the firmware's
are active. The walk itself needs no gdb and is tested without it.
"""

import re

try:
    import gdb
except ImportError:  # the tests of walk() run outside
    gdb = None

CR0_PG = 1 << 31
CR4_LA57 = 1 << 12
EFER_NXE = 1 << 11
ADDRESS_MASK = 0x000F_FFFF_FFFF_F000
LEVEL_NAMES = {5: "PML5", 4: "PML4", 3: "PDPT", 2: "PD", 1: "PT"}
LEAF_SIZES = {3: "1 GiB", 2: "2 MiB", 1: "4 KiB"}
PRESENT, WRITE, USER, PAGE_SIZE, NO_EXECUTE = 1 << 0, 1 << 1, 1 << 2, 1 << 7, 1 << 63


def canonical(address, levels):
    """True when all bits above the translated ones repeat the highest of them."""
    high = address >> (12 + 9 * levels - 1)
    return high == 0 or high == (1 << (64 - (12 + 9 * levels - 1))) - 1


def is_leaf(entry, level):
    return level == 1 or (level <= 3 and entry & PAGE_SIZE != 0)


def pat_index(entry, level):
    """Which of the eight memory types of the PAT a leaf selects."""
    pat = entry >> (7 if level == 1 else 12) & 1
    return pat << 2 | (entry >> 4 & 1) << 1 | (entry >> 3 & 1)


def decode(entry, level):
    """The bits of an entry in words."""
    if not entry & PRESENT:
        return "absent" if entry == 0 else "absent, but not zero"
    words = ["RW" if entry & WRITE else "RO", "user" if entry & USER else "kernel",
             "NX" if entry & NO_EXECUTE else "X"]
    words += [name for bit, name in ((5, "accessed"), (6, "dirty"), (8, "global"))
              if entry >> bit & 1 and (bit == 5 or is_leaf(entry, level))]
    if is_leaf(entry, level):
        words.append(f"PAT{pat_index(entry, level)}")
    software = entry >> 9 & 7 | (entry >> 52 & 0x7F) << 3
    if software:
        words.append(f"software {software:#x}")
    return " ".join(words)


def walk(address, root, levels, read_entry):
    """Yields the lines of a walk. read_entry(physical address) returns 64 bits."""
    if not canonical(address, levels):
        yield f"{address:#x} is not canonical with {levels} levels"
        return
    table = root & ADDRESS_MASK
    rights = WRITE | USER
    no_execute = 0
    for level in range(levels, 0, -1):
        shift = 12 + 9 * (level - 1)
        index = address >> shift & 0x1FF
        entry = read_entry(table + 8 * index)
        yield (f"{LEVEL_NAMES[level]:4} [{index:3}] at {table + 8 * index:#014x} = "
               f"{entry:#018x}  {decode(entry, level)}")
        if not entry & PRESENT:
            yield f"{address:#x} is not mapped"
            return
        rights &= entry
        no_execute |= entry & NO_EXECUTE
        if is_leaf(entry, level):
            yield leaf_line(address, entry, level, rights, no_execute)
            return
        table = entry & ADDRESS_MASK


def leaf_line(address, entry, level, rights, no_execute):
    """The result of a walk: where the address is, and with the rights of all levels together."""
    inside = (1 << (12 + 9 * (level - 1))) - 1
    physical = entry & ADDRESS_MASK & ~inside | address & inside
    letters = "R" + ("W" if rights & WRITE else "-") + ("-" if no_execute else "X")
    who = "user" if rights & USER else "kernel"
    return f"{address:#x} -> {physical:#x}, {LEAF_SIZES[level]} page, {letters} {who}"


def read_physical(address):
    """One entry through QEMU's monitor, which reads physical memory whatever the mode."""
    answer = gdb.execute(f"monitor xp /1gx {address:#x}", to_string=True)
    match = re.search(r":\s*0x([0-9a-fA-F]+)", answer)
    if not match:
        raise gdb.GdbError(f"QEMU cannot read {address:#x}: {answer.strip()}")
    return int(match.group(1), 16)


def register(name):
    value = gdb.selected_frame().read_register(name)
    # Flag registers have a type of their own; their bits are what the cast gives.
    return int(value.cast(gdb.lookup_type("unsigned long long"))) & (1 << 64) - 1


def print_walk(address):
    cr3, cr4 = register("cr3"), register("cr4")
    levels = 5 if cr4 & CR4_LA57 else 4
    print(f"cr3 {cr3:#x}, {levels} levels" + ("" if register("cr0") & CR0_PG else ", PAGING OFF")
          + ("" if register("efer") & EFER_NXE else ", NXE off: bit 63 is reserved"))
    for line in walk(address, cr3, levels, read_physical):
        print(line)


if gdb is not None:
    class PageWalk(gdb.Command):
        """ps-walk ADDRESS: print the page-table walk of an address, one line an entry."""

        def __init__(self):
            super().__init__("ps-walk", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

        def invoke(self, argument, from_tty):
            if not argument:
                raise gdb.GdbError("ps-walk needs an address")
            try:
                value = gdb.parse_and_eval(argument)
                # A function or an array stands for where it is.
                if value.type.strip_typedefs().code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_ARRAY):
                    value = value.address
                print_walk(int(value) & (1 << 64) - 1)
            except gdb.error as error:
                raise gdb.GdbError(f"ps-walk: {error}") from error

    PageWalk()
