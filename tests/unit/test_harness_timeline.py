"""The timeline: CPU VMs come and go beside the GPU job, and the job follows."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness_fakes import World
from made_up_run import made_up_run
from pydantic import TypeAdapter
from rich.console import Console

from harness.errors import LabUnsuitable
from harness.judge.claims import Outcome, Verdict, judge, load_claims
from harness.judge.measurements import Measurements
from harness.judge.timeline import (
    Step,
    Timeline,
    TimelineLaunch,
    TimelineSamples,
    evaluate_timeline,
)
from harness.keep.results import RunFolder
from harness.keep.summary import Summary
from harness.measure.jobs import Jobs
from harness.measure.progress import RunProgress
from harness.measure.run import Options, Run
from harness.measure.timeline import measure_timeline
from harness.plan.profiles import PROFILES
from harness.report.timeline import finding, timeline_report, timeline_table
from harness.report.write import write_report
from harness.whole_run import FinishedRun, run_experiment

PROFILE = dataclasses.replace(PROFILES["smoke"], timeline_vms=(1, 3, 2), timeline_launches=24)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> TimelineSamples:
    lab = World(clock_offset={"gpu1": 3.0, "cpu2": -2.0}).lab(tmp_path_factory.mktemp("lab"))
    lab.prepare()
    with Jobs(lab, PROFILE) as jobs:
        return measure_timeline(lab, jobs, PROFILE)


@pytest.fixture(scope="module")
def timeline(samples: TimelineSamples) -> Timeline:
    return evaluate_timeline(samples)


def run(world: World, folder: Path, *points: str) -> FinishedRun:
    results = RunFolder.create(folder / "results", datetime.now(UTC))
    made = Run([world.lab(folder / "lab")], PROFILE, results, Options(points=points))
    console = Console(quiet=True)
    with RunProgress(console, made.expected_parts()) as progress:
        return run_experiment(made, progress)


class TestMeasured:
    def test_every_launch_has_the_groups_of_the_vms_that_run(self, timeline: Timeline) -> None:
        assert len(timeline.launches) == 24
        assert {launch.groups for launch in timeline.launches} == {4, 8, 6}
        assert not timeline.wrong_launches()

    def test_the_changes_are_spread_over_the_job(self, timeline: Timeline) -> None:
        assert [step.cpu_vms for step in timeline.steps] == [2, 1, 3, 2, 3]
        end = timeline.launches[-1].end
        began = [step.began for step in timeline.steps]
        # The created VM is there for three times as long as any other stretch.
        assert began == pytest.approx([end * part / 7 for part in range(5)], rel=0.05)

    def test_one_vm_is_destroyed_and_created_and_others_are_woken_and_paused(
        self, timeline: Timeline
    ) -> None:
        assert [step.how for step in timeline.steps[1:]] == [
            "destroyed",
            "woken",
            "paused",
            "created",
        ]

    def test_guests_with_wrong_clocks_are_put_on_one_clock(self, timeline: Timeline) -> None:
        """cpu2 runs from the second change on, however wrong its clock is."""
        first = timeline.steps[2].ended
        before = [r for n, r in enumerate(timeline.throughput["cpu2"]) if n + 1 < first]
        after = [r for n, r in enumerate(timeline.throughput["cpu2"]) if n > first]
        assert not any(before)
        # A third of the CPU, and later half of it.
        assert all(450 * 0.98 / 3 * 0.95 < rate < 450 * 0.98 / 2 * 1.05 for rate in after)

    def test_a_vm_that_goes_on_shares_the_cpu(self, timeline: Timeline) -> None:
        alone = [r for n, r in enumerate(timeline.throughput["cpu1"]) if n + 1 < 5]
        assert sum(alone) / len(alone) == pytest.approx(450 * 0.98, rel=0.02)

    def test_all_vms_run_again_at_the_end(self, tmp_path: Path) -> None:
        world = World()
        lab = world.lab(tmp_path)
        lab.prepare()
        with Jobs(lab, PROFILE) as jobs:
            measure_timeline(lab, jobs, PROFILE)
        assert world.running_vms() == 5
        assert not world.running

    def test_the_vm_that_comes_and_goes_has_no_job_and_is_there_afterwards(
        self, tmp_path: Path
    ) -> None:
        world = World()
        lab = world.lab(tmp_path)
        lab.prepare()
        with Jobs(lab, PROFILE) as jobs:
            jobs.cpus(["cpu4"])  # of an earlier point
            measure_timeline(lab, jobs, PROFILE)
        create = "xl create /etc/xen/gpusplit/cpu4.cfg"
        assert world.comings == ["xl destroy cpu4", create]

    def test_and_also_if_something_breaks_while_it_is_away(self, tmp_path: Path) -> None:
        world = World()
        interrupts = iter([KeyboardInterrupt()])

        def interrupt() -> None:
            if world.comings and (error := next(interrupts, None)):
                raise error

        world.on_list = interrupt
        lab = world.lab(tmp_path)
        lab.prepare()
        with pytest.raises(KeyboardInterrupt), Jobs(lab, PROFILE) as jobs:
            measure_timeline(lab, jobs, PROFILE)
        assert world.comings == ["xl destroy cpu4", "xl create /etc/xen/gpusplit/cpu4.cfg"]
        assert world.running_vms() == 5
        assert not world.running


class TestWrongLaunches:
    def of(self, start: float, count: int, wanted: int | None = None) -> int:
        launch = TimelineLaunch(start, start + 1, 4, wanted or 2 * count, count)
        steps = (Step(0.0, 0.0, 1), Step(10.0, 10.5, 2))
        return len(Timeline("xen1", 2, 1.0, steps, (launch,), {}).wrong_launches())

    def test_two_seconds_after_the_change_the_count_must_be_new(self) -> None:
        assert self.of(9.9, count=2) == 0
        assert self.of(12.4, count=2) == 0
        assert self.of(12.6, count=2) == 1
        assert self.of(12.6, count=3) == 0

    def test_and_so_must_the_groups(self) -> None:
        assert self.of(12.6, count=3, wanted=4) == 1


class TestAStretchTooShortToJudge:
    """Launches of 1 s; the second change comes 2 s after the first, whose launches may be old."""

    def short(self, *counts: int) -> Timeline:
        steps = (Step(0.0, 0.0, 1), Step(4.0, 4.5, 2, "woken"), Step(6.0, 6.5, 1, "paused"))
        launches = (TimelineLaunch(n, n + 1, 4, 2 * k, k) for n, k in enumerate(counts))
        return Timeline("xen1", 2, 1.0, steps, tuple(launches), {})

    def verdict(self, timeline: Timeline) -> Verdict:
        claim = next(c for c in load_claims(PROFILE, "dryrun") if c.id == "timeline-follows")
        return judge(claim, Measurements("dryrun", "deterministic", 1, PROFILE, (), None, timeline))

    def test_is_no_pass(self) -> None:
        timeline = self.short(2, 2, 2, 2, 2, 2, 2, 2, 2, 2)
        assert not timeline.wrong_launches()
        assert [step.how for step in timeline.unjudged_steps()] == ["woken"]
        verdict = self.verdict(timeline)
        assert verdict.outcome is Outcome.INVALID
        assert "in 1 of 3 stretches between changes (the first from 4.0 s on)" in verdict.reason
        assert "1 of 3 stretches were too short for any" in finding(timeline)

    def test_nor_is_one_at_the_end_before_which_the_job_was_over(self) -> None:
        assert self.verdict(self.short(2, 2, 2, 2, 3, 3)).outcome is Outcome.INVALID

    def test_does_not_excuse_what_was_wrong_elsewhere(self) -> None:
        assert self.verdict(self.short(2, 2, 2, 3, 2, 2, 2, 2, 2, 2)).outcome is Outcome.FAIL

    def test_a_launch_in_every_stretch_is_a_pass(self, timeline: Timeline) -> None:
        assert not timeline.unjudged_steps()
        assert self.verdict(timeline).outcome is Outcome.PASS


class TestARun:
    def test_the_timeline_alone_can_be_asked_for(self, tmp_path: Path) -> None:
        done = run(World(), tmp_path, "timeline")
        assert done.summary.timeline is not None
        assert not done.summary.points
        verdict = next(v for v in done.verdicts if v.claim.id == "timeline-follows")
        assert verdict.outcome is Outcome.PASS
        assert "Timeline" in (done.folder / "report.md").read_text()
        assert (done.folder / "raw" / "timeline.json").exists()

    def test_one_that_breaks_costs_nothing_but_its_verdict(self, tmp_path: Path) -> None:
        world = World()

        def break_down() -> None:
            world.unreachable.add("gpu1")

        world.on_gpu_go = break_down
        done = run(world, tmp_path, "timeline")
        verdict = next(v for v in done.verdicts if v.claim.id == "timeline-follows")
        assert verdict.outcome is Outcome.INVALID
        assert "gpu1" in verdict.reason
        assert not world.running

    def test_it_is_not_measured_twice(self, tmp_path: Path) -> None:
        world = World()
        done = run(world, tmp_path, "timeline")
        (done.folder / "summary.json").unlink()
        lab = world.lab(tmp_path / "again")
        resumed = Run([lab], PROFILE, RunFolder(done.folder), Options(("timeline",), resume=True))
        assert resumed.timeline == done.summary.timeline
        assert not resumed.times

    def test_a_profile_without_one_says_so(self, tmp_path: Path) -> None:
        lab = World().lab(tmp_path)
        folder = RunFolder.create(tmp_path / "results", datetime.now(UTC))
        with pytest.raises(LabUnsuitable, match="no point 'timeline'"):
            Run([lab], PROFILES["smoke"], folder, Options(("timeline",)))

    def test_a_lab_that_does_not_tell_the_count_has_none(self) -> None:
        assert PROFILES["quick"].for_lab("dryrun", "deterministic").timeline_vms
        assert not PROFILES["quick"].for_lab("local", "real").timeline_vms

    def test_unmeasured_there_is_no_verdict(self) -> None:
        claim = next(c for c in load_claims(PROFILE, "dryrun") if c.id == "timeline-follows")
        nothing = Measurements("dryrun", "deterministic", 1, PROFILE, (), None)
        assert judge(claim, nothing).outcome is Outcome.INVALID


class TestReport:
    def test_a_row_for_every_stretch(self, timeline: Timeline) -> None:
        rows = [[cell.text for cell in row] for row in timeline_table(timeline).rows]
        assert [row[0] for row in rows][1:] == ["destroyed", "woken", "paused", "created"]
        assert [row[2] for row in rows] == ["3", "2", "4", "3", "4"]
        assert [row[4] for row in rows] == ["6", "4", "8", "6", "8"]
        assert all(float(row[3]) < 2 for row in rows), "the next kernel call"
        assert all(float(row[6]) == pytest.approx(450 * 0.98, rel=0.03) for row in rows)

    def test_the_finding_counts_what_went_wrong(self, timeline: Timeline) -> None:
        assert "were destroyed, woken, paused and created" in finding(timeline)
        assert "All 24 kernel launches" in finding(timeline)
        stuck = tuple(dataclasses.replace(one, vm_count=2) for one in timeline.launches)
        text = finding(dataclasses.replace(timeline, launches=stuck))
        assert "All but" in text

    def test_the_page_shows_it(self, timeline: Timeline, tmp_path: Path) -> None:
        made_up = made_up_run() | {"timeline": json.loads(dumped(timeline))}
        summary = TypeAdapter(Summary).validate_python(made_up)
        page = write_report(summary, tmp_path).read_text()
        assert 'id="timeline-drawing"' in page
        assert 'href="#timeline"' in page
        report = timeline_report(timeline)
        assert report is not None
        assert "running VMs" in report.describe()

    def test_without_one_there_is_no_section(self, tmp_path: Path) -> None:
        summary = TypeAdapter(Summary).validate_python(made_up_run())
        assert 'id="timeline"' not in write_report(summary, tmp_path).read_text()
        assert timeline_report(None) is None


def dumped(timeline: Timeline) -> bytes:
    return TypeAdapter(Timeline).dump_json(timeline)
