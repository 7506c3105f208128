"""What a Linux host says of itself, as far as it matters to a Xen host with a GPU to pass through.

Everything is read below a root folder and by commands that are handed in, so that a folder of
files can be asked too. Nothing is changed.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.iommu_tables import Tables, read_tables
from ansible.module_utils.pci_card import Identity, read_record
from ansible.module_utils.pci_devices import BDF, Device, read_devices

Run = Callable[..., str]
"""Runs a program and returns its output; empty where it is missing or fails."""

SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
LOADER = "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
"""What booted the host, in UTF-16; set by systemd-boot, and by GRUB since 2.12."""

HYPERVISORS = ("qemu-system", "qemu-kvm", "kvm", "cloud-hyperviso", "firecracker", "crosvm")
HYPERVISORS += ("VBoxHeadless", "VirtualBoxVM", "vmware-vmx")
"""How programs begin that are a running VM; /proc cuts names after 15 characters."""

BOOT_SPACE = ("df", "-Pm", "/boot")
INITRDS = ("find", "/boot", "-maxdepth", "1", "-name", "initrd.img-*", "-printf", r"%s\n")
"""Their sizes in bytes."""

PROXMOX = "usr/bin/pveversion"
DRACUT = "usr/bin/dracut"
INITRAMFS_TOOLS = "usr/sbin/mkinitramfs"

MANAGED = "etc/xen/gpusplit"
"""Where the lab's own guests have their configurations."""

BRIDGE_UNIT = "etc/systemd/system/gpusplit-bridge.service"


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
    tables: Tables = field(default_factory=Tables)
    """What the firmware says of the IOMMU."""
    xen: dict[str, str] = field(default_factory=dict)
    """`xl info`; empty where Xen does not run."""
    secure_boot: bool = False
    boot_loader: str = ""
    """As it calls itself, where it does: `systemd-boot 252.4`."""
    devices: dict[str, Device] = field(default_factory=dict)
    known_card: Identity | None = None
    """The card that the lab was made with."""
    other_vms: tuple[str, ...] = ()
    """Names of running VMs that are not the lab's."""
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
    removals: tuple[str, ...] = ()
    """Packages that apt would remove for those asked for."""
    boot_free: int | None = None
    """What is free in /boot; None where that is not known."""
    initrd: int = 0
    """How large the largest initramfs is."""
    networks: tuple[tuple[str, str], ...] = ()
    """Interfaces with their IPv4 networks as address/prefix; some have several."""
    interfaces: frozenset[str] = frozenset()
    our_bridge: bool = False
    """Whether the guests' bridge was made by the lab."""
    sshd: dict[str, str] = field(default_factory=dict)
    """The SSH server's settings, by their names in small letters; repeated ones with blanks."""
    update_grub: bool = False
    grub_password: bool = False
    """Whether GRUB boots Xen's entries for nobody without a password."""
    proxmox: bool = False
    dracut: bool = False
    """Whether dracut makes the initramfs, and initramfs-tools is not there."""
    groups_made_up: bool = False
    """Whether the kernel was told to show IOMMU groups that the hardware has not."""
    boot_abstraction: str = ""
    boot_file_system: str = ""


def gather(root: Path, run: Run, folder: str, packages: Sequence[str]) -> Facts:
    """Ask a host; folder is where the lab's files will lie on it."""
    cpuinfo = (root / "proc/cpuinfo").read_text()
    devices = read_devices(root / "sys")
    # Within a line: what is empty must not swallow the next one.
    xen = dict(re.findall(r"^(\w+)[ \t]*:[ \t]*(.*?)[ \t]*$", run("xl", "info"), re.MULTILINE))
    policy = run("apt-cache", "policy", *packages)
    return Facts(
        user=os.geteuid(),
        machine=platform.machine(),
        distribution=_distribution(root),
        cpus=int(xen["nr_cpus"]) if xen else _cpus(root),
        cpu_flags=frozenset(" ".join(re.findall(r"^flags\s*:(.*)$", cpuinfo, re.M)[:1]).split()),
        memory=int(xen["total_memory"]) if xen else _memory(root),
        disk_free=_free(root / folder.lstrip("/")),
        disk_ours=_taken(root / folder.lstrip("/")),
        tables=read_tables(root / "sys", devices),
        xen=xen,
        secure_boot=_secure_boot(root),
        boot_loader=_boot_loader(root),
        devices=devices,
        known_card=read_record(root / folder.lstrip("/")),
        other_vms=_other_vms(root, run, bool(xen)),
        gpu_users=_gpu_users(root),
        disks_behind=_disks_behind(root),
        network_behind=_network_behind(root),
        kernels=_kernels(root),
        packages=_candidates(policy, packages),
        removals=_removals(run, packages) if "Installed: (none)" in policy else (),
        boot_free=_boot_free(run(*BOOT_SPACE)),
        initrd=max(map(int, run(*INITRDS).split()), default=0) // 1024**2,
        networks=tuple(
            re.findall(r"^\d+: (\S+)\s+inet (\S+)", run("ip", "-4", "-o", "addr"), re.M)
        ),
        interfaces=frozenset(path.name for path in (root / "sys/class/net").glob("*")),
        our_bridge=(root / BRIDGE_UNIT).exists(),
        sshd=_settings(sshd_settings(run)),
        update_grub=(root / "usr/sbin/update-grub").exists()
        and (root / "boot/grub/grub.cfg").exists(),
        grub_password=_grub_password(root),
        proxmox=(root / PROXMOX).exists(),
        dracut=(root / DRACUT).exists() and not (root / INITRAMFS_TOOLS).exists(),
        groups_made_up="pcie_acs_override=" in _text(root / "proc/cmdline"),
        boot_abstraction=_probe(run, "abstraction") if _maps_disks(root) else "",
        boot_file_system=_probe(run, "fs"),
    )


