#!/usr/bin/env python3
"""Tests of the scripts themselves, without a machine. Prints TAP 13, one line a test."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, "scripts")
sys.path[:0] = [SCRIPTS, os.path.dirname(os.path.abspath(__file__))]
# The scripts are read where they lie: nothing is left behind there.
sys.dont_write_bytecode = True

import debug  # noqa: E402
import gdb_pagestage  # noqa: E402
import instructions  # noqa: E402
import ovmf  # noqa: E402
import pe_check  # noqa: E402
import qemu  # noqa: E402
import report as reports  # noqa: E402
import run  # noqa: E402
import screenshot  # noqa: E402
import tap  # noqa: E402
import usb  # noqa: E402
# Found by the loader as tests of this module, so that one command runs them all.
from test_report import (  # noqa: E402
    FIRMWARE_TEXT, GOOD_BODY, ConversionTests, ReportTests, stream)

__all__ = ["ConversionTests", "ReportTests"]

def build_pe(sections=((".text", 0x60000020), (".data", 0xC0000040), (".reloc", 0x42000040)),
             relocations=(0xA010,), machine=0x8664, subsystem=10, base=0, alignment=0x1000,
             dll=0x0160, relocation_page=0x2000):
    """A small PE file: one page a section."""
    count = len(sections)
    block = struct.pack("<II", relocation_page, 8 + 2 * len(relocations)) + b"".join(
        struct.pack("<H", r) for r in relocations) if relocations else b""
    header = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    header += b"PE\0\0" + struct.pack("<HHIIIHH", machine, count, 0, 0, 0, 240, 0x22)
    optional = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0x200, 0, 0, 0x1000, 0x1000)
    optional += struct.pack("<QII", base, alignment, 0x200).ljust(32, b"\0")
    optional += struct.pack("<II", 0x1000 * (count + 1), 0x400)
    optional = optional.ljust(68, b"\0") + struct.pack("<HH", subsystem, dll)
    optional = optional.ljust(108, b"\0") + struct.pack("<I", 16)
    directory = struct.pack("<II", 0x1000 * count, len(block)) if block else bytes(8)
    optional = (optional + bytes(5 * 8) + directory).ljust(240, b"\0")
    table = b"".join(struct.pack("<8sIIIIIIHHI", name.encode(), 0x1000, 0x1000 * (n + 1), 0x200,
                                 0x400 + 0x200 * n, 0, 0, 0, 0, flags)
                     for n, (name, flags) in enumerate(sections))
    data = (header + optional + table).ljust(0x400, b"\0")
    contents = [bytes(0x200)] * (count - 1) + [block.ljust(0x200, b"\0")]
    return data + b"".join(contents)


class PeTests(unittest.TestCase):
    """pe_check.py: each requirement is really checked."""

    def problems(self, **changes):
        return "; ".join(pe_check.check(pe_check.parse(build_pe(**changes))))

    def test_a_good_image_has_no_problem(self):
        self.assertEqual(self.problems(), "")

    def test_a_writable_and_executable_section_is_found(self):
        sections = ((".text", 0xE0000020), (".data", 0xC0000040), (".reloc", 0x42000040))
        self.assertIn(".text is writable and executable", self.problems(sections=sections))

    def test_header_requirements_are_checked(self):
        for changes, words in (({"machine": 0x14C}, "not x86-64"), ({"subsystem": 3}, "subsystem"),
                               ({"base": 0x140000000}, "image base"),
                               ({"alignment": 0x200}, "alignment"),
                               ({"dll": 0x40}, "NX_COMPAT"), ({"dll": 0x100}, "DYNAMIC_BASE")):
            self.assertIn(words, self.problems(**changes))

    def test_missing_and_wrong_relocations_are_found(self):
        self.assertIn("missing or empty", self.problems(relocations=()))
        self.assertIn("not one 64-bit", self.problems(relocations=(0, 0)))
        self.assertIn("no section", self.problems(relocation_page=0x9000))
        self.assertIn("type 3", self.problems(relocations=(0x3010,)))

    def test_an_entry_outside_code_is_found(self):
        sections = ((".data", 0xC0000040), (".text", 0x60000020), (".reloc", 0x42000040))
        self.assertIn("entry point", self.problems(sections=sections))

    def test_every_cut_file_is_refused_without_a_crash(self):
        good = build_pe()
        for size in range(0, len(good) - 1, 7):
            try:
                self.assertNotEqual(pe_check.check(pe_check.parse(good[:size])), [])
            except pe_check.NotPe:
                pass

    def test_the_built_image_is_clean(self):
        path = os.path.join(qemu.build_folder(), "BOOTX64.EFI")
        if not os.path.isfile(path):
            self.skipTest("the image is not built")
        with open(path, "rb") as file:
            self.assertEqual(pe_check.check(pe_check.parse(file.read())), [])


class OvmfTests(unittest.TestCase):
    """ovmf.py: where firmware is found."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name, text=""):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def descriptor(self, **changes):
        data = {"interface-types": ["uefi"], "features": [],
                "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
                "mapping": {"device": "flash",
                            "executable": {"filename": self.file("C.fd"), "format": "raw"},
                            "nvram-template": {"filename": self.file("V.fd"), "format": "raw"}}}
        data.update(changes)
        return ovmf.parse_descriptor(json.dumps(data), "test")

    def test_the_environment_wins_and_derives_the_variables(self):
        code, variables = self.file("MY_CODE.fd"), self.file("MY_VARS.fd")
        found = ovmf.find(environment={"OVMF_CODE": code})
        self.assertEqual((found.code, found.variables), (code, variables))
        other = self.file("other.fd")
        found = ovmf.find(environment={"OVMF_CODE": code, "OVMF_VARS": other})
        self.assertEqual(found.variables, other)

    def test_names_in_the_environment_that_lead_nowhere_are_errors(self):
        code = self.file("strange.fd")
        for environment in ({"OVMF_CODE": "/nowhere"}, {"OVMF_CODE": code},
                            {"OVMF_CODE": code, "OVMF_VARS": "/nowhere"}):
            with self.assertRaises(ovmf.NotFound):
                ovmf.find(environment=environment)

    def test_only_complete_pairs_of_the_table_count(self):
        code, variables = self.file("A_CODE.qcow2"), self.file("A_VARS.qcow2")
        found = ovmf.from_places([("plain", "/nowhere", variables), ("plain", code, "/nowhere"),
                                  ("plain", code, variables)])
        self.assertEqual([f.format for f in found], ["qcow2"])

    def test_descriptors_are_read(self):
        self.assertEqual(self.descriptor().kind, "plain")
        self.assertEqual(self.descriptor(features=["secure-boot"]).kind, "secure")

    def test_descriptors_that_are_not_for_us_are_left_out(self):
        self.assertIsNone(self.descriptor(features=["secure-boot", "enrolled-keys"]))
        self.assertIsNone(self.descriptor(mapping={"device": "memory", "filename": "x"}))
        self.assertIsNone(self.descriptor(targets=[{"architecture": "aarch64", "machines": []}]))
        self.assertIsNone(self.descriptor(
            targets=[{"architecture": "x86_64", "machines": ["microvm"]}]))
        for text in ("", "[]", "{}", "null", '{"targets": 3}'):
            self.assertIsNone(ovmf.parse_descriptor(text, "test"))

    def test_descriptor_folders_are_searched_and_earlier_ones_hide_later_ones(self):
        first, second = (os.path.join(self.folder, name) for name in ("one", "two"))
        for folder, name in ((first, "50-a.json"), (second, "50-a.json"), (second, "40-b.json")):
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write("broken" if folder == first else json.dumps({
                    "interface-types": ["uefi"], "targets": [
                        {"architecture": "x86_64", "machines": ["pc-q35-*"]}],
                    "mapping": {"device": "flash",
                                "executable": {"filename": self.file("C")},
                                "nvram-template": {"filename": self.file("V")}}}))
        found = ovmf.from_descriptors([first, second])
        self.assertEqual([os.path.basename(f.source) for f in found], ["40-b.json"])

    def test_qemus_own_folder_is_searched(self):
        code = self.file("edk2-x86_64-code.fd")
        self.file("edk2-i386-vars.fd")
        self.assertEqual([f.code for f in ovmf.from_qemu([self.folder])], [code])

    def test_nothing_found_gives_the_names_of_the_packages(self):
        with mock.patch.object(ovmf, "KNOWN_PLACES", []), \
                mock.patch.object(ovmf, "DESCRIPTOR_FOLDERS", [self.folder]), \
                mock.patch.object(ovmf, "qemu_folders", lambda: [self.folder]):
            with self.assertRaises(ovmf.NotFound) as caught:
                ovmf.find(environment={})
        for word in ("edk2-ovmf", "qemu-ovmf-x86_64", "OVMF_CODE"):
            self.assertIn(word, str(caught.exception))


