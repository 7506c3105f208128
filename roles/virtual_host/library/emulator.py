#!/usr/bin/python3
"""Ansible module: one QEMU process with disks of its own, started or stopped by its recorded id."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: emulator
short_description: Keep one QEMU process in the wanted state
description:
  - Starts QEMU as a daemon with a fresh copy-on-write disk over each base image, and records the
    process id together with the process's start time, so that an id that the kernel has given to
    another process is never taken for the emulator.
  - A running emulator whose arguments or base images differ from the wanted ones is replaced.
options:
  state:
    description: Whether the emulator runs.
    choices: [started, stopped]
    default: started
    type: str
  run_dir:
    description: Folder of the emulator's state. Removed, but for its logs, when it is stopped.
    required: true
    type: path
  argv:
    description:
      - Command that starts QEMU; its disks are run_dir/NAME.qcow2.
      - It must go into the background and write its process id into run_dir/qemu.pid.
    type: list
    elements: str
  disks:
    description:
      - Disks to create, each with its name and its base image (raw).
      - Beside an image lies IMAGE.key, which changes with its content.
    type: list
    elements: dict
author: gpusplit
"""

EXAMPLES = r"""
- name: Start the emulated host
  emulator:
    run_dir: /srv/lab/run
    argv: [qemu-system-x86_64, -daemonize, -pidfile, /srv/lab/run/qemu.pid]
    disks:
      - {name: host, base: /srv/lab/cache/host.img}

- name: Stop it
  emulator:
    state: stopped
    run_dir: /srv/lab/run
"""

RETURN = r"""
pid:
  description: Process id of the emulator, or none.
  returned: success
  type: int
"""


@dataclass(frozen=True)
class Recorded:
    """What identifies a started emulator: start_time is field 22 of /proc/PID/stat, in ticks."""

    pid: int
    start_time: int
    fingerprint: str


def start_time_of(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot; None if there is none."""
    try:
        # The command name, in parentheses, may itself hold blanks and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def recorded_in(run_dir: Path) -> Recorded | None:
    """The emulator that was recorded and still lives."""
    try:
        recorded = Recorded(**json.loads((run_dir / "emulator.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return recorded if start_time_of(recorded.pid) == recorded.start_time else None


def fingerprint_of(argv: list[str], disks: list[dict[str, str]]) -> str:
    """Changes with the command line and with the base images, which carry their content's key."""
    keys = [Path(disk["base"] + ".key").read_text() for disk in disks]
    return hashlib.sha256(json.dumps([argv, disks, keys]).encode()).hexdigest()


def stop(recorded: Recorded, seconds: float = 10) -> None:
    """End the process that was recorded: politely, then not.

    Raises OSError where this user may not, and RuntimeError where the process stays.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(recorded.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if start_time_of(recorded.pid) != recorded.start_time:
                return
            time.sleep(0.1)
    raise RuntimeError("it does not end")


def state_in(run_dir: Path) -> list[Path]:
    """What an emulator leaves behind, beside its logs."""
    return [path for path in run_dir.glob("*") if path.suffix != ".log"]


def clear(run_dir: Path) -> None:
    """Remove an ended emulator's state; its logs stay."""
    for path in state_in(run_dir):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def start(
    module: AnsibleModule, run_dir: Path, argv: list[str], disks: list[dict[str, str]]
) -> Recorded:
    """Create the disks, start QEMU and record it."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clear(run_dir)
    for disk in disks:
        image = str(run_dir / f"{disk['name']}.qcow2")
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk["base"], image]
        module.run_command(create, check_rc=True)
    # QEMU's own words go to a file: as a daemon it keeps the pipes of its parent open.
    words = run_dir / "emulator.log"
    try:
        with words.open("w") as log:
            subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
    except OSError as error:
        module.fail_json(msg=f"QEMU cannot be run: {error}")
    except subprocess.CalledProcessError as error:
        why = words.read_text().strip() or f"exit status {error.returncode}"
        module.fail_json(msg=f"QEMU does not start: {why}", argv=argv)
    pidfile = run_dir / "qemu.pid"
    pid = int(pidfile.read_text()) if pidfile.exists() else 0
    started = start_time_of(pid)
    if started is None:
        module.fail_json(msg=f"QEMU died at once: {words.read_text().strip()}", argv=argv)
    recorded = Recorded(pid, started, fingerprint_of(argv, disks))
    (run_dir / "emulator.json").write_text(json.dumps(asdict(recorded)))
    return recorded


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["started", "stopped"], "default": "started"},
            "run_dir": {"type": "path", "required": True},
            "argv": {"type": "list", "elements": "str"},
            "disks": {"type": "list", "elements": "dict", "default": []},
        },
        required_if=[("state", "started", ["argv"])],
        supports_check_mode=True,
    )
    run_dir = Path(module.params["run_dir"])
    argv, disks = module.params["argv"], module.params["disks"]
    running = recorded_in(run_dir)
    pid = running.pid if running else None

    def end() -> None:
        try:
            if running:
                stop(running)
        except (OSError, RuntimeError) as error:
            remedy = "End it yourself, as the user who started it."
            module.fail_json(msg=f"The emulator, process {pid}, cannot be ended: {error}. {remedy}")

    if module.params["state"] == "stopped":
        changed = bool(running or state_in(run_dir))
        if not module.check_mode:
            end()
            clear(run_dir)
        module.exit_json(changed=changed, pid=pid)

    missing = [disk["base"] for disk in disks if not Path(disk["base"] + ".key").exists()]
    if not missing and running and running.fingerprint == fingerprint_of(argv, disks):
        module.exit_json(changed=False, pid=pid)
    if module.check_mode:
        module.exit_json(changed=True, pid=pid)
    if missing:
        remedy = "The role debian_images builds them."
        module.fail_json(msg=f"No finished image is at {', '.join(missing)}. {remedy}")
    end()
    module.exit_json(changed=True, pid=start(module, run_dir, argv, disks).pid)


if __name__ == "__main__":
    main()
