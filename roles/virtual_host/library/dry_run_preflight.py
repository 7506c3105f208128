#!/usr/bin/python3
"""Ansible module: everything on this machine that could stop the dry run, said at once."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: dry_run_preflight
short_description: Check this machine before an emulated host is made on it
description: Changes nothing. Fails with every problem found, each with its remedy.
options:
  lab_dir: {type: path, required: true, description: Folder that the lab will lie in.}
  memory: {type: int, required: true, description: MiB of the emulated host.}
  disk: {type: int, required: true, description: MiB that the lab may take.}
  port: {type: int, required: true, description: Loopback port for dom0's SSH server.}
  running:
    type: bool
    required: true
    description: Whether the lab's emulator runs already; its memory and port are its own then.
author: gpusplit
"""

EXAMPLES = r"""
- name: Look for everything that could stop the dry run
  dry_run_preflight:
    lab_dir: /srv/lab
    memory: 4096
    disk: 6144
    port: 2222
    running: false
"""

RETURN = r"""
problems:
  description: Everything that was found, each with its remedy, in C(msg) too.
  returned: failure
  type: list
  elements: str
"""

# QEMU itself, Ansible and the harness, in MiB, beside the emulated host's memory.
HEADROOM = 1024


def available_memory() -> int:
    """MiB that programs can still get (proc(5), MemAvailable)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) // 1024


def free_disk(folder: Path) -> int:
    """MiB free where the folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 1024**2


def port_problem(port: int) -> str | None:
    """Why dom0's SSH server cannot be put behind the loopback port, if it cannot."""
    remedy = "choose another, e.g. -e lab_ssh_port=2223."
    if not 0 < port < 65536:
        return f"{port} is not a port: {remedy}"
    with socket.socket() as probe:
        # Without this, connections that a lab just taken down left waiting would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken by another program" if taken else f"cannot be used ({error.strerror})"
            return f"Port {port} on 127.0.0.1 {why}: {remedy}"
    return None


def has_port(lab_dir: Path, port: int) -> bool:
    """Whether the lab was made with dom0's SSH server behind this port."""
    try:
        return f"Port {port}" in map(str.strip, (lab_dir / "ssh_config").read_text().splitlines())
    except FileNotFoundError:
        return False


def can_install() -> bool:
    """Whether missing packages can be installed: apt, by root or through sudo."""
    return bool(shutil.which("apt-get")) and (os.geteuid() == 0 or bool(shutil.which("sudo")))


def cached_images(lab_dir: Path) -> int:
    """MiB of disk that finished images take."""
    images = (lab_dir / "cache").glob("*.img")
    return sum(image.stat().st_blocks * 512 for image in images) // 1024**2


def problems(lab_dir: Path, memory: int, disk: int, port: int, running: bool) -> list[str]:
    """One sentence for each problem, with the remedy."""
    found = []
    if (machine := platform.machine()) != "x86_64":
        found.append(f"This machine is {machine}; the images are built natively for x86-64 only.")
    if not can_install() and not shutil.which("qemu-system-x86_64"):
        found.append(
            "QEMU is missing and cannot be installed: that needs apt-get, and root or sudo."
        )
    # Images are kept between labs; what is there already need not fit again.
    needed = max(disk - cached_images(lab_dir), 1024)
    free = free_disk(lab_dir)
    if free < needed:
        found.append(
            f"{free} MiB of disk are free at {lab_dir}, {needed} MiB are needed: "
            f"free some, or make {lab_dir} a symbolic link to a folder with room."
        )
    if not running:
        have = available_memory()
        if have < memory + HEADROOM:
            found.append(
                f"{have} MiB of memory are available, {memory + HEADROOM} MiB are needed: "
                "end other programs, or lower virtual_host_memory and the number of CPU VMs "
                "(-e cpu_vms=1)."
            )
    if not (running and has_port(lab_dir, port)) and (problem := port_problem(port)):
        found.append(problem)
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "lab_dir": {"type": "path", "required": True},
            "memory": {"type": "int", "required": True},
            "disk": {"type": "int", "required": True},
            "port": {"type": "int", "required": True},
            "running": {"type": "bool", "required": True},
        },
        supports_check_mode=True,
    )
    wanted = dict(module.params)
    found = problems(Path(wanted.pop("lab_dir")), **wanted)
    if found:
        module.fail_json(msg="The dry run cannot start here. " + " ".join(found), problems=found)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