class QemuTests(unittest.TestCase):
    """qemu.py: the command line and how an end is told."""

    FIRMWARE = ovmf.Firmware("plain", "/f/CODE.fd", "/f/VARS.fd", "raw", "test")

    def line(self, firmware=FIRMWARE, **changes):
        return " ".join(qemu.command_line(qemu.Settings(**changes), firmware, "/t/vars.fd",
                                          changes.get("disk") or "/t/esp", "/t/serial"))

    def test_every_machine_is_alone_and_does_not_restart(self):
        line = self.line()
        for words in ("-net none", "-no-reboot", "isa-debug-exit,iobase=0xf4,iosize=4",
                      "-display none", "readonly=on,format=raw,file=/f/CODE.fd",
                      "file=/t/vars.fd", "file=fat:rw:/t/esp", "-accel tcg,thread=multi"):
            self.assertIn(words, line)
        self.assertNotIn("/f/VARS.fd", line)

    def test_big_memory_is_not_reserved(self):
        self.assertIn("-m 200G -object memory-backend-ram,id=ram0,size=200G,reserve=off",
                      self.line(memory="200G"))
        self.assertIn("-machine q35,memory-backend=ram0", self.line(memory="200G"))
        self.assertNotIn("memory-backend", self.line(memory="512M"))

    def test_sizes_are_read_as_qemu_reads_them(self):
        self.assertEqual([qemu.bytes_of(s) for s in ("64", "64M", "4G", "1t")],
                         [64 << 20, 64 << 20, 4 << 30, 1 << 40])
        for bad in ("", "G", "4GB", "-1"):
            with self.assertRaises(qemu.QemuError):
                qemu.bytes_of(bad)

    def test_secure_boot_needs_smm(self):
        secure = ovmf.Firmware("snakeoil", "/f/C.fd", "/f/V.fd", "raw", "test")
        line = self.line(firmware=secure)
        self.assertIn("q35,smm=on", line)
        self.assertIn("driver=cfi.pflash01,property=secure,value=on", line)

    def test_disks_hang_on_the_bus_that_is_asked_for_and_are_not_written(self):
        line = self.line(disk="/a,b.img", bus="usb")
        self.assertIn("file=/a,,b.img,snapshot=on", line)
        self.assertIn("usb-storage,bus=xhci.0,drive=esp", line)

    def test_settings_reach_the_image(self):
        line = self.line(fw_cfg={"suites": "a,b", "end": "halt"})
        self.assertIn("-fw_cfg name=opt/pagestage/suites,string=a,,b", line)
        self.assertIn("-fw_cfg name=opt/pagestage/end,string=halt", line)

    def test_no_display_and_no_serial_line_are_possible(self):
        self.assertNotIn("VGA", self.line(display=()))
        self.assertIn("-serial none", self.line(serial=False))

    def test_a_triple_fault_is_told_from_the_events(self):
        result = qemu.Result(0, b"", [{"event": "SHUTDOWN", "data": {"reason": "guest-reset"}}],
                             1.0, False, "")
        self.assertEqual(result.describe(), "QEMU's status 0, shutdown by guest-reset")

    def test_the_dump_of_the_firmware_is_found(self):
        text = b"x\r\n!!!! X64 Exception Type - 06(#UD) !!!!\r\n"
        self.assertEqual(qemu.Result(None, text, [], 1, False, "").exception,
                         "!!!! X64 Exception Type - 06(#UD) !!!!")

    def test_a_machine_that_cannot_start_is_told_with_qemus_words(self):
        result = qemu.Result(1, b"", [], 0.1, False, "qemu: cannot set up guest memory\n")
        self.assertIn("cannot set up guest memory", result.describe())

    def test_key_value_pairs_are_checked(self):
        self.assertEqual(run.parse_pairs(["a=b=c", "d="]), {"a": "b=c", "d": ""})
        for bad in ("a", "=b"):
            with self.assertRaises(qemu.QemuError):
                run.parse_pairs([bad])


