"""Which PCI functions are the card to pass through: found once, and known again by what it is.

The preflight and the roles ask the same function, `the_card`. What it found is written down by
identity, because addresses move when a card is added or taken out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.pci_devices import PCIBACK, VENDORS, Device

FIND = "find"
"""In place of an address: the only GPU that there is."""

RECORD = "gpu.json"
"""Name of the file that the card is written down in, in the lab's folder on the host."""

HOW = (
    "Set gpu_bdf to an address as `lspci -D` writes it, with domain and function (0000:01:00.0), "
    "to vendor:device (10de:2204), to slot=NAME or to serial=NUMBER."
)


@dataclass(frozen=True)
class Identity:
    """What a card is, wherever it is; and how it was asked for."""

    asked: str
    vendor: str
    ids: str
    subsystem: str
    serial: str
    slot: str
    bdf: str
    """Where it was when it was written down: tells twins apart that nothing else does."""
    modules: tuple[str, ...] = ()
    """Kernel modules that had a function of it before pciback did."""


def read_record(folder: Path) -> Identity | None:
    """What was written down in a folder; None where nothing was.

    Raises LookupError for a file that is none of ours.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        known = json.loads(path.read_text())
        return Identity(**{**known, "modules": tuple(known["modules"])})
    except (ValueError, TypeError, KeyError) as error:
        raise LookupError(f"{path} cannot be understood ({error}): remove it.") from error


def record_text(identity: Identity) -> str:
    return json.dumps(asdict(identity), indent=2) + "\n"


def functions(devices: Mapping[str, Device], bdf: str) -> list[Device]:
    """All functions of the card that an address belongs to, the GPU first: a card's sound and USB
    must go where the card goes, also from behind the card's own switch (Intel's Arc).

    Beside a GPU in the CPU are functions of the board: its maker's alone are the GPU's, or the
    host would lose its USB (AMD's: 1002 is the GPU's, 1022 the CPU's).
    """
    one = devices[bdf]
    if one.physical:
        return [one]
    top = _own_switch(devices, one)
    card = [
        device
        for device in devices.values()
        if not device.physical
        and (
            (device.slot == one.slot and (device.vendor == one.vendor or not one.is_gpu))
            or (top and top in device.bridges and not device.is_bridge)
        )
    ]
    return sorted(card, key=lambda device: (not device.is_gpu, device.bdf))


def _own_switch(devices: Mapping[str, Device], one: Device) -> str:
    """The upper end of the switch that is on the card; empty where there is none.

    Both ends of it are its GPU's maker's, and nothing is between it and the GPU. Intel makes
    Thunderbolt's switches too, with other devices behind them: on a card are only its own.
    """
    *before, upper, lower = ("", "", *one.bridges)
    if not one.is_gpu or not any(before):  # the root port is the board's
        return ""
    if any(bdf not in devices or devices[bdf].vendor != one.vendor for bdf in (upper, lower)):
        return ""
    behind = [device for device in devices.values() if upper in device.bridges]
    own = all(device.is_bridge or device.is_gpu or _goes_with_gpus(device) for device in behind)
    return upper if own and _same_card(behind) else ""


def _goes_with_gpus(device: Device) -> bool:
    """Sound (0403), USB-C (0c03) and its controller (0c80)."""
    return device.class_ in {"0403", "0c03", "0c80"}


def _same_card(behind: list[Device]) -> bool:
    """Whether what is behind a switch is of one maker, as on a card."""
    return len({device.vendor for device in behind}) == 1


def gpus(devices: Mapping[str, Device], vendor: str = "any") -> list[Device]:
    """The GPUs of a vendor, or of any in VENDORS: one function for each, none of them virtual."""
    makers = set(VENDORS.values()) if vendor == "any" else {VENDORS[vendor]}
    return [
        device
        for device in devices.values()
        if device.is_gpu and device.vendor in makers and not device.physical
    ]


def the_card(
    devices: Mapping[str, Device], asked: str, vendor: str = "any", known: Identity | None = None
) -> list[Device]:
    """All functions of the card that is meant, the GPU first.

    As it was written down, as long as the same is asked for; otherwise as asked (see HOW), or the
    only one (FIND): of several, the only one that is not the host's boot display. Raises
    LookupError with what to do about it.
    """
    if known and (known.asked, known.vendor) == (asked, vendor):
        return functions(devices, _known_again(devices, known).bdf)
    there = gpus(devices, vendor)
    listed = "; ".join(map(str, there)) or "none"
    if asked == FIND:
        others = [device for device in there if not device.boot_display]
        chosen = there if len(there) == 1 else others
        return functions(devices, _only(chosen, f"vendor {vendor}", listed).bdf)
    if re.fullmatch(r"\d+\.\d+", asked):
        raise LookupError(
            f"gpu_bdf is the number {asked}: YAML takes an address like 0000:01:00.0 for "
            f"minutes and seconds. Put it in quotes. GPUs here: {listed}."
        )
    if not asked.startswith("slot="):  # whose names are the firmware's
        asked = asked.lower()  # as sysfs writes addresses, ids and serial numbers
    kind, _, value = asked.rpartition("=")
    if kind in {"slot", "serial"} and value:
        name = "slot_name" if kind == "slot" else kind
        chosen = [device for device in there if getattr(device, name) == value]
        return functions(devices, _only(chosen, asked, listed).bdf)
    if re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", asked):
        chosen = [device for device in there if device.ids == asked]
        return functions(devices, _only(chosen, asked, listed).bdf)
    if asked not in devices:
        raise LookupError(f"There is no PCI device {asked}. GPUs here: {listed}. {HOW}")
    card = functions(devices, asked)
    if vendor != "any" and card[0].vendor != VENDORS[vendor]:
        raise LookupError(
            f"{card[0]} is not {vendor}'s, as gpu_vendor says. GPUs here: {listed}. {HOW}"
        )
    return card


def _only(chosen: list[Device], what: str, listed: str) -> Device:
    if len(chosen) == 1:
        return chosen[0]
    question = "Which GPU is meant?" if chosen else "No such GPU is here."
    raise LookupError(f"{question} There are ({what}): {listed}. {HOW}")


def _known_again(devices: Mapping[str, Device], known: Identity) -> Device:
    """The function that a card was written down by, wherever it is now."""
    alike = [
        device
        for device in devices.values()
        if (device.ids, device.subsystem) == (known.ids, known.subsystem) and not device.physical
    ]
    if known.serial:
        alike = [device for device in alike if device.serial in {known.serial, ""}]
    # Of twins: the one in the slot, or at the address; a card alone may be anywhere.
    for name, value in (("serial", known.serial), ("slot_name", known.slot), ("bdf", known.bdf)):
        exact = [device for device in alike if value and getattr(device, name) == value]
        if len(alike) > 1 and exact:
            alike = exact
    if len(alike) == 1:
        return alike[0]
    there = "; ".join(map(str, alike or gpus(devices))) or "none"
    raise LookupError(
        f"The card that this lab was made with ({known.ids}, then at {known.bdf}) "
        f"{'has twins, and is at that address no more' if alike else 'is not there any more'}. "
        f"GPUs here: {there}. Where another one is meant, remove {RECORD} in the lab's folder on "
        "the host (/var/lib/gpusplit)."
    )


def identify(
    card: list[Device], asked: str, vendor: str, known: Identity | None = None
) -> Identity:
    """What is to be written down of a card; of its drivers, those that it had before too."""
    gpu = card[0]
    same = known and (known.ids, known.subsystem) == (gpu.ids, gpu.subsystem)
    modules = set(known.modules) if known and same else set()
    modules |= {
        device.module or device.driver
        for device in card
        if device.driver and device.driver != PCIBACK
    }
    return Identity(
        asked=asked,
        vendor=vendor,
        ids=gpu.ids,
        subsystem=gpu.subsystem,
        serial=gpu.serial,
        slot=gpu.slot_name,
        bdf=gpu.bdf,
        modules=tuple(sorted(modules)),
    )


def hiding_rules(devices: Mapping[str, Device], card: list[Device]) -> list[dict[str, Any]]:
    """How to know each function of the card at the next boot, when it may be elsewhere.

    By its ids and the card maker's. Where another device has the same ones, by its address too:
    then it is not hidden at all when it has moved, which is better than to hide something else.
    """
    rules = []
    for device in card:
        twins = [
            other
            for other in devices.values()
            if (other.ids, other.subsystem) == (device.ids, device.subsystem)
        ]
        rule = {
            "ids": device.ids,
            "subsystem": device.subsystem,
            "bdf": device.bdf if len(twins) > 1 else "",
        }
        if rule not in rules:
            rules.append(rule)
    return rules


def warnings(card: list[Device], reserved: frozenset[str]) -> Iterator[str]:
    """What the operator should know of the card."""
    for device in card:
        if device.bdf in reserved:
            yield (
                f"The firmware has reserved memory for {device}: its guest may need "
                "guest_xl_lines: ['rdm=\"strategy=host,policy=relaxed\"']."
            )
        if device.resets == ():
            yield (
                f"Linux knows no way to reset {device}: when its guest ends it keeps its state, "
                "and may need a power cycle of the host."
            )
