"""The lab without a hypervisor: equal shares of this machine's CPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import CommandTimedOut, JobFailed, ToolMissing
from harness.lab.local_lab import LocalLab, processor_name
from harness.lab.local_process import LocalProcess
from harness.lab.local_sampler import LocalSampler
from harness.lab.samples import CpuSample
from harness.lab.shares import (
    ControlGroups,
    PlainProcesses,
    cgroup2_mount,
    make_shares,
    own_group,
    used_by_group,
    used_by_process,
)
from harness.plan.profiles import PROFILES

BUSY = "import time\nprint('ready', flush=True)\nwhile True: pass"
ECHO = "import sys\nfor line in sys.stdin: print('heard', line.strip(), flush=True)"


def python(program: str) -> LocalProcess:
    return LocalProcess("the job", [sys.executable, "-c", program], {})


class TestWhereGroupsAre:
    def test_the_unified_hierarchy_is_found_beside_an_old_one(self) -> None:
        mounts = (
            "proc /proc proc rw 0 0\n"
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
            "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
        )
        assert cgroup2_mount(mounts) == Path("/sys/fs/cgroup/unified")

    def test_a_machine_may_have_none(self) -> None:
        assert cgroup2_mount("proc /proc proc rw 0 0\n") is None

    def test_ones_own_group(self) -> None:
        text = "4:cpu:/old\n0::/user.slice/user-1000.slice/session-2.scope\n"
        assert own_group(text) == "user.slice/user-1000.slice/session-2.scope"
        assert own_group("0::/\n") == ""


class FolderGroups:
    """Folders that look like a cgroup v2 hierarchy; files are written, nothing is enforced."""

    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "cgroup.subtree_control").write_text("")

    def fill(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every new folder have the files that the kernel would put there."""
        mkdir = Path.mkdir

        def filled(path: Path, *args: object, **more: object) -> None:
            mkdir(path)
            (path / "cgroup.subtree_control").write_text("")
            (path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")

        monkeypatch.setattr(Path, "mkdir", filled)


class TestControlGroups:
    def test_every_vm_has_one_of_the_same_weight(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        FolderGroups(tmp_path).fill(monkeypatch)
        groups = ControlGroups(tmp_path, ("gpu1", "cpu1"), move_processes=False)
        top = tmp_path / f"gpusplit-{os.getpid()}"
        weights = {path.name: (path / "cpu.weight").read_text() for path in top.glob("*pu1")}
        assert weights == {"gpu1": "100", "cpu1": "100"}
        assert (top / "cgroup.subtree_control").read_text() == "+cpu"
        assert groups.cpu_seconds() == {"gpu1": 1.5, "cpu1": 1.5}

    def test_a_program_enters_its_group_before_it_is_itself(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        FolderGroups(tmp_path).fill(monkeypatch)
        groups = ControlGroups(tmp_path, ("cpu1",), move_processes=False)
        command = groups.command("cpu1", [sys.executable, "-c", "import os; print(os.getpid())"])
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        procs = tmp_path / f"gpusplit-{os.getpid()}" / "cpu1" / "cgroup.procs"
        assert procs.read_text() == said

    def test_what_has_no_use_of_the_cpu_in_it_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "cpu.stat").write_text("nr_periods 3\n")
        with pytest.raises(OSError, match="does not say what was used"):
            used_by_group(tmp_path)

    def test_where_they_cannot_be_made_nothing_is_left_behind(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="subtree_control"):
            ControlGroups(tmp_path, ("cpu1",), move_processes=False)
        assert list(tmp_path.iterdir()) == []

    def test_where_the_kernel_lets_us_they_are_made_and_removed(self) -> None:
        """On the kernel of this machine, whatever it allows."""
        shares = make_shares(("gpu1", "cpu1"))
        try:
            if isinstance(shares, PlainProcesses):
                pytest.skip(f"control groups cannot be made here: {shares.description}")
            process = LocalProcess(
                "a job", shares.command("cpu1", [sys.executable, "-c", BUSY]), {}
            )
            process.read_line(20)
            before = shares.cpu_seconds()["cpu1"]
            time.sleep(0.3)
            assert shares.cpu_seconds()["cpu1"] > before
            assert shares.cpu_seconds()["gpu1"] == 0
        finally:
            shares.remove()
        with pytest.raises(JobFailed):
            process.read_line(20)  # it was ended with its group
        process.stop()


class TestPlainProcesses:
    def test_what_a_vm_used_is_that_of_all_its_processes_one_after_another(self) -> None:
        shares = PlainProcesses(("gpu1", "cpu1"), "for a test")
        seen = [0.0]
        for _ in range(2):
            process = python(BUSY)
            shares.started("cpu1", process.pid)
            process.read_line(20)
            time.sleep(0.2)
            seen.append(shares.cpu_seconds()["cpu1"])
            process.stop()
            seen.append(shares.cpu_seconds()["cpu1"])
        assert seen == sorted(seen)
        assert seen[-1] > seen[2] > 0
        assert shares.cpu_seconds()["gpu1"] == 0  # nothing ran in it

    def test_they_say_why_there_are_no_groups(self) -> None:
        assert (
            "no control groups: for a test"
            in PlainProcesses(("gpu1", "cpu1"), "for a test").description
        )

    def test_a_process_that_is_gone_has_no_clock(self) -> None:
        process = python("pass")
        process.stop()
        with pytest.raises(OSError, match="Invalid argument"):
            used_by_process(process.pid)


class TestProcess:
    def test_lines_go_in_and_come_out(self) -> None:
        process = python(ECHO)
        process.send("one")
        process.send("two")
        assert [process.read_line(20), process.read_line(20)] == ["heard one", "heard two"]
        process.stop()

    def test_silence_ends_in_an_error(self) -> None:
        process = python(ECHO)
        with pytest.raises(CommandTimedOut, match="the job said nothing for 0 s"):
            process.read_line(0.05)
        process.stop()

    def test_the_last_words_of_one_that_failed_are_told(self) -> None:
        process = python("raise SystemExit('no such device')")
        with pytest.raises(JobFailed, match="ended with status 1: no such device"):
            process.read_line(20)
        process.stop()

    def test_one_that_does_not_stop_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harness.lab.local_process.STOP_TIMEOUT", 0.2)
        process = python("import signal\nsignal.signal(15, signal.SIG_IGN)\n" + BUSY)
        process.read_line(20)
        process.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    def test_after_the_stop_it_hears_nothing(self) -> None:
        process = python(ECHO)
        process.stop()
        with pytest.raises(JobFailed, match="ended with status 0"):
            process.send("hello")

    def test_one_that_is_not_there(self) -> None:
        with pytest.raises(ToolMissing, match="the job cannot be started"):
            LocalProcess("the job", ["/nonexistent/program"], {})


class TestSampler:
    def test_samples_reach_over_the_window(self) -> None:
        sampler = LocalSampler(lambda: CpuSample(time.time(), {"cpu1": 1.0}), period=0.01)
        sampler.begin()
        start = sampler.clock()
        time.sleep(0.05)
        end = sampler.clock()
        sampler.wait_until(end, timeout=20)
        times = [sample.time for sample in sampler.end()]
        assert times[0] <= start < end <= times[-1]
        assert times == sorted(times)
        assert len(times) > 3

    def test_a_window_that_the_accounting_does_not_reach(self) -> None:
        sampler = LocalSampler(lambda: CpuSample(1.0, {}), period=0.01)
        sampler.begin()
        with pytest.raises(CommandTimedOut, match="did not reach the end of the window"):
            sampler.wait_until(2.0, timeout=0.05)
        sampler.stop()


class TestLab:
    def test_the_emulated_gpu_does_what_the_profile_says(self) -> None:
        lab = LocalLab(Path("cpu"), PlainProcesses((), "a test"), 0, Path("libemugpu.so"))
        assert lab.launches(PROFILES["demo"]) == PROFILES["demo"].gpu_launches

    def test_the_processor_is_named(self) -> None:
        assert processor_name("processor\t: 0\nmodel name\t: Fast CPU 9\n") == "Fast CPU 9"
        assert processor_name("processor : 0\n")  # where the kernel has no name, its architecture
