"""The module that keeps one emulator, and ends only what it started."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import role_programs

emulator = role_programs.load("virtual_host/library/emulator.py")

# Goes into the background and writes its process id, as the real one does.
QEMU = """#!/bin/sh
run_dir=$1; shift
echo "$@" >>"$run_dir/arguments.log"
sleep 60 >/dev/null 2>&1 </dev/null &
echo $! >"$run_dir/qemu.pid"
echo $! >>"$run_dir/started.log"
"""
QEMU_IMG = """#!/bin/sh
for last; do :; done
echo "$@" >"$last"
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def runs(pid: int) -> bool:
    return emulator.start_time_of(pid) is not None


class Lab:
    """A folder with an image, a stand-in for QEMU, and the module's arguments for them."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.image = folder / "host.img"
        self.qemu = program(folder / "bin/qemu", QEMU)
        program(folder / "bin/qemu-img", QEMU_IMG)
        self.change_image("first content")

    def change_image(self, key: str) -> None:
        Path(f"{self.image}.key").write_text(key)

    def started(self, *options: str, check: bool = False) -> dict[str, Any]:
        return role_programs.call(
            emulator,
            check=check,
            run_dir=str(self.run_dir),
            argv=[str(self.qemu), str(self.run_dir), *options],
            disks=[{"name": "host", "base": str(self.image)}],
        )

    def stopped(self, check: bool = False) -> dict[str, Any]:
        return role_programs.call(emulator, check=check, run_dir=str(self.run_dir), state="stopped")

    def record(self, **changes: Any) -> None:
        """Change what is recorded about the emulator."""
        path = self.run_dir / "emulator.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def kill(self, pid: int) -> None:
        """End the emulator behind the module's back."""
        os.kill(pid, signal.SIGKILL)
        while runs(pid):
            time.sleep(0.01)

    def all_started(self) -> list[int]:
        log = self.run_dir / "started.log"
        return list(map(int, log.read_text().split())) if log.exists() else []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    lab = Lab(tmp_path)
    yield lab
    for pid in filter(runs, lab.all_started()):
        lab.kill(pid)


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process that is none of the module's."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def test_an_emulator_is_started_over_fresh_disks_and_recorded(lab: Lab) -> None:
    answer = lab.started("-smp", "2")
    assert answer["changed"]
    assert runs(answer["pid"])
    recorded = json.loads((lab.run_dir / "emulator.json").read_text())
    assert recorded["pid"] == answer["pid"]
    assert recorded["start_time"] == emulator.start_time_of(answer["pid"])
    assert (lab.run_dir / "arguments.log").read_text() == "-smp 2\n"
    disk = (lab.run_dir / "host.qcow2").read_text()
    assert f"-b {lab.image}" in disk, "the image itself must not be written to"


def test_an_emulator_that_runs_as_wanted_is_left_alone(lab: Lab) -> None:
    first = lab.started()
    again = lab.started()
    assert not again["changed"]
    assert again["pid"] == first["pid"]
    assert lab.all_started() == [first["pid"]]


def test_other_arguments_replace_the_emulator(lab: Lab) -> None:
    first = lab.started("-smp", "2")
    second = lab.started("-smp", "4")
    assert second["changed"]
    assert not runs(first["pid"])
    assert runs(second["pid"])


def test_another_content_of_an_image_replaces_the_emulator(lab: Lab) -> None:
    first = lab.started()
    lab.change_image("other content")
    second = lab.started()
    assert second["changed"]
    assert not runs(first["pid"])
    assert runs(second["pid"])


def test_an_emulator_that_died_is_started_again(lab: Lab) -> None:
    first = lab.started()
    lab.kill(first["pid"])
    second = lab.started()
    assert second["changed"]
    assert second["pid"] != first["pid"]
    assert runs(second["pid"])


def test_nothing_but_logs_of_an_emulator_that_died_reaches_the_next(lab: Lab) -> None:
    lab.kill(lab.started()["pid"])
    (lab.run_dir / "cpu4.qcow2").touch()
    (lab.run_dir / "console.log").touch()
    lab.started()
    assert not (lab.run_dir / "cpu4.qcow2").exists()
    assert (lab.run_dir / "console.log").exists()


def test_stopping_ends_the_emulator_and_keeps_nothing_but_its_logs(lab: Lab) -> None:
    pid = lab.started()["pid"]
    (lab.run_dir / "console.log").write_text("boot messages")
    (lab.run_dir / "folder").mkdir()
    answer = lab.stopped()
    assert answer["changed"]
    assert answer["pid"] == pid
    assert not runs(pid)
    left = sorted(path.name for path in lab.run_dir.iterdir())
    assert left == ["arguments.log", "console.log", "emulator.log", "started.log"]
    assert (lab.run_dir / "console.log").read_text() == "boot messages"


def test_stopping_what_is_stopped_changes_nothing(lab: Lab) -> None:
    assert not lab.stopped()["changed"]
    lab.started()
    lab.stopped()
    again = lab.stopped()
    assert not again["changed"]
    assert again["pid"] is None