class ScreenshotTests(unittest.TestCase):
    """screenshot.py: PPM in, PNG out."""

    PIXELS = bytes(range(18))

    def test_a_ppm_is_read_with_comments(self):
        data = b"P6\n# made by QEMU\n3 2\n255\n" + self.PIXELS
        self.assertEqual(screenshot.parse_ppm(data), (3, 2, self.PIXELS))

    def test_damaged_pictures_are_refused(self):
        good = b"P6\n3 2\n255\n" + self.PIXELS
        for bad in (b"", b"P6", b"P5\n3 2\n255\n" + self.PIXELS, good[:-1], good + b"x",
                    good.replace(b"255", b"65535"), good.replace(b"3 2", b"3 x")):
            with self.assertRaises(ValueError):
                screenshot.parse_ppm(bad)

    def test_the_png_holds_the_same_pixels(self):
        png = screenshot.to_png(3, 2, self.PIXELS)
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        chunks, position = {}, 8
        while position < len(png):
            size, kind = struct.unpack_from(">I4s", png, position)
            body = png[position + 8:position + 8 + size]
            sum_, = struct.unpack_from(">I", png, position + 8 + size)
            self.assertEqual(sum_, zlib.crc32(kind + body))
            chunks[kind] = body
            position += 12 + size
        self.assertEqual(struct.unpack(">IIBBBBB", chunks[b"IHDR"]), (3, 2, 8, 2, 0, 0, 0))
        raw = zlib.decompress(chunks[b"IDAT"])
        self.assertEqual(raw, b"\0" + self.PIXELS[:9] + b"\0" + self.PIXELS[9:])

    def test_the_end_is_a_whole_line(self):
        text = stream(GOOD_BODY)
        self.assertTrue(screenshot.ended(text))
        self.assertFalse(screenshot.ended(text[:-1]))
        self.assertFalse(screenshot.ended(FIRMWARE_TEXT))


