"""The emulated host's power supply: QEMU ends at a reset, and is started afresh."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import role_programs

POWER = role_programs.ROLES / "virtual_host/files/power"

# Stays until it is told how to end, and then ends so.
QEMU = """#!/bin/sh
cd "$(dirname "$0")" || exit
echo $$ >>started
while ! [ -e end ]; do sleep 0.05; done
status=$(cat end); rm end
exit "$status"
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        time.sleep(0.02)


class Machine:
    """A stand-in for QEMU behind a real power supply."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._qemu = folder / "qemu"
        self.pidfile = folder / "qemu.pid"
        self._qemu.write_text(QEMU)
        self._qemu.chmod(0o755)

    def switch_on(self) -> int:
        with (self._folder / "log").open("w") as log:
            return subprocess.run(
                [POWER, self.pidfile, self._qemu], stdout=log, stderr=log, timeout=10, check=False
            ).returncode

    def end_with(self, status: int) -> None:
        (self._folder / "new").write_text(str(status))
        (self._folder / "new").rename(self._folder / "end")

    @property
    def supply(self) -> int:
        return int(self.pidfile.read_text())

    def started(self) -> list[int]:
        log = self._folder / "started"
        return list(map(int, log.read_text().split())) if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    if machine.pidfile.exists() and runs(machine.supply):
        os.kill(machine.supply, signal.SIGTERM)
        wait_for(lambda: not runs(machine.supply))


def test_a_reset_starts_qemu_afresh_under_the_same_recorded_id(machine: Machine) -> None:
    assert machine.switch_on() == 0
    supply = machine.supply
    machine.end_with(0)
    wait_for(lambda: len(machine.started()) == 2)
    first, second = machine.started()
    assert not runs(first)
    assert runs(second)
    assert machine.supply == supply
    assert runs(supply)


def test_switching_off_ends_qemu_too(machine: Machine) -> None:
    machine.switch_on()
    os.kill(machine.supply, signal.SIGTERM)
    wait_for(lambda: not runs(machine.supply))
    assert not any(map(runs, machine.started()))


def test_qemu_does_not_outlive_a_supply_that_was_killed(machine: Machine) -> None:
    machine.switch_on()
    os.kill(machine.supply, signal.SIGKILL)
    wait_for(lambda: not any(map(runs, machine.started())))
    assert len(machine.started()) == 1


def test_a_qemu_that_fails_is_not_started_again(machine: Machine) -> None:
    machine.switch_on()
    machine.end_with(3)
    wait_for(lambda: not runs(machine.supply))
    assert len(machine.started()) == 1


@pytest.mark.parametrize(("status", "told"), [(3, 3), (0, 1)])
def test_a_qemu_that_ends_at_once_is_told_and_leaves_no_process(
    machine: Machine, status: int, told: int
) -> None:
    machine.end_with(status)
    assert machine.switch_on() == told
    assert not machine.pidfile.exists()
    assert len(machine.started()) == 1
    assert not any(map(runs, machine.started()))
