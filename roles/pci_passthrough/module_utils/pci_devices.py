"""The PCI devices of a host, as sysfs shows them, and which of them is the GPU to pass through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VENDORS = {"nvidia": "10de", "amd": "1002", "intel": "8086"}
"""PCI vendor ids of those who make GPUs that compute."""

FIND = "find"
"""In place of an address: the only GPU that there is."""


@dataclass(frozen=True)
class Device:
    """One function of a PCI device."""

    bdf: str
    """domain:bus:device.function."""
    vendor: str
    device: str
    class_: str
    """Four hexadecimal digits: base class and subclass; 03xx is a display controller."""
    driver: str = ""
    boot_display: bool = False
    """Whether the firmware showed its messages on it."""
    group: str = ""
    """IOMMU group; empty where Linux does not run the IOMMU (also: under Xen)."""

    @property
    def is_display(self) -> bool:
        return self.class_.startswith("03")

    @property
    def is_bridge(self) -> bool:
        return self.class_.startswith("06")

    @property
    def slot(self) -> str:
        return self.bdf.rpartition(".")[0]

    def __str__(self) -> str:
        driver = f", driver {self.driver}" if self.driver else ""
        return f"{self.bdf} ({self.vendor}:{self.device}, class {self.class_}{driver})"


def read_devices(sys: Path = Path("/sys")) -> dict[str, Device]:
    """Read every device from sysfs, by address."""

    def word(path: Path) -> str:
        return path.read_text().strip().removeprefix("0x") if path.exists() else ""

    def target(path: Path) -> str:
        return path.resolve().name if path.is_symlink() else ""

    return {
        folder.name: Device(
            bdf=folder.name,
            vendor=word(folder / "vendor"),
            device=word(folder / "device"),
            class_=word(folder / "class")[:4],
            driver=target(folder / "driver"),
            boot_display=word(folder / "boot_vga") == "1",
            group=target(folder / "iommu_group"),
        )
        for folder in sorted((sys / "bus/pci/devices").glob("*"))
    }


def functions(devices: Mapping[str, Device], bdf: str) -> list[Device]:
    """All functions of the card that an address belongs to, the display first: a card's sound
    and USB must go where the card goes.
    """
    slot = bdf.rpartition(".")[0]
    card = [device for device in devices.values() if device.slot == slot]
    return sorted(card, key=lambda device: (not device.is_display, device.bdf))


def gpus(devices: Mapping[str, Device], vendor: str = "any") -> list[Device]:
    """The GPUs of a vendor, or of any in VENDORS: one function for each."""
    makers = set(VENDORS.values()) if vendor == "any" else {VENDORS[vendor]}
    return [device for device in devices.values() if device.is_display and device.vendor in makers]


def find_gpu(devices: Mapping[str, Device], bdf: str, vendor: str = "any") -> list[Device]:
    """All functions of the GPU at an address; with FIND, of the only one there is.

    Of several, the only one that is not the host's boot display. Raises LookupError with what
    to do about it.
    """
    there = gpus(devices, vendor)
    listed = "; ".join(map(str, there)) or "none"
    if bdf == FIND:
        others = [device for device in there if not device.boot_display]
        chosen = there if len(there) == 1 else others
        if len(chosen) != 1:
            raise LookupError(
                f"Which GPU is meant? There are (vendor {vendor}): {listed}. "
                "Set gpu_bdf to the address of one."
            )
        bdf = chosen[0].bdf
    if bdf not in devices:
        raise LookupError(
            f"There is no PCI device {bdf}. GPUs here: {listed}. Set gpu_bdf to an address as "
            "`lspci -D` writes it, with domain and function (0000:01:00.0)."
        )
    return functions(devices, bdf)
