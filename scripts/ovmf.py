#!/usr/bin/env python3
"""Finds the UEFI firmware (OVMF) that QEMU boots: the code and the template of its variables.

Looked for, in this order:
  1. OVMF_CODE and OVMF_VARS in the environment (OVMF_VARS may be left out when its name follows)
  2. the places where Debian, Ubuntu, Fedora, Arch and openSUSE install it
  3. QEMU's firmware descriptors (*.json)
  4. QEMU's own folder of firmware
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass

PLAIN = "plain"  # no Secure Boot: everything starts
SECURE = "secure"  # Secure Boot code with an empty variable store
SNAKEOIL = "snakeoil"  # Secure Boot on, with the key whose private half Debian ships

SNAKEOIL_KEY = "/usr/share/ovmf/PkKek-1-snakeoil.key"
SNAKEOIL_CERTIFICATE = "/usr/share/ovmf/PkKek-1-snakeoil.pem"
SNAKEOIL_PASSPHRASE = "snakeoil"

# kind, code, variables. The larger (4M) builds come first: the small ones are going away.
KNOWN_PLACES = [
    # Debian, Ubuntu
    (PLAIN, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    (PLAIN, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    # Fedora
    (PLAIN, "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    (PLAIN, "/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2"),
    # Arch, newest layout first
    (PLAIN, "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    (PLAIN, "/usr/share/edk2/x64/OVMF_CODE.fd", "/usr/share/edk2/x64/OVMF_VARS.fd"),
    (PLAIN, "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    # openSUSE
    (PLAIN, "/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
    (PLAIN, "/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    # Gentoo and hand-made installs
    (PLAIN, "/usr/share/edk2-ovmf/OVMF_CODE.fd", "/usr/share/edk2-ovmf/OVMF_VARS.fd"),
    (SECURE, "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    (SECURE, "/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    (SECURE, "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    (SECURE, "/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd",
     "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    (SECURE, "/usr/share/edk2-ovmf/x64/OVMF_CODE.secboot.fd",
     "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    (SECURE, "/usr/share/qemu/ovmf-x86_64-smm-code.bin",
     "/usr/share/qemu/ovmf-x86_64-smm-vars.bin"),
    (SNAKEOIL, "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
     "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd"),
]

DESCRIPTOR_FOLDERS = ["~/.config/qemu/firmware", "/etc/qemu/firmware", "/usr/share/qemu/firmware",
                      "/usr/local/share/qemu/firmware"]
QEMU_FOLDERS = ["/usr/share/qemu", "/usr/local/share/qemu", "/opt/homebrew/share/qemu"]


class NotFound(Exception):
    """No firmware of the wanted kind; the text says what to do about it."""


@dataclass(frozen=True)
class Firmware:
    """One pair of flash images. The variables are a template: boot a copy of them."""

    kind: str
    code: str
    variables: str
    format: str  # of both files: "raw" or "qcow2"
    source: str  # where it was found, for messages


def format_of(path):
    """QEMU's name of the file's format; Fedora ships qcow2."""
    return "qcow2" if path.endswith(".qcow2") else "raw"


def variables_for(code):
    """The usual name of the variables that belong to a code file, or None when it has none."""
    folder, name = os.path.split(code)
    for old, new in (("CODE", "VARS"), ("code", "vars")):
        if old in name:
            plain = name.replace(old, new).replace(".secboot", "")
            for candidate in (name.replace(old, new), plain):
                path = os.path.join(folder, candidate)
                if os.path.isfile(path):
                    return path
    return None


def from_environment(environment):
    """The pair named by OVMF_CODE and OVMF_VARS; a name that leads nowhere is an error."""
    code = environment.get("OVMF_CODE")
    if not code:
        return None
    if not os.path.isfile(code):
        raise NotFound(f"OVMF_CODE says {code}, which is not a file")
    variables = environment.get("OVMF_VARS") or variables_for(code)
    if not variables:
        raise NotFound(f"OVMF_CODE says {code}: set OVMF_VARS to the file of its variables")
    if not os.path.isfile(variables):
        raise NotFound(f"OVMF_VARS says {variables}, which is not a file")
    return Firmware(PLAIN, code, variables, format_of(code), "OVMF_CODE")


def from_places(places=None):
    """Every pair of the table that is installed."""
    return [Firmware(kind, code, variables, format_of(code), "known place")
            for kind, code, variables in (KNOWN_PLACES if places is None else places)
            if os.path.isfile(code) and os.path.isfile(variables)]


def parse_descriptor(text, source):
    """One firmware descriptor of QEMU: a Firmware, or None when it is not for us."""
    try:
        data = json.loads(text)
        targets = [t for t in data["targets"] if t["architecture"] == "x86_64"]
        mapping = data["mapping"]
        if "uefi" not in data["interface-types"] or not targets:
            return None
        if mapping["device"] != "flash" or "nvram-template" not in mapping:
            return None
        machines = [m for target in targets for m in target["machines"]]
        features = set(data.get("features", []))
        code, variables = mapping["executable"], mapping["nvram-template"]
        pair = (code["filename"], variables["filename"])
        format_name = code.get("format", "raw")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not any("q35" in m for m in machines) or not all(os.path.isfile(p) for p in pair):
        return None
    # A store with a vendor's keys enrolled refuses our image, and Arch also describes firmware
    # of 32 bits as one for this machine: neither can boot us.
    if "enrolled-keys" in features or "ia32" in pair[0].lower():
        return None
    secure = features & {"secure-boot", "requires-smm"}
    return Firmware(SECURE if secure else PLAIN, *pair, format_name, source)


def from_descriptors(folders=None):
    """The pairs in QEMU's firmware descriptors, in the order of the files' names."""
    found = {}
    for folder in folders or DESCRIPTOR_FOLDERS:
        for path in sorted(glob.glob(os.path.join(os.path.expanduser(folder), "*.json"))):
            # A file in an earlier folder hides one of the same name in a later one.
            found.setdefault(os.path.basename(path), path)
    result = []
    for name in sorted(found):
        try:
            with open(found[name], encoding="utf-8") as file:
                result.append(parse_descriptor(file.read(), found[name]))
        except (OSError, UnicodeDecodeError):
            continue
    return [firmware for firmware in result if firmware]


def qemu_folders():
    """QEMU's own folders of firmware: the usual ones, and those that the program itself names."""
    program = shutil.which("qemu-system-x86_64")
    folders = list(QEMU_FOLDERS)
    if program:
        folders.append(os.path.join(os.path.dirname(os.path.dirname(program)), "share", "qemu"))
        answer = subprocess.run([program, "-L", "help"], stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.DEVNULL, check=False, timeout=10)
        folders += [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    return folders


def from_qemu(folders=None):
    """The pair that QEMU's source itself carries: the i386 variables serve both widths."""
    result = []
    for folder in folders or qemu_folders():
        for kind, name in ((PLAIN, "edk2-x86_64-code.fd"), (SECURE, "edk2-x86_64-secure-code.fd")):
            code, variables = os.path.join(folder, name), os.path.join(folder, "edk2-i386-vars.fd")
            if os.path.isfile(code) and os.path.isfile(variables):
                result.append(Firmware(kind, code, variables, "raw", "QEMU's folder"))
    return result


def find(kind=PLAIN, environment=None):
    """The first firmware of a kind; raises NotFound with advice."""
    named = from_environment(os.environ if environment is None else environment)
    if named and kind == PLAIN:
        return named
    for source in (from_places, from_descriptors, from_qemu):
        for firmware in source():
            if firmware.kind == kind:
                return firmware
    raise NotFound(f"no {kind} UEFI firmware (OVMF) was found: install the package ovmf (Debian, "
                   "Ubuntu), edk2-ovmf (Fedora, Arch) or qemu-ovmf-x86_64 (openSUSE), or set "
                   "OVMF_CODE and OVMF_VARS")


def snakeoil_keys():
    """Debian's test key and certificate, or None where they are not installed."""
    files = (SNAKEOIL_KEY, SNAKEOIL_CERTIFICATE)
    return files if all(os.path.isfile(path) for path in files) else None


def main():
    parser = argparse.ArgumentParser(description="Find the UEFI firmware that QEMU boots.")
    parser.add_argument("kind", nargs="?", default=PLAIN, choices=[PLAIN, SECURE, SNAKEOIL])
    parser.add_argument("--quiet", action="store_true", help="print nothing, only the exit status")
    arguments = parser.parse_args()
    try:
        firmware = find(arguments.kind)
    except NotFound as error:
        if not arguments.quiet:
            print(f"ovmf: {error}", file=sys.stderr)
        return 1
    if not arguments.quiet:
        print(json.dumps(asdict(firmware), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
