"""What a preflight reads of a host, as text to attach to a bug report, without personal details.

A record has the files and links below a root folder and what commands answered. Unfolded into a
folder it stands for the host: the preflight finds there what it found on the host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.host_facts import (
    BOOT_SPACE,
    BRIDGE_UNIT,
    DRACUT,
    INITRAMFS_TOOLS,
    INITRDS,
    LOADER,
    MANAGED,
    PROXMOX,
    SECURE_BOOT,
    Run,
    is_vm,
    sshd_settings,
)

DEVICE_FILES = (
    "vendor device class subsystem_vendor subsystem_device boot_vga sriov_numvfs reset_method"
)

LINKS = (
    "sys/bus/pci/devices/*",
    "sys/bus/pci/devices/*/driver",
    "sys/bus/pci/devices/*/iommu_group",
    "sys/bus/pci/devices/*/physfn",
    "sys/bus/pci/drivers/*/module",
    "sys/bus/mdev/devices/*",
    "sys/class/drm/*",
    "sys/class/drm/*/device",
    "sys/class/net/*",
    "sys/class/net/*/lower_*",
    "sys/class/block/*",
    "sys/dev/block/*",
    "sys/dev/block/*/slaves/*",
)

BINARY = ("sys/firmware/acpi/tables/DMAR", "sys/firmware/acpi/tables/XMAR")
BINARY += ("sys/firmware/acpi/tables/IVRS", SECURE_BOOT, LOADER)
"""Written as hexadecimal digits."""

PRESENT = ("usr/sbin/update-grub", f"{MANAGED}/*.cfg", BRIDGE_UNIT)
PRESENT += (PROXMOX, DRACUT, INITRAMFS_TOOLS)
"""Only that they are there."""


def _lines(pattern: str) -> Callable[[str], str]:
    """Keeps the lines that match."""
    return lambda text: "".join(
        f"{line}\n" for line in text.splitlines() if re.match(pattern, line)
    )


def _cpu(text: str) -> str:
    """The first CPU's flags are everybody's."""
    return "".join(re.findall(r"^flags\s*:.*\n", text, re.MULTILINE)[:1])


def _grub(text: str) -> str:
    """Which entries there are and what they boot; of its users, that there are some."""
    kept = _lines(r"\s*(menuentry|submenu|multiboot|module|linux|initrd|set superusers=)")(text)
    return re.sub(r"(set superusers=)\S.*", r"\1users", kept)


def _command_line(text: str) -> str:
    """What the kernel was told of the IOMMU."""
    return " ".join(word for word in text.split() if re.match(r"pcie_acs|.*iommu|vfio", word))


def _routes(text: str) -> str:
    """Through which interfaces the default route goes, and not to whom."""
    rows = [line.split() for line in text.splitlines()[1:]]
    ways = [f"{row[0]}\t00000000\t00000000\t0003\n" for row in rows if row[1] == "00000000"]
    return "".join(["Iface\tDestination\tGateway\tFlags\n", *ways])


def _mounts(text: str) -> str:
    """Where file systems lie, and not what they are called."""
    said = []
    for line in text.splitlines():
        fields = line.split()
        source = fields[fields.index("-") + 2]
        device = source if re.fullmatch(r"/dev/(sd|nvme|vd|md|dm-)[\w-]*", source) else "none"
        if device != "none" or not fields[2].startswith("0:"):  # not proc, sysfs and the like
            said.append(f"0 0 {fields[2]} / / rw - x {device} rw\n")
    return "".join(said)


FILES: dict[str, Callable[[str], str]] = {
    "etc/os-release": _lines("ID=|VERSION_ID="),
    "proc/cpuinfo": _cpu,
    "proc/meminfo": _lines("MemTotal:"),
    "proc/net/route": _routes,
    "proc/self/mountinfo": _mounts,
    "proc/driver/nvidia/gpus/*/information": _lines("Device Minor:"),
    "sys/devices/system/cpu/present": str,
    "sys/bus/pci/slots/*/address": str,
    "boot/config-*": _lines("CONFIG_XEN"),
    "boot/grub/grub.cfg": _grub,
    "etc/grub.d/20_linux_xen": _lines("CLASS="),
    "proc/cmdline": _command_line,
    "var/lib/gpusplit/gpu.json": str,
    **{f"sys/bus/pci/devices/*/{name}": str for name in DEVICE_FILES.split()},
}
"""Text files, and what is kept of each."""


def _domains(text: str) -> str:
    """`xl list` without the names of others' domains."""
    head, *rest = text.splitlines() or [""]
    said = [head]
    for number, line in enumerate(filter(str.strip, rest), 1):
        name, *fields = line.rsplit(None, 5)
        known = re.fullmatch(r"Domain-0|\(null\)|(gpu|cpu)\d+", name)
        said.append("\t".join([name if known else f"vm{number}", *fields]))
    return "\n".join(said)