class DebugTests(unittest.TestCase):
    """debug.py and the walk behind ps-walk."""

    def test_the_base_is_taken_from_a_whole_line(self):
        line = b'# image: {"base":"0x1df87000","size":"0x20000"}\r\n'
        self.assertEqual(debug.find_base(FIRMWARE_TEXT + line), 0x1DF87000)
        self.assertIsNone(debug.find_base(line[:-10]))

    def test_gdb_gets_symbols_at_the_base_and_lets_the_image_go(self):
        command = debug.gdb_command("/b/BOOTX64.EFI", 0x1000, 1234, ["bt"])
        self.assertIn("add-symbol-file /b/BOOTX64.EFI -o 0x1000", command)
        self.assertIn("set variable pagestage_gdb_continue = 1", command)
        self.assertEqual(command[-1], "bt")

    def walk(self, address, entries, levels=4):
        return list(gdb_pagestage.walk(address, 0x1000, levels, lambda at: entries.get(at, 0)))

    def test_a_walk_to_a_small_page_collects_the_rights(self):
        entries = {0x1000: 0x2003, 0x2000: 0x3003, 0x3000: 0x4001, 0x4008: 1 << 63 | 0x5163}
        lines = self.walk(0x1234, entries)
        self.assertEqual(len(lines), 5)
        self.assertEqual(lines[-1], "0x1234 -> 0x5234, 4 KiB page, R-- kernel")
        self.assertIn("RW kernel NX accessed dirty global PAT0", lines[3])

    def test_a_walk_ends_at_large_leaves(self):
        lines = self.walk(0x40201234, {0x1000: 0x2007, 0x2008: 0x3007, 0x3008: 0x8000001E7})
        self.assertEqual(lines[-1], "0x40201234 -> 0x800001234, 2 MiB page, RWX user")
        lines = self.walk(0x40201234, {0x1000: 0x2003, 0x2008: 0x80000083})
        self.assertEqual(lines[-1], "0x40201234 -> 0x80201234, 1 GiB page, RWX kernel")

    def test_a_walk_ends_at_an_absent_entry(self):
        lines = self.walk(0x1234, {0x1000: 0x2003})
        self.assertEqual((len(lines), lines[-1]), (3, "0x1234 is not mapped"))

    def test_five_levels_start_one_higher(self):
        address = 0xFF11_2345_6789_A000 & (1 << 64) - 1
        lines = self.walk(address, {}, 5)
        self.assertIn("PML5 [273]", lines[0])
        self.assertIn("not canonical with 4 levels", self.walk(address, {}, 4)[0])

    def test_canonical_addresses_are_told_apart(self):
        for address, levels, good in ((0x7FFF_FFFF_FFFF, 4, True), (0x8000_0000_0000, 4, False),
                                      (0xFFFF_8000_0000_0000, 4, True),
                                      (0xFFFF_7FFF_FFFF_FFFF, 4, False),
                                      (0x8000_0000_0000, 5, True), (1 << 56, 5, False)):
            self.assertEqual(gdb_pagestage.canonical(address, levels), good, hex(address))

    def test_the_memory_type_bit_moves_with_the_leaf_size(self):
        self.assertEqual(gdb_pagestage.pat_index(0x80 | 0x18, 1), 7)
        self.assertEqual(gdb_pagestage.pat_index(0x1000 | 0x80 | 0x08, 2), 5)
        self.assertEqual(gdb_pagestage.pat_index(0x80, 2), 0)


