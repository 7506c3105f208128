"""A whole run, in a lab that is a small model of the paper's problem."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_fakes import ALONE, GPU_SECONDS, World
from harness_takes import SMOKE, outcomes, take
from rich.console import Console

from harness.errors import HarnessError, HostUnreachable, JobFailed, LabUnsuitable, NotReady
from harness.judge.claims import Outcome
from harness.judge.evaluate import evaluate
from harness.keep.results import RunFolder
from harness.lab import xen
from harness.measure import jobs
from harness.measure.jobs import Jobs
from harness.measure.point import measure_point
from harness.measure.progress import RunProgress
from harness.measure.run import Options, Run
from harness.plan.experiments import ALONE as GPU_JOB_ALONE
from harness.plan.experiments import Mode, Point
from harness.report.content import content
from harness.whole_run import FinishedRun, run_experiment


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not answer is given up at once."""
    monkeypatch.setattr(jobs, "RECOVERY", 0.0)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return take(world, tmp_path_factory.mktemp("run"))


class TestAGoodRun:
    def test_every_claim_of_ours_holds(self, run: FinishedRun) -> None:
        assert not any(verdict.fails_the_run for verdict in run.verdicts)

    def test_claims_of_the_paper_are_judged_too(self, run: FinishedRun) -> None:
        """A spinning GPU VM costs what a CPU VM costs here, and splitting mends nothing."""
        found = outcomes(run)
        assert found["neighbour-loss-n1"] is Outcome.FAIL
        assert found["paper-gain"] is Outcome.FAIL

    def test_the_gpu_job_runs_alone_first_and_with_the_used_groups_last(
        self, run: FinishedRun
    ) -> None:
        assert [result.point.label for result in run.measurements.results] == [
            "n0-unsplit",
            "n1-unsplit",
            "n1-no_gpu",
            "n1-gpusplit-alpha2",
            "n1-paper-alpha2",
            "n1-unsplit_cooperative",
            "n1-paper_ahead-alpha2",
            "n1-gpusplit_single-alpha2",
            "n1-gpusplit-adaptive",
            "n1-unsplit-blocking",
            "n2-no_gpu",
            "n2-unsplit",
            "n2-gpusplit-alpha2",
            "n2-paper-alpha2",
            "n0-gpusplit-4groups",
            "n0-gpusplit-6groups",
        ]

    def test_the_numbers_are_the_worlds(self, run: FinishedRun) -> None:
        at = run.measurements.at
        assert at(1, Mode.NO_GPU).cpu_throughput == pytest.approx(ALONE, rel=1e-3)
        assert at(2, Mode.UNSPLIT).cpu_throughput == pytest.approx(ALONE / 3, rel=1e-3)
        assert run.measurements.chosen(2).cpu_throughput == pytest.approx(
            0.98 * ALONE / 2, rel=1e-3
        )
        gpu_alone = GPU_SECONDS * SMOKE.gpu_scale
        assert at(0, Mode.UNSPLIT).gpu_seconds == pytest.approx(gpu_alone)
        assert at(1, Mode.UNSPLIT).gpu_vm_cpu_seconds == pytest.approx(gpu_alone / 2, rel=0.02)
        assert at(1, Mode.NO_GPU).gpu_vm_cpu_seconds == 0

    def test_groups_come_from_the_number_of_vms(self, run: FinishedRun) -> None:
        assert run.measurements.chosen(1).groups == 2 * SMOKE.alpha
        assert run.measurements.chosen(2).groups == 3 * SMOKE.alpha
        assert run.measurements.at(0, Mode.UNSPLIT).groups == 1

    def test_raw_samples_of_every_point_are_kept(self, run: FinishedRun) -> None:
        for point in run.summary.points:
            for sample in point.samples:
                raw = json.loads((run.folder / sample.raw).read_text())
                assert raw["point"]["cpu_vms"] == point.cpu_vms
                assert raw["repetition"] == sample.repetition
                assert len(raw["cpus"]) == point.cpu_vms
                assert raw["accounting"]

    def test_nothing_is_left_running_or_paused(self, world: World, run: FinishedRun) -> None:
        assert not world.running
        assert not any(vm.paused for vm in world.vms.values())

    def test_jobs_stay_from_point_to_point(self, world: World, run: FinishedRun) -> None:
        """The GPU job starts anew only for other settings of the driver: for the check of its
        numbers, to measure, with the blocking driver, and to measure again."""
        starts = {host: world.started.count(host) for host in world.started}
        assert starts == {"gpu1": 4, "cpu1": 1, "cpu2": 1, "xen1": 1}

    def test_programs_are_sent_once_for_each_machine(self, world: World, run: FinishedRun) -> None:
        asked = [host for host, command in world.commands if command.startswith("if test -e")]
        assert sorted(asked) == ["cpu1", "cpu2", "cpu3", "cpu4", "gpu1", "xen1"]
        assert len(world.files) == 6


