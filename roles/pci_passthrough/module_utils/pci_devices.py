"""The PCI devices of a host, as sysfs shows them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VENDORS = {"nvidia": "10de", "amd": "1002", "intel": "8086"}
"""PCI vendor ids of those who make GPUs that compute."""

ACCELERATORS = ("10de", "1002")
"""Whose processing accelerators (class 1200) are GPUs. Intel's are NPUs."""

PCIBACK = "pciback"
"""The driver that keeps a device for a guest."""

BDF = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True)
class Device:
    """One function of a PCI device."""

    bdf: str
    """domain:bus:device.function."""
    vendor: str
    device: str
    class_: str
    """Four hexadecimal digits: base class and subclass; 03xx is a display controller."""
    subsystem: str = ""
    """Vendor and device of who made the card: `1043:8747`."""
    serial: str = ""
    """The PCI Express serial number, as lspci writes it; most cards have none."""
    slot_name: str = ""
    """What the firmware calls the slot that it is in; desktop boards' have no names."""
    driver: str = ""
    module: str = ""
    """The kernel module that the driver came with; empty for one that is built in."""
    boot_display: bool = False
    """Whether the firmware showed its messages on it."""
    group: str = ""
    """IOMMU group; empty where Linux does not run the IOMMU (also: under Xen)."""
    bridges: tuple[str, ...] = ()
    """Addresses of the bridges on the way to it, the root port first."""
    physical: str = ""
    """Of a virtual function, the address of the physical one."""
    virtual_functions: int = 0
    """How many virtual functions it has now."""
    mediated_devices: int = 0
    """How many parts of it (vGPU, GVT-g) VMs have, or are to have."""
    resets: tuple[str, ...] | None = ()
    """Ways in which Linux can reset it; None where the kernel does not say."""

    @property
    def ids(self) -> str:
        return f"{self.vendor}:{self.device}"

    @property
    def is_gpu(self) -> bool:
        """Displays (0300), 3D (0302) and other display controllers (0380), accelerators."""
        accelerator = self.class_ == "1200" and self.vendor in ACCELERATORS
        return accelerator or self.class_.startswith("03")

    @property
    def is_bridge(self) -> bool:
        """Not NVSwitch, which calls itself a bridge of another kind (0680) and has memory."""
        return self.class_.startswith("06") and self.class_ != "0680"

    @property
    def slot(self) -> str:
        return self.bdf.rpartition(".")[0]

    def __str__(self) -> str:
        driver = f", driver {self.driver}" if self.driver else ""
        return f"{self.bdf} ({self.ids}, class {self.class_}{driver})"


def read_devices(sys: Path = Path("/sys")) -> dict[str, Device]:
    """Read every device from sysfs, by address."""
    slots = {}
    for path in sorted((sys / "bus/pci/slots").glob("*/address")):
        slots[path.read_text().strip()] = path.parent.name
    # Each lies in the folder of the function that it is a part of.
    parts = Counter(
        at[-1]
        for path in (sys / "bus/mdev/devices").glob("*")
        if (at := BDF.findall(os.readlink(path)))
    )
    return {
        folder.name: _read(folder, slots, parts[folder.name])
        for folder in sorted((sys / "bus/pci/devices").glob("*"))
    }


def _read(folder: Path, slots: Mapping[str, str], parts: int) -> Device:
    def word(name: str) -> str:
        path = folder / name
        return path.read_text().strip().removeprefix("0x") if path.exists() else ""

    def target(name: str) -> str:
        path = folder / name
        return path.resolve().name if path.is_symlink() else ""

    subsystem = f"{word('subsystem_vendor')}:{word('subsystem_device')}"
    resets = (folder / "reset_method").exists()
    bridges = tuple(BDF.findall(str(folder.resolve())))[:-1]
    # A slot's name is known at the bus behind its port, where the card may have a switch first.
    places = [bdf.rpartition(".")[0] for bdf in (*bridges, folder.name)]
    return Device(
        bdf=folder.name,
        vendor=word("vendor"),
        device=word("device"),
        class_=word("class")[:4],
        subsystem="" if subsystem == ":" else subsystem,
        serial=_serial(folder / "config") if word("class")[:2] in {"03", "12"} else "",
        slot_name=next((slots[place] for place in places if place in slots), ""),
        driver=target("driver"),
        module=target("driver/module"),
        boot_display=word("boot_vga") == "1",
        group=target("iommu_group"),
        bridges=bridges,
        physical=target("physfn"),
        virtual_functions=int(word("sriov_numvfs") or 0),
        mediated_devices=parts,
        resets=tuple(word("reset_method").split()) if resets else None,
    )


def _serial(config: Path) -> str:
    """The serial number among the extended capabilities (PCI Express base specification, 7.9.3).

    Reads no more than their headers, for there are devices that bear no more.
    """
    try:
        space = os.open(config, os.O_RDONLY)
    except OSError:
        return ""
    try:
        at, seen = 0x100, set()
        while at and at not in seen:
            seen.add(at)
            header = int.from_bytes(os.pread(space, 4, at), "little")
            if header & 0xFFFF == 0x0003:
                return "-".join(f"{byte:02x}" for byte in reversed(os.pread(space, 8, at + 4)))
            at = header >> 20 & ~3
    except OSError:
        pass
    finally:
        os.close(space)
    return ""
