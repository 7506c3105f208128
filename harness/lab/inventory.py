"""The lab as the playbooks wrote it down: `lab.json` and `ssh_config` in its folder."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LabNotUp, LabUnsuitable

BUILD_IT = "build the lab with `make lab` (or `ansible-playbook site.yml`), then try again"
REBUILD_IT = "take the lab down with `make lab-down`, build it again with `make lab`"


@dataclass(frozen=True)
class Inventory:
    """What stands in the lab."""

    folder: Path
    lab: str
    """Which kind of lab: `dryrun` is the emulated Xen host."""
    clock: str
    """`deterministic` (instructions are counted) or `fast`."""
    host: str
    """Name of the Xen host's dom0, in ssh_config."""
    gpu_vm: str
    """Name of the GPU VM, in ssh_config and in Xen."""
    cpu_vms: tuple[str, ...]
    """Names of the CPU VMs, in ssh_config and in Xen, in the order in which they are used."""
    emulator_pid: int | None
    """The emulator's process on this machine; None for a real host."""
    shared_cpus: int = 1
    """Physical CPUs that all guests share."""
    name: str = ""
    """What results call the host; its name in ssh_config, if empty."""

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def vms(self) -> tuple[str, ...]:
        return (self.gpu_vm, *self.cpu_vms)


def read_inventory(folder: Path) -> Inventory:
    """Read what stands in the lab, and see that it still does."""
    path = folder / "lab.json"
    try:
        facts = json.loads(path.read_text())
    except FileNotFoundError:
        raise LabNotUp(f"No lab is up: there is no {path}.", BUILD_IT) from None
    except ValueError as error:
        raise LabNotUp(f"{path} cannot be read: {error}.", REBUILD_IT) from error
    try:
        inventory = Inventory(
            folder=folder,
            lab=str(facts["lab"]),
            clock=str(facts["clock"]),
            host=str(facts["host"]),
            gpu_vm=str(facts["gpu_vm"]),
            cpu_vms=tuple(f"cpu{n}" for n in range(1, int(facts["cpu_vms"]) + 1)),
            emulator_pid=int(facts["emulator_pid"]) if facts.get("emulator_pid") else None,
            shared_cpus=int(facts.get("guest_pcpus", 1)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LabNotUp(f"{path} is incomplete: {error!r}.", REBUILD_IT) from error
    for needed in (inventory.ssh_config, inventory.known_hosts):
        if not needed.is_file():
            raise LabNotUp(f"The lab is half made: there is no {needed}.", REBUILD_IT)
    if inventory.emulator_pid is not None and not _runs(inventory.emulator_pid):
        raise LabNotUp(
            f"The lab's emulated host is dead: process {inventory.emulator_pid} is gone. "
            f"Its last words are in {folder / 'run'}.",
            REBUILD_IT,
        )
    return inventory


@contextmanager
def measuring_alone(folder: Path) -> Iterator[None]:
    """Keep a second measurement out of the lab: each would measure the other's jobs too."""
    with (folder / "measuring.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of however the process ends
        except BlockingIOError:
            raise LabUnsuitable(
                "Another measurement runs in this lab.", "wait for its end, or end it with Ctrl-C"
            ) from None
        yield


def _runs(pid: int) -> bool:
    """Say whether a process exists and is more than a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    # The name, in parentheses, may itself hold parentheses and spaces.
    return status.rpartition(")")[2].split()[0] != "Z"