class TestARunInWhichSomethingIsNotAsClaimed:
    def test_a_small_gain_fails(self, tmp_path: Path) -> None:
        found = outcomes(take(World(split_cpu_share=0.2), tmp_path))
        assert found["cpu-gain-n1"] is Outcome.FAIL
        assert found["gpu-time-n1"] is Outcome.PASS

    def test_an_expensive_split_fails(self, tmp_path: Path) -> None:
        found = outcomes(take(World(split_speedup_lost=0.06), tmp_path))
        assert found["cpu-gain-n1"] is Outcome.PASS
        assert found["gpu-time-n1"] is found["split-cost-n1"] is Outcome.FAIL

    @pytest.mark.parametrize("error", [0.1, None])
    def test_wrong_numbers_fail(self, tmp_path: Path, error: float | None) -> None:
        assert outcomes(take(World(number_error=error), tmp_path))["gpu-numbers"] is Outcome.FAIL

    def test_clocks_apart_do_not_matter(self, tmp_path: Path) -> None:
        found = outcomes(take(World(clock_offset={"cpu2": 1.5, "gpu1": -0.7}), tmp_path))
        assert found["cpu-gain-n1"] is found["cpu-gain-n2"] is Outcome.PASS

    def test_a_clock_that_cannot_be_read_is_invalid_where_it_matters(self, tmp_path: Path) -> None:
        run = take(World(slow_clock={"cpu2": 0.2}), tmp_path)
        found = outcomes(run)
        assert found["cpu-gain-n2"] is Outcome.INVALID
        assert found["cpu-gain-n1"] is Outcome.PASS
        reason = next(v.reason for v in run.verdicts if v.claim.id == "cpu-gain-n2")
        assert "the clock of cpu2 is known only to within 0.1" in reason


class TestARunThatCannotBeMade:
    """Each ends with one error that says what to do, and leaves nothing running."""

    def refused(self, world: World, folder: Path, kind: type[HarnessError]) -> str:
        with pytest.raises(kind) as caught:
            take(world, folder)
        assert not world.running, "jobs were left running"
        assert caught.value.remedy
        return caught.value.what

    def test_too_few_vms(self, tmp_path: Path) -> None:
        assert "needs 2 CPU VMs" in self.refused(World(cpu_vms=1), tmp_path, LabUnsuitable)

    def test_a_silent_guest(self, tmp_path: Path) -> None:
        assert "cpu2" in self.refused(World(unreachable={"cpu2"}), tmp_path, HostUnreachable)

    def test_a_count_that_is_never_published(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(xen, "COMMAND_TIMEOUT", 0.0)
        world = World(count_offset=1)
        assert "count stays at 2" in self.refused(world, tmp_path, NotReady)

    def test_a_device_that_is_not_the_emulated_gpu(self, tmp_path: Path) -> None:
        assert "pthread" in self.refused(World(device="pthread-qemu64"), tmp_path, LabUnsuitable)

    def test_another_gpusplit_in_the_guest(self, tmp_path: Path) -> None:
        assert "another version" in self.refused(World(digest="old"), tmp_path, LabUnsuitable)


def test_a_vm_that_boots_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "RECOVERY", 60.0)
    monkeypatch.setattr(jobs, "RETRY_EVERY", 0.0)
    world = World(unreachable={"cpu2"})
    asked: list[bool] = []

    def boot() -> None:
        asked.append(True)
        if len(asked) == 10:
            world.unreachable.discard("cpu2")

    world.on_list = boot
    run = take(world, tmp_path)
    assert len(asked) > 10
    assert not any(point.problems for point in run.summary.points)


