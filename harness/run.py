"""A whole run: every point of a profile, measured, judged and written down."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.claims import Verdict, judge, load_claims
from harness.environment import describe_environment
from harness.errors import HarnessError, LabUnsuitable
from harness.evaluate import SampleResult, evaluate
from harness.experiments import ALONE, Point, alone_split, rounds
from harness.jobs import Jobs
from harness.lab.lab import Lab
from harness.measure import PAPER_GPU_SECONDS, try_point, verify_numbers
from harness.measurements import Measurements, Unjudgeable
from harness.profiles import Profile
from harness.progress import RunProgress
from harness.repetitions import combine
from harness.report.picture import PICTURE
from harness.report.summarise import raw_name, summarise
from harness.report.summary import NAME, Summary
from harness.report.write import write_report
from harness.results import RunFolder
from harness.samples import PointSamples, Verification

START_GUESS = 25.0
"""Seconds to begin: reaching the VMs, the first jobs. A guess for the first forecast, no more."""

POINT_GUESS = 4.0
"""Seconds that a point takes beside its window."""

PACE_GUESS = 0.75
"""Seconds of the controller's clock that a second of the window takes."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that was measured to its end, whatever the verdicts are."""

    folder: Path
    report: Path
    """report.html; the other files stand beside it."""
    summary: Summary
    measurements: Measurements
    verdicts: tuple[Verdict, ...]

    @property
    def picture(self) -> Path:
        """The picture; a run of single points may have none."""
        return self.folder / PICTURE


def part_weights(profile: Profile) -> list[float]:
    """Return the guessed seconds of every part of a run, for the forecast."""
    point = POINT_GUESS + PACE_GUESS * PAPER_GPU_SECONDS * profile.gpu_scale
    points = sum(map(len, rounds(profile))) + len(profile.cpu_vms)
    return [START_GUESS] * 2 + [point] * points


class Run:
    """A run that goes on: what is measured so far, and how to measure more."""

    def __init__(
        self, lab: Lab, profile: Profile, folder: RunFolder, progress: RunProgress
    ) -> None:
        self.lab = lab
        self.profile = profile
        self.folder = folder
        self.progress = progress
        self.samples: list[PointSamples] = []
        self.results: list[SampleResult] = []
        self.window: float | None = None
        """Seconds of the GPU job alone: the window of points without a GPU job."""

    def take(self, jobs: Jobs, point: Point, repetition: int) -> None:
        """Measure one repetition of a point, keep its raw samples and its numbers."""
        window = self.window or PAPER_GPU_SECONDS * self.profile.gpu_scale
        with self.progress.part(point.label):
            samples = try_point(self.lab, jobs, point, repetition, self.profile, window)
        self.folder.write_json(raw_name(point, repetition), samples)
        self.samples.append(samples)
        self.results.append(evaluate(samples))
        if point == ALONE:
            self.window = self.window or self.results[-1].gpu_seconds

    def measurements(self, verification: Verification | None) -> Measurements:
        """Return what was measured so far, for judging."""
        clock = self.lab.clock
        results = combine(self.results, clock)
        return Measurements(
            self.lab.kind, clock, self.lab.shared_cpus, self.profile, results, verification
        )


def run_experiment(
    lab: Lab, profile: Profile, folder: RunFolder, progress: RunProgress
) -> FinishedRun:
    """Measure all points of a profile, judge the claims, write the results."""
    started = datetime.now(UTC)
    require_cpu_vms(lab, profile)
    run = Run(lab, profile, folder, progress)
    with Jobs(lab, profile) as jobs:
        try:
            with progress.part("reaching every VM"):
                lab.prepare()
            with progress.part("checking the GPU job's numbers against numpy"):
                verification = verify_numbers(lab, jobs, profile)
            folder.write_json("raw/verification.json", verification)
            for number, points in enumerate(rounds(profile), start=1):
                for point in points:
                    run.take(jobs, point, number)
            for point in alone_split(groups_in_use(run.measurements(None))):
                if all(result.point != point for result in run.results):
                    run.take(jobs, point, 1)
            environment = describe_environment(lab, run.samples)
        finally:
            # As it was found: whoever logs in next expects every VM to answer, and a paused
            # one's jobs cannot end. A failure here must not hide the one that may have led here.
            with suppress(HarnessError):
                lab.release()

    measurements = run.measurements(verification)
    verdicts = tuple(
        judge(claim, measurements)
        for claim in load_claims(profile, lab.kind)
        if claim.is_made_for(lab.clock)
    )
    summary = summarise(measurements, verdicts, environment, started, datetime.now(UTC))
    folder.write_json(NAME, summary)
    report = write_report(summary, folder.path)
    return FinishedRun(folder.path, report, summary, measurements, verdicts)


def require_cpu_vms(lab: Lab, profile: Profile) -> None:
    """Refuse a run that needs more CPU VMs than there are."""
    if profile.most_cpu_vms > len(lab.cpu_vms):
        raise LabUnsuitable(
            f"This run needs {profile.most_cpu_vms} CPU VMs; the lab has {len(lab.cpu_vms)}.",
            f"build the lab with {profile.most_cpu_vms} CPU VMs, or choose a smaller PROFILE",
        )


def groups_in_use(measurements: Measurements) -> list[int]:
    """Return the numbers of groups that Fig. 6 shows, where they are known."""
    groups = []
    for n in measurements.profile.cpu_vms:
        with suppress(Unjudgeable):
            groups.append(measurements.gpusplit(n).wanted)
    return [wanted for wanted in groups if wanted is not None]
