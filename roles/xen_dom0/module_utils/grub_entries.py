"""What GRUB boots: the entries with and without Xen, and the variables that choose between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entries:
    """Identifiers of GRUB's entries: the first with Xen, the first without."""

    xen: str
    linux: str


def entries(config: str) -> Entries:
    """Read the top-level entries that update-grub made (20_linux_xen, 10_linux).

    By identifier, because titles are translated. Raises LookupError where one is missing.
    """
    identifiers = re.findall(r"^menuentry .*\$menuentry_id_option '([^']+)'", config, re.MULTILINE)

    def first(prefix: str, what: str) -> str:
        for identifier in identifiers:
            if identifier.startswith(prefix):
                return str(identifier)
        raise LookupError(
            f"GRUB's configuration has no entry {what}: see what `update-grub` says, and whether "
            "the packages of Xen and of a kernel are installed."
        )

    return Entries(first("xen-gnulinux-", "with Xen"), first("gnulinux-", "without Xen"))


def wanted(boots: str, entry: Entries, before: dict[str, str], trial: bool) -> dict[str, str]:
    """The two variables that make GRUB boot so; an empty one is to be unset."""
    if boots == "before":
        return {"saved_entry": before.get("saved_entry", ""), "next_entry": ""}
    if boots == "trial" and trial:
        return {"saved_entry": entry.linux, "next_entry": entry.xen}
    return {"saved_entry": entry.xen, "next_entry": ""}


def boots_xen(folder: Path) -> bool:
    """Whether GRUB boots Xen now and later, by its configuration and its environment block."""
    try:
        values = wanted("xen", entries((folder / "grub.cfg").read_text()), {}, trial=False)
        lines = (folder / "grubenv").read_text().splitlines()
    except (LookupError, OSError):
        return False
    now = dict(line.split("=", 1) for line in lines if "=" in line)
    return all(now.get(name, "") == value for name, value in values.items())
