#!/usr/bin/env python3
"""Makes the image of a bootable stick: GPT, one FAT32 EFI system partition. Needs no root.

The result is the same bit for bit for the same files: identifiers are fixed, and every time is
SOURCE_DATE_EPOCH (or 2020-01-01). Write it with `dd if=build/pagestage.img of=/dev/sdX bs=4M`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import qemu

SECTOR = 512
FIRST_SECTOR = 2048  # the partition starts at 1 MiB, as every partitioner does it
PARTITION_SECTORS = 64 << 11  # 64 MiB: FAT32 needs at least 65525 clusters
IMAGE_BYTES = 66 << 20  # with 1 MiB before and behind it for the tables
DISK_GUID = "50414745-5354-4147-4500-000000000001"
PARTITION_GUID = "50414745-5354-4147-4500-000000000002"
VOLUME_SERIAL = "50414745"
LABEL = "PAGESTAGE"
DEFAULT_TIME = 1577836800  # 2020-01-01: FAT cannot tell times before 1980
TOOLS = {"sgdisk": "gdisk", "mformat": "mtools", "mmd": "mtools", "mcopy": "mtools"}


class UsbError(Exception):
    """The image could not be made."""


def source_time(environment):
    """The one time that every file gets."""
    try:
        wanted = int(environment.get("SOURCE_DATE_EPOCH") or DEFAULT_TIME)
    except ValueError as error:
        raise UsbError("SOURCE_DATE_EPOCH is not a number") from error
    return max(wanted, 315532800 + 86400)


def tool_path(name):
    """sgdisk lives where only root looks for programs."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if not found:
        raise UsbError(f"{name} is missing (package {TOOLS[name]}): run scripts/setup.sh usb")
    return found


def call(environment, *command):
    command = [tool_path(command[0]), *command[1:]]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise UsbError(f"{' '.join(command)}:\n{done.stdout}")


def files_of(esp, image):
    """(path on the stick, path here) of every file, sorted, the image in its place."""
    found = {"EFI/BOOT/BOOTX64.EFI": image}
    for folder, _, names in os.walk(esp):
        for name in names:
            path = os.path.join(folder, name)
            inside = os.path.relpath(path, esp)
            # Built files of another run, and what hidden files there are, stay at home.
            if not name.startswith(".") and not name.upper().endswith(".EFI"):
                found[inside] = path
    return sorted(found.items())


def folders_of(paths):
    """Every folder that the paths need, parents first."""
    found = set()
    for path in paths:
        parts = path.split("/")[:-1]
        found.update("/".join(parts[:n + 1]) for n in range(len(parts)))
    return sorted(found)


def partition(path, environment):
    last = FIRST_SECTOR + PARTITION_SECTORS - 1
    call(environment, "sgdisk", "--clear", "--disk-guid=" + DISK_GUID,
         f"--new=1:{FIRST_SECTOR}:{last}", "--typecode=1:ef00", f"--change-name=1:{LABEL}",
         "--partition-guid=1:" + PARTITION_GUID, path)


def fill(path, files, environment, scratch, time):
    """Formats the partition and copies the files into it, always in the same order."""
    drive = f"{path}@@{FIRST_SECTOR * SECTOR}"
    call(environment, "mformat", "-i", drive, "-F", "-T", str(PARTITION_SECTORS),
         "-H", str(FIRST_SECTOR), "-h", "64", "-s", "32", "-c", "1", "-N", VOLUME_SERIAL,
         "-v", LABEL, "::")
    for folder in folders_of(name for name, _ in files):
        call(environment, "mmd", "-i", drive, f"::/{folder}")
    for name, source in files:
        copy = os.path.join(scratch, "file")
        shutil.copyfile(source, copy)
        os.utime(copy, (time, time))
        call(environment, "mcopy", "-m", "-i", drive, copy, f"::/{name}")


def build(image, output, esp=os.path.join(qemu.ROOT, "esp"), environment=None):
    """Makes the image file; the old one stays until the new one is complete."""
    environment = dict(os.environ if environment is None else environment)
    time = source_time(environment)
    # mtools takes the time of folders and of the label from here, in the local zone.
    environment.update(SOURCE_DATE_EPOCH=str(time), TZ="UTC", LC_ALL="C", MTOOLSRC="/dev/null")
    if not os.path.isfile(image):
        raise UsbError(f"there is no image {image}: build it first")
    os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pagestage-") as scratch:
        draft = os.path.join(scratch, "disk.img")
        with open(draft, "wb") as file:
            file.truncate(IMAGE_BYTES)
        partition(draft, environment)
        fill(draft, files_of(esp, image), environment, scratch, time)
        copy_sparse(draft, output)


def copy_sparse(source, target):
    """Copies over a file beside the target, leaving out blocks of zeros."""
    beside = target + ".new"
    block_size = 1 << 16
    with open(source, "rb") as old, open(beside, "wb") as new:
        while block := old.read(block_size):
            if block.count(0) == len(block):
                new.seek(len(block), os.SEEK_CUR)
            else:
                new.write(block)
        new.truncate(IMAGE_BYTES)
    os.replace(beside, target)


def main():
    parser = argparse.ArgumentParser(description="Make the image of a bootable stick.")
    parser.add_argument("--image", default=os.path.join(qemu.build_folder(), "BOOTX64.EFI"))
    parser.add_argument("--output", default=os.path.join(qemu.build_folder(), "pagestage.img"))
    arguments = parser.parse_args()
    try:
        build(arguments.image, arguments.output)
    except (UsbError, OSError) as error:
        print(f"usb: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.output}: {IMAGE_BYTES >> 20} MiB, GPT with one EFI system partition")
    return 0


if __name__ == "__main__":
    sys.exit(main())
