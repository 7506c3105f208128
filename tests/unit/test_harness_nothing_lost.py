"""Whatever breaks, what was measured stays: a run can be read, and gone on with."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_fakes import World
from harness_takes import SMOKE, outcomes, take

import harness.conftest  # noqa: F401  (loaded here, for pytester unloads what its runs have loaded)
from harness.errors import CannotWrite
from harness.judge.claims import Outcome
from harness.judge.evaluate import evaluate
from harness.keep.results import RunFolder
from harness.lab import local_sampler, xen_sampler
from harness.lab.xen_lab import XenLab
from harness.measure import jobs
from harness.measure.jobs import Jobs
from harness.measure.point import measure_point
from harness.measure.run import Options
from harness.plan.experiments import Mode, Point
from harness.whole_run import judge_measured
from harness.workloads import gpu_matmul
from harness.workloads.build import SOURCE

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not answer is given up at once."""
    monkeypatch.setattr(jobs, "RECOVERY", 0.0)


class Disk:
    """A disk that is full from some file on, until there is room again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
        self.first, self.full = first, False
        write = Path.write_text

        def write_what_fits(path: Path, text: str, *more: Any, **named: Any) -> int:
            self.full |= bool(self.first) and path.name.startswith(self.first)
            if not self.full:
                return write(path, text, *more, **named)
            write(path, text[: len(text) // 2], *more, **named)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_text", write_what_fits)

    def free(self) -> None:
        self.first, self.full = "", False


class TestAFullDisk:
    @pytest.mark.parametrize("file", ["run.json", "verification.json", "n2-no_gpu", "summary.json"])
    def test_ends_the_run_with_what_to_do_and_it_goes_on_when_there_is_room(
        self, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = World()
        disk = Disk(monkeypatch, file)
        with pytest.raises(CannotWrite, match="No space left on device") as caught:
            take(world, tmp_path)
        assert "free some space" in caught.value.remedy
        assert not world.running, "jobs were left running"
        assert not list((tmp_path / "results").rglob("*.partial")), "half a file is no file"
        disk.free()
        shutil.rmtree(tmp_path / "lab")
        before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("results/raw/n*")}
        run = take(world, tmp_path, Options(resume=file != "run.json"))
        assert not run.failed
        if file != "run.json":
            again = [p for p in tmp_path.glob("results/raw/n*") if p.name in before]
            assert {p.name: p.stat().st_mtime_ns for p in again} == before

    def test_what_was_measured_can_be_judged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = Disk(monkeypatch, "n2-no_gpu")
        with pytest.raises(CannotWrite):
            take(World(), tmp_path)
        disk.free()
        found = outcomes(judge_measured(RunFolder(tmp_path / "results")))
        assert found["cpu-gain-n1"] is Outcome.PASS
        assert found["cpu-gain-n2"] is Outcome.INVALID

    def test_an_old_report_is_better_than_half_a_new_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = take(World(), tmp_path, Options(experiments=("ablation",)))
        before = run.report.read_bytes()
        Disk(monkeypatch, "report.html")
        with pytest.raises(CannotWrite):
            judge_measured(RunFolder(run.folder))
        assert run.report.read_bytes() == before


TERMINATED = """
import os, signal, sys
sys.path.insert(0, {here!r})
import pytest
from harness_fakes import World
from harness.conftest import *

WORLD = World()

def terminate():
    if WORLD.vms["cpu2"].computing:
        os.kill(os.getpid(), signal.SIGTERM)

@pytest.fixture(scope="session")
def labs(tmp_path_factory):
    WORLD.on_gpu_go = terminate
    yield [WORLD.lab(tmp_path_factory.mktemp("lab"))]
    print("left running:", len(WORLD.running), "paused:", sum(v.paused for v in WORLD.vms.values()))