class TestARunInWhichSomethingBreaks:
    """The point at which it breaks is invalid, with its reason; the others are measured."""

    def invalid(self, run: FinishedRun) -> dict[str, str]:
        return {p.label: "; ".join(p.problems) for p in run.summary.points if p.problems}

    def test_a_guest_that_dies_while_jobs_run(self, tmp_path: Path) -> None:
        """It is given up: points that need it do not wait for it again."""
        world = World()
        world.on_gpu_go = lambda: (
            world.unreachable.add("cpu2") if world.vms["cpu2"].computing else None
        )
        run = take(world, tmp_path)
        assert not world.running, "jobs were left running"
        invalid = self.invalid(run)
        assert {label[:2] for label in invalid} == {"n2"}
        assert "cpu2 was given up" in invalid["n2-paper-alpha2"]
        assert outcomes(run)["cpu-gain-n2"] is Outcome.INVALID
        assert outcomes(run)["cpu-gain-n1"] is Outcome.PASS

    def test_a_guest_that_comes_back(self, tmp_path: Path) -> None:
        world = World()

        def lose_once() -> None:
            if world.vms["cpu2"].computing:
                world.unreachable.add("cpu2")
                world.on_gpu_go = lambda: None
                world.on_list = lambda: world.unreachable.discard("cpu2")

        world.on_gpu_go = lose_once
        run = take(world, tmp_path)
        assert not self.invalid(run), "its repetition was measured again"
        again = {s.raw: s.repeated_for for p in run.summary.points for s in p.samples}
        ((why,),) = [reasons for reasons in again.values() if reasons]
        assert "cpu2" in why
        problems = dict(content(run.summary, "made up").problems)
        assert "was measured again: " in next(iter(problems.values()))

    def test_an_incident_that_comes_again_stays_one(self, tmp_path: Path) -> None:
        world = World()
        tries: list[bool] = []

        def fail_beside_two() -> None:
            if world.vms["cpu2"].computing:
                tries.append(True)
                raise JobFailed("the GPU fell off the bus", "put it back")

        world.on_gpu_go = fail_beside_two
        run = take(world, tmp_path, Options(points=("n2-unsplit",)))
        assert len(tries) == 2
        assert self.invalid(run) == {"n2-unsplit": "the GPU fell off the bus"}

    def test_a_guest_that_is_restarted(self, tmp_path: Path) -> None:
        """Its jobs would be gone; here they are not, and still the domid tells."""
        world = World()

        def restart_once() -> None:
            if world.vms["cpu1"].computing:
                world.vms["cpu1"].domid = 77
                world.on_gpu_go = lambda: None

        world.on_gpu_go = restart_once
        run = take(world, tmp_path)
        # The point was measured once more, well: it counts.
        assert not self.invalid(run)
        bad = [s.problems for r in run.measurements.results for s in r.samples if s.problems]
        assert len(bad) == 1
        assert "cpu1 was restarted: it was domid 2 before and domid 77 after" in str(bad)

    def test_a_gpu_vm_that_dies(self, tmp_path: Path) -> None:
        world = World()
        world.on_gpu_go = lambda: (
            world.unreachable.add("gpu1") if world.vms["cpu1"].computing else None
        )
        run = take(world, tmp_path)
        measured = {p.label for p in run.summary.points if not p.problems}
        assert measured == {"n0-unsplit", "n1-no_gpu", "n2-no_gpu"}


