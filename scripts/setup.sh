#!/bin/sh
# Installs what is missing: setup.sh run | test | usb | debug   (several at once are fine)
#
# Looks for the real things (programs, a header, the firmware), installs the packages of those that
# are not there, and says nothing when all are. Where it cannot install, it prints what is missing
# and exits 1.
set -eu

here=$(dirname "$0")
# sgdisk and fsck.fat are where only root looks for programs; Arch keeps prove beside perl.
PATH="$PATH:/usr/sbin:/sbin:/usr/bin/core_perl"
root=${SETUP_ROOT:-}    # the tests look for headers and libraries below another root

# thing             found by                       apt                 dnf                    pacman                 zypper
things='
make                command:make                   make                make                   make                   make
clang               command:clang                  clang               clang                  clang                  clang
lld                 command:lld-link               lld                 lld                    lld                    lld
llvm-tools          command:llvm-nm                llvm                llvm                   llvm                   llvm
efi-headers         header:efi/efi.h               gnu-efi             gnu-efi-devel          gnu-efi                gnu-efi
python3             command:python3                python3             python3                python                 python3
qemu                command:qemu-system-x86_64     qemu-system-x86     qemu-system-x86        qemu-system-x86        qemu-x86
ovmf                firmware:plain                 ovmf                edk2-ovmf              edk2-ovmf              qemu-ovmf-x86_64
gcc                 command:gcc                    gcc                 gcc                    gcc                    gcc
libc-headers        header:stdlib.h                libc6-dev           glibc-devel            glibc                  glibc-devel
sanitizers          runtime:asan                   libclang-rt-dev     compiler-rt            compiler-rt            clang
thread-sanitizer    runtime:tsan                   libclang-rt-dev     compiler-rt            compiler-rt            clang
profile-runtime     runtime:profile                libclang-rt-dev     compiler-rt            compiler-rt            clang
llvm-cov            command:llvm-cov               llvm                llvm                   llvm                   llvm
llvm-profdata       command:llvm-profdata          llvm                llvm                   llvm                   llvm
prove               command:prove                  perl                perl-Test-Harness      perl                   perl
qemu-displays       device:virtio-gpu-pci          qemu-system-common  qemu-device-display-virtio-gpu-pci  qemu-hw-display-virtio-gpu-pci  qemu-hw-display-virtio-gpu-pci
sbsign              command:sbsign                 sbsigntool          sbsigntools            sbsigntools            sbsigntools
sbverify            command:sbverify               sbsigntool          sbsigntools            sbsigntools            sbsigntools
openssl             command:openssl                openssl             openssl                openssl                openssl
sgdisk              command:sgdisk                 gdisk               gdisk                  gptfdisk               gptfdisk
mtools              command:mcopy                  mtools              mtools                 mtools                 mtools
fsck.fat            command:fsck.fat               dosfstools          dosfstools             dosfstools             dosfstools
clang-format        command:clang-format           clang-format        clang-tools-extra      clang                  clang-tools
gdb                 command:gdb                    gdb                 gdb                    gdb                    gdb
'

build='make clang lld llvm-tools efi-headers python3'
boot='qemu ovmf'
stick='sgdisk mtools'

things_for() {
    case $1 in
    run) echo "$build $boot" ;;
    usb) echo "$build $stick" ;;
    debug) echo "$build $boot gdb" ;;
    test) echo "$build $boot gcc libc-headers sanitizers thread-sanitizer profile-runtime llvm-cov" \
               "llvm-profdata prove qemu-displays sbsign sbverify openssl $stick fsck.fat gdb" \
               "clang-format" ;;
    *) echo "usage: setup.sh run|test|usb|debug ..." >&2; return 2 ;;
    esac
}

exists() {
    for path in "$@"; do
        [ -e "$path" ] && return 0
    done
    return 1
}

# Does the thing that is found by $1 exist?
there() {
    name=${1#*:}
    case $1 in
    command:*) command -v "$name" >/dev/null 2>&1 ;;
    header:*) exists "$root/usr/include/$name" "$root"/usr/include/*-linux-gnu/"$name" ;;
    firmware:*) command -v python3 >/dev/null 2>&1 && has_firmware "$name" ;;
    runtime:*) exists "$root"/usr/lib*/clang/*/lib*/*/libclang_rt."$name"[-.]* \
                      "$root"/usr/lib*/llvm*/lib*/clang/*/lib*/*/libclang_rt."$name"[-.]* ;;
    device:*) has_device "$name" ;;
    esac
}

# The system's own Python starts faster than the wrappers that may stand before it in the path.
has_firmware() {
    python=/usr/bin/python3
    [ -x "$python" ] || python=python3
    "$python" -S "$here/ovmf.py" --quiet "$1"
}

# Distributions that split QEMU put each device into a module; elsewhere it is built in, and the
# program says so, which is slow but asked only there.
has_device() {
    for folder in "$root"/usr/lib*/qemu "$root"/usr/lib/*-linux-gnu/qemu; do
        exists "$folder/hw-display-$1.so" && return 0
    done
    command -v qemu-system-x86_64 >/dev/null 2>&1 &&
        qemu-system-x86_64 -device help 2>/dev/null | grep -q "name \"$1\""
}

package_manager() {
    for candidate in apt-get:apt dnf:dnf pacman:pacman zypper:zypper; do
        if command -v "${candidate%%:*}" >/dev/null 2>&1; then
            echo "${candidate##*:}"
            return
        fi
    done
    echo none
}

# The package of one row, given as arguments, for a package manager.
package_of() {
    manager=$1
    case $manager in
    apt) echo "$4" ;;
    dnf) echo "$5" ;;
    pacman) echo "$6" ;;
    zypper) echo "$7" ;;
    *) echo "$2" ;;
    esac
}

# Prints the packages (or names) of the wanted things that are not there, each once.
missing_of() {
    manager=$1
    wanted=" $2 "
    echo "$things" | while read -r thing probe rest; do
        case $wanted in
        *" $thing "*)
            # shellcheck disable=SC2086 # the columns of the row are words
            there "$probe" </dev/null || package_of "$manager" "$thing" "$probe" $rest ;;
        esac
    done | awk '!seen[$0]++' | tr '\n' ' '
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        echo "setup: not root, and there is no sudo" >&2
        return 1
    fi
}

# The packages that apt knows: a release may have put one into another that comes anyway. What is
# missing afterwards is found by looking for it again.
known_to_apt() {
    for package in "$@"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
        fi
    done
}

# shellcheck disable=SC2086,SC2046 # the packages are words
install_packages() {
    manager=$1
    packages=$2
    case $manager in
    apt) as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -q install -y --no-install-recommends $(known_to_apt $packages) ;;
    dnf) as_root dnf install -y --setopt=install_weak_deps=False $packages ;;
    pacman) as_root pacman -Sy --needed --noconfirm $packages ;;
    zypper) as_root zypper --non-interactive install --no-recommends $packages ;;
    *) return 1 ;;
    esac
}

[ $# -gt 0 ] || { things_for ''; }
wanted=
for group in "$@"; do
    wanted="$wanted $(things_for "$group")"
done

# Awk and tr are not asked for while everything is there: the loop prints nothing then.
manager=$(package_manager)
missing=$(missing_of "$manager" "$wanted")
[ -n "$missing" ] || exit 0

echo "setup: missing: $missing" >&2
if ! install_packages "$manager" "$missing" >&2; then
    echo "setup: could not install: $missing" >&2
    exit 1
fi
still=$(missing_of "$manager" "$wanted")
if [ -n "$still" ]; then
    echo "setup: still missing after the installation: $still" >&2
    exit 1
fi
