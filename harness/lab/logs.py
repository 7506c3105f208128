"""Collecting what the machines wrote, for a run that went wrong (and for one that did not)."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from harness.errors import HarnessError
from harness.lab.hosts import Host

DOM0_COMMANDS = {
    "xl-dmesg.txt": "xl dmesg",
    "xl-list.txt": "xl list",
    "xl-info.txt": "xl info",
    "dom0-dmesg.txt": "dmesg",
    "dom0-journal.txt": "journalctl --boot --no-pager --lines 2000",
}
GUEST_CONSOLES = "/var/log/xen/console"
LARGEST = 1_000_000
"""Bytes kept of a guest's console: its end."""


def collect_logs(lab_folder: Path, dom0: Host | None, into: Path) -> list[str]:
    """Copy every log within reach into a folder; return what could not be had, and why.

    Never raises: it is called when something else has already gone wrong.
    """
    missing: list[str] = []
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return [f"{into}: {error}"]
    for log in sorted((lab_folder / "run").glob("*.log")):
        try:
            shutil.copyfile(log, into / log.name)
        except OSError as error:
            missing.append(f"{log}: {error}")
    if dom0 is None:
        return missing
    try:
        consoles = dom0.run(f"ls -1 {GUEST_CONSOLES} 2>/dev/null || true", timeout=30).split("\n")
    except HarnessError as error:
        # One attempt tells that dom0 does not answer; each further one would cost a time-out.
        return [*missing, f"dom0: {error.what}"]
    commands = DOM0_COMMANDS | {
        f"console-{name}": f"tail -c {LARGEST} {shlex.quote(f'{GUEST_CONSOLES}/{name}')}"
        for name in filter(None, consoles)
    }
    for name, command in commands.items():
        try:
            (into / name).write_text(dom0.run(command, timeout=60), encoding="utf-8")
        except (HarnessError, OSError) as error:
            missing.append(f"{name}: {error}")
    return missing
