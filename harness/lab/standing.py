"""Does the lab stand as it would be built? What it was built from is remembered beside it.

Building checks every part of the lab, minutes inside the emulation. `make experiment` spares
that where nothing that the lab is made of has changed since; `make lab` never does.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SOURCES = ("site.yml", "playbooks", "roles", "inventory", "gpusplit", "harness/emugpu")
"""Files and folders of the checkout that end up in a lab."""

MADE = (".pyc", ".so")
"""Endings of what is made of these: a library that building the lab makes changes nothing."""

NAME = "built.json"


@dataclass(frozen=True)
class Built:
    """What a lab was built from, or would be."""

    cpu_vms: int
    options: str
    """Options given to ansible-playbook, as they were written."""
    sources: str
    """A hash of the sources."""


def sources_digest(root: Path = ROOT) -> str:
    """Return a hash of the names and contents of all that the lab is made of."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = root / source
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and file.suffix not in MADE:
                digest.update(str(file.relative_to(root)).encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def remember(folder: Path, built: Built) -> None:
    """Write down what the lab in a folder was built from; taking the lab down removes it."""
    (folder / "run" / NAME).write_text(f"{json.dumps(asdict(built))}\n")


def why_build(folder: Path, wanted: Built) -> str | None:
    """Say why the lab in a folder is not the wanted one; None if it is, or is larger."""
    try:
        built = Built(**json.loads((folder / "run" / NAME).read_text()))
    except (OSError, TypeError, ValueError):
        return "it is not known what it was built from"
    if built.cpu_vms < wanted.cpu_vms:
        return f"it has {built.cpu_vms} CPU VMs, and {wanted.cpu_vms} are needed"
    if built.options != wanted.options:
        return "it was built with other options"
    if built.sources != wanted.sources:
        return "files that it is made of have changed"
    return None
