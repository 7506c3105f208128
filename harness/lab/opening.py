"""Opening the lab that the command line names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import LabNotUp, LabUnsuitable
from harness.lab.connections import Connections
from harness.lab.inventory import measuring_alone, read_inventory
from harness.lab.lab import Lab
from harness.lab.local_lab import find_gpus, open_local_lab
from harness.lab.programs import OwnPrograms
from harness.lab.xen_lab import XenLab
from harness.workloads.build import (
    build_cpu_matmul,
    build_emugpu,
    build_gpusplit,
    build_keeper,
)

ANSIBLE_TIMEOUT = 60.0

LABS = ("dryrun", "bench", "local")


@contextmanager
def open_lab(kind: str, folder: Path, build: Path, own: OwnPrograms | None = None) -> Iterator[Lab]:
    """Open a lab, and keep other measurements out of it.

    `folder` is where the playbooks wrote a Xen host down; in `build` the CPU job is compiled.
    """
    program = build_cpu_matmul(build)
    build_gpusplit()
    if kind == "local":
        emugpu = None if find_gpus() else build_emugpu(build)
        with measuring_alone(build), open_local_lab(program, emugpu, own) as lab:
            yield lab
        return
    inventory = read_inventory(folder)
    if inventory.lab != kind:
        raise LabUnsuitable(
            f"The lab in {folder} is a {inventory.lab!r} lab, not {kind!r}.",
            f"choose --lab {inventory.lab}, or another --lab-folder",
        )
    with (
        measuring_alone(inventory.folder),
        Connections(inventory.ssh_config, inventory.known_hosts) as connections,
    ):
        yield XenLab(inventory, connections.host, program, own=own)


def own_programs(build: Path, folder: Path | None) -> OwnPrograms:
    """Return what starts an operator's own programs, built; see OwnPrograms for the folder."""
    if folder is not None and not folder.is_dir():
        raise LabUnsuitable(f"There is no folder {folder}.", "see --job-files")
    return OwnPrograms(build_keeper(build), build_gpusplit(), folder)


def lab_folder_of(inventory: Path) -> Path:
    """Return the folder in which an Ansible inventory's lab is written down: its lab_dir."""
    ansible = Path(sys.executable).with_name("ansible")
    words = ["localhost", "-i", str(inventory), "-m", "ansible.builtin.debug", "-a", "var=lab_dir"]
    if not inventory.exists():
        raise LabNotUp(f"There is no inventory {inventory}.", "see inventory/")
    try:
        done = subprocess.run(
            [ansible, *words],
            # YAML, which ansible.cfg chooses for people, cannot be told from the text around it.
            env=os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
            capture_output=True,
            text=True,
            timeout=ANSIBLE_TIMEOUT,
            check=True,
        )
        folder = Path(json.loads(done.stdout.partition("=> ")[2])["lab_dir"])
        if not folder.is_absolute():
            raise ValueError(str(folder))  # Ansible's words for a variable that is not there
        return folder
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise LabNotUp(
            f"Ansible could not tell the lab_dir of {inventory}: {error}.",
            f"try `ansible {' '.join(words)}`, or give --lab-folder instead",
        ) from error
