"""A real host as a folder: the files of proc, sys, etc and boot that a preflight reads."""

from __future__ import annotations

from pathlib import Path

KERNEL = "6.1.0-18-amd64"
DOM0 = "".join(
    f"CONFIG_{name}=m\n"
    for name in ("XEN_DOM0", "XEN_PCIDEV_BACKEND", "XEN_BLKDEV_BACKEND", "XEN_NETDEV_BACKEND")
)
ROOT_PORT = "devices/pci0000:00/0000:00:01.0"


def table(name: bytes, head: bytes, *parts: bytes) -> bytes:
    """A table of ACPI with 12 bytes of its own before its parts."""
    body = head.ljust(12, b"\0") + b"".join(parts)
    return name + (36 + len(body)).to_bytes(4, "little") + bytes(28) + body


def dmar(*reserved_for: str, remapping: bool = True) -> bytes:
    """Intel's table, with memory reserved for functions on root buses or behind bridges
    (`00:01.0/00.0`: the function 00.0 behind the bridge 00:01.0).
    """
    parts = []
    for place in reserved_for:
        bus, _, rest = place.partition(":")
        hops = [hop.split(".") for hop in rest.split("/")]
        path = b"".join(bytes([int(dev, 16), int(function)]) for dev, function in hops)
        scope = bytes([1, 6 + len(path), 0, 0, 0, int(bus, 16)]) + path
        size = (24 + len(scope)).to_bytes(2, "little")
        parts.append(b"\1\0" + size + bytes(20) + scope)
    return table(b"DMAR", bytes([38, int(remapping)]), *parts)


def ivrs(*reserved_for: str) -> bytes:
    """AMD's table, with memory reserved for functions (`01:00.0`)."""
    parts = []
    for place in reserved_for:
        bus, dev, function = (int(part, 16) for part in place.replace(".", ":").split(":"))
        number = (bus << 8 | dev << 3 | function).to_bytes(2, "little")
        parts.append(b"\x21\1" + (32).to_bytes(2, "little") + number + bytes(26))
    return table(b"IVRS", b"", *parts)