class TestOnlySomePoints:
    def test_are_measured(self, tmp_path: Path) -> None:
        options = Options(points=("n1-unsplit", "n1-unsplit_cooperative"))
        run = take(World(), tmp_path, options)
        assert {point.label for point in run.summary.points} == set(options.points)
        judged = {v.claim.id: v.outcome for v in run.verdicts if v.measured}
        assert judged.keys() == {"waiting-gain-n1", "repeat-n1", "spin-share-n1"}
        assert set(judged.values()) == {Outcome.PASS}

    def test_that_there_are_not(self, tmp_path: Path) -> None:
        with pytest.raises(LabUnsuitable, match="no point 'n9-unsplit'") as caught:
            take(World(), tmp_path, Options(points=("n9-unsplit",)))
        assert "n2-no_gpu" in caught.value.remedy


def test_vms_are_kept_as_they_were_if_asked(tmp_path: Path) -> None:
    world = World()
    take(world, tmp_path, Options(points=("n1-no_gpu",), keep=True))
    assert [name for name, vm in world.vms.items() if not vm.paused] == ["cpu1"]
    assert not world.running


class TestSeveralHosts:
    def test_share_the_points_and_make_one_result(self, tmp_path: Path) -> None:
        worlds = [World(), World()]
        labs = [world.lab(tmp_path / f"lab{k}") for k, world in enumerate(worlds)]
        for k, lab in enumerate(labs):
            lab.inventory = replace(lab.inventory, name=f"host{k}")
        (tmp_path / "results").mkdir()
        made = Run(labs, SMOKE, RunFolder(tmp_path / "results"))
        with RunProgress(Console(file=io.StringIO()), made.expected_parts()) as progress:
            run = run_experiment(made, progress)
        assert not any(verdict.fails_the_run for verdict in run.verdicts)
        hosts = {p.label: {sample.host for sample in p.samples} for p in run.summary.points}
        # What is beside n CPU VMs is on one host, and so what it is compared with.
        for n in (1, 2):
            beside = [found for label, found in hosts.items() if label.startswith(f"n{n}")]
            assert all(found == beside[0] for found in beside)
        assert hosts["n1-unsplit"] != hosts["n2-unsplit"]
        alone = [r.host for r in run.measurements.results if r.point == GPU_JOB_ALONE]
        assert sorted(alone) == ["host0", "host1"]


class TestOnePoint:
    def measure(self, world: World, folder: Path, point: Point, **more: Any) -> Any:
        lab = world.lab(folder)
        lab.prepare()
        with Jobs(lab, SMOKE) as jobs:
            return measure_point(lab, jobs, point, 1, SMOKE, **more)

    def test_vms_that_do_not_take_part_are_paused(self, tmp_path: Path) -> None:
        world = World()
        seen: list[list[str]] = []
        world.on_cpu_go = lambda: seen.append(
            [name for name, vm in world.vms.items() if not vm.paused]
        )
        self.measure(world, tmp_path, Point(1, Mode.NO_GPU), window=1.0)
        assert seen == [["cpu1"]]

    def test_the_window_is_the_gpu_jobs_time(self, tmp_path: Path) -> None:
        samples = self.measure(World(), tmp_path, Point(2, Mode.UNSPLIT))
        assert (samples.window_start, samples.window_end) == (samples.gpu.start, samples.gpu.end)

    def test_cpu_jobs_compute_before_and_after_the_window(self, tmp_path: Path) -> None:
        samples = self.measure(World(), tmp_path, Point(2, Mode.UNSPLIT))
        for cpu in samples.cpus:
            assert sum(end < samples.window_start for end in cpu.ends) >= SMOKE.cpu_warm_up
            assert cpu.ends[-1] > samples.window_end
        assert evaluate(samples).problems == ()

    def test_without_a_gpu_job_the_window_is_as_long_as_asked(self, tmp_path: Path) -> None:
        samples = self.measure(World(), tmp_path, Point(2, Mode.NO_GPU), window=3.0)
        assert samples.window_end - samples.window_start == pytest.approx(3.0)
        assert evaluate(samples).problems == ()
