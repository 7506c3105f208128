"""What a Linux host says of itself, as far as it matters to a Xen host with a GPU to pass through.

Everything is read below a root folder and by commands that are handed in, so that a folder of
files can be asked too. Nothing is changed.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.pci_devices import Device, read_devices

Run = Callable[..., str]
"""Runs a program and returns its output; empty where it is missing or fails."""

SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
BDF = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True)
class Facts:
    """One host. Sizes are in MiB."""

    user: int = 0
    """Effective user id."""
    machine: str = "x86_64"
    distribution: str = ""
    """As os-release has it: `debian 12`."""
    cpus: int = 0
    cpu_flags: frozenset[str] = frozenset()
    memory: int = 0
    disk_free: int = 0
    disk_ours: int = 0
    """What the lab's own files take already."""
    acpi_tables: frozenset[str] = frozenset()
    xen: dict[str, str] = field(default_factory=dict)
    """`xl info`; empty where Xen does not run."""
    secure_boot: bool = False
    devices: dict[str, Device] = field(default_factory=dict)
    gpu_users: dict[str, list[str]] = field(default_factory=dict)
    """By the address of a GPU, the programs that have it open: `Xorg (1234)`."""
    disks_behind: frozenset[str] = frozenset()
    """Addresses of PCI devices that lead to the disks of mounted file systems."""
    network_behind: frozenset[str] = frozenset()
    """Addresses of PCI devices that lead to the default route."""
    kernels: dict[str, frozenset[str]] = field(default_factory=dict)
    """By version of an installed kernel, the options that its configuration has on."""
    packages: dict[str, str] = field(default_factory=dict)
    """By package asked for, the version that can be installed; empty for none."""
    networks: dict[str, str] = field(default_factory=dict)
    """By interface, its IPv4 network as address/prefix."""
    update_grub: bool = False
    boot_abstraction: str = ""
    boot_file_system: str = ""


def gather(root: Path, run: Run, folder: str, packages: Iterable[str]) -> Facts:
    """Ask a host; folder is where the lab's files will lie on it."""
    cpuinfo = (root / "proc/cpuinfo").read_text()
    xen = dict(re.findall(r"^(\w+)\s*:\s*(.*?)\s*$", run("xl", "info"), re.MULTILINE))
    return Facts(
        user=os.geteuid(),
        machine=platform.machine(),
        distribution=_distribution(root),
        cpus=int(xen["nr_cpus"]) if xen else _cpus(root),
        cpu_flags=frozenset(re.findall(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)[0].split()),
        memory=int(xen["total_memory"]) if xen else _memory(root),
        disk_free=_free(root / folder.lstrip("/")),
        disk_ours=_taken(root / folder.lstrip("/")),
        acpi_tables=frozenset(path.name for path in (root / "sys/firmware/acpi/tables").glob("*")),
        xen=xen,
        secure_boot=_secure_boot(root),
        devices=read_devices(root / "sys"),
        gpu_users=_gpu_users(root),
        disks_behind=_disks_behind(root),
        network_behind=_network_behind(root),
        kernels=_kernels(root),
        packages={name: _candidate(run("apt-cache", "policy", name)) for name in packages},
        networks=dict(re.findall(r"^\d+: (\S+)\s+inet (\S+)", run("ip", "-4", "-o", "addr"), re.M)),
        update_grub=(root / "usr/sbin/update-grub").exists(),
        boot_abstraction=run("grub-probe", "--target=abstraction", "/boot/grub").strip(),
        boot_file_system=run("grub-probe", "--target=fs", "/boot/grub").strip(),
    )


def _distribution(root: Path) -> str:
    pairs = re.findall(r'^(\w+)="?([^"\n]*)"?$', (root / "etc/os-release").read_text(), re.M)
    release = dict(pairs)
    return f"{release.get('ID', '')} {release.get('VERSION_ID', '')}"