class HostFolder:
    """A server with an NVIDIA card of two functions, its own display, a disk and a network card.

    Four CPUs with VT-x, an IOMMU, 32 GiB, Debian 12; nothing stops the lab on it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.system()
        self.hardware()

    def system(self) -> None:
        """What every host has, whatever is in it."""
        self.commands: dict[tuple[str, ...], str] = {
            ("ip", "-4", "-o", "addr"): "1: lo    inet 127.0.0.1/8 scope host lo\n"
            "2: eno1    inet 192.168.7.5/24 brd 192.168.7.255 scope global eno1\n",
            ("grub-probe", "--target=abstraction", "/boot/grub"): "\n",
            ("grub-probe", "--target=fs", "/boot/grub"): "ext2\n",
        }
        self.write("etc/os-release", 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
        self.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx ept\n\n" * 4)
        self.write("sys/devices/system/cpu/present", "0-3\n")
        self.write("proc/meminfo", f"MemTotal:  {32 * 1024**2} kB\nMemFree: 1 kB\n")
        self.write(f"boot/config-{KERNEL}", DOM0)
        self.write("usr/sbin/update-grub")
        self.write("boot/grub/grub.cfg", "menuentry 'Debian GNU/Linux' {\n}\n")
        self.table("DMAR", dmar())

    def hardware(self) -> None:
        """The card, the board's own display, a disk and a network card."""
        self.device("0000:00:01.0", "8086:1901", "060400", "pcieport", group=1)
        self.device("0000:01:00.0", "10de:1c82", "030000", "nouveau", group=1, below="0000:00:01.0")
        self.device(
            "0000:01:00.1", "10de:0fb9", "040300", "snd_hda_intel", group=1, below="0000:00:01.0"
        )
        self.device("0000:03:00.0", "1a03:2000", "030000", "ast", group=3, boot_vga=True)
        self.device("0000:04:00.0", "144d:a808", "010802", "nvme", group=4)
        self.device("0000:05:00.0", "8086:1533", "020000", "igb", group=5)
        self.disk("0000:04:00.0", "nvme0n1", "259:0", mounted=False)
        self.mapped("dm-0", "254:0", over="nvme0n1")
        self.network_card("0000:05:00.0", "eno1")
        self.default_route("eno1")

    def write(self, path: str, text: str = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def table(self, name: str, content: bytes) -> None:
        """A table of the firmware."""
        self.write(f"sys/firmware/acpi/tables/{name}").write_bytes(content)

    def link(self, path: str, target: str) -> None:
        """A link below the root to something else below it."""
        link = self.root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (len(link.parent.resolve().relative_to(self.root.resolve()).parts))
        link.symlink_to(f"{up}{target}")

    def device(
        self,
        bdf: str,
        ids: str,
        class_: str,
        driver: str = "",
        group: int | None = None,
        boot_vga: bool | None = None,
        below: str = "",
        subsystem: str = "1458:4000",
        module: str = "",
        resets: str | None = "flr bus",
    ) -> None:
        """A PCI function, below bridges (with slashes between) or below the root."""
        folder = f"sys/devices/pci0000:00/{below + '/' if below else ''}{bdf}"
        vendor, device = ids.split(":")
        self.write(f"{folder}/vendor", f"0x{vendor}\n")
        self.write(f"{folder}/device", f"0x{device}\n")
        self.write(f"{folder}/class", f"0x{class_}\n")
        maker, model = subsystem.split(":")
        self.write(f"{folder}/subsystem_vendor", f"0x{maker}\n")
        self.write(f"{folder}/subsystem_device", f"0x{model}\n")
        if resets is not None:
            self.write(f"{folder}/reset_method", f"{resets}\n")
        if boot_vga is not None:
            self.write(f"{folder}/boot_vga", f"{int(boot_vga)}\n")
        if driver:
            drivers = self.root / f"sys/bus/pci/drivers/{driver}"
            drivers.mkdir(parents=True, exist_ok=True)
            if module and not (drivers / "module").exists():
                (self.root / f"sys/module/{module}").mkdir(parents=True)
                self.link(f"sys/bus/pci/drivers/{driver}/module", f"sys/module/{module}")
            self.link(f"{folder}/driver", f"sys/bus/pci/drivers/{driver}")
        if group is not None:
            (self.root / f"sys/kernel/iommu_groups/{group}").mkdir(parents=True, exist_ok=True)
            self.link(f"{folder}/iommu_group", f"sys/kernel/iommu_groups/{group}")
        self.link(f"sys/bus/pci/devices/{bdf}", folder)

    def folder_of(self, bdf: str) -> str:
        real = (self.root / "sys/bus/pci/devices" / bdf).resolve()
        return str(real.relative_to(self.root.resolve()))

    def disk(self, bdf: str, name: str, number: str, mounted: bool = True) -> None:
        """A disk behind a PCI device."""
        folder = f"{self.folder_of(bdf)}/block/{name}"
        (self.root / folder).mkdir(parents=True)
        self.link(f"sys/dev/block/{number}", folder)
        self.link(f"sys/class/block/{name}", folder)
        if mounted:
            self.mount(number, f"/dev/{name}")

    def mapped(self, name: str, number: str, over: str) -> None:
        """A mounted volume of the device mapper (LVM, encryption) or RAID over a disk."""
        folder = f"sys/devices/virtual/block/{name}"
        (self.root / folder / "slaves").mkdir(parents=True)
        self.link(f"{folder}/slaves/{over}", f"sys/class/block/{over}")
        self.link(f"sys/dev/block/{number}", folder)
        self.mount(number, f"/dev/mapper/{name}")

    def mount(self, number: str, source: str) -> None:
        path = self.root / "proc/self/mountinfo"
        before = path.read_text() if path.exists() else ""
        self.write("proc/self/mountinfo", f"{before}22 1 {number} / / rw - ext4 {source} rw\n")

    def network_card(self, bdf: str, name: str) -> None:
        folder = f"{self.folder_of(bdf)}/net/{name}"
        (self.root / folder).mkdir(parents=True)
        self.link(f"sys/class/net/{name}", folder)

    def bridge(self, name: str, over: str) -> None:
        folder = f"sys/devices/virtual/net/{name}"
        (self.root / folder).mkdir(parents=True)
        self.link(f"{folder}/lower_{over}", f"sys/class/net/{over}")
        self.link(f"sys/class/net/{name}", folder)

    def default_route(self, interface: str) -> None:
        header = "Iface\tDestination\tGateway\tFlags\n"
        local = f"{interface}\t0007A8C0\t00000000\t0001\n"
        self.write("proc/net/route", f"{header}{interface}\t00000000\t0107A8C0\t0003\n{local}")

    def program(self, pid: int, name: str, *words: str, opens: str = "/dev/null") -> None:
        """A running program that has a file open."""
        self.write(f"proc/{pid}/comm", f"{name}\n")
        self.write(f"proc/{pid}/cmdline", "\0".join(words))
        (self.root / f"proc/{pid}/fd").mkdir()
        (self.root / f"proc/{pid}/fd/7").symlink_to(opens)

    def slot(self, name: str, bdf: str) -> None:
        """A slot of the board, and the bus that is in it."""
        self.write(f"sys/bus/pci/slots/{name}/address", bdf.rpartition(".")[0] + "\n")

    def serial(self, bdf: str, serial: str) -> None:
        """The serial number in a device's configuration space, after another capability."""
        digits = bytes.fromhex(serial.removeprefix("serial=").replace("-", ""))
        first = (0x0001 | 1 << 16 | 0x148 << 20).to_bytes(4, "little")  # error reporting
        second = (0x0003 | 1 << 16).to_bytes(4, "little") + digits[::-1]
        space = bytes(256) + first.ljust(0x48, b"\0") + second
        self.write(f"{self.folder_of(bdf)}/config").write_bytes(space.ljust(4096, b"\0"))

    def virtual_function(self, bdf: str, of: str, ids: str) -> None:
        """One more virtual function of a physical one."""
        below = self.folder_of(of).removeprefix("sys/devices/pci0000:00/").rpartition("/")[0]
        self.device(bdf, ids, "030200", below=below)
        self.link(f"{self.folder_of(bdf)}/physfn", self.folder_of(of))
        numbers = self.root / self.folder_of(of) / "sriov_numvfs"
        before = int(numbers.read_text()) if numbers.exists() else 0
        numbers.write_text(f"{before + 1}\n")

    def package(self, name: str, version: str) -> None:
        """What apt would install of a package."""
        self.commands["apt-cache", "policy", name] = f"{name}:\n  Candidate: {version}\n"

    def run(self, *argv: str) -> str:
        if argv[:2] == ("apt-cache", "policy"):
            return "".join(self.commands.get((*argv[:2], name), "") for name in argv[2:])
        return self.commands.get(argv, "")