"""


class TestSigterm:
    def test_ends_a_run_as_ctrl_c_does(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest(TERMINATED.format(here=str(Path(__file__).parent)))
        pytester.makepyfile(test_it="from harness.test_claims import test_claim")
        before = signal.getsignal(signal.SIGTERM)
        options = ("--profile=smoke", f"--results={pytester.path / 'results'}", "-s")
        result = pytester.runpytest_inprocess(
            *options, "-p", "no:cacheprovider", no_reraise_ctrlc=True
        )
        assert result.ret == pytest.ExitCode.INTERRUPTED
        result.stdout.fnmatch_lines(
            ["*Logs, and what was measured: *", "*left running: 0 paused: 0"]
        )
        assert signal.getsignal(signal.SIGTERM) == before
        (run,) = (pytester.path / "results").glob("2*")
        assert (run / "raw" / "n2-no_gpu.1.xen1.json").exists()
        assert RunFolder.find(pytester.path / "results", "latest").path == run


class TestAKillInTheTimeline:
    PROFILE = replace(SMOKE, timeline_vms=(1, 3, 2), timeline_launches=24)

    def test_the_vm_comes_back_and_the_run_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing of the killed run has a last word: neither does it create the VM again."""
        world = World()
        create = XenLab.create

        class Killed(BaseException):
            pass

        def kill(lab: XenLab, vm: str) -> None:
            lab.xen.destroy(vm)
            monkeypatch.setattr(XenLab, "create", lambda lab, vm: None)
            raise Killed

        monkeypatch.setattr(XenLab, "destroy", kill)
        only = Options(points=("timeline",))
        with pytest.raises(Killed):
            take(world, tmp_path, only, self.PROFILE)
        assert "cpu4" not in world.vms
        monkeypatch.undo()
        assert XenLab.create is create
        shutil.rmtree(tmp_path / "lab")
        run = take(world, tmp_path, Options(resume=True), self.PROFILE)
        assert run.summary.timeline is not None
        assert set(world.vms) == {"gpu1", "cpu1", "cpu2", "cpu3", "cpu4"}


class TestAClockThatSteps:
    def measured(self, world: World, folder: Path) -> tuple[str, ...]:
        lab = world.lab(folder)
        lab.prepare()
        with Jobs(lab, SMOKE) as made:
            return evaluate(measure_point(lab, made, Point(2, Mode.UNSPLIT), 1, SMOKE)).problems

    def test_what_moves_in_the_middle_is_noticed_by_reading_before_and_after(
        self, tmp_path: Path
    ) -> None:
        world = World()
        world.on_gpu_go = lambda: world.clock_offset.update(cpu2=0.3)
        problems = self.measured(world, tmp_path)
        assert any(p.startswith("the clock of cpu2 moved by +0.300 s") for p in problems)

    def test_one_that_is_only_ahead_does_not_matter(self, tmp_path: Path) -> None:
        assert self.measured(World(clock_offset={"cpu2": 0.3}), tmp_path) == ()

    @pytest.mark.parametrize("module", [gpu_matmul, xen_sampler, local_sampler])
    def test_times_are_those_of_a_clock_that_nobody_sets(
        self, module: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = module.now()
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert 0 <= module.now() - before < 60
        assert before > 1e9, "it began as the time of day"

    def test_nor_of_the_cpu_jobs(self, tmp_path: Path) -> None:
        """Linked with a clock of the day that falls back by a day at every look."""
        shim = tmp_path / "shim.c"
        shim.write_text(
            "#include <time.h>\n"
            "int __real_clock_gettime(clockid_t clock, struct timespec *t);\n"
            "int __wrap_clock_gettime(clockid_t clock, struct timespec *t)\n"
            "{\n"
            "    static int looks;\n"
            "    const int error = __real_clock_gettime(clock, t);\n"
            "    if (clock == CLOCK_REALTIME)\n"
            "        t->tv_sec -= 86400 * looks++;\n"
            "    return error;\n"
            "}\n"
        )
        job = tmp_path / "job"
        wrap = ["-Wl,--wrap=clock_gettime", "-o", str(job)]
        for source, arguments, marks in (
            (SOURCE, ["64", "1", "5"], 5),
            (SOURCE.with_name("keeper.c"), ["again", "/", "true"], 1),
        ):
            subprocess.run(["cc", "-O2", str(source), str(shim), *wrap], check=True)
            said = self.talk([str(job), *arguments])
            report = said[-1]
            assert len(report["steps"]) >= marks
            assert all(0 <= step < 60e6 for step in report["steps"])
            times = [event["time"] for event in said if event["event"] == "time"]
            assert 0 <= times[1] - times[0] < 60
            assert times[0] <= report["start"] <= times[1]

    @staticmethod
    def talk(command: list[str]) -> list[dict[str, Any]]:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as job:
            assert job.stdin
            assert job.stdout
            said = [json.loads(job.stdout.readline())]
            for word in ("time", "go", "time", "stop"):
                job.stdin.write(f"{word}\n")
                said.append(json.loads(job.stdout.readline()))
            job.stdin.close()
            return said