class UsbTests(unittest.TestCase):
    """usb.py: the same stick every time, and one that checkers accept."""

    def setUp(self):
        try:
            for tool in usb.TOOLS:
                usb.tool_path(tool)
        except usb.UsbError as error:
            self.skipTest(str(error))
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.image = os.path.join(self.folder, "image.efi")
        with open(self.image, "wb") as file:
            file.write(b"MZ" + bytes(range(256)) * 300)
        self.esp = os.path.join(self.folder, "esp")
        os.makedirs(os.path.join(self.esp, "EFI", "BOOT"))
        for name in ("pagestage.conf", "zz.txt", ".hidden", "EFI/BOOT/BOOTX64.EFI"):
            with open(os.path.join(self.esp, name), "w", encoding="utf-8") as file:
                file.write(name)

    def build(self, name, **environment):
        """One image; sgdisk waits a second each time, so there are few tests that need one."""
        path = os.path.join(self.folder, name)
        usb.build(self.image, path, self.esp, {"PATH": os.environ["PATH"], **environment})
        return path

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def run_tool(self, *command):
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        if not shutil.which(command[0], path=path):
            self.skipTest(f"{command[0]} is not installed")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={"PATH": path, "LC_ALL": "C"}, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_two_images_are_equal_whatever_the_time_of_the_files(self):
        first = self.read(self.build("one.img"))
        for folder, _, names in os.walk(self.esp):
            for name in names:
                os.utime(os.path.join(folder, name), (1_000_000_000, 1_000_000_000))
        self.assertEqual(first, self.read(self.build("two.img", TZ="Asia/Tokyo")))

    def test_the_time_is_that_of_source_date_epoch(self):
        first = self.read(self.build("one.img", SOURCE_DATE_EPOCH="1600000000"))
        self.assertNotEqual(first, self.read(self.build("two.img", SOURCE_DATE_EPOCH="1700000000")))
        with self.assertRaises(usb.UsbError):
            self.build("three.img", SOURCE_DATE_EPOCH="yesterday")

    def test_the_checkers_find_no_problem_and_fat32(self):
        path = self.build("one.img")
        text = self.run_tool("sgdisk", "-v", path)
        self.assertIn("No problems found", text)
        self.assertNotIn("Caution", text)
        volume = os.path.join(self.folder, "volume")
        with open(volume, "wb") as file:
            file.write(self.read(path)[1 << 20:][:usb.PARTITION_SECTORS * usb.SECTOR])
        self.assertIn("2 FATs, 32 bit entries", self.run_tool("fsck.fat", "-n", "-v", volume))

    def test_the_image_and_the_configuration_are_on_it_and_nothing_else(self):
        path = self.build("one.img")
        text = self.run_tool("mdir", "-/", "-b", "-i", path + "@@1M", "::/")
        self.assertEqual(sorted(text.split()),
                         ["::/EFI/", "::/EFI/BOOT/", "::/EFI/BOOT/BOOTX64.EFI",
                          "::/pagestage.conf", "::/zz.txt"])
        copy = os.path.join(self.folder, "copy")
        self.run_tool("mcopy", "-i", path + "@@1M", "::/EFI/BOOT/BOOTX64.EFI", copy)
        self.assertEqual(self.read(copy), self.read(self.image))

    def test_a_failure_leaves_the_old_image(self):
        path = os.path.join(self.folder, "old.img")
        shutil.copyfile(self.image, path)
        for image, source_time in ((self.image + "x", "0"), (self.image, "never")):
            with self.assertRaises(usb.UsbError):
                usb.build(image, path, self.esp, {"SOURCE_DATE_EPOCH": source_time})
        self.assertEqual(self.read(path), self.read(self.image))


