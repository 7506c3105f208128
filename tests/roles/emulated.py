"""An emulated host of the tests' own, and Ansible and SSH as a person would use them on it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRY_RUN = ROOT / "inventory/dryrun/hosts.yml"
AS_REAL = Path(__file__).with_name("as_real.yml")

WANTED: dict[str, str | int] = {
    "cpu_vms": 1,
    # The real time of several CPUs: an HVM guest's device model does not leave dom0 its CPU.
    "lab_clock": "fast",
    "gpu_guest_type": "hvm",
    "cpu_guest_type": "pvh",
    "scheduler_timeslice": 10,
    "scheduler_ratelimit": 500,
    # What only the inventory of a real host has. The disks are devices: nothing is copied.
    "gpu_vendor": "any",
    "guest_disk_size": 1,
    "host_release": os.environ.get("LAB_ROLES_RELEASE", "bookworm"),
}
"""Values that differ from what Xen and the dry run do by themselves."""

RUN_TIMEOUT = 3600
"""Seconds for one run of Ansible; all of it is emulated, on a machine that may be busy."""


@dataclass(frozen=True)
class Run:
    """What one run of Ansible came to."""

    status: int
    said: str

    @property
    def changed(self) -> dict[str, int]:
        """By host, the number of tasks that changed something."""
        recap = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.said, re.MULTILINE)
        return {host: int(count) for host, count in recap}

    @property
    def what_changed(self) -> str:
        """The tasks that changed something, for a message."""
        task, found = "", []
        for line in self.said.splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line.strip(" *")
            elif line.startswith("changed:"):
                found.append(f"{task} {line}")
        return "\n".join(found)


class EmulatedHost:
    """One lab in a folder of its own, beside the one that `make lab` makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _port_of(folder) or _free_port()

    def playbook(self, *names: str, real: bool = True, **variables: str | int) -> Run:
        """Run playbooks, on the emulated host as if it were a real one."""
        lab = {"lab_dir": str(self.folder), "lab_ssh_port": self.port}
        values = {**WANTED, **lab, **variables}
        done = subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                *("-i", DRY_RUN),
                *(("-i", AS_REAL) if real else ()),
                *("-e", json.dumps(values)),
                *names,
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=RUN_TIMEOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        )
        with (self.folder / "ansible.log").open("a") as log:
            log.write(f"\n$ ansible-playbook {' '.join(names)} {variables}\n{done.stdout}")
        return Run(done.returncode, done.stdout)

    def ssh(self, machine: str, command: str) -> str:
        """What a command prints on a machine of the lab; raises where it fails."""
        config = str(self.folder / "ssh_config")
        argv = ["ssh", "-F", config, "-o", "BatchMode=yes", machine, command]
        return subprocess.run(
            argv, capture_output=True, text=True, check=True, timeout=300
        ).stdout.strip()

    def exists(self, *paths: str) -> list[str]:
        """Those of the paths that exist in dom0."""
        return self.ssh("xen1", f"ls -d {' '.join(paths)} 2>/dev/null || true").splitlines()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_of(folder: Path) -> int | None:
    """The port of a lab that an interrupted test has left running."""
    path = folder / "ssh_config"
    found = re.search(r"^\s*Port (\d+)", path.read_text(), re.M) if path.exists() else None
    return int(found[1]) if found and (folder / "run/emulator.json").exists() else None