def test_stopping_removes_the_disks_of_an_emulator_that_died(lab: Lab) -> None:
    lab.kill(lab.started()["pid"])
    answer = lab.stopped()
    assert answer["changed"]
    assert not (lab.run_dir / "host.qcow2").exists()


def test_a_process_that_got_the_emulators_id_is_never_ended(lab: Lab, bystander: int) -> None:
    lab.kill(lab.started()["pid"])
    other_start = emulator.start_time_of(bystander) - 1
    lab.record(pid=bystander, start_time=other_start)
    assert lab.stopped()["pid"] is None
    assert runs(bystander)


def test_starting_does_not_end_a_process_that_got_the_emulators_id(
    lab: Lab, bystander: int
) -> None:
    lab.kill(lab.started()["pid"])
    lab.record(pid=bystander, start_time=emulator.start_time_of(bystander) - 1)
    answer = lab.started("-smp", "4")
    assert answer["changed"]
    assert answer["pid"] != bystander
    assert runs(bystander)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_record_that_cannot_be_read_is_no_emulator(lab: Lab, text: str) -> None:
    lab.run_dir.mkdir()
    (lab.run_dir / "emulator.json").write_text(text)
    assert lab.stopped(check=True)["pid"] is None


def test_check_mode_tells_what_would_change_and_changes_nothing(lab: Lab) -> None:
    assert lab.started(check=True)["changed"]
    assert not lab.run_dir.exists()

    pid = lab.started()["pid"]
    before = sorted(lab.run_dir.iterdir())
    assert not lab.started(check=True)["changed"]
    assert lab.started("-smp", "4", check=True)["changed"]
    stopping = lab.stopped(check=True)
    assert stopping["changed"]
    assert stopping["pid"] == pid
    assert runs(pid)
    assert sorted(lab.run_dir.iterdir()) == before


def test_check_mode_needs_no_images_because_nobody_has_built_them_then(lab: Lab) -> None:
    Path(f"{lab.image}.key").unlink()
    answer = lab.started(check=True)
    assert not answer["failed"]
    assert answer["changed"]


def test_an_image_that_is_not_finished_is_named(lab: Lab) -> None:
    Path(f"{lab.image}.key").unlink()
    answer = lab.started()
    assert answer["failed"]
    assert str(lab.image) in answer["msg"]
    assert lab.all_started() == []


def test_a_running_emulator_survives_while_an_image_is_not_finished(lab: Lab) -> None:
    pid = lab.started()["pid"]
    Path(f"{lab.image}.key").unlink()
    assert lab.started()["failed"]
    assert runs(pid)


def test_what_qemu_complains_of_is_repeated(lab: Lab) -> None:
    program(lab.qemu, "#!/bin/sh\necho 'qemu: invalid machine type' >&2\nexit 1\n")
    answer = lab.started()
    assert answer["failed"]
    assert answer["msg"] == "QEMU does not start: qemu: invalid machine type"
    assert not (lab.run_dir / "emulator.json").exists()


def test_a_qemu_that_is_not_there_is_named(lab: Lab) -> None:
    lab.qemu.unlink()
    answer = lab.started()
    assert answer["failed"]
    assert str(lab.qemu) in answer["msg"]


@pytest.mark.parametrize("pidfile", ["", "true >$1/qemu.pid; sleep 0 & echo $! >$1/qemu.pid; wait"])
def test_a_qemu_that_dies_at_once_is_told_with_its_last_words(lab: Lab, pidfile: str) -> None:
    program(lab.qemu, f"#!/bin/sh\necho 'no memory' >&2\n{pidfile}\n")
    answer = lab.started()
    assert answer["failed"]
    assert answer["msg"] == "QEMU died at once: no memory"


def test_the_process_name_may_hold_what_the_kernel_puts_around_it(tmp_path: Path) -> None:
    odd = tmp_path / "a) Z (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "60"]) as process:
        try:
            boot = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
            assert emulator.start_time_of(process.pid) == pytest.approx(boot, abs=500)
        finally:
            process.kill()


def test_a_process_that_ended_but_was_not_waited_for_does_not_run() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not runs(process.pid)
    process.wait()


def test_an_emulator_that_ignores_a_polite_request_is_killed() -> None:
    waiting = shlex.split("""sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done'""")
    with subprocess.Popen(waiting, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        recorded = emulator.Recorded(process.pid, emulator.start_time_of(process.pid), "")
        try:
            emulator.stop(recorded, seconds=0.3)
            assert process.poll() == -signal.SIGKILL
        finally:
            process.kill()


def test_an_emulator_that_cannot_be_ended_is_told_and_its_disks_stay(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = lab.started()["pid"]

    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", forbidden)
        answer = lab.stopped()
    assert answer["failed"]
    assert str(pid) in answer["msg"]
    assert (lab.run_dir / "host.qcow2").exists()