class InstructionTests(unittest.TestCase):
    """instructions.py: what is no number of instructions is not shown as one."""

    FACTS = {"take-over": {"first_frame": 5, "all": 7}, "invalidation": {"full": 3, "threshold": 1},
             "page-costs": {"map_run": 13.5}}

    def counted(self, **changes):
        facts = {key: {"unit": "instructions", **value} for key, value in self.FACTS.items()}
        facts.update(changes)
        lines = [f"# {key}: {json.dumps(value)}" for key, value in facts.items()]
        return instructions.counted(reports.parse(stream(GOOD_BODY + lines)))

    def test_the_table_has_every_count_and_nothing_else(self):
        found = self.counted()
        self.assertEqual(found, self.FACTS)
        rows = [line.split() for line in instructions.table(found) if not line.startswith("#")]
        self.assertEqual(rows, [["first_frame", "5"], ["all", "7"], ["full", "3"],
                                ["map_run", "13.5"]])

    def test_cycles_and_missing_facts_are_refused(self):
        for value, words in (({"unit": "cycles", "map_run": 1}, "in cycles"), ("none", "no fact"),
                             ({"unit": "instructions", "missing": "memory"}, "memory")):
            with self.assertRaisesRegex(ValueError, words):
                self.counted(**{"page-costs": value})