def _free_space(text: str) -> str:
    """`df` without the names of disks."""
    rows = text.splitlines()
    return f"{rows[0]}\nx 0 0 {rows[-1].split()[-3]} 0% /boot\n" if len(rows) > 1 else ""


def _names(text: str) -> str:
    """One name a line, each by its number."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(f"vm{number}\n" for number, _ in enumerate(lines, 1))


COMMANDS: dict[str, Callable[[str], str]] = {
    "xl info": _lines("nr_cpus|total_memory|virt_caps|xen_(version|scheduler|commandline)"),
    "xl list": _domains,
    "sshd -T": _lines(
        "allowtcpforwarding|disableforwarding|permitrootlogin|usepam|kexalgorithms|hostkey"
        "|maxsessions|subsystem|permitopen"
    ),
    "virsh --connect qemu:///system list --name": _names,
    "ip -4 -o addr": str,
    " ".join(BOOT_SPACE): _free_space,
    " ".join(INITRDS): str,
    "grub-probe --target=abstraction /boot/grub": str,
    "grub-probe --target=fs /boot/grub": str,
    "lspci -Dnnk": str,  # for who reads it
}
"""What is asked, and what is kept of each answer."""


def record(root: Path, run: Run, host: str) -> dict[str, Any]:
    """What lies below a root folder and what commands answer; host is its name, to be left out."""
    root = root.resolve()
    links = {place: os.readlink(path) for place, path in _found(root, LINKS) if path.is_symlink()}
    files = {}
    for pattern, keep in FILES.items():
        for place, path in _found(root, (pattern,)):
            text = keep(_content(path).decode(errors="replace")).rstrip("\n")
            if path.is_file():
                files[place] = anonymous(text, host)
    binary = {place: _content(path).hex() for place, path in _found(root, BINARY)}
    files |= {place: "" for place, _ in _found(root, PRESENT)}
    files |= _programs(root, links)
    said = {words: run(*words.split()) for words in COMMANDS if words != "sshd -T"}
    said["sshd -T"] = sshd_settings(run)
    commands = {words: anonymous(keep(said[words]), host) for words, keep in COMMANDS.items()}
    return {
        "files": dict(sorted(files.items())),
        "binary": binary,
        "links": dict(sorted(links.items())),
        "commands": {words: out for words, out in commands.items() if out.strip()},
    }


def _content(path: Path) -> bytes:
    """What is in a file; nothing where it may not be read, as by others than root."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def _found(root: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """What matches, in sysfs each under its place without links on the way."""
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            inside = pattern.startswith("sys/")
            place = path.parent.resolve() / path.name if inside else path
            if place.is_relative_to(root):
                yield str(place.relative_to(root)), path


def _programs(root: Path, links: dict[str, str]) -> dict[str, str]:
    """Programs that are VMs, or have a GPU open; their links are added to links."""
    files = {}
    for path in (root / "proc").glob("[0-9]*/comm"):
        folder = path.parent
        try:
            name = path.read_text()
            opened = {file.name: os.readlink(file) for file in (folder / "fd").glob("*")}
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue  # it has ended meanwhile, or is not ours to look at
        place = str(folder.relative_to(root))
        gpus = {k: v for k, v in opened.items() if v.startswith(("/dev/dri/", "/dev/nvidia"))}
        links.update({f"{place}/fd/{number}": target for number, target in gpus.items()})
        if is_vm(name, words):
            files |= {f"{place}/comm": name, f"{place}/cmdline": words[0]}
        elif gpus:
            files[f"{place}/comm"] = name
    return files


def anonymous(text: str, host: str) -> str:
    """Without the host's name, hardware addresses, identifiers of disks, and public addresses.

    Private IPv4 addresses stay: whether the guests' network is free is asked of them.
    """
    if host:
        text = re.sub(rf"\b{re.escape(host)}\b", "host", text)
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "0" * 8, text, flags=re.I)
    text = re.sub(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "02:00:00:00:00:00", text, flags=re.I)
    text = re.sub(r"\benx[0-9a-f]{12}\b", "enx020000000000", text)
    return re.sub(r"\b(\d{1,3}\.){3}\d{1,3}\b", _address, text)


def _address(found: re.Match[str]) -> str:
    private = r"10\.|127\.|192\.168\.|169\.254\.|0\.|172\.(1[6-9]|2\d|3[01])\.|255\."
    return found[0] if re.match(private, found[0]) else "192.0.2.1"


def unfold(recorded: dict[str, Any], root: Path) -> Run:
    """Make a folder that stands for the host; returns what answers in place of its commands."""
    for place, text in recorded.get("files", {}).items():
        _place(root, place).write_text(text)
    for place, digits in recorded.get("binary", {}).items():
        _place(root, place).write_bytes(bytes.fromhex(digits))
    for place, target in recorded.get("links", {}).items():
        _place(root, place).symlink_to(target)
    answers = recorded.get("commands", {})
    return lambda *argv: str(answers.get(" ".join(argv), ""))


def _place(root: Path, place: str) -> Path:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