def _cpus(root: Path) -> int:
    """CPUs that there are, also those that Linux was told to leave alone."""
    present = (root / "sys/devices/system/cpu/present").read_text().strip()
    ranges = (part.partition("-") for part in present.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


def _memory(root: Path) -> int:
    found = re.search(r"^MemTotal:\s*(\d+)", (root / "proc/meminfo").read_text(), re.MULTILINE)
    assert found, "proc(5): MemTotal is always there"
    return int(found[1]) // 1024


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize // 1024**2


def _taken(folder: Path) -> int:
    files = (path for path in folder.glob("**/*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_blocks * 512 for path in files) // 1024**2


def _secure_boot(root: Path) -> bool:
    try:
        # Four bytes of attributes, then the value.
        return (root / SECURE_BOOT).read_bytes()[4:5] == b"\x01"
    except OSError:
        return False


def _addresses(path: Path) -> frozenset[str]:
    """The PCI devices on the way to a device of sysfs."""
    return frozenset(BDF.findall(str(path.resolve())))


def _disks_behind(root: Path) -> frozenset[str]:
    """Through LVM, RAID and encryption down to the disks of what is mounted."""
    numbers = set()
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        source = fields[fields.index("-") + 2]
        numbers.add(root / "sys/dev/block" / fields[2])
        # Of btrfs the number is nobody's.
        numbers.add(root / "sys/class/block" / Path(source).name)
    waiting, seen, found = [path for path in numbers if path.exists()], set(), set()
    while waiting:
        path = waiting.pop().resolve()
        if path not in seen:
            seen.add(path)
            found |= _addresses(path)
            waiting += (path / "slaves").glob("*")
    return frozenset(found)


def _network_behind(root: Path) -> frozenset[str]:
    """Through bridges, bonds and VLANs down to the cards of the default route."""
    routes = [line.split() for line in (root / "proc/net/route").read_text().splitlines()[1:]]
    net = root / "sys/class/net"
    waiting, seen, found = [r[0] for r in routes if r[1] == "00000000"], set(), set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            found |= _addresses(net / name)
            waiting += [path.name.removeprefix("lower_") for path in (net / name).glob("lower_*")]
    return frozenset(found)


def _gpu_users(root: Path) -> dict[str, list[str]]:
    """Who has the device file of a GPU open."""
    nodes = {
        f"/dev/dri/{path.name}": (path / "device").resolve().name
        for path in (root / "sys/class/drm").glob("*")
        if re.fullmatch(r"(card|renderD)\d+", path.name)
    }
    for path in (root / "proc/driver/nvidia/gpus").glob("*/information"):
        if minor := re.search(r"Device Minor:\s*(\d+)", path.read_text()):
            nodes[f"/dev/nvidia{minor[1]}"] = path.parent.name
    users: dict[str, set[str]] = {}
    for link in (root / "proc").glob("[0-9]*/fd/*"):
        try:
            bdf = nodes.get(os.readlink(link))
            if bdf:
                process = link.parent.parent
                name = (process / "comm").read_text().strip()
                users.setdefault(bdf, set()).add(f"{name} ({process.name})")
        except OSError:
            continue  # it has ended meanwhile
    return {bdf: sorted(names) for bdf, names in users.items()}


def _kernels(root: Path) -> dict[str, frozenset[str]]:
    configs = (root / "boot").glob("config-*")
    return {
        path.name.removeprefix("config-"): frozenset(
            re.findall(r"^CONFIG_(\w+)=[ym]$", path.read_text(), re.MULTILINE)
        )
        for path in configs
    }


def _candidate(policy: str) -> str:
    found = re.search(r"^\s*Candidate: (\S+)", policy, re.MULTILINE)
    return "" if not found or found[1] == "(none)" else found[1]


def network_of(address: str) -> ipaddress.IPv4Network:
    """The network that an address/prefix is in."""
    return ipaddress.ip_interface(address).network  # type: ignore[return-value]
