"""Equal shares of one CPU for the "VMs" of a machine without a hypervisor.

Each is a control group (cgroup v2) of equal weight. Where groups cannot be made, each is a
session of its own that the kernel's scheduler treats alike, one busy thread in each; that is
said, in `description`, wherever the figures appear.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

WEIGHT = 100
"""cpu.weight of every group; only that it is the same for all matters."""

HINT = (
    "for control groups without root run it under "
    "`systemd-run --user --scope -p Delegate=yes`, or run it as root"
)


class Shares(Protocol):
    """VMs of equal weight on the same CPU."""

    description: str
    """How the CPU is shared, for people."""

    def command(self, vm: str, argv: Sequence[str]) -> list[str]:
        """Return the command that runs a program within a VM."""

    def started(self, vm: str, pid: int) -> None:
        """A VM's program runs as this process now."""

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each VM has used; it never gets less."""

    def remove(self) -> None:
        """Let go of everything, and end what still runs within."""


class ControlGroups:
    """A control group for each VM, below a folder of the cgroup v2 hierarchy.

    OSError where groups with a CPU controller cannot be made there.
    """

    def __init__(self, base: Path, vms: Iterable[str], move_processes: bool) -> None:
        self._base = base
        self._top = base / f"gpusplit-{os.getpid()}"
        self._moved: list[int] = []
        self.description = f"control groups of equal weight (cgroup v2, cpu.weight {WEIGHT})"
        self._groups = {vm: self._top / vm for vm in vms}
        try:
            self._top.mkdir()
            if move_processes:
                self._move(self._base, self._leaf())
            for folder in (base, self._top):
                if "cpu" not in (folder / "cgroup.subtree_control").read_text().split():
                    (folder / "cgroup.subtree_control").write_text("+cpu")
            for group in self._groups.values():
                group.mkdir()
                (group / "cpu.weight").write_text(str(WEIGHT))
                (group / "cpu.stat").read_text()
        except OSError:
            self.remove()
            raise

    def command(self, vm: str, argv: Sequence[str]) -> list[str]:
        procs = str(self._groups[vm] / "cgroup.procs")
        # The shell enters the group and becomes the program: none of it runs outside.
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', procs, *argv]

    def started(self, vm: str, pid: int) -> None:
        """The group knows its processes."""

    def cpu_seconds(self) -> dict[str, float]:
        return {vm: used_by_group(group) for vm, group in self._groups.items()}

    def remove(self) -> None:
        for group in self._groups.values():
            with suppress(OSError):
                (group / "cgroup.kill").write_text("1")  # our own group, nobody else's processes
            _remove_folder(group)
        if self._moved:
            with suppress(OSError):
                (self._top / "cgroup.subtree_control").write_text("-cpu")
                (self._base / "cgroup.subtree_control").write_text("-cpu")
            self._move(self._leaf(), self._base)
            _remove_folder(self._leaf())
        _remove_folder(self._top)

    def _leaf(self) -> Path:
        """A group for those who lived in the base: a group with groups below holds no processes."""
        return self._base / f"gpusplit-{os.getpid()}-others"

    def _move(self, source: Path, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for pid in (source / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (target / "cgroup.procs").write_text(pid)
                self._moved.append(int(pid))


class PlainProcesses:
    """No groups: each VM is the one session of processes that runs in it."""

    def __init__(self, vms: Iterable[str], why: str) -> None:
        self.description = f"plain processes, no control groups: {why}"
        self._pids: dict[str, int] = {}
        self._used = dict.fromkeys(vms, 0.0)
        self._of_earlier: dict[str, float] = {}

    def command(self, vm: str, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def started(self, vm: str, pid: int) -> None:
        self._of_earlier[vm] = self._used[vm]
        self._pids[vm] = pid

    def cpu_seconds(self) -> dict[str, float]:
        for vm, pid in self._pids.items():
            with suppress(OSError):  # it has ended: what it used last is known
                used = used_by_process(pid) + used_by_others(pid)
                self._used[vm] = max(self._used[vm], self._of_earlier[vm] + used)
        return dict(self._used)

    def remove(self) -> None:
        """There is nothing to remove."""


def make_shares(vms: Iterable[str]) -> Shares:
    """Make equal shares for these VMs, by control groups where this user may make them."""
    names = tuple(vms)
    mount = cgroup2_mount(Path("/proc/mounts").read_text())
    if mount is None:
        return PlainProcesses(names, "this machine has no cgroup v2")
    own = mount / own_group(Path("/proc/self/cgroup").read_text())
    if "cpu" not in _words(mount / "cgroup.controllers"):
        return PlainProcesses(names, "its cgroup v2 has no CPU controller")
    tries = [(own, True)]
    if os.geteuid() == 0:
        tries.insert(0, (mount, False))
    for base, move_processes in tries:
        try:
            return ControlGroups(base, names, move_processes)
        except OSError as error:
            why = f"{error.strerror or error}"
    return PlainProcesses(names, f"they cannot be made here ({why.lower()}); {HINT}")


def cgroup2_mount(mounts: str) -> Path | None:
    """Return where /proc/mounts says that the cgroup v2 hierarchy is."""
    for line in mounts.splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    return None


def own_group(text: str) -> str:
    """Return this process's group in the v2 hierarchy from /proc/self/cgroup, without the slash."""
    for line in text.splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            return path.lstrip("/")
    return ""


def used_by_group(group: Path) -> float:
    """Return the CPU seconds that a group has used, by its cpu.stat."""
    for line in (group / "cpu.stat").read_text().splitlines():
        name, value = line.split()
        if name == "usage_usec":
            return int(value) / 1e6
    raise OSError(f"{group}/cpu.stat does not say what was used")


def used_by_process(pid: int) -> float:
    """Return the CPU seconds of all threads of a process, ended ones too; OSError if it is gone.

    The clock's number is what clock_getcpuclockid(3) makes of a process id.
    """
    return time.clock_gettime((~pid << 3) | 2)


def used_by_others(session: int) -> float:
    """Return the CPU seconds of a session's processes beside its leader, ended ones too.

    In clock ticks (proc(5), stat), for an ended process has left its time to its parent in these.
    """
    used = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may itself hold parentheses and spaces.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == session:
            own, children = fields[11:13], fields[13:15]
            is_leader = stat.parent.name == str(session)
            used += sum(map(int, children if is_leader else own + children))
    return used / os.sysconf("SC_CLK_TCK")


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _remove_folder(group: Path) -> None:
    for _ in range(50):  # a process that was killed leaves its group a moment later
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