def _probe(run: Run, target: str) -> str:
    """What GRUB's folder lies on; GRUB takes an emulated host a second to say so."""
    return run("grub-probe", f"--target={target}", "/boot/grub").strip()


def _maps_disks(root: Path) -> bool:
    """Whether there is LVM, RAID or encryption on the host, below GRUB's folder or not."""
    return any(re.match(r"dm-|md", path.name) for path in (root / "sys/class/block").glob("*"))


def _text(path: Path) -> str:
    """What is in a file; nothing where it is missing."""
    return path.read_text() if path.exists() else ""


def _grub_password(root: Path) -> bool:
    """GRUB with users asks for a password at each entry that is not --unrestricted.

    Who hardens a host often says that of Linux's entries alone (10_linux), and Xen's have a script
    of their own; where there are none yet, Linux's tell nothing of them.
    """
    config = _text(root / "boot/grub/grub.cfg")
    if not re.search(r"^\s*set superusers=\S", config, re.MULTILINE):
        return False
    xen = re.findall(r"^\s*menuentry .*'xen-gnulinux-.*$", config, re.MULTILINE)
    if not xen:
        return "--unrestricted" not in _text(root / "etc/grub.d/20_linux_xen")
    return any("--unrestricted" not in entry for entry in xen)


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


def _boot_loader(root: Path) -> str:
    try:
        return (root / LOADER).read_bytes()[4:].decode("utf-16-le", "replace").strip("\0 ")
    except OSError:
        return ""


def _other_vms(root: Path, run: Run, under_xen: bool) -> tuple[str, ...]:
    """Under Xen its domains; otherwise what libvirt says, and programs that are VMs."""
    ours = {path.stem for path in (root / MANAGED).glob("*.cfg")}
    if under_xen:
        # From the right: a name may hold blanks. One that is being torn down has none.
        rows = [line for line in run("xl", "list").splitlines()[1:] if line.strip()]
        names = {row.rsplit(None, 5)[0] for row in rows}
        return tuple(sorted(names - ours - {"Domain-0", "(null)"}))
    listed = run("virsh", "--connect", "qemu:///system", "list", "--name").splitlines()
    names = {name.strip() for name in listed if name.strip()}
    for path in (root / "proc").glob("[0-9]*/comm"):
        try:
            program = path.read_text().strip()
            words = path.with_name("cmdline").read_text().split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if is_vm(program, words):
            name = words[words.index("-name") + 1] if "-name" in words[:-1] else ""
            plain = name.split(",")[0].removeprefix("guest=")
            names.add(plain or f"{program} ({path.parent.name})")
    return tuple(sorted(names))


def is_vm(program: str, words: Sequence[str]) -> bool:
    """Whether a program is a running VM: by its name, or by its file where it has given itself
    another name (QEMU's -name process=). The kernel's threads have no words.
    """
    return bool(words[0]) and any(
        name.startswith(HYPERVISORS) for name in (program, Path(words[0]).name)
    )


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
    if not nodes:
        return {}  # and nobody's open files have to be read
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


def sshd_settings(run: Run) -> str:
    """What `sshd -T` says for who is logged in here; Match blocks count."""
    login = os.environ.get("SUDO_USER", "root")
    address, _, here, port = _connection()
    asked = f"user={login},host={address},addr={address}"
    # Match LocalPort and LocalAddress are errors where they are not told; older ones know neither.
    exact = f"{asked},laddr={here},lport={port}"
    return run("sshd", "-T", "-C", exact) or run("sshd", "-T", "-C", asked) or run("sshd", "-T")


def _connection() -> list[str]:
    """Who is connected to what: address and port of each; sudo keeps it from its programs."""
    process, said = os.getpid(), os.environ.get("SSH_CONNECTION", "")
    try:
        while not said and process > 1 and "SUDO_USER" in os.environ:
            folder = Path(f"/proc/{process}")
            found = re.search(
                rb"(?:^|\0)SSH_CONNECTION=([^\0]+)", (folder / "environ").read_bytes()
            )
            said = found[1].decode() if found else ""
            status = (folder / "stat").read_text()
            process = int(status.rpartition(")")[2].split()[1])
    except OSError:
        pass  # it is another's
    return said.split() if len(said.split()) == 4 else ["127.0.0.1", "0", "127.0.0.1", "22"]


def _settings(text: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for name, value in re.findall(r"^(\w+) (.*)$", text, re.MULTILINE):
        settings[name] = f"{settings[name]} {value}" if name in settings else value
    return settings


def _candidates(policy: str, packages: Sequence[str]) -> dict[str, str]:
    """By package the version that apt would install; it is silent of those it does not know."""
    found = dict(re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: ([^\s(]+)$", policy, re.M))
    return {name: found.get(name, "") for name in packages}


def _removals(run: Run, packages: Sequence[str]) -> tuple[str, ...]:
    """Packages that would have to go; apt tries it without doing it, and needs no lock for that."""
    said = run("apt-get", "-s", "--no-install-recommends", "install", *packages)
    return tuple(sorted(re.findall(r"^Remv (\S+)", said, re.MULTILINE)))


def _boot_free(said: str) -> int | None:
    rows = said.splitlines()
    return int(rows[-1].split()[-3]) if len(rows) > 1 else None


def network_of(address: str) -> ipaddress.IPv4Network:
    """The network that an address/prefix is in."""
    return ipaddress.ip_interface(address).network  # type: ignore[return-value]
