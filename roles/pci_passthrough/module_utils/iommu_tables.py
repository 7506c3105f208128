"""What the firmware's tables say of the IOMMU: DMAR (Intel VT-d 8.1) and IVRS (AMD IOMMU 5.2).

Under Xen, dom0 finds Intel's under the name XMAR: Xen renames it, so that dom0 leaves it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.pci_devices import Device

NAMES = ("DMAR", "XMAR", "IVRS")


@dataclass(frozen=True)
class Tables:
    """What was found."""

    kind: str = ""
    """Name of the table; empty where there is none, so no IOMMU that is switched on."""
    remapping: bool | None = None
    """Whether interrupts can be remapped; None where the table does not say (AMD's never does)."""
    reserved: frozenset[str] = frozenset()
    """Addresses of functions that the firmware has reserved memory for."""


def read_tables(sys: Path, devices: Mapping[str, Device]) -> Tables:
    """Read them from sysfs; a table that may not be read, or is cut short, says its name alone."""
    for name in NAMES:
        path = sys / "firmware/acpi/tables" / name
        if path.exists():
            try:
                table = path.read_bytes()
            except PermissionError:
                table = b""
            return _ivrs(table, devices) if name == "IVRS" else _dmar(name, table, devices)
    return Tables()


def _structures(table: bytes) -> Iterator[bytes]:
    """The table's parts, each of which says its length in its third and fourth byte."""
    at = 48
    while at + 4 <= len(table):
        size = int.from_bytes(table[at + 2 : at + 4], "little")
        if size < 4:
            return
        yield table[at : at + size]
        at += size


def _dmar(name: str, table: bytes, devices: Mapping[str, Device]) -> Tables:
    if len(table) < 48:
        return Tables(name)
    reserved = set()
    for part in _structures(table):
        if int.from_bytes(part[:2], "little") == 1:  # reserved memory region
            segment, at = int.from_bytes(part[6:8], "little"), 24
            while at + 6 <= len(part) and part[at + 1] >= 6:
                scope = part[at : at + part[at + 1]]
                reserved |= _behind(devices, segment, scope[5], scope[6:])
                at += len(scope)
    return Tables(name, bool(table[37] & 1), frozenset(reserved))


def _behind(devices: Mapping[str, Device], segment: int, bus: int, path: bytes) -> set[str]:
    """The function that a path of device and function numbers leads to, from bridge to bridge."""
    place = ""
    for device, function in zip(path[::2], path[1::2], strict=False):
        ending = f":{device:02x}.{function}"
        if not place:
            place = f"{segment:04x}:{bus:02x}{ending}"
        else:
            below = [
                found.bdf
                for found in devices.values()
                if found.bridges[-1:] == (place,) and found.bdf.endswith(ending)
            ]
            place = below[0] if below else "nowhere"
    return {place} & devices.keys()


def _ivrs(table: bytes, devices: Mapping[str, Device]) -> Tables:
    reserved = set()
    for part in _structures(table):
        if part[0] in {0x20, 0x21, 0x22} and len(part) >= 32:  # for all, for one, for a range
            first = last = int.from_bytes(part[4:6], "little")
            if part[0] == 0x20:
                first, last = 0, 0xFFFF
            if part[0] == 0x22:
                last = int.from_bytes(part[6:8], "little")
            reserved |= {bdf for bdf in devices if first <= _number(bdf) <= last}
    return Tables("IVRS", None, frozenset(reserved))


def _number(bdf: str) -> int:
    """An address as the IOMMU counts it; -1 outside the first domain."""
    domain, bus, rest = bdf.split(":")
    device, function = rest.split(".")
    return -1 if int(domain, 16) else int(bus, 16) << 8 | int(device, 16) << 3 | int(function)