class SetupTests(unittest.TestCase):
    """setup.sh with a path of its own, in which only what the test puts there exists."""

    SHELL_TOOLS = ("sh", "awk", "tr", "dirname", "id", "env", "cat")
    MANAGERS = {"apt-get": ("gnu-efi", "qemu-system-x86", "ovmf"),
                "dnf": ("gnu-efi-devel", "qemu-system-x86", "edk2-ovmf"),
                "pacman": ("gnu-efi", "qemu-system-x86", "edk2-ovmf"),
                "zypper": ("gnu-efi", "qemu-x86", "qemu-ovmf-x86_64")}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name in self.SHELL_TOOLS:
            os.symlink(shutil.which(name), os.path.join(self.folder, name))
        # The script looks at fixed places too; a copy of it looks only at the path of the test.
        with open(os.path.join(SCRIPTS, "setup.sh"), encoding="utf-8") as file:
            text = file.read().replace(':/usr/sbin:/sbin:/usr/bin/core_perl"', '"')
        self.script = os.path.join(self.folder, "setup.sh")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(text)

    def tool(self, name, text="exit 0"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)

    def setup(self, *groups):
        environment = {"PATH": self.folder, "SETUP_ROOT": self.folder}
        return subprocess.run(["/bin/sh", self.script, *groups], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def test_without_a_package_manager_the_missing_names_are_printed(self):
        self.tool("make")
        done = self.setup("run")
        self.assertEqual(done.returncode, 1)
        self.assertIn("clang lld llvm-tools efi-headers python3 qemu ovmf", done.stdout)
        self.assertNotIn("make", done.stdout)

    def test_each_package_manager_gets_its_own_names(self):
        for manager, names in self.MANAGERS.items():
            self.tool("apt-cache")
            self.tool(manager, f'echo "$@" >> "{self.folder}/log"; exit 0')
            done = self.setup("run")
            self.assertEqual(done.returncode, 1, "a manager that installs nothing is no success")
            self.assertIn("still missing", done.stdout)
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
                said = file.read()
            for name in names:
                self.assertIn(name, said.split(), manager)
            os.remove(os.path.join(self.folder, manager))
            os.remove(os.path.join(self.folder, "log"))

    def test_a_failing_installation_prints_the_missing_names(self):
        self.tool("apt-get", "exit 100")
        done = self.setup("usb")
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not install: make clang lld llvm gnu-efi python3 gdisk mtools",
                      done.stdout)

    def test_when_all_is_there_nothing_is_said_and_nothing_installed(self):
        for name in ("make", "clang", "lld-link", "llvm-nm", "python3", "sgdisk", "mcopy"):
            self.tool(name)
        self.tool("apt-get", f'echo "$@" >> "{self.folder}/log"')
        os.makedirs(os.path.join(self.folder, "usr/include/efi"))
        open(os.path.join(self.folder, "usr/include/efi/efi.h"), "wb").close()
        done = self.setup("usb")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertFalse(os.path.exists(os.path.join(self.folder, "log")))

    def test_each_runtime_of_the_compiler_is_looked_for_by_its_name(self):
        folder = os.path.join(self.folder, "usr/lib/llvm-14/lib/clang/14.0.6/lib/linux")
        os.makedirs(folder)
        for name in ("libclang_rt.asan-x86_64.a", "libclang_rt.tsan.a", "libclang_rt.asan_cxx.a"):
            open(os.path.join(folder, name), "wb").close()
        done = self.setup("test")
        self.assertEqual(done.returncode, 1)
        for name in ("profile-runtime", "llvm-cov", "llvm-profdata"):
            self.assertIn(name, done.stdout.split())
        self.assertNotIn("sanitizer", done.stdout)

    def test_an_unknown_group_is_refused(self):
        self.assertEqual(self.setup("everything").returncode, 2)
        self.assertEqual(self.setup().returncode, 2)


if __name__ == "__main__":
    sys.exit(tap.main(sys.modules[__name__], "scripts"))
